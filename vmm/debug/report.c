/* SPDX-License-Identifier: MIT */
/* For a machine that is not running: its report, the explanation of its end, and its trace. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "arch_debug.h"
#include "debug.h"
#include "machine/machine.h"

static void report_exits(const struct mv_vcpu *vcpu, FILE *to)
{
    const struct mv_recorder *recorder = &mv_debugger(vcpu)->recorder;

    fprintf(to, "last exits (oldest first):\n");
    for (unsigned i = 0; i < mv_recorder_last(recorder); i++) {
        const struct mv_record *record = mv_recorder_last_at(recorder, i);
        const struct mv_trace_record *exit = &record->exit;

        fprintf(to, "  %-14s", mv_exit_name(exit->reason));
        if (record->pc)
            fprintf(to, " at %#llx", (unsigned long long)record->pc);
        if (exit->size)
            fprintf(to, ": %s %u bytes %#llx, value %#llx", exit->write ? "write" : "read",
                    exit->size, (unsigned long long)exit->address, (unsigned long long)exit->value);
        if (record->repeats)
            fprintf(to, ", and %llu times more", (unsigned long long)record->repeats);
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

/* ---- the trace ---- */

/* Returns NULL if there is no such vCPU or no trace. */
static struct mv_recorder *find_recorder(const struct mv_machine *machine, unsigned vcpu)
{
    struct mv_debugger *debugger =
        vcpu < machine->created ? mv_debugger(&machine->vcpus[vcpu]) : NULL;

    return debugger && debugger->recorder.ring ? &debugger->recorder : NULL;
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
