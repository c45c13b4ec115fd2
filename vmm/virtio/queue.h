/* SPDX-License-Identifier: MIT */
/*
 * A split virtqueue as the device sees it (virtio 1.2, 2.7): the only ring code
 * there is.  It knows no transport, no device, no thread and no file
 * descriptor; it reads and writes guest memory, and trusts nothing in it.
 *
 *   desc  (16-byte aligned)   size x { addr: 64, len: 32, flags: 16, next: 16 }
 *   avail (2-byte aligned)    flags: 16, idx: 16, size x { head: 16 }, used_event: 16
 *   used  (4-byte aligned)    flags: 16, idx: 16, size x { head: 32, len: 32 }, avail_event: 16
 *
 * Left out: packed queues (2.8), IN_ORDER, queue reset.
 */
#ifndef MV_VIRTIO_QUEUE_H
#define MV_VIRTIO_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/memory.h"
#include "minivmm/virtio.h"

/* Feature bits that the ring itself has (virtio 1.2, 6). */
#define MV_RING_F_INDIRECT_DESC (1ull << 28)
#define MV_RING_F_EVENT_IDX     (1ull << 29)

/* All that has to be kept to go on elsewhere. */
struct mv_queue_state {
    uint32_t size; /* as the driver wrote it; checked by enable */
    bool ready;
    mv_gpa desc, avail, used;
    uint16_t next_avail; /* free-running indices, as in the rings */
    uint16_t next_used;
    uint16_t published; /* what used.idx says */
};

struct mv_queue {
    struct mv_queue_state state;
    const struct mv_mem *mem;
    bool indirect, event_idx; /* negotiated */
    bool broken;              /* the guest broke the rules: nothing is popped any more */
    uint16_t *avail, *used;   /* the rings in our memory, valid while ready */
    uint64_t in_flight[MV_QUEUE_MAX / 64]; /* a bit for each head: popped, not pushed */
};

enum mv_queue_result {
    MV_QUEUE_EMPTY,
    MV_QUEUE_CHAIN,
    MV_QUEUE_BROKEN,
};

/* Back to the state after a reset. */
void mv_queue_reset(struct mv_queue *queue);

/*
 * Makes the queue ready, with the size and addresses in its state.  Returns
 * false, with nothing changed, if the size is no power of two from 1 to
 * MV_QUEUE_MAX, or a ring is misaligned or not wholly in one region of RAM.
 */
bool mv_queue_enable(struct mv_queue *queue, const struct mv_mem *mem, uint64_t features);

/*
 * Takes the next chain that the driver has made available.  The head stays in
 * flight until it is pushed.  MV_QUEUE_BROKEN: the queue is, now or for long.
 */
enum mv_queue_result mv_queue_pop(struct mv_queue *queue, struct mv_chain *ret_chain);

/* Gives a chain back, by its head, with the number of bytes that were written to it.  The
 * driver does not see it before publish. */
void mv_queue_push(struct mv_queue *queue, uint16_t head, uint32_t written);

/* Whether this head was popped, and not pushed; false also if there is no such head. */
bool mv_queue_is_in_flight(const struct mv_queue *queue, uint16_t head);

/* Shows the driver all that was pushed.  Returns true if it wants an
 * interrupt for that. */
bool mv_queue_publish(struct mv_queue *queue);

/* Tells the driver that it need not ring the doorbell: we look by ourselves. */
void mv_queue_quiet(struct mv_queue *queue);

/* Asks for the doorbell.  Returns true if there is something to pop already, for
 * which it may not ring. */
bool mv_queue_listen(struct mv_queue *queue);

#endif
