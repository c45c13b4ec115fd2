/* SPDX-License-Identifier: MIT */
/* What hello needs of the machine that it runs on: machine.c in the architecture's folder. */
#ifndef HELLO_MACHINE_H
#define HELLO_MACHINE_H

#include <stdint.h>

/* The greeting's last words: the state in which we run. */
extern const char machine_mode[];

/* Puts mark 1 on the boot timer, then reads what the loader has handed over. */
void machine_init(const void *handed);

void print(const char *text);

const char *machine_command_line(void);
unsigned machine_count_cpus(void);

/* The ranges of memory, from 0 on; false: there is none of that number. */
struct range {
    uint64_t address, size;
    uint32_t reserved; /* not for us */
};
_Bool machine_memory(unsigned number, struct range *range);

_Noreturn void machine_power_off(void);

#endif
