#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Demo 3: a device, in Python. What it is about, 3_a_device.c says.
"""
import minivmm

CODE = bytes.fromhex("ba 00 01 00 00"  # mov edx, 0x100
                     "ec"              # again: in al, dx
                     "e6 80"           # out 0x80, al
                     "3c 06"           # cmp al, 6
                     "75 f9"           # jne again
                     "f4")             # hlt


class Die(minivmm.Device):
    """Each read throws it."""
    seed = 2026
    thrown = 0

    def read(self, offset: int, size: int) -> int:
        self.thrown += 1
        self.seed = (self.seed * 1664525 + 1013904223) % (1 << 32)
        return 1 + (self.seed >> 16) % 6


die = Die("die", size=1, base=0x100, port=True)
with minivmm.Machine(code=CODE, mode=minivmm.Mode.MODE_32, bare=True, memory=128 << 10, devices=[die]) as machine:
    for out in machine.vcpu.exits():
        print("the guest has thrown a", out.value)
print(die.thrown, "throws")
