/* SPDX-License-Identifier: MIT */
/*
 * The first instructions of a kernel, and the file format around them.
 *
 * hello.bzImage has the form of a Linux kernel (Documentation/x86/boot.rst in
 * Linux's source), so each boot loader that can start Linux can start it:
 *
 *   file    0 +--------------------------------+
 *             | setup: header at 0x1f1, and    |  what a BIOS loader starts,
 *             | 16-bit code                    |  in real mode
 *      0x1000 +--------------------------------+ -> loaded at 0x100000 (1 MiB)
 *             | start32: 32-bit entry          |  what setup goes on to
 *      0x1200 | start64: 64-bit entry          |  what minivmm starts at once
 *             | page tables, C code, data      |
 *             +--------------------------------+
 *             | stack                          |  not in the file
 *             +--------------------------------+
 *
 * All three ways lead to hello(boot_params) in hello.c.
 */

/* ---- setup: the header, and the way from real mode to protected mode ----
 *
 * The loader fills in fields of the header, and then this page becomes the
 * structure that the kernel is handed, boot_params ("zero page"), which has the
 * header at the same offset.  So bytes that mean something else there stay
 * zero, and the code stands behind its memory map.
 */

#define E820_ENTRIES    0x1e8 /* offsets in boot_params */
#define E820_TABLE      0x2d0
#define E820_MOST       128
#define E820_SIZE       20
#define SETUP_CODE      0xd00 /* behind the table */

        .section .setup, "awx"
        .code16
setup:
        .org    0x1f1
        .byte   7                       /* setup_sects: sectors after the first */
        .word   0                       /* root_flags */
        .long   syssize                 /* size of what comes after, in 16 bytes */
        .word   0                       /* ram_size */
        .word   0xffff                  /* vid_mode: leave the screen alone */
        .word   0                       /* root_dev */
        .word   0xaa55                  /* boot_flag */
        .byte   0xeb, header_end - 1f   /* jump, entered here at 0x200 */
1:      .ascii  "HdrS"
        .word   0x020c                  /* version: 2.12 is the first with a 64-bit entry */
        .long   0                       /* realmode_swtch */
        .word   0                       /* start_sys_seg */
        .word   version - setup - 0x200 /* kernel_version: text, by its offset from 0x200 */
        .byte   0                       /* type_of_loader: the loader tells */
        .byte   1                       /* loadflags: LOADED_HIGH, at 1 MiB */
        .word   0                       /* setup_move_size */
        .long   start32                 /* code32_start */
        .long   0                       /* ramdisk_image */
        .long   0                       /* ramdisk_size */
        .long   0                       /* bootsect_kludge */
        .word   0                       /* heap_end_ptr */
        .byte   0, 0                    /* ext_loader_ver, ext_loader_type */
        .long   0                       /* cmd_line_ptr */
        .long   0x7fffffff              /* initrd_addr_max */
        .long   0x1000                  /* kernel_alignment */
        .byte   0                       /* relocatable_kernel: no */
        .byte   12                      /* min_alignment: 1 << 12 */
        .word   1                       /* xloadflags: KERNEL_64, there is a 64-bit entry */
        .long   2047                    /* cmdline_size */
        .long   0                       /* hardware_subarch: a PC */
        .quad   0                       /* hardware_subarch_data */
        .long   0, 0                    /* payload_offset, payload_length: none */
        .quad   0                       /* setup_data */
        .quad   start32                 /* pref_address */
        .long   memory_needed           /* init_size */
        .long   0                       /* handover_offset */
header_end:
        jmp     real_mode

        .org    SETUP_CODE
real_mode:
        cli
        movw    %cs, %ax                /* CS is 0x20 paragraphs into setup */
        subw    $0x20, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    $0x2401, %ax            /* BIOS: let address line 20 through */
        int     $0x15

        movw    $E820_TABLE, %di        /* BIOS: the memory map, entry by entry */
        xorl    %ebx, %ebx
1:      movl    $0xe820, %eax
        movl    $E820_SIZE, %ecx
        movl    $0x534d4150, %edx       /* "SMAP" */
        int     $0x15
        jc      2f
        addw    $E820_SIZE, %di
        incb    (E820_ENTRIES)
        cmpb    $E820_MOST, (E820_ENTRIES)
        je      2f
        testl   %ebx, %ebx              /* zero: that was the last one */
        jnz     1b

2:      xorl    %esi, %esi              /* ESI: where boot_params is */
        movw    %ds, %si
        shll    $4, %esi
        leal    gdt - setup(%esi), %eax /* the GDT, too, by its linear address */
        movl    %eax, gdt_pointer - setup + 2
        lgdtl   gdt_pointer - setup
        movl    %cr0, %eax
        orl     $1, %eax                /* PE: protected mode */
        movl    %eax, %cr0
        movw    $0x18, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        ljmpl   $0x10, $start32

        .balign 8
gdt:    .quad   0, 0
        .quad   0x00cf9b000000ffff      /* 0x10: code, 32 bits, 0 to 4 GiB */
        .quad   0x00cf93000000ffff      /* 0x18: data, likewise */
gdt_pointer:
        .word   gdt_pointer - gdt - 1
        .long   0

version:
        .asciz  "hello, of minivmm"

        .org    0x1000

/* ---- 32-bit entry: no paging, flat segments, ESI = boot_params ---- */

        .section .start, "ax"
        .code32
        .globl  start32
start32:
        cli
        lgdtl   gdt64_pointer
        movl    $page_map, %eax
        movl    %eax, %cr3
        movl    $1 << 5, %eax           /* CR4.PAE: page tables of 64-bit entries */
        movl    %eax, %cr4
        movl    $0xc0000080, %ecx       /* EFER */
        rdmsr
        orl     $1 << 8, %eax           /* LME: long mode, once paging is on */
        wrmsr
        movl    %cr0, %eax
        orl     $1 << 31, %eax          /* PG */
        movl    %eax, %cr0
        ljmpl   $0x10, $start64         /* to a 64-bit code segment */

/* ---- 64-bit entry, at a fixed place: long mode, RSI = boot_params ---- */

        .org    0x200
        .code64
        .globl  start64
start64:
        cli
        movl    $page_map, %eax         /* the loader's map may hold no more than us */
        movq    %rax, %cr3
        movl    $stack_top, %esp
        movq    %rsi, %rdi              /* the first argument of a C function */
        call    hello
1:      hlt                             /* hello does not return */
        jmp     1b

/* ---- what they need ---- */

        .section .rodata, "a"
        .balign 8
gdt64:  .quad   0, 0
        .quad   0x00af9b000000ffff      /* 0x10: code, 64 bits */
        .quad   0x00cf93000000ffff      /* 0x18: data */
gdt64_pointer:
        .word   gdt64_pointer - gdt64 - 1
        .long   gdt64

/* Page tables: each address of the first 4 GiB is mapped to itself, by pages of
 * 2 MiB.  Level 4 has one entry, level 3 four, level 2 four times 512.  In an
 * entry, bit 0 is "present", bit 1 "writable", bit 7 "this is a large page". */
        .section .data, "aw"
        .balign 0x1000
page_map:
        .quad   level3 + 3
        .balign 0x1000
level3: .quad   level2 + 3, level2 + 0x1003, level2 + 0x2003, level2 + 0x3003
        .balign 0x1000
level2: .set    page, 0
        .rept   4 * 512
        .quad   page + 0x83
        .set    page, page + 0x200000
        .endr

        .section .stack, "aw", @nobits
        .skip   0x2000
stack_top:

        .section .note.GNU-stack, "", @progbits
