/* SPDX-License-Identifier: MIT */
/* Custom virtio devices: connects the public interface, minivmm/virtio.h, to a transport. */
#ifndef MV_VIRTIO_CUSTOM_H
#define MV_VIRTIO_CUSTOM_H

#include "device.h"

/* Returns 0 or -EINVAL. */
int mv_custom_virtio_check(const struct mv_custom_virtio *given, struct mv_error *err);

/* The caller must pass *ret_virtio to a transport or destroy it.  given->state remains the
 * embedder's until mv_virtio_own.  Returns 0 or -ENOMEM. */
int mv_custom_virtio_create(const struct mv_custom_virtio *given, struct mv_virtio **ret_virtio);

#endif
