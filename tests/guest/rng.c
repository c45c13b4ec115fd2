/* SPDX-License-Identifier: MIT */
/*
 * The entropy device (virtio 1.2, 5.4), in slot 0: requests get bytes, other ones each time,
 * whatever the features, and 64 KiB at most; after a reset, too.
 */
#include "virtio.h"

enum { TYPE = 4, SIZE = 8, BYTES = 64, LARGE = 100000, MOST = 65536, ROUNDS = 20 };

static struct disk device;

static void ask(uint32_t bytes, uint32_t wanted)
{
    uint8_t *to = buffer(0);

    memset(to, 0xee, bytes + 1);
    describe(&device.queue, 0, (uint64_t)to, 1, WRITE | NEXT, 1);
    describe(&device.queue, 1, (uint64_t)to + 1, bytes - 1, WRITE, 0);
    offer(&device.queue, 0);
    publish(&device.queue);
    kick(&device, &device.queue);
    must_be(wait_used(&device, &device.queue).length, wanted);
    must_be(to[bytes], 0xee);
}

static bool repeats(const uint8_t *left, const uint8_t *right)
{
    for (unsigned i = 0; i < BYTES; i++)
        if (left[i] != right[i])
            return false;
    return true;
}

static void use(uint64_t features)
{
    uint8_t before[BYTES] = {0};
    const uint8_t *bytes = buffer(0);

    disk_start(&device, features, SIZE);
    disk_interrupts(&device);
    device.sleeps = !(features & F_EVENT_IDX); /* used_event stays at the first */
    doing = "small requests";
    for (unsigned i = 0; i < ROUNDS; i++) {
        ask(BYTES, BYTES);
        must(!repeats(before, bytes));
        memcpy(before, bytes, BYTES);
    }
    doing = "a large request";
    ask(LARGE, MOST);
    for (unsigned i = MOST; i < LARGE; i++)
        must_be(bytes[i], 0xee);
    must_be(get(&device, V_STATUS), RUNNING);
    disk_reset(&device);
}

void test(void)
{
    interrupts_init();
    slot_init(&device, 0, TYPE);
    use(0);
    use(F_INDIRECT | F_EVENT_IDX);
}
