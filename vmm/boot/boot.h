/* SPDX-License-Identifier: MIT */
/*
 * Image loaders.  An image is a file that is as hostile as the guest: headers
 * are read once into our memory, validated, and then used; no file is mapped.
 */
#ifndef MV_BOOT_BOOT_H
#define MV_BOOT_BOOT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/log.h"
#include "core/memory.h"

/* What a guest is started from, its files open. */
struct mv_boot_files {
    const char *kernel_path; /* for messages; Multiboot kernels are told both paths */
    int kernel;              /* -1: none; there are only the tables then */
    uint64_t kernel_size;    /* bytes */
    const char *initrd_path;
    int initrd; /* -1: none */
    uint64_t initrd_size;
    const char *append;     /* the command line for Linux; never NULL */
    const char *raw_append; /* the same without what is only for Linux; never NULL */
    char *line;             /* what append points to, where it is to be freed */
};

/* The state in which a guest is started. */
enum mv_entry_mode {
    MV_ENTRY_LINUX64, /* Linux boot protocol, 64-bit: long mode, RSI = boot_params */
    MV_ENTRY_LINUX32, /* Linux boot protocol, 32-bit: no paging, ESI = boot_params */
    MV_ENTRY_PVH,     /* PVH: 32-bit, no paging, EBX = hvm_start_info; or others so entered */
    MV_ENTRY_ARM64,   /* Linux arm64 boot protocol: EL1, no MMU, X0 = device tree */
    MV_ENTRY_NONE,    /* as KVM makes a vCPU */
    MV_ENTRY_FLAT16,  /* x86 flat binaries: real mode, */
    MV_ENTRY_FLAT32,  /* protected mode without paging, */
    MV_ENTRY_FLAT64,  /* long mode */
    MV_ENTRY_EL1,     /* arm64 ones: EL1, no MMU, */
    MV_ENTRY_EL1_MMU, /* and with it */
};

struct mv_entry {
    enum mv_entry_mode mode;
    mv_gpa pc;
    mv_gpa data;   /* boot_params, hvm_start_info or device tree */
    mv_gpa stack;  /* flat binaries and ELF executables: the stack pointer of vCPU 0 */
    uint32_t eax;  /* MV_ENTRY_PVH only */
    uint16_t code; /* x86: the selector of the code segment, which data follow; 0: Linux's */
};

/* What kind of file it is, by its first bytes.  Bits, for a set of them. */
enum mv_image_kind {
    MV_IMAGE_UNKNOWN = 0,
    MV_IMAGE_BZIMAGE = 1, /* Linux on x86 */
    MV_IMAGE_ELF = 2,
    MV_IMAGE_ARM64 = 4,  /* Linux on arm64, flat */
    MV_IMAGE_GZIP = 8,   /* something compressed by gzip */
    MV_IMAGE_ZBOOT = 16, /* an EFI program that holds such a flat image, compressed */
};

/* The loaders' common arguments. */
struct mv_load {
    struct mv_mem *mem;
    const struct mv_boot_files *files;
    struct mv_entry entry;  /* result */
    mv_gpa initrd;          /* arm64, result: where it is */
    bool over_reset_vector; /* x86, result: the kernel lies where that would be */
    bool is_pc;             /* x86, result: the kernel expects what an old PC has */
};

/*
 * Recognizes the kernel, if it is of one of these kinds; else MV_IMAGE_UNKNOWN
 * comes with *err filled in: what the file looks like, and what to do (hint, if
 * nothing is known about it).
 */
enum mv_image_kind mv_image_probe(const struct mv_boot_files *files, unsigned kinds,
                                  const char *hint, struct mv_error *err);

/*
 * Opens what a guest is started from; what: "kernel" or "initrd"; count: at least 1.  One regular
 * file is opened as it is.  Of a pipe, and of several files, each put behind the one before at a
 * multiple of 4 bytes, the result is a copy in memory, of at most `most` bytes, the guest's memory.
 * A FIFO's first writer may come a few seconds late.  0, or -errno, explained.
 */
int mv_boot_open(const char *what, const char *const *paths, size_t count, uint64_t most,
                 int *ret_fd, uint64_t *ret_size, struct mv_error *err);

/* All that the configuration names.  0, or -errno, explained.  Either way mv_boot_close_files
 * follows; the configuration stays until then. */
int mv_boot_open_files(const struct mv_config *config, struct mv_boot_files *ret_files,
                       struct mv_error *err);
void mv_boot_close_files(struct mv_boot_files *files);

/* "the kernel is truncated": -ENOEXEC. */
int mv_boot_truncated(const struct mv_boot_files *files, struct mv_error *err);

/* Copies size bytes of the kernel's file at offset to gpa. */
int mv_boot_put_kernel(struct mv_load *load, mv_gpa gpa, uint64_t offset, uint64_t size,
                       struct mv_error *err);

/* Copies the command line to gpa; limit: the most bytes that the kernel accepts,
 * without the final zero. */
int mv_boot_put_cmdline(struct mv_load *load, mv_gpa gpa, uint64_t limit, struct mv_error *err);

/*
 * Puts the initrd on a page as high as possible in [floor, ceiling), or, if it
 * does not fit there and above_4g is set, at the top of the memory above 4 GiB.
 * Without an initrd, *ret_gpa is left alone.
 */
int mv_boot_put_initrd(struct mv_load *load, mv_gpa floor, mv_gpa ceiling, bool above_4g,
                       mv_gpa *ret_gpa, struct mv_error *err);

/* "too little memory", with how much is needed: -ENOMEM. */
int mv_boot_no_room(const struct mv_load *load, const char *what, uint64_t needed_end,
                    struct mv_error *err);

#endif
