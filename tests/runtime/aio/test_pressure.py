"""Memory that peers cannot make grow, and limits on what runs."""

from __future__ import annotations

import asyncio
import collections.abc
import contextlib
import threading
import tracemalloc
import typing

import pytest

from rpcgen import runtime as rpc
from rpcgen.runtime.aio.client.connection import ClientConnection
from tests.runtime.aio.frames import Peer
from tests.support import raw, services
from tests.support.aio import AsyncClientStub, Handlers, runs, served, until

MIB = 1024 * 1024


def echo(size: int) -> bytes:
    """The arguments' block of ``echo``."""
    return b"\1" + size.to_bytes(4, "big") + bytes(size)


@contextlib.contextmanager
def traced() -> collections.abc.Iterator[None]:
    """Counts the memory that Python code takes meanwhile."""
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()


class Big(Handlers):
    """Answers ``run`` with nothing, ``echo`` with a mebibyte."""

    @rpc.inline
    def echo(self, data: bytes) -> bytes:
        self.lines.append("echo")
        return bytes(MIB)


class Large(Handlers):
    """Answers ``echo`` with a mebibyte, in a task, when it is let.

    Args:
        release: Lets it.
    """

    def __init__(self, release: asyncio.Event) -> None:
        super().__init__()
        self._release = release

    async def echo(self, data: bytes) -> bytes:  # type: ignore[override]
        self.running += 1
        try:
            await self._release.wait()
            return bytes(MIB)
        finally:
            self.running -= 1


@runs
async def test_who_does_not_read_cannot_make_the_server_grow() -> None:
    handlers = Big()
    async with served(handlers) as (stub, server), Peer(server.port, room=4096) as peer:
        assert await stub.divide(1) == 1.0
        with traced():
            for _ in range(2000):
                peer.session.send_call("echo", echo(0))
            await peer.flush()
            await until(lambda: handlers.lines)
            for _ in range(50):
                assert await stub.divide(1) == 1.0
            _, most = tracemalloc.get_traced_memory()
        # Two gibibytes were asked for.
        assert most < 16 * MIB
        assert len(handlers.lines) < 10
        replies = await peer.events(20)
        assert [len(event[2]) for event in replies] == [MIB + 5] * 20


@runs
async def test_calls_that_must_wait_are_kept_as_the_bytes_that_they_came_in() -> None:
    """One receive may bring thousands; each takes twenty times as much once it is looked at."""
    handlers = Big()
    async with served(handlers) as (stub, server), Peer(server.port, room=4096) as peer:
        assert await stub.divide(1) == 1.0
        await peer.flush()
        for _ in range(10_000):
            peer.session.send_call("echo", echo(0))
        calls = b"".join(peer.session.data_to_send())
        with traced():
            sending = asyncio.ensure_future(asyncio.get_running_loop().sock_sendall(peer.sock, calls))
            await until(lambda: handlers.lines)
            for _ in range(50):
                assert await stub.divide(1) == 1.0
            now, _most = tracemalloc.get_traced_memory()
        assert now < 2 * MIB
        sending.cancel()


@runs
async def test_calls_that_wait_run_in_their_order_as_others_end() -> None:
    """More than one look at what has come, and a limit reached in the middle of it."""
    handlers = Handlers()
    handlers.released.set()
    async with served(handlers, connection_calls=3) as (_, server), Peer(server.port) as peer:
        for number in range(4000):
            peer.session.send_call("wait", b"\1" + number.to_bytes(4, "big"))
        replies = await peer.events(4000)
        assert {event[2] for event in replies} == {b"\1" + n.to_bytes(4, "big") for n in range(4000)}
        assert handlers.most <= 3


@runs
async def test_a_client_is_not_slow_for_what_the_server_makes_it_wait() -> None:
    """Half a call came before the server stopped receiving; the other half cannot come for as long as that."""
    handlers = Handlers()
    limits = rpc.Limits(receive_time=0.2)
    async with (
        served(handlers, connection_calls=1, limits=limits) as (_, server),
        Peer(server.port) as peer,
    ):
        loop = asyncio.get_running_loop()
        peer.session.send_call("wait", b"\1" + bytes(4))
        peer.session.send_call("wait", b"\1" + bytes(4))
        first = b"".join(peer.session.data_to_send())
        peer.session.send_call("echo", echo(3))
        second = b"".join(peer.session.data_to_send())
        await loop.sock_sendall(peer.sock, first + second[:10])
        await handlers.waiting.wait()
        await asyncio.sleep(0.6)
        handlers.released.set()
        await loop.sock_sendall(peer.sock, second[10:])
        replies = await peer.events(3)
        assert [event[0] for event in replies] == [2, 2, 2]


@runs
async def test_who_does_not_read_plain_replies_neither() -> None:
    handlers = Big()
    async with served(handlers) as (stub, server), Peer(server.port, room=4096) as peer:
        with traced():
            calls = raw.call("echo", echo(0)) * 20_000
            sending = asyncio.ensure_future(asyncio.get_running_loop().sock_sendall(peer.sock, calls))
            await until(lambda: handlers.lines)
            for _ in range(50):
                assert await stub.divide(1) == 1.0
            _, most = tracemalloc.get_traced_memory()
        assert most < 16 * MIB
        assert len(handlers.lines) < 10
        sending.cancel()


@runs
async def test_who_does_not_read_for_long_is_let_go(caplog: pytest.LogCaptureFixture) -> None:
    limits = rpc.Limits(receive_time=0.2)
    async with served(Big(), limits=limits) as (stub, server), Peer(server.port, room=4096) as peer:
        for _ in range(100):
            peer.session.send_call("echo", echo(0))
        await peer.flush()
        await until(lambda: "it took over 0.2 s to take a reply" in caplog.text)
        assert await stub.divide(1) == 1.0


@runs
async def test_further_calls_of_a_connection_wait_for_those_that_run() -> None:
    handlers = Handlers()
    async with served(handlers, connection_calls=10) as (stub, server):
        waits = [asyncio.ensure_future(stub.wait(number)) for number in range(100)]
        await until(lambda: handlers.running == 10)
        async with rpc.AsyncChannel("127.0.0.1", server.port) as other:
            assert await AsyncClientStub(other).divide(1) == 1.0
        assert handlers.most == 10
        handlers.released.set()
        assert await asyncio.gather(*waits) == list(range(100))
        assert handlers.most == 10


@runs
async def test_further_calls_of_a_server_are_refused() -> None:
    handlers = Handlers()
    async with served(handlers, max_calls=5) as (stub, server):
        waits = [asyncio.ensure_future(stub.wait(number)) for number in range(5)]
        await until(lambda: handlers.running == 5)
        with pytest.raises(rpc.Unavailable, match="the server is busy; the call was not started"):
            await stub.wait(5)

        def plain() -> None:
            with rpc.Channel("127.0.0.1", server.port) as channel:
                services.ClientStub(channel).wait(6)

        with pytest.raises(rpc.Unavailable, match="the server is busy"):
            await asyncio.to_thread(plain)
        assert await stub.echo(b"inline") == b"inline"
        handlers.released.set()
        assert await asyncio.gather(*waits) == list(range(5))


@runs
async def test_a_oneway_call_that_is_refused_is_told_of_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    handlers = Handlers()
    async with served(handlers, max_calls=1) as (stub, _):
        wait = asyncio.ensure_future(stub.wait(1))
        await handlers.waiting.wait()
        await stub.log("first")
        await stub.log("second")
        assert await stub.echo(b"inline") == b"inline"
        handlers.released.set()
        assert await wait == 1
    said = [record.getMessage() for record in caplog.records if "oneway" in record.getMessage()]
    assert len(said) == 1
    assert said[0].endswith("the server is busy; the call was not started (said once a minute)")


@runs
async def test_calls_beyond_the_threads_hold_up_no_others() -> None:
    """They wait in the connection's own queue; what needs no thread, and cancelling, goes on."""
    release, entered = threading.Event(), threading.Semaphore(0)

    def block() -> int:
        entered.release()
        release.wait()
        return 1

    handlers = Handlers(block=block)
    async with served(handlers, max_workers=2) as (stub, server):
        calls = [asyncio.ensure_future(stub.run("block")) for _ in range(20)]
        for _ in range(2):
            await asyncio.to_thread(entered.acquire)
        assert await stub.echo(b"inline") == b"inline"
        waiting = asyncio.ensure_future(stub.wait(1))
        await handlers.waiting.wait()
        waiting.cancel()
        await until(lambda: handlers.cancelled == [1])
        calls.pop().cancel()
        assert server._serving is not None
        release.set()
        assert await asyncio.gather(*calls) == [1] * 19


@runs
async def test_tasks_that_are_done_at_once_take_no_more_than_may_be_kept(
    caplog: pytest.LogCaptureFixture,
) -> None:
    release = asyncio.Event()
    big = Large(release)
    limits = rpc.Limits(unsent=4 * MIB)
    async with served(big, limits=limits) as (stub, server), Peer(server.port, room=4096) as peer:
        for _ in range(200):
            peer.session.send_call("echo", echo(0))
        await peer.flush()
        await until(lambda: big.running == 200)
        with traced():
            release.set()
            await until(lambda: "it does not take its replies, over 4194304 bytes" in caplog.text)
            assert await stub.divide(1) == 1.0
            _, most = tracemalloc.get_traced_memory()
        assert most < 16 * MIB
        await until(lambda: not big.running)


@runs
async def test_a_client_waits_for_a_server_that_does_not_read() -> None:
    release = asyncio.Event()

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.transport.abort()

    listener = await asyncio.start_server(deaf, "127.0.0.1", 0, limit=1024)
    port = listener.sockets[0].getsockname()[1]
    async with rpc.AsyncChannel("127.0.0.1", port) as channel:
        stub = AsyncClientStub(channel)
        calls: list[asyncio.Future[typing.Any]] = []
        calls += [asyncio.ensure_future(stub.echo(bytes(60_000))) for _ in range(3000)]
        await until(lambda: (found := _connection(channel)) is not None and found.is_stuck)
        with pytest.raises(rpc.DeadlineExceeded, match="did not take what was sent before"):
            await rpc.with_options(stub, timeout=0.05).divide(1)
        connection = _connection(channel)
        assert connection is not None
        # What the system takes, and a little more: not the 180 megabytes of all.
        assert connection.session.running < 1000
        assert connection.transport.get_write_buffer_size() < MIB
        release.set()
        listener.close()
        errors = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(error) for error in errors} <= {rpc.ConnectionLost, rpc.Unavailable}
    await listener.wait_closed()


def _connection(channel: rpc.AsyncChannel) -> ClientConnection | None:
    link = channel._links.get(asyncio.get_running_loop())
    return None if link is None else link.connection


@runs
async def test_long_messages_beside_each_other_use_little_memory() -> None:
    async with served() as (stub, _):
        await stub.echo(bytes(MIB))
        with traced():
            for _ in range(20):
                await stub.echo(bytes(MIB))
            now, _most = tracemalloc.get_traced_memory()
        assert now < 3 * MIB
