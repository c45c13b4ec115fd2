/* SPDX-License-Identifier: MIT */
/* Writes a trace: see format.h. */
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "core/util.h"
#include "minivmm/device.h"
#include "trace/format.h"

#define CHUNK 1024 /* records copied at a time */

/* Truncates the text if necessary; the rest of the buffer is already zero. */
static void put_text(char *to, size_t size, const char *text)
{
    snprintf(to, size, "%s", text);
}

static uint32_t elf_machine(void)
{
    struct utsname host;

    return uname(&host) == 0 && strcmp(host.machine, "aarch64") == 0 ? EM_AARCH64 : EM_X86_64;
}

static void write_header(FILE *to, const struct mv_trace_run *run, unsigned devices, size_t marks)
{
    const char *slash = strrchr(run->kernel, '/');
    struct mv_trace_header header = {
        .version = MV_TRACE_VERSION,
        .machine = elf_machine(),
        .vcpus = run->vcpus,
        .devices = devices,
        .marks = (uint32_t)marks,
        .reason = run->reason,
        .status = run->status,
        .began = run->began,
    };
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    header.date = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec -
                  (mv_monotonic_ns() - run->began);
    memcpy(header.magic, MV_TRACE_MAGIC, sizeof(header.magic));
    put_text(header.minivmm, sizeof(header.minivmm), mv_version());
    put_text(header.kernel, sizeof(header.kernel), slash ? slash + 1 : run->kernel);
    fwrite(&header, sizeof(header), 1, to);
}

static void write_devices(FILE *to, const struct mv_machine *machine, unsigned count)
{
    struct mv_device_desc desc = {.size = sizeof(desc)};

    for (unsigned i = 0; i < count; i++) {
        struct mv_trace_device device = {0};

        mv_machine_devices(machine, i, &desc);
        put_text(device.name, sizeof(device.name), desc.name);
        device.base = desc.base;
        device.size = desc.bytes;
        device.space = desc.space;
        fwrite(&device, sizeof(device), 1, to);
    }
}

static void write_marks(FILE *to, const struct mv_mark *marks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct mv_trace_mark mark = {
            .ns = marks[i].ns, .took = marks[i].took, .value = marks[i].value};

        put_text(mark.name, sizeof(mark.name), marks[i].name);
        fwrite(&mark, sizeof(mark), 1, to);
    }
}

static void write_records(FILE *to, const struct mv_machine *machine, unsigned vcpus)
{
    static struct mv_trace_record some[CHUNK];
    size_t count;

    for (unsigned i = 0; i < vcpus; i++) {
        struct mv_trace_vcpu vcpu;

        vcpu.kept = mv_machine_trace_count(machine, i, &vcpu.lost);
        fwrite(&vcpu, sizeof(vcpu), 1, to);
    }
    for (unsigned i = 0; i < vcpus; i++)
        for (uint64_t at = 0; (count = mv_machine_trace(machine, i, at, some, CHUNK)) > 0;
             at += count)
            fwrite(some, sizeof(some[0]), count, to);
}

int mv_trace_write(const char *path, const struct mv_machine *machine,
                   const struct mv_trace_run *run)
{
    struct mv_mark marks[128];
    size_t mark_count =
        mv_min(mv_machine_timeline(machine, marks, MV_COUNT(marks)), MV_COUNT(marks));
    unsigned devices = mv_machine_devices(machine, UINT32_MAX, NULL);
    FILE *to = fopen(path, "we");
    int error;

    if (!to)
        return -errno;
    errno = 0;
    write_header(to, run, devices, mark_count);
    write_devices(to, machine, devices);
    write_marks(to, marks, mark_count);
    write_records(to, machine, run->vcpus);
    error = ferror(to) ? -errno : 0;
    if (fclose(to) != 0 && !error)
        error = -errno;
    return error;
}
