/* SPDX-License-Identifier: MIT */
/*
 * The entropy device (virtio 1.2, 5.4): fills each buffer that the driver offers by getrandom(2).
 * A request gets at most 64 KiB, so that it never takes long.  The device has no features and no
 * configuration.
 */
#include "rng.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "core/util.h"

struct rng {
    struct mv_virtio *virtio;
    struct mv_chain chain;
};

/* Writes straight into guest memory.  Returns the number of bytes written. */
static uint32_t fill(const struct mv_chain *chain)
{
    const struct iovec *iov = chain->iov + chain->out_count;
    uint32_t done = 0;

    for (unsigned i = 0; i < chain->in_count && done < MV_RNG_MAX; i++) {
        size_t size = (size_t)mv_min(iov[i].iov_len, MV_RNG_MAX - done);
        ssize_t got = getrandom(iov[i].iov_base, size, 0);

        if (got > 0)
            done += (uint32_t)got;
        if (got < 0 || (size_t)got < size) /* 2.7.8.2: the bytes written must be contiguous */
            break;
    }
    return done;
}

static void notify(void *state)
{
    struct rng *rng = state;

    while (mv_virtio_pop(rng->virtio, 0, &rng->chain))
        mv_virtio_push(rng->virtio, 0, rng->chain.head, fill(&rng->chain));
}

int mv_rng_create(struct mv_virtio **ret_virtio)
{
    static const struct mv_virtio_ops ops = {.id = 4, .notify = notify, .destroy = free};
    struct rng *rng = calloc(1, sizeof(*rng));

    if (!rng || mv_virtio_create(&(struct mv_virtio_type){.ops = &ops, .state = rng, .queues = 1},
                                 &rng->virtio) < 0) {
        free(rng);
        return -ENOMEM;
    }
    *ret_virtio = rng->virtio;
    return 0;
}
