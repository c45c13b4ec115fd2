/* SPDX-License-Identifier: MIT */
/*
 * What the Intel lab's boot image has in the place of a bzImage's decompressor, since to unpack a
 * kernel takes an emulated processor half a minute.  Entered by the 32-bit boot protocol (Linux:
 * Documentation/x86/boot.rst) at 1 MiB, with the unpacked kernel of SIZE bytes behind it, it moves
 * that to where it is linked, KERNEL, and enters it by the 64-bit protocol.
 */
    .code32
    .globl _start
_start:
    cli
    lgdt gdt_pointer
    mov $0x20, %eax /* PAE */
    mov %eax, %cr4
    mov $pml4, %eax
    mov %eax, %cr3
    mov $0xc0000080, %ecx /* EFER */
    xor %edx, %edx
    mov $0x100, %eax /* LME */
    wrmsr
    mov $0x80000001, %eax /* PG, PE */
    mov %eax, %cr0
    ljmp $0x10, $1f

    .code64
1:  mov $0x18, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov %rsi, %rbx /* boot_params */
    mov $(end + SIZE - 8), %esi
    mov $(KERNEL + SIZE - 8), %edi /* above, so the last comes first */
    mov $(SIZE / 8), %ecx
    std
    rep movsq
    cld
    mov %rbx, %rsi
    mov $KERNEL, %eax
    jmp *%rax

    .balign 8
gdt: /* 0x10: __BOOT_CS, of 64 bits, 0x18: __BOOT_DS */
    .quad 0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
    .word . - gdt - 1
    .long gdt

    .balign 4096
pml4:
    .quad pdpt + 3
    .balign 4096
pdpt:
    .quad pd + 3
    .balign 4096
pd: /* the first GiB, one to one */
    .set page, 0
    .rept 512
    .quad page + 0x83
    .set page, page + 0x200000
    .endr
end:
