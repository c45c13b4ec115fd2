/* SPDX-License-Identifier: MIT */
/* A driver for virtio block devices: see virtio.h. */
#include "virtio.h"

enum { FAILURE = 200, GUARD_END = RAM + 0x2000000 };

/* From 5 seconds on a fast computer to 20 on an emulated one. */
static const uint64_t patience = 20000000000;

const char *doing = "start";

/* ---- checks ---- */

static const char *base_name(const char *path)
{
    const char *name = path;

    for (; *path; path++)
        if (*path == '/')
            name = path + 1;
    return name;
}

void must_hold(bool good, const char *file, int line, const char *what)
{
    if (good)
        return;
    print("\n%s:%u: %s: not so: %s\n", base_name(file), (unsigned)line, doing, what);
    finish(FAILURE);
}

void must_equal(uint64_t got, uint64_t wanted, const char *file, int line, const char *what)
{
    if (got == wanted)
        return;
    print("\n%s:%u: %s: %s is 0x%lx, not 0x%lx\n", base_name(file), (unsigned)line, doing, what,
          got, wanted);
    finish(FAILURE);
}

/* ---- the device ---- */

static struct disk *interrupting[LINES_MOST]; /* by their lines */

static void on_interrupt(unsigned line)
{
    struct disk *disk = interrupting[line];
    uint32_t status = get(disk, V_INTERRUPT_STATUS);

    put(disk, V_INTERRUPT_ACK, status);
    disk->interrupts++;
    disk->causes |= status;
    if (status & CONFIG_CHANGE)
        disk->config_changes++;
}

void disk_init(struct disk *disk, unsigned slot)
{
    slot_init(disk, slot, 2);
}

void slot_init(struct disk *disk, unsigned slot, uint32_t type)
{
    memset(disk, 0, sizeof(*disk));
    disk->slot = slot;
    disk->base = SLOT_BASE + (uint64_t)slot * SLOT_STRIDE;
    must_be(get(disk, V_MAGIC), 0x74726976);
    must_be(get(disk, V_VERSION), 2);
    must_be(get(disk, V_DEVICE_ID), type);
}

void disk_interrupts(struct disk *disk)
{
    interrupting[slot_line(disk->slot)] = disk;
    take_line(slot_line(disk->slot), on_interrupt);
}

uint64_t disk_capacity(const struct disk *disk)
{
    uint32_t before;
    uint64_t capacity;

    do { /* 2.5.3 */
        before = get(disk, V_CONFIG_GENERATION);
        capacity = get(disk, V_CONFIG) | (uint64_t)get(disk, V_CONFIG + 4) << 32;
    } while (get(disk, V_CONFIG_GENERATION) != before);
    return capacity;
}

void disk_reset(struct disk *disk)
{
    put(disk, V_STATUS, 0);
    must_be(get(disk, V_STATUS), 0);
    must_be(get(disk, V_INTERRUPT_STATUS), 0);
    must_be(get(disk, V_QUEUE_READY), 0); /* QueueSel is 0, too */
}

uint64_t disk_offers(const struct disk *disk)
{
    uint64_t features;

    put(disk, V_DEVICE_FEATURES_SEL, 0);
    features = get(disk, V_DEVICE_FEATURES);
    put(disk, V_DEVICE_FEATURES_SEL, 1);
    return features | (uint64_t)get(disk, V_DEVICE_FEATURES) << 32;
}

void disk_negotiate(struct disk *disk, uint64_t features)
{
    put(disk, V_STATUS, ACKNOWLEDGE);
    put(disk, V_STATUS, ACKNOWLEDGE | DRIVER);
    disk->features = features;
    put(disk, V_DRIVER_FEATURES_SEL, 0);
    put(disk, V_DRIVER_FEATURES, (uint32_t)features);
    put(disk, V_DRIVER_FEATURES_SEL, 1);
    put(disk, V_DRIVER_FEATURES, (uint32_t)(features >> 32));
    put(disk, V_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
    must_be(get(disk, V_STATUS), ACKNOWLEDGE | DRIVER | FEATURES_OK);
}

void disk_run(struct disk *disk)
{
    put(disk, V_STATUS, RUNNING);
    must_be(get(disk, V_STATUS), RUNNING);
}

void disk_start(struct disk *disk, uint64_t features, unsigned size)
{
    disk_reset(disk);
    disk_negotiate(disk, F_VERSION_1 | features);
    queue_place(&disk->queue, disk->slot, size);
    disk->queue.index = 0;
    must(queue_install(disk, &disk->queue));
    disk_run(disk);
}

void queue_place(struct queue *queue, unsigned index, unsigned size)
{
    uint64_t place = RINGS + (uint64_t)index * RING_STRIDE;

    memset(queue, 0, sizeof(*queue));
    queue->index = queue->place = index;
    queue->size = size;
    queue->desc = memory(place);
    queue->avail = memory(place + 0x1000);
    queue->used = memory(place + 0x2000);
    memset(queue->desc, 0, RING_STRIDE);
}

bool queue_install(const struct disk *disk, const struct queue *queue)
{
    put(disk, V_QUEUE_SEL, queue->index);
    must(get(disk, V_QUEUE_NUM_MAX) == QUEUE_MOST);
    put(disk, V_QUEUE_NUM, queue->size);
    put64(disk, V_QUEUE_DESC, (uint64_t)queue->desc);
    put64(disk, V_QUEUE_DRIVER, (uint64_t)queue->avail);
    put64(disk, V_QUEUE_DEVICE, (uint64_t)queue->used);
    put(disk, V_QUEUE_READY, 1);
    return get(disk, V_QUEUE_READY) == 1;
}

/* ---- chains ---- */

void describe(struct queue *queue, unsigned i, uint64_t address, uint64_t length, unsigned flags,
              unsigned next)
{
    queue->desc[i] =
        (struct descriptor){address, (uint32_t)length, (uint16_t)flags, (uint16_t)next};
}

struct header *header_of(const struct queue *queue, unsigned head)
{
    return memory(REQUESTS + (queue->place * QUEUE_MOST + head) * 32ull);
}

volatile uint8_t *status_of(const struct queue *queue, unsigned head)
{
    return (uint8_t *)header_of(queue, head) + sizeof(struct header);
}

struct descriptor *table_of(const struct queue *queue, unsigned head)
{
    return memory(TABLES + (queue->place * QUEUE_MOST + head) * 256ull);
}

void prepare(const struct queue *queue, unsigned head, unsigned type, uint64_t sector)
{
    *header_of(queue, head) = (struct header){.type = type, .sector = sector};
    *status_of(queue, head) = S_NONE;
}

static unsigned data_flags(unsigned type)
{
    return type == T_IN || type == T_GET_ID ? WRITE : 0;
}

void describe_request(struct queue *queue, unsigned head, unsigned type, uint64_t sector,
                      const void *data, uint64_t size)
{
    unsigned last = size ? head + 2 : head + 1;

    prepare(queue, head, type, sector);
    describe(queue, head, (uint64_t)header_of(queue, head), sizeof(struct header), NEXT, head + 1);
    if (size)
        describe(queue, head + 1, (uint64_t)data, size, NEXT | data_flags(type), head + 2);
    describe(queue, last, (uint64_t)status_of(queue, head), 1, WRITE, 0);
}

void describe_indirect(struct queue *queue, unsigned head, unsigned type, uint64_t sector,
                       const void *data, uint64_t size)
{
    struct descriptor *table = table_of(queue, head);
    unsigned count = 0;

    prepare(queue, head, type, sector);
    table[count++] =
        (struct descriptor){(uint64_t)header_of(queue, head), sizeof(struct header), NEXT, 1};
    if (size)
        table[count++] = (struct descriptor){(uint64_t)data, (uint32_t)size,
                                             (uint16_t)(NEXT | data_flags(type)), 2};
    table[count++] = (struct descriptor){(uint64_t)status_of(queue, head), 1, WRITE, 0};
    describe(queue, head, (uint64_t)table, count * 16ull, INDIRECT, 0);
}

void offer(struct queue *queue, unsigned head)
{
    queue->avail->ring[queue->offered % queue->size] = (uint16_t)head;
    queue->offered++;
}

void publish(struct queue *queue)
{
    queue->published = queue->offered;
    __atomic_store_n(&queue->avail->idx, queue->published, __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void kick(const struct disk *disk, const struct queue *queue)
{
    put(disk, V_QUEUE_NOTIFY, queue->index);
}

void send(const struct disk *disk, struct queue *queue, unsigned head)
{
    offer(queue, head);
    publish(queue);
    kick(disk, queue);
}

bool used_is_there(const struct queue *queue)
{
    return __atomic_load_n(&queue->used->idx, __ATOMIC_ACQUIRE) != queue->seen;
}

struct used_element wait_used(struct disk *disk, struct queue *queue)
{
    uint64_t until = now() + patience;

    while (!used_is_there(queue)) {
        if (disk->sleeps)
            wait_for_interrupt(); /* none comes: the runner's limit ends it */
        else
            pause();
        if (now() > until)
            print("\nstatus 0x%x, avail 0x%x, used 0x%x\n", get(disk, V_STATUS),
                  (unsigned)queue->avail->idx, (unsigned)queue->used->idx);
        must(now() <= until);
    }
    return queue->used->ring[queue->seen++ % queue->size];
}

uint8_t request(struct disk *disk, unsigned type, uint64_t sector, void *data, uint64_t size)
{
    struct queue *queue = &disk->queue;
    struct used_element used;

    describe_request(queue, 0, type, sector, data, size);
    send(disk, queue, 0);
    used = wait_used(disk, queue);
    must_be(used.id, 0);
    must_be(*status_of(queue, 0) <= S_UNSUPP, true);
    return *status_of(queue, 0);
}

/* ---- contents ---- */

void fill(void *sector, uint64_t seed)
{
    uint64_t *words = sector, word = 0;

    for (unsigned i = 0; i < SECTOR / 8; i++) {
        word += 0x9e3779b97f4a7c15;
        words[i] = word ^ seed * 0xd1342543de82ef95;
    }
}

bool is_filled(const void *sector, uint64_t seed)
{
    const uint64_t *words = sector;
    uint64_t word = 0;

    for (unsigned i = 0; i < SECTOR / 8; i++) {
        word += 0x9e3779b97f4a7c15;
        if (words[i] != (word ^ seed * 0xd1342543de82ef95))
            return false;
    }
    return true;
}

bool is_zero(const void *data, size_t size)
{
    const uint8_t *bytes = data;

    for (size_t i = 0; i < size; i++)
        if (bytes[i])
            return false;
    return true;
}

/* ---- after an attack ---- */

static const uint64_t buffer_fill = 0xa5a5a5a5a5a5a5a5;
static uint64_t memory_sum;

static uint64_t sum(uint64_t total, uint64_t from, uint64_t to)
{
    for (; from < to; from += 8)
        total = total * 31 + *(const uint64_t *)from;
    return total;
}

static uint64_t sum_memory(void)
{
    const uint64_t start = (uint64_t)file_start & ~7ull;
    const uint64_t end = ((uint64_t)image_end + 7) & ~7ull;
    uint64_t total = 0;

    for (unsigned i = 0; i < boot.count; i++) {
        uint64_t from = boot.memory[i].base, to = from + boot.memory[i].size;

        if (!boot.memory[i].usable || from >= GUARD_END)
            continue;
        if (to > GUARD_END)
            to = GUARD_END;
        if (from > start) { /* a part that has none of the holes */
            total = sum(total, from, to);
            continue;
        }
        total = sum(total, from, to < start ? to : start);
        if (to > ARENA_END) {
            total = sum(total, end, RINGS);
            total = sum(total, ARENA_END, to);
        }
    }
    return total;
}

void guard_memory(void)
{
    memory_sum = sum_memory();
    for (uint64_t *word = memory(BUFFERS); word < (uint64_t *)memory(ARENA_END); word++)
        *word = buffer_fill;
}

void must_be_unharmed(void)
{
    const uint64_t *word = memory(BUFFERS);

    while (word < (const uint64_t *)memory(ARENA_END) && *word == buffer_fill)
        word++;
    must_be(word, ARENA_END);
    must_be(sum_memory(), memory_sum);
}

void must_work(struct disk *disk)
{
    static uint64_t round;
    uint8_t *data = memory(REQUESTS + 0x70000); /* of a queue that no test has */

    disk_start(disk, 0, 4);
    must_be(request(disk, T_IN, 3, data, SECTOR), S_OK);
    must(is_filled(data, 3));
    fill(data, ++round << 32);
    if (!(disk_offers(disk) & F_RO)) {
        must_be(request(disk, T_OUT, SCRATCH, data, SECTOR), S_OK);
        memset(data, 0, SECTOR);
        must_be(request(disk, T_IN, SCRATCH, data, SECTOR), S_OK);
        must(is_filled(data, round << 32));
    }
    must_be(get(disk, V_STATUS), RUNNING);
}

void must_break(struct disk *disk)
{
    uint64_t until = now() + patience;

    while (get(disk, V_STATUS) != (RUNNING | NEEDS_RESET)) {
        pause();
        must(now() < until);
    }
    while (!(get(disk, V_INTERRUPT_STATUS) & CONFIG_CHANGE)) { /* 2.1.2: then it interrupts */
        pause();
        must(now() < until);
    }
}
