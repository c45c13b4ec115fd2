/* SPDX-License-Identifier: MIT */
/* The interface from debug to embed. */
#ifndef MV_STEP_H
#define MV_STEP_H

#include "minivmm/vcpu.h"

/* Turns single-stepping on or off, in addition to the settings of mv_vcpu_debug.  Returns 0 or
 * -errno; -ENOSYS: built without debug. */
int mv_vcpu_step(struct mv_vcpu *vcpu, bool on);

#endif
