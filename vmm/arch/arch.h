/* SPDX-License-Identifier: MIT */
/*
 * The contract between the portable code and an architecture: what booting needs.  Each folder
 * beside this file implements all of it; the build selects one.
 */
#ifndef MV_ARCH_ARCH_H
#define MV_ARCH_ARCH_H

#include "core/bus.h"
#include "core/kvm.h"
#include "core/memory.h"
#include "minivmm/vcpu.h"

struct mv_boot_files;
struct mv_device_entry;
struct mv_vcpu;

/* What an architecture keeps for a machine; its own business. */
struct mv_arch;

/* Where RAM is for so many bytes (whole pages, at least 16 MiB): fills base and
 * size of up to MV_MEM_REGIONS regions and returns their number. */
unsigned mv_arch_memory_map(uint64_t bytes, struct mv_region *ret_regions);

/* The devices that only this architecture has; the board has the others. */
const struct mv_device_entry *mv_arch_devices(unsigned *ret_count);

/* Those that only some guests expect, as is known when it is loaded; no table tells of them.  NULL:
 * there are no more than index. */
const struct mv_device_entry *mv_arch_late_device(const struct mv_arch *arch, unsigned index);

/* bare: without interrupt controllers and tables.  Needs no KVM.  Every failure is explained.
 * The result is the caller's. */
int mv_arch_create(unsigned cpus, bool bare, struct mv_arch **ret_arch, struct mv_error *err);
void mv_arch_destroy(struct mv_arch *arch);

/*
 * Recognizes the kernel and puts it, the initrd and the command line into
 * memory, with the tables that describe the machine and its devices, or room for
 * them.  Needs no KVM.  The devices outlive arch.  Every failure is explained.
 */
int mv_arch_load(struct mv_arch *arch, struct mv_mem *mem, const struct mv_boot_files *files,
                 const struct mv_device *devices, unsigned count, struct mv_error *err);

/*
 * Puts a flat binary where it asks to be, or where there is room, and has the vCPUs start in it.
 * Makes the tables for its mode.  Needs no KVM; after mv_arch_load, if that is called.  Explains
 * its failure.  The part embed defines this, or its stubs do.
 */
int mv_arch_load_flat(struct mv_arch *arch, struct mv_mem *mem, const struct mv_flat *flat,
                      struct mv_error *err);

/* The type of machine to ask KVM for (KVM_CREATE_VM), which has room for this memory. */
int mv_arch_vm_type(const struct mv_kvm *kvm, const struct mv_mem *mem, unsigned long *ret_type,
                    struct mv_error *err);

/* On the fresh VM, before its memory and vCPUs: checks what KVM offers, makes
 * the interrupt controllers. */
int mv_arch_init_vm(struct mv_arch *arch, const struct mv_kvm *kvm, const struct mv_mem *mem,
                    struct mv_error *err);

/* Puts a fresh vCPU into the state in which the guest starts it. */
int mv_arch_init_vcpu(struct mv_arch *arch, struct mv_mem *mem, struct mv_vcpu *vcpu,
                      struct mv_error *err);

/* With all vCPUs there, the last step before the guest can start.  kvm is NULL where there is
 * none: then only the tables are to be completed. */
int mv_arch_finish(struct mv_arch *arch, const struct mv_kvm *kvm, struct mv_mem *mem,
                   struct mv_error *err);

/* Drives a global system interrupt.  Any thread. */
void mv_arch_set_irq(const struct mv_kvm *kvm, int gsi, bool level);

/* The program counter at this exit, where KVM puts it into the shared page; else 0. */
uint64_t mv_arch_pc(const struct kvm_run *run);

/* How an exit ends the machine that only the architecture understands, or nobody. */
enum mv_end_reason mv_arch_exit(const struct kvm_run *run);

/* The vCPU was not run for a while, and its guest did not ask for that: tells the guest, where
 * there is a way, so that it does not take the time for a lockup of its own.  Before it is entered.
 */
void mv_arch_tell_of_stop(const struct mv_vcpu *vcpu);

/* After a kick, by the vCPU's own thread: whether no interrupt can wake it. */
bool mv_arch_is_asleep(const struct mv_vcpu *vcpu);

#endif
