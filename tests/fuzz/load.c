/* SPDX-License-Identifier: MIT */
/* Loads an image into plain memory: see load.h. */
#include "load.h"
#include "x86.h"

#include <asm/bootparam.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "layout.h"
#include "oldpc/oldpc.h"

static const uint64_t memories[] = {16 * MV_MIB, 64 * MV_MIB, 3 * MV_GIB, 5 * MV_GIB};
static const uint64_t initrds[] = {0, 1, 100000, 15 * MV_MIB + MV_MIB / 2, 40 * MV_MIB};

static void require(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "not true: %s\n", what);
    abort();
}

/* One memfd for all runs: making one costs more than a load. */
static int kernel_file(const uint8_t *data, size_t size)
{
    static int fd = -1;

    if (fd < 0)
        fd = memfd_create("kernel", MFD_CLOEXEC);
    require(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size, "a memfd works");
    return fd;
}

/* Sparse; one for each size. */
static int initrd_file(unsigned which)
{
    static int fds[MV_COUNT(initrds)];

    if (!initrds[which])
        return -1;
    if (!fds[which]) {
        fds[which] = memfd_create("initrd", MFD_CLOEXEC);
        require(ftruncate(fds[which], (off_t)initrds[which]) == 0, "a memfd works");
    }
    return fds[which];
}

static const char *append_line(unsigned length)
{
    static char line[256 * 16 + 1];

    memset(line, 'x', length);
    line[length] = 0;
    return line;
}

static void check_linux(const struct mv_load *load)
{
    const struct boot_params *params = mv_mem_host(load->mem, load->entry.data, sizeof(*params));
    uint64_t initrd, size;

    require(params, "boot_params are in memory");
    require(load->entry.pc >= MV_HIGH_RAM, "the entry is not below 1 MiB");
    require(params->hdr.cmdline_size >= strlen(load->files->append) || params->hdr.version < 0x206,
            "the command line is not too long");
    initrd = params->hdr.ramdisk_image | (uint64_t)params->ext_ramdisk_image << 32;
    size = params->hdr.ramdisk_size | (uint64_t)params->ext_ramdisk_size << 32;
    require(size == (load->files->initrd >= 0 ? load->files->initrd_size : 0), "the initrd's size");
    require(!size || mv_mem_host(load->mem, initrd, size), "the initrd is in memory");
    require(!size || initrd > load->entry.pc, "the initrd is above the kernel");
    require(params->e820_entries >= 4, "there is a memory map");
}

static void check_arm64(const struct mv_load *load)
{
    require(mv_mem_host(load->mem, load->entry.pc, 64), "the kernel is in memory");
    require(load->entry.data > load->entry.pc, "the device tree is behind it");
    require(mv_mem_host(load->mem, load->entry.data, FUZZ_TABLES), "there is room for the tree");
    if (load->files->initrd < 0)
        return;
    require(mv_mem_host(load->mem, load->initrd, load->files->initrd_size),
            "the initrd is in memory");
    require(load->initrd >= load->entry.data + FUZZ_TABLES, "the initrd is behind the tree");
}

/* The information that Multiboot gives, by its words: see multiboot.c. */
static void check_multiboot(const struct mv_load *load)
{
    const uint32_t *words = mv_mem_host(load->mem, load->entry.data, 64);
    const uint32_t *module = words ? mv_mem_host(load->mem, words[6], 8) : NULL;
    const char *line =
        mv_mem_host(load->mem, MV_MULTIBOOT_LINE, MV_MULTIBOOT_NAME - MV_MULTIBOOT_LINE);

    require(words && load->entry.data == MV_START_INFO_GPA && module, "the information is there");
    require(mv_mem_host(load->mem, load->entry.pc, 1) &&
                mv_layout_is_free(MV_MULTIBOOT_LOW, load->entry.pc, load->entry.pc),
            "the entry is in memory that a kernel may have");
    require(words[5] == (load->files->initrd >= 0), "the initrd is a module");
    require(!words[5] || module[0] >= MV_HIGH_RAM, "the initrd is not below 1 MiB");
    require(!words[5] || (module[1] - module[0] == load->files->initrd_size &&
                          mv_mem_host(load->mem, module[0], load->files->initrd_size)),
            "the initrd is in memory");
    require(words[4] == MV_MULTIBOOT_LINE && mv_mem_host(load->mem, words[12], words[11]),
            "command line and memory map");
    require(strncmp(line, "kernel", 6) == 0 &&
                strcmp(line + 6 + (line[6] == ' '), load->files->raw_append) == 0,
            "the command line is there");
}

static void check_executable(const struct mv_load *load)
{
    require(mv_mem_host(load->mem, load->entry.pc, 1) &&
                mv_layout_is_free(MV_ELF_LOW, load->entry.pc, load->entry.pc),
            "the entry is in memory that a kernel may have");
    require(mv_mem_host(load->mem, load->entry.stack - 1, 1), "there is a stack");
    require(load->files->initrd < 0, "nobody could tell of an initrd");
}

static void check_loaded(const struct mv_load *load)
{
    const char *line = mv_mem_host(load->mem, MV_CMDLINE_GPA, MV_CMDLINE_SIZE);

    if (load->entry.mode == MV_ENTRY_ARM64) {
        check_arm64(load);
        return;
    }
    if (load->is_pc) {
        check_multiboot(load);
        return;
    }
    if (load->entry.mode == MV_ENTRY_FLAT32 || load->entry.mode == MV_ENTRY_FLAT64) {
        check_executable(load);
        return;
    }
    require(load->entry.mode != MV_ENTRY_PVH ||
                (mv_mem_host(load->mem, load->entry.pc, 1) &&
                 mv_layout_is_free(MV_ELF_LOW, load->entry.pc, load->entry.pc)),
            "the entry is in memory that a kernel may have");
    require(strcmp(line, load->files->append) == 0, "the command line is there");
    if (load->entry.mode == MV_ENTRY_PVH)
        require(load->entry.data == MV_START_INFO_GPA, "start info");
    else
        check_linux(load);
}

static void check_refused(int error, const struct mv_error *err)
{
    require(err->code == error, "the code is the result");
    require(err->tried[0] && !memchr(err->tried, '\n', sizeof(err->tried)), "it is explained");
}

void fuzz_load(const uint8_t *data, size_t size,
               int (*loader)(struct mv_load *load, struct mv_error *err))
{
    struct mv_region regions[MV_MEM_REGIONS];
    struct mv_mem mem;
    struct mv_boot_files files = {.kernel_path = "kernel", .initrd_path = "initrd"};
    struct mv_load load = {.mem = &mem, .files = &files};
    struct mv_error err = {0};
    unsigned count;
    int error;

    if (size < KNOBS)
        return;
    count = mv_arch_memory_map(memories[data[KNOB_MEMORY] % MV_COUNT(memories)], regions);
    require(mv_mem_init(&mem, regions, count) == 0, "memory can be mapped");
    files.initrd = initrd_file(data[KNOB_INITRD] % MV_COUNT(initrds));
    files.initrd_size = initrds[data[KNOB_INITRD] % MV_COUNT(initrds)];
    files.append = append_line(data[KNOB_APPEND] * 16u);
    files.raw_append = files.append + strlen(files.append) / 2;
    files.kernel_size = size - KNOBS;
    files.kernel = kernel_file(data + KNOBS, size - KNOBS);
    error = loader(&load, &err);
    if (error == 0)
        check_loaded(&load);
    else if (error != MV_LOAD_NEXT)
        check_refused(error, &err);
    mv_mem_done(&mem);
}
