# SPDX-License-Identifier: MIT
"""
The results as plain text of at most 120 columns, for people without a browser: table(results) -> text.
"""
import os
import sys
import textwrap

import results as r

WIDTH = 120
LETTERS = {"host": "H", "shared": "s", "own": "o", "none": ".", "unknown": "?"}
COLOURS = {"process": "32", "container": "34", "vm": "33", "bold": "1"}
COLUMNS = [("start p50", 10), ("end p50", 9), ("total p50", 9), ("p90", 8), ("max", 8), ("cold p50", 9), ("memory", 9)]


def may_colour():
    """Only where a person looks at it, and has not asked for none: https://no-color.org"""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def printable(text):
    """A title cannot move the cursor."""
    return "".join(character if character.isprintable() else "?" for character in str(text))


def cut(text, width):
    return text if len(text) <= width else text[:width - 1] + "…"


def paint(text, colour, wanted):
    return f"\033[{COLOURS[colour]}m{text}\033[0m" if wanted else text


def letters(results, row):
    """One for each criterion, in their order; a space where it was not probed."""
    if not r.present(row.get("isolation")):
        return "-"
    return "".join(LETTERS[row["isolation"][criterion["key"]]["verdict"]] if criterion["key"] in row["isolation"] else " "
                   for criterion in results["criteria"])


def numbers(row):
    def summary(section, part):
        return row[section]["summary"][part] if r.present(row.get(section)) else None

    def say(found, name):
        return "-" if found is None else r.duration(found[name])

    start, end, total = (summary("serial", part) for part in ("start", "end", "total"))
    memory = r.size(row["density"]["each_kib"]) if r.present(row.get("density")) else "-"
    return [say(start, "p50"), say(end, "p50"), say(total, "p50"), say(total, "p90"), say(total, "max"),
            say(summary("cold", "start"), "p50"), memory]


def wrapped(text, indent=""):
    return textwrap.wrap(printable(text), WIDTH, initial_indent=indent, subsequent_indent=indent + "  ")


def warning(manifest):
    if manifest["emulated"] and manifest["deterministic"]:
        return wrapped("Measured in the deterministic lab: an instruction takes a nanosecond. Compare ratios between rows; caches "
                       "and the cost of exits in hardware do not count. Do not compare with a real machine.")
    if manifest["emulated"]:
        return wrapped("Emulated, and not deterministic: read nothing but orders of magnitude.")
    return []


def legend(results, dagger):
    used = {cell["verdict"] for row in results["rows"] if r.present(row.get("isolation")) for cell in row["isolation"].values()}
    lines = wrapped("start: spawn to the first instruction of main. end: from there to reaped. total: both. p50: the median; p90: "
                    "nine of ten are not above. cold: the start with the page cache dropped. memory: what one more idle instance "
                    "takes, the kernel's for it included. -: not measured.")
    if used:
        meanings = {"host": "H the host's", "shared": "s shared in part", "own": "o its own", "none": ". none or refused",
                    "unknown": "? unknown"}
        lines += wrapped("isolation, in this order: " + ", ".join(criterion["title"] for criterion in results["criteria"]) +
                         ".  " + ", ".join(meanings[verdict] for verdict in r.VERDICTS if verdict in used) + ".")
    if dagger:
        lines += wrapped("† its guest is no Linux and cannot run the payload; its own first mark is taken")
    return lines


def table(results, colour=None):
    """colour: None for what suits the standard output."""
    colour = may_colour() if colour is None else colour
    ran = [row for row in r.in_order(results) if not row["missing"]]
    absent = [row for row in r.in_order(results) if row["missing"]]
    isolation = max([len(letters(results, row)) for row in ran] + [len("isolation")])
    room = max(16, WIDTH - sum(width + 1 for _, width in COLUMNS) - min(isolation, 24) - 2)
    titles = {row["name"]: cut(printable(r.title_of(row)), room) for row in ran}
    room = max([len(title) for title in titles.values()] + [len("Virtual machine")])
    head = " " * room + "".join(f" {name:>{width}}" for name, width in COLUMNS) + "  isolation"
    lines, last = warning(results["manifest"]) + ([""] if warning(results["manifest"]) else []), None
    lines.append(paint(head, "bold", colour))
    for row in ran:
        if row["group"] != last:
            last = row["group"]
            lines.append(paint(r.GROUPS[last], last, colour))
        lines.append((f"{titles[row['name']]:<{room}}" + "".join(
            f" {text:>{width}}" for text, (_, width) in zip(numbers(row), COLUMNS)) +
            "  " + cut(letters(results, row), 24)).rstrip())
    if not ran:
        lines.append("no row could run here")
    lines += ["", *legend(results, any(not row.get("payload", True) for row in ran))]
    if absent:
        lines += ["", "could not run:"]
        for row in absent:
            lines += wrapped(f"{row['title']}: {row['missing']}", "  ")
    return "\n".join(lines) + "\n"
