/* SPDX-License-Identifier: MIT */
/*
 * What a guest was told is stable is there after the host has lost its power.
 *
 * An engine keeps a disk in memory and a log of what it is given: writes and syncs,
 * when each was submitted and when it was done.  A driver makes a random workload, and
 * writes into the same log what it offers and what is answered.  Then the power fails
 * after every entry of the log: what was made stable by then is on the disk, and of the
 * rest whatever chance wants, sector by sector.  Each sector has to hold the version of
 * which the guest knows that it is stable, or a later one.
 *
 * A sector stands for 512 bytes of one 64-bit stamp; 0 is a sector of zeros.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

#include "blk_rig.h"

#define SECTORS  256u
#define REQUESTS 4000u
#define RANGE    64u /* sectors of one write */
#define QUEUES   2u
#define SLOTS    16u
#define EVENTS   (16 * REQUESTS)
#define VERSIONS 1024u

/* ---- the log ---- */

enum event_kind {
    WRITE_SUBMITTED, /* of the engine: index into `writes` */
    WRITE_DONE,
    SYNC_SUBMITTED, /* likewise: index into `syncs` */
    SYNC_DONE,
    OFFERED, /* of the driver: index into `requests` */
    ANSWERED,
};

static struct event {
    enum event_kind kind;
    unsigned index;
} events[EVENTS];
static unsigned event_count;

/* What the engine was given. */
struct write {
    unsigned sector, count;
    bool stable, failed;
    unsigned done; /* event */
    uint64_t stamps[RANGE];
};

struct sync {
    bool failed;
    unsigned submitted; /* event */
};

static struct write writes[EVENTS / 4];
static struct sync syncs[EVENTS / 4];
static unsigned write_count, sync_count;

/* What the driver asked for. */
static struct request {
    uint32_t type;
    uint8_t status;
    bool through;               /* its answer says that it is stable */
    unsigned offered, answered; /* events */
    unsigned count;             /* sectors */
    uint16_t sectors[RANGE];
    uint16_t versions[RANGE]; /* of each, what this one makes */
} requests[REQUESTS];
static unsigned request_count;

/* All that each sector was ever to hold, in order: no two requests meet in a sector. */
static struct history {
    uint64_t stamps[VERSIONS];
    unsigned count; /* versions offered; version 0 is zeros */
    unsigned good;  /* the last one that was answered with OK */
    bool busy;
} histories[SECTORS];

static void add_event(enum event_kind kind, unsigned index)
{
    cr_assert_lt(event_count, EVENTS);
    events[event_count++] = (struct event){kind, index};
}

static uint64_t random_state;

static unsigned random_below(unsigned limit)
{
    return (unsigned)((rig_random(&random_state) >> 33) % limit);
}

/* ---- the engine ---- */

static struct {
    struct mv_engine engine;
    uint64_t disk[SECTORS]; /* as it is read */
    bool listening;
    bool no_zero;      /* the host cannot make zeros */
    unsigned failures; /* one in so many fails; 0: none */
    struct held {
        struct mv_io *io;
        unsigned index; /* into writes or syncs */
    } held[4 * QUEUES * SLOTS];
    unsigned held_count, started_count;
    struct mv_io *done[4 * QUEUES * SLOTS];
    unsigned done_count;
} log_engine;

static void copy_iov(const struct mv_io *io, uint8_t *bytes, bool to_guest)
{
    for (unsigned i = 0; i < io->iov_count; i++) {
        if (to_guest)
            memcpy(io->iov[i].iov_base, bytes, io->iov[i].iov_len);
        else
            memcpy(bytes, io->iov[i].iov_base, io->iov[i].iov_len);
        bytes += io->iov[i].iov_len;
    }
}

static unsigned log_write(const struct mv_io *io)
{
    struct write *write = &writes[write_count];
    uint64_t bytes[RANGE * 64];

    cr_assert_lt(write_count, MV_COUNT(writes));
    write->sector = (unsigned)(io->offset / 512);
    write->count = (unsigned)(io->size / 512);
    write->stable = io->op == MV_IO_WRITE && io->stable;
    cr_assert(write->count <= RANGE && write->sector + write->count <= SECTORS);
    memset(bytes, 0, sizeof(bytes));
    if (io->op == MV_IO_WRITE)
        copy_iov(io, (uint8_t *)bytes, false);
    for (unsigned i = 0; i < write->count; i++) {
        write->stamps[i] = bytes[64 * i];
        for (unsigned j = 1; j < 64; j++)
            cr_assert_eq(bytes[64 * i + j], write->stamps[i], "a sector of one stamp");
    }
    add_event(WRITE_SUBMITTED, write_count);
    return write_count++;
}

static unsigned log_sync(void)
{
    cr_assert_lt(sync_count, MV_COUNT(syncs));
    syncs[sync_count].submitted = event_count;
    add_event(SYNC_SUBMITTED, sync_count);
    return sync_count++;
}

static void submit(struct mv_engine *engine, struct mv_io *io)
{
    struct held *held = &log_engine.held[log_engine.held_count++];

    (void)engine;
    cr_assert_leq(log_engine.held_count, MV_COUNT(log_engine.held));
    held->io = io;
    if (io->op == MV_IO_SYNC)
        held->index = log_sync();
    else if (io->op != MV_IO_READ && !(io->op == MV_IO_ZERO && log_engine.no_zero))
        held->index = log_write(io);
}

static void read_disk(const struct mv_io *io)
{
    uint64_t bytes[RANGE * 64];

    cr_assert_leq(io->size, sizeof(bytes));
    for (unsigned i = 0; i < io->size / 8; i++)
        bytes[i] = log_engine.disk[io->offset / 512 + i / 64];
    copy_iov(io, (uint8_t *)bytes, true);
}

static void finish_write(const struct mv_io *io, unsigned index)
{
    struct write *write = &writes[index];

    write->failed = io->result != 0;
    write->done = event_count;
    add_event(WRITE_DONE, index);
    for (unsigned i = 0; i < write->count && !write->failed; i++)
        log_engine.disk[write->sector + i] = write->stamps[i];
}

/* Does any one of the requests that were started. */
static void do_one(void)
{
    unsigned at = random_below(log_engine.started_count);
    struct held held = log_engine.held[at];
    struct mv_io *io = held.io;

    memmove(&log_engine.held[at], &log_engine.held[at + 1],
            (--log_engine.held_count - at) * sizeof(held));
    log_engine.started_count--;
    io->result = log_engine.failures && random_below(log_engine.failures) == 0 ? -EIO : 0;
    if (io->op == MV_IO_ZERO && log_engine.no_zero) {
        io->result = -EOPNOTSUPP;
    } else if (io->op == MV_IO_SYNC) {
        syncs[held.index].failed = io->result != 0;
        add_event(SYNC_DONE, held.index);
    } else if (io->op == MV_IO_READ) {
        read_disk(io);
    } else {
        finish_write(io, held.index);
    }
    log_engine.done[log_engine.done_count++] = io;
    if (log_engine.listening)
        eventfd_write(log_engine.engine.event, 1);
}

static bool start(struct mv_engine *engine)
{
    (void)engine;
    if (random_below(8) == 0)
        return false; /* too busy */
    log_engine.started_count = log_engine.held_count;
    return true;
}

static struct mv_io *reap(struct mv_engine *engine)
{
    (void)engine;
    return log_engine.done_count ? log_engine.done[--log_engine.done_count] : NULL;
}

static void set_listening(struct mv_engine *engine, bool on)
{
    (void)engine;
    log_engine.listening = on;
}

static void cancel(struct mv_engine *engine)
{
    (void)engine;
}

static void destroy(struct mv_engine *engine)
{
    mv_close_fd(&engine->event);
}

static int create(int fd, unsigned depth, struct mv_engine **ret_engine)
{
    static const struct mv_engine_ops ops = {submit, start, reap, set_listening, cancel, destroy};

    (void)fd, (void)depth;
    log_engine.engine = (struct mv_engine){
        .ops = &ops, .name = "log", .event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    *ret_engine = &log_engine.engine;
    return 0;
}

/* ---- the driver ---- */

static unsigned in_flight;
static struct request *slots[QUEUES][SLOTS];
static bool through; /* answers say that it is stable */

static bool take_sectors(struct request *request, unsigned sector, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (sector + i >= SECTORS || histories[sector + i].busy)
            return false;
    for (unsigned i = 0; i < count; i++) {
        histories[sector + i].busy = true;
        request->sectors[request->count++] = (uint16_t)(sector + i);
    }
    return true;
}

/* Up to four ranges; sectors that others have are left out. */
static uint32_t fill_ranges(struct request *request, struct blk_range *ranges)
{
    unsigned count = 0;

    for (unsigned i = 0; i < 4; i++) {
        unsigned sector = random_below(SECTORS), size = 1 + random_below(16);

        if (take_sectors(request, sector, size))
            ranges[count++] = (struct blk_range){
                .sector = sector,
                .sectors = size,
                .flags = request->type == BLK_WRITE_ZEROES ? random_below(2) : 0};
    }
    return count * (uint32_t)sizeof(*ranges);
}

/* A version of each of its sectors more. */
static void add_versions(struct request *request, unsigned number)
{
    for (unsigned i = 0; i < request->count; i++) {
        struct history *history = &histories[request->sectors[i]];

        cr_assert_lt(history->count, VERSIONS);
        request->versions[i] = (uint16_t)history->count;
        history->stamps[history->count++] =
            request->type == BLK_OUT ? (uint64_t)(number + 1) << 16 | request->sectors[i] : 0;
    }
}

static uint32_t random_type(void)
{
    static const uint32_t types[] = {BLK_OUT, BLK_OUT,   BLK_OUT,   BLK_OUT,     BLK_OUT,
                                     BLK_IN,  BLK_FLUSH, BLK_FLUSH, BLK_DISCARD, BLK_WRITE_ZEROES};

    return types[random_below(MV_COUNT(types))];
}

static void offer(unsigned queue, unsigned slot)
{
    struct request *request = &requests[request_count];
    unsigned sector = random_below(SECTORS);
    uint32_t size = 512 * (1 + random_below(8));

    *request = (struct request){.type = random_type(), .through = through};
    if (request->type == BLK_FLUSH)
        size = 0;
    else if (request->type == BLK_IN || request->type == BLK_OUT)
        size = take_sectors(request, sector, size / 512) ? size : 0;
    else
        size = fill_ranges(request, (struct blk_range *)blk_slot_data(queue, slot));
    if (size == 0 && request->type != BLK_FLUSH)
        return; /* others have these sectors */
    if (request->type != BLK_IN && request->type != BLK_FLUSH)
        add_versions(request, request_count);
    if (request->type == BLK_OUT)
        for (unsigned i = 0; i < size / 8; i++)
            ((uint64_t *)blk_slot_data(queue, slot))[i] =
                (uint64_t)(request_count + 1) << 16 | (sector + i / 64);
    request->offered = event_count;
    add_event(OFFERED, request_count++);
    slots[queue][slot] = request;
    in_flight++;
    blk_offer(queue, slot, request->type, sector, size);
    rig_set(REG_QUEUE_NOTIFY, queue);
}

/* What is read is the last version that was good, or one that failed after it. */
static void check_read(const struct request *request, const uint64_t *data)
{
    for (unsigned i = 0; i < request->count; i++) {
        const struct history *history = &histories[request->sectors[i]];
        bool found = false;

        for (unsigned version = history->good; version < history->count; version++)
            found = found || history->stamps[version] == data[64 * i];
        cr_assert(found, "sector %u", request->sectors[i]);
        for (unsigned j = 1; j < 64; j++)
            cr_assert_eq(data[64 * i + j], data[64 * i]);
    }
}

static void take_answer(unsigned queue, unsigned slot)
{
    struct request *request = slots[queue][slot];

    cr_assert_not_null(request);
    slots[queue][slot] = NULL;
    in_flight--;
    request->status = *blk_slot_status(queue, slot);
    cr_assert(request->status == BLK_OK || log_engine.failures, "status %u", request->status);
    request->answered = event_count;
    add_event(ANSWERED, (unsigned)(request - requests));
    if (request->type == BLK_IN && request->status == BLK_OK)
        check_read(request, (const uint64_t *)blk_slot_data(queue, slot));
    for (unsigned i = 0; i < request->count; i++) {
        struct history *history = &histories[request->sectors[i]];

        history->busy = false;
        if (request->type != BLK_IN && request->status == BLK_OK)
            history->good = request->versions[i];
    }
}

static void take_answers(void)
{
    struct ring_used used;

    for (unsigned queue = 0; queue < QUEUES; queue++)
        while (ring_take(&blk.rings[queue], &used))
            take_answer(queue, used.id / 4);
}

static void turn(void)
{
    mv_loop_turn(&rig.loop, 0);
    for (unsigned n = random_below(4); n && log_engine.started_count; n--)
        do_one();
    mv_loop_turn(&rig.loop, 0);
    take_answers();
}

static void finish_all(void)
{
    for (unsigned turns = 0; in_flight; turns++) {
        cr_assert_lt(turns, 1000000, "requests are not answered");
        turn();
    }
}

static void prepare(uint64_t seed)
{
    static mv_engine_create_fn *const engines[] = {create, NULL};

    random_state = seed;
    for (unsigned i = 0; i < SECTORS; i++)
        histories[i].count = 1; /* zeros */
    blk.engines = engines;
    blk.queues = QUEUES;
    blk_make(512 * SECTORS);
    blk_attach();
}

static void work_on(unsigned count)
{
    for (unsigned end = request_count + count; request_count < end;) {
        unsigned depth = 1 + random_below(QUEUES * SLOTS);

        while (in_flight < depth && request_count < end) {
            unsigned queue = random_below(QUEUES), slot = random_below(SLOTS);

            if (slots[queue][slot])
                break;
            offer(queue, slot);
        }
        turn();
    }
}

static void work(unsigned count)
{
    work_on(count);
    finish_all();
}

/* A reset with requests in flight: they are never answered, and may be done or not. */
static void reset_in_the_middle(void)
{
    rig_begin_reset();
    for (unsigned turns = 0; rig_get(REG_STATUS); turns++) {
        cr_assert_lt(turns, 1000000, "the reset does not end");
        mv_loop_turn(&rig.loop, 0);
        if (log_engine.started_count)
            do_one();
    }
    for (unsigned queue = 0; queue < QUEUES; queue++)
        for (unsigned slot = 0; slot < SLOTS; slot++) {
            const struct request *request = slots[queue][slot];

            for (unsigned i = 0; request && i < request->count; i++)
                histories[request->sectors[i]].busy = false;
            slots[queue][slot] = NULL;
        }
    in_flight = 0;
}

TestSuite(blk_log, .init = blk_start, .fini = blk_stop, .timeout = 120);

/* ---- the power fails ---- */

static struct {
    uint64_t stable[SECTORS];         /* what is on the disk for sure */
    unsigned last[SECTORS];           /* the write + 1 that put it there */
    unsigned promised[SECTORS];       /* the version of which the guest knows that it is stable */
    unsigned offered[SECTORS];        /* versions that may be there */
    unsigned loose[MV_COUNT(writes)]; /* writes that may be there, or not */
    unsigned loose_count;
    unsigned waiting[REQUESTS]; /* answered, but not promised */
    unsigned waiting_count;
    unsigned crashes, wrong;
    unsigned event, sector; /* where it was wrong first */
} replay;

static void apply(uint64_t *disk, unsigned index, bool torn)
{
    const struct write *write = &writes[index];

    for (unsigned i = 0; i < write->count; i++)
        if (replay.last[write->sector + i] <= index && !(torn && random_below(4) == 0))
            disk[write->sector + i] = write->stamps[i];
}

static void make_stable(unsigned index)
{
    const struct write *write = &writes[index];

    apply(replay.stable, index, false);
    for (unsigned i = 0; i < write->count; i++)
        replay.last[write->sector + i] =
            (unsigned)mv_max(replay.last[write->sector + i], index + 1);
}

/* Those that were done before the sync was submitted. */
static void sync_writes(unsigned submitted)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < replay.loose_count; i++) {
        unsigned index = replay.loose[i];
        const struct write *write = &writes[index];

        if (write->done && write->done < submitted && !write->failed)
            make_stable(index);
        else
            replay.loose[kept++] = index;
    }
    replay.loose_count = kept;
}

static void promise(const struct request *request)
{
    for (unsigned i = 0; i < request->count; i++) {
        unsigned *promised = &replay.promised[request->sectors[i]];

        *promised = (unsigned)mv_max(*promised, request->versions[i]);
    }
}

static void answer(unsigned index)
{
    const struct request *request = &requests[index];
    unsigned kept = 0;

    if (request->status != BLK_OK || request->type == BLK_IN)
        return;
    if (request->type != BLK_FLUSH) {
        if (request->through)
            promise(request);
        else
            replay.waiting[replay.waiting_count++] = index;
        return;
    }
    for (unsigned i = 0; i < replay.waiting_count; i++)
        if (requests[replay.waiting[i]].answered < request->offered)
            promise(&requests[replay.waiting[i]]);
        else
            replay.waiting[kept++] = replay.waiting[i];
    replay.waiting_count = kept;
}

static void step(const struct event *event, bool forget_stable)
{
    const struct request *request = &requests[event->index];

    switch (event->kind) {
    case WRITE_SUBMITTED: replay.loose[replay.loose_count++] = event->index; break;
    case WRITE_DONE:
        if (writes[event->index].stable && !writes[event->index].failed && !forget_stable)
            make_stable(event->index); /* as one that is loose it changes nothing any more */
        break;
    case SYNC_SUBMITTED: break;
    case SYNC_DONE:
        if (!syncs[event->index].failed)
            sync_writes(syncs[event->index].submitted);
        break;
    case OFFERED:
        for (unsigned i = 0; i < request->count && request->type != BLK_IN; i++)
            replay.offered[request->sectors[i]] = request->versions[i];
        break;
    case ANSWERED: answer(event->index); break;
    }
}

/* Of each sector, a version from the promised one on. */
static void check_disk(const uint64_t *disk, unsigned at)
{
    for (unsigned sector = 0; sector < SECTORS; sector++) {
        const struct history *history = &histories[sector];
        unsigned version = replay.promised[sector];

        while (version <= replay.offered[sector] && history->stamps[version] != disk[sector])
            version++;
        if (version > replay.offered[sector] && replay.wrong++ == 0) {
            replay.event = at;
            replay.sector = sector;
        }
    }
    replay.crashes++;
}

static void crash(unsigned at)
{
    uint64_t disk[SECTORS];

    check_disk(replay.stable, at); /* all that is loose is lost */
    for (unsigned kind = 0; kind < 3; kind++) {
        memcpy(disk, replay.stable, sizeof(disk));
        for (unsigned i = 0; i < replay.loose_count; i++)
            if (kind == 2 || random_below(2))
                apply(disk, replay.loose[i], kind == 1);
        check_disk(disk, at);
    }
}

/* To the end of the log, or to the first sector that is wrong; returns whether there is one. */
static bool is_found_wrong(bool forget_stable)
{
    memset(&replay, 0, sizeof(replay));
    crash(0);
    for (unsigned i = 0; i < event_count && !replay.wrong; i++) {
        step(&events[i], forget_stable);
        crash(i + 1);
    }
    return replay.wrong;
}

/* A workload that would show mistakes: there was something to lose, and to keep. */
static void expect_kept(void)
{
    unsigned promised = 0;

    cr_expect_eq(request_count, REQUESTS);
    cr_expect_gt(write_count, 1500);
    cr_expect(!is_found_wrong(false), "after event %u: sector %u is older than was promised",
              replay.event, replay.sector);
    cr_expect_eq(replay.crashes, 4 * (event_count + 1));
    for (unsigned sector = 0; sector < SECTORS; sector++)
        promised += replay.promised[sector] > 0;
    cr_expect_gt(promised, SECTORS - 10);
}

Test(blk_log, writeback_keeps_what_was_flushed)
{
    prepare(1);
    blk_go(BLK_F_USUAL);
    work(REQUESTS);
    expect_kept();
    cr_expect_gt(sync_count, 100);
}

Test(blk_log, writethrough_keeps_what_was_answered)
{
    blk.disk.cache = MV_CACHE_WRITETHROUGH;
    through = true;
    prepare(2);
    blk_go(BLK_F_USUAL);
    work(REQUESTS);
    expect_kept();
}

Test(blk_log, a_driver_without_flush_keeps_what_was_answered)
{
    through = true;
    prepare(3);
    blk_go(BLK_F_MQ | BLK_F_DISCARD | BLK_F_WRITE_ZEROES);
    work(REQUESTS);
    expect_kept();
}

Test(blk_log, zeros_that_are_written_by_hand_are_kept_too)
{
    blk.disk.cache = MV_CACHE_WRITETHROUGH;
    through = true;
    log_engine.no_zero = true;
    prepare(4);
    blk_go(BLK_F_USUAL);
    work(REQUESTS);
    expect_kept();
}

Test(blk_log, a_driver_that_changes_the_cache_mode_keeps_what_it_may_expect)
{
    prepare(5);
    blk_go(BLK_F_USUAL);
    for (unsigned i = 0; i < 40; i++) {
        through = i % 2;
        rig_write(REG_CONFIG + CONFIG_WRITEBACK, 1, !through);
        work(REQUESTS / 40);
    }
    expect_kept();
}

Test(blk_log, when_writes_and_syncs_fail_the_guest_knows)
{
    log_engine.failures = 10;
    prepare(6);
    blk_go(BLK_F_USUAL);
    work(REQUESTS);
    expect_kept();
}

Test(blk_log, when_writes_and_syncs_fail_the_guest_knows_with_writethrough)
{
    blk.disk.cache = MV_CACHE_WRITETHROUGH;
    log_engine.failures = 10;
    through = true;
    prepare(7);
    blk_go(BLK_F_USUAL);
    work(REQUESTS);
    expect_kept();
}

Test(blk_log, resets_with_requests_in_flight_lose_nothing_that_was_promised)
{
    unsigned abandoned = 0;

    prepare(8);
    for (unsigned i = 0; i < 40; i++) {
        blk_go(BLK_F_USUAL);
        work_on(REQUESTS / 40);
        abandoned += in_flight;
        reset_in_the_middle();
    }
    cr_expect_gt(abandoned, 100);
    expect_kept();
}

/* ---- these find what they should, if it is there ---- */

Test(blk_log, a_disk_that_does_not_flush_is_found_out)
{
    blk.disk.cache = MV_CACHE_UNSAFE;
    prepare(9);
    blk_go(BLK_F_USUAL);
    work(REQUESTS);
    cr_expect(is_found_wrong(false));
}

Test(blk_log, a_disk_that_does_not_write_through_is_found_out)
{
    blk.disk.cache = MV_CACHE_WRITETHROUGH;
    through = true;
    prepare(10);
    blk_go(BLK_F_USUAL);
    work(REQUESTS);
    cr_expect(is_found_wrong(true));
}

Test(blk_log, a_writeback_disk_that_is_taken_for_writethrough_is_found_out)
{
    through = true;
    prepare(11);
    blk_go(BLK_F_USUAL);
    work(REQUESTS);
    cr_expect(is_found_wrong(false));
}
