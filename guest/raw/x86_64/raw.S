/* SPDX-License-Identifier: MIT */
/*
 * The smallest guest: its first instructions put mark 1 on the boot timer, the
 * next end the machine with exit status 0.  What is measured with it is the
 * monitor alone.  An ELF file with a PVH note, entered in 32-bit mode.
 */
        .section .note.pvh, "a", @note
        .long   4, 4, 18                /* name size, value size, XEN_ELFNOTE_PHYS32_ENTRY */
        .asciz  "Xen"
        .long   start

        .text
        .code32
        .globl  start
start:
        movb    $1, %al
        outb    %al, $0xf5
        movb    $0, %al
        outb    %al, $0xf4
        hlt

        .section .note.GNU-stack, "", @progbits
