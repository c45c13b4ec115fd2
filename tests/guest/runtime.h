/* SPDX-License-Identifier: MIT */
/*
 * What the test guests share.  A guest defines test(); when that returns, the
 * machine ends with exit status 0.  A check that fails prints a line and ends it
 * with the check's number in that file, from 1.  An exception that nobody
 * expects is status 254.
 */
#ifndef TEST_RUNTIME_H
#define TEST_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void test(void);

/* ---- checks ---- */

#define check(condition) check_that((condition), __COUNTER__ + 1, __FILE__, __LINE__, #condition)
#define check_equal(got, wanted) \
    check_same((uint64_t)(got), (uint64_t)(wanted), __COUNTER__ + 1, __FILE__, __LINE__, #got)

void check_that(bool good, int number, const char *file, int line, const char *what);
void check_same(uint64_t got, uint64_t wanted, int number, const char *file, int line,
                const char *what);
_Noreturn void finish(int status);

/* Formats: %s, %c, %u, %x, %lu and %lx. */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- what the guest was handed ---- */

/* Of the image in memory: with .bss; and what the loader has put there, the part before the
 * first address included. */
extern char image_start[], image_end[], file_start[];

enum { MEMORY_MOST = 128 };

struct boot {
    const char *cmdline;
    uint64_t initrd, initrd_size;
    uint64_t tables, tables_size; /* what else lies in usable memory; 0: nothing */
    unsigned count;
    struct {
        uint64_t base, size;
        bool usable;
    } memory[MEMORY_MOST];
};

extern struct boot boot;

/* Fills it in, for the architecture's part. */
void add_memory(uint64_t base, uint64_t size, bool usable);

/* NAME=NUMBER on the command line; other if it is not there. */
uint64_t option(const char *name, uint64_t other);
/* Is NAME=TEXT on the command line? */
bool option_is(const char *name, const char *text);

size_t length(const char *text);
bool same(const void *a, const void *b, size_t size);

/* Little-endian, and wherever it lies. */
uint64_t load(const void *from, unsigned size);

/* What is the architecture's alone, and how it does these: registers of devices (in8, out8 ...),
 * accesses to an address by one instruction (read8, write8 ...), the CPU's interrupts. */
#include "arch.h"

/* Memory at a physical address. */
static inline volatile void *at(uint64_t address)
{
    return (volatile void *)address; /* all is mapped one to one */
}

/* Nothing is there: reads of every width give all ones, and writes are dropped. */
void check_nothing_at(uint64_t address);

/* ---- the processor ---- */

/* Time in nanoseconds; on x86-64 by the TSC, whose are somewhat shorter on fast processors. */
uint64_t now(void);
/* Milliseconds or more. */
void spend(unsigned milliseconds);

/* This CPU can take interrupts from now on; before anything of this kind. */
void interrupts_init(void);

/* A device's line, which is edge-triggered, calls the function with its number, on the first CPU.
 */
enum { LINES_MOST = 96 };
typedef void line_fn(unsigned line);
void take_line(unsigned line, line_fn *function);

/* Of 0 to n - 1, in the order of the machine's tables. */
uint32_t cpu_id(void);
/* Everything that names this CPU agrees about it. */
void check_cpu(void);

/* wake_cpu interrupts a CPU, and the function is called there. */
typedef void wake_fn(void);
void set_wake(wake_fn *function);
void wake_cpu(uint32_t cpu);

/* Starts all other CPUs; each runs the function with its number, from 0 on. */
typedef void ap_fn(unsigned number);
void start_aps(ap_fn *function);

void power_off(void);
void reset(void);
_Noreturn void sleep_for_ever(void);

/* ---- the serial port ---- */

enum { /* registers from SERIAL on */
       DATA = 0,
       IER = 1,
       IIR = 2,
       FCR = 2,
       LCR = 3,
       MCR = 4,
       LSR = 5,
       MSR = 6,
       SCR = 7,
};

void put_byte(uint8_t byte);
uint8_t get_byte(void);

#endif
