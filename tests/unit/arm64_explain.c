/* SPDX-License-Identifier: MIT */
/* What is wrong with an arm64 vCPU, in words. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "core/util.h"
#include "debug/arm64/explain.h"

static char told[2000];

/* EL1h with interrupts masked, the MMU off, vectors in memory. */
static struct mv_arm64_state good(void)
{
    return (struct mv_arm64_state){
        .pc = 0x40080000,
        .pstate = 0x3c5,
        .sp_el1 = 0x40100000,
        .sctlr = 0xc50078,
        .vbar = 0x40081000,
        .elr = 0x40080010,
        .vector = {.mapped = true, .executable = true},
        .vector_in_memory = true,
    };
}

static unsigned explain(const struct mv_arm64_state *state)
{
    FILE *to = fmemopen(told, sizeof(told), "w");
    unsigned count;

    cr_assert_not_null(to);
    memset(told, 0, sizeof(told));
    count = mv_arm64_explain_state(state, to);
    fclose(to);
    return count;
}

Test(arm64_explain, a_good_state_breaks_no_rule)
{
    struct mv_arm64_state state = good();

    cr_expect_eq(explain(&state), 0, "%s", told);
}

Test(arm64_explain, each_rule_can_be_broken_alone)
{
#define AT(member) offsetof(struct mv_arm64_state, member)
    static const struct {
        const char *rule;
        size_t offset[2];
        uint64_t value[2];
        const char *words;
    } rows[] = {
        {"pstate-aarch32", {AT(pstate)}, {0x1d3}, "PSTATE.M[4] is 1: 32-bit state"},
        {"pstate-mode", {AT(pstate)}, {0x3c9}, "PSTATE.M is no mode that a guest has"},
        {"pstate-reserved", {AT(pstate)}, {0x83c5}, "PSTATE has reserved bits"},
        {"pstate-il", {AT(pstate)}, {0x1003c5}, "PSTATE.IL is 1"},
        {"pc-aligned", {AT(pc)}, {0x40080002}, "PC is no multiple of 4"},
        {"sp-aligned", {AT(sp_el1)}, {0x40100008}, "SP is no multiple of 16"},
        {"vbar-aligned", {AT(vbar)}, {0x40081400}, "VBAR_EL1 is no multiple of 2 KiB"},
        {"tcr-size", {AT(sctlr), AT(tcr)}, {0xc50079, 3}, "TCR_EL1.T0SZ"},
    };
    unsigned count;
    const struct mv_arm64_rule *rules = mv_arm64_rules(&count);

    cr_expect_eq(count, MV_COUNT(rows));
    for (unsigned i = 0; i < MV_COUNT(rows); i++) {
        struct mv_arm64_state state = good();

        cr_expect_str_eq(rows[i].rule, rules[i].name);
        for (unsigned j = 0; j < 2 && rows[i].value[j]; j++)
            memcpy((uint8_t *)&state + rows[i].offset[j], &rows[i].value[j], sizeof(uint64_t));
        cr_expect_eq(explain(&state), 1, "%s: %s", rows[i].rule, told);
        cr_expect(strstr(told, rows[i].words), "%s: %s", rows[i].rule, told);
    }
}

static void explain_end(const struct mv_arm64_state *state)
{
    FILE *to = fmemopen(told, sizeof(told), "w");

    cr_assert_not_null(to);
    memset(told, 0, sizeof(told));
    mv_arm64_explain_end(state, to);
    fclose(to);
}

Test(arm64_explain, exceptions_without_end_are_told)
{
    struct mv_arm64_state state = good();

    explain_end(&state);
    cr_expect_eq(told[0], 0, "%s", told);
    state.vbar = 0;
    state.pc = state.elr = state.far = 0x200;
    state.esr = 0x86000010;
    state.vector_in_memory = false;
    explain_end(&state);
    cr_expect(strstr(told, "exceptions without end"));
    cr_expect(strstr(told, "the last one was an instruction abort"), "%s", told);
    cr_expect(strstr(told, "VBAR_EL1 + 0x200, and no memory is there"), "%s", told);
    cr_expect(strstr(told, "VBAR_EL1 is 0: it was never set"), "%s", told);
    state.vector.mapped = false;
    strcpy(state.vector.why, "because");
    explain_end(&state);
    cr_expect(strstr(told, "which is not mapped: because"), "%s", told);
    state.vector.mapped = state.vector_in_memory = true;
    explain_end(&state);
    cr_expect(strstr(told, "the code there raises an exception itself"), "%s", told);
    state.vector.executable = false;
    explain_end(&state);
    cr_expect(strstr(told, "PXN"), "%s", told);
    state.vector.executable = true;
    state.elr = 0x40080010; /* a handler that runs */
    explain_end(&state);
    cr_expect_eq(told[0], 0, "%s", told);
}
