"""Compiling, as whole processes; beside it gRPC's compiler, which is C++."""

from __future__ import annotations

import functools
import pathlib
import tempfile
import typing

from benchmarks.figures import Figure, alternate, from_rounds
from benchmarks.interfaces import SHAPES, SIZES
from benchmarks.processes import Bench, grpc_installed

GOALS = {10: 0.2, 1_000: 0.8, 10_000: 6.0}
"""Methods → seconds at most, in either shape."""


def run(quick: bool) -> typing.Iterable[Figure]:
    sizes = SIZES[:1] if quick else SIZES
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(pathlib.Path(folder))
        contestants: dict[str, typing.Callable[[], float]] = {}
        for shape in SHAPES:
            for size in sizes:
                name = f"{shape}_{size}"
                bench.write(shape, size)
                contestants[name] = functools.partial(bench.compile, name)
                if grpc_installed():
                    contestants[f"grpc {name}"] = functools.partial(bench.compile_grpc, name)
        bench.compile("lean_10")
        long = [name for name in contestants if name.startswith("grpc") and name.endswith(f"_{SIZES[-1]}")]
        measured = alternate(contestants, 1 if quick else 9, long)
    for shape in SHAPES:
        group = f"compile, {shape}"
        for size in sizes:
            rounds = measured[f"{shape}_{size}"]
            yield from_rounds(group, f"{size:,} methods", rounds, "s", at_most=GOALS[size])
        if not quick:
            yield _linearity(group, {size: min(measured[f"{shape}_{size}"]) for size in sizes})
        for size in sizes:
            peer = measured.get(f"grpc {shape}_{size}")
            title = f"{size:,} methods, grpc_tools.protoc"
            if peer is not None:
                yield from_rounds(group, title, peer, "s", note="C++")
        if not grpc_installed():
            yield Figure(group, "grpc_tools.protoc", None, "s", note="not installed: make peers")


def _linearity(group: str, seconds: dict[int, float]) -> Figure:
    """Compares the cost of a method between the sizes; the start of the process counts as none.

    Args:
        group: Of the figure.
        seconds: By size, of the quickest rounds: differences of short times are mostly what other load adds.
    """
    small, middle, large = SIZES
    early = (seconds[middle] - seconds[small]) / (middle - small)
    late = (seconds[large] - seconds[middle]) / (large - middle)
    title = "a method among 10,000, against 1,000"
    return Figure(group, title, late / early, "×", at_most=1.3, note="linear is 1; of the quickest rounds")
