/* SPDX-License-Identifier: MIT */
/* The person's terminal: raw while a guest has it, as it was at the end.  There
 * is one per process, so its state is global here, in the program, and not in
 * the library. */
#ifndef MV_TERM_H
#define MV_TERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Puts the terminal on stdin into raw mode, if there is one, now or whenever our job
 * comes to its foreground, and makes sure that it is restored when the process is stopped,
 * and however it ends (kill -9 aside).  Returns whether it is raw now. */
bool mv_term_raw(void);

/* Whether there is one, and another job of our session has it. */
bool mv_term_in_background(void);

/* Async-signal-safe; more than once is fine. */
void mv_term_restore(void);

bool mv_term_is_raw(void);

/* Where to write messages that nobody may wait for: stderr, or where that is a terminal or
 * a pipe a file description of its own that does not block.  Never closed. */
int mv_term_messages(void);

/* ---- the escape key ---- */

enum mv_key {
    MV_KEY_NONE,
    MV_KEY_QUIT,
    MV_KEY_HELP,
};

/*
 * Takes the escapes out of count bytes at data: Ctrl-A x, b, h, Ctrl-A.
 * *in_escape carries over from call to call.  Sets *ret_break for Ctrl-A b;
 * what was typed after it in the same read is dropped with the rest of the
 * escape.  Returns what else was asked for.
 */
enum mv_key mv_keys_filter(bool *in_escape, uint8_t *data, size_t *count, bool *ret_break);

#endif
