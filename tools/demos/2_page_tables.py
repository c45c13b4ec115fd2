#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Demo 2: long mode with page tables made by hand, in Python. What it is about, 2_page_tables.c says.
"""
import minivmm

PRESENT, WRITABLE, LARGE = 1, 2, 0x80
AT, TABLES = 0x40000000, 0x80000
CODE = bytes.fromhex("bb 00 00 01 40"  # mov ebx, 0x40010000
                     "8a 03"           # mov al, [rbx]
                     "e6 80"           # out 0x80, al
                     "f4")             # hlt


def print_walk(vcpu: minivmm.Vcpu, address: int) -> None:
    walk = vcpu.translate(address)
    print(f"{address:#x}:")
    for level in walk.levels:
        print(f"  {level.name:5} entry at {level.address:#7x} is {level.entry:#x}" + (", writable" if level.writable else "") +
              (", a page" if level.leaf else ""))
    print(f"  physical address {walk.address:#x}, in a page of {walk.page_size >> 10} KiB" if walk.mapped else f"  not mapped: {walk.why}")


with minivmm.Machine(code=CODE, bare=True, memory=2 << 20) as machine:
    entries = machine.memory(TABLES, 4 * 4096).cast("Q")
    entries[0] = TABLES + 0x1000 | PRESENT | WRITABLE      # PML4 -> PDPT: 512 GiB
    entries[512] = TABLES + 0x2000 | PRESENT | WRITABLE    # PDPT -> PD for the first GiB,
    entries[513] = TABLES + 0x3000 | PRESENT | WRITABLE    # and for the second
    entries[2 * 512] = PRESENT | WRITABLE | LARGE          # the code, where it was
    entries[3 * 512] = PRESENT | LARGE                     # and once more at 1 GiB
    entries.release()
    machine.vcpu.registers["cr3"] = TABLES
    print_walk(machine.vcpu, AT + 0x10000)
    print_walk(machine.vcpu, AT + (2 << 20))
    print(f"the guest read {machine.vcpu.run().value:#x} there: the first byte of its own code")
