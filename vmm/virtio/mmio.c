/* SPDX-License-Identifier: MIT */
/*
 * Virtio over MMIO, version 2 (virtio 1.2, 4.2): see mmio.h.
 *
 *   0x000 MagicValue   0x030 QueueSel      0x060 InterruptStatus  0x0a0 QueueDriver...
 *   0x004 Version      0x034 QueueNumMax   0x064 InterruptACK     0x0b0 SHMLen...
 *   0x008 DeviceID     0x038 QueueNum      0x070 Status           0x0fc ConfigGeneration
 *   0x00c VendorID     0x044 QueueReady    0x080 QueueDesc...     0x100 Config
 *   0x010 features     0x050 QueueNotify   0x090 QueueAvail...
 *
 * The vCPUs own the registers, under the device's lock.  The loop thread only sets bits in
 * InterruptStatus and Status, which are atomic.  Once an ioeventfd is registered, KVM signals
 * the doorbell's eventfd without an exit to us.
 *
 * The values of the registers are kept in a page of memory, which the guest can read
 * without an exit: every interrupt handler begins by reading InterruptStatus.  No read
 * has a side effect.  The page is updated after each write, and when the device
 * interrupts or resets.
 *
 * An interrupt is two calls to KVM, to raise and lower the line, rather than an irqfd:
 * for the lines of an I/O APIC, KVM defers irqfds to a kernel worker thread, which adds
 * latency and delays the shutdown of a machine.
 *
 * Left out: version 1 ("legacy"), shared memory regions, queue reset.
 */
#include "mmio.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAGIC_VALUE = 0x000,
    VERSION = 0x004,
    DEVICE_ID = 0x008,
    VENDOR_ID = 0x00c,
    DEVICE_FEATURES = 0x010,
    DEVICE_FEATURES_SEL = 0x014,
    DRIVER_FEATURES = 0x020,
    DRIVER_FEATURES_SEL = 0x024,
    QUEUE_SEL = 0x030,
    QUEUE_NUM_MAX = 0x034,
    QUEUE_NUM = 0x038,
    QUEUE_READY = 0x044,
    QUEUE_NOTIFY = 0x050,
    INTERRUPT_STATUS = 0x060,
    INTERRUPT_ACK = 0x064,
    STATUS = 0x070,
    QUEUE_DESC_LOW = 0x080,
    QUEUE_DESC_HIGH = 0x084,
    QUEUE_DRIVER_LOW = 0x090,
    QUEUE_DRIVER_HIGH = 0x094,
    QUEUE_DEVICE_LOW = 0x0a0,
    QUEUE_DEVICE_HIGH = 0x0a4,
    CONFIG_GENERATION = 0x0fc,
    CONFIG = 0x100,
};

#define MAGIC  0x74726976u /* "virt" */
#define VENDOR 0x4d56564du /* "MVVM" */

enum { I_USED_BUFFER = 1, I_CONFIG_CHANGE = 2 };

/* Together with the queues' states and the page, what a snapshot must hold. */
struct mmio_state {
    uint32_t device_features_sel, driver_features_sel, queue_sel;
    uint32_t config_generation;
};

struct mmio {
    struct mmio_state state; /* under the device's lock */
    struct mv_virtio *virtio;
    struct mv_device *device;
    struct mv_irq irq;
    struct mv_ioeventfd ioeventfd;
    struct mv_log *log;
    bool ioeventfd_tried; /* loop thread only */

    /* The register values that the guest reads.  The loop thread sets bits in
     * InterruptStatus and Status; all else is written under the device's lock. */
    _Atomic uint32_t *page;
    void *own_page; /* allocated if env->page is NULL */
};

static _Atomic uint32_t *at(const struct mmio *mmio, uint64_t offset)
{
    return &mmio->page[offset / 4];
}

static struct mv_queue *selected_queue(const struct mmio *mmio)
{
    return mv_virtio_queue(mmio->virtio, mmio->state.queue_sel);
}

static uint32_t half(uint64_t value, uint32_t sel)
{
    return sel < 2 ? (uint32_t)(value >> (32 * sel)) : 0;
}

/* The next two functions bring the page up to date.  Under the lock. */
static void refresh_registers(struct mmio *mmio)
{
    const struct mv_queue *queue = selected_queue(mmio);

    atomic_store(at(mmio, DEVICE_FEATURES),
                 half(mmio->virtio->offered, mmio->state.device_features_sel));
    atomic_store(at(mmio, QUEUE_NUM_MAX), queue ? MV_QUEUE_MAX : 0);
    atomic_store(at(mmio, QUEUE_READY), queue && queue->state.ready);
}

static void refresh_config(struct mmio *mmio)
{
    for (uint64_t offset = CONFIG; offset < MV_VIRTIO_MMIO_SIZE; offset += 4)
        atomic_store(at(mmio, offset),
                     (uint32_t)mv_virtio_read_config(mmio->virtio, offset - CONFIG, 4));
    atomic_store(at(mmio, CONFIG_GENERATION), mmio->state.config_generation);
}

/* Registers that are write-only or absent read as all ones; so SHMLen is -1, as it must be for a
 * region that does not exist. */
static void init_page(struct mmio *mmio)
{
    memset((void *)mmio->page, 0xff, MV_PAGE_SIZE);
    atomic_store(at(mmio, MAGIC_VALUE), MAGIC);
    atomic_store(at(mmio, VERSION), 2);
    atomic_store(at(mmio, DEVICE_ID), mmio->virtio->ops.id);
    atomic_store(at(mmio, VENDOR_ID), VENDOR);
    atomic_store(at(mmio, INTERRUPT_STATUS), 0);
    atomic_store(at(mmio, STATUS), 0);
    refresh_registers(mmio);
    refresh_config(mmio);
}

/* ---- what the device calls: see mv_virtio_transport ---- */

static void reset(void *context)
{
    struct mmio *mmio = context;

    mmio->state = (struct mmio_state){.config_generation = mmio->state.config_generation};
    refresh_registers(mmio);
    refresh_config(mmio);
    atomic_store(at(mmio, INTERRUPT_STATUS), 0);
}

/* All queues share one edge-triggered line. */
static void interrupt(void *context, uint64_t queues)
{
    struct mmio *mmio = context;

    atomic_fetch_or(at(mmio, INTERRUPT_STATUS), queues ? I_USED_BUFFER : I_CONFIG_CHANGE);
    mv_irq_set(&mmio->irq, true);
    mv_irq_set(&mmio->irq, false);
}

/* Has KVM signal the doorbell's eventfd.  If KVM cannot, each doorbell is an exit to us. */
static void live(void *context, int doorbell)
{
    struct mmio *mmio = context;
    int error;

    if (!mmio->ioeventfd.add || mmio->ioeventfd_tried)
        return;
    mmio->ioeventfd_tried = true;
    error = mmio->ioeventfd.add(mmio->ioeventfd.context, mmio->device->desc.base + QUEUE_NOTIFY,
                                doorbell);
    if (error)
        mv_log(mmio->log, MV_LOG_WARNING, "%s: cannot register its doorbell with KVM: %s",
               mmio->device->desc.name, strerror(-error));
}

/* ---- the registers: vCPU threads, under the device's lock ---- */

static void set_half(uint64_t *value, uint32_t sel, uint32_t part)
{
    if (sel < 2)
        *value = (*value & ~(0xffffffffull << (32 * sel))) | (uint64_t)part << (32 * sel);
}

static uint64_t read_mmio(void *context, uint64_t offset, unsigned size)
{
    const struct mmio *mmio = context;

    if (offset >= CONFIG)
        return mv_virtio_read_config(mmio->virtio, offset - CONFIG, size);
    /* 4.2.2.2: the driver must use 32 bits */
    return size == 4 && offset % 4 == 0 ? atomic_load(at(mmio, offset)) : UINT64_MAX;
}

/* 4.2.2.2: QueueNum and the rings' addresses may be written only while the queue is not ready, so
 * that they do not change in use. */
static void write_queue(struct mmio *mmio, uint64_t offset, uint32_t value)
{
    struct mv_queue *queue = selected_queue(mmio);
    struct mv_queue_state *state;

    if (!queue)
        return;
    state = &queue->state;
    if (!mv_virtio_may_set_up(mmio->virtio))
        return;
    if (state->ready && offset != QUEUE_READY) {
        mv_virtio_break(mmio->virtio);
        return;
    }
    switch (offset) {
    case QUEUE_NUM: state->size = value; break;
    case QUEUE_DESC_LOW: set_half(&state->desc, 0, value); break;
    case QUEUE_DESC_HIGH: set_half(&state->desc, 1, value); break;
    case QUEUE_DRIVER_LOW: set_half(&state->avail, 0, value); break;
    case QUEUE_DRIVER_HIGH: set_half(&state->avail, 1, value); break;
    case QUEUE_DEVICE_LOW: set_half(&state->used, 0, value); break;
    case QUEUE_DEVICE_HIGH: set_half(&state->used, 1, value); break;
    case QUEUE_READY: mv_virtio_enable_queue(mmio->virtio, queue, value); break;
    }
}

static void write_register(struct mmio *mmio, uint64_t offset, uint32_t value)
{
    struct mmio_state *state = &mmio->state;
    uint64_t features;

    switch (offset) {
    case DEVICE_FEATURES_SEL: state->device_features_sel = value; break;
    case DRIVER_FEATURES_SEL: state->driver_features_sel = value; break;
    case DRIVER_FEATURES:
        features = mmio->virtio->accepted;
        set_half(&features, state->driver_features_sel, value);
        mv_virtio_accept(mmio->virtio, features);
        break;
    case QUEUE_SEL: state->queue_sel = value; break;
    case QUEUE_NUM:
    case QUEUE_DESC_LOW:
    case QUEUE_DESC_HIGH:
    case QUEUE_DRIVER_LOW:
    case QUEUE_DRIVER_HIGH:
    case QUEUE_DEVICE_LOW:
    case QUEUE_DEVICE_HIGH:
    case QUEUE_READY: write_queue(mmio, offset, value); break;
    case QUEUE_NOTIFY: /* the value is ignored: the device serves all queues */
        mv_virtio_wake(mmio->virtio);
        break;
    case INTERRUPT_ACK: atomic_fetch_and(at(mmio, INTERRUPT_STATUS), ~value); break;
    case STATUS: mv_virtio_write_status(mmio->virtio, value); break;
    }
}

static void write_mmio(void *context, uint64_t offset, unsigned size, uint64_t value)
{
    struct mmio *mmio = context;

    if (offset >= CONFIG) {
        mv_virtio_write_config(mmio->virtio, offset - CONFIG, size, value);
        refresh_config(mmio);
    } else if (size == 4) {
        write_register(mmio, offset, (uint32_t)value);
        if (offset != INTERRUPT_ACK && offset != QUEUE_NOTIFY) /* frequent; no need to refresh */
            refresh_registers(mmio);
    }
}

static bool is_busy(void *context)
{
    const struct mmio *mmio = context;

    return mv_virtio_is_resetting(mmio->virtio);
}

/* 2.5.1: the generation changes before and after the update, so a driver that reads in between
 * notices. */
static void rescan(void *context)
{
    struct mmio *mmio = context;

    if (!mv_virtio_rescan(mmio->virtio))
        return;
    atomic_store(at(mmio, CONFIG_GENERATION), ++mmio->state.config_generation);
    mmio->state.config_generation++;
    refresh_config(mmio);
    mv_virtio_tell_config(mmio->virtio);
}

static void disown(void *context)
{
    const struct mmio *mmio = context;

    mv_virtio_own(mmio->virtio, false);
}

static void destroy(void *context)
{
    struct mmio *mmio = context;

    mv_virtio_destroy(mmio->virtio);
    free(mmio->own_page);
    free(mmio);
}

int mv_virtio_mmio_create(struct mv_device *device, const struct mv_device_env *env,
                          struct mv_virtio *virtio)
{
    static const struct mv_device_ops ops = {
        .read = read_mmio,
        .write = write_mmio,
        .rescan = rescan,
        .destroy = destroy,
    };
    static const struct mv_device_inner_ops inner = {.busy = is_busy, .disown = disown};
    struct mmio *mmio = calloc(1, sizeof(*mmio));

    if (mmio && !env->page)
        mmio->own_page = malloc(MV_PAGE_SIZE);
    if (!mmio || (!env->page && !mmio->own_page)) {
        free(mmio);
        mv_virtio_destroy(virtio);
        return -ENOMEM;
    }
    mmio->page = env->page ? env->page : mmio->own_page;
    mmio->virtio = virtio;
    mmio->device = device;
    mmio->irq = env->irq;
    mmio->ioeventfd = env->ioeventfd;
    mmio->log = env->log;
    mv_virtio_attach(virtio,
                     &(struct mv_virtio_transport){.live = live,
                                                   .interrupt = interrupt,
                                                   .reset = reset,
                                                   .context = mmio,
                                                   .status = at(mmio, STATUS),
                                                   .device = device},
                     env);
    init_page(mmio);
    device->ops = &ops;
    device->inner = &inner;
    device->state = mmio;
    return 0;
}
