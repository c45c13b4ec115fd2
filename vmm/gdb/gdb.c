/* SPDX-License-Identifier: MIT */
/*
 * A GDB session: see gdb.h.  Manages the socket, and implements the target of the protocol
 * (gdb_protocol.c) by the machine.  When a vCPU's hook sees a stop, it holds the machine and
 * signals an event to the serving thread.
 */
#include "gdb.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "core/log.h"
#include "core/util.h"

#define SIGNAL_INT  2 /* GDB's signal numbers */
#define SIGNAL_TRAP 5
#define PATIENCE    10 /* seconds for a debugger to send its first byte, and to accept our data */

/* ---- the socket ---- */

static int cannot_listen(int code, const char *call, const char *address, struct mv_error *err)
{
    return mv_fail(err, code, call,
                   code == -ENAMETOOLONG
                       ? "a socket's path has 107 bytes at most: name a shorter one"
                       : "name unix:PATH, where no file is yet, or ADDRESS:PORT (IPv4, "
                         "127.0.0.1:1234), which every local user can reach",
                   "cannot listen for a debugger at %s: %s", address, strerror(-code));
}

/* Whether the path is a socket left behind by a killed process, on which nobody listens.  Other
 * files are not stale. */
static bool is_stale(const struct sockaddr_un *at)
{
    MV_CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct stat st;

    return fd >= 0 && lstat(at->sun_path, &st) == 0 && S_ISSOCK(st.st_mode) &&
           connect(fd, (const struct sockaddr *)at, sizeof(*at)) < 0 && errno == ECONNREFUSED;
}

static int bind_unix(int fd, const struct sockaddr_un *to)
{
    const struct sockaddr *at = (const struct sockaddr *)to;
    int error = bind(fd, at, sizeof(*to)) < 0 ? -errno : 0;

    if (error == -EADDRINUSE && is_stale(to))
        error = unlink(to->sun_path) < 0 || bind(fd, at, sizeof(*to)) < 0 ? -errno : 0;
    return error;
}

static int listen_unix(struct mv_gdb *gdb, const char *path, struct mv_error *err)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int error;

    if (!*path) /* would be an abstract socket, which has no permissions */
        return cannot_listen(-EINVAL, NULL, "unix:", err);
    if (strlen(path) >= sizeof(to.sun_path))
        return cannot_listen(-ENAMETOOLONG, NULL, path, err);
    memcpy(to.sun_path, path, strlen(path) + 1);
    gdb->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* bind gives the file the socket's mode, so no other user can connect at any time */
    if (gdb->listener < 0 || fchmod(gdb->listener, S_IRUSR | S_IWUSR) < 0)
        return cannot_listen(-errno, "socket", path, err);
    error = bind_unix(gdb->listener, &to);
    if (error)
        return cannot_listen(error, "bind", path, err);
    memcpy(gdb->path, path, strlen(path) + 1);
    memcpy(gdb->name, path, strlen(path) + 1);
    return 0;
}

/* Numeric IPv4 only: names would need a resolver, which a static program does not have. */
static bool parse_address(const char *address, struct sockaddr_in *ret_to)
{
    const char *port = strrchr(address, ':');
    char host[64] = "", *end;
    unsigned long number;

    if (!port || port - address >= (ptrdiff_t)sizeof(host) || port[1] < '0' || port[1] > '9')
        return false;
    memcpy(host, address, (size_t)(port - address));
    if (strcmp(host, "localhost") == 0)
        memcpy(host, "127.0.0.1", sizeof("127.0.0.1"));
    number = strtoul(port + 1, &end, 10);
    *ret_to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)number)};
    return *end == '\0' && number <= 65535 && inet_pton(AF_INET, host, &ret_to->sin_addr) == 1;
}

static int listen_tcp(struct mv_gdb *gdb, const char *address, struct mv_error *err)
{
    struct sockaddr_in to;
    socklen_t size = sizeof(to);
    char host[INET_ADDRSTRLEN] = "";
    int one = 1;

    if (!parse_address(address, &to))
        return cannot_listen(-EINVAL, NULL, address, err);
    gdb->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (gdb->listener >= 0)
        setsockopt(gdb->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (gdb->listener < 0 || bind(gdb->listener, (struct sockaddr *)&to, sizeof(to)) < 0)
        return cannot_listen(-errno, "bind", address, err);
    getsockname(gdb->listener, (struct sockaddr *)&to, &size); /* port 0 became a free one */
    inet_ntop(AF_INET, &to.sin_addr, host, sizeof(host));
    snprintf(gdb->name, sizeof(gdb->name), "%s:%u", host, ntohs(to.sin_port));
    return 0;
}

int mv_gdb_open(struct mv_gdb *gdb, const char *address, struct mv_error *err)
{
    size_t registers;
    int error;

    *gdb = (struct mv_gdb){.event = -1, .listener = -1, .client = -1};
    mv_registers(&registers);
    if (registers == 0)
        return mv_fail(err, -ENOSYS, NULL, "build it with the part debug (-DMINIVMM_PARTS)",
                       "this minivmm was built without debug: GDB could see nothing");
    gdb->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (gdb->event < 0)
        return mv_fail(err, -errno, "eventfd", NULL, "cannot create an eventfd: %s",
                       strerror(errno));
    error = strncmp(address, "unix:", 5) == 0 ? listen_unix(gdb, address + 5, err)
                                              : listen_tcp(gdb, address, err);
    if (!error && listen(gdb->listener, 1) < 0)
        error = cannot_listen(-errno, "listen", address, err);
    return error;
}

void mv_gdb_close(struct mv_gdb *gdb)
{
    mv_close_fd(&gdb->client);
    mv_close_fd(&gdb->listener);
    mv_close_fd(&gdb->event);
    if (gdb->path[0])
        unlink(gdb->path);
    gdb->path[0] = '\0';
}

/* ---- stops ---- */

static struct mv_vcpu *vcpu_of(const struct mv_gdb *gdb, unsigned cpu)
{
    return mv_machine_vcpu(gdb->machine, cpu);
}

/* The first vCPU that stops holds all. */
static void stop_all(struct mv_gdb *gdb, unsigned cpu, int signal, const struct mv_debug_stop *stop)
{
    if (atomic_exchange(&gdb->caught, true))
        return;
    gdb->stopped_cpu = cpu;
    gdb->signal = signal;
    gdb->stop = *stop;
    mv_machine_hold(gdb->machine);
    eventfd_write(gdb->event, 1);
}

/* When single steps emulate breakpoints and watchpoints: whether this step has reached one. */
static bool has_come_to_point(struct mv_gdb *gdb, struct mv_vcpu *vcpu, struct mv_debug_stop *stop)
{
    const struct mv_debug *debug = &gdb->protocol.debug;

    for (unsigned i = 0; i < debug->count; i++) {
        const struct mv_debug_point *point = &debug->points[i];
        uint64_t value = 0;

        if (point->access == MV_BREAK_EXECUTE && point->address == stop->address) {
            stop->reason = MV_DEBUG_BREAKPOINT;
            return true;
        }
        if (point->access == MV_WATCH_WRITE &&
            mv_vcpu_read(vcpu, point->address, &value, point->size) == 0 &&
            atomic_exchange(&gdb->watched[i], value) != value) {
            *stop = (struct mv_debug_stop){MV_DEBUG_WATCHPOINT, point->address};
            return true;
        }
    }
    return false;
}

/* In the vCPU's thread.  A breakpoint instruction that is not GDB's is the guest's own: Linux
 * patches its code with them, and tests one when it boots. */
static bool on_stop(void *context, struct mv_vcpu *vcpu, struct mv_exit *exit)
{
    struct mv_gdb *gdb = context;
    unsigned cpu = mv_vcpu_index(vcpu);

    if (exit->debug.reason == MV_DEBUG_SOFTWARE &&
        !mv_gdb_is_point(&gdb->protocol, exit->debug.address) && mv_vcpu_pass_breakpoint(vcpu) == 0)
        return true;
    if (!gdb->stands_in || has_come_to_point(gdb, vcpu, &exit->debug) || (int)cpu == gdb->stepping)
        stop_all(gdb, cpu, SIGNAL_TRAP, &exit->debug);
    return true;
}

struct mv_hook mv_gdb_hook(struct mv_gdb *gdb)
{
    return (struct mv_hook){
        .size = sizeof(struct mv_hook), .kind = MV_EXIT_DEBUG, .fn = on_stop, .context = gdb};
}

/* Waits until no vCPU runs; the machine is already held. */
static void wait_until_stopped(struct mv_gdb *gdb)
{
    eventfd_t count;

    mv_machine_pause(gdb->machine);
    mv_machine_resume(gdb->machine);
    eventfd_read(gdb->event, &count);
    if (gdb->masked)
        mv_gdb_unmask_interrupts(vcpu_of(gdb, (unsigned)gdb->stepping));
    gdb->masked = false;
    gdb->stepping = -1;
}

/* ---- the machine as a target: gdb_protocol.h ---- */

/* Stops the machine, unless a vCPU has stopped first. */
static void interrupt(void *context)
{
    stop_all(context, 0, SIGNAL_INT, &(struct mv_debug_stop){.reason = MV_DEBUG_STEP});
}

static void send_bytes(void *context, const char *bytes, size_t size)
{
    struct mv_gdb *gdb = context;
    struct pollfd wait[] = {{.fd = mv_machine_end_fd(gdb->machine), .events = POLLIN},
                            {.fd = gdb->client, .events = POLLOUT}};

    while (size > 0 && gdb->client >= 0) {
        ssize_t sent = send(gdb->client, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent < 0 && errno == EAGAIN) { /* GDB does not read: wait, also for the machine's end */
            poll(wait, MV_COUNT(wait), -1);
            if (wait[0].revents)
                return;
        } else if (sent < 0 && errno != EINTR) {
            shutdown(gdb->client, SHUT_RDWR); /* take_input sees it */
            return;
        }
        if (sent > 0) {
            bytes += sent;
            size -= (size_t)sent;
        }
    }
}

static int get_register(void *context, unsigned cpu, const struct mv_gdb_register *of,
                        uint8_t *bytes)
{
    size_t count;
    const struct mv_register *all = mv_registers(&count);

    for (size_t i = 0; i < count; i++)
        if (strcmp(all[i].name, of->ours) == 0)
            return mv_vcpu_get_bytes(vcpu_of(context, cpu), i, bytes);
    return -ENOENT;
}

/* Our registers may be wider than those of 32-bit code: the upper bits are set to 0. */
static int set_registers(void *context, unsigned cpu, const struct mv_gdb_value *values,
                         size_t count)
{
    struct mv_register_value ours[MV_REGISTERS_MAX];

    for (size_t i = 0; i < count; i++) {
        uint64_t bits[2];

        memcpy(bits, values[i].bytes, sizeof(bits));
        ours[i] = (struct mv_register_value){values[i].of->ours, bits[0], bits[1]};
    }
    return mv_vcpu_set_registers(vcpu_of(context, cpu), ours, count, NULL);
}

static int read_memory(void *context, unsigned cpu, uint64_t address, void *ret_data, size_t size)
{
    return mv_vcpu_read(vcpu_of(context, cpu), address, ret_data, size);
}

static int write_memory(void *context, unsigned cpu, uint64_t address, const void *data,
                        size_t size)
{
    return mv_vcpu_write(vcpu_of(context, cpu), address, data, size);
}

/* Single steps can emulate a watchpoint only if it is for writes: they see changes of memory. */
static bool can_stand_in(const struct mv_debug *debug)
{
    for (unsigned i = 0; i < debug->count; i++)
        if (debug->points[i].size == 0 || debug->points[i].access == MV_WATCH_ACCESS)
            return false;
    return true;
}

static int set_debug(void *context, unsigned cpu, const struct mv_debug *debug)
{
    struct mv_gdb *gdb = context;
    struct mv_debug steps = {.size = sizeof(steps), .step = debug->step || debug->count > 0};

    if (debug->step) {
        gdb->stepping = (int)cpu;
        gdb->masked = mv_gdb_mask_interrupts(vcpu_of(gdb, cpu));
    }
    if (!gdb->stands_in)
        return mv_vcpu_debug(vcpu_of(gdb, cpu), debug);
    return can_stand_in(debug) ? mv_vcpu_debug(vcpu_of(gdb, cpu), &steps) : -EOPNOTSUPP;
}

static void resume(void *context)
{
    struct mv_gdb *gdb = context;
    const struct mv_debug *debug = &gdb->protocol.debug;

    for (unsigned i = 0; gdb->stands_in && i < debug->count; i++) {
        uint64_t value = 0;

        mv_vcpu_read(vcpu_of(gdb, gdb->protocol.current), debug->points[i].address, &value,
                     debug->points[i].size);
        atomic_store(&gdb->watched[i], value);
    }
    atomic_store(&gdb->caught, false);
    mv_machine_resume(gdb->machine);
}

static void leave(void *context)
{
    struct mv_gdb *gdb = context;

    mv_close_fd(&gdb->client);
}

static void kill_machine(void *context)
{
    struct mv_gdb *gdb = context;

    leave(gdb);
    mv_machine_stop(gdb->machine, 0);
}

static const struct mv_gdb_target target = {
    .send = send_bytes,
    .get_register = get_register,
    .set_registers = set_registers,
    .read = read_memory,
    .write = write_memory,
    .debug = set_debug,
    .resume = resume,
    .interrupt = interrupt,
    .leave = leave,
    .kill = kill_machine,
};

/* ---- serving ---- */

static void hold(struct mv_gdb *gdb)
{
    if (gdb->protocol.stopped)
        return;
    interrupt(gdb);
    wait_until_stopped(gdb);
}

/* GDB reads the description only once, and cannot use it with symbols of the other width. */
static const struct mv_gdb_arch *describe_code(const struct mv_gdb *gdb)
{
    bool is32 =
        gdb->bits ? gdb->bits == 32 : gdb->kernel_is_32 && !mv_gdb_is_long_mode(vcpu_of(gdb, 0));

    return is32 && mv_gdb_arch32 ? mv_gdb_arch32 : &mv_gdb_arch;
}

/* Accepts a client, which must first prove to be a debugger. */
static void welcome(struct mv_gdb *gdb)
{
    const struct timeval patience = {.tv_sec = PATIENCE};

    gdb->client = accept4(gdb->listener, NULL, NULL, SOCK_CLOEXEC);
    if (gdb->client >= 0)
        setsockopt(gdb->client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
}

/* Holds the machine, as GDB expects it to be stopped when it connects. */
static void attach(struct mv_gdb *gdb)
{
    hold(gdb);
    gdb->protocol.arch = describe_code(gdb);
    mv_gdb_protocol_attach(&gdb->protocol);
}

/* Ends a connection that was lost or rejected.  If a debugger was attached, the machine continues;
 * otherwise its state does not change. */
static void part(struct mv_gdb *gdb)
{
    leave(gdb);
    if (!gdb->protocol.attached)
        return;
    hold(gdb);
    mv_gdb_protocol_detach(&gdb->protocol);
}

static void take_input(struct mv_gdb *gdb)
{
    char bytes[1024];
    ssize_t got = recv(gdb->client, bytes, sizeof(bytes), 0);

    if (got < 0 && errno == EINTR)
        return;
    if (got > 0 && !gdb->protocol.attached && mv_gdb_begins(bytes[0]))
        attach(gdb);
    if (got <= 0 || !gdb->protocol.attached ||
        !mv_gdb_protocol_take(&gdb->protocol, bytes, (size_t)got))
        part(gdb);
}

static void take_stop(struct mv_gdb *gdb)
{
    wait_until_stopped(gdb);
    mv_gdb_protocol_stopped(&gdb->protocol, gdb->stopped_cpu, gdb->signal, &gdb->stop);
}

/* Waits for an event and handles it.  Returns false when the machine has ended. */
static bool serve_once(struct mv_gdb *gdb)
{
    struct pollfd wait[] = {
        {.fd = mv_machine_end_fd(gdb->machine), .events = POLLIN},
        {.fd = gdb->protocol.stopped ? -1 : gdb->event, .events = POLLIN},
        {.fd = gdb->client < 0 ? gdb->listener : gdb->client, .events = POLLIN}};

    bool unknown = gdb->client >= 0 && !gdb->protocol.attached;
    int ready = poll(wait, MV_COUNT(wait), unknown ? PATIENCE * 1000 : -1);

    if (ready == 0)
        part(gdb);
    if (ready <= 0)
        return true;
    if (wait[0].revents)
        return false;
    if (wait[1].revents)
        take_stop(gdb);
    else if (wait[2].revents && gdb->client < 0)
        welcome(gdb);
    else if (wait[2].revents)
        take_input(gdb);
    return true;
}

int mv_gdb_serve(struct mv_gdb *gdb, struct mv_machine *machine, unsigned cpus,
                 struct mv_error *err)
{
    int error;

    if (gdb->bits == 32 && !mv_gdb_arch32)
        return mv_fail(err, -EINVAL, NULL, "leave the ,32 out",
                       "only 64-bit code is supported on this architecture");
    gdb->machine = machine;
    gdb->stands_in = !mv_machine_breakpoints_work(machine);
    gdb->stepping = -1;
    mv_gdb_protocol_init(&gdb->protocol, &target, gdb, &mv_gdb_arch, cpus);
    gdb->protocol.stands_in = gdb->stands_in;
    atomic_store(&gdb->caught, true);
    mv_machine_hold(machine);
    error = mv_machine_start(machine, err);
    if (error)
        return error;
    while (serve_once(gdb))
        continue;
    mv_gdb_protocol_ended(&gdb->protocol);
    return 0;
}
