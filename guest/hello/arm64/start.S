/* SPDX-License-Identifier: MIT */
/*
 * The first instructions of a kernel, and the file format around them.
 *
 * hello.Image has the form of a Linux kernel (Documentation/arm64/booting.rst in
 * Linux's source), so each boot loader that can start Linux can start it:
 *
 *   file   0 +--------------------------------+ -> loaded wherever the loader likes
 *            | header; its first instruction  |
 *            | is where we are entered        |
 *         64 | start, C code, data            |
 *            +--------------------------------+
 *            | stack                          |  not in the file
 *            +--------------------------------+ -> image_size
 *
 * We find EL1, the MMU and caches off, and in X0 the address of the device
 * tree, which goes on to hello() in hello.c as it is.
 */

#define FLAG_PAGES_4K   (1 << 1)        /* what we map: nothing */
#define FLAG_ANYWHERE   (1 << 3)        /* not only near the start of memory */

        .section .start, "ax"
        .globl  _start
_start:
        b       start                   /* code0 */
        nop                             /* code1 */
        .quad   0                       /* text_offset */
        .quad   memory_needed           /* image_size */
        .quad   FLAG_PAGES_4K | FLAG_ANYWHERE
        .quad   0, 0, 0
        .ascii  "ARM\x64"               /* magic */
        .long   0                       /* the PE header of a kernel that EFI can start, too */

start:
        adrp    x1, stack_top           /* a page's address, as the stack's is one */
        mov     sp, x1
        mov     x29, xzr
        bl      hello
1:      wfi                             /* hello does not return */
        b       1b

        .section .stack, "aw", @nobits
        .balign 0x1000
        .skip   0x2000
stack_top:

        .section .note.GNU-stack, "", @progbits
