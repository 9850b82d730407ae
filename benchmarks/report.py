"""The report of one result: the machine, what was missed, and each group as a table with a plot.

All that it says is in the JSON file; tables are Markdown, plots are SVG files beside it. Without the library
that draws, the report has no plots and says so.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
import json
import pathlib
import re
import typing

from benchmarks.figures import Figure, goal, short, spread

TITLE = "report.md"


class Unreadable(ValueError):
    """A file is not what ``python -m benchmarks`` writes."""


def write(result: pathlib.Path, folder: pathlib.Path) -> list[pathlib.Path]:
    """Writes ``report.md`` and its plots; plots of an earlier report go away.

    Args:
        result: The JSON file of a run.
        folder: Where to; it is made if it is missing.

    Returns:
        What was written, the report first.

    Raises:
        OSError: The file cannot be read, or the folder not be written to.
        Unreadable: It is not a result.
    """
    machine, figures = read(result)
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("plot-*.svg"):
        path.unlink()
    plots = _plots(figures, folder)
    report = folder / TITLE
    report.write_text(text(machine, figures, plots), encoding="utf-8")
    return [report, *(folder / name for name in plots.values())]


def read(result: pathlib.Path) -> tuple[dict[str, str], list[Figure]]:
    """Gives the machine and the figures of a result's file."""
    try:
        found = json.loads(result.read_text(encoding="utf-8"))
        names = [field.name for field in dataclasses.fields(Figure)]
        figures = [Figure(**{name: row[name] for name in names}) for row in found["figures"]]
        return dict(found["machine"]), figures
    except (ValueError, KeyError, TypeError) as error:
        raise Unreadable(
            f"{result}: expected what python -m benchmarks writes, found {type(error).__name__}: {error}"
        ) from error


def text(
    machine: typing.Mapping[str, str],
    figures: typing.Sequence[Figure],
    plots: typing.Mapping[str, str],
) -> str:
    """Gives the report as Markdown.

    Args:
        machine: What it was measured on.
        figures: All of them, those of one group beside each other.
        plots: The plot of each group that has one, and under ``""`` that of all goals.
    """
    judged = [figure for figure in figures if figure.met is not None]
    missed = [figure for figure in judged if not figure.met]
    absent = [figure for figure in figures if figure.value is None]
    lines = [
        "# What was measured\n",
        f"{len(figures) - len(absent)} figures in one run; {len(judged) - len(missed)} of {len(judged)} goals met. "
        "Each is the median of rounds in which all contestants take turns, with the smallest and the largest; a ratio "
        "is taken in each round by itself. `make bench-full` measures and writes this anew.\n",
        *_table(("machine", ""), [(name, value) for name, value in machine.items()]),
    ]
    if not plots:
        lines.append("No plots: matplotlib is not installed (`make peers`).\n")
    if "" in plots:
        lines += ["## Goals\n", _plot("Ratios to their goals", plots[""])]
    if missed:
        rows = [(figure.group, *_row(figure)[:4]) for figure in missed]
        lines += ["Missed:\n", *_table(("", "", "median", "spread", "goal"), rows)]
    if absent:
        lines += ["Not measured:\n"]
        lines += [f"- {figure.group}: {figure.name} ({figure.note})" for figure in absent] + [""]
    for group, members in itertools.groupby(figures, lambda figure: figure.group):
        lines.append(f"## {group[:1].upper()}{group[1:]}\n")
        if group in plots:
            lines.append(_plot(group, plots[group]))
        rows = [_row(figure) for figure in members if figure.value is not None]
        lines += _table(("", "median", "spread", "goal", "", ""), rows)
    return "\n".join(lines)


def _plots(figures: typing.Sequence[Figure], folder: pathlib.Path) -> dict[str, str]:
    """Draws what can be drawn; gives group → file name."""
    if importlib.util.find_spec("matplotlib") is None:
        return {}
    from benchmarks import plots

    drawn: dict[str, str] = {}
    judged = [figure for figure in figures if figure.met is not None]
    if judged:
        drawn[""] = "plot-goals.svg"
        plots.goals(judged, folder / drawn[""])
    for group, found in itertools.groupby(figures, lambda figure: figure.group):
        values = [figure for figure in found if figure.value and figure.unit not in ("×", "%")]
        units = [figure.unit for figure in values]
        unit = max(units, key=units.count, default="")
        members = [figure for figure in values if figure.unit == unit]
        if len(members) > 1:
            drawn[group] = f"plot-{re.sub(r'[^a-z0-9]+', '-', group.lower()).strip('-')}.svg"
            plots.group(group, members, folder / drawn[group])
    return drawn


def _plot(title: str, name: str) -> str:
    return f"![{title}]({name})\n"


def _row(figure: Figure) -> tuple[str, ...]:
    verdict = {True: "met", False: "**missed**", None: ""}[figure.met]
    return (
        figure.name,
        f"{short(figure.value or 0)} {figure.unit}",
        spread(figure),
        goal(figure),
        verdict,
        figure.note,
    )


def _table(heads: typing.Sequence[str], rows: typing.Iterable[typing.Sequence[str]]) -> list[str]:
    """Gives the lines of a table; a column that is empty is left out."""
    cells = [list(row) for row in rows]
    if not cells:
        return []
    kept = [place for place in range(len(heads)) if any(row[place] for row in cells)]
    line = [[heads[place] for place in kept], ["---"] * len(kept)]
    line += [[row[place].replace("|", "\\|") for place in kept] for row in cells]
    return [f"| {' | '.join(each)} |" for each in line] + [""]
