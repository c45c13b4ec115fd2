/* SPDX-License-Identifier: MIT */
/*
 * Queues of every size, and in every place: those that the specification allows
 * (virtio 1.2, 2.7, 4.2.3.2) work, others are not taken, and none can be changed
 * while it is in use.  queues=N, at least 4, of the disk in slot 0.
 */
#include "virtio.h"

enum { FIRST = 16 };

static struct disk disk;
static uint64_t top; /* the end of RAM */

static void begin(void)
{
    disk_reset(&disk);
    disk_negotiate(&disk, F_VERSION_1);
}

static void must_refuse(const struct queue *queue)
{
    must(!queue_install(&disk, queue));
    must(get(&disk, V_STATUS) & NEEDS_RESET);
    put(&disk, V_STATUS, RUNNING); /* all the same */
    put(&disk, V_QUEUE_NOTIFY, queue->index);
    must(get(&disk, V_STATUS) & NEEDS_RESET);
}

/* Enough requests to go round the rings some times, as many at once as there is room for. */
static void go_round(struct queue *queue)
{
    for (unsigned round = 0; round < 5; round++) {
        unsigned at_once = queue->size < 4 ? 1 : queue->size / 3;

        if (at_once > 16)
            at_once = 16;
        for (unsigned i = 0; i < at_once; i++) {
            if (queue->size >= 3) {
                describe_request(queue, 3 * i, T_IN, FIRST + round + i, buffer(i), SECTOR);
            } else { /* header and data, and status: the device does not mind what is where */
                describe_indirect(queue, 0, T_IN, FIRST + round + i, buffer(i), SECTOR);
            }
            offer(queue, queue->size >= 3 ? 3 * i : 0);
        }
        publish(queue);
        kick(&disk, queue);
        for (unsigned i = 0; i < at_once; i++)
            must_be(wait_used(&disk, queue).length, SECTOR + 1);
        for (unsigned i = 0; i < at_once; i++)
            must(is_filled(buffer(i), FIRST + round + i));
    }
    must_be(get(&disk, V_STATUS), RUNNING);
}

static void size_queues(void)
{
    static const unsigned bad[] = {0,     3,     5,        6,          7,          9,         100,
                                   255,   257,   384,      512,        1024,       32768,     65535,
                                   65536, 65544, 1u << 24, 0x80000000, 0x80000008, 0xffffffff};

    doing = "every size that is allowed";
    for (unsigned size = 1; size <= QUEUE_MOST; size *= 2) {
        disk_start(&disk, F_INDIRECT, size);
        go_round(&disk.queue);
    }
    doing = "sizes that are not allowed";
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        begin();
        queue_place(&disk.queue, 0, bad[i]);
        must_refuse(&disk.queue);
    }
    doing = "no size";
    begin();
    put(&disk, V_QUEUE_SEL, 0);
    put64(&disk, V_QUEUE_DESC, RINGS);
    put64(&disk, V_QUEUE_DRIVER, RINGS + 0x1000);
    put64(&disk, V_QUEUE_DEVICE, RINGS + 0x2000);
    put(&disk, V_QUEUE_READY, 1);
    must_be(get(&disk, V_QUEUE_READY), 0);
    must_work(&disk);
}

/* Part 0 to 2 of the queue, the descriptors or a ring, somewhere else. */
static void move(struct queue *queue, unsigned part, uint64_t to)
{
    if (part == 0)
        queue->desc = memory(to);
    else if (part == 1)
        queue->avail = memory(to);
    else
        queue->used = memory(to);
}

static void place_queues(void)
{
    static const unsigned alignment[] = {16, 2, 4};
    const unsigned size[] = {16 * 8, 6 + 2 * 8, 6 + 8 * 8};
    const uint64_t bad[] = {top,        top + 0x1000, 0xc0000000, SLOT_BASE,  SLOT_BASE + V_CONFIG,
                            0xfec00000, 0xfee00000,   0xfffff000, 1ull << 32, 1ull << 40,
                            1ull << 63, 0 - 16ull,    0 - 128ull, 0 - 4096ull};

    for (unsigned part = 0; part < 3; part++) {
        uint64_t last = (top - size[part]) & ~(alignment[part] - 1ull);

        doing = "a ring that is misaligned";
        for (unsigned off = 1; off < alignment[part]; off = off < 4 ? off + 1 : 2 * off) {
            begin();
            queue_place(&disk.queue, 0, 8);
            move(&disk.queue, part, RINGS + 0x1000u * part + off);
            must_refuse(&disk.queue);
        }
        doing = "a ring outside of memory";
        for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            begin();
            queue_place(&disk.queue, 0, 8);
            move(&disk.queue, part, bad[i]);
            must_refuse(&disk.queue);
        }
        doing = "a ring that is partly outside";
        begin();
        queue_place(&disk.queue, 0, 8);
        move(&disk.queue, part, last + alignment[part]);
        must_refuse(&disk.queue);
        doing = "a ring at the end of memory";
        begin();
        queue_place(&disk.queue, 0, 8);
        move(&disk.queue, part, last);
        must(queue_install(&disk, &disk.queue));
        disk_run(&disk);
        go_round(&disk.queue);
        disk_reset(&disk);
        memset(memory(last), 0, size[part]);
        doing = "a ring in the first page";
        begin();
        queue_place(&disk.queue, 0, 8);
        move(&disk.queue, part, RAM + 0x100);
        memset(memory(RAM + 0x100), 0, 0x100);
        must(queue_install(&disk, &disk.queue));
        disk_run(&disk);
        go_round(&disk.queue);
        disk_reset(&disk);
    }
    must_work(&disk);
}

static void lay_rings_over_each_other(void)
{
    doing = "rings that lie over each other"; /* allowed, so to say; anything may come of it */
    for (unsigned round = 0; round < 4; round++) {
        begin();
        queue_place(&disk.queue, 0, 8);
        disk.queue.avail = memory(round & 1 ? RINGS : RINGS + 0x2000);
        disk.queue.used = memory(round & 2 ? RINGS : RINGS + 0x2000);
        must(queue_install(&disk, &disk.queue));
        disk_run(&disk);
        guard_memory();
        for (unsigned i = 0; i < 8; i++) {
            describe_request(&disk.queue, 0, T_GET_ID, 0, header_of(&disk.queue, 8), 20);
            send(&disk, &disk.queue, 0);
        }
        spend(2);
        must_be_unharmed();
        must_work(&disk);
    }
    doing = "two queues in one place";
    begin();
    queue_place(&disk.queue, 0, 8);
    must(queue_install(&disk, &disk.queue));
    disk.queue.index = 1;
    must(queue_install(&disk, &disk.queue));
    disk_run(&disk);
    guard_memory();
    for (unsigned i = 0; i < 50; i++) {
        describe_request(&disk.queue, 0, T_GET_ID, 0, header_of(&disk.queue, 8), 20);
        disk.queue.index = i % 2;
        send(&disk, &disk.queue, 0);
    }
    spend(5);
    must_be_unharmed();
    disk.queue.index = 0;
    must_work(&disk);
}

/* 4.2.2.2: not while it is ready.  Before DRIVER_OK and after it. */
static void change_queues(void)
{
    static const struct {
        unsigned offset;
        uint32_t value;
    } changes[] = {
        {V_QUEUE_NUM, 8},
        {V_QUEUE_NUM, 0},
        {V_QUEUE_NUM, 0xffffffff},
        {V_QUEUE_DESC, 0xd0000000},
        {V_QUEUE_DESC + 4, 0xffffffff},
        {V_QUEUE_DRIVER, BUFFERS},
        {V_QUEUE_DRIVER + 4, 1},
        {V_QUEUE_DEVICE, BUFFERS},
        {V_QUEUE_DEVICE + 4, 0x80000000},
    };

    doing = "a queue that is changed while it is ready";
    for (unsigned live = 0; live < 2; live++)
        for (unsigned i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
            begin();
            queue_place(&disk.queue, 0, 16);
            must(queue_install(&disk, &disk.queue));
            if (live) {
                disk_run(&disk);
                must_be(request(&disk, T_IN, 3, buffer(0), SECTOR), S_OK);
            }
            guard_memory();
            put(&disk, changes[i].offset, changes[i].value);
            must(get(&disk, V_STATUS) & NEEDS_RESET);
            must_be(get(&disk, V_QUEUE_READY), 1);
            describe_request(&disk.queue, 0, T_IN, 3, header_of(&disk.queue, 8), 20);
            send(&disk, &disk.queue, 0);
            must_be_unharmed();
        }
    must_work(&disk);

    doing = "QueueReady written while it is live";
    for (unsigned value = 0; value < 2; value++) {
        disk_start(&disk, 0, 16);
        must_be(request(&disk, T_IN, 3, buffer(0), SECTOR), S_OK);
        put(&disk, V_QUEUE_READY, value);
        must_be(get(&disk, V_STATUS), RUNNING | NEEDS_RESET);
        must_work(&disk);
    }

    doing = "another queue that is set up while the device is live";
    disk_start(&disk, 0, 16);
    {
        struct queue other;

        queue_place(&other, 1, 16);
        must(!queue_install(&disk, &other));
        must_be(get(&disk, V_STATUS), RUNNING | NEEDS_RESET);
    }
    must_work(&disk);

    doing = "a queue that is made ready, not ready, and ready again";
    begin();
    queue_place(&disk.queue, 0, 16);
    for (unsigned i = 0; i < 3; i++) {
        must(queue_install(&disk, &disk.queue));
        put(&disk, V_QUEUE_READY, 0);
        must_be(get(&disk, V_QUEUE_READY), 0);
        put(&disk, V_QUEUE_NUM, 3); /* now it may be changed */
    }
    must_be(get(&disk, V_STATUS), ACKNOWLEDGE | DRIVER | FEATURES_OK);
    must(queue_install(&disk, &disk.queue));
    disk_run(&disk);
    go_round(&disk.queue);
}

/* Any of the queues, without the others. */
static void use_each_queue(void)
{
    unsigned queues = (unsigned)option("queues", 0);

    must(queues >= 4);
    doing = "each queue alone";
    for (unsigned i = 0; i < queues; i++) {
        begin();
        queue_place(&disk.queue, i, 8);
        must(queue_install(&disk, &disk.queue));
        disk_run(&disk);
        must_be(request(&disk, T_IN, 3 + i, buffer(0), SECTOR), S_OK);
        must(is_filled(buffer(0), 3 + i));
    }
    doing = "all queues, one of them broken";
    begin();
    for (unsigned i = 0; i < queues; i++) {
        queue_place(&disk.queue, i, 8);
        must(queue_install(&disk, &disk.queue));
    }
    disk_run(&disk);
    queue_place(&disk.queue, 2, 8);
    send(&disk, &disk.queue, 0xffff);
    must_break(&disk);
    must_work(&disk);
}

void test(void)
{
    interrupts_init();
    for (unsigned i = 0; i < boot.count; i++)
        if (boot.memory[i].usable)
            top = boot.memory[i].base + boot.memory[i].size;
    disk_init(&disk, 0);
    size_queues();
    place_queues();
    lay_rings_over_each_other();
    change_queues();
    use_each_queue();
    doing = "use it";
    must_work(&disk);
}
