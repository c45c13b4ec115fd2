/* SPDX-License-Identifier: MIT */
/* The command line arrives to its last byte: length=N letters that begin with
 * "console=ttyS0" and end with a row of letters. */
#include "runtime.h"

void test(void)
{
    size_t size = length(boot.cmdline), letters = 0;

    check_equal(size, option("length", 0));
    check(same(boot.cmdline, "console=ttyS0 ", 14));
    while (letters < size && boot.cmdline[size - 1 - letters] == 'z' - (char)(letters % 26))
        letters++;
    check_equal(letters, option("letters", 0));
}
