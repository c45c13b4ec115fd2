/* SPDX-License-Identifier: MIT */
/*
 * A virtual CPU: see vcpu.h.
 *
 * Stopping without a race (api.rst, 4.10 KVM_RUN, 5 immediate_exit): the kick
 * signal is blocked in the thread and unblocked by KVM for the time of KVM_RUN
 * only (KVM_SET_SIGNAL_MASK).  So it needs no handler and leaves the process's
 * dispositions alone; pending, it makes the next KVM_RUN return at once.  With
 * immediate_exit set before, it cannot be lost.
 */
#include "vcpu.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "arch/arch.h"

static int kick_signal(void)
{
    return SIGRTMIN;
}

int mv_vcpu_init(struct mv_vcpu *vcpu, unsigned index, const struct mv_vcpu_host *host)
{
    void *run;
    int fd;

    *vcpu = (struct mv_vcpu){.index = index, .fd = -1, .host = host};
    fd = mv_kvm_create_vcpu(host->kvm, index);
    if (fd < 0)
        return fd;
    vcpu->fd = fd;
    run = mmap(NULL, host->kvm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (run == MAP_FAILED)
        return -errno;
    vcpu->run = run;
    return 0;
}

void mv_vcpu_done(struct mv_vcpu *vcpu)
{
    if (vcpu->run)
        munmap(vcpu->run, vcpu->host->kvm->run_size);
    vcpu->run = NULL;
    mv_close_fd(&vcpu->fd);
}

int mv_vcpu_single_step(struct mv_vcpu *vcpu, struct mv_error *err)
{
    struct kvm_guest_debug debug = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP};
    int error = MV_KVM_CALL(vcpu->host->kvm, vcpu->fd, KVM_SET_GUEST_DEBUG, &debug);

    if (error)
        return mv_fail(err, error, "KVM_SET_GUEST_DEBUG", "leave out --step",
                       "this KVM cannot single-step a guest: %s", strerror(-error));
    return 0;
}

static void record(struct mv_vcpu *vcpu, const struct mv_exit_record *now)
{
    struct mv_exit_record *last =
        &vcpu->records[(vcpu->exits + MV_EXIT_RECORDS - 1) % MV_EXIT_RECORDS];

    if (vcpu->exits && last->reason == now->reason && last->address == now->address &&
        last->write == now->write && last->pc == now->pc && last->value == now->value) {
        last->repeats++;
        return;
    }
    vcpu->records[vcpu->exits++ % MV_EXIT_RECORDS] = *now;
}

static void end(struct mv_vcpu *vcpu, enum mv_end_reason reason, int error)
{
    vcpu->host->end(vcpu->host->context, reason, 0, (int)vcpu->index, error);
}

/* `rep outsb` and the like come as one exit with a count. */
static void do_port(struct mv_vcpu *vcpu, struct mv_exit_record *now)
{
    const struct kvm_run *run = vcpu->run;
    uint8_t *data = (uint8_t *)vcpu->run + run->io.data_offset;
    const struct mv_bus *ports = vcpu->host->ports;
    unsigned size = run->io.size;

    now->address = run->io.port;
    now->size = (uint8_t)size;
    now->write = run->io.direction == KVM_EXIT_IO_OUT;
    for (uint32_t i = 0; i < run->io.count; i++, data += size) {
        uint64_t value = 0;

        if (now->write) {
            memcpy(&value, data, size);
            mv_bus_write(ports, run->io.port, size, value);
        } else {
            mv_bus_read(ports, run->io.port, size, &value);
            memcpy(data, &value, size);
        }
        now->value = value;
        if (atomic_load_explicit(vcpu->host->ended, memory_order_relaxed))
            break;
    }
}

static void do_mmio(struct mv_vcpu *vcpu, struct mv_exit_record *now)
{
    struct kvm_run *run = vcpu->run;
    const struct mv_bus *mmio = vcpu->host->mmio;
    unsigned size = run->mmio.len;
    uint64_t value = 0;

    now->address = run->mmio.phys_addr;
    now->size = (uint8_t)size;
    now->write = run->mmio.is_write;
    if (now->write) {
        memcpy(&value, run->mmio.data, size);
        mv_bus_write(mmio, run->mmio.phys_addr, size, value);
    } else {
        mv_bus_read(mmio, run->mmio.phys_addr, size, &value);
        memcpy(run->mmio.data, &value, size);
    }
    now->value = value;
}

/* What the guest asked of firmware that KVM itself plays, such as PSCI. */
static void do_system_event(struct mv_vcpu *vcpu)
{
    switch (vcpu->run->system_event.type) {
    case KVM_SYSTEM_EVENT_SHUTDOWN: end(vcpu, MV_END_POWER_OFF, 0); break;
    case KVM_SYSTEM_EVENT_RESET: end(vcpu, MV_END_REBOOT, 0); break;
    case KVM_SYSTEM_EVENT_CRASH: end(vcpu, MV_END_PANIC, 0); break;
    default: end(vcpu, MV_END_INTERNAL_ERROR, 0); break;
    }
}

static void dispatch(struct mv_vcpu *vcpu)
{
    const struct kvm_run *run = vcpu->run;
    struct mv_exit_record now = {.reason = run->exit_reason};
    bool shut_down = run->exit_reason == KVM_EXIT_SHUTDOWN; /* its registers may be gone */

    mv_arch_synced_regs(run, shut_down ? NULL : &vcpu->last, &now.pc);
    switch (run->exit_reason) {
    case KVM_EXIT_IO: do_port(vcpu, &now); break;
    case KVM_EXIT_MMIO: do_mmio(vcpu, &now); break;
    case KVM_EXIT_INTR:
    case KVM_EXIT_DEBUG: return; /* a single step: no exit of the guest's own */
    case KVM_EXIT_SHUTDOWN: end(vcpu, MV_END_TRIPLE_FAULT, 0); break;
    case KVM_EXIT_SYSTEM_EVENT: do_system_event(vcpu); break;
    default: end(vcpu, MV_END_INTERNAL_ERROR, 0); break;
    }
    record(vcpu, &now);
}

static void *run_vcpu(void *context)
{
    struct mv_vcpu *vcpu = context;
    const struct mv_vcpu_host *host = vcpu->host;
    bool first = true;

    if (vcpu->index == 0)
        mv_timeline_add(host->kvm->timeline, "first KVM_RUN", 0);
    /* Pairs with the store in the machine's end function. */
    while (!atomic_load(host->ended)) {
        if (ioctl(vcpu->fd, KVM_RUN, 0) < 0) {
            if (errno == EINTR || errno == EAGAIN)
                continue;
            end(vcpu, MV_END_INTERNAL_ERROR, -errno);
            break;
        }
        if (first && vcpu->index == 0)
            mv_timeline_add(host->kvm->timeline, "first exit", 0);
        first = false;
        dispatch(vcpu);
    }
    return NULL;
}

/* During KVM_RUN the kick gets through, and what the C library keeps below
 * SIGRTMIN for itself: setuid in one thread waits for a handler in all others. */
static int set_masks(struct mv_vcpu *vcpu)
{
    /* bit n - 1 is signal n: 1 to 31, and those above the kick */
    const uint64_t signals = 0x7fffffff | ~((1ull << kick_signal()) - 1);
    _Alignas(struct kvm_signal_mask) uint8_t mask[sizeof(struct kvm_signal_mask) + sizeof(signals)];
    const struct kvm_signal_mask head = {.len = sizeof(signals)}; /* of the kernel's sigset_t */

    memcpy(mask, &head, sizeof(head));
    memcpy(mask + offsetof(struct kvm_signal_mask, sigset), &signals, sizeof(signals));
    return MV_KVM_CALL(vcpu->host->kvm, vcpu->fd, KVM_SET_SIGNAL_MASK, mask);
}

int mv_vcpu_start(struct mv_vcpu *vcpu)
{
    int error = set_masks(vcpu);

    if (!error)
        error = mv_start_thread(&vcpu->thread, run_vcpu, vcpu);
    vcpu->started = error == 0;
    return error;
}

void mv_vcpu_kick(struct mv_vcpu *vcpu)
{
    if (!vcpu->started)
        return;
    __atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST); /* read by KVM_RUN */
    pthread_kill(vcpu->thread, kick_signal());
}

void mv_vcpu_join(struct mv_vcpu *vcpu)
{
    if (!vcpu->started)
        return;
    pthread_join(vcpu->thread, NULL);
    vcpu->started = false;
}

const char *mv_exit_name(uint32_t reason)
{
    static const char *const names[] = {
        [KVM_EXIT_UNKNOWN] = "UNKNOWN",
        [KVM_EXIT_EXCEPTION] = "EXCEPTION",
        [KVM_EXIT_IO] = "IO",
        [KVM_EXIT_HYPERCALL] = "HYPERCALL",
        [KVM_EXIT_DEBUG] = "DEBUG",
        [KVM_EXIT_HLT] = "HLT",
        [KVM_EXIT_MMIO] = "MMIO",
        [KVM_EXIT_IRQ_WINDOW_OPEN] = "IRQ_WINDOW_OPEN",
        [KVM_EXIT_SHUTDOWN] = "SHUTDOWN",
        [KVM_EXIT_FAIL_ENTRY] = "FAIL_ENTRY",
        [KVM_EXIT_INTR] = "INTR",
        [KVM_EXIT_INTERNAL_ERROR] = "INTERNAL_ERROR",
        [KVM_EXIT_SYSTEM_EVENT] = "SYSTEM_EVENT",
        [KVM_EXIT_ARM_NISV] = "ARM_NISV",
    };

    return reason < MV_COUNT(names) && names[reason] ? names[reason] : "(other)";
}
