/* SPDX-License-Identifier: MIT */
/* How an arm64 machine ends badly. */
#include "ways.h"

#include "runtime.h"

/* Of two registers loaded at once KVM is not told where they go. */
static void load_pair(uint64_t address)
{
    __asm__ volatile("mov x20, #0xc0de\n"
                     "        ldp x0, x1, [%0]"
                     :
                     : "r"(address)
                     : "x0", "x1", "x20", "memory");
}

/* An exception that nobody expects: the runtime ends the machine with its status for that. */
static void jump(uint64_t address)
{
    __asm__ volatile("br %0" : : "r"(address));
}

/* Each exception leads to another one, at an entry that is not there. */
static void lose_vectors(void)
{
    write_sysreg(vbar_el1, 0x60000000);
    isb();
    __asm__ volatile("brk #0");
}

void end_otherwise(void)
{
    if (option_is("end", "reset2"))
        psci(PSCI_SYSTEM_RESET2, 0, 0, 0);
    else if (option_is("end", "off"))
        psci(PSCI_CPU_OFF, 0, 0, 0); /* and so the last one */
    else if (option_is("end", "vectors"))
        lose_vectors();
    else if (option_is("end", "pair"))
        load_pair(option("at", PANIC));
    else if (option_is("end", "jump"))
        jump(option("to", 0));
}
