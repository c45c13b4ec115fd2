/* SPDX-License-Identifier: MIT */
/* The trace: its ring, its file, and what is made of that. */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/timeline.h"
#include "core/util.h"
#include "debug/recorder.h"
#include "dev/devices.h"
#include "traces.h"

/* ---- the ring ---- */

Test(trace, without_a_trace_the_last_exits_are_kept_without_times_and_equal_ones_once)
{
    struct mv_recorder recorder;

    cr_assert_eq(mv_recorder_init(&recorder, 0, false), 0);
    mv_recorder_enter(&recorder);
    mv_recorder_leave(&recorder);
    cr_expect_eq(recorder.from, 0);
    cr_expect_eq(recorder.left, 0);
    for (uint64_t i = 0; i < 20; i++)
        for (uint64_t j = 0; j <= i % 3; j++)
            mv_recorder_add(&recorder, &(struct mv_record){.exit = {.value = i}, .pc = 5}, 0);
    mv_recorder_answer(&recorder, NULL);
    cr_assert_eq(mv_recorder_last(&recorder), MV_RECORDS_LAST);
    for (unsigned i = 0; i < MV_RECORDS_LAST; i++) {
        const struct mv_record *last = mv_recorder_last_at(&recorder, i);

        cr_expect_eq(last->exit.value, 12 + i);
        cr_expect_eq(last->repeats, (12 + i) % 3);
        cr_expect_eq(last->pc, 5);
        cr_expect_eq(last->exit.done, 0);
    }
    mv_recorder_done(&recorder);
}

Test(trace, the_last_exits_are_the_same_with_a_trace)
{
    static const struct mv_record all[] = {
        {.exit = {.reason = KVM_EXIT_IO, .value = 1}},
        {.exit = {.reason = KVM_EXIT_INTR}},
        {.exit = {.reason = KVM_EXIT_IO, .value = 2}},
        {.exit = {.reason = KVM_EXIT_DEBUG}},
        {.exit = {.reason = KVM_EXIT_IO, .value = 2}},
        {.exit = {.reason = KVM_EXIT_IO, .value = 2, .address = 8}},
        {.exit = {.reason = KVM_EXIT_SHUTDOWN}},
    };

    for (size_t records = 0; records <= 2; records++) {
        struct mv_recorder recorder;

        cr_assert_eq(mv_recorder_init(&recorder, records, false), 0);
        for (unsigned i = 0; i < MV_COUNT(all); i++)
            mv_recorder_add(&recorder, &all[i], 1);
        cr_assert_eq(mv_recorder_last(&recorder), 4);
        cr_expect_eq(mv_recorder_last_at(&recorder, 0)->exit.value, 1);
        cr_expect_eq(mv_recorder_last_at(&recorder, 1)->repeats, 1);
        cr_expect_eq(mv_recorder_last_at(&recorder, 2)->exit.address, 8);
        cr_expect_eq(mv_recorder_last_at(&recorder, 3)->exit.reason, KVM_EXIT_SHUTDOWN);
        mv_recorder_done(&recorder);
    }
}

Test(trace, a_ring_keeps_the_newest_of_a_power_of_two)
{
    struct mv_recorder recorder;

    cr_assert_eq(mv_recorder_init(&recorder, 5, false), 0);
    cr_expect_eq(recorder.mask, 7);
    for (uint64_t i = 0; i < 20; i++)
        mv_recorder_add(&recorder, &(struct mv_record){.exit = {.value = i}}, i);
    cr_expect_eq(recorder.count, 20);
    for (uint64_t i = 12; i < 20; i++)
        cr_expect_eq(recorder.ring[i & recorder.mask].value, i);
    mv_recorder_done(&recorder);
}

Test(trace, the_guests_time_begins_where_the_monitors_has_ended)
{
    struct mv_recorder recorder;

    cr_assert_eq(mv_recorder_init(&recorder, 4, false), 0);
    mv_recorder_enter(&recorder);
    mv_recorder_leave(&recorder);
    mv_recorder_add(&recorder, &(struct mv_record){.pc = 0}, recorder.left + 5);
    mv_recorder_add(&recorder, &(struct mv_record){.exit = {.more = 1}}, recorder.left + 7);
    mv_recorder_enter(&recorder); /* no new stamp */
    cr_expect_leq(recorder.ring[0].entered, recorder.ring[0].left);
    cr_expect_eq(recorder.ring[0].done, recorder.ring[0].left + 5);
    cr_expect_eq(recorder.ring[1].entered, recorder.ring[0].done);
    cr_expect_eq(recorder.ring[1].left, recorder.ring[0].done);
    cr_expect_eq(recorder.ring[1].done, recorder.ring[0].done + 7);
    cr_expect_eq(recorder.from, recorder.ring[1].done);
    mv_recorder_rest(&recorder);
    mv_recorder_enter(&recorder);
    cr_expect_gt(recorder.from, recorder.ring[0].left, "a pause is not the guest's time");
    mv_recorder_done(&recorder);
}

Test(trace, an_answer_changes_the_last_record)
{
    const struct mv_access read = {.size = 1, .value = 0x1234};
    struct mv_recorder recorder;

    cr_assert_eq(mv_recorder_init(&recorder, 4, false), 0);
    mv_recorder_add(&recorder, &(struct mv_record){.exit = {.value = 0xff, .size = 1}}, 1);
    mv_recorder_answer(&recorder, &read);
    cr_expect_eq(recorder.ring[0].value, 0x34);
    cr_expect_gt(recorder.ring[0].done, 1);
    mv_recorder_answer(&recorder, NULL);
    cr_expect_eq(recorder.ring[0].value, 0x34);
    cr_expect_eq(recorder.from, recorder.ring[0].done);
    mv_recorder_done(&recorder);
}

Test(trace, stamps_of_the_counter_become_nanoseconds)
{
    struct mv_trace_record all[4], some[2];
    struct mv_recorder recorder;
    uint64_t before = mv_monotonic_ns(), after;

    cr_assert_eq(mv_recorder_init(&recorder, 4, true), 0);
    for (int i = 0; i < 6; i++) {
        mv_recorder_enter(&recorder);
        usleep(1000);
        mv_recorder_leave(&recorder);
        mv_recorder_add(&recorder, &(struct mv_record){.pc = 0}, mv_recorder_stamp(&recorder));
    }
    after = mv_monotonic_ns();
    mv_recorder_read(&recorder, 2, all, 4);
    cr_expect_gt(all[0].entered, before + 1900000);
    cr_expect_lt(all[3].done, after + 1000);
    for (int i = 0; i < 4; i++) {
        cr_expect_geq(all[i].left, all[i].entered + 900000, "record %d", i);
        cr_expect_geq(all[i].done, all[i].left, "record %d", i);
    }
    usleep(1000);
    mv_recorder_read(&recorder, 4, some, 2);
    cr_expect_eq(memcmp(some, &all[2], sizeof(some)), 0, "they are what they were");
    mv_recorder_done(&recorder);
}

Test(trace, a_stamp_from_before_the_recorder_is_its_beginning)
{
    struct mv_trace_record record;
    struct mv_recorder recorder;

    cr_assert_eq(mv_recorder_init(&recorder, 1, true), 0);
    mv_recorder_add(&recorder, &(struct mv_record){.pc = 0}, mv_recorder_stamp(&recorder));
    mv_recorder_read(&recorder, 0, &record, 1);
    cr_expect_eq(record.entered, recorder.began.ns);
    mv_recorder_done(&recorder);
}

/* ---- reading ---- */

static struct mv_error err;

/* Of the file as it is, or of its first bytes. */
static int parse_bytes(const struct trace_file *file, size_t size, struct mv_trace *trace)
{
    void *data = malloc(size + 1);
    int error;

    cr_assert_not_null(data);
    memcpy(data, file, mv_min(size, sizeof(*file)));
    memset(&err, 0, sizeof(err));
    error = mv_trace_parse(data, size, trace, &err);
    if (error)
        free(data);
    return error;
}

static int parse(const struct trace_file *file, struct mv_trace *trace)
{
    return parse_bytes(file, sizeof(*file), trace);
}

static void expect_refused(const struct trace_file *file, size_t size, const char *words)
{
    struct mv_trace trace;

    cr_expect_eq(parse_bytes(file, size, &trace), -EINVAL, "not refused: %s", words);
    cr_expect(strstr(err.tried, words), "\"%s\" has no \"%s\"", err.tried, words);
    cr_expect_neq(err.hint[0], 0);
}

Test(trace, a_whole_file_is_read)
{
    struct trace_file file = trace_make();
    struct mv_trace trace;

    cr_assert_eq(parse(&file, &trace), 0, "%s", err.tried);
    cr_expect_eq(trace.count, TRACE_RECORDS);
    cr_expect_str_eq(trace.header->kernel, "kernel");
    cr_expect_str_eq(trace.devices[1].name, "vda");
    cr_expect_eq(trace.marks[1].value, 7);
    cr_expect_eq(trace.vcpus[0].lost, 3);
    cr_expect_eq(trace.records[4].address, 0x80);
    mv_trace_done(&trace);
    cr_expect_null(trace.data);
}

Test(trace, a_file_that_is_cut_or_too_long_is_refused)
{
    struct trace_file file = trace_make();

    for (size_t size = 0; size < sizeof(file); size++)
        expect_refused(&file, size, size < sizeof(file.header) ? "too short" : "size");
    expect_refused(&file, sizeof(file) + 1, "size");
    expect_refused(&file, sizeof(file) + 48, "size");
}

Test(trace, what_breaks_the_format_is_refused)
{
    static struct trace_file good, file;

#define EXPECT_REFUSED(change, words)               \
    do {                                            \
        file = good;                                \
        (change);                                   \
        expect_refused(&file, sizeof(file), words); \
    } while (0)

    good = trace_make();
    EXPECT_REFUSED(file.header.magic[7] = '\r', "begins otherwise");
    EXPECT_REFUSED(file.header.version++, "version");
    EXPECT_REFUSED(file.header.machine = 3, "architecture");
    EXPECT_REFUSED(file.header.vcpus = 0, "too few");
    EXPECT_REFUSED(file.header.vcpus = UINT32_MAX, "too many");
    EXPECT_REFUSED(file.header.devices = UINT32_MAX, "too many");
    EXPECT_REFUSED(file.header.marks = UINT32_MAX, "too many");
    EXPECT_REFUSED(file.header.devices = 3, "size");
    EXPECT_REFUSED(file.header.devices = MV_TRACE_DEVICES, "size");
    EXPECT_REFUSED(file.header.devices = MV_TRACE_DEVICES + 1, "too many");
    EXPECT_REFUSED(file.header.vcpus = MV_TRACE_VCPUS + 1, "too many");
    EXPECT_REFUSED(file.header.marks = MV_TRACE_MARKS + 1, "too many");
    EXPECT_REFUSED(file.header.reason = 99, "reason");
    EXPECT_REFUSED(memset(file.header.kernel, 'a', sizeof(file.header.kernel)), "text");
    EXPECT_REFUSED(memset(file.header.minivmm, 'a', sizeof(file.header.minivmm)), "text");
    EXPECT_REFUSED(memset(file.devices[0].name, 'a', sizeof(file.devices[0].name)), "device");
    EXPECT_REFUSED(file.devices[1].size = 0, "device");
    EXPECT_REFUSED(file.devices[1].size = UINT64_MAX, "device");
    EXPECT_REFUSED(file.devices[1].space = 2, "device");
    EXPECT_REFUSED(memset(file.marks[1].name, 'a', sizeof(file.marks[1].name)), "mark");
    EXPECT_REFUSED(file.marks[0].ns = TRACE_BEGAN - 1, "mark");
    EXPECT_REFUSED(file.marks[0].took = 51, "mark");
    EXPECT_REFUSED(file.marks[0].took = UINT64_MAX, "mark");
    EXPECT_REFUSED(file.vcpus[0].kept = 5, "size");
    EXPECT_REFUSED(file.vcpus[1].kept = UINT64_MAX, "size");
    EXPECT_REFUSED(file.vcpus[0].kept = UINT64_MAX / 48 + 6, "size");
    EXPECT_REFUSED(file.records[0].entered = TRACE_BEGAN - 1, "order");
    EXPECT_REFUSED(file.records[1].entered--, "order");
    EXPECT_REFUSED(file.records[2].left = file.records[2].done + 1, "order");
    EXPECT_REFUSED(file.records[4].done = UINT64_MAX, "order");
    EXPECT_REFUSED(file.records[0].size = 9, "record");
    EXPECT_REFUSED(file.records[0].write = 2, "record");
    EXPECT_REFUSED(file.records[0].more = 2, "record");
    EXPECT_REFUSED(file.records[0].reserved = 1, "record");
}

Test(trace, texts_become_printable)
{
    struct trace_file file = trace_make();
    struct mv_trace trace;

    memcpy(file.header.kernel, "\033[2J\x9b\xc3\xa9 ok", 10);
    memcpy(file.devices[0].name, "a\nb", 4);
    memcpy(file.marks[0].name, "\r", 2);
    cr_assert_eq(parse(&file, &trace), 0, "%s", err.tried);
    cr_expect_str_eq(trace.header->kernel, "?[2J??? ok");
    cr_expect_str_eq(trace.devices[0].name, "a?b");
    cr_expect_str_eq(trace.marks[0].name, "?");
    mv_trace_done(&trace);
}

Test(trace, files_that_cannot_be_read_are_explained)
{
    struct trace_file file = trace_make();
    char path[] = "/tmp/minivmm-trace-XXXXXX";
    MV_CLEANUP_FD int fd = mkstemp(path);
    struct mv_trace trace;

    cr_assert_geq(fd, 0);
    cr_expect_eq(mv_trace_read(path, &trace, &err), -EINVAL);
    cr_expect(strstr(err.tried, "too short"), "%s", err.tried);
    cr_assert_eq(write(fd, &file, sizeof(file)), (ssize_t)sizeof(file));
    cr_assert_eq(mv_trace_read(path, &trace, &err), 0, "%s", err.tried);
    cr_expect_eq(trace.count, TRACE_RECORDS);
    mv_trace_done(&trace);
    unlink(path);
    cr_expect_eq(mv_trace_read(path, &trace, &err), -ENOENT);
    cr_expect(strstr(err.tried, path), "%s", err.tried);
    cr_expect_eq(mv_trace_read("/tmp", &trace, &err), -EINVAL);
    cr_expect(strstr(err.tried, "no regular file"), "%s", err.tried);
}

/* ---- showing ---- */

static char *shown(const struct mv_trace *trace, bool (*show)(const struct mv_trace *, FILE *))
{
    char *text = NULL;
    size_t size;
    FILE *to = open_memstream(&text, &size);

    cr_assert_not_null(to);
    cr_expect(show(trace, to));
    fclose(to);
    return text;
}

static char *show(const struct trace_file *file, bool (*fn)(const struct mv_trace *, FILE *))
{
    struct mv_trace trace;
    char *text;

    cr_assert_eq(parse(file, &trace), 0, "%s", err.tried);
    text = shown(&trace, fn);
    mv_trace_done(&trace);
    return text;
}

static void expect_words(const char *text, const char *words)
{
    cr_expect(strstr(text, words), "no \"%s\" in:\n%s", words, text);
}

Test(trace, the_summary_has_reasons_and_addresses)
{
    struct trace_file file = trace_make();
    MV_CLEANUP_FREE char *text = show(&file, mv_trace_summarize);

    expect_words(text, "kernel on x86-64 with 2 vCPUs, by minivmm 0.1.0: status 0\n");
    expect_words(text, "5 exits in 5.11 us: 5.26 us in the guest, 1.24 us in the monitor\n");
    expect_words(text, "3 exits before these were lost");
    /* the dearest first */
    expect_words(text,
                 "p99\nMMIO read                      1     60 ns   1.20 us   1.20 us   1.20 us\n"
                 "IO write                       3   5.10 us     41 ns     10 ns     30 ns\n"
                 "INTR                           1    100 ns      0 ns      0 ns      0 ns\n");
    expect_words(text, "MMIO read vda + 0x50\n");
    expect_words(text, "0x3f8                          2    100 ns     40 ns     10 ns     30 ns  "
                       "IO write serial0\n");
    expect_words(text, "IO write (nothing there)\n");
}

Test(trace, percentiles_are_of_the_nearest_rank)
{
    static struct trace_file file;
    struct mv_trace trace;
    MV_CLEANUP_FREE char *text = NULL;
    struct mv_trace_record *records;
    size_t size = offsetof(struct trace_file, records) + 200 * sizeof(*records);
    uint8_t *data = calloc(1, size);

    cr_assert_not_null(data);
    file = trace_make();
    file.vcpus[0] = (struct mv_trace_vcpu){.kept = 200};
    file.vcpus[1].kept = 0;
    memcpy(data, &file, offsetof(struct trace_file, records));
    records = (void *)(data + offsetof(struct trace_file, records));
    for (unsigned i = 0; i < 200; i++) { /* 1 to 200 ns, not in order */
        uint64_t at = TRACE_BEGAN + 1000ull * i;

        records[i] = (struct mv_trace_record){
            .entered = at, .left = at, .done = at + (i * 77 % 200) + 1, .reason = KVM_EXIT_HLT};
    }
    cr_assert_eq(mv_trace_parse(data, size, &trace, &err), 0, "%s", err.tried);
    text = shown(&trace, mv_trace_summarize);
    expect_words(text,
                 "HLT                          200      0 ns   20.1 us    100 ns    198 ns\n");
    cr_expect_null(strstr(text, "address"));
    mv_trace_done(&trace);
}

/* Each exit is looked up among the devices, so their number must not grow with the file. */
Test(trace, what_a_machine_has_is_within_the_limits)
{
    cr_expect_leq(MV_DEVICES_MAX, MV_TRACE_DEVICES);
    cr_expect_leq(MV_TIMELINE_MARKS, MV_TRACE_MARKS);
    cr_expect_leq(MV_TRACE_DEVICES, 128u);
}

Test(trace, a_large_file_that_is_no_trace_is_not_read)
{
    char path[] = "/tmp/minivmm-trace-XXXXXX";
    MV_CLEANUP_FD int fd = mkstemp(path);
    struct mv_trace trace;

    cr_assert_geq(fd, 0);
    cr_assert_eq(ftruncate(fd, 1ll << 40), 0);
    cr_expect_eq(mv_trace_read(path, &trace, &err), -EINVAL, "not -ENOMEM");
    cr_expect(strstr(err.tried, "begins otherwise"), "%s", err.tried);
    unlink(path);
}

Test(trace, many_kinds_without_a_name_are_one_row)
{
    static struct trace_file file;
    MV_CLEANUP_FREE char *text = NULL;
    unsigned rows = 0;

    file = trace_make();
    for (unsigned i = 0; i < TRACE_RECORDS; i++) {
        file.records[i].reason = 1000 + i % 2; /* of no access: a direction means nothing */
        file.records[i].size = 0;
        file.records[i].write = i == 1 || i == 4;
    }
    text = show(&file, mv_trace_summarize);
    for (const char *at = text; (at = strstr(at, "(other)")) != NULL; at++)
        rows++;
    cr_expect_eq(rows, 1, "%s", text);
}

Test(trace, a_trace_of_nothing_has_a_summary)
{
    static struct trace_file file;
    struct mv_trace trace;
    MV_CLEANUP_FREE char *text = NULL, *json = NULL;

    file = trace_make();
    file.vcpus[0].kept = file.vcpus[1].kept = 0;
    cr_assert_eq(parse_bytes(&file, offsetof(struct trace_file, records), &trace), 0, "%s",
                 err.tried);
    text = shown(&trace, mv_trace_summarize);
    expect_words(text, "0 exits in 0 ns");
    json = shown(&trace, mv_trace_to_chrome);
    expect_words(json, "vCPU 1");
    mv_trace_done(&trace);
}

Test(trace, chromes_form_has_both_times_of_an_exit)
{
    struct trace_file file = trace_make();
    MV_CLEANUP_FREE char *text = NULL;

    memcpy(file.header.kernel, "a\"b\\c", 6);
    text = show(&file, mv_trace_to_chrome);
    expect_words(text, "\"name\":\"process_name\",\"args\":{\"name\":\"a\\\"b\\\\c\"}");
    expect_words(text, "\"name\":\"guest\",\"ts\":0.100,\"dur\":0.0999,\"cat\":\"guest\"}");
    expect_words(
        text,
        "\"name\":\"IO write serial0\",\"ts\":0.200,\"dur\":0.0099,\"cat\":\"monitor\",\"args\":{"
        "\"address\":\"0x3f8\",\"size\":1,\"value\":\"0x48\"}}");
    expect_words(text, "\"name\":\"KVM_CREATE_VM\",\"ts\":0.030,\"dur\":0.0199");
    expect_words(text, "\"value\":\"0xffffffffffffffff\"");
    cr_expect_str_eq(text + strlen(text) - 4, "\n]}\n");
}

Test(trace, the_page_has_the_file_in_base64)
{
    static const char begin[] = "id=\"trace\">";
    struct trace_file file = trace_make();
    MV_CLEANUP_FREE char *text = NULL, *at;

    memcpy(file.header.kernel, "</script><b>", 13);
    text = show(&file, mv_trace_to_html);
    at = strstr(text, begin);
    cr_assert_not_null(at);
    at = strndup(at + strlen(begin), (size_t)(strstr(at, "</script>") - at) - strlen(begin));
    cr_expect_eq(strlen(at), (sizeof(file) + 2) / 3 * 4);
    cr_expect_eq(strncmp(at, "bXZ0cmFjZQoBAAAAPgAAAA", 22), 0, "%.30s", at);
    cr_expect_null(strstr(text, "<b>"));
    expect_words(text, "\"UNKNOWN\", \"EXCEPTION\", \"IO\"");
    cr_expect_null(strstr(text, "@css@"));
    expect_words(text, "\n</html>\n");
}
