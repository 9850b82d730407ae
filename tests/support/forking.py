"""A program that serves in several processes, as a process of its own: the tests' own runs threads.

``python -m tests.support.forking OPTIONS`` is one; OPTIONS are JSON: those of ``ProcessServer``,
and ``host``, ``ready``, ``crash``.
"""

from __future__ import annotations

import json
import logging
import os
import pathlib
import signal
import subprocess
import sys
import time
import typing

from rpcgen import runtime as rpc
from tests.support import services
from tests.support.processes import Process


class Handlers(services.Handlers):
    """``run`` answers with the process, waits, works, or ends it."""

    def run(self, what: str) -> int:
        word, _, value = what.partition(" ")
        if word == "pid":
            return os.getpid()
        if word == "exit":
            os._exit(int(value))
        if word == "mask":
            return len(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        if word == "print":
            sys.stdout.write(value + "\n")  # flushed at the worker's end
            return 0
        if word == "sleep":
            os.write(1, b"entered\n")  # whole, whoever else writes
            time.sleep(float(value))
            return os.getpid()
        if word == "work":
            end = time.thread_time() + float(value)
            while time.thread_time() < end:
                pass
            return os.getpid()
        if word == "shutdown":
            return int(SERVER[0].shutdown(float(value)))
        raise services.InvalidOperation(what)


SERVER: list[rpc.ProcessServer] = []


class ForkingProcess(Process):
    """A ``ProcessServer`` in a process; ``serve`` or ``start`` runs it.

    Args:
        how: ``serve`` ends by a signal, ``start`` by a line on its standard input.
        **options: Those of ``ProcessServer``; ``host`` and ``port``; ``crash``: a path: while it
            exists, workers end at their start.
    """

    def __init__(self, how: str = "serve", **options: object) -> None:
        super().__init__()
        self._how = how
        self._options = options
        self.address = ""

    def start(self) -> None:
        """Starts it; returns once all workers serve."""
        self._spawn("tests.support.forking", self._how, json.dumps(self._options), stdin=subprocess.PIPE)
        self.address = self._line()
        assert self._line() == "unflushed ready"

    def line(self) -> str:
        """Gives the next line that it prints."""
        return self._line()

    def channel(self) -> rpc.Channel:
        channel = rpc.connect(self.address)
        assert isinstance(channel, rpc.Channel)
        return channel

    def entered(self, calls: int) -> None:
        """Waits until so many calls that sleep are in their handlers."""
        for _ in range(calls):
            assert self._line() == "entered"

    def run(self, what: str) -> int:
        """Calls ``run`` on a new connection, which any worker may take."""
        with self.channel() as channel:
            return services.ClientStub(channel).run(what)

    def tell(self, text: str) -> None:
        """Writes a line to its standard input."""
        stdin = self._running.stdin
        assert stdin is not None
        stdin.write(text + "\n")
        stdin.flush()

    def supervisor(self) -> int:
        (pid,) = children(self.pid)
        return pid

    def workers(self) -> set[int]:
        return set(children(self.supervisor()))

    def signal(self, number: signal.Signals) -> None:
        self._running.send_signal(number)

    def wait(self) -> int:
        """Waits for its end; gives its status."""
        return self._running.wait(30)

    def finish(self) -> tuple[str, str]:
        """Waits for its end; gives what it has not been asked for of its output, and its errors."""
        stdout, stderr = self._running.stdout, self._running.stderr
        assert stdout is not None
        assert stderr is not None
        output, errors = stdout.read(), stderr.read()
        self.wait()
        return output, errors


def children(pid: int) -> list[int]:
    """The processes that this one has forked."""
    try:
        text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(word) for word in text.split()]


def is_there(pid: int) -> bool:
    """Whether a process is there and has not ended; one that has, and is not waited for, counts as ended."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def main(how: str, text: str) -> None:
    options: dict[str, typing.Any] = json.loads(text)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    crash = options.pop("crash", None)
    host, port = options.pop("host", "127.0.0.1"), options.pop("port", 0)
    server = rpc.ProcessServer(host, port, services.ServerStub(Handlers()), **options)
    SERVER.append(server)
    program = os.getpid()
    if crash is not None:
        # In a worker: its parent is not the program, but the supervisor.
        os.register_at_fork(
            after_in_child=lambda: os._exit(7) if os.getppid() != program and os.path.exists(crash) else None
        )
    print(server.bind(), flush=True)
    print("unflushed ", end="")
    if how == "start":
        with server:
            print("ready", flush=True)
            for line in sys.stdin:
                print(server.shutdown(float(line)), flush=True)
    else:
        # Its line in the log comes once all workers serve.
        logging.getLogger("rpcgen").addHandler(_Ready())
        server.serve()
    print("ended", flush=True)


class _Ready(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith("serving"):
            print("ready", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
