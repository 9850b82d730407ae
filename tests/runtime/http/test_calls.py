"""What goes with calls: time, metadata, tokens, interceptors; and what becomes of their handlers."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import threading
import time
import typing

import pytest

from rpcgen import runtime as rpc
from tests.support import services
from tests.support.aio import Handlers, runs, until
from tests.support.http import BINARY, JSON, Client, served


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Telling(Handlers):
    """Its ``run`` tells what its handler knows of the call."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[rpc.Context] = []

    def run(self, what: str) -> int:
        call = rpc.context()
        self.seen.append(call)
        for name in filter(None, what.split(",")):
            call.reply_metadata[name] = name.encode()
        return 1


@runs
async def test_handlers_know_their_calls() -> None:
    handlers = Telling()
    async with served(services.ServerStub(handlers)) as client:
        sent = {"rpc-timeout": "20.5", "rpc-meta-a": encoded(b"\0\xff"), "rpc-meta-%c3%9c%41": ""}
        await client.call("run", sent, what="")
        (call,) = handlers.seen
        assert call.peer == "127.0.0.1:1234"
        assert call.metadata == {"a": b"\0\xff", "ÜA": b""}
        assert 0 < (call.remaining() or 0) <= 20.5
        await client.ask("POST", "/run", b'{"what":""}', headers=JSON, client=None)
        await client.ask("POST", "/run", b'{"what":""}', headers=JSON, client=("::1", 7))
        assert [call.peer for call in handlers.seen[1:]] == ["", "[::1]:7"]
        assert handlers.seen[1].metadata == {}
        assert handlers.seen[1].deadline is None


@runs
async def test_metadata_comes_back_with_the_reply() -> None:
    async with served(services.ServerStub(Telling()), limits=rpc.Limits(metadata=100)) as client:
        for answer in (
            await client.call("run", what="trace,Ü x"),
            await client.ask("POST", "/", services.RunProtocol().args_encode("trace,Ü x"), headers=BINARY),
        ):
            assert answer.headers["rpc-meta-trace"] == encoded(b"trace")
            assert answer.headers["rpc-meta-%c3%9c%20x"] == encoded("Ü x".encode())
        answer = await client.call("run", what="x" * 60)
        assert (answer.status, answer.detail[:20]) == (500, "run failed: see erro")
        answer = await client.call("run", {"rpc-meta-a": encoded(b"x" * 100)}, what="")
        assert (answer.status, answer.detail) == (431, "metadata of 101 bytes; the limit is 100")
        answer = await client.call("run", {"rpc-meta-a": "YQ"}, what="")
        assert (answer.status, answer.detail) == (400, "rpc-meta-a is not base64, with its padding")


@pytest.mark.parametrize("said", ["-1", "nan", "1e3", "", "1s", "0x1", "1" * 10])
@runs
async def test_times_that_are_none(said: str) -> None:
    async with served(services.ServerStub(Handlers())) as client:
        answer = await client.call("divide", {"rpc-timeout": said}, num1=1)
        assert answer.status == 400
        assert answer.detail.startswith("Rpc-Timeout is a number of seconds, like 0.5")


@runs
async def test_calls_end_with_their_time() -> None:
    handlers = Handlers()
    async with served(services.ServerStub(handlers)) as client:
        answer = await client.call("wait", {"rpc-timeout": "0.05"}, number=7)
        assert (answer.status, answer.detail) == (504, "the call's time was up before its handler was done")
        await until(lambda: handlers.cancelled == [7])
        answer = await client.call("wait", {"rpc-timeout": "0"}, number=8)
        assert (answer.status, answer.detail) == (504, "the time was up before the call was started")
        assert handlers.cancelled == [7]


@runs
async def test_handlers_hear_that_the_client_leaves() -> None:
    handlers = Handlers(look=lambda: _until_cancelled(contexts))
    contexts: list[rpc.Context] = []
    async with served(services.ServerStub(handlers)) as client:
        waits = asyncio.ensure_future(client.call("wait", number=7))
        runs = asyncio.ensure_future(client.call("run", what="look"))
        await handlers.waiting.wait()
        await until(lambda: contexts)
        client.leave.set()
        assert [(await waiting).status for waiting in (waits, runs)] == [499, 499]
        await until(lambda: handlers.cancelled == [7] and contexts[0].cancelled)


def _until_cancelled(contexts: list[rpc.Context]) -> int:
    contexts.append(rpc.context())
    end = time.monotonic() + 30
    while not contexts[0].cancelled and time.monotonic() < end:
        time.sleep(0.01)
    return 1


@runs
async def test_handlers_hear_that_the_server_gives_a_request_up() -> None:
    handlers = Handlers()
    async with served(services.ServerStub(handlers)) as client:
        waits = asyncio.ensure_future(client.call("wait", number=7))
        await handlers.waiting.wait()
        waits.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waits
        await until(lambda: handlers.cancelled == [7])


@runs
async def test_closing_cancels_what_runs() -> None:
    handlers = Handlers()
    async with served(services.ServerStub(handlers)) as client:
        waits = asyncio.ensure_future(client.call("wait", number=7))
        await handlers.waiting.wait()
        await client.app.close()
        answer = await waits
        assert (answer.status, answer.detail) == (499, "the call was cancelled")
        assert (await client.call("divide", num1=1)).status == 200


@runs
async def test_plain_functions_run_in_threads_or_inline() -> None:
    def noting() -> int:
        threads.append(threading.current_thread().name)
        return 1

    threads: list[str] = []
    handlers = Handlers(thread=noting)
    async with served(services.ServerStub(handlers)) as client:
        await client.call("run", what="thread")
        assert (await client.call("echo", data="")).json == {"result": ""}
    async with served(services.ServerStub(handlers), inline=True) as client:
        await client.call("run", what="thread")
    assert threads == ["rpcgen-http-1", "MainThread"]


@runs
async def test_a_function_may_give_an_awaitable() -> None:
    async def later() -> int:
        await asyncio.sleep(0)
        return 5

    for inline in (False, True):
        async with served(services.ServerStub(Handlers(later=later)), inline=inline) as client:
            assert (await client.call("run", what="later")).json == {"result": 5}


@runs
async def test_too_many_calls_are_refused() -> None:
    handlers = Handlers()
    async with served(services.ServerStub(handlers), max_calls=1) as client:
        waits = asyncio.ensure_future(client.call("wait", number=7))
        await handlers.waiting.wait()
        answer = await client.call("divide", num1=1)
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert answer.detail == "the server is busy; the call was not started"
        answer = await client.post("/", {"name": "divide", "params": {"num1": 1}})
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        handlers.released.set()
        assert (await waits).json == {"result": 7}


@runs
async def test_one_application_in_one_loop_after_the_other() -> None:
    app = rpc.http.asgi(services.ServerStub(Handlers()))
    assert (await Client(app).call("divide", num1=1)).status == 200
    await app.close()

    def elsewhere() -> int:
        async def once() -> int:
            try:
                return (await Client(app).call("divide", num1=1)).status
            finally:
                await app.close()

        return asyncio.run(once())

    assert await asyncio.to_thread(elsewhere) == 200


TOKENS = rpc.Tokens({"good": "ann", "other": "bob"})


@runs
async def test_access_tokens() -> None:
    handlers = Telling()
    async with served(services.ServerStub(handlers), authenticate=TOKENS) as client:
        for headers, words in (
            ({}, "an access token is required"),
            ({"authorization": "Bearer bad"}, "the access token is not known"),
            ({"authorization": "Basic good"}, "an access token is required"),
        ):
            for path, body in (("/run", b'{"what":""}'), ("/nothing", b"{}"), ("/", b'{"name":"old"}')):
                answer = await client.ask("POST", path, body, headers={**JSON, **headers})
                assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
                assert answer.detail == words
            assert (await client.ask("GET", "/run", headers=headers)).status == 401
        assert not handlers.seen
        assert (await client.call("run", {"authorization": "bearer good"}, what="")).status == 200
        assert handlers.seen[0].identity == "ann"
        assert (await client.ask("GET", "/healthz")).status == 200


@runs
async def test_interceptors_of_tokens_take_them_from_the_header() -> None:
    allow: typing.Any = lambda who, method: who == "ann"  # noqa: E731
    handlers = Telling()
    interceptors = [rpc.require_token(TOKENS, allow)]
    async with served(services.ServerStub(handlers), interceptors=interceptors) as client:
        answer = await client.call("run", {"authorization": "Bearer good"}, what="")
        assert (answer.status, handlers.seen[0].identity) == (200, "ann")
        answer = await client.call("run", {"authorization": "Bearer other"}, what="")
        assert (answer.status, answer.detail) == (403, "bob may not call run")
        answer = await client.call("run", what="")
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert (await client.call("rpc.health")).status == 200


@runs
async def test_interceptors_see_calls_of_both_ways() -> None:
    seen: list[str] = []

    @contextlib.asynccontextmanager
    async def noting(call: rpc.Call) -> typing.AsyncIterator[None]:
        await asyncio.sleep(0)
        seen.append(f"{call.method}{call.args} of {call.peer}")
        yield
        call.result += 1
        call.reply_metadata["noted"] = b"1"

    async with served(services.ServerStub(Handlers()), interceptors=[noting]) as client:
        answer = await client.call("divide", num1=4)
        assert (answer.json, answer.headers["rpc-meta-noted"]) == ({"result": 5.0}, "MQ==")
        message = services.DivideProtocol().args_encode(4, 2)
        answer = await client.ask("POST", "/", message, headers=BINARY)
        assert answer.body == bytes.fromhex("01 40400000")
    assert seen == ["divide(4, 1) of 127.0.0.1:1234", "divide(4, 2) of 127.0.0.1:1234"]
