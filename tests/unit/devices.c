/* SPDX-License-Identifier: MIT */
/* The small devices (power, reset, exit status, pvpanic, boot timer) and the board. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "arch/arch.h"
#include "layout.h"
#include "machine/board.h"
#include "power.h"

static struct mv_devices devices;
static struct mv_arch *arch; /* without a kernel */
static struct mv_loop loop;
static struct mv_timeline timeline;
static struct {
    enum mv_end_reason reason;
    int code;
    unsigned calls;
} end;

static void on_end(void *context, enum mv_end_reason reason, int code)
{
    cr_assert_eq(context, &end);
    end.reason = reason;
    end.code = code;
    end.calls++;
}

static void on_irq(void *context, int irq, bool level)
{
    (void)context, (void)irq, (void)level;
}

static void start(void)
{
    struct mv_device_env env = {.irq.set = on_irq,
                                .loop = &loop,
                                .shutdown = {on_end, &end},
                                .timeline = &timeline,
                                .wake = -1};
    struct mv_error err;

    timeline.on = true;
    cr_assert_eq(mv_loop_init(&loop), 0);
    cr_assert_eq(mv_board_init(&devices, &env, &err), 0);
    cr_assert_eq(mv_arch_create(1, false, &arch, &err), 0);
    cr_assert_eq(mv_board_add_late(&devices, arch, &env, &err), 0);
}

static void stop(void)
{
    mv_arch_destroy(arch);
    mv_devices_done(&devices);
    mv_loop_done(&loop);
}

TestSuite(devices, .init = start, .fini = stop);

static void write_port(uint64_t port, unsigned size, uint64_t value)
{
    end.reason = MV_END_NONE;
    end.code = -1;
    cr_assert(mv_bus_write(&devices.ports, port, size, value));
}

static uint64_t read_port(uint64_t port, unsigned size)
{
    uint64_t value;

    cr_assert(mv_bus_read(&devices.ports, port, size, &value));
    return value;
}

Test(devices, names_are_unique_and_short_and_each_is_found)
{
    for (unsigned i = 0; i < devices.count; i++) {
        const struct mv_device_desc *desc = &devices.all[i].desc;

        cr_expect_leq(strlen(desc->name), 15);
        for (unsigned j = 0; j < i; j++)
            cr_expect_neq(strcmp(devices.all[j].desc.name, desc->name), 0);
        cr_expect_eq(mv_bus_find(&devices.ports, desc->base), &devices.all[i]);
        cr_expect_eq(desc->hid == NULL, desc->acpi_name == NULL);
    }
    cr_expect_eq(devices.mmio.count, 0);
}

Test(devices, a_device_that_is_already_there_fails_the_board)
{
    struct mv_device_env env = {.loop = &loop, .timeline = &timeline, .wake = -1};
    struct mv_error err = {0};

    cr_expect_eq(mv_board_init(&devices, &env, &err), -EEXIST);
    cr_expect(strstr(err.tried, "serial0"));
}

Test(power, only_soft_off_with_slp_en_turns_off, .init = start, .fini = stop)
{
    for (unsigned value = 0; value < 256; value++) {
        write_port(MV_POWER_BASE + MV_POWER_SLEEP_CONTROL, 1, value);
        cr_expect_eq(end.reason, value == 0x34 ? MV_END_POWER_OFF : MV_END_NONE, "value %#x",
                     value);
    }
}

Test(power, only_1_in_the_reset_register_resets, .init = start, .fini = stop)
{
    for (unsigned value = 0; value < 256; value++) {
        write_port(MV_POWER_BASE + MV_POWER_RESET, 1, value);
        cr_expect_eq(end.reason, value == 1 ? MV_END_REBOOT : MV_END_NONE, "value %#x", value);
    }
}

Test(power, the_sleep_status_reads_as_awake_and_takes_writes, .init = start, .fini = stop)
{
    cr_expect_eq(read_port(MV_POWER_BASE + MV_POWER_SLEEP_STATUS, 1), 0);
    write_port(MV_POWER_BASE + MV_POWER_SLEEP_STATUS, 1, 0x80);
    cr_expect_eq(end.calls, 0);
}

Test(power, wider_accesses_do_nothing, .init = start, .fini = stop)
{
    write_port(MV_POWER_BASE, 2, 0x34);
    write_port(MV_POWER_BASE, 4, 0x010034);
    write_port(MV_POWER_BASE + 2, 2, 1);
    cr_expect_eq(end.calls, 0);
}

/* Words with SLP_EN, at the places where kernels have learnt to write them. */
Test(power, words_to_pm1_control_turn_off, .init = start, .fini = stop)
{
    static const uint16_t control[] = {0x604, 0x4004, 0xb004};

    for (unsigned i = 0; i < MV_COUNT(control); i++) {
        for (unsigned value = 0; value <= UINT16_MAX; value += 0x400) {
            write_port(control[i], 2, value);
            cr_expect_eq(end.reason, value & 0x2000 ? MV_END_POWER_OFF : MV_END_NONE, "%#x", value);
        }
        write_port(control[i], 2, 0x2001);
        cr_expect_eq(end.reason, MV_END_POWER_OFF, "as it is read, and SLP_EN");
        write_port(control[i], 1, 0x34);
        cr_expect_eq(end.reason, MV_END_NONE);
        for (unsigned value = 0; value < 256; value++) {
            write_port(control[i] + 1, 1, value);
            cr_expect_eq(end.reason, value & 0x20 ? MV_END_POWER_OFF : MV_END_NONE, "%#x", value);
        }
        cr_expect_eq(read_port(control[i], 2), 1, "ACPI is on");
    }
    write_port(0x608, 4, 0xffffffff);
    cr_expect_eq(end.reason, MV_END_NONE);
    cr_expect_eq(read_port(0x608, 4), 0, "no events");
}

Test(power, the_chipsets_ways_reset, .init = start, .fini = stop)
{
    for (unsigned value = 0; value < 256; value++) {
        write_port(0xcf9, 1, value);
        cr_expect_eq(end.reason, value & 4 ? MV_END_REBOOT : MV_END_NONE, "%#x", value);
        write_port(0x92, 1, value);
        cr_expect_eq(end.reason, value & 1 ? MV_END_REBOOT : MV_END_NONE, "%#x", value);
    }
    cr_expect_eq(read_port(0x92, 1), 2, "A20 is on, and a driver leaves the rest as it is");
    cr_expect_eq(read_port(0xcf9, 1), 0);
}

Test(power, the_keyboard_controller_knows_the_reset_command_only, .init = start, .fini = stop)
{
    for (unsigned value = 0; value < 256; value++) {
        write_port(0x64, 1, value);
        cr_expect_eq(end.reason, value >= 0xf0 && value % 2 == 0 ? MV_END_REBOOT : MV_END_NONE,
                     "value %#x", value);
    }
    write_port(0x64, 2, 0xfe);
    cr_expect_eq(end.reason, MV_END_NONE);
    cr_expect_eq(read_port(0x64, 1), 0, "nobody waits for its buffers");
}

Test(exit, the_byte_written_is_the_exit_status, .init = start, .fini = stop)
{
    for (unsigned value = 0; value < 256; value++) {
        write_port(0xf4, 1, value);
        cr_expect_eq(end.reason, MV_END_EXIT_CODE);
        cr_expect_eq(end.code, (int)value);
    }
    write_port(0xf4, 4, 0xabcd0142);
    cr_expect_eq(end.code, 0x42, "its low byte");
    cr_expect_eq(read_port(0xf4, 1), 0xff);
}

Test(bios_call, the_interrupt_is_told_by_cs_and_the_service_by_ax, .init = start, .fini = stop)
{
    for (unsigned vector = 0; vector < 256; vector++) {
        write_port(0xf6, 4, 0xe8200000 | (0xf000 + vector));
        cr_expect_eq(end.reason, MV_END_BIOS_CALL);
        cr_expect_eq(end.code, (int)(vector << 16 | 0xe820));
    }
    write_port(0xf6, 1, 0xff);
    write_port(0xf6, 2, 0xffff);
    cr_expect_eq(end.reason, MV_END_NONE, "nothing else writes all of it");
    cr_expect_eq(read_port(0xf6, 1), 0xff);
}

Test(pvpanic, a_panic_ends_the_machine_and_other_events_do_not, .init = start, .fini = stop)
{
    cr_expect_eq(read_port(0x505, 1), 1, "it announces the one event it knows");
    for (unsigned value = 0; value < 256; value++) {
        write_port(0x505, 1, value);
        cr_expect_eq(end.reason, value & 1 ? MV_END_PANIC : MV_END_NONE);
    }
}

Test(boot_timer, a_byte_written_is_a_mark, .init = start, .fini = stop)
{
    write_port(0xf5, 1, 42);
    write_port(0xf5, 4, 0x1122);
    cr_assert_eq(atomic_load(&timeline.count), 2);
    cr_expect_str_eq(timeline.marks[0].name, "guest mark");
    cr_expect_eq(timeline.marks[0].value, 42);
    cr_expect_eq(timeline.marks[1].value, 0x22);
    cr_expect_eq(read_port(0xf5, 2), 0xffff);
    cr_expect_eq(end.calls, 0);
}
