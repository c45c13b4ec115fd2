/* SPDX-License-Identifier: MIT */
/* The parts that all engines share: see io.h. */
#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <unistd.h>

#include "core/util.h"

/* Removes the first bytes from the request. */
static void skip(struct mv_io *io, uint64_t bytes)
{
    io->offset += bytes;
    io->size -= bytes;
    while (io->iov_count && bytes >= io->iov->iov_len) {
        bytes -= io->iov->iov_len;
        io->iov++;
        io->iov_count--;
    }
    if (bytes) {
        io->iov->iov_base = (uint8_t *)io->iov->iov_base + bytes;
        io->iov->iov_len -= bytes;
    }
}

bool mv_io_advance(struct mv_io *io, int64_t result)
{
    if (result == -EINTR)
        return false;
    io->result = result < 0 ? (int)result : 0;
    if (result < 0 || (io->op != MV_IO_READ && io->op != MV_IO_WRITE))
        return true;
    skip(io, (uint64_t)result);
    if (io->size && result > 0)
        return false;
    if (io->size) /* 0 bytes moved: the file was truncated */
        io->result = -EIO;
    return true;
}

static int64_t step(int fd, const struct mv_io *io)
{
    int64_t result = -EINVAL;

    switch (io->op) {
    case MV_IO_READ: result = preadv(fd, io->iov, (int)io->iov_count, (off_t)io->offset); break;
    case MV_IO_WRITE:
        result = pwritev2(fd, io->iov, (int)io->iov_count, (off_t)io->offset,
                          io->stable ? RWF_DSYNC : 0);
        break;
    case MV_IO_SYNC: result = fdatasync(fd); break;
    case MV_IO_DISCARD:
        result = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)io->offset,
                           (off_t)io->size);
        break;
    case MV_IO_ZERO:
        result = fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, (off_t)io->offset,
                           (off_t)io->size);
        break;
    }
    return result < 0 ? -errno : result;
}

void mv_io_perform(int fd, struct mv_io *io)
{
    while (!mv_io_advance(io, step(fd, io)))
        ;
}
