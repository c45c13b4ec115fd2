/* SPDX-License-Identifier: MIT */
/*
 * Every one of cpus=N CPUs runs, in its own time, under its own APIC ID; none
 * too many; each takes interrupts while it is halted.  x2apic=1: all this with
 * the APICs in x2APIC mode.
 */
#include "runtime.h"

enum { MOST = 16, WAKE_VECTOR = 0x40 };

static struct {
    uint32_t lapic_id, cpuid_id, leaf_b_id;
    uint32_t woken;
} cpu[MOST];
static uint32_t ready, counter;

static void on_wake(struct frame *frame)
{
    (void)frame;
    lapic_eoi();
    for (unsigned i = 0; i < MOST; i++)
        if (cpu[i].lapic_id == lapic_id())
            __atomic_add_fetch(&cpu[i].woken, 1, __ATOMIC_SEQ_CST);
}

static void ap(unsigned number)
{
    cpu[number].lapic_id = lapic_id();
    cpu[number].cpuid_id = cpuid(1, 0).b >> 24;
    cpu[number].leaf_b_id = cpuid(0, 0).a >= 0xb ? cpuid(0xb, 0).d : cpu[number].lapic_id;
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

    use_x2apic = option("x2apic", 0);
    for (unsigned i = 0; i < MOST; i++)
        cpu[i].lapic_id = UINT32_MAX;
    set_handler(WAKE_VECTOR, on_wake);
    lapic_init();
    check_equal(lapic_id(), 0);
    check_equal(read_msr(0x1b) >> 8 & 1, 1); /* we are the bootstrap processor */
    start_aps(ap);
    wait_until(&ready, aps);
    for (unsigned i = 0; i < 1000000; i++) /* one too many would come now */
        __asm__ volatile("" : : : "memory");
    check_equal(ready, aps);
    check_equal(counter, aps * 1000);
    for (unsigned i = 0; i < aps; i++) {
        check(cpu[i].lapic_id <= aps);
        check_equal(cpu[i].cpuid_id, cpu[i].lapic_id);
        check_equal(cpu[i].leaf_b_id, cpu[i].lapic_id);
        seen |= 1ull << cpu[i].lapic_id;
    }
    check_equal(seen, (2ull << aps) - 1);
    for (unsigned round = 1; round <= 3; round++)
        for (unsigned i = 0; i < aps; i++) {
            send_ipi(cpu[i].lapic_id, ICR_FIXED | WAKE_VECTOR);
            wait_until(&cpu[i].woken, round);
        }
}
