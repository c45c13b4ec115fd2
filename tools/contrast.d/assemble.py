# SPDX-License-Identifier: MIT
"""From the journals of a run to its results, in the form of schema.json."""
import datetime
import statistics

import isolation
import results
import rows
import surface
from inside import CROWDS, FEW, first_mark

MAIN, DONE = 1, 2  # the payload's marks


def start_of(sample):
    return first_mark(sample["marks"])


def series(samples):
    starts = [start_of(sample) for sample in samples]
    return results.make_series(starts, [sample["total"] - start for sample, start in zip(samples, starts)])


def collected(journal, section, row):
    """The samples of all blocks; or why there are none."""
    records = [record for key, record in sorted(journal.items(), key=lambda item: number_of(item[0]))
               if key.startswith(f"{section}/{row.name}/")]
    samples = [sample for record in records for sample in record.get("samples", [])]
    if samples:
        return samples, None
    return [], next((record["missing"] for record in records if "missing" in record), "it was not measured in this run")


def number_of(key):
    last = key.rsplit("/", 1)[1] if "/" in key else ""
    return int(last) if last.isdigit() else -1


def phases(row, sample):
    """The parts of one start, without gaps."""
    at = {}
    for when, what in sample["marks"]:
        at.setdefault(what, when)
    points = [("setup", at.get("first KVM_RUN" if row.timeline else MAIN, start_of(sample)))]
    if row.timeline:
        points = [("monitor", points[0][1]), ("kernel", start_of(sample))]
    if DONE in at:
        points.append(("work", at[DONE]))
    if "end" in at and row.timeline:
        points.append(("shutdown", at["end"]))
    points.append(("teardown", sample["total"]))
    found, begin = [], 0
    for phase, end in points:
        if end > begin:
            found.append({"phase": phase, "begin_ns": begin, "end_ns": end})
            begin = end
    return found


def names_of_marks(sample):
    names = {MAIN: "main's first instruction", DONE: "the work is done"}
    return sorted([when, names.get(what, str(what))] for when, what in sample["marks"]) + [[sample["total"], "reaped"]]


def crowds(row, journal):
    found = {}
    for n in CROWDS:
        record = journal.get(f"crowd/{row.name}/{n}", {"missing": "it was not measured in this run"})
        if "missing" in record:
            found[str(n)] = {"missing": record["missing"]}
            continue
        rounds = {"started_ns": record["all_started"], "ended_ns": record["all_ended"]}
        found[str(n)] = {"n": n, **{f"all_{part}_ns": round(statistics.median(rounds[f"{part}_ns"])) for part in ("started", "ended")},
                         "rounds": rounds, "series": series(record["samples"])}
    return found


def plain(journal, key):
    record = journal.get(key, {"missing": "it was not measured in this run"})
    return {field: value for field, value in record.items() if field != "key"}


def density(memories):
    """What one more takes: PSS, and what the kernel counts for its control groups, which is steadier than what the system lost. Where
    it was not counted for some of them, it cannot be compared, and is left out."""
    weighed = [memory for memory in memories.values() if "missing" not in memory]
    counted = all(memory["cgroup_kernel_kib"] is not None for memory in weighed)
    known = sorted((memory["n"], memory["pss_kib"] + (memory["cgroup_kernel_kib"] if counted else 0)) for memory in weighed)
    if len(known) < 2:
        return {"missing": "too few numbers of instances were weighed"}
    (few, small), (many, large) = known[0], known[-1]
    each = (large - small) / (many - few)
    if each <= 0:
        return {"missing": f"{many} took no more memory than {few}, as far as it was counted"}
    return {"each_kib": round(each, 1), "per_gib": int((1 << 20) / each)}


def isolation_of(row, journal, host, panics):
    record = journal.get(f"isolation/{row.name}/0", {"missing": "it was not measured in this run"})
    if "missing" in record:
        return {"missing": record["missing"]}
    return isolation.judge(record["seen"], host, {"can": row.can, **panics.get(row.name, {"panic": None, "panic_why": "not tried in this run"})})


def surface_of(row, journal, host):
    seen = journal.get(f"isolation/{row.name}/0", {}).get("seen")
    record = journal.get(f"surface/{row.name}/0", {"missing": "it was not measured in this run"})
    direct, of = surface.direct(seen, host) if seen else (0 if row.group == "vm" else None, None)
    if direct is None:
        return {"missing": "how many system calls it reaches was not found out"}
    found = {"direct": direct}
    if of:
        found["of"] = of
    if row.group == "vm" and "missing" not in record:
        found.update({key: record[key] for key in ("monitor_calls", "exits", "kvm_exits")})
    return found


def panics_of(journal):
    found = {}
    for key in journal:
        kind, _, name = key.partition("/")
        if kind == "panic-begin":
            end = journal.get(f"panic-end/{name}")
            found[name] = {"panic": "alive", "panic_text": end["text"]} if end else \
                {"panic": "died"} if f"panic-died/{name}" in journal else {"panic": None, "panic_why": "the machine ended before it was done"}
    return found


def row_of(row, journal, host, panics):
    head = journal.get(f"row/{row.name}", {"missing": "it was not reached"})
    found = {"name": row.name, "group": row.group, "title": row.title, "what": row.what, "version": head.get("version"),
             "missing": head.get("missing")}
    if head.get("missing"):
        return found
    samples, why = collected(journal, "serial", row)
    colds, why_cold = collected(journal, "cold", row)
    memories = {str(n): plain(journal, f"memory/{row.name}/{n}") for n in sorted({*CROWDS, FEW}) if n in CROWDS or
                f"memory/{row.name}/{n}" in journal}
    steady = plain(journal, f"steady/{row.name}/0")
    found.update({
        "command": head["command"], "payload": row.payload, "mark": row.mark,
        "serial": series(samples) if samples else {"missing": why},
        "cold": series(colds) if colds else {"missing": why_cold},
        "crowd": crowds(row, journal), "memory": memories, "density": density(memories),
        "rate": plain(journal, f"rate/{row.name}/0"), "steady": steady if "missing" in steady else steady["values"],
        "isolation": isolation_of(row, journal, host, panics), "surface": surface_of(row, journal, host)})
    if samples:
        typical = sorted(samples, key=lambda sample: sample["total"])[len(samples) // 2]
        found["timeline"], found["marks"] = phases(row, typical), names_of_marks(typical)
    return found


def assemble(names, facts, journal):
    """facts: the manifest but for the machine and the time; journal: all records."""
    host = journal.get("isolation/posix_spawn/0", {}).get("seen", {})
    panics = panics_of(journal)
    hung = sum(len(record["reasons"]) for key, record in journal.items() if key.startswith("hung/"))
    manifest = dict(facts, created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
                    machine=journal.get("manifest", {}).get("machine", {}))
    manifest["parameters"] = dict(facts["parameters"], starts_repeated=hung)
    return {"format": "minivmm-contrast 1", "manifest": manifest, "criteria": isolation.CRITERIA,
            "rows": [row_of(row, journal, host, panics) for row in rows.ROWS if row.name in names]}
