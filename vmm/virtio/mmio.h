/* SPDX-License-Identifier: MIT */
/* Virtio over MMIO (virtio 1.2, 4.2): the registers through which a driver reaches
 * a virtio device. */
#ifndef MV_VIRTIO_MMIO_H
#define MV_VIRTIO_MMIO_H

#include "device.h"

/* Bytes of a slot: registers, then 256 bytes of configuration. */
#define MV_VIRTIO_MMIO_SIZE 0x200

/*
 * Puts a virtio device on the bus: fills device->ops and device->state.  virtio
 * is the transport's from then on, on failure too.  Returns 0 or -errno.
 */
int mv_virtio_mmio_create(struct mv_device *device, const struct mv_device_env *env,
                          struct mv_virtio *virtio);

#endif
