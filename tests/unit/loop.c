/* SPDX-License-Identifier: MIT */
/* The I/O thread: calls under the lock, changes of interest, start and stop. */
#include "core/loop.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/util.h"

static struct mv_loop loop;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_uint calls;
static int done;
static sigset_t blocked;

static void start(void)
{
    cr_assert_eq(mv_loop_init(&loop), 0);
    done = eventfd(0, EFD_CLOEXEC);
}

static void stop(void)
{
    mv_loop_stop(&loop);
    mv_loop_done(&loop);
    close(done);
}

TestSuite(loop, .init = start, .fini = stop);

static void on_ready(void *context, uint32_t events)
{
    struct mv_loop_source *source = context;
    eventfd_t count;

    cr_assert_neq(pthread_mutex_trylock(&lock), 0, "the lock is held");
    cr_assert(events & EPOLLIN);
    cr_assert_eq(eventfd_read(source->fd, &count), 0);
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    atomic_fetch_add(&calls, 1);
    eventfd_write(done, 1);
}

static void wait_done(void)
{
    eventfd_t count;

    cr_assert_eq(eventfd_read(done, &count), 0);
}

static struct mv_loop_source make_source(int fd)
{
    return (struct mv_loop_source){.fd = fd, .lock = &lock, .fn = on_ready};
}

Test(loop, calls_under_the_lock_when_a_source_is_ready)
{
    struct mv_loop_source source = make_source(eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK));

    source.context = &source;
    cr_assert_eq(mv_loop_watch(&loop, &source, EPOLLIN), 0);
    cr_assert_eq(mv_loop_start(&loop), 0);
    wait_done();
    eventfd_write(source.fd, 1);
    wait_done();
    cr_expect_eq(atomic_load(&calls), 2);
    mv_loop_stop(&loop);
    close(source.fd);
}

Test(loop, a_source_without_interest_is_quiet_until_it_is_changed)
{
    struct mv_loop_source source = make_source(eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK));

    source.context = &source;
    cr_assert_eq(mv_loop_watch(&loop, &source, 0), 0);
    cr_assert_eq(mv_loop_start(&loop), 0);
    usleep(20000);
    cr_expect_eq(atomic_load(&calls), 0);
    cr_assert_eq(mv_loop_change(&loop, &source, EPOLLIN | EPOLLONESHOT), 0);
    wait_done();
    eventfd_write(source.fd, 1);
    usleep(20000);
    cr_expect_eq(atomic_load(&calls), 1, "one shot");
    mv_loop_stop(&loop);
    close(source.fd);
}

Test(loop, its_thread_takes_no_signals)
{
    struct mv_loop_source source = make_source(eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK));
    sigset_t mine;

    source.context = &source;
    mv_loop_watch(&loop, &source, EPOLLIN);
    cr_assert_eq(mv_loop_start(&loop), 0);
    pthread_sigmask(SIG_SETMASK, NULL, &mine);
    cr_expect(!sigismember(&mine, SIGTERM), "the caller's mask is as it was");
    wait_done();
    mv_loop_stop(&loop);
    cr_expect(sigismember(&blocked, SIGTERM) && sigismember(&blocked, SIGPIPE));
    cr_expect_not(sigismember(&blocked, SIGSEGV), "a crash reaches the process's handler");
    cr_expect_not(sigismember(&blocked, SIGBUS));
    close(source.fd);
}

Test(loop, tells_what_cannot_be_waited_for)
{
    struct mv_loop_source file = make_source(open("/dev/null", O_RDONLY | O_CLOEXEC));
    struct mv_loop_source unknown = make_source(eventfd(0, EFD_CLOEXEC));

    cr_expect_eq(mv_loop_watch(&loop, &file, EPOLLIN), -EPERM);
    cr_expect_eq(mv_loop_change(&loop, &unknown, EPOLLIN), -ENOENT);
    cr_expect_eq(mv_loop_watch(&loop, &unknown, EPOLLIN), 0);
    cr_expect_eq(mv_loop_watch(&loop, &unknown, EPOLLIN), -EEXIST);
    close(file.fd);
    close(unknown.fd);
}

Test(loop, stopping_one_that_never_started_is_fine_and_so_is_twice)
{
    mv_loop_stop(&loop);
    cr_assert_eq(mv_loop_start(&loop), 0);
    mv_loop_stop(&loop);
    mv_loop_stop(&loop);
    mv_loop_done(&loop);
}

/* ---- pollers: turned by hand ---- */

#define POLLERS 4

/* Each starts those of a set, and is done after so many calls. */
static struct {
    struct mv_loop_poller poller;
    unsigned starts; /* a bit for each */
    unsigned calls, until;
} polled[POLLERS];

static bool on_poll(void *context)
{
    unsigned self = (unsigned)(uintptr_t)context;

    polled[self].calls++;
    for (unsigned i = 0; i < POLLERS; i++)
        if (polled[self].starts >> i & 1)
            mv_loop_poll(&loop, &polled[i].poller);
    return polled[self].calls < polled[self].until;
}

static void make_pollers(void)
{
    memset(polled, 0, sizeof(polled));
    for (unsigned i = 0; i < POLLERS; i++) {
        polled[i].poller = (struct mv_loop_poller){.fn = on_poll, .context = (void *)(uintptr_t)i};
        polled[i].until = 3;
    }
}

static void turn(unsigned turns)
{
    while (turns--)
        mv_loop_turn(&loop, 0);
}

static void expect_calls(unsigned which, unsigned count)
{
    cr_expect_eq(polled[which].calls, count, "poller %u: %u calls", which, polled[which].calls);
    cr_expect(!polled[which].poller.active);
}

Test(loop, a_poller_that_starts_others_and_ends_loses_none)
{
    for (unsigned running = 0; running < POLLERS; running++) {
        make_pollers();
        polled[running].until = 1;
        polled[running].starts = ~(1u << running);
        mv_loop_poll(&loop, &polled[running].poller);
        turn(10);
        for (unsigned i = 0; i < POLLERS; i++)
            expect_calls(i, i == running ? 1 : 3);
    }
}

Test(loop, pollers_that_run_already_are_called_once_a_turn_whoever_starts_them_again)
{
    make_pollers();
    for (unsigned i = 0; i < POLLERS; i++)
        mv_loop_poll(&loop, &polled[i].poller);
    polled[1].until = 1;
    polled[1].starts = 0xd;
    turn(1);
    expect_calls(1, 1);
    for (unsigned i = 0; i < POLLERS; i++)
        cr_expect_eq(polled[i].calls, 1);
    turn(10);
    for (unsigned i = 0; i < POLLERS; i++)
        expect_calls(i, i == 1 ? 1 : 3);
}

Test(loop, a_poller_that_starts_itself_again_is_called_again_whatever_it_returns)
{
    make_pollers();
    polled[0].until = 0; /* it is done, each time */
    polled[0].starts = 0x5;
    mv_loop_poll(&loop, &polled[0].poller);
    turn(5);
    cr_expect_eq(polled[0].calls, 5);
    polled[0].starts = 0;
    turn(5);
    expect_calls(0, 6);
    expect_calls(2, 5); /* started again after each three */
}
