/* SPDX-License-Identifier: MIT */
/* What the tests of virtio share: see virtio_rig.h. */
#include "virtio_rig.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>

struct rig rig;

static void on_log(void *context, enum mv_log_level level, const char *message)
{
    (void)context, (void)level, (void)message;
    atomic_fetch_add(&rig.log_lines, 1);
}

static void on_line(void *context, int line, bool level)
{
    (void)context;
    cr_assert_eq(line, RIG_LINE);
    if (!level)
        return;
    atomic_fetch_add(&rig.interrupts, 1);
    eventfd_write(rig.line, 1);
}

void rig_start(void)
{
    const struct mv_region regions[] = {{.base = 0, .size = RIG_LOW},
                                        {.base = RIG_HIGH, .size = RIG_HIGH_SIZE}};

    cr_assert_eq(mv_mem_init(&rig.mem, regions, 2), 0);
    cr_assert_eq(mv_loop_init(&rig.loop), 0);
    mv_log_init(&rig.log, on_log, NULL, MV_LOG_DEBUG);
    rig.line = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    cr_assert_geq(rig.line, 0);
}

void rig_stop(void)
{
    mv_loop_stop(&rig.loop);
    if (rig.device.ops) {
        rig.device.ops->destroy(rig.device.state);
        pthread_mutex_destroy(&rig.device.lock);
    }
    mv_loop_done(&rig.loop);
    mv_log_done(&rig.log);
    mv_mem_done(&rig.mem);
    mv_close_fd(&rig.line);
}

void *rig_at(mv_gpa gpa, uint64_t size)
{
    void *host = mv_mem_host(&rig.mem, gpa, size);

    cr_assert_not_null(host);
    return host;
}

/* ---- a ring ---- */

void ring_place(struct ring *ring, mv_gpa at, unsigned size)
{
    *ring = (struct ring){
        .desc = at,
        .avail = at + 16ull * size,
        .used = mv_align_up(at + 16ull * size + 6 + 2ull * size, 4),
        .size = size,
    };
    memset(rig_at(ring->avail, 6 + 2ull * size), 0, 6 + 2ull * size);
    memset(rig_at(ring->used, 6 + 8ull * size), 0, 6 + 8ull * size);
}

struct ring_descriptor *ring_table(const struct ring *ring)
{
    return rig_at(ring->desc, 16ull * ring->size);
}

uint16_t *ring_avail(const struct ring *ring)
{
    return rig_at(ring->avail, 6 + 2ull * ring->size);
}

uint16_t *ring_used(const struct ring *ring)
{
    return rig_at(ring->used, 6 + 8ull * ring->size);
}

uint16_t *ring_used_event(const struct ring *ring)
{
    return ring_avail(ring) + 2 + ring->size;
}

uint16_t *ring_avail_event(const struct ring *ring)
{
    return ring_used(ring) + 2 + 4 * ring->size;
}

void ring_describe(const struct ring *ring, unsigned index, mv_gpa addr, uint32_t len,
                   unsigned flags, unsigned next)
{
    ring_table(ring)[index] = (struct ring_descriptor){
        .addr = addr, .len = len, .flags = (uint16_t)flags, .next = (uint16_t)next};
}

void ring_offer(struct ring *ring, unsigned head)
{
    uint16_t *avail = ring_avail(ring);

    /* The device may look at any time. */
    __atomic_store_n(&avail[2 + ring->offered % ring->size], (uint16_t)head, __ATOMIC_RELAXED);
    ring->offered++;
    __atomic_store_n(&avail[1], ring->offered, __ATOMIC_RELEASE);
}

bool ring_take(struct ring *ring, struct ring_used *ret_used)
{
    const uint16_t *used = ring_used(ring);

    if (__atomic_load_n(&used[1], __ATOMIC_ACQUIRE) == ring->seen)
        return false;
    memcpy(ret_used, &used[2 + 4 * (ring->seen % ring->size)], sizeof(*ret_used));
    ring->seen++;
    return true;
}

void ring_offer_parts(struct ring *ring, unsigned head, const struct ring_part *parts,
                      unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        ring_describe(ring, head + i, parts[i].at, parts[i].size,
                      (i + 1 < count ? RING_NEXT : 0u) | (parts[i].writable ? RING_WRITE : 0u),
                      i + 1 < count ? head + i + 1 : 0);
    ring_offer(ring, head);
}

/* ---- a device behind registers ---- */

static void on_gone(void *context)
{
    (void)context;
    atomic_fetch_add(&rig.gone, 1);
}

void rig_attach(struct mv_virtio *virtio)
{
    struct mv_device_env env = {
        .mem = &rig.mem,
        .backpressure = {on_gone, NULL},
        .irq = {on_line, NULL, RIG_LINE},
        .ioeventfd = rig.ioeventfd,
        .page = rig.page,
        .loop = &rig.loop,
        .log = &rig.log,
        .wake = -1,
    };

    rig.device.desc = (struct mv_device_desc){.size = sizeof(struct mv_device_desc),
                                              .name = "vda",
                                              .space = MV_SPACE_MMIO,
                                              .base = RIG_DEVICE,
                                              .bytes = MV_VIRTIO_MMIO_SIZE,
                                              .irq = RIG_LINE};
    pthread_mutex_init(&rig.device.lock, NULL);
    cr_assert_eq(mv_virtio_mmio_create(&rig.device, &env, virtio), 0);
    cr_assert_eq(mv_bus_add(&rig.bus, &rig.device), 0);
}

uint64_t rig_read(uint64_t offset, unsigned size)
{
    uint64_t value;

    cr_assert(mv_bus_read(&rig.bus, RIG_DEVICE + offset, size, &value));
    return value;
}

static void pause_ms(long ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    nanosleep(&time, NULL);
}

/* As a vCPU does it: one that is held back waits until it is told to look again. */
void rig_write(uint64_t offset, unsigned size, uint64_t value)
{
    cr_assert(mv_bus_write(&rig.bus, RIG_DEVICE + offset, size, value));
    for (;;) {
        unsigned before = atomic_load(&rig.gone);

        if (!mv_device_is_busy(&rig.device))
            return;
        while (atomic_load(&rig.gone) == before)
            pause_ms(1);
    }
}

uint32_t rig_get(uint64_t offset)
{
    return (uint32_t)rig_read(offset, 4);
}

void rig_set(uint64_t offset, uint32_t value)
{
    rig_write(offset, 4, value);
}

void rig_turn(void)
{
    if (rig.loop.started)
        pause_ms(20);
    for (unsigned i = 0; i < 4 && !rig.loop.started; i++)
        mv_loop_turn(&rig.loop, 0);
}

bool rig_wait(bool (*condition)(void *context), void *context)
{
    uint64_t end = mv_monotonic_ns() + RIG_PATIENCE * 1000000ull;

    while (!condition(context)) {
        if (mv_monotonic_ns() > end)
            return false;
        if (rig.loop.started)
            pause_ms(1);
        else
            mv_loop_turn(&rig.loop, 1);
    }
    return true;
}

void rig_negotiate(uint64_t features)
{
    features |= MV_VIRTIO_F_VERSION_1;
    rig_set(REG_STATUS, STATUS_ACKNOWLEDGE);
    rig_set(REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
    for (uint32_t half = 0; half < 2; half++) {
        rig_set(REG_DRIVER_FEATURES_SEL, half);
        rig_set(REG_DRIVER_FEATURES, (uint32_t)(features >> (32 * half)));
    }
    rig_set(REG_STATUS, STATUS_READY);
}

static void set_address(uint64_t offset, uint64_t address)
{
    rig_set(offset, (uint32_t)address);
    rig_set(offset + 4, (uint32_t)(address >> 32));
}

void rig_set_queue(unsigned index, const struct ring *ring)
{
    rig_set(REG_QUEUE_SEL, index);
    rig_set(REG_QUEUE_NUM, ring->size);
    set_address(REG_QUEUE_DESC, ring->desc);
    set_address(REG_QUEUE_DRIVER, ring->avail);
    set_address(REG_QUEUE_DEVICE, ring->used);
    rig_set(REG_QUEUE_READY, 1);
}

void rig_go(void)
{
    rig_set(REG_STATUS, STATUS_LIVE);
    rig_turn();
}

void rig_begin_reset(void)
{
    /* past rig_write, which would wait for a loop that we turn ourselves */
    pthread_mutex_lock(&rig.device.lock);
    rig.device.ops->write(rig.device.state, REG_STATUS, 4, 0);
    pthread_mutex_unlock(&rig.device.lock);
}

static bool is_reset(void *context)
{
    (void)context;
    return rig_get(REG_STATUS) == 0;
}

void rig_reset(void)
{
    rig_begin_reset();
    cr_assert(rig_wait(is_reset, NULL), "the reset does not end");
}

bool rig_wait_interrupt(void)
{
    struct pollfd ready = {.fd = rig.line, .events = POLLIN};
    eventfd_t count;

    return poll(&ready, 1, RIG_PATIENCE) == 1 && eventfd_read(rig.line, &count) == 0;
}

bool rig_needs_reset(void)
{
    return rig_get(REG_STATUS) & STATUS_NEEDS_RESET;
}

uint64_t rig_random(uint64_t *state)
{
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return *state;
}
