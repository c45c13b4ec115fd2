/* SPDX-License-Identifier: MIT */
/* What the test guests share on x86-64: see arch.h, and runtime.h. */
#include "runtime.h"

enum { UNEXPECTED = 254, TRAMPOLINE = 0x10000, MSR_APIC_BASE = 0x1b, E820_RAM = 1 };

bool use_x2apic;
uint64_t acpi_rsdp;

/* The compiler calls these two by itself. */
void *memset(void *to, int value, size_t size);
void *memcpy(void *to, const void *from, size_t size);

void *memset(void *to, int value, size_t size)
{
    void *at = to;

    __asm__ volatile("rep stosb" : "+D"(at), "+c"(size) : "a"(value) : "memory");
    return to;
}

void *memcpy(void *to, const void *from, size_t size)
{
    void *at = to;

    __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(size) : : "memory");
    return to;
}

/* ---- what was handed over ---- */

/* boot.rst and zero-page.rst */
static void read_boot_params(const uint8_t *params)
{
    boot.cmdline = (const char *)(load(params + 0x228, 4) | load(params + 0xc8, 4) << 32);
    boot.initrd = load(params + 0x218, 4) | load(params + 0xc0, 4) << 32;
    boot.initrd_size = load(params + 0x21c, 4) | load(params + 0xc4, 4) << 32;
    acpi_rsdp = load(params + 0x70, 8);
    for (unsigned i = 0; i < params[0x1e8]; i++) {
        const uint8_t *entry = params + 0x2d0 + i * 20ul;

        add_memory(load(entry, 8), load(entry + 8, 8), load(entry + 16, 4) == E820_RAM);
    }
}

/* Xen, public/arch-x86/hvm/start_info.h */
static void read_start_info(const uint8_t *info)
{
    const uint8_t *entries = (const uint8_t *)load(info + 40, 8);

    check_equal(load(info, 4), 0x336ec578);
    check_equal(load(info + 4, 4), 1);
    boot.cmdline = (const char *)load(info + 24, 8);
    acpi_rsdp = load(info + 32, 8);
    check(load(info + 12, 4) <= 1);
    if (load(info + 12, 4) == 1) {
        const uint8_t *module = (const uint8_t *)load(info + 16, 8);

        boot.initrd = load(module, 8);
        boot.initrd_size = load(module + 8, 8);
    }
    for (unsigned i = 0; i < load(info + 48, 4); i++)
        add_memory(load(entries + 24ul * i, 8), load(entries + 24ul * i + 8, 8),
                   load(entries + 24ul * i + 16, 4) == E820_RAM);
}

/* ---- vectors ---- */

static struct {
    uint16_t offset_low, selector;
    uint8_t ist, type;
    uint16_t offset_middle;
    uint32_t offset_high, unused;
} idt[256];

static handler_fn *handlers[256];
extern char vector_entries[];
void on_vector(struct frame *frame);

void on_vector(struct frame *frame)
{
    if (frame->vector < 256 && handlers[frame->vector]) {
        handlers[frame->vector](frame);
        return;
    }
    if (frame->vector == SPURIOUS_VECTOR)
        return;
    print("\nunexpected vector %lu, error %lx, at %lx\n", frame->vector, frame->error, frame->rip);
    finish(UNEXPECTED);
}

void set_handler(unsigned vector, handler_fn *handler)
{
    handlers[vector] = handler;
}

static void load_idt(void)
{
    struct table_register pointer = {.limit = sizeof(idt) - 1, .base = (uint64_t)idt};

    __asm__ volatile("lidt %0" : : "m"(pointer));
}

static void init_idt(void)
{
    for (unsigned i = 0; i < 256; i++) {
        uint64_t entry = (uint64_t)vector_entries + 16ul * i;

        idt[i].offset_low = (uint16_t)entry;
        idt[i].offset_middle = (uint16_t)(entry >> 16);
        idt[i].selector = 0x10;
        idt[i].type = 0x8e; /* present, interrupt gate */
    }
    load_idt();
}

/* ---- APICs ---- */

uint32_t lapic_read(unsigned offset)
{
    if (use_x2apic)
        return (uint32_t)read_msr(0x800 + offset / 16);
    return *(volatile uint32_t *)at(LAPIC_BASE + offset);
}

void lapic_write(unsigned offset, uint32_t value)
{
    if (use_x2apic)
        write_msr(0x800 + offset / 16, value);
    else
        *(volatile uint32_t *)at(LAPIC_BASE + offset) = value;
}

void lapic_init(void)
{
    uint64_t base = read_msr(MSR_APIC_BASE);

    check_equal(base & 0xfffff000, LAPIC_BASE);
    write_msr(MSR_APIC_BASE, base | 1 << 11 | (use_x2apic ? 1 << 10 : 0));
    lapic_write(LAPIC_SPURIOUS, 0x100 | SPURIOUS_VECTOR);
    lapic_write(LAPIC_LVT_LINT0, LVT_MASKED); /* KVM has a PIC there, which nobody set up */
}

void lapic_eoi(void)
{
    lapic_write(LAPIC_EOI, 0);
}

uint32_t lapic_id(void)
{
    uint32_t id = lapic_read(LAPIC_ID);

    return use_x2apic ? id : id >> 24;
}

void send_ipi(uint32_t apic_id, uint32_t what)
{
    if (use_x2apic) {
        write_msr(0x830, (uint64_t)apic_id << 32 | what);
        return;
    }
    lapic_write(LAPIC_ICR_HIGH, apic_id << 24);
    lapic_write(LAPIC_ICR, what);
    while (lapic_read(LAPIC_ICR) & 1 << 12) /* until it is sent */
        pause();
}

uint32_t ioapic_read(unsigned index)
{
    *(volatile uint32_t *)at(IOAPIC_BASE) = index;
    return *(volatile uint32_t *)at(IOAPIC_BASE + 0x10);
}

static void ioapic_write(unsigned index, uint32_t value)
{
    *(volatile uint32_t *)at(IOAPIC_BASE) = index;
    *(volatile uint32_t *)at(IOAPIC_BASE + 0x10) = value;
}

void ioapic_route(unsigned gsi, unsigned vector)
{
    ioapic_write(0x11 + 2 * gsi, 0);
    ioapic_write(0x10 + 2 * gsi, vector);
}

/* ---- other CPUs ---- */

extern char trampoline[], trampoline_end[];
static ap_fn *ap_function;
void ap_start(unsigned number);

void ap_start(unsigned number)
{
    check(number < 16); /* stacks in start.S */
    load_idt();
    lapic_init();
    ap_function(number);
}

/* SDM volume 3, 9.4.4: INIT, then SIPI twice. */
void start_aps(ap_fn *function)
{
    ap_function = function;
    memcpy((void *)TRAMPOLINE, trampoline, (size_t)(trampoline_end - trampoline));
    send_ipi(0, ICR_OTHERS | ICR_INIT);
    for (int i = 0; i < 2; i++)
        send_ipi(0, ICR_OTHERS | ICR_STARTUP | TRAMPOLINE >> 12);
}

/* ---- ACPI ---- */

const struct acpi_table *find_acpi_table(const char *signature)
{
    const uint8_t *rsdp = (const uint8_t *)acpi_rsdp;
    const struct acpi_table *xsdt = (const struct acpi_table *)load(rsdp + 24, 8);

    for (uint32_t i = 0; i < (xsdt->length - sizeof(*xsdt)) / 8; i++) {
        const struct acpi_table *table = (const struct acpi_table *)load(xsdt->data + 8ul * i, 8);

        if (same(&table->signature, signature, 4))
            return table;
    }
    return NULL;
}

/* ---- what runtime.h asks of an architecture ---- */

enum { LINE_VECTOR = 0x50, LINES = 24, WAKE_VECTOR = 0x40 };

uint64_t now(void)
{
    return read_tsc();
}

/* The APIC's timer counts at KVM's 1 GHz. */
void spend(unsigned milliseconds)
{
    lapic_write(LAPIC_LVT_TIMER, LVT_MASKED);
    lapic_write(LAPIC_TIMER_DIVIDE, DIVIDE_BY_1);
    while (milliseconds--) {
        lapic_write(LAPIC_TIMER_COUNT, 1000000);
        while (lapic_read(LAPIC_TIMER_NOW))
            pause();
    }
}

/* x2apic=1: with the APICs in x2APIC mode. */
void interrupts_init(void)
{
    use_x2apic = option("x2apic", 0);
    lapic_init();
}

static line_fn *line_functions[LINES];

static void on_line(struct frame *frame)
{
    unsigned line = (unsigned)frame->vector - LINE_VECTOR;

    line_functions[line](line);
    lapic_eoi();
}

void take_line(unsigned line, line_fn *function)
{
    check(line < LINES);
    line_functions[line] = function;
    set_handler(LINE_VECTOR + line, on_line);
    ioapic_route(line, LINE_VECTOR + line);
}

uint32_t cpu_id(void)
{
    return lapic_id();
}

void check_cpu(void)
{
    uint32_t id = lapic_id();

    check_equal(cpuid(1, 0).b >> 24, id);
    if (cpuid(0, 0).a >= 0xb)
        check_equal(cpuid(0xb, 0).d, id);
    check_equal(read_msr(MSR_APIC_BASE) >> 8 & 1, id == 0); /* the bootstrap processor */
}

static wake_fn *wake_function;

static void on_wake(struct frame *frame)
{
    (void)frame;
    lapic_eoi();
    wake_function();
}

void set_wake(wake_fn *function)
{
    wake_function = function;
    set_handler(WAKE_VECTOR, on_wake);
}

void wake_cpu(uint32_t cpu)
{
    send_ipi(cpu, ICR_FIXED | WAKE_VECTOR);
}

void power_off(void)
{
    out8(POWER, 0x34);
}

void reset(void)
{
    out8(RESET, 1);
}

_Noreturn void sleep_for_ever(void)
{
    for (;;)
        __asm__ volatile("cli; hlt");
}

/* ---- from start.S ---- */

_Noreturn void start(void);

_Noreturn void start(void)
{
    init_idt();
    if (entry_state.protocol == PROTOCOL_PVH)
        read_start_info((const uint8_t *)entry_state.rbx);
    else
        read_boot_params((const uint8_t *)entry_state.rsi);
    test();
    finish(0);
}
