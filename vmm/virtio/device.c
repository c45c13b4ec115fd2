/* SPDX-License-Identifier: MIT */
/*
 * What all virtio devices have in common: see device.h.
 *
 * When the queues are empty, the loop polls them for some microseconds before it asks for the
 * doorbell: a guest's next request usually follows soon after its last completion, and a doorbell
 * costs an exit and a wakeup of this thread.  The length of the last sleep sets how long it polls.
 */
#include "device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "core/util.h"

#define POLL_MAX_NS 64000u

struct mv_taken {
    uint64_t name; /* see mv_chain.head */
    uint32_t room; /* writable bytes */
};

/* 3.1.1: the driver initializes the device in these steps, in this order. */
static const struct {
    uint8_t from, to;
} steps[] = {
    {0, MV_STATUS_ACKNOWLEDGE},
    {MV_STATUS_ACKNOWLEDGE, MV_STATUS_ACKNOWLEDGE | MV_STATUS_DRIVER},
    {MV_STATUS_ACKNOWLEDGE | MV_STATUS_DRIVER,
     MV_STATUS_ACKNOWLEDGE | MV_STATUS_DRIVER | MV_STATUS_FEATURES_OK},
    {MV_STATUS_ACKNOWLEDGE | MV_STATUS_DRIVER | MV_STATUS_FEATURES_OK,
     MV_STATUS_ACKNOWLEDGE | MV_STATUS_DRIVER | MV_STATUS_FEATURES_OK | MV_STATUS_DRIVER_OK},
};

static bool is_set_up(const struct mv_virtio *virtio)
{
    return atomic_load(&virtio->phase) == MV_PHASE_SET_UP;
}

static uint32_t status_of(const struct mv_virtio *virtio)
{
    return atomic_load(virtio->transport.status);
}

static void interrupt(struct mv_virtio *virtio, uint64_t queues)
{
    virtio->transport.interrupt(virtio->transport.context, queues);
}

/* 2.1.2: sets DEVICE_NEEDS_RESET; interrupts the driver only if DRIVER_OK is set. */
void mv_virtio_break(struct mv_virtio *virtio)
{
    if (atomic_fetch_or(virtio->transport.status, MV_STATUS_NEEDS_RESET) & MV_STATUS_NEEDS_RESET)
        return;
    if (!is_set_up(virtio))
        interrupt(virtio, 0);
}

/* ---- what a type calls: loop thread, except mv_virtio_wake ---- */

uint64_t mv_virtio_features(const struct mv_virtio *virtio)
{
    return virtio->features;
}

static struct mv_queue *live_queue(const struct mv_virtio *virtio, unsigned index)
{
    if (!virtio->live || index >= virtio->queue_count || !virtio->queues[index].state.ready)
        return NULL;
    return &virtio->queues[index];
}

bool mv_virtio_pop(struct mv_virtio *virtio, unsigned index, struct mv_chain *ret_chain)
{
    struct mv_queue *queue = live_queue(virtio, index);
    enum mv_queue_result result;
    struct mv_taken *taken;

    if (!queue || queue->broken || status_of(virtio) & MV_STATUS_NEEDS_RESET)
        return false;
    if (virtio->left == 0) { /* a vCPU may keep adding chains: let other devices have a turn */
        virtio->active = true;
        return false;
    }
    result = mv_queue_pop(queue, ret_chain);
    if (result == MV_QUEUE_BROKEN)
        mv_virtio_break(virtio);
    if (result == MV_QUEUE_EMPTY)
        virtio->dry |= 1ull << index;
    if (result != MV_QUEUE_CHAIN)
        return false;
    virtio->left--;
    virtio->active = true;
    taken = &virtio->taken[index * MV_QUEUE_MAX + ret_chain->head];
    ret_chain->head |= virtio->popped++ << 16;
    *taken = (struct mv_taken){.name = ret_chain->head, .room = (uint32_t)ret_chain->in_size};
    return true;
}

void mv_virtio_push(struct mv_virtio *virtio, unsigned index, uint64_t name, uint32_t written)
{
    struct mv_queue *queue = live_queue(virtio, index);
    uint16_t head = (uint16_t)name;
    const struct mv_taken *taken;

    if (!queue || !mv_queue_is_in_flight(queue, head))
        return;
    taken = &virtio->taken[index * MV_QUEUE_MAX + head];
    if (taken->name != name)
        return;
    mv_queue_push(queue, head, (uint32_t)mv_min(written, taken->room));
    virtio->active = true;
}

/* The eventfd is created before the phase leaves MV_PHASE_SET_UP, and stays open until destroy. */
void mv_virtio_wake(struct mv_virtio *virtio)
{
    if (!is_set_up(virtio))
        eventfd_write(virtio->doorbell.fd, 1);
}

void mv_virtio_go_on(struct mv_virtio *virtio)
{
    virtio->active = true;
}

/* Copies between the segments and data, in either direction; returns the number of bytes. */
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

/* ---- turns, in the loop thread ---- */

/* Calls fn, then publishes what it pushed.  Returns whether it made progress or has more to do. */
static bool turn(struct mv_virtio *virtio, void (*fn)(void *state))
{
    uint64_t wanted = 0;

    virtio->left = MV_QUEUE_MAX;
    virtio->active = false;
    virtio->dry = 0;
    fn(virtio->state);
    for (unsigned i = 0; i < virtio->queue_count; i++)
        if (virtio->queues[i].state.ready && mv_queue_publish(&virtio->queues[i]))
            wanted |= 1ull << i;
    if (wanted)
        interrupt(virtio, wanted);
    return virtio->active;
}

static void quiet(struct mv_virtio *virtio)
{
    for (unsigned i = 0; i < virtio->queue_count; i++)
        if (virtio->queues[i].state.ready)
            mv_queue_quiet(&virtio->queues[i]);
    if (virtio->listen)
        virtio->listen(virtio->state, false);
}

/* Asks for the doorbell of the queues that are empty; where chains are left, the type does not want
 * them yet.  Returns whether something arrived in the meantime. */
static bool ask_for_doorbell(struct mv_virtio *virtio)
{
    bool any = false;

    if (virtio->listen)
        virtio->listen(virtio->state, true);
    for (unsigned i = 0; i < virtio->queue_count; i++)
        if (virtio->dry >> i & 1 && mv_queue_listen(&virtio->queues[i]))
            any = true;
    if (!any && virtio->listen) /* an event may have arrived before listen took effect */
        any = turn(virtio, virtio->ops.notify);
    return any;
}

static void stop(struct mv_virtio *virtio)
{
    virtio->live = false;
    virtio->stopping = true;
    virtio->active = false;
    if (virtio->ops.stop)
        virtio->ops.stop(virtio->state);
    else
        mv_virtio_stopped(virtio);
}

static bool may_work(const struct mv_virtio *virtio)
{
    return virtio->live && (virtio->listen || !(status_of(virtio) & MV_STATUS_NEEDS_RESET));
}

static bool look(void *context)
{
    struct mv_virtio *virtio = context;
    uint64_t now;

    if (virtio->stopping) {
        if (virtio->active)
            stop(virtio);
        return virtio->stopping && virtio->active;
    }
    if (!may_work(virtio))
        return false;
    if (turn(virtio, virtio->ops.notify)) {
        virtio->look_until = mv_monotonic_ns() + virtio->window;
        return true;
    }
    now = mv_monotonic_ns();
    if (now < virtio->look_until)
        return true;
    if (ask_for_doorbell(virtio)) {
        quiet(virtio);
        return true;
    }
    virtio->slept_at = now;
    return false;
}

/* Called on a doorbell, or on an event that the type listens for. */
void mv_virtio_look(struct mv_virtio *virtio)
{
    uint64_t now, gap;

    if (!virtio->stopping && !may_work(virtio))
        return;
    virtio->active |= virtio->stopping;
    if (!virtio->poller.active && !virtio->stopping) {
        now = mv_monotonic_ns();
        gap = now - virtio->slept_at;
        virtio->window = gap < POLL_MAX_NS ? 2 * gap : 0; /* would polling have caught it? */
        quiet(virtio);
        virtio->look_until = now + virtio->window;
    }
    mv_loop_poll(virtio->loop, &virtio->poller);
}

/* ---- phases ---- */

static void on_doorbell(void *context, uint32_t events)
{
    struct mv_virtio *virtio = context;
    int starting = MV_PHASE_STARTING;

    (void)events;
    if (atomic_compare_exchange_strong(&virtio->phase, &starting, MV_PHASE_LIVE)) {
        virtio->transport.live(virtio->transport.context, virtio->doorbell.fd);
        virtio->live = true;
        virtio->window = virtio->slept_at = 0;
        if (virtio->ops.activate)
            turn(virtio, virtio->ops.activate);
    }
    if (atomic_load(&virtio->phase) == MV_PHASE_STOPPING && !virtio->live && !virtio->stopping) {
        virtio->stopping = true; /* it never went live */
        mv_virtio_stopped(virtio);
    } else if (atomic_load(&virtio->phase) == MV_PHASE_STOPPING) {
        stop(virtio);
        if (virtio->stopping && virtio->active)
            mv_loop_poll(virtio->loop, &virtio->poller);
    } else {
        mv_virtio_look(virtio);
    }
}

/* Restores the power-on state.  Under the lock; no one else may use the queues. */
static void reset(struct mv_virtio *virtio)
{
    for (unsigned i = 0; i < virtio->queue_count; i++)
        mv_queue_reset(&virtio->queues[i]);
    if (virtio->ops.reset)
        virtio->ops.reset(virtio->state);
    virtio->accepted = 0;
    atomic_store(&virtio->phase, MV_PHASE_SET_UP);
    virtio->transport.reset(virtio->transport.context);
    atomic_store(virtio->transport.status, 0);
    virtio->backpressure.gone(virtio->backpressure.context);
}

void mv_virtio_stopped(struct mv_virtio *virtio)
{
    pthread_mutex_t *lock = &virtio->transport.device->lock;

    if (!virtio->stopping)
        return;
    virtio->stopping = false;
    pthread_mutex_lock(lock);
    reset(virtio);
    pthread_mutex_unlock(lock);
}

/* ---- what a transport calls: vCPUs, under the lock ---- */

/* Without the eventfd the device cannot run: DRIVER_OK fails, and the driver may retry. */
static bool open_events(struct mv_virtio *virtio)
{
    int error = 0;

    if (virtio->doorbell.fd >= 0)
        return true;
    virtio->doorbell.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (virtio->doorbell.fd < 0)
        error = -errno;
    else /* edge-triggered: each doorbell is an edge, and the counter need not be read */
        error = mv_loop_watch(virtio->loop, &virtio->doorbell, EPOLLIN | EPOLLET);
    if (error) {
        if (!virtio->told_of_events)
            mv_log(virtio->log, MV_LOG_WARNING, "%s: cannot create its events: %s",
                   virtio->transport.device->desc.name, strerror(-error));
        virtio->told_of_events = true;
        mv_close_fd(&virtio->doorbell.fd);
    }
    return !error;
}

static bool any_queue_ready(const struct mv_virtio *virtio)
{
    for (unsigned i = 0; i < virtio->queue_count; i++)
        if (virtio->queues[i].state.ready)
            return true;
    return false;
}

static void start_device(struct mv_virtio *virtio)
{
    if (!any_queue_ready(virtio) || !open_events(virtio)) {
        mv_virtio_break(virtio);
        interrupt(virtio, 0); /* 2.1.2: DRIVER_OK is set */
        return;
    }
    atomic_store(&virtio->phase, MV_PHASE_STARTING);
    eventfd_write(virtio->doorbell.fd, 1);
}

/* 4.2.2: "Writing zero to this register triggers a device reset."  If chains may be in flight,
 * the loop thread completes or cancels them first. */
static void begin_reset(struct mv_virtio *virtio)
{
    if (is_set_up(virtio)) {
        reset(virtio);
        return;
    }
    atomic_store(&virtio->phase, MV_PHASE_STOPPING);
    eventfd_write(virtio->doorbell.fd, 1);
}

static bool features_are_good(const struct mv_virtio *virtio)
{
    return !(virtio->accepted & ~virtio->offered) && virtio->accepted & MV_VIRTIO_F_VERSION_1;
}

void mv_virtio_write_status(struct mv_virtio *virtio, uint32_t value)
{
    uint32_t status = status_of(virtio) & ~(uint32_t)MV_STATUS_NEEDS_RESET;
    unsigned i = 0;

    if (value == 0) {
        begin_reset(virtio);
        return;
    }
    value &= ~(uint32_t)MV_STATUS_NEEDS_RESET; /* device-owned; the driver only writes it back */
    if (value == status || mv_virtio_is_resetting(virtio))
        return;
    if (value & MV_STATUS_FAILED) { /* the driver has given up */
        atomic_fetch_or(virtio->transport.status, MV_STATUS_FAILED);
        return;
    }
    while (i < MV_COUNT(steps) && (steps[i].from != status || steps[i].to != value))
        i++;
    if (i == MV_COUNT(steps)) {
        mv_virtio_break(virtio);
        return;
    }
    /* 2.2.2: the driver reads the status back and finds FEATURES_OK still clear */
    if (value & MV_STATUS_FEATURES_OK && !features_are_good(virtio))
        return;
    virtio->features = virtio->accepted;
    atomic_fetch_or(virtio->transport.status, value);
    if (value & MV_STATUS_DRIVER_OK)
        start_device(virtio);
}

bool mv_virtio_is_resetting(const struct mv_virtio *virtio)
{
    return atomic_load(&virtio->phase) == MV_PHASE_STOPPING;
}

void mv_virtio_accept(struct mv_virtio *virtio, uint64_t features)
{
    if (!(status_of(virtio) & MV_STATUS_FEATURES_OK))
        virtio->accepted = features;
}

struct mv_queue *mv_virtio_queue(const struct mv_virtio *virtio, uint32_t index)
{
    return index < virtio->queue_count ? &virtio->queues[index] : NULL;
}

bool mv_virtio_may_set_up(struct mv_virtio *virtio)
{
    if (!is_set_up(virtio))
        mv_virtio_break(virtio);
    return is_set_up(virtio);
}

void mv_virtio_enable_queue(struct mv_virtio *virtio, struct mv_queue *queue, bool on)
{
    queue->state.ready = false;
    if (on && (!(status_of(virtio) & MV_STATUS_FEATURES_OK) ||
               !mv_queue_enable(queue, virtio->mem, virtio->features)))
        mv_virtio_break(virtio);
}

uint64_t mv_virtio_read_config(const struct mv_virtio *virtio, uint64_t offset, unsigned size)
{
    uint64_t value = UINT64_MAX;

    if (virtio->ops.config_read)
        return virtio->ops.config_read(virtio->state, offset, size);
    if (offset < virtio->config_size)
        memcpy(&value, virtio->config + offset, mv_min(size, virtio->config_size - offset));
    return value;
}

void mv_virtio_write_config(struct mv_virtio *virtio, uint64_t offset, unsigned size,
                            uint64_t value)
{
    if (virtio->ops.config_write)
        virtio->ops.config_write(virtio->state, offset, size, value);
}

bool mv_virtio_rescan(struct mv_virtio *virtio)
{
    return virtio->ops.rescan && virtio->ops.rescan(virtio->state);
}

void mv_virtio_tell_config(struct mv_virtio *virtio)
{
    if (!is_set_up(virtio))
        interrupt(virtio, 0);
}

/* ---- create ---- */

int mv_virtio_create(const struct mv_virtio_type *type, struct mv_virtio **ret_virtio)
{
    struct mv_virtio *virtio = calloc(1, sizeof(*virtio));
    struct mv_queue *queues = calloc(type->queues, sizeof(*queues));
    struct mv_taken *taken = calloc(type->queues, MV_QUEUE_MAX * sizeof(*taken));

    if (!virtio || !queues || !taken) {
        free(virtio);
        free(queues);
        free(taken);
        return -ENOMEM;
    }
    virtio->ops = *type->ops;
    virtio->state = type->state;
    virtio->lent = type->lent;
    virtio->owned = !type->lent;
    virtio->listen = type->listen;
    virtio->config_size = type->config_size;
    if (type->config_size)
        memcpy(virtio->config, type->config, type->config_size);
    virtio->offered =
        type->features | MV_VIRTIO_F_VERSION_1 | MV_RING_F_INDIRECT_DESC | MV_RING_F_EVENT_IDX;
    virtio->queue_count = type->queues;
    virtio->queues = queues;
    virtio->taken = taken;
    virtio->doorbell = (struct mv_loop_source){.fd = -1, .fn = on_doorbell, .context = virtio};
    virtio->poller = (struct mv_loop_poller){.fn = look, .context = virtio};
    *ret_virtio = virtio;
    return 0;
}

void mv_virtio_attach(struct mv_virtio *virtio, const struct mv_virtio_transport *transport,
                      const struct mv_device_env *env)
{
    virtio->transport = *transport;
    virtio->mem = env->mem;
    virtio->loop = env->loop;
    virtio->log = env->log;
    virtio->backpressure = env->backpressure;
}

void mv_virtio_own(struct mv_virtio *virtio, bool own)
{
    virtio->owned = own || !virtio->lent;
}

void mv_virtio_destroy(struct mv_virtio *virtio)
{
    if (!virtio)
        return;
    if (virtio->owned && virtio->ops.destroy)
        virtio->ops.destroy(virtio->state);
    mv_close_fd(&virtio->doorbell.fd);
    free(virtio->queues);
    free(virtio->taken);
    free(virtio);
}
