/* SPDX-License-Identifier: MIT */
/* Guest memory: every edge of the translation, and files put into it. */
#include "core/memory.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/util.h"

#define LOW  (1 * MV_MIB)
#define HIGH (2 * MV_MIB)
#define BASE (4 * MV_GIB)

static struct mv_mem mem;

static void start(void)
{
    const struct mv_region regions[] = {{.base = 0, .size = LOW}, {.base = BASE, .size = HIGH}};

    cr_assert_eq(mv_mem_init(&mem, regions, 2), 0);
}

static void stop(void)
{
    mv_mem_done(&mem);
}

TestSuite(mem, .init = start, .fini = stop);

static bool is_ram(mv_gpa gpa, uint64_t size)
{
    return mv_mem_host(&mem, gpa, size) != NULL;
}

Test(mem, a_range_is_ram_to_its_last_byte_and_not_one_further)
{
    cr_expect(is_ram(0, LOW));
    cr_expect(!is_ram(0, LOW + 1));
    cr_expect(is_ram(LOW - 1, 1));
    cr_expect(!is_ram(LOW - 1, 2));
    cr_expect(!is_ram(LOW, 1));
    cr_expect(is_ram(BASE, HIGH));
    cr_expect(!is_ram(BASE - 1, 1));
    cr_expect(!is_ram(BASE - 1, 2), "beginning in the hole");
    cr_expect(!is_ram(BASE, HIGH + 1));
    cr_expect(is_ram(BASE + HIGH - 1, 1));
    cr_expect(!is_ram(BASE + HIGH, 1));
}

Test(mem, the_hole_is_not_ram)
{
    cr_expect(!is_ram(2 * MV_GIB, 1));
    cr_expect(!is_ram(LOW, BASE - LOW));
    cr_expect(!is_ram(LOW - 1, BASE - LOW + 2), "from one region to the other");
}

Test(mem, a_size_that_wraps_is_refused)
{
    cr_expect(!is_ram(0, UINT64_MAX));
    cr_expect(!is_ram(1, UINT64_MAX));
    cr_expect(!is_ram(LOW - 1, UINT64_MAX));
    cr_expect(!is_ram(BASE, UINT64_MAX - BASE + 1));
    cr_expect(!is_ram(BASE, UINT64_MAX - BASE + 2));
    cr_expect(!is_ram(UINT64_MAX, 1));
    cr_expect(!is_ram(UINT64_MAX, 2));
    cr_expect(!is_ram(UINT64_MAX - 1, UINT64_MAX));
}

Test(mem, an_empty_range_is_ram_where_its_address_is)
{
    cr_expect(is_ram(0, 0));
    cr_expect(is_ram(LOW - 1, 0));
    cr_expect(!is_ram(LOW, 0));
    cr_expect(!is_ram(BASE - 1, 0));
    cr_expect(is_ram(BASE, 0));
    cr_expect(!is_ram(UINT64_MAX, 0));
}

Test(mem, regions_do_not_share_host_memory)
{
    uint8_t *low = mv_mem_host(&mem, 0, LOW), *high = mv_mem_host(&mem, BASE, HIGH);

    cr_assert(low && high);
    cr_expect(low + LOW <= high || high + HIGH <= low);
    cr_expect_eq((uintptr_t)low % (2 * MV_MIB), 0, "huge pages need this alignment");
    memset(low, 0x11, LOW);
    memset(high, 0x22, HIGH);
    cr_expect_eq(low[LOW - 1], 0x11);
    cr_expect_eq(high[0], 0x22);
}

Test(mem, fresh_memory_is_zero)
{
    uint8_t *low = mv_mem_host(&mem, 0, LOW);

    for (uint64_t i = 0; i < LOW; i++)
        cr_assert_eq(low[i], 0);
}

Test(mem, reading_and_writing_is_all_or_nothing)
{
    uint8_t bytes[4] = {1, 2, 3, 4}, back[4] = {9, 9, 9, 9};

    cr_expect(mv_mem_write(&mem, LOW - 4, bytes, 4));
    cr_expect(!mv_mem_read(&mem, LOW - 3, back, 4));
    cr_expect_eq(back[0], 9, "nothing was copied");
    cr_expect(mv_mem_read(&mem, LOW - 4, back, 4));
    cr_expect_eq(memcmp(bytes, back, 4), 0);
    memset(bytes, 7, 4);
    cr_expect(!mv_mem_write(&mem, LOW - 3, bytes, 4));
    cr_expect(mv_mem_read(&mem, LOW - 4, back, 4));
    cr_expect_eq(back[3], 4, "nothing was written");
}

Test(mem, memory_that_no_host_can_map_is_refused)
{
    struct mv_mem other;
    const struct mv_region half = {.base = 0, .size = 1ull << 63};
    const struct mv_region all = {.base = 0, .size = UINT64_MAX - 4095};
    const struct mv_region two[] = {half, {.base = 1ull << 63, .size = 1ull << 63}};

    cr_expect_eq(mv_mem_init(&other, &half, 1), -ENOMEM);
    cr_expect_eq(mv_mem_init(&other, &all, 1), -ENOMEM);
    cr_expect_eq(mv_mem_init(&other, two, 2), -ENOMEM);
    mv_mem_done(&other);
}

Test(mem, done_may_be_called_twice)
{
    struct mv_mem other;
    const struct mv_region region = {.base = 0, .size = LOW};

    cr_assert_eq(mv_mem_init(&other, &region, 1), 0);
    mv_mem_done(&other);
    mv_mem_done(&other);
    cr_expect_null(mv_mem_host(&other, 0, 1));
}

/* ---- custom memory ---- */

Test(mem, a_piece_of_the_embedders_is_memory)
{
    static _Alignas(4096) uint8_t mine[2 * 4096];
    struct mv_region custom = {.base = 2 * MV_GIB, .size = sizeof(mine), .host = mine};
    uint8_t byte = 7;

    cr_expect(!is_ram(2 * MV_GIB, 1));
    cr_assert_eq(mv_mem_add(&mem, &custom), 0);
    cr_expect_eq(mv_mem_host(&mem, 2 * MV_GIB + 5, 3), mine + 5);
    cr_expect(!is_ram(2 * MV_GIB + 5, sizeof(mine)));
    cr_expect(mv_mem_write(&mem, 2 * MV_GIB + 4096, &byte, 1));
    cr_expect_eq(mine[4096], 7);
    custom.base += sizeof(mine);
    cr_expect_eq(mv_mem_add(&mem, &custom), 0, "the next one may begin where it ends");
    cr_expect(!is_ram(2 * MV_GIB + sizeof(mine) - 1, 2), "but they are two pieces");
    cr_expect_eq(mv_mem_last(&mem), BASE + HIGH - 1);
    custom.base = UINT64_MAX - sizeof(mine) + 1;
    cr_expect_eq(mv_mem_add(&mem, &custom), 0, "the very last addresses");
    cr_expect(is_ram(UINT64_MAX, 1));
    cr_expect_eq(mv_mem_last(&mem), UINT64_MAX);
}

Test(mem, a_read_only_piece_is_looked_at_and_no_more)
{
    static _Alignas(4096) uint8_t mine[4096] = {9};
    const struct mv_region custom = {
        .base = 2 * MV_GIB, .size = sizeof(mine), .host = mine, .read_only = true};
    uint8_t byte = 0;

    cr_assert_eq(mv_mem_add(&mem, &custom), 0);
    cr_expect_null(mv_mem_host(&mem, 2 * MV_GIB, 1), "a device would write there");
    cr_expect_eq(mv_mem_look(&mem, 2 * MV_GIB, 4096), mine);
    cr_expect(mv_mem_read(&mem, 2 * MV_GIB, &byte, 1));
    cr_expect_eq(byte, 9);
    cr_expect(!mv_mem_write(&mem, 2 * MV_GIB, &byte, 1));
}

Test(mem, pieces_do_not_overlap_wrap_or_become_too_many)
{
    static const struct {
        mv_gpa base;
        uint64_t size;
        int error;
    } rows[] = {
        {LOW - 4096, 4096, -EEXIST},  {0, 3 * MV_GIB, -EEXIST},
        {BASE - 4096, 8192, -EEXIST}, {BASE + HIGH - 4096, 8192, -EEXIST},
        {2 * MV_GIB, 0, -EINVAL},     {UINT64_MAX - 4095, 8192, -EINVAL},
        {LOW, BASE - LOW, 0}, /* just the hole */
        {LOW, 4096, -EEXIST},
    };

    for (unsigned i = 0; i < MV_COUNT(rows); i++) {
        const struct mv_region custom = {.base = rows[i].base, .size = rows[i].size};

        cr_expect_eq(mv_mem_add(&mem, &custom), rows[i].error, "row %u", i);
    }
    for (unsigned i = 1; i <= MV_MEM_CUSTOM; i++) {
        const struct mv_region custom = {.base = BASE + HIGH * i, .size = 4096};

        cr_expect_eq(mv_mem_add(&mem, &custom), i < MV_MEM_CUSTOM ? 0 : -ENOSPC, "piece %u", i);
    }
}

Test(mem, no_file_is_loaded_over_a_closed_piece)
{
    static _Alignas(4096) uint8_t mine[4096];
    const struct mv_region custom = {
        .base = 2 * MV_GIB, .size = sizeof(mine), .host = mine, .read_only = true};

    cr_assert_eq(mv_mem_add(&mem, &custom), 0);
    cr_expect_eq(mv_mem_load_file(&mem, 2 * MV_GIB, -1, 0, 16), -EFAULT);
}

/* ---- files ---- */

static uint8_t pattern(uint64_t offset)
{
    return (uint8_t)(offset ^ offset >> 8 ^ offset >> 16 ^ 0x5a);
}

static int make_file(uint64_t size)
{
    int fd = memfd_create("test", MFD_CLOEXEC);

    cr_assert_geq(fd, 0);
    for (uint64_t at = 0; at < size;) {
        uint8_t bytes[4096];
        size_t count = mv_min(sizeof(bytes), size - at);

        for (size_t i = 0; i < count; i++)
            bytes[i] = pattern(at + i);
        cr_assert_eq(write(fd, bytes, count), (ssize_t)count);
        at += count;
    }
    return fd;
}

static void expect_pattern(mv_gpa gpa, uint64_t offset, uint64_t size)
{
    const uint8_t *host = mv_mem_host(&mem, gpa, size);

    cr_assert_not_null(host);
    for (uint64_t i = 0; i < size; i++)
        cr_assert_eq(host[i], pattern(offset + i), "byte %llu", (unsigned long long)i);
}

Test(mem, a_file_arrives_whole)
{
    static const struct {
        mv_gpa gpa;
        uint64_t offset, size;
    } rows[] = {
        {0, 0, 1},
        {0x1000, 0, 4096},
        {0x1000, 0, 65536},         /* whole pages */
        {0x1000, 4096, 65536 + 17}, /* and a rest */
        {0x1001, 0, 100000},        /* an address that is not on a page */
        {0x1000, 512, 100000},      /* an offset that is not */
        {BASE + 0x3000, 0, 300000}, /* the other region */
        {LOW - 65536, 0, 65536},    /* to the last byte */
        {LOW - 65537, 0, 65537},
        {0x1000, 12288, 0}, /* nothing */
    };
    int fd = make_file(300000);

    for (unsigned i = 0; i < MV_COUNT(rows); i++) {
        uint8_t guard = 0xee, after = 0;

        mv_mem_write(&mem, rows[i].gpa + rows[i].size, &guard, 1);
        cr_assert_eq(mv_mem_load_file(&mem, rows[i].gpa, fd, rows[i].offset, rows[i].size), 0,
                     "row %u", i);
        expect_pattern(rows[i].gpa, rows[i].offset, rows[i].size);
        if (mv_mem_read(&mem, rows[i].gpa + rows[i].size, &after, 1))
            cr_expect_eq(after, guard, "row %u: the byte behind it", i);
    }
    close(fd);
}

Test(mem, what_the_guest_writes_does_not_reach_the_file)
{
    const uint64_t size = 128 * MV_KIB + 100;
    int fd = make_file(size);
    uint8_t byte;

    cr_assert_eq(mv_mem_load_file(&mem, 0, fd, 0, size), 0);
    memset(mv_mem_host(&mem, 0, size), 0xcc, size);
    for (uint64_t at = 0; at < size; at += 1000) {
        cr_assert_eq(pread(fd, &byte, 1, (off_t)at), 1);
        cr_assert_eq(byte, pattern(at));
    }
    close(fd);
}

Test(mem, a_file_that_is_truncated_later_stays_in_memory)
{
    const uint64_t size = 128 * MV_KIB + 100;
    int fd = make_file(size);

    cr_assert_eq(mv_mem_load_file(&mem, 0, fd, 0, size), 0);
    cr_assert(mv_mem_write(&mem, 5000, &(uint8_t){pattern(5000)}, 1));
    cr_assert_eq(ftruncate(fd, 0), 0);
    expect_pattern(0, 0, size);
    close(fd);
}

Test(mem, a_file_that_ends_too_early_is_told)
{
    static const struct {
        uint64_t file, offset, size;
        mv_gpa gpa;
    } rows[] = {
        {100, 0, 101, 0},            /* by one byte */
        {100, 100, 1, 0},            /* begins at the end */
        {100, 1000, 1, 0},           /* begins beyond it */
        {0, 0, 1, 0},                /* empty */
        {100000, 0, 100001, 0},      /* by one byte of many */
        {100000, 0, 131072, 0},      /* by whole pages */
        {100000, 4096, 98304, 0},    /* in the last page */
        {65535, 0, 65536, 0},        /* by the last byte of a page */
        {100000, 1 << 20, 65536, 0}, /* all of it is beyond the end */
    };

    for (unsigned i = 0; i < MV_COUNT(rows); i++) {
        int fd = make_file(rows[i].file);

        cr_expect_eq(mv_mem_load_file(&mem, rows[i].gpa, fd, rows[i].offset, rows[i].size),
                     -ENODATA, "row %u", i);
        close(fd);
    }
}

Test(mem, a_file_goes_only_where_ram_is)
{
    int fd = make_file(100000);

    cr_expect_eq(mv_mem_load_file(&mem, LOW - 4096, fd, 0, 8192), -EFAULT);
    cr_expect_eq(mv_mem_load_file(&mem, LOW, fd, 0, 1), -EFAULT);
    cr_expect_eq(mv_mem_load_file(&mem, BASE - 4096, fd, 0, 65536), -EFAULT);
    cr_expect_eq(mv_mem_load_file(&mem, 0, fd, 0, UINT64_MAX), -EFAULT);
    cr_expect_eq(mv_mem_load_file(&mem, UINT64_MAX - 4095, fd, 0, 4096), -EFAULT);
    close(fd);
}

Test(mem, an_offset_beyond_every_file_is_an_error)
{
    int fd = make_file(100000);

    cr_expect_lt(mv_mem_load_file(&mem, 0, fd, UINT64_MAX - 4095, 65536), 0);
    cr_expect_lt(mv_mem_load_file(&mem, 0, fd, UINT64_MAX, 10), 0);
    cr_expect_lt(mv_mem_load_file(&mem, 0, fd, 1ull << 63, 65536), 0);
    close(fd);
    cr_expect_eq(mv_mem_load_file(&mem, 0, fd, 0, 10), -EBADF);
}
