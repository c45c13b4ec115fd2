/* SPDX-License-Identifier: MIT */
/* Exception syndromes in words (Arm Architecture Reference Manual, D17.2.37 ESR_EL1). */
#include <stdio.h>

#include "core/util.h"
#include "explain.h"

enum {
    EC_SHIFT = 26,
    ISS_MASK = 0x1ffffff,
    ISS_ISV = 1 << 24,
    ISS_WRITE = 1 << 6,
    ISS_S1PTW = 1 << 7,
    EC_INSTRUCTION_ABORT = 0x20, /* 0x21 from the same level */
    EC_DATA_ABORT = 0x24,        /* 0x25 from the same level */
};

static const char *class_of(unsigned ec)
{
    static const char *const names[] = {
        [0x00] = "an unknown reason, such as an instruction that is not defined",
        [0x01] = "a trapped WFI or WFE",
        [0x07] = "an access to SVE or floating-point registers that is trapped",
        [0x0a] = "a trapped LD64B or ST64B",
        [0x0d] = "a branch to a place without a BTI landing",
        [0x0e] = "an illegal state of execution",
        [0x15] = "SVC",
        [0x16] = "HVC",
        [0x17] = "SMC",
        [0x18] = "a trapped MSR, MRS or system instruction",
        [0x19] = "a trapped SVE instruction",
        [0x1c] = "a failed pointer authentication",
        [0x20] = "an instruction abort from a lower level",
        [0x21] = "an instruction abort",
        [0x22] = "a misaligned PC",
        [0x24] = "a data abort from a lower level",
        [0x25] = "a data abort",
        [0x26] = "a misaligned SP",
        [0x2c] = "a floating-point exception",
        [0x2f] = "an SError interrupt",
        [0x30] = "a breakpoint, from a lower level",
        [0x31] = "a breakpoint",
        [0x32] = "a single step, from a lower level",
        [0x33] = "a single step",
        [0x34] = "a watchpoint, from a lower level",
        [0x35] = "a watchpoint",
        [0x3c] = "BRK",
    };

    return ec < MV_COUNT(names) && names[ec] ? names[ec] : "a class not known here";
}

/* The fault status code, the same for instruction and data aborts. */
static void describe_status(unsigned status, char *text, size_t size)
{
    static const char *const by_level[] = {"an address of the wrong size",
                                           "a translation fault (not mapped)",
                                           "an access flag fault", "a permission fault"};

    if (status < 0x10)
        snprintf(text, size, "%s, level %u", by_level[status >> 2], status & 3);
    else if (status == 0x10)
        snprintf(text, size, "a synchronous external abort");
    else if (status >= 0x14 && status < 0x18)
        snprintf(text, size, "an external abort on the page tables, level %u", status & 3);
    else if (status == 0x21)
        snprintf(text, size, "a misaligned access");
    else if (status == 0x30)
        snprintf(text, size, "a TLB conflict");
    else if (status == 0x35)
        snprintf(text, size, "an exclusive or atomic access that memory does not support");
    else
        snprintf(text, size, "fault status %#x", status);
}

void mv_esr_describe_data_abort(uint64_t iss, char *text, size_t size)
{
    char status[80];

    describe_status(iss & 0x3f, status, sizeof(status));
    if (iss & ISS_ISV)
        snprintf(text, size, "%s of %u bytes%s: %s", iss & ISS_WRITE ? "a write" : "a read",
                 1u << (iss >> 22 & 3), iss & ISS_S1PTW ? " while walking page tables" : "",
                 status);
    else
        snprintf(text, size, "%s%s: %s", iss & ISS_WRITE ? "a write" : "a read",
                 iss & ISS_S1PTW ? " while walking page tables" : "", status);
}

void mv_esr_describe(uint64_t esr, char *text, size_t size)
{
    unsigned ec = esr >> EC_SHIFT & 0x3f;
    char more[160] = "";

    if ((ec & ~1u) == EC_DATA_ABORT)
        mv_esr_describe_data_abort(esr & ISS_MASK, more, sizeof(more));
    else if ((ec & ~1u) == EC_INSTRUCTION_ABORT)
        describe_status(esr & 0x3f, more, sizeof(more));
    else if (ec == 0x15 || ec == 0x16 || ec == 0x17 || ec == 0x3c)
        snprintf(more, sizeof(more), "number %#x", (unsigned)(esr & 0xffff));
    snprintf(text, size, "%s%s%s", class_of(ec), more[0] ? "; " : "", more);
}
