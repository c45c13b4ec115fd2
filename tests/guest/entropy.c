/* SPDX-License-Identifier: MIT */
/*
 * Two entropy devices (virtio 1.2, 5.4) of custom_devices.c, in slots 0 and 1.
 * What they give is no secret, so that it can be checked: the n-th request after a
 * reset gets bytes of the value n.  And a device of its own kind, a bell, at bell=ADDRESS:
 * what is written to it comes back by the interrupt line=N.
 */
#include "virtio.h"

enum { TYPE = 4, SIZE = 16, BYTES = 100 };

static struct disk device;

static void check_request(struct used_element used, unsigned number)
{
    const uint8_t *bytes = buffer(used.id);

    must_be(used.length, BYTES);
    for (unsigned i = 0; i < BYTES; i++)
        must_be(bytes[i], number);
    must_be(bytes[BYTES], 0xee);
}

/* Each in two parts. */
static void offer_request(unsigned head)
{
    uint8_t *bytes = buffer(head);

    memset(bytes, 0xee, BYTES + 1);
    describe(&device.queue, head, (uint64_t)bytes, 1, WRITE | NEXT, head + 1);
    describe(&device.queue, head + 1, (uint64_t)bytes + 1, BYTES - 1, WRITE, 0);
    offer(&device.queue, head);
}

static void use_slot(unsigned slot, uint64_t features)
{
    unsigned number = 1;

    slot_init(&device, slot, TYPE);
    disk_start(&device, features, SIZE);
    disk_interrupts(&device);
    device.sleeps = !(features & F_EVENT_IDX); /* used_event stays at the first */
    doing = "one after the other";
    for (unsigned i = 0; i < 20; i++, number++) {
        offer_request(2);
        publish(&device.queue);
        kick(&device, &device.queue);
        check_request(wait_used(&device, &device.queue), number);
    }
    doing = "many at once";
    for (unsigned head = 0; head < SIZE; head += 2)
        offer_request(head);
    publish(&device.queue);
    kick(&device, &device.queue);
    for (unsigned head = 0; head < SIZE; head += 2, number++)
        check_request(wait_used(&device, &device.queue), number);
    doing = "a reset with some in flight";
    for (unsigned head = 0; head < SIZE; head += 2)
        offer_request(head);
    publish(&device.queue);
    kick(&device, &device.queue);
    disk_reset(&device);
    for (unsigned head = 0; head < SIZE; head += 2) /* no one writes to them any more */
        memset(buffer(head), 0xdd, BYTES);
    doing = "after the reset";
    device.sleeps = false;
    disk_start(&device, features, SIZE);
    offer_request(2);
    publish(&device.queue);
    kick(&device, &device.queue);
    check_request(wait_used(&device, &device.queue), 1);
    must_be(((uint8_t *)buffer(0))[0], 0xdd);
    must_be(get(&device, V_STATUS), RUNNING);
}

static volatile unsigned rung;

static void on_bell(unsigned line)
{
    (void)line;
    rung++;
}

static void use_bell(void)
{
    uint64_t bell = option("bell", 0);

    doing = "a bell";
    take_line((unsigned)option("line", 0), on_bell);
    for (unsigned i = 1; i < 4; i++) {
        write32(bell, i * 1000);
        while (rung < i)
            wait_for_interrupt(); /* none comes: the runner's limit ends it */
        must_be(rung, i);
        must_be(read32(bell), i * 1000);
        must_be(read16(bell + 4), i);
    }
}

void test(void)
{
    interrupts_init();
    use_bell();
    for (unsigned slot = 0; slot < 2; slot++) {
        use_slot(slot, 0);
        use_slot(slot, F_INDIRECT | F_EVENT_IDX);
    }
}
