/* SPDX-License-Identifier: MIT */
/* The entropy device (virtio 1.2, 5.4): random bytes from the host. */
#ifndef MV_VIRTIO_RNG_H
#define MV_VIRTIO_RNG_H

#include "device.h"

/* The most bytes that one request gets. */
#define MV_RNG_MAX 65536u

/* The caller must pass *ret_virtio to a transport or destroy it.  Returns 0 or -ENOMEM. */
int mv_rng_create(struct mv_virtio **ret_virtio);

#endif
