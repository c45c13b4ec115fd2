/* SPDX-License-Identifier: MIT */
/* The timeline: see timeline.h. */
#include "timeline.h"

static void add(struct mv_timeline *timeline, struct mv_mark mark)
{
    unsigned at = atomic_fetch_add_explicit(&timeline->count, 1, memory_order_relaxed);

    if (at < MV_TIMELINE_MARKS)
        timeline->marks[at] = mark;
    else
        atomic_store_explicit(&timeline->count, MV_TIMELINE_MARKS, memory_order_relaxed);
}

void mv_timeline_add(struct mv_timeline *timeline, const char *name, int64_t value)
{
    if (timeline->on)
        add(timeline, (struct mv_mark){.name = name, .value = value, .ns = mv_monotonic_ns()});
}

void mv_timeline_add_call(struct mv_timeline *timeline, const char *name, uint64_t began)
{
    uint64_t now;

    if (!timeline->on)
        return;
    now = mv_monotonic_ns();
    add(timeline, (struct mv_mark){.name = name, .ns = now, .took = now - began});
}
