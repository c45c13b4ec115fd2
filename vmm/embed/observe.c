/* SPDX-License-Identifier: MIT */
/* What can be seen of a machine from outside: its report, its timeline, its memory and its
 * devices. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "debug/arch_debug.h"
#include "machine/machine.h"

static void report_exits(const struct mv_vcpu *vcpu, FILE *to)
{
    unsigned long first = vcpu->exits > MV_EXIT_RECORDS ? vcpu->exits - MV_EXIT_RECORDS : 0;

    fprintf(to, "last exits (oldest first):\n");
    for (unsigned long i = first; i < vcpu->exits; i++) {
        const struct mv_exit_record *exit = &vcpu->records[i % MV_EXIT_RECORDS];

        fprintf(to, "  %-14s", mv_exit_name(exit->reason));
        if (exit->pc)
            fprintf(to, " at %#llx", (unsigned long long)exit->pc);
        if (exit->size)
            fprintf(to, ": %s %u bytes %#llx, value %#llx", exit->write ? "write" : "read",
                    exit->size, (unsigned long long)exit->address, (unsigned long long)exit->value);
        if (exit->repeats)
            fprintf(to, ", and %llu times more", (unsigned long long)exit->repeats);
        fputc('\n', to);
    }
}

char *mv_machine_report(const struct mv_machine *machine)
{
    unsigned index = machine->end.vcpu >= 0 ? (unsigned)machine->end.vcpu : 0;
    MV_BORROWED vcpu = index < machine->created ? mv_vcpu_borrow(&machine->vcpus[index]) : NULL;
    char *text = NULL;
    size_t size;
    FILE *to = vcpu ? open_memstream(&text, &size) : NULL;

    if (!to)
        return NULL;
    mv_arch_report(vcpu, &machine->mem, to);
    report_exits(vcpu, to);
    fclose(to);
    return text;
}

int mv_machine_explain(const struct mv_machine *machine, char **ret_text)
{
    unsigned index = machine->end.vcpu >= 0 ? (unsigned)machine->end.vcpu : 0;
    MV_BORROWED vcpu = index < machine->created ? mv_vcpu_borrow(&machine->vcpus[index]) : NULL;
    char *text = NULL;
    size_t size;
    FILE *to;
    int error;

    if (!vcpu)
        return index < machine->created ? -EBUSY : -EINVAL;
    to = open_memstream(&text, &size);
    if (!to)
        return -ENOMEM;
    error = mv_arch_explain_end(vcpu, &machine->mem, to);
    if (fclose(to) != 0)
        error = -ENOMEM;
    if (error)
        free(text);
    else
        *ret_text = text;
    return error;
}

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
    if (most) /* (NULL, 0) asks how many there are */
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

bool mv_machine_device(const struct mv_machine *machine, const char *name,
                       struct mv_device_desc *ret_desc)
{
    for (unsigned i = 0; i < machine->devices.count; i++) {
        const struct mv_device_desc *desc = &machine->devices.all[i].desc;

        if (strcmp(desc->name, name) == 0) {
            mv_give(desc, sizeof(*desc), ret_desc);
            return true;
        }
    }
    return false;
}

unsigned mv_machine_devices(const struct mv_machine *machine, unsigned index,
                            struct mv_device_desc *ret_desc)
{
    if (index < machine->devices.count)
        mv_give(&machine->devices.all[index].desc, sizeof(*ret_desc), ret_desc);
    return machine->devices.count;
}

/* ---- the trace ---- */

/* Of a vCPU that is there and traced; or NULL. */
static struct mv_recorder *find_recorder(const struct mv_machine *machine, unsigned vcpu)
{
    if (vcpu >= machine->created || !machine->vcpus[vcpu].recorder.ring)
        return NULL;
    return &machine->vcpus[vcpu].recorder;
}

uint64_t mv_machine_trace_count(const struct mv_machine *machine, unsigned vcpu, uint64_t *ret_lost)
{
    const struct mv_recorder *recorder = find_recorder(machine, vcpu);
    uint64_t kept = recorder ? mv_min(recorder->count, recorder->mask + 1) : 0;

    if (ret_lost)
        *ret_lost = recorder ? recorder->count - kept : 0;
    return kept;
}

size_t mv_machine_trace(const struct mv_machine *machine, unsigned vcpu, uint64_t first,
                        struct mv_trace_record *ret_records, size_t most)
{
    struct mv_recorder *recorder = find_recorder(machine, vcpu);
    uint64_t lost, kept = mv_machine_trace_count(machine, vcpu, &lost);
    size_t count = first < kept ? (size_t)mv_min(kept - first, most) : 0;

    if (count)
        mv_recorder_read(recorder, lost + first, ret_records, count);
    return count;
}

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
