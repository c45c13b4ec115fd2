/* SPDX-License-Identifier: MIT */
/*
 * The contract of a built-in device: what it is given when it is created.  It
 * knows neither KVM nor the machine it is part of.
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

/* How a device ends the machine.  Any thread; the first one counts. */
struct mv_shutdown {
    void (*end)(void *context, enum mv_end_reason reason, int code);
    void *context;
};

/* Lets the guest signal a device's eventfd without an exit; the function is NULL where KVM is not
 * there to do it. */
struct mv_ioeventfd {
    /* A write of any size to this guest-physical address signals the eventfd, and
     * is not seen by the bus any more.  Any thread; for the machine's whole life.  Returns
     * 0 or -errno. */
    int (*add)(void *context, uint64_t address, int eventfd);
    void *context;
};

/* What a device calls when it is no longer busy (mv_device_inner_ops).  Any thread, also under the
 * device's lock. */
struct mv_backpressure {
    void (*gone)(void *context);
    void *context;
};

struct mv_device_env {
    struct mv_mem *mem;
    struct mv_irq irq;
    struct mv_ioeventfd ioeventfd;
    void *page; /* what the guest reads at the device's base without an exit, MV_PAGE_SIZE bytes
                 * aligned to that; NULL: every read is an exit.  It stays until destroy. */
    struct mv_loop *loop;
    struct mv_log *log;
    struct mv_shutdown shutdown;
    struct mv_backpressure backpressure;
    const struct mv_console *console; /* NULL: none; valid during create only */
    struct mv_timeline *timeline;
    atomic_int *console_error; /* why output was lost: 0, or a negative errno value */
    int wake; /* eventfd: written when what mv_device_flush says may have changed */
};

/*
 * Creates the device's state: fills device->ops and device->state.  The
 * description and the lock are there already, and the device does not move.
 * Returns 0 or -errno, with nothing left behind.
 */
typedef int mv_device_create_fn(struct mv_device *device, const struct mv_device_env *env);

/* A line of a table of devices: what it is, and who makes it. */
struct mv_device_entry {
    struct mv_device_desc desc;
    mv_device_create_fn *create;
};

/* For a device whose whole state is a way to end the machine: a copy of
 * env->shutdown, to be freed by ops->destroy (free itself will do). */
int mv_shutdown_device(struct mv_device *device, const struct mv_device_env *env,
                       const struct mv_device_ops *ops);

#endif
