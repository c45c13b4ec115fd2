/* SPDX-License-Identifier: MIT */
/*
 * What the fuzz targets of virtio share: the input, guest memory whose ends a sanitizer
 * sees, and a block device behind the transport on an image in memory.
 *
 *   0           RAM, 32 KiB
 *   0x8000      hole
 *   0x10_0000   RAM, 16 KiB
 */
#ifndef MV_FUZZ_VIRTIO_H
#define MV_FUZZ_VIRTIO_H

#include <stddef.h>

#include "core/util.h"
#include "virtio/blk.h"
#include "virtio/mmio.h"

#define FUZZ_LOW       0x8000u
#define FUZZ_HIGH      0x100000ull
#define FUZZ_HIGH_SIZE 0x4000u
#define FUZZ_DISK      0x10000u /* bytes of the image */

/* Aborts with a message. */
void fuzz_require(bool good, const char *what);

/* ---- the input ---- */

struct fuzz_input {
    const uint8_t *data;
    size_t left;
};

/* The next so many bytes, with the first as the lowest; zeros after the end. */
uint64_t fuzz_take(struct fuzz_input *input, unsigned size);

/* An address in RAM, near its ends or anywhere: four bytes of input. */
mv_gpa fuzz_take_address(struct fuzz_input *input);

/* ---- memory ---- */

extern struct mv_mem fuzz_mem;

void fuzz_memory_start(void); /* all zeros */

/* Whether every byte is guest RAM. */
bool fuzz_is_ram(const void *host, size_t size);

/* Writes what there is of it in RAM. */
void fuzz_poke(mv_gpa gpa, const void *data, size_t size);

/* ---- rings, as a driver has them ---- */

struct fuzz_ring {
    mv_gpa desc, avail, used;
    unsigned size;
    uint16_t offered;
};

/* Descriptors at gpa, a multiple of 16, and the others behind them. */
struct fuzz_ring fuzz_ring_at(mv_gpa gpa, unsigned size);
void fuzz_describe(const struct fuzz_ring *ring, unsigned index, mv_gpa addr, uint32_t len,
                   unsigned flags, unsigned next);
void fuzz_offer(struct fuzz_ring *ring, unsigned head);

/* ---- the device ---- */

/* Bits of the byte that chooses the disk. */
enum {
    FUZZ_READ_ONLY = 1,
    FUZZ_DIRECT = 2,
    FUZZ_WRITETHROUGH = 4,
    FUZZ_UNSAFE = 8,
    FUZZ_HOLD = 16,    /* I/O is done when the input says so */
    FUZZ_NO_ZERO = 32, /* the host cannot make zeros */
    FUZZ_FAIL = 64,    /* every fifth operation fails */
    FUZZ_WIRED = 128,  /* the doorbell is carried, and reads cost no exit */
};

#define FUZZ_QUEUES 3

void fuzz_device_start(uint8_t disk);

/* The same with another type of device; wired: FUZZ_WIRED, or 0. */
void fuzz_type_start(int (*create)(struct mv_virtio **ret_virtio), uint8_t wired);

/* Completes what is in flight, resets, checks what is true at the end, and frees all. */
void fuzz_device_stop(void);

uint64_t fuzz_read(uint64_t offset, unsigned size);
void fuzz_write(uint64_t offset, unsigned size, uint64_t value); /* does not wait for a reset */
void fuzz_turn(void);
void fuzz_complete(unsigned count); /* so many of the held I/O */
void fuzz_resize(uint64_t size);

/* Steps from reset to DRIVER_OK, with as many of the features as are offered. */
void fuzz_begin(uint64_t features, const struct fuzz_ring *rings, unsigned count);

#endif
