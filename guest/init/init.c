/*
 * The first process of a guest in tests and benchmarks: says that it is there, runs one program,
 * reports how that ended.
 *
 * It writes mark 1 to the monitor's boot timer as the first thing in main. What then happens is
 * said on the kernel's command line, which the kernel hands on as environment (words with a "="
 * and without a dot) and as arguments (what follows "--"):
 *
 *      mv_run=/path,arg,...  run this program, as "-- /path arg ..." at the line's end does too
 *      mv_mount=none         mount nothing before; else the table below, if a program is named
 *      mv_end=WAY            how to end:
 *          poweroff            the default when nothing is run
 *          reboot              restart, by ACPI
 *          halt                stop all CPUs and stay so
 *          panic               die, which is a panic of the kernel
 *          exit:N              end with N by the monitor's exit port
 *          status              the default after a program: its exit status by the exit port,
 *                              128 + the signal if one killed it, 127 if it cannot be started
 *
 * With no words at all it is the shortest way from a kernel to its power-off: mark, power off.
 * Where the monitor has no such ports, every exit becomes a power-off.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)
#include "port_x86_64.h"
#else
#error "the monitor's ports are not known for this architecture"
#endif

enum { MARK_INIT = 1 };
enum { MAX_ARGS = 64 };

static const struct {
    const char *type, *target, *data;
    unsigned long flags;
} mounts[] = {
    {"proc", "/proc", NULL, MS_NOSUID | MS_NOEXEC | MS_NODEV},
    {"sysfs", "/sys", NULL, MS_NOSUID | MS_NOEXEC | MS_NODEV},
    {"devtmpfs", "/dev", "mode=755", MS_NOSUID},
    {"devpts", "/dev/pts", "mode=620,gid=5,ptmxmode=666", MS_NOSUID | MS_NOEXEC},
    {"tmpfs", "/dev/shm", "mode=1777", MS_NOSUID | MS_NODEV},
    {"tmpfs", "/run", "mode=755", MS_NOSUID | MS_NODEV},
    {"tmpfs", "/tmp", "mode=1777", MS_NOSUID | MS_NODEV},
    {"cgroup2", "/sys/fs/cgroup", NULL, MS_NOSUID | MS_NOEXEC | MS_NODEV},
};

static void say(const char *what, const char *name)
{
    const char *reason = strerror(errno);
    const char *part[] = {"init: ", what, " ", name, ": ", reason, "\n"};
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
        if (write(STDERR_FILENO, part[i], strlen(part[i])) < 0)
            return;
    }
}

static void mount_all(void)
{
    for (size_t i = 0; i < sizeof mounts / sizeof *mounts; i++) {
        if (mkdir(mounts[i].target, 0755) < 0 && errno != EEXIST)
            say("cannot make", mounts[i].target);
        if (mount(mounts[i].type, mounts[i].target, mounts[i].type, mounts[i].flags,
                  mounts[i].data) < 0 &&
            errno != EBUSY)
            say("cannot mount", mounts[i].target);
    }
}

/* Cuts the text at its commas, in place. */
static void split(char *text, char *arg[MAX_ARGS + 1])
{
    size_t n = 0;
    for (char *next; text && n < MAX_ARGS; text = next) {
        next = strchr(text, ',');
        if (next)
            *next++ = '\0';
        arg[n++] = text;
    }
    arg[n] = NULL;
}

/* A session of its own with the console as its terminal, so that a shell has job control and Ctrl-C
 * reaches it. */
static _Noreturn void become(char *const arg[])
{
    setsid();
    ioctl(STDIN_FILENO, TIOCSCTTY, 0);
    execv(arg[0], arg);
    say("cannot run", arg[0]);
    _exit(127);
}

/* Runs the program to its end and returns its status; buries meanwhile every orphan, as process 1
 * has to. */
static int run(char *const arg[])
{
    pid_t child = fork();
    if (child < 0) {
        say("cannot fork for", arg[0]);
        return 127;
    }
    if (child == 0)
        become(arg);

    int status = 0;
    for (pid_t gone = 0; gone != child;) {
        gone = waitpid(-1, &status, 0);
        if (gone < 0 && errno != EINTR)
            return 127;
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Does not return unless the machine outlives it, as one without an exit port does. */
static void end(const char *way, int status, bool have_ports)
{
    if (strcmp(way, "panic") == 0)
        _exit(1);
    if (strcmp(way, "reboot") == 0)
        reboot(RB_AUTOBOOT);
    if (strcmp(way, "halt") == 0)
        reboot((int)RB_HALT_SYSTEM);
    if (strncmp(way, "exit:", 5) == 0 && have_ports)
        port_write(PORT_EXIT, (uint8_t)strtoul(way + 5, NULL, 0));
    if (strcmp(way, "status") == 0 && have_ports)
        port_write(PORT_EXIT, (uint8_t)status);
}

int main(int argc, char *argv[])
{
    bool have_ports = ports_open();
    if (have_ports)
        port_write(PORT_MARK, MARK_INIT);

    const char *way = getenv("mv_end");
    char *words = getenv("mv_run");
    char *parts[MAX_ARGS + 1];
    char **program = argc > 1 ? argv + 1 : NULL;
    if (words) {
        split(words, parts);
        program = parts;
    }

    int status = 0;
    if (program) {
        const char *mounting = getenv("mv_mount");
        if (!mounting || strcmp(mounting, "none") != 0)
            mount_all();
        setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 0);
        status = run(program);
        sync();
    }

    end(way ? way : program ? "status" : "poweroff", status, have_ports);
    reboot(RB_POWER_OFF);
    for (;;)
        pause();
}
