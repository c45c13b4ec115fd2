/* SPDX-License-Identifier: MIT */
/*
 * The initrd: size=BYTES (0: none), each of them as the runner made it, below
 * the end of memory, and clear of the kernel; what follows up to the end of its
 * last page is zero.  wait=1: says "ready", and looks when a byte has come.
 */
#include "runtime.h"

static uint8_t pattern(uint64_t i)
{
    return (uint8_t)(i * 167 + (i >> 8) * 13 + 7);
}

static bool is_in_ram(uint64_t base, uint64_t size)
{
    for (unsigned i = 0; i < boot.count; i++)
        if (boot.memory[i].usable && base >= boot.memory[i].base &&
            base + size <= boot.memory[i].base + boot.memory[i].size)
            return true;
    return false;
}

void test(void)
{
    const uint8_t *data = (const uint8_t *)boot.initrd;
    uint64_t size = option("size", 0), i = 0;

    check_equal(boot.initrd_size, size);
    if (option("wait", 0)) {
        print("ready\n");
        get_byte();
    }
    if (size == 0) {
        check_equal(boot.initrd, 0);
        return;
    }
    check(is_in_ram(boot.initrd, size));
    check(boot.initrd >= (uint64_t)image_end || boot.initrd + size <= (uint64_t)image_start);
    check_equal(boot.initrd % 4096, 0);
    while (i < size && data[i] == pattern(i))
        i++;
    check_equal(i, size); /* the first byte that differs */
    for (; i % 4096; i++)
        check_equal(data[i], 0);
}
