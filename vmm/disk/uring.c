/* SPDX-License-Identifier: MIT */
/* The engine on io_uring(7).  The kernel completes I/O that need not wait within the call
 * that submits it, so a read from the page cache involves no other thread. */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "core/util.h"
#include "io.h"

#define MOST_ENTRIES 1024

struct uring {
    struct mv_engine engine;
    struct io_uring ring;
    unsigned in_kernel;                   /* requests started and not reaped */
    struct mv_io *waiting, **waiting_end; /* submitted while the ring was full */
    bool cancelling, cancel_asked;        /* cancel was called; the kernel has been asked */
};

/* The image is registered file number 0. */
static void fill(struct io_uring_sqe *sqe, const struct mv_io *io)
{
    switch (io->op) {
    case MV_IO_READ:
        if (io->iov_count == 1) /* saves the kernel copying in the iovec */
            io_uring_prep_read(sqe, 0, io->iov->iov_base, (unsigned)io->iov->iov_len, io->offset);
        else
            io_uring_prep_readv(sqe, 0, io->iov, io->iov_count, io->offset);
        break;
    case MV_IO_WRITE:
        if (io->iov_count == 1)
            io_uring_prep_write(sqe, 0, io->iov->iov_base, (unsigned)io->iov->iov_len, io->offset);
        else
            io_uring_prep_writev(sqe, 0, io->iov, io->iov_count, io->offset);
        sqe->rw_flags = io->stable ? RWF_DSYNC : 0;
        break;
    case MV_IO_SYNC: io_uring_prep_fsync(sqe, 0, IORING_FSYNC_DATASYNC); break;
    case MV_IO_DISCARD:
        io_uring_prep_fallocate(sqe, 0, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                (off_t)io->offset, (off_t)io->size);
        break;
    case MV_IO_ZERO:
        io_uring_prep_fallocate(sqe, 0, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
                                (off_t)io->offset, (off_t)io->size);
        break;
    }
    sqe->flags |= IOSQE_FIXED_FILE;
}

static bool put(struct uring *uring, struct mv_io *io)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);

    if (!sqe)
        return false;
    fill(sqe, io);
    io_uring_sqe_set_data(sqe, io);
    return true;
}

/* Needs Linux 5.19; older kernels reject it, and all requests in the kernel run to completion. */
static void ask_to_cancel(struct uring *uring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);

    if (!sqe)
        return;
    io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY);
    io_uring_sqe_set_data(sqe, NULL);
    uring->cancel_asked = true;
}

static void submit(struct mv_engine *engine, struct mv_io *io)
{
    struct uring *uring = (struct uring *)engine;

    uring->cancelling = false;
    if (!uring->waiting && put(uring, io))
        return;
    io->next = NULL;
    *uring->waiting_end = io;
    uring->waiting_end = &io->next;
}

static struct mv_io *take_waiting(struct uring *uring)
{
    struct mv_io *io = uring->waiting;

    uring->waiting = io->next;
    if (!uring->waiting)
        uring->waiting_end = &uring->waiting;
    return io;
}

static bool start(struct mv_engine *engine)
{
    struct uring *uring = (struct uring *)engine;

    for (;;) {
        int started;

        if (uring->cancelling && !uring->cancel_asked)
            ask_to_cancel(uring);
        while (!uring->cancelling && uring->waiting && put(uring, uring->waiting))
            take_waiting(uring);
        if (io_uring_sq_ready(&uring->ring) == 0)
            return true;
        started = io_uring_submit(&uring->ring);
        if (started <= 0) /* EAGAIN, EBUSY, EINTR */
            return false;
        uring->in_kernel += (unsigned)started;
    }
}

static struct mv_io *cancelled(struct mv_io *io)
{
    io->result = -ECANCELED;
    return io;
}

static struct mv_io *reap(struct mv_engine *engine)
{
    struct uring *uring = (struct uring *)engine;
    struct io_uring_cqe *cqe;

    while (uring->in_kernel && io_uring_peek_cqe(&uring->ring, &cqe) == 0) {
        struct mv_io *io = io_uring_cqe_get_data(cqe);
        int result = cqe->res;

        io_uring_cqe_seen(&uring->ring, cqe);
        uring->in_kernel--;
        if (!io) /* the completion of the cancel request itself */
            continue;
        if (mv_io_advance(io, result))
            return io;
        if (uring->cancelling)
            return cancelled(io);
        submit(engine, io); /* a short transfer: start the rest */
        start(engine);
    }
    return uring->cancelling && uring->waiting ? cancelled(take_waiting(uring)) : NULL;
}

static void set_listening(struct mv_engine *engine, bool on)
{
    struct uring *uring = (struct uring *)engine;

    io_uring_cq_eventfd_toggle(&uring->ring, on);
    /* Pairs with the kernel's barrier between posting a completion and reading the flag: any
     * completion that we do not see in the ring after this is signalled. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static void cancel(struct mv_engine *engine)
{
    struct uring *uring = (struct uring *)engine;

    uring->cancelling = true;
    uring->cancel_asked = false;
}

/* The thread that used the engine has exited, so nothing more can be started; the kernel cancelled
 * what had not begun when that thread exited. */
static void destroy(struct mv_engine *engine)
{
    struct uring *uring = (struct uring *)engine;
    struct io_uring_cqe *cqe;

    for (; uring->in_kernel; uring->in_kernel--) {
        while (io_uring_wait_cqe(&uring->ring, &cqe) < 0)
            ; /* EINTR */
        io_uring_cqe_seen(&uring->ring, cqe);
    }
    io_uring_queue_exit(&uring->ring);
    mv_close_fd(&uring->engine.event);
    free(uring);
}

/* The flags save an interruption at each completion; they need Linux 5.19 and 6.0. */
static int init_ring(struct io_uring *ring, unsigned entries)
{
    int error =
        io_uring_queue_init(entries, ring, IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SINGLE_ISSUER);

    return error == -EINVAL ? io_uring_queue_init(entries, ring, 0) : error;
}

int mv_uring_create(int fd, unsigned depth, struct mv_engine **ret_engine)
{
    static const struct mv_engine_ops ops = {submit, start, reap, set_listening, cancel, destroy};
    struct uring *uring = calloc(1, sizeof(*uring));
    int error;

    if (!uring)
        return -ENOMEM;
    error = init_ring(&uring->ring, (unsigned)mv_min(depth, MOST_ENTRIES));
    if (error) {
        free(uring);
        return error;
    }
    uring->engine = (struct mv_engine){.ops = &ops, .name = "io_uring"};
    uring->waiting_end = &uring->waiting;
    uring->engine.event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    error = uring->engine.event < 0 ? -errno : 0;
    if (!error)
        error = io_uring_register_files(&uring->ring, &fd, 1);
    if (!error)
        error = io_uring_register_eventfd(&uring->ring, uring->engine.event);
    if (error) {
        destroy(&uring->engine);
        return error;
    }
    *ret_engine = &uring->engine;
    return 0;
}
