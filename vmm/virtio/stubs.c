/* SPDX-License-Identifier: MIT */
/* Replaces all other files here when minivmm is built without virtio. */
#include <errno.h>

#include "dev/devices.h"
#include "minivmm/virtio.h"

static int check(const struct mv_config *config, struct mv_error *err)
{
    if (config->disk_count + config->virtio_count + config->rng > 0)
        return mv_fail(err, -ENOSYS, NULL, "build it with the part virtio (-DMINIVMM_PARTS)",
                       "this minivmm was built without virtio: it has no disks and no other "
                       "virtio devices");
    return 0;
}

const struct mv_device_source mv_virtio_devices = {.check = check};

/* Never called: no device exists to call them with. */

uint64_t mv_virtio_features(const struct mv_virtio *virtio)
{
    (void)virtio;
    return 0;
}

bool mv_virtio_pop(struct mv_virtio *virtio, unsigned queue, struct mv_chain *ret_chain)
{
    (void)virtio, (void)queue, (void)ret_chain;
    return false;
}

void mv_virtio_push(struct mv_virtio *virtio, unsigned queue, uint64_t head, uint32_t written)
{
    (void)virtio, (void)queue, (void)head, (void)written;
}

void mv_virtio_wake(struct mv_virtio *virtio)
{
    (void)virtio;
}

void mv_virtio_stopped(struct mv_virtio *virtio)
{
    (void)virtio;
}

void mv_virtio_break(struct mv_virtio *virtio)
{
    (void)virtio;
}

size_t mv_chain_read(const struct mv_chain *chain, uint64_t offset, void *ret_data, size_t size)
{
    (void)chain, (void)offset, (void)ret_data, (void)size;
    return 0;
}

size_t mv_chain_write(const struct mv_chain *chain, uint64_t offset, const void *data, size_t size)
{
    (void)chain, (void)offset, (void)data, (void)size;
    return 0;
}
