/* SPDX-License-Identifier: MIT */
/* The parts of an old PC that are added to an x86-64 machine: see struct mv_x86_oldpc. */
#include "oldpc.h"

#include <string.h>

#include "core/kvm.h"

/* clang-format off */
static const struct mv_device_entry devices[] = {
    {{.name = "bios-call", .space = MV_SPACE_PORT, .base = MV_BIOS_CALL_BASE, .bytes = 1,
      .irq = MV_NO_IRQ}, mv_bios_call_create},
    {{.name = "port-92", .space = MV_SPACE_PORT, .base = MV_PORT_92_BASE, .bytes = 1,
      .irq = MV_NO_IRQ}, mv_port_92_create},
    {{.name = "pm1", .space = MV_SPACE_PORT, .base = MV_PM1_BASE, .bytes = MV_PM1_SIZE,
      .irq = MV_NO_IRQ}, mv_pm1_create},
    {{.name = "pm1-bochs", .space = MV_SPACE_PORT, .base = MV_PM1_BOCHS_BASE, .bytes = 2,
      .irq = MV_NO_IRQ}, mv_pm1_create},
    {{.name = "pm1-virtualbox", .space = MV_SPACE_PORT, .base = MV_PM1_VIRTUALBOX_BASE, .bytes = 2,
      .irq = MV_NO_IRQ}, mv_pm1_create},
    /* For kernels that expect a PC.  Linux takes the time from KVM's clock; without a CMOS clock
     * it does not cause exits by reading the time there. */
    {{.name = "cmos", .space = MV_SPACE_PORT, .base = MV_CMOS_BASE, .bytes = 2, .irq = MV_NO_IRQ},
     mv_cmos_create},
    {{.name = "crtc", .space = MV_SPACE_PORT, .base = MV_CRTC_BASE, .bytes = MV_CRTC_SIZE,
      .irq = MV_NO_IRQ}, mv_crtc_create},
    {{.name = "keyboard", .space = MV_SPACE_PORT, .base = MV_KEYBOARD_BASE,
      .bytes = MV_KEYBOARD_SIZE, .irq = MV_KEYBOARD_IRQ}, mv_keyboard_create},
    {{.name = "ide0", .space = MV_SPACE_PORT, .base = 0x1f0, .bytes = 8, .irq = MV_NO_IRQ},
     mv_ide_create},
    {{.name = "ide0-control", .space = MV_SPACE_PORT, .base = 0x3f6, .bytes = 1, .irq = MV_NO_IRQ},
     mv_ide_create},
    {{.name = "ide1", .space = MV_SPACE_PORT, .base = 0x170, .bytes = 8, .irq = MV_NO_IRQ},
     mv_ide_create},
    {{.name = "ide1-control", .space = MV_SPACE_PORT, .base = 0x376, .bytes = 1, .irq = MV_NO_IRQ},
     mv_ide_create},
};
/* clang-format on */

enum { FOR_ALL = 5 }; /* the first 5 devices are for all guests */

static void write_memory(struct mv_mem *mem, unsigned cpus, bool is_pc)
{
    mv_bios_write_vectors(mem);
    mv_bios_write(mem, cpus);
    if (is_pc)
        mv_oldpc_fit_acpi(mem);
}

/*
 * As a PC's firmware leaves the pair of 8259s: at the BIOS's vectors, with the lines unmasked that
 * it handles: timer, keyboard, the second 8259, floppy disk; clock, mouse, coprocessor, hard disk.
 */
static int init_pics(const struct mv_kvm *kvm)
{
    static const uint8_t vectors[2] = {0x08, 0x70}, masks[2] = {0xb8, 0x8e};

    return mv_x86_set_pics(kvm, vectors, masks);
}

/*
 * The 8254 timer, as a PC's firmware leaves it: channel 0 counts down from 65,536, 18.2 times a
 * second, and its count is accessed as two bytes.  KVM then also provides port 0x61: the gate and
 * the output of channel 2, and the refresh bit, which toggles and which kernels use for delays.
 * Ending a machine that has the timer costs tens of milliseconds.
 */
static int init_pit(const struct mv_kvm *kvm)
{
    enum { RATE_GENERATOR = 2, LOW_THEN_HIGH = 3 };
    struct kvm_pit_config config = {.flags = KVM_PIT_SPEAKER_DUMMY};
    struct kvm_pit_state2 pit;
    int error = MV_KVM_CALL(kvm, kvm->vm, KVM_CREATE_PIT2, &config);

    if (!error)
        error = MV_KVM_CALL(kvm, kvm->vm, KVM_GET_PIT2, &pit);
    if (error)
        return error;
    pit.channels[0].mode = RATE_GENERATOR;
    pit.channels[0].rw_mode = pit.channels[0].read_state = pit.channels[0].write_state =
        LOW_THEN_HIGH;
    pit.channels[0].count = 0; /* 65,536 */
    return MV_KVM_CALL(kvm, kvm->vm, KVM_SET_PIT2, &pit);
}

static int init_vm(const struct mv_kvm *kvm)
{
    int error = init_pics(kvm);

    return error ? error : init_pit(kvm);
}

/* A PC's firmware enables the boot CPU's local APIC, which passes on the 8259s' interrupts (MPS
 * 3.6.2.2, virtual wire mode). */
static int init_vcpu(const struct mv_kvm *kvm, int vcpu)
{
    static const struct {
        unsigned offset;
        uint32_t value;
    } registers[] = {
        {0xf0, 0x1ff},   /* spurious interrupts: enabled, vector 0xff */
        {0x350, 0x8700}, /* LINT0: ExtINT */
        {0x360, 0x8400}, /* LINT1: NMI */
    };
    struct kvm_lapic_state apic;
    int error = MV_KVM_CALL(kvm, vcpu, KVM_GET_LAPIC, &apic);

    if (error)
        return error;
    for (unsigned i = 0; i < MV_COUNT(registers); i++)
        memcpy(apic.regs + registers[i].offset, &registers[i].value, sizeof(registers[i].value));
    return MV_KVM_CALL(kvm, vcpu, KVM_SET_LAPIC, &apic);
}

const struct mv_x86_oldpc mv_x86_oldpc = {
    .kernels = "name a bzImage (vmlinuz), a vmlinux with a PVH note, or a Multiboot kernel",
    .load_elf = mv_oldpc_load_elf,
    .load_flat = mv_multiboot_load,
    .devices = devices,
    .for_all = FOR_ALL,
    .for_pc = MV_COUNT(devices) - FOR_ALL,
    .write_memory = write_memory,
    .init_vm = init_vm,
    .init_vcpu = init_vcpu,
};
