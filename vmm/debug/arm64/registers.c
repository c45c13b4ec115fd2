/* SPDX-License-Identifier: MIT */
/* A vCPU's registers by name (minivmm/vcpu.h), by KVM_GET_ONE_REG (api.rst, 4.68). */
#include <errno.h>
#include <string.h>

#include "debug/arch_debug.h"
#include "debug/debug.h"

#define CORE(member) (KVM_REG_ARM_CORE | offsetof(struct kvm_regs, member) / sizeof(uint32_t))
#define VREG(n)      (KVM_REG_ARM_CORE | (offsetof(struct kvm_regs, fp_regs.vregs) / 4 + 4 * (n)))
#define Z_SIZE       256 /* bytes of a vector register, as KVM counts them (api.rst, 4.68) */
#define SP           0   /* the current stack pointer: SP_EL0 or SP_EL1 */
#define PSTATE_SPSEL 1u

/* clang-format off */
/* Name, group, bits, KVM's id; that of a system register has Op0, Op1, CRn, CRm and Op2. */
#define REGISTERS(X) \
    X("x0", GENERAL, 64, CORE(regs.regs[0]))                       \
    X("x1", GENERAL, 64, CORE(regs.regs[1]))                       \
    X("x2", GENERAL, 64, CORE(regs.regs[2]))                       \
    X("x3", GENERAL, 64, CORE(regs.regs[3]))                       \
    X("x4", GENERAL, 64, CORE(regs.regs[4]))                       \
    X("x5", GENERAL, 64, CORE(regs.regs[5]))                       \
    X("x6", GENERAL, 64, CORE(regs.regs[6]))                       \
    X("x7", GENERAL, 64, CORE(regs.regs[7]))                       \
    X("x8", GENERAL, 64, CORE(regs.regs[8]))                       \
    X("x9", GENERAL, 64, CORE(regs.regs[9]))                       \
    X("x10", GENERAL, 64, CORE(regs.regs[10]))                     \
    X("x11", GENERAL, 64, CORE(regs.regs[11]))                     \
    X("x12", GENERAL, 64, CORE(regs.regs[12]))                     \
    X("x13", GENERAL, 64, CORE(regs.regs[13]))                     \
    X("x14", GENERAL, 64, CORE(regs.regs[14]))                     \
    X("x15", GENERAL, 64, CORE(regs.regs[15]))                     \
    X("x16", GENERAL, 64, CORE(regs.regs[16]))                     \
    X("x17", GENERAL, 64, CORE(regs.regs[17]))                     \
    X("x18", GENERAL, 64, CORE(regs.regs[18]))                     \
    X("x19", GENERAL, 64, CORE(regs.regs[19]))                     \
    X("x20", GENERAL, 64, CORE(regs.regs[20]))                     \
    X("x21", GENERAL, 64, CORE(regs.regs[21]))                     \
    X("x22", GENERAL, 64, CORE(regs.regs[22]))                     \
    X("x23", GENERAL, 64, CORE(regs.regs[23]))                     \
    X("x24", GENERAL, 64, CORE(regs.regs[24]))                     \
    X("x25", GENERAL, 64, CORE(regs.regs[25]))                     \
    X("x26", GENERAL, 64, CORE(regs.regs[26]))                     \
    X("x27", GENERAL, 64, CORE(regs.regs[27]))                     \
    X("x28", GENERAL, 64, CORE(regs.regs[28]))                     \
    X("x29", GENERAL, 64, CORE(regs.regs[29]))                     \
    X("x30", GENERAL, 64, CORE(regs.regs[30]))                     \
    X("sp", GENERAL, 64, SP)                                       \
    X("pc", GENERAL, 64, CORE(regs.pc))                            \
    X("pstate", GENERAL, 64, CORE(regs.pstate))                    \
    X("sp_el0", SYSTEM, 64, CORE(regs.sp))                         \
    X("sp_el1", SYSTEM, 64, CORE(sp_el1))                          \
    X("elr_el1", SYSTEM, 64, CORE(elr_el1))                        \
    X("spsr_el1", SYSTEM, 64, CORE(spsr[0]))                       \
    X("sctlr_el1", SYSTEM, 64, ARM64_SYS_REG(3, 0, 1, 0, 0))       \
    X("actlr_el1", SYSTEM, 64, ARM64_SYS_REG(3, 0, 1, 0, 1))       \
    X("cpacr_el1", SYSTEM, 64, ARM64_SYS_REG(3, 0, 1, 0, 2))       \
    X("ttbr0_el1", SYSTEM, 64, ARM64_SYS_REG(3, 0, 2, 0, 0))       \
    X("ttbr1_el1", SYSTEM, 64, ARM64_SYS_REG(3, 0, 2, 0, 1))       \
    X("tcr_el1", SYSTEM, 64, ARM64_SYS_REG(3, 0, 2, 0, 2))         \
    X("afsr0_el1", SYSTEM, 64, ARM64_SYS_REG(3, 0, 5, 1, 0))       \
    X("afsr1_el1", SYSTEM, 64, ARM64_SYS_REG(3, 0, 5, 1, 1))       \
    X("esr_el1", SYSTEM, 64, ARM64_SYS_REG(3, 0, 5, 2, 0))         \
    X("far_el1", SYSTEM, 64, ARM64_SYS_REG(3, 0, 6, 0, 0))         \
    X("par_el1", SYSTEM, 64, ARM64_SYS_REG(3, 0, 7, 4, 0))         \
    X("mair_el1", SYSTEM, 64, ARM64_SYS_REG(3, 0, 10, 2, 0))       \
    X("amair_el1", SYSTEM, 64, ARM64_SYS_REG(3, 0, 10, 3, 0))      \
    X("vbar_el1", SYSTEM, 64, ARM64_SYS_REG(3, 0, 12, 0, 0))       \
    X("contextidr_el1", SYSTEM, 64, ARM64_SYS_REG(3, 0, 13, 0, 1)) \
    X("tpidr_el1", SYSTEM, 64, ARM64_SYS_REG(3, 0, 13, 0, 4))      \
    X("cntkctl_el1", SYSTEM, 64, ARM64_SYS_REG(3, 0, 14, 1, 0))    \
    X("csselr_el1", SYSTEM, 64, ARM64_SYS_REG(3, 2, 0, 0, 0))      \
    X("tpidr_el0", SYSTEM, 64, ARM64_SYS_REG(3, 3, 13, 0, 2))      \
    X("tpidrro_el0", SYSTEM, 64, ARM64_SYS_REG(3, 3, 13, 0, 3))    \
    X("mdscr_el1", SYSTEM, 64, ARM64_SYS_REG(2, 0, 0, 2, 2))       \
    X("midr_el1", SYSTEM, 64, ARM64_SYS_REG(3, 0, 0, 0, 0))        \
    X("mpidr_el1", SYSTEM, 64, ARM64_SYS_REG(3, 0, 0, 0, 5))       \
    X("v0", FLOAT, 128, VREG(0))                                   \
    X("v1", FLOAT, 128, VREG(1))                                   \
    X("v2", FLOAT, 128, VREG(2))                                   \
    X("v3", FLOAT, 128, VREG(3))                                   \
    X("v4", FLOAT, 128, VREG(4))                                   \
    X("v5", FLOAT, 128, VREG(5))                                   \
    X("v6", FLOAT, 128, VREG(6))                                   \
    X("v7", FLOAT, 128, VREG(7))                                   \
    X("v8", FLOAT, 128, VREG(8))                                   \
    X("v9", FLOAT, 128, VREG(9))                                   \
    X("v10", FLOAT, 128, VREG(10))                                 \
    X("v11", FLOAT, 128, VREG(11))                                 \
    X("v12", FLOAT, 128, VREG(12))                                 \
    X("v13", FLOAT, 128, VREG(13))                                 \
    X("v14", FLOAT, 128, VREG(14))                                 \
    X("v15", FLOAT, 128, VREG(15))                                 \
    X("v16", FLOAT, 128, VREG(16))                                 \
    X("v17", FLOAT, 128, VREG(17))                                 \
    X("v18", FLOAT, 128, VREG(18))                                 \
    X("v19", FLOAT, 128, VREG(19))                                 \
    X("v20", FLOAT, 128, VREG(20))                                 \
    X("v21", FLOAT, 128, VREG(21))                                 \
    X("v22", FLOAT, 128, VREG(22))                                 \
    X("v23", FLOAT, 128, VREG(23))                                 \
    X("v24", FLOAT, 128, VREG(24))                                 \
    X("v25", FLOAT, 128, VREG(25))                                 \
    X("v26", FLOAT, 128, VREG(26))                                 \
    X("v27", FLOAT, 128, VREG(27))                                 \
    X("v28", FLOAT, 128, VREG(28))                                 \
    X("v29", FLOAT, 128, VREG(29))                                 \
    X("v30", FLOAT, 128, VREG(30))                                 \
    X("v31", FLOAT, 128, VREG(31))                                 \
    X("fpsr", FLOAT, 32, CORE(fp_regs.fpsr))                       \
    X("fpcr", FLOAT, 32, CORE(fp_regs.fpcr))
/* clang-format on */

#define REGISTER(name, group, bits, id) {name, MV_REGISTERS_##group, bits},
#define ID(name, group, bits, id)       id,

static const struct mv_register registers[] = {REGISTERS(REGISTER)};
static const uint64_t ids[] = {REGISTERS(ID)};

const struct mv_register *mv_arch_registers(size_t *ret_count)
{
    *ret_count = MV_COUNT(registers);
    return registers;
}

static int access_reg(const struct mv_vcpu *vcpu, bool set, uint64_t id, void *data)
{
    struct kvm_one_reg reg = {.id = id, .addr = (uint64_t)(uintptr_t)data};
    const struct mv_kvm *kvm = vcpu->host->kvm;

    return set ? MV_KVM_CALL(kvm, vcpu->fd, KVM_SET_ONE_REG, &reg)
               : MV_KVM_CALL(kvm, vcpu->fd, KVM_GET_ONE_REG, &reg);
}

static uint64_t size_flag(unsigned bits)
{
    return bits == 128 ? KVM_REG_SIZE_U128 : bits == 32 ? KVM_REG_SIZE_U32 : KVM_REG_SIZE_U64;
}

/* On a vCPU with SVE, the V registers are the low 128 bits of the Z registers. */
static int access_vector(const struct mv_vcpu *vcpu, bool set, size_t v, void *data)
{
    uint8_t z[Z_SIZE];
    int error = access_reg(vcpu, false, KVM_REG_ARM64_SVE_ZREG(v, 0), z);

    if (error)
        return error;
    memcpy(set ? z : data, set ? data : z, 16);
    return set ? access_reg(vcpu, true, KVM_REG_ARM64_SVE_ZREG(v, 0), z) : 0;
}

static int current_sp(const struct mv_vcpu *vcpu, uint64_t *ret_id)
{
    uint64_t pstate;
    int error =
        access_reg(vcpu, false, KVM_REG_ARM64 | KVM_REG_SIZE_U64 | CORE(regs.pstate), &pstate);

    *ret_id = !error && pstate & PSTATE_SPSEL ? CORE(sp_el1) : CORE(regs.sp);
    return error;
}

static int access_number(const struct mv_vcpu *vcpu, bool set, size_t number, void *bytes)
{
    uint64_t id = ids[number];
    int error = id == SP ? current_sp(vcpu, &id) : 0;

    if (!error)
        error =
            access_reg(vcpu, set, KVM_REG_ARM64 | size_flag(registers[number].bits) | id, bytes);
    if (error && registers[number].bits == 128)
        error = access_vector(vcpu, set, (id - VREG(0)) / 4, bytes);
    return error == -ENOENT ? -EOPNOTSUPP : error;
}

int mv_arch_get_register(const struct mv_vcpu *vcpu, size_t number, void *ret_bytes)
{
    return access_number(vcpu, false, number, ret_bytes);
}

/* Sets PSTATE first: it selects the stack pointer that is sp. */
int mv_arch_set_registers(struct mv_vcpu *vcpu, const struct mv_register_bits *values, size_t count,
                          size_t *ret_failed)
{
    mv_debugger(vcpu)->refused.have_pstate = false;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < count; i++) {
            uint64_t bits[2] = {values[i].bits[0], values[i].bits[1]};
            bool is_pstate = ids[values[i].number] == CORE(regs.pstate);
            int error;

            if (is_pstate != (pass == 0))
                continue;
            if (is_pstate)
                mv_debugger(vcpu)->refused =
                    (struct mv_synced){.have_pstate = true, .pstate = bits[0]};
            error = access_number(vcpu, true, values[i].number, bits);
            if (error) {
                *ret_failed = i;
                return error;
            }
        }
    return 0;
}

bool mv_arch_is_kept(const struct mv_register_bits *wanted, const struct mv_register_bits *now)
{
    return wanted->bits[0] == now->bits[0] && wanted->bits[1] == now->bits[1];
}

/* On arm64, KVM stores no registers in the shared page. */
void mv_arch_keep_regs(const struct kvm_run *run, struct mv_synced *kept)
{
    (void)run, (void)kept;
}

void mv_arch_show_all_regs(struct kvm_run *run)
{
    (void)run;
}
