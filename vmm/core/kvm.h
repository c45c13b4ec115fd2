/* SPDX-License-Identifier: MIT */
/*
 * The calls to KVM (Documentation/virt/kvm/api.rst), returning -errno.  All but KVM_RUN go through
 * one function, so that each can be timed.
 */
#ifndef MV_KVM_H
#define MV_KVM_H

#include <linux/kvm.h>
#include <stdint.h>

#include "log.h"
#include "memory.h"
#include "timeline.h"

struct mv_kvm {
    int dev;         /* /dev/kvm */
    int vm;          /* the virtual machine */
    unsigned slots;  /* memory slots in use: 0 to slots - 1 */
    size_t run_size; /* bytes of a vCPU's shared mapping, struct kvm_run */
    struct mv_timeline *timeline;
};

/* An ioctl on fd; returns its value (>= 0) or -errno. */
int mv_kvm_call(const struct mv_kvm *kvm, int fd, unsigned long request, const char *name,
                void *argument);
int mv_kvm_call_value(const struct mv_kvm *kvm, int fd, unsigned long request, const char *name,
                      unsigned long argument);

/* Also pass the request's name, for the timeline. */
#define MV_KVM_CALL(kvm, fd, request, argument) mv_kvm_call(kvm, fd, request, #request, argument)
#define MV_KVM_CALL_VALUE(kvm, fd, request, argument) \
    mv_kvm_call_value(kvm, fd, request, #request, argument)

/* Fills in *err, "cannot open /dev/kvm" and a hint, and returns -error.  error: an errno value. */
int mv_kvm_explain_open(const char *path, int error, struct mv_error *err);

/* Opens path and checks the API version.  On failure *err says why, and dev is -1. */
int mv_kvm_open(struct mv_kvm *kvm, const char *path, struct mv_timeline *timeline,
                struct mv_error *err);

/* Closes whatever is open; *kvm may be half-built. */
void mv_kvm_close(struct mv_kvm *kvm);

/* The value of a capability, 0 if KVM lacks it. */
int mv_kvm_check(const struct mv_kvm *kvm, unsigned capability);

/* Whether this computer's KVM is kvm_pvm, which emulates the guest's kernel mode. */
bool mv_kvm_is_pvm(void);

/* If it is, warns what that means for Linux as a guest. */
void mv_kvm_warn_of_pvm(struct mv_log *log);

/* A required capability. */
struct mv_kvm_need {
    unsigned capability;
    const char *name;
};

/* 0, or -EOPNOTSUPP with *err filled in if one of them is missing. */
int mv_kvm_require(const struct mv_kvm *kvm, const struct mv_kvm_need *needs, size_t count,
                   struct mv_error *err);

/* type: the machine type; its meaning depends on the architecture (api.rst, 4.2). */
int mv_kvm_create_vm(struct mv_kvm *kvm, unsigned long type, struct mv_error *err);

/* Maps a region into the guest, in the next memory slot.  A guest's write to a read-only region is
 * a KVM_EXIT_MMIO.  -EOPNOTSUPP: this KVM has no read-only memory. */
int mv_kvm_add_memory(struct mv_kvm *kvm, const struct mv_region *region);

int mv_kvm_enable(const struct mv_kvm *kvm, unsigned capability, uint64_t argument);

/* A write of any size to the MMIO address signals the eventfd, without an exit to user space. */
int mv_kvm_ioeventfd(const struct mv_kvm *kvm, uint64_t address, int eventfd);

/* Returns the new vCPU's file descriptor, which the caller closes, or -errno. */
int mv_kvm_create_vcpu(const struct mv_kvm *kvm, unsigned index);

#endif
