/* SPDX-License-Identifier: MIT */
/*
 * ELF kernels, in the order in which they are recognized:
 *
 * - By the PVH note (Xen, docs/misc/pvh.pandoc; struct hvm_start_info in
 *   xen/include/public/arch-x86/hvm/start_info.h): an uncompressed vmlinux is read to where
 *   it belongs and entered in 32-bit mode, without a decompressor.
 * - By a Multiboot header (multiboot.c).
 * - Any other executable that is no program of an operating system's: entered in the mode of
 *   its class, as a flat binary would be (cpu.c).
 */
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "boot/boot.h"
#include "core/util.h"
#include "layout.h"
#include "oldpc/multiboot.h"
#include "x86.h"

#define XEN_ELFNOTE_PHYS32_ENTRY 18
#define START_INFO_MAGIC         0x336ec578u
#define PVH_CMDLINE_LIMIT        2047ull /* Linux's COMMAND_LINE_SIZE; ELF has no field for it */
#define SEGMENTS                 64      /* more than any kernel has */
#define NOTES_SIZE               (64 * 1024)
#define ANY_TYPE                 UINT32_MAX

struct start_info {
    uint32_t magic, version, flags, nr_modules;
    uint64_t modlist, cmdline, rsdp, memmap;
    uint32_t memmap_entries, reserved;
};

struct module {
    uint64_t address, size, cmdline, reserved;
};

struct memmap_entry {
    uint64_t address, size;
    uint32_t type, reserved;
};

/* All of it, as it lies at MV_START_INFO_GPA. */
struct start_page {
    struct start_info info;
    struct module initrd;
    struct memmap_entry memmap[MV_E820_ENTRIES];
};

/* A program header of either class. */
struct segment {
    uint32_t type;
    uint64_t offset, address, file_size, memory_size, align, linked; /* where it is linked to */
};

struct elf {
    bool is64;
    uint64_t entry; /* as it is linked */
    unsigned count;
    struct segment segments[SEGMENTS];
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

static struct segment segment64(const Elf64_Phdr *header)
{
    return (struct segment){header->p_type,  header->p_offset, header->p_paddr, header->p_filesz,
                            header->p_memsz, header->p_align,  header->p_vaddr};
}

static struct segment segment32(const Elf32_Phdr *header)
{
    return (struct segment){header->p_type,  header->p_offset, header->p_paddr, header->p_filesz,
                            header->p_memsz, header->p_align,  header->p_vaddr};
}

static int read_segments(const struct mv_load *load, bool is64, uint64_t offset, unsigned count,
                         struct elf *ret_elf, struct mv_error *err)
{
    uint64_t entry = is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);

    if (count == 0 || count > SEGMENTS)
        return damaged(load, "has no program headers, or far too many", err);
    for (unsigned i = 0; i < count; i++) {
        union {
            Elf64_Phdr of64;
            Elf32_Phdr of32;
        } header;
        uint64_t at;
        int error;

        if (mv_add_overflows(offset, i * entry, &at))
            return damaged(load, "has program headers beyond its end", err);
        error = read_at(load, at, &header, entry, err);
        if (error)
            return error;
        ret_elf->segments[i] = is64 ? segment64(&header.of64) : segment32(&header.of32);
    }
    ret_elf->count = count;
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

static int read_elf(const struct mv_load *load, struct elf *ret_elf, struct mv_error *err)
{
    union {
        unsigned char ident[EI_NIDENT];
        Elf64_Ehdr of64;
        Elf32_Ehdr of32;
    } header;
    bool is64;
    int error = read_at(load, 0, &header, sizeof(header.of32), err);

    if (error)
        return error;
    is64 = header.ident[EI_CLASS] == ELFCLASS64;
    if (is64)
        error = read_at(load, 0, &header, sizeof(header.of64), err);
    if (error)
        return error;
    if (header.ident[EI_DATA] != ELFDATA2LSB)
        return damaged(load, "is big-endian, for another architecture", err);
    /* e_type and e_machine lie at the same place in both classes. */
    if (header.of32.e_machine != EM_X86_64 && header.of32.e_machine != EM_386)
        return mv_fail(err, -ENOEXEC, NULL, "name a kernel for this computer's architecture",
                       "the kernel %s is for %s (ELF machine %u)", load->files->kernel_path,
                       machine_name(header.of32.e_machine), header.of32.e_machine);
    if (header.of32.e_type == ET_REL)
        return mv_fail(err, -ENOEXEC, NULL, "name the vmlinux that it is linked into",
                       "%s is an ELF object file or kernel module, not a kernel",
                       load->files->kernel_path);
    if (is64 && header.of64.e_phentsize != sizeof(Elf64_Phdr))
        return damaged(load, "has program headers of a wrong size", err);
    if (!is64 && header.of32.e_phentsize != sizeof(Elf32_Phdr))
        return damaged(load, "has program headers of a wrong size", err);
    ret_elf->is64 = is64;
    ret_elf->entry = is64 ? header.of64.e_entry : header.of32.e_entry;
    return is64
               ? read_segments(load, true, header.of64.e_phoff, header.of64.e_phnum, ret_elf, err)
               : read_segments(load, false, header.of32.e_phoff, header.of32.e_phnum, ret_elf, err);
}

/* Looks for a note of this owner and type in one PT_NOTE segment; *ret_value is what it
 * says, 4 or 8 bytes; NULL: it need only be there.  Notes are aligned to 4, or to 8 where the
 * segment is (gABI, "Note Section"; Linux uses 4 and 8). */
static bool find_note(const uint8_t *notes, uint64_t size, uint64_t align, const char *owner,
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
        if ((type != ANY_TYPE && note.n_type != type) || note.n_namesz != owner_size ||
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

/* What the notes say of the file. */
struct notes {
    bool has_pvh;
    uint64_t pvh_entry;
    bool of_system; /* it is a program of an operating system's, or Linux itself */
};

static int read_notes(const struct mv_load *load, const struct elf *elf, struct notes *ret_notes,
                      struct mv_error *err)
{
    for (unsigned i = 0; i < elf->count; i++) {
        const struct segment *segment = &elf->segments[i];
        MV_CLEANUP_FREE uint8_t *notes = NULL;
        int error;

        ret_notes->of_system |= segment->type == PT_INTERP || segment->type == PT_DYNAMIC;
        if (segment->type != PT_NOTE || segment->file_size > NOTES_SIZE)
            continue;
        notes = malloc(segment->file_size + 1);
        if (!notes)
            return mv_fail(err, -ENOMEM, NULL, NULL, "no memory for the kernel's notes");
        error = read_at(load, segment->offset, notes, segment->file_size, err);
        if (error)
            return error;
        ret_notes->has_pvh |= find_note(notes, segment->file_size, segment->align, "Xen",
                                        XEN_ELFNOTE_PHYS32_ENTRY, &ret_notes->pvh_entry);
        ret_notes->of_system |=
            find_note(notes, segment->file_size, segment->align, "GNU", NT_GNU_ABI_TAG, NULL) ||
            find_note(notes, segment->file_size, segment->align, "Linux", ANY_TYPE, NULL);
    }
    return 0;
}

/* Loads one segment; *end rises to its end.  low: see mv_layout_is_free. */
static int load_segment(struct mv_load *load, const struct segment *segment, mv_gpa low,
                        mv_gpa *end, struct mv_error *err)
{
    uint64_t segment_end, file_end;

    if (segment->memory_size == 0 && segment->file_size == 0)
        return 0;
    if (segment->file_size > segment->memory_size ||
        mv_add_overflows(segment->address, segment->memory_size, &segment_end) ||
        mv_add_overflows(segment->offset, segment->file_size, &file_end))
        return damaged(load, "has a segment with impossible sizes", err);
    if (file_end > load->files->kernel_size)
        return damaged(load, "is truncated: a segment ends beyond the file", err);
    if (!mv_layout_is_free(low, segment->address, segment_end - 1))
        return mv_fail(err, -ENOEXEC, NULL,
                       "link it at 1 MiB or above (ld -n keeps the ELF headers out of it)",
                       "the ELF kernel %s has a segment at %#llx; the machine needs the memory "
                       "below %#llx and from %#llx to %#llx",
                       load->files->kernel_path, (unsigned long long)segment->address,
                       (unsigned long long)low, MV_EBDA_GPA, MV_HEADERS_GPA);
    if (!mv_mem_host(load->mem, segment->address, segment->memory_size))
        return mv_boot_no_room(load, "this kernel", segment_end, err);
    *end = mv_max(*end, segment_end);
    load->over_reset_vector |= mv_layout_has_reset_vector(segment->address, segment_end - 1);
    /* what is beyond file_size is zero already */
    return mv_boot_put_kernel(load, segment->address, segment->offset, segment->file_size, err);
}

static void write_start_info(struct mv_load *load, mv_gpa initrd)
{
    struct start_page *page = mv_mem_host(load->mem, MV_START_INFO_GPA, sizeof(*page));
    struct mv_e820_entry entries[MV_E820_ENTRIES];
    unsigned count = mv_e820_fill(load->mem, entries);
    bool has_initrd = load->files->initrd >= 0;

    page->info = (struct start_info){
        .magic = START_INFO_MAGIC,
        .version = 1,
        .nr_modules = has_initrd,
        .modlist = has_initrd ? MV_START_INFO_GPA + offsetof(struct start_page, initrd) : 0,
        .cmdline = MV_CMDLINE_GPA,
        .rsdp = load->acpi_rsdp,
        .memmap = MV_START_INFO_GPA + offsetof(struct start_page, memmap),
        .memmap_entries = count,
    };
    if (has_initrd)
        page->initrd = (struct module){.address = initrd, .size = load->files->initrd_size};
    for (unsigned i = 0; i < count; i++)
        page->memmap[i] = (struct memmap_entry){
            .address = entries[i].base, .size = entries[i].size, .type = entries[i].type};
}

static int no_way_in(const struct mv_load *load, const char *why, struct mv_error *err)
{
    return mv_fail(err, -ENOEXEC, NULL,
                   "build Linux with CONFIG_PVH=y, or name the bzImage of the same kernel",
                   "the ELF file %s has no PVH entry note, %s", load->files->kernel_path, why);
}

/* Is there something of the kernel's at this address of the machine's? */
static bool is_loaded(const struct elf *elf, uint64_t entry)
{
    for (unsigned i = 0; i < elf->count; i++)
        if (elf->segments[i].type == PT_LOAD && entry >= elf->segments[i].address &&
            entry - elf->segments[i].address < elf->segments[i].memory_size)
            return true;
    return false;
}

static int finish_pvh(struct mv_load *load, const struct elf *elf, mv_gpa end, uint64_t entry,
                      struct mv_error *err)
{
    mv_gpa initrd = 0;
    int error;

    if (!is_loaded(elf, entry) || entry > UINT32_MAX)
        return damaged(load, "has a PVH entry outside of its segments", err);
    error = mv_boot_put_cmdline(load, MV_CMDLINE_GPA, PVH_CMDLINE_LIMIT, err);
    if (!error)
        error = mv_boot_put_initrd(load, end, MV_ABOVE_4G, false, &initrd, err);
    if (error)
        return error;
    write_start_info(load, initrd);
    load->entry = (struct mv_entry){.mode = MV_ENTRY_PVH, .pc = entry, .data = MV_START_INFO_GPA};
    return 0;
}

/* The entry is where it is linked to, which need not be where it is loaded. */
static bool find_entry(const struct elf *elf, uint64_t *ret_entry)
{
    for (unsigned i = 0; i < elf->count; i++) {
        const struct segment *segment = &elf->segments[i];

        if (segment->type == PT_LOAD && elf->entry >= segment->linked &&
            elf->entry - segment->linked < segment->memory_size) {
            *ret_entry = segment->address + (elf->entry - segment->linked);
            return true;
        }
    }
    return false;
}

static int finish_executable(struct mv_load *load, const struct elf *elf, uint64_t entry,
                             struct mv_error *err)
{
    const struct mv_region *low = &load->mem->regions[0];

    if (load->files->initrd >= 0)
        return mv_fail(err, -EINVAL, NULL, "leave the initrd out, or use Multiboot",
                       "an executable with neither PVH nor Multiboot cannot take an initrd");
    load->entry = (struct mv_entry){.mode = elf->is64 ? MV_ENTRY_FLAT64 : MV_ENTRY_FLAT32,
                                    .pc = entry,
                                    .stack = low->base + low->size};
    return 0;
}

/* What it is has been found out: loads it, and has it begin. */
static int load_as(struct mv_load *load, const struct elf *elf, const struct notes *notes,
                   const struct mv_multiboot *multiboot, struct mv_error *err)
{
    mv_gpa end = MV_HIGH_RAM;
    uint64_t entry = 0;
    int error = 0;

    for (unsigned i = 0; !error && i < elf->count; i++)
        if (elf->segments[i].type == PT_LOAD)
            error = load_segment(load, &elf->segments[i], multiboot ? MV_MULTIBOOT_LOW : MV_ELF_LOW,
                                 &end, err);
    if (error)
        return error;
    if (notes->has_pvh)
        return finish_pvh(load, elf, end, notes->pvh_entry, err);
    if (find_entry(elf, &entry))
        return multiboot ? mv_multiboot_finish(load, multiboot, end, entry, err)
                         : finish_executable(load, elf, entry, err);
    /* Some kernels name the address where it is loaded, since they are entered without paging.
     * So does Linux without PVH, which needs more than an executable gets. */
    if (multiboot && is_loaded(elf, elf->entry))
        return mv_multiboot_finish(load, multiboot, end, elf->entry, err);
    return no_way_in(load, "and its entry is in none of its segments", err);
}

int mv_elf_load(struct mv_load *load, struct mv_error *err)
{
    const struct mv_boot_files *files = load->files;
    struct elf elf = {0};
    struct notes notes = {0};
    struct mv_multiboot multiboot;
    bool has_multiboot;
    int error = read_elf(load, &elf, err);

    if (!error)
        error = read_notes(load, &elf, &notes, err);
    if (error)
        return error;
    has_multiboot =
        !notes.has_pvh && mv_multiboot_find(files->kernel, files->kernel_size, &multiboot);
    if (has_multiboot && mv_multiboot_has_addresses(&multiboot))
        return mv_multiboot_load(load, err);
    if (!notes.has_pvh && !has_multiboot && notes.of_system)
        return no_way_in(load, "it is not a kernel, or one without PVH", err);
    return load_as(load, &elf, &notes, has_multiboot ? &multiboot : NULL, err);
}
