/* SPDX-License-Identifier: MIT */
/*
 * Where nothing is, reads of every width give all ones and writes are dropped: below
 * the devices, between them, and beyond the end of memory, up to where KVM was told
 * that addresses end.
 */
#include "runtime.h"

void test(void)
{
    static const uint64_t places[] = {
        0x0,        0xfffff8,   SERIAL + 8, SERIAL + 0xfff8,    EXIT + 8,
        0x01041000, 0x01fffff8, SLOT_BASE,  SLOT_BASE + 0x1000, SLOT_BASE + 16 * 0x1000,
        0x07fffff8, 0x09000000, 0x0ffffff8, 0x20000000,         0x3ffffff8};
    uint64_t top = boot.memory[0].base + boot.memory[0].size;

    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        check_nothing_at(places[i]);
    check_nothing_at(unaligned(0x20000001));
    check_nothing_at(unaligned(0x20000ff9));
    check_nothing_at(top);
    if (top < 0xf0000000) {
        check_nothing_at(0xf0000000);
        check_nothing_at(0xfffffff8);
    }
}
