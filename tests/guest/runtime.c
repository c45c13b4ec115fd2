/* SPDX-License-Identifier: MIT */
/* What the test guests share: see runtime.h. */
#include "runtime.h"

#include <stdarg.h>

struct boot boot;

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
    out8(EXIT, (unsigned)status);
    sleep_for_ever();
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

void add_memory(uint64_t base, uint64_t size, bool usable)
{
    check(boot.count < MEMORY_MOST);
    boot.memory[boot.count].base = base;
    boot.memory[boot.count].size = size;
    boot.memory[boot.count].usable = usable;
    boot.count++;
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

/* ---- where nothing is ---- */

void check_nothing_at(uint64_t address)
{
    check_equal(read8(address), 0xff);
    check_equal(read16(address), 0xffff);
    check_equal(read32(address), 0xffffffff);
    check_equal(read64(address), UINT64_MAX);
    write8(address, 0x12);
    write16(address, 0x1234);
    write32(address, 0x12345678);
    write64(address, 0x123456789abcdef0);
    check_equal(read64(address), UINT64_MAX);
}
