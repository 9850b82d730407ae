"""What the demos stand on: commands that are shown and run, programs beside them whose lines are waited for.

Nothing is left running, however a demo ends.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import queue
import re
import signal
import subprocess
import sys
import threading
import typing

ROOT = pathlib.Path(__file__).resolve().parent.parent
SECONDS = 60.0
"""How long any step may take before the demo gives up."""


class Failure(Exception):
    """A step did not do what it should."""


class Background:
    """A program that runs beside the demo; its lines can be waited for.

    Args:
        command: As it is shown: ``python FILE …`` or ``rpcgen …``.
        environment: Its variables.
        folder: Where it runs.
    """

    def __init__(self, command: str, environment: dict[str, str], folder: pathlib.Path) -> None:
        self.command = command
        self.process = subprocess.Popen(
            words(command),
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put("")

    def line(self) -> str:
        """Gives the next line that it prints; ``""`` once it has ended."""
        line = self.soon(SECONDS)
        if line is None:
            raise Failure(f"{self.command} said nothing for {SECONDS:g} s")
        return line

    def soon(self, seconds: float) -> str | None:
        """Gives the next line that it prints; None: there is none in so many seconds."""
        try:
            return self._lines.get(timeout=seconds)
        except queue.Empty:
            return None

    def first(self) -> str:
        """Gives the line that says that it is ready."""
        line = self.line()
        if line.startswith("Traceback"):
            while more := self.line():
                line += more
            raise Failure(f"{self.command}:\n{line}")
        if not line:
            raise Failure(f"{self.command} ended with status {self.process.wait(SECONDS)}")
        return line

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self) -> int:
        """Waits until it has ended; gives its status."""
        try:
            return self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.command} does not end") from None

    def close(self) -> None:
        """Ends it by force, if it still runs."""
        self.process.kill()
        self.process.wait()
        self._reader.join()


class Stage:
    """Where the commands of a demo run; what is started belongs to ``started``."""

    def __init__(self, started: contextlib.ExitStack) -> None:
        self._started = started
        self.folder = ROOT
        self.environment = os.environ | {"PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"}
        self.environment.pop("RPCGEN_REGISTRY", None)

    def compile(self, name: str, folder: str) -> None:
        """Shows an interface of idl/, and compiles it into a folder."""
        title(
            "An interface: what is called, with what, what comes back, what may go wrong",
            f"cat idl/{name}.idl",
        )
        say((ROOT / "idl" / f"{name}.idl").read_text(encoding="utf-8"))
        command = f"rpcgen compile idl/{name}.idl -o {folder}"
        title("Compile it to one Python module", command)
        (ROOT / folder / f"{name}.py").unlink(missing_ok=True)
        say(self.run(command))

    def start_registry(self, what: str, command: str, options: str = "") -> Background:
        """Starts a registry; RPCGEN_REGISTRY is its URL, with the options, from then on."""
        title(what, f"{command} &")
        registry = self.start(command)
        line = registry.first()
        say(line)
        found = re.search(r"(registry|zk)://[^\s;,]+", line)
        if found is None:
            raise Failure(f"{command} says no URL")
        self.environment["RPCGEN_REGISTRY"] = found[0] + options
        return registry

    def start(self, command: str) -> Background:
        background = Background(command, self.environment, self.folder)
        self._started.callback(background.close)
        return background

    def run(self, command: str, *statuses: int) -> str:
        """Runs a command that should end with one of these statuses (default: 0); gives all that it wrote."""
        done = subprocess.run(
            words(command),
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=SECONDS,
            check=False,
        )
        if done.returncode not in (statuses or (0,)):
            say(done.stdout)
            raise Failure(f"{command} ended with status {done.returncode}")
        return done.stdout


def words(command: str) -> list[str]:
    """Gives a shown command as it is run here: by this Python, wherever ``python`` and ``rpcgen`` are."""
    program, *rest = command.split()
    return [sys.executable, *(["-m", "rpcgen"] if program == "rpcgen" else []), *rest]


def title(what: str, *commands: str) -> None:
    bold, dim, plain = ("\33[1m", "\33[2m", "\33[0m") if sys.stdout.isatty() else ("", "", "")
    print(f"{bold}{what}{plain}", flush=True)
    for command in commands:
        print(f"    {dim}$ {command}{plain}", flush=True)


def say(text: str) -> None:
    """Prints what a command said, indented, and an empty line."""
    print("".join(f"    {line}\n" for line in text.splitlines()), flush=True)


def perform(show: typing.Callable[[Stage], None], ending: str) -> int:
    """Shows the steps, then the ending; the status is 1 as soon as a step fails."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with contextlib.ExitStack() as started:
            show(Stage(started))
    except (Failure, subprocess.SubprocessError) as failure:
        print(f"the demo failed: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(ending, end="")
    return 0
