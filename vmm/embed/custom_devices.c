/* SPDX-License-Identifier: MIT */
/*
 * Custom devices and memory (minivmm/device.h, minivmm/minivmm.h): places each at the address and
 * interrupt line that it asks for, or chooses free ones.  The ranges to choose from are in the
 * architecture's layout.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dev/devices.h"
#include "embed.h"
#include "layout.h"
#include "machine/machine.h"

_Static_assert(MV_MEMORIES_MAX == MV_MEM_CUSTOM, "memory.h keeps them");

/* Copies for a custom device: its ops and the strings of its description. */
struct kept {
    struct mv_device_ops ops;
    char name[16], compatible[48], node[32], hid[9], acpi_name[5];
};

#define FITS(desc, word) (!(desc)->word || strlen((desc)->word) < sizeof(((struct kept *)0)->word))

/* Copies *word into a buffer large enough (see FITS), and points *word there. */
static void keep(char *to, const char **word)
{
    if (!*word)
        return;
    memcpy(to, *word, strlen(*word) + 1);
    *word = to;
}

static int check_device(const struct mv_custom_device *custom, size_t index, struct mv_error *err)
{
    const struct mv_device_desc *desc = custom->desc;

    if (!desc || !desc->name || !*desc->name || !custom->ops || !custom->ops->read ||
        !custom->ops->write)
        return mv_fail(err, -EINVAL, NULL, "give it a name, a read function and a write function",
                       "custom device %zu is incomplete", index);
    if (desc->bytes == 0)
        return mv_fail(err, -EINVAL, NULL, "give its registers a size",
                       "the device %s has no registers", desc->name);
    if ((desc->compatible && !desc->node) ||
        (desc->hid && (!desc->acpi_name || strlen(desc->acpi_name) != 4)))
        return mv_fail(err, -EINVAL, NULL,
                       "compatible needs node; hid needs acpi_name, of four characters",
                       "the description of the device %s is incomplete", desc->name);
    if (!FITS(desc, name) || !FITS(desc, compatible) || !FITS(desc, node) || !FITS(desc, hid) ||
        !FITS(desc, acpi_name))
        return mv_fail(err, -EINVAL, NULL,
                       "at most: name 15 characters, compatible 47, node 31, hid 8, acpi_name 4",
                       "a string in the description of the device %s is too long", desc->name);
    return 0;
}

/* The first free range, at a page (MMIO) or a multiple of 16 (ports); MV_ANY_BASE: none. */
static uint64_t find_base(const struct mv_bus *bus, enum mv_space space, uint64_t size)
{
    uint64_t first = space == MV_SPACE_PORT ? MV_CUSTOM_PORT : MV_CUSTOM_BASE;
    uint64_t end = space == MV_SPACE_PORT ? 0x10000 : MV_CUSTOM_END;
    uint64_t step = space == MV_SPACE_PORT ? 16 : MV_PAGE_SIZE;

    for (uint64_t at = first; size <= end - first && at <= end - size; at += step)
        if (mv_bus_is_free(bus, at, size))
            return at;
    return MV_ANY_BASE;
}

/* Returns 0, -EINVAL if the line does not exist, or -EBUSY if a built-in device has it. */
static int check_irq(const struct mv_devices *devices, int irq)
{
    if (irq < 0 || irq > MV_CUSTOM_LAST_IRQ)
        return -EINVAL;
    for (unsigned i = 0; i < devices->count; i++)
        if (devices->all[i].desc.irq == irq && !devices->all[i].is_custom)
            return -EBUSY;
    return mv_layout_irq_is_ours(irq) ? -EBUSY : 0;
}

/* Whether no device has the line, and none of the `count` devices added later asks for it. */
static bool irq_is_free(const struct mv_devices *devices, const struct mv_custom_device *later,
                        size_t count, int irq)
{
    for (unsigned i = 0; i < devices->count; i++)
        if (devices->all[i].desc.irq == irq)
            return false;
    for (size_t i = 0; i < count; i++)
        if (later[i].desc && later[i].desc->irq == irq)
            return false;
    return true;
}

/* Returns a free line, or MV_ANY_IRQ if there is none. */
static int find_irq(const struct mv_devices *devices, const struct mv_custom_device *later,
                    size_t count)
{
    for (int irq = MV_CUSTOM_FIRST_IRQ; irq <= MV_CUSTOM_LAST_IRQ; irq++)
        if (irq_is_free(devices, later, count, irq))
            return irq;
    return MV_ANY_IRQ;
}

/* Formats the free lines, such as "free lines: 9 to 20, 23". */
static void list_free(const struct mv_devices *devices, char *text, size_t size)
{
    size_t used = (size_t)snprintf(text, size, "free lines:");

    for (int first = MV_CUSTOM_FIRST_IRQ, last; first <= MV_CUSTOM_LAST_IRQ; first = last + 1) {
        last = first;
        if (!irq_is_free(devices, NULL, 0, first))
            continue;
        while (last < MV_CUSTOM_LAST_IRQ && irq_is_free(devices, NULL, 0, last + 1))
            last++;
        used += (size_t)snprintf(text + used, size - used, last > first ? "%s %d to %d" : "%s %d",
                                 used > sizeof("free lines:") ? "," : "", first, last);
    }
}

static int place_irq(const struct mv_devices *devices, const struct mv_device_env *env,
                     const struct mv_custom_device *later, size_t count,
                     struct mv_device_desc *desc, struct mv_error *err)
{
    char hint[200];
    int error;

    if (desc->irq == MV_NO_IRQ)
        return 0;
    if (!env->irq.set)
        return mv_fail(err, -EINVAL, NULL,
                       "give the device no interrupt line, or take a machine "
                       "that is not bare",
                       "the device %s asks for an interrupt line, and a bare machine has no "
                       "interrupt controller",
                       desc->name);
    if (desc->irq == MV_ANY_IRQ)
        desc->irq = find_irq(devices, later, count);
    if (desc->irq == MV_ANY_IRQ)
        return mv_fail(err, -ENOSPC, NULL, "use fewer devices or disks",
                       "no interrupt line is left for the device %s", desc->name);
    error = check_irq(devices, desc->irq);
    if (!error && !irq_is_free(devices, NULL, 0, desc->irq))
        error = -EBUSY;
    if (!error)
        return 0;
    list_free(devices, hint, sizeof(hint));
    return mv_fail(err, error, NULL, hint,
                   error == -EBUSY
                       ? "the device %s cannot have interrupt line %d: another device has it"
                       : "the device %s cannot have interrupt line %d: it does not exist",
                   desc->name, desc->irq);
}

static int place(const struct mv_mem *mem, const struct mv_bus *bus, struct mv_device_desc *desc,
                 struct mv_error *err)
{
    if (desc->base == MV_ANY_BASE)
        desc->base = find_base(bus, desc->space, desc->bytes);
    if (desc->base == MV_ANY_BASE)
        return mv_fail(err, -ENOSPC, NULL, "use fewer or smaller ones",
                       "no address range is free for the device %s", desc->name);
    if (desc->space == MV_SPACE_MMIO && mv_mem_overlaps(mem, desc->base, desc->bytes))
        return mv_fail(err, -EEXIST, NULL, "leave it to the machine to place it (ANY_BASE)",
                       "the device %s at %#llx would overlap memory", desc->name,
                       (unsigned long long)desc->base);
    return 0;
}

/* Adds custom[0]; the other count - 1 elements are the devices added later. */
static int add_device(struct mv_devices *devices, const struct mv_device_env *env,
                      const struct mv_custom_device *custom, size_t count, struct mv_error *err)
{
    struct mv_device_desc desc = *custom->desc;
    struct mv_device *device;
    struct kept *kept;
    int error;

    if (mv_find_device(devices, desc.name))
        return mv_fail(err, -EEXIST, NULL, "choose another name",
                       "a device named %s already exists", desc.name);
    error = place(env->mem, mv_devices_bus(devices, &desc), &desc, err);
    if (!error)
        error = place_irq(devices, env, custom + 1, count - 1, &desc, err);
    if (error)
        return error;
    kept = malloc(sizeof(*kept));
    if (!kept)
        return mv_devices_cannot_create(desc.name, -ENOMEM, err);
    kept->ops = *custom->ops;
    keep(kept->name, &desc.name);
    keep(kept->compatible, &desc.compatible);
    keep(kept->node, &desc.node);
    keep(kept->hid, &desc.hid);
    keep(kept->acpi_name, &desc.acpi_name);
    device = mv_devices_next(devices, &desc);
    device->ops = &kept->ops;
    device->state = custom->state;
    device->is_custom = true;
    device->kept = kept;
    error = mv_devices_add(devices, device, 0);
    if (error)
        return mv_fail(err, error, NULL, "leave it to the machine to place it (ANY_BASE)",
                       "the device %s, %llu bytes at %#llx, would overlap another device",
                       desc.name, (unsigned long long)desc.bytes, (unsigned long long)desc.base);
    return 0;
}

static int add(struct mv_devices *devices, const struct mv_device_env *env,
               const struct mv_config *config, struct mv_error *err)
{
    int error = 0;

    for (size_t i = 0; !error && i < config->device_count; i++)
        error = add_device(devices, env, config->devices + i, config->device_count - i, err);
    return error;
}

int mv_machine_set_irq(struct mv_machine *machine, int irq, bool level)
{
    int error = machine->bare ? -EINVAL : check_irq(&machine->devices, irq);

    if (!error)
        mv_arch_set_irq(&machine->kvm, irq, level);
    return error;
}

/* ---- memory ---- */

static int check_memory(const struct mv_custom_memory *memory, struct mv_error *err)
{
    uint64_t last;

    if (!memory->host || memory->bytes == 0)
        return mv_fail(err, -EINVAL, NULL, "give it at least a page, and where that is mapped",
                       "custom memory at %#llx has no host mapping, or no bytes",
                       (unsigned long long)memory->address);
    if ((memory->address | memory->bytes | (uintptr_t)memory->host) % MV_PAGE_SIZE)
        return mv_fail(err, -EINVAL, NULL, "memory comes in pages of 4 KiB: mmap gives such",
                       "custom memory, %llu bytes at %#llx, is not whole pages",
                       (unsigned long long)memory->bytes, (unsigned long long)memory->address);
    if (mv_add_overflows(memory->address, memory->bytes - 1, &last))
        return mv_fail(err, -EINVAL, NULL, "choose a lower address",
                       "custom memory, %llu bytes at %#llx, wraps around the end of the address "
                       "space",
                       (unsigned long long)memory->bytes, (unsigned long long)memory->address);
    return 0;
}

/* Whether no device, register page or range reserved by the architecture overlaps the region. */
static bool is_free(const struct mv_devices *devices, const struct mv_region *region)
{
    const struct mv_region *pages = &devices->pages;
    uint64_t last = region->base + (region->size - 1);

    return mv_bus_is_free(&devices->mmio, region->base, region->size) &&
           !mv_layout_is_reserved(region->base, last) &&
           !(pages->host && region->base < pages->base + pages->size && last >= pages->base);
}

static int add_memory(const struct mv_devices *devices, struct mv_mem *mem,
                      const struct mv_config *config, struct mv_error *err)
{
    for (size_t i = 0; i < config->memory_count; i++) {
        const struct mv_custom_memory *memory = &config->memories[i];
        const struct mv_region region = {.base = memory->address,
                                         .size = memory->bytes,
                                         .host = memory->host,
                                         .read_only = memory->read_only};
        int error = is_free(devices, &region) ? mv_mem_add(mem, &region) : -EEXIST;

        if (error)
            return mv_fail(err, error, NULL, "choose another address, such as one above 4 GiB",
                           "custom memory, %llu bytes at %#llx, would overlap other "
                           "memory or devices",
                           (unsigned long long)region.size, (unsigned long long)region.base);
    }
    return 0;
}

static int check(const struct mv_config *config, struct mv_error *err)
{
    int error = 0;

    if (config->flat && (!config->flat->code || config->flat->bytes == 0))
        return mv_fail(err, -EINVAL, NULL, "give it at least one byte of code",
                       "the flat binary has no code");
    for (size_t i = 0; !error && i < config->device_count; i++)
        error = check_device(&config->devices[i], i, err);
    for (size_t i = 0; !error && i < config->memory_count; i++)
        error = check_memory(&config->memories[i], err);
    return error;
}

uint64_t mv_device_read_into(void *reader, uint64_t offset, unsigned size)
{
    const struct mv_device_reader *of = reader;
    uint64_t value = UINT64_MAX;

    of->read(of->state, offset, size, &value);
    return value;
}

const struct mv_device_source mv_custom_devices = {
    .check = check, .add = add, .add_memory = add_memory};
