/* SPDX-License-Identifier: MIT */
/* Messages and errors: see log.h. */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>

void mv_log_init(struct mv_log *log, mv_log_fn *fn, void *context, enum mv_log_level level)
{
    log->fn = fn;
    log->context = context;
    log->level = level;
    pthread_mutex_init(&log->lock, NULL);
}

void mv_log_done(struct mv_log *log)
{
    pthread_mutex_destroy(&log->lock);
}

void mv_log(struct mv_log *log, enum mv_log_level level, const char *format, ...)
{
    char message[512];
    va_list args;

    if (!log || !log->fn || level > log->level)
        return;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    pthread_mutex_lock(&log->lock);
    log->fn(log->context, level, message);
    pthread_mutex_unlock(&log->lock);
}

int mv_fail(struct mv_error *err, int code, const char *call, const char *hint, const char *format,
            ...)
{
    va_list args;

    if (!err)
        return code;
    err->code = code;
    snprintf(err->call, sizeof(err->call), "%s", call ? call : "");
    snprintf(err->hint, sizeof(err->hint), "%s", hint ? hint : "");
    va_start(args, format);
    vsnprintf(err->tried, sizeof(err->tried), format, args);
    va_end(args);
    return code;
}
