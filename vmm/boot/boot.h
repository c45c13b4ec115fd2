/* SPDX-License-Identifier: MIT */
/*
 * Image loaders.  An image is a file that is as hostile as the guest: headers
 * are read once into our memory, validated, and then used; nothing is looked at
 * through a mapping that could shrink.
 */
#ifndef MV_BOOT_BOOT_H
#define MV_BOOT_BOOT_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/arch.h"
#include "log.h"
#include "mem.h"

/* The state in which a guest is started. */
enum mv_entry_mode {
    MV_ENTRY_LINUX64, /* Linux boot protocol, 64-bit: long mode, RSI = boot_params */
    MV_ENTRY_LINUX32, /* Linux boot protocol, 32-bit: no paging, ESI = boot_params */
    MV_ENTRY_PVH,     /* PVH: 32-bit, no paging, EBX = hvm_start_info */
};

struct mv_entry {
    enum mv_entry_mode mode;
    mv_gpa pc;
    mv_gpa data; /* boot_params or hvm_start_info */
};

/* What kind of file it is, by its first bytes. */
enum mv_image_kind {
    MV_IMAGE_UNKNOWN,
    MV_IMAGE_BZIMAGE,
    MV_IMAGE_ELF,
};

/* The two loaders' common arguments. */
struct mv_load {
    struct mv_mem *mem;
    const struct mv_boot_files *files;
    mv_gpa acpi_rsdp;      /* where the firmware tables begin */
    struct mv_entry entry; /* result */
};

/* Recognizes the kernel; MV_IMAGE_UNKNOWN comes with *err filled in: what the
 * file looks like, and what to do. */
enum mv_image_kind mv_image_probe(const struct mv_boot_files *files, struct mv_error *err);

/* Both explain every failure: -ENOEXEC, -ENOMEM, -EINVAL, -E2BIG or an I/O error. */
int mv_bzimage_load(struct mv_load *load, struct mv_error *err);
int mv_elf_load(struct mv_load *load, struct mv_error *err);

/* Copies the command line to gpa; limit: the most bytes that the kernel takes,
 * without the final zero. */
int mv_boot_put_cmdline(struct mv_load *load, mv_gpa gpa, uint64_t limit, struct mv_error *err);

/*
 * Puts the initrd as high as it may be in [floor, ceiling), on a page, or, if
 * it does not fit there and above_4g is set, at the top of the memory above
 * 4 GiB.  *ret_gpa stays as it is without an initrd.
 */
int mv_boot_put_initrd(struct mv_load *load, mv_gpa floor, mv_gpa ceiling, bool above_4g,
                       mv_gpa *ret_gpa, struct mv_error *err);

/* "so many MiB are needed, there are so many": -ENOMEM. */
int mv_boot_no_room(const struct mv_load *load, const char *what, uint64_t needed_end,
                    struct mv_error *err);

#endif
