/* SPDX-License-Identifier: MIT */
/*
 * Custom virtio devices (minivmm/virtio.h): what it left out is filled in, its
 * queues are popped and pushed, and what it pushed is published when it returns.
 *
 * Left out: looking at a queue for a while before the doorbell is asked for, as blk.c does.
 */
#include "custom_virtio.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"

/* virtio 1.2, 2.2: the bits of a device's type; the others are the ring's and ours */
#define TYPE_FEATURES (((1ull << 24) - 1) | ~((1ull << 50) - 1))

struct taken {
    uint64_t name;
    uint32_t room; /* bytes to be written */
};

struct custom {
    struct mv_virtio virtio; /* its state is this */
    struct mv_virtio_ops between;
    struct mv_virtio_ops ops; /* the embedder's */
    void *state;
    bool keep;
    uint8_t config[MV_VIRTIO_CONFIG_MAX];
    size_t config_size;

    /* the loop thread's */
    bool live, stopping;
    uint64_t popped;     /* chains, ever */
    struct taken *taken; /* the last chain of each head: MV_QUEUE_MAX for each queue */
    unsigned left;       /* chains that may be popped in this turn */
};

/* ---- what the embedder calls ---- */

uint64_t mv_virtio_features(const struct mv_virtio *virtio)
{
    return virtio->features;
}

static struct mv_queue *live_queue(struct mv_virtio *virtio, unsigned index)
{
    const struct custom *custom = virtio->state;

    if (!custom->live || index >= virtio->queue_count || !virtio->queues[index].state.ready)
        return NULL;
    return &virtio->queues[index];
}

bool mv_virtio_pop(struct mv_virtio *virtio, unsigned queue, struct mv_chain *ret_chain)
{
    struct custom *custom = virtio->state;
    struct mv_queue *from = live_queue(virtio, queue);
    enum mv_queue_result result;
    struct taken *taken;

    if (!from || from->broken)
        return false;
    if (custom->left == 0) { /* a vCPU goes on adding: others have their turn first */
        mv_virtio_wake(virtio);
        return false;
    }
    result = mv_queue_pop(from, ret_chain);
    if (result == MV_QUEUE_EMPTY && mv_queue_listen(from)) /* it came just then */
        result = mv_queue_pop(from, ret_chain);
    if (result == MV_QUEUE_BROKEN)
        mv_virtio_break(virtio);
    if (result != MV_QUEUE_CHAIN)
        return false;
    custom->left--;
    taken = &custom->taken[queue * MV_QUEUE_MAX + ret_chain->head];
    ret_chain->head |= custom->popped++ << 16;
    *taken = (struct taken){.name = ret_chain->head, .room = (uint32_t)ret_chain->in_size};
    return true;
}

void mv_virtio_push(struct mv_virtio *virtio, unsigned queue, uint64_t name, uint32_t written)
{
    const struct custom *custom = virtio->state;
    struct mv_queue *to = live_queue(virtio, queue);
    uint16_t head = (uint16_t)name;
    const struct taken *taken;

    if (!to || !mv_queue_is_in_flight(to, head))
        return;
    taken = &custom->taken[queue * MV_QUEUE_MAX + head];
    if (taken->name == name)
        mv_queue_push(to, head, (uint32_t)mv_min(written, taken->room));
}

void mv_virtio_wake(struct mv_virtio *virtio)
{
    virtio->host.ring(virtio->host.context);
}

void mv_virtio_stopped(struct mv_virtio *virtio)
{
    struct custom *custom = virtio->state;

    if (!custom->stopping)
        return;
    custom->stopping = false;
    virtio->host.stopped(virtio->host.context);
}

void mv_virtio_break(struct mv_virtio *virtio)
{
    virtio->host.broken(virtio->host.context);
}

/* Copies between the segments and data, whichever way; returns how much. */
static size_t copy(const struct iovec *iov, unsigned count, uint64_t offset, uint8_t *data,
                   size_t size, bool write)
{
    size_t done = 0;

    for (unsigned i = 0; i < count && done < size; i++) {
        uint8_t *at = iov[i].iov_base;
        size_t part;

        if (offset >= iov[i].iov_len) {
            offset -= iov[i].iov_len;
            continue;
        }
        at += offset;
        part = (size_t)mv_min(size - done, iov[i].iov_len - offset);
        memcpy(write ? at : data + done, write ? data + done : at, part);
        done += part;
        offset = 0;
    }
    return done;
}

size_t mv_chain_read(const struct mv_chain *chain, uint64_t offset, void *ret_data, size_t size)
{
    return copy(chain->iov, chain->out_count, offset, ret_data, size, false);
}

size_t mv_chain_write(const struct mv_chain *chain, uint64_t offset, const void *data, size_t size)
{
    return copy(chain->iov + chain->out_count, chain->in_count, offset, (void *)(uintptr_t)data,
                size, true);
}

/* ---- what the transport calls ---- */

static uint64_t config_read(void *state, uint64_t offset, unsigned size)
{
    const struct custom *custom = state;
    uint64_t value = UINT64_MAX;

    if (custom->ops.config_read)
        return custom->ops.config_read(custom->state, offset, size);
    if (offset < custom->config_size)
        memcpy(&value, custom->config + offset, mv_min(size, custom->config_size - offset));
    return value;
}

static void config_write(void *state, uint64_t offset, unsigned size, uint64_t value)
{
    const struct custom *custom = state;

    if (custom->ops.config_write)
        custom->ops.config_write(custom->state, offset, size, value);
}

/* Lets the device work, and shows the driver what it has pushed. */
static void turn(struct custom *custom, void (*fn)(void *state))
{
    struct mv_virtio *virtio = &custom->virtio;
    bool wanted = false;

    custom->left = MV_QUEUE_MAX * virtio->queue_count;
    fn(custom->state);
    for (unsigned i = 0; i < virtio->queue_count; i++)
        if (virtio->queues[i].state.ready && mv_queue_publish(&virtio->queues[i]))
            wanted = true;
    if (wanted)
        virtio->host.interrupt(virtio->host.context);
}

static void activate(void *state)
{
    struct custom *custom = state;

    custom->live = true;
    if (custom->ops.activate)
        turn(custom, custom->ops.activate);
}

static void notify(void *state)
{
    struct custom *custom = state;

    turn(custom, custom->ops.notify);
}

static void stop(void *state)
{
    struct custom *custom = state;
    bool was_live = custom->live;

    if (!was_live && !custom->stopping) { /* it never began */
        custom->virtio.host.stopped(custom->virtio.host.context);
        return;
    }
    custom->live = false;
    custom->stopping = true;
    if (custom->ops.stop)
        custom->ops.stop(custom->state);
    else
        mv_virtio_stopped(&custom->virtio);
}

static void reset(void *state)
{
    const struct custom *custom = state;

    if (custom->ops.reset)
        custom->ops.reset(custom->state);
}

static bool rescan(void *state)
{
    const struct custom *custom = state;

    return custom->ops.rescan && custom->ops.rescan(custom->state);
}

static void destroy(void *state)
{
    struct custom *custom = state;

    if (custom->keep && custom->ops.destroy)
        custom->ops.destroy(custom->state);
    free(custom->virtio.queues);
    free(custom->taken);
    free(custom);
}

/* ---- create ---- */

int mv_custom_virtio_check(const struct mv_custom_virtio *given, struct mv_error *err)
{
    if (!given->ops || given->ops->id == 0 || !given->ops->notify || !given->ret_virtio)
        return mv_fail(
            err, -EINVAL, NULL,
            "give it an id, a function that is notified, and a place for what it is called by",
            "a custom virtio device is incomplete");
    if (given->queues == 0 || given->queues > MV_QUEUES_MAX)
        return mv_fail(err, -EINVAL, NULL, NULL,
                       "a custom virtio device: %u queues are not 1 to %d", given->queues,
                       MV_QUEUES_MAX);
    if (given->features & ~TYPE_FEATURES)
        return mv_fail(err, -EINVAL, NULL, "offer bits 0 to 23 and 50 to 63 only",
                       "a custom virtio device: the features %#llx are not all its type's",
                       (unsigned long long)given->features);
    if (given->config_size > MV_VIRTIO_CONFIG_MAX || (given->config_size && !given->config))
        return mv_fail(err, -EINVAL, NULL, NULL,
                       "a custom virtio device: %zu bytes of configuration are too many, or "
                       "are not there",
                       given->config_size);
    return 0;
}

int mv_custom_virtio_create(const struct mv_custom_virtio *given, struct mv_virtio **ret_virtio)
{
    struct custom *custom = calloc(1, sizeof(*custom));
    struct mv_queue *queues = calloc(given->queues, sizeof(*queues));
    struct taken *taken = calloc(given->queues, MV_QUEUE_MAX * sizeof(*taken));

    if (!custom || !queues || !taken) {
        free(custom);
        free(queues);
        free(taken);
        return -ENOMEM;
    }
    custom->ops = *given->ops;
    custom->state = given->state;
    custom->taken = taken;
    custom->config_size = given->config_size;
    if (given->config_size)
        memcpy(custom->config, given->config, given->config_size);
    custom->between = (struct mv_virtio_ops){
        .id = given->ops->id,
        .config_read = config_read,
        .config_write = config_write,
        .activate = activate,
        .notify = notify,
        .stop = stop,
        .reset = reset,
        .rescan = rescan,
        .destroy = destroy,
    };
    custom->virtio = (struct mv_virtio){
        .ops = &custom->between,
        .state = custom,
        .offered =
            given->features | MV_VIRTIO_F_VERSION_1 | MV_RING_F_INDIRECT_DESC | MV_RING_F_EVENT_IDX,
        .queue_count = given->queues,
        .queues = queues,
    };
    *ret_virtio = &custom->virtio;
    return 0;
}

void mv_custom_virtio_keep(struct mv_virtio *virtio, bool keep)
{
    struct custom *custom = virtio->state;

    custom->keep = keep;
}
