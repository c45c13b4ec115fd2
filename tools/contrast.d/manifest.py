# SPDX-License-Identifier: MIT
"""What the measurements were made on: all that is known to change them."""
import glob
import gzip
import os
import platform
import re
import subprocess


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return None


def kernel_option(name):
    """The value of an option in the running kernel's configuration."""
    text = read(f"/boot/config-{platform.release()}")
    if text is None and os.path.exists("/proc/config.gz"):
        with gzip.open("/proc/config.gz", "rt", encoding="ascii") as file:
            text = file.read()
    found = re.search(rf"^{name}=(.*)$", text or "", re.MULTILINE)
    return found[1] if found else None


def tick_rate():
    """HZ: from the configuration, else from the length of a jiffy, which /proc/timer_list shows."""
    option = kernel_option("CONFIG_HZ")
    if option:
        return int(option)
    text = read("/proc/timer_list") or ""
    low = re.search(r"^jiffies: (\d+)$", text, re.MULTILINE)
    now = re.search(r"^now at (\d+) nsecs", text, re.MULTILINE)
    if not low or not now:
        return None
    jiffies, seconds = int(low[1]), int(now[1]) / 1e9
    guesses = {hz: abs((jiffies - (2**32 - 300 * hz)) % 2**64 - seconds * hz) / hz for hz in (100, 250, 300, 1000)}
    best = min(guesses, key=guesses.get)
    return best if guesses[best] < 5 else None


def processor():
    text = read("/proc/cpuinfo") or ""
    found = re.search(r"^(?:model name|CPU implementer)\s*: (.*)$", text, re.MULTILINE)
    return found[1] if found else None


def hypervisor():
    found = subprocess.run(["systemd-detect-virt", "--vm"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False) \
        if os.path.exists("/usr/bin/systemd-detect-virt") else None
    return found.stdout.strip() if found and found.stdout else None


def is_emulated():
    return "TCG" in (read("/proc/cpuinfo") or "")


def bracketed(text):
    found = re.search(r"\[(\w+)\]", text or "")
    return found[1] if found else text


def machine():
    mitigations = {os.path.basename(path): read(path) for path in sorted(glob.glob("/sys/devices/system/cpu/vulnerabilities/*"))}
    active = [f"{name}: {text}" for name, text in mitigations.items() if text and not text.startswith("Not affected")]
    cgroups = next((line.split(" ")[3] for line in (read("/proc/mounts") or "").split("\n") if line.startswith("cgroup2 ")
                    or " cgroup2 " in line), None)
    memory = re.search(r"MemTotal:\s+(\d+)", read("/proc/meminfo") or "")
    release = re.search(r'^PRETTY_NAME="?([^"\n]*)', read("/etc/os-release") or "", re.MULTILINE)
    turbo = read("/sys/devices/system/cpu/intel_pstate/no_turbo")
    boost = read("/sys/devices/system/cpu/cpufreq/boost")
    facts = {
        "kernel": platform.release(),
        "kernel version": platform.version(),
        "architecture": platform.machine(),
        "distribution": release[1] if release else None,
        "processor": processor(),
        "CPUs": os.cpu_count(),
        "memory, MiB": int(memory[1]) // 1024 if memory else None,
        "hypervisor": hypervisor(),
        "HZ": tick_rate(),
        "preemption": next((word for word in ("PREEMPT_RT", "PREEMPT_DYNAMIC", "PREEMPT") if word in platform.version().split()), "none or voluntary"),
        "kernel command line": read("/proc/cmdline"),
        "mitigations": "; ".join(active) or "none needed",
        "cgroup2 mount options": cgroups,
        "favordynmods": "favordynmods" in (cgroups or ""),
        "transparent huge pages": bracketed(read("/sys/kernel/mm/transparent_hugepage/enabled")),
        "governor": read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "turbo": {"0": "on", "1": "off"}.get(turbo) if turbo else {"1": "on", "0": "off"}.get(boost) if boost else None,
        "SMT": read("/sys/devices/system/cpu/smt/control"),
    }
    for module in ("kvm", "kvm_intel", "kvm_amd"):
        for name in ("nx_huge_pages", "tdp_mmu", "halt_poll_ns", "ept", "npt", "nested", "enable_apicv", "avic"):
            value = read(f"/sys/module/{module}/parameters/{name}")
            if value is not None:
                facts[f"{module}.{name}"] = value
    return facts
