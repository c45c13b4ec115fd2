/* SPDX-License-Identifier: MIT */
/*
 * Image loaders.  An image is as hostile as the guest: headers are read once into our own memory,
 * validated, and then used; no file is mapped.
 */
#ifndef MV_BOOT_BOOT_H
#define MV_BOOT_BOOT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/log.h"
#include "core/memory.h"

/* What a guest is booted from, with the files open. */
struct mv_boot_files {
    const char *kernel_path; /* for messages; Multiboot kernels get both paths */
    int kernel;              /* -1: none; then only the tables are loaded */
    uint64_t kernel_size;    /* bytes */
    const char *initrd_path;
    int initrd; /* -1: none */
    uint64_t initrd_size;
    const char *append;     /* Linux's command line; never NULL */
    const char *raw_append; /* the same without options for Linux only; never NULL */
    char *line;             /* storage of append, if it must be freed; else NULL */
};

/* The state in which the guest starts. */
enum mv_entry_mode {
    MV_ENTRY_LINUX64, /* Linux boot protocol, 64-bit: long mode, RSI = boot_params */
    MV_ENTRY_LINUX32, /* Linux boot protocol, 32-bit: no paging, ESI = boot_params */
    MV_ENTRY_PVH,     /* PVH, or entered like it: 32-bit, no paging, EBX = hvm_start_info */
    MV_ENTRY_ARM64,   /* Linux arm64 boot protocol: EL1, no MMU, X0 = device tree */
    MV_ENTRY_NONE,    /* as KVM creates a vCPU */
    MV_ENTRY_FLAT16,  /* x86 flat binary: real mode */
    MV_ENTRY_FLAT32,  /* x86 flat binary: protected mode without paging */
    MV_ENTRY_FLAT64,  /* x86 flat binary: long mode */
    MV_ENTRY_EL1,     /* arm64 flat binary: EL1, MMU off */
    MV_ENTRY_EL1_MMU, /* arm64 flat binary: EL1, MMU on */
};

struct mv_entry {
    enum mv_entry_mode mode;
    mv_gpa pc;
    mv_gpa data;   /* boot_params, hvm_start_info or device tree */
    mv_gpa stack;  /* flat binaries and ELF executables: the stack pointer of vCPU 0 */
    uint32_t eax;  /* MV_ENTRY_PVH only */
    uint16_t code; /* x86: code segment's selector, the data segments' is next; 0: Linux's */
};

/* The kind of a file, by its first bytes.  Bits, so that they form sets. */
enum mv_image_kind {
    MV_IMAGE_UNKNOWN = 0,
    MV_IMAGE_BZIMAGE = 1, /* Linux on x86 */
    MV_IMAGE_ELF = 2,
    MV_IMAGE_ARM64 = 4,  /* Linux on arm64, flat */
    MV_IMAGE_GZIP = 8,   /* anything compressed by gzip */
    MV_IMAGE_ZBOOT = 16, /* an EFI program that contains a compressed flat image */
};

/* Arguments and results that loaders share. */
struct mv_load {
    struct mv_mem *mem;
    const struct mv_boot_files *files;
    struct mv_entry entry;  /* result */
    mv_gpa initrd;          /* arm64, result: the initrd's address */
    bool over_reset_vector; /* x86, result: the kernel occupies the reset vector */
    bool is_pc;             /* x86, result: the kernel expects an old PC */
};

/*
 * Recognizes the kernel, if it is one of `kinds`.  Otherwise returns MV_IMAGE_UNKNOWN with *err
 * filled in: what the file looks like, and what to do about it; hint is used if nothing better is
 * known.
 */
enum mv_image_kind mv_image_probe(const struct mv_boot_files *files, unsigned kinds,
                                  const char *hint, struct mv_error *err);

/*
 * Opens kernel or initrd; what: "kernel" or "initrd", for messages; count: at least 1.  A single
 * regular file is opened as it is.  A pipe, or several files, each appended at a multiple of 4
 * bytes, become one copy in memory, of at most `most` bytes, the size of guest memory.  A FIFO's
 * first writer may come a few seconds late.  Returns 0, or -errno with *err filled in.
 */
int mv_boot_open(const char *what, const char *const *paths, size_t count, uint64_t most,
                 int *ret_fd, uint64_t *ret_size, struct mv_error *err);

/* Opens all files that the configuration names.  Returns 0, or -errno with *err filled in.  Call
 * mv_boot_close_files in either case; the configuration must exist until then. */
int mv_boot_open_files(const struct mv_config *config, struct mv_boot_files *ret_files,
                       struct mv_error *err);
void mv_boot_close_files(struct mv_boot_files *files);

/* Fills in *err, "the kernel is truncated", and returns -ENOEXEC. */
int mv_boot_truncated(const struct mv_boot_files *files, struct mv_error *err);

/* Copies size bytes of the kernel file, from offset, to gpa. */
int mv_boot_put_kernel(struct mv_load *load, mv_gpa gpa, uint64_t offset, uint64_t size,
                       struct mv_error *err);

/* Copies the command line to gpa.  limit: the most bytes that the kernel accepts, without the
 * terminating zero. */
int mv_boot_put_cmdline(struct mv_load *load, mv_gpa gpa, uint64_t limit, struct mv_error *err);

/*
 * Puts the initrd, page-aligned, as high as possible in [floor, ceiling).  If it does not fit there
 * and above_4g is set, puts it at the top of the memory above 4 GiB.  Without an initrd, *ret_gpa
 * is left alone.
 */
int mv_boot_put_initrd(struct mv_load *load, mv_gpa floor, mv_gpa ceiling, bool above_4g,
                       mv_gpa *ret_gpa, struct mv_error *err);

/* Fills in *err, "too little memory" and how much is needed, and returns -ENOMEM. */
int mv_boot_no_room(const struct mv_load *load, const char *what, uint64_t needed_end,
                    struct mv_error *err);

#endif
