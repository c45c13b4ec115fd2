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

/* ---- what the guest was handed, by whichever protocol ---- */

enum protocol { PROTOCOL_PVH = 1, PROTOCOL_LINUX32 = 2, PROTOCOL_LINUX64 = 3 };

struct table_register {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

/* As found at the first instruction; runtime.S knows these offsets. */
struct entry_state {
    uint64_t protocol;
    uint64_t cr0, cr3, cr4, efer, flags;
    uint64_t rbx, rsi, rdi, rbp;
    uint16_t cs, ds, es, ss, fs, gs, tr, unused;
    struct table_register gdt;
    uint8_t unused2[6];
    struct table_register idt;
    uint8_t unused3[6];
};
_Static_assert(offsetof(struct entry_state, idt) == 112, "as in runtime.S");

extern struct entry_state entry_state;
extern char image_start[], image_end[];

enum { E820_MOST = 128, E820_RAM = 1 };

struct boot {
    const char *cmdline;
    uint64_t initrd, initrd_size;
    uint64_t rsdp;
    unsigned count;
    struct {
        uint64_t base, size;
        uint32_t type;
    } e820[E820_MOST];
};

extern struct boot boot;

/* NAME=NUMBER on the command line; other if it is not there. */
uint64_t option(const char *name, uint64_t other);
/* Is NAME=TEXT on the command line? */
bool option_is(const char *name, const char *text);

size_t length(const char *text);
bool same(const void *a, const void *b, size_t size);

/* ---- the processor ---- */

static inline void out8(unsigned port, unsigned value)
{
    __asm__ volatile("outb %b0, %w1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void out16(unsigned port, unsigned value)
{
    __asm__ volatile("outw %w0, %w1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void out32(unsigned port, unsigned value)
{
    __asm__ volatile("outl %0, %w1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint8_t in8(unsigned port)
{
    uint8_t value;

    __asm__ volatile("inb %w1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

static inline uint16_t in16(unsigned port)
{
    uint16_t value;

    __asm__ volatile("inw %w1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

static inline uint32_t in32(unsigned port)
{
    uint32_t value;

    __asm__ volatile("inl %w1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

struct cpuid {
    uint32_t a, b, c, d;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t index)
{
    struct cpuid r;

    __asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "0"(leaf), "2"(index));
    return r;
}

static inline uint64_t read_msr(uint32_t msr)
{
    uint32_t low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (uint64_t)high << 32 | low;
}

static inline void write_msr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

static inline uint64_t read_tsc(void)
{
    uint32_t low, high;

    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

static inline void pause(void)
{
    __asm__ volatile("pause" : : : "memory");
}

static inline void interrupts_on(void)
{
    __asm__ volatile("sti" : : : "memory");
}

static inline void interrupts_off(void)
{
    __asm__ volatile("cli" : : : "memory");
}

/* Waits for an interrupt, and only there: none is lost before. */
static inline void wait_for_interrupt(void)
{
    __asm__ volatile("sti; hlt; cli" : : : "memory");
}

/* The registers of a device or of guest memory at a physical address. */
static inline volatile void *at(uint64_t address)
{
    return (volatile void *)address; /* all is mapped one to one */
}

/* ---- interrupts ---- */

struct frame {
    uint64_t r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax;
    uint64_t vector, error, rip, cs, flags, rsp, ss;
};

typedef void handler_fn(struct frame *frame);

/* An interrupt handler acknowledges by itself (lapic_eoi). */
void set_handler(unsigned vector, handler_fn *handler);

enum {
    LAPIC_ID = 0x20,
    LAPIC_VERSION = 0x30,
    LAPIC_EOI = 0xb0,
    LAPIC_SPURIOUS = 0xf0,
    LAPIC_ICR = 0x300,
    LAPIC_ICR_HIGH = 0x310,
    LAPIC_LVT_TIMER = 0x320,
    LAPIC_LVT_LINT0 = 0x350,
    LAPIC_TIMER_COUNT = 0x380,
    LAPIC_TIMER_NOW = 0x390,
    LAPIC_TIMER_DIVIDE = 0x3e0,
    TIMER_PERIODIC = 1 << 17,
    TIMER_DEADLINE = 2 << 17,
    DIVIDE_BY_1 = 0xb,
    LVT_MASKED = 1 << 16,
    ICR_FIXED = 0,
    ICR_INIT = 0x4500,
    ICR_STARTUP = 0x4600,
    ICR_OTHERS = 3 << 18,
    SPURIOUS_VECTOR = 0xff,
};

/* Turns the CPU's local APIC on; use_x2apic counts for all helpers and CPUs. */
extern bool use_x2apic;
void lapic_init(void);
uint32_t lapic_read(unsigned offset);
void lapic_write(unsigned offset, uint32_t value);
void lapic_eoi(void);
uint32_t lapic_id(void);
void send_ipi(uint32_t apic_id, uint32_t what);

void ioapic_route(unsigned gsi, unsigned vector); /* to the first CPU, edge, active high */
uint32_t ioapic_read(unsigned index);

/* Starts all other CPUs; each runs the function with its number, from 0 on. */
typedef void ap_fn(unsigned number);
void start_aps(ap_fn *function);

/* ---- the serial port ---- */

enum {
    SERIAL = 0x3f8,
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

/* ---- ACPI ---- */

struct acpi_table {
    uint32_t signature, length;
    uint8_t revision, checksum;
    char oem_id[6], oem_table_id[8];
    uint32_t oem_revision, creator_id, creator_revision;
    uint8_t data[];
} __attribute__((packed));

const struct acpi_table *find_acpi_table(const char *signature);
uint64_t load(const void *from, unsigned size);

#endif
