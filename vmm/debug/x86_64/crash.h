/* SPDX-License-Identifier: MIT */
/*
 * A model of a processor's exceptions: what memory and segments allow (access.c), which exception
 * an instruction raises (instruction.c), and how it is delivered (crash.c).
 */
#ifndef MV_X86_CRASH_H
#define MV_X86_CRASH_H

#include "core/util.h"
#include "explain.h"

enum { DE = 0, BP = 3, UD = 6, NM = 7, DF = 8, TS = 10, NP = 11, SS = 12, GP = 13, PF = 14 };
enum { INTERRUPT = 32, NONE = -1 };

enum {
    CR0_PE = 1u << 0,
    EFER_LMA = 1u << 10,
    RFLAGS_IF = 1u << 9,
    RFLAGS_VM = 1u << 17,
    CODE_MOST = 15, /* bytes of an instruction */
};

/* An exception, and its reason. */
struct mv_fault {
    int vector;    /* NONE: no exception */
    bool software; /* raised by INT n */
    char why[400];
};

struct mv_x86_cpu {
    struct mv_x86_state s;
    const struct mv_mem *mem;
    bool protected, v86, is_long, is64;
    unsigned cpl;
};

static const struct mv_fault fine = {.vector = NONE};

struct mv_fault mv_x86_fault(int vector, const char *format, ...) MV_PRINTF(2, 3);

struct mv_x86_cpu mv_x86_view(const struct mv_x86_state *state, const struct mv_mem *mem);

/* ---- access.c ---- */

enum mv_x86_access { READ, WRITE, FETCH };

/* Checks an access to a linear address, by ring 3 (user) or the kernel.  doing: the beginning of
 * the sentence that explains a fault, "it reads from". */
struct mv_fault mv_x86_touch(const struct mv_x86_cpu *c, uint64_t address, uint64_t size,
                             enum mv_x86_access access, bool user, const char *doing);

/* Check an access by segment (0 to 5: ES, CS, SS, DS, FS, GS) and offset, and an access to the
 * stack, beginning `from` bytes above the stack pointer. */
struct mv_fault mv_x86_touch_segment(const struct mv_x86_cpu *c, unsigned number, uint64_t offset,
                                     unsigned size, enum mv_x86_access access, const char *doing);
struct mv_fault mv_x86_touch_stack(const struct mv_x86_cpu *c, int64_t from, unsigned size,
                                   enum mv_x86_access access, const char *doing);
const struct kvm_segment *mv_x86_segment(const struct mv_x86_cpu *c, unsigned number);
uint64_t mv_x86_stack_pointer(const struct mv_x86_cpu *c);

/* Reads as the processor reads its own tables; bytes that are not mapped or not in memory are all
 * ones. */
struct mv_fault mv_x86_read_linear(const struct mv_x86_cpu *c, uint64_t address, void *ret_data,
                                   unsigned size, const char *doing);

enum mv_x86_load { LOAD_CODE, LOAD_GATE, LOAD_DATA, LOAD_STACK, LOAD_TSS, LOAD_LDT };

struct mv_x86_descriptor {
    uint64_t bits;
    unsigned type; /* includes S as bit 4 */
    unsigned dpl;
    bool present, is64, big;
    uint32_t base, limit;
};

/* Loads and checks a descriptor by its selector, for this use.  who: names the segment at the
 * beginning of a sentence. */
struct mv_fault mv_x86_load(const struct mv_x86_cpu *c, enum mv_x86_load load, unsigned selector,
                            const char *who, struct mv_x86_descriptor *ret);

/* ---- instruction.c ---- */

/* Returns the first exception of the instruction at RIP, or a probable one, and its bytes. */
struct mv_fault mv_x86_first_fault(const struct mv_x86_cpu *c, uint8_t code[CODE_MOST],
                                   unsigned *ret_length);

#endif
