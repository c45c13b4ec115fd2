/* SPDX-License-Identifier: MIT */
/* A PC's clock and its CMOS memory, register by register (MC146818A). */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <time.h>

#include "oldpc/oldpc.h"

static struct mv_device device;

static void start_with(uint64_t bytes)
{
    static struct mv_mem mem;
    const struct mv_device_env env = {.mem = &mem};

    mem = (struct mv_mem){.count = 1, .regions = {{.size = bytes}}};
    cr_assert_eq(mv_cmos_create(&device, &env), 0);
}

static void start(void)
{
    start_with(64 * MV_MIB);
}

static void stop(void)
{
    device.ops->destroy(device.state);
}

TestSuite(cmos, .init = start, .fini = stop);

static unsigned get(unsigned index)
{
    device.ops->write(device.state, 0, 1, index);
    return (unsigned)device.ops->read(device.state, 1, 1);
}

static void set(unsigned index, unsigned value)
{
    device.ops->write(device.state, 0, 1, index);
    device.ops->write(device.state, 1, 1, value);
}

static int decimal(unsigned bcd)
{
    cr_expect_lt(bcd & 15, 10, "%#x is no BCD", bcd);
    return (int)(bcd / 16 * 10 + bcd % 16);
}

/* As kernels do: again, if it has moved meanwhile. */
static time_t told(int (*number)(unsigned), bool is_24)
{
    struct tm date = {0};
    unsigned hour;

    do {
        date.tm_sec = number(get(0));
        date.tm_min = number(get(2));
        hour = get(4);
        date.tm_mday = number(get(7));
        date.tm_mon = number(get(8)) - 1;
        date.tm_year = number(get(0x32)) * 100 + number(get(9)) - 1900;
        date.tm_hour = number(is_24 ? hour : hour & 0x7f);
        if (!is_24)
            date.tm_hour = date.tm_hour % 12 + (hour & 0x80 ? 12 : 0);
    } while (number(get(0)) != date.tm_sec);
    return timegm(&date);
}

static int binary(unsigned value)
{
    return (int)value;
}

/* time() is behind this by up to a tick. */
static time_t host_time(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec;
}

#define EXPECT_NOW(told)                        \
    do {                                        \
        time_t before = host_time(), is = told; \
        cr_expect_geq(is, before);              \
        cr_expect_leq(is, host_time());         \
    } while (0)

Test(cmos, it_tells_the_hosts_time_in_every_form)
{
    struct tm date;
    time_t now;

    EXPECT_NOW(told(decimal, true));
    set(0x0b, 6);
    EXPECT_NOW(told(binary, true));
    set(0x0b, 4);
    EXPECT_NOW(told(binary, false));
    set(0x0b, 0);
    EXPECT_NOW(told(decimal, false));
    now = host_time();
    gmtime_r(&now, &date);
    cr_expect_eq((get(6) - 1 + 7 - (unsigned)date.tm_wday) % 7 % 6, 0, "Sunday is 1");
}

Test(cmos, an_update_is_announced_and_passes)
{
    time_t until = time(NULL) + 60; /* a busy computer misses most of them */
    unsigned seen = 0;

    while (seen != 3 && time(NULL) < until)
        seen |= 1u << (get(0x0a) >> 7);
    cr_expect_eq(seen, 3u);
    cr_expect_eq(get(0x0a) & 0x7f, 0x26);
}

Test(cmos, its_status)
{
    cr_expect_eq(get(0x0b), 2);
    set(0x0b, 0xff);
    cr_expect_eq(get(0x0b), 6, "it has no interrupts");
    set(0x0c, 0xff);
    cr_expect_eq(get(0x0c), 0);
    set(0x0d, 0);
    cr_expect_eq(get(0x0d), 0x80);
}

Test(cmos, memory_keeps_what_is_written)
{
    set(0x0f, 0x5a);
    set(0x7f, 0xa5);
    cr_expect_eq(get(0x0f), 0x5a);
    cr_expect_eq(get(0xff), 0xa5, "bit 7 of the index is another thing");
    device.ops->write(device.state, 0, 2, 0x3340); /* index and data at once */
    cr_expect_eq(get(0x40), 0x33);
    device.ops->write(device.state, 1, 2, 0x4455); /* of the data port's, the low byte is its own */
    cr_expect_eq(get(0x40), 0x55);
    cr_expect_eq(device.ops->read(device.state, 0, 1), UINT64_MAX);
    cr_expect_eq(device.ops->read(device.state, 1, 2), UINT64_MAX);
}

static unsigned get16(unsigned index)
{
    return get(index) | get(index + 1) << 8;
}

Test(cmos, memory_has_the_size_of_the_machines)
{
    unsigned sum = 0;

    cr_expect_eq(get16(0x15), 639);
    cr_expect_eq(get16(0x17), 63 * 1024);
    cr_expect_eq(get16(0x30), 63 * 1024);
    cr_expect_eq(get16(0x34), 48 * 16);
    for (unsigned i = 0x10; i <= 0x2d; i++)
        sum += get(i);
    cr_expect_eq(get(0x2e) << 8 | get(0x2f), sum);
}

Test(cmos, large_memory_does_not_wrap)
{
    stop();
    start_with(3 * MV_GIB);
    cr_expect_eq(get16(0x17), 0xffff);
    cr_expect_eq(get16(0x34), (3 * MV_GIB - 16 * MV_MIB) / 65536);
}
