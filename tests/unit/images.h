/* SPDX-License-Identifier: MIT */
/*
 * Small kernel images made in memory: well formed, to be mutilated by a test.
 * Also the seeds of the fuzz targets.
 */
#ifndef MV_TEST_IMAGES_H
#define MV_TEST_IMAGES_H

#include <asm/bootparam.h>
#include <elf.h>
#include <stddef.h>
#include <stdint.h>

enum {
    IMAGE_MOST = 256 * 1024,
    IMAGE_ADDRESS = 0x1000000, /* where both kinds want to be: 16 MiB */

    BZIMAGE_PAYLOAD = 0x1000, /* offset in the file: 7 sectors of setup, and the boot sector */
    BZIMAGE_CODE = 100 * 1024,
    BZIMAGE_INIT = 0x400000,

    ELF_NOTE = 0x200, /* offsets in the file */
    ELF_CODE = 0x1000,
    ELF_CODE_SIZE = 0x20000,
    ELF_CODE_MEMORY = 0x30000,
    ELF_DATA = 0x21000,
    ELF_DATA_SIZE = 0x123,
    ELF_DATA_ADDRESS = IMAGE_ADDRESS + 0x40010,
    ELF_ENTRY = IMAGE_ADDRESS + 0x100,
};

struct image {
    uint8_t bytes[IMAGE_MOST] __attribute__((aligned(16)));
    size_t size;
};

/* The byte at an offset of the code. */
uint8_t image_pattern(size_t offset);

/* Protocol 2.15, 64-bit, relocatable; code follows a whole page of setup. */
void image_bzimage(struct image *ret_image);
struct setup_header *image_header(struct image *image);

/* Segments: code and BSS, data, notes (another one, then Xen's). */
void image_elf64(struct image *ret_image);
void image_elf32(struct image *ret_image);

#endif
