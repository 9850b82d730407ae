"""Channels to many servers of either kind, for tests that block: an asyncio one lives in a loop of another thread."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import typing

import pytest

from rpcgen import runtime as rpc
from tests.support.waiting import PATIENCE

Many: typing.TypeAlias = typing.Callable[..., typing.Any]
"""Makes a channel to many servers, with the arguments of ``rpc.DistributedChannel``."""


class LoopThread:
    """An event loop in a thread, while ``with`` lasts."""

    def __enter__(self) -> typing.Self:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.run(self.loop.shutdown_default_executor())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE)
        self.loop.close()

    def run(self, coroutine: typing.Coroutine[typing.Any, typing.Any, typing.Any]) -> typing.Any:
        """Gives what the coroutine gives, run in the loop with the caller's context."""
        context, done = contextvars.copy_context(), threading.Event()
        outcome: list[typing.Any] = []

        async def run() -> None:
            try:
                outcome.append((await coroutine, None))
            except BaseException as error:
                outcome.append((None, error))
            finally:
                done.set()

        tasks: list[asyncio.Task[None]] = []
        begun = run()
        self.loop.call_soon_threadsafe(lambda: tasks.append(self.loop.create_task(begun, context=context)))
        assert done.wait(2 * PATIENCE)
        result, error = outcome.pop()
        if error is not None:
            raise error
        return result


class Blocking:
    """An asyncio channel as code that blocks sees it.

    Args:
        thread: Whose loop it is used in.
        channel: What it has of its own is to be seen here, too.
    """

    def __init__(self, thread: LoopThread, channel: rpc.AsyncDistributedChannel) -> None:
        self._thread = thread
        self._channel = channel

    def call(self, *args: typing.Any) -> typing.Any:
        return self._thread.run(self._channel.call(*args))

    def close(self) -> None:
        self._thread.run(self._channel.close())

    def __enter__(self) -> typing.Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __getattr__(self, name: str) -> typing.Any:
        return getattr(self._channel, name)


@pytest.fixture(params=["framed", "plain", "asyncio"])
def many(request: pytest.FixtureRequest) -> typing.Iterator[Many]:
    """Makes channels of a kind: blocking ones that speak framed or plain messages, asyncio ones."""
    if request.param != "asyncio":
        yield lambda *args, **options: rpc.DistributedChannel(*args, protocol=request.param, **options)
        return
    with LoopThread() as thread:
        yield lambda *args, **options: Blocking(
            thread, rpc.AsyncDistributedChannel(*args, protocol="framed", **options)
        )


def open_connections(channel: typing.Any) -> int:
    """How many connections a channel to one server has open."""
    if isinstance(channel, rpc.AsyncChannel):
        return sum(len(link._connections) for link in channel._links.values())
    return len(channel._open)
