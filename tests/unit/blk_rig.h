/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the block device share: a disk on a temporary file, a driver that
 * makes requests one by one, and an engine that does what the test says.
 */
#ifndef MV_TEST_BLK_RIG_H
#define MV_TEST_BLK_RIG_H

#include "virtio/blk.h"
#include "virtio_rig.h"

enum {
    BLK_IN = 0,
    BLK_OUT = 1,
    BLK_FLUSH = 4,
    BLK_GET_ID = 8,
    BLK_DISCARD = 11,
    BLK_WRITE_ZEROES = 13,
};

enum { BLK_OK = 0, BLK_IOERR = 1, BLK_UNSUPP = 2, BLK_NONE = 0xee /* not answered */ };

#define BLK_F_SEG_MAX      (1ull << 2)
#define BLK_F_RO           (1ull << 5)
#define BLK_F_BLK_SIZE     (1ull << 6)
#define BLK_F_FLUSH        (1ull << 9)
#define BLK_F_TOPOLOGY     (1ull << 10)
#define BLK_F_CONFIG_WCE   (1ull << 11)
#define BLK_F_MQ           (1ull << 12)
#define BLK_F_DISCARD      (1ull << 13)
#define BLK_F_WRITE_ZEROES (1ull << 14)
#define BLK_F_USUAL        (BLK_F_FLUSH | BLK_F_CONFIG_WCE | BLK_F_MQ | BLK_F_DISCARD | BLK_F_WRITE_ZEROES)

#define BLK_SECTOR 512u

/* Offsets in the configuration (virtio 1.2, 5.2.4). */
enum { CONFIG_CAPACITY = 0, CONFIG_WRITEBACK = 32, CONFIG_SIZE = 60 };

/* Where a request that is alone has its parts. */
#define BLK_HEADER (RIG_DATA - 0x1000)
#define BLK_STATUS (RIG_DATA - 0x800)

struct blk_header {
    uint32_t type, reserved;
    uint64_t sector;
};

struct blk_range {
    uint64_t sector;
    uint32_t sectors, flags;
};

struct blk_rig {
    struct mv_disk disk; /* to be changed before blk_attach */
    unsigned queues;     /* likewise: 1 */
    uint64_t in_flight;  /* likewise: MV_BLK_IN_FLIGHT */
    mv_engine_create_fn *const *engines;
    const char *folder; /* where the file is: "/tmp" */
    char path[64];
    int file; /* the test's own descriptor of it */
    struct ring rings[MV_QUEUES_MAX];
    uint32_t written; /* what the last answer says */
};

extern struct blk_rig blk;

/* The rig, with nothing on the disk's engine yet: blk_make, blk_attach and blk_go follow. */
void blk_start(void);
void blk_stop(void);

/* Skips the test. */
void blk_skip(const char *why);

/* A sparse file of so many bytes; its name is gone when it is attached. */
void blk_make(uint64_t size);
void blk_attach(void);

/* Negotiates, sets up all queues, 256 descriptors each, and says DRIVER_OK. */
void blk_go(uint64_t features);

/* All of it, with the usual features. */
void blk_ready(uint64_t size);

/* The configuration, by any access. */
uint64_t blk_config(uint64_t offset, unsigned size);

/* ---- requests ---- */

/* What is at RIG_DATA; and the header at BLK_HEADER, for a chain that the test builds itself. */
uint8_t *blk_data(uint64_t size);
void blk_put_header(uint32_t type, uint64_t sector);

/* Offers a chain in queue 0 and waits for its answer: the byte at BLK_STATUS. */
uint8_t blk_request_parts(const struct ring_part *parts, unsigned count);

/* Header, data at RIG_DATA in the type's direction if size is not 0, status. */
uint8_t blk_request(uint32_t type, uint64_t sector, uint32_t size);

/* A discard or write-zeroes of these ranges. */
uint8_t blk_request_ranges(uint32_t type, const struct blk_range *ranges, unsigned count);

/*
 * Offers a request in the four descriptors of a slot (0 to 63) of a queue, with data
 * at blk_slot_data, and leaves it; *blk_slot_status becomes its answer.
 */
void blk_offer(unsigned queue, unsigned slot, uint32_t type, uint64_t sector, uint32_t size);
uint8_t *blk_slot_data(unsigned queue, unsigned slot); /* BLK_SLOT_DATA bytes */
uint8_t *blk_slot_status(unsigned queue, unsigned slot);

#define BLK_SLOT_DATA 0x1000u

/* Waits until `count` more answers are in the used ring, and takes them. */
void blk_wait_answers(unsigned queue, unsigned count);

/* The file's bytes, and the test's pattern: a byte for each place and version. */
uint8_t blk_pattern(uint64_t at, unsigned version);
void blk_fill(void *data, uint64_t at, size_t size, unsigned version);
bool blk_is(const void *data, uint64_t at, size_t size, unsigned version);
bool blk_is_zero(const void *data, size_t size);
bool blk_file_is(uint64_t at, size_t size, unsigned version);
bool blk_file_is_zero(uint64_t at, size_t size);
void blk_fill_file(uint64_t at, size_t size, unsigned version);

/* ---- an engine that does what the test says ---- */

struct script_op {
    enum mv_io_op op;
    bool stable;
    uint64_t offset, size;
};

struct script {
    struct mv_engine engine;
    int fd;
    bool hold;        /* nothing is done before script_release */
    bool eager;       /* all is done before submit returns, as other threads may do it */
    unsigned busy;    /* how often start refuses yet */
    unsigned partial; /* so many are done in part, and not started again when reaped */
    int errors[5];    /* what an operation ends with instead of being done */
    int create_error; /* what creating it ends with */
    bool no_event;    /* it has no good eventfd */
    unsigned created, destroyed, starts, cancels;
    bool listening;
    struct mv_io *held[2048], *done[2048];
    unsigned held_count, done_count, started_count; /* of the held: started */
    struct script_op log[4096];
    unsigned log_count;
};

extern struct script script;

mv_engine_create_fn script_create;
extern mv_engine_create_fn *const script_engines[];

/* Bytes of the requests that are held, and of these, those that lie outside of guest memory. */
uint64_t script_held(void);
uint64_t script_held_outside(void);

/* Does the first `count` of the held requests. */
void script_release(unsigned count);

/* How many operations of this kind were submitted since script_forget, and of how many bytes. */
unsigned script_count(enum mv_io_op op);
uint64_t script_bytes(enum mv_io_op op);
void script_forget(void);

#endif
