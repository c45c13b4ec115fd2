/* SPDX-License-Identifier: MIT */
/* Virtio over MMIO (virtio 1.2, 4.2): the register interface of a virtio device. */
#ifndef MV_VIRTIO_MMIO_H
#define MV_VIRTIO_MMIO_H

#include "device.h"

/* Bytes of a slot: 256 of registers, then 256 of configuration. */
#define MV_VIRTIO_MMIO_SIZE 0x200

/*
 * Makes virtio a bus device: fills device->ops, device->inner and device->state.  The transport
 * takes ownership of virtio, on failure too.  Returns 0 or -ENOMEM.
 */
int mv_virtio_mmio_create(struct mv_device *device, const struct mv_device_env *env,
                          struct mv_virtio *virtio);

#endif
