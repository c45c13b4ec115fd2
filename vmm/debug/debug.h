/* SPDX-License-Identifier: MIT */
/* What debug keeps for a vCPU. */
#ifndef MV_DEBUG_H
#define MV_DEBUG_H

#include "core/vcpu.h"
#include "host.h"
#include "recorder.h"

struct mv_debugger {
    struct mv_recorder recorder;
    struct mv_debug asked; /* by mv_vcpu_debug */
    bool bare;             /* a halt is an exit */
    bool single_step;      /* from the first instruction on */
    bool stepping;         /* for one instruction, beside asked.step */
    uint64_t behind_halt;  /* where a step ends that executes a halt, or 0 */
    /* Registers when it was last entered: an AMD host clears them at a triple fault. */
    struct mv_synced last;
    struct mv_synced refused; /* what KVM did not take when it was last set */
};

static inline struct mv_debugger *mv_debugger(const struct mv_vcpu *vcpu)
{
    return vcpu->kept[MV_OBSERVER_DEBUG];
}

#endif
