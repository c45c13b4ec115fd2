/* SPDX-License-Identifier: MIT */
/*
 * A vCPU's newest exits: the last few for its report, repeated ones merged; and, with a trace
 * (minivmm/trace.h), a ring of as many as configured, with times.  Only the vCPU's thread writes
 * them, and they are read while the vCPU does not run, so nothing is atomic.
 *
 * An exit costs two stamps, not three: the end of one exit is the start of the guest's time of
 * the next.  If Linux's clock source is the processor's counter, a stamp is the counter's value,
 * and is converted to nanoseconds when read; otherwise a stamp is in nanoseconds.
 */
#ifndef MV_RECORDER_H
#define MV_RECORDER_H

#include <pthread.h>

#include "core/util.h"
#include "host.h"
#include "minivmm/trace.h"
#include "minivmm/vcpu.h"

/* The same moment on both clocks. */
struct mv_moment {
    uint64_t ticks, ns;
};

#define MV_RECORDS_LAST 8 /* records kept for a report; a power of two */

struct mv_record {
    struct mv_trace_record exit; /* without times */
    uint64_t pc;                 /* 0: not known */
    uint64_t repeats;            /* further occurrences of the same exit */
};

struct mv_recorder {
    struct mv_trace_record *ring; /* mmapped, its times are stamps; NULL: no trace */
    bool counter;                 /* a stamp is mv_counter(), not nanoseconds */
    uint64_t mask;                /* size of the ring, a power of two, less one */
    uint64_t count;               /* records ever added to it */
    uint64_t from;                /* stamp of the start of the guest's time; 0: not started */
    uint64_t left;                /* stamp of the current exit */
    struct mv_moment began;       /* when the recorder was created */
    pthread_mutex_t lock;         /* protects `last` and `known`: there may be several readers */
    struct mv_moment last;        /* a moment after record number `known` - 1 was added */
    uint64_t known;
    struct mv_record last_few[MV_RECORDS_LAST]; /* a ring of exits that the guest caused */
    uint64_t last_count;                        /* records ever added to it */
};

/* Whether mv_counter() is Linux's clock source, which means that it is steady. */
bool mv_counter_is_clock(void);

/* records: least size of the trace; 0: no trace.  Its memory is not touched before it is
 * needed.  counter: mv_counter_is_clock().  Returns 0 or -errno. */
int mv_recorder_init(struct mv_recorder *recorder, size_t records, bool counter);
void mv_recorder_done(struct mv_recorder *recorder);

static inline uint64_t mv_recorder_stamp(const struct mv_recorder *recorder)
{
    return recorder->counter ? mv_counter() : mv_monotonic_ns();
}

/* Adds an exit that was handled until the stamp `now`; with a trace, fills in its times. */
void mv_recorder_add(struct mv_recorder *recorder, const struct mv_record *what, uint64_t now);

/* The number of the last few exits, and one of them: index 0 is the oldest. */
unsigned mv_recorder_last(const struct mv_recorder *recorder);
const struct mv_record *mv_recorder_last_at(const struct mv_recorder *recorder, unsigned index);

/* Call just before KVM_RUN, and just after. */
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

/* The vCPU has waited outside of the guest: the time is no exit's. */
static inline void mv_recorder_rest(struct mv_recorder *recorder)
{
    recorder->from = 0;
}

/* Until now the caller of mv_vcpu_run handled the last exit.  read: a read access with the value
 * that the guest gets, or NULL. */
void mv_recorder_answer(struct mv_recorder *recorder, const struct mv_access *read);

/* Copies records, starting at number `first` of all ever added; none may have been overwritten.
 * Converts their times to CLOCK_MONOTONIC. */
void mv_recorder_read(struct mv_recorder *recorder, uint64_t first,
                      struct mv_trace_record *ret_records, size_t count);

#endif
