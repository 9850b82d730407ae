"""Runs the command as a user does: as a process, in a folder."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import subprocess
import sys
import typing

ONE_LINE = "float divide(1:int num1, 2:int num2=1) => InvalidOperation\n"
FAULTY = "float divide(1:int num1, 1:int num2=1) => InvalidOperation\n"
COMMAND = [sys.executable, "-m", "rpcgen"]


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a command ended, and what it said."""

    status: int
    out: str
    log: str


def environment(**changes: str) -> dict[str, str]:
    """The environment without what changes the command's ways, and with the changes."""
    ours = ("NO_COLOR", "TERM", "RPCGEN_TRACEBACK", "PYTHONIOENCODING", "PYTHONUTF8")
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return {**kept, "TERM": "xterm", "PYTHONUTF8": "1", **changes}


def rpcgen(*words: str | os.PathLike[str], cwd: pathlib.Path, **changes: str) -> Ended:
    """Runs ``python -m rpcgen`` with the words, in a folder, with changes to the environment."""
    process = subprocess.run(
        [*COMMAND, *words],
        cwd=cwd,
        env=environment(**changes),
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        timeout=60,
        check=False,
    )
    return Ended(process.returncode, process.stdout, process.stderr)


def write(folder: pathlib.Path, files: typing.Mapping[str, str]) -> pathlib.Path:
    """Writes files by their paths in a folder, which it gives back."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder
