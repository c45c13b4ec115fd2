/* SPDX-License-Identifier: MIT */
/* What is left without the part for old PCs: vmm/oldpc/stubs.c is linked before it. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "bootrig.h"
#include "dev/dev.h"

static void start(void)
{
    rig_start(64 * MV_MIB);
}

TestSuite(oldpc_stubs, .init = start, .fini = rig_stop);

Test(oldpc_stubs, a_bzimage_and_an_elf_file_with_pvh_are_loaded)
{
    image_bzimage(&image);
    cr_expect_eq(rig_load(), 0, "%s", rig.err.tried);
    image_elf64(&image);
    cr_expect_eq(rig_load(), 0, "%s", rig.err.tried);
    cr_expect_eq(rig.load.entry.mode, MV_ENTRY_PVH);
}

/* With its header at the end of where one may be. */
static void put_multiboot(uint32_t flags)
{
    const uint32_t words[] = {
        0x1badb002, flags, -(0x1badb002 + flags), 0x100000 + 8192 - 32, 0x100000, 0, 0, 0x100040};

    memcpy(image.bytes + 8192 - sizeof(words), words, sizeof(words));
}

Test(oldpc_stubs, a_multiboot_kernel_is_refused_and_told_why)
{
    image_elf32(&image);
    memset(image.bytes + ELF_NOTE, 0, 64); /* no PVH note */
    put_multiboot(3);
    rig_expect_refused(rig_load(), -ENOEXEC, "this minivmm was built without oldpc");
    memset(image.bytes, 0, 4); /* no ELF file, either */
    put_multiboot(0x10003);
    rig_expect_refused(rig_load(), -ENOEXEC, "is not a kernel");
    cr_expect(strstr(rig.err.hint, "this minivmm was built without oldpc"), "%s", rig.err.hint);
}

Test(oldpc_stubs, a_machine_has_its_own_ways_to_reset_and_no_other_device)
{
    static const char *const names[] = {"kbd-reset", "reset-control"};
    struct mv_arch *arch;

    cr_assert_eq(mv_arch_create(1, false, &arch, &rig.err), 0);
    for (unsigned i = 0; i < MV_COUNT(names); i++) {
        cr_assert_not_null(mv_arch_late_device(arch, i));
        cr_expect_str_eq(mv_arch_late_device(arch, i)->desc.name, names[i]);
    }
    cr_expect_null(mv_arch_late_device(arch, MV_COUNT(names)));
    mv_arch_destroy(arch);
}

Test(oldpc_stubs, tables_are_there_and_nothing_else_below_them)
{
    struct mv_arch *arch;
    const uint8_t *low = mv_mem_host(&rig.mem, 0, MV_MIB);

    rig.files.kernel = -1;
    cr_assert_eq(mv_arch_create(2, false, &arch, &rig.err), 0);
    cr_assert_eq(mv_arch_load(arch, &rig.mem, &rig.files, NULL, 0, &rig.err), 0);
    cr_expect_eq(memcmp(low + MV_ACPI_GPA, "RSD PTR ", 8), 0);
    for (unsigned at = 0; at < MV_ACPI_GPA; at++)
        cr_assert_eq(low[at], 0, "%#x", at);
    mv_arch_destroy(arch);
}
