"""Importing what was compiled, as whole processes: with its bytecode there, and without."""

from __future__ import annotations

import functools
import pathlib
import tempfile
import typing

from benchmarks.figures import Figure, alternate, from_rounds
from benchmarks.interfaces import SHAPES, SIZES
from benchmarks.processes import Bench, grpc_installed

GOALS = {
    "warm lean_10": 0.06,
    "warm lean_1000": 0.08,
    "warm lean_10000": 0.25,
    "cold lean_10000": 6.0,
    "cold rich_10000": 6.0,
}
"""Seconds at most. Rich interfaces are held against gRPC's stubs instead."""


def run(quick: bool) -> typing.Iterable[Figure]:
    sizes = SIZES[:1] if quick else SIZES
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(pathlib.Path(folder))
        contestants: dict[str, typing.Callable[[], float]] = {"nothing": lambda: bench.seconds("-c", "pass")}
        for shape in SHAPES:
            for size in sizes:
                name = f"{shape}_{size}"
                bench.write(shape, size)
                bench.compile(name)
                # The warm one follows the cold one, which leaves the bytecode.
                contestants[f"cold {name}"] = functools.partial(bench.load_cold, name)
                contestants[f"warm {name}"] = functools.partial(bench.load, name)
                if grpc_installed():
                    bench.compile_grpc(name)
                    bench.load_grpc(name)
                    contestants[f"grpc {name}"] = functools.partial(bench.load_grpc, name)
        long = [name for name in contestants if name.endswith(f"_{SIZES[-1]}")]
        measured = alternate(contestants, 1 if quick else 9, long)
    yield from_rounds("import", "Python alone", measured["nothing"], "s", note="the floor")
    for shape in SHAPES:
        for heat in ("warm", "cold"):
            for size in sizes:
                key = f"{heat} {shape}_{size}"
                title = f"{size:,} methods, {heat}"
                yield from_rounds(f"import, {shape}", title, measured[key], "s", at_most=GOALS.get(key))
        yield from _against_grpc(shape, sizes, measured)


def _against_grpc(
    shape: str, sizes: typing.Sequence[int], measured: dict[str, list[float]]
) -> typing.Iterable[Figure]:
    group = f"import, {shape}"
    if not grpc_installed():
        yield Figure(group, "grpc stubs", None, "s", note="not installed: make peers")
        return
    for size in sizes:
        rounds = measured[f"grpc {shape}_{size}"]
        yield from_rounds(group, f"{size:,} methods, warm, grpc stubs", rounds, "s")
    largest = sizes[-1]
    pairs = zip(measured[f"warm {shape}_{largest}"], measured[f"grpc {shape}_{largest}"], strict=True)
    ratios = [ours / theirs for ours, theirs in pairs]
    yield from_rounds(group, f"{largest:,} methods, warm, against grpc", ratios, "×", at_most=1.0)
