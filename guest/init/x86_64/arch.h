/*
 * What the init needs of an architecture, here x86-64: its entry, system calls, and the monitor's
 * two ports.
 *
 *      0xf4   exit        a byte written ends the machine; the byte is its exit status
 *      0xf5   boot timer  a byte written is a mark, which the monitor stamps with the time
 *
 * QEMU's "-device isa-debug-exit,iobase=0xf4,iosize=1" understands the first (its exit status is
 * then 2 * byte + 1); give it no more than that one byte, or the first mark ends it. Where nobody
 * listens, a write goes nowhere and does no harm.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>

enum { PORT_EXIT = 0xf4, PORT_MARK = 0xf5 };

#if !__STDC_HOSTED__
/* The kernel starts us with the number of arguments at the top of the stack (x86-64 psABI, 3.4.1).
 */
__asm__(".globl _start\n"
        "_start:\n\t"
        "xorl %ebp, %ebp\n\t"
        "movq %rsp, %rdi\n\t"
        "andq $-16, %rsp\n\t"
        "call start\n");
#endif

/* Both return -errno where the call fails. */
static inline long system_call6(long number, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "+a"(number)
                     : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return number;
}

static inline long system_call(long number, long a, long b, long c, long d, long e)
{
    return system_call6(number, a, b, c, d, e, 0);
}

/* iopl rather than ioperm: the map that opens all ports exists already, one of our own costs 8 KiB
 * to fill. */
static inline bool ports_open(void)
{
    return system_call(SYS_iopl, 3, 0, 0, 0, 0) == 0;
}

static inline void port_write(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}
