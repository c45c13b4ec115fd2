/* SPDX-License-Identifier: MIT */
/*
 * Devices as an embedder writes them: an entropy device (virtio 1.2, 5.4) that answers at
 * once, one that answers by a thread of its own, and a bell, which has an interrupt line.
 * Two machines at once have all of them.  Usage: custom_devices ENTROPY (the guest of entropy.c)
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "minivmm/device.h"
#include "minivmm/virtio.h"

#define CHECK(condition)                                                            \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                                \
        }                                                                           \
    } while (0)

static uint32_t answer(const struct mv_chain *chain, uint8_t value)
{
    size_t done = 0;

    while (mv_chain_write(chain, done, &value, 1) == 1)
        done++;
    return (uint32_t)done;
}

/* ---- at once ---- */

struct quick {
    struct mv_virtio *virtio;
    struct mv_chain chain;
    uint8_t next;
    unsigned destroyed;
};

static void notify_quick(void *state)
{
    struct quick *quick = state;

    while (mv_virtio_pop(quick->virtio, 0, &quick->chain))
        mv_virtio_push(quick->virtio, 0, quick->chain.head, answer(&quick->chain, ++quick->next));
}

static void reset_quick(void *state)
{
    ((struct quick *)state)->next = 0;
}

static void destroy_quick(void *state)
{
    ((struct quick *)state)->destroyed++;
}

/* ---- by a thread ---- */

struct slow {
    struct mv_virtio *virtio;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    bool over;
    struct mv_chain chains[MV_QUEUE_MAX]; /* in the order in which they came, in a circle */
    uint32_t written[MV_QUEUE_MAX];
    unsigned popped, answered, pushed; /* free-running; the last is the loop thread's */
    uint8_t next;
};

static void *work(void *context)
{
    struct slow *slow = context;

    pthread_mutex_lock(&slow->lock);
    while (!slow->over) {
        unsigned i = slow->answered % MV_QUEUE_MAX;

        if (slow->answered == slow->popped) {
            pthread_cond_wait(&slow->more, &slow->lock);
            continue;
        }
        pthread_mutex_unlock(&slow->lock);
        slow->written[i] = answer(&slow->chains[i], ++slow->next);
        pthread_mutex_lock(&slow->lock);
        slow->answered++;
        mv_virtio_wake(slow->virtio);
    }
    pthread_mutex_unlock(&slow->lock);
    return NULL;
}

static void notify_slow(void *state)
{
    struct slow *slow = state;

    pthread_mutex_lock(&slow->lock);
    while (mv_virtio_pop(slow->virtio, 0, &slow->chains[slow->popped % MV_QUEUE_MAX]))
        slow->popped++;
    for (; slow->pushed != slow->answered; slow->pushed++) {
        unsigned i = slow->pushed % MV_QUEUE_MAX;

        mv_virtio_push(slow->virtio, 0, slow->chains[i].head, slow->written[i]);
    }
    pthread_cond_signal(&slow->more);
    pthread_mutex_unlock(&slow->lock);
}

static void stop_slow(void *state)
{
    struct slow *slow = state;
    bool idle;

    pthread_mutex_lock(&slow->lock);
    idle = slow->answered == slow->popped;
    if (idle)
        slow->pushed = slow->popped;
    pthread_mutex_unlock(&slow->lock);
    if (idle) /* else its thread wakes us, and this is called again */
        mv_virtio_stopped(slow->virtio);
}

static void reset_slow(void *state)
{
    struct slow *slow = state;

    pthread_mutex_lock(&slow->lock);
    slow->next = 0; /* nothing is in flight */
    pthread_mutex_unlock(&slow->lock);
}

static void destroy_slow(void *state)
{
    struct slow *slow = state;

    pthread_mutex_lock(&slow->lock);
    slow->over = true;
    pthread_cond_signal(&slow->more);
    pthread_mutex_unlock(&slow->lock);
    pthread_join(slow->thread, NULL);
    pthread_cond_destroy(&slow->more);
    pthread_mutex_destroy(&slow->lock);
    free(slow);
}

/* ---- not virtio ---- */

struct bell {
    struct mv_machine *machine;
    int irq;
    uint64_t value;
    unsigned rung;
};

static uint64_t read_bell(void *state, uint64_t offset, unsigned size)
{
    const struct bell *bell = state;

    (void)size;
    return offset == 0 ? bell->value : bell->rung;
}

static void write_bell(void *state, uint64_t offset, unsigned size, uint64_t value)
{
    struct bell *bell = state;

    CHECK(offset == 0 && size == 4);
    bell->value = value;
    bell->rung++;
    CHECK(mv_machine_set_irq(bell->machine, bell->irq, true) == 0);
    CHECK(mv_machine_set_irq(bell->machine, bell->irq, false) == 0);
}

/* ---- machines ---- */

/* Where it will be: a machine of nothing but tables has it at the same place. */
static struct mv_device_desc place_bell(const struct mv_custom_device *custom)
{
    struct mv_config config = {
        .size = sizeof(config), .tables_only = true, .devices = custom, .device_count = 1};
    struct mv_machine *machine;
    struct mv_device_desc found = {.size = sizeof(found)};

    CHECK(mv_machine_create(&config, &machine, NULL) == 0);
    CHECK(mv_machine_device(machine, "bell", &found) && found.irq >= 0);
    mv_machine_destroy(machine);
    return found;
}

static void create(const char *kernel, struct quick *quick, struct bell *bell,
                   struct mv_machine **ret_machine)
{
    static const struct mv_virtio_ops quick_ops = {.size = sizeof(quick_ops),
                                                   .id = 4,
                                                   .notify = notify_quick,
                                                   .reset = reset_quick,
                                                   .destroy = destroy_quick};
    static const struct mv_virtio_ops slow_ops = {.size = sizeof(slow_ops),
                                                  .id = 4,
                                                  .notify = notify_slow,
                                                  .stop = stop_slow,
                                                  .reset = reset_slow,
                                                  .destroy = destroy_slow};
    static const struct mv_device_ops bell_ops = {
        .size = sizeof(bell_ops), .read = read_bell, .write = write_bell};
    static const struct mv_device_desc bell_desc = {.size = sizeof(bell_desc),
                                                    .name = "bell",
                                                    .base = MV_ANY_BASE,
                                                    .bytes = 8,
                                                    .irq = MV_ANY_IRQ};
    struct mv_custom_device bells = {
        .size = sizeof(bells), .desc = &bell_desc, .ops = &bell_ops, .state = bell};
    struct slow *slow = calloc(1, sizeof(*slow));
    struct mv_console console = {.size = sizeof(console), .in = -1, .out = 2};
    struct mv_device_desc found = {.size = sizeof(found)};
    struct mv_error err = {0};
    char append[64];

    CHECK(slow);
    struct mv_custom_virtio custom[] = {
        {.size = sizeof(custom[0]),
         .ops = &quick_ops,
         .state = quick,
         .queues = 1,
         .ret_virtio = &quick->virtio},
        {.size = sizeof(custom[0]),
         .ops = &slow_ops,
         .state = slow,
         .queues = 1,
         .ret_virtio = &slow->virtio},
    };
    struct mv_config config = {.size = sizeof(config),
                               .kernel = kernel,
                               .append = append,
                               .memory = 32 << 20,
                               .devices = &bells,
                               .device_count = 1,
                               .console = &console,
                               .virtio = custom,
                               .virtio_count = 2};

    found = place_bell(&bells);
    bell->irq = found.irq;
    snprintf(append, sizeof(append), "bell=%llu line=%d", (unsigned long long)found.base,
             found.irq);
    pthread_mutex_init(&slow->lock, NULL);
    pthread_cond_init(&slow->more, NULL);
    CHECK(pthread_create(&slow->thread, NULL, work, slow) == 0);
    if (mv_machine_create(&config, ret_machine, &err) < 0) {
        fprintf(stderr, "%s (%s)\n", err.tried, err.hint);
        exit(1);
    }
    bell->machine = *ret_machine;
    CHECK(mv_machine_device(*ret_machine, "virtio0", &found) &&
          strcmp(found.compatible, "virtio,mmio") == 0);
    CHECK(mv_machine_device(*ret_machine, "virtio1", &found) && strcmp(found.hid, "LNRO0005") == 0);
    mv_virtio_wake(slow->virtio); /* too early: nothing happens */
}

int main(int argc, char **argv)
{
    struct quick quick[2] = {{.next = 0}};
    struct bell bells[2] = {{.rung = 0}};
    struct mv_machine *machines[2];
    struct mv_error err = {0};
    struct mv_end end;

    CHECK(argc == 2);
    for (unsigned i = 0; i < 2; i++) {
        create(argv[1], &quick[i], &bells[i], &machines[i]);
        CHECK(mv_machine_start(machines[i], &err) == 0);
    }
    for (unsigned i = 0; i < 2; i++) {
        CHECK(mv_machine_wait(machines[i], &end, &err) == 0);
        CHECK(end.reason == MV_END_EXIT_CODE && end.code == 0);
        CHECK(quick[i].destroyed == 0);
        mv_machine_destroy(machines[i]);
        CHECK(quick[i].destroyed == 1 && bells[i].rung == 3);
    }
    puts("all right");
    return 0;
}
