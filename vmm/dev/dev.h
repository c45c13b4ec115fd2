/* SPDX-License-Identifier: MIT */
/*
 * The contract of a built-in device: what it is given when it is created.  It knows neither KVM nor
 * the machine that it belongs to.
 */
#ifndef MV_DEV_DEV_H
#define MV_DEV_DEV_H

#include <stdatomic.h>

#include "core/bus.h"
#include "core/irq.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/memory.h"
#include "core/timeline.h"
#include "minivmm/minivmm.h"

/* How a device ends the machine.  Any thread; only the first call counts. */
struct mv_shutdown {
    void (*end)(void *context, enum mv_end_reason reason, int code);
    void *context;
};

/* Lets the guest signal a device's eventfd without an exit to user space.  The function is NULL
 * where KVM cannot do it. */
struct mv_ioeventfd {
    /* A write of any size to this guest-physical address signals the eventfd, and no longer reaches
     * the bus.  Any thread; lasts as long as the machine.  Returns 0 or -errno. */
    int (*add)(void *context, uint64_t address, int eventfd);
    void *context;
};

/* What a device calls when it is no longer busy (mv_device_inner_ops).  Any thread, also with the
 * device's lock held. */
struct mv_backpressure {
    void (*gone)(void *context);
    void *context;
};

struct mv_device_env {
    struct mv_mem *mem;
    struct mv_irq irq;
    struct mv_ioeventfd ioeventfd;
    void *page; /* MV_PAGE_SIZE bytes, page-aligned, that the guest reads at the device's
                 * base without an exit; NULL: every read exits.  Valid until destroy. */
    struct mv_loop *loop;
    struct mv_log *log;
    struct mv_shutdown shutdown;
    struct mv_backpressure backpressure;
    const struct mv_console *console; /* NULL: none; valid during create only */
    struct mv_timeline *timeline;
    atomic_int *console_error; /* why output was lost: 0, or a negative errno value */
    int wake; /* eventfd: written when the result of mv_device_flush may have changed */
};

/*
 * Creates the device's state: sets device->ops and device->state.  The description and the lock are
 * set already, and the device will not move.  Returns 0, or -errno with nothing left behind.
 */
typedef int mv_device_create_fn(struct mv_device *device, const struct mv_device_env *env);

/* An entry in a table of devices: what it is, and the function that creates it. */
struct mv_device_entry {
    struct mv_device_desc desc;
    mv_device_create_fn *create;
};

/* For a device whose only state is a copy of env->shutdown.  ops->destroy must free it; free itself
 * will do. */
int mv_shutdown_device(struct mv_device *device, const struct mv_device_env *env,
                       const struct mv_device_ops *ops);

#endif
