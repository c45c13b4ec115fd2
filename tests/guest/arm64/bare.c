/* SPDX-License-Identifier: MIT */
/*
 * Bare machines as an embedder has them, on arm64: a few instructions with and without MMU, exits,
 * a custom device, registers, page walks, steps, break- and watchpoints, pauses.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "minivmm/device.h"
#include "minivmm/vcpu.h"

#define CHECK(condition)                                                            \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                \
        }                                                                           \
    } while (0)

#define RAM 0x40000000ull

/* Guests, that run wherever they are put. */
#define GUEST(name, text)                                                                         \
    __attribute__((visibility("hidden"))) extern const char name[], name##_end[];                 \
    __asm__(".pushsection .rodata\n.global " #name ", " #name "_end\n.balign 4\n" #name ": " text \
            "\n" #name "_end:\n.popsection\n")

GUEST(speak, "mov x1, #0x03000000\n mov w0, #42\n strb w0, [x1]\n ldrb w2, [x1, #1]\n"
             "strb w2, [x1, #2]\n mov x0, #0x0008\n movk x0, #0x8400, lsl #16\n hvc #0");
GUEST(call,
      "nop\n nop\n nop\n nop\n mov x5, #0x01050000\n mov x0, #30\n mov w6, #5\n str w6, [x5]\n"
      "mov x1, #0x03000000\n str w0, [x1]");
GUEST(spin, "b .");
GUEST(compute,
      "fmov d0, #2.5\n fadd d0, d0, d0\n fcvtzs x0, d0\n mov x1, #0x03000000\n str w0, [x1]");
GUEST(pair, "mov x1, #0x03000000\n ldp x2, x3, [x1]");
GUEST(nowhere, "mov x1, #0x20000000\n br x1");
GUEST(increment, "ldr x1, =0x40040000\n 1: ldxr w0, [x1]\n add w0, w0, #1\n stxr w2, w0, [x1]\n"
                 "b 1b\n .ltorg");
GUEST(points, "nop\n nop\n ldr x1, =0x40040000\n str w0, [x1]\n nop\n brk #0\n b .\n .ltorg");

/* Of the newest machine.  Each has another one: where one begins at the address of an exit of
 * another's before, QEMU 7.2 goes on with the other's instructions. */
static uint64_t start = RAM;

static struct mv_machine *create(enum mv_mode mode, const char *code, const char *end,
                                 struct mv_config config)
{
    struct mv_flat flat = {
        .size = sizeof(flat), .mode = mode, .code = code, .bytes = (size_t)(end - code)};
    struct mv_machine *machine = NULL;
    struct mv_error err = {0};

    flat.address = start += 0x1000;
    config.size = sizeof(config);
    config.bare = true;
    config.memory = 1 << 20;
    config.flat = &flat;
    if (mv_machine_create(&config, &machine, &err) < 0) {
        fprintf(stderr, "%s (%s)\n", err.tried, err.hint);
        abort();
    }
    return machine;
}

#define CREATE(mode, name) create(mode, name, name##_end, (struct mv_config){0})

static uint64_t get(struct mv_machine *machine, const char *name)
{
    uint64_t value = 0;

    CHECK(mv_vcpu_get(mv_machine_vcpu(machine, 0), name, &value) == 0);
    return value;
}

static void exits_one_at_a_time(enum mv_mode mode)
{
    struct mv_machine *machine = CREATE(mode, speak);
    struct mv_vcpu *vcpu = mv_machine_vcpu(machine, 0);
    struct mv_exit exit = {.size = sizeof(exit)};

    CHECK(mv_vcpu_run(vcpu, MV_UNTIL_EXIT, MV_FOREVER, &exit) == 0);
    CHECK(exit.kind == MV_EXIT_MMIO && exit.access.write && exit.access.address == 0x03000000);
    CHECK(exit.access.size == 1 && exit.access.value == 42);
    CHECK(mv_vcpu_run(vcpu, MV_UNTIL_EXIT, MV_FOREVER, &exit) == 0);
    CHECK(!exit.access.write && exit.access.value == 0xff);
    CHECK(mv_vcpu_get_registers(vcpu, NULL, 0) > 60); /* leaves the choice */
    exit.access.value = 77;
    CHECK(mv_vcpu_run(vcpu, MV_UNTIL_EXIT, MV_FOREVER, &exit) == 0);
    CHECK(exit.access.address == 0x03000002 && exit.access.value == 77);
    CHECK(mv_vcpu_run(vcpu, MV_UNTIL_EXIT, MV_FOREVER, &exit) == 0);
    CHECK(exit.kind == MV_EXIT_END && exit.end.reason == MV_END_POWER_OFF);
    mv_machine_destroy(machine);
}

static bool add_number(void *context, struct mv_vcpu *vcpu, struct mv_exit *exit)
{
    (void)context, (void)vcpu;
    exit->hypercall.result = exit->hypercall.number + exit->hypercall.arguments[0];
    return true;
}

static void hypercalls(void)
{
    const struct mv_hook hook = {.size = sizeof(hook), .kind = MV_EXIT_HYPERCALL, .fn = add_number};
    struct mv_machine *machine =
        create(MV_MODE_EL1, call, call_end, (struct mv_config){.hooks = &hook, .hook_count = 1});
    struct mv_exit exit = {.size = sizeof(exit)};

    CHECK(mv_vcpu_run(mv_machine_vcpu(machine, 0), MV_UNTIL_UNKNOWN, MV_FOREVER, &exit) == 0);
    CHECK(exit.kind == MV_EXIT_MMIO && exit.access.value == 35);
    mv_machine_destroy(machine);
}

/* ---- hooks, and custom devices ---- */

struct seen {
    unsigned count;
    uint64_t last;
};

static bool answer_seven(void *context, struct mv_vcpu *vcpu, struct mv_exit *exit)
{
    struct seen *seen = context;

    CHECK(mv_vcpu_index(vcpu) == 0);
    seen->count++;
    if (exit->access.write)
        seen->last = exit->access.value;
    else
        exit->access.value = 7;
    return true;
}

static bool count_all(void *context, struct mv_vcpu *vcpu, struct mv_exit *exit)
{
    struct seen *seen = context;

    (void)vcpu, (void)exit;
    seen->count++;
    return false;
}

static void hooks_serve(void)
{
    struct seen some = {0}, all = {0};
    const struct mv_hook hooks[] = {
        {.size = sizeof(struct mv_hook), .kind = MV_EXIT_NONE, .fn = count_all, .context = &all},
        {.size = sizeof(struct mv_hook),
         .kind = MV_EXIT_MMIO,
         .first = 0x03000001,
         .last = 0x03000002,
         .fn = answer_seven,
         .context = &some},
    };
    struct mv_machine *machine =
        create(MV_MODE_EL1, speak, speak_end, (struct mv_config){.hooks = hooks, .hook_count = 2});
    struct mv_error err = {0};
    struct mv_end end;

    CHECK(mv_machine_run(machine, &end, &err) == 0 && end.reason == MV_END_POWER_OFF);
    CHECK(some.count == 2 && some.last == 7); /* what it had read */
    CHECK(all.count == 3);
    CHECK(mv_machine_set_irq(machine, 32, true) == -EINVAL); /* there are no lines */
    mv_machine_destroy(machine);
}

static struct mv_machine *stopped_by;

static bool stop_at(void *context, struct mv_vcpu *vcpu, struct mv_exit *exit)
{
    (void)vcpu;
    ((struct seen *)context)->last = exit->access.value;
    mv_machine_stop(stopped_by, 0);
    return true;
}

static uint64_t read_counter(void *state, uint64_t offset, unsigned size)
{
    CHECK(offset == 1 && size == 1);
    return ++*(uint32_t *)state;
}

static void write_counter(void *state, uint64_t offset, unsigned size, uint64_t value)
{
    CHECK((offset == 0 || offset == 2) && size == 1);
    *(uint32_t *)state = (uint32_t)value;
}

static void destroy_counter(void *state)
{
    CHECK(*(uint32_t *)state == 43);
    *(uint32_t *)state = 0xdead;
}

static void custom_devices(void)
{
    static const struct mv_device_ops ops = {.size = sizeof(ops),
                                             .read = read_counter,
                                             .write = write_counter,
                                             .destroy = destroy_counter};
    const struct mv_device_desc desc = {
        .size = sizeof(desc), .name = "counter", .base = MV_ANY_BASE, .bytes = 8, .irq = MV_NO_IRQ};
    uint32_t counter = 0;
    struct mv_custom_device own = {
        .size = sizeof(own), .desc = &desc, .ops = &ops, .state = &counter};
    struct mv_machine *machine = create(MV_MODE_EL1, speak, speak_end,
                                        (struct mv_config){.devices = &own, .device_count = 1});
    struct mv_device_desc found = {.size = sizeof(found)};
    struct mv_exit exit = {.size = sizeof(exit)};

    CHECK(mv_machine_device(machine, "counter", &found) && found.base == 0x03000000);
    CHECK(!mv_machine_device(machine, "serial0", &found));
    CHECK(mv_vcpu_run(mv_machine_vcpu(machine, 0), MV_UNTIL_UNKNOWN, MV_FOREVER, &exit) == 0);
    CHECK(exit.kind == MV_EXIT_END && exit.end.reason == MV_END_POWER_OFF);
    mv_machine_destroy(machine);
    CHECK(counter == 0xdead);
}

/* Of a machine that only has tables; and of a bare one, which has no lines. */
static void interrupt_lines_are_told_apart(void)
{
    static const struct {
        bool bare;
        int irq, error;
        const char *words;
    } rows[] = {{false, 0, -EBUSY, "32 to 95"}, /* serial0's */
                {false, 96, -EINVAL, "32 to 95"},
                {true, 40, -EINVAL, "no interrupt line"},
                {true, MV_ANY_IRQ, -EINVAL, "no interrupt line"},
                {false, MV_ANY_IRQ, 0, ""}};
    static const struct mv_device_ops ops = {
        .size = sizeof(ops), .read = read_counter, .write = write_counter};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct mv_device_desc desc = {.size = sizeof(desc),
                                            .name = "own",
                                            .base = MV_ANY_BASE,
                                            .bytes = 8,
                                            .irq = rows[i].irq};
        const struct mv_custom_device own = {.size = sizeof(own), .desc = &desc, .ops = &ops};
        struct mv_config config = {.size = sizeof(config),
                                   .tables_only = !rows[i].bare,
                                   .bare = rows[i].bare,
                                   .devices = &own,
                                   .device_count = 1};
        struct mv_machine *machine = NULL;
        struct mv_device_desc found = {.size = sizeof(found)};
        struct mv_error err = {0};

        CHECK(mv_machine_create(&config, &machine, &err) == rows[i].error);
        CHECK(strstr(err.hint, rows[i].words));
        CHECK(!machine || (mv_machine_device(machine, "own", &found) && found.irq == 32));
        mv_machine_destroy(machine);
    }
}

static void registers_have_names(void)
{
    struct mv_machine *machine = CREATE(MV_MODE_64, spin);
    struct mv_vcpu *vcpu = mv_machine_vcpu(machine, 0);
    uint8_t bytes[16] = {1, 2, 3}, back[16];
    const struct mv_register *all;
    size_t count;

    all = mv_registers(&count);
    for (size_t i = 0; i < count; i++) {
        if (mv_vcpu_get_bytes(vcpu, i, back) != 0)
            fprintf(stderr, "%s cannot be read\n", all[i].name);
        CHECK(mv_vcpu_get_bytes(vcpu, i, back) == 0);
        if (strcmp(all[i].name, "v3") == 0) {
            CHECK(mv_vcpu_set_bytes(vcpu, i, bytes) == 0);
            CHECK(mv_vcpu_get_bytes(vcpu, i, back) == 0 && memcmp(bytes, back, 16) == 0);
        }
    }
    CHECK(mv_vcpu_set(vcpu, "x7", 0x1234567890) == 0 && get(machine, "x7") == 0x1234567890);
    CHECK(get(machine, "pc") == start && get(machine, "sp") == get(machine, "sp_el1"));
    CHECK(get(machine, "sctlr_el1") & 1);
    mv_machine_destroy(machine);
}

/* What a vCPU is, put into one of a fresh machine's; backwards, to show that order means nothing.
 * Not after an exit: see start. */
static void registers_move_to_another_machine(void)
{
    struct mv_config config = {.size = sizeof(config), .bare = true, .memory = 1 << 20};
    struct mv_machine *machine = CREATE(MV_MODE_64, speak), *copy = NULL;
    struct mv_vcpu *vcpu = mv_machine_vcpu(machine, 0);
    struct mv_register_value saved[MV_REGISTERS_MAX], wanted[MV_REGISTERS_MAX];
    int count = mv_vcpu_get_registers(vcpu, saved, MV_REGISTERS_MAX);
    struct mv_error err = {0};
    struct mv_exit exit = {.size = sizeof(exit)};

    CHECK(count > 60 && mv_machine_create(&config, &copy, &err) == 0);
    for (int i = 0; i < count; i++)
        wanted[i] = saved[count - 1 - i];
    memcpy(mv_machine_memory(copy, RAM, 1 << 20), mv_machine_memory(machine, RAM, 1 << 20),
           1 << 20);
    if (mv_vcpu_set_registers(mv_machine_vcpu(copy, 0), wanted, (size_t)count, &err) < 0) {
        fprintf(stderr, "%s (%s)\n", err.tried, err.hint);
        abort();
    }
    CHECK(get(copy, "sctlr_el1") & 1 && get(copy, "sp") == get(machine, "sp"));
    CHECK(mv_vcpu_run(mv_machine_vcpu(copy, 0), MV_UNTIL_EXIT, MV_FOREVER, &exit) == 0);
    CHECK(exit.kind == MV_EXIT_MMIO && exit.access.write && exit.access.value == 42);
    mv_machine_destroy(copy);
    mv_machine_destroy(machine);
}

/* Sets of which KVM takes a part, and of which none is to stay. */
static void registers_are_set_whole_or_not_at_all(void)
{
    static const struct {
        int error;
        struct mv_register_value values[2];
        const char *tried, *hint;
    } rows[] = {
        {-EINVAL, {{"x7", 5, 0}, {"pstate", 9, 0}}, "the register pstate", "PSTATE.M is no mode"},
        {-EINVAL, {{"x7", 5, 0}, {"midr_el1", 5, 0}}, "the register midr_el1", "manual"},
        {-EINVAL, {{"sp", 16, 0}, {"sp_el1", 32, 0}}, "sp was set to 0x10 and reads back", ""},
        {-ENOENT, {{"x7", 5, 0}, {"w0", 6, 0}}, "no register w0", "lower case"},
        {-ERANGE, {{"x7", 5, 0}, {"fpcr", 1ull << 32, 0}}, "fpcr has 32 bits", ""},
        {-ERANGE, {{"x7", 5, 0}, {"x8", 0, 1}}, "x8 has 64 bits", ""},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mv_machine *machine = CREATE(MV_MODE_64, spin);
        struct mv_vcpu *vcpu = mv_machine_vcpu(machine, 0);
        struct mv_register_value before[MV_REGISTERS_MAX], after[MV_REGISTERS_MAX];
        int count = mv_vcpu_get_registers(vcpu, before, MV_REGISTERS_MAX);
        struct mv_error err = {0};

        int error = mv_vcpu_set_registers(vcpu, rows[i].values, 2, &err);

        if (error != rows[i].error || !strstr(err.tried, rows[i].tried) ||
            !strstr(err.hint, rows[i].hint)) {
            fprintf(stderr, "row %zu: %d, %s (%s)\n", i, error, err.tried, err.hint);
            abort();
        }
        CHECK(mv_vcpu_get_registers(vcpu, after, MV_REGISTERS_MAX) == count);
        for (int j = 0; j < count; j++)
            CHECK(before[j].value == after[j].value && before[j].high == after[j].high);
        mv_machine_destroy(machine);
    }
}

static void floating_point_is_on(enum mv_mode mode)
{
    struct mv_machine *machine = CREATE(mode, compute);
    struct mv_exit exit = {.size = sizeof(exit)};

    CHECK(mv_vcpu_run(mv_machine_vcpu(machine, 0), MV_UNTIL_EXIT, MV_FOREVER, &exit) == 0);
    CHECK(exit.kind == MV_EXIT_MMIO && exit.access.write && exit.access.value == 5);
    mv_machine_destroy(machine);
}

/* Without a hook of their kind, on vCPUs with threads: a write to nobody. */
static void hypercalls_nobody_wants(void)
{
    struct seen all = {0};
    const struct mv_hook hooks[] = {{.size = sizeof(struct mv_hook),
                                     .kind = MV_EXIT_MMIO,
                                     .first = MV_HYPERCALL_ADDRESS,
                                     .last = MV_HYPERCALL_ADDRESS,
                                     .fn = count_all,
                                     .context = &all},
                                    {.size = sizeof(struct mv_hook),
                                     .kind = MV_EXIT_MMIO,
                                     .first = 0x03000000,
                                     .last = 0x03000000,
                                     .fn = stop_at,
                                     .context = &all}};
    struct mv_machine *machine =
        create(MV_MODE_EL1, call, call_end, (struct mv_config){.hooks = hooks, .hook_count = 2});
    struct mv_error err = {0};
    struct mv_end end;

    stopped_by = machine;
    CHECK(mv_machine_run(machine, &end, &err) == 0 && end.reason == MV_END_STOPPED);
    CHECK(all.count == 1 && all.last == 30); /* x0 is as it was */
    mv_machine_destroy(machine);
}

static void pages_are_walked(void)
{
    struct mv_machine *machine = CREATE(MV_MODE_64, speak);
    struct mv_vcpu *vcpu = mv_machine_vcpu(machine, 0);
    struct mv_walk walk;
    uint32_t word;

    CHECK(mv_vcpu_translate(vcpu, start + 4, &walk) == 0);
    CHECK(walk.mapped && walk.address == start + 4 && walk.page_size == 1 << 30);
    CHECK(walk.levels == 1 && strcmp(walk.level[0].name, "level 1") == 0 && walk.executable);
    CHECK(mv_vcpu_translate(vcpu, 16, &walk) == 0 && walk.mapped && !walk.executable);
    CHECK(mv_vcpu_translate(vcpu, 1ull << 40, &walk) == 0 && !walk.mapped && walk.why[0]);
    CHECK(mv_vcpu_translate(vcpu, ~0ull, &walk) == 0 && !walk.mapped && walk.why[0]);
    CHECK(mv_vcpu_read(vcpu, start, &word, 4) == 0 && memcmp(&word, speak, 4) == 0);
    mv_machine_destroy(machine);
}

/* The machine has stopped at a brk. */
static void breakpoint_is_the_guests(struct mv_machine *machine)
{
    const uint64_t vectors = RAM + 0x20000, at = get(machine, "pc"),
                   before = get(machine, "pstate");
    struct mv_vcpu *vcpu = mv_machine_vcpu(machine, 0);
    struct mv_exit exit = {.size = sizeof(exit)};

    CHECK(mv_machine_write(machine, vectors + 0x200, speak, (size_t)(speak_end - speak)) == 0);
    CHECK(mv_vcpu_set(vcpu, "vbar_el1", vectors) == 0);
    CHECK(mv_vcpu_pass_breakpoint(vcpu) == 0);
    CHECK(mv_vcpu_run(vcpu, MV_UNTIL_EXIT, MV_FOREVER, &exit) == 0);
    CHECK(exit.kind == MV_EXIT_MMIO && exit.access.value == 42);
    CHECK(mv_vcpu_pass_breakpoint(vcpu) == -EINVAL);
    CHECK(get(machine, "elr_el1") == at && get(machine, "spsr_el1") == before);
    CHECK(get(machine, "esr_el1") >> 26 == 0x3c && get(machine, "pc") - vectors - 0x200 < 0x40);
    CHECK((get(machine, "pstate") & 0x3df) == 0x3c5); /* EL1h, all masked */
}

static void stops(void)
{
    struct mv_machine *machine = CREATE(MV_MODE_64, points);
    struct mv_vcpu *vcpu = mv_machine_vcpu(machine, 0);
    const struct mv_debug debug = {
        .size = sizeof(debug),
        .software = true,
        .count = 2,
        .points = {{MV_BREAK_EXECUTE, start + 8, 4}, {MV_WATCH_WRITE, RAM + 0x40000, 4}}};
    struct mv_exit exit = {.size = sizeof(exit)};

    CHECK(mv_machine_breakpoints_work(machine));
    CHECK(mv_vcpu_run(vcpu, MV_UNTIL_STEP, MV_FOREVER, &exit) == 0);
    CHECK(exit.kind == MV_EXIT_DEBUG && exit.debug.reason == MV_DEBUG_STEP);
    CHECK(exit.debug.address == start + 4 && get(machine, "pc") == start + 4);
    CHECK(mv_vcpu_debug(vcpu, &debug) == 0);
    CHECK(mv_vcpu_run(vcpu, MV_UNTIL_EXIT, MV_FOREVER, &exit) == 0);
    CHECK(exit.kind == MV_EXIT_DEBUG && exit.debug.reason == MV_DEBUG_BREAKPOINT);
    CHECK(exit.debug.address == start + 8);
    CHECK(mv_vcpu_debug(vcpu, &(struct mv_debug){.size = sizeof(struct mv_debug),
                                                 .software = true,
                                                 .count = 1,
                                                 .points = {debug.points[1]}}) == 0);
    CHECK(mv_vcpu_run(vcpu, MV_UNTIL_EXIT, MV_FOREVER, &exit) == 0);
    CHECK(exit.kind == MV_EXIT_DEBUG && exit.debug.reason == MV_DEBUG_WATCHPOINT);
    CHECK(exit.debug.address == RAM + 0x40000);
    CHECK(mv_vcpu_debug(
              vcpu, &(struct mv_debug){.size = sizeof(struct mv_debug), .software = true}) == 0);
    CHECK(mv_vcpu_run(vcpu, MV_UNTIL_EXIT, MV_FOREVER, &exit) == 0);
    CHECK(exit.kind == MV_EXIT_DEBUG && exit.debug.reason == MV_DEBUG_SOFTWARE);
    CHECK(exit.debug.address == start + 20);
    breakpoint_is_the_guests(machine);
    mv_machine_destroy(machine);
}

static void time_is_over(void)
{
    struct mv_machine *machine = CREATE(MV_MODE_EL1, spin);
    struct mv_exit exit = {.size = sizeof(exit)};

    CHECK(mv_vcpu_run(mv_machine_vcpu(machine, 0), MV_UNTIL_EXIT, 5000000, &exit) == 0);
    CHECK(exit.kind == MV_EXIT_TIMEOUT);
    mv_machine_stop(machine, 3);
    CHECK(mv_vcpu_run(mv_machine_vcpu(machine, 0), MV_UNTIL_EXIT, MV_FOREVER, &exit) == 0);
    CHECK(exit.kind == MV_EXIT_END && exit.end.code == 3);
    mv_machine_destroy(machine);
}

static void expect_words(struct mv_machine *machine, const char *words)
{
    char *text = NULL;

    CHECK(mv_machine_explain(machine, &text) == 0);
    if (!strstr(text, words))
        fprintf(stderr, "no \"%s\" in \"%s\"\n", words, text);
    CHECK(strstr(text, words));
    free(text);
}

/* A load that KVM cannot decode; a jump to where there is no memory, which raises exceptions for
 * ever. */
static void what_reaches_no_memory_is_explained(void)
{
    struct mv_machine *machine = CREATE(MV_MODE_64, pair);
    struct mv_exit exit = {.size = sizeof(exit)};
    int error = mv_vcpu_run(mv_machine_vcpu(machine, 0), MV_UNTIL_EXIT, MV_FOREVER, &exit);

    CHECK(error == 0 && exit.kind == MV_EXIT_END && exit.end.reason == MV_END_INTERNAL_ERROR);
    expect_words(machine, "the address 0x3000000 is no memory");
    mv_machine_destroy(machine);
    machine = CREATE(MV_MODE_EL1, nowhere);
    CHECK(mv_vcpu_run(mv_machine_vcpu(machine, 0), MV_UNTIL_EXIT, 50000000, &exit) == 0);
    CHECK(exit.kind == MV_EXIT_TIMEOUT);
    expect_words(machine, "the last one was an instruction abort");
    expect_words(machine, "VBAR_EL1 is 0: it was never set");
    mv_machine_destroy(machine);
}

static void pauses_hold(void)
{
    struct mv_machine *machine =
        create(MV_MODE_64, increment, increment_end, (struct mv_config){.cpus = 2});
    volatile uint32_t *counter = mv_machine_memory(machine, RAM + 0x40000, 4);
    struct timespec moment = {.tv_nsec = 2000000};
    struct mv_error err = {0};
    struct mv_end end;

    CHECK(mv_machine_start(machine, &err) == 0);
    for (int i = 0; i < 5; i++) {
        uint32_t before = *counter;

        while (*counter == before)
            ;
        mv_machine_pause(machine);
        before = *counter;
        nanosleep(&moment, NULL);
        CHECK(*counter == before);
        mv_machine_resume(machine);
    }
    mv_machine_stop(machine, 0);
    CHECK(mv_machine_wait(machine, &end, &err) == 0 && end.reason == MV_END_STOPPED);
    mv_machine_destroy(machine);
}

static void instructions_are_disassembled(void)
{
    struct mv_machine *machine = CREATE(MV_MODE_64, speak);
    struct mv_vcpu *vcpu = mv_machine_vcpu(machine, 0);
    uint32_t nothing = 0xffffffff;
    char text[80] = "untouched";

    if (!CAPSTONE) {
        CHECK(mv_vcpu_disassemble(vcpu, start, text, sizeof(text)) == -ENOSYS);
        CHECK(strcmp(text, "untouched") == 0);
        mv_machine_destroy(machine);
        return;
    }
    CHECK(mv_machine_write(machine, start + 4, &nothing, sizeof(nothing)) == 0);
    CHECK(mv_vcpu_disassemble(vcpu, start + 4, text, sizeof(text)) == -EILSEQ);
    CHECK(mv_vcpu_disassemble(vcpu, RAM + (1 << 20), text, sizeof(text)) == -EFAULT);
    CHECK(strcmp(text, "untouched") == 0);
    CHECK(mv_vcpu_disassemble(vcpu, start + 8, text, sizeof(text)) == 4);
    CHECK(strcmp(text, "strb w0, [x1]") == 0);
    CHECK(mv_vcpu_disassemble(vcpu, start + 28, text, sizeof(text)) == 4);
    CHECK(strcmp(text, "hvc #0") == 0);
    mv_machine_destroy(machine);
}

/* Before the vCPU has noticed. */
static void holds_taken_back_leave_it_running(void)
{
    struct mv_machine *machine = CREATE(MV_MODE_64, increment);
    volatile uint32_t *counter = mv_machine_memory(machine, RAM + 0x40000, 4);
    struct mv_error err = {0};
    struct mv_end end;

    CHECK(mv_machine_start(machine, &err) == 0);
    for (int i = 0; i < 1000; i++) {
        mv_machine_hold(machine);
        mv_machine_resume(machine);
    }
    for (uint32_t before = *counter; *counter == before;)
        ;
    mv_machine_stop(machine, 0);
    CHECK(mv_machine_wait(machine, &end, &err) == 0 && end.reason == MV_END_STOPPED);
    mv_machine_destroy(machine);
}

int main(void)
{
    exits_one_at_a_time(MV_MODE_EL1);
    exits_one_at_a_time(MV_MODE_64);
    hypercalls();
    hooks_serve();
    custom_devices();
    interrupt_lines_are_told_apart();
    registers_have_names();
    registers_move_to_another_machine();
    registers_are_set_whole_or_not_at_all();
    floating_point_is_on(MV_MODE_EL1);
    floating_point_is_on(MV_MODE_64);
    hypercalls_nobody_wants();
    pages_are_walked();
    instructions_are_disassembled();
    stops();
    time_is_over();
    what_reaches_no_memory_is_explained();
    pauses_hold();
    holds_taken_back_leave_it_running();
    puts("ok bare machines");
    return 0;
}
