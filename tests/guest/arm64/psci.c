/* SPDX-License-Identifier: MIT */
/*
 * PSCI (Arm DEN0022), on two CPUs: its version, what it says to calls that make no
 * sense, and a CPU that goes on and off.
 */
#include "runtime.h"

enum { ON = 0, OFF = 1, NOWHERE_CPU = 0x7f00, PSCI_1_0 = 1 << 16, UNKNOWN = 0x8400007f };

static uint32_t runs;

static void ap(unsigned number)
{
    check_equal(number, 0);
    check_equal(cpu_id(), 1);
    __atomic_add_fetch(&runs, 1, __ATOMIC_SEQ_CST);
    psci(PSCI_CPU_OFF, 0, 0, 0);
    check(false); /* not reached */
}

static int64_t state_of(unsigned cpu)
{
    return psci(PSCI_AFFINITY_INFO, cpu_address[cpu], 0, 0);
}

void test(void)
{
    interrupts_init();
    check_equal(cpu_count, 2);
    check(psci(PSCI_VERSION, 0, 0, 0) >= PSCI_1_0);
    check_equal(psci(UNKNOWN, 0, 0, 0), PSCI_NOT_SUPPORTED);
    check_equal(psci(PSCI_FEATURES, PSCI_CPU_ON, 0, 0), PSCI_SUCCESS);
    check_equal(psci(PSCI_FEATURES, PSCI_SYSTEM_OFF, 0, 0), PSCI_SUCCESS);
    check_equal(psci(PSCI_FEATURES, PSCI_SYSTEM_RESET, 0, 0), PSCI_SUCCESS);
    check_equal(psci(PSCI_FEATURES, UNKNOWN, 0, 0), PSCI_NOT_SUPPORTED);
    check_equal(psci(PSCI_CPU_ON, cpu_address[0], (uint64_t)ap_entry, 0), PSCI_ALREADY_ON);
    check_equal(psci(PSCI_CPU_ON, NOWHERE_CPU, (uint64_t)ap_entry, 0), PSCI_INVALID_PARAMETERS);
    check_equal(state_of(0), ON);
    check_equal(state_of(1), OFF);
    check_equal(psci(PSCI_AFFINITY_INFO, NOWHERE_CPU, 0, 0), PSCI_INVALID_PARAMETERS);
    for (uint32_t i = 1; i <= 10; i++) {
        start_aps(ap);
        while (__atomic_load_n(&runs, __ATOMIC_SEQ_CST) < i)
            pause();
        while (state_of(1) != OFF)
            pause();
        check_equal(runs, i);
    }
}
