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
 * *err (where err is not NULL) with words for a person.
 */
#ifndef MINIVMM_MINIVMM_H
#define MINIVMM_MINIVMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Marks what the shared library exports: all that is declared with it, and nothing else. */
#define MV_API __attribute__((visibility("default")))

/** The version of this library, as "major.minor.patch".  Static storage. */
MV_API const char *mv_version(void);

/** What went wrong, for a person. */
struct mv_error {
    int code;        /**< negative errno value, the same as the function's result */
    char call[40];   /**< the system call or ioctl that failed; "" if none did */
    char tried[400]; /**< what was tried and why it failed, one line, no full stop */
    char hint[400];  /**< what a person can do about it; "" if nothing better is known */
};

/** How detailed a message is. */
enum mv_log_level {
    MV_LOG_WARNING, /**< something is not as it should be; the machine goes on */
    MV_LOG_INFO,    /**< what was made, and how it ended */
    MV_LOG_DEBUG,   /**< each step */
};

/** Receives one message without a newline.  Called from any thread of the
 * machine, never from two at once for one machine.  It may hold a device's lock: who waits
 * here holds the guest up. */
typedef void mv_log_fn(void *context, enum mv_log_level level, const char *message);

/** Why a machine ended. */
enum mv_end_reason {
    MV_END_NONE,           /**< it has not ended */
    MV_END_POWER_OFF,      /**< the guest turned the machine off */
    MV_END_REBOOT,         /**< the guest asked for a reset */
    MV_END_EXIT_CODE,      /**< the guest wrote an exit status; see mv_end.code */
    MV_END_PANIC,          /**< the guest's kernel reported a panic (pvpanic) */
    MV_END_TRIPLE_FAULT,   /**< a vCPU shut down: an exception that it could not deliver */
    MV_END_INTERNAL_ERROR, /**< KVM could not go on with a vCPU */
    MV_END_STOPPED,        /**< mv_machine_stop was called, or the console's output closed */
    MV_END_HALT,           /**< a bare machine: every vCPU has halted, and nothing can wake one */
    MV_END_BIOS_CALL,      /**< x86-64: the guest called a BIOS in real mode, where there is none */
};

/** How a machine ended. */
struct mv_end {
    enum mv_end_reason reason; /**< what it was; MV_END_NONE: it has not ended */
    int code; /**< MV_END_EXIT_CODE: 0 to 255; MV_END_BIOS_CALL: the interrupt's number times
               * 65,536, and AX; MV_END_STOPPED: as given to mv_machine_stop, or
               * 128 + SIGPIPE when the console's output closed; else 0 */
    int vcpu; /**< the vCPU that ended it, from 0; -1 if none did */
};

/**
 * The host's side of the serial console.  The file descriptors stay the
 * caller's, are used between create and the end of run, and may be -1 for
 * none.  The library does not change their flags or the terminal's mode.  Calls that
 * block on them hold up nothing else, and end with the machine.
 */
struct mv_console {
    size_t size; /**< sizeof(struct mv_console) */
    int in;      /**< bytes for the guest are read from here, as fast as the guest takes them */
    int out; /**< the guest's output is written here; while it blocks, the guest waits; when nobody
              * can read it any more (EPIPE), the machine is stopped; after another error (a full
              * disk) it goes on without output, see mv_machine_console_error */

    /**
     * Optional.  Sees what was read from `in` before the guest does: it may
     * change the *count bytes at data, and lower *count.  It may call
     * mv_machine_stop; a return value of true sends a break to the guest at
     * the end of these bytes.  Called from a thread of the machine's, by one at a
     * time, without a lock.
     */
    bool (*filter)(void *context, uint8_t *data, size_t *count);
    void *context; /**< what filter gets; the caller's, until destroy */

    /** A person types at `in`: keep reading even while the guest takes nothing,
     * so that the filter sees every key.  1 MiB is kept for the guest, in memory that is
     * taken as it is needed; the rest is dropped, and a message tells how much that was.
     * Otherwise nothing is read that cannot be kept. */
    bool interactive;
};

/** When a disk's writes are on stable storage. */
enum mv_disk_cache {
    MV_CACHE_WRITEBACK,    /**< when the guest flushes; it may choose the other (CONFIG_WCE) */
    MV_CACHE_WRITETHROUGH, /**< when they complete; the guest may choose the other */
    MV_CACHE_UNSAFE,       /**< when the host sees fit: a flush does nothing */
};

/** How a disk's image is read and written. */
enum mv_disk_io {
    MV_DISK_IO_AUTO,    /**< by io_uring where the host lets us, else by threads */
    MV_DISK_IO_URING,   /**< io_uring(7), or not at all */
    MV_DISK_IO_THREADS, /**< threads that wait */
};

/**
 * A disk: virtio-blk on a raw image, which is a regular file or a block device of
 * a multiple of 512 bytes.  The image is locked (F_OFD_SETLK) until destroy.  Set
 * every member to 0 and then size to sizeof(struct mv_disk).
 */
struct mv_disk {
    size_t size;              /**< sizeof(struct mv_disk) */
    const char *path;         /**< of the image; copied */
    const char *serial;       /**< 1 to 20 bytes, what GET_ID tells; NULL: none */
    bool read_only;           /**< also for the host: the file is opened for reading only */
    bool direct;              /**< past the host's page cache (O_DIRECT) */
    unsigned queues;          /**< 1 to 64; 0: one for each vCPU */
    enum mv_disk_cache cache; /**< when writes are stable */
    enum mv_disk_io io;       /**< how they are done */
};

/** The mode in which a flat binary's first instruction is executed. */
enum mv_mode {
    MV_MODE_16, /**< x86: real mode */
    MV_MODE_32, /**< x86: protected mode, flat segments, no paging, x87 and SSE turned on */
    MV_MODE_64, /**< x86: long mode, the first 4 GiB mapped to themselves in pages of 2 MiB, x87 and
                 * SSE turned on.  arm64: EL1, the first 4 GiB mapped to themselves, memory as
                 * cacheable, floating point and SIMD turned on */
    MV_MODE_EL1 /**< arm64: EL1 with the MMU off, floating point and SIMD turned on */
};

/**
 * Machine code instead of a kernel: copied to `address`, where vCPU 0 begins; on a bare
 * machine all vCPUs do, with their number in EDI (AX in real mode) or X0.  GDT, page
 * tables and segments are made for it where the mode has them, below 64 KiB on x86 (so
 * address is 0x10000 or more in MV_MODE_32 and MV_MODE_64, and anything below 1 MiB in
 * MV_MODE_16) and in the last page of memory on arm64.  The stack pointer is the end of the
 * first piece of memory there, less 4 KiB for each vCPU before; in real mode it is 0x7000
 * if the code is above that, else 0xfff0.  It is a multiple of 16, as where a program begins:
 * compiled C is to be called from there, not jumped to.  Set every member to 0 and then size to
 * sizeof(struct mv_flat).
 */
struct mv_flat {
    size_t size;       /**< sizeof(struct mv_flat) */
    enum mv_mode mode; /**< of this architecture */
    uint64_t address;  /**< guest-physical; 0: where memory begins, after what is ours */
    const void *code;  /**< copied by create */
    size_t bytes;      /**< of code, at least 1 */
};

struct mv_device_ops; /* device.h */
struct mv_device_desc;
struct mv_hook;          /* vcpu.h */
struct mv_custom_virtio; /* virtio.h */

/**
 * A custom device.  The machine keeps a copy of the description and of what it
 * points to.  ops stays the caller's until the machine is destroyed, which calls
 * ops->destroy(state); if create fails, state stays the caller's, and destroy is not called.
 */
struct mv_custom_device {
    size_t size;                       /**< sizeof(struct mv_custom_device) */
    const struct mv_device_desc *desc; /**< what it is and where */
    const struct mv_device_ops *ops;   /**< what it does; `read` and `write` are required */
    void *state;                       /**< what ops get */
};

/**
 * Custom memory, beside the machine's: two machines that are given the same share it,
 * each at an address of its own.  It is where a flat binary or a driver knows it to be; no
 * table (ACPI, e820, device tree) tells of it, and no kernel is loaded there.  Devices reach
 * it like any memory, unless it is read-only.
 *
 * The mapping stays the caller's, who keeps it until destroy, and its file as long as it is: where
 * that is truncated, the guest's next access ends the run with -EFAULT, and an access by a device
 * or by this library raises SIGBUS in the process, as any other would.  A sealed memfd
 * (F_SEAL_SHRINK) cannot be.  Set every member to 0 and then size to sizeof(struct
 * mv_custom_memory).
 */
struct mv_custom_memory {
    size_t size;      /**< sizeof(struct mv_custom_memory) */
    uint64_t address; /**< guest-physical, a multiple of 4 KiB; free of memory and devices: on
                       * x86-64 from the end of memory to 0xfec00000 and from 4 GiB; on arm64
                       * from 0x03000000 to 0x08000000 and from the end of memory.  Devices
                       * with MV_ANY_BASE are put from 0xe0000000 and 0x03000000 on. */
    uint64_t bytes;   /**< at least 1, whole pages of 4 KiB */
    void *host;       /**< at a page of this process's, with read access, and, unless read_only,
                       * write access: mmap's result */
    bool read_only;   /**< what the guest writes there is an exit, MV_EXIT_MMIO */
};

#define MV_CUSTOM_MAX   16 /**< custom devices */
#define MV_HOOKS_MAX    32 /**< hooks of one machine */
#define MV_MEMORIES_MAX 16 /**< custom memory regions */
#define MV_DISKS_MAX    16 /**< disks of one machine, and custom virtio devices */
#define MV_QUEUES_MAX   64 /**< of one disk, or custom virtio device */
#define MV_INITRDS_MAX  64 /**< initrds behind the first */
#define MV_SERIAL_MAX   20 /**< bytes of a disk's serial number */

/**
 * All that makes a machine.  Set every member to 0 and then size to
 * sizeof(struct mv_config); zero means the default.  The struct grows at its
 * end only.  Strings and structs pointed to must stay until create returns
 * (console.context and log_context: until destroy).
 */
struct mv_config {
    size_t size;                      /**< sizeof(struct mv_config) */
    const char *kernel;               /**< path: on x86-64 bzImage, ELF with a PVH note, a
                                       * Multiboot kernel, or an ELF executable; on arm64
                                       * Image, Image.gz or an EFI zboot image */
    const char *initrd;               /**< path, or NULL.  This and `kernel` may be pipes, which
                                       * are read to their end by create: in memory, no more than
                                       * the guest has.  A FIFO that nobody writes to within 3
                                       * seconds is an error. */
    const char *append;               /**< kernel command line, or NULL for none.  A Multiboot
                                       * kernel gets `kernel` before it, and `initrd` as its
                                       * module's name, as they are here */
    uint64_t memory;                  /**< bytes, 16 MiB and more, whole pages; 0: 256 MiB */
    unsigned cpus;                    /**< vCPUs, from 1; 0: one */
    const struct mv_console *console; /**< NULL: output is dropped, input is empty */
    mv_log_fn *log;                   /**< NULL: no messages */
    void *log_context;                /**< what log gets */
    enum mv_log_level log_level;      /**< the most detailed level that log receives */
    const char *kvm_path;             /**< NULL: /dev/kvm */
    bool timeline;                    /**< record the times that mv_machine_timeline reads */
    bool single_step;            /**< an exit after each instruction, so that the report of a triple
                                  * fault can show the last one; some microseconds for each */
    const struct mv_disk *disks; /**< an array: vda, vdb...; all of the same size */
    size_t disk_count;           /**< 0 to MV_DISKS_MAX */
    bool tables_only;           /**< for mv_machine_dump_tables: the machine does not run, and needs
                                 * neither a kernel nor KVM */
    bool bare;                  /**< vCPUs, memory and custom devices, and nothing else: no
                                 * interrupt controllers, tables and devices of ours; x86: `hlt` is
                                 * an exit.  With a flat binary, or with neither that nor a kernel:
                                 * then the vCPUs are as KVM makes them. */
    const struct mv_flat *flat; /**< in place of a kernel */
    const struct mv_custom_device *devices; /**< an array */
    size_t device_count;                    /**< 0 to MV_CUSTOM_MAX */
    const struct mv_hook *hooks;            /**< an array, asked in its order */
    size_t hook_count;                      /**< 0 to MV_HOOKS_MAX */
    size_t trace_records; /**< how many exits to keep for each vCPU, see trace.h; rounded up to a
                           * power of two, at most MV_TRACE_MAX; 48 bytes each, none before it is
                           * needed. 0: none */
    const struct mv_custom_virtio *virtio; /**< an array, all of the same size: after the disks */
    size_t virtio_count; /**< together with disk_count and rng 0 to MV_DISKS_MAX */
    const struct mv_custom_memory *memories; /**< an array, all of the same size */
    size_t memory_count;                     /**< 0 to MV_MEMORIES_MAX */
    const char *linux_append; /**< words to put before append, unless the kernel is a Multiboot one,
                               * to which Linux's words mean nothing; or NULL */
    const char *const *initrds; /**< an array of paths: more of them, put behind `initrd`, each at
                                 * a multiple of 4 bytes, as Linux's initramfs takes them */
    size_t initrd_count;        /**< 0 to MV_INITRDS_MAX */
    bool rng;                   /**< an entropy device (virtio 1.2, 5.4), "rng0", behind all other
                                 * virtio devices: random bytes of the host's, getrandom(2) */
};

/** A machine: what mv_machine_create makes and mv_machine_destroy ends. */
struct mv_machine;

#define MV_DEFAULT_MEMORY (256ull << 20) /**< bytes of memory where the configuration has 0 */
#define MV_MINIMUM_MEMORY (16ull << 20)  /**< bytes of memory, the least */
#define MV_BARE_MINIMUM   (64ull << 10)  /**< the least of a bare machine */

/** Looks for what is wrong with a configuration, without KVM and without opening its files.
 * 0, -EINVAL, or -ENOSYS: the library was built without what is asked for. */
MV_API int mv_config_validate(const struct mv_config *config, struct mv_error *err);

/**
 * Opens KVM, sets up memory, devices and vCPUs and loads the kernel; nothing
 * runs yet.  On success *ret_machine is the caller's, to be destroyed.
 * Errors: those of mv_config_validate, -ENOEXEC (the kernel is not one, or lies in
 * its header), -ENOMEM (also: the kernel needs more memory than configured),
 * -EOPNOTSUPP (KVM lacks something), and what open, mmap and KVM return.
 */
MV_API int mv_machine_create(const struct mv_config *config, struct mv_machine **ret_machine,
                             struct mv_error *err);

/** Which tables tell the guest what its machine has: "acpi" (x86-64), or "dtb", a flattened
 * device tree (arm64). */
MV_API const char *mv_tables(void);

/**
 * Writes these tables as they are before the guest runs: a device tree into the file
 * `path`; ACPI tables into files in the folder `path`, which is made if missing, each
 * with the signature for its name: facp.dat, apic.dat...  Where KVM could not be
 * opened the device tree has a GICv3.  Errors: -ENOMEM, and what opening and writing
 * return.  Not while the machine runs, nor after it.
 */
MV_API int mv_machine_dump_tables(const struct mv_machine *machine, const char *path,
                                  struct mv_error *err);

/**
 * Runs the machine until it ends.  Blocks the calling thread; the vCPUs and
 * the devices' I/O have threads of their own, which are gone when it returns.
 * A machine runs once.  Output that the guest has written is delivered before
 * it returns, unless the machine was stopped and `out` would block.
 * Errors: -EALREADY (it has run, or has only tables), -EAGAIN (no more threads), -EFAULT (guest
 * memory went away under it: see mv_custom_memory), and what KVM returns.
 */
MV_API int mv_machine_run(struct mv_machine *machine, struct mv_end *ret_end, struct mv_error *err);

/**
 * The first half of mv_machine_run: returns when the vCPUs' threads are there.  Errors: as of
 * mv_machine_run; after one there is nothing to wait for.
 */
MV_API int mv_machine_start(struct mv_machine *machine, struct mv_error *err);

/**
 * The second half: returns when the machine has ended and its threads are gone.  To be called
 * once after a start that succeeded, by one thread, which may be another one.  Errors: as of
 * mv_machine_run.
 */
MV_API int mv_machine_wait(struct mv_machine *machine, struct mv_end *ret_end,
                           struct mv_error *err);

/** A file descriptor, the machine's, that is readable (POLLIN) once the machine has ended:
 * to wait for many things at once.  Do not read it.  mv_machine_wait then returns soon. */
MV_API int mv_machine_end_fd(const struct mv_machine *machine);

/**
 * Why the guest's output could not be written to the console's `out`, from then on: 0, or a
 * negative errno value (-ENOSPC, -EIO, -EFBIG...).  A message to `log` has told of it.  Any
 * thread.
 */
MV_API int mv_machine_console_error(struct mv_machine *machine);

/**
 * Holds all vCPUs: when pause returns, none runs its guest, and what their last
 * instructions did is done; one that waits for the console or a disk is held there.  Timers
 * of KVM's and the devices' I/O go on.  Pauses count: as many calls of mv_machine_resume
 * are needed.  From any thread but a vCPU's, while the machine exists.  Pausing a machine
 * that does not run yet makes its vCPUs wait at their first instruction.
 */
MV_API void mv_machine_pause(struct mv_machine *machine);

/** Asks for the same without waiting; for hooks, from any thread. */
MV_API void mv_machine_hold(struct mv_machine *machine);

/** Takes back one pause or hold.  From any thread. */
MV_API void mv_machine_resume(struct mv_machine *machine);

/** Sets the level of the interrupt line of a custom device, by its number (desc.irq).
 * The guest is told that an interrupt is an edge: raise the line, and lower it.  From any
 * thread.  -EINVAL where there is no such line: a bare machine has none; -EBUSY: it is one of
 * our devices'. */
MV_API int mv_machine_set_irq(struct mv_machine *machine, int irq, bool level);

/** What is known of a device, built in or custom, by its name; false if there is none. */
MV_API bool mv_machine_device(const struct mv_machine *machine, const char *name,
                              struct mv_device_desc *ret_desc);

/** The same by number, from 0 on, of all devices: returns how many there are, and leaves
 * *ret_desc alone where `index` is none of them.  The words belong to the machine. */
MV_API unsigned mv_machine_devices(const struct mv_machine *machine, unsigned index,
                                   struct mv_device_desc *ret_desc);

/**
 * Makes a running machine end with MV_END_STOPPED and this code, unless it has
 * ended already.  From any thread, at any time between create and destroy, also
 * from a signal handler.
 */
MV_API void mv_machine_stop(struct mv_machine *machine, int code);

/**
 * Tells the machine that something of the host's has changed: it looks at its
 * disks, and announces to the guest those that have another size.  From any
 * thread while the machine exists, also from a signal handler.
 */
MV_API void mv_machine_rescan(struct mv_machine *machine);

/**
 * After a run that ended badly: the registers of the vCPU that ended it, the
 * bytes at its instruction pointer and its last exits, as lines of text.
 * Returns a string to be freed by the caller, or NULL if there is no memory, or the vCPU runs.
 */
MV_API char *mv_machine_report(const struct mv_machine *machine);

/**
 * After the end: says in words what happened to the vCPU that caused it, which is a part of the
 * report, too: after a triple fault the exceptions, and why none of them could be delivered;
 * where KVM could not enter the guest, the rules that its state breaks; where KVM could not go on,
 * why, and what is where the program counter is.  *ret_text is to be freed
 * by the caller, and "" where there is nothing to explain.
 * Errors: -ENODATA (this host's KVM, AMD's, clears the registers: run it again with single_step),
 * -ENOMEM, -EINVAL (there is no vCPU), -EBUSY (it runs).
 */
MV_API int mv_machine_explain(const struct mv_machine *machine, char **ret_text);

/** One entry of the timeline. */
struct mv_mark {
    uint64_t ns;      /**< CLOCK_MONOTONIC when it happened (or ended), in nanoseconds */
    uint64_t took;    /**< for a call to KVM: how long it took, in nanoseconds; else 0 */
    const char *name; /**< static storage: "kvm_run", "guest mark", "KVM_CREATE_VM"... */
    int64_t value;    /**< for "guest mark": the byte that the guest wrote; else 0 */
};

/**
 * Copies up to `most` entries, in order of time, and returns how many there
 * are in all (at most 128 are kept).  Not while the machine runs.
 */
MV_API size_t mv_machine_timeline(const struct mv_machine *machine, struct mv_mark *ret_marks,
                                  size_t most);

/** Frees everything.  Accepts NULL.  Not while the machine runs. */
MV_API void mv_machine_destroy(struct mv_machine *machine);

#ifdef __cplusplus
}
#endif

#endif
