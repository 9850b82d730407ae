"""Runs the benchmarks: ``python -m benchmarks [NAME…] [--quick | --full] [--output FILE]``.

``python -m benchmarks report RESULT.json`` writes a report of what one of them has measured.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import math
import os
import pathlib
import sys
import time
import traceback
import typing

from benchmarks import machine
from benchmarks.figures import Figure, table, within

HERE = pathlib.Path(__file__).resolve().parent
NAMES = [
    name
    for name in (
        "compiler",
        "importing",
        "cold_start",
        "codec",
        "codec_python",
        "session",
        "calls",
        "servers",
        "distributed",
        "concurrent",
        "threads",
        "bulk",
        "http",
        "cost",
        "thousand",
        "slow_senders",
        "registry",
        "zookeeper",
        "tasks",
    )
    if (HERE / f"{name}.py").is_file()
]
OUTPUT = HERE.parent / "build" / "benchmarks.json"
REPORTS = HERE.parent / "docs" / "benchmarks"

SECONDS = 6.0
"""After so long, contestants are measured no further than three times, unless all is asked for."""

LATE = 420.0
"""After so many seconds a small measurement is made of what is left, unless all is asked for: a run has 10 minutes."""

LONG = ("slow_senders", "registry", "zookeeper", "tasks")
"""Those whose whole measurement takes minutes: a small one is made of them, unless all is asked for."""


def main(arguments: typing.Sequence[str] | None = None) -> int:
    """Prints the table and writes the file. The status is 0 whatever the figures are, 1 if a benchmark broke."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given[:1] == ["report"]:
        return _report(given[1:])
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure rpcgen.",
        epilog="python -m benchmarks report RESULT.json writes a report of it.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all by default")
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument("--quick", action="store_true", help="few and small rounds: does it run?")
    extent.add_argument("--full", action="store_true", help="all rounds, however long they take")
    parser.add_argument("--output", type=pathlib.Path, default=OUTPUT, help="the JSON file to write")
    chosen = parser.parse_args(given)
    unknown = set(chosen.names) - set(NAMES)
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")

    around = machine.describe() | {"load at the beginning": machine.load()}
    begin = time.monotonic()
    figures, broken = _measure(chosen.names or NAMES, quick=chosen.quick, full=chosen.full)
    around["load at the end"] = machine.load()
    around["measured for"] = f"{time.monotonic() - begin:.0f} s"
    around["extent"] = "quick" if chosen.quick else "full" if chosen.full else "normal"

    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    rows = [dataclasses.asdict(figure) | {"met": figure.met} for figure in figures]
    chosen.output.write_text(
        json.dumps({"machine": around, "figures": rows}, indent=1, ensure_ascii=False) + "\n"
    )
    print("\n".join(f"{name}: {value}" for name, value in around.items()), end="\n\n")
    print(table(figures))
    missed = sum(figure.met is False for figure in figures)
    judged = sum(figure.met is not None for figure in figures)
    print(f"\n{judged - missed} of {judged} goals met; all figures in {os.path.relpath(chosen.output)}")
    return int(broken)


def _measure(names: typing.Iterable[str], *, quick: bool, full: bool) -> tuple[list[Figure], bool]:
    """Runs one after the other; one that breaks takes none of the others' figures with it."""
    figures: list[Figure] = []
    broken = False
    begin = time.monotonic()
    for name in names:
        start = time.monotonic()
        small = quick or (not full and (name in LONG or start - begin > LATE))
        print(f"measuring {name} …", end="", file=sys.stderr, flush=True)
        run = importlib.import_module(f"benchmarks.{name}").run
        try:
            with within(math.inf if full else SECONDS):
                for figure in run(small):
                    figures.append(_noted(figure) if small and not quick else figure)
        except Exception as error:
            traceback.print_exc()
            broken = True
            told = " ".join(f"{type(error).__name__}: {error}".split())
            figures.append(Figure(name, "broken", None, "", note=told[:100]))
        print(f" {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
    first: dict[str, int] = {}
    for figure in figures:
        first.setdefault(figure.group, len(first))
    return sorted(figures, key=lambda figure: first[figure.group]), broken


def _noted(figure: Figure) -> Figure:
    return dataclasses.replace(figure, note=", ".join(filter(None, [figure.note, "a small measurement"])))


def _report(arguments: typing.Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks report", description="Write a report.")
    parser.add_argument("result", type=pathlib.Path, nargs="?", default=OUTPUT, help="what was measured")
    parser.add_argument("--to", type=pathlib.Path, default=REPORTS, metavar="FOLDER", help="where it goes")
    chosen = parser.parse_args(arguments)
    from benchmarks import report

    try:
        written = report.write(chosen.result, chosen.to)
    except (OSError, report.Unreadable) as error:
        parser.error(str(error))
    print(f"{os.path.relpath(written[0])} and {len(written) - 1} plots")
    return 0


if __name__ == "__main__":
    sys.exit(main())
