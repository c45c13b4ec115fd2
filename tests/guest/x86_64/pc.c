/* SPDX-License-Identifier: MIT */
/*
 * A hobbyist's kernel that takes over what a PC's firmware leaves, as many do: without setting it
 * up again, and waiting without an end for what every PC does.  Exits with 0, or with the number of
 * the line that it failed in, modulo 256; or switches the machine off.
 */
#include "multiboot.h"

__attribute__((section(".multiboot"), used)) static const uint32_t header[] = {HEADER_MAGIC, 3,
                                                                               -(HEADER_MAGIC + 3)};

/* ---- the timer and the 8259s ---- */

enum { MASTER = 0x20, MASTER_MASK = 0x21, SLAVE_MASK = 0xa1 };
enum { CHANNEL_0 = 0x40, CHANNEL_2 = 0x42, TIMER_COMMAND = 0x43, PORT_B = 0x61 };

static unsigned timer_status(void)
{
    out(TIMER_COMMAND, 0xe2); /* read-back: the status of channel 0 */
    return in(CHANNEL_0)&0x3f;
}

static unsigned timer_count(void)
{
    unsigned low;

    out(TIMER_COMMAND, 0x00); /* latch channel 0 */
    low = in(CHANNEL_0);
    return low | in(CHANNEL_0) << 8;
}

/* Without a command before, as a kernel does that only sets another count. */
static void set_timer(unsigned count)
{
    out(CHANNEL_0, (uint8_t)count);
    out(CHANNEL_0, (uint8_t)(count >> 8));
}

static int timer_waits(void)
{
    out(MASTER, 0x0a); /* the next read is of the requests */
    return in(MASTER)&1;
}

static void check_timer(void)
{
    unsigned count;

    CHECK(timer_status() == 0x34); /* both bytes, mode 2, binary */
    count = timer_count();
    while (timer_count() == count) /* it runs */
        ;
    while (!timer_waits()) /* at 18.2 Hz */
        ;
    set_timer(1000);
    for (unsigned i = 0; i < 100; i++)
        CHECK(timer_count() <= 1000);
}

static void check_interrupt_controllers(void)
{
    volatile const uint32_t *apic = (volatile const uint32_t *)0xfee00000;

    CHECK(in(MASTER_MASK) == 0xb8); /* timer, keyboard and the slave are open, */
    CHECK(in(SLAVE_MASK) == 0x8e);  /* and the clock */
    CHECK((apic[0xf0 / 4] & 0x100) == 0x100);
    CHECK((apic[0x350 / 4] & 0x10700) == 0x700); /* LINT0 is the 8259s' */
}

/* As loops do that count microseconds, and those that calibrate by channel 2. */
static void check_port_b(void)
{
    for (unsigned i = 0; i < 4; i++) {
        unsigned before = in(PORT_B)&0x10;

        while ((in(PORT_B)&0x10) == before)
            ;
    }
    out(PORT_B, (uint8_t)((in(PORT_B) & ~2u) | 1)); /* no sound, gate open */
    out(TIMER_COMMAND, 0xb0);                       /* channel 2: both bytes, mode 0 */
    out(CHANNEL_2, 0x00);
    out(CHANNEL_2, 0x20);
    CHECK(!(in(PORT_B)&0x20));
    while (!(in(PORT_B)&0x20))
        ;
}

/* ---- the keyboard ---- */

enum { KEYBOARD_DATA = 0x60, KEYBOARD_STATUS = 0x64, OUTPUT_FULL = 1, INPUT_FULL = 2 };

static void to(uint16_t port, uint8_t value)
{
    while (in(KEYBOARD_STATUS)&INPUT_FULL)
        ;
    out(port, value);
}

static unsigned from_keyboard(void)
{
    while (!(in(KEYBOARD_STATUS)&OUTPUT_FULL))
        ;
    return in(KEYBOARD_DATA);
}

static int keyboard_waits(void)
{
    out(MASTER, 0x0a);
    return in(MASTER)&2;
}

static void check_keyboard(void)
{
    while (in(KEYBOARD_STATUS)&OUTPUT_FULL)
        in(KEYBOARD_DATA);
    to(KEYBOARD_STATUS, 0x20);
    CHECK(from_keyboard() == 0x61); /* its configuration: it interrupts */
    to(KEYBOARD_STATUS, 0xaa);
    CHECK(from_keyboard() == 0x55); /* self test passed */
    to(KEYBOARD_STATUS, 0xab);
    CHECK(from_keyboard() == 0);
    to(KEYBOARD_STATUS, 0xd0);
    CHECK((from_keyboard() & 3) == 3); /* A20 is on, and no reset */
    to(KEYBOARD_DATA, 0xf4);
    CHECK(keyboard_waits());
    CHECK(from_keyboard() == 0xfa);
    to(KEYBOARD_DATA, 0xed); /* lamps: a command and its byte */
    CHECK(from_keyboard() == 0xfa);
    to(KEYBOARD_DATA, 0x02);
    CHECK(from_keyboard() == 0xfa);
    to(KEYBOARD_DATA, 0xff);
    CHECK(from_keyboard() == 0xfa);
    CHECK(from_keyboard() == 0xaa);
    to(KEYBOARD_STATUS, 0xd4); /* to the mouse */
    to(KEYBOARD_DATA, 0xf4);
    CHECK(from_keyboard() == 0xfa);
}

/* ---- the screen and the disks ---- */

static void check_retrace(void)
{
    for (unsigned i = 0; i < 3; i++) {
        while (in(0x3da) & 8)
            ;
        while (!(in(0x3da) & 8))
            ;
    }
}

/* Identify: an empty channel is neither busy nor ready. */
static void check_no_disk(uint16_t base, uint16_t control)
{
    out(base + 6, 0xa0);
    for (unsigned i = 0; i < 4; i++)
        in(control);
    out(base + 7, 0xec);
    while (in(base + 7) & 0x80)
        ;
    CHECK(in(base + 7) == 0);
}

/* ---- ACPI, as of the tutorials ---- */

static uint32_t get32(uint32_t at)
{
    return *(const volatile uint32_t *)at;
}

static uint32_t find_fadt(void)
{
    uint32_t rsdp = 0xe0000, rsdt;

    while (get32(rsdp) != 0x20445352 || get32(rsdp + 4) != 0x20525450) /* "RSD PTR " */
        CHECK((rsdp += 16) < 0x100000);
    rsdt = get32(rsdp + 16);
    CHECK(rsdt && get32(rsdt) == 0x54445352);
    for (uint32_t at = rsdt + 36;; at += 4) {
        CHECK(at < rsdt + get32(rsdt + 4)); /* it has an FADT */
        if (get32(get32(at)) == 0x50434146)
            return get32(at);
    }
}

__attribute__((noreturn)) static void switch_off_by_acpi(void)
{
    uint32_t fadt = find_fadt(), dsdt = get32(fadt + 40), s5 = dsdt + 36;
    uint16_t control = (uint16_t)get32(fadt + 64), type, value;

    while (get32(s5) != 0x5f35535f) /* "_S5_" */
        CHECK(++s5 < dsdt + get32(dsdt + 4));
    CHECK(control && !get32(fadt + 48));
    __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(control));
    CHECK(value & 1); /* nothing is to be told that it shall do ACPI */
    s5 += 5;          /* the package's length, in more bytes if its upper bits are set */
    s5 += (*(const uint8_t *)s5 >> 6) + 2;
    s5 += *(const uint8_t *)s5 == 0x0a; /* a byte follows, else it is 0 or 1 */
    type = *(const uint8_t *)s5;
    value = (uint16_t)(type << 10 | 1 << 13);
    __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(control));
    exit_with(__LINE__);
}

/* info: the words behind the kernel's name. */
__attribute__((noreturn, used)) static void run(uint32_t magic, const uint32_t *info)
{
    const char *words = (const char *)info[4];

    CHECK(magic == LOADER_MAGIC && (info[0] & 4));
    while (*words && *words != ' ')
        words++;
    if (words[0] == ' ' && words[1] == 'o') /* off */
        switch_off_by_acpi();
    check_timer();
    check_interrupt_controllers();
    check_port_b();
    check_keyboard();
    check_retrace();
    check_no_disk(0x1f0, 0x3f6);
    check_no_disk(0x170, 0x376);
    exit_with(0);
}
