"""What becomes of calls and connections while a server ends."""

from __future__ import annotations

import concurrent.futures
import contextlib
import socket
import threading
import time
import typing

import pytest

from rpcgen import runtime as rpc
from rpcgen.runtime.sync.server import loop
from rpcgen.runtime.sync.server.connection import State
from rpcgen.runtime.sync.server.plain_connection import PlainConnection
from rpcgen.runtime.wire.limits import DEFAULT_LIMITS
from tests.support import raw, services

Kind: typing.TypeAlias = services.Kind

WAIT = services.WaitProtocol().args_encode(1)
WAITED = services.WaitProtocol().result_encode(1)
REFUSED = "UNAVAILABLE: the server is closing; the call has not run"


@contextlib.contextmanager
def ending(server: rpc.Server, handlers: services.Handlers) -> typing.Iterator[None]:
    """Shuts down while the block runs, from when the server drains; at its end the server has ended."""
    serving = server._loop
    assert serving is not None
    with concurrent.futures.ThreadPoolExecutor() as pool:
        ended = pool.submit(server.shutdown, 30)
        try:
            # The one thread of a Server is in a handler: it begins when that returns.
            has_thread = isinstance(server, services.ThreadServer)
            while serving._phase is not loop._Phase.DRAINING if has_thread else serving._drain_at is None:
                time.sleep(0.001)
            yield
        finally:
            handlers.go_on.set()
        assert ended.result(40) is True


def test_calls_sent_ahead_are_answered(kind: Kind, handlers: services.Handlers) -> None:
    with kind("127.0.0.1", 0, handlers) as server, raw.connection(server.port) as sock:
        sock.sendall(WAIT + raw.CALL * 3)
        assert handlers.entered.acquire(timeout=10)
        with ending(server, handlers):
            sock.sendall(raw.CALL)
            handlers.go_on.set()
            assert raw.to_the_end(sock) == WAITED + raw.RETURNED * 4


def test_a_client_that_sends_no_more_is_answered(kind: Kind, handlers: services.Handlers) -> None:
    with kind("127.0.0.1", 0, handlers) as server, raw.connection(server.port) as sock:
        sock.sendall(WAIT + raw.CALL)
        sock.shutdown(socket.SHUT_WR)
        assert handlers.entered.acquire(timeout=10)
        with ending(server, handlers):
            handlers.go_on.set()
            assert raw.to_the_end(sock) == WAITED + raw.RETURNED


def test_clients_that_wait_for_their_turn_are_answered(handlers: services.Handlers) -> None:
    with services.Server("127.0.0.1", 0, handlers) as server, contextlib.ExitStack() as stack:
        first, *others = (stack.enter_context(raw.connection(server.port)) for _ in range(5))
        first.sendall(WAIT)
        assert handlers.entered.acquire(timeout=10)
        for other in others:
            other.sendall(raw.CALL)
        with ending(server, handlers):
            handlers.go_on.set()
            assert raw.to_the_end(first) == WAITED
            assert [raw.to_the_end(other) for other in others] == [raw.RETURNED] * 4


def test_what_comes_after_the_last_call_is_refused(
    kind: Kind, handlers: services.Handlers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "QUIET", 30.0)
    with kind("127.0.0.1", 0, handlers) as server, raw.connection(server.port) as sock:
        sock.sendall(WAIT)
        assert handlers.entered.acquire(timeout=10)
        with ending(server, handlers):
            sock.sendall(raw.CALL)
            handlers.go_on.set()
            assert raw.exactly(sock, 10) == WAITED + raw.RETURNED
            sock.sendall(raw.CALL)
            assert raw.fault(sock) == REFUSED
            assert sock.recv(1) == b""
            sock.close()


def test_a_call_that_had_begun_to_come_is_answered(
    kind: Kind, handlers: services.Handlers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "QUIET", 30.0)
    with kind("127.0.0.1", 0, handlers) as server, raw.connection(server.port) as sock:
        sock.sendall(WAIT + raw.CALL[:10])
        assert handlers.entered.acquire(timeout=10)
        with ending(server, handlers):
            handlers.go_on.set()
            assert raw.exactly(sock, 5) == WAITED
            sock.sendall(raw.CALL[10:])
            assert raw.exactly(sock, 5) == raw.RETURNED
            sock.close()


def test_a_connection_ends_without_a_reset_though_a_call_crosses() -> None:
    client, server = socket.socketpair()
    with client, server:
        connection = PlainConnection(server, "a test", DEFAULT_LIMITS)
        assert connection.peek() is None
        connection.part()
        client.sendall(raw.CALL)
        assert connection.hear_out() is True
        assert connection.hear_out() is None
        assert client.recv(100) == b""
        client.close()
        assert connection.hear_out() is False
        assert connection.peek() == b""


def test_a_call_that_has_come_is_refused_when_its_connection_is_ended() -> None:
    client, server = socket.socketpair()
    with client, server:
        connection = PlainConnection(server, "a test", DEFAULT_LIMITS)
        client.sendall(raw.CALL)
        assert connection.peek() == raw.CALL[:1]
        connection.part()
        assert raw.fault(client) == REFUSED
        assert client.recv(1) == b""


def test_busy_clients_are_told_that_their_calls_have_not_run(
    handlers: services.Handlers, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However slow a thread is, its connection is not taken for a quiet one.
    monkeypatch.setattr(loop, "QUIET", 30.0)

    def call(stub: services.ClientStub, begun: threading.Semaphore) -> rpc.RpcError:
        try:
            while stub.divide(6, 3) == 2.0:
                begun.release()
        except rpc.RpcError as error:
            return error
        raise AssertionError

    for _ in range(5):
        begun = threading.Semaphore(0)
        with (
            services.ThreadServer("127.0.0.1", 0, handlers) as server,
            concurrent.futures.ThreadPoolExecutor(9) as pool,
        ):
            with rpc.Channel("127.0.0.1", server.port) as channel:
                stub = services.ClientStub(channel)
                running = [pool.submit(call, stub, begun) for _ in range(8)]
                for _ in range(100):
                    assert begun.acquire(timeout=30)
                ended = pool.submit(server.shutdown, 30)
                assert [type(future.result(60)) for future in running] == [rpc.Unavailable] * 8
            assert ended.result(60) is True


def test_a_successor_takes_the_calls_of_busy_clients(
    handlers: services.Handlers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "QUIET", 30.0)
    first = services.ThreadServer("127.0.0.1", 0, handlers).start()
    with (
        rpc.Channel("127.0.0.1", first.port) as channel,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        stub = services.ClientStub(channel)
        running = pool.submit(stub.wait, 1)
        assert handlers.entered.acquire(timeout=10)
        with ending(first, handlers), services.ThreadServer("127.0.0.1", first.port, handlers):
            handlers.go_on.set()
            assert running.result(30) == 1
            # The first one answers one more on its connection, then refuses it.
            assert [stub.divide(number) for number in range(5)] == list(range(5))
            channel.close()


def test_a_quiet_connection_does_not_keep_a_server_from_closing(
    kind: Kind, handlers: services.Handlers
) -> None:
    for _ in range(20):
        server = kind("127.0.0.1", 0, handlers).start()
        with raw.connection(server.port) as sock:
            sock.sendall(raw.CALL)
            assert raw.exactly(sock, 5) == raw.RETURNED
            assert server._loop is not None
            connections = server._loop._hands.connections
            while any(connection.state is State.SERVED for connection in list(connections)):
                time.sleep(0.001)
            assert server.shutdown(0) is True
            assert server._thread is not None
            assert not server._thread.is_alive()
            assert raw.to_the_end(sock) == b""
