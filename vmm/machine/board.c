/* SPDX-License-Identifier: MIT */
/* The board: see board.h.  Addresses come from the architecture's layout.h, which has a drawing. */
#include "board.h"

#include "arch/arch.h"
#include "dev/boot_timer.h"
#include "dev/exit_port.h"
#include "dev/panic.h"
#include "dev/serial.h"
#include "dev/uart.h"
#include "layout.h"

/* clang-format off */
static const struct mv_device_entry entries[] = {
    {{.name = "serial0", .compatible = "ns16550a", .node = "serial", .hid = "PNP0501",
      .acpi_name = "COM1", .space = MV_LAYOUT_SPACE, .base = MV_SERIAL_BASE, .bytes = 8,
      .irq = MV_SERIAL_IRQ, .clock = MV_UART_CLOCK, .console = true}, mv_serial_create},
    {{.name = "exit", .compatible = "minivmm,exit", .node = "exit", .space = MV_LAYOUT_SPACE,
      .base = MV_EXIT_BASE, .bytes = 1, .irq = MV_NO_IRQ}, mv_exit_create},
    {{.name = "boot-timer", .compatible = "minivmm,boot-timer", .node = "boot-timer",
      .space = MV_LAYOUT_SPACE, .base = MV_BOOT_TIMER_BASE, .bytes = 1, .irq = MV_NO_IRQ},
     mv_boot_timer_create},
    {{.name = "pvpanic", .compatible = "qemu,pvpanic-mmio", .node = "pvpanic", .hid = "QEMU0001",
      .acpi_name = "PEVT", .space = MV_LAYOUT_SPACE, .base = MV_PANIC_BASE, .bytes = 1,
      .irq = MV_NO_IRQ}, mv_panic_create},
};
/* clang-format on */

int mv_board_init(struct mv_devices *devices, const struct mv_device_env *env, struct mv_error *err)
{
    unsigned more;
    const struct mv_device_entry *of_arch = mv_arch_devices(&more);
    int error = mv_devices_add_table(devices, entries, MV_COUNT(entries), env, err);

    return error ? error : mv_devices_add_table(devices, of_arch, more, env, err);
}

int mv_board_add_late(struct mv_devices *devices, const struct mv_arch *arch,
                      const struct mv_device_env *env, struct mv_error *err)
{
    const struct mv_device_entry *late;
    int error = 0;

    for (unsigned i = 0; !error && (late = mv_arch_late_device(arch, i)); i++)
        if (mv_bus_is_free(mv_devices_bus(devices, &late->desc), late->desc.base, late->desc.bytes))
            error = mv_devices_add_table(devices, late, 1, env, err);
    return error;
}
