/* SPDX-License-Identifier: MIT */
/*
 * The block device (virtio 1.2, 5.2): see blk.h.
 *
 * A guest's request is copied and checked, then performed in one or more steps,
 * each an I/O engine's request, and completed after the last of them.  Nothing
 * here blocks.
 *
 * An engine may perform I/O synchronously within its submit call, and I/O that has
 * begun cannot be cancelled.  So that a guest's disk cannot delay its other devices
 * or the machine's shutdown, each step has a bounded size, the steps of a request run
 * one after the other, and the bytes in flight and the host memory for them are
 * bounded, too.  Requests that exceed the bound wait in the rings.
 *
 * Left out: geometry, secure erase, zoned devices, lifetime.
 */
#include "blk.h"

#include <endian.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "core/util.h"

/* 5.2.3 */
#define F_SEG_MAX      (1ull << 2)
#define F_RO           (1ull << 5)
#define F_BLK_SIZE     (1ull << 6)
#define F_FLUSH        (1ull << 9)
#define F_TOPOLOGY     (1ull << 10)
#define F_CONFIG_WCE   (1ull << 11)
#define F_MQ           (1ull << 12)
#define F_DISCARD      (1ull << 13)
#define F_WRITE_ZEROES (1ull << 14)

enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 };
enum { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2 };
enum { RANGE_UNMAP = 1 };

#define SEG_MAX    (MV_QUEUE_MAX - 2) /* header and status take a descriptor each */
#define RANGES_MAX 16u                /* ranges of one discard or write-zeroes */
#define RANGE_MAX  (4 * MV_GIB)       /* bytes of a range */
#define RANGE_STEP (16 * MV_MIB)      /* bytes of a step if the host zeroes or punches the hole */
#define STEP_MAX   (512 * MV_KIB)     /* bytes of a step if data or zeros are transferred */
#define COST_MIN   MV_PAGE_SIZE       /* bytes that even the smallest request counts as in flight */
#define FEW        4u
#define ZEROS_SIZE (STEP_MAX / FEW)

/* 5.2.4; little endian */
struct config {
    uint64_t capacity; /* sectors of 512 bytes */
    uint32_t size_max;
    uint32_t seg_max;
    uint8_t geometry[4];
    uint32_t blk_size;
    uint8_t physical_block_exp;
    uint8_t alignment_offset;
    uint16_t min_io_size;
    uint32_t opt_io_size;
    uint8_t writeback;
    uint8_t unused0;
    uint16_t num_queues;
    uint32_t max_discard_sectors;
    uint32_t max_discard_seg;
    uint32_t discard_sector_alignment;
    uint32_t max_write_zeroes_sectors;
    uint32_t max_write_zeroes_seg;
    uint8_t write_zeroes_may_unmap;
    uint8_t unused1[3];
};

#define CONFIG_SIZE 60u

_Static_assert(offsetof(struct config, unused1) + 3 == CONFIG_SIZE, "virtio 1.2, 5.2.4");

/* 5.2.6 */
struct header {
    uint32_t type;
    uint32_t reserved;
    uint64_t sector;
};

struct range {
    uint64_t sector;
    uint32_t num_sectors;
    uint32_t flags;
};

/* A chain in flight.  There is one for each head of a queue. */
struct request {
    struct mv_io io; /* the current step */
    unsigned queue;
    uint64_t name;   /* mv_chain.head */
    uint8_t *status; /* in guest memory */
    uint32_t type;
    uint32_t in_size; /* writable bytes before the status */
    uint32_t written; /* how many of them a successful request writes */
    bool stable;      /* sync what the steps wrote before completing the request */
    uint64_t cost;    /* bytes taken of the disk's share */
    uint64_t step;    /* bytes of the current step */

    /* a transfer */
    uint64_t at, left;   /* offset and bytes that no step has covered yet */
    struct iovec *iov;   /* the guest's buffers: `few`, or allocated */
    struct iovec *rest;  /* first buffer of the current step; the remaining ones follow */
    unsigned rest_count; /* buffers of the current step */
    size_t cut;          /* bytes of its last buffer that belong to the next step */
    struct iovec few[FEW];
    bool bounces;         /* the step uses `bounce`: its buffers are not aligned for direct I/O */
    uint8_t *bounce;      /* allocated bounce buffer */
    struct iovec bounced; /* describes it to the engine, which changes this */

    /* discard and write-zeroes */
    struct range *ranges; /* allocated */
    unsigned range, range_count;
    uint64_t done; /* bytes of the current range */
    bool by_hand;  /* write zeros from memory: the host has no cheaper way */
};

struct blk {
    struct mv_virtio *virtio;
    struct mv_disk_file image;
    struct config config;  /* under the device's lock; its writeback is the value after a reset */
    atomic_bool writeback; /* the driver's choice: written by vCPUs, read by the loop thread */
    uint64_t capacity;     /* bytes; loop thread only */
    char id[MV_SERIAL_MAX];
    bool unsafe;
    mv_engine_create_fn *const *engines;
    struct mv_loop *loop;
    struct mv_log *log;
    char name[16];

    /* loop thread only */
    bool active, stopping, engine_tried;
    struct mv_engine *engine;
    struct mv_loop_source completions;
    unsigned in_flight;
    uint64_t share, taken; /* bytes that may be in flight; bytes that are */
    uint64_t step;         /* most bytes that a transfer has in flight */
    unsigned first;        /* queue to serve first next time, modulo their count */
    struct request *requests[MV_QUEUES_MAX]; /* MV_QUEUE_MAX each, by head */
    struct mv_chain chain;
    uint8_t *zeros; /* ZEROS_SIZE bytes, allocated at first use */
};

/* ---- buffers ---- */

/* Copies size bytes from the start of the buffers and consumes them; false if they hold less. */
static bool take(struct iovec **iov, unsigned *count, void *ret_data, size_t size)
{
    uint8_t *to = ret_data;

    while (size) {
        size_t part;

        if (*count == 0)
            return false;
        part = (size_t)mv_min(size, (*iov)->iov_len);
        memcpy(to, (*iov)->iov_base, part);
        to += part;
        size -= part;
        (*iov)->iov_base = (uint8_t *)(*iov)->iov_base + part;
        (*iov)->iov_len -= part;
        if ((*iov)->iov_len == 0) {
            (*iov)++;
            (*count)--;
        }
    }
    return true;
}

/* Copies into the buffers, up to what they hold. */
static void give(const struct iovec *iov, unsigned count, const void *data, size_t size)
{
    const uint8_t *from = data;

    for (unsigned i = 0; i < count && size; i++) {
        size_t part = (size_t)mv_min(size, iov[i].iov_len);

        memcpy(iov[i].iov_base, from, part);
        from += part;
        size -= part;
    }
}

static bool are_aligned(const struct iovec *iov, unsigned count, unsigned block)
{
    for (unsigned i = 0; i < count; i++)
        if ((uintptr_t)iov[i].iov_base % block || iov[i].iov_len % block)
            return false;
    return true;
}

/* ---- steps of a request ---- */

static void release(struct blk *blk, struct request *request)
{
    blk->taken -= request->cost;
    request->cost = 0;
    if (request->iov != request->few)
        free(request->iov);
    free(request->ranges);
    free(request->bounce);
    request->iov = NULL;
    request->ranges = NULL;
    request->bounce = NULL;
}

static void answer(struct blk *blk, struct request *request, uint8_t status)
{
    uint32_t written = status == S_OK ? request->written : 0;

    release(blk, request);
    __atomic_store_n(request->status, status, __ATOMIC_RELAXED);
    /* 2.7.8.2: counts bytes contiguous from the first; the status follows the data */
    mv_virtio_push(blk->virtio, request->queue, request->name,
                   written + (written == request->in_size));
}

static void submit(struct blk *blk, struct request *request, enum mv_io_op op)
{
    request->io.op = op;
    blk->in_flight++;
    blk->engine->ops->submit(blk->engine, &request->io);
}

/* All steps are done. */
static void conclude(struct blk *blk, struct request *request)
{
    if (request->stable)
        submit(blk, request, MV_IO_SYNC);
    else
        answer(blk, request, S_OK);
}

static bool in_range(const struct blk *blk, uint64_t sector, uint64_t bytes)
{
    return bytes % MV_SECTOR == 0 && bytes <= blk->capacity &&
           sector <= (blk->capacity - bytes) / MV_SECTOR;
}

/* ---- transfers ---- */

/* Selects the next `size` bytes of the buffers for the step; shortens the last buffer to fit. */
static void cut_buffers(struct request *request, uint64_t size)
{
    struct iovec *last = request->rest;

    while (size > last->iov_len)
        size -= (last++)->iov_len;
    request->rest_count = (unsigned)(last - request->rest) + 1;
    request->cut = last->iov_len - (size_t)size;
    last->iov_len = (size_t)size;
}

/* Skips the buffers of a finished step.  Engines advance iovecs, but keep base + len unchanged. */
static void skip_buffers(struct request *request)
{
    struct iovec *last = &request->rest[request->rest_count - 1];

    last->iov_base = (uint8_t *)last->iov_base + last->iov_len;
    last->iov_len = request->cut;
    request->rest = request->cut ? last : last + 1;
}

/* Direct I/O needs aligned memory: the step goes through a bounce buffer. */
static bool bounce_buffers(struct request *request, size_t size)
{
    struct iovec *iov = request->rest;
    unsigned count = request->rest_count;

    if (!request->bounce) /* fits later steps, too: none is larger than the first */
        request->bounce = aligned_alloc(MV_PAGE_SIZE, mv_align_up(size, MV_PAGE_SIZE));
    if (!request->bounce)
        return false;
    if (request->type == T_OUT && !take(&iov, &count, request->bounce, size))
        return false;
    request->bounced = (struct iovec){.iov_base = request->bounce, .iov_len = size};
    request->io.iov = &request->bounced;
    request->io.iov_count = 1;
    return true;
}

static void step_transfer(struct blk *blk, struct request *request)
{
    uint64_t size = mv_min(request->left, blk->step);

    request->step = size;
    /* The disk may have shrunk since the request began: a write would make the image grow again. */
    if (!in_range(blk, request->at / MV_SECTOR, request->left)) {
        answer(blk, request, S_IOERR);
        return;
    }
    cut_buffers(request, size);
    request->io.iov = request->rest;
    request->io.iov_count = request->rest_count;
    request->bounces =
        blk->image.direct && !are_aligned(request->rest, request->rest_count, blk->image.block);
    if (request->bounces && !bounce_buffers(request, (size_t)size)) {
        answer(blk, request, S_IOERR);
        return;
    }
    request->io.offset = request->at;
    request->io.size = size;
    request->at += size;
    request->left -= size;
    submit(blk, request, request->type == T_IN ? MV_IO_READ : MV_IO_WRITE);
}

static void finish_transfer(struct blk *blk, struct request *request)
{
    if (request->io.result) {
        answer(blk, request, S_IOERR);
        return;
    }
    if (request->bounces && request->type == T_IN)
        give(request->rest, request->rest_count, request->bounce, (size_t)request->step);
    skip_buffers(request);
    if (request->left)
        step_transfer(blk, request);
    else
        conclude(blk, request);
}

/* ---- ranges ---- */

/* Prepares a step that writes zeros: every iovec is the same block of ZEROS_SIZE zero bytes. */
static bool prepare_zeros(struct blk *blk, struct request *request)
{
    unsigned count = 0;

    if (!blk->zeros)
        blk->zeros = aligned_alloc(MV_PAGE_SIZE, ZEROS_SIZE);
    if (!blk->zeros)
        return false;
    memset(blk->zeros, 0, ZEROS_SIZE);
    for (uint64_t at = 0; at < request->step; at += ZEROS_SIZE)
        request->few[count++] = (struct iovec){.iov_base = blk->zeros,
                                               .iov_len = mv_min(request->step - at, ZEROS_SIZE)};
    request->io.iov = request->few;
    request->io.iov_count = count;
    return true;
}

/* Begins the next step of a discard or write-zeroes; on failure completes the request. */
static void step_ranges(struct blk *blk, struct request *request)
{
    const struct range *range = &request->ranges[request->range];
    uint64_t size = (uint64_t)range->num_sectors * MV_SECTOR;
    uint64_t at = range->sector * MV_SECTOR + request->done;
    enum mv_io_op op = MV_IO_DISCARD;

    if (request->type == T_WRITE_ZEROES && !(range->flags & RANGE_UNMAP))
        op = MV_IO_ZERO;
    /* Steps end at aligned offsets: the host does not free a block that spans two of them. */
    request->step = request->by_hand ? blk->step : RANGE_STEP - at % RANGE_STEP;
    request->step = mv_min(request->step, size - request->done);
    /* The disk may have shrunk since the request began: zeros would make the image grow again. */
    if (!in_range(blk, range->sector, size) || (request->by_hand && !prepare_zeros(blk, request))) {
        answer(blk, request, S_IOERR);
        return;
    }
    request->io.offset = at;
    request->io.size = request->step;
    submit(blk, request, request->by_hand ? MV_IO_WRITE : op);
}

static void finish_ranges(struct blk *blk, struct request *request)
{
    int result = request->io.result;

    if (result == -EOPNOTSUPP && request->type == T_WRITE_ZEROES && !request->by_hand) {
        request->by_hand = true;
        step_ranges(blk, request);
        return;
    }
    if (result) {
        answer(blk, request, result == -EOPNOTSUPP ? S_UNSUPP : S_IOERR);
        return;
    }
    request->done += request->step;
    if (request->done == (uint64_t)request->ranges[request->range].num_sectors * MV_SECTOR) {
        request->range++;
        request->done = 0;
    }
    if (request->range < request->range_count)
        step_ranges(blk, request);
    else
        conclude(blk, request);
}

/* The engine has completed a step. */
static void finish(struct blk *blk, struct request *request)
{
    blk->in_flight--;
    if (blk->stopping) /* a reset: the driver gets its buffers back without completions */
        release(blk, request);
    else if (request->io.op == MV_IO_SYNC)
        answer(blk, request, request->io.result ? S_IOERR : S_OK);
    else if (request->ranges)
        finish_ranges(blk, request);
    else
        finish_transfer(blk, request);
}

/* ---- beginning a request ---- */

/* Copies the iovecs, as blk->chain is reused for the next chain. */
static bool keep_buffers(struct request *request, const struct iovec *iov, unsigned count)
{
    request->iov = count <= FEW ? request->few : malloc(count * sizeof(*iov));
    if (!request->iov)
        return false;
    memcpy(request->iov, iov, count * sizeof(*iov));
    request->rest = request->iov;
    return true;
}

static int begin_transfer(struct blk *blk, struct request *request, uint64_t sector,
                          const struct iovec *iov, unsigned count, uint64_t bytes)
{
    if (!in_range(blk, sector, bytes))
        return S_IOERR;
    if (bytes == 0)
        return S_OK;
    if (!keep_buffers(request, iov, count))
        return S_IOERR;
    request->at = sector * MV_SECTOR;
    request->left = bytes;
    if (bytes <= blk->step) { /* a single write: O_DSYNC on it replaces the sync */
        request->io.stable = request->stable;
        request->stable = false;
    }
    step_transfer(blk, request);
    return -EINPROGRESS;
}

static int begin_flush(struct blk *blk, struct request *request)
{
    if (blk->unsafe || blk->image.read_only)
        return S_OK;
    submit(blk, request, MV_IO_SYNC);
    return -EINPROGRESS;
}

static int begin_ranges(struct blk *blk, struct request *request, struct iovec *iov, unsigned count,
                        uint64_t bytes)
{
    uint32_t known = request->type == T_WRITE_ZEROES ? RANGE_UNMAP : 0;

    if (bytes == 0 || bytes % sizeof(struct range) || bytes / sizeof(struct range) > RANGES_MAX)
        return S_IOERR;
    request->ranges = malloc((size_t)bytes);
    if (!request->ranges || !take(&iov, &count, request->ranges, (size_t)bytes))
        return S_IOERR;
    request->range_count = (unsigned)(bytes / sizeof(struct range));
    for (unsigned i = 0; i < request->range_count; i++) {
        const struct range *range = &request->ranges[i];
        uint64_t size = (uint64_t)range->num_sectors * MV_SECTOR;

        if (range->flags & ~known) /* 5.2.6.2: reserved bits, or unmap in a discard */
            return S_UNSUPP;
        if (size == 0 || size > RANGE_MAX || !in_range(blk, range->sector, size))
            return S_IOERR;
    }
    step_ranges(blk, request);
    return -EINPROGRESS;
}

static bool changes_disk(const struct request *request)
{
    return request->type == T_OUT || request->type == T_DISCARD || request->type == T_WRITE_ZEROES;
}

/* Without F_FLUSH, the completion alone tells the driver that a write is stable (5.2.6.2). */
static bool writes_are_stable(const struct blk *blk)
{
    return !blk->unsafe && (!atomic_load_explicit(&blk->writeback, memory_order_relaxed) ||
                            !(mv_virtio_features(blk->virtio) & F_FLUSH));
}

/* The data of a chain: what lies between the header and the status. */
struct data {
    struct iovec *out, *in;
    unsigned out_count, in_count;
    uint64_t out_size, in_size;
};

/* At most one step.  Write-zeroes counts as a full step, as it may have to write the zeros. */
static uint64_t cost_of(const struct blk *blk, const struct request *request,
                        const struct data *data)
{
    uint64_t bytes = data->out_size + data->in_size;

    if (request->type == T_WRITE_ZEROES)
        bytes = blk->step;
    return mv_min(mv_max(bytes, COST_MIN), blk->step);
}

/* Returns the status, or -EINPROGRESS if the request completes later. */
static int begin(struct blk *blk, struct request *request, uint64_t sector, struct data *data)
{
    bool reads = request->type == T_IN || request->type == T_GET_ID;

    request->cost = cost_of(blk, request, data);
    blk->taken += request->cost;
    request->stable = changes_disk(request) && writes_are_stable(blk);
    /* data in the wrong direction */
    if ((reads && data->out_size) || (changes_disk(request) && data->in_size))
        return S_IOERR;
    if (changes_disk(request) && blk->image.read_only)
        return S_IOERR;
    if (request->type == T_IN)
        request->written = request->in_size;
    if (request->type == T_GET_ID)
        request->written = (uint32_t)mv_min(request->in_size, MV_SERIAL_MAX);
    switch (request->type) {
    case T_IN: return begin_transfer(blk, request, sector, data->in, data->in_count, data->in_size);
    case T_OUT:
        return begin_transfer(blk, request, sector, data->out, data->out_count, data->out_size);
    case T_FLUSH: return begin_flush(blk, request);
    case T_GET_ID: give(data->in, data->in_count, blk->id, MV_SERIAL_MAX); return S_OK;
    case T_DISCARD:
    case T_WRITE_ZEROES:
        return begin_ranges(blk, request, data->out, data->out_count, data->out_size);
    default: return S_UNSUPP;
    }
}

/* Begins a popped chain.  Header, data and status may be split among descriptors in any way
 * (2.7.4.1).  Returns false if the chain has no room for a status. */
static bool begin_chain(struct blk *blk, unsigned index)
{
    struct mv_chain *chain = &blk->chain;
    uint16_t head = (uint16_t)chain->head;
    struct request *request = &blk->requests[index][head];
    struct data data = {
        .out = chain->iov,
        .in = chain->iov + chain->out_count,
        .out_count = chain->out_count,
        .in_count = chain->in_count,
        .out_size = chain->out_size - sizeof(struct header),
        .in_size = chain->in_size - 1,
    };
    struct header header;
    struct iovec *last;
    int status = S_IOERR;

    if (chain->in_size == 0)
        return false;
    while (data.in[data.in_count - 1].iov_len == 0)
        data.in_count--;
    last = &data.in[data.in_count - 1];
    last->iov_len--;
    *request = (struct request){
        .queue = index,
        .name = chain->head,
        .status = (uint8_t *)last->iov_base + last->iov_len,
        .type = UINT32_MAX,
        .in_size = (uint32_t)data.in_size,
    };
    if (last->iov_len == 0)
        data.in_count--;
    if (take(&data.out, &data.out_count, &header, sizeof(header))) {
        request->type = le32toh(header.type);
        status = begin(blk, request, le64toh(header.sector), &data);
    }
    if (status >= 0)
        answer(blk, request, (uint8_t)status);
    return true;
}

/* ---- the queues: turns of the loop thread ---- */

/* Chains that do not fit stay in the rings.  The share holds at least two steps, so something is
 * then in flight, and its completion makes room. */
static bool has_room(const struct blk *blk)
{
    return blk->taken + blk->step <= blk->share;
}

/* Begins as many requests as fit.  The queues take turns at being first. */
static void take_requests(struct blk *blk)
{
    unsigned count = blk->virtio->queue_count, first = blk->first;

    for (unsigned i = 0; i < count; i++) {
        unsigned index = (first + i) % count;

        while (has_room(blk) && mv_virtio_pop(blk->virtio, index, &blk->chain)) {
            blk->first = index + 1;
            if (!begin_chain(blk, index))
                mv_virtio_break(blk->virtio);
        }
    }
}

/* Handles completed steps.  The count is bounded: finishing a step may submit the next, and the
 * engine's threads may complete that before the loop ends. */
static void reap(struct blk *blk)
{
    unsigned most = blk->in_flight, count = 0;
    struct mv_io *io;

    while (count < most && (io = blk->engine->ops->reap(blk->engine)) != NULL) {
        finish(blk, (struct request *)io); /* its first member */
        count++;
    }
    if (count)
        mv_virtio_go_on(blk->virtio);
}

static void start(struct blk *blk)
{
    if (!blk->engine->ops->start(blk->engine))
        mv_virtio_go_on(blk->virtio); /* the host was too busy for some: retry */
}

static void notify(void *state)
{
    struct blk *blk = state;

    if (!blk->active)
        return;
    reap(blk);
    take_requests(blk);
    start(blk);
    reap(blk); /* what start completed synchronously */
}

static void listen(void *state, bool on)
{
    const struct blk *blk = state;

    if (blk->active)
        blk->engine->ops->listen(blk->engine, on);
}

static void on_completion(void *context, uint32_t events)
{
    const struct blk *blk = context;

    (void)events;
    mv_virtio_look(blk->virtio);
}

/* Called again until nothing is in flight. */
static void stop(void *state)
{
    struct blk *blk = state;

    if (blk->active) {
        blk->active = false;
        blk->stopping = true;
        blk->engine->ops->listen(blk->engine, true);
        blk->engine->ops->cancel(blk->engine);
    }
    if (blk->stopping) {
        reap(blk);
        start(blk);
    }
    if (blk->in_flight)
        return;
    blk->stopping = false;
    mv_virtio_stopped(blk->virtio);
}

/* ---- the other ops ---- */

/* Called at the first DRIVER_OK, and again at later ones if it fails.  Failures are logged only the
 * first time, as a guest can retry without limit. */
static int create_engine(struct blk *blk)
{
    bool say = !blk->engine_tried;
    int error = -ENOSYS;

    blk->engine_tried = true;
    for (unsigned i = 0; error && blk->engines[i]; i++) {
        error =
            blk->engines[i](blk->image.fd, MV_QUEUE_MAX * blk->virtio->queue_count, &blk->engine);
        if (error && say)
            mv_log(blk->log, blk->engines[i + 1] ? MV_LOG_INFO : MV_LOG_WARNING,
                   "%s: the host offers no %s: %s", blk->name,
                   blk->engines[i] == mv_uring_create ? "io_uring" : "threads for its I/O",
                   strerror(-error));
    }
    if (error)
        return error;
    blk->completions.fd = blk->engine->event;
    error = mv_loop_watch(blk->loop, &blk->completions, EPOLLIN | EPOLLET);
    if (!error) {
        mv_log(blk->log, MV_LOG_INFO, "%s: I/O by %s", blk->name, blk->engine->name);
        return 0;
    }
    if (say)
        mv_log(blk->log, MV_LOG_WARNING, "%s: cannot wait for its I/O: %s", blk->name,
               strerror(-error));
    blk->engine->ops->destroy(blk->engine); /* else the next activate would use it */
    blk->engine = NULL;
    return error;
}

static bool allocate_requests(struct blk *blk)
{
    for (unsigned i = 0; i < blk->virtio->queue_count; i++) {
        bool ready = mv_virtio_queue(blk->virtio, i)->state.ready;

        if (ready && !blk->requests[i])
            blk->requests[i] = calloc(MV_QUEUE_MAX, sizeof(struct request));
        if (ready && !blk->requests[i])
            return false;
    }
    return true;
}

static void activate(void *state)
{
    struct blk *blk = state;
    int error = blk->engine ? 0 : create_engine(blk);

    blk->active = !error && allocate_requests(blk);
    if (!blk->active)
        mv_virtio_break(blk->virtio);
}

static void reset(void *state)
{
    struct blk *blk = state;

    atomic_store(&blk->writeback, blk->config.writeback);
}

static uint64_t config_read(void *state, uint64_t offset, unsigned size)
{
    const struct blk *blk = state;
    struct config config = blk->config;
    uint64_t value = UINT64_MAX;

    config.writeback = atomic_load(&blk->writeback);
    if (offset < CONFIG_SIZE)
        memcpy(&value, (const uint8_t *)&config + offset, mv_min(size, CONFIG_SIZE - offset));
    return value;
}

static void config_write(void *state, uint64_t offset, unsigned size, uint64_t value)
{
    struct blk *blk = state;

    if (offset == offsetof(struct config, writeback) && size == 1 &&
        mv_virtio_features(blk->virtio) & F_CONFIG_WCE)
        atomic_store(&blk->writeback, value & 1);
}

static bool rescan(void *state)
{
    struct blk *blk = state;
    uint64_t size;
    int error = mv_disk_file_measure(&blk->image, &size);

    if (error) {
        mv_log(blk->log, MV_LOG_WARNING, "%s: cannot measure its image: %s", blk->name,
               strerror(-error));
        return false;
    }
    size = mv_align_down(size, blk->image.block);
    if (size == blk->capacity)
        return false;
    mv_log(blk->log, MV_LOG_INFO, "%s: has %llu bytes now, and had %llu", blk->name,
           (unsigned long long)size, (unsigned long long)blk->capacity);
    blk->capacity = size;
    blk->config.capacity = htole64(size / MV_SECTOR);
    return true;
}

static void destroy(void *state)
{
    struct blk *blk = state;

    if (blk->engine)
        blk->engine->ops->destroy(blk->engine);
    for (unsigned i = 0; i < MV_QUEUES_MAX; i++) {
        for (unsigned head = 0; blk->requests[i] && head < MV_QUEUE_MAX; head++)
            release(blk, &blk->requests[i][head]);
        free(blk->requests[i]);
    }
    mv_disk_file_close(&blk->image);
    free(blk->zeros);
    free(blk);
}

static uint64_t features_of(const struct mv_disk *disk)
{
    return F_SEG_MAX | F_BLK_SIZE | F_TOPOLOGY | F_MQ |
           (disk->read_only ? F_RO : F_FLUSH | F_CONFIG_WCE | F_DISCARD | F_WRITE_ZEROES);
}

static void init_config(struct blk *blk, const struct mv_disk *disk, unsigned queues)
{
    blk->config = (struct config){
        .capacity = htole64(blk->capacity / MV_SECTOR),
        .seg_max = htole32(SEG_MAX),
        .blk_size = htole32(blk->image.block),
        /* the host's pages: a smaller write is a read-modify-write */
        .physical_block_exp = (uint8_t)__builtin_ctz((unsigned)MV_PAGE_SIZE / blk->image.block),
        .min_io_size = htole16((uint16_t)(MV_PAGE_SIZE / blk->image.block)),
        .writeback = disk->cache != MV_CACHE_WRITETHROUGH,
        .num_queues = htole16((uint16_t)queues),
        .max_discard_sectors = htole32(RANGE_MAX / MV_SECTOR),
        .max_discard_seg = htole32(RANGES_MAX),
        .discard_sector_alignment = htole32(MV_PAGE_SIZE / MV_SECTOR),
        .max_write_zeroes_sectors = htole32(RANGE_MAX / MV_SECTOR),
        .max_write_zeroes_seg = htole32(RANGES_MAX),
        .write_zeroes_may_unmap = 1,
    };
    atomic_init(&blk->writeback, blk->config.writeback);
    blk->unsafe = disk->cache == MV_CACHE_UNSAFE;
    if (disk->serial)
        memcpy(blk->id, disk->serial, strnlen(disk->serial, MV_SERIAL_MAX));
}

mv_engine_create_fn *const *mv_blk_engines(const struct mv_disk *disk)
{
    static mv_engine_create_fn *const engines[] = {mv_uring_create, mv_pool_create, NULL};
    static mv_engine_create_fn *const uring[] = {mv_uring_create, NULL};

    switch (disk->io) {
    case MV_DISK_IO_URING: return uring;
    case MV_DISK_IO_THREADS: return engines + 1;
    case MV_DISK_IO_AUTO: break;
    }
    return engines;
}

int mv_blk_create(const struct mv_blk_setup *setup, struct mv_virtio **ret_virtio)
{
    static const struct mv_virtio_ops ops = {
        .id = 2, /* virtio 1.2, 5.2.1 */
        .config_read = config_read,
        .config_write = config_write,
        .activate = activate,
        .notify = notify,
        .stop = stop,
        .reset = reset,
        .rescan = rescan,
        .destroy = destroy,
    };
    struct blk *blk = calloc(1, sizeof(*blk));
    struct mv_virtio_type type = {.ops = &ops,
                                  .state = blk,
                                  .queues = setup->queues,
                                  .features = features_of(setup->disk),
                                  .listen = listen};

    if (!blk || mv_virtio_create(&type, &blk->virtio) < 0) {
        free(blk);
        mv_disk_file_close(setup->image);
        return -ENOMEM;
    }
    blk->image = *setup->image;
    blk->capacity = blk->image.size;
    blk->engines = setup->engines;
    blk->share = setup->in_flight;
    blk->step = mv_min(STEP_MAX, mv_align_down(blk->share / 2, MV_PAGE_SIZE));
    blk->loop = setup->loop;
    blk->log = setup->log;
    snprintf(blk->name, sizeof(blk->name), "%s", setup->name);
    blk->completions = (struct mv_loop_source){.fd = -1, .fn = on_completion, .context = blk};
    init_config(blk, setup->disk, setup->queues);
    *ret_virtio = blk->virtio;
    return 0;
}
