/* SPDX-License-Identifier: MIT */
/*
 * Messages and errors.  The library prints nothing: messages go to the embedder's callback, errors
 * into the embedder's mv_error.
 */
#ifndef MV_LOG_H
#define MV_LOG_H

#include <pthread.h>

#include "minivmm/minivmm.h"
#include "util.h"

struct mv_log {
    mv_log_fn *fn; /* NULL: no messages */
    void *context;
    enum mv_log_level level;
    pthread_mutex_t lock;
};

void mv_log_init(struct mv_log *log, mv_log_fn *fn, void *context, enum mv_log_level level);
void mv_log_done(struct mv_log *log);

/* Logs one line, without a newline; longer than 511 characters is cut.  Any thread.  log may be
 * NULL.  What a guest can cause any number of times must not be logged each time. */
void mv_log(struct mv_log *log, enum mv_log_level level, const char *format, ...) MV_PRINTF(3, 4);

/*
 * Fills in *err (NULL allowed) and returns code, a negative errno value.  call: the system call
 * that failed, or NULL.  hint: what the user can do about it, or NULL.
 */
int mv_fail(struct mv_error *err, int code, const char *call, const char *hint, const char *format,
            ...) MV_PRINTF(5, 6);

#endif
