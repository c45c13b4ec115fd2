/* SPDX-License-Identifier: MIT */
/*
 * The serial port: connects the UART model of uart.c to two file descriptors of the host.
 *
 * They are the embedder's, and a call may block on them for ever, whatever poll says: a terminal
 * whose other end is not read, a pipe that another process fills or empties first.  So each has a
 * thread, which makes its calls without the device's lock.  A thread starts when there is something
 * to write or read, and stops at the end of the run, cancelled if it is in such a call.
 *
 * Output gathers in a buffer, which is written a moment later, or at once when it holds a page: one
 * system call per burst, not per byte.  If the host does not take it, the buffer fills to a mark;
 * from then on each vCPU is held back after every byte that it writes (busy).  So nothing is lost,
 * and the buffer cannot overflow: past the mark, each vCPU adds at most one byte.
 *
 * Input is read only as far as there is room for it.  A person's input is read at once, so that the
 * filter sees every key, and kept for the guest up to 1 MiB.
 */
#include "dev/serial.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/util.h"
#include "dev/uart.h"

#define OUT_SIZE  (64 * 1024)
#define OUT_MARK  (32 * 1024) /* the rest has room for a byte from each vCPU */
#define OUT_BURST 4096        /* enough to be worth a system call */
#define OUT_DELAY 2000000     /* nanoseconds that a byte waits for more */
#define IN_RETRY  200000000   /* nanoseconds between reads while another job has the terminal */
#define IN_CHUNK  4096
#define IN_SIZE   (1024 * 1024 + IN_CHUNK) /* 1 MiB of interactive input, plus one chunk */
#define MARK      0xff /* escape, as PARMRK in termios(3): MARK 0 is a break, MARK MARK is 0xff */

/* A thread for calls that may block. */
struct pump {
    pthread_t thread;
    pthread_cond_t wanted; /* there is work; uses CLOCK_MONOTONIC */
    bool started;
    bool calling; /* in a call that may block: does not see `closed` */
};

struct serial {
    struct mv_uart uart;
    struct mv_irq irq;
    bool level;
    struct mv_shutdown shutdown;
    struct mv_loop *loop;
    struct mv_log *log;
    struct mv_console console;
    pthread_mutex_t *lock; /* the device's */
    int wake;
    bool quiesced; /* no vCPU may wait for room any more */
    bool closed;   /* threads end, and none may start */

    /* Output: a ring. */
    uint8_t out[OUT_SIZE];
    size_t out_head, out_used;
    bool held_back; /* a vCPU waits for room */
    struct mv_backpressure backpressure;
    atomic_int *lost; /* why output was lost: 0, or a negative errno value */
    struct pump writer;

    /* Input: a ring. */
    uint8_t *in; /* NULL before the first byte */
    size_t in_head, in_used;
    size_t in_dropped; /* bytes dropped for want of room */
    bool in_ready;     /* the input is readable */
    bool in_paused;    /* not read, for want of room */
    struct pump reader;
    struct mv_loop_source input; /* the input file descriptor */
    struct mv_loop_source nudge; /* eventfd, for inputs that epoll cannot watch; -1: not needed */
};

/* ---- threads ---- */

static void init_pump(struct pump *pump)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&pump->wanted, &attr);
    pthread_condattr_destroy(&attr);
}

/* Returns 0 or -errno. */
static int start_pump(struct serial *serial, struct pump *pump, void *(*run)(void *))
{
    int error = 0;

    if (!pump->started && !serial->closed) {
        error = mv_start_thread(&pump->thread, run, serial);
        pump->started = error == 0;
    }
    return error;
}

/* Without the lock, which the thread takes at its end. */
static void stop_pump(struct serial *serial, struct pump *pump)
{
    bool started;

    pthread_mutex_lock(serial->lock);
    serial->closed = true;
    started = pump->started;
    pump->started = false;
    pthread_cond_signal(&pump->wanted);
    if (started && pump->calling)
        pthread_cancel(pump->thread);
    pthread_mutex_unlock(serial->lock);
    if (started)
        pthread_join(pump->thread, NULL);
}

/* Waits for `wanted`, until the time `until` at most.  Returns false when that has come. */
static bool wait_for(struct serial *serial, struct pump *pump, uint64_t until)
{
    struct timespec at = {.tv_sec = (time_t)(until / 1000000000u),
                          .tv_nsec = (long)(until % 1000000000u)};

    return pthread_cond_timedwait(&pump->wanted, serial->lock, &at) != ETIMEDOUT;
}

/* Enclose a call that may block: the lock is released, and the thread can be cancelled. */
static void begin_call(struct serial *serial, struct pump *pump)
{
    int before;

    pump->calling = true;
    pthread_mutex_unlock(serial->lock);
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &before);
}

static void end_call(struct serial *serial, struct pump *pump)
{
    int before;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    pthread_mutex_lock(serial->lock);
    pump->calling = false;
}

/* ---- output ---- */

/* Output has failed for good.  On EPIPE the machine ends, like a program that writes to a closed
 * pipe; after any other error it continues without output. */
static void lose_output(struct serial *serial, int error)
{
    serial->out_used = 0;
    serial->console.out = -1; /* its owner closes the file descriptor */
    if (error == EPIPE)
        return serial->shutdown.end(serial->shutdown.context, MV_END_STOPPED, 128 + SIGPIPE);
    atomic_store(serial->lost, -error);
    mv_log(serial->log, MV_LOG_WARNING, "guest output is lost from here on: %s", strerror(error));
}

/* Waits a moment for more bytes to follow the first. */
static void gather(struct serial *serial)
{
    uint64_t until = mv_monotonic_ns() + OUT_DELAY;

    while (serial->out_used < OUT_BURST && !serial->quiesced && !serial->closed)
        if (!wait_for(serial, &serial->writer, until))
            break;
}

/* Returns how many bytes the host has taken, or -errno. */
static ssize_t write_burst(struct serial *serial)
{
    size_t burst = mv_min(mv_min(serial->out_used, OUT_SIZE - serial->out_head), OUT_BURST);
    struct pollfd ready = {.fd = serial->console.out, .events = POLLOUT};
    ssize_t done;

    begin_call(serial, &serial->writer);
    done = write(ready.fd, serial->out + serial->out_head, burst);
    done = done < 0 ? -errno : done;
    if (done == -EAGAIN) /* its owner has made it non-blocking */
        poll(&ready, 1, -1);
    end_call(serial, &serial->writer);
    return done;
}

static void drain(struct serial *serial)
{
    while (serial->out_used && !serial->closed) {
        ssize_t done = write_burst(serial);

        if (done >= 0) {
            serial->out_head = (serial->out_head + (size_t)done) % OUT_SIZE;
            serial->out_used -= (size_t)done;
        } else if (done == -EAGAIN) { /* a terminal can poll as ready and still take nothing */
            wait_for(serial, &serial->writer, mv_monotonic_ns() + OUT_DELAY);
        } else if (done != -EINTR) {
            lose_output(serial, (int)-done);
        }
        if (serial->held_back && serial->out_used < OUT_MARK) {
            serial->held_back = false;
            serial->backpressure.gone(serial->backpressure.context);
        }
    }
}

static void *write_output(void *context)
{
    struct serial *serial = context;
    int before;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    pthread_mutex_lock(serial->lock);
    while (!serial->closed) {
        gather(serial);
        drain(serial);
        if (serial->quiesced)
            eventfd_write(serial->wake, 1);
        while (serial->out_used == 0 && !serial->closed)
            pthread_cond_wait(&serial->writer.wanted, serial->lock);
    }
    pthread_mutex_unlock(serial->lock);
    return NULL;
}

static void sent(void *context, uint8_t byte)
{
    struct serial *serial = context;
    int error;

    if (serial->console.out < 0 || serial->out_used == OUT_SIZE)
        return; /* a full ring cannot happen while vCPUs are held back */
    serial->out[(serial->out_head + serial->out_used++) % OUT_SIZE] = byte;
    error = start_pump(serial, &serial->writer, write_output);
    if (error)
        lose_output(serial, -error);
    if (serial->out_used == 1 || serial->out_used == OUT_BURST)
        pthread_cond_signal(&serial->writer.wanted);
}

static bool is_busy(void *state)
{
    struct serial *serial = state;

    serial->held_back = serial->out_used >= OUT_MARK;
    return serial->held_back;
}

static void quiesce(void *state)
{
    struct serial *serial = state;

    serial->quiesced = true;
    pthread_cond_signal(&serial->writer.wanted);
}

static bool is_flushed(void *state)
{
    const struct serial *serial = state;

    return serial->out_used == 0;
}

/* Called when the guest has taken all input that was kept, or never will. */
static void tell_of_dropped(struct serial *serial)
{
    if (serial->in_dropped)
        mv_log(serial->log, MV_LOG_WARNING,
               "%zu bytes of input were dropped: the guest did not read what came before them",
               serial->in_dropped);
    serial->in_dropped = 0;
}

static void stop(void *state)
{
    struct serial *serial = state;

    stop_pump(serial, &serial->writer);
    stop_pump(serial, &serial->reader);
    tell_of_dropped(serial);
}

/* ---- input ---- */

static void put(struct serial *serial, uint8_t byte)
{
    serial->in[(serial->in_head + serial->in_used++) % IN_SIZE] = byte;
}

static uint8_t take(struct serial *serial)
{
    uint8_t byte = serial->in[serial->in_head];

    serial->in_head = (serial->in_head + 1) % IN_SIZE;
    if (--serial->in_used == 0)
        serial->in_head = 0; /* reuse pages that were touched before */
    return byte;
}

/* Allocates the ring at the first byte; the host provides its pages as they are touched. */
static void keep_input(struct serial *serial, uint8_t byte, bool is_break)
{
    if (!serial->in)
        serial->in = malloc(IN_SIZE);
    if (!serial->in || serial->in_used + 2 > IN_SIZE) {
        serial->in_dropped++;
        return;
    }
    if (is_break || byte == MARK)
        put(serial, MARK);
    put(serial, is_break ? 0 : byte);
}

static void give_next(struct serial *serial)
{
    uint8_t byte = take(serial);
    bool is_break = byte == MARK && take(serial) == 0;

    if (is_break)
        mv_uart_receive_break(&serial->uart);
    else
        mv_uart_receive(&serial->uart, byte);
}

/* Moves as much input into the UART as it takes, and lets more be read. */
static void feed(void *context)
{
    struct serial *serial = context;

    while (serial->in_used && mv_uart_room(&serial->uart))
        give_next(serial);
    if (!serial->in_used)
        tell_of_dropped(serial);
    if (!serial->in_paused || serial->in_used > IN_CHUNK / 2)
        return;
    serial->in_paused = false;
    if (serial->nudge.fd >= 0)
        eventfd_write(serial->nudge.fd, 1);
    else
        pthread_cond_signal(&serial->reader.wanted);
}

/* How many bytes may be read now. */
static size_t room_for_input(const struct serial *serial)
{
    return serial->console.interactive ? IN_CHUNK : IN_CHUNK - mv_min(serial->in_used, IN_CHUNK);
}

/* Reads once, as much as there is room for.  Returns the number of bytes, 0 at end of input, or
 * -errno. */
static ssize_t read_once(struct serial *serial)
{
    uint8_t data[IN_CHUNK];
    size_t count = room_for_input(serial);
    bool is_break = false;
    ssize_t got;

    begin_call(serial, &serial->reader);
    got = read(serial->console.in, data, count);
    got = got < 0 ? -errno : got;
    end_call(serial, &serial->reader);
    if (got <= 0)
        return got;
    count = (size_t)got;
    if (serial->console.filter) {
        pthread_mutex_unlock(serial->lock);
        is_break = serial->console.filter(serial->console.context, data, &count);
        pthread_mutex_lock(serial->lock);
    }
    for (size_t i = 0; i < count; i++)
        keep_input(serial, data[i], false);
    if (is_break)
        keep_input(serial, 0, true);
    feed(serial);
    return got;
}

static bool is_over(ssize_t got)
{
    return got == 0 || (got < 0 && got != -EINTR && got != -EAGAIN);
}

static void *read_input(void *context)
{
    struct serial *serial = context;
    int before;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    pthread_mutex_lock(serial->lock);
    while (!serial->closed) {
        ssize_t got;

        if (!serial->in_ready || room_for_input(serial) == 0) {
            serial->in_paused = serial->in_ready;
            pthread_cond_wait(&serial->reader.wanted, serial->lock);
            continue;
        }
        serial->in_ready = false;
        got = read_once(serial);
        if (got == -EIO && !serial->closed)
            wait_for(serial, &serial->reader, mv_monotonic_ns() + IN_RETRY);
        else if (is_over(got))
            break;
        mv_loop_change(serial->loop, &serial->input, EPOLLIN | EPOLLONESHOT);
    }
    pthread_mutex_unlock(serial->lock);
    return NULL;
}

/* The loop waits for readable input, so that the reader need not block in read. */
static void on_input(void *context, uint32_t events)
{
    struct serial *serial = context;

    (void)events;
    serial->in_ready = true;
    start_pump(serial, &serial->reader, read_input);
    pthread_cond_signal(&serial->reader.wanted);
}

/* A file is read in the loop thread: that never blocks for long. */
static void on_nudge(void *context, uint32_t events)
{
    struct serial *serial = context;
    eventfd_t nudges;

    (void)events;
    eventfd_read(serial->nudge.fd, &nudges);
    serial->in_paused = !is_over(read_once(serial));
    feed(serial); /* continues, if there is room */
}

/* ---- registers ---- */

static void set_line(void *context, bool level)
{
    struct serial *serial = context;

    if (level == serial->level)
        return;
    serial->level = level;
    mv_irq_set(&serial->irq, level);
}

static uint64_t read_register(void *state, uint64_t offset, unsigned size)
{
    struct serial *serial = state;

    /* The chip has an 8-bit bus: no wider access exists. */
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

    stop_pump(serial, &serial->writer);
    stop_pump(serial, &serial->reader);
    free(serial->in);
    mv_close_fd(&serial->nudge.fd);
    pthread_cond_destroy(&serial->writer.wanted);
    pthread_cond_destroy(&serial->reader.wanted);
    free(serial);
}

static const struct mv_device_ops ops = {
    .size = sizeof(ops),
    .read = read_register,
    .write = write_register,
    .quiesce = quiesce,
    .destroy = destroy,
};

static const struct mv_device_inner_ops inner = {
    .busy = is_busy, .flush = is_flushed, .stop = stop};

static struct mv_loop_source source(struct serial *serial, struct mv_device *device, int fd,
                                    void (*fn)(void *, uint32_t))
{
    return (struct mv_loop_source){.fd = fd, .lock = &device->lock, .fn = fn, .context = serial};
}

/* Input that epoll refuses (a file, /dev/null) is always ready: an eventfd stands in for it. */
static int start_input(struct serial *serial, struct mv_device *device)
{
    int error;

    if (serial->console.in < 0)
        return 0;
    serial->input = source(serial, device, serial->console.in, on_input);
    error = mv_loop_watch(serial->loop, &serial->input, EPOLLIN | EPOLLONESHOT);
    if (error != -EPERM)
        return error;
    serial->nudge = source(serial, device, eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK), on_nudge);
    if (serial->nudge.fd < 0)
        return -errno;
    return mv_loop_watch(serial->loop, &serial->nudge, EPOLLIN);
}

int mv_serial_create(struct mv_device *device, const struct mv_device_env *env)
{
    struct serial *serial = calloc(1, sizeof(*serial));
    int error;

    if (!serial)
        return -ENOMEM;
    serial->irq = env->irq;
    serial->shutdown = env->shutdown;
    serial->loop = env->loop;
    serial->log = env->log;
    serial->wake = env->wake;
    serial->lost = env->console_error;
    serial->backpressure = env->backpressure;
    serial->console =
        env->console ? *env->console
                     : (struct mv_console){.size = sizeof(struct mv_console), .in = -1, .out = -1};
    serial->lock = &device->lock;
    serial->nudge.fd = -1;
    init_pump(&serial->writer);
    init_pump(&serial->reader);
    mv_uart_init(&serial->uart, set_line, sent, feed, serial);
    error = start_input(serial, device);
    if (error) {
        destroy(serial);
        return error;
    }
    device->ops = &ops;
    device->inner = &inner;
    device->state = serial;
    return 0;
}
