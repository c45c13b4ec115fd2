/* SPDX-License-Identifier: MIT */
/* Writes firmware tables to a file: see dump.h. */
#include "debug/dump.h"

#include <errno.h>
#include <stdio.h>

int mv_write_file(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "we");
    int error = 0;

    if (!file)
        return -errno;
    if (fwrite(data, size, 1, file) != 1)
        error = -errno;
    if (fclose(file) != 0 && !error)
        error = -errno;
    return error;
}
