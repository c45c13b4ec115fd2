/* SPDX-License-Identifier: MIT */
/* Custom virtio devices (minivmm/virtio.h): checks an embedder's description and creates the device
 * from it. */
#include "custom.h"

#include <errno.h>

/* virtio 1.2, 2.2: bits for device types; the others belong to the ring and the transport */
#define TYPE_FEATURES (((1ull << 24) - 1) | ~((1ull << 50) - 1))

int mv_custom_virtio_check(const struct mv_custom_virtio *given, struct mv_error *err)
{
    if (!given->ops || given->ops->id == 0 || !given->ops->notify || !given->ret_virtio)
        return mv_fail(err, -EINVAL, NULL,
                       "give it an id, a notify function, and a place for its handle",
                       "a custom virtio device is incomplete");
    if (given->queues == 0 || given->queues > MV_QUEUES_MAX)
        return mv_fail(err, -EINVAL, NULL, NULL,
                       "a custom virtio device with %u queues: 1 to %d are supported",
                       given->queues, MV_QUEUES_MAX);
    if (given->features & ~TYPE_FEATURES)
        return mv_fail(
            err, -EINVAL, NULL, "offer bits 0 to 23 and 50 to 63 only",
            "a custom virtio device: not all of the features %#llx belong to a device type",
            (unsigned long long)given->features);
    if (given->config_size > MV_VIRTIO_CONFIG_MAX || (given->config_size && !given->config))
        return mv_fail(
            err, -EINVAL, NULL, NULL,
            "a custom virtio device: its configuration of %zu bytes is too large or missing",
            given->config_size);
    return 0;
}

int mv_custom_virtio_create(const struct mv_custom_virtio *given, struct mv_virtio **ret_virtio)
{
    const struct mv_virtio_type type = {.ops = given->ops,
                                        .state = given->state,
                                        .lent = true,
                                        .queues = given->queues,
                                        .features = given->features,
                                        .config = given->config,
                                        .config_size = given->config_size};

    return mv_virtio_create(&type, ret_virtio);
}
