/* SPDX-License-Identifier: MIT */
/*
 * Reading and writing a disk image without waiting for it: requests go to an
 * engine, and come back from it when they are done.
 *
 * One thread uses an engine, until it is destroyed; what other threads or the
 * kernel do on its behalf is its own business.
 */
#ifndef MV_IO_IO_H
#define MV_IO_IO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "minivmm/minivmm.h"

/* ---- the image ---- */

#define MV_SECTOR 512u /* bytes: the least that a disk is counted in, whatever its blocks are */

struct mv_disk_file {
    int fd;
    uint64_t size; /* bytes, a multiple of 512 */
    bool read_only;
    bool direct;    /* O_DIRECT: offsets, sizes and addresses are multiples of `block` */
    unsigned block; /* bytes that the host reads and writes at least: 512, 4096 */
};

/*
 * Opens and locks the file or block device (F_OFD_SETLK: shared if read-only, else
 * exclusive; the lock ends with the file descriptor).  Every failure is
 * explained.  *ret_warning is NULL, or a static text: what the caller should know.
 */
int mv_disk_file_open(const struct mv_disk *disk, struct mv_disk_file *ret_image,
                      const char **ret_warning, struct mv_error *err);
void mv_disk_file_close(struct mv_disk_file *image);

/* How large the file or block device is now, in bytes.  Returns 0 or -errno. */
int mv_disk_file_measure(const struct mv_disk_file *image, uint64_t *ret_size);

/* ---- requests ---- */

enum mv_io_op {
    MV_IO_READ,
    MV_IO_WRITE,
    MV_IO_SYNC,    /* what was completed before is on stable storage: fdatasync */
    MV_IO_DISCARD, /* the range has no contents any more, and takes no room */
    MV_IO_ZERO,    /* the range reads as zeros, and keeps its room */
};

struct mv_io {
    enum mv_io_op op;
    bool stable;           /* WRITE: on stable storage when it completes (O_DSYNC) */
    uint64_t offset, size; /* bytes */
    struct iovec *iov;     /* READ, WRITE: size bytes in all; changed on the way */
    unsigned iov_count;
    int result;         /* 0 or -errno; -EIO also: the file ends before the range does;
                         * -ECANCELED: see cancel */
    struct mv_io *next; /* the engine's */
};

/* Does one step of a request that failed or moved result bytes (what preadv and the like
 * return, with -errno for -1).  Returns true if it is done, with io->result set; false: what
 * is left has to be started again. */
bool mv_io_advance(struct mv_io *io, int64_t result);

/* Does all of a request, waiting for it; sets io->result. */
void mv_io_perform(int fd, struct mv_io *io);

/* ---- engines ---- */

struct mv_engine;

struct mv_engine_ops {
    /* Takes a request; it and its buffers stay until it is reaped. */
    void (*submit)(struct mv_engine *engine, struct mv_io *io);

    /* Starts what was submitted.  Returns false if the host was too busy for some of it:
     * then it is to be called again. */
    bool (*start)(struct mv_engine *engine);

    /* Returns a request that is done, or NULL. */
    struct mv_io *(*reap)(struct mv_engine *engine);

    /* Whether the eventfd is to be signalled when a request is done.  What was done before
     * it was turned on has to be reaped without a signal. */
    void (*listen)(struct mv_engine *engine, bool on);

    /* Drops what was submitted and has not begun, as far as the host lets it: it is reaped,
     * with -ECANCELED, as all else is.  Before that nothing more is to be submitted. */
    void (*cancel)(struct mv_engine *engine);

    /* Drops what has not begun, waits for the rest, and frees the engine.  By any thread: the
     * one that used it may be gone. */
    void (*destroy)(struct mv_engine *engine);
};

struct mv_engine {
    const struct mv_engine_ops *ops;
    const char *name;
    int event; /* eventfd; the engine's */
};

/* Creates an engine for the file; depth: requests that will usually be in flight at most.
 * Returns 0 or -errno. */
typedef int mv_engine_create_fn(int fd, unsigned depth, struct mv_engine **ret_engine);

mv_engine_create_fn mv_uring_create; /* uring.c: io_uring(7) */
mv_engine_create_fn mv_pool_create;  /* pool.c: some threads that wait */

#endif
