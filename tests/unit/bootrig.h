/* SPDX-License-Identifier: MIT */
/* A machine's memory and files, as the loaders see them, and what they make of an
 * image.  One for each test: each has a process of its own. */
#ifndef MV_TEST_BOOTRIG_H
#define MV_TEST_BOOTRIG_H

#include "images.h"
#include "layout.h"
#include "x86.h"

struct rig {
    struct mv_mem mem;
    struct mv_boot_files files;
    struct mv_load load;
    struct mv_error err;
};

extern struct rig rig;
extern struct image image;

/* Fresh memory of so many bytes, no initrd, an empty command line. */
void rig_start(uint64_t memory);
void rig_stop(void);

/* An initrd of so many bytes, sparse but for its first and last. */
void rig_initrd(uint64_t size);

/* Puts the image into a file and loads that; the loader's result. */
int rig_load(void);

/* The result was this error, explained with these words and, if wanted, a hint. */
void rig_expect_refused(int error, int code, const char *words);
void rig_expect_hint(void);

/* Nothing is at this line of a good explanation that should not be. */
void rig_expect_good_words(void);

/* The loader put the image's code there. */
void rig_expect_code(mv_gpa gpa, size_t size);

#endif
