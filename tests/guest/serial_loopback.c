/* SPDX-License-Identifier: MIT */
/* The 16550A's loopback: what is sent comes back, the modem lines too, a break
 * as well, and nothing gets out. */
#include "runtime.h"

static void send_and_receive(uint8_t byte)
{
    out8(SERIAL + DATA, byte);
    check_equal(in8(SERIAL + LSR) & 1, 1);
    check_equal(in8(SERIAL + DATA), byte);
    check_equal(in8(SERIAL + LSR) & 1, 0);
}

static void check_modem(unsigned mcr, unsigned msr)
{
    out8(SERIAL + MCR, 0x10 | mcr);
    check_equal(in8(SERIAL + MSR) & 0xf0, msr);
}

void test(void)
{
    out8(SERIAL + FCR, 1);
    check_equal(in8(SERIAL + MSR) & 0xf0, 0xb0); /* CTS, DSR, DCD: somebody is there */
    out8(SERIAL + MCR, 0x10);
    for (unsigned i = 0; i < 256; i++)
        send_and_receive((uint8_t)i);
    for (unsigned i = 0; i < 16; i++)
        out8(SERIAL + DATA, 0x80 + i);
    check_equal(in8(SERIAL + LSR) & 2, 0);
    out8(SERIAL + DATA, 0xee); /* one too many: an overrun, and the FIFO keeps the rest */
    check_equal(in8(SERIAL + LSR) & 2, 2);
    check_equal(in8(SERIAL + LSR) & 2, 0);
    for (unsigned i = 0; i < 16; i++)
        check_equal(in8(SERIAL + DATA), 0x80 + i);
    check_modem(0x0, 0x00);
    check_modem(0x1, 0x20); /* DTR is DSR */
    check_modem(0x2, 0x10); /* RTS is CTS */
    check_modem(0x4, 0x40); /* OUT1 is RI */
    check_modem(0x8, 0x80); /* OUT2 is DCD */
    out8(SERIAL + LCR, 0x43);
    check_equal(in8(SERIAL + LSR) & 0x11, 0x11); /* break, with a zero byte */
    check_equal(in8(SERIAL + DATA), 0);
    out8(SERIAL + LCR, 0x03);
    out8(SERIAL + SCR, 0x5a);
    check_equal(in8(SERIAL + SCR), 0x5a);
    out8(SERIAL + LCR, 0x83); /* the divisor latch */
    out8(SERIAL + DATA, 0x34);
    out8(SERIAL + IER, 0x12);
    check_equal(in8(SERIAL + DATA), 0x34);
    check_equal(in8(SERIAL + IER), 0x12);
    out8(SERIAL + LCR, 0x03);
    check_equal(in8(SERIAL + IER), 0);
    out8(SERIAL + MCR, 0x00);
    print("out again\n");
}
