/* SPDX-License-Identifier: MIT */
/*
 * Power-off by ACPI's fixed hardware (ACPI 6.4, 4.8.3.1 and 4.8.3.2), at the ports of three
 * emulators, which kernels often hard-code; and reset by port 0x92.
 *
 *   offset 0  PM1 control, 2 bytes: bit 0 SCI_EN, always set; bit 13 SLP_EN
 *   offset 4  PM1 status and enable: no events
 */
#include <stdlib.h>

#include "oldpc.h"

enum { SCI_EN = 1 << 0, SLP_EN = 1 << 13 };

static uint64_t read_pm1(void *state, uint64_t offset, unsigned size)
{
    (void)state, (void)size;
    return offset == MV_PM1_CONTROL ? SCI_EN : 0;
}

/* Ignores SLP_TYP: soft off is the only sleep state.  It is 5 in our tables, but 0 in kernels that
 * hard-code it. */
static void write_pm1(void *state, uint64_t offset, unsigned size, uint64_t value)
{
    const struct mv_shutdown *shutdown = state;

    (void)size;
    if (offset < MV_PM1_EVENT && (value << 8 * offset & SLP_EN)) /* also if only the upper byte */
        shutdown->end(shutdown->context, MV_END_POWER_OFF, 0);
}

int mv_pm1_create(struct mv_device *device, const struct mv_device_env *env)
{
    static const struct mv_device_ops ops = {.read = read_pm1, .write = write_pm1, .destroy = free};

    return mv_shutdown_device(device, env, &ops);
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

int mv_port_92_create(struct mv_device *device, const struct mv_device_env *env)
{
    static const struct mv_device_ops ops = {
        .read = read_port_92, .write = write_port_92, .destroy = free};

    return mv_shutdown_device(device, env, &ops);
}
