#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Demo 6: interrupts and a timer, in Python. What it is about, 6_a_timer.c says, and what each register of the APIC is for.
"""
import struct
import time

import minivmm

AT = 0x10000
CODE = bytes.fromhex("0f011d 4e000000"         # lidt [rip + 0x4e]              what follows after this code
                     "bb 0000e0fe"             # mov ebx, 0xfee00000            the local APIC
                     "c783f0000000 ff010000"   # mov dword [rbx+0xf0], 0x1ff    on
                     "c783e0030000 0b000000"   # mov dword [rbx+0x3e0], 0xb     by 1
                     "c78320030000 20000200"   # mov dword [rbx+0x320], 0x20020 periodic, vector 0x20
                     "c78380030000 80969800"   # mov dword [rbx+0x380], 10000000
                     "31c9"                    # xor ecx, ecx
                     "fb"                      # again: sti
                     "f4"                      # hlt
                     "ebfc"                    # jmp again
                     "ffc1"                    # tick: inc ecx
                     "89c8"                    # mov eax, ecx
                     "e680"                    # out 0x80, al
                     "83f90a"                  # cmp ecx, 10                    where no tick can come between
                     "740c"                    # je done
                     "c783b0000000 00000000"   # mov dword [rbx+0xb0], 0        EOI
                     "48cf"                    # iretq
                     "b000"                    # done: mov al, 0
                     "e6f4")                   # out 0xf4, al                   the end, status 0
TICK = CODE.index(bytes.fromhex("ffc1"))
IDT = AT + len(CODE) + 10
GUEST = (CODE + struct.pack("<HQ", 33 * 16 - 1, IDT)                               # what lidt loads
         + bytes(32 * 16)                                                          # vectors 0 to 31: nobody is there
         + struct.pack("<HHHHQ", AT + TICK & 0xffff, 0x10, 0x8e00, AT >> 16, 0))   # vector 32: an interrupt gate

with minivmm.Machine(code=GUEST, address=AT, memory=16 << 20) as machine:
    began = time.monotonic()
    for tick in machine.vcpu.exits():
        print(f"{(time.monotonic() - began) * 1e3:6.1f} ms: tick {tick.value}")
    print("then the end, with status", machine.vcpu.run().end.code)
