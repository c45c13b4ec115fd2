/* SPDX-License-Identifier: MIT */
/* The devices of a machine whose device tree is tested: one of each kind. */
#ifndef FDT_DEVICES_H
#define FDT_DEVICES_H

#include "core/bus.h"
#include "dev/uart.h"
#include "layout.h"

static const struct mv_device fdt_devices[] = {
    {.desc = {.name = "serial0",
              .compatible = "ns16550a",
              .node = "serial",
              .space = MV_SPACE_MMIO,
              .base = MV_SERIAL_BASE,
              .bytes = 8,
              .irq = MV_SERIAL_IRQ,
              .clock = MV_UART_CLOCK,
              .console = true}},
    {.desc =
         {.name = "hidden", .space = MV_SPACE_MMIO, .base = 0x1000, .bytes = 3, .irq = MV_NO_IRQ}},
    {.desc = {.name = "exit",
              .compatible = "minivmm,exit",
              .node = "exit",
              .space = MV_SPACE_MMIO,
              .base = MV_EXIT_BASE,
              .bytes = 1,
              .irq = MV_NO_IRQ}},
    {.desc = {.name = "rtc",
              .compatible = "arm,pl031",
              .node = "rtc",
              .space = MV_SPACE_MMIO,
              .base = MV_RTC_BASE,
              .bytes = 0x1000,
              .irq = MV_NO_IRQ,
              .primecell = true}},
    {.desc = {.name = "vda",
              .compatible = "virtio,mmio",
              .node = "virtio",
              .space = MV_SPACE_MMIO,
              .base = MV_VIRTIO_BASE,
              .bytes = 0x200,
              .irq = 16,
              .coherent = true}},
    {.desc = {.name = "vdb",
              .compatible = "virtio,mmio",
              .node = "virtio",
              .space = MV_SPACE_MMIO,
              .base = MV_VIRTIO_BASE + MV_VIRTIO_STRIDE,
              .bytes = 0x200,
              .irq = 17,
              .coherent = true}},
};

#endif
