/* SPDX-License-Identifier: MIT */
/* What the loaders share: recognizing a file, and placing what goes with a
 * kernel. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "boot/boot.h"
#include "util.h"

/* Files that people take for a kernel. */
static const struct {
    unsigned offset, size;
    const char *magic;
    const char *what, *hint;
} lookalikes[] = {
    {56, 4, "ARMd", "a Linux kernel for arm64", "name a kernel for this computer's architecture"},
    {48, 4, "RSC\x05", "a Linux kernel for RISC-V",
     "name a kernel for this computer's architecture"},
    {0, 2, "\x1f\x8b", "gzip data", "unpack it (gunzip); if it is an initramfs, give it with -i"},
    {0, 6,
     "\xfd"
     "7zXZ",
     "xz data", "unpack it (unxz)"},
    {0, 4, "\x28\xb5\x2f\xfd", "zstd data", "unpack it (unzstd)"},
    {0, 4, "\x02\x21\x4c\x18", "LZ4 data", "unpack it (unlz4)"},
    {0, 6, "070701", "a cpio archive", "that is an initramfs: give it with -i"},
    {0, 4, "\x27\x05\x19\x56", "a U-Boot image", "name the bzImage or vmlinux inside of it"},
    {0, 5, "!<arc", "an ar archive or a Debian package", "unpack it and name the vmlinuz inside"},
    {0, 4, "\xed\xab\xee\xdb", "an RPM package", "unpack it and name the vmlinuz inside"},
    {257, 5, "ustar", "a tar archive", "unpack it and name the kernel inside"},
    {0x8001, 5, "CD001", "a CD image", "name the kernel inside of it"},
    {0, 4, "QFI\xfb", "a qcow2 disk image", "name a kernel with -k"},
    {1080, 2, "\x53\xef", "an ext2, ext3 or ext4 file system", "name a kernel with -k"},
    {0, 2, "#!", "a script", "name a kernel image"},
    {0, 2, "MZ", "an EFI or DOS program without a Linux boot header",
     "name the bzImage or vmlinux of that kernel"},
    {510, 2, "\x55\xaa", "a boot sector or disk image", "name a kernel with -k"},
};

static bool starts_with(int fd, unsigned offset, const void *magic, unsigned size)
{
    char bytes[8];

    return mv_read_at(fd, offset, bytes, size) == 0 && memcmp(bytes, magic, size) == 0;
}

static enum mv_image_kind truncated(const struct mv_boot_files *files, struct mv_error *err)
{
    mv_fail(err, -ENOEXEC, NULL, "was its download or build cut short?",
            "the kernel %s is truncated: it has only %llu bytes", files->kernel_path,
            (unsigned long long)files->kernel_size);
    return MV_IMAGE_UNKNOWN;
}

enum mv_image_kind mv_image_probe(const struct mv_boot_files *files, struct mv_error *err)
{
    bool cut = files->kernel_size < 0x206; /* before the end of a bzImage's magic */
    int fd = files->kernel;

    if (starts_with(fd, 0, "\177ELF", 4))
        return MV_IMAGE_ELF;
    if (starts_with(fd, 0x202, "HdrS", 4))
        return MV_IMAGE_BZIMAGE;
    if (cut && starts_with(fd, 0, "MZ", 2))
        return truncated(files, err); /* so a bzImage begins */
    for (size_t i = 0; i < MV_COUNT(lookalikes); i++) {
        if (!starts_with(fd, lookalikes[i].offset, lookalikes[i].magic, lookalikes[i].size))
            continue;
        mv_fail(err, -ENOEXEC, NULL, lookalikes[i].hint,
                "%s is not a kernel for this machine: it looks like %s", files->kernel_path,
                lookalikes[i].what);
        return MV_IMAGE_UNKNOWN;
    }
    if (cut)
        return truncated(files, err);
    mv_fail(err, -ENOEXEC, NULL, "name a bzImage (vmlinuz), or a vmlinux with a PVH note",
            "%s is not a kernel: nothing about it is known", files->kernel_path);
    return MV_IMAGE_UNKNOWN;
}

int mv_boot_put_cmdline(struct mv_load *load, mv_gpa gpa, uint64_t limit, struct mv_error *err)
{
    size_t length = strlen(load->files->append);

    if (length > limit)
        return mv_fail(err, -E2BIG, NULL, "shorten what is given with -a",
                       "the command line has %zu bytes, but this kernel takes %llu at most", length,
                       (unsigned long long)limit);
    if (!mv_mem_write(load->mem, gpa, load->files->append, length + 1))
        return mv_fail(err, -ENOMEM, NULL, NULL, "the command line does not fit into memory");
    return 0;
}

int mv_boot_no_room(const struct mv_load *load, const char *what, uint64_t needed_end,
                    struct mv_error *err)
{
    uint64_t have = 0, need = mv_align_up(mv_min(needed_end, 1ull << 62), MV_MIB) / MV_MIB;
    char hint[128];

    for (unsigned i = 0; i < load->mem->count; i++)
        have += load->mem->regions[i].size;
    if (load->mem->count > 1 || need > 3072)
        snprintf(hint, sizeof(hint), "is the file what it should be?");
    else
        snprintf(hint, sizeof(hint), "give the guest at least %llu MiB: -m %lluM",
                 (unsigned long long)need, (unsigned long long)need);
    return mv_fail(err, -ENOMEM, NULL, hint, "too little memory: %s needs %llu MiB, there are %llu",
                   what, (unsigned long long)need, (unsigned long long)(have / MV_MIB));
}

int mv_boot_put_initrd(struct mv_load *load, mv_gpa floor, mv_gpa ceiling, bool above_4g,
                       mv_gpa *ret_gpa, struct mv_error *err)
{
    const struct mv_boot_files *files = load->files;
    const struct mv_region *low = &load->mem->regions[0], *high = &load->mem->regions[1];
    uint64_t size = files->initrd_size, end = mv_min(ceiling, low->base + low->size);
    mv_gpa at;
    int error;

    if (files->initrd < 0)
        return 0;
    floor = mv_align_up(floor, MV_PAGE_SIZE);
    if (size <= end && mv_align_down(end - size, MV_PAGE_SIZE) >= floor) {
        at = mv_align_down(end - size, MV_PAGE_SIZE);
    } else if (above_4g && load->mem->count > 1 && size <= high->size) {
        at = mv_align_down(high->base + high->size - size, MV_PAGE_SIZE);
    } else if (end < low->base + low->size) {
        return mv_fail(err, -E2BIG, NULL, "make it smaller",
                       "the initrd %s is too large: %llu MiB, and this kernel wants it below %#llx",
                       files->initrd_path, (unsigned long long)(size / MV_MIB),
                       (unsigned long long)ceiling);
    } else {
        return mv_boot_no_room(load, "the kernel with its initrd",
                               floor + mv_align_up(size, MV_PAGE_SIZE), err);
    }
    error = mv_mem_load_file(load->mem, at, files->initrd, 0, size);
    if (error)
        return mv_fail(err, error, "mmap", NULL, "cannot load the initrd %s: %s",
                       files->initrd_path, strerror(-error));
    *ret_gpa = at;
    return 0;
}
