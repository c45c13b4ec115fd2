# SPDX-License-Identifier: MIT
"""
Isolation, by probing: what tools/contrast.d/probe saw in a row, and what that means.

    seen = probe(run, log)                   runs the probe in the row, as often as is needed
    matrix = judge(seen, host_seen, facts)   one verdict for each of CRITERIA

A verdict follows from nothing but what was seen in there and what the same probe saw as a plain process
of the host.  Where that does not decide it, the verdict is "unknown", and says why.

    host     it sees or touches the host's
    shared   partly so
    own      it has one of its own
    none     there is no such thing in there, or it was refused
"""
import os
import re
import socket
import struct
import subprocess
import threading

PORT = 8080
LISTEN_MS = 4000
CPU_MS = 1000  # ten periods of the scheduler's bandwidth control
WAIT = 120  # s, for one that runs in the background
FORKS = 100
FEW = 60  # percent of one CPU: what a limit of 50 % may let through in so short a time

CRITERIA = [
    {"key": "kernel", "title": "kernel",
     "explain": "Its boot id (/proc/sys/kernel/random/boot_id) is compared with the host's, and the host looks for its process, "
                "since some containers are shown one that is made up. Host: it runs on the host's kernel, own: on another."},
    {"key": "processes", "title": "processes",
     "explain": "The processes in /proc, and which of them a signal could be sent to. Host: they are the host's, shared: its own "
                "have numbers of their own, but the host's /proc is seen, own: it sees only its own."},
    {"key": "pid", "title": "its pid",
     "explain": "Its process number. Host: one of the host's namespace, own: it was counted anew."},
    {"key": "hostname", "title": "host name",
     "explain": "Host: it has the host's, in the host's UTS namespace, own: another, or its own copy of it."},
    {"key": "root", "title": "root",
     "explain": "Who it is outside, by the user mapping, and its capabilities. Host: as powerful as who started it, shared: "
                "root inside is root outside, with fewer capabilities or none that hold outside, own: root inside is an ordinary "
                "user outside, or root of another kernel only, none: it is not root."},
    {"key": "mounts", "title": "mounts",
     "explain": "Its mounts, and which file system its root is. Host: the host's mounts, shared: mounts of its own, but the "
                "host's root folder, own: neither."},
    {"key": "devices", "title": "devices",
     "explain": "The nodes in /dev are opened, except where that alone changes something, and nodes for a disk and for "
                "/dev/mem are made with mknod and opened. Host: a disk, /dev/mem or /dev/port of the host's opens, shared: "
                "another device opens or is there, own: those of its own machine, none: only null, zero, random and terminals."},
    {"key": "network", "title": "network",
     "explain": "Its network interfaces. Host: the host's, in its network namespace, own: its own, none: no network at all."},
    {"key": "port8080", "title": "port 8080",
     "explain": "Two of them listen on port 8080 at the same time, and the host tries to connect. Host: the second cannot, "
                "or the host reaches it, own: both can, none: there is no network in there."},
    {"key": "memory", "title": "memory limit",
     "explain": "With a limit of 64 MiB, where the row can set one, it takes more. Host: nothing stops it, "
                "own: it is stopped or killed."},
    {"key": "cpu", "title": "CPU limit",
     "explain": "With a limit of half a CPU, where the row can set one, it keeps all CPUs that it sees busy. Host: it gets more, "
                "shared: it has virtual CPUs, as many as the host has CPUs, which are not limited further, own: a limit holds, "
                "or it has fewer CPUs than the host."},
    {"key": "calls", "title": "system calls",
     "explain": "How many of the host kernel's system calls pass the seccomp filters above it; none is executed for that, and "
                "what the kernel itself then refuses, for want of a capability, is not looked at. Host: all, shared: some are "
                "filtered, own: its calls end in a kernel of its own."},
    {"key": "kcore", "title": "/proc/kcore",
     "explain": "The kernel's memory, to be read in /proc/kcore, also in a /proc mounted afresh, which goes round masks. "
                "Host: the host's can be read, own: its own kernel's, none: refused, masked, or not there."},
    {"key": "dmesg", "title": "dmesg",
     "explain": "Reading the kernel's log. Host: the host's can be read, own: its own kernel's, none: refused."},
    {"key": "module", "title": "load a module",
     "explain": "init_module with bytes that are no module: the answer ENOEXEC means that the kernel would have taken one. "
                "Host: into the host's kernel, own: into its own, none: refused, or the kernel has no modules."},
    {"key": "clock", "title": "set the clock",
     "explain": "clock_settime to the time just read, and settimeofday. Host: the host's can be set, own: its own, "
                "none: refused."},
    {"key": "ports", "title": "I/O ports",
     "explain": "iopl and ioperm, x86 only. Host: it reaches the host's hardware, own: that of its own machine, "
                "which the monitor emulates, none: refused, or there are no ports."},
    {"key": "forks", "title": "fork bomb",
     "explain": f"With a limit of 20 processes, where the row can set one, it starts {FORKS} that sleep. Host: all become "
                "processes of the host, shared: a limit that is not its own stops it, own: its limit does, or they are "
                "processes of its own kernel only."},
    {"key": "panic", "title": "panic",
     "explain": "\"c\" is written to /proc/sysrq-trigger, also of a /proc mounted afresh; in a machine whose kernel has no "
                "SysRq, process 1 ends. Host: the host dies, own: its own kernel does and the host lives, none: refused."},
]


# ---- what is run ----

def answers(text):
    """What the probe said, from all that was printed: kernels print between its lines."""
    said = {}
    for line in text.splitlines():
        match = re.search(r"probe: (\w+)=(.*)$", line)  # a firmware may not have ended its line, or cleared the screen
        if match:
            said[match[1]] = match[2].strip()
        if match and match[1] in LISTS:
            said.setdefault(match[1] + "_list", []).append(match[2].strip())
    return said


END = "probe: end=ok"
LISTS = ("panic_try", "panic_refused")


def result_of(outcome):
    """{"said", "status", "why": None, or why the probe did not come to its end}"""
    said, why = answers(outcome.text), None
    if "end" not in said:
        words = [line.strip() for line in outcome.text.splitlines() if line.strip() and not line.lstrip().startswith("probe: ")]
        why = f"the probe did not end, status {outcome.status}" + (f": {words[-1][-120:]}" if words else "")
        why = said.get("error", why)
    return {"said": said, "status": outcome.status, "why": why}


class Part:
    """What a run has left of one of the things that it did one after the other."""

    def __init__(self, outcome, number):
        texts = outcome.text.split(END)
        self.status = outcome.status
        self.text = texts[number] + (END if number < len(texts) - 1 else "") if number < len(texts) else ""


def attempt(log, what, do, parts=1):
    """do() -> what a run left; the results of its parts. A run that fails is an answer, too."""
    log(f"probe: {what}")
    try:
        outcome = do()
    except (OSError, subprocess.SubprocessError) as error:
        return [{"said": {}, "status": None, "why": f"{type(error).__name__}: {error}"}] * parts
    return [result_of(Part(outcome, number)) for number in range(parts)]


def host_connects():
    """Whether somebody listens on the host's port. Leaves no connection behind that would keep the port busy."""
    with socket.socket() as connection:
        connection.settimeout(0.5)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return connection.connect_ex(("127.0.0.1", PORT)) == 0


def host_sees(token):
    """Whether a probe with this word among its arguments is a process of the host's."""
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{number}/cmdline", "rb") as file:
                arguments = file.read().decode(errors="replace").split("\0")
        except OSError:
            continue  # it has ended
        if os.path.basename(arguments[0]) == "probe" and token in arguments:
            return True
    return False


class Watcher:
    """What the host sees while something runs: its process, and its port."""

    def __init__(self, token):
        self.token, self.over = token, threading.Event()
        self.process, self.connected = False, None if host_connects() else False
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.over.wait(LISTEN_MS / 10000):  # looking takes long in the lab
            self.process = self.process or host_sees(self.token)
            if self.connected is False:
                self.connected = host_connects()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.over.set()
        self.thread.join()


def two_listeners(run, log):
    """What two that listen at once have said, and what the host saw of them: "host_saw": whether one was a process of the
    host's, "host_connected": whether it could connect (None: it could before already)."""
    token, both = f"token-{os.getpid()}-{os.urandom(4).hex()}", []
    with Watcher(token) as watcher:
        try:
            both = [run(["listen", str(PORT), str(LISTEN_MS), token], background=True) for _ in range(2)]
            results = [attempt(log, f"listen on {PORT}, {which}", lambda one=one: one.wait(WAIT))[0]
                       for which, one in zip(("one", "the other"), both)]
        except (OSError, subprocess.SubprocessError) as error:
            results = [{"said": {}, "status": None, "why": f"{type(error).__name__}: {error}"}]
        finally:
            for one in both:
                one.kill()
    came = any("listen_to" in one["said"] for one in results)
    return {"listen": results, "host_saw": watcher.process or (False if came else None), "host_connected": watcher.connected}


def probe(run, log=lambda text: None):
    """Runs the probe by run(arguments, limits=False, background=False): an object with .status and .text, or, in the
    background, with .wait(timeout), which returns that, and .kill().  What it returns can be written as JSON."""
    seen = {}
    seen["observe"], seen["calls"] = attempt(log, "observe, calls", lambda: run(["observe", "and", "calls"]), 2)
    seen.update(two_listeners(run, log))
    # More than the limit, and more than a small machine has; of a large one no more than that: it is touched, which takes
    # long in the lab, and is taken from the host.
    has = int(seen["observe"]["said"].get("memory_kib", 0)) // 1024
    seen["memory_mib"] = max(128, has + 32) if has < 512 else 128
    limited = ["cpu", CPU_MS, "and", "forks", FORKS, "and", "memory", seen["memory_mib"]]  # memory may end it
    seen["cpu"], seen["forks"], seen["memory"] = attempt(log, "cpu, forks, memory", lambda: run(list(map(str, limited)), limits=True), 3)
    return seen


# ---- what it means ----

class Unknown(Exception):
    """It cannot be judged; the reason."""


class Row:
    """What was seen in a row, beside what was seen on the host."""

    def __init__(self, seen, host_seen, facts):
        self.seen, self.facts = seen, facts
        self.observed = seen.get("observe", {}).get("said", {})
        self.host = host_seen.get("observe", {}).get("said", {})
        self.can = facts.get("can") or {}

    def get(self, key):
        """An answer of `observe`."""
        if key not in self.observed:
            raise Unknown(self.seen.get("observe", {}).get("why") or f"the probe said nothing of {key}" +
                          ("" if self.observed.get("proc") == "ok" else f"; /proc: {self.observed.get('proc')}"))
        return self.observed[key]

    def run(self, what):
        """The result of a run."""
        result = self.seen.get(what)
        if not result or not result["said"]:
            raise Unknown((result or {}).get("why") or "it was not tried")
        return result

    def own_kernel(self):
        """By the boot id, and by whether the host saw its process: LXC and systemd-nspawn put another boot id over the host's."""
        if "boot_id" not in self.host:
            raise Unknown("the host's boot id is not known")
        if self.seen.get("host_saw") or self.get("boot_id") == self.host["boot_id"]:
            return False
        if self.seen.get("host_saw") is None:
            raise Unknown("its boot id is another one, which a container can have too, and whether the host sees its "
                          "process was not found out")
        return True

    def own_namespace(self, kind):
        """Numbers of namespaces are the same in all kernels, so they are compared only within one."""
        if f"ns_{kind}" not in self.host:
            raise Unknown(f"the host's {kind} namespace is not known")
        return self.get(f"ns_{kind}") != self.host[f"ns_{kind}"]

    def touched(self):
        """The verdict where something worked that works on the kernel itself."""
        return "own" if self.own_kernel() else "host"

    def why_refused(self, call, capability, name):
        """A filter's EPERM, or the kernel's for want of a capability."""
        reasons = []
        calls = self.seen.get("calls", {}).get("said", {})
        if call in [word.split(" ")[0] for word in calls.get("calls_refused", "").split(",")]:
            reasons.append("the seccomp filter refuses the call")
        if not int(self.observed.get("cap_effective", "0"), 16) >> capability & 1:
            reasons.append(f"it does not have {name}")
        elif self.observed.get("ns_user") != self.host.get("ns_user"):
            reasons.append(f"its {name} holds in its own user namespace only")
        return " and ".join(reasons) or "neither a filter nor a missing capability explains it"


def capabilities(observed):
    count = bin(int(observed.get("cap_effective", "0"), 16)).count("1")
    return count, int(observed.get("cap_all", "0"))


def judge_kernel(row):
    release = row.get("release")
    if row.own_kernel():
        return "own", f"{release}, its own", "Its boot id is another one than the host's, and the host does not see its process."
    if row.observed.get("boot_id") == row.host["boot_id"]:
        return "host", f"{release}, the host's", "Its boot id is the host's."
    return "host", f"{release}, the host's", "It is shown another boot id, or none, but it is a process of the host's."


def judge_processes(row):
    if row.own_kernel():
        return "own", f"{row.get('processes')} of its own", "They are processes of another kernel."
    count = row.get("processes")
    reached = f"A signal could be sent to {row.get('processes_reached')} others."
    if not row.own_namespace("pid"):
        return "host", f"{count}, the host's", reached
    if row.get("proc_self") != row.get("pid"):
        return "shared", f"{count} are seen", "It has numbers of its own, but the /proc that it sees is not of its namespace."
    return "own", f"{count} of its own", f"It is in a PID namespace of its own. {reached}"


def judge_pid(row):
    pid = row.get("pid")
    if pid == "1" or row.own_kernel() or row.own_namespace("pid"):
        return "own", pid, "It is counted from 1 in a namespace of its own." if not row.own_kernel() else \
            "Another kernel gave the number."
    return "host", pid, "The number is one of the host's."


def judge_hostname(row):
    name, answer = row.get("hostname"), row.observed.get("hostname_set")
    change = "It can change it." if answer == "ok" else f"Changing it: {answer}."
    if row.own_kernel() or row.own_namespace("uts"):
        return "own", f"{name}, its own" if name == row.host.get("hostname") else name, change
    return "host", f"{name}, the host's", f"It is in the host's UTS namespace. {change}"


def judge_root(row):
    uid = row.get("uid")
    count, all_of_them = capabilities(row.observed)
    caps, value = f"{count} of {all_of_them} capabilities", f"uid {uid}, {count} of {all_of_them} caps"
    if row.own_kernel():
        return "own", value, f"It has {caps}, of its own kernel."
    if row.own_namespace("user"):
        return judge_user_namespace(row, uid, caps)
    if (uid, row.get("cap_effective")) == (row.host.get("uid"), row.host.get("cap_effective")):
        return "host", value, f"It has {caps} in the host's user namespace, as who started it."
    if uid != "0" and not count:
        return "none", f"uid {uid}, no caps", "It is an ordinary user in the host's user namespace."
    return "shared", value, f"It has {caps} in the host's user namespace: uid {uid} inside is the same outside."


def judge_user_namespace(row, uid, caps):
    outside = None
    for part in row.get("uid_map").split(","):
        first, begin, length = map(int, part.split())
        if first <= int(uid) < first + length:
            outside = begin + int(uid) - first
    explain = f"It has {caps}, which hold in a user namespace of its own. Mapping: {row.get('uid_map')}."
    if outside is None:
        return "none", f"uid {uid}, not mapped", explain
    if outside == 0:
        return "shared", f"uid {uid} is the host's 0", explain + " For files it is the host's root."
    return ("own" if uid == "0" else "none"), f"uid {uid} is {outside} outside", explain


def judge_mounts(row):
    count, kind = row.get("mounts"), row.observed.get("root_type", "?")
    writable = "Its root can be written." if row.observed.get("root_writable") == "ok" else "Its root cannot be written."
    if row.own_kernel():
        return "own", f"{count}, root {kind}", f"They are mounts of another kernel. {writable}"
    if not row.own_namespace("mnt"):
        return "host", f"{count}, the host's", f"It is in the host's mount namespace. {writable}"
    if row.get("root_device") == row.host.get("root_device"):
        return "shared", "the host's root", f"It has {count} mounts of its own, but its root is the host's. {writable}"
    return "own", f"{count}, root {kind}", f"It is in a mount namespace of its own, and its root is another folder. {writable}"


def words(text):
    return [word for word in text.split(",") if word]


def judge_devices(row):
    disks, opened, untried = (words(row.get(f"devices_{kind}")) for kind in ("disks", "opened", "untried"))
    raw = [name for name in opened if name in ("mem", "port")] + disks
    made = [name for key, name in (("node_disk", "disk"), ("node_mem", "mem"))
            if row.observed.get(key) == "ok" and row.observed.get(f"{key}_opened") in ("ok", "ENXIO")]
    nodes = f"{row.get('devices')} nodes in /dev"
    node = f"mknod of a disk: {row.get('node_disk')}" + \
        (f", opening it: {row.observed['node_disk_opened']}" if "node_disk_opened" in row.observed else "")
    explain = f"{nodes}; opened: {', '.join(disks + opened) or 'none that is not harmless'}; not tried: {len(untried)}. {node}."
    if row.own_kernel():
        return "own", f"{row.get('devices')} of its own", f"They are devices of its own machine. {explain}"
    if raw or made:
        return "host", ", ".join((raw or [f"mknod: {name}" for name in made])[:2]), \
            explain + (" ENXIO: there is none with this number, else it would have opened." if "ENXIO" in node else "")
    if opened or untried:
        return "shared", ", ".join((opened or untried)[:3]), explain
    return "none", "harmless ones only", explain


def judge_network(row):
    names = words(row.get("interfaces"))
    if row.own_kernel() or row.own_namespace("net"):
        if not names:
            return "none", "no network", f"There is no interface. A socket for IP: {row.get('inet')}."
        return "own", "lo only" if names == ["lo"] else ", ".join(names[:3]), f"Its interfaces are {', '.join(names)}."
    return "host", f"{len(names)}, the host's", f"It is in the host's network namespace: {', '.join(names)}."


def judge_port(row):
    both = row.seen.get("listen") or []
    said = [one["said"].get("listen") for one in both]
    if len(said) != 2 or None in said:
        raise Unknown("; ".join(one["why"] for one in both if one["why"]) or "it was not tried")
    if said == ["ok", "ok"]:
        apart = max(float(one["said"]["listen_from"]) for one in both) >= min(float(one["said"]["listen_to"]) for one in both)
        if apart and not row.own_kernel():
            raise Unknown("the two did not listen at the same time")
        if row.seen.get("host_connected"):
            return "host", "both, host connects", "Both can listen, and the host reaches one of them at its own port."
        return "own", "both can", ("Each listened in a kernel of its own" if row.own_kernel() else
                                   "Two listened on the port at the same time") + ", and the host's port is another one."
    if set(said) <= {"EAFNOSUPPORT", "ENOSYS", "EPERM", "EACCES"}:
        return "none", "cannot listen", f"Listening: {said[0]}."
    if "EADDRINUSE" in said:
        busy = row.seen.get("host_connected") is None
        return "host", "conflict", "The port is one of the host's, where somebody listens." if busy else \
            "While one listens, the other cannot: EADDRINUSE."
    raise Unknown(f"listening: {' and '.join(said)}")


def judge_memory(row):
    result = row.run("memory")
    said, tried = result["said"], row.seen.get("memory_mib")
    taken, end = said.get("memory", "0"), said.get("memory_end")
    limit = "a limit of 64 MiB was set" if row.can.get("memory") else "it cannot set a limit"
    if end == "ok":
        return "host", f"takes {taken} MiB", f"It was not stopped; {limit}."
    if end is None and "memory" not in said:
        raise Unknown(result["why"])
    what = f"killed at {taken} MiB" if end is None or "killed" in end else f"{end} at {taken} MiB"
    how = "The whole of it was ended." if end is None else f"The process that took it: {end}."
    if row.own_kernel():
        return "own", what, f"{how} It has {said.get('memory_of_mib', '?')} MiB of its own."
    if row.can.get("memory"):
        return "own", what, f"{how} Tried were {tried} MiB; {limit}."
    return "host", what, f"{how} But {limit}: it is the host's memory that ended."


def judge_cpu(row):
    said = row.run("cpu")["said"]
    if "cpu" not in said:
        raise Unknown(row.run("cpu")["why"])
    percent, cpus, host_cpus = int(said["cpu"]), int(row.get("cpus")), int(row.host.get("cpus", 0))
    explain = f"It used {percent} % of one CPU with {said['cpu_threads']} threads; it sees {cpus} of the host's {host_cpus} CPUs."
    if row.own_kernel():
        value = f"{cpus} virtual, {percent} %"
        if cpus < host_cpus:
            return "own", value, explain + " It can have no more than its virtual CPUs."
        return "shared", value, explain + " Each virtual CPU is a thread of the host's, which takes up to a whole one."
    if row.can.get("cpu") and percent <= FEW:
        return "own", f"{percent} % of one", explain + " A limit of 50 % was set."
    if cpus < host_cpus:
        return "own", f"{cpus} of {host_cpus}, {percent} %", explain
    return "host", f"{percent} % of one", explain + (" A limit of 50 % was set, and did not hold." if row.can.get("cpu")
                                                     else " It cannot set a limit.")


def judge_calls(row):
    if row.own_kernel():
        return "own", "none of the host's", "Its system calls end in its own kernel; the host's kernel sees those of the monitor."
    result = row.run("calls")
    said = result["said"]
    if "calls" not in said:
        if row.observed.get("seccomp") == "0":
            return "host", "all", "There is no seccomp filter above it."
        raise Unknown(f"no listener could be installed: {said['calls_error']}" if "calls_error" in said else result["why"])
    reached, all_of_them = int(said["calls"]), int(said["calls_of"])
    if reached == all_of_them:
        return "host", f"all {reached}", "No filter refuses any of them."
    refused, killed = words(said["calls_refused"]), words(said["calls_killed"])
    names = ", ".join(word.split(" ")[0] for word in (killed + refused)[:8])
    names += ", ..." if len(refused) + len(killed) > 8 else ""
    return "shared", f"{reached} of {all_of_them}", f"{len(refused)} are refused with an error, {len(killed)} end the process: " \
        f"{names}. The filters were asked with all arguments zero."


def judge_kcore(row):
    plain, fresh = row.observed.get("kcore"), row.observed.get("fresh_kcore")
    mounting = row.observed.get("fresh_proc")
    if plain is None:
        row.get("kcore")
    if plain == "ok":
        return row.touched(), "can be read", "The kernel's memory can be read."
    if fresh == "ok":
        return row.touched(), "in a new /proc", f"In its /proc: {plain}, but it can mount one anew, and there it can be read."
    word = {"ENOENT": "not there", "ENODATA": "masked"}.get(plain, f"refused: {plain}")
    over = ", something empty lies over it" if plain == "ENODATA" else ""
    return "none", word, f"Reading: {plain}{over}. In a /proc mounted afresh: {fresh or f'mounting one is refused, {mounting}'}."


def judge_dmesg(row):
    answer = row.get("dmesg")
    if answer == "ok":
        return row.touched(), "can be read", "The kernel's log can be read."
    if answer == "ENOSYS" and row.own_kernel():
        return "none", "no log", "Its kernel has none."
    return "none", f"refused: {answer}", "Reading is refused: " + row.why_refused("syslog", 34, "CAP_SYSLOG") + "."


def judge_module(row):
    answer = row.get("module")
    if answer in ("ENOEXEC", "EKEYREJECTED", "ok"):
        return row.touched(), "can be loaded" if answer != "EKEYREJECTED" else "signed ones", \
            f"The kernel looked at the module: {answer}."
    if answer == "ENOSYS" and (row.own_kernel() or row.host.get("module") == "ENOSYS"):
        return "none", "no modules", "The kernel can load none."
    return "none", f"refused: {answer}", "Refused: " + row.why_refused("init_module", 16, "CAP_SYS_MODULE") + "."


def judge_clock(row):
    answer, other = row.get("clock_settime"), row.get("settimeofday")
    if "ok" in (answer, other):
        return row.touched(), "can be set", f"clock_settime: {answer}, settimeofday: {other}."
    return "none", f"refused: {answer}", f"clock_settime: {answer}, settimeofday: {other}: " + \
        row.why_refused("clock_settime", 25, "CAP_SYS_TIME") + "."


def judge_ports(row):
    if not row.get("machine").startswith(("x86", "i")):
        return "none", "there are none", f"{row.get('machine')} has no I/O ports."
    answer, other = row.get("iopl"), row.get("ioperm")
    if "ok" in (answer, other):
        return row.touched(), "can be used", f"iopl: {answer}, ioperm: {other}."
    if answer == other == "ENOSYS" and (row.own_kernel() or row.host.get("iopl") == "ENOSYS"):
        return "none", "there are none", "The kernel was built without these calls."
    return "none", f"refused: {answer}", f"iopl: {answer}, ioperm: {other}: " + row.why_refused("iopl", 17, "CAP_SYS_RAWIO") + "."


def judge_forks(row):
    result = row.run("forks")
    said = result["said"]
    if "forks" not in said:
        raise Unknown(result["why"])
    count, tried, end = said["forks"], said["forks_of"], said["forks_end"]
    if row.own_kernel():
        return "own", f"{count} of its own", f"{count} of {tried} were started ({end}), and none is a process of the host's."
    if count == tried:
        return "host", f"all {count}", "A limit of 20 was set, and did not hold." if row.can.get("processes") else \
            "It cannot set a limit. All were processes of the host's."
    if row.can.get("processes"):
        return "own", f"stopped at {count}", f"{count} of {tried} were started, then {end}. A limit of 20 was set."
    return "shared", f"stopped at {count}", f"{count} of {tried} were started, then {end}, by a limit that is not the row's."


def judge_panic(row):
    what, said = row.facts.get("panic"), answers(row.facts.get("panic_text") or "")
    tried, refused = said.get("panic_try_list", []), said.get("panic_refused_list", [])
    if what == "died":
        return "host", "the host died", f"Last tried: {tried[-1]}." if tried else "The host died."
    if what != "alive":
        raise Unknown(row.facts.get("panic_why") or "it was not tried")
    if not tried:
        raise Unknown("the probe did not come to trying it")
    if "end" in said:
        errors = [text.split(": ")[-1].replace("mount ", "") for text in refused]
        return "none", "refused: " + ", ".join(dict.fromkeys(errors)), f"The host lives. Refused: {'; '.join(refused)}."
    if row.own_kernel():
        return "own", "only itself", f"Its own kernel ended with: {tried[-1]}. The host lives."
    raise Unknown(f"the probe ended at: {tried[-1]}, and the host lives")


JUDGES = {
    "kernel": judge_kernel, "processes": judge_processes, "pid": judge_pid, "hostname": judge_hostname, "root": judge_root,
    "mounts": judge_mounts, "devices": judge_devices, "network": judge_network, "port8080": judge_port, "memory": judge_memory,
    "cpu": judge_cpu, "calls": judge_calls, "kcore": judge_kcore, "dmesg": judge_dmesg, "module": judge_module,
    "clock": judge_clock, "ports": judge_ports, "forks": judge_forks, "panic": judge_panic,
}


def judge(seen, host_seen, facts):
    """{key: {"verdict", "value", "explain"}}.  facts: "can": {"memory", "processes", "cpu": whether the row can set this limit},
    "panic": what became of the host when the probe's `panic` ran in the row, "died", "alive" or None, "panic_text": what was
    printed then, "panic_why": why it was not tried."""
    row, matrix = Row(seen, host_seen, facts), {}
    for criterion in CRITERIA:
        try:
            verdict, value, explain = JUDGES[criterion["key"]](row)
        except Unknown as reason:
            verdict, value, explain = "unknown", "not found out", f"{reason}."
        except (KeyError, ValueError, IndexError) as damage:  # a line was lost or damaged on a serial console
            verdict, value, explain = "unknown", "not found out", f"What the probe said is not whole: {damage!r}."
        matrix[criterion["key"]] = {"verdict": verdict, "value": value, "explain": explain}
    return matrix
