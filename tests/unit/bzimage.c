/* SPDX-License-Identifier: MIT */
/* The bzImage loader, against the Linux/x86 boot protocol (boot.rst), on made and
 * mutilated images. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bootrig.h"

static struct setup_header *header;

static void start_with(uint64_t memory)
{
    rig_start(memory);
    image_bzimage(&image);
    header = image_header(&image);
}

static void start(void)
{
    start_with(64 * MV_MIB);
}

TestSuite(bzimage, .init = start, .fini = rig_stop);

static const struct boot_params *params(void)
{
    const struct boot_params *at = mv_mem_host(&rig.mem, 0x7000, sizeof(*at));

    cr_assert_not_null(at);
    return at;
}

static void expect_loaded(void)
{
    int error = rig_load();

    cr_assert_eq(error, 0, "%d: %s", error, rig.err.tried);
}

/* ---- good images ---- */

Test(bzimage, a_64_bit_kernel_is_entered_0x200_behind_its_address)
{
    expect_loaded();
    cr_expect_eq(rig.load.entry.mode, MV_ENTRY_LINUX64);
    cr_expect_eq(rig.load.entry.pc, IMAGE_ADDRESS + 0x200);
    cr_expect_eq(rig.load.entry.data, 0x7000);
    rig_expect_code(IMAGE_ADDRESS, BZIMAGE_CODE);
}

Test(bzimage, a_32_bit_kernel_is_entered_at_its_address)
{
    header->xloadflags = 0;
    expect_loaded();
    cr_expect_eq(rig.load.entry.mode, MV_ENTRY_LINUX32);
    cr_expect_eq(rig.load.entry.pc, IMAGE_ADDRESS);
    cr_expect_eq(rig.load.entry.data, 0x7000);
}

Test(bzimage, xloadflags_of_versions_before_2_12_do_not_count)
{
    header->version = 0x20b;
    expect_loaded();
    cr_expect_eq(rig.load.entry.mode, MV_ENTRY_LINUX32);
}

Test(bzimage, before_2_10_the_address_is_1_mib_and_what_is_in_its_place_does_not_count)
{
    header->version = 0x209;
    header->pref_address = 0;
    header->init_size = UINT32_MAX;
    expect_loaded();
    cr_expect_eq(rig.load.entry.pc, 0x100000);
    rig_expect_code(0x100000, BZIMAGE_CODE);
}

Test(bzimage, every_version_from_2_00_on_loads)
{
    for (uint16_t version = 0x200; version <= 0x20f; version++) {
        header->version = version;
        expect_loaded();
    }
    header->version = 0x2ff;
    expect_loaded();
}

Test(bzimage, setup_sects_of_0_means_4)
{
    header->setup_sects = 0;
    memmove(image.bytes + 5 * 512, image.bytes + BZIMAGE_PAYLOAD, BZIMAGE_CODE);
    image.size = 5 * 512 + BZIMAGE_CODE;
    expect_loaded();
    rig_expect_code(IMAGE_ADDRESS, BZIMAGE_CODE);
}

Test(bzimage, what_follows_syssize_is_not_loaded)
{
    const uint8_t *behind;

    memset(image.bytes + image.size, 0xee, 4096); /* a signature */
    image.size += 4096;
    expect_loaded();
    behind = mv_mem_host(&rig.mem, IMAGE_ADDRESS + BZIMAGE_CODE, 4096);
    for (unsigned i = 0; i < 4096; i++)
        cr_assert_eq(behind[i], 0);
}

Test(bzimage, up_to_15_bytes_may_lack_at_the_end)
{
    image.size -= 15;
    expect_loaded();
    rig_expect_code(IMAGE_ADDRESS, BZIMAGE_CODE - 15);
}

/* ---- boot_params ---- */

Test(bzimage, boot_params_say_who_loads_and_where_things_are)
{
    rig.files.append = "console=ttyS0 quiet";
    expect_loaded();
    cr_expect_eq(params()->hdr.type_of_loader, 0xff);
    cr_expect_eq(params()->hdr.loadflags & (LOADED_HIGH | CAN_USE_HEAP),
                 LOADED_HIGH | CAN_USE_HEAP);
    cr_expect_eq(params()->hdr.cmd_line_ptr, 0x20000);
    cr_expect_eq(params()->hdr.code32_start, IMAGE_ADDRESS);
    cr_expect_eq(params()->hdr.setup_data, 0);
    cr_expect_eq(params()->acpi_rsdp_addr, 0xe0000);
    cr_expect_eq(params()->hdr.ramdisk_size, 0);
    cr_expect_eq(params()->hdr.boot_flag, 0xaa55);
    cr_expect_eq(params()->hdr.version, 0x20f);
    cr_expect_eq(params()->hdr.kernel_alignment, 0x200000);
    cr_expect_str_eq(mv_mem_host(&rig.mem, 0x20000, 100), "console=ttyS0 quiet");
}

Test(bzimage, boot_params_take_nothing_from_the_file_beyond_the_header)
{
    memset(image.bytes + 0x268, 0xee, 0x600);
    memset(image.bytes, 0xee, 0x1f1);
    expect_loaded();
    for (unsigned at = 0x268; at < 0x290; at++)
        cr_expect_eq(((const uint8_t *)params())[at], 0, "byte %#x", at);
    for (unsigned at = 0; at < 0x70; at++)
        cr_expect_eq(((const uint8_t *)params())[at], 0, "byte %#x", at);
    cr_expect_eq(params()->sentinel, 0);
}

Test(bzimage, fields_beyond_a_short_header_count_as_zero)
{
    /* boot.rst, "jump": the header ends at 0x202 + the byte at 0x201 */
    header->version = 0x205;
    image.bytes[0x201] = 0x2e; /* the header ends at 0x230: before kernel_alignment */
    header->kernel_alignment = 0xeeeeeeee;
    expect_loaded();
    cr_expect_eq(params()->hdr.kernel_alignment, 0);
}

Test(bzimage, without_an_initrd_the_file_cannot_name_one)
{
    header->ramdisk_image = 0x1234000;
    header->ramdisk_size = 0x1000;
    expect_loaded();
    cr_expect_eq(params()->hdr.ramdisk_image, 0);
    cr_expect_eq(params()->hdr.ramdisk_size, 0);
}

static void expect_e820(unsigned at, uint64_t base, uint64_t size, uint32_t type)
{
    const struct boot_e820_entry *entry = &params()->e820_table[at];

    cr_expect(entry->addr == base && entry->size == size && entry->type == type, "entry %u", at);
}

Test(bzimage, the_memory_map_is_in_boot_params)
{
    expect_loaded();
    cr_assert_eq(params()->e820_entries, 4);
    expect_e820(0, 0, 0x9fc00, 1);
    expect_e820(1, 0x9fc00, 0x400, 2);
    expect_e820(2, 0xe0000, 0x20000, 2);
    expect_e820(3, 0x100000, 63 * MV_MIB, 1);
}

Test(bzimage, memory_above_4_gib_is_in_the_map)
{
    start_with(5 * MV_GIB);
    expect_loaded();
    cr_assert_eq(params()->e820_entries, 5);
    expect_e820(3, 0x100000, 3 * MV_GIB - MV_MIB, 1);
    expect_e820(4, 4 * MV_GIB, 2 * MV_GIB, 1);
}

/* ---- the command line ---- */

static void expect_cmdline_limit(unsigned limit)
{
    char *line = malloc(limit + 2);

    memset(line, 'x', limit + 1);
    line[limit] = 0;
    rig.files.append = line;
    expect_loaded();
    cr_expect_str_eq(mv_mem_host(&rig.mem, MV_CMDLINE_GPA, limit + 1), line);
    line[limit] = 'x';
    line[limit + 1] = 0;
    rig_expect_refused(rig_load(), -E2BIG, "command line");
    free(line);
}

Test(bzimage, the_command_line_may_be_as_long_as_cmdline_size_to_the_byte)
{
    static const unsigned limits[] = {2047, 1, 4095, 65535};

    for (unsigned i = 0; i < MV_COUNT(limits); i++) {
        header->cmdline_size = limits[i];
        expect_cmdline_limit(limits[i]);
    }
}

Test(bzimage, before_2_06_the_command_line_has_255_bytes_at_most)
{
    header->version = 0x205;
    header->cmdline_size = UINT32_MAX;
    expect_cmdline_limit(255);
}

Test(bzimage, a_cmdline_size_of_0_takes_the_empty_line_only)
{
    header->cmdline_size = 0;
    expect_loaded();
    rig.files.append = "x";
    rig_expect_refused(rig_load(), -E2BIG, "command line");
}

/* ---- the initrd ---- */

static uint64_t initrd_at(void)
{
    uint64_t gpa = params()->hdr.ramdisk_image | (uint64_t)params()->ext_ramdisk_image << 32;
    uint64_t size = params()->hdr.ramdisk_size | (uint64_t)params()->ext_ramdisk_size << 32;
    const uint8_t *host = mv_mem_host(&rig.mem, gpa, size);

    cr_assert_eq(size, rig.files.initrd_size);
    cr_assert_not_null(host);
    cr_expect_eq(host[0], 'F');
    cr_expect_eq(host[size - 1], 'L');
    return gpa;
}

Test(bzimage, the_initrd_lies_at_the_top_of_memory_on_a_page)
{
    static const uint64_t sizes[] = {2, 4095, 4096, 4097, 65536, 1000000, 8 * MV_MIB};

    for (unsigned i = 0; i < MV_COUNT(sizes); i++) {
        rig_initrd(sizes[i]);
        expect_loaded();
        cr_expect_eq(initrd_at(), mv_align_down(64 * MV_MIB - sizes[i], 4096));
    }
}

Test(bzimage, the_initrd_stays_below_initrd_addr_max)
{
    header->initrd_addr_max = 48 * MV_MIB - 1;
    rig_initrd(100000);
    expect_loaded();
    cr_expect_eq(initrd_at(), mv_align_down(48 * MV_MIB - 100000, 4096));
    header->initrd_addr_max = 48 * MV_MIB + 123;
    expect_loaded();
    cr_expect_leq(initrd_at() + 100000, 48 * MV_MIB + 124);
}

Test(bzimage, before_2_03_the_initrd_stays_below_0x38000000)
{
    start_with(1 * MV_GIB);
    header->version = 0x202;
    header->initrd_addr_max = UINT32_MAX;
    rig_initrd(8192);
    expect_loaded();
    cr_expect_eq(initrd_at(), 0x38000000 - 8192);
}

Test(bzimage, the_initrd_may_fill_all_that_init_size_leaves)
{
    uint64_t room = 64 * MV_MIB - IMAGE_ADDRESS - BZIMAGE_INIT;

    rig_initrd(room);
    expect_loaded();
    cr_expect_eq(initrd_at(), IMAGE_ADDRESS + BZIMAGE_INIT);
    rig_initrd(room + 1);
    rig_expect_refused(rig_load(), -ENOMEM, "too little memory");
    cr_expect(strstr(rig.err.hint, "at least 65 MiB"), "%s", rig.err.hint);
}

Test(bzimage, an_initrd_too_large_for_the_kernels_limit_is_told)
{
    start_with(256 * MV_MIB);
    header->initrd_addr_max = 32 * MV_MIB - 1;
    header->xloadflags = XLF_KERNEL_64;
    rig_initrd(32 * MV_MIB);
    rig_expect_refused(rig_load(), -E2BIG, "initrd");
}

Test(bzimage, above_4_gib_the_initrd_goes_only_where_the_kernel_can_follow)
{
    start_with(5 * MV_GIB);
    header->initrd_addr_max = 32 * MV_MIB - 1;
    rig_initrd(100 * MV_MIB + 5);
    expect_loaded();
    cr_expect_eq(initrd_at(), mv_align_down(6 * MV_GIB - (100 * MV_MIB + 5), 4096));
    header->xloadflags = XLF_KERNEL_64;
    rig_expect_refused(rig_load(), -E2BIG, "initrd");
}

Test(bzimage, an_initrd_that_fits_below_stays_below)
{
    start_with(5 * MV_GIB);
    rig_initrd(10 * MV_MIB);
    expect_loaded();
    cr_expect_eq(initrd_at(), 2 * MV_GIB - 10 * MV_MIB);
}

Test(bzimage, an_initrd_larger_than_all_memory_is_told)
{
    rig_initrd(1 * MV_GIB);
    rig_expect_refused(rig_load(), -ENOMEM, "initrd");
}

/* ---- lies ---- */

Test(bzimage, setup_sects_beyond_the_file_is_refused)
{
    header->setup_sects = 255;
    image.size = 8192;
    rig_expect_refused(rig_load(), -ENOEXEC, "setup_sects");
    image.size = 256 * 512;
    rig_expect_refused(rig_load(), -ENOEXEC, "setup_sects");
}

Test(bzimage, a_cmdline_size_of_4_gib_is_refused)
{
    header->cmdline_size = UINT32_MAX;
    rig_expect_refused(rig_load(), -ENOEXEC, "cmdline_size");
    header->cmdline_size = 65536;
    rig_expect_refused(rig_load(), -ENOEXEC, "cmdline_size");
}

Test(bzimage, an_init_size_beyond_memory_says_how_much_is_needed)
{
    header->init_size = 100 * MV_MIB;
    rig_expect_refused(rig_load(), -ENOMEM, "needs 116 MiB, there are 64");
    cr_expect(strstr(rig.err.hint, "at least 116 MiB"), "%s", rig.err.hint);
    header->init_size = 48 * MV_MIB;
    expect_loaded();
    header->init_size++;
    rig_expect_refused(rig_load(), -ENOMEM, "needs 65 MiB");
}

Test(bzimage, an_init_size_beyond_reason_is_refused)
{
    header->init_size = UINT32_MAX;
    rig_expect_refused(rig_load(), -ENOEXEC, "init_size");
}

Test(bzimage, an_absurd_pref_address_is_refused)
{
    static const uint64_t addresses[] = {
        0, 1, 0xffff0, 0x100001, 0x100000000, UINT64_MAX, UINT64_MAX - 15, 1ull << 63, 0x1000008};

    for (unsigned i = 0; i < MV_COUNT(addresses); i++) {
        header->pref_address = addresses[i];
        rig_expect_refused(rig_load(), -ENOEXEC, "pref_address");
    }
    header->pref_address = 0xfffffff0;
    rig_expect_refused(rig_load(), -ENOMEM, "too little memory");
}

Test(bzimage, a_wrong_boot_flag_is_refused)
{
    header->boot_flag = 0x55aa;
    rig_expect_refused(rig_load(), -ENOEXEC, "boot_flag");
}

Test(bzimage, versions_before_2_00_are_refused)
{
    header->version = 0x1ff;
    rig_expect_refused(rig_load(), -ENOEXEC, "version");
    header->version = 0;
    rig_expect_refused(rig_load(), -ENOEXEC, "version");
}

Test(bzimage, a_header_that_ends_before_its_version_is_refused)
{
    for (unsigned end = 0; end < 6; end++) {
        image.bytes[0x201] = (uint8_t)end;
        rig_expect_refused(rig_load(), -ENOEXEC, "version");
    }
}

Test(bzimage, a_zimage_is_refused)
{
    header->loadflags = 0;
    rig_expect_refused(rig_load(), -ENOEXEC, "zImage");
}

Test(bzimage, more_code_announced_than_there_is_means_truncated)
{
    header->syssize = BZIMAGE_CODE / 16 + 1;
    rig_expect_refused(rig_load(), -ENOEXEC, "truncated");
    header->syssize = UINT32_MAX;
    rig_expect_refused(rig_load(), -ENOEXEC, "truncated");
}

Test(bzimage, truncated_anywhere_in_header_and_setup_it_is_refused)
{
    for (size_t size = 1; size <= BZIMAGE_PAYLOAD; size++) {
        image.size = size;
        rig_expect_refused(rig_load(), -ENOEXEC, size < 0x268 ? "truncated" : "setup_sects");
    }
    for (size_t size = BZIMAGE_PAYLOAD + 1; size <= BZIMAGE_PAYLOAD + BZIMAGE_CODE - 16;
         size += 997) {
        image.size = size;
        rig_expect_refused(rig_load(), -ENOEXEC, "truncated");
    }
}

/* The kernel file shrinks between looking at its size and reading it. */
Test(bzimage, a_file_that_shrinks_meanwhile_is_an_error)
{
    expect_loaded();
    cr_assert_eq(ftruncate(rig.files.kernel, BZIMAGE_PAYLOAD + 100), 0);
    cr_expect_lt(mv_bzimage_load(&rig.load, &rig.err), 0);
    rig_expect_good_words();
    cr_assert_eq(ftruncate(rig.files.kernel, 0x210), 0);
    cr_expect_lt(mv_bzimage_load(&rig.load, &rig.err), 0);
}

Test(bzimage, random_headers_load_or_are_explained)
{
    unsigned seed = 2, loaded = 0;

    rig_initrd(300000);
    for (unsigned i = 0; i < 5000; i++) {
        int error;

        image_bzimage(&image);
        for (unsigned changes = (unsigned)rand_r(&seed) % 4 + 1; changes; changes--)
            image.bytes[0x1f1 + rand_r(&seed) % 0x80] = (uint8_t)(rand_r(&seed) >> 8);
        error = rig_load();
        if (error) {
            cr_assert_eq(error, rig.err.code);
            rig_expect_good_words();
            rig_expect_hint();
            continue;
        }
        loaded++;
        cr_assert(rig.load.entry.pc >= MV_HIGH_RAM);
        cr_assert_geq(initrd_at(), rig.load.entry.pc);
    }
    cr_expect_gt(loaded, 100, "some are still good");
}

/* The header's words for iPXE, MEMDISK, wimboot, and for Linux of long ago. */
Test(bzimage, a_boot_loader_for_a_bios_is_refused)
{
    static const struct {
        uint16_t version;
        uint32_t code32_start;
        const char *name;
        bool refused;
    } rows[] = {
        {0x207, 0, "1.0.0+git-20190125", true},
        {0x203, 0x100000, "MEMDISK 6.04 20200816", true},
        {0x203, 0, "v2.8.0", true},
        {0x204, 0x100000, "2.6.18-8.el5", false},
        {0x203, 0x100000, NULL, false},
        {0x20c, 0x100000, "Memtest86+ v6.10", false},
    };

    for (unsigned i = 0; i < MV_COUNT(rows); i++) {
        image_bzimage(&image);
        header->version = rows[i].version;
        header->code32_start = rows[i].code32_start;
        if (rows[i].name) {
            header->kernel_version = 0x300;
            strcpy((char *)image.bytes + 0x500, rows[i].name);
        }
        if (rows[i].refused)
            rig_expect_refused(rig_load(), -ENOEXEC, "BIOS");
        else
            cr_expect_eq(rig_load(), 0, "%s: %s", rows[i].name, rig.err.tried);
    }
}
