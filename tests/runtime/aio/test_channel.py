"""What a channel does around its calls: metadata, interceptors, TLS, credentials, compression, calls without replies."""

from __future__ import annotations

import asyncio
import collections.abc
import contextlib
import os
import pathlib
import socket
import threading
import typing

import pytest

from rpcgen import runtime as rpc
from rpcgen.runtime.aio.client import channel as channels, connection as client
from rpcgen.runtime.sync.tls import TlsSocket
from rpcgen.runtime.wire.server import ServerSession
from tests.support import peers, services
from tests.support.aio import AsyncClientStub, Handlers, runs, served, until
from tests.support.certificates import authority
from tests.support.waiting import PATIENCE


@contextlib.asynccontextmanager
async def connected(
    handlers: object = None,
    server: rpc.AsyncServerOptions | None = None,
    **options: typing.Unpack[rpc.AsyncChannelOptions],
) -> collections.abc.AsyncIterator[AsyncClientStub]:
    """A server, and a stub on a channel to it that has these options."""
    async with (
        served(handlers, **(server or {})) as (_, serving),
        rpc.AsyncChannel("127.0.0.1", serving.port, **options) as channel,
    ):
        yield AsyncClientStub(channel)


def talkative() -> Handlers:
    """Handlers whose ``run`` answers with metadata, in one way or another."""

    def reply() -> int:
        context = rpc.context()
        context.reply_metadata["heard"] = b",".join(context.metadata.values())
        return 1

    def fail() -> int:
        reply()
        raise ZeroDivisionError

    def refuse() -> int:
        reply()
        raise services.InvalidOperation("no")

    return Handlers(reply=reply, fail=fail, refuse=refuse)


@runs
async def test_metadata_goes_both_ways() -> None:
    async with connected(talkative()) as stub:
        telling = rpc.with_options(stub, metadata={"a": "one", "b": b"\xff"})
        with rpc.reply_metadata() as received:
            assert await telling.run("reply") == 1
        assert received == {"heard": b"one,\xff"}
        assert await telling.run("reply") == 1  # nobody wants it
        with rpc.reply_metadata() as received:
            assert await stub.divide(1) == 1.0
        assert received == {}


@runs
async def test_faults_and_exceptions_bring_metadata_too() -> None:
    async with connected(talkative()) as stub:
        for what, kind in (("fail", rpc.RemoteFault), ("refuse", services.InvalidOperation)):
            with rpc.reply_metadata() as received, pytest.raises(kind):
                await rpc.with_options(stub, metadata={"a": "x"}).run(what)
            assert received == {"heard": b"x"}


@runs
async def test_too_much_metadata_is_the_caller_s_error() -> None:
    async with connected() as stub:
        with pytest.raises(rpc.EncodeError, match="metadata"):
            await rpc.with_options(stub, metadata={"a": bytes(20_000)}).divide(1)
        assert await stub.divide(1) == 1.0


@runs
async def test_interceptors_stand_around_the_call() -> None:
    log: list[str] = []

    @contextlib.contextmanager
    def outer(call: rpc.Call) -> typing.Iterator[None]:
        log.append(f"{call.method} {call.peer.partition(':')[0]} {call.deadline is not None}")
        call.metadata["a"] = b"x"
        yield
        log.append(f"{call.result} {call.reply_metadata}")
        call.result = 2

    @contextlib.asynccontextmanager
    async def inner(call: rpc.Call) -> typing.AsyncIterator[None]:
        await asyncio.sleep(0)
        log.append("inner")
        call.args = ("reply",)
        try:
            yield
        except rpc.RpcError as error:
            log.append(type(error).__name__)
            raise

    async with connected(talkative(), interceptors=[outer, inner]) as stub:
        with rpc.reply_metadata() as received:
            assert await rpc.with_options(stub, timeout=PATIENCE).run("other") == 2
        assert log == ["run tcp True", "inner", "1 {'heard': b'x'}"]
        assert received == {"heard": b"x"}
        with pytest.raises(rpc.RpcError):
            await stub._channel.call(services.DivideProtocol, (1,), PATIENCE)
        assert log[-1] == "EncodeError"


@runs
async def test_what_interceptors_take_of_the_time_is_gone() -> None:
    @contextlib.asynccontextmanager
    async def slow(call: rpc.Call) -> typing.AsyncIterator[None]:
        await asyncio.sleep(0.1)
        yield

    async with connected(interceptors=[slow], timeout=0.05) as stub:
        with pytest.raises(rpc.DeadlineExceeded, match="the time was up before"):
            await stub.divide(1)


@runs
async def test_credentials_are_judged_before_any_call() -> None:
    reached: list[str] = []

    def authenticate(credentials: str) -> str:
        if credentials != "secret":
            raise PermissionError("who are you?")
        return "me"

    def look() -> int:
        reached.append(rpc.context().identity)
        return 1

    handlers, server = Handlers(look=look), rpc.AsyncServerOptions(authenticate=authenticate)
    async with connected(handlers, server, credentials="secret") as stub:
        assert await stub.run("look") == 1
    for wrong in ("", "guess"):
        async with connected(handlers, server, credentials=wrong) as stub:
            for _ in range(2):
                with pytest.raises(rpc.RemoteFault, match="who are you") as raised:
                    await stub.run("look")
                assert raised.value.code is rpc.FaultCode.UNAUTHENTICATED
    assert reached == ["me"]


@runs
async def test_compressed_calls_are_understood() -> None:
    data = b"the same again, " * 10_000
    async with connected(compress=["gzip"]) as stub:
        assert await stub.echo(data) == data
        assert await stub.echo(data) == data


# TLS


@pytest.mark.parametrize("protocol", ["framed", "plain"])
@runs
async def test_tls(protocol: typing.Literal["framed", "plain"]) -> None:
    ours = authority()
    server = rpc.AsyncServerOptions(tls=ours.server())
    data = os.urandom(2_000_000)
    async with connected(None, server, tls=ours.client(), protocol=protocol) as stub:
        assert await stub.divide(4, 2) == 2.0
        assert await stub.echo(data) == data
        assert await asyncio.gather(*[stub.divide(number) for number in range(100)]) == list(range(100))


@runs
async def test_a_server_that_others_vouch_for_is_not_called() -> None:
    ours, others = authority(), authority("others")
    handlers = Handlers(reached=lambda: 1 / 0)
    async with connected(handlers, {"tls": others.server()}, tls=ours.client()) as stub:
        with pytest.raises(rpc.Unavailable, match="TLS handshake failed: the certificate is not accepted"):
            await stub.run("reached")
    async with connected(handlers, {"tls": ours.server()}, tls=ours.client(name="another.example")) as stub:
        with pytest.raises(rpc.Unavailable, match=r"TLS handshake failed: .*another\.example"):
            await stub.run("reached")


@pytest.mark.parametrize("shows", [None, "others"])
@runs
async def test_a_client_without_the_right_certificate_reaches_no_handler(shows: str | None) -> None:
    ours = authority()
    mine = ours.client() if shows is None else ours.client(shows=authority(shows))

    def refuse(sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            TlsSocket(sock, ours.server(ca=ours.ca).of_server(), server_side=True).handshake(None)
        # Closing now would reset the connection, and TLS's own words might not be read.
        sock.shutdown(socket.SHUT_WR)
        until_closed(sock)

    with peers.server(refuse) as port:
        async with rpc.AsyncChannel("127.0.0.1", port, tls=mine) as channel:
            with pytest.raises(rpc.Unavailable, match="TLS handshake failed: the peer refuses"):
                await AsyncClientStub(channel).divide(1)


@runs
async def test_a_client_with_the_right_certificate_is_known() -> None:
    ours = authority()
    seen: list[typing.Any] = []
    handlers = Handlers(look=lambda: len(seen.append(rpc.context().certificate) or seen))  # type: ignore[func-returns-value]
    server = rpc.AsyncServerOptions(tls=ours.server(ca=ours.ca))
    async with connected(handlers, server, tls=ours.client(shows=ours)) as stub:
        assert await stub.run("look") == 1
    assert seen[0]["subject"] == ((("commonName", "client"),),)


@runs
async def test_tls_towards_a_server_without() -> None:
    async with connected(tls=authority().client()) as stub:
        with pytest.raises(rpc.Unavailable, match="TLS handshake failed"):
            await stub.divide(1)


@runs
async def test_no_tls_towards_a_server_with() -> None:
    async with connected(None, {"tls": authority().server()}) as stub:
        with pytest.raises(rpc.CallError, match=r"before its HELLO|are no frame|connection broke"):
            await stub.divide(1)


@runs
async def test_tls_on_a_unix_socket(tmp_path: pathlib.Path) -> None:
    ours = authority()
    url = f"unix://{tmp_path}/rpc.sock"
    stub = services.ServerStub(Handlers())
    async with (
        rpc.AsyncServer(url, None, stub, tls=ours.server()),
        rpc.AsyncChannel(url, tls=ours.client()) as channel,
    ):
        assert await AsyncClientStub(channel).divide(1) == 1.0


@runs
async def test_a_handshake_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rpcgen.runtime.aio.client.dial.CONNECT_TIME", 0.1)
    with peers.server(until_closed) as port:
        async with rpc.AsyncChannel("127.0.0.1", port, tls=authority().client()) as channel:
            with pytest.raises(rpc.Unavailable, match="TLS handshake failed: it was not done within"):
                await AsyncClientStub(channel).divide(1)


def until_closed(sock: socket.socket) -> None:
    while sock.recv(65536):
        pass


# Calls that nothing answers


@pytest.mark.parametrize("ends", ["close", "retire"])
@runs
async def test_calls_without_replies_are_not_lost_by_closing(ends: str) -> None:
    handlers = Handlers()
    async with served(handlers) as (_, server):
        channel = rpc.AsyncChannel("127.0.0.1", server.port)
        stub = AsyncClientStub(channel)
        lines = [f"line {number} {'x' * 1000 * (number % 100)}" for number in range(1000)]
        for line in lines:
            await stub.log(line)
        if ends == "close":
            await channel.close()
        else:
            channel.retire()
        await until(lambda: len(handlers.lines) == len(lines))
        assert sorted(handlers.lines) == sorted(lines)
        await channel.close()


@pytest.mark.parametrize("ends", ["close", "retire"])
@runs
async def test_a_long_call_without_reply_waits_for_the_server_s_hello(ends: str) -> None:
    handlers = Handlers()
    async with served(handlers) as (_, server):
        channel = rpc.AsyncChannel("127.0.0.1", server.port)
        await AsyncClientStub(channel).log("x" * 1_000_000)
        if ends == "close":
            await channel.close()
        else:
            channel.retire()
        await until(lambda: handlers.lines)
        await channel.close()


@runs
async def test_closing_waits_for_a_silent_server_for_a_time_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LINGER", 0.05)
    with peers.server(until_closed, until_closed) as port:
        for end in ("close", "retire"):
            channel = rpc.AsyncChannel("127.0.0.1", port)
            await AsyncClientStub(channel).log("lost")
            if end == "retire":
                channel.retire()
                await asyncio.sleep(0)
            await channel.close()


@runs
async def test_a_call_without_reply_has_metadata_and_a_deadline() -> None:
    seen: list[tuple[dict[str, bytes], bool]] = []

    class Logging(Handlers):
        def log(self, line: str) -> None:
            context = rpc.context()
            seen.append((dict(context.metadata), context.deadline is not None))

    async with connected(Logging()) as stub:
        await rpc.with_options(stub, metadata={"a": "x"}, timeout=PATIENCE).log("line")
        await until(lambda: seen)
    assert seen == [({"a": b"x"}, True)]


# Keepalive


def answering_pings(pings: list[int]) -> typing.Callable[[socket.socket], None]:
    """A server that never answers a call, but every PING."""

    def serve(sock: socket.socket) -> None:
        session = ServerSession()
        while data := sock.recv(65536):
            session.receive(data)
            sock.sendall(b"".join(session.data_to_send()))
            pings.append(len(data))

    return serve


@runs
async def test_a_server_that_answers_pings_may_take_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "LEAST_KEEPALIVE", 0.0)
    pings: list[int] = []
    with peers.server(answering_pings(pings)) as port:
        async with rpc.AsyncChannel("127.0.0.1", port, keepalive=0.05) as channel:
            call = asyncio.ensure_future(AsyncClientStub(channel).divide(1))
            await until(lambda: len(pings) > 5)
            assert not call.done()
            call.cancel()
            await asyncio.wait([call])


@runs
async def test_a_server_that_does_not_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "LEAST_KEEPALIVE", 0.0)

    def mute(sock: socket.socket) -> None:
        session = ServerSession()
        session.receive(sock.recv(65536))
        sock.sendall(b"".join(session.data_to_send()))
        until_closed(sock)

    with peers.server(mute) as port:
        async with rpc.AsyncChannel("127.0.0.1", port, keepalive=0.05) as channel:
            with pytest.raises(
                rpc.ConnectionLost, match=r"no sign of life from the server for 0.1 s.*may have"
            ):
                await AsyncClientStub(channel).divide(1)


@runs
async def test_who_does_not_call_is_not_asked() -> None:
    async with connected(keepalive=1.0) as stub:
        assert await stub.divide(1) == 1.0


# The rest


@runs
async def test_what_the_server_s_faults_become() -> None:
    faults = [
        (rpc.FaultCode.UNAVAILABLE, rpc.Unavailable),
        (rpc.FaultCode.DEADLINE_EXCEEDED, rpc.DeadlineExceeded),
        (rpc.FaultCode.CANCELLED, rpc.Cancelled),
        (rpc.FaultCode.RESOURCE_EXHAUSTED, rpc.RemoteFault),
    ]

    def serve(sock: socket.socket) -> None:
        session, left = ServerSession(), [code for code, _ in faults]
        while data := sock.recv(65536):
            for event in session.receive(data):
                if event[0] == 1:
                    session.send_fault(event[1], left.pop(0), "told")
            sock.sendall(b"".join(session.data_to_send()))

    with peers.server(serve) as port:
        async with rpc.AsyncChannel("127.0.0.1", port) as channel:
            for _, kind in faults:
                with pytest.raises(rpc.CallError, match="told") as raised:
                    await AsyncClientStub(channel).divide(1)
                assert type(raised.value) is kind


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"protocol": "pain"}, 'protocol is "framed" or "plain", not \'pain\''),
        ({"protocol": "plain", "credentials": "x"}, "credentials: only framed messages know of it"),
        ({"protocol": "plain", "compress": ["gzip"], "keepalive": 5}, "compress, keepalive: only framed"),
        ({"keepalive": 0.5}, "keepalive is a number of seconds from 1 up, not 0.5"),
        ({"compress": ["zip"]}, "zip"),
        ({"credentials": "x" * 100_000}, "credentials"),
    ],
    ids=str,
)
def test_options_out_of_range(options: dict[str, typing.Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        rpc.AsyncChannel("127.0.0.1", 1, **options)


def test_certificates_are_read_at_once(tmp_path: pathlib.Path) -> None:
    with pytest.raises(OSError, match="cannot load"):
        rpc.AsyncChannel("127.0.0.1", 1, tls=rpc.TLS(ca=tmp_path / "none.pem"))


@pytest.mark.parametrize("protocol", ["framed", "plain"])
def test_a_forked_child_makes_connections_of_its_own(protocol: typing.Literal["framed", "plain"]) -> None:
    up, down = threading.Event(), threading.Event()
    servers: list[rpc.AsyncServer] = []

    async def serve() -> None:
        async with rpc.AsyncServer("127.0.0.1", 0, services.ServerStub(Handlers())) as server:
            servers.append(server)
            up.set()
            await asyncio.to_thread(down.wait)

    serving = threading.Thread(target=lambda: asyncio.run(serve()))
    serving.start()
    assert up.wait(PATIENCE)
    channel = rpc.AsyncChannel("127.0.0.1", servers[0].port, protocol=protocol)
    stub = AsyncClientStub(channel)

    async def call_and_fork() -> None:
        async with channel:
            assert await stub.divide(4, 2) == 2.0
            child = os.fork()
            if not child:
                # Nothing of the parent's loop may be touched: another one, in a thread that runs none.
                thread = threading.Thread(target=in_child)
                thread.start()
                thread.join()
                os._exit(0 if done else 1)
            assert await asyncio.to_thread(lambda: os.waitpid(child, 0)[1]) == 0
            assert await stub.divide(6, 2) == 3.0

    done: list[bool] = []

    def in_child() -> None:
        async def call() -> None:
            (inherited,) = [made for link in channel._links.values() for made in link._connections]
            assert await stub.divide(8, 2) == 4.0
            assert inherited.sock.fileno() == -1
            await channel.close()
            done.append(True)

        asyncio.run(call())

    asyncio.run(call_and_fork())
    down.set()
    serving.join(PATIENCE)
