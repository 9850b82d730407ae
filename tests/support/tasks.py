"""Queued calls for tests: a stub whose calls are queued, and masters and workers as processes of their own.

``python -m tests.support.tasks master URL`` and ``… worker URL OPTIONS`` (JSON, those of ``rpc.Worker``) run
until they are ended; they print a line once they work.
"""

from __future__ import annotations

import json
import os
import pathlib
import signal
import sys
import threading
import time
import typing

from rpcgen import runtime as rpc
from tests.support import services
from tests.support.processes import Process


class TaskStub(rpc.TaskStub):
    """Queues calls of the service."""

    def divide(self, num1: int, num2: int = 1) -> rpc.Task[float]:
        return self._call(services.DivideProtocol, num1, num2)

    def echo(self, data: bytes) -> rpc.Task[bytes]:
        return self._call(services.EchoProtocol, data)

    def wait(self, number: int) -> rpc.Task[int]:
        return self._call(services.WaitProtocol, number)

    def log(self, line: str) -> rpc.Task[None]:
        return self._call(services.LogProtocol, line)

    def run(self, what: str) -> rpc.Task[int]:
        return self._call(services.RunProtocol, what)

    def hurry(self) -> rpc.Task[int]:
        return self._call(services.HurryProtocol)


class Handlers(services.Handlers):
    """``run`` does what its words say, so that a test can tell a worker in another process."""

    def run(self, what: str) -> int:
        word, _, value = what.partition(" ")
        if word == "pid":
            return os.getpid()
        if word == "exit":
            os._exit(int(value))
        if word == "sleep":
            time.sleep(float(value))
            return os.getpid()
        if word == "note":  # one line a run: what was run is known after SIGKILL, too
            name, _, line = value.partition(" ")
            with pathlib.Path(name).open("a") as file:
                file.write(f"{line}\n")
            return os.getpid()
        if word == "once":  # notes, then waits until the file GO stands beside it
            path = pathlib.Path(value)
            with path.open("a") as file:
                file.write(f"{os.getpid()}\n")
            while not path.with_suffix(".go").exists():
                time.sleep(0.01)
            return os.getpid()
        raise services.InvalidOperation(what)


class TasksProcess(Process):
    """A master or a worker in a process of its own.

    Args:
        role: ``master`` or ``worker``.
        url: Of the queue.
        **options: Those of ``rpc.Worker``.
    """

    def __init__(self, role: str, url: str, **options: typing.Any) -> None:
        super().__init__()
        self._arguments = [role, url, json.dumps(options)]
        self.name = ""
        """Of the worker."""

    def start(self) -> None:
        self._spawn("tests.support.tasks", *self._arguments)
        self.name = self._line()


def main(role: str, url: str, options: str) -> None:
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    if role == "master":
        with rpc.Master(url):
            print("stands", flush=True)
            over.wait()
    else:
        with rpc.Worker(url, services.ServerStub(Handlers()), **json.loads(options)) as worker:
            print(worker.name, flush=True)
            over.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
