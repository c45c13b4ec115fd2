/* SPDX-License-Identifier: MIT */
/*
 * GDB's remote protocol: see gdb_protocol.h.  All-stop mode: when one vCPU stops, all are held.
 * GDB's threads are vCPUs, numbered from 1.  A software breakpoint (Z0) is an instruction that we
 * write to memory, unless the target emulates breakpoints.  Section numbers are the GDB manual's.
 * Left out: non-stop mode, range stepping, processes, files.
 */
#include "gdb_protocol.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/util.h"

#define DESCRIPTION 16384
#define SIGNAL_TRAP 5
#define INTERRUPT   0x03 /* Ctrl-C, outside of packets: E.9 */
#define ESCAPE      '}'  /* the next byte is XORed with ESCAPED_BIT: E.1 */
#define ESCAPED_BIT 0x20

/* ---- text ---- */

/* An answer under construction.  Text that does not fit is dropped, and the answer is an error. */
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

static void say_result(struct text *text, int error)
{
    say(text, error ? "E01" : "OK");
}

/* ---- reading packets ---- */

static int digit(char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    if ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f')
        return (byte | 0x20) - 'a' + 10;
    return -1;
}

/* Parses a hexadecimal number; returns false if there is none or it has more than 64 bits. */
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

/* FIRST,SECOND */
static bool take_pair(const char **at, uint64_t *ret_first, uint64_t *ret_second)
{
    return take_number(at, ret_first) && take_char(at, ',') && take_number(at, ret_second);
}

static bool take_words(const char **at, const char *words)
{
    size_t length = strlen(words);

    if (strncmp(*at, words, length) != 0)
        return false;
    *at += length;
    return true;
}

/* Parses `size` bytes of two hexadecimal digits each. */
static bool take_bytes(const char **at, uint8_t *ret_bytes, size_t size)
{
    for (size_t i = 0; i < size; i++, *at += 2) {
        int high = digit((*at)[0]), low = high < 0 ? -1 : digit((*at)[1]);

        if (low < 0)
            return false;
        ret_bytes[i] = (uint8_t)((unsigned)high << 4 | (unsigned)low);
    }
    return true;
}

/* Parses binary data, with escapes, up to the end of the packet.  Returns false unless it is
 * exactly `size` bytes. */
static bool take_binary(const char *at, const char *end, uint8_t *ret_bytes, size_t size)
{
    size_t done = 0;

    for (; at < end && done < size; at++, done++) {
        bool escaped = *at == ESCAPE;

        if (escaped && ++at == end)
            return false;
        ret_bytes[done] = (uint8_t)(escaped ? *at ^ ESCAPED_BIT : *at);
    }
    return at == end && done == size;
}

/* ---- answers ---- */

static void send_bytes(struct mv_gdb_protocol *protocol, const char *bytes, size_t size)
{
    protocol->target->send(protocol->context, bytes, size);
}

static void answer(struct mv_gdb_protocol *protocol, const struct text *text)
{
    char packet[1 + MV_GDB_PACKET + 4] = "$E22";
    size_t length = text->full ? 3 : text->length;
    uint8_t sum = 0;

    if (!text->full)
        memcpy(packet + 1, text->at, length);
    for (size_t i = 1; i <= length; i++)
        sum = (uint8_t)(sum + (uint8_t)packet[i]);
    snprintf(packet + 1 + length, 4, "#%02x", sum);
    send_bytes(protocol, packet, 1 + length + 3);
}

static void answer_words(struct mv_gdb_protocol *protocol, char *words)
{
    size_t length = strlen(words);

    answer(protocol, &(struct text){.at = words, .size = length, .length = length});
}

/* E.3 */
static void say_stop(struct mv_gdb_protocol *protocol, int signal, struct text *text)
{
    const struct mv_debug_stop *stop = &protocol->stop;

    protocol->current = protocol->stopped_cpu;
    say_number(text, "T%02llx", (unsigned)signal);
    say_number(text, "thread:%llx;", protocol->stopped_cpu + 1ull);
    if (stop->reason == MV_DEBUG_SOFTWARE)
        say(text, "swbreak:;");
    if (stop->reason == MV_DEBUG_BREAKPOINT)
        say(text, "hwbreak:;");
    if (stop->reason == MV_DEBUG_WATCHPOINT)
        say_number(text, "watch:%llx;", stop->address);
}

/* ---- registers ---- */

static void say_register(struct mv_gdb_protocol *protocol, const struct mv_gdb_register *of,
                         struct text *text)
{
    uint8_t bytes[16] = {0};
    bool known = !of->ours || protocol->target->get_register(protocol->context, protocol->current,
                                                             of, bytes) == 0;

    for (unsigned i = 0; i < of->bits / 8; i++)
        if (known)
            say_bytes(text, &bytes[i], 1);
        else
            say(text, "xx"); /* not available */
}

/* The registers that a packet changes. */
struct change {
    struct mv_gdb_value values[MV_REGISTERS_MAX];
    size_t count;
};

/* Ignores values that are already set, because not every register can be written. */
static bool take_value(struct mv_gdb_protocol *protocol, const char **at,
                       const struct mv_gdb_register *of, struct change *change)
{
    struct mv_gdb_value *value = &change->values[change->count];
    uint8_t old[16] = {0};

    *value = (struct mv_gdb_value){.of = of};
    if (!take_bytes(at, value->bytes, of->bits / 8))
        return false;
    if (of->ours &&
        (protocol->target->get_register(protocol->context, protocol->current, of, old) ||
         memcmp(old, value->bytes, of->bits / 8) != 0))
        change->count++;
    return true;
}

static void make(struct mv_gdb_protocol *protocol, const struct change *change, struct text *text)
{
    int error = 0;

    if (change->count > 0)
        error = protocol->target->set_registers(protocol->context, protocol->current,
                                                change->values, change->count);
    say_result(text, error);
}

/* Register number n; the entries that begin a feature are not counted. */
static const struct mv_gdb_register *nth_register(const struct mv_gdb_arch *arch, uint64_t n)
{
    for (size_t i = 0; i < arch->count; i++)
        if (arch->registers[i].name && n-- == 0)
            return &arch->registers[i];
    return NULL;
}

static void read_all(struct mv_gdb_protocol *protocol, struct text *text)
{
    const struct mv_gdb_register *of;

    for (uint64_t n = 0; (of = nth_register(protocol->arch, n)); n++)
        say_register(protocol, of, text);
}

/* GDB sends "xx" for registers whose value it does not know. */
static void write_all(struct mv_gdb_protocol *protocol, const char *at, struct text *text)
{
    const struct mv_gdb_register *of;
    struct change change = {.count = 0};
    bool good = true;

    for (uint64_t n = 0; good && (of = nth_register(protocol->arch, n)) && *at; n++) {
        size_t digits = of->bits / 4;

        if (*at == 'x' && strspn(at, "x") >= digits)
            at += digits;
        else
            good = take_value(protocol, &at, of, &change);
    }
    if (!good || *at)
        say(text, "E22");
    else
        make(protocol, &change, text);
}

static void read_one(struct mv_gdb_protocol *protocol, const char *at, struct text *text)
{
    const struct mv_gdb_register *of;
    uint64_t n;

    if (take_number(&at, &n) && !*at && (of = nth_register(protocol->arch, n)))
        say_register(protocol, of, text);
    else
        say(text, "E22");
}

static void write_one(struct mv_gdb_protocol *protocol, const char *at, struct text *text)
{
    const struct mv_gdb_register *of;
    struct change change = {.count = 0};
    uint64_t n;

    if (!take_number(&at, &n) || !take_char(&at, '=') || !(of = nth_register(protocol->arch, n)) ||
        !take_value(protocol, &at, of, &change) || *at)
        say(text, "E22");
    else
        make(protocol, &change, text);
}

/* ---- memory ---- */

/* Returns the readable part; fewer bytes than requested are a valid answer. */
static void read_memory(struct mv_gdb_protocol *protocol, const char *at, struct text *text)
{
    uint8_t bytes[MV_GDB_PACKET / 2];
    uint64_t address, size;

    if (!take_pair(&at, &address, &size) || *at) {
        say(text, "E22");
        return;
    }
    size = mv_min(size, sizeof(bytes));
    if (size > 0)
        size = mv_min(size - 1, UINT64_MAX - address) + 1;
    while (size > 0 &&
           protocol->target->read(protocol->context, protocol->current, address, bytes, size) < 0)
        size = address % MV_PAGE_SIZE + size > MV_PAGE_SIZE ? MV_PAGE_SIZE - address % MV_PAGE_SIZE
                                                            : 0;
    if (size == 0)
        say(text, "E14");
    say_bytes(text, bytes, size);
}

/* at: after the M or X; end: end of the packet. */
static void write_memory(struct mv_gdb_protocol *protocol, const char *at, const char *end,
                         bool binary, struct text *text)
{
    uint8_t bytes[MV_GDB_PACKET];
    uint64_t address, size;
    int error = 0;

    if (!take_pair(&at, &address, &size) || !take_char(&at, ':') || size > sizeof(bytes) / 2 ||
        (size > 0 && size - 1 > UINT64_MAX - address) ||
        !(binary ? take_binary(at, end, bytes, size) : take_bytes(&at, bytes, size) && at == end)) {
        say(text, "E22");
        return;
    }
    if (size > 0) /* with size 0, GDB asks whether we support X */
        error = protocol->target->write(protocol->context, protocol->current, address, bytes, size);
    say_result(text, error);
}

/* ---- breakpoints in memory ---- */

static int find_in_memory(const struct mv_gdb_protocol *protocol, uint64_t address)
{
    for (unsigned i = 0; i < protocol->point_count; i++)
        if (protocol->points[i].address == address)
            return (int)i;
    return -1;
}

bool mv_gdb_is_point(const struct mv_gdb_protocol *protocol, uint64_t address)
{
    return find_in_memory(protocol, address) >= 0;
}

static int read_code(const struct mv_gdb_protocol *protocol, uint64_t address, uint8_t code[4])
{
    uint32_t size = protocol->arch->breakpoint_size;

    if (address > UINT64_MAX - size)
        return -EFAULT;
    return protocol->target->read(protocol->context, protocol->current, address, code, size);
}

static int write_code(const struct mv_gdb_protocol *protocol, uint64_t address,
                      const uint8_t code[4])
{
    return protocol->target->write(protocol->context, protocol->current, address, code,
                                   protocol->arch->breakpoint_size);
}

static int insert_in_memory(struct mv_gdb_protocol *protocol, uint64_t address)
{
    struct mv_gdb_point point = {.address = address};
    int error;

    if (find_in_memory(protocol, address) >= 0)
        return 0;
    if (protocol->point_count == MV_GDB_POINTS)
        return -ENOSPC;
    error = read_code(protocol, address, point.original);
    if (!error)
        error = write_code(protocol, address, protocol->arch->breakpoint);
    if (!error)
        protocol->points[protocol->point_count++] = point;
    return error;
}

/* If the guest has overwritten the breakpoint in the meantime, leaves its code alone. */
static int remove_from_memory(struct mv_gdb_protocol *protocol, unsigned number)
{
    struct mv_gdb_point point = protocol->points[number];
    uint8_t now[4];
    int error = read_code(protocol, point.address, now);

    protocol->points[number] = protocol->points[--protocol->point_count];
    if (error || memcmp(now, protocol->arch->breakpoint, protocol->arch->breakpoint_size) != 0)
        return error;
    return write_code(protocol, point.address, point.original);
}

static int change_in_memory(struct mv_gdb_protocol *protocol, bool insert, uint64_t address)
{
    int number = find_in_memory(protocol, address);

    if (insert)
        return insert_in_memory(protocol, address);
    return number >= 0 ? remove_from_memory(protocol, (unsigned)number) : 0;
}

/* ---- breakpoints and watchpoints ---- */

/* at: KIND,ADDRESS,SIZE, after the Z or z.  Returns false for an unknown kind. */
static bool parse_point(const struct mv_gdb_protocol *protocol, const char *at,
                        struct mv_debug_point *ret_point, bool *ret_good)
{
    static const enum mv_debug_access access[] = {MV_BREAK_EXECUTE, MV_BREAK_EXECUTE,
                                                  MV_WATCH_WRITE, MV_WATCH_ACCESS, MV_WATCH_ACCESS};
    uint64_t size = 0;
    char kind = *at;

    if (kind < '0' || kind > '4')
        return false;
    at++;
    *ret_point = (struct mv_debug_point){.access = access[kind - '0']};
    *ret_good = take_char(&at, ',') && take_pair(&at, &ret_point->address, &size) && size <= 8;
    ret_point->size =
        ret_point->access == MV_BREAK_EXECUTE ? protocol->arch->breakpoint_size : (uint32_t)size;
    return true;
}

static int find_point(const struct mv_debug *debug, const struct mv_debug_point *point)
{
    for (unsigned i = 0; i < debug->count; i++)
        if (debug->points[i].access == point->access &&
            debug->points[i].address == point->address && debug->points[i].size == point->size)
            return (int)i;
    return -1;
}

/* Sets the point on one vCPU at once, so that GDB learns if it is not possible. */
static void insert_point(struct mv_gdb_protocol *protocol, const struct mv_debug_point *point,
                         struct text *text)
{
    struct mv_debug *debug = &protocol->debug;

    if (debug->count == MV_DEBUG_POINTS) {
        say(text, "E28");
        return;
    }
    debug->points[debug->count++] = *point;
    if (protocol->target->debug(protocol->context, protocol->current, debug) == 0) {
        say(text, "OK");
        return;
    }
    debug->count--;
    say(text, "E22");
}

static void change_point(struct mv_gdb_protocol *protocol, const char *packet, struct text *text)
{
    struct mv_debug *debug = &protocol->debug;
    struct mv_debug_point point;
    bool insert = packet[0] == 'Z', good;
    int number;

    if (!parse_point(protocol, packet + 1, &point, &good))
        return; /* the empty answer: GDB uses another way */
    number = find_point(debug, &point);
    if (!good) {
        say(text, "E22");
    } else if (packet[1] == '0' && !protocol->stands_in) {
        say_result(text, change_in_memory(protocol, insert, point.address));
    } else if (insert && number < 0) {
        insert_point(protocol, &point, text);
    } else {
        if (!insert && number >= 0)
            debug->points[number] = debug->points[--debug->count];
        say(text, "OK");
    }
}

/* ---- queries: E.4 ---- */

/* The target description: G.2. */
static void describe(const struct mv_gdb_arch *arch, struct text *text)
{
    bool open = false;

    say(text, "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target>"
              "<architecture>");
    say(text, arch->name);
    say(text, "</architecture>");
    for (size_t i = 0; i < arch->count; i++) {
        const struct mv_gdb_register *of = &arch->registers[i];

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

/* qXfer:features:read:target.xml:OFFSET,LENGTH.  The answer is binary, so an escaped byte takes
 * two: send at most half a packet of the description. */
static void send_description(const struct mv_gdb_protocol *protocol, const char *at,
                             struct text *text)
{
    char space[DESCRIPTION];
    struct text all = {.at = space, .size = sizeof(space)};
    uint64_t offset, size;

    if (!take_pair(&at, &offset, &size) || *at) {
        say(text, "E22");
        return;
    }
    describe(protocol->arch, &all);
    offset = mv_min(offset, all.length);
    size = mv_min(mv_min(size, MV_GDB_PACKET / 2 - 1), all.length - offset);
    say(text, offset + size < all.length ? "m" : "l");
    for (const char *byte = space + offset; byte < space + offset + size; byte++)
        if (strchr("#$}*", *byte))
            put(text, (char[]){ESCAPE, (char)(*byte ^ ESCAPED_BIT)}, 2);
        else
            put(text, byte, 1);
}

static void list_threads(const struct mv_gdb_protocol *protocol, struct text *text)
{
    for (unsigned i = 0; i < protocol->cpus; i++)
        say_number(text, i == 0 ? "m%llx" : ",%llx", i + 1ull);
}

static void describe_thread(const struct mv_gdb_protocol *protocol, const char *at,
                            struct text *text)
{
    char words[32];
    uint64_t thread;

    if (!take_number(&at, &thread) || thread == 0 || thread > protocol->cpus) {
        say(text, "E22");
        return;
    }
    snprintf(words, sizeof(words), "vCPU %llu", (unsigned long long)thread - 1);
    say_bytes(text, (const uint8_t *)words, strlen(words));
}

static void query(const struct mv_gdb_protocol *protocol, const char *at, struct text *text)
{
    if (take_words(&at, "qSupported")) {
        say_number(text, "PacketSize=%llx;", MV_GDB_PACKET);
        say(text, "qXfer:features:read+;swbreak+;hwbreak+;vContSupported+;QStartNoAckMode+");
    } else if (take_words(&at, "qXfer:features:read:target.xml:"))
        send_description(protocol, at, text);
    else if (take_words(&at, "qfThreadInfo"))
        list_threads(protocol, text);
    else if (take_words(&at, "qsThreadInfo"))
        say(text, "l");
    else if (take_words(&at, "qThreadExtraInfo,"))
        describe_thread(protocol, at, text);
    else if (take_words(&at, "qAttached"))
        say(text, "1");
    else if (strcmp(at, "qC") == 0)
        say_number(text, "QC%llx", protocol->current + 1ull);
}

/* ---- commands ---- */

/* Continues all vCPUs.  stepping: the vCPU that makes one step, or -1. */
static void go_on(struct mv_gdb_protocol *protocol, int stepping)
{
    for (unsigned i = 0; i < protocol->cpus; i++) {
        struct mv_debug debug = protocol->debug;

        debug.step = (int)i == stepping;
        protocol->target->debug(protocol->context, i, &debug);
    }
    protocol->stopped = false;
    protocol->target->resume(protocol->context);
}

/* The thread of H, T and vCont: a number from 1; 0 or -1 for any, then *ret_cpu is -1. */
static bool take_thread(const struct mv_gdb_protocol *protocol, const char **at, int *ret_cpu)
{
    uint64_t thread;

    *ret_cpu = -1;
    if (take_char(at, '-'))
        return take_char(at, '1');
    if (!take_number(at, &thread) || thread > protocol->cpus)
        return false;
    *ret_cpu = (int)thread - 1;
    return true;
}

/* ACTION[SIGNAL][:THREAD]; the signal is ignored, as a machine has none. */
static bool take_action(const struct mv_gdb_protocol *protocol, const char **at, int *stepping)
{
    char action = **at;
    int cpu = -1;

    if (!take_char(at, 'c') && !take_char(at, 'C') && !take_char(at, 's') && !take_char(at, 'S'))
        return false;
    if (action == 'C' || action == 'S')
        *at += strspn(*at, "0123456789abcdefABCDEF");
    if (take_char(at, ':') && !take_thread(protocol, at, &cpu))
        return false;
    if ((action == 's' || action == 'S') && *stepping < 0)
        *stepping = cpu >= 0 ? cpu : (int)protocol->current;
    return true;
}

/* vCont;ACTION;...: performs the first step requested; all other vCPUs continue.  Returns whether
 * there is an answer now. */
static bool continue_as_told(struct mv_gdb_protocol *protocol, const char *at, struct text *text)
{
    int stepping = -1;

    do {
        if (!take_char(&at, ';') || !take_action(protocol, &at, &stepping)) {
            say(text, "E22");
            return true;
        }
    } while (*at);
    go_on(protocol, stepping);
    return false;
}

/* c or s, which GDB sends in simple cases; resuming at another address is not supported. */
static bool continue_from(struct mv_gdb_protocol *protocol, const char *packet, struct text *text)
{
    if (packet[1]) {
        say(text, "E22");
        return true;
    }
    go_on(protocol, packet[0] == 's' ? (int)protocol->current : -1);
    return false;
}

/* Hg selects the vCPU for registers and memory.  Hc is superseded by vCont and has no effect. */
static void choose_thread(struct mv_gdb_protocol *protocol, const char *at, struct text *text)
{
    bool for_registers = *at == 'g';
    int cpu;

    if ((!take_char(&at, 'g') && !take_char(&at, 'c')) || !take_thread(protocol, &at, &cpu) ||
        *at) {
        say(text, "E22");
        return;
    }
    if (for_registers && cpu >= 0)
        protocol->current = (unsigned)cpu;
    say(text, "OK");
}

static void look_for_thread(const struct mv_gdb_protocol *protocol, const char *at,
                            struct text *text)
{
    int cpu;

    say_result(text, take_thread(protocol, &at, &cpu) && cpu >= 0 && !*at ? 0 : -EINVAL);
}

static void kill_machine(struct mv_gdb_protocol *protocol)
{
    protocol->attached = false;
    protocol->target->kill(protocol->context);
}

/* Packets that begin with v.  Returns whether there is an answer. */
static bool obey_long(struct mv_gdb_protocol *protocol, const char *packet, struct text *text)
{
    const char *rest = packet;

    if (strcmp(packet, "vCont?") == 0) {
        say(text, "vCont;c;C;s;S");
    } else if (take_words(&rest, "vCont")) {
        return continue_as_told(protocol, rest, text);
    } else if (take_words(&rest, "vKill")) {
        answer_words(protocol, "OK");
        kill_machine(protocol);
        return false;
    }
    return true;
}

/* Performs one packet: E.2.  Returns whether to answer; an unknown packet gets an empty answer. */
static bool obey(struct mv_gdb_protocol *protocol, const char *packet, const char *end,
                 struct text *text)
{
    const char *rest = packet + 1;

    switch (packet[0]) {
    case '?': say_stop(protocol, SIGNAL_TRAP, text); break;
    case 'g': read_all(protocol, text); break;
    case 'G': write_all(protocol, rest, text); break;
    case 'p': read_one(protocol, rest, text); break;
    case 'P': write_one(protocol, rest, text); break;
    case 'm': read_memory(protocol, rest, text); break;
    case 'M': write_memory(protocol, rest, end, false, text); break;
    case 'X': write_memory(protocol, rest, end, true, text); break;
    case 'z':
    case 'Z': change_point(protocol, packet, text); break;
    case 'H': choose_thread(protocol, rest, text); break;
    case 'T': look_for_thread(protocol, rest, text); break;
    case 'q': query(protocol, packet, text); break;
    case 'c':
    case 's': return continue_from(protocol, packet, text);
    case 'v': return obey_long(protocol, packet, text);
    case 'Q':
        protocol->no_acks |= strcmp(packet, "QStartNoAckMode") == 0;
        say(text, strcmp(packet, "QStartNoAckMode") == 0 ? "OK" : "");
        break;
    case 'D':
        answer_words(protocol, "OK");
        mv_gdb_protocol_detach(protocol);
        protocol->target->leave(protocol->context);
        return false;
    case 'k': kill_machine(protocol); return false;
    default: break;
    }
    return true;
}

/* ---- bytes to packets: E.1 ---- */

static void take_packet(struct mv_gdb_protocol *protocol, int last)
{
    struct mv_gdb_input *input = &protocol->input;
    bool good = input->first >= 0 && last >= 0 && input->first * 16 + last == input->sum;
    char space[MV_GDB_PACKET];
    struct text text = {.at = space, .size = sizeof(space), .full = input->too_long};

    input->packet[input->length] = '\0';
    if (!protocol->no_acks)
        send_bytes(protocol, good ? "+" : "-", 1);
    if (!good || !protocol->stopped)
        return;
    if (input->too_long || obey(protocol, input->packet, input->packet + input->length, &text))
        answer(protocol, &text);
}

static void begin_packet(struct mv_gdb_input *input)
{
    if (input->state != MV_GDB_OUTSIDE)
        input->noise += (unsigned)input->length;
    input->state = MV_GDB_INSIDE;
    input->length = 0;
    input->too_long = false;
    input->sum = 0;
}

static void add_byte(struct mv_gdb_input *input, char byte)
{
    input->sum = (uint8_t)(input->sum + (uint8_t)byte);
    if (input->length < MV_GDB_PACKET)
        input->packet[input->length++] = byte;
    else
        input->too_long = true;
}

/* A packet never contains a $, so one inside a packet means that the packet's end was lost. */
static void take_byte(struct mv_gdb_protocol *protocol, char byte)
{
    struct mv_gdb_input *input = &protocol->input;

    if (byte == '$') {
        begin_packet(input);
        return;
    }
    switch (input->state) {
    case MV_GDB_OUTSIDE:
        input->noise += !mv_gdb_begins(byte);
        if (byte == INTERRUPT && !protocol->stopped)
            protocol->target->interrupt(protocol->context);
        break;
    case MV_GDB_INSIDE:
        if (byte == '#')
            input->state = MV_GDB_SUM1;
        else
            add_byte(input, byte);
        break;
    case MV_GDB_SUM1:
        input->first = digit(byte);
        input->state = MV_GDB_SUM2;
        break;
    case MV_GDB_SUM2:
        input->state = MV_GDB_OUTSIDE;
        take_packet(protocol, digit(byte));
        break;
    }
}

/* ---- interface ---- */

void mv_gdb_protocol_init(struct mv_gdb_protocol *protocol, const struct mv_gdb_target *target,
                          void *context, const struct mv_gdb_arch *arch, unsigned cpus)
{
    *protocol = (struct mv_gdb_protocol){
        .target = target, .context = context, .arch = arch, .cpus = cpus, .stopped = true};
}

void mv_gdb_protocol_attach(struct mv_gdb_protocol *protocol)
{
    protocol->attached = protocol->stopped = true;
    protocol->no_acks = false;
    protocol->current = protocol->stopped_cpu = 0;
    protocol->stop = (struct mv_debug_stop){.reason = MV_DEBUG_STEP};
    protocol->debug = (struct mv_debug){.size = sizeof(struct mv_debug), .software = true};
    protocol->input.state = MV_GDB_OUTSIDE;
    protocol->input.noise = 0;
}

bool mv_gdb_begins(char byte)
{
    return byte == '+' || byte == '-' || byte == '$' || byte == INTERRUPT;
}

bool mv_gdb_protocol_take(struct mv_gdb_protocol *protocol, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size && protocol->attached; i++) {
        take_byte(protocol, bytes[i]);
        if (protocol->input.noise > MV_GDB_NOISE)
            return false;
    }
    return true;
}

void mv_gdb_protocol_stopped(struct mv_gdb_protocol *protocol, unsigned cpu, int signal,
                             const struct mv_debug_stop *stop)
{
    char space[128];
    struct text text = {.at = space, .size = sizeof(space)};

    protocol->stopped = true;
    protocol->stopped_cpu = cpu;
    protocol->stop = *stop;
    if (!protocol->attached)
        return;
    say_stop(protocol, signal, &text);
    answer(protocol, &text);
}

void mv_gdb_protocol_detach(struct mv_gdb_protocol *protocol)
{
    protocol->attached = false;
    protocol->stopped = true;
    while (protocol->point_count > 0)
        remove_from_memory(protocol, protocol->point_count - 1);
    protocol->debug = (struct mv_debug){.size = sizeof(struct mv_debug)};
    go_on(protocol, -1);
}

void mv_gdb_protocol_ended(struct mv_gdb_protocol *protocol)
{
    if (protocol->attached)
        answer_words(protocol, "W00");
}
