/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: the block device, with a driver that keeps the rules of the ring and builds
 * its requests from the input.  Every one is answered, once, with a status and no more
 * bytes than its chain has.
 */
#include <string.h>

#include "virtio.h"

#define SIZE        64u /* of a queue */
#define PARTS       12u /* of a request at most */
#define SLOTS       (SIZE / 16u)
#define STATUS_NONE 0xee

/*
 *   0       headers and statuses
 *   0x1000  rings
 *   0x2800  indirect tables
 *   0x4000  data, as in the upper region
 */
#define RINGS     0x1000u
#define RING      0x800u
#define TABLES    0x2800u
#define DATA      0x4000u
#define DATA_SIZE 0x4000u

_Static_assert(TABLES >= RINGS + FUZZ_QUEUES * RING, "the rings fit");
_Static_assert(DATA >= TABLES + FUZZ_QUEUES * SLOTS * 0x100, "the tables fit");

static struct {
    struct fuzz_ring rings[FUZZ_QUEUES];
    uint16_t seen[FUZZ_QUEUES];
    bool active[FUZZ_QUEUES][SLOTS];
    uint32_t types[FUZZ_QUEUES][SLOTS];
    uint64_t room[FUZZ_QUEUES][SLOTS]; /* writable bytes of the chain */
    bool started, indirect;
} run;

static mv_gpa slot_at(unsigned queue, unsigned slot)
{
    return (queue * SLOTS + slot) * 0x80;
}

static uint8_t status_of(unsigned queue, unsigned slot)
{
    uint8_t status = 0;

    mv_mem_read(&fuzz_mem, slot_at(queue, slot) + 0x7f, &status, 1);
    return status;
}

struct part {
    mv_gpa at;
    uint32_t size;
    bool writable;
};

/* Ranges that a discard may have. */
static void put_ranges(struct fuzz_input *input, mv_gpa at, uint32_t size)
{
    for (uint32_t i = 0; i < size / 16 && i < 4; i++) {
        unsigned choice = (unsigned)fuzz_take(input, 1);
        const struct {
            uint64_t sector;
            uint32_t sectors, flags;
        } range = {fuzz_take(input, 1) % 128, 1 + (choice >> 1), choice & 1};

        fuzz_poke(at + 16 * i, &range, sizeof(range));
    }
}

/* Data anywhere but in the ring's and the requests' own memory. */
static struct part take_data(struct fuzz_input *input)
{
    unsigned choice = (unsigned)fuzz_take(input, 1), at = (unsigned)fuzz_take(input, 2);
    uint32_t size = (uint32_t)fuzz_take(input, 2);
    mv_gpa base = choice & 1 ? DATA : FUZZ_HIGH;

    if (choice & 4)
        size &= ~511u;
    if (choice & 8)
        at &= ~511u;
    at %= DATA_SIZE;
    if (size > DATA_SIZE - at)
        size = DATA_SIZE - at;
    if (choice & 16)
        put_ranges(input, base + at, size);
    return (struct part){base + at, size, choice & 2};
}

struct header {
    uint32_t type, reserved;
    uint64_t sector;
};

static struct header take_header(struct fuzz_input *input)
{
    static const uint8_t types[] = {0, 1, 4, 8, 11, 13, 0, 1};
    unsigned choice = (unsigned)fuzz_take(input, 1);
    struct header header = {.type = types[choice & 7], .sector = fuzz_take(input, 1)};

    if (choice & 8)
        header.type = (uint32_t)fuzz_take(input, 4);
    if (choice & 16)
        header.sector = fuzz_take(input, 8);
    return header;
}

/* Descriptors in the ring or in a table of their own. */
static void put_chain(unsigned queue, unsigned slot, const struct part *parts, unsigned count)
{
    const struct fuzz_ring *ring = &run.rings[queue];
    struct fuzz_ring table = {.desc = TABLES + (queue * SLOTS + slot) * 0x100ull, .size = 16};
    unsigned first = 16 * slot;

    if (run.indirect && count > 1)
        fuzz_describe(ring, first, table.desc, 16 * count, 4, 0);
    else
        table.desc = ring->desc + 16ull * first;
    for (unsigned i = 0; i < count; i++)
        fuzz_describe(&table, i, parts[i].at, parts[i].size,
                      (i + 1 < count ? 1u : 0u) | (parts[i].writable ? 2u : 0u),
                      i + 1 + (table.desc < TABLES ? first : 0));
}

static void offer(struct fuzz_input *input)
{
    unsigned which = (unsigned)fuzz_take(input, 1), queue = which % FUZZ_QUEUES;
    unsigned slot = which / FUZZ_QUEUES % SLOTS, shape = (unsigned)fuzz_take(input, 1);
    unsigned count = 0, readable = 0, datas = shape & 7;
    struct header header = take_header(input);
    mv_gpa at = slot_at(queue, slot);
    struct part parts[PARTS];
    uint64_t room = 0;
    uint8_t none = STATUS_NONE;

    if (!run.started || run.active[queue][slot])
        return;
    fuzz_poke(at, &header, sizeof(header));
    fuzz_poke(at + 0x7f, &none, 1);
    if (shape & 8) { /* a header in two parts, or cut short */
        parts[count++] = (struct part){at, shape >> 5, false};
        parts[count++] =
            (struct part){at + (shape >> 5), 16 - (shape >> 5) - (shape >> 4 & 1), false};
    } else {
        parts[count++] = (struct part){at, 16, false};
    }
    readable = count;
    while (datas--) { /* the readable ones first */
        struct part part = take_data(input);

        if (part.writable) {
            parts[count++] = part;
            continue;
        }
        memmove(&parts[readable + 1], &parts[readable], (count - readable) * sizeof(part));
        parts[readable++] = part;
        count++;
    }
    parts[count++] = (struct part){at + 0x7f, 1, true};
    for (unsigned i = 0; i < count; i++)
        room += parts[i].writable ? parts[i].size : 0;
    put_chain(queue, slot, parts, count);
    run.active[queue][slot] = true;
    run.room[queue][slot] = room;
    run.types[queue][slot] = header.type;
    fuzz_offer(&run.rings[queue], 16 * slot);
    fuzz_write(0x50, 4, queue);
}

/* 2.7.8.2: as many bytes as were written from the first on; the status comes last. */
static uint64_t expected_length(uint32_t type, uint8_t status, uint64_t room)
{
    if (room == 1)
        return 1;
    if (status != 0)
        return 0;
    if (type == 8) /* GET_ID */
        return room - 1 <= 20 ? room : 20;
    return type == 0 ? room : 0;
}

static void check_answer(unsigned queue, unsigned slot, uint32_t length)
{
    uint8_t status = status_of(queue, slot);

    fuzz_require(run.active[queue][slot], "a request is answered once");
    fuzz_require(status <= 2, "it has a status");
    fuzz_require(length == expected_length(run.types[queue][slot], status, run.room[queue][slot]),
                 "its length is what was written");
    run.active[queue][slot] = false;
}

static void take_answers(void)
{
    for (unsigned queue = 0; queue < FUZZ_QUEUES && run.started; queue++) {
        const struct fuzz_ring *ring = &run.rings[queue];
        uint16_t idx = 0;

        mv_mem_read(&fuzz_mem, ring->used + 2, &idx, sizeof(idx));
        for (; run.seen[queue] != idx; run.seen[queue]++) {
            uint32_t used[2] = {0, 0};
            unsigned slot;

            mv_mem_read(&fuzz_mem, ring->used + 4 + 8ull * (run.seen[queue] % SIZE), used,
                        sizeof(used));
            slot = used[0] / 16;
            fuzz_require(used[0] % 16 == 0 && slot < SLOTS, "an answer is to a request");
            check_answer(queue, slot, used[1]);
        }
    }
}

static void forget(void)
{
    memset(run.active, 0, sizeof(run.active));
    memset(run.seen, 0, sizeof(run.seen));
    run.started = false;
}

static void reset(void)
{
    fuzz_write(0x70, 4, 0);
    for (unsigned i = 0; i < 16 && fuzz_read(0x70, 4); i++) {
        fuzz_complete(UINT32_MAX);
        fuzz_turn();
    }
    fuzz_require(fuzz_read(0x70, 4) == 0, "a reset ends");
    forget();
}

static void begin(uint32_t features)
{
    static const uint8_t zeros[RING];

    for (unsigned i = 0; i < FUZZ_QUEUES; i++) {
        run.rings[i] = fuzz_ring_at(RINGS + RING * i, SIZE);
        fuzz_poke(RINGS + RING * i, zeros, sizeof(zeros));
    }
    run.indirect = features & 1u << 28;
    fuzz_begin(features, run.rings, FUZZ_QUEUES);
    run.started = true;
}

static unsigned count_active(void)
{
    unsigned active = 0;

    for (unsigned queue = 0; queue < FUZZ_QUEUES; queue++)
        for (unsigned slot = 0; slot < SLOTS; slot++)
            active += run.active[queue][slot];
    return active;
}

/* Whatever the input left undone is done by and by. */
static void finish(void)
{
    for (unsigned i = 0; i < 4096 && count_active(); i++) {
        fuzz_complete(UINT32_MAX);
        fuzz_turn();
        take_answers();
    }
    fuzz_require(count_active() == 0, "every request is answered");
    fuzz_require(!run.started || fuzz_read(0x70, 4) == 15, "it needs no reset");
}

static void step(struct fuzz_input *input)
{
    unsigned what = (unsigned)fuzz_take(input, 1);

    switch (what & 15) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
    case 5: offer(input); break;
    case 6:
    case 7:
    case 8: fuzz_turn(); break;
    case 9:
    case 10: fuzz_complete(what >> 4); break;
    case 11: fuzz_resize(fuzz_take(input, 2) * 16); break;
    case 12: fuzz_write(0x120, 1, what >> 4); break;
    case 13: finish(); break;
    default:
        reset();
        begin((uint32_t)fuzz_take(input, 4));
        break;
    }
    take_answers();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};

    fuzz_memory_start();
    forget();
    fuzz_device_start((uint8_t)fuzz_take(&input, 1));
    begin((uint32_t)fuzz_take(&input, 4));
    while (input.left)
        step(&input);
    finish();
    fuzz_device_stop();
    return 0;
}
