/* SPDX-License-Identifier: MIT */
/*
 * Demo 3: a device in 20 lines.
 *
 * A device is what answers at an address.  Ours has one port: a read throws a die.  The monitor
 * calls our function in the middle of the guest's `in`; for the guest nothing has happened but
 * that an instruction took long.
 *
 * Questions: could the guest find out that there is no die?  What would a device need that tells
 * the guest by itself when it has something new?
 */
#include <minivmm/device.h>
#include <minivmm/vcpu.h>
#include <stdio.h>

/* ---- the device ---- */

struct die {
    uint32_t seed;
    unsigned thrown;
};

static uint64_t read_die(void *state, uint64_t offset, unsigned size)
{
    struct die *die = state;

    (void)offset, (void)size;
    die->thrown++;
    die->seed = die->seed * 1664525 + 1013904223;
    return 1 + (die->seed >> 16) % 6;
}

static void write_die(void *state, uint64_t offset, unsigned size, uint64_t value)
{
    struct die *die = state;

    (void)offset, (void)size;
    die->seed = (uint32_t)value;
}

static const struct mv_device_ops ops = {.size = sizeof(ops), .read = read_die, .write = write_die};
static const struct mv_device_desc desc = {.size = sizeof(desc),
                                           .name = "die",
                                           .space = MV_SPACE_PORT,
                                           .base = 0x100,
                                           .bytes = 1,
                                           .irq = MV_NO_IRQ};

/* ---- a guest that throws it until there is a six ---- */

static const uint8_t code[] = {
    0xba, 0x00, 0x01, 0x00, 0x00, /*        mov edx, 0x100 */
    0xec,                         /* again: in al, dx */
    0xe6, 0x80,                   /*        out 0x80, al   nobody serves that: it comes to main */
    0x3c, 0x06,                   /*        cmp al, 6 */
    0x75, 0xf9,                   /*        jne again */
    0xf4,                         /*        hlt */
};

int main(void)
{
    struct die die = {.seed = 2026};
    struct mv_custom_device own = {.size = sizeof(own), .desc = &desc, .ops = &ops, .state = &die};
    struct mv_flat flat = {
        .size = sizeof(flat), .mode = MV_MODE_32, .code = code, .bytes = sizeof(code)};
    struct mv_config config = {.size = sizeof(config),
                               .bare = true,
                               .memory = 128 << 10,
                               .flat = &flat,
                               .devices = &own,
                               .device_count = 1};
    struct mv_machine *machine;
    struct mv_exit exit = {.size = sizeof(exit)};
    struct mv_error err;

    if (mv_machine_create(&config, &machine, &err) < 0) {
        fprintf(stderr, "%s\nhint: %s\n", err.tried, err.hint);
        return 1;
    }
    while (mv_vcpu_run(mv_machine_vcpu(machine, 0), MV_UNTIL_UNHANDLED, MV_FOREVER, &exit) == 0 &&
           exit.kind == MV_EXIT_PORT)
        printf("the guest has thrown a %llu\n", (unsigned long long)exit.access.value);
    printf("%u throws\n", die.thrown);
    mv_machine_destroy(machine);
    return exit.kind == MV_EXIT_HALT ? 0 : 1;
}
