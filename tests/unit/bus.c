/* SPDX-License-Identifier: MIT */
/* The address spaces of devices: who is at an address, and what nobody answers. */
#include "core/bus.h"

#include <criterion/criterion.h>
#include <errno.h>

#include "core/util.h"

/* A device that remembers its last access. */
struct probe {
    struct mv_device device;
    uint64_t offset, value;
    unsigned size, reads, writes, holds;
    bool locked; /* the lock was held by somebody at the time */
};

static bool is_locked(pthread_mutex_t *lock)
{
    if (pthread_mutex_trylock(lock) != 0)
        return true;
    pthread_mutex_unlock(lock);
    return false;
}

static uint64_t read_probe(void *state, uint64_t offset, unsigned size)
{
    struct probe *probe = state;

    probe->offset = offset;
    probe->size = size;
    probe->reads++;
    probe->locked = is_locked(&probe->device.lock);
    return 0x1122334455667788;
}

static void write_probe(void *state, uint64_t offset, unsigned size, uint64_t value)
{
    struct probe *probe = state;

    probe->offset = offset;
    probe->size = size;
    probe->value = value;
    probe->writes++;
    probe->locked = is_locked(&probe->device.lock);
}

static void hold_probe(void *state, pthread_mutex_t *lock)
{
    struct probe *probe = state;

    cr_assert_eq(lock, &probe->device.lock);
    cr_assert(is_locked(lock));
    cr_assert_gt(probe->writes, probe->holds, "backpressure comes after the write");
    probe->holds++;
}

static const struct mv_device_ops ops = {
    .size = sizeof(ops), .read = read_probe, .write = write_probe};
static const struct mv_device_ops settling_ops = {.size = sizeof(settling_ops),
                                                  .read = read_probe,
                                                  .write = write_probe,
                                                  .backpressure = hold_probe};

static struct mv_bus bus;
static struct probe probes[MV_BUS_DEVICES + 1];

static int add(unsigned index, uint64_t base, uint64_t size)
{
    struct probe *probe = &probes[index];

    probe->device.desc = (struct mv_device_desc){
        .size = sizeof(struct mv_device_desc), .name = "probe", .base = base, .bytes = size};
    probe->device.ops = &ops;
    probe->device.state = probe;
    pthread_mutex_init(&probe->device.lock, NULL);
    return mv_bus_add(&bus, &probe->device);
}

Test(bus, a_device_answers_from_its_first_to_its_last_address)
{
    cr_assert_eq(add(0, 0x3f8, 8), 0);
    cr_expect_null(mv_bus_find(&bus, 0x3f7));
    cr_expect_eq(mv_bus_find(&bus, 0x3f8), &probes[0].device);
    cr_expect_eq(mv_bus_find(&bus, 0x3ff), &probes[0].device);
    cr_expect_null(mv_bus_find(&bus, 0x400));
}

Test(bus, an_empty_bus_answers_nothing)
{
    uint64_t value = 0;

    cr_expect_null(mv_bus_find(&bus, 0));
    cr_expect_null(mv_bus_find(&bus, UINT64_MAX));
    cr_expect(!mv_bus_read(&bus, 0, 1, &value));
    cr_expect(!mv_bus_write(&bus, 0, 1, 0));
}

Test(bus, reads_of_nothing_give_all_ones_of_their_size)
{
    static const struct {
        unsigned size;
        uint64_t ones;
    } rows[] = {{1, 0xff}, {2, 0xffff}, {4, 0xffffffff}, {8, UINT64_MAX}};

    for (unsigned i = 0; i < MV_COUNT(rows); i++) {
        uint64_t value = 0;

        cr_expect(!mv_bus_read(&bus, 0x1234, rows[i].size, &value));
        cr_expect_eq(value, rows[i].ones);
    }
}

Test(bus, values_are_cut_to_the_size_of_the_access)
{
    uint64_t value = 0;

    add(0, 0x100, 16);
    cr_expect(mv_bus_read(&bus, 0x104, 1, &value));
    cr_expect_eq(value, 0x88);
    cr_expect(mv_bus_read(&bus, 0x104, 2, &value));
    cr_expect_eq(value, 0x7788);
    cr_expect(mv_bus_read(&bus, 0x104, 4, &value));
    cr_expect_eq(value, 0x55667788);
    cr_expect(mv_bus_read(&bus, 0x104, 8, &value));
    cr_expect_eq(value, 0x1122334455667788);
    cr_expect(mv_bus_write(&bus, 0x104, 2, 0xabcdef));
    cr_expect_eq(probes[0].value, 0xcdef);
}

static void read_nothing(void *state, uint64_t offset, unsigned size, uint64_t *value)
{
    (void)state, (void)offset, (void)size, (void)value;
}

static void read_some(void *state, uint64_t offset, unsigned size, uint64_t *value)
{
    *value = *(uint64_t *)state + offset + size;
}

Test(bus, a_reader_that_gives_no_value_reads_as_all_ones)
{
    uint64_t base = 1000;
    struct mv_device_reader nothing = {.size = sizeof(nothing), .read = read_nothing};
    struct mv_device_reader some = {.size = sizeof(some), .read = read_some, .state = &base};

    cr_expect_eq(mv_device_read_into(&nothing, 0, 8), UINT64_MAX);
    cr_expect_eq(mv_device_read_into(&some, 3, 8), 1011);
}

Test(bus, a_device_sees_the_offset_and_size_under_its_lock)
{
    uint64_t value;

    add(0, 0x100, 16);
    mv_bus_read(&bus, 0x105, 2, &value);
    cr_expect_eq(probes[0].offset, 5);
    cr_expect_eq(probes[0].size, 2);
    cr_expect(probes[0].locked);
    probes[0].locked = false;
    mv_bus_write(&bus, 0x10f, 8, 1);
    cr_expect_eq(probes[0].offset, 15, "an access that begins in a device belongs to it");
    cr_expect_eq(probes[0].size, 8);
    cr_expect(probes[0].locked);
    cr_expect(!is_locked(&probes[0].device.lock), "the lock is given back");
}

Test(bus, a_write_names_the_device_that_may_hold_it_back)
{
    add(0, 0x100, 16);
    probes[0].device.ops = &settling_ops;
    for (unsigned i = 0; i < 2; i++) {
        struct mv_device *device = mv_bus_write(&bus, 0x100, 1, 1);

        cr_assert_eq(device, &probes[0].device);
        cr_expect(mv_device_is_busy(device), "nobody knows before it is asked");
        cr_expect_eq(probes[0].holds, i, "not while it is written to");
        mv_device_backpressure(device);
    }
    cr_expect_eq(probes[0].holds, 2);
    cr_expect(!is_locked(&probes[0].device.lock));
    cr_expect_null(mv_bus_write(&bus, 0x110, 1, 1));
}

static bool is_probe_busy(void *state)
{
    struct probe *probe = state;

    cr_assert(is_locked(&probe->device.lock));
    return probe->writes % 2;
}

Test(bus, a_device_of_ours_is_asked_whether_it_is_busy)
{
    static const struct mv_device_inner_ops inner = {.busy = is_probe_busy};

    add(0, 0x100, 16);
    probes[0].device.inner = &inner;
    for (unsigned i = 0; i < 4; i++)
        cr_expect_eq(mv_device_is_busy(mv_bus_write(&bus, 0x100, 1, 1)), i % 2 == 0);
}

static bool is_probe_flushed(void *state)
{
    return is_probe_busy(state);
}

static void stop_probe(void *state)
{
    struct probe *probe = state;

    cr_assert(!is_locked(&probe->device.lock));
    probe->holds++;
}

Test(bus, a_device_of_ours_is_flushed_and_then_stopped_any_other_is_done)
{
    static const struct mv_device_inner_ops inner = {.flush = is_probe_flushed, .stop = stop_probe};

    add(0, 0x100, 16);
    cr_expect(mv_device_flush(&probes[0].device));
    mv_device_stop(&probes[0].device);
    probes[0].device.inner = &inner;
    cr_expect(!mv_device_flush(&probes[0].device));
    mv_bus_write(&bus, 0x100, 1, 1);
    cr_expect(mv_device_flush(&probes[0].device));
    mv_device_stop(&probes[0].device);
    cr_expect_eq(probes[0].holds, 1);
    cr_expect(!mv_device_is_busy(&probes[0].device), "which it never is");
}

Test(bus, neighbours_do_not_overlap)
{
    cr_expect_eq(add(0, 0x200, 0x100), 0);
    cr_expect_eq(add(1, 0x300, 0x100), 0);
    cr_expect_eq(add(2, 0x100, 0x100), 0);
    cr_expect_eq(mv_bus_find(&bus, 0x1ff), &probes[2].device);
    cr_expect_eq(mv_bus_find(&bus, 0x200), &probes[0].device);
    cr_expect_eq(mv_bus_find(&bus, 0x2ff), &probes[0].device);
    cr_expect_eq(mv_bus_find(&bus, 0x300), &probes[1].device);
}

Test(bus, every_kind_of_overlap_is_refused_and_changes_nothing)
{
    static const struct {
        uint64_t base, size;
    } rows[] = {{0x200, 0x100}, {0x1ff, 2},     {0x2ff, 1},     {0x250, 0x10}, {0x100, 0x300},
                {0x200, 1},     {0x2ff, 0x100}, {0x100, 0x101}, {0, 0x1000},   {0, UINT64_MAX}};

    cr_assert_eq(add(0, 0x200, 0x100), 0);
    for (unsigned i = 0; i < MV_COUNT(rows); i++)
        cr_expect_eq(add(1, rows[i].base, rows[i].size), -EEXIST, "row %u", i);
    cr_expect_eq(bus.count, 1);
    cr_expect_eq(mv_bus_find(&bus, 0x250), &probes[0].device);
}

Test(bus, a_range_that_is_empty_or_wraps_is_refused)
{
    cr_expect_eq(add(0, 0x200, 0), -EINVAL);
    cr_expect_eq(add(0, UINT64_MAX, 2), -EINVAL);
    cr_expect_eq(add(0, 2, UINT64_MAX), -EINVAL);
    cr_expect_eq(bus.count, 0);
}

Test(bus, a_device_may_end_at_the_end_of_the_address_space)
{
    cr_expect_eq(add(0, UINT64_MAX - 15, 16), 0);
    cr_expect_eq(add(1, 0, 1), 0);
    cr_expect_eq(mv_bus_find(&bus, UINT64_MAX), &probes[0].device);
    cr_expect_eq(mv_bus_find(&bus, UINT64_MAX - 15), &probes[0].device);
    cr_expect_null(mv_bus_find(&bus, UINT64_MAX - 16));
    cr_expect_eq(mv_bus_find(&bus, 0), &probes[1].device);
    cr_expect_null(mv_bus_find(&bus, 1));
}

Test(bus, parts_of_an_access_that_crosses_a_page_reach_no_device)
{
    static const unsigned odd[] = {3, 5, 6, 7};
    uint64_t value;

    cr_expect_eq(add(0, 0x1000, 16), 0);
    for (unsigned i = 0; i < MV_COUNT(odd); i++) {
        cr_expect_not(mv_bus_read(&bus, 0x1000, odd[i], &value));
        cr_expect_eq(value, UINT64_MAX >> (64 - 8 * odd[i]));
        cr_expect_not(mv_bus_write(&bus, 0x1000, odd[i], 0));
    }
    cr_expect_eq(probes[0].reads, 0);
    cr_expect_eq(probes[0].writes, 0);
}

Test(bus, one_device_may_be_the_whole_space_but_for_the_last_byte)
{
    cr_expect_eq(add(0, 0, UINT64_MAX), 0);
    cr_expect_eq(mv_bus_find(&bus, UINT64_MAX - 1), &probes[0].device);
    cr_expect_null(mv_bus_find(&bus, UINT64_MAX));
}

Test(bus, devices_are_found_whatever_order_they_came_in)
{
    for (unsigned i = 0; i < MV_BUS_DEVICES; i++) /* 37 and 64 have no common divisor */
        cr_assert_eq(add(i, 0x1000 + (i * 37 % MV_BUS_DEVICES) * 0x20, 0x10), 0);
    for (unsigned i = 0; i < MV_BUS_DEVICES; i++) {
        uint64_t base = probes[i].device.desc.base;

        cr_expect_eq(mv_bus_find(&bus, base), &probes[i].device);
        cr_expect_eq(mv_bus_find(&bus, base + 0xf), &probes[i].device);
        cr_expect_null(mv_bus_find(&bus, base + 0x10));
        cr_expect_null(mv_bus_find(&bus, base - 1));
    }
}

Test(bus, the_sixty_fifth_device_does_not_fit)
{
    for (unsigned i = 0; i < MV_BUS_DEVICES; i++)
        cr_assert_eq(add(i, 0x1000 + i * 0x10ull, 0x10), 0);
    cr_expect_eq(add(MV_BUS_DEVICES, 0x10, 1), -ENOSPC);
    cr_expect_eq(bus.count, MV_BUS_DEVICES);
    cr_expect_eq(mv_bus_find(&bus, 0x1000), &probes[0].device);
}
