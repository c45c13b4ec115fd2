/* SPDX-License-Identifier: MIT */
/*
 * The block device on its real engines, threads and io_uring.  Where the host does not
 * allow io_uring, those tests are skipped with its reason.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "blk_rig.h"

#define CACHESTAT 451 /* __NR_cachestat, on every architecture */

#define SIZE    (4 * MV_MIB)
#define SECTORS (SIZE / BLK_SECTOR)

static mv_engine_create_fn *const pool_engines[] = {mv_pool_create, NULL};
static mv_engine_create_fn *const uring_engines[] = {mv_uring_create, NULL};

static void start_threads(void)
{
    blk_start();
    blk.engines = pool_engines;
}

static void start_uring(void)
{
    struct mv_engine *engine;
    int fd = memfd_create("probe", MFD_CLOEXEC), error = mv_uring_create(fd, 8, &engine);
    char why[100];

    close(fd);
    blk_start();
    blk.engines = uring_engines;
    if (!error) {
        engine->ops->destroy(engine);
        return;
    }
    snprintf(why, sizeof(why), "the host does not allow io_uring: %s", strerror(-error));
    blk_skip(why);
}

TestSuite(blk_threads, .init = start_threads, .fini = blk_stop, .timeout = 120);
TestSuite(blk_uring, .init = start_uring, .fini = blk_stop, .timeout = 120);

/* ---- requests, before there is a device ---- */

#define CUT 16u /* bytes, in four buffers, one of them empty */

/* Reads into these buffers, of which the host gives `first` bytes at first. */
static void check_cut(uint64_t first)
{
    uint8_t bytes[CUT];
    struct iovec iov[] = {{bytes, 3}, {bytes + 3, 0}, {bytes + 3, 5}, {bytes + 8, 8}};
    struct mv_io io = {
        .op = MV_IO_READ, .offset = 1000, .size = CUT, .iov = iov, .iov_count = 4, .result = 42};
    uint64_t at = first;

    cr_assert_eq(mv_io_advance(&io, (int64_t)first), first == CUT);
    cr_expect(first != CUT || io.result == 0);
    cr_expect(io.offset == 1000 + first && io.size == CUT - first);
    for (unsigned i = 0; i < io.iov_count; i++) {
        cr_expect_eq(io.iov[i].iov_base, bytes + at);
        at += io.iov[i].iov_len;
    }
    cr_expect_eq(at, CUT, "what is left is all of the rest");
    cr_expect(!mv_io_advance(&io, -EINTR) || first == CUT, "a signal changes nothing");
    cr_expect(first == CUT || mv_io_advance(&io, (int64_t)(CUT - first)));
}

Test(io, a_transfer_in_parts_goes_on_where_it_was_left)
{
    for (uint64_t first = 1; first <= CUT; first++)
        check_cut(first);
}

Test(io, an_error_or_the_end_of_the_file_ends_a_transfer)
{
    static const int64_t results[] = {-EIO, -ENOSPC, -EINVAL, 0};

    for (unsigned i = 0; i < MV_COUNT(results); i++) {
        uint8_t bytes[CUT];
        struct iovec iov = {bytes, CUT};
        struct mv_io io = {.op = MV_IO_WRITE, .size = CUT, .iov = &iov, .iov_count = 1};

        cr_expect(!mv_io_advance(&io, 3));
        cr_expect(mv_io_advance(&io, results[i]));
        cr_expect_eq(io.result, results[i] ? (int)results[i] : -EIO);
    }
}

Test(io, other_operations_are_done_at_once)
{
    static const enum mv_io_op ops[] = {MV_IO_SYNC, MV_IO_DISCARD, MV_IO_ZERO};

    for (unsigned i = 0; i < MV_COUNT(ops); i++) {
        struct mv_io io = {.op = ops[i], .size = CUT, .result = 42};

        cr_expect(!mv_io_advance(&io, -EINTR));
        cr_expect(mv_io_advance(&io, 0) && io.result == 0);
        cr_expect(mv_io_advance(&io, -EOPNOTSUPP) && io.result == -EOPNOTSUPP);
    }
}

Test(io, the_engine_is_chosen_as_the_disk_says)
{
    struct mv_disk disk = {.io = MV_DISK_IO_AUTO};
    mv_engine_create_fn *const *engines = mv_blk_engines(&disk);

    cr_expect(engines[0] == mv_uring_create && engines[1] == mv_pool_create && !engines[2]);
    disk.io = MV_DISK_IO_URING;
    engines = mv_blk_engines(&disk);
    cr_expect(engines[0] == mv_uring_create && !engines[1], "or not at all");
    disk.io = MV_DISK_IO_THREADS;
    engines = mv_blk_engines(&disk);
    cr_expect(engines[0] == mv_pool_create && !engines[1]);
}

/* With so many more files; each step of creating one has its turn to fail. */
static int create_with_files(mv_engine_create_fn *create, int more)
{
    struct rlimit limit, few;
    struct mv_engine *engine;
    int file = dup(0), error;

    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    few = limit;
    few.rlim_cur = (rlim_t)(file + more);
    close(file);
    setrlimit(RLIMIT_NOFILE, &few);
    error = create(0, 64, &engine);
    setrlimit(RLIMIT_NOFILE, &limit);
    if (!error)
        engine->ops->destroy(engine);
    file = dup(0);
    close(file);
    cr_expect_eq(file, (int)few.rlim_cur - more, "no file is left open");
    return error;
}

Test(io, an_engine_that_cannot_be_made_leaves_nothing)
{
    cr_expect_eq(create_with_files(mv_pool_create, 0), -EMFILE);
    cr_expect_eq(create_with_files(mv_pool_create, 1), 0);
    cr_expect_lt(create_with_files(mv_uring_create, 0), 0);
    cr_expect_lt(create_with_files(mv_uring_create, 1), 0);
}

/* ---- cancelled ---- */

#define BACKLOG 10000u

/* Minutes of work: 64 MiB each, of a file of zeros. */
static struct backlog {
    struct mv_io io;
    struct iovec iov;
} * submit_backlog(struct mv_engine *engine, uint8_t *buffer)
{
    struct backlog *backlog = calloc(BACKLOG, sizeof(*backlog));

    for (unsigned i = 0; i < BACKLOG; i++) {
        backlog[i].iov = (struct iovec){buffer, 64 * MV_MIB};
        backlog[i].io = (struct mv_io){.op = MV_IO_WRITE,
                                       .size = 64 * MV_MIB,
                                       .iov = &backlog[i].iov,
                                       .iov_count = 1,
                                       .result = 42};
        engine->ops->submit(engine, &backlog[i].io);
    }
    return backlog;
}

static unsigned count_results(const struct backlog *backlog, int result)
{
    unsigned count = 0;

    for (unsigned i = 0; i < BACKLOG; i++)
        count += backlog[i].io.result == result;
    return count;
}

struct busy_pool {
    struct mv_engine *engine;
    int fd;
    uint8_t *buffer;
    struct backlog *backlog;
};

static struct busy_pool make_busy_pool(void)
{
    struct busy_pool pool = {.fd = memfd_create("zeros", MFD_CLOEXEC),
                             .buffer = calloc(1, 64 * MV_MIB)};

    cr_assert_eq(ftruncate(pool.fd, 64 * MV_MIB), 0);
    cr_assert_eq(mv_pool_create(pool.fd, 64, &pool.engine), 0);
    pool.backlog = submit_backlog(pool.engine, pool.buffer);
    return pool;
}

static void free_busy_pool(struct busy_pool *pool)
{
    close(pool->fd);
    free(pool->buffer);
    free(pool->backlog);
}

Test(io, a_pool_that_is_destroyed_leaves_what_has_not_begun, .timeout = 120)
{
    struct busy_pool pool = make_busy_pool();

    pool.engine->ops->destroy(pool.engine);
    cr_expect_gt(count_results(pool.backlog, -ECANCELED), BACKLOG / 2);
    cr_expect_eq(count_results(pool.backlog, 42), 0);
    free_busy_pool(&pool);
}

Test(io, a_pool_that_is_cancelled_gives_all_back_and_works_again, .timeout = 120)
{
    struct busy_pool pool = make_busy_pool();
    uint8_t bytes[CUT] = {1};
    struct iovec iov = {bytes, CUT};
    struct mv_io io = {.op = MV_IO_READ, .size = CUT, .iov = &iov, .iov_count = 1}, *done;

    pool.engine->ops->cancel(pool.engine);
    for (unsigned reaped = 0; reaped < BACKLOG; reaped++)
        while (!pool.engine->ops->reap(pool.engine))
            sched_yield();
    cr_expect_gt(count_results(pool.backlog, -ECANCELED), BACKLOG / 2);
    cr_expect_eq(count_results(pool.backlog, 42), 0);
    pool.engine->ops->submit(pool.engine, &io);
    while (!(done = pool.engine->ops->reap(pool.engine)))
        sched_yield();
    cr_expect(done == &io && io.result == 0 && bytes[0] == 0);
    pool.engine->ops->destroy(pool.engine);
    free_busy_pool(&pool);
}

/* Reads from a pipe that nobody writes to: some that the kernel has, some that were not started. */
Test(blk_uring, what_is_cancelled_is_given_back_and_the_engine_works_again)
{
    static struct mv_io ios[100];
    static struct iovec iov[MV_COUNT(ios)];
    uint8_t byte = 0;
    struct mv_engine *engine;
    unsigned reaped = 0;
    int pipes[2];

    cr_assert_eq(pipe2(pipes, O_CLOEXEC), 0);
    cr_assert_eq(mv_uring_create(pipes[0], 32, &engine), 0);
    for (unsigned i = 0; i < MV_COUNT(ios); i++) {
        iov[i] = (struct iovec){&byte, 1};
        ios[i] = (struct mv_io){.op = MV_IO_READ, .size = 1, .iov = &iov[i], .iov_count = 1};
        engine->ops->submit(engine, &ios[i]);
        if (i == 40)
            engine->ops->start(engine);
    }
    cr_assert_null(engine->ops->reap(engine));
    engine->ops->cancel(engine);
    for (unsigned tries = 0; reaped < MV_COUNT(ios) && tries < RIG_PATIENCE; tries++) {
        engine->ops->start(engine);
        while (engine->ops->reap(engine))
            reaped++;
        usleep(1000);
    }
    cr_expect_eq(reaped, MV_COUNT(ios));
    for (unsigned i = 0; i < MV_COUNT(ios); i++)
        cr_expect_eq(ios[i].result, -ECANCELED);
    cr_assert_eq(write(pipes[1], "x", 1), 1);
    ios[0] = (struct mv_io){.op = MV_IO_READ, .size = 1, .iov = &iov[0], .iov_count = 1};
    iov[0] = (struct iovec){&byte, 1};
    engine->ops->submit(engine, &ios[0]);
    engine->ops->start(engine);
    while (!engine->ops->reap(engine))
        usleep(1000);
    cr_expect(ios[0].result == 0 && byte == 'x');
    engine->ops->destroy(engine);
    close(pipes[0]);
    close(pipes[1]);
}

/* ---- each request ---- */

/* In four buffers, one of them empty. */
static void check_many_buffers(uint32_t type)
{
    bool writable = type == BLK_IN;
    const struct ring_part parts[] = {
        {BLK_HEADER, 16, false},           {RIG_DATA, 700, writable},
        {RIG_DATA + 700, 0, writable},     {RIG_DATA + 700, 3396, writable},
        {RIG_DATA + 4096, 4096, writable}, {BLK_STATUS, 1, true}};

    *(struct blk_header *)rig_at(BLK_HEADER, 16) = (struct blk_header){.type = type, .sector = 3};
    if (!writable)
        blk_fill(blk_data(8192), 3 * 512, 8192, 7);
    cr_expect_eq(blk_request_parts(parts, 6), BLK_OK);
    cr_expect(blk_file_is(3 * 512, 8192, 7));
    cr_expect(blk_is(blk_data(8192), 3 * 512, 8192, 7));
    memset(blk_data(8192), 0, 8192);
}

static void check_requests(void)
{
    const struct blk_range ranges[] = {{8, 16, 0}, {100, 3, 0}};
    const struct blk_range beyond = {SECTORS, 1, 0};

    blk_ready(SIZE);
    blk_fill(blk_data(SIZE), 0, SIZE, 1);
    cr_expect_eq(blk_request(BLK_OUT, 0, SIZE), BLK_OK);
    cr_expect_eq(blk_request(BLK_FLUSH, 0, 0), BLK_OK);
    cr_expect(blk_file_is(0, SIZE, 1));
    memset(blk_data(SIZE), 0, SIZE);
    cr_expect_eq(blk_request(BLK_IN, 0, SIZE), BLK_OK);
    cr_expect_eq(blk.written, SIZE + 1);
    cr_expect(blk_is(blk_data(SIZE), 0, SIZE, 1));
    cr_expect_eq(blk_request_ranges(BLK_WRITE_ZEROES, ranges, 2), BLK_OK);
    cr_expect(blk_file_is_zero(8 * 512, 16 * 512) && blk_file_is_zero(100 * 512, 3 * 512));
    cr_expect(blk_file_is(0, 8 * 512, 1) && blk_file_is(24 * 512, 76 * 512, 1));
    blk_fill_file(0, SIZE, 2);
    if (fallocate(blk.file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, SIZE, 4096) == 0) {
        cr_expect_eq(blk_request_ranges(BLK_DISCARD, ranges, 2), BLK_OK);
        cr_expect(blk_file_is_zero(8 * 512, 16 * 512));
    }
    check_many_buffers(BLK_OUT);
    check_many_buffers(BLK_IN);
    cr_expect_eq(blk_request_ranges(BLK_DISCARD, &beyond, 1), BLK_IOERR);
    cr_expect_eq(blk_request(BLK_IN, SECTORS, 512), BLK_IOERR);
    cr_expect_eq(lseek(blk.file, 0, SEEK_END), SIZE);
}

Test(blk_threads, requests_of_all_kinds_work)
{
    check_requests();
}

Test(blk_uring, requests_of_all_kinds_work)
{
    check_requests();
}

static void check_writethrough(void)
{
    const struct blk_range range = {.sector = 8, .sectors = 16};

    blk.disk.cache = MV_CACHE_WRITETHROUGH;
    blk_ready(SIZE);
    for (unsigned i = 0; i < 20; i++) {
        blk_fill(blk_data(8192), i * 8192, 8192, i);
        cr_expect_eq(blk_request(BLK_OUT, i * 16, 8192), BLK_OK);
        cr_expect(blk_file_is(i * 8192, 8192, i));
    }
    cr_expect_eq(blk_request_ranges(BLK_WRITE_ZEROES, &range, 1), BLK_OK);
    cr_expect(blk_file_is_zero(8 * 512, 16 * 512));
}

Test(blk_threads, writethrough_works)
{
    check_writethrough();
}

Test(blk_uring, writethrough_works)
{
    check_writethrough();
}

/* Pages of the file that the host has yet to write: cachestat(2), from Linux 6.5 on. */
static uint64_t dirty_pages(void)
{
    uint64_t range[2] = {0, SIZE}; /* offset, length */
    struct {
        uint64_t cached, dirty, writeback, evicted, recently_evicted;
    } stat;

    if (syscall(CACHESTAT, blk.file, range, &stat, 0) < 0)
        blk_skip("the host does not tell which pages are dirty");
    return stat.dirty + stat.writeback;
}

static void check_stable(void)
{
    static const uint32_t sizes[] = {4096, 512, 64 * 1024};

    blk_ready(SIZE);
    blk_fill_file(0, SIZE, 1);
    if (fsync(blk.file) < 0 || dirty_pages())
        blk_skip("the file system has no use for a sync");
    for (unsigned i = 0; i < MV_COUNT(sizes); i++) {
        cr_expect_eq(blk_request(BLK_OUT, 100, sizes[i]), BLK_OK);
        if (dirty_pages() == 0) /* or its page cache is another's: overlayfs */
            blk_skip("the file system shows no dirty pages");
        cr_expect_eq(blk_request(BLK_FLUSH, 0, 0), BLK_OK);
        cr_expect_eq(dirty_pages(), 0, "flushed");
    }
    rig_write(REG_CONFIG + CONFIG_WRITEBACK, 1, 0);
    for (unsigned i = 0; i < MV_COUNT(sizes); i++) {
        const struct ring_part cut[] = {{BLK_HEADER, 16, false},
                                        {RIG_DATA, 100, false},
                                        {RIG_DATA, sizes[i] - 100, false},
                                        {BLK_STATUS, 1, true}};

        cr_expect_eq(blk_request(BLK_OUT, 100, sizes[i]), BLK_OK);
        cr_expect_eq(dirty_pages(), 0, "writethrough");
        cr_expect_eq(blk_request_parts(cut, 4), BLK_OK);
        cr_expect_eq(dirty_pages(), 0, "writethrough, of two buffers");
    }
}

Test(blk_threads, what_is_stable_has_left_the_hosts_page_cache)
{
    check_stable();
}

Test(blk_uring, what_is_stable_has_left_the_hosts_page_cache)
{
    check_stable();
}

static void check_zeros_by_hand(void)
{
    const struct blk_range range = {.sector = 1, .sectors = 5 * 2048 + 7};

    blk.folder = "/dev/shm"; /* tmpfs has no ZERO_RANGE */
    blk_ready(2 * SIZE);
    blk_fill_file(0, 2 * SIZE, 1);
    for (unsigned i = 0; i < 3; i++) {
        memcpy(blk_slot_data(0, i), &range, sizeof(range));
        blk_offer(0, i, BLK_WRITE_ZEROES, 0, 16);
    }
    rig_set(REG_QUEUE_NOTIFY, 0);
    blk_wait_answers(0, 3);
    for (unsigned i = 0; i < 3; i++)
        cr_expect_eq(*blk_slot_status(0, i), BLK_OK);
    cr_expect(blk_file_is(0, 512, 1) && blk_file_is_zero(512, 512ull * range.sectors));
    cr_expect(blk_file_is(512 * (1ull + range.sectors), 512, 1));
}

Test(blk_threads, zeros_are_written_where_the_host_cannot_make_them)
{
    check_zeros_by_hand();
}

Test(blk_uring, zeros_are_written_where_the_host_cannot_make_them)
{
    check_zeros_by_hand();
}

/* ---- the host's errors ---- */

static void check_cut_short(void)
{
    blk_ready(SIZE);
    blk_fill_file(0, SIZE, 1);
    cr_assert_eq(ftruncate(blk.file, SIZE / 2 + 256), 0);
    memset(blk_data(SIZE), 0xaa, SIZE);
    cr_expect_eq(blk_request(BLK_IN, 0, SIZE), BLK_IOERR);
    cr_expect_eq(blk.written, 0);
    cr_expect_eq(blk_request(BLK_IN, SECTORS / 2, 512), BLK_IOERR, "half a sector");
    cr_expect_eq(blk_request(BLK_IN, SECTORS - 1, 512), BLK_IOERR);
    cr_expect_eq(blk_request(BLK_IN, 0, SIZE / 2), BLK_OK);
    cr_expect(blk_is(blk_data(SIZE / 2), 0, SIZE / 2, 1));
    cr_assert_eq(ftruncate(blk.file, SIZE), 0);
    cr_expect_eq(blk_request(BLK_IN, 0, SIZE), BLK_OK);
    cr_expect(blk_is_zero(blk_data(SIZE) + SIZE / 2 + 256, SIZE / 2 - 256));
}

Test(blk_threads, a_file_that_was_cut_short_is_an_error_where_it_ends)
{
    check_cut_short();
}

Test(blk_uring, a_file_that_was_cut_short_is_an_error_where_it_ends)
{
    check_cut_short();
}

/* SIGXFSZ would kill whoever takes it: no thread of the machine does. */
static void check_size_limit(void)
{
    struct rlimit limit, small = {.rlim_cur = SIZE / 2};
    uint8_t across, below, beyond, after;

    blk_make(SIZE);
    blk_attach();
    cr_assert_eq(mv_loop_start(&rig.loop), 0);
    blk_go(BLK_F_USUAL);
    blk_fill(blk_data(SIZE), 0, SIZE, 1);
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small.rlim_max = limit.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    below = blk_request(BLK_OUT, 0, SIZE / 2);
    across = blk_request(BLK_OUT, 0, SIZE);
    beyond = blk_request(BLK_OUT, SECTORS / 2, 512);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    after = blk_request(BLK_OUT, 0, SIZE);
    cr_expect_eq(below, BLK_OK);
    cr_expect_eq(across, BLK_IOERR);
    cr_expect_eq(beyond, BLK_IOERR);
    cr_expect_eq(after, BLK_OK);
    cr_expect(blk_file_is(0, SIZE, 1));
}

Test(blk_threads, a_limit_of_file_sizes_is_an_error_and_no_signal)
{
    check_size_limit();
}

Test(blk_uring, a_limit_of_file_sizes_is_an_error_and_no_signal)
{
    check_size_limit();
}

/* ---- many at once ---- */

/* More in flight than a ring of io_uring has entries: 64 queues of 64. */
static void check_many(void)
{
    blk.queues = MV_QUEUES_MAX;
    blk_ready(SIZE);
    blk_fill_file(0, SIZE, 1);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned queue = 0; queue < blk.queues; queue++)
            for (unsigned slot = 0; slot < 64; slot++)
                blk_offer(queue, slot, BLK_IN, (queue * 64 + slot) % (SECTORS - 8), 2048);
        rig_set(REG_QUEUE_NOTIFY, 0);
        for (unsigned queue = 0; queue < blk.queues; queue++) {
            blk_wait_answers(queue, 64);
            for (unsigned slot = 0; slot < 64; slot++) {
                uint64_t sector = (queue * 64 + slot) % (SECTORS - 8);

                cr_assert_eq(*blk_slot_status(queue, slot), BLK_OK);
                cr_assert(blk_is(blk_slot_data(queue, slot), 512 * sector, 2048, 1));
            }
        }
    }
}

Test(blk_threads, thousands_may_be_in_flight)
{
    check_many();
}

Test(blk_uring, thousands_may_be_in_flight)
{
    check_many();
}

static void *reset_as_vcpu(void *context)
{
    rig_set(REG_STATUS, 0);
    return context;
}

/* As a hostile driver does, which wants the device to write to memory it has freed. */
static void check_resets(void)
{
    blk_make(SIZE);
    blk_attach();
    cr_assert_eq(mv_loop_start(&rig.loop), 0);
    for (unsigned round = 0; round < 60; round++) {
        pthread_t vcpu;

        rig_negotiate(BLK_F_USUAL);
        ring_place(&blk.rings[0], RIG_RINGS, MV_QUEUE_MAX);
        rig_set_queue(0, &blk.rings[0]);
        rig_set(REG_STATUS, STATUS_LIVE);
        for (unsigned slot = 0; slot < 64; slot++)
            blk_offer(0, slot, slot % 8 ? BLK_IN : BLK_OUT, slot, BLK_SLOT_DATA);
        rig_set(REG_QUEUE_NOTIFY, 0);
        for (unsigned i = 0; i < round % 7; i++)
            sched_yield();
        pthread_create(&vcpu, NULL, reset_as_vcpu, NULL);
        pthread_join(vcpu, NULL);
        cr_assert_eq(rig_get(REG_STATUS), 0);
        for (unsigned slot = 0; slot < 64; slot++) {
            memset(blk_slot_data(0, slot), 0x5a, BLK_SLOT_DATA);
            *blk_slot_status(0, slot) = 0x5a;
        }
        for (unsigned i = 0; i < 50; i++)
            sched_yield();
        for (unsigned slot = 0; slot < 64; slot++) {
            const uint8_t *bytes = blk_slot_data(0, slot);

            cr_assert_eq(*blk_slot_status(0, slot), 0x5a);
            for (unsigned i = 0; i < BLK_SLOT_DATA; i += 64)
                cr_assert_eq(bytes[i], 0x5a);
        }
    }
}

Test(blk_threads, after_a_reset_nothing_is_written_to_memory)
{
    check_resets();
}

Test(blk_uring, after_a_reset_nothing_is_written_to_memory)
{
    check_resets();
}

static void check_end_in_flight(void)
{
    blk_make(SIZE);
    blk_attach();
    cr_assert_eq(mv_loop_start(&rig.loop), 0);
    blk_go(BLK_F_USUAL);
    for (unsigned slot = 0; slot < 64; slot++)
        blk_offer(0, slot, slot % 2 ? BLK_IN : BLK_FLUSH, slot, slot % 2 ? BLK_SLOT_DATA : 0);
    rig_set(REG_QUEUE_NOTIFY, 0);
    sched_yield(); /* the suite's end follows: it waits for them */
}

Test(blk_threads, its_end_waits_for_what_is_in_flight)
{
    check_end_in_flight();
}

Test(blk_uring, its_end_waits_for_what_is_in_flight)
{
    check_end_in_flight();
}

/* ---- guests that change things under us ---- */

static atomic_bool enough;

/* Rewrites headers, ranges and lengths of the requests in the slots, good ones and bad. */
static void *rewrite(void *context)
{
    static const uint32_t types[] = {BLK_IN, BLK_OUT, BLK_DISCARD, BLK_WRITE_ZEROES, 99};
    static const uint64_t sectors[] = {0, SECTORS - 1, SECTORS, UINT64_MAX, 1ull << 55};
    static const uint32_t lengths[] = {512, 1024, 4096, 16, 0x100000};
    struct ring_descriptor *table = ring_table(&blk.rings[0]);
    uint64_t state = 1;

    while (!atomic_load(&enough)) {
        unsigned slot = (unsigned)(rig_random(&state) >> 33) % 64;
        struct blk_header *header = (struct blk_header *)(blk_slot_status(0, slot) - 16);
        struct blk_range *range = (struct blk_range *)blk_slot_data(0, slot);

        __atomic_store_n(&header->type, types[(rig_random(&state) >> 33) % 5], __ATOMIC_RELAXED);
        __atomic_store_n(&header->sector, sectors[(rig_random(&state) >> 33) % 5],
                         __ATOMIC_RELAXED);
        __atomic_store_n(&range->sector, sectors[(rig_random(&state) >> 33) % 5], __ATOMIC_RELAXED);
        __atomic_store_n(&range->sectors, (rig_random(&state) >> 33) % 3, __ATOMIC_RELAXED);
        __atomic_store_n(&range->flags, (rig_random(&state) >> 33) % 2, __ATOMIC_RELAXED);
        __atomic_store_n(&table[4 * slot + 1].len, lengths[(rig_random(&state) >> 33) % 5],
                         __ATOMIC_RELAXED);
    }
    return context;
}

static void check_rewriting(void)
{
    pthread_t guest;

#ifdef RIG_THREAD_SANITIZER
    blk_skip("the race between the guest's memory and us is meant");
#endif
    blk_make(SIZE);
    blk_attach();
    cr_assert_eq(mv_loop_start(&rig.loop), 0);
    blk_go(BLK_F_USUAL);
    pthread_create(&guest, NULL, rewrite, NULL);
    for (unsigned round = 0; round < 300; round++) {
        for (unsigned slot = 0; slot < 64; slot++)
            blk_offer(0, slot, slot % 2 ? BLK_OUT : BLK_IN, slot, 512);
        rig_set(REG_QUEUE_NOTIFY, 0);
        blk_wait_answers(0, 64);
    }
    atomic_store(&enough, true);
    pthread_join(guest, NULL);
    cr_expect_eq(lseek(blk.file, 0, SEEK_END), SIZE, "nothing was written behind its end");
    cr_expect_eq(rig_get(REG_STATUS), STATUS_LIVE, "each chain was good, and each was answered");
    cr_expect_eq(blk_request(BLK_IN, 0, SIZE), BLK_OK);
}

Test(blk_threads, requests_that_change_while_they_are_read_do_no_harm)
{
    check_rewriting();
}

Test(blk_uring, requests_that_change_while_they_are_read_do_no_harm)
{
    check_rewriting();
}

/* A vCPU that starts, resets, rings and breaks what the others are using. */
static void *run_vcpu(void *context)
{
    uint64_t state = *(const unsigned *)context;

    for (unsigned i = 0; i < 3000; i++) {
        unsigned slot = (unsigned)(rig_random(&state) >> 33) % 64;

        switch ((rig_random(&state) >> 33) % 16) {
        case 0: rig_set(REG_STATUS, 0); break;
        case 1:
        case 2:
            rig_negotiate(BLK_F_USUAL);
            rig_set_queue(0, &blk.rings[0]);
            rig_set(REG_STATUS, STATUS_LIVE);
            break;
        case 3: rig_set(REG_QUEUE_NUM, 8); break;
        case 4: rig_write(REG_CONFIG + CONFIG_WRITEBACK, 1, i % 2); break;
        case 5: rig_set(REG_INTERRUPT_ACK, 3); break;
        default:
            blk_offer(0, slot, i % 3 ? BLK_IN : BLK_OUT, slot, BLK_SLOT_DATA);
            rig_set(REG_QUEUE_NOTIFY, 0);
            break;
        }
    }
    return NULL;
}

static void check_vcpus(void)
{
    unsigned seeds[] = {1, 2, 3};
    pthread_t vcpus[3];

#ifdef RIG_THREAD_SANITIZER
    blk_skip("the race between the guests' memory and us is meant");
#endif
    blk_make(SIZE);
    blk_attach();
    cr_assert_eq(mv_loop_start(&rig.loop), 0);
    blk_go(BLK_F_USUAL);
    for (unsigned i = 0; i < 3; i++)
        pthread_create(&vcpus[i], NULL, run_vcpu, &seeds[i]);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(vcpus[i], NULL);
    rig_set(REG_STATUS, 0);
    blk_go(BLK_F_USUAL);
    cr_expect_eq(rig_get(REG_STATUS), STATUS_LIVE);
    cr_expect_eq(blk_request(BLK_IN, 0, SIZE), BLK_OK);
    cr_expect_eq(lseek(blk.file, 0, SEEK_END), SIZE);
}

Test(blk_threads, vcpus_that_do_anything_at_once_leave_a_disk_that_works)
{
    check_vcpus();
}

Test(blk_uring, vcpus_that_do_anything_at_once_leave_a_disk_that_works)
{
    check_vcpus();
}

/* ---- a driver as good ones are: it rings when asked, and sleeps until interrupted ---- */

#define QUEUES   3
#define STRESSED 512u /* sectors */

static struct {
    bool event_idx;
    unsigned in_flight, done;
    bool busy[STRESSED];        /* a request is on it */
    unsigned version[STRESSED]; /* what was written last */
    struct task {
        bool active;
        uint32_t type;
        unsigned sector, count, version;
    } tasks[QUEUES][64];
} driver;

static uint64_t random_state = 1;

static unsigned random_below(unsigned limit)
{
    return (unsigned)((rig_random(&random_state) >> 33) % limit);
}

static void offer_task(unsigned queue, unsigned slot, unsigned number)
{
    static const uint32_t types[] = {BLK_IN, BLK_OUT, BLK_OUT, BLK_IN, BLK_IN, BLK_FLUSH};
    struct task *task = &driver.tasks[queue][slot];
    struct ring *ring = &blk.rings[queue];
    uint16_t before = ring->offered, event;
    bool ring_it;

    task->type = types[random_below(6)];
    task->count = task->type == BLK_FLUSH ? 0 : 1 + random_below(8);
    task->sector = random_below(STRESSED - 8);
    task->version = number;
    for (unsigned i = 0; i < task->count; i++)
        if (driver.busy[task->sector + i])
            return;
    for (unsigned i = 0; i < task->count; i++)
        driver.busy[task->sector + i] = true;
    task->active = true;
    driver.in_flight++;
    if (task->type == BLK_OUT)
        blk_fill(blk_slot_data(queue, slot), 512 * task->sector, 512 * task->count, number);
    blk_offer(queue, slot, task->type, task->sector, 512 * task->count);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    event = __atomic_load_n(ring_avail_event(ring), __ATOMIC_RELAXED);
    ring_it = driver.event_idx
                  ? (uint16_t)(ring->offered - event - 1) < (uint16_t)(ring->offered - before)
                  : !(__atomic_load_n(ring_used(ring), __ATOMIC_RELAXED) & 1);
    if (ring_it)
        rig_set(REG_QUEUE_NOTIFY, queue);
}

static void finish_task(unsigned queue, unsigned slot)
{
    struct task *task = &driver.tasks[queue][slot];

    cr_assert(task->active);
    cr_assert_eq(*blk_slot_status(queue, slot), BLK_OK);
    for (unsigned i = 0; i < task->count; i++) {
        unsigned sector = task->sector + i;

        driver.busy[sector] = false;
        if (task->type == BLK_OUT)
            driver.version[sector] = task->version;
        else
            cr_assert(blk_is(blk_slot_data(queue, slot) + 512 * i, 512 * sector, 512,
                             driver.version[sector]),
                      "sector %u", sector);
    }
    task->active = false;
    driver.in_flight--;
    driver.done++;
}

/* Takes what is answered; returns whether that was anything. */
static bool take_answers(void)
{
    bool any = false;

    for (unsigned queue = 0; queue < blk.queues; queue++) {
        struct ring_used used;

        while (ring_take(&blk.rings[queue], &used)) {
            cr_assert(used.id % 4 == 0 && used.id < 256);
            finish_task(queue, used.id / 4);
            any = true;
        }
    }
    return any;
}

/* Interrupts are off while it works; it asks for them, and looks again. */
static void ask_for_interrupts(bool on)
{
    for (unsigned queue = 0; queue < blk.queues; queue++) {
        struct ring *ring = &blk.rings[queue];

        if (driver.event_idx && on)
            __atomic_store_n(ring_used_event(ring), ring->seen, __ATOMIC_RELAXED);
        else if (!driver.event_idx)
            __atomic_store_n(ring_avail(ring), on ? 0 : 1, __ATOMIC_RELAXED);
    }
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static void sleep_until_answers(void)
{
    ask_for_interrupts(true);
    while (!take_answers()) {
        cr_assert(rig_wait_interrupt(), "an interrupt is missing, %u in flight", driver.in_flight);
        rig_set(REG_INTERRUPT_ACK, rig_get(REG_INTERRUPT_STATUS));
    }
    ask_for_interrupts(false);
}

static void work(bool event_idx, unsigned queues, unsigned requests)
{
    unsigned number = 0;

    driver.event_idx = event_idx;
    blk.queues = queues;
    blk_make(SIZE);
    blk_fill_file(0, 512 * STRESSED, 0);
    blk_attach();
    cr_assert_eq(mv_loop_start(&rig.loop), 0);
    blk_go(BLK_F_USUAL | (event_idx ? MV_RING_F_EVENT_IDX : 0));
    ask_for_interrupts(false);
    while (driver.done < requests) {
        unsigned depth = 1 + random_below(random_below(4) ? 4 : 150);

        for (unsigned tries = 0; tries < 2 * depth && driver.in_flight < depth; tries++) {
            unsigned queue = random_below(blk.queues), slot = random_below(64);

            if (!driver.tasks[queue][slot].active)
                offer_task(queue, slot, ++number);
        }
        if (driver.in_flight)
            sleep_until_answers();
    }
    while (driver.in_flight)
        sleep_until_answers();
    for (unsigned sector = 0; sector < STRESSED; sector++)
        cr_assert(blk_file_is(512 * sector, 512, driver.version[sector]), "sector %u", sector);
}

Test(blk_threads, a_driver_with_event_idx_loses_nothing)
{
    work(true, QUEUES, 10000);
}

Test(blk_threads, a_driver_without_event_idx_loses_nothing)
{
    work(false, QUEUES, 10000);
}

Test(blk_uring, a_driver_with_event_idx_loses_nothing)
{
    work(true, QUEUES, 20000);
}

Test(blk_uring, a_driver_without_event_idx_loses_nothing)
{
    work(false, QUEUES, 20000);
}

Test(blk_uring, what_wraps_in_the_rings_is_right)
{
    blk.disk.cache = MV_CACHE_UNSAFE;
    work(true, 1, 70000);
}
