/* SPDX-License-Identifier: MIT */
/* Syndromes in words (Arm ARM, D17.2.37). */
#include <criterion/criterion.h>
#include <string.h>

#include "core/util.h"
#include "debug/arm64/explain.h"

Test(arm64_esr, aborts_tell_access_and_fault)
{
    static const struct {
        uint64_t esr;
        const char *words;
    } rows[] = {
        {0x96000045, "a data abort; a write: a translation fault (not mapped), level 1"},
        {0x96000007, "a data abort; a read: a translation fault (not mapped), level 3"},
        {0x9600000f, "a data abort; a read: a permission fault, level 3"},
        {0x97c08047, "a data abort; a write of 8 bytes: a translation fault (not mapped), level 3"},
        {0x96000021, "a data abort; a read: a misaligned access"},
        {0x96000010, "a data abort; a read: a synchronous external abort"},
        {0x960000c5, "a data abort; a write while walking page tables: a translation fault (not "
                     "mapped), level 1"},
        {0x92000006, "a data abort from a lower level; a read: a translation fault (not mapped), "
                     "level 2"},
        {0x86000004, "an instruction abort; a translation fault (not mapped), level 0"},
        {0x02000000, "an unknown reason, such as an instruction that is not defined"},
        {0x56000005, "SVC; number 0x5"},
        {0xf2000800, "BRK; number 0x800"},
        {0x8a000000, "a misaligned PC"},
        {0xfe000000, "a class not known here"},
    };

    for (unsigned i = 0; i < MV_COUNT(rows); i++) {
        char text[240];

        mv_esr_describe(rows[i].esr, text, sizeof(text));
        cr_expect_str_eq(text, rows[i].words, "%#llx: %s", (unsigned long long)rows[i].esr, text);
    }
}

Test(arm64_esr, nothing_overflows_a_small_text)
{
    for (uint64_t ec = 0; ec < 64; ec++)
        for (uint64_t status = 0; status < 64; status++) {
            char text[16];

            memset(text, 'x', sizeof(text));
            mv_esr_describe(ec << 26 | 1 << 24 | status, text, 8);
            cr_assert_lt(strlen(text), 8);
            cr_assert_eq(text[8], 'x');
        }
}
