/* SPDX-License-Identifier: MIT */
/* The public functions as far as they get without KVM: configuration, files, and the
 * errors of opening KVM's device. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bootrig.h"
#include "core/kvm.h"
#include "machine/config.h"
#include "minivmm/device.h"
#include "minivmm/minivmm.h"

static char folder[] = "/tmp/minivmm-machine-XXXXXX";
static char path[4][128];
static struct mv_config config;
static struct mv_error err;

/* A path in the test's own folder. */
static char *in_folder(unsigned slot, const char *name)
{
    snprintf(path[slot], sizeof(path[slot]), "%s/%s", folder, name);
    return path[slot];
}

static char *make_file(unsigned slot, const char *name, const void *bytes, size_t size)
{
    int fd = open(in_folder(slot, name), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, bytes, size), (ssize_t)size);
    close(fd);
    return path[slot];
}

static void start(void)
{
    cr_assert_not_null(mkdtemp(folder));
    image_bzimage(&image);
    config = (struct mv_config){.size = sizeof(config)};
    config.kernel = make_file(0, "kernel", image.bytes, image.size);
    config.kvm_path = "/nonexistent/kvm";
    config.memory = 64 * MV_MIB;
}

static void stop(void)
{
    static const char *const names[] = {"kernel", "initrd", "fifo", "empty", "folder", "kvm"};

    for (unsigned i = 0; i < MV_COUNT(names); i++)
        remove(in_folder(1, names[i]));
    rmdir(folder);
}

static uint64_t read_nothing(void *state, uint64_t offset, unsigned size)
{
    (void)state, (void)offset, (void)size;
    return 0;
}

static void write_nothing(void *state, uint64_t offset, unsigned size, uint64_t value)
{
    (void)state, (void)offset, (void)size, (void)value;
}

/* One of one sector. */
static const char *disk_file(void)
{
    static const uint8_t sector[512];

    return make_file(1, "initrd", sector, sizeof(sector));
}

TestSuite(machine, .init = start, .fini = stop);

static void expect_refused(int code, const char *words, bool hint)
{
    struct mv_machine *machine = (struct mv_machine *)&config;
    int error;

    memset(&err, 0, sizeof(err));
    error = mv_machine_create(&config, &machine, &err);
    cr_expect_eq(error, code, "%d instead of %d: %s", error, code, err.tried);
    cr_expect_eq(err.code, code);
    cr_expect_eq((void *)machine, (void *)&config, "*ret_machine is left alone");
    cr_expect(strstr(err.tried, words), "\"%s\" has no \"%s\"", err.tried, words);
    if (hint)
        cr_expect_neq(err.hint[0], 0, "\"%s\" has no hint", err.tried);
    cr_expect_eq(mv_machine_create(&config, &machine, NULL), code, "the same without words");
}

Test(machine, the_version_is_the_projects)
{
    cr_expect_str_eq(mv_version(), MV_VERSION);
}

Test(machine, destroying_nothing_is_fine)
{
    mv_machine_destroy(NULL);
}

/* ---- configuration ---- */

Test(machine, without_a_kernel_it_is_refused)
{
    config.kernel = NULL;
    expect_refused(-EINVAL, "no kernel", false);
}

Test(machine, too_little_memory_is_refused)
{
    config.memory = 16 * MV_MIB - 4096;
    expect_refused(-EINVAL, "too little memory", true);
    config.memory = 4096;
    expect_refused(-EINVAL, "too little memory", true);
}

Test(machine, memory_that_is_no_whole_number_of_pages_is_refused)
{
    config.memory = 64 * MV_MIB + 1;
    expect_refused(-EINVAL, "not whole pages", true);
    config.memory = UINT64_MAX;
    expect_refused(-EINVAL, "not whole pages", true);
}

Test(machine, memory_that_the_host_cannot_map_is_refused)
{
    config.memory = 1ull << 62;
    expect_refused(-ENOMEM, "cannot map", true);
    config.memory = UINT64_MAX - 4095;
    expect_refused(-ENOMEM, "cannot map", true);
}

Test(machine, a_config_of_an_older_caller_is_taken)
{
    /* Only what its size covers counts: memory does not, and is the default. */
    config.size = offsetof(struct mv_config, initrd);
    config.memory = 1;
    config.initrd = "/nonexistent/initrd";
    image_header(&image)->init_size = 300 * MV_MIB;
    config.kernel = make_file(0, "kernel", image.bytes, image.size);
    expect_refused(-ENOMEM, "there are 256", true);
    config.size = 0;
    expect_refused(-EINVAL, "the size of the struct is 0", true);
}

Test(machine, a_config_of_a_newer_caller_is_taken_as_far_as_it_is_known)
{
    struct {
        struct mv_config config;
        char more[100];
    } newer = {.config = config};
    struct mv_machine *machine;

    newer.config.size = sizeof(newer);
    memset(newer.more, 0xff, sizeof(newer.more));
    cr_expect_eq(mv_machine_create(&newer.config, &machine, &err), -ENOENT);
}

static _Alignas(4096) uint8_t mine[4096];

Test(machine, custom_memory_that_is_no_memory_is_refused)
{
    static const struct {
        struct mv_custom_memory memory;
        const char *words;
    } rows[] = {
        {{.address = 0xc0000000, .bytes = 4096}, "has no host mapping"},
        {{.address = 0xc0000000, .host = mine}, "or no bytes"},
        {{.address = 0xc0000001, .bytes = 4096, .host = mine}, "whole pages"},
        {{.address = 0xc0000000, .bytes = 4095, .host = mine}, "whole pages"},
        {{.address = 0xc0000000, .bytes = 4096, .host = mine + 1}, "whole pages"},
        {{.address = UINT64_MAX - 4095, .bytes = 8192, .host = mine}, "wraps around"},
    };

    for (unsigned i = 0; i < MV_COUNT(rows); i++) {
        struct mv_custom_memory memory = rows[i].memory;

        memory.size = sizeof(memory);
        config.memories = &memory;
        config.memory_count = 1;
        expect_refused(-EINVAL, rows[i].words, true);
        cr_expect_eq(mv_config_validate(&config, &err), -EINVAL);
    }
    config.memories = NULL;
    expect_refused(-EINVAL, "no array", false);
    config.memory_count = MV_MEMORIES_MAX + 1;
    expect_refused(-EINVAL, "at most 16", false);
}

Test(machine, custom_memory_lies_over_nothing_else)
{
    static const uint64_t taken[] = {
        0,          /* memory */
        0x3fff000,  /* its last page */
        0xd0000000, /* virtio slots */
        0xd000f000, /* the last of them, for which there is no disk */
        0xe0000000, /* the device below */
        0xfec00000, /* I/O APIC */
        0xfee00000, /* local APICs */
        0xfffff000, /* KVM's own pages are near */
    };
    static const uint64_t open[] = {0x4000000, 0xcffff000, 0xe0001000, 0xfebff000, 1ull << 32};
    static const struct mv_device_ops ops = {
        .size = sizeof(ops), .read = read_nothing, .write = write_nothing};
    static const struct mv_device_desc desc = {
        .size = sizeof(desc), .name = "own", .base = 0xe0000ff8, .bytes = 8, .irq = MV_NO_IRQ};
    const struct mv_custom_device device = {.size = sizeof(device), .desc = &desc, .ops = &ops};
    struct mv_custom_memory memories[2] = {
        {.size = sizeof(memories[0]), .address = 0xa0000000, .bytes = 4096, .host = mine},
        {.size = sizeof(memories[0]), .bytes = 4096, .host = mine}};
    const struct mv_disk disk = {.size = sizeof(disk), .path = disk_file(), .read_only = true};

    config.memories = memories;
    config.memory_count = 2;
    config.devices = &device;
    config.device_count = 1;
    config.disks = &disk;
    config.disk_count = 1;
    for (unsigned i = 0; i < MV_COUNT(taken); i++) {
        memories[1].address = taken[i];
        expect_refused(-EEXIST, "would overlap", true);
    }
    memories[1].address = 0xa0000000; /* the other one */
    expect_refused(-EEXIST, "would overlap", true);
    for (unsigned i = 0; i < MV_COUNT(open); i++) {
        memories[1].address = open[i];
        expect_refused(-ENOENT, "/nonexistent/kvm", true); /* it got so far */
    }
}

static bool see(void *context, struct mv_vcpu *vcpu, struct mv_exit *exit)
{
    (void)context, (void)vcpu, (void)exit;
    return false;
}

Test(machine, a_struct_whose_size_was_forgotten_is_named)
{
    const struct mv_console console = {.in = -1, .out = -1};
    const struct mv_hook hooks[2] = {{.size = sizeof(hooks[0]), .fn = see}, {.fn = see}};
    static const struct mv_device_ops ops[2] = {
        {.read = read_nothing, .write = write_nothing},
        {.size = sizeof(ops[0]), .read = read_nothing, .write = write_nothing}};
    static const struct mv_device_desc desc[2] = {
        {.size = sizeof(desc[0]), .name = "sized", .base = MV_ANY_BASE, .bytes = 8},
        {.name = "sizeless", .base = MV_ANY_BASE, .bytes = 8}};
    struct mv_custom_device device = {.desc = &desc[0], .ops = &ops[1]};

    config.console = &console;
    expect_refused(-EINVAL, "console: the size", true);
    config.console = NULL;
    config.hooks = hooks;
    config.hook_count = 2;
    expect_refused(-EINVAL, "hooks: the size", true);
    config.hook_count = 0;
    config.devices = &device;
    config.device_count = 1;
    expect_refused(-EINVAL, "custom devices: the size", true);
    device.size = sizeof(device);
    device.desc = &desc[1];
    expect_refused(-EINVAL, "description: the size", true);
    device.desc = &desc[0];
    device.ops = &ops[0];
    expect_refused(-EINVAL, "ops: the size", true);
}

/* What an older and a newer caller fill. */
Test(machine, structs_of_other_sizes_are_taken)
{
    struct longer {
        struct mv_hook hook;
        uint64_t more;
    };
    const struct longer longer[2] = {
        {.hook = {.size = sizeof(longer[0]), .kind = MV_EXIT_MMIO, .fn = see}, .more = 1},
        {.hook = {.size = sizeof(longer[0]), .fn = see, .context = &err}, .more = 2}};
    struct shorter {
        size_t size;
        const char *path, *serial;
    } shorter[2] = {{sizeof(shorter[0]), "one", NULL}, {sizeof(shorter[0]), "two", "2"}};
    static struct mv_setup setup;

    config.hooks = &longer[0].hook;
    config.hook_count = 2;
    config.disks = (const struct mv_disk *)shorter;
    config.disk_count = 2;
    config.memory = 0;
    cr_assert_eq(mv_config_take(&config, &setup, &err), 0, "%s", err.tried);
    cr_expect_eq(setup.config.memory, MV_DEFAULT_MEMORY);
    cr_expect_eq(setup.hooks[0].kind, MV_EXIT_MMIO);
    cr_expect_eq(setup.config.hooks[1].context, &err);
    cr_expect_str_eq(setup.config.disks[1].path, "two");
    cr_expect_str_eq(setup.disks[1].serial, "2");
    cr_expect_eq(setup.disks[1].queues, 0);
}

/* A custom device with this line, or the lines of several. */
static void ask_for_lines(const int *lines, size_t count)
{
    static const struct mv_device_ops ops = {
        .size = sizeof(ops), .read = read_nothing, .write = write_nothing};
    static const char *const names[] = {"one", "two", "three"};
    static struct mv_device_desc descs[3];
    static struct mv_custom_device devices[3];

    for (size_t i = 0; i < count; i++) {
        descs[i] = (struct mv_device_desc){.size = sizeof(struct mv_device_desc),
                                           .name = names[i],
                                           .base = MV_ANY_BASE,
                                           .bytes = 8,
                                           .irq = lines[i]};
        devices[i] = (struct mv_custom_device){
            .size = sizeof(struct mv_custom_device), .desc = &descs[i], .ops = &ops};
    }
    config.devices = devices;
    config.device_count = count;
}

Test(machine, an_interrupt_line_that_is_taken_or_missing_is_refused)
{
    static const struct {
        int lines[2], error;
        const char *tried, *hint;
    } rows[] = {
        {{4, MV_NO_IRQ}, -EBUSY, "line 4: another device has it", "free lines: 9 to 23"},
        {{0, MV_NO_IRQ}, -EBUSY, "line 0: another device has it", "9 to 23"}, /* the timer */
        {{5, MV_NO_IRQ}, -EBUSY, "line 5: another device has it", "9 to 23"}, /* the disk */
        {{12, 12}, -EBUSY, "the device two cannot have interrupt line 12", "9 to 11, 13 to 23"},
        {{MV_NO_IRQ, 24}, -EINVAL, "line 24: it does not exist", "9 to 23"},
        {{-3, MV_NO_IRQ}, -EINVAL, "line -3: it does not exist", "9 to 23"},
    };
    const struct mv_disk disk = {.size = sizeof(disk), .path = disk_file(), .read_only = true};

    config.disks = &disk;
    config.disk_count = 1;
    for (unsigned i = 0; i < MV_COUNT(rows); i++) {
        ask_for_lines(rows[i].lines, 2);
        expect_refused(rows[i].error, rows[i].tried, true);
        cr_expect(strstr(err.hint, rows[i].hint), "%s", err.hint);
    }
}

Test(machine, a_bare_machine_has_no_interrupt_lines)
{
    static const int lines[] = {MV_ANY_IRQ, 9};

    config.kernel = NULL;
    config.bare = true;
    for (unsigned i = 0; i < MV_COUNT(lines); i++) {
        ask_for_lines(&lines[i], 1);
        expect_refused(-EINVAL, "a bare machine has no interrupt controller", true);
    }
    ask_for_lines((const int[]){MV_NO_IRQ}, 1);
    expect_refused(-ENOENT, "/nonexistent/kvm", true); /* it got so far */
}

Test(machine, any_line_is_the_lowest_that_no_device_asks_for)
{
    static const int lines[] = {MV_ANY_IRQ, 9, MV_ANY_IRQ};
    static const int expected[] = {10, 9, 11};
    struct mv_device_desc found = {.size = sizeof(found)};
    struct mv_machine *machine;

    config.tables_only = true;
    ask_for_lines(lines, 3);
    cr_assert_eq(mv_machine_create(&config, &machine, &err), 0, "%s", err.tried);
    for (unsigned i = 0; i < MV_COUNT(lines); i++) {
        cr_expect(mv_machine_device(machine, config.devices[i].desc->name, &found));
        cr_expect_eq(found.irq, expected[i]);
    }
    cr_expect_eq(mv_machine_set_irq(machine, 4, true), -EBUSY);
    cr_expect_eq(mv_machine_set_irq(machine, 24, true), -EINVAL);
    mv_machine_destroy(machine);
}

/* ---- files ---- */

Test(machine, a_missing_kernel_is_told)
{
    config.kernel = in_folder(1, "missing");
    expect_refused(-ENOENT, "cannot open the kernel", true);
    cr_expect(strstr(err.tried, config.kernel));
    cr_expect_str_eq(err.call, "open");
}

Test(machine, a_kernel_that_is_a_folder_fifo_or_device_is_told)
{
    config.kernel = in_folder(1, "folder");
    mkdir(config.kernel, 0755);
    expect_refused(-EINVAL, "a directory", true);
    config.kernel = in_folder(1, "fifo");
    cr_assert_eq(mkfifo(config.kernel, 0644), 0);
    expect_refused(-EINVAL, "a FIFO", true);
    config.kernel = "/dev/null";
    expect_refused(-EINVAL, "a device", true);
}

Test(machine, an_empty_kernel_is_told)
{
    config.kernel = make_file(1, "empty", "", 0);
    expect_refused(-ENOEXEC, "is empty", true);
}

Test(machine, the_same_goes_for_the_initrd)
{
    config.initrd = in_folder(1, "missing");
    expect_refused(-ENOENT, "cannot open the initrd", true);
    config.initrd = make_file(1, "empty", "", 0);
    expect_refused(-ENOEXEC, "initrd", true);
    config.initrd = in_folder(1, "fifo");
    cr_assert_eq(mkfifo(config.initrd, 0644), 0);
    expect_refused(-EINVAL, "the initrd", true);
}

Test(machine, a_file_without_permission_is_told)
{
    if (geteuid() == 0)
        cr_skip("root may read everything");
    config.kernel = in_folder(0, "kernel");
    chmod(config.kernel, 0);
    expect_refused(-EACCES, "cannot open the kernel", true);
}

Test(machine, a_command_line_too_long_is_told)
{
    static char line[3000];

    memset(line, 'x', sizeof(line) - 1);
    config.append = line;
    expect_refused(-E2BIG, "command line has 2999 bytes, but this kernel takes 2047", true);
}

/* ---- KVM's device ---- */

Test(machine, a_missing_kvm_is_told_with_what_to_do)
{
    expect_refused(-ENOENT, "cannot open /nonexistent/kvm", true);
    cr_expect(strstr(err.hint, "tools/lab"));
    cr_expect_lt(strlen(err.hint), sizeof(err.hint) - 1, "the hint is not cut");
}

Test(machine, a_file_that_is_not_kvm_is_told)
{
    config.kvm_path = make_file(1, "kvm", "x", 1);
    expect_refused(-ENOTTY, "is not the KVM device", true);
    config.kvm_path = "/dev/null";
    expect_refused(-ENOTTY, "is not the KVM device", true);
    config.kvm_path = folder;
    expect_refused(-EISDIR, "cannot open", false);
}

/* As where there is none: machines of which only the tables are wanted go on without. */
Test(machine, a_file_that_is_not_kvm_is_not_kept)
{
    struct mv_timeline timeline = {.on = false};
    struct mv_kvm kvm;

    cr_expect_eq(mv_kvm_open(&kvm, "/dev/null", &timeline, &err), -ENOTTY);
    cr_expect_eq(kvm.dev, -1);
}

Test(machine, a_kvm_without_permission_is_told_with_the_group)
{
    if (geteuid() == 0)
        cr_skip("root may open everything");
    config.kvm_path = make_file(1, "kvm", "x", 1);
    chmod(config.kvm_path, 0020);
    expect_refused(-EACCES, "cannot open", true);
    cr_expect(strstr(err.hint, "usermod") || strstr(err.hint, "setfacl"));
}

/* With a kernel or without, and with no KVM. */
Test(machine, tables_alone_need_no_kvm)
{
    static const char *const tables[] = {"facp.dat", "apic.dat", "dsdt.dat", "xsdt.dat"};
    const char *kernel = config.kernel;

    config.tables_only = true;
    for (unsigned i = 0; i < 2; i++) {
        struct mv_machine *machine = NULL;
        struct mv_end end;

        config.kernel = i ? kernel : NULL;
        cr_assert_eq(mv_machine_create(&config, &machine, &err), 0, "%s", err.tried);
        cr_expect_eq(mv_machine_dump_tables(machine, in_folder(1, "tables"), &err), 0, "%s",
                     err.tried);
        for (unsigned j = 0; j < MV_COUNT(tables); j++) {
            char name[32];

            snprintf(name, sizeof(name), "tables/%s", tables[j]);
            cr_expect_eq(remove(in_folder(2, name)), 0, "%s", tables[j]);
        }
        cr_expect_eq(rmdir(path[1]), 0, "there is nothing else");
        cr_expect_lt(mv_machine_dump_tables(machine, "/nowhere/tables", &err), 0);
        cr_expect(strstr(err.tried, "/nowhere/tables"), "%s", err.tried);
        cr_expect_eq(mv_machine_run(machine, &end, &err), -EALREADY, "it does not run");
        mv_machine_destroy(machine);
    }
    config.kernel = in_folder(3, "none");
    expect_refused(-ENOENT, "cannot open the kernel", true);
}

Test(machine, a_failed_create_leaves_no_file_open)
{
    struct mv_machine *machine;
    int before = dup(0), after;

    close(before);
    for (unsigned i = 0; i < 20; i++)
        cr_assert_lt(mv_machine_create(&config, &machine, &err), 0);
    config.kernel = "/dev/null";
    for (unsigned i = 0; i < 20; i++)
        cr_assert_lt(mv_machine_create(&config, &machine, &err), 0);
    after = dup(0);
    cr_expect_eq(before, after);
    close(after);
}
