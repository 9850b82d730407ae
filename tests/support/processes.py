"""Python processes of a test's own: started, waited for by what they print, ended."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
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


class Process:
    """A Python process that can be ended and started again, and runs while ``with`` lasts."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> typing.Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        return self._running.pid

    @property
    def _running(self) -> subprocess.Popen[str]:
        assert self._process is not None, "it does not run"
        return self._process

    def start(self) -> None:
        """Starts it; returns once it is ready."""
        raise NotImplementedError

    def _spawn(self, module: str, *arguments: str, stdin: int = subprocess.DEVNULL) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _line(self) -> str:
        return line(self._running)

    def kill(self) -> None:
        """Ends it with SIGKILL."""
        self._end(signal.SIGKILL)

    def terminate(self) -> None:
        """Ends it with SIGTERM; returns once it has ended."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Stops the process until ``resume``."""
        self._running.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._running.send_signal(signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with process:
            try:
                process.send_signal(number)
                process.send_signal(signal.SIGCONT)  # a stopped process takes no other signal
                process.wait(30)
            finally:
                process.kill()


class RegistryProcess(Process):
    """``rpcgen registry``, which keeps its port and its data when it is ended and started again.

    Args:
        folder: For its data; None keeps nothing on disk.
    """

    def __init__(self, folder: pathlib.Path | None = None) -> None:
        super().__init__()
        self.port = 0
        self._folder = folder

    @property
    def url(self) -> str:
        return f"registry://127.0.0.1:{self.port}"

    def start(self) -> None:
        data = [] if self._folder is None else ["--data", str(self._folder / "registry")]
        self._spawn("rpcgen", "registry", "--port", str(self.port), *data)
        self.port = int(self._line().split(";")[0].rpartition(":")[2])
