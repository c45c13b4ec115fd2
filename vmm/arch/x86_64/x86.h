/* SPDX-License-Identifier: MIT */
/* What the files of this architecture, and the loaders for it, share. */
#ifndef MV_X86_H
#define MV_X86_H

#include "arch/arch.h"
#include "boot/boot.h"

struct mv_arch {
    unsigned cpus;
    bool bare;
    bool is_pc; /* with what old kernels expect of one */
    struct mv_entry entry;
    struct kvm_cpuid2 *cpuid; /* one for all vCPUs, with the APIC IDs patched for each */
    bool have_sync_regs;
};

/* ---- host.c ---- */

/* Whether this processor is emulated by QEMU (TCG). */
bool mv_emulated_by_tcg(void);

/* What of a host's processor decides what it needs for KVM. */
struct mv_x86_features {
    bool vmx, svm, hypervisor, is_amd;
};

/* mv_hint_no_kvm for such a processor. */
void mv_x86_hint_no_kvm(const struct mv_x86_features *has, char *ret_hint, size_t size);

/* ---- e820.c ---- */

/* ACPI 6.4, 15.4: address range types */
enum { MV_E820_RAM = 1, MV_E820_RESERVED = 2 };

struct mv_e820_entry {
    uint64_t base, size;
    uint32_t type;
};

#define MV_E820_ENTRIES 6

/* The memory map that the guest is told; returns how many entries it has. */
unsigned mv_e820_fill(const struct mv_mem *mem, struct mv_e820_entry entries[MV_E820_ENTRIES]);

/* ---- bios.c ---- */

/* Has calls of a BIOS end the machine: see bios_call.c. */
void mv_bios_write_vectors(struct mv_mem *mem);

/* What an old PC's firmware leaves below 1 MiB, for all guests: Linux with acpi=off, too.  Its
 * tables have the first 39 CPUs at most. */
void mv_bios_write(struct mv_mem *mem, unsigned cpus);

/* ---- acpi.c ---- */

/* Writes the tables into size bytes of memory that the guest will see at gpa.  is_pc: they tell of
 * fixed hardware and of an old PC's devices.  Returns how many bytes they take, or -ENOSPC. */
int64_t mv_acpi_write(uint8_t *to, size_t size, mv_gpa gpa, const struct mv_device *devices,
                      unsigned count, unsigned cpus, bool is_pc);

/* ---- cpuid.c ---- */

/* Fits what KVM supports to a machine of so many single-thread cores in one
 * socket.  room: how many entries fit.  tsc_khz: 0 if not known. */
void mv_cpuid_fit(struct kvm_cpuid2 *cpuid, unsigned room, unsigned cpus, uint32_t tsc_khz);

/* Has guests end interrupts by an exit, rather than in memory that they share with KVM. */
void mv_cpuid_refuse_pv_eoi(struct kvm_cpuid2 *cpuid);

/* Sets what differs from vCPU to vCPU. */
void mv_cpuid_set_apic_id(struct kvm_cpuid2 *cpuid, uint32_t apic_id);

/* How many bits a guest-physical address has. */
unsigned mv_cpuid_address_bits(const struct kvm_cpuid2 *cpuid);

/* The bits of CR4 that a guest with this CPUID may set. */
uint64_t mv_cpuid_cr4(const struct kvm_cpuid2 *cpuid);

#endif
