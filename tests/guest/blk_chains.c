/* SPDX-License-Identifier: MIT */
/*
 * Chains of descriptors that break the rules (virtio 1.2, 2.7), and some that
 * keep them in unusual ways.  After each that breaks them the device says that it
 * needs a reset, nothing in memory has changed, and it works again after one.
 * hole=1: this machine's memory reaches up to the hole and goes on above it;
 * without, it has 17 MiB or more.
 */
#include "virtio.h"

enum { SIZE = 8 };

static struct disk disk;
static uint64_t top; /* the end of the RAM that we are in, on x86-64 of what is below the hole */

static struct queue *begin(const char *what, uint64_t features, unsigned size)
{
    doing = what;
    disk_start(&disk, features, size);
    guard_memory();
    return &disk.queue;
}

static void must_have_been_refused(struct queue *queue)
{
    must_break(&disk);
    must_be_unharmed();
    must_be(queue->used->idx, 0);
    must_be(*status_of(queue, 0), S_NONE);
    must_work(&disk);
}

/* A read whose data is at the address; the queue is to be broken by it. */
static void refuse_data(const char *what, uint64_t address, uint64_t size)
{
    static const unsigned types[] = {T_IN, T_OUT};

    for (unsigned i = 0; i < 2; i++) {
        struct queue *queue = begin(what, 0, SIZE);

        describe_request(queue, 0, types[i], 16, memory(address), size);
        send(&disk, queue, 0);
        must_have_been_refused(queue);
    }
}

/* Data that is all in memory, at its very end. */
static void allow_data(const char *what, uint64_t address)
{
    disk_start(&disk, 0, SIZE);
    doing = what;
    must_be(request(&disk, T_IN, 17, memory(address), SECTOR), S_OK);
    must(is_filled(memory(address), 17));
    memset(memory(address), 0, SECTOR);
}

static void address_badly(void)
{
    allow_data("a buffer that ends with memory", top - SECTOR);
    refuse_data("a buffer that ends a byte outside", top - SECTOR + 1, SECTOR);
    refuse_data("a buffer outside", top, SECTOR);
    refuse_data("a buffer of one byte outside", top, 1);
    refuse_data("a buffer in the hole", 0xc8000000, SECTOR);
    refuse_data("a buffer in the device's registers", SLOT_BASE, SECTOR);
    refuse_data("a buffer in the device's status", SLOT_BASE + V_STATUS, 4);
    refuse_data("a buffer in the device's configuration", SLOT_BASE + V_CONFIG, 256);
    for (unsigned i = 0; i < sizeof(not_memory) / sizeof(not_memory[0]); i++)
        refuse_data("a buffer in the interrupt controller, or another part of KVM", not_memory[i],
                    SECTOR);
    refuse_data("a buffer below 2^64", UINT64_MAX - SECTOR + 1, SECTOR);
    refuse_data("a buffer that wraps", UINT64_MAX - 255, SECTOR);
    refuse_data("a buffer that wraps into memory", UINT64_MAX - 255, RINGS + 0x1000);
    refuse_data("a buffer at 2^63", 1ull << 63, SECTOR);
    refuse_data("a buffer of 4 GiB", BUFFERS, UINT32_MAX);
    refuse_data("a buffer at 1 TiB", 1ull << 40, SECTOR);
}

static void cross_the_hole(void)
{
    const uint64_t high = HOLE_END;

    allow_data("a buffer before the hole", HOLE - SECTOR);
    allow_data("a buffer behind the hole", high);
    refuse_data("a buffer that reaches into the hole", HOLE - SECTOR / 2, SECTOR);
    refuse_data("a buffer that ends behind the hole", HOLE - SECTOR, HOLE_END - HOLE + 2 * SECTOR);
    refuse_data("a buffer that begins in the hole", high - SECTOR / 2, SECTOR);
    refuse_data("a buffer that wraps around all", high - SECTOR, UINT32_MAX);
}

static void make_loops(void)
{
    struct queue *queue = begin("a descriptor that leads to itself", 0, SIZE);

    describe_request(queue, 0, T_IN, 3, NULL, 0);
    queue->desc[0].next = 0;
    send(&disk, queue, 0);
    must_have_been_refused(queue);

    queue = begin("two descriptors that lead to each other", 0, SIZE);
    describe_request(queue, 0, T_IN, 3, NULL, 0);
    describe(queue, 1, (uint64_t)buffer(0), 0, NEXT, 0);
    send(&disk, queue, 0);
    must_have_been_refused(queue);

    queue = begin("a loop through the whole queue", 0, QUEUE_MOST);
    describe_request(queue, 0, T_IN, 3, NULL, 0);
    for (unsigned i = 1; i < QUEUE_MOST; i++)
        describe(queue, i, (uint64_t)buffer(i), SECTOR, NEXT | WRITE, i + 1);
    queue->desc[QUEUE_MOST - 1].next = 0;
    send(&disk, queue, 0);
    must_have_been_refused(queue);

    queue = begin("a loop that ends in nothing readable", 0, QUEUE_MOST);
    describe_request(queue, 0, T_IN, 3, NULL, 0);
    for (unsigned i = 1; i < QUEUE_MOST; i++)
        describe(queue, i, (uint64_t)buffer(i), SECTOR, NEXT | WRITE, i + 1);
    queue->desc[QUEUE_MOST - 1].next = 1;
    send(&disk, queue, 0);
    must_have_been_refused(queue);

    queue = begin("a chain as long as the queue", 0, QUEUE_MOST);
    describe_request(queue, 0, T_IN, 64, NULL, 0);
    for (unsigned i = 1; i < QUEUE_MOST - 1; i++) /* backwards, all in use */
        describe(queue, i, (uint64_t)buffer(0) + (i - 1) * SECTOR, SECTOR, NEXT | WRITE, i + 1);
    describe(queue, QUEUE_MOST - 1, (uint64_t)status_of(queue, 0), 1, WRITE, 0);
    send(&disk, queue, 0);
    must_be(wait_used(&disk, queue).length, (QUEUE_MOST - 2) * SECTOR + 1);
    must_be(*status_of(queue, 0), S_OK);
    for (unsigned i = 0; i < QUEUE_MOST - 2; i++)
        must(is_filled((uint8_t *)buffer(0) + i * SECTOR, 64 + i));
}

static void lead_beyond(void)
{
    static const unsigned heads[] = {SIZE, SIZE + 1, QUEUE_MOST, 0x7fff, 0x8000, 0xffff};
    struct queue *queue;

    for (unsigned i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        queue = begin("a head beyond the queue", 0, SIZE);
        describe_request(queue, 0, T_IN, 3, buffer(0), SECTOR);
        /* what lies there, if it were looked at, would be a good request */
        memcpy(&queue->desc[SIZE], &queue->desc[0], 3 * sizeof(struct descriptor));
        send(&disk, queue, heads[i]);
        must_have_been_refused(queue);

        queue = begin("a descriptor beyond the queue", 0, SIZE);
        describe_request(queue, 0, T_IN, 3, buffer(0), SECTOR);
        queue->desc[1].next = (uint16_t)heads[i];
        describe(queue, SIZE, (uint64_t)status_of(queue, 0), 1, WRITE, 0);
        describe(queue, SIZE + 1, (uint64_t)status_of(queue, 0), 1, WRITE, 0);
        send(&disk, queue, 0);
        must_have_been_refused(queue);
    }

    queue = begin("a readable buffer after a writable one", 0, SIZE); /* 2.7.4.2 */
    describe_request(queue, 0, T_OUT, 16, buffer(0), SECTOR);
    describe(queue, 0, (uint64_t)status_of(queue, 0), 1, WRITE | NEXT, 1);
    describe(queue, 1, (uint64_t)header_of(queue, 0), 16, 0, 0);
    send(&disk, queue, 0);
    must_have_been_refused(queue);
}

static void take_too_much(void)
{
    struct queue *queue = begin("a chain of more than 4 GiB", 0, QUEUE_MOST);

    must((top - RAM) * (QUEUE_MOST - 2) > UINT32_MAX);
    describe_request(queue, 0, T_IN, 3, NULL, 0);
    for (unsigned i = 1; i < QUEUE_MOST - 1; i++) /* all of memory, over and over */
        describe(queue, i, RAM, top - RAM, NEXT | WRITE, i + 1);
    describe(queue, QUEUE_MOST - 1, (uint64_t)status_of(queue, 0), 1, WRITE, 0);
    send(&disk, queue, 0);
    must_have_been_refused(queue);

    queue = begin("a chain of nearly 4 GiB", 0, QUEUE_MOST);
    describe_request(queue, 0, T_IN, 3, NULL, 0);
    for (unsigned i = 1; i < QUEUE_MOST - 1; i++)
        describe(queue, i, RAM, 0x1000000, NEXT | WRITE, i + 1);
    describe(queue, QUEUE_MOST - 1, (uint64_t)status_of(queue, 0), 1, WRITE, 0);
    send(&disk, queue, 0);
    must_be(wait_used(&disk, queue).length, 0);
    must_be(*status_of(queue, 0), S_IOERR); /* the disk is not that large */
    must_be_unharmed();
}

static void nest_tables(void)
{
    struct queue *queue = begin("an indirect table", F_INDIRECT, SIZE);
    struct descriptor *table = table_of(queue, 0);
    static const unsigned lengths[] = {0, 1, 8, 15, 17, 24, 40, 47, 49};

    describe_indirect(queue, 0, T_IN, 3, buffer(0), SECTOR);
    queue->desc[0].flags |= WRITE; /* 2.7.5.3.2: to be ignored */
    send(&disk, queue, 0);
    must_be(wait_used(&disk, queue).length, SECTOR + 1);
    must(is_filled(buffer(0), 3));

    doing = "an indirect table behind a descriptor"; /* 2.7.5.3.2 */
    describe_request(queue, 0, T_IN, 4, buffer(0), SECTOR);
    table[0] = queue->desc[1];
    table[0].next = 1;
    table[1] = queue->desc[2];
    describe(queue, 1, (uint64_t)table, 32, INDIRECT, 0);
    send(&disk, queue, 0);
    must_be(wait_used(&disk, queue).length, SECTOR + 1);
    must(is_filled(buffer(0), 4));

    doing = "an indirect table that is not aligned";
    describe_indirect(queue, 0, T_IN, 5, buffer(0), SECTOR);
    memcpy((uint8_t *)table + 1027, table, 48);
    queue->desc[0].address += 1027;
    send(&disk, queue, 0);
    must_be(wait_used(&disk, queue).length, SECTOR + 1);
    must(is_filled(buffer(0), 5));

    for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        queue = begin("an indirect table of a broken length", F_INDIRECT, SIZE);
        describe_indirect(queue, 0, T_IN, 3, buffer(0), SECTOR);
        queue->desc[0].length = lengths[i];
        send(&disk, queue, 0);
        must_have_been_refused(queue);
    }
    for (uint32_t length = (QUEUE_MOST + 1) * 16; length; length *= 256) {
        queue = begin("an indirect table that is too long", F_INDIRECT, SIZE);
        describe_indirect(queue, 0, T_IN, 3, buffer(0), SECTOR);
        queue->desc[0].length = length;
        send(&disk, queue, 0);
        must_have_been_refused(queue);
    }

    queue = begin("indirect and next", F_INDIRECT, SIZE);
    describe_indirect(queue, 0, T_IN, 3, buffer(0), SECTOR);
    queue->desc[0].flags |= NEXT;
    queue->desc[0].next = 1;
    describe(queue, 1, (uint64_t)buffer(1), 16, WRITE, 0);
    send(&disk, queue, 0);
    must_have_been_refused(queue);

    queue = begin("a table in a table", F_INDIRECT, SIZE);
    describe_indirect(queue, 0, T_IN, 3, buffer(0), SECTOR);
    describe(queue, 0, (uint64_t)table_of(queue, 1), 16, INDIRECT, 0);
    *table_of(queue, 1) = (struct descriptor){(uint64_t)table, 48, INDIRECT, 0};
    send(&disk, queue, 0);
    must_have_been_refused(queue);

    queue = begin("a table at the end of a table", F_INDIRECT, SIZE);
    describe_indirect(queue, 0, T_IN, 3, buffer(0), SECTOR);
    *table_of(queue, 1) = table[2];
    table[2] = (struct descriptor){(uint64_t)table_of(queue, 1), 16, INDIRECT, 0};
    send(&disk, queue, 0);
    must_have_been_refused(queue);

    queue = begin("a table that is its own", F_INDIRECT, SIZE);
    describe_indirect(queue, 0, T_IN, 3, buffer(0), SECTOR);
    table[0] = (struct descriptor){(uint64_t)table, 48, INDIRECT, 0};
    send(&disk, queue, 0);
    must_have_been_refused(queue);

    queue = begin("a loop in a table", F_INDIRECT, SIZE);
    describe_indirect(queue, 0, T_IN, 3, buffer(0), SECTOR);
    table[1].next = 1;
    send(&disk, queue, 0);
    must_have_been_refused(queue);

    queue = begin("a table that leads beyond itself", F_INDIRECT, SIZE);
    describe_indirect(queue, 0, T_IN, 3, buffer(0), SECTOR);
    table[3] = table[2];
    table[1].next = 3;
    send(&disk, queue, 0);
    must_have_been_refused(queue);

    queue = begin("a table that leads far beyond itself", F_INDIRECT, SIZE);
    describe_indirect(queue, 0, T_IN, 3, buffer(0), SECTOR);
    table[1].next = 0xffff;
    send(&disk, queue, 0);
    must_have_been_refused(queue);

    queue = begin("an indirect table that was not negotiated", 0, SIZE);
    describe_indirect(queue, 0, T_IN, 3, buffer(0), SECTOR);
    send(&disk, queue, 0);
    must_have_been_refused(queue);
}

static void place_tables_badly(void)
{
    const uint64_t places[] = {
        top - 47,        top,        0xc8000000,   SLOT_BASE + V_CONFIG, UINT64_MAX - 7,
        UINT64_MAX - 47, 1ull << 63, not_memory[0]};
    struct queue *queue = &disk.queue;

    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        queue = begin("a table outside of memory", F_INDIRECT, SIZE);
        describe_indirect(queue, 0, T_IN, 3, buffer(0), SECTOR);
        queue->desc[0].address = places[i];
        send(&disk, queue, 0);
        must_have_been_refused(queue);
    }
    disk_start(&disk, F_INDIRECT, SIZE);
    doing = "a table at the end of memory";
    describe_indirect(queue, 0, T_IN, 3, buffer(0), SECTOR);
    memcpy(memory(top - 48), table_of(queue, 0), 48);
    queue->desc[0].address = top - 48;
    send(&disk, queue, 0);
    must_be(wait_used(&disk, queue).length, SECTOR + 1);
    must(is_filled(buffer(0), 3));
    memset(memory(top - 48), 0, 48);
}

static void lie_in_the_ring(void)
{
    static const unsigned jumps[] = {SIZE + 1, SIZE + 2, 256, 0x7fff, 0x8000, 0xffff};
    struct queue *queue;

    for (unsigned i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
        queue = begin("an index that jumps", 0, SIZE);
        for (unsigned n = 0; n < SIZE; n++)
            queue->avail->ring[n] = 0;
        describe_request(queue, 0, T_IN, 3, buffer(0), SECTOR);
        queue->offered = (uint16_t)jumps[i];
        publish(queue);
        kick(&disk, queue);
        must_have_been_refused(queue);
    }
    queue = begin("an index that goes back", 0, SIZE);
    must_be(request(&disk, T_IN, 3, buffer(0), SECTOR), S_OK);
    queue->offered--;
    publish(queue);
    kick(&disk, queue);
    must_break(&disk);
    must_work(&disk);

    queue = begin("a head that is in flight already", 0, SIZE);
    describe_request(queue, 0, T_IN, 3, buffer(0), SECTOR);
    for (unsigned i = 0; i < SIZE; i++)
        offer(queue, 0);
    publish(queue);
    kick(&disk, queue);
    must_break(&disk); /* all are taken before any is answered */
    must_work(&disk);

    queue = begin("two heads that share their descriptors", 0, SIZE);
    describe_request(queue, 0, T_IN, 3, buffer(0), SECTOR);
    describe(queue, 3, (uint64_t)header_of(queue, 0), sizeof(struct header), NEXT, 1);
    offer(queue, 0);
    offer(queue, 3);
    publish(queue);
    kick(&disk, queue);
    wait_used(&disk, queue);
    wait_used(&disk, queue);
    must_be(*status_of(queue, 0), S_OK);
    must(is_filled(buffer(0), 3));
}

/* What the device writes is what it reads: it may do as it likes, but goes on living, and
 * touches nothing else. */
static void write_where_it_reads(void)
{
    struct queue *queue;

    for (unsigned ring = 0; ring < 3; ring++) {
        queue = begin("data that goes into the rings", 0, SIZE);
        describe_request(queue, 0, T_IN, 16, memory(RINGS + ring * 0x1000), PAGE);
        send(&disk, queue, 0);
        spend(3);
        must_be_unharmed();
        must_work(&disk);

        queue = begin("a status in the rings", 0, SIZE);
        for (unsigned offset = 0; offset < 6; offset++) {
            disk_start(&disk, 0, SIZE);
            describe_request(queue, 0, T_IN, 16, buffer(0), SECTOR);
            queue->desc[2].address = RINGS + ring * 0x1000 + offset;
            send(&disk, queue, 0);
            kick(&disk, queue);
        }
        spend(3);
        must_work(&disk);
    }
    queue = begin("data that goes into its own header", 0, SIZE);
    describe_request(queue, 0, T_IN, 16, header_of(queue, 0), SECTOR);
    send(&disk, queue, 0);
    wait_used(&disk, queue);
    must_be_unharmed();

    queue = begin("data that goes into its own table", F_INDIRECT, SIZE);
    describe_indirect(queue, 0, T_IN, 16, table_of(queue, 0), SECTOR);
    send(&disk, queue, 0);
    wait_used(&disk, queue);
    must_be_unharmed();

    queue = begin("a status in the header", 0, SIZE);
    describe_request(queue, 0, T_IN, 3, buffer(0), SECTOR);
    queue->desc[2].address = (uint64_t)header_of(queue, 0);
    send(&disk, queue, 0);
    wait_used(&disk, queue);
    must_be(header_of(queue, 0)->type, S_OK);
    must(is_filled(buffer(0), 3));

    queue = begin("the same buffer over and over", 0, SIZE);
    describe_request(queue, 0, T_IN, 16, NULL, 0);
    for (unsigned i = 1; i < SIZE - 1; i++)
        describe(queue, i, (uint64_t)buffer(0), SECTOR, NEXT | WRITE, i + 1);
    describe(queue, SIZE - 1, (uint64_t)status_of(queue, 0), 1, WRITE, 0);
    send(&disk, queue, 0);
    must_be(wait_used(&disk, queue).length, (SIZE - 2) * SECTOR + 1);
    must(is_filled(buffer(0), 16 + SIZE - 3));
    must_work(&disk);
}

static void describe_nothing(void)
{
    static const uint64_t places[] = {0, 0xc8000000, UINT64_MAX};

    for (unsigned i = 0; i < 3; i++) { /* 2.7.5: no such buffers; it may take or refuse them */
        struct queue *queue = begin("a buffer of no bytes", 0, SIZE);

        describe_request(queue, 0, T_IN, 3, buffer(0), SECTOR);
        describe(queue, 3, places[i], 0, NEXT | WRITE, 2);
        queue->desc[1].next = 3;
        send(&disk, queue, 0);
        spend(2);
        must_work(&disk);
    }
}

void test(void)
{
    interrupts_init();
    for (unsigned i = 0; i < boot.count; i++)
        if (boot.memory[i].base <= RINGS && RINGS - boot.memory[i].base < boot.memory[i].size)
            top = boot.memory[i].base + boot.memory[i].size;
    disk_init(&disk, 0);
    if (option("hole", 0)) {
        must_be(top, HOLE);
        cross_the_hole();
        return;
    }
    make_loops();
    lead_beyond();
    lie_in_the_ring();
    nest_tables();
    place_tables_badly();
    address_badly();
    take_too_much();
    write_where_it_reads();
    describe_nothing();
    doing = "use it";
    must_work(&disk);
}
