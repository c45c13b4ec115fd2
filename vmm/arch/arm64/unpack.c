/* SPDX-License-Identifier: MIT */
/* Decompresses kernels: see unpack.h. */
#include "unpack.h"

#include <errno.h>
#include <zlib.h>
#include <zstd.h>

#include "core/util.h"

#define CHUNK (64 * MV_KIB) /* bytes of the file read at a time */

/* The compressed data: what is left to read, and what is in the buffer. */
struct source {
    int fd;
    uint64_t offset, left;
    uint8_t *buffer;
    size_t filled;
};

/* Reads the next chunk.  -ENODATA: none is left. */
static int refill(struct source *source)
{
    size_t size = mv_min(source->left, CHUNK);
    int error = size ? mv_read_at(source->fd, source->offset, source->buffer, size) : -ENODATA;

    if (error)
        return error;
    source->offset += size;
    source->left -= size;
    source->filled = size;
    return 0;
}

static int unpack_none(struct source *source, uint8_t *to, uint64_t room, uint64_t *ret_size)
{
    uint64_t size = mv_min(source->left, room);
    int error = mv_read_at(source->fd, source->offset, to, size);

    if (error)
        return error;
    *ret_size = size;
    return size < source->left ? -ENOSPC : 0;
}

static int unpack_gzip(struct source *source, uint8_t *to, uint64_t room, uint64_t *ret_size)
{
    z_stream stream = {0};
    int result = Z_OK, error = 0;

    /* 16: expects a gzip header, and its checksum at the end */
    if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK)
        return -ENOMEM;
    stream.next_out = to;
    while (!error && result != Z_STREAM_END) {
        uint64_t free_space = room - (uint64_t)(stream.next_out - to);

        if (stream.avail_in == 0) {
            error = refill(source);
            if (error)
                break;
            stream.next_in = source->buffer;
            stream.avail_in = (uInt)source->filled;
        }
        stream.avail_out = (uInt)mv_min(free_space, MV_GIB);
        result = inflate(&stream, Z_NO_FLUSH);
        if (result == Z_BUF_ERROR && free_space == 0)
            error = -ENOSPC;
        else if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
            error = result == Z_MEM_ERROR ? -ENOMEM : -EBADMSG;
    }
    *ret_size = (uint64_t)(stream.next_out - to);
    inflateEnd(&stream);
    return error;
}

static int unpack_zstd(struct source *source, uint8_t *to, uint64_t room, uint64_t *ret_size)
{
    ZSTD_DStream *stream = ZSTD_createDStream();
    ZSTD_outBuffer out = {.dst = to, .size = room};
    ZSTD_inBuffer in = {.src = source->buffer};
    size_t more = 1; /* 0: the frame is complete */
    int error = 0;

    if (!stream)
        return -ENOMEM;
    while (!error && more) {
        size_t in_before, out_before = out.pos;

        if (in.pos == in.size) {
            error = refill(source);
            if (error)
                break;
            in = (ZSTD_inBuffer){.src = source->buffer, .size = source->filled};
        }
        in_before = in.pos;
        more = ZSTD_decompressStream(stream, &out, &in);
        if (ZSTD_isError(more))
            error = -EBADMSG;
        else if (more && out.pos == out.size && in.pos == in_before && out.pos == out_before)
            error = -ENOSPC;
    }
    *ret_size = out.pos;
    ZSTD_freeDStream(stream);
    return error;
}

int mv_unpack(enum mv_packing packing, int fd, uint64_t offset, uint64_t size, uint8_t *to,
              uint64_t room, uint64_t *ret_size)
{
    struct source source = {.fd = fd, .offset = offset, .left = size, .buffer = malloc(CHUNK)};
    int error;

    *ret_size = 0;
    if (!source.buffer)
        return -ENOMEM;
    switch (packing) {
    case MV_PACKING_GZIP: error = unpack_gzip(&source, to, room, ret_size); break;
    case MV_PACKING_ZSTD: error = unpack_zstd(&source, to, room, ret_size); break;
    default: error = unpack_none(&source, to, room, ret_size); break;
    }
    free(source.buffer);
    return error;
}
