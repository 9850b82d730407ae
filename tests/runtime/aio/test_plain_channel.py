"""A channel that speaks plain messages: one call at a time on each of a few connections."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import typing

import pytest

from rpcgen import runtime as rpc
from rpcgen.runtime.aio.client import pool
from tests.support import peers, raw, services
from tests.support.aio import AsyncClientStub, Handlers, runs, served, until
from tests.support.waiting import PATIENCE


def plain(port: int, **options: typing.Any) -> rpc.AsyncChannel:
    return rpc.AsyncChannel("127.0.0.1", port, protocol="plain", **options)


def answer(sock: socket.socket, *replies: bytes) -> None:
    """Answers each call with one of these."""
    for reply in replies:
        size = len(raw.CALL)
        assert len(raw.exactly(sock, size)) == size
        sock.sendall(reply)


async def outcome(port: int, **options: typing.Any) -> object:
    async with plain(port, **options) as channel:
        try:
            return await AsyncClientStub(channel).divide(200, 100)
        except rpc.RpcError as error:
            return error


def connections(channel: rpc.AsyncChannel) -> int:
    (made,) = channel._links.values()
    return len(made._connections)


@pytest.mark.parametrize("kind", ["threads", "asyncio"])
@runs
async def test_calls_of_every_kind(kind: str) -> None:
    handlers: services.Handlers = services.Handlers() if kind == "threads" else Handlers()
    handlers.actions["quick"] = lambda: 3
    if kind == "threads":
        server: typing.Any = services.ThreadServer("127.0.0.1", 0, handlers)
        await asyncio.to_thread(server.start)
    else:
        server = await rpc.AsyncServer("127.0.0.1", 0, services.ServerStub(handlers)).start()
    async with plain(server.port) as channel:
        stub = AsyncClientStub(channel)
        data = os.urandom(3_000_000)
        for _ in range(2):
            assert await stub.divide(200, 100) == 2.0
            assert await stub.echo(data) == data
            assert await stub.run("quick") == 3
            await stub.log("line")
            with pytest.raises(services.InvalidOperation, match="division by zero") as caught:
                await stub.divide(1, 0)
            assert caught.value.__notes__ == [f"raised by divide at tcp://127.0.0.1:{server.port}"]
            with pytest.raises(rpc.RemoteFault, match="INTERNAL") as failed:
                await stub.run("missing")
            assert failed.value.method == "run"
        assert connections(channel) == 1
        assert handlers.lines == ["line"] * 2
        assert await asyncio.gather(*[stub.divide(number) for number in range(200)]) == list(range(200))
        assert connections(channel) <= pool.CONNECTIONS
    await (asyncio.to_thread(server.close) if kind == "threads" else server.shutdown())


@runs
async def test_metadata_is_not_for_plain_messages() -> None:
    async with plain(peers.unused_port()) as channel:
        with pytest.raises(rpc.EncodeError, match="plain messages carry no metadata; the call was not sent"):
            await rpc.with_options(AsyncClientStub(channel), metadata={"a": "b"}).divide(1)


@runs
async def test_interceptors_stand_around_plain_calls() -> None:
    seen: list[object] = []

    def note(call: rpc.Call) -> typing.Any:
        import contextlib

        seen.append(call.args)
        return contextlib.nullcontext()

    async with served() as (_, server), plain(server.port, interceptors=[note]) as channel:
        assert await AsyncClientStub(channel).divide(4, 2) == 2.0
    assert seen == [(4, 2)]


@runs
async def test_further_calls_wait_for_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "CONNECTIONS", 2)
    handlers = Handlers()
    async with served(handlers) as (_, server), plain(server.port) as channel:
        stub = AsyncClientStub(channel)
        waits = [asyncio.ensure_future(stub.wait(number)) for number in range(4)]
        await until(lambda: handlers.running == 2)
        with pytest.raises(rpc.DeadlineExceeded, match="2 other calls took all the time"):
            await rpc.with_options(stub, timeout=0.02).divide(1)
        handlers.released.set()
        assert await asyncio.gather(*waits) == [0, 1, 2, 3]
        assert connections(channel) == 2


@pytest.mark.parametrize("how", ["cancel", "deadline"])
@runs
async def test_a_call_that_is_given_up_closes_its_connection(how: str) -> None:
    handlers = Handlers()
    async with served(handlers) as (_, server), plain(server.port) as channel:
        stub = AsyncClientStub(channel)
        assert await stub.divide(1) == 1.0
        if how == "cancel":
            call = asyncio.ensure_future(stub.wait(1))
            await handlers.waiting.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        else:
            with pytest.raises(rpc.DeadlineExceeded, match="no reply within the call's time"):
                await rpc.with_options(stub, timeout=0.02).wait(1)
        await until(lambda: connections(channel) == 0)
        assert await stub.divide(4, 2) == 2.0
        handlers.released.set()


@pytest.mark.parametrize(
    ("sent", "kind", "problem"),
    [
        (b"", rpc.ConnectionLost, "without a reply; the call may have run"),
        (b"\1\x40", rpc.ConnectionLost, "inside its reply; the call may have run"),
        (raw.RETURNED + b"\1", rpc.ProtocolError, "1 bytes came after the reply"),
        (b"\x09\xff\xff\xff\xff", rpc.ProtocolError, "a reply of 4294967300 bytes or more"),
        (b"\0\0\0\0\x0aINTERNAL: x", rpc.ProtocolError, ""),
        (b"\0\0\0\0\x11UNAVAILABLE: full", rpc.Unavailable, "full"),
        (b"\0\0\0\0\x17DEADLINE_EXCEEDED: late", rpc.DeadlineExceeded, "late"),
    ],
    ids=str,
)
@runs
async def test_what_servers_say(sent: bytes, kind: type[rpc.CallError], problem: str) -> None:
    with peers.server(lambda sock: answer(sock, sent)) as port:
        error = await outcome(port)
        assert isinstance(error, kind)
        assert problem in str(error)
        assert error.method == "divide"
        assert error.peer == f"tcp://127.0.0.1:{port}"


@runs
async def test_a_reply_in_pieces() -> None:
    def serve(sock: socket.socket) -> None:
        for _ in range(2):
            raw.exactly(sock, len(raw.CALL))
            for byte in raw.RETURNED:
                sock.sendall(bytes([byte]))

    with peers.server(serve) as port:
        async with plain(port) as channel:
            for _ in range(2):
                assert await AsyncClientStub(channel).divide(200, 100) == 2.0


@runs
async def test_a_reply_that_does_not_end() -> None:
    def serve(sock: socket.socket) -> None:
        answer(sock, b"\1\x40")
        sock.recv(1)

    with peers.server(serve) as port:
        error = await outcome(port, limits=rpc.Limits(receive_time=0.05))
        assert isinstance(error, rpc.ConnectionLost)
        assert "took longer than 0.05 s to come" in str(error)


@runs
async def test_a_connection_that_the_server_has_closed_is_not_used_again() -> None:
    with peers.server(*[lambda sock: answer(sock, raw.RETURNED)] * 3) as port:
        async with plain(port) as channel:
            for _ in range(3):
                assert await AsyncClientStub(channel).divide(200, 100) == 2.0
                await until(lambda: not connections(channel))


@runs
async def test_what_comes_unasked_ends_the_connection() -> None:
    def serve(sock: socket.socket) -> None:
        answer(sock, raw.RETURNED)
        told.wait(PATIENCE)
        sock.sendall(raw.RETURNED)
        sock.recv(1)

    told = threading.Event()
    with peers.server(serve, lambda sock: answer(sock, raw.RETURNED)) as port:
        async with plain(port) as channel:
            assert await AsyncClientStub(channel).divide(200, 100) == 2.0
            told.set()
            await until(lambda: not connections(channel))
            assert await AsyncClientStub(channel).divide(200, 100) == 2.0


@runs
async def test_an_old_connection_s_refusal_leads_to_a_new_one() -> None:
    full = b"\0\0\0\0\x11UNAVAILABLE: full"

    def refusing(sock: socket.socket) -> None:
        answer(sock, raw.RETURNED, full)

    with peers.server(refusing, lambda sock: answer(sock, raw.RETURNED)) as port:
        async with plain(port) as channel:
            for _ in range(2):
                assert await AsyncClientStub(channel).divide(200, 100) == 2.0


@runs
async def test_a_server_that_stops_reading_has_not_been_called() -> None:
    """It breaks off before the last byte was handed to the system."""

    def serve(sock: socket.socket) -> None:
        sock.recv(1000)

    with peers.server(serve) as port:
        async with plain(port) as channel:
            with pytest.raises(rpc.Unavailable, match="while the call was being sent"):
                await AsyncClientStub(channel).echo(bytes(16_000_000))


@runs
async def test_closing_ends_what_runs_waits_and_connects() -> None:
    handlers = Handlers()
    async with served(handlers) as (_, server):
        channel = plain(server.port)
        stub = AsyncClientStub(channel)
        assert await stub.divide(1) == 1.0
        call = asyncio.ensure_future(stub.wait(1))
        await handlers.waiting.wait()
        await channel.close()
        with pytest.raises(rpc.Cancelled, match="the channel was closed while the call was running"):
            await call
        with pytest.raises(rpc.Unavailable, match="the channel is closed"):
            await stub.divide(1)
        assert connections(channel) == 0


@runs
async def test_a_retired_channel_ends_with_its_calls() -> None:
    handlers = Handlers()
    async with served(handlers) as (_, server):
        channel = plain(server.port)
        call = asyncio.ensure_future(AsyncClientStub(channel).wait(1))
        await handlers.waiting.wait()
        channel.retire()
        await asyncio.sleep(0)
        with pytest.raises(rpc.Unavailable):
            await AsyncClientStub(channel).divide(1)
        handlers.released.set()
        assert await call == 1
        await until(lambda: connections(channel) == 0)


@runs
async def test_nobody_listens() -> None:
    async with plain(peers.unused_port()) as channel:
        with pytest.raises(rpc.Unavailable, match=r"divide at tcp://.*refused; is the server running"):
            await AsyncClientStub(channel).divide(1)
