# SPDX-License-Identifier: MIT
"""
What changed between two results: analyse(a, b) -> data, compare(a, b) -> text.

For each row and section that has samples in both: the ratio of the medians with a bootstrap interval, and
Mann-Whitney's U, which asks no normal distribution of them (times have none).  A few hundred tests at once
find a few differences by chance alone, so Holm's correction is made over all of them.  A change counts if it
is both significant and larger than a threshold: with enough samples, anything is significant.

The agreement is that of all medians, also of those that have no test: two runs of the same in the deterministic lab
are one and the same.  Of two of those, each sample that is another one is told, whatever the tests say.

What is a single value (memory, rate, steady) has no test; it is told apart, and by a threshold alone.
"""
import math

import numpy
from scipy import stats

import results as r

PARTS = ("start", "end", "total")
SLIP = {"created", "command"}  # of the manifest: differ between any two runs
MOST_SAMPLES = 20  # to be told one by one
OUTCOMES = {"parameters: seconds", "parameters: starts_repeated"}  # no settings


def holm(values):
    """p-values, corrected for there being so many (Holm 1979)."""
    order = sorted(range(len(values)), key=values.__getitem__)
    corrected, highest = [0.0] * len(values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, values[index] * (len(values) - rank)))
        corrected[index] = highest
    return corrected


def mann_whitney(a, b):
    """p, two-sided; 1 where all samples are one value, which the deterministic lab brings about."""
    if len(set(a) | set(b)) == 1:
        return 1.0
    return float(stats.mannwhitneyu(a, b, alternative="two-sided").pvalue)


def ratio(before, after):
    return after / before if before else 1.0 if not after else math.inf


def interval(a, b, resamples, seed):
    """The 95 % bootstrap interval of the ratio of the medians; the same seed for each, so that order does not matter."""
    generator = numpy.random.default_rng(seed)
    medians = [numpy.median(numpy.asarray(samples)[generator.integers(0, len(samples), (resamples, len(samples)))], axis=1)
               for samples in (a, b)]
    if not medians[0].all():
        return None
    return [float(limit) for limit in numpy.percentile(medians[1] / medians[0], [2.5, 97.5])]


def least_p(n, m):
    """What the exact test gives at best: with 3 and 3 samples, never less than 0.1."""
    return 2 / math.comb(n + m, n)


def test_of(row, section, part, a, b, resamples, seed):
    medians = [float(numpy.median(samples)) for samples in (a, b)]
    return {"row": row["name"], "title": row["title"], "section": section, "part": part, "n": [len(a), len(b)],
            "median": medians, "ratio": ratio(*medians), "interval": interval(a, b, resamples, seed),
            "p": mann_whitney(a, b)}


def samples_of(row):
    """{(section, part): samples}.  Of a crowd, the times until all have started and until all have ended, of each round: which of
    its instances has to wait is the scheduler's choice, and another one in each run."""
    found = {}
    for section, series in r.all_series(row):
        crowd = row["crowd"][section.partition("-")[2]] if section.startswith("crowd-") else None
        if crowd:
            rounds = crowd.get("rounds", {"started_ns": [crowd["all_started_ns"]], "ended_ns": [crowd["all_ended_ns"]]})
            found.update({(section, f"all {part}"): rounds[f"{part}_ns"] for part in ("started", "ended")})
        else:
            found.update({(section, part): series[f"{part}_ns"] for part in PARTS})
    return found


def tests_of(row_a, row_b, resamples, seed):
    samples_a, samples_b = samples_of(row_a), samples_of(row_b)
    return [test_of(row_a, section, part, samples_a[section, part], samples_b[section, part], resamples, seed)
            for section, part in samples_a if (section, part) in samples_b]


def judge(tests, threshold, alpha):
    """Adds the corrected p, and the verdict."""
    for test, corrected in zip(tests, holm([test["p"] for test in tests])):
        off = abs(test["ratio"] - 1) > threshold
        test["corrected_p"] = corrected
        test["verdict"] = "same" if not off or corrected >= alpha else "slower" if test["ratio"] > 1 else "faster"
        test["too_few"] = test["verdict"] == "same" and off and least_p(*test["n"]) * len(tests) >= alpha


def values_of(row):
    """{(section, what): value} of what is measured once."""
    found = {}
    for n in sorted(row.get("memory", {}), key=r.number_first):
        entry = row["memory"][n]
        if r.present(entry):
            found.update({(f"memory-{n}", name): entry[name] for name in ("pss_kib", "system_kib")})
    for section, names in (("density", ["each_kib"]), ("rate", ["per_second"]), ("steady", list(r.STEADY))):
        if r.present(row.get(section)):
            found.update({(section, name): row[section][name] for name in names})
    return found


def value_changes(row_a, row_b, threshold):
    a, b = values_of(row_a), values_of(row_b)
    for section, what in a:
        if (section, what) in b:
            of = ratio(a[section, what], b[section, what])
            yield {"row": row_a["name"], "title": row_a["title"], "section": section, "part": what,
                   "value": [a[section, what], b[section, what]], "ratio": of,
                   "verdict": "same" if abs(of - 1) <= threshold else "more" if of > 1 else "less"}


def parts_of(row):
    """The sections that this row has, as far as they can be in one of two results only."""
    sections = [section for section, _ in r.all_series(row)]
    return sections + sorted({section for section, _ in values_of(row)} - set(sections)) + \
        [section for section in ("isolation", "surface") if r.present(row.get(section))]


def only_in(rows_a, rows_b):
    """[{row, section or None, in: 'A' or 'B'}]"""
    found = []
    for name in dict.fromkeys([*rows_a, *rows_b]):
        ran_a, ran_b = (name in rows and not rows[name]["missing"] for rows in (rows_a, rows_b))
        if ran_a != ran_b:
            found.append({"row": name, "section": None, "in": "A" if ran_a else "B"})
        elif ran_a:
            parts_a, parts_b = parts_of(rows_a[name]), parts_of(rows_b[name])
            found += [{"row": name, "section": part, "in": "A"} for part in parts_a if part not in parts_b]
            found += [{"row": name, "section": part, "in": "B"} for part in parts_b if part not in parts_a]
    return found


def isolation_changes(row_a, row_b):
    if not r.present(row_a.get("isolation")) or not r.present(row_b.get("isolation")):
        return
    for key in dict.fromkeys([*row_a["isolation"], *row_b["isolation"]]):
        cells = [row["isolation"].get(key) for row in (row_a, row_b)]
        verdicts = [cell["verdict"] if cell else "not probed" for cell in cells]
        if verdicts[0] != verdicts[1]:
            yield {"row": row_a["name"], "criterion": key, "verdict": verdicts,
                   "value": [cell["value"] if cell else "" for cell in cells]}


def flat_manifest(results):
    """{name: value} of all that may explain a difference, versions of the rows included."""
    flat = {}
    for name, value in results["manifest"].items():
        if isinstance(value, dict):
            flat.update({f"{name}: {key}": inner for key, inner in value.items()})
        elif name not in SLIP:
            flat[name] = value
    flat.update({f"version of {row['name']}": row["version"] for row in results["rows"]})
    return flat


def manifest_changes(a, b):
    flat_a, flat_b = flat_manifest(a), flat_manifest(b)
    return [{"name": name, "value": [flat_a.get(name), flat_b.get(name)]} for name in dict.fromkeys([*flat_a, *flat_b])
            if flat_a.get(name) != flat_b.get(name)]


def warnings_of(a, b, differences):
    """Why the two should not be compared, or with care."""
    a, b = a["manifest"], b["manifest"]
    changed = [entry["name"] for entry in differences]
    if a["emulated"] != b["emulated"]:
        yield "one was measured on an emulated processor and the other was not: their times have nothing to do with each other"
    elif a["deterministic"] != b["deterministic"]:
        yield "one is of the deterministic lab and the other is not: their times have nothing to do with each other"
    elif a["emulated"] and not a["deterministic"]:
        yield "both are emulated and not deterministic: differences below a factor of ten mean nothing"
    elif not a["emulated"] and any(name.startswith("machine: ") for name in changed):
        yield "the machines differ (see above): a difference may be the machine's"
    if a.get("nested", False) != b.get("nested", False):
        yield "one was measured in a virtual machine and the other was not"
    if "payload" in changed or any(name.startswith("parameters: ") for name in set(changed) - OUTCOMES):
        yield "the payload or the parameters differ: not the same was measured"
    if a["quick"] or b["quick"]:
        yield "a quick run has few samples: it misses small changes"


def medians_of(row):
    """{(section, part): median} of all samples that a row has: those that are tested, and each of the many of a crowd."""
    found = {where: numpy.median(samples) for where, samples in samples_of(row).items()}
    found.update({(section, part): series["summary"][part]["p50"] for section, series in r.all_series(row) for part in PARTS})
    return found


def agreement(pairs):
    """{section: the median that is farthest from agreeing}; 'all' is that of all sections."""
    farthest = {}
    for row_a, row_b in pairs:
        medians_a, medians_b = medians_of(row_a), medians_of(row_b)
        for section, part in medians_a:
            if (section, part) not in medians_b:
                continue
            deviation = abs(ratio(medians_a[section, part], medians_b[section, part]) - 1)
            for place in ("all", section):
                if place not in farthest or deviation > farthest[place]["deviation"]:
                    farthest[place] = {"row": row_a["name"], "part": f"{section} {part}", "deviation": deviation}
    return farthest


def differing_samples(pairs):
    """[{row, section, part, number: of the start, value: the two, ns}] of all that is not the same to the nanosecond."""
    found = []
    for row_a, row_b in pairs:
        all_b = dict(r.all_series(row_b))
        for section, series in r.all_series(row_a):
            for part in PARTS if section in all_b else ():
                both = zip(series[f"{part}_ns"], all_b[section][f"{part}_ns"])
                found += [{"row": row_a["name"], "section": section, "part": part, "number": number, "value": [one, other]}
                          for number, (one, other) in enumerate(both) if one != other]
    return found


def analyse(a, b, threshold=0.01, value_threshold=0.05, alpha=0.05, resamples=2000, seed=1):
    """All that differs between two results.  changed: whether samples, isolation or what could be measured did."""
    rows_a, rows_b = ({row["name"]: row for row in results["rows"]} for results in (a, b))
    pairs = [(rows_a[name], rows_b[name]) for name in rows_a
             if name in rows_b and not rows_a[name]["missing"] and not rows_b[name]["missing"]]
    tests = [test for pair in pairs for test in tests_of(*pair, resamples, seed)]
    judge(tests, threshold, alpha)
    differences = manifest_changes(a, b)
    data = {"manifest": differences, "warnings": list(warnings_of(a, b, differences)), "tests": tests,
            "values": [change for pair in pairs for change in value_changes(*pair, value_threshold)],
            "only": only_in(rows_a, rows_b), "isolation": [change for pair in pairs for change in isolation_changes(*pair)],
            "agreement": agreement(pairs), "samples": None, "threshold": threshold, "value_threshold": value_threshold}
    if a["manifest"]["deterministic"] and b["manifest"]["deterministic"]:
        data["samples"] = differing_samples(pairs)
    data["changed"] = bool(data["only"] or data["isolation"] or any(test["verdict"] != "same" for test in tests))
    data["values_changed"] = any(change["verdict"] != "same" for change in data["values"])
    return data


# As text.

def clean(text):
    return "".join(character if character.isprintable() else "?" for character in str(text))


def say_ratio(factor):
    return "from 0" if math.isinf(factor) else f"{factor:.3f}"


def say_p(p):
    return "<0.0001" if p < 0.0001 else f"{p:.4f}"


def say_value(change, value):
    return r.size(value) if change["part"].endswith("_kib") else r.duration(value) if change["section"] == "steady" else \
        r.significant(value)


def columns(rows, words=1):
    """Aligned, the first ones to the left, as words are."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    return ["  " + "  ".join(cell.ljust(width) if index < words else cell.rjust(width)
                             for index, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in rows]


def test_lines(tests):
    rows = [["row, section", "A", "B", "B/A", "95 % interval", "p (Holm)", "B is"]]
    for test in tests:
        between = "{:.3f} to {:.3f}".format(*test["interval"]) if test["interval"] else "-"
        rows.append([clean(f"{test['row']}, {test['section']} {test['part']}"), *map(r.duration, test["median"]),
                     say_ratio(test["ratio"]), between, say_p(test["corrected_p"]),
                     test["verdict"] + (" *" if test["too_few"] else "")])
    return columns(rows)


def value_lines(changes):
    rows = [["row, section", "A", "B", "B/A", "B is"]]
    return columns(rows + [[clean(f"{change['row']}, {change['section']} {change['part']}"),
                            *(say_value(change, value) for value in change["value"]), say_ratio(change["ratio"]),
                            change["verdict"]] for change in changes])


def only_lines(only):
    return columns([[clean(entry["row"] + (f", {entry['section']}" if entry["section"] else "")), f"only in {entry['in']}"]
                    for entry in only], words=2)


def agreement_lines(found):
    if "all" not in found:
        return ["Agreement: there is nothing that both have."]
    def said(entry):
        return clean(f"{entry['deviation'] * 100:.2f} % ({entry['row']}, {entry['part']})")
    return [f"Agreement: no median is off by more than {said(found['all'])}."] + \
        columns([[section, said(entry)] for section, entry in found.items() if section != "all"], words=2)


def sample_lines(samples):
    """The first of them; all are in samples.csv."""
    rows = [["row, section, start", "A", "B", "B - A"]]
    rows += [[clean(f"{sample['row']}, {sample['section']} {sample['part']} {sample['number']}"),
              *(f"{value:,} ns" for value in sample["value"]), f"{sample['value'][1] - sample['value'][0]:+,} ns"]
             for sample in samples[:MOST_SAMPLES]]
    return columns(rows) + ([f"  and {len(samples) - MOST_SAMPLES} more"] if len(samples) > MOST_SAMPLES else [])


def sections_of(data, everything):
    """[(heading, lines)], the manifest first."""
    tests = [test for test in data["tests"] if everything or test["verdict"] != "same"]
    values = [change for change in data["values"] if everything or change["verdict"] != "same"]
    same = sum(test["verdict"] == "same" for test in data["tests"])
    yield "The two were not made alike:", columns([["", "A", "B"], *(
        [clean(entry["name"]), *(clean(value)[:60] for value in entry["value"])] for entry in data["manifest"])], words=3) \
        if data["manifest"] else []
    yield "", [f"Warning: {text}." for text in data["warnings"]]
    yield "Only in one:", only_lines(data["only"]) if data["only"] else []
    yield "Times:", test_lines(tests) if tests else []
    yield "Measured once, so without a test; off by more than " \
        f"{data['value_threshold'] * 100:g} %:" if not everything else "Measured once, so without a test:", \
        value_lines(values) if values else []
    yield "Isolation:", columns([[clean(f"{change['row']}, {change['criterion']}"), " -> ".join(change["verdict"])]
                                 for change in data["isolation"]], words=2) if data["isolation"] else []
    yield "", [f"{same} of {len(data['tests'])} times are the same: not off by more than {data['threshold'] * 100:g} %, or not "
               "significantly (p < 0.05 after Holm's correction)."]
    few = sum(test["too_few"] for test in data["tests"])
    yield "", [f"* Of these, {few} differ by more, but have too few samples for any test to tell."] if few else []
    yield "", agreement_lines(data["agreement"])
    if data["samples"]:
        yield f"{len(data['samples'])} samples are not the same, to the nanosecond; the first start is number 0:", sample_lines(data["samples"])
    elif data["samples"] is not None:
        yield "", ["All samples that both have are the same, to the nanosecond."]


def describe(data, names=("A", "B"), everything=False):
    lines = [f"A is {clean(names[0])}", f"B is {clean(names[1])}"]
    for heading, found in sections_of(data, everything):
        if found:
            lines += ["", *([heading] if heading else []), *found]
    return "\n".join(lines) + "\n"


def compare(a, b, names=("A", "B"), everything=False, **options):
    """The text for people; options are those of analyse(). everything: also what is the same."""
    return describe(analyse(a, b, **options), names, everything)
