/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: the registers of virtio over MMIO with the block device behind them.  The
 * input's first byte chooses the disk, then come steps: accesses of any width, writes to
 * memory, turns of the loop, completions.
 */
#include "virtio.h"

static const uint8_t registers[] = {0x00, 0x04, 0x08, 0x0c, 0x10, 0x14, 0x20, 0x24,
                                    0x30, 0x34, 0x38, 0x44, 0x50, 0x60, 0x64, 0x70,
                                    0x80, 0x84, 0x90, 0x94, 0xa0, 0xa4, 0xb0, 0xfc};
static const uint8_t statuses[] = {0, 1, 3, 11, 15, 64, 128, 79};

static struct fuzz_ring rings[FUZZ_QUEUES];

static unsigned width(uint8_t choice)
{
    return 1u << (choice & 3);
}

/* Any register, with any width. */
static void access_any(struct fuzz_input *input)
{
    uint64_t offset = fuzz_take(input, 2) & 0x1ff;
    uint8_t choice = (uint8_t)fuzz_take(input, 1);

    if (choice & 4)
        fuzz_read(offset, width(choice));
    else
        fuzz_write(offset, width(choice), fuzz_take(input, 8));
}

/* A request as drivers make them, in descriptors 0 to 2 of a queue; its parts may be wrong. */
static void request(struct fuzz_input *input)
{
    struct fuzz_ring *ring = &rings[fuzz_take(input, 1) % FUZZ_QUEUES];
    struct {
        uint32_t type, reserved;
        uint64_t sector;
    } header = {.type = (uint32_t)fuzz_take(input, 1), .sector = fuzz_take(input, 1)};
    mv_gpa data = fuzz_take_address(input);
    uint32_t size = (uint32_t)fuzz_take(input, 2);
    unsigned flags = header.type & 1 ? 0 : 2;

    if (!ring->size)
        return;
    fuzz_poke(0x7000, &header, sizeof(header));
    fuzz_describe(ring, 0, 0x7000, 16, 1, 1 % ring->size);
    fuzz_describe(ring, 1, data, size, 1 | flags, 2 % ring->size);
    fuzz_describe(ring, 2, 0x7010, 1, 2, 0);
    fuzz_offer(ring, 0);
    fuzz_write(0x50, 4, 0);
}

/* All the way to DRIVER_OK. */
static void begin(struct fuzz_input *input)
{
    uint64_t features = fuzz_take(input, 4);
    unsigned count = 1 + (unsigned)fuzz_take(input, 1) % FUZZ_QUEUES;
    unsigned order = (unsigned)fuzz_take(input, 1) % 6;

    fuzz_write(0x70, 4, 0);
    fuzz_complete(UINT32_MAX);
    fuzz_turn();
    for (unsigned i = 0; i < FUZZ_QUEUES; i++)
        rings[i] = fuzz_ring_at(0x1000 * (i + 1), 1u << order);
    fuzz_begin(features, rings, count);
}

static void poke(struct fuzz_input *input)
{
    mv_gpa at = fuzz_take_address(input);
    uint64_t value = fuzz_take(input, 8);

    fuzz_poke(at, &value, sizeof(value));
}

static void step(struct fuzz_input *input)
{
    unsigned what = (unsigned)fuzz_take(input, 1);
    uint64_t offset = registers[(what >> 4) + (what & 8)];

    switch (what & 15) {
    case 0: access_any(input); break;
    case 1: fuzz_write(offset, 4, fuzz_take(input, 4)); break;
    case 2:
        fuzz_write(registers[fuzz_take(input, 1) % sizeof(registers)], 4, fuzz_take(input, 2));
        break;
    case 3: fuzz_read(registers[fuzz_take(input, 1) % sizeof(registers)], 4); break;
    case 4: fuzz_write(0x70, 4, statuses[what >> 4 & 7]); break;
    case 5: poke(input); break;
    case 6: request(input); break;
    case 7: begin(input); break;
    case 8: fuzz_complete(what >> 4); break;
    case 9: fuzz_resize(fuzz_take(input, 2)); break;
    case 10: fuzz_write(0x100 + 32, 1, what >> 4); break;
    case 11: fuzz_write(0x50, 4, what >> 4); break;
    case 12: fuzz_read(0x100 + fuzz_take(input, 1), width((uint8_t)(what >> 4))); break;
    default: fuzz_turn(); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};

    fuzz_memory_start();
    for (unsigned i = 0; i < FUZZ_QUEUES; i++)
        rings[i].size = 0;
    fuzz_device_start((uint8_t)fuzz_take(&input, 1));
    while (input.left)
        step(&input);
    fuzz_device_stop();
    return 0;
}
