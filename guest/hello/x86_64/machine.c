/* SPDX-License-Identifier: MIT */
/*
 * hello on a PC: what a loader of Linux hands over, ports, ACPI.  We run in 64-bit
 * mode with memory mapped one to one.
 */
#include "machine.h"

const char machine_mode[] = "in 64-bit mode";

/* The parts of Linux's boot_params that we read (boot.rst, "The zero page"). */
struct boot_params {
    uint8_t unused1[0x70];
    uint64_t acpi_rsdp_addr; /* 0x070; 0 where the loader does not know */
    uint8_t unused2[0x1e8 - 0x78];
    uint8_t e820_entries; /* 0x1e8 */
    uint8_t unused3[0x228 - 0x1e9];
    uint32_t cmd_line_ptr; /* 0x228 */
    uint8_t unused4[0x2d0 - 0x22c];
    struct {
        uint64_t address, size;
        uint32_t type;                         /* 1: memory to use */
    } __attribute__((packed)) e820_table[128]; /* 0x2d0 */
} __attribute__((packed));

static const struct boot_params *params;

/* ---- ports: how a PC talks to its devices ---- */

enum {
    BOOT_TIMER = 0xf5, /* minivmm: notes the time of a byte written here */
    POWER_OFF = 0x600, /* minivmm: the ACPI sleep control register */
    SLEEP_S5 = 0x34,   /* SLP_EN, and SLP_TYP 5: soft off */
    SERIAL = 0x3f8,    /* the first serial port, a 16550A */
    FIFO_CONTROL = 2,  /* its registers */
    LINE_STATUS = 5,
    TRANSMITTER_EMPTY = 0x20,
    FIFO_SIZE = 16,
};

static void out(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static uint8_t in(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

/* ---- printing ---- */

/* Once its transmitter is empty, the chip takes as many bytes as its FIFO holds:
 * asking once for all of them, not for each, is what makes this fast. */
void print(const char *text)
{
    while (*text) {
        while (!(in(SERIAL + LINE_STATUS) & TRANSMITTER_EMPTY))
            ;
        for (int room = FIFO_SIZE; room > 0 && *text; room--)
            out(SERIAL, (uint8_t)*text++);
    }
}

/* ---- CPUs: listed in an ACPI table ---- */

/* Each table begins so (ACPI 6.4, 5.2.6), and tells what it is by four letters. */
struct table {
    uint32_t signature, length;
    uint8_t unused[28];
    uint8_t data[];
} __attribute__((packed));

static uint64_t read(const uint8_t *from, unsigned size)
{
    uint64_t value = 0;

    while (size--)
        value = value << 8 | from[size];
    return value;
}

/* The pointer to the list of tables: handed to us, or, as on a PC with a BIOS,
 * somewhere below 1 MiB (5.2.5.1). */
static const uint8_t *find_rsdp(void)
{
    if (params->acpi_rsdp_addr)
        return (const uint8_t *)params->acpi_rsdp_addr;
    for (const uint8_t *at = (const uint8_t *)0xe0000; at < (const uint8_t *)0x100000; at += 16)
        if (read(at, 8) == 0x2052545020445352) /* "RSD PTR " */
            return at;
    return 0;
}

static const struct table *find_table(const uint8_t *rsdp, uint32_t signature)
{
    /* From revision 2 on there is a list of 64-bit pointers (XSDT, 5.2.8). */
    unsigned pointer = rsdp[15] >= 2 ? 8 : 4;
    const struct table *list = (const struct table *)read(rsdp + (pointer == 8 ? 24 : 16), pointer);

    for (uint32_t at = 0; at + pointer <= list->length - sizeof(*list); at += pointer) {
        const struct table *table = (const struct table *)read(list->data + at, pointer);

        if (table->signature == signature)
            return table;
    }
    return 0;
}

/* Counts the enabled local APICs, one for each CPU, in the MADT (5.2.12). */
unsigned machine_count_cpus(void)
{
    const uint8_t *rsdp = find_rsdp();
    const struct table *madt = rsdp ? find_table(rsdp, 0x43495041 /* "APIC" */) : 0;
    const uint8_t *entry, *end;
    unsigned cpus = 0;

    if (!madt)
        return 1; /* the one that runs this */
    end = (const uint8_t *)madt + madt->length;
    for (entry = madt->data + 8; entry + 2 <= end && entry[1]; entry += entry[1])
        if ((entry[0] == 0 && (entry[4] & 1)) || (entry[0] == 9 && (entry[8] & 1)))
            cpus++; /* a local APIC, or, with a large number, a local x2APIC */
    return cpus;
}

/* ---- for hello.c ---- */

void machine_init(const void *handed)
{
    out(BOOT_TIMER, 1);
    out(SERIAL + FIFO_CONTROL, 1); /* use the FIFO */
    params = handed;
}

const char *machine_command_line(void)
{
    return (const char *)(uintptr_t)params->cmd_line_ptr;
}

_Bool machine_memory(unsigned number, struct range *range)
{
    if (number >= params->e820_entries)
        return 0;
    range->address = params->e820_table[number].address;
    range->size = params->e820_table[number].size;
    range->reserved = params->e820_table[number].type != 1;
    return 1;
}

_Noreturn void machine_power_off(void)
{
    out(POWER_OFF, SLEEP_S5);
    for (;;) /* a machine with its power switch elsewhere: rest in peace */
        __asm__ volatile("cli; hlt");
}
