/* SPDX-License-Identifier: MIT */
/* What the architectures' dumps of tables share. */
#ifndef MV_DEBUG_DUMP_H
#define MV_DEBUG_DUMP_H

#include <stddef.h>

/* Writes these bytes to a file of their own.  Returns 0 or -errno. */
int mv_write_file(const char *path, const void *data, size_t size);

#endif
