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
 * Two threads meet here.  The registers belong to the vCPUs, under the device's
 * lock.  The queues are the driver's to set up until DRIVER_OK; then the loop
 * thread's, until a reset has been carried out; `phase` says whose turn it is.
 * The rest that both touch is atomic.  The doorbell rings in the loop thread by
 * an eventfd, which KVM signals by itself once it is wired (ioeventfd).
 *
 * What the registers read as stands in a page of memory, which the guest can read
 * as it is, without an exit: each interrupt begins with a look at InterruptStatus.
 * No read has a side effect.  The page is kept as it should be: after each write,
 * and when the device has something to say.
 *
 * An interrupt is two calls to KVM, up and down, rather than an eventfd (irqfd): for
 * the lines of an I/O APIC KVM leaves irqfds to a kernel thread of its own, which
 * takes longer, and makes the end of a machine longer.
 *
 * Left out: version 1 ("legacy"), shared memory regions, queue reset.
 */
#include "mmio.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

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

/* virtio 1.2, 2.1 */
enum {
    S_ACKNOWLEDGE = 1,
    S_DRIVER = 2,
    S_DRIVER_OK = 4,
    S_FEATURES_OK = 8,
    S_NEEDS_RESET = 64,
    S_FAILED = 128,
};

enum { I_USED_BUFFER = 1, I_CONFIG_CHANGE = 2 };

/* 3.1.1: the steps of the driver's initialization, in this order only. */
static const struct {
    uint8_t from, to;
} steps[] = {
    {0, S_ACKNOWLEDGE},
    {S_ACKNOWLEDGE, S_ACKNOWLEDGE | S_DRIVER},
    {S_ACKNOWLEDGE | S_DRIVER, S_ACKNOWLEDGE | S_DRIVER | S_FEATURES_OK},
    {S_ACKNOWLEDGE | S_DRIVER | S_FEATURES_OK,
     S_ACKNOWLEDGE | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK},
};

/* Whose the queues are. */
enum phase {
    PHASE_SET_UP,   /* the driver's: vCPUs, under the lock */
    PHASE_STARTING, /* the loop thread's, which has not noticed yet */
    PHASE_LIVE,     /* the loop thread's */
    PHASE_STOPPING, /* still its, until it has stopped the device */
};

/* What has to be kept to go on elsewhere, with the queues' states and the page. */
struct mmio_state {
    uint32_t device_features_sel, driver_features_sel, queue_sel;
    uint64_t driver_features;
    uint32_t config_generation;
};

struct mmio {
    struct mmio_state state; /* under the device's lock */
    struct mv_virtio *virtio;
    struct mv_device *device;
    const struct mv_mem *mem;
    struct mv_irq irq;
    struct mv_ioeventfd ioeventfd;
    struct mv_loop *loop;
    struct mv_log *log;
    struct mv_backpressure backpressure;
    bool told_of_events;            /* that they cannot be created: once, a guest could repeat it */
    bool ioeventfd_tried;           /* the loop thread's */
    struct mv_loop_source doorbell; /* its fd is an eventfd, made at the first DRIVER_OK */
    atomic_int phase;               /* see enum phase; stores release what was done before */

    /* What the guest reads.  The loop thread adds bits to InterruptStatus and Status,
     * the rest is written by vCPUs and under the lock. */
    _Atomic uint32_t *page;
    void *own_page; /* to be freed */
};

static _Atomic uint32_t *at(const struct mmio *mmio, uint64_t offset)
{
    return &mmio->page[offset / 4];
}

/* ---- from here on: the loop thread, and those that share its functions ---- */

static void interrupt(struct mmio *mmio, uint32_t why)
{
    atomic_fetch_or(at(mmio, INTERRUPT_STATUS), why);
    /* an edge */
    mv_irq_set(&mmio->irq, true);
    mv_irq_set(&mmio->irq, false);
}

static void on_interrupt(void *context)
{
    interrupt(context, I_USED_BUFFER);
}

/* 2.1.2: says that it needs a reset, and if the driver has got that far, interrupts. */
static void needs_reset(struct mmio *mmio)
{
    if (atomic_fetch_or(at(mmio, STATUS), S_NEEDS_RESET) & S_NEEDS_RESET)
        return;
    if (atomic_load(&mmio->phase) != PHASE_SET_UP)
        interrupt(mmio, I_CONFIG_CHANGE);
}

static void on_broken(void *context)
{
    needs_reset(context);
}

static struct mv_queue *selected_queue(const struct mmio *mmio)
{
    uint32_t sel = mmio->state.queue_sel;

    return sel < mmio->virtio->queue_count ? &mmio->virtio->queues[sel] : NULL;
}

static uint32_t half(uint64_t value, uint32_t sel)
{
    return sel < 2 ? (uint32_t)(value >> (32 * sel)) : 0;
}

/* The two halves of bringing the page up to date.  Under the lock. */
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
    const struct mv_virtio *virtio = mmio->virtio;

    for (uint64_t offset = CONFIG; offset < MV_VIRTIO_MMIO_SIZE; offset += 4)
        atomic_store(at(mmio, offset),
                     (uint32_t)virtio->ops->config_read(virtio->state, offset - CONFIG, 4));
    atomic_store(at(mmio, CONFIG_GENERATION), mmio->state.config_generation);
}

/* What is write-only or not there reads as all ones: SHMLen of no region is -1, too. */
static void init_page(struct mmio *mmio)
{
    memset((void *)mmio->page, 0xff, MV_PAGE_SIZE);
    atomic_store(at(mmio, MAGIC_VALUE), MAGIC);
    atomic_store(at(mmio, VERSION), 2);
    atomic_store(at(mmio, DEVICE_ID), mmio->virtio->ops->id);
    atomic_store(at(mmio, VENDOR_ID), VENDOR);
    atomic_store(at(mmio, INTERRUPT_STATUS), 0);
    atomic_store(at(mmio, STATUS), 0);
    refresh_registers(mmio);
    refresh_config(mmio);
}

/* Everything is as after power-on.  Under the lock; no one else uses the queues. */
static void reset(struct mmio *mmio)
{
    uint32_t generation = mmio->state.config_generation;

    for (unsigned i = 0; i < mmio->virtio->queue_count; i++)
        mv_queue_reset(&mmio->virtio->queues[i]);
    mmio->virtio->ops->reset(mmio->virtio->state);
    mmio->state = (struct mmio_state){.config_generation = generation};
    atomic_store(&mmio->phase, PHASE_SET_UP);
    refresh_registers(mmio);
    refresh_config(mmio);
    atomic_store(at(mmio, INTERRUPT_STATUS), 0);
    atomic_store(at(mmio, STATUS), 0);
    mmio->backpressure.gone(mmio->backpressure.context);
}

static void on_stopped(void *context)
{
    struct mmio *mmio = context;

    pthread_mutex_lock(&mmio->device->lock);
    reset(mmio);
    pthread_mutex_unlock(&mmio->device->lock);
}

/* Any thread.  The eventfd is there before the phase leaves PHASE_SET_UP, and stays. */
static void on_ring(void *context)
{
    const struct mmio *mmio = context;

    if (atomic_load(&mmio->phase) != PHASE_SET_UP)
        eventfd_write(mmio->doorbell.fd, 1);
}

/* Lets KVM carry the doorbell.  Where it does not, each is an exit to us. */
static void wire(struct mmio *mmio)
{
    uint64_t address = mmio->device->desc.base + QUEUE_NOTIFY;
    int error;

    if (!mmio->ioeventfd.add || mmio->ioeventfd_tried)
        return;
    mmio->ioeventfd_tried = true;
    error = mmio->ioeventfd.add(mmio->ioeventfd.context, address, mmio->doorbell.fd);
    if (error)
        mv_log(mmio->log, MV_LOG_WARNING, "%s: KVM does not carry its doorbell: %s",
               mmio->device->desc.name, strerror(-error));
}

static void on_doorbell(void *context, uint32_t events)
{
    struct mmio *mmio = context;
    const struct mv_virtio *virtio = mmio->virtio;
    int starting = PHASE_STARTING;

    (void)events;
    if (atomic_compare_exchange_strong(&mmio->phase, &starting, PHASE_LIVE)) {
        wire(mmio);
        virtio->ops->activate(virtio->state);
    }
    switch (atomic_load(&mmio->phase)) {
    case PHASE_LIVE:
        if (!(atomic_load(at(mmio, STATUS)) & S_NEEDS_RESET))
            virtio->ops->notify(virtio->state);
        break;
    case PHASE_STOPPING: virtio->ops->stop(virtio->state); break;
    }
}

/* ---- the registers: vCPU threads, under the device's lock ---- */

static bool is_set_up(const struct mmio *mmio)
{
    return atomic_load(&mmio->phase) == PHASE_SET_UP;
}

static void set_half(uint64_t *value, uint32_t sel, uint32_t part)
{
    if (sel < 2)
        *value = (*value & ~(0xffffffffull << (32 * sel))) | (uint64_t)part << (32 * sel);
}

static uint64_t read_mmio(void *context, uint64_t offset, unsigned size)
{
    const struct mmio *mmio = context;

    if (offset >= CONFIG)
        return mmio->virtio->ops->config_read(mmio->virtio->state, offset - CONFIG, size);
    /* 4.2.2.2: the driver must use 32 bits */
    return size == 4 && offset % 4 == 0 ? atomic_load(at(mmio, offset)) : UINT64_MAX;
}

/* Without these there can be no device: it fails, and the driver may try again. */
static bool open_events(struct mmio *mmio)
{
    int error = 0;

    if (mmio->doorbell.fd >= 0)
        return true;
    mmio->doorbell.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (mmio->doorbell.fd < 0)
        error = -errno;
    else /* by edges: each ring is one, and the counter need not be read */
        error = mv_loop_watch(mmio->loop, &mmio->doorbell, EPOLLIN | EPOLLET);
    if (error) {
        if (!mmio->told_of_events)
            mv_log(mmio->log, MV_LOG_WARNING, "%s: cannot create its events: %s",
                   mmio->device->desc.name, strerror(-error));
        mmio->told_of_events = true;
        mv_close_fd(&mmio->doorbell.fd);
    }
    return !error;
}

static bool features_are_good(const struct mmio *mmio)
{
    uint64_t features = mmio->state.driver_features;

    return !(features & ~mmio->virtio->offered) && features & MV_VIRTIO_F_VERSION_1;
}

static bool any_queue_ready(const struct mmio *mmio)
{
    for (unsigned i = 0; i < mmio->virtio->queue_count; i++)
        if (mmio->virtio->queues[i].state.ready)
            return true;
    return false;
}

static void start_device(struct mmio *mmio)
{
    if (!any_queue_ready(mmio) || !open_events(mmio)) {
        needs_reset(mmio);
        interrupt(mmio, I_CONFIG_CHANGE); /* 2.1.2: DRIVER_OK is set */
        return;
    }
    atomic_store(&mmio->phase, PHASE_STARTING);
    eventfd_write(mmio->doorbell.fd, 1);
}

static void write_status(struct mmio *mmio, uint32_t value)
{
    uint32_t status = atomic_load(at(mmio, STATUS)) & ~(uint32_t)S_NEEDS_RESET;
    unsigned i = 0;

    value &= ~(uint32_t)S_NEEDS_RESET; /* ours; the driver gives it back as it found it */
    if (value == status)
        return;
    if (value & S_FAILED) { /* the driver has given up */
        atomic_fetch_or(at(mmio, STATUS), S_FAILED);
        return;
    }
    while (i < MV_COUNT(steps) && (steps[i].from != status || steps[i].to != value))
        i++;
    if (i == MV_COUNT(steps)) {
        needs_reset(mmio);
        return;
    }
    /* 2.2.2: the driver finds out by reading that FEATURES_OK did not stay */
    if (value & S_FEATURES_OK && !features_are_good(mmio))
        return;
    mmio->virtio->features = mmio->state.driver_features;
    atomic_fetch_or(at(mmio, STATUS), value);
    if (value & S_DRIVER_OK)
        start_device(mmio);
}

/* 4.2.2: "Writing zero to this register triggers a device reset."  If something may
 * be in flight, the loop thread ends that first; see is_busy. */
static void begin_reset(struct mmio *mmio)
{
    if (is_set_up(mmio)) {
        reset(mmio);
        return;
    }
    atomic_store(&mmio->phase, PHASE_STOPPING);
    eventfd_write(mmio->doorbell.fd, 1);
}

/* QueueNum and the rings' addresses may be written only while the queue is not
 * ready (4.2.2.2); what it works with does not change, then. */
static void write_queue(struct mmio *mmio, uint64_t offset, uint32_t value)
{
    struct mv_queue *queue = selected_queue(mmio);
    struct mv_queue_state *state;

    if (!queue)
        return;
    state = &queue->state;
    if (!is_set_up(mmio) || (state->ready && offset != QUEUE_READY)) {
        needs_reset(mmio);
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
    case QUEUE_READY:
        state->ready = false;
        if (value && (!(atomic_load(at(mmio, STATUS)) & S_FEATURES_OK) ||
                      !mv_queue_enable(queue, mmio->mem, mmio->virtio->features)))
            needs_reset(mmio);
        break;
    }
}

static void write_register(struct mmio *mmio, uint64_t offset, uint32_t value)
{
    struct mmio_state *state = &mmio->state;

    switch (offset) {
    case DEVICE_FEATURES_SEL: state->device_features_sel = value; break;
    case DRIVER_FEATURES_SEL: state->driver_features_sel = value; break;
    case DRIVER_FEATURES:
        if (!(atomic_load(at(mmio, STATUS)) & S_FEATURES_OK))
            set_half(&state->driver_features, state->driver_features_sel, value);
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
    case QUEUE_NOTIFY: /* whichever queue it names: the device looks at all */
        if (!is_set_up(mmio))
            eventfd_write(mmio->doorbell.fd, 1);
        break;
    case INTERRUPT_ACK: atomic_fetch_and(at(mmio, INTERRUPT_STATUS), ~value); break;
    case STATUS:
        if (value == 0)
            begin_reset(mmio);
        else if (atomic_load(&mmio->phase) != PHASE_STOPPING)
            write_status(mmio, value);
        break;
    }
}

static void write_mmio(void *context, uint64_t offset, unsigned size, uint64_t value)
{
    struct mmio *mmio = context;

    if (offset >= CONFIG) {
        mmio->virtio->ops->config_write(mmio->virtio->state, offset - CONFIG, size, value);
        refresh_config(mmio);
    } else if (size == 4) {
        write_register(mmio, offset, (uint32_t)value);
        if (offset != INTERRUPT_ACK && offset != QUEUE_NOTIFY) /* often, and they change nothing */
            refresh_registers(mmio);
    }
}

/* A reset is over before the vCPU goes on: drivers take that for granted (Linux frees
 * the memory), so that here alone a vCPU does wait for a disk. */
static bool is_busy(void *context)
{
    struct mmio *mmio = context;

    return atomic_load(&mmio->phase) == PHASE_STOPPING;
}

/* 2.5.1: a driver that reads in between finds that the generation has changed. */
static void rescan(void *context)
{
    struct mmio *mmio = context;

    if (!mmio->virtio->ops->rescan(mmio->virtio->state))
        return;
    atomic_store(at(mmio, CONFIG_GENERATION), ++mmio->state.config_generation);
    mmio->state.config_generation++;
    refresh_config(mmio);
    if (!is_set_up(mmio))
        interrupt(mmio, I_CONFIG_CHANGE);
}

static void destroy(void *context)
{
    struct mmio *mmio = context;

    mmio->virtio->ops->destroy(mmio->virtio->state);
    mv_close_fd(&mmio->doorbell.fd);
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
    struct mmio *mmio = calloc(1, sizeof(*mmio));

    if (mmio && !env->page)
        mmio->own_page = malloc(MV_PAGE_SIZE);
    if (!mmio || (!env->page && !mmio->own_page)) {
        free(mmio);
        virtio->ops->destroy(virtio->state);
        return -ENOMEM;
    }
    mmio->page = env->page ? env->page : mmio->own_page;
    mmio->virtio = virtio;
    mmio->mem = env->mem;
    mmio->device = device;
    mmio->irq = env->irq;
    mmio->ioeventfd = env->ioeventfd;
    mmio->loop = env->loop;
    mmio->log = env->log;
    mmio->doorbell = (struct mv_loop_source){.fd = -1, .fn = on_doorbell, .context = mmio};
    mmio->backpressure = env->backpressure;
    virtio->host = (struct mv_virtio_host){.interrupt = on_interrupt,
                                           .broken = on_broken,
                                           .stopped = on_stopped,
                                           .ring = on_ring,
                                           .context = mmio};
    init_page(mmio);
    device->ops = &ops;
    device->busy = is_busy;
    device->state = mmio;
    return 0;
}
