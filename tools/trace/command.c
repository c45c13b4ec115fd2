/* SPDX-License-Identifier: MIT */
/* The command `minivmm trace`: shows a trace written by --trace. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"
#include "trace/format.h"

const char mv_trace_help[] =
    "usage: minivmm trace [options] TRACE\n"
    "Shows a file that minivmm --trace has written: a summary, or\n"
    "\n"
    "      --html FILE      one page for a browser, which works offline\n"
    "      --chrome FILE    JSON for Perfetto, speedscope and chrome://tracing\n"
    "  -h, --help           this text\n"
    "\n"
    "FILE may be - for standard output.\n"
    "Example: minivmm --trace boot.trace vmlinux && minivmm trace boot.trace\n"
    "Example: minivmm trace --html boot.html boot.trace\n";

struct wishes {
    const char *trace, *html, *chrome;
    bool help;
};

typedef bool mv_trace_show(const struct mv_trace *trace, FILE *to);

static void say(const char *message, const char *hint)
{
    fprintf(stderr, "minivmm: %s\n", message);
    if (hint[0])
        fprintf(stderr, "  hint: %s\n", hint);
}

static bool wrong(const char *message)
{
    say(message, "minivmm trace --help lists the options");
    return false;
}

static bool parse(int argc, char **argv, struct wishes *wishes)
{
    static const struct option options[] = {
        {"html", required_argument, NULL, 'H'},
        {"chrome", required_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;

    opterr = 0;
    optind = 0; /* glibc: restart */
    while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        switch (option) {
        case 'H': wishes->html = optarg; break;
        case 'c': wishes->chrome = optarg; break;
        case 'h': wishes->help = true; return true;
        case ':': return wrong("trace: an option needs a value");
        default: return wrong("trace: unknown option");
        }
    }
    if (optind + 1 != argc)
        return wrong(optind == argc ? "trace: no file is named" : "trace: more than one file");
    wishes->trace = argv[optind];
    if (wishes->html && wishes->chrome && strcmp(wishes->html, "-") == 0 &&
        strcmp(wishes->chrome, "-") == 0)
        return wrong("trace: two things for standard output");
    return true;
}

static bool show(mv_trace_show *fn, const struct mv_trace *trace, const char *path)
{
    bool is_file = strcmp(path, "-") != 0, good = false;
    FILE *to;

    errno = 0;
    to = is_file ? fopen(path, "we") : stdout;
    if (to) {
        good = fn(trace, to);
        if (is_file && fclose(to) != 0)
            good = false;
    }
    if (!good && (is_file || !ferror(stdout))) /* the caller reports errors of standard output */
        fprintf(stderr, "minivmm: cannot write %s: %s\n", is_file ? path : "standard output",
                strerror(errno ? errno : ENOMEM));
    return good;
}

static bool show_all(const struct wishes *wishes, const struct mv_trace *trace)
{
    bool good = true;

    if (wishes->html)
        good = show(mv_trace_to_html, trace, wishes->html);
    if (wishes->chrome)
        good = show(mv_trace_to_chrome, trace, wishes->chrome) && good;
    if (!wishes->html && !wishes->chrome)
        good = show(mv_trace_summarize, trace, "-");
    return good;
}

int mv_trace_command(int argc, char **argv)
{
    struct wishes wishes = {0};
    struct mv_trace trace;
    struct mv_error err;
    bool good;

    if (!parse(argc, argv, &wishes))
        return 2; /* usage */
    if (wishes.help)
        return fputs(mv_trace_help, stdout) < 0;
    if (mv_trace_read(wishes.trace, &trace, &err) < 0) {
        say(err.tried, err.hint);
        return EXIT_FAILURE;
    }
    good = show_all(&wishes, &trace);
    mv_trace_done(&trace);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
