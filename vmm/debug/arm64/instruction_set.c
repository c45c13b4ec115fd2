/* SPDX-License-Identifier: MIT */
/* The vCPU's instruction set, as capstone numbers it: always A64. */
#include <capstone/capstone.h>

#include "core/vcpu.h"
#include "debug/arch_debug.h"

void mv_arch_instruction_set(struct mv_vcpu *vcpu, unsigned *ret_arch, unsigned *ret_mode)
{
    (void)vcpu;
    *ret_arch = CS_ARCH_ARM64;
    *ret_mode = CS_MODE_ARM;
}
