/* SPDX-License-Identifier: MIT */
/*
 * Writes a trace as an HTML page: page.html with page.css, page.js and the trace file inserted;
 * page.js parses the trace.  Base64 ensures that the trace cannot end its HTML element.
 */
#include <string.h>

#include "core/util.h"
#include "trace/format.h"

#define REASONS 64 /* more than the exit reasons of linux/kvm.h */

/* page.S */
extern const char mv_page_html[], mv_page_css[], mv_page_js[];

static void put_base64(FILE *to, const uint8_t *data, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < size; i += 3) {
        size_t have = mv_min(size - i, 3);
        uint32_t bits = (uint32_t)data[i] << 16;
        char out[4];

        if (have > 1)
            bits |= (uint32_t)data[i + 1] << 8;
        if (have > 2)
            bits |= data[i + 2];
        for (unsigned n = 0; n < 4; n++)
            out[n] = n <= have ? digits[bits >> (18 - 6 * n) & 63] : '=';
        fwrite(out, sizeof(out), 1, to);
    }
}

/* The names of the exit reasons, for page.js, as a JavaScript array. */
static void put_reasons(FILE *to)
{
    for (uint32_t i = 0; i < REASONS; i++)
        fprintf(to, "%s\"%s\"", i ? ", " : "[", mv_exit_name(i));
    fputc(']', to);
}

static void put_part(FILE *to, const char *name, const struct mv_trace *trace)
{
    if (strcmp(name, "css") == 0)
        fputs(mv_page_css, to);
    else if (strcmp(name, "js") == 0)
        fputs(mv_page_js, to);
    else if (strcmp(name, "reasons") == 0)
        put_reasons(to);
    else
        put_base64(to, trace->data, trace->size);
}

bool mv_trace_to_html(const struct mv_trace *trace, FILE *to)
{
    static const char *const parts[] = {"css", "reasons", "trace", "js"}; /* in page.html's order */
    const char *rest = mv_page_html;

    for (unsigned i = 0; i < MV_COUNT(parts); i++) {
        char mark[16];
        const char *at;

        snprintf(mark, sizeof(mark), "@%s@", parts[i]);
        at = strstr(rest, mark);
        if (!at)
            return false; /* cannot happen: page.html is built in */
        fwrite(rest, 1, (size_t)(at - rest), to);
        put_part(to, parts[i], trace);
        rest = at + strlen(mark);
    }
    fputs(rest, to);
    return !ferror(to);
}
