/* SPDX-License-Identifier: MIT */
/*
 * ELF kernels without a PVH note, in the order in which they are recognized:
 *
 * - Those with a Multiboot header (multiboot.c).
 * - Any other executable that is not a program for an operating system: started in the mode of
 *   its ELF class, as a flat binary would be (arch/x86_64/cpu.c).
 */
#include "arch/x86_64/elf_kernel.h"

#include <errno.h>

#include "core/util.h"
#include "oldpc.h"

static int no_way_in(const struct mv_load *load, const char *why, struct mv_error *err)
{
    return mv_fail(err, -ENOEXEC, NULL,
                   "build Linux with CONFIG_PVH=y, or name the bzImage of the same kernel",
                   "the ELF file %s has no PVH entry note, %s", load->files->kernel_path, why);
}

/* Whether it is a program for an operating system, or Linux itself: returns 1, 0 or -errno. */
static int is_of_system(const struct mv_load *load, const struct mv_elf *elf, struct mv_error *err)
{
    int found;

    for (unsigned i = 0; i < elf->count; i++)
        if (elf->segments[i].p_type == PT_INTERP || elf->segments[i].p_type == PT_DYNAMIC)
            return 1;
    found = mv_elf_find_note(load, elf, "GNU", NT_GNU_ABI_TAG, NULL, err);
    return found ? found : mv_elf_find_note(load, elf, "Linux", MV_ELF_ANY_TYPE, NULL, err);
}

/* The ELF entry is a virtual address: finds the physical one, where it is loaded. */
static bool find_entry(const struct mv_elf *elf, uint64_t *ret_entry)
{
    for (unsigned i = 0; i < elf->count; i++) {
        const Elf64_Phdr *segment = &elf->segments[i];

        if (segment->p_type == PT_LOAD && elf->entry >= segment->p_vaddr &&
            elf->entry - segment->p_vaddr < segment->p_memsz) {
            *ret_entry = segment->p_paddr + (elf->entry - segment->p_vaddr);
            return true;
        }
    }
    return false;
}

static int finish_executable(struct mv_load *load, const struct mv_elf *elf, uint64_t entry,
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

static int load_elf(struct mv_load *load, const struct mv_multiboot *multiboot,
                    struct mv_error *err)
{
    struct mv_elf elf = {0};
    uint64_t entry = 0;
    mv_gpa end = 0;
    int error = mv_elf_read(load, &elf, err);

    if (!error && !multiboot)
        error = is_of_system(load, &elf, err);
    if (error > 0)
        return no_way_in(load, "it is not a kernel, or one without PVH", err);
    if (!error)
        error = mv_elf_put(load, &elf, multiboot ? MV_MULTIBOOT_LOW : MV_ELF_LOW, &end, err);
    if (error)
        return error;
    if (find_entry(&elf, &entry))
        return multiboot ? mv_multiboot_finish(load, multiboot, end, entry, err)
                         : finish_executable(load, &elf, entry, err);
    /* Some kernels give the physical address as the entry, since they start without paging.  So
     * does Linux without PVH, but it needs more than a plain executable gets. */
    if (multiboot && mv_elf_is_loaded(&elf, elf.entry))
        return mv_multiboot_finish(load, multiboot, end, elf.entry, err);
    return no_way_in(load, "and its entry is in none of its segments", err);
}

int mv_oldpc_load_elf(struct mv_load *load, struct mv_error *err)
{
    struct mv_multiboot header;
    int error = mv_multiboot_load(load, err); /* addresses in its header override those of ELF */

    if (error != MV_LOAD_NEXT)
        return error;
    return load_elf(load, mv_multiboot_find(load, &header) ? &header : NULL, err);
}
