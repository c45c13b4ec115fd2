/* SPDX-License-Identifier: MIT */
/* Replaces all other files here when minivmm is built without oldpc. */
#include <errno.h>

#include "arch/x86_64/x86.h"

static int refuse_elf(struct mv_load *load, struct mv_error *err)
{
    return mv_fail(
        err, -ENOEXEC, NULL,
        "build Linux with CONFIG_PVH=y, or name its bzImage; or build minivmm with the part oldpc "
        "(-DMINIVMM_PARTS)",
        "the ELF file %s has no PVH entry note, and this minivmm was built without oldpc, "
        "which boots Multiboot kernels",
        load->files->kernel_path);
}

/* The probe of the image has already explained the error. */
static int leave(struct mv_load *load, struct mv_error *err)
{
    (void)load, (void)err;
    return MV_LOAD_NEXT;
}

static void write_nothing(struct mv_mem *mem, unsigned cpus, bool is_pc)
{
    (void)mem, (void)cpus, (void)is_pc;
}

const struct mv_x86_oldpc mv_x86_oldpc = {
    .kernels = "name a bzImage (vmlinuz) or a vmlinux with a PVH note; this minivmm was built "
               "without oldpc, which boots Multiboot kernels",
    .load_elf = refuse_elf,
    .load_flat = leave,
    .write_memory = write_nothing,
};
