/* SPDX-License-Identifier: MIT */
/* What the test guests share on arm64: see arch.h, and runtime.h. */
#include "runtime.h"

#include "fdt_read.h"

enum { UNEXPECTED = 254, AFFINITY = 0xffffff };

/* The compiler calls these two by itself. */
void *memset(void *to, int value, size_t size);
void *memcpy(void *to, const void *from, size_t size);

void *memset(void *to, int value, size_t size)
{
    volatile uint8_t *bytes = to; /* volatile: else its loops are calls of memset */
    uint64_t word = (uint8_t)value * 0x0101010101010101;

    for (; size && (uint64_t)bytes % 8; size--)
        *bytes++ = (uint8_t)value;
    for (; size >= 8; size -= 8, bytes += 8)
        *(volatile uint64_t *)bytes = word;
    while (size--)
        *bytes++ = (uint8_t)value;
    return to;
}

void *memcpy(void *to, const void *from, size_t size)
{
    volatile uint8_t *bytes = to;
    const uint8_t *other = from;

    if (((uint64_t)to | (uint64_t)from) % 8 == 0)
        for (; size >= 8; size -= 8, bytes += 8, other += 8)
            *(volatile uint64_t *)bytes = *(const uint64_t *)other;
    while (size--)
        *bytes++ = *other++;
    return to;
}

/* ---- what was handed over ---- */

unsigned cpu_count;
uint64_t cpu_address[CPUS_MOST];
unsigned gic_version;

static void read_chosen(struct fdt_node node)
{
    struct fdt_value start = fdt_property(node, "linux,initrd-start");
    struct fdt_value end = fdt_property(node, "linux,initrd-end");

    boot.cmdline = (const char *)fdt_property(node, "bootargs").data;
    if (!start.data)
        return;
    boot.initrd = fdt_number(start.data, start.size);
    boot.initrd_size = fdt_number(end.data, end.size) - boot.initrd;
}

/* Sizes and addresses have two cells, but those of CPUs. */
static void read_tree(const void *tree)
{
    check(fdt_is_one(tree));
    boot.tables = (uint64_t)tree;
    boot.tables_size = fdt_size(tree);
    for (struct fdt_node node = fdt_first(tree); node.at; node = fdt_next(node)) {
        struct fdt_value reg = fdt_property(node, "reg");

        if (fdt_is_named(node, "chosen"))
            read_chosen(node);
        if (fdt_has_type(node, "memory"))
            for (uint32_t i = 0; i < reg.size; i += 16)
                add_memory(fdt_number(reg.data + i, 8), fdt_number(reg.data + i + 8, 8), true);
        if (fdt_has_type(node, "cpu")) {
            if (cpu_count < CPUS_MOST)
                cpu_address[cpu_count] = fdt_number(reg.data, reg.size);
            cpu_count++;
        }
        if (fdt_is_compatible(node, "arm,gic-v3"))
            gic_version = 3;
        if (fdt_is_compatible(node, "arm,cortex-a15-gic"))
            gic_version = 2;
    }
}

/* ---- exceptions ---- */

void on_exception(struct frame *frame);
static void on_interrupt(void);

void on_exception(struct frame *frame)
{
    enum { FROM_EL1_IRQ = 5 }; /* with SP_EL1 */

    if (frame->kind == FROM_EL1_IRQ) {
        on_interrupt();
        return;
    }
    print("\nunexpected exception %lu, syndrome %lx, at %lx, address %lx\n", frame->kind,
          frame->esr, frame->elr, frame->far);
    finish(UNEXPECTED);
}

/* ---- the GIC: Arm IHI 0048 (version 2), IHI 0069 (version 3) ---- */

enum {
    GICD_CTLR = 0x0,
    GICD_IGROUPR = 0x80,
    GICD_ISENABLER = 0x100,
    GICD_ICENABLER = 0x180,
    GICD_IPRIORITYR = 0x400,
    GICD_ITARGETSR = 0x800, /* version 2 */
    GICD_ICFGR = 0xc00,
    GICD_SGIR = 0xf00,     /* version 2 */
    GICD_IROUTER = 0x6000, /* version 3 */
    ENABLE_GROUP_0 = 1,
    ENABLE_GROUP_1 = 2,
    AFFINITY_ROUTING = 0x10,

    GICC_CTLR = 0x0,
    GICC_PMR = 0x4,
    GICC_IAR = 0xc,
    GICC_EOIR = 0x10,

    GICR_TYPER = 0x8,
    GICR_WAKER = 0x14,
    CHILDREN_ASLEEP = 4,
    GICR_STRIDE = 0x20000,
    GICR_PRIVATE = 0x10000, /* SGIs and PPIs: as the first registers of the distributor */

    PRIORITY = 0xa0,
    SPURIOUS = 1020, /* and above */
    INTERRUPTS = FIRST_LINE + LINES_MOST,
    WAKE = 1, /* the SGI of wake_cpu */
};

static interrupt_fn *interrupts[INTERRUPTS];

/* This CPU's; a machine without one for it is not worth an end of the search. */
static uint64_t redistributor(void)
{
    uint64_t address = read_sysreg(mpidr_el1) & AFFINITY, found = GICR_BASE;

    while (read64(found + GICR_TYPER) >> 32 != address)
        found += GICR_STRIDE;
    return found;
}

/* Where the bits of an interrupt are: a CPU's own are apart in version 3. */
static uint64_t gic_registers(unsigned number)
{
    return gic_version == 3 && number < FIRST_LINE ? redistributor() + GICR_PRIVATE : GICD_BASE;
}

static void init_distributor(void)
{
    if (gic_version == 3) {
        write32(GICD_BASE + GICD_CTLR, AFFINITY_ROUTING);
        write32(GICD_BASE + GICD_CTLR, AFFINITY_ROUTING | ENABLE_GROUP_1);
    } else {
        write32(GICD_BASE + GICD_CTLR, ENABLE_GROUP_0);
    }
}

static void init_cpu_interface(void)
{
    uint64_t own;

    if (gic_version == 2) {
        write32(GICC_BASE + GICC_PMR, 0xff);
        write32(GICC_BASE + GICC_CTLR, ENABLE_GROUP_0);
        return;
    }
    own = redistributor();
    write32(own + GICR_WAKER, 0);
    while (read32(own + GICR_WAKER) & CHILDREN_ASLEEP)
        pause();
    write32(own + GICR_PRIVATE + GICD_IGROUPR, 0xffffffff);
    write_sysreg(S3_0_C12_C12_5, 1); /* ICC_SRE_EL1: the interface is system registers */
    isb();
    write_sysreg(S3_0_C4_C6_0, 0xff); /* ICC_PMR_EL1 */
    write_sysreg(S3_0_C12_C12_7, 1);  /* ICC_IGRPEN1_EL1 */
    isb();
}

void interrupts_init(void)
{
    check(gic_version > 0);
    if (cpu_id() == 0)
        init_distributor();
    init_cpu_interface();
    enable_interrupt(WAKE);
}

void set_interrupt(unsigned number, interrupt_fn *function)
{
    interrupts[number] = function;
}

void enable_interrupt(unsigned number)
{
    uint64_t registers = gic_registers(number);

    write8(registers + GICD_IPRIORITYR + number, PRIORITY);
    write32(registers + GICD_ISENABLER + number / 32 * 4, 1u << number % 32);
}

void disable_interrupt(unsigned number)
{
    write32(gic_registers(number) + GICD_ICENABLER + number / 32 * 4, 1u << number % 32);
}

static line_fn *line_functions[LINES_MOST];

static void on_line(unsigned number)
{
    line_functions[number - FIRST_LINE](number - FIRST_LINE);
}

void take_line(unsigned line, line_fn *function)
{
    unsigned number = FIRST_LINE + line, shift = number % 16 * 2;
    uint64_t kinds = GICD_BASE + GICD_ICFGR + number / 16 * 4;

    check(line < LINES_MOST);
    line_functions[line] = function;
    set_interrupt(number, on_line);
    write32(kinds, (read32(kinds) & ~(3u << shift)) | 2u << shift); /* edge */
    if (gic_version == 3) {
        uint64_t groups = GICD_BASE + GICD_IGROUPR + number / 32 * 4;

        write32(groups, read32(groups) | 1u << number % 32);
        write64(GICD_BASE + GICD_IROUTER + 8 * number, cpu_address[0]);
    } else {
        write8(GICD_BASE + GICD_ITARGETSR + number, 1);
    }
    enable_interrupt(number);
}

void send_sgi(uint32_t cpu, unsigned number)
{
    uint64_t address = cpu_address[cpu];

    __asm__ volatile("dsb ish" : : : "memory"); /* what we have written is there before it */
    if (gic_version == 3) {
        /* ICC_SGI1R_EL1: Aff2, INTID, Aff1, and a bit for Aff0 */
        write_sysreg(S3_0_C12_C11_5, (address >> 16 & 0xff) << 32 | (uint64_t)number << 24 |
                                         (address >> 8 & 0xff) << 16 | 1ull << (address & 0xf));
        isb();
    } else {
        write32(GICD_BASE + GICD_SGIR, 1u << (16 + cpu) | number);
    }
}

static void on_interrupt(void)
{
    uint32_t taken = gic_version == 3 ? (uint32_t)read_sysreg(S3_0_C12_C12_0) /* ICC_IAR1_EL1 */
                                      : read32(GICC_BASE + GICC_IAR);
    unsigned number = taken & 0x3ff; /* above are, in version 2, who has sent it */

    if (number >= SPURIOUS)
        return;
    if (number >= INTERRUPTS || !interrupts[number]) {
        print("\nunexpected interrupt %u\n", number);
        finish(UNEXPECTED);
    }
    interrupts[number](number);
    if (gic_version == 3) {
        write_sysreg(S3_0_C12_C12_1, taken); /* ICC_EOIR1_EL1 */
        isb();
    } else {
        write32(GICC_BASE + GICC_EOIR, taken);
    }
}

/* ---- CPUs ---- */

int64_t psci(uint32_t function, uint64_t a, uint64_t b, uint64_t c)
{
    register uint64_t x0 __asm__("x0") = function;
    register uint64_t x1 __asm__("x1") = a;
    register uint64_t x2 __asm__("x2") = b;
    register uint64_t x3 __asm__("x3") = c;

    /* It keeps all other registers (SMC calling convention, 2.6). */
    __asm__ volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : "memory");
    return function >> 30 & 1 ? (int64_t)x0 : (int32_t)x0;
}

uint32_t cpu_id(void)
{
    uint64_t address = read_sysreg(mpidr_el1) & AFFINITY;

    for (uint32_t i = 0; i < CPUS_MOST; i++)
        if (i < cpu_count && cpu_address[i] == address)
            return i;
    return UINT32_MAX;
}

void check_cpu(void)
{
    check_equal(read_sysreg(mpidr_el1) >> 30 & 3, 2); /* bit 31 is one; not the only processor */
    check(cpu_id() < cpu_count);
    check(read_sysreg(cntfrq_el0) > 0);
}

static wake_fn *wake_function;

static void on_wake(unsigned number)
{
    (void)number;
    wake_function();
}

void set_wake(wake_fn *function)
{
    wake_function = function;
    set_interrupt(WAKE, on_wake);
}

void wake_cpu(uint32_t cpu)
{
    send_sgi(cpu, WAKE);
}

static ap_fn *ap_function;
void ap_start(unsigned number);

void ap_start(unsigned number)
{
    interrupts_init();
    ap_function(number);
}

void start_aps(ap_fn *function)
{
    check(cpu_count <= CPUS_MOST);
    ap_function = function;
    for (unsigned i = 0; i + 1 < cpu_count; i++)
        check_equal(psci(PSCI_CPU_ON, cpu_address[i + 1], (uint64_t)ap_entry, i), PSCI_SUCCESS);
}

/* ---- time, and the end ---- */

uint64_t now(void)
{
    uint64_t frequency = read_sysreg(cntfrq_el0), count;

    isb();
    count = read_sysreg(cntvct_el0);
    return count / frequency * 1000000000 + count % frequency * 1000000000 / frequency;
}

void spend(unsigned milliseconds)
{
    uint64_t until = now() + milliseconds * 1000000ull;

    while (now() < until)
        pause();
}

void power_off(void)
{
    psci(PSCI_SYSTEM_OFF, 0, 0, 0);
}

void reset(void)
{
    psci(PSCI_SYSTEM_RESET, 0, 0, 0);
}

_Noreturn void sleep_for_ever(void)
{
    interrupts_off();
    for (;;)
        __asm__ volatile("wfi");
}

/* ---- from start.S ---- */

_Noreturn void start(void);

_Noreturn void start(void)
{
    read_tree((const void *)entry_state.x[0]);
    test();
    finish(0);
}
