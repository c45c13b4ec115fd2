/* SPDX-License-Identifier: MIT */
/* The state that debug keeps for a vCPU. */
#ifndef MV_DEBUG_H
#define MV_DEBUG_H

#include "core/vcpu.h"
#include "host.h"
#include "recorder.h"

struct mv_debugger {
    struct mv_recorder recorder;
    struct mv_debug asked; /* the settings of mv_vcpu_debug */
    bool bare;             /* a halt is an exit */
    bool single_step;      /* mv_config.single_step: from the first instruction on */
    bool stepping;         /* mv_vcpu_step is on, in addition to asked.step */
    uint64_t behind_halt;  /* if the next instruction is a halt, the address after it; else 0 */
    /* Registers at the last entry: KVM on AMD clears them at a triple fault. */
    struct mv_synced last;
    struct mv_synced refused; /* the state that KVM refused at the last attempt to set it */
};

static inline struct mv_debugger *mv_debugger(const struct mv_vcpu *vcpu)
{
    return vcpu->kept[MV_OBSERVER_DEBUG];
}

#endif
