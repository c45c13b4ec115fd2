/* SPDX-License-Identifier: MIT */
/* The split virtqueue against virtio 1.2, 2.7, with a driver that breaks every rule. */
#include "virtio/queue.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "virtio_rig.h"

#define BOTH (MV_RING_F_INDIRECT_DESC | MV_RING_F_EVENT_IDX)

static struct mv_queue queue;
static struct mv_chain chain;
static struct ring ring;

/* A ring of so many descriptors, and the queue that the device has for it. */
static bool enable(unsigned size, uint64_t features)
{
    ring_place(&ring, RIG_RINGS, size);
    mv_queue_reset(&queue);
    queue.state.size = size;
    queue.state.desc = ring.desc;
    queue.state.avail = ring.avail;
    queue.state.used = ring.used;
    return mv_queue_enable(&queue, &rig.mem, features);
}

static void start(void)
{
    rig_start();
    cr_assert(enable(16, BOTH));
}

TestSuite(queue, .init = start, .fini = rig_stop);

static enum mv_queue_result pop(void)
{
    return mv_queue_pop(&queue, &chain);
}

/* The chain at descriptor 0 breaks the queue, for ever. */
static void expect_broken(const char *why)
{
    ring_offer(&ring, 0);
    cr_expect_eq(pop(), MV_QUEUE_BROKEN, "%s", why);
    cr_expect_eq(pop(), MV_QUEUE_BROKEN, "%s: it stays so", why);
    cr_expect(!mv_queue_listen(&queue), "%s: nothing is to be had from it", why);
    cr_assert(enable(ring.size, BOTH));
}

static void expect_good(const char *why)
{
    ring_offer(&ring, 0);
    cr_assert_eq(pop(), MV_QUEUE_CHAIN, "%s", why);
    mv_queue_push(&queue, (uint16_t)chain.head, 0);
}

/* ---- chains ---- */

Test(queue, a_chain_is_found_with_its_buffers_in_order)
{
    ring_describe(&ring, 7, RIG_DATA, 16, RING_NEXT, 2);
    ring_describe(&ring, 2, RIG_DATA + 100, 30, RING_NEXT, 15);
    ring_describe(&ring, 15, RIG_HIGH, 4096, RING_NEXT | RING_WRITE, 0);
    ring_describe(&ring, 0, RIG_DATA + 1, 1, RING_WRITE, 99);
    cr_expect_eq(pop(), MV_QUEUE_EMPTY);
    ring_offer(&ring, 7);
    cr_assert_eq(pop(), MV_QUEUE_CHAIN);
    cr_expect_eq(chain.head, 7);
    cr_expect(chain.out_count == 2 && chain.in_count == 2);
    cr_expect(chain.out_size == 46 && chain.in_size == 4097);
    cr_expect_eq(chain.iov[0].iov_base, rig_at(RIG_DATA, 16));
    cr_expect_eq(chain.iov[1].iov_base, rig_at(RIG_DATA + 100, 30));
    cr_expect_eq(chain.iov[2].iov_base, rig_at(RIG_HIGH, 4096));
    cr_expect_eq(chain.iov[3].iov_base, rig_at(RIG_DATA + 1, 1));
    cr_expect_eq(chain.iov[2].iov_len, 4096);
    cr_expect_eq(pop(), MV_QUEUE_EMPTY);
}

Test(queue, answers_are_seen_when_published_in_the_order_of_the_pushes)
{
    struct ring_used used;

    for (unsigned i = 0; i < 3; i++) {
        ring_describe(&ring, i, RIG_DATA, 8, RING_WRITE, 0);
        ring_offer(&ring, i);
        cr_assert_eq(pop(), MV_QUEUE_CHAIN);
    }
    mv_queue_push(&queue, 2, 22);
    mv_queue_push(&queue, 0, 0);
    cr_expect(!ring_take(&ring, &used), "not published");
    mv_queue_publish(&queue);
    mv_queue_push(&queue, 1, 11);
    cr_assert(ring_take(&ring, &used));
    cr_expect(used.id == 2 && used.len == 22);
    cr_assert(ring_take(&ring, &used));
    cr_expect(used.id == 0 && used.len == 0);
    cr_expect(!ring_take(&ring, &used));
    mv_queue_publish(&queue);
    cr_assert(ring_take(&ring, &used));
    cr_expect(used.id == 1 && used.len == 11);
}

Test(queue, a_chain_that_loops_breaks_it)
{
    ring_describe(&ring, 0, RIG_DATA, 8, RING_NEXT, 0);
    expect_broken("to itself");
    ring_describe(&ring, 0, RIG_DATA, 8, RING_NEXT, 1);
    ring_describe(&ring, 1, RIG_DATA, 8, RING_NEXT, 0);
    expect_broken("of two");
    for (unsigned i = 0; i < 16; i++)
        ring_describe(&ring, i, RIG_DATA, 8, RING_NEXT, (i + 1) % 16);
    expect_broken("of all");
    for (unsigned i = 0; i < 16; i++)
        ring_describe(&ring, i, RIG_DATA, 0, RING_NEXT | RING_WRITE, i < 15 ? i + 1 : 8);
    expect_broken("of empty buffers, to the middle");
}

Test(queue, a_chain_may_be_as_long_as_the_queue_and_no_longer)
{
    static const unsigned sizes[] = {1, 2, 16, 256};

    for (unsigned i = 0; i < MV_COUNT(sizes); i++) {
        unsigned size = sizes[i];

        cr_assert(enable(size, BOTH));
        for (unsigned at = 0; at < size; at++)
            ring_describe(&ring, at, RIG_DATA, 8, at + 1 < size ? RING_NEXT : 0, at + 1);
        expect_good("all descriptors");
        cr_expect_eq(chain.out_count, size);
        ring_describe(&ring, size - 1, RIG_DATA, 8, RING_NEXT, 0);
        expect_broken("one more");
    }
}

Test(queue, a_head_beyond_the_queue_breaks_it)
{
    static const unsigned heads[] = {16, 17, 255, 256, 0x7fff, 0x8000, 0xffff};

    for (unsigned i = 0; i < MV_COUNT(heads); i++) {
        ring_describe(&ring, 0, RIG_DATA, 8, 0, 0);
        ring_offer(&ring, heads[i]);
        cr_expect_eq(pop(), MV_QUEUE_BROKEN, "head %u", heads[i]);
        cr_assert(enable(16, BOTH));
    }
}

Test(queue, a_next_beyond_the_queue_breaks_it)
{
    static const unsigned nexts[] = {16, 17, 255, 256, 0x8000, 0xffff};

    for (unsigned i = 0; i < MV_COUNT(nexts); i++) {
        ring_describe(&ring, 0, RIG_DATA, 8, RING_NEXT, nexts[i]);
        expect_broken("next");
    }
    ring_describe(&ring, 0, RIG_DATA, 8, 0, 0xffff);
    expect_good("without NEXT it does not count");
}

Test(queue, a_buffer_is_memory_to_its_last_byte_or_breaks_it)
{
    static const struct {
        uint64_t addr;
        uint32_t len;
        bool good;
    } rows[] = {
        {0, 1, true},
        {0, 0x80000000, true},
        {0, 0x80000001, false}, /* ends in the hole */
        {RIG_LOW - 16, 16, true},
        {RIG_LOW - 16, 17, false},
        {RIG_LOW - 1, 0x80000002, false}, /* spans the hole */
        {RIG_LOW, 1, false},
        {RIG_DEVICE, 4, false},
        {RIG_HIGH - 1, 1, false},
        {RIG_HIGH - 1, 2, false},
        {RIG_HIGH, (uint32_t)RIG_HIGH_SIZE, true},
        {RIG_HIGH, (uint32_t)RIG_HIGH_SIZE + 1, false},
        {RIG_HIGH + RIG_HIGH_SIZE - 1, 1, true},
        {RIG_HIGH + RIG_HIGH_SIZE - 1, 2, false},
        {RIG_HIGH, UINT32_MAX, false},
        {UINT64_MAX, 1, false},
        {UINT64_MAX, 2, false}, /* wraps */
        {UINT64_MAX - 15, 16, false},
        {UINT64_MAX - 15, 32, false},
        {UINT64_MAX - 0xfffffffe, UINT32_MAX, false},
        {1ull << 63, 1, false},
    };

    for (unsigned i = 0; i < MV_COUNT(rows); i++)
        for (unsigned flags = 0; flags <= RING_WRITE; flags += RING_WRITE) {
            ring_describe(&ring, 0, rows[i].addr, rows[i].len, flags, 0);
            if (rows[i].good)
                expect_good("a buffer in memory");
            else
                expect_broken("a buffer outside");
        }
}

Test(queue, empty_buffers_are_taken_where_there_is_memory)
{
    ring_describe(&ring, 0, RIG_DATA, 0, RING_NEXT, 1);
    ring_describe(&ring, 1, RIG_DATA, 0, RING_WRITE, 0);
    expect_good("empty");
    cr_expect(chain.out_count == 1 && chain.in_count == 1);
    cr_expect(chain.out_size == 0 && chain.in_size == 0);
    ring_describe(&ring, 0, RIG_LOW, 0, 0, 0);
    expect_broken("empty, in the hole");
    ring_describe(&ring, 0, UINT64_MAX, 0, 0, 0);
    expect_broken("empty, at the end of addresses");
}

Test(queue, readable_after_writable_breaks_it)
{
    ring_describe(&ring, 0, RIG_DATA, 8, RING_NEXT | RING_WRITE, 1);
    ring_describe(&ring, 1, RIG_DATA, 8, 0, 0);
    expect_broken("one of each");
    ring_describe(&ring, 0, RIG_DATA, 8, RING_NEXT, 1);
    ring_describe(&ring, 1, RIG_DATA, 0, RING_NEXT | RING_WRITE, 2);
    ring_describe(&ring, 2, RIG_DATA, 8, 0, 0);
    expect_broken("after an empty one");
}

Test(queue, more_than_2_to_the_32_bytes_break_it)
{
    ring_describe(&ring, 0, 0, 0x80000000, RING_NEXT, 1);
    ring_describe(&ring, 1, 0, 0x7fffffff, RING_WRITE, 0);
    expect_good("one less");
    cr_expect_eq(chain.out_size + chain.in_size, UINT32_MAX);
    ring_describe(&ring, 1, 0, 0x80000000, RING_NEXT | RING_WRITE, 2);
    ring_describe(&ring, 2, 0, 1, RING_WRITE, 0);
    expect_broken("one more, of both directions");
    for (unsigned i = 0; i < 16; i++)
        ring_describe(&ring, i, 0, 0x80000000, i < 15 ? RING_NEXT : 0, i + 1);
    expect_broken("32 GiB");
}

/* ---- indirect tables ---- */

#define TABLE (RIG_DATA + 0x10000)

static void describe_indirect(unsigned index, mv_gpa addr, uint32_t len, unsigned flags,
                              unsigned next)
{
    *(struct ring_descriptor *)rig_at(TABLE + 16ull * index, 16) = (struct ring_descriptor){
        .addr = addr, .len = len, .flags = (uint16_t)flags, .next = (uint16_t)next};
}

static void fill_table(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        describe_indirect(i, RIG_DATA + i, 1, i + 1 < count ? RING_NEXT : 0, i + 1);
}

Test(queue, an_indirect_table_stands_for_its_chain)
{
    describe_indirect(0, RIG_DATA, 3, RING_NEXT, 2);
    describe_indirect(2, RIG_DATA + 8, 5, RING_NEXT | RING_WRITE, 1);
    describe_indirect(1, RIG_DATA + 16, 7, RING_WRITE, 0);
    ring_describe(&ring, 0, TABLE, 3 * 16, RING_INDIRECT, 0);
    expect_good("alone");
    cr_expect(chain.out_count == 1 && chain.in_count == 2);
    cr_expect(chain.out_size == 3 && chain.in_size == 12);
    cr_expect_eq(chain.iov[2].iov_base, rig_at(RIG_DATA + 16, 7));
    /* 2.7.5.3.2: "the device MUST ignore the write-only flag" */
    ring_describe(&ring, 0, TABLE, 3 * 16, RING_INDIRECT | RING_WRITE, 0);
    expect_good("marked writable");
    cr_expect_eq(chain.out_count, 1);
}

Test(queue, an_indirect_table_may_come_at_the_end_of_a_chain)
{
    describe_indirect(0, RIG_DATA, 3, RING_WRITE, 0);
    ring_describe(&ring, 0, RIG_DATA, 8, RING_NEXT, 5);
    ring_describe(&ring, 5, TABLE, 16, RING_INDIRECT, 0);
    expect_good("after a buffer");
    cr_expect(chain.out_size == 8 && chain.in_size == 3);
    ring_describe(&ring, 0, RIG_DATA, 8, RING_NEXT | RING_WRITE, 5);
    describe_indirect(0, RIG_DATA, 3, 0, 0);
    expect_broken("readable in the table after writable before");
}

Test(queue, indirect_that_was_not_negotiated_breaks_it)
{
    cr_assert(enable(16, MV_RING_F_EVENT_IDX));
    fill_table(1);
    ring_describe(&ring, 0, TABLE, 16, RING_INDIRECT, 0);
    ring_offer(&ring, 0);
    cr_expect_eq(pop(), MV_QUEUE_BROKEN);
}

Test(queue, an_indirect_table_with_next_breaks_it)
{
    fill_table(1);
    ring_describe(&ring, 0, TABLE, 16, RING_INDIRECT | RING_NEXT, 1);
    ring_describe(&ring, 1, RIG_DATA, 8, 0, 0);
    expect_broken("2.7.5.3.1");
}

Test(queue, a_nested_indirect_table_breaks_it)
{
    describe_indirect(0, TABLE + 16, 16, RING_INDIRECT, 0);
    describe_indirect(1, RIG_DATA, 8, 0, 0);
    ring_describe(&ring, 0, TABLE, 16, RING_INDIRECT, 0);
    expect_broken("first");
    describe_indirect(0, RIG_DATA, 8, RING_NEXT, 1);
    describe_indirect(1, TABLE, 32, RING_INDIRECT, 0);
    ring_describe(&ring, 0, TABLE, 32, RING_INDIRECT, 0);
    expect_broken("last, and itself");
}

Test(queue, an_indirect_table_of_a_bad_length_breaks_it)
{
    static const uint32_t bad[] = {0,  1,  15, 17,       24,         31,
                                   33, 40, 47, 16 * 257, 0x80000000, UINT32_MAX};

    fill_table(2);
    for (unsigned i = 0; i < MV_COUNT(bad); i++) {
        ring_describe(&ring, 0, TABLE, bad[i], RING_INDIRECT, 0);
        expect_broken("length");
    }
    ring_describe(&ring, 0, TABLE, 32, RING_INDIRECT, 0);
    expect_good("two descriptors");
}

Test(queue, an_indirect_table_outside_of_memory_breaks_it)
{
    static const uint64_t bad[] = {
        RIG_LOW - 16,    RIG_LOW,         RIG_HIGH - 16, RIG_HIGH + RIG_HIGH_SIZE - 31,
        UINT64_MAX - 31, UINT64_MAX - 15, UINT64_MAX};

    for (unsigned i = 0; i < MV_COUNT(bad); i++) {
        ring_describe(&ring, 0, bad[i], 32, RING_INDIRECT, 0);
        expect_broken("table");
    }
    ring_describe(&ring, 0, RIG_HIGH + RIG_HIGH_SIZE - 32, 32, RING_INDIRECT, 0);
    *(struct ring_descriptor *)rig_at(RIG_HIGH + RIG_HIGH_SIZE - 32, 16) =
        (struct ring_descriptor){.addr = RIG_DATA, .len = 1};
    expect_good("in the last bytes");
}

Test(queue, a_chain_in_an_indirect_table_that_loops_or_leaves_it_breaks_it)
{
    fill_table(4);
    describe_indirect(3, RIG_DATA, 1, RING_NEXT, 0);
    ring_describe(&ring, 0, TABLE, 64, RING_INDIRECT, 0);
    expect_broken("loop");
    describe_indirect(3, RIG_DATA, 1, RING_NEXT, 4);
    expect_broken("one beyond, which is memory");
    describe_indirect(3, RIG_DATA, 1, RING_NEXT, 0xffff);
    expect_broken("far beyond");
}

Test(queue, an_indirect_chain_has_256_buffers_at_most_with_those_before_it)
{
    cr_assert(enable(256, BOTH));
    fill_table(256);
    ring_describe(&ring, 0, TABLE, 16 * 256, RING_INDIRECT, 0);
    expect_good("256");
    cr_expect_eq(chain.out_count, 256);
    ring_describe(&ring, 0, RIG_DATA, 8, RING_NEXT, 1);
    ring_describe(&ring, 1, TABLE, 16 * 256, RING_INDIRECT, 0);
    expect_broken("1 + 256");
    for (unsigned i = 0; i < 255; i++)
        ring_describe(&ring, i, RIG_DATA, 8, RING_NEXT, i + 1);
    fill_table(1);
    ring_describe(&ring, 255, TABLE, 16, RING_INDIRECT, 0);
    expect_good("255 + 1");
    fill_table(2);
    ring_describe(&ring, 255, TABLE, 32, RING_INDIRECT, 0);
    expect_broken("255 + 2");
}

/* ---- the available ring ---- */

Test(queue, an_available_index_that_jumps_by_more_than_the_queue_breaks_it)
{
    for (unsigned jump = 17; jump < 65536; jump = jump < 20 ? jump + 1 : 2 * jump - 3) {
        ring_avail(&ring)[1] = (uint16_t)jump;
        cr_expect_eq(pop(), MV_QUEUE_BROKEN, "by %u", jump);
        cr_assert(enable(16, BOTH));
    }
    for (unsigned i = 0; i < 16; i++) {
        ring_describe(&ring, i, RIG_DATA, 1, 0, 0);
        ring_avail(&ring)[2 + i] = (uint16_t)i;
    }
    ring_avail(&ring)[1] = 16;
    for (unsigned i = 0; i < 16; i++)
        cr_assert_eq(pop(), MV_QUEUE_CHAIN);
    cr_expect_eq(pop(), MV_QUEUE_EMPTY);
}

Test(queue, an_available_index_that_goes_back_breaks_it)
{
    ring_describe(&ring, 0, RIG_DATA, 1, 0, 0);
    expect_good("one");
    ring_avail(&ring)[1] = 0;
    cr_expect_eq(pop(), MV_QUEUE_BROKEN);
}

Test(queue, a_head_that_is_in_flight_breaks_it)
{
    ring_describe(&ring, 3, RIG_DATA, 1, 0, 0);
    ring_offer(&ring, 3);
    ring_offer(&ring, 3);
    cr_assert_eq(pop(), MV_QUEUE_CHAIN);
    cr_expect_eq(pop(), MV_QUEUE_BROKEN);
}

Test(queue, a_head_may_come_again_after_its_answer)
{
    cr_assert(enable(256, BOTH));
    for (unsigned round = 0; round < 3; round++)
        for (unsigned head = 0; head < 256; head++) {
            ring_describe(&ring, head, RIG_DATA, 1, 0, 0);
            ring_offer(&ring, head);
            cr_assert_eq(pop(), MV_QUEUE_CHAIN);
            cr_assert_eq(chain.head, head);
            mv_queue_push(&queue, (uint16_t)head, 0);
        }
}

/* The device's side of a request: the complement of what it is given. */
static void serve(void)
{
    const uint64_t *from = chain.iov[0].iov_base;
    uint64_t *to = chain.iov[chain.out_count].iov_base;

    cr_assert(chain.out_count == 1 && chain.in_count == 1);
    *to = ~*from;
    mv_queue_push(&queue, (uint16_t)chain.head, (uint32_t)(*from % 1000));
}

/* A few requests, answered out of order; each has its two descriptors and data. */
static void exchange(uint64_t number, unsigned count)
{
    unsigned slots = ring.size / 2;
    uint16_t heads[128];
    struct ring_used used;

    for (unsigned i = 0; i < count; i++) {
        unsigned slot = (unsigned)((number + i) % slots);
        uint64_t *data = rig_at(RIG_DATA + 16ull * slot, 16);

        data[0] = number + i;
        data[1] = 0;
        ring_describe(&ring, 2 * slot, RIG_DATA + 16ull * slot, 8, RING_NEXT, 2 * slot + 1);
        ring_describe(&ring, 2 * slot + 1, RIG_DATA + 16ull * slot + 8, 8, RING_WRITE, 0);
        ring_offer(&ring, 2 * slot);
        heads[count - 1 - i] = (uint16_t)(2 * slot);
    }
    for (unsigned i = 0; i < count; i++) {
        cr_assert_eq(pop(), MV_QUEUE_CHAIN);
        cr_assert_eq(chain.head, heads[count - 1 - i]);
        serve();
    }
    cr_assert_eq(pop(), MV_QUEUE_EMPTY);
    mv_queue_publish(&queue);
    for (unsigned i = 0; i < count; i++) {
        const uint64_t *data = rig_at(RIG_DATA + 16ull * ((number + i) % slots), 16);

        cr_assert(ring_take(&ring, &used));
        cr_assert_eq(used.id, heads[count - 1 - i]);
        cr_assert_eq(used.len, (number + i) % 1000);
        cr_assert(data[0] == number + i && data[1] == ~data[0]);
    }
    cr_assert(!ring_take(&ring, &used));
}

Test(queue, indices_wrap_over_70000_requests_and_all_data_is_right)
{
    static const unsigned sizes[] = {2, 16, 256};
    static const uint64_t features[] = {0, BOTH};

    for (unsigned i = 0; i < MV_COUNT(sizes); i++)
        for (unsigned j = 0; j < MV_COUNT(features); j++) {
            unsigned most = sizes[i] / 2, count;

            cr_assert(enable(sizes[i], features[j]));
            for (uint64_t number = 0; number < 70000; number += count) {
                count = 1 + (unsigned)(number * 2654435761u % most);
                exchange(number, count);
            }
            cr_expect_geq(ring.offered, 70000 % 65536);
        }
}

/* ---- enabling ---- */

Test(queue, a_size_is_a_power_of_two_up_to_256)
{
    static const uint32_t bad[] = {0,        3,          5,          6,       7,   12,
                                   100,      255,        257,        384,     512, 65536,
                                   1u << 16, 0x80000000, UINT32_MAX, 1u << 20};

    for (unsigned i = 0; i < MV_COUNT(bad); i++) {
        cr_assert(enable(16, 0));
        mv_queue_reset(&queue);
        queue.state =
            (struct mv_queue_state){.size = bad[i], .desc = 0, .avail = 0x100000, .used = 0x200000};
        cr_expect(!mv_queue_enable(&queue, &rig.mem, 0), "size %u", bad[i]);
        cr_expect(!queue.state.ready);
    }
    for (unsigned size = 1; size <= 256; size *= 2)
        cr_expect(enable(size, 0), "size %u", size);
}

static bool enable_at(mv_gpa desc, mv_gpa avail, mv_gpa used)
{
    mv_queue_reset(&queue);
    queue.state = (struct mv_queue_state){.size = 16, .desc = desc, .avail = avail, .used = used};
    return mv_queue_enable(&queue, &rig.mem, 0);
}

Test(queue, rings_have_to_be_aligned)
{
    mv_gpa good = RIG_RINGS;

    cr_expect(enable_at(good, good + 0x1000, good + 0x2000));
    for (unsigned i = 1; i < 16; i++)
        cr_expect(!enable_at(good + i, good + 0x1000, good + 0x2000), "descriptors");
    cr_expect(enable_at(good + 16, good + 0x1002, good + 0x2004));
    cr_expect(!enable_at(good, good + 0x1001, good + 0x2000), "available ring");
    for (unsigned i = 1; i < 4; i++)
        cr_expect(!enable_at(good, good + 0x1000, good + 0x2000 + i), "used ring");
}

Test(queue, rings_have_to_be_in_memory_to_their_last_byte)
{
    static const mv_gpa ends[] = {RIG_LOW, RIG_HIGH + RIG_HIGH_SIZE};
    static const mv_gpa outside[] = {
        RIG_LOW,    RIG_DEVICE, RIG_HIGH - 16,     RIG_HIGH + RIG_HIGH_SIZE,
        1ull << 52, 1ull << 63, UINT64_MAX - 0xff, UINT64_MAX - 0xf};
    mv_gpa good = RIG_RINGS, more = RIG_RINGS + 0x1000;

    for (unsigned i = 0; i < MV_COUNT(ends); i++) {
        cr_expect(enable_at(ends[i] - 16 * 16, good, more));
        cr_expect(!enable_at(ends[i] - 15 * 16, good, more));
        cr_expect(enable_at(good, ends[i] - (6 + 2 * 16), more), "with used_event");
        cr_expect(!enable_at(good, ends[i] - (4 + 2 * 16), more), "without it");
        cr_expect(enable_at(good, more, ends[i] - (8 + 8 * 16)), "with avail_event");
        cr_expect(!enable_at(good, more, ends[i] - (4 + 8 * 16)), "without it");
    }
    for (unsigned i = 0; i < MV_COUNT(outside); i++) {
        cr_expect(!enable_at(outside[i], good, more));
        cr_expect(!enable_at(good, outside[i], more));
        cr_expect(!enable_at(good, more, outside[i]));
    }
}

/* ---- suppression ---- */

/* One request from offer to publish; whether the driver is to be interrupted. */
static bool answer_one(void)
{
    ring_describe(&ring, 0, RIG_DATA, 1, RING_WRITE, 0);
    ring_offer(&ring, 0);
    cr_assert_eq(pop(), MV_QUEUE_CHAIN);
    mv_queue_push(&queue, 0, 1);
    return mv_queue_publish(&queue);
}

Test(queue, without_event_idx_the_drivers_flag_suppresses_interrupts)
{
    cr_assert(enable(16, 0));
    cr_expect(answer_one());
    ring_avail(&ring)[0] = 1;
    cr_expect(!answer_one());
    *ring_used_event(&ring) = 2;
    cr_expect(!answer_one(), "the event word has no meaning");
    ring_avail(&ring)[0] = 0xfffe;
    cr_expect(answer_one(), "nor have the other flags");
    cr_expect(!mv_queue_publish(&queue), "nothing new");
}

Test(queue, with_event_idx_the_flag_has_no_meaning)
{
    ring_avail(&ring)[0] = 1;
    *ring_used_event(&ring) = 0;
    cr_expect(answer_one());
}

Test(queue, without_event_idx_the_devices_flag_suppresses_doorbells)
{
    cr_assert(enable(16, 0));
    cr_expect_eq(ring_used(&ring)[0], 0);
    mv_queue_quiet(&queue);
    cr_expect_eq(ring_used(&ring)[0], 1);
    cr_expect(!mv_queue_listen(&queue));
    cr_expect_eq(ring_used(&ring)[0], 0);
    cr_expect_eq(*ring_avail_event(&ring), 0);
}

/* 2.7.10: what Linux calls vring_need_event. */
static bool need_event(uint16_t event, uint16_t new, uint16_t old)
{
    return (uint16_t)(new - event - 1) < (uint16_t)(new - old);
}

Test(queue, with_event_idx_an_interrupt_comes_when_the_event_is_passed)
{
    static const uint16_t starts[] = {0, 1, 100, 32760, 32767, 32768, 65520, 65530, 65535};

    for (unsigned i = 0; i < MV_COUNT(starts); i++)
        for (unsigned count = 1; count <= 16; count++)
            for (int ahead = -20; ahead <= 20; ahead++) {
                uint16_t event = (uint16_t)(starts[i] + ahead);
                bool wanted = ahead >= 0 && ahead < (int)count;

                cr_assert(enable(16, BOTH));
                queue.state.next_avail = queue.state.next_used = queue.state.published = starts[i];
                ring.offered = starts[i];
                *ring_used_event(&ring) = event;
                for (unsigned head = 0; head < count; head++) {
                    ring_describe(&ring, head, RIG_DATA, 1, 0, 0);
                    ring_offer(&ring, head);
                    cr_assert_eq(pop(), MV_QUEUE_CHAIN);
                    mv_queue_push(&queue, (uint16_t)head, 0);
                }
                cr_assert_eq(need_event(event, (uint16_t)(starts[i] + count), starts[i]), wanted);
                cr_assert_eq(mv_queue_publish(&queue), wanted, "from %u by %u, event %u", starts[i],
                             count, event);
            }
}

Test(queue, with_event_idx_a_driver_that_asks_for_each_interrupt_gets_each_for_ever)
{
    for (unsigned i = 0; i < 140000; i++) {
        *ring_used_event(&ring) = ring.seen;
        cr_assert(answer_one(), "request %u", i);
        ring.seen++;
    }
}

Test(queue, with_event_idx_a_driver_that_never_asks_gets_one_in_65536)
{
    unsigned interrupts = 0;

    *ring_used_event(&ring) = 1000;
    for (unsigned i = 0; i < 3 * 65536; i++)
        interrupts += answer_one();
    cr_expect_eq(interrupts, 3, "as the index passes it");
}

Test(queue, with_event_idx_doorbells_are_asked_for_from_the_next_request_on)
{
    for (unsigned i = 0; i < 70000; i++) {
        cr_assert(!mv_queue_listen(&queue));
        cr_assert_eq(*ring_avail_event(&ring), (uint16_t)i);
        cr_assert(need_event(*ring_avail_event(&ring), (uint16_t)(i + 1), (uint16_t)i),
                  "the driver rings");
        mv_queue_quiet(&queue);
        cr_assert_eq(ring_used(&ring)[0], 0, "its flags are left alone");
        answer_one();
        cr_assert(!need_event(*ring_avail_event(&ring), (uint16_t)(i + 2), (uint16_t)(i + 1)),
                  "the driver does not ring");
    }
}

Test(queue, what_came_before_it_listened_is_told)
{
    static const uint64_t features[] = {0, BOTH};

    for (unsigned i = 0; i < MV_COUNT(features); i++) {
        cr_assert(enable(16, features[i]));
        mv_queue_quiet(&queue);
        cr_expect_eq(pop(), MV_QUEUE_EMPTY);
        ring_describe(&ring, 0, RIG_DATA, 1, 0, 0);
        ring_offer(&ring, 0); /* the driver saw that it is quiet */
        cr_expect(mv_queue_listen(&queue));
        cr_expect_eq(pop(), MV_QUEUE_CHAIN);
        cr_expect(!mv_queue_listen(&queue));
    }
}

/* A driver in a thread of its own, which rings and sleeps as it is told to. */
static atomic_uint doorbell, interrupt;

/* Waits until *counter is beyond `before`; false when it takes too long. */
static bool wait_beyond(atomic_uint *counter, unsigned before)
{
    uint64_t end = mv_monotonic_ns() + RIG_PATIENCE * 1000000ull;

    while (atomic_load(counter) == before) {
        if (mv_monotonic_ns() > end)
            return false;
        sched_yield();
    }
    return true;
}

static bool driver_wants_to_ring(bool event_idx)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (event_idx)
        return need_event(__atomic_load_n(ring_avail_event(&ring), __ATOMIC_RELAXED), ring.offered,
                          (uint16_t)(ring.offered - 1));
    return !(__atomic_load_n(ring_used(&ring), __ATOMIC_RELAXED) & 1);
}

static void *run_driver(void *context)
{
    bool event_idx = *(bool *)context;

    for (unsigned i = 0; i < 70000; i++) {
        unsigned before = atomic_load(&interrupt);
        struct ring_used used;

        if (event_idx)
            __atomic_store_n(ring_used_event(&ring), ring.seen, __ATOMIC_RELAXED);
        ring_describe(&ring, i % 16, RIG_DATA, 1, RING_WRITE, 0);
        ring_offer(&ring, i % 16);
        if (driver_wants_to_ring(event_idx))
            atomic_fetch_add(&doorbell, 1);
        if (!wait_beyond(&interrupt, before) || !ring_take(&ring, &used) || used.id != i % 16)
            return NULL;
    }
    return context;
}

static void exchange_with_thread(bool event_idx)
{
    pthread_t driver;
    void *good;

    cr_assert(enable(16, event_idx ? BOTH : 0));
    pthread_create(&driver, NULL, run_driver, &event_idx);
    for (unsigned done = 0; done < 70000;) {
        unsigned before = atomic_load(&doorbell);

        mv_queue_quiet(&queue);
        while (pop() == MV_QUEUE_CHAIN) {
            mv_queue_push(&queue, (uint16_t)chain.head, 1);
            done++;
            if (mv_queue_publish(&queue))
                atomic_fetch_add(&interrupt, 1);
        }
        if (done < 70000 && !mv_queue_listen(&queue) && !wait_beyond(&doorbell, before))
            break;
    }
    pthread_join(driver, &good);
    cr_expect(good, "nothing is lost");
}

Test(queue, no_doorbell_and_no_interrupt_is_lost_between_two_threads)
{
    exchange_with_thread(true);
    exchange_with_thread(false);
}

/* ---- a guest that changes things under us ---- */

static atomic_bool enough;

static void store_descriptor(struct ring_descriptor *at, uint64_t random)
{
    static const uint64_t addresses[] = {RIG_DATA, RIG_LOW - 8, RIG_HIGH, UINT64_MAX - 8, TABLE};
    static const uint32_t lengths[] = {8, 16, 64, UINT32_MAX};

    __atomic_store_n(&at->addr, addresses[random % 5], __ATOMIC_RELAXED);
    __atomic_store_n(&at->len, lengths[random >> 8 & 3], __ATOMIC_RELAXED);
    __atomic_store_n(&at->flags, (uint16_t)(random >> 16 & 7), __ATOMIC_RELAXED);
    __atomic_store_n(&at->next, (uint16_t)(random >> 24 & 15), __ATOMIC_RELAXED);
}

static void *rewrite(void *context)
{
    struct ring_descriptor *table = ring_table(&ring), *indirect = rig_at(TABLE, 64);
    uint64_t state = 1;

    while (!atomic_load(&enough)) {
        uint64_t random = rig_random(&state);

        store_descriptor(&table[random >> 60], random >> 20);
        store_descriptor(&indirect[random >> 58 & 3], random >> 16);
        __atomic_store_n(&ring_avail(&ring)[2 + (random >> 52 & 15)], (uint16_t)(random >> 40 & 15),
                         __ATOMIC_RELAXED);
    }
    return context;
}

static void check_chain(void)
{
    uint64_t sizes[2] = {0, 0};

    cr_assert_leq(chain.out_count + chain.in_count, MV_QUEUE_MAX);
    cr_assert_lt(chain.head, 16);
    for (unsigned i = 0; i < chain.out_count + chain.in_count; i++) {
        const uint8_t *at = chain.iov[i].iov_base, *low = rig_at(0, RIG_LOW),
                      *high = rig_at(RIG_HIGH, RIG_HIGH_SIZE);
        size_t size = chain.iov[i].iov_len;

        cr_assert((at >= low && size <= (size_t)(low + RIG_LOW - at)) ||
                  (at >= high && at < high + RIG_HIGH_SIZE &&
                   size <= (size_t)(high + RIG_HIGH_SIZE - at)));
        sizes[i >= chain.out_count] += size;
    }
    cr_assert(sizes[0] == chain.out_size && sizes[1] == chain.in_size);
    cr_assert_leq(sizes[0] + sizes[1], UINT32_MAX);
}

Test(queue, descriptors_that_change_while_they_are_read_give_good_chains_or_none)
{
    uint64_t end = mv_monotonic_ns() + RIG_PATIENCE * 1000000ull;
    unsigned chains = 0, broken = 0;
    pthread_t guest;

#ifdef RIG_THREAD_SANITIZER
    cr_skip("the race between the guest's memory and us is meant");
#endif
    pthread_create(&guest, NULL, rewrite, NULL);
    /* on a loaded computer the guest may come to little at first */
    while ((chains + broken < 300000 || chains < 1000 || broken < 1000) &&
           mv_monotonic_ns() < end) {
        __atomic_store_n(&ring_avail(&ring)[1], (uint16_t)(queue.state.next_avail + 1),
                         __ATOMIC_RELEASE);
        if (pop() == MV_QUEUE_CHAIN) {
            check_chain();
            chains++;
            mv_queue_push(&queue, (uint16_t)chain.head, (uint32_t)chain.in_size);
            mv_queue_publish(&queue);
        } else {
            broken++;
            mv_queue_reset(&queue);
            queue.state = (struct mv_queue_state){
                .size = 16, .desc = ring.desc, .avail = ring.avail, .used = ring.used};
            cr_assert(mv_queue_enable(&queue, &rig.mem, BOTH));
        }
    }
    atomic_store(&enough, true);
    pthread_join(guest, NULL);
    cr_expect_geq(chains, 1000, "%u chains, %u broken", chains, broken);
    cr_expect_geq(broken, 1000, "%u chains, %u broken", chains, broken);
}
