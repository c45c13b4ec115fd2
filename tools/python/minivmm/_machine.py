# SPDX-License-Identifier: MIT
"""All of the package minivmm, whose page is in its __init__.py."""
from __future__ import annotations

import abc
import contextlib
import ctypes
import difflib
import enum
import errno
import math
import mmap
import operator
import os
import re
import select
import signal
import sys
import threading
import time
import weakref
from dataclasses import dataclass, fields
from types import TracebackType
from typing import Any, Callable, Iterator, Mapping, MutableMapping, Optional, Sequence, Union

from . import _abi

_LIBRARY = _abi.load()
_FREE = ctypes.CDLL(None).free
_FREE.restype, _FREE.argtypes = None, [ctypes.c_void_p]
ANY_BASE, ANY_IRQ, NO_IRQ = (1 << 64) - 1, -2, -1


def _names(cls: type) -> list[str]:
    """What help() shows of a class: what is ours and public, and nothing that it has inherited of Python's."""
    return sorted({name for base in cls.__mro__ if base.__module__ in (__name__, __package__) for name in vars(base) if not name.startswith("_")})


class _Brief(type):
    def __dir__(cls) -> list[str]:
        return _names(cls)


class _BriefMapping(abc.ABCMeta):
    def __dir__(cls) -> list[str]:
        return _names(cls)


class _BriefEnum(enum.EnumMeta):
    def __dir__(cls) -> list[str]:
        return list(cls.__members__)


class _Enum(enum.IntEnum, metaclass=_BriefEnum):
    """One whose members have words. The names are C's, in minivmm/*.h; a second one for the same is an old one."""

    def __new__(cls, value: int, words: str = "") -> "_Enum":
        member = int.__new__(cls, value)
        member._value_ = value
        member.__doc__ = words
        return member


class Mode(_Enum):
    """The mode in which machine code begins."""
    MODE_16 = 0, "x86: real mode"
    MODE_32 = 1, "x86: protected mode, flat segments, no paging"
    MODE_64 = 2, "x86: long mode; arm64: EL1; the first 4 GiB mapped to themselves"
    MODE_EL1 = 3, "arm64: EL1 with the MMU off"
    REAL, PROTECTED, LONG, EL1 = MODE_16, MODE_32, MODE_64, MODE_EL1


class Kind(_Enum):
    """Why a vCPU stopped running its guest."""
    NONE = 0, "it has not yet"
    PORT = 1, "x86: `in` or `out`"
    MMIO = 2, "an access to an address where there is no memory"
    HYPERCALL = 3, "a call of the monitor's: a write to C's MV_HYPERCALL_PORT, or on arm64 MV_HYPERCALL_ADDRESS"
    HALT = 4, "x86, bare machines: `hlt`"
    DEBUG = 5, "a step, breakpoint or watchpoint"
    TIMEOUT = 6, "the time given to Vcpu.run is over"
    INTERRUPTED = 7, "a signal came, or Machine.pause was called"
    END = 8, "the machine has ended"
    ANY = NONE


class Until(_Enum):
    """How far Vcpu.run goes."""
    EXIT = 0, "to the next exit, also if a hook or device has handled it"
    UNHANDLED = 1, "to the next exit that neither has handled"
    END = 2, "to the end of the machine, or a halt that nobody has handled"
    STEP = 3, "over one instruction, or to an exit that comes before its end"
    UNKNOWN = UNHANDLED


class Reason(_Enum):
    """Why a machine ended."""
    NONE = 0, "it has not ended"
    POWER_OFF = 1, "the guest turned the machine off"
    REBOOT = 2, "the guest asked for a reset"
    EXIT_CODE = 3, "the guest wrote an exit status: End.code"
    PANIC = 4, "the guest's kernel reported a panic; raised as Crash"
    TRIPLE_FAULT = 5, "a vCPU shut down, by an exception that it could not deliver; raised as Crash"
    INTERNAL_ERROR = 6, "KVM could not go on with a vCPU; raised as Crash"
    STOPPED = 7, "stop() was called, or the console's output closed"
    HALT = 8, "a bare machine: every vCPU has halted, and nothing can wake one"
    BIOS_CALL = 9, "x86: the guest called a BIOS, which is not there; raised as Crash"


class DebugReason(_Enum):
    """Why a vCPU stopped for a debugger."""
    STEP = 0, "one instruction is done"
    SOFTWARE = 1, "a breakpoint instruction: int3, brk"
    BREAKPOINT = 2, "one of Vcpu.debug's"
    WATCHPOINT = 3, "one of Vcpu.debug's"


class Watch(_Enum):
    """What a break- or watchpoint waits for."""
    EXECUTE = 0, "an instruction is about to be executed"
    WRITE = 1, "data is written"
    ACCESS = 2, "data is read or written"


class Group(_Enum):
    """What kind of register it is."""
    GENERAL = 0, "general purpose, instruction pointer, flags"
    SEGMENT = 1, "x86: selectors, and base, limit and attributes of each"
    CONTROL = 2, "x86: CR0..., EFER, GDT and IDT"
    MSR = 3, "x86: model-specific ones"
    SYSTEM = 4, "arm64: of EL1"
    FLOAT = 5, "x87 and SSE; FP and SIMD"


class Error(OSError, metaclass=_Brief):
    """A failure, with `hint`: what a person can do about it, or ''; and `call`: the system call that failed, or ''."""
    __module__ = __package__  # as a traceback calls it

    def __init__(self, code: int, message: str, hint: str = "", call: str = "") -> None:
        super().__init__(-code, message)
        self.hint, self.call = hint, call

    def __str__(self) -> str:
        return (self.strerror or "") + (f" (hint: {self.hint})" if self.hint else "")


_HINTS = {errno.EBUSY: "another thread runs this vCPU, or this is one of its hooks: pause() the machine, or wait until run() returns",
          errno.EALREADY: "the machine was started, and its vCPUs have threads of their own"}


def _check(result: int, what: str) -> int:
    if result < 0:
        raise Error(result, f"{what}: {os.strerror(-result)}", _HINTS.get(-result, ""))
    return result


def _bits(value: int, what: str, bits: int = 64) -> int:
    """What a register of so many bits has then; -1 is all ones."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{what} is {value!r}, and not a whole number") from None
    if not -1 << bits - 1 <= number < 1 << bits:
        raise ValueError(f"{what} is {number:#x}, and has room for {bits} bits only")
    return number & (1 << bits) - 1


def _raise(error: _abi.Error) -> None:
    raise Error(error.code, os.fsdecode(error.tried), os.fsdecode(error.hint) or _HINTS.get(-error.code, ""), error.call.decode())


def _take(text: Optional[int], what: str) -> str:
    """A string of the library's, which is ours to free."""
    if not text:
        raise Error(-errno.EBUSY, f"{what}: the vCPU runs", _HINTS[errno.EBUSY])
    try:
        return ctypes.string_at(text).decode(errors="replace")
    finally:
        _FREE(text)


class _Data(metaclass=_Brief):
    """Plain data, whose addresses are shown in hexadecimal."""

    def __repr__(self) -> str:
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        return f"{type(self).__name__}(" + ", ".join(
            f"{name}={value:#x}" if name in _HEXADECIMAL and isinstance(value, int) and not isinstance(value, bool) else f"{name}={value!r}"
            for name, value in values) + ")"


_HEXADECIMAL = ("address", "base", "entry", "first", "last", "page_size", "size", "value")


@dataclass(frozen=True, repr=False)
class End(_Data):
    """How a machine ended; code: what the guest or stop() gave; vcpu: which ended it, or -1."""
    reason: Reason
    code: int
    vcpu: int


class Crash(RuntimeError, metaclass=_Brief):
    """The guest crashed: a triple fault, a panic, a call of a BIOS, or KVM could not go on. end: how; explanation: what explain() says,
    or where it has nothing to say, the report."""
    __module__ = __package__  # as a traceback calls it

    def __init__(self, end: End, explanation: str) -> None:
        super().__init__(f"the guest crashed: {end.reason.name}" + (f" on vCPU {end.vcpu}" if end.vcpu >= 0 else "")
                         + (f"\n{explanation}" if explanation else ""))
        self.end, self.explanation = end, explanation


_CRASHES = (Reason.PANIC, Reason.TRIPLE_FAULT, Reason.INTERNAL_ERROR, Reason.BIOS_CALL)


@dataclass(frozen=True, repr=False)
class Level(_Data):
    """One entry of a page walk."""
    name: str
    address: int
    entry: int
    present: bool
    writable: bool
    user: bool
    executable: bool
    leaf: bool


@dataclass(frozen=True, repr=False)
class Walk(_Data):
    """How an address is translated; why: the reason, where it is not mapped."""
    mapped: bool
    address: int
    page_size: int
    writable: bool
    user: bool
    executable: bool
    levels: tuple[Level, ...]
    why: str


@dataclass(frozen=True, repr=False)
class Traced(_Data):
    """One exit of a trace. Times are nanoseconds of CLOCK_MONOTONIC: the guest had the vCPU from `entered` to `left`, the monitor to
    `done`. reason: "IO", "MMIO"... size 0: no access."""
    entered: int
    left: int
    done: int
    address: int
    value: int
    reason: str
    size: int
    write: bool
    more: bool


_ACCESSES = (Kind.PORT, Kind.MMIO)


class Exit(metaclass=_Brief):
    """One exit. For PORT and MMIO: address, size, write, value; a hook, or whoever called Vcpu.run, sets value to answer a read.
    For HYPERCALL: number, arguments, result. For DEBUG: reason, address. For END: end. What its kind has not is an AttributeError.
    It stays as it is when the guest goes on, and from then on cannot be answered."""

    def __init__(self, raw: _abi.Exit) -> None:
        self._raw = raw
        self._is_last = True

    def _of(self, name: str, *kinds: Kind) -> Any:
        if self.kind not in kinds:
            raise AttributeError(f"an exit of the kind {self.kind.name} has no {name}")
        return {Kind.HYPERCALL: self._raw.hypercall, Kind.DEBUG: self._raw.debug, Kind.END: self._raw.end}.get(self.kind, self._raw.access)

    def _answered(self, name: str, *kinds: Kind) -> Any:
        member = self._of(name, *kinds)
        if not self._is_last:
            raise ValueError(f"{self}: the guest has gone on, and cannot be answered any more")
        return member

    def _copied(self) -> _abi.Exit:
        """For the library, which then may go on."""
        return _abi.Exit.from_buffer_copy(self._raw)

    def _given_back(self) -> _abi.Exit:
        """What the library gets; there is no other answer."""
        self._is_last = False
        return self._raw

    @property
    def kind(self) -> Kind:
        """Why the vCPU stopped."""
        return Kind(self._raw.kind)

    @property
    def handled(self) -> bool:
        """A hook or a device has handled it."""
        return bool(self._raw.handled)

    @property
    def pc(self) -> int:
        """The instruction's guest-virtual address; 0: see the register "rip" or "pc"."""
        return int(self._raw.pc)

    @property
    def address(self) -> int:
        """PORT: the port; MMIO: guest-physical; DEBUG: guest-virtual, of the instruction or of the data watched."""
        return int(self._of("address", *_ACCESSES, Kind.DEBUG).address)

    @property
    def size(self) -> int:
        """PORT and MMIO: bytes."""
        return int(self._of("size", *_ACCESSES).size)

    @property
    def write(self) -> bool:
        """PORT and MMIO: the guest writes."""
        return bool(self._of("write", *_ACCESSES).write)

    @property
    def value(self) -> int:
        """PORT and MMIO: what the guest writes, or will read, of which its low 8 * size bits count; all ones until somebody sets it."""
        return int(self._of("value", *_ACCESSES).value)

    @value.setter
    def value(self, value: int) -> None:
        self._answered("value", *_ACCESSES).value = _bits(value, "the value")

    @property
    def number(self) -> int:
        """HYPERCALL: which one."""
        return int(self._of("number", Kind.HYPERCALL).number)

    @property
    def arguments(self) -> tuple[int, ...]:
        """HYPERCALL: four."""
        return tuple(self._of("arguments", Kind.HYPERCALL).arguments)

    @property
    def result(self) -> int:
        """HYPERCALL: what the guest gets; 0 until somebody sets it."""
        return int(self._of("result", Kind.HYPERCALL).result)

    @result.setter
    def result(self, value: int) -> None:
        self._answered("result", Kind.HYPERCALL).result = _bits(value, "the result")

    @property
    def reason(self) -> DebugReason:
        """DEBUG: why."""
        return DebugReason(self._of("reason", Kind.DEBUG).reason)

    @property
    def end(self) -> End:
        """END: how the machine ended."""
        end = self._of("end", Kind.END)
        return End(Reason(end.reason), end.code, end.vcpu)

    def __repr__(self) -> str:
        if self.kind in _ACCESSES:
            return f"<{self.kind.name} {'write' if self.write else 'read'} {self.address:#x}, {self.size} bytes, {self.value:#x}>"
        if self.kind == Kind.HYPERCALL:
            return f"<HYPERCALL {self.number}>"
        if self.kind == Kind.DEBUG:
            return f"<DEBUG {self.reason.name} {self.address:#x}>"
        return f"<END {self.end}>" if self.kind == Kind.END else f"<{self.kind.name}>"


@dataclass(repr=False)
class Hook(_Data):
    """function(vcpu, exit) -> whether it has handled the exit. first, last: addresses, for PORT and MMIO."""
    function: Callable[["Vcpu", Exit], Optional[bool]]
    kind: Kind = Kind.ANY
    first: int = 0
    last: int = (1 << 64) - 1


@dataclass(eq=False, repr=False)
class Device(_Data):
    """A custom device: override read and write. A subclass's __init__ calls super().__init__(name, size, ...).
    port: its registers are ports (x86) and not memory addresses. base and irq become what the machine has chosen. irq n
    is pin n of the I/O APIC, on arm64 SPI n; ANY_IRQ: the lowest from 9, or 32, that is free. A bare machine has none."""
    name: str
    size: int
    base: int = ANY_BASE
    irq: int = NO_IRQ
    port: bool = False
    compatible: Optional[str] = None
    node: Optional[str] = None
    hid: Optional[str] = None
    acpi_name: Optional[str] = None

    def read(self, offset: int, size: int) -> int:
        """The register's value, a whole number of which the low 8 * size bits count; all ones where there is none."""
        return (1 << 8 * size) - 1

    def write(self, offset: int, size: int, value: int) -> None:
        """What the guest writes."""


@dataclass(repr=False)
class Disk(_Data):
    """A disk from a raw image or a block device."""
    path: str
    read_only: bool = False
    direct: bool = False
    serial: Optional[str] = None
    queues: int = 0


@dataclass(repr=False)
class Memory(_Data):
    """Memory that the caller owns, which machines that are given the same share: a buffer that begins at a page, as mmap.mmap(-1, bytes)
    does, at a guest-physical address of each machine's.  The machine holds the buffer until close().
    read_only: what the guest writes there is an exit, MMIO. The buffer itself has to be writable all the same."""
    address: int
    buffer: Union[mmap.mmap, bytearray, memoryview]
    read_only: bool = False


# Parts of registers, as assemblers name them: (pattern, the whole one, bits, shift).
_PARTS = ((r"e([a-d]x|[sd]i|[sb]p|ip)", r"r\1", 32, 0), (r"([a-d]x|[sd]i|[sb]p)", r"r\1", 16, 0), (r"([a-d])l", r"r\1x", 8, 0),
          (r"([a-d])h", r"r\1x", 8, 8), (r"([sd]i|[sb]p)l", r"r\1", 8, 0), (r"(r(?:8|9|1[0-5]))d", r"\1", 32, 0),
          (r"(r(?:8|9|1[0-5]))w", r"\1", 16, 0), (r"(r(?:8|9|1[0-5]))[bl]", r"\1", 8, 0), (r"e?flags", "rflags", 32, 0),
          (r"w(\d+)", r"x\1", 32, 0), (r"lr", "x30", 64, 0), (r"pc", "rip", 64, 0))


def _advice(name: str, known: Mapping[str, int]) -> str:
    """What to name instead."""
    for pattern, replacement, bits, shift in _PARTS:
        whole = re.sub(f"^{pattern}$", replacement, name)
        if whole != name and whole in known and name not in known:
            mask = f" & {(1 << bits) - 1:#x}" if bits < 64 else ""
            return f": it is registers[{whole!r}]{f' >> {shift}' if shift else ''}{mask}"
    near = [name] if name in known else difflib.get_close_matches(name, known)
    return f": is it {' or '.join(map(repr, near))}?" if near else ""


class Registers(MutableMapping[str, int], metaclass=_BriefMapping):
    """A vCPU's registers by their names in the manuals, as whole numbers. update() sets many at once, or on failure none: those that
    depend on each other, or dict(vcpu.registers) of another machine's vCPU, whose memory is to be copied before."""
    _numbers: Mapping[str, int] = {}
    _table: Sequence[_abi.Register] = ()

    def __init__(self, vcpu: "Vcpu") -> None:
        self._vcpu = vcpu
        if not Registers._numbers:
            count = ctypes.c_size_t()
            table = _LIBRARY.mv_registers(ctypes.byref(count))
            Registers._table = [table[i] for i in range(count.value)]
            Registers._numbers = {entry.name.decode(): i for i, entry in enumerate(Registers._table)}

    def _number(self, name: str) -> int:
        """Its place in the table."""
        try:
            return self._numbers[name]
        except (KeyError, TypeError):
            raise KeyError(f"there is no register {name!r}{_advice(str(name).lower(), self._numbers)}") from None

    def _bits(self, name: str) -> int:
        return int(self._table[self._number(name)].bits)

    def group(self, name: str) -> Group:
        """Which kind of register it is."""
        return Group(self._table[self._number(name)].group)

    def __getitem__(self, name: str) -> int:
        data = (ctypes.c_uint8 * 16)()
        _check(_LIBRARY.mv_vcpu_get_bytes(self._vcpu.handle, self._number(name), data), f"reading the register {name}")
        return int.from_bytes(bytes(data)[:(self._bits(name) + 7) // 8], "little")

    def __setitem__(self, name: str, value: int) -> None:
        self.update({name: value})

    def update(self, other: Any = (), /, **more: int) -> None:
        """Sets them, as dict.update() does, but all at once."""
        wanted = dict(other, **more)
        raw = (_abi.RegisterValue * len(wanted))()
        for number, (name, value) in enumerate(wanted.items()):
            bits = _bits(value, f"the register {name}", self._bits(name))
            raw[number] = _abi.RegisterValue(name.encode(), bits & (1 << 64) - 1, bits >> 64)
        error = _abi.Error()
        if _LIBRARY.mv_vcpu_set_registers(self._vcpu.handle, raw, len(raw), ctypes.byref(error)) < 0:
            _raise(error)

    def __delitem__(self, name: str) -> None:
        raise TypeError("a processor keeps its registers")

    def __iter__(self) -> Iterator[str]:
        raw = (_abi.RegisterValue * len(self._numbers))()
        count = _check(_LIBRARY.mv_vcpu_get_registers(self._vcpu.handle, raw, len(raw)), "reading the registers")
        return iter([one.name.decode() for one in raw[:count]])

    def __len__(self) -> int:
        return _check(_LIBRARY.mv_vcpu_get_registers(self._vcpu.handle, None, 0), "reading the registers")


class Vcpu(metaclass=_Brief):
    """A virtual CPU; the machine's."""

    def __init__(self, machine: "Machine", index: int) -> None:
        self.machine, self.index = machine, index
        self._last: Optional[Exit] = None
        self.registers = Registers(self)

    @property
    def handle(self) -> int:
        """Its address, for ctypes."""
        machine = self.machine.handle
        handle = _Handle(_LIBRARY.mv_machine_vcpu(machine, self.index) or 0)
        if not handle:
            raise IndexError(f"there is no vCPU {self.index}")
        handle.keeps.append(machine)
        return handle

    def run(self, until: Until = Until.UNHANDLED, timeout: Optional[float] = None) -> Exit:
        """Runs the guest in this thread; timeout in seconds, or None. What is to answer the exit before has to be set in it by now.
        Raises Crash when the machine has ended by one, and what the handler of a signal raises: KeyboardInterrupt."""
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        if math.isnan(deadline):
            raise ValueError("timeout is nan, which is no number of seconds")
        last, before = self._last or Exit(_abi.Exit()), self._last
        raw = last._copied()
        self._last = found = Exit(raw)
        self.machine.masks[threading.get_ident()] = signal.pthread_sigmask(signal.SIG_BLOCK, ()) | {signal.SIGRTMIN}
        _RUNNING[threading.get_ident()] = self.machine
        while True:
            # A signal ends the call, unless it came to another thread: so the interpreter is let look now and then.
            nanoseconds = int(1e9 * min(1.0, max(0.0, deadline - time.monotonic())))
            error = _LIBRARY.mv_vcpu_run(self.handle, until, nanoseconds, ctypes.byref(raw))
            if error < 0 or raw.kind != Kind.TIMEOUT or time.monotonic() >= deadline:
                break
        if error == -errno.EBUSY:
            self._last = before
        else:
            last._given_back()
            self.machine.raise_pending()
        if error == -errno.EINVAL:
            raise Error(error, f"running vCPU {self.index}: {os.strerror(-error)}", self.explain().split("\n", maxsplit=1)[0])
        _check(error, f"running vCPU {self.index}")
        if raw.kind == Kind.END:
            self.machine.ended(found.end)
        return found

    def exits(self, until: Until = Until.UNHANDLED) -> Iterator[Exit]:
        """Runs, and yields each exit until it halts or the machine ends: machine.end says how. Raises Crash if by one."""
        while True:
            found = self.run(until)
            if found.kind in (Kind.HALT, Kind.END):
                return
            if found.kind != Kind.INTERRUPTED:
                yield found

    def trace(self) -> tuple[list[Traced], int]:
        """Its newest exits, as many as Machine's trace_records asked for, and how many older ones are lost. While it does not run."""
        _check(_LIBRARY.mv_vcpu_read(self.handle, 0, None, 0), "reading the trace")  # nothing, which is busy while it runs
        lost = ctypes.c_uint64()
        raw = (_abi.TraceRecord * _LIBRARY.mv_machine_trace_count(self.machine.handle, self.index, ctypes.byref(lost)))()
        _LIBRARY.mv_machine_trace(self.machine.handle, self.index, 0, raw, len(raw))
        return [Traced(one.entered, one.left, one.done, one.address, one.value, _LIBRARY.mv_exit_name(one.reason).decode(), one.size,
                       bool(one.write), bool(one.more)) for one in raw], lost.value

    def step(self) -> Exit:
        """One instruction."""
        return self.run(Until.STEP)

    def read(self, address: int, size: int) -> bytes:
        """Memory at a guest-virtual address."""
        data = ctypes.create_string_buffer(size)
        _check(_LIBRARY.mv_vcpu_read(self.handle, address, data, size), f"reading {size} bytes at {address:#x}")
        return data.raw

    def write(self, address: int, data: bytes) -> None:
        """Changes memory at a guest-virtual address."""
        _check(_LIBRARY.mv_vcpu_write(self.handle, address, data, len(data)), f"writing {len(data)} bytes at {address:#x}")

    def translate(self, address: int) -> Walk:
        """Walks the page tables."""
        raw = _abi.Walk()
        _check(_LIBRARY.mv_vcpu_translate(self.handle, address, ctypes.byref(raw)), f"translating {address:#x}")
        levels = tuple(Level(one.name.decode(), one.address, one.entry, one.present, one.writable, one.user, one.executable, one.leaf)
                       for one in raw.level[:raw.levels])
        return Walk(raw.mapped, raw.address, raw.page_size, raw.writable, raw.user, raw.executable, levels, raw.why.decode())

    def debug(self, *points: tuple[Watch, int, int], software: bool = False, step: bool = False) -> None:
        """Sets what stops it: (Watch, address, size), at most 4; replaces what was set before."""
        if len(points) > 4:
            raise Error(-28, "at most 4 break- and watchpoints can be set")
        raw = _abi.Debug(step=step, software=software, count=len(points))
        for number, (kind, address, size) in enumerate(points):
            raw.points[number] = _abi.DebugPoint(kind, address, size)
        _check(_LIBRARY.mv_vcpu_debug(self.handle, ctypes.byref(raw)), "setting break- and watchpoints")

    def pass_breakpoint(self) -> None:
        """The breakpoint instruction that it has stopped at (DebugReason.SOFTWARE) is the guest's own: it gets its exception."""
        _check(_LIBRARY.mv_vcpu_pass_breakpoint(self.handle), "passing a breakpoint to the guest")

    def explain(self) -> str:
        """The rules of the processor's manual that the registers break, a line each; after a register was refused, those
        that it would have broken."""
        return _take(_LIBRARY.mv_vcpu_explain(self.handle), "explaining the registers")

    def disassemble(self, address: int) -> tuple[int, str]:
        """(bytes, text) of the instruction there."""
        text = ctypes.create_string_buffer(160)
        return _check(_LIBRARY.mv_vcpu_disassemble(self.handle, address, text, len(text)), f"disassembling at {address:#x}"), \
            text.value.decode()


class _Handle(int):
    """An address of the library's, and what has to stay as long as anybody uses it."""

    def __init__(self, _address: int) -> None:
        self.keeps: list[object] = []


class _MachineHandle(_Handle):
    """A machine, which is destroyed when nobody has it any more: no call that is under way in another thread, and no view of its
    memory."""

    def __init__(self, address: int) -> None:
        super().__init__(address)
        self.process = os.getpid()
        self.called: list[int] = []  # threads in which it calls us

    def __del__(self) -> None:
        if self.process != os.getpid() or sys.is_finalizing():
            return
        if threading.get_ident() not in self.called:
            _LIBRARY.mv_machine_destroy(int(self))
        else:  # a hook that outlives close(): its thread cannot wait for itself
            threading.Thread(target=lambda kept, address: _LIBRARY.mv_machine_destroy(address), args=(self.keeps, int(self))).start()


def _text(word: Optional[str]) -> Optional[bytes]:
    return None if word is None else os.fsencode(word)


class Machine(metaclass=_Brief):
    """
    A virtual machine, created by the constructor; `with` destroys it at the end, as close() does.

    kernel, initrd (several: one behind the other), append, memory (bytes), cpus, disks: as the program's options.
    code, mode, address: machine code instead of a kernel.  bare: without devices, interrupts and tables.
    single_step: an exit after each instruction, for explain().  trace_records: how many exits Vcpu.trace() keeps.
    rng: an entropy device (virtio), whose bytes are the host's.
    hooks, devices, memories: what the caller adds.
    output, input: file descriptors of the serial console.  log: called with each message.

    end: how it has ended, once run(), wait(), Vcpu.run() or Vcpu.exits() have told; or None.
    """

    def __init__(self, kernel: Optional[str] = None, *, initrd: Union[str, Sequence[str], None] = None, append: Optional[str] = None,
                 memory: int = 0, cpus: int = 1, code: Optional[bytes] = None, mode: Mode = Mode.MODE_64, address: int = 0,
                 bare: bool = False, single_step: bool = False, trace_records: int = 0, output: int = -1,
                 input: int = -1,  # pylint: disable=redefined-builtin
                 disks: Sequence[Disk] = (), hooks: Sequence[Hook] = (), devices: Sequence[Device] = (),
                 memories: Sequence[Memory] = (), rng: bool = False,
                 log: Optional[Callable[[str], None]] = None) -> None:
        self._handle: Optional[_MachineHandle] = None
        self._keeps: list[object] = []
        self._called: list[int] = []
        self.masks: dict[int, set[int]] = {}  # signal masks of the threads that have called Vcpu.run
        self._pending: Optional[BaseException] = None
        self._wait_is_due = False
        self.end: Optional[End] = None
        self.devices = list(devices)
        self.vcpus: list[Vcpu] = []
        initrds = [_text(path) for path in ([initrd] if isinstance(initrd, (str, bytes, os.PathLike)) else initrd or ())]
        config = _abi.Config(kernel=_text(kernel), append=_text(append),
                             initrds=(ctypes.c_char_p * len(initrds))(*initrds), initrd_count=len(initrds),
                             memory=memory, cpus=cpus, bare=bare, single_step=single_step, trace_records=trace_records, rng=rng)
        if code is not None:
            config.flat = ctypes.pointer(_abi.Flat(mode, address, code, len(code)))
        if not bare:
            config.console = ctypes.pointer(_abi.Console(input, output, None, None, False))
        self._add_disks(config, disks)
        self._add_hooks(config, hooks)
        self._add_devices(config, devices)
        self._add_memories(config, memories)
        if log is not None:
            said: Callable[[str], None] = log
            config.log = self._keep(_abi.LOG(lambda _context, _level, text: self._call(lambda: said(text.decode(errors="replace")))))
        handle, error = ctypes.c_void_p(), _abi.Error()
        if _LIBRARY.mv_machine_create(ctypes.byref(config), ctypes.byref(handle), ctypes.byref(error)) < 0:
            self._keeps.clear()
            _raise(error)
        self._handle = _MachineHandle(handle.value or 0)
        self.vcpus = [Vcpu(self, index) for index in range(cpus or 1)]
        self._handle.keeps, self._handle.called = self._keeps, self._called
        for device in devices:
            found = _abi.DeviceDesc()
            if _LIBRARY.mv_machine_device(self.handle, device.name.encode(), ctypes.byref(found)):
                device.base, device.irq = found.base, found.irq

    def _add_disks(self, config: _abi.Config, disks: Sequence[Disk]) -> None:
        raw = (_abi.Disk * len(disks))(*(_abi.Disk(_text(one.path), _text(one.serial), one.read_only, one.direct,
                                                   one.queues) for one in disks))
        config.disks, config.disk_count = raw, len(disks)

    def _add_hooks(self, config: _abi.Config, hooks: Sequence[Hook]) -> None:
        def ask(hook: Hook, vcpu: int, found: Any) -> bool:
            exit_ = Exit(_abi.Exit.from_buffer_copy(found[0]))
            try:
                return bool(hook.function(self.vcpus[_LIBRARY.mv_vcpu_index(vcpu)], exit_))
            finally:
                found[0] = exit_._given_back()

        def called(hook: Hook) -> object:
            return self._keep(_abi.HOOK(lambda _context, vcpu, found: self._call(lambda: ask(hook, vcpu, found)) or False))

        raw = (_abi.Hook * len(hooks))(*(_abi.Hook(one.kind, one.first, one.last, called(one)) for one in hooks))
        config.hooks, config.hook_count = raw, len(hooks)

    def _add_devices(self, config: _abi.Config, devices: Sequence[Device]) -> None:
        def read(one: Device, offset: int, size: int, value: Any) -> None:
            value[0] = _bits(one.read(offset, size), f"what the device {one.name} reads at {offset:#x}")

        read_into = ctypes.cast(_LIBRARY.mv_device_read_into, _abi.DEVICE_READ)
        raw = (_abi.CustomDevice * len(devices))()
        for number, one in enumerate(devices):
            if not hasattr(one, "name") or not hasattr(one, "size"):
                raise TypeError(f"{type(one).__name__} has no name and size: let its __init__ call super().__init__(name, size)")
            desc = _abi.DeviceDesc(_text(one.name), _text(one.compatible), _text(one.node), _text(one.hid), _text(one.acpi_name),
                                   int(one.port), one.base, one.size, one.irq)
            reader = _abi.DeviceReader(_abi.DEVICE_READ_INTO(
                lambda _state, offset, size, value, one=one: self._call(lambda: read(one, offset, size, value))), None)
            ops = _abi.DeviceOps(read_into, _abi.DEVICE_WRITE(
                lambda _state, offset, size, value, one=one: self._call(lambda: one.write(offset, size, value))))
            raw[number] = _abi.CustomDevice(ctypes.pointer(desc), ctypes.pointer(ops), ctypes.addressof(reader))
            self._keep((desc, ops, reader))
        config.devices, config.device_count = raw, len(devices)

    def _add_memories(self, config: _abi.Config, memories: Sequence[Memory]) -> None:
        raw = (_abi.CustomMemory * len(memories))()
        for number, one in enumerate(memories):
            mapped = (ctypes.c_uint8 * len(one.buffer)).from_buffer(one.buffer)
            self._keep(mapped)
            raw[number] = _abi.CustomMemory(one.address, len(one.buffer), ctypes.addressof(mapped), one.read_only)
        config.memories, config.memory_count = raw, len(memories)

    def _keep(self, thing: Any) -> Any:
        """What the library has a pointer to."""
        self._keeps.append(thing)
        return thing

    def _call(self, function: Callable[[], Any]) -> Any:
        """An exception cannot pass through C: it ends the machine, and is raised again outside."""
        try:
            self._called.append(threading.get_ident())
            mask = self.masks.get(threading.get_ident())
            if mask is None:
                return function()
            before = signal.pthread_sigmask(signal.SIG_SETMASK, mask)  # Ctrl-C comes through in here, and nowhere beside it
            try:
                return function()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
        except BaseException as error:  # pylint: disable=broad-exception-caught
            self.lost(error)
            return None
        finally:
            self._called.remove(threading.get_ident())

    def lost(self, error: BaseException) -> None:
        """To be raised outside; the machine ends."""
        self._pending = self._pending or error
        if self._handle:
            self.stop()

    def raise_pending(self) -> None:
        """Raises what a hook, device or log function has raised."""
        pending, self._pending = self._pending, None
        if pending:
            raise pending

    @property
    def handle(self) -> int:
        """Its address, for ctypes."""
        if self._handle is None:
            raise ValueError("the machine is closed")
        if self._handle.process != os.getpid():
            raise ValueError("the machine belongs to the process that has created it")
        return self._handle

    @property
    def vcpu(self) -> Vcpu:
        """The first vCPU."""
        return self.vcpus[0]

    def _finish(self) -> End:
        end, error = _abi.End(), _abi.Error()
        failed = _LIBRARY.mv_machine_wait(self.handle, ctypes.byref(end), ctypes.byref(error)) < 0
        self._wait_is_due = False
        self.raise_pending()
        if failed:
            _raise(error)
        return self.ended(End(Reason(end.reason), end.code, end.vcpu))

    def ended(self, end: End) -> End:
        """Keeps how it ended; raises Crash if it is one."""
        self.end = end
        if end.reason in _CRASHES:
            try:
                words = self.explain()
            except Error as error:  # this host has lost the registers: its hint helps
                words = str(error)
            raise Crash(end, words or self.report())
        return end

    def run(self) -> End:
        """Runs it in threads of its own until it ends. Raises Crash if by one, and what the handler of a signal raises, as
        KeyboardInterrupt: then it is stopped."""
        self.start()
        try:
            return self.wait()
        except BaseException:
            if self._wait_is_due:
                self.stop()
                with contextlib.suppress(Exception):
                    self._finish()
            raise

    def start(self) -> None:
        """Runs it in threads of its own, beside the caller."""
        error = _abi.Error()
        if _LIBRARY.mv_machine_start(self.handle, ctypes.byref(error)) < 0:
            _raise(error)
        self._wait_is_due = True

    def wait(self) -> End:
        """Until a machine that was started ends. Raises Crash if by one, and what the handler of a signal raises: it runs on then."""
        if self._wait_is_due:
            poll = select.poll()
            poll.register(self, select.POLLIN)
            poll.poll()
        return self._finish()

    def stop(self, code: int = 0) -> None:
        """Ends it; from any thread."""
        _LIBRARY.mv_machine_stop(self.handle, code)

    def pause(self) -> None:
        """Holds all vCPUs; each pause needs a resume."""
        _LIBRARY.mv_machine_pause(self.handle)

    def resume(self) -> None:
        """The opposite."""
        _LIBRARY.mv_machine_resume(self.handle)

    def fileno(self) -> int:
        """A file descriptor that is readable once it has ended: for select."""
        return int(_LIBRARY.mv_machine_end_fd(self.handle))

    def memory(self, address: Optional[int] = None, size: Optional[int] = None) -> memoryview:
        """Guest memory from a guest-physical address, which the guest may change at any time; all of the first piece by default.
        It may be used after close(): what the machine had of the host is free when all such views are gone."""
        handle, base, have = self.handle, ctypes.c_uint64(), ctypes.c_uint64()
        _LIBRARY.mv_machine_memory_map(handle, 0, ctypes.byref(base), ctypes.byref(have))
        address = base.value if address is None else address
        size = base.value + have.value - address if size is None else size
        at = _LIBRARY.mv_machine_memory(handle, address, size) if size > 0 else None
        if not at:
            raise Error(-14, f"{size} bytes at {address:#x} are not all memory")
        there = (ctypes.c_uint8 * size).from_address(at)
        setattr(there, "machine", handle)
        return memoryview(there).cast("B")

    def set_irq(self, irq: int, level: Union[bool, int]) -> None:
        """Drives the interrupt line of a custom device."""
        _check(_LIBRARY.mv_machine_set_irq(self.handle, irq, bool(level)), f"setting interrupt {irq}")

    def breakpoints_work(self) -> bool:
        """Whether a guest stops at them here."""
        return bool(_LIBRARY.mv_machine_breakpoints_work(self.handle))

    def explain(self) -> str:
        """After the end: what happened, in words; "" where there is nothing to explain. Error: this host's KVM has lost the
        registers, and single_step=True keeps them."""
        text = ctypes.c_void_p()
        error = _LIBRARY.mv_machine_explain(self.handle, ctypes.byref(text))
        if error == -errno.ENODATA:
            raise Error(error, "this computer's KVM has cleared the registers", "single_step=True keeps them")
        _check(error, "explaining the end")
        return _take(text.value, "explaining the end")

    def report(self) -> str:
        """After a bad end: the registers of the vCPU that ended it, the bytes at its instruction pointer, and its last exits."""
        return _take(_LIBRARY.mv_machine_report(self.handle), "making a report")

    def output_error(self) -> int:
        """Why the guest's output could not be written to `output`, a value of the module errno; 0: it could."""
        return -int(_LIBRARY.mv_machine_console_error(self.handle))

    def close(self) -> None:
        """Stops and destroys it: now, or when no other thread and no view of its memory needs it any more. May be called again."""
        if threading.get_ident() in self._called:
            raise RuntimeError("a machine cannot be closed by its own hook, device or log: stop() it")
        if self._handle is not None and self._handle.process == os.getpid():
            self.stop()
        self._handle, self._keeps, self._wait_is_due = None, [], False

    def __enter__(self) -> "Machine":
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        """A machine that was started, and has ended before anybody waited for it, is waited for: no crash goes unseen."""
        try:
            if kind is None and self._wait_is_due and (self._pending or select.select([self], [], [], 0)[0]):
                self.wait()
        finally:
            self.close()


# Which machine a thread has run last, in Vcpu.run. What a signal's handler raises there just as a callback begins or ends is out of reach
# of any `try` of ours: ctypes gives it to this hook.
_RUNNING: weakref.WeakValueDictionary[int, Machine] = weakref.WeakValueDictionary()


def _unraisable(unraisable: Any, before: Callable[[Any], Any] = sys.unraisablehook) -> None:
    machine = _RUNNING.get(threading.get_ident())
    if machine and "ctypes callback" in (unraisable.err_msg or ""):
        machine.lost(unraisable.exc_value)
    else:
        before(unraisable)


sys.unraisablehook = _unraisable


def version() -> str:
    """The library's."""
    text: bytes = _LIBRARY.mv_version()
    return text.decode()
