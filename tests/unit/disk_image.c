/* SPDX-License-Identifier: MIT */
/* Opening disk images: what is taken, what is refused with which words, and the lock. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/util.h"
#include "disk/io.h"

static char folder[] = "/tmp/minivmm-image-XXXXXX", path[64];
static struct mv_disk disk;
static struct mv_disk_file image, second;
static struct mv_error err;
static const char *warning;

static void start(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/disk", folder);
    disk = (struct mv_disk){.size = sizeof(disk), .path = path};
    image.fd = second.fd = -1;
}

static void stop(void)
{
    mv_disk_file_close(&image);
    mv_disk_file_close(&second);
    unlink(path);
    rmdir(folder);
}

TestSuite(disk_image, .init = start, .fini = stop);

static void skip(const char *why)
{
    stop(); /* which is not called for a test that is skipped */
    cr_skip("%s", why);
}

static void make_file(uint64_t size, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

    cr_assert_geq(fd, 0);
    cr_assert_eq(ftruncate(fd, (off_t)size), 0);
    close(fd);
}

static int open_image(struct mv_disk_file *to)
{
    memset(&err, 0, sizeof(err));
    mv_disk_file_close(to);
    return mv_disk_file_open(&disk, to, &warning, &err);
}

/* Refused with this error, explained with these words; nothing is left open. */
static void expect_refused(int code, const char *words, const char *hint)
{
    int before = dup(0), after;

    close(before);
    image.fd = -42;
    cr_expect_eq(mv_disk_file_open(&disk, &image, &warning, &err), code, "%s", err.tried);
    cr_expect_eq(image.fd, -42, "the result is left alone");
    image.fd = -1;
    cr_expect_eq(err.code, code);
    cr_expect(strstr(err.tried, words), "\"%s\" has no \"%s\"", err.tried, words);
    cr_expect(strstr(err.tried, disk.path), "the disk is named");
    cr_expect(strstr(err.hint, hint), "\"%s\" has no \"%s\"", err.hint, hint);
    after = dup(0);
    close(after);
    cr_expect_eq(before, after, "no file is left open");
}

/* ---- what it is ---- */

Test(disk_image, a_file_is_opened_with_its_size)
{
    static const uint64_t sizes[] = {512, 1024, 4096, 4608, 1 * MV_MIB + 512, 3 * MV_GIB};

    for (unsigned i = 0; i < MV_COUNT(sizes); i++) {
        make_file(sizes[i], 0644);
        cr_assert_eq(open_image(&image), 0, "%s", err.tried);
        cr_expect_eq(image.size, sizes[i]);
        cr_expect_eq(image.block, 512);
        cr_expect(!image.read_only && !image.direct);
        cr_expect_null(warning);
        cr_expect_eq(fcntl(image.fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK | O_DIRECT), O_RDWR);
        cr_expect(fcntl(image.fd, F_GETFD) & FD_CLOEXEC);
    }
}

Test(disk_image, read_only_is_read_only_for_the_host_too)
{
    make_file(4096, 0644);
    disk.read_only = true;
    cr_assert_eq(open_image(&image), 0);
    cr_expect(image.read_only);
    cr_expect_eq(fcntl(image.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    cr_expect_eq(pwrite(image.fd, "x", 1, 0), -1);
}

Test(disk_image, a_missing_file_is_told)
{
    expect_refused(-ENOENT, "No such file", "check the path");
    cr_expect_str_eq(err.call, "open");
    disk.read_only = true;
    expect_refused(-ENOENT, "No such file", "check the path");
}

Test(disk_image, an_empty_file_is_told)
{
    make_file(0, 0644);
    expect_refused(-EINVAL, "is empty", "truncate -s");
    disk.direct = true;
    expect_refused(-EINVAL, "is empty", "truncate -s");
}

Test(disk_image, a_size_that_is_no_multiple_of_512_is_told)
{
    static const uint64_t sizes[] = {1, 511, 513, 1023, 1 * MV_MIB - 1};

    for (unsigned i = 0; i < MV_COUNT(sizes); i++) {
        make_file(sizes[i], 0644);
        expect_refused(-EINVAL, "not a multiple of its block size, 512", "truncate -s %512");
    }
}

Test(disk_image, a_folder_is_told)
{
    disk.path = folder;
    expect_refused(-EISDIR, "Is a directory", "file or a block device");
    disk.read_only = true;
    expect_refused(-EINVAL, "neither a file nor a block device", "regular file");
}

Test(disk_image, a_fifo_is_told_and_holds_nobody_up, .timeout = 20)
{
    cr_assert_eq(mkfifo(path, 0644), 0);
    expect_refused(-EINVAL, "neither a file nor a block device", "regular file");
    disk.read_only = true;
    expect_refused(-EINVAL, "neither a file nor a block device", "regular file");
}

Test(disk_image, a_device_of_characters_is_told)
{
    disk.path = "/dev/zero";
    expect_refused(-EINVAL, "neither a file nor a block device", "regular file");
}

/* As somebody who is not root, where the test is. */
static int open_as_other(void)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        int error;

        if (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0)
            _exit(1);
        error = mv_disk_file_open(&disk, &image, &warning, &err);
        _exit(error == -EACCES && strstr(err.tried, "Permission denied") &&
                      (disk.read_only || strstr(err.hint, "read-only"))
                  ? 42
                  : 1);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Test(disk_image, a_file_that_may_only_be_read_is_told_with_ro_as_a_way)
{
    make_file(4096, 0444);
    cr_assert_eq(chmod(folder, 0755), 0);
    cr_expect_eq(open_as_other(), 42);
    disk.read_only = true;
    cr_assert_eq(chmod(path, 0), 0);
    cr_expect_eq(open_as_other(), 42);
}

/* ---- direct I/O ---- */

static bool has_direct(void)
{
    int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);

    if (fd < 0)
        return false;
    close(fd);
    return true;
}

Test(disk_image, direct_has_a_block_that_the_host_reads)
{
    uint8_t *buffer = aligned_alloc(4096, 8192);

    make_file(64 * 1024, 0644);
    if (!has_direct())
        skip("/tmp has no direct I/O");
    disk.direct = true;
    cr_assert_eq(open_image(&image), 0, "%s", err.tried);
    cr_expect(image.direct);
    cr_expect(fcntl(image.fd, F_GETFL) & O_DIRECT);
    cr_expect(!(fcntl(image.fd, F_GETFL) & O_NONBLOCK));
    cr_expect(image.block == 512 || image.block == 4096);
    cr_expect_eq(pread(image.fd, buffer + image.block, image.block, image.block), image.block);
    free(buffer);
}

Test(disk_image, direct_wants_a_size_of_whole_blocks)
{
    make_file(4096 + 512, 0644);
    if (!has_direct())
        skip("/tmp has no direct I/O");
    disk.direct = true;
    if (open_image(&image) == 0) { /* the host takes blocks of 512 */
        cr_expect_eq(image.block, 512);
        return;
    }
    expect_refused(-EINVAL, "not a multiple of its block size, 4096", "leave out direct");
}

Test(disk_image, where_there_is_no_direct_io_it_is_told)
{
    disk.direct = true;
    disk.read_only = true;
    disk.path = "/proc/self/maps"; /* of a file system that never has it */
    expect_refused(-EINVAL, "cannot open", "leave out direct");
}

/* ---- the lock ---- */

Test(disk_image, one_that_is_in_use_is_not_opened_again)
{
    make_file(4096, 0644);
    cr_assert_eq(open_image(&image), 0);
    cr_expect_eq(open_image(&second), -EBUSY);
    cr_expect(strstr(err.tried, "in use"));
    cr_expect(strstr(err.hint, "read-only"));
    cr_expect_str_eq(err.call, "fcntl");
    disk.read_only = true;
    cr_expect_eq(open_image(&second), -EBUSY, "nor read-only");
    cr_expect(strstr(err.hint, "all that use it have it read-only"));
    mv_disk_file_close(&image);
    cr_expect_eq(open_image(&second), 0, "it is free when it is closed");
}

static void *close_soon(void *context)
{
    usleep(60000);
    mv_disk_file_close(context);
    return NULL;
}

/* As the io_uring of a monitor that has just ended still has it for a while. */
Test(disk_image, one_that_is_given_up_a_moment_later_is_opened)
{
    pthread_t closer;

    make_file(4096, 0644);
    cr_assert_eq(open_image(&image), 0);
    pthread_create(&closer, NULL, close_soon, &image);
    cr_expect_eq(open_image(&second), 0, "%s", err.tried);
    pthread_join(closer, NULL);
}

Test(disk_image, many_share_it_read_only)
{
    struct mv_disk_file third = {.fd = -1};

    make_file(4096, 0644);
    disk.read_only = true;
    cr_assert_eq(open_image(&image), 0);
    cr_expect_eq(open_image(&second), 0);
    cr_expect_eq(open_image(&third), 0);
    disk.read_only = false;
    mv_disk_file_close(&second);
    cr_expect_eq(open_image(&second), -EBUSY, "but not with a writer");
    mv_disk_file_close(&third);
    mv_disk_file_close(&image);
    cr_expect_eq(open_image(&second), 0);
}

Test(disk_image, the_lock_is_seen_by_another_process)
{
    int status;
    pid_t child;

    make_file(4096, 0644);
    cr_assert_eq(open_image(&image), 0);
    child = fork();
    if (child == 0)
        _exit(mv_disk_file_open(&disk, &second, &warning, &err) == -EBUSY ? 42 : 1);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 42);
    /* an OFD lock: nothing that another descriptor's end could take away */
    close(open(path, O_RDONLY | O_CLOEXEC));
    cr_expect_eq(open_image(&second), -EBUSY);
}

Test(disk_image, another_name_of_it_is_the_same_disk)
{
    char other[80];

    make_file(4096, 0644);
    snprintf(other, sizeof(other), "%s/other", folder);
    cr_assert_eq(symlink(path, other), 0);
    cr_assert_eq(open_image(&image), 0);
    disk.path = other;
    cr_expect_eq(open_image(&second), -EBUSY);
    unlink(other);
}

/* ---- measuring ---- */

Test(disk_image, its_size_is_measured_anew)
{
    uint64_t size = 0;

    make_file(4096, 0644);
    cr_assert_eq(open_image(&image), 0);
    cr_assert_eq(truncate(path, 1000000), 0);
    cr_expect_eq(mv_disk_file_measure(&image, &size), 0);
    cr_expect_eq(size, 1000000, "as it is");
    cr_expect_eq(image.size, 4096);
    cr_assert_eq(truncate(path, 0), 0);
    cr_expect_eq(mv_disk_file_measure(&image, &size), 0);
    cr_expect_eq(size, 0);
    mv_disk_file_close(&image);
    cr_expect_eq(mv_disk_file_measure(&image, &size), -EBADF);
    mv_disk_file_close(&image);
}

/* ---- block devices ---- */

static char loop_path[32];

/* The file as a block device; -1: there is none to be had. */
static int attach_loop(void)
{
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), device = -1;
    int file = open(path, O_RDWR | O_CLOEXEC);

    /* another process may take it first */
    for (unsigned i = 0; i < 100 && control >= 0 && device < 0; i++) {
        snprintf(loop_path, sizeof(loop_path), "/dev/loop%d", ioctl(control, LOOP_CTL_GET_FREE));
        device = open(loop_path, O_RDWR | O_CLOEXEC);
        if (device >= 0 && ioctl(device, LOOP_SET_FD, file) < 0)
            mv_close_fd(&device);
    }
    mv_close_fd(&control);
    close(file);
    if (device < 0)
        skip("no loop device can be had here: that takes root and the module loop");
    return device;
}

Test(disk_image, a_block_device_is_opened_with_its_size)
{
    int device;
    uint64_t size = 0;

    make_file(1 * MV_MIB, 0644);
    device = attach_loop();
    disk.path = loop_path;
    cr_expect_eq(open_image(&image), 0, "%s", err.tried);
    cr_expect_eq(image.size, 1 * MV_MIB);
    cr_expect_eq(mv_disk_file_measure(&image, &size), 0);
    cr_expect_eq(size, 1 * MV_MIB);
    cr_expect_eq(open_image(&second), -EBUSY, "in use");
    mv_disk_file_close(&image);
    disk.direct = true;
    cr_expect_eq(open_image(&image), 0, "%s", err.tried);
    mv_disk_file_close(&image);
    ioctl(device, LOOP_CLR_FD);
    close(device);
}

/* The device is claimed by one who opens it with O_EXCL, as the kernel does for a mount. */
Test(disk_image, a_block_device_that_the_host_has_claimed_is_told)
{
    int device, claim;

    make_file(1 * MV_MIB, 0644);
    device = attach_loop();
    claim = open(loop_path, O_RDONLY | O_EXCL | O_CLOEXEC);
    cr_expect_geq(claim, 0);
    disk.path = loop_path;
    cr_expect_eq(open_image(&image), -EBUSY);
    cr_expect(strstr(err.hint, "unmount"), "%s", err.hint);
    disk.read_only = true;
    cr_expect_eq(open_image(&image), 0, "reading does no harm");
    mv_disk_file_close(&image);
    close(claim);
    ioctl(device, LOOP_CLR_FD);
    close(device);
}
