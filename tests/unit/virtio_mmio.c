/* SPDX-License-Identifier: MIT */
/* The registers of virtio over MMIO (virtio 1.2, 4.2.2), before a device of the test's. */
#include "virtio/mmio.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include "virtio_rig.h"

#define QUEUES  3
#define FEATURE (1ull << 5)
#define OFFERED (MV_VIRTIO_F_VERSION_1 | MV_RING_F_INDIRECT_DESC | MV_RING_F_EVENT_IDX | FEATURE)

struct access {
    uint64_t offset, value;
    unsigned size;
};

static struct device {
    struct mv_virtio *virtio;
    struct access read, write; /* the last of the configuration */
    bool slow;                 /* stop answers when the test says so */
    bool changed;              /* what rescan says */
    atomic_uint activations, notifications, stops, resets, destructions;
    uint64_t features; /* as activate found them */
    uint64_t config;   /* at every offset */
} dev = {.config = 0x1122334455667788};

static uint64_t config_read(void *state, uint64_t offset, unsigned size)
{
    ((struct device *)state)->read = (struct access){.offset = offset, .size = size};
    return ((struct device *)state)->config;
}

static void config_write(void *state, uint64_t offset, unsigned size, uint64_t value)
{
    ((struct device *)state)->write =
        (struct access){.offset = offset, .size = size, .value = value};
}

static void activate(void *state)
{
    struct device *device = state;

    device->features = mv_virtio_features(device->virtio);
    atomic_fetch_add(&device->activations, 1);
}

static void notify(void *state)
{
    atomic_fetch_add(&((struct device *)state)->notifications, 1);
}

static void stop_device(void *state)
{
    struct device *device = state;

    atomic_fetch_add(&device->stops, 1);
    if (!device->slow)
        mv_virtio_stopped(device->virtio);
}

static void reset_device(void *state)
{
    atomic_fetch_add(&((struct device *)state)->resets, 1);
}

static bool rescan(void *state)
{
    return ((struct device *)state)->changed;
}

static void destroy(void *state)
{
    atomic_fetch_add(&((struct device *)state)->destructions, 1);
}

static const struct mv_virtio_ops ops = {
    .size = sizeof(ops),
    .id = 42,
    .config_read = config_read,
    .config_write = config_write,
    .activate = activate,
    .notify = notify,
    .stop = stop_device,
    .reset = reset_device,
    .rescan = rescan,
    .destroy = destroy,
};

static struct ring rings[QUEUES];

/* With what rig.ioeventfd is by now. */
static void attach(void)
{
    const struct mv_virtio_type type = {
        .ops = &ops, .state = &dev, .queues = QUEUES, .features = FEATURE};

    cr_assert_eq(mv_virtio_create(&type, &dev.virtio), 0);
    rig_attach(dev.virtio);
}

/* As when the device has answered in queue 0. */
static void interrupt(void)
{
    dev.virtio->transport.interrupt(dev.virtio->transport.context, 1);
}

/* After a sleep so long that it does not go on looking by itself. */
static void ring_after_long(uint32_t queue)
{
    dev.virtio->slept_at = 0;
    rig_set(REG_QUEUE_NOTIFY, queue);
    rig_turn();
}

static void start(void)
{
    rig_start();
    for (unsigned i = 0; i < QUEUES; i++)
        ring_place(&rings[i], RIG_RINGS + i * RIG_RING, 16);
    attach();
}

/* Not attached, so that the test can wire it. */
static void start_unwired(void)
{
    rig_start();
    for (unsigned i = 0; i < QUEUES; i++)
        ring_place(&rings[i], RIG_RINGS + i * RIG_RING, 16);
}

TestSuite(virtio_mmio, .init = start, .fini = rig_stop, .timeout = 120);
TestSuite(virtio_wired, .init = start_unwired, .fini = rig_stop, .timeout = 120);

static void go_live(void)
{
    rig_negotiate(FEATURE);
    rig_set_queue(0, &rings[0]);
    rig_go();
    cr_assert_eq(rig_get(REG_STATUS), STATUS_LIVE);
}

/* ---- registers ---- */

Test(virtio_mmio, it_says_what_it_is)
{
    cr_expect_eq(rig_get(REG_MAGIC), 0x74726976);
    cr_expect_eq(rig_get(REG_VERSION), 2);
    cr_expect_eq(rig_get(REG_DEVICE_ID), 42);
    cr_expect_eq(rig_get(REG_VENDOR_ID), 0x4d56564d);
    cr_expect_eq(rig_get(REG_STATUS), 0);
    cr_expect_eq(rig_get(REG_CONFIG_GENERATION), 0);
    cr_expect_eq(rig_get(REG_SHM_LEN), UINT32_MAX, "no shared memory");
    cr_expect_eq(rig_get(REG_SHM_LEN + 4), UINT32_MAX);
}

Test(virtio_mmio, what_is_no_register_to_read_reads_as_all_ones)
{
    static const uint64_t known[] = {
        REG_MAGIC,           REG_VERSION,          REG_DEVICE_ID,   REG_VENDOR_ID,
        REG_DEVICE_FEATURES, REG_QUEUE_NUM_MAX,    REG_QUEUE_READY, REG_INTERRUPT_STATUS,
        REG_STATUS,          REG_CONFIG_GENERATION};

    for (uint64_t offset = 0; offset < REG_CONFIG; offset++) {
        bool is_known = false;

        for (unsigned i = 0; i < MV_COUNT(known); i++)
            is_known = is_known || known[i] == offset;
        cr_expect_eq(rig_get(offset) == UINT32_MAX, !is_known, "register %#x", (unsigned)offset);
    }
}

Test(virtio_mmio, accesses_of_a_wrong_width_read_all_ones_and_change_nothing)
{
    static const unsigned sizes[] = {1, 2, 8};

    go_live();
    for (unsigned i = 0; i < MV_COUNT(sizes); i++)
        for (uint64_t offset = 0; offset < REG_CONFIG; offset++) {
            cr_expect_eq(rig_read(offset, sizes[i]), mv_size_mask(sizes[i]));
            rig_write(offset, sizes[i], 0);
            rig_write(offset, sizes[i], UINT64_MAX);
        }
    rig_turn();
    cr_expect_eq(rig_get(REG_STATUS), STATUS_LIVE);
    cr_expect_eq(rig_get(REG_QUEUE_READY), 1);
    cr_expect_eq(atomic_load(&dev.notifications), 1, "the one of the start");
}

Test(virtio_mmio, misaligned_and_unknown_registers_take_no_writes)
{
    go_live();
    for (uint64_t offset = 0; offset < REG_CONFIG; offset++) {
        bool register_to_write =
            offset % 4 == 0 && offset >= REG_DEVICE_FEATURES_SEL && offset < REG_SHM_LEN;

        if (!register_to_write)
            rig_set(offset, offset % 2 ? UINT32_MAX : 0);
    }
    for (uint64_t offset = REG_MAGIC; offset <= REG_DEVICE_FEATURES; offset += 4)
        rig_set(offset, 0);
    rig_set(REG_QUEUE_NUM_MAX, 1);
    rig_set(REG_INTERRUPT_STATUS, 3);
    rig_turn();
    cr_expect_eq(rig_get(REG_STATUS), STATUS_LIVE);
    cr_expect_eq(rig_get(REG_MAGIC), 0x74726976);
    cr_expect_eq(rig_get(REG_QUEUE_NUM_MAX), MV_QUEUE_MAX);
    cr_expect_eq(rig_get(REG_INTERRUPT_STATUS), 0);
    cr_expect_eq(dev.write.size, 0);
}

Test(virtio_mmio, the_configuration_is_reached_at_each_offset_and_width)
{
    static const unsigned sizes[] = {1, 2, 4, 8};

    for (unsigned i = 0; i < MV_COUNT(sizes); i++)
        for (uint64_t offset = 0; offset < 0x100; offset++) {
            unsigned size = sizes[i];

            cr_expect_eq(rig_read(REG_CONFIG + offset, size),
                         0x1122334455667788 & mv_size_mask(size));
            cr_expect(dev.read.offset == offset && dev.read.size == size);
            rig_write(REG_CONFIG + offset, size, 0xa1a2a3a4a5a6a7a8);
            cr_expect(dev.write.offset == offset && dev.write.size == size);
            cr_expect_eq(dev.write.value, 0xa1a2a3a4a5a6a7a8 & mv_size_mask(size));
        }
}

/* ---- features ---- */

Test(virtio_mmio, features_are_offered_in_halves)
{
    static const uint32_t beyond[] = {2, 3, 31, 32, 64, 0x80000000, UINT32_MAX};

    rig_set(REG_DEVICE_FEATURES_SEL, 1);
    cr_expect_eq(rig_get(REG_DEVICE_FEATURES), (uint32_t)(OFFERED >> 32));
    rig_set(REG_DEVICE_FEATURES_SEL, 0);
    cr_expect_eq(rig_get(REG_DEVICE_FEATURES), (uint32_t)OFFERED);
    for (unsigned i = 0; i < MV_COUNT(beyond); i++) {
        rig_set(REG_DEVICE_FEATURES_SEL, beyond[i]);
        cr_expect_eq(rig_get(REG_DEVICE_FEATURES), 0);
    }
}

Test(virtio_mmio, features_that_were_accepted_reach_the_device_and_are_final)
{
    rig_negotiate(FEATURE);
    cr_expect_eq(rig_get(REG_STATUS), STATUS_READY);
    rig_set(REG_DRIVER_FEATURES_SEL, 0);
    rig_set(REG_DRIVER_FEATURES, UINT32_MAX);
    rig_set_queue(0, &rings[0]);
    rig_go();
    cr_expect_eq(dev.features, FEATURE | MV_VIRTIO_F_VERSION_1);
    cr_expect_eq(mv_virtio_features(dev.virtio), FEATURE | MV_VIRTIO_F_VERSION_1);
}

Test(virtio_mmio, halves_beyond_the_second_are_not_features)
{
    rig_set(REG_DRIVER_FEATURES_SEL, 2);
    rig_set(REG_DRIVER_FEATURES, UINT32_MAX);
    rig_set(REG_DRIVER_FEATURES_SEL, UINT32_MAX);
    rig_set(REG_DRIVER_FEATURES, UINT32_MAX);
    rig_negotiate(0);
    cr_expect_eq(rig_get(REG_STATUS), STATUS_READY);
    cr_expect_eq(mv_virtio_features(dev.virtio), MV_VIRTIO_F_VERSION_1);
}

Test(virtio_mmio, features_that_were_not_offered_are_not_accepted)
{
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t feature = 1ull << bit;

        rig_negotiate(feature);
        cr_expect_eq(rig_get(REG_STATUS),
                     feature & OFFERED ? STATUS_READY : STATUS_ACKNOWLEDGE | STATUS_DRIVER,
                     "bit %u", bit);
        rig_set(REG_STATUS, 0);
    }
}

Test(virtio_mmio, without_version_1_nothing_is_accepted_until_the_driver_thinks_better)
{
    rig_set(REG_STATUS, STATUS_ACKNOWLEDGE);
    rig_set(REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
    rig_set(REG_STATUS, STATUS_READY);
    cr_expect_eq(rig_get(REG_STATUS), STATUS_ACKNOWLEDGE | STATUS_DRIVER);
    rig_set(REG_DRIVER_FEATURES_SEL, 1);
    rig_set(REG_DRIVER_FEATURES, 1);
    rig_set(REG_STATUS, STATUS_READY);
    cr_expect_eq(rig_get(REG_STATUS), STATUS_READY);
}

/* ---- status ---- */

static void bring_to(uint32_t status)
{
    rig_reset();
    if (status == STATUS_READY || status == STATUS_LIVE) {
        rig_negotiate(0);
        rig_set_queue(0, &rings[0]);
    } else {
        if (status)
            rig_set(REG_STATUS, STATUS_ACKNOWLEDGE);
        if (status & STATUS_DRIVER)
            rig_set(REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
        rig_set(REG_DRIVER_FEATURES_SEL, 1);
        rig_set(REG_DRIVER_FEATURES, 1);
    }
    if (status == STATUS_LIVE)
        rig_go();
    cr_assert_eq(rig_get(REG_STATUS), status);
}

Test(virtio_mmio, status_bits_come_in_their_order_only)
{
    static const uint32_t states[] = {0, STATUS_ACKNOWLEDGE, STATUS_ACKNOWLEDGE | STATUS_DRIVER,
                                      STATUS_READY, STATUS_LIVE};

    for (unsigned i = 0; i < MV_COUNT(states); i++)
        for (uint32_t value = 1; value < 256; value++) {
            uint32_t from = states[i], bits = value & ~(uint32_t)STATUS_NEEDS_RESET;
            uint32_t expected = from | STATUS_NEEDS_RESET;

            if (bits == from)
                expected = from;
            else if (bits & STATUS_FAILED)
                expected = from | STATUS_FAILED;
            else if (i + 1 < MV_COUNT(states) && bits == states[i + 1])
                expected = bits;
            bring_to(from);
            rig_set(REG_STATUS, value);
            cr_expect_eq(rig_get(REG_STATUS), expected, "%#x after %#x", value, from);
        }
}

Test(virtio_mmio, bits_beyond_the_eighth_are_out_of_order_too)
{
    for (unsigned bit = 8; bit < 32; bit++) {
        bring_to(STATUS_ACKNOWLEDGE);
        rig_set(REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER | 1u << bit);
        cr_expect_eq(rig_get(REG_STATUS), STATUS_ACKNOWLEDGE | STATUS_NEEDS_RESET);
    }
}

Test(virtio_mmio, driver_ok_without_a_queue_needs_a_reset_and_says_so)
{
    rig_negotiate(0);
    rig_go();
    cr_expect(rig_needs_reset());
    cr_expect_eq(atomic_load(&dev.activations), 0);
    /* 2.1.2: "If DRIVER_OK is set ... the device MUST send a device configuration change" */
    cr_expect_eq(rig_get(REG_INTERRUPT_STATUS), 2);
    cr_expect_eq(atomic_load(&rig.interrupts), 1);
    rig_reset();
    go_live();
}

Test(virtio_mmio, without_events_of_the_host_it_fails_and_may_be_tried_again)
{
    struct rlimit limit, none = {.rlim_cur = 0};
    unsigned failures = 0;

    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none.rlim_max = limit.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    for (unsigned i = 0; i < 100; i++) {
        rig_negotiate(0);
        rig_set_queue(0, &rings[0]);
        rig_go();
        failures += rig_needs_reset();
        rig_reset();
    }
    setrlimit(RLIMIT_NOFILE, &limit); /* no check before: failing ones need a file */
    cr_expect_eq(failures, 100);
    cr_expect_geq(atomic_load(&rig.log_lines), 1);
    cr_expect_leq(atomic_load(&rig.log_lines), 10, "a guest cannot fill the host's log");
    go_live();
    cr_expect_eq(atomic_load(&dev.activations), 1);
}

/* ---- queues ---- */

Test(virtio_mmio, a_queue_takes_its_size_and_addresses_of_64_bits)
{
    struct mv_queue_state *state = &mv_virtio_queue(dev.virtio, 2)->state;

    rig_set(REG_QUEUE_SEL, 2);
    rig_set(REG_QUEUE_NUM, 0x12345678);
    for (unsigned i = 0; i < 3; i++) {
        rig_set(REG_QUEUE_DESC + 0x10 * i, 0x11111110 * (i + 1));
        rig_set(REG_QUEUE_DESC + 0x10 * i + 4, 0x89abcde0 + i);
    }
    cr_expect_eq(state->size, 0x12345678);
    cr_expect_eq(state->desc, 0x89abcde011111110);
    cr_expect_eq(state->avail, 0x89abcde122222220);
    cr_expect_eq(state->used, 0x89abcde233333330);
    rig_set(REG_QUEUE_DESC, 0);
    cr_expect_eq(state->desc, 0x89abcde000000000);
    cr_expect_eq(mv_virtio_queue(dev.virtio, 0)->state.size, 0);
    cr_expect_eq(rig_get(REG_QUEUE_READY), 0);
    cr_expect(!rig_needs_reset());
}

Test(virtio_mmio, queues_that_are_not_there_have_no_size_and_take_nothing)
{
    static const uint32_t beyond[] = {QUEUES, 63,         64,         255,
                                      65536,  0x7fffffff, 0x80000000, UINT32_MAX};

    rig_negotiate(0);
    for (unsigned i = 0; i < QUEUES; i++) {
        rig_set(REG_QUEUE_SEL, i);
        cr_expect_eq(rig_get(REG_QUEUE_NUM_MAX), MV_QUEUE_MAX);
    }
    for (unsigned i = 0; i < MV_COUNT(beyond); i++) {
        rig_set_queue(beyond[i], &rings[0]);
        cr_expect_eq(rig_get(REG_QUEUE_NUM_MAX), 0);
        cr_expect_eq(rig_get(REG_QUEUE_READY), 0);
    }
    cr_expect_eq(rig_get(REG_STATUS), STATUS_READY);
    for (unsigned i = 0; i < QUEUES; i++)
        cr_expect(mv_virtio_queue(dev.virtio, i)->state.size == 0 &&
                  !mv_virtio_queue(dev.virtio, i)->state.ready);
}

Test(virtio_mmio, a_queue_is_ready_after_features_ok_only)
{
    rig_set_queue(0, &rings[0]);
    cr_expect(rig_needs_reset());
    cr_expect_eq(rig_get(REG_QUEUE_READY), 0);
    rig_reset();
    rig_negotiate(0);
    rig_set_queue(0, &rings[0]);
    cr_expect_eq(rig_get(REG_QUEUE_READY), 1);
    cr_expect(!rig_needs_reset());
    cr_expect_eq(atomic_load(&rig.interrupts), 0);
}

Test(virtio_mmio, a_queue_that_cannot_be_needs_a_reset)
{
    struct ring bad[] = {rings[1], rings[1], rings[1], rings[1], rings[1], rings[1]};

    bad[0].size = 0;
    bad[1].size = 24;
    bad[2].size = 512;
    bad[3].desc += 8;
    bad[4].avail = RIG_DEVICE;
    bad[5].used = UINT64_MAX - 3;
    for (unsigned i = 0; i < MV_COUNT(bad); i++) {
        rig_reset();
        rig_negotiate(0);
        rig_set_queue(1, &bad[i]);
        cr_expect(rig_needs_reset(), "%u", i);
        cr_expect_eq(rig_get(REG_QUEUE_READY), 0);
    }
    cr_expect_eq(atomic_load(&rig.interrupts), 0, "the driver is not that far");
}

static const uint64_t queue_registers[] = {
    REG_QUEUE_NUM,        REG_QUEUE_DESC,   REG_QUEUE_DESC + 4,   REG_QUEUE_DRIVER,
    REG_QUEUE_DRIVER + 4, REG_QUEUE_DEVICE, REG_QUEUE_DEVICE + 4, REG_QUEUE_READY};

static void expect_ring(const struct mv_queue *queue, const struct ring *ring)
{
    cr_expect_eq(queue->state.size, ring->size);
    cr_expect_eq(queue->state.desc, ring->desc);
    cr_expect_eq(queue->state.avail, ring->avail);
    cr_expect_eq(queue->state.used, ring->used);
}

Test(virtio_mmio, a_queue_that_is_ready_does_not_change)
{
    for (unsigned i = 0; i < MV_COUNT(queue_registers); i++) {
        if (queue_registers[i] == REG_QUEUE_READY)
            continue;
        rig_reset();
        rig_negotiate(0);
        rig_set_queue(0, &rings[0]);
        rig_set(queue_registers[i], 0x40);
        cr_expect(rig_needs_reset(), "register %#x", (unsigned)queue_registers[i]);
        expect_ring(mv_virtio_queue(dev.virtio, 0), &rings[0]);
    }
    cr_expect_eq(atomic_load(&rig.interrupts), 0);
}

Test(virtio_mmio, a_queue_may_be_taken_back_and_set_up_anew_before_driver_ok)
{
    rig_negotiate(0);
    rig_set_queue(0, &rings[0]);
    rig_set(REG_QUEUE_READY, 0);
    cr_expect_eq(rig_get(REG_QUEUE_READY), 0);
    rig_set_queue(0, &rings[1]);
    cr_expect_eq(rig_get(REG_QUEUE_READY), 1);
    expect_ring(mv_virtio_queue(dev.virtio, 0), &rings[1]);
    rig_go();
    cr_expect_eq(rig_get(REG_STATUS), STATUS_LIVE);
}

Test(virtio_mmio, queue_registers_changed_while_live_need_a_reset_and_interrupt_once)
{
    for (unsigned queue = 0; queue < QUEUES; queue++)
        for (unsigned i = 0; i < MV_COUNT(queue_registers); i++) {
            unsigned before = atomic_load(&rig.interrupts);

            rig_reset();
            go_live();
            rig_set(REG_QUEUE_SEL, queue);
            rig_set(queue_registers[i], queue == 1 ? 1 : 0);
            cr_expect_eq(rig_get(REG_STATUS), STATUS_LIVE | STATUS_NEEDS_RESET);
            cr_expect_eq(rig_get(REG_INTERRUPT_STATUS), 2, "a change of the configuration");
            rig_set(queue_registers[i], 0x1000);
            cr_expect_eq(atomic_load(&rig.interrupts), before + 1);
            expect_ring(mv_virtio_queue(dev.virtio, 0), &rings[0]);
            cr_expect(mv_virtio_queue(dev.virtio, 0)->state.ready);
            cr_expect(!mv_virtio_queue(dev.virtio, 1)->state.ready);
        }
}

Test(virtio_mmio, one_that_needs_a_reset_is_not_rung_for_any_more)
{
    unsigned before;

    go_live();
    ring_after_long(0);
    rig_set(REG_QUEUE_NUM, 8);
    before = atomic_load(&dev.notifications);
    cr_expect_eq(before, 2);
    rig_set(REG_QUEUE_NOTIFY, 0);
    rig_turn();
    cr_expect_eq(atomic_load(&dev.notifications), before);
    rig_reset();
    go_live();
    cr_expect_eq(atomic_load(&dev.notifications), before + 1);
    cr_expect_eq(atomic_load(&dev.activations), 2);
}

Test(virtio_mmio, a_device_that_is_broken_by_its_driver_needs_a_reset)
{
    go_live();
    mv_virtio_break(dev.virtio);
    cr_expect_eq(rig_get(REG_STATUS), STATUS_LIVE | STATUS_NEEDS_RESET);
    cr_expect_eq(rig_get(REG_INTERRUPT_STATUS), 2);
    cr_expect_eq(atomic_load(&rig.interrupts), 1);
    mv_virtio_break(dev.virtio);
    cr_expect_eq(atomic_load(&rig.interrupts), 1, "once");
    rig_set(REG_STATUS, STATUS_LIVE);
    cr_expect(rig_needs_reset(), "a driver cannot clear it");
    rig_reset();
    cr_expect_eq(rig_get(REG_INTERRUPT_STATUS), 0);
}

/* ---- doorbell and interrupt ---- */

Test(virtio_mmio, doorbells_are_heard_when_it_is_live_whatever_they_name)
{
    static const uint32_t names[] = {0, QUEUES - 1, QUEUES, 255, 0x80000000, UINT32_MAX};

    rig_set(REG_QUEUE_NOTIFY, 0);
    rig_negotiate(0);
    rig_set_queue(0, &rings[0]);
    rig_set(REG_QUEUE_NOTIFY, 0);
    rig_turn();
    cr_expect_eq(atomic_load(&dev.notifications), 0, "not before DRIVER_OK");
    rig_go();
    cr_expect_eq(atomic_load(&dev.activations), 1);
    cr_expect_eq(atomic_load(&dev.notifications), 1, "what was offered before");
    for (unsigned i = 0; i < MV_COUNT(names); i++) {
        ring_after_long(names[i]);
        cr_expect_eq(atomic_load(&dev.notifications), 2 + i);
    }
    cr_expect_eq(rig_get(REG_STATUS), STATUS_LIVE);
}

Test(virtio_mmio, an_interrupt_has_its_reason_until_it_is_acknowledged)
{
    go_live();
    cr_expect_eq(rig_get(REG_INTERRUPT_STATUS), 0);
    interrupt();
    cr_expect_eq(atomic_load(&rig.interrupts), 1);
    cr_expect_eq(rig_get(REG_INTERRUPT_STATUS), 1);
    interrupt();
    cr_expect_eq(atomic_load(&rig.interrupts), 2, "an edge each");
    dev.changed = true;
    rig.device.ops->rescan(rig.device.state);
    cr_expect_eq(rig_get(REG_INTERRUPT_STATUS), 3);
    rig_set(REG_INTERRUPT_ACK, 0);
    cr_expect_eq(rig_get(REG_INTERRUPT_STATUS), 3);
    rig_set(REG_INTERRUPT_ACK, 1);
    cr_expect_eq(rig_get(REG_INTERRUPT_STATUS), 2);
    rig_set(REG_INTERRUPT_ACK, UINT32_MAX);
    cr_expect_eq(rig_get(REG_INTERRUPT_STATUS), 0);
}

Test(virtio_mmio, what_changed_on_the_host_is_another_generation)
{
    rig.device.ops->rescan(rig.device.state);
    cr_expect_eq(rig_get(REG_CONFIG_GENERATION), 0);
    dev.changed = true;
    rig.device.ops->rescan(rig.device.state);
    cr_expect_eq(rig_get(REG_CONFIG_GENERATION), 2);
    cr_expect_eq(atomic_load(&rig.interrupts), 0, "there is no driver to tell");
    go_live();
    rig.device.ops->rescan(rig.device.state);
    cr_expect_eq(rig_get(REG_CONFIG_GENERATION), 4);
    cr_expect_eq(atomic_load(&rig.interrupts), 1);
    cr_expect_eq(rig_get(REG_INTERRUPT_STATUS), 2);
    rig_reset();
    cr_expect_eq(rig_get(REG_CONFIG_GENERATION), 4, "a reset does not turn it back");
}

/* ---- events that KVM carries ---- */

static int added_address = -1, ioeventfd_error;
static unsigned ioeventfds;

static int add_ioeventfd(void *context, uint64_t address, int eventfd)
{
    cr_assert_eq(context, &ioeventfds);
    cr_assert_eq(address, RIG_DEVICE + REG_QUEUE_NOTIFY);
    ioeventfds++;
    if (!ioeventfd_error)
        added_address = eventfd;
    return ioeventfd_error;
}

Test(virtio_wired, doorbell_is_wired_once_when_it_is_live)
{
    rig.ioeventfd = (struct mv_ioeventfd){add_ioeventfd, &ioeventfds};
    attach();
    rig_negotiate(0);
    rig_set_queue(0, &rings[0]);
    cr_expect_eq(ioeventfds, 0);
    rig_go();
    cr_assert_eq(ioeventfds, 1);
    dev.virtio->slept_at = 0;
    eventfd_write(added_address, 1);
    rig_turn();
    cr_expect_eq(atomic_load(&dev.notifications), 2);
    rig_reset();
    go_live();
    cr_expect_eq(ioeventfds, 1);
    eventfd_write(added_address, 1);
    rig_reset();
    eventfd_write(added_address, 1);
    rig_turn();
    cr_expect_eq(rig_get(REG_STATUS), 0, "KVM's doorbell also rings when nobody is there");
}

Test(virtio_wired, where_it_cannot_be_wired_each_ring_is_an_exit_and_the_log_does_not_fill)
{
    rig.ioeventfd = (struct mv_ioeventfd){add_ioeventfd, &ioeventfds};
    ioeventfd_error = -ENOSPC;
    attach();
    for (unsigned i = 0; i < 100; i++) {
        go_live();
        interrupt();
        cr_expect_eq(atomic_load(&rig.interrupts), i + 1);
        rig_reset();
    }
    cr_expect_eq(atomic_load(&dev.notifications), 100);
    cr_expect_geq(atomic_load(&rig.log_lines), 1);
    cr_expect_leq(atomic_load(&rig.log_lines), 10, "a guest cannot fill the host's log");
}

/* ---- what is read without an exit ---- */

static _Atomic uint32_t *page;

static void attach_with_page(void)
{
    page = aligned_alloc(MV_PAGE_SIZE, MV_PAGE_SIZE);
    cr_assert_not_null(page);
    rig.page = (void *)page;
    attach();
}

/* In the page stands what an exit would read. */
static void expect_page(const char *when)
{
    for (uint64_t offset = 0; offset < MV_VIRTIO_MMIO_SIZE; offset += 4)
        cr_expect_eq(atomic_load(&page[offset / 4]), rig_get(offset), "register %#x %s",
                     (unsigned)offset, when);
    for (uint64_t offset = MV_VIRTIO_MMIO_SIZE; offset < MV_PAGE_SIZE; offset += 4)
        cr_expect_eq(atomic_load(&page[offset / 4]), UINT32_MAX, "behind the registers");
}

Test(virtio_wired, the_page_reads_as_the_registers_do_at_any_time)
{
    attach_with_page();
    expect_page("at first");
    rig_set(REG_DEVICE_FEATURES_SEL, 1);
    expect_page("after a selection");
    cr_expect_eq(atomic_load(&page[REG_DEVICE_FEATURES / 4]), OFFERED >> 32);
    rig_set(REG_QUEUE_SEL, QUEUES);
    expect_page("of a queue that is not there");
    cr_expect_eq(atomic_load(&page[REG_QUEUE_NUM_MAX / 4]), 0);
    go_live();
    expect_page("when live");
    interrupt();
    expect_page("after an interrupt");
    rig_set(REG_INTERRUPT_ACK, 1);
    expect_page("after its acknowledgement");
    dev.changed = true;
    rig.device.ops->rescan(rig.device.state);
    expect_page("after a change on the host");
    mv_virtio_break(dev.virtio);
    expect_page("when it needs a reset");
    cr_expect_eq(atomic_load(&page[REG_STATUS / 4]), STATUS_LIVE | STATUS_NEEDS_RESET);
    rig_reset();
    expect_page("after a reset");
    rig_set(REG_STATUS, STATUS_ACKNOWLEDGE);
    rig_set(REG_STATUS, STATUS_LIVE);
    expect_page("when it needs a reset early");
    rig_set(REG_STATUS, 0);
    expect_page("after another reset");
}

Test(virtio_wired, what_the_driver_writes_to_the_configuration_is_in_the_page)
{
    attach_with_page();
    dev.config = 0x0123456789abcdef;
    rig_write(REG_CONFIG + 40, 1, 0);
    cr_expect_eq(atomic_load(&page[REG_CONFIG / 4]), 0x89abcdef);
    expect_page("after a write");
}

static atomic_bool enough;

/* Waits until the generation is another; false when it takes too long. */
static bool wait_for_generation(uint32_t after)
{
    uint64_t end = mv_monotonic_ns() + RIG_PATIENCE * 1000000ull;

    while (atomic_load(&page[REG_CONFIG_GENERATION / 4]) == after)
        if (mv_monotonic_ns() > end)
            return false;
    return true;
}

/*
 * As drivers read what is longer than a register (2.5.3).  Without an exit nothing keeps
 * one from reading just while it is changed, and so half of a change under one generation;
 * but that generation is over a moment later, and then comes the interrupt.
 */
static void *read_configuration(void *context)
{
    while (!atomic_load(&enough)) {
        uint32_t generation = atomic_load(&page[REG_CONFIG_GENERATION / 4]);
        uint32_t first = atomic_load(&page[REG_CONFIG / 4]);
        uint32_t second = atomic_load(&page[REG_CONFIG / 4 + 20]);

        if (first != second && !wait_for_generation(generation))
            return context;
    }
    return NULL;
}

static void rescan_under_lock(void)
{
    pthread_mutex_lock(&rig.device.lock);
    dev.config += 0x100000001;
    rig.device.ops->rescan(rig.device.state);
    pthread_mutex_unlock(&rig.device.lock);
}

Test(virtio_wired, the_generation_in_which_half_of_a_change_was_read_is_over_soon)
{
    pthread_t driver;
    void *half;

    attach_with_page();
    dev.config = 0;
    dev.changed = true;
    rescan_under_lock();
    pthread_create(&driver, NULL, read_configuration, &enough);
    for (unsigned i = 0; i < 20000; i++) {
        uint32_t before = rig_get(REG_CONFIG_GENERATION);

        rescan_under_lock();
        cr_assert_neq(rig_get(REG_CONFIG_GENERATION), before);
        cr_assert_eq(atomic_load(&page[REG_CONFIG / 4]), i + 2, "whole with the interrupt");
        cr_assert_eq(atomic_load(&page[REG_CONFIG / 4 + 63]), i + 2);
    }
    atomic_store(&enough, true);
    pthread_join(driver, &half);
    cr_expect_null(half);
}

/* ---- reset ---- */

Test(virtio_mmio, a_reset_forgets_all)
{
    go_live();
    rig_set(REG_QUEUE_SEL, 1);
    rig_set(REG_DEVICE_FEATURES_SEL, 1);
    interrupt();
    rig_reset();
    cr_expect_eq(atomic_load(&dev.stops), 1);
    cr_expect_eq(rig_get(REG_INTERRUPT_STATUS), 0);
    cr_expect_eq(rig_get(REG_DEVICE_FEATURES), (uint32_t)OFFERED);
    cr_expect_eq(rig_get(REG_QUEUE_READY), 0, "queue 0");
    for (unsigned i = 0; i < QUEUES; i++) {
        cr_expect_eq(mv_virtio_queue(dev.virtio, i)->state.size, 0);
        cr_expect_eq(mv_virtio_queue(dev.virtio, i)->state.desc, 0);
    }
    rig_set(REG_STATUS, STATUS_ACKNOWLEDGE);
    rig_set(REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
    rig_set(REG_STATUS, STATUS_READY);
    cr_expect_eq(rig_get(REG_STATUS), STATUS_ACKNOWLEDGE | STATUS_DRIVER, "VERSION_1, too");
}

Test(virtio_mmio, a_reset_before_driver_ok_is_done_at_once)
{
    rig_negotiate(0);
    rig_set_queue(0, &rings[0]);
    rig_set(REG_STATUS, 0); /* without a wait: nobody turns the loop */
    cr_expect_eq(rig_get(REG_STATUS), 0);
    cr_expect_eq(atomic_load(&dev.resets), 1, "the device knows");
    cr_expect_eq(atomic_load(&dev.stops), 0);
    cr_expect_eq(mv_virtio_queue(dev.virtio, 0)->state.size, 0);
}

Test(virtio_mmio, a_reset_before_the_device_has_noticed_its_start_ends_too)
{
    rig_negotiate(0);
    rig_set_queue(0, &rings[0]);
    rig_set(REG_STATUS, STATUS_LIVE);
    rig_reset();
    cr_expect_eq(atomic_load(&dev.activations), 0);
    cr_expect_eq(atomic_load(&dev.stops), 0, "it never began");
    go_live();
    cr_expect_eq(atomic_load(&dev.activations), 1);
}

Test(virtio_mmio, while_it_stops_the_status_stays_and_takes_nothing)
{
    dev.slow = true;
    go_live();
    rig_begin_reset();
    rig_turn();
    cr_expect_eq(atomic_load(&dev.stops), 1);
    pthread_mutex_lock(&rig.device.lock);
    rig.device.ops->write(rig.device.state, REG_STATUS, 4, STATUS_ACKNOWLEDGE);
    rig.device.ops->write(rig.device.state, REG_STATUS, 4, STATUS_FAILED);
    rig.device.ops->write(rig.device.state, REG_QUEUE_NOTIFY, 4, 0);
    pthread_mutex_unlock(&rig.device.lock);
    rig_turn();
    cr_expect_eq(rig_get(REG_STATUS), STATUS_LIVE);
    cr_expect_eq(atomic_load(&dev.notifications), 1, "it is not rung for");
    cr_expect(mv_virtio_queue(dev.virtio, 0)->state.ready, "it still has its queues");
    cr_expect_eq(atomic_load(&dev.resets), 0);
    mv_virtio_stopped(dev.virtio);
    cr_expect_eq(atomic_load(&dev.resets), 1);
    cr_expect_eq(rig_get(REG_STATUS), 0);
    cr_expect(!mv_virtio_queue(dev.virtio, 0)->state.ready);
}

static atomic_uint vcpu_steps;

static void *reset_as_vcpu(void *context)
{
    rig_set(REG_STATUS, 0);
    atomic_fetch_add(&vcpu_steps, 1);
    return context;
}

static void pause_ms(long ms)
{
    struct timespec time = {.tv_nsec = ms * 1000000};

    nanosleep(&time, NULL);
}

static bool has_stopped(void *context)
{
    (void)context;
    return atomic_load(&dev.stops) > 0;
}

/* In the loop thread: the last request is done. */
static void on_done(void *context, uint32_t events)
{
    (void)context, (void)events;
    mv_virtio_stopped(dev.virtio);
}

Test(virtio_mmio, a_vcpu_that_resets_waits_until_the_device_has_stopped)
{
    struct mv_loop_source done = {.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .fn = on_done};
    pthread_t vcpus[2];

    dev.slow = true;
    go_live();
    cr_assert_eq(mv_loop_watch(&rig.loop, &done, EPOLLIN | EPOLLET), 0);
    cr_assert_eq(mv_loop_start(&rig.loop), 0);
    for (unsigned i = 0; i < 2; i++)
        pthread_create(&vcpus[i], NULL, reset_as_vcpu, NULL);
    cr_assert(rig_wait(has_stopped, NULL));
    pause_ms(50);
    cr_expect_eq(atomic_load(&vcpu_steps), 0, "both are held back");
    cr_expect_eq(rig_get(REG_STATUS), STATUS_LIVE, "another may read meanwhile");
    eventfd_write(done.fd, 1);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(vcpus[i], NULL);
    cr_expect_eq(rig_get(REG_STATUS), 0);
    mv_loop_stop(&rig.loop);
    close(done.fd);
}

Test(virtio_mmio, while_a_vcpu_waits_for_a_reset_others_may_write)
{
    pthread_t vcpu;

    dev.slow = true;
    go_live();
    cr_assert_eq(mv_loop_start(&rig.loop), 0);
    pthread_create(&vcpu, NULL, reset_as_vcpu, NULL);
    cr_assert(rig_wait(has_stopped, NULL));
    cr_expect(mv_device_is_busy(&rig.device));
    for (unsigned i = 0; i < 2; i++) { /* nor is a second reset another one */
        mv_bus_write(&rig.bus, RIG_DEVICE + REG_QUEUE_NOTIFY, 4, 0);
        mv_bus_write(&rig.bus, RIG_DEVICE + REG_STATUS, 4, 0);
    }
    cr_expect_eq(atomic_load(&vcpu_steps), 0, "it is held back all the same");
    mv_loop_stop(&rig.loop);
    on_done(NULL, 0);
    pthread_join(vcpu, NULL);
    cr_expect_eq(rig_get(REG_STATUS), 0);
}

Test(virtio_mmio, it_may_be_started_and_reset_many_times_by_a_vcpu)
{
    cr_assert_eq(mv_loop_start(&rig.loop), 0);
    for (unsigned i = 0; i < 3000; i++) {
        rig_negotiate(i % 2 ? FEATURE : 0);
        rig_set_queue(i % QUEUES, &rings[i % QUEUES]);
        rig_set(REG_STATUS, STATUS_LIVE);
        if (i % 3)
            rig_set(REG_QUEUE_NOTIFY, 0);
        if (i % 5 == 0)
            sched_yield();
        rig_set(REG_STATUS, 0);
        cr_assert_eq(rig_get(REG_STATUS), 0);
    }
    cr_expect_eq(atomic_load(&dev.stops), atomic_load(&dev.activations), "as often as it began");
    cr_expect_eq(atomic_load(&dev.resets), 3000);
}

/* ---- vCPUs that do anything at once ---- */

static void *run_vcpu(void *context)
{
    static const uint32_t values[] = {0, 1, 3, 11, 15, 16, 1u << 20, UINT32_MAX};
    uint64_t state = *(unsigned *)context;

    for (unsigned i = 0; i < 20000; i++) {
        uint64_t random = rig_random(&state), offset = random >> 33 & 0x1fc;

        if (i % 32 == 0) {
            rig_negotiate(FEATURE);
            rig_set_queue(0, &rings[0]);
            rig_set(REG_STATUS, STATUS_LIVE);
        } else if (random >> 60 < 6) {
            rig_get(offset);
        } else {
            rig_set(random >> 60 < 10 ? offset : REG_QUEUE_NOTIFY, values[random >> 50 & 7]);
        }
    }
    return NULL;
}

Test(virtio_mmio, vcpus_that_write_anything_at_once_leave_it_able_to_work)
{
    unsigned seeds[] = {1, 2, 3};
    pthread_t vcpus[3];

    cr_assert_eq(mv_loop_start(&rig.loop), 0);
    for (unsigned i = 0; i < 3; i++)
        pthread_create(&vcpus[i], NULL, run_vcpu, &seeds[i]);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(vcpus[i], NULL);
    rig_set(REG_STATUS, 0);
    cr_expect_eq(rig_get(REG_STATUS), 0);
    go_live();
    cr_expect_gt(atomic_load(&dev.activations), 1);
}

Test(virtio_mmio, its_end_is_the_devices_end)
{
    rig.device.ops->destroy(rig.device.state);
    cr_expect_eq(atomic_load(&dev.destructions), 1);
    rig.device.ops = NULL;
}
