"""The service of ``services`` in asyncio: its stub, handlers that are coroutines, a server and a channel to it."""

from __future__ import annotations

import asyncio
import collections.abc
import contextlib
import typing

from rpcgen import runtime as rpc
from tests.support import loops, services
from tests.support.waiting import PATIENCE


class AsyncClientStub(rpc.AsyncClientStub):
    """Calls the service."""

    async def divide(self, num1: int, num2: int = 1) -> float:
        return await self._call(services.DivideProtocol, num1, num2)

    async def echo(self, data: bytes) -> bytes:
        return await self._call(services.EchoProtocol, data)

    async def wait(self, number: int) -> int:
        return await self._call(services.WaitProtocol, number)

    async def log(self, line: str) -> None:
        return await self._call(services.LogProtocol, line)

    async def run(self, what: str) -> int:
        return await self._call(services.RunProtocol, what)

    async def old(self) -> None:
        return await self._call(services.OldProtocol)

    async def hurry(self) -> int:
        return await self._call(services.HurryProtocol)


class Handlers(services.Handlers):
    """Of each kind: ``divide`` and ``run`` in threads, ``echo`` inline, ``wait`` a coroutine.

    Args:
        actions: What ``run`` does, by name; may give awaitables.
    """

    def __init__(self, **actions: typing.Callable[[], object]) -> None:
        super().__init__(**actions)
        self.running = 0
        """Calls of ``wait``."""
        self.most = 0
        self.cancelled: list[int] = []
        self.waiting = asyncio.Event()
        """Set by each call that waits."""
        self.released = asyncio.Event()

    @rpc.inline
    def echo(self, data: bytes) -> bytes:
        return data

    async def wait(self, number: int) -> int:  # type: ignore[override]
        self.running += 1
        self.most = max(self.most, self.running)
        self.waiting.set()
        try:
            await self.released.wait()
        except asyncio.CancelledError:
            self.cancelled.append(number)
            raise
        finally:
            self.running -= 1
        return number

    async def hurry(self) -> int:  # type: ignore[override]
        return await self.wait(1)


@contextlib.asynccontextmanager
async def served(
    handlers: object = None, **options: typing.Unpack[rpc.AsyncServerOptions]
) -> collections.abc.AsyncIterator[tuple[AsyncClientStub, rpc.AsyncServer]]:
    """Serves on 127.0.0.1; gives a stub on a channel to the server, and the server."""
    stub = services.ServerStub(Handlers() if handlers is None else handlers)
    async with (
        rpc.AsyncServer("127.0.0.1", 0, stub, **options) as server,
        rpc.AsyncChannel("127.0.0.1", server.port) as channel,
    ):
        yield AsyncClientStub(channel), server


def runs(test: typing.Callable[..., collections.abc.Coroutine[object, object, None]]) -> typing.Any:
    """Makes a test of a coroutine function: in an event loop of its own, within a time that only failures need."""

    def run(**fixtures: object) -> None:
        async def within() -> None:
            async with asyncio.timeout(PATIENCE):
                await test(**fixtures)

        loops.run(within())

    import functools
    import inspect

    wrapped = functools.wraps(test)(run)
    wrapped.__signature__ = inspect.signature(test)  # type: ignore[attr-defined]
    return wrapped


async def until(condition: typing.Callable[[], object]) -> None:
    """Waits until the condition holds, for what no event tells."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.005)
