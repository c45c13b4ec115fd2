/* SPDX-License-Identifier: MIT */
/**
 * @file
 * libminivmm: a small KVM virtual machine monitor as a library.
 *
 * A machine is configured by one struct, created, run until it ends, and
 * destroyed.  The library never prints, never exits, and leaves the signal
 * dispositions, stdin and stdout of the process alone.  It keeps no state
 * outside of its machines: any number of them can live in one process.
 *
 * Errors: functions that can fail return 0 or a negative errno value, and fill
 * *err (unless err is NULL) with a message and a hint for the user.
 */
#ifndef MINIVMM_MINIVMM_H
#define MINIVMM_MINIVMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Marks the symbols that the shared library exports; it exports no others. */
#define MV_API __attribute__((visibility("default")))

/** The version of this library, as "major.minor.patch".  Static storage. */
MV_API const char *mv_version(void);

/** An error, explained to the user. */
struct mv_error {
    int code;        /**< negative errno value, the same as the function's result */
    char call[40];   /**< the system call or ioctl that failed; "" if none did */
    char tried[400]; /**< what was tried and why it failed, one line, no full stop */
    char hint[400];  /**< what the user can do about it; "" if there is no advice */
};

/** How detailed a message is. */
enum mv_log_level {
    MV_LOG_WARNING, /**< something is wrong, but the machine continues */
    MV_LOG_INFO,    /**< what was created, and how it ended */
    MV_LOG_DEBUG,   /**< each step */
};

/** Receives one message without a newline.  Called from any thread of the
 * machine, but never from two at once for one machine.  A device's lock may be held: a callback
 * that blocks stalls the guest. */
typedef void mv_log_fn(void *context, enum mv_log_level level, const char *message);

/** Why a machine ended. */
enum mv_end_reason {
    MV_END_NONE,           /**< it has not ended */
    MV_END_POWER_OFF,      /**< the guest turned the machine off */
    MV_END_REBOOT,         /**< the guest asked for a reset */
    MV_END_EXIT_CODE,      /**< the guest wrote an exit status; see mv_end.code */
    MV_END_PANIC,          /**< the guest's kernel reported a panic (pvpanic) */
    MV_END_TRIPLE_FAULT,   /**< a vCPU shut down: it could not deliver an exception */
    MV_END_INTERNAL_ERROR, /**< KVM could not continue to run a vCPU */
    MV_END_STOPPED,        /**< mv_machine_stop was called, or the console's output closed */
    MV_END_HALT,           /**< a bare machine: every vCPU has halted, and nothing can wake one */
    MV_END_BIOS_CALL,      /**< x86-64: the guest made a BIOS call in real mode; there is no BIOS */
};

/** How a machine ended. */
struct mv_end {
    enum mv_end_reason reason; /**< MV_END_NONE: it has not ended */
    int code; /**< MV_END_EXIT_CODE: 0 to 255; MV_END_BIOS_CALL: interrupt number << 16 | AX;
               * MV_END_STOPPED: as given to mv_machine_stop, or
               * 128 + SIGPIPE when the console's output closed; else 0 */
    int vcpu; /**< the vCPU that ended it, from 0; -1 if none did */
};

/**
 * The host's side of the serial console.  The file descriptors stay the
 * caller's, are used from create to the end of run, and may be -1 for
 * none.  The library does not change their flags or the terminal's mode.  Calls that
 * block on them stall nothing else, and are interrupted when the machine ends.
 */
struct mv_console {
    size_t size; /**< sizeof(struct mv_console) */
    int in;      /**< the guest's input; read as fast as the guest takes it */
    int out; /**< the guest's output; while a write blocks, the guest waits.  When nobody can read
              * it any more (EPIPE), the machine is stopped; after any other error (a full disk) it
              * continues without output, see mv_machine_console_error */

    /**
     * Optional.  Sees the bytes read from `in` before the guest does.  It may
     * change the *count bytes at data, lower *count, and call
     * mv_machine_stop.  If it returns true, the guest receives a break after
     * these bytes.  Called by one of the machine's threads at a time, without
     * a lock.
     */
    bool (*filter)(void *context, uint8_t *data, size_t *count);
    void *context; /**< passed to filter; must stay valid until destroy */

    /** Set if a person types at `in`: reading continues even while the guest takes nothing,
     * so that the filter sees every key.  Up to 1 MiB is buffered for the guest, in memory
     * allocated as needed; the rest is dropped, and a message says how much.
     * If false, nothing is read that cannot be buffered. */
    bool interactive;
};

/** When a disk's writes are on stable storage. */
enum mv_disk_cache {
    MV_CACHE_WRITEBACK, /**< when the guest flushes; it may switch to writethrough (CONFIG_WCE) */
    MV_CACHE_WRITETHROUGH, /**< when they complete; the guest may switch to writeback */
    MV_CACHE_UNSAFE,       /**< whenever the host writes them back: flushes are ignored */
};

/** How a disk's image is read and written. */
enum mv_disk_io {
    MV_DISK_IO_AUTO,    /**< by io_uring if the host allows it, else by threads */
    MV_DISK_IO_URING,   /**< by io_uring(7) only */
    MV_DISK_IO_THREADS, /**< by threads with blocking I/O */
};

/**
 * A disk: virtio-blk on a raw image, a regular file or a block device whose size is
 * a multiple of 512 bytes.  The image is locked (F_OFD_SETLK) until destroy.  Set
 * every member to 0 and then size to sizeof(struct mv_disk).
 */
struct mv_disk {
    size_t size;              /**< sizeof(struct mv_disk) */
    const char *path;         /**< of the image; copied */
    const char *serial;       /**< serial number, as GET_ID returns it, 1 to 20 bytes; NULL: none */
    bool read_only;           /**< for the guest; the host also opens the file read-only */
    bool direct;              /**< bypass the host's page cache (O_DIRECT) */
    unsigned queues;          /**< 1 to 64; 0: one for each vCPU */
    enum mv_disk_cache cache; /**< when writes are on stable storage */
    enum mv_disk_io io;       /**< how the image is read and written */
};

/** The processor mode in which a flat binary starts. */
enum mv_mode {
    MV_MODE_16, /**< x86: real mode */
    MV_MODE_32, /**< x86: protected mode, flat segments, no paging, x87 and SSE enabled */
    MV_MODE_64, /**< x86: long mode, the first 4 GiB identity-mapped in 2 MiB pages, x87 and SSE
                 * enabled.  arm64: EL1, the first 4 GiB identity-mapped, memory cacheable,
                 * floating point and SIMD enabled */
    MV_MODE_EL1 /**< arm64: EL1 with the MMU off, floating point and SIMD enabled */
};

/**
 * Machine code instead of a kernel.  It is copied to `address`, where vCPU 0 starts; on a bare
 * machine all vCPUs start there, with their number in EDI (AX in real mode) or X0.  The GDT
 * and page tables that the mode needs are placed below 64 KiB on x86 (so address must be
 * 0x10000 or more in MV_MODE_32 and MV_MODE_64, and below 1 MiB in MV_MODE_16)
 * and in the last page of memory on arm64.  The stack pointer is the end of the first memory
 * region, or the page table there, less 4 KiB for each preceding vCPU; in real mode it is
 * 0x7000 if the code is above that, else 0xfff0.  It is a multiple of 16, as at program entry: call
 * compiled C from there, do not jump to it.  Set every member to 0 and then size to
 * sizeof(struct mv_flat).
 */
struct mv_flat {
    size_t size;       /**< sizeof(struct mv_flat) */
    enum mv_mode mode; /**< one of this architecture's */
    uint64_t address;  /**< guest-physical; 0: x86: 0x7c00 in MV_MODE_16, else 0x10000; arm64: the
                        * start of memory on a bare machine, else 2 MiB after it */
    const void *code;  /**< copied by create */
    size_t bytes;      /**< of code, at least 1 */
};

struct mv_device_ops; /* device.h */
struct mv_device_desc;
struct mv_hook;          /* vcpu.h */
struct mv_custom_virtio; /* virtio.h */

/**
 * A custom device.  The machine copies the description and what it points to.  ops
 * and state must stay valid until the machine is destroyed, which calls
 * ops->destroy(state).  If create fails, destroy is not called and the caller keeps state.
 */
struct mv_custom_device {
    size_t size;                       /**< sizeof(struct mv_custom_device) */
    const struct mv_device_desc *desc; /**< what it is and where */
    const struct mv_device_ops *ops;   /**< its functions; `read` and `write` are required */
    void *state;                       /**< passed to ops */
};

/**
 * Custom memory, in addition to the machine's own.  Machines that are given the same memory share
 * it, each at its own address.  A flat binary or a driver must know the address: the memory is
 * not in any table (ACPI, e820, device tree), and no kernel is loaded there.  Devices access
 * it like other memory, unless it is read-only.
 *
 * The caller owns the mapping and keeps it until destroy.  A mapped file must not shrink: if it is
 * truncated, the guest's next access ends the run with -EFAULT, and an access by a device or by
 * this library raises SIGBUS in the process, as any access would.  A memfd with F_SEAL_SHRINK
 * cannot be truncated.  Set every member to 0 and then size to sizeof(struct
 * mv_custom_memory).
 */
struct mv_custom_memory {
    size_t size;      /**< sizeof(struct mv_custom_memory) */
    uint64_t address; /**< guest-physical, a multiple of 4 KiB, free of memory and devices: on
                       * x86-64 from the end of memory to 0xfec00000 and from 4 GiB up; on arm64
                       * from 0x03000000 to 0x08000000 and from the end of memory up.  Devices
                       * with MV_ANY_BASE are placed from 0xe0000000 or 0x03000000 up. */
    uint64_t bytes;   /**< a multiple of 4 KiB, not 0 */
    void *host;       /**< page-aligned mapping in this process, such as mmap returns, with read
                       * access, and write access unless read_only */
    bool read_only;   /**< a write by the guest is an exit, MV_EXIT_MMIO */
};

#define MV_CUSTOM_MAX   16 /**< custom devices */
#define MV_HOOKS_MAX    32 /**< hooks of one machine */
#define MV_MEMORIES_MAX 16 /**< custom memory regions */
#define MV_DISKS_MAX    16 /**< virtio devices of one machine, including disks */
#define MV_QUEUES_MAX   64 /**< queues of one disk or custom virtio device */
#define MV_INITRDS_MAX  64 /**< additional initrds */
#define MV_SERIAL_MAX   20 /**< bytes of a disk's serial number */

/**
 * The configuration of a machine.  Set every member to 0 and then size to
 * sizeof(struct mv_config); zero means the default.  The struct grows only at
 * its end.  Strings and structs pointed to must stay valid until create returns
 * (console.context and log_context: until destroy).
 */
struct mv_config {
    size_t size;                      /**< sizeof(struct mv_config) */
    const char *kernel;               /**< path: on x86-64 bzImage, ELF with a PVH note, a
                                       * Multiboot kernel, or an ELF executable; on arm64
                                       * Image, Image.gz or an EFI zboot image */
    const char *initrd;               /**< path, or NULL.  This and `kernel` may be pipes; create
                                       * reads them into memory up to their end, but no more than
                                       * the guest's memory holds.  A FIFO that nobody writes to
                                       * within 3 seconds is an error. */
    const char *append;               /**< kernel command line, or NULL for none.  For a Multiboot
                                       * kernel, the `kernel` path is put before it, and the
                                       * `initrd` path is the module's name */
    uint64_t memory;                  /**< bytes, at least 16 MiB, whole pages; 0: 256 MiB */
    unsigned cpus;                    /**< number of vCPUs; 0: one */
    const struct mv_console *console; /**< NULL: output is dropped, input is empty */
    mv_log_fn *log;                   /**< NULL: no messages */
    void *log_context;                /**< passed to log */
    enum mv_log_level log_level;      /**< the most detailed level that log receives */
    const char *kvm_path;             /**< NULL: /dev/kvm */
    bool timeline;                    /**< record the times that mv_machine_timeline reads */
    bool single_step;            /**< exit after each instruction, so that the report of a triple
                                  * fault can show the last one; some microseconds per exit */
    const struct mv_disk *disks; /**< an array: vda, vdb...; all with the same `size` member */
    size_t disk_count;           /**< 0 to MV_DISKS_MAX */
    bool tables_only;           /**< for mv_machine_dump_tables: the machine does not run, and needs
                                 * neither a kernel nor KVM */
    bool bare;                  /**< only vCPUs, memory and custom devices: no interrupt
                                 * controllers, firmware tables or built-in devices; x86: `hlt` is
                                 * an exit.  Takes a flat binary but no kernel; without either, the
                                 * vCPUs start in the state in which KVM creates them. */
    const struct mv_flat *flat; /**< a flat binary instead of a kernel, or NULL */
    const struct mv_custom_device *devices; /**< an array */
    size_t device_count;                    /**< 0 to MV_CUSTOM_MAX */
    const struct mv_hook *hooks;            /**< an array, called in its order */
    size_t hook_count;                      /**< 0 to MV_HOOKS_MAX */
    size_t trace_records; /**< number of exits to record per vCPU, see trace.h; rounded up to a
                           * power of two, at most MV_TRACE_MAX; 48 bytes each, allocated as
                           * needed.  0: no trace */
    const struct mv_custom_virtio *virtio; /**< an array, as disks; their slots follow the disks' */
    size_t virtio_count; /**< disk_count + virtio_count + rng is at most MV_DISKS_MAX */
    const struct mv_custom_memory *memories; /**< an array, all with the same `size` member */
    size_t memory_count;                     /**< 0 to MV_MEMORIES_MAX */
    const char *linux_append;   /**< prepended to append, unless the kernel is a Multiboot one,
                                 * for which Linux's parameters mean nothing; or NULL */
    const char *const *initrds; /**< an array of paths of additional initrds, loaded after `initrd`,
                                 * each at a multiple of 4 bytes, as Linux's initramfs expects */
    size_t initrd_count;        /**< 0 to MV_INITRDS_MAX */
    bool rng;                   /**< add an entropy device (virtio 1.2, 5.4), "rng0", after all
                                 * other virtio devices; its source is the host's getrandom(2) */
};

/** A machine; created by mv_machine_create, freed by mv_machine_destroy. */
struct mv_machine;

#define MV_DEFAULT_MEMORY (256ull << 20) /**< bytes of memory if mv_config.memory is 0 */
#define MV_MINIMUM_MEMORY (16ull << 20)  /**< smallest memory, bytes */
#define MV_BARE_MINIMUM   (64ull << 10)  /**< smallest memory of a bare machine, bytes */

/** Checks a configuration, without KVM and without opening its files.  Returns 0, -EINVAL, or
 * -ENOSYS: the library was built without a part that it needs. */
MV_API int mv_config_validate(const struct mv_config *config, struct mv_error *err);

/**
 * Opens KVM, sets up memory, devices and vCPUs and loads the kernel; nothing
 * runs yet.  On success the caller owns *ret_machine and must destroy it.
 * Errors: those of mv_config_validate, -ENOEXEC (not a kernel, or its header is
 * invalid), -ENOMEM (also: the kernel needs more memory than configured),
 * -EOPNOTSUPP (KVM lacks a capability), and errors of open, mmap and KVM.
 */
MV_API int mv_machine_create(const struct mv_config *config, struct mv_machine **ret_machine,
                             struct mv_error *err);

/** The kind of firmware tables that describe the machine to the guest: "acpi" (x86-64), or "dtb", a
 * flattened device tree (arm64).  Static storage. */
MV_API const char *mv_tables(void);

/**
 * Writes the firmware tables as they are before the guest runs: a device tree into the
 * file `path`; ACPI tables into files in the directory `path`, which is created if
 * missing, each named after its signature: facp.dat, apic.dat...  If KVM could not be
 * opened, the device tree has a GICv3.  Errors: -ENOMEM, and errors of opening and writing
 * files.  Must be called before the machine runs.
 */
MV_API int mv_machine_dump_tables(const struct mv_machine *machine, const char *path,
                                  struct mv_error *err);

/**
 * Runs the machine until it ends.  Blocks the calling thread; the vCPUs and
 * the devices' I/O have their own threads, which have exited when it returns.
 * A machine runs only once.  All output that the guest wrote is delivered before
 * it returns, unless the machine was stopped and `out` would block.
 * Errors: -EALREADY (it has run, or is tables_only), -EAGAIN (no more threads), -EFAULT (guest
 * memory became inaccessible: see mv_custom_memory), and errors of KVM.
 */
MV_API int mv_machine_run(struct mv_machine *machine, struct mv_end *ret_end, struct mv_error *err);

/**
 * The first half of mv_machine_run: returns when the vCPUs' threads have started.  Errors: those of
 * mv_machine_run; after an error, do not call mv_machine_wait.
 */
MV_API int mv_machine_start(struct mv_machine *machine, struct mv_error *err);

/**
 * The second half of mv_machine_run: returns when the machine has ended and its threads have
 * exited.  Call it once after a successful start, from any thread.  Errors: those of
 * mv_machine_run.
 */
MV_API int mv_machine_wait(struct mv_machine *machine, struct mv_end *ret_end,
                           struct mv_error *err);

/** A file descriptor for poll, owned by the machine: readable (POLLIN) once the machine has ended,
 * after which mv_machine_wait returns soon.  Do not read from it. */
MV_API int mv_machine_end_fd(const struct mv_machine *machine);

/**
 * Returns 0, or the negative errno value (-ENOSPC, -EIO, -EFBIG...) with which a write to the
 * console's `out` failed; output after that is lost.  The error is also logged.  Any
 * thread.
 */
MV_API int mv_machine_console_error(struct mv_machine *machine);

/**
 * Pauses all vCPUs.  When it returns, none runs guest code, and their last instructions
 * are complete; a vCPU that waits for the console or a disk is paused there.  KVM's timers
 * and the devices' I/O continue.  Pauses nest: each needs one call of mv_machine_resume.
 * Any thread but a vCPU's, while the machine exists.  If the machine does not run
 * yet, its vCPUs will wait at their first instruction.
 */
MV_API void mv_machine_pause(struct mv_machine *machine);

/** Requests a pause without waiting for it.  Any thread; also from hooks. */
MV_API void mv_machine_hold(struct mv_machine *machine);

/** Takes back one pause or hold.  Any thread. */
MV_API void mv_machine_resume(struct mv_machine *machine);

/** Sets the level of a custom device's interrupt line, by its number (desc.irq).
 * The tables describe the line as edge-triggered: to interrupt, raise it, then lower it.  Any
 * thread.  Errors: -EINVAL (no such line; a bare machine has none), -EBUSY (a built-in device's
 * line). */
MV_API int mv_machine_set_irq(struct mv_machine *machine, int irq, bool level);

/** Looks up the description of a device, built in or custom, by name; false if there is none. */
MV_API bool mv_machine_device(const struct mv_machine *machine, const char *name,
                              struct mv_device_desc *ret_desc);

/** Returns the number of devices, and in *ret_desc the description of device `index`, from 0; an
 * index out of range leaves *ret_desc unchanged.  Its strings belong to the machine. */
MV_API unsigned mv_machine_devices(const struct mv_machine *machine, unsigned index,
                                   struct mv_device_desc *ret_desc);

/**
 * Ends a running machine with MV_END_STOPPED and this code, unless it has
 * already ended.  Any thread, at any time between create and destroy, also
 * from a signal handler.
 */
MV_API void mv_machine_stop(struct mv_machine *machine, int code);

/**
 * Tells the machine that its disks or devices may have changed on the host's side:
 * it announces changed disk sizes to the guest.  Any thread while the
 * machine exists, also from a signal handler.
 */
MV_API void mv_machine_rescan(struct mv_machine *machine);

/**
 * A crash report: the registers of the vCPU that ended the run, the bytes at its
 * instruction pointer and its last exits, as lines of text.  Returns a string
 * that the caller must free, or NULL if out of memory or if the vCPU is running.
 */
MV_API char *mv_machine_report(const struct mv_machine *machine);

/**
 * After the end, explains in words what happened to the vCPU that caused it; the report has
 * this, too.  After a triple fault: the exceptions, and why they could not be delivered.
 * If KVM could not enter the guest: the rules that the vCPU's state violates.  If KVM could not
 * continue: why, and what is at the program counter.  The caller must free *ret_text,
 * which is "" if there is nothing to explain.
 * Errors: -ENODATA (KVM on AMD processors clears the registers: run it again with single_step),
 * -ENOMEM, -EINVAL (there is no vCPU), -EBUSY (the vCPU is running).
 */
MV_API int mv_machine_explain(const struct mv_machine *machine, char **ret_text);

/** One entry of the timeline. */
struct mv_mark {
    uint64_t ns;      /**< CLOCK_MONOTONIC when it happened (or ended), in nanoseconds */
    uint64_t took;    /**< duration of a call to KVM, in nanoseconds; else 0 */
    const char *name; /**< static storage: "kvm_run", "guest mark", "KVM_CREATE_VM"... */
    int64_t value;    /**< for "guest mark": the byte that the guest wrote; else 0 */
};

/**
 * Copies up to `most` entries, in order of time, and returns their total
 * number (at most 128 are kept).  Not while the machine runs.
 */
MV_API size_t mv_machine_timeline(const struct mv_machine *machine, struct mv_mark *ret_marks,
                                  size_t most);

/** Frees everything.  Accepts NULL.  Not while the machine runs. */
MV_API void mv_machine_destroy(struct mv_machine *machine);

#ifdef __cplusplus
}
#endif

#endif
