/* SPDX-License-Identifier: MIT */
/*
 * Starts instances of a command and says when: one line for each, all times in nanoseconds of
 * CLOCK_MONOTONIC:
 *
 *   INSTANCE BEGAN REAPED STATUS [VALUE:TIME]...
 *
 *   launch [OPTION]... COMMAND [ARGUMENT]...      {i} in COMMAND stands for the instance's number
 *
 *   -n N         so many (1)
 *   -j N         so many at once (1): when one has ended, the next is started
 *   -i N         the first has this number (0)
 *   -F           by fork and exec rather than posix_spawn
 *   -f FIFO      the payload writes its marks there, as "INSTANCE VALUE TIME"
 *   -b TEMPLATE  each instance has a FIFO; a byte that arrives there is a mark, of this moment
 *   -c           a line "payload: mark VALUE" on the standard output is a mark, of this moment
 *   -r N         say "ready" in a line of its own when so many instances have written a mark
 *   -p           begin each at another phase of the kernel's tick, see below; of several at once,
 *                the first
 *   -s NS        and so long after the one before has ended, at least
 *   -l SECONDS   kill the one that runs longer; its status is then 1000 (60)
 *
 * Ends and starts of containers and machines wait for ticks of the kernel's clock.  So that such
 * waits are sampled evenly rather than by luck, -p lets start number i begin at the phase i *
 * 0.618... (modulo 1) of the time between two: any number of them is spread over it about evenly,
 * and the same in each run.
 *
 * The commands read /dev/null, and their output is dropped.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { MAX_AT_ONCE = 1024, MAX_MARKS = 8, TIMED_OUT = 1000 };

struct instance {
    long number;
    pid_t pid;          /* 0: none */
    int exited, source; /* file descriptors: readable when it has ended; where its marks arrive */
    uint64_t began, reaped;
    int status;
    bool late;
    char line[128]; /* what came of an unfinished line */
    size_t filled;
    unsigned marks;
    struct {
        int value;
        uint64_t at;
    } mark[MAX_MARKS];
};

static struct options {
    long count, at_once, first, ready;
    bool fork, console;
    const char *fifo, *fifos;
    uint64_t settle, limit;
    bool phases;
    char **command;
} options = {.count = 1, .at_once = 1, .limit = 60000000000ull};

static struct instance instances[MAX_AT_ONCE];
static int shared_fifo = -1;
static long marked; /* instances that have written a mark */

static uint64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000ull + (uint64_t)time.tv_nsec;
}

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "launch: %s: %s\n", what, strerror(errno));
    for (size_t i = 0; i < MAX_AT_ONCE; i++)
        if (instances[i].pid)
            kill(instances[i].pid, SIGKILL);
    exit(125);
}

/* ---- one command ---- */

/* A copy of the text with {i} replaced; it stays until the end. */
static char *fill_in(const char *text, long number)
{
    size_t length = strlen(text) + 1, size = length * 8;
    char *copy = malloc(size), *to = copy;

    if (!copy)
        die("malloc");
    while (*text) {
        if (strncmp(text, "{i}", 3) == 0) {
            to += sprintf(to, "%ld", number);
            text += 3;
        } else {
            *to++ = *text++;
        }
    }
    *to = '\0';
    return copy;
}

static char **command_of(long number)
{
    size_t n = 0;
    char **copy;

    while (options.command[n])
        n++;
    copy = calloc(n + 1, sizeof(*copy));
    if (!copy)
        die("calloc");
    for (size_t i = 0; i < n; i++)
        copy[i] = fill_in(options.command[i], number);
    return copy;
}

static void free_command(char **command)
{
    for (size_t i = 0; command[i]; i++)
        free(command[i]);
    free(command);
}

static uint64_t coarse_time(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
    return (uint64_t)time.tv_sec * 1000000000ull + (uint64_t)time.tv_nsec;
}

static void sleep_until(uint64_t then)
{
    struct timespec until = {.tv_sec = (time_t)(then / 1000000000ull),
                             .tv_nsec = (long)(then % 1000000000ull)};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        ;
}

/* The coarse clock moves when the kernel's ticks. */
static void wait_for_phase(long number, uint64_t last)
{
    const double golden = 0.6180339887498949;
    double turns = (double)number * golden;
    struct timespec period;
    uint64_t tick;

    sleep_until(last + options.settle);
    if (!options.phases)
        return;
    clock_getres(CLOCK_MONOTONIC_COARSE, &period);
    tick = coarse_time();
    while (coarse_time() == tick)
        ;
    turns -= (double)(uint64_t)turns;
    sleep_until(now() + (uint64_t)(turns * (double)period.tv_nsec));
}

static pid_t start_by_fork(char **command, int output)
{
    int null;
    pid_t child = fork();

    if (child)
        return child;
    null = open("/dev/null", O_RDONLY);
    dup2(null, 0);
    dup2(output, 1);
    execve(command[0], command, environ);
    _exit(127);
}

static pid_t start_by_spawn(char **command, int output)
{
    posix_spawn_file_actions_t actions;
    pid_t child;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, 1);
    errno = posix_spawnp(&child, command[0], &actions, NULL, command, environ);
    posix_spawn_file_actions_destroy(&actions);
    return errno ? -1 : child;
}

static void start(struct instance *instance, long number, bool alone, uint64_t last)
{
    static int null = -1;
    char **command = command_of(number), *path;
    int pipe_ends[2] = {-1, -1};

    if (null < 0)
        null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    *instance = (struct instance){.number = number, .source = -1};
    if (options.fifos) { /* both ways: so it is never at its end */
        path = fill_in(options.fifos, number);
        instance->source = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
        if (instance->source < 0)
            die(path);
        free(path);
    }
    if (options.console) {
        if (pipe2(pipe_ends, O_CLOEXEC) < 0)
            die("pipe");
        instance->source = pipe_ends[0];
    }
    if (alone)
        wait_for_phase(number, last);
    instance->began = now();
    instance->pid = options.fork ? start_by_fork(command, options.console ? pipe_ends[1] : null)
                                 : start_by_spawn(command, options.console ? pipe_ends[1] : null);
    if (instance->pid < 0) {
        instance->pid = 0;
        die(command[0]);
    }
    instance->exited = (int)syscall(SYS_pidfd_open, instance->pid, 0);
    if (instance->exited < 0)
        die("pidfd_open");
    if (options.console)
        close(pipe_ends[1]);
    free_command(command);
}

/* ---- its marks ---- */

static void add_mark(struct instance *instance, int value, uint64_t at)
{
    if (instance->marks == MAX_MARKS)
        return;
    if (instance->marks == 0 && ++marked == options.ready) {
        printf("ready\n");
        fflush(stdout);
    }
    instance->mark[instance->marks].value = value;
    instance->mark[instance->marks++].at = at;
}

static void take_bytes(struct instance *instance)
{
    uint64_t at = now();
    char bytes[64];
    ssize_t n = read(instance->source, bytes, sizeof(bytes));

    for (ssize_t i = 0; i < n; i++)
        add_mark(instance, bytes[i], at);
}

static void take_console(struct instance *instance)
{
    uint64_t at = now();
    char bytes[4096], *mark;
    ssize_t n = read(instance->source, bytes, sizeof(bytes));

    if (n <= 0) { /* it, and all that it has started, have closed it */
        close(instance->source);
        instance->source = -1;
    }
    for (ssize_t i = 0; i < n; i++) {
        if (bytes[i] != '\n') {
            if (instance->filled < sizeof(instance->line) - 1)
                instance->line[instance->filled++] = bytes[i];
            continue;
        }
        instance->line[instance->filled] = '\0';
        instance->filled = 0;
        mark = strstr(instance->line, "payload: mark ");
        if (mark)
            add_mark(instance, atoi(mark + 14), at);
    }
}

static void take_lines(void)
{
    static char lines[65536];
    static size_t filled;
    unsigned long long at;
    char *line = lines, *end;
    ssize_t n;
    int value;
    long number;

    n = read(shared_fifo, lines + filled, sizeof(lines) - 1 - filled);
    if (n <= 0)
        return;
    filled += (size_t)n;
    lines[filled] = '\0';
    for (; (end = strchr(line, '\n')); line = end + 1) {
        if (sscanf(line, "%ld %d %llu", &number, &value, &at) != 3)
            continue;
        for (size_t i = 0; i < MAX_AT_ONCE; i++)
            if (instances[i].pid && instances[i].number == number)
                add_mark(&instances[i], value, at);
    }
    filled -= (size_t)(line - lines);
    memmove(lines, line, filled);
}

static void take_marks(struct instance *instance)
{
    if (options.fifos)
        take_bytes(instance);
    else if (options.console)
        take_console(instance);
}

/* ---- all of them ---- */

static void reap(struct instance *instance)
{
    int status;

    if (waitpid(instance->pid, &status, 0) < 0)
        die("waitpid");
    instance->reaped = now();
    if (shared_fifo >= 0)
        take_lines();
    take_marks(instance);
    instance->status = instance->late      ? TIMED_OUT
                       : WIFEXITED(status) ? WEXITSTATUS(status)
                                           : 128 + WTERMSIG(status);
    printf("%ld %llu %llu %d", instance->number, (unsigned long long)instance->began,
           (unsigned long long)instance->reaped, instance->status);
    for (unsigned i = 0; i < instance->marks; i++)
        printf(" %d:%llu", instance->mark[i].value, (unsigned long long)instance->mark[i].at);
    printf("\n");
    instance->pid = 0;
    close(instance->exited);
    if (instance->source >= 0)
        close(instance->source);
}

/* Until something has happened; returns how many have ended.  The payload has stamped what is in
 * the FIFO that all share, so that is not read before: a reader that wakes up takes time from the
 * payload. (Unless someone waits for the word "ready".) */
static long wait_for_any(uint64_t *last)
{
    static struct pollfd ready[2 * MAX_AT_ONCE + 1];
    static struct instance *whose[2 * MAX_AT_ONCE + 1];
    nfds_t n = 0;
    long ended = 0;

    for (size_t i = 0; i < MAX_AT_ONCE; i++) {
        struct instance *instance = &instances[i];

        if (!instance->pid)
            continue;
        ready[n] = (struct pollfd){.fd = instance->exited, .events = POLLIN};
        whose[n++] = instance;
        ready[n] = (struct pollfd){.fd = instance->source, .events = POLLIN};
        whose[n++] = instance;
    }
    ready[n] = (struct pollfd){.fd = options.ready ? shared_fifo : -1, .events = POLLIN};
    if (poll(ready, n + 1, 1000) < 0 && errno != EINTR)
        die("poll");
    if (ready[n].revents & POLLIN)
        take_lines();
    for (nfds_t i = 0; i < n; i += 2) {
        if (ready[i + 1].revents)
            take_marks(whose[i]);
        if (ready[i].revents & POLLIN) {
            reap(whose[i]);
            *last = now();
            ended++;
        } else if (!whose[i]->late && now() - whose[i]->began > options.limit) {
            whose[i]->late = true;
            kill(whose[i]->pid, SIGKILL);
        }
    }
    return ended;
}

static void run_all(void)
{
    uint64_t last = now();
    long started = 0, running = 0;

    while (started < options.count || running) {
        for (size_t i = 0; running < options.at_once && started < options.count; i++)
            if (!instances[i].pid) {
                start(&instances[i], options.first + started++, !running, last);
                running++;
            }
        running -= wait_for_any(&last);
    }
}

int main(int argc, char **argv)
{
    int option;

    while ((option = getopt(argc, argv, "+n:j:i:Ff:b:cr:ps:l:")) != -1) {
        switch (option) {
        case 'n': options.count = atol(optarg); break;
        case 'j': options.at_once = atol(optarg); break;
        case 'i': options.first = atol(optarg); break;
        case 'F': options.fork = true; break;
        case 'f': options.fifo = optarg; break;
        case 'b': options.fifos = optarg; break;
        case 'c': options.console = true; break;
        case 'r': options.ready = atol(optarg); break;
        case 'p': options.phases = true; break;
        case 's': options.settle = strtoull(optarg, NULL, 10); break;
        case 'l': options.limit = strtoull(optarg, NULL, 10) * 1000000000ull; break;
        default: optind = argc;
        }
    }
    options.command = argv + optind;
    if (optind >= argc || options.at_once < 1 || options.at_once > MAX_AT_ONCE) {
        fprintf(stderr, "usage: launch [OPTION]... COMMAND [ARGUMENT]... (see the source)\n");
        return 125;
    }
    if (options.fifo) {
        shared_fifo = open(options.fifo, O_RDWR | O_NONBLOCK | O_CLOEXEC);
        if (shared_fifo < 0)
            die(options.fifo);
    }
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    run_all();
    return fflush(stdout) == 0 ? 0 : 125;
}
