/* SPDX-License-Identifier: MIT */
/* What the files of this architecture and its loaders share. */
#ifndef MV_X86_H
#define MV_X86_H

#include "arch/arch.h"
#include "boot/boot.h"

struct mv_arch {
    unsigned cpus;
    bool bare;
    bool is_pc; /* see mv_load */
    struct mv_entry entry;
    struct kvm_cpuid2 *cpuid; /* one for all vCPUs; the APIC ID is patched for each */
    bool have_sync_regs;
};

/* ---- loaders ---- */

/* Returned by a loader if the file is of its kind, but not in its format: try the next one. */
enum { MV_LOAD_NEXT = 1 };

/* On failure a loader fills in *err and returns -ENOEXEC, -ENOMEM, -EINVAL, -E2BIG or an I/O
 * error. */
typedef int mv_load_fn(struct mv_load *load, struct mv_error *err);

mv_load_fn mv_bzimage_load;
mv_load_fn mv_elf_load; /* ELF files with the PVH note */

mv_load_fn mv_x86_load_kernel; /* machine.c: any kernel that is supported */

/* ---- the part for kernels that expect an old PC, or its stub ---- */

struct mv_x86_oldpc {
    const char *kernels; /* for a hint: the formats that this machine loads */

    /* For what the loaders above do not take: ELF files, and files of unknown kind. */
    mv_load_fn *load_elf, *load_flat;

    /* Devices that no table describes: for_all ones for every guest, then for_pc ones for guests
     * that expect a PC. */
    const struct mv_device_entry *devices;
    unsigned for_all, for_pc;

    /* Called when the ACPI tables are written: adds what every guest finds in low memory, for
     * `cpus` CPUs, and adapts the tables to a PC if is_pc. */
    void (*write_memory)(struct mv_mem *mem, unsigned cpus, bool is_pc);

    /* For guests that expect a PC: put a new VM's interrupt controllers, and its first vCPU, into
     * the state in which a PC's firmware leaves them.  0 or -errno. */
    int (*init_vm)(const struct mv_kvm *kvm);
    int (*init_vcpu)(const struct mv_kvm *kvm, int vcpu);
};

extern const struct mv_x86_oldpc mv_x86_oldpc;

/* Sets the first vector and the mask of both 8259s, the master first.  0 or -errno. */
int mv_x86_set_pics(const struct mv_kvm *kvm, const uint8_t vectors[2], const uint8_t masks[2]);

/* ---- host.c ---- */

/* Whether this processor is emulated by QEMU (TCG). */
bool mv_emulated_by_tcg(void);

/* The features of a host's CPU that decide which hint about KVM applies. */
struct mv_x86_features {
    bool vmx, svm, hypervisor, is_amd;
};

/* mv_hint_no_kvm for a CPU with these features. */
void mv_x86_hint_no_kvm(const struct mv_x86_features *has, char *ret_hint, size_t size);

/* ---- e820.c ---- */

/* ACPI 6.4, 15.4: address range types */
enum { MV_E820_RAM = 1, MV_E820_RESERVED = 2 };

/* Laid out as in PVH (struct hvm_memmap_table_entry). */
struct mv_e820_entry {
    uint64_t base, size;
    uint32_t type, reserved;
};

#define MV_E820_ENTRIES 5

/* Fills in the memory map that the guest gets; returns the number of entries. */
unsigned mv_e820_fill(const struct mv_mem *mem, struct mv_e820_entry entries[MV_E820_ENTRIES]);

/* ---- acpi.c ---- */

/* Writes the tables into size bytes of memory, which the guest sees at gpa.  Returns how many bytes
 * they take, or -ENOSPC. */
int64_t mv_acpi_write(uint8_t *to, size_t size, mv_gpa gpa, const struct mv_device *devices,
                      unsigned count, unsigned cpus);

/* The byte that makes the sum of all bytes 0. */
uint8_t mv_acpi_checksum(const void *from, size_t size);

/* ---- cpuid.c ---- */

/* Sets arch->cpuid to what KVM supports, fitted to this machine.  Fills in *err on failure. */
int mv_cpuid_init(struct mv_arch *arch, const struct mv_kvm *kvm, const struct mv_mem *mem,
                  struct mv_error *err);

/* Fits what KVM supports to a machine with one socket of `cpus` single-thread cores.  room: how
 * many entries fit.  tsc_khz: 0 if unknown.  deadline: whether KVM has the TSC deadline timer. */
void mv_cpuid_fit(struct kvm_cpuid2 *cpuid, unsigned room, unsigned cpus, uint32_t tsc_khz,
                  bool deadline);

/* Makes guests end interrupts by an exit, rather than in memory that they share with KVM. */
void mv_cpuid_refuse_pv_eoi(struct kvm_cpuid2 *cpuid);

/* Sets the fields that differ between vCPUs. */
void mv_cpuid_set_apic_id(struct kvm_cpuid2 *cpuid, uint32_t apic_id);

/* The number of bits in a guest-physical address. */
unsigned mv_cpuid_address_bits(const struct kvm_cpuid2 *cpuid);

#endif
