/* SPDX-License-Identifier: MIT */
/*
 * The smallest possible KVM program: open, a virtual machine, one memory slot,
 * one vCPU, one byte written to a device, exit.  What it costs is the floor below which no monitor
 * on the same host can come.
 *
 * With an argument it writes the time of that exit there, in the form of
 * minivmm's --timeline, so that start and end can be told apart.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "floor_cpu.h"

#define MEMORY (2u << 20)

static int fail(const char *what)
{
    perror(what);
    return 1;
}

static int write_mark(const char *path)
{
    struct timespec now;
    FILE *file;

    clock_gettime(CLOCK_MONOTONIC, &now);
    file = fopen(path, "we");
    if (!file)
        return fail(path);
    fprintf(file, "%lld 0 1 guest mark\n", (long long)now.tv_sec * 1000000000 + now.tv_nsec);
    return fclose(file) == 0 ? 0 : fail(path);
}

int main(int argc, char **argv)
{
    struct kvm_userspace_memory_region region = {.memory_size = MEMORY};
    struct kvm_run *run;
    const char *failed;
    void *memory;
    int dev = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm, vcpu;

    if (dev < 0)
        return fail("/dev/kvm");
    vm = ioctl(dev, KVM_CREATE_VM, 0);
    if (vm < 0)
        return fail("KVM_CREATE_VM");
    memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return fail("mmap");
    memcpy((uint8_t *)memory + CODE_GPA, code, sizeof(code));
    region.userspace_addr = (uintptr_t)memory;
    if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
        return fail("KVM_SET_USER_MEMORY_REGION");
    vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
    if (vcpu < 0)
        return fail("KVM_CREATE_VCPU");
    run = mmap(NULL, (size_t)ioctl(dev, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE,
               MAP_SHARED, vcpu, 0);
    if (run == MAP_FAILED)
        return fail("mmap of the vCPU");
    failed = prepare(vm, vcpu);
    if (failed)
        return fail(failed);
    if (ioctl(vcpu, KVM_RUN, 0) < 0 || run->exit_reason != EXIT_REASON)
        return fail("KVM_RUN");
    return argc > 1 ? write_mark(argv[1]) : 0;
}
