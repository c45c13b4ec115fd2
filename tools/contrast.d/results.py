# SPDX-License-Identifier: MIT
"""
The results of tools/contrast: read, checked, summarized, written.

The form is schema.json beside this file; what a JSON schema cannot say (lists of one length, names that
are unique, phases without gaps) is checked here.  Nothing but the standard library is needed to measure
and to write; jsonschema is wanted to check.
"""
import contextlib
import csv
import json
import os
import tempfile

FORMAT = "minivmm-contrast 1"
SCHEMA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "schema.json")
CSV_COLUMNS = ["row", "group", "section", "index", "start_ns", "end_ns", "total_ns"]


class ResultsError(Exception):
    """What is wrong, and on a second line what to do about it."""

    def __init__(self, problem, hint):
        super().__init__(f"{problem}\nhint: {hint}")
        self.problem, self.hint = problem, hint


def percentile(ordered, share):
    """By linear interpolation between the two nearest, as numpy does without being asked for another way."""
    place = (len(ordered) - 1) * share
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def summarize(samples):
    """The summary (see schema.json) of a list of nanoseconds; ValueError if there are none."""
    ordered = sorted(samples)
    if not ordered:
        raise ValueError("there is no sample to summarize")
    return {"n": len(ordered), "min": ordered[0], "p50": percentile(ordered, 0.5), "p90": percentile(ordered, 0.9),
            "p99": percentile(ordered, 0.99), "max": ordered[-1]}


def make_series(starts, ends):
    """The series (see schema.json) of starts and ends in ns, in the order in which they were made."""
    starts, ends = [int(ns) for ns in starts], [int(ns) for ns in ends]
    if len(starts) != len(ends):
        raise ValueError(f"{len(starts)} starts, but {len(ends)} ends")
    totals = [start + end for start, end in zip(starts, ends)]
    return {"start_ns": starts, "end_ns": ends, "total_ns": totals,
            "summary": {"start": summarize(starts), "end": summarize(ends), "total": summarize(totals)}}


def present(thing):
    """Whether this part of a row was measured: it is there, and not {"missing": why}."""
    return thing is not None and not (isinstance(thing, dict) and "missing" in thing)


def why_missing(row, section):
    """Why a row has no such section; None if it has it."""
    if row["missing"]:
        return row["missing"]
    thing = row.get(section)
    if thing is None:
        return "not measured"
    return thing.get("missing") if isinstance(thing, dict) else None


def all_series(row):
    """[(section, series)] of all that a row has: serial, cold, crowd-1, crowd-10 ..."""
    found = [(name, row[name]) for name in ("serial", "cold") if present(row.get(name))]
    crowds = row.get("crowd", {})
    for n in sorted(crowds, key=number_first):
        if present(crowds[n]):
            found.append((f"crowd-{n}", crowds[n]["series"]))
    return found


def number_first(text):
    """A key for sorting that puts 2 before 10, and what is no number behind."""
    return (0, int(text), "") if text.isdecimal() else (1, 0, text)


def load_schema():
    with open(SCHEMA, encoding="utf-8") as file:
        return json.load(file)


def place_of(path):
    """A path of jsonschema as a person would write it: rows[3].serial.start_ns[7]"""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "the whole"


def innermost(error):
    """Of an error in one of two forms (the thing, or {"missing": why}), the one in the form that was meant."""
    while error.context:
        missing = isinstance(error.instance, dict) and "missing" in error.instance
        meant = [inner for inner in error.context
                 if (error.validator_value[inner.schema_path[0]].get("$ref") == "#/$defs/missing") == missing]
        error = min(meant or error.context, key=lambda inner: len(inner.absolute_path))
    return error


def validate(results):
    """Raises ResultsError unless the results have the form of schema.json, and agree with themselves."""
    if not isinstance(results, dict) or results.get("format") != FORMAT:
        told = results.get("format") if isinstance(results, dict) else None
        raise ResultsError(f"not results of tools/contrast: the format is {told!r}, not {FORMAT!r}",
                           "give the results.json that this version of tools/contrast wrote, or measure again")
    try:
        import jsonschema  # not at the top: to measure and to write, it is not needed
    except ImportError:
        raise ResultsError("cannot check the results: Python finds no jsonschema",
                           "apt install python3-jsonschema, and use /usr/bin/python3") from None
    checker = jsonschema.Draft202012Validator(load_schema())
    errors = [innermost(error) for error in checker.iter_errors(results)]
    if errors:
        first = min(errors, key=lambda error: [str(part) for part in error.absolute_path])
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise ResultsError(f"{place_of(first.absolute_path)}: {first.message[:300]}{more}",
                           "the file does not have the form of tools/contrast.d/schema.json: it was changed by hand, or "
                           "another version wrote it; measure again")
    for problem in contradictions(results):
        raise ResultsError(problem, "the file contradicts itself: it was changed by hand, or tools/contrast has a bug")


def contradictions(results):
    """What the schema cannot say, one text for each."""
    names = [row["name"] for row in results["rows"]]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"there are {names.count(name)} rows with the name {name}"
    keys = [criterion["key"] for criterion in results["criteria"]]
    for row in results["rows"]:
        for section, series in all_series(row):
            yield from series_contradictions(f"{row['name']}, {section}", series)
        isolation = row.get("isolation")
        if present(isolation):
            for key in sorted(set(isolation) - set(keys)):
                yield f"{row['name']}: isolation has {key}, which is no criterion"
        end = 0
        for phase in row.get("timeline", []):
            if phase["begin_ns"] != end or phase["end_ns"] < end:
                yield f"{row['name']}: the phase {phase['phase']} begins at {phase['begin_ns']} ns, the one before ended " \
                      f"at {end} ns"
            end = phase["end_ns"]


def series_contradictions(where, series):
    lists = [series[part + "_ns"] for part in ("start", "end", "total")]
    if len({len(samples) for samples in lists}) != 1:
        yield f"{where}: start_ns, end_ns and total_ns differ in length"
    elif any(start + end != total for start, end, total in zip(*lists)):
        yield f"{where}: a total is not start and end together"
    else:
        for part, samples in zip(("start", "end", "total"), lists):
            told, found = series["summary"][part], summarize(samples)
            if any(abs(told[name] - found[name]) > 1 + found[name] * 1e-6 for name in found):
                yield f"{where}: the summary of {part} is not that of its samples"


def no_constant(name):
    raise ValueError(f"{name} is no number that JSON knows")


def load(path):
    """The checked results in the file; ResultsError says what is wrong with it."""
    try:
        with open(path, encoding="utf-8") as file:
            results = json.load(file, parse_constant=no_constant)
    except FileNotFoundError:
        raise ResultsError(f"cannot read {path}: there is no such file",
                           "give the results.json that tools/contrast wrote (its option --output names the folder)") from None
    except IsADirectoryError:
        raise ResultsError(f"cannot read {path}: it is a folder", f"try {os.path.join(path, 'results.json')}") from None
    except OSError as error:
        raise ResultsError(f"cannot read {path}: {error.strerror}", "see its permissions with ls -l") from None
    except ValueError as error:  # of JSON, or of UTF-8
        raise ResultsError(f"{path} is no JSON: {error}", "the file is cut off or no results.json; measure again") from None
    try:
        validate(results)
    except ResultsError as error:
        raise ResultsError(f"{path}: {error.problem}", error.hint) from None
    return results


@contextlib.contextmanager
def replacing(path):
    """A text file that appears under its name when it is whole, or not at all."""
    folder, name = os.path.split(os.path.abspath(path))
    try:
        handle, temporary = tempfile.mkstemp(prefix="." + name + ".", dir=folder)
    except OSError as error:
        raise ResultsError(f"cannot write {path}: {error.strerror}", f"make sure that {folder} exists and can be written") \
            from None
    try:
        with open(handle, "w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def write_text(text, path):
    with replacing(path) as file:
        file.write(text)


def write_json(results, path):
    """Writes what validates.  What does not is kept beside it, for it may have taken an hour to measure."""
    text = json.dumps(results, ensure_ascii=False, indent=1) + "\n"
    try:
        validate(results)
    except ResultsError as error:
        write_text(text, path + ".invalid")
        raise ResultsError(error.problem, f"{error.hint}; what was measured is in {path}.invalid") from None
    write_text(text, path)


def write_csv(results, path):
    """Every sample, one line each."""
    with replacing(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(CSV_COLUMNS)
        for row in results["rows"]:
            for section, series in all_series(row):
                for index, times in enumerate(zip(series["start_ns"], series["end_ns"], series["total_ns"])):
                    writer.writerow([row["name"], row["group"], section, index, *times])


# How things are said, wherever results are shown.

GROUPS = {"process": "Process", "container": "Container", "vm": "Virtual machine"}
PHASES = ["setup", "monitor", "kernel", "work", "shutdown", "teardown"]
STEADY = {"getpid": "getpid", "page_fault": "page fault", "context_switch": "context switch", "read_4k": "read of 4 KiB",
          "pipe_round_trip": "pipe round trip"}
VERDICTS = ["host", "shared", "own", "none", "unknown"]


def significant(number, digits=3):
    """4 digits before the point stay 4; 0 stays 0: 1234, 12.3, 0.0123"""
    if number == 0:
        return "0"
    text = f"{number:.{digits}g}"
    return f"{number:.0f}" if "e+" in text or abs(number) >= 10 ** digits else text if "e" in text else \
        f"{number:#.{digits}g}".rstrip(".")


TIMES = ("s", 1e9), ("ms", 1e6), ("µs", 1e3), ("ns", 1)
SIZES = ("GiB", 1 << 20), ("MiB", 1 << 10), ("KiB", 1)


def unit_of(value, units):
    """The largest one that the value has, with its size; the smallest for what is smaller."""
    return next((unit for unit in units if abs(value) >= unit[1] * 0.9995), units[-1])


def duration(ns):
    unit, one = unit_of(ns, TIMES)
    return f"{significant(ns / one)} {unit}"


def size(kib):
    unit, one = unit_of(kib, SIZES)
    return f"{format(kib, '.0f') if one == 1 and kib >= 10 else significant(kib / one)} {unit}"


def axis_duration(ns):
    """As short as it can be: 1 ms, 0.5 s"""
    unit, one = unit_of(ns, TIMES)
    return f"{ns / one:.3g} {unit}" if abs(ns) >= 0.9995 else f"{ns:.3g}"


def axis_size(kib):
    unit, one = unit_of(kib, SIZES)
    return f"{kib / one:.3g} {unit}"


def plain(number):
    """Without a unit, at an axis."""
    return f"{number:.0f}" if number == int(number) else f"{number:.3g}"


def median_start(row):
    """Of the serial starts; None if there are none."""
    serial = row.get("serial")
    return serial["summary"]["start"]["p50"] if not row["missing"] and present(serial) else None


def in_order(results):
    """The rows as they are shown everywhere: by group, the fastest first, those that could not run last."""
    def key(row):
        start = median_start(row)
        return list(GROUPS).index(row["group"]), row["missing"] is not None, start is None, start or 0
    return sorted(results["rows"], key=key)


def title_of(row):
    """With a dagger if the guest is no Linux, so that nobody takes its start for that of the payload."""
    return row["title"] + ("" if row.get("payload", True) else " †")
