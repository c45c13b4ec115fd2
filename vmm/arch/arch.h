/* SPDX-License-Identifier: MIT */
/*
 * The contract between the portable code and an architecture: what booting needs.  Each folder
 * beside this file implements all of it; the build selects one folder.
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

/* What an architecture keeps for a machine; opaque to others. */
struct mv_arch;

/* Decides where `bytes` of RAM go (whole pages, at least 16 MiB): fills in base and size of up to
 * MV_MEM_REGIONS regions and returns their number. */
unsigned mv_arch_memory_map(uint64_t bytes, struct mv_region *ret_regions);

/* Devices that only this architecture has; the board has the others. */
const struct mv_device_entry *mv_arch_devices(unsigned *ret_count);

/* Devices that only some guests expect, which is known once the guest is loaded; no table describes
 * them.  NULL if index is past the last. */
const struct mv_device_entry *mv_arch_late_device(const struct mv_arch *arch, unsigned index);

/* bare: without interrupt controllers and tables.  Needs no KVM.  Fills in *err on failure.  The
 * caller owns the result. */
int mv_arch_create(unsigned cpus, bool bare, struct mv_arch **ret_arch, struct mv_error *err);
void mv_arch_destroy(struct mv_arch *arch);

/*
 * Recognizes the kernel and loads it, the initrd and the command line into memory, with the tables
 * that describe the machine and its devices, or room for them.  Needs no KVM.  The devices must
 * outlive arch.  Fills in *err on failure.
 */
int mv_arch_load(struct mv_arch *arch, struct mv_mem *mem, const struct mv_boot_files *files,
                 const struct mv_device *devices, unsigned count, struct mv_error *err);

/*
 * Loads a flat binary at the address that it asks for, or at a default, and makes the vCPUs start
 * in it.  Writes the page table, if its mode needs one here.  Needs no KVM.  Called after
 * mv_arch_load, if that is called.  Fills in *err on failure.  Defined by the part embed or its
 * stubs.
 */
int mv_arch_load_flat(struct mv_arch *arch, struct mv_mem *mem, const struct mv_flat *flat,
                      struct mv_error *err);

/* The machine type for KVM_CREATE_VM, whose address space has room for this memory. */
int mv_arch_vm_type(const struct mv_kvm *kvm, const struct mv_mem *mem, unsigned long *ret_type,
                    struct mv_error *err);

/* For a new VM, before its memory and vCPUs: checks what KVM offers, and creates the interrupt
 * controllers. */
int mv_arch_init_vm(struct mv_arch *arch, const struct mv_kvm *kvm, const struct mv_mem *mem,
                    struct mv_error *err);

/* Puts a new vCPU into its start state. */
int mv_arch_init_vcpu(struct mv_arch *arch, struct mv_mem *mem, struct mv_vcpu *vcpu,
                      struct mv_error *err);

/* The last step before the guest can start, after all vCPUs exist.  kvm: NULL if there is no KVM;
 * then only the tables are completed. */
int mv_arch_finish(struct mv_arch *arch, const struct mv_kvm *kvm, struct mv_mem *mem,
                   struct mv_error *err);

/* Drives a global system interrupt.  Any thread. */
void mv_arch_set_irq(const struct mv_kvm *kvm, int gsi, bool level);

/* The program counter at this exit, if KVM puts it into the shared page; else 0. */
uint64_t mv_arch_pc(const struct kvm_run *run);

/* How the machine ends after an exit that only the architecture understands, or that is unknown. */
enum mv_end_reason mv_arch_exit(const struct kvm_run *run);

/* The vCPU was stopped for a while, and not at its guest's request: tells the guest, if there is a
 * way, so that it does not report a lockup.  Called before the vCPU is entered again. */
void mv_arch_tell_of_stop(const struct mv_vcpu *vcpu);

/* After a kick, in the vCPU's own thread: whether no interrupt can wake the vCPU. */
bool mv_arch_is_asleep(const struct mv_vcpu *vcpu);

#endif
