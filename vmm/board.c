/* SPDX-License-Identifier: MIT */
/* The devices of a machine: see board.h.  Where things are is in the
 * architecture's layout.h, beside its drawing. */
#include "board.h"

#include <string.h>

#include "dev/power.h"
#include "layout.h"

struct entry {
    struct mv_device_desc desc;
    mv_device_create_fn *create;
};

/* clang-format off */
static const struct entry entries[] = {
    /* name, compatible, ACPI _HID and name, space, base, size, interrupt */
    {{"serial0", "ns16550a", "PNP0501", "COM1", MV_LAYOUT_SPACE, MV_SERIAL_BASE, 8, MV_SERIAL_IRQ},
     mv_serial_create},
    {{"power", NULL, NULL, NULL, MV_LAYOUT_SPACE, MV_POWER_BASE, MV_POWER_SIZE, MV_NO_IRQ},
     mv_power_create},
    {{"kbd-reset", NULL, NULL, NULL, MV_LAYOUT_SPACE, MV_KBD_BASE, 1, MV_NO_IRQ},
     mv_kbd_reset_create},
    {{"exit", NULL, NULL, NULL, MV_LAYOUT_SPACE, MV_EXIT_BASE, 1, MV_NO_IRQ},
     mv_exit_create},
    {{"boot-timer", NULL, NULL, NULL, MV_LAYOUT_SPACE, MV_BOOT_TIMER_BASE, 1, MV_NO_IRQ},
     mv_boot_timer_create},
    {{"pvpanic", "qemu,pvpanic", "QEMU0001", "PEVT", MV_LAYOUT_SPACE, MV_PANIC_BASE, 1, MV_NO_IRQ},
     mv_panic_create},
};
/* clang-format on */

_Static_assert(MV_COUNT(entries) <= MV_BOARD_DEVICES, "the board is full");

static int add(struct mv_board *board, const struct entry *entry, struct mv_device_env env,
               struct mv_bus *bus)
{
    struct mv_device *device = &board->devices[board->count];
    int error;

    device->desc = entry->desc;
    pthread_mutex_init(&device->lock, NULL);
    env.irq.line = entry->desc.irq;
    error = entry->create(device, &env);
    if (error) {
        pthread_mutex_destroy(&device->lock);
        return error;
    }
    board->count++;
    return mv_bus_add(bus, device);
}

int mv_board_init(struct mv_board *board, const struct mv_device_env *env, struct mv_bus *mmio,
                  struct mv_bus *ports, struct mv_error *err)
{
    for (unsigned i = 0; i < MV_COUNT(entries); i++) {
        const struct mv_device_desc *desc = &entries[i].desc;
        int error = add(board, &entries[i], *env, desc->space == MV_SPACE_PORT ? ports : mmio);

        if (error)
            return mv_fail(err, error, NULL, NULL, "cannot create the device %s: %s", desc->name,
                           strerror(-error));
    }
    return 0;
}

void mv_board_done(struct mv_board *board)
{
    while (board->count) {
        struct mv_device *device = &board->devices[--board->count];

        if (device->ops->destroy)
            device->ops->destroy(device->state);
        pthread_mutex_destroy(&device->lock);
    }
}

struct mv_device *mv_board_find(struct mv_board *board, const char *name)
{
    for (unsigned i = 0; i < board->count; i++)
        if (strcmp(board->devices[i].desc.name, name) == 0)
            return &board->devices[i];
    return NULL;
}

void mv_board_quiesce(struct mv_board *board)
{
    for (unsigned i = 0; i < board->count; i++) {
        struct mv_device *device = &board->devices[i];

        if (!device->ops->quiesce)
            continue;
        pthread_mutex_lock(&device->lock);
        device->ops->quiesce(device->state);
        pthread_mutex_unlock(&device->lock);
    }
}
