/* SPDX-License-Identifier: MIT */
/* What the fuzz targets of virtio share: see virtio.h. */
#include "virtio.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct mv_mem fuzz_mem;

void fuzz_require(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "not true: %s\n", what);
    abort();
}

/* ---- the input ---- */

uint64_t fuzz_take(struct fuzz_input *input, unsigned size)
{
    uint64_t value = 0;
    size_t part = (size_t)mv_min(size, input->left);

    memcpy(&value, input->data, part);
    input->data += part;
    input->left -= part;
    return value;
}

mv_gpa fuzz_take_address(struct fuzz_input *input)
{
    static const mv_gpa bases[] = {
        0,      FUZZ_LOW - 64, FUZZ_HIGH, FUZZ_HIGH + FUZZ_HIGH_SIZE - 64, UINT64_MAX - 63,
        0x1000, 0x2000,        0x4000};
    uint64_t which = fuzz_take(input, 1), offset = fuzz_take(input, 2);

    return bases[which % MV_COUNT(bases)] + (which & 8 ? offset & 127 : offset & 0x1fff);
}

/* ---- memory ---- */

/* Blocks of their own, so that a sanitizer sees what is beside them; made once. */
void fuzz_memory_start(void)
{
    if (!fuzz_mem.count) {
        fuzz_mem.regions[0] =
            (struct mv_region){.base = 0, .size = FUZZ_LOW, .host = aligned_alloc(4096, FUZZ_LOW)};
        fuzz_mem.regions[1] = (struct mv_region){
            .base = FUZZ_HIGH, .size = FUZZ_HIGH_SIZE, .host = aligned_alloc(4096, FUZZ_HIGH_SIZE)};
        fuzz_mem.count = 2;
    }
    for (unsigned i = 0; i < fuzz_mem.count; i++) {
        fuzz_require(fuzz_mem.regions[i].host, "there is memory");
        memset(fuzz_mem.regions[i].host, 0, fuzz_mem.regions[i].size);
    }
}

bool fuzz_is_ram(const void *host, size_t size)
{
    uintptr_t at = (uintptr_t)host;

    for (unsigned i = 0; i < fuzz_mem.count; i++) {
        uintptr_t base = (uintptr_t)fuzz_mem.regions[i].host;

        if (at >= base && at - base < fuzz_mem.regions[i].size &&
            size <= fuzz_mem.regions[i].size - (at - base))
            return true;
    }
    return false;
}

void fuzz_poke(mv_gpa gpa, const void *data, size_t size)
{
    if (mv_mem_write(&fuzz_mem, gpa, data, size))
        return;
    for (size_t i = 0; i < size; i++)
        mv_mem_write(&fuzz_mem, gpa + i, (const uint8_t *)data + i, 1);
}

/* ---- rings ---- */

struct fuzz_ring fuzz_ring_at(mv_gpa gpa, unsigned size)
{
    return (struct fuzz_ring){
        .desc = gpa,
        .avail = gpa + 16ull * size,
        .used = mv_align_up(gpa + 16ull * size + 6 + 2ull * size, 4),
        .size = size,
    };
}

void fuzz_describe(const struct fuzz_ring *ring, unsigned index, mv_gpa addr, uint32_t len,
                   unsigned flags, unsigned next)
{
    const struct {
        uint64_t addr;
        uint32_t len;
        uint16_t flags, next;
    } d = {addr, len, (uint16_t)flags, (uint16_t)next};

    fuzz_poke(ring->desc + 16ull * (index % ring->size), &d, sizeof(d));
}

void fuzz_offer(struct fuzz_ring *ring, unsigned head)
{
    uint16_t value = (uint16_t)head;

    fuzz_poke(ring->avail + 4 + 2ull * (ring->offered % ring->size), &value, sizeof(value));
    ring->offered++;
    fuzz_poke(ring->avail + 2, &ring->offered, sizeof(ring->offered));
}

/* ---- an engine that works at once, or when it is told to ---- */

#define HELD (FUZZ_QUEUES * MV_QUEUE_MAX)

static struct {
    struct mv_engine engine;
    uint8_t disk;
    int fd;
    bool exists, listening;
    unsigned operations;
    struct mv_io *held[HELD], *done[HELD];
    unsigned held_count, done_count;
} io;

static void submit(struct mv_engine *engine, struct mv_io *request)
{
    (void)engine;
    fuzz_require(io.held_count < HELD, "no more is in flight than fits into the queues");
    io.held[io.held_count++] = request;
}

static void perform(struct mv_io *request)
{
    io.operations++;
    if (io.disk & FUZZ_NO_ZERO && request->op == MV_IO_ZERO)
        request->result = -EOPNOTSUPP;
    else if (io.disk & FUZZ_FAIL && io.operations % 5 == 0)
        request->result = -EIO;
    else
        mv_io_perform(io.fd, request);
    io.done[io.done_count++] = request;
}

void fuzz_complete(unsigned count)
{
    unsigned done = (unsigned)mv_min(count, io.held_count);

    for (unsigned i = 0; i < done; i++)
        perform(io.held[i]);
    io.held_count -= done;
    memmove(io.held, io.held + done, io.held_count * sizeof(io.held[0]));
    if (done && io.listening)
        eventfd_write(io.engine.event, 1);
}

static bool start(struct mv_engine *engine)
{
    (void)engine;
    if (!(io.disk & FUZZ_HOLD))
        fuzz_complete(io.held_count);
    return true;
}

static struct mv_io *reap(struct mv_engine *engine)
{
    (void)engine;
    return io.done_count ? io.done[--io.done_count] : NULL;
}

static void set_listening(struct mv_engine *engine, bool on)
{
    (void)engine;
    io.listening = on;
}

/* All that is held. */
static void cancel(struct mv_engine *engine)
{
    (void)engine;
    for (; io.held_count; io.held_count--) {
        io.held[io.held_count - 1]->result = -ECANCELED;
        io.done[io.done_count++] = io.held[io.held_count - 1];
    }
}

static void destroy(struct mv_engine *engine)
{
    mv_close_fd(&engine->event);
    io.exists = false;
}

static int create(int fd, unsigned depth, struct mv_engine **ret_engine)
{
    static const struct mv_engine_ops ops = {submit, start, reap, set_listening, cancel, destroy};

    (void)depth;
    fuzz_require(!io.exists, "there is one engine");
    io.exists = true;
    io.fd = fd;
    io.engine = (struct mv_engine){
        .ops = &ops, .name = "fuzz", .event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    *ret_engine = &io.engine;
    return 0;
}

/* ---- the device ---- */

static struct mv_loop loop;
static struct mv_log mute;
static struct mv_device device;
static _Alignas(4096) uint8_t page[4096];
static uint64_t disk_size;
static int image_fd; /* the device's */
static uint8_t pattern[FUZZ_DISK];
static unsigned turns;

static void on_line(void *context, int line, bool level)
{
    (void)context, (void)line, (void)level;
}

static void on_gone(void *context)
{
    (void)context;
}

static int add_ioeventfd(void *context, uint64_t address, int fd)
{
    (void)context, (void)address, (void)fd;
    return 0;
}

/* One memfd for all runs: zeros, or if nothing may change, a pattern. */
static int disk_file(bool read_only)
{
    static int fds[2] = {-1, -1};
    int *fd = &fds[read_only];
    bool fresh = *fd < 0;

    if (fresh)
        *fd = memfd_create("disk", MFD_CLOEXEC);
    if (fresh && read_only) {
        memset(pattern, 0x5a, sizeof(pattern));
        fuzz_require(pwrite(*fd, pattern, FUZZ_DISK, 0) == FUZZ_DISK, "a memfd works");
    }
    if (!read_only)
        fuzz_require(ftruncate(*fd, 0) == 0 && ftruncate(*fd, FUZZ_DISK) == 0, "a memfd works");
    disk_size = FUZZ_DISK;
    return *fd;
}

static enum mv_disk_cache cache_of(uint8_t disk)
{
    if (disk & FUZZ_UNSAFE)
        return MV_CACHE_UNSAFE;
    return disk & FUZZ_WRITETHROUGH ? MV_CACHE_WRITETHROUGH : MV_CACHE_WRITEBACK;
}

/* Behind registers. */
static void attach(struct mv_virtio *virtio, uint8_t disk)
{
    struct mv_device_env env = {.mem = &fuzz_mem,
                                .irq = {on_line, NULL, 8},
                                .backpressure = {on_gone, NULL},
                                .loop = &loop,
                                .log = &mute,
                                .wake = -1};

    if (disk & FUZZ_WIRED) {
        env.page = page;
        env.ioeventfd = (struct mv_ioeventfd){add_ioeventfd, NULL};
    }
    device = (struct mv_device){.desc = {.name = "vda", .bytes = MV_VIRTIO_MMIO_SIZE, .irq = 8}};
    pthread_mutex_init(&device.lock, NULL);
    fuzz_require(mv_virtio_mmio_create(&device, &env, virtio) == 0, "a transport can be had");
}

/* What no device has yet. */
static void begin_device(uint8_t disk)
{
    io.disk = disk;
    io.held_count = io.done_count = io.operations = 0;
    io.listening = false;
    turns = 0;
    fuzz_require(mv_loop_init(&loop) == 0, "a loop can be had");
}

void fuzz_device_start(uint8_t disk)
{
    static mv_engine_create_fn *const engines[] = {create, NULL};
    struct mv_disk config = {.size = sizeof(config),
                             .serial = "fuzz",
                             .read_only = disk & FUZZ_READ_ONLY,
                             .cache = cache_of(disk)};
    struct mv_disk_file image = {.fd = dup(disk_file(disk & FUZZ_READ_ONLY)),
                                 .size = FUZZ_DISK,
                                 .read_only = disk & FUZZ_READ_ONLY,
                                 .direct = disk & FUZZ_DIRECT,
                                 .block = 512};
    struct mv_blk_setup setup = {.name = "vda",
                                 .image = &image,
                                 .disk = &config,
                                 .queues = FUZZ_QUEUES,
                                 .in_flight = 0x4000, /* a step is half of it */
                                 .engines = engines,
                                 .loop = &loop,
                                 .log = &mute};
    struct mv_virtio *virtio;

    image_fd = image.fd;
    begin_device(disk);
    fuzz_require(mv_blk_create(&setup, &virtio) == 0, "a device can be had");
    attach(virtio, disk);
}

void fuzz_type_start(int (*create)(struct mv_virtio **ret_virtio), uint8_t wired)
{
    struct mv_virtio *virtio;

    image_fd = -1;
    begin_device(wired & FUZZ_WIRED);
    fuzz_require(create(&virtio) == 0, "a device can be had");
    attach(virtio, wired);
}

uint64_t fuzz_read(uint64_t offset, unsigned size)
{
    uint64_t value;

    pthread_mutex_lock(&device.lock);
    value = device.ops->read(device.state, offset, size) & mv_size_mask(size);
    pthread_mutex_unlock(&device.lock);
    return value;
}

/* It reads as the registers do. */
static void check_page(void)
{
    for (unsigned offset = 0; io.disk & FUZZ_WIRED && offset < MV_VIRTIO_MMIO_SIZE; offset += 4) {
        uint32_t value;

        memcpy(&value, page + offset, sizeof(value));
        fuzz_require(value == fuzz_read(offset, 4), "the page reads as the registers do");
    }
}

void fuzz_write(uint64_t offset, unsigned size, uint64_t value)
{
    pthread_mutex_lock(&device.lock);
    device.ops->write(device.state, offset, size, value & mv_size_mask(size));
    pthread_mutex_unlock(&device.lock);
}

void fuzz_turn(void)
{
    mv_loop_turn(&loop, 0);
    if (turns++ % 16 == 0) /* it takes long */
        check_page();
}

void fuzz_resize(uint64_t size)
{
    if (io.disk & FUZZ_READ_ONLY)
        return;
    /* What has been submitted before may make it grow again. */
    while (!(io.disk & FUZZ_HOLD) && (io.held_count || io.done_count))
        fuzz_turn();
    fuzz_require(ftruncate(image_fd, (off_t)size) == 0, "a memfd works");
    disk_size = size;
    pthread_mutex_lock(&device.lock);
    device.ops->rescan(device.state);
    pthread_mutex_unlock(&device.lock);
}

static void set_address(uint64_t offset, uint64_t address)
{
    fuzz_write(offset, 4, address);
    fuzz_write(offset + 4, 4, address >> 32);
}

void fuzz_begin(uint64_t features, const struct fuzz_ring *rings, unsigned count)
{
    static const uint32_t steps[] = {1, 3};

    for (unsigned i = 0; i < MV_COUNT(steps); i++)
        fuzz_write(0x70, 4, steps[i]);
    for (unsigned half = 0; half < 2; half++) {
        fuzz_write(0x14, 4, half);
        fuzz_write(0x24, 4, half);
        fuzz_write(0x20, 4, fuzz_read(0x10, 4) & (half ? UINT32_MAX : features));
    }
    fuzz_write(0x70, 4, 11);
    for (unsigned i = 0; i < count; i++) {
        fuzz_write(0x30, 4, i);
        fuzz_write(0x38, 4, rings[i].size);
        set_address(0x80, rings[i].desc);
        set_address(0x90, rings[i].avail);
        set_address(0xa0, rings[i].used);
        fuzz_write(0x44, 4, 1);
    }
    fuzz_write(0x70, 4, 15);
}

static bool is_reset(void)
{
    return fuzz_read(0x70, 4) == 0;
}

/* A reset ends when nothing is in flight. */
static void reset(void)
{
    fuzz_write(0x70, 4, 0);
    for (unsigned i = 0; i < 16 && !is_reset(); i++) {
        fuzz_turn();
        fuzz_complete(HELD);
    }
    fuzz_require(is_reset(), "a reset ends");
    fuzz_require(io.held_count == 0 && io.done_count == 0, "nothing is in flight after it");
}

/* Memory is the driver's after a reset. */
static void check_memory_stays(void)
{
    static uint8_t low[FUZZ_LOW], high[FUZZ_HIGH_SIZE];

    memcpy(low, fuzz_mem.regions[0].host, sizeof(low));
    memcpy(high, fuzz_mem.regions[1].host, sizeof(high));
    for (unsigned i = 0; i < 4; i++)
        fuzz_turn();
    fuzz_require(memcmp(low, fuzz_mem.regions[0].host, sizeof(low)) == 0 &&
                     memcmp(high, fuzz_mem.regions[1].host, sizeof(high)) == 0,
                 "nothing is written to memory after a reset");
}

static void check_disk(void)
{
    static uint8_t bytes[FUZZ_DISK];
    struct stat st;

    fuzz_require(fstat(image_fd, &st) == 0, "a memfd works");
    if (!(io.disk & FUZZ_HOLD)) /* else what was in flight may make it grow again */
        fuzz_require((uint64_t)st.st_size == disk_size, "the image has its size");
    if (!(io.disk & FUZZ_READ_ONLY))
        return;
    fuzz_require(pread(image_fd, bytes, sizeof(bytes), 0) == FUZZ_DISK, "a memfd works");
    fuzz_require(memcmp(bytes, pattern, sizeof(bytes)) == 0, "a read-only disk is as it was");
}

void fuzz_device_stop(void)
{
    fuzz_turn();
    check_page();
    reset();
    check_page();
    check_memory_stays();
    fuzz_require(!loop.pollers, "nothing is polled after a reset");
    if (image_fd >= 0)
        check_disk();
    device.ops->destroy(device.state);
    pthread_mutex_destroy(&device.lock);
    mv_loop_done(&loop);
}
