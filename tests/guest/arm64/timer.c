/* SPDX-License-Identifier: MIT */
/*
 * The generic timer (Arm ARM, D11): the virtual and the physical one of EL1 by their
 * interrupts, at the time that was set and not before, and not while masked.
 */
#include "runtime.h"

enum { ENABLE = 1, MASK = 2, STATUS = 4 };

static uint32_t ticks;
static unsigned ticking; /* the timer's interrupt */

static uint64_t count(void)
{
    isb();
    return ticking == VIRTUAL_TIMER ? read_sysreg(cntvct_el0) : read_sysreg(cntpct_el0);
}

static uint64_t control(void)
{
    return ticking == VIRTUAL_TIMER ? read_sysreg(cntv_ctl_el0) : read_sysreg(cntp_ctl_el0);
}

static void set_control(uint64_t value)
{
    if (ticking == VIRTUAL_TIMER)
        write_sysreg(cntv_ctl_el0, value);
    else
        write_sysreg(cntp_ctl_el0, value);
    isb();
}

static void set_time(uint64_t at_count)
{
    if (ticking == VIRTUAL_TIMER)
        write_sysreg(cntv_cval_el0, at_count);
    else
        write_sysreg(cntp_cval_el0, at_count);
}

/* Its line is up as long as the time is over: masked, it goes down. */
static void on_tick(unsigned number)
{
    check_equal(number, ticking);
    check_equal(control() & (ENABLE | STATUS), ENABLE | STATUS);
    set_control(ENABLE | MASK);
    ticks++;
}

static void check_timer(unsigned number)
{
    uint64_t step = read_sysreg(cntfrq_el0) / 500; /* 2 ms */

    ticking = number;
    ticks = 0;
    set_control(0);
    set_interrupt(number, on_tick);
    enable_interrupt(number);
    for (uint32_t i = 1; i <= 5; i++) {
        uint64_t until = count() + step;

        set_time(until);
        set_control(ENABLE);
        while (ticks < i)
            wait_for_interrupt();
        check(count() >= until);
        check_equal(control(), ENABLE | MASK | STATUS);
    }
    set_time(count() - 1); /* one that is over comes at once */
    set_control(ENABLE);
    while (ticks < 6)
        wait_for_interrupt();
    set_time(count() + 50 * step); /* soon, but not before the next line */
    check_equal(control() & STATUS, 0);
    interrupts_on();
    spend(100);
    interrupts_off();
    while (!(control() & STATUS)) /* masked; an emulator may tell of it later */
        ;
    check_equal(ticks, 6);
    set_control(0);
    disable_interrupt(number);
}

/* Both count by the frequency that is said; within a quarter, for slow hosts. */
static void check_frequency(void)
{
    uint64_t from = read_sysreg(cntpct_el0), began = now(), passed, counted;

    spend(20);
    passed = now() - began;
    counted = read_sysreg(cntpct_el0) - from;
    check(counted > passed / 4 * 3 * (read_sysreg(cntfrq_el0) / 1000) / 1000000);
    check(counted < passed / 4 * 5 * (read_sysreg(cntfrq_el0) / 1000) / 1000000);
}

void test(void)
{
    interrupts_init();
    check_timer(VIRTUAL_TIMER);
    check_timer(PHYSICAL_TIMER);
    check_frequency();
}
