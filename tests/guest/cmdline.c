/* SPDX-License-Identifier: MIT */
/* The command line arrives to its last byte: it has length=N bytes and ends with a
 * row of letters=N letters; and it begins with what the monitor adds. */
#include "runtime.h"

void test(void)
{
    size_t size = length(boot.cmdline), letters = 0;

    check_equal(size, option("length", 0));
    check(same(boot.cmdline, "console=ttyS0 panic=-1 ", 23));
    while (letters < size && boot.cmdline[size - 1 - letters] == 'z' - (char)(letters % 26))
        letters++;
    check_equal(letters, option("letters", 0));
}
