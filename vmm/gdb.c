/* SPDX-License-Identifier: MIT */
/*
 * GDB's remote protocol: see gdb.h, and the GDB manual, appendix E, for the packets.  All-stop:
 * when one vCPU stops, all are held.  Threads are vCPUs, numbered from 1.  Breakpoints in memory
 * are GDB's own business: it writes the instruction, and the vCPU that comes there stops.
 */
#include "gdb.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "log.h"
#include "util.h"

#define PACKET      4096 /* bytes between $ and #; what memory is read in comes as twice as many */
#define DESCRIPTION 16384
#define SIGNAL_INT  2
#define SIGNAL_TRAP 5
#define INTERRUPT   0x03 /* Ctrl-C, outside of packets */

/* ---- text ---- */

/* What is being written; what does not fit is dropped, and the answer an error. */
struct text {
    char *at;
    size_t size, length;
    bool full;
};

static void put(struct text *text, const char *words, size_t length)
{
    if (length > text->size - text->length) {
        text->full = true;
        return;
    }
    memcpy(text->at + text->length, words, length);
    text->length += length;
}

static void say(struct text *text, const char *words)
{
    put(text, words, strlen(words));
}

static void say_number(struct text *text, const char *format, unsigned long long number)
{
    char words[48];

    snprintf(words, sizeof(words), format, number);
    say(text, words);
}

static void say_bytes(struct text *text, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        say_number(text, "%02llx", bytes[i]);
}

static int digit(char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    if ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f')
        return (byte | 0x20) - 'a' + 10;
    return -1;
}

/* A hexadecimal number; false, if there is none, or it is too long. */
static bool take_number(const char **at, uint64_t *ret_number)
{
    uint64_t number = 0;
    unsigned digits = 0;

    for (; digit(**at) >= 0; (*at)++, digits++)
        number = number << 4 | (uint64_t)digit(**at);
    *ret_number = number;
    return digits > 0 && digits <= 16;
}

static bool take_char(const char **at, char wanted)
{
    if (**at != wanted)
        return false;
    (*at)++;
    return true;
}

/* Exactly so many bytes, and then the end. */
static bool take_bytes(const char *at, uint8_t *ret_bytes, size_t size)
{
    for (size_t i = 0; i < size; i++, at += 2) {
        int high = digit(at[0]), low = high < 0 ? -1 : digit(at[1]);

        if (high < 0 || low < 0)
            return false;
        ret_bytes[i] = (uint8_t)((unsigned)high << 4 | (unsigned)low);
    }
    return *at == '\0';
}

/* ---- the socket ---- */

static int cannot_listen(int code, const char *call, const char *address, struct mv_error *err)
{
    return mv_fail(err, code, call,
                   "name unix:PATH, PORT or ADDRESS:PORT (IPv4), which nobody else uses",
                   "cannot listen for a debugger at %s: %s", address, strerror(-code));
}

static int listen_unix(struct mv_gdb *gdb, const char *path, struct mv_error *err)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof(to.sun_path))
        return cannot_listen(-ENAMETOOLONG, NULL, path, err);
    memcpy(to.sun_path, path, strlen(path) + 1);
    gdb->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (gdb->listener < 0 || bind(gdb->listener, (struct sockaddr *)&to, sizeof(to)) < 0)
        return cannot_listen(-errno, "bind", path, err);
    memcpy(gdb->path, path, strlen(path) + 1);
    return 0;
}

/* A port, with or without an IPv4 address: names would need a resolver, which a static program has
 * not. */
static bool parse_address(const char *address, struct sockaddr_in *ret_to)
{
    const char *colon = strrchr(address, ':'), *port = colon ? colon + 1 : address;
    char host[64] = "127.0.0.1", *end;
    unsigned long number = strtoul(port, &end, 10);

    if (colon && colon != address) {
        if (colon - address >= (ptrdiff_t)sizeof(host))
            return false;
        memcpy(host, address, (size_t)(colon - address));
        host[colon - address] = '\0';
    }
    if (strcmp(host, "localhost") == 0)
        memcpy(host, "127.0.0.1", sizeof("127.0.0.1"));
    *ret_to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)number)};
    return *port >= '0' && *port <= '9' && *end == '\0' && number <= 65535 &&
           inet_pton(AF_INET, host, &ret_to->sin_addr) == 1;
}

static int listen_tcp(struct mv_gdb *gdb, const char *address, struct mv_error *err)
{
    struct sockaddr_in to;
    int one = 1;

    if (!parse_address(address, &to))
        return cannot_listen(-EINVAL, NULL, address, err);
    gdb->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (gdb->listener >= 0)
        setsockopt(gdb->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (gdb->listener < 0 || bind(gdb->listener, (struct sockaddr *)&to, sizeof(to)) < 0)
        return cannot_listen(-errno, "bind", address, err);
    return 0;
}

int mv_gdb_open(struct mv_gdb *gdb, const char *address, struct mv_error *err)
{
    int error;

    *gdb = (struct mv_gdb){.listener = -1, .client = -1};
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

static void send_all(struct mv_gdb *gdb, const char *bytes, size_t size)
{
    while (size > 0 && gdb->client >= 0) {
        ssize_t sent = send(gdb->client, bytes, size, MSG_NOSIGNAL);

        if (sent < 0 && errno != EINTR)
            mv_close_fd(&gdb->client);
        if (sent > 0) {
            bytes += sent;
            size -= (size_t)sent;
        }
    }
}

static void send_packet(struct mv_gdb *gdb, const char *words, size_t length)
{
    uint8_t sum = 0;
    char end[4];

    for (size_t i = 0; i < length; i++)
        sum = (uint8_t)(sum + (uint8_t)words[i]);
    snprintf(end, sizeof(end), "#%02x", sum);
    send_all(gdb, "$", 1);
    send_all(gdb, words, length);
    send_all(gdb, end, 3);
}

static void answer(struct mv_gdb *gdb, const char *words)
{
    send_packet(gdb, words, strlen(words));
}

static void answer_text(struct mv_gdb *gdb, const struct text *text)
{
    if (text->full)
        answer(gdb, "E22");
    else
        send_packet(gdb, text->at, text->length);
}

static void answer_result(struct mv_gdb *gdb, int error)
{
    answer(gdb, error ? "E01" : "OK");
}

/* ---- the machine ---- */

static struct mv_vcpu *vcpu_of(const struct mv_gdb *gdb)
{
    return mv_machine_vcpu(gdb->machine, gdb->current);
}

/* In the vCPU's thread.  The first one of a stop holds all of them. */
static bool on_stop(void *context, struct mv_vcpu *vcpu, struct mv_exit *exit)
{
    struct mv_gdb *gdb = context;

    if (!atomic_exchange(&gdb->caught, true)) {
        gdb->stopped_cpu = mv_vcpu_index(vcpu);
        gdb->stop = exit->debug;
        mv_machine_hold(gdb->machine);
        eventfd_write(gdb->event, 1);
    }
    return true;
}

struct mv_hook mv_gdb_hook(struct mv_gdb *gdb)
{
    return (struct mv_hook){.kind = MV_EXIT_DEBUG, .fn = on_stop, .context = gdb};
}

/* Waits until none runs any more; the hold is there already. */
static void settle(struct mv_gdb *gdb)
{
    eventfd_t count;

    mv_machine_pause(gdb->machine);
    mv_machine_resume(gdb->machine);
    eventfd_read(gdb->event, &count);
    gdb->stopped = true;
}

/* A stop of our own making, unless a vCPU comes before. */
static void interrupt(struct mv_gdb *gdb)
{
    if (atomic_exchange(&gdb->caught, true))
        return;
    gdb->stopped_cpu = 0;
    gdb->stop = (struct mv_debug_stop){.reason = MV_DEBUG_STEP};
    mv_machine_hold(gdb->machine);
}

static void set_debug(struct mv_gdb *gdb, int stepping)
{
    for (unsigned i = 0; i < gdb->cpus; i++) {
        struct mv_debug debug = gdb->debug;

        debug.step = (int)i == stepping;
        mv_vcpu_debug(mv_machine_vcpu(gdb->machine, i), &debug);
    }
}

/* stepping: the vCPU that makes one step, or -1. */
static void go_on(struct mv_gdb *gdb, int stepping)
{
    set_debug(gdb, stepping);
    gdb->stopped = false;
    atomic_store(&gdb->caught, false);
    mv_machine_resume(gdb->machine);
}

/* ---- stops ---- */

static void say_stop(struct mv_gdb *gdb, int signal)
{
    char space[128];
    struct text text = {.at = space, .size = sizeof(space)};

    gdb->current = gdb->stopped_cpu;
    say_number(&text, "T%02llxthread:", (unsigned)signal);
    say_number(&text, "%llx;", gdb->stopped_cpu + 1ull);
    if (gdb->stop.reason == MV_DEBUG_SOFTWARE)
        say(&text, "swbreak:;");
    if (gdb->stop.reason == MV_DEBUG_BREAKPOINT)
        say(&text, "hwbreak:;");
    if (gdb->stop.reason == MV_DEBUG_WATCHPOINT)
        say_number(&text, "watch:%llx;", gdb->stop.address);
    answer_text(gdb, &text);
}

/* ---- registers ---- */

/* Our register of this name: its number, or -1. */
static int find_ours(const char *name, unsigned *ret_bits)
{
    size_t count;
    const struct mv_register *all = mv_registers(&count);

    for (size_t i = 0; name && i < count; i++)
        if (strcmp(all[i].name, name) == 0) {
            *ret_bits = all[i].bits;
            return (int)i;
        }
    return -1;
}

static void say_register(struct mv_gdb *gdb, const struct mv_gdb_register *of, struct text *text)
{
    uint8_t bytes[16] = {0};
    unsigned bits;
    int number = find_ours(of->ours, &bits);

    if (number >= 0 && mv_vcpu_get_bytes(vcpu_of(gdb), (size_t)number, bytes) < 0) {
        for (unsigned i = 0; i < of->bits / 8; i++)
            say(text, "xx"); /* not available */
        return;
    }
    say_bytes(text, bytes, of->bits / 8);
}

static bool set_register(struct mv_gdb *gdb, const struct mv_gdb_register *of, const uint8_t *bytes)
{
    uint8_t old[16] = {0}, new[16] = {0};
    unsigned bits;
    int number = find_ours(of->ours, &bits);

    if (number < 0)
        return true;
    memcpy(new, bytes, mv_min(of->bits, bits) / 8);
    if (mv_vcpu_get_bytes(vcpu_of(gdb), (size_t)number, old) == 0 && memcmp(old, new, 16) == 0)
        return true;
    return mv_vcpu_set_bytes(vcpu_of(gdb), (size_t)number, new) == 0;
}

/* The n-th that is one, and no feature. */
static const struct mv_gdb_register *nth_register(uint64_t n)
{
    for (size_t i = 0; i < mv_gdb_register_count; i++)
        if (mv_gdb_registers[i].name && n-- == 0)
            return &mv_gdb_registers[i];
    return NULL;
}

static void read_all(struct mv_gdb *gdb)
{
    char space[PACKET];
    struct text text = {.at = space, .size = sizeof(space)};
    const struct mv_gdb_register *of;

    for (uint64_t n = 0; (of = nth_register(n)); n++)
        say_register(gdb, of, &text);
    answer_text(gdb, &text);
}

static void write_all(struct mv_gdb *gdb, const char *at)
{
    const struct mv_gdb_register *of;
    uint8_t bytes[16];
    bool good = true;

    for (uint64_t n = 0; (of = nth_register(n)) && *at; n++) {
        char part[33];
        size_t digits = of->bits / 4;

        if (strnlen(at, digits) < digits)
            break;
        memcpy(part, at, digits);
        part[digits] = '\0';
        at += digits;
        if (part[0] != 'x' && take_bytes(part, bytes, digits / 2))
            good &= set_register(gdb, of, bytes);
    }
    answer_result(gdb, good ? 0 : -EINVAL);
}

static void read_one(struct mv_gdb *gdb, const char *at)
{
    char space[64];
    struct text text = {.at = space, .size = sizeof(space)};
    const struct mv_gdb_register *of;
    uint64_t n;

    if (!take_number(&at, &n) || !(of = nth_register(n))) {
        answer(gdb, "E22");
        return;
    }
    say_register(gdb, of, &text);
    answer_text(gdb, &text);
}

static void write_one(struct mv_gdb *gdb, const char *at)
{
    const struct mv_gdb_register *of;
    uint8_t bytes[16];
    uint64_t n;

    if (!take_number(&at, &n) || !take_char(&at, '=') || !(of = nth_register(n)) ||
        !take_bytes(at, bytes, of->bits / 8))
        answer(gdb, "E22");
    else
        answer_result(gdb, set_register(gdb, of, bytes) ? 0 : -EINVAL);
}

/* ---- memory ---- */

static void read_memory(struct mv_gdb *gdb, const char *at)
{
    uint8_t bytes[PACKET / 2];
    char space[PACKET];
    struct text text = {.at = space, .size = sizeof(space)};
    uint64_t address, size;

    if (!take_number(&at, &address) || !take_char(&at, ',') || !take_number(&at, &size)) {
        answer(gdb, "E22");
        return;
    }
    size = mv_min(size, sizeof(bytes));
    /* What is readable of it may be less. */
    while (size > 0 && mv_vcpu_read(vcpu_of(gdb), address, bytes, size) < 0)
        size = address % MV_PAGE_SIZE + size > MV_PAGE_SIZE ? MV_PAGE_SIZE - address % MV_PAGE_SIZE
                                                            : 0;
    if (size == 0) {
        answer(gdb, "E14");
        return;
    }
    say_bytes(&text, bytes, size);
    answer_text(gdb, &text);
}

static void write_memory(struct mv_gdb *gdb, const char *at)
{
    uint8_t bytes[PACKET / 2];
    uint64_t address, size;

    if (!take_number(&at, &address) || !take_char(&at, ',') || !take_number(&at, &size) ||
        !take_char(&at, ':') || size > sizeof(bytes) || !take_bytes(at, bytes, size))
        answer(gdb, "E22");
    else
        answer_result(gdb, mv_vcpu_write(vcpu_of(gdb), address, bytes, size));
}

/* ---- break- and watchpoints of the processor's ---- */

static void change_point(struct mv_gdb *gdb, const char *at)
{
    bool insert = at[0] == 'Z';
    struct mv_debug_point point = {0};
    struct mv_debug *debug = &gdb->debug;
    uint64_t address, size;
    char kind = at[1];

    at += 2;
    if (kind < '1' || kind > '4') { /* 0: GDB writes the instruction by itself */
        answer(gdb, "");
        return;
    }
    if (!take_char(&at, ',') || !take_number(&at, &address) || !take_char(&at, ',') ||
        !take_number(&at, &size) || size > 8) {
        answer(gdb, "E22");
        return;
    }
    point.access = kind == '1' ? MV_BREAK_EXECUTE : kind == '2' ? MV_WATCH_WRITE : MV_WATCH_ACCESS;
    point.address = address;
    point.size = kind == '1' ? mv_gdb_breakpoint_size : (uint32_t)size;
    for (unsigned i = 0; i < debug->count; i++)
        if (debug->points[i].access == point.access && debug->points[i].address == point.address &&
            debug->points[i].size == point.size) {
            if (!insert)
                debug->points[i] = debug->points[--debug->count];
            answer(gdb, "OK");
            return;
        }
    if (insert && debug->count == MV_DEBUG_POINTS) {
        answer(gdb, "E28");
        return;
    }
    if (insert) {
        debug->points[debug->count++] = point;
        if (mv_vcpu_debug(vcpu_of(gdb), debug) < 0) {
            debug->count--;
            answer(gdb, "E22");
            return;
        }
    }
    answer(gdb, "OK");
}

/* ---- queries ---- */

static void describe(struct text *text)
{
    bool open = false;

    say(text, "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target>"
              "<architecture>");
    say(text, mv_gdb_architecture);
    say(text, "</architecture>");
    for (size_t i = 0; i < mv_gdb_register_count; i++) {
        const struct mv_gdb_register *of = &mv_gdb_registers[i];

        if (!of->name) {
            say(text, open ? "</feature><feature name=\"" : "<feature name=\"");
            say(text, of->ours);
            say(text, "\">");
            open = true;
            continue;
        }
        say(text, "<reg name=\"");
        say(text, of->name);
        say_number(text, "\" bitsize=\"%llu\"", of->bits);
        if (of->type) {
            say(text, " type=\"");
            say(text, of->type);
            say(text, "\"");
        }
        say(text, "/>");
    }
    say(text, "</feature></target>");
}

/* qXfer:features:read:target.xml:OFFSET,LENGTH */
static void send_description(struct mv_gdb *gdb, const char *at)
{
    char space[DESCRIPTION], part[PACKET];
    struct text text = {.at = space, .size = sizeof(space)};
    struct text reply = {.at = part, .size = sizeof(part)};
    uint64_t offset, size;

    if (!take_number(&at, &offset) || !take_char(&at, ',') || !take_number(&at, &size)) {
        answer(gdb, "E22");
        return;
    }
    describe(&text);
    offset = mv_min(offset, text.length);
    size = mv_min(mv_min(size, PACKET - 1), text.length - offset);
    say(&reply, offset + size < text.length ? "m" : "l");
    put(&reply, space + offset, size);
    answer_text(gdb, &reply);
}

static void list_threads(struct mv_gdb *gdb)
{
    char space[PACKET];
    struct text text = {.at = space, .size = sizeof(space)};

    for (unsigned i = 0; i < gdb->cpus; i++)
        say_number(&text, i == 0 ? "m%llx" : ",%llx", i + 1ull);
    answer_text(gdb, &text);
}

static void describe_thread(struct mv_gdb *gdb, const char *at)
{
    char words[32], space[80];
    struct text text = {.at = space, .size = sizeof(space)};
    uint64_t thread = 0;

    take_number(&at, &thread);
    snprintf(words, sizeof(words), "vCPU %llu", (unsigned long long)thread - 1);
    say_bytes(&text, (const uint8_t *)words, strlen(words));
    answer_text(gdb, &text);
}

static bool begins(const char *packet, const char *with)
{
    return strncmp(packet, with, strlen(with)) == 0;
}

static void query(struct mv_gdb *gdb, const char *packet)
{
    static const char features[] = "qXfer:features:read:target.xml:";

    if (begins(packet, "qSupported"))
        answer(gdb, "PacketSize=1000;qXfer:features:read+;swbreak+;hwbreak+;vContSupported+;"
                    "QStartNoAckMode+");
    else if (begins(packet, features))
        send_description(gdb, packet + strlen(features));
    else if (begins(packet, "qfThreadInfo"))
        list_threads(gdb);
    else if (begins(packet, "qsThreadInfo"))
        answer(gdb, "l");
    else if (begins(packet, "qThreadExtraInfo,"))
        describe_thread(gdb, packet + strlen("qThreadExtraInfo,"));
    else if (begins(packet, "qAttached"))
        answer(gdb, "1");
    else if (strcmp(packet, "qC") == 0) {
        char words[24];

        snprintf(words, sizeof(words), "QC%x", gdb->current + 1);
        answer(gdb, words);
    } else
        answer(gdb, "");
}

/* ---- commands ---- */

/* H, T and vCont name threads: a number from 1; 0 and -1 mean any. */
static bool take_thread(const struct mv_gdb *gdb, const char **at, int *ret_cpu)
{
    uint64_t thread;

    *ret_cpu = -1;
    if (take_char(at, '-'))
        return take_char(at, '1');
    if (!take_number(at, &thread) || thread > gdb->cpus)
        return false;
    *ret_cpu = (int)thread - 1;
    return true;
}

/* vCont;ACTION[:THREAD]...: the first step that is asked for is made; all others go on. */
static void continue_as_told(struct mv_gdb *gdb, const char *at)
{
    int stepping = -1;

    while (take_char(&at, ';')) {
        char action = *at ? *at++ : '\0';
        int cpu = -1;

        while (digit(*at) >= 0) /* a signal, which a machine does not take */
            at++;
        if (take_char(&at, ':') && !take_thread(gdb, &at, &cpu))
            break;
        if ((action == 's' || action == 'S') && stepping < 0)
            stepping = cpu >= 0 ? cpu : (int)gdb->current;
    }
    go_on(gdb, stepping);
}

static void choose_thread(struct mv_gdb *gdb, const char *at)
{
    bool for_registers = *at == 'g';
    int cpu;

    at++;
    if (!take_thread(gdb, &at, &cpu)) {
        answer(gdb, "E22");
        return;
    }
    if (for_registers && cpu >= 0)
        gdb->current = (unsigned)cpu;
    answer(gdb, "OK");
}

/* Breakpoints that GDB has left in memory are its own to take out. */
static void detach(struct mv_gdb *gdb)
{
    gdb->debug = (struct mv_debug){0};
    mv_close_fd(&gdb->client);
    if (gdb->stopped)
        go_on(gdb, -1);
}

static void kill_machine(struct mv_gdb *gdb)
{
    mv_close_fd(&gdb->client);
    mv_machine_stop(gdb->machine, 0);
}

static void obey(struct mv_gdb *gdb, const char *packet)
{
    const char *rest = packet + 1;
    int cpu;

    switch (packet[0]) {
    case '?': say_stop(gdb, SIGNAL_TRAP); break;
    case 'g': read_all(gdb); break;
    case 'G': write_all(gdb, rest); break;
    case 'p': read_one(gdb, rest); break;
    case 'P': write_one(gdb, rest); break;
    case 'm': read_memory(gdb, rest); break;
    case 'M': write_memory(gdb, rest); break;
    case 'z':
    case 'Z': change_point(gdb, packet); break;
    case 'H': choose_thread(gdb, rest); break;
    case 'T': answer_result(gdb, take_thread(gdb, &rest, &cpu) ? 0 : -EINVAL); break;
    case 'q': query(gdb, packet); break;
    case 'c': go_on(gdb, -1); break;
    case 's': go_on(gdb, (int)gdb->current); break;
    case 'k': kill_machine(gdb); break;
    case 'D':
        answer(gdb, "OK");
        detach(gdb);
        break;
    case 'Q':
        if (strcmp(packet, "QStartNoAckMode") == 0) {
            answer(gdb, "OK");
            gdb->no_acks = true;
        } else
            answer(gdb, "");
        break;
    case 'v':
        if (strcmp(packet, "vCont?") == 0)
            answer(gdb, "vCont;c;C;s;S");
        else if (begins(packet, "vCont;"))
            continue_as_told(gdb, packet + strlen("vCont"));
        else if (begins(packet, "vKill")) {
            answer(gdb, "OK");
            kill_machine(gdb);
        } else
            answer(gdb, "");
        break;
    default: answer(gdb, ""); break;
    }
}

/* ---- bytes to packets ---- */

struct input {
    char packet[PACKET + 1];
    size_t length;
    enum { OUTSIDE, INSIDE, SUM1, SUM2 } state;
    bool too_long;
    uint8_t sum;
    int first; /* digit of the sum that was sent */
};

static void take_packet(struct mv_gdb *gdb, struct input *input, int last)
{
    bool good = input->first >= 0 && last >= 0 && input->first * 16 + last == input->sum;

    input->packet[input->length] = '\0';
    if (!gdb->no_acks)
        send_all(gdb, good ? "+" : "-", 1);
    if (!good)
        return;
    if (input->too_long)
        answer(gdb, "E22");
    else if (gdb->stopped)
        obey(gdb, input->packet);
}

static void take_byte(struct mv_gdb *gdb, struct input *input, char byte)
{
    switch (input->state) {
    case OUTSIDE:
        if (byte == '$')
            *input = (struct input){.state = INSIDE};
        else if (byte == INTERRUPT && !gdb->stopped)
            interrupt(gdb);
        break;
    case INSIDE:
        if (byte == '#') {
            input->state = SUM1;
            break;
        }
        input->sum = (uint8_t)(input->sum + (uint8_t)byte);
        if (input->length < PACKET)
            input->packet[input->length++] = byte;
        else
            input->too_long = true;
        break;
    case SUM1:
        input->first = digit(byte);
        input->state = SUM2;
        break;
    case SUM2:
        input->state = OUTSIDE;
        take_packet(gdb, input, digit(byte));
        break;
    }
}

static void take_input(struct mv_gdb *gdb, struct input *input)
{
    char bytes[1024];
    ssize_t got = recv(gdb->client, bytes, sizeof(bytes), 0);

    if (got < 0 && errno == EINTR)
        return;
    if (got <= 0) {
        detach(gdb);
        return;
    }
    for (ssize_t i = 0; i < got && gdb->client >= 0; i++)
        take_byte(gdb, input, bytes[i]);
}

/* ---- serving ---- */

/* A debugger comes: the machine is held for it, as GDB expects. */
static void welcome(struct mv_gdb *gdb, struct input *input)
{
    gdb->client = accept4(gdb->listener, NULL, NULL, SOCK_CLOEXEC);
    if (gdb->client < 0)
        return;
    gdb->no_acks = false;
    *input = (struct input){.state = OUTSIDE};
    gdb->debug = (struct mv_debug){.software = true};
    if (gdb->stopped) /* at its first instruction */
        return;
    interrupt(gdb);
    settle(gdb);
}

static void say_end(struct mv_gdb *gdb)
{
    gdb->ended = true;
    if (gdb->client >= 0)
        answer(gdb, "W00");
}

int mv_gdb_serve(struct mv_gdb *gdb, struct mv_machine *machine, unsigned cpus,
                 struct mv_error *err)
{
    struct input input = {.state = OUTSIDE};
    int error;

    gdb->machine = machine;
    gdb->cpus = cpus;
    gdb->stopped = true;
    atomic_store(&gdb->caught, true);
    mv_machine_hold(machine);
    error = mv_machine_start(machine, err);
    while (!error && !gdb->ended) {
        struct pollfd wait[] = {
            {.fd = mv_machine_end_fd(machine), .events = POLLIN},
            {.fd = gdb->stopped ? -1 : gdb->event, .events = POLLIN},
            {.fd = gdb->client < 0 ? gdb->listener : gdb->client, .events = POLLIN}};

        if (poll(wait, MV_COUNT(wait), -1) < 0)
            continue;
        if (wait[0].revents)
            say_end(gdb);
        else if (wait[1].revents) {
            settle(gdb);
            say_stop(gdb, SIGNAL_TRAP);
        } else if (wait[2].revents && gdb->client < 0)
            welcome(gdb, &input);
        else if (wait[2].revents) {
            bool was_stopped = gdb->stopped;

            take_input(gdb, &input);
            if (!was_stopped && !gdb->stopped && atomic_load(&gdb->caught)) {
                settle(gdb); /* Ctrl-C, or a vCPU that has just come */
                say_stop(gdb, SIGNAL_INT);
            }
        }
    }
    return error;
}
