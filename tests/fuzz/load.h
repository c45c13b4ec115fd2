/* SPDX-License-Identifier: MIT */
/* What the two fuzz targets of the loaders share. */
#ifndef MV_FUZZ_LOAD_H
#define MV_FUZZ_LOAD_H

#include <stddef.h>
#include <stdint.h>

#include "boot/boot.h"

/* What the arm64 loader is to keep free for the device tree, in bytes. */
#define FUZZ_TABLES 0x10000

/* The input's first bytes choose the machine; the rest is the image. */
enum {
    KNOB_MEMORY, /* 16 MiB, 64 MiB, 3 GiB, 5 GiB */
    KNOB_INITRD, /* none, 1 byte, 100000 bytes, 40 MiB */
    KNOB_APPEND, /* so many times 16 bytes */
    KNOBS,
};

/*
 * Gives the image to `loader` on a fresh machine, and checks what is true of every
 * answer; aborts if it is not.
 */
void fuzz_load(const uint8_t *data, size_t size,
               int (*loader)(struct mv_load *load, struct mv_error *err));

#endif
