"""Compiling 10, 1,000 and 10,000 methods, as whole processes; beside it gRPC's compiler, which is C++."""

from __future__ import annotations

import functools
import pathlib
import statistics
import tempfile
import typing

from benchmarks import grpc_stubs
from benchmarks.figures import Figure, alternate, from_rounds
from benchmarks.interfaces import SIZES, Bench, interface

GOALS = {10: 0.2, 1_000: 0.8, 10_000: 6.0}
"""Methods → seconds at most."""


def run(quick: bool) -> typing.Iterable[Figure]:
    sizes = SIZES[:2] if quick else SIZES
    rounds = 1 if quick else 5
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(pathlib.Path(folder))
        contestants: dict[str, typing.Callable[[], float]] = {}
        for size in sizes:
            (bench.folder / f"size{size}.idl").write_text(interface(size), encoding="utf-8")
            contestants[f"rpcgen {size}"] = functools.partial(_compile, bench, size)
            if grpc_stubs.installed():
                grpc_stubs.write(bench, size)
                contestants[f"grpc {size}"] = functools.partial(grpc_stubs.compile, bench, size)
        _compile(bench, sizes[0])
        measured = alternate(contestants, rounds)
    for size in sizes:
        yield from_rounds(
            "compile", f"{size:,} methods", measured[f"rpcgen {size}"], "s", at_most=GOALS[size]
        )
    if not quick:
        yield _linearity({size: statistics.median(measured[f"rpcgen {size}"]) for size in sizes})
    for size in sizes:
        yield _peer(f"{size:,} methods, grpc_tools.protoc", measured.get(f"grpc {size}"))


def _compile(bench: Bench, size: int) -> float:
    (bench.folder / f"size{size}.py").unlink(missing_ok=True)
    source = bench.folder / f"size{size}.idl"
    return bench.seconds("-m", "rpcgen", "compile", str(source), "-o", str(bench.folder))


def _peer(name: str, rounds: list[float] | None) -> Figure:
    if rounds is None:
        return Figure("compile", name, None, "s", note="not installed: make peers")
    return from_rounds("compile", name, rounds, "s", note="C++")


def _linearity(seconds: dict[int, float]) -> Figure:
    """Compares the cost of a method between the sizes; the start of the process counts as none."""
    small, middle, large = SIZES
    early = (seconds[middle] - seconds[small]) / (middle - small)
    late = (seconds[large] - seconds[middle]) / (large - middle)
    return Figure(
        "compile", "a method: 10,000 against 1,000", late / early, "×", at_most=1.3, note="linear is 1"
    )
