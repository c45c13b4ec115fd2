/* SPDX-License-Identifier: MIT */
/*
 * bzImage, by the Linux/x86 boot protocol (Documentation/x86/boot.rst), from version 2.00 on: uses
 * the 64-bit entry if the image has one, else the 32-bit one.  The real-mode part is not run: this
 * file fills in boot_params instead.
 *
 *   file   0 +---------------------------+
 *            | boot sector               |
 *      0x1f1 | struct setup_header       |
 *            | real-mode setup           |
 *            +---------------------------+ (setup_sects + 1) * 512
 *            | protected-mode kernel     | -> memory at pref_address
 *            |   + 0x200: 64-bit entry   |
 *            +---------------------------+ + syssize * 16
 *            | a signature may follow    |
 *            +---------------------------+
 *
 * Left out: zImages (loaded below 1 MiB, not built since 2007) and the real-mode entry.
 */
#include <asm/bootparam.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "boot/boot.h"
#include "core/util.h"
#include "layout.h"
#include "x86.h"

#define SECTOR              512ull
#define OLD_CMDLINE_LIMIT   255ull        /* before 2.06 */
#define OLD_INITRD_LIMIT    0x38000000ull /* before 2.03 */
#define TYPE_OF_LOADER_NONE 0xff          /* "unassigned" */
#define ENTRY64_OFFSET      0x200

/* The header.  Fields that its version lacks are set to what boot.rst says about older kernels. */
struct image {
    struct setup_header header;
    uint64_t payload_offset, payload_size;
    mv_gpa address;     /* where the protected-mode part goes */
    uint64_t init_size; /* memory needed from there on until the kernel is set up */
};

static int lies(const struct mv_load *load, const char *field, uint64_t value, const char *why,
                struct mv_error *err)
{
    return mv_fail(err, -ENOEXEC, NULL, "the file is damaged: get or build it again",
                   "the kernel %s has a bad header: %s %#llx %s", load->files->kernel_path, field,
                   (unsigned long long)value, why);
}

/* *ret_header must be zero; fields that this version lacks stay zero. */
static int read_header(const struct mv_load *load, struct setup_header *ret_header,
                       struct mv_error *err)
{
    const struct mv_boot_files *files = load->files;
    uint8_t end; /* boot.rst, "Details of header fields", jump: the header ends at 0x202 + end */
    int error = mv_read_at(files->kernel, 0x201, &end, sizeof(end));

    if (!error)
        error = mv_read_at(files->kernel, 0x1f1, ret_header,
                           mv_min(0x202u + end - 0x1f1, sizeof(*ret_header)));
    if (error == -ENODATA)
        return mv_fail(err, -ENOEXEC, NULL, "was its download or build cut short?",
                       "the kernel %s is truncated: it ends within its header", files->kernel_path);
    if (error)
        return mv_fail(err, error, "pread", NULL, "cannot read the kernel %s: %s",
                       files->kernel_path, strerror(-error));
    return 0;
}

/*
 * Some boot loaders come in this form, too.  Their protected-mode part is useless until their
 * real-mode part has called a BIOS.  iPXE's is not even code, and its code32_start is 0; MEMDISK
 * and wimboot have a name where Linux has its version number.  From 2.10 on the header says how an
 * image is entered without a BIOS.
 */
static bool needs_bios(const struct mv_load *load, const struct setup_header *header)
{
    char first = '0';

    if (header->version >= 0x20a)
        return false;
    if (header->kernel_version)
        mv_read_at(load->files->kernel, 0x200ull + header->kernel_version, &first, 1);
    return header->code32_start == 0 || first < '0' || first > '9';
}

static int check_version(const struct mv_load *load, const struct setup_header *header,
                         struct mv_error *err)
{
    if (header->boot_flag != 0xaa55)
        return lies(load, "boot_flag", header->boot_flag, "is not 0xaa55", err);
    if (header->version < 0x200)
        return lies(load, "version", header->version, "is below 2.00", err);
    if (!(header->loadflags & LOADED_HIGH))
        return mv_fail(err, -ENOEXEC, NULL, "build a bzImage",
                       "the kernel %s is a zImage, to be loaded below 1 MiB; that is not supported",
                       load->files->kernel_path);
    if (needs_bios(load, header))
        return mv_fail(err, -ENOEXEC, NULL, "name a kernel that starts without a BIOS",
                       "%s starts in real mode and calls a PC BIOS, which does not exist here",
                       load->files->kernel_path);
    return 0;
}

/* Finds the protected-mode part in the file. */
static int find_payload(const struct mv_load *load, struct image *image, struct mv_error *err)
{
    const struct setup_header *header = &image->header;
    uint64_t sectors = header->setup_sects ? header->setup_sects : 4; /* boot.rst, setup_sects */
    uint64_t file_size = load->files->kernel_size, declared;

    image->payload_offset = (sectors + 1) * SECTOR;
    if (image->payload_offset >= file_size)
        return lies(load, "setup_sects", header->setup_sects, "points beyond the end of the file",
                    err);
    image->payload_size = file_size - image->payload_offset;
    if (header->version < 0x204)
        return 0; /* there, syssize has only 16 bits and cannot be trusted */
    declared = (uint64_t)header->syssize * 16;
    if (declared >= image->payload_size + 16) /* the last 16 bytes may be incomplete */
        return mv_fail(
            err, -ENOEXEC, NULL, "was its download or build cut short?",
            "the kernel %s is truncated: its header announces %llu bytes of code, and %llu follow",
            load->files->kernel_path, (unsigned long long)declared,
            (unsigned long long)image->payload_size);
    if (declared)
        image->payload_size = mv_min(image->payload_size, declared);
    return 0;
}

static int check_limits(const struct mv_load *load, struct image *image, struct mv_error *err)
{
    struct setup_header *header = &image->header;

    if (header->version < 0x206)
        header->cmdline_size = OLD_CMDLINE_LIMIT;
    if (header->cmdline_size >= MV_CMDLINE_SIZE)
        return lies(load, "cmdline_size", header->cmdline_size, "is more than any kernel takes",
                    err);
    if (header->version < 0x203 || header->initrd_addr_max == 0)
        header->initrd_addr_max = OLD_INITRD_LIMIT - 1;
    if (header->version < 0x20c)
        header->xloadflags = 0;
    image->address = header->version >= 0x20a ? header->pref_address : MV_HIGH_RAM;
    if (image->address < MV_HIGH_RAM || image->address % 16 || image->address > UINT32_MAX)
        return lies(load, "pref_address", image->address, "is no place for a kernel", err);
    image->init_size = image->payload_size;
    if (header->version >= 0x20a)
        image->init_size = mv_max(image->init_size, header->init_size);
    return 0;
}

static int place_kernel(struct mv_load *load, const struct image *image, struct mv_error *err)
{
    if (!mv_mem_host(load->mem, image->address, image->init_size)) {
        if (image->init_size > 2 * MV_GIB)
            return lies(load, "init_size", image->init_size, "is beyond all reason", err);
        return mv_boot_no_room(load, "this kernel", image->address + image->init_size, err);
    }
    return mv_boot_put_kernel(load, image->address, image->payload_offset, image->payload_size,
                              err);
}

static void write_boot_params(struct mv_load *load, const struct image *image, mv_gpa initrd)
{
    struct boot_params *params = mv_mem_host(load->mem, MV_BOOT_PARAMS, sizeof(*params));
    struct mv_e820_entry entries[MV_E820_ENTRIES];

    /* Guest memory is still zero here. */
    params->hdr = image->header;
    params->hdr.type_of_loader = TYPE_OF_LOADER_NONE;
    params->hdr.loadflags |= CAN_USE_HEAP;
    params->hdr.heap_end_ptr = 0xfe00; /* boot.rst, heap_end_ptr: for the real-mode part only */
    params->hdr.code32_start = (uint32_t)image->address;
    params->hdr.cmd_line_ptr = MV_CMDLINE_GPA;
    params->hdr.setup_data = 0;
    params->hdr.ramdisk_image = params->hdr.ramdisk_size = 0;
    if (load->files->initrd >= 0) {
        params->hdr.ramdisk_image = (uint32_t)initrd;
        params->hdr.ramdisk_size = (uint32_t)load->files->initrd_size;
        params->ext_ramdisk_image = (uint32_t)(initrd >> 32);
        params->ext_ramdisk_size = (uint32_t)(load->files->initrd_size >> 32);
    }
    params->acpi_rsdp_addr = MV_ACPI_GPA;
    params->e820_entries = (uint8_t)mv_e820_fill(load->mem, entries);
    for (unsigned i = 0; i < params->e820_entries; i++)
        params->e820_table[i] = (struct boot_e820_entry){
            .addr = entries[i].base, .size = entries[i].size, .type = entries[i].type};
}

int mv_bzimage_load(struct mv_load *load, struct mv_error *err)
{
    struct image image = {0};
    mv_gpa initrd = 0;
    bool above_4g;
    int error = read_header(load, &image.header, err);

    if (!error)
        error = check_version(load, &image.header, err);
    if (!error)
        error = find_payload(load, &image, err);
    if (!error)
        error = check_limits(load, &image, err);
    if (!error)
        error = place_kernel(load, &image, err);
    if (!error)
        error = mv_boot_put_cmdline(load, MV_CMDLINE_GPA, image.header.cmdline_size, err);
    if (error)
        return error;
    above_4g = image.header.xloadflags & XLF_CAN_BE_LOADED_ABOVE_4G;
    error = mv_boot_put_initrd(load, image.address + image.init_size,
                               image.header.initrd_addr_max + 1ull, above_4g, &initrd, err);
    if (error)
        return error;
    write_boot_params(load, &image, initrd);
    load->entry =
        (struct mv_entry){.mode = MV_ENTRY_LINUX32, .pc = image.address, .data = MV_BOOT_PARAMS};
    if (image.header.xloadflags & XLF_KERNEL_64) {
        load->entry.mode = MV_ENTRY_LINUX64;
        load->entry.pc += ENTRY64_OFFSET;
    }
    return 0;
}
