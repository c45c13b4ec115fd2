/* SPDX-License-Identifier: MIT */
/* A small trace made in memory: well formed, to be mutilated by a test.  Also the seed of a fuzz
 * target. */
#ifndef MV_TEST_TRACES_H
#define MV_TEST_TRACES_H

#include "trace/format.h"

enum { TRACE_RECORDS = 5, TRACE_BEGAN = 1000000 };

/* With two vCPUs, and one device in each space. */
struct trace_file {
    struct mv_trace_header header;
    struct mv_trace_device devices[2];
    struct mv_trace_mark marks[2];
    struct mv_trace_vcpu vcpus[2];
    struct mv_trace_record records[TRACE_RECORDS]; /* 4 of vCPU 0, 1 of vCPU 1 */
};

struct trace_file trace_make(void);

#endif
