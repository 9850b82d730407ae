"""A measured figure beside its goal, and rounds of measurements that alternate."""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import math
import statistics
import time
import typing

FEWEST = 3
"""Rounds that are measured however long they take: fewer have no median to speak of."""

_seconds: contextvars.ContextVar[float] = contextvars.ContextVar("_seconds", default=math.inf)


@dataclasses.dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table.

    Args:
        group: What is measured: ``compile``, ``codec``, ``calls`` ….
        name: The row: ``1,000 methods``.
        value: The median, or None where it could not be measured (``note`` says why).
        unit: ``s``, ``ms``, ``µs``, ``×`` (a ratio) ….
        low: The smallest of the rounds, if there were several.
        high: The largest of the rounds.
        at_most: The goal, where less is better.
        at_least: The goal, where more is better.
        note: What to know about it: ``not installed``, ``raw sockets of the same run``.
    """

    group: str
    name: str
    value: float | None
    unit: str
    low: float | None = None
    high: float | None = None
    at_most: float | None = None
    at_least: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is no goal or no value."""
        if self.value is None:
            return None
        if self.at_most is not None:
            return self.value <= self.at_most
        if self.at_least is not None:
            return self.value >= self.at_least
        return None


def from_rounds(
    group: str,
    name: str,
    rounds: typing.Sequence[float],
    unit: str,
    *,
    at_most: float | None = None,
    at_least: float | None = None,
    note: str = "",
) -> Figure:
    """Gives the figure of several rounds: their median, smallest and largest."""
    return Figure(
        group, name, statistics.median(rounds), unit, min(rounds), max(rounds), at_most, at_least, note
    )


@contextlib.contextmanager
def within(seconds: float) -> typing.Iterator[None]:
    """Has each ``alternate`` inside end after so many seconds, once it has three rounds."""
    token = _seconds.set(seconds)
    try:
        yield
    finally:
        _seconds.reset(token)


def unlimited() -> bool:
    """Tells whether all rounds are wanted, however long they take."""
    return _seconds.get() == math.inf


def alternate(
    contestants: typing.Mapping[str, typing.Callable[[], float]],
    rounds: int,
    long: typing.Container[str] = (),
) -> dict[str, list[float]]:
    """Measures each contestant once a round, in turn, so that drift of the machine hits all alike.

    Those named in ``long`` take part in the first three rounds alone; all do when time is up (see ``within``).
    """
    measured: dict[str, list[float]] = {name: [] for name in contestants}
    end = time.monotonic() + _seconds.get()
    for number in range(rounds):
        if number >= FEWEST and time.monotonic() > end:
            break
        for name, measure in contestants.items():
            if number < FEWEST or name not in long:
                measured[name].append(measure())
    return measured


def ratios(one: typing.Sequence[float], other: typing.Sequence[float]) -> list[float]:
    """Gives how many times the other the one is, round by round."""
    return [above / below for above, below in zip(one, other, strict=True)]


def table(figures: typing.Sequence[Figure]) -> str:
    """Gives the figures as a table to read, one group after the other."""
    rows = [
        (
            figure.name,
            "–" if figure.value is None else f"{short(figure.value)} {figure.unit}",
            spread(figure),
            goal(figure),
            {True: "met", False: "MISSED", None: ""}[figure.met],
            figure.note,
        )
        for figure in figures
    ]
    heads = ("", "median", "spread", "goal", "", "")
    groups = [(figure.group, *heads[1:]) for figure in figures]
    widths = [max(len(row[column]) for row in [*groups, *rows]) for column in range(len(heads))]
    lines: list[str] = []
    for number, (figure, row) in enumerate(zip(figures, rows, strict=True)):
        if number == 0 or figure.group != figures[number - 1].group:
            lines += ["", _line(groups[number], widths), "-" * (sum(widths) + 2 * len(widths) - 2)]
        lines.append(_line(row, widths))
    return "\n".join(lines[1:])


def _line(cells: typing.Sequence[str], widths: typing.Sequence[int]) -> str:
    """Text to the left, numbers to the right."""
    texts = (0, 4, 5)
    return "  ".join(
        cell.ljust(width) if column in texts else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ).rstrip()


def short(value: float) -> str:
    """Three significant digits, without an exponent."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def spread(figure: Figure) -> str:
    """Gives the smallest and the largest of the rounds, to read."""
    if figure.low is None or figure.high is None:
        return ""
    return f"{short(figure.low)}–{short(figure.high)}"


def goal(figure: Figure) -> str:
    """Gives the goal, to read."""
    if figure.at_most is not None:
        return f"≤ {short(figure.at_most)}"
    if figure.at_least is not None:
        return f"≥ {short(figure.at_least)}"
    return ""
