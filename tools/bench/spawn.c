/* SPDX-License-Identifier: MIT */
/*
 * Runs a command again and again and says when: one line for each run, with
 * CLOCK_MONOTONIC in nanoseconds just before the spawn, when it was reaped, and
 * its exit status.
 *
 *   spawn [-m FIFO | -t FILE] COUNT COMMAND [ARGUMENT]...
 *
 * It does nothing else between the two stamps, so that what is measured is the
 * command and not the one who measures.  The command's input is /dev/null, its
 * output is dropped.  The line's second number is the time of the guest's first
 * mark: with -m when the first byte arrived in that FIFO, with -t what the command
 * has written to FILE in the form of minivmm's --timeline; else 0.
 */
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static uint64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000ull + (uint64_t)time.tv_nsec;
}

static int fail(const char *what)
{
    perror(what);
    return 1;
}

/* The time of the first byte in the FIFO, or 0 if the child ends before. */
static uint64_t wait_for_mark(int fifo, pid_t child)
{
    struct pollfd ready = {.fd = fifo, .events = POLLIN};
    siginfo_t info = {0};
    char byte[64];
    uint64_t at = 0;

    while (!at && waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == 0)
        if (poll(&ready, 1, 100) > 0 && read(fifo, byte, sizeof(byte)) > 0)
            at = now();
    return at;
}

/* The first "guest mark" of a timeline, or 0. */
static uint64_t read_mark(const char *path)
{
    FILE *file = fopen(path, "re");
    char line[256];
    uint64_t at = 0;

    while (file && !at && fgets(line, sizeof(line), file))
        if (strstr(line, " guest mark"))
            at = strtoull(line, NULL, 10);
    if (file)
        fclose(file);
    return at;
}

static int run_once(char **command, posix_spawn_file_actions_t *actions, int fifo,
                    const char *timeline)
{
    uint64_t began, mark = 0, reaped;
    int status, error;
    pid_t child;

    began = now();
    error = posix_spawn(&child, command[0], actions, NULL, command, environ);
    if (error) {
        fprintf(stderr, "spawn: %s: %s\n", command[0], strerror(error));
        return 1;
    }
    if (fifo >= 0)
        mark = wait_for_mark(fifo, child);
    if (waitpid(child, &status, 0) < 0)
        return fail("waitpid");
    reaped = now();
    if (timeline)
        mark = read_mark(timeline);
    printf("%llu %llu %llu %d\n", (unsigned long long)began, (unsigned long long)mark,
           (unsigned long long)reaped,
           WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    return 0;
}

int main(int argc, char **argv)
{
    posix_spawn_file_actions_t actions;
    const char *timeline = NULL;
    int fifo = -1, option;
    long count;

    while ((option = getopt(argc, argv, "+m:t:")) != -1) {
        if (option == 't')
            timeline = optarg;
        else if (option == 'm') /* both ways: so it is never at its end between two runs */
            fifo = open(optarg, O_RDWR | O_NONBLOCK | O_CLOEXEC);
        if (option == '?' || (option == 'm' && fifo < 0))
            return fail("spawn");
    }
    if (argc < optind + 2) {
        fprintf(stderr, "usage: spawn [-m FIFO | -t FILE] COUNT COMMAND [ARGUMENT]...\n");
        return 2;
    }
    count = strtol(argv[optind], NULL, 10);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    for (long i = 0; i < count; i++)
        if (run_once(argv + optind + 1, &actions, fifo, timeline))
            return 1;
    return 0;
}
