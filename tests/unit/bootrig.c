/* SPDX-License-Identifier: MIT */
/* The loaders' surroundings: see bootrig.h. */
#include "bootrig.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct rig rig;
struct image image;

void rig_start(uint64_t memory)
{
    struct mv_region regions[MV_MEM_REGIONS];
    unsigned count = mv_arch_memory_map(memory, regions);

    if (rig.mem.mapping)
        rig_stop(); /* the suite's; this test wants another size */
    cr_assert_eq(mv_mem_init(&rig.mem, regions, count), 0);
    rig.files = (struct mv_boot_files){
        .kernel_path = "kernel",
        .kernel = memfd_create("kernel", MFD_CLOEXEC),
        .initrd_path = "initrd",
        .initrd = -1,
        .append = "",
        .raw_append = "",
    };
    cr_assert_geq(rig.files.kernel, 0);
    rig.load = (struct mv_load){.mem = &rig.mem, .files = &rig.files};
}

void rig_stop(void)
{
    mv_mem_done(&rig.mem);
    mv_close_fd(&rig.files.kernel);
    mv_close_fd(&rig.files.initrd);
}

void rig_initrd(uint64_t size)
{
    mv_close_fd(&rig.files.initrd);
    rig.files.initrd = memfd_create("initrd", MFD_CLOEXEC);
    rig.files.initrd_size = size;
    cr_assert_eq(ftruncate(rig.files.initrd, (off_t)size), 0);
    cr_assert_eq(pwrite(rig.files.initrd, "F", 1, 0), 1);
    cr_assert_eq(pwrite(rig.files.initrd, "L", 1, (off_t)size - 1), 1);
}

int rig_load(void)
{
    cr_assert_eq(ftruncate(rig.files.kernel, 0), 0);
    cr_assert_eq(pwrite(rig.files.kernel, image.bytes, image.size, 0), (ssize_t)image.size);
    rig.files.kernel_size = image.size;
    memset(&rig.err, 0, sizeof(rig.err));
    return mv_x86_load_kernel(&rig.load, &rig.err);
}

void rig_expect_good_words(void)
{
    size_t length = strlen(rig.err.tried);

    cr_expect_gt(length, 0);
    cr_expect_null(strchr(rig.err.tried, '\n'));
    cr_expect_neq(length ? rig.err.tried[length - 1] : '.', '.', "a full stop");
}

void rig_expect_hint(void)
{
    cr_expect_neq(rig.err.hint[0], 0, "\"%s\" has no hint", rig.err.tried);
}

void rig_expect_refused(int error, int code, const char *words)
{
    cr_expect_eq(error, code, "%d instead of %d: %s", error, code, rig.err.tried);
    cr_expect_eq(rig.err.code, code);
    cr_expect(strstr(rig.err.tried, words), "\"%s\" has no \"%s\"", rig.err.tried, words);
    rig_expect_good_words();
    rig_expect_hint();
}

void rig_expect_code(mv_gpa gpa, size_t size)
{
    const uint8_t *host = mv_mem_host(&rig.mem, gpa, size);

    cr_assert_not_null(host);
    for (size_t i = 0; i < size; i++)
        cr_assert_eq(host[i], image_pattern(i), "byte %zu", i);
}
