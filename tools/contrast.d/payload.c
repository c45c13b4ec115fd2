/* SPDX-License-Identifier: MIT */
/*
 * What tools/contrast runs everywhere: as a process, in containers, and as the first process of a
 * virtual machine.  The first thing that main does is to write mark 1, then it does a named piece
 * of work (the FNV-1a hash of 256 KiB), writes mark 2, and ends.
 *
 *   payload WORD...
 *
 *   run           the work
 *   idle          mark 1, then wait until someone opens the FIFO stop=PATH for writing, or for ever
 *   steady        mark 1, then time a few things that processes do all the time, and print them:
 *                 "payload: getpid=NANOSECONDS/COUNT" ...
 *
 *   mark=PATH     marks are lines "ID VALUE NANOSECONDS" (CLOCK_MONOTONIC) in this FIFO
 *   mark=port     marks are bytes to the monitor's boot timer
 *   mark=console  marks are lines "payload: mark VALUE" on the standard output
 *   id=ID         for the lines above
 *   end=off, end=reset   it is process 1 of a machine, and switches that off or resets it
 *
 * Mark 2 says that all went well.  Other words are ignored: a kernel hands on what it does not know
 * of the words that a monitor gives it.
 *
 * It needs nothing of a C library: so the machine that boots it unpacks a few KiB, and what is
 * measured is not a library's start.
 */
#include <asm/ioctls.h>
#include <fcntl.h>
#include <linux/reboot.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "arch.h" /* guest/init/: system calls, ports, the entry */

enum { MARK_MAIN = 1, MARK_DONE = 2 };
enum { WORK_SIZE = 256 << 10, PAGE = 4096 };
#define WORK_HASH                                                                  \
    0xc1adf21c706e2325ull /* checked: who computes another one did not do the work \
                           */

struct words {
    const char *mark, *id, *stop, *end;
};

static bool have_ports;

/* ---- text ---- */

static const char *after(const char *text, const char *prefix)
{
    for (; *prefix; text++, prefix++)
        if (*text != *prefix)
            return NULL;
    return text;
}

static bool same(const char *a, const char *b)
{
    const char *rest = after(a, b);

    return rest && !*rest;
}

static char *put_text(char *to, const char *text)
{
    while (*text)
        *to++ = *text++;
    return to;
}

static char *put_number(char *to, uint64_t number)
{
    char digits[20];
    size_t n = 0;

    do {
        digits[n++] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    while (n)
        *to++ = digits[--n];
    return to;
}

static uint64_t now(void)
{
    struct timespec time;

    system_call(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&time, 0, 0, 0);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* ---- marks ---- */

static void mark(const struct words *words, uint8_t value)
{
    uint64_t at;
    char line[96], *to = line;
    long fd;

    if (same(words->mark, "port")) {
        if (have_ports)
            port_write(PORT_MARK, value);
    } else if (same(words->mark, "console")) {
        to = put_number(put_text(to, "payload: mark "), value);
        to = put_text(to, "\n");
        system_call(SYS_write, STDOUT_FILENO, (long)line, to - line, 0, 0);
    } else if (words->mark[0]) {
        at = now(); /* what follows is not its start any more */
        to = put_text(put_number(put_text(put_text(to, words->id), " "), value), " ");
        to = put_text(put_number(to, at), "\n");
        fd = system_call(SYS_openat, AT_FDCWD, (long)words->mark, O_WRONLY | O_NONBLOCK, 0, 0);
        system_call(SYS_write, fd, (long)line, to - line, 0, 0);
        system_call(SYS_close, fd, 0, 0, 0, 0);
    }
}

/* ---- the work ---- */

static uint8_t work(void)
{
    uint64_t hash = 0xcbf29ce484222325ull;

    for (uint32_t i = 0; i < WORK_SIZE; i++)
        hash = (hash ^ (i & 0xff)) * 0x100000001b3ull;
    return hash == WORK_HASH ? 0 : 1;
}

static void wait_for_end(const struct words *words)
{
    long fd = -1;
    char byte;

    if (words->stop)
        fd = system_call(SYS_openat, AT_FDCWD, (long)words->stop, O_RDONLY, 0, 0);
    if (fd >= 0)
        system_call(SYS_read, fd, (long)&byte, 1, 0, 0);
    while (fd < 0)
        system_call(SYS_ppoll, 0, 0, 0, 0, 0);
}

/* ---- the steady state ---- */

static void report(const char *name, uint64_t took, uint64_t count)
{
    char line[96], *to = put_text(put_text(put_text(line, "payload: "), name), "=");

    to = put_number(put_text(put_number(to, took), "/"), count);
    to = put_text(to, "\n");
    system_call(SYS_write, STDOUT_FILENO, (long)line, to - line, 0, 0);
}

static void time_getpid(uint64_t count)
{
    uint64_t began = now();

    for (uint64_t i = 0; i < count; i++)
        system_call(SYS_getpid, 0, 0, 0, 0, 0);
    report("getpid", now() - began, count);
}

static void time_page_fault(uint64_t count)
{
    volatile uint8_t *memory;
    uint64_t began;

    memory =
        (volatile uint8_t *)system_call6(SYS_mmap, 0, (long)(count * PAGE), PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if ((long)memory < 0 && (long)memory > -4096)
        return;
    system_call(SYS_madvise, (long)memory, (long)(count * PAGE), MADV_NOHUGEPAGE, 0, 0);
    began = now();
    for (uint64_t i = 0; i < count; i++)
        memory[i * PAGE] = 1;
    report("page_fault", now() - began, count);
    system_call(SYS_munmap, (long)memory, (long)(count * PAGE), 0, 0, 0);
}

static void time_read(const char *path, uint64_t count)
{
    static char block[PAGE];
    uint64_t began;
    long fd = system_call(SYS_openat, AT_FDCWD, (long)path, O_RDONLY, 0, 0);

    if (fd < 0 || system_call(SYS_pread64, fd, (long)block, PAGE, 0, 0) != PAGE)
        return;
    began = now();
    for (uint64_t i = 0; i < count; i++)
        system_call(SYS_pread64, fd, (long)block, PAGE, 0, 0);
    report("read_4k", now() - began, count);
    system_call(SYS_close, fd, 0, 0, 0, 0);
}

/* Both processes of a pair on one CPU: so that a switch is a switch. */
static void stay_on_one_cpu(void)
{
    unsigned long mask[16] = {0};
    long size = system_call(SYS_sched_getaffinity, 0, sizeof(mask), (long)mask, 0, 0);

    for (long i = 0; size > 0 && i < 16; i++)
        if (mask[i]) {
            mask[i] &= -mask[i];
            while (++i < 16)
                mask[i] = 0;
        }
    system_call(SYS_sched_setaffinity, 0, sizeof(mask), (long)mask, 0, 0);
}

static void time_switch(uint64_t count)
{
    uint64_t began;
    long child;

    child = system_call(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child < 0)
        return;
    if (child == 0)
        for (;;)
            system_call(SYS_sched_yield, 0, 0, 0, 0, 0);
    for (int i = 0; i < 16; i++) /* until it has begun, and faulted its pages in */
        system_call(SYS_sched_yield, 0, 0, 0, 0, 0);
    began = now();
    for (uint64_t i = 0; i < count; i++) /* there and back are two */
        system_call(SYS_sched_yield, 0, 0, 0, 0, 0);
    report("context_switch", now() - began, 2 * count);
    system_call(SYS_kill, child, SIGKILL, 0, 0, 0);
    system_call(SYS_wait4, child, 0, 0, 0, 0);
}

static void time_pipe(uint64_t count)
{
    int there[2], back[2];
    uint64_t began = 0;
    char byte = 0;
    long child;

    if (system_call(SYS_pipe2, (long)there, 0, 0, 0, 0) < 0 ||
        system_call(SYS_pipe2, (long)back, 0, 0, 0, 0) < 0)
        return;
    child = system_call(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child < 0)
        return;
    if (child == 0)
        for (;;) {
            system_call(SYS_read, there[0], (long)&byte, 1, 0, 0);
            system_call(SYS_write, back[1], (long)&byte, 1, 0, 0);
        }
    for (uint64_t i = 0; i < count + 8; i++) {
        if (i == 8) /* as above */
            began = now();
        system_call(SYS_write, there[1], (long)&byte, 1, 0, 0);
        system_call(SYS_read, back[0], (long)&byte, 1, 0, 0);
    }
    report("pipe_round_trip", now() - began, count);
    system_call(SYS_kill, child, SIGKILL, 0, 0, 0);
    system_call(SYS_wait4, child, 0, 0, 0, 0);
}

static void steady(const char *own_path)
{
    stay_on_one_cpu();
    time_getpid(20000);
    time_page_fault(2048);
    time_read(own_path, 2000);
    time_switch(2000);
    time_pipe(1000);
}

/* ---- all of it ---- */

static uint8_t payload(int count, char *arguments[])
{
    struct words words = {.mark = "", .id = "0"};
    const char *what = "", *value;
    uint8_t status = 0;

    for (int i = 1; i < count; i++) {
        if ((value = after(arguments[i], "mark=")))
            words.mark = value;
        else if ((value = after(arguments[i], "id=")))
            words.id = value;
        else if ((value = after(arguments[i], "stop=")))
            words.stop = value;
        else if ((value = after(arguments[i], "end=")))
            words.end = value;
        else if (same(arguments[i], "run") || same(arguments[i], "idle") ||
                 same(arguments[i], "steady"))
            what = arguments[i];
    }
    if (same(words.mark, "port"))
        have_ports = ports_open();
    mark(&words, MARK_MAIN);
    if (same(what, "run"))
        status = work();
    else if (same(what, "idle"))
        wait_for_end(&words);
    else if (same(what, "steady"))
        steady(arguments[0]);
    else
        status = 2;
    if (!status)
        mark(&words, MARK_DONE);
    if (words.end && system_call(SYS_getpid, 0, 0, 0, 0, 0) == 1) {
        if (status)
            report("failed", status, 1);
        system_call(SYS_ioctl, STDOUT_FILENO, TCSBRK, 1, 0, 0); /* until all is out: tcdrain */
        system_call(SYS_reboot, (long)LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
                    (long)(same(words.end, "reset") ? LINUX_REBOOT_CMD_RESTART
                                                    : LINUX_REBOOT_CMD_POWER_OFF),
                    0, 0);
    }
    return status;
}

/* The stack is as the kernel left it: argument count, arguments, NULL. */
__attribute__((used)) _Noreturn void start(long *stack);
void start(long *stack)
{
    system_call(SYS_exit_group, payload((int)stack[0], (char **)(stack + 1)), 0, 0, 0, 0);
    for (;;)
        ;
}
