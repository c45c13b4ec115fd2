/* SPDX-License-Identifier: MIT */
/* Messages, errors and the timeline: what is cut, what is dropped, what is kept. */
#include "core/log.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/timeline.h"
#include "machine/machine.h"

/* ---- mv_log ---- */

static struct {
    unsigned calls;
    enum mv_log_level level;
    char message[1024];
    void *context;
} seen;

static void on_log(void *context, enum mv_log_level level, const char *message)
{
    seen.calls++;
    seen.level = level;
    seen.context = context;
    snprintf(seen.message, sizeof(seen.message), "%s", message);
}

Test(log, a_message_reaches_the_callback_with_its_context)
{
    struct mv_log log;

    mv_log_init(&log, on_log, &seen, MV_LOG_DEBUG);
    mv_log(&log, MV_LOG_INFO, "%d and %s", 1, "two");
    cr_expect_eq(seen.calls, 1);
    cr_expect_eq(seen.level, MV_LOG_INFO);
    cr_expect_eq(seen.context, &seen);
    cr_expect_str_eq(seen.message, "1 and two");
    mv_log_done(&log);
}

Test(log, levels_beyond_the_configured_one_are_silent)
{
    static const enum mv_log_level levels[] = {MV_LOG_WARNING, MV_LOG_INFO, MV_LOG_DEBUG};

    for (unsigned most = 0; most < 3; most++) {
        struct mv_log log;

        mv_log_init(&log, on_log, NULL, levels[most]);
        seen.calls = 0;
        for (unsigned i = 0; i < 3; i++)
            mv_log(&log, levels[i], "x");
        cr_expect_eq(seen.calls, most + 1);
        mv_log_done(&log);
    }
}

Test(log, without_a_callback_nothing_happens)
{
    struct mv_log log;

    mv_log_init(&log, NULL, NULL, MV_LOG_DEBUG);
    mv_log(&log, MV_LOG_WARNING, "%s", "dropped");
    mv_log_done(&log);
}

Test(log, a_message_is_cut_after_511_characters)
{
    struct mv_log log;

    mv_log_init(&log, on_log, NULL, MV_LOG_DEBUG);
    mv_log(&log, MV_LOG_WARNING, "%01000d", 7);
    cr_expect_eq(strlen(seen.message), 511);
    mv_log_done(&log);
}

/* ---- mv_fail ---- */

Test(fail, fills_the_error_and_returns_the_code)
{
    struct mv_error err;

    memset(&err, 0xff, sizeof(err));
    cr_expect_eq(mv_fail(&err, -ENOENT, "open", "look", "cannot open %s", "it"), -ENOENT);
    cr_expect_eq(err.code, -ENOENT);
    cr_expect_str_eq(err.call, "open");
    cr_expect_str_eq(err.hint, "look");
    cr_expect_str_eq(err.tried, "cannot open it");
}

Test(fail, without_call_and_hint_they_are_empty)
{
    struct mv_error err;

    memset(&err, 0xff, sizeof(err));
    mv_fail(&err, -EINVAL, NULL, NULL, "no");
    cr_expect_str_eq(err.call, "");
    cr_expect_str_eq(err.hint, "");
}

Test(fail, without_an_error_struct_it_returns_the_code)
{
    cr_expect_eq(mv_fail(NULL, -EIO, "read", "hint", "%d", 1), -EIO);
}

Test(fail, what_is_too_long_is_cut_and_ends_with_a_zero)
{
    struct mv_error err;
    char longer[1000];

    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = 0;
    mv_fail(&err, -EINVAL, longer, longer, "%s", longer);
    cr_expect_eq(strlen(err.call), sizeof(err.call) - 1);
    cr_expect_eq(strlen(err.hint), sizeof(err.hint) - 1);
    cr_expect_eq(strlen(err.tried), sizeof(err.tried) - 1);
}

/* ---- the timeline ---- */

static struct mv_machine machine; /* only its timeline is used */

static size_t marks(struct mv_mark *ret_marks, size_t most)
{
    return mv_machine_timeline(&machine, ret_marks, most);
}

Test(timeline, is_empty_unless_it_was_asked_for)
{
    struct mv_mark mark;

    mv_timeline_add(&machine.timeline, "a", 1);
    mv_timeline_add_call(&machine.timeline, "b", 0);
    cr_expect_eq(marks(&mark, 1), 0);
}

Test(timeline, keeps_name_value_time_and_duration)
{
    struct mv_mark mark[2];
    uint64_t before = mv_monotonic_ns();

    machine.timeline.on = true;
    mv_timeline_add(&machine.timeline, "mark", 42);
    mv_timeline_add_call(&machine.timeline, "call", before);
    cr_assert_eq(marks(mark, 2), 2);
    cr_expect_str_eq(mark[0].name, "mark");
    cr_expect_eq(mark[0].value, 42);
    cr_expect_eq(mark[0].took, 0);
    cr_expect_geq(mark[0].ns, before);
    cr_expect_str_eq(mark[1].name, "call");
    cr_expect_eq(mark[1].took, mark[1].ns - before);
    cr_expect_leq(mark[1].ns, mv_monotonic_ns());
}

Test(timeline, drops_what_is_beyond_128_marks)
{
    struct mv_mark mark[MV_TIMELINE_MARKS + 1] = {0};

    machine.timeline.on = true;
    for (int i = 0; i < 1000; i++)
        mv_timeline_add(&machine.timeline, "mark", i);
    cr_assert_eq(marks(mark, MV_COUNT(mark)), 128);
    for (int i = 0; i < 128; i++)
        cr_expect_eq(mark[i].value, i);
    cr_expect_null(mark[128].name, "nothing is written behind the last one");
}

Test(timeline, copies_no_more_than_it_is_asked_for)
{
    struct mv_mark mark[3] = {0};

    machine.timeline.on = true;
    for (int i = 0; i < 10; i++)
        mv_timeline_add(&machine.timeline, "mark", i);
    cr_expect_eq(marks(mark, 2), 10, "it returns how many there are");
    cr_expect_eq(mark[1].value, 1);
    cr_expect_null(mark[2].name);
    cr_expect_eq(marks(NULL, 0), 10);
}

Test(timeline, is_given_in_order_of_time)
{
    struct mv_mark mark[3];

    machine.timeline.on = true;
    for (int i = 0; i < 3; i++)
        mv_timeline_add(&machine.timeline, "mark", i);
    machine.timeline.marks[0].ns += 1000000000;
    cr_assert_eq(marks(mark, 3), 3);
    cr_expect_eq(mark[0].value, 1);
    cr_expect_eq(mark[1].value, 2);
    cr_expect_eq(mark[2].value, 0);
}

static void *add_marks(void *context)
{
    for (int i = 0; i < 10000; i++)
        mv_timeline_add(context, "mark", i);
    return NULL;
}

Test(timeline, takes_marks_from_many_threads_also_when_it_is_full)
{
    struct mv_mark mark[MV_TIMELINE_MARKS];
    pthread_t threads[4];

    machine.timeline.on = true;
    for (unsigned i = 0; i < MV_COUNT(threads); i++)
        pthread_create(&threads[i], NULL, add_marks, &machine.timeline);
    for (unsigned i = 0; i < MV_COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(marks(mark, MV_COUNT(mark)), 128);
    for (unsigned i = 0; i < 128; i++)
        cr_expect_str_eq(mark[i].name, "mark");
}
