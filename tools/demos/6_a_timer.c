/* SPDX-License-Identifier: MIT */
/*
 * Demo 6: interrupts and a timer.
 *
 * A processor that has nothing to do sleeps (`hlt`), and something has to wake it: an interrupt.
 * Ours comes from the timer in the processor's local APIC, ten times, every 10 ms.  The interrupt
 * descriptor table (IDT) says where the processor goes on then: it pushes where it was, jumps,
 * and comes back by `iretq`, to the instruction after `hlt`.  KVM has the local APIC inside the
 * kernel, so that neither the sleep nor the interrupt is an exit to us; we see the `out` only.
 * The machine is a whole one this time: a bare one has no interrupt controllers.
 *
 * Questions: what if the handler does not write to EOI?  What if it takes longer than 10 ms?  Why
 * must `sti` and `hlt` stand together, and what goes wrong if the interrupt comes between them?
 */
#include <minivmm/vcpu.h>
#include <stdio.h>
#include <time.h>

/* The guest, which is put to 0x10000.  SDM volume 3: 6.14.1 (IDT), 11.4.1 and 11.5.4 (APIC). */
extern const uint8_t guest[], guest_end[];
__asm__(".pushsection .rodata\n"
        "guest:  lidt idtr(%rip)\n"
        "        movl $0xfee00000, %ebx\n"      /* the local APIC's registers */
        "        movl $0x1ff, 0xf0(%rbx)\n"     /* spurious vector 0xff, and the APIC is on */
        "        movl $0xb, 0x3e0(%rbx)\n"      /* the timer's clock (KVM's: 1 GHz) by 1 */
        "        movl $0x20020, 0x320(%rbx)\n"  /* periodic, vector 0x20 */
        "        movl $10000000, 0x380(%rbx)\n" /* from 10,000,000 down to 0: 10 ms */
        "        xorl %ecx, %ecx\n"
        "again:  sti\n"
        "        hlt\n"
        "        jmp again\n"
        "tick:   incl %ecx\n"
        "        movl %ecx, %eax\n"
        "        outb %al, $0x80\n" /* tell main of it */
        "        cmpl $10, %ecx\n"  /* in here, where no tick can come between */
        "        je done\n"
        "        movl $0, 0xb0(%rbx)\n" /* EOI: the next one may come */
        "        iretq\n"
        "done:   movb $0, %al\n"
        "        outb %al, $0xf4\n"             /* the exit port: the machine ends, status 0 */
        "idtr:   .word 33 * 16 - 1\n"           /* its last byte, */
        "        .quad 0x10000 + idt - guest\n" /* and where it begins */
        "idt:    .fill 32 * 16\n"               /* vectors 0 to 31, exceptions: nobody is there */
        "        .word tick - guest, 0x10\n"    /* vector 32: bits 0 to 15 of where, the code */
        "        .word 0x8e00, 1\n"             /* segment, an interrupt gate, bits 16 to 31, */
        "        .quad 0\n"                     /* and bits 32 to 63 */
        "guest_end:\n"
        ".popsection\n");

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

int main(void)
{
    const struct mv_flat flat = {.size = sizeof(flat),
                                 .mode = MV_MODE_64,
                                 .address = 0x10000,
                                 .code = guest,
                                 .bytes = (size_t)(guest_end - guest)};
    const struct mv_config config = {.size = sizeof(config), .memory = 16 << 20, .flat = &flat};
    struct mv_machine *machine;
    struct mv_exit exit = {.size = sizeof(exit)};
    struct mv_error err;
    unsigned ticks = 0;
    double began;

    if (mv_machine_create(&config, &machine, &err) < 0) {
        fprintf(stderr, "%s\nhint: %s\n", err.tried, err.hint);
        return 1;
    }
    began = now();
    while (mv_vcpu_run(mv_machine_vcpu(machine, 0), MV_UNTIL_UNHANDLED, MV_FOREVER, &exit) == 0 &&
           exit.kind == MV_EXIT_PORT) {
        printf("%6.1f ms: tick %llu\n", now() - began, (unsigned long long)exit.access.value);
        ticks++;
    }
    mv_machine_destroy(machine);
    printf("%u ticks, then the end, with status %d\n", ticks, exit.end.code);
    return ticks == 10 && exit.kind == MV_EXIT_END && exit.end.code == 0 ? 0 : 1;
}
