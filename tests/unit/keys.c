/* SPDX-License-Identifier: MIT */
/* The escape key: what a person types, and what of it reaches the guest. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/term.h"
#include "core/util.h"

static bool in_escape;

/* Filters one read; what is left must be `expected`. */
static enum mv_key type(const char *typed, const char *expected, bool expected_break)
{
    uint8_t data[64];
    size_t count = strlen(typed);
    bool is_break = false;
    enum mv_key key;

    memcpy(data, typed, count);
    key = mv_keys_filter(&in_escape, data, &count, &is_break);
    cr_expect_eq(count, strlen(expected), "%zu bytes are left", count);
    cr_expect_eq(memcmp(data, expected, strlen(expected)), 0);
    cr_expect_eq(is_break, expected_break);
    return key;
}

Test(keys, ordinary_keys_pass)
{
    cr_expect_eq(type("ls -l\r\x03\x1b[A", "ls -l\r\x03\x1b[A", false), MV_KEY_NONE);
    cr_expect(!in_escape);
}

Test(keys, an_empty_read_is_fine)
{
    cr_expect_eq(type("", "", false), MV_KEY_NONE);
    in_escape = true;
    cr_expect_eq(type("", "", false), MV_KEY_NONE);
    cr_expect(in_escape);
}

Test(keys, ctrl_a_x_quits)
{
    cr_expect_eq(type("\x01x", "", false), MV_KEY_QUIT);
    cr_expect_eq(type("\x01X", "", false), MV_KEY_QUIT);
    cr_expect_eq(type("ab\x01xcd", "abcd", false), MV_KEY_QUIT);
}

Test(keys, ctrl_a_h_and_question_mark_help)
{
    cr_expect_eq(type("\x01h", "", false), MV_KEY_HELP);
    cr_expect_eq(type("\x01H", "", false), MV_KEY_HELP);
    cr_expect_eq(type("\x01?", "", false), MV_KEY_HELP);
}

Test(keys, ctrl_a_b_breaks_after_what_was_typed_before_it)
{
    cr_expect_eq(type("ab\x01"
                      "b",
                      "ab", true),
                 MV_KEY_NONE);
    cr_expect_eq(type("\x01"
                      "Bdropped",
                      "", true),
                 MV_KEY_NONE);
}

Test(keys, ctrl_a_ctrl_a_sends_one_ctrl_a)
{
    cr_expect_eq(type("\x01\x01", "\x01", false), MV_KEY_NONE);
    cr_expect_eq(type("a\x01\x01"
                      "b\x01\x01",
                      "a\x01"
                      "b\x01",
                      false),
                 MV_KEY_NONE);
    cr_expect_eq(type("\x01\x01x", "\x01x", false), MV_KEY_NONE, "the x is no escape's");
}

Test(keys, an_unknown_escape_is_dropped)
{
    cr_expect_eq(type("a\x01zb", "ab", false), MV_KEY_NONE);
    cr_expect(!in_escape);
}

Test(keys, an_escape_may_be_split_over_two_reads)
{
    cr_expect_eq(type("a\x01", "a", false), MV_KEY_NONE);
    cr_expect(in_escape);
    cr_expect_eq(type("xb", "b", false), MV_KEY_QUIT);
    cr_expect(!in_escape);
    type("\x01", "", false);
    cr_expect_eq(type("b", "", true), MV_KEY_NONE);
    type("\x01", "", false);
    cr_expect_eq(type("\x01y", "\x01y", false), MV_KEY_NONE);
}

Test(term, without_a_terminal_nothing_is_changed)
{
    cr_assert_not_null(freopen("/dev/null", "r", stdin));
    cr_expect(!mv_term_raw());
    mv_term_restore();
    mv_term_restore();
}

Test(term, messages_to_what_never_blocks_go_to_stderr_itself)
{
    cr_assert_not_null(freopen("/dev/null", "w", stderr));
    cr_expect_eq(mv_term_messages(), 2);
}

Test(term, messages_to_a_pipe_do_not_block_and_its_flags_stay)
{
    int pipe_fds[2], messages;

    cr_assert_eq(pipe(pipe_fds), 0);
    dup2(pipe_fds[1], 2);
    messages = mv_term_messages();
    cr_expect(fcntl(messages, F_GETFL) & O_NONBLOCK);
    cr_expect_eq(fcntl(2, F_GETFL) & O_NONBLOCK, 0);
}
