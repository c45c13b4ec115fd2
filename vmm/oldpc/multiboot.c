/* SPDX-License-Identifier: MIT */
/*
 * Multiboot 1 (GNU Multiboot Specification 0.6.96), the format of most hobby kernels: an ELF file,
 * or a flat binary with its load addresses, with a header in its first 8 KiB.  The kernel starts
 * in 32-bit mode with an information structure: the memory size and map, the command line, and
 * one module, the initrd.  As in QEMU and GRUB Legacy, but not GRUB 2, the first word of the
 * command line is the kernel's path, and the module's string is the initrd's path.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/util.h"
#include "oldpc.h"

#define SEARCHED     8192 /* 3.1.1 */
#define HEADER_MAGIC 0x1badb002u
#define LOADER_MAGIC 0x2badb002u /* 3.2 */

/* 3.1.2 and 3.1.3 */
enum {
    HAS_ADDRESSES = 1 << 16,
    MUST_UNDERSTAND = 0xfff8, /* bits 3 to 15: required features, none defined */
};

/* 3.3: flags of the information structure */
enum {
    INFO_MEMORY = 1 << 0,
    INFO_CMDLINE = 1 << 2,
    INFO_MODULES = 1 << 3,
    INFO_MMAP = 1 << 6,
    INFO_LOADER = 1 << 9,
};

struct info {
    uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4],
        mmap_length, mmap_addr, drives_length, drives_addr, config_table, boot_loader_name;
};

struct module {
    uint32_t start, end, string, reserved;
};

struct mmap_entry {
    uint32_t size; /* of the following members */
    uint64_t base, length;
    uint32_t type;
} __attribute__((packed));

/* The layout at MV_START_INFO_GPA. */
struct info_page {
    struct info info;
    struct module initrd;
    struct mmap_entry memmap[MV_E820_ENTRIES];
    char loader[16];
};

bool mv_multiboot_find(const struct mv_load *load, struct mv_multiboot *ret_header)
{
    uint8_t head[SEARCHED] = {0};
    size_t have = (size_t)mv_min(load->files->kernel_size, sizeof(head));

    if (mv_read_at(load->files->kernel, 0, head, have) < 0)
        return false;
    for (size_t at = 0; at + sizeof(ret_header->words) <= have; at += 4) {
        uint32_t words[MV_MULTIBOOT_WORDS];

        memcpy(words, head + at, sizeof(words));
        if (words[0] == HEADER_MAGIC && words[0] + words[1] + words[2] == 0) {
            memcpy(ret_header->words, words, sizeof(words));
            ret_header->offset = at;
            return true;
        }
    }
    return false;
}

/* Loads the kernel by the addresses in its header: 3.1.3. */
static int load_flat(struct mv_load *load, const struct mv_multiboot *header, mv_gpa *ret_end,
                     uint64_t *ret_entry, struct mv_error *err)
{
    uint64_t header_at = header->words[3], start = header->words[4], load_end = header->words[5];
    uint64_t bss_end = header->words[6], size = load->files->kernel_size, offset, bytes, end;
    int error;

    if (header_at < start || header->offset < header_at - start || (load_end && load_end < start) ||
        (bss_end && bss_end < load_end))
        return mv_fail(err, -ENOEXEC, NULL, "are header_addr, load_addr and their ends right?",
                       "the Multiboot kernel %s has impossible addresses in its header",
                       load->files->kernel_path);
    offset = header->offset - (header_at - start);
    bytes = load_end ? load_end - start : size - offset;
    if (bytes > size - offset)
        return mv_boot_truncated(load->files, err);
    end = mv_max(start + bytes, bss_end);
    if (!mv_layout_is_free(MV_MULTIBOOT_LOW, start, end - 1))
        return mv_fail(err, -ENOEXEC, NULL, "link it at 1 MiB or above",
                       "the Multiboot kernel %s is linked at %#llx; the machine needs the memory "
                       "below %#llx and from %#llx to %#llx",
                       load->files->kernel_path, (unsigned long long)start, MV_MULTIBOOT_LOW,
                       MV_EBDA_GPA, MV_HEADERS_GPA);
    if (header->words[7] < start || header->words[7] >= end)
        return mv_fail(err, -ENOEXEC, NULL, "is the entry in the header right?",
                       "the Multiboot kernel %s has its entry point at %#x, where it has no code",
                       load->files->kernel_path, header->words[7]);
    if (!mv_mem_host(load->mem, start, end - start))
        return mv_boot_no_room(load, "this kernel", end, err);
    error = mv_boot_put_kernel(load, start, offset, bytes, err);
    if (error)
        return error;
    load->over_reset_vector |= mv_layout_has_reset_vector(start, end - 1);
    *ret_end = mv_max(end, MV_HIGH_RAM); /* the initrd must be above */
    *ret_entry = header->words[7];
    return 0;
}

static void write_info(struct mv_load *load, mv_gpa initrd)
{
    struct info_page *page = mv_mem_host(load->mem, MV_START_INFO_GPA, sizeof(*page));
    struct mv_e820_entry entries[MV_E820_ENTRIES];
    unsigned count = mv_e820_fill(load->mem, entries);
    const struct mv_region *low = &load->mem->regions[0];

    *page = (struct info_page){
        .info = {.flags = INFO_MEMORY | INFO_CMDLINE | INFO_MODULES | INFO_MMAP | INFO_LOADER,
                 .mem_lower = MV_EBDA_GPA / MV_KIB,
                 .mem_upper = (uint32_t)((low->size - MV_HIGH_RAM) / MV_KIB),
                 .cmdline = MV_MULTIBOOT_LINE,
                 .mods_count = initrd != 0,
                 .mods_addr = MV_START_INFO_GPA + offsetof(struct info_page, initrd),
                 .mmap_length = count * (uint32_t)sizeof(struct mmap_entry),
                 .mmap_addr = MV_START_INFO_GPA + offsetof(struct info_page, memmap),
                 .boot_loader_name = MV_START_INFO_GPA + offsetof(struct info_page, loader)},
        .initrd = {.start = (uint32_t)initrd,
                   .end = (uint32_t)(initrd + load->files->initrd_size),
                   .string = MV_MULTIBOOT_NAME},
        .loader = "minivmm",
    };
    for (unsigned i = 0; i < count; i++)
        page->memmap[i] = (struct mmap_entry){.size = sizeof(struct mmap_entry) - sizeof(uint32_t),
                                              .base = entries[i].base,
                                              .length = entries[i].size,
                                              .type = entries[i].type};
}

/* Writes name and words as a string at gpa, where there is room for `room` bytes. */
static int put_words(struct mv_load *load, mv_gpa gpa, uint64_t room, const char *name,
                     const char *words, struct mv_error *err)
{
    int length =
        snprintf(mv_mem_host(load->mem, gpa, room), room, "%s%s%s", name, *words ? " " : "", words);

    if (length < 0 || (uint64_t)length >= room)
        return mv_fail(err, -E2BIG, NULL, "shorten it",
                       "the command line has %d bytes with the kernel's name, but a Multiboot "
                       "kernel gets %llu at most",
                       length, (unsigned long long)room - 1);
    return 0;
}

int mv_multiboot_finish(struct mv_load *load, const struct mv_multiboot *header, mv_gpa end,
                        uint64_t entry, struct mv_error *err)
{
    mv_gpa initrd = 0;
    int error;

    if (header->words[1] & MUST_UNDERSTAND)
        return mv_fail(err, -ENOEXEC, NULL, "Multiboot 1 defines bits 0, 1, 2 and 16",
                       "the Multiboot kernel %s has unsupported flags: %#x",
                       load->files->kernel_path, header->words[1]);
    if (entry > UINT32_MAX)
        return mv_fail(err, -ENOEXEC, NULL, "link it below 4 GiB: it begins in 32-bit mode",
                       "the Multiboot kernel %s has its entry point at %#llx",
                       load->files->kernel_path, (unsigned long long)entry);
    error = put_words(load, MV_MULTIBOOT_LINE, MV_MULTIBOOT_NAME - MV_MULTIBOOT_LINE,
                      load->files->kernel_path, load->files->raw_append, err);
    if (!error && load->files->initrd >= 0)
        error = put_words(load, MV_MULTIBOOT_NAME, MV_MULTIBOOT_LOW - MV_MULTIBOOT_NAME,
                          load->files->initrd_path, "", err);
    if (!error)
        error = mv_boot_put_initrd(load, end, MV_ABOVE_4G, false, &initrd, err);
    if (error)
        return error;
    write_info(load, initrd);
    load->is_pc = true;
    load->entry = (struct mv_entry){.mode = MV_ENTRY_PVH,
                                    .pc = entry,
                                    .data = MV_START_INFO_GPA,
                                    .eax = LOADER_MAGIC,
                                    .code = MV_MULTIBOOT_CS};
    return 0;
}

int mv_multiboot_load(struct mv_load *load, struct mv_error *err)
{
    struct mv_multiboot header;
    uint64_t entry = 0;
    mv_gpa end = 0;
    int error;

    if (!mv_multiboot_find(load, &header) || !(header.words[1] & HAS_ADDRESSES))
        return MV_LOAD_NEXT;
    error = load_flat(load, &header, &end, &entry, err);
    return error ? error : mv_multiboot_finish(load, &header, end, entry, err);
}
