"""Servers that break off, go silent or talk nonsense; clients that do."""

from __future__ import annotations

import asyncio
import socket
import struct
import typing

import pytest

from rpcgen import runtime as rpc
from rpcgen.runtime.aio.client import connection as client
from rpcgen.runtime.wire.server import ServerSession
from tests.runtime.aio.frames import Peer
from tests.support import peers, raw, services
from tests.support.aio import AsyncClientStub, Handlers, runs, served, until

PREFACE = bytes.fromhex("c1 52 50 43 47 45 4e 01")


def frames(sock: socket.socket, *answers: typing.Callable[[ServerSession, int], object]) -> None:
    """Answers as many calls, each in its own way, then returns."""
    session, left = ServerSession(), list(answers)
    while left:
        data = sock.recv(65536)
        for event in session.receive(data) if data else session.receive_end():
            if event[0] == 1:
                left.pop(0)(session, event[1])
        sock.sendall(b"".join(session.data_to_send()))
        if not data:
            return


def reply(session: ServerSession, call_id: int) -> None:
    session.send_reply(call_id, raw.RETURNED)


def nothing(session: ServerSession, call_id: int) -> None:
    pass


async def outcome(port: int, **options: typing.Any) -> object:
    async with rpc.AsyncChannel("127.0.0.1", port, **options) as channel:
        try:
            return await AsyncClientStub(channel).divide(200, 100)
        except rpc.RpcError as error:
            return error


@runs
async def test_a_server_that_closes_after_the_call() -> None:
    with peers.server(lambda sock: frames(sock, nothing)) as port:
        error = await outcome(port)
        assert isinstance(error, rpc.ConnectionLost)
        assert "the call may have run" in str(error)
        assert error.method == "divide"
        assert error.peer == f"tcp://127.0.0.1:{port}"


@runs
async def test_a_server_that_resets() -> None:
    def reset(sock: socket.socket) -> None:
        frames(sock, nothing)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with peers.server(reset) as port:
        error = await outcome(port)
        assert isinstance(error, rpc.ConnectionLost)


@runs
async def test_half_a_reply() -> None:
    def half(sock: socket.socket) -> None:
        frames(sock, nothing)
        sock.sendall(bytes.fromhex("0000000b 02 00 00000001 0140"))

    with peers.server(half) as port:
        error = await outcome(port)
        assert isinstance(error, rpc.ConnectionLost)
        assert "inside a frame" in str(error)


@runs
async def test_half_a_long_reply() -> None:
    def half(sock: socket.socket) -> None:
        frames(sock, nothing)
        sock.sendall(bytes.fromhex("00100000 02 00 00000001 01") + bytes(500_000))

    with peers.server(half) as port:
        error = await outcome(port)
        assert isinstance(error, rpc.ConnectionLost)


@runs
async def test_nonsense() -> None:
    def nonsense(sock: socket.socket) -> None:
        frames(sock, nothing)
        sock.sendall(b"\0\0\0\6" + b"\x0f" * 6)

    with peers.server(nonsense) as port:
        error = await outcome(port)
        assert isinstance(error, rpc.ProtocolError)


@runs
async def test_a_reply_that_is_not_the_method_s() -> None:
    def short(session: ServerSession, call_id: int) -> None:
        session.send_reply(call_id, b"\1\1")

    with peers.server(lambda sock: frames(sock, short, reply)) as port:
        async with rpc.AsyncChannel("127.0.0.1", port) as channel:
            stub = AsyncClientStub(channel)
            with pytest.raises(rpc.DecodeError):
                await stub.divide(1)
            assert await stub.divide(200, 100) == 2.0


@runs
async def test_a_server_of_plain_messages_alone() -> None:
    def serve() -> services.ThreadServer:
        return services.ThreadServer("127.0.0.1", 0, services.Handlers()).start()

    server = await asyncio.to_thread(serve)
    error = await outcome(server.port)
    await asyncio.to_thread(server.close)
    assert isinstance(error, rpc.CallError | float)


@runs
async def test_a_server_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "HANDSHAKE", 0.05)

    def silent(sock: socket.socket) -> None:
        while sock.recv(65536):
            pass

    with peers.server(silent) as port:
        error = await outcome(port)
        assert isinstance(error, rpc.ConnectionLost)
        assert "no HELLO within 0.05 s" in str(error)


@runs
async def test_calls_above_a_goaway_are_not_started_and_others_are_answered() -> None:
    def leave(session: ServerSession, call_id: int) -> None:
        session.goaway("restarting", 1)
        session.send_reply(1, raw.RETURNED)

    with peers.server(lambda sock: frames(sock, nothing, nothing, leave)) as port:
        async with rpc.AsyncChannel("127.0.0.1", port) as channel:
            stub = AsyncClientStub(channel)
            calls = [asyncio.ensure_future(stub.divide(1)) for _ in range(3)]
            first, *others = await asyncio.gather(*calls, return_exceptions=True)
            assert first == 2.0
            assert [type(error) for error in others] == [rpc.Unavailable] * 2
            assert "the server is leaving: restarting" in str(others[0])


@runs
async def test_what_an_old_connection_did_not_start_goes_over_a_new_one() -> None:
    def leave(session: ServerSession, call_id: int) -> None:
        session.goaway("restarting", call_id - 1)

    with peers.server(lambda sock: frames(sock, reply, leave), lambda sock: frames(sock, reply)) as port:
        async with rpc.AsyncChannel("127.0.0.1", port) as channel:
            stub = AsyncClientStub(channel)
            assert await stub.divide(1) == 2.0
            assert await stub.divide(1) == 2.0


@runs
async def test_a_busy_server_s_refusal_is_unavailable() -> None:
    def refuse(session: ServerSession, call_id: int) -> None:
        session.send_fault(call_id, rpc.FaultCode.UNAVAILABLE, "busy")

    with peers.server(lambda sock: frames(sock, refuse)) as port:
        error = await outcome(port)
        assert isinstance(error, rpc.Unavailable)
        assert str(error).endswith("busy")


@pytest.mark.parametrize(
    "data",
    [
        b"\xff" * 100,
        PREFACE + b"\xff" * 100,
        PREFACE[:-1] + b"\x09",
        PREFACE + bytes.fromhex("00000006 01 00 00000001"),
        bytes.fromhex("00000003") + b"\xff\xfe\xfd" + bytes(4),
        bytes.fromhex("0000ffff"),
        b"\0",
        PREFACE[:3],
    ],
    ids=str,
)
@runs
async def test_bytes_that_are_no_calls_end_their_connection_alone(data: bytes) -> None:
    limits = rpc.Limits(receive_time=0.2, idle_time=30)
    async with served(limits=limits) as (stub, server):
        assert await stub.divide(1) == 1.0

        def send() -> None:
            with raw.connection(server.port) as sock:
                sock.sendall(data)
                raw.to_the_end(sock)

        await asyncio.to_thread(send)
        assert await stub.divide(1) == 1.0
        await until(lambda: len(server._serving._connections) == 1)  # type: ignore[union-attr]


@runs
async def test_slow_and_idle_clients_are_let_go_and_busy_ones_are_not() -> None:
    handlers = Handlers()
    async with served(handlers, limits=rpc.Limits(receive_time=0.1, idle_time=0.2)) as (stub, server):
        waiting = asyncio.ensure_future(stub.wait(1))
        await handlers.waiting.wait()
        async with Peer(server.port) as slow, Peer(server.port) as idle:
            await slow.flush()
            await asyncio.get_running_loop().sock_sendall(slow.sock, b"\0\0\0")
            (event,) = await slow.events(1)
            assert event[0] == -1
            assert "over 0.1 s to send a call" in str(event[1])
            (event,) = await idle.events(1)
            assert event[0] in (-1, 7)
        handlers.released.set()
        assert await waiting == 1


@runs
async def test_too_many_connections() -> None:
    limits = rpc.Limits(connections=1)
    async with served(limits=limits) as (stub, server):
        assert await stub.divide(1) == 1.0
        error = await outcome(server.port)
        assert isinstance(error, rpc.Unavailable)
        assert "over 1 connections" in str(error)

        def plain() -> str:
            with raw.connection(server.port) as sock:
                sock.sendall(raw.CALL)
                return raw.fault(sock)

        assert "UNAVAILABLE: over 1 connections" in await asyncio.to_thread(plain)
        assert await stub.divide(1) == 1.0


@runs
async def test_a_plain_client_byte_by_byte_and_several_calls_at_once() -> None:
    async with served() as (_, server):

        def call() -> None:
            with raw.connection(server.port) as sock:
                for byte in raw.CALL:
                    sock.sendall(bytes([byte]))
                assert raw.exactly(sock, 5) == raw.RETURNED
                sock.sendall(raw.CALL * 50)
                assert raw.exactly(sock, 250) == raw.RETURNED * 50
                sock.sendall(raw.CALL)
                sock.shutdown(socket.SHUT_WR)
                assert raw.to_the_end(sock) == raw.RETURNED

        await asyncio.to_thread(call)
