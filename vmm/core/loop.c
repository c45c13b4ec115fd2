/* SPDX-License-Identifier: MIT */
/* The I/O thread: see loop.h. */
#include "loop.h"

#include <errno.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "util.h"

/* While this thread polls, vCPUs go first.  sched_yield gives way only to threads that have not had
 * much more CPU time than this one; a higher nice value makes this one's time count for more. */
#define NICE 3

int mv_loop_init(struct mv_loop *loop)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};

    *loop = (struct mv_loop){.epoll = -1, .wake = -1};
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll < 0)
        return -errno;
    loop->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->wake < 0)
        return -errno;
    if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->wake, &event) < 0)
        return -errno;
    return 0;
}

void mv_loop_done(struct mv_loop *loop)
{
    mv_close_fd(&loop->wake);
    mv_close_fd(&loop->epoll);
}

static int control(struct mv_loop *loop, int operation, struct mv_loop_source *source,
                   uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = source};

    return epoll_ctl(loop->epoll, operation, source->fd, &event) < 0 ? -errno : 0;
}

int mv_loop_watch(struct mv_loop *loop, struct mv_loop_source *source, uint32_t events)
{
    return control(loop, EPOLL_CTL_ADD, source, events);
}

int mv_loop_change(struct mv_loop *loop, struct mv_loop_source *source, uint32_t events)
{
    return control(loop, EPOLL_CTL_MOD, source, events);
}

void mv_loop_poll(struct mv_loop *loop, struct mv_loop_poller *poller)
{
    if (poller->active)
        return;
    poller->active = true;
    poller->next = loop->pollers;
    loop->pollers = poller;
}

/* Calls each poller once.  One started meanwhile, even by itself, waits for the next turn. */
static void call_pollers(struct mv_loop *loop)
{
    struct mv_loop_poller *left = loop->pollers;

    loop->pollers = NULL;
    while (left) {
        struct mv_loop_poller *poller = left;

        left = poller->next;
        poller->active = false;
        if (poller->fn(poller->context))
            mv_loop_poll(loop, poller);
    }
}

void mv_loop_turn(struct mv_loop *loop, int timeout)
{
    struct epoll_event events[16];
    int count = epoll_wait(loop->epoll, events, MV_COUNT(events), loop->pollers ? 0 : timeout);

    for (int i = 0; i < count; i++) {
        struct mv_loop_source *source = events[i].data.ptr;

        if (!source)
            break; /* woken by mv_loop_stop */
        if (source->lock)
            pthread_mutex_lock(source->lock);
        source->fn(source->context, events[i].events);
        if (source->lock)
            pthread_mutex_unlock(source->lock);
    }
    if (loop->pollers) {
        call_pollers(loop);
        sched_yield(); /* the vCPU that we wait for may need this CPU */
    }
}

static void *run(void *context)
{
    struct mv_loop *loop = context;

    setpriority(PRIO_PROCESS, 0, NICE); /* on Linux this thread only; raising nice never fails */
    /* Pairs with the store in mv_loop_stop. */
    while (!atomic_load(&loop->stopping))
        mv_loop_turn(loop, -1);
    return NULL;
}

int mv_loop_start(struct mv_loop *loop)
{
    int error = mv_start_thread(&loop->thread, run, loop);

    loop->started = error == 0;
    return error;
}

void mv_loop_stop(struct mv_loop *loop)
{
    uint64_t one = 1;

    if (!loop->started)
        return;
    atomic_store(&loop->stopping, true); /* pairs with the load in run */
    while (write(loop->wake, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
    pthread_join(loop->thread, NULL);
    loop->started = false;
}
