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

static void check_chain(void)
{
    const struct mv_chain *chain = &run.chain;
    uint64_t out = 0, in = 0;

    fuzz_require(chain->head < run.queue.state.size, "the head is in the queue");
    for (unsigned i = 0; i < run.in_flight_count; i++)
        fuzz_require(run.in_flight[i] != chain->head, "the head was not in flight");
    fuzz_require(chain->out_count + chain->in_count <= MV_QUEUE_MAX, "the chain fits");
    fuzz_require(chain->out_count + chain->in_count > 0, "the chain is not empty");
    for (unsigned i = 0; i < chain->out_count + chain->in_count; i++) {
        const struct iovec *iov = &chain->iov[i];

        fuzz_require(fuzz_is_ram(iov->iov_base, iov->iov_len), "a buffer is RAM");
        *(i < chain->out_count ? &out : &in) += iov->iov_len;
    }
    fuzz_require(out == chain->out_size && in == chain->in_size, "the sizes are the buffers'");
    fuzz_require(out + in <= UINT32_MAX, "a chain has 2^32 bytes at most");
}

static void pop(void)
{
    bool was_broken = run.queue.broken;
    enum mv_queue_result result = mv_queue_pop(&run.queue, &run.chain);

    fuzz_require((result == MV_QUEUE_BROKEN) == run.queue.broken, "broken is what it says");
    fuzz_require(!was_broken || result == MV_QUEUE_BROKEN, "broken is for ever");
    if (result != MV_QUEUE_CHAIN)
        return;
    check_chain();
    run.in_flight[run.in_flight_count++] = run.chain.head;
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
    unsigned what = (unsigned)fuzz_take(input, 1) % 12;

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
