/* SPDX-License-Identifier: MIT */
/*
 * What kvm-clock tells of a time in which nobody was run (Linux,
 * Documentation/virt/kvm/x86/msr.rst, MSR_KVM_SYSTEM_TIME_NEW): each of cpus=N CPUs says so when it
 * has its clock ("ready"), and ends when it has seen the flag.  served=1: the time is lost in a
 * write to the boot timer.
 */
#include "runtime.h"

enum { MSR_SYSTEM_TIME = 0x4b564d01, KVM_FEATURES = 0x40000001, CLOCKSOURCE2 = 1 << 3 };
enum { GUEST_STOPPED = 1 << 1, MOST = 8 };

static struct __attribute__((aligned(32))) {
    uint32_t version, pad0;
    uint64_t tsc, ns;
    uint32_t scale;
    int8_t shift;
    uint8_t flags;
    uint8_t pad1[2];
} clocks[MOST];
static uint32_t ready, told;

static void begin(unsigned number)
{
    write_msr(MSR_SYSTEM_TIME, (uint64_t)&clocks[number] | 1);
    check_equal(__atomic_load_n(&clocks[number].flags, __ATOMIC_SEQ_CST) & GUEST_STOPPED, 0);
    __atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
}

static void wait_until_told(unsigned number)
{
    uint64_t end = now() + 30000000000; /* the runner stops us for less */

    while (!(__atomic_load_n(&clocks[number].flags, __ATOMIC_SEQ_CST) & GUEST_STOPPED)) {
        check(now() < end);
        pause();
    }
    __atomic_add_fetch(&told, 1, __ATOMIC_SEQ_CST);
}

static void ap(unsigned number)
{
    begin(number + 1);
    wait_until_told(number + 1);
    for (;;)
        wait_for_interrupt();
}

void test(void)
{
    uint32_t cpus = (uint32_t)option("cpus", 1);

    check(cpuid(KVM_FEATURES, 0).a & CLOCKSOURCE2);
    begin(0);
    interrupts_init();
    if (cpus > 1)
        start_aps(ap);
    while (__atomic_load_n(&ready, __ATOMIC_SEQ_CST) < cpus)
        pause();
    print("ready\n");
    if (option("served", 0))
        out8(BOOT_TIMER, 1);
    wait_until_told(0);
    while (__atomic_load_n(&told, __ATOMIC_SEQ_CST) < cpus)
        pause();
}
