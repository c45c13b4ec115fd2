/* SPDX-License-Identifier: MIT */
/*
 * The serial port: the UART model of uart.c between the guest and two file
 * descriptors of the host.
 *
 * Output gathers in a buffer, which the loop thread writes out a moment later,
 * or at once when a page is full: a system call for a burst, not for a byte.
 * When the host does not take it, the buffer fills to a mark, and from then on
 * each vCPU is held back after the byte it has written (settle).  So nothing is
 * lost, and the buffer cannot overflow: a vCPU adds at most one byte after the
 * mark was reached.
 *
 * Input is read only as far as there is room for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "dev/dev.h"
#include "dev/uart.h"
#include "util.h"

#define OUT_SIZE  (64 * 1024)
#define OUT_MARK  (32 * 1024) /* the rest is more than there can be vCPUs */
#define OUT_BURST 4096        /* a pipe that is ready takes this much without blocking */
#define OUT_DELAY 2000000     /* nanoseconds that a byte waits for company */
#define IN_SIZE   4096
#define IN_BREAK  0x100 /* an entry of the input that is no byte but a break */

struct serial {
    struct mv_uart uart;
    struct mv_irq irq;
    bool level;
    struct mv_ender ender;
    struct mv_loop *loop;
    struct mv_console console;
    int wake;

    /* Output: a ring, and who is to empty it next. */
    uint8_t out[OUT_SIZE];
    size_t out_head, out_used;
    enum { OUT_IDLE, OUT_TICKING, OUT_URGENT, OUT_BLOCKED } out_state;
    bool quiesced; /* nobody may wait for room any more */
    pthread_cond_t room;
    struct mv_loop_source tick;  /* timerfd */
    struct mv_loop_source ready; /* the output itself; watched once it has blocked */
    bool ready_watched;
    bool own_out; /* ready.fd is ours to close */

    /* Input: a ring of bytes and breaks. */
    uint16_t in[IN_SIZE];
    size_t in_head, in_used;
    struct mv_loop_source input; /* the input itself */
    struct mv_loop_source nudge; /* eventfd: for inputs that epoll cannot watch; -1: not needed */
    bool in_paused;
};

static void set_tick(struct serial *serial, long ns)
{
    struct itimerspec when = {.it_value.tv_nsec = ns};

    timerfd_settime(serial->tick.fd, 0, &when, NULL);
}

/* Nobody will read the output any more.  The machine ends as a program does that
 * writes into a closed pipe; after another error it goes on without output. */
static void lose_output(struct serial *serial, int error)
{
    serial->out_used = 0;
    serial->console.out = -1; /* the file descriptor stays its owner's */
    if (error == EPIPE)
        serial->ender.end(serial->ender.context, MV_END_STOPPED, 128 + SIGPIPE);
}

/* Waits (in the loop) until the output takes bytes again. */
static void watch_output(struct serial *serial)
{
    /* One shot: a hang-up must not be reported while nothing is to be written. */
    int error = serial->ready_watched
                    ? mv_loop_change(serial->loop, &serial->ready, EPOLLOUT | EPOLLONESHOT)
                    : mv_loop_watch(serial->loop, &serial->ready, EPOLLOUT | EPOLLONESHOT);

    serial->ready_watched = true;
    serial->out_state = OUT_BLOCKED;
    if (error)
        set_tick(serial, OUT_DELAY); /* cannot be watched: look again later */
}

/* Writes out what the host takes.  Loop thread. */
static void drain(struct serial *serial)
{
    while (serial->out_used && serial->console.out >= 0) {
        size_t burst = mv_min(mv_min(serial->out_used, OUT_SIZE - serial->out_head), OUT_BURST);
        struct pollfd ready = {.fd = serial->console.out, .events = POLLOUT};
        ssize_t done;

        if (poll(&ready, 1, 0) == 0) {
            watch_output(serial);
            break;
        }
        done = write(serial->console.out, serial->out + serial->out_head, burst);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0 && errno == EAGAIN) {
            watch_output(serial);
            break;
        }
        if (done < 0) {
            lose_output(serial, errno);
            break;
        }
        serial->out_head = (serial->out_head + (size_t)done) % OUT_SIZE;
        serial->out_used -= (size_t)done;
    }
    if (serial->out_used < OUT_MARK)
        pthread_cond_broadcast(&serial->room);
    if (serial->out_used == 0) {
        serial->out_state = OUT_IDLE;
        if (serial->quiesced)
            eventfd_write(serial->wake, 1);
    }
}

static void on_tick(void *context, uint32_t events)
{
    struct serial *serial = context;
    uint64_t expirations;
    ssize_t got = read(serial->tick.fd, &expirations, sizeof(expirations));

    (void)events;
    (void)got; /* nothing to read: it was set anew in the meantime */
    drain(serial);
}

static void on_ready(void *context, uint32_t events)
{
    (void)events;
    drain(context);
}

static void sent(void *context, uint8_t byte)
{
    struct serial *serial = context;

    if (serial->console.out < 0 || serial->out_used == OUT_SIZE)
        return; /* the second cannot be while vCPUs are held back */
    serial->out[(serial->out_head + serial->out_used++) % OUT_SIZE] = byte;
    if (serial->out_state == OUT_IDLE) {
        serial->out_state = OUT_TICKING;
        set_tick(serial, OUT_DELAY);
    } else if (serial->out_state == OUT_TICKING && serial->out_used >= OUT_BURST) {
        serial->out_state = OUT_URGENT;
        set_tick(serial, 1);
    }
}

static void settle(void *state, pthread_mutex_t *lock)
{
    struct serial *serial = state;

    while (serial->out_used >= OUT_MARK && !serial->quiesced)
        pthread_cond_wait(&serial->room, lock);
}

static void quiesce(void *state)
{
    struct serial *serial = state;

    serial->quiesced = true;
    pthread_cond_broadcast(&serial->room);
}

bool mv_serial_flush(struct mv_device *device)
{
    struct serial *serial = device->state;
    bool done;

    pthread_mutex_lock(&device->lock);
    done = serial->out_used == 0;
    if (serial->out_state == OUT_TICKING) {
        serial->out_state = OUT_URGENT;
        set_tick(serial, 1);
    }
    pthread_mutex_unlock(&device->lock);
    return done;
}

static void set_line(void *context, bool level)
{
    struct serial *serial = context;

    if (level == serial->level)
        return;
    serial->level = level;
    mv_irq_set(&serial->irq, level);
}

static void in_push(struct serial *serial, uint16_t entry)
{
    if (serial->in_used < IN_SIZE)
        serial->in[(serial->in_head + serial->in_used++) % IN_SIZE] = entry;
}

static void resume_input(struct serial *serial)
{
    serial->in_paused = false;
    if (serial->nudge.fd >= 0)
        eventfd_write(serial->nudge.fd, 1);
    else
        mv_loop_change(serial->loop, &serial->input, EPOLLIN | EPOLLONESHOT);
}

/* Moves input into the UART as far as it takes it, and lets more be read. */
static void feed(void *context)
{
    struct serial *serial = context;

    while (serial->in_used && mv_uart_room(&serial->uart)) {
        uint16_t entry = serial->in[serial->in_head];

        serial->in_head = (serial->in_head + 1) % IN_SIZE;
        serial->in_used--;
        if (entry & IN_BREAK)
            mv_uart_receive_break(&serial->uart);
        else
            mv_uart_receive(&serial->uart, (uint8_t)entry);
    }
    if (serial->in_paused && serial->in_used <= IN_SIZE / 2)
        resume_input(serial);
}

/* Reads once.  Returns false at the end of the input. */
static bool read_input(struct serial *serial)
{
    uint8_t data[IN_SIZE];
    /* One entry stays free for the break that may end these bytes. */
    size_t room = IN_SIZE - mv_min(serial->in_used + 1, IN_SIZE);
    size_t count = serial->console.interactive ? sizeof(data) : room;
    bool is_break = false;
    ssize_t got = read(serial->console.in, data, count);

    if (got < 0)
        return errno == EINTR || errno == EAGAIN;
    if (got == 0)
        return false;
    count = (size_t)got;
    if (serial->console.filter)
        is_break = serial->console.filter(serial->console.context, data, &count);
    for (size_t i = 0; i < count; i++)
        in_push(serial, data[i]);
    if (is_break)
        in_push(serial, IN_BREAK);
    return true;
}

static void on_input(void *context, uint32_t events)
{
    struct serial *serial = context;
    eventfd_t nudges;

    (void)events;
    if (serial->nudge.fd >= 0)
        eventfd_read(serial->nudge.fd, &nudges);
    /* It was watched for one shot: paused, until somebody resumes it. */
    serial->in_paused = read_input(serial);
    feed(serial);
    if (serial->in_paused && serial->console.interactive)
        resume_input(serial);
}

static uint64_t read_register(void *state, uint64_t offset, unsigned size)
{
    struct serial *serial = state;

    /* The chip has an 8-bit bus; nobody reads it wider. */
    return size == 1 ? mv_uart_read(&serial->uart, (unsigned)offset) : UINT64_MAX;
}

static void write_register(void *state, uint64_t offset, unsigned size, uint64_t value)
{
    struct serial *serial = state;

    if (size == 1)
        mv_uart_write(&serial->uart, (unsigned)offset, (uint8_t)value);
}

static void destroy(void *state)
{
    struct serial *serial = state;

    mv_close_fd(&serial->tick.fd);
    mv_close_fd(&serial->nudge.fd);
    if (serial->own_out)
        mv_close_fd(&serial->ready.fd);
    pthread_cond_destroy(&serial->room);
    free(serial);
}

static const struct mv_device_ops ops = {
    .read = read_register,
    .write = write_register,
    .settle = settle,
    .quiesce = quiesce,
    .destroy = destroy,
};

static struct mv_loop_source source(struct serial *serial, struct mv_device *device, int fd,
                                    void (*fn)(void *, uint32_t))
{
    return (struct mv_loop_source){.fd = fd, .lock = &device->lock, .fn = fn, .context = serial};
}

/* Input that epoll refuses (a file, /dev/null) is always ready: an eventfd
 * stands for it. */
static int start_input(struct serial *serial, struct mv_device *device)
{
    int error;

    if (serial->console.in < 0)
        return 0;
    serial->input = source(serial, device, serial->console.in, on_input);
    error = mv_loop_watch(serial->loop, &serial->input, EPOLLIN | EPOLLONESHOT);
    if (error != -EPERM)
        return error;
    serial->nudge = source(serial, device, eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK), on_input);
    if (serial->nudge.fd < 0)
        return -errno;
    return mv_loop_watch(serial->loop, &serial->nudge, EPOLLIN);
}

static int start_output(struct serial *serial, struct mv_device *device)
{
    int fd = serial->console.out;

    serial->ready = source(serial, device, fd, on_ready);
    serial->tick = source(serial, device, -1, on_tick);
    if (fd < 0)
        return 0;
    if (fd == serial->console.in) { /* epoll wants two numbers for two interests */
        fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        if (fd < 0)
            return -errno;
        serial->own_out = true;
        serial->ready.fd = serial->console.out = fd;
    }
    serial->tick.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (serial->tick.fd < 0)
        return -errno;
    return mv_loop_watch(serial->loop, &serial->tick, EPOLLIN);
}

int mv_serial_create(struct mv_device *device, const struct mv_device_env *env)
{
    struct serial *serial = calloc(1, sizeof(*serial));
    int error;

    if (!serial)
        return -ENOMEM;
    serial->irq = env->irq;
    serial->ender = env->ender;
    serial->loop = env->loop;
    serial->wake = env->wake;
    serial->console = env->console ? *env->console : (struct mv_console){.in = -1, .out = -1};
    serial->nudge.fd = -1;
    pthread_cond_init(&serial->room, NULL);
    mv_uart_init(&serial->uart, set_line, sent, feed, serial);
    error = start_output(serial, device);
    if (!error)
        error = start_input(serial, device);
    if (error) {
        destroy(serial);
        return error;
    }
    device->ops = &ops;
    device->state = serial;
    return 0;
}
