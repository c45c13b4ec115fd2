/* SPDX-License-Identifier: MIT */
/*
 * hello on arm64: what the device tree tells, registers of devices in memory, PSCI.
 * We run at EL1 with the MMU off, so every access goes to memory by itself, and has
 * to be aligned.
 *
 * A loader has passed the device tree's physical address (booting.rst, 2).  Sizes
 * and addresses in it have two cells, as all machines without memory of their own
 * making have it, but those of CPUs.
 */
#include "machine.h"

#include "fdt_read.h"

enum {
    PSCI_SYSTEM_OFF = 0x84000008, /* Arm DEN0022, 5.9 */

    /* A 16550A, as on a PC ... */
    FIFO_CONTROL = 2,
    LINE_STATUS = 5,
    TRANSMITTER_EMPTY = 0x20,
    FIFO_SIZE = 16,

    /* ... or a PL011 (Arm DDI 0183, 3.2), as QEMU's machine "virt" has it */
    PL011_FLAGS = 0x18,
    PL011_FIFO_FULL = 0x20,
};

const char machine_mode[] = "at EL1";

static const void *tree;
static uint64_t serial, pl011; /* addresses; 0: not there */

/* Where a device is emulated, its monitor knows only what one plain instruction does. */
static void out(uint64_t address, uint8_t value)
{
    __asm__ volatile("strb %w0, [%1]" : : "r"(value), "r"(address) : "memory");
}

static uint8_t in(uint64_t address)
{
    uint8_t value;

    __asm__ volatile("ldrb %w0, [%1]" : "=r"(value) : "r"(address) : "memory");
    return value;
}

static uint64_t address_of(struct fdt_node node)
{
    return fdt_number(fdt_property(node, "reg").data, 8);
}

void machine_init(const void *handed)
{
    tree = handed;
    for (struct fdt_node node = fdt_first(tree); node.at; node = fdt_next(node)) {
        if (fdt_is_compatible(node, "minivmm,boot-timer"))
            out(address_of(node), 1);
        if (fdt_is_compatible(node, "ns16550a"))
            serial = address_of(node);
        if (fdt_is_compatible(node, "arm,pl011"))
            pl011 = address_of(node);
    }
    if (serial)
        out(serial + FIFO_CONTROL, 1); /* use the FIFO */
}

/* Once its transmitter is empty, a 16550A takes as many bytes as its FIFO holds:
 * asking once for all of them, not for each, is what makes this fast. */
static void print_16550(const char *text)
{
    while (*text) {
        while (!(in(serial + LINE_STATUS) & TRANSMITTER_EMPTY))
            ;
        for (int room = FIFO_SIZE; room > 0 && *text; room--)
            out(serial, (uint8_t)*text++);
    }
}

static void print_pl011(const char *text)
{
    for (; *text; text++) {
        while (in(pl011 + PL011_FLAGS) & PL011_FIFO_FULL)
            ;
        out(pl011, (uint8_t)*text);
    }
}

void print(const char *text)
{
    if (serial)
        print_16550(text);
    else if (pl011)
        print_pl011(text);
}

const char *machine_command_line(void)
{
    for (struct fdt_node node = fdt_first(tree); node.at; node = fdt_next(node))
        if (fdt_is_named(node, "chosen") && fdt_property(node, "bootargs").data)
            return (const char *)fdt_property(node, "bootargs").data;
    return "";
}

unsigned machine_count_cpus(void)
{
    unsigned cpus = 0;

    for (struct fdt_node node = fdt_first(tree); node.at; node = fdt_next(node))
        cpus += fdt_has_type(node, "cpu");
    return cpus;
}

_Bool machine_memory(unsigned number, struct range *range)
{
    for (struct fdt_node node = fdt_first(tree); node.at; node = fdt_next(node)) {
        struct fdt_value reg = fdt_property(node, "reg");

        if (!fdt_has_type(node, "memory"))
            continue;
        if (number < reg.size / 16) {
            range->address = fdt_number(reg.data + 16 * number, 8);
            range->size = fdt_number(reg.data + 16 * number + 8, 8);
            range->reserved = 0;
            return 1;
        }
        number -= reg.size / 16;
    }
    return 0;
}

_Noreturn void machine_power_off(void)
{
    register uint64_t x0 __asm__("x0") = PSCI_SYSTEM_OFF;

    __asm__ volatile("hvc #0" : "+r"(x0) : : "x1", "x2", "x3", "memory");
    for (;;) /* a machine with its power switch elsewhere: rest in peace */
        __asm__ volatile("wfi");
}
