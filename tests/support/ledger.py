"""A service that writes down what it ran, and its servers as processes.

Each server appends the ids of the calls that it ran to a file of its own, before it answers:
what it ran is known even after SIGKILL.

``python -m tests.support.ledger REGISTRY FOLDER NAME PORT ADVERTISED KIND`` is one server.
"""

from __future__ import annotations

import asyncio
import collections
import os
import pathlib
import signal
import sys

from rpcgen import runtime as rpc
from tests.support.processes import Process


class AppendProtocol(rpc.MessageProtocol[str]):
    """string append(1: long call): runs at most once"""

    name = "append"
    params = (rpc.Param(1, "call", rpc.LONG),)
    returns = rpc.STRING


class ReadProtocol(rpc.MessageProtocol[str]):
    """@idempotent string read(1: long call): may run again"""

    name = "read"
    params = (rpc.Param(1, "call", rpc.LONG),)
    returns = rpc.STRING
    idempotent = True


class ClientStub(rpc.ClientStub):
    """Both give the name of the server that ran them."""

    def append(self, call: int) -> str:
        return self._call(AppendProtocol, call)

    def read(self, call: int) -> str:
        return self._call(ReadProtocol, call)


class ServerStub(rpc.ServerStub):
    protocols = (AppendProtocol, ReadProtocol)


class Handlers:
    """Writes each call's id to a file.

    Args:
        path: The file; it is made.
        name: What calls are answered with.
    """

    def __init__(self, path: str, name: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._name = name

    def append(self, call: int) -> str:
        os.write(self._file, b"%d\n" % call)
        return self._name

    read = append


class LedgerServer(Process):
    """A server of its own process. Told to terminate, it drains.

    Args:
        registry: The URL of the registry.
        folder: Where servers write what they ran.
        name: Its own.
        port: 0 takes a free one; the same after a restart.
        advertise: ``host:port`` that clients are told; None: its own address.
        kind: ``threads`` or ``asyncio``: which of the servers it is.
    """

    def __init__(
        self,
        registry: str,
        folder: pathlib.Path,
        name: str,
        port: int = 0,
        advertise: str | None = None,
        kind: str = "threads",
    ) -> None:
        super().__init__()
        self._kind = kind
        self.name = name
        self.port = port
        self.advertise = advertise
        self._registry = registry
        self._folder = folder

    def start(self) -> None:
        """Starts it; returns once it is registered."""
        arguments = (self._registry, str(self._folder), self.name, str(self.port), self.advertise or "-")
        self._spawn("tests.support.ledger", *arguments, self._kind)
        self.port = int(self._line().split()[1])


def runs(folder: pathlib.Path) -> collections.Counter[int]:
    """How often each call ran, on all servers together."""
    return collections.Counter(
        int(text) for path in folder.glob("*.ran") for text in path.read_text().split()
    )


def main(registry: str, folder: str, name: str, port: str, advertise: str, kind: str) -> None:
    stub = ServerStub(Handlers(f"{folder}/{name}-{os.getpid()}.ran", name))
    told = None if advertise == "-" else advertise
    if kind == "asyncio":
        asyncio.run(serve(rpc.AsyncServer("127.0.0.1", int(port), stub, registry=registry, advertise=told)))
        return
    server = rpc.ThreadServer("127.0.0.1", int(port), stub, registry=registry, advertise=told)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    with server:
        print("port", server.port, flush=True)
        signal.sigwait({signal.SIGTERM})


async def serve(server: rpc.AsyncServer) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with server:
        print("port", server.port, flush=True)
        await ended.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
