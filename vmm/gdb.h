/* SPDX-License-Identifier: MIT */
/*
 * GDB's remote protocol (GDB manual, appendix E) for one machine, built on the public interface
 * only.  A machine is served by one thread, which is its main one; the hook runs in the vCPUs'.
 */
#ifndef MV_GDB_H
#define MV_GDB_H

#include <stdatomic.h>
#include <stdio.h>

#include "minivmm/vcpu.h"

/* A register as GDB knows it, and what of ours it is. */
struct mv_gdb_register {
    const char *name; /* GDB's; NULL: a feature begins here, whose name is `ours` */
    const char *ours; /* of mv_registers; NULL: it reads as 0 */
    unsigned bits;    /* as GDB counts them */
    const char *type; /* of the target description, or NULL for a number */
};

#define MV_GDB_FEATURE(name) \
    {                        \
        NULL, name, 0, NULL  \
    }
#define MV_GDB_SAME(name, bits) \
    {                           \
        name, name, bits, NULL  \
    } /* what both call the same */

/* The architecture's: its name, the registers of its target description in their order, and how a
 * breakpoint of one instruction is sized. */
extern const char mv_gdb_architecture[];
extern const struct mv_gdb_register mv_gdb_registers[];
extern const size_t mv_gdb_register_count;
extern const unsigned mv_gdb_breakpoint_size;

struct mv_gdb {
    int listener, client; /* -1: none */
    int event;            /* eventfd: a vCPU has stopped for us */
    char path[108];       /* of a Unix socket, to be removed; "" for TCP */
    struct mv_machine *machine;
    unsigned cpus;
    bool stopped, ended, no_acks;
    unsigned current;   /* the vCPU that registers and memory are of */
    atomic_bool caught; /* a vCPU has taken the hold of this stop, and written: */
    unsigned stopped_cpu;
    struct mv_debug_stop stop;
    struct mv_debug debug; /* on all vCPUs, but for the step */
};

/*
 * Opens the socket: "unix:PATH", or "[ADDRESS:]PORT" for TCP by IPv4, on loopback if no address
 * is named.  0, or
 * -errno with *err filled in.
 */
int mv_gdb_open(struct mv_gdb *gdb, const char *address, struct mv_error *err);

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
