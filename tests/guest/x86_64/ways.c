/* SPDX-License-Identifier: MIT */
/* How a PC ends, or crashes. */
#include "ways.h"

#include "runtime.h"

/* Without an IDT, each exception is a triple fault. */
static void triple_fault(void)
{
    struct table_register none = {.limit = 0, .base = 0};

    __asm__ volatile("lidt %0" : : "m"(none));
    __asm__ volatile("movabs $0x1122334455667788, %%rax\n"
                     "        movl $0x600dc0de, %%ebx\n"
                     "        ud2"
                     :
                     :
                     : "rax", "rbx");
}

static void jump(uint64_t address)
{
    __asm__ volatile("jmp *%0" : : "r"(address));
}

/* The second CPU runs these bytes, in real mode. */
static void in_real_mode(const uint8_t *code, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        *(volatile uint8_t *)at(0x11000 + i) = code[i];
    lapic_init();
    send_ipi(0, ICR_OTHERS | ICR_INIT);
    send_ipi(0, ICR_OTHERS | ICR_STARTUP | 0x11);
    sleep_for_ever();
}

/* As Linux does it: a jump to where a BIOS is entered. */
static void jump_to_bios(void)
{
    static const uint8_t far_jump[] = {0xea, 0x00, 0x00, 0xff, 0xff};

    in_real_mode(far_jump, sizeof(far_jump));
}

static void call_bios(unsigned interrupt, unsigned ax)
{
    const uint8_t code[] = {0xb8, (uint8_t)ax, (uint8_t)(ax >> 8), 0xcd, (uint8_t)interrupt};

    in_real_mode(code, sizeof(code));
}

void end_otherwise(void)
{
    if (option_is("end", "keyboard"))
        out8(KEYBOARD, 0xfe);
    else if (option_is("end", "triple"))
        triple_fault();
    else if (option_is("end", "byte"))
        out8((unsigned)option("to", 0), (uint8_t)option("value", 0));
    else if (option_is("end", "word"))
        out16((unsigned)option("to", 0), (uint16_t)option("value", 0));
    else if (option_is("end", "jump"))
        jump(option("to", 0));
    else if (option_is("end", "bios"))
        jump_to_bios();
    else if (option_is("end", "int"))
        call_bios((unsigned)option("number", 0), (unsigned)option("ax", 0));
}
