/* SPDX-License-Identifier: MIT */
/* Ends in the way that end=WAY names, after marks on the boot timer and a line
 * of output, unless quiet=1: then without any exit before. */
#include "runtime.h"

enum { POWER = 0x600, RESET = 0x602, KEYBOARD = 0x64, PANIC = 0x505, BOOT_TIMER = 0xf5 };

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

static void spin(void)
{
    for (;;)
        pause();
}

static void sleep(void)
{
    for (;;)
        __asm__ volatile("cli; hlt");
}

/* As Linux does it: a CPU in real mode jumps to where a BIOS is entered. */
static void jump_to_bios(void)
{
    static const uint8_t far_jump[] = {0xea, 0x00, 0x00, 0xff, 0xff};

    for (unsigned i = 0; i < sizeof(far_jump); i++)
        *(volatile uint8_t *)at(0x11000 + i) = far_jump[i];
    lapic_init();
    send_ipi(0, ICR_OTHERS | ICR_INIT);
    send_ipi(0, ICR_OTHERS | ICR_STARTUP | 0x11);
    sleep();
}

static void ap_spin(unsigned number)
{
    (void)number;
    spin();
}

void test(void)
{
    if (!option("quiet", 0)) {
        out8(BOOT_TIMER, 1);
        print("ending\n");
        out8(BOOT_TIMER, 0xff);
    }
    if (option_is("end", "bios"))
        jump_to_bios();
    if (option("cpus", 1) > 1) { /* the others run while we end */
        lapic_init();
        start_aps(ap_spin);
    }
    if (option_is("end", "poweroff"))
        out8(POWER, 0x34);
    else if (option_is("end", "reset"))
        out8(RESET, 1);
    else if (option_is("end", "keyboard"))
        out8(KEYBOARD, 0xfe);
    else if (option_is("end", "panic"))
        out8(PANIC, 1);
    else if (option_is("end", "code"))
        finish((int)option("code", 0));
    else if (option_is("end", "triple"))
        triple_fault();
    else if (option_is("end", "jump"))
        jump(option("to", 0));
    else if (option_is("end", "spin"))
        spin();
    else if (option_is("end", "sleep"))
        sleep();
    check(false); /* not reached */
}
