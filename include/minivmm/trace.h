/* SPDX-License-Identifier: MIT */
/**
 * @file
 * A trace of the exits of a machine's vCPUs, with timestamps.  It is recorded if
 * mv_config.trace_records is set, and read while the machine does not run.  What
 * KVM handles by itself, such as interrupt controllers, CPUID and ioeventfd
 * doorbells, does not exit to the monitor and is not in the trace.
 */
#ifndef MINIVMM_TRACE_H
#define MINIVMM_TRACE_H

#include "minivmm.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * One exit, or one access if a string instruction makes several in one exit.  The
 * times are nanoseconds of CLOCK_MONOTONIC and never decrease.  left - entered is the
 * guest's time, including KVM and the switches in and out.  done - left is the time of
 * the monitor, its hooks, its devices and a caller of mv_vcpu_run.
 */
struct mv_trace_record {
    uint64_t entered; /**< when the vCPU called KVM_RUN */
    uint64_t left;    /**< when KVM_RUN returned */
    uint64_t done;    /**< when the exit had been handled */
    uint64_t address; /**< port, or guest-physical address; 0 if size is 0 */
    uint64_t value;   /**< the value that the guest wrote or read */
    uint32_t reason;  /**< KVM_EXIT_* of <linux/kvm.h>; see mv_exit_name */
    uint8_t size;     /**< bytes of the access, 1 to 8; 0: the exit was not an access */
    uint8_t write;    /**< 1: the guest wrote; else 0 */
    uint8_t more;     /**< 1: another access of the same exit as the previous record; entered and
                       * left are then that record's done; else 0 */
    uint8_t reserved; /**< 0 */
};

/** The largest mv_config.trace_records: records per vCPU. */
#define MV_TRACE_MAX (1u << 26)

/**
 * Returns how many records of a vCPU (from 0) are kept; these are its newest.  *ret_lost, unless
 * ret_lost is NULL, is set to the number of older records that were overwritten.  Both are 0 if
 * there is no trace or no such vCPU.  The vCPU must not be running (this holds for
 * mv_machine_trace, too): after the end, while the machine is paused, or in the vCPU's own hooks.
 */
MV_API uint64_t mv_machine_trace_count(const struct mv_machine *machine, unsigned vcpu,
                                       uint64_t *ret_lost);

/** Copies up to `most` of the kept records, starting at number `first` (0 is the oldest), and
 * returns the number copied. */
MV_API size_t mv_machine_trace(const struct mv_machine *machine, unsigned vcpu, uint64_t first,
                               struct mv_trace_record *ret_records, size_t most);

/** The name of an exit reason as in <linux/kvm.h>, without KVM_EXIT_: "IO", "MMIO"; "(other)" if
 * it is not known.  Static storage. */
MV_API const char *mv_exit_name(uint32_t reason);

#ifdef __cplusplus
}
#endif

#endif
