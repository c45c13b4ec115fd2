# SPDX-License-Identifier: MIT
"""Talking to a Linux guest over its serial console, for the tests that boot one."""
import fcntl
import os
import pty
import re
import select
import subprocess
import termios
import time

LIMIT = 300  # seconds for a boot: an emulated machine is slow, and a busy one slower
ARM64 = os.uname().machine == "aarch64"
PROMPT = b"/ # "

passed = failed = 0


class Failure(Exception):
    pass


class Guest:
    """A running minivmm with its console on pipes, or on a terminal."""

    def __init__(self, minivmm, kernel, initramfs, cpus, memory, append, terminal=False):
        command = [minivmm, "-k", kernel, "-i", initramfs, "-c", str(cpus), "-m", memory, "-a", append]
        if terminal:
            self.input, other = pty.openpty()
            self.output = self.input
            self.child = subprocess.Popen(command, stdin=other, stdout=other, stderr=subprocess.PIPE,
                                          start_new_session=True, preexec_fn=take_terminal)
            os.close(other)
        else:
            self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                          stderr=subprocess.PIPE)
            self.input, self.output = self.child.stdin.fileno(), self.child.stdout.fileno()
        self.seen = b""
        self.deadline = time.monotonic() + LIMIT

    def wait_for(self, what):
        """Reads until `what` (bytes or a pattern) is seen; returns what came before and with it."""
        pattern = what if isinstance(what, re.Pattern) else re.compile(re.escape(what))
        while True:
            match = pattern.search(self.seen)
            if match:
                before, self.seen = self.seen[:match.end()], self.seen[match.end():]
                return before
            ready, _, _ = select.select([self.output], [], [], max(0, self.deadline - time.monotonic()))
            data = b""
            if ready:
                try:
                    data = os.read(self.output, 65536)
                except OSError:  # the terminal's other side is gone
                    pass
            if not data:
                if ready:
                    self.child.wait(10)  # its console is closed
                errors = self.child.stderr.read().decode() if self.child.poll() is not None else ""
                raise Failure(f"{what!r} did not come; last: {self.seen[-400:]!r} {errors}")
            self.seen += data

    def type(self, text):
        os.write(self.input, text)

    def run(self, command):
        """The output of a command typed into the shell."""
        # The quotes keep what the shell echoes from looking like what it prints.
        self.type(b"echo be''gin; " + command.encode() + b"; echo en''d\n")
        self.wait_for(b"begin\r\n")
        text = self.wait_for(b"end\r\n")[:-5]
        self.wait_for(PROMPT)
        return text.replace(b"\r", b"").decode(errors="replace")

    def wait_for_end(self):
        """The exit status, once the machine has ended."""
        end = time.monotonic() + 60
        while self.child.poll() is None and time.monotonic() < end:
            if select.select([self.output], [], [], 0.1)[0]:
                try:
                    self.seen += os.read(self.output, 65536)
                except OSError:
                    time.sleep(0.1)
        if self.child.poll() is None:
            raise Failure(f"it did not end; last: {self.seen[-400:]!r}")
        return self.child.returncode

    def close(self):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()


def take_terminal():
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def expect(what, wanted, got):
    if wanted != got:
        raise Failure(f"{what}: {got!r} instead of {wanted!r}")


def check_shell(guest, cpus, least_memory):
    guest.wait_for(b"minivmm: user space is up")
    guest.wait_for(PROMPT)
    expect("arithmetic in the shell", "42", guest.run("echo $((6 * 7))").split("\n")[0])
    info = guest.run("cat /proc/cpuinfo")
    expect("processors", cpus, len(re.findall(r"^processor\s*:", info, re.M)))
    if ARM64:
        topology = guest.run("cat /sys/devices/system/cpu/cpu*/topology/physical_package_id")
        expect("sockets", {"0"}, set(re.findall(r"^(\d+)", topology, re.M)))
    elif cpus > 1:  # a kernel on one CPU does not say these
        expect("sockets", {"0"}, set(re.findall(r"^physical id\s*: (\d+)", info, re.M)))
        expect("cores", {str(cpus)}, set(re.findall(r"^cpu cores\s*: (\d+)", info, re.M)))
        expect("siblings", {str(cpus)}, set(re.findall(r"^siblings\s*: (\d+)", info, re.M)))
    memory = int(re.search(r"MemTotal:\s*(\d+)", guest.run("cat /proc/meminfo")).group(1)) // 1024
    if memory < least_memory:
        raise Failure(f"the guest sees only {memory} MiB")
    date = int(guest.run("date +%s").split()[0])
    if abs(date - time.time()) > 600:
        raise Failure(f"the guest's date is {date}, and now is {time.time():.0f}")
    clock = guest.run("cat /sys/devices/system/clocksource/clocksource0/current_clocksource")
    best = "tsc" if re.search(r"\bnonstop_tsc\b", info) else "kvm-clock"  # the TSC where CPUID says that it neither stops nor changes
    expect("clock source", "arch_sys_counter" if ARM64 else best, clock.split("\n")[0])


def attempt(name, function, *arguments):
    global passed, failed
    began = time.monotonic()
    try:
        function(*arguments)
        passed += 1
        print(f"ok {name} # {time.monotonic() - began:.0f} s", flush=True)
    except Failure as why:
        failed += 1
        print(f"not ok {name}: {why}", flush=True)


def summary():
    """Prints the closing line; returns the exit status."""
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0
