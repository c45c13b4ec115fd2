# SPDX-License-Identifier: MIT
"""
What of the host's kernel an instance reaches, counted and not estimated.

    direct(seen, host_seen) -> (reached, all)     system calls that it can make itself
    count(command, limit) -> {...}                a monitor: the calls that it makes, the exits that come to it
"""
import collections
import contextlib
import ctypes
import os
import platform
import re
import resource
import shutil
import signal
import struct
import subprocess
import tempfile

TRACING = "/sys/kernel/tracing"
PATIENCE = 30  # a run may wait so many times as long as it may work
PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}  # its number


def direct(seen, host_seen):
    """How many of the host kernel's system calls an instance can make itself, and how many there are: of what isolation.probe
    saw there, and on the host.  (0, all) on another kernel.  A number that was not found out is None."""
    import isolation  # only here: what counts is of use alone, too

    said = seen.get("calls", {}).get("said", {})
    of = host_seen.get("calls", {}).get("said", {}).get("calls_of") or said.get("calls_of")
    of = int(of) if of else None
    try:
        if isolation.Row(seen, host_seen, {}).own_kernel():
            return 0, of
    except isolation.Unknown:
        return None, of
    if "calls" in said:
        return int(said["calls"]), of
    unfiltered = seen.get("observe", {}).get("said", {}).get("seccomp") == "0"
    return (of if unfiltered else None), of


def run(command, limit, kill_after):
    """Runs it to its end, or kills it after kill_after seconds, which is an end, too.  One that takes more than limit seconds of
    the processor's time hangs.  (Of time that passes it may take more: the clock of a lab leaps while that waits for files.)"""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               start_new_session=True, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1)))
    killed = False
    try:
        try:
            errors = process.communicate(timeout=kill_after or PATIENCE * limit)[1]
        except subprocess.TimeoutExpired:
            if not kill_after:
                raise
            errors, killed = b"", True
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)  # what it may have left, too: nobody else is in its session
        if process.poll() is None:
            process.communicate()
    if process.returncode in (-signal.SIGXCPU, -signal.SIGKILL) and not killed:
        raise subprocess.TimeoutExpired(command, limit)
    return process.returncode, errors.decode(errors="replace")


# ---- the monitor's calls, by strace ----

def counted(lines, program):
    """({call: times}, {exit reason: times}) of what strace wrote with -f, from where this program begins: before it there may be
    others that start it."""
    calls, exits, begun = collections.Counter(), collections.Counter(), False
    for line in lines:
        line = re.sub(r"^\d+ +", "", line.rstrip("\n"))
        begun = begun or bool(re.match(rf'execve\("(?:[^"]*/)?{re.escape(os.path.basename(program))}", .* = 0$', line))
        if not begun:
            continue
        call = re.match(r"(\w+)\(", line)  # what is resumed was counted when it began
        if call:
            calls[call[1]] += 1
        reason = re.search(r"\((KVM_EXIT_\w+)\)$", line)
        if reason:
            exits[reason[1]] += 1
        elif ("KVM_RUN" in line or "<... ioctl resumed>" in line) and "= -1 EINTR " in line:
            exits["KVM_EXIT_INTR"] += 1  # a signal came; strace tells the reason only of calls that succeed
    return dict(calls.most_common()), dict(exits.most_common())


def strace(command, limit, kill_after, enter):
    if not shutil.which("strace"):
        raise RuntimeError("strace is not installed")
    with tempfile.NamedTemporaryFile(mode="r", errors="replace") as trace:
        options = ["-f", "-qq", "-e", "trace=all", "-e", "signal=none", "-e", "kvm=vcpu", "-o", trace.name]
        status, errors = run(["strace", *options, "--", *enter, *command], limit, kill_after)
        calls, exits = counted(trace, command[0])
    if not calls:
        raise RuntimeError(f"strace counted nothing, status {status}: {errors.strip()[-200:]}")
    if status > 0:  # below: it was killed because it does not end, which is as it should be
        raise RuntimeError(f"the monitor ended with status {status}: {errors.strip()[-200:]}")
    return calls, exits


# ---- all exits, by the tracepoint kvm:kvm_exit ----

@contextlib.contextmanager
def tracing():
    """The folder of the kernel's tracing, mounted for so long if it is not."""
    if os.path.isdir(TRACING + "/events") or os.geteuid() != 0:
        yield TRACING
        return
    with tempfile.TemporaryDirectory() as folder:
        mount = subprocess.run(["mount", "-t", "tracefs", "tracefs", folder], stderr=subprocess.DEVNULL, check=False)
        try:
            yield folder
        finally:
            if mount.returncode == 0:
                subprocess.run(["umount", folder], check=True)


def tracepoint(name):
    """Its number, or None."""
    try:
        with tracing() as folder, open(f"{folder}/events/{name}/id", encoding="ascii") as file:
            return int(file.read())
    except OSError:
        return None


def open_counter(number):
    """A file whose first 8 bytes count how often we and all that we start from now on pass the tracepoint; None if the
    kernel does not let us, perf_event_open(2)."""
    attr_size, kind_tracepoint, inherit = 64, 2, 1 << 1  # PERF_ATTR_SIZE_VER0, PERF_TYPE_TRACEPOINT
    attr = struct.pack("IIQQQQQIIQ", kind_tracepoint, attr_size, number, 0, 0, 0, inherit, 0, 0, 0)
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    which = PERF_EVENT_OPEN.get(platform.machine())
    file = call(ctypes.c_long(which), attr, 0, -1, -1, ctypes.c_ulong(8)) if which else -1  # ourselves, any CPU, close on exec
    return file if file >= 0 else None


def all_exits(command, limit, kill_after):
    """How often the guest was left, also where KVM did what was needed and the monitor heard nothing; None: not possible."""
    number = tracepoint("kvm/kvm_exit")
    file = open_counter(number) if number is not None else None
    if file is None:
        return None
    try:
        run(command, limit, kill_after)
        return struct.unpack("Q", os.read(file, 8))[0]
    finally:
        os.close(file)


def count(command, limit, kill_after=None, enter=()):
    """Runs a monitor's command twice: under strace, which counts the system calls that it makes and why KVM came back to it,
    and without, while all exits are counted.  limit: whole seconds of the processor's time, after which it is taken for hung.  A
    guest that is not meant to end is killed after kill_after seconds.
    enter: words before the command, which are not counted ("chroot", FOLDER).
    {"monitor_calls": {name: times}, "exits": {reason: times}, "kvm_exits": times, or None}"""
    calls, exits = strace(command, limit, kill_after, list(enter))
    return {"monitor_calls": calls, "exits": exits, "kvm_exits": all_exits([*enter, *command], limit, kill_after)}
