/* SPDX-License-Identifier: MIT */
/*
 * Small things that every layer uses: overflow-checked arithmetic, alignment, and clean-up
 * attributes.
 */
#ifndef MV_UTIL_H
#define MV_UTIL_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MV_COUNT(array)  (sizeof(array) / sizeof((array)[0]))
#define MV_KIB           1024ull
#define MV_MIB           (1024ull * MV_KIB)
#define MV_GIB           (1024ull * MV_MIB)
#define MV_PAGE_SIZE     4096ull
#define MV_PRINTF(f, va) __attribute__((format(printf, f, va)))

/* *ret_sum = a + b; returns true if that wrapped. */
static inline bool mv_add_overflows(uint64_t a, uint64_t b, uint64_t *ret_sum)
{
    return __builtin_add_overflow(a, b, ret_sum);
}

/* align: a power of two. */
static inline uint64_t mv_align_down(uint64_t value, uint64_t align)
{
    return value & ~(align - 1);
}

/* align: a power of two; value + align must not wrap. */
static inline uint64_t mv_align_up(uint64_t value, uint64_t align)
{
    return mv_align_down(value + align - 1, align);
}

static inline uint64_t mv_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t mv_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* All ones in the low 8 * size bits; size is 1 to 8. */
static inline uint64_t mv_size_mask(unsigned size)
{
    return size >= 8 ? UINT64_MAX : (1ull << (8 * size)) - 1;
}

/* Copies a struct that begins with its size.  The caller's may be shorter or longer than ours, of
 * `size` bytes; fields that it lacks become 0.  Returns the caller's size; 0: it was not set. */
static inline size_t mv_take(const void *given, void *ret_copy, size_t size)
{
    size_t theirs = *(const size_t *)given;

    memset(ret_copy, 0, size);
    memcpy(ret_copy, given, mv_min(theirs, size));
    return theirs;
}

/* The reverse: copies as much as fits into the caller's struct, whose size is set. */
static inline void mv_give(const void *ours, size_t size, void *ret_copy)
{
    size_t theirs = *(size_t *)ret_copy;

    memcpy(ret_copy, ours, mv_min(theirs, size));
    *(size_t *)ret_copy = theirs;
}

/* All signals except those that a thread's own faults raise: if these were blocked, a fault would
 * kill the process without calling its handlers. */
void mv_outer_signals(sigset_t *ret_signals);

/*
 * Starts a thread with all signals blocked except those that its own faults raise.  Returns 0 or
 * -errno.
 */
int mv_start_thread(pthread_t *ret_thread, void *(*run)(void *), void *context);

/* CLOCK_MONOTONIC in nanoseconds. */
static inline uint64_t mv_monotonic_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

/*
 * Reads exactly size bytes of a file, at offset.  Returns 0, -ENODATA if the file ends early, or
 * -errno.
 */
int mv_read_at(int fd, uint64_t offset, void *ret_data, size_t size);

static inline void mv_close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static inline int mv_steal_fd(int *fd)
{
    int stolen = *fd;

    *fd = -1;
    return stolen;
}

static inline void mv_free_pointer(void *pointer)
{
    free(*(void **)pointer);
}

/* Close the file descriptor, or free the pointer, when the variable goes out of scope. */
#define MV_CLEANUP_FD   __attribute__((cleanup(mv_close_fd)))
#define MV_CLEANUP_FREE __attribute__((cleanup(mv_free_pointer)))

#endif
