"""Clients and servers with a network in between that stalls, cuts and garbles."""

from __future__ import annotations

import concurrent.futures
import os
import pathlib
import socket
import threading
import time
import typing

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from rpcgen import runtime as rpc
from tests.support import peers, raw, services
from tests.support.proxy import Proxy
from tests.support.speech import Speech


@pytest.fixture
def proxy(server: services.ThreadServer) -> typing.Iterator[Proxy]:
    with Proxy(server.port) as passing:
        yield passing


# Cut and frozen replies


@pytest.mark.parametrize("passed", [1, 4, 5, 100, 50_000])
def test_a_reply_cut_in_its_middle_is_lost_and_the_next_call_is_well(
    speech: Speech, proxy: Proxy, passed: int
) -> None:
    with rpc.Channel("127.0.0.1", proxy.port, **speech.options) as channel:
        stub = services.ClientStub(channel)
        assert stub.divide(1) == 1.0
        proxy.cuts_replies_after = passed
        with pytest.raises(rpc.ConnectionLost, match=r"inside (its reply|a frame); the call may have run"):
            stub.echo(bytes(100_000))
        assert not channel._open
        proxy.cuts_replies_after = None
        assert stub.echo(b"next") == b"next"


def test_a_reply_that_never_comes_ends_with_the_deadline_and_is_never_read(
    speech: Speech, proxy: Proxy
) -> None:
    with rpc.Channel("127.0.0.1", proxy.port, **speech.options) as channel:
        stub = services.ClientStub(channel)
        assert stub.divide(1) == 1.0
        proxy.swallows_replies = True
        with pytest.raises(rpc.DeadlineExceeded, match="the call may have run"):
            rpc.with_options(stub, timeout=0.1).echo(b"old")
        assert speech.is_framed or not channel._open
        proxy.swallows_replies = False
        assert stub.echo(b"new") == b"new"


def test_a_frozen_server_costs_each_thread_its_deadline_and_no_more(speech: Speech, proxy: Proxy) -> None:
    with (
        rpc.Channel("127.0.0.1", proxy.port, **speech.options, timeout=0.2) as channel,
        concurrent.futures.ThreadPoolExecutor(8) as pool,
    ):
        stub = services.ClientStub(channel)
        assert list(pool.map(stub.divide, range(8))) == list(range(8))
        proxy.swallows_replies = True
        start = time.monotonic()
        calls = [pool.submit(stub.divide, number) for number in range(8)]
        for call in calls:
            with pytest.raises(rpc.DeadlineExceeded):
                call.result(10)
        assert time.monotonic() - start < 2
        assert speech.is_framed or not channel._open
        proxy.swallows_replies = False
        assert list(pool.map(stub.divide, range(8))) == list(range(8))


# A deadline holds for the whole of a call


def test_time_spent_sending_is_taken_from_the_time_for_the_reply(speech: Speech) -> None:
    ended = threading.Event()

    def read_late(sock: socket.socket) -> None:
        ended.wait(0.3)
        while sock.recv(1 << 20):
            pass

    message = bytes(15_000_000)
    with (
        peers.server(read_late) as port,
        rpc.Channel("127.0.0.1", port, **speech.options, timeout=0.5) as channel,
    ):
        start = time.monotonic()
        with pytest.raises(rpc.DeadlineExceeded):
            services.ClientStub(channel).echo(message)
        assert 0.5 <= time.monotonic() - start < 0.75


def test_time_spent_on_a_turn_is_taken_from_the_time_for_the_reply(
    speech: Speech, server: services.ThreadServer, handlers: services.Handlers
) -> None:
    never = threading.Event()
    handlers.actions["hang"] = lambda: never.wait(30)
    if speech.is_shared:
        pytest.skip("nobody waits for a turn")
    with (
        rpc.Channel("127.0.0.1", server.port, **speech.options, max_connections=1) as channel,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        stub = services.ClientStub(channel)
        first = pool.submit(stub.wait, 1)
        assert handlers.entered.acquire(timeout=10)
        threading.Timer(0.3, handlers.go_on.set).start()
        start = time.monotonic()
        with pytest.raises(rpc.DeadlineExceeded, match=r"no reply within the call's time|time was up before"):
            rpc.with_options(stub, timeout=0.5).run("hang")
        assert 0.5 <= time.monotonic() - start < 0.7
        assert first.result(10) == 1
        never.set()


# Forks


def test_a_child_that_closes_its_channel_leaves_the_parent_s_calls_alone(
    channel: rpc.Channel, handlers: services.Handlers
) -> None:
    stub = services.ClientStub(channel)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        running = pool.submit(stub.wait, 5)
        assert handlers.entered.acquire(timeout=10)
        child = os.fork()
        if child == 0:
            try:
                channel.close()
                os._exit(0)
            finally:
                os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
        handlers.go_on.set()
        assert running.result(10) == 5


def test_a_child_and_its_parent_call_at_once(channel: rpc.Channel) -> None:
    stub = services.ClientStub(channel)
    assert stub.divide(1) == 1.0
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writable, b"!")
            os._exit(0 if all(stub.echo(b"child%d" % n) == b"child%d" % n for n in range(300)) else 1)
        finally:
            os._exit(2)
    os.read(readable, 1)
    for number in range(300):
        assert stub.echo(b"parent%d" % number) == b"parent%d" % number
    assert os.waitpid(child, 0)[1] == 0
    os.close(readable)
    os.close(writable)


# Garbage


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(pieces=st.lists(st.binary(max_size=40) | st.just(raw.CALL), min_size=1, max_size=5))
def test_any_bytes_on_one_connection_leave_the_next_alone(
    server: services.ThreadServer, channel: rpc.Channel, pieces: list[bytes]
) -> None:
    with raw.connection(server.port) as garbled:
        try:
            for piece in pieces:
                garbled.sendall(piece)
            garbled.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the server has closed it already
        answers = raw.to_the_end(garbled)
        if pieces[0] == raw.CALL and len(pieces) == 1:
            assert answers == raw.RETURNED
        assert services.ClientStub(channel).divide(6, 3) == 2.0


# Restarts


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_restart_fails_no_call_of_any_thread(
    speech: Speech, handlers: services.Handlers, tmp_path: pathlib.Path, kind: str
) -> None:
    host, port = ("127.0.0.1", 0) if kind == "tcp" else (f"unix://{tmp_path}/rpc.sock", None)
    first = services.ThreadServer(host, port, handlers).start()
    together = threading.Barrier(8, timeout=10)

    def call(number: int) -> float:
        together.wait()
        return stub.divide(number)

    with (
        rpc.Channel(host, port if port is None else first.port, **speech.options) as channel,
        concurrent.futures.ThreadPoolExecutor(8) as pool,
    ):
        stub = services.ClientStub(channel)
        assert list(pool.map(call, range(8))) == list(range(8))
        first.shutdown()
        with services.ThreadServer(host, port if port is None else first.port, handlers):
            assert list(pool.map(call, range(8))) == list(range(8))
