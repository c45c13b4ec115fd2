/* SPDX-License-Identifier: MIT */
/* What the test guests share on x86-64 only, where things are, and the small parts of runtime.h. */
#ifndef TEST_ARCH_H
#define TEST_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- where things are: vmm/arch/x86_64/layout.h ---- */

enum {
    RAM = 0,
    HOLE = 0xc0000000, /* without memory, up to 4 GiB */
    SLOT_BASE = 0xd0000000,
    LAPIC_BASE = 0xfee00000,
    IOAPIC_BASE = 0xfec00000,

    SERIAL = 0x3f8, /* ports */
    PANIC = 0x505,
    EXIT = 0xf4,
    BOOT_TIMER = 0xf5,
    POWER = 0x600,
    RESET = 0x602,
    KEYBOARD = 0x64,

    SERIAL_LINE = 4,
};

#define HOLE_END (1ull << 32)

/* What is no memory in the address space: the interrupt controllers, and pages that KVM uses. */
static const uint64_t not_memory[] = {IOAPIC_BASE, LAPIC_BASE, 0xfffbc000};

/* Memory that is there, but not listed: the VGA window. */
enum { UNLISTED_MEMORY = 0xe0000 - 0xa0000 };

static inline unsigned slot_line(unsigned slot)
{
    return 5 + slot + (slot >= 3); /* not 8, the RTC's */
}

/* ---- the state at the first instruction; start.S knows these offsets ---- */

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
_Static_assert(offsetof(struct entry_state, idt) == 112, "as in start.S");

extern struct entry_state entry_state;
extern struct entry_state entry_state;

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

/* ---- addresses ---- */

static inline uint8_t read8(uint64_t address)
{
    return *(volatile uint8_t *)address;
}

static inline void write8(uint64_t address, uint8_t value)
{
    *(volatile uint8_t *)address = value;
}

static inline uint16_t read16(uint64_t address)
{
    return *(volatile uint16_t *)address;
}

static inline void write16(uint64_t address, uint16_t value)
{
    *(volatile uint16_t *)address = value;
}

static inline uint32_t read32(uint64_t address)
{
    return *(volatile uint32_t *)address;
}

static inline void write32(uint64_t address, uint32_t value)
{
    *(volatile uint32_t *)address = value;
}

static inline uint64_t read64(uint64_t address)
{
    return *(volatile uint64_t *)address;
}

static inline void write64(uint64_t address, uint64_t value)
{
    *(volatile uint64_t *)address = value;
}

/* Where the same device is reached by accesses of any alignment. */
static inline uint64_t unaligned(uint64_t address)
{
    return address;
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

/* ---- ACPI ---- */

extern uint64_t acpi_rsdp;

struct acpi_table {
    uint32_t signature, length;
    uint8_t revision, checksum;
    char oem_id[6], oem_table_id[8];
    uint32_t oem_revision, creator_id, creator_revision;
    uint8_t data[];
} __attribute__((packed));

const struct acpi_table *find_acpi_table(const char *signature);

#endif
