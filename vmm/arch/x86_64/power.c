/* SPDX-License-Identifier: MIT */
/*
 * Power-off and reset: the sleep and reset registers of hardware-reduced ACPI (ACPI 6.4, 4.8.3.7
 * and 4.8.3.6), and what Linux uses if it is told to (reboot=k, reboot=p) or finds no tables: the
 * keyboard controller's reset command, and the reset control register of Intel's chipsets.
 *
 *   offset 0  sleep control: bit 5 SLP_EN, bits 2 to 4 SLP_TYP
 *   offset 1  sleep status: bit 7 WAK_STS, never set: nothing sleeps here
 *   offset 2  reset: writing 1 resets
 */
#include "power.h"

#include <stdlib.h>

/* For the keyboard controller this is its status: both buffers empty, so that no guest waits before
 * it sends the command. */
static uint64_t read_zero(void *state, uint64_t offset, unsigned size)
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

int mv_power_create(struct mv_device *device, const struct mv_device_env *env)
{
    static const struct mv_device_ops ops = {
        .read = read_zero, .write = write_power, .destroy = free};

    return mv_shutdown_device(device, env, &ops);
}

static void write_reset_control(void *state, uint64_t offset, unsigned size, uint64_t value)
{
    enum { RESET_CPU = 1 << 2 };
    const struct mv_shutdown *shutdown = state;

    (void)offset;
    if (size == 1 && (value & RESET_CPU))
        shutdown->end(shutdown->context, MV_END_REBOOT, 0);
}

int mv_reset_control_create(struct mv_device *device, const struct mv_device_env *env)
{
    static const struct mv_device_ops ops = {
        .read = read_zero, .write = write_reset_control, .destroy = free};

    return mv_shutdown_device(device, env, &ops);
}

static void write_kbd(void *state, uint64_t offset, unsigned size, uint64_t value)
{
    const struct mv_shutdown *shutdown = state;

    (void)offset;
    if (size == 1 && mv_kbd_resets(value))
        shutdown->end(shutdown->context, MV_END_REBOOT, 0);
}

int mv_kbd_reset_create(struct mv_device *device, const struct mv_device_env *env)
{
    static const struct mv_device_ops ops = {
        .read = read_zero, .write = write_kbd, .destroy = free};

    return mv_shutdown_device(device, env, &ops);
}
