/* SPDX-License-Identifier: MIT */
/*
 * Demo 2: long mode with page tables made by hand, and the walk printed.
 *
 * A 64-bit processor looks for nothing by its physical address: four tables stand between.  Here
 * we write them ourselves, into the guest's memory, from outside: the 2 MiB that begin at 1 GiB of
 * the guest's addresses are the 2 MiB at 0.  Then we point CR3 to the first table, and the
 * guest reads through it.  mv_vcpu_translate walks the tables as the processor does, and tells of
 * every step.
 *
 * Questions: which bits of the address choose the entry of which table?  What changes if the
 * page is 4 KiB?  Clear bit 0 of the last entry: what does the guest do, and why is it a triple
 * fault?
 */
#include <minivmm/vcpu.h>
#include <stdio.h>

#define PRESENT  1ull
#define WRITABLE 2ull
#define LARGE    0x80ull
#define AT       0x40000000ull /* 1 GiB, as the guest sees it */
#define TABLES   0x80000ull    /* where we put ours */

static void print_walk(struct mv_vcpu *vcpu, uint64_t address)
{
    struct mv_walk walk;

    mv_vcpu_translate(vcpu, address, &walk);
    printf("%#llx:\n", (unsigned long long)address);
    for (unsigned i = 0; i < walk.levels; i++)
        printf("  %-5s entry at %#7llx is %#llx%s%s\n", walk.level[i].name,
               (unsigned long long)walk.level[i].address, (unsigned long long)walk.level[i].entry,
               walk.level[i].writable ? ", writable" : "", walk.level[i].leaf ? ", a page" : "");
    if (walk.mapped)
        printf("  physical address %#llx, in a page of %llu KiB\n",
               (unsigned long long)walk.address, (unsigned long long)walk.page_size / 1024);
    else
        printf("  not mapped: %s\n", walk.why);
}

int main(void)
{
    static const uint8_t code[] = {
        0xbb, 0x00, 0x00, 0x01, 0x40, /* mov ebx, 0x40010000   1 GiB and 64 KiB */
        0x8a, 0x03,                   /* mov al, [rbx] */
        0xe6, 0x80,                   /* out 0x80, al */
        0xf4,                         /* hlt */
    };
    struct mv_flat flat = {
        .size = sizeof(flat), .mode = MV_MODE_64, .code = code, .bytes = sizeof(code)};
    struct mv_config config = {
        .size = sizeof(config), .bare = true, .memory = 2 << 20, .flat = &flat};
    struct mv_machine *machine;
    struct mv_exit exit = {.size = sizeof(exit)};
    struct mv_vcpu *vcpu;
    struct mv_error err;
    uint64_t *tables;

    if (mv_machine_create(&config, &machine, &err) < 0) {
        fprintf(stderr, "%s\nhint: %s\n", err.tried, err.hint);
        return 1;
    }
    vcpu = mv_machine_vcpu(machine, 0);
    tables = mv_machine_memory(machine, TABLES, 4 * 4096);
    tables[0] = (TABLES + 4096) | PRESENT | WRITABLE;           /* PML4 -> PDPT: 512 GiB */
    tables[512] = (TABLES + 2 * 4096) | PRESENT | WRITABLE;     /* PDPT -> PD for the first GiB, */
    tables[512 + 1] = (TABLES + 3 * 4096) | PRESENT | WRITABLE; /* and for the second */
    tables[2 * 512] = 0 | PRESENT | WRITABLE | LARGE;           /* the code, where it was */
    tables[3 * 512] = 0 | PRESENT | LARGE;                      /* and once more at 1 GiB */
    mv_vcpu_set(vcpu, "cr3", TABLES);

    print_walk(vcpu, AT + flat.address + 0x10000);
    print_walk(vcpu, AT + (2 << 20));
    if (mv_vcpu_run(vcpu, MV_UNTIL_EXIT, MV_FOREVER, &exit) == 0 && exit.kind == MV_EXIT_PORT)
        printf("the guest read %#llx there: the first byte of its own code\n",
               (unsigned long long)exit.access.value);
    mv_machine_destroy(machine);
    return exit.kind == MV_EXIT_PORT && exit.access.value == code[0] ? 0 : 1;
}
