/* SPDX-License-Identifier: MIT */
/* What the tests of the block device share: see blk_rig.h. */
#include "blk_rig.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

struct blk_rig blk;
struct script script;

mv_engine_create_fn *const script_engines[] = {script_create, NULL};

void blk_start(void)
{
    rig_start();
    blk.disk = (struct mv_disk){.size = sizeof(blk.disk)};
    blk.queues = 1;
    blk.in_flight = MV_BLK_IN_FLIGHT;
    blk.engines = script_engines;
    blk.folder = "/tmp";
    blk.file = -1;
}

void blk_stop(void)
{
    rig_stop();
    mv_close_fd(&blk.file);
    if (blk.path[0])
        unlink(blk.path);
}

void blk_skip(const char *why)
{
    blk_stop(); /* which is not called for a test that is skipped */
    cr_skip("%s", why);
}

void blk_make(uint64_t size)
{
    snprintf(blk.path, sizeof(blk.path), "%s/minivmm-blk-XXXXXX", blk.folder);
    blk.file = mkostemp(blk.path, O_CLOEXEC);
    cr_assert_geq(blk.file, 0);
    cr_assert_eq(ftruncate(blk.file, (off_t)size), 0);
    blk.disk.path = blk.path;
}

void blk_attach(void)
{
    struct mv_disk_file image;
    const char *warning;
    struct mv_error err;
    struct mv_virtio *virtio;
    struct mv_blk_setup setup = {
        .name = "vda",
        .image = &image,
        .disk = &blk.disk,
        .queues = blk.queues,
        .in_flight = blk.in_flight,
        .engines = blk.engines,
        .loop = &rig.loop,
        .log = &rig.log,
    };

    cr_assert_eq(mv_disk_file_open(&blk.disk, &image, &warning, &err), 0, "%s", err.tried);
    unlink(blk.path);
    blk.path[0] = '\0';
    cr_assert_eq(mv_blk_create(&setup, &virtio), 0);
    rig_attach(virtio);
}

void blk_go(uint64_t features)
{
    rig_negotiate(features);
    cr_assert_eq(rig_get(REG_STATUS), STATUS_READY, "the features are accepted");
    for (unsigned i = 0; i < blk.queues; i++) {
        ring_place(&blk.rings[i], RIG_RINGS + i * RIG_RING, MV_QUEUE_MAX);
        rig_set_queue(i, &blk.rings[i]);
    }
    rig_go();
}

void blk_ready(uint64_t size)
{
    blk_make(size);
    blk_attach();
    blk_go(BLK_F_USUAL);
    cr_assert_eq(rig_get(REG_STATUS), STATUS_LIVE);
}

/* ---- requests ---- */

struct wanted {
    unsigned queue, count;
};

static bool are_answered(void *context)
{
    const struct wanted *wanted = context;
    const struct ring *ring = &blk.rings[wanted->queue];
    uint16_t idx = __atomic_load_n(&ring_used(ring)[1], __ATOMIC_ACQUIRE);

    return (uint16_t)(idx - ring->seen) >= wanted->count;
}

void blk_wait_answers(unsigned queue, unsigned count)
{
    struct wanted wanted = {queue, count};

    cr_assert(rig_wait(are_answered, &wanted), "requests are not answered");
    while (count--) {
        struct ring_used used;

        cr_assert(ring_take(&blk.rings[queue], &used));
        blk.written = used.len;
    }
}

uint8_t blk_request_parts(const struct ring_part *parts, unsigned count)
{
    uint8_t *status = rig_at(BLK_STATUS, 1);

    *status = BLK_NONE;
    ring_offer_parts(&blk.rings[0], 0, parts, count);
    rig_set(REG_QUEUE_NOTIFY, 0);
    blk_wait_answers(0, 1);
    return *status;
}

static void put_header(mv_gpa at, uint32_t type, uint64_t sector)
{
    *(struct blk_header *)rig_at(at, 16) = (struct blk_header){.type = type, .sector = sector};
}

void blk_put_header(uint32_t type, uint64_t sector)
{
    put_header(BLK_HEADER, type, sector);
}

uint8_t *blk_data(uint64_t size)
{
    return rig_at(RIG_DATA, size);
}

uint64_t blk_config(uint64_t offset, unsigned size)
{
    return rig_read(REG_CONFIG + offset, size);
}

uint8_t blk_request(uint32_t type, uint64_t sector, uint32_t size)
{
    bool writable = type == BLK_IN || type == BLK_GET_ID;
    const struct ring_part parts[] = {
        {BLK_HEADER, 16, false}, {RIG_DATA, size, writable}, {BLK_STATUS, 1, true}};
    const struct ring_part without[] = {parts[0], parts[2]};

    blk_put_header(type, sector);
    return size ? blk_request_parts(parts, 3) : blk_request_parts(without, 2);
}

uint8_t blk_request_ranges(uint32_t type, const struct blk_range *ranges, unsigned count)
{
    uint32_t size = count * (uint32_t)sizeof(*ranges);

    memcpy(rig_at(RIG_DATA, size), ranges, size);
    return blk_request(type, 0, size);
}

/* Each slot has a page for its data, and 32 bytes for header and status. */
static mv_gpa slot_at(unsigned queue, unsigned slot)
{
    return RIG_DATA + 64 * MV_MIB + (queue * 64ull + slot) * 32;
}

static mv_gpa slot_data_at(unsigned queue, unsigned slot)
{
    return RIG_DATA + 128 * MV_MIB + (queue * 64ull + slot) * BLK_SLOT_DATA;
}

uint8_t *blk_slot_data(unsigned queue, unsigned slot)
{
    return rig_at(slot_data_at(queue, slot), BLK_SLOT_DATA);
}

uint8_t *blk_slot_status(unsigned queue, unsigned slot)
{
    return (uint8_t *)rig_at(slot_at(queue, slot), 32) + 16;
}

void blk_offer(unsigned queue, unsigned slot, uint32_t type, uint64_t sector, uint32_t size)
{
    bool writable = type == BLK_IN || type == BLK_GET_ID;
    mv_gpa header = slot_at(queue, slot);
    const struct ring_part parts[] = {
        {header, 16, false}, {slot_data_at(queue, slot), size, writable}, {header + 16, 1, true}};
    const struct ring_part without[] = {parts[0], parts[2]};

    put_header(header, type, sector);
    *blk_slot_status(queue, slot) = BLK_NONE;
    ring_offer_parts(&blk.rings[queue], 4 * slot, size ? parts : without, size ? 3 : 2);
}

/* ---- data ---- */

uint8_t blk_pattern(uint64_t at, unsigned version)
{
    return (uint8_t)(at * 31 ^ at >> 9 ^ version * 101 ^ 1);
}

void blk_fill(void *data, uint64_t at, size_t size, unsigned version)
{
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)data)[i] = blk_pattern(at + i, version);
}

bool blk_is(const void *data, uint64_t at, size_t size, unsigned version)
{
    for (size_t i = 0; i < size; i++)
        if (((const uint8_t *)data)[i] != blk_pattern(at + i, version))
            return false;
    return true;
}

bool blk_is_zero(const void *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (((const uint8_t *)data)[i])
            return false;
    return true;
}

static uint8_t *read_file(uint64_t at, size_t size)
{
    uint8_t *data = malloc(size);

    cr_assert_not_null(data);
    cr_assert_eq(mv_read_at(blk.file, at, data, size), 0);
    return data;
}

bool blk_file_is(uint64_t at, size_t size, unsigned version)
{
    uint8_t *data = read_file(at, size);
    bool is = blk_is(data, at, size, version);

    free(data);
    return is;
}

bool blk_file_is_zero(uint64_t at, size_t size)
{
    uint8_t *data = read_file(at, size);
    bool is = blk_is_zero(data, size);

    free(data);
    return is;
}

void blk_fill_file(uint64_t at, size_t size, unsigned version)
{
    uint8_t *data = malloc(size);

    cr_assert_not_null(data);
    blk_fill(data, at, size, version);
    cr_assert_eq(pwrite(blk.file, data, size, (off_t)at), (ssize_t)size);
    free(data);
}

/* ---- the engine ---- */

static void do_io(struct mv_io *io)
{
    if (script.errors[io->op])
        io->result = script.errors[io->op];
    else
        mv_io_perform(script.fd, io);
    script.done[script.done_count++] = io;
}

static void submit(struct mv_engine *engine, struct mv_io *io)
{
    (void)engine;
    if (script.log_count < MV_COUNT(script.log))
        script.log[script.log_count++] = (struct script_op){
            .op = io->op, .stable = io->stable, .offset = io->offset, .size = io->size};
    if (script.eager) {
        do_io(io);
        return;
    }
    cr_assert_lt(script.held_count, MV_COUNT(script.held));
    script.held[script.held_count++] = io;
}

void script_release(unsigned count)
{
    cr_assert_leq(count, script.started_count);
    for (unsigned i = 0; i < count; i++)
        do_io(script.held[i]);
    script.held_count -= count;
    script.started_count -= count;
    memmove(script.held, script.held + count, script.held_count * sizeof(script.held[0]));
    if (count && script.listening)
        eventfd_write(script.engine.event, 1);
}

static bool start(struct mv_engine *engine)
{
    (void)engine;
    script.starts++;
    if (script.busy) {
        script.busy--;
        return false;
    }
    script.started_count = script.held_count;
    if (!script.hold)
        script_release(script.held_count);
    return true;
}

static struct mv_io *take_done(void)
{
    struct mv_io *io = script.done_count ? script.done[0] : NULL;

    if (io)
        memmove(script.done, script.done + 1, --script.done_count * sizeof(script.done[0]));
    return io;
}

static struct mv_io *reap(struct mv_engine *engine)
{
    struct mv_io *io = take_done();

    (void)engine;
    for (; io && script.partial; io = take_done()) {
        script.partial--;
        script.held[script.held_count++] = io; /* the rest, which the host is too busy for */
    }
    return io;
}

static void set_listening(struct mv_engine *engine, bool on)
{
    (void)engine;
    script.listening = on;
}

/* Everything has begun. */
static void cancel(struct mv_engine *engine)
{
    (void)engine;
    script.cancels++;
}

static void destroy(struct mv_engine *engine)
{
    mv_close_fd(&engine->event);
    script.destroyed++;
}

int script_create(int fd, unsigned depth, struct mv_engine **ret_engine)
{
    static const struct mv_engine_ops ops = {submit, start, reap, set_listening, cancel, destroy};

    cr_assert_eq(depth, blk.queues * MV_QUEUE_MAX);
    if (script.create_error)
        return script.create_error;
    script.created++;
    script.fd = fd;
    script.engine = (struct mv_engine){.ops = &ops, .name = "script", .event = -1};
    if (!script.no_event)
        script.engine.event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    *ret_engine = &script.engine;
    return 0;
}

unsigned script_count(enum mv_io_op op)
{
    unsigned count = 0;

    for (unsigned i = 0; i < script.log_count; i++)
        count += script.log[i].op == op;
    return count;
}

uint64_t script_bytes(enum mv_io_op op)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; i < script.log_count; i++)
        bytes += script.log[i].op == op ? script.log[i].size : 0;
    return bytes;
}

uint64_t script_held(void)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; i < script.held_count; i++)
        bytes += script.held[i]->size;
    return bytes;
}

static bool is_outside(const uint8_t *at)
{
    const uint8_t *low = rig_at(0, RIG_LOW), *high = rig_at(RIG_HIGH, RIG_HIGH_SIZE);

    return !(at >= low && at < low + RIG_LOW) && !(at >= high && at < high + RIG_HIGH_SIZE);
}

uint64_t script_held_outside(void)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; i < script.held_count; i++)
        for (unsigned j = 0; j < script.held[i]->iov_count; j++)
            if (is_outside(script.held[i]->iov[j].iov_base))
                bytes += script.held[i]->iov[j].iov_len;
    return bytes;
}

void script_forget(void)
{
    script.log_count = 0;
}
