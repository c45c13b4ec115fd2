/* SPDX-License-Identifier: MIT */
/* Custom virtio devices: between minivmm/virtio.h and a transport. */
#ifndef MV_VIRTIO_CUSTOM_H
#define MV_VIRTIO_CUSTOM_H

#include "device.h"

/* 0 or -EINVAL. */
int mv_custom_virtio_check(const struct mv_custom_virtio *given, struct mv_error *err);

/* *ret_virtio is to be given to a transport, or destroyed.  The embedder's state stays so, until
 * mv_virtio_own.  Returns 0 or -ENOMEM. */
int mv_custom_virtio_create(const struct mv_custom_virtio *given, struct mv_virtio **ret_virtio);

#endif
