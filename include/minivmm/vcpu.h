/* SPDX-License-Identifier: MIT */
/**
 * @file
 * Control of a single vCPU: run it one exit at a time, hook its exits, and inspect and
 * debug it: registers, memory as the vCPU sees it, single steps, breakpoints.
 *
 * A machine's vCPUs either have their own threads (mv_machine_run, mv_machine_start)
 * or run in their callers' threads (mv_vcpu_run).  In both cases the functions for
 * registers, translation and debugging require a vCPU that is not running: before the
 * first run, while the machine is paused, inside one of the vCPU's own hooks, between two
 * calls of mv_vcpu_run, or after the end.  Each vCPU serves one thread at a time: while another
 * one runs or inspects it, these functions return -EBUSY, or NULL instead of a string.
 *
 * Functions that can fail return 0 or a negative errno value.  If the library was built without
 * the part that a function needs, debug or embed, it returns -ENOSYS, or NULL instead of a
 * string, and mv_registers is empty.
 */
#ifndef MINIVMM_VCPU_H
#define MINIVMM_VCPU_H

#include "minivmm.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A vCPU.  Owned by its machine, and valid until the machine is destroyed. */
struct mv_vcpu;

/** Returns vCPU number `index`, from 0, or NULL if there is no such vCPU.  Any thread. */
MV_API struct mv_vcpu *mv_machine_vcpu(const struct mv_machine *machine, unsigned index);

/** A vCPU's number, from 0.  Any thread. */
MV_API unsigned mv_vcpu_index(const struct mv_vcpu *vcpu);

/* ---- exits ---- */

/** Why a vCPU stopped running its guest. */
enum mv_exit_kind {
    MV_EXIT_NONE,               /**< no exit yet */
    MV_EXIT_PORT,               /**< x86: `in` or `out`; see access */
    MV_EXIT_MMIO,               /**< an access to an address without memory; see access */
    MV_EXIT_HYPERCALL,          /**< see hypercall */
    MV_EXIT_HALT,               /**< x86, bare machines: `hlt`, also if single-stepped */
    MV_EXIT_DEBUG,              /**< a single step, breakpoint or watchpoint; see debug */
    MV_EXIT_TIMEOUT,            /**< the timeout of mv_vcpu_run has expired */
    MV_EXIT_INTERRUPTED,        /**< the thread received a signal, or mv_machine_pause was called */
    MV_EXIT_END,                /**< the machine has ended; see end */
    MV_EXIT_ANY = MV_EXIT_NONE, /**< for hooks: any exit up to and including MV_EXIT_DEBUG */
};

/** Why a vCPU stopped for a debugger. */
enum mv_debug_reason {
    MV_DEBUG_STEP,       /**< one instruction is complete */
    MV_DEBUG_SOFTWARE,   /**< a breakpoint instruction: int3, brk */
    MV_DEBUG_BREAKPOINT, /**< a breakpoint of mv_debug.points */
    MV_DEBUG_WATCHPOINT, /**< a watchpoint of mv_debug.points */
};

/** One access to a port or to an address without memory. */
struct mv_access {
    uint64_t address; /**< port, or guest-physical address */
    uint32_t size;    /**< bytes: 1, 2, 4 or 8 */
    bool write;       /**< the guest writes */
    uint64_t value;   /**< as written; or what the guest will read: all ones until it is set */
};

/**
 * KVM handles vmcall and hvc by itself and does not exit for them.  So a hypercall is
 * a write of four bytes to the device model: on x86-64 `out` to the port
 * MV_HYPERCALL_PORT, on arm64 a store to the address MV_HYPERCALL_ADDRESS.  The value
 * written is the call's number; arguments and result are in the registers of the C
 * calling convention (x86-64: RDI, RSI, RDX, RCX; RAX.  arm64: X0 to X3; X0).
 *
 * mv_vcpu_run returns it as MV_EXIT_HYPERCALL.  If no hook has handled it, the guest gets the
 * `result` that the caller sets; with MV_UNTIL_END, which does not return hypercalls, the guest's
 * result register is unchanged.  vCPUs with their own threads have hypercalls only if there is a
 * hook of that kind.  Without one it is a write like any other, MV_EXIT_PORT or MV_EXIT_MMIO,
 * which only a custom device at that address handles.
 */
struct mv_hypercall {
    uint64_t number;       /**< 32 bits, as the guest wrote them */
    uint64_t arguments[4]; /**< from the registers */
    uint64_t result;       /**< what the guest gets; 0 until it is set */
};

#define MV_HYPERCALL_PORT    0xf8       /**< x86-64 */
#define MV_HYPERCALL_ADDRESS 0x01050000 /**< arm64 */

/** Where a vCPU stopped for a debugger. */
struct mv_debug_stop {
    enum mv_debug_reason reason; /**< why */
    uint64_t address;            /**< of the instruction or of the data watched; guest-virtual */
};

/** One exit of a vCPU; kind selects the valid member of the union. */
struct mv_exit {
    size_t size;            /**< sizeof(struct mv_exit): set before mv_vcpu_run */
    enum mv_exit_kind kind; /**< why the vCPU stopped */
    bool handled;           /**< a hook or a device has handled it */
    uint64_t pc; /**< guest-virtual address of the instruction, or 0 if it would cost a call to KVM:
                  * then read the register "rip" or "pc" */
    union {
        struct mv_access access;       /**< MV_EXIT_PORT, MV_EXIT_MMIO */
        struct mv_hypercall hypercall; /**< MV_EXIT_HYPERCALL */
        struct mv_debug_stop debug;    /**< MV_EXIT_DEBUG */
        struct mv_end end;             /**< MV_EXIT_END */
    };
};

/**
 * A hook sees an exit before the devices do, in the vCPU's thread.  It returns true if
 * it has handled the exit; then no later hook and no device sees it.  Hooks are called
 * in the order of the configuration.  A hook may call mv_machine_stop and whatever is
 * allowed for a vCPU that is not running, but must not wait for another vCPU of its
 * machine.
 */
typedef bool mv_hook_fn(void *context, struct mv_vcpu *vcpu, struct mv_exit *exit);

/** A hook: which exits it sees, and what it does. */
struct mv_hook {
    size_t size;            /**< sizeof(struct mv_hook) */
    enum mv_exit_kind kind; /**< up to and including MV_EXIT_DEBUG; or MV_EXIT_ANY */
    uint64_t first;         /**< MV_EXIT_PORT and MV_EXIT_MMIO: lowest address */
    uint64_t last;          /**< highest address, inclusive */
    mv_hook_fn *fn;         /**< called for each exit that matches; required */
    void *context;          /**< passed to fn; must stay valid until destroy */
};

/** When mv_vcpu_run returns. */
enum mv_until {
    MV_UNTIL_EXIT,      /**< at the next exit, even if a hook or device has handled it */
    MV_UNTIL_UNHANDLED, /**< at the next exit that neither a hook nor a device has handled */
    MV_UNTIL_END,       /**< at the end of the machine, or at an unhandled MV_EXIT_HALT */
    MV_UNTIL_STEP,      /**< after one instruction, or at an unhandled exit within it */
    MV_UNTIL_UNKNOWN = MV_UNTIL_UNHANDLED, /**< the old name, until version 0.1 */
};

/** No timeout. */
#define MV_FOREVER (-1)

/**
 * Runs the guest in the calling thread until it has an exit to return.  From the first
 * call on, the machine's vCPUs do not get threads of their own.
 *
 * exit: filled in.  Do not change it between two calls, except to answer the guest: an
 * unhandled read gets the value of exit->access.value at the next call.  Once the machine
 * has ended, each call returns MV_EXIT_END.  timeout: in nanoseconds of CLOCK_MONOTONIC, or
 * MV_FOREVER; 0 returns only what is already pending.  The timeout also applies while the
 * vCPU waits for a pause to end, or for the console or a disk to accept what the guest wrote.
 *
 * Signals: while the guest runs or the vCPU waits, the calling thread has its own signal mask.
 * A signal causes MV_EXIT_INTERRUPTED, and its handler has run when mv_vcpu_run returns.
 * While an exit is handled, signals are blocked so that none is missed; also in hooks and
 * custom devices.  One of these that takes long may unblock signals other than SIGRTMIN.
 *
 * Errors: -EALREADY (the vCPUs have threads), -EBUSY (the vCPU is already running, in another
 * thread, or the caller is one of its hooks), -EFAULT (the guest's memory became
 * inaccessible), -EAGAIN (no more timers or threads), and errors of KVM.
 */
MV_API int mv_vcpu_run(struct mv_vcpu *vcpu, enum mv_until until, int64_t timeout,
                       struct mv_exit *exit);

/** The name of a kind of exit, such as "port"; static storage. */
MV_API const char *mv_exit_kind_name(enum mv_exit_kind kind);

/* ---- memory ---- */

/** Reads size bytes at a guest-physical address.  -EFAULT, and nothing is copied, unless
 * all of them are in one memory region.  Any thread, also while the guest runs and changes
 * them. */
MV_API int mv_machine_read(const struct mv_machine *machine, uint64_t address, void *ret_data,
                           size_t size);

/** Writes size bytes, as mv_machine_read; -EFAULT also if the region is read-only. */
MV_API int mv_machine_write(struct mv_machine *machine, uint64_t address, const void *data,
                            size_t size);

/** Returns the address of guest memory in this process, valid until the machine is destroyed, or
 * NULL unless all size bytes are in one region that is not read-only.  The guest may change them
 * at any time. */
MV_API void *mv_machine_memory(struct mv_machine *machine, uint64_t address, size_t size);

/** Returns the number of memory regions: the machine's, then those of mv_config.memories.  Sets
 * *ret_address and *ret_size to those of region `index` if it exists. */
MV_API unsigned mv_machine_memory_map(const struct mv_machine *machine, unsigned index,
                                      uint64_t *ret_address, uint64_t *ret_size);

/** Reads size bytes at a guest-virtual address in the vCPU's current address space, regardless of
 * access rights: for debuggers.  -EFAULT, and nothing is copied, unless all of them are mapped to
 * memory. */
MV_API int mv_vcpu_read(struct mv_vcpu *vcpu, uint64_t address, void *ret_data, size_t size);

/** Writes size bytes, as mv_vcpu_read; -EFAULT also if the memory region is read-only. */
MV_API int mv_vcpu_write(struct mv_vcpu *vcpu, uint64_t address, const void *data, size_t size);

#define MV_WALK_LEVELS 5 /**< most levels of a page walk */

/** One page table entry on the processor's walk. */
struct mv_walk_level {
    const char *name; /**< "PML4", "PDPT"...; static storage */
    uint64_t address; /**< guest-physical address of the entry */
    uint64_t entry;   /**< its value; all ones if there is no memory */
    bool present;     /**< if false, the following members mean nothing */
    bool writable;    /**< in this entry; another level may forbid it */
    bool user;        /**< accessible in ring 3 (x86) or at EL0 (arm64), in this entry */
    bool executable;  /**< in this entry */
    bool leaf;        /**< maps a page: the walk ends here */
};

/** How an address is translated: SDM volume 3, 4; Arm ARM, D8. */
struct mv_walk {
    bool mapped;        /**< there is a translation */
    uint64_t address;   /**< guest-physical; valid if mapped */
    uint64_t page_size; /**< bytes; 0: translation is off, and virtual equals physical */
    bool writable;      /**< at all levels; valid if mapped */
    bool user;          /**< at all levels; valid if mapped */
    bool executable;    /**< at all levels; valid if mapped */
    unsigned levels;    /**< number of entries in level */
    struct mv_walk_level level[MV_WALK_LEVELS]; /**< the entries, in the processor's order */
    char why[120]; /**< if not mapped, the reason: "the PDPT's entry is not present" */
};

/** Walks the page tables for a guest-virtual address (x86: a linear address).  Returns 0 even
 * if it is not mapped. */
MV_API int mv_vcpu_translate(struct mv_vcpu *vcpu, uint64_t address, struct mv_walk *ret_walk);

/* ---- registers ---- */

/** What kind of register it is. */
enum mv_register_group {
    MV_REGISTERS_GENERAL, /**< general purpose, instruction pointer, flags */
    MV_REGISTERS_SEGMENT, /**< x86: selectors, and their base, limit and attributes: "cs.base" */
    MV_REGISTERS_CONTROL, /**< x86: CR0..., EFER, GDT and IDT */
    MV_REGISTERS_MSR,     /**< x86: model-specific registers */
    MV_REGISTERS_SYSTEM,  /**< arm64: system registers of EL1 */
    MV_REGISTERS_FLOAT,   /**< x86: x87 and SSE; arm64: FP and SIMD */
};

/** An entry of the table of registers. */
struct mv_register {
    const char *name; /**< the manual's, in lower case: "rax", "cs", "cr3", "sctlr_el1" */
    enum mv_register_group group; /**< what kind it is */
    unsigned bits;                /**< 8, 16, 32, 64, 80 or 128 */
};

/** The table of this architecture's registers; static storage. */
MV_API const struct mv_register *mv_registers(size_t *ret_count);

/** Reads a register by name.  Errors: -ENOENT (no such register), -EOPNOTSUPP (this processor
 * lacks it), -ERANGE (it has more than 64 bits). */
MV_API int mv_vcpu_get(struct mv_vcpu *vcpu, const char *name, uint64_t *ret_value);

/** Sets one register by name.  Errors: those of mv_vcpu_set_registers; -ERANGE also if the register
 * has more than 64 bits. */
MV_API int mv_vcpu_set(struct mv_vcpu *vcpu, const char *name, uint64_t value);

/** Reads a register by its index in the table, all its bits, the lowest byte first:
 * (bits + 7) / 8 bytes.  Errors: -ENOENT and -EOPNOTSUPP as above. */
MV_API int mv_vcpu_get_bytes(struct mv_vcpu *vcpu, size_t number, void *ret_bytes);

/** Sets one register by its index in the table.  Errors: those of mv_vcpu_set_registers. */
MV_API int mv_vcpu_set_bytes(struct mv_vcpu *vcpu, size_t number, const void *bytes);

#define MV_REGISTERS_MAX 256 /**< the table never has more registers */

/** A register's value. */
struct mv_register_value {
    const char *name; /**< as in the table */
    uint64_t value;   /**< bits 0 to 63 */
    uint64_t high;    /**< bits 64 and up if the register has them; else 0 */
};

/** Reads all registers that this vCPU's processor has, in the table's order.  Copies up to `most`,
 * and returns their number, at most MV_REGISTERS_MAX, or an error of KVM.  The names are in static
 * storage.  After an exit, KVM completes the instruction first, so that the values are those after
 * it; if it is a read whose value the caller can still choose, they are those before it. */
MV_API int mv_vcpu_get_registers(struct mv_vcpu *vcpu, struct mv_register_value *ret_values,
                                 size_t most);

/**
 * Sets registers all at once, in any order, and reads them back.  So registers that depend on
 * each other, such as x86's CR0, CR3, CR4, EFER and segments, can change together, and a
 * snapshot from mv_vcpu_get_registers can be loaded into the vCPU of the same number of another
 * machine, after its memory.  On failure no register has changed.
 *
 * The values read back must match, except for what processors set by themselves: TSC, fixed
 * bits (CR0.ET, bit 1 of RFLAGS, the reserved bits of DR6 and DR7), the bits G, "accessed" and
 * "busy" of segments, and all other attributes of a segment that is not present.
 *
 * Errors; the hint names the rule of the processor's manual that is violated, if it is known:
 * -EINVAL (KVM refuses a value or does not keep it), -ENOENT (no such register),
 * -EOPNOTSUPP (this processor lacks it), -ERANGE (a value has more bits than its register).
 */
MV_API int mv_vcpu_set_registers(struct mv_vcpu *vcpu, const struct mv_register_value *values,
                                 size_t count, struct mv_error *err);

/**
 * Checks the vCPU's registers against the rules of its processor's manual; KVM itself reports
 * violations only as -EINVAL or a failed run.  If the last attempt to set registers failed with
 * -EINVAL, checks the state that was refused.  Returns a line for each violated rule, with its
 * section, as a string that the caller must free: "" if there is none; NULL if out of memory or
 * if the vCPU is running.
 */
MV_API char *mv_vcpu_explain(struct mv_vcpu *vcpu);

/* ---- debugging ---- */

#define MV_DEBUG_POINTS 4 /**< most hardware breakpoints and watchpoints of a vCPU */

/** What triggers a breakpoint or watchpoint. */
enum mv_debug_access {
    MV_BREAK_EXECUTE, /**< an instruction is about to be executed */
    MV_WATCH_WRITE,   /**< data is written */
    MV_WATCH_ACCESS,  /**< data is read or written */
};

/** A hardware breakpoint or watchpoint. */
struct mv_debug_point {
    enum mv_debug_access access; /**< what triggers it */
    uint64_t address;            /**< guest-virtual; a multiple of size */
    uint32_t size; /**< bytes watched: 1, 2, 4 or 8; 1 (x86) or 4 (arm64) for MV_BREAK_EXECUTE */
};

/** What makes the vCPU stop with MV_EXIT_DEBUG; nothing if all but size are zero. */
struct mv_debug {
    size_t size;    /**< sizeof(struct mv_debug) */
    bool step;      /**< stop after each instruction */
    bool software;  /**< stop at breakpoint instructions instead of raising the guest's exception */
    unsigned count; /**< number of points, 0 to MV_DEBUG_POINTS */
    struct mv_debug_point points[MV_DEBUG_POINTS]; /**< hardware breakpoints and watchpoints */
};

/** Replaces the debug settings.  Errors: -ENOSPC (more points than the processor has), -EINVAL (a
 * size or address that it cannot watch), -EOPNOTSUPP. */
MV_API int mv_vcpu_debug(struct mv_vcpu *vcpu, const struct mv_debug *debug);

/**
 * Raises the exception that mv_debug.software suppressed: for a vCPU stopped at a breakpoint
 * instruction (MV_DEBUG_SOFTWARE) that turns out to be the guest's own.  In a hook, or between two
 * runs.  Errors: -EINVAL (not stopped at a breakpoint instruction), -EBUSY (the vCPU is running).
 */
MV_API int mv_vcpu_pass_breakpoint(struct mv_vcpu *vcpu);

/**
 * Whether breakpoints work on this host.  If KVM itself runs on a processor emulated
 * by QEMU (nested SVM under TCG), breakpoint instructions are delivered to the guest and
 * debug registers do not fire: only single steps work.
 */
MV_API bool mv_machine_breakpoints_work(const struct mv_machine *machine);

/**
 * Disassembles the instruction at a guest-virtual address, in the vCPU's current mode, as
 * a line of text.  Returns its length in bytes, or -EFAULT (nothing is mapped there), -EILSEQ
 * (not an instruction), -ENOSYS (the library was built without capstone).
 */
MV_API int mv_vcpu_disassemble(struct mv_vcpu *vcpu, uint64_t address, char *ret_text, size_t size);

#ifdef __cplusplus
}
#endif

#endif
