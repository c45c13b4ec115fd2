/* SPDX-License-Identifier: MIT */
/*
 * A reset while 64 large requests are in flight: when it is over, the device
 * writes to memory no more.  Needs 160 MiB of memory, and a disk of 2 MiB.
 *   mode=flood: only prints "ready" and goes on with such requests
 *   mode=exit code=N: ends the machine while they are in flight
 *   slow=1: on a disk that takes milliseconds for each, so that none can be done in time
 */
#include "virtio.h"

enum { REQUESTS_AT_ONCE = 64, SIZE = 1 << 20, DATA_AREA = RAM + 0x1000000, CANARY = 0x5c5c5c5c };

static struct disk disk;

static uint8_t *data_of(unsigned i)
{
    return memory(DATA_AREA + (uint64_t)i * SIZE);
}

static void start_requests(unsigned type)
{
    for (unsigned i = 0; i < REQUESTS_AT_ONCE; i++) {
        describe_request(&disk.queue, 3 * i, type, (i % 3) * 8, data_of(i), SIZE);
        offer(&disk.queue, 3 * i);
    }
    publish(&disk.queue);
    kick(&disk, &disk.queue);
}

/* A word of each page. */
static void fill_all(uint32_t value)
{
    for (uint64_t page = 0; page < (uint64_t)REQUESTS_AT_ONCE * SIZE / PAGE; page++)
        *(volatile uint32_t *)at(DATA_AREA + page * PAGE + page % 1000 * 4) = value;
}

static void must_be_left_alone(void)
{
    for (uint64_t page = 0; page < (uint64_t)REQUESTS_AT_ONCE * SIZE / PAGE; page++)
        must_be(*(volatile uint32_t *)at(DATA_AREA + page * PAGE + page % 1000 * 4), CANARY);
    for (unsigned i = 0; i < REQUESTS_AT_ONCE; i++)
        must_be(*status_of(&disk.queue, 3 * i), S_NONE);
    must(is_zero(disk.queue.used, 6 + 8 * QUEUE_MOST));
}

static void reset_in_flight(unsigned rounds)
{
    unsigned in_flight = 0;

    doing = "a reset with requests in flight";
    for (unsigned round = 0; round < rounds; round++) {
        uint64_t until;
        uint16_t finished;

        disk_start(&disk, 0, QUEUE_MOST);
        start_requests(T_IN);
        until = now() + (round % 2 ? round * 1000000ull : 0); /* from no time on */
        while (now() < until)
            pause();
        finished = __atomic_load_n(&disk.queue.used->idx, __ATOMIC_ACQUIRE);
        in_flight += finished < REQUESTS_AT_ONCE;
        disk_reset(&disk);
        fill_all(CANARY); /* it is ours again */
        for (unsigned i = 0; i < REQUESTS_AT_ONCE; i++)
            *status_of(&disk.queue, 3 * i) = S_NONE;
        memset(disk.queue.used, 0, 6 + 8 * QUEUE_MOST);
        spend(round % 4 ? 2 : 30);
        must_be_left_alone();
        if (round % 4 == 0)
            must_work(&disk);
    }
    must(in_flight > 0); /* else this has tested nothing */
    must(in_flight == rounds || !option("slow", 0));
}

/* Nor does it go on to write to the disk. */
static void reset_writes(void)
{
    static uint8_t before[SECTOR], after[SECTOR];

    doing = "a reset with writes in flight";
    for (unsigned round = 0; round < 4; round++) {
        disk_start(&disk, 0, QUEUE_MOST);
        for (unsigned i = 0; i < REQUESTS_AT_ONCE; i++) {
            fill(data_of(i), ((uint64_t)round << 48) + i);
            describe_request(&disk.queue, 3 * i, T_OUT, 128, data_of(i), SIZE / 16);
            offer(&disk.queue, 3 * i);
        }
        publish(&disk.queue);
        kick(&disk, &disk.queue);
        disk_start(&disk, 0, QUEUE_MOST);
        must_be(request(&disk, T_IN, 128, before, SECTOR), S_OK);
        spend(5);
        must_be(request(&disk, T_IN, 128, after, SECTOR), S_OK);
        must(same(before, after, SECTOR));
    }
    must_work(&disk);
}

void test(void)
{
    interrupts_init();
    disk_init(&disk, 0);
    must(disk_capacity(&disk) * SECTOR >= SIZE + 16 * SECTOR);
    if (option_is("mode", "exit")) {
        disk_start(&disk, 0, QUEUE_MOST);
        start_requests(T_IN);
        finish((int)option("code", 0));
    }
    if (option_is("mode", "flood")) {
        print("ready\n");
        for (;;) {
            disk_start(&disk, 0, QUEUE_MOST);
            start_requests(T_IN);
            for (unsigned i = 0; i < REQUESTS_AT_ONCE; i++)
                wait_used(&disk, &disk.queue);
        }
    }
    reset_in_flight(option("slow", 0) ? 4 : 8);
    if (!(disk_offers(&disk) & F_RO))
        reset_writes();
}
