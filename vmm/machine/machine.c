/* SPDX-License-Identifier: MIT */
/* The machine: see machine.h, and minivmm.h for the public functions. */
#include "machine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "boot/boot.h"
#include "config.h"

#define LINUX_LEAST (512 * MV_KIB) /* bytes; smaller kernels are done before anyone notices */

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

/* ---- create ---- */

static int load_guest(struct mv_machine *machine, const struct mv_config *config,
                      struct mv_error *err)
{
    struct mv_boot_files files;
    int error = mv_boot_open_files(config, &files, err);

    if (!error && !config->tables_only && files.kernel_size >= LINUX_LEAST)
        mv_kvm_warn_of_pvm(&machine->log);
    if (!error && !config->bare)
        error = mv_arch_load(machine->arch, &machine->mem, &files, machine->devices.all,
                             machine->devices.count, err);
    if (!error && config->flat)
        error = mv_arch_load_flat(machine->arch, &machine->mem, config->flat, err);
    mv_boot_close_files(&files);
    return error;
}

static int init_memory(struct mv_machine *machine, const struct mv_config *config,
                       struct mv_error *err)
{
    struct mv_region regions[MV_MEM_REGIONS];
    unsigned count = mv_arch_memory_map(config->memory, regions);
    int error = mv_mem_init(&machine->mem, regions, count);

    if (error)
        return mv_fail(err, error, "mmap", "give the guest less memory",
                       "cannot map %llu MiB of guest memory: %s",
                       (unsigned long long)(config->memory / MV_MIB), strerror(-error));
    return 0;
}

/* What every built-in device gets; the board adds its interrupt line. */
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
        .console_error = &machine->console_error,
        .wake = machine->wake,
    };
}

static const struct mv_device_source *const sources[] = {&mv_virtio_devices, &mv_custom_devices};

static int init_devices(struct mv_machine *machine, const struct mv_config *config,
                        struct mv_error *err)
{
    const struct mv_device_env env = device_env(machine, config);
    int error = mv_loop_init(&machine->loop);

    if (error)
        return mv_fail(err, error, "epoll_create1", NULL, "cannot set up the I/O loop: %s",
                       strerror(-error));
    if (!config->bare)
        error = mv_board_init(&machine->devices, &env, err);
    for (unsigned i = 0; !error && i < MV_COUNT(sources); i++)
        if (sources[i]->add)
            error = sources[i]->add(&machine->devices, &env, config, err);
    return error ? error : mv_devices_watch_rescan(&machine->devices, &machine->loop, err);
}

static int add_late_devices(struct mv_machine *machine, const struct mv_config *config,
                            struct mv_error *err)
{
    const struct mv_device_env env = device_env(machine, config);

    return config->bare ? 0 : mv_board_add_late(&machine->devices, machine->arch, &env, err);
}

/* After the guest is loaded, so that no image is loaded into custom memory. */
static int add_memories(struct mv_machine *machine, const struct mv_config *config,
                        struct mv_error *err)
{
    int error = 0;

    for (unsigned i = 0; !error && i < MV_COUNT(sources); i++)
        if (sources[i]->add_memory)
            error = sources[i]->add_memory(&machine->devices, &machine->mem, config, err);
    return error;
}

static int map(struct mv_machine *machine, const struct mv_region *region, const char *hint,
               struct mv_error *err)
{
    int error = mv_kvm_add_memory(&machine->kvm, region);

    return error ? mv_fail(err, error, "KVM_SET_USER_MEMORY_REGION", hint,
                           "KVM refuses %llu KiB of memory at %#llx: %s",
                           (unsigned long long)(region->size / MV_KIB),
                           (unsigned long long)region->base, strerror(-error))
                 : 0;
}

static int map_memory(struct mv_machine *machine, struct mv_error *err)
{
    const struct mv_region *pages = &machine->devices.pages;
    int error = 0;

    for (unsigned i = 0; !error && i < machine->mem.count; i++)
        error = map(machine, &machine->mem.regions[i], "give the guest less memory", err);
    if (!error && pages->host) {
        error = map(machine, pages, NULL, err);
        if (error == -EOPNOTSUPP)
            error = 0; /* without read-only memory, every read of a virtio register exits */
    }
    for (unsigned i = 0; !error && i < machine->mem.custom_count; i++)
        error = map(machine, &machine->mem.custom[i],
                    "is each a multiple of this computer's page size?", err);
    return error;
}

static int init_vm(struct mv_machine *machine, const struct mv_config *config, struct mv_error *err)
{
    unsigned long type;
    int error = mv_arch_vm_type(&machine->kvm, &machine->mem, &type, err);

    (void)config;
    if (!error)
        error = mv_kvm_create_vm(&machine->kvm, type, err);
    if (!error)
        error = mv_arch_init_vm(machine->arch, &machine->kvm, &machine->mem, err);
    return error ? error : map_memory(machine, err);
}

static int init_vcpus(struct mv_machine *machine, const struct mv_config *config,
                      struct mv_error *err)
{
    machine->vcpu_host = (struct mv_vcpu_host){
        .kvm = &machine->kvm,
        .mem = &machine->mem,
        .ports = &machine->devices.ports,
        .mmio = &machine->devices.mmio,
        .pause = &machine->pause,
        .observers = {&mv_debug_observer, &mv_embed_observer},
        .cpus = machine->cpus,
        .halted = &machine->halted,
        .machine = machine,
        .end = mv_machine_end,
        .ended = &machine->ended,
    };
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
        error = mv_arch_init_vcpu(machine->arch, &machine->mem, &machine->vcpus[i], err);
        if (!error)
            error = mv_vcpu_attach_parts(&machine->vcpus[i], config, err);
        if (error)
            return error;
    }
    return 0;
}

static int init_arch(struct mv_machine *machine, const struct mv_config *config,
                     struct mv_error *err)
{
    return mv_arch_create(machine->cpus, config->bare, &machine->arch, err);
}

static int open_kvm(struct mv_machine *machine, const struct mv_config *config,
                    struct mv_error *err)
{
    mv_timeline_add(&machine->timeline, "guest loaded", 0);
    return mv_kvm_open(&machine->kvm, config->kvm_path ? config->kvm_path : "/dev/kvm",
                       &machine->timeline, err);
}

static int finish(struct mv_machine *machine, const struct mv_config *config, struct mv_error *err)
{
    bool has_kvm = machine->kvm.dev >= 0; /* false: tables_only, on a computer without KVM */

    (void)config;
    return mv_arch_finish(machine->arch, has_kvm ? &machine->kvm : NULL, &machine->mem, err);
}

typedef int step_fn(struct mv_machine *machine, const struct mv_config *config,
                    struct mv_error *err);

/* Takes the machine from nothing to the moment before its first instruction. */
static int build(struct mv_machine *machine, const struct mv_config *config, struct mv_error *err)
{
    /* Everything that needs no KVM comes first, so that its errors show on any computer. */
    static step_fn *const steps[] = {
        init_memory,      /* 1. reserve addresses for guest memory, touching none of it */
        init_devices,     /* 2. the loop, and the devices on their buses */
        init_arch,        /* 3. the architecture's own state */
        load_guest,       /* 4. kernel, initrd, command line and tables, into memory */
        add_late_devices, /* 5. further devices that this kernel expects */
        add_memories,     /* 6. custom memory, into which no image may be loaded */
        open_kvm,         /* 7. /dev/kvm */
        init_vm,          /* 8. the VM, its interrupt controllers and memory slots */
        init_vcpus,       /* 9. the vCPUs, in their start state */
        finish,           /* 10. whatever depends on all of that */
    };
    int error = 0;

    for (unsigned i = 0; !error && i < MV_COUNT(steps); i++) {
        error = steps[i](machine, config, err);
        if (error && steps[i] == open_kvm && config->tables_only)
            return finish(machine, config, err);
    }
    return error;
}

int mv_machine_create(const struct mv_config *given, struct mv_machine **ret_machine,
                      struct mv_error *err)
{
    struct mv_setup setup;
    const struct mv_config *config = &setup.config;
    struct mv_machine *machine;
    int error = mv_config_take(given, &setup, err);

    if (error)
        return error;
    machine = calloc(1, sizeof(*machine));
    if (!machine)
        return mv_fail(err, -ENOMEM, NULL, NULL, "no memory for a machine");
    mv_log_init(&machine->log, config->log, config->log_context, config->log_level);
    machine->timeline.on = config->timeline;
    machine->bare = config->bare;
    machine->cpus = config->cpus;
    machine->mode = config->tables_only ? MV_RUN_NEVER : MV_RUN_NOT;
    mv_pause_init(&machine->pause, &machine->ended);
    machine->loop = (struct mv_loop){.epoll = -1, .wake = -1};
    machine->sleep_timer.fd = -1;
    machine->kvm = (struct mv_kvm){.dev = -1, .vm = -1};
    machine->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    machine->end_source.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    error =
        machine->wake < 0 || machine->end_source.fd < 0
            ? mv_fail(err, -errno, "eventfd", NULL, "cannot create an eventfd: %s", strerror(errno))
            : build(machine, config, err);
    if (error) {
        mv_devices_disown(&machine->devices); /* the caller keeps its own objects */
        mv_machine_destroy(machine);
        return error;
    }
    mv_devices_freeze(&machine->devices);
    *ret_machine = machine;
    return 0;
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
    mv_devices_done(&machine->devices);
    mv_loop_done(&machine->loop);
    mv_mem_done(&machine->mem);
    mv_close_fd(&machine->sleep_timer.fd);
    mv_close_fd(&machine->wake);
    mv_close_fd(&machine->end_source.fd);
    mv_pause_done(&machine->pause);
    mv_log_done(&machine->log);
    free(machine);
}
