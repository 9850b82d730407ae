"""Importing what was compiled, as whole processes: with its bytecode there, and without."""

from __future__ import annotations

import functools
import pathlib
import tempfile
import typing

from benchmarks import grpc_stubs
from benchmarks.figures import Figure, alternate, from_rounds
from benchmarks.interfaces import SIZES, Bench, interface

WARM_GOALS = {10: 0.06, 1_000: 0.08, 10_000: 0.25}
COLD_GOALS = {10_000: 6.0}
"""Methods → seconds at most."""


def run(quick: bool) -> typing.Iterable[Figure]:
    sizes = SIZES[:2] if quick else SIZES
    rounds = 1 if quick else 5
    peers = sizes if grpc_stubs.installed() else ()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(pathlib.Path(folder))
        contestants: dict[str, typing.Callable[[], float]] = {"nothing": lambda: bench.seconds("-c", "pass")}
        for size in sizes:
            bench.compile(f"size{size}", interface(size))
            # The warm one follows the cold one, which leaves the bytecode.
            contestants[f"cold {size}"] = functools.partial(_cold, bench, size)
            contestants[f"warm {size}"] = functools.partial(_import, bench, size)
        for size in peers:
            grpc_stubs.write(bench, size)
            grpc_stubs.compile(bench, size)
            contestants[f"grpc cold {size}"] = functools.partial(_grpc_cold, bench, size)
            contestants[f"grpc {size}"] = functools.partial(grpc_stubs.load, bench, size)
        measured = alternate(contestants, rounds)
    yield from_rounds("import", "Python alone", measured["nothing"], "s", note="the floor")
    for heat, goals in {"warm": WARM_GOALS, "cold": COLD_GOALS}.items():
        for size in sizes:
            yield from_rounds(
                "import",
                f"{size:,} methods, {heat}",
                measured[f"{heat} {size}"],
                "s",
                at_most=goals.get(size),
            )
    for size in peers:
        yield from_rounds("import", f"{size:,} methods, warm, grpc stubs", measured[f"grpc {size}"], "s")
    if not peers:
        yield Figure("import", "grpc stubs", None, "s", note="not installed: make peers")
    elif not quick:
        pairs = zip(measured["warm 10000"], measured["grpc 10000"], strict=True)
        ratios = [ours / theirs for ours, theirs in pairs]
        yield from_rounds("import", "10,000 methods, warm, against grpc", ratios, "×", at_most=1.0)


def _cold(bench: Bench, size: int) -> float:
    bench.forget_bytecode()
    return _import(bench, size)


def _grpc_cold(bench: Bench, size: int) -> float:
    bench.forget_bytecode()
    return grpc_stubs.load(bench, size)


def _import(bench: Bench, size: int) -> float:
    return bench.seconds("-c", f"import size{size}")
