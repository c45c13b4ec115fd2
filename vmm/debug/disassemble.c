/* SPDX-License-Identifier: MIT */
/* Disassembly by capstone.  Without capstone, disassemble_stub.c is built instead. */
#include <capstone/capstone.h>
#include <errno.h>
#include <stdio.h>

#include "arch_debug.h"
#include "core/vcpu.h"

#define LONGEST 15 /* bytes of an instruction: x86 */

/* Reads as many bytes of the instruction as are readable; returns their number. */
static size_t read_code(struct mv_vcpu *vcpu, uint64_t address, uint8_t *code)
{
    size_t size = LONGEST;

    while (size > 0 && mv_vcpu_read(vcpu, address, code, size) < 0)
        size--;
    return size;
}

int mv_vcpu_disassemble(struct mv_vcpu *vcpu, uint64_t address, char *ret_text, size_t size)
{
    MV_BORROWED borrowed = mv_vcpu_borrow(vcpu);
    uint8_t code[LONGEST];
    size_t readable = borrowed ? read_code(vcpu, address, code) : 0;
    unsigned arch, mode;
    int length = -EILSEQ;
    cs_insn *found;
    csh handle;

    if (!borrowed)
        return -EBUSY;
    if (readable == 0)
        return -EFAULT;
    mv_arch_instruction_set(vcpu, &arch, &mode);
    if (cs_open((cs_arch)arch, (cs_mode)mode, &handle) != CS_ERR_OK)
        return -ENOSYS;
    if (cs_disasm(handle, code, readable, address, 1, &found) == 1) {
        snprintf(ret_text, size, "%s%s%s", found->mnemonic, *found->op_str ? " " : "",
                 found->op_str);
        length = found->size;
        cs_free(found, 1);
    }
    cs_close(&handle);
    return length;
}
