/* SPDX-License-Identifier: MIT */
/* The real-time clock, register by register (PL031, Arm DDI 0224). */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <time.h>

#include "dev/rtc.h"

static struct mv_device device;

static void start(void)
{
    static const struct mv_device_env env;

    cr_assert_eq(mv_rtc_create(&device, &env), 0);
}

static void stop(void)
{
    device.ops->destroy(device.state);
}

TestSuite(rtc, .init = start, .fini = stop);

static uint32_t get(uint64_t offset)
{
    return (uint32_t)device.ops->read(device.state, offset, 4);
}

static void set(uint64_t offset, uint32_t value)
{
    device.ops->write(device.state, offset, 4, value);
}

/* time() is behind this by up to a tick. */
static time_t host_time(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec;
}

Test(rtc, it_tells_the_hosts_time)
{
    uint32_t before = (uint32_t)host_time(), told = get(0);

    cr_expect_geq(told, before);
    cr_expect_leq(told, (uint32_t)host_time());
    set(0, 0);
    cr_expect_geq(get(0), before, "the data register cannot be written");
}

Test(rtc, the_guest_sets_it)
{
    static const uint32_t times[] = {0, 1, 1000000000, 0x7fffffff, 0xfffffff0};

    for (unsigned i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        set(8, times[i]);
        cr_expect_leq(get(0) - times[i], 2, "%u is %u", times[i], get(0));
        cr_expect_eq(get(8), times[i]);
    }
}

Test(rtc, it_identifies_itself)
{
    static const uint8_t bytes[] = {0x31, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1};

    for (unsigned i = 0; i < sizeof(bytes); i++)
        cr_expect_eq(get(0xfe0 + 4 * i), bytes[i], "register %#x", 0xfe0 + 4 * i);
}

Test(rtc, other_registers)
{
    set(4, 12345);
    cr_expect_eq(get(4), 12345);
    cr_expect_eq(get(0xc), 1, "it runs");
    set(0xc, 0);
    cr_expect_eq(get(0xc), 1, "and cannot be stopped");
    set(0x10, 0xff);
    cr_expect_eq(get(0x10), 1);
    cr_expect_eq(get(0x14), 0, "there is no alarm");
    cr_expect_eq(get(0x18), 0);
    set(0x1c, 1);
    for (uint64_t offset = 0; offset < 0x1000; offset++)
        if (offset % 4 || (offset >= 0x1c && offset < 0xfe0))
            cr_expect_eq(get(offset), UINT32_MAX, "%#llx", (unsigned long long)offset);
}
