"""Channels against servers that answer, lie, stall and die."""

from __future__ import annotations

import concurrent.futures
import os
import pickle
import socket
import threading
import time
import typing

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from rpcgen import runtime as rpc
from rpcgen.runtime.sync.client import channel as channel_module, pool as pool_module
from tests.support import peers, services
from tests.support.proxy import Proxy
from tests.support.services import InvalidOperation
from tests.support.speech import Speech


def read_nothing(sock: socket.socket) -> None:
    """Keeps the connection open, without an answer, until the client closes it."""
    while sock.recv(65536):
        pass


def stub_to(speech: Speech, port: int, **options: typing.Any) -> services.ClientStub:
    return services.ClientStub(rpc.Channel("127.0.0.1", port, **speech.options, **options))


def answer(speech: Speech) -> typing.Callable[[socket.socket], object]:
    """Answers one call with 2.0."""
    return peers.answering(speech.opening + speech.reply())


def close(stub: services.ClientStub) -> None:
    stub._channel.close()  # type: ignore[attr-defined]


def test_calls_return_and_raise(stub: services.ClientStub) -> None:
    assert stub.divide(200, 100) == 2.0
    assert stub.divide(200) == 200.0
    assert stub.divide(1, 3) == 0.3333333432674408
    with pytest.raises(InvalidOperation, match="division by zero") as caught:
        stub.divide(1, 0)
    assert caught.value.__notes__[0].startswith("raised by divide at tcp://127.0.0.1:")
    assert stub.divide(8, 2) == 4.0


def test_calls_follow_each_other_on_one_connection(speech: Speech, server: services.ThreadServer) -> None:
    with Proxy(server.port) as proxy, rpc.Channel("127.0.0.1", proxy.port, **speech.options) as channel:
        stub = services.ClientStub(channel)
        for number in range(50):
            assert stub.divide(number) == number
        with pytest.raises(InvalidOperation):
            stub.divide(1, 0)
        stub.log("x")
        assert proxy.accepted == 1


@pytest.mark.parametrize("size", [0, 1, 4096, 16 * 1024, 100_000, 3_000_000])
def test_large_messages_pass_both_ways(stub: services.ClientStub, size: int) -> None:
    data = os.urandom(size)
    assert stub.echo(data) == data


def test_replies_may_come_byte_by_byte(speech: Speech, server: services.ThreadServer) -> None:
    with Proxy(server.port) as proxy, rpc.Channel("127.0.0.1", proxy.port, **speech.options) as channel:
        proxy.piece = 1
        stub = services.ClientStub(channel)
        assert stub.divide(9, 3) == 3.0
        assert stub.echo(b"abc") == b"abc"
        with pytest.raises(InvalidOperation, match="division by zero"):
            stub.divide(1, 0)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.integers(-(2**31), 2**31 - 1), st.binary(max_size=300))
def test_any_values_pass(stub: services.ClientStub, number: int, data: bytes) -> None:
    assert stub.divide(number, 1) == pytest.approx(number)
    assert stub.echo(data) == data


def test_a_wrong_argument_is_not_sent(stub: services.ClientStub) -> None:
    with pytest.raises(rpc.EncodeError) as caught:
        stub.divide(2**31)
    assert caught.value.method == "divide"
    assert stub.divide(4, 2) == 2.0


def test_nothing_is_connected_before_the_first_call() -> None:
    channel = rpc.Channel("host.invalid", 1)
    channel.close()


def test_a_refused_connection_says_what_to_do(speech: Speech) -> None:
    port = peers.unused_port()
    with pytest.raises(rpc.Unavailable) as caught:
        stub_to(speech, port).divide(1)
    assert str(caught.value) == (
        f"divide at tcp://127.0.0.1:{port}: cannot connect: the connection was refused; is the server running?"
    )
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


def test_a_missing_unix_socket_says_what_to_do() -> None:
    with pytest.raises(rpc.Unavailable, match="there is no such socket; is the server running"):
        services.ClientStub(rpc.Channel("unix:///nowhere/rpc.sock")).divide(1)


@pytest.mark.parametrize("timeout", [None, 5.0])
def test_a_host_that_is_not_there(timeout: float | None) -> None:
    with pytest.raises(rpc.Unavailable, match=r"cannot find the host 'host\.invalid'"):
        services.ClientStub(rpc.Channel("host.invalid", 1, timeout=timeout)).divide(1)


def test_a_look_up_ends_with_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def look_up(*_: object, **__: object) -> list[object]:
        ended.wait(30)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(rpc.DeadlineExceeded, match=r"while looking up 'some\.host'; the call was not sent"):
        services.ClientStub(rpc.Channel("some.host", 1, timeout=0.05)).divide(1)
    ended.set()


def test_every_address_of_a_host_is_tried(
    server: services.ThreadServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port))
    gone = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", peers.unused_port(), 0, 0))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [gone, there])
    with rpc.Channel("localhost", server.port) as channel:
        assert services.ClientStub(channel).divide(2) == 2.0


@pytest.mark.parametrize("pieces", [(), (b"\1",), (b"\1\x40\0",), (b"\2\0\0\0\5abc",)])
def test_a_cut_reply_says_that_the_call_may_have_run(speech: Speech, pieces: tuple[bytes, ...]) -> None:
    cut = [speech.opening, speech.reply(bytes(50))[:-50], *pieces] if speech.is_framed else pieces
    with peers.server(peers.answering(*cut)) as port:
        with pytest.raises(rpc.ConnectionLost, match="the call may have run") as caught:
            stub_to(speech, port).divide(1)
        assert (caught.value.method, caught.value.peer) == ("divide", f"tcp://127.0.0.1:{port}")


@pytest.mark.parametrize(
    "reply",
    [b"\x09\0\0\0\0\0\0\0", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\1\x40\0\0\0more", b"\2\0\0\0\1\xff"],
)
def test_what_is_no_reply_is_an_error_and_the_next_call_is_well(speech: Speech, reply: bytes) -> None:
    def lie_on(sock: socket.socket) -> None:
        peers.answering(speech.opening + reply)(sock)
        read_nothing(sock)

    with peers.server(lie_on, answer(speech)) as port:
        stub = stub_to(speech, port)
        # RemoteFault: a later kind is read past, whose first bytes may be anything.
        with pytest.raises((rpc.ProtocolError, rpc.RemoteFault, rpc.ConnectionLost)):
            rpc.with_options(stub, timeout=0.2).divide(1)
        close(stub)
    with peers.server(answer(speech)) as port:
        stub = stub_to(speech, port)
        assert stub.divide(1) == 2.0
        close(stub)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(reply=st.binary(min_size=1, max_size=40))
def test_garbage_ends_in_an_error_of_ours_or_in_a_value(speech: Speech, reply: bytes) -> None:
    with peers.server(peers.answering(reply)) as port:
        stub = stub_to(speech, port, timeout=5)
        try:
            assert isinstance(stub.divide(1), float)
        except (rpc.ProtocolError, rpc.ConnectionLost, rpc.RemoteFault, rpc.Unavailable, InvalidOperation):
            pass
        finally:
            close(stub)


def test_a_fault_has_code_message_method_and_peer(speech: Speech) -> None:
    fault = speech.fault(rpc.FaultCode.RESOURCE_EXHAUSTED, "come later")
    with peers.server(peers.answering(speech.opening, fault)) as port:
        stub = stub_to(speech, port)
        with pytest.raises(rpc.RemoteFault) as caught:
            stub.divide(1)
        close(stub)
    assert caught.value.code is rpc.FaultCode.RESOURCE_EXHAUSTED
    assert caught.value.message == "come later"
    assert str(caught.value) == f"divide at tcp://127.0.0.1:{port}: RESOURCE_EXHAUSTED: come later"
    assert pickle.loads(pickle.dumps(caught.value)).peer == f"tcp://127.0.0.1:{port}"


def test_a_server_that_is_full_is_unavailable_and_not_kept(speech: Speech) -> None:
    fault = speech.fault(rpc.FaultCode.UNAVAILABLE, "full", 0)
    with peers.server(peers.answering(speech.opening, fault), answer(speech)) as port:
        stub = stub_to(speech, port)
        with pytest.raises(rpc.Unavailable, match="full"):
            stub.divide(1)
        assert stub.divide(1) == 2.0
        close(stub)


# Connections of the pool


def test_a_restarted_server_fails_no_call(speech: Speech, handlers: services.Handlers) -> None:
    first = services.ThreadServer("127.0.0.1", 0, handlers).start()
    with rpc.Channel("127.0.0.1", first.port, **speech.options) as channel:
        stub = services.ClientStub(channel)
        stub.divide(1)
        first.shutdown()
        with services.ThreadServer("127.0.0.1", first.port, handlers):
            # A connection that was used a moment ago is trusted; nothing to wait for but time itself.
            time.sleep(pool_module.TRUSTED)
            assert stub.divide(3) == 3.0


def test_a_connection_that_breaks_before_the_call_is_sent_is_replaced(
    speech: Speech,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As above, with the look at the connection left out: the send fails, and the call did not run."""
    monkeypatch.setattr(channel_module, "TRUSTED", 1e9)

    def answer_and_reset(sock: socket.socket) -> None:
        answer(speech)(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with peers.server(answer_and_reset, answer(speech)) as port:
        stub = stub_to(speech, port)
        assert stub.divide(1) == 2.0
        (connection,) = stub._channel._open  # type: ignore[attr-defined]
        connection.is_readable()
        connection._poll.poll(5000)
        assert stub.divide(1) == 2.0
        close(stub)


def test_a_connection_with_unread_bytes_is_thrown_away(
    speech: Speech, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel_module, "TRUSTED", -1.0)
    more = threading.Event()

    def add_later(sock: socket.socket) -> None:
        answer(speech)(sock)
        more.wait(10)
        sock.sendall(speech.reply(call_id=1))
        read_nothing(sock)

    with peers.server(add_later, answer(speech)) as port:
        stub = stub_to(speech, port)
        assert stub.divide(1) == 2.0
        (connection,) = stub._channel._open  # type: ignore[attr-defined]
        assert connection.quiet()
        connection.is_readable()
        more.set()
        connection._poll.poll(5000)
        assert stub.divide(1) == 2.0
        close(stub)


def test_idle_connections_are_let_go(
    server: services.ThreadServer, speech: Speech, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "IDLE_TIME", -1.0)
    monkeypatch.setattr(channel_module, "TRUSTED", -1.0)
    with rpc.Channel("127.0.0.1", server.port, **speech.options) as channel:
        stub = services.ClientStub(channel)
        stub.divide(1)
        (first,) = channel._open
        stub.divide(1)
        assert first not in channel._open


def test_threads_share_a_stub(speech: Speech, stub: services.ClientStub, channel: rpc.Channel) -> None:
    def work(thread: int) -> int:
        for number in range(200):
            assert stub.divide(thread * 1000 + number, 1) == thread * 1000 + number
            assert stub.echo(b"%d" % thread * 20) == b"%d" % thread * 20
        return thread

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert list(pool.map(work, range(16))) == list(range(16))
    assert len(channel._open) <= (1 if speech.is_shared else 16)
    assert speech.is_shared or set(channel._idle) == channel._open


def test_connections_can_be_limited(
    speech: Speech, server: services.ThreadServer, handlers: services.Handlers
) -> None:
    if speech.is_shared:
        with pytest.raises(ValueError, match="max_connections with multiplex: there is one connection then"):
            rpc.Channel("127.0.0.1", server.port, **speech.options, max_connections=2)
        return
    with (
        rpc.Channel("127.0.0.1", server.port, **speech.options, max_connections=2) as channel,
        concurrent.futures.ThreadPoolExecutor(8) as pool,
    ):
        stub = services.ClientStub(channel)
        waiting = [pool.submit(stub.wait, number) for number in range(4)]
        assert handlers.entered.acquire(timeout=10)
        assert handlers.entered.acquire(timeout=10)
        with pytest.raises(rpc.DeadlineExceeded, match="2 other calls took all the time"):
            rpc.with_options(stub, timeout=0.05).divide(1)
        handlers.go_on.set()
        assert [call.result(10) for call in waiting] == [0, 1, 2, 3]
        assert len(channel._open) == 2
    with pytest.raises(ValueError, match="max_connections is at least 1"):
        rpc.Channel("127.0.0.1", 1, **speech.options, max_connections=0)


# Deadlines


def in_time(call: typing.Callable[[], object]) -> float:
    """Gives the seconds until DeadlineExceeded."""
    start = time.monotonic()
    with pytest.raises(rpc.DeadlineExceeded):
        call()
    return time.monotonic() - start


def test_deadlines_from_everywhere(speech: Speech, server: services.ThreadServer) -> None:
    with (
        rpc.Channel("127.0.0.1", server.port, **speech.options, timeout=0.1) as impatient,
        rpc.Channel("127.0.0.1", server.port, **speech.options) as patient,
    ):
        stub = services.ClientStub(patient)
        assert 0.1 <= in_time(lambda: services.ClientStub(impatient).wait(1)) < 1
        assert 0.1 <= in_time(lambda: rpc.with_options(stub, timeout=0.1).wait(1)) < 1
        assert 0.05 <= in_time(stub.hurry) < 1
        with rpc.deadline(0.1):
            assert 0.05 <= in_time(lambda: stub.wait(1)) < 1
            assert in_time(lambda: stub.wait(1)) < 0.05
        with rpc.deadline(0.1):
            assert 0.05 <= in_time(lambda: rpc.with_options(stub, timeout=10).wait(1)) < 1
        with rpc.deadline(10):
            assert 0.1 <= in_time(lambda: rpc.with_options(stub, timeout=0.1).wait(1)) < 1
        assert stub.divide(1) == 1.0


def test_a_call_s_own_timeout_comes_before_the_idl_s_and_the_channel_s(
    speech: Speech, server: services.ThreadServer, handlers: services.Handlers
) -> None:
    with rpc.Channel("127.0.0.1", server.port, **speech.options, timeout=0.01) as channel:
        threading.Timer(0.15, handlers.go_on.set).start()
        assert rpc.with_options(services.ClientStub(channel), timeout=10).hurry() == 1


def test_a_deadline_that_has_passed_sends_nothing(speech: Speech) -> None:
    with rpc.deadline(0), pytest.raises(rpc.DeadlineExceeded, match="before the call was sent") as caught:
        stub_to(speech, 1).divide(1)
    assert caught.value.method == "divide"


def test_no_half_read_connection_stays(
    speech: Speech, server: services.ThreadServer, handlers: services.Handlers
) -> None:
    with rpc.Channel("127.0.0.1", server.port, **speech.options) as channel:
        stub = services.ClientStub(channel)
        in_time(lambda: rpc.with_options(stub, timeout=0.05).wait(77))
        assert speech.is_framed or not channel._open
        handlers.go_on.set()
        assert stub.wait(5) == 5
        assert stub.divide(9, 3) == 3.0


def test_a_deadline_holds_for_a_reply_that_trickles(speech: Speech) -> None:
    ended = threading.Event()

    def trickle(sock: socket.socket) -> None:
        sock.recv(65536)
        sock.sendall(speech.opening + speech.reply(b"\1\0\0\1\0" + bytes(256))[:-256])
        while not ended.wait(0.02):
            sock.sendall(b"x")

    with peers.server(trickle) as port:
        stub = stub_to(speech, port)
        assert 0.2 <= in_time(lambda: rpc.with_options(stub, timeout=0.2).echo(b"")) < 1
        close(stub)
        ended.set()


def test_a_reply_has_its_time_without_a_deadline(speech: Speech) -> None:
    ended = threading.Event()

    def stall(sock: socket.socket) -> None:
        sock.recv(65536)
        sock.sendall(speech.opening + speech.reply(b"\1\0\0\1\0" + bytes(256))[:-256])
        ended.wait(10)

    with peers.server(stall) as port:
        stub = stub_to(speech, port, limits=rpc.Limits(receive_time=0.1))
        with pytest.raises(rpc.ConnectionLost, match=r"a reply took longer than 0\.1 s"):
            stub.echo(b"")
        ended.set()


def test_a_deadline_holds_for_a_server_that_does_not_read(speech: Speech) -> None:
    ended = threading.Event()
    with peers.server(lambda sock: ended.wait(30)) as port:
        stub = stub_to(speech, port)
        assert 0.2 <= in_time(lambda: rpc.with_options(stub, timeout=0.2).echo(bytes(15_000_000))) < 2
        close(stub)
        ended.set()


def test_a_deadline_holds_while_connecting(speech: Speech) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        full = []
        for _ in range(4):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
            full.append(sock)
        stub = stub_to(speech, listener.getsockname()[1])
        assert 0.2 <= in_time(lambda: rpc.with_options(stub, timeout=0.2).divide(1)) < 2
        for sock in full:
            sock.close()


# Ends


def test_a_closed_channel_calls_nothing(channel: rpc.Channel) -> None:
    stub = services.ClientStub(channel)
    stub.divide(1)
    channel.close()
    channel.close()
    with pytest.raises(rpc.Unavailable, match="the channel is closed; the call was not sent"):
        stub.divide(1)
    assert not channel._open
    assert repr(channel).startswith("<closed channel to tcp://127.0.0.1:")


def test_close_ends_running_calls(
    server: services.ThreadServer, handlers: services.Handlers, channel: rpc.Channel
) -> None:
    stub = services.ClientStub(channel)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        running = [pool.submit(stub.wait, number) for number in range(4)]
        for _ in running:
            assert handlers.entered.acquire(timeout=10)
        start = time.monotonic()
        channel.close()
        for call in running:
            with pytest.raises(rpc.Cancelled, match="the channel was closed while the call was running"):
                call.result(10)
        assert time.monotonic() - start < 5
    assert not channel._open


def test_a_forked_child_uses_connections_of_its_own(speech: Speech, server: services.ThreadServer) -> None:
    with Proxy(server.port) as proxy, rpc.Channel("127.0.0.1", proxy.port, **speech.options) as channel:
        stub = services.ClientStub(channel)
        assert stub.divide(1) == 1.0
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if all(stub.divide(number) == number for number in range(20)) else 1)
            finally:
                os._exit(2)
        for number in range(20, 40):
            assert stub.divide(number) == number
        assert os.waitpid(child, 0)[1] == 0
        assert proxy.accepted == 2


def test_an_interrupted_call_leaves_nothing_behind(
    speech: Speech, channel: rpc.Channel, handlers: services.Handlers
) -> None:
    import signal

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            services.ClientStub(channel).wait(1)
    finally:
        signal.signal(signal.SIGALRM, before)
    # The calls of other threads go on.
    assert speech.is_shared or not channel._open
    handlers.go_on.set()
    assert services.ClientStub(channel).wait(2) == 2
