/* SPDX-License-Identifier: MIT */
/* What 32-bit kernels by Multiboot 1 share. */
#ifndef TEST_MULTIBOOT_H
#define TEST_MULTIBOOT_H

#include <stdint.h>

#define HEADER_MAGIC 0x1badb002u
#define LOADER_MAGIC 0x2badb002u
#define CHECK(condition)         \
    do {                         \
        if (!(condition))        \
            exit_with(__LINE__); \
    } while (0)

static inline void out(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline unsigned in(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

__attribute__((noreturn)) static inline void exit_with(int code)
{
    out(0xf4, (uint8_t)code);
    for (;;)
        __asm__ volatile("cli; hlt");
}

/* Where it begins: run(EAX, EBX).  The loader's ESP is undefined; its segments are flat, CS
 * whatever (3.2). */
void start(void);
__asm__(".globl start\n"
        "start: mov $stack_top, %esp\n"
        "push %ebx\n push %eax\n call run");

#endif
