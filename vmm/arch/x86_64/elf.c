/* SPDX-License-Identifier: MIT */
/*
 * Loads ELF kernels that have the PVH note (Xen, docs/misc/pvh.pandoc; struct hvm_start_info in
 * xen/include/public/arch-x86/hvm/start_info.h): an uncompressed vmlinux is read to its physical
 * addresses and entered in 32-bit mode, without a decompressor.
 */
#include "elf_kernel.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/util.h"
#include "layout.h"
#include "x86.h"

#define XEN_ELFNOTE_PHYS32_ENTRY 18
#define START_INFO_MAGIC         0x336ec578u
#define PVH_CMDLINE_LIMIT        2047ull /* Linux's COMMAND_LINE_SIZE; ELF has no field for it */
#define NOTES_SIZE               (64 * 1024)

struct start_info {
    uint32_t magic, version, flags, nr_modules;
    uint64_t modlist, cmdline, rsdp, memmap;
    uint32_t memmap_entries, reserved;
};

struct module {
    uint64_t address, size, cmdline, reserved;
};

/* What lies at MV_START_INFO_GPA. */
struct start_page {
    struct start_info info;
    struct module initrd;
    struct mv_e820_entry memmap[MV_E820_ENTRIES];
};

static int damaged(const struct mv_load *load, const char *why, struct mv_error *err)
{
    return mv_fail(err, -ENOEXEC, NULL, "the file is damaged: get or build it again",
                   "the ELF kernel %s %s", load->files->kernel_path, why);
}

static int read_at(const struct mv_load *load, uint64_t offset, void *to, size_t size,
                   struct mv_error *err)
{
    int error = mv_read_at(load->files->kernel, offset, to, size);

    if (error == -ENODATA)
        return damaged(load, "is truncated", err);
    if (error)
        return mv_fail(err, error, "pread", NULL, "cannot read the kernel %s: %s",
                       load->files->kernel_path, strerror(-error));
    return 0;
}

static const char *machine_name(unsigned machine)
{
    switch (machine) {
    case EM_AARCH64: return "arm64";
    case EM_ARM: return "32-bit Arm";
    case EM_RISCV: return "RISC-V";
    case EM_PPC64: return "POWER";
    case EM_S390: return "s390";
    default: return "another architecture";
    }
}

static int read_segments(const struct mv_load *load, uint64_t offset, struct mv_elf *elf,
                         struct mv_error *err)
{
    Elf32_Phdr headers[MV_ELF_SEGMENTS];
    int error;

    if (elf->count == 0 || elf->count > MV_ELF_SEGMENTS)
        return damaged(load, "has no program headers, or far too many", err);
    if (elf->is64)
        return read_at(load, offset, elf->segments, elf->count * sizeof(Elf64_Phdr), err);
    error = read_at(load, offset, headers, elf->count * sizeof(Elf32_Phdr), err);
    for (unsigned i = 0; !error && i < elf->count; i++)
        elf->segments[i] = (Elf64_Phdr){.p_type = headers[i].p_type,
                                        .p_offset = headers[i].p_offset,
                                        .p_vaddr = headers[i].p_vaddr,
                                        .p_paddr = headers[i].p_paddr,
                                        .p_filesz = headers[i].p_filesz,
                                        .p_memsz = headers[i].p_memsz,
                                        .p_align = headers[i].p_align};
    return error;
}

int mv_elf_read(const struct mv_load *load, struct mv_elf *ret_elf, struct mv_error *err)
{
    union {
        Elf64_Ehdr of64;
        Elf32_Ehdr of32; /* e_ident, e_type and e_machine have the same offsets in both */
    } header;
    bool is64;
    int error = read_at(load, 0, &header, sizeof(header.of32), err);

    if (error)
        return error;
    is64 = header.of32.e_ident[EI_CLASS] == ELFCLASS64;
    if (is64)
        error = read_at(load, 0, &header, sizeof(header.of64), err);
    if (error)
        return error;
    if (header.of32.e_ident[EI_DATA] != ELFDATA2LSB)
        return damaged(load, "is big-endian, for another architecture", err);
    if (header.of32.e_machine != EM_X86_64 && header.of32.e_machine != EM_386)
        return mv_fail(err, -ENOEXEC, NULL, "name a kernel for this computer's architecture",
                       "the kernel %s is for %s (ELF machine %u)", load->files->kernel_path,
                       machine_name(header.of32.e_machine), header.of32.e_machine);
    if (header.of32.e_type == ET_REL)
        return mv_fail(err, -ENOEXEC, NULL, "name the vmlinux that it is linked into",
                       "%s is an ELF object file or kernel module, not a kernel",
                       load->files->kernel_path);
    if (is64 ? header.of64.e_phentsize != sizeof(Elf64_Phdr)
             : header.of32.e_phentsize != sizeof(Elf32_Phdr))
        return damaged(load, "has program headers of a wrong size", err);
    ret_elf->is64 = is64;
    ret_elf->entry = is64 ? header.of64.e_entry : header.of32.e_entry;
    ret_elf->count = is64 ? header.of64.e_phnum : header.of32.e_phnum;
    return read_segments(load, is64 ? header.of64.e_phoff : header.of32.e_phoff, ret_elf, err);
}

/* Like mv_elf_find_note, within one segment.  Notes are aligned to 8 if the segment is, else to 4
 * (gABI, "Note Section"; Linux uses both). */
static bool is_among(const uint8_t *notes, uint64_t size, uint64_t align, const char *owner,
                     uint32_t type, uint64_t *ret_value)
{
    size_t owner_size = strlen(owner) + 1;
    uint64_t at = 0;

    align = align == 8 ? 8 : 4;
    while (at < size && size - at >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr note; /* the same as Elf32_Nhdr */
        uint64_t name, desc;

        memcpy(&note, notes + at, sizeof(note));
        name = at + sizeof(note);
        desc = mv_align_up(name + note.n_namesz, align);
        at = mv_align_up(desc + note.n_descsz, align);
        if (desc > size || note.n_descsz > size - desc)
            return false;
        if ((type != MV_ELF_ANY_TYPE && note.n_type != type) || note.n_namesz != owner_size ||
            memcmp(notes + name, owner, owner_size) != 0)
            continue;
        if (!ret_value)
            return true;
        if (note.n_descsz != 4 && note.n_descsz != 8)
            return false;
        *ret_value = 0;
        memcpy(ret_value, notes + desc, note.n_descsz);
        return true;
    }
    return false;
}

int mv_elf_find_note(const struct mv_load *load, const struct mv_elf *elf, const char *owner,
                     uint32_t type, uint64_t *ret_value, struct mv_error *err)
{
    for (unsigned i = 0; i < elf->count; i++) {
        const Elf64_Phdr *segment = &elf->segments[i];
        MV_CLEANUP_FREE uint8_t *notes = NULL;
        int error;

        if (segment->p_type != PT_NOTE || segment->p_filesz > NOTES_SIZE)
            continue;
        notes = malloc(segment->p_filesz + 1);
        if (!notes)
            return mv_fail(err, -ENOMEM, NULL, NULL, "no memory for the kernel's notes");
        error = read_at(load, segment->p_offset, notes, segment->p_filesz, err);
        if (error)
            return error;
        if (is_among(notes, segment->p_filesz, segment->p_align, owner, type, ret_value))
            return 1;
    }
    return 0;
}

/* Loads one segment, and raises *end to its end. */
static int put_segment(struct mv_load *load, const Elf64_Phdr *segment, mv_gpa low, mv_gpa *end,
                       struct mv_error *err)
{
    uint64_t segment_end, file_end;

    if (segment->p_memsz == 0 && segment->p_filesz == 0)
        return 0;
    if (segment->p_filesz > segment->p_memsz ||
        mv_add_overflows(segment->p_paddr, segment->p_memsz, &segment_end) ||
        mv_add_overflows(segment->p_offset, segment->p_filesz, &file_end))
        return damaged(load, "has a segment with impossible sizes", err);
    if (file_end > load->files->kernel_size)
        return damaged(load, "is truncated: a segment ends beyond the file", err);
    if (!mv_layout_is_free(low, segment->p_paddr, segment_end - 1))
        return mv_fail(err, -ENOEXEC, NULL,
                       "link it at 1 MiB or above (ld -n keeps the ELF headers out of it)",
                       "the ELF kernel %s has a segment at %#llx; the machine needs the memory "
                       "below %#llx and from %#llx to %#llx",
                       load->files->kernel_path, (unsigned long long)segment->p_paddr,
                       (unsigned long long)low, MV_EBDA_GPA, MV_HEADERS_GPA);
    if (!mv_mem_host(load->mem, segment->p_paddr, segment->p_memsz))
        return mv_boot_no_room(load, "this kernel", segment_end, err);
    *end = mv_max(*end, segment_end);
    load->over_reset_vector |= mv_layout_has_reset_vector(segment->p_paddr, segment_end - 1);
    /* what follows p_filesz bytes is already zero */
    return mv_boot_put_kernel(load, segment->p_paddr, segment->p_offset, segment->p_filesz, err);
}

int mv_elf_put(struct mv_load *load, const struct mv_elf *elf, mv_gpa low, mv_gpa *ret_end,
               struct mv_error *err)
{
    int error = 0;

    *ret_end = MV_HIGH_RAM;
    for (unsigned i = 0; !error && i < elf->count; i++)
        if (elf->segments[i].p_type == PT_LOAD)
            error = put_segment(load, &elf->segments[i], low, ret_end, err);
    return error;
}

bool mv_elf_is_loaded(const struct mv_elf *elf, uint64_t address)
{
    for (unsigned i = 0; i < elf->count; i++)
        if (elf->segments[i].p_type == PT_LOAD && address >= elf->segments[i].p_paddr &&
            address - elf->segments[i].p_paddr < elf->segments[i].p_memsz)
            return true;
    return false;
}

static void write_start_info(struct mv_load *load, mv_gpa initrd)
{
    struct start_page *page = mv_mem_host(load->mem, MV_START_INFO_GPA, sizeof(*page));
    bool has_initrd = load->files->initrd >= 0;

    page->info = (struct start_info){
        .magic = START_INFO_MAGIC,
        .version = 1,
        .nr_modules = has_initrd,
        .modlist = has_initrd ? MV_START_INFO_GPA + offsetof(struct start_page, initrd) : 0,
        .cmdline = MV_CMDLINE_GPA,
        .rsdp = MV_ACPI_GPA,
        .memmap = MV_START_INFO_GPA + offsetof(struct start_page, memmap),
        .memmap_entries = mv_e820_fill(load->mem, page->memmap),
    };
    if (has_initrd)
        page->initrd = (struct module){.address = initrd, .size = load->files->initrd_size};
}

int mv_elf_load(struct mv_load *load, struct mv_error *err)
{
    struct mv_elf elf = {0};
    uint64_t entry = 0;
    mv_gpa end = 0, initrd = 0;
    int error = mv_elf_read(load, &elf, err), found = error;

    if (!error)
        found = mv_elf_find_note(load, &elf, "Xen", XEN_ELFNOTE_PHYS32_ENTRY, &entry, err);
    if (found <= 0)
        return found ? found : MV_LOAD_NEXT;
    error = mv_elf_put(load, &elf, MV_ELF_LOW, &end, err);
    if (!error && (!mv_elf_is_loaded(&elf, entry) || entry > UINT32_MAX))
        error = damaged(load, "has a PVH entry outside of its segments", err);
    if (!error)
        error = mv_boot_put_cmdline(load, MV_CMDLINE_GPA, PVH_CMDLINE_LIMIT, err);
    if (!error)
        error = mv_boot_put_initrd(load, end, MV_ABOVE_4G, false, &initrd, err);
    if (error)
        return error;
    write_start_info(load, initrd);
    load->entry = (struct mv_entry){.mode = MV_ENTRY_PVH, .pc = entry, .data = MV_START_INFO_GPA};
    return 0;
}
