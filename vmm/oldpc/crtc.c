/* SPDX-License-Identifier: MIT */
/*
 * A PC's CRT controller in text mode (IBM, Technical Reference VGA, CRT controller registers), as
 * far as kernels use it: they read back the cursor's position.  There is no screen, so writes
 * have no other effect.
 *
 *   offset 0  index
 *   offset 1  data: the register of that index
 *   offset 6  input status 1: the retrace bits toggle at each read, so that no kernel waits
 *             forever for a retrace or its end
 */
#include <errno.h>
#include <stdlib.h>

#include "oldpc.h"

enum {
    COLUMNS = 0x01,     /* less one */
    ROW_HEIGHT = 0x09,  /* bits 0 to 4: scan lines of a row, less one; bit 6: line compare bit 9 */
    CURSOR_TOP = 0x0a,  /* first scan line of the cursor */
    CURSOR_END = 0x0b,  /* last scan line of the cursor */
    DISPLAY_END = 0x12, /* bits 0 to 7 of the number of scan lines, 400, less one */
    REGISTERS = 0x19,
};

enum { INPUT_STATUS_1 = 6, DISPLAY_DISABLED = 1 << 0, VERTICAL_RETRACE = 1 << 3 };

struct crtc {
    uint8_t index;
    uint8_t status; /* toggles at each read */
    uint8_t bytes[REGISTERS];
};

static uint64_t read_crtc(void *state, uint64_t offset, unsigned size)
{
    struct crtc *crtc = state;

    if (size != 1)
        return UINT64_MAX;
    if (offset == 0)
        return crtc->index;
    if (offset == INPUT_STATUS_1)
        return crtc->status ^= DISPLAY_DISABLED | VERTICAL_RETRACE;
    if (offset != 1)
        return UINT64_MAX;
    return crtc->index < REGISTERS ? crtc->bytes[crtc->index] : 0;
}

static void write_crtc(void *state, uint64_t offset, unsigned size, uint64_t value)
{
    struct crtc *crtc = state;

    if (offset == 0) {
        crtc->index = (uint8_t)value;
        if (size != 2)
            return;
        value >>= 8; /* a 16-bit write is index and data */
    } else if (offset != 1) {
        return;
    }
    if (crtc->index < REGISTERS)
        crtc->bytes[crtc->index] = (uint8_t)value;
}

static const struct mv_device_ops ops = {.read = read_crtc, .write = write_crtc, .destroy = free};

int mv_crtc_create(struct mv_device *device, const struct mv_device_env *env)
{
    struct crtc *crtc = calloc(1, sizeof(*crtc));

    (void)env;
    if (!crtc)
        return -ENOMEM;
    crtc->bytes[COLUMNS] = 79;
    crtc->bytes[ROW_HEIGHT] = 15 | 1 << 6;
    crtc->bytes[CURSOR_TOP] = 13;
    crtc->bytes[CURSOR_END] = 14;
    crtc->bytes[DISPLAY_END] = 399 & 0xff;
    device->state = crtc;
    device->ops = &ops;
    return 0;
}
