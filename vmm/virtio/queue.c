/* SPDX-License-Identifier: MIT */
/* The split virtqueue: see queue.h. */
#include "queue.h"

#include <assert.h>
#include <string.h>

#include "core/util.h"

/* virtio 1.2, 2.7.5 */
struct descriptor {
    uint64_t addr;
    uint32_t len;
    uint16_t flags;
    uint16_t next;
};

struct used_element {
    uint32_t id;
    uint32_t len;
};

enum { F_NEXT = 1, F_WRITE = 2, F_INDIRECT = 4 };
enum { AVAIL_F_NO_INTERRUPT = 1, USED_F_NO_NOTIFY = 1 };

/* Offsets within the rings, and the size of a used element, in 16-bit words. */
enum { FLAGS = 0, IDX = 1, RING = 2, USED_WORDS = 4 };

void mv_queue_reset(struct mv_queue *queue)
{
    *queue = (struct mv_queue){.state.size = 0};
}

bool mv_queue_enable(struct mv_queue *queue, const struct mv_mem *mem, uint64_t features)
{
    const struct mv_queue_state *state = &queue->state;
    uint32_t size = state->size;
    uint16_t *avail, *used;

    if (size == 0 || size > MV_QUEUE_MAX || (size & (size - 1)))
        return false;
    if (state->desc % 16 || state->avail % 2 || state->used % 4)
        return false;
    /* 2.7: the sizes include the event words, whether they are used or not */
    avail = mv_mem_host(mem, state->avail, 6 + 2ull * size);
    used = mv_mem_host(mem, state->used, 6 + 8ull * size);
    if (!avail || !used || !mv_mem_host(mem, state->desc, 16ull * size))
        return false;
    queue->mem = mem;
    queue->avail = avail;
    queue->used = used;
    queue->indirect = features & MV_RING_F_INDIRECT_DESC;
    queue->event_idx = features & MV_RING_F_EVENT_IDX;
    queue->state.ready = true;
    return true;
}

static enum mv_queue_result broken(struct mv_queue *queue)
{
    queue->broken = true;
    return MV_QUEUE_BROKEN;
}

/* Adds one buffer to the chain; returns false if it violates a rule. */
static bool add_buffer(struct mv_queue *queue, struct mv_chain *chain, const struct descriptor *d)
{
    unsigned count = chain->out_count + chain->in_count;
    void *host = mv_mem_host(queue->mem, d->addr, d->len);
    uint64_t *size = d->flags & F_WRITE ? &chain->in_size : &chain->out_size;

    if (!host || count == MV_QUEUE_MAX)
        return false;
    /* 2.7.4.2: device-writable buffers come last */
    if (!(d->flags & F_WRITE) && chain->in_count)
        return false;
    *size += d->len;
    if (chain->in_size + chain->out_size > UINT32_MAX) /* 2.7.5.2: 2^32 bytes at most */
        return false;
    chain->iov[count] = (struct iovec){.iov_base = host, .iov_len = d->len};
    if (d->flags & F_WRITE)
        chain->in_count++;
    else
        chain->out_count++;
    return true;
}

/*
 * Follows a chain through the table of `count` descriptors at `table`, to its end or
 * to a descriptor that refers to an indirect table.  No chain is longer than its
 * table or than the largest queue (2.7.5.2), so the walk ends even if the chain loops.
 */
static bool walk(struct mv_queue *queue, struct mv_chain *chain, mv_gpa table, uint32_t count,
                 uint32_t first, struct descriptor *ret_indirect)
{
    uint32_t next = first;

    ret_indirect->flags = 0;
    for (uint32_t i = 0; i < count && i < MV_QUEUE_MAX; i++) {
        struct descriptor d; /* ours: the guest cannot change it under us */

        if (next >= count || !mv_mem_read(queue->mem, table + 16ull * next, &d, sizeof(d)))
            return false;
        if (d.flags & F_INDIRECT) {
            *ret_indirect = d;
            return true;
        }
        if (!add_buffer(queue, chain, &d))
            return false;
        if (!(d.flags & F_NEXT))
            return true;
        next = d.next;
    }
    return false;
}

static bool read_chain(struct mv_queue *queue, struct mv_chain *chain)
{
    const struct mv_queue_state *state = &queue->state;
    struct descriptor d, nested;
    uint32_t count;

    if (!walk(queue, chain, state->desc, state->size, (uint16_t)chain->head, &d))
        return false;
    if (!(d.flags & F_INDIRECT))
        return true;
    /* 2.7.5.3.1: an indirect table must be negotiated, without NEXT, a whole number of
     * descriptors, and no longer than the queue; WRITE is ignored */
    count = d.len / 16;
    if (!queue->indirect || d.flags & F_NEXT || d.len % 16 || count == 0 || count > MV_QUEUE_MAX)
        return false;
    if (!mv_mem_host(queue->mem, d.addr, d.len))
        return false;
    return walk(queue, chain, d.addr, count, 0, &nested) && !(nested.flags & F_INDIRECT);
}

/* The number of chains that are available and not yet popped. */
static uint16_t pending(const struct mv_queue *queue)
{
    /* Pairs with the driver's barrier between writing the ring entry and idx (2.7.13.3.1). */
    uint16_t idx = __atomic_load_n(&queue->avail[IDX], __ATOMIC_ACQUIRE);

    return (uint16_t)(idx - queue->state.next_avail);
}

bool mv_queue_is_in_flight(const struct mv_queue *queue, uint16_t head)
{
    return head < MV_QUEUE_MAX && queue->in_flight[head / 64] >> (head % 64) & 1;
}

enum mv_queue_result mv_queue_pop(struct mv_queue *queue, struct mv_chain *ret_chain)
{
    struct mv_queue_state *state = &queue->state;
    uint16_t count, head;

    if (queue->broken)
        return MV_QUEUE_BROKEN;
    count = pending(queue);
    if (count == 0)
        return MV_QUEUE_EMPTY;
    if (count > state->size)
        return broken(queue);
    head = __atomic_load_n(&queue->avail[RING + state->next_avail % state->size], __ATOMIC_RELAXED);
    if (head >= state->size || mv_queue_is_in_flight(queue, head))
        return broken(queue);
    ret_chain->head = head;
    ret_chain->out_count = ret_chain->in_count = 0;
    ret_chain->out_size = ret_chain->in_size = 0;
    if (!read_chain(queue, ret_chain))
        return broken(queue);
    state->next_avail++;
    queue->in_flight[head / 64] |= 1ull << (head % 64);
    return MV_QUEUE_CHAIN;
}

void mv_queue_push(struct mv_queue *queue, uint16_t head, uint32_t written)
{
    struct mv_queue_state *state = &queue->state;
    struct used_element element = {.id = head, .len = written};
    uint16_t *at = &queue->used[RING + USED_WORDS * (state->next_used % state->size)];

    assert(mv_queue_is_in_flight(queue, head));
    memcpy(at, &element, sizeof(element));
    state->next_used++;
    queue->in_flight[head / 64] &= ~(1ull << (head % 64));
}

bool mv_queue_publish(struct mv_queue *queue)
{
    struct mv_queue_state *state = &queue->state;
    uint16_t before = state->published, event;

    if (before == state->next_used)
        return false;
    state->published = state->next_used;
    /* Pairs with the driver's barrier after reading idx (2.7.14). */
    __atomic_store_n(&queue->used[IDX], state->next_used, __ATOMIC_RELEASE);
    /* 2.7.7, 2.7.10: pairs with the driver's fence.  The driver writes flags or used_event, then
     * rereads idx; we write idx, then read flags or used_event. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!queue->event_idx)
        return !(__atomic_load_n(&queue->avail[FLAGS], __ATOMIC_RELAXED) & AVAIL_F_NO_INTERRUPT);
    event = __atomic_load_n(&queue->avail[RING + state->size], __ATOMIC_RELAXED);
    return (uint16_t)(state->next_used - event - 1) < (uint16_t)(state->next_used - before);
}

void mv_queue_quiet(struct mv_queue *queue)
{
    /* With EVENT_IDX, avail_event stays at an index already passed: no doorbell. */
    if (!queue->event_idx)
        __atomic_store_n(&queue->used[FLAGS], USED_F_NO_NOTIFY, __ATOMIC_RELAXED);
}

bool mv_queue_listen(struct mv_queue *queue)
{
    const struct mv_queue_state *state = &queue->state;

    if (queue->event_idx)
        __atomic_store_n(&queue->used[RING + USED_WORDS * state->size], state->next_avail,
                         __ATOMIC_RELAXED);
    else
        __atomic_store_n(&queue->used[FLAGS], 0, __ATOMIC_RELAXED);
    /* 2.7.10, 2.7.13.4: pairs with the driver's fence between writing idx and reading this */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return !queue->broken && pending(queue) != 0;
}
