#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Demo 9: single steps, with registers shown, in Python. What it is about, 9_single_steps.c says.
"""
import minivmm

CODE = bytes.fromhex("31c0"         # xor eax, eax
                     "bb 01000000"  # mov ebx, 1
                     "b9 06000000"  # mov ecx, 6
                     "89c2"         # again: mov edx, eax
                     "01da"         # add edx, ebx
                     "89d8"         # mov eax, ebx
                     "89d3"         # mov ebx, edx
                     "e2f6"         # loop again
                     "f4")          # hlt

with minivmm.Machine(code=CODE, bare=True, memory=1 << 20) as machine:
    vcpu = machine.vcpu
    registers = vcpu.registers
    while vcpu.step().kind == minivmm.Kind.DEBUG:
        print(f"{registers['rip']:#x}  " + "  ".join(f"{name} {registers[name]:<3}" for name in ("rax", "rbx", "rcx", "rdx")))
    print("the number is", registers["rbx"])
