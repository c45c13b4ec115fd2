#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Demo 10: the same payload as a process, in a container, and in a virtual machine, in Python. What it is about, 10_three_ways.c says.
"""
import ctypes
import mmap
import os
import struct
import sys
import time

import minivmm

CODE = bytes.fromhex("e801000000"    # call payload
                     "f4"            # hlt
                     "b8c59d1c81"    # payload: mov eax, 0x811c9dc5
                     "3207"          # next: xor al, [rdi]
                     "69c093010001"  # imul eax, eax, 0x01000193
                     "48ffc7"        # inc rdi
                     "48ffce"        # dec rsi
                     "75f0"          # jnz next
                     "c3")           # ret
PAYLOAD, AT = 6, 0x10000000
NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = (1 << bit for bit in (17, 25, 26, 27, 28, 29, 30))
WALLS = NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWPID | NEWNET | (NEWUSER if os.geteuid() else 0)

libc = ctypes.CDLL(None, use_errno=True)
data = mmap.mmap(-1, 1 << 16)
data[:] = bytes([7]) * len(data)
data_at = ctypes.addressof(ctypes.c_uint8.from_buffer(data))

# The same bytes as a function of this process.
executable = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
executable.write(CODE)
payload = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p, ctypes.c_uint64)(
    ctypes.addressof(ctypes.c_uint8.from_buffer(executable)) + PAYLOAD)


def in_process(namespaces: int) -> tuple[int, int]:
    """Its sum and process id; with namespaces, of a process in them: who asks for one of process ids is itself outside of it."""
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        if namespaces:
            if libc.unshare(namespaces) < 0:
                print(f"unshare: {os.strerror(ctypes.get_errno())}\nhint: namespaces need root, or: "
                      "sudo sysctl kernel.unprivileged_userns_clone=1", file=sys.stderr)
                os._exit(1)
            if inside := os.fork():
                os._exit(os.waitstatus_to_exitcode(os.waitpid(inside, 0)[1]))
        os.write(writes, struct.pack("<Ii", payload(data_at, len(data)), os.getpid()))
        os._exit(0)
    os.close(writes)
    with os.fdopen(reads, "rb") as answer:
        words = answer.read()
    os.waitpid(child, 0)
    found, pid = struct.unpack("<Ii", words or bytes(8))
    return found, pid


def in_machine() -> tuple[int, int]:
    """Its sum, and no process id: there is nobody to ask."""
    with minivmm.Machine(code=CODE, bare=True, memory=1 << 17, memories=[minivmm.Memory(AT, data, read_only=True)]) as machine:
        machine.vcpu.registers.update(rdi=AT, rsi=len(data))
        machine.vcpu.run()
        return machine.vcpu.registers["rax"], -1


good = 0
for name, run in (("process", lambda: in_process(0)), ("container", lambda: in_process(WALLS)), ("machine", in_machine)):
    began = time.monotonic()
    found, pid = run()
    print(f"{name:9}  sum {found:08x}  process id {pid:5}  {(time.monotonic() - began) * 1e6:6.0f} us", flush=True)
    good += found == payload(data_at, len(data))
print(f"{good} of 3 have the sum that it should be")
sys.exit(good != 3)
