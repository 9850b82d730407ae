"""Importing what was compiled, as whole processes: with its bytecode there, and without."""

from __future__ import annotations

import functools
import pathlib
import tempfile
import typing

from benchmarks.figures import Figure, alternate, from_rounds
from benchmarks.interfaces import SIZES, Bench, interface

WARM_GOALS = {10: 0.06, 1_000: 0.08, 10_000: 0.25}
COLD_GOALS = {10_000: 6.0}
"""Methods → seconds at most."""


def run(quick: bool) -> typing.Iterable[Figure]:
    sizes = SIZES[:2] if quick else SIZES
    rounds = 1 if quick else 5
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(pathlib.Path(folder))
        for size in sizes:
            bench.compile(f"size{size}", interface(size))
        contestants: dict[str, typing.Callable[[], float]] = {"nothing": lambda: bench.seconds("-c", "pass")}
        for size in sizes:
            contestants[f"cold {size}"] = functools.partial(_cold, bench, size)
            contestants[f"warm {size}"] = functools.partial(_warm, bench, size)
        measured = alternate(contestants, rounds)
    for size in sizes:
        goal = WARM_GOALS.get(size)
        yield from_rounds("import", f"{size:,} methods, warm", measured[f"warm {size}"], "s", at_most=goal)
    for size in sizes:
        goal = COLD_GOALS.get(size)
        yield from_rounds("import", f"{size:,} methods, cold", measured[f"cold {size}"], "s", at_most=goal)
    yield from_rounds("import", "Python alone", measured["nothing"], "s", note="the floor")


def _cold(bench: Bench, size: int) -> float:
    bench.forget_bytecode()
    return _import(bench, size)


def _warm(bench: Bench, size: int) -> float:
    """Stands after the cold import of the same size, which leaves the bytecode."""
    return _import(bench, size)


def _import(bench: Bench, size: int) -> float:
    return bench.seconds("-c", f"import size{size}")
