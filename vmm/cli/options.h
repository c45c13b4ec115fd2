/* SPDX-License-Identifier: MIT */
/* Parses the command line of minivmm into a struct. */
#ifndef MV_OPTIONS_H
#define MV_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "minivmm/minivmm.h"

enum mv_action {
    MV_ACTION_RUN,
    MV_ACTION_HELP,
    MV_ACTION_VERSION,
};

struct mv_options {
    enum mv_action action;
    const char *kernel, *initrd, *timeline, *gdb; /* point into argv; NULL: not given */
    const char *initrds[MV_INITRDS_MAX];          /* additional initrds, after initrd */
    unsigned initrd_count;
    unsigned gdb_bits; /* width of the code for GDB, 32 or 64; 0: not given */
    const char *dump;  /* path for the firmware tables; NULL: run the machine */
    const char *trace; /* path for the trace, points into trace_words; NULL: not given */
    size_t trace_records;
    char *trace_words;        /* allocated */
    char *append;             /* kernel command line, allocated; NULL: none */
    const char *linux_append; /* prepended to append for Linux; NULL: nothing */
    uint64_t memory;          /* bytes; 0: default */
    unsigned cpus;            /* 0: default */
    bool verbose, step, rng;
    bool explain; /* the command `explain`: check the vCPU's state, and explain a crash */
    struct mv_disk disks[MV_DISKS_MAX];
    char *disk_words[MV_DISKS_MAX]; /* allocated; the disks' strings point into these */
    unsigned disk_count;
};

/*
 * Returns true, or false with a message and a hint in message[0] and [1] (each
 * 256 bytes).  Free the options with mv_options_done in either case.
 */
bool mv_options_parse(int argc, char **argv, struct mv_options *ret_options, char message[2][256]);
void mv_options_done(struct mv_options *options);

/* Parses "64K", "512M", "2G", "1T", powers of 1024, optionally followed by B, i or iB, in either
 * case; a bare number is in MiB.  Returns false if it is invalid or 2^63 bytes or more. */
bool mv_parse_size(const char *text, uint64_t *ret_bytes);

extern const char mv_help_text[];

#endif
