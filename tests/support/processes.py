"""Python processes of a test's own: started, waited for by what they print, ended."""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import sys
import typing

ROOT = pathlib.Path(__file__).resolve().parents[2]


@contextlib.contextmanager
def python(code: str, *arguments: str) -> typing.Iterator[subprocess.Popen[str]]:
    """Runs Python code; what is left of the process at the end is killed.

    Args:
        code: Finds the project's packages; prints what the test reads from ``stdout``.
        *arguments: Its ``sys.argv[1:]``.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "generated")])},
        text=True,
    )
    try:
        with process:
            try:
                yield process
            finally:
                process.kill()
    finally:
        process.wait(10)


def line(process: subprocess.Popen[str]) -> str:
    """Gives the next line that the process prints; fails with its errors if it ended instead."""
    assert process.stdout is not None
    assert process.stderr is not None
    text = process.stdout.readline()
    assert text, process.stderr.read()
    return text.strip()
