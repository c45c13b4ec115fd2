/* SPDX-License-Identifier: MIT */
/*
 * The smallest guest: its first instructions put mark 1 on the boot timer, the
 * next end the machine with exit status 0.  What is measured with it is the
 * monitor alone.  A flat image with the header of booting.rst.
 */
#define EXIT            0x01010000      /* vmm/arch/arm64/layout.h */
#define BOOT_TIMER      0x01020000

        .globl  _start
_start:
        mov     x1, #BOOT_TIMER         /* code0 */
        b       start                   /* code1 */
        .quad   0                       /* text_offset */
        .quad   memory_needed           /* image_size */
        .quad   0xa                     /* pages of 4 KiB; anywhere in memory */
        .quad   0, 0, 0
        .ascii  "ARM\x64"
        .long   0

start:
        mov     w0, #1
        strb    w0, [x1]
        mov     x1, #EXIT
        strb    wzr, [x1]
1:      wfi
        b       1b

        .section .note.GNU-stack, "", @progbits
