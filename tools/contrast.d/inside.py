# SPDX-License-Identifier: MIT
"""Measures: runs where /dev/kvm is, and appends what it finds to a journal, from which an interrupted run goes on."""
import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import isolation
import labroot
import manifest
import rows
import surface
from common import guest_resident, mappings

# The order is that of the work; what each section is, the docstring of tools/contrast says. Where there is no KVM, each list
# has a lab of its own.
LABS = {"timing": ("serial", "cold", "steady", "rate"), "probing": ("isolation", "surface", "crowd", "memory")}
BLOCK = 5  # starts of a row, then the next row has its turn; one, if it takes SLOW ms
SLOW = 500
# See launch.c; after a virtual machine has ended, making the next one waits until the kernel has cleared it away.
PHASES = ("-p", "-s", 40_000_000)
CROWDS = (1, 10, 50)
ROUNDS = ((50, 15), (400, 9), (850, 5), (float("inf"), 3))  # how often a crowd is started that takes less than so many milliseconds
REST = 1  # seconds before the system's memory is looked at
FEW = 2  # instead of 10, to weigh those that take long with --quick
# With --quick: so many serial starts, and cold ones, of a row of which one takes less than so many milliseconds; how many
# milliseconds a crowd may take in all, and how many one start, so as not to be left out of crowd and rate.
QUICK_STARTS = ((100, 30, 5), (200, 20, 5), (500, 8, 3), (float("inf"), 7, 3))
QUICK_CROWD, QUICK_ONE, QUICK_RATE = 1200, 600, 200
SLOWNESS = 20  # an ordinary lab, beside other work, against one that counts instructions; a real machine is faster than both
PANIC_WAIT = 120  # seconds, in an ordinary lab beside another one
RETRIES = 3  # the emulator hangs a guest now and then
# Milliseconds of one start in the deterministic lab, for estimates and limits.
GUESS = {"posix_spawn": 3, "fork": 3, "nsrun": 6, "bwrap": 11, "crun": 17, "runc": 45, "lxc": 28, "nspawn": 310, "podman": 450,
         "docker": 770, "minivmm-raw": 24, "minivmm-hello": 24, "minivmm-vmlinux": 80, "minivmm-bzImage": 120, "minivmm-debian": 1500,
         "qemu-small": 215, "qemu-pc": 300}
AMONG_MANY = {"minivmm-raw": 5, "minivmm-hello": 6}  # where most of one alone is waiting
# What a piece of work takes beside the starts, in milliseconds of the same kind.
BESIDE = {"serial": 50, "cold": 50, "steady": 100, "crowd": 50, "rate": 50, "isolation": 1500, "surface": 100, "memory": 200}


def guess(row):
    return GUESS.get(row.name, 300)


def guess_crowd(row, n):
    return n * (AMONG_MANY.get(row.name, guess(row)) if n > 1 else guess(row))


def weight(unit):
    """For the estimate of the time left."""
    return BESIDE[unit.section] + unit.cost * guess(unit.row)


class Unit:
    """A piece of work that is done as a whole; its key names it in the journal."""

    def __init__(self, section, row, number, count, cost):
        self.section, self.row, self.number, self.count = section, row, number, count
        self.cost = cost  # starts that it makes, about
        self.key = f"{section}/{row.name}/{number}"


def read_journal(path):
    """{key: record} of a journal; a last line that was cut off does not count."""
    done = {}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            for line in file:
                if line.endswith("\n"):
                    record = json.loads(line)
                    done[record["key"]] = record
    return done


RECORD = "journal: "  # before a line of the journal that a sealed lab says, since it has no file that stays


def write_record(file, line):
    """So that it is there whatever happens next."""
    file.write(line)
    file.flush()
    os.fsync(file.fileno())


class Journal:
    """One line of JSON for each piece of work that is done."""

    def __init__(self, path, sealed=False):
        self.done, self.sealed = read_journal(path), sealed
        self.file = None if sealed else open(path, "a", encoding="utf-8")  # pylint: disable=consider-using-with

    def begin(self, key):
        """So that what takes the machine down is not tried for ever."""
        self.add("begun/" + key, times=self.begun(key) + 1)

    def begun(self, key):
        return self.done.get("begun/" + key, {"times": 0})["times"]

    def add(self, key, **data):
        self.done[key] = {"key": key, **data}
        self.write(json.dumps(self.done[key]) + "\n")

    def write(self, line):
        if self.sealed:
            print(RECORD + line, end="", flush=True)
        else:
            write_record(self.file, line)


def starts_of(row, plan):
    """How often a row is started serially, and with the page cache dropped: --quick does less for those that take long."""
    if not plan["quick"]:
        return plan["starts"], plan["cold"]
    serially, with_cold = next(counts for limit, *counts in QUICK_STARTS if guess(row) < limit)
    return min(serially, plan["starts"]), with_cold


def block_of(row):
    return 1 if guess(row) >= SLOW else BLOCK


def warm_up(row):
    """Starts that do not count: they bring all back that the other rows have pushed out of the processor's caches."""
    return 0 if guess(row) >= SLOW else 1


def units_of(table, plan):
    """All the work, rows in turn."""
    units = []
    sections = plan["sections"]
    if "serial" in sections:
        for block in range(max(-(-starts_of(row, plan)[0] // block_of(row)) for row in table)):
            for row in table:
                left = starts_of(row, plan)[0] - block * block_of(row)
                if left > 0:
                    count = min(block_of(row), left)
                    units.append(Unit("serial", row, block, count, count + warm_up(row)))
    if "cold" in sections:
        units += [Unit("cold", row, number, 1, 2) for number in range(plan["cold"]) for row in table
                  if number < starts_of(row, plan)[1]]
    for section, cost in (("steady", 2), ("isolation", 5), ("surface", 3)):
        if section in sections:
            units += [Unit(section, row, 0, 0, cost) for row in table]
    if "rate" in sections:
        for row in table:
            count = max(4, min(100, (300 if plan["quick"] else 2000) // guess(row)))
            units.append(Unit("rate", row, 0, count, count))
    for n in sorted({*CROWDS, FEW}):
        for section in ("memory", "crowd"):
            if section in sections:
                units += [Unit(section, row, n, n, n * (rounds_of(row, n) if section == "crowd" else 1)) for row in table
                          if n != FEW or (section == "memory" and in_a_hurry(row, 10, plan))]
    return units


def rounds_of(row, n):
    return next(rounds for limit, rounds in ROUNDS if guess_crowd(row, n) < limit)


def in_a_hurry(row, n, plan):
    """Whether --quick leaves so many at once of this row out."""
    return plan["quick"] and guess_crowd(row, n) > QUICK_CROWD


def too_much(unit, plan):
    """Why --quick leaves a piece of work out, or None."""
    if not plan["quick"]:
        return None
    one = {"crowd": QUICK_ONE, "rate": QUICK_RATE}.get(unit.section)
    if one and guess(unit.row) > one:
        return "left out by --quick: one takes long here"
    if unit.section in ("crowd", "memory") and unit.number > FEW and in_a_hurry(unit.row, unit.number, plan):
        return f"left out by --quick: {unit.number} at once take long here"
    return None


# ---- starting ----

def launch(place, row, first, count, at_once=1, what="run", options=()):
    """[(number, began, reaped, status, [(time, value)])]"""
    words = row.words(place, what) if row.payload else []
    row.prepare(place, "payload", words, range(first, first + count), False)
    command = launch_command(place, row.launch, "-n", count, "-j", at_once, "-i", first, "-l", limit_of(row, at_once, place.slow),
                             *options, *row.command(place, "payload", words))
    outcome = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             errors="replace", check=False)
    runs = [take_line(line) for line in outcome.stdout.split("\n") if line[:1].isdigit()]
    for run in runs:
        if run[3] != 0 or (not row.timeline and len(run[4]) < 2):
            row.remove(place, run[0])
            raise RuntimeError("a guest hung, and was killed" if run[3] == 1000 else
                               f"ended with status {run[3]} and {len(run[4])} marks; it said: {outcome.stderr.strip()[-400:] or 'nothing'}")
    if len(runs) != count:
        raise RuntimeError(f"launch ended with status {outcome.returncode}: {outcome.stderr.strip()[-400:]}")
    if row.timeline:
        for run in runs:
            run[4].extend(timeline(place.path("timeline", str(run[0]))))
            if sum(isinstance(value, int) for _, value in run[4]) < (2 if row.payload else 1):
                raise RuntimeError("the guest did not write its marks")
    return runs


def launch_command(place, marks, *words):
    """marks: launch's options to get at the marks, as rows have them."""
    return [*place.enter, place.files["launch"], *[word.replace("{folder}", place.folder) for word in marks], *map(str, words)]


def limit_of(row, at_once, slow):
    """Seconds after which a start is taken for hung."""
    return int(3 + 4 * at_once * guess(row) / 1000 * (SLOWNESS if slow else 1))


def take_line(line):
    number, began, reaped, status, *marks = line.split()
    pairs = [mark.split(":") for mark in marks]
    return int(number), int(began), int(reaped), int(status), [(int(at), int(value)) for value, at in pairs]


def timeline(path):
    """[(ns, number of a guest mark, or name of an event)], calls to KVM left out."""
    marks = []
    with open(path, encoding="ascii") as file:
        for line in file:
            if not line.startswith("#"):
                ns, took, value, name = line.rstrip("\n").split(" ", 3)
                if name == "guest mark":
                    marks.append((int(ns), int(value)))
                elif took == "0":
                    marks.append((int(ns), name))
    return marks


def again(do, hung, tries=RETRIES):
    """A guest that hangs, as the emulator makes it now and then, is started anew; a failure that comes again is one."""
    for number in range(tries):
        try:
            return do()
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            if number == tries - 1:
                raise
            hung.append(str(error))
    return None


def samples(runs):
    """What is kept of each start: all times since the spawn."""
    return [{"total": reaped - began, "marks": [(at - began, value) for at, value in marks]} for _, began, reaped, _, marks in runs]


def serial(place, unit, state):
    first, more = unit.number * block_of(unit.row), warm_up(unit.row)
    runs = again(lambda: launch(place, unit.row, first, unit.count + more, options=PHASES), state.hung)
    return {"samples": samples(runs[more:])}


def drop_caches():
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
        file.write("3\n")


def cold(place, unit, state):
    def once():
        drop_caches()
        return launch(place, unit.row, unit.number, 1, options=PHASES)

    try:
        return {"samples": samples(again(once, state.hung))}
    except OSError as error:
        return {"missing": f"the page cache cannot be dropped: {error.strerror}"}


def crowd(place, unit, state):
    if unit.row.name in state.no_crowd:
        return {"missing": "fewer at once have failed already"}
    found = {"samples": [], "all_started": [], "all_ended": []}
    try:
        for first in range(0, rounds_of(unit.row, unit.number) * unit.number, unit.number):
            runs = again(lambda first=first: launch(place, unit.row, first, unit.number, unit.number, options=PHASES), state.hung)
            began = min(run[1] for run in runs)
            found["samples"] += samples(runs)
            found["all_started"].append(max(first_mark(run[4]) for run in runs) - began)
            found["all_ended"].append(max(run[2] for run in runs) - began)
    except RuntimeError:
        state.no_crowd.add(unit.row.name)
        raise
    return found


def first_mark(marks):
    return next(at for at, value in marks if isinstance(value, int))


def rate(place, unit, state):
    """Keeps two for each CPU running."""
    at_once = 2 * os.cpu_count()
    count = max(unit.count, 2 * at_once)
    runs = again(lambda: launch(place, unit.row, 0, count, at_once, options=PHASES), state.hung)
    took = max(run[2] for run in runs) - min(run[1] for run in runs)
    return {"count": count, "at_once": at_once, "took_ns": took, "per_second": count * 1e9 / took}


# ---- running with output ----

class Outcome:
    def __init__(self, status, text):
        self.status, self.text = status, text


@contextlib.contextmanager
def port_held(place, row, number):
    """A FIFO without a reader would stop the monitor that opens it."""
    if "-b" not in row.launch:
        yield
        return
    port = os.open(row.launch[1].replace("{folder}", place.folder).replace("{i}", str(number)), os.O_RDWR | os.O_NONBLOCK)
    try:
        yield
    finally:
        os.close(port)


class Running:
    """An instance whose output is read."""

    def __init__(self, place, row, number, program, arguments, limits):
        row.prepare(place, program, arguments, [number], limits)
        self.port = contextlib.ExitStack()
        self.port.enter_context(port_held(place, row, number))
        command = [word.replace("{i}", str(number)) for word in row.command(place, program, arguments, limits)]
        self.place, self.row, self.number = place, row, number
        self.output = tempfile.TemporaryFile()  # pylint: disable=consider-using-with
        self.process = subprocess.Popen(place.enter + command, stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output)

    def wait(self, timeout):
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        finally:
            self.port.close()
        self.output.seek(0)
        return Outcome(status if status >= 0 else 128 - status, self.output.read().decode(errors="replace"))

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.row.remove(self.place, self.number)


def steady(place, unit, _):
    if not unit.row.payload:
        return {"missing": "the guest has no system calls"}
    words = [word.replace("{i}", "0") for word in unit.row.words(place, "steady")]
    text = Running(place, unit.row, 0, "payload", words, False).wait(60).text
    found = {}
    for line in text.split("\n"):
        name, _, value = line.partition("payload: ")[2].strip().partition("=")
        if "/" in value:
            took, count = value.split("/")
            found[name] = int(took) / int(count)
    if len(found) != 5:
        return {"missing": f"the payload did not say all; the last that was said: {text.strip()[-200:]}"}
    return {"values": found}


# ---- memory ----

def processes():
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                found[int(name)] = file.read().rpartition(")")[2].split()[19]  # when it began
        except OSError:
            pass
    return found


def rollup(pid):
    """PSS and USS in KiB."""
    sums = {}
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        for line in file:
            words = line.split()
            if words[0].endswith(":") and words[-1] == "kB":
                sums[words[0][:-1]] = int(words[1])
    return sums.get("Pss", 0), sums.get("Private_Clean", 0) + sums.get("Private_Dirty", 0)


def available():
    with open("/proc/meminfo", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("MemAvailable:"))


def control_groups(pids):
    """The groups of these processes that count memory: a group within another one counts there, too."""
    found = set()
    for pid in pids:
        try:
            with open(f"/proc/{pid}/cgroup", encoding="ascii") as file:
                path = next((line.strip().split("::", 1)[1] for line in file if line.startswith("0::")), "/")
        except OSError:
            continue
        while path != "/" and not os.path.exists(f"/sys/fs/cgroup{path}/memory.current"):
            path = os.path.dirname(path)
        if path != "/":
            found.add("/sys/fs/cgroup" + path)
    return {folder for folder in found if not any(folder.startswith(other + "/") for other in found)}


def group_memory(folders):
    total = kernel = 0
    for folder in folders:
        with open(folder + "/memory.current", encoding="ascii") as file:
            total += int(file.read())
        with open(folder + "/memory.stat", encoding="ascii") as file:
            kernel += sum(int(line.split()[1]) for line in file if line.split()[0] in ("kernel",))
    return total >> 10, kernel >> 10


def memory(place, unit, _):
    """Of so many idle instances: all processes that were not there before, but for daemons, belong to them."""
    row, n = unit.row, unit.number
    if not row.payload:
        return {"missing": "the guest cannot idle: it is no kernel"}
    words = row.words(place, "idle")
    row.prepare(place, "payload", words, range(n), False)
    group = "/sys/fs/cgroup/contrast-idle"
    marks = row.launch
    if row.timeline:  # that comes at the end only
        marks, words = ("-c",), [word.replace("mark=port", "mark=console") for word in words]
    command = launch_command(place, marks, "-n", n, "-j", n, "-r", n, "-l", 600, *row.command(place, "payload", words))
    time.sleep(REST)  # the kernel frees in its own time what those before had
    with contextlib.suppress(OSError):
        drop_caches()
    before, free = processes(), available()
    try:
        with open("/sys/fs/cgroup/cgroup.subtree_control", "w", encoding="ascii") as file:
            file.write("+memory")
        os.makedirs(group, exist_ok=True)
        command = ["sh", "-c", f'echo $$ >{group}/cgroup.procs && exec "$@"', "sh", *command]
    except OSError:
        group = None
    launcher = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                start_new_session=True)
    try:
        if not select.select([launcher.stdout], [], [], 300)[0]:
            raise RuntimeError("the instances did not all start in 300 s")
        if launcher.stdout.readline() != "ready\n":
            raise RuntimeError("the instances did not all start: " + launcher.stderr.read().strip()[-300:])
        time.sleep(REST)
        result = weigh(row, n, before, free, launcher.pid)
    finally:
        stop(place, row, n, launcher)
        if group:
            for _ in range(100):
                try:
                    os.rmdir(group)
                    break
                except OSError:
                    time.sleep(0.05)
    return result


def weigh(row, n, before, free, launcher):
    system = free - available()
    pids = [pid for pid, began in processes().items() if before.get(pid) != began and pid != launcher]
    pss = uss = guest = counted = 0
    for pid in pids:
        try:
            one, own = rollup(pid)
        except OSError:
            continue
        if one:  # kernel threads have none
            counted += 1
            pss, uss = pss + one, uss + own
            if row.group == "vm":
                size = row.memory(False) << 20
                guest += guest_resident(mappings(pid), size, size + (2 << 20))  # some monitors align it
    groups = control_groups(pids)
    total, kernel = group_memory(groups) if groups else (None, None)
    daemons = sum(rollup(pid)[0] for pid in daemon_processes()) if row.name == "docker" else None
    return {"n": n, "processes": counted, "pss_kib": pss, "uss_kib": uss, "daemons_pss_kib": daemons, "cgroup_kib": total,
            "cgroup_kernel_kib": kernel, "guest_kib": guest if row.group == "vm" else None, "system_kib": max(0, system)}


def daemon_processes():
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/comm", encoding="utf-8") as file:
                if file.read().strip() in ("dockerd", "containerd"):
                    yield int(name)
        except OSError:
            pass


def stop(place, row, n, launcher):
    """Ends the idle instances: containers wait for a FIFO, machines are ended with their monitor."""
    if row.group == "vm":
        os.killpg(launcher.pid, signal.SIGKILL)
    else:
        for _ in range(600):
            try:
                fifo = os.open(place.path("stop"), os.O_WRONLY | os.O_NONBLOCK)
                os.write(fifo, b"x" * n)
                time.sleep(0.05)
                os.close(fifo)
            except OSError:
                pass  # nobody waits any more
            if launcher.poll() is not None:
                break
            time.sleep(0.05)
        else:
            os.killpg(launcher.pid, signal.SIGKILL)
            for number in range(n):
                row.remove(place, number)
    launcher.communicate()


# ---- isolation ----

def runner(place, row, numbers):
    def run(arguments, limits=False, background=False, timeout=120):
        running = Running(place, row, next(numbers), "probe", arguments, limits)
        return running if background else running.wait(timeout)
    return run


def isolate(place, unit, state):
    if not unit.row.payload:
        return {"missing": "the guest is no Linux, and runs no probe"}
    return {"seen": isolation.probe(runner(place, unit.row, state.numbers))}


def count_surface(place, unit, state):
    row = unit.row
    if row.group != "vm":
        return {"missing": "no monitor"}
    words = row.words(place, "run") if row.payload else []
    row.prepare(place, "payload", words, [0], False)
    command = [word.replace("{i}", "0") for word in row.command(place, "payload", words)]
    with port_held(place, row, 0):
        # A guest that hangs makes the lab's clock slow: it is to be found out before the lab is taken for hung.
        limit = int(3 + 2 * guess(row) / 1000 * (SLOWNESS if place.slow else 1))
        return again(lambda: surface.count(command, limit, enter=place.enter), state.hung)


def panic(place, table, journal):
    """The last probe: each row in its turn tries to take the kernel down. Whoever started this machine sees in the journal
    which row was tried last, and adds panic-died if that has taken it down."""
    numbers = iter(range(900, 1000))
    for row in table:
        say_progress(0, 0, f"{row.title} tries to panic the kernel")
        row.begin(place)
        journal.add(f"panic-begin/{row.name}")
        os.sync()
        try:
            text = runner(place, row, numbers)(["panic"], timeout=PANIC_WAIT).text
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            text = str(error)
        time.sleep(1)
        journal.add(f"panic-end/{row.name}", text=text[-10000:])
        row.end(place)


# ---- all of it ----

WORK = {"serial": serial, "cold": cold, "crowd": crowd, "rate": rate, "steady": steady, "memory": memory, "isolation": isolate,
        "surface": count_surface}


class State:
    def __init__(self):
        self.hung, self.no_crowd = [], set()
        self.numbers = iter(range(600, 900))


def say_progress(done, left, label):
    """For the one outside, who has a clock: how much work is done and left, in any unit."""
    print(f"@ {done:.1f} {left:.1f} {label}", flush=True)


def make_scratch(parent):
    """A folder.  The engines cannot put their layers on an overlay, as the root of the lab and of containers is one: then it is in
    memory, where a dropped page cache drops nothing."""
    folder = tempfile.mkdtemp(prefix="minivmm-contrast-", dir=parent)
    kind = subprocess.run(["stat", "-f", "-c", "%T", folder], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    if kind == "overlayfs" and os.geteuid() == 0:
        print(f"contrast: {parent} is an overlay: what is started is put into memory (--scratch names another folder)", file=sys.stderr, flush=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "contrast", folder], check=True)
    os.chmod(folder, 0o755)
    return folder


def remove_scratch(folder):
    for path in (os.path.join(folder, "podman/overlay"), folder):
        subprocess.run(["umount", "-l", path], check=False, stderr=subprocess.DEVNULL)
    shutil.rmtree(folder, ignore_errors=True)


def make_place(plan):
    if plan["root"]:
        enter, folder = labroot.make(plan["root"], lambda text: say_progress(0, 0, text)), labroot.SCRATCH
    else:
        enter, folder = [], make_scratch(plan["scratch"])
    files = {name: shutil.copy(source, os.path.join(folder, name)) for name, source in plan["files"].items()}
    place = rows.Place(folder, files, enter)
    place.slow = not plan["root"]
    place.make_fifos()
    return place


def do_unit(place, unit, state, journal):
    try:
        unit.row.wake()
        result = WORK[unit.section](place, unit, state)
    except (RuntimeError, OSError, subprocess.SubprocessError, StopIteration) as error:
        result = {"missing": f"it failed here: {error}"[:600]}
        print(f"contrast: {unit.key}: {error}", file=sys.stderr, flush=True)
    finally:
        unit.row.rest()
    if state.hung:
        journal.add("hung/" + unit.key, reasons=state.hung)
        state.hung = []
    journal.add(unit.key, **result)


def measure(place, table, plan, journal):
    state = State()
    units = [unit for unit in units_of(table, plan) if unit.key not in journal.done]
    weights = [0 if too_much(unit, plan) else weight(unit) for unit in units]
    for number, unit in enumerate(units):
        why = too_much(unit, plan)
        if why:
            journal.add(unit.key, missing=why)
            continue
        if journal.begun(unit.key) >= 2:
            journal.add(unit.key, missing="the machine that this ran on hung or died here, twice")
            continue
        say_progress(sum(weights[:number]), sum(weights[number:]), f"{unit.section}: {unit.row.title}")
        journal.begin(unit.key)
        do_unit(place, unit, state, journal)


def main(path):
    """path: a file with the plan, which the part outside has written."""
    with open(path, encoding="utf-8") as file:
        plan = json.load(file)
    os.environ["PATH"] = plan.get("path", os.environ["PATH"])
    journal = Journal(plan["journal"], plan["sealed"])
    wanted = [row for row in rows.ROWS if row.name in plan["rows"]]
    absent = plan["absent"] if plan["sealed"] else {row.name: row.missing() for row in wanted if row.missing()}
    table = [row for row in wanted if row.name not in absent]
    if plan["panic"]:
        table = [row for row in table if row.payload and not {f"panic-end/{row.name}", f"panic-died/{row.name}"} & set(journal.done)]
    place = make_place(plan)
    try:
        if plan["panic"]:
            panic(place, table, journal)
            return
        journal.add("manifest", machine=manifest.machine())
        for row in list(table):
            say_progress(0, 0, f"preparing {row.title}")
            try:
                row.begin(place)
                journal.add(f"row/{row.name}", version=row.version(place), command=row.command(
                    place, "payload", row.words(place, "run") if row.payload else []))
                row.rest()
            except (RuntimeError, OSError, subprocess.SubprocessError) as error:
                absent[row.name] = f"it did not start here: {error} {getattr(error, 'output', '') or ''}".strip()[:600]
                table.remove(row)
        for name, why in absent.items():
            journal.add(f"row/{name}", missing=why)
        measure(place, table, plan, journal)
        journal.add("complete")
    finally:
        for row in table:
            row.end(place)
        if not plan["root"]:
            remove_scratch(place.folder)


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (BrokenPipeError, KeyboardInterrupt):  # whoever waits for the results was interrupted
        sys.exit(130)
