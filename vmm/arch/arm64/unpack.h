/* SPDX-License-Identifier: MIT */
/* Decompresses kernels with zlib and libzstd; bounds are checked here. */
#ifndef MV_BOOT_UNPACK_H
#define MV_BOOT_UNPACK_H

#include <stdint.h>

enum mv_packing {
    MV_PACKING_NONE,
    MV_PACKING_GZIP,
    MV_PACKING_ZSTD,
};

/*
 * Decompresses `size` bytes at offset of the file into at most `room` bytes at `to`.  *ret_size:
 * how many were written, also after an error.  Returns 0, -ENOSPC (they do not fit), -ENODATA (the
 * data end too early), -EBADMSG (the data are damaged), -ENOMEM, or a read error.  Ignores what
 * follows the compressed data.
 */
int mv_unpack(enum mv_packing packing, int fd, uint64_t offset, uint64_t size, uint8_t *to,
              uint64_t room, uint64_t *ret_size);

#endif
