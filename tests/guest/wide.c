/* SPDX-License-Identifier: MIT */
/* Accesses of 2 and 4 bytes to devices whose registers are bytes: a read gives
 * all ones, a write changes nothing, and byte accesses work as before. */
#include "runtime.h"

void test(void)
{
    out8(SERIAL + SCR, 0x5a);
    for (unsigned i = 0; i < 8; i++) {
        check_equal(in16(SERIAL + i), 0xffff);
        check_equal(in32(SERIAL + i), 0xffffffff);
    }
    out16(SERIAL + SCR, 0x1234);
    out32(SERIAL + SCR, 0x12345678);
    check_equal(in8(SERIAL + SCR), 0x5a);
    out16(SERIAL + DATA, 0x4141); /* no letter gets out */
    out32(SERIAL + DATA, 0x41414141);
    out32(SERIAL + LCR, 0xffffffff);
    out16(SERIAL + IER, 0xffff);
    check_equal(in8(SERIAL + LCR), 0);
    check_equal(in8(SERIAL + IER), 0);
    check_equal(in8(PANIC), 1);   /* pvpanic: knows "panicked" */
    out8(PANIC, 0xfe);            /* other events are not ours */
    check_equal(in8(EXIT), 0xff); /* for writing only */
    check_equal(in8(BOOT_TIMER), 0xff);
}
