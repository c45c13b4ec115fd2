/* SPDX-License-Identifier: MIT */
/*
 * A trace in a file, as `minivmm --trace` writes it and `minivmm trace` reads it.
 *
 *      0  struct mv_trace_header
 *    200  struct mv_trace_device   for each device
 *         struct mv_trace_mark     for each entry of the timeline, in order of time
 *         struct mv_trace_vcpu     for each vCPU
 *         struct mv_trace_record   (minivmm/trace.h) vCPU 0's, the oldest first, then
 *                                  vCPU 1's, and so on, to the end of the file
 *
 * All is little-endian and aligned to 8 bytes.  Texts end with a zero byte, and the rest of
 * theirs is zero, too.  Times are nanoseconds of the host's CLOCK_MONOTONIC, none before
 * `began`.  A reader refuses another version; a field that is added later takes one.
 */
#ifndef MV_TRACE_FORMAT_H
#define MV_TRACE_FORMAT_H

#include <stdio.h>

#include "minivmm/trace.h"

#define MV_TRACE_MAGIC   "mvtrace\n"
#define MV_TRACE_VERSION 1u

/* More of these is no trace: readers look through all devices for each exit. */
#define MV_TRACE_VCPUS   4096u /* KVM's own limit */
#define MV_TRACE_DEVICES 128u
#define MV_TRACE_MARKS   1024u

struct mv_trace_header {
    char magic[8];
    uint32_t version;
    uint32_t machine; /* e_machine of its executables (elf.h): 62 x86-64, 183 arm64 */
    uint32_t vcpus, devices, marks;
    uint32_t reason;   /* why it ended: enum mv_end_reason */
    int32_t status;    /* exit status of minivmm */
    uint32_t reserved; /* 0 */
    uint64_t began;    /* when minivmm was started */
    uint64_t date;     /* the same moment, in nanoseconds since 1970 */
    char minivmm[16];  /* its version */
    char kernel[128];  /* the file's name, without its folder */
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
    uint64_t lost; /* older ones that are not */
};

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "structs are written as they are");
_Static_assert(sizeof(struct mv_trace_header) == 200 && sizeof(struct mv_trace_device) == 40 &&
                   sizeof(struct mv_trace_mark) == 64 && sizeof(struct mv_trace_vcpu) == 16 &&
                   sizeof(struct mv_trace_record) == 48,
               "the format has no holes");

/* ---- writing ---- */

/* What the machine does not know of itself. */
struct mv_trace_run {
    const char *kernel;
    uint64_t began;
    unsigned vcpus;
    int status;
    enum mv_end_reason reason;
};

/* After the machine has run: 0 or -errno. */
int mv_trace_write(const char *path, const struct mv_machine *machine,
                   const struct mv_trace_run *run);

/* ---- reading ---- */

/* A trace in memory, found to be whole. */
struct mv_trace {
    void *data; /* to be freed; all the others point into it */
    size_t size;
    const struct mv_trace_header *header;
    struct mv_trace_device *devices;
    struct mv_trace_mark *marks;
    const struct mv_trace_vcpu *vcpus;
    const struct mv_trace_record *records;
    size_t count; /* of the records of all vCPUs */
};

/*
 * Takes `size` bytes from malloc, which belong to *ret_trace from then on if all of them keep to
 * the format: -EINVAL, explained, if not.  What comes from the file may be anybody's: its texts
 * are made printable ASCII here, so that they can be shown anywhere.
 */
int mv_trace_parse(void *data, size_t size, struct mv_trace *ret_trace, struct mv_error *err);

/* The same from a file: 0, or a negative errno value, explained. */
int mv_trace_read(const char *path, struct mv_trace *ret_trace, struct mv_error *err);
void mv_trace_done(struct mv_trace *trace);

/* The device that a record's access belongs to, or NULL. */
const struct mv_trace_device *mv_trace_find_device(const struct mv_trace *trace,
                                                   const struct mv_trace_record *record);

/* "IO write", "MMIO read", or the reason alone. */
void mv_trace_name(const struct mv_trace_record *record, char *ret_name, size_t size);

/* ---- showing: each returns whether all could be written ---- */

/* A summary for a terminal. */
bool mv_trace_summarize(const struct mv_trace *trace, FILE *to);

/* The Trace Event Format of Chrome, JSON, which Perfetto and speedscope open. */
bool mv_trace_to_chrome(const struct mv_trace *trace, FILE *to);

/* One page that works offline. */
bool mv_trace_to_html(const struct mv_trace *trace, FILE *to);

/* ---- the command `minivmm trace` ---- */

extern const char mv_trace_help[];

/* argv[0] is "trace".  Returns the exit status. */
int mv_trace_command(int argc, char **argv);

#endif
