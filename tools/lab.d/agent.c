/* SPDX-License-Identifier: MIT */
/*
 * The lab's agent: process 1 inside the emulated machine. It runs one command and carries its
 * input, its outputs, its terminal and its exit status between the machine and tools/lab, which is
 * at the other end of five virtio-serial ports. Everything on a port is a frame: a 32-bit
 * little-endian length, then as many bytes; on the data ports an empty frame is the end of the
 * stream.
 *
 *  port  1 control   to us: the order (see struct order); "W rows columns": the window's size;
 *                    "C stream": nobody reads that stream any more
 *                    from us: "started"; "ended STATUS"; "failed WHY"
 *        2 input     to us: the command's standard input, or the terminal's
 *        3 output    from us: standard output, where it is not the terminal
 *        4 error     from us: standard error, where it is not the terminal
 *        5 terminal  from us: what is written to the terminal
 *
 * With --net, they are TCP connections to the host instead, of which each begins with a byte, the
 * port's number.
 *
 * With the name of a serial port as its argument, the machine is sealed: nothing comes to us, the
 * order is in the file SEALED_ORDER, and what would go over the ports goes over that one, with the
 * port's number in a byte before each frame.  The command's input is empty then.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define SEALED_ORDER "/run/lab-order"
#define HOST         "10.0.2.2" /* see tools/lab.d/bochs.py */
#define HOST_PORT    5641

enum { PORT_CONTROL = 1, PORT_INPUT, PORT_OUTPUT, PORT_ERROR, PORT_TERMINAL, PORTS };

/* What tools/lab wants done: strings, each ended by a NUL, in this order. */
struct order {
    const char *terminals; /* which of the streams 0, 1, 2 are the terminal, for example "02" */
    const char *rows, *columns;
    const char *out;    /* where to mount the folder for results; may be empty */
    const char *folder; /* the working directory */
    char **shared;      /* the host's folders to be seen here; their number comes first */
    char **arguments;   /* their number comes first */
    char **environment; /* all the rest */
};

/* One way out: from a pipe or the terminal to a port. */
struct pump {
    int from, port;
    int wake;          /* an eventfd: look at the flags */
    atomic_bool ended; /* the command has ended: pass on what is there, then stop */
    atomic_bool cut;   /* nobody reads it any more: so the command must get its SIGPIPE */
    pthread_t thread;
};

static int ports[PORTS];
static bool sealed;                                         /* all of them are one serial port */
static bool net;                                            /* they are connections */
static pthread_mutex_t sending = PTHREAD_MUTEX_INITIALIZER; /* frames go out whole */
static struct pump pumps[PORTS];
static int terminal = -1; /* our side of it */
static int input = -1;    /* where the command's input goes: a pipe or the terminal */

static void send_frame(int port, const void *data, uint32_t length)
{
    char frame[1 + 4 + 65536];
    size_t done = sealed ? 0 : 1;

    frame[0] = (char)port;
    memcpy(frame + 1, &length, 4);
    memcpy(frame + 5, data, length);
    pthread_mutex_lock(&sending);
    while (done < 5u + length) {
        ssize_t n = write(ports[port], frame + done, 5u + length - done);
        if (n > 0)
            done += (size_t)n;
    }
    pthread_mutex_unlock(&sending);
}

__attribute__((format(printf, 1, 2))) static void report(const char *format, ...)
{
    char text[1000];
    va_list list;

    va_start(list, format);
    int n = vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    send_frame(PORT_CONTROL, text, n < (int)sizeof(text) ? (uint32_t)n : sizeof(text) - 1);
}

/* There is no way on from a failure: tools/lab switches the machine off. */
__attribute__((noreturn)) static void fail(const char *what, const char *which)
{
    report("failed %s %s: %s", what, which, strerror(errno));
    for (;;)
        pause();
}

static void receive_bytes(int port, void *data, size_t length)
{
    size_t done = 0;

    while (done < length) {
        ssize_t n = read(ports[port], (char *)data + done, length - done);
        if (n > 0)
            done += (size_t)n;
        else
            usleep(10000); /* the other end is not connected yet */
    }
}

/* The caller owns what it gets; there is a NUL after the last byte. */
static char *receive_frame(int port, uint32_t *ret_length)
{
    receive_bytes(port, ret_length, 4);
    char *data = malloc(*ret_length + (size_t)1);
    if (!data)
        fail("cannot hold", "a frame");
    receive_bytes(port, data, *ret_length);
    data[*ret_length] = 0;
    return data;
}

/* The strings at *at, whose number comes first, with a NULL after the last: the number makes room
 * for that.  Moves *at behind them. */
static char **take_list(char ***at)
{
    char **list = *at;
    size_t count = strtoul(list[0], NULL, 10);

    memmove(list, list + 1, count * sizeof(*list));
    list[count] = NULL;
    *at = list + count + 1;
    return list;
}

/* Like receive_frame(), of a file. */
static char *read_file(const char *path, uint32_t *ret_length)
{
    struct stat about;
    FILE *file = fopen(path, "re");

    if (!file || fstat(fileno(file), &about))
        fail("cannot open", path);
    *ret_length = (uint32_t)about.st_size;
    char *data = calloc(*ret_length + (size_t)1, 1);
    if (!data || fread(data, 1, *ret_length, file) != *ret_length)
        fail("cannot read", path);
    fclose(file);
    return data;
}

static struct order receive_order(void)
{
    uint32_t length;
    char *at = sealed ? read_file(SEALED_ORDER, &length) : receive_frame(PORT_CONTROL, &length);
    char *end = at + length;
    char **fields = calloc(length + (size_t)2, sizeof(*fields));
    size_t n = 0;

    if (!fields)
        fail("cannot hold", "the order");
    for (; at < end; at += strlen(at) + 1)
        fields[n++] = at;

    struct order order = {fields[0], fields[1], fields[2], fields[3], fields[4], NULL, NULL, NULL};
    fields += 5;
    order.shared = take_list(&fields);
    order.arguments = take_list(&fields);
    order.environment = fields;
    return order;
}

static void set_window(unsigned rows, unsigned columns)
{
    struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};

    if (terminal >= 0)
        ioctl(terminal, TIOCSWINSZ, &size);
}

static void wake(struct pump *pump)
{
    uint64_t one = 1;

    if (write(pump->wake, &one, sizeof(one)) < 0)
        abort();
}

static void *control_main(void *unused)
{
    uint32_t length;

    for (;;) {
        char *message = receive_frame(PORT_CONTROL, &length);
        unsigned a, b;

        if (sscanf(message, "W %u %u", &a, &b) == 2)
            set_window(a, b);
        if (sscanf(message, "C %u", &a) == 1 && a + 2 < PORT_TERMINAL) {
            pumps[a + 2].cut = true;
            wake(&pumps[a + 2]);
        }
        free(message);
    }
    return unused;
}

static void *input_main(void *unused)
{
    bool open = true;
    uint32_t length;

    do {
        char *data = receive_frame(PORT_INPUT, &length);
        for (size_t done = 0; open && done < length;) {
            struct pollfd fd = {.fd = input, .events = POLLOUT}; /* the terminal does not block */
            ssize_t n = poll(&fd, 1, -1) < 0 ? 0 : write(input, data + done, length - done);
            open = n >= 0 || errno == EAGAIN; /* a command need not read all that it is given */
            done += n > 0 ? (size_t)n : 0;
        }
        free(data);
    } while (length > 0);
    if (input == terminal) /* a terminal has no end: Ctrl-D is the nearest thing */
        (void)!write(input, "\4", 1);
    else
        close(input);
    return unused;
}

static void *pump_main(void *argument)
{
    struct pump *pump = argument;
    char data[65536];

    for (;;) {
        struct pollfd fds[] = {{.fd = pump->from, .events = POLLIN},
                               {.fd = pump->wake, .events = POLLIN}};

        /* Once the command has ended we do not wait: others may hold the pipe open for ever. */
        if (!pump->ended && poll(fds, 2, -1) < 0)
            continue;
        if (pump->cut)
            break;
        ssize_t n = read(pump->from, data, sizeof(data));
        if (n > 0)
            send_frame(pump->port, data, (uint32_t)n);
        else if (n == 0 || errno != EAGAIN || pump->ended) /* EIO: nobody has the terminal open */
            break;
    }
    close(pump->from);
    send_frame(pump->port, "", 0);
    return NULL;
}

static void start_thread(pthread_t *ret_thread, void *(*body)(void *), void *argument)
{
    errno = pthread_create(ret_thread, NULL, body, argument);
    if (errno)
        fail("cannot start", "a thread");
}

static void start_pump(int port, int from)
{
    struct pump *pump = &pumps[port];

    fcntl(from, F_SETFL, O_NONBLOCK);
    pump->from = from;
    pump->port = port;
    pump->wake = eventfd(0, EFD_CLOEXEC);
    start_thread(&pump->thread, pump_main, pump);
}

static int open_terminal(const struct order *order)
{
    int no = 0;

    terminal = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (terminal < 0 || ioctl(terminal, TIOCSPTLCK, &no))
        fail("cannot open", "a terminal");
    int side = ioctl(terminal, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (side < 0)
        fail("cannot open", "the command's terminal");
    set_window((unsigned)atoi(order->rows), (unsigned)atoi(order->columns));
    return side;
}

/* In the child: never returns. */
__attribute__((noreturn)) static void run_command(const struct order *order, const int streams[3],
                                                  int side)
{
    setsid();
    if (side >= 0)
        ioctl(side, TIOCSCTTY, 0);
    for (int i = 0; i < 3; i++)
        dup2(streams[i], i);
    environ = order->environment;
    execvp(order->arguments[0], order->arguments);
    int status = errno == ENOENT ? 127 : 126;
    fprintf(stderr, "lab: cannot run %s: %s\n", order->arguments[0], strerror(errno));
    _exit(status);
}

/* Starts the command, gives it its streams, and starts all that carries them. */
static pid_t start_command(const struct order *order)
{
    int streams[3], ours[3] = {-1, -1, -1};
    int side = *order->terminals ? open_terminal(order) : -1;

    for (int i = 0; i < 3; i++) {
        int ends[2];
        if (strchr(order->terminals, '0' + i)) {
            streams[i] = side;
            continue;
        }
        if (pipe2(ends, O_CLOEXEC))
            fail("cannot make", "a pipe");
        streams[i] = ends[i == 0 ? 0 : 1];
        ours[i] = ends[i == 0 ? 1 : 0];
    }

    pid_t child = fork();
    if (child < 0)
        fail("cannot start", order->arguments[0]);
    if (child == 0)
        run_command(order, streams, side);
    for (int i = 0; i < 3; i++)
        if (ours[i] >= 0)
            close(streams[i]);
    if (side >= 0)
        close(side);

    pthread_t thread;
    input = ours[0] >= 0 ? ours[0] : terminal;
    signal(SIGPIPE, SIG_IGN);
    if (sealed) {
        close(input);
    } else {
        start_thread(&thread, input_main, NULL);
        start_thread(&thread, control_main, NULL);
    }
    for (int i = 1; i < 3; i++)
        if (ours[i] >= 0)
            start_pump(i + 2, ours[i]);
    if (terminal >= 0)
        start_pump(PORT_TERMINAL, dup(terminal));
    return child;
}

static void make_path(const char *path)
{
    char *copy = strdup(path);

    for (char *slash = copy + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = 0;
        mkdir(copy, 0755);
    }
    mkdir(copy, 0755);
    free(copy);
}

/* In a machine of another architecture than the host's: init has left the host's files there. */
static void share(const char *folder)
{
    char *there;

    make_path(folder);
    if (asprintf(&there, "/run/lab-host%s", folder) < 0 ||
        mount(there, folder, NULL, MS_BIND, NULL))
        fail("cannot show the folder", folder);
    free(there);
}

static int open_port(int port)
{
    char pattern[32];
    glob_t found;

    snprintf(pattern, sizeof(pattern), "/dev/vport*p%d",
             port); /* the star is the number of the virtio device */
    while (glob(pattern, 0, NULL, &found))
        usleep(10000); /* the node appears a moment after the driver was loaded */
    int fd = open(found.gl_pathv[0], O_RDWR | O_CLOEXEC);
    globfree(&found);
    return fd;
}

static int connect_port(int port)
{
    struct sockaddr_in host = {.sin_family = AF_INET, .sin_port = htons(HOST_PORT)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char number = (char)port;

    inet_pton(AF_INET, HOST, &host.sin_addr);
    if (connect(fd, (struct sockaddr *)&host, sizeof(host)) || write(fd, &number, 1) != 1)
        perror(HOST); /* for the console */
    return fd;
}

static int open_serial(const char *path)
{
    struct termios raw;
    int fd = open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC);

    if (tcgetattr(fd, &raw) == 0) {
        cfmakeraw(&raw);
        tcsetattr(fd, TCSANOW, &raw);
    }
    return fd; /* if it is none, there is nobody whom to tell that */
}

static void mount_out(const char *folder)
{
    char options[4200];

    snprintf(options, sizeof(options),
             net ? "trans=tcp,port=5640,version=9p2000.L,uname=root,access=any,msize=65536,"
                   "cache=mmap,aname=%s"
                 : "trans=virtio,version=9p2000.L,msize=1048576,cache=mmap",
             folder);
    make_path(folder);
    if (mount(net ? HOST : "out", folder, "9p", 0, options))
        fail("cannot mount the folder for results", folder);
}

int main(int argc, char **argv)
{
    net = argc > 1 && strcmp(argv[1], "--net") == 0;
    sealed = argc > 1 && !net;
    for (int port = PORT_CONTROL; port < PORTS; port++)
        ports[port] = net                    ? connect_port(port)
                      : !sealed              ? open_port(port)
                      : port == PORT_CONTROL ? open_serial(argv[1])
                                             : ports[PORT_CONTROL];

    struct order order = receive_order();
    for (char **folder = order.shared; *folder; folder++)
        share(*folder);
    if (*order.out)
        mount_out(order.out);
    if (chdir(order.folder))
        fail("cannot enter the working directory", order.folder);

    pid_t child = start_command(&order), gone;
    int status;
    report("started");
    do
        gone = wait(&status);
    while (gone != child);

    for (int port = PORT_OUTPUT; port < PORTS; port++) {
        if (!pumps[port].port)
            continue;
        pumps[port].ended = true;
        wake(&pumps[port]);
        pthread_join(pumps[port].thread, NULL);
    }
    kill(-1, SIGKILL);
    if (chdir("/") == 0 && *order.out)
        umount2(order.out, MNT_DETACH);
    sync();
    report("ended %d", WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
    for (;;)
        pause();
}
