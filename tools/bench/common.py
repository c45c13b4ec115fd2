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
