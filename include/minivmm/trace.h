/* SPDX-License-Identifier: MIT */
/**
 * @file
 * Every exit of a machine's vCPUs, with its times: kept where mv_config.trace_records
 * asks for it, and read when the machine does not run.  What KVM answers by itself,
 * interrupt controllers and CPUID for example, and doorbells by ioeventfd are no exits
 * to us, and not here.
 */
#ifndef MINIVMM_TRACE_H
#define MINIVMM_TRACE_H

#include "minivmm.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * One exit, or, where a string instruction makes many accesses by one exit, one of
 * these.  The times are nanoseconds of CLOCK_MONOTONIC, never descending.  The guest had
 * left - entered of it, KVM and the switches there and back counted as the guest's; the
 * monitor, its hooks, its devices and a caller of mv_vcpu_run had done - left.
 */
struct mv_trace_record {
    uint64_t entered; /**< KVM was asked to run the guest */
    uint64_t left;    /**< and returned */
    uint64_t done;    /**< the exit was served */
    uint64_t address; /**< port, or guest-physical address; 0 where size is 0 */
    uint64_t value;   /**< what was written, or what the guest read */
    uint32_t reason;  /**< KVM_EXIT_*, of <linux/kvm.h>; mv_exit_name has the word */
    uint8_t size;     /**< bytes of an access, 1 to 8; 0: the exit was none */
    uint8_t write;    /**< 1: an access by the guest to write; else 0 */
    uint8_t more;     /**< 1: another access of the exit before, its entered and left those when
                       * that was done; else 0 */
    uint8_t reserved; /**< 0 */
};

/** The most that can be asked to be kept for each vCPU. */
#define MV_TRACE_MAX (1u << 26)

/**
 * How many records of a vCPU (from 0) are kept: its newest.  *ret_lost, where ret_lost is not
 * NULL, becomes the number of older ones that were overwritten.  Both are 0 where nothing is
 * traced, and for a vCPU that there is not.  As for mv_machine_trace, for a vCPU that does
 * not run: after the end, while the machine is paused, or in one of the vCPU's own hooks.
 */
MV_API uint64_t mv_machine_trace_count(const struct mv_machine *machine, unsigned vcpu,
                                       uint64_t *ret_lost);

/** Copies up to `most` of the kept records, from number `first` on (0 is the oldest), and returns
 * how many it has copied. */
MV_API size_t mv_machine_trace(const struct mv_machine *machine, unsigned vcpu, uint64_t first,
                               struct mv_trace_record *ret_records, size_t most);

/** The name of a reason as in <linux/kvm.h>, without KVM_EXIT_: "IO", "MMIO".  "(other)" for one
 * that has none here.  Static storage. */
MV_API const char *mv_exit_name(uint32_t reason);

#ifdef __cplusplus
}
#endif

#endif
