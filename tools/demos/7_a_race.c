/* SPDX-License-Identifier: MIT */
/*
 * Demo 7: two CPUs and a race.
 *
 * Two virtual CPUs are two threads of the host's, and they run at the same time.  Both add 1 to the
 * same number in memory, a million times each.  To add is to read, to add and to write; what the
 * other one writes in between is lost.  With the prefix `lock` the three are one, and nothing is.
 * The vCPUs halt when they are done; on a bare machine, where nothing could wake them, that is
 * its end.
 *
 * Questions: run it ten times; why does the first number change?  Can it ever be right?  What would
 * it be with one host CPU, and why?  (On a laboratory's emulated machine the race may be rare.)
 */
#include <minivmm/vcpu.h>
#include <stdio.h>
#include <string.h>

#define ROUNDS  1000000u
#define COUNTER 0x20000

/* Both begin here, with RBX: where the number is, and ECX: how often. */
static const uint8_t plain[] = {
    0x8b, 0x03, /* again: mov eax, [rbx] */
    0xff, 0xc0, /*        inc eax */
    0x89, 0x03, /*        mov [rbx], eax */
    0xff, 0xc9, /*        dec ecx */
    0x75, 0xf6, /*        jnz again */
    0xf4,       /*        hlt */
};
static const uint8_t locked[] = {
    0xf0, 0xff, 0x03, /* again: lock inc dword [rbx] */
    0xff, 0xc9,       /*        dec ecx */
    0x75, 0xf9,       /*        jnz again */
    0xf4,             /*        hlt */
};

/* The number that both have counted to; 0: it did not work. */
static uint32_t run(const uint8_t *code, size_t bytes)
{
    struct mv_flat flat = {.size = sizeof(flat), .mode = MV_MODE_64, .code = code, .bytes = bytes};
    struct mv_config config = {
        .size = sizeof(config), .bare = true, .memory = 1 << 20, .cpus = 2, .flat = &flat};
    struct mv_machine *machine;
    struct mv_end end = {0};
    struct mv_error err;
    uint32_t counted = 0;

    if (mv_machine_create(&config, &machine, &err) < 0) {
        fprintf(stderr, "%s\nhint: %s\n", err.tried, err.hint);
        return 0;
    }
    for (unsigned i = 0; i < 2; i++) {
        mv_vcpu_set(mv_machine_vcpu(machine, i), "rbx", COUNTER);
        mv_vcpu_set(mv_machine_vcpu(machine, i), "rcx", ROUNDS);
    }
    if (mv_machine_run(machine, &end, &err) < 0)
        fprintf(stderr, "%s\nhint: %s\n", err.tried, err.hint);
    else if (end.reason == MV_END_HALT)
        mv_machine_read(machine, COUNTER, &counted, sizeof(counted));
    mv_machine_destroy(machine);
    return counted;
}

int main(void)
{
    uint32_t without = run(plain, sizeof(plain)), with = run(locked, sizeof(locked));

    printf("without lock: %u of %u, %u lost\n", without, 2 * ROUNDS, 2 * ROUNDS - without);
    printf("with lock:    %u of %u\n", with, 2 * ROUNDS);
    return without >= 1 && without <= 2 * ROUNDS && with == 2 * ROUNDS ? 0 : 1;
}
