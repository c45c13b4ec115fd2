/* SPDX-License-Identifier: MIT */
/* A PC's keyboard controller: each command, and what is answered to it. */
#include <criterion/criterion.h>

#include "oldpc/oldpc.h"

static struct mv_device device;
static unsigned edges, ends;
static bool line;

static void on_irq(void *context, int number, bool level)
{
    (void)context;
    cr_expect_eq(number, 1);
    edges += level && !line;
    line = level;
}

static void on_end(void *context, enum mv_end_reason reason, int code)
{
    (void)context, (void)code;
    cr_expect_eq(reason, MV_END_REBOOT);
    ends++;
}

static void start(void)
{
    const struct mv_device_env env = {.irq = {on_irq, NULL, 1}, .shutdown = {on_end, NULL}};

    cr_assert_eq(mv_keyboard_create(&device, &env), 0);
}

static void stop(void)
{
    device.ops->destroy(device.state);
}

TestSuite(keyboard, .init = start, .fini = stop);

static void command(unsigned byte)
{
    device.ops->write(device.state, 4, 1, byte);
}

static void tell(unsigned byte)
{
    device.ops->write(device.state, 0, 1, byte);
}

static unsigned status(void)
{
    return (unsigned)device.ops->read(device.state, 4, 1);
}

static void expect_answer(unsigned byte)
{
    cr_expect(status() & 1, "nothing is answered");
    cr_expect_eq(device.ops->read(device.state, 0, 1), byte);
}

static void expect_no_more(void)
{
    cr_expect_eq(status() & 0x23, 0);
}

Test(keyboard, it_begins_with_nothing_to_say_and_takes_everything_at_once)
{
    cr_expect_eq(status(), 0x14, "tested, and not locked");
    for (unsigned byte = 0; byte < 256; byte++) {
        tell(byte);
        cr_expect_eq(status() & 2, 0);
        if (byte != 0xd1 && (byte < 0xf0 || byte % 2)) /* those may reset */
            command(byte);
        cr_expect_eq(status() & 2, 0);
    }
    cr_expect_eq(ends, 0);
}

Test(keyboard, the_controller_answers_its_commands)
{
    static const struct {
        uint8_t command, answer;
    } rows[] = {{0x20, 0x61}, {0xaa, 0x55}, {0xab, 0x00}, {0xa9, 0x00}, {0xd0, 0xcf}};

    for (unsigned i = 0; i < MV_COUNT(rows); i++) {
        command(rows[i].command);
        expect_answer(rows[i].answer);
        expect_no_more();
    }
    command(0xad);
    expect_no_more();
    command(0x20);
    expect_answer(0x71);
    command(0x60);
    tell(0x47);
    expect_no_more();
    command(0x20);
    expect_answer(0x47);
    command(0xd2);
    tell(0x1c);
    expect_answer(0x1c);
    expect_no_more();
}

Test(keyboard, keyboard_and_mouse_acknowledge_what_they_are_told)
{
    tell(0xf4);
    expect_answer(0xfa);
    tell(0xff);
    expect_answer(0xfa);
    expect_answer(0xaa);
    tell(0xf2);
    expect_answer(0xfa);
    expect_answer(0xab);
    expect_answer(0x83);
    tell(0xee);
    expect_answer(0xee);
    command(0xd4);
    tell(0xff);
    cr_expect(status() & 0x20, "it is the mouse's");
    expect_answer(0xfa);
    expect_answer(0xaa);
    expect_answer(0x00);
    tell(0xf4);
    cr_expect_eq(status() & 0x20, 0, "one byte is for the mouse, and the next is not");
    expect_answer(0xfa);
    expect_no_more();
    cr_expect_eq(device.ops->read(device.state, 0, 1), 0xfa, "the last byte stays");
}

/* Each of these is waited for without an end by somebody's driver. */
Test(keyboard, what_is_asked_is_answered_behind_the_acknowledgement)
{
    tell(0xf0);
    expect_answer(0xfa);
    tell(0);
    expect_answer(0xfa);
    expect_answer(2);
    tell(0xf0);
    expect_answer(0xfa);
    tell(2);
    expect_answer(0xfa);
    tell(0);
    expect_answer(0xfa);
    expect_no_more();
    for (unsigned asked = 0xe9; asked <= 0xeb; asked += 2) {
        command(0xd4);
        tell(asked);
        expect_answer(0xfa);
        expect_answer(asked == 0xe9 ? 0 : 8);
        expect_answer(asked == 0xe9 ? 2 : 0);
        expect_answer(asked == 0xe9 ? 100 : 0);
        expect_no_more();
    }
    command(0xc0);
    expect_answer(0x80);
    command(0xe0);
    expect_answer(0);
    command(0x21);
    expect_answer(0);
    command(0x3f);
    expect_answer(0);
    expect_no_more();
}

Test(keyboard, each_answer_of_the_keyboards_is_an_edge_of_its_line_unless_that_is_off)
{
    tell(0xff);
    cr_expect_eq(edges, 1);
    expect_answer(0xfa);
    cr_expect_eq(edges, 2);
    expect_answer(0xaa);
    cr_expect_eq(edges, 2);
    cr_expect_not(line);
    command(0xd4);
    tell(0xf4);
    cr_expect_eq(edges, 2, "the mouse has none");
    expect_answer(0xfa);
    command(0x60);
    tell(0x60);
    tell(0xf4);
    cr_expect_eq(edges, 2);
    expect_answer(0xfa);
}

Test(keyboard, it_resets_by_its_command_and_by_its_output_port)
{
    unsigned wanted = 0;

    for (unsigned byte = 0xf0; byte < 0x100; byte++) {
        command(byte);
        wanted += byte % 2 == 0;
        cr_expect_eq(ends, wanted, "bit 0 is the reset line, and 0 is a pulse of it: %#x", byte);
    }
    command(0xd1);
    tell(0xdf);
    cr_expect_eq(ends, wanted);
    command(0xd1);
    tell(0xfe);
    cr_expect_eq(ends, wanted + 1);
    device.ops->write(device.state, 4, 2, 0xfe);
    device.ops->write(device.state, 1, 1, 0xfe);
    cr_expect_eq(ends, wanted + 1);
}
