/* SPDX-License-Identifier: MIT */
/*
 * How an exit is served: parts are asked first, then the device at its address; what the guest
 * reads is stored where KVM expects it (api.rst, 5: KVM_EXIT_IO, KVM_EXIT_MMIO).
 */
#include <string.h>

#include "arch/arch.h"
#include "vcpu.h"

static bool is_access(const struct mv_exit *exit)
{
    return exit->kind == MV_EXIT_PORT || exit->kind == MV_EXIT_MMIO;
}

/* Where KVM keeps the data of the access being served. */
static uint8_t *access_data(const struct mv_vcpu *vcpu)
{
    struct kvm_run *run = vcpu->run;

    if (run->exit_reason == KVM_EXIT_MMIO)
        return run->mmio.data;
    return (uint8_t *)run + run->io.data_offset + (size_t)(vcpu->served - 1) * run->io.size;
}

/* Size 0: the exit is not an access. */
static struct mv_access take_access(const struct mv_vcpu *vcpu)
{
    const struct kvm_run *run = vcpu->run;
    struct mv_access access = {0};

    if (run->exit_reason == KVM_EXIT_MMIO)
        access = (struct mv_access){
            .address = run->mmio.phys_addr, .size = run->mmio.len, .write = run->mmio.is_write};
    else if (run->exit_reason == KVM_EXIT_IO)
        access = (struct mv_access){.address = run->io.port,
                                    .size = run->io.size,
                                    .write = run->io.direction == KVM_EXIT_IO_OUT};
    if (access.write)
        memcpy(&access.value, access_data(vcpu), access.size);
    else
        access.value = mv_size_mask(access.size); /* what an empty bus reads as */
    return access;
}

/* Uses the size and direction that KVM gave, since a hook may have changed them in *exit. */
static void put_answer(struct mv_vcpu *vcpu, const struct mv_exit *exit)
{
    struct mv_access *access = &vcpu->access;
    uint64_t value = is_access(exit) ? exit->access.value : UINT64_MAX;

    if (!access->size || access->write)
        return;
    access->value = value & mv_size_mask(access->size);
    memcpy(access_data(vcpu), &value, access->size);
}

static bool ask_parts(struct mv_vcpu *vcpu, struct mv_exit *exit)
{
    const struct mv_observer *const *observers = vcpu->host->observers;
    bool served = false;

    for (unsigned i = 0; i < MV_OBSERVERS && !served; i++)
        served = observers[i]->before && observers[i]->before(vcpu, exit);
    return served;
}

static bool ask_devices(struct mv_vcpu *vcpu, struct mv_exit *exit)
{
    const struct mv_bus *bus = exit->kind == MV_EXIT_PORT ? vcpu->host->ports : vcpu->host->mmio;
    struct mv_access *access = &exit->access;
    struct mv_device *device;

    if (!is_access(exit))
        return false;
    if (!access->write)
        return mv_bus_read(bus, access->address, access->size, &access->value);
    device = mv_bus_write(bus, access->address, access->size, access->value);
    if (device && (device->inner || device->ops->backpressure))
        vcpu->written = device;
    return device;
}

/* An exit that neither this code nor a part recognizes ends the machine. */
bool mv_vcpu_next(struct mv_vcpu *vcpu, struct mv_exit *exit)
{
    const struct mv_observer *const *observers = vcpu->host->observers;

    if (vcpu->run->exit_reason == KVM_EXIT_INTR)
        vcpu->phase = MV_VCPU_READY;
    if (vcpu->phase != MV_VCPU_EXITED || vcpu->served == vcpu->parts)
        return false;
    vcpu->phase = MV_VCPU_SERVING;
    vcpu->served++;
    *exit = (struct mv_exit){.size = sizeof(*exit), .pc = vcpu->pc};
    vcpu->access = take_access(vcpu);
    if (vcpu->access.size) {
        exit->kind = vcpu->run->exit_reason == KVM_EXIT_MMIO ? MV_EXIT_MMIO : MV_EXIT_PORT;
        exit->access = vcpu->access;
    } else if (vcpu->run->exit_reason == KVM_EXIT_HLT) {
        exit->kind = MV_EXIT_HALT;
    }
    exit->handled = ask_parts(vcpu, exit) || ask_devices(vcpu, exit);
    put_answer(vcpu, exit);
    if (exit->kind == MV_EXIT_NONE)
        vcpu->host->end(vcpu->host->machine, mv_arch_exit(vcpu->run), 0, (int)vcpu->index, 0);
    for (unsigned i = 0; i < MV_OBSERVERS; i++)
        if (observers[i]->after)
            observers[i]->after(vcpu, exit);
    vcpu->phase = vcpu->access.size ? MV_VCPU_EXITED : MV_VCPU_READY;
    return exit->kind != MV_EXIT_NONE;
}

void mv_vcpu_tell(struct mv_vcpu *vcpu)
{
    if (vcpu->phase == MV_VCPU_EXITED)
        vcpu->phase = MV_VCPU_TOLD;
}

void mv_vcpu_answer(struct mv_vcpu *vcpu, const struct mv_exit *exit)
{
    const struct mv_observer *const *observers = vcpu->host->observers;

    if (vcpu->phase == MV_VCPU_TOLD) { /* else the instruction was completed without it */
        vcpu->phase = MV_VCPU_EXITED;
        put_answer(vcpu, exit);
    }
    for (unsigned i = 0; i < MV_OBSERVERS; i++)
        if (observers[i]->answered)
            observers[i]->answered(vcpu, exit);
}

bool mv_vcpu_is_undecided(const struct mv_vcpu *vcpu)
{
    if (vcpu->phase == MV_VCPU_READY || vcpu->phase == MV_VCPU_SERVING)
        return false;
    return vcpu->served < vcpu->parts || (vcpu->phase == MV_VCPU_TOLD && !vcpu->access.write);
}
