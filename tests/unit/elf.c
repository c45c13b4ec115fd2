/* SPDX-License-Identifier: MIT */
/* The ELF loader (PVH), on made and mutilated images of both classes. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bootrig.h"

/* As in Xen's start_info.h, for a test on its own. */
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

static Elf64_Ehdr *header;
static Elf64_Phdr *code, *data, *notes;

static void start_with(uint64_t memory)
{
    rig_start(memory);
    image_elf64(&image);
    header = (Elf64_Ehdr *)image.bytes;
    code = (Elf64_Phdr *)(image.bytes + sizeof(*header));
    data = code + 1;
    notes = code + 2;
}

static void start(void)
{
    start_with(64 * MV_MIB);
}

TestSuite(elf, .init = start, .fini = rig_stop);

static const struct start_info *info(void)
{
    const struct start_info *at = mv_mem_host(&rig.mem, rig.load.entry.data, sizeof(*at));

    cr_assert_not_null(at);
    return at;
}

static void expect_loaded(void)
{
    int error = rig_load();

    cr_assert_eq(error, 0, "%d: %s", error, rig.err.tried);
}

static void expect_damaged(const char *words)
{
    rig_expect_refused(rig_load(), -ENOEXEC, words);
}

/* ---- good images ---- */

static void expect_all_in_place(void)
{
    const uint8_t *bss =
        mv_mem_host(&rig.mem, IMAGE_ADDRESS + ELF_CODE_SIZE, ELF_CODE_MEMORY - ELF_CODE_SIZE);

    cr_expect_eq(rig.load.entry.mode, MV_ENTRY_PVH);
    cr_expect_eq(rig.load.entry.pc, ELF_ENTRY);
    rig_expect_code(IMAGE_ADDRESS, ELF_CODE_SIZE);
    rig_expect_code(ELF_DATA_ADDRESS, ELF_DATA_SIZE);
    for (unsigned i = 0; i < ELF_CODE_MEMORY - ELF_CODE_SIZE; i++)
        cr_assert_eq(bss[i], 0, "BSS is zero");
}

Test(elf, a_64_bit_image_is_loaded_and_entered_by_its_note)
{
    expect_loaded();
    expect_all_in_place();
}

Test(elf, a_32_bit_image_is_loaded_and_entered_by_its_note)
{
    image_elf32(&image);
    expect_loaded();
    expect_all_in_place();
}

Test(elf, a_note_of_4_bytes_will_do_in_64_bit_images)
{
    Elf64_Nhdr *note =
        (Elf64_Nhdr *)(image.bytes + ELF_NOTE + notes->p_filesz - 8 - 4 - sizeof(*note));

    cr_assert_eq(note->n_type, 18);
    note->n_descsz = 4;
    notes->p_filesz -= 4;
    expect_loaded();
    cr_expect_eq(rig.load.entry.pc, ELF_ENTRY);
}

Test(elf, notes_aligned_to_8_are_read_so)
{
    uint64_t entry = ELF_ENTRY;
    Elf64_Nhdr first = {4, 5, 3}, xen = {4, 8, 18};
    uint8_t *at = image.bytes + ELF_NOTE;

    memset(at, 0, 128);
    memcpy(at, &first, 12);
    memcpy(at + 12, "GNU", 4); /* to 16; 5 bytes to 21; the next one at 24 */
    memcpy(at + 24, &xen, 12);
    memcpy(at + 36, "Xen", 4); /* to 40 */
    memcpy(at + 40, &entry, 8);
    notes->p_filesz = 48;
    notes->p_align = 8;
    expect_loaded();
    cr_expect_eq(rig.load.entry.pc, ELF_ENTRY);
}

Test(elf, the_note_may_be_in_the_second_note_segment)
{
    header->e_phnum = 4;
    code[3] = code[2];
    code[2].p_filesz = 36; /* the GNU note alone */
    expect_loaded();
    cr_expect_eq(rig.load.entry.pc, ELF_ENTRY);
}

Test(elf, empty_segments_are_skipped_wherever_they_are)
{
    header->e_phnum = 4;
    code[3] = (Elf64_Phdr){.p_type = PT_LOAD, .p_paddr = UINT64_MAX};
    expect_loaded();
}

Test(elf, other_types_of_segments_are_ignored)
{
    header->e_phnum = 4;
    code[3] = (Elf64_Phdr){
        .p_type = PT_GNU_STACK, .p_paddr = UINT64_MAX, .p_memsz = UINT64_MAX, .p_filesz = 5};
    expect_loaded();
}

Test(elf, start_info_says_where_things_are)
{
    const struct memmap_entry *map;

    rig.files.append = "quiet";
    expect_loaded();
    cr_expect_eq(rig.load.entry.data, MV_START_INFO_GPA);
    cr_expect_eq(info()->magic, 0x336ec578);
    cr_expect_eq(info()->version, 1);
    cr_expect_eq(info()->flags, 0);
    cr_expect_eq(info()->rsdp, 0xe0000);
    cr_expect_eq(info()->nr_modules, 0);
    cr_expect_eq(info()->modlist, 0);
    cr_expect_str_eq(mv_mem_host(&rig.mem, info()->cmdline, 6), "quiet");
    cr_assert_eq(info()->memmap_entries, 4);
    map = mv_mem_host(&rig.mem, info()->memmap, 4 * sizeof(*map));
    cr_assert_not_null(map);
    cr_expect(map[0].address == 0 && map[0].size == 0x9fc00 && map[0].type == 1);
    cr_expect(map[3].address == 0x100000 && map[3].size == 63 * MV_MIB && map[3].type == 1);
}

Test(elf, memory_above_4_gib_is_in_the_map)
{
    const struct memmap_entry *map;

    start_with(5 * MV_GIB);
    expect_loaded();
    cr_assert_eq(info()->memmap_entries, 5);
    map = mv_mem_host(&rig.mem, info()->memmap, 5 * sizeof(*map));
    cr_expect(map[4].address == 4 * MV_GIB && map[4].size == 2 * MV_GIB && map[4].type == 1);
}

Test(elf, the_command_line_has_2047_bytes_at_most)
{
    char line[2049];

    memset(line, 'x', 2048);
    line[2048] = 0;
    rig.files.append = line;
    rig_expect_refused(rig_load(), -E2BIG, "command line");
    line[2047] = 0;
    expect_loaded();
}

/* ---- the initrd ---- */

Test(elf, the_initrd_is_the_one_module_at_the_top_of_memory)
{
    const struct module *module;

    rig_initrd(100001);
    expect_loaded();
    cr_assert_eq(info()->nr_modules, 1);
    module = mv_mem_host(&rig.mem, info()->modlist, sizeof(*module));
    cr_assert_not_null(module);
    cr_expect_eq(module->size, 100001);
    cr_expect_eq(module->address, mv_align_down(64 * MV_MIB - 100001, 4096));
    cr_expect_eq(*(char *)mv_mem_host(&rig.mem, module->address, 1), 'F');
    cr_expect_eq(*(char *)mv_mem_host(&rig.mem, module->address + 100000, 1), 'L');
}

Test(elf, the_initrd_stays_below_4_gib)
{
    const struct module *module;

    start_with(5 * MV_GIB);
    rig_initrd(MV_MIB);
    expect_loaded();
    module = mv_mem_host(&rig.mem, info()->modlist, sizeof(*module));
    cr_expect_eq(module->address, 3 * MV_GIB - MV_MIB);
}

Test(elf, the_initrd_may_not_touch_the_kernel)
{
    uint64_t end = mv_align_up(ELF_DATA_ADDRESS + ELF_DATA_SIZE, 4096);

    rig_initrd(64 * MV_MIB - end);
    expect_loaded();
    rig_initrd(64 * MV_MIB - end + 1);
    rig_expect_refused(rig_load(), -ENOMEM, "initrd");
}

/* ---- lies ---- */

Test(elf, truncated_anywhere_it_is_refused)
{
    for (size_t size = 4; size < image.size; size += size < 0x400 ? 1 : 991) {
        image.size = size;
        expect_damaged("truncated");
        start_with(64 * MV_MIB);
    }
}

Test(elf, truncated_32_bit_images_are_refused)
{
    size_t whole;

    image_elf32(&image);
    whole = image.size;
    for (size_t size = 4; size < whole; size += size < 0x400 ? 1 : 991) {
        image.size = size;
        expect_damaged("truncated");
    }
}

Test(elf, too_few_or_too_many_program_headers_are_refused)
{
    header->e_phnum = 0;
    expect_damaged("program headers");
    header->e_phnum = 65535;
    expect_damaged("program headers");
    header->e_phnum = 65;
    expect_damaged("program headers");
}

Test(elf, program_headers_near_2_64_are_refused)
{
    static const uint64_t offsets[] = {UINT64_MAX,      UINT64_MAX - 55, UINT64_MAX - 56,
                                       UINT64_MAX - 57, 1ull << 63,      INT64_MAX,
                                       INT64_MAX - 56,  1ull << 40};

    for (unsigned i = 0; i < MV_COUNT(offsets); i++) {
        header->e_phoff = offsets[i];
        expect_damaged("the ELF kernel");
    }
}

Test(elf, program_headers_of_a_wrong_size_are_refused)
{
    static const uint16_t sizes[] = {0, 1, 32, 55, 57, 65535};

    for (unsigned i = 0; i < MV_COUNT(sizes); i++) {
        header->e_phentsize = sizes[i];
        expect_damaged("program headers of a wrong size");
    }
    image_elf32(&image);
    ((Elf32_Ehdr *)image.bytes)->e_phentsize = 56;
    expect_damaged("program headers of a wrong size");
}

Test(elf, a_segment_may_reach_the_end_of_memory_and_no_further)
{
    code->p_memsz = 64 * MV_MIB - IMAGE_ADDRESS;
    expect_loaded();
    code->p_memsz++;
    rig_expect_refused(rig_load(), -ENOMEM, "needs 65 MiB, there are 64");
}

Test(elf, a_segment_in_the_hole_is_refused)
{
    start_with(5 * MV_GIB);
    data->p_paddr = 3 * MV_GIB - 0x100;
    rig_expect_refused(rig_load(), -ENOMEM, "too little memory");
}

Test(elf, addresses_and_sizes_that_wrap_are_refused)
{
    data->p_paddr = UINT64_MAX;
    expect_damaged("impossible sizes");
    data->p_paddr = UINT64_MAX - ELF_DATA_SIZE;
    rig_expect_refused(rig_load(), -ENOMEM, "too little memory");
    data->p_paddr = ELF_DATA_ADDRESS;
    data->p_memsz = UINT64_MAX;
    expect_damaged("impossible sizes");
    data->p_memsz = UINT64_MAX - ELF_DATA_ADDRESS;
    rig_expect_refused(rig_load(), -ENOMEM, "too little memory");
}

Test(elf, file_offsets_that_wrap_or_lie_beyond_the_end_are_refused)
{
    data->p_offset = UINT64_MAX;
    expect_damaged("impossible sizes");
    data->p_offset = image.size;
    expect_damaged("truncated");
    data->p_offset = INT64_MAX;
    expect_damaged("truncated");
}

Test(elf, a_segment_where_the_machine_has_its_own_is_refused)
{
    static const uint64_t addresses[] = {0, 0x1000, 0x7000, 0x2ffff, 0x9fc00, 0xe0000, 0xfefff};

    for (unsigned i = 0; i < MV_COUNT(addresses); i++) {
        data->p_paddr = addresses[i];
        expect_damaged("the machine needs the memory below 0x30000");
    }
    /* Headers that ld puts before the kernel, and memory that is nobody's. */
    data->p_paddr = 0xff000;
    expect_loaded();
    data->p_paddr = 0x30000;
    expect_loaded();
    data->p_paddr = 0x100000;
    expect_loaded();
}

Test(elf, more_in_the_file_than_in_memory_is_refused)
{
    data->p_memsz = data->p_filesz - 1;
    expect_damaged("impossible sizes");
    data->p_memsz = 0;
    expect_damaged("impossible sizes");
}

/* The last note is Xen's entry: 12 bytes of header, 4 of name, 8 of address. */
static Elf64_Nhdr *entry_note(void)
{
    return (Elf64_Nhdr *)(image.bytes + ELF_NOTE + notes->p_filesz - 24);
}

Test(elf, without_the_note_it_is_refused)
{
    entry_note()->n_type = 17;
    expect_damaged("no PVH entry note");
    cr_expect(strstr(rig.err.hint, "CONFIG_PVH"));
    start();
    memcpy(entry_note() + 1, "xen", 4);
    expect_damaged("no PVH entry note");
    start();
    notes->p_type = PT_NULL;
    expect_damaged("no PVH entry note");
    start();
    notes->p_filesz = 0;
    expect_damaged("no PVH entry note");
}

Test(elf, notes_with_absurd_sizes_are_refused)
{
    static const uint32_t sizes[] = {UINT32_MAX, UINT32_MAX - 3, 0x80000000, 1000, 61};

    for (unsigned i = 0; i < MV_COUNT(sizes); i++) {
        start();
        ((Elf64_Nhdr *)(image.bytes + ELF_NOTE))->n_namesz = sizes[i];
        expect_damaged("no PVH entry note");
        start();
        ((Elf64_Nhdr *)(image.bytes + ELF_NOTE))->n_descsz = sizes[i];
        expect_damaged("no PVH entry note");
        start();
        entry_note()->n_namesz = sizes[i];
        expect_damaged("no PVH entry note");
        start();
        entry_note()->n_descsz = sizes[i];
        expect_damaged("no PVH entry note");
    }
}

Test(elf, an_entry_note_of_a_wrong_size_is_refused)
{
    static const uint32_t sizes[] = {0, 1, 2, 3, 5, 6, 7};

    for (unsigned i = 0; i < MV_COUNT(sizes); i++) {
        entry_note()->n_descsz = sizes[i];
        expect_damaged("no PVH entry note");
    }
}

Test(elf, notes_cut_at_any_byte_are_refused)
{
    uint64_t whole = notes->p_filesz;

    for (uint64_t size = 0; size < whole; size++) {
        notes->p_filesz = size;
        expect_damaged("no PVH entry note");
    }
}

Test(elf, a_note_segment_beyond_the_file_or_of_absurd_size_is_refused)
{
    notes->p_offset = image.size - 4;
    expect_damaged("truncated");
    notes->p_offset = UINT64_MAX;
    expect_damaged("truncated");
    notes->p_filesz = UINT64_MAX;
    expect_damaged("no PVH entry note");
}

Test(elf, an_entry_outside_of_the_segments_is_refused)
{
    static const uint64_t entries[] = {0,          1,           0xfffff,   ELF_DATA_ADDRESS + 0x123,
                                       UINT32_MAX, 0x100000000, UINT64_MAX};

    for (unsigned i = 0; i < MV_COUNT(entries); i++) {
        memcpy((uint8_t *)(entry_note() + 1) + 4, &entries[i], 8);
        expect_damaged("entry outside");
    }
}

Test(elf, a_big_endian_image_is_refused)
{
    header->e_ident[EI_DATA] = ELFDATA2MSB;
    expect_damaged("big-endian");
}

Test(elf, images_for_other_machines_are_named)
{
    static const struct {
        uint16_t machine;
        const char *name;
    } rows[] = {{EM_AARCH64, "arm64"},      {EM_ARM, "32-bit Arm"},
                {EM_RISCV, "RISC-V"},       {EM_PPC64, "POWER"},
                {EM_S390, "s390"},          {EM_IA_64, "another architecture"},
                {0, "another architecture"}};

    for (unsigned i = 0; i < MV_COUNT(rows); i++) {
        header->e_machine = rows[i].machine;
        expect_damaged(rows[i].name);
    }
}

Test(elf, an_object_file_is_refused)
{
    header->e_type = ET_REL;
    expect_damaged("object file or kernel module");
}

Test(elf, random_headers_load_or_are_explained)
{
    unsigned seed = 3, loaded = 0;

    rig_initrd(300000);
    for (unsigned i = 0; i < 5000; i++) {
        int error;

        if (i % 2)
            image_elf64(&image);
        else
            image_elf32(&image);
        for (unsigned changes = (unsigned)rand_r(&seed) % 4 + 1; changes; changes--)
            image.bytes[4 + rand_r(&seed) % (changes % 2 ? 0x280 : 0xe0)] =
                (uint8_t)(rand_r(&seed) >> 8);
        error = rig_load();
        if (error) {
            cr_assert_eq(error, rig.err.code);
            rig_expect_good_words();
            rig_expect_hint();
            continue;
        }
        loaded++;
        cr_assert(mv_mem_host(&rig.mem, rig.load.entry.pc, 1));
    }
    cr_expect_gt(loaded, 100, "some are still good");
}

/* ---- what has no PVH entry ---- */

/* An executable that begins at its code's second byte, linked elsewhere than it is loaded. */
static void make_executable(void)
{
    notes->p_type = PT_NULL;
    header->e_entry = code->p_vaddr + 1;
}

Test(elf, an_executable_begins_where_its_entry_is_loaded)
{
    make_executable();
    expect_loaded();
    cr_assert_eq(rig.load.entry.mode, MV_ENTRY_FLAT64);
    cr_assert_eq(rig.load.entry.pc, code->p_paddr + 1);
    cr_assert_eq(rig.load.entry.stack, 64 * MV_MIB);
}

Test(elf, an_executable_takes_no_initrd)
{
    make_executable();
    rig_initrd(100);
    rig_expect_refused(rig_load(), -EINVAL, "cannot take an initrd");
}

Test(elf, a_program_of_linux_is_refused)
{
    header->e_entry = code->p_vaddr;
    memcpy(entry_note() + 1, "GNU", 4);
    entry_note()->n_type = NT_GNU_ABI_TAG;
    expect_damaged("no PVH entry note");
    make_executable();
    data->p_type = PT_INTERP;
    expect_damaged("no PVH entry note");
}

/* A Multiboot header with these flags at the end of where one may be. */
static uint32_t *put_multiboot(uint32_t flags)
{
    uint32_t *words = (uint32_t *)(image.bytes + 8192 - 32);

    make_executable();
    memset(words, 0, 32);
    words[0] = 0x1badb002;
    words[1] = flags;
    words[2] = -(words[0] + words[1]);
    return words;
}

Test(elf, a_multiboot_header_makes_it_one)
{
    put_multiboot(3);
    rig_initrd(5000);
    rig.files.append = "for Linux one two";
    rig.files.raw_append = "one two";
    expect_loaded();
    cr_assert_eq(rig.load.entry.mode, MV_ENTRY_PVH);
    cr_assert(rig.load.is_pc);
    cr_assert_eq(rig.load.entry.eax, 0x2badb002);
    cr_assert_eq(rig.load.entry.code, 8);
    cr_assert_eq(rig.load.entry.pc, code->p_paddr + 1);
    const uint32_t *words = mv_mem_host(&rig.mem, rig.load.entry.data, 64);
    cr_assert_eq(words[0], 0x24d);
    cr_assert_str_eq(mv_mem_host(&rig.mem, words[4], 8), "kernel one two");
    cr_assert_eq(words[5], 1);
    const uint32_t *module = mv_mem_host(&rig.mem, words[6], 12);
    cr_assert_eq(module[1] - module[0], 5000);
    cr_assert_eq(module[0] % 4096, 0);
    cr_assert_str_eq(mv_mem_host(&rig.mem, module[2], 8), "initrd");
}

Test(elf, a_multiboot_kernel_without_words_has_its_name)
{
    put_multiboot(3);
    expect_loaded();
    const uint32_t *words = mv_mem_host(&rig.mem, rig.load.entry.data, 64);
    cr_assert_str_eq(mv_mem_host(&rig.mem, words[4], 8), "kernel");
}

Test(elf, more_words_than_a_multiboot_kernel_gets_are_refused)
{
    static char words[8200];

    memset(words, 'x', 8191 - strlen("kernel "));
    rig.files.raw_append = words;
    put_multiboot(3);
    expect_loaded();
    words[strlen(words)] = 'x';
    rig_expect_refused(rig_load(), -E2BIG, "command line has 8192 bytes");
}

/* As in xv6's, which is linked high and names the physical address. */
Test(elf, an_entry_may_be_where_it_is_loaded)
{
    put_multiboot(3);
    header->e_entry = code->p_paddr + 1;
    code->p_vaddr = 0x80000000;
    expect_loaded();
    cr_assert_eq(rig.load.entry.pc, code->p_paddr + 1);
}

Test(elf, a_multiboot_kernel_may_be_below_1_mib)
{
    static const uint64_t good[] = {0x7000, 0x8000, 0x20000, 0x9fc00 - ELF_DATA_SIZE, 0xff000};
    static const uint64_t bad[] = {0,       0x6fff,  0x9fc00 - ELF_DATA_SIZE + 1,
                                   0xb8000, 0xe0000, 0xfefff};

    put_multiboot(3);
    for (unsigned i = 0; i < MV_COUNT(good); i++) {
        data->p_paddr = good[i];
        expect_loaded();
    }
    for (unsigned i = 0; i < MV_COUNT(bad); i++) {
        data->p_paddr = bad[i];
        expect_damaged("the machine needs the memory below 0x7000");
    }
}

Test(elf, a_multiboot_header_that_asks_for_the_unknown_is_refused)
{
    put_multiboot(0x13);
    expect_damaged("unsupported flags");
}

Test(elf, a_multiboot_header_with_a_wrong_sum_is_none)
{
    put_multiboot(3)[2]++;
    expect_loaded();
    cr_assert_eq(rig.load.entry.mode, MV_ENTRY_FLAT64);
}

/* Flat: the whole file belongs to 1 MiB, and begins at its header. */
static uint32_t *put_flat(void)
{
    uint32_t *words = put_multiboot(0x10000);

    words[3] = 0x100000 + 8192 - 32;
    words[4] = 0x100000;
    words[7] = 0x100000 + 64;
    return words;
}

Test(elf, multiboot_addresses_come_before_those_of_elf)
{
    put_flat();
    expect_loaded();
    cr_assert(rig.load.is_pc);
    cr_assert_eq(rig.load.entry.pc, 0x100000 + 64);
    cr_assert_eq(memcmp(mv_mem_host(&rig.mem, 0x100000, 4), "\177ELF", 4), 0);
}

Test(elf, impossible_multiboot_addresses_are_refused)
{
    static const struct {
        unsigned word;
        uint32_t value;
        const char *words;
    } cases[] = {{3, 0x100000 - 1, "impossible addresses"},
                 {3, 0xffffffff, "impossible addresses"},
                 {4, 0, "impossible addresses"},
                 {4, 0xffffffff, "impossible addresses"},
                 {5, 0x100000 - 1, "impossible addresses"},
                 {5, 0xffffffff, "truncated"},
                 {6, 1, "entry point"},
                 {7, 0, "entry point"},
                 {7, 0xffffffff, "entry point"}};

    for (unsigned i = 0; i < MV_COUNT(cases); i++) {
        start();
        put_flat()[cases[i].word] = cases[i].value;
        if (cases[i].word == 6)
            put_flat()[7] = 0xfffff;
        expect_damaged(cases[i].words);
    }
}

Test(elf, a_pvh_kernel_may_be_entered_below_1_mib)
{
    uint64_t entry = 0x30000;

    data->p_paddr = 0x30000;
    memcpy(image.bytes + ELF_NOTE + notes->p_filesz - 8, &entry, sizeof(entry));
    expect_loaded();
    cr_assert_eq(rig.load.entry.mode, MV_ENTRY_PVH);
    cr_assert_eq(rig.load.entry.pc, 0x30000);
}

/* Loaded low, with an initrd that fills nearly all above 1 MiB and would fit lower. */
Test(elf, a_flat_multiboot_kernel_may_be_below_1_mib_and_its_initrd_is_not)
{
    uint32_t *words = put_flat();

    words[3] -= 0xf0000;
    words[4] -= 0xf0000;
    words[7] -= 0xf0000;
    rig_initrd(62 * MV_MIB);
    expect_loaded();
    cr_assert_eq(rig.load.entry.pc, 0x10000 + 64);
    const uint32_t *info = mv_mem_host(&rig.mem, rig.load.entry.data, 64);
    const uint32_t *module = mv_mem_host(&rig.mem, info[6], 8);
    cr_assert_geq(module[0], 0x100000);
    rig_initrd(63 * MV_MIB + 4096);
    rig_expect_refused(rig_load(), -ENOMEM, "too little memory");
}

Test(elf, a_multiboot_entry_beyond_4_gib_is_refused)
{
    rig_start(5 * MV_GIB);
    put_multiboot(3);
    code->p_paddr = 4 * MV_GIB;
    expect_damaged("entry point at 0x100000001");
}

Test(elf, what_lies_over_the_reset_vector_is_told)
{
    expect_loaded();
    cr_expect(!rig.load.over_reset_vector);
    data->p_paddr = 0xff000;
    data->p_memsz = 0xff0;
    expect_loaded();
    cr_expect(!rig.load.over_reset_vector);
    data->p_memsz = 0xff1;
    expect_loaded();
    cr_expect(rig.load.over_reset_vector);
}

Test(elf, multiboot_addresses_where_the_machine_has_its_own_are_refused)
{
    uint32_t *words = put_flat();

    words[3] -= 8192;
    words[4] -= 8192;
    expect_damaged("is linked at 0xfe000; the machine needs");
}

Test(elf, a_multiboot_kernel_larger_than_memory_is_refused)
{
    put_flat()[6] = 0x40000000;
    rig_expect_refused(rig_load(), -ENOMEM, "too little memory");
}
