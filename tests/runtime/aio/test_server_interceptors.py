"""What stands around the handlers of an AsyncServer, and what goes back beside their results."""

from __future__ import annotations

import asyncio
import collections.abc
import contextlib
import contextvars
import threading
import typing

import pytest

from rpcgen import runtime as rpc
from tests.support import raw, services
from tests.support.aio import AsyncClientStub, Handlers, runs, served, until

KINDS = ("thread", "inline", "task")

traced: contextvars.ContextVar[str] = contextvars.ContextVar("traced", default="nobody's")


class Kinds(services.Handlers):
    """``divide`` in a thread, ``echo`` inline, ``wait`` a coroutine, each calling ``body`` with its context."""

    def __init__(self, body: collections.abc.Callable[[rpc.Context], object]) -> None:
        super().__init__()
        self._body = body

    def divide(self, num1: int, num2: int) -> float:
        self._body(rpc.context())
        return 1.0

    @rpc.inline
    def echo(self, data: bytes) -> bytes:
        self._body(rpc.context())
        return data

    async def wait(self, number: int) -> int:  # type: ignore[override]
        await asyncio.sleep(0)
        self._body(rpc.context())
        return number


async def call(stub: AsyncClientStub, kind: str) -> object:
    if kind == "thread":
        return await stub.divide(1)
    return await (stub.echo(b"data") if kind == "inline" else stub.wait(7))


RESULTS = {"thread": 1.0, "inline": b"data", "task": 7}


class Around:
    """An interceptor that keeps what it saw, asynchronous or not."""

    def __init__(self, *, waits: bool) -> None:
        self.seen: list[object] = []
        self._waits = waits

    def __call__(self, call: rpc.Call) -> typing.Any:
        return self._waiting(call) if self._waits else self._plain(call)

    @contextlib.contextmanager
    def _plain(self, call: rpc.Call) -> collections.abc.Iterator[None]:
        self.seen.append(("before", call.method, threading.current_thread().name))
        token = traced.set("ours")
        try:
            yield
            self.seen.append(("after", call.result))
        finally:
            traced.reset(token)

    @contextlib.asynccontextmanager
    async def _waiting(self, call: rpc.Call) -> collections.abc.AsyncIterator[None]:
        await asyncio.sleep(0)
        with self._plain(call):
            yield
            await asyncio.sleep(0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("waits", [False, True])
@runs
async def test_interceptors_run_in_the_loop_around_handlers_of_every_kind(kind: str, waits: bool) -> None:
    around, threads, traces = Around(waits=waits), list[str](), list[str]()

    def body(context: rpc.Context) -> None:
        threads.append(threading.current_thread().name)
        traces.append(traced.get())

    async with served(Kinds(body), interceptors=[around]) as (stub, _):
        assert await call(stub, kind) == RESULTS[kind]
    (before, after) = around.seen
    assert before == (
        "before",
        {"thread": "divide", "inline": "echo", "task": "wait"}[kind],
        "MainThread",
    )
    assert after == ("after", RESULTS[kind])
    assert threads == ["rpcgen-1" if kind == "thread" else "MainThread"]
    assert traces == ["ours"], "what an interceptor sets, its handler sees"


@runs
async def test_interceptors_see_the_call_and_may_change_it() -> None:
    seen: list[rpc.Call] = []

    @contextlib.contextmanager
    def doubling(call: rpc.Call) -> collections.abc.Iterator[None]:
        seen.append(call)
        (number,) = call.args
        assert isinstance(number, int)
        call.args = (2 * number,)
        yield
        call.result += 1
        call.reply_metadata["spent"] = b"3"

    async with served(Kinds(lambda context: None), interceptors=[doubling]) as (stub, _):
        fitted = rpc.with_options(stub, metadata={"token": "t"}, timeout=20)
        with rpc.reply_metadata() as received:
            assert await fitted.wait(5) == 11
    assert received == {"spent": b"3"}
    (found,) = seen
    assert (found.method, found.metadata, found.peer[:10]) == ("wait", {"token": b"t"}, "127.0.0.1:")
    assert found.deadline is not None
    assert found.context is not None


@pytest.mark.parametrize("kind", KINDS)
@runs
async def test_a_refused_call_reaches_no_handler(kind: str) -> None:
    reached: list[rpc.Context] = []

    @contextlib.asynccontextmanager
    async def asking(call: rpc.Call) -> collections.abc.AsyncIterator[None]:
        await asyncio.sleep(0)
        if call.metadata.get("token") != b"right":
            raise rpc.Refused(rpc.FaultCode.UNAUTHENTICATED, "show a token")
        yield

    async with served(Kinds(reached.append), interceptors=[asking]) as (stub, server):
        with pytest.raises(rpc.RemoteFault, match="UNAUTHENTICATED: show a token"):
            await call(rpc.with_options(stub, metadata={"token": "wrong"}), kind)
        assert reached == []
        assert await call(rpc.with_options(stub, metadata={"token": "right"}), kind) == RESULTS[kind]

        def plain() -> str:
            with raw.connection(server.port) as sock:
                sock.sendall(raw.CALL)
                return raw.fault(sock)

        assert await asyncio.to_thread(plain) == "UNAUTHENTICATED: show a token"
    assert len(reached) == 1


@pytest.mark.parametrize("kind", KINDS)
@runs
async def test_a_handler_refuses_for_lack_of_permission_alone(kind: str) -> None:
    codes = [rpc.FaultCode.PERMISSION_DENIED, rpc.FaultCode.UNAVAILABLE]

    def refuse(context: rpc.Context) -> None:
        raise rpc.Refused(codes[0], "not yours")

    for around in ([], [Around(waits=True)]):
        async with served(Kinds(refuse), interceptors=around) as (stub, _):
            with pytest.raises(rpc.RemoteFault, match="PERMISSION_DENIED: not yours"):
                await call(stub, kind)
            codes.reverse()
            with pytest.raises(rpc.RemoteFault, match="INTERNAL"):
                await call(stub, kind)
            codes.reverse()


@runs
async def test_health_is_asked_past_interceptors() -> None:
    class Health(rpc.MessageProtocol[bool]):
        name = "rpc.health"
        params = (rpc.Param(1, "service", rpc.OptionalOf(rpc.STRING)),)
        returns = rpc.BOOL

    around = Around(waits=True)
    async with (
        served(Kinds(lambda context: None), interceptors=[around]) as (_, server),
        rpc.AsyncChannel("127.0.0.1", server.port) as channel,
    ):
        assert await channel.call(Health, (None,)) is True
    assert around.seen == []


@runs
async def test_a_call_that_is_cancelled_leaves_its_interceptors_and_its_thread_counts_on() -> None:
    """The thread goes on, as a thread does; until it ends, it is one of the server's calls."""
    entered, go_on, left = threading.Event(), threading.Event(), asyncio.Event()

    def stay(context: rpc.Context) -> None:
        entered.set()
        assert go_on.wait(30)

    @contextlib.asynccontextmanager
    async def leaving(call: rpc.Call) -> collections.abc.AsyncIterator[None]:
        try:
            yield
        finally:
            left.set()

    async with served(Kinds(stay), interceptors=[leaving], max_calls=1) as (stub, server):
        with pytest.raises(rpc.DeadlineExceeded):
            await rpc.with_options(stub, timeout=0.2).divide(1)
        await left.wait()
        assert entered.is_set()
        with pytest.raises(rpc.Unavailable, match="the server is busy"):
            await stub.divide(2)
        go_on.set()
        assert server._serving is not None
        runner = server._serving.runner
        await until(lambda: runner.is_idle)
        assert await stub.divide(2) == 1.0


@pytest.mark.parametrize("kind", KINDS)
@runs
async def test_replies_and_faults_carry_metadata(kind: str) -> None:
    fails = False

    def answer(context: rpc.Context) -> None:
        context.reply_metadata["by"] = kind.encode()
        if fails:
            raise rpc.Refused(rpc.FaultCode.PERMISSION_DENIED)

    async with served(Kinds(answer)) as (stub, _):
        for timed in (stub, rpc.with_options(stub, timeout=20)):
            with rpc.reply_metadata() as received:
                assert await call(timed, kind) == RESULTS[kind]
            assert received == {"by": kind.encode()}
        fails = True
        with rpc.reply_metadata() as received, pytest.raises(rpc.RemoteFault):
            await call(stub, kind)
        assert received == {"by": kind.encode()}


@runs
async def test_metadata_of_one_reply_does_not_come_with_the_next() -> None:
    once = [b"once"]

    def answer(context: rpc.Context) -> None:
        if once:
            context.reply_metadata["how"] = once.pop()

    async with served(Kinds(answer)) as (stub, _):
        with rpc.reply_metadata() as received:
            await stub.echo(b"")
        assert received == {"how": b"once"}
        with rpc.reply_metadata() as received:
            await stub.echo(b"")
        assert received == {}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("metadata", [{"big": bytes(20_000)}, {"number": 7}], ids=["too much", "no bytes"])
@runs
async def test_metadata_that_cannot_be_sent_is_the_server_s_fault(
    kind: str, metadata: dict[str, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    async with served(Kinds(lambda context: context.reply_metadata.update(metadata))) as (stub, _):
        with pytest.raises(rpc.RemoteFault, match=r"INTERNAL: .* failed: see error id"):
            await call(stub, kind)
        assert "EncodeError" in caplog.text
        with pytest.raises(rpc.RemoteFault, match="INTERNAL"):
            await call(stub, kind)


@runs
async def test_plain_replies_lose_their_metadata(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "rpcgen")
    async with (
        served(Kinds(lambda context: context.reply_metadata.update(a=b"b"))) as (_, server),
        rpc.AsyncChannel("127.0.0.1", server.port, protocol="plain") as channel,
    ):
        for kind in KINDS:
            assert await call(AsyncClientStub(channel), kind) == RESULTS[kind]
    assert caplog.text.count("dropped a reply's metadata") == 3


@pytest.mark.parametrize("kind", ["inline", "thread"])
@runs
async def test_a_function_that_gives_an_awaitable_keeps_its_context(kind: str) -> None:
    """Also where another call is answered on the same connection meanwhile."""
    contexts: list[rpc.Context] = []
    go_on = asyncio.Event()

    def early() -> typing.Any:
        context = rpc.context()
        context.reply_metadata["early"] = b"1"

        async def late() -> int:
            await go_on.wait()
            contexts.append(rpc.context())
            context.reply_metadata["late"] = b"2"
            return 1

        return late()

    async with served(Handlers(early=early, other=lambda: 2), inline=kind == "inline") as (stub, _):
        with rpc.reply_metadata() as received:
            waiting = asyncio.ensure_future(stub.run("early"))
            with rpc.reply_metadata() as others:
                for _ in range(3):
                    assert await stub.run("other") == 2
            go_on.set()
            assert await waiting == 1
    assert received == {"early": b"1", "late": b"2"}
    assert others == {}
