/* SPDX-License-Identifier: MIT */
/* The state that embed keeps for a vCPU, and its interface to the architectures. */
#ifndef MV_EMBED_H
#define MV_EMBED_H

#include "core/vcpu.h"
#include "dev/devices.h"

/* The state of the exit that mv_vcpu_run last returned. */
enum mv_told {
    MV_TOLD_NOTHING,
    MV_TOLD_CALLER, /* returned to the caller, which may answer */
    MV_TOLD_BACK,   /* the caller's answer is in `answer`; not yet passed to the guest */
};

struct mv_embedded {
    atomic_bool driven; /* a call of mv_vcpu_run is in progress */
    bool hypercalls;    /* recognize hypercalls: there is a hook or a caller of mv_vcpu_run */
    enum mv_told told;
    struct mv_exit answer;
    size_t hook_count;
    struct mv_hook hooks[];
};

static inline struct mv_embedded *mv_embedded(const struct mv_vcpu *vcpu)
{
    return vcpu->kept[MV_OBSERVER_EMBED];
}

/* Copies a flat binary to the address that the architecture chose.  Explains every failure. */
int mv_flat_put(const struct mv_flat *flat, mv_gpa address, struct mv_mem *mem,
                struct mv_error *err);

/* The device with this name, or NULL. */
const struct mv_device *mv_find_device(const struct mv_devices *devices, const char *name);

/* ---- hypercalls, in each architecture's folder; do not use debug's registers by name ---- */

bool mv_is_hypercall(const struct mv_exit *exit);

/* Read the arguments from registers, and write the result to one.  Return 0 or -errno. */
int mv_hypercall_get(const struct mv_vcpu *vcpu, struct mv_hypercall *call);
int mv_hypercall_return(const struct mv_vcpu *vcpu, uint64_t result);

#endif
