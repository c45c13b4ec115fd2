# SPDX-License-Identifier: MIT
"""What the benchmarks share: architectures, the build that is measured, and QEMU's smallest machine."""
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
