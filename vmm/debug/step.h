/* SPDX-License-Identifier: MIT */
/* What embed needs of debug. */
#ifndef MV_STEP_H
#define MV_STEP_H

#include "minivmm/vcpu.h"

/* Has KVM stop after each instruction from now on, beside what mv_vcpu_debug asks for; or not any
 * more.  0 or -errno; -ENOSYS: built without debug. */
int mv_vcpu_step(struct mv_vcpu *vcpu, bool on);

#endif
