/* SPDX-License-Identifier: MIT */
/* Reads and validates a trace: see format.h.  Nothing in the file is trusted. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/log.h"
#include "core/util.h"
#include "minivmm/device.h"
#include "minivmm/vcpu.h"
#include "trace/format.h"

#define LONGEST \
    (1ull << 53) /* nanoseconds, 104 days: integers are exact in JavaScript up to this limit */

static int refuse(struct mv_error *err, const char *why)
{
    return mv_fail(err, -EINVAL, NULL, "minivmm --trace FILE makes one", "it is no whole trace: %s",
                   why);
}

/* Replaces unprintable characters; returns false if the string is not terminated. */
static bool clean(char *text, size_t size)
{
    if (text[size - 1])
        return false;
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            *text = '?';
    return true;
}

static const char *check_header(struct mv_trace_header *header)
{
    if (memcmp(header->magic, MV_TRACE_MAGIC, sizeof(header->magic)) != 0)
        return "it begins otherwise";
    if (header->version != MV_TRACE_VERSION)
        return "it is of another version";
    if (header->machine != EM_X86_64 && header->machine != EM_AARCH64)
        return "it is of an unknown architecture";
    if (header->vcpus == 0 || header->vcpus > MV_TRACE_VCPUS ||
        header->devices > MV_TRACE_DEVICES || header->marks > MV_TRACE_MARKS)
        return "it has too many, or too few, vCPUs, devices or marks";
    if (header->reason > MV_END_BIOS_CALL)
        return "it ended for an unknown reason";
    if (!clean(header->minivmm, sizeof(header->minivmm)) ||
        !clean(header->kernel, sizeof(header->kernel)))
        return "a text does not end";
    return NULL;
}

static bool is_time(const struct mv_trace_header *header, uint64_t ns)
{
    return ns >= header->began && ns - header->began < LONGEST;
}

static const char *check_devices(struct mv_trace_device *devices, unsigned count)
{
    uint64_t last;

    for (unsigned i = 0; i < count; i++)
        if (!clean(devices[i].name, sizeof(devices[i].name)) || devices[i].size == 0 ||
            mv_add_overflows(devices[i].base, devices[i].size - 1, &last) ||
            devices[i].space > MV_SPACE_PORT)
            return "a device is none";
    return NULL;
}

static const char *check_marks(const struct mv_trace_header *header, struct mv_trace_mark *marks)
{
    for (unsigned i = 0; i < header->marks; i++)
        if (!clean(marks[i].name, sizeof(marks[i].name)) || !is_time(header, marks[i].ns) ||
            marks[i].took > marks[i].ns || !is_time(header, marks[i].ns - marks[i].took))
            return "a mark is none";
    return NULL;
}

static const char *check_vcpu(const struct mv_trace_header *header,
                              const struct mv_trace_record *records, uint64_t count)
{
    uint64_t last = header->began;

    for (uint64_t i = 0; i < count; i++) {
        const struct mv_trace_record *record = &records[i];

        if (record->entered < last || record->left < record->entered ||
            record->done < record->left || !is_time(header, record->done))
            return "its times are not in order";
        if (record->size > 8 || record->write > 1 || record->more > 1 || record->reserved)
            return "a record is none";
        last = record->done;
    }
    return NULL;
}

/* Locates the parts; returns false if their sizes do not add up to the file's. */
static bool divide(struct mv_trace *trace, uint8_t *data, size_t size)
{
    const struct mv_trace_header *header = trace->header;
    size_t at = sizeof(*header), left;

    trace->devices = (void *)(data + at);
    at += header->devices * sizeof(*trace->devices);
    trace->marks = (void *)(data + at);
    at += header->marks * sizeof(*trace->marks);
    trace->vcpus = (const void *)(data + at);
    at += header->vcpus * sizeof(*trace->vcpus);
    if (at > size)
        return false;
    trace->records = (const void *)(data + at);
    left = size - at;
    trace->count = left / sizeof(*trace->records);
    for (unsigned i = 0; i < header->vcpus; i++) {
        if (trace->vcpus[i].kept > left / sizeof(*trace->records))
            return false;
        left -= (size_t)trace->vcpus[i].kept * sizeof(*trace->records);
    }
    return left == 0;
}

static const char *check(struct mv_trace *trace, uint8_t *data, size_t size)
{
    struct mv_trace_header *header = (void *)data;
    const struct mv_trace_record *records;
    const char *why;

    if (size < sizeof(*header))
        return "it is too short";
    why = check_header(header);
    if (why)
        return why;
    trace->header = header;
    if (!divide(trace, data, size))
        return "its size is another than its parts say";
    why = check_devices(trace->devices, header->devices);
    if (!why)
        why = check_marks(header, trace->marks);
    records = trace->records;
    for (unsigned i = 0; !why && i < header->vcpus; i++) {
        why = check_vcpu(header, records, trace->vcpus[i].kept);
        records += trace->vcpus[i].kept;
    }
    return why;
}

int mv_trace_parse(void *data, size_t size, struct mv_trace *ret_trace, struct mv_error *err)
{
    struct mv_trace trace = {.data = data, .size = size};
    const char *why = check(&trace, data, size);

    if (why)
        return refuse(err, why);
    *ret_trace = trace;
    return 0;
}

int mv_trace_read(const char *path, struct mv_trace *ret_trace, struct mv_error *err)
{
    MV_CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    MV_CLEANUP_FREE void *data = NULL;
    struct mv_trace_header header;
    const char *why;
    struct stat st;
    int error;

    if (fd < 0)
        return mv_fail(err, -errno, "open", "check the path", "cannot open the trace %s: %s", path,
                       strerror(errno));
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return mv_fail(err, -EINVAL, NULL, "minivmm --trace FILE makes one",
                       "the trace %s is no regular file", path);
    /* check the header first, to avoid reading a large file that is not a trace */
    error = mv_read_at(fd, 0, &header, sizeof(header));
    why = error == 0 ? check_header(&header) : NULL;
    if (why)
        return refuse(err, why);
    data = malloc((size_t)st.st_size + 1);
    if (!data)
        return mv_fail(err, -ENOMEM, NULL, "trace fewer records", "no memory for the trace %s",
                       path);
    error = mv_read_at(fd, 0, data, (size_t)st.st_size);
    if (error)
        return mv_fail(err, error, "pread", NULL, "cannot read the trace %s: %s", path,
                       strerror(-error));
    error = mv_trace_parse(data, (size_t)st.st_size, ret_trace, err);
    if (!error)
        data = NULL;
    return error;
}

void mv_trace_done(struct mv_trace *trace)
{
    free(trace->data);
    *trace = (struct mv_trace){0};
}

/* Compares the name, as only the library includes linux/kvm.h. */
static bool is_port(const struct mv_trace_record *record)
{
    return strcmp(mv_exit_name(record->reason), "IO") == 0;
}

const struct mv_trace_device *mv_trace_find_device(const struct mv_trace *trace,
                                                   const struct mv_trace_record *record)
{
    uint32_t space = is_port(record) ? MV_SPACE_PORT : MV_SPACE_MMIO;

    for (unsigned i = 0; record->size && i < trace->header->devices; i++) {
        const struct mv_trace_device *device = &trace->devices[i];

        if (device->space == space && record->address - device->base < device->size)
            return device;
    }
    return NULL;
}

void mv_trace_name(const struct mv_trace_record *record, char *ret_name, size_t size)
{
    const char *access = !record->size ? "" : record->write ? " write" : " read";

    snprintf(ret_name, size, "%s%s", mv_exit_name(record->reason), access);
}
