/* SPDX-License-Identifier: MIT */
/* A ring of exits: see recorder.h. */
#include "recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/mman.h>

#define CLOCK_SOURCE "/sys/devices/system/clocksource/clocksource0/current_clocksource"
#define TRIES        4 /* attempts at reading both clocks without an interruption between them */

bool mv_counter_is_clock(void)
{
    char name[sizeof(MV_COUNTER) + 1] = "";
    int fd = open(CLOCK_SOURCE, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, name, sizeof(name));

    mv_close_fd(&fd);
    return size == sizeof(name) - 1 && memcmp(name, MV_COUNTER "\n", sizeof(name) - 1) == 0;
}

/* Reads both clocks; keeps the attempt that took the fewest ticks. */
static struct mv_moment take_moment(void)
{
    struct mv_moment best = {0};
    uint64_t least = UINT64_MAX;

    for (unsigned i = 0; i < TRIES; i++) {
        uint64_t before = mv_counter(), ns = mv_monotonic_ns(), took = mv_counter() - before;

        if (took >= least)
            continue;
        least = took;
        best = (struct mv_moment){.ticks = before + took / 2, .ns = ns};
    }
    return best;
}

static size_t bytes(const struct mv_recorder *recorder)
{
    return (size_t)(recorder->mask + 1) * sizeof(recorder->ring[0]);
}

int mv_recorder_init(struct mv_recorder *recorder, size_t records, bool counter)
{
    void *ring;

    *recorder = (struct mv_recorder){.counter = counter, .lock = PTHREAD_MUTEX_INITIALIZER};
    if (records == 0)
        return 0;
    while (recorder->mask + 1 < records)
        recorder->mask = 2 * recorder->mask + 1;
    ring = mmap(NULL, bytes(recorder), PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (ring == MAP_FAILED)
        return -errno;
    /* The kernel would clear a whole huge page at the first record, and so distort a measurement
     * of the start. */
    madvise(ring, bytes(recorder), MADV_NOHUGEPAGE);
    recorder->ring = ring;
    if (counter)
        recorder->began = take_moment();
    return 0;
}

void mv_recorder_done(struct mv_recorder *recorder)
{
    if (recorder->ring)
        munmap(recorder->ring, bytes(recorder));
    recorder->ring = NULL;
}

static bool is_same(const struct mv_record *a, const struct mv_record *b)
{
    return a->exit.reason == b->exit.reason && a->exit.address == b->exit.address &&
           a->exit.write == b->exit.write && a->exit.value == b->exit.value && a->pc == b->pc;
}

static bool is_guests(const struct mv_record *record)
{
    return record->exit.reason != KVM_EXIT_INTR && record->exit.reason != KVM_EXIT_DEBUG;
}

static void add_last(struct mv_recorder *recorder, const struct mv_record *what)
{
    struct mv_record *last = &recorder->last_few[(recorder->last_count - 1) % MV_RECORDS_LAST];

    if (recorder->last_count && is_same(last, what))
        last->repeats++;
    else
        recorder->last_few[recorder->last_count++ % MV_RECORDS_LAST] = *what;
}

void mv_recorder_add(struct mv_recorder *recorder, const struct mv_record *what, uint64_t now)
{
    struct mv_trace_record *record;

    if (is_guests(what))
        add_last(recorder, what);
    if (!recorder->ring)
        return;
    record = &recorder->ring[recorder->count++ & recorder->mask];
    *record = what->exit;
    record->entered = recorder->from;
    record->left = recorder->left;
    record->done = now;
    /* the next record begins now: the guest's time, or another access of this exit */
    recorder->from = recorder->left = now;
}

unsigned mv_recorder_last(const struct mv_recorder *recorder)
{
    return (unsigned)mv_min(recorder->last_count, MV_RECORDS_LAST);
}

const struct mv_record *mv_recorder_last_at(const struct mv_recorder *recorder, unsigned index)
{
    uint64_t first = recorder->last_count - mv_recorder_last(recorder);

    return &recorder->last_few[(first + index) % MV_RECORDS_LAST];
}

void mv_recorder_answer(struct mv_recorder *recorder, const struct mv_access *read)
{
    struct mv_trace_record *record;

    if (!recorder->ring || recorder->count == 0)
        return;
    record = &recorder->ring[(recorder->count - 1) & recorder->mask];
    if (read)
        record->value = read->value & mv_size_mask(read->size);
    record->done = mv_recorder_stamp(recorder);
    recorder->from = recorder->left = record->done;
}

/* Interpolates linearly between two moments; a stamp before the first becomes the first. */
static uint64_t to_ns(const struct mv_moment *from, const struct mv_moment *to, uint64_t stamp)
{
    uint64_t ticks = to->ticks - from->ticks;

    if (stamp <= from->ticks || ticks == 0)
        return from->ns;
    return from->ns +
           (uint64_t)((unsigned __int128)(stamp - from->ticks) * (to->ns - from->ns) / ticks);
}

/* The second moment for to_ns.  It changes only when records are added, so that a trace read in
 * several calls has consistent times. */
static struct mv_moment last_moment(struct mv_recorder *recorder)
{
    struct mv_moment last;

    pthread_mutex_lock(&recorder->lock);
    if (recorder->known != recorder->count) {
        recorder->last = take_moment();
        recorder->known = recorder->count;
    }
    last = recorder->last;
    pthread_mutex_unlock(&recorder->lock);
    return last;
}

void mv_recorder_read(struct mv_recorder *recorder, uint64_t first,
                      struct mv_trace_record *ret_records, size_t count)
{
    struct mv_moment last;

    for (size_t i = 0; i < count; i++)
        ret_records[i] = recorder->ring[(first + i) & recorder->mask];
    if (!recorder->counter || count == 0)
        return;
    last = last_moment(recorder);
    for (size_t i = 0; i < count; i++) {
        struct mv_trace_record *record = &ret_records[i];

        record->entered = to_ns(&recorder->began, &last, record->entered);
        record->left = to_ns(&recorder->began, &last, record->left);
        record->done = to_ns(&recorder->began, &last, record->done);
    }
}
