/* SPDX-License-Identifier: MIT */
/* The local APIC in x2APIC mode (SDM volume 3, 11.12): registers are MSRs, an
 * interrupt sent to ourselves arrives, and MMIO is gone. */
#include "runtime.h"

enum { VECTOR = 0x41, SELF_IPI = 0x83f };

static uint32_t arrived;

static void on_ipi(struct frame *frame)
{
    (void)frame;
    arrived++;
    lapic_eoi();
}

void test(void)
{
    lapic_init();
    check_equal(lapic_id(), 0);
    check_equal(read_msr(0x1b) >> 10 & 1, 0); /* we begin in xAPIC mode */
    use_x2apic = true;
    lapic_init();
    check_equal(read_msr(0x1b) >> 10 & 3, 3);
    check_equal(read_msr(0x802), 0);
    check((lapic_read(LAPIC_VERSION) & 0xff) >= 0x10);
    set_handler(VECTOR, on_ipi);
    write_msr(SELF_IPI, VECTOR);
    while (!arrived)
        wait_for_interrupt();
    send_ipi(0, ICR_FIXED | VECTOR);
    while (arrived < 2)
        wait_for_interrupt();
    check_equal(arrived, 2);
}
