/* SPDX-License-Identifier: MIT */
/**
 * @file
 * Custom virtio devices, by the contract that the library's disk keeps, too (virtio
 * 1.2, 2).  The library is the transport: a slot of virtio over MMIO, listed in ACPI and the
 * device tree, with its status, features, queues and interrupts.  The device is a table of
 * functions and what they keep.  An entropy device, whole:
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
 * Threads: each machine has one loop thread.  There activate, notify and stop are called,
 * without a lock, and there alone chains are popped and pushed: a vCPU never waits for a
 * device.  A thread of the device's own that has done its part calls mv_virtio_wake, and
 * notify pushes.
 *
 * The guest is hostile: what is in a chain's segments can change at any time.  Copy it,
 * then check the copy, then use that.
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

/** The transport's side of a device: the machine's, and no longer there than it. */
struct mv_virtio;

/** A request: buffers in guest memory, checked, as they are in this process. */
struct mv_chain {
    uint64_t head;                  /**< its name, for mv_virtio_push: no other chain of this
                                     * device ever has the same */
    unsigned out_count;             /**< segments to be read: iov[0 .. out_count) */
    unsigned in_count;              /**< segments to be written, after these */
    uint64_t out_size;              /**< bytes to be read, in all */
    uint64_t in_size;               /**< bytes to be written, in all; below 4 GiB with out_size */
    struct iovec iov[MV_QUEUE_MAX]; /**< the segments; valid until the chain is pushed, or stop */
};

/** What a device does.  Of a custom device, id and notify are required, the others optional. */
struct mv_virtio_ops {
    size_t size; /**< sizeof(struct mv_virtio_ops) */
    uint32_t id; /**< the type of device: virtio 1.2, 5 */

    /** Reads the configuration (2.5): any offset, 1, 2, 4 or 8 bytes, little endian.  What is
     * beyond the end reads as all ones.  Without side effects: it is called when the guest
     * does not read, too.  Under the device's lock, by any thread. */
    uint64_t (*config_read)(void *state, uint64_t offset, unsigned size);

    /** The driver writes the configuration; what cannot be written is not.  Under the
     * device's lock, by a vCPU's thread. */
    void (*config_write)(void *state, uint64_t offset, unsigned size, uint64_t value);

    /** The driver said DRIVER_OK: features and queues are final.  Loop thread. */
    void (*activate)(void *state);

    /** The doorbell rang for one or more of the queues, or mv_virtio_wake was called, once
     * or more often.  Loop thread. */
    void (*notify)(void *state);

    /** The driver resets the device.  When no thread uses a chain any more, at once or
     * later, mv_virtio_stopped is to be called; until then the driver waits, and stop is
     * called again after each mv_virtio_wake.  NULL: nothing is ever in use outside of
     * notify.  What is in flight is not pushed any more.  Loop thread. */
    void (*stop)(void *state);

    /** The device is reset, and nothing is in flight: what the driver wrote to the
     * configuration is forgotten.  Under the device's lock, by any thread. */
    void (*reset)(void *state);

    /** The host's side may have changed (mv_machine_rescan).  Returns true if the
     * configuration did; the driver is told.  Under the device's lock, in the loop thread. */
    bool (*rescan)(void *state);

    /** The machine is being destroyed: waits for what is in flight, and frees state.  The
     * loop has stopped. */
    void (*destroy)(void *state);
};

/**
 * A custom virtio device, for mv_config.  ops and state stay the caller's until the
 * machine is destroyed, which calls ops->destroy(state); if create fails, destroy is not
 * called.  mv_machine_device knows it as "virtio0", "virtio1"...  Set every member to 0 and
 * then size to sizeof(struct mv_custom_virtio).
 */
struct mv_custom_virtio {
    size_t size;                     /**< sizeof(struct mv_custom_virtio) */
    const struct mv_virtio_ops *ops; /**< what it does */
    void *state;                     /**< what ops get */
    unsigned queues;                 /**< 1 to MV_QUEUES_MAX, each of up to MV_QUEUE_MAX */
    uint64_t features;  /**< of its type: bits 0 to 23 and 50 to 63.  Those of the ring and
                         * VERSION_1 are added */
    const void *config; /**< its configuration where ops->config_read is NULL; copied */
    size_t config_size; /**< bytes of config, 0 to MV_VIRTIO_CONFIG_MAX */
    struct mv_virtio **ret_virtio; /**< required: where create puts what the functions below
                                    * take, before the guest runs; not to be used if create fails */
};

/** The features that the driver has accepted; final from activate on.  Loop thread. */
MV_API uint64_t mv_virtio_features(const struct mv_virtio *virtio);

/**
 * Takes the next chain of a queue, if there is one; false if not, also of a queue that is
 * not there, or that the driver has not set up.  Only after a false is the driver sure to
 * ring again.  If the driver broke the rules of the ring, it is told that the device needs
 * a reset.  Chains may be kept and pushed in any order.  Loop thread; not after stop.
 */
MV_API bool mv_virtio_pop(struct mv_virtio *virtio, unsigned queue, struct mv_chain *ret_chain);

/**
 * Gives a chain back, with the number of bytes that were written to it, from the beginning
 * of its writable segments on, at most in_size.  The driver sees it, and has its interrupt, when
 * notify or activate returns.  What was popped before a reset, or pushed already, is ignored, also
 * if the driver uses the same descriptors again.  head is all 64 bits of the chain's.  Loop thread.
 */
MV_API void mv_virtio_push(struct mv_virtio *virtio, unsigned queue, uint64_t head,
                           uint32_t written);

/** Has notify called soon, or stop while that waits; nothing while the driver has not said
 * DRIVER_OK.  From any thread while the machine exists. */
MV_API void mv_virtio_wake(struct mv_virtio *virtio);

/** The answer to stop.  Loop thread. */
MV_API void mv_virtio_stopped(struct mv_virtio *virtio);

/** The driver broke the rules of the device's type: it is told that the device needs a
 * reset, and until then notify is not called.  Loop thread. */
MV_API void mv_virtio_break(struct mv_virtio *virtio);

/** Copies up to size bytes from what there is to be read in the chain, from offset on.
 * Returns how many. */
MV_API size_t mv_chain_read(const struct mv_chain *chain, uint64_t offset, void *ret_data,
                            size_t size);

/** Copies up to size bytes to where there is room to write in the chain, from offset on.
 * Returns how many. */
MV_API size_t mv_chain_write(const struct mv_chain *chain, uint64_t offset, const void *data,
                             size_t size);

#ifdef __cplusplus
}
#endif

#endif
