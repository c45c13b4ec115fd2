/* SPDX-License-Identifier: MIT */
/*
 * A kernel as hobbyists write them: 32-bit, by Multiboot 1, text on the screen of a PC, and an
 * interrupt of its 8254 by way of its 8259.  Checks what it is told, and exits with 0, or with the
 * number of the line that it failed in.
 */
#include "multiboot.h"

/* With bit 16 of FLAGS it also tells where it belongs. */
extern const char load_start[], load_end[], bss_end[], stack_top[];

__attribute__((section(".multiboot"), used)) static const struct {
    uint32_t magic, flags, checksum;
    const void *header, *load, *load_end, *bss_end, *entry;
} header = {HEADER_MAGIC, FLAGS,   -(HEADER_MAGIC + FLAGS), &header, load_start,
            load_end,     bss_end, (const void *)start};

struct info {
    uint32_t flags, mem_lower, mem_upper, boot_device;
    const char *cmdline;
    uint32_t mods_count;
    const struct {
        const char *start, *end, *name;
    } * mods;
    uint32_t syms[4], mmap_length;
    const uint8_t *mmap;
    uint32_t drives_length, drives_addr, config_table;
    const char *boot_loader_name;
};

static volatile uint32_t ticks;

static void say(const char *text)
{
    static volatile uint16_t *screen = (volatile uint16_t *)0xb8000;

    for (; *text; text++) {
        out(0x3f8, (uint8_t)*text);
        if (*text != '\n')
            *screen++ = (uint16_t)(0x0700 | (uint8_t)*text);
    }
}

__attribute__((used)) static void count_tick(void)
{
    ticks++;
    out(0x20, 0x20); /* end of interrupt */
}

__attribute__((naked)) static void on_tick(void)
{
    __asm__ volatile("pusha; cld; call count_tick; popa; iret");
}

static uint64_t gates[256];

/* Vectors from 32 on, only line 0 open, 100 ticks a second. */
static void start_timer(void)
{
    static const uint8_t words[][2] = {{0x20, 0x11}, {0xa0, 0x11}, {0x21, 32},   {0xa1, 40},
                                       {0x21, 4},    {0xa1, 2},    {0x21, 1},    {0xa1, 1},
                                       {0x21, 0xfe}, {0xa1, 0xff}, {0x43, 0x34}, {0x40, 0x9b},
                                       {0x40, 0x2e}};
    struct {
        uint16_t limit;
        uint32_t base;
    } __attribute__((packed)) table = {sizeof(gates) - 1, (uint32_t)gates};
    uint32_t handler = (uint32_t)on_tick;

    /* As of kernels that load no GDT of their own, and were written with QEMU. */
    gates[32] =
        (uint64_t)(handler >> 16) << 48 | (uint64_t)0x8e00 << 32 | 0x08 << 16 | (handler & 0xffff);
    __asm__ volatile("lidt %0" : : "m"(table));
    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        out(words[i][0], words[i][1]);
    __asm__ volatile("sti");
}

static unsigned cmos(uint8_t index)
{
    out(0x70, index);
    return in(0x71);
}

/* As is found in most of these kernels: for ever, on a machine without a clock. */
static void check_clock(void)
{
    while (cmos(0x0a) & 0x80)
        ;
    CHECK(cmos(0x32) == 0x20 && cmos(9) >= 0x24 && cmos(9) <= 0x99);
    CHECK(cmos(8) >= 1 && cmos(8) <= 0x12 && cmos(4) <= 0x23);
    CHECK((cmos(0x30) | cmos(0x31) << 8) == 63 * 1024);
}

/* As in xv6, which has it tell where to write. */
static void check_cursor(void)
{
    out(0x3d4, 14);
    CHECK(in(0x3d5) == 0);
    out(0x3d5, 7);
    out(0x3d4, 15);
    CHECK(in(0x3d5) == 0);
    out(0x3d4, 14);
    CHECK(in(0x3d5) == 7);
}

static unsigned sum(const uint8_t *bytes, unsigned count)
{
    unsigned total = 0;

    while (count--)
        total += *bytes++;
    return total & 0xff;
}

/* What a BIOS leaves: where the EBDA is, and in there the tables of the MultiProcessor
 * Specification, of 2 CPUs. */
static void check_bios(void)
{
    const uint8_t *ebda, *pointer, *table;
    unsigned cpus = 0;

    __asm__("movzwl 0x40e, %0" : "=r"(ebda));
    ebda = (const uint8_t *)((uintptr_t)ebda << 4);
    CHECK((uintptr_t)ebda == 0x9fc00);
    for (pointer = ebda; *(const uint32_t *)pointer != 0x5f504d5f; pointer += 16)
        CHECK(pointer < ebda + 1024 - 16);
    CHECK(sum(pointer, 16) == 0 && pointer[8] == 1 && pointer[9] == 4);
    table = *(const uint8_t *const *)(pointer + 4);
    CHECK(*(const uint32_t *)table == 0x504d4350 && sum(table, *(uint16_t *)(table + 4)) == 0);
    for (const uint8_t *at = table + 44; at < table + *(uint16_t *)(table + 4); at += *at ? 8 : 20)
        cpus += *at == 0;
    CHECK(cpus == 2);
}

static int same(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

__attribute__((noreturn, used)) static void run(uint32_t magic, const struct info *info)
{
    uint64_t ram = 0;

    CHECK(magic == LOADER_MAGIC);
    CHECK((info->flags & 0x24d) == 0x24d);
    CHECK(info->mem_lower >= 512 && info->mem_upper == 63 * 1024);
    CHECK(same(info->boot_loader_name, "minivmm"));
    for (uint32_t at = 0; at < info->mmap_length; at += *(const uint32_t *)(info->mmap + at) + 4)
        if (*(const uint32_t *)(info->mmap + at + 20) == 1)
            ram += *(const uint64_t *)(info->mmap + at + 12);
    CHECK(ram > 63 << 20 && ram <= 64 << 20);
    if (info->mods_count) {
        CHECK(info->mods[0].end - info->mods[0].start == 5);
        CHECK(info->mods[0].start[0] == 'h' && info->mods[0].start[4] == 'o');
    }
    check_clock();
    check_cursor();
    check_bios();
    say(info->cmdline);
    if (info->mods_count) {
        say(" of ");
        say(info->mods[0].name);
    }
    say("\n");
    start_timer();
    while (ticks < 3)
        __asm__ volatile("hlt");
    say("three ticks\n");
    exit_with(0);
}
