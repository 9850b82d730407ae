"""Runs the command as a user does: as a process, in a folder, to its end or until Ctrl-C."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import queue
import signal
import subprocess
import sys
import threading
import typing

ONE_LINE = "float divide(1:int num1, 2:int num2=1) => InvalidOperation\n"
FAULTY = "float divide(1:int num1, 1:int num2=1) => InvalidOperation\n"
PATIENCE = 30
"""Seconds before a line that should come is given up."""

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


class Running:
    """The command while it runs; its lines, findings and log alike, as they come."""

    def __init__(self, *words: str, cwd: pathlib.Path, **changes: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *words],
            cwd=cwd,
            env=environment(**changes),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout:
            for line in self.process.stdout:
                self._lines.put(line.rstrip("\n"))

    def until(self, text: str) -> list[str]:
        """Waits for a line that has the text; gives the lines up to it."""
        seen: list[str] = []
        while True:
            try:
                seen.append(self._lines.get(timeout=PATIENCE))
            except queue.Empty:
                raise AssertionError(f"no line has {text!r}: {seen}") from None
            if text in seen[-1]:
                return seen

    def end(self) -> int:
        """Presses Ctrl-C; gives the status."""
        self.process.send_signal(signal.SIGINT)
        status = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return status

    def close(self) -> None:
        """Ends it by force, if it still runs."""
        self.process.kill()
        self.process.wait()
        self._reader.join()


def write(folder: pathlib.Path, files: typing.Mapping[str, str]) -> pathlib.Path:
    """Writes files by their paths in a folder, which it gives back."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder
