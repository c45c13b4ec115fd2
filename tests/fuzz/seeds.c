/* SPDX-License-Identifier: MIT */
/* fuzz-seeds DIRECTORY: writes the first inputs of each target to DIRECTORY/TARGET/. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "images.h"
#include "load.h"

static struct image image;
static const char *root;

static bool write_seed(const char *target, unsigned number, const uint8_t knobs[KNOBS],
                       const void *bytes, size_t size)
{
    char path[4096];
    FILE *file;
    bool good;

    snprintf(path, sizeof(path), "%s/%s", root, target);
    mkdir(path, 0777);
    snprintf(path, sizeof(path), "%s/%s/seed-%u", root, target, number);
    file = fopen(path, "we");
    if (!file)
        return false;
    good =
        (!knobs || fwrite(knobs, 1, KNOBS, file) == KNOBS) && fwrite(bytes, 1, size, file) == size;
    return fclose(file) == 0 && good;
}

/* Small ones: a fuzzer is faster with them. */
static bool write_bzimages(void)
{
    static const uint16_t versions[] = {0x20f, 0x20c, 0x20a, 0x206, 0x203, 0x200};
    bool good = true;

    for (unsigned i = 0; i < MV_COUNT(versions); i++) {
        uint8_t knobs[KNOBS] = {(uint8_t)i, (uint8_t)i, (uint8_t)(i / 2)};

        image_bzimage(&image);
        image_header(&image)->version = versions[i];
        image_header(&image)->setup_sects = 2;
        image_header(&image)->syssize = 16;
        image_header(&image)->init_size = 4096;
        image_header(&image)->pref_address = 0x200000;
        good = write_seed("bzimage", i, knobs, image.bytes, 3 * 512 + 256) && good;
    }
    return good;
}

static bool write_elves(void)
{
    Elf64_Phdr *of64 = (Elf64_Phdr *)(image.bytes + sizeof(Elf64_Ehdr));
    Elf32_Phdr *of32 = (Elf32_Phdr *)(image.bytes + sizeof(Elf32_Ehdr));
    bool good = true;

    for (unsigned i = 0; i < 4; i++) {
        uint8_t knobs[KNOBS] = {(uint8_t)(1 + i), (uint8_t)i, (uint8_t)i};

        image_elf64(&image);
        of64[0].p_offset = of64[1].p_offset = 0;
        of64[0].p_filesz = of64[1].p_filesz = 0x100;
        good = write_seed("elf", i, knobs, image.bytes, 0x300) && good;
        image_elf32(&image);
        of32[0].p_offset = of32[1].p_offset = 0;
        of32[0].p_filesz = of32[1].p_filesz = 0x100;
        good = write_seed("elf", 4 + i, knobs, image.bytes, 0x300) && good;
    }
    image_elf64(&image); /* with a segment large enough to be mapped */
    return write_seed("elf", 8, (const uint8_t[KNOBS]){1, 2, 3}, image.bytes, image.size) && good;
}

static bool write_others(void)
{
    static const char words[] = "-k\0bzImage\0-i\0initrd\0-a\0quiet console=hvc0\0-m\0"
                                "64M\0-c\0002\0--verbose\0--step\0--timeline\0t\0-vh";
    static const char more[] = "bzImage\0--append=x\0--memory\0001G\0--cpus=4\0--\0--version";
    static const uint8_t traffic[] = {
        0x02, 0xc1, 0x01, 0x0f, 0x28, 'a',  0x28, 'b',  0x30, 0,   0x1a, 0,    0x1d, 0,
        0x18, 0,    0x04, 0x1f, 0x00, 'L',  0x03, 0x40, 0x1e, 0,   0x04, 0x00, 0x38, 31,
        0x03, 0x80, 0x00, 1,    0x03, 0x03, 0x02, 0x00, 0x28, 'c', 0x28, 'd',  0x18, 0};

    return write_seed("options", 0, NULL, words, sizeof(words)) &&
           write_seed("options", 1, NULL, more, sizeof(more)) &&
           write_seed("uart", 0, NULL, traffic, sizeof(traffic));
}

int main(int argc, char **argv)
{
    bool good;

    if (argc != 2) {
        fprintf(stderr, "usage: fuzz-seeds DIRECTORY\n");
        return 2;
    }
    root = argv[1];
    good = write_bzimages();
    good = write_elves() && good;
    good = write_others() && good;
    if (!good)
        fprintf(stderr, "fuzz-seeds: cannot write to %s\n", root);
    return good ? 0 : 1;
}
