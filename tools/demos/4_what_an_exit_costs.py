#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Demo 4: MMIO, and what an exit costs, in Python. What it is about, 4_what_an_exit_costs.c says; here each exit also costs what
Python takes to hear of it.
"""
import time

import minivmm

ROUNDS = 2000
CODES = {"a store to memory": "a2 00000200 e2 f9 f4", "an `out` to a port": "e6 80 e2 fc f4", "a store to MMIO": "a2 000000e0 e2 f9 f4"}

for what, code in CODES.items():
    exits = 0

    def count(_vcpu: minivmm.Vcpu, found: minivmm.Exit) -> bool:
        global exits
        exits += found.kind != minivmm.Kind.HALT
        return found.kind != minivmm.Kind.HALT

    with minivmm.Machine(code=bytes.fromhex(code), mode=minivmm.Mode.MODE_32, bare=True, memory=1 << 20,
                         hooks=[minivmm.Hook(count)]) as machine:
        machine.vcpu.registers["rcx"] = ROUNDS
        began = time.monotonic_ns()
        machine.vcpu.run()
        print(f"{what:19} {(time.monotonic_ns() - began) / ROUNDS:9.1f} ns, {exits:5} exits")
