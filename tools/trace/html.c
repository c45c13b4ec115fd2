/* SPDX-License-Identifier: MIT */
/*
 * A trace as one page: page.html with page.css, page.js and the trace itself put in, which
 * page.js reads by the same format.  In base64 nothing in it can end the element that it is in.
 */
#include <string.h>

#include "core/util.h"
#include "trace/format.h"

#define REASONS 64 /* of linux/kvm.h; there are fewer */

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

/* What page.js cannot know: the names of the reasons, as a list of JavaScript's. */
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
    static const char *const parts[] = {"css", "reasons", "trace", "js"}; /* in their order */
    const char *rest = mv_page_html;

    for (unsigned i = 0; i < MV_COUNT(parts); i++) {
        char mark[16];
        const char *at;

        snprintf(mark, sizeof(mark), "@%s@", parts[i]);
        at = strstr(rest, mark);
        if (!at)
            return false; /* page.html is ours, and a test makes a page of it */
        fwrite(rest, 1, (size_t)(at - rest), to);
        put_part(to, parts[i], trace);
        rest = at + strlen(mark);
    }
    fputs(rest, to);
    return !ferror(to);
}
