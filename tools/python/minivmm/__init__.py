# SPDX-License-Identifier: MIT
"""
Small KVM virtual machines.

    import minivmm

    code = bytes.fromhex("ba f8 03 00 d8 04 30 ee b0 0a ee f4")
    with minivmm.Machine(code=code, mode=minivmm.Mode.MODE_16, bare=True, memory=1 << 20) as machine:
        machine.vcpu.registers.update(rax=2, rbx=3)
        for exit in machine.vcpu.exits():
            print(chr(exit.value), end="")

It adds 2 and 3, and prints the 5. More of each name says help(minivmm.Machine), for example.

A machine
    Machine      a virtual machine, with a kernel or with machine code
    Mode         the mode in which machine code begins
    End, Reason  how a machine ended, and why
    Crash        raised when the guest crashed, with the explanation
    Error        raised when something failed, with a hint
    version()    the version of the library

A virtual CPU, machine.vcpu
    Vcpu         runs the guest in the caller's thread, and looks inside of it
    Exit, Kind   what the guest did that stopped it: Vcpu.run() and Vcpu.exits() return them
    Until        how far Vcpu.run() goes
    Traced       one exit of Vcpu.trace(), with its times

What a machine is given
    Hook         a function that is called at exits
    Device       a custom device: subclass it
    ANY_BASE     Device.base: where there is room; the default
    ANY_IRQ      Device.irq: an interrupt that is free
    NO_IRQ       Device.irq: none; the default
    Disk         a disk, from an image
    Memory       memory that the caller owns, which several machines can share

Looking inside
    Registers    vcpu.registers: a mapping from names to numbers
    Group        what kind of register it is: Registers.group()
    Walk, Level  how an address is translated, and each step of it: Vcpu.translate()
    Watch        what a break- or watchpoint of Vcpu.debug() waits for
    DebugReason  why a vCPU stopped for a debugger: Exit.reason

What may be called when, and from which thread, the headers say: minivmm/minivmm.h and minivmm/vcpu.h.
Functions that are called by a machine (hooks, devices, log) run in its threads; what they raise is raised again in
the thread that runs the machine or waits for it, which stops.

Ten programs to learn from are in tools/demos of the source.
"""
# No __all__: help() would then show every class in full. Each name is public by its "as".
from ._machine import ANY_BASE as ANY_BASE, ANY_IRQ as ANY_IRQ, NO_IRQ as NO_IRQ
from ._machine import Crash as Crash, DebugReason as DebugReason, Device as Device, Disk as Disk, End as End, Error as Error
from ._machine import Exit as Exit, Group as Group, Hook as Hook, Kind as Kind, Level as Level, Machine as Machine, Memory as Memory
from ._machine import Mode as Mode, Reason as Reason, Registers as Registers, Traced as Traced, Until as Until, Vcpu as Vcpu
from ._machine import Walk as Walk, Watch as Watch, version as version
