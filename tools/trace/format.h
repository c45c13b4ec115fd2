/* SPDX-License-Identifier: MIT */
/*
 * The file format of a trace, written by `minivmm --trace` and read by `minivmm trace`.
 *
 *      0  struct mv_trace_header
 *    200  struct mv_trace_device   for each device
 *         struct mv_trace_mark     for each entry of the timeline, in order of time
 *         struct mv_trace_vcpu     for each vCPU
 *         struct mv_trace_record   (minivmm/trace.h) for each exit: vCPU 0's, oldest first,
 *                                  then vCPU 1's, and so on, to the end of the file
 *
 * All is little-endian and aligned to 8 bytes.  Strings are padded with at least one zero
 * byte.  Times are nanoseconds of the host's CLOCK_MONOTONIC, not before `began`.  Adding a
 * field needs a new version; a reader refuses other versions.
 */
#ifndef MV_TRACE_FORMAT_H
#define MV_TRACE_FORMAT_H

#include <stdio.h>

#include "minivmm/trace.h"

#define MV_TRACE_MAGIC   "mvtrace\n"
#define MV_TRACE_VERSION 1u

/* Limits for a valid file; readers search all devices for each exit. */
#define MV_TRACE_VCPUS   4096u /* KVM's own limit */
#define MV_TRACE_DEVICES 128u
#define MV_TRACE_MARKS   1024u

struct mv_trace_header {
    char magic[8];
    uint32_t version;
    uint32_t machine; /* architecture, as e_machine (elf.h): 62 x86-64, 183 arm64 */
    uint32_t vcpus, devices, marks;
    uint32_t reason;   /* why the machine ended: enum mv_end_reason */
    int32_t status;    /* exit status of minivmm */
    uint32_t reserved; /* 0 */
    uint64_t began;    /* when minivmm was started */
    uint64_t date;     /* the same moment, in nanoseconds since 1970 */
    char minivmm[16];  /* version of minivmm */
    char kernel[128];  /* file name without directory */
};

struct mv_trace_device {
    char name[16];
    uint64_t base, size;
    uint32_t space; /* enum mv_space */
    uint32_t reserved;
};

struct mv_trace_mark { /* struct mv_mark */
    uint64_t ns, took;
    int64_t value;
    char name[40];
};

struct mv_trace_vcpu {
    uint64_t kept; /* records in this file */
    uint64_t lost; /* older records that were overwritten */
};

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "structs are written as they are");
_Static_assert(sizeof(struct mv_trace_header) == 200 && sizeof(struct mv_trace_device) == 40 &&
                   sizeof(struct mv_trace_mark) == 64 && sizeof(struct mv_trace_vcpu) == 16 &&
                   sizeof(struct mv_trace_record) == 48,
               "the format has no holes");

/* ---- writing ---- */

/* Facts about a run that the machine does not know. */
struct mv_trace_run {
    const char *kernel;
    uint64_t began;
    unsigned vcpus;
    int status;
    enum mv_end_reason reason;
};

/* Writes the trace after the machine has run.  Returns 0 or -errno. */
int mv_trace_write(const char *path, const struct mv_machine *machine,
                   const struct mv_trace_run *run);

/* ---- reading ---- */

/* A validated trace in memory. */
struct mv_trace {
    void *data; /* allocated; the other pointers point into it */
    size_t size;
    const struct mv_trace_header *header;
    struct mv_trace_device *devices;
    struct mv_trace_mark *marks;
    const struct mv_trace_vcpu *vcpus;
    const struct mv_trace_record *records;
    size_t count; /* records of all vCPUs */
};

/*
 * Validates a trace of `size` bytes, allocated by malloc.  Returns 0, and *ret_trace owns data; or
 * -EINVAL with *err filled in.  The file is not trusted: all strings are made printable ASCII, so
 * that they are safe to show.
 */
int mv_trace_parse(void *data, size_t size, struct mv_trace *ret_trace, struct mv_error *err);

/* Reads and validates a file.  Returns 0, or -errno with *err filled in. */
int mv_trace_read(const char *path, struct mv_trace *ret_trace, struct mv_error *err);
void mv_trace_done(struct mv_trace *trace);

/* The device that a record accesses, or NULL. */
const struct mv_trace_device *mv_trace_find_device(const struct mv_trace *trace,
                                                   const struct mv_trace_record *record);

/* "IO write", "MMIO read", or only the reason if it is not an access. */
void mv_trace_name(const struct mv_trace_record *record, char *ret_name, size_t size);

/* ---- showing: each function returns whether all output was written ---- */

/* A summary for a terminal. */
bool mv_trace_summarize(const struct mv_trace *trace, FILE *to);

/* Chrome's Trace Event Format (JSON), which Perfetto and speedscope open. */
bool mv_trace_to_chrome(const struct mv_trace *trace, FILE *to);

/* A self-contained HTML page, which works offline. */
bool mv_trace_to_html(const struct mv_trace *trace, FILE *to);

/* ---- the command `minivmm trace` ---- */

extern const char mv_trace_help[];

/* argv[0] is "trace".  Returns the exit status. */
int mv_trace_command(int argc, char **argv);

#endif
