/* SPDX-License-Identifier: MIT */
/*
 * The device's side of a split virtqueue (virtio 1.2, 2.7): the only code that touches a ring.
 * It knows no transport, device, thread or file descriptor.  It reads and writes guest memory, and
 * trusts nothing in it.
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

/* Feature bits of the ring (virtio 1.2, 6). */
#define MV_RING_F_INDIRECT_DESC (1ull << 28)
#define MV_RING_F_EVENT_IDX     (1ull << 29)

/* Everything that a snapshot must hold. */
struct mv_queue_state {
    uint32_t size; /* as the driver wrote it; checked by enable */
    bool ready;
    mv_gpa desc, avail, used;
    uint16_t next_avail; /* free-running indices, as in the rings */
    uint16_t next_used;
    uint16_t published; /* last value written to used.idx */
};

struct mv_queue {
    struct mv_queue_state state;
    const struct mv_mem *mem;
    bool indirect, event_idx; /* negotiated */
    bool broken;              /* the guest violated the ring's rules: pop always fails */
    uint16_t *avail, *used;   /* host addresses of the rings, valid while ready */
    uint64_t in_flight[MV_QUEUE_MAX / 64]; /* bit per head: popped, not yet pushed */
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
 * false, and changes nothing, if the size is not a power of two from 1 to
 * MV_QUEUE_MAX, or if a ring is misaligned or not wholly in one region of RAM.
 */
bool mv_queue_enable(struct mv_queue *queue, const struct mv_mem *mem, uint64_t features);

/*
 * Takes the next chain that the driver has made available.  Its head stays in
 * flight until it is pushed.  Once it returns MV_QUEUE_BROKEN, it does so until a reset.
 */
enum mv_queue_result mv_queue_pop(struct mv_queue *queue, struct mv_chain *ret_chain);

/* Returns a chain, named by its head, with the number of bytes written to it.  The driver does not
 * see it before publish. */
void mv_queue_push(struct mv_queue *queue, uint16_t head, uint32_t written);

/* Whether this head was popped and not yet pushed; false if it is out of range. */
bool mv_queue_is_in_flight(const struct mv_queue *queue, uint16_t head);

/* Makes all pushed chains visible to the driver.  Returns whether it wants an interrupt. */
bool mv_queue_publish(struct mv_queue *queue);

/* Tells the driver that it need not ring the doorbell, because we poll. */
void mv_queue_quiet(struct mv_queue *queue);

/* Asks the driver to ring the doorbell.  Returns true if a chain is already available, for which
 * it may not ring. */
bool mv_queue_listen(struct mv_queue *queue);

#endif
