/* SPDX-License-Identifier: MIT */
/* The vCPU's instruction set, as capstone numbers it: 16, 32 or 64 bits, by CR0 and the code
 * segment. */
#include <capstone/capstone.h>

#include "core/vcpu.h"
#include "debug/arch_debug.h"

void mv_arch_instruction_set(struct mv_vcpu *vcpu, unsigned *ret_arch, unsigned *ret_mode)
{
    uint64_t attributes = 0, cr0 = 0;

    mv_vcpu_get(vcpu, "cs.attributes", &attributes);
    mv_vcpu_get(vcpu, "cr0", &cr0);
    *ret_arch = CS_ARCH_X86;
    *ret_mode = cr0 & 1 && attributes & 1u << 13 ? CS_MODE_64
                : attributes & 1u << 14          ? CS_MODE_32
                                                 : CS_MODE_16;
}
