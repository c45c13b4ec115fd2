/* SPDX-License-Identifier: MIT */
/*
 * The requests of a block device (virtio 1.2, 5.2.6), good and bad ones.
 * sectors=N of the disk in slot 0, whose serial number is "serial 0123456789 xy";
 * ro=1: the same for a read-only disk.  large=1: only one that is large, on
 * a disk of 4 GiB of zeros, with 48 MiB of memory.  Leaves behind what the runner knows.
 */
#include "virtio.h"

static struct disk disk;
static uint64_t sectors;
static const char serial[] = "serial 0123456789 xy";
enum { SERIAL_SIZE = 20, FILLER = 0xa5, WRITTEN = 64 /* the first sector that this writes to */ };

struct range {
    uint64_t sector;
    uint32_t count, flags;
};

/* A request of ranges from the last page of the buffers. */
static uint8_t change(unsigned type, const struct range *ranges, unsigned count)
{
    struct range *copy = buffer(511);

    memcpy(copy, ranges, count * sizeof(*ranges));
    return request(&disk, type, 0, copy, count * sizeof(*ranges));
}

static void check_sectors(uint64_t sector, unsigned count, uint64_t seed)
{
    uint8_t *data = buffer(256);

    must_be(request(&disk, T_IN, sector, data, count * SECTOR), S_OK);
    for (unsigned i = 0; i < count; i++)
        must(is_filled(data + i * SECTOR, seed + i));
}

static void check_zero(uint64_t sector, unsigned count)
{
    uint8_t *data = buffer(256);

    must_be(request(&disk, T_IN, sector, data, count * SECTOR), S_OK);
    must(is_zero(data, count * SECTOR));
}

/* What a driver is told of the length (2.7.8). */
static struct used_element answer_to(unsigned type, uint64_t sector, void *data, uint64_t size)
{
    describe_request(&disk.queue, 0, type, sector, data, size);
    send(&disk, &disk.queue, 0);
    return wait_used(&disk, &disk.queue);
}

/* It is refused with the status, and nothing was written into the buffer. */
static void must_refuse(uint8_t status, unsigned type, uint64_t sector, uint64_t size)
{
    uint8_t *data = buffer(0);
    bool in = type == T_IN || type == T_GET_ID;

    memset(data, FILLER, size + 64);
    must_be(answer_to(type, sector, data, size).length, in && size ? 0 : 1);
    must_be(*status_of(&disk.queue, 0), status);
    for (uint64_t i = 0; i < size + 64; i++)
        must_be(data[i], FILLER);
}

static void read_all(void)
{
    uint8_t *data = buffer(0);

    doing = "read";
    for (unsigned count = 1; count <= 64; count *= 2) {
        memset(data, FILLER, (count + 1) * SECTOR);
        must_be(answer_to(T_IN, count, data, count * SECTOR).length, count * SECTOR + 1);
        must_be(*status_of(&disk.queue, 0), S_OK);
        for (unsigned i = 0; i < count; i++)
            must(is_filled(data + i * SECTOR, count + i));
        must_be(data[count * SECTOR], FILLER);
    }
    doing = "read all";
    for (uint64_t sector = 0; sector < sectors; sector += 1024) {
        uint64_t count = sectors - sector < 1024 ? sectors - sector : 1024;

        must_be(request(&disk, T_IN, sector, data, count * SECTOR), S_OK);
        for (unsigned i = 0; i < count; i++)
            must(is_filled(data + i * SECTOR, sector + i));
    }
    doing = "read the last sector";
    check_sectors(sectors - 1, 1, sectors - 1);
    doing = "read and write nothing";
    must_be(answer_to(T_IN, 5, NULL, 0).length, 1);
    must_be(*status_of(&disk.queue, 0), S_OK);
    must_be(request(&disk, T_IN, sectors, NULL, 0) <= S_IOERR, true);
}

static void write_some(void)
{
    uint8_t *data = buffer(0);

    doing = "write";
    for (unsigned count = 1; count <= 16; count *= 2) {
        uint64_t sector = WRITTEN + 2 * count;

        for (unsigned i = 0; i < count; i++)
            fill(data + i * SECTOR, 7000 + sector + i);
        must_be(answer_to(T_OUT, sector, data, count * SECTOR).length, 1);
        must_be(*status_of(&disk.queue, 0), S_OK);
        check_sectors(sector, count, 7000 + sector);
        check_sectors(sector + count, 1, sector + count);
        check_sectors(sector - 1, 1, sector - 1);
    }
    doing = "write the last sector";
    fill(data, 7777);
    must_be(request(&disk, T_OUT, sectors - 1, data, SECTOR), S_OK);
    check_sectors(sectors - 1, 1, 7777);
}

static void flush(void)
{
    doing = "flush";
    must_be(answer_to(T_FLUSH, 0, NULL, 0).length, 1);
    must_be(*status_of(&disk.queue, 0), S_OK);
    doing = "flush a sector that there is none of"; /* 5.2.6.1: it is not looked at */
    must_be(request(&disk, T_FLUSH, UINT64_MAX, NULL, 0), S_OK);
    doing = "flush with data";
    must_be(request(&disk, T_FLUSH, 0, buffer(0), SECTOR) <= S_IOERR, true);
}

static void identify(void)
{
    static const unsigned sizes[] = {20, 512, 21, 19, 10, 1, 0};
    uint8_t *data = buffer(0);

    doing = "GET_ID";
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        unsigned there = sizes[i] < SERIAL_SIZE ? sizes[i] : SERIAL_SIZE;
        uint32_t length;

        memset(data, FILLER, 600);
        length = answer_to(T_GET_ID, UINT64_MAX, data, sizes[i]).length;
        if (*status_of(&disk.queue, 0) == S_OK)
            must(same(data, serial, there));
        must_be(data[sizes[i]], FILLER);
        must(i > 0 || *status_of(&disk.queue, 0) == S_OK);
        /* 2.7.8.2: no more than what was written from the beginning on, without a gap */
        must_be(length, sizes[i] <= SERIAL_SIZE ? sizes[i] + 1 : there);
    }
}

static void discard(void)
{
    static const struct range good[] = {{256, 8, 0}, {272, 16, 0}, {301, 3, 0}};
    struct range many[17];

    doing = "discard";
    must_be(change(T_DISCARD, good, 3), S_OK);
    must_be(*status_of(&disk.queue, 0), S_OK);
    check_sectors(255, 1, 255);
    check_sectors(264, 8, 264);
    check_sectors(288, 13, 288);
    check_sectors(304, 1, 304);
    check_zero(256, 8); /* what a raw file gives; the specification allows anything */
    check_zero(272, 16);
    doing = "discard with flags"; /* 5.2.6.2 */
    must_be(change(T_DISCARD, &(struct range){128, 8, UNMAP}, 1), S_UNSUPP);
    for (unsigned bit = 1; bit < 32; bit++)
        must_be(change(T_DISCARD, &(struct range){128, 8, 1u << bit}, 1), S_UNSUPP);
    doing = "discard too many ranges";
    for (unsigned i = 0; i < 17; i++)
        many[i] = (struct range){320 + i, 1, 0};
    must_be(change(T_DISCARD, many, 17), S_IOERR);
    check_sectors(320, 17, 320);
    must_be(change(T_DISCARD, many, 16), S_OK);
    check_sectors(336, 1, 336);
}

static void write_zeroes(void)
{
    static const struct range good[] = {
        {384, 8, 0}, {393, 1, UNMAP}, {400, 16, 0}, {416, 8, UNMAP}};

    doing = "write zeroes";
    must_be(change(T_WRITE_ZEROES, good, 4), S_OK);
    check_sectors(383, 1, 383);
    check_zero(384, 8);
    check_sectors(392, 1, 392);
    check_zero(393, 1);
    check_sectors(394, 6, 394);
    check_zero(400, 24);
    check_sectors(424, 1, 424);
    doing = "write zeroes with flags";
    for (unsigned bit = 1; bit < 32; bit++)
        must_be(change(T_WRITE_ZEROES, &(struct range){128, 8, 1u << bit}, 1), S_UNSUPP);
    doing = "write zeroes over many pages";
    must_be(change(T_WRITE_ZEROES, &(struct range){512, 300, 0}, 1), S_OK);
    check_zero(512, 300);
    check_sectors(812, 1, 812);
}

static void refuse_ranges(void)
{
    static const unsigned types[] = {T_DISCARD, T_WRITE_ZEROES};
    const struct range bad[] = {
        {sectors, 1, 0},
        {sectors - 1, 2, 0},
        {0, (uint32_t)sectors + 1, 0},
        {0, UINT32_MAX, 0},
        {UINT64_MAX, 1, 0},
        {UINT64_MAX, 2, 0},
        {UINT64_MAX - 7, 8, 0},
        {UINT64_MAX / 2, 8, 0},
        {1ull << 55, 8, 0}, /* times 512 is 0 */
        {(1ull << 55) - 1, 8, 0},
        {1ull << 63, UINT32_MAX, 0},
        {128, 0, 0},
    };

    doing = "ranges beyond the end";
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned n = 0; n < sizeof(bad) / sizeof(bad[0]); n++) {
            struct range three[3] = {{128, 8, 0}, bad[n], {136, 8, 0}};

            must_be(change(types[i], &bad[n], 1), S_IOERR);
            must_be(change(types[i], three, 3), S_IOERR);
        }
        doing = "ranges that are cut off";
        for (unsigned size = 0; size < 64; size++) {
            struct range *copy = buffer(511);

            copy[0] = copy[1] = copy[2] = copy[3] = (struct range){128, 8, 0};
            if (size % sizeof(struct range) || size == 0)
                must_be(request(&disk, types[i], 0, copy, size), S_IOERR);
        }
    }
    check_sectors(128, 16, 128); /* nothing of the good ones was done either */
}

static void refuse_types(void)
{
    static const uint32_t types[] = {2,  3,  5,  6,  7,   9,          10,         12,        14,
                                     15, 16, 17, 24, 256, 0x7fffffff, 0x80000000, 0xffffffff};

    doing = "unknown types";
    for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        must_refuse(S_UNSUPP, types[i], 0, 0);
        must_refuse(S_UNSUPP, types[i], UINT64_MAX, SECTOR);
        must_refuse(S_UNSUPP, types[i], 3, 7);
    }
}

static void refuse_sectors(void)
{
    const struct {
        uint64_t sector;
        unsigned size;
    } bad[] = {
        {sectors, SECTOR},
        {sectors - 1, 2 * SECTOR},
        {sectors - 8, 9 * SECTOR},
        {sectors + 1, SECTOR},
        {UINT64_MAX, SECTOR},
        {UINT64_MAX, 2 * SECTOR},
        {UINT64_MAX - 1, SECTOR},
        {UINT64_MAX / SECTOR, SECTOR},
        {UINT64_MAX / SECTOR + 1, SECTOR}, /* times 512 is 0 */
        {UINT64_MAX / SECTOR + 4, SECTOR},
        {1ull << 54, SECTOR}, /* times 512 is the sign */
        {1ull << 63, SECTOR},
    };

    doing = "sectors beyond the end";
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        must_refuse(S_IOERR, T_IN, bad[i].sector, bad[i].size);
        must_refuse(S_IOERR, T_OUT, bad[i].sector, bad[i].size);
    }
    doing = "sizes that are no sectors";
    for (unsigned size = 1; size < 2000; size += size < 8 ? 1 : 63) {
        if (size % SECTOR == 0)
            continue;
        must_refuse(S_IOERR, T_IN, 3, size);
        must_refuse(S_IOERR, T_OUT, 3, size);
    }
    must_refuse(S_IOERR, T_IN, 3, 511);
    must_refuse(S_IOERR, T_OUT, 3, 513);
    check_sectors(0, 64, 0);
}

/* The data of a request in a descriptor of the other direction. */
static void turn_data_round(unsigned type, uint8_t status)
{
    struct queue *queue = &disk.queue;
    bool in = type == T_IN || type == T_GET_ID;
    uint8_t *data = buffer(0);

    memset(data, FILLER, 2 * SECTOR);
    describe_request(queue, 0, type, 128, data, SECTOR);
    queue->desc[1].flags = (uint16_t)(NEXT | (in ? 0 : WRITE));
    send(&disk, queue, 0);
    must_be(wait_used(&disk, queue).length, in ? 1 : 0);
    must_be(*status_of(queue, 0), status);
    for (unsigned i = 0; i < 2 * SECTOR; i++)
        must_be(data[i], FILLER);
}

static void refuse_directions(void)
{
    doing = "data of the wrong direction";
    turn_data_round(T_IN, S_IOERR);
    turn_data_round(T_OUT, S_IOERR);
    turn_data_round(T_GET_ID, S_IOERR);
    turn_data_round(T_DISCARD, S_IOERR);
    turn_data_round(T_WRITE_ZEROES, S_IOERR);
    turn_data_round(5, S_UNSUPP);
    check_sectors(128, 1, 128);
}

/* 2.7.4.1: the device makes nothing of how a request is cut into buffers. */
static void cut_requests(void)
{
    struct queue *queue = &disk.queue;
    uint8_t *data = buffer(0);
    struct header *header = header_of(queue, 0);
    uint64_t status = (uint64_t)status_of(queue, 0);

    doing = "a request cut into bytes";
    prepare(queue, 0, T_IN, 5);
    header->reserved = UINT32_MAX; /* to be ignored */
    memset(data, FILLER, 2 * PAGE);
    for (unsigned i = 0; i < 16; i++)
        describe(queue, i, (uint64_t)header + i, 1, NEXT, i + 1);
    for (unsigned i = 0; i < 200; i++) /* at odd addresses, with a hole after each byte */
        describe(queue, 16 + i, (uint64_t)data + 1 + 2 * i, 1, NEXT | WRITE, 17 + i);
    describe(queue, 216, (uint64_t)data + 1001, SECTOR - 200, NEXT | WRITE, 217);
    describe(queue, 217, (uint64_t)data, 0, NEXT | WRITE, 218);
    describe(queue, 218, status, 1, NEXT | WRITE, 219);
    describe(queue, 219, (uint64_t)data, 0, WRITE, 0);
    send(&disk, queue, 0);
    must_be(wait_used(&disk, queue).length, SECTOR + 1);
    must_be(*(volatile uint8_t *)status, S_OK);
    for (unsigned i = 0; i < 200; i++) {
        must_be(data[2 * i], FILLER);
        data[i] = data[1 + 2 * i];
    }
    must_be(data[1000], FILLER);
    must_be(data[1001 + SECTOR - 200], FILLER);
    memcpy(data + 200, data + 1001, SECTOR - 200);
    must(is_filled(data, 5));

    doing = "header and data in one buffer, data and status in one";
    prepare(queue, 0, T_IN, 6);
    memset(data, FILLER, PAGE);
    describe(queue, 0, (uint64_t)header, 16, NEXT, 1);
    describe(queue, 1, (uint64_t)data, SECTOR + 1, WRITE, 0);
    send(&disk, queue, 0);
    must_be(wait_used(&disk, queue).length, SECTOR + 1);
    must_be(data[SECTOR], S_OK);
    must_be(data[SECTOR + 1], FILLER);
    must(is_filled(data, 6));
    if (disk_offers(&disk) & F_RO)
        return;
    *(struct header *)data = (struct header){.type = T_OUT, .sector = 440};
    fill(data + 16, 7440);
    describe(queue, 0, (uint64_t)data, 16 + SECTOR, NEXT, 1);
    describe(queue, 1, status, 1, WRITE, 0);
    *(volatile uint8_t *)status = S_NONE;
    send(&disk, queue, 0);
    must_be(wait_used(&disk, queue).length, 1);
    must_be(*(volatile uint8_t *)status, S_OK);
    check_sectors(440, 1, 7440);
    check_sectors(441, 1, 441);
    doing = "an unaligned write";
    fill(data + 3, 7442);
    must_be(request(&disk, T_OUT, 442, data + 3, SECTOR), S_OK);
    check_sectors(442, 1, 7442);
    check_sectors(443, 1, 443);
}

static void cut_headers_short(void)
{
    struct queue *queue = &disk.queue;

    doing = "a header that is too short";
    for (unsigned size = 0; size < 16; size++) {
        describe_request(queue, 0, T_IN, 3, NULL, 0);
        queue->desc[0].length = size;
        send(&disk, queue, 0);
        must_be(wait_used(&disk, queue).length, 1);
        must_be(*status_of(queue, 0), S_IOERR);
    }
    doing = "no header at all";
    prepare(queue, 0, T_IN, 3);
    describe(queue, 0, (uint64_t)status_of(queue, 0), 1, WRITE, 0);
    send(&disk, queue, 0);
    must_be(wait_used(&disk, queue).length, 1);
    must_be(*status_of(queue, 0), S_IOERR);
}

static void send_no_status(void)
{
    struct queue *queue = &disk.queue;

    doing = "no room for a status";
    disk_start(&disk, 0, QUEUE_MOST);
    describe_request(queue, 0, T_FLUSH, 0, NULL, 0);
    queue->desc[0].flags = 0;
    send(&disk, queue, 0);
    must_break(&disk);
    must_work(&disk);
    doing = "a status of no bytes";
    disk_start(&disk, 0, QUEUE_MOST);
    describe_request(queue, 0, T_FLUSH, 0, NULL, 0);
    queue->desc[1].length = 0;
    send(&disk, queue, 0);
    must_break(&disk);
    must_work(&disk);
    doing = "a chain of nothing";
    disk_start(&disk, 0, QUEUE_MOST);
    describe(queue, 0, (uint64_t)buffer(0), 0, WRITE, 0);
    send(&disk, queue, 0);
    must_break(&disk);
    must_work(&disk);
}

static void refuse_writes(void)
{
    const struct range range = {128, 8, 0};

    doing = "write to a read-only disk";
    must(disk_offers(&disk) & F_RO);
    must(!(disk_offers(&disk) & (F_FLUSH | F_DISCARD | F_WRITE_ZEROES | F_CONFIG_WCE)));
    must_refuse(S_IOERR, T_OUT, 128, SECTOR);
    must_refuse(S_IOERR, T_OUT, 128, 0);
    must(change(T_DISCARD, &range, 1) != S_OK);
    must(change(T_WRITE_ZEROES, &range, 1) != S_OK);
    check_sectors(128, 8, 128);
}

static void use_cache_modes(void)
{
    uint8_t *data = buffer(0);

    doing = "write through";
    disk_reset(&disk);
    disk_negotiate(&disk, F_VERSION_1 | F_FLUSH | F_CONFIG_WCE);
    queue_place(&disk.queue, 0, 16);
    must(queue_install(&disk, &disk.queue));
    disk_run(&disk);
    for (unsigned i = 0; i < 4; i++) { /* the mode may change at any time (5.2.6.2) */
        write8(disk.base + V_CONFIG + C_WRITEBACK, i % 2);
        fill(data, 7450 + i);
        must_be(request(&disk, T_OUT, 450 + i, data, SECTOR), S_OK);
        must_be(change(T_WRITE_ZEROES, &(struct range){454 + i, 1, 0}, 1), S_OK);
        check_sectors(450 + i, 1, 7450 + i);
        check_zero(454 + i, 1);
    }
    doing = "no FLUSH negotiated"; /* 5.2.6.2: then writes are stable by themselves */
    disk_start(&disk, 0, 16);
    fill(data, 7458);
    must_be(request(&disk, T_OUT, 458, data, SECTOR), S_OK);
    must_be(request(&disk, T_FLUSH, 0, NULL, 0) <= S_UNSUPP, true);
    check_sectors(458, 1, 7458);
}

/* More than the host moves by one call: 254 buffers of 16 MiB, all the same but for one. */
static void read_much(void)
{
    enum { PIECE = 0x1000000, MARKED = 200, PIECES = QUEUE_MOST - 2 };
    const uint64_t mark = MARKED * (PIECE / SECTOR) + 1;
    struct queue *queue = &disk.queue;
    uint8_t *usual = memory(RAM + PIECE), *marked = memory(RAM + 2 * PIECE);

    doing = "read nearly 4 GiB";
    fill(marked, mark);
    must_be(request(&disk, T_OUT, mark, marked, SECTOR), S_OK);
    memset(marked, FILLER, 3 * SECTOR);
    describe_request(queue, 0, T_IN, 0, NULL, 0);
    for (unsigned i = 0; i < PIECES; i++)
        describe(queue, 1 + i, (uint64_t)(i == MARKED ? marked : usual), PIECE, NEXT | WRITE,
                 2 + i);
    describe(queue, 1 + PIECES, (uint64_t)status_of(queue, 0), 1, WRITE, 0);
    send(&disk, queue, 0);
    while (!used_is_there(queue)) /* it takes longer than wait_used has patience */
        pause();
    must_be(wait_used(&disk, queue).length, (uint32_t)PIECES * PIECE + 1);
    must_be(*status_of(queue, 0), S_OK);
    must(is_zero(marked, SECTOR));
    must(is_filled(marked + SECTOR, mark));
    must(is_zero(marked + 2 * SECTOR, SECTOR));
}

void test(void)
{
    uint64_t all = F_FLUSH | F_DISCARD | F_WRITE_ZEROES;
    bool ro = option("ro", 0);

    sectors = option("sectors", 0);
    disk_init(&disk, 0);
    must_be(disk_capacity(&disk), sectors);
    disk_start(&disk, ro ? F_RO : all, QUEUE_MOST);
    if (option("large", 0)) {
        read_much();
        return;
    }
    read_all();
    flush();
    identify();
    refuse_types();
    cut_requests();
    cut_headers_short();
    refuse_sectors();
    if (ro) {
        refuse_writes();
        return;
    }
    write_some();
    discard();
    write_zeroes();
    refuse_ranges();
    refuse_directions();
    use_cache_modes();
    send_no_status();
}
