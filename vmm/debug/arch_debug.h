/* SPDX-License-Identifier: MIT */
/*
 * The interface between portable debugging code (minivmm/vcpu.h) and an architecture: registers,
 * page walks, steps and breakpoints, and reports.  Each architecture's folder implements all of it.
 * Must be called while the vCPU is not running.
 */
#ifndef MV_ARCH_DEBUG_H
#define MV_ARCH_DEBUG_H

#include <stdio.h>

#include "core/memory.h"
#include "minivmm/vcpu.h"

struct kvm_run;
struct mv_synced;

const struct mv_register *mv_arch_registers(size_t *ret_count);

/* Reads a register by its index in the table, which has at most MV_REGISTERS_MAX entries.  Returns
 * 0 or -errno. */
int mv_arch_get_register(const struct mv_vcpu *vcpu, size_t number, void *ret_bytes);

/* The value of a register, given by its index in the table; bits[0] has the lower 64 bits. */
struct mv_register_bits {
    size_t number;
    uint64_t bits[2];
};

/* Sets registers together, as far as KVM allows.  On failure some may have been set; *ret_failed is
 * the index of the value that KVM refused, or unchanged if that is not known, and the debugger's
 * `refused` holds the state that KVM was asked for. */
int mv_arch_set_registers(struct mv_vcpu *vcpu, const struct mv_register_bits *values, size_t count,
                          size_t *ret_failed);

/* Whether a register reads back as it was set, except for bits that software cannot choose. */
bool mv_arch_is_kept(const struct mv_register_bits *wanted, const struct mv_register_bits *now);

int mv_arch_translate(struct mv_vcpu *vcpu, uint64_t address, struct mv_walk *ret_walk);

/* Returns 0 or -errno; see mv_vcpu_debug. */
int mv_arch_set_debug(struct mv_vcpu *vcpu, const struct mv_debug *debug);

/* The guest-virtual address after the next instruction if that halts the processor; else 0. */
uint64_t mv_arch_behind_halt(struct mv_vcpu *vcpu);

/* Translates KVM_EXIT_DEBUG to why and where the vCPU stopped, given what was asked for. */
void mv_arch_debug_stop(struct mv_vcpu *vcpu, const struct mv_debug *asked,
                        struct mv_debug_stop *ret_stop);

/* The vCPU has stopped at a breakpoint instruction: raises its exception in the guest at the next
 * entry.  Returns 0 or -errno. */
int mv_arch_pass_breakpoint(struct mv_vcpu *vcpu);

bool mv_arch_breakpoints_work(void);

/* Copies the registers of the last exit, or the initial ones, if KVM stores them in the shared
 * page.  The second function has KVM store all that it can. */
void mv_arch_keep_regs(const struct kvm_run *run, struct mv_synced *kept);
void mv_arch_show_all_regs(struct kvm_run *run);

/* The vCPU's current instruction set, as capstone numbers it.  Only if built with capstone. */
void mv_arch_instruction_set(struct mv_vcpu *vcpu, unsigned *ret_arch, unsigned *ret_mode);

/* Writes a line for each of the processor's rules that the vCPU's state violates, or the state that
 * KVM refused last.  Returns their number, or -errno. */
int mv_arch_explain_state(const struct mv_vcpu *vcpu, FILE *to);

/* Explains how the guest came to its end, as far as the processor's state shows it; may write
 * nothing.  Returns 0, or -ENODATA if the host's KVM has lost that state. */
int mv_arch_explain_end(const struct mv_vcpu *vcpu, const struct mv_mem *mem, FILE *to);

/* Writes a report for the user: the exit as KVM describes it, registers, and code bytes. */
void mv_arch_report(const struct mv_vcpu *vcpu, const struct mv_mem *mem, FILE *to);

#endif
