/* SPDX-License-Identifier: MIT */
/*
 * minivmm: the command-line program.  Options, the terminal, messages and exit statuses;
 * the machine itself is in the library.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/util.h"
#include "gdb/gdb.h"
#include "minivmm/device.h"
#include "minivmm/vcpu.h"
#include "options.h"
#include "term.h"
#include "trace/format.h"

/* Exit statuses; see minivmm(1). */
enum {
    EXIT_POWER_OFF = 0,
    EXIT_ERROR = 1,
    EXIT_USAGE = 2,
    EXIT_SIGNAL = 128, /* plus its number */
    EXIT_REBOOT = 240,
    EXIT_PANIC = 241,
    EXIT_TRIPLE_FAULT = 242,
    EXIT_INTERNAL_ERROR = 243,
};

#define STOPPED_MS 100 /* longest wait for standard error to take messages after a stop */

/* The one machine of this process, for the signal handlers. */
static struct mv_machine *machine;
static bool in_escape;

static void say(const char *message, const char *hint)
{
    fprintf(stderr, "minivmm: %s\n", message);
    if (hint[0])
        fprintf(stderr, "  hint: %s\n", hint);
}

/*
 * Messages of the machine's threads, which may hold a lock, so writing them must not block.  What
 * standard error does not take at once is written before the next message, or at the end.
 */
static struct {
    pthread_mutex_t lock;
    int fd;
    char text[4096];
    size_t used;
} messages = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = STDERR_FILENO};

/* timeout: milliseconds to wait before each write; -1: no limit. */
static void write_messages(int timeout)
{
    struct pollfd ready = {.fd = messages.fd, .events = POLLOUT};

    while (messages.used && poll(&ready, 1, timeout) == 1) {
        ssize_t done = write(messages.fd, messages.text, messages.used);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            break;
        messages.used -= (size_t)done;
        memmove(messages.text, messages.text + done, messages.used);
    }
}

MV_PRINTF(1, 2) static void tell(const char *format, ...)
{
    size_t room;
    va_list args;
    int length;

    pthread_mutex_lock(&messages.lock);
    room = sizeof(messages.text) - messages.used;
    va_start(args, format);
    length = vsnprintf(messages.text + messages.used, room, format, args);
    va_end(args);
    if (length > 0 && (size_t)length < room) /* else standard error is stuck: drop the message */
        messages.used += (size_t)length;
    write_messages(0);
    pthread_mutex_unlock(&messages.lock);
}

static void on_log(void *context, enum mv_log_level level, const char *message)
{
    (void)context, (void)level;
    tell("minivmm: %s%s\n", message, mv_term_is_raw() ? "\r" : "");
}

static void on_signal(int signal)
{
    int saved = errno;

    mv_machine_stop(machine, EXIT_SIGNAL + signal);
    errno = saved;
}

static void on_rescan(int signal)
{
    int saved = errno;

    (void)signal;
    mv_machine_rescan(machine);
    errno = saved;
}

static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct sigaction rescan = {.sa_handler = on_rescan, .sa_flags = SA_RESTART};

    for (unsigned i = 0; i < MV_COUNT(signals); i++) {
        struct sigaction before;

        if (signals[i] == SIGHUP && sigaction(SIGHUP, NULL, &before) == 0 &&
            before.sa_handler == SIG_IGN)
            continue; /* nohup(1) */
        sigaction(signals[i], &action, NULL);
    }
    sigaction(SIGUSR1, &rescan, NULL);
}

/* The machine has ended: from now on writing may block, and signals end the process. */
static void leave(bool stopped)
{
    mv_term_restore();
    for (unsigned i = 0; i < MV_COUNT(signals); i++) {
        struct sigaction now;

        if (sigaction(signals[i], NULL, &now) == 0 && now.sa_handler == on_signal)
            signal(signals[i], SIG_DFL);
    }
    write_messages(stopped ? STOPPED_MS : -1);
}

static bool filter_keys(void *context, uint8_t *data, size_t *count)
{
    bool is_break = false;

    (void)context;
    switch (mv_keys_filter(&in_escape, data, count, &is_break)) {
    case MV_KEY_QUIT: mv_machine_stop(machine, EXIT_POWER_OFF); break;
    case MV_KEY_HELP:
        tell("\r\nminivmm: Ctrl-A x quits, Ctrl-A b sends a break, "
             "Ctrl-A Ctrl-A sends Ctrl-A, Ctrl-A h shows this\r\n");
        break;
    case MV_KEY_NONE: break;
    }
    return is_break;
}

static bool write_timeline(const char *path, uint64_t began)
{
    struct mv_mark marks[128];
    size_t count = mv_min(mv_machine_timeline(machine, marks, MV_COUNT(marks)), MV_COUNT(marks));
    FILE *file = fopen(path, "we");
    bool good;

    if (!file)
        return false;
    fprintf(file, "# nanoseconds of CLOCK_MONOTONIC, duration, value, name\n");
    fprintf(file, "%llu 0 0 main\n", (unsigned long long)began);
    for (size_t i = 0; i < count; i++)
        fprintf(file, "%llu %llu %lld %s\n", (unsigned long long)marks[i].ns,
                (unsigned long long)marks[i].took, (long long)marks[i].value, marks[i].name);
    good = !ferror(file);
    return fclose(file) == 0 && good;
}

/* The exit status if something could not be written; the guest's own has precedence. */
static int failed_status(int status)
{
    return status ? status : EXIT_ERROR;
}

/* Writes the trace, however the machine ended.  Returns the exit status. */
static int write_trace(const struct mv_options *options, uint64_t began, int status,
                       enum mv_end_reason reason)
{
    const struct mv_trace_run run = {
        .kernel = options->kernel,
        .began = began,
        .vcpus = options->cpus ? options->cpus : 1,
        .status = status,
        .reason = reason,
    };
    int error = options->trace ? mv_trace_write(options->trace, machine, &run) : 0;

    if (!error)
        return status;
    fprintf(stderr, "minivmm: cannot write the trace %s: %s\n", options->trace, strerror(-error));
    return failed_status(status);
}

static bool can_explain(void)
{
    size_t registers;

    mv_registers(&registers);
    if (registers == 0)
        say("this minivmm was built without debug: it explains nothing",
            "build it with the part debug (-DMINIVMM_PARTS)");
    return registers > 0;
}

/* Before the guest runs: checks whether its processor would refuse vCPU 0's state. */
static void explain_state(void)
{
    struct mv_vcpu *vcpu = mv_machine_vcpu(machine, 0);
    MV_CLEANUP_FREE char *broken = vcpu ? mv_vcpu_explain(vcpu) : NULL;

    if (!broken)
        return; /* no memory, or built without embed */
    if (*broken)
        fprintf(stderr, "minivmm: the state of vCPU 0 breaks rules of its processor:\n%s", broken);
    else
        fprintf(stderr, "minivmm: the state of vCPU 0 keeps the rules of its processor\n");
}

/* Explains the state of a guest that was stopped by a signal or key. */
static void explain_stop(void)
{
    MV_CLEANUP_FREE char *words = NULL;

    if (mv_machine_explain(machine, &words) == 0)
        fputs(words, stderr);
}

static void say_report(const char *what)
{
    MV_CLEANUP_FREE char *report = mv_machine_report(machine);

    say(what, "");
    if (report)
        fputs(report, stderr);
}

/* Not services: exceptions and hardware interrupts below 0x10, hardware interrupts 0x70 to 0x77. */
static void say_bios_call(int code)
{
    unsigned vector = (unsigned)code >> 16, ax = (unsigned)code & 0xffff;
    bool is_service = vector >= 0x10 && (vector < 0x70 || vector > 0x77);
    char words[128];

    if (is_service)
        snprintf(words, sizeof(words),
                 "the guest calls a PC's BIOS, and there is none: INT 0x%02x with AX 0x%04x",
                 vector, ax);
    else
        snprintf(words, sizeof(words),
                 "the guest gets interrupt 0x%02x in real mode, and has no handler of its own",
                 vector);
    say(words, is_service ? "name a kernel that starts without a BIOS" : "");
}

/* Says how the machine ended, unless that was expected, and returns the exit status. */
static int conclude(const struct mv_end *end)
{
    switch (end->reason) {
    case MV_END_HALT: /* only for bare machines, which this program does not create */
    case MV_END_POWER_OFF: return EXIT_POWER_OFF;
    case MV_END_REBOOT: say("the guest asked for a reboot", ""); return EXIT_REBOOT;
    case MV_END_EXIT_CODE: return end->code;
    case MV_END_PANIC: say("the guest's kernel panicked", ""); return EXIT_PANIC;
    case MV_END_TRIPLE_FAULT:
        say_report("the guest has crashed: triple fault");
        return EXIT_TRIPLE_FAULT;
    case MV_END_INTERNAL_ERROR: say_report("KVM cannot run the guest any further"); break;
    case MV_END_BIOS_CALL: say_bios_call(end->code); break;
    case MV_END_STOPPED: return end->code;
    case MV_END_NONE: break;
    }
    return EXIT_INTERNAL_ERROR;
}

/*
 * Shows, once at the end, what a hobby kernel wrote to a PC's text screen, which is plain memory
 * here.  Other guests leave it empty; arm64 has no memory there.
 */
static void show_screen(void)
{
    enum { ADDRESS = 0xb8000, COLUMNS = 80, ROWS = 25 };
    uint16_t cells[ROWS][COLUMNS];
    bool shown = false;

    if (mv_machine_read(machine, ADDRESS, cells, sizeof(cells)) < 0)
        return;
    for (unsigned row = 0; row < ROWS; row++) {
        char line[COLUMNS + 1];
        unsigned length = 0;

        for (unsigned column = 0; column < COLUMNS; column++) {
            char byte = (char)(cells[row][column] & 0xff);

            line[column] = byte >= ' ' && byte <= '~' ? byte : byte ? '?' : ' ';
            if (line[column] != ' ')
                length = column + 1;
        }
        if (length == 0)
            continue;
        if (!shown)
            fprintf(stderr, "minivmm: on the screen, when the guest ended:\n");
        shown = true;
        fprintf(stderr, "%2u| %.*s\n", row + 1, (int)length, line);
    }
}

/* For -v: lists the machine's configuration, memory and devices. */
static void describe(const struct mv_config *config)
{
    struct mv_device_desc desc = {.size = sizeof(desc)};
    uint64_t address, size;

    tell("minivmm: kernel %s, initrd %s, command line: %s; before it for Linux: %s\n",
         config->kernel, config->initrd ? config->initrd : "none",
         config->append ? config->append : "none",
         config->linux_append ? config->linux_append : "nothing");
    for (unsigned i = 0; i < mv_machine_memory_map(machine, i, &address, &size); i++)
        tell("minivmm: memory at %#llx: %llu MiB\n", (unsigned long long)address,
             (unsigned long long)(size / MV_MIB));
    for (unsigned i = 0; i < mv_machine_devices(machine, i, &desc); i++)
        tell("minivmm: device %-10s %s %#llx, %llu bytes, interrupt %d\n", desc.name,
             desc.space == MV_SPACE_PORT ? "port" : "MMIO", (unsigned long long)desc.base,
             (unsigned long long)desc.bytes, desc.irq);
    tell("minivmm: %u vCPUs\n", config->cpus ? config->cpus : 1);
}

static int dump_tables(const char *path)
{
    struct mv_error err;
    int error = mv_machine_dump_tables(machine, path, &err);

    if (error)
        say(err.tried, err.hint);
    mv_machine_destroy(machine);
    return error ? EXIT_ERROR : EXIT_SUCCESS;
}

/* Whether it is a 32-bit ELF file.  Read errors are reported elsewhere. */
static bool is_elf32(const char *path)
{
    static const char head[] = {0x7f, 'E', 'L', 'F', 1 /* ELFCLASS32 */};
    char found[sizeof(head)] = {0};
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    bool done = fd >= 0 && read(fd, found, sizeof(found)) == (ssize_t)sizeof(found);

    mv_close_fd(&fd);
    return done && memcmp(found, head, sizeof(head)) == 0;
}

/* Serves a debugger until the machine has ended. */
static int serve_gdb(const struct mv_options *options, struct mv_gdb *gdb, struct mv_error *err)
{
    int error = mv_gdb_open(gdb, options->gdb, err);

    if (error)
        return error;
    gdb->bits = options->gdb_bits;
    gdb->kernel_is_32 = is_elf32(options->kernel);
    fprintf(stderr, "minivmm: waiting for GDB: target remote %s\r\n", gdb->name);
    if (!gdb->path[0])
        fprintf(stderr,
                "minivmm: every local user%s can reach this port, and rules the guest then; "
                "unix:PATH is a socket of your own\r\n",
                strncmp(gdb->name, "127.", 4) == 0 ? "" : ", and everybody on that network,");
    if (!mv_machine_breakpoints_work(machine))
        fprintf(stderr,
                "minivmm: this processor is emulated and has no breakpoints and watchpoints: "
                "single steps stand in for them, slowly\r\n");
    return mv_gdb_serve(gdb, machine, options->cpus ? options->cpus : 1, err);
}

static int run_machine(const struct mv_options *options, struct mv_gdb *gdb, struct mv_end *ret_end,
                       struct mv_error *err)
{
    int error;

    if (!options->gdb)
        return mv_machine_run(machine, ret_end, err);
    error = serve_gdb(options, gdb, err);
    mv_gdb_close(gdb);
    return error ? error : mv_machine_wait(machine, ret_end, err);
}

static void say_no_second_run(const char *why)
{
    char words[sizeof(((struct mv_error *)0)->tried) + 80];

    snprintf(words, sizeof(words), "this host's KVM has lost the registers, and %s", why);
    say(words, "minivmm explain --step needs one run only");
}

/*
 * If the host's KVM has lost the registers, runs the guest once more with single steps, without
 * input.  Its output and messages are dropped, as the first run has shown them.
 */
static int explain_by_steps(struct mv_config *config, struct mv_end *end, struct mv_error *err)
{
    MV_CLEANUP_FREE char *words = NULL;
    struct mv_machine *again;
    sigset_t all, before;

    if (end->reason != MV_END_TRIPLE_FAULT || config->single_step ||
        mv_machine_explain(machine, &words) != -ENODATA)
        return 0;
    for (size_t i = 0; i < config->disk_count; i++)
        if (!config->disks[i].read_only) {
            say_no_second_run("a second run would change the disks");
            return 0;
        }
    config->hook_count = 0; /* the debugger has disconnected */
    config->console = NULL;
    config->log = NULL;
    config->single_step = true;
    if (mv_machine_create(config, &again, err) < 0) { /* a kernel read from a pipe is gone */
        say_no_second_run(err->tried);
        return 0;
    }
    fprintf(stderr, "minivmm: this host's KVM has lost the registers: once more, step by step\n");
    sigfillset(&all); /* signal handlers use `machine` */
    sigprocmask(SIG_BLOCK, &all, &before);
    mv_machine_destroy(machine);
    machine = again;
    sigprocmask(SIG_SETMASK, &before, NULL);
    return mv_machine_run(machine, end, err);
}

static int run(const struct mv_options *options, uint64_t began)
{
    struct mv_console console = {
        .size = sizeof(console),
        .in = STDIN_FILENO,
        .out = STDOUT_FILENO,
        .interactive = isatty(STDIN_FILENO),
    };
    struct mv_config config = {
        .size = sizeof(config),
        .kernel = options->kernel,
        .initrd = options->initrd,
        .append = options->append,
        .linux_append = options->linux_append,
        .initrds = options->initrds,
        .initrd_count = options->initrd_count,
        .memory = options->memory,
        .cpus = options->cpus,
        .console = &console,
        .log = on_log,
        .log_level = options->verbose ? MV_LOG_DEBUG : MV_LOG_WARNING,
        .timeline = options->timeline || options->trace,
        .single_step = options->step,
        .disks = options->disks,
        .disk_count = options->disk_count,
        .rng = options->rng,
        .tables_only = options->dump != NULL,
        .trace_records = options->trace_records,
    };
    struct mv_gdb gdb;
    struct mv_hook hook = mv_gdb_hook(&gdb);
    struct mv_error err;
    struct mv_end end = {0};
    bool lost;
    int status;

    if (options->explain && !can_explain())
        return EXIT_ERROR;
    if (console.interactive)
        console.filter = filter_keys;
    if (options->gdb) {
        config.hooks = &hook;
        config.hook_count = 1;
    }
    if (mv_machine_create(&config, &machine, &err) < 0) {
        say(err.tried, err.hint);
        return EXIT_ERROR;
    }
    if (options->dump)
        return dump_tables(options->dump);
    if (options->explain)
        explain_state();
    if (options->verbose)
        describe(&config);
    messages.fd = mv_term_messages();
    catch_signals();
    if (!mv_term_raw() && mv_term_in_background())
        say("in the background: the keyboard is the guest's once this job has the terminal "
            "(by fg; under timeout, by timeout --foreground)",
            "");
    if (run_machine(options, &gdb, &end, &err) < 0) {
        leave(false);
        say(err.tried, err.hint);
        return write_trace(options, began, EXIT_ERROR, MV_END_INTERNAL_ERROR);
    }
    mv_term_restore();
    lost = mv_machine_console_error(machine) < 0;
    if (options->explain && explain_by_steps(&config, &end, &err) < 0) {
        say(err.tried, err.hint);
        return EXIT_ERROR;
    }
    leave(end.reason == MV_END_STOPPED);
    if (options->explain && end.reason == MV_END_STOPPED)
        explain_stop();
    status = conclude(&end);
    status = write_trace(options, began, lost ? failed_status(status) : status, end.reason);
    show_screen();
    if (options->timeline && !write_timeline(options->timeline, began)) {
        fprintf(stderr, "minivmm: cannot write the timeline %s: %s\n", options->timeline,
                strerror(errno));
        return failed_status(status);
    }
    /* No mv_machine_destroy: the end of the process frees everything, and faster.  Removing the
     * memory slots one by one would make KVM wait for each. */
    return status;
}

/* If a standard stream is closed, one of our own files would get its number and be taken for
 * the console. */
static void open_standard_streams(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

/* Reports an error if standard output could not be written.  Returns the exit status. */
static int finish_output(int status)
{
    bool good = !ferror(stdout);
    int error = errno;

    if (fclose(stdout) != 0) {
        good = false;
        error = errno;
    }
    if (good)
        return status;
    fprintf(stderr, "minivmm: cannot write standard output: %s\n", strerror(error));
    return failed_status(status);
}

int main(int argc, char **argv)
{
    uint64_t began = mv_monotonic_ns();
    struct mv_options options;
    char message[2][256];
    int status;

    open_standard_streams();
    signal(SIGXFSZ, SIG_IGN); /* a write beyond the file size limit then returns EFBIG */
    if (argc > 1 && strcmp(argv[1], "trace") == 0)
        return finish_output(mv_trace_command(argc - 1, argv + 1));
    if (!mv_options_parse(argc, argv, &options, message)) {
        say(message[0], message[1]);
        mv_options_done(&options);
        return EXIT_USAGE;
    }
    switch (options.action) {
    case MV_ACTION_HELP: status = fputs(mv_help_text, stdout) < 0; break;
    case MV_ACTION_VERSION:
        status = printf("minivmm %s\nbuilt with: " MV_FEATURES "\n", mv_version()) < 0;
        break;
    default: status = run(&options, began); break;
    }
    mv_options_done(&options);
    return finish_output(status);
}
