/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: GDB's protocol.  The input is lines.  One that begins with = goes in as it is, one
 * with ! is the machine's: it stops, ends, or loses its debugger, if it can; all others are
 * packets, which get their frame and sum.
 */
#include "gdb/gdb_protocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gdb_rig.h"

static struct gdb_rig rig;

static void check(void)
{
    const struct mv_gdb_protocol *protocol = &rig.protocol;

    gdb_rig_check_output(&rig);
    if (protocol->current >= RIG_CPUS || protocol->debug.count > MV_DEBUG_POINTS ||
        protocol->point_count > MV_GDB_POINTS)
        rig.wrong = "vCPU and points are in range";
    if (protocol->input.length > MV_GDB_PACKET)
        rig.wrong = "no packet is too long";
    if (!rig.wrong)
        return;
    fprintf(stderr, "not true: %s\n", rig.wrong);
    abort();
}

static void take(const void *bytes, size_t size)
{
    mv_gdb_protocol_take(&rig.protocol, bytes, size);
}

static void take_packet(const uint8_t *body, size_t size)
{
    char end[4];
    uint8_t sum = 0;

    for (size_t i = 0; i < size; i++)
        sum = (uint8_t)(sum + body[i]);
    snprintf(end, sizeof(end), "#%02x", sum);
    take("$", 1);
    take(body, size);
    take(end, 3);
}

static void happen(uint8_t what)
{
    struct mv_gdb_protocol *protocol = &rig.protocol;
    struct mv_debug_stop stop = {.reason = what % 4, .address = what * 0x0101010101010101ull};

    if (!protocol->stopped)
        mv_gdb_protocol_stopped(protocol, what % RIG_CPUS, what & 64 ? 2 : 5, &stop);
    else if (!protocol->attached)
        mv_gdb_protocol_attach(protocol);
    else if (what & 32)
        mv_gdb_protocol_detach(protocol);
    else if (what & 16)
        mv_gdb_protocol_ended(protocol);
}

static void take_line(const uint8_t *line, size_t size)
{
    if (size > 0 && *line == '=')
        take(line + 1, size - 1);
    else if (size > 0 && *line == '!')
        happen(size > 1 ? line[1] : 0);
    else
        take_packet(line, size);
    check();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gdb_rig_init(&rig, &mv_gdb_arch);
    rig.protocol.stands_in = size & 1;
    mv_gdb_protocol_attach(&rig.protocol);
    for (size_t at = 0; at < size;) {
        const uint8_t *end = memchr(data + at, '\n', size - at);
        size_t length = end ? (size_t)(end - data) - at : size - at;

        take_line(data + at, length);
        at += length + 1;
    }
    return 0;
}
