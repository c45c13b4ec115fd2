/* SPDX-License-Identifier: MIT */
/*
 * A PC's keyboard controller (IBM, PS/2 Hardware Interface Technical Reference, "Keyboard and
 * Auxiliary Device Controller"), with a keyboard and a mouse that never send any input.  Every
 * command is answered, so that no driver waits forever.  Left out: translation, and the mouse's
 * interrupt.
 *
 *   offset 0  write: a byte for the keyboard, or the last command's parameter; read: answers
 *   offset 4  write: commands; read: status
 */
#include <errno.h>
#include <stdlib.h>

#include "arch/x86_64/power.h"
#include "oldpc.h"

enum { DATA = 0, STATUS = 4 };

/* Status bits. */
enum { OUTPUT_FULL = 1 << 0, SYSTEM = 1 << 2, UNLOCKED = 1 << 4, OF_MOUSE = 1 << 5 };

/* The configuration byte, byte 0 of the controller's memory. */
enum { INTERRUPT = 1 << 0, KEYBOARD_OFF = 1 << 4, MOUSE_OFF = 1 << 5 };
enum { CONFIG_OF_BIOS = 0x61 }; /* interrupt, translation, mouse off */

/* Commands. */
enum {
    READ_CONFIG = 0x20, /* up to READ_LAST: the rest of its memory */
    READ_LAST = 0x3f,
    WRITE_CONFIG = 0x60,
    DISABLE_MOUSE = 0xa7,
    ENABLE_MOUSE = 0xa8,
    TEST_MOUSE_PORT = 0xa9,
    SELF_TEST = 0xaa,
    TEST_KEYBOARD_PORT = 0xab,
    DISABLE_KEYBOARD = 0xad,
    ENABLE_KEYBOARD = 0xae,
    READ_INPUT_PORT = 0xc0,
    READ_OUTPUT_PORT = 0xd0,
    WRITE_OUTPUT_PORT = 0xd1,
    WRITE_AS_KEYBOARD = 0xd2,
    WRITE_AS_MOUSE = 0xd3,
    WRITE_TO_MOUSE = 0xd4,
    READ_TEST_INPUTS = 0xe0,

    SELF_TEST_PASSED = 0x55,
    PORT_GOOD = 0x00,
    NOT_RESET = 1 << 0, /* of the output port */
    INPUT_PORT = 0x80,  /* not locked */
    OUTPUT_PORT = 0xcf, /* not reset, A20 on */
};

/* Commands and answers of the keyboard and the mouse. */
enum { MOUSE_STATUS = 0xe9, MOUSE_READ = 0xeb };
enum { ECHO = 0xee, SCAN_CODES = 0xf0, IDENTIFY = 0xf2, RESET = 0xff };
enum { ACKNOWLEDGE = 0xfa, PASSED = 0xaa };

struct keyboard {
    struct mv_shutdown shutdown;
    struct mv_irq irq;
    uint8_t config;
    uint8_t command; /* the command that waits for its parameter; 0: none */
    bool of_mouse;   /* the answers are the mouse's */
    bool scan_codes; /* the keyboard waits for the number of a scan code set; 0 asks for it */
    uint8_t answers[4];
    unsigned count;
};

static void drive_line(const struct keyboard *keyboard)
{
    mv_irq_set(&keyboard->irq,
               keyboard->count && !keyboard->of_mouse && (keyboard->config & INTERRUPT));
}

/* Replaces the previous answer: drivers read it before they send the next byte. */
static void answer(struct keyboard *keyboard, const uint8_t *bytes, unsigned count, bool of_mouse)
{
    keyboard->of_mouse = of_mouse;
    keyboard->count = count;
    for (unsigned i = 0; i < count; i++)
        keyboard->answers[i] = bytes[count - 1 - i]; /* reversed: the next one is the last */
    drive_line(keyboard);
}

static void answer_byte(struct keyboard *keyboard, uint8_t byte, bool of_mouse)
{
    answer(keyboard, &byte, 1, of_mouse);
}

static void tell_device(struct keyboard *keyboard, uint8_t byte, bool is_mouse)
{
    static const uint8_t reset[] = {ACKNOWLEDGE, PASSED, 0x00}; /* 0: the mouse's ID */
    static const uint8_t mouse[] = {ACKNOWLEDGE, 0x00}, identity[] = {ACKNOWLEDGE, 0xab, 0x83};
    static const uint8_t set[] = {ACKNOWLEDGE, 2};
    /* disabled, 4 counts per mm, 100 samples per second; no button, no movement */
    static const uint8_t status[] = {ACKNOWLEDGE, 0x00, 0x02, 100},
                         still[] = {ACKNOWLEDGE, 8, 0, 0};
    bool which = !is_mouse && keyboard->scan_codes && byte == 0;

    keyboard->scan_codes = !is_mouse && byte == SCAN_CODES;
    if (which)
        answer(keyboard, set, sizeof(set), false);
    else if (is_mouse && (byte == MOUSE_STATUS || byte == MOUSE_READ))
        answer(keyboard, byte == MOUSE_READ ? still : status, sizeof(still), true);
    else if (byte == RESET)
        answer(keyboard, reset, is_mouse ? 3 : 2, is_mouse);
    else if (byte == IDENTIFY && is_mouse)
        answer(keyboard, mouse, sizeof(mouse), true);
    else if (byte == IDENTIFY)
        answer(keyboard, identity, sizeof(identity), false);
    else
        answer_byte(keyboard, byte == ECHO && !is_mouse ? ECHO : ACKNOWLEDGE, is_mouse);
}

static void do_command(struct keyboard *keyboard, uint8_t command)
{
    keyboard->command = 0;
    if (command > READ_CONFIG && command <= READ_LAST)
        answer_byte(keyboard, 0, false);
    if (mv_kbd_resets(command))
        keyboard->shutdown.end(keyboard->shutdown.context, MV_END_REBOOT, 0);
    switch (command) {
    case READ_CONFIG: answer_byte(keyboard, keyboard->config, false); break;
    case DISABLE_MOUSE: keyboard->config |= MOUSE_OFF; break;
    case ENABLE_MOUSE: keyboard->config &= (uint8_t)~MOUSE_OFF; break;
    case DISABLE_KEYBOARD: keyboard->config |= KEYBOARD_OFF; break;
    case ENABLE_KEYBOARD: keyboard->config &= (uint8_t)~KEYBOARD_OFF; break;
    case SELF_TEST: answer_byte(keyboard, SELF_TEST_PASSED, false); break;
    case TEST_MOUSE_PORT:
    case TEST_KEYBOARD_PORT: answer_byte(keyboard, PORT_GOOD, false); break;
    case READ_INPUT_PORT: answer_byte(keyboard, INPUT_PORT, false); break;
    case READ_TEST_INPUTS: answer_byte(keyboard, 0, false); break;
    case READ_OUTPUT_PORT: answer_byte(keyboard, OUTPUT_PORT, false); break;
    case WRITE_CONFIG:
    case WRITE_OUTPUT_PORT:
    case WRITE_AS_KEYBOARD:
    case WRITE_AS_MOUSE:
    case WRITE_TO_MOUSE: keyboard->command = command; break;
    default: break;
    }
}

static void take_byte(struct keyboard *keyboard, uint8_t byte)
{
    uint8_t command = keyboard->command;

    keyboard->command = 0;
    switch (command) {
    case WRITE_CONFIG:
        keyboard->config = byte;
        drive_line(keyboard);
        break;
    case WRITE_OUTPUT_PORT:
        if (!(byte & NOT_RESET))
            keyboard->shutdown.end(keyboard->shutdown.context, MV_END_REBOOT, 0);
        break;
    case WRITE_AS_KEYBOARD:
    case WRITE_AS_MOUSE: answer_byte(keyboard, byte, command == WRITE_AS_MOUSE); break;
    default: tell_device(keyboard, byte, command == WRITE_TO_MOUSE); break;
    }
}

static uint64_t read_data(struct keyboard *keyboard)
{
    uint8_t byte = keyboard->answers[0]; /* when empty, the last byte repeats */

    if (keyboard->count) {
        byte = keyboard->answers[--keyboard->count];
        mv_irq_set(&keyboard->irq, false); /* an edge for each byte */
        drive_line(keyboard);
    }
    return byte;
}

static uint64_t read_keyboard(void *state, uint64_t offset, unsigned size)
{
    struct keyboard *keyboard = state;

    if (size != 1)
        return UINT64_MAX;
    if (offset == DATA)
        return read_data(keyboard);
    if (offset != STATUS)
        return UINT64_MAX;
    return SYSTEM | UNLOCKED | (keyboard->count ? OUTPUT_FULL : 0) |
           (keyboard->count && keyboard->of_mouse ? OF_MOUSE : 0);
}

static void write_keyboard(void *state, uint64_t offset, unsigned size, uint64_t value)
{
    if (size == 1 && offset == STATUS)
        do_command(state, (uint8_t)value);
    if (size == 1 && offset == DATA)
        take_byte(state, (uint8_t)value);
}

static const struct mv_device_ops ops = {
    .read = read_keyboard, .write = write_keyboard, .destroy = free};

int mv_keyboard_create(struct mv_device *device, const struct mv_device_env *env)
{
    struct keyboard *keyboard = calloc(1, sizeof(*keyboard));

    if (!keyboard)
        return -ENOMEM;
    keyboard->shutdown = env->shutdown;
    keyboard->irq = env->irq;
    keyboard->config = CONFIG_OF_BIOS;
    device->state = keyboard;
    device->ops = &ops;
    return 0;
}
