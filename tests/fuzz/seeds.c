/* SPDX-License-Identifier: MIT */
/* fuzz-seeds DIRECTORY: writes the first inputs of each target to DIRECTORY/TARGET/. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "images.h"
#include "load.h"
#include "traces.h"
#include "virtio.h"

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

/* A header with addresses, which is all of its file, with 4 KiB behind: at 1 MiB, and low. */
static const uint32_t multiboot[][8] = {
    {0x1badb002, 0x10003, -(0x1badb002u + 0x10003u), 0x100000, 0x100000, 0x100020, 0x101000,
     0x100000},
    {0x1badb002, 0x10003, -(0x1badb002u + 0x10003u), 0x10000, 0x10000, 0x10020, 0x11000, 0x10000}};

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
    /* executables, without a note; with a Multiboot header; loaded low; entered where loaded */
    for (unsigned i = 0; i < 4; i++) {
        Elf64_Ehdr *header = (Elf64_Ehdr *)image.bytes;

        image_elf64(&image);
        of64[0].p_offset = of64[1].p_offset = 0;
        of64[0].p_filesz = of64[1].p_filesz = 0x100;
        of64[2].p_type = PT_NULL;
        header->e_entry = of64[0].p_vaddr;
        if (i == 2)
            of64[1].p_paddr = 0x8000;
        if (i == 3)
            header->e_entry = of64[0].p_paddr;
        if (i > 0)
            memcpy(image.bytes + 0x280, (const uint32_t[]){0x1badb002, 3, -(0x1badb002u + 3u)}, 12);
        good = write_seed("elf", 9 + i, (const uint8_t[KNOBS]){1, i > 0, 0}, image.bytes, 0x300) &&
               good;
    }
    for (unsigned i = 0; i < MV_COUNT(multiboot); i++)
        good = write_seed("multiboot", i, (const uint8_t[KNOBS]){1, 1, 1},
                          (const uint8_t *)multiboot[i], sizeof(multiboot[i])) &&
               good;
    image_elf64(&image); /* with a segment large enough to be mapped */
    return write_seed("elf", 8, (const uint8_t[KNOBS]){1, 2, 3}, image.bytes, image.size) && good;
}

/* Flat, by gzip, and that inside of an EFI program. */
static bool write_arm64(void)
{
    static const uint8_t knobs[KNOBS] = {1, 2, 3};
    static const uint64_t offset = 0x80000, memory = 0x10000;
    uint8_t flat[256] = {0}, packed[512] = {0}, *zipped = packed + 64;
    const uint32_t place[] = {64, 256}; /* payload_offset, payload_size */
    z_stream stream = {
        .next_in = flat, .avail_in = sizeof(flat), .next_out = zipped, .avail_out = 256};

    memcpy(flat + 8, &offset, 8);
    memcpy(flat + 16, &memory, 8);
    memcpy(flat + 56, "ARMd", 4);
    if (deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK ||
        deflate(&stream, Z_FINISH) != Z_STREAM_END)
        return false;
    deflateEnd(&stream);
    memcpy(packed, "MZ\0\0zimg", 8);
    memcpy(packed + 8, place, sizeof(place));
    memcpy(packed + 24, "gzip", 5);
    return write_seed("arm64", 0, knobs, flat, sizeof(flat)) &&
           write_seed("arm64", 1, knobs, zipped, stream.total_out) &&
           write_seed("arm64", 2, knobs, packed, 64 + stream.total_out);
}

static bool write_others(void)
{
    static const char words[] = "-k\0bzImage\0-i\0initrd\0-a\0quiet console=hvc0\0-m\0"
                                "64M\0-c\0002\0--verbose\0--step\0--timeline\0t\0-vh";
    static const char more[] = "bzImage\0--append=x\0--memory\0001G\0--cpus=4\0--\0--version";
    static const char traces[] = "--trace\0t,records=5\0--trace=a,,b\0k";
    static const char disks[] = "-d\0a,,b.img,ro,direct,serial=x\0--disk=c,queues=2,cache=unsafe,"
                                "io=threads\0-d\0d,cache=writethrough,io=uring\0k";
    static const uint8_t traffic[] = {
        0x02, 0xc1, 0x01, 0x0f, 0x28, 'a',  0x28, 'b',  0x30, 0,   0x1a, 0,    0x1d, 0,
        0x18, 0,    0x04, 0x1f, 0x00, 'L',  0x03, 0x40, 0x1e, 0,   0x04, 0x00, 0x38, 31,
        0x03, 0x80, 0x00, 1,    0x03, 0x03, 0x02, 0x00, 0x28, 'c', 0x28, 'd',  0x18, 0};

    return write_seed("options", 0, NULL, words, sizeof(words)) &&
           write_seed("options", 1, NULL, more, sizeof(more)) &&
           write_seed("options", 2, NULL, disks, sizeof(disks)) &&
           write_seed("options", 3, NULL, traces, sizeof(traces)) &&
           write_seed("uart", 0, NULL, traffic, sizeof(traffic));
}

static bool write_traces(void)
{
    struct trace_file file = trace_make();

    return write_seed("trace", 0, NULL, &file, sizeof(file));
}

/* clang-format off */

static const uint8_t chain[] = {
    4, 3,                                       /* a queue of 16, both features */
    0, 0, 0x01, 5, 0, 0, 0x10, 0, 1,            /* descriptor 0: 16 bytes to read, next 1 */
    0, 1, 0x02, 2, 0, 0, 0x00, 2, 0,            /* descriptor 1: 512 bytes to write */
    1, 0, 8, 4, 6, 0, 1, 0, 7, 9,               /* offer, quiet, pop, push, publish, listen */
    3, 8, 0, 4,                                 /* the index jumps */
    5, 3, 0, 0x80, 4};
static const uint8_t indirect[] = {
    3, 1,
    0, 0, 0x04, 6, 0, 0, 0x20, 0, 0,            /* descriptor 0: a table at 0x2000 */
    2, 6, 0x00, 0, 0x00, 0x10, 0, 0, 0, 0, 0, 0, /* its first: at 0x1000 */
    2, 6, 0x08, 0, 0x40, 0, 0, 0, 1, 0, 1, 0,   /* of 64 bytes, next 1 */
    2, 6, 0x10, 0, 0x00, 0, 0x10, 0, 0, 0, 0, 0, /* its second: in the upper region */
    2, 6, 0x18, 0, 0x01, 0, 0, 0, 2, 0, 0, 0,   /* of 1 byte, to write */
    1, 0, 4, 6, 0, 0, 0, 7, 9};

static const uint8_t longest[] = {
    8, 1,                                       /* a queue of 256 */
    11, 0x11, 6, 0, 0, 0xff,                    /* a table of 256 at 0x2000 */
    0, 0, 0x04, 6, 0, 0, 0, 0x10, 0,            /* descriptor 0: that table */
    1, 0, 4, 6, 0, 0, 0, 7,
    0, 1, 0x01, 2, 0, 0, 0x10, 0, 0,            /* descriptor 1: a buffer, and then the table */
    1, 1, 4};

static const uint8_t registers[] = {
    0x00,
    0x07, 0xff, 0xff, 0xff, 0xff, 1, 4, 0x0d,   /* begin, turn */
    0x06, 0, 1, 2, 5, 0, 0x10, 0, 2, 0x0d, 0x0d, /* write a sector */
    0x06, 0, 0, 2, 5, 0, 0x10, 0, 2, 0x0d, 0x0d, /* read it */
    0x06, 1, 4, 0, 5, 0, 0x10, 0, 0, 0x0d, 0x0d, /* flush */
    0x0a, 0x1a,                                 /* the cache mode */
    0x0c, 0, 0x3c, 60, 0x03, 13,                /* read */
    0x01, 0, 0, 0, 0,                           /* write */
    0x09, 0, 0x80, 0x04, 0x0d};                 /* another size, reset */
static const uint8_t held[] = {
    FUZZ_HOLD | FUZZ_WIRED | FUZZ_UNSAFE | FUZZ_WRITETHROUGH,
    0x07, 0, 0, 0, 0x30, 2, 5, 0x0d,
    0x06, 0, 1, 2, 5, 0, 0x10, 0, 2, 0x0d,
    0x06, 1, 0, 2, 5, 0, 0x10, 0, 2, 0x0d,
    0x18, 0x0d, 0x04, 0x0d, 0x18, 0x0d};        /* one is done, reset, the other is done */

static const uint8_t requests[] = {
    0x00, 0xff, 0xff, 0xff, 0xff,
    0x00, 0, 1, 1, 4, 0x0d, 0, 0, 0, 2, 0x06,   /* write */
    0x00, 1, 2, 0, 4, 0x0f, 0, 0, 0, 2,         /* read, in two parts */
    0x06, 0, 2, 0, 2, 0x06,
    0x00, 2, 0, 2, 0, 0x06,                     /* flush */
    0x00, 3, 1, 3, 0, 0x03, 0, 0, 20, 0, 0x06,  /* get the serial number */
    0x00, 4, 1, 4, 0, 0x11, 0, 0, 16, 0, 8, 9, 0x06, /* discard */
    0x00, 5, 0x29, 5, 0, 0x10, 0, 0, 32, 0, 8, 9, 1, 30, 0x06, 0x0d}; /* write zeroes, in parts */
static const uint8_t slow[] = {
    FUZZ_HOLD | FUZZ_NO_ZERO | FUZZ_FAIL | FUZZ_WRITETHROUGH, 0, 0, 0, 0x30,
    0x00, 0, 1, 1, 4, 0x0d, 0, 0, 0, 2,
    0x00, 1, 1, 0, 4, 0x0f, 0, 4, 0, 2, 0x06,
    0x19, 0x06,                                 /* one is done */
    0x0b, 0, 0x10,                              /* another size */
    0x0e, 0xff, 0xff, 0xff, 0xff,               /* reset and begin */
    0x00, 2, 0, 2, 0, 0x0d};

/* As fuzz-rng has them: two buffers of a chain, a doorbell, a reset, one more. */
static const uint8_t entropy[] = {
    0x80, 0xff, 0xff, 0xff, 0xff, 3,
    0, 2, 0x0d, 0, 0, 5, 0, 0x0d, 0x10, 0, 64, 0, 1, 2,
    1, 0xff, 0xff, 0xff, 0xff, 3,
    0, 1, 0x0d, 0, 0, 5, 0, 2};

/* clang-format on */

static bool write_virtio(void)
{
    return write_seed("queue", 0, NULL, chain, sizeof(chain)) &&
           write_seed("queue", 1, NULL, indirect, sizeof(indirect)) &&
           write_seed("queue", 2, NULL, longest, sizeof(longest)) &&
           write_seed("rng", 0, NULL, entropy, sizeof(entropy)) &&
           write_seed("virtio_mmio", 0, NULL, registers, sizeof(registers)) &&
           write_seed("virtio_mmio", 1, NULL, held, sizeof(held)) &&
           write_seed("blk", 0, NULL, requests, sizeof(requests)) &&
           write_seed("blk", 1, NULL, slow, sizeof(slow));
}

/* Lines, as fuzz-gdb has them. */
static const char session[] =
    "qSupported:multiprocess+;xmlRegisters=i386\nvMustReplyEmpty\nQStartNoAckMode\nHg0\n"
    "qXfer:features:read:target.xml:0,ffb\nqXfer:features:read:target.xml:7f0,1000\n?"
    "\nqfThreadInfo\n"
    "qsThreadInfo\nqThreadExtraInfo,2\nqC\nqAttached:1\ng\np10\nP3=0102030405060708\nvCont?\n";
static const char points[] =
    "Z1,10000,4\nZ2,10008,8\nZ4,10010,4\nZ0,10020,1\nvCont;s:2;c\n!\x02\nz1,10000,4\nz2,10008,8\n"
    "vCont;c\n=\x03\n!\x41\nc\n!\x03\ns\n!\x01\n!\x20\n!\x00\n";
static const char memory[] = "m10000,40\nmffffffffffffffff,2\nM10000,4:01020304\nX10000,0:\n"
                             "X10000,4:}\x03}\x04}]}\x0a\nT3\nHc-1\nD;1\n!\x00\nvKill;1\n";
static const char raw[] = "=+$m10000,4#fd-$m10000$?#3f\n=$?#00\x03$#00\n";

static bool write_gdb(void)
{
    return write_seed("gdb", 0, NULL, session, sizeof(session) - 1) &&
           write_seed("gdb", 1, NULL, points, sizeof(points) - 1) &&
           write_seed("gdb", 2, NULL, memory, sizeof(memory) - 1) &&
           write_seed("gdb", 3, NULL, raw, sizeof(raw) - 1);
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
    good = write_arm64() && good;
    good = write_others() && good;
    good = write_traces() && good;
    good = write_virtio() && good;
    good = write_gdb() && good;
    if (!good)
        fprintf(stderr, "fuzz-seeds: cannot write to %s\n", root);
    return good ? 0 : 1;
}
