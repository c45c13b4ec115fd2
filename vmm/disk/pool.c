/* SPDX-License-Identifier: MIT */
/* The engine for hosts without io_uring: a pool of threads with blocking I/O. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "core/util.h"
#include "io.h"

#define THREADS 4

struct list {
    struct mv_io *first, **end;
};

struct pool {
    struct mv_engine engine;
    int fd;
    pthread_t threads[THREADS];
    unsigned started;

    pthread_mutex_t lock; /* protects the following members */
    pthread_cond_t work;
    struct list waiting, done;
    bool listening, ending;
};

static void list_init(struct list *list)
{
    list->first = NULL;
    list->end = &list->first;
}

static void list_add(struct list *list, struct mv_io *io)
{
    io->next = NULL;
    *list->end = io;
    list->end = &io->next;
}

static struct mv_io *list_take(struct list *list)
{
    struct mv_io *io = list->first;

    if (io)
        list->first = io->next;
    if (!list->first)
        list->end = &list->first;
    return io;
}

static void *work(void *context)
{
    struct pool *pool = context;

    pthread_mutex_lock(&pool->lock);
    for (;;) {
        struct mv_io *io = list_take(&pool->waiting);

        if (!io && pool->ending)
            break;
        if (!io) {
            pthread_cond_wait(&pool->work, &pool->lock);
            continue;
        }
        pthread_mutex_unlock(&pool->lock);
        mv_io_perform(pool->fd, io);
        pthread_mutex_lock(&pool->lock);
        list_add(&pool->done, io);
        if (pool->listening)
            eventfd_write(pool->engine.event, 1);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static void submit(struct mv_engine *engine, struct mv_io *io)
{
    struct pool *pool = (struct pool *)engine;

    pthread_mutex_lock(&pool->lock);
    list_add(&pool->waiting, io);
    pthread_cond_signal(&pool->work);
    pthread_mutex_unlock(&pool->lock);
}

static bool start(struct mv_engine *engine)
{
    (void)engine; /* submit has already woken a thread */
    return true;
}

static struct mv_io *reap(struct mv_engine *engine)
{
    struct pool *pool = (struct pool *)engine;
    struct mv_io *io;

    pthread_mutex_lock(&pool->lock);
    io = list_take(&pool->done);
    pthread_mutex_unlock(&pool->lock);
    return io;
}

static void set_listening(struct mv_engine *engine, bool on)
{
    struct pool *pool = (struct pool *)engine;

    pthread_mutex_lock(&pool->lock);
    pool->listening = on;
    pthread_mutex_unlock(&pool->lock);
}

static void cancel(struct mv_engine *engine)
{
    struct pool *pool = (struct pool *)engine;
    struct mv_io *io;

    pthread_mutex_lock(&pool->lock);
    while ((io = list_take(&pool->waiting)) != NULL) {
        io->result = -ECANCELED;
        list_add(&pool->done, io);
    }
    if (pool->listening)
        eventfd_write(pool->engine.event, 1);
    pthread_mutex_unlock(&pool->lock);
}

static void destroy(struct mv_engine *engine)
{
    struct pool *pool = (struct pool *)engine;

    cancel(engine);
    pthread_mutex_lock(&pool->lock);
    pool->ending = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    while (pool->started)
        pthread_join(pool->threads[--pool->started], NULL);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    mv_close_fd(&pool->engine.event);
    free(pool);
}

int mv_pool_create(int fd, unsigned depth, struct mv_engine **ret_engine)
{
    static const struct mv_engine_ops ops = {submit, start, reap, set_listening, cancel, destroy};
    struct pool *pool = calloc(1, sizeof(*pool));
    int error = 0;

    (void)depth;
    if (!pool)
        return -ENOMEM;
    pool->engine = (struct mv_engine){.ops = &ops, .name = "threads"};
    pool->fd = fd;
    list_init(&pool->waiting);
    list_init(&pool->done);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pool->engine.event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (pool->engine.event < 0)
        error = -errno;
    while (!error && pool->started < THREADS) {
        error = mv_start_thread(&pool->threads[pool->started], work, pool);
        if (!error)
            pool->started++;
    }
    if (error && pool->started == 0) { /* a single thread suffices */
        destroy(&pool->engine);
        return error;
    }
    *ret_engine = &pool->engine;
    return 0;
}
