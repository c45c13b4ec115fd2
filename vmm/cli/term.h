/* SPDX-License-Identifier: MIT */
/* The user's terminal: raw while a guest has it, and restored at the end.  A process
 * has only one, so its state is global; therefore it is in the program, not in the
 * library. */
#ifndef MV_TERM_H
#define MV_TERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Puts the terminal on stdin, if there is one, into raw mode, now or when our job comes to
 * the foreground.  Ensures that it is restored when the process is stopped, and however it
 * ends (except by kill -9).  Returns whether it is raw now. */
bool mv_term_raw(void);

/* Whether stdin is a terminal that another job of our session has. */
bool mv_term_in_background(void);

/* Async-signal-safe; may be called repeatedly. */
void mv_term_restore(void);

bool mv_term_is_raw(void);

/* The file descriptor for messages that must not block: if stderr is a terminal or a pipe,
 * a separate non-blocking file description of it; else stderr.  Never closed. */
int mv_term_messages(void);

/* ---- the escape key ---- */

enum mv_key {
    MV_KEY_NONE,
    MV_KEY_QUIT,
    MV_KEY_HELP,
};

/*
 * Removes the escapes Ctrl-A x, b, h, Ctrl-A from count bytes at data.
 * *in_escape is kept from call to call.  Sets *ret_break for Ctrl-A b;
 * bytes after it in the same read are dropped.  Returns the key that was
 * pressed otherwise.
 */
enum mv_key mv_keys_filter(bool *in_escape, uint8_t *data, size_t *count, bool *ret_break);

#endif
