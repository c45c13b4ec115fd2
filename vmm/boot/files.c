/* SPDX-License-Identifier: MIT */
/*
 * Opens the files that a guest is booted from, so that they can be read at any offset: see boot.h.
 * What comes through a pipe is kept in memory (memfd_create(2)).  So are several initrds,
 * concatenated as Documentation/driver-api/early-userspace/buffer-format.rst allows:
 *
 *     archive | zeros up to a multiple of 4 | archive | ...
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "boot/boot.h"
#include "core/log.h"

#define ALIGNMENT 4
#define WRITER_MS 3000 /* how long to wait for a FIFO's first writer */
#define CHUNK     65536

struct source {
    const char *what, *path; /* "kernel" or "initrd" */
    int fd;
    uint64_t size; /* 0: a pipe */
};

static int open_source(const char *what, const char *path, struct source *ret_source,
                       struct mv_error *err)
{
    /* O_NONBLOCK: opening a FIFO that has no writer would block for ever. */
    MV_CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;

    if (fd < 0)
        return mv_fail(err, -errno, "open",
                       errno == ENOENT ? "check the path" : "check the file's permissions",
                       "cannot open the %s %s: %s", what, path, strerror(errno));
    if (fstat(fd, &st) < 0)
        return mv_fail(err, -errno, "fstat", NULL, "cannot examine the %s %s: %s", what, path,
                       strerror(errno));
    if (!S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode))
        return mv_fail(err, -EINVAL, NULL, "copy it to a regular file and name that",
                       "the %s %s is %s, not a regular file or a pipe", what, path,
                       S_ISDIR(st.st_mode) ? "a directory" : "a device or socket");
    if (S_ISREG(st.st_mode) && st.st_size == 0)
        return mv_fail(err, -ENOEXEC, NULL, "was its download or build cut short?",
                       "the %s %s is empty", what, path);
    *ret_source = (struct source){what, path, mv_steal_fd(&fd),
                                  S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0};
    return 0;
}

/* Waits until there is something to read, or no writer is left.  On a FIFO that no writer has
 * opened yet, read(2) returns 0, as at its end. */
static ssize_t read_some(const struct source *source, void *buffer, bool first)
{
    struct pollfd ready = {.fd = source->fd, .events = POLLIN};
    ssize_t got = read(source->fd, buffer, CHUNK);

    if (got == 0 && first) {
        poll(&ready, 1, WRITER_MS);
        got = read(source->fd, buffer, CHUNK);
    }
    while (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        poll(&ready, 1, -1);
        got = read(source->fd, buffer, CHUNK);
    }
    return got;
}

/* Appends the whole source to `to` at *size, which is advanced to the new end. */
static int copy(const struct source *source, int to, uint64_t *size, uint64_t most,
                struct mv_error *err)
{
    uint64_t begin = *size, at = begin;
    char buffer[CHUNK];
    ssize_t got, put;

    while ((got = read_some(source, buffer, at == begin)) > 0) {
        if ((uint64_t)got > most - at)
            return mv_fail(err, -ENOMEM, NULL, "give the guest more memory",
                           "the %s %s is larger than the guest's memory, %llu MiB", source->what,
                           source->path, (unsigned long long)(most / MV_MIB));
        put = pwrite(to, buffer, (size_t)got, (off_t)at);
        if (put != got)
            return mv_fail(err, put < 0 ? -errno : -ENOSPC, "pwrite", NULL,
                           "cannot buffer the %s %s: %s", source->what, source->path,
                           strerror(put < 0 ? errno : ENOSPC));
        at += (uint64_t)got;
    }
    if (got < 0)
        return mv_fail(err, -errno, "read", NULL, "cannot read the %s %s: %s", source->what,
                       source->path, strerror(errno));
    if (at == begin)
        return mv_fail(err, -EINVAL, NULL, "start the program that writes to it, too",
                       "the %s %s is a FIFO that nobody has written to", source->what,
                       source->path);
    *size = at;
    return 0;
}

int mv_boot_open(const char *what, const char *const *paths, size_t count, uint64_t most,
                 int *ret_fd, uint64_t *ret_size, struct mv_error *err)
{
    MV_CLEANUP_FD int all = -1;
    uint64_t size = 0;

    for (size_t i = 0; i < count; i++) {
        struct source source = {.fd = -1};
        int error = open_source(what, paths[i], &source, err);

        if (error)
            return error;
        MV_CLEANUP_FD int fd = source.fd;

        if (count == 1 && source.size) {
            *ret_fd = mv_steal_fd(&fd);
            *ret_size = source.size;
            return 0;
        }
        if (all < 0)
            all = memfd_create(what, MFD_CLOEXEC);
        if (all < 0)
            return mv_fail(err, -errno, "memfd_create", NULL, "cannot buffer the %s %s: %s", what,
                           paths[i], strerror(errno));
        size = mv_align_up(size, ALIGNMENT);
        error = copy(&source, all, &size, mv_max(most, size), err);
        if (error)
            return error;
    }
    *ret_fd = mv_steal_fd(&all);
    *ret_size = size;
    return 0;
}

int mv_boot_open_files(const struct mv_config *config, struct mv_boot_files *ret_files,
                       struct mv_error *err)
{
    const char *before = config->linux_append ? config->linux_append : "";
    const char *own = config->append ? config->append : "";
    const char *initrds[1 + MV_INITRDS_MAX];
    size_t count = 0;
    int error = 0;

    *ret_files = (struct mv_boot_files){
        .kernel_path = config->kernel, .kernel = -1, .initrd = -1, .raw_append = own};
    if (asprintf(&ret_files->line, "%s%s%s", before, *before && *own ? " " : "", own) < 0) {
        ret_files->line = NULL;
        return mv_fail(err, -ENOMEM, NULL, NULL, "no memory for the command line");
    }
    ret_files->append = ret_files->line;
    if (config->initrd)
        initrds[count++] = config->initrd;
    for (size_t i = 0; i < config->initrd_count; i++)
        initrds[count++] = config->initrds[i];
    ret_files->initrd_path = count ? initrds[0] : NULL;
    if (config->kernel)
        error = mv_boot_open("kernel", &config->kernel, 1, config->memory, &ret_files->kernel,
                             &ret_files->kernel_size, err);
    if (!error && count)
        error = mv_boot_open("initrd", initrds, count, config->memory, &ret_files->initrd,
                             &ret_files->initrd_size, err);
    return error;
}

void mv_boot_close_files(struct mv_boot_files *files)
{
    free(files->line);
    mv_close_fd(&files->kernel);
    mv_close_fd(&files->initrd);
}
