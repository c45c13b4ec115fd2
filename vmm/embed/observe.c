/* SPDX-License-Identifier: MIT */
/* Inspection of a machine: its timeline, memory, devices and vCPUs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "embed.h"
#include "machine/machine.h"

static int by_time(const void *a, const void *b)
{
    const struct mv_mark *left = a, *right = b;

    return left->ns < right->ns ? -1 : left->ns > right->ns;
}

size_t mv_machine_timeline(const struct mv_machine *machine, struct mv_mark *ret_marks, size_t most)
{
    struct mv_mark sorted[MV_TIMELINE_MARKS];
    size_t count = mv_min(atomic_load(&machine->timeline.count), MV_TIMELINE_MARKS);

    memcpy(sorted, machine->timeline.marks, count * sizeof(sorted[0]));
    qsort(sorted, count, sizeof(sorted[0]), by_time);
    if (most) /* (NULL, 0) only asks for the number */
        memcpy(ret_marks, sorted, mv_min(count, most) * sizeof(sorted[0]));
    return count;
}

unsigned mv_machine_memory_map(const struct mv_machine *machine, unsigned index,
                               uint64_t *ret_address, uint64_t *ret_size)
{
    const struct mv_mem *mem = &machine->mem;
    const struct mv_region *region = mv_mem_region(mem, index);

    if (region) {
        *ret_address = region->base;
        *ret_size = region->size;
    }
    return mem->count + mem->custom_count;
}

int mv_machine_read(const struct mv_machine *machine, uint64_t address, void *ret_data, size_t size)
{
    return mv_mem_read(&machine->mem, address, ret_data, size) ? 0 : -EFAULT;
}

int mv_machine_write(struct mv_machine *machine, uint64_t address, const void *data, size_t size)
{
    return mv_mem_write(&machine->mem, address, data, size) ? 0 : -EFAULT;
}

void *mv_machine_memory(struct mv_machine *machine, uint64_t address, size_t size)
{
    return mv_mem_host(&machine->mem, address, size);
}

const struct mv_device *mv_find_device(const struct mv_devices *devices, const char *name)
{
    for (unsigned i = 0; i < devices->count; i++)
        if (strcmp(devices->all[i].desc.name, name) == 0)
            return &devices->all[i];
    return NULL;
}

bool mv_machine_device(const struct mv_machine *machine, const char *name,
                       struct mv_device_desc *ret_desc)
{
    const struct mv_device *device = mv_find_device(&machine->devices, name);

    if (device)
        mv_give(&device->desc, sizeof(device->desc), ret_desc);
    return device;
}

unsigned mv_machine_devices(const struct mv_machine *machine, unsigned index,
                            struct mv_device_desc *ret_desc)
{
    if (index < machine->devices.count)
        mv_give(&machine->devices.all[index].desc, sizeof(*ret_desc), ret_desc);
    return machine->devices.count;
}

/* ---- vCPUs ---- */

struct mv_vcpu *mv_machine_vcpu(const struct mv_machine *machine, unsigned index)
{
    return index < machine->created ? &machine->vcpus[index] : NULL;
}

unsigned mv_vcpu_index(const struct mv_vcpu *vcpu)
{
    return vcpu->index;
}

const char *mv_exit_kind_name(enum mv_exit_kind kind)
{
    static const char *const names[] = {
        [MV_EXIT_NONE] = "none",       [MV_EXIT_PORT] = "port",
        [MV_EXIT_MMIO] = "MMIO",       [MV_EXIT_HYPERCALL] = "hypercall",
        [MV_EXIT_HALT] = "halt",       [MV_EXIT_DEBUG] = "debug",
        [MV_EXIT_TIMEOUT] = "timeout", [MV_EXIT_INTERRUPTED] = "interrupted",
        [MV_EXIT_END] = "end",
    };

    return (size_t)kind < MV_COUNT(names) ? names[kind] : "(other)";
}
