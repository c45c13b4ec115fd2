/* SPDX-License-Identifier: MIT */
/* Accesses of 2 and 4 bytes to the registers that end the machine, and are bytes:
 * they do nothing. */
#include "runtime.h"

void test(void)
{
    out16(POWER, 0x34); /* neither power-off nor reset */
    out32(POWER, 0x34);
    out16(RESET, 1);
    out32(RESET, 1);
    out16(KEYBOARD, 0xfe);
    check_equal(in8(POWER), 0);
    check_equal(in8(POWER + 1), 0);
    check_equal(in8(KEYBOARD), 0); /* ready for a command */
}
