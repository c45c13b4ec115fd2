/* SPDX-License-Identifier: MIT */
/* Fuzz target: a file that `minivmm trace` reads, and what it makes of it as text. */
#include <stdlib.h>
#include <string.h>

#include "trace/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What reaches a terminal, or Chrome's form: ours, and printable. */
static void check(const struct mv_trace *trace, bool (*show)(const struct mv_trace *, FILE *))
{
    char *text = NULL;
    size_t length;
    FILE *to = open_memstream(&text, &length);

    if (!to || !show(trace, to))
        abort();
    fclose(to);
    for (size_t i = 0; i < length; i++)
        if (text[i] != '\n' && (text[i] < ' ' || text[i] > '~'))
            abort();
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    void *copy = malloc(size + 1);
    struct mv_trace trace;
    struct mv_error err;

    if (!copy)
        return 0;
    memcpy(copy, data, size);
    if (mv_trace_parse(copy, size, &trace, &err) < 0) {
        free(copy);
        return 0;
    }
    check(&trace, mv_trace_summarize);
    check(&trace, mv_trace_to_chrome);
    mv_trace_done(&trace);
    return 0;
}
