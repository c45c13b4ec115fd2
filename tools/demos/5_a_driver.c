/* SPDX-License-Identifier: MIT */
/*
 * Demo 5: a guest driver for virtio-blk.
 *
 * This file is built twice: with GUEST defined it is a kernel that does nothing but read one sector
 * of a disk, and without, the program that starts it:  demo-5_a_driver 5_a_driver.elf disk.img
 *
 * The disk is a device by virtio 1.2 (the sections below are its).  Driver and device share a queue
 * in the guest's memory: descriptors, which say where buffers are; a ring in which the driver
 * offers chains of them; and one in which the device gives them back.  A read is a chain of three:
 * what is wanted, room for the sector, room for one byte that says how it went.  One store to the
 * doorbell, QueueNotify, and the device goes to work.
 *
 * Questions: how many exits are there in all, and how many more for 100 sectors at once?  Which
 * writes have to be seen by the device in their order, and what would happen otherwise?  Make the
 * driver sleep until the interrupt instead of asking again and again (demo 6 has the parts).
 */
#include <stdint.h>

#ifdef GUEST

#define SLOTS 0xd0000000 /* where minivmm has virtio devices, one each 4 KiB */
/* Registers, 4.2.2; the 64-bit ones are two words. */
enum { MAGIC = 0, DEVICE_ID = 2, DRIVER_FEATURES = 8, DRIVER_FEATURES_SEL = 9, QUEUE_SEL = 12 };
enum { QUEUE_NUM = 14, QUEUE_READY = 17, QUEUE_NOTIFY = 20, STATUS = 28, QUEUE_DESC = 32 };
enum { QUEUE_DRIVER = 36, QUEUE_DEVICE = 40, CONFIG = 64 };
enum { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8 }; /* 2.1 */
enum { NEXT = 1, WRITE = 2 }; /* 2.7.5: there is one more; the device writes it */

static volatile struct {
    uint64_t address;
    uint32_t length;
    uint16_t flags, next;
} table[4];
static volatile struct {
    uint16_t flags, index, ring[4];
} offered;
static _Alignas(4) volatile struct {
    uint16_t flags, index;
    struct {
        uint32_t id, length;
    } ring[4];
} returned;
static struct {
    uint32_t type, reserved;
    uint64_t sector;
} request; /* 5.2.6; type 0: read; sector 0 */
static volatile char sector[513], outcome = 99;

static void out(uint16_t port, char value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

void start(void)
{
    volatile uint32_t *disk = (volatile uint32_t *)SLOTS;

    for (int i = 0; i < 16 && (disk[MAGIC] != 0x74726976 || disk[DEVICE_ID] != 2); i++)
        disk += 4096 / sizeof(*disk);
    disk[STATUS] = 0; /* 3.1.1: reset, and then step by step */
    disk[STATUS] = ACKNOWLEDGE;
    disk[STATUS] = ACKNOWLEDGE | DRIVER;
    disk[DRIVER_FEATURES_SEL] = 1; /* the upper 32: only VERSION_1, bit 32 */
    disk[DRIVER_FEATURES] = 1;
    disk[STATUS] = ACKNOWLEDGE | DRIVER | FEATURES_OK;
    disk[QUEUE_SEL] = 0; /* 4.2.3.2 */
    disk[QUEUE_NUM] = 4;
    disk[QUEUE_DESC] = (uint32_t)(uintptr_t)table; /* the upper halves are 0 since the reset */
    disk[QUEUE_DRIVER] = (uint32_t)(uintptr_t)&offered;
    disk[QUEUE_DEVICE] = (uint32_t)(uintptr_t)&returned;
    disk[QUEUE_READY] = 1;
    disk[STATUS] = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK;

    table[0].address = (uintptr_t)&request, table[0].length = 16;
    table[0].flags = NEXT, table[0].next = 1;
    table[1].address = (uintptr_t)sector, table[1].length = 512;
    table[1].flags = NEXT | WRITE, table[1].next = 2;
    table[2].address = (uintptr_t)&outcome, table[2].length = 1, table[2].flags = WRITE;
    offered.ring[0] = 0; /* the chain begins with descriptor 0 */
    __sync_synchronize();
    offered.index = 1; /* now the device may look, */
    __sync_synchronize();
    disk[QUEUE_NOTIFY] = 0; /* and is told to */
    while (returned.index == 0)
        __asm__ volatile("pause");
    for (volatile const char *text = sector; *text; text++)
        out(0x3f8, *text);
    out(0xf4, outcome); /* the machine ends, with the status 0 if all went well */
}

#else

#include <minivmm/minivmm.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct mv_disk disk = {.size = sizeof(disk), .path = argc > 2 ? argv[2] : NULL};
    struct mv_console console = {.size = sizeof(console), .in = -1, .out = STDOUT_FILENO};
    struct mv_config config = {.size = sizeof(config), .kernel = argc > 1 ? argv[1] : NULL};
    struct mv_machine *machine;
    struct mv_end end;
    struct mv_error err;

    config.console = &console;
    config.disks = &disk;
    config.disk_count = 1;
    if (mv_machine_create(&config, &machine, &err) < 0 || mv_machine_run(machine, &end, &err) < 0) {
        fprintf(stderr, "%s\nhint: %s\n", err.tried, err.hint);
        return 1;
    }
    mv_machine_destroy(machine);
    return end.reason == MV_END_EXIT_CODE ? end.code : 1;
}

#endif
