/* SPDX-License-Identifier: MIT */
/* The functions of arch.h that concern the machine as a whole: memory, the guest and its device
 * tree, and the interrupt controller. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "arm64.h"
#include "dev/rtc.h"
#include "layout.h"

#define LEAST_ADDRESS_BITS 32 /* smallest address space of a VM type (api.rst, 4.2) */
#define USUAL_ADDRESS_BITS 40 /* that of type 0, where KVM offers no choice */

unsigned mv_arch_memory_map(uint64_t bytes, struct mv_region *ret_regions)
{
    ret_regions[0] = (struct mv_region){.base = MV_RAM_GPA, .size = bytes};
    return 1;
}

const struct mv_device_entry *mv_arch_devices(unsigned *ret_count)
{
    static const struct mv_device_entry entries[] = {
        {{.name = "rtc",
          .compatible = "arm,pl031",
          .node = "rtc",
          .space = MV_SPACE_MMIO,
          .base = MV_RTC_BASE,
          .bytes = 0x1000,
          .irq = MV_NO_IRQ,
          .primecell = true},
         mv_rtc_create},
    };

    *ret_count = MV_COUNT(entries);
    return entries;
}

const struct mv_device_entry *mv_arch_late_device(const struct mv_arch *arch, unsigned index)
{
    (void)arch, (void)index;
    return NULL;
}

int mv_arch_create(unsigned cpus, bool bare, struct mv_arch **ret_arch, struct mv_error *err)
{
    struct mv_arch *arch = calloc(1, sizeof(*arch));

    if (!arch)
        return mv_fail(err, -ENOMEM, NULL, NULL, "no memory for the machine");
    arch->gic = -1;
    arch->bare = bare;
    arch->entry.mode = MV_ENTRY_NONE;
    arch->tree.cpus = cpus;
    arch->tree.gic = 3;
    *ret_arch = arch;
    return 0;
}

void mv_arch_destroy(struct mv_arch *arch)
{
    if (!arch)
        return;
    mv_close_fd(&arch->gic);
    free(arch->append);
    free(arch);
}

int mv_arch_load(struct mv_arch *arch, struct mv_mem *mem, const struct mv_boot_files *files,
                 const struct mv_device *devices, unsigned count, struct mv_error *err)
{
    struct mv_load load = {.mem = mem, .files = files, .entry.data = MV_RAM_GPA};
    struct mv_arm64_tree *tree = &arch->tree;
    struct mv_fdt_chosen *chosen = &tree->chosen;
    int error;

    arch->tree_room = mv_arm64_tree_room(tree->cpus, files->append);
    if (arch->tree_room > 2 * MV_MIB) /* booting.rst, 2: the device tree */
        return mv_fail(err, -E2BIG, NULL, "use fewer vCPUs, and a shorter command line",
                       "the device tree would take %llu KiB: at most 2048 are supported",
                       (unsigned long long)(arch->tree_room / MV_KIB));
    arch->append = strdup(files->append);
    if (!arch->append)
        return mv_fail(err, -ENOMEM, NULL, NULL, "no memory for the command line");
    error = files->kernel >= 0 ? mv_arm64_load(&load, arch->tree_room, err) : 0;
    if (error)
        return error;
    arch->entry = load.entry;
    tree->mem = mem;
    tree->devices = devices;
    tree->count = count;
    chosen->append = arch->append;
    chosen->initrd = load.initrd;
    chosen->initrd_size = load.initrd ? files->initrd_size : 0;
    if (getrandom(chosen->seed, sizeof(chosen->seed), 0) != (ssize_t)sizeof(chosen->seed))
        return mv_fail(err, -EIO, "getrandom", NULL, "cannot get random bytes from the host");
    return 0;
}

/* The smaller the address space, the fewer levels KVM's page tables have. */
int mv_arch_vm_type(const struct mv_kvm *kvm, const struct mv_mem *mem, unsigned long *ret_type,
                    struct mv_error *err)
{
    int limit = mv_kvm_check(kvm, KVM_CAP_ARM_VM_IPA_SIZE);
    unsigned most = limit ? (unsigned)limit : USUAL_ADDRESS_BITS;
    unsigned bits = 64 - (unsigned)__builtin_clzll(mv_mem_last(mem));

    bits = (unsigned)mv_max(bits, LEAST_ADDRESS_BITS);
    if (bits > most)
        return mv_fail(err, -EINVAL, NULL, "give the guest less memory",
                       "this host supports at most %llu GiB of guest memory",
                       (unsigned long long)(((1ull << most) - MV_RAM_GPA) / MV_GIB));
    *ret_type = limit ? KVM_VM_TYPE_ARM_IPA_SIZE(bits) : 0;
    return 0;
}

static int check_capabilities(const struct mv_kvm *kvm, struct mv_error *err)
{
    static const struct mv_kvm_need needed[] = {
        {KVM_CAP_ARM_PSCI_0_2, "KVM_CAP_ARM_PSCI_0_2"},
        {KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY"},
        {KVM_CAP_ONE_REG, "KVM_CAP_ONE_REG"},
        {KVM_CAP_DEVICE_CTRL, "KVM_CAP_DEVICE_CTRL"},
        {KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT"},
    };

    return mv_kvm_require(kvm, needed, MV_COUNT(needed), err);
}

/* After the GIC is created: KVM then reports its limit. */
static int check_cpus(const struct mv_arch *arch, const struct mv_kvm *kvm, struct mv_error *err)
{
    int most = mv_kvm_check(kvm, KVM_CAP_MAX_VCPUS);

    if (most && arch->tree.cpus > (unsigned)most)
        return mv_fail(err, -EINVAL, NULL, "use fewer vCPUs",
                       "%u vCPUs: KVM supports at most %d here, with a GICv%u", arch->tree.cpus,
                       most, arch->tree.gic);
    return 0;
}

/* api.rst, devices/arm-vgic-v3.rst and arm-vgic.rst */
static int set_gic(const struct mv_arch *arch, const struct mv_kvm *kvm, uint32_t group,
                   uint64_t attr, void *value)
{
    struct kvm_device_attr device_attr = {
        .group = group, .attr = attr, .addr = (uint64_t)(uintptr_t)value};

    return MV_KVM_CALL(kvm, arch->gic, KVM_SET_DEVICE_ATTR, &device_attr);
}

/* Creates a GICv3, or a GICv2 if the host cannot virtualize a GICv3. */
static int create_gic(struct mv_arch *arch, const struct mv_kvm *kvm, struct mv_error *err)
{
    struct kvm_create_device device = {.type = KVM_DEV_TYPE_ARM_VGIC_V3};
    uint64_t distributor = MV_GICD_GPA, second = MV_GICR_GPA;
    uint64_t second_attr = KVM_VGIC_V3_ADDR_TYPE_REDIST;
    uint64_t distributor_attr = KVM_VGIC_V3_ADDR_TYPE_DIST;
    uint32_t interrupts = MV_GIC_INTERRUPTS;
    int error = MV_KVM_CALL(kvm, kvm->vm, KVM_CREATE_DEVICE, &device);

    if (error == -ENODEV) {
        arch->tree.gic = 2;
        distributor_attr = KVM_VGIC_V2_ADDR_TYPE_DIST;
        second = MV_GICC_GPA;
        second_attr = KVM_VGIC_V2_ADDR_TYPE_CPU;
        device.type = KVM_DEV_TYPE_ARM_VGIC_V2;
        error = MV_KVM_CALL(kvm, kvm->vm, KVM_CREATE_DEVICE, &device);
    }
    if (!error) {
        arch->gic = (int)device.fd;
        error = set_gic(arch, kvm, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &interrupts);
    }
    if (!error)
        error = set_gic(arch, kvm, KVM_DEV_ARM_VGIC_GRP_ADDR, distributor_attr, &distributor);
    if (!error)
        error = set_gic(arch, kvm, KVM_DEV_ARM_VGIC_GRP_ADDR, second_attr, &second);
    if (error)
        return mv_fail(err, error, "KVM_CREATE_DEVICE", NULL,
                       "cannot create the interrupt controller, a GICv3 or GICv2: %s",
                       strerror(-error));
    return 0;
}

/* Chooses the features of each vCPU: PSCI, and features of the host's CPU that KVM gives only on
 * request.  No PMU. */
static int choose_features(struct mv_arch *arch, const struct mv_kvm *kvm, struct mv_error *err)
{
    struct kvm_vcpu_init init;
    int error = MV_KVM_CALL(kvm, kvm->vm, KVM_ARM_PREFERRED_TARGET, &init);

    if (error)
        return mv_fail(err, error, "KVM_ARM_PREFERRED_TARGET", NULL,
                       "cannot find out which CPU KVM offers: %s", strerror(-error));
    arch->target = init.target;
    arch->features = 1u << KVM_ARM_VCPU_PSCI_0_2;
    if (mv_kvm_check(kvm, KVM_CAP_ARM_PTRAUTH_ADDRESS) &&
        mv_kvm_check(kvm, KVM_CAP_ARM_PTRAUTH_GENERIC))
        arch->features |= 1u << KVM_ARM_VCPU_PTRAUTH_ADDRESS | 1u << KVM_ARM_VCPU_PTRAUTH_GENERIC;
    if (mv_kvm_check(kvm, KVM_CAP_ARM_SVE))
        arch->features |= 1u << KVM_ARM_VCPU_SVE;
    return 0;
}

int mv_arch_init_vm(struct mv_arch *arch, const struct mv_kvm *kvm, const struct mv_mem *mem,
                    struct mv_error *err)
{
    int error = check_capabilities(kvm, err);

    (void)mem;
    if (!error && !arch->bare)
        error = create_gic(arch, kvm, err);
    if (!error)
        error = check_cpus(arch, kvm, err);
    if (!error)
        error = choose_features(arch, kvm, err);
    /* With this, an access that KVM cannot decode is an exit, which can be reported.  Without it,
     * or if this fails, it is an error of KVM_RUN. */
    if (!error && mv_kvm_check(kvm, KVM_CAP_ARM_NISV_TO_USER))
        mv_kvm_enable(kvm, KVM_CAP_ARM_NISV_TO_USER, 0);
    return error;
}

int mv_arch_finish(struct mv_arch *arch, const struct mv_kvm *kvm, struct mv_mem *mem,
                   struct mv_error *err)
{
    void *to = mv_mem_host(mem, arch->entry.data, arch->tree_room);
    int error = 0;

    if (arch->bare)
        return 0;
    if (kvm)
        error = set_gic(arch, kvm, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);
    if (error)
        return mv_fail(err, error, "KVM_SET_DEVICE_ATTR", NULL,
                       "cannot initialize the interrupt controller: %s", strerror(-error));
    if (!to || mv_arm64_tree_write(&arch->tree, to, arch->tree_room) < 0)
        return mv_fail(err, -ENOSPC, NULL, "use fewer vCPUs", "the device tree does not fit");
    return 0;
}

void mv_arch_set_irq(const struct mv_kvm *kvm, int gsi, bool level)
{
    /* api.rst, 4.25 KVM_IRQ_LINE */
    struct kvm_irq_level irq = {
        .irq = KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT | (32 + (uint32_t)gsi),
        .level = level,
    };

    MV_KVM_CALL(kvm, kvm->vm, KVM_IRQ_LINE, &irq);
}
