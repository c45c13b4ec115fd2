/* SPDX-License-Identifier: MIT */
/* String instructions, and an exchange, on the registers of a virtio device: KVM hands over
 * several accesses at once, or none.  sectors=N. */
#include "virtio.h"

enum { ALL_ONES = 0xffffffff, CONFIG_SPACE = SLOT_SIZE - V_CONFIG };

static struct disk disk;

static void copy(uint64_t to, uint64_t from, unsigned count, unsigned size)
{
    uint64_t n = count;

    if (size == 1)
        __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
    else if (size == 2)
        __asm__ volatile("rep movsw" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
    else if (size == 4)
        __asm__ volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
    else
        __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

static void use_string_instructions(void)
{
    static uint8_t bytes[2 * SLOT_SIZE], slot[2 * SLOT_SIZE];
    uint64_t to, n;

    doing = "rep movs from the device";
    put(&disk, V_DEVICE_FEATURES_SEL, 0);
    for (unsigned size = 1; size <= 8; size *= 2) {
        for (unsigned i = 0; i < 2 * SLOT_SIZE; i += size) {
            uint64_t value = get_wide(&disk, i, size); /* beyond the device, too */

            memcpy(slot + i, &value, size);
        }
        memset(bytes, 0, sizeof(bytes));
        copy((uint64_t)bytes, disk.base, 2 * SLOT_SIZE / size, size);
        must(same(bytes, slot, sizeof(bytes)));
    }
    doing = "rep movs to the device";
    memset(bytes, 0xff, sizeof(bytes));
    copy(disk.base + V_CONFIG, (uint64_t)bytes, CONFIG_SPACE, 1);
    copy(disk.base + V_CONFIG, (uint64_t)bytes, CONFIG_SPACE / 8, 8);
    copy(disk.base, (uint64_t)bytes, V_CONFIG, 1);
    copy(disk.base, (uint64_t)bytes, V_CONFIG / 8, 8);
    must_be(get(&disk, V_STATUS), 0);
    must_be(disk_capacity(&disk), option("sectors", 0));
    copy(disk.base, (uint64_t)bytes, V_CONFIG / 4, 4); /* among all else this says FAILED */
    must_be(get(&disk, V_STATUS) & FAILED, FAILED);
    disk_reset(&disk);
    doing = "rep movs from the device to itself";
    copy(disk.base + V_CONFIG, disk.base, V_CONFIG / 4, 4);
    copy(disk.base, disk.base, SLOT_SIZE, 1);
    copy(disk.base, disk.base + V_CONFIG, CONFIG_SPACE / 4, 4);
    disk_reset(&disk);

    doing = "rep outs from the device";
    to = disk.base + V_CONFIG;
    n = 3;
    __asm__ volatile("rep outsb" : "+S"(to), "+c"(n) : "d"(SERIAL + SCR) : "memory");
    must_be(in8(SERIAL + SCR), option("sectors", 0) >> 16 & 0xff);
    doing = "rep ins to the device";
    to = disk.base + V_STATUS;
    n = 8;
    __asm__ volatile("rep insb" : "+D"(to), "+c"(n) : "d"(SERIAL + SCR) : "memory");
    must_be(get(&disk, V_STATUS), 0);
    to = disk.base + V_QUEUE_SEL;
    n = 1;
    __asm__ volatile("rep insl" : "+D"(to), "+c"(n) : "d"(SERIAL + SCR) : "memory");
    must_be(get(&disk, V_QUEUE_NUM_MAX), 0); /* it was all ones */
    disk_reset(&disk);
    doing = "rep stos to the device";
    to = disk.base + V_CONFIG;
    n = CONFIG_SPACE;
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(0x5a) : "memory");
    to = disk.base + V_QUEUE_NOTIFY;
    n = 1;
    __asm__ volatile("rep stosl" : "+D"(to), "+c"(n) : "a"(ALL_ONES) : "memory");
    doing = "a locked exchange with a register";
    {
        uint32_t value = ALL_ONES;

        __asm__ volatile("xchgl %0, %1"
                         : "+r"(value), "+m"(*(volatile uint32_t *)at(disk.base + V_QUEUE_SEL)));
        must_be(value, ALL_ONES);
    }
    must_be(get(&disk, V_QUEUE_NUM_MAX), 0);
}

void test(void)
{
    disk_init(&disk, 0);
    use_string_instructions();
    doing = "use it";
    must_work(&disk);
}
