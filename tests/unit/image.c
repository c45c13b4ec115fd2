/* SPDX-License-Identifier: MIT */
/* Recognizing a file: kernels, and what people take for one. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "bootrig.h"

static void start(void)
{
    rig_start(32 * MV_MIB);
}

TestSuite(image, .init = start, .fini = rig_stop);

static const struct {
    unsigned offset, size;
    const char *magic, *looks, *hint;
} rows[] = {
    {56, 4, "ARMd", "arm64", "architecture"},
    {48, 4, "RSC\x05", "RISC-V", "architecture"},
    {0, 3, "\x1f\x8b\x08", "gzip", "gunzip"},
    {0, 6, "\xfd\x37zXZ", "xz", "unxz"},
    {0, 4, "\x28\xb5\x2f\xfd", "zstd", "unzstd"},
    {0, 4, "\x02\x21\x4c\x18", "LZ4", "unlz4"},
    {0, 6, "070701", "cpio", "initrd"},
    {0, 4, "\x27\x05\x19\x56", "U-Boot", "inside"},
    {0, 8, "!<arch>\n", "Debian package", "unpack"},
    {0, 4, "\xed\xab\xee\xdb", "RPM", "unpack"},
    {257, 5, "ustar", "tar", "unpack"},
    {0x8001, 5, "CD001", "CD image", "inside"},
    {0, 4, "QFI\xfb", "qcow2", "a kernel instead"},
    {1080, 2, "\x53\xef", "ext4", "a kernel instead"},
    {0, 9, "#!/bin/sh", "script", "kernel image"},
    {0, 2, "MZ", "EFI or DOS", "bzImage"},
    {510, 2, "\x55\xaa", "boot sector", "a kernel instead"},
};

/* A file of so many bytes 'A' with a row's magic in it. */
static void make(unsigned row, size_t size)
{
    memset(&image, 'A', sizeof(image));
    memcpy(image.bytes + rows[row].offset, rows[row].magic, rows[row].size);
    image.size = size;
}

Test(image, what_people_take_for_a_kernel_is_named_with_what_to_do)
{
    for (unsigned i = 0; i < MV_COUNT(rows); i++) {
        make(i, 0x9000);
        rig_expect_refused(rig_load(), -ENOEXEC, rows[i].looks);
        cr_expect(strstr(rig.err.hint, rows[i].hint), "%s: %s", rows[i].looks, rig.err.hint);
        cr_expect(strstr(rig.err.tried, "kernel "), "the file is named");
    }
}

Test(image, it_is_named_also_if_the_file_is_short)
{
    for (unsigned i = 0; i < MV_COUNT(rows); i++) {
        if (strcmp(rows[i].magic, "MZ") == 0)
            continue; /* that is how a truncated bzImage begins */
        make(i, rows[i].offset + rows[i].size);
        rig_expect_refused(rig_load(), -ENOEXEC, rows[i].looks);
    }
}

Test(image, a_magic_that_is_cut_is_not_recognized)
{
    for (unsigned i = 0; i < MV_COUNT(rows); i++) {
        make(i, rows[i].offset + 1);
        rig_expect_refused(rig_load(), -ENOEXEC, "kernel");
        cr_expect_null(strstr(rig.err.tried, rows[i].looks), "%s", rig.err.tried);
    }
}

Test(image, an_unknown_file_is_said_to_be_unknown)
{
    memset(&image, 'A', sizeof(image));
    image.size = 100000;
    rig_expect_refused(rig_load(), -ENOEXEC, "its format is unknown");
}

Test(image, a_short_file_is_said_to_be_truncated)
{
    memset(&image, 'A', sizeof(image));
    for (size_t size = 0; size < 0x206; size++) {
        image.size = size;
        rig_expect_refused(rig_load(), -ENOEXEC, "truncated");
    }
}

Test(image, kernels_are_recognized_whatever_else_they_look_like)
{
    image_bzimage(&image);
    memcpy(image.bytes + 56, "ARMd", 4); /* an EFI stub's header may be anything */
    rig.files.kernel_size = image.size;
    cr_assert_eq(pwrite(rig.files.kernel, image.bytes, image.size, 0), (ssize_t)image.size);
    cr_expect_eq(
        mv_image_probe(&rig.files, MV_IMAGE_BZIMAGE | MV_IMAGE_ELF, "name a bzImage", &rig.err),
        MV_IMAGE_BZIMAGE);
    image_elf32(&image);
    memcpy(image.bytes + 510, "\x55\xaa", 2);
    cr_assert_eq(pwrite(rig.files.kernel, image.bytes, image.size, 0), (ssize_t)image.size);
    cr_expect_eq(
        mv_image_probe(&rig.files, MV_IMAGE_BZIMAGE | MV_IMAGE_ELF, "name a bzImage", &rig.err),
        MV_IMAGE_ELF);
}

Test(image, reading_is_all_or_nothing)
{
    char bytes[8] = "";
    int fd = rig.files.kernel;

    cr_assert_eq(pwrite(fd, "01234567", 8, 0), 8);
    cr_expect_eq(mv_read_at(fd, 0, bytes, 8), 0);
    cr_expect_eq(memcmp(bytes, "01234567", 8), 0);
    cr_expect_eq(mv_read_at(fd, 7, bytes, 1), 0);
    cr_expect_eq(mv_read_at(fd, 8, bytes, 0), 0);
    cr_expect_eq(mv_read_at(fd, 1, bytes, 8), -ENODATA);
    cr_expect_eq(mv_read_at(fd, 8, bytes, 1), -ENODATA);
    cr_expect_eq(mv_read_at(fd, 1ull << 63, bytes, 1), -ENODATA);
    cr_expect_eq(mv_read_at(fd, UINT64_MAX, bytes, 8), -ENODATA);
    cr_expect_lt(mv_read_at(fd, INT64_MAX, bytes, 8), 0);
    cr_expect_eq(mv_read_at(-1, 0, bytes, 1), -EBADF);
}

/* ---- the whole of it ---- */

Test(image, loading_writes_the_tables_and_keeps_the_entry)
{
    struct mv_arch *arch;

    image_bzimage(&image);
    cr_assert_eq(pwrite(rig.files.kernel, image.bytes, image.size, 0), (ssize_t)image.size);
    rig.files.kernel_size = image.size;
    cr_assert_eq(mv_arch_create(2, false, &arch, &rig.err), 0);
    cr_assert_eq(mv_arch_load(arch, &rig.mem, &rig.files, NULL, 0, &rig.err), 0);
    cr_expect_eq(arch->entry.pc, IMAGE_ADDRESS + 0x200);
    cr_expect_eq(memcmp(mv_mem_host(&rig.mem, 0xe0000, 8), "RSD PTR ", 8), 0);
    mv_arch_destroy(arch);
    mv_arch_destroy(NULL);
}

Test(image, tables_that_do_not_fit_fail_the_load)
{
    struct mv_arch *arch;

    image_elf64(&image);
    cr_assert_eq(pwrite(rig.files.kernel, image.bytes, image.size, 0), (ssize_t)image.size);
    rig.files.kernel_size = image.size;
    cr_assert_eq(mv_arch_create(1000000, false, &arch, &rig.err), 0);
    rig_expect_refused(mv_arch_load(arch, &rig.mem, &rig.files, NULL, 0, &rig.err), -ENOSPC,
                       "ACPI");
    mv_arch_destroy(arch);
}
