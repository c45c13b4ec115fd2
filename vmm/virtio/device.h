/* SPDX-License-Identifier: MIT */
/*
 * A virtio device, between its type and its transport (virtio 1.2, 2): its status, whose turn it
 * is, features, queues, when they are looked at, and when the driver is told.  All of that stands
 * here, once, for every device.
 *
 *   transport      registers and interrupts                    mmio.c
 *   device         status, phases, polling, publishing         device.c
 *   type           what it is about: struct mv_virtio_ops      blk.c, rng.c, or an embedder's
 *
 * What a type does and what it may call is public: minivmm/virtio.h.  A transport knows no type,
 * a type no transport, and neither knows KVM.
 *
 * Threads: what a transport calls here comes from vCPUs, under the lock of the device on the bus;
 * the queues' rings, from DRIVER_OK until a reset has been carried out, belong to the loop thread
 * alone, so that a vCPU never waits for a disk.
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

/* What a type gives to become a device. */
struct mv_virtio_type {
    const struct mv_virtio_ops *ops; /* copied */
    void *state;                     /* what ops get; the device's */
    bool lent;                       /* but for now its lender's: see mv_virtio_own */
    unsigned queues;                 /* 1 to MV_QUEUES_MAX */
    uint64_t features;               /* of its type; the ring's and VERSION_1 are added */
    const void *config;              /* where ops->config_read is NULL; copied */
    size_t config_size;              /* 0 to MV_VIRTIO_CONFIG_MAX */
    /* Ours alone; optional.  Whether what comes from elsewhere than the driver, such as an I/O
     * engine's completions, is to call mv_virtio_look.  Loop thread. */
    void (*listen)(void *state, bool on);
};

/* What a transport does for the device. */
struct mv_virtio_transport {
    /* The driver is ready: its doorbell may be carried.  Loop thread. */
    void (*live)(void *context, int doorbell);
    /* Something is new: a bit for each queue; none: the configuration or the status.  Loop
     * thread, or a vCPU's under the lock. */
    void (*interrupt)(void *context, uint64_t queues);
    /* The device is as after power-on, and so are the registers.  Under the lock. */
    void (*reset)(void *context);
    void *context;
    _Atomic uint32_t *status; /* where the driver reads it */
    struct mv_device *device; /* on the bus: its lock, and its name for messages */
};

enum mv_virtio_phase {
    MV_PHASE_SET_UP,   /* the queues are the driver's: vCPUs, under the lock */
    MV_PHASE_STARTING, /* the loop thread's, which has not noticed yet */
    MV_PHASE_LIVE,     /* the loop thread's */
    MV_PHASE_STOPPING, /* still its, until it has stopped the device */
};

struct mv_taken; /* a chain that was popped */

struct mv_virtio {
    struct mv_virtio_ops ops;
    void *state;
    void (*listen)(void *state, bool on);
    bool lent, owned; /* the state */
    uint8_t config[MV_VIRTIO_CONFIG_MAX];
    size_t config_size;
    uint64_t offered;  /* features of the type and the ring */
    uint64_t accepted; /* what the driver has written; under the lock */
    uint64_t features; /* negotiated; final from activate on */
    unsigned queue_count;
    struct mv_queue *queues;
    struct mv_taken *taken; /* the last chain of each head: MV_QUEUE_MAX for each queue */

    struct mv_virtio_transport transport;
    const struct mv_mem *mem;
    struct mv_loop *loop;
    struct mv_log *log;
    struct mv_backpressure backpressure;
    struct mv_loop_source doorbell; /* its fd is an eventfd, made at the first DRIVER_OK */
    bool told_of_events;            /* that they cannot be created: once, a guest could repeat it */
    atomic_int phase; /* of enum mv_virtio_phase; stores release what was done before */

    /* the loop thread's */
    bool live, stopping;
    bool active;     /* something was popped or pushed, or is to be looked at again */
    unsigned left;   /* chains that may be popped in this turn */
    uint64_t popped; /* chains, ever */
    uint64_t dry;    /* a bit for each queue that had no more */
    struct mv_loop_poller poller;
    uint64_t window; /* how long to look before sleeping, nanoseconds */
    uint64_t look_until, slept_at;
};

/* The state is the device's from then on.  Returns 0 or -ENOMEM, and then it stays the caller's. */
int mv_virtio_create(const struct mv_virtio_type *type, struct mv_virtio **ret_virtio);

/* Whether a state that was lent is the device's, so that destroy ends it, too. */
void mv_virtio_own(struct mv_virtio *virtio, bool own);

/* The loop has stopped.  Accepts NULL. */
void mv_virtio_destroy(struct mv_virtio *virtio);

/* ---- for types in this tree, beside minivmm/virtio.h; loop thread ---- */

/* Look again soon: something has come that was listened for. */
void mv_virtio_look(struct mv_virtio *virtio);

/* In notify and stop: something was done, or there is more to do, so that it is called again. */
void mv_virtio_go_on(struct mv_virtio *virtio);

/* ---- for transports; under the lock.  So are mv_virtio_wake, for a doorbell that was an exit, and
 * mv_virtio_break, for a driver that broke the transport's rules ---- */

/* Before the guest runs. */
void mv_virtio_attach(struct mv_virtio *virtio, const struct mv_virtio_transport *transport,
                      const struct mv_device_env *env);

/* The driver writes its status; 0 begins a reset. */
void mv_virtio_write_status(struct mv_virtio *virtio, uint32_t value);

/* A reset is over before the vCPU goes on: drivers take that for granted (Linux frees
 * the memory), so that here alone a vCPU does wait for a disk. */
bool mv_virtio_is_resetting(const struct mv_virtio *virtio);

/* The driver chooses features; nothing after FEATURES_OK. */
void mv_virtio_accept(struct mv_virtio *virtio, uint64_t features);

/* NULL: there is no such queue. */
struct mv_queue *mv_virtio_queue(const struct mv_virtio *virtio, uint32_t index);

/* Whether the driver may set up this queue now, else it is told that it broke the rules. */
bool mv_virtio_may_set_up(struct mv_virtio *virtio);

/* By the size and the addresses in its state. */
void mv_virtio_enable_queue(struct mv_virtio *virtio, struct mv_queue *queue, bool on);

uint64_t mv_virtio_read_config(const struct mv_virtio *virtio, uint64_t offset, unsigned size);
void mv_virtio_write_config(struct mv_virtio *virtio, uint64_t offset, unsigned size,
                            uint64_t value);

/* The host's side may have changed.  Returns whether the configuration has: then the driver is to
 * be told by mv_virtio_tell_config. */
bool mv_virtio_rescan(struct mv_virtio *virtio);
void mv_virtio_tell_config(struct mv_virtio *virtio);

#endif
