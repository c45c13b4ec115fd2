/* SPDX-License-Identifier: MIT */
/* What the files of this architecture, and the loaders for it, share. */
#ifndef MV_X86_H
#define MV_X86_H

#include "arch/arch.h"
#include "boot/boot.h"

struct mv_arch {
    unsigned cpus;
    bool bare;
    bool is_pc; /* see mv_load */
    struct mv_entry entry;
    struct kvm_cpuid2 *cpuid; /* one for all vCPUs, with the APIC IDs patched for each */
    bool have_sync_regs;
};

/* ---- loaders ---- */

/* What a loader returns for a kernel that is of its kind of file, but not of its format. */
enum { MV_LOAD_NEXT = 1 };

/* A loader explains every failure: -ENOEXEC, -ENOMEM, -EINVAL, -E2BIG or an I/O error. */
typedef int mv_load_fn(struct mv_load *load, struct mv_error *err);

mv_load_fn mv_bzimage_load;
mv_load_fn mv_elf_load; /* by PVH's note */

mv_load_fn mv_x86_load_kernel; /* machine.c: whatever is a kernel */

/* ---- the part for kernels that expect an old PC, or its stub ---- */

struct mv_x86_oldpc {
    const char *kernels; /* which there are, for a hint: all that this machine loads */

    /* Of what the loaders above leave: ELF files, and files of no known kind. */
    mv_load_fn *load_elf, *load_flat;

    /* Devices that no table tells of.  The first ones are for every guest, the rest for one that
     * expects a PC. */
    const struct mv_device_entry *devices;
    unsigned for_all, for_pc;

    /* Adds to what lies in memory for every guest, once ACPI's tables are there, so many CPUs', and
     * fits those to a PC. */
    void (*write_memory)(struct mv_mem *mem, unsigned cpus, bool is_pc);

    /* For a guest that expects a PC: the interrupt controllers of a fresh VM, and its first vCPU,
     * as a PC's firmware leaves them.  0 or -errno. */
    int (*init_vm)(const struct mv_kvm *kvm);
    int (*init_vcpu)(const struct mv_kvm *kvm, int vcpu);
};

extern const struct mv_x86_oldpc mv_x86_oldpc;

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

/* As PVH has it (struct hvm_memmap_table_entry). */
struct mv_e820_entry {
    uint64_t base, size;
    uint32_t type, reserved;
};

#define MV_E820_ENTRIES 5

/* The memory map that the guest is told; returns how many entries it has. */
unsigned mv_e820_fill(const struct mv_mem *mem, struct mv_e820_entry entries[MV_E820_ENTRIES]);

/* ---- acpi.c ---- */

/* Writes the tables into size bytes of memory that the guest will see at gpa.  Returns how many
 * bytes they take, or -ENOSPC. */
int64_t mv_acpi_write(uint8_t *to, size_t size, mv_gpa gpa, const struct mv_device *devices,
                      unsigned count, unsigned cpus);

/* The byte that makes the sum of these 0. */
uint8_t mv_acpi_checksum(const void *from, size_t size);

/* ---- cpuid.c ---- */

/* arch->cpuid: what KVM supports, fitted to this machine.  Explains its failure. */
int mv_cpuid_init(struct mv_arch *arch, const struct mv_kvm *kvm, const struct mv_mem *mem,
                  struct mv_error *err);

/* Fits what KVM supports to a machine of so many single-thread cores in one
 * socket.  room: how many entries fit.  tsc_khz: 0 if not known.  deadline: whether KVM has the TSC
 * deadline timer. */
void mv_cpuid_fit(struct kvm_cpuid2 *cpuid, unsigned room, unsigned cpus, uint32_t tsc_khz,
                  bool deadline);

/* Has guests end interrupts by an exit, rather than in memory that they share with KVM. */
void mv_cpuid_refuse_pv_eoi(struct kvm_cpuid2 *cpuid);

/* Sets what differs from vCPU to vCPU. */
void mv_cpuid_set_apic_id(struct kvm_cpuid2 *cpuid, uint32_t apic_id);

/* How many bits a guest-physical address has. */
unsigned mv_cpuid_address_bits(const struct kvm_cpuid2 *cpuid);

#endif
