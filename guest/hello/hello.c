/* SPDX-License-Identifier: MIT */
/*
 * A kernel that says hello, tells what it was handed, and turns the machine off.
 * start.S, of the architecture's folder, has brought us here: a stack, no
 * interrupts, and nobody to call but ourselves.
 */
#include "machine.h"

static void print_number(uint64_t number, unsigned base)
{
    char digits[24], *first = digits + sizeof(digits);

    *--first = '\0';
    do
        *--first = "0123456789abcdef"[number % base];
    while (number /= base);
    print(first);
}

static void print_memory(void)
{
    struct range range;

    print("memory:\n");
    for (unsigned i = 0; machine_memory(i, &range); i++) {
        print("  0x");
        print_number(range.address, 16);
        print(": ");
        print_number(range.size >> 10, 10);
        print(range.reserved ? "K, reserved\n" : "K\n");
    }
}

_Noreturn void hello(const void *handed);

_Noreturn void hello(const void *handed)
{
    machine_init(handed);
    print("Hello from a kernel ");
    print(machine_mode);
    print("!\ncommand line: ");
    print(machine_command_line());
    print("\nCPUs: ");
    print_number(machine_count_cpus(), 10);
    print("\n");
    print_memory();
    machine_power_off();
}
