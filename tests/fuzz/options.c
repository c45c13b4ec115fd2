/* SPDX-License-Identifier: MIT */
/* Fuzz target: the command line.  The input is words, each ended by a zero byte. */
#include "cli/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "minivmm/minivmm.h"
#include "minivmm/trace.h"

#define MOST 32

/* As on x86-64. */
const char *mv_tables(void)
{
    return "acpi";
}

static void require(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "not true: %s\n", what);
    abort();
}

static void check_disk(const struct mv_disk *disk)
{
    require(disk->size == sizeof(*disk) && disk->path[0], "a disk has a file");
    require(!disk->serial || (disk->serial[0] && strlen(disk->serial) <= MV_SERIAL_MAX),
            "a serial number fits");
    require(disk->queues <= MV_QUEUES_MAX, "not too many queues");
    require(disk->cache <= MV_CACHE_UNSAFE && disk->io <= MV_DISK_IO_THREADS, "known choices");
}

static void check(bool parsed, const struct mv_options *options, char message[2][256])
{
    if (!parsed) {
        require(message[0][0] && memchr(message[0], 0, 256), "it is explained");
        require(memchr(message[1], 0, 256), "the hint ends");
        return;
    }
    if (options->action != MV_ACTION_RUN)
        return;
    require(options->kernel || options->dump, "there is a kernel");
    require((options->append && strstr(options->append, "console=")) ||
                (options->linux_append && strstr(options->linux_append, "console=")),
            "there is a console");
    require(!options->memory || options->memory >= MV_MINIMUM_MEMORY, "enough memory");
    require(options->memory % 4096 == 0, "whole pages");
    require(!options->trace || (options->trace[0] && options->trace_records &&
                                options->trace_records <= MV_TRACE_MAX),
            "a trace has a file and a size");
    require(options->disk_count <= MV_DISKS_MAX, "not too many disks");
    for (unsigned i = 0; i < options->disk_count; i++)
        check_disk(&options->disks[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *words = malloc(size + 1), *argv[MOST + 2] = {"minivmm"}, message[2][256] = {"", ""};
    struct mv_options options;
    int argc = 1;

    if (!words)
        return 0;
    memcpy(words, data, size);
    words[size] = 0;
    for (size_t at = 0; at < size && argc <= MOST; at += strlen(words + at) + 1)
        argv[argc++] = words + at;
    check(mv_options_parse(argc, argv, &options, message), &options, message);
    mv_options_done(&options);
    free(words);
    return 0;
}
