/* SPDX-License-Identifier: MIT */
/*
 * The serial port between a guest and the host's file descriptors: real pipes and a
 * real loop thread, and a "vCPU" that is the test itself.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/util.h"
#include "dev/serial.h"
#include "layout.h"

#define BASE     0x3f8ull
#define PATIENCE 20000 /* milliseconds until a test gives up: a loaded computer is slow */

static struct mv_device device;
static struct mv_bus bus;
static struct mv_loop loop;
static struct mv_console console;
static atomic_int console_error;
static int wake;
static atomic_int end_code;
static atomic_uint irq_changes;
static atomic_bool irq_level;
static atomic_uint gone;    /* how often the backpressure was */
static atomic_bool stopped; /* the machine: no vCPU waits any more */
static struct mv_log messages;
static char said[512];
static unsigned said_count;
static bool fifos_first; /* enabled before input comes, as enabling them would drop it */

static void on_end(void *context, enum mv_end_reason reason, int code)
{
    (void)context;
    cr_assert_eq(reason, MV_END_STOPPED);
    atomic_store(&end_code, code);
}

static void on_irq(void *context, int irq, bool level)
{
    (void)context;
    cr_assert_eq(irq, 4);
    cr_assert_neq(atomic_exchange(&irq_level, level), level, "only changes are told");
    atomic_fetch_add(&irq_changes, 1);
}

static void on_gone(void *context)
{
    (void)context;
    atomic_fetch_add(&gone, 1);
}

static void on_log(void *context, enum mv_log_level level, const char *message)
{
    (void)context;
    cr_expect_eq(level, MV_LOG_WARNING);
    snprintf(said, sizeof(said), "%s", message);
    said_count++;
}

static int create(struct mv_device *serial)
{
    struct mv_device_env env = {.irq = {on_irq, NULL, 4},
                                .loop = &loop,
                                .log = &messages,
                                .shutdown = {on_end, NULL},
                                .backpressure = {on_gone, NULL},
                                .console = &console,
                                .console_error = &console_error,
                                .wake = wake};

    return mv_serial_create(serial, &env);
}

static void init(void)
{
    console = (struct mv_console){.size = sizeof(struct mv_console), .in = -1, .out = -1};
    mv_log_init(&messages, on_log, NULL, MV_LOG_WARNING);
    wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    device.desc = (struct mv_device_desc){.size = sizeof(struct mv_device_desc),
                                          .name = "serial0",
                                          .base = BASE,
                                          .bytes = 8,
                                          .irq = 4};
    pthread_mutex_init(&device.lock, NULL);
    cr_assert_eq(mv_loop_init(&loop), 0);
}

static void stop(void)
{
    if (!device.state)
        return;
    mv_loop_stop(&loop);
    device.ops->destroy(device.state);
    mv_loop_done(&loop);
    close(wake);
}

TestSuite(serial, .init = init, .fini = stop, .timeout = 120);

static void start(int in, int out)
{
    console.in = in;
    console.out = out;
    cr_assert_eq(create(&device), 0);
    cr_assert_eq(mv_bus_add(&bus, &device), 0);
    if (fifos_first)
        mv_bus_write(&bus, BASE + 2, 1, 1);
    cr_assert_eq(mv_loop_start(&loop), 0);
}

static void pause_ms(long ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    nanosleep(&time, NULL);
}

/* As a vCPU does it: one that is held back waits until it is told to look again. */
static void put(unsigned offset, unsigned value)
{
    mv_bus_write(&bus, BASE + offset, 1, value);
    while (!atomic_load(&stopped)) {
        unsigned before = atomic_load(&gone);

        if (!mv_device_is_busy(&device))
            return;
        while (atomic_load(&gone) == before && !atomic_load(&stopped))
            pause_ms(1);
    }
}

static unsigned get(unsigned offset)
{
    uint64_t value;

    mv_bus_read(&bus, BASE + offset, 1, &value);
    return (unsigned)value;
}

/* The next byte of the guest's input, by polling as a simple driver does. */
static unsigned receive(unsigned *ret_lsr)
{
    for (unsigned i = 0; i < PATIENCE; i++) {
        unsigned lsr = get(5);

        if (ret_lsr)
            *ret_lsr = lsr;
        if (lsr & 1)
            return get(0);
        pause_ms(1);
    }
    cr_assert_fail("no input arrives");
    return 0;
}

static void expect_no_input(void)
{
    pause_ms(50);
    cr_expect_eq(get(5) & 1, 0);
}

static uint8_t pattern(size_t at)
{
    return (uint8_t)(at * 31 ^ at >> 9);
}

static void make_pipe(int fds[2])
{
    cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
}

/* Reads exactly size bytes of the pattern, beginning with its byte `from`. */
static void expect_output(int fd, size_t from, size_t size, size_t step, long delay)
{
    uint8_t data[65536];

    for (size_t at = from; at < from + size;) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        ssize_t got;

        cr_assert_eq(poll(&ready, 1, PATIENCE), 1, "output stops after %zu bytes", at);
        got = read(fd, data, mv_min(mv_min(step, sizeof(data)), from + size - at));
        cr_assert_gt(got, 0);
        for (ssize_t i = 0; i < got; i++, at++)
            cr_assert_eq(data[i], pattern(at), "byte %zu", at);
        if (delay)
            pause_ms(delay);
    }
}

static void expect_nothing_more(int fd)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};

    cr_expect_eq(poll(&ready, 1, 50), 0);
}

/* ---- registers ---- */

Test(serial, only_single_bytes_reach_the_registers)
{
    uint64_t value;

    start(-1, -1);
    mv_bus_write(&bus, BASE + 7, 2, 0x55);
    mv_bus_write(&bus, BASE + 7, 4, 0x55);
    cr_expect_eq(get(7), 0);
    put(7, 0x55);
    cr_expect_eq(get(7), 0x55);
    mv_bus_read(&bus, BASE + 7, 2, &value);
    cr_expect_eq(value, 0xffff);
    mv_bus_read(&bus, BASE + 7, 8, &value);
    cr_expect_eq(value, UINT64_MAX);
}

Test(serial, the_interrupt_line_is_told_of_changes_only)
{
    start(-1, -1);
    put(1, 2);
    cr_expect(atomic_load(&irq_level));
    put(1, 3);
    cr_expect_eq(atomic_load(&irq_changes), 1);
    get(2);
    cr_expect(!atomic_load(&irq_level));
    cr_expect_eq(atomic_load(&irq_changes), 2);
}

Test(serial, without_a_host_side_output_is_dropped_and_input_is_empty)
{
    start(-1, -1);
    for (unsigned i = 0; i < 200000; i++)
        put(0, 'x');
    expect_no_input();
    device.ops->quiesce(device.state);
    cr_expect(mv_device_flush(&device));
}

Test(serial, without_a_console_it_works_too)
{
    struct mv_device_env env = {.irq = {on_irq, NULL, 4}, .loop = &loop, .wake = wake};

    cr_assert_eq(mv_serial_create(&device, &env), 0);
    cr_assert_eq(mv_bus_add(&bus, &device), 0);
    put(0, 'x');
    cr_expect_eq(get(5), 0x60);
}

/* ---- output ---- */

Test(serial, a_single_byte_is_delivered_soon)
{
    int out[2];

    make_pipe(out);
    start(-1, out[1]);
    put(0, pattern(0));
    expect_output(out[0], 0, 1, 1, 0);
    put(0, pattern(1));
    expect_output(out[0], 1, 1, 1, 0);
}

static void *write_pattern(void *context)
{
    size_t size = *(size_t *)context;

    for (size_t at = 0; at < size; at++)
        put(0, pattern(at));
    return NULL;
}

Test(serial, output_is_whole_and_in_order_with_a_slow_reader)
{
    size_t size = 300000;
    pthread_t guest;
    int out[2];

    make_pipe(out);
    start(-1, out[1]);
    pthread_create(&guest, NULL, write_pattern, &size);
    expect_output(out[0], 0, size, 1777, 1);
    pthread_join(guest, NULL);
    expect_nothing_more(out[0]);
}

Test(serial, output_is_whole_also_if_the_descriptor_does_not_block)
{
    size_t size = 300000;
    pthread_t guest;
    int out[2];

    make_pipe(out);
    fcntl(out[1], F_SETFL, O_NONBLOCK);
    start(-1, out[1]);
    pthread_create(&guest, NULL, write_pattern, &size);
    expect_output(out[0], 0, size, 5000, 1);
    pthread_join(guest, NULL);
    cr_expect(fcntl(out[1], F_GETFL) & O_NONBLOCK, "its flags are as they were");
}

static atomic_size_t progress;
static atomic_size_t enough = SIZE_MAX; /* where write_counted stops early */

static void *write_counted(void *context)
{
    size_t size = *(size_t *)context;

    for (size_t at = 0; at < size && at < atomic_load(&enough); at++) {
        put(0, pattern(at));
        atomic_store(&progress, at + 1);
    }
    return NULL;
}

/* Waits until the guest gets no further; returns how far it got. */
static size_t wait_until_stuck(void)
{
    size_t before = 0, now;

    for (unsigned still = 0; still < 20; pause_ms(10)) {
        now = atomic_load(&progress);
        still = now == before && mv_device_is_busy(&device) ? still + 1 : 0;
        before = now;
    }
    return before;
}

Test(serial, a_blocked_reader_holds_the_guest_back_and_loses_nothing)
{
    size_t size = 1000000, stuck;
    pthread_t guest;
    int out[2];

    make_pipe(out);
    start(-1, out[1]);
    pthread_create(&guest, NULL, write_counted, &size);
    stuck = wait_until_stuck();
    cr_expect_leq(stuck, 65536 + 32768 + 1, "no more than the pipe and the buffer take");
    cr_expect_geq(stuck, 65536);
    expect_output(out[0], 0, size, 65536, 0);
    pthread_join(guest, NULL);
    expect_nothing_more(out[0]);
}

Test(serial, many_vcpus_that_are_held_back_lose_nothing)
{
    enum { VCPUS = 16 };
    size_t size = 20000, total = 0;
    pthread_t guests[VCPUS];
    uint8_t data[4096];
    int out[2];

    make_pipe(out);
    start(-1, out[1]);
    for (unsigned i = 0; i < VCPUS; i++)
        pthread_create(&guests[i], NULL, write_pattern, &size);
    pause_ms(100);
    while (total < VCPUS * size) {
        struct pollfd ready = {.fd = out[0], .events = POLLIN};
        ssize_t got;

        cr_assert_eq(poll(&ready, 1, PATIENCE), 1, "output stops after %zu bytes", total);
        got = read(out[0], data, sizeof(data));
        cr_assert_gt(got, 0);
        total += (size_t)got;
    }
    cr_expect_eq(total, VCPUS * size);
    for (unsigned i = 0; i < VCPUS; i++)
        pthread_join(guests[i], NULL);
    expect_nothing_more(out[0]);
}

static void quiesce(void)
{
    pthread_mutex_lock(&device.lock);
    device.ops->quiesce(device.state);
    pthread_mutex_unlock(&device.lock);
    atomic_store(&stopped, true);
}

Test(serial, what_a_guest_writes_that_is_stopped_while_it_is_held_back_is_kept)
{
    size_t size = SIZE_MAX, stuck;
    pthread_t guest;
    int out[2];

    make_pipe(out);
    start(-1, out[1]);
    pthread_create(&guest, NULL, write_counted, &size);
    stuck = wait_until_stuck();
    atomic_store(&enough, stuck + 1000); /* a vCPU that is killed writes no more than that */
    quiesce();
    pthread_join(guest, NULL);
    cr_expect_geq(atomic_load(&progress), stuck + 1000);
    expect_output(out[0], 0, atomic_load(&progress), 65536, 0);
}

/* As the machine does it at the end. */
static void flush(void)
{
    while (!mv_device_flush(&device)) {
        struct pollfd ready = {.fd = wake, .events = POLLIN};
        eventfd_t count;

        cr_assert_eq(poll(&ready, 1, PATIENCE), 1, "flushing does not end");
        eventfd_read(wake, &count);
    }
}

Test(serial, flush_delivers_what_was_written_last)
{
    int out[2];

    make_pipe(out);
    start(-1, out[1]);
    for (size_t at = 0; at < 1000; at++)
        put(0, pattern(at));
    quiesce();
    flush();
    expect_output(out[0], 0, 1000, 65536, 0);
    expect_nothing_more(out[0]);
}

Test(serial, flush_of_nothing_ends_at_once)
{
    int out[2];

    make_pipe(out);
    start(-1, out[1]);
    quiesce();
    cr_expect(mv_device_flush(&device));
}

static void *read_slowly(void *context)
{
    pause_ms(200);
    expect_output(*(int *)context, 0, 30000, 2000, 5);
    return NULL;
}

Test(serial, flush_waits_for_a_reader_that_is_late)
{
    pthread_t reader;
    int out[2];

    make_pipe(out);
    fcntl(out[1], F_SETPIPE_SZ, 4096);
    start(-1, out[1]);
    for (size_t at = 0; at < 30000; at++) /* below the mark: nobody is held back */
        put(0, pattern(at));
    quiesce();
    cr_expect(!mv_device_flush(&device), "the pipe takes less than that");
    pthread_create(&reader, NULL, read_slowly, &out[0]);
    flush();
    pthread_join(reader, NULL);
}

/* With a guest that writes without end: the device answers, and can be ended. */
static void expect_only_the_guest_waits(int out)
{
    size_t size = SIZE_MAX, stuck;
    pthread_t guest;

    start(-1, out);
    pthread_create(&guest, NULL, write_counted, &size);
    stuck = wait_until_stuck();
    cr_expect_eq(get(7), 0, "its registers are read");
    atomic_store(&enough, stuck + 1);
    quiesce();
    pthread_join(guest, NULL);
    cr_expect(!mv_device_flush(&device));
    mv_loop_stop(&loop);
    mv_device_stop(&device);
    cr_expect_eq(fcntl(out, F_GETFL) & O_NONBLOCK, 0, "its flags are as they were");
}

/* poll says that such a terminal is ready when it has room for a single byte. */
Test(serial, a_terminal_that_nobody_reads_blocks_the_guest_alone)
{
    int master, slave;

    cr_assert_eq(openpty(&master, &slave, NULL, NULL, NULL), 0);
    expect_only_the_guest_waits(slave);
}

Test(serial, a_pipe_that_others_fill_blocks_the_guest_alone)
{
    static uint8_t page[4096];
    int out[2];

    make_pipe(out);
    fcntl(out[1], F_SETPIPE_SZ, 4096);
    cr_assert_eq(write(out[1], page, sizeof(page)), (ssize_t)sizeof(page));
    expect_only_the_guest_waits(out[1]);
}

Test(serial, a_socket_that_nobody_reads_blocks_the_guest_alone)
{
    int pair[2], least = 0;

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
    expect_only_the_guest_waits(pair[0]);
}

Test(serial, a_closed_reader_ends_the_machine_as_sigpipe_would)
{
    int out[2];

    make_pipe(out);
    close(out[0]);
    start(-1, out[1]);
    put(0, 'x');
    for (unsigned i = 0; i < PATIENCE && !atomic_load(&end_code); i++)
        pause_ms(1);
    cr_expect_eq(atomic_load(&end_code), 141);
    for (unsigned i = 0; i < 200000; i++)
        put(0, 'x'); /* nobody is held back for it */
    quiesce();
    flush();
    cr_expect_geq(fcntl(out[1], F_GETFD), 0, "the descriptor stays its owner's");
}

Test(serial, a_reader_that_closes_while_the_guest_is_held_back_releases_it)
{
    size_t size = 200000;
    pthread_t guest;
    int out[2];

    make_pipe(out);
    start(-1, out[1]);
    pthread_create(&guest, NULL, write_counted, &size);
    cr_assert_lt(wait_until_stuck(), size);
    close(out[0]);
    pthread_join(guest, NULL);
    cr_expect_eq(atomic_load(&end_code), 141);
}

Test(serial, after_another_error_the_machine_goes_on_without_output)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC); /* EBADF */

    start(-1, fd);
    for (unsigned i = 0; i < 200000; i++)
        put(0, 'x');
    quiesce();
    flush();
    cr_expect_eq(atomic_load(&end_code), 0);
    cr_expect_eq(atomic_load(&console_error), -EBADF);
    cr_expect_str_eq(said, "guest output is lost from here on: Bad file descriptor");
    cr_expect_eq(said_count, 1);
}

Test(serial, a_regular_file_takes_output)
{
    int fd = memfd_create("out", MFD_CLOEXEC);

    start(-1, fd);
    for (size_t at = 0; at < 100000; at++)
        put(0, pattern(at));
    quiesce();
    flush();
    lseek(fd, 0, SEEK_SET);
    expect_output(fd, 0, 100000, 65536, 0);
}

Test(serial, looped_back_bytes_do_not_reach_the_host)
{
    int out[2];

    make_pipe(out);
    start(-1, out[1]);
    put(4, 0x10);
    put(0, 'L');
    cr_expect_eq(receive(NULL), 'L');
    expect_nothing_more(out[0]);
}

/* ---- input ---- */

Test(serial, input_from_a_pipe_arrives_whole_and_in_order)
{
    uint8_t data[10000];
    int in[2];

    make_pipe(in);
    start(in[0], -1);
    put(2, 1);
    for (size_t at = 0; at < sizeof(data); at++)
        data[at] = pattern(at);
    cr_assert_eq(write(in[1], data, sizeof(data)), (ssize_t)sizeof(data));
    for (size_t at = 0; at < sizeof(data); at++)
        cr_assert_eq(receive(NULL), pattern(at), "byte %zu", at);
    expect_no_input();
    cr_assert_eq(write(in[1], "later", 5), 5);
    for (const char *at = "later"; *at; at++)
        cr_expect_eq(receive(NULL), (unsigned)*at);
}

Test(serial, input_without_fifos_arrives_whole_too)
{
    int in[2];

    make_pipe(in);
    start(in[0], -1);
    cr_assert_eq(write(in[1], "0123456789", 10), 10);
    for (const char *at = "0123456789"; *at; at++)
        cr_expect_eq(receive(NULL), (unsigned)*at);
    cr_expect_eq(get(5) & 2, 0, "no overrun");
}

Test(serial, input_raises_the_interrupt)
{
    int in[2];

    make_pipe(in);
    start(in[0], -1);
    put(1, 1);
    cr_assert_eq(write(in[1], "x", 1), 1);
    for (unsigned i = 0; i < PATIENCE && !atomic_load(&irq_level); i++)
        pause_ms(1);
    cr_expect(atomic_load(&irq_level));
    cr_expect_eq(get(2), 0x04);
    cr_expect_eq(get(0), 'x');
    cr_expect(!atomic_load(&irq_level));
}

Test(serial, input_from_a_file_arrives_whole)
{
    int fd = memfd_create("in", MFD_CLOEXEC);

    for (size_t at = 0; at < 20000; at++) {
        uint8_t byte = pattern(at);

        cr_assert_eq(write(fd, &byte, 1), 1);
    }
    lseek(fd, 0, SEEK_SET);
    fifos_first = true;
    start(fd, -1);
    for (size_t at = 0; at < 20000; at++)
        cr_assert_eq(receive(NULL), pattern(at), "byte %zu", at);
    expect_no_input();
}

Test(serial, input_from_dev_null_is_empty)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    start(fd, -1);
    expect_no_input();
}

static double cpu_seconds(void)
{
    struct timespec time;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

Test(serial, a_closed_pipe_is_the_end_of_input_and_costs_no_time)
{
    double before;
    int in[2];

    make_pipe(in);
    cr_assert_eq(write(in[1], "ab", 2), 2);
    close(in[1]);
    start(in[0], -1);
    cr_expect_eq(receive(NULL), 'a');
    cr_expect_eq(receive(NULL), 'b');
    expect_no_input();
    before = cpu_seconds();
    pause_ms(300);
    cr_expect_lt(cpu_seconds() - before, 0.15, "nothing spins");
}

Test(serial, no_more_is_read_than_can_be_kept)
{
    static uint8_t data[4096];
    size_t written = 0;
    int in[2];

    make_pipe(in);
    fcntl(in[1], F_SETFL, O_NONBLOCK);
    start(in[0], -1);
    for (unsigned idle = 0; idle < 20; pause_ms(5)) {
        ssize_t done = write(in[1], data, sizeof(data));

        cr_assert(done > 0 || errno == EAGAIN);
        written += done > 0 ? (size_t)done : 0;
        idle = done > 0 ? 0 : idle + 1;
    }
    cr_expect_leq(written, 65536 + 2 * 4096 + 16, "%zu bytes", written);
}

Test(serial, input_waits_while_the_guest_loops_back)
{
    int in[2];

    make_pipe(in);
    start(in[0], -1);
    put(4, 0x10);
    cr_assert_eq(write(in[1], "in", 2), 2);
    expect_no_input();
    put(4, 0);
    cr_expect_eq(receive(NULL), 'i');
    cr_expect_eq(receive(NULL), 'n');
}

Test(serial, one_descriptor_can_be_both_sides)
{
    int pair[2];
    char byte;

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    start(pair[0], pair[0]);
    cr_assert_eq(write(pair[1], "i", 1), 1);
    cr_expect_eq(receive(NULL), 'i');
    put(0, 'o');
    cr_assert_eq(read(pair[1], &byte, 1), 1);
    cr_expect_eq(byte, 'o');
}

Test(serial, one_descriptor_as_both_sides_is_whole_when_it_blocks)
{
    size_t size = 600000;
    pthread_t guest;
    int pair[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    start(pair[0], pair[0]);
    pthread_create(&guest, NULL, write_counted, &size);
    cr_assert_lt(wait_until_stuck(), size);
    cr_assert_eq(write(pair[1], "i", 1), 1);
    cr_expect_eq(receive(NULL), 'i', "input goes on while output is held back");
    expect_output(pair[1], 0, size, 65536, 0);
    pthread_join(guest, NULL);
}

/* As from a terminal that another job has for a while: EIO. */
Test(serial, input_that_cannot_be_read_now_is_tried_again)
{
    char name[64];
    int master, slave;

    cr_assert_eq(openpty(&master, &slave, name, NULL, NULL), 0);
    close(slave);
    start(master, -1);
    expect_no_input();
    slave = open(name, O_WRONLY | O_NOCTTY | O_CLOEXEC);
    cr_assert_geq(slave, 0);
    cr_assert_eq(write(slave, "x", 1), 1);
    cr_expect_eq(receive(NULL), 'x');
}

/* Both are told that there is something; whoever reads last would wait in read. */
Test(serial, input_that_somebody_else_has_read_first_blocks_nobody)
{
    struct mv_device other = {.desc = device.desc};
    int in[2];

    make_pipe(in);
    cr_assert_eq(write(in[1], "x", 1), 1);
    pthread_mutex_init(&other.lock, NULL);
    console.in = fcntl(in[0], F_DUPFD_CLOEXEC, 0);
    cr_assert_eq(create(&other), 0);
    start(in[0], -1);
    pause_ms(50);
    get(5);
    pthread_mutex_lock(&other.lock);
    pthread_mutex_unlock(&other.lock);
    mv_loop_stop(&loop);
    other.ops->destroy(other.state);
}

/* ---- a person ---- */

static atomic_uint counted, heard;

/* Drops 'd', counts 'c', and breaks behind what it was called for at 'b'. */
static bool filter(void *context, uint8_t *data, size_t *count)
{
    size_t kept = 0;
    bool is_break = false;

    atomic_fetch_add(&heard, 1);
    for (size_t i = 0; i < *count; i++) {
        if (data[i] == 'c')
            atomic_fetch_add((atomic_uint *)context, 1);
        if (data[i] == 'b')
            is_break = true;
        else if (data[i] != 'd')
            data[kept++] = (uint8_t)(data[i] ^ 0x20);
    }
    *count = kept;
    return is_break;
}

static void start_filtered(int in, bool interactive)
{
    console.filter = filter;
    console.context = &counted;
    console.interactive = interactive;
    start(in, -1);
}

Test(serial, the_filter_sees_input_first_and_may_change_and_drop_it)
{
    int in[2];

    make_pipe(in);
    start_filtered(in[0], true);
    cr_assert_eq(write(in[1], "xdydz", 5), 5);
    for (const char *at = "XYZ"; *at; at++)
        cr_expect_eq(receive(NULL), (unsigned)*at);
    cr_assert_eq(write(in[1], "ddd", 3), 3);
    expect_no_input();
    cr_assert_eq(write(in[1], "q", 1), 1);
    cr_expect_eq(receive(NULL), 'Q', "reading goes on after all was dropped");
}

Test(serial, the_filter_can_send_a_break_behind_the_bytes)
{
    unsigned lsr;
    int in[2];

    make_pipe(in);
    start_filtered(in[0], true);
    put(2, 1);
    cr_assert_eq(write(in[1], "xyb", 3), 3);
    cr_expect_eq(receive(&lsr), 'X');
    cr_expect_eq(lsr & 0x10, 0);
    cr_expect_eq(receive(&lsr), 'Y');
    cr_expect_eq(receive(&lsr), 0);
    cr_expect_eq(lsr & 0x10, 0x10);
    expect_no_input();
}

Test(serial, bytes_of_all_ones_are_no_breaks)
{
    static const uint8_t sent[] = {0xff, 0xff, 0xff, 0x00, 'a', 0xff};
    unsigned lsr = 0;
    int in[2];

    make_pipe(in);
    start(in[0], -1);
    cr_assert_eq(write(in[1], sent, sizeof(sent)), (ssize_t)sizeof(sent));
    for (unsigned i = 0; i < MV_COUNT(sent); i++) {
        cr_expect_eq(receive(&lsr), sent[i], "byte %u", i);
        cr_expect_eq(lsr & 0x10, 0, "byte %u", i);
    }
    expect_no_input();
}

Test(serial, a_break_fits_behind_a_full_buffer)
{
    static uint8_t data[8192];
    unsigned breaks = 0, bytes = 0, lsr;
    int in[2];

    make_pipe(in);
    memset(data, 'x', sizeof(data));
    data[sizeof(data) - 1] = 'b';
    cr_assert_eq(write(in[1], data, sizeof(data)), (ssize_t)sizeof(data));
    fifos_first = true;
    start_filtered(in[0], false);
    while (!breaks) {
        receive(&lsr);
        breaks += lsr >> 4 & 1;
        bytes++;
    }
    cr_expect_eq(bytes, sizeof(data), "all of them, and the break at the end");
}

Test(serial, a_person_is_heard_while_the_guest_takes_nothing)
{
    static uint8_t data[4096];
    int in[2];

    make_pipe(in);
    start_filtered(in[0], true);
    memset(data, 'x', sizeof(data));
    for (unsigned i = 0; i < 64; i++)
        cr_assert_eq(write(in[1], data, sizeof(data)), (ssize_t)sizeof(data));
    cr_assert_eq(write(in[1], "c", 1), 1);
    for (unsigned i = 0; i < PATIENCE && !atomic_load(&counted); i++)
        pause_ms(1);
    cr_expect_eq(atomic_load(&counted), 1);
    cr_expect_eq(receive(NULL), 'X', "and what came first is kept");
}

/* What the filter makes of the pattern, without the bytes that it takes. */
static uint8_t typed(size_t at)
{
    return (uint8_t)('0' + at % 10);
}

static void wait_until_above(const atomic_uint *what, unsigned before)
{
    for (unsigned i = 0; i < PATIENCE && atomic_load(what) == before; i++)
        pause_ms(1);
    cr_assert_gt(atomic_load(what), before);
}

/* A person's input of that size and a "c", all of which is kept or dropped by now. */
static void paste(size_t size)
{
    uint8_t data[4096];
    unsigned before;
    int in[2];

    make_pipe(in);
    start_filtered(in[0], true);
    put(2, 1);
    for (size_t at = 0; at < size;) {
        size_t count = mv_min(sizeof(data), size - at);

        for (size_t i = 0; i < count; i++)
            data[i] = typed(at++);
        cr_assert_eq(write(in[1], data, count), (ssize_t)count);
    }
    cr_assert_eq(write(in[1], "c", 1), 1);
    wait_until_above(&counted, 0);
    before = atomic_load(&heard);
    cr_assert_eq(write(in[1], "d", 1), 1); /* is read after that, and dropped by the filter */
    wait_until_above(&heard, before);
}

/* So many bytes of the paste arrive; "c" is no more of it. */
static size_t take_paste(void)
{
    size_t at = 0;

    for (unsigned idle = 0; idle < 200; idle++) { /* a driver that polls is given input only then */
        unsigned byte;

        if ((get(5) & 1) == 0)
            continue;
        byte = get(0);
        if (byte == ('c' ^ 0x20))
            break;
        cr_assert_eq(byte, typed(at) ^ 0x20u, "byte %zu", at);
        at++;
        idle = 0;
    }
    return at;
}

Test(serial, a_mebibyte_is_kept_for_a_guest_that_reads_later)
{
    paste(1 << 20);
    cr_expect_eq(take_paste(), 1 << 20);
    cr_expect_eq(said_count, 0, "%s", said);
}

Test(serial, what_is_dropped_of_a_paste_is_told_once)
{
    size_t size = 3 << 20, taken;
    char expected[128];

    paste(size);
    cr_expect_eq(said_count, 0, "not before it is known how much it is");
    taken = take_paste();
    cr_expect_geq(taken, 1 << 20);
    snprintf(expected, sizeof(expected),
             "%zu bytes of input were dropped: the guest did not read what came before them",
             size + 1 - taken);
    cr_expect_str_eq(said, expected);
    cr_expect_eq(said_count, 1);
}

Test(serial, what_is_dropped_is_told_at_the_end_if_the_guest_never_reads)
{
    paste(2 << 20);
    mv_loop_stop(&loop);
    mv_device_stop(&device);
    cr_expect_eq(said_count, 1);
}

Test(serial, breaks_come_where_they_were_sent_among_the_bytes)
{
    int in[2];

    make_pipe(in);
    start_filtered(in[0], true);
    put(2, 1);
    for (unsigned i = 0; i < 20; i++) {
        cr_assert_eq(write(in[1], "xb", 2), 2);
        wait_until_above(&heard, i); /* two that are read at once are one break */
    }
    for (unsigned i = 0; i < 20; i++) {
        unsigned lsr;

        cr_expect_eq(receive(&lsr), 'X');
        cr_expect_eq(receive(&lsr), 0);
        cr_expect_eq(lsr & 0x10, 0x10);
    }
}

/* ---- creation fails ---- */

/* Makes the creation fail with at most `more` descriptors; nothing else may close. */
static void expect_failure(rlim_t more)
{
    struct rlimit before, limit;
    int lowest = dup(0), fd;

    close(lowest);
    getrlimit(RLIMIT_NOFILE, &before);
    limit = (struct rlimit){(rlim_t)lowest + more, before.rlim_max};
    setrlimit(RLIMIT_NOFILE, &limit);
    cr_expect_eq(create(&device), -EMFILE, "with %u more", (unsigned)more);
    setrlimit(RLIMIT_NOFILE, &before);
    device.state = NULL;
    cr_expect_geq(fcntl(0, F_GETFD), 0, "stdin is still open");
    fd = dup(0);
    cr_expect_eq(fd, lowest, "and nothing else is");
    close(fd);
}

Test(serial, a_failed_creation_closes_what_it_opened_and_nothing_else)
{
    console.out = open("/dev/null", O_WRONLY | O_CLOEXEC);
    console.in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    expect_failure(0);
    console.in = console.out;
    expect_failure(0);
}
