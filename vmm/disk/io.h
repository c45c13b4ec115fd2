/* SPDX-License-Identifier: MIT */
/*
 * Asynchronous I/O on a disk image: requests are submitted to an engine, which
 * returns them when they are complete.
 *
 * Only one thread uses an engine, except for destroy.  An engine may use the
 * kernel or its own threads internally.
 */
#ifndef MV_IO_IO_H
#define MV_IO_IO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "minivmm/minivmm.h"

/* ---- the image ---- */

#define MV_SECTOR 512u /* bytes: virtio-blk's unit, whatever the block size is */

struct mv_disk_file {
    int fd;
    uint64_t size; /* bytes, a multiple of 512 */
    bool read_only;
    bool direct;    /* O_DIRECT: offsets, sizes and addresses are multiples of `block` */
    unsigned block; /* smallest I/O of the host, bytes: 512 or 4096 */
};

/*
 * Opens and locks the file or block device (F_OFD_SETLK: shared if read-only, else
 * exclusive; closing the file descriptor releases the lock).  Explains every failure
 * in *err.  *ret_warning is NULL, or a warning in static storage.
 */
int mv_disk_file_open(const struct mv_disk *disk, struct mv_disk_file *ret_image,
                      const char **ret_warning, struct mv_error *err);
void mv_disk_file_close(struct mv_disk_file *image);

/* Gets the current size of the file or block device, in bytes.  Returns 0 or -errno. */
int mv_disk_file_measure(const struct mv_disk_file *image, uint64_t *ret_size);

/* ---- requests ---- */

enum mv_io_op {
    MV_IO_READ,
    MV_IO_WRITE,
    MV_IO_SYNC,    /* moves all completed writes to stable storage: fdatasync */
    MV_IO_DISCARD, /* deallocates the range: it reads as zeros and takes no space */
    MV_IO_ZERO,    /* zeroes the range, which stays allocated */
};

struct mv_io {
    enum mv_io_op op;
    bool stable;           /* WRITE: on stable storage when it completes (O_DSYNC) */
    uint64_t offset, size; /* bytes */
    struct iovec *iov;     /* READ, WRITE: size bytes in total; engines modify the iovecs */
    unsigned iov_count;
    int result;         /* 0 or -errno; -EIO also if the file ends within the range;
                         * -ECANCELED: see cancel */
    struct mv_io *next; /* for the engine's use */
};

/* Accounts for a system call of a request; result: bytes moved, or -errno.  Returns true if the
 * request is complete, with io->result set; false if the rest of it must be started again. */
bool mv_io_advance(struct mv_io *io, int64_t result);

/* Performs a request synchronously; sets io->result. */
void mv_io_perform(int fd, struct mv_io *io);

/* ---- engines ---- */

struct mv_engine;

struct mv_engine_ops {
    /* Queues a request; it and its buffers must stay valid until it is reaped. */
    void (*submit)(struct mv_engine *engine, struct mv_io *io);

    /* Starts the submitted requests.  Returns false if the host was too busy for some of them:
     * the caller must then call it again. */
    bool (*start)(struct mv_engine *engine);

    /* Returns a completed request, or NULL. */
    struct mv_io *(*reap)(struct mv_engine *engine);

    /* Turns on or off the signalling of the eventfd at each completion.  After turning it on,
     * the caller must reap once: earlier completions are not signalled. */
    void (*listen)(struct mv_engine *engine, bool on);

    /* Cancels requests that have not begun, as far as the host can.  They must still be reaped,
     * as all others, with result -ECANCELED.  Nothing may be submitted until then. */
    void (*cancel)(struct mv_engine *engine);

    /* Cancels requests that have not begun, waits for the others, and frees the engine.  Any
     * thread: the one that used the engine may have exited. */
    void (*destroy)(struct mv_engine *engine);
};

struct mv_engine {
    const struct mv_engine_ops *ops;
    const char *name;
    int event; /* eventfd; owned by the engine */
};

/* Creates an engine for the file.  depth: expected maximum of requests in flight, a hint.
 * Returns 0 or -errno. */
typedef int mv_engine_create_fn(int fd, unsigned depth, struct mv_engine **ret_engine);

mv_engine_create_fn mv_uring_create; /* uring.c: io_uring(7) */
mv_engine_create_fn mv_pool_create;  /* pool.c: threads with blocking I/O */

#endif
