/* SPDX-License-Identifier: MIT */
/* The calls to KVM: see kvm.h. */
#include "kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>

int mv_kvm_call_value(const struct mv_kvm *kvm, int fd, unsigned long request, const char *name,
                      unsigned long argument)
{
    uint64_t began = kvm->timeline->on ? mv_monotonic_ns() : 0;
    int result = ioctl(fd, request, argument);

    if (result < 0)
        result = -errno;
    mv_timeline_add_call(kvm->timeline, name, began);
    return result;
}

int mv_kvm_call(const struct mv_kvm *kvm, int fd, unsigned long request, const char *name,
                void *argument)
{
    return mv_kvm_call_value(kvm, fd, request, name, (unsigned long)(uintptr_t)argument);
}

int mv_kvm_open(struct mv_kvm *kvm, const char *path, struct mv_timeline *timeline,
                struct mv_error *err)
{
    MV_CLEANUP_FD int dev = open(path, O_RDWR | O_CLOEXEC);
    int version;

    *kvm = (struct mv_kvm){.dev = -1, .vm = -1, .timeline = timeline};
    if (dev < 0)
        return mv_kvm_explain_open(path, errno, err);
    version = MV_KVM_CALL_VALUE(kvm, dev, KVM_GET_API_VERSION, 0);
    if (version < 0)
        return mv_fail(err, version, "KVM_GET_API_VERSION", "name the real /dev/kvm",
                       "%s is not the KVM device: %s", path, strerror(-version));
    if (version != KVM_API_VERSION)
        return mv_fail(err, -EOPNOTSUPP, "KVM_GET_API_VERSION",
                       "this kernel is older than Linux 2.6.22; a newer one is needed",
                       "%s has version %d of the KVM API, and version %d is needed", path, version,
                       KVM_API_VERSION);
    kvm->dev = mv_steal_fd(&dev);
    return 0;
}

void mv_kvm_close(struct mv_kvm *kvm)
{
    mv_close_fd(&kvm->vm);
    mv_close_fd(&kvm->dev);
}

int mv_kvm_check(const struct mv_kvm *kvm, unsigned capability)
{
    int value =
        MV_KVM_CALL_VALUE(kvm, kvm->vm >= 0 ? kvm->vm : kvm->dev, KVM_CHECK_EXTENSION, capability);

    return value < 0 ? 0 : value;
}

int mv_kvm_require(const struct mv_kvm *kvm, const struct mv_kvm_need *needs, size_t count,
                   struct mv_error *err)
{
    for (size_t i = 0; i < count; i++)
        if (!mv_kvm_check(kvm, needs[i].capability))
            return mv_fail(err, -EOPNOTSUPP, "KVM_CHECK_EXTENSION",
                           "a newer kernel is needed, Linux 4.13 or later, with its own KVM",
                           "this KVM lacks %s", needs[i].name);
    return 0;
}

int mv_kvm_create_vm(struct mv_kvm *kvm, unsigned long type, struct mv_error *err)
{
    const char *hint = NULL;
    int size, vm;

    size = MV_KVM_CALL_VALUE(kvm, kvm->dev, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (size < (int)sizeof(struct kvm_run))
        return mv_fail(err, size < 0 ? size : -EOPNOTSUPP, "KVM_GET_VCPU_MMAP_SIZE", NULL,
                       "cannot get the size of a vCPU's shared memory from KVM");
    kvm->run_size = (size_t)size;
    do
        vm = MV_KVM_CALL_VALUE(kvm, kvm->dev, KVM_CREATE_VM, type);
    while (vm == -EINTR);
    if (vm == -EBUSY)
        hint = "another hypervisor (VirtualBox, VMware, ...) holds the processor; end its machines";
    if (vm < 0)
        return mv_fail(err, vm, "KVM_CREATE_VM", hint, "cannot create a virtual machine: %s",
                       strerror(-vm));
    kvm->vm = vm;
    return 0;
}

int mv_kvm_add_memory(struct mv_kvm *kvm, const struct mv_region *region)
{
    struct kvm_userspace_memory_region memory = {
        .slot = kvm->slots,
        .flags = region->read_only ? KVM_MEM_READONLY : 0,
        .guest_phys_addr = region->base,
        .memory_size = region->size,
        .userspace_addr = (uintptr_t)region->host,
    };
    int error;

    if (region->read_only && !mv_kvm_check(kvm, KVM_CAP_READONLY_MEM))
        return -EOPNOTSUPP;
    error = MV_KVM_CALL(kvm, kvm->vm, KVM_SET_USER_MEMORY_REGION, &memory);
    if (!error)
        kvm->slots++;
    return error;
}

int mv_kvm_enable(const struct mv_kvm *kvm, unsigned capability, uint64_t argument)
{
    struct kvm_enable_cap cap = {.cap = capability, .args = {argument}};

    return MV_KVM_CALL(kvm, kvm->vm, KVM_ENABLE_CAP, &cap);
}

int mv_kvm_ioeventfd(const struct mv_kvm *kvm, uint64_t address, int eventfd)
{
    /* api.rst, 4.59: with length 0, KVM may not have to decode the instruction */
    struct kvm_ioeventfd ioeventfd = {
        .addr = address,
        .len = mv_kvm_check(kvm, KVM_CAP_IOEVENTFD_ANY_LENGTH) ? 0 : 4,
        .fd = eventfd,
    };

    return MV_KVM_CALL(kvm, kvm->vm, KVM_IOEVENTFD, &ioeventfd);
}

int mv_kvm_create_vcpu(const struct mv_kvm *kvm, unsigned index)
{
    return MV_KVM_CALL_VALUE(kvm, kvm->vm, KVM_CREATE_VCPU, index);
}
