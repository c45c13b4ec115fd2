/* SPDX-License-Identifier: MIT */
/*
 * The interrupt controller, GICv3 or GICv2: interrupts that software makes arrive,
 * once each, where they are enabled, and the machine has as many lines as it says.
 */
#include "runtime.h"

enum { GICD_TYPER = 0x4, GICD_ISPENDR = 0x200, LINES_LEAST = 32, LINE = 40, SGI = 7 };

static uint32_t sgis, lines;

static void on_sgi(unsigned number)
{
    check_equal(number, SGI);
    sgis++;
}

static void on_line(unsigned line)
{
    check_equal(line, LINE);
    lines++;
}

static void make_pending(unsigned line)
{
    unsigned number = FIRST_LINE + line;

    write32(GICD_BASE + GICD_ISPENDR + number / 32 * 4, 1u << number % 32);
}

static void take_what_is_there(void)
{
    interrupts_on();
    spend(1);
    interrupts_off();
}

void test(void)
{
    interrupts_init();
    check(((read32(GICD_BASE + GICD_TYPER) & 0x1f) + 1) * 32 >= FIRST_LINE + LINES_LEAST);
    set_interrupt(SGI, on_sgi);
    enable_interrupt(SGI);
    for (uint32_t i = 1; i <= 3; i++) {
        send_sgi(0, SGI);
        while (sgis < i)
            wait_for_interrupt();
    }
    take_what_is_there();
    check_equal(sgis, 3);
    take_line(LINE, on_line);
    disable_interrupt(FIRST_LINE + LINE);
    make_pending(LINE);
    take_what_is_there();
    check_equal(lines, 0);
    enable_interrupt(FIRST_LINE + LINE);
    take_what_is_there();
    check_equal(lines, 1);
    make_pending(LINE);
    while (lines < 2)
        wait_for_interrupt();
    take_what_is_there();
    check_equal(lines, 2);
    check_equal(sgis, 3);
}
