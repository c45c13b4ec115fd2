/* SPDX-License-Identifier: MIT */
/*
 * As much work for a disk as can be asked for from little memory: all queues are full of requests
 * that go through one table, over and over the same buffer of 1 MiB, and each is as large as the
 * disk, or as it says.
 *   queues=N    how many of the disk's, up to 62
 *   type=T      0 read, 1 write, 13 write zeroes
 *   segments=N  MiB of each, 1 to 254; for zeroes, ranges of 1 to 16, each of all the disk
 *   shift=N     bytes that the buffer is off a page
 *   others=1    the next disk is used meanwhile
 *   resets=N    so often, the disk is reset, and used
 * It ends when it is told to by a byte, which it sends back; by "!" with what is still in flight.
 */
#include "virtio.h"

enum { QUEUES_MOST = 62, MIB = 1 << 20, TABLE = BUFFERS, HEADER = BUFFERS + 0x1000 };
enum { STATUS = BUFFERS + 0x1800, RANGES = BUFFERS + 0x2000, AREA = BUFFERS + 0x4000 };

static struct disk disk, other;
static struct queue queues[QUEUES_MOST];

/* One table for all. */
static unsigned make_table(void)
{
    struct descriptor *table = memory(TABLE);
    unsigned type = (unsigned)option("type", T_IN), segments = (unsigned)option("segments", 1);
    uint64_t capacity = disk_capacity(&disk);
    struct {
        uint64_t sector;
        uint32_t count, flags;
    } *ranges = memory(RANGES);
    unsigned count = 0;

    *(struct header *)memory(HEADER) = (struct header){.type = type};
    table[count++] = (struct descriptor){HEADER, sizeof(struct header), NEXT, 1};
    for (unsigned i = 0; type == T_WRITE_ZEROES && i < segments; i++) {
        ranges[i].count = (uint32_t)capacity;
        table[count] = (struct descriptor){(uint64_t)&ranges[i], 16, NEXT, (uint16_t)(count + 1)};
        count++;
    }
    for (unsigned i = 0; type != T_WRITE_ZEROES && i < segments; i++) {
        table[count] = (struct descriptor){AREA + option("shift", 0), MIB,
                                           (uint16_t)(NEXT | (type == T_IN ? WRITE : 0)),
                                           (uint16_t)(count + 1)};
        count++;
    }
    table[count++] = (struct descriptor){STATUS, 1, WRITE, 0};
    return count;
}

static void flood(unsigned count)
{
    unsigned length = make_table();

    disk_reset(&disk);
    disk_negotiate(&disk, F_VERSION_1 | F_MQ | F_INDIRECT | F_WRITE_ZEROES);
    for (unsigned i = 0; i < count; i++) {
        queue_place(&queues[i], i + 2, QUEUE_MOST); /* beside those of the two disks */
        queues[i].index = i;
        must(queue_install(&disk, &queues[i]));
    }
    disk_run(&disk);
    for (unsigned i = 0; i < count; i++) {
        for (unsigned head = 0; head < QUEUE_MOST; head++) {
            describe(&queues[i], head, TABLE, 16 * length, INDIRECT, 0);
            offer(&queues[i], head);
        }
        publish(&queues[i]);
        kick(&disk, &queues[i]);
    }
}

void test(void)
{
    unsigned count = (unsigned)option("queues", 1);
    uint8_t byte;

    interrupts_init();
    disk_init(&disk, 0);
    for (unsigned i = 0; i < option("resets", 0); i++) {
        doing = "a reset with more in flight than can be done";
        flood(count);
        spend(5);
        must_work(&disk);
    }
    doing = "a flood";
    flood(count);
    if (option("others", 0)) {
        disk_init(&other, 1);
        disk_start(&other, 0, 16);
        for (unsigned i = 0; i < 20; i++)
            must_be(request(&other, T_IN, i, memory(AREA + MIB + PAGE), SECTOR), S_OK);
    }
    print("ready\n");
    do {
        byte = get_byte();
        put_byte(byte);
    } while (byte != '!');
}
