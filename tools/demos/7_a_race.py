#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Demo 7: two CPUs and a race, in Python. What it is about, 7_a_race.c says.
"""
import minivmm

ROUNDS, COUNTER = 1000000, 0x20000
CODES = {"without lock": "8b03 ffc0 8903 ffc9 75f6 f4", "with lock": "f0ff03 ffc9 75f9 f4"}

for how, code in CODES.items():
    with minivmm.Machine(code=bytes.fromhex(code), bare=True, memory=1 << 20, cpus=2) as machine:
        for vcpu in machine.vcpus:
            vcpu.registers["rbx"], vcpu.registers["rcx"] = COUNTER, ROUNDS
        machine.run()
        counted = int.from_bytes(machine.memory(COUNTER, 4), "little")
        print(f"{how}: {counted} of {2 * ROUNDS}")
