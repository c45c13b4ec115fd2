/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: the UART, under any traffic of registers and bytes.  Two bytes of input
 * are one access: what, and with which value.
 */
#include <stdio.h>
#include <stdlib.h>

#include "uart_check.h"

struct machine {
    struct mv_uart uart;
    bool line;
    unsigned waiting; /* bytes on the host's side that come in as there is room */
};

static void on_line(void *context, bool level)
{
    ((struct machine *)context)->line = level;
}

static void on_sent(void *context, uint8_t byte)
{
    (void)context, (void)byte;
}

static void on_drained(void *context)
{
    struct machine *machine = context;

    while (machine->waiting && mv_uart_room(&machine->uart))
        mv_uart_receive(&machine->uart, (uint8_t)machine->waiting--);
}

static void step(struct machine *machine, uint8_t what, uint8_t value)
{
    unsigned offset = what & 7;

    switch (what >> 3 & 7) {
    case 0:
    case 1:
    case 2: mv_uart_write(&machine->uart, offset, value); break;
    case 3:
    case 4: mv_uart_read(&machine->uart, offset); break;
    case 5: mv_uart_receive(&machine->uart, value); break;
    case 6: mv_uart_receive_break(&machine->uart); break;
    default:
        machine->waiting += value & 31;
        on_drained(machine);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct machine machine = {.waiting = 0};

    mv_uart_init(&machine.uart, on_line, on_sent, on_drained, &machine);
    for (size_t at = 0; at + 1 < size; at += 2) {
        const char *wrong;

        step(&machine, data[at], data[at + 1]);
        wrong = uart_check(&machine.uart, machine.line);
        if (wrong) {
            fprintf(stderr, "after access %zu: %s\n", at / 2, wrong);
            abort();
        }
    }
    return 0;
}
