/* SPDX-License-Identifier: MIT */
/* Summarizes a trace: where the time went, by reason and by address. */
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"
#include "trace/format.h"

#define TOP_ADDRESSES 20

/* Exits of a kind: [first, first + count) of the sorted records, and their total times. */
struct group {
    size_t first, count;
    uint64_t guest, monitor;
};

static uint64_t monitor_ns(const struct mv_trace_record *record)
{
    return record->done - record->left;
}

static int compare(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

/* Reason and direction; all reasons without a name count as one. */
static uint64_t kind_of(const struct mv_trace_record *record)
{
    bool unknown = mv_exit_name(record->reason) == mv_exit_name(UINT32_MAX);

    return (uint64_t)(unknown ? UINT32_MAX : record->reason) << 2 |
           (record->size ? 1u + record->write : 0);
}

/* Within a kind, by the monitor's time. */
static int by_kind(const void *a, const void *b)
{
    const struct mv_trace_record *left = a, *right = b;
    int order = compare(kind_of(left), kind_of(right));

    return order ? order : compare(monitor_ns(left), monitor_ns(right));
}

static bool same_kind(const struct mv_trace_record *a, const struct mv_trace_record *b)
{
    return kind_of(a) == kind_of(b);
}

static int by_address(const void *a, const void *b)
{
    const struct mv_trace_record *left = a, *right = b;
    int order = compare(left->reason, right->reason);

    if (!order)
        order = compare(left->address, right->address);
    if (!order)
        order = compare(left->write, right->write);
    return order ? order : compare(monitor_ns(left), monitor_ns(right));
}

static bool same_address(const struct mv_trace_record *a, const struct mv_trace_record *b)
{
    return a->reason == b->reason && a->address == b->address && a->write == b->write;
}

static int by_monitor(const void *a, const void *b)
{
    const struct group *left = a, *right = b;
    int order = compare(right->monitor, left->monitor); /* descending */

    return order ? order : compare(left->first, right->first);
}

/* Groups equal neighbours; sorts the groups by the monitor's time, descending.  Returns NULL if out
 * of memory. */
static struct group *make_groups(const struct mv_trace_record *records, size_t count,
                                 bool (*same)(const struct mv_trace_record *,
                                              const struct mv_trace_record *),
                                 size_t *ret_count)
{
    struct group *groups = NULL;
    size_t used = 0, room = 0;

    for (size_t i = 0; i < count; i++) {
        if (i == 0 || !same(&records[i - 1], &records[i])) {
            if (used == room) {
                room = 2 * room + 16;
                struct group *more = reallocarray(groups, room, sizeof(*groups));

                if (!more) {
                    free(groups);
                    return NULL;
                }
                groups = more;
            }
            groups[used++] = (struct group){.first = i};
        }
        groups[used - 1].count++;
        groups[used - 1].guest += records[i].left - records[i].entered;
        groups[used - 1].monitor += monitor_ns(&records[i]);
    }
    if (used)
        qsort(groups, used, sizeof(*groups), by_monitor);
    *ret_count = used;
    return groups;
}

/* ---- text ---- */

/* Three digits and a unit: "12.3 us". */
static const char *duration(uint64_t ns, char buffer[16])
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    double value = (double)ns;
    unsigned unit = 0;

    while (value >= 999.5 && unit + 1 < MV_COUNT(units)) {
        value /= 1000;
        unit++;
    }
    snprintf(buffer, 16, "%.*f %s",
             unit == 0 || value >= 99.95 ? 0
             : value >= 9.995            ? 1
                                         : 2,
             value, units[unit]);
    return buffer;
}

/* The percentile by nearest rank: at least per_cent % of the exits took no longer. */
static uint64_t percentile(const struct mv_trace_record *records, const struct group *group,
                           unsigned per_cent)
{
    size_t rank = (size_t)(((unsigned __int128)group->count * per_cent + 99) / 100);

    return monitor_ns(&records[group->first + rank - 1]);
}

static void print_numbers(FILE *to, const struct mv_trace_record *records,
                          const struct group *group)
{
    char texts[4][16];

    fprintf(to, "%9zu  %8s  %8s  %8s  %8s", group->count, duration(group->guest, texts[0]),
            duration(group->monitor, texts[1]), duration(percentile(records, group, 50), texts[2]),
            duration(percentile(records, group, 99), texts[3]));
}

static void print_title(FILE *to, const char *what)
{
    fprintf(to, "\n%-21s  %9s  %8s  %8s  %8s  %8s\n", what, "count", "guest", "monitor", "p50",
            "p99");
}

static bool print_reasons(FILE *to, struct mv_trace_record *records, size_t count)
{
    MV_CLEANUP_FREE struct group *groups = NULL;
    size_t group_count = 0;
    char name[64];

    qsort(records, count, sizeof(*records), by_kind);
    groups = make_groups(records, count, same_kind, &group_count);
    if (!groups)
        return false;
    print_title(to, "reason");
    for (size_t i = 0; i < group_count; i++) {
        mv_trace_name(&records[groups[i].first], name, sizeof(name));
        fprintf(to, "%-21s  ", name);
        print_numbers(to, records, &groups[i]);
        fputc('\n', to);
    }
    return true;
}

static void print_place(FILE *to, const struct mv_trace *trace,
                        const struct mv_trace_record *record)
{
    const struct mv_trace_device *device = mv_trace_find_device(trace, record);
    char name[64];

    mv_trace_name(record, name, sizeof(name));
    fprintf(to, "  %s %s", name, device ? device->name : "(nothing there)");
    if (device && record->address != device->base)
        fprintf(to, " + %#llx", (unsigned long long)(record->address - device->base));
}

static bool print_addresses(FILE *to, const struct mv_trace *trace, struct mv_trace_record *records,
                            size_t count)
{
    MV_CLEANUP_FREE struct group *groups = NULL;
    size_t group_count = 0, shown = 0, accesses = 0;

    for (size_t i = 0; i < count; i++) /* keeps only accesses */
        if (records[i].size)
            records[accesses++] = records[i];
    if (accesses == 0)
        return true;
    qsort(records, accesses, sizeof(*records), by_address);
    groups = make_groups(records, accesses, same_address, &group_count);
    if (!groups)
        return false;
    print_title(to, "address");
    for (; shown < mv_min(group_count, TOP_ADDRESSES); shown++) {
        const struct mv_trace_record *record = &records[groups[shown].first];

        fprintf(to, "%#-21llx  ", (unsigned long long)record->address);
        print_numbers(to, records, &groups[shown]);
        print_place(to, trace, record);
        fputc('\n', to);
    }
    if (shown < group_count)
        fprintf(to, "and %zu more\n", group_count - shown);
    return true;
}

static void print_head(FILE *to, const struct mv_trace *trace)
{
    const struct mv_trace_header *header = trace->header;
    uint64_t guest = 0, monitor = 0, lost = 0, last = header->began;
    char texts[3][16];

    for (size_t i = 0; i < trace->count; i++) {
        guest += trace->records[i].left - trace->records[i].entered;
        monitor += monitor_ns(&trace->records[i]);
        last = mv_max(last, trace->records[i].done);
    }
    for (unsigned i = 0; i < header->vcpus; i++)
        lost += trace->vcpus[i].lost;
    fprintf(to, "%s on %s with %u vCPU%s, by minivmm %s: status %d\n", header->kernel,
            header->machine == EM_X86_64 ? "x86-64" : "arm64", header->vcpus,
            header->vcpus == 1 ? "" : "s", header->minivmm, (int)header->status);
    fprintf(to, "%zu exits in %s: %s in the guest, %s in the monitor\n", trace->count,
            duration(last - header->began, texts[0]), duration(guest, texts[1]),
            duration(monitor, texts[2]));
    if (lost)
        fprintf(to, "%llu exits before these were lost: --trace FILE,records=N keeps more\n",
                (unsigned long long)lost);
}

bool mv_trace_summarize(const struct mv_trace *trace, FILE *to)
{
    MV_CLEANUP_FREE struct mv_trace_record *records = NULL;

    print_head(to, trace);
    if (trace->count == 0)
        return !ferror(to);
    records = reallocarray(NULL, trace->count, sizeof(*records));
    if (!records)
        return false;
    memcpy(records, trace->records, trace->count * sizeof(*records));
    return print_reasons(to, records, trace->count) &&
           print_addresses(to, trace, records, trace->count) && !ferror(to);
}
