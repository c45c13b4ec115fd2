/* SPDX-License-Identifier: MIT */
/*
 * Device status and feature negotiation (virtio 1.2, 2.1, 2.2, 3.1.1): every
 * value written in every state, features that were not offered, DRIVER_OK
 * without queues.  The device refuses, or says that it needs a reset, and works
 * again after one.
 */
#include "virtio.h"

enum { READY_FOR_QUEUES = ACKNOWLEDGE | DRIVER | FEATURES_OK };

static struct disk disk;

static const uint8_t states[] = {0, ACKNOWLEDGE, ACKNOWLEDGE | DRIVER, READY_FOR_QUEUES, RUNNING};
enum { STATES = sizeof(states) };

static void go_to(unsigned state)
{
    disk_reset(&disk);
    if (state >= 3) {
        disk_negotiate(&disk, F_VERSION_1);
        queue_place(&disk.queue, 0, 4);
        must(queue_install(&disk, &disk.queue));
        if (state == 4)
            disk_run(&disk);
        return;
    }
    if (state >= 1)
        put(&disk, V_STATUS, states[1]);
    if (state >= 2) {
        put(&disk, V_STATUS, states[2]);
        put(&disk, V_DRIVER_FEATURES_SEL, 1);
        put(&disk, V_DRIVER_FEATURES, (uint32_t)(F_VERSION_1 >> 32));
    }
}

/* What Status may be after value was written in a state. */
static uint32_t after(unsigned state, uint32_t value)
{
    uint32_t without = value & ~(uint32_t)NEEDS_RESET; /* that bit is the device's */

    if (value == 0)
        return 0;
    if (without == states[state])
        return states[state];
    if (without & FAILED)
        return states[state] | FAILED;
    if (state + 1 < STATES && without == states[state + 1])
        return without;
    return states[state] | NEEDS_RESET;
}

static void write_every_value(void)
{
    static const uint32_t large[] = {0x100, 0x101, 0x10f, 0x80000000, 0xffffff0f, 0xffffffff};

    doing = "write every status in every state";
    for (unsigned state = 0; state < STATES; state++) {
        bool there = false;

        for (uint32_t value = 0; value < 256 + sizeof(large) / sizeof(large[0]); value++) {
            uint32_t status = value < 256 ? value : large[value - 256];

            if (!there)
                go_to(state);
            put(&disk, V_STATUS, status);
            must_be(get(&disk, V_STATUS), after(state, status));
            there = after(state, status) == states[state];
        }
    }
    must_work(&disk);
}

static void refuse_unknown_features(void)
{
    uint64_t offered = disk_offers(&disk);

    doing = "negotiate features that were not offered";
    for (unsigned bit = 0; bit < 64; bit++) {
        if (offered >> bit & 1)
            continue;
        go_to(2);
        put(&disk, V_DRIVER_FEATURES_SEL, bit / 32);
        put(&disk, V_DRIVER_FEATURES,
            1u << bit % 32 | (bit < 32 ? 0 : (uint32_t)(F_VERSION_1 >> 32)));
        put(&disk, V_STATUS, READY_FOR_QUEUES);
        must_be(get(&disk, V_STATUS), ACKNOWLEDGE | DRIVER);
        put(&disk, V_STATUS, RUNNING); /* all the same */
        must_be(get(&disk, V_STATUS), ACKNOWLEDGE | DRIVER | NEEDS_RESET);
    }
    must_work(&disk);
    doing = "negotiate no features";
    disk_reset(&disk);
    put(&disk, V_STATUS, ACKNOWLEDGE);
    put(&disk, V_STATUS, ACKNOWLEDGE | DRIVER);
    put(&disk, V_STATUS, READY_FOR_QUEUES); /* a driver of before VERSION_1 */
    must_be(get(&disk, V_STATUS), ACKNOWLEDGE | DRIVER);
    must_work(&disk);
    doing = "negotiate all features that were offered";
    disk_reset(&disk);
    disk_negotiate(&disk, offered);
    must_work(&disk);
}

static void run_without_queues(void)
{
    doing = "DRIVER_OK without queues";
    disk_reset(&disk);
    disk_negotiate(&disk, F_VERSION_1);
    put(&disk, V_STATUS, RUNNING);
    must(get(&disk, V_STATUS) & NEEDS_RESET);
    put(&disk, V_QUEUE_NOTIFY, 0);
    must_work(&disk);

    doing = "DRIVER_OK with a queue that is not ready";
    disk_reset(&disk);
    disk_negotiate(&disk, F_VERSION_1);
    queue_place(&disk.queue, 0, 4);
    must(queue_install(&disk, &disk.queue));
    put(&disk, V_QUEUE_READY, 0);
    must_be(get(&disk, V_QUEUE_READY), 0);
    put(&disk, V_STATUS, RUNNING);
    must(get(&disk, V_STATUS) & NEEDS_RESET);
    put(&disk, V_QUEUE_NOTIFY, 0);
    must_work(&disk);

    doing = "a queue before FEATURES_OK";
    for (unsigned state = 0; state < 3; state++) {
        go_to(state);
        queue_place(&disk.queue, 0, 4);
        must(!queue_install(&disk, &disk.queue));
        must_be(get(&disk, V_STATUS), states[state] | NEEDS_RESET);
    }
    must_work(&disk);
}

static void use_it_before_it_runs(void)
{
    doing = "requests before DRIVER_OK";
    go_to(3);
    describe_request(&disk.queue, 0, T_IN, 3, buffer(0), SECTOR);
    send(&disk, &disk.queue, 0);
    spend(2);
    must_be(disk.queue.used->idx, 0);
    must_be(*status_of(&disk.queue, 0), S_NONE);
    disk_run(&disk); /* and then they may be done, or not before the next doorbell */
    kick(&disk, &disk.queue);
    must_be(wait_used(&disk, &disk.queue).length, SECTOR + 1);
    must_be(*status_of(&disk.queue, 0), S_OK);
    must(is_filled(buffer(0), 3));
}

static void use_it_after_it_failed(void)
{
    doing = "a device that needs a reset";
    go_to(4);
    must_be(request(&disk, T_IN, 3, buffer(0), SECTOR), S_OK);
    put(&disk, V_STATUS, ACKNOWLEDGE); /* a step back */
    must_break(&disk);
    describe_request(&disk.queue, 0, T_IN, 3, buffer(0), SECTOR);
    for (unsigned i = 0; i < 100; i++)
        send(&disk, &disk.queue, 0);
    put(&disk, V_STATUS, RUNNING);
    must_be(get(&disk, V_STATUS), RUNNING | NEEDS_RESET);
    must_work(&disk);
    doing = "a driver that has given up";
    go_to(4);
    put(&disk, V_STATUS, RUNNING | FAILED);
    must_be(get(&disk, V_STATUS), RUNNING | FAILED);
    put(&disk, V_STATUS, RUNNING);
    must(get(&disk, V_STATUS) & FAILED);
    must_work(&disk);
}

/* The device has hardly noticed that it runs when it is to stop. */
static void reset_at_once(void)
{
    doing = "DRIVER_OK and a reset at once";
    for (unsigned i = 0; i < 300; i++) {
        go_to(3);
        put(&disk, V_STATUS, RUNNING);
        if (i % 3 == 1)
            put(&disk, V_QUEUE_NOTIFY, 0);
        put(&disk, V_STATUS, 0);
        must_be(get(&disk, V_STATUS), 0);
        if (i % 50 == 0)
            must_work(&disk);
    }
    must_work(&disk);
    doing = "resets, one after the other";
    for (unsigned i = 0; i < 300; i++)
        disk_reset(&disk);
    must_work(&disk);
}

/* 2.2.1: what is not negotiated when FEATURES_OK is set never will be. */
static void change_features_later(void)
{
    doing = "features written after FEATURES_OK";
    go_to(3);
    put(&disk, V_DRIVER_FEATURES_SEL, 0);
    put(&disk, V_DRIVER_FEATURES, (uint32_t)F_INDIRECT);
    disk_run(&disk);
    put(&disk, V_DRIVER_FEATURES, (uint32_t)F_INDIRECT);
    describe_indirect(&disk.queue, 0, T_IN, 3, buffer(0), SECTOR);
    send(&disk, &disk.queue, 0);
    must_break(&disk);
    must_be(*status_of(&disk.queue, 0), S_NONE);
    must_work(&disk);
}

void test(void)
{
    interrupts_init();
    disk_init(&disk, 0);
    write_every_value();
    refuse_unknown_features();
    run_without_queues();
    use_it_before_it_runs();
    use_it_after_it_failed();
    change_features_later();
    reset_at_once();
}
