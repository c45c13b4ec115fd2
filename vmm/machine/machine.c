/* SPDX-License-Identifier: MIT */
/* The machine: see machine.h, and minivmm.h for the public functions. */
#include "machine.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "boot/boot.h"
#include "embed/custom_virtio.h"

_Static_assert(MV_MEMORIES_MAX == MV_MEM_CUSTOM, "memory.h keeps them");

#define LINUX_LEAST      (512 * MV_KIB) /* bytes of a kernel */
#define STOPPED_FLUSH_MS 100 /* how long a stopped machine may try to deliver its output */

const char *mv_version(void)
{
    return MV_VERSION;
}

static void end_by_device(void *context, enum mv_end_reason reason, int code)
{
    mv_machine_end(context, reason, code, -1, 0);
}

static void set_irq(void *context, int line, bool level)
{
    const struct mv_machine *machine = context;

    mv_arch_set_irq(&machine->kvm, line, level);
}

static int add_ioeventfd(void *context, uint64_t address, int eventfd)
{
    const struct mv_machine *machine = context;

    return mv_kvm_ioeventfd(&machine->kvm, address, eventfd);
}

static void on_rescan(void *context, uint32_t events)
{
    struct mv_machine *machine = context;
    eventfd_t count;

    (void)events;
    eventfd_read(machine->rescan.fd, &count);
    mv_board_rescan(&machine->board);
}

/* ---- create ---- */

static int load_flat(struct mv_machine *machine, const struct mv_flat *given, struct mv_error *err)
{
    struct mv_flat flat = {0};
    int error;

    memcpy(&flat, given, mv_min(given->size, sizeof(flat)));
    error = mv_arch_flat(machine->arch, &machine->mem, &flat, err);
    if (error)
        return error;
    if (!mv_mem_write(&machine->mem, flat.address, flat.code, flat.bytes))
        return mv_fail(err, -ENOMEM, NULL, "give the machine more memory, or another address",
                       "%zu bytes of code at %#llx are not all in memory", flat.bytes,
                       (unsigned long long)flat.address);
    return 0;
}

/* The command line for Linux; to be freed.  NULL: no memory. */
static char *linux_command_line(const struct mv_config *config)
{
    const char *before = config->linux_append ? config->linux_append : "";
    const char *own = config->append ? config->append : "";
    char *line;

    return asprintf(&line, "%s%s%s", before, *before && *own ? " " : "", own) < 0 ? NULL : line;
}

static uint64_t memory_of(const struct mv_config *config)
{
    return config->memory ? config->memory : MV_DEFAULT_MEMORY;
}

/* All of them, in their order; returns how many. */
static size_t list_initrds(const struct mv_config *config, const char *ret_paths[])
{
    size_t count = 0;

    if (config->initrd)
        ret_paths[count++] = config->initrd;
    for (size_t i = 0; i < config->initrd_count; i++)
        ret_paths[count++] = config->initrds[i];
    return count;
}

/* Kernels that are no Linux are smaller, and at their end before anybody wonders. */
static void warn_of_pvm(struct mv_machine *machine, uint64_t kernel_size)
{
    if (kernel_size >= LINUX_LEAST && mv_kvm_is_pvm())
        mv_log(
            &machine->log, MV_LOG_WARNING,
            "this computer's KVM is the module kvm_pvm, which emulates a guest's kernel mode: "
            "Linux is slow, and a bzImage may show nothing for minutes; a vmlinux starts sooner, "
            "and a KVM that a processor supports runs all of them at its speed");
}

static int load_guest(struct mv_machine *machine, const struct mv_config *config,
                      struct mv_error *err)
{
    MV_CLEANUP_FREE char *line = linux_command_line(config);
    struct mv_boot_files files = {
        .kernel_path = config->kernel,
        .kernel = -1,
        .initrd = -1,
        .append = line,
        .raw_append = config->append ? config->append : "",
    };
    const char *initrds[1 + MV_INITRDS_MAX];
    MV_CLEANUP_FD int kernel = -1;
    MV_CLEANUP_FD int initrd = -1;
    uint64_t memory = memory_of(config);
    size_t count = list_initrds(config, initrds);
    int error = 0;

    if (!line)
        return mv_fail(err, -ENOMEM, NULL, NULL, "no memory for the command line");
    if (config->kernel)
        error =
            mv_boot_open("kernel", &config->kernel, 1, memory, &kernel, &files.kernel_size, err);
    if (!error && count)
        error = mv_boot_open("initrd", initrds, count, memory, &initrd, &files.initrd_size, err);
    if (error)
        return error;
    if (!config->tables_only)
        warn_of_pvm(machine, files.kernel_size);
    files.initrd_path = count ? initrds[0] : NULL;
    files.kernel = kernel;
    files.initrd = initrd;
    if (!config->bare)
        error = mv_arch_load(machine->arch, &machine->mem, &files, machine->board.devices,
                             machine->board.count, err);
    if (!error && config->flat)
        error = load_flat(machine, config->flat, err);
    return error;
}

/* ---- the configuration ---- */

static int check_memory(const struct mv_config *config, struct mv_error *err)
{
    uint64_t least = config->bare ? MV_BARE_MINIMUM : MV_MINIMUM_MEMORY;

    if (config->memory % MV_PAGE_SIZE)
        return mv_fail(err, -EINVAL, NULL, "memory comes in pages of 4 KiB",
                       "%llu bytes of memory are no whole number of pages",
                       (unsigned long long)config->memory);
    if (config->memory && config->memory < least)
        return mv_fail(err, -EINVAL, NULL,
                       config->bare ? "give it at least 64K" : "give it at least 16M",
                       "%llu bytes are too little memory", (unsigned long long)config->memory);
    return 0;
}

static int check_guest(const struct mv_config *config, struct mv_error *err)
{
    if (!config->kernel && !config->flat && !config->bare && !config->tables_only)
        return mv_fail(err, -EINVAL, NULL, "name one, or do without on a bare machine",
                       "no kernel is named");
    if (config->kernel && (config->flat || config->bare))
        return mv_fail(err, -EINVAL, NULL, "give a flat binary to a bare machine",
                       "a kernel needs a whole machine, and goes with no flat binary");
    if (config->flat && (!config->flat->code || config->flat->bytes == 0))
        return mv_fail(err, -EINVAL, NULL, "give it at least one byte of code",
                       "a flat binary without code");
    if (config->bare &&
        (config->disk_count || config->virtio_count || config->console || config->tables_only))
        return mv_fail(err, -EINVAL, NULL, "take a machine that is not bare",
                       "a bare machine has no disks, virtio devices, console and tables");
    return 0;
}

static int check_counts(const struct mv_config *config, struct mv_error *err)
{
    const struct {
        size_t count;
        const void *array;
        size_t most;
        const char *what;
    } all[] = {{config->disk_count, config->disks, MV_DISKS_MAX, "disks"},
               {config->device_count, config->devices, MV_CUSTOM_MAX, "custom devices"},
               {config->hook_count, config->hooks, MV_HOOKS_MAX, "hooks"},
               {config->virtio_count, config->virtio, MV_DISKS_MAX, "custom virtio devices"},
               {config->memory_count, config->memories, MV_MEMORIES_MAX, "custom memory regions"},
               {config->initrd_count, config->initrds, MV_INITRDS_MAX, "more initrds"}};

    for (unsigned i = 0; i < MV_COUNT(all); i++) {
        if (all[i].count > all[i].most)
            return mv_fail(err, -EINVAL, NULL, NULL,
                           "%zu %s are more than the %zu that there can be", all[i].count,
                           all[i].what, all[i].most);
        if (all[i].count && !all[i].array)
            return mv_fail(err, -EINVAL, NULL, NULL, "%zu %s, and no array of them", all[i].count,
                           all[i].what);
    }
    if (config->disk_count + config->virtio_count > MV_DISKS_MAX)
        return mv_fail(err, -EINVAL, NULL, NULL,
                       "%zu disks and %zu custom virtio devices are more than the %d that "
                       "there can be together",
                       config->disk_count, config->virtio_count, MV_DISKS_MAX);
    for (size_t i = 0; i < config->initrd_count; i++)
        if (!config->initrds[i])
            return mv_fail(err, -EINVAL, NULL, NULL, "initrds[%zu] is NULL", i);
    for (size_t i = 0; i < config->hook_count; i++)
        if (!config->hooks[i].fn || config->hooks[i].kind > MV_EXIT_DEBUG)
            return mv_fail(err, -EINVAL, NULL, NULL,
                           "hook %zu has no function, or a kind of exit "
                           "that is none of the guest's",
                           i);
    return 0;
}

static int check_config(const struct mv_config *config, struct mv_error *err)
{
    int error = check_guest(config, err);

    if (!error && config->trace_records > MV_TRACE_MAX)
        error = mv_fail(err, -EINVAL, NULL, NULL, "a trace of %zu records is more than %u",
                        config->trace_records, MV_TRACE_MAX);
    if (!error)
        error = check_memory(config, err);
    return error ? error : check_counts(config, err);
}

static int check_disk(const struct mv_disk *disk, struct mv_error *err)
{
    if (!disk->path)
        return mv_fail(err, -EINVAL, NULL, NULL, "a disk without a path");
    if (disk->queues > MV_QUEUES_MAX)
        return mv_fail(err, -EINVAL, NULL, NULL, "the disk %s: %u queues are more than %d",
                       disk->path, disk->queues, MV_QUEUES_MAX);
    if (disk->serial && strlen(disk->serial) > MV_SERIAL_MAX)
        return mv_fail(err, -EINVAL, NULL, NULL,
                       "the disk %s: the serial number %s has more than %d bytes", disk->path,
                       disk->serial, MV_SERIAL_MAX);
    return 0;
}

/* A caller that was built against an older, shorter struct. */
static struct mv_config take_config(const struct mv_config *given)
{
    struct mv_config config = {0};

    memcpy(&config, given, mv_min(given->size, sizeof(config)));
    return config;
}

/* The same of an array's elements, which are all of their first one's size. */
static void take(const void *array, size_t index, size_t size, void *ret_element, size_t most)
{
    memcpy(ret_element, (const uint8_t *)array + index * size, mv_min(size, most));
}

static struct mv_disk take_disk(const struct mv_config *config, size_t index)
{
    struct mv_disk disk = {0};

    take(config->disks, index, config->disks->size, &disk, sizeof(disk));
    return disk;
}

static struct mv_custom_virtio take_virtio(const struct mv_config *config, size_t index)
{
    struct mv_custom_virtio virtio = {0};

    take(config->virtio, index, config->virtio->size, &virtio, sizeof(virtio));
    return virtio;
}

static struct mv_custom_memory take_memory(const struct mv_config *config, size_t index)
{
    struct mv_custom_memory memory = {0};

    take(config->memories, index, config->memories->size, &memory, sizeof(memory));
    return memory;
}

static int check_custom_memory(const struct mv_custom_memory *memory, struct mv_error *err)
{
    uint64_t last;

    if (!memory->host || memory->bytes == 0)
        return mv_fail(err, -EINVAL, NULL, "give it at least a page, and where that is mapped",
                       "custom memory at %#llx has no host mapping, or no bytes",
                       (unsigned long long)memory->address);
    if ((memory->address | memory->bytes | (uintptr_t)memory->host) % MV_PAGE_SIZE)
        return mv_fail(err, -EINVAL, NULL, "memory comes in pages of 4 KiB: mmap gives such",
                       "custom memory, %llu bytes at %#llx, is not whole pages",
                       (unsigned long long)memory->bytes, (unsigned long long)memory->address);
    if (mv_add_overflows(memory->address, memory->bytes - 1, &last))
        return mv_fail(
            err, -EINVAL, NULL, "choose a lower address",
            "custom memory, %llu bytes at %#llx, wraps around the end of the address space",
            (unsigned long long)memory->bytes, (unsigned long long)memory->address);
    return 0;
}

int mv_config_validate(const struct mv_config *given, struct mv_error *err)
{
    struct mv_config config = take_config(given);
    int error = check_config(&config, err);

    for (size_t i = 0; !error && i < config.disk_count; i++) {
        struct mv_disk disk = take_disk(&config, i);

        error = check_disk(&disk, err);
    }
    for (size_t i = 0; !error && i < config.virtio_count; i++) {
        struct mv_custom_virtio virtio = take_virtio(&config, i);

        error = mv_custom_virtio_check(&virtio, err);
    }
    for (size_t i = 0; !error && i < config.memory_count; i++) {
        struct mv_custom_memory memory = take_memory(&config, i);

        error = check_custom_memory(&memory, err);
    }
    return error;
}

static int init_memory(struct mv_machine *machine, uint64_t bytes, struct mv_error *err)
{
    struct mv_region regions[MV_MEM_REGIONS];
    unsigned count = mv_arch_memory_map(bytes, regions);
    int error = mv_mem_init(&machine->mem, regions, count);

    if (error)
        return mv_fail(err, error, "mmap", "give the guest less memory",
                       "cannot map %llu MiB of guest memory: %s",
                       (unsigned long long)(bytes / MV_MIB), strerror(-error));
    return 0;
}

static int init_virtio(struct mv_machine *machine, const struct mv_config *config,
                       const struct mv_device_env *env, struct mv_error *err)
{
    int error = 0;

    for (size_t i = 0; !error && i < config->disk_count; i++) {
        struct mv_disk disk = take_disk(config, i);

        error = mv_board_add_disk(&machine->board, env, &disk, config->disk_count, machine->cpus,
                                  &machine->mmio, err);
    }
    for (size_t i = 0; !error && i < config->virtio_count; i++) {
        struct mv_custom_virtio virtio = take_virtio(config, i);

        error = mv_board_add_virtio(&machine->board, env, &virtio, &machine->mmio, err);
    }
    if (error || config->disk_count + config->virtio_count == 0)
        return error;
    machine->rescan = (struct mv_loop_source){
        .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .fn = on_rescan, .context = machine};
    error =
        machine->rescan.fd < 0 ? -errno : mv_loop_watch(&machine->loop, &machine->rescan, EPOLLIN);
    if (error)
        return mv_fail(err, error, "eventfd", NULL, "cannot create an eventfd: %s",
                       strerror(-error));
    return 0;
}

/* What every device of ours is given; the board adds its line. */
static struct mv_device_env device_env(struct mv_machine *machine, const struct mv_config *config)
{
    return (struct mv_device_env){
        .mem = &machine->mem,
        .irq = {.set = config->bare ? NULL : set_irq, .context = machine},
        .ioeventfd = {.add = add_ioeventfd, .context = machine},
        .loop = &machine->loop,
        .log = &machine->log,
        .shutdown = {.end = end_by_device, .context = machine},
        .backpressure = {.gone = mv_machine_wake, .context = machine},
        .console = config->console,
        .timeline = &machine->timeline,
        .wake = machine->wake,
    };
}

static int init_devices(struct mv_machine *machine, const struct mv_config *config,
                        struct mv_error *err)
{
    const struct mv_device_env env = device_env(machine, config);
    int error = mv_loop_init(&machine->loop);

    if (error)
        return mv_fail(err, error, "epoll_create1", NULL, "cannot set up the I/O loop: %s",
                       strerror(-error));
    if (!config->bare)
        error = mv_board_init(&machine->board, &env, &machine->mmio, &machine->ports, err);
    if (!error)
        error = init_virtio(machine, config, &env, err);
    return error ? error
                 : mv_board_add_custom(&machine->board, &env, config->devices, config->device_count,
                                       &machine->mmio, &machine->ports, err);
}

/* After the guest is loaded. */
static int add_late_devices(struct mv_machine *machine, const struct mv_config *config,
                            struct mv_error *err)
{
    const struct mv_device_env env = device_env(machine, config);

    if (config->bare)
        return 0;
    return mv_board_add_late(&machine->board, machine->arch, &env, &machine->mmio, &machine->ports,
                             err);
}

/* After the guest is loaded: no image is to reach it. */
static int add_memories(struct mv_machine *machine, const struct mv_config *config,
                        struct mv_error *err)
{
    for (size_t i = 0; i < config->memory_count; i++) {
        struct mv_custom_memory memory = take_memory(config, i);
        struct mv_region region = {.base = memory.address,
                                   .size = memory.bytes,
                                   .host = memory.host,
                                   .read_only = memory.read_only};
        int error = mv_board_is_free(&machine->board, &machine->mmio, region.base, region.size)
                        ? mv_mem_add(&machine->mem, &region)
                        : -EEXIST;

        if (error)
            return mv_fail(err, error, NULL, "choose another address, such as one above 4 GiB",
                           "custom memory, %llu bytes at %#llx, would overlap other "
                           "memory or devices",
                           (unsigned long long)region.size, (unsigned long long)region.base);
    }
    return 0;
}

/* Behind the slots of our memory, and of the devices' pages. */
static int map_memories(struct mv_machine *machine, struct mv_error *err)
{
    for (unsigned i = 0; i < machine->mem.custom_count; i++) {
        const struct mv_region *custom = &machine->mem.custom[i];
        unsigned slot = MV_MEM_REGIONS + 1 + i;
        int error =
            custom->read_only
                ? mv_kvm_set_readonly(&machine->kvm, slot, custom->base, custom->size, custom->host)
                : mv_kvm_set_memory(&machine->kvm, slot, custom->base, custom->size, custom->host);

        if (error)
            return mv_fail(err, error, "KVM_SET_USER_MEMORY_REGION",
                           "is each a whole number of this computer's pages?",
                           "KVM refuses the custom memory at %#llx: %s",
                           (unsigned long long)custom->base, strerror(-error));
    }
    return 0;
}

/* Where KVM cannot, each read of a register is an exit, and all the rest is the same. */
static int map_device_pages(struct mv_machine *machine, struct mv_error *err)
{
    const struct mv_region *pages = &machine->board.pages;
    int error;

    if (!pages->host)
        return 0;
    error = mv_kvm_set_readonly(&machine->kvm, machine->mem.count, pages->base, pages->size,
                                pages->host);
    if (error && error != -EOPNOTSUPP)
        return mv_fail(err, error, "KVM_SET_USER_MEMORY_REGION", NULL,
                       "KVM does not take the devices' pages: %s", strerror(-error));
    return 0;
}

static int init_vm(struct mv_machine *machine, struct mv_error *err)
{
    unsigned long type;
    int error = mv_arch_vm_type(&machine->kvm, &machine->mem, &type, err);

    if (!error)
        error = mv_kvm_create_vm(&machine->kvm, type, err);
    if (!error)
        error = mv_arch_init_vm(machine->arch, &machine->kvm, &machine->mem, err);
    for (unsigned i = 0; !error && i < machine->mem.count; i++) {
        const struct mv_region *region = &machine->mem.regions[i];

        error = mv_kvm_set_memory(&machine->kvm, i, region->base, region->size, region->host);
        if (error)
            mv_fail(err, error, "KVM_SET_USER_MEMORY_REGION", "give the guest less memory",
                    "KVM does not take %llu MiB of memory at %#llx: %s",
                    (unsigned long long)(region->size / MV_MIB), (unsigned long long)region->base,
                    strerror(-error));
    }
    if (!error)
        error = map_device_pages(machine, err);
    return error ? error : map_memories(machine, err);
}

static int init_vcpus(struct mv_machine *machine, const struct mv_config *config,
                      struct mv_error *err)
{
    bool counter = config->trace_records && mv_counter_is_clock();

    machine->vcpu_host = (struct mv_vcpu_host){
        .kvm = &machine->kvm,
        .mem = &machine->mem,
        .ports = &machine->ports,
        .mmio = &machine->mmio,
        .pause = &machine->pause,
        .hooks = machine->hooks,
        .hook_count = config->hook_count,
        .cpus = machine->cpus,
        .halted = &machine->halted,
        .end = mv_machine_end,
        .drive = mv_machine_drive,
        .context = machine,
        .how = &machine->end,
        .ended = &machine->ended,
        .single_step = config->single_step,
        .bare = config->bare,
    };
    for (size_t i = 0; i < config->hook_count; i++)
        machine->vcpu_host.hypercalls |= config->hooks[i].kind == MV_EXIT_HYPERCALL;
    machine->vcpus = calloc(machine->cpus, sizeof(*machine->vcpus));
    if (!machine->vcpus)
        return mv_fail(err, -ENOMEM, NULL, NULL, "no memory for %u vCPUs", machine->cpus);
    for (unsigned i = 0; i < machine->cpus; i++) {
        int error = mv_vcpu_init(&machine->vcpus[i], i, &machine->vcpu_host);

        machine->created = i + 1;
        if (error)
            return mv_fail(err, error, "KVM_CREATE_VCPU",
                           error == -EMFILE ? "raise the limit of open files (ulimit -n)" : NULL,
                           "cannot create vCPU %u: %s", i, strerror(-error));
        error = mv_recorder_init(&machine->vcpus[i].recorder, config->trace_records, counter);
        if (error)
            return mv_fail(err, error, "mmap", "keep fewer records",
                           "no memory for a trace of %zu records", config->trace_records);
        error = mv_arch_init_vcpu(machine->arch, &machine->mem, &machine->vcpus[i], err);
        if (!error && config->single_step)
            error = mv_vcpu_single_step(&machine->vcpus[i], err);
        if (error)
            return error;
    }
    return 0;
}

/* For -v: what there is and where. */
static void log_machine(struct mv_machine *machine, const struct mv_config *config)
{
    struct mv_log *log = &machine->log;

    mv_log(log, MV_LOG_INFO, "kernel %s, initrd %s, command line: %s; before it for Linux: %s",
           config->kernel ? config->kernel : "none", config->initrd ? config->initrd : "none",
           config->append ? config->append : "none",
           config->linux_append ? config->linux_append : "nothing");
    for (unsigned i = 0; i < machine->mem.count; i++) {
        const struct mv_region *region = &machine->mem.regions[i];

        mv_log(log, MV_LOG_INFO, "memory at %#llx: %llu MiB", (unsigned long long)region->base,
               (unsigned long long)(region->size / MV_MIB));
    }
    for (unsigned i = 0; i < machine->board.count; i++) {
        const struct mv_device_desc *desc = &machine->board.devices[i].desc;

        mv_log(log, MV_LOG_INFO, "device %-10s %s %#llx, %llu bytes, interrupt %d", desc->name,
               desc->space == MV_SPACE_PORT ? "port" : "MMIO", (unsigned long long)desc->base,
               (unsigned long long)desc->size, desc->irq);
    }
    mv_log(log, MV_LOG_INFO, "%u vCPUs of KVM's", machine->cpus);
}

/* First all that needs no KVM, so that its errors show on any computer. */
static int build(struct mv_machine *machine, const struct mv_config *config, struct mv_error *err)
{
    int error = init_memory(machine, memory_of(config), err);

    if (!error)
        error = init_devices(machine, config, err);
    if (!error)
        error = mv_arch_create(machine->cpus, config->bare, &machine->arch, err);
    if (!error)
        error = load_guest(machine, config, err);
    if (!error)
        error = add_late_devices(machine, config, err);
    if (!error)
        error = add_memories(machine, config, err);
    mv_timeline_add(&machine->timeline, "guest loaded", 0);
    if (error)
        return error;
    error = mv_kvm_open(&machine->kvm, config->kvm_path ? config->kvm_path : "/dev/kvm",
                        &machine->timeline, err);
    if (error && config->tables_only)
        return mv_arch_finish(machine->arch, NULL, &machine->mem, err);
    if (!error)
        error = init_vm(machine, err);
    if (!error)
        error = init_vcpus(machine, config, err);
    if (!error)
        error = mv_arch_finish(machine->arch, &machine->kvm, &machine->mem, err);
    if (!error)
        log_machine(machine, config);
    return error;
}

int mv_machine_create(const struct mv_config *given, struct mv_machine **ret_machine,
                      struct mv_error *err)
{
    struct mv_config config = take_config(given);
    struct mv_machine *machine;
    int error = mv_config_validate(given, err);

    if (error)
        return error;
    machine = calloc(1, sizeof(*machine));
    if (!machine)
        return mv_fail(err, -ENOMEM, NULL, NULL, "no memory for a machine");
    mv_log_init(&machine->log, config.log, config.log_context, config.log_level);
    machine->timeline.on = config.timeline;
    machine->bare = config.bare;
    machine->cpus = config.cpus ? config.cpus : 1;
    machine->mode = config.tables_only ? MV_RUN_NEVER : MV_RUN_NOT;
    mv_pause_init(&machine->pause, &machine->ended);
    if (config.hook_count)
        memcpy(machine->hooks, config.hooks, config.hook_count * sizeof(machine->hooks[0]));
    machine->loop = (struct mv_loop){.epoll = -1, .wake = -1};
    machine->rescan.fd = machine->sleep_timer.fd = -1;
    machine->kvm = (struct mv_kvm){.dev = -1, .vm = -1};
    machine->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    machine->end_source.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    error =
        machine->wake < 0 || machine->end_source.fd < 0
            ? mv_fail(err, -errno, "eventfd", NULL, "cannot create an eventfd: %s", strerror(errno))
            : build(machine, &config, err);
    if (error) {
        mv_board_disown(&machine->board); /* what is the caller's stays so */
        mv_machine_destroy(machine);
        return error;
    }
    mv_bus_freeze(&machine->mmio);
    mv_bus_freeze(&machine->ports);
    *ret_machine = machine;
    return 0;
}

int mv_machine_set_irq(struct mv_machine *machine, int irq, bool level)
{
    int error = machine->bare ? -EINVAL : mv_board_check_irq(&machine->board, irq);

    if (!error)
        mv_arch_set_irq(&machine->kvm, irq, level);
    return error;
}

const char *mv_tables(void)
{
    return mv_arch_tables;
}

int mv_machine_dump_tables(const struct mv_machine *machine, const char *path, struct mv_error *err)
{
    return mv_arch_dump(machine->arch, &machine->mem, path, err);
}

/* ---- destroy ---- */

void mv_machine_destroy(struct mv_machine *machine)
{
    if (!machine)
        return;
    mv_machine_quit(machine);
    while (machine->created)
        mv_vcpu_done(&machine->vcpus[--machine->created]);
    free(machine->vcpus);
    mv_kvm_close(&machine->kvm);
    mv_arch_destroy(machine->arch);
    mv_board_done(&machine->board);
    mv_loop_done(&machine->loop);
    mv_mem_done(&machine->mem);
    mv_close_fd(&machine->rescan.fd);
    mv_close_fd(&machine->sleep_timer.fd);
    mv_close_fd(&machine->wake);
    mv_close_fd(&machine->end_source.fd);
    mv_pause_done(&machine->pause);
    mv_log_done(&machine->log);
    free(machine);
}
