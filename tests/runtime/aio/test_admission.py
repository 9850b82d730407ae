"""Who is let in by an AsyncServer: by certificate, by credentials, by what he speaks; nobody else reaches a handler."""

from __future__ import annotations

import asyncio
import pathlib
import socket
import ssl
import typing

import pytest

from rpcgen import runtime as rpc
from tests.runtime.aio.frames import Peer
from tests.support import raw, services
from tests.support.aio import AsyncClientStub, Handlers, runs, served, until
from tests.support.certificates import authority


def check(credentials: str) -> str:
    """Lets in whose credentials are a name and the word."""
    name, _, word = credentials.partition(" ")
    if word != "sesame":
        raise PermissionError("say the word")
    return name


class Watched(Handlers):
    """Keeps what handlers were told of their callers."""

    def __init__(self, **actions: typing.Callable[[], object]) -> None:
        super().__init__(**actions)
        self.seen: list[rpc.Context] = []

    def divide(self, num1: int, num2: int) -> float:
        self.seen.append(rpc.context())
        return num1 / num2

    @rpc.inline
    def echo(self, data: bytes) -> bytes:
        self.seen.append(rpc.context())
        return data

    async def wait(self, number: int) -> int:  # type: ignore[override]
        self.seen.append(rpc.context())
        return number


async def outcome(port: int, host: str = "127.0.0.1", **options: typing.Any) -> object:
    async with rpc.AsyncChannel(host, port, **options) as channel:
        try:
            return await AsyncClientStub(channel).echo(b"data")
        except rpc.RpcError as error:
            return error


# TLS


@runs
async def test_calls_of_every_kind_and_length_over_tls() -> None:
    handlers, ours = Watched(), authority()
    async with (
        served(handlers, tls=ours.server()) as (_, server),
        rpc.AsyncChannel("127.0.0.1", server.port, tls=ours.client()) as channel,
    ):
        stub = AsyncClientStub(channel)
        assert await stub.divide(1) == 1.0
        assert await stub.wait(2) == 2
        for size in (0, 1, 20_000, 3_000_000):
            assert await stub.echo(bytes(size)) == bytes(size)
        assert await asyncio.gather(*[stub.wait(number) for number in range(300)]) == list(range(300))
    assert {context.certificate for context in handlers.seen} == {None}


@runs
async def test_plain_calls_over_tls() -> None:
    tls = authority().client()
    async with (
        served(Watched(), tls=authority().server()) as (_, server),
        rpc.AsyncChannel("127.0.0.1", server.port, tls=tls, protocol="plain") as channel,
    ):
        stub = AsyncClientStub(channel)
        assert await stub.divide(1) == 1.0
        assert await stub.wait(2) == 2
        assert await stub.echo(bytes(3_000_000)) == bytes(3_000_000)


@runs
async def test_a_certificate_of_the_authority_lets_in_and_tells_who_it_is() -> None:
    handlers, ours = Watched(), authority()
    async with served(handlers, tls=ours.server(ca=ours.ca)) as (_, server):
        assert await outcome(server.port, tls=ours.client(shows=ours)) == b"data"
    (context,) = handlers.seen
    assert context.certificate is not None
    assert context.certificate["subject"] == ((("commonName", "client"),),)


@pytest.mark.parametrize("shows", ["another's", "none", "no TLS"])
@runs
async def test_no_other_certificate_reaches_a_handler(shows: str, caplog: pytest.LogCaptureFixture) -> None:
    handlers, ours = Watched(), authority()
    async with served(handlers, tls=ours.server(ca=ours.ca)) as (_, server):
        tls = {"another's": ours.client(shows=authority("another")), "none": ours.client()}.get(shows)
        error = await outcome(server.port, tls=tls)
        assert isinstance(error, rpc.Unavailable | rpc.ConnectionLost), error
        await until(lambda: "TLS was not agreed on" in caplog.text)
        assert await outcome(server.port, tls=ours.client(shows=ours)) == b"data"
    assert len(handlers.seen) == 1


@runs
async def test_plain_bytes_at_a_port_with_tls_reach_no_handler() -> None:
    handlers = Watched()
    async with served(handlers, tls=authority().server()) as (_, server):

        def call() -> None:
            with raw.connection(server.port) as sock:
                sock.sendall(raw.CALL)
                assert raw.RETURNED not in raw.to_the_end(sock)

        await asyncio.to_thread(call)
    assert handlers.seen == []


@runs
async def test_a_handshake_that_never_ends_is_ended_and_holds_up_nobody() -> None:
    ours = authority()
    async with served(Watched(), tls=ours.server(), limits=rpc.Limits(receive_time=1.0)) as (_, server):
        loop = asyncio.get_running_loop()
        silent = [Peer(server.port) for _ in range(20)]
        async with asyncio.TaskGroup() as connecting:
            for peer in silent:
                connecting.create_task(peer.__aenter__())
        for peer in silent[::2]:
            await loop.sock_sendall(peer.sock, bytes.fromhex("16 03 01 01 00"))  # a record begins
        assert await outcome(server.port, tls=ours.client()) == b"data"
        for peer in silent:
            assert await loop.sock_recv(peer.sock, 1) == b""
            peer.sock.close()


@runs
async def test_a_handshake_does_not_hold_up_the_end() -> None:
    async with served(Watched(), tls=authority().server()) as (_, server), Peer(server.port) as peer:
        await until(lambda: server._serving._entrance._entering)  # type: ignore[union-attr]
        assert await server.shutdown(25)
        assert await asyncio.get_running_loop().sock_recv(peer.sock, 1) == b""


@runs
async def test_certificates_are_read_when_a_server_is_made(tmp_path: pathlib.Path) -> None:
    stub = services.ServerStub(Handlers())
    with pytest.raises(OSError, match=r"cannot load a certificate and its key from .*absent\.pem"):
        rpc.AsyncServer("127.0.0.1", 0, stub, tls=rpc.TLS(certificate=tmp_path / "absent.pem"))
    with pytest.raises(ValueError, match="a server with TLS needs a certificate"):
        rpc.AsyncServer("127.0.0.1", 0, stub, tls=rpc.TLS())


@runs
async def test_a_client_that_reads_nothing_over_tls_cannot_make_the_server_grow() -> None:
    ours = authority()

    class Big(Watched):
        @rpc.inline
        def echo(self, data: bytes) -> bytes:
            self.lines.append("echo")
            return bytes(1_000_000)

    handlers = Big()
    async with served(handlers, tls=ours.server()) as (_, server):

        def connect() -> ssl.SSLSocket:
            sock = socket.create_connection(("127.0.0.1", server.port), 30)
            return ours.client().of_client().wrap_socket(sock, server_hostname="127.0.0.1")

        secure = await asyncio.to_thread(connect)
        with secure:
            secure.sendall(raw.call("echo", bytes.fromhex("01 00000000")) * 500)
            await until(lambda: handlers.lines)
            async with rpc.AsyncChannel("127.0.0.1", server.port, tls=ours.client()) as other:
                for _ in range(50):
                    assert await AsyncClientStub(other).divide(1) == 1.0
            assert len(handlers.lines) < 20


# Credentials


@runs
async def test_credentials_tell_who_it_is() -> None:
    handlers = Watched()
    async with (
        served(handlers, authenticate=check) as (_, server),
        rpc.AsyncChannel("127.0.0.1", server.port, credentials="ann sesame") as channel,
    ):
        stub = AsyncClientStub(channel)
        await stub.echo(b"")
        await stub.divide(1)
        await stub.wait(1)
        await rpc.with_options(stub, timeout=20).echo(b"")
    assert [context.identity for context in handlers.seen] == ["ann"] * 4


@pytest.mark.parametrize("credentials", ["", "ann", "ann simsim"])
@runs
async def test_wrong_credentials_reach_no_handler(credentials: str) -> None:
    handlers = Watched()
    async with served(handlers, authenticate=check) as (_, server):
        error = await outcome(server.port, credentials=credentials)
        assert isinstance(error, rpc.RemoteFault)
        assert (error.code, error.message) == (rpc.FaultCode.UNAUTHENTICATED, "say the word")
    assert handlers.seen == []


@runs
async def test_a_check_that_fails_lets_nobody_in_and_says_why_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(credentials: str) -> str:
        raise KeyError("the table of users")

    handlers = Watched()
    async with served(handlers, authenticate=broken) as (_, server):
        error = await outcome(server.port, credentials="ann sesame")
        assert isinstance(error, rpc.RemoteFault)
        assert error.message == "the credentials could not be checked"
    assert "the table of users" in caplog.text
    assert handlers.seen == []


@runs
async def test_plain_clients_are_refused_where_there_are_credentials_and_told_so() -> None:
    handlers = Watched()
    async with served(handlers, authenticate=check) as (_, server):

        def call() -> str:
            with raw.connection(server.port) as sock:
                sock.sendall(raw.CALL)
                told = raw.fault(sock)
                assert raw.to_the_end(sock) == b""
                return told

        assert "UNAUTHENTICATED: this server requires credentials" in await asyncio.to_thread(call)
    assert handlers.seen == []


@pytest.mark.parametrize("plain", [True, False])
@runs
async def test_plain_clients_are_served_or_not_as_said(plain: bool) -> None:
    handlers = Watched()
    authenticate = check if plain else None
    async with served(handlers, plain=plain, authenticate=authenticate) as (_, server):

        def call() -> bytes:
            with raw.connection(server.port) as sock:
                sock.sendall(raw.CALL)
                return raw.exactly(sock, 5)

        reply = await asyncio.to_thread(call)
        assert (reply == raw.RETURNED) is plain
    assert [context.identity for context in handlers.seen] == [""] * plain
