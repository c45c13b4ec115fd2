/* SPDX-License-Identifier: MIT */
/* Where the library is built without capstone: see disassemble.c. */
#include <errno.h>

#include "minivmm/vcpu.h"

int mv_vcpu_disassemble(struct mv_vcpu *vcpu, uint64_t address, char *ret_text, size_t size)
{
    (void)vcpu, (void)address, (void)ret_text, (void)size;
    return -ENOSYS;
}
