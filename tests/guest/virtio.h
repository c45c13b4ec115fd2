/* SPDX-License-Identifier: MIT */
/*
 * A driver for virtio block devices (virtio 1.2: 2.7, 4.2, 5.2) that does what a
 * test tells it, right or wrong.  All that it hands to the device lies in one
 * arena, so that a test can tell what the device may have written:
 *
 *   RAM +
 *   0x80_0000  rings: 16 KiB for each of 64 queues: descriptors, avail, used
 *   0x90_0000  requests: 32 bytes for each of 256 heads of them: header, status
 *   0x98_0000  indirect tables: 256 bytes for each head of the first 8 queues
 *   0xa0_0000  buffers
 *   0xc0_0000  end
 */
#ifndef TEST_VIRTIO_H
#define TEST_VIRTIO_H

#include "runtime.h"

/* the architecture has them, for the compiler's own calls */
void *memset(void *to, int value, size_t size);
void *memcpy(void *to, const void *from, size_t size);

/* ---- checks that say what was being done ---- */

extern const char *doing;

#define must(condition) must_hold((condition), __FILE__, __LINE__, #condition)
#define must_be(got, wanted) \
    must_equal((uint64_t)(got), (uint64_t)(wanted), __FILE__, __LINE__, #got)

void must_hold(bool good, const char *file, int line, const char *what);
void must_equal(uint64_t got, uint64_t wanted, const char *file, int line, const char *what);

/* ---- registers: virtio 1.2, 4.2.2 ---- */

enum {
    SLOT_STRIDE = 0x1000,
    SLOT_SIZE = 0x200,

    V_MAGIC = 0x000,
    V_VERSION = 0x004,
    V_DEVICE_ID = 0x008,
    V_VENDOR_ID = 0x00c,
    V_DEVICE_FEATURES = 0x010,
    V_DEVICE_FEATURES_SEL = 0x014,
    V_DRIVER_FEATURES = 0x020,
    V_DRIVER_FEATURES_SEL = 0x024,
    V_QUEUE_SEL = 0x030,
    V_QUEUE_NUM_MAX = 0x034,
    V_QUEUE_NUM = 0x038,
    V_QUEUE_READY = 0x044,
    V_QUEUE_NOTIFY = 0x050,
    V_INTERRUPT_STATUS = 0x060,
    V_INTERRUPT_ACK = 0x064,
    V_STATUS = 0x070,
    V_QUEUE_DESC = 0x080,
    V_QUEUE_DRIVER = 0x090,
    V_QUEUE_DEVICE = 0x0a0,
    V_CONFIG_GENERATION = 0x0fc,
    V_CONFIG = 0x100,

    /* 2.1 */
    ACKNOWLEDGE = 1,
    DRIVER = 2,
    DRIVER_OK = 4,
    FEATURES_OK = 8,
    NEEDS_RESET = 64,
    FAILED = 128,
    RUNNING = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK,

    USED_BUFFER = 1,
    CONFIG_CHANGE = 2,
};

/* 5.2.3, 6 */
#define F_RO           (1ull << 5)
#define F_FLUSH        (1ull << 9)
#define F_CONFIG_WCE   (1ull << 11)
#define F_MQ           (1ull << 12)
#define F_DISCARD      (1ull << 13)
#define F_WRITE_ZEROES (1ull << 14)
#define F_INDIRECT     (1ull << 28)
#define F_EVENT_IDX    (1ull << 29)
#define F_VERSION_1    (1ull << 32)

/* 5.2.4: offsets in the configuration */
enum { C_CAPACITY = 0, C_BLK_SIZE = 20, C_WRITEBACK = 32, C_NUM_QUEUES = 34, C_SIZE = 60 };

/* 5.2.6 */
enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 };
enum { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2, S_NONE = 0xee /* no answer */ };
enum { SECTOR = 512, UNMAP = 1 };

/* ---- the arena ---- */

enum {
    RINGS = RAM + 0x800000,
    RING_STRIDE = 0x4000,
    REQUESTS = RAM + 0x900000,
    TABLES = RAM + 0x980000,
    BUFFERS = RAM + 0xa00000,
    ARENA_END = RAM + 0xc00000,
    PAGE = 4096,
    QUEUE_MOST = 256,
};

static inline void *memory(uint64_t address)
{
    return (void *)address;
}

static inline void *buffer(unsigned page)
{
    return memory(BUFFERS + (uint64_t)page * PAGE);
}

/* ---- queues ---- */

enum { NEXT = 1, WRITE = 2, INDIRECT = 4 };
enum { NO_INTERRUPT = 1, NO_NOTIFY = 1 };

struct descriptor {
    uint64_t address;
    uint32_t length;
    uint16_t flags, next;
};

struct used_element {
    uint32_t id, length;
};

/* The rings are shared with the device: the indices are read and written by the
 * functions below, with their barriers. */
struct queue {
    unsigned index, size, place; /* in the arena: as its index, but for a second disk */
    struct descriptor *desc;
    struct {
        uint16_t flags, idx, ring[];
    } * avail;
    struct {
        uint16_t flags, idx;
        struct used_element ring[];
    } * used;
    uint16_t offered, published; /* avail entries written; those that the device knows */
    uint16_t seen;               /* used elements taken */
};

struct disk {
    unsigned slot;
    uint64_t base, features;
    struct queue queue;               /* number 0 */
    volatile uint32_t interrupts;     /* counted by the handler that disk_interrupts sets */
    volatile uint32_t causes;         /* InterruptStatus, as the handler found it, or-ed */
    volatile uint32_t config_changes; /* interrupts with CONFIG_CHANGE */
    bool sleeps;                      /* wait_used sleeps until an interrupt comes */
};

static inline uint32_t get(const struct disk *disk, unsigned offset)
{
    return read32(disk->base + offset);
}

static inline void put(const struct disk *disk, unsigned offset, uint32_t value)
{
    write32(disk->base + offset, value);
}

static inline void put64(const struct disk *disk, unsigned offset, uint64_t value)
{
    put(disk, offset, (uint32_t)value);
    put(disk, offset + 4, (uint32_t)(value >> 32));
}

/* At any offset, by 1, 2, 4 or 8 bytes. */
static inline uint64_t get_wide(const struct disk *disk, unsigned offset, unsigned size)
{
    uint64_t address = unaligned(disk->base + offset);

    switch (size) {
    case 1: return read8(address);
    case 2: return read16(address);
    case 4: return read32(address);
    default: return read64(address);
    }
}

static inline void put_wide(const struct disk *disk, unsigned offset, unsigned size, uint64_t value)
{
    uint64_t address = unaligned(disk->base + offset);

    switch (size) {
    case 1: write8(address, (uint8_t)value); break;
    case 2: write16(address, (uint16_t)value); break;
    case 4: write32(address, (uint32_t)value); break;
    default: write64(address, value); break;
    }
}

void disk_init(struct disk *disk, unsigned slot);
/* The same for another type of device: what is called a disk here is any. */
void slot_init(struct disk *disk, unsigned slot, uint32_t type);
uint64_t disk_capacity(const struct disk *disk); /* sectors */

/* Turns the interrupt on: from then on disk->interrupts counts, and the handler
 * acknowledges.  interrupts_init comes before. */
void disk_interrupts(struct disk *disk);

/* Resets, and checks that everything is as after power-on. */
void disk_reset(struct disk *disk);
uint64_t disk_offers(const struct disk *disk);             /* features */
void disk_negotiate(struct disk *disk, uint64_t features); /* as far as FEATURES_OK */
void disk_run(struct disk *disk);                          /* DRIVER_OK */
/* All of these, with one queue of so many descriptors. */
void disk_start(struct disk *disk, uint64_t features, unsigned size);

/* Gives the queue its place in the arena, cleared. */
void queue_place(struct queue *queue, unsigned index, unsigned size);
/* Tells the device of it; returns what QueueReady says. */
bool queue_install(const struct disk *disk, const struct queue *queue);

/* ---- chains ---- */

void describe(struct queue *queue, unsigned i, uint64_t address, uint64_t length, unsigned flags,
              unsigned next);

struct header {
    uint32_t type, reserved;
    uint64_t sector;
};

struct header *header_of(const struct queue *queue, unsigned head);
volatile uint8_t *status_of(const struct queue *queue, unsigned head);
struct descriptor *table_of(const struct queue *queue, unsigned head);

/* Header and status of a request, ready to be described. */
void prepare(const struct queue *queue, unsigned head, unsigned type, uint64_t sector);
/* A request of up to three descriptors from head on. */
void describe_request(struct queue *queue, unsigned head, unsigned type, uint64_t sector,
                      const void *data, uint64_t size);
/* The same through an indirect table: one descriptor. */
void describe_indirect(struct queue *queue, unsigned head, unsigned type, uint64_t sector,
                       const void *data, uint64_t size);

void offer(struct queue *queue, unsigned head); /* an entry of the ring */
void publish(struct queue *queue);              /* the index */
void kick(const struct disk *disk, const struct queue *queue);
/* Offers, publishes, kicks. */
void send(const struct disk *disk, struct queue *queue, unsigned head);

bool used_is_there(const struct queue *queue);
/* The next one; it is waited for. */
struct used_element wait_used(struct disk *disk, struct queue *queue);

/* One request, done: the status.  It uses the descriptors from 0 on. */
uint8_t request(struct disk *disk, unsigned type, uint64_t sector, void *data, uint64_t size);

/* ---- contents: what the runner writes to images, by sector ---- */

void fill(void *sector, uint64_t seed);
bool is_filled(const void *sector, uint64_t seed);
bool is_zero(const void *data, size_t size);

/* ---- after an attack ---- */

enum { SCRATCH = 8 /* a sector whose contents change */ };

/* Remembers all of memory (of large memory, the lower part) outside of the arena
 * and this image, and fills the buffers. */
void guard_memory(void);
void must_be_unharmed(void); /* that memory, and the buffers */

/* Resets, starts and uses the disk. */
void must_work(struct disk *disk);
/* Waits until the device has noticed that it was deceived.  Then the above. */
void must_break(struct disk *disk);

/* Milliseconds or more. */
void spend(unsigned milliseconds);

#endif
