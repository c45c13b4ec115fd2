/* SPDX-License-Identifier: MIT */
/* Crashes at its third instruction, before any exit: without an IDT, an
 * exception is a triple fault. */
        .section .note.pvh, "a", @note
        .long   4, 4, 18                /* XEN_ELFNOTE_PHYS32_ENTRY */
        .asciz  "Xen"
        .long   start

        .text
        .code32
        .globl  start
start:
        movl    $0x600dc0de, %ebx
        nop
        ud2

        .section .note.GNU-stack, "", @progbits
