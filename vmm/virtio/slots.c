/* SPDX-License-Identifier: MIT */
/*
 * The virtio devices of a machine: disks, the embedder's devices, and other built-in ones.  Each
 * takes the next free register slot.  The architecture's layout.h says where the slots are.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "blk.h"
#include "custom.h"
#include "dev/devices.h"
#include "layout.h"
#include "mmio.h"
#include "rng.h"

/* Storage for the names that a slot's mv_device_desc points to. */
struct slot {
    char name[12], acpi_name[5];
};

static uint64_t slot_base(unsigned index)
{
    return MV_VIRTIO_BASE + index * MV_VIRTIO_STRIDE;
}

/* Maps the pages from which the guest reads registers without an exit, unless they are there or the
 * architecture has none.  One region holds those of all slots, as a memslot each would cost more.
 */
static bool map_pages(struct mv_devices *devices)
{
    uint64_t size = MV_DISKS_MAX * MV_VIRTIO_STRIDE;
    void *pages;

    if (devices->pages.host || !MV_LAYOUT_PAGES)
        return true;
    pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        return false;
    devices->pages =
        (struct mv_region){.base = MV_VIRTIO_BASE, .size = size, .host = pages, .read_only = true};
    return true;
}

/* Takes the next free slot.  Returns NULL if out of memory. */
static struct mv_device *take_slot(struct mv_devices *devices, const char *name)
{
    struct slot *slot = map_pages(devices) ? malloc(sizeof(*slot)) : NULL;
    struct mv_device_desc desc = {
        .compatible = "virtio,mmio",
        .node = "virtio",
        .hid = "LNRO0005",
        .space = MV_SPACE_MMIO,
        .bytes = MV_VIRTIO_MMIO_SIZE,
        .coherent = true,
    };
    struct mv_device *device;
    unsigned index = 0;

    if (!slot)
        return NULL;
    while (!mv_bus_is_free(&devices->mmio, slot_base(index), MV_VIRTIO_STRIDE))
        index++;
    snprintf(slot->name, sizeof(slot->name), "%s", name);
    snprintf(slot->acpi_name, sizeof(slot->acpi_name), "VR%02u", index % 100);
    desc.name = slot->name;
    desc.acpi_name = slot->acpi_name;
    desc.base = slot_base(index);
    desc.irq = mv_virtio_irq(index);
    device = mv_devices_next(devices, &desc);
    device->kept = slot;
    return device;
}

/* Puts virtio into the next free slot; takes ownership, on failure too.  error is the result of
 * creating virtio. */
static int fill_slot(struct mv_devices *devices, const struct mv_device_env *env, const char *name,
                     int error, struct mv_virtio *virtio, struct mv_error *err)
{
    struct mv_device *device = error ? NULL : take_slot(devices, name);
    struct mv_device_env ours = *env;

    if (!error && !device) {
        mv_virtio_destroy(virtio);
        error = -ENOMEM;
    }
    if (error)
        return mv_devices_cannot_create(name, error, err);
    ours.irq.line = device->desc.irq;
    if (devices->pages.host)
        ours.page = devices->pages.host + (device->desc.base - devices->pages.base);
    error = mv_devices_add(devices, device, mv_virtio_mmio_create(device, &ours, virtio));
    return error ? mv_devices_cannot_create(name, error, err) : 0;
}

static int add_disk(struct mv_devices *devices, const struct mv_device_env *env,
                    const struct mv_config *config, size_t index, struct mv_error *err)
{
    const char name[] = {'v', 'd', (char)('a' + index), '\0'};
    const struct mv_disk *disk = &config->disks[index];
    struct mv_virtio *virtio = NULL;
    struct mv_disk_file image;
    const char *warning = NULL;
    struct mv_blk_setup setup = {
        .name = name,
        .image = &image,
        .disk = disk,
        .queues = disk->queues ? disk->queues : (unsigned)mv_min(config->cpus, MV_QUEUES_MAX),
        .in_flight = MV_BLK_IN_FLIGHT / config->disk_count,
        .engines = mv_blk_engines(disk),
        .loop = env->loop,
        .log = env->log,
    };
    int error = mv_disk_file_open(disk, &image, &warning, err);

    if (error)
        return error;
    if (warning)
        mv_log(env->log, MV_LOG_WARNING, "the disk %s: %s", disk->path, warning);
    if (disk->cache == MV_CACHE_UNSAFE)
        mv_log(env->log, MV_LOG_WARNING,
               "the disk %s has cache=unsafe: the guest's flushes are ignored, and a crash of the "
               "host can corrupt it",
               disk->path);
    error = mv_blk_create(&setup, &virtio);
    return fill_slot(devices, env, name, error, virtio, err);
}

static int add_custom(struct mv_devices *devices, const struct mv_device_env *env,
                      const struct mv_config *config, size_t index, struct mv_error *err)
{
    const struct mv_custom_virtio *custom = &config->virtio[index];
    struct mv_virtio *virtio = NULL;
    char name[12];
    int error = mv_custom_virtio_create(custom, &virtio);

    snprintf(name, sizeof(name), "virtio%u", (unsigned)index % 100);
    error = fill_slot(devices, env, name, error, virtio, err);
    if (error)
        return error;
    mv_virtio_own(virtio, true);
    *custom->ret_virtio = virtio;
    return 0;
}

/* Adds the built-in devices that are not disks. */
static int add_built_in(struct mv_devices *devices, const struct mv_device_env *env,
                        const struct mv_config *config, struct mv_error *err)
{
    const struct {
        const char *name;
        bool wanted;
        int (*create)(struct mv_virtio **ret_virtio);
    } built_in[] = {
        {"rng0", config->rng, mv_rng_create},
    };
    int error = 0;

    for (unsigned i = 0; !error && i < MV_COUNT(built_in); i++) {
        struct mv_virtio *virtio = NULL;

        if (!built_in[i].wanted)
            continue;
        error = built_in[i].create(&virtio);
        error = fill_slot(devices, env, built_in[i].name, error, virtio, err);
    }
    return error;
}

static int add(struct mv_devices *devices, const struct mv_device_env *env,
               const struct mv_config *config, struct mv_error *err)
{
    int error = 0;

    for (size_t i = 0; !error && i < config->disk_count; i++)
        error = add_disk(devices, env, config, i, err);
    for (size_t i = 0; !error && i < config->virtio_count; i++)
        error = add_custom(devices, env, config, i, err);
    return error ? error : add_built_in(devices, env, config, err);
}

static int check_disk(const struct mv_disk *disk, struct mv_error *err)
{
    if (!disk->path)
        return mv_fail(err, -EINVAL, NULL, NULL, "a disk without a path");
    if (disk->queues > MV_QUEUES_MAX)
        return mv_fail(err, -EINVAL, NULL, NULL, "the disk %s: %u queues: at most %d are supported",
                       disk->path, disk->queues, MV_QUEUES_MAX);
    if (disk->serial && strlen(disk->serial) > MV_SERIAL_MAX)
        return mv_fail(err, -EINVAL, NULL, NULL,
                       "the disk %s: the serial number %s has more than %d bytes", disk->path,
                       disk->serial, MV_SERIAL_MAX);
    return 0;
}

static int check(const struct mv_config *config, struct mv_error *err)
{
    size_t count = config->disk_count + config->virtio_count + config->rng;
    int error = 0;

    if (count > MV_DISKS_MAX)
        return mv_fail(err, -EINVAL, NULL, NULL,
                       "%zu virtio devices, the disks among them: at most %d are supported", count,
                       MV_DISKS_MAX);
    for (size_t i = 0; !error && i < config->disk_count; i++)
        error = check_disk(&config->disks[i], err);
    for (size_t i = 0; !error && i < config->virtio_count; i++)
        error = mv_custom_virtio_check(&config->virtio[i], err);
    return error;
}

const struct mv_device_source mv_virtio_devices = {.check = check, .add = add};
