/* SPDX-License-Identifier: MIT */
/* A machine's devices: see devices.h. */
#include "devices.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "core/util.h"

struct mv_bus *mv_devices_bus(struct mv_devices *devices, const struct mv_device_desc *desc)
{
    return desc->space == MV_SPACE_PORT ? &devices->ports : &devices->mmio;
}

struct mv_device *mv_devices_next(struct mv_devices *devices, const struct mv_device_desc *desc)
{
    struct mv_device *device = &devices->all[devices->count];

    assert(devices->count < MV_DEVICES_MAX);
    device->desc = *desc;
    device->desc.size = sizeof(*desc);
    pthread_mutex_init(&device->lock, NULL);
    return device;
}

int mv_devices_add(struct mv_devices *devices, struct mv_device *device, int error)
{
    if (error) {
        pthread_mutex_destroy(&device->lock);
        free(device->kept);
        *device = (struct mv_device){0};
        return error;
    }
    devices->count++;
    return mv_bus_add(mv_devices_bus(devices, &device->desc), device);
}

int mv_devices_cannot_create(const char *name, int code, struct mv_error *err)
{
    return mv_fail(err, code, NULL, NULL, "cannot create the device %s: %s", name, strerror(-code));
}

int mv_devices_add_table(struct mv_devices *devices, const struct mv_device_entry *table,
                         unsigned count, const struct mv_device_env *env, struct mv_error *err)
{
    struct mv_device_env ours = *env;

    for (unsigned i = 0; i < count; i++) {
        struct mv_device *device = mv_devices_next(devices, &table[i].desc);
        int error;

        ours.irq.line = device->desc.irq;
        error = mv_devices_add(devices, device, table[i].create(device, &ours));
        if (error)
            return mv_devices_cannot_create(table[i].desc.name, error, err);
    }
    return 0;
}

void mv_devices_disown(struct mv_devices *devices)
{
    static const struct mv_device_ops nothing;

    for (unsigned i = 0; i < devices->count; i++) {
        struct mv_device *device = &devices->all[i];

        if (device->is_custom)
            device->ops = &nothing;
        else if (device->inner && device->inner->disown)
            device->inner->disown(device->state);
    }
}

void mv_devices_done(struct mv_devices *devices)
{
    while (devices->count) {
        struct mv_device *device = &devices->all[--devices->count];

        if (device->ops->destroy)
            device->ops->destroy(device->state);
        pthread_mutex_destroy(&device->lock);
        free(device->kept);
    }
    if (devices->pages.host)
        munmap(devices->pages.host, devices->pages.size);
    devices->pages.host = NULL;
    if (devices->rescan.fn)
        mv_close_fd(&devices->rescan.fd);
}

void mv_devices_freeze(struct mv_devices *devices)
{
    mv_bus_freeze(&devices->mmio);
    mv_bus_freeze(&devices->ports);
}

bool mv_devices_flush(struct mv_devices *devices)
{
    bool done = true;

    for (unsigned i = 0; i < devices->count; i++)
        done &= mv_device_flush(&devices->all[i]);
    return done;
}

void mv_devices_stop(struct mv_devices *devices)
{
    for (unsigned i = 0; i < devices->count; i++)
        mv_device_stop(&devices->all[i]);
}

/* Calls fn, unless NULL, under the device's lock. */
static void call(struct mv_device *device, void (*fn)(void *state))
{
    if (!fn)
        return;
    pthread_mutex_lock(&device->lock);
    fn(device->state);
    pthread_mutex_unlock(&device->lock);
}

void mv_devices_quiesce(struct mv_devices *devices)
{
    for (unsigned i = 0; i < devices->count; i++)
        call(&devices->all[i], devices->all[i].ops->quiesce);
}

static void on_rescan(void *context, uint32_t events)
{
    struct mv_devices *devices = context;
    eventfd_t count;

    (void)events;
    eventfd_read(devices->rescan.fd, &count);
    for (unsigned i = 0; i < devices->count; i++)
        call(&devices->all[i], devices->all[i].ops->rescan);
}

int mv_devices_watch_rescan(struct mv_devices *devices, struct mv_loop *loop, struct mv_error *err)
{
    bool can = false;
    int error, fd;

    for (unsigned i = 0; i < devices->count; i++)
        can |= devices->all[i].ops->rescan != NULL;
    if (!can)
        return 0;
    fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return mv_fail(err, -errno, "eventfd", NULL, "cannot create an eventfd: %s",
                       strerror(errno));
    devices->rescan = (struct mv_loop_source){.fd = fd, .fn = on_rescan, .context = devices};
    error = mv_loop_watch(loop, &devices->rescan, EPOLLIN);
    return error ? mv_fail(err, error, "epoll_ctl", NULL, "cannot watch an eventfd: %s",
                           strerror(-error))
                 : 0;
}

void mv_devices_ask_rescan(struct mv_devices *devices)
{
    if (devices->rescan.fn)
        eventfd_write(devices->rescan.fd, 1);
}
