/* SPDX-License-Identifier: MIT */
/*
 * The part of a virtio device that all types and transports share (virtio 1.2, 2): device status,
 * feature negotiation, ownership of the queues, polling, and when to interrupt the driver.
 *
 *   transport      registers and interrupts                    mmio.c
 *   device         status, phases, polling, publishing         device.c
 *   type           device-specific: struct mv_virtio_ops       blk.c, rng.c, or an embedder's
 *
 * The interface to a type is public: minivmm/virtio.h.  A transport knows no type, a type knows no
 * transport, and neither knows KVM.
 *
 * Threads: a transport calls in here from vCPU threads, under the bus device's lock.  From
 * DRIVER_OK until a reset completes, the rings belong to the loop thread alone, so that a vCPU
 * never waits for a disk.
 */
#ifndef MV_VIRTIO_DEVICE_H
#define MV_VIRTIO_DEVICE_H

#include <stdatomic.h>

#include "dev/dev.h"
#include "minivmm/virtio.h"
#include "queue.h"

#define MV_VIRTIO_F_VERSION_1 (1ull << 32) /* virtio 1.2, 6 */

/* virtio 1.2, 2.1 */
enum {
    MV_STATUS_ACKNOWLEDGE = 1,
    MV_STATUS_DRIVER = 2,
    MV_STATUS_DRIVER_OK = 4,
    MV_STATUS_FEATURES_OK = 8,
    MV_STATUS_NEEDS_RESET = 64,
    MV_STATUS_FAILED = 128,
};

/* Describes a device type to mv_virtio_create. */
struct mv_virtio_type {
    const struct mv_virtio_ops *ops; /* copied */
    void *state;                     /* passed to ops; owned by the device unless lent */
    bool lent;                       /* the lender still owns state: see mv_virtio_own */
    unsigned queues;                 /* 1 to MV_QUEUES_MAX */
    uint64_t features;               /* device-type bits; the ring's and VERSION_1 are added */
    const void *config;              /* used if ops->config_read is NULL; copied */
    size_t config_size;              /* 0 to MV_VIRTIO_CONFIG_MAX */
    /* Built-in types only; optional.  Turns on or off whether events that do not come from the
     * driver, such as an I/O engine's completions, call mv_virtio_look.  Loop thread. */
    void (*listen)(void *state, bool on);
};

/* What a transport provides to the device. */
struct mv_virtio_transport {
    /* The device is live: KVM may now signal this eventfd for the doorbell.  Loop thread. */
    void (*live)(void *context, int doorbell);
    /* Interrupts the driver.  One bit per queue with new used buffers; 0: the configuration or
     * the status changed.  Loop thread, or a vCPU thread under the lock. */
    void (*interrupt)(void *context, uint64_t queues);
    /* Resets the registers to their power-on values.  Under the lock. */
    void (*reset)(void *context);
    void *context;
    _Atomic uint32_t *status; /* the Status register as the driver reads it */
    struct mv_device *device; /* the bus device: its lock, and its name for messages */
};

enum mv_virtio_phase {
    MV_PHASE_SET_UP,   /* vCPUs own the queues, under the lock */
    MV_PHASE_STARTING, /* the loop thread owns them, but has not noticed yet */
    MV_PHASE_LIVE,     /* the loop thread owns them */
    MV_PHASE_STOPPING, /* the loop thread owns them until it has stopped the device */
};

struct mv_taken; /* a popped chain */

struct mv_virtio {
    struct mv_virtio_ops ops;
    void *state;
    void (*listen)(void *state, bool on);
    bool lent, owned; /* of state: see mv_virtio_own */
    uint8_t config[MV_VIRTIO_CONFIG_MAX];
    size_t config_size;
    uint64_t offered;  /* features of the type and the ring */
    uint64_t accepted; /* as written by the driver; under the lock */
    uint64_t features; /* negotiated; final from activate on */
    unsigned queue_count;
    struct mv_queue *queues;
    struct mv_taken *taken; /* the last chain popped at each head: MV_QUEUE_MAX per queue */

    struct mv_virtio_transport transport;
    const struct mv_mem *mem;
    struct mv_loop *loop;
    struct mv_log *log;
    struct mv_backpressure backpressure;
    struct mv_loop_source doorbell; /* an eventfd, created at the first DRIVER_OK */
    bool told_of_events; /* warned that it cannot be created; only once, as a guest can retry */
    atomic_int phase;    /* enum mv_virtio_phase; a store releases all that came before */

    /* loop thread only */
    bool live, stopping;
    bool active;     /* a chain was popped or pushed, or another turn is needed */
    unsigned left;   /* chains that may still be popped in this turn */
    uint64_t popped; /* chains in total */
    uint64_t dry;    /* a bit for each queue found empty in this turn */
    struct mv_loop_poller poller;
    uint64_t window;               /* how long to poll before sleeping, nanoseconds */
    uint64_t look_until, slept_at; /* monotonic clock, nanoseconds */
};

/* On success the device owns type->state, unless it is lent; on -ENOMEM the caller keeps it.
 * Returns 0 or -ENOMEM. */
int mv_virtio_create(const struct mv_virtio_type *type, struct mv_virtio **ret_virtio);

/* Sets whether the device owns a lent state, and so whether destroying the device destroys it. */
void mv_virtio_own(struct mv_virtio *virtio, bool own);

/* The loop must have stopped.  Accepts NULL. */
void mv_virtio_destroy(struct mv_virtio *virtio);

/* ---- for built-in types, in addition to minivmm/virtio.h; loop thread ---- */

/* An event arrived that the type listens for: schedules a turn. */
void mv_virtio_look(struct mv_virtio *virtio);

/* Called by notify and stop if they made progress or have more to do: they are called again. */
void mv_virtio_go_on(struct mv_virtio *virtio);

/* ---- for transports; under the lock.  Transports also use mv_virtio_wake, for a doorbell that
 * caused an exit, and mv_virtio_break, for a driver that violated the transport's rules ---- */

/* Must be called before the guest runs. */
void mv_virtio_attach(struct mv_virtio *virtio, const struct mv_virtio_transport *transport,
                      const struct mv_device_env *env);

/* The driver wrote the status register; 0 begins a reset. */
void mv_virtio_write_status(struct mv_virtio *virtio, uint32_t value);

/* While true, the vCPU that wrote the status must wait: drivers assume that a reset has completed
 * when the write returns (Linux frees the memory).  Only here does a vCPU wait for a disk. */
bool mv_virtio_is_resetting(const struct mv_virtio *virtio);

/* The driver selected features; ignored after FEATURES_OK. */
void mv_virtio_accept(struct mv_virtio *virtio, uint64_t features);

/* Returns NULL if there is no such queue. */
struct mv_queue *mv_virtio_queue(const struct mv_virtio *virtio, uint32_t index);

/* Returns whether the driver may set up queues now; if not, breaks the device. */
bool mv_virtio_may_set_up(struct mv_virtio *virtio);

/* Uses the size and the addresses in queue->state; breaks the device if they are invalid. */
void mv_virtio_enable_queue(struct mv_virtio *virtio, struct mv_queue *queue, bool on);

uint64_t mv_virtio_read_config(const struct mv_virtio *virtio, uint64_t offset, unsigned size);
void mv_virtio_write_config(struct mv_virtio *virtio, uint64_t offset, unsigned size,
                            uint64_t value);

/* Looks for changes on the host's side.  Returns whether the configuration changed: the transport
 * must then call mv_virtio_tell_config. */
bool mv_virtio_rescan(struct mv_virtio *virtio);
void mv_virtio_tell_config(struct mv_virtio *virtio);

#endif
