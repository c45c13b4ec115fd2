/* SPDX-License-Identifier: MIT */
/*
 * Demo 4: MMIO, and what an exit costs.
 *
 * A device can also be at an address of memory where there is none: memory-mapped I/O.  The
 * processor does not know what is there; it only finds that the page tables beneath the guest's
 * own, those of KVM, have nothing, and exits.  KVM then has to decode the instruction to learn what
 * was to be read or written.  So a store costs a nanosecond where there is memory, and
 * microseconds where there is not.  Here the same loop runs three times: on memory, on a port, and
 * on MMIO.
 *
 * Questions: why is MMIO dearer than a port?  A disk that takes one exit for each request of 4 KiB:
 * how many MB/s at most?  How does virtio get by with fewer?
 */
#include <minivmm/vcpu.h>
#include <stdio.h>
#include <time.h>

#define ROUNDS 20000u

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static bool count(void *context, struct mv_vcpu *vcpu, struct mv_exit *exit)
{
    (void)vcpu;
    if (exit->kind == MV_EXIT_HALT)
        return false;
    ++*(unsigned *)context;
    return true;
}

/* Nanoseconds for one round of the loop; *ret_exits is how many there were in all. */
static double measure(const uint8_t *code, size_t bytes, unsigned *ret_exits)
{
    struct mv_hook hook = {
        .size = sizeof(hook), .kind = MV_EXIT_ANY, .fn = count, .context = ret_exits};
    struct mv_flat flat = {.size = sizeof(flat), .mode = MV_MODE_32, .code = code, .bytes = bytes};
    struct mv_config config = {.size = sizeof(config),
                               .bare = true,
                               .memory = 1 << 20,
                               .flat = &flat,
                               .hooks = &hook,
                               .hook_count = 1};
    struct mv_machine *machine;
    struct mv_exit exit = {.size = sizeof(exit)};
    struct mv_error err;
    double began;

    *ret_exits = 0;
    if (mv_machine_create(&config, &machine, &err) < 0) {
        fprintf(stderr, "%s\nhint: %s\n", err.tried, err.hint);
        return -1;
    }
    mv_vcpu_set(mv_machine_vcpu(machine, 0), "rcx", ROUNDS);
    began = now();
    mv_vcpu_run(mv_machine_vcpu(machine, 0), MV_UNTIL_UNHANDLED, MV_FOREVER, &exit);
    began = now() - began;
    mv_machine_destroy(machine);
    return exit.kind == MV_EXIT_HALT ? began / ROUNDS : -1;
}

int main(void)
{
    /* 1: mov or out; loop 1; hlt */
    static const uint8_t memory[] = {0xa2, 0x00, 0x00, 0x02, 0x00, 0xe2, 0xf9, 0xf4};
    static const uint8_t port[] = {0xe6, 0x80, 0xe2, 0xfc, 0xf4};
    static const uint8_t mmio[] = {0xa2, 0x00, 0x00, 0x00, 0xe0, 0xe2, 0xf9, 0xf4};
    unsigned exits[3];
    double cost[] = {measure(memory, sizeof(memory), &exits[0]),
                     measure(port, sizeof(port), &exits[1]),
                     measure(mmio, sizeof(mmio), &exits[2])};
    static const char *const what[] = {"a store to memory", "an `out` to a port",
                                       "a store to MMIO"};

    for (unsigned i = 0; i < 3; i++)
        printf("%-19s %9.1f ns, %5u exits\n", what[i], cost[i], exits[i]);
    return cost[0] >= 0 && exits[0] == 0 && exits[1] == ROUNDS && exits[2] == ROUNDS ? 0 : 1;
}
