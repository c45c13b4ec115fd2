/* SPDX-License-Identifier: MIT */
/* What a guest is started from, opened: files, pipes, and several as one. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "boot/boot.h"

#define MOST 1000000

static char paths[4][64];
static int result = -1;
static uint64_t size;
static struct mv_error err;

/* A path of our own in the place `which`. */
static const char *name(unsigned which)
{
    snprintf(paths[which], sizeof(paths[which]), "/tmp/boot-files-%d-%u", getpid(), which);
    return paths[which];
}

static const char *file(unsigned which, const char *text)
{
    FILE *to = fopen(name(which), "we");

    cr_assert_not_null(to);
    cr_assert_geq(fputs(text, to), 0);
    cr_assert_eq(fclose(to), 0);
    return paths[which];
}

/* What a shell's <( ) is: a pipe by the name of its descriptor, that has these bytes in it. */
static const char *pipe_of(unsigned which, const void *data, size_t bytes, bool ends)
{
    int ends_of[2];

    cr_assert_eq(pipe(ends_of), 0);
    cr_assert_eq(write(ends_of[1], data, bytes), (ssize_t)bytes);
    if (ends)
        close(ends_of[1]);
    snprintf(paths[which], sizeof(paths[which]), "/dev/fd/%d", ends_of[0]);
    return paths[which];
}

static void stop(void)
{
    mv_close_fd(&result);
    for (unsigned i = 0; i < MV_COUNT(paths); i++)
        if (strncmp(paths[i], "/tmp", 4) == 0)
            unlink(paths[i]);
}

TestSuite(boot_files, .fini = stop);

static int open_all(size_t count, const char *const *names, uint64_t most)
{
    mv_close_fd(&result);
    return mv_boot_open("initrd", names, count, most, &result, &size, &err);
}

static void expect_bytes(const char *bytes, size_t wanted)
{
    char found[64];

    cr_assert_eq(size, wanted);
    cr_assert_eq(mv_read_at(result, 0, found, wanted), 0);
    cr_expect_eq(memcmp(found, bytes, wanted), 0);
}

Test(boot_files, one_file_is_opened_as_it_is)
{
    const char *names[] = {file(0, "abc")};
    struct stat ours, theirs;

    cr_assert_eq(open_all(1, names, 0), 0, "%s", err.tried);
    expect_bytes("abc", 3);
    cr_assert(fstat(result, &ours) == 0 && stat(names[0], &theirs) == 0);
    cr_expect_eq(ours.st_ino, theirs.st_ino);
}

Test(boot_files, each_of_several_begins_at_a_multiple_of_4)
{
    const char *names[] = {file(0, "abcde"), file(1, "ABCD"), pipe_of(2, "1", 1, true),
                           file(3, "x")};

    cr_assert_eq(open_all(4, names, MOST), 0, "%s", err.tried);
    expect_bytes("abcde\0\0\0ABCD1\0\0\0x", 17);
}

Test(boot_files, a_pipe_is_read_to_its_end)
{
    static char much[60000];
    const char *names[] = {pipe_of(0, much, sizeof(much), true)};

    cr_assert_eq(open_all(1, names, sizeof(much)), 0, "%s", err.tried);
    cr_expect_eq(size, sizeof(much), "as much as may be");
}

Test(boot_files, a_pipe_may_bring_no_more_than_the_guest_has)
{
    static char much[60000];
    const char *names[] = {file(0, "abcde"), pipe_of(1, much, sizeof(much), false)};

    cr_expect_eq(open_all(2, names, sizeof(much)), -ENOMEM, "before its end, which never comes");
    cr_expect(strstr(err.tried, "larger than the guest") && strstr(err.hint, "more memory"), "%s",
              err.tried);
    cr_expect_eq(open_all(2, names, 3), -ENOMEM);
    cr_expect_eq(open_all(2, names, 0), -ENOMEM);
}

/* Nothing but files and pipes; the FIFO's writer never comes. */
Test(boot_files, what_cannot_be_read_to_an_end_is_told, .timeout = 60)
{
    const struct {
        const char *path;
        int error;
        const char *words;
    } rows[] = {{"/dev/zero", -EINVAL, "a device or socket"},
                {"/tmp", -EINVAL, "a directory"},
                {file(0, ""), -ENOEXEC, "is empty"},
                {"/nonexistent", -ENOENT, "cannot open the initrd"},
                {name(1), -EINVAL, "is a FIFO that nobody has written to"}};

    cr_assert_eq(mkfifo(name(1), 0600), 0);
    for (unsigned i = 0; i < MV_COUNT(rows); i++) {
        const char *names[] = {file(2, "abc"), rows[i].path};

        for (unsigned first = 0; first < 2; first++)
            cr_expect_eq(open_all(2 - first, names + first, MOST), rows[i].error, "%s",
                         rows[i].path);
        cr_expect(strstr(err.tried, rows[i].words), "%s", err.tried);
        cr_expect_neq(err.hint[0], 0);
    }
    cr_expect_eq(result, -1);
}

static void *write_late(void *context)
{
    int fd = open(context, O_WRONLY | O_CLOEXEC); /* until somebody reads */

    usleep(100000);
    cr_assert_eq(write(fd, "abc", 3), 3);
    usleep(100000);
    cr_assert_eq(write(fd, "def", 3), 3);
    close(fd);
    return NULL;
}

Test(boot_files, a_fifo_may_have_its_writer_later)
{
    const char *names[] = {name(0)};
    pthread_t writer;

    cr_assert_eq(mkfifo(names[0], 0600), 0);
    cr_assert_eq(pthread_create(&writer, NULL, write_late, paths[0]), 0);
    cr_expect_eq(open_all(1, names, MOST), 0, "%s", err.tried);
    pthread_join(writer, NULL);
    expect_bytes("abcdef", 6);
}
