"""The message codec as it runs without a compiler: ``codec`` again, in a process that takes the one in Python."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import subprocess
import sys
import tempfile
import typing

from benchmarks import report
from benchmarks.figures import Figure, unlimited

ROOT = pathlib.Path(__file__).resolve().parent.parent


def run(quick: bool) -> typing.Iterable[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        result = pathlib.Path(folder, "result.json")
        extent = ["--quick"] if quick else ["--full"] if unlimited() else []
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks", "codec", *extent, "--output", str(result)],
            cwd=ROOT,
            env={**os.environ, "RPCGEN_CODEC": "python"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"codec in Python ended with {done.returncode}: {done.stderr[-2000:]}")
        _, figures = report.read(result)
    for figure in figures:
        yield dataclasses.replace(figure, group=f"{figure.group} (in Python)")
