/* SPDX-License-Identifier: MIT */
/*
 * A PC's real-time clock and CMOS memory: MC146818A (Motorola's data sheet, 1984), behind an
 * index and a data port.  The CMOS memory holds the machine's memory size, where an AT's BIOS
 * stores it.  The clock runs in UTC.  Left out: setting the clock, and its interrupts, alarm and
 * periodic.
 *
 *   offset 0  index, bits 0 to 6; bit 7, which disables NMIs, is ignored
 *   offset 1  data: the register of that index
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "oldpc.h"

enum {
    SECONDS = 0x00,
    MINUTES = 0x02,
    HOURS = 0x04,
    WEEKDAY = 0x06, /* 1 to 7, from Sunday */
    DAY = 0x07,
    MONTH = 0x08,
    YEAR = 0x09, /* of the century */
    STATUS_A = 0x0a,
    STATUS_B = 0x0b,
    STATUS_C = 0x0c, /* interrupts: none */
    STATUS_D = 0x0d,
    CENTURY = 0x32,

    UPDATE_IN_PROGRESS = 0x80, /* of A */
    DIVIDER_AND_RATE = 0x26,   /* of A: 32,768 Hz, 1,024 Hz */
    BINARY = 0x04,             /* of B; else BCD */
    HOURS_24 = 0x02,           /* of B; else 1 to 12, with bit 7 in the afternoon */
    VALID = 0x80,              /* of D: the battery is good */

    /* Memory sizes, as written by a BIOS: two bytes each, the low one first. */
    BASE_KIB = 0x15,
    EXTENDED_KIB = 0x17,   /* above 1 MiB; at most 65,535 */
    EXTENDED_AGAIN = 0x30, /* the same */
    ABOVE_16_MIB = 0x34,   /* from 16 MiB to 4 GiB, in units of 64 KiB */
    CHECKSUM = 0x2e,       /* sum of CHECKED_FIRST to CHECKED_LAST, high byte first */
    CHECKED_FIRST = 0x10,
    CHECKED_LAST = 0x2d,
};

#define BEFORE_UPDATE 244000 /* nanoseconds for which an update is announced */

struct cmos {
    uint8_t index;
    uint8_t bytes[128];
};

static void put16(struct cmos *cmos, unsigned index, uint64_t value)
{
    value = mv_min(value, UINT16_MAX);
    cmos->bytes[index] = (uint8_t)value;
    cmos->bytes[index + 1] = (uint8_t)(value >> 8);
}

static void put_memory(struct cmos *cmos, const struct mv_mem *mem)
{
    uint64_t low = mem->count ? mem->regions[0].base + mem->regions[0].size : 0;
    unsigned sum = 0;

    put16(cmos, BASE_KIB, 639); /* 640 less the EBDA */
    put16(cmos, EXTENDED_KIB, low > MV_MIB ? (low - MV_MIB) / 1024 : 0);
    put16(cmos, EXTENDED_AGAIN, low > MV_MIB ? (low - MV_MIB) / 1024 : 0);
    put16(cmos, ABOVE_16_MIB, low > 16 * MV_MIB ? (low - 16 * MV_MIB) / 65536 : 0);
    for (unsigned i = CHECKED_FIRST; i <= CHECKED_LAST; i++)
        sum += cmos->bytes[i];
    cmos->bytes[CHECKSUM] = (uint8_t)(sum >> 8);
    cmos->bytes[CHECKSUM + 1] = (uint8_t)sum;
}

static uint8_t number(const struct cmos *cmos, int value)
{
    return (uint8_t)(cmos->bytes[STATUS_B] & BINARY ? value : value / 10 * 16 + value % 10);
}

static uint8_t hours(const struct cmos *cmos, int hour)
{
    if (cmos->bytes[STATUS_B] & HOURS_24)
        return number(cmos, hour);
    return number(cmos, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? 0x80 : 0);
}

static uint8_t read_register(const struct cmos *cmos)
{
    struct timespec now;
    struct tm date;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &date);
    switch (cmos->index) {
    case SECONDS: return number(cmos, date.tm_sec);
    case MINUTES: return number(cmos, date.tm_min);
    case HOURS: return hours(cmos, date.tm_hour);
    case WEEKDAY: return number(cmos, date.tm_wday + 1);
    case DAY: return number(cmos, date.tm_mday);
    case MONTH: return number(cmos, date.tm_mon + 1);
    case YEAR: return number(cmos, date.tm_year % 100);
    case CENTURY: return number(cmos, date.tm_year / 100 + 19);
    case STATUS_A:
        return DIVIDER_AND_RATE |
               (now.tv_nsec >= 1000000000 - BEFORE_UPDATE ? UPDATE_IN_PROGRESS : 0);
    default: return cmos->bytes[cmos->index];
    }
}

static uint64_t read_cmos(void *state, uint64_t offset, unsigned size)
{
    return offset == 1 && size == 1 ? read_register(state) : UINT64_MAX;
}

static void write_cmos(void *state, uint64_t offset, unsigned size, uint64_t value)
{
    struct cmos *cmos = state;

    if (offset == 0) {
        cmos->index = value & 0x7f;
        if (size != 2)
            return;
        value >>= 8; /* a 16-bit write is index and data */
    }
    if (cmos->index == STATUS_C || cmos->index == STATUS_D)
        return;
    cmos->bytes[cmos->index] =
        (uint8_t)(cmos->index == STATUS_B ? value & (BINARY | HOURS_24) : value);
}

static const struct mv_device_ops ops = {.read = read_cmos, .write = write_cmos, .destroy = free};

int mv_cmos_create(struct mv_device *device, const struct mv_device_env *env)
{
    struct cmos *cmos = calloc(1, sizeof(*cmos));

    if (!cmos)
        return -ENOMEM;
    cmos->bytes[STATUS_B] = HOURS_24;
    cmos->bytes[STATUS_D] = VALID;
    put_memory(cmos, env->mem);
    device->state = cmos;
    device->ops = &ops;
    return 0;
}
