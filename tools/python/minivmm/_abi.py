# SPDX-License-Identifier: MIT
"""The C interface of libminivmm, as ctypes sees it: minivmm.h, vcpu.h and device.h, and nothing else."""
import ctypes
import ctypes.util
import os
import sys
from ctypes import CFUNCTYPE, POINTER, Structure, Union, c_bool, c_char, c_char_p, c_int, c_int64, c_size_t, c_uint, c_uint8
from ctypes import c_uint32, c_uint64, c_void_p
from typing import Any, Optional


class _Given(Structure):
    """What a caller's numbers are put into: ctypes alone drops the bits for which there is no room."""

    def __init__(self, *values: object, **more: object) -> None:
        super().__init__(*values, **more)
        for name, value in [*zip((field[0] for field in self._fields_), values), *more.items()]:
            if isinstance(value, int) and getattr(self, name) != value:
                raise ValueError(f"{name} is {value:#x}, for which there is no room")


class _Sized(_Given):
    """And what begins with its size, which is set here."""

    def __init__(self, *values: object, **more: object) -> None:
        super().__init__(ctypes.sizeof(type(self)), *values, **more)


class _Argument:
    """A whole number that a function is given, by the same rule."""

    def __init__(self, kind: type) -> None:
        self.kind = kind

    def from_param(self, value: int) -> object:
        given = self.kind(value)
        if given.value != value:
            raise ValueError(f"{value:#x} is a number for which there is no room")
        return given


class Error(Structure):
    _fields_ = [("code", c_int), ("call", c_char * 40), ("tried", c_char * 400), ("hint", c_char * 400)]


class End(Structure):
    _fields_ = [("reason", c_int), ("code", c_int), ("vcpu", c_int)]


class Console(_Sized):
    _fields_ = [("size", c_size_t), ("input", c_int), ("output", c_int), ("filter", c_void_p), ("context", c_void_p), ("interactive", c_bool)]


class Disk(_Sized):
    _fields_ = [("size", c_size_t), ("path", c_char_p), ("serial", c_char_p), ("read_only", c_bool), ("direct", c_bool),
                ("queues", c_uint), ("cache", c_int), ("io", c_int)]


class Flat(_Sized):
    _fields_ = [("size", c_size_t), ("mode", c_int), ("address", c_uint64), ("code", c_char_p), ("bytes", c_size_t)]


class DeviceDesc(_Sized):
    _fields_ = [("size", c_size_t), ("name", c_char_p), ("compatible", c_char_p), ("node", c_char_p), ("hid", c_char_p), ("acpi_name", c_char_p),
                ("space", c_int), ("base", c_uint64), ("bytes", c_uint64), ("irq", c_int), ("clock", c_uint32), ("primecell", c_bool),
                ("coherent", c_bool), ("console", c_bool)]


DEVICE_READ = CFUNCTYPE(c_uint64, c_void_p, c_uint64, c_uint)
DEVICE_WRITE = CFUNCTYPE(None, c_void_p, c_uint64, c_uint, c_uint64)


DEVICE_READ_INTO = CFUNCTYPE(None, c_void_p, c_uint64, c_uint, POINTER(c_uint64))


class DeviceReader(_Sized):
    _fields_ = [("size", c_size_t), ("read", DEVICE_READ_INTO), ("state", c_void_p)]


class DeviceOps(_Sized):
    _fields_ = [("size", c_size_t), ("read", DEVICE_READ), ("write", DEVICE_WRITE), ("backpressure", c_void_p), ("quiesce", c_void_p),
                ("rescan", c_void_p), ("destroy", c_void_p)]


class CustomDevice(_Sized):
    _fields_ = [("size", c_size_t), ("desc", POINTER(DeviceDesc)), ("ops", POINTER(DeviceOps)), ("state", c_void_p)]


class Access(Structure):
    _fields_ = [("address", c_uint64), ("size", c_uint32), ("write", c_bool), ("value", c_uint64)]


class Hypercall(Structure):
    _fields_ = [("number", c_uint64), ("arguments", c_uint64 * 4), ("result", c_uint64)]


class DebugStop(Structure):
    _fields_ = [("reason", c_int), ("address", c_uint64)]


class ExitUnion(Union):
    _fields_ = [("access", Access), ("hypercall", Hypercall), ("debug", DebugStop), ("end", End)]


class Exit(_Sized):
    _anonymous_ = ("of",)
    _fields_ = [("size", c_size_t), ("kind", c_int), ("handled", c_bool), ("pc", c_uint64), ("of", ExitUnion)]


HOOK = CFUNCTYPE(c_bool, c_void_p, c_void_p, POINTER(Exit))
LOG = CFUNCTYPE(None, c_void_p, c_int, c_char_p)


class Hook(_Sized):
    _fields_ = [("size", c_size_t), ("kind", c_int), ("first", c_uint64), ("last", c_uint64), ("fn", HOOK), ("context", c_void_p)]


class CustomMemory(_Sized):
    _fields_ = [("size", c_size_t), ("address", c_uint64), ("bytes", c_uint64), ("host", c_void_p), ("read_only", c_bool)]


class Config(_Sized):
    _fields_ = [("size", c_size_t), ("kernel", c_char_p), ("initrd", c_char_p), ("append", c_char_p), ("memory", c_uint64),
                ("cpus", c_uint), ("console", POINTER(Console)), ("log", LOG), ("log_context", c_void_p), ("log_level", c_int),
                ("kvm_path", c_char_p), ("timeline", c_bool), ("single_step", c_bool), ("disks", POINTER(Disk)),
                ("disk_count", c_size_t), ("tables_only", c_bool), ("bare", c_bool), ("flat", POINTER(Flat)),
                ("devices", POINTER(CustomDevice)), ("device_count", c_size_t), ("hooks", POINTER(Hook)), ("hook_count", c_size_t),
                ("trace_records", c_size_t), ("virtio", c_void_p), ("virtio_count", c_size_t),
                ("memories", POINTER(CustomMemory)), ("memory_count", c_size_t), ("linux_append", c_char_p),
                ("initrds", POINTER(c_char_p)), ("initrd_count", c_size_t),
                ("rng", c_bool)]


class WalkLevel(Structure):
    _fields_ = [("name", c_char_p), ("address", c_uint64), ("entry", c_uint64), ("present", c_bool), ("writable", c_bool),
                ("user", c_bool), ("executable", c_bool), ("leaf", c_bool)]


class Walk(Structure):
    _fields_ = [("mapped", c_bool), ("address", c_uint64), ("page_size", c_uint64), ("writable", c_bool), ("user", c_bool),
                ("executable", c_bool), ("levels", c_uint), ("level", WalkLevel * 5), ("why", c_char * 120)]


class Register(Structure):
    _fields_ = [("name", c_char_p), ("group", c_int), ("bits", c_uint)]


class RegisterValue(Structure):
    _fields_ = [("name", c_char_p), ("value", c_uint64), ("high", c_uint64)]


class DebugPoint(Structure):
    _fields_ = [("access", c_int), ("address", c_uint64), ("size", c_uint32)]


class Debug(_Sized):
    _fields_ = [("size", c_size_t), ("step", c_bool), ("software", c_bool), ("count", c_uint), ("points", DebugPoint * 4)]


class TraceRecord(Structure):
    _fields_ = [("entered", c_uint64), ("left", c_uint64), ("done", c_uint64), ("address", c_uint64), ("value", c_uint64),
                ("reason", c_uint32), ("size", c_uint8), ("write", c_uint8), ("more", c_uint8), ("reserved", c_uint8)]


# name: (result, arguments); a machine and a vCPU are addresses
FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "mv_version": (c_char_p, []),
    "mv_config_validate": (c_int, [POINTER(Config), POINTER(Error)]),
    "mv_machine_create": (c_int, [POINTER(Config), POINTER(c_void_p), POINTER(Error)]),
    "mv_machine_start": (c_int, [c_void_p, POINTER(Error)]),
    "mv_machine_wait": (c_int, [c_void_p, POINTER(End), POINTER(Error)]),
    "mv_machine_end_fd": (c_int, [c_void_p]),
    "mv_machine_console_error": (c_int, [c_void_p]),
    "mv_machine_pause": (None, [c_void_p]),
    "mv_machine_hold": (None, [c_void_p]),
    "mv_machine_resume": (None, [c_void_p]),
    "mv_machine_stop": (None, [c_void_p, c_int]),
    "mv_machine_set_irq": (c_int, [c_void_p, c_int, c_bool]),
    "mv_device_read_into": (c_uint64, [c_void_p, c_uint64, c_uint]),
    "mv_machine_device": (c_bool, [c_void_p, c_char_p, POINTER(DeviceDesc)]),
    "mv_machine_report": (c_void_p, [c_void_p]),
    "mv_machine_explain": (c_int, [c_void_p, POINTER(c_void_p)]),
    "mv_machine_destroy": (None, [c_void_p]),
    "mv_machine_vcpu": (c_void_p, [c_void_p, c_uint]),
    "mv_machine_memory": (c_void_p, [c_void_p, c_uint64, c_size_t]),
    "mv_machine_trace_count": (c_uint64, [c_void_p, c_uint, POINTER(c_uint64)]),
    "mv_machine_trace": (c_size_t, [c_void_p, c_uint, c_uint64, POINTER(TraceRecord), c_size_t]),
    "mv_exit_name": (c_char_p, [c_uint32]),
    "mv_machine_memory_map": (c_uint, [c_void_p, c_uint, POINTER(c_uint64), POINTER(c_uint64)]),
    "mv_machine_breakpoints_work": (c_bool, [c_void_p]),
    "mv_vcpu_index": (c_uint, [c_void_p]),
    "mv_vcpu_run": (c_int, [c_void_p, c_int, c_int64, POINTER(Exit)]),
    "mv_vcpu_read": (c_int, [c_void_p, c_uint64, c_void_p, c_size_t]),
    "mv_vcpu_write": (c_int, [c_void_p, c_uint64, c_void_p, c_size_t]),
    "mv_vcpu_translate": (c_int, [c_void_p, c_uint64, POINTER(Walk)]),
    "mv_registers": (POINTER(Register), [POINTER(c_size_t)]),
    "mv_vcpu_get_bytes": (c_int, [c_void_p, c_size_t, POINTER(c_uint8)]),
    "mv_vcpu_get_registers": (c_int, [c_void_p, POINTER(RegisterValue), c_size_t]),
    "mv_vcpu_set_registers": (c_int, [c_void_p, POINTER(RegisterValue), c_size_t, POINTER(Error)]),
    "mv_vcpu_explain": (c_void_p, [c_void_p]),
    "mv_vcpu_debug": (c_int, [c_void_p, POINTER(Debug)]),
    "mv_vcpu_pass_breakpoint": (c_int, [c_void_p]),
    "mv_vcpu_disassemble": (c_int, [c_void_p, c_uint64, c_char_p, c_size_t]),
}


def _bundled() -> Optional[str]:
    """The library that came with the package."""
    # Of two folders, where the package was installed with pip install -e.
    paths = [os.path.join(folder, "libminivmm.so") for folder in sys.modules[__package__].__path__]
    return next((path for path in paths if os.path.exists(path)), None)


def load() -> ctypes.CDLL:
    """The library: $MINIVMM_LIBRARY, the one bundled with the package, or the system's."""
    path = os.environ.get("MINIVMM_LIBRARY") or _bundled() or ctypes.util.find_library("minivmm")
    if not path:
        raise ImportError("libminivmm is missing: pip install tools/python brings it, or MINIVMM_LIBRARY names it")
    library = ctypes.CDLL(path)
    for name, (result, arguments) in FUNCTIONS.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = [_Argument(kind) if kind in (c_int, c_int64, c_size_t, c_uint, c_uint32, c_uint64) else kind for kind in arguments]
    return library
