/* SPDX-License-Identifier: MIT */
/*
 * When things happened between creation and the end: a short list of time stamps, kept only on
 * request.  Any thread may add one; they are read after the run.
 */
#ifndef MV_TIMELINE_H
#define MV_TIMELINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "minivmm/minivmm.h"
#include "util.h"

#define MV_TIMELINE_MARKS 128

struct mv_timeline {
    bool on;
    atomic_uint count; /* entries claimed; may exceed the size; readers come after the joins */
    struct mv_mark marks[MV_TIMELINE_MARKS];
};

/* name: static storage.  Entries beyond the size are dropped. */
void mv_timeline_add(struct mv_timeline *timeline, const char *name, int64_t value);

/* A call that began at `began` (mv_monotonic_ns) and has just returned. */
void mv_timeline_add_call(struct mv_timeline *timeline, const char *name, uint64_t began);

#endif
