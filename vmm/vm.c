/* SPDX-License-Identifier: MIT */
/* The machine: see vm.h, and minivmm.h for the public functions. */
#include "vm.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define STOPPED_FLUSH_MS 100 /* how long a stopped machine may try to deliver its output */

const char *mv_version(void)
{
    return MV_VERSION;
}

/* The first one counts.  Any thread, and signal handlers. */
static void end_machine(void *context, enum mv_end_reason reason, int code, int vcpu, int error)
{
    struct mv_machine *machine = context;

    if (!atomic_exchange(&machine->claimed, true)) {
        machine->end = (struct mv_end){.reason = reason, .code = code, .vcpu = vcpu};
        machine->error = error;
        atomic_store(&machine->ended, true); /* pairs with the loads in run_vcpu and run */
    }
    eventfd_write(machine->wake, 1);
}

static void end_by_device(void *context, enum mv_end_reason reason, int code)
{
    end_machine(context, reason, code, -1, 0);
}

static void set_irq(void *context, int line, bool level)
{
    const struct mv_machine *machine = context;

    mv_arch_set_irq(&machine->kvm, line, level);
}

static int wire_doorbell(void *context, uint64_t address, int eventfd)
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

static int open_image(const char *what, const char *path, int *ret_fd, uint64_t *ret_size,
                      struct mv_error *err)
{
    /* Not blocking: a FIFO without a writer would hold us for ever. */
    MV_CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;

    if (fd < 0)
        return mv_fail(err, -errno, "open",
                       errno == ENOENT ? "check the path" : "check the file's permissions",
                       "cannot open the %s %s: %s", what, path, strerror(errno));
    if (fstat(fd, &st) < 0)
        return mv_fail(err, -errno, "fstat", NULL, "cannot examine the %s %s: %s", what, path,
                       strerror(errno));
    if (!S_ISREG(st.st_mode))
        return mv_fail(err, -EINVAL, NULL, "copy it to a regular file and name that",
                       "the %s %s is %s, not a regular file", what, path,
                       S_ISDIR(st.st_mode)    ? "a directory"
                       : S_ISFIFO(st.st_mode) ? "a FIFO"
                                              : "a device or socket");
    if (st.st_size == 0)
        return mv_fail(err, -ENOEXEC, NULL, "was its download or build cut short?",
                       "the %s %s is empty", what, path);
    *ret_fd = mv_steal_fd(&fd);
    *ret_size = (uint64_t)st.st_size;
    return 0;
}

static int load_guest(struct mv_machine *machine, const struct mv_config *config,
                      struct mv_error *err)
{
    struct mv_boot_files files = {
        .kernel_path = config->kernel,
        .kernel = -1,
        .initrd_path = config->initrd,
        .initrd = -1,
        .append = config->append ? config->append : "",
    };
    MV_CLEANUP_FD int kernel = -1;
    MV_CLEANUP_FD int initrd = -1;
    int error = 0;

    if (config->kernel)
        error = open_image("kernel", config->kernel, &kernel, &files.kernel_size, err);
    if (!error && config->initrd)
        error = open_image("initrd", config->initrd, &initrd, &files.initrd_size, err);
    if (error)
        return error;
    files.kernel = kernel;
    files.initrd = initrd;
    return mv_arch_load(machine->arch, &machine->mem, &files, machine->board.devices,
                        machine->board.count, err);
}

static int check_config(const struct mv_config *config, struct mv_error *err)
{
    if (!config->kernel && !config->tables_only)
        return mv_fail(err, -EINVAL, NULL, NULL, "no kernel is named");
    if (config->memory % MV_PAGE_SIZE)
        return mv_fail(err, -EINVAL, NULL, "memory comes in pages of 4 KiB",
                       "%llu bytes of memory are no whole number of pages",
                       (unsigned long long)config->memory);
    if (config->memory && config->memory < MV_MINIMUM_MEMORY)
        return mv_fail(err, -EINVAL, NULL, "give it at least 16M",
                       "%llu bytes are too little memory", (unsigned long long)config->memory);
    if (config->disk_count > MV_DISKS_MAX)
        return mv_fail(err, -EINVAL, NULL, NULL, "%zu disks are more than the %d that there can be",
                       config->disk_count, MV_DISKS_MAX);
    return 0;
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

static int init_memory(struct mv_machine *machine, uint64_t bytes, struct mv_error *err)
{
    struct mv_region regions[MV_MEM_REGIONS];
    unsigned count = mv_arch_memory_map(bytes, regions);
    int error = mv_mem_init(&machine->mem, regions, count);

    if (error)
        return mv_fail(err, error, "mmap", "use less memory for the guest (-m)",
                       "cannot map %llu MiB of guest memory: %s",
                       (unsigned long long)(bytes / MV_MIB), strerror(-error));
    return 0;
}

static int init_disks(struct mv_machine *machine, const struct mv_config *config,
                      const struct mv_device_env *env, struct mv_error *err)
{
    const uint8_t *at = (const uint8_t *)config->disks;
    int error = 0;

    for (size_t i = 0; !error && i < config->disk_count; i++, at += config->disks->size) {
        struct mv_disk disk = {0};

        memcpy(&disk, at, mv_min(config->disks->size, sizeof(disk))); /* see mv_machine_create */
        error = check_disk(&disk, err);
        if (!error)
            error =
                mv_board_add_disk(&machine->board, env, &disk, machine->cpus, &machine->mmio, err);
    }
    if (error || config->disk_count == 0)
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

static int init_devices(struct mv_machine *machine, const struct mv_config *config,
                        struct mv_error *err)
{
    struct mv_device_env env = {
        .mem = &machine->mem,
        .irq = {.set = set_irq, .context = machine},
        .wiring = {.doorbell = wire_doorbell, .context = machine},
        .loop = &machine->loop,
        .log = &machine->log,
        .ender = {.end = end_by_device, .context = machine},
        .console = config->console,
        .timeline = &machine->timeline,
        .wake = machine->wake,
    };
    int error = mv_loop_init(&machine->loop);

    if (error)
        return mv_fail(err, error, "epoll_create1", NULL, "cannot set up the I/O loop: %s",
                       strerror(-error));
    error = mv_board_init(&machine->board, &env, &machine->mmio, &machine->ports, err);
    return error ? error : init_disks(machine, config, &env, err);
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
            mv_fail(err, error, "KVM_SET_USER_MEMORY_REGION", "ask for less memory with -m",
                    "KVM does not take %llu MiB of memory at %#llx: %s",
                    (unsigned long long)(region->size / MV_MIB), (unsigned long long)region->base,
                    strerror(-error));
    }
    return error ? error : map_device_pages(machine, err);
}

static int init_vcpus(struct mv_machine *machine, bool single_step, struct mv_error *err)
{
    machine->vcpu_host = (struct mv_vcpu_host){
        .kvm = &machine->kvm,
        .ports = &machine->ports,
        .mmio = &machine->mmio,
        .end = end_machine,
        .context = machine,
        .ended = &machine->ended,
        .single_step = single_step,
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
        if (!error && single_step)
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

    mv_log(log, MV_LOG_INFO, "kernel %s, initrd %s, command line: %s",
           config->kernel ? config->kernel : "none", config->initrd ? config->initrd : "none",
           config->append ? config->append : "");
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
    int error = init_memory(machine, config->memory ? config->memory : MV_DEFAULT_MEMORY, err);

    if (!error)
        error = init_devices(machine, config, err);
    if (!error)
        error = mv_arch_create(machine->cpus, &machine->arch, err);
    if (!error)
        error = load_guest(machine, config, err);
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
        error = init_vcpus(machine, config->single_step, err);
    if (!error)
        error = mv_arch_finish(machine->arch, &machine->kvm, &machine->mem, err);
    if (!error)
        log_machine(machine, config);
    return error;
}

int mv_machine_create(const struct mv_config *given, struct mv_machine **ret_machine,
                      struct mv_error *err)
{
    struct mv_config config = {0};
    struct mv_machine *machine;
    int error;

    /* A caller that was built against an older, shorter struct. */
    memcpy(&config, given, mv_min(given->size, sizeof(config)));
    error = check_config(&config, err);
    if (error)
        return error;
    machine = calloc(1, sizeof(*machine));
    if (!machine)
        return mv_fail(err, -ENOMEM, NULL, NULL, "no memory for a machine");
    mv_log_init(&machine->log, config.log, config.log_context, config.log_level);
    machine->timeline.on = config.timeline;
    machine->cpus = config.cpus ? config.cpus : 1;
    machine->has_run = config.tables_only;
    machine->loop = (struct mv_loop){.epoll = -1, .wake = -1};
    machine->rescan.fd = -1;
    machine->kvm = (struct mv_kvm){.dev = -1, .vm = -1};
    machine->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    error = machine->wake < 0 ? mv_fail(err, -errno, "eventfd", NULL,
                                        "cannot create an eventfd: %s", strerror(errno))
                              : build(machine, &config, err);
    if (error) {
        mv_machine_destroy(machine);
        return error;
    }
    mv_bus_freeze(&machine->mmio);
    mv_bus_freeze(&machine->ports);
    *ret_machine = machine;
    return 0;
}

const char *mv_tables(void)
{
    return mv_arch_tables;
}

int mv_machine_dump_tables(const struct mv_machine *machine, const char *path, struct mv_error *err)
{
    return mv_arch_dump(machine->arch, &machine->mem, path, err);
}

/* ---- run ---- */

/* Waits until somebody writes `wake`, at most timeout milliseconds (-1: no
 * limit).  Returns false when the time is over. */
static bool wait_for_wake(const struct mv_machine *machine, int timeout)
{
    struct pollfd wake = {.fd = machine->wake, .events = POLLIN};
    eventfd_t count;

    if (poll(&wake, 1, timeout) == 0)
        return false;
    eventfd_read(machine->wake, &count); /* EINTR and EAGAIN: the caller looks again */
    return true;
}

/* Delivers the guest's last words, unless somebody calls stop (again). */
static void flush_console(struct mv_machine *machine)
{
    struct mv_device *serial = mv_board_find(&machine->board, "serial0");
    bool stopped = machine->end.reason == MV_END_STOPPED;
    unsigned stops = atomic_load(&machine->stops);

    while (serial && !mv_serial_flush(serial)) {
        if (!wait_for_wake(machine, stopped ? STOPPED_FLUSH_MS : -1))
            break;
        if (atomic_load(&machine->stops) != stops)
            break;
    }
}

static int start_threads(struct mv_machine *machine, struct mv_error *err)
{
    int error = mv_loop_start(&machine->loop);

    for (unsigned i = 0; !error && i < machine->cpus; i++)
        error = mv_vcpu_start(&machine->vcpus[i]);
    if (error)
        mv_fail(err, error, "pthread_create", "raise the limit of processes (ulimit -u)",
                "cannot start a thread: %s", strerror(-error));
    return error;
}

static int explain_host_failure(const struct mv_machine *machine, struct mv_error *err)
{
    int error = machine->error;

    if (error == -EFAULT)
        return mv_fail(err, error, "KVM_RUN",
                       "was the kernel or initrd file truncated, or is the host out of memory?",
                       "guest memory went away under vCPU %d", machine->end.vcpu);
    return mv_fail(err, error, "KVM_RUN", "the kernel log of the host may say more (dmesg)",
                   "KVM failed to run vCPU %d: %s", machine->end.vcpu, strerror(-error));
}

int mv_machine_run(struct mv_machine *machine, struct mv_end *ret_end, struct mv_error *err)
{
    int error;

    if (machine->has_run)
        return mv_fail(err, -EALREADY, NULL, "create another one", "a machine runs only once");
    machine->has_run = true;
    error = start_threads(machine, err);
    if (error)
        end_machine(machine, MV_END_STOPPED, 0, -1, 0);
    while (!atomic_load(&machine->ended)) /* pairs with the store in end_machine */
        wait_for_wake(machine, -1);
    mv_timeline_add(&machine->timeline, "end", 0);
    mv_board_quiesce(&machine->board);
    for (unsigned i = 0; i < machine->cpus; i++)
        mv_vcpu_kick(&machine->vcpus[i]);
    for (unsigned i = 0; i < machine->cpus; i++)
        mv_vcpu_join(&machine->vcpus[i]);
    if (!error) /* else there may be no loop to deliver it */
        flush_console(machine);
    mv_loop_stop(&machine->loop);
    mv_timeline_add(&machine->timeline, "threads gone", 0);
    if (error)
        return error;
    if (machine->error)
        return explain_host_failure(machine, err);
    *ret_end = machine->end;
    return 0;
}

void mv_machine_stop(struct mv_machine *machine, int code)
{
    atomic_fetch_add(&machine->stops, 1); /* pairs with the loads in flush_console */
    end_machine(machine, MV_END_STOPPED, code, -1, 0);
}

void mv_machine_rescan(struct mv_machine *machine)
{
    if (machine->rescan.fd >= 0)
        eventfd_write(machine->rescan.fd, 1);
}

/* ---- observe ---- */

static void report_exits(const struct mv_vcpu *vcpu, FILE *to)
{
    unsigned long first = vcpu->exits > MV_EXIT_RECORDS ? vcpu->exits - MV_EXIT_RECORDS : 0;

    fprintf(to, "last exits (oldest first):\n");
    for (unsigned long i = first; i < vcpu->exits; i++) {
        const struct mv_exit_record *exit = &vcpu->records[i % MV_EXIT_RECORDS];

        fprintf(to, "  %-14s", mv_exit_name(exit->reason));
        if (exit->pc)
            fprintf(to, " at %#llx", (unsigned long long)exit->pc);
        if (exit->size)
            fprintf(to, ": %s %u bytes %#llx, value %#llx", exit->write ? "write" : "read",
                    exit->size, (unsigned long long)exit->address, (unsigned long long)exit->value);
        if (exit->repeats)
            fprintf(to, ", and %llu times more", (unsigned long long)exit->repeats);
        fputc('\n', to);
    }
}

char *mv_machine_report(const struct mv_machine *machine)
{
    unsigned index = machine->end.vcpu >= 0 ? (unsigned)machine->end.vcpu : 0;
    char *text = NULL;
    size_t size;
    FILE *to;

    if (index >= machine->created)
        return NULL;
    to = open_memstream(&text, &size);
    if (!to)
        return NULL;
    mv_arch_report(&machine->vcpus[index], &machine->mem, to);
    report_exits(&machine->vcpus[index], to);
    fclose(to);
    return text;
}

static int by_time(const void *a, const void *b)
{
    const struct mv_mark *left = a, *right = b;

    return left->ns < right->ns ? -1 : left->ns > right->ns;
}

size_t mv_machine_timeline(const struct mv_machine *machine, struct mv_mark *ret_marks, size_t most)
{
    struct mv_mark sorted[MV_TIMELINE_MARKS];
    size_t count = mv_min(atomic_load(&machine->timeline.count), MV_TIMELINE_MARKS);

    memcpy(sorted, machine->timeline.marks, count * sizeof(sorted[0]));
    qsort(sorted, count, sizeof(sorted[0]), by_time);
    if (most) /* (NULL, 0) asks how many there are */
        memcpy(ret_marks, sorted, mv_min(count, most) * sizeof(sorted[0]));
    return count;
}

/* ---- destroy ---- */

void mv_machine_destroy(struct mv_machine *machine)
{
    if (!machine)
        return;
    while (machine->created)
        mv_vcpu_done(&machine->vcpus[--machine->created]);
    free(machine->vcpus);
    mv_kvm_close(&machine->kvm);
    mv_arch_destroy(machine->arch);
    mv_board_done(&machine->board);
    mv_loop_done(&machine->loop);
    mv_mem_done(&machine->mem);
    mv_close_fd(&machine->rescan.fd);
    mv_close_fd(&machine->wake);
    mv_log_done(&machine->log);
    free(machine);
}
