/* SPDX-License-Identifier: MIT */
/* The command line: words in, options or a message out. */
#include "cli/options.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/util.h"
#include "minivmm/minivmm.h"

#define MOST 16

static struct mv_options options;
static char message[2][256];

static void stop(void)
{
    mv_options_done(&options);
}

TestSuite(options, .fini = stop);

/* Parses words, given with a NULL behind the last. */
static bool parse(char *first, ...)
{
    char *argv[MOST + 1] = {"minivmm", first};
    int argc = first ? 2 : 1;
    va_list words;

    va_start(words, first);
    while (first && argc < MOST && (argv[argc] = va_arg(words, char *)))
        argc++;
    va_end(words);
    mv_options_done(&options);
    memset(message, 0, sizeof(message));
    return mv_options_parse(argc, argv, &options, message);
}

/* The last parse was refused with a message that has these words, and a hint. */
static void expect_refused(bool parsed, const char *words)
{
    cr_expect(!parsed);
    cr_expect(strstr(message[0], words), "\"%s\" has no \"%s\"", message[0], words);
    cr_expect_neq(message[1][0], 0, "\"%s\" has no hint", message[0]);
}

Test(options, a_kernel_is_enough)
{
    cr_assert(parse("-k", "bzImage", NULL));
    cr_expect_str_eq(options.kernel, "bzImage");
    cr_expect_eq(options.action, MV_ACTION_RUN);
    cr_expect_null(options.initrd);
    cr_expect_null(options.timeline);
    cr_expect_null(options.trace);
    cr_expect_eq(options.trace_records, 0);
    cr_expect_eq(options.memory, 0);
    cr_expect_eq(options.cpus, 0);
    cr_expect(!options.verbose && !options.step);
    cr_expect_null(options.append);
    cr_expect_str_eq(options.linux_append, "console=ttyS0 panic=-1");
}

Test(options, short_ones_all)
{
    cr_assert(parse("-k", "k", "-i", "i", "-a", "quiet", "-m", "1G", "-c", "4", "-v", NULL));
    cr_expect_str_eq(options.kernel, "k");
    cr_expect_str_eq(options.initrd, "i");
    cr_expect_str_eq(options.append, "quiet");
    cr_expect_eq(options.memory, 1 * MV_GIB);
    cr_expect_eq(options.cpus, 4);
    cr_expect(options.verbose);
}

Test(options, long_ones_all)
{
    cr_assert(parse("--kernel", "k", "--initrd=i", "--append", "quiet", "--memory=64M", "--cpus",
                    "2", "--verbose", "--step", "--rng", "--timeline", "t", NULL));
    cr_expect(options.rng);
    cr_expect_str_eq(options.kernel, "k");
    cr_expect_str_eq(options.initrd, "i");
    cr_expect_str_eq(options.append, "quiet");
    cr_expect_eq(options.memory, 64 * MV_MIB);
    cr_expect_eq(options.cpus, 2);
    cr_expect(options.verbose && options.step);
    cr_expect_str_eq(options.timeline, "t");
}

Test(options, a_kernel_without_k_works_before_and_after_the_others)
{
    cr_assert(parse("bzImage", "-m", "32M", NULL));
    cr_expect_str_eq(options.kernel, "bzImage");
    cr_expect_eq(options.memory, 32 * MV_MIB);
    cr_assert(parse("-m", "32M", "bzImage", NULL));
    cr_expect_str_eq(options.kernel, "bzImage");
}

Test(options, after_two_dashes_all_is_a_kernel)
{
    cr_assert(parse("-v", "--", "-k", NULL));
    cr_expect_str_eq(options.kernel, "-k");
    expect_refused(parse("--", "a", "b", NULL), "two kernels: a and b");
    expect_refused(parse("--", NULL), "no kernel");
}

Test(options, bundles_work)
{
    cr_assert(parse("-vkbzImage", "-c2", "-m64M", NULL));
    cr_expect_str_eq(options.kernel, "bzImage");
    cr_expect(options.verbose);
    cr_expect_eq(options.cpus, 2);
    cr_expect_eq(options.memory, 64 * MV_MIB);
}

Test(options, without_a_kernel_they_say_what_to_do)
{
    expect_refused(parse(NULL), "no kernel");
    expect_refused(parse("-v", NULL), "no kernel");
}

Test(options, two_kernels_are_refused_in_each_way_of_naming_them)
{
    expect_refused(parse("-k", "a", "-k", "b", NULL), "two kernels: a and b");
    expect_refused(parse("-k", "a", "b", NULL), "two kernels: a and b");
    expect_refused(parse("a", "b", NULL), "two kernels: a and b");
}

Test(options, initrds_may_be_given_again)
{
    char *argv[2 * MV_INITRDS_MAX + 6] = {"minivmm", "k"};
    int argc = 2;

    cr_assert(parse("-i", "a", "k", "--initrd=b", "-ic", NULL));
    cr_expect_str_eq(options.initrd, "a");
    cr_expect_eq(options.initrd_count, 2);
    cr_expect_str_eq(options.initrds[0], "b");
    cr_expect_str_eq(options.initrds[1], "c");
    while (argc < 2 * MV_INITRDS_MAX + 4)
        argv[argc++] = "-ix";
    mv_options_done(&options);
    cr_assert(mv_options_parse(2 + 1 + MV_INITRDS_MAX, argv, &options, message));
    mv_options_done(&options);
    expect_refused(mv_options_parse(2 + 2 + MV_INITRDS_MAX, argv, &options, message),
                   "too many initrds: at most 65");
}

Test(options, help_and_version_need_no_kernel)
{
    cr_expect(parse("-h", NULL));
    cr_expect_eq(options.action, MV_ACTION_HELP);
    cr_expect(parse("--help", NULL));
    cr_expect_eq(options.action, MV_ACTION_HELP);
    cr_expect(parse("-V", NULL));
    cr_expect_eq(options.action, MV_ACTION_VERSION);
    cr_expect(parse("-a", "x", "--version", "--nonsense", NULL), "what follows is not looked at");
    cr_expect_eq(options.action, MV_ACTION_VERSION);
}

Test(options, a_missing_value_is_told)
{
    static char *words[] = {"-k", "-i",       "-a",       "-m",     "-c",
                            "-d", "--kernel", "--memory", "--disk", "--timeline"};

    for (unsigned i = 0; i < MV_COUNT(words); i++) {
        char expected[64];

        snprintf(expected, sizeof(expected), "option %s needs a value", words[i]);
        expect_refused(parse("-v", words[i], NULL), expected);
    }
}

Test(options, an_unknown_option_is_named)
{
    expect_refused(parse("--nonsense", "k", NULL), "unknown option: --nonsense");
    expect_refused(parse("k", "--nonsense", NULL), "unknown option: --nonsense");
    expect_refused(parse("k", "-v", "--nonsense", "-c", "1", NULL), "unknown option: --nonsense");
    expect_refused(parse("-q", "k", NULL), "unknown option: -q");
    expect_refused(parse("-v", "-q", "k", NULL), "unknown option: -q");
    expect_refused(parse("--help=much", "k", NULL), "--help=much");
}

Test(options, an_unknown_option_within_a_bundle_is_named)
{
    expect_refused(parse("-vq", "k", NULL), "q");
    expect_refused(parse("-qv", "k", NULL), "q");
    expect_refused(parse("-v", "-qv", "k", NULL), "q");
    expect_refused(parse("-c", "1", "-qv", "k", NULL), "q");
}

Test(options, bad_numbers_of_cpus_are_refused)
{
    static char *bad[] = {"",    "0",  "-1",  "+1",  " 1",         "1 ",
                          "0x2", "2x", "1.5", "two", "2147483648", "99999999999999999999999",
                          "1,2", "1M", "\n1"};

    for (unsigned i = 0; i < MV_COUNT(bad); i++)
        expect_refused(parse("-k", "k", "-c", bad[i], NULL), "bad number of CPUs");
    cr_expect(parse("-k", "k", "-c", "2147483647", NULL));
}

Test(options, sizes_have_units_and_default_to_mib)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } rows[] = {{"16", 16 * MV_MIB},     {"16M", 16 * MV_MIB},
                {"16m", 16 * MV_MIB},    {"16384K", 16 * MV_MIB},
                {"16384k", 16 * MV_MIB}, {"2G", 2 * MV_GIB},
                {"2g", 2 * MV_GIB},      {"0", 0},
                {"007", 7 * MV_MIB},     {"8589934591G", 8589934591 * MV_GIB},
                {"512MB", 512 * MV_MIB}, {"512MiB", 512 * MV_MIB},
                {"512mb", 512 * MV_MIB}, {"512mib", 512 * MV_MIB},
                {"512Mi", 512 * MV_MIB}, {"64KB", 64 * MV_KIB},
                {"64KiB", 64 * MV_KIB},  {"2gib", 2 * MV_GIB},
                {"1T", 1024 * MV_GIB},   {"3tb", 3072 * MV_GIB},
                {"1TiB", 1024 * MV_GIB}, {"8388607T", 8388607ull * 1024 * MV_GIB}};

    for (unsigned i = 0; i < MV_COUNT(rows); i++) {
        uint64_t bytes = 1;

        cr_expect(mv_parse_size(rows[i].text, &bytes), "%s", rows[i].text);
        cr_expect_eq(bytes, rows[i].bytes, "%s", rows[i].text);
    }
}

Test(options, bad_sizes_are_refused_and_leave_the_result_alone)
{
    static const char *bad[] = {"",     "M",           "-1",
                                "-1M",  "+1M",         " 16M",
                                "16 M", "16M ",        "16MBs",
                                "16P",  "0x10M",       "1.5G",
                                "1e3",  "16KBi",       "GG",
                                "1GG",  "8589934592G", "18446744073709551615",
                                "16B",  "16iB",        "16 MB",
                                "MB",   "16MiiB",      "8388608T",
                                "huge", "16\nM",       "99999999999999999999999999999"};

    for (unsigned i = 0; i < MV_COUNT(bad); i++) {
        uint64_t bytes = 42;

        cr_expect(!mv_parse_size(bad[i], &bytes), "%s", bad[i]);
        cr_expect_eq(bytes, 42);
    }
}

Test(options, bad_memory_is_refused)
{
    expect_refused(parse("k", "-m", "lots", NULL), "bad memory size: lots");
    expect_refused(parse("k", "-m", "-5", NULL), "bad memory size: -5");
    expect_refused(parse("k", "-m", "0", NULL), "too little memory");
    expect_refused(parse("k", "-m", "15M", NULL), "too little memory");
    expect_refused(parse("k", "-m", "16383K", NULL), "too little memory");
    expect_refused(parse("k", "-m", "16385K", NULL), "bad memory size: 16385K");
    cr_expect(parse("k", "-m", "16M", NULL));
}

Test(options, the_last_number_counts)
{
    cr_assert(parse("k", "-m", "32M", "-m", "64M", "-c", "2", "-c", "3", NULL));
    cr_expect_eq(options.memory, 64 * MV_MIB);
    cr_expect_eq(options.cpus, 3);
}

Test(options, console_is_put_first_unless_one_is_named)
{
    static const struct {
        char *given;
        const char *expected;
    } rows[] = {
        {"", "console=ttyS0 panic=-1"},
        {"panic=5", "console=ttyS0"},
        {"console=a panic=1 b", NULL},
        {"quiet", "console=ttyS0 panic=-1"},
        {"console=hvc0", "panic=-1"},
        {"quiet console=tty0", "panic=-1"},
        {"quiet\tconsole=tty0", "panic=-1"},
        {"netconsole=@/,@10.0.0.1/", "console=ttyS0 panic=-1"},
        {"netconsole=x console=y", "panic=-1"},
        {"console", "console=ttyS0 panic=-1"},
        {"earlycon console=", "panic=-1"},
    };

    for (unsigned i = 0; i < MV_COUNT(rows); i++) {
        cr_assert(parse("k", "-a", rows[i].given, NULL));
        cr_expect_str_eq(options.append, rows[i].given);
        if (rows[i].expected)
            cr_expect_str_eq(options.linux_append, rows[i].expected);
        else
            cr_expect_null(options.linux_append);
    }
}

Test(options, a_debugger_may_be_told_how_many_bits_the_code_has)
{
    char both[] = "unix:/a,b,32", last[] = "1234,64", none[] = "unix:/a,16";

    cr_assert(parse("k", "--gdb", both, NULL));
    cr_expect_str_eq(options.gdb, "unix:/a,b");
    cr_expect_eq(options.gdb_bits, 32);
    cr_assert(parse("k", "--gdb", both, "--gdb", last, NULL));
    cr_expect_str_eq(options.gdb, "1234");
    cr_expect_eq(options.gdb_bits, 64);
    cr_assert(parse("k", "--gdb", none, NULL));
    cr_expect_str_eq(options.gdb, "unix:/a,16");
    cr_expect_eq(options.gdb_bits, 0);
}

Test(options, append_may_be_given_again)
{
    cr_assert(parse("k", "-a", "a b", "-a", "c", "--append=d", NULL));
    cr_expect_str_eq(options.append, "a b c d");
    cr_assert(parse("k", "-a", "", "-a", "c", NULL));
    cr_expect_str_eq(options.append, "c");
}

/* ---- disks ---- */

/* Parses one disk; options.disks[0] is what came of it. */
static bool parse_disk(char *value)
{
    return parse("k", "-d", value, NULL);
}

Test(options, without_d_there_is_no_disk)
{
    cr_assert(parse("k", NULL));
    cr_expect_eq(options.disk_count, 0);
}

Test(options, a_disk_needs_a_file_only)
{
    static char *const given[] = {"root.img", "-", "/dev/vda", "a b=c;d", "ro", "--help"};

    for (unsigned i = 0; i < MV_COUNT(given); i++) {
        const struct mv_disk *disk = &options.disks[0];

        cr_assert(parse_disk(given[i]), "%s", message[0]);
        cr_expect_eq(options.disk_count, 1);
        cr_expect_eq(disk->size, sizeof(*disk));
        cr_expect_str_eq(disk->path, given[i]);
        cr_expect_null(disk->serial);
        cr_expect(!disk->read_only && !disk->direct && disk->queues == 0);
        cr_expect(disk->cache == MV_CACHE_WRITEBACK && disk->io == MV_DISK_IO_AUTO);
    }
}

Test(options, a_disk_takes_all_its_words_in_any_order)
{
    static char *const given[] = {
        "f,ro,direct,serial=S-1,queues=7,cache=unsafe,io=threads",
        "f,io=threads,cache=unsafe,queues=7,serial=S-1,direct,ro",
    };

    for (unsigned i = 0; i < MV_COUNT(given); i++) {
        const struct mv_disk *disk = &options.disks[0];

        cr_assert(parse_disk(given[i]), "%s", message[0]);
        cr_expect_str_eq(disk->path, "f");
        cr_expect_str_eq(disk->serial, "S-1");
        cr_expect(disk->read_only && disk->direct && disk->queues == 7);
        cr_expect(disk->cache == MV_CACHE_UNSAFE && disk->io == MV_DISK_IO_THREADS);
    }
}

Test(options, each_value_of_a_disks_words_is_known)
{
    static const struct {
        char *word;
        enum mv_disk_cache cache;
        enum mv_disk_io io;
    } rows[] = {
        {"f,cache=writeback", MV_CACHE_WRITEBACK, MV_DISK_IO_AUTO},
        {"f,cache=writethrough", MV_CACHE_WRITETHROUGH, MV_DISK_IO_AUTO},
        {"f,cache=unsafe", MV_CACHE_UNSAFE, MV_DISK_IO_AUTO},
        {"f,io=auto", MV_CACHE_WRITEBACK, MV_DISK_IO_AUTO},
        {"f,io=uring", MV_CACHE_WRITEBACK, MV_DISK_IO_URING},
        {"f,io=threads", MV_CACHE_WRITEBACK, MV_DISK_IO_THREADS},
        {"f,cache=unsafe,cache=writeback,io=uring,io=auto", MV_CACHE_WRITEBACK, MV_DISK_IO_AUTO},
    };

    for (unsigned i = 0; i < MV_COUNT(rows); i++) {
        cr_assert(parse_disk(rows[i].word), "%s", message[0]);
        cr_expect_eq(options.disks[0].cache, rows[i].cache, "%s", rows[i].word);
        cr_expect_eq(options.disks[0].io, rows[i].io, "%s", rows[i].word);
    }
    cr_assert(parse_disk("f,queues=1"));
    cr_expect_eq(options.disks[0].queues, 1);
    cr_assert(parse_disk("f,queues=64"));
    cr_expect_eq(options.disks[0].queues, 64);
    cr_assert(parse_disk("f,serial=12345678901234567890"));
    cr_expect_str_eq(options.disks[0].serial, "12345678901234567890");
    cr_assert(parse_disk("f,serial=a=b"));
    cr_expect_str_eq(options.disks[0].serial, "a=b");
}

Test(options, two_commas_are_one_of_the_name)
{
    static const struct {
        char *given;
        const char *path, *serial;
    } rows[] = {
        {"a,,b", "a,b", NULL},
        {",,", ",", NULL},
        {",,,,", ",,", NULL},
        {",,ro", ",ro", NULL},
        {"a,,,serial=x", "a,", "x"},
        {"a,serial=x,,y", "a", "x,y"},
        {"a,serial=,,", "a", ","},
        {"a,,serial=x", "a,serial=x", NULL},
        {"a,,,,,serial=,,,,,ro", "a,,", ",,"},
    };

    for (unsigned i = 0; i < MV_COUNT(rows); i++) {
        cr_assert(parse_disk(rows[i].given), "%s: %s", rows[i].given, message[0]);
        cr_expect_str_eq(options.disks[0].path, rows[i].path);
        cr_expect_eq(options.disks[0].serial == NULL, rows[i].serial == NULL);
        if (rows[i].serial && options.disks[0].serial)
            cr_expect_str_eq(options.disks[0].serial, rows[i].serial);
    }
    cr_expect(options.disks[0].read_only, "of the last");
}

Test(options, a_disk_without_a_file_is_told)
{
    expect_refused(parse_disk(""), "a disk without a file");
    expect_refused(parse_disk(",ro"), "a disk without a file: ,ro");
    expect_refused(parse_disk(",,,ro,x"), "unknown disk option: x");
}

Test(options, unknown_words_and_values_of_a_disk_are_told)
{
    static const struct {
        char *given;
        const char *words;
        bool hint;
    } rows[] = {
        {"f,", "unknown disk option: ", true},
        {"f,ro,", "unknown disk option: ", true},
        {"f,rw", "unknown disk option: rw", true},
        {"f,RO", "unknown disk option: RO", true},
        {"f,ro=1", "unknown disk option: ro=1", true},
        {"f,direct=on", "unknown disk option: direct=on", true},
        {"f, ro", "unknown disk option:  ro", true},
        {"f,serial", "unknown disk option: serial", true},
        {"f,queues", "unknown disk option: queues", true},
        {"f,cach=unsafe", "unknown disk option: cach=unsafe", true},
        {"f,cache=none", "unknown cache mode: none", true},
        {"f,cache=", "unknown cache mode: ", true},
        {"f,cache=writeback ", "unknown cache mode: writeback ", true},
        {"f,io=native", "unknown I/O engine: native", true},
        {"f,io=", "unknown I/O engine: ", true},
        {"f,serial=", "1 to 20 characters", false},
        {"f,serial=123456789012345678901", "1 to 20 characters: 123456789012345678901", false},
        {"f,queues=0", "1 to 64 queues: 0", false},
        {"f,queues=65", "1 to 64 queues: 65", false},
        {"f,queues=", "1 to 64 queues: ", false},
        {"f,queues=-1", "1 to 64 queues: -1", false},
        {"f,queues=+1", "1 to 64 queues: +1", false},
        {"f,queues=1x", "1 to 64 queues: 1x", false},
        {"f,queues=0x2", "1 to 64 queues: 0x2", false},
        {"f,queues=4294967297", "1 to 64 queues: 4294967297", false},
        {"f,queues=18446744073709551617", "1 to 64 queues: 18446744073709551617", false},
    };

    for (unsigned i = 0; i < MV_COUNT(rows); i++) {
        cr_expect(!parse_disk(rows[i].given), "%s", rows[i].given);
        cr_expect(strstr(message[0], rows[i].words), "\"%s\" has no \"%s\"", message[0],
                  rows[i].words);
        cr_expect(!rows[i].hint || message[1][0], "\"%s\" has no hint", message[0]);
    }
}

Test(options, disks_come_in_their_order)
{
    cr_assert(parse("-d", "a", "k", "--disk=b,ro", "--disk", "c,serial=C", NULL));
    cr_assert_eq(options.disk_count, 3);
    cr_expect_str_eq(options.disks[0].path, "a");
    cr_expect_str_eq(options.disks[1].path, "b");
    cr_expect_str_eq(options.disks[2].path, "c");
    cr_expect(!options.disks[0].read_only && options.disks[1].read_only);
    cr_expect_str_eq(options.disks[2].serial, "C");
    cr_expect_null(options.disks[0].serial);
}

/* k and so many disks */
static bool parse_disks(unsigned count)
{
    char *argv[2 + 2 * 20] = {"minivmm", "k"};

    for (unsigned i = 0; i < count; i++) {
        argv[2 + 2 * i] = "-d";
        argv[3 + 2 * i] = "f";
    }
    mv_options_done(&options);
    memset(message, 0, sizeof(message));
    return mv_options_parse((int)(2 + 2 * count), argv, &options, message);
}

Test(options, there_are_16_disks_at_most)
{
    cr_expect(parse_disks(16));
    cr_expect_eq(options.disk_count, 16);
    cr_expect(!parse_disks(17));
    cr_expect(strstr(message[0], "at most 16 are"), "%s", message[0]);
    cr_expect(!parse_disks(20));
    cr_expect(parse_disks(1), "and what was is forgotten");
    cr_expect_eq(options.disk_count, 1);
}

Test(options, tables_are_dumped_without_a_kernel)
{
    char *other = strcmp(mv_tables(), "acpi") == 0 ? "--dump-dtb" : "--dump-acpi";
    char option[32];

    snprintf(option, sizeof(option), "--dump-%s", mv_tables());
    cr_expect(parse(option, "place", "-c", "3", NULL), "%s", message[0]);
    cr_expect_str_eq(options.dump, "place");
    cr_expect_null(options.kernel);
    expect_refused(parse(other, "place", NULL), "not available on this architecture: --dump-");
    cr_expect(strstr(message[1], option), "%s", message[1]);
    expect_refused(parse(option, "a", option, "b", NULL), "two places");
}

Test(options, long_words_are_cut_in_messages)
{
    char word[2000];

    memset(word, 'x', sizeof(word) - 1);
    word[sizeof(word) - 1] = 0;
    memcpy(word, "--", 2);
    expect_refused(parse(word, NULL), "unknown option: --xxx");
    cr_expect_eq(strlen(message[0]), 255);
}

Test(options, explain_comes_first_and_goes_with_the_others)
{
    cr_expect(parse("explain", "-m", "64M", "--step", "kernel", NULL));
    cr_expect(options.explain && options.step);
    cr_expect_str_eq(options.kernel, "kernel");
    cr_expect_eq(options.memory, 64 * MV_MIB);
    expect_refused(parse("explain", NULL), "no kernel is named");
    cr_expect(parse("kernel", NULL));
    cr_expect(!options.explain);
    cr_expect(parse("./explain", NULL));
    cr_expect(!options.explain);
}

Test(options, the_help_names_every_option)
{
    static const char *const names[] = {
        "-k, --kernel",  "-i, --initrd", "-a, --append", "-m, --memory", "-c, --cpus",
        "-d, --disk",    "--timeline",   "--dump-acpi",  "--dump-dtb",   "--step",
        "-v, --verbose", "-h, --help",   "-V, --version"};

    for (unsigned i = 0; i < MV_COUNT(names); i++)
        cr_expect(strstr(mv_help_text, names[i]), "%s", names[i]);
}

Test(options, a_trace_has_a_file_and_a_size)
{
    cr_assert(parse("-k", "a", "--trace", "boot,,1.trace", NULL));
    cr_expect_str_eq(options.trace, "boot,1.trace");
    cr_expect_eq(options.trace_records, 1 << 20);
    cr_assert(parse("-k", "a", "--trace=t,records=1", "--trace", "u,records=67108864", NULL));
    cr_expect_str_eq(options.trace, "u");
    cr_expect_eq(options.trace_records, 67108864);
    expect_refused(parse("-k", "a", "--trace", "", NULL), "without a file");
    expect_refused(parse("-k", "a", "--trace", ",records=5", NULL), "without a file");
    expect_refused(parse("-k", "a", "--trace", "t,records=0", NULL), "records: 0");
    expect_refused(parse("-k", "a", "--trace", "t,records=67108865", NULL), "records: 67108865");
    expect_refused(parse("-k", "a", "--trace", "t,records=5k", NULL), "records: 5k");
    expect_refused(parse("-k", "a", "--trace", "t,size=5", NULL), "size=5");
}
