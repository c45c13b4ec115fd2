/* SPDX-License-Identifier: MIT */
/*
 * Several CPUs at one block device, cpus=N of them.
 *   mode=rewrite: one changes what another has given to the device, while that looks at it
 *   mode=registers: all write to its registers whatever comes to mind
 *   mode=restart: one keeps the disk in slot 1 busy, and with it the thread that serves both;
 *     another resets its disk before that thread has noticed that it runs
 *   mode=queues: each has a queue of its own, and checks its data
 * rounds=N of each.
 */
#include "virtio.h"

enum { MOST = 8 };

static struct disk disk;
static struct queue queues[MOST];
static unsigned cpus, rounds;
static uint32_t ready, done;
static bool stop;

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state >> 11;
}

static void wait_for(const uint32_t *value, uint32_t wanted)
{
    while (__atomic_load_n(value, __ATOMIC_SEQ_CST) < wanted)
        pause();
}

/* ---- mode=rewrite ---- */

enum { REQUEST_ROUND = 40 /* requests after which it is reset, if it has not broken down */ };

/* Changes one thing after the other: of what the device may only read, and to what lets it
 * write to the first buffers and the rings at most.  By a copy of the queue: disk_start makes
 * disk.queue anew, at the same place, and its pointers are NULL for a moment. */
static void rewrite(void)
{
    static const uint64_t addresses[] = {BUFFERS,    BUFFERS + PAGE, BUFFERS + 3, 0xc8000000,
                                         UINT64_MAX, SLOT_BASE,      1ull << 40};
    static const uint32_t lengths[] = {SECTOR, 0, 1, 16, 0xffffffff, 0x7fffffff, SECTOR + 1};
    static const uint16_t flags[] = {NEXT | WRITE, NEXT, WRITE, INDIRECT, 0, NEXT | INDIRECT, 7};
    static const uint16_t nexts[] = {2, 1, 0, 3, 255, 256, 0xffff};
    static const uint32_t types[] = {T_IN, T_OUT, T_FLUSH, T_GET_ID, 5, T_DISCARD, 0xffffffff};
    static const uint64_t sectors[] = {SCRATCH, SCRATCH + 1, UINT64_MAX, 1ull << 55,
                                       SCRATCH, SCRATCH + 1, SCRATCH + 2};
    struct queue *queue = &queues[0];
    uint64_t random = 0x1234567;

    interrupts_on(); /* of which none comes: for Bochs, as x86_64/bare.c says */
    while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
        uint64_t r = next_random(&random);
        unsigned what = (unsigned)(r % 16), n = (unsigned)(r / 16 % 7);
        volatile struct descriptor *d = r / 1024 % 2 ? &queue->desc[1] : &table_of(queue, 4)[1];
        volatile struct header *header = header_of(queue, r / 1024 % 2 ? 0 : 4);

        switch (what) {
        case 0:
        case 1: d->address = addresses[n]; break;
        case 2: d->length = lengths[n]; break;
        case 3: d->flags = flags[n]; break;
        case 4: d->next = nexts[n]; break;
        case 5: header->type = types[n]; break;
        case 6: header->sector = sectors[n]; break;
        case 7: queue->desc[4].length = lengths[n]; break;
        case 8:
            if (n == 0)
                queue->avail->ring[r / 2048 % 16] = (uint16_t)(r / 65536 % 6);
            break;
        default: /* mostly good */
            d->address = BUFFERS;
            d->length = SECTOR;
            d->flags = NEXT | WRITE;
            d->next = 2;
            queue->desc[4].length = 48;
        }
    }
}

static bool is_broken(void)
{
    return get(&disk, V_STATUS) & NEEDS_RESET;
}

static void be_rewritten(void)
{
    struct queue *queue = &disk.queue;
    unsigned answered = 0, broken = 0;

    doing = "descriptors that change while they are looked at";
    guard_memory();
    for (unsigned round = 0; round < rounds; round++) {
        uint64_t until = now() + 20000000000;

        disk_start(&disk, F_INDIRECT, 16);
        for (unsigned i = 0; i < REQUEST_ROUND && !is_broken(); i++) {
            describe_request(queue, 0, T_IN, SCRATCH, buffer(0), SECTOR);
            describe_indirect(queue, 4, T_IN, SCRATCH, buffer(0), SECTOR);
            offer(queue, i % 2 ? 0 : 4);
            offer(queue, i % 2 ? 4 : 0);
            publish(queue);
            kick(&disk, queue);
            while (queue->used->idx != queue->published && !is_broken()) {
                pause();
                must(now() < until);
            }
            answered++;
        }
        broken += is_broken();
    }
    __atomic_store_n(&stop, true, __ATOMIC_SEQ_CST);
    wait_for(&done, cpus - 1);
    disk_reset(&disk);
    memset(buffer(0), 0xa5, 3 * PAGE);
    must_be_unharmed();
    must(answered > broken);
    must_work(&disk);
}

/* ---- mode=registers ---- */

static void write_registers(uint64_t seed)
{
    static const unsigned usual[] = {V_STATUS,       V_STATUS,      V_STATUS,
                                     V_STATUS,       V_QUEUE_READY, V_QUEUE_NUM,
                                     V_QUEUE_NOTIFY, V_QUEUE_SEL,   V_INTERRUPT_ACK};
    static const uint32_t values[] = {0,  1,  3,  11,  15,  0, 1,         3,
                                      11, 15, 64, 128, 256, 8, 0xffffffff};
    /* Descriptors only where some are: what the rings contain, taken for descriptors, leads
     * to memory of ours. */
    static const uint32_t places[3][3] = {{RINGS, 0xc8000000, RINGS + 1},
                                          {RINGS + 0x1000, RINGS + 0x2000, 0xc8000000},
                                          {RINGS + 0x2000, RINGS + 0x1000, 0xc8000000}};
    uint64_t random = seed;

    for (unsigned i = 0; i < rounds; i++) {
        uint64_t r = next_random(&random);
        unsigned offset = usual[r % 9];
        uint32_t value = values[r / 16 % 15];

        r /= 4096;
        switch (r % 8) {
        case 0: /* a ring: only where it does no harm to us */
            offset = V_QUEUE_DESC + (unsigned)(r / 8 % 3) * 16;
            value = places[r / 8 % 3][r / 64 % 3];
            break;
        case 1:
            put(&disk, V_DRIVER_FEATURES_SEL, 1);
            offset = V_DRIVER_FEATURES;
            value = 1;
            break;
        case 2: /* at any place, by any width */
            offset = (unsigned)(r / 8 % (SLOT_SIZE - 8));
            if (offset < V_QUEUE_DESC || offset > V_QUEUE_DEVICE + 8) {
                if (r / 8192 % 2)
                    write64(unaligned(disk.base + offset), r);
                else
                    write8(disk.base + offset, (uint8_t)r);
                read32(unaligned(disk.base + offset));
            }
            continue;
        case 3: get(&disk, (unsigned)(r / 8 % (SLOT_SIZE / 4)) * 4); break;
        case 4: /* the way to a device that runs */
            put(&disk, V_STATUS, 0);
            put(&disk, V_STATUS, 1);
            put(&disk, V_STATUS, 3);
            put(&disk, V_DRIVER_FEATURES_SEL, 1);
            put(&disk, V_DRIVER_FEATURES, 1);
            put(&disk, V_STATUS, 11);
            put(&disk, V_QUEUE_NUM, 8);
            put64(&disk, V_QUEUE_DESC, RINGS);
            put64(&disk, V_QUEUE_DRIVER, RINGS + 0x1000);
            put64(&disk, V_QUEUE_DEVICE, RINGS + 0x2000);
            put(&disk, V_QUEUE_READY, 1);
            put(&disk, V_STATUS, 15);
            put(&disk, V_QUEUE_NOTIFY, 0);
            continue;
        }
        put(&disk, offset, value);
    }
}

static void write_any_registers(void)
{
    static uint8_t first_page[PAGE]; /* from 0 on, a queue is whose addresses nobody has written */

    doing = "registers written by all CPUs";
    queue_place(&disk.queue, 0, 8);
    for (unsigned i = 0; i < 8; i++) { /* wherever the device looks, there is something */
        describe_request(&disk.queue, 0, T_IN, 3, buffer(0), SECTOR);
        offer(&disk.queue, i % 2 ? 0 : i);
    }
    publish(&disk.queue);
    memcpy(first_page, memory(RAM), PAGE);
    guard_memory();
    __atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
    write_registers(0x9876543);
    wait_for(&done, cpus - 1);
    disk_reset(&disk);
    memcpy(memory(RAM), first_page, PAGE);
    memset(buffer(0), 0xa5, PAGE);
    must_be_unharmed();
    must_work(&disk);
}

/* ---- mode=restart ---- */

enum { BUSY_AT_ONCE = 16, BUSY_SIZE = 1 << 16 };

static void keep_busy(void)
{
    static struct disk other;
    struct queue *queue = &other.queue;

    disk_init(&other, 1);
    disk_start(&other, F_INDIRECT, BUSY_AT_ONCE);
    while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
        for (unsigned i = 0; i < BUSY_AT_ONCE; i++) {
            describe_indirect(queue, i, T_IN, 0, buffer(64 + 16 * i), BUSY_SIZE);
            offer(queue, i);
        }
        publish(queue);
        kick(&other, queue);
        for (unsigned i = 0; i < BUSY_AT_ONCE; i++)
            must_be(wait_used(&other, queue).length, BUSY_SIZE + 1);
    }
}

static void restart(void)
{
    doing = "a reset before the device runs";
    __atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < rounds; i++) {
        disk_start(&disk, 0, 4);
        disk_reset(&disk);
    }
    __atomic_store_n(&stop, true, __ATOMIC_SEQ_CST);
    wait_for(&done, cpus - 1);
    must_work(&disk);
}

/* ---- mode=queues ---- */

enum { AT_ONCE = 16, FIRST = 1024, SPAN = 64 };

static void use_queue(unsigned cpu)
{
    struct queue *queue = &queues[cpu];
    uint8_t *data = buffer(16 * cpu);
    uint64_t base = FIRST + cpu * SPAN;

    for (unsigned round = 0; round < rounds; round++) {
        bool writes = round % 2 == 0;
        uint64_t seed = ((uint64_t)cpu << 40) + (round / 2) * 1000ull;

        for (unsigned i = 0; i < AT_ONCE; i++) {
            unsigned head = (i + round) % AT_ONCE;

            if (writes)
                fill(data + head * SECTOR, seed + i);
            describe_indirect(queue, head, writes ? T_OUT : T_IN, base + (i + round / 2) % SPAN,
                              data + head * SECTOR, SECTOR);
            offer(queue, head);
        }
        publish(queue);
        kick(&disk, queue);
        for (unsigned i = 0; i < AT_ONCE; i++) {
            struct used_element used = wait_used(&disk, queue);

            must(used.id < AT_ONCE);
            must_be(used.length, writes ? 1 : SECTOR + 1);
            must_be(*status_of(queue, used.id), S_OK);
        }
        for (unsigned i = 0; !writes && i < AT_ONCE; i++)
            must(is_filled(data + (i + round) % AT_ONCE * SECTOR, seed + i));
    }
}

static void use_queues(void)
{
    doing = "a queue for each CPU";
    disk_reset(&disk);
    disk_negotiate(&disk, F_VERSION_1 | F_INDIRECT | F_EVENT_IDX | F_MQ);
    for (unsigned i = 0; i < cpus; i++) {
        queue_place(&queues[i], i, 32);
        must(queue_install(&disk, &queues[i]));
    }
    disk_run(&disk);
    __atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
    use_queue(0);
    wait_for(&done, cpus - 1);
    must_be(get(&disk, V_STATUS), RUNNING);
    must_work(&disk);
}

/* ---- all CPUs ---- */

static void ap(unsigned number)
{
    wait_for(&ready, 1);
    if (option_is("mode", "rewrite"))
        rewrite();
    else if (option_is("mode", "registers"))
        write_registers(0x5432100 + number);
    else if (option_is("mode", "restart"))
        keep_busy();
    else
        use_queue(1 + number);
    __atomic_add_fetch(&done, 1, __ATOMIC_SEQ_CST);
    for (;;)
        wait_for_interrupt();
}

void test(void)
{
    cpus = (unsigned)option("cpus", 2);
    rounds = (unsigned)option("rounds", 100);
    check(cpus >= 2 && cpus <= MOST);
    interrupts_init();
    start_aps(ap);
    disk_init(&disk, 0);
    if (option_is("mode", "rewrite")) {
        disk_start(&disk, F_INDIRECT, 16);
        queues[0] = disk.queue;
        __atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
        be_rewritten();
    } else if (option_is("mode", "registers")) {
        write_any_registers();
    } else if (option_is("mode", "restart")) {
        restart();
    } else {
        use_queues();
    }
}
