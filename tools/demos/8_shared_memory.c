/* SPDX-License-Identifier: MIT */
/*
 * Demo 8: two machines talk over shared memory.
 *
 * A guest's memory is memory of the monitor's process, so the same pages can be given to two
 * machines, each at an address of its own: what one writes, the other reads, at the speed of
 * memory, and nobody stands between.  What is missing is a way to say "look now".  That is a
 * doorbell: a port, whose exit wakes the other machine.  Here each machine waits for its bell,
 * appends its letter, and rings the other's.  (virtio works the same: rings in memory, and a bell.)
 *
 * Questions: which of the two costs more, the letter or the bell?  What would happen without the
 * bell, if both only looked again and again?  What may a machine do to the other one, if it is
 * hostile, and what not?
 */
#include <minivmm/vcpu.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#define TURNS 20

enum { WAIT = 0x10, RING = 0x11 }; /* ports */

static const uint8_t code[] = {
    0xe4, WAIT,             /* again: in al, 0x10          until the bell rings */
    0x8b, 0x03,             /*        mov eax, [rbx]       how many letters there are */
    0x88, 0x54, 0x03, 0x04, /*        mov [rbx+rax+4], dl  one more */
    0xff, 0x03,             /*        inc dword [rbx] */
    0xe6, RING,             /*        out 0x11, al */
    0xff, 0xc9,             /*        dec ecx */
    0x75, 0xf0,             /*        jnz again */
    0xf4,                   /*        hlt */
};

/* The page that both machines have. */
static _Alignas(4096) struct {
    uint32_t count;
    char letters[4092];
} shared;

struct side {
    struct mv_machine *machine;
    sem_t bell;
    struct side *other;
};

/* In the vCPU's thread: it is blocked like a program that reads from a pipe. */
static bool on_bell(void *context, struct mv_vcpu *vcpu, struct mv_exit *exit)
{
    struct side *side = context;

    (void)vcpu;
    if (exit->access.address == RING)
        sem_post(&side->other->bell);
    else
        sem_wait(&side->bell);
    return true;
}

/* A machine that sees the page at `address`. */
static bool create(struct side *side, struct side *other, char letter, uint64_t address)
{
    const struct mv_custom_memory page = {
        .size = sizeof(page), .address = address, .bytes = sizeof(shared), .host = &shared};
    const struct mv_hook hook = {.size = sizeof(hook),
                                 .kind = MV_EXIT_PORT,
                                 .first = WAIT,
                                 .last = RING,
                                 .fn = on_bell,
                                 .context = side};
    const struct mv_flat flat = {
        .size = sizeof(flat), .mode = MV_MODE_64, .code = code, .bytes = sizeof(code)};
    const struct mv_config config = {.size = sizeof(config),
                                     .bare = true,
                                     .memory = 1 << 20,
                                     .flat = &flat,
                                     .hooks = &hook,
                                     .hook_count = 1,
                                     .memories = &page,
                                     .memory_count = 1};
    struct mv_error err;

    side->other = other;
    sem_init(&side->bell, 0, 0);
    if (mv_machine_create(&config, &side->machine, &err) < 0) {
        fprintf(stderr, "%s\nhint: %s\n", err.tried, err.hint);
        return false;
    }
    mv_vcpu_set(mv_machine_vcpu(side->machine, 0), "rbx", address);
    mv_vcpu_set(mv_machine_vcpu(side->machine, 0), "rcx", TURNS);
    mv_vcpu_set(mv_machine_vcpu(side->machine, 0), "rdx", (uint8_t)letter);
    return true;
}

int main(void)
{
    struct side a = {0}, b = {0};
    struct mv_error err;
    struct mv_end end = {0};

    if (!create(&a, &b, 'a', 0x10000000) || !create(&b, &a, 'b', 0x20000000))
        return 1;
    if (mv_machine_start(a.machine, &err) < 0 || mv_machine_start(b.machine, &err) < 0)
        return 1;
    sem_post(&a.bell); /* a begins */
    mv_machine_wait(a.machine, &end, &err);
    mv_machine_wait(b.machine, &end, &err);
    printf("%u letters: %s\n", shared.count, shared.letters);
    mv_machine_destroy(a.machine);
    mv_machine_destroy(b.machine);
    return shared.count == 2 * TURNS && strncmp(shared.letters, "abababab", 8) == 0 ? 0 : 1;
}
