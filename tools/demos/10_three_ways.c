/* SPDX-License-Identifier: MIT */
/*
 * Demo 10: the same payload as a process, a container and a virtual machine.
 *
 * The payload is a handful of instructions that compute a checksum.  The same bytes run three
 * times: in a process that was forked; in one that also has namespaces of its own, which is all
 * that a container is to the kernel; and in a machine with nothing else in it.  So the sum has to
 * be the same, and what differs is what surrounds it, and what that costs to start.
 *
 * Questions: which of the three could read your files?  Which times grow if the payload needs an
 * operating system?  (tools/contrast measures that, and tools/nsrun is a whole container.)
 */
#define _GNU_SOURCE
#include <linux/sched.h>
#include <minivmm/vcpu.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* FNV-1a, a C function by the calling convention; a machine begins with a call of it, and `hlt`. */
uint32_t payload(const void *data, uint64_t bytes);
extern const uint8_t guest[], guest_end[];
__asm__(".text\n"
        "guest:   call payload\n"
        "         hlt\n"
        "payload: movl $0x811c9dc5, %eax\n"
        "next:    xorb (%rdi), %al\n"
        "         imull $0x01000193, %eax\n"
        "         incq %rdi\n"
        "         decq %rsi\n"
        "         jnz next\n"
        "         ret\n"
        "guest_end:\n");

#define AT 0x10000000 /* where the machine sees the data, which it cannot write to */
static _Alignas(4096) uint8_t data[1 << 16];

struct answer {
    uint32_t sum;
    pid_t pid; /* what getpid says; -1: there is nobody to ask */
};

/* A process with these namespaces (0: with ours) runs the payload, and writes to a pipe. */
static struct answer in_process(uint64_t namespaces)
{
    struct clone_args args = {.flags = namespaces, .exit_signal = SIGCHLD};
    struct answer answer = {0};
    int ends[2];
    pid_t child = pipe(ends) < 0 ? -1 : (pid_t)syscall(SYS_clone3, &args, sizeof(args));

    if (child == 0) {
        answer = (struct answer){.sum = payload(data, sizeof(data)), .pid = getpid()};
        _exit(write(ends[1], &answer, sizeof(answer)) < 0);
    }
    if (child < 0) {
        perror("namespaces need root, or sysctl kernel.unprivileged_userns_clone=1: clone3");
        return answer;
    }
    close(ends[1]); /* else it would wait for itself if the child failed */
    if (read(ends[0], &answer, sizeof(answer)) < 0 || waitpid(child, NULL, 0) < 0)
        perror("no answer came");
    return answer;
}

static struct answer in_machine(void)
{
    struct mv_flat flat = {.size = sizeof(flat), .mode = MV_MODE_64, .code = guest};
    struct mv_custom_memory memory = {.size = sizeof(memory), .address = AT, .host = data};
    struct mv_config config = {.size = sizeof(config), .bare = true, .memory = 1 << 17};
    struct mv_machine *machine;
    struct mv_exit exit = {.size = sizeof(exit)};
    struct mv_error err;
    struct mv_vcpu *vcpu;
    uint64_t sum = 0;

    flat.bytes = (size_t)(guest_end - guest);
    memory.bytes = sizeof(data);
    config.flat = &flat;
    config.memories = &memory;
    config.memory_count = 1;
    if (mv_machine_create(&config, &machine, &err) < 0) {
        fprintf(stderr, "%s\nhint: %s\n", err.tried, err.hint);
        return (struct answer){.pid = -1};
    }
    vcpu = mv_machine_vcpu(machine, 0);
    mv_vcpu_set(vcpu, "rdi", AT);
    mv_vcpu_set(vcpu, "rsi", sizeof(data));
    if (mv_vcpu_run(vcpu, MV_UNTIL_EXIT, MV_FOREVER, &exit) == 0 && exit.kind == MV_EXIT_HALT)
        mv_vcpu_get(vcpu, "rax", &sum);
    mv_machine_destroy(machine);
    return (struct answer){.sum = (uint32_t)sum, .pid = -1};
}

int main(void)
{
    const uint64_t walls = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC |
                           (geteuid() ? CLONE_NEWUSER : 0);
    static const char *const names[] = {"process", "container", "machine"};
    unsigned good = 0;

    memset(data, 7, sizeof(data));
    for (unsigned i = 0; i < 3; i++) {
        struct timespec t[2];
        struct answer answer;

        clock_gettime(CLOCK_MONOTONIC, &t[0]);
        answer = i == 2 ? in_machine() : in_process(i == 1 ? walls : 0);
        clock_gettime(CLOCK_MONOTONIC, &t[1]);
        printf("%-9s  sum %08x  process id %5d  %6ld us\n", names[i], answer.sum, answer.pid,
               (t[1].tv_sec - t[0].tv_sec) * 1000000 + (t[1].tv_nsec - t[0].tv_nsec) / 1000);
        good += answer.sum == payload(data, sizeof(data));
    }
    printf("%u of 3 have the sum that it should be\n", good);
    return good == 3 ? 0 : 1;
}
