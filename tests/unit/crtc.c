/* SPDX-License-Identifier: MIT */
/* The controller of a PC's screen: registers that hold what was written. */
#include <criterion/criterion.h>

#include "oldpc/oldpc.h"

static struct mv_device device;

static void start(void)
{
    const struct mv_device_env env = {0};

    cr_assert_eq(mv_crtc_create(&device, &env), 0);
}

static void stop(void)
{
    device.ops->destroy(device.state);
}

TestSuite(crtc, .init = start, .fini = stop);

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

Test(crtc, it_begins_in_text_mode_with_the_cursor_in_the_corner)
{
    cr_expect_eq(get(0x01) + 1, 80, "columns");
    cr_expect_eq((get(0x09) & 31) + 1, 16, "points of a row");
    cr_expect_eq(get(0x12) + 1, 400 - 256, "lines");
    cr_expect_eq(get(0x0e) << 8 | get(0x0f), 0);
}

Test(crtc, registers_hold_what_was_written)
{
    set(0x0e, 0x07);
    set(0x0f, 0xd0);
    cr_expect_eq(get(0x0e) << 8 | get(0x0f), 2000);
    cr_expect_eq(device.ops->read(device.state, 0, 1), 0x0f, "the index, too");
    device.ops->write(device.state, 0, 2, 0x550e); /* index and data at once */
    cr_expect_eq(get(0x0e), 0x55);
}

Test(crtc, where_there_is_no_register_nothing_is_kept)
{
    for (unsigned index = 0x19; index < 256; index++) {
        set(index, 0xaa);
        cr_assert_eq(get(index), 0);
    }
    cr_expect_eq(device.ops->read(device.state, 1, 2), UINT64_MAX);
}

Test(crtc, the_beam_is_on_its_way_back_with_every_other_read)
{
    unsigned before = (unsigned)device.ops->read(device.state, 6, 1), now;

    for (unsigned i = 0; i < 10; i++, before = now) {
        now = (unsigned)device.ops->read(device.state, 6, 1);
        cr_expect_eq(now ^ before, 9, "both bits change");
    }
    cr_expect_eq(device.ops->read(device.state, 2, 1), UINT64_MAX, "nobody is there");
    device.ops->write(device.state, 0, 1, 0x0e);
    device.ops->write(device.state, 6, 1, 0x55);
    cr_expect_eq(get(0x0e), 0, "a write there is none to the registers");
}
