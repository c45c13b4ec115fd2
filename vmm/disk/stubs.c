/* SPDX-License-Identifier: MIT */
/* Replaces all other files here when minivmm is built without disk. */
#include <errno.h>

#include "core/log.h"
#include "io.h"

int mv_disk_file_open(const struct mv_disk *disk, struct mv_disk_file *ret_image,
                      const char **ret_warning, struct mv_error *err)
{
    (void)ret_image, (void)ret_warning;
    return mv_fail(err, -ENOSYS, NULL, "build it with the part disk (-DMINIVMM_PARTS)",
                   "this minivmm was built without disk images: it cannot open %s", disk->path);
}

/* Never called: no image exists to call them with. */

void mv_disk_file_close(struct mv_disk_file *image)
{
    (void)image;
}

int mv_disk_file_measure(const struct mv_disk_file *image, uint64_t *ret_size)
{
    (void)image, (void)ret_size;
    return -ENOSYS;
}

int mv_uring_create(int fd, unsigned depth, struct mv_engine **ret_engine)
{
    (void)fd, (void)depth, (void)ret_engine;
    return -ENOSYS;
}

int mv_pool_create(int fd, unsigned depth, struct mv_engine **ret_engine)
{
    (void)fd, (void)depth, (void)ret_engine;
    return -ENOSYS;
}
