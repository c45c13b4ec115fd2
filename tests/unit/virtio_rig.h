/* SPDX-License-Identifier: MIT */
/*
 * What the tests of virtio share: guest memory with a hole, a split ring as a driver
 * keeps it (virtio 1.2, 2.7), and a device behind the registers of virtio over MMIO
 * (4.2).  One for each test: each has a process of its own.
 *
 *   0             RAM, 2 GiB, of which what is touched takes room
 *   0x8000_0000   hole; the device is in it
 *   0x1_0000_0000 RAM, 2 MiB
 */
#ifndef MV_TEST_VIRTIO_RIG_H
#define MV_TEST_VIRTIO_RIG_H

#include "core/util.h"
#include "virtio/mmio.h"

#define RIG_LOW       (2 * MV_GIB)
#define RIG_HIGH      (4 * MV_GIB)
#define RIG_HIGH_SIZE (2 * MV_MIB)
#define RIG_DEVICE    0xd0000000ull
#define RIG_LINE      8

/* What does not run under ThreadSanitizer: a guest that writes what the device reads, which is
 * meant, since all of it is checked afterwards; there is no lock that a guest would take. */
#if defined(__SANITIZE_THREAD__)
#define RIG_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RIG_THREAD_SANITIZER 1
#endif
#endif

/* Where tests put things.  A ring of 256 takes less than RIG_RING bytes. */
#define RIG_RINGS 0x100000ull
#define RIG_RING  0x4000ull
#define RIG_DATA  0x400000ull

#define RIG_PATIENCE 20000 /* milliseconds until a test gives up: a loaded computer is slow */

struct rig {
    struct mv_mem mem;
    struct mv_loop loop;
    struct mv_log log;
    atomic_uint log_lines;
    struct mv_bus bus;
    struct mv_device device;
    struct mv_ioeventfd ioeventfd; /* to be set before rig_attach */
    void *page;                    /* likewise: what the guest reads without an exit */
    int line;                      /* eventfd: what the interrupt line has risen */
    atomic_uint interrupts;        /* how often it has */
    atomic_uint gone;              /* how often the device's backpressure was */
};

extern struct rig rig;

/* Memory and a loop; no device yet. */
void rig_start(void);
void rig_stop(void);

/* Guest memory; the test fails where there is none. */
void *rig_at(mv_gpa gpa, uint64_t size);

/* ---- a ring ---- */

enum { RING_NEXT = 1, RING_WRITE = 2, RING_INDIRECT = 4 };

struct ring {
    mv_gpa desc, avail, used;
    unsigned size;
    uint16_t offered; /* what avail.idx is */
    uint16_t seen;    /* used entries taken */
};

struct ring_descriptor {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};

struct ring_used {
    uint32_t id, len;
};

/* One after the other from `at` on, empty. */
void ring_place(struct ring *ring, mv_gpa at, unsigned size);

struct ring_descriptor *ring_table(const struct ring *ring);
uint16_t *ring_avail(const struct ring *ring); /* flags, idx, heads, used_event */
uint16_t *ring_used(const struct ring *ring);  /* flags, idx, elements, avail_event */
uint16_t *ring_used_event(const struct ring *ring);
uint16_t *ring_avail_event(const struct ring *ring);

void ring_describe(const struct ring *ring, unsigned index, mv_gpa addr, uint32_t len,
                   unsigned flags, unsigned next);
void ring_offer(struct ring *ring, unsigned head);

/* The next used element; false if there is none. */
bool ring_take(struct ring *ring, struct ring_used *ret_used);

/* A buffer of a chain. */
struct ring_part {
    mv_gpa at;
    uint32_t size;
    bool writable;
};

/* Describes a chain of these buffers in the descriptors from `head` on, and offers it. */
void ring_offer_parts(struct ring *ring, unsigned head, const struct ring_part *parts,
                      unsigned count);

/* ---- a device behind registers ---- */

enum {
    REG_MAGIC = 0x000,
    REG_VERSION = 0x004,
    REG_DEVICE_ID = 0x008,
    REG_VENDOR_ID = 0x00c,
    REG_DEVICE_FEATURES = 0x010,
    REG_DEVICE_FEATURES_SEL = 0x014,
    REG_DRIVER_FEATURES = 0x020,
    REG_DRIVER_FEATURES_SEL = 0x024,
    REG_QUEUE_SEL = 0x030,
    REG_QUEUE_NUM_MAX = 0x034,
    REG_QUEUE_NUM = 0x038,
    REG_QUEUE_READY = 0x044,
    REG_QUEUE_NOTIFY = 0x050,
    REG_INTERRUPT_STATUS = 0x060,
    REG_INTERRUPT_ACK = 0x064,
    REG_STATUS = 0x070,
    REG_QUEUE_DESC = 0x080,
    REG_QUEUE_DRIVER = 0x090,
    REG_QUEUE_DEVICE = 0x0a0,
    REG_SHM_LEN = 0x0b0,
    REG_CONFIG_GENERATION = 0x0fc,
    REG_CONFIG = 0x100,
};

enum {
    STATUS_ACKNOWLEDGE = 1,
    STATUS_DRIVER = 2,
    STATUS_DRIVER_OK = 4,
    STATUS_FEATURES_OK = 8,
    STATUS_NEEDS_RESET = 64,
    STATUS_FAILED = 128,
    STATUS_READY = 11, /* to set up queues: ACKNOWLEDGE, DRIVER, FEATURES_OK */
    STATUS_LIVE = 15,
};

/* Puts the device at RIG_DEVICE; it is the rig's from then on. */
void rig_attach(struct mv_virtio *virtio);

/* The next of a sequence that looks random (Knuth's MMIX generator): 64 bits, of which the upper
 * ones are better. */
uint64_t rig_random(uint64_t *state);

/* Any access, and those of 32 bits. */
uint64_t rig_read(uint64_t offset, unsigned size);
void rig_write(uint64_t offset, unsigned size, uint64_t value);
uint32_t rig_get(uint64_t offset);
void rig_set(uint64_t offset, uint32_t value);

/* Some turns of a loop that has no thread; with one, a short while. */
void rig_turn(void);

/* Turns the loop, or lets it turn, until the condition holds; then true.  False after
 * RIG_PATIENCE. */
bool rig_wait(bool (*condition)(void *context), void *context);

/* Status 0, 1, 3, and 11 with these features (and VERSION_1) if the device takes them. */
void rig_negotiate(uint64_t features);
void rig_set_queue(unsigned index, const struct ring *ring);
void rig_go(void); /* DRIVER_OK, and until the device knows */

/* Begins a reset as a vCPU does that is not held back; the end is status 0. */
void rig_begin_reset(void);
void rig_reset(void);

/* DEVICE_NEEDS_RESET in the status. */
bool rig_needs_reset(void);

/* Waits until the interrupt line rises, or has risen; false after RIG_PATIENCE. */
bool rig_wait_interrupt(void);

#endif
