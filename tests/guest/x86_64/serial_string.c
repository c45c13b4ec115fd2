/* SPDX-License-Identifier: MIT */
/* String instructions on the serial port: KVM hands several bytes over at once. */
#include "runtime.h"

static void out_string(unsigned port, const void *from, size_t count)
{
    __asm__ volatile("cld; rep outsb" : "+S"(from), "+c"(count) : "d"(port) : "memory");
}

static void in_string(unsigned port, void *to, size_t count)
{
    __asm__ volatile("cld; rep insb" : "+D"(to), "+c"(count) : "d"(port) : "memory");
}

void test(void)
{
    static const char text[] = "0123456789abcdefghijklmnopqrstuvwxyz, by rep outsb\n";
    char back[16] = "................";
    uint8_t nothing[3000];

    out_string(SERIAL + DATA, text, sizeof(text) - 1);
    out8(SERIAL + FCR, 1);
    out8(SERIAL + MCR, 0x10); /* loopback */
    out_string(SERIAL + DATA, text, 16);
    in_string(SERIAL + DATA, back, 16);
    check(same(back, text, 16));
    check_equal(in8(SERIAL + LSR) & 1, 0);
    out8(SERIAL + MCR, 0);
    in_string(0x80, nothing, sizeof(nothing)); /* where nothing is */
    for (size_t i = 0; i < sizeof(nothing); i++)
        check_equal(nothing[i], 0xff);
    in_string(SERIAL + SCR, nothing, sizeof(nothing));
    for (size_t i = 0; i < sizeof(nothing); i++)
        check_equal(nothing[i], 0);
}
