/* SPDX-License-Identifier: MIT */
/*
 * An interrupt line, as a device sees it.  The machine injects one into each device; for a device
 * without a line, setting it has no effect.
 */
#ifndef MV_IRQ_H
#define MV_IRQ_H

#include <stdbool.h>

struct mv_irq {
    void (*set)(void *context, int line, bool level);
    void *context;
    int line; /* global system interrupt, or MV_NO_IRQ */
};

static inline void mv_irq_set(const struct mv_irq *irq, bool level)
{
    if (irq->line >= 0)
        irq->set(irq->context, irq->line, level);
}

#endif
