/* SPDX-License-Identifier: MIT */
/* The person's terminal: see term.h. */
#include "term.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "util.h"

#define ESCAPE 0x01 /* Ctrl-A */

static struct termios before;
static volatile sig_atomic_t is_raw;

void mv_term_restore(void)
{
    int saved = errno;

    if (is_raw)
        tcsetattr(STDIN_FILENO, TCSANOW, &before); /* nothing waits for one that is stuck */
    is_raw = 0;
    errno = saved;
}

bool mv_term_is_raw(void)
{
    return is_raw;
}

static bool set_raw(void)
{
    struct termios raw = before;

    cfmakeraw(&raw);
    return tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

/* We have crashed: leave the terminal usable, then die as we would have. */
static void on_crash(int signal)
{
    mv_term_restore();
    raise(signal); /* SA_RESETHAND: by default now */
}

/* The shell has set its own modes while we were stopped. */
static void on_continue(int signal)
{
    int saved = errno;

    (void)signal;
    if (is_raw)
        set_raw();
    errno = saved;
}

bool mv_term_raw(void)
{
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS};
    struct sigaction crash = {.sa_handler = on_crash, .sa_flags = (int)SA_RESETHAND | SA_NODEFER};
    struct sigaction resume = {.sa_handler = on_continue, .sa_flags = SA_RESTART};

    if (tcgetattr(STDIN_FILENO, &before) < 0)
        return false;
    if (tcgetpgrp(STDIN_FILENO) != getpgrp())
        return false; /* in the background: the terminal is somebody else's */
    for (unsigned i = 0; i < MV_COUNT(crashes); i++)
        sigaction(crashes[i], &crash, NULL);
    sigaction(SIGCONT, &resume, NULL);
    atexit(mv_term_restore);
    is_raw = 1;
    if (set_raw())
        return true;
    is_raw = 0;
    return false;
}

int mv_term_messages(void)
{
    struct stat st;
    int fd = -1;

    if (fstat(STDERR_FILENO, &st) == 0 && (isatty(STDERR_FILENO) || S_ISFIFO(st.st_mode)))
        fd = open("/proc/self/fd/2", O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    return fd >= 0 ? fd : STDERR_FILENO;
}

enum mv_key mv_keys_filter(bool *in_escape, uint8_t *data, size_t *count, bool *ret_break)
{
    enum mv_key key = MV_KEY_NONE;
    size_t kept = 0;

    for (size_t i = 0; i < *count && !*ret_break; i++) {
        if (!*in_escape) {
            if (data[i] == ESCAPE)
                *in_escape = true;
            else
                data[kept++] = data[i];
            continue;
        }
        *in_escape = false;
        switch (data[i]) {
        case 'x':
        case 'X': key = MV_KEY_QUIT; break;
        case 'b':
        case 'B': *ret_break = true; break;
        case 'h':
        case 'H':
        case '?': key = MV_KEY_HELP; break;
        case ESCAPE: data[kept++] = ESCAPE; break;
        default: break; /* no such escape: both keys are dropped */
        }
    }
    *count = kept;
    return key;
}
