/* SPDX-License-Identifier: MIT */
/* Unpacking kernels, by zlib and libzstd; bounds are checked here. */
#ifndef MV_BOOT_UNPACK_H
#define MV_BOOT_UNPACK_H

#include <stdint.h>

enum mv_packing {
    MV_PACKING_NONE,
    MV_PACKING_GZIP,
    MV_PACKING_ZSTD,
};

/*
 * Unpacks `size` bytes at offset of the file into at most `room` bytes at `to`.
 * *ret_size: how many there are now, also after an error.  Returns 0, -ENOSPC (they
 * do not fit), -ENODATA (the data end too early), -EBADMSG (they are damaged),
 * -ENOMEM, or the error of reading.  What follows the packed data is ignored.
 */
int mv_unpack(enum mv_packing packing, int fd, uint64_t offset, uint64_t size, uint8_t *to,
              uint64_t room, uint64_t *ret_size);

#endif
