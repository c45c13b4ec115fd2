/* SPDX-License-Identifier: MIT */
/* What the test guests share: see runtime.h. */
#include "runtime.h"

#include <stdarg.h>

enum { EXIT_PORT = 0xf4, UNEXPECTED = 254, TRAMPOLINE = 0x10000, MSR_APIC_BASE = 0x1b };
enum { LAPIC_BASE = 0xfee00000, IOAPIC_BASE = 0xfec00000 };

struct boot boot;
bool use_x2apic;

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

size_t length(const char *text)
{
    size_t n = 0;

    while (text[n])
        n++;
    return n;
}

bool same(const void *a, const void *b, size_t size)
{
    const uint8_t *left = a, *right = b;

    for (size_t i = 0; i < size; i++)
        if (left[i] != right[i])
            return false;
    return true;
}

/* Little-endian, and wherever it lies. */
uint64_t load(const void *from, unsigned size)
{
    const uint8_t *bytes = from;
    uint64_t value = 0;

    while (size--)
        value = value << 8 | bytes[size];
    return value;
}

/* ---- printing, checks, the end ---- */

void put_byte(uint8_t byte)
{
    while (!(in8(SERIAL + LSR) & 0x20))
        pause();
    out8(SERIAL + DATA, byte);
}

uint8_t get_byte(void)
{
    while (!(in8(SERIAL + LSR) & 0x01))
        pause();
    return in8(SERIAL + DATA);
}

static void put_text(const char *text)
{
    while (*text)
        put_byte((uint8_t)*text++);
}

static void put_number(uint64_t number, unsigned base)
{
    char digits[24], *first = digits + sizeof(digits);

    *--first = '\0';
    do
        *--first = "0123456789abcdef"[number % base];
    while (number /= base);
    put_text(first);
}

void print(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    for (; *format; format++) {
        bool is_long = format[0] == '%' && format[1] == 'l';

        if (*format != '%') {
            put_byte((uint8_t)*format);
            continue;
        }
        format += is_long ? 2 : 1;
        switch (*format) {
        case 's': put_text(va_arg(args, const char *)); break;
        case 'c': put_byte((uint8_t)va_arg(args, int)); break;
        case 'u':
        case 'x':
            put_number(is_long ? va_arg(args, unsigned long) : va_arg(args, unsigned),
                       *format == 'x' ? 16 : 10);
            break;
        default: put_byte((uint8_t)*format); break;
        }
    }
    va_end(args);
}

_Noreturn void finish(int status)
{
    out8(EXIT_PORT, (unsigned)status);
    for (;;)
        __asm__ volatile("cli; hlt");
}

static const char *base_name(const char *path)
{
    const char *name = path;

    for (; *path; path++)
        if (*path == '/')
            name = path + 1;
    return name;
}

void check_that(bool good, int number, const char *file, int line, const char *what)
{
    if (good)
        return;
    print("\n%s:%u: check %u failed: %s\n", base_name(file), (unsigned)line, (unsigned)number,
          what);
    finish(number);
}

void check_same(uint64_t got, uint64_t wanted, int number, const char *file, int line,
                const char *what)
{
    if (got == wanted)
        return;
    print("\n%s:%u: check %u failed: %s is 0x%lx, not 0x%lx\n", base_name(file), (unsigned)line,
          (unsigned)number, what, got, wanted);
    finish(number);
}

/* ---- what was handed over ---- */

static void add_range(uint64_t base, uint64_t size, uint32_t type)
{
    check(boot.count < E820_MOST);
    boot.e820[boot.count].base = base;
    boot.e820[boot.count].size = size;
    boot.e820[boot.count].type = type;
    boot.count++;
}

/* boot.rst and zero-page.rst */
static void read_boot_params(const uint8_t *params)
{
    boot.cmdline = (const char *)(load(params + 0x228, 4) | load(params + 0xc8, 4) << 32);
    boot.initrd = load(params + 0x218, 4) | load(params + 0xc0, 4) << 32;
    boot.initrd_size = load(params + 0x21c, 4) | load(params + 0xc4, 4) << 32;
    boot.rsdp = load(params + 0x70, 8);
    for (unsigned i = 0; i < params[0x1e8]; i++) {
        const uint8_t *entry = params + 0x2d0 + i * 20ul;

        add_range(load(entry, 8), load(entry + 8, 8), (uint32_t)load(entry + 16, 4));
    }
}

/* Xen, public/arch-x86/hvm/start_info.h */
static void read_start_info(const uint8_t *info)
{
    const uint8_t *entries = (const uint8_t *)load(info + 40, 8);

    check_equal(load(info, 4), 0x336ec578);
    check_equal(load(info + 4, 4), 1);
    boot.cmdline = (const char *)load(info + 24, 8);
    boot.rsdp = load(info + 32, 8);
    check(load(info + 12, 4) <= 1);
    if (load(info + 12, 4) == 1) {
        const uint8_t *module = (const uint8_t *)load(info + 16, 8);

        boot.initrd = load(module, 8);
        boot.initrd_size = load(module + 8, 8);
    }
    for (unsigned i = 0; i < load(info + 48, 4); i++)
        add_range(load(entries + 24ul * i, 8), load(entries + 24ul * i + 8, 8),
                  (uint32_t)load(entries + 24ul * i + 16, 4));
}

/* The text after the last NAME= on the command line. */
static const char *find_option(const char *name)
{
    size_t size = length(name);
    const char *found = NULL;

    for (const char *at = boot.cmdline; *at; at++)
        if ((at == boot.cmdline || at[-1] == ' ') && same(at, name, size) && at[size] == '=')
            found = at + size + 1;
    return found;
}

uint64_t option(const char *name, uint64_t other)
{
    const char *text = find_option(name);
    uint64_t value = 0;

    if (!text)
        return other;
    for (; *text >= '0' && *text <= '9'; text++)
        value = value * 10 + (uint64_t)(*text - '0');
    return value;
}

bool option_is(const char *name, const char *text)
{
    const char *value = find_option(name);
    size_t size = length(text);

    return value && same(value, text, size) && (value[size] == ' ' || value[size] == '\0');
}

/* ---- interrupts ---- */

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
    check(number < 16); /* stacks in runtime.S */
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
    const uint8_t *rsdp = (const uint8_t *)boot.rsdp;
    const struct acpi_table *xsdt = (const struct acpi_table *)load(rsdp + 24, 8);

    for (uint32_t i = 0; i < (xsdt->length - sizeof(*xsdt)) / 8; i++) {
        const struct acpi_table *table = (const struct acpi_table *)load(xsdt->data + 8ul * i, 8);

        if (same(&table->signature, signature, 4))
            return table;
    }
    return NULL;
}

/* ---- from runtime.S ---- */

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
