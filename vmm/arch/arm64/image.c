/* SPDX-License-Identifier: MIT */
/*
 * Loads Linux's arm64 image (Documentation/arm64/booting.rst): flat, with a header of 64 bytes;
 * plain, compressed by gzip, or compressed inside an EFI program, the zboot form
 * (drivers/firmware/efi/libstub/zboot-header.S).
 *
 *   start of RAM +------------------+
 *                | text_offset      |
 *                +------------------+
 *                | Image            |
 *                | .bss and more    |  up to image_size
 *                +------------------+
 *                | device tree      |  at most 2 MiB, on a page
 *                +------------------+
 *                | ...              |
 *                | initrd           |  at the top, no more than 32 GiB above
 *                +------------------+
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "arm64.h"
#include "core/util.h"
#include "unpack.h"

struct header {
    uint32_t code0, code1;
    uint64_t text_offset, image_size, flags;
    uint64_t reserved[3];
    uint32_t magic;
    uint32_t pe_offset;
};
_Static_assert(sizeof(struct header) == 64, "as the protocol has it");

enum {
    MAGIC = 0x644d5241, /* "ARM\x64" */
    FLAG_BIG_ENDIAN = 1,
    TEXT_OFFSET_BEFORE_SIZE = 0x80000, /* of old kernels, whose header has no image_size */
    ALIGNMENT = 2 * (int)MV_MIB,       /* of the address that text_offset is added to */
};

#define INITRD_WINDOW (32 * MV_GIB)
#define UNTOLD_MEMORY (16 * MV_MIB) /* kept free after an image without image_size */
#define HEAD_SIZE     4096          /* bytes of the image that hold all its headers */

/* Where the flat image is in the file, and how it is compressed. */
struct payload {
    enum mv_packing packing;
    uint64_t offset, size;
};

static int find_payload(const struct mv_load *load, struct payload *ret_payload,
                        struct mv_error *err)
{
    const struct mv_boot_files *files = load->files;
    enum mv_image_kind kind =
        mv_image_probe(files, MV_IMAGE_ARM64 | MV_IMAGE_GZIP | MV_IMAGE_ZBOOT,
                       "name an Image, Image.gz or vmlinuz of Linux for arm64", err);
    struct {
        char mz[4], zimg[4];
        uint32_t offset, size, reserved[2];
        char compression[32];
    } zboot;

    if (!kind)
        return -ENOEXEC;
    *ret_payload = (struct payload){
        .packing = kind == MV_IMAGE_GZIP ? MV_PACKING_GZIP : MV_PACKING_NONE,
        .size = files->kernel_size,
    };
    if (kind != MV_IMAGE_ZBOOT)
        return 0;
    if (mv_read_at(files->kernel, 0, &zboot, sizeof(zboot)) != 0)
        return mv_boot_truncated(files, err);
    zboot.compression[8] = '\0';
    for (char *at = zboot.compression; *at; at++)
        *at = isalnum((unsigned char)*at) ? *at : '?'; /* it may be printed to a terminal */
    if (strcmp(zboot.compression, "gzip") == 0)
        ret_payload->packing = MV_PACKING_GZIP;
    else if (strncmp(zboot.compression, "zstd", 4) == 0)
        ret_payload->packing = MV_PACKING_ZSTD;
    else
        return mv_fail(err, -ENOEXEC, NULL, "name the uncompressed Image",
                       "the kernel %s is compressed in an unsupported format: %s",
                       files->kernel_path, zboot.compression);
    ret_payload->offset = zboot.offset;
    ret_payload->size = zboot.size;
    if ((uint64_t)zboot.offset + zboot.size > files->kernel_size)
        return mv_boot_truncated(files, err);
    return 0;
}

static int lies(const struct mv_load *load, const char *what, uint64_t value, struct mv_error *err)
{
    return mv_fail(err, -ENOEXEC, NULL, "is the file damaged?",
                   "the kernel %s has a bad header: %s is %#llx", load->files->kernel_path, what,
                   (unsigned long long)value);
}

/* Fills in *err for an error of mv_unpack. */
static int explain(const struct mv_load *load, int error, struct mv_error *err)
{
    switch (error) {
    case -ENODATA: return mv_boot_truncated(load->files, err);
    case -EBADMSG:
        return mv_fail(err, -ENOEXEC, NULL, "was its download or build cut short?",
                       "the kernel %s is damaged: it cannot be decompressed",
                       load->files->kernel_path);
    default:
        return mv_fail(err, error, "pread", NULL, "cannot read the kernel %s: %s",
                       load->files->kernel_path, strerror(-error));
    }
}

/*
 * The smallest size that an image which is also an EFI program can have, by its PE section headers;
 * 0 if it is not one.  (PE format: the signature, the COFF header of 20 bytes, an optional header,
 * and 40 bytes for each section.)
 */
static uint64_t size_by_sections(const uint8_t *image, uint64_t size, uint32_t pe_offset)
{
    uint64_t at = pe_offset, end = 0;
    uint16_t count, optional;

    if (memcmp(image, "MZ", 2) != 0 || at + 24 > size || memcmp(image + at, "PE\0", 4) != 0)
        return 0;
    memcpy(&count, image + at + 6, sizeof(count));
    memcpy(&optional, image + at + 20, sizeof(optional));
    at += 24u + optional;
    for (unsigned i = 0; i < count && at + 40 <= size; i++, at += 40) {
        uint32_t raw[2]; /* SizeOfRawData, PointerToRawData */

        memcpy(raw, image + at + 16, sizeof(raw));
        end = mv_max(end, (uint64_t)raw[0] + raw[1]);
    }
    return end;
}

/* Also fills in what an old header lacks. */
static int check_header(const struct mv_load *load, const struct payload *payload,
                        struct header *header, struct mv_error *err)
{
    if (header->magic != MAGIC)
        return mv_fail(err, -ENOEXEC, NULL,
                       payload->packing == MV_PACKING_NONE
                           ? "name a kernel's Image"
                           : "if it is an initramfs, name it as the initrd",
                       "%s does not decompress to an arm64 Linux kernel", load->files->kernel_path);
    if (header->flags & FLAG_BIG_ENDIAN)
        return mv_fail(err, -ENOEXEC, NULL, "build it with CONFIG_CPU_LITTLE_ENDIAN=y",
                       "the kernel %s is big-endian, which is not supported",
                       load->files->kernel_path);
    if (header->image_size == 0)
        header->text_offset = TEXT_OFFSET_BEFORE_SIZE;
    if (header->text_offset % MV_PAGE_SIZE || header->text_offset >= MV_GIB)
        return lies(load, "text_offset", header->text_offset, err);
    return 0;
}

/* Reads the header, and computes the smallest size that the image can have. */
static int read_header(const struct mv_load *load, const struct payload *payload,
                       struct header *ret_header, uint64_t *ret_least, struct mv_error *err)
{
    uint8_t head[HEAD_SIZE];
    uint64_t size;
    int error = mv_unpack(payload->packing, load->files->kernel, payload->offset, payload->size,
                          head, sizeof(head), &size);

    /* Damage after the header is found when the whole image is decompressed. */
    if (size < sizeof(*ret_header))
        return error ? explain(load, error, err) : mv_boot_truncated(load->files, err);
    memcpy(ret_header, head, sizeof(*ret_header));
    *ret_least = size_by_sections(head, size, ret_header->pe_offset);
    return check_header(load, payload, ret_header, err);
}

/* Loads the image at gpa, where room bytes are free.  *ret_size: how many it takes. */
static int put_image(struct mv_load *load, const struct payload *payload, mv_gpa gpa, uint64_t room,
                     uint64_t *ret_size, struct mv_error *err)
{
    int error = mv_unpack(payload->packing, load->files->kernel, payload->offset, payload->size,
                          mv_mem_host(load->mem, gpa, room), room, ret_size);

    if (error == -ENOSPC)
        return mv_boot_no_room(load, "the kernel", gpa + mv_max(room + 1, payload->size), err);
    return error ? explain(load, error, err) : 0;
}

int mv_arm64_load(struct mv_load *load, uint64_t tables, struct mv_error *err)
{
    const struct mv_region *ram = &load->mem->regions[0];
    struct payload payload;
    struct header header = {0};
    uint64_t room, size = 0, least = 0, needed, end;
    mv_gpa kernel;
    int error = find_payload(load, &payload, err);

    if (!error)
        error = read_header(load, &payload, &header, &least, err);
    if (error)
        return error;
    kernel = mv_align_up(ram->base, ALIGNMENT) + header.text_offset;
    if (mv_add_overflows(kernel, header.image_size, &end) || end > UINT64_MAX / 2)
        return lies(load, "image_size", header.image_size, err);
    if (end > ram->base + ram->size || kernel >= ram->base + ram->size)
        return mv_boot_no_room(load, "the kernel", mv_max(end, kernel), err);
    room = ram->base + ram->size - kernel;
    error = put_image(load, &payload, kernel, room, &size, err);
    if (error)
        return error;
    if (least > size)
        return mv_boot_truncated(load->files, err);
    /* A signature may follow the image; image_size does not include it. */
    needed = header.image_size ? mv_max(header.image_size, size) : size + UNTOLD_MEMORY;
    load->entry = (struct mv_entry){
        .mode = MV_ENTRY_ARM64,
        .pc = kernel,
        .data = mv_align_up(kernel + needed, MV_PAGE_SIZE),
    };
    end = load->entry.data + tables;
    if (end > ram->base + ram->size)
        return mv_boot_no_room(load, "the kernel", end, err);
    return mv_boot_put_initrd(load, end, mv_align_down(ram->base, MV_GIB) + INITRD_WINDOW, false,
                              &load->initrd, err);
}
