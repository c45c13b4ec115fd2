#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Demo 8: two machines talk over shared memory, in Python. What it is about, 8_shared_memory.c says.
"""
import mmap
import threading

import minivmm

WAIT, RING, TURNS = 0x10, 0x11, 20
CODE = bytes.fromhex("e410"      # again: in al, 0x10          until the bell rings
                     "8b03"      # mov eax, [rbx]              how many letters there are
                     "88540304"  # mov [rbx+rax+4], dl         one more
                     "ff03"      # inc dword [rbx]
                     "e611"      # out 0x11, al
                     "ffc9"      # dec ecx
                     "75f0"      # jnz again
                     "f4")       # hlt

shared = mmap.mmap(-1, 4096)
bells = threading.Semaphore(1), threading.Semaphore(0)  # the first one begins


def create(mine: int, letter: bytes, address: int) -> minivmm.Machine:
    """A machine that sees the page at `address`."""
    def bell(_vcpu: minivmm.Vcpu, found: minivmm.Exit) -> bool:
        if found.address == RING:
            bells[1 - mine].release()
        else:
            bells[mine].acquire()
        return True

    machine = minivmm.Machine(code=CODE, bare=True, memory=1 << 20, memories=[minivmm.Memory(address, shared)],
                              hooks=[minivmm.Hook(bell, minivmm.Kind.PORT, WAIT, RING)])
    machine.vcpu.registers.update(rbx=address, rcx=TURNS, rdx=letter[0])
    return machine


with create(0, b"a", 0x10000000) as a, create(1, b"b", 0x20000000) as b:
    a.start()
    b.start()
    a.wait()
    b.wait()
    count = int.from_bytes(shared[:4], "little")
    print(f"{count} letters: {shared[4:4 + count].decode()}")
