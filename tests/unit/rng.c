/* SPDX-License-Identifier: MIT */
/* The entropy device (virtio 1.2, 5.4) behind the registers. */
#include "virtio/rng.h"

#include <criterion/criterion.h>
#include <string.h>

#include "virtio_rig.h"

static struct ring ring;

static void start(void)
{
    struct mv_virtio *virtio;

    rig_start();
    cr_assert_eq(mv_rng_create(&virtio), 0);
    rig_attach(virtio);
    rig_negotiate(0);
    ring_place(&ring, RIG_RINGS, 16);
    rig_set_queue(0, &ring);
    rig_go();
    cr_assert_eq(rig_get(REG_STATUS), STATUS_LIVE);
}

TestSuite(rng, .init = start, .fini = rig_stop, .timeout = 60);

/* Returns how many bytes were written to the buffers, which begin at RIG_DATA. */
static uint32_t request(const struct ring_part *parts, unsigned count)
{
    struct ring_used used;

    ring_offer_parts(&ring, 0, parts, count);
    rig_set(REG_QUEUE_NOTIFY, 0);
    rig_turn();
    cr_assert(ring_take(&ring, &used));
    cr_expect_eq(used.id, 0);
    return used.len;
}

static bool all_are(const uint8_t *bytes, size_t size, uint8_t value)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != value)
            return false;
    return true;
}

Test(rng, it_is_an_entropy_device_with_nothing_to_configure)
{
    cr_expect_eq(rig_get(REG_DEVICE_ID), 4);
    cr_expect_eq(rig_read(REG_CONFIG, 8), UINT64_MAX);
    rig_set(REG_QUEUE_SEL, 1);
    cr_expect_eq(rig_get(REG_QUEUE_NUM_MAX), 0, "one queue");
}

Test(rng, buffers_are_filled_with_other_bytes_each_time)
{
    const struct ring_part parts[] = {{RIG_DATA, 5, true}, {RIG_DATA + 5, 59, true}};
    uint8_t *bytes = rig_at(RIG_DATA, 65), before[64] = {0};

    bytes[64] = 0xee;
    for (unsigned i = 0; i < 3; i++) {
        cr_expect_eq(request(parts, 2), 64);
        cr_expect_neq(memcmp(bytes, before, 64), 0, "round %u", i);
        memcpy(before, bytes, 64);
    }
    cr_expect_eq(bytes[64], 0xee, "and no more than them");
    cr_expect(rig_wait_interrupt());
}

Test(rng, a_request_gets_64_kib_at_most_from_the_beginning_on)
{
    const struct ring_part parts[] = {{RIG_DATA, 65000, true}, {RIG_DATA + 65000, 65000, true}};
    uint8_t *bytes = rig_at(RIG_DATA, 130000);

    memset(bytes, 0xee, 130000);
    cr_expect_eq(request(parts, 2), 65536);
    cr_expect_not(all_are(bytes + 65000, 536, 0xee));
    cr_expect(all_are(bytes + 65536, 130000 - 65536, 0xee));
}

Test(rng, a_request_without_room_is_answered_with_nothing)
{
    const struct ring_part empty[] = {{RIG_DATA, 16, false}}, none[] = {{RIG_DATA, 0, true}};
    uint8_t *bytes = rig_at(RIG_DATA, 16);

    memset(bytes, 0xee, 16);
    cr_expect_eq(request(empty, 1), 0);
    cr_expect_eq(request(none, 1), 0);
    cr_expect(all_are(bytes, 16, 0xee), "what it may only read is not written");
    cr_expect_not(rig_needs_reset());
}
