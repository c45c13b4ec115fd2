/* SPDX-License-Identifier: MIT */
/*
 * GDB's remote protocol (GDB manual, appendix E) for one machine, built only on the public
 * interface.  The process's main thread serves GDB; the hook runs in the vCPUs' threads.
 */
#ifndef MV_GDB_H
#define MV_GDB_H

#include <stdatomic.h>

#include "gdb_protocol.h"

struct mv_gdb {
    int listener, client; /* -1: none */
    int event;            /* eventfd: signalled once the machine is held; the reason is in: */
    unsigned stopped_cpu;
    int signal;
    struct mv_debug_stop stop;
    atomic_bool caught; /* set by the thread that holds the machine and writes these three */
    char path[108];     /* of a Unix socket, which close removes; "" for TCP */
    char name[128];     /* for GDB's `target remote` */
    struct mv_machine *machine;
    unsigned bits;     /* code width reported to GDB, 32 or 64; 0: see below */
    bool kernel_is_32; /* the kernel is a 32-bit file: if `bits` is 0, its code is 32-bit unless
                          the vCPU is in long mode */
    struct mv_gdb_protocol protocol;
    int stepping; /* the vCPU that makes a single step, or -1 */
    bool masked;  /* interrupts are masked for that step */
    /* Breakpoints and watchpoints do not work here: emulate them by single steps. */
    bool stands_in;
    _Atomic uint64_t watched[MV_DEBUG_POINTS]; /* last known value at each watchpoint */
};

/*
 * Opens the socket.  "unix:PATH": a file of mode 0600, which mv_gdb_close removes; replaces a
 * stale socket.  "ADDRESS:PORT": TCP over IPv4, which other users can reach.  Returns 0, or -errno
 * with *err filled in.  Call mv_gdb_close in either case.
 */
int mv_gdb_open(struct mv_gdb *gdb, const char *address, struct mv_error *err);

/*
 * By architecture: masks interrupts of a vCPU that is about to make a step, if necessary.  If it
 * returns true, they must be unmasked afterwards, even if the step did not take place.
 */
bool mv_gdb_mask_interrupts(struct mv_vcpu *vcpu);
void mv_gdb_unmask_interrupts(struct mv_vcpu *vcpu);

/* Whether the processor is in long mode, so that its code is no longer 32-bit. */
bool mv_gdb_is_long_mode(struct mv_vcpu *vcpu);

/* For the machine's configuration. */
struct mv_hook mv_gdb_hook(struct mv_gdb *gdb);

/*
 * Starts the machine, held at its first instruction until a debugger continues it, and serves
 * debuggers, one at a time, until it has ended.  Then mv_machine_wait returns at once.
 */
int mv_gdb_serve(struct mv_gdb *gdb, struct mv_machine *machine, unsigned cpus,
                 struct mv_error *err);

void mv_gdb_close(struct mv_gdb *gdb);

#endif
