/* SPDX-License-Identifier: MIT */
/*
 * How a guest turns the machine off or resets it: the sleep and reset registers
 * of hardware-reduced ACPI (ACPI 6.4, 4.8.3.7 and 4.8.3.6), and what kernels do that know
 * a PC: ACPI's fixed hardware (4.8.3.1 and 4.8.3.2), the reset control register of
 * Intel's chipsets, port 0x92, and the one command of a keyboard controller that resets
 * the processor.
 *
 *   offset 0  sleep control: bit 5 SLP_EN, bits 2 to 4 SLP_TYP
 *   offset 1  sleep status: bit 7 WAK_STS, never set: nothing sleeps here
 *   offset 2  reset: writing 1 resets
 *
 *   offset 0  PM1 control, 2 bytes: bit 0 SCI_EN, always set; bit 13 SLP_EN
 *   offset 4  PM1 status and enable: no events
 */
#include "power.h"

#include <stdlib.h>

#include "dev/dev.h"

static uint64_t read_power(void *state, uint64_t offset, unsigned size)
{
    (void)state, (void)offset, (void)size;
    return 0;
}

static void write_power(void *state, uint64_t offset, unsigned size, uint64_t value)
{
    const struct mv_shutdown *shutdown = state;

    if (size != 1)
        return;
    if (offset == MV_POWER_SLEEP_CONTROL &&
        value == (MV_POWER_SLP_EN | MV_POWER_S5 << MV_POWER_SLP_TYP))
        shutdown->end(shutdown->context, MV_END_POWER_OFF, 0);
    if (offset == MV_POWER_RESET && value == MV_POWER_RESET_VALUE)
        shutdown->end(shutdown->context, MV_END_REBOOT, 0);
}

static const struct mv_device_ops power_ops = {
    .read = read_power, .write = write_power, .destroy = free};

int mv_power_create(struct mv_device *device, const struct mv_device_env *env)
{
    return mv_shutdown_device(device, env, &power_ops);
}

enum { SCI_EN = 1 << 0, SLP_EN = 1 << 13 };

static uint64_t read_pm1(void *state, uint64_t offset, unsigned size)
{
    (void)state, (void)size;
    return offset == MV_PM1_CONTROL ? SCI_EN : 0;
}

/* There is no other sleep than soft off, whose SLP_TYP is 5 in our tables, but 0 in the habits of
 * those who have read none. */
static void write_pm1(void *state, uint64_t offset, unsigned size, uint64_t value)
{
    const struct mv_shutdown *shutdown = state;

    (void)size;
    if (offset < MV_PM1_EVENT && (value << 8 * offset & SLP_EN)) /* or the upper byte alone */
        shutdown->end(shutdown->context, MV_END_POWER_OFF, 0);
}

static const struct mv_device_ops pm1_ops = {.read = read_pm1, .write = write_pm1, .destroy = free};

int mv_pm1_create(struct mv_device *device, const struct mv_device_env *env)
{
    return mv_shutdown_device(device, env, &pm1_ops);
}

enum { RESET_CPU = 1 << 2 };

static void write_reset_control(void *state, uint64_t offset, unsigned size, uint64_t value)
{
    const struct mv_shutdown *shutdown = state;

    (void)offset;
    if (size == 1 && (value & RESET_CPU))
        shutdown->end(shutdown->context, MV_END_REBOOT, 0);
}

static const struct mv_device_ops reset_control_ops = {
    .read = read_power, .write = write_reset_control, .destroy = free};

int mv_reset_control_create(struct mv_device *device, const struct mv_device_env *env)
{
    return mv_shutdown_device(device, env, &reset_control_ops);
}

enum { FAST_RESET = 1 << 0, A20 = 1 << 1 };

static uint64_t read_port_92(void *state, uint64_t offset, unsigned size)
{
    (void)state, (void)offset, (void)size;
    return A20; /* always on */
}

static void write_port_92(void *state, uint64_t offset, unsigned size, uint64_t value)
{
    const struct mv_shutdown *shutdown = state;

    (void)offset;
    if (size == 1 && (value & FAST_RESET))
        shutdown->end(shutdown->context, MV_END_REBOOT, 0);
}

static const struct mv_device_ops port_92_ops = {
    .read = read_port_92, .write = write_port_92, .destroy = free};

int mv_port_92_create(struct mv_device *device, const struct mv_device_env *env)
{
    return mv_shutdown_device(device, env, &port_92_ops);
}

/* Status register: both buffers empty, so that nobody waits before the command. */
static uint64_t read_kbd(void *state, uint64_t offset, unsigned size)
{
    (void)state, (void)offset, (void)size;
    return 0;
}

static void write_kbd(void *state, uint64_t offset, unsigned size, uint64_t value)
{
    const struct mv_shutdown *shutdown = state;

    (void)offset;
    if (size == 1 && mv_kbd_resets(value))
        shutdown->end(shutdown->context, MV_END_REBOOT, 0);
}

static const struct mv_device_ops kbd_ops = {.read = read_kbd, .write = write_kbd, .destroy = free};

int mv_kbd_reset_create(struct mv_device *device, const struct mv_device_env *env)
{
    return mv_shutdown_device(device, env, &kbd_ops);
}
