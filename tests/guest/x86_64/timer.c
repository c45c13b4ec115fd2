/* SPDX-License-Identifier: MIT */
/*
 * The local APIC's timer: one shot, periodic, and by TSC deadline where CPUID
 * offers it; and its clock, which KVM makes 1 GHz, agrees with the TSC's
 * frequency by CPUID leaf 0x15.
 */
#include "runtime.h"

enum { VECTOR = 0x42, MSR_TSC_DEADLINE = 0x6e0, MS = 1000000 };

static uint32_t ticks;

static void on_tick(struct frame *frame)
{
    (void)frame;
    ticks++;
    lapic_eoi();
}

static void wait_for_ticks(uint32_t wanted)
{
    while (ticks < wanted)
        wait_for_interrupt();
}

static void check_one_shot(void)
{
    ticks = 0;
    lapic_write(LAPIC_LVT_TIMER, VECTOR);
    lapic_write(LAPIC_TIMER_COUNT, 2 * MS);
    check(lapic_read(LAPIC_TIMER_NOW) <= 2 * MS);
    wait_for_ticks(1);
    check_equal(lapic_read(LAPIC_TIMER_NOW), 0);
    interrupts_on();
    for (int i = 0; i < 1000000; i++)
        __asm__ volatile("" : : : "memory");
    interrupts_off();
    check_equal(ticks, 1); /* and not again */
}

static void check_periodic(void)
{
    ticks = 0;
    lapic_write(LAPIC_LVT_TIMER, VECTOR | TIMER_PERIODIC);
    lapic_write(LAPIC_TIMER_COUNT, 2 * MS);
    wait_for_ticks(10);
    lapic_write(LAPIC_LVT_TIMER, LVT_MASKED);
    lapic_write(LAPIC_TIMER_COUNT, 0);
}

static void check_deadline(void)
{
    uint64_t deadline;

    if (!(cpuid(1, 0).c >> 24 & 1))
        return;
    ticks = 0;
    lapic_write(LAPIC_LVT_TIMER, VECTOR | TIMER_DEADLINE);
    __asm__ volatile("mfence" : : : "memory");
    for (uint32_t i = 1; i <= 5; i++) {
        deadline = read_tsc() + 2 * MS;
        write_msr(MSR_TSC_DEADLINE, deadline);
        wait_for_ticks(i);
        check(read_tsc() >= deadline);
        check_equal(read_msr(MSR_TSC_DEADLINE), 0); /* disarmed */
    }
    write_msr(MSR_TSC_DEADLINE, read_tsc() - 1); /* one that is over comes at once */
    wait_for_ticks(6);
    lapic_write(LAPIC_LVT_TIMER, LVT_MASKED);
}

/* Both clocks over 20 ms by the APIC's; within a quarter, for slow hosts. */
static void check_frequency(void)
{
    struct cpuid leaf = cpuid(0x15, 0);
    uint64_t wanted, got;

    if (cpuid(0, 0).a < 0x15 || !leaf.a || !leaf.b || !leaf.c)
        return;
    lapic_write(LAPIC_LVT_TIMER, LVT_MASKED);
    lapic_write(LAPIC_TIMER_COUNT, 1000 * MS);
    uint32_t from = lapic_read(LAPIC_TIMER_NOW), now;
    uint64_t began = read_tsc();

    do
        now = lapic_read(LAPIC_TIMER_NOW);
    while (from - now < 20 * MS);
    got = read_tsc() - began;
    lapic_write(LAPIC_TIMER_COUNT, 0);
    wanted = (uint64_t)leaf.c * leaf.b / leaf.a / 1000 * (from - now) / MS;
    check(got > wanted / 4 * 3);
    check(got < wanted / 4 * 5);
}

void test(void)
{
    lapic_init();
    set_handler(VECTOR, on_tick);
    lapic_write(LAPIC_TIMER_DIVIDE, DIVIDE_BY_1);
    check_one_shot();
    check_periodic();
    check_deadline();
    check_frequency();
}
