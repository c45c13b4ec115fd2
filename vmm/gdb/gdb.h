/* SPDX-License-Identifier: MIT */
/*
 * GDB's remote protocol (GDB manual, appendix E) for one machine, built on the public interface
 * only.  A machine is served by one thread, which is its main one; the hook runs in the vCPUs'.
 */
#ifndef MV_GDB_H
#define MV_GDB_H

#include <stdatomic.h>

#include "gdb_protocol.h"

struct mv_gdb {
    int listener, client; /* -1: none */
    int event;            /* eventfd: the machine is held, and why is in: */
    unsigned stopped_cpu;
    int signal;
    struct mv_debug_stop stop;
    atomic_bool caught; /* somebody has taken the hold of this stop, and writes those three */
    char path[108];     /* of a Unix socket, to be removed; "" for TCP */
    char name[128];     /* for GDB's `target remote` */
    struct mv_machine *machine;
    unsigned bits;     /* 32 or 64: what debuggers are told that the code has; 0: see below */
    bool kernel_is_32; /* it is a file of 32 bits, so without `bits` its code is, outside of long
                          mode */
    struct mv_gdb_protocol protocol;
    int stepping; /* the vCPU whose one step is asked for, or -1 */
    bool masked;  /* it has its interrupts masked for it */
    /* Where break- and watchpoints do not work, vCPUs make single steps, each looked at: */
    bool stands_in;
    _Atomic uint64_t watched[MV_DEBUG_POINTS]; /* what was seen there last */
};

/*
 * Opens the socket: "unix:PATH", a file of mode 0600 that mv_gdb_close removes, in place of one
 * that nobody listens at; or "ADDRESS:PORT" for TCP by IPv4, which others can reach.  0, or -errno
 * with *err filled in.  Either way mv_gdb_close follows.
 */
int mv_gdb_open(struct mv_gdb *gdb, const char *address, struct mv_error *err);

/*
 * The architecture's: keeps interrupts from a vCPU that is about to make a step, where they have to
 * be.  True: to be undone after it, which may not have come to pass.
 */
bool mv_gdb_mask_interrupts(struct mv_vcpu *vcpu);
void mv_gdb_unmask_interrupts(struct mv_vcpu *vcpu);

/* Has the processor left 32-bit code behind? */
bool mv_gdb_is_long_mode(struct mv_vcpu *vcpu);

/* For the machine's configuration. */
struct mv_hook mv_gdb_hook(struct mv_gdb *gdb);

/*
 * Starts the machine, held at its first instruction until a debugger lets it go on, and serves
 * debuggers, one after the other, until it has ended.  Then mv_machine_wait returns at once.
 */
int mv_gdb_serve(struct mv_gdb *gdb, struct mv_machine *machine, unsigned cpus,
                 struct mv_error *err);

void mv_gdb_close(struct mv_gdb *gdb);

#endif
