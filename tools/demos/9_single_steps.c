/* SPDX-License-Identifier: MIT */
/*
 * Demo 9: single steps, with registers shown.
 *
 * A debugger stops after each instruction.  So can we: the processor has a flag for it, KVM sets
 * it while the guest runs, and each instruction becomes an exit.  The guest does not notice.  Ours
 * computes Fibonacci's numbers in three registers.
 *
 * Questions: which register holds which number?  What does the guest see if it looks at its flags
 * with pushf?  How much slower is it?  (Demo 4 has the price of an exit.)
 */
#include <minivmm/vcpu.h>
#include <stdio.h>

static const uint8_t code[] = {
    0x31, 0xc0,                   /*        xor eax, eax */
    0xbb, 0x01, 0x00, 0x00, 0x00, /*        mov ebx, 1 */
    0xb9, 0x06, 0x00, 0x00, 0x00, /*        mov ecx, 6 */
    0x89, 0xc2,                   /* again: mov edx, eax */
    0x01, 0xda,                   /*        add edx, ebx */
    0x89, 0xd8,                   /*        mov eax, ebx */
    0x89, 0xd3,                   /*        mov ebx, edx */
    0xe2, 0xf6,                   /*        loop again */
    0xf4,                         /*        hlt */
};

/* The instruction as text, or, without capstone, its first byte. */
static void print_instruction(struct mv_vcpu *vcpu, uint64_t pc)
{
    char text[80];
    uint8_t byte = 0;

    if (mv_vcpu_disassemble(vcpu, pc, text, sizeof(text)) < 0) {
        mv_vcpu_read(vcpu, pc, &byte, 1);
        snprintf(text, sizeof(text), "%02x ...", byte);
    }
    printf("%#llx  %-18s", (unsigned long long)pc, text);
}

static uint64_t get(struct mv_vcpu *vcpu, const char *name)
{
    uint64_t value = 0;

    mv_vcpu_get(vcpu, name, &value);
    return value;
}

int main(void)
{
    struct mv_flat flat = {
        .size = sizeof(flat), .mode = MV_MODE_64, .code = code, .bytes = sizeof(code)};
    struct mv_config config = {
        .size = sizeof(config), .bare = true, .memory = 1 << 20, .flat = &flat};
    struct mv_machine *machine;
    struct mv_exit exit = {.size = sizeof(exit)};
    struct mv_vcpu *vcpu;
    struct mv_error err;
    uint64_t found;
    unsigned steps = 0;

    if (mv_machine_create(&config, &machine, &err) < 0) {
        fprintf(stderr, "%s\nhint: %s\n", err.tried, err.hint);
        return 1;
    }
    vcpu = mv_machine_vcpu(machine, 0);
    for (;;) {
        print_instruction(vcpu, get(vcpu, "rip"));
        if (mv_vcpu_run(vcpu, MV_UNTIL_STEP, MV_FOREVER, &exit) < 0 || exit.kind != MV_EXIT_DEBUG)
            break;
        steps++;
        printf("eax %-3llu ebx %-3llu ecx %-3llu edx %-3llu\n",
               (unsigned long long)get(vcpu, "rax"), (unsigned long long)get(vcpu, "rbx"),
               (unsigned long long)get(vcpu, "rcx"), (unsigned long long)get(vcpu, "rdx"));
    }
    found = get(vcpu, "rbx");
    printf("%s after %u steps: the number is %llu\n", mv_exit_kind_name(exit.kind), steps,
           (unsigned long long)found);
    mv_machine_destroy(machine);
    return exit.kind == MV_EXIT_HALT && found == 13 ? 0 : 1;
}
