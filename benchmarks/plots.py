"""Plots of figures as SVG: a dot at the median, a line from the smallest to the largest round.

Dots, not bars, for the axis is logarithmic where values lie far apart. Grey ink on no background and colours of
middling lightness can be read on white and on black; ours, peers and floors differ in shape as well as in colour.
"""

from __future__ import annotations

import math
import pathlib
import typing

import matplotlib
from matplotlib import ticker
from matplotlib.figure import Figure as Canvas

from benchmarks.figures import Figure, short
from benchmarks.peers import NAMES

if typing.TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#787878"
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "rpcgen",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}

Mark: typing.TypeAlias = "tuple[str, str]"
"""A colour and a shape."""

OURS, PEER, FLOOR = ("#2f7fd1", "o"), ("#cf7a1c", "s"), ("#8a8a8a", "D")
MET, MISSED = ("#2c9a63", "o"), ("#d4504c", "X")

FLOORS = ("floor", "bare", "raw sockets", "Python alone")
"""What the name of a floor has in it."""

LETTER = 0.07
"""Inches that a letter of a name takes: what is left is the plot's."""

WIDE = 20.0
"""Values that lie so many times apart stand on a logarithmic axis."""


def group(title: str, figures: typing.Sequence[Figure], path: pathlib.Path) -> None:
    """Draws the values of one group, which have one unit."""
    marks = {"rpcgen": OURS, "peers": PEER, "floors": FLOOR}
    rows = [(figure, marks[kind(figure.name)]) for figure in figures]
    seen = {name: mark for name, mark in marks.items() if any(mark == of for _, of in rows)}
    _draw(title, figures[0].unit, rows, seen, path)


def goals(figures: typing.Sequence[Figure], path: pathlib.Path) -> None:
    """Draws every figure that has a goal as a share of it: better to the left of the line at 1."""
    shares = [share(figure) for figure in figures]
    rows = [(one, MET if of.met else MISSED) for one, of in zip(shares, figures, strict=True)]
    _draw(
        "Goals",
        "share of the goal (1: just met; less is better)",
        rows,
        {"met": MET, "missed": MISSED},
        path,
        line=1.0,
    )


def share(figure: Figure) -> Figure:
    """Gives a figure as times its goal, so turned that less than 1 meets it."""
    name = f"{figure.group}: {figure.name}"

    def turned(value: float | None) -> float | None:
        if not value:
            return None
        if figure.at_most is not None:
            return value / figure.at_most
        return (figure.at_least or 0) / value

    ends = [end for end in (turned(figure.low), turned(figure.high)) if end is not None]
    return Figure("", name, turned(figure.value), "", min(ends, default=None), max(ends, default=None))


def kind(name: str) -> str:
    """Tells whose figure it is by its name: ``rpcgen``, ``peers`` or ``floors``."""
    if any(word in name for word in FLOORS):
        return "floors"
    return "peers" if any(peer in name for peer in (*NAMES, "grpc")) else "rpcgen"


def _draw(
    title: str,
    unit: str,
    rows: typing.Sequence[tuple[Figure, Mark]],
    legend: typing.Mapping[str, Mark],
    path: pathlib.Path,
    line: float | None = None,
) -> None:
    with matplotlib.rc_context(typing.cast("typing.Any", STYLE)):
        wide = max(8, 5 + LETTER * max(len(figure.name) for figure, _ in rows))
        canvas = Canvas(figsize=(wide, 0.9 + 0.22 * len(rows)), layout="constrained")
        canvas.patch.set_alpha(0)
        axes = canvas.add_subplot()
        axes.patch.set_alpha(0)
        for place, (figure, (colour, shape)) in enumerate(rows):
            value = figure.value or 0
            low, high = figure.low or value, figure.high or value
            axes.hlines(place, low, high, colors=colour, linewidth=1.5)
            axes.plot([value], [place], shape, color=colour, markersize=5)
            axes.annotate(
                short(value), (high, place), (5, 0), textcoords="offset points", va="center", fontsize=8
            )
        for name, (colour, shape) in legend.items():
            axes.plot([], [], shape, color=colour, markersize=5, label=name)
        if line is not None:
            axes.axvline(line, color=INK, linewidth=1)
        _axes(axes, title, unit, rows)
        if len(legend) > 1:
            axes.legend(
                frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=len(legend), borderaxespad=0
            )
        canvas.savefig(path, format="svg", transparent=True, metadata={"Date": None})


def _axes(axes: Axes, title: str, unit: str, rows: typing.Sequence[tuple[Figure, Mark]]) -> None:
    values = [figure.value for figure, _ in rows if figure.value]
    if max(values) / min(values) > WIDE:
        axes.set_xscale("log")
        few = math.log10(max(values) / min(values)) < 2.5
        axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5) if few else (1,)))
        axes.xaxis.set_minor_formatter(ticker.NullFormatter())
    else:
        axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axes.margins(x=0.08)
    axes.set_yticks(range(len(rows)), [figure.name for figure, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=INK, alpha=0.25, linewidth=0.5)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_xlabel(unit)
