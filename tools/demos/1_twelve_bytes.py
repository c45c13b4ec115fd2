#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Demo 1: twelve bytes in real mode, in Python. What it is about, 1_twelve_bytes.c says.
"""
import minivmm

CODE = bytes.fromhex("ba f8 03"  # mov dx, 0x3f8
                     "00 d8"     # add al, bl
                     "04 30"     # add al, '0'
                     "ee"        # out dx, al
                     "b0 0a"     # mov al, '\n'
                     "ee"        # out dx, al
                     "f4")       # hlt

with minivmm.Machine(code=CODE, mode=minivmm.Mode.MODE_16, bare=True, memory=64 << 10) as machine:
    machine.vcpu.registers["rax"] = 2
    machine.vcpu.registers["rbx"] = 3
    for out in machine.vcpu.exits():
        print(f"exit: `out` of {out.value} to port {out.address:#x}" + (f", which is '{chr(out.value)}'" if out.value >= 32 else ""))
