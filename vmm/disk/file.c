/* SPDX-License-Identifier: MIT */
/* Opens a disk image: a raw file or a block device.  Its contents are never probed:
 * the guest could forge the header of another format. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/log.h"
#include "io.h"

#define LARGE_BLOCK 4096u

#define BUSY_TRIES    40
#define BUSY_PAUSE_NS 10000000

int mv_disk_file_measure(const struct mv_disk_file *image, uint64_t *ret_size)
{
    struct stat st;

    if (fstat(image->fd, &st) < 0)
        return -errno;
    if (S_ISBLK(st.st_mode))
        return ioctl(image->fd, BLKGETSIZE64, ret_size) < 0 ? -errno : 0;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    *ret_size = (uint64_t)st.st_size;
    return 0;
}

/* Two writers, or a writer and a reader, would corrupt the file system in the image. */
static int lock_image(const struct mv_disk *disk, int fd, const char **ret_warning,
                      struct mv_error *err)
{
    struct flock lock = {.l_type = disk->read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};

    if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
        return 0;
    if (errno == EAGAIN || errno == EACCES)
        return mv_fail(
            err, -EBUSY, "fcntl",
            disk->read_only
                ? "a disk can be shared only while all that use it have it read-only"
                : "end what uses it, or give each machine a copy; many can share what is read-only",
            "the disk %s is in use by another virtual machine or disk", disk->path);
    *ret_warning = "the host cannot lock it: see to it yourself that nothing else uses it";
    return 0;
}

/* The alignment that direct I/O needs: the smallest fails if the host needs more. */
static unsigned direct_block(int fd)
{
    uint8_t *buffer = aligned_alloc(LARGE_BLOCK, LARGE_BLOCK);
    bool small = buffer && pread(fd, buffer + MV_SECTOR, MV_SECTOR, 0) == (ssize_t)MV_SECTOR;

    free(buffer);
    return small ? MV_SECTOR : LARGE_BLOCK;
}

static int check_size(const struct mv_disk *disk, const struct mv_disk_file *image,
                      struct mv_error *err)
{
    if (image->size == 0)
        return mv_fail(err, -EINVAL, NULL, "give it a size, for example: truncate -s 1G FILE",
                       "the disk %s is empty", disk->path);
    if (image->size % image->block)
        return mv_fail(err, -EINVAL, NULL,
                       image->block == MV_SECTOR ? "fill it up with zeros: truncate -s %512 FILE"
                                                 : "leave out direct or: truncate -s %4096 FILE",
                       "the disk %s has %llu bytes, which is not a multiple of its block size, %u",
                       disk->path, (unsigned long long)image->size, image->block);
    return 0;
}

static int open_path(const struct mv_disk *disk, int *ret_fd, struct mv_error *err)
{
    /* O_NONBLOCK: opening a FIFO would block.  O_EXCL without O_CREAT: refuses a block device
     * that the host has mounted (open(2)). */
    int flags = O_CLOEXEC | O_NONBLOCK | (disk->read_only ? O_RDONLY : O_RDWR) |
                (disk->direct ? O_DIRECT : 0);
    struct stat st;
    const char *hint = "check the path";
    int fd;

    if (!disk->read_only && stat(disk->path, &st) == 0 && S_ISBLK(st.st_mode))
        flags |= O_EXCL;
    fd = open(disk->path, flags);
    if (fd >= 0) {
        /* Clears O_NONBLOCK: io_uring would fail I/O that cannot complete at once. */
        fcntl(fd, F_SETFL, flags & O_DIRECT);
        *ret_fd = fd;
        return 0;
    }
    switch (errno) {
    case EINVAL: hint = "its file system may have no direct I/O: leave out direct"; break;
    case EBUSY:
        hint = "the host has mounted or claimed this device: unmount it, or use it read-only";
        break;
    case EISDIR: hint = "name a file or a block device"; break;
    case EACCES:
    case EPERM:
    case EROFS:
    case ETXTBSY:
        hint = disk->read_only ? "check the file's permissions"
                               : "check the file's permissions, or open it read-only with ,ro";
        break;
    }
    return mv_fail(err, -errno, "open", hint, "cannot open the disk %s: %s", disk->path,
                   strerror(errno));
}

static int open_image(const struct mv_disk *disk, struct mv_disk_file *ret_image,
                      const char **ret_warning, struct mv_error *err)
{
    struct mv_disk_file image = {
        .read_only = disk->read_only, .direct = disk->direct, .block = MV_SECTOR};
    MV_CLEANUP_FD int fd = -1;
    int error = open_path(disk, &fd, err);

    *ret_warning = NULL;
    if (error)
        return error;
    image.fd = fd;
    error = mv_disk_file_measure(&image, &image.size);
    if (error)
        return mv_fail(err, error, "fstat", "name a regular file or a block device",
                       "the disk %s is neither a file nor a block device", disk->path);
    if (image.direct)
        image.block = direct_block(fd);
    error = check_size(disk, &image, err);
    if (!error)
        error = lock_image(disk, fd, ret_warning, err);
    if (error)
        return error;
    mv_steal_fd(&fd);
    *ret_image = image;
    return 0;
}

/* The kernel tears down a ring in a worker thread, so a monitor's io_uring, and with it the lock on
 * the image, outlives it by some 30 ms.  Retry, so that the next monitor can start at once. */
int mv_disk_file_open(const struct mv_disk *disk, struct mv_disk_file *ret_image,
                      const char **ret_warning, struct mv_error *err)
{
    const struct timespec pause = {.tv_nsec = BUSY_PAUSE_NS};
    int error = open_image(disk, ret_image, ret_warning, err);

    for (unsigned i = 0; error == -EBUSY && i < BUSY_TRIES; i++) {
        nanosleep(&pause, NULL);
        error = open_image(disk, ret_image, ret_warning, err);
    }
    return error;
}

void mv_disk_file_close(struct mv_disk_file *image)
{
    mv_close_fd(&image->fd);
}
