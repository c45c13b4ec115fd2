/* SPDX-License-Identifier: MIT */
/* The functions of arch.h that concern the machine as a whole: loading the guest and its tables,
 * and what KVM needs before the vCPUs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "layout.h"
#include "power.h"
#include "x86.h"

/* clang-format off */
static const struct mv_device_entry power[] = {
    {{.name = "power", .space = MV_SPACE_PORT, .base = MV_POWER_BASE, .bytes = MV_POWER_SIZE,
      .irq = MV_NO_IRQ}, mv_power_create},
};

static const struct mv_device_entry late[] = {
    {{.name = "kbd-reset", .space = MV_SPACE_PORT, .base = MV_KBD_BASE, .bytes = 1,
      .irq = MV_NO_IRQ}, mv_kbd_reset_create},
    {{.name = "reset-control", .space = MV_SPACE_PORT, .base = MV_RESET_CONTROL_BASE, .bytes = 1,
      .irq = MV_NO_IRQ}, mv_reset_control_create},
};
/* clang-format on */

const struct mv_device_entry *mv_arch_devices(unsigned *ret_count)
{
    *ret_count = MV_COUNT(power);
    return power;
}

/* A PC's devices come first: its keyboard controller replaces the one that can only reset. */
const struct mv_device_entry *mv_arch_late_device(const struct mv_arch *arch, unsigned index)
{
    unsigned theirs = mv_x86_oldpc.for_all + (arch->is_pc ? mv_x86_oldpc.for_pc : 0);

    if (index < theirs)
        return &mv_x86_oldpc.devices[index];
    return index - theirs < MV_COUNT(late) ? &late[index - theirs] : NULL;
}

int mv_arch_create(unsigned cpus, bool bare, struct mv_arch **ret_arch, struct mv_error *err)
{
    struct mv_arch *arch = calloc(1, sizeof(*arch));

    if (!arch)
        return mv_fail(err, -ENOMEM, NULL, NULL, "no memory for the machine");
    arch->cpus = cpus;
    arch->bare = bare;
    arch->entry.mode = MV_ENTRY_NONE;
    *ret_arch = arch;
    return 0;
}

void mv_arch_destroy(struct mv_arch *arch)
{
    if (!arch)
        return;
    free(arch->cpuid);
    free(arch);
}

/*
 * What a guest finds if it restarts itself by a jump to the BIOS, as Linux does on a
 * hardware-reduced machine if it finds no EFI: code that writes the reset register.
 *
 * mov al, 1; mov dx, 0x602; out dx, al; hlt; jmp to the hlt
 */
static void put_reset_vector(struct mv_mem *mem)
{
    enum { PORT = MV_POWER_BASE + MV_POWER_RESET };
    static const uint8_t code[] = {
        0xb0, MV_POWER_RESET_VALUE, 0xba, PORT & 0xff, PORT >> 8, 0xee, 0xf4, 0xeb, 0xfd};

    mv_mem_write(mem, MV_RESET_VECTOR, code, sizeof(code));
}

int mv_x86_load_kernel(struct mv_load *load, struct mv_error *err)
{
    /* in the order in which they are tried */
    const struct {
        enum mv_image_kind kind;
        mv_load_fn *load;
    } loaders[] = {
        {MV_IMAGE_BZIMAGE, mv_bzimage_load},
        {MV_IMAGE_ELF, mv_elf_load},
        {MV_IMAGE_ELF, mv_x86_oldpc.load_elf},
        {MV_IMAGE_UNKNOWN, mv_x86_oldpc.load_flat},
    };
    enum mv_image_kind kind =
        mv_image_probe(load->files, MV_IMAGE_BZIMAGE | MV_IMAGE_ELF, mv_x86_oldpc.kernels, err);
    int error = MV_LOAD_NEXT;

    for (unsigned i = 0; error == MV_LOAD_NEXT && i < MV_COUNT(loaders); i++)
        if (loaders[i].kind == kind)
            error = loaders[i].load(load, err);
    return error == MV_LOAD_NEXT ? -ENOEXEC : error; /* the probe has filled in *err */
}

int mv_arch_load(struct mv_arch *arch, struct mv_mem *mem, const struct mv_boot_files *files,
                 const struct mv_device *devices, unsigned count, struct mv_error *err)
{
    struct mv_load load = {.mem = mem, .files = files};
    size_t size = MV_ACPI_END - MV_ACPI_GPA;
    int error = files->kernel >= 0 ? mv_x86_load_kernel(&load, err) : 0;

    if (error)
        return error;
    if (!load.over_reset_vector)
        put_reset_vector(mem);
    arch->entry = load.entry;
    arch->is_pc = load.is_pc;
    if (mv_acpi_write(mv_mem_host(mem, MV_ACPI_GPA, size), size, MV_ACPI_GPA, devices, count,
                      arch->cpus) < 0)
        return mv_fail(err, -ENOSPC, NULL, "use fewer vCPUs",
                       "%u vCPUs are too many: the ACPI tables do not fit below 1 MiB", arch->cpus);
    mv_x86_oldpc.write_memory(mem, arch->cpus, arch->is_pc);
    return 0;
}

int mv_arch_vm_type(const struct mv_kvm *kvm, const struct mv_mem *mem, unsigned long *ret_type,
                    struct mv_error *err)
{
    (void)kvm, (void)mem, (void)err;
    *ret_type = 0;
    return 0;
}

static int check_capabilities(struct mv_arch *arch, const struct mv_kvm *kvm, struct mv_error *err)
{
    static const struct mv_kvm_need needed[] = {
        {KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP"},
        {KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY"},
        {KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID"},
        {KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT"},
    };
    int most = mv_kvm_check(kvm, KVM_CAP_MAX_VCPUS);
    int error = mv_kvm_require(kvm, needed, MV_COUNT(needed), err);

    if (error)
        return error;
    arch->have_sync_regs = (unsigned)mv_kvm_check(kvm, KVM_CAP_SYNC_REGS) & KVM_SYNC_X86_REGS;
    if (most && arch->cpus > (unsigned)most)
        return mv_fail(err, -EINVAL, NULL, "use fewer vCPUs",
                       "%u vCPUs: KVM supports at most %d here", arch->cpus, most);
    return 0;
}

int mv_x86_set_pics(const struct mv_kvm *kvm, const uint8_t vectors[2], const uint8_t masks[2])
{
    static const uint32_t chips[] = {KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE};
    int error = 0;

    for (unsigned i = 0; !error && i < MV_COUNT(chips); i++) {
        struct kvm_irqchip chip = {.chip_id = chips[i]};

        error = MV_KVM_CALL(kvm, kvm->vm, KVM_GET_IRQCHIP, &chip);
        chip.chip.pic.irq_base = vectors[i];
        chip.chip.pic.imr = masks[i];
        if (!error)
            error = MV_KVM_CALL(kvm, kvm->vm, KVM_SET_IRQCHIP, &chip);
    }
    return error;
}

/* Masks KVM's 8259s, whose lines all start unmasked; our MADT says that there are none. */
static int close_pics(const struct mv_kvm *kvm)
{
    static const uint8_t vectors[2] = {0, 0}, masks[2] = {0xff, 0xff};

    return mv_x86_set_pics(kvm, vectors, masks);
}

int mv_arch_init_vm(struct mv_arch *arch, const struct mv_kvm *kvm, const struct mv_mem *mem,
                    struct mv_error *err)
{
    uint64_t identity_map = MV_IDENTITY_MAP;
    int error = check_capabilities(arch, kvm, err);

    if (!error)
        error = mv_cpuid_init(arch, kvm, mem, err);
    if (error)
        return error;
    /* api.rst, 4.41 and 4.36: needed on Intel hosts, before any vCPU */
    error = MV_KVM_CALL(kvm, kvm->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity_map);
    if (error)
        return mv_fail(err, error, "KVM_SET_IDENTITY_MAP_ADDR", NULL, "KVM refuses: %s",
                       strerror(-error));
    error = MV_KVM_CALL_VALUE(kvm, kvm->vm, KVM_SET_TSS_ADDR, MV_TSS_GPA);
    if (error)
        return mv_fail(err, error, "KVM_SET_TSS_ADDR", NULL, "KVM refuses: %s", strerror(-error));
    if (arch->bare)
        return 0;
    /* for APIC IDs of 255 and more (api.rst, 7.8) */
    if (arch->cpus > 255) {
        error =
            mv_kvm_enable(kvm, KVM_CAP_X2APIC_API,
                          KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK);
        if (error)
            return mv_fail(err, error, "KVM_CAP_X2APIC_API", "use 255 at most",
                           "this KVM supports at most 255 vCPUs");
    }
    error = MV_KVM_CALL_VALUE(kvm, kvm->vm, KVM_CREATE_IRQCHIP, 0);
    if (!error)
        error = arch->is_pc ? mv_x86_oldpc.init_vm(kvm) : close_pics(kvm);
    if (error)
        return mv_fail(err, error, "KVM_CREATE_IRQCHIP", NULL,
                       "cannot create the interrupt controllers: %s", strerror(-error));
    return 0;
}

int mv_arch_finish(struct mv_arch *arch, const struct mv_kvm *kvm, struct mv_mem *mem,
                   struct mv_error *err)
{
    (void)arch, (void)kvm, (void)mem, (void)err;
    return 0;
}

void mv_arch_set_irq(const struct mv_kvm *kvm, int gsi, bool level)
{
    struct kvm_irq_level irq = {.irq = (uint32_t)gsi, .level = level};

    MV_KVM_CALL(kvm, kvm->vm, KVM_IRQ_LINE, &irq);
}
