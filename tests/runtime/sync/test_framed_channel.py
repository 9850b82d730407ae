"""What framed messages bring to blocking channels: over pooled connections, and over one for all threads."""

from __future__ import annotations

import concurrent.futures
import contextlib
import socket
import threading
import time
import typing

import pytest

from rpcgen import runtime as rpc
from rpcgen.runtime.sync.client import channel as channel_module, framed, pool as pool_module
from rpcgen.runtime.wire import frames
from tests.support import peers, services
from tests.support.certificates import authority
from tests.support.speech import FRAMED, MULTIPLEXED, PLAIN, Speech
from tests.support.waiting import PATIENCE, until


@pytest.fixture(params=[FRAMED, MULTIPLEXED], ids=repr)
def speech(request: pytest.FixtureRequest) -> Speech:
    return typing.cast(Speech, request.param)


@contextlib.contextmanager
def called(speech: Speech, port: int, **options: typing.Any) -> typing.Iterator[services.ClientStub]:
    with rpc.Channel("127.0.0.1", port, **speech.options, **options) as channel:
        yield services.ClientStub(channel)


def keep(sock: socket.socket) -> None:
    """Reads until the client closes the connection."""
    while sock.recv(65536):
        pass


def goaway(last: int) -> bytes:
    payload = frames.encode_goaway(last, "maintenance")
    return frames.pack_head(len(payload) + frames.OVERHEAD, frames.GOAWAY << 8, 0) + payload


# Metadata, interceptors, credentials


def test_metadata_go_both_ways(handlers: services.Handlers, speech: Speech) -> None:
    def act() -> int:
        context = rpc.context()
        context.reply_metadata["got"] = context.metadata["sent"]
        if context.metadata["sent"] == b"raise":
            raise services.InvalidOperation("no")
        return len(context.metadata)

    handlers.actions["act"] = act
    with services.ThreadServer("127.0.0.1", 0, handlers) as server, called(speech, server.port) as stub:
        with rpc.reply_metadata() as received:
            assert rpc.with_options(stub, metadata={"sent": "ü"}).run("act") == 1
            assert received == {"got": "ü".encode()}
            with pytest.raises(services.InvalidOperation):
                rpc.with_options(stub, metadata={"sent": b"raise"}).run("act")
            assert received == {"got": b"raise"}
        assert stub.divide(1) == 1.0


def test_plain_messages_carry_no_metadata(handlers: services.Handlers) -> None:
    with services.ThreadServer("127.0.0.1", 0, handlers) as server, called(PLAIN, server.port) as stub:
        with pytest.raises(rpc.EncodeError, match="plain messages carry no metadata; the call was not sent"):
            rpc.with_options(stub, metadata={"a": "b"}).divide(1)
        assert stub.divide(1) == 1.0


def test_interceptors_stand_around_a_call(handlers: services.Handlers) -> None:
    handlers.actions["act"] = lambda: rpc.context().reply_metadata.update(rpc.context().metadata) or 3
    seen: list[object] = []

    @contextlib.contextmanager
    def watch(call: typing.Any) -> typing.Iterator[None]:
        assert call.deadline is not None
        assert call.peer == f"tcp://127.0.0.1:{server.port}"
        call.metadata["token"] = b"t"
        try:
            yield
        except services.InvalidOperation as error:
            seen.append(str(error))
            raise
        seen.append((call.method, call.result, dict(call.reply_metadata)))

    with (
        services.ThreadServer("127.0.0.1", 0, handlers) as server,
        called(FRAMED, server.port, interceptors=[watch], timeout=20) as stub,
        rpc.reply_metadata() as received,
    ):
        assert stub.run("act") == 3
        with pytest.raises(services.InvalidOperation):
            stub.divide(1, 0)
    assert seen == [("run", 3, {"token": b"t"}), "division by zero"]
    assert received == {"token": b"t"}


def test_a_client_without_credentials_reaches_no_handler(handlers: services.Handlers, speech: Speech) -> None:
    def check(credentials: str) -> str:
        if credentials != "secret":
            raise PermissionError("who are you?")
        return "ann"

    handlers.actions["who"] = lambda: len(rpc.context().identity)
    with services.ThreadServer("127.0.0.1", 0, handlers, authenticate=check) as server:
        with called(speech, server.port, credentials="secret") as stub:
            assert stub.run("who") == 3
        with called(speech, server.port) as stub, pytest.raises(rpc.RemoteFault) as caught:
            stub.divide(1)
        assert caught.value.code is rpc.FaultCode.UNAUTHENTICATED
        assert not handlers.threads


def test_what_only_framed_messages_know_is_refused_with_plain_ones() -> None:
    for options in ({"credentials": "x"}, {"compress": ["gzip"]}, {"multiplex": True}):
        with pytest.raises(ValueError, match="only framed messages know of it"):
            rpc.Channel("127.0.0.1", 1, protocol="plain", **options)


def test_compressed_both_ways(handlers: services.Handlers, speech: Speech) -> None:
    with (
        services.ThreadServer("127.0.0.1", 0, handlers, compress=["gzip"]) as server,
        called(speech, server.port, compress=["gzip"]) as stub,
    ):
        for size in (10, 5_000, 1_000_000):
            assert stub.echo(bytes(size)) == bytes(size)


# TLS


@pytest.mark.parametrize("speech", [PLAIN, FRAMED, MULTIPLEXED], ids=repr)
def test_calls_over_tls(handlers: services.Handlers, speech: Speech) -> None:
    ours = authority()
    with (
        services.ThreadServer("127.0.0.1", 0, handlers, tls=ours.server(ca=ours.ca)) as server,
        called(speech, server.port, tls=ours.client(shows=ours)) as stub,
    ):
        for number in range(20):
            assert stub.divide(number) == number
        assert stub.echo(bytes(2_000_000)) == bytes(2_000_000)
        time.sleep(pool_module.TRUSTED)
        assert stub.divide(1) == 1.0
        assert len(stub._channel._open) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("speech", [PLAIN, FRAMED, MULTIPLEXED], ids=repr)
def test_a_client_with_a_wrong_certificate_reaches_no_handler(
    handlers: services.Handlers, speech: Speech
) -> None:
    ours, strangers = authority(), authority("strangers")
    with services.ThreadServer("127.0.0.1", 0, handlers, tls=ours.server(ca=ours.ca)) as server:
        for tls in (ours.client(), ours.client(shows=strangers), strangers.client(shows=strangers)):
            with called(speech, server.port, tls=tls) as stub, pytest.raises(rpc.Unavailable, match="TLS"):
                stub.divide(1)
        with called(speech, server.port) as stub, pytest.raises((rpc.ProtocolError, rpc.ConnectionLost)):
            stub.divide(1)
        assert not handlers.threads


# Calls that want no reply


def test_a_oneway_call_has_been_handed_over_when_it_returns(
    handlers: services.Handlers, speech: Speech
) -> None:
    with services.ThreadServer("127.0.0.1", 0, handlers) as server:
        for number in range(20):
            with called(speech, server.port) as stub:
                stub.log(f"first {number}")
        with called(speech, server.port) as stub:
            for number in range(50):
                stub.log(f"then {number}")
            stub.log("x" * 1_000_000)
        until(lambda: len(handlers.lines) == 71)
    assert set(handlers.lines[:-1]) >= {f"first {number}" for number in range(20)}


def test_a_oneway_call_finds_a_server_that_has_gone(handlers: services.Handlers, speech: Speech) -> None:
    with services.ThreadServer("127.0.0.1", 0, handlers) as server, called(speech, server.port) as stub:
        stub.divide(1)
        server.shutdown()
        with pytest.raises(rpc.Unavailable):
            stub.log("nobody hears it")
    assert not handlers.lines


# What servers say


def test_a_call_that_a_goaway_leaves_out_goes_to_a_new_connection(
    monkeypatch: pytest.MonkeyPatch, speech: Speech
) -> None:
    monkeypatch.setattr(channel_module, "TRUSTED", 1e9)

    def leave(sock: socket.socket) -> None:
        peers.answering(speech.opening + speech.reply())(sock)
        sock.recv(65536)
        sock.sendall(goaway(1))
        keep(sock)

    with (
        peers.server(leave, peers.answering(speech.opening + speech.reply())) as port,
        called(speech, port) as stub,
    ):
        assert stub.divide(1) == 2.0
        assert stub.divide(1) == 2.0


def test_a_goaway_lets_running_calls_end(speech: Speech) -> None:
    def leave(sock: socket.socket) -> None:
        sock.recv(65536)
        sock.sendall(speech.opening + goaway(1))
        sock.sendall(speech.reply())
        keep(sock)

    with (
        peers.server(leave, peers.answering(speech.opening + speech.reply())) as port,
        called(speech, port) as stub,
    ):
        assert stub.divide(1) == 2.0
        assert stub.divide(1) == 2.0


def test_a_server_that_says_nothing_is_told_of(monkeypatch: pytest.MonkeyPatch, speech: Speech) -> None:
    monkeypatch.setattr(framed, "HANDSHAKE", 0.05)
    monkeypatch.setattr("rpcgen.runtime.sync.client.shared.HANDSHAKE", 0.05)
    hint = r'no HELLO within .* s: if the server speaks plain messages only, say protocol="plain"; if it speaks TLS'
    with (
        peers.server(keep) as port,
        called(speech, port) as stub,
        pytest.raises(rpc.ConnectionLost, match=hint),
    ):
        stub.divide(1)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (rpc.FaultCode.UNAVAILABLE, rpc.Unavailable),
        (rpc.FaultCode.DEADLINE_EXCEEDED, rpc.DeadlineExceeded),
        (rpc.FaultCode.CANCELLED, rpc.Cancelled),
        (rpc.FaultCode.PERMISSION_DENIED, rpc.RemoteFault),
    ],
)
def test_faults_are_the_errors_that_say_the_same(
    code: rpc.FaultCode, error: type[rpc.CallError], speech: Speech
) -> None:
    def answer(sock: socket.socket) -> None:
        peers.answering(speech.opening + speech.fault(code, "so"))(sock)
        peers.answering(speech.reply(call_id=2))(sock)
        keep(sock)

    with peers.server(answer) as port, called(speech, port) as stub:
        with pytest.raises(error, match="so") as caught:
            stub.divide(1)
        assert (caught.value.method, caught.value.peer) == ("divide", f"tcp://127.0.0.1:{port}")
        assert stub.divide(1) == 2.0


# Cancelling


def test_a_call_whose_time_is_up_is_cancelled_and_its_connection_used_again(
    handlers: services.Handlers, speech: Speech
) -> None:
    over = threading.Event()

    def act() -> int:
        context = rpc.context()
        until(lambda: context.cancelled)
        over.set()
        return 1

    handlers.actions["act"] = act
    with services.ThreadServer("127.0.0.1", 0, handlers) as server, called(speech, server.port) as stub:
        stub.divide(1)
        (before,) = stub._channel._open  # type: ignore[attr-defined]
        with pytest.raises(rpc.DeadlineExceeded):
            rpc.with_options(stub, timeout=0.05).run("act")
        assert over.wait(PATIENCE)
        until(lambda: before.quiet())
        assert stub.divide(1) == 1.0
        assert stub._channel._open == {before}  # type: ignore[attr-defined]


# One connection for all threads


def test_a_slow_call_holds_up_no_quick_one_on_the_same_connection(handlers: services.Handlers) -> None:
    with (
        services.ThreadServer("127.0.0.1", 0, handlers) as server,
        called(MULTIPLEXED, server.port) as stub,
        concurrent.futures.ThreadPoolExecutor(16) as pool,
    ):
        slow = [pool.submit(stub.wait, number) for number in range(3)]
        for _ in slow:
            assert handlers.entered.acquire(timeout=PATIENCE)
        quick = [pool.submit(stub.divide, number) for number in range(200)]
        assert [call.result(PATIENCE) for call in quick] == list(range(200))
        assert not any(call.done() for call in slow)
        with pytest.raises(rpc.DeadlineExceeded):
            rpc.with_options(stub, timeout=0.05).wait(9)
        handlers.go_on.set()
        assert [call.result(PATIENCE) for call in slow] == [0, 1, 2]
        assert len(stub._channel._open) == 1  # type: ignore[attr-defined]


def test_large_calls_of_many_threads_share_a_connection(handlers: services.Handlers) -> None:
    with (
        services.ThreadServer("127.0.0.1", 0, handlers) as server,
        called(MULTIPLEXED, server.port, timeout=PATIENCE) as stub,
        concurrent.futures.ThreadPoolExecutor(4) as pool,
    ):
        data = [bytes([number]) * 2_000_000 for number in range(8)]
        assert list(pool.map(stub.echo, data)) == data
        assert len(stub._channel._open) == 1  # type: ignore[attr-defined]


def test_who_cannot_connect_tells_all_that_wait() -> None:
    port = peers.unused_port()
    with called(MULTIPLEXED, port) as stub, concurrent.futures.ThreadPoolExecutor(8) as pool:
        for call in [pool.submit(stub.divide, 1) for _ in range(8)]:
            with pytest.raises(rpc.Unavailable, match="the connection was refused"):
                call.result(PATIENCE)
