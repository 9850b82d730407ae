"""Runs the benchmarks: ``python -m benchmarks [NAME…] [--quick] [--output FILE]``."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import importlib.metadata
import json
import os
import pathlib
import platform
import sys
import time
import typing

import rpcgen
from benchmarks.figures import Figure, table

HERE = pathlib.Path(__file__).resolve().parent
NAMES = [
    name
    for name in (
        "compiler",
        "importing",
        "cold_start",
        "codec",
        "session",
        "calls",
        "servers",
        "distributed",
        "concurrent",
        "threads",
        "http",
        "cost",
        "slow_senders",
        "registry",
        "zookeeper",
        "tasks",
    )
    if (HERE / f"{name}.py").is_file()
]
PEERS = ("thriftpy2", "grpcio", "pycapnp", "connect-python", "fastapi", "uvicorn", "uvloop", "msgspec")
OUTPUT = HERE.parent / "build" / "benchmarks.json"


def main(arguments: typing.Sequence[str] | None = None) -> int:
    """Prints the table and writes the file. The status is 0 whatever the figures are."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure rpcgen.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all by default")
    parser.add_argument("--quick", action="store_true", help="few and small rounds: does it run?")
    parser.add_argument("--output", type=pathlib.Path, default=OUTPUT, help="the JSON file to write")
    chosen = parser.parse_args(arguments)
    unknown = set(chosen.names) - set(NAMES)
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")

    figures: list[Figure] = []
    for name in chosen.names or NAMES:
        start = time.monotonic()
        print(f"measuring {name} …", end="", file=sys.stderr, flush=True)
        figures += importlib.import_module(f"benchmarks.{name}").run(chosen.quick)
        print(f" {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)

    around = machine()
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
    return 0


def machine() -> dict[str, str]:
    """Says what was measured, and on what."""
    return {
        "rpcgen": rpcgen.__version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": f"{_processor()}, {len(os.sched_getaffinity(0))} cores",
        "peers": ", ".join(f"{name} {_version(name)}" for name in PEERS),
    }


def _processor() -> str:
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    sys.exit(main())
