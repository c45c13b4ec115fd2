/* SPDX-License-Identifier: MIT */
/* Replaces all other files here when minivmm is built without gdb. */
#include <errno.h>

#include "core/log.h"
#include "gdb.h"

int mv_gdb_open(struct mv_gdb *gdb, const char *address, struct mv_error *err)
{
    (void)gdb, (void)address;
    return mv_fail(err, -ENOSYS, NULL,
                   "build it with the parts gdb, embed and debug (-DMINIVMM_PARTS)",
                   "this minivmm was built without gdb: it serves no debugger");
}

int mv_gdb_serve(struct mv_gdb *gdb, struct mv_machine *machine, unsigned cpus,
                 struct mv_error *err)
{
    (void)gdb, (void)machine, (void)cpus, (void)err;
    return -ENOSYS;
}

static bool pass(void *context, struct mv_vcpu *vcpu, struct mv_exit *exit)
{
    (void)context, (void)vcpu, (void)exit;
    return false;
}

/* The machine is created with this hook even though mv_gdb_open will fail. */
struct mv_hook mv_gdb_hook(struct mv_gdb *gdb)
{
    (void)gdb;
    return (struct mv_hook){.size = sizeof(struct mv_hook), .kind = MV_EXIT_DEBUG, .fn = pass};
}

void mv_gdb_close(struct mv_gdb *gdb)
{
    (void)gdb;
}
