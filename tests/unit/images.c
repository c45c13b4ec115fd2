/* SPDX-License-Identifier: MIT */
/* Small kernel images: see images.h. */
#include "images.h"

#include <string.h>

uint8_t image_pattern(size_t offset)
{
    return (uint8_t)(offset * 7 ^ offset >> 8 ^ 0xa5);
}

static void put_code(struct image *image, size_t offset, size_t size)
{
    for (size_t i = 0; i < size; i++)
        image->bytes[offset + i] = image_pattern(i);
}

struct setup_header *image_header(struct image *image)
{
    return (struct setup_header *)(image->bytes + 0x1f1);
}

void image_bzimage(struct image *image)
{
    struct setup_header *header = image_header(image);

    memset(image, 0, sizeof(*image));
    image->size = BZIMAGE_PAYLOAD + BZIMAGE_CODE;
    put_code(image, BZIMAGE_PAYLOAD, BZIMAGE_CODE);
    memcpy(image->bytes, "MZ", 2);
    header->setup_sects = 7;
    header->syssize = BZIMAGE_CODE / 16;
    header->boot_flag = 0xaa55;
    header->jump = 0x66eb; /* the header ends at 0x202 + 0x66 */
    memcpy(&header->header, "HdrS", 4);
    header->version = 0x20f;
    header->loadflags = LOADED_HIGH;
    header->code32_start = 0x100000;
    header->initrd_addr_max = 0x7fffffff;
    header->kernel_alignment = 0x200000;
    header->relocatable_kernel = 1;
    header->xloadflags = XLF_KERNEL_64 | XLF_CAN_BE_LOADED_ABOVE_4G;
    header->cmdline_size = 2047;
    header->pref_address = IMAGE_ADDRESS;
    header->init_size = BZIMAGE_INIT;
}

static size_t put_note(uint8_t *at, const char *name, uint32_t type, const void *desc,
                       uint32_t size)
{
    Elf64_Nhdr note = {.n_namesz = (uint32_t)strlen(name) + 1, .n_descsz = size, .n_type = type};
    size_t name_end = sizeof(note) + ((note.n_namesz + 3) & ~3u);

    memcpy(at, &note, sizeof(note));
    memcpy(at + sizeof(note), name, note.n_namesz);
    memcpy(at + name_end, desc, size);
    return name_end + ((size + 3) & ~3u);
}

/* Code, data and notes; returns the size of the notes. */
static uint32_t put_elf_contents(struct image *image, uint32_t entry_size)
{
    static const char build_id[] = "0123456789abcdefghi";
    uint64_t entry = ELF_ENTRY;
    uint8_t *at = image->bytes + ELF_NOTE;

    memset(image, 0, sizeof(*image));
    image->size = ELF_DATA + ELF_DATA_SIZE;
    put_code(image, ELF_CODE, ELF_CODE_SIZE);
    put_code(image, ELF_DATA, ELF_DATA_SIZE);
    at += put_note(at, "GNU", 3, build_id, sizeof(build_id));
    at += put_note(at, "Xen", 5, "Linux", 6);
    at += put_note(at, "Xen", 18, &entry, entry_size);
    return (uint32_t)(at - image->bytes) - ELF_NOTE;
}

void image_elf64(struct image *image)
{
    uint32_t notes = put_elf_contents(image, 8);
    Elf64_Ehdr *header = (Elf64_Ehdr *)image->bytes;
    Elf64_Phdr *segments = (Elf64_Phdr *)(image->bytes + sizeof(*header));

    memcpy(header->e_ident, "\177ELF\2\1\1", 7);
    header->e_type = ET_EXEC;
    header->e_machine = EM_X86_64;
    header->e_version = 1;
    header->e_entry = IMAGE_ADDRESS;
    header->e_phoff = sizeof(*header);
    header->e_ehsize = sizeof(*header);
    header->e_phentsize = sizeof(*segments);
    header->e_phnum = 3;
    segments[0] = (Elf64_Phdr){.p_type = PT_LOAD,
                               .p_offset = ELF_CODE,
                               .p_vaddr = 0xffffffff81000000,
                               .p_paddr = IMAGE_ADDRESS,
                               .p_filesz = ELF_CODE_SIZE,
                               .p_memsz = ELF_CODE_MEMORY,
                               .p_align = 0x1000};
    segments[1] = (Elf64_Phdr){.p_type = PT_LOAD,
                               .p_offset = ELF_DATA,
                               .p_paddr = ELF_DATA_ADDRESS,
                               .p_filesz = ELF_DATA_SIZE,
                               .p_memsz = ELF_DATA_SIZE,
                               .p_align = 1};
    segments[2] =
        (Elf64_Phdr){.p_type = PT_NOTE, .p_offset = ELF_NOTE, .p_filesz = notes, .p_align = 4};
}

void image_elf32(struct image *image)
{
    uint32_t notes = put_elf_contents(image, 4);
    Elf32_Ehdr *header = (Elf32_Ehdr *)image->bytes;
    Elf32_Phdr *segments = (Elf32_Phdr *)(image->bytes + sizeof(*header));

    memcpy(header->e_ident, "\177ELF\1\1\1", 7);
    header->e_type = ET_EXEC;
    header->e_machine = EM_386;
    header->e_version = 1;
    header->e_entry = IMAGE_ADDRESS;
    header->e_phoff = sizeof(*header);
    header->e_ehsize = sizeof(*header);
    header->e_phentsize = sizeof(*segments);
    header->e_phnum = 3;
    segments[0] = (Elf32_Phdr){.p_type = PT_LOAD,
                               .p_offset = ELF_CODE,
                               .p_paddr = IMAGE_ADDRESS,
                               .p_filesz = ELF_CODE_SIZE,
                               .p_memsz = ELF_CODE_MEMORY,
                               .p_align = 0x1000};
    segments[1] = (Elf32_Phdr){.p_type = PT_LOAD,
                               .p_offset = ELF_DATA,
                               .p_paddr = ELF_DATA_ADDRESS,
                               .p_filesz = ELF_DATA_SIZE,
                               .p_memsz = ELF_DATA_SIZE,
                               .p_align = 1};
    segments[2] =
        (Elf32_Phdr){.p_type = PT_NOTE, .p_offset = ELF_NOTE, .p_filesz = notes, .p_align = 4};
}
