/* SPDX-License-Identifier: MIT */
/*
 * The rings' indices go past 65,535: requests=N of them (70,000), in batches that
 * fill a queue of size=N descriptors, indirect ones; each second writes, and
 * what is written is read back.  event=1: with EVENT_IDX.  Sectors from 64 on
 * are overwritten; sectors=N of the disk.
 */
#include "virtio.h"

enum { FIRST = 64, SPAN = 256 };

static struct disk disk;
static uint64_t seeds[SPAN];

void test(void)
{
    unsigned requests = (unsigned)option("requests", 70000), size = (unsigned)option("size", 256);
    uint64_t features = F_INDIRECT | (option("event", 0) ? F_EVENT_IDX : 0);
    unsigned done = 0, batch = 0;
    struct queue *queue = &disk.queue;

    disk_init(&disk, 0);
    must(option("sectors", 0) >= FIRST + SPAN);
    doing = "many requests";
    disk_start(&disk, features, size);
    for (unsigned i = 0; i < SPAN; i++)
        seeds[i] = FIRST + i;
    for (unsigned i = 0; i < size; i++) /* the tables stay */
        describe_indirect(queue, i, T_IN, 0, buffer(0), SECTOR);
    while (done < requests) {
        bool writes = batch % 2;
        unsigned shift = batch / 2 * 7; /* other heads and sectors meet each time */

        for (unsigned i = 0; i < size; i++) {
            unsigned head = (i * 5 + batch) % size, at = (i + shift) % SPAN;
            struct descriptor *data = &table_of(queue, head)[1];
            uint8_t *bytes = (uint8_t *)buffer(0) + head * SECTOR;

            prepare(queue, head, writes ? T_OUT : T_IN, FIRST + at);
            *data = (struct descriptor){(uint64_t)bytes, SECTOR,
                                        (uint16_t)(writes ? NEXT : NEXT | WRITE), 2};
            if (writes) {
                seeds[at] = (uint64_t)done << 20 | at;
                fill(bytes, seeds[at]);
            } else {
                *(uint64_t *)bytes = 0;
            }
            offer(queue, head);
        }
        publish(queue);
        kick(&disk, queue);
        for (unsigned i = 0; i < size; i++) {
            struct used_element used = wait_used(&disk, queue);

            must(used.id < size);
            must_be(used.length, writes ? 1 : SECTOR + 1);
            must_be(*status_of(queue, used.id), S_OK);
            *status_of(queue, used.id) = S_NONE; /* none is done twice */
        }
        for (unsigned i = 0; !writes && i < size; i++) {
            unsigned head = (i * 5 + batch) % size, at = (i + shift) % SPAN;

            must(is_filled((uint8_t *)buffer(0) + head * SECTOR, seeds[at]));
        }
        must_be(queue->used->idx, (uint16_t)(done + size));
        done += size;
        batch++;
    }
    must_be(get(&disk, V_STATUS), RUNNING);
}
