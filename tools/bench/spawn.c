/* SPDX-License-Identifier: MIT */
/*
 * Runs a command again and again and says when: one line for each run, with
 * CLOCK_MONOTONIC in nanoseconds just before the spawn, when it was reaped, and
 * its exit status.
 *
 *   spawn [-m FIFO] COUNT PAUSE_US COMMAND [ARGUMENT]...
 *
 * It does nothing else between the two stamps, so that what is measured is the
 * command and not the one who measures.  The pause (microseconds) before each
 * run lets the host finish what the last run left behind.  Its input is /dev/null, its
 * output is dropped.  With -m a third stamp comes from the first byte that
 * arrives in that FIFO (a mark of a monitor that has no timeline); else it is 0.
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

static int run_once(char **command, posix_spawn_file_actions_t *actions, int fifo)
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
    printf("%llu %llu %llu %d\n", (unsigned long long)began, (unsigned long long)mark,
           (unsigned long long)reaped,
           WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    return 0;
}

int main(int argc, char **argv)
{
    posix_spawn_file_actions_t actions;
    struct timespec pause = {0};
    int fifo = -1, at = 1;
    long count, us;

    if (argc > 2 && strcmp(argv[1], "-m") == 0) {
        /* Both ways: so it is never at its end between two runs. */
        fifo = open(argv[2], O_RDWR | O_NONBLOCK | O_CLOEXEC);
        if (fifo < 0)
            return fail(argv[2]);
        at = 3;
    }
    if (argc < at + 3) {
        fprintf(stderr, "usage: spawn [-m FIFO] COUNT PAUSE_US COMMAND [ARGUMENT]...\n");
        return 2;
    }
    count = strtol(argv[at], NULL, 10);
    us = strtol(argv[at + 1], NULL, 10);
    pause.tv_sec = us / 1000000;
    pause.tv_nsec = us % 1000000 * 1000;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    for (long i = 0; i < count; i++) {
        nanosleep(&pause, NULL);
        if (run_once(argv + at + 2, &actions, fifo))
            return 1;
    }
    return 0;
}
