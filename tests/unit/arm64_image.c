/* SPDX-License-Identifier: MIT */
/* The arm64 loader (Documentation/arm64/booting.rst): flat, compressed, and hostile images. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "arm64.h"
#include "core/util.h"
#include "layout.h"

enum { SIZE = 300 * 1000, TABLES = 64 * 1024, TEXT_OFFSET = 0x80000, MEMORY_SIZE = 0x60000 };

static struct mv_mem mem;
static struct mv_boot_files files;
static struct mv_load load;
static struct mv_error err;
static uint8_t image[SIZE], packed[2 * SIZE];

static void put(unsigned offset, uint64_t value, size_t size)
{
    memcpy(image + offset, &value, size);
}

static void set_memory(uint64_t size)
{
    struct mv_region region = {.base = MV_RAM_GPA, .size = size};

    mv_mem_done(&mem);
    cr_assert_eq(mv_mem_init(&mem, &region, 1), 0);
}

static void start(void)
{
    set_memory(64 * MV_MIB);
    for (unsigned i = 0; i < SIZE; i++)
        image[i] = (uint8_t)(i * 167 + (i >> 8) * 13);
    put(8, TEXT_OFFSET, 8);
    put(16, MEMORY_SIZE, 8);
    put(24, 0, 8);
    memcpy(image + 56, "ARMd", 4);
    files = (struct mv_boot_files){
        .kernel_path = "kernel",
        .kernel = memfd_create("kernel", MFD_CLOEXEC),
        .initrd_path = "initrd",
        .initrd = -1,
        .append = "",
    };
}

static void stop(void)
{
    mv_mem_done(&mem);
    mv_close_fd(&files.kernel);
    mv_close_fd(&files.initrd);
}

TestSuite(arm64_image, .init = start, .fini = stop);

static int load_bytes(const void *bytes, size_t size)
{
    cr_assert_eq(ftruncate(files.kernel, 0), 0);
    cr_assert_eq(pwrite(files.kernel, bytes, size, 0), (ssize_t)size);
    files.kernel_size = size;
    memset(&err, 0, sizeof(err));
    load = (struct mv_load){.mem = &mem, .files = &files};
    return mv_arm64_load(&load, TABLES, &err);
}

static void expect_refused(int error, int code, const char *words)
{
    cr_expect_eq(error, code, "%d instead of %d: %s", error, code, err.tried);
    cr_expect(strstr(err.tried, words), "\"%s\" has no \"%s\"", err.tried, words);
    cr_expect_neq(err.hint[0], 0, "\"%s\" has no hint", err.tried);
}

static void expect_loaded(int error)
{
    mv_gpa kernel = MV_RAM_GPA + TEXT_OFFSET;

    cr_assert_eq(error, 0, "%s", err.tried);
    cr_expect_eq(load.entry.mode, MV_ENTRY_ARM64);
    cr_expect_eq(load.entry.pc, kernel);
    cr_expect_eq(load.entry.data, kernel + MEMORY_SIZE);
    cr_expect_eq(memcmp(mv_mem_host(&mem, kernel, SIZE), image, SIZE), 0);
}

static size_t pack_gzip(void)
{
    z_stream stream = {
        .next_in = image, .avail_in = SIZE, .next_out = packed, .avail_out = sizeof(packed)};

    cr_assert_eq(deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    cr_assert_eq(deflate(&stream, Z_FINISH), Z_STREAM_END);
    deflateEnd(&stream);
    return stream.total_out;
}

/* An EFI program with the packed image inside of it (zboot-header.S). */
static size_t wrap_zboot(const char *method, const void *payload, size_t size, uint8_t *ret_program)
{
    const uint32_t offset = 0x1000, length = (uint32_t)size;

    memset(ret_program, 0, offset);
    memcpy(ret_program, "MZ\0\0zimg", 8);
    memcpy(ret_program + 8, &offset, 4);
    memcpy(ret_program + 12, &length, 4);
    strcpy((char *)ret_program + 24, method);
    memcpy(ret_program + offset, payload, size);
    return offset + size;
}

Test(arm64_image, a_flat_image_is_loaded)
{
    expect_loaded(load_bytes(image, SIZE));
}

Test(arm64_image, a_gzipped_image_is_loaded)
{
    size_t size = pack_gzip();

    expect_loaded(load_bytes(packed, size));
    memset(packed + size, 0, 1000); /* padding behind it does no harm */
    set_memory(64 * MV_MIB);
    expect_loaded(load_bytes(packed, size + 1000));
}

Test(arm64_image, an_efi_zboot_image_is_loaded)
{
    static uint8_t program[3 * SIZE];
    size_t size = wrap_zboot("gzip", packed, pack_gzip(), program);

    expect_loaded(load_bytes(program, size));
    set_memory(64 * MV_MIB);
    size = ZSTD_compress(packed, sizeof(packed), image, SIZE, 3);
    cr_assert(!ZSTD_isError(size));
    expect_loaded(load_bytes(program, wrap_zboot("zstd", packed, size, program)));
    set_memory(64 * MV_MIB);
    expect_loaded(load_bytes(program, wrap_zboot("zstd22", packed, size, program)));
    expect_refused(load_bytes(program, wrap_zboot("lzma", packed, size, program)), -ENOEXEC,
                   "lzma");
    expect_refused(load_bytes(program, wrap_zboot("\033[2J\nxz", packed, size, program)), -ENOEXEC,
                   "format: ??2J?xz");
}

Test(arm64_image, a_header_without_a_size_means_the_old_offset)
{
    put(8, 0x12345, 8);
    put(16, 0, 8);
    cr_assert_eq(load_bytes(image, SIZE), 0, "%s", err.tried);
    cr_expect_eq(load.entry.pc, MV_RAM_GPA + 0x80000);
    cr_expect_geq(load.entry.data, load.entry.pc + SIZE + 16 * MV_MIB, "behind its .bss");
}

Test(arm64_image, a_signature_behind_the_image_is_not_overwritten)
{
    put(16, 0x1000, 8);
    cr_assert_eq(load_bytes(image, SIZE), 0, "%s", err.tried);
    cr_expect_geq(load.entry.data, load.entry.pc + SIZE);
}

Test(arm64_image, lies_are_refused)
{
    static const struct {
        unsigned offset;
        uint64_t value;
        int code;
        const char *words;
    } rows[] = {
        {8, 0x80001, -ENOEXEC, "text_offset"},
        {8, UINT64_MAX - 0xfff, -ENOEXEC, "text_offset"},
        {8, MV_GIB, -ENOEXEC, "text_offset"},
        {8, MV_GIB - 0x1000, -ENOMEM, "too little memory"},
        {16, UINT64_MAX, -ENOEXEC, "image_size"},
        {16, 1ull << 63, -ENOEXEC, "image_size"},
        {16, 1ull << 40, -ENOMEM, "too little memory"},
        {16, 64 * MV_MIB, -ENOMEM, "too little memory"},
        {24, 1, -ENOEXEC, "big-endian"},
    };

    for (unsigned i = 0; i < MV_COUNT(rows); i++) {
        uint8_t before[8];

        memcpy(before, image + rows[i].offset, 8);
        put(rows[i].offset, rows[i].value, 8);
        expect_refused(load_bytes(image, SIZE), rows[i].code, rows[i].words);
        expect_refused(load_bytes(packed, pack_gzip()), rows[i].code, rows[i].words);
        memcpy(image + rows[i].offset, before, 8);
    }
}

Test(arm64_image, memory_up_to_the_last_page_is_used_and_no_more)
{
    uint64_t enough = TEXT_OFFSET + MEMORY_SIZE + TABLES;

    set_memory(enough);
    expect_loaded(load_bytes(image, SIZE));
    set_memory(enough - MV_PAGE_SIZE);
    expect_refused(load_bytes(image, SIZE), -ENOMEM, "too little memory");
    set_memory(TEXT_OFFSET + 2 * MV_PAGE_SIZE); /* less than what comes out of the packing */
    put(16, MV_PAGE_SIZE, 8);
    expect_refused(load_bytes(packed, pack_gzip()), -ENOMEM, "too little memory");
    expect_refused(load_bytes(image, SIZE), -ENOMEM, "too little memory");
}

Test(arm64_image, truncated_files_are_named_so)
{
    static uint8_t program[3 * SIZE];
    size_t size = pack_gzip();

    for (size_t cut = 12; cut < size; cut += 997)
        expect_refused(load_bytes(packed, cut), -ENOEXEC, "truncated");
    size = wrap_zboot("gzip", packed, size, program);
    for (size_t cut = 24; cut < size; cut += 1499)
        expect_refused(load_bytes(program, cut), -ENOEXEC, "truncated");
    expect_refused(load_bytes(image, 63), -ENOEXEC, "truncated");
    expect_refused(load_bytes("", 0), -ENOEXEC, "truncated");
}

/* Only the list of sections of the EFI program tells how long a flat image should be. */
Test(arm64_image, a_flat_image_that_is_an_efi_program_too_shows_that_it_is_cut)
{
    memcpy(image, "MZ", 2);
    put(60, 0x80, 4);
    memcpy(image + 0x80, "PE\0", 4);
    put(0x80 + 6, 2, 2);     /* sections */
    put(0x80 + 20, 0xa0, 2); /* size of the optional header */
    for (unsigned i = 0; i < 2; i++) {
        put(0x80 + 24 + 0xa0 + 40 * i + 16, 0x1000, 4);
        put(0x80 + 24 + 0xa0 + 40 * i + 20, i ? SIZE - 0x1000 : 0x1000, 4);
    }
    expect_loaded(load_bytes(image, SIZE));
    expect_refused(load_bytes(image, SIZE - 1), -ENOEXEC, "truncated");
    expect_refused(load_bytes(image, 0x3000), -ENOEXEC, "truncated");
    put(60, UINT32_MAX, 4); /* no PE header at all: nothing can be said */
    cr_expect_eq(load_bytes(image, SIZE - 1), 0);
}

Test(arm64_image, damaged_data_are_refused)
{
    size_t size = pack_gzip();

    packed[size / 2] ^= 0x55;
    expect_refused(load_bytes(packed, size), -ENOEXEC, "");
    size = ZSTD_compress(packed, sizeof(packed), image, SIZE, 3);
    memset(packed + size / 2, 0xff, 100);
    expect_refused(load_bytes(packed, size), -ENOEXEC,
                   "zstd data"); /* not in a program: not ours */
}

Test(arm64_image, something_else_inside_is_refused)
{
    memset(image + 56, 0, 4);
    expect_refused(load_bytes(packed, pack_gzip()), -ENOEXEC, "does not decompress to");
    expect_refused(load_bytes(image, SIZE), -ENOEXEC, "its format is unknown");
    memcpy(image, "\177ELF", 4);
    expect_refused(load_bytes(image, SIZE), -ENOEXEC, "ELF");
    memcpy(image, "MZ\0\0", 4);
    memcpy(image + 0x202, "HdrS", 4);
    expect_refused(load_bytes(image, SIZE), -ENOEXEC, "x86");
}

Test(arm64_image, the_initrd_is_at_the_top_or_refused)
{
    files.initrd = memfd_create("initrd", MFD_CLOEXEC);
    files.initrd_size = 5000;
    cr_assert_eq(ftruncate(files.initrd, 5000), 0);
    expect_loaded(load_bytes(image, SIZE));
    cr_expect_eq(load.initrd, MV_RAM_GPA + 64 * MV_MIB - 8192);
    files.initrd_size = 64 * MV_MIB - TEXT_OFFSET;
    cr_assert_eq(ftruncate(files.initrd, (off_t)files.initrd_size), 0);
    expect_refused(load_bytes(image, SIZE), -ENOMEM, "too little memory");
}
