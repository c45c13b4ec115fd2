/* SPDX-License-Identifier: MIT */
/* What embed keeps for a vCPU, and needs of an architecture. */
#ifndef MV_EMBED_H
#define MV_EMBED_H

#include "core/vcpu.h"

/* Whose turn it is with an exit that mv_vcpu_run has told. */
enum mv_told {
    MV_TOLD_NOTHING,
    MV_TOLD_CALLER, /* the caller's: it may answer */
    MV_TOLD_BACK,   /* `answer` has yet to be given to the guest */
};

struct mv_embedded {
    atomic_bool driven; /* a caller runs the vCPU, or waits to */
    bool hypercalls;    /* somebody wants them */
    enum mv_told told;
    struct mv_exit answer;
    size_t hook_count;
    struct mv_hook hooks[];
};

static inline struct mv_embedded *mv_embedded(const struct mv_vcpu *vcpu)
{
    return vcpu->kept[MV_OBSERVER_EMBED];
}

/* Copies a flat binary to where the architecture has decided.  Explains its failure. */
int mv_flat_put(const struct mv_flat *flat, mv_gpa address, struct mv_mem *mem,
                struct mv_error *err);

/* ---- hypercalls: an architecture's, in its folder; without debug's registers by name ---- */

bool mv_is_hypercall(const struct mv_exit *exit);

/* From the registers, and back into one.  0 or -errno. */
int mv_hypercall_get(const struct mv_vcpu *vcpu, struct mv_hypercall *call);
int mv_hypercall_return(const struct mv_vcpu *vcpu, uint64_t result);

#endif
