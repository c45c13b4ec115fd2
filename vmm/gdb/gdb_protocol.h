/* SPDX-License-Identifier: MIT */
/*
 * GDB's remote protocol (GDB manual, appendix E) as a pure model: bytes go in, bytes and calls of a
 * target come out.  It knows no socket, thread or machine; these are in gdb.c.
 */
#ifndef MV_GDB_PROTOCOL_H
#define MV_GDB_PROTOCOL_H

#include "minivmm/vcpu.h"

#define MV_GDB_PACKET 4096 /* longest packet, bytes between $ and #; announced to GDB */
#define MV_GDB_NOISE  16   /* tolerated bytes outside of packets; any HTTP request has more */
#define MV_GDB_POINTS 256  /* most breakpoints in memory */

/* A register in GDB's terms, and ours that it corresponds to. */
struct mv_gdb_register {
    const char *name; /* GDB's name; NULL: a feature begins here, whose name is `ours` */
    const char *ours; /* name in mv_registers; NULL: reads as 0 */
    unsigned bits;    /* width in GDB, up to 128 */
    const char *type; /* type in the target description; NULL: integer */
};

#define MV_GDB_FEATURE(name) \
    {                        \
        NULL, name, 0, NULL  \
    }
#define MV_GDB_SAME(name, bits) \
    {                           \
        name, name, bits, NULL  \
    } /* the same name in both */

/* An architecture's target description for GDB. */
struct mv_gdb_arch {
    const char *name;
    const struct mv_gdb_register *registers; /* in GDB's order */
    size_t count;
    uint8_t breakpoint[4];    /* the breakpoint instruction */
    uint32_t breakpoint_size; /* its length in bytes */
};

/* The description for 64-bit code of the architecture of this build. */
extern const struct mv_gdb_arch mv_gdb_arch;

/* The description for 32-bit code, whose symbols do not work with the 64-bit one; NULL if the
 * architecture has no 32-bit code. */
extern const struct mv_gdb_arch *const mv_gdb_arch32;

/* A register and its new value. */
struct mv_gdb_value {
    const struct mv_gdb_register *of;
    uint8_t bytes[16]; /* lowest byte first, zero beyond the register's width */
};

/*
 * The machine being debugged.  Registers, memory and points are accessed only while it is held.
 * Functions that return int return 0 or -errno.
 */
struct mv_gdb_target {
    void (*send)(void *context, const char *bytes, size_t size); /* to GDB */
    /* bytes: 16, lowest first; the caller has zeroed them */
    int (*get_register)(void *context, unsigned cpu, const struct mv_gdb_register *of,
                        uint8_t *bytes);
    /* Sets all registers, or on failure none; count: 1 to MV_REGISTERS_MAX. */
    int (*set_registers)(void *context, unsigned cpu, const struct mv_gdb_value *values,
                         size_t count);
    /* size: 1 to MV_GDB_PACKET / 2; address + size does not wrap around, except to 0 */
    int (*read)(void *context, unsigned cpu, uint64_t address, void *ret_data, size_t size);
    int (*write)(void *context, unsigned cpu, uint64_t address, const void *data, size_t size);
    int (*debug)(void *context, unsigned cpu, const struct mv_debug *debug);
    void (*resume)(void *context);
    void (*interrupt)(void *context); /* stop it; mv_gdb_protocol_stopped follows */
    void (*leave)(void *context);     /* GDB has detached: close the connection */
    void (*kill)(void *context);      /* close the connection and end the machine */
};

/* A packet being received. */
struct mv_gdb_input {
    char packet[MV_GDB_PACKET + 1];
    size_t length;
    enum { MV_GDB_OUTSIDE, MV_GDB_INSIDE, MV_GDB_SUM1, MV_GDB_SUM2 } state;
    bool too_long;
    unsigned noise; /* bytes so far outside of packets, or in packets that never ended */
    uint8_t sum;
    int first; /* first digit of the checksum received */
};

/* A breakpoint in memory, and the code that it replaced. */
struct mv_gdb_point {
    uint64_t address; /* guest-virtual */
    uint8_t original[4];
};

struct mv_gdb_protocol {
    const struct mv_gdb_target *target;
    void *context; /* passed to the target's functions */
    const struct mv_gdb_arch *arch;
    unsigned cpus;
    bool stands_in; /* the target emulates breakpoints: Z0 becomes a point in `debug` */
    bool attached;  /* a GDB is connected */
    bool stopped;   /* the machine is held; packets are ignored while it runs */
    bool no_acks;
    unsigned current; /* the vCPU whose registers and memory GDB accesses */
    unsigned stopped_cpu;
    struct mv_debug_stop stop;
    struct mv_debug debug;                     /* for all vCPUs, except `step` */
    struct mv_gdb_point points[MV_GDB_POINTS]; /* change only while the machine is held */
    unsigned point_count;
    struct mv_gdb_input input;
};

/* No GDB is connected until mv_gdb_protocol_attach.  cpus: at least 1. */
void mv_gdb_protocol_init(struct mv_gdb_protocol *protocol, const struct mv_gdb_target *target,
                          void *context, const struct mv_gdb_arch *arch, unsigned cpus);

/* A GDB has connected, and the machine is held for it. */
void mv_gdb_protocol_attach(struct mv_gdb_protocol *protocol);

/* Whether GDB's first byte can be this: an acknowledgement, a packet, or Ctrl-C. */
bool mv_gdb_begins(char byte);

/* Processes bytes from GDB.  Returns false if more than MV_GDB_NOISE bytes were outside of packets,
 * so the client is not GDB; the rest is ignored.  The caller must close and detach. */
bool mv_gdb_protocol_take(struct mv_gdb_protocol *protocol, const char *bytes, size_t size);

/* The machine is held, for this reason.  signal: GDB's number, 5 for a trap. */
void mv_gdb_protocol_stopped(struct mv_gdb_protocol *protocol, unsigned cpu, int signal,
                             const struct mv_debug_stop *stop);

/* Whether the breakpoint in memory at this guest-virtual address is GDB's, and not the guest's own.
 * Also callable from a vCPU's thread before it is held. */
bool mv_gdb_is_point(const struct mv_gdb_protocol *protocol, uint64_t address);

/* GDB has disconnected or detached, and the machine is held: removes all points and continues. */
void mv_gdb_protocol_detach(struct mv_gdb_protocol *protocol);

/* The machine has ended: tells GDB. */
void mv_gdb_protocol_ended(struct mv_gdb_protocol *protocol);

#endif
