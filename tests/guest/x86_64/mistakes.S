/* SPDX-License-Identifier: MIT */
/*
 * The classic beginner's mistakes, each of which ends in a triple fault.  The last word of the
 * command line names one (minivmm explain mistakes.elf -a idt_too_short).  Entered by PVH: 32-bit
 * code, flat segments, no paging, no IDT, at 2 MiB so that the first one is left to the tables.
 */
        .section .note.pvh, "a", @note
        .long   4, 4, 18                /* XEN_ELFNOTE_PHYS32_ENTRY */
        .asciz  "Xen"
        .long   start

        .set    CODE32, 0x08
        .set    DATA, 0x10
        .set    CODE64, 0x18
        .set    TSS, 0x28
        .set    ABSENT, 0x38
        .set    UNMAPPED, 0x40000000
        .set    PRESENT_WRITE, 3
        .set    LARGE, 0x80
        .set    PML4, 0x300000          /* tables for 64 bits: the first 1 GiB, mapped to itself */
        .set    PDPT, 0x301000
        .set    PD, 0x302000
        .set    PT, 0x303000            /* of the 2 MiB from 4 MiB on */
        .set    EMPTY, 0x304000         /* a page of zeros */
        .set    IDT, 0x305000
        .set    STACK, 0x310000

        .macro  mistake name, mode
        .pushsection .names, "a"
1:      .asciz  "\name"
        .balign 32
        .long   \name, \mode
        .balign 64
        .popsection
\name:
        .code\mode
        .endm

        .text
        .code32
        .globl  start
start:
        movl    24(%ebx), %esi          /* hvm_start_info.cmdline_paddr */
        movl    %esi, %edx
1:      lodsb                           /* EDX: after the last space */
        cmpb    $' ', %al
        jne     2f
        movl    %esi, %edx
2:      testb   %al, %al
        jnz     1b
        movl    $names, %ebx
next:   movl    %ebx, %edi
        movl    %edx, %esi
3:      lodsb
        scasb
        jne     4f
        testb   %al, %al
        jnz     3b
        jmp     found
4:      addl    $64, %ebx
        cmpl    $names_end, %ebx
        jb      next
        movb    $99, %al                /* no such mistake */
        outb    %al, $0xf4

found:  lgdt    gdt_pointer
        movl    $DATA, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movl    $STACK, %esp
        ljmp    $CODE32, $5f
5:      movl    32(%ebx), %ebp
        cmpl    $64, 36(%ebx)
        je      6f
        jmp     *%ebp
6:      call    make_tables
        call    enable_long_mode
        ljmp    $CODE64, $7f
        .code64
7:      movl    %ebp, %eax
        jmp     *%rax

        .code32
make_tables:
        movl    $PDPT + PRESENT_WRITE, PML4
        movl    $PD + PRESENT_WRITE, PDPT
        movl    $0 + PRESENT_WRITE + LARGE, PD
        movl    $0x200000 + PRESENT_WRITE + LARGE, PD + 8
        movl    $PT + PRESENT_WRITE, PD + 16
        movl    $0x400000 + PRESENT_WRITE, PT
        ret

enable_long_mode:
        movl    $PML4, %eax
        movl    %eax, %cr3
        movl    $1 << 5, %eax           /* PAE */
        movl    %eax, %cr4
        movl    $0xc0000080, %ecx       /* EFER.LME */
        rdmsr
        orl     $1 << 8, %eax
        wrmsr
        movl    %cr0, %eax
        orl     $1 << 31, %eax          /* PG */
        movl    %eax, %cr0
        ret

        /* ---- exceptions that nobody has prepared for ---- */

        mistake page_fault_without_idt, 64
        movl    UNMAPPED, %eax

        mistake divide_by_zero, 32
        xorl    %ecx, %ecx
        divl    %ecx

        mistake system_call_without_entry, 32
        int     $0x80

        mistake not_canonical, 64
        movabsq $0x0000800000000000, %rax
        movb    $1, (%rax)

        mistake sse_not_enabled, 64
        movaps  %xmm0, %xmm1

        mistake interrupts_too_early, 32  /* one of our own local APIC's */
        movl    $0x1ff, 0xfee000f0
        movl    $0x40020, 0xfee00300
        sti
        nop
        nop
        nop

        mistake into_zeros, 64
        movl    $UNMAPPED, %eax
        movl    $EMPTY, %ecx
        jmp     *%rcx

        mistake return_with_error_code, 32  /* EIP, CS and EFLAGS, and nobody has popped the code */
        pushfl
        pushl   $CODE32
        pushl   $start
        pushl   $0
        iretl

        /* ---- the IDT ---- */

        /* A good gate for each vector. */
        .macro  make_idt
        movl    $IDT, %edi
        movl    $32, %ecx
1:      movl    $(CODE64 << 16) + handler - 0x200000, %eax
        movl    %eax, (%rdi)
        movl    $0x00208e00, 4(%rdi)    /* the offset's upper half: 2 MiB */
        addl    $16, %edi
        loop    1b
        .endm

        .macro  break_gate vector, low, high
        movl    $\low, IDT + 16 * \vector
        movl    $\high, IDT + 16 * \vector + 4
        .endm

        .macro  break_gates low, high
        break_gate 6, \low, \high
        break_gate 8, \low, \high
        break_gate 11, \low, \high
        break_gate 13, \low, \high
        .endm

        mistake idt_too_short, 64
        make_idt
        lidt    idt_short
        ud2

        mistake gate_not_present, 64
        make_idt
        break_gates CODE64 << 16, 0x00200e00
        lidt    idt_good
        ud2

        mistake gate_empty, 64
        make_idt
        break_gates 0, 0
        lidt    idt_good
        ud2

        mistake gate_null_selector, 64
        make_idt
        break_gates 0, 0x00208e00
        lidt    idt_good
        ud2

        mistake gate_data_selector, 64
        make_idt
        break_gates DATA << 16, 0x00208e00
        lidt    idt_good
        ud2

        mistake gate_beyond_gdt, 64
        make_idt
        break_gates 0x80 << 16, 0x00208e00
        lidt    idt_good
        ud2

        mistake gate_of_32_bit_code, 64
        make_idt
        break_gates CODE32 << 16, 0x00208e00
        lidt    idt_good
        ud2

        mistake stack_not_mapped, 64
        make_idt
        lidt    idt_good
        movl    $UNMAPPED, %esp
        ud2

        mistake stack_at_zero, 64
        make_idt
        lidt    idt_good
        xorl    %esp, %esp
        pushq   %rax

        mistake ist_empty, 64
        make_idt
        break_gates CODE64 << 16, 0x00208e01
        break_gate 14, CODE64 << 16, 0x00208e01
        lidt    idt_good
        movl    $TSS, %eax
        ltr     %ax
        ud2

handler: hlt

        /* ---- the GDT ---- */

        mistake gdt_empty, 32
        lgdt    gdt_nothing
        movl    $DATA, %eax
        movl    %eax, %ds

        mistake gdt_elsewhere, 32
        lgdt    gdt_wrong
        ljmp    $CODE32, $handler

        mistake segment_not_present, 32
        ljmp    $ABSENT, $handler

        /* ---- paging and long mode ---- */

        mistake long_mode_without_pae, 32
        movl    $PML4, %eax
        movl    %eax, %cr3
        movl    $0xc0000080, %ecx
        rdmsr
        orl     $1 << 8, %eax
        wrmsr
        movl    %cr0, %eax
        orl     $1 << 31, %eax
        movl    %eax, %cr0

        mistake tables_of_zeros, 32
        movl    $EMPTY, %eax
        movl    %eax, %cr3
        movl    %cr0, %eax
        orl     $1 << 31, %eax
        movl    %eax, %cr0
        nop

        mistake code_not_mapped, 64     /* only the tables are */
        movl    $EMPTY, %eax
        movl    $PDPT + PRESENT_WRITE, EMPTY
        movq    $0, PD + 8
        movq    %rax, %cr3
        nop

        mistake far_jump_missing, 32
        call    make_tables
        call    enable_long_mode
        .code64
        movabsq $UNMAPPED, %rax         /* as 32-bit code: dec eax; mov eax, ...; add [eax], al */
        movb    $1, (%rax)
        .code32

        mistake write_to_read_only, 64
        movl    $0x400001, PT           /* no W */
        movq    %cr0, %rax
        orl     $1 << 16, %eax          /* WP */
        movq    %rax, %cr0
        movb    $1, 0x400000

        mistake not_executable, 64
        movl    $0xc0000080, %ecx
        rdmsr
        orl     $1 << 11, %eax          /* NXE */
        wrmsr
        movl    $1 << 31, PT + 4
        movl    $0x400000, %eax
        jmp     *%rax

        mistake no_execute_not_enabled, 64
        movl    $1 << 31, PT + 4
        movb    0x400000, %al

        mistake large_page_in_pml4, 64
        movl    $PRESENT_WRITE + LARGE, PML4 + 8
        movabsq $1 << 39, %rax
        movb    (%rax), %al

        mistake unknown_bit_of_cr4, 64
        movq    %cr4, %rax
        btsq    $15, %rax
        movq    %rax, %cr4

        .section .names, "a"
names_end:
        .previous
        .section .names0, "a"
        .balign 64
names:
        .previous

        .balign 16
gdt:    .quad   0
        .quad   0x00cf9b000000ffff      /* CODE32 */
        .quad   0x00cf93000000ffff      /* DATA */
        .quad   0x00af9b000000ffff      /* CODE64 */
        .quad   0
        .quad   0x0000893060000067, 0   /* TSS at 0x306000, of zeros */
        .quad   0x00cf1b000000ffff      /* ABSENT */
gdt_end:
gdt_pointer:
        .word   gdt_end - gdt - 1
        .quad   gdt
gdt_nothing:
        .word   0
        .quad   gdt
gdt_wrong:
        .word   gdt_end - gdt - 1
        .quad   EMPTY
idt_good:
        .word   32 * 16 - 1
        .quad   IDT
idt_short:
        .word   32                      /* entries, not bytes less 1 */
        .quad   IDT

        .section .note.GNU-stack, "", @progbits
