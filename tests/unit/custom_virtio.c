/* SPDX-License-Identifier: MIT */
/* Custom virtio devices: what minivmm/virtio.h says, behind the registers. */
#include "virtio/custom.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "virtio_rig.h"

#define FEATURE (1ull << 50)

static struct device {
    struct mv_virtio *virtio;
    struct mv_chain chain;
    bool idle;      /* notify takes nothing */
    bool later;     /* it keeps what it took */
    bool slow;      /* stop answers when it is called again */
    unsigned taken; /* chains */
    uint64_t kept[MV_QUEUE_MAX];
    unsigned kept_count;
    unsigned activations, stops, resets, destructions;
    uint64_t features;
} dev;

static void activate(void *state)
{
    struct device *device = state;

    device->activations++;
    device->features = mv_virtio_features(device->virtio);
}

/* Writes back what it reads, each byte plus one. */
static void notify(void *state)
{
    struct device *device = state;
    uint8_t bytes[64];

    while (!device->idle && mv_virtio_pop(device->virtio, 1, &device->chain)) {
        size_t size = mv_chain_read(&device->chain, 0, bytes, sizeof(bytes));

        device->taken++;
        for (size_t i = 0; i < size; i++)
            bytes[i]++;
        size = mv_chain_write(&device->chain, 0, bytes, size);
        if (device->later)
            device->kept[device->kept_count++] = device->chain.head;
        else
            mv_virtio_push(device->virtio, 1, device->chain.head, (uint32_t)size);
    }
    if (!device->later)
        while (device->kept_count)
            mv_virtio_push(device->virtio, 1, device->kept[--device->kept_count], 1);
}

static void stop_device(void *state)
{
    struct device *device = state;

    if (!device->slow || device->stops++)
        mv_virtio_stopped(device->virtio);
}

static void reset_device(void *state)
{
    ((struct device *)state)->resets++;
}

static void destroy(void *state)
{
    ((struct device *)state)->destructions++;
}

static const struct mv_virtio_ops full = {.size = sizeof(full),
                                          .id = 42,
                                          .activate = activate,
                                          .notify = notify,
                                          .stop = stop_device,
                                          .reset = reset_device,
                                          .destroy = destroy};
static const struct mv_virtio_ops least = {.size = sizeof(least), .id = 43, .notify = notify};

static struct mv_custom_virtio given = {.size = sizeof(given),
                                        .ops = &full,
                                        .state = &dev,
                                        .queues = 2,
                                        .features = FEATURE,
                                        .config = "abcdef",
                                        .config_size = 6,
                                        .ret_virtio = &dev.virtio};
static struct ring ring;

static void begin(const struct mv_virtio_ops *ops, uint64_t features)
{
    rig_start();
    given.ops = ops;
    cr_assert_eq(mv_custom_virtio_check(&given, NULL), 0);
    cr_assert_eq(mv_custom_virtio_create(&given, &dev.virtio), 0);
    mv_virtio_own(dev.virtio, true);
    rig_attach(dev.virtio);
    rig_negotiate(features);
    ring_place(&ring, RIG_RINGS, 8);
    rig_set_queue(1, &ring);
    rig_go();
    cr_assert_eq(rig_get(REG_STATUS), STATUS_LIVE);
}

/* A chain from `head` on of two bytes to read, in two buffers, and two to write. */
static void offer(unsigned head)
{
    static const struct ring_part parts[] = {{RIG_DATA, 1, false},
                                             {RIG_DATA + 1, 1, false},
                                             {RIG_DATA + 2, 1, true},
                                             {RIG_DATA + 3, 1, true}};

    memcpy(rig_at(RIG_DATA, 4), "ab..", 4);
    ring_offer_parts(&ring, head, parts, 4);
}

static void ring_doorbell(void)
{
    rig_set(REG_QUEUE_NOTIFY, 1);
    rig_turn();
}

static void expect_answer(unsigned head, unsigned written)
{
    struct ring_used used;

    cr_assert(ring_take(&ring, &used));
    cr_expect_eq(used.id, head);
    cr_expect_eq(used.len, written);
}

Test(custom_virtio, a_request_is_answered_with_an_interrupt)
{
    begin(&full, FEATURE);
    cr_expect_eq(rig_get(REG_DEVICE_ID), 42);
    cr_expect_eq(dev.activations, 1);
    cr_expect_eq(dev.features, FEATURE | MV_VIRTIO_F_VERSION_1);
    offer(0);
    ring_doorbell();
    expect_answer(0, 2);
    cr_expect_eq(memcmp(rig_at(RIG_DATA, 4), "abbc", 4), 0);
    cr_expect_eq(rig.interrupts, 1);
    rig_stop();
    cr_expect_eq(dev.destructions, 1);
}

Test(custom_virtio, the_least_will_do)
{
    begin(&least, 0);
    cr_expect_eq(rig_get(REG_DEVICE_ID), 43);
    offer(4);
    ring_doorbell();
    expect_answer(4, 2);
    rig_reset();
    rig.device.ops->rescan(rig.device.state);
    rig_stop();
}

Test(custom_virtio, its_configuration_can_be_bytes)
{
    begin(&least, 0);
    cr_expect_eq(rig_read(REG_CONFIG, 4), 0x64636261);
    cr_expect_eq(rig_read(REG_CONFIG + 4, 4), 0xffff6665);
    cr_expect_eq(rig_read(REG_CONFIG + 8, 4), 0xffffffff);
    rig_write(REG_CONFIG, 4, 0);
    cr_expect_eq(rig_read(REG_CONFIG, 1), 'a');
    rig_stop();
}

static bool may_ring(void *context)
{
    return *ring_avail_event(&ring) == *(const unsigned *)context;
}

/* With EVENT_IDX the driver rings only where the device has said that it may. */
Test(custom_virtio, the_doorbell_is_asked_for_when_the_queue_is_empty)
{
    begin(&full, MV_RING_F_EVENT_IDX);
    for (unsigned i = 1; i < 5; i++) {
        offer(0);
        ring_doorbell();
        cr_expect(rig_wait(may_ring, &i), "round %u", i);
    }
    rig_stop();
}

Test(custom_virtio, a_request_can_be_answered_later_from_any_thread)
{
    begin(&full, 0);
    dev.later = true;
    offer(0);
    offer(4);
    ring_doorbell();
    cr_assert_eq(dev.kept_count, 2);
    cr_expect_eq(rig.interrupts, 0);
    dev.later = false;
    mv_virtio_wake(dev.virtio);
    rig_turn();
    expect_answer(4, 1); /* in any order */
    expect_answer(0, 1);
    cr_expect_eq(rig.interrupts, 1, "one for both");
    rig_stop();
}

static bool is_reset(void *context)
{
    (void)context;
    return rig_get(REG_STATUS) == 0;
}

Test(custom_virtio, a_reset_waits_for_what_is_in_flight_and_nothing_is_pushed_any_more)
{
    struct ring_used used;

    begin(&full, 0);
    dev.later = dev.slow = true;
    offer(0);
    ring_doorbell();
    rig_begin_reset();
    rig_turn();
    cr_expect_neq(rig_get(REG_STATUS), 0);
    mv_virtio_push(dev.virtio, 1, dev.kept[0], 1);
    offer(4);
    cr_expect_not(mv_virtio_pop(dev.virtio, 1, &dev.chain), "it is to be its own again");
    mv_virtio_wake(dev.virtio); /* calls stop again */
    cr_assert(rig_wait(is_reset, NULL));
    cr_expect_eq(dev.resets, 1);
    cr_expect_not(ring_take(&ring, &used));
    mv_virtio_wake(dev.virtio);                    /* nothing to wake */
    mv_virtio_push(dev.virtio, 1, dev.kept[0], 1); /* nor to answer */
    mv_virtio_stopped(dev.virtio);
    rig_turn();

    rig_negotiate(0);
    ring_place(&ring, RIG_RINGS, 8);
    rig_set_queue(1, &ring);
    rig_go();
    mv_virtio_push(dev.virtio, 1, dev.kept[0], 1); /* of the life before */
    dev.later = false;
    dev.kept_count = 0;
    offer(0);
    ring_doorbell();
    expect_answer(0, 2);
    cr_expect_not(ring_take(&ring, &used));
    rig_stop();
}

/* The same descriptors again: the driver's next request, which has no answer yet. */
static void expect_unanswered(uint64_t stale)
{
    struct ring_used used;
    uint64_t now = dev.chain.head;

    cr_expect_neq(now, stale);
    mv_virtio_push(dev.virtio, 1, stale, 99);
    ring_doorbell(); /* which publishes what was pushed */
    cr_expect_not(ring_take(&ring, &used), "another request's answer");
    mv_virtio_push(dev.virtio, 1, now, 2);
    ring_doorbell();
    expect_answer(0, 2);
}

static void offer_again(void)
{
    offer(0);
    ring_doorbell();
}

Test(custom_virtio, a_chain_from_before_a_reset_is_no_answer_to_the_request_after_it)
{
    uint64_t stale[3];

    begin(&full, 0);
    dev.later = true;
    for (unsigned life = 0; life < 3; life++) {
        offer_again();
        stale[life] = dev.chain.head;
        rig_reset();
        rig_negotiate(0);
        ring_place(&ring, RIG_RINGS, 8);
        rig_set_queue(1, &ring);
        rig_go();
        for (unsigned i = 0; i <= life; i++) {
            offer_again();
            expect_unanswered(stale[i]);
        }
    }
    rig_stop();
}

Test(custom_virtio, no_more_is_written_than_there_is_room_for)
{
    begin(&full, 0);
    dev.later = true;
    for (uint32_t written = 1; written < UINT32_MAX / 2; written *= 3) {
        offer_again();
        mv_virtio_push(dev.virtio, 1, dev.chain.head, written);
        ring_doorbell();
        expect_answer(0, written < 2 ? written : 2);
    }
    rig_stop();
}

Test(custom_virtio, a_chain_that_was_pushed_is_no_answer_to_the_next_request)
{
    uint64_t stale;

    begin(&full, 0);
    dev.later = true;
    for (unsigned i = 0; i < 3; i++) {
        offer_again();
        stale = dev.chain.head;
        mv_virtio_push(dev.virtio, 1, stale, 2);
        ring_doorbell();
        expect_answer(0, 2);
        offer_again();
        expect_unanswered(stale);
    }
    rig_stop();
}

Test(custom_virtio, a_reset_before_it_began_is_one)
{
    begin(&full, 0);
    rig_reset();
    rig_negotiate(0);
    rig_set_queue(1, &ring);
    rig_set(REG_STATUS, STATUS_LIVE); /* and not a turn of the loop */
    rig_reset();
    cr_expect_eq(dev.activations, 1);
    rig_stop();
}

Test(custom_virtio, a_ring_that_lies_needs_a_reset)
{
    begin(&full, 0);
    ring_describe(&ring, 0, RIG_LOW, 1, 0, 0); /* in the hole */
    ring_offer(&ring, 0);
    ring_doorbell();
    cr_expect(rig_needs_reset());
    cr_expect_eq(dev.taken, 0);
    rig_reset();
    rig_stop();
}

Test(custom_virtio, a_device_can_say_that_it_needs_a_reset)
{
    begin(&full, 0);
    mv_virtio_break(dev.virtio);
    cr_expect(rig_needs_reset());
    offer(0);
    ring_doorbell();
    cr_expect_eq(dev.taken, 0);
    rig_stop();
}

Test(custom_virtio, queues_that_are_not_there_are_empty)
{
    begin(&full, 0);
    cr_expect_not(mv_virtio_pop(dev.virtio, 0, &dev.chain), "not set up");
    cr_expect_not(mv_virtio_pop(dev.virtio, 2, &dev.chain));
    mv_virtio_push(dev.virtio, 2, 0, 0);
    mv_virtio_push(dev.virtio, 1, 7, 0);
    mv_virtio_push(dev.virtio, 1, UINT16_MAX, 0);
    rig_stop();
}

/* A driver that never lets the queue run dry: as another vCPU could. */
static void notify_and_offer(void *state)
{
    struct device *device = state;

    while (mv_virtio_pop(device->virtio, 1, &device->chain)) {
        device->taken++;
        mv_virtio_push(device->virtio, 1, device->chain.head, 0);
        ring_offer(&ring, 0);
    }
}

Test(custom_virtio, no_driver_keeps_the_loop_for_itself)
{
    static const struct mv_virtio_ops ops = {
        .size = sizeof(ops), .id = 1, .notify = notify_and_offer};

    begin(&ops, 0);
    offer(0);
    rig_set(REG_QUEUE_NOTIFY, 1);
    mv_loop_turn(&rig.loop, 0);
    cr_expect_eq(dev.taken, MV_QUEUE_MAX);
    mv_loop_turn(&rig.loop, 0);
    cr_expect_gt(dev.taken, MV_QUEUE_MAX, "it goes on by itself");
    rig_stop();
}

Test(custom_virtio, chains_are_copied_from_any_offset)
{
    uint8_t memory[] = "0123456789", bytes[16] = {0};
    struct mv_chain chain = {.out_count = 3, .in_count = 2};

    chain.iov[0] = (struct iovec){memory, 2};
    chain.iov[1] = (struct iovec){memory, 0};
    chain.iov[2] = (struct iovec){memory + 2, 3};
    chain.iov[3] = (struct iovec){memory + 5, 1};
    chain.iov[4] = (struct iovec){memory + 6, 4};
    cr_expect_eq(mv_chain_read(&chain, 0, bytes, 16), 5);
    cr_expect_eq(memcmp(bytes, "01234", 5), 0);
    cr_expect_eq(mv_chain_read(&chain, 1, bytes, 3), 3);
    cr_expect_eq(memcmp(bytes, "123", 3), 0);
    cr_expect_eq(mv_chain_read(&chain, 4, bytes, 3), 1);
    cr_expect_eq(mv_chain_read(&chain, 5, bytes, 3), 0);
    cr_expect_eq(mv_chain_read(&chain, UINT64_MAX, bytes, 3), 0);
    cr_expect_eq(mv_chain_write(&chain, 2, "abcd", 4), 3);
    cr_expect_eq(memcmp(memory, "0123456abc", 10), 0);
}

Test(custom_virtio, what_is_wrong_with_one_is_told)
{
    static const struct mv_virtio_ops no_id = {.size = sizeof(no_id), .notify = notify},
                                      no_notify = {.id = 1};
    struct mv_custom_virtio wrong[] = {given, given, given, given, given,
                                       given, given, given, given};
    struct mv_error err;

    wrong[0].ops = NULL;
    wrong[1].ops = &no_id;
    wrong[2].ops = &no_notify;
    wrong[3].ret_virtio = NULL;
    wrong[4].queues = 0;
    wrong[5].queues = MV_QUEUES_MAX + 1;
    wrong[6].features = MV_RING_F_EVENT_IDX;
    wrong[7].config_size = MV_VIRTIO_CONFIG_MAX + 1;
    wrong[8].config = NULL;
    for (unsigned i = 0; i < MV_COUNT(wrong); i++) {
        memset(&err, 0, sizeof(err));
        cr_expect_eq(mv_custom_virtio_check(&wrong[i], &err), -EINVAL, "%u", i);
        cr_expect(strstr(err.tried, "virtio device"), "%u: %s", i, err.tried);
    }
}
