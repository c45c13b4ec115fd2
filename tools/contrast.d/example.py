# SPDX-License-Identifier: MIT
"""
Made-up results of tools/contrast, for the tests of what shows results.  NOTHING IN HERE WAS MEASURED: the
numbers are drawn from a seeded generator, and no page made from them may pass for a measurement.
"""
import random

import results

MADE_UP = "made up, for tests"

# name, group, title, start ms, end ms, KiB of one more, what became of it
ROWS = [
    ("posix_spawn", "process", "posix_spawn", 0.61, 0.17, 130),
    ("fork", "process", "fork and exec", 0.79, 0.18, 150),
    ("nsrun", "container", "nsrun (by hand)", 2.4, 1.3, 420),
    ("bwrap", "container", "bubblewrap", 4.4, 2.1, 640),
    ("crun", "container", "crun", 9.5, 4.2, 900),
    ("runc", "container", "runc", 41, 9.5, 6300),
    ("lxc", "container", "LXC, lxc-execute", 37, 14, 3900),
    ("nspawn", "container", "systemd-nspawn (for rkt's stage 1)", 88, 61, 7400),
    ("podman", "container", "podman run, crun, no network", 240, 95, 21000),
    ("docker", "container", "docker run, containerd and runc, no network", 390, 210, 24000),
    ("minivmm-raw", "vm", "minivmm, raw guest", 1.7, 9.7, 900),
    ("minivmm-hello", "vm", "minivmm, hello kernel", 2.4, 12.3, 1300),
    ("minivmm-vmlinux", "vm", "minivmm, vmlinux", 77, 27, 19000),
    ("minivmm-bzImage", "vm", "minivmm, bzImage", 138, 26, 23000),
    ("qemu-microvm-vmlinux", "vm", "QEMU microvm, vmlinux", 217, 43, 61000),
    ("qemu-microvm-bzImage", "vm", "QEMU microvm, bzImage", 281, 44, 66000),
    ("qemu-q35", "vm", "QEMU q35 with SeaBIOS, bzImage", 905, 61, 93000),
    ("kvmtool", "vm", "kvmtool, bzImage", 190, 40, 27000),
    ("firecracker", "vm", "Firecracker, vmlinux", None, None, None),
    ("cloud-hypervisor", "vm", "Cloud Hypervisor, vmlinux, with a title that is far longer than any axis likes", None, None,
     None),
]

WHY_MISSING = {
    "firecracker": "firecracker is not on PATH: https://github.com/firecracker-microvm/firecracker/releases has a static "
                   "program; tools/contrast --rows firecracker measures it alone",
    "cloud-hypervisor": "cloud-hypervisor is not on PATH",
}

CRITERIA = [
    ("processes", "Processes", "Lists /proc and signals a process of the host."),
    ("files", "Files", "Opens a file that lies in the host's file system and was not given."),
    ("network", "Network", "Lists network links and connects to a port on which the host listens."),
    ("hostname", "Host name", "Reads the name of the host, and sets another."),
    ("users", "Users", "Whether user 0 inside is user 0 of the host."),
    ("kernel", "Kernel", "Whose kernel serves its system calls: boot id and version are compared."),
    ("modules", "Modules", "Reads the list of the kernel's modules, and tries to load one."),
    ("clock", "Clock", "Sets the clock, and looks whether the host's has changed."),
    ("log", "Kernel's log", "Reads the kernel's messages."),
    ("devices", "Devices", "Makes a device node and opens it."),
    ("memory", "Memory limit", "Allocates until refused; whether the host felt it."),
    ("fork_bomb", "Fork bomb", "Makes processes until refused; whether the host felt it."),
    ("cpu", "CPU features", "Whether the features of the processor are the host's (CPUID)."),
]

VALUES = {"host": "the host's", "shared": "partly", "own": "own", "none": "refused", "unknown": "unknown"}
PHASES = ["setup", "monitor", "kernel", "work", "shutdown", "teardown"]


def samples(rng, middle_ms, n, second=0.0):
    """Bimodal if second is given: that share comes a tick of the kernel, 4 ms, later."""
    return [int(middle_ms * 1e6 * rng.lognormvariate(0, 0.04)) + (4_000_000 if rng.random() < second else 0)
            for _ in range(n)]


def timeline(rng, group, start, end):
    """Phases without gaps; only virtual machines have a monitor and a kernel of their own."""
    shares = {"vm": [0.03, 0.17, 0.80], "container": [1.0, 0, 0], "process": [1.0, 0, 0]}[group]
    lengths = [int(start * share) for share in shares]
    lengths += [int(end * share) for share in ([0.1, 0.4, 0.5] if group == "vm" else [0.2, 0, 0.8])]
    phases, now = [], 0
    for phase, length in zip(PHASES, lengths):
        if length:
            phases.append({"phase": phase, "begin_ns": now, "end_ns": now + length})
            now += length
    return phases


def crowd(rng, start, end, n):
    starts, ends = samples(rng, start * (1 + n / 4), n), samples(rng, end, n)
    rounds = [([int(ns * factor) for ns in starts], ends) for factor in (0.99, 1, 1.02)]
    started = [max(times) for times, _ in rounds]
    ended = [max(times) + max(ends) for times, _ in rounds]
    return {"n": n, "all_started_ns": started[1], "all_ended_ns": min(ended), "rounds": {"started_ns": started, "ended_ns": ended},
            "series": results.make_series(sum((times for times, _ in rounds), []), 3 * ends)}


def memory(rng, group, each, n):
    pss = int((each * 0.9 + 900 / n) * n * rng.uniform(0.97, 1.03))
    return {"n": n, "processes": n * (1 if group != "container" else 2), "pss_kib": pss, "uss_kib": int(pss * 0.8),
            "daemons_pss_kib": 118000 if each == 24000 else None, "cgroup_kib": int(pss * 1.1), "cgroup_kernel_kib": 300 * n,
            "guest_kib": int(pss * 0.7) if group == "vm" else None, "system_kib": int(each * n * rng.uniform(1.0, 1.1)) + 1500}


def isolation(rng, group):
    odds = {"process": ["host"] * 9 + ["shared"], "container": ["own"] * 4 + ["none"] * 3 + ["shared"] * 2 + ["host"],
            "vm": ["own"] * 8 + ["none"] * 3 + ["unknown"]}[group]
    found = {}
    for key, title, _ in CRITERIA:
        verdict = "host" if key == "kernel" and group != "vm" else rng.choice(odds)
        found[key] = {"verdict": verdict, "value": VALUES[verdict],
                      "explain": f"{title}: a made-up sentence that says what was seen, long enough to need two lines."}
    return found


def surface(rng, group):
    direct = {"process": 362, "container": rng.randint(280, 340), "vm": 0}[group]
    found = {"direct": direct, "of": 362}
    if group == "vm":
        found["monitor_calls"] = {name: rng.randint(1, 90) for name in rng.sample(
            ["ioctl", "read", "write", "mmap", "munmap", "openat", "close", "futex", "clone3", "epoll_wait", "brk", "poll"], 9)}
        found["exits"] = {"IO": rng.randint(20, 4000), "MMIO": rng.randint(0, 900), "HLT": 1, "SHUTDOWN": 1}
        found["kvm_exits"] = rng.randint(5000, 90000)
    return found


def make_row(rng, name, group, title, start, end, each, n):
    row = {"name": name, "group": group, "title": title, "what": f"{title}: a sentence that was {MADE_UP}.",
           "version": None if group == "process" else "1.2.3", "missing": None}
    if start is None:
        row["missing"] = WHY_MISSING[name]
        return row
    bimodal = 0.3 if name in ("runc", "kvmtool", "minivmm-bzImage") else 0
    row.update({
        "command": [name, "--option", "a value", "payload"], "payload": name not in ("minivmm-raw", "minivmm-hello"),
        "mark": "a byte to port 0xf5" if group == "vm" else "a clock shared with the payload",
        "serial": results.make_series(samples(rng, start, n, bimodal), samples(rng, end, n)),
        "cold": results.make_series(samples(rng, start * 1.9 + 1.5, 5), samples(rng, end * 1.1, 5)),
        "crowd": {str(size): crowd(rng, start, end, size) for size in (1, 10, 50)},
        "memory": {str(size): memory(rng, group, each, size) for size in (1, 2, 5, 10, 20, 50)},
        "density": {"each_kib": each * 1.05, "per_gib": int(1048576 / (each * 1.05))},
        "rate": {"per_second": 1000 / (start + end) * 1.7, "count": 200, "at_once": 2,
                 "took_ns": int(200 * (start + end) * 1e6 / 1.7)},
        "steady": {"getpid": 80 * rng.uniform(1, 1.2), "page_fault": 600 * (rng.uniform(1.5, 2.1) if group == "vm" else 1),
                   "context_switch": 1500 * rng.uniform(0.95, 1.3), "read_4k": 400 * rng.uniform(0.95, 1.1),
                   "pipe_round_trip": 4200 * (rng.uniform(1.2, 3) if group == "vm" else rng.uniform(0.97, 1.1))},
        "isolation": isolation(rng, group), "surface": surface(rng, group)})
    row["timeline"] = timeline(rng, group, *[row["serial"]["summary"][part]["p50"] for part in ("start", "end")])
    row["marks"] = [[phase["end_ns"], f"end of {phase['phase']}"] for phase in row["timeline"]]
    return row


def gaps(rows):
    """Some parts could not be measured."""
    by_name = {row["name"]: row for row in rows}
    by_name["docker"]["cold"] = {"missing": "dockerd keeps its files mapped"}
    by_name["docker"]["crowd"]["50"] = {"missing": "dockerd refused after 38: too many open files"}
    by_name["lxc"]["memory"] = {"1": {"missing": "lxc-execute ended before it was looked at"}}
    by_name["lxc"]["density"] = {"missing": "no memory was measured"}
    by_name["qemu-q35"]["steady"] = {"missing": "it took longer than 60 s"}
    by_name["nspawn"]["surface"] = {"missing": "its seccomp filter could not be read"}
    by_name["kvmtool"]["surface"] = {"direct": 0, "of": 362}
    del by_name["crun"]["isolation"]["clock"]
    for name in ("minivmm-raw", "minivmm-hello"):
        by_name[name]["steady"] = {"missing": "the guest is no Linux"}
        by_name[name]["isolation"] = {"missing": "the guest is no Linux and probes nothing"}


def make(seed=1, n=100, emulated=True, deterministic=True):
    """Results of all rows, with gaps.  The same arguments give the same results."""
    rng = random.Random(seed)
    rows = [make_row(rng, *row, n) for row in ROWS]
    gaps(rows)
    return {
        "format": results.FORMAT,
        "manifest": {
            "created": "2026-01-02T03:04:05Z", "command": "tools/contrast --made-up", "where": "lab" if emulated else "here",
            "deterministic": deterministic, "emulated": emulated, "nested": False, "quick": False,
            "minivmm": f"0.0 ({MADE_UP})", "payload": "Writes one line and ends.",
            "parameters": {"starts": n, "cold_starts": 5, "guest_memory_mib": 128, "crowds": [1, 10, 50]},
            "machine": {"processor": MADE_UP, "cores": 1, "memory_kib": 4194304, "kernel": "6.1.0", "governor": None,
                        "turbo": False, "qemu": "7.2"}},
        "criteria": [{"key": key, "title": title, "explain": text} for key, title, text in CRITERIA],
        "rows": rows}


HOSTILE = "<script>alert('1')</script> & \"quoted\" </script><!-- $x_1$ --> ]]>"


def make_hostile():
    """Every text that comes from outside tries to be something else than text."""
    made = make(n=5)
    manifest = made["manifest"]
    manifest["command"] = manifest["minivmm"] = manifest["payload"] = HOSTILE
    manifest["machine"] = {HOSTILE: HOSTILE}
    manifest["parameters"] = {HOSTILE: [HOSTILE]}
    for criterion in made["criteria"]:
        criterion["title"] = criterion["explain"] = HOSTILE
    for number, row in enumerate(made["rows"]):
        row["name"] += HOSTILE
        row["title"] = f"{number} {HOSTILE}"
        row["what"] = row["version"] = HOSTILE
        if row["missing"]:
            row["missing"] = HOSTILE
            continue
        row["mark"], row["command"] = HOSTILE, [HOSTILE]
        row["marks"] = [[0, HOSTILE]]
        for cell in row["isolation"].values() if results.present(row["isolation"]) else []:
            cell["value"] = cell["explain"] = HOSTILE
        for section in ("cold", "density", "rate", "steady", "surface"):
            if number % 3 == 0:
                row[section] = {"missing": HOSTILE}
    return made
