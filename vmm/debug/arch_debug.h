/* SPDX-License-Identifier: MIT */
/*
 * What debugging needs of an architecture (minivmm/vcpu.h): registers, page walks, steps and
 * breakpoints, and what a person is told.  Each folder here implements all of it.  The vCPU does
 * not run.
 */
#ifndef MV_ARCH_DEBUG_H
#define MV_ARCH_DEBUG_H

#include <stdio.h>

#include "core/memory.h"
#include "minivmm/vcpu.h"

struct kvm_run;
struct mv_synced;

const struct mv_register *mv_arch_registers(size_t *ret_count);

/* By its place in the table, which has at most MV_REGISTERS_MAX.  0 or -errno. */
int mv_arch_get_register(const struct mv_vcpu *vcpu, size_t number, void *ret_bytes);

/* A register by its place in the table; the lower 64 bits are first. */
struct mv_register_bits {
    size_t number;
    uint64_t bits[2];
};

/* All together, where KVM lets us.  On failure some may be set; *ret_failed: which KVM refuses,
 * left alone where that is not known.  What it was asked for is then the debugger's `refused`. */
int mv_arch_set_registers(struct mv_vcpu *vcpu, const struct mv_register_bits *values, size_t count,
                          size_t *ret_failed);

/* Whether a register that was set reads back so, but for what no software decides. */
bool mv_arch_is_kept(const struct mv_register_bits *wanted, const struct mv_register_bits *now);

int mv_arch_translate(struct mv_vcpu *vcpu, uint64_t address, struct mv_walk *ret_walk);

/* 0 or -errno, see mv_vcpu_debug. */
int mv_arch_set_debug(struct mv_vcpu *vcpu, const struct mv_debug *debug);

/* Where the next instruction ends, guest-virtual, if it halts the processor; else 0. */
uint64_t mv_arch_behind_halt(struct mv_vcpu *vcpu);

/* What KVM_EXIT_DEBUG says of what was asked for. */
void mv_arch_debug_stop(struct mv_vcpu *vcpu, const struct mv_debug *asked,
                        struct mv_debug_stop *ret_stop);

/* It has stopped at a breakpoint instruction: its exception comes when it is entered.  0 or -errno.
 */
int mv_arch_pass_breakpoint(struct mv_vcpu *vcpu);

bool mv_arch_breakpoints_work(void);

/* The registers of the last exit, or those to start with, where KVM shows them in the shared page;
 * and has it show all that it can. */
void mv_arch_keep_regs(const struct kvm_run *run, struct mv_synced *kept);
void mv_arch_show_all_regs(struct kvm_run *run);

/* In capstone's numbers: what the vCPU executes now.  Built with capstone only. */
void mv_arch_instruction_set(struct mv_vcpu *vcpu, unsigned *ret_arch, unsigned *ret_mode);

/* A line for each rule of the processor's that the vCPU's state breaks, or the state that KVM
 * refused last.  How many there are, or -errno. */
int mv_arch_explain_state(const struct mv_vcpu *vcpu, FILE *to);

/* Says in words how the guest came to its end, where the processor's state tells that; nothing
 * where it does not.  0, or -ENODATA: the host's KVM has lost that state. */
int mv_arch_explain_end(const struct mv_vcpu *vcpu, const struct mv_mem *mem, FILE *to);

/* Writes registers, code bytes and what KVM says of the exit, for a person.
 * The vCPU does not run. */
void mv_arch_report(const struct mv_vcpu *vcpu, const struct mv_mem *mem, FILE *to);

#endif
