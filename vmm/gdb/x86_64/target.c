/* SPDX-License-Identifier: MIT */
/* The target descriptions of x86-64 and i386 (GDB manual, G.5.3): core and SSE registers, bases of
 * FS and GS, and control registers. */
#include "gdb/gdb_protocol.h"

#include "core/util.h"

#define EXT(n)                           \
    {                                    \
        "st" #n, "st" #n, 80, "i387_ext" \
    }
#define VECTOR(n)                          \
    {                                      \
        "xmm" #n, "xmm" #n, 128, "uint128" \
    }

/* clang-format off */

/* The registers that both have, from the flags to the first 8 vector registers. */
#define BOTH_HAVE \
    {"eflags", "rflags", 32, NULL}, MV_GDB_SAME("cs", 32), MV_GDB_SAME("ss", 32), MV_GDB_SAME("ds", 32), \
    MV_GDB_SAME("es", 32), MV_GDB_SAME("fs", 32), MV_GDB_SAME("gs", 32), \
    EXT(0), EXT(1), EXT(2), EXT(3), EXT(4), EXT(5), EXT(6), EXT(7), \
    {"fctrl", "fcw", 32, NULL}, {"fstat", "fsw", 32, NULL}, {"ftag", "ftw", 32, NULL}, \
    {"fiseg", NULL, 32, NULL}, {"fioff", "fip", 32, NULL}, {"foseg", NULL, 32, NULL}, \
    {"fooff", "fdp", 32, NULL}, {"fop", "fop", 32, NULL}, \
    MV_GDB_FEATURE("org.gnu.gdb.i386.sse"), \
    VECTOR(0), VECTOR(1), VECTOR(2), VECTOR(3), VECTOR(4), VECTOR(5), VECTOR(6), VECTOR(7)

static const struct mv_gdb_register registers[] = {
    MV_GDB_FEATURE("org.gnu.gdb.i386.core"),
    MV_GDB_SAME("rax", 64), MV_GDB_SAME("rbx", 64), MV_GDB_SAME("rcx", 64), MV_GDB_SAME("rdx", 64), MV_GDB_SAME("rsi", 64),
    MV_GDB_SAME("rdi", 64), {"rbp", "rbp", 64, "data_ptr"}, {"rsp", "rsp", 64, "data_ptr"},
    MV_GDB_SAME("r8", 64), MV_GDB_SAME("r9", 64), MV_GDB_SAME("r10", 64), MV_GDB_SAME("r11", 64), MV_GDB_SAME("r12", 64),
    MV_GDB_SAME("r13", 64), MV_GDB_SAME("r14", 64), MV_GDB_SAME("r15", 64), {"rip", "rip", 64, "code_ptr"},
    BOTH_HAVE,
    VECTOR(8), VECTOR(9), VECTOR(10), VECTOR(11), VECTOR(12), VECTOR(13), VECTOR(14), VECTOR(15),
    MV_GDB_SAME("mxcsr", 32),
    MV_GDB_FEATURE("org.gnu.gdb.i386.segments"),
    {"fs_base", "fs.base", 64, NULL}, {"gs_base", "gs.base", 64, NULL},
    MV_GDB_FEATURE("org.minivmm.control"),
    MV_GDB_SAME("cr0", 64), MV_GDB_SAME("cr2", 64), MV_GDB_SAME("cr3", 64), MV_GDB_SAME("cr4", 64), MV_GDB_SAME("cr8", 64),
    MV_GDB_SAME("efer", 64), {"gdt_base", "gdt.base", 64, NULL}, {"gdt_limit", "gdt.limit", 32, NULL},
    {"idt_base", "idt.base", 64, NULL}, {"idt_limit", "idt.limit", 32, NULL}, MV_GDB_SAME("lstar", 64),
    MV_GDB_SAME("kernel_gs_base", 64),
};

static const struct mv_gdb_register registers32[] = {
    MV_GDB_FEATURE("org.gnu.gdb.i386.core"),
    {"eax", "rax", 32, NULL}, {"ecx", "rcx", 32, NULL}, {"edx", "rdx", 32, NULL}, {"ebx", "rbx", 32, NULL},
    {"esp", "rsp", 32, "data_ptr"}, {"ebp", "rbp", 32, "data_ptr"}, {"esi", "rsi", 32, NULL}, {"edi", "rdi", 32, NULL},
    {"eip", "rip", 32, "code_ptr"},
    BOTH_HAVE,
    MV_GDB_SAME("mxcsr", 32),
    MV_GDB_FEATURE("org.minivmm.control"),
    MV_GDB_SAME("cr0", 32), MV_GDB_SAME("cr2", 32), MV_GDB_SAME("cr3", 32), MV_GDB_SAME("cr4", 32),
    MV_GDB_SAME("efer", 64), {"gdt_base", "gdt.base", 32, NULL}, {"gdt_limit", "gdt.limit", 32, NULL},
    {"idt_base", "idt.base", 32, NULL}, {"idt_limit", "idt.limit", 32, NULL},
};
/* clang-format on */

static const struct mv_gdb_arch arch32 = {.name = "i386",
                                          .registers = registers32,
                                          .count = MV_COUNT(registers32),
                                          .breakpoint = {0xcc},
                                          .breakpoint_size = 1};
const struct mv_gdb_arch *const mv_gdb_arch32 = &arch32;

const struct mv_gdb_arch mv_gdb_arch = {.name = "i386:x86-64",
                                        .registers = registers,
                                        .count = MV_COUNT(registers),
                                        .breakpoint = {0xcc}, /* int3 */
                                        .breakpoint_size = 1};
