/* SPDX-License-Identifier: MIT */
/*
 * The way into a test guest (Documentation/arm64/booting.rst) to start() in arch.c;
 * the way of the other CPUs to ap_start(); and the exception vectors.  Before anything
 * else the first CPU keeps the state that it found, for entry.c to judge.
 *
 * While the MMU is off an access goes past the caches, so nothing is written to
 * memory until it is on: the map is in the image.
 *
 *   0x00_0000_0000  1 GiB    devices
 *   0x00_4000_0000  255 GiB  memory, and where none is
 *   0x40_0000_0000  1 GiB    devices once more, as memory that is not cached:
 *                            accesses need not be aligned there
 */

/* struct entry_state in arch.h */
#define STATE_X0        0
#define STATE_X2        16
#define STATE_EL        32
#define STATE_DAIF      40
#define STATE_SCTLR     48
#define STATE_SPSEL     56
#define STATE_PC        64

/* MAIR_EL1: the three kinds of memory, by their index in an entry of the map */
#define MAIR            0x4404ff        /* 2 not cached, 1 device nGnRE, 0 write-back */
#define MEMORY          (0 << 2 | 3 << 8 | 1 << 10 | 1)   /* inner shareable, AF, block */
#define DEVICE          (1 << 2 | 1 << 10 | 1 | 3 << 53)  /* never executed */
#define UNCACHED        (2 << 2 | 3 << 8 | 1 << 10 | 1 | 3 << 53)

/* TCR_EL1: 39 bits of address by TTBR0_EL1 in pages of 4 KiB, walks through the caches, none by
 * TTBR1_EL1; the size of physical addresses comes from ID_AA64MMFR0_EL1 */
#define TCR             (25 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23)
#define TCR_IPS_SHIFT   32
#define PA_RANGE_48     5               /* the most for pages of 4 KiB without LPA2 */

/* SCTLR_EL1: the bits that are one, then I, SA, C, M */
#define SCTLR           (0x30d00800 | 1 << 12 | 1 << 3 | 1 << 2 | 1 << 0)

        .section .start, "ax"
        .globl  _start
_start:
        b       entry                   /* code0 */
        nop                             /* code1 */
        .quad   TEXT_OFFSET             /* from a multiple of 2 MiB, near the start of memory */
        .quad   memory_needed           /* image_size */
        .quad   2                       /* pages of 4 KiB */
        .quad   0, 0, 0
        .ascii  "ARM\x64"
        .long   0

entry:
        mrs     x19, CurrentEL
        mrs     x20, DAIF
        mrs     x21, SCTLR_EL1
        mrs     x22, SPSel
        adr     x23, _start
        mov     x24, x0
        mov     x25, x1
        bl      mmu_on
        adrp    x4, stack_top
        add     sp, x4, :lo12:stack_top
        adrp    x4, bss_start
        add     x4, x4, :lo12:bss_start
        adrp    x5, bss_end
        add     x5, x5, :lo12:bss_end
1:      str     xzr, [x4], #8
        cmp     x4, x5
        b.lo    1b
        adrp    x4, entry_state
        add     x4, x4, :lo12:entry_state
        stp     x24, x25, [x4, #STATE_X0]
        stp     x2, x3, [x4, #STATE_X2]
        str     x19, [x4, #STATE_EL]
        str     x20, [x4, #STATE_DAIF]
        str     x21, [x4, #STATE_SCTLR]
        str     x22, [x4, #STATE_SPSEL]
        str     x23, [x4, #STATE_PC]
        bl      start
1:      wfi
        b       1b

/* ---- the other CPUs: X0 = number ---- */

        .globl  ap_entry
ap_entry:
        mov     x19, x0
        bl      mmu_on
        mov     x0, x19
        adrp    x4, ap_stacks
        add     x4, x4, :lo12:ap_stacks
        add     x5, x0, #1
        add     x4, x4, x5, lsl #12
        mov     sp, x4
        bl      ap_start
1:      wfi
        b       1b

/* Changes X5 to X7 only. */
mmu_on:
        msr     DAIFSet, #0xf
        msr     SPSel, #1
        adrp    x5, vectors
        add     x5, x5, :lo12:vectors
        msr     VBAR_EL1, x5
        ldr     x5, =MAIR
        msr     MAIR_EL1, x5
        ldr     x5, =TCR
        mrs     x6, ID_AA64MMFR0_EL1
        and     x6, x6, #0xf            /* PARange, which IPS is like */
        mov     x7, #PA_RANGE_48
        cmp     x6, x7
        csel    x6, x6, x7, lo
        orr     x5, x5, x6, lsl #TCR_IPS_SHIFT
        msr     TCR_EL1, x5
        adrp    x5, page_map
        msr     TTBR0_EL1, x5
        isb
        tlbi    vmalle1
        ic      iallu
        dsb     nsh
        isb
        ldr     x5, =SCTLR
        msr     SCTLR_EL1, x5
        isb
        ret
        .ltorg

/* ---- exceptions: struct frame in arch.h ---- */

#define FRAME_SIZE      288
#define FRAME_X30       240
#define FRAME_ELR       256
#define FRAME_ESR       272

        .macro  vector kind
        .balign 0x80
        sub     sp, sp, #FRAME_SIZE
        stp     x0, x1, [sp]
        mov     x0, #\kind
        b       all_vectors
        .endm

        .text
        .balign 0x800
vectors:
        .set    kind, 0
        .rept   16
        vector  kind
        .set    kind, kind + 1
        .endr

all_vectors:
        stp     x2, x3, [sp, #16]
        stp     x4, x5, [sp, #32]
        stp     x6, x7, [sp, #48]
        stp     x8, x9, [sp, #64]
        stp     x10, x11, [sp, #80]
        stp     x12, x13, [sp, #96]
        stp     x14, x15, [sp, #112]
        stp     x16, x17, [sp, #128]
        stp     x18, x19, [sp, #144]
        stp     x20, x21, [sp, #160]
        stp     x22, x23, [sp, #176]
        stp     x24, x25, [sp, #192]
        stp     x26, x27, [sp, #208]
        stp     x28, x29, [sp, #224]
        stp     x30, x0, [sp, #FRAME_X30] /* and the kind */
        mrs     x1, ELR_EL1
        mrs     x2, SPSR_EL1
        stp     x1, x2, [sp, #FRAME_ELR]
        mrs     x1, ESR_EL1
        mrs     x2, FAR_EL1
        stp     x1, x2, [sp, #FRAME_ESR]
        mov     x0, sp
        bl      on_exception
        ldp     x1, x2, [sp, #FRAME_ELR]
        msr     ELR_EL1, x1
        msr     SPSR_EL1, x2
        ldr     x30, [sp, #FRAME_X30]
        ldp     x18, x19, [sp, #144]    /* the others up to X29 the C code has kept */
        ldp     x16, x17, [sp, #128]
        ldp     x14, x15, [sp, #112]
        ldp     x12, x13, [sp, #96]
        ldp     x10, x11, [sp, #80]
        ldp     x8, x9, [sp, #64]
        ldp     x6, x7, [sp, #48]
        ldp     x4, x5, [sp, #32]
        ldp     x2, x3, [sp, #16]
        ldp     x0, x1, [sp]
        add     sp, sp, #FRAME_SIZE
        eret

/* ---- data ---- */

        .section .data, "aw"
        .balign 0x1000
page_map:
        .quad   DEVICE
        .set    gib, 1
        .rept   255
        .quad   gib << 30 | MEMORY
        .set    gib, gib + 1
        .endr
        .quad   UNCACHED
        .skip   255 * 8

        .globl  entry_state
        .section .bss, "aw", @nobits
        .balign 16
entry_state:
        .skip   72
        .balign 0x1000
ap_stacks:
        .skip   0x1000 * 32
        .skip   0x4000
stack_top:

        .section .note.GNU-stack, "", @progbits
