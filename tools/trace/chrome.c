/* SPDX-License-Identifier: MIT */
/*
 * Writes a trace in Chrome's Trace Event Format: a JSON object with complete ("X"), instant ("i")
 * and metadata ("M") events,
 * https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU.
 *
 * Written by hand: the JSON libraries in Debian build the whole document in memory, two objects
 * for each of a million exits, before they write it.  Nothing here is parsed, and strings from
 * the file are already printable ASCII (mv_trace_parse).
 */
#include <inttypes.h>
#include <string.h>

#include "core/util.h"
#include "trace/format.h"

#define PROCESS "\"pid\":1"

static void put_string(FILE *to, const char *text)
{
    fputc('"', to);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', to);
        fputc(*text, to);
    }
    fputc('"', to);
}

/* The format's unit is microseconds; with nanosecond precision. */
static void put_time(FILE *to, uint64_t ns)
{
    fprintf(to, ",\"ts\":%" PRIu64 ".%03u", ns / 1000, (unsigned)(ns % 1000));
}

/*
 * Writes 0.1 ns less: readers add the duration to the start in floating point, and speedscope
 * rejects the file if, by rounding, an event seems to end after the next begins.
 */
static void put_duration(FILE *to, uint64_t ns)
{
    if (ns == 0)
        fputs(",\"dur\":0", to);
    else
        fprintf(to, ",\"dur\":%" PRIu64 ".%03u9", (ns - 1) / 1000, (unsigned)((ns - 1) % 1000));
}

static void put_thread(FILE *to, unsigned thread, const char *name)
{
    fprintf(to,
            ",\n{\"ph\":\"M\"," PROCESS ",\"tid\":%u,\"name\":\"thread_name\",\"args\":{\"name\":",
            thread);
    put_string(to, name);
    fprintf(to,
            "}},\n{\"ph\":\"M\"," PROCESS
            ",\"tid\":%u,\"name\":\"thread_sort_index\",\"args\":{\"sort_index\":%u}}",
            thread, thread);
}

/* Thread 0: the timeline, that is the monitor's start and end, and the guest's marks. */
static void put_mark(FILE *to, const struct mv_trace *trace, const struct mv_trace_mark *mark)
{
    uint64_t at = mark->ns - mark->took - trace->header->began;

    fprintf(to, ",\n{\"ph\":\"%s\"," PROCESS ",\"tid\":0,\"cat\":\"timeline\",\"name\":",
            mark->took ? "X" : "i");
    put_string(to, mark->name);
    put_time(to, at);
    if (mark->took)
        put_duration(to, mark->took);
    else
        fputs(",\"s\":\"p\"", to);
    fprintf(to, ",\"args\":{\"value\":%" PRId64 "}}", mark->value);
}

static void put_event(FILE *to, unsigned thread, const char *name, uint64_t at, uint64_t took)
{
    fprintf(to, ",\n{\"ph\":\"X\"," PROCESS ",\"tid\":%u,\"name\":", thread);
    put_string(to, name);
    put_time(to, at);
    put_duration(to, took);
}

/* 64-bit numbers are strings, as JSON numbers have only 53 bits in most readers. */
static void put_record(FILE *to, const struct mv_trace *trace, const struct mv_trace_record *record,
                       unsigned thread)
{
    const struct mv_trace_device *device = mv_trace_find_device(trace, record);
    uint64_t began = trace->header->began;
    char kind[64], name[96];

    if (record->left > record->entered) {
        put_event(to, thread, "guest", record->entered - began, record->left - record->entered);
        fputs(",\"cat\":\"guest\"}", to);
    }
    mv_trace_name(record, kind, sizeof(kind));
    snprintf(name, sizeof(name), "%s%s%s", kind, device ? " " : "", device ? device->name : "");
    put_event(to, thread, name, record->left - began, record->done - record->left);
    fputs(",\"cat\":\"monitor\"", to);
    if (record->size)
        fprintf(to,
                ",\"args\":{\"address\":\"%#" PRIx64 "\",\"size\":%u,\"value\":\"%#" PRIx64 "\"}",
                record->address, record->size, record->value);
    fputc('}', to);
}

bool mv_trace_to_chrome(const struct mv_trace *trace, FILE *to)
{
    const struct mv_trace_record *record = trace->records;

    fputs("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n"
          "{\"ph\":\"M\"," PROCESS ",\"tid\":0,\"name\":\"process_name\",\"args\":{\"name\":",
          to);
    put_string(to, trace->header->kernel);
    fputs("}}", to);
    put_thread(to, 0, "monitor");
    for (unsigned i = 0; i < trace->header->marks; i++)
        put_mark(to, trace, &trace->marks[i]);
    for (unsigned i = 0; i < trace->header->vcpus; i++) {
        char name[32];

        snprintf(name, sizeof(name), "vCPU %u", i);
        put_thread(to, i + 1, name);
        for (uint64_t n = trace->vcpus[i].kept; n > 0; n--)
            put_record(to, trace, record++, i + 1);
    }
    fputs("\n]}\n", to);
    return !ferror(to);
}
