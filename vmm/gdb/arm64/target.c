/* SPDX-License-Identifier: MIT */
/* The target description of arm64 (GDB manual, G.5.1): core and vector registers, and system
 * registers. */
#include "gdb/gdb_protocol.h"

#include "core/util.h"

#define VECTOR(n)                      \
    {                                  \
        "v" #n, "v" #n, 128, "uint128" \
    }

/* clang-format off */
static const struct mv_gdb_register registers[] = {
    MV_GDB_FEATURE("org.gnu.gdb.aarch64.core"),
    MV_GDB_SAME("x0", 64), MV_GDB_SAME("x1", 64), MV_GDB_SAME("x2", 64), MV_GDB_SAME("x3", 64), MV_GDB_SAME("x4", 64),
    MV_GDB_SAME("x5", 64), MV_GDB_SAME("x6", 64), MV_GDB_SAME("x7", 64), MV_GDB_SAME("x8", 64), MV_GDB_SAME("x9", 64),
    MV_GDB_SAME("x10", 64), MV_GDB_SAME("x11", 64), MV_GDB_SAME("x12", 64), MV_GDB_SAME("x13", 64), MV_GDB_SAME("x14", 64),
    MV_GDB_SAME("x15", 64), MV_GDB_SAME("x16", 64), MV_GDB_SAME("x17", 64), MV_GDB_SAME("x18", 64), MV_GDB_SAME("x19", 64),
    MV_GDB_SAME("x20", 64), MV_GDB_SAME("x21", 64), MV_GDB_SAME("x22", 64), MV_GDB_SAME("x23", 64), MV_GDB_SAME("x24", 64),
    MV_GDB_SAME("x25", 64), MV_GDB_SAME("x26", 64), MV_GDB_SAME("x27", 64), MV_GDB_SAME("x28", 64), MV_GDB_SAME("x29", 64),
    MV_GDB_SAME("x30", 64), {"sp", "sp", 64, "data_ptr"}, {"pc", "pc", 64, "code_ptr"},
    {"cpsr", "pstate", 32, NULL},
    MV_GDB_FEATURE("org.gnu.gdb.aarch64.fpu"),
    VECTOR(0), VECTOR(1), VECTOR(2), VECTOR(3), VECTOR(4), VECTOR(5), VECTOR(6), VECTOR(7),
    VECTOR(8), VECTOR(9), VECTOR(10), VECTOR(11), VECTOR(12), VECTOR(13), VECTOR(14), VECTOR(15),
    VECTOR(16), VECTOR(17), VECTOR(18), VECTOR(19), VECTOR(20), VECTOR(21), VECTOR(22),
    VECTOR(23), VECTOR(24), VECTOR(25), VECTOR(26), VECTOR(27), VECTOR(28), VECTOR(29),
    VECTOR(30), VECTOR(31), MV_GDB_SAME("fpsr", 32), MV_GDB_SAME("fpcr", 32),
    MV_GDB_FEATURE("org.minivmm.system"),
    MV_GDB_SAME("sctlr_el1", 64), MV_GDB_SAME("ttbr0_el1", 64), MV_GDB_SAME("ttbr1_el1", 64), MV_GDB_SAME("tcr_el1", 64),
    MV_GDB_SAME("mair_el1", 64), MV_GDB_SAME("vbar_el1", 64), MV_GDB_SAME("esr_el1", 64), MV_GDB_SAME("far_el1", 64),
    MV_GDB_SAME("elr_el1", 64), MV_GDB_SAME("spsr_el1", 64), MV_GDB_SAME("sp_el0", 64), MV_GDB_SAME("sp_el1", 64),
    MV_GDB_SAME("tpidr_el0", 64), MV_GDB_SAME("tpidr_el1", 64), MV_GDB_SAME("contextidr_el1", 64),
    MV_GDB_SAME("mpidr_el1", 64),
};
/* clang-format on */

const struct mv_gdb_arch *const mv_gdb_arch32 = NULL;

const struct mv_gdb_arch mv_gdb_arch = {.name = "aarch64",
                                        .registers = registers,
                                        .count = MV_COUNT(registers),
                                        .breakpoint = {0x00, 0x00, 0x20, 0xd4}, /* brk #0 */
                                        .breakpoint_size = 4};
