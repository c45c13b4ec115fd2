# SPDX-License-Identifier: MIT
"""
The README's picture and the lines below it, out of results: nothing in them is typed by hand.

text(results) gives the lines, Markdown; put(readme, text) writes them between two comments of the README.
"""
import re
import textwrap

import report
import results as r

BEGIN, END = "<!-- by tests/contrast/report --readme -->", "<!-- end -->"
PICTURE = "tools/contrast.d/contrast.png"  # in the tree
WIDTH = 120


def alternative(results):
    """What the picture shows, for people who do not see it."""
    rows = [row for row in r.in_order(results) if r.median_start(row) is not None]
    return "Bars on a logarithmic axis: " + ", ".join(f"{report.brief(row)} {r.duration(r.median_start(row))}" for row in rows)


def text(results):
    """About ten lines below the picture: what the report answers, and how it was measured."""
    manifest = results["manifest"]
    lines = [f"![{alternative(results)}]({PICTURE})", ""]
    for heading, sentences in report.answer(results, short=True):
        if heading == "Not here":
            continue  # the report says why, for each
        lines += textwrap.wrap(f"- **{heading}**: " + " ".join(sentences), WIDTH, subsequent_indent="  ",
                               break_on_hyphens=False, break_long_words=False)
    command = re.sub(r" --output \S+", "", manifest["command"])
    lines += ["", *textwrap.wrap(f"`{command}` measured this on {manifest['created'][:10]}. {report.conditions(results)}",
                                 WIDTH, break_on_hyphens=False, break_long_words=False)]
    return "\n".join(lines)


def put(path, new):
    """Replaces what stands between the two comments."""
    with open(path, encoding="utf-8") as file:
        before = file.read()
    after, count = re.subn(f"{re.escape(BEGIN)}\n.*?{re.escape(END)}", lambda _: f"{BEGIN}\n{new}\n{END}", before, flags=re.DOTALL)
    if count != 1:
        raise r.ResultsError(f"{path} has {count} places for the contrast, not one", f"put {BEGIN} and {END} on lines of their own into it")
    r.write_text(after, path)
