/* SPDX-License-Identifier: MIT */
/*
 * Loaded into the QEMU of a sealed machine before the C library (LD_PRELOAD): a clock that moves by
 * itself each time it is read, for each thread apart.
 *
 * QEMU's emulation makes its table of translated addresses larger and smaller by how much of it was
 * used in the last 100 ms of this computer's time.  A guest can tell: where a translation is not in
 * the table any more, the page is marked as accessed again, which the kernel looks at when memory
 * gets tight.  QEMU reads this clock whenever the guest makes it forget translations, so with this
 * one, the table changes at the same places in each run.
 */
#include <sys/time.h>

enum { STEP_US = 50 };

int gettimeofday(struct timeval *restrict ret_now, void *restrict zone)
{
    static _Thread_local long long reads;
    long long us = ++reads * STEP_US;

    (void)zone;
    *ret_now = (struct timeval){.tv_sec = us / 1000000, .tv_usec = us % 1000000};
    return 0;
}
