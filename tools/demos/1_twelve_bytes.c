/* SPDX-License-Identifier: MIT */
/*
 * Demo 1: twelve bytes in real mode.
 *
 * The smallest thing that deserves to be called a virtual machine: a processor, a little memory,
 * and machine code.  No firmware, no kernel, no devices.  The processor begins in real mode, as
 * a PC of 1981 did, and runs our bytes at full speed until one of them needs somebody outside:
 * `out` writes to a port, behind which there is no hardware, and so the processor leaves the
 * guest: an exit.  KVM gives it to us, and we play the hardware: what is written, we print.
 *
 * Questions: what happens if `hlt` is left out?  How many exits does printing "42" take?
 */
#include <minivmm/vcpu.h>
#include <stdio.h>

int main(void)
{
    static const uint8_t code[] = {
        0xba, 0xf8, 0x03, /* mov dx, 0x3f8   the port of a PC's first serial line */
        0x00, 0xd8,       /* add al, bl */
        0x04, '0',        /* add al, '0'     a digit becomes a character */
        0xee,             /* out dx, al */
        0xb0, '\n',       /* mov al, '\n' */
        0xee,             /* out dx, al */
        0xf4,             /* hlt */
    };
    struct mv_flat flat = {
        .size = sizeof(flat), .mode = MV_MODE_16, .code = code, .bytes = sizeof(code)};
    struct mv_config config = {
        .size = sizeof(config), .bare = true, .memory = 64 << 10, .flat = &flat};
    struct mv_machine *machine;
    struct mv_exit exit = {.size = sizeof(exit)};
    struct mv_vcpu *vcpu;
    struct mv_error err;

    if (mv_machine_create(&config, &machine, &err) < 0) {
        fprintf(stderr, "%s\nhint: %s\n", err.tried, err.hint);
        return 1;
    }
    vcpu = mv_machine_vcpu(machine, 0);
    mv_vcpu_set(vcpu, "rax", 2);
    mv_vcpu_set(vcpu, "rbx", 3);
    while (mv_vcpu_run(vcpu, MV_UNTIL_EXIT, MV_FOREVER, &exit) == 0 && exit.kind == MV_EXIT_PORT) {
        printf("exit: `out` of %llu to port %#llx", (unsigned long long)exit.access.value,
               (unsigned long long)exit.access.address);
        if (exit.access.value >= ' ')
            printf(", which is '%c'", (char)exit.access.value);
        printf("\n");
    }
    printf("exit: %s\n", mv_exit_kind_name(exit.kind));
    mv_machine_destroy(machine);
    return exit.kind == MV_EXIT_HALT ? 0 : 1;
}
