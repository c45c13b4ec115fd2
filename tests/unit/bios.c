/* SPDX-License-Identifier: MIT */
/* What old kernels look for below 1 MiB, byte by byte as the MultiProcessor Specification 1.4 and
 * the list of the BIOS data area say. */
#include <criterion/criterion.h>
#include <string.h>

#include "oldpc/oldpc.h"

static struct mv_mem mem;
static const uint8_t *low;

static void start(void)
{
    struct mv_region regions[MV_MEM_REGIONS];
    unsigned count = mv_arch_memory_map(16 * MV_MIB, regions);

    cr_assert_eq(mv_mem_init(&mem, regions, count), 0);
    low = mv_mem_host(&mem, 0, MV_MIB);
}

static void stop(void)
{
    mv_mem_done(&mem);
}

TestSuite(bios, .init = start, .fini = stop);

static unsigned get16(unsigned at)
{
    return (unsigned)(low[at] | low[at + 1] << 8);
}

static unsigned get32(unsigned at)
{
    return get16(at) | get16(at + 2) << 16;
}

static unsigned sum(unsigned at, unsigned count)
{
    unsigned total = 0;

    while (count--)
        total += low[at++];
    return total & 0xff;
}

/* As kernels look for it: in the EBDA, on 16 bytes.  Returns where the table is. */
static unsigned find_table(void)
{
    unsigned ebda = get16(0x40e) << 4, at = ebda;

    cr_assert_eq(ebda, 0x9fc00);
    while (memcmp(low + at, "_MP_", 4) != 0)
        cr_assert_lt(at += 16, ebda + 1024);
    cr_expect_eq(low[at + 8], 1, "in units of 16 bytes");
    cr_expect_eq(low[at + 9], 4, "of revision 1.4");
    cr_expect_eq(low[at + 11], 0, "there is a table");
    cr_expect_eq(sum(at, 16), 0);
    at = get32(at + 4);
    cr_expect_eq(memcmp(low + at, "PCMP", 4), 0);
    cr_expect_eq(low[at + 6], 4);
    cr_expect_eq(sum(at, get16(at + 4)), 0);
    cr_expect_leq(at + get16(at + 4), 0xa0000);
    cr_expect_eq(get32(at + 36), 0xfee00000, "the local APICs");
    return at;
}

Test(bios, the_data_area_tells_of_the_machine)
{
    mv_x86_oldpc.write_memory(&mem, 1, false);
    cr_expect_eq(get16(0x400), 0x3f8);
    cr_expect_eq(get16(0x402), 0, "there is one serial port");
    cr_expect_eq(get16(0x410) >> 9 & 7, 1);
    cr_expect_eq(get16(0x413), 639);
    cr_expect_eq(low[0x9fc00], 1, "KiB of the EBDA");
    cr_expect_eq(low[0x449], 3);
    cr_expect_eq(get16(0x44a), 80);
    cr_expect_eq(get16(0x463), 0x3d4);
    cr_expect_eq(low[0x484] + 1, 25);
}

Test(bios, the_table_has_each_cpu_and_where_each_interrupt_goes)
{
    for (unsigned cpus = 1; cpus <= 8; cpus++) {
        unsigned at, types[5] = {0}, lines = 0;

        mv_x86_oldpc.write_memory(&mem, cpus, false);
        at = find_table();
        unsigned end = at + get16(at + 4), entries = get16(at + 34);

        for (at += 44; at < end; at += low[at] == 0 ? 20 : 8) {
            cr_assert_leq(low[at], 4);
            types[low[at]]++;
            if (low[at] == 0) {
                cr_expect_eq(low[at + 1], types[0] - 1, "APIC IDs from 0 on");
                cr_expect_eq(low[at + 3], types[0] == 1 ? 3 : 1, "enabled; the first one boots");
            }
            if (low[at] == 2) {
                cr_expect_eq(low[at + 3], 1, "usable");
                cr_expect_eq(get32(at + 4), 0xfec00000);
            }
            if (low[at] == 3) {
                cr_expect_eq(low[at + 5], low[at + 7], "line N is pin N");
                lines |= 1u << low[at + 5];
            }
        }
        cr_expect_eq(at, end);
        cr_expect_eq(types[0], cpus);
        cr_expect(types[1] == 1 && types[2] == 1 && types[3] == 16 && types[4] == 2);
        cr_expect_eq(types[0] + 1 + 1 + 16 + 2, entries);
        cr_expect_eq(lines, 0xffff);
    }
}

Test(bios, of_too_many_cpus_the_table_has_the_first_39)
{
    static const unsigned cpus[] = {38, 39, 40, 512}, told[] = {38, 39, 39, 39};

    for (unsigned i = 0; i < MV_COUNT(cpus); i++) {
        unsigned at, end, found = 0;

        mv_x86_oldpc.write_memory(&mem, cpus[i], false);
        at = find_table();
        end = at + get16(at + 4);
        cr_expect_eq(get16(at + 34) - 20, told[i]);
        for (at += 44; at < end; at += low[at] == 0 ? 20 : 8)
            found += low[at] == 0;
        cr_expect_eq(found, told[i]);
        cr_expect_eq(low[0xa0000], 0);
    }
}

/* By CS alone, since the code is the same. */
Test(bios, each_vector_of_real_mode_leads_to_code_that_tells_which_it_was)
{
    mv_x86_oldpc.write_memory(&mem, 1, false);
    for (unsigned i = 0; i < 256; i++) {
        unsigned ip = get16(4 * i), cs = get16(4 * i + 2);

        cr_expect_eq(cs, 0xf000 + i);
        cr_assert_eq(16 * cs + ip, 0xfeff0);
    }
    cr_expect_eq(get32(0xfeff0), 0x10e0c166, "shl eax, 16");
    cr_expect_eq(get16(0xfeff4), 0xc88c, "mov ax, cs");
    cr_expect_eq(get16(0xfeff6) | (uint32_t)low[0xfeff8] << 16, 0xf6e766, "out 0xf6, eax");
    cr_expect_eq(low[0xff000], 0);
}
