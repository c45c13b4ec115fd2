/* SPDX-License-Identifier: MIT */
/*
 * The library as an embedder uses it: machines in threads of one process, one of
 * them stopped from another thread, all of them destroyed, and no file
 * descriptor left behind.  Usage: embed END.elf (the guest of end.c)
 */
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "minivmm/minivmm.h"

#define CHECK(condition)                                                            \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                                \
        }                                                                           \
    } while (0)

struct job {
    const char *kernel, *append;
    struct mv_machine *machine;
    struct mv_end end;
    char output[256];
    pthread_t thread;
    int pipe[2];
};

static unsigned open_files(void)
{
    DIR *folder = opendir("/proc/self/fd");
    unsigned count = 0;

    CHECK(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

static void create(struct job *job)
{
    struct mv_error err = {0};

    CHECK(pipe(job->pipe) == 0);
    struct mv_console console = {.in = -1, .out = job->pipe[1]};
    struct mv_config config = {.size = sizeof(config),
                               .kernel = job->kernel,
                               .append = job->append,
                               .memory = 32 << 20,
                               .console = &console};

    if (mv_machine_create(&config, &job->machine, &err) < 0) {
        fprintf(stderr, "%s (%s)\n", err.tried, err.hint);
        exit(1);
    }
}

static void *run(void *context)
{
    struct job *job = context;
    struct mv_error err = {0};

    if (mv_machine_run(job->machine, &job->end, &err) < 0) {
        fprintf(stderr, "%s (%s)\n", err.tried, err.hint);
        exit(1);
    }
    return NULL;
}

static void start(struct job *job)
{
    CHECK(pthread_create(&job->thread, NULL, run, job) == 0);
}

/* Waits until the machine has said a line. */
static void wait_for_output(struct job *job)
{
    size_t used = 0;

    while (!strchr(job->output, '\n')) {
        ssize_t got = read(job->pipe[0], job->output + used, sizeof(job->output) - 1 - used);

        CHECK(got > 0);
        used += (size_t)got;
    }
}

static void finish(struct job *job)
{
    struct mv_error err = {0};

    CHECK(pthread_join(job->thread, NULL) == 0);
    CHECK(mv_machine_run(job->machine, &job->end, &err) == -114); /* EALREADY: only once */
    mv_machine_destroy(job->machine);
    close(job->pipe[0]);
    close(job->pipe[1]);
}

/* Two at once: one ends by itself, the other is stopped. */
static void run_two(const char *kernel)
{
    struct job spins = {.kernel = kernel, .append = "end=spin"};
    struct job codes = {.kernel = kernel, .append = "end=code code=42"};

    create(&spins);
    create(&codes);
    start(&spins);
    wait_for_output(&spins);
    start(&codes);
    finish(&codes);
    CHECK(codes.end.reason == MV_END_EXIT_CODE && codes.end.code == 42);
    mv_machine_stop(spins.machine, 7);
    mv_machine_stop(spins.machine, 8); /* the first one counts */
    finish(&spins);
    CHECK(spins.end.reason == MV_END_STOPPED && spins.end.code == 7);
    CHECK(strncmp(spins.output, "ending", 6) == 0);
}

/* Stopped before it was run, and never run at all. */
static void run_not(const char *kernel)
{
    struct job early = {.kernel = kernel, .append = "end=spin"}, never = early;

    create(&early);
    mv_machine_stop(early.machine, 9);
    start(&early);
    finish(&early);
    CHECK(early.end.reason == MV_END_STOPPED && early.end.code == 9);
    create(&never);
    mv_machine_stop(never.machine, 0);
    mv_machine_destroy(never.machine);
    close(never.pipe[0]);
    close(never.pipe[1]);
    mv_machine_destroy(NULL);
}

/* What the library must not touch. */
static void check_signals(void)
{
    for (int signal = 1; signal < SIGRTMIN + 2; signal++) {
        struct sigaction action;

        if (sigaction(signal, NULL, &action) == 0 && signal != SIGPIPE)
            CHECK(action.sa_handler == SIG_DFL || signal == SIGSEGV || signal == SIGBUS ||
                  signal == SIGFPE); /* the sanitizers have handlers for these */
    }
}

int main(int argc, char **argv)
{
    unsigned before;

    CHECK(argc == 2);
    run_two(argv[1]); /* once, for what is opened only the first time */
    before = open_files();
    for (int i = 0; i < 3; i++)
        run_two(argv[1]);
    run_not(argv[1]);
    CHECK(open_files() == before);
    check_signals();
    puts("all right");
    return 0;
}
