/* SPDX-License-Identifier: MIT */
/* What the test guests share on arm64 only, where things are, and the small parts of runtime.h. */
#ifndef TEST_ARCH_H
#define TEST_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- where things are: vmm/arch/arm64/layout.h ---- */

enum {
    RAM = 0x40000000,
    SLOT_BASE = 0x02000000,
    GICD_BASE = 0x08000000,
    GICC_BASE = 0x08010000,
    GICR_BASE = 0x10000000,

    SERIAL = 0x01000000,
    EXIT = 0x01010000,
    BOOT_TIMER = 0x01020000,
    PANIC = 0x01030000,

    SERIAL_LINE = 0, /* SPIs, from 0 on */
};

/* Without memory: where the devices are. */
#define HOLE     0ull
#define HOLE_END 0x40000000ull

/* What is no memory in the address space: the interrupt controllers. */
static const uint64_t not_memory[] = {GICD_BASE, GICC_BASE, GICR_BASE};

/* Memory that is there, but not listed: none. */
enum { UNLISTED_MEMORY = 0 };

static inline unsigned slot_line(unsigned slot)
{
    return 16 + slot;
}

/* ---- the state at the first instruction; start.S knows these offsets ---- */

struct entry_state {
    uint64_t x[4]; /* X0 to X3 */
    uint64_t current_el, daif, sctlr, spsel, pc;
};

extern struct entry_state entry_state;

/* ---- addresses: start.S has the map ----
 *
 * Of an access that is an exit KVM and the monitor know only what one load or store
 * of one register without writeback does.  Compilers use others, too.
 */

static inline uint8_t read8(uint64_t address)
{
    uint32_t value;

    __asm__ volatile("ldrb %w0, [%1]" : "=r"(value) : "r"(address) : "memory");
    return (uint8_t)value;
}

static inline uint16_t read16(uint64_t address)
{
    uint32_t value;

    __asm__ volatile("ldrh %w0, [%1]" : "=r"(value) : "r"(address) : "memory");
    return (uint16_t)value;
}

static inline uint32_t read32(uint64_t address)
{
    uint32_t value;

    __asm__ volatile("ldr %w0, [%1]" : "=r"(value) : "r"(address) : "memory");
    return value;
}

static inline uint64_t read64(uint64_t address)
{
    uint64_t value;

    __asm__ volatile("ldr %0, [%1]" : "=r"(value) : "r"(address) : "memory");
    return value;
}

static inline void write8(uint64_t address, uint32_t value)
{
    __asm__ volatile("strb %w0, [%1]" : : "r"(value), "r"(address) : "memory");
}

static inline void write16(uint64_t address, uint32_t value)
{
    __asm__ volatile("strh %w0, [%1]" : : "r"(value), "r"(address) : "memory");
}

static inline void write32(uint64_t address, uint32_t value)
{
    __asm__ volatile("str %w0, [%1]" : : "r"(value), "r"(address) : "memory");
}

static inline void write64(uint64_t address, uint64_t value)
{
    __asm__ volatile("str %0, [%1]" : : "r"(value), "r"(address) : "memory");
}

/* Where the same device is reached by accesses of any alignment: mapped once more, as memory
 * that is not cached. */
enum { UNALIGNED_SHIFT = 38 };

static inline uint64_t unaligned(uint64_t address)
{
    return address | 1ull << UNALIGNED_SHIFT;
}

/* Registers of devices are bytes, and the wider accesses of tests may be unaligned. */
static inline uint8_t in8(uint64_t address)
{
    return read8(address);
}

static inline uint16_t in16(uint64_t address)
{
    return read16(unaligned(address));
}

static inline uint32_t in32(uint64_t address)
{
    return read32(unaligned(address));
}

static inline void out8(uint64_t address, uint32_t value)
{
    write8(address, value);
}

static inline void out16(uint64_t address, uint32_t value)
{
    write16(unaligned(address), value);
}

static inline void out32(uint64_t address, uint32_t value)
{
    write32(unaligned(address), value);
}

/* ---- the processor ---- */

#define read_sysreg(name)                                               \
    __extension__({                                                     \
        uint64_t value_;                                                \
                                                                        \
        __asm__ volatile("mrs %0, " #name : "=r"(value_) : : "memory"); \
        value_;                                                         \
    })

#define write_sysreg(name, value) \
    __asm__ volatile("msr " #name ", %0" : : "r"((uint64_t)(value)) : "memory")

static inline void isb(void)
{
    __asm__ volatile("isb" : : : "memory");
}

static inline void pause(void)
{
    __asm__ volatile("yield" : : : "memory");
}

static inline void interrupts_on(void)
{
    __asm__ volatile("msr daifclr, #2; isb" : : : "memory");
}

static inline void interrupts_off(void)
{
    __asm__ volatile("msr daifset, #2" : : : "memory");
}

/* Waits for an interrupt, and only there: none is lost before, as WFI does not wait for one that
 * is pending and masked. */
static inline void wait_for_interrupt(void)
{
    __asm__ volatile("wfi; msr daifclr, #2; isb; msr daifset, #2" : : : "memory");
}

/* ---- exceptions and interrupts ---- */

struct frame {
    uint64_t x[31], kind, elr, spsr, esr, far;
};

/* By its number in the GIC: 0 to 15 for SGIs, 16 to 31 for this CPU's own (PPIs), then the lines.
 * The runtime acknowledges. */
enum { FIRST_PPI = 16, FIRST_LINE = 32, VIRTUAL_TIMER = 27, PHYSICAL_TIMER = 30 };
typedef void interrupt_fn(unsigned number);
void set_interrupt(unsigned number, interrupt_fn *function);
void enable_interrupt(unsigned number);
void disable_interrupt(unsigned number);
void send_sgi(uint32_t cpu, unsigned number);

extern unsigned gic_version;

/* ---- PSCI, Arm DEN0022 ---- */

enum {
    PSCI_VERSION = 0x84000000,
    PSCI_CPU_OFF = 0x84000002,
    PSCI_SYSTEM_OFF = 0x84000008,
    PSCI_SYSTEM_RESET = 0x84000009,
    PSCI_FEATURES = 0x8400000a,
    PSCI_SYSTEM_RESET2 = 0x84000012,
};
#define PSCI_CPU_ON        0xc4000003u
#define PSCI_AFFINITY_INFO 0xc4000004u /* 0: on, 1: off */
enum {
    PSCI_SUCCESS = 0,
    PSCI_NOT_SUPPORTED = -1,
    PSCI_INVALID_PARAMETERS = -2,
    PSCI_ALREADY_ON = -4,
};

int64_t psci(uint32_t function, uint64_t a, uint64_t b, uint64_t c);

/* The other CPUs by the device tree; MPIDR_EL1's affinity fields. */
enum { CPUS_MOST = 32 }; /* of which Aff0 counts 16 */
extern unsigned cpu_count;
extern uint64_t cpu_address[CPUS_MOST];
extern char ap_entry[]; /* where they begin, with their number as context */

#endif
