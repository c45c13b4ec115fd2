/* SPDX-License-Identifier: MIT */
/* The target description of arm64 (GDB manual, G.5.1): core and vector registers, and what only a
 * machine has. */
#include "gdb.h"

#define FEATURE(name)       \
    {                       \
        NULL, name, 0, NULL \
    }
#define SAME(name, bits)       \
    {                          \
        name, name, bits, NULL \
    }
#define VECTOR(n)                      \
    {                                  \
        "v" #n, "v" #n, 128, "uint128" \
    }

const char mv_gdb_architecture[] = "aarch64";
const unsigned mv_gdb_breakpoint_size = 4;

/* clang-format off */
const struct mv_gdb_register mv_gdb_registers[] = {
    FEATURE("org.gnu.gdb.aarch64.core"),
    SAME("x0", 64), SAME("x1", 64), SAME("x2", 64), SAME("x3", 64), SAME("x4", 64),
    SAME("x5", 64), SAME("x6", 64), SAME("x7", 64), SAME("x8", 64), SAME("x9", 64),
    SAME("x10", 64), SAME("x11", 64), SAME("x12", 64), SAME("x13", 64), SAME("x14", 64),
    SAME("x15", 64), SAME("x16", 64), SAME("x17", 64), SAME("x18", 64), SAME("x19", 64),
    SAME("x20", 64), SAME("x21", 64), SAME("x22", 64), SAME("x23", 64), SAME("x24", 64),
    SAME("x25", 64), SAME("x26", 64), SAME("x27", 64), SAME("x28", 64), SAME("x29", 64),
    SAME("x30", 64), {"sp", "sp", 64, "data_ptr"}, {"pc", "pc", 64, "code_ptr"},
    {"cpsr", "pstate", 32, NULL},
    FEATURE("org.gnu.gdb.aarch64.fpu"),
    VECTOR(0), VECTOR(1), VECTOR(2), VECTOR(3), VECTOR(4), VECTOR(5), VECTOR(6), VECTOR(7),
    VECTOR(8), VECTOR(9), VECTOR(10), VECTOR(11), VECTOR(12), VECTOR(13), VECTOR(14), VECTOR(15),
    VECTOR(16), VECTOR(17), VECTOR(18), VECTOR(19), VECTOR(20), VECTOR(21), VECTOR(22),
    VECTOR(23), VECTOR(24), VECTOR(25), VECTOR(26), VECTOR(27), VECTOR(28), VECTOR(29),
    VECTOR(30), VECTOR(31), SAME("fpsr", 32), SAME("fpcr", 32),
    FEATURE("org.minivmm.system"),
    SAME("sctlr_el1", 64), SAME("ttbr0_el1", 64), SAME("ttbr1_el1", 64), SAME("tcr_el1", 64),
    SAME("mair_el1", 64), SAME("vbar_el1", 64), SAME("esr_el1", 64), SAME("far_el1", 64),
    SAME("elr_el1", 64), SAME("spsr_el1", 64), SAME("sp_el0", 64), SAME("sp_el1", 64),
    SAME("tpidr_el0", 64), SAME("tpidr_el1", 64), SAME("contextidr_el1", 64),
    SAME("mpidr_el1", 64),
};
/* clang-format on */

const size_t mv_gdb_register_count = sizeof(mv_gdb_registers) / sizeof(mv_gdb_registers[0]);
