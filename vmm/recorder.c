/* SPDX-License-Identifier: MIT */
/* A ring of exits: see recorder.h. */
#include "recorder.h"

#include <errno.h>
#include <sys/mman.h>

static size_t bytes(const struct mv_recorder *recorder)
{
    return (size_t)(recorder->mask + 1) * sizeof(recorder->ring[0]);
}

int mv_recorder_init(struct mv_recorder *recorder, size_t records)
{
    void *ring;

    *recorder = (struct mv_recorder){0};
    if (records == 0)
        return 0;
    while (recorder->mask + 1 < records)
        recorder->mask = 2 * recorder->mask + 1;
    ring = mmap(NULL, bytes(recorder), PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (ring == MAP_FAILED)
        return -errno;
    /* A huge page is cleared at its first record, while a start is measured. */
    madvise(ring, bytes(recorder), MADV_NOHUGEPAGE);
    recorder->ring = ring;
    return 0;
}

void mv_recorder_done(struct mv_recorder *recorder)
{
    if (recorder->ring)
        munmap(recorder->ring, bytes(recorder));
    recorder->ring = NULL;
}

void mv_recorder_add(struct mv_recorder *recorder, const struct mv_trace_record *what, uint64_t now)
{
    struct mv_trace_record *record;

    if (!recorder->ring)
        return;
    record = &recorder->ring[recorder->count++ & recorder->mask];
    *record = *what;
    record->entered = recorder->from;
    record->left = recorder->left;
    record->done = now;
    recorder->from = recorder->left = now; /* the guest's, or of the next access of this exit */
}

void mv_recorder_answer(struct mv_recorder *recorder, const struct mv_access *read)
{
    struct mv_trace_record *record;

    if (!recorder->ring || recorder->count == 0)
        return;
    record = &recorder->ring[(recorder->count - 1) & recorder->mask];
    if (read)
        record->value = read->value & mv_size_mask(read->size);
    record->done = mv_monotonic_ns();
    recorder->from = recorder->left = record->done;
}
