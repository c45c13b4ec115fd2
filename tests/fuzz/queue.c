/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: the ring, under any driver.  The input's first bytes are the queue's size
 * and features, then come steps: a byte says what, others with which values.
 */
#include "virtio/queue.h"

#include <string.h>

#include "virtio.h"

static struct {
    struct mv_queue queue;
    struct mv_chain chain;
    struct fuzz_ring ring;
    uint64_t features;
    uint16_t in_flight[MV_QUEUE_MAX];
    unsigned in_flight_count;
    bool enabled;
} run;

static void enable(mv_gpa desc, mv_gpa avail, mv_gpa used, unsigned size)
{
    mv_queue_reset(&run.queue);
    run.ring = (struct fuzz_ring){.desc = desc, .avail = avail, .used = used, .size = size};
    run.queue.state =
        (struct mv_queue_state){.size = size, .desc = desc, .avail = avail, .used = used};
    run.in_flight_count = 0;
    run.enabled = mv_queue_enable(&run.queue, &fuzz_mem, run.features);
    fuzz_require(run.enabled == run.queue.state.ready, "ready is what enabling says");
    if (!run.enabled)
        run.ring.size = 1; /* for the driver's arithmetic */
}

/* ---- what a chain is, said once more and in other words ---- */

struct reference {
    bool good;
    unsigned out_count, in_count;
    uint64_t out_size, in_size;
    mv_gpa first; /* address of the first buffer */
};

struct descriptor {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};

/* Takes buffers from a table until its end; returns what it ended with, or a bad one. */
static struct descriptor follow(struct reference *ref, mv_gpa table, uint32_t count, uint32_t at)
{
    static const struct descriptor bad = {.flags = 0xffff};
    struct descriptor d = bad;

    for (unsigned seen = 0; seen < count; seen++) {
        if (at >= count || !mv_mem_read(&fuzz_mem, table + 16ull * at, &d, sizeof(d)))
            return bad;
        if (d.flags & 4)
            return d;
        if (!mv_mem_host(&fuzz_mem, d.addr, d.len) || (ref->in_count && !(d.flags & 2)))
            return bad;
        if (ref->out_count + ref->in_count == 0)
            ref->first = d.addr;
        *(d.flags & 2 ? &ref->in_count : &ref->out_count) += 1;
        *(d.flags & 2 ? &ref->in_size : &ref->out_size) += d.len;
        if (ref->in_count + ref->out_count > MV_QUEUE_MAX)
            return bad;
        if (!(d.flags & 1))
            return d;
        at = d.next;
    }
    return bad;
}

static struct reference read_chain(unsigned head)
{
    const struct mv_queue_state *state = &run.queue.state;
    struct reference ref = {.good = false};
    struct descriptor d = follow(&ref, state->desc, state->size, head);

    if (d.flags != 0xffff && d.flags & 4) {
        bool may = run.features & MV_RING_F_INDIRECT_DESC && !(d.flags & 1);

        if (!may || d.len == 0 || d.len % 16 || d.len / 16 > MV_QUEUE_MAX ||
            !mv_mem_host(&fuzz_mem, d.addr, d.len))
            return ref;
        d = follow(&ref, d.addr, d.len / 16, 0);
        if (d.flags & 4)
            return ref;
    }
    ref.good = d.flags != 0xffff && ref.in_size + ref.out_size <= UINT32_MAX;
    return ref;
}

static bool is_in_flight(unsigned head)
{
    for (unsigned i = 0; i < run.in_flight_count; i++)
        if (run.in_flight[i] == head)
            return true;
    return false;
}

/* What popping has to give. */
static enum mv_queue_result expect_pop(struct reference *ref)
{
    const struct mv_queue_state *state = &run.queue.state;
    uint16_t idx = 0, head = 0, count;

    mv_mem_read(&fuzz_mem, state->avail + 2, &idx, sizeof(idx));
    mv_mem_read(&fuzz_mem, state->avail + 4 + 2ull * (state->next_avail % state->size), &head,
                sizeof(head));
    count = (uint16_t)(idx - state->next_avail);
    if (run.queue.broken || count > state->size)
        return MV_QUEUE_BROKEN;
    if (count == 0)
        return MV_QUEUE_EMPTY;
    if (head >= state->size || is_in_flight(head))
        return MV_QUEUE_BROKEN;
    *ref = read_chain(head);
    return ref->good ? MV_QUEUE_CHAIN : MV_QUEUE_BROKEN;
}

static void check_chain(const struct reference *ref)
{
    const struct mv_chain *chain = &run.chain;
    uint64_t out = 0, in = 0;

    fuzz_require(chain->out_count == ref->out_count && chain->in_count == ref->in_count,
                 "the chain has its buffers");
    fuzz_require(chain->iov[0].iov_base == mv_mem_host(&fuzz_mem, ref->first, 0),
                 "its first buffer is where it should be");
    for (unsigned i = 0; i < chain->out_count + chain->in_count; i++) {
        const struct iovec *iov = &chain->iov[i];

        fuzz_require(fuzz_is_ram(iov->iov_base, iov->iov_len), "a buffer is RAM");
        *(i < chain->out_count ? &out : &in) += iov->iov_len;
    }
    fuzz_require(out == chain->out_size && in == chain->in_size, "the sizes are the buffers'");
    fuzz_require(out == ref->out_size && in == ref->in_size, "the sizes are the chain's");
}

/* ---- steps ---- */

static void pop(void)
{
    struct reference ref = {.good = false};
    enum mv_queue_result expected = expect_pop(&ref);
    enum mv_queue_result result = mv_queue_pop(&run.queue, &run.chain);

    fuzz_require(result == expected, "what is popped is what the rules say");
    fuzz_require((result == MV_QUEUE_BROKEN) == run.queue.broken, "broken is what it says");
    if (result != MV_QUEUE_CHAIN)
        return;
    check_chain(&ref);
    run.in_flight[run.in_flight_count++] = (uint16_t)run.chain.head;
    fuzz_require(run.in_flight_count <= run.queue.state.size, "no more than the queue has");
}

static void push(unsigned which, uint32_t written)
{
    if (run.in_flight_count == 0)
        return;
    which %= run.in_flight_count;
    mv_queue_push(&run.queue, run.in_flight[which], written);
    run.in_flight[which] = run.in_flight[--run.in_flight_count];
}

static void publish(void)
{
    uint16_t idx = 0;
    bool wanted = mv_queue_publish(&run.queue);

    mv_mem_read(&fuzz_mem, run.queue.state.used + 2, &idx, sizeof(idx));
    fuzz_require(!wanted || idx == run.queue.state.next_used, "what was pushed is published");
    fuzz_require(!mv_queue_publish(&run.queue), "once");
}

static void poke(struct fuzz_input *input)
{
    mv_gpa at = fuzz_take_address(input);
    uint64_t value = fuzz_take(input, 8);

    fuzz_poke(at, &value, sizeof(value));
}

static void describe(struct fuzz_input *input)
{
    unsigned index = (unsigned)fuzz_take(input, 1), more = (unsigned)fuzz_take(input, 1);
    mv_gpa addr = fuzz_take_address(input);
    uint32_t len = (uint32_t)fuzz_take(input, 2) << (more >> 4);
    unsigned next = (unsigned)fuzz_take(input, 1);

    fuzz_describe(&run.ring, index, addr, len, more & 15, next);
}

/* A chain as long as a table: the queue's, or one anywhere. */
static void fill_table(struct fuzz_input *input)
{
    struct fuzz_ring table = run.ring;
    unsigned choice = (unsigned)fuzz_take(input, 1), count;

    if (choice & 1)
        table = (struct fuzz_ring){.desc = fuzz_take_address(input), .size = MV_QUEUE_MAX};
    count = 1 + (unsigned)fuzz_take(input, 1) % table.size;
    for (unsigned i = 0; i < count; i++)
        fuzz_describe(&table, i, FUZZ_HIGH + i, choice >> 4, i + 1 < count ? 1 : choice >> 1 & 5,
                      i + 1);
}

static void set_avail_idx(uint16_t idx)
{
    run.ring.offered = idx;
    fuzz_poke(run.ring.avail + 2, &idx, sizeof(idx));
}

/* Rings anywhere, of any size. */
static void enable_any(struct fuzz_input *input)
{
    mv_gpa desc = fuzz_take_address(input), avail = fuzz_take_address(input);
    mv_gpa used = fuzz_take_address(input);

    enable(desc, avail, used, (unsigned)fuzz_take(input, 2));
}

static void step(struct fuzz_input *input)
{
    unsigned what = (unsigned)fuzz_take(input, 1) % 13;

    if (!run.enabled && what >= 4 && what <= 9)
        return; /* the device does not touch a queue that is not ready */
    switch (what) {
    case 0: describe(input); break;
    case 1: fuzz_offer(&run.ring, (unsigned)fuzz_take(input, 1)); break;
    case 2: poke(input); break;
    case 3: set_avail_idx((uint16_t)fuzz_take(input, 2)); break;
    case 4:
    case 5: pop(); break;
    case 6: push((unsigned)fuzz_take(input, 1), (uint32_t)fuzz_take(input, 2)); break;
    case 7: publish(); break;
    case 8: mv_queue_quiet(&run.queue); break;
    case 9: mv_queue_listen(&run.queue); break;
    case 10: enable_any(input); break;
    case 11: fill_table(input); break;
    default: fuzz_offer(&run.ring, (unsigned)fuzz_take(input, 2)); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    struct fuzz_ring ring;
    unsigned order = (unsigned)fuzz_take(&input, 1) % 9;

    fuzz_memory_start();
    run.features = fuzz_take(&input, 1) << 28;
    ring = fuzz_ring_at(0, 1u << order);
    enable(ring.desc, ring.avail, ring.used, ring.size);
    while (input.left)
        step(&input);
    return 0;
}
