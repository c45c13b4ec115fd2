/*
 * What the init needs of an architecture, here arm64: its entry, system calls, and the monitor's
 * two registers, reached through /dev/mem.
 *
 *      0x0101_0000   exit        a byte written ends the machine; the byte is its exit status
 *      0x0102_0000   boot timer  a byte written is a mark, which the monitor stamps with the time
 *
 * On QEMU's machine "virt" a flash memory lies there, which takes a byte for a command and does
 * nothing. On a machine where nothing lies there, a write ends this process and so the kernel.
 */
#pragma once

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum { PORTS = 0x01010000, PORTS_SIZE = 0x20000, PORT_EXIT = 0, PORT_MARK = 0x10000 };
enum { MEM_MAJOR = 1, MEM_MINOR = 1 }; /* of /dev/mem */

#if !__STDC_HOSTED__
/* The kernel starts us with the number of arguments at the top of the stack. */
__asm__(".globl _start\n"
        "_start:\n\t"
        "mov x29, xzr\n\t"
        "mov x0, sp\n\t"
        "bl start\n");
#endif

/* Both return -errno where the call fails. */
static inline long system_call6(long number, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc #0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
}

static inline long system_call(long number, long a, long b, long c, long d, long e)
{
    return system_call6(number, a, b, c, d, e, 0);
}

static volatile uint8_t *ports;

/* /dev is empty until something is mounted there, which the shortest start does without. */
static inline bool ports_open(void)
{
    static const char path[] = "/dev/mem";
    system_call(SYS_mknodat, AT_FDCWD, (long)path, S_IFCHR | 0600, MEM_MAJOR << 8 | MEM_MINOR, 0);
    long file = system_call(SYS_openat, AT_FDCWD, (long)path, O_RDWR | O_SYNC | O_CLOEXEC, 0, 0);
    if (file < 0)
        return false;
    long address =
        system_call6(SYS_mmap, 0, PORTS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, PORTS);
    system_call(SYS_close, file, 0, 0, 0, 0);
    if (address < 0)
        return false;
    ports = (volatile uint8_t *)address;
    return true;
}

/* The monitor knows only what one plain instruction does. */
static inline void port_write(uint32_t port, uint8_t value)
{
    __asm__ volatile("strb %w0, [%1]" : : "r"(value), "r"(ports + port) : "memory");
}
