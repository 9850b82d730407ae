"""What handlers learn of their calls: peer, deadline, cancellation; and deadlines at the caller."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
import typing

import pytest

from rpcgen import runtime as rpc
from rpcgen.runtime.options import current_deadline
from tests.support import raw
from tests.support.aio import AsyncClientStub, Handlers, runs, served, until


@pytest.mark.parametrize("kind", ["task", "thread", "inline"])
@runs
async def test_a_handler_sees_its_call(kind: str) -> None:
    seen: list[tuple[rpc.Context, float | None]] = []

    def look() -> int:
        seen.append((rpc.context(), current_deadline.get()))
        return 1

    async def look_later() -> int:
        await asyncio.sleep(0)
        return look()

    handlers = Handlers(task=look_later, thread=look, inline=look)
    async with served(handlers, inline=kind == "inline") as (stub, _):
        with rpc.deadline(20):
            end = time.monotonic() + 20
            await stub.run(kind)
        await stub.run(kind)
    (timed, deadline), (untimed, none) = seen
    assert timed.deadline == deadline
    assert timed.deadline is not None
    assert abs(timed.deadline - end) < 10
    assert 0 < (timed.remaining() or 0) <= 21
    assert untimed.deadline is None is none
    assert untimed.remaining() is None
    assert timed.peer.startswith("127.0.0.1:")
    assert timed.metadata == {}
    assert not timed.cancelled
    with pytest.raises(LookupError, match="there is no call here"):
        rpc.context()


@pytest.mark.parametrize("kind", ["task", "thread", "inline"])
@runs
async def test_a_handler_does_not_inherit_its_server_s_deadline(kind: str) -> None:
    def look() -> int:
        assert current_deadline.get() is None
        return 1

    async def look_later() -> int:
        return look()

    actions: dict[str, typing.Callable[[], object]] = {"task": look_later, "thread": look, "inline": look}
    with rpc.deadline(20):
        async with served(Handlers(**actions), inline=kind == "inline") as (stub, _):
            stub = rpc.with_options(stub)
            token = current_deadline.set(None)
            assert await stub.run(kind) == 1
            current_deadline.reset(token)


@runs
async def test_a_cancelled_task_cancels_its_handler() -> None:
    handlers = Handlers()
    async with served(handlers) as (stub, _):
        call = asyncio.ensure_future(stub.wait(3))
        await handlers.waiting.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await until(lambda: handlers.cancelled == [3])
        assert await stub.divide(1) == 1.0


@runs
async def test_many_calls_are_cancelled_before_they_have_begun() -> None:
    handlers = Handlers()
    async with served(handlers) as (stub, server):
        calls = [asyncio.ensure_future(stub.wait(number)) for number in range(100)]
        await asyncio.sleep(0)
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
        assert all(call.cancelled() for call in calls)
        await until(lambda: not handlers.running and not server._serving.runner.calls)  # type: ignore[union-attr]
        assert await stub.divide(1) == 1.0


@runs
async def test_a_thread_sees_that_it_is_cancelled() -> None:
    entered, seen = threading.Event(), threading.Event()

    def long() -> int:
        context = rpc.context()
        entered.set()
        while not context.cancelled:
            time.sleep(0.001)
        seen.set()
        return 1

    async with served(Handlers(long=long)) as (stub, _):
        call = asyncio.ensure_future(stub.run("long"))
        await asyncio.to_thread(entered.wait)
        call.cancel()
        await asyncio.to_thread(seen.wait)


@runs
async def test_a_deadline_ends_the_wait_and_the_handler() -> None:
    handlers = Handlers()
    async with (
        served(handlers) as (stub, server),
        rpc.AsyncChannel("127.0.0.1", server.port, timeout=0.02) as hasty,
    ):

        async def within_a_block() -> int:
            with rpc.deadline(0.02):
                return await stub.wait(4)

        late: list[typing.Callable[[], typing.Awaitable[int]]] = [
            lambda: rpc.with_options(stub, timeout=0.02).wait(2),
            stub.hurry,  # waits as call 1
            lambda: AsyncClientStub(hasty).wait(3),
            within_a_block,
        ]
        for call in late:
            # A machine that is slow may let the time go by before the handler is there.
            before = len(handlers.cancelled)
            while len(handlers.cancelled) == before:
                with pytest.raises(rpc.DeadlineExceeded):
                    await call()
                assert await rpc.with_options(stub, timeout=None).divide(1) == 1.0
                await until(lambda: not handlers.running)
        with pytest.raises(rpc.DeadlineExceeded, match="has not run"), rpc.deadline(0):
            await stub.wait(5)
        assert sorted(set(handlers.cancelled)) == [1, 2, 3, 4]
        assert not handlers.running


@runs
async def test_a_server_says_itself_that_the_time_is_up() -> None:
    handlers = Handlers()
    async with served(handlers) as (_, server):
        from tests.runtime.aio.frames import Peer

        async with Peer(server.port) as peer:
            peer.session.send_call("wait", bytes.fromhex("0100000005"), 20, caller="late")
            ((kind, caller, error, _metadata),) = await peer.events(1)
            assert (kind, caller) == (3, "late")
            assert isinstance(error, rpc.RemoteFault)
            assert error.code is rpc.FaultCode.DEADLINE_EXCEEDED
            await until(lambda: handlers.cancelled == [5])


@runs
async def test_the_time_left_is_carried_on_to_nested_calls() -> None:
    lefts: list[float | None] = []

    async def inner() -> int:
        lefts.append(rpc.context().remaining())
        return 1

    async with served(Handlers(inner=inner)) as (within, _):

        async def outer() -> int:
            lefts.append(rpc.context().remaining())
            return await within.run("inner")

        async with served(Handlers(outer=outer)) as (stub, _):
            assert await rpc.with_options(stub, timeout=20).run("outer") == 1
    assert lefts[0] is not None
    assert lefts[1] is not None
    assert 20 >= lefts[0] >= lefts[1] - 0.002
    assert lefts[1] > 0


@runs
async def test_a_handler_s_own_failed_call_is_internal() -> None:
    def fail() -> int:
        raise rpc.DeadlineExceeded("of another call")

    async def fail_later() -> int:
        return fail()

    async with served(Handlers(thread=fail, task=fail_later)) as (stub, _):
        for kind in ("thread", "task"):
            with pytest.raises(rpc.RemoteFault, match="INTERNAL"):
                await stub.run(kind)


@runs
async def test_who_goes_away_waits_no_more() -> None:
    handlers = Handlers()
    async with served(handlers) as (_, server):
        channel = rpc.AsyncChannel("127.0.0.1", server.port)
        call = asyncio.ensure_future(AsyncClientStub(channel).wait(9))
        await handlers.waiting.wait()
        await channel.close()
        with pytest.raises(rpc.Cancelled):
            await call
        await until(lambda: handlers.cancelled == [9])


@pytest.mark.parametrize("ends", ["its half", "all"])
@runs
async def test_a_plain_client_that_goes_away_waits_no_more(ends: str) -> None:
    """What it ends with cannot be told apart, so a handler in a thread, whose reply may be wanted still, is run."""
    entered, seen = threading.Event(), threading.Event()

    def long() -> int:
        entered.set()
        while not rpc.context().cancelled:
            time.sleep(0.001)
        seen.set()
        return 1

    handlers = Handlers(long=long)
    async with served(handlers) as (_, server):
        for call in (raw.call("wait", b"\1\0\0\0\7"), raw.call("run", b"\1\0\0\0\4long")):
            with raw.connection(server.port) as sock:
                sock.sendall(call)
                await until(lambda: handlers.waiting.is_set())
                if b"long" in call:
                    await asyncio.to_thread(entered.wait)
                if ends == "its half":
                    sock.shutdown(socket.SHUT_WR)
                    answer = await asyncio.to_thread(raw.to_the_end, sock)
                    assert b"CANCELLED" in answer or answer == b"\1\0\0\0\1"
        await until(lambda: handlers.cancelled == [7])
        await asyncio.to_thread(seen.wait)


@runs
async def test_a_plain_oneway_call_goes_on_without_its_client() -> None:
    handlers = Handlers()
    ended = asyncio.Event()

    async def log(line: str) -> None:
        await handlers.released.wait()
        ended.set()

    handlers.log = log  # type: ignore[method-assign, assignment]
    async with served(handlers) as (_, server):
        with raw.connection(server.port) as sock:
            sock.sendall(raw.call("log", b"\1\0\0\0\1x"))
            assert await asyncio.to_thread(raw.exactly, sock, 1) == b"\1"
        await asyncio.sleep(0.05)
        handlers.released.set()
        await ended.wait()


def test_a_context_is_shown() -> None:
    assert repr(rpc.Context("127.0.0.1:1")) == "<call of 127.0.0.1:1>"
    assert "s left>" in repr(rpc.Context("127.0.0.1:1", deadline=time.monotonic() + 9))
