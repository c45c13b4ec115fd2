/* SPDX-License-Identifier: MIT */
/*
 * Guest memory.  Only this file turns a guest-physical address into a pointer, and only together
 * with a length: (gpa, length) lies wholly inside one region of RAM, or is refused.
 *
 * The map is built by one thread and frozen before the first KVM_RUN; after that any thread may
 * read it without a lock.  A running guest can change the contents of memory at any time: read
 * once, then validate, then use.
 */
#ifndef MV_MEMORY_H
#define MV_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A guest-physical address. */
typedef uint64_t mv_gpa;

struct mv_region {
    mv_gpa base;
    uint64_t size;
    uint8_t *host;
    bool read_only; /* for the guest, its devices and the monitor */
};

#define MV_MEM_REGIONS 2
#define MV_MEM_CUSTOM  16

struct mv_mem {
    struct mv_region regions[MV_MEM_REGIONS]; /* by ascending base */
    unsigned count;
    struct mv_region custom[MV_MEM_CUSTOM]; /* supplied and mapped by the embedder; in any order */
    unsigned custom_count;
    uint8_t *mapping; /* one host mapping that holds all of `regions` */
    uint64_t mapped;
};

/*
 * Maps fresh zeroed memory for count regions.  The caller fills in base and size: whole pages, in
 * ascending order, not overlapping.  host is set here.  Nothing is reserved up front: the host
 * allocates a page when it is first touched.  Returns 0 or -errno.
 */
int mv_mem_init(struct mv_mem *mem, const struct mv_region *regions, unsigned count);
void mv_mem_done(struct mv_mem *mem);

/* Adds a region that the embedder has mapped.  Returns 0, -EEXIST if it overlaps another, -EINVAL
 * if it is empty or wraps, -ENOSPC if there are MV_MEM_CUSTOM already. */
int mv_mem_add(struct mv_mem *mem, const struct mv_region *region);

/* Region number `index`: the machine's own first, then the custom ones; NULL past the last. */
const struct mv_region *mv_mem_region(const struct mv_mem *mem, unsigned index);

/* Whether any byte of [base, base + size) is memory.  The range must not wrap. */
bool mv_mem_overlaps(const struct mv_mem *mem, mv_gpa base, uint64_t size);

/* The highest address that is memory. */
mv_gpa mv_mem_last(const struct mv_mem *mem);

/* The host address of [gpa, gpa + size), or NULL if the range is not all in one region.  If size is
 * 0, gpa itself must be in a region.  mv_mem_host refuses read-only memory, mv_mem_look does not.
 */
void *mv_mem_host(const struct mv_mem *mem, mv_gpa gpa, uint64_t size);
const void *mv_mem_look(const struct mv_mem *mem, mv_gpa gpa, uint64_t size);

/* Copy out of and into guest memory.  False, with nothing copied, if the range is not all in one
 * region, or is read-only and would be written. */
bool mv_mem_read(const struct mv_mem *mem, mv_gpa gpa, void *ret_data, size_t size);
bool mv_mem_write(const struct mv_mem *mem, mv_gpa gpa, const void *data, size_t size);

/*
 * Copies size bytes of the file at offset to gpa.  It does not map the file: truncating a mapped
 * file, as cp and ld do before they rewrite it, takes its pages away from the guest, even those
 * that the guest has written, and raises SIGBUS in the monitor when it reads them.  The caller
 * keeps fd.  Returns 0, -EFAULT if the range is not writable RAM, -ENODATA if the file ends too
 * early (part of it may have been copied), or -errno.
 */
int mv_mem_load_file(struct mv_mem *mem, mv_gpa gpa, int fd, uint64_t offset, uint64_t size);

#endif
