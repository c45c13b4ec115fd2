/* SPDX-License-Identifier: MIT */
/**
 * @file
 * A vCPU from near by: run it by hand, one exit at a time, hook its exits, and look
 * inside: registers, memory as it sees it, single steps, breakpoints.
 *
 * A machine's vCPUs either have threads of their own (mv_machine_run, mv_machine_start),
 * or they run in their callers' (mv_vcpu_run).  In both cases what is said here of
 * registers, translation and debugging is for a vCPU that does not run: before the
 * first run, while the machine is paused, inside of one of its own hooks, between two
 * calls of mv_vcpu_run, and after the end.  One thread at a time for each vCPU: while another
 * one runs it or looks inside, the answer is -EBUSY, where a function returns a string NULL.
 *
 * Functions that can fail return 0 or a negative errno value.  -ENOSYS: the library was built
 * without what they need, debug or embed; then a string is NULL, and there are no registers.
 */
#ifndef MINIVMM_VCPU_H
#define MINIVMM_VCPU_H

#include "minivmm.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A vCPU: the machine's, and no longer there than it. */
struct mv_vcpu;

/** A machine's vCPU.  index: from 0 to the configured number - 1; else NULL.  Any thread. */
MV_API struct mv_vcpu *mv_machine_vcpu(const struct mv_machine *machine, unsigned index);

/** Its number, from 0.  Any thread. */
MV_API unsigned mv_vcpu_index(const struct mv_vcpu *vcpu);

/* ---- exits ---- */

/** Why a vCPU stopped running its guest. */
enum mv_exit_kind {
    MV_EXIT_NONE,        /**< there was none yet */
    MV_EXIT_PORT,        /**< x86: `in` or `out`; see access */
    MV_EXIT_MMIO,        /**< an address where there is no memory; see access */
    MV_EXIT_HYPERCALL,   /**< see hypercall */
    MV_EXIT_HALT,        /**< x86, bare machines: `hlt`, also where it is stepped over */
    MV_EXIT_DEBUG,       /**< a step, breakpoint or watchpoint; see debug */
    MV_EXIT_TIMEOUT,     /**< the time given to mv_vcpu_run is over */
    MV_EXIT_INTERRUPTED, /**< a signal of the process's came to the thread, or mv_machine_pause */
    MV_EXIT_END,         /**< the machine has ended; see end */
    MV_EXIT_ANY = MV_EXIT_NONE, /**< for hooks: whatever there is, up to and with MV_EXIT_DEBUG */
};

/** Why a vCPU stopped for a debugger. */
enum mv_debug_reason {
    MV_DEBUG_STEP,       /**< one instruction is done */
    MV_DEBUG_SOFTWARE,   /**< a breakpoint instruction: int3, brk */
    MV_DEBUG_BREAKPOINT, /**< one of mv_debug's */
    MV_DEBUG_WATCHPOINT, /**< one of mv_debug's */
};

/** One access to a port or to an address without memory. */
struct mv_access {
    uint64_t address; /**< port, or guest-physical address */
    uint32_t size;    /**< bytes: 1, 2, 4 or 8 */
    bool write;       /**< by the guest */
    uint64_t value;   /**< written; or what the guest will read: all ones, until somebody sets it */
};

/**
 * KVM does not show us vmcall and hvc, which it answers by itself.  So a hypercall is
 * a write of four bytes to a device of the machine's: on x86-64 `out` to the port
 * MV_HYPERCALL_PORT, on arm64 a store to the address MV_HYPERCALL_ADDRESS.  The value
 * written is the call's number; arguments and result are in the registers of the C
 * calling convention (x86-64: RDI, RSI, RDX, RCX; RAX.  arm64: X0 to X3; X0).
 *
 * mv_vcpu_run tells it as MV_EXIT_HYPERCALL, with a hook or without one, and without one
 * its caller's `result` is what the guest gets; with MV_UNTIL_END, which does not tell it, the
 * guest's register stays as it is.  On vCPUs with threads of their own there are hypercalls only if
 * there is a hook of that kind; without one it is a write like any other, MV_EXIT_PORT or
 * MV_EXIT_MMIO, which nobody serves but a custom device that is there.
 */
struct mv_hypercall {
    uint64_t number;       /**< 32 bits, as the guest wrote them */
    uint64_t arguments[4]; /**< from the registers */
    uint64_t result;       /**< what the guest gets; 0 until somebody sets it */
};

#define MV_HYPERCALL_PORT    0xf8       /**< x86-64 */
#define MV_HYPERCALL_ADDRESS 0x01050000 /**< arm64 */

/** Where a vCPU stopped for a debugger. */
struct mv_debug_stop {
    enum mv_debug_reason reason; /**< why */
    uint64_t address;            /**< of the instruction, or of the data watched; guest-virtual */
};

/** One exit of a vCPU: which member of the union holds goes by kind. */
struct mv_exit {
    size_t size;            /**< sizeof(struct mv_exit): set before mv_vcpu_run */
    enum mv_exit_kind kind; /**< why it stopped */
    bool handled;           /**< a hook or a device has served it */
    uint64_t pc; /**< guest-virtual address of the instruction, or 0 where finding it out takes a
                  * call to KVM: then the register "rip" or "pc" has it */
    union {
        struct mv_access access;       /**< MV_EXIT_PORT, MV_EXIT_MMIO */
        struct mv_hypercall hypercall; /**< MV_EXIT_HYPERCALL */
        struct mv_debug_stop debug;    /**< MV_EXIT_DEBUG */
        struct mv_end end;             /**< MV_EXIT_END */
    };
};

/**
 * A hook sees an exit before the devices do, in the vCPU's thread.  It returns true if
 * it has served the exit, which then goes no further; of several the first one in
 * the configuration that says so counts.  It may call whatever is allowed for a vCPU that
 * does not run, and mv_machine_stop, but must not wait for another vCPU of its
 * machine.
 */
typedef bool mv_hook_fn(void *context, struct mv_vcpu *vcpu, struct mv_exit *exit);

/** A hook: which exits it sees, and what it does. */
struct mv_hook {
    size_t size;            /**< sizeof(struct mv_hook) */
    enum mv_exit_kind kind; /**< up to and with MV_EXIT_DEBUG; or MV_EXIT_ANY */
    uint64_t first;         /**< MV_EXIT_PORT and MV_EXIT_MMIO: the lowest address */
    uint64_t last;          /**< and the highest, inclusive */
    mv_hook_fn *fn;         /**< what it does; required */
    void *context;          /**< what fn gets; the caller's, until destroy */
};

/** How far mv_vcpu_run goes. */
enum mv_until {
    MV_UNTIL_EXIT,      /**< to the next exit, also if a hook or device has handled it */
    MV_UNTIL_UNHANDLED, /**< to the next exit that neither has handled */
    MV_UNTIL_END,  /**< to the end of the machine, or a bare one's MV_EXIT_HALT, as unhandled */
    MV_UNTIL_STEP, /**< over one instruction, or to an exit that comes before its end */
    MV_UNTIL_UNKNOWN = MV_UNTIL_UNHANDLED, /**< its name until version 0.1 */
};

/** A timeout that never comes. */
#define MV_FOREVER (-1)

/**
 * Runs the guest in this thread, until there is something to tell.  The first call
 * makes the machine one whose vCPUs have no threads of their own.
 *
 * exit: filled in.  Leave it as it is between two calls, except for what answers the
 * guest: an access that is a read and that nobody has served gets the value that is in
 * exit->access.value at the next call.  A machine that has ended gives MV_EXIT_END for
 * ever.  timeout: in nanoseconds of CLOCK_MONOTONIC, or MV_FOREVER; 0 only looks at
 * what is pending.  It holds, too, while the vCPU waits for a pause to end, or for the
 * console or a disk to take what the guest wrote.
 *
 * Signals: while the guest runs, or the vCPU waits, the calling thread has its own signal mask.
 * One that comes gives MV_EXIT_INTERRUPTED, and its handler has run when mv_vcpu_run
 * returns.  While an exit is served they are blocked, so that none is missed, also in hooks
 * and custom devices: one that takes long may unblock them, all but SIGRTMIN.
 *
 * Errors: -EALREADY (the vCPUs have threads), -EBUSY (it runs already: in another thread, or
 * this is one of its hooks), -EFAULT (memory went away under the
 * guest), -EAGAIN (no more timers or threads), and what KVM returns.
 */
MV_API int mv_vcpu_run(struct mv_vcpu *vcpu, enum mv_until until, int64_t timeout,
                       struct mv_exit *exit);

/** The name of an exit, "port"; static storage. */
MV_API const char *mv_exit_kind_name(enum mv_exit_kind kind);

/* ---- memory ---- */

/** Copies size bytes at a guest-physical address.  -EFAULT, and nothing is copied, unless
 * all of them are memory in one piece, which to write to is not read-only.  Any thread, also
 * while the guest runs and changes it. */
MV_API int mv_machine_read(const struct mv_machine *machine, uint64_t address, void *ret_data,
                           size_t size);

/** The other way round. */
MV_API int mv_machine_write(struct mv_machine *machine, uint64_t address, const void *data,
                            size_t size);

/** Where these bytes are in this process until the machine is destroyed, or NULL unless
 * all of them are memory, in one piece, that is not read-only.  The guest may change them at
 * any time. */
MV_API void *mv_machine_memory(struct mv_machine *machine, uint64_t address, size_t size);

/** The number of pieces of memory, the machine's first, then those of mv_config.memories;
 * *ret_address and *ret_size of piece `index` where it is one. */
MV_API unsigned mv_machine_memory_map(const struct mv_machine *machine, unsigned index,
                                      uint64_t *ret_address, uint64_t *ret_size);

/** Copies size bytes at a guest-virtual address, as the vCPU sees it now, whatever the access
 * rights say: for debuggers.  -EFAULT, and nothing is copied: not all of it is mapped, to
 * memory. */
MV_API int mv_vcpu_read(struct mv_vcpu *vcpu, uint64_t address, void *ret_data, size_t size);

/** The other way round. */
MV_API int mv_vcpu_write(struct mv_vcpu *vcpu, uint64_t address, const void *data, size_t size);

#define MV_WALK_LEVELS 5 /**< the most that there are */

/** One entry that the processor looks at. */
struct mv_walk_level {
    const char *name; /**< "PML4", "PDPT"...; static storage */
    uint64_t address; /**< guest-physical, of the entry */
    uint64_t entry;   /**< as it is there; all ones where there is no memory */
    bool present;     /**< without it nothing else counts */
    bool writable;    /**< as this entry has it; other levels may forbid it */
    bool user;        /**< x86: in ring 3; arm64: at EL0.  As this entry has it */
    bool executable;  /**< as this entry has it */
    bool leaf;        /**< it maps a page; the walk ends here */
};

/** How an address is translated: SDM volume 3, 4; Arm ARM, D8. */
struct mv_walk {
    bool mapped;        /**< there is a translation */
    uint64_t address;   /**< guest-physical; where mapped */
    uint64_t page_size; /**< bytes; 0: translation is off, and the address is the physical one */
    bool writable;      /**< over all levels; where mapped */
    bool user;          /**< over all levels; where mapped */
    bool executable;    /**< over all levels; where mapped */
    unsigned levels;    /**< how many there are in level */
    struct mv_walk_level level[MV_WALK_LEVELS]; /**< the entries, in the processor's order */
    char why[120]; /**< for a person, where it is not mapped: "the PDPT's entry is not present" */
};

/** Walks the page tables for a guest-virtual address (x86: a linear one).  Returns 0 also
 * when it is not mapped. */
MV_API int mv_vcpu_translate(struct mv_vcpu *vcpu, uint64_t address, struct mv_walk *ret_walk);

/* ---- registers ---- */

/** What kind of register it is. */
enum mv_register_group {
    MV_REGISTERS_GENERAL, /**< general purpose, instruction pointer, flags */
    MV_REGISTERS_SEGMENT, /**< x86: selectors, and base, limit and attributes of each: "cs.base" */
    MV_REGISTERS_CONTROL, /**< x86: CR0..., EFER, GDT and IDT */
    MV_REGISTERS_MSR,     /**< x86: model-specific ones */
    MV_REGISTERS_SYSTEM,  /**< arm64: of EL1 */
    MV_REGISTERS_FLOAT,   /**< x87 and SSE; FP and SIMD */
};

/** A register, as the table has it. */
struct mv_register {
    const char *name; /**< lower case, as the manuals have it: "rax", "cs", "cr3", "sctlr_el1" */
    enum mv_register_group group; /**< what kind it is */
    unsigned bits;                /**< 8, 16, 32, 64, 80 or 128 */
};

/** All that this architecture has here; static storage. */
MV_API const struct mv_register *mv_registers(size_t *ret_count);

/** Reads a register by name.  -ENOENT: there is no such register; -EOPNOTSUPP: this processor
 * lacks it; -ERANGE: it has more than 64 bits. */
MV_API int mv_vcpu_get(struct mv_vcpu *vcpu, const char *name, uint64_t *ret_value);

/** Sets it alone; see mv_vcpu_set_registers, whose errors these are.  -ERANGE: it has more than 64
 * bits, or fewer than the value. */
MV_API int mv_vcpu_set(struct mv_vcpu *vcpu, const char *name, uint64_t value);

/** Reads a register by its place in the table, all its bits, the lowest byte first:
 * (bits + 7) / 8 bytes.  Errors: -ENOENT and -EOPNOTSUPP as above. */
MV_API int mv_vcpu_get_bytes(struct mv_vcpu *vcpu, size_t number, void *ret_bytes);

/** Sets it alone; errors as of mv_vcpu_set_registers. */
MV_API int mv_vcpu_set_bytes(struct mv_vcpu *vcpu, size_t number, const void *bytes);

#define MV_REGISTERS_MAX 256 /**< no vCPU has more registers here */

/** A register's value. */
struct mv_register_value {
    const char *name; /**< as in the table */
    uint64_t value;   /**< its bits 0 to 63 */
    uint64_t high;    /**< bits 64 and up, of registers that have them; else 0 */
};

/** Reads all registers that this vCPU's processor has, in the table's order: copies up to `most`,
 * and returns how many there are, at most MV_REGISTERS_MAX; or what KVM returns.  The names are
 * in static storage.  After an exit they are those at the end of its instruction, which KVM is
 * made to complete; but if that reads, and the caller may still choose the value, those before. */
MV_API int mv_vcpu_get_registers(struct mv_vcpu *vcpu, struct mv_register_value *ret_values,
                                 size_t most);

/**
 * Sets registers, all at once and in whatever order they are: so those that depend on each
 * other, such as x86's CR0, CR3, CR4, EFER and segments, can change together, and what
 * mv_vcpu_get_registers has read can be put into another machine's vCPU of the same number, its
 * memory first.  Then reads them back.  On failure none has changed.
 *
 * Not compared with what was asked for is what processors set by themselves: TSC, bits
 * without a choice (CR0.ET, bit 1 of RFLAGS, the reserved ones of DR6 and DR7), and of segments
 * G, "accessed" and "busy", and whatever else a segment has that is not present.
 *
 * Errors, whose hint names the broken rule of the processor's manual where that is known:
 * -EINVAL (KVM refuses a value, or does not keep it), -ENOENT (there is no such register),
 * -EOPNOTSUPP (this processor lacks it), -ERANGE (a value has more bits than its register).
 */
MV_API int mv_vcpu_set_registers(struct mv_vcpu *vcpu, const struct mv_register_value *values,
                                 size_t count, struct mv_error *err);

/**
 * Checks the vCPU's registers against the rules of its processor's manual, of which KVM tells no
 * more than -EINVAL or a run that fails: a line for each one that is broken, with the section.
 * If setting registers has failed with -EINVAL since the last time that it did not, it is the state
 * that was refused.  Returns a string to be freed by the caller, "" if no rule is broken; NULL if
 * there is no memory, or the vCPU runs.
 */
MV_API char *mv_vcpu_explain(struct mv_vcpu *vcpu);

/* ---- debugging ---- */

#define MV_DEBUG_POINTS 4 /**< of one vCPU, the most */

/** What a point waits for. */
enum mv_debug_access {
    MV_BREAK_EXECUTE, /**< an instruction is about to be executed */
    MV_WATCH_WRITE,   /**< data is written */
    MV_WATCH_ACCESS,  /**< reads and writes */
};

/** A hardware breakpoint or watchpoint. */
struct mv_debug_point {
    enum mv_debug_access access; /**< what it waits for */
    uint64_t address;            /**< guest-virtual; a multiple of size */
    uint32_t size; /**< bytes watched: 1, 2, 4 or 8; 1 (x86) or 4 (arm64) for MV_BREAK_EXECUTE */
};

/** What makes the vCPU stop with MV_EXIT_DEBUG; all zero: nothing. */
struct mv_debug {
    size_t size;    /**< sizeof(struct mv_debug) */
    bool step;      /**< after each instruction */
    bool software;  /**< a breakpoint instruction is ours, not the guest's */
    unsigned count; /**< how many points there are, 0 to MV_DEBUG_POINTS */
    struct mv_debug_point points[MV_DEBUG_POINTS]; /**< these */
};

/** Replaces what was set before.  -ENOSPC: the processor has not so many; -EINVAL: a
 * size or address that it cannot watch; -EOPNOTSUPP. */
MV_API int mv_vcpu_debug(struct mv_vcpu *vcpu, const struct mv_debug *debug);

/**
 * For a vCPU that has stopped at a breakpoint instruction (MV_DEBUG_SOFTWARE) which is the guest's
 * own after all, in a hook or between two runs: it gets the exception that it would have got
 * without mv_debug.software.  0; -EINVAL: it has not stopped at one; -EBUSY: it runs.
 */
MV_API int mv_vcpu_pass_breakpoint(struct mv_vcpu *vcpu);

/**
 * Whether breakpoints work here.  Where KVM itself runs on a processor that QEMU
 * emulates (nested SVM under TCG), guests' breakpoint instructions go to the guest,
 * and debug registers do not fire: single steps alone work.
 */
MV_API bool mv_machine_breakpoints_work(const struct mv_machine *machine);

/**
 * The instruction at a guest-virtual address as a line of text, in the mode that the
 * vCPU is in.  Returns its length in bytes; -EFAULT (nothing is mapped there), -EILSEQ
 * (no instruction), -ENOSYS (the library was built without capstone).
 */
MV_API int mv_vcpu_disassemble(struct mv_vcpu *vcpu, uint64_t address, char *ret_text, size_t size);

#ifdef __cplusplus
}
#endif

#endif
