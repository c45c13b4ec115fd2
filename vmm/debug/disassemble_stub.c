/* SPDX-License-Identifier: MIT */
/* Replaces disassemble.c when the library is built without capstone. */
#include <errno.h>

#include "minivmm/vcpu.h"

int mv_vcpu_disassemble(struct mv_vcpu *vcpu, uint64_t address, char *ret_text, size_t size)
{
    (void)vcpu, (void)address, (void)ret_text, (void)size;
    return -ENOSYS;
}
