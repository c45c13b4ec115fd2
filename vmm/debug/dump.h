/* SPDX-License-Identifier: MIT */
/* Shared by the architectures' dumps of firmware tables. */
#ifndef MV_DEBUG_DUMP_H
#define MV_DEBUG_DUMP_H

#include <stddef.h>

/* Creates or truncates a file and writes the data to it.  Returns 0 or -errno. */
int mv_write_file(const char *path, const void *data, size_t size);

#endif
