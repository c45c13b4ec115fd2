/* SPDX-License-Identifier: MIT */
/*
 * The way into a test guest, by each protocol, to start() in arch.c; the way
 * of the other CPUs to ap_start(); and the entries of all interrupt vectors.
 * Each way in first writes down the state that it found, for entry.c to judge.
 */

/* struct entry_state in arch.h */
#define STATE_PROTOCOL  0
#define STATE_CR0       8
#define STATE_CR3       16
#define STATE_CR4       24
#define STATE_EFER      32
#define STATE_FLAGS     40
#define STATE_RBX       48
#define STATE_RSI       56
#define STATE_RDI       64
#define STATE_RBP       72
#define STATE_CS        80
#define STATE_DS        82
#define STATE_ES        84
#define STATE_SS        86
#define STATE_FS        88
#define STATE_GS        90
#define STATE_TR        92
#define STATE_GDTR      96
#define STATE_IDTR      112

#define PROTOCOL_PVH     1
#define PROTOCOL_LINUX32 2
#define PROTOCOL_LINUX64 3

#define TRAMPOLINE      0x10000 /* where APs begin, in real mode: page 0x10 */

/* ---- the boot header (boot.rst): none of this part is run ---- */

        .section .setup, "aw"
setup:
        .org    0x1f1
        .byte   1                       /* setup_sects */
        .word   0
        .long   syssize
        .word   0, 0xffff, 0, 0xaa55    /* ram_size, vid_mode, root_dev, boot_flag */
        .byte   0xeb, header_end - 1f
1:      .ascii  "HdrS"
        .word   0x020c
        .long   0, 0                    /* realmode_swtch, start_sys_seg, kernel_version */
        .byte   0, 1                    /* type_of_loader, loadflags: LOADED_HIGH */
        .word   0
        .long   entry32                 /* code32_start */
        .long   0, 0, 0                 /* ramdisk_image, ramdisk_size, bootsect_kludge */
        .word   0
        .byte   0, 0
        .long   0                       /* cmd_line_ptr */
        .long   0x7fffffff              /* initrd_addr_max */
        .long   0x1000                  /* kernel_alignment */
        .byte   0, 12                   /* relocatable_kernel, min_alignment */
        .word   1                       /* xloadflags: KERNEL_64; the runner clears it at 0x236 */
        .long   4000                    /* cmdline_size */
        .long   0
        .quad   0
        .long   0, 0
        .quad   0
        .quad   entry32                 /* pref_address */
        .long   memory_needed           /* init_size */
        .long   0
header_end:
        .org    0x400

        .section .note.pvh, "a", @note
        .long   4, 4, 18                /* XEN_ELFNOTE_PHYS32_ENTRY */
        .asciz  "Xen"
        .long   entry_pvh

/* ---- the ways in ---- */

        .section .start, "ax"
        .code32
        .globl  entry32
entry32:
        movl    $PROTOCOL_LINUX32, entry_state + STATE_PROTOCOL
        jmp     from32

        .org    0x200
        .code64
entry64:
        movq    %rbx, entry_state + STATE_RBX
        movq    %rsi, entry_state + STATE_RSI
        movq    %rdi, entry_state + STATE_RDI
        movq    %rbp, entry_state + STATE_RBP
        movl    $stack_top, %esp
        pushfq
        popq    entry_state + STATE_FLAGS
        movl    $PROTOCOL_LINUX64, entry_state + STATE_PROTOCOL
        movw    %cs, entry_state + STATE_CS
        movw    %ds, entry_state + STATE_DS
        movw    %es, entry_state + STATE_ES
        movw    %ss, entry_state + STATE_SS
        movw    %fs, entry_state + STATE_FS
        movw    %gs, entry_state + STATE_GS
        str     entry_state + STATE_TR
        sgdt    entry_state + STATE_GDTR
        sidt    entry_state + STATE_IDTR
        movq    %cr0, %rax
        movq    %rax, entry_state + STATE_CR0
        movq    %cr3, %rax
        movq    %rax, entry_state + STATE_CR3
        movq    %cr4, %rax
        movq    %rax, entry_state + STATE_CR4
        movl    $0xc0000080, %ecx
        rdmsr
        movl    %eax, entry_state + STATE_EFER
        lgdt    gdt_pointer
        ljmpl   *far_long_mode

        .code32
        .globl  entry_pvh
entry_pvh:
        movl    $PROTOCOL_PVH, entry_state + STATE_PROTOCOL
from32:
        movl    %ebx, entry_state + STATE_RBX
        movl    %esi, entry_state + STATE_RSI
        movl    %edi, entry_state + STATE_RDI
        movl    %ebp, entry_state + STATE_RBP
        movl    $stack_top, %esp
        pushfl
        popl    entry_state + STATE_FLAGS
        movw    %cs, entry_state + STATE_CS
        movw    %ds, entry_state + STATE_DS
        movw    %es, entry_state + STATE_ES
        movw    %ss, entry_state + STATE_SS
        movw    %fs, entry_state + STATE_FS
        movw    %gs, entry_state + STATE_GS
        str     entry_state + STATE_TR
        sgdt    entry_state + STATE_GDTR
        sidt    entry_state + STATE_IDTR
        movl    %cr0, %eax
        movl    %eax, entry_state + STATE_CR0
        movl    %cr3, %eax
        movl    %eax, entry_state + STATE_CR3
        movl    %cr4, %eax
        movl    %eax, entry_state + STATE_CR4
        movl    $0xc0000080, %ecx
        rdmsr
        movl    %eax, entry_state + STATE_EFER
        call    enter_long_mode
        ljmpl   $0x10, $long_mode

enter_long_mode:
        lgdtl   gdt_pointer
        movl    $page_map, %eax
        movl    %eax, %cr3
        movl    $1 << 5, %eax           /* PAE */
        movl    %eax, %cr4
        movl    $0xc0000080, %ecx
        rdmsr
        orl     $1 << 8, %eax           /* LME */
        wrmsr
        movl    %cr0, %eax
        orl     $1 << 31, %eax          /* PG */
        movl    %eax, %cr0
        ret

        .code64
long_mode:
        movl    $page_map, %eax
        movq    %rax, %cr3
        call    load_data_segments
        movl    $stack_top, %esp
        movl    $bss_start, %edi
        movl    $bss_end, %ecx
        subl    %edi, %ecx
        xorl    %eax, %eax
        rep stosb
        call    start
1:      hlt
        jmp     1b

load_data_segments:
        movl    $0x18, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        xorl    %eax, %eax
        movl    %eax, %fs
        movl    %eax, %gs
        ret

/* ---- the other CPUs: this is copied to TRAMPOLINE ---- */

        .globl  trampoline, trampoline_end
        .code16
trampoline:
        cli
        movw    %cs, %ax
        movw    %ax, %ds
        lgdtl   trampoline_pointer - trampoline
        movl    $0x11, %eax             /* PE, ET; caches on */
        movl    %eax, %cr0
        ljmpl   $0x20, $ap32
trampoline_pointer:
        .word   gdt_end - gdt - 1
        .long   gdt
trampoline_end:

        .code32
ap32:
        movw    $0x18, %ax
        movw    %ax, %ds
        movw    %ax, %ss
        movl    $1, %ebx                /* our number, and a stack of our own */
        lock xaddl %ebx, ap_count
        movl    %ebx, %esp
        shll    $12, %esp
        addl    $ap_stacks + 0x1000, %esp
        call    enter_long_mode
        ljmpl   $0x10, $ap64
        .code64
ap64:
        call    load_data_segments
        movl    %ebx, %edi
        call    ap_start
1:      hlt
        jmp     1b

/* ---- interrupts and exceptions: one entry for each vector, 16 bytes apart ---- */

        .text
        .globl  vector_entries
        .balign 16
vector_entries:
        .set    vector, 0
        .rept   256
        .balign 16
        .if     (vector == 8) || (vector >= 10 && vector <= 14) || (vector == 17) || (vector == 21)
        nop                             /* these push an error code by themselves */
        .else
        pushq   $0
        .endif
        pushq   $vector
        jmp     all_vectors
        .set    vector, vector + 1
        .endr

all_vectors:
        pushq   %rax
        pushq   %rcx
        pushq   %rdx
        pushq   %rsi
        pushq   %rdi
        pushq   %r8
        pushq   %r9
        pushq   %r10
        pushq   %r11
        movq    %rsp, %rdi
        cld
        call    on_vector
        popq    %r11
        popq    %r10
        popq    %r9
        popq    %r8
        popq    %rdi
        popq    %rsi
        popq    %rdx
        popq    %rcx
        popq    %rax
        addq    $16, %rsp
        iretq

/* ---- data ---- */

        .section .rodata, "a"
        .balign 8
gdt:    .quad   0, 0
        .quad   0x00af9b000000ffff      /* 0x10: code, 64 bits */
        .quad   0x00cf93000000ffff      /* 0x18: data */
        .quad   0x00cf9b000000ffff      /* 0x20: code, 32 bits */
gdt_end:
gdt_pointer:
        .word   gdt_end - gdt - 1
        .quad   gdt
far_long_mode:
        .long   long_mode
        .word   0x10

/* The first 8 GiB, each address mapped to itself, in pages of 2 MiB. */
        .section .data, "aw"
        .balign 0x1000
        .globl  page_map
page_map:
        .quad   level3 + 3
        .balign 0x1000
level3: .set    page, 0
        .rept   8
        .quad   level2 + page + 3
        .set    page, page + 0x1000
        .endr
        .balign 0x1000
level2: .set    page, 0
        .rept   8 * 512
        .quad   page + 0x83
        .set    page, page + 0x200000
        .endr

        .globl  entry_state
entry_state:
        .skip   128

        .section .bss, "aw", @nobits
        .balign 0x1000
        .globl  ap_count
ap_stacks:
        .skip   0x1000 * 16
        .skip   0x4000
stack_top:
ap_count:
        .long   0

        .section .note.GNU-stack, "", @progbits
