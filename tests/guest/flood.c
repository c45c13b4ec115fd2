/* SPDX-License-Identifier: MIT */
/* Prints lines=N lines, numbered, as fast as it goes.  Each has 64 bytes: the
 * number in eight digits, a pattern, a line end. */
#include "runtime.h"

void test(void)
{
    uint64_t lines = option("lines", 1000);
    char line[64];

    for (unsigned i = 8; i < 63; i++)
        line[i] = (char)('!' + i);
    line[63] = '\n';
    for (uint64_t n = 0; n < lines; n++) {
        uint64_t rest = n;

        for (unsigned i = 8; i-- > 0; rest /= 10)
            line[i] = (char)('0' + rest % 10);
        for (unsigned i = 0; i < sizeof(line); i++)
            out8(SERIAL + DATA, (uint8_t)line[i]);
    }
}
