/* SPDX-License-Identifier: MIT */
/* An address space of devices: see bus.h. */
#include "bus.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "util.h"

/* The index of the first device whose base is above address. */
static unsigned above(const struct mv_bus *bus, uint64_t address)
{
    unsigned low = 0, high = bus->count;

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (bus->devices[middle]->desc.base <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool mv_bus_is_free(const struct mv_bus *bus, uint64_t base, uint64_t size)
{
    unsigned at = above(bus, base);
    const struct mv_device_desc *before = at > 0 ? &bus->devices[at - 1]->desc : NULL;

    return size > 0 && (!before || base - before->base >= before->bytes) &&
           (at == bus->count || bus->devices[at]->desc.base - base >= size);
}

int mv_bus_add(struct mv_bus *bus, struct mv_device *device)
{
    const struct mv_device_desc *desc = &device->desc;
    unsigned at = above(bus, desc->base);
    uint64_t last;

    assert(!bus->frozen);
    if (desc->bytes == 0 || mv_add_overflows(desc->base, desc->bytes - 1, &last))
        return -EINVAL;
    if (!mv_bus_is_free(bus, desc->base, desc->bytes))
        return -EEXIST;
    if (bus->count == MV_BUS_DEVICES)
        return -ENOSPC;
    memmove(&bus->devices[at + 1], &bus->devices[at], (bus->count - at) * sizeof(bus->devices[0]));
    bus->devices[at] = device;
    bus->count++;
    return 0;
}

void mv_bus_freeze(struct mv_bus *bus)
{
    bus->frozen = true;
}

struct mv_device *mv_bus_find(const struct mv_bus *bus, uint64_t address)
{
    unsigned at = above(bus, address);
    struct mv_device *device = at > 0 ? bus->devices[at - 1] : NULL;

    return device && address - device->desc.base < device->desc.bytes ? device : NULL;
}

/* The device that serves the access.  KVM splits an access that crosses a page, into 3 and 5 bytes
 * for example; no device has registers of such sizes. */
static struct mv_device *find_for(const struct mv_bus *bus, uint64_t address, unsigned size)
{
    return size == 1 || size == 2 || size == 4 || size == 8 ? mv_bus_find(bus, address) : NULL;
}

bool mv_bus_read(const struct mv_bus *bus, uint64_t address, unsigned size, uint64_t *ret_value)
{
    struct mv_device *device = find_for(bus, address, size);

    *ret_value = mv_size_mask(size);
    if (!device)
        return false;
    pthread_mutex_lock(&device->lock);
    *ret_value &= device->ops->read(device->state, address - device->desc.base, size);
    pthread_mutex_unlock(&device->lock);
    return true;
}

struct mv_device *mv_bus_write(const struct mv_bus *bus, uint64_t address, unsigned size,
                               uint64_t value)
{
    struct mv_device *device = find_for(bus, address, size);

    if (!device)
        return NULL;
    pthread_mutex_lock(&device->lock);
    device->ops->write(device->state, address - device->desc.base, size,
                       value & mv_size_mask(size));
    pthread_mutex_unlock(&device->lock);
    return device;
}

bool mv_device_is_busy(struct mv_device *device)
{
    bool busy;

    pthread_mutex_lock(&device->lock);
    busy = device->ops->backpressure ||
           (device->inner && device->inner->busy && device->inner->busy(device->state));
    pthread_mutex_unlock(&device->lock);
    return busy;
}

void mv_device_backpressure(struct mv_device *device)
{
    pthread_mutex_lock(&device->lock);
    device->ops->backpressure(device->state, &device->lock);
    pthread_mutex_unlock(&device->lock);
}

bool mv_device_flush(struct mv_device *device)
{
    bool done;

    if (!device->inner || !device->inner->flush)
        return true;
    pthread_mutex_lock(&device->lock);
    done = device->inner->flush(device->state);
    pthread_mutex_unlock(&device->lock);
    return done;
}

void mv_device_stop(struct mv_device *device)
{
    if (device->inner && device->inner->stop)
        device->inner->stop(device->state);
}
