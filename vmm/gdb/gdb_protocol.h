/* SPDX-License-Identifier: MIT */
/*
 * GDB's remote protocol (GDB manual, appendix E) as a model: bytes go in, bytes and calls to a
 * target come out.  It knows no socket, thread or machine; gdb.c has those.
 */
#ifndef MV_GDB_PROTOCOL_H
#define MV_GDB_PROTOCOL_H

#include "minivmm/vcpu.h"

#define MV_GDB_PACKET 4096 /* the longest packet, in bytes between $ and #; as told to GDB */
#define MV_GDB_NOISE  16   /* bytes of no packet that are borne: any request of HTTP's has more */
#define MV_GDB_POINTS 256  /* the most breakpoints in memory */

/* A register as GDB knows it, and what of ours it is. */
struct mv_gdb_register {
    const char *name; /* GDB's; NULL: a feature begins here, whose name is `ours` */
    const char *ours; /* of mv_registers; NULL: it reads as 0 */
    unsigned bits;    /* as GDB counts them: up to 128 */
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

/* What GDB has to know of an architecture: its target description. */
struct mv_gdb_arch {
    const char *name;
    const struct mv_gdb_register *registers; /* in GDB's order */
    size_t count;
    uint8_t breakpoint[4]; /* the instruction, of which so many bytes count: */
    uint32_t breakpoint_size;
};

/* This program's. */
extern const struct mv_gdb_arch mv_gdb_arch;

/* The same for code of 32 bits, whose symbols go with no other description; NULL: none is needed.
 */
extern const struct mv_gdb_arch *const mv_gdb_arch32;

/* A register, and what it is to be. */
struct mv_gdb_value {
    const struct mv_gdb_register *of;
    uint8_t bytes[16]; /* the lowest first, zero beyond those that it has */
};

/*
 * What is debugged.  Registers, memory and points are asked for while it is held only.  What
 * returns int returns 0 or -errno.
 */
struct mv_gdb_target {
    void (*send)(void *context, const char *bytes, size_t size); /* to GDB */
    /* bytes: 16, the lowest first, zero before it is called */
    int (*get_register)(void *context, unsigned cpu, const struct mv_gdb_register *of,
                        uint8_t *bytes);
    /* All of them, or on failure none; count: 1 to MV_REGISTERS_MAX. */
    int (*set_registers)(void *context, unsigned cpu, const struct mv_gdb_value *values,
                         size_t count);
    /* size: 1 to MV_GDB_PACKET / 2; address + size does not wrap beyond 0 */
    int (*read)(void *context, unsigned cpu, uint64_t address, void *ret_data, size_t size);
    int (*write)(void *context, unsigned cpu, uint64_t address, const void *data, size_t size);
    int (*debug)(void *context, unsigned cpu, const struct mv_debug *debug);
    void (*resume)(void *context);
    void (*interrupt)(void *context); /* it shall stop: mv_gdb_protocol_stopped follows */
    void (*leave)(void *context);     /* GDB has no more to say */
    void (*kill)(void *context);      /* the same, and the machine shall end */
};

/* Bytes on their way to be a packet. */
struct mv_gdb_input {
    char packet[MV_GDB_PACKET + 1];
    size_t length;
    enum { MV_GDB_OUTSIDE, MV_GDB_INSIDE, MV_GDB_SUM1, MV_GDB_SUM2 } state;
    bool too_long;
    unsigned noise; /* bytes so far that were of no packet, or of one that never ended */
    uint8_t sum;
    int first; /* digit of the sum that was sent */
};

/* A breakpoint in memory, and what was there. */
struct mv_gdb_point {
    uint64_t address; /* guest-virtual */
    uint8_t original[4];
};

struct mv_gdb_protocol {
    const struct mv_gdb_target *target;
    void *context; /* the target's */
    const struct mv_gdb_arch *arch;
    unsigned cpus;
    bool stands_in; /* the target takes breakpoints in memory for points, too */
    bool attached;  /* there is a GDB */
    bool stopped;   /* it is held; what comes before is not listened to */
    bool no_acks;
    unsigned current; /* the vCPU that registers and memory are of */
    unsigned stopped_cpu;
    struct mv_debug_stop stop;
    struct mv_debug debug;                     /* on all vCPUs, but for the step */
    struct mv_gdb_point points[MV_GDB_POINTS]; /* change while it is held only */
    unsigned point_count;
    struct mv_gdb_input input;
};

/* Until mv_gdb_protocol_attach there is no GDB.  cpus: at least 1. */
void mv_gdb_protocol_init(struct mv_gdb_protocol *protocol, const struct mv_gdb_target *target,
                          void *context, const struct mv_gdb_arch *arch, unsigned cpus);

/* A GDB has come, for which the machine is held. */
void mv_gdb_protocol_attach(struct mv_gdb_protocol *protocol);

/* Whether a debugger's first byte is this: an acknowledgement, a packet, or Ctrl-C. */
bool mv_gdb_begins(char byte);

/* Takes what GDB has sent.  False: more than MV_GDB_NOISE bytes of it are no packets, so it is no
 * GDB; those behind them are not looked at.  The caller closes, and detaches. */
bool mv_gdb_protocol_take(struct mv_gdb_protocol *protocol, const char *bytes, size_t size);

/* The machine is held, and why; signal: as GDB numbers them, 5 for a trap. */
void mv_gdb_protocol_stopped(struct mv_gdb_protocol *protocol, unsigned cpu, int signal,
                             const struct mv_debug_stop *stop);

/* Whether the breakpoint in memory at this guest-virtual address is GDB's, and not the guest's own.
 * From a vCPU's thread, too, before that is held. */
bool mv_gdb_is_point(const struct mv_gdb_protocol *protocol, uint64_t address);

/* GDB has gone without a word, and the machine is held: it goes on without points. */
void mv_gdb_protocol_detach(struct mv_gdb_protocol *protocol);

/* The machine has come to its end. */
void mv_gdb_protocol_ended(struct mv_gdb_protocol *protocol);

#endif
