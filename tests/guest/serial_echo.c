/* SPDX-License-Identifier: MIT */
/* Sends back count=N bytes, whatever they are, without interrupts; fifo=0: with
 * the FIFOs off.  break=1: then waits for a break, and says so. */
#include "runtime.h"

void test(void)
{
    if (!option("fifo", 1))
        out8(SERIAL + FCR, 0);
    for (uint64_t i = option("count", 0); i > 0; i--)
        put_byte(get_byte());
    if (option("break", 0)) {
        print("ready\n");
        while (!(in8(SERIAL + LSR) & 0x10)) {
            if (in8(SERIAL + LSR) & 1)
                print("%x\n", (unsigned)in8(SERIAL + DATA));
        }
        check_equal(in8(SERIAL + DATA), 0);
        print("break\n");
    }
}
