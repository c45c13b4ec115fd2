/* SPDX-License-Identifier: MIT */
/*
 * A stand-in for Criterion, of as much as these tests use.  Criterion shares memory
 * with its children at addresses that ThreadSanitizer keeps for itself, so under that
 * sanitizer this is built instead.  Each test runs in a process of its own here too.
 */
#ifndef MV_TEST_PLAIN_CRITERION_H
#define MV_TEST_PLAIN_CRITERION_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct plain_test {
    const char *suite, *name; /* name: NULL for what TestSuite says */
    void (*fn)(void);
    void (*init)(void), (*fini)(void);
    double timeout; /* seconds */
};

/* The linker gathers them, and names both ends. */
extern const struct plain_test *const __start_plain_tests[];
extern const struct plain_test *const __stop_plain_tests[];

#define PLAIN_REGISTER(symbol, ...)                               \
    static const struct plain_test symbol##_test = {__VA_ARGS__}; \
    static const struct plain_test *const symbol##_entry          \
        __attribute__((used, section("plain_tests"))) = &symbol##_test

#define Test(suite_, name_, ...)                                       \
    static void suite_##_##name_##_fn(void);                           \
    PLAIN_REGISTER(suite_##_##name_, .suite = #suite_, .name = #name_, \
                   .fn = suite_##_##name_##_fn, ##__VA_ARGS__);        \
    static void suite_##_##name_##_fn(void)

#define TestSuite(suite_, ...) PLAIN_REGISTER(suite_##_suite, .suite = #suite_, ##__VA_ARGS__)

enum { PLAIN_FAILED = 1, PLAIN_SKIPPED = 77 };

extern unsigned plain_failures; /* of this process, in run.c */

static inline void plain_check(bool good, bool fatal, const char *file, int line, const char *what,
                               const char *format, ...) __attribute__((format(printf, 6, 7)));

static inline void plain_check(bool good, bool fatal, const char *file, int line, const char *what,
                               const char *format, ...)
{
    va_list args;

    if (good)
        return;
    va_start(args, format);
    fprintf(stderr, "%s:%d: %s:", file, line, what);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    plain_failures++;
    if (fatal)
        _exit(PLAIN_FAILED);
}

#define PLAIN_CHECK(fatal, condition, ...) \
    plain_check(condition, fatal, __FILE__, __LINE__, #condition, " " __VA_ARGS__)

#define cr_assert(condition, ...)     PLAIN_CHECK(true, !!(condition), ##__VA_ARGS__)
#define cr_assert_eq(a, b, ...)       PLAIN_CHECK(true, (a) == (b), ##__VA_ARGS__)
#define cr_assert_neq(a, b, ...)      PLAIN_CHECK(true, (a) != (b), ##__VA_ARGS__)
#define cr_assert_str_eq(a, b, ...)   PLAIN_CHECK(true, strcmp(a, b) == 0, ##__VA_ARGS__)
#define cr_assert_lt(a, b, ...)       PLAIN_CHECK(true, (a) < (b), ##__VA_ARGS__)
#define cr_assert_leq(a, b, ...)      PLAIN_CHECK(true, (a) <= (b), ##__VA_ARGS__)
#define cr_assert_gt(a, b, ...)       PLAIN_CHECK(true, (a) > (b), ##__VA_ARGS__)
#define cr_assert_geq(a, b, ...)      PLAIN_CHECK(true, (a) >= (b), ##__VA_ARGS__)
#define cr_assert_null(a, ...)        PLAIN_CHECK(true, (a) == NULL, ##__VA_ARGS__)
#define cr_assert_not_null(a, ...)    PLAIN_CHECK(true, (a) != NULL, ##__VA_ARGS__)
#define cr_assert_fail(...)           PLAIN_CHECK(true, false, ##__VA_ARGS__)
#define cr_expect(condition, ...)     PLAIN_CHECK(false, !!(condition), ##__VA_ARGS__)
#define cr_expect_not(condition, ...) PLAIN_CHECK(false, !(condition), ##__VA_ARGS__)
#define cr_expect_eq(a, b, ...)       PLAIN_CHECK(false, (a) == (b), ##__VA_ARGS__)
#define cr_expect_neq(a, b, ...)      PLAIN_CHECK(false, (a) != (b), ##__VA_ARGS__)
#define cr_expect_lt(a, b, ...)       PLAIN_CHECK(false, (a) < (b), ##__VA_ARGS__)
#define cr_expect_leq(a, b, ...)      PLAIN_CHECK(false, (a) <= (b), ##__VA_ARGS__)
#define cr_expect_gt(a, b, ...)       PLAIN_CHECK(false, (a) > (b), ##__VA_ARGS__)
#define cr_expect_geq(a, b, ...)      PLAIN_CHECK(false, (a) >= (b), ##__VA_ARGS__)
#define cr_expect_null(a, ...)        PLAIN_CHECK(false, (a) == NULL, ##__VA_ARGS__)
#define cr_expect_not_null(a, ...)    PLAIN_CHECK(false, (a) != NULL, ##__VA_ARGS__)
#define cr_expect_str_eq(a, b, ...)   PLAIN_CHECK(false, strcmp(a, b) == 0, ##__VA_ARGS__)
#define cr_skip(...)                  (fprintf(stderr, "skipped: " __VA_ARGS__), _exit(PLAIN_SKIPPED))

#endif
