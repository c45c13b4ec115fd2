/* SPDX-License-Identifier: MIT */
/*
 * Sends back count=N bytes, whatever they are, without interrupts.  fifo=1: with
 * the FIFOs on, which empties them, so "ready" tells when to begin.  break=1:
 * then waits for a break, and says so.
 */
#include "runtime.h"

static void wait_for_break(void)
{
    uint8_t status;

    print("ready\n");
    do {
        status = in8(SERIAL + LSR); /* reading it clears the break */
        if (status & 1)
            check_equal(in8(SERIAL + DATA), 0);
    } while (!(status & 0x10));
    print("break\n");
}

void test(void)
{
    if (option("fifo", 0)) {
        out8(SERIAL + FCR, 1);
        print("ready\n");
    }
    for (uint64_t i = option("count", 0); i > 0; i--)
        put_byte(get_byte());
    if (option("break", 0))
        wait_for_break();
}
