# SPDX-License-Identifier: MIT
"""
The figures, as SVG to be put into a page.

Each comes wide and narrow, for a page as broad as a telephone.  Text stays text, in the font of the page, and
colours are CSS variables: matplotlib draws with colours that nobody wants, and they are replaced.  So one figure
serves light and dark.  A unit of a figure is a pixel, and the same results give the same bytes.
"""
import io
import math
import re
from dataclasses import dataclass, field

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot, ticker
from matplotlib.font_manager import FontProperties
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.textpath import TextToPath

import results

WIDE, NARROW = 900, 372  # pixels
LABEL = 222  # of that, for the titles of the rows
DOTS = 200  # more would be a bar; then every nth of the ordered samples is drawn

COLOURS = ["ink", "muted", "line", "paper", "process", "container", "vm", *[f"phase-{name}" for name in results.PHASES]]
SENTINELS = {name: f"#fe{number:02x}dc" for number, name in enumerate(COLOURS, 1)}
MARKERS = "os^DvPX<>*"

matplotlib.rcParams.update({
    "svg.fonttype": "none", "svg.hashsalt": "minivmm", "path.simplify": False, "text.parse_math": False, "font.size": 12,
    "text.color": SENTINELS["ink"], "axes.edgecolor": SENTINELS["line"], "xtick.color": SENTINELS["muted"],
    "ytick.color": SENTINELS["muted"], "axes.spines.left": False, "axes.spines.right": False, "axes.spines.top": False,
    "axes.spines.bottom": False, "figure.dpi": 72, "axes.facecolor": "none", "figure.facecolor": "none",
})


def to_svg(figure, name, label):
    """Without what a page has already, and with names that no other figure of the page uses."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    pyplot.close(figure)
    text = out.getvalue()
    text = text[text.index("<svg"):]
    text = re.sub(r"<!--.*?-->\s*|<metadata>.*?</metadata>\s*|<style[^>]*>.*?</style>\s*", "", text, flags=re.DOTALL)
    for colour, sentinel in SENTINELS.items():
        text = text.replace(sentinel, f"var(--{colour})")
    text = re.sub(r"font: (?:(\w+) )?([\d.]+)px [^;\"]*", shorten_font, text)
    text = re.sub(r"(?<= d=\")[^\"]*", lambda found: re.sub(r"\d+\.\d+", two_digits, found[0]), text)
    used = set(re.findall(r"(?:url\(|href=\")#([^\")]+)", text))
    text = re.sub(r" id=\"([^\"]*)\"", lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", text)
    text = re.sub(r"(url\(|href=\")#", rf"\g<1>#{name}-", text)
    text = re.sub(r" transform=\"rotate\(-0 [^\"]*\"|<g/>|<defs>\s*</defs>|<path [^>]*style=\"fill: none\"/>", "", text)
    text = re.sub(r"\s*\n\s*", "\n", text)
    _, _, width, height = re.search(r"viewBox=\"([^\"]+)\"", text)[1].split()
    return f'<svg role="img" aria-label="{escape(label)}" viewBox="0 0 {width} {height}" ' \
           f'style="max-width: {990 if float(width) > 500 else 480}px">' + text[text.index(">") + 1:].strip()


def escape(text):
    for raw, safe in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#39;")):
        text = text.replace(raw, safe)
    return text


def shorten_font(found):
    weight = f"; font-weight: {found[1]}" if found[1] else ""
    return f"font-size: {found[2]}px{weight}"


def two_digits(found):
    return f"{float(found[0]):.2f}".rstrip("0").rstrip(".")


def text_width(text, points, bold=False):
    font = FontProperties(size=points, weight="bold" if bold else "normal")
    return TextToPath().get_text_width_height_descent(text, font, False)[0]  # the page's fonts are hardly wider


def shorten(text, room, points=12):
    """To what fits; the tables of the page have it in full."""
    if text_width(text, points) <= room:
        return text
    while text and text_width(text + "…", points) > room:
        text = text[:-1]
    return text.rstrip(" ,(") + "…"


@dataclass
class Panel:
    """What is drawn of each row, beside the titles of the rows or, on a narrow page, below them."""
    title: str
    draw: object  # draw(axes, row, y, height)
    limits: tuple
    log: bool = True
    form: object = str  # a number -> the text at the axis
    base: int = 10  # of the ticks, if logarithmic: sizes have 4
    columns: list = field(default_factory=list)  # (heading, row -> text), right of the panel
    column_width: int = 66


def ticks(limits, base, most):
    """Powers of the base, as many as there is room for; for less than two of them, 1, 2, 5 in each."""
    low, high = (math.log(limit, base) for limit in limits)
    powers = range(math.ceil(low), math.floor(high) + 1)
    if len(powers) < 3 and base == 10:
        for factors in ((1, 2, 5), (1, 3)):
            fine = [factor * 10.0 ** power for power in range(math.floor(low), math.ceil(high)) for factor in factors]
            fine = [value for value in fine if limits[0] <= value <= limits[1]]
            if len(fine) <= max(most, 2):
                return fine
    step = max(1, math.ceil(len(powers) / max(1, most)))
    return [float(base) ** power for power in powers if power % step == 0]


def axis(axes, panel, heights):
    """Ticks above and below: figures are tall, and a telephone shows a part."""
    axes.set_ylim(heights, 0)
    axes.set_xscale("log" if panel.log else "linear")
    axes.set_xlim(*panel.limits)
    axes.yaxis.set_visible(False)
    room = axes.get_position().width * axes.figure.get_figwidth() * 72
    if panel.log:
        most = room // (40 if panel.form is results.plain else 62)
        axes.xaxis.set_major_locator(ticker.FixedLocator(ticks(panel.limits, panel.base, most)))
    else:
        axes.xaxis.set_major_locator(ticker.MaxNLocator(max(1, int(room // 75)), steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(lambda value, _: panel.form(value))
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.tick_params(labeltop=True, length=0, labelsize=11, pad=4)
    axes.grid(axis="x", color=SENTINELS["line"], linewidth=1)
    axes.set_axisbelow(True)


def lines_of(rows, grouped):
    """[(group or None, row or None)]: a heading for each group, then its rows."""
    lines, last = [], None
    for row in rows:
        if grouped and row["group"] != last:
            last = row["group"]
            lines.append((last, None))
        lines.append((None, row))
    return lines


def rows_figure(name, label, rows, panels, row_height=25, narrow=False, wide=WIDE):
    """The panels side by side with the rows below each other; on a narrow page, give one panel."""
    titles = 0 if narrow else LABEL
    width = NARROW if narrow else wide
    step = row_height + 17 if narrow else row_height
    lines = lines_of(rows, True)
    inner = sum(step if row else 25 for _, row in lines)
    top, bottom = (40 if panels[0].title else 24) + (0 if narrow else 0), 22
    height = inner + top + bottom
    figure = pyplot.figure(figsize=(width / 72, height / 72))
    margin = 14
    columns = sum(len(panel.columns) * panel.column_width for panel in panels) if not narrow else 0
    each = (width - titles - columns - (len(panels) + (1 if narrow else 0)) * margin * (1 if narrow else 1.4)) / len(panels)
    left = titles + (margin if narrow else 8)
    for number, panel in enumerate(panels):
        axes = figure.add_axes([left / width, bottom / height, each / width, inner / height])
        axis(axes, panel, inner)
        head(axes, panel, narrow)
        y = 0
        for group, row in lines:
            if row:
                draw_row(axes, panel, row, y, step, titles if number == 0 else None, narrow)
            elif number == 0 or narrow:
                pixel_text(axes, -titles - 8 if not narrow else -margin + 2, y + 13, results.GROUPS[group], size=12.5,
                           weight="bold", color=SENTINELS[group])
            y += step if row else 25
        left += each + (0 if narrow else len(panel.columns) * panel.column_width) + margin * 1.4
    return to_svg(figure, name, label)


def pixel_text(axes, x, y, text, right=False, **style):
    """x in pixels from the left (or right) end of the axes, y in pixels from the top."""
    style = {"size": 12, "va": "center_baseline", **style}
    axes.annotate(text, (1 if right else 0, y), xycoords=("axes fraction", "data"), xytext=(x, 0),
                  textcoords="offset points", annotation_clip=False, **style)


def head(axes, panel, narrow):
    """Its title, and the headings of its columns."""
    if panel.title:
        pixel_text(axes, 0, -32, panel.title, size=12, weight="bold")
    if not narrow:
        for number, (heading, _) in enumerate(panel.columns, 1):
            pixel_text(axes, number * panel.column_width, -11, heading, right=True, ha="right", size=11,
                       color=SENTINELS["muted"])


def draw_row(axes, panel, row, y, step, titles, narrow):
    """The title at its left or above, what is drawn, and the numbers at its right or above."""
    middle = y + step / 2
    if narrow:
        numbers = panel.columns[0][1](row) if panel.columns else ""
        room = NARROW - 24 - text_width(numbers, 12) - 10
        pixel_text(axes, 0, y + 9, shorten(results.title_of(row), room))
        pixel_text(axes, 0, y + 9, numbers, right=True, ha="right")
        panel.draw(axes, row, y + 17 + (step - 17) / 2, step - 17)
        return
    if titles:
        pixel_text(axes, -titles - 8, middle, shorten(results.title_of(row), titles - 4))
    panel.draw(axes, row, middle, step)
    for number, (_, text) in enumerate(panel.columns, 1):
        pixel_text(axes, number * panel.column_width, middle, text(row), right=True, ha="right", size=11.5)


def decades(values, least=0.5):
    """Limits of a logarithmic axis: the values, and some room."""
    values = [value for value in values if value > 0] or [1, 10]
    low, high = math.log10(min(values)), math.log10(max(values))
    room = max(0.06 * (high - low), 0.08, (least - (high - low)) / 2)
    return 10 ** (low - room), 10 ** (high + room)


def bar(axes, y, begin, end, height, colour, **style):
    axes.barh(y, end - begin, left=begin, height=height, color=SENTINELS[colour], linewidth=0, **style)


def dots(axes, samples, top, height, colour, radius=1.3, limit=DOTS):
    """All samples, the first made on top and the last at the bottom, as one path: thousands of dots stay small."""
    if len(samples) > limit:
        ranked = sorted(range(len(samples)), key=samples.__getitem__)
        keep = sorted(ranked[round(place * (len(ranked) - 1) / (limit - 1))] for place in range(limit))
        samples = [samples[index] for index in keep]
    spots = [(x, top + height * (index + 0.5) / len(samples)) for index, x in enumerate(samples) for _ in (0, 1)]
    codes = [Path.MOVETO, Path.LINETO] * len(samples)
    axes.add_patch(PathPatch(Path(spots, codes), fill=False, edgecolor=SENTINELS[colour], linewidth=2 * radius,
                             capstyle="round", alpha=0.75))


def median_text(row, section, part):
    return results.duration(row[section]["summary"][part]["p50"]) if results.present(row.get(section)) else "–"


def start_figure(name, rows, narrow=False):
    """Start with its distribution, warm and cold, and end."""
    limits = decades([ns for row in rows for section in ("serial", "cold") if results.present(row.get(section))
                      for part in ("start_ns", "end_ns") for ns in row[section][part]])

    def draw(axes, row, y, height):
        top = y - height / 2
        if results.present(row.get("serial")):
            series = row["serial"]
            middle, end = [series["summary"][part]["p50"] for part in ("start", "end")]
            start_height = height - 12
            bar(axes, top + 3 + start_height / 2, limits[0], middle, start_height, row["group"], alpha=0.3)
            dots(axes, series["start_ns"], top + 3, start_height, row["group"], limit=100 if narrow else DOTS)
            axes.plot([middle, middle], [top + 2, top + 4 + start_height], color=SENTINELS["ink"], linewidth=2)
            bar(axes, y + height / 2 - 5.5, limits[0], end, 3, "muted")
        if results.present(row.get("cold")):
            cold = row["cold"]["summary"]["start"]
            axes.plot([cold["min"], cold["max"]], [top + 3 + (height - 12) / 2] * 2, color=SENTINELS["ink"], linewidth=1)
            axes.plot(cold["p50"], top + 3 + (height - 12) / 2, marker="D", markersize=6.5,
                      markerfacecolor=SENTINELS["paper"], markeredgecolor=SENTINELS["ink"], markeredgewidth=1.4)

    panel = Panel("", draw, limits, form=results.axis_duration, columns=[
        ("start", lambda row: median_text(row, "serial", "start")), ("end", lambda row: median_text(row, "serial", "end")),
        ("cold start", lambda row: median_text(row, "cold", "start"))])
    return rows_figure(name, "Time to start, to end, and to start cold, by row, on a logarithmic axis. The numbers are in the "
                       "tables of this page.", rows, [panel], 27, narrow, wide=820)


def crowd_figure(name, rows, sizes, narrow=False):
    """How long until all that were started at once run."""
    def value(row, size):
        crowd = row.get("crowd", {}).get(size)
        return crowd["all_started_ns"] if results.present(crowd) else None

    def draw(axes, row, y, _):
        points = [(value(row, size), MARKERS[number]) for number, size in enumerate(sizes) if value(row, size)]
        axes.plot([x for x, _ in points], [y] * len(points), color=SENTINELS[row["group"]], linewidth=2, alpha=0.5)
        for x, marker in points:
            axes.plot(x, y, marker=marker, markersize=8, color=SENTINELS[row["group"]],
                      markeredgecolor=SENTINELS["paper"], linestyle="none")

    def column(size):
        return f"{size} at once", lambda row: results.duration(value(row, size)) if value(row, size) else "–"

    limits = decades([ns for row in rows for size in sizes for ns in [value(row, size)] if ns])
    panel = Panel("", draw, limits, form=results.axis_duration, columns=[column(size) for size in sizes], column_width=72)
    if narrow:
        panel.columns = [("", lambda row: " · ".join(column(size)[1](row) for size in sizes))]
    return rows_figure(name, f"Time until all of {', '.join(sizes)} instances that were started at once run, by row, on a "
                       "logarithmic axis.", rows, [panel], 23, narrow)


def total_of(row):
    return row["timeline"][-1]["end_ns"]


def phase_figure(name, rows, limit=None, shares=False, narrow=False):
    """Where the time goes.  limit: the axis ends there, and what is longer is cut."""
    longest = max(map(total_of, rows))
    limit = 1.0 if shares else limit or longest * 1.02

    def draw(axes, row, y, height):
        whole = total_of(row) if shares else 1
        for phase in row["timeline"]:
            begin, end = phase["begin_ns"] / whole, phase["end_ns"] / whole
            if begin < limit:
                axes.barh(y, min(end, limit) - begin, left=begin, height=height - 9, linewidth=0.7,
                          color=SENTINELS[f"phase-{phase['phase']}"], edgecolor=SENTINELS["paper"])
        if not shares and total_of(row) > limit:
            axes.plot(limit * 0.993, y, marker=">", markersize=9, color=SENTINELS["ink"], clip_on=False,
                      markeredgecolor=SENTINELS["paper"])

    panel = Panel("", draw, (0, limit), log=False, columns=[("total", lambda row: results.duration(total_of(row)))],
                  form=(lambda value: f"{value * 100:.0f} %") if shares else results.axis_duration)
    kind = "as shares of the total" if shares else f"up to {results.duration(limit)}"
    return rows_figure(name, f"The phases of the median start and end, by row, {kind}.", rows, [panel], 24, narrow)


def spread(wanted, step, top, bottom):
    """Places as near to the wanted ones as can be, a step apart, in the same order."""
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    placed, last = {}, top - step
    for index in order:
        last = placed[index] = max(wanted[index], last + step)
    last = bottom + step
    for index in reversed(order):
        last = placed[index] = min(placed[index], last - step)
    return [placed[index] for index in range(len(wanted))]


def memory_points(row, key):
    """[(n, KiB for one)]"""
    found = [entry for entry in row.get("memory", {}).values() if results.present(entry)]
    return [(entry["n"], entry[key] / entry["n"]) for entry in sorted(found, key=lambda entry: entry["n"]) if entry[key] > 0]


def memory_figure(name, rows, key, label, narrow=False):
    """Memory of one by how many there are; each line has its name at its end."""
    curves = [(row, memory_points(row, key)) for row in rows if memory_points(row, key)]
    width, titles = (NARROW, 172) if narrow else (WIDE, LABEL + 80)
    height, top, bottom, left = max(300, 17 * len(curves) + 60), 12, 42, 62
    figure = pyplot.figure(figsize=(width / 72, height / 72))
    axes = figure.add_axes([left / width, bottom / height, (width - left - titles) / width, (height - top - bottom) / height])
    axes.set_xscale("log")
    axes.set_yscale("log")
    sizes = sorted({n for _, points in curves for n, _ in points})
    low, high = decades([kib for _, points in curves for _, kib in points])
    axes.set_ylim(low, high)
    axes.set_xlim(sizes[0] * 0.92, sizes[-1] * 1.06)
    axes.xaxis.set_major_locator(ticker.FixedLocator(sizes[::2] if narrow and len(sizes) > 4 else sizes))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0f}")
    axes.yaxis.set_major_locator(ticker.FixedLocator([4 ** power for power in range(15)]))
    axes.yaxis.set_major_formatter(lambda value, _: results.axis_size(value))
    for one in (axes.xaxis, axes.yaxis):
        one.set_minor_locator(ticker.NullLocator())
    axes.tick_params(length=0, labelsize=11)
    axes.grid(color=SENTINELS["line"], linewidth=1)
    axes.set_xlabel("idle instances", color=SENTINELS["muted"], size=11)
    memory_lines(axes, curves, sizes[-1], height - top - bottom, titles)
    return to_svg(figure, name, label)


def memory_lines(axes, curves, last, height, titles):
    low, high = map(math.log, axes.get_ylim())
    room = axes.get_position().width * axes.figure.get_figwidth() * 72
    wanted = [height * (high - math.log(points[-1][1])) / (high - low) for _, points in curves]
    for number, ((row, points), at, place) in enumerate(zip(curves, wanted, spread(wanted, 16, 4, height - 2))):
        colour, marker = SENTINELS[row["group"]], MARKERS[number % len(MARKERS)]
        axes.plot(*zip(*points), color=colour, linewidth=1.6, marker=marker, markersize=6, markeredgecolor=SENTINELS["paper"],
                  markeredgewidth=0.7, clip_on=False)
        axes.annotate("", (last, points[-1][1]) if points[-1][0] == last else points[-1], 
                      xytext=(1 + 22 / room, 1 - place / height), xycoords="data", textcoords="axes fraction",
                      annotation_clip=False, arrowprops={"arrowstyle": "-", "color": SENTINELS["muted"], "linewidth": 0.6,
                                                         "shrinkA": 0, "shrinkB": 4})
        axes.annotate(shorten(results.title_of(row), titles - 42), (1, 1 - place / height), xycoords="axes fraction",
                      xytext=(36, 0), textcoords="offset points", va="center_baseline", annotation_clip=False)
        axes.plot([1 + 28 / room], [1 - place / height],
                  transform=axes.transAxes, clip_on=False, marker=marker, markersize=6, color=colour, markeredgewidth=0)


def bars_panel(title, rows, value, form, text=None, log=True, column_width=72, unit_limits=None, base=10):
    """One bar for each row; value(row) is None where there is nothing to show."""
    found = [value(row) for row in rows if value(row) is not None]
    if log:
        limits = unit_limits or decades(found)
    else:
        limits = unit_limits or (0, max(found + [1]) * 1.03)

    def draw(axes, row, y, height):
        if value(row) is not None and value(row) > 0:
            bar(axes, y, limits[0] if log else 0, value(row), height - 11, row["group"], alpha=0.85)

    def shown(row):
        return "–" if value(row) is None else (text or form)(value(row))

    return Panel(title, draw, limits, log, form, base, [("", shown)], column_width)


def density_panels(rows):
    def each(row):
        return row["density"]["each_kib"] if results.present(row.get("density")) and row["density"]["each_kib"] > 0 else None

    def per_second(row):
        return row["rate"]["per_second"] if results.present(row.get("rate")) else None

    memory = bars_panel("Memory of one more idle instance", rows, each, results.axis_size, results.size, column_width=74,
                        base=4)
    rate = bars_panel("Starts per second", rows, per_second, results.plain, results.significant, column_width=56)
    return [memory, rate]


def steady_panels(rows, base):
    """Relative to the base row, on one axis for all, so that panels can be compared."""
    def factor(row, key):
        return row["steady"][key] / base["steady"][key] if results.present(row.get("steady")) and base["steady"][key] else None

    every = [factor(row, key) for row in rows for key in results.STEADY if factor(row, key)]
    limits = decades(every + [0.8, 1.6])

    def panel(key):
        def draw(axes, row, y, _):
            axes.axvline(1, color=SENTINELS["muted"], linewidth=0.7)
            if factor(row, key):
                axes.plot([1, factor(row, key)], [y, y], color=SENTINELS[row["group"]], linewidth=2.5, alpha=0.5)
                axes.plot(factor(row, key), y, marker="o", markersize=7, color=SENTINELS[row["group"]])

        def text(row):
            return f"× {results.significant(factor(row, key))}" if factor(row, key) else "–"
        return Panel(results.STEADY[key], draw, limits, form=results.plain, columns=[("", text)],
                     column_width=50)
    return [panel(key) for key in results.STEADY]


def surface_panels(rows):
    def of(key, count):
        def value(row):
            surface = row.get("surface")
            return count(surface[key]) if results.present(surface) and surface.get(key) is not None else None
        return value

    whole = max([row["surface"].get("of", 0) for row in rows if results.present(row.get("surface"))] + [1])
    direct = bars_panel("Calls that it can make", rows, of("direct", int), results.plain, log=False, column_width=44,
                        unit_limits=(0, max(whole * 1.03, 1)))
    kinds = bars_panel("Monitor: kinds of call", rows, of("monitor_calls", len), results.plain, log=False,
                       column_width=44)
    exits = bars_panel("Monitor: exits to it", rows, of("exits", lambda exits: sum(exits.values())), results.plain,
                       column_width=52)
    return [direct, kinds, exits]


def panels_figure(name, label, rows, panels, narrow=False):
    """One figure, or narrow, one for each panel."""
    if not narrow:
        return [rows_figure(name, label, rows, panels, 23)]
    return [rows_figure(f"{name}-{number}", f"{label} {panel.title}.", rows, [panel], 20, True)
            for number, panel in enumerate(panels)]
