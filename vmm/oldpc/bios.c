/* SPDX-License-Identifier: MIT */
/*
 * The data that an old PC's BIOS leaves in memory, for kernels that look for it there: the BIOS
 * data area, and the tables of the MultiProcessor Specification 1.4 (MPS), which describe CPUs and
 * interrupt controllers to kernels without ACPI.  There are no BIOS services: the real-mode vectors
 * point to code that reports the call and ends the machine.
 */
#include <string.h>

#include "oldpc.h"

#define BDA_GPA         0x400ull
#define POINTER_GPA     (MV_EBDA_GPA + 16) /* MPS 4: in the first KiB of the EBDA */
#define TABLE_GPA       (POINTER_GPA + sizeof(struct pointer))
#define ISA_INTERRUPTS  16
#define LOCAL_APIC_KIND 0x14 /* its version, integrated */
#define IO_APIC_KIND    0x11
#define ALL_APICS       0xff

/* MPS 4.1 */
struct pointer {
    char signature[4];
    uint32_t table;
    uint8_t length; /* of this struct, in units of 16 bytes */
    uint8_t revision, checksum, features[5];
} __attribute__((packed));

/* MPS 4.2 */
struct header {
    char signature[4];
    uint16_t length;
    uint8_t revision, checksum;
    char maker[8], product[12];
    uint32_t oem_table;
    uint16_t oem_size, entries;
    uint32_t local_apic;
    uint16_t extended_length;
    uint8_t extended_checksum, reserved;
} __attribute__((packed));

/* MPS 4.3: the types of entries, then their layouts. */
enum { CPU, BUS, IO_APIC, INTERRUPT, LOCAL_INTERRUPT };

struct cpu {
    uint8_t type, id, version, flags;
    uint32_t signature, features, reserved[2];
} __attribute__((packed));

struct bus {
    uint8_t type, id;
    char name[6];
} __attribute__((packed));

struct io_apic {
    uint8_t type, id, version, flags;
    uint32_t address;
} __attribute__((packed));

struct interrupt {
    uint8_t type, kind;
    uint16_t flags;
    uint8_t bus, line, apic, pin;
} __attribute__((packed));

enum { CPU_ENABLED = 1, CPU_IS_FIRST = 2, CPU_FEATURES = 1 << 9 | 1 << 0 /* APIC, FPU */ };
enum { IO_APIC_ENABLED = 1 };
enum { KIND_INT, KIND_NMI, KIND_SMI, KIND_EXTINT };

/* All entries of the table after the CPUs. */
struct rest {
    struct bus bus;
    struct io_apic io_apic;
    struct interrupt isa[ISA_INTERRUPTS], extint, nmi;
} __attribute__((packed));

/* The most CPUs for which the table fits into the EBDA. */
#define CPUS_MAX \
    ((MV_VGA_GPA - TABLE_GPA - sizeof(struct header) - sizeof(struct rest)) / sizeof(struct cpu))

struct table {
    struct header header;
    struct cpu cpus[CPUS_MAX];
    struct rest rest; /* actually follows the last CPU in use */
} __attribute__((packed));

/* 8-bit and 16-bit numbers: IBM, PS/2 and PC BIOS Interface Technical Reference, data areas. */
static void put_data_area(struct mv_mem *mem)
{
    static const struct {
        uint16_t offset;
        uint8_t size;
        uint16_t value;
    } values[] = {
        {0x00, 2, MV_SERIAL_BASE},      /* COM1 */
        {0x0e, 2, MV_EBDA_GPA >> 4},    /* the segment of the EBDA */
        {0x10, 2, 1 << 9 | 2 << 4 | 2}, /* one serial port, a colour screen, an FPU */
        {0x13, 2, MV_EBDA_GPA / MV_KIB},
        {0x49, 1, 3},            /* video mode: text */
        {0x4a, 2, 80},           /* columns */
        {0x4c, 2, 4096},         /* bytes of a text page */
        {0x63, 2, MV_CRTC_BASE}, /* CRT controller */
        {0x84, 1, 24},           /* rows less one */
        {0x85, 2, 16},           /* scan lines of a character */
    };
    static const uint8_t ebda_kib = 1;

    for (unsigned i = 0; i < MV_COUNT(values); i++)
        mv_mem_write(mem, BDA_GPA + values[i].offset, &values[i].value, values[i].size);
    mv_mem_write(mem, MV_EBDA_GPA, &ebda_kib, sizeof(ebda_kib));
}

static struct rest rest_of_table(void)
{
    struct rest rest = {
        .bus = {.type = BUS},
        .io_apic = {IO_APIC, 0, IO_APIC_KIND, IO_APIC_ENABLED, (uint32_t)MV_IOAPIC_GPA},
        .extint = {LOCAL_INTERRUPT, KIND_EXTINT, 0, 0, 0, ALL_APICS, 0},
        .nmi = {LOCAL_INTERRUPT, KIND_NMI, 0, 0, 0, ALL_APICS, 1},
    };

    memcpy(rest.bus.name, "ISA   ", sizeof(rest.bus.name));
    for (uint8_t i = 0; i < ISA_INTERRUPTS; i++)
        rest.isa[i] = (struct interrupt){INTERRUPT, KIND_INT, 0, 0, i, 0, i};
    return rest;
}

/*
 * All vectors point to the same bytes, each with a different segment, so that CS identifies the
 * vector; AX is the service requested.
 *
 *   vector n: CS = 0xf000 + n, IP = MV_BIOS_CODE - 16 CS
 */
void mv_bios_write_vectors(struct mv_mem *mem)
{
    static const uint8_t code[] = {
        0x66, 0xc1, 0xe0,
        16,                            /* shl eax, 16 */
        0x8c, 0xc8,                    /* mov ax, cs */
        0x66, 0xe7, MV_BIOS_CALL_BASE, /* out MV_BIOS_CALL_BASE, eax */
        0xf4,                          /* hlt */
        0xeb, 0xfd,                    /* jmp to the hlt */
    };
    struct {
        uint16_t offset, segment;
    } vectors[256];

    for (unsigned i = 0; i < MV_COUNT(vectors); i++) {
        vectors[i].segment = (uint16_t)(MV_BIOS_CS + i);
        vectors[i].offset = (uint16_t)(MV_BIOS_CODE - 16 * (MV_BIOS_CS + i));
    }
    mv_mem_write(mem, 0, vectors, sizeof(vectors));
    mv_mem_write(mem, MV_BIOS_CODE, code, sizeof(code));
}

void mv_bios_write(struct mv_mem *mem, unsigned cpus)
{
    unsigned count = (unsigned)mv_min(cpus, CPUS_MAX);
    struct rest rest = rest_of_table();
    struct table table = {
        .header = {.length =
                       (uint16_t)(sizeof(table.header) + count * sizeof(struct cpu) + sizeof(rest)),
                   .revision = 4, /* 1.4 */
                   .entries = (uint16_t)(count + 2 + ISA_INTERRUPTS + 2),
                   .local_apic = (uint32_t)MV_LAPIC_GPA},
    };
    struct pointer pointer = {.table = TABLE_GPA, .length = 1, .revision = 4};

    memcpy(table.header.signature, "PCMP", sizeof(table.header.signature));
    memcpy(table.header.maker, "MINIVMM ", sizeof(table.header.maker));
    memcpy(table.header.product, "MINIVMM     ", sizeof(table.header.product));
    memcpy(pointer.signature, "_MP_", sizeof(pointer.signature));
    for (unsigned i = 0; i < count; i++)
        table.cpus[i] = (struct cpu){.type = CPU,
                                     .id = (uint8_t)i,
                                     .version = LOCAL_APIC_KIND,
                                     .flags = CPU_ENABLED | (i == 0 ? CPU_IS_FIRST : 0),
                                     .features = CPU_FEATURES};
    memcpy(&table.cpus[count], &rest, sizeof(rest));
    table.header.checksum = mv_acpi_checksum(&table, table.header.length);
    pointer.checksum = mv_acpi_checksum(&pointer, sizeof(pointer));
    put_data_area(mem);
    mv_mem_write(mem, POINTER_GPA, &pointer, sizeof(pointer));
    mv_mem_write(mem, TABLE_GPA, &table, table.header.length);
}
