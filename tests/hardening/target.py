"""A server to be ill-treated, in a process of its own: what it takes of memory and descriptors can be measured.

``python -m tests.hardening.target KIND LIMITS OPTIONS`` is one; limits and options are JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import threading
import time
import typing

from rpcgen import runtime as rpc
from tests.support import services
from tests.support.processes import ROOT, Process
from tests.support.schemas import struct_class, union_class
from tests.support.waiting import PATIENCE

_trees: list[typing.Any] = []
Tree = struct_class(
    "Tree",
    [
        rpc.Field(1, "number", rpc.INT, default=0),
        rpc.Field(2, "below", rpc.OptionalOf(rpc.Ref(lambda: _trees[0]))),
        rpc.Field(3, "all", rpc.ListOf(rpc.Ref(lambda: _trees[0])), default=[]),
    ],
)
_trees.append(Tree)
Empty = struct_class("Empty", [])
Shape = union_class("Shape", [rpc.Field(1, "side", rpc.INT), rpc.Field(2, "name", rpc.STRING)])


class TakeProtocol(rpc.MessageProtocol[int]):
    """Takes one of everything that can be wrong."""

    name = "take"
    params = (
        rpc.Param(1, "flag", rpc.OptionalOf(rpc.BOOL)),
        rpc.Param(2, "text", rpc.OptionalOf(rpc.STRING)),
        rpc.Param(3, "flags", rpc.OptionalOf(rpc.ListOf(rpc.BOOL))),
        rpc.Param(4, "numbers", rpc.OptionalOf(rpc.SetOf(rpc.INT))),
        rpc.Param(5, "counts", rpc.OptionalOf(rpc.MapOf(rpc.STRING, rpc.INT))),
        rpc.Param(6, "tree", rpc.OptionalOf(Tree)),
        rpc.Param(7, "shape", rpc.OptionalOf(Shape)),
        rpc.Param(8, "empties", rpc.OptionalOf(rpc.ListOf(Empty))),
        rpc.Param(9, "exact", rpc.OptionalOf(rpc.DECIMAL)),
        rpc.Param(10, "at", rpc.OptionalOf(rpc.TIMESTAMP)),
        rpc.Param(11, "keys", rpc.OptionalOf(rpc.SetOf(rpc.UUID))),
        rpc.Param(12, "data", rpc.OptionalOf(rpc.BYTES)),
    )
    returns = rpc.INT


class MuchProtocol(rpc.MessageProtocol[bytes]):
    """bytes much(1: int size)"""

    name = "much"
    params = (rpc.Param(1, "size", rpc.INT),)
    returns = rpc.BYTES


class FailProtocol(rpc.MessageProtocol[int]):
    """int fail(1: string how)"""

    name = "fail"
    params = (rpc.Param(1, "how", rpc.STRING),)
    returns = rpc.INT
    raises = (services.InvalidOperation,)


class ServerStub(rpc.ServerStub):
    protocols = (*services.ServerStub.protocols, TakeProtocol, MuchProtocol, FailProtocol)


class Handlers(services.Handlers):
    """Those of ``services``, and some that fail."""

    def take(self, *values: object) -> int:
        return sum(value is not None for value in values)

    def much(self, size: int) -> bytes:
        return bytes(size)

    def fail(self, how: str) -> typing.Any:
        if how == "undeclared":
            raise services.Undeclared("secret")
        if how == "exit":
            raise SystemExit("secret")
        if how == "deep":
            return self.fail(how)
        if how == "wrong":
            return "secret"
        raise RuntimeError("secret")

    def wait(self, number: int) -> int:
        time.sleep(number / 1000)
        return number


class Tasks(Handlers):
    """The same, with coroutine functions among them."""

    async def much(self, size: int) -> bytes:  # type: ignore[override]
        return bytes(size)


KEEPING_LITTLE = {"MALLOC_TRIM_THRESHOLD_": "131072"}
"""For glibc, whose heaps, of which threads have several, else keep megabytes that nobody has: what is measured is what is held."""

KINDS = ("ThreadServer", "ProcessServer", "AsyncServer")
WORKERS = "ProcessServer of asyncio"
"""One more kind, whose parts are two of the others: what it gets wrong is no matter of amounts."""


class Target(Process):
    """A server of one kind, and what it says.

    Args:
        kind: Of ``KINDS``, ``WORKERS``, or ``AsyncServer of tasks``.
        limits: Other than the usual ones.
        codec: ``"c"`` or ``"python"``; None: as this process.
        **options: Of the server; as JSON can say them.
    """

    def __init__(
        self,
        kind: str,
        limits: dict[str, float] | None = None,
        codec: str | None = None,
        **options: typing.Any,
    ) -> None:
        super().__init__()
        self.kind = kind
        self.port = 0
        self._limits = limits or {}
        self._options = options
        self._codec = codec
        self._lines: list[str] = []
        self._said = threading.Condition()
        self._reader: threading.Thread | None = None

    def start(self) -> None:
        arguments = (self.kind, json.dumps(self._limits), json.dumps(self._options))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.hardening.target", *arguments],
            cwd=ROOT,
            env=os.environ | KEEPING_LITTLE | ({"RPCGEN_CODEC": self._codec} if self._codec else {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process.stderr,))
        self._reader.start()
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self.lines()
        self.port = int(line)

    def __exit__(self, *error: object) -> None:
        self.terminate()
        if self._reader is not None:
            self._reader.join(PATIENCE)

    def _read(self, errors: typing.TextIO) -> None:
        with contextlib.suppress(ValueError):
            for line in errors:
                with self._said:
                    self._lines.append(line.rstrip())
                    self._said.notify_all()

    def lines(self, words: str = "") -> list[str]:
        """Gives the lines of its log that hold the words."""
        with self._said:
            return [line for line in self._lines if words in line]

    def says(self, words: str) -> str:
        """Waits until it has logged a line that holds the words; gives the line."""
        with self._said:
            found = self._said.wait_for(
                lambda: next((line for line in self._lines if words in line), None), PATIENCE
            )
            assert found, (words, self._lines[-20:])
            return found

    def forget(self) -> None:
        """Forgets what it has said."""
        with self._said:
            self._lines.clear()

    # What it takes

    def processes(self) -> list[int]:
        """Gives the ids of its processes."""
        found, new = [], [self.pid]
        while new:
            pid = new.pop()
            found.append(pid)
            children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            new += map(int, children)
        return found

    def memory(self, which: str = "VmRSS") -> int:
        """Gives bytes of memory of all its processes together; ``VmHWM`` gives the most since ``reset_peak``."""
        total = 0
        for pid in self.processes():
            for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith(which):
                    total += int(line.split()[1]) * 1024
        return total

    def reset_peak(self) -> None:
        """Begins to look for the most memory anew."""
        for pid in self.processes():
            pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")

    def descriptors(self) -> int:
        """Gives how many descriptors its processes have open."""
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.processes())

    def threads(self) -> int:
        """Gives how many threads its processes have."""
        return sum(len(os.listdir(f"/proc/{pid}/task")) for pid in self.processes())


async def _serve_async(stub: ServerStub, options: typing.Any) -> None:
    server = rpc.AsyncServer("127.0.0.1", 0, stub, **options)
    print(server.bind().port, flush=True)
    await server.serve()


def main(kind: str, limits: str, options: str) -> None:
    import logging

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    chosen: typing.Any = {"limits": rpc.Limits(**json.loads(limits)), "backlog": 4096} | json.loads(options)
    stub = ServerStub(Tasks() if kind == "AsyncServer of tasks" else Handlers())
    if kind.startswith("AsyncServer"):
        asyncio.run(_serve_async(stub, chosen))
        return
    server: rpc.ThreadServer | rpc.ProcessServer
    if kind == "ThreadServer":
        server = rpc.ThreadServer("127.0.0.1", 0, stub, **chosen)
    else:
        workers = "asyncio" if kind == WORKERS else "threads"
        server = rpc.ProcessServer("127.0.0.1", 0, stub, **{"processes": 2, "workers": workers} | chosen)
    print(server.bind().port, flush=True)
    server.serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
