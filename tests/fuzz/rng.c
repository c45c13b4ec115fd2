/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: the entropy device, before any driver.  The input's first byte says whether its
 * doorbell is carried, then it begins, and then come steps: chains of any buffers, doorbells,
 * turns of the loop, resets.
 */
#include "virtio/rng.h"

#include "virtio.h"

enum { PARTS = 4 };

static struct fuzz_ring ring;

static void begin(struct fuzz_input *input)
{
    uint64_t features = fuzz_take(input, 4);

    ring = fuzz_ring_at(0x1000, 1u << fuzz_take(input, 1) % 6);
    fuzz_begin(features, &ring, 1);
}

static void offer(struct fuzz_input *input)
{
    unsigned count = 1 + (unsigned)fuzz_take(input, 1) % PARTS;

    for (unsigned i = 0; i < count; i++) {
        mv_gpa at = fuzz_take_address(input);
        uint32_t size = (uint32_t)fuzz_take(input, 2);
        unsigned flags = i + 1 < count ? 1 : 0;

        flags |= i == 0 && size & 1 ? 0u : 2u; /* some can only be read */
        fuzz_describe(&ring, i % ring.size, at, size, flags, (i + 1) % ring.size);
    }
    fuzz_offer(&ring, 0);
}

static void step(struct fuzz_input *input)
{
    switch (fuzz_take(input, 1) % 5) {
    case 0: offer(input); break;
    case 1:
        fuzz_write(0x70, 4, 0);
        fuzz_turn();
        begin(input);
        break;
    case 2: fuzz_write(0x50, 4, 0); break;
    case 3: fuzz_read(fuzz_take(input, 2) & 0x1ff, 4); break;
    default: fuzz_turn(); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};

    fuzz_memory_start();
    fuzz_type_start(mv_rng_create, (uint8_t)fuzz_take(&input, 1));
    begin(&input);
    while (input.left)
        step(&input);
    fuzz_device_stop();
    return 0;
}
