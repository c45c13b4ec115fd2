/* SPDX-License-Identifier: MIT */
/* The functions of util.h that are too long for a header. */
#include "util.h"

#include <errno.h>
#include <signal.h>

void mv_outer_signals(sigset_t *ret_signals)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGABRT};

    sigfillset(ret_signals);
    for (unsigned i = 0; i < MV_COUNT(faults); i++)
        sigdelset(ret_signals, faults[i]);
}

int mv_start_thread(pthread_t *ret_thread, void *(*run)(void *), void *context)
{
    sigset_t blocked, before;
    int error;

    mv_outer_signals(&blocked);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    error = pthread_create(ret_thread, NULL, run, context);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -error;
}

int mv_read_at(int fd, uint64_t offset, void *ret_data, size_t size)
{
    uint8_t *to = ret_data;

    if (size > INT64_MAX || offset > INT64_MAX - size)
        return -ENODATA; /* beyond the largest possible file */
    while (size > 0) {
        ssize_t got = pread(fd, to, size, (off_t)offset);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            return -ENODATA;
        to += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return 0;
}
