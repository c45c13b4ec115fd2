/* SPDX-License-Identifier: MIT */
/* Runs the tests of a program that was built with the stand-in for Criterion. */
#include "criterion/criterion.h"

unsigned plain_failures;

static const struct plain_test nothing;

static const struct plain_test *suite_of(const struct plain_test *test)
{
    for (const struct plain_test *const *at = __start_plain_tests; at < __stop_plain_tests; at++)
        if (!(*at)->name && strcmp((*at)->suite, test->suite) == 0)
            return *at;
    return &nothing;
}

static void call(void (*fn)(void))
{
    if (fn)
        fn();
}

/* In the test's own process. */
static int run_here(const struct plain_test *test, const struct plain_test *suite)
{
    unsigned limit = (unsigned)(test->timeout > 0 ? test->timeout : suite->timeout);

    alarm(limit ? limit : 120);
    call(suite->init);
    call(test->init);
    test->fn();
    call(test->fini);
    call(suite->fini);
    return plain_failures ? PLAIN_FAILED : 0;
}

static int run(const struct plain_test *test)
{
    int status;
    pid_t child;

    fflush(NULL);
    child = fork();
    if (child == 0)
        exit(run_here(test, suite_of(test)));
    if (child < 0 || waitpid(child, &status, 0) < 0)
        return PLAIN_FAILED;
    return WIFEXITED(status) ? WEXITSTATUS(status) : PLAIN_FAILED;
}

int main(void)
{
    unsigned passed = 0, failed = 0, skipped = 0;

    for (const struct plain_test *const *at = __start_plain_tests; at < __stop_plain_tests; at++) {
        int status = (*at)->name ? run(*at) : -1;

        if (status > 0 && status != PLAIN_SKIPPED)
            fprintf(stderr, "[FAIL] %s::%s\n", (*at)->suite, (*at)->name);
        passed += status == 0;
        skipped += status == PLAIN_SKIPPED;
        failed += status > 0 && status != PLAIN_SKIPPED;
    }
    fprintf(stderr, "%u passed, %u failed, %u skipped\n", passed, failed, skipped);
    return failed || !passed;
}
