/* SPDX-License-Identifier: MIT */
/* A machine that is none, for GDB's protocol: some memory, registers, and a count of what it was
 * told.  It notes what no target may be asked for, and what is no packet. */
#ifndef MV_GDB_RIG_H
#define MV_GDB_RIG_H

#include "gdb/gdb_protocol.h"

#define RIG_CPUS      3
#define RIG_MEMORY    0x10000ull            /* here is as much memory as `memory` has */
#define RIG_TOP       0xfffffffffffff000ull /* and a page here, up to the last address */
#define RIG_REGISTERS 200

struct gdb_rig {
    struct mv_gdb_protocol protocol;
    uint8_t memory[0x3000], top[0x1000];
    uint8_t registers[RIG_CPUS][RIG_REGISTERS][16];
    struct mv_debug debug[RIG_CPUS];
    int refused; /* what setting a point or registers fails with, or 0 */
    char out[2 * MV_GDB_PACKET + 64];
    size_t out_size;
    unsigned resumes, interrupts, leaves, kills, register_sets;
    const char *wrong; /* NULL: all was as it has to be */
};

void gdb_rig_init(struct gdb_rig *rig, const struct mv_gdb_arch *arch);

/* What has come out since the last call has to be acknowledgements and packets.  Notes it in
 * `wrong` otherwise, and forgets it. */
void gdb_rig_check_output(struct gdb_rig *rig);

#endif
