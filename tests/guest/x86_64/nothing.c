/* SPDX-License-Identifier: MIT */
/*
 * Where nothing is, reads of every width give all ones and writes are dropped:
 * ports, the hole for devices, addresses beyond the end of memory.  (The PIC's,
 * PIT's and ELCR's ports and the pages of the APICs are KVM's.)
 */
#include "runtime.h"

static void check_port(unsigned port)
{
    check_equal(in8(port), 0xff);
    check_equal(in16(port), 0xffff);
    check_equal(in32(port), 0xffffffff);
    out8(port, 0x12);
    out16(port, 0x1234);
    out32(port, 0x12345678);
    check_equal(in32(port), 0xffffffff);
}

void test(void)
{
    static const unsigned ports[] = {0x0,   0x60,  0x70,   0x80,   0xcf8,  0xcfc,
                                     0x1f0, 0x2f8, 0x3f4,  0x400,  0x620,  0x5ff,
                                     0x506, 0xf7,  0x1000, 0xfffc, 0xfffb, 0xffff};
    uint64_t top = 0;

    for (unsigned i = 0; i < sizeof(ports) / sizeof(ports[0]); i++)
        check_port(ports[i]);
    for (unsigned i = 0; i < boot.count; i++)
        if (boot.memory[i].base < 1ull << 32)
            top = boot.memory[i].base + boot.memory[i].size;
    check_nothing_at(0xc0000000);
    check_nothing_at(0xcffffffd);
    check_nothing_at(0xdffffff9); /* across pages */
    check_nothing_at(0xe0000ff9);
    check_nothing_at(0xfed00000); /* no HPET */
    check_nothing_at(0xfffffff0);
    if (top < 0xc0000000) {
        check_nothing_at(top);
        check_nothing_at(0xb0000000);
    }
    check_nothing_at(0x1c0000000); /* 7 GiB */

    /* One access that is half in memory: those bytes are memory's. */
    if (top < 0xc0000000) {
        *(volatile uint32_t *)at(top - 4) = 0x11223344;
        check_equal(*(volatile uint64_t *)at(top - 4), 0xffffffff11223344);
    }
}
