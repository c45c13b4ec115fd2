/* SPDX-License-Identifier: MIT */
/* The entropy device (virtio 1.2, 5.4): random bytes of the host's. */
#ifndef MV_VIRTIO_RNG_H
#define MV_VIRTIO_RNG_H

#include "device.h"

/* Bytes of a request that are answered at most. */
#define MV_RNG_MAX 65536u

/* *ret_virtio is to be given to a transport, or destroyed.  Returns 0 or -ENOMEM. */
int mv_rng_create(struct mv_virtio **ret_virtio);

#endif
