# SPDX-License-Identifier: MIT
"""What the benchmarks share: architectures, the build that is measured, QEMU's smallest machine, and a guest's memory."""
import os
import subprocess
import sys

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NATIVE = os.uname().machine.replace("aarch64", "arm64")
QEMU = "qemu-system-" + os.uname().machine
QEMU_MACHINE, QEMU_CONSOLE = {
    "x86_64": ("microvm,x-option-roms=off,pit=off,pic=off,rtc=off,isa-serial=on", "ttyS0"),
    "arm64": ("virt,gic-version=host", "ttyAMA0"),
}[NATIVE]
QEMU_NAME = "QEMU " + QEMU_MACHINE.split(",", maxsplit=1)[0]


def qemu_cpu():
    """The processor of QEMU's machine: ours, but where QEMU emulates that, too, without the ends of interrupts in shared memory:
    vmm/arch/x86_64/machine.c says why."""
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        return "host,kvm-pv-eoi=off" if NATIVE == "x86_64" and "QEMU TCG" in file.read() else "host"


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def setup(arch, *options):
    """Installs what is missing; the options are those for this computer's own architecture."""
    options = options if arch == NATIVE else ["--" + arch]
    subprocess.run([f"{TREE}/tools/setup", *options], check=True, stdout=sys.stderr)


def build_folder(arch):
    """Made by the preset of its name. On the computer that builds: the lab's machine may be of another kind."""
    return os.path.join(TREE, "build", "release" if arch == NATIVE else f"{arch}-cross")


def build(arch, *targets):
    preset = os.path.basename(build_folder(arch))
    target = ["--target", *targets] if targets else []
    for command in (["cmake", "--preset", preset], ["cmake", "--build", "--preset", preset, *target]):
        subprocess.run(command, cwd=TREE, check=True, stdout=subprocess.DEVNULL)


def mappings(pid):
    """[[begin, end, KiB resident]] of a process, by address."""
    found = []
    with open(f"/proc/{pid}/smaps", encoding="utf-8", errors="replace") as file:
        for line in file:
            words = line.split()
            if words[0] == "Rss:":
                found[-1][2] = int(words[1])
            elif not words[0].endswith(":"):
                found.append([int(address, 16) for address in words[0].split("-")] + [0])
    return found


def guest_resident(found, least, most):
    """KiB resident of a guest's memory: of the neighbouring mappings that together have from least to most bytes; 0 if there
    are none."""
    best = 0
    for i, (begin, _, _) in enumerate(found):
        resident = 0
        for j in range(i, len(found)):
            size = found[j][1] - begin
            if size > most or (j > i and found[j][0] != found[j - 1][1]):
                break
            resident += found[j][2]
            if size >= least:
                best = max(best, resident)
    return best


# ---- what the kernel counts

# AMD's exit codes (APM volume 2, appendix C) and Intel's basic exit reasons (SDM volume 3, appendix C), by the names that both can have.
EXIT_REASONS = {
    "svm": {96: "interrupt", 97: "NMI", 100: "interrupt window", 101: "CR access", 114: "CPUID", 119: "PAUSE", 120: "HLT", 123: "port",
            124: "MSR", 127: "triple fault", 129: "hypercall", 141: "XSETBV", 1024: "nested page fault", 1025: "AVIC", 1026: "AVIC"},
    "vmx": {0: "exception", 1: "interrupt", 2: "triple fault", 7: "interrupt window", 10: "CPUID", 12: "HLT", 18: "hypercall", 28: "CR access",
            29: "DR access", 30: "port", 31: "MSR", 32: "MSR", 40: "PAUSE", 44: "APIC access", 48: "nested page fault",
            49: "nested page fault, MMIO", 52: "preemption timer", 54: "WBINVD", 55: "XSETBV", 56: "APIC write"},
}


def exit_reason(number):
    """In words, for this computer's processor."""
    amd = os.path.exists("/sys/module/kvm_amd")
    if amd and 0 <= number < 0x60:  # these have the register's or the vector's number in them
        return ("CR access", "DR access", "exception")[number >> 5]
    return EXIT_REASONS["svm" if amd else "vmx"].get(number, str(number))


class Histograms:
    """Counts events of the kernel (Documentation/trace/histogram.rst). As root."""

    FOLDER = "/sys/kernel/tracing"

    def __init__(self, events):
        """{event: fields that are told apart}; an event that is not there, or has other fields, is left out."""
        if not os.path.exists(f"{self.FOLDER}/events"):
            subprocess.run(["mount", "-t", "tracefs", "tracefs", self.FOLDER], check=True)
        self.events = {name: keys for name, keys in events.items() if self.has(name, keys)}

    def has(self, name, keys):
        try:
            with open(f"{self.FOLDER}/events/{name}/format", encoding="ascii") as file:
                text = file.read()
        except OSError:
            return False
        fields = {key.split(".")[0] for key in keys.split(",")} - {"common_pid"}
        return all(f" {field};" in text for field in fields)

    def trigger(self, name, text):
        with open(f"{self.FOLDER}/events/{name}/trigger", "w", encoding="ascii") as file:
            file.write(text)

    def start(self):
        for name, keys in self.events.items():
            self.trigger(name, f"hist:keys={keys}:size=2048")

    def stop(self):
        """[(event, {field: value}, count)] since the start."""
        found = []
        for name, keys in self.events.items():
            with open(f"{self.FOLDER}/events/{name}/hist", encoding="ascii") as file:
                for line in file:
                    if line.startswith("{"):
                        key, _, count = line[1:].rpartition("} hitcount:")
                        fields = dict(field.strip().split(":", 1) for field in key.split(","))
                        found.append((name, {field: " ".join(value.split()) for field, value in fields.items()}, int(count)))
            self.trigger(name, f"!hist:keys={keys}:size=2048")
        return found
