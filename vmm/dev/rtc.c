/* SPDX-License-Identifier: MIT */
/*
 * A real-time clock: PrimeCell PL031 (Arm DDI 0224, 3.2), which counts seconds since 1970.  The
 * guest may set it, which leaves the host's clock alone.  It has no interrupt line, and so no
 * alarm: the match register only stores what is written.
 */
#include "dev/rtc.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

enum {
    DATA = 0x00, /* RTCDR: the time */
    MATCH = 0x04,
    LOAD = 0x08,
    CONTROL = 0x0c,   /* bit 0: enabled, always 1 */
    MASK = 0x10,      /* RTCIMSC, interrupt mask */
    RAW = 0x14,       /* RTCRIS */
    MASKED = 0x18,    /* RTCMIS */
    CLEAR = 0x1c,     /* RTCICR, write only */
    IDENTITY = 0xfe0, /* eight registers of one byte each */
};

struct rtc {
    uint32_t ahead; /* offset from the host's clock, modulo 2^32 seconds */
    uint32_t match, load, mask;
};

static uint32_t host_time(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint32_t)now.tv_sec;
}

/* RTCPeriphID0 to 3 and RTCPCellID0 to 3 */
static uint64_t identity(uint64_t offset)
{
    static const uint8_t bytes[] = {0x31, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1};

    return bytes[(offset - IDENTITY) / 4];
}

static uint64_t read_rtc(void *state, uint64_t offset, unsigned size)
{
    const struct rtc *rtc = state;

    (void)size;
    if (offset % 4)
        return UINT64_MAX;
    if (offset >= IDENTITY && offset < IDENTITY + 32)
        return identity(offset);
    switch (offset) {
    case DATA: return host_time() + rtc->ahead;
    case MATCH: return rtc->match;
    case LOAD: return rtc->load;
    case CONTROL: return 1;
    case MASK: return rtc->mask;
    case RAW:
    case MASKED: return 0;
    default: return UINT64_MAX;
    }
}

static void write_rtc(void *state, uint64_t offset, unsigned size, uint64_t value)
{
    struct rtc *rtc = state;

    (void)size;
    switch (offset) {
    case MATCH: rtc->match = (uint32_t)value; break;
    case LOAD:
        rtc->load = (uint32_t)value;
        rtc->ahead = rtc->load - host_time();
        break;
    case MASK: rtc->mask = value & 1; break;
    default: break;
    }
}

static const struct mv_device_ops ops = {.read = read_rtc, .write = write_rtc, .destroy = free};

int mv_rtc_create(struct mv_device *device, const struct mv_device_env *env)
{
    (void)env;
    device->state = calloc(1, sizeof(struct rtc));
    device->ops = &ops;
    return device->state ? 0 : -ENOMEM;
}
