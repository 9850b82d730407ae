"""An AsyncChannel and an AsyncServer that talk to each other."""

from __future__ import annotations

import asyncio
import os
import pathlib
import pickle
import threading
import typing

import pytest

from rpcgen import runtime as rpc
from tests.support import loops, services
from tests.support.aio import AsyncClientStub, Handlers, runs, served, until
from tests.support.peers import unused_port


@runs
async def test_handlers_of_every_kind() -> None:
    handlers = Handlers()
    handlers.released.set()
    async with served(handlers) as (stub, _):
        assert await stub.divide(200, 100) == 2.0
        assert await stub.divide(3) == 3.0
        assert await stub.echo(b"data") == b"data"
        assert await stub.wait(7) == 7
        assert await stub.hurry() == 1
    assert handlers.threads
    assert all(name.startswith("rpcgen-") for name in handlers.threads)


@runs
async def test_inline_runs_every_plain_function_in_the_loop() -> None:
    handlers = Handlers()
    async with served(handlers, inline=True) as (stub, _):
        assert await stub.divide(200, 100) == 2.0
        with pytest.raises(services.InvalidOperation):
            await stub.divide(1, 0)
    assert handlers.threads == {"MainThread"}


@pytest.mark.parametrize("inline", [False, True])
@runs
async def test_a_plain_function_may_give_an_awaitable(inline: bool) -> None:
    async def later() -> int:
        await asyncio.sleep(0)
        return 5

    async def refuse() -> int:
        raise services.InvalidOperation("later")

    async with served(Handlers(later=later, refuse=refuse), inline=inline) as (stub, _):
        assert await stub.run("later") == 5
        with pytest.raises(services.InvalidOperation, match="later"):
            await stub.run("refuse")


@runs
async def test_declared_exceptions_say_where_they_come_from() -> None:
    async with served() as (stub, server):
        with pytest.raises(services.InvalidOperation, match="division by zero") as caught:
            await stub.divide(1, 0)
        assert caught.value.__notes__ == [f"raised by divide at tcp://127.0.0.1:{server.port}"]


@pytest.mark.parametrize("kind", ["task", "thread"])
@runs
async def test_what_is_not_declared_is_told_by_an_id_alone(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> typing.Any:
        raise KeyError("secret")

    async def fail_later() -> None:
        fail()

    actions: dict[str, typing.Callable[[], object]] = {"thread": fail, "task": fail_later}
    async with served(Handlers(**actions)) as (stub, server):
        with pytest.raises(rpc.RemoteFault, match="INTERNAL: run failed: see error id") as caught:
            await stub.run(kind)
        assert caught.value.method == "run"
        assert caught.value.peer == f"tcp://127.0.0.1:{server.port}"
        assert "secret" not in str(caught.value)
        assert "secret" in caplog.text


@runs
async def test_an_unknown_method_and_a_bad_call_are_told() -> None:
    class Wrong(rpc.MessageProtocol[float]):
        name = "divde"

    class More(rpc.MessageProtocol[float]):
        name = "divide"
        params = (rpc.Param(9, "more", rpc.INT),)

    async with served() as (stub, server):
        channel = rpc.AsyncChannel("127.0.0.1", server.port)
        with pytest.raises(rpc.RemoteFault, match=r"UNKNOWN_METHOD: .*did you mean 'divide'"):
            await channel.call(Wrong, ())
        with pytest.raises(rpc.RemoteFault, match="BAD_REQUEST"):
            await channel.call(More, (1,))
        await channel.close()
        assert await stub.divide(1) == 1.0


@runs
async def test_a_thousand_calls_at_once_share_a_connection() -> None:
    handlers = Handlers()
    async with served(handlers) as (stub, server):
        waits = [asyncio.ensure_future(stub.wait(number)) for number in range(1000)]
        await until(lambda: handlers.running == 1000)
        # Those that wait hold up nobody: but for the limit of calls, which these have used up.
        handlers.released.set()
        assert await asyncio.gather(*waits) == list(range(1000))
        results = await asyncio.gather(*[stub.divide(number, 2) for number in range(1000)])
        assert results == [number / 2 for number in range(1000)]
        assert len(server._serving._connections) == 1  # type: ignore[union-attr]


@runs
async def test_a_slow_call_does_not_hold_up_a_quick_one() -> None:
    handlers = Handlers()
    async with served(handlers) as (stub, _):
        slow = asyncio.ensure_future(stub.wait(1))
        await handlers.waiting.wait()
        assert await stub.divide(4, 2) == 2.0
        handlers.released.set()
        assert await slow == 1


@runs
async def test_a_long_message_goes_there_and_back_beside_short_ones() -> None:
    data = os.urandom(3_000_000)
    async with served() as (stub, _):
        found = tuple(await asyncio.gather(stub.echo(data), stub.echo(b"x"), stub.echo(data)))
        assert found == (data, b"x", data)


@runs
async def test_what_is_too_long_is_the_caller_s_error_or_refused() -> None:
    limits = rpc.Limits(message=100_000)
    async with served(limits=limits) as (stub, server):
        with pytest.raises(rpc.EncodeError, match=r"the (server|peer) accepts"):
            await stub.echo(bytes(200_000))
        with pytest.raises(rpc.EncodeError, match="num1"):
            await stub.divide(2**40)
        small = rpc.AsyncChannel("127.0.0.1", server.port, limits=rpc.Limits(message=1000))
        with pytest.raises(rpc.CallError, match=r"a reply of|the client accepts"):
            await AsyncClientStub(small).echo(bytes(90_000))
        await small.close()
        assert await stub.divide(1) == 1.0


@runs
async def test_a_oneway_call_returns_when_it_has_come() -> None:
    handlers = Handlers()
    async with served(handlers) as (stub, _):
        await stub.log("one")
        await until(lambda: handlers.lines == ["one"])


@runs
async def test_a_deprecated_method_warns_at_the_caller_s_line() -> None:
    async with served() as (stub, _):
        with pytest.warns(DeprecationWarning, match="old is deprecated: use new") as caught:
            await stub.old()
        assert caught[0].filename == __file__


@runs
async def test_a_unix_socket(tmp_path: pathlib.Path) -> None:
    url = f"unix://{tmp_path}/rpc.sock"
    stub = services.ServerStub(Handlers())
    async with rpc.AsyncServer(url, None, stub), rpc.AsyncChannel(url) as channel:
        assert await AsyncClientStub(channel).divide(1) == 1.0
    assert not (tmp_path / "rpc.sock").exists()


@runs
async def test_a_blocking_client_speaks_plain_to_it() -> None:
    handlers = Handlers(quick=lambda: 3)
    handlers.released.set()
    async with served(handlers) as (_, server):

        def calls() -> None:
            with rpc.Channel("127.0.0.1", server.port) as channel:
                stub = services.ClientStub(channel)
                for _ in range(3):
                    assert stub.divide(200, 100) == 2.0
                    assert stub.wait(4) == 4
                    assert stub.echo(b"x" * 500_000) == b"x" * 500_000
                    assert stub.run("quick") == 3
                stub.log("line")
                assert stub.divide(1) == 1.0
                with pytest.raises(services.InvalidOperation):
                    stub.divide(1, 0)
                with pytest.raises(rpc.RemoteFault, match="INTERNAL"):
                    stub.run("missing")

        await asyncio.to_thread(calls)
    assert handlers.lines == ["line"]


@runs
async def test_it_says_what_it_serves_and_whether() -> None:
    from rpcgen.runtime.dispatch import Describe, Health

    async with served() as (_, server), rpc.AsyncChannel("127.0.0.1", server.port) as channel:
        assert await channel.call(Describe, ()) == services.INTERFACE.text
        assert await channel.call(Health, (None,)) is True
        assert await channel.call(Health, ("Nobody",)) is False


def test_a_channel_serves_several_loops_in_several_threads() -> None:
    found: list[list[float]] = []
    port: list[int] = []
    up, down = threading.Event(), threading.Event()

    async def serve() -> None:
        async with rpc.AsyncServer("127.0.0.1", 0, services.ServerStub(Handlers())) as server:
            port.append(server.port)
            up.set()
            await asyncio.to_thread(down.wait)

    server = threading.Thread(target=lambda: loops.run(serve()))
    server.start()
    assert up.wait(30)
    channel = rpc.AsyncChannel("127.0.0.1", port[0])
    together = threading.Barrier(4)

    async def call() -> None:
        stub = AsyncClientStub(channel)
        together.wait(30)
        found.append(await asyncio.gather(*[stub.divide(number) for number in range(100)]))
        await channel._links[asyncio.get_running_loop()].close()

    threads = [threading.Thread(target=lambda: loops.run(call())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == [[float(number) for number in range(100)]] * 4
    down.set()
    server.join(30)


@runs
async def test_nobody_listens() -> None:
    channel = rpc.AsyncChannel("127.0.0.1", unused_port())
    with pytest.raises(rpc.Unavailable, match=r"divide at tcp://.*refused; is the server running"):
        await AsyncClientStub(channel).divide(1)
    many = await asyncio.gather(
        *[AsyncClientStub(channel).divide(1) for _ in range(10)], return_exceptions=True
    )
    assert [type(error) for error in many] == [rpc.Unavailable] * 10
    assert len({id(error) for error in many}) == 10
    await channel.close()


@runs
async def test_a_closed_channel_calls_nobody() -> None:
    handlers = Handlers()
    async with served(handlers) as (stub, server):
        channel = rpc.AsyncChannel("127.0.0.1", server.port)
        running = asyncio.ensure_future(AsyncClientStub(channel).wait(1))
        await handlers.waiting.wait()
        await channel.close()
        with pytest.raises(rpc.Cancelled, match="the channel was closed while the call was running"):
            await running
        await channel.close()
        with pytest.raises(rpc.Unavailable, match="the channel is closed"):
            await AsyncClientStub(channel).divide(1)
        await until(lambda: handlers.cancelled == [1])
        assert await stub.divide(1) == 1.0


@runs
async def test_a_retired_channel_ends_with_its_calls() -> None:
    handlers = Handlers()
    async with served(handlers) as (_, server):
        channel = rpc.AsyncChannel("127.0.0.1", server.port)
        running = asyncio.ensure_future(AsyncClientStub(channel).wait(1))
        await handlers.waiting.wait()
        channel.retire()
        await asyncio.sleep(0)
        with pytest.raises(rpc.Unavailable):
            await AsyncClientStub(channel).divide(1)
        handlers.released.set()
        assert await running == 1
        await until(lambda: not server._serving._connections)  # type: ignore[union-attr]


@runs
async def test_it_connects_again_after_the_connection_broke() -> None:
    handlers = Handlers()
    handlers.released.set()
    async with served(handlers) as (stub, server):
        assert await stub.wait(1) == 1
        for connection in list(server._serving._connections):  # type: ignore[union-attr]
            connection.break_off()
        await asyncio.sleep(0.01)
        assert await stub.wait(2) == 2


def test_a_blocking_server_takes_no_coroutine_functions() -> None:
    with pytest.raises(TypeError, match="wait is a coroutine function, which a blocking server does not run"):
        services.ThreadServer("127.0.0.1", 0, asyncio.run(_handlers()))


async def _handlers() -> Handlers:
    return Handlers()


def test_options_are_checked() -> None:
    with pytest.raises(TypeError, match="needs a stub"):
        rpc.AsyncServer("127.0.0.1", 0)
    with pytest.raises(TypeError, match="has no option workers"):
        rpc.AsyncServer("127.0.0.1", 0, services.ServerStub(services.Handlers()), workers=3)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="connection_calls is at least 1, not 0"):
        rpc.AsyncServer("127.0.0.1", 0, services.ServerStub(services.Handlers()), connection_calls=0)
    with pytest.raises(ValueError, match="timeout"):
        rpc.AsyncChannel("127.0.0.1", 1, timeout=0)
    with pytest.raises(TypeError, match="a channel cannot be pickled"):
        pickle.dumps(rpc.AsyncChannel("127.0.0.1", 1))
