/* SPDX-License-Identifier: MIT */
/*
 * Every one of cpus=N CPUs runs, in its own time, under its own name; none
 * too many; each takes interrupts while it sleeps.  On x86-64 x2apic=1: all this
 * with the APICs in x2APIC mode.
 */
#include "runtime.h"

enum { MOST = 32 };

static struct {
    uint32_t id, woken;
} cpu[MOST];
static uint32_t ready, counter;

static void on_wake(void)
{
    for (unsigned i = 0; i < MOST; i++)
        if (cpu[i].id == cpu_id())
            __atomic_add_fetch(&cpu[i].woken, 1, __ATOMIC_SEQ_CST);
}

static void ap(unsigned number)
{
    cpu[number].id = cpu_id();
    check_cpu();
    for (unsigned i = 0; i < 1000; i++)
        __atomic_add_fetch(&counter, 1, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
    for (;;)
        wait_for_interrupt();
}

static void wait_until(const uint32_t *value, uint32_t wanted)
{
    while (__atomic_load_n(value, __ATOMIC_SEQ_CST) != wanted) /* the runner's limit ends it */
        pause();
}

void test(void)
{
    unsigned aps = (unsigned)option("cpus", 1) - 1;
    uint64_t seen = 1; /* ourselves */

    for (unsigned i = 0; i < MOST; i++)
        cpu[i].id = UINT32_MAX;
    set_wake(on_wake);
    interrupts_init();
    check_equal(cpu_id(), 0);
    check_cpu();
    start_aps(ap);
    wait_until(&ready, aps);
    for (unsigned i = 0; i < 1000000; i++) /* one too many would come now */
        __asm__ volatile("" : : : "memory");
    check_equal(ready, aps);
    check_equal(counter, aps * 1000);
    for (unsigned i = 0; i < aps; i++) {
        check(cpu[i].id <= aps);
        seen |= 1ull << cpu[i].id;
    }
    check_equal(seen, (2ull << aps) - 1);
    for (unsigned round = 1; round <= 3; round++)
        for (unsigned i = 0; i < aps; i++) {
            wake_cpu(cpu[i].id);
            wait_until(&cpu[i].woken, round);
        }
}
