/* SPDX-License-Identifier: MIT */
/*
 * The block device and its host: errors, engines that cannot be had, resets with
 * requests in flight, files that grow and shrink, direct I/O.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>

#include "blk_rig.h"

#define SIZE    (1 * MV_MIB)
#define SECTORS (SIZE / BLK_SECTOR)

TestSuite(blk_host, .init = blk_start, .fini = blk_stop, .timeout = 120);

/* ---- errors of the host ---- */

Test(blk_host, an_error_of_the_host_is_an_error_and_all_is_well_after_it)
{
    static const struct {
        enum mv_io_op op;
        uint32_t type;
        int error;
        uint8_t status;
    } rows[] = {
        {MV_IO_READ, BLK_IN, -EIO, BLK_IOERR},
        {MV_IO_READ, BLK_IN, -EINVAL, BLK_IOERR},
        {MV_IO_WRITE, BLK_OUT, -EIO, BLK_IOERR},
        {MV_IO_WRITE, BLK_OUT, -ENOSPC, BLK_IOERR},
        {MV_IO_WRITE, BLK_OUT, -EFBIG, BLK_IOERR},
        {MV_IO_WRITE, BLK_OUT, -EOPNOTSUPP, BLK_IOERR},
        {MV_IO_SYNC, BLK_FLUSH, -EIO, BLK_IOERR},
        {MV_IO_SYNC, BLK_FLUSH, -ENOSPC, BLK_IOERR},
        {MV_IO_DISCARD, BLK_DISCARD, -EIO, BLK_IOERR},
        {MV_IO_DISCARD, BLK_DISCARD, -EOPNOTSUPP, BLK_UNSUPP},
        {MV_IO_ZERO, BLK_WRITE_ZEROES, -EIO, BLK_IOERR},
        {MV_IO_ZERO, BLK_WRITE_ZEROES, -ENOSPC, BLK_IOERR},
    };

    blk_ready(SIZE);
    for (unsigned i = 0; i < MV_COUNT(rows); i++) {
        uint32_t size = rows[i].type == BLK_DISCARD || rows[i].type == BLK_WRITE_ZEROES ? 16 : 512;

        if (rows[i].type == BLK_FLUSH)
            size = 0;
        memset(blk_data(512), 0, 512);
        ((struct blk_range *)blk_data(16))->sectors = 8;
        script.errors[rows[i].op] = rows[i].error;
        cr_expect_eq(blk_request(rows[i].type, 0, size), rows[i].status, "row %u", i);
        cr_expect_eq(blk.written, rows[i].type == BLK_IN ? 0 : 1);
        script.errors[rows[i].op] = 0;
        memset(blk_data(512), 0, 512);
        ((struct blk_range *)blk_data(16))->sectors = 8;
        cr_expect_eq(blk_request(rows[i].type, 0, size), BLK_OK, "row %u", i);
    }
    cr_expect_eq(rig_get(REG_STATUS), STATUS_LIVE);
}

Test(blk_host, errors_in_the_middle_of_ranges_end_them)
{
    const struct blk_range ranges[] = {{0, 8, 0}, {8, 8, 0}, {16, 8, 0}};

    blk.disk.cache = MV_CACHE_WRITETHROUGH;
    blk_ready(SIZE);
    script.hold = true;
    memcpy(blk_data(48), ranges, 48);
    blk_offer(0, 0, BLK_DISCARD, 0, 48);
    memcpy(blk_slot_data(0, 0), ranges, 48);
    rig_set(REG_QUEUE_NOTIFY, 0);
    rig_turn();
    script_release(1);
    rig_turn();
    script.errors[MV_IO_DISCARD] = -EIO;
    script_release(1);
    blk_wait_answers(0, 1);
    cr_expect_eq(*blk_slot_status(0, 0), BLK_IOERR);
    cr_expect_eq(script.log_count, 2, "neither the third nor a sync");
    script.errors[MV_IO_DISCARD] = 0;
    script.errors[MV_IO_SYNC] = -EIO;
    script.hold = false;
    cr_expect_eq(blk_request_ranges(BLK_DISCARD, ranges, 3), BLK_IOERR,
                 "nor is a failed sync good");
}

Test(blk_host, a_file_that_was_cut_short_is_an_error_where_it_ends)
{
    blk_ready(SIZE);
    blk_fill_file(0, SIZE, 1);
    cr_assert_eq(ftruncate(blk.file, SIZE / 2 + 256), 0);
    cr_expect_eq(blk_request(BLK_IN, 0, SIZE / 2), BLK_OK);
    cr_expect_eq(blk_request(BLK_IN, SECTORS / 2, 512), BLK_IOERR, "half a sector");
    cr_expect_eq(blk_request(BLK_IN, SECTORS - 8, 512), BLK_IOERR);
    cr_expect_eq(blk_request(BLK_IN, 0, SIZE), BLK_IOERR);
    cr_assert_eq(ftruncate(blk.file, SIZE), 0);
    cr_expect_eq(blk_request(BLK_IN, 0, SIZE), BLK_OK);
}

/* ---- engines that cannot be had ---- */

static int create_failing(int fd, unsigned depth, struct mv_engine **ret_engine)
{
    (void)fd, (void)depth, (void)ret_engine;
    return -ENOSYS;
}

Test(blk_host, the_second_engine_is_taken_if_there_is_no_first)
{
    static mv_engine_create_fn *const engines[] = {create_failing, script_create, NULL};

    blk.engines = engines;
    blk_ready(SIZE);
    cr_expect_eq(blk_request(BLK_IN, 0, 512), BLK_OK);
    cr_expect_eq(script.created, 1);
}

/* As drivers do that try again and again. */
static void start_and_reset(unsigned times)
{
    while (times--) {
        rig_reset();
        blk_go(BLK_F_USUAL);
    }
}

Test(blk_host, without_an_engine_it_needs_a_reset_and_may_be_tried_again)
{
    script.create_error = -EMFILE;
    blk_make(SIZE);
    blk_attach();
    blk_go(BLK_F_USUAL);
    cr_expect(rig_needs_reset());
    rig_set(REG_QUEUE_NOTIFY, 0);
    rig_turn();
    start_and_reset(100);
    cr_expect(rig_needs_reset());
    cr_expect_geq(atomic_load(&rig.log_lines), 1);
    cr_expect_leq(atomic_load(&rig.log_lines), 10, "a guest cannot fill the host's log");
    script.create_error = 0;
    start_and_reset(1);
    cr_expect_eq(blk_request(BLK_IN, 0, 512), BLK_OK);
}

Test(blk_host, an_engine_whose_completions_cannot_be_heard_is_none)
{
    script.no_event = true;
    blk_make(SIZE);
    blk_attach();
    blk_go(BLK_F_USUAL);
    cr_expect(rig_needs_reset());
    rig_reset();
    blk_go(BLK_F_USUAL);
    cr_expect(rig_needs_reset(), "nor the second time");
    cr_expect_eq(script.created, script.destroyed, "none is left");
    script.no_event = false;
    rig_reset();
    blk_go(BLK_F_USUAL);
    cr_expect_eq(blk_request(BLK_IN, 0, 512), BLK_OK);
}

Test(blk_host, starting_it_again_and_again_makes_one_engine_and_few_messages)
{
    blk_ready(SIZE);
    start_and_reset(200);
    cr_expect_eq(blk_request(BLK_IN, 0, 512), BLK_OK);
    cr_expect_eq(script.created, 1);
    cr_expect_leq(atomic_load(&rig.log_lines), 10, "a guest cannot fill the host's log");
}

/* ---- reset ---- */

static void expect_memory_untouched(uint8_t filled)
{
    for (unsigned slot = 0; slot < 64; slot++) {
        const uint8_t *bytes = blk_slot_data(0, slot);

        for (unsigned i = 0; i < BLK_SLOT_DATA; i++)
            cr_assert_eq(bytes[i], filled, "byte %u of slot %u", i, slot);
        cr_assert_eq(*blk_slot_status(0, slot), BLK_NONE);
    }
}

/* 64 reads in flight, the engine holds them. */
static void offer_64(void)
{
    script.hold = true;
    for (unsigned slot = 0; slot < 64; slot++)
        blk_offer(0, slot, BLK_IN, slot, BLK_SLOT_DATA);
    rig_set(REG_QUEUE_NOTIFY, 0);
    rig_turn();
    cr_assert_eq(script.started_count, 64);
}

Test(blk_host, a_reset_waits_for_what_is_in_flight_and_answers_nothing)
{
    blk_ready(SIZE);
    blk_fill_file(0, SIZE, 1);
    offer_64();
    rig_begin_reset();
    rig_turn();
    cr_expect_eq(rig_get(REG_STATUS), STATUS_LIVE, "it is not over");
    script_release(63);
    rig_turn();
    cr_expect_eq(rig_get(REG_STATUS), STATUS_LIVE, "one is left");
    script_release(1);
    rig_turn();
    cr_expect_eq(rig_get(REG_STATUS), 0);
    cr_expect_eq(ring_used(&blk.rings[0])[1], 0, "nothing is answered");
    for (unsigned slot = 0; slot < 64; slot++) {
        memset(blk_slot_data(0, slot), 0x5a, BLK_SLOT_DATA);
        *blk_slot_status(0, slot) = BLK_NONE;
    }
    for (unsigned i = 0; i < 20; i++)
        rig_turn();
    expect_memory_untouched(0x5a);
    cr_expect_eq(atomic_load(&rig.interrupts), 0);
}

Test(blk_host, a_driver_may_start_at_once_after_a_reset_and_is_not_reset_again)
{
    blk_ready(SIZE);
    for (unsigned i = 0; i < 50; i++) {
        offer_64();
        rig_begin_reset();
        script_release(i % 2 ? 64 : 32); /* its event is heard together with the doorbell */
        mv_loop_turn(&rig.loop, 0);
        if (script.started_count)
            script_release(script.started_count);
        mv_loop_turn(&rig.loop, 0);
        for (unsigned turns = 0; rig_get(REG_STATUS) && turns < 10; turns++)
            mv_loop_turn(&rig.loop, 0);
        cr_assert_eq(rig_get(REG_STATUS), 0);
        eventfd_write(script.engine.event, 1); /* one that is late */
        blk_go(BLK_F_USUAL);
        cr_assert_eq(rig_get(REG_STATUS), STATUS_LIVE);
        script.hold = false;
        cr_assert_eq(blk_request(BLK_IN, 0, 512), BLK_OK);
    }
}

Test(blk_host, a_reset_before_it_has_noticed_its_start_ends_also_the_second_time)
{
    blk_ready(SIZE);
    for (unsigned i = 0; i < 3; i++) {
        rig_reset();
        rig_negotiate(BLK_F_USUAL);
        ring_place(&blk.rings[0], RIG_RINGS, MV_QUEUE_MAX);
        rig_set_queue(0, &blk.rings[0]);
        rig_set(REG_STATUS, STATUS_LIVE); /* and nobody turns the loop */
        rig_reset();
    }
    blk_go(BLK_F_USUAL);
    cr_expect_eq(blk_request(BLK_IN, 0, 512), BLK_OK);
}

Test(blk_host, a_reset_ends_also_if_the_host_was_too_busy_to_start_requests)
{
    blk_ready(SIZE);
    script.busy = 30;
    for (unsigned slot = 0; slot < 64; slot++)
        blk_offer(0, slot, BLK_IN, slot, 512);
    rig_set(REG_QUEUE_NOTIFY, 0);
    mv_loop_turn(&rig.loop, 0);
    cr_expect_eq(script.held_count, 64);
    cr_expect_eq(script.started_count, 0);
    rig_reset();
    cr_expect_eq(script.busy, 0);
    cr_expect_eq(script.held_count, 0);
}

Test(blk_host, requests_that_the_host_was_too_busy_to_start_are_started_later)
{
    blk_ready(SIZE);
    blk_fill_file(0, SIZE, 1);
    for (unsigned i = 0; i < 20; i++) {
        script.busy = 1 + i * 7;
        cr_assert_eq(blk_request(BLK_IN, i, 512), BLK_OK);
        cr_assert(blk_is(blk_data(512), 512 * i, 512, 1));
    }
}

/* As io_uring reads when a file system gives less than it was asked for. */
Test(blk_host, what_was_done_in_part_is_started_again_before_it_sleeps)
{
    blk_ready(SIZE);
    for (unsigned i = 0; i < 20; i++) {
        script.partial = 1 + i % 3;
        cr_assert_eq(blk_request(BLK_FLUSH, i, 0), BLK_OK);
        cr_assert_eq(script.partial, 0);
    }
}

Test(blk_host, a_reset_ends_also_if_something_was_done_in_part)
{
    blk_ready(SIZE);
    for (unsigned i = 0; i < 3; i++) {
        offer_64();
        rig_begin_reset();
        rig_turn();
        script.partial = 10;
        script.hold = false;
        script_release(64);
        for (unsigned turns = 0; rig_get(REG_STATUS) && turns < 100; turns++)
            mv_loop_turn(&rig.loop, 0);
        cr_assert_eq(rig_get(REG_STATUS), 0);
        blk_go(BLK_F_USUAL);
    }
}

/* Of what was offered the engine has one request, and gives it back after the driver's reset. */
static void reset_with_one_in_flight(void)
{
    rig_set(REG_QUEUE_NOTIFY, 0);
    rig_turn();
    rig_begin_reset();
    rig_turn();
    script_release(1);
    rig_turn();
    cr_expect_eq(rig_get(REG_STATUS), 0);
}

Test(blk_host, a_reset_in_the_middle_of_ranges_ends_them)
{
    const struct blk_range ranges[] = {{0, 8, 0}, {8, 8, 0}, {16, 8, 0}};

    blk_ready(SIZE);
    script.hold = true;
    blk_offer(0, 0, BLK_DISCARD, 0, 48);
    memcpy(blk_slot_data(0, 0), ranges, 48);
    reset_with_one_in_flight();
    cr_expect_eq(script.log_count, 1);
}

Test(blk_host, its_end_with_requests_in_flight_frees_all)
{
    blk_ready(SIZE);
    offer_64();
    blk_offer(0, 0, BLK_FLUSH, 0, 0); /* the suite's end follows: a sanitizer counts */
}

/* ---- more than may be in flight at once ---- */

/* In the 64 slots of a queue, requests of one size at one place. */
static void offer_alike(unsigned queue, uint32_t type, mv_gpa data, uint32_t size)
{
    for (unsigned slot = 0; slot < 64; slot++) {
        struct ring_descriptor *d = &ring_table(&blk.rings[queue])[4 * slot + 1];

        blk_offer(queue, slot, type, 0, 512);
        d->addr = data;
        d->len = size;
    }
}

Test(blk_host, what_is_in_flight_has_a_bound_however_many_and_large_the_requests_are)
{
    blk.queues = 4;
    blk_ready(64 * SIZE);
    script.hold = true;
    for (unsigned queue = 0; queue < 4; queue++)
        offer_alike(queue, queue % 2 ? BLK_OUT : BLK_IN, RIG_DATA, 64 * SIZE);
    rig_set(REG_QUEUE_NOTIFY, 0);
    for (unsigned i = 0; i < 200; i++) {
        rig_turn();
        cr_assert_leq(script_held(), MV_BLK_IN_FLIGHT);
        cr_assert_geq(script_held(), MV_BLK_IN_FLIGHT / 2);
        script_release(script.started_count);
    }
    rig_begin_reset();
    rig_turn();
    script_release(script.started_count);
    rig_turn();
    cr_expect_eq(rig_get(REG_STATUS), 0, "a reset does not wait for what had not begun");
    blk_go(BLK_F_USUAL);
    script.hold = false;
    cr_expect_eq(blk_request(BLK_IN, 0, 512), BLK_OK);
}

/* Each turn of the loop reads something, and no more than so much. */
static void check_turns(uint64_t most)
{
    uint64_t before, now = 0;

    blk_ready(64 * SIZE);
    offer_alike(0, BLK_IN, RIG_DATA, 64 * SIZE); /* 4 GiB */
    rig_set(REG_QUEUE_NOTIFY, 0);
    for (unsigned i = 0; i < 10; i++) {
        before = now;
        mv_loop_turn(&rig.loop, 0);
        now = script_bytes(MV_IO_READ) - script_held(); /* read within the call that starts it */
        cr_expect(now > before && now - before <= most);
    }
    rig_reset();
}

Test(blk_host, one_turn_of_the_loop_starts_no_more_than_may_be_in_flight)
{
    check_turns(MV_BLK_IN_FLIGHT);
}

Test(blk_host, an_engine_that_is_done_as_soon_as_asked_does_not_keep_the_loop)
{
    script.eager = true;
    check_turns(3 * MV_BLK_IN_FLIGHT); /* what is reaped, taken, and reaped again */
}

static bool is_asleep(void *context)
{
    (void)context;
    return !rig.loop.pollers;
}

Test(blk_host, what_does_not_fit_waits_in_its_queue_and_each_queue_has_its_turn)
{
    unsigned answers = 0, of[3] = {0};

    blk.queues = 3;
    blk.in_flight = 64 * MV_KIB;
    blk_ready(SIZE);
    blk_fill_file(0, SIZE, 1);
    script.hold = true;
    for (unsigned queue = 0; queue < 3; queue++)
        for (unsigned slot = 0; slot < 64; slot++)
            blk_offer(queue, slot, BLK_IN, slot, BLK_SLOT_DATA);
    rig_set(REG_QUEUE_NOTIFY, 0);
    while (answers < 3 * 64) {
        struct ring_used used;

        rig_turn();
        cr_assert(script.started_count > 0 && script_held() <= blk.in_flight);
        cr_assert(rig_wait(is_asleep, NULL), "it does not look at what it cannot take");
        script_release(1);
        rig_turn();
        for (unsigned queue = 0; queue < 3; queue++)
            while (ring_take(&blk.rings[queue], &used)) {
                unsigned slot = used.id / 4;

                cr_assert_eq(*blk_slot_status(queue, slot), BLK_OK);
                cr_assert(blk_is(blk_slot_data(queue, slot), 512 * slot, BLK_SLOT_DATA, 1));
                answers++;
                of[queue]++;
            }
        if (answers == 96)
            cr_expect(of[0] > 25 && of[1] > 25 && of[2] > 25, "%u, %u, %u", of[0], of[1], of[2]);
    }
}

Test(blk_host, a_flood_of_requests_that_need_no_disk_does_not_keep_the_loop)
{
    blk.queues = 64;
    blk_ready(SIZE);
    for (unsigned queue = 0; queue < 64; queue++)
        for (unsigned slot = 0; slot < 64; slot++)
            blk_offer(queue, slot, BLK_GET_ID, 0, 20);
    rig_set(REG_QUEUE_NOTIFY, 0);
    mv_loop_turn(&rig.loop, 0);
    for (unsigned queue = 0; queue < 64; queue++)
        blk.written += ring_used(&blk.rings[queue])[1];
    cr_expect_leq(blk.written, MV_QUEUE_MAX);
    for (unsigned queue = 0; queue < 64; queue++)
        blk_wait_answers(queue, 64);
}

Test(blk_host, its_end_with_requests_that_wait_frees_all)
{
    blk.in_flight = 64 * MV_KIB;
    blk_ready(SIZE);
    script.hold = true;
    offer_alike(0, BLK_IN, RIG_DATA, SIZE);
    rig_set(REG_QUEUE_NOTIFY, 0);
    rig_turn();
    cr_expect_lt(script.started_count, 64); /* the suite's end follows: a sanitizer counts */
}

Test(blk_host, a_reset_in_the_middle_of_a_transfer_ends_it)
{
    blk_ready(4 * SIZE);
    script.hold = true;
    blk_offer(0, 0, BLK_IN, 0, 512);
    ring_table(&blk.rings[0])[1].len = 4 * SIZE;
    reset_with_one_in_flight();
    cr_expect_eq(script.log_count, 1);
    cr_expect_eq(script.cancels, 1);
}

/* ---- another size ---- */

static void rescan(void)
{
    pthread_mutex_lock(&rig.device.lock);
    rig.device.ops->rescan(rig.device.state);
    pthread_mutex_unlock(&rig.device.lock);
}

Test(blk_host, a_transfer_whose_end_has_shrunk_away_since_it_began_does_not_make_the_disk_grow)
{
    blk_ready(SIZE);
    script.hold = true;
    blk_offer(0, 0, BLK_OUT, 0, 512);
    ring_table(&blk.rings[0])[1].len = SIZE;
    rig_set(REG_QUEUE_NOTIFY, 0);
    rig_turn();
    cr_assert_eq(ftruncate(blk.file, SIZE / 2), 0);
    rescan();
    script_release(1);
    blk_wait_answers(0, 1);
    cr_expect_eq(*blk_slot_status(0, 0), BLK_IOERR);
    cr_expect_eq(script.log_count, 1);
    cr_expect_eq(lseek(blk.file, 0, SEEK_END), SIZE / 2);
}

Test(blk_host, a_range_that_has_shrunk_away_since_the_request_began_is_an_error)
{
    const struct blk_range ranges[] = {{0, 8, 0}, {8, 8, 0}};

    blk_ready(SIZE);
    script.hold = true;
    blk_offer(0, 0, BLK_WRITE_ZEROES, 0, 32);
    memcpy(blk_slot_data(0, 0), ranges, 32);
    rig_set(REG_QUEUE_NOTIFY, 0);
    rig_turn();
    cr_assert_eq(ftruncate(blk.file, 4096), 0);
    rescan();
    script_release(1);
    blk_wait_answers(0, 1);
    cr_expect_eq(*blk_slot_status(0, 0), BLK_IOERR);
    cr_expect_eq(script.log_count, 1, "the second range does not reach the host");
}

Test(blk_host, a_disk_that_has_grown_is_announced_and_can_be_used)
{
    blk_ready(SIZE);
    rescan();
    cr_expect_eq(rig_get(REG_CONFIG_GENERATION), 0, "nothing has changed");
    cr_expect_eq(atomic_load(&rig.interrupts), 0);
    cr_assert_eq(ftruncate(blk.file, 2 * SIZE + 700), 0);
    cr_expect_eq(blk_request(BLK_IN, SECTORS, 512), BLK_IOERR, "not yet");
    rig_set(REG_INTERRUPT_ACK, 1);
    rescan();
    cr_expect_eq(rig_get(REG_CONFIG_GENERATION), 2);
    cr_expect_eq(rig_get(REG_INTERRUPT_STATUS), 2);
    cr_expect_eq(blk_config(CONFIG_CAPACITY, 8), 2 * SECTORS + 1, "whole sectors");
    cr_expect_eq(blk_request(BLK_IN, 2 * SECTORS, 512), BLK_OK);
    cr_expect_eq(blk_request(BLK_IN, 2 * SECTORS + 1, 512), BLK_IOERR);
}

Test(blk_host, a_disk_that_has_shrunk_is_announced_too)
{
    blk_ready(SIZE);
    cr_assert_eq(ftruncate(blk.file, SIZE / 2), 0);
    rescan();
    cr_expect_eq(blk_config(CONFIG_CAPACITY, 8), SECTORS / 2);
    cr_expect_eq(blk_request(BLK_OUT, SECTORS / 2, 512), BLK_IOERR);
    cr_expect_eq(lseek(blk.file, 0, SEEK_END), SIZE / 2, "it does not grow by itself");
    cr_expect_eq(blk_request(BLK_OUT, SECTORS / 2 - 1, 512), BLK_OK);
    cr_assert_eq(ftruncate(blk.file, 0), 0);
    rescan();
    cr_expect_eq(blk_config(CONFIG_CAPACITY, 8), 0);
    cr_expect_eq(blk_request(BLK_IN, 0, 512), BLK_IOERR);
    cr_expect_eq(blk_request(BLK_FLUSH, 0, 0), BLK_OK);
    cr_expect_eq(rig_get(REG_CONFIG_GENERATION), 4);
}

Test(blk_host, another_size_outlives_a_reset)
{
    blk_ready(SIZE);
    cr_assert_eq(ftruncate(blk.file, 2 * SIZE), 0);
    rescan();
    rig_reset();
    cr_expect_eq(blk_config(CONFIG_CAPACITY, 8), 2 * SECTORS);
    blk_go(BLK_F_USUAL);
    cr_expect_eq(blk_request(BLK_IN, 2 * SECTORS - 1, 512), BLK_OK);
}

/* ---- direct I/O ---- */

static void ready_direct(uint64_t size)
{
    int fd;

    blk_make(size);
    fd = open(blk.path, O_RDONLY | O_DIRECT | O_CLOEXEC);
    if (fd < 0)
        blk_skip("/tmp has no direct I/O");
    close(fd);
    blk.disk.direct = true;
    blk_attach();
    blk_go(BLK_F_USUAL);
}

Test(blk_host, direct_takes_buffers_at_any_address)
{
    uint32_t block;

    ready_direct(16 * SIZE);
    block = (uint32_t)blk_config(20, 4);
    cr_expect(block == 512 || block == 4096);
    for (unsigned shift = 0; shift < 4; shift++) {
        mv_gpa at = RIG_DATA + shift * 7;
        const struct ring_part parts[] = {{BLK_HEADER, 16, false},
                                          {at, 1000, false},
                                          {at + 1000, 3 * block - 1000, false},
                                          {BLK_STATUS, 1, true}};
        const struct ring_part in[] = {
            parts[0], {at, 3, true}, {at + 3, 3 * block - 3, true}, parts[3]};

        blk_fill(rig_at(at, 3 * block), 5 * block, 3 * block, shift);
        blk_put_header(BLK_OUT, 5 * block / 512);
        cr_expect_eq(blk_request_parts(parts, 4), BLK_OK);
        cr_expect(blk_file_is(5 * block, 3 * block, shift));
        memset(rig_at(at, 3 * block + 1), 0xaa, 3 * block + 1);
        blk_put_header(BLK_IN, 5 * block / 512);
        cr_expect_eq(blk_request_parts(in, 4), BLK_OK);
        cr_expect_eq(blk.written, 3 * block + 1);
        cr_expect(blk_is(rig_at(at, 3 * block), 5 * block, 3 * block, shift));
        cr_expect_eq(*(uint8_t *)rig_at(at + 3 * block, 1), 0xaa);
    }
    cr_expect_eq(blk_request(BLK_OUT, 0, 8 * SIZE), BLK_OK, "aligned, of any size");
}

Test(blk_host, direct_copies_large_transfers_in_steps)
{
    const struct ring_part parts[] = {
        {BLK_HEADER, 16, false}, {RIG_DATA + 1, 8 * SIZE, false}, {BLK_STATUS, 1, true}};
    const struct ring_part in[] = {
        parts[0], {RIG_DATA + 3, 1, true}, {RIG_DATA + 4, 8 * SIZE - 1, true}, parts[2]};

    ready_direct(16 * SIZE);
    blk_fill(rig_at(RIG_DATA + 1, 8 * SIZE), 0, 8 * SIZE, 1);
    blk_put_header(BLK_OUT, 0);
    cr_expect_eq(blk_request_parts(parts, 3), BLK_OK);
    cr_expect(blk_file_is(0, 8 * SIZE, 1));
    memset(blk_data(9 * SIZE), 0, 9 * SIZE);
    blk_put_header(BLK_IN, 0);
    cr_expect_eq(blk_request_parts(in, 4), BLK_OK);
    cr_expect(blk_is(rig_at(RIG_DATA + 3, 8 * SIZE), 0, 8 * SIZE, 1));
}

/* Requests of any size, of which as many as there can be are in flight. */
Test(blk_host, direct_does_not_copy_more_than_may_be_in_flight)
{
    static const uint32_t sizes[] = {4096, 64 * 1024, 4096 * 1024};

    blk.queues = 4;
    blk.in_flight = 2 * MV_MIB;
    ready_direct(16 * SIZE);
    script.hold = true;
    for (unsigned i = 0; i < MV_COUNT(sizes); i++) {
        uint64_t most = 0;

        for (unsigned queue = 0; queue < 4; queue++)
            offer_alike(queue, i % 2 ? BLK_OUT : BLK_IN, RIG_DATA + 1, sizes[i]);
        rig_set(REG_QUEUE_NOTIFY, 0);
        for (unsigned turns = 0; turns < 4 || script.held_count; turns++) {
            rig_turn();
            most = mv_max(most, script_held_outside());
            script_release(script.started_count / 2 + (script.started_count == 1));
        }
        cr_expect(most > blk.in_flight / 4 && most <= blk.in_flight, "%llu bytes",
                  (unsigned long long)most);
        for (unsigned queue = 0; queue < 4; queue++)
            blk_wait_answers(queue, 64);
    }
}

Test(blk_host, a_reset_keeps_what_direct_has_copied_from_the_guest)
{
    const struct ring_part parts[] = {
        {BLK_HEADER, 16, false}, {RIG_DATA + 1, 4096, true}, {BLK_STATUS, 1, true}};

    ready_direct(SIZE);
    script.hold = true;
    blk_put_header(BLK_IN, 0);
    memset(blk_data(8192), 0xaa, 8192);
    ring_offer_parts(&blk.rings[0], 0, parts, 3);
    reset_with_one_in_flight();
    for (unsigned i = 0; i < 8192; i++)
        cr_assert_eq(blk_data(8192)[i], 0xaa);
}

Test(blk_host, an_error_of_direct_leaves_the_guests_buffer_alone)
{
    const struct ring_part parts[] = {
        {BLK_HEADER, 16, false}, {RIG_DATA + 1, 4096, true}, {BLK_STATUS, 1, true}};

    ready_direct(SIZE);
    memset(blk_data(8192), 0xaa, 8192);
    blk_put_header(BLK_IN, 0);
    script.errors[MV_IO_READ] = -EIO;
    cr_expect_eq(blk_request_parts(parts, 3), BLK_IOERR);
    cr_expect_eq(blk_data(8192)[1], 0xaa);
}
