/* SPDX-License-Identifier: MIT */
/* What the loaders share: recognizing a file, and placing the command line and the initrd. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "boot/boot.h"
#include "core/util.h"

#define OTHER_COMPUTER "name a kernel for this computer's architecture"

/* Kernels, and files often mistaken for one.  hint: what to do if this kind cannot be booted. */
static const struct {
    unsigned offset, size;
    const char *magic;
    enum mv_image_kind kind;
    const char *what, *hint;
} forms[] = {
    {0, 4, "\177ELF", MV_IMAGE_ELF, "an ELF program", "name the kernel's Image"},
    {0x202, 4, "HdrS", MV_IMAGE_BZIMAGE, "a Linux kernel for x86", OTHER_COMPUTER},
    {56, 4, "ARMd", MV_IMAGE_ARM64, "a Linux kernel for arm64", OTHER_COMPUTER},
    {48, 4, "RSC\x05", 0, "a Linux kernel for RISC-V", OTHER_COMPUTER},
    {4, 4, "zimg", MV_IMAGE_ZBOOT, "a compressed EFI kernel of another architecture",
     OTHER_COMPUTER},
    {0, 2, "\x1f\x8b", MV_IMAGE_GZIP, "gzip data",
     "unpack it (gunzip); if it is an initramfs, name it as the initrd"},
    {0, 6,
     "\xfd"
     "7zXZ",
     0, "xz data", "unpack it (unxz)"},
    {0, 4, "\x28\xb5\x2f\xfd", 0, "zstd data", "unpack it (unzstd)"},
    {0, 4, "\x02\x21\x4c\x18", 0, "LZ4 data", "unpack it (unlz4)"},
    {0, 6, "070701", 0, "a cpio archive", "that is an initramfs: name it as the initrd"},
    {0, 4, "\x27\x05\x19\x56", 0, "a U-Boot image", "name the kernel inside of it"},
    {0, 5, "!<arc", 0, "an ar archive or a Debian package",
     "unpack it and name the vmlinuz inside"},
    {0, 4, "\xed\xab\xee\xdb", 0, "an RPM package", "unpack it and name the vmlinuz inside"},
    {257, 5, "ustar", 0, "a tar archive", "unpack it and name the kernel inside"},
    {0x8001, 5, "CD001", 0, "a CD image", "name the kernel inside of it"},
    {0, 4, "QFI\xfb", 0, "a qcow2 disk image", "name a kernel instead"},
    {1080, 2, "\x53\xef", 0, "an ext2, ext3 or ext4 file system", "name a kernel instead"},
    {0, 2, "#!", 0, "a script", "name a kernel image"},
    {0, 2, "MZ", 0, "an EFI or DOS program without a Linux boot header", NULL},
    {510, 2, "\x55\xaa", 0, "a boot sector or disk image", "name a kernel instead"},
};

static bool starts_with(int fd, unsigned offset, const void *magic, unsigned size)
{
    char bytes[8];

    return mv_read_at(fd, offset, bytes, size) == 0 && memcmp(bytes, magic, size) == 0;
}

int mv_boot_truncated(const struct mv_boot_files *files, struct mv_error *err)
{
    return mv_fail(err, -ENOEXEC, NULL, "was its download or build cut short?",
                   "the kernel %s is truncated: it has only %llu bytes", files->kernel_path,
                   (unsigned long long)files->kernel_size);
}

int mv_boot_put_kernel(struct mv_load *load, mv_gpa gpa, uint64_t offset, uint64_t size,
                       struct mv_error *err)
{
    int error = mv_mem_load_file(load->mem, gpa, load->files->kernel, offset, size);

    if (error == -ENODATA) /* it has shrunk since it was opened */
        return mv_boot_truncated(load->files, err);
    if (error)
        return mv_fail(err, error, "pread", NULL, "cannot load the kernel %s: %s",
                       load->files->kernel_path, strerror(-error));
    return 0;
}

enum mv_image_kind mv_image_probe(const struct mv_boot_files *files, unsigned kinds,
                                  const char *hint, struct mv_error *err)
{
    bool cut = files->kernel_size < 0x206; /* ends before a bzImage's magic does */
    bool is_mz = starts_with(files->kernel, 0, "MZ", 2);

    for (size_t i = 0; i < MV_COUNT(forms); i++) {
        if (!starts_with(files->kernel, forms[i].offset, forms[i].magic, forms[i].size))
            continue;
        if (forms[i].kind & kinds)
            return forms[i].kind;
        if (cut && is_mz)
            break; /* a kernel can begin like this, too */
        mv_fail(err, -ENOEXEC, NULL, forms[i].hint ? forms[i].hint : hint,
                "%s is not a kernel for this machine: it looks like %s", files->kernel_path,
                forms[i].what);
        return MV_IMAGE_UNKNOWN;
    }
    if (cut)
        mv_boot_truncated(files, err);
    else
        mv_fail(err, -ENOEXEC, NULL, hint, "%s is not a kernel: its format is unknown",
                files->kernel_path);
    return MV_IMAGE_UNKNOWN;
}

int mv_boot_put_cmdline(struct mv_load *load, mv_gpa gpa, uint64_t limit, struct mv_error *err)
{
    size_t length = strlen(load->files->append);

    if (length > limit)
        return mv_fail(err, -E2BIG, NULL, "shorten it",
                       "the command line has %zu bytes, but this kernel takes %llu at most", length,
                       (unsigned long long)limit);
    if (!mv_mem_write(load->mem, gpa, load->files->append, length + 1))
        return mv_fail(err, -ENOMEM, NULL, NULL, "the command line does not fit into memory");
    return 0;
}

int mv_boot_no_room(const struct mv_load *load, const char *what, uint64_t needed_end,
                    struct mv_error *err)
{
    uint64_t size = mv_min(needed_end, 1ull << 62) - load->mem->regions[0].base;
    uint64_t have = 0, need = mv_align_up(size, MV_MIB) / MV_MIB;
    char hint[128];

    for (unsigned i = 0; i < load->mem->count; i++)
        have += load->mem->regions[i].size;
    if (load->mem->count > 1 || need > 3072)
        snprintf(hint, sizeof(hint), "is the file what it should be?");
    else
        snprintf(hint, sizeof(hint), "give the guest at least %llu MiB of memory",
                 (unsigned long long)need);
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
                       "the initrd %s is too large: %llu MiB do not fit below %#llx, where this "
                       "kernel needs it",
                       files->initrd_path, (unsigned long long)(size / MV_MIB),
                       (unsigned long long)ceiling);
    } else {
        return mv_boot_no_room(load, "the kernel with its initrd",
                               floor + mv_align_up(size, MV_PAGE_SIZE), err);
    }
    error = mv_mem_load_file(load->mem, at, files->initrd, 0, size);
    if (error == -ENODATA)
        return mv_fail(err, -ENOEXEC, NULL, "try again when the program that writes it is done",
                       "the initrd %s was truncated while it was read", files->initrd_path);
    if (error)
        return mv_fail(err, error, "pread", NULL, "cannot load the initrd %s: %s",
                       files->initrd_path, strerror(-error));
    *ret_gpa = at;
    return 0;
}
