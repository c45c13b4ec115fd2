/* SPDX-License-Identifier: MIT */
/* The command line of minivmm: words in, one struct out. */
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
    const char *initrds[MV_INITRDS_MAX];          /* what comes behind initrd */
    unsigned initrd_count;
    unsigned gdb_bits; /* 32 or 64, of the code that it shows; 0: not given */
    const char *dump;  /* where to write the tables of the machine; NULL: run it */
    const char *trace; /* where to write the trace, points into trace_words; NULL: not given */
    size_t trace_records;
    char *trace_words;        /* to be freed */
    char *append;             /* what the kernel gets; NULL: nothing; to be freed */
    const char *linux_append; /* what is put before that, if it is Linux; NULL: nothing */
    uint64_t memory;          /* bytes; 0: default */
    unsigned cpus;            /* 0: default */
    bool verbose, step, rng;
    bool explain; /* tell what is wrong, before and after */
    struct mv_disk disks[MV_DISKS_MAX];
    char *disk_words[MV_DISKS_MAX]; /* what the disks' strings point into; to be freed */
    unsigned disk_count;
};

/*
 * Returns true, or false with a message and a hint in message[0] and [1] (each
 * 256 bytes).  Free the options with mv_options_done in either case.
 */
bool mv_options_parse(int argc, char **argv, struct mv_options *ret_options, char message[2][256]);
void mv_options_done(struct mv_options *options);

/* "64K", "512M", "2G", "1T", powers of 1024, the same with B, i or iB behind it, in either case; or
 * a number of MiB.  false: not such a number, or more than 2^63 bytes. */
bool mv_parse_size(const char *text, uint64_t *ret_bytes);

extern const char mv_help_text[];

#endif
