# SPDX-License-Identifier: MIT
"""
The results as one page: write_report(results, path) makes a single HTML file that needs nothing else.

Every sentence with a number is made from the results, and chosen by what they have: rows may be missing, and
parts of rows.  Whatever comes from the results goes through escape(); elements are made by tag() alone, so
that nothing is forgotten.  Style and script are report.css and report.js, put into the page.
"""
import base64
import hashlib
import json
import os

import plots
import results as r

HERE = os.path.dirname(os.path.abspath(__file__))
VOID = {"meta", "br", "input", "link"}
SYMBOLS = {"host": "●", "shared": "◐", "own": "○", "none": "–", "unknown": "?"}
MEANING = {
    "host": "it sees or touches what is the host's", "shared": "partly the host's, partly its own",
    "own": "it has one of its own", "none": "there is no such thing in there, or it was refused",
    "unknown": "it was not found out",
}
PHASES = {
    "setup": "what has to be made before anything of its own runs: namespaces, a root file system, daemons' work",
    "monitor": "the virtual machine's monitor, up to its first instruction",
    "kernel": "firmware and the guest's kernel, up to init",
    "work": "the payload itself", "shutdown": "the guest's kernel ends", "teardown": "what is left is cleaned up, until reaped",
}


class Safe(str):
    """Text that is HTML already."""


def escape(thing):
    return thing if isinstance(thing, Safe) else Safe(plots.escape(str(thing)))


def join(*children):
    return Safe("".join(map(escape, flat(children))))


def flat(children):
    for child in children:
        if isinstance(child, (list, tuple)):
            yield from flat(child)
        elif child is not None:
            yield child


def tag(element, /, *children, **attributes):
    """An element.  class_ is class; _ in a name is -; True is an attribute without a value, None is none."""
    text = "".join(f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escape(str(value))}"')
                   for key, value in attributes.items() if value is not None and value is not False)
    return Safe(f"<{element}{text}>" + ("" if element in VOID else f"{join(children)}</{element}>"))


def section(name, heading, *children, **attributes):
    return tag("section", tag("h2", heading, id=name), *children, aria_labelledby=name, **attributes)


def listing(pairs):
    return tag("dl", [tag("div", tag("dt", key), tag("dd", value)) for key, value in pairs])


def table(caption, head, body, groups=None, kind=""):
    """head: headings, the first of the rows; body: [cells], the first of which names the row; groups: [(title, columns)]"""
    top = [tag("tr", tag("td"), [tag("th", title, scope="colgroup", colspan=width) for title, width in groups])] \
        if groups else None
    rows = [tag("tr", tag("th", row[0], scope="row"), [tag("td", cell) for cell in row[1:]]) for row in body]
    return tag("div", tag("table", tag("caption", caption), tag("thead", top, tag("tr", [
        tag("th", title, scope="col") for title in head])), tag("tbody", rows)),
        class_=f"scroll {kind}".strip(), tabindex=0, role="region", aria_label=caption)


# What the page says in words.

def plural(count, one, many=None):
    return f"{count} {one if count == 1 else many or one + 's'}"


def times(factor):
    return f"{r.significant(factor, 2 if factor < 10 else 3)} times"


def started(rows, group, payload=True):
    """The rows of a group that have starts; payload: whether those whose guest runs it, or the others."""
    found = [row for row in rows if row["group"] == group and r.median_start(row) is not None]
    return sorted((row for row in found if row.get("payload", True) == payload), key=r.median_start)


def span(rows, value, form):
    """'2.39 ms (nsrun)', or '2.39 ms (nsrun) to 392 ms (docker run)'"""
    low, high = min(rows, key=value), max(rows, key=value)
    if len(rows) == 1 or form(value(low)) == form(value(high)):
        return f"{form(value(low))} ({brief(low)})"
    return f"{form(value(low))} ({brief(low)}) to {form(value(high))} ({brief(high)})"


def brief(row):
    """Without a remark in parentheses, which a sentence has around it already."""
    return row["title"].split(" (")[0]


def factors(rows, value, base):
    low, high = (times(pick(map(value, rows)) / base) for pick in (min, max))
    return low if low == high else f"{low.removesuffix(' times')} to {high}"


def start_sentences(rows, short):
    process, container, vm = (started(rows, group) for group in r.GROUPS)
    bare = started(rows, "vm", payload=False)
    base = r.median_start(process[0]) if process else None

    def against(group):
        return f", {factors(group, r.median_start, base)} as long" if base else ""

    if short:
        parts = [f"{span(found, r.median_start, r.duration)} in {what}" for found, what in (
            (process, "a process"), (container, "a container"), (vm, "a machine")) if found]
        if parts:
            yield "Main begins after " + "; ".join(parts) + "."
        return
    if process:
        yield f"A plain process ({brief(process[0])}) is at the first instruction of its main after {r.duration(base)}."
    if container:
        yield f"A container takes {span(container, r.median_start, r.duration)}{against(container)}."
    if vm:
        yield f"A virtual machine, which boots Linux first, takes {span(vm, r.median_start, r.duration)}{against(vm)}."
    if container and vm:
        behind = sum(r.median_start(row) > r.median_start(vm[0]) for row in container)
        yield "The fastest one of these is there " + (
            "before every container." if behind == len(container) else "after every container." if not behind else
            f"before {behind} of {plural(len(container), 'container')}.")
    if bare:
        yield f"Without Linux, one reaches its guest's first mark after {span(bare, r.median_start, r.duration)}."


def memory_sentence(rows, short):
    parts = []
    for group, how in (("process", "as a process"), ("container", "in a container"), ("vm", "in a machine")):
        found = [row for row in rows if row["group"] == group and r.present(row.get("density")) and
                 row.get("payload", True) and row["density"]["each_kib"] > 0]
        if found:
            parts.append(f"{how}, {span(found, lambda row: row['density']['each_kib'], r.size)}")
    if parts:
        yield ("One more takes, " if short else "One more idle instance takes, ") + "; ".join(parts) + "."


def isolation_sentence(results, rows):
    parts = []
    for group, how in (("process", "a process"), ("container", "a container"), ("vm", "a machine")):
        counts = [sum(cell["verdict"] in ("host", "shared") for cell in row["isolation"].values())
                  for row in rows if row["group"] == group and r.present(row.get("isolation"))]
        if counts:
            low, high = min(counts), max(counts)
            parts.append(f"in {how}, {low if low == high else f'{low} to {high}'}")
    if parts:
        yield f"Of {plural(len(results['criteria']), 'thing')} probed, so many are the host's, at least in part: " + \
              "; ".join(parts) + "."


def surface_sentence(rows, short):
    parts = []
    for group, how in (("process", "from a process"), ("container", "from a container")):
        found = [row for row in rows if row["group"] == group and r.present(row.get("surface"))]
        if found:
            parts.append(f"{how}, {span(found, lambda row: row['surface']['direct'], str)}")
    monitors = [row for row in rows if row["group"] == "vm" and r.present(row.get("surface")) and row.get("payload", True) and
                "monitor_calls" in row["surface"]]
    if monitors:
        parts.append(("from a guest none; its monitor makes " if short else "from a guest none, but its monitor makes so many kinds: ") +
                     span(monitors, lambda row: len(row["surface"]["monitor_calls"]), str))
    if parts:
        yield ("The host's system calls in reach: " if short else "System calls of the host in reach: ") + "; ".join(parts) + "."


def panic_sentence(rows, short):
    """Who took the host down, and who tried in vain."""
    tried = [row for row in rows if r.present(row.get("isolation")) and row["isolation"].get("panic", {}).get("verdict", "unknown") != "unknown"]
    died = [row for row in tried if row["isolation"]["panic"]["verdict"] == "host"]
    if tried:
        yield f"Told to panic the kernel, {len(died)} of {plural(len(tried), 'row')} took the host down" + (
            f" ({', '.join(map(brief, died))})." if died and not short else ".")


def answer(results, short=False):
    """[(heading, sentences)]: what it costs, as far as the results go."""
    rows = [row for row in r.in_order(results) if not row["missing"]]
    missing = len(results["rows"]) - len(rows)
    found = [("Start", list(start_sentences(rows, short))), ("Memory", list(memory_sentence(rows, short))),
             ("Isolation", [*isolation_sentence(results, rows), *panic_sentence(rows, short)]),
             ("Attack surface", list(surface_sentence(rows, short))),
             ("Not here", [f"{missing} of {plural(len(results['rows']), 'row')} could not run."] if missing else [])]
    if not any(sentences for _, sentences in found[:-1]):
        found[0] = "Start", ["Nothing could be measured here."]
    return [(heading, sentences) for heading, sentences in found if sentences]


def conditions(results):
    """One line for below a picture that stands alone."""
    manifest = results["manifest"]
    counts = {row["serial"]["summary"]["start"]["n"] for row in results["rows"] if r.present(row.get("serial"))}
    n = f"{min(counts)} starts" if len(counts) == 1 else f"{min(counts)} to {max(counts)} starts" if counts else "no starts"
    where = "Emulated, one instruction takes 1 ns: compare ratios, not with real machines" \
        if manifest["emulated"] and manifest["deterministic"] else \
        "Emulated: orders of magnitude only" if manifest["emulated"] else "Measured on this machine's processor"
    return f"{where}. {n} each, minivmm {manifest['minivmm']}."


def banners(manifest):
    def banner(heading, *text):
        return tag("div", tag("p", tag("strong", heading), " ", *text), class_="banner", role="note")

    found = []
    if manifest["emulated"] and manifest["deterministic"]:
        found.append(banner(
            "Measured in the deterministic lab, not on real hardware.", "The processor was emulated, and each instruction took "
            "one nanosecond. So the figures repeat on any computer, and ratios between rows can be compared: they say who "
            "executes more instructions and waits for more timers. What does not count: the processor's caches, the real "
            "speed of a disk, and the cost of an exit from a guest to the host in hardware, which is hundreds of instructions' time on a real "
            "processor. Do not compare these times with those of a real machine."))
    elif manifest["emulated"]:
        found.append(banner(
            "Emulated, and not deterministic: read nothing but orders of magnitude.", "The processor was emulated by software, "
            "at a speed that depends on what else this computer was doing. Neither the times nor small differences between "
            "rows mean anything; a factor of ten does."))
    if manifest.get("nested") and not manifest["emulated"]:
        found.append(banner("Measured in a virtual machine.", "Virtual machines ran nested in it: their exits go through one "
                            "more monitor, and cost more than they would on the machine itself."))
    if manifest["quick"]:
        found.append(banner("A quick run.", "Few starts were made, so p90 and p99 are hardly more than the largest of them."))
    return found


# Figures, with what explains them.

def key(items):
    return tag("ul", [tag("li", tag("span", class_=f"swatch {name}", aria_hidden="true"), text) for name, text in items],
               class_="key")


GROUP_KEY = [(name, title.lower()) for name, title in r.GROUPS.items()]


def both(draw):
    """A figure in both widths; the style sheet shows one."""
    return [tag("div", [Safe(svg) for svg in flat([draw(narrow)])], class_="narrow" if narrow else "wide-only")
            for narrow in (False, True)]


def figure(picture, caption, **attributes):
    return tag("figure", picture, tag("figcaption", caption), **attributes)


def not_shown(results, section_name):
    """Of the rows that ran, those without this part."""
    names = [row["title"] for row in r.in_order(results) if not row["missing"] and not r.present(row.get(section_name))]
    return f" Not measured: {'; '.join(names)} (the reasons are below)." if names else ""


def nothing(what):
    return tag("p", f"{what} was not measured in this run.", class_="empty")


DAGGER = "† Its guest is no Linux and cannot run the payload; the guest's own first mark is taken."


def daggers(rows):
    return any(not row.get("payload", True) for row in rows)


def dagger(rows):
    return tag("p", DAGGER, class_="note") if daggers(rows) else None


def start_section(results, rows):
    shown = [row for row in rows if r.present(row.get("serial")) or r.present(row.get("cold"))]
    if not shown:
        return section("start", "Start and end", nothing("A start"))
    picture = tag("div", key([("median", "start: median"), ("dot", "each start, the first at the top"), ("end", "end: median"),
                              ("cold", "cold start: median and range")]),
                  both(lambda narrow: plots.start_figure(f"start{narrow:d}", shown, narrow)),
                  tag("p", conditions(results), " ", *([DAGGER] if daggers(shown) else []), class_="conditions"),
                  class_="picture", id="picture-start")
    return section("start", "Start and end", tag("p", "A ", tag("dfn", "start"), " is from just before the spawn to the first "
                   "instruction of the payload's main; an ", tag("dfn", "end"), " is from there until the process is reaped. "
                   "The axis is logarithmic: from one line to the next is a factor of ten. ", tag("dfn", "Cold"),
                   " means that the page cache was dropped first, so that programs and images come from the disk."),
                   figure(picture, "Bars end at the median." + not_shown(results, "serial")))


def crowd_section(results, rows):
    sizes = sizes_of(rows, "crowd")
    shown = [row for row in rows if any(r.present(row.get("crowd", {}).get(size)) for size in sizes)]
    if not shown:
        return section("crowd", "Many at once", nothing("A crowd"))
    shapes = ["circle", "square", "triangle", "triangle-down", "diamond"]
    return section("crowd", "Many at once", tag("p", "So long it takes from before the first spawn until all of them run, if "
                   "they are all started at once; the median of up to fifteen rounds."),
                   figure([key([*GROUP_KEY, *zip(shapes, [f"{size} at once" for size in sizes])]),
                           both(lambda narrow: plots.crowd_figure(f"crowd{narrow:d}", shown, sizes, narrow))],
                          f"On a logarithmic axis.{not_shown(results, 'crowd')}"), dagger(shown))


def phase_views(shown):
    """[(title, whether it is printed, arguments)]"""
    totals = sorted(map(plots.total_of, shown))
    views = [("All of it", True, {})]
    for title, limit in (("The faster half", totals[len(totals) // 2]), ("The fastest quarter", totals[len(totals) // 4])):
        if limit * 1.1 < totals[-1] * 0.7:
            views.append((f"{title} (up to {r.duration(limit * 1.1)})", False, {"limit": limit * 1.1}))
    return views + [("As shares", True, {"shares": True})]


def phase_section(rows):
    shown = [row for row in rows if row.get("timeline") and plots.total_of(row) > 0]
    if not shown:
        return section("phases", "Where the time goes", nothing("A timeline"))
    views = phase_views(shown)
    choice = tag("fieldset", tag("legend", "Show"), [
        tag("label", tag("input", type="radio", name="phase-view", value=number, checked=number == 0), " ", title)
        for number, (title, _, _) in enumerate(views)], class_="choice needs-script")
    figures = [tag("div", tag("p", title, class_="view-title"), both(lambda narrow: plots.phase_figure(
        f"phases{number}{narrow:d}", shown, narrow=narrow, **arguments)), class_="view" + (" printed" if printed else ""))
        for number, (title, printed, arguments) in enumerate(views)]
    return section("phases", "Where the time goes", tag("p", "The phases of the start and end whose total is the median, each "
                   "beginning where the one before ends. Virtual machines take so much longer that one scale does not suit all."),
                   choice, figure([key([(f"phase-{name}", name) for name in r.PHASES]), figures],
                                  "An arrow at the right: the bar goes on beyond the axis; the total is the number beside it."),
                   listing((name, what) for name, what in PHASES.items()), dagger(shown), class_="views")


def memory_section(results, rows):
    curves = [(key_, title) for key_, title in (("system_kib", "By the system's memory: what MemAvailable fell by"),
                                                ("pss_kib", "By PSS"))
              if any(plots.memory_points(row, key_) for row in rows)]
    parts = [tag("p", "While they are idle. ", tag("dfn", "PSS"), " (proportional set size) adds up what the processes of an "
                 "instance have in memory, a page that several share counting in parts; ", tag("dfn", "USS"), " (unique set "
                 "size) is what no other process shares. Neither has what the kernel keeps for them, which the fall of the "
                 "system's available memory has. Daemons that serve all instances are left out of PSS.")]
    for key_, title in curves:
        parts.append(figure([tag("h3", title), both(lambda narrow: plots.memory_figure(
            f"memory-{key_}{narrow:d}", rows, key_, f"Memory of one instance by how many there are, by row. {title}.", narrow))],
            "Memory of one instance, by how many there are; both axes are logarithmic." + not_shown(results, "memory")))
    shown = [row for row in rows if r.present(row.get("density")) or r.present(row.get("rate"))]
    if shown:
        panels = plots.density_panels(shown)
        parts.append(figure([tag("h3", "Density and rate"), panel_figures(
            "density", "Memory of one more instance, and starts per second, by row.", shown, panels)],
            "Both axes are logarithmic. One more instance: PSS, and the memory of the kernel for its control groups. Starts per "
            "second: two for each processor were kept running."))
    if not curves and not shown:
        parts.append(nothing("Memory"))
    return section("memory", "Memory, density, rate", *parts, dagger(rows))


def panel_figures(name, label, rows, panels):
    return both(lambda narrow: plots.panels_figure(f"{name}{narrow:d}", label, rows, panels, narrow))


def steady_base(rows):
    found = [row for row in rows if r.present(row.get("steady"))]
    return next((row for row in found if row["group"] == "process"), None)


def steady_section(rows):
    shown = [row for row in rows if r.present(row.get("steady"))]
    base = steady_base(rows)
    if not base:
        return section("steady", "Once it runs", nothing("What things cost in a plain process"))
    return section("steady", "Once it runs", tag("p", f"What five things cost inside, relative to a plain process "
                   f"({base['title']}): 1 is as much, 2 is twice as much. Most of a container's work costs what a process's "
                   "does where the kernel is the same; a guest has a kernel of its own, and page tables in two stages."),
                   figure(panel_figures("steady", "Cost relative to a plain process, by row:", shown,
                                        plots.steady_panels(shown, base)), "All axes are logarithmic, and the same."))


def surface_section(rows):
    shown = [row for row in rows if r.present(row.get("surface"))]
    if not shown:
        return section("surface", "Attack surface", nothing("The surface"))
    return section("surface", "Attack surface", tag("p", "How much of the host's kernel can be reached from the inside. A process "
                   "and a container make system calls of the host's kernel, as far as their seccomp filter lets them. A guest "
                   "makes none: it exits to its monitor, and the monitor makes the calls. So for a virtual machine, the kinds "
                   "of call that the monitor made from its start to its end are shown, and how often the guest came back to it. "
                   "The numbers are not of one kind: they show where a boundary lies, and not which of two is safer."),
                   figure(panel_figures("surface", "Reach into the host's kernel, by row:", shown, plots.surface_panels(shown)),
                          "The axis of exits is logarithmic."), dagger(shown))


# The matrix.

def cell(row, number, criterion, column):
    """A button with what was found, and what it opens."""
    found = row["isolation"].get(criterion["key"])
    if not found:
        return tag("td", tag("span", "–", aria_hidden="true"), tag("span", "not probed", class_="hidden"), class_="unprobed")
    verdict, name = found["verdict"], f"why-{number}-{column}"
    said = found["value"] if found["value"] != verdict else None
    return tag("td", tag(
        "button", tag("span", tag("span", SYMBOLS[verdict], aria_hidden="true"), " ", tag("span", verdict, class_="verdict"),
                      class_="state"),
        tag("span", found["value"], class_="value") if said else None, popovertarget=name, type="button"),
        explanation(name, f"{criterion['title']}, {row['title']}", f"{SYMBOLS[verdict]} {verdict}: {said or MEANING[verdict]}",
                    found.get("explain")), class_=verdict)


def explanation(name, heading, *paragraphs):
    """What the button with this popovertarget opens: by mouse, touch or keyboard, without a script."""
    return tag("div", tag("p", tag("strong", heading)), [tag("p", text) for text in paragraphs if text], tag(
        "button", "Close", popovertarget=name, popovertargetaction="hide", type="button"), popover="auto", id=name)


def criterion_head(criterion, column):
    name = f"criterion-{column}"
    return tag("th", tag("button", criterion["title"], popovertarget=name, type="button"),
               explanation(name, criterion["title"], criterion["explain"]), scope="col")


def matrix_section(results, rows):
    shown = [row for row in rows if r.present(row.get("isolation"))]
    if not shown or not results["criteria"]:
        return section("isolation", "Isolation", nothing("Isolation"))
    columns = [criterion_head(criterion, column) for column, criterion in enumerate(results["criteria"])]
    body, last = [], None
    for number, row in enumerate(shown):
        if row["group"] != last:
            last = row["group"]
            body.append(tag("tr", tag("th", r.GROUPS[last], scope="rowgroup", colspan=1 + len(results["criteria"])),
                            class_="group"))
        body.append(tag("tr", tag("th", r.title_of(row), scope="row"), [
            cell(row, number, criterion, column) for column, criterion in enumerate(results["criteria"])]))
    caption = "What the payload reaches of the host, by row and criterion"
    return section("isolation", "Isolation", tag("p", "What was tried from the inside, and what came of it. Each cell is a "
                   "button that says what was seen, and each heading one that says what was tried.", not_shown(results, "isolation")),
                   tag("ul", [tag("li", tag("span", SYMBOLS[name], " ", name, class_=f"chip {name}"), f" {MEANING[name]}")
                              for name in r.VERDICTS], class_="verdicts"),
                   tag("div", tag("table", tag("caption", caption), tag("thead", tag("tr", tag("th", "Row", scope="col"), columns)),
                                  tag("tbody", body)), tabindex=0,
                       class_="scroll matrix", role="region", aria_label=caption),
                   tag("h3", "The criteria"), listing((criterion["title"], criterion["explain"])
                                                      for criterion in results["criteria"]), dagger(shown), class_="landscape")


# The race.

def race_section(rows):
    shown = sorted((row for row in rows if r.median_start(row) is not None), key=r.median_start)
    if not shown:
        return None
    longest = r.median_start(shown[-1])
    speeds = [(0.1, "10 times faster"), (1, "true speed"), (10, "10 times slower"), (100, "100 times slower"),
              (1000, "1000 times slower")]
    best = min(speeds, key=lambda speed: abs(speed[0] * longest - 10e9))
    lanes = [tag("li", tag("span", r.title_of(row), class_="lane-name"), tag("span", tag("span", class_=f"runner {row['group']}"),
                 class_="track"), tag("span", class_="lane-time")) for row in shown]
    data = [{"title": row["title"], "median": r.median_start(row), "starts": row["serial"]["start_ns"][:100],
             "cold": row["cold"]["summary"]["start"]["p50"] if r.present(row.get("cold")) else None} for row in shown]
    controls = tag("div", tag("button", "Start", id="race-start", type="button"),
                   tag("button", "Back to the line", id="race-reset", type="button"),
                   tag("label", "Speed ", tag("select", [tag("option", text, value=factor, selected=factor == best[0])
                                                         for factor, text in speeds], id="race-speed")),
                   tag("label", "Which start ", tag("select", tag("option", "the median", value="median"),
                       tag("option", "one of the measured, by chance", value="chance"),
                       tag("option", "the median cold start", value="cold"), id="race-which")),
                   tag("output", "0 ns", id="race-clock", for_="race-speed race-which"), class_="controls")
    return section("race", "The race", tag("p", "The measured starts, run again in one picture: all lanes start together, and a "
                   "lane is full when the first instruction of main is reached."), key(GROUP_KEY),
                   tag("noscript", tag("p", "The race needs JavaScript. The numbers are in the tables below.")),
                   tag("div", controls, tag("p", id="race-news", class_="news", role="status", aria_live="polite"),
                       tag("ol", lanes, id="race-lanes", class_="lanes"), class_="needs-script"), embed("race-data", data),
                   dagger(shown), class_="no-print")


def embed(name, data):
    """Data for the script, in a form in which nothing ends the element early."""
    text = json.dumps(data, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return tag("script", Safe(text), type="application/json", id=name)


# The numbers.

PARTS = ["p50", "p90", "p99", "max"]


def times_of(series, part, names):
    return [r.duration(series["summary"][part][name]) for name in names]


def warm_table(rows):
    body = [[r.title_of(row), row["serial"]["summary"]["start"]["n"],
             *(text for part in ("start", "end", "total") for text in times_of(row["serial"], part, PARTS))]
            for row in rows if r.present(row.get("serial"))]
    return table("Warm, one after the other", ["Row", "n", *PARTS * 3], body,
                 [("", 1), ("Start", 4), ("End", 4), ("Start and end", 4)], "wide") if body else None


def cold_table(rows):
    body = [[r.title_of(row), row["cold"]["summary"]["start"]["n"], *times_of(row["cold"], "start", ["min", "p50", "max"]),
             *times_of(row["cold"], "end", ["p50"]), *times_of(row["cold"], "total", ["p50"])]
            for row in rows if r.present(row.get("cold"))]
    return table("Cold", ["Row", "n", "min", "p50", "max", "p50", "p50"], body,
                 [("", 1), ("Start", 3), ("End", 1), ("Start and end", 1)]) if body else None


def sizes_of(rows, part):
    return sorted({size for row in rows for size, found in row.get(part, {}).items() if r.present(found)}, key=r.number_first)


def crowd_table(rows):
    sizes = sizes_of(rows, "crowd")

    def texts(crowd):
        if not r.present(crowd):
            return ["–"] * 5
        ended = max(crowd.get("rounds", {}).get("ended_ns", [crowd["all_ended_ns"]]))
        return [r.duration(crowd["all_started_ns"]), r.duration(crowd["all_ended_ns"]), r.duration(ended),
                *times_of(crowd["series"], "start", ["p50", "p99"])]

    body = [[r.title_of(row), *(text for size in sizes for text in texts(row["crowd"].get(size)))]
            for row in rows if any(map(r.present, row.get("crowd", {}).values()))]
    return table("Many at once: until all run, until all have ended (of the rounds), and the start of each", [
        "Row", *["all run p50", "all ended p50", "all ended max", "start p50", "start p99"] * len(sizes)], body,
        [(f"{size} at once", 5) for size in sizes], "wide") if body else None


MEMORY = {"pss_kib": "PSS", "uss_kib": "USS", "system_kib": "System", "cgroup_kib": "cgroups",
          "cgroup_kernel_kib": "of which kernel", "guest_kib": "Guest memory", "daemons_pss_kib": "Daemons, PSS"}


def memory_table(rows):
    """For the many numbers of many n there is a list that can be opened."""
    sizes = sizes_of(rows, "memory")

    def texts(row, key_):
        points = dict(plots.memory_points(row, key_))
        return [r.size(points[int(size)]) if int(size) in points else "–" for size in sizes]

    body = [[r.title_of(row), *texts(row, "system_kib"), *texts(row, "pss_kib")] for row in rows
            if any(map(r.present, row.get("memory", {}).values()))]
    return table("Memory of one idle instance, by how many there are", ["Row", *sizes * 2], body,
                 [("System", len(sizes)), ("PSS", len(sizes))], "wide") if body else None


def memory_details(rows):
    body = [[r.title_of(row), entry["n"], entry["processes"],
             *("–" if entry.get(name) is None else r.size(entry[name]) for name in MEMORY)] for row in rows
            for entry in sorted(filter(r.present, row.get("memory", {}).values()), key=lambda entry: entry["n"])]
    return tag("details", tag("summary", "Memory in detail, of all n idle instances together"), table(
        "Memory of all n idle instances together", ["Row", "n", "Processes", *MEMORY.values()], body)) if body else None


def density_table(rows):
    def density(row):
        found = row.get("density")
        return [r.size(found["each_kib"]), found["per_gib"]] if r.present(found) else ["–", "–"]

    def rate(row):
        found = row.get("rate")
        return [r.significant(found["per_second"]), found["count"], found["at_once"]] if r.present(found) else ["–"] * 3

    body = [[r.title_of(row), *density(row), *rate(row)] for row in rows
            if r.present(row.get("density")) or r.present(row.get("rate"))]
    return table("Density and rate", ["Row", "One more takes", "In a GiB", "Starts per second", "Starts made", "At once"],
                 body) if body else None


def steady_table(rows):
    base = steady_base(rows)
    body = []
    for row in rows:
        if r.present(row.get("steady")):
            body.append([r.title_of(row), *(r.duration(row["steady"][name]) + (
                f" (× {r.significant(row['steady'][name] / base['steady'][name])})" if base and base["steady"][name] else "")
                for name in r.STEADY)])
    return table("Once it runs: the time of one, and relative to a process", ["Row", *r.STEADY.values()], body) if body else None


def counts(found):
    """The most frequent first."""
    return ", ".join(f"{name} {count}" for name, count in sorted(found.items(), key=lambda item: (-item[1], item[0]))) or "none"


def surface_table(rows):
    body = []
    for row in rows:
        surface = row.get("surface")
        if r.present(surface):
            of = f" of {surface['of']}" if "of" in surface else ""
            kvm = surface.get("kvm_exits")
            body.append([r.title_of(row), f"{surface['direct']}{of}",
                         counts(surface["monitor_calls"]) if "monitor_calls" in surface else "–",
                         counts(surface["exits"]) if "exits" in surface else "–", "–" if kvm is None else kvm])
    return table("Attack surface", ["Row", "Calls that it can make", "Calls of the monitor", "Exits to the monitor",
                                    "All exits, KVM's own included"], body, kind="prose") if body else None


def numbers_section(rows):
    tables = [make(rows) for make in (warm_table, cold_table, crowd_table, memory_table, memory_details, density_table,
                                      steady_table, surface_table)]
    return section("numbers", "All numbers", tag("p", "The figures of this page as tables. ", tag("dfn", "p50"), " is the "
                   "median; nine of ten are not above ", tag("dfn", "p90"), ", 99 of 100 not above ", tag("dfn", "p99"),
                   "; between two samples, they are interpolated linearly. Every single sample is in results.csv and "
                   "results.json, which tools/contrast writes beside this page."),
                   [one for one in tables if one], class_="landscape numbers")


# How, on what, and what is not there.

def method_section(results, rows):
    manifest = results["manifest"]
    return section("method", "How it was measured", tag("p", "One identical payload is started in every row. ",
                   f"What it does: {manifest['payload']} " if manifest.get("payload") else "",
                   "Start is the time from just before the spawn to the first instruction of the payload's main, end from there "
                   "until the process that was spawned is reaped, total is both. How the first instruction is noticed, and how "
                   "precise that is:"),
                   listing(marks(rows)) if rows else nothing("A row"))


def marks(rows):
    """[(titles, how the mark is taken)]: rows for which it is the same stand together."""
    titles = {}
    for row in rows:
        titles.setdefault(row.get("mark", "not told"), []).append(r.title_of(row))
    return [("; ".join(names), mark) for mark, names in titles.items()]


def missing_parts(results):
    """[(title and parts, why)] of rows that ran; parts without the same reason stand apart."""
    found = {}
    for title, part, why in each_missing_part(results):
        found.setdefault((title, why), []).append(part)
    return [(f"{title}: {', '.join(parts)}", why) for (title, why), parts in found.items()]


def each_missing_part(results):
    for row in r.in_order(results):
        if row["missing"]:
            continue
        for part in ("serial", "cold", "density", "rate", "steady", "isolation", "surface"):
            if not r.present(row.get(part)):
                yield row["title"], part, r.why_missing(row, part)
        for part in ("crowd", "memory"):
            if not row.get(part):
                yield row["title"], part, "not measured"
            for size in sorted(row.get(part, {}), key=r.number_first):
                if not r.present(row[part][size]):
                    yield row["title"], f"{part} of {size}", row[part][size]["missing"]


def missing_section(results):
    absent = [row for row in r.in_order(results) if row["missing"]]
    parts = missing_parts(results)
    return section("missing", "What could not be measured", tag("p", "These rows could not run:") if absent else
                   tag("p", "All rows ran."), listing((row["title"], row["missing"]) for row in absent) if absent else None,
                   [tag("p", "And these parts of rows:"), listing(parts)] if parts else None,
                   tag("p", "rkt is no row: the project was discontinued in 2020. Its default stage 1 started pods with "
                       "systemd-nspawn, which stands for it here."))


def said(value):
    return "not found out" if value is None else "yes" if value is True else "no" if value is False else \
        ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def manifest_section(results, rows):
    manifest = results["manifest"]
    facts = [("measured", manifest["created"]), ("command", manifest["command"]), ("minivmm", manifest["minivmm"]),
             ("where", "in the emulated machine of tools/lab" if manifest["where"] == "lab" else "on this machine"),
             *((name, said(manifest.get(name, False))) for name in ("deterministic", "emulated", "nested", "quick"))]
    versions = [[r.title_of(row), row["name"], row["version"] or "–", row["what"]] for row in r.in_order(results)]
    commands = [(r.title_of(row), tag("code", " ".join(row["command"]))) for row in rows if row.get("command")]
    return section("manifest", "The machine and the versions", listing(facts), tag("h3", "Machine"),
                   listing((name, said(value)) for name, value in manifest["machine"].items()), tag("h3", "Parameters"),
                   listing((name, said(value)) for name, value in manifest["parameters"].items()), tag("h3", "Rows"),
                   table("The rows and their versions", ["Row", "Name", "Version", "What it is"], versions, kind="prose"),
                   [tag("h3", "Commands"), listing(commands)] if commands else None)


CONTENTS = [("start", "Start and end"), ("race", "The race"), ("crowd", "Many at once"), ("phases", "Where the time goes"),
            ("memory", "Memory, density, rate"), ("steady", "Once it runs"), ("isolation", "Isolation"),
            ("surface", "Attack surface"), ("method", "How it was measured"), ("missing", "What could not be measured"),
            ("numbers", "All numbers"), ("manifest", "The machine and the versions")]

TITLE = "What it costs to start a process, a container, a virtual machine"


def read(name):
    with open(os.path.join(HERE, name), encoding="utf-8") as file:
        return Safe(file.read())


def head(script):
    """Scripts: this one, by its hash. Styles: any of the page's own, for figures have style attributes."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:; base-uri 'none'; " \
             "form-action 'none'"
    return tag("head", tag("meta", charset="utf-8"), tag("meta", http_equiv="Content-Security-Policy", content=policy),
               tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
               tag("meta", name="color-scheme", content="light dark"), tag("link", rel="icon", href="data:,"),
               tag("title", TITLE), tag("style", read("report.css")))


def page(results):
    """The whole page as text."""
    rows = [row for row in r.in_order(results) if not row["missing"]]
    script = read("report.js")
    sections = [start_section(results, rows), race_section(rows), crowd_section(results, rows), phase_section(rows),
                memory_section(results, rows), steady_section(rows), matrix_section(results, rows), surface_section(rows),
                method_section(results, rows), missing_section(results), numbers_section(rows), manifest_section(results, rows)]
    links = [tag("li", tag("a", text, href=f"#{name}")) for name, text in CONTENTS if name != "race" or sections[1]]
    top = tag("header", tag("h1", TITLE), tag("button", "Dark colours", id="theme", type="button", class_="needs-script"))
    summary = [tag("p", tag("strong", f"{heading}. "), " ".join(sentences)) for heading, sentences in answer(results)]
    main = tag("main", tag("div", summary, class_="answer", id="answer"), banners(results["manifest"]),
               tag("nav", tag("ul", links), aria_label="Contents", class_="contents"), sections, id="main", tabindex=-1)
    foot = tag("footer", tag("p", f"Made by tools/contrast of minivmm {results['manifest']['minivmm']} from results of "
                             f"{results['manifest']['created']}."))
    body = tag("body", tag("a", "Skip to the results", href="#main", class_="skip"), top, main, foot, tag("script", script))
    return "<!DOCTYPE html>\n" + tag("html", head(script), body, lang="en") + "\n"


def write_report(results, path):
    r.write_text(page(results), path)
