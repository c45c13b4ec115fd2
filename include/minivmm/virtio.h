/* SPDX-License-Identifier: MIT */
/**
 * @file
 * Custom virtio devices (virtio 1.2, 2), by the same interface as the library's own disk.
 * The library provides the transport: a virtio-MMIO slot, listed in ACPI and the device
 * tree, with status, features, queues and interrupts.  A device is a table of functions and
 * their state.  A complete entropy device:
 *
 * @code
 *   static struct mv_virtio *virtio;
 *
 *   static void notify(void *state)
 *   {
 *       static struct mv_chain chain;
 *       uint8_t bytes[64];
 *
 *       while (mv_virtio_pop(virtio, 0, &chain)) {
 *           getrandom(bytes, sizeof(bytes), 0);
 *           size_t done = mv_chain_write(&chain, 0, bytes, sizeof(bytes));
 *           mv_virtio_push(virtio, 0, chain.head, (uint32_t)done);
 *       }
 *   }
 *
 *   static const struct mv_virtio_ops ops = {
 *       .size = sizeof(ops), .id = 4, .notify = notify};
 *   struct mv_custom_virtio entropy = {
 *       .size = sizeof(entropy), .ops = &ops, .queues = 1, .ret_virtio = &virtio};
 *   struct mv_config config = {..., .virtio = &entropy, .virtio_count = 1};
 * @endcode
 *
 * Threads: each machine has one loop thread.  It calls activate, notify and stop, without a
 * lock, and only it may pop and push chains: a vCPU never waits for a device.  A device's own
 * thread that has completed a request calls mv_virtio_wake, and notify then pushes the chain.
 *
 * The guest is hostile: it can change the contents of a chain's segments at any time.  Copy
 * them, validate the copy, and use only the copy.
 */
#ifndef MINIVMM_VIRTIO_H
#define MINIVMM_VIRTIO_H

#include <sys/uio.h>

#include "minivmm.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MV_QUEUE_MAX         256 /**< descriptors of one queue, and segments of one chain */
#define MV_VIRTIO_CONFIG_MAX 256 /**< bytes of a device's configuration */

/** A virtio device's handle.  Owned by the machine, and valid until it is destroyed. */
struct mv_virtio;

/** A request: buffers in guest memory, validated and mapped to this process's addresses. */
struct mv_chain {
    uint64_t head;                  /**< names the chain for mv_virtio_push; unique among all
                                     * chains that the device ever pops */
    unsigned out_count;             /**< device-readable segments: iov[0 .. out_count) */
    unsigned in_count;              /**< device-writable segments, which follow */
    uint64_t out_size;              /**< total bytes to read */
    uint64_t in_size;               /**< total bytes to write; in_size + out_size < 4 GiB */
    struct iovec iov[MV_QUEUE_MAX]; /**< the segments; valid until the chain is pushed, or stop */
};

/** The functions of a device.  A custom device must set id and notify; the others are optional. */
struct mv_virtio_ops {
    size_t size; /**< sizeof(struct mv_virtio_ops) */
    uint32_t id; /**< device type: virtio 1.2, 5 */

    /** Reads the configuration (2.5) at any offset; 1, 2, 4 or 8 bytes, little endian.  Bytes
     * beyond its end read as all ones.  Must not have side effects: the library also calls it
     * when the guest does not read.  Under the device's lock, by any thread. */
    uint64_t (*config_read)(void *state, uint64_t offset, unsigned size);

    /** The driver writes the configuration; ignore writes to read-only fields.  Under the
     * device's lock, by a vCPU's thread. */
    void (*config_write)(void *state, uint64_t offset, unsigned size, uint64_t value);

    /** The driver has set DRIVER_OK: features and queues are final.  Loop thread. */
    void (*activate)(void *state);

    /** The driver rang the doorbell of one or more queues, or mv_virtio_wake was called, at
     * least once.  Loop thread. */
    void (*notify)(void *state);

    /** The driver resets the device.  Call mv_virtio_stopped, now or later, once no thread uses
     * a chain any more.  Until then the driver waits, and stop is called again after each
     * mv_virtio_wake.  Chains in flight can no longer be pushed.  May be NULL if no chain is
     * ever in use outside of notify.  Loop thread. */
    void (*stop)(void *state);

    /** The device is being reset, and no chain is in flight: restores the configuration that the
     * driver may have changed.  Under the device's lock, by any thread. */
    void (*reset)(void *state);

    /** The host's side may have changed (mv_machine_rescan).  Returns whether the configuration
     * changed; then the driver is notified.  Under the device's lock, in the loop thread. */
    bool (*rescan)(void *state);

    /** The machine is being destroyed: waits for requests in flight and frees state.  The loop
     * has stopped. */
    void (*destroy)(void *state);
};

/**
 * A custom virtio device, for mv_config.  ops and state must stay valid until the machine is
 * destroyed, which calls ops->destroy(state); if create fails, destroy is not called and the
 * caller keeps state.  Its name for mv_machine_device is "virtio0", "virtio1"...  Set every
 * member to 0 and then size to sizeof(struct mv_custom_virtio).
 */
struct mv_custom_virtio {
    size_t size;                     /**< sizeof(struct mv_custom_virtio) */
    const struct mv_virtio_ops *ops; /**< its functions */
    void *state;                     /**< passed to ops */
    unsigned queues;    /**< 1 to MV_QUEUES_MAX, each of up to MV_QUEUE_MAX descriptors */
    uint64_t features;  /**< of the device type: bits 0 to 23 and 50 to 63.  The library adds
                         * those of the ring and VERSION_1 */
    const void *config; /**< the configuration if ops->config_read is NULL; copied */
    size_t config_size; /**< bytes of config, 0 to MV_VIRTIO_CONFIG_MAX */
    struct mv_virtio **ret_virtio; /**< required: where create stores the handle for the functions
                                    * below, before the guest runs; invalid if create fails */
};

/** The features that the driver has accepted; final from activate on.  Loop thread. */
MV_API uint64_t mv_virtio_features(const struct mv_virtio *virtio);

/**
 * Takes the next available chain of a queue.  Returns false if there is none, or if the queue
 * does not exist or is not set up.  Keep calling until it returns false: only then is the driver
 * sure to ring the doorbell again.  If the driver violated the rules of the ring, the device
 * needs a reset.  Chains may be kept and pushed in any order.  Loop thread; not after stop.
 */
MV_API bool mv_virtio_pop(struct mv_virtio *virtio, unsigned queue, struct mv_chain *ret_chain);

/**
 * Returns a chain to the driver, with the number of bytes written to it, counted from the start of
 * its writable segments, at most in_size.  The driver sees it and is interrupted when notify
 * or activate returns.  A chain that was popped before a reset, or already pushed, is ignored,
 * even if the driver has reused its descriptors.  head: mv_chain.head, all 64 bits.  Loop thread.
 */
MV_API void mv_virtio_push(struct mv_virtio *virtio, unsigned queue, uint64_t head,
                           uint32_t written);

/** Schedules a call of notify, or of stop during a reset; no effect before DRIVER_OK.  Any thread,
 * while the machine exists. */
MV_API void mv_virtio_wake(struct mv_virtio *virtio);

/** Completes stop: no thread uses a chain any more.  Loop thread. */
MV_API void mv_virtio_stopped(struct mv_virtio *virtio);

/** Call if the driver violated the rules of the device type: sets DEVICE_NEEDS_RESET; notify is
 * not called until the driver has reset the device.  Loop thread. */
MV_API void mv_virtio_break(struct mv_virtio *virtio);

/** Copies up to size bytes from the chain's readable segments, starting at offset.  Returns
 * the number copied. */
MV_API size_t mv_chain_read(const struct mv_chain *chain, uint64_t offset, void *ret_data,
                            size_t size);

/** Copies up to size bytes to the chain's writable segments, starting at offset.  Returns
 * the number copied. */
MV_API size_t mv_chain_write(const struct mv_chain *chain, uint64_t offset, const void *data,
                             size_t size);

#ifdef __cplusplus
}
#endif

#endif
