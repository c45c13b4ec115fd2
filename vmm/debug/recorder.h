/* SPDX-License-Identifier: MIT */
/*
 * A vCPU's newest exits: the last few for its report, equal ones in a row once; and a ring of as
 * many as wanted, with their times, where a trace is asked for (minivmm/trace.h).  Both are written
 * by the vCPU's thread alone and read when that does not run, so nothing here is atomic.
 *
 * An exit costs two stamps, not three: what begins when one is served is the guest's
 * time of the next.  A stamp is the processor's counter where Linux takes its own time from
 * that, and becomes nanoseconds when it is read; elsewhere it is nanoseconds at once.
 */
#ifndef MV_RECORDER_H
#define MV_RECORDER_H

#include <pthread.h>

#include "core/util.h"
#include "host.h"
#include "minivmm/trace.h"
#include "minivmm/vcpu.h"

/* One moment on both clocks. */
struct mv_moment {
    uint64_t ticks, ns;
};

#define MV_RECORDS_LAST 8 /* for a report; a power of two */

struct mv_record {
    struct mv_trace_record exit; /* its times are not known */
    uint64_t pc;                 /* 0: not known */
    uint64_t repeats;            /* the same exit again, after the first */
};

struct mv_recorder {
    struct mv_trace_record *ring; /* its times are stamps; NULL: nothing is traced */
    bool counter;                 /* a stamp is mv_counter(), not nanoseconds */
    uint64_t mask;                /* its records less one; they are a power of two */
    uint64_t count;               /* of all that were ever added */
    uint64_t from;                /* since when the guest has its time; 0: it is not running */
    uint64_t left;                /* when the exit that is served now came */
    struct mv_moment began;       /* when it was made */
    pthread_mutex_t lock;         /* of what follows: readers may be several */
    struct mv_moment last;        /* a moment after record number `known` - 1 was added */
    uint64_t known;
    struct mv_record last_few[MV_RECORDS_LAST]; /* a ring of the guest's own exits */
    uint64_t last_count;                        /* of all that were ever in it */
};

/* Whether Linux takes its time from mv_counter(): it does where that is steady. */
bool mv_counter_is_clock(void);

/* A trace of at least so many records; 0: none.  Nothing of the memory is touched before it is
 * needed. counter: mv_counter_is_clock().  0 or -errno. */
int mv_recorder_init(struct mv_recorder *recorder, size_t records, bool counter);
void mv_recorder_done(struct mv_recorder *recorder);

static inline uint64_t mv_recorder_stamp(const struct mv_recorder *recorder)
{
    return recorder->counter ? mv_counter() : mv_monotonic_ns();
}

/* What was served until the stamp `now`: its times are filled in, where there is a trace. */
void mv_recorder_add(struct mv_recorder *recorder, const struct mv_record *what, uint64_t now);

/* How many of the last few there are, and number `index` of them, 0 being the oldest. */
unsigned mv_recorder_last(const struct mv_recorder *recorder);
const struct mv_record *mv_recorder_last_at(const struct mv_recorder *recorder, unsigned index);

/* Just before KVM_RUN, and just after. */
static inline void mv_recorder_enter(struct mv_recorder *recorder)
{
    if (recorder->ring && !recorder->from)
        recorder->from = mv_recorder_stamp(recorder);
}

static inline void mv_recorder_leave(struct mv_recorder *recorder)
{
    if (recorder->ring)
        recorder->left = mv_recorder_stamp(recorder);
}

/* The vCPU waits outside of the guest, for no exit. */
static inline void mv_recorder_rest(struct mv_recorder *recorder)
{
    recorder->from = 0;
}

/* The caller of mv_vcpu_run has had the last exit until now; read: what the guest reads, or NULL.
 */
void mv_recorder_answer(struct mv_recorder *recorder, const struct mv_access *read);

/* Copies the records from number `first` on, of all that were ever added; they must still be there.
 * Their times become those of CLOCK_MONOTONIC. */
void mv_recorder_read(struct mv_recorder *recorder, uint64_t first,
                      struct mv_trace_record *ret_records, size_t count);

#endif
