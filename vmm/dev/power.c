/* SPDX-License-Identifier: MIT */
/*
 * How a guest turns the machine off or resets it: the sleep and reset registers
 * of hardware-reduced ACPI (ACPI 6.4, 4.8.3.7 and 4.8.3.6), and the one command
 * of a PC's keyboard controller that resets the processor.
 *
 *   offset 0  sleep control: bit 5 SLP_EN, bits 2 to 4 SLP_TYP
 *   offset 1  sleep status: bit 7 WAK_STS, never set: nothing sleeps here
 *   offset 2  reset: writing 1 resets
 */
#include "dev/power.h"

#include <stdlib.h>

#include "dev/dev.h"

static uint64_t read_power(void *state, uint64_t offset, unsigned size)
{
    (void)state, (void)offset, (void)size;
    return 0;
}

static void write_power(void *state, uint64_t offset, unsigned size, uint64_t value)
{
    const struct mv_ender *ender = state;

    if (size != 1)
        return;
    if (offset == MV_POWER_SLEEP_CONTROL &&
        value == (MV_POWER_SLP_EN | MV_POWER_S5 << MV_POWER_SLP_TYP))
        ender->end(ender->context, MV_END_POWER_OFF, 0);
    if (offset == MV_POWER_RESET && value == MV_POWER_RESET_VALUE)
        ender->end(ender->context, MV_END_REBOOT, 0);
}

static const struct mv_device_ops power_ops = {
    .read = read_power, .write = write_power, .destroy = free};

int mv_power_create(struct mv_device *device, const struct mv_device_env *env)
{
    return mv_ender_device(device, env, &power_ops);
}

/* Status register: both buffers empty, so that nobody waits before the command. */
static uint64_t read_kbd(void *state, uint64_t offset, unsigned size)
{
    (void)state, (void)offset, (void)size;
    return 0;
}

static void write_kbd(void *state, uint64_t offset, unsigned size, uint64_t value)
{
    const struct mv_ender *ender = state;

    (void)offset;
    if (size == 1 && value == 0xfe) /* pulse output line 0: the reset */
        ender->end(ender->context, MV_END_REBOOT, 0);
}

static const struct mv_device_ops kbd_ops = {.read = read_kbd, .write = write_kbd, .destroy = free};

int mv_kbd_reset_create(struct mv_device *device, const struct mv_device_env *env)
{
    return mv_ender_device(device, env, &kbd_ops);
}
