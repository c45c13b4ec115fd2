/* SPDX-License-Identifier: MIT */
/*
 * The library as a hostile embedder uses it: machines in threads of one process, stopped
 * from other threads at every time, paused, waited for by poll, given up half-way, all of
 * them destroyed, and no file descriptor, signal mask or flag left changed.  Usage: embed END.elf
 * FLOOD.elf (the guests of end.c and flood.c)
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "minivmm/vcpu.h"

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
    pthread_t runner;
    atomic_bool over;
    atomic_uint exits;
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

static void pause_ms(long ms)
{
    CHECK(nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL) == 0);
}

enum { BOOT_TIMER = 0xf5, LOST_MS = 1500 };

static bool count_exit(void *context, struct mv_vcpu *vcpu, struct mv_exit *found)
{
    (void)vcpu;
    ((struct job *)context)->exits++;
    if (found->kind == MV_EXIT_PORT && found->access.address == BOOT_TIMER)
        pause_ms(LOST_MS); /* for lose_time; nobody else writes there */
    return false;
}

static void create(struct job *job)
{
    struct mv_error err = {0};

    CHECK(pipe(job->pipe) == 0);
    struct mv_console console = {.size = sizeof(console), .in = -1, .out = job->pipe[1]};
    const struct mv_hook hook = {.size = sizeof(hook), .fn = count_exit, .context = job};
    struct mv_config config = {.size = sizeof(config),
                               .hooks = &hook,
                               .hook_count = 1,
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

static bool is_over(const struct job *job, int timeout)
{
    struct pollfd over = {.fd = mv_machine_end_fd(job->machine), .events = POLLIN};

    return poll(&over, 1, timeout) == 1;
}

static void drop(struct job *job)
{
    mv_machine_destroy(job->machine);
    close(job->pipe[0]);
    close(job->pipe[1]);
}

static void *stop(void *context)
{
    mv_machine_stop(((struct job *)context)->machine, 2);
    return NULL;
}

/* Started, told of by its descriptor, stopped by several threads at once, waited for twice. */
static void run_by_poll(const char *kernel)
{
    struct job job = {.kernel = kernel, .append = "end=spin"};
    struct mv_error err = {0};
    pthread_t threads[4];

    create(&job);
    CHECK(mv_machine_wait(job.machine, &job.end, &err) == -EINVAL && err.hint[0]); /* too early */
    CHECK(!is_over(&job, 0));
    CHECK(mv_machine_start(job.machine, &err) == 0);
    CHECK(mv_machine_start(job.machine, &err) == -EALREADY && err.code == -EALREADY);
    wait_for_output(&job);
    CHECK(!is_over(&job, 0));
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, stop, &job) == 0);
    CHECK(is_over(&job, -1));
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(mv_machine_wait(job.machine, &job.end, &err) == 0);
    CHECK(job.end.reason == MV_END_STOPPED && job.end.code == 2 && job.end.vcpu == -1);
    CHECK(mv_machine_wait(job.machine, &job.end, &err) == 0 && job.end.code == 2);
    CHECK(is_over(&job, 0)); /* it stays so */
    mv_machine_stop(job.machine, 3);
    mv_machine_pause(job.machine);
    mv_machine_resume(job.machine);
    mv_machine_resume(job.machine); /* one too many */
    drop(&job);
}

/* Ended while it is held, and destroyed while it runs, is held, or has not begun. */
static void run_held(const char *kernel)
{
    struct mv_error err = {0};

    for (int way = 0; way < 4; way++) {
        struct job job = {.kernel = kernel, .append = "end=spin"};

        create(&job);
        struct pollfd said = {.fd = job.pipe[0], .events = POLLIN};

        if (way == 0)
            mv_machine_pause(job.machine); /* before the first instruction */
        if (way < 3)
            CHECK(mv_machine_start(job.machine, &err) == 0);
        if (way == 1) {
            wait_for_output(&job);
            mv_machine_pause(job.machine);
            mv_machine_pause(job.machine);
            mv_machine_resume(job.machine); /* still held */
        }
        if (way < 2) {
            CHECK(!is_over(&job, 20));
            mv_machine_stop(job.machine, way);
            CHECK(mv_machine_wait(job.machine, &job.end, &err) == 0);
            CHECK(job.end.reason == MV_END_STOPPED && job.end.code == way);
            CHECK(way == 1 || poll(&said, 1, 0) == 0);
        }
        drop(&job);
    }
}

/* ---- a console that takes nothing: its pipe is full, and nobody reads ---- */

#define LINE 64 /* bytes of each of flood.c's lines, which begin with their number */

static unsigned waiting_bytes(const struct job *job)
{
    int count = 0;

    CHECK(ioctl(job->pipe[0], FIONREAD, &count) == 0);
    return (unsigned)count;
}

/* Until the guest has had no exit for a while. */
static void wait_until_stuck(const struct job *job)
{
    unsigned before = 0, now;

    for (unsigned still = 0; still < 10; pause_ms(10)) {
        now = job->exits;
        still = now && now == before ? still + 1 : 0;
        before = now;
    }
}

/* Reads the next bytes, of which none may be missing or come twice. */
static size_t take(const struct job *job, size_t at, size_t size)
{
    char data[4096];

    while (size > 0) {
        ssize_t got = read(job->pipe[0], data, size < sizeof(data) ? size : sizeof(data));

        CHECK(got > 0);
        for (ssize_t i = 0; i < got; i++, at++, size--) {
            char number[24];

            snprintf(number, sizeof(number), "%08zu", at / LINE);
            CHECK(data[i] == (at % LINE < 8     ? number[at % LINE]
                              : at % LINE == 63 ? '\n'
                                                : (char)('!' + at % LINE)));
        }
    }
    return at;
}

static uint64_t program_counter(struct job *job)
{
    struct mv_vcpu *vcpu = mv_machine_vcpu(job->machine, 0);
    uint64_t value = 0;

    CHECK(mv_vcpu_get(vcpu, "rip", &value) == 0 || mv_vcpu_get(vcpu, "pc", &value) == 0);
    CHECK(mv_vcpu_set(vcpu, "rip", value) == 0 || mv_vcpu_set(vcpu, "pc", value) == 0);
    return value;
}

static void create_flood(struct job *job)
{
    create(job);
    CHECK(fcntl(job->pipe[1], F_SETPIPE_SZ, 4096) == 4096);
}

/* It is paused, looked at, and stays so while the pipe is emptied; nothing is lost. */
static void pause_flood(const char *kernel)
{
    struct job job = {.kernel = kernel, .append = "lines=100000000"};
    struct mv_error err = {0};
    size_t at = 0;

    create_flood(&job);
    CHECK(mv_machine_start(job.machine, &err) == 0);
    for (int i = 0; i < 2; i++) {
        uint64_t pc;

        wait_until_stuck(&job);
        mv_machine_pause(job.machine);
        pc = program_counter(&job);
        for (unsigned count; (count = waiting_bytes(&job)) > 0; pause_ms(20))
            at = take(&job, at, count); /* and what the console still has */
        pause_ms(50);
        CHECK(waiting_bytes(&job) == 0 && program_counter(&job) == pc);
        mv_machine_hold(job.machine);
        mv_machine_resume(job.machine);
        mv_machine_resume(job.machine);
        at = take(&job, at, 20000);
    }
    wait_until_stuck(&job);
    mv_machine_stop(job.machine, 5);
    CHECK(mv_machine_wait(job.machine, &job.end, &err) == 0 && job.end.code == 5);
    drop(&job);
}

static void *pause_and_resume(void *context)
{
    struct job *job = context;

    for (; !job->over; pause_ms(5)) {
        mv_machine_pause(job->machine);
        program_counter(job);
        mv_machine_resume(job->machine);
    }
    return NULL;
}

/* The same in the caller's thread: the time that it was given, pauses and the end come through. */
static void drive_flood(const char *kernel)
{
    struct job job = {.kernel = kernel, .append = "lines=100000000"};
    struct mv_exit found = {.size = sizeof(found)};
    size_t at = 0;
    struct mv_vcpu *vcpu;

    create_flood(&job);
    vcpu = mv_machine_vcpu(job.machine, 0);
    for (int i = 0; i < 2; i++) {
        for (unsigned before = 0; before == 0 || before != job.exits;) {
            before = job.exits;
            CHECK(mv_vcpu_run(vcpu, MV_UNTIL_END, 100000000, &found) == 0);
            CHECK(found.kind == MV_EXIT_TIMEOUT);
        }
        job.over = false;
        CHECK(pthread_create(&job.thread, NULL, pause_and_resume, &job) == 0);
        CHECK(mv_vcpu_run(vcpu, MV_UNTIL_END, MV_FOREVER, &found) == 0);
        CHECK(found.kind == MV_EXIT_INTERRUPTED);
        job.over = true;
        CHECK(pthread_join(job.thread, NULL) == 0);
        CHECK(mv_vcpu_run(vcpu, MV_UNTIL_UNKNOWN, 0, &found) == 0);
        CHECK(found.kind == MV_EXIT_TIMEOUT);
        mv_machine_pause(job.machine);
        CHECK(mv_vcpu_run(vcpu, MV_UNTIL_UNKNOWN, 1000000, &found) == 0);
        CHECK(found.kind == MV_EXIT_TIMEOUT);
        at = take(&job, at, waiting_bytes(&job));
        mv_machine_resume(job.machine);
    }
    CHECK(pthread_create(&job.thread, NULL, stop, &job) == 0);
    CHECK(mv_vcpu_run(vcpu, MV_UNTIL_END, MV_FOREVER, &found) == 0);
    CHECK(found.kind == MV_EXIT_END && found.end.code == 2);
    CHECK(pthread_join(job.thread, NULL) == 0);
    drop(&job);
}

/* ---- signals of the process's, in the thread that runs a vCPU ---- */

static atomic_uint signals_seen;

static void on_signal(int signal)
{
    (void)signal;
    signals_seen++;
}

/* Signals its thread, now and again, until it is over; by each signal once. */
static void *signal_thread(void *context)
{
    struct job *job = context;

    for (unsigned seen = 0; !job->over; seen = signals_seen) {
        pthread_kill(job->runner, SIGUSR1);
        for (int i = 0; i < 2000 && signals_seen == seen && !job->over; i++)
            pause_ms(1);
    }
    return NULL;
}

/* Each signal comes through, whatever the vCPU does just then: its handler runs, once. */
static void interrupt(struct job *job, unsigned times)
{
    struct mv_vcpu *vcpu = mv_machine_vcpu(job->machine, 0);
    struct mv_exit found = {.size = sizeof(found)};
    pthread_t thread;

    job->over = false;
    job->runner = pthread_self();
    signals_seen = 0;
    CHECK(pthread_create(&thread, NULL, signal_thread, job) == 0);
    while (signals_seen < times) {
        CHECK(mv_vcpu_run(vcpu, MV_UNTIL_END, MV_FOREVER, &found) == 0);
        CHECK(found.kind == MV_EXIT_INTERRUPTED);
    }
    job->over = true;
    CHECK(pthread_join(thread, NULL) == 0);
}

static void *interrupt_here(void *context)
{
    interrupt(context, 3);
    return NULL;
}

static void run_under_signals(const char *spin, const char *flood)
{
    struct job spins = {.kernel = spin, .append = "end=spin"};
    struct job floods = {.kernel = flood, .append = "lines=100000000"};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, before;
    struct mv_exit found = {.size = sizeof(found)};
    sigset_t usr2, mask;
    pthread_t thread;

    CHECK(sigaction(SIGUSR1, &action, &before) == 0);
    create(&spins);
    interrupt(&spins, 20);
    CHECK(pthread_create(&thread, NULL, interrupt_here, &spins) == 0); /* another thread's */
    CHECK(pthread_join(thread, NULL) == 0);
    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    CHECK(pthread_sigmask(SIG_BLOCK, &usr2, &mask) == 0); /* and one that it does not want */
    pthread_kill(pthread_self(), SIGUSR2);
    CHECK(mv_vcpu_run(mv_machine_vcpu(spins.machine, 0), MV_UNTIL_END, 20000000, &found) == 0);
    CHECK(found.kind == MV_EXIT_TIMEOUT);
    CHECK(sigtimedwait(&usr2, NULL, &(struct timespec){0}) == SIGUSR2);
    CHECK(pthread_sigmask(SIG_SETMASK, &mask, NULL) == 0);
    mv_machine_pause(spins.machine); /* it waits at the gate */
    interrupt(&spins, 3);
    mv_machine_resume(spins.machine);
    drop(&spins);
    create_flood(&floods);
    interrupt(&floods, 20); /* it has exits all the time */
    for (unsigned exits = 0; exits == 0 || exits != floods.exits;) {
        exits = floods.exits;
        CHECK(mv_vcpu_run(mv_machine_vcpu(floods.machine, 0), MV_UNTIL_END, 100000000, &found) ==
              0);
    }
    interrupt(&floods, 3); /* it waits for the console */
    drop(&floods);
    CHECK(sigaction(SIGUSR1, &before, NULL) == 0);
}

/* A signal without a handler does what it does to any other process. */
static void end_by_signal(const char *kernel)
{
    struct job job = {.kernel = kernel, .append = "end=spin"};
    struct mv_exit found = {.size = sizeof(found)};
    pid_t child = fork();
    int status;

    CHECK(child >= 0);
    if (child == 0) {
        create(&job);
        alarm(1); /* SIGALRM */
        mv_vcpu_run(mv_machine_vcpu(job.machine, 0), MV_UNTIL_END, MV_FOREVER, &found);
        _exit(1);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM);
}

/* A failure names its call, its errno and what to do. */
/* Guests that end when their clock has told them of the time that they have lost: of a pause, and
 * of what the host did about an exit. */
static void lose_time(const char *kernel)
{
    struct job paused = {.kernel = kernel}, served = {.kernel = kernel, .append = "served=1"};

    create(&paused);
    start(&paused);
    wait_for_output(&paused);
    mv_machine_pause(paused.machine);
    mv_machine_resume(paused.machine);
    finish(&paused);
    CHECK(paused.end.reason == MV_END_EXIT_CODE && paused.end.code == 0);
    create(&served);
    start(&served);
    finish(&served);
    CHECK(served.end.reason == MV_END_EXIT_CODE && served.end.code == 0);
}

static void fail(const char *kernel)
{
    struct mv_config config = {
        .size = sizeof(config), .kernel = kernel, .kvm_path = "/nonexistent/kvm"};
    struct mv_machine *machine = NULL;
    struct mv_error err = {0};
    struct mv_end end;

    CHECK(mv_machine_create(&config, &machine, &err) == -ENOENT && !machine);
    CHECK(err.code == -ENOENT && strcmp(err.call, "open") == 0 && err.hint[0]);
    CHECK(strstr(err.tried, "/nonexistent/kvm"));
    config.tables_only = true;
    CHECK(mv_machine_create(&config, &machine, NULL) == 0);
    CHECK(mv_machine_run(machine, &end, &err) == -EALREADY);
    CHECK(mv_machine_wait(machine, &end, &err) == -EINVAL); /* and not for ever */
    mv_machine_stop(machine, 1);
    mv_machine_destroy(machine);
}

/* What of the process the library must leave as it is. */
struct process {
    sigset_t mask;
    int flags[3];
    unsigned files;
};

static void look(struct process *process)
{
    CHECK(pthread_sigmask(SIG_SETMASK, NULL, &process->mask) == 0);
    for (int fd = 0; fd < 3; fd++)
        process->flags[fd] = fcntl(fd, F_GETFL);
    process->files = open_files();
}

static void check_process(const struct process *before)
{
    struct process now;

    look(&now);
    for (int signal = 1; signal < SIGRTMAX; signal++)
        CHECK(sigismember(&now.mask, signal) == sigismember(&before->mask, signal));
    for (int fd = 0; fd < 3; fd++)
        CHECK(now.flags[fd] == before->flags[fd]);
    CHECK(now.files == before->files);
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
    struct process before;

    CHECK(argc == 3 || argc == 4);
    end_by_signal(argv[1]); /* first, as it forks */
    run_two(argv[1]);       /* once, for what is opened only the first time */
    look(&before);
    for (int i = 0; i < 3; i++)
        run_two(argv[1]);
    run_not(argv[1]);
    run_by_poll(argv[1]);
    run_held(argv[1]);
    pause_flood(argv[2]);
    drive_flood(argv[2]);
    run_under_signals(argv[1], argv[2]);
    if (argc == 4)
        lose_time(argv[3]);
    fail(argv[1]);
    check_process(&before);
    check_signals();
    puts("all right");
    return 0;
}
