/*
 * The first process of a guest in tests and benchmarks: says that it is there, runs one program,
 * reports how that ended.
 *
 * It writes mark 1 to the monitor's boot timer before anything else. What then happens is said on
 * the kernel's command line, which the kernel hands on as environment (words with a "=" and without
 * a dot) and as arguments (what follows "--"):
 *
 *      mv_run=/path,arg,...  run this program, as "-- /path arg ..." at the line's end does too
 *      mv_mount=none         mount nothing before; else the table below, if a program is named
 *      mv_end=WAY            how to end:
 *          poweroff            the default when nothing is run
 *          reboot              restart, by ACPI or PSCI
 *          halt                stop all CPUs and stay so
 *          panic               die, which is a panic of the kernel
 *          exit:N              end with N by the monitor's exit port
 *          status              the default after a program: its exit status by the exit port,
 *                              128 + the signal if one killed it, 127 if it cannot be started
 *
 * With no words at all it is the shortest way from a kernel to its power-off: mark, power off.
 * Where the monitor has no such ports, every exit becomes a power-off.
 *
 * It needs nothing of a C library. Build it with -ffreestanding -nostdlib, or 700 KB of one are
 * unpacked at each start.
 */
#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/reboot.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arch.h" /* of the architecture's folder */

enum { MARK_INIT = 1 };
enum { MAX_WORDS = 64 };

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

/* ---- text ---- */

static size_t length(const char *text)
{
    size_t n = 0;
    while (text[n])
        n++;
    return n;
}

/* What follows the prefix in the text, or NULL if the text does not begin with it. */
static const char *after(const char *text, const char *prefix)
{
    for (; *prefix; text++, prefix++) {
        if (*text != *prefix)
            return NULL;
    }
    return text;
}

static bool same(const char *a, const char *b)
{
    const char *rest = after(a, b);
    return rest && *rest == '\0';
}

static uint8_t number(const char *text)
{
    unsigned int value = 0;
    for (; *text >= '0' && *text <= '9'; text++)
        value = value * 10 + (unsigned int)(*text - '0');
    return (uint8_t)value;
}

/* Cuts the text at its commas, in place. */
static void split(char *text, char *word[MAX_WORDS + 1])
{
    size_t n = 0;
    while (n < MAX_WORDS) {
        word[n++] = text;
        while (*text && *text != ',')
            text++;
        if (*text == '\0')
            break;
        *text++ = '\0';
    }
    word[n] = NULL;
}

static char *variable(char *const environment[], const char *prefix)
{
    for (; *environment; environment++) {
        const char *value = after(*environment, prefix);
        if (value)
            return *environment + (value - *environment);
    }
    return NULL;
}

/* ---- system calls ---- */

static long call(long what, const void *a, const void *b, const void *c)
{
    return system_call(what, (long)a, (long)b, (long)c, 0, 0);
}

static void put(const char *text)
{
    system_call(SYS_write, STDERR_FILENO, (long)text, (long)length(text), 0, 0);
}

static void complain(const char *what, const char *name, long error)
{
    char digits[] = {(char)('0' + -error / 100 % 10), (char)('0' + -error / 10 % 10),
                     (char)('0' + -error % 10), '\0'};
    const char *part[] = {"init: cannot ", what, " ", name, ", error ", digits, "\n"};
    for (size_t i = 0; i < sizeof part / sizeof *part; i++)
        put(part[i]);
}

static void restart(unsigned int how)
{
    system_call(SYS_reboot, (long)LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, (long)how, 0, 0);
}

/* ---- the work ---- */

static void mount_all(void)
{
    for (size_t i = 0; i < sizeof mounts / sizeof *mounts; i++) {
        const char *type = mounts[i].type, *target = mounts[i].target;
        long error = system_call(SYS_mkdirat, AT_FDCWD, (long)target, 0755, 0, 0);
        if (error == 0 || error == -EEXIST)
            error = system_call(SYS_mount, (long)type, (long)target, (long)type,
                                (long)mounts[i].flags, (long)mounts[i].data);
        if (error < 0 && error != -EBUSY)
            complain("mount", target, error);
    }
}

/* The console becomes the terminal of our session, so that a shell has job control and Ctrl-C
 * reaches it. The session is ours and not the program's: when the process that leads a session
 * ends, what it wrote and the terminal did not send yet is thrown away. */
static void take_terminal(void)
{
    system_call(SYS_setsid, 0, 0, 0, 0, 0);
    system_call(SYS_ioctl, STDIN_FILENO, TIOCSCTTY, 0, 0, 0);
}

/* Runs the program to its end and returns its status; buries meanwhile every orphan, as process 1
 * has to. */
static uint8_t run(char *const program[], char *const environment[])
{
    take_terminal();
    long child = system_call(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
        complain("run", program[0], call(SYS_execve, program[0], program, environment));
        system_call(SYS_exit_group, 127, 0, 0, 0, 0);
    }
    if (child < 0) {
        complain("fork for", program[0], child);
        return 127;
    }
    int status = 0;
    for (long gone = 0; gone != child;) {
        gone = system_call(SYS_wait4, -1, (long)&status, 0, 0, 0);
        if (gone < 0 && gone != -EINTR)
            return 127;
    }
    return (uint8_t)(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

/* Comes back where the machine outlives it, as one without an exit port does. */
static void end(const char *way, uint8_t status, bool have_ports)
{
    if (same(way, "panic"))
        system_call(SYS_exit_group, 1, 0, 0, 0, 0);
    if (same(way, "reboot"))
        restart(LINUX_REBOOT_CMD_RESTART);
    if (same(way, "halt"))
        restart(LINUX_REBOOT_CMD_HALT);

    const char *chosen = after(way, "exit:");
    if ((chosen || same(way, "status")) && have_ports)
        port_write(PORT_EXIT, chosen ? number(chosen) : status);
}

static _Noreturn void init(int count, char *arguments[], char *given[])
{
    bool have_ports = ports_open();
    if (have_ports)
        port_write(PORT_MARK, MARK_INIT);

    const char *way = variable(given, "mv_end=");
    char *words = variable(given, "mv_run=");
    char *parts[MAX_WORDS + 1];
    char **program = count > 1 ? arguments + 1 : NULL;
    if (words) {
        split(words, parts);
        program = parts;
    }

    uint8_t status = 0;
    if (program) {
        const char *mounting = variable(given, "mv_mount=");
        if (!mounting || !same(mounting, "none"))
            mount_all();
        char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        char *environment[MAX_WORDS + 2];
        size_t n = 0;
        for (; given[n] && n < MAX_WORDS; n++)
            environment[n] = given[n];
        environment[n++] = path; /* a PATH given earlier has precedence */
        environment[n] = NULL;
        status = run(program, environment);
        system_call(SYS_sync, 0, 0, 0, 0, 0);
        system_call(SYS_ioctl, STDOUT_FILENO, TCSBRK, 1, 0, 0); /* until all is out: tcdrain */
    }

    end(way ? way : program ? "status" : "poweroff", status, have_ports);
    restart(LINUX_REBOOT_CMD_POWER_OFF);
    for (;;)
        system_call(SYS_ppoll, 0, 0, 0, 0, 0);
}

#if __STDC_HOSTED__
int main(int argc, char *argv[], char *envp[])
{
    init(argc, argv, envp);
}
#else
/* The stack is as the kernel left it: argument count, arguments, NULL, environment, NULL. */
__attribute__((used)) _Noreturn void start(long *stack);
void start(long *stack)
{
    int count = (int)stack[0];
    char **arguments = (char **)(stack + 1);
    init(count, arguments, arguments + count + 1);
}
#endif
