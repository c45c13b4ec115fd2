/* SPDX-License-Identifier: MIT */
/*
 * The trace of one vCPU: a ring of its newest exits (minivmm/trace.h), written by the
 * vCPU's thread alone and read when that does not run, so nothing in it is atomic.
 *
 * An exit costs two stamps, not three: what begins when one is served is the guest's
 * time of the next.  Off, it costs a branch on `ring` here and there.
 */
#ifndef MV_RECORDER_H
#define MV_RECORDER_H

#include "minivmm/trace.h"
#include "minivmm/vcpu.h"
#include "util.h"

struct mv_recorder {
    struct mv_trace_record *ring; /* NULL: off */
    uint64_t mask;                /* its records less one; they are a power of two */
    uint64_t count;               /* of all that were ever added */
    uint64_t from;                /* since when the guest has its time; 0: it is not running */
    uint64_t left;                /* when the exit that is served now came */
};

/* For at least so many records; 0: off.  Nothing of the memory is touched before it is needed.
 * 0 or -errno. */
int mv_recorder_init(struct mv_recorder *recorder, size_t records);
void mv_recorder_done(struct mv_recorder *recorder);

/* What was served until `now`: its times are filled in. */
void mv_recorder_add(struct mv_recorder *recorder, const struct mv_trace_record *what,
                     uint64_t now);

/* Just before KVM_RUN, and just after. */
static inline void mv_recorder_enter(struct mv_recorder *recorder)
{
    if (recorder->ring && !recorder->from)
        recorder->from = mv_monotonic_ns();
}

static inline void mv_recorder_leave(struct mv_recorder *recorder)
{
    if (recorder->ring)
        recorder->left = mv_monotonic_ns();
}

/* The vCPU waits outside of the guest, for no exit. */
static inline void mv_recorder_rest(struct mv_recorder *recorder)
{
    recorder->from = 0;
}

/* The caller of mv_vcpu_run has had the last exit until now; read: what the guest reads, or NULL.
 */
void mv_recorder_answer(struct mv_recorder *recorder, const struct mv_access *read);

#endif
