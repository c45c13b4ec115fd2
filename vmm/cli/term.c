/* SPDX-License-Identifier: MIT */
/* The user's terminal: see term.h. */
#include "term.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "core/util.h"

#define ESCAPE 0x01 /* Ctrl-A */

#define LOOK_AGAIN 200000000 /* nanoseconds between checks while another job has the terminal */

static struct termios before;
static bool is_known;                 /* `before` is valid */
static volatile sig_atomic_t is_ours; /* the terminal shall be raw while we are in the foreground */
static volatile sig_atomic_t is_raw;
static timer_t look;

/* In the background, a call that changes the terminal would stop the process (SIGTTOU). */
static bool in_foreground(void)
{
    return tcgetpgrp(STDIN_FILENO) == getpgrp();
}

bool mv_term_in_background(void)
{
    return tcgetpgrp(STDIN_FILENO) >= 0 && !in_foreground();
}

bool mv_term_is_raw(void)
{
    return is_raw;
}

static void give_back(void)
{
    if (is_raw && in_foreground())
        tcsetattr(STDIN_FILENO, TCSANOW, &before); /* TCSADRAIN could block on a stuck terminal */
    is_raw = 0;
}

void mv_term_restore(void)
{
    int saved = errno;

    is_ours = 0;
    give_back();
    errno = saved;
}

/* Makes the terminal raw if our job is in the foreground.  A running job is not notified when it
 * comes to the foreground, so until then a timer checks. */
static void take(void)
{
    const struct itimerspec later = {.it_value.tv_nsec = LOOK_AGAIN};
    struct termios now;

    if (!is_ours)
        return;
    if (!in_foreground()) {
        is_raw = 0;
        if (mv_term_in_background())
            timer_settime(look, 0, &later, NULL);
        return;
    }
    if (tcgetattr(STDIN_FILENO, &now) < 0)
        return;
    if (!is_known || now.c_lflag & ICANON) /* else left raw by us or by a shell's line editor */
        before = now;
    is_known = true;
    cfmakeraw(&now);
    is_raw = 1;
    if (tcsetattr(STDIN_FILENO, TCSANOW, &now) < 0)
        is_raw = 0;
}

/* The process crashed: restores the terminal, then dies from the same signal. */
static void on_crash(int signal)
{
    mv_term_restore();
    raise(signal); /* default action, by SA_RESETHAND */
}

/* The process was stopped, and the shell has set its own modes; or the timer has fired. */
static void on_continue(int signal)
{
    int saved = errno;

    (void)signal;
    take();
    errno = saved;
}

static void catch_stop(void);

static void on_stop(int signal)
{
    int saved = errno;

    give_back();
    raise(signal); /* default action: stops the process here */
    catch_stop();
    take();
    errno = saved;
}

static void catch_stop(void)
{
    static const struct sigaction stop = {.sa_handler = on_stop,
                                          .sa_flags = (int)SA_RESETHAND | SA_NODEFER | SA_RESTART};

    sigaction(SIGTSTP, &stop, NULL);
}

bool mv_term_raw(void)
{
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS};
    struct sigaction crash = {.sa_handler = on_crash, .sa_flags = (int)SA_RESETHAND | SA_NODEFER};
    struct sigaction resume = {.sa_handler = on_continue, .sa_flags = SA_RESTART};
    struct sigaction stop;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMAX};

    if (!isatty(STDIN_FILENO) || tcgetpgrp(STDIN_FILENO) < 0)
        return false; /* no terminal, or another session's */
    for (unsigned i = 0; i < MV_COUNT(crashes); i++)
        sigaction(crashes[i], &crash, NULL);
    sigaction(SIGCONT, &resume, NULL);
    sigaction(SIGRTMAX, &resume, NULL);
    if (sigaction(SIGTSTP, NULL, &stop) == 0 && stop.sa_handler != SIG_IGN)
        catch_stop();
    if (timer_create(CLOCK_MONOTONIC, &event, &look) < 0)
        return false;
    atexit(mv_term_restore);
    is_ours = 1;
    take();
    return is_raw;
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
