/* SPDX-License-Identifier: MIT */
/* The configuration: see config.h. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "core/log.h"
#include "core/memory.h"
#include "core/util.h"
#include "dev/devices.h"
#include "minivmm/trace.h"

/* ---- checks on complete structs ---- */

static int check_memory(const struct mv_config *config, struct mv_error *err)
{
    uint64_t least = config->bare ? MV_BARE_MINIMUM : MV_MINIMUM_MEMORY;

    if (config->memory % MV_PAGE_SIZE)
        return mv_fail(err, -EINVAL, NULL, "memory comes in pages of 4 KiB",
                       "%llu bytes of memory are not whole pages",
                       (unsigned long long)config->memory);
    if (config->memory < least)
        return mv_fail(err, -EINVAL, NULL,
                       config->bare ? "give it at least 64K" : "give it at least 16M",
                       "too little memory: %llu bytes", (unsigned long long)config->memory);
    return 0;
}

static int check_guest(const struct mv_config *config, struct mv_error *err)
{
    if (!config->kernel && !config->flat && !config->bare && !config->tables_only)
        return mv_fail(err, -EINVAL, NULL, "name one, or do without on a bare machine",
                       "no kernel is named");
    if (config->kernel && (config->flat || config->bare))
        return mv_fail(err, -EINVAL, NULL, "give a flat binary to a bare machine",
                       "a kernel needs a full machine, and excludes a flat binary");
    if (config->bare && (config->disk_count || config->virtio_count || config->rng ||
                         config->console || config->tables_only))
        return mv_fail(err, -EINVAL, NULL, "take a machine that is not bare",
                       "a bare machine has no disks, virtio devices, console and tables");
    return 0;
}

static int check_lists(const struct mv_config *config, struct mv_error *err)
{
    if (config->initrd_count > MV_INITRDS_MAX)
        return mv_fail(err, -EINVAL, NULL, NULL, "%zu more initrds: at most %d are supported",
                       config->initrd_count, MV_INITRDS_MAX);
    for (size_t i = 0; i < config->initrd_count; i++)
        if (!config->initrds || !config->initrds[i])
            return mv_fail(err, -EINVAL, NULL, NULL, "initrds[%zu] is NULL", i);
    for (size_t i = 0; i < config->hook_count; i++)
        if (!config->hooks[i].fn || config->hooks[i].kind > MV_EXIT_DEBUG)
            return mv_fail(err, -EINVAL, NULL, NULL,
                           "hook %zu has no function, or a kind of exit that is not the guest's",
                           i);
    if (config->trace_records > MV_TRACE_MAX)
        return mv_fail(err, -EINVAL, NULL, NULL, "a trace of %zu records: at most %u are supported",
                       config->trace_records, MV_TRACE_MAX);
    return 0;
}

static int check(const struct mv_config *config, struct mv_error *err)
{
    int error = check_guest(config, err);

    if (!error)
        error = check_memory(config, err);
    if (!error)
        error = check_lists(config, err);
    if (!error)
        error = mv_virtio_devices.check(config, err);
    if (!error)
        error = mv_debug_check(config, err);
    return error ? error : mv_custom_devices.check(config, err);
}

/* ---- structs of the caller's sizes ---- */

static int has_no_size(const char *what, struct mv_error *err)
{
    return mv_fail(err, -EINVAL, NULL, "set its first member to sizeof the struct",
                   "%s: the size of the struct is 0", what);
}

/* Unless *pointer is NULL, copies the struct and makes *pointer point to the copy. */
static int take_one(const char *what, const void **pointer, void *ret_copy, size_t size,
                    struct mv_error *err)
{
    if (!*pointer)
        return 0;
    if (!mv_take(*pointer, ret_copy, size))
        return has_no_size(what, err);
    *pointer = ret_copy;
    return 0;
}

/* The same for an array of `count` elements, all of the size that the first one has. */
static int take_all(const char *what, const void **pointer, size_t count, size_t most,
                    void *ret_copies, size_t size, struct mv_error *err)
{
    const uint8_t *given = *pointer;
    uint8_t *copies = ret_copies;

    if (count > most)
        return mv_fail(err, -EINVAL, NULL, NULL, "%zu %s: at most %zu are supported", count, what,
                       most);
    if (count && !given)
        return mv_fail(err, -EINVAL, NULL, NULL, "%zu %s, but no array of them", count, what);
    for (size_t i = 0; i < count; i++, given += *(const size_t *)*pointer)
        if (!mv_take(given, copies + i * size, size))
            return has_no_size(what, err);
    *pointer = copies;
    return 0;
}

#define TAKE_ONE(what, pointer, copy, err) \
    take_one(what, (const void **)(pointer), copy, sizeof(*(copy)), err)
#define TAKE_ALL(what, pointer, count, copies, err)                                                \
    take_all(what, (const void **)(pointer), count, MV_COUNT(copies), copies, sizeof((copies)[0]), \
             err)

/* The structs that array elements point to. */
static int take_ops(struct mv_setup *setup, struct mv_error *err)
{
    int error = 0;

    for (size_t i = 0; !error && i < setup->config.device_count; i++) {
        struct mv_custom_device *device = &setup->devices[i];

        error = TAKE_ONE("a custom device's description", &device->desc, &setup->descs[i], err);
        if (!error)
            error = TAKE_ONE("a custom device's ops", &device->ops, &setup->device_ops[i], err);
    }
    for (size_t i = 0; !error && i < setup->config.virtio_count; i++)
        error = TAKE_ONE("a custom virtio device's ops", &setup->virtio[i].ops,
                         &setup->virtio_ops[i], err);
    return error;
}

static int take(struct mv_setup *setup, struct mv_error *err)
{
    struct mv_config *config = &setup->config;
    int error = TAKE_ONE("console", &config->console, &setup->console, err);

    if (!error)
        error = TAKE_ONE("a flat binary", &config->flat, &setup->flat, err);
    if (!error)
        error = TAKE_ALL("disks", &config->disks, config->disk_count, setup->disks, err);
    if (!error)
        error =
            TAKE_ALL("custom devices", &config->devices, config->device_count, setup->devices, err);
    if (!error)
        error = TAKE_ALL("custom virtio devices", &config->virtio, config->virtio_count,
                         setup->virtio, err);
    if (!error)
        error = TAKE_ALL("custom memory regions", &config->memories, config->memory_count,
                         setup->memories, err);
    if (!error)
        error = TAKE_ALL("hooks", &config->hooks, config->hook_count, setup->hooks, err);
    return error ? error : take_ops(setup, err);
}

int mv_config_take(const struct mv_config *given, struct mv_setup *ret_setup, struct mv_error *err)
{
    struct mv_config *config = &ret_setup->config;
    int error;

    memset(ret_setup, 0, sizeof(*ret_setup));
    if (!mv_take(given, config, sizeof(*config)))
        return has_no_size("the configuration", err);
    if (!config->memory)
        config->memory = MV_DEFAULT_MEMORY;
    if (!config->cpus)
        config->cpus = 1;
    error = take(ret_setup, err);
    return error ? error : check(config, err);
}

int mv_config_validate(const struct mv_config *given, struct mv_error *err)
{
    struct mv_setup setup;

    return mv_config_take(given, &setup, err);
}
