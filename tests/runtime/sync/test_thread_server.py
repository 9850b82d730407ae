"""Threads, limits and slow peers of the ThreadServer."""

from __future__ import annotations

import concurrent.futures
import logging
import socket
import threading
import time
import typing

import pytest

from rpcgen import runtime as rpc
from tests.support import processes, raw, services


def threads(prefix: str) -> list[str]:
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith(prefix))


def answers(sock: socket.socket) -> bool:
    """Makes a call over the connection."""
    sock.sendall(raw.CALL)
    return raw.exactly(sock, 5) == raw.RETURNED


def serve(handlers: services.Handlers, **options: typing.Any) -> services.ThreadServer:
    return services.ThreadServer("127.0.0.1", 0, handlers, **options)


def test_idle_connections_take_no_thread(handlers: services.Handlers) -> None:
    with serve(handlers, name="few", max_workers=2) as server:
        connections = [socket.create_connection(("127.0.0.1", server.port), 20) for _ in range(100)]
        start = time.monotonic()
        for sock in [*connections, *reversed(connections)]:
            assert answers(sock)
        assert time.monotonic() - start < 1, "no thread waits for the next call of a quiet connection"
        assert set(threads("few-")) <= {"few-1", "few-2"}
        for sock in connections:
            sock.close()


def test_threads_start_when_needed_and_have_names(handlers: services.Handlers) -> None:
    with (
        serve(handlers, name="lazy") as server,
        rpc.Channel("127.0.0.1", server.port) as channel,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        assert threads("lazy-") == []
        stub = services.ClientStub(channel)
        stub.divide(1)
        assert threads("lazy-") == ["lazy-1"]
        running = [pool.submit(stub.wait, number) for number in range(3)]
        for _ in running:
            assert handlers.entered.acquire(timeout=10)
        assert 3 <= len(threads("lazy-")) <= 4
        assert stub.divide(1) == 1.0
        handlers.go_on.set()
        assert [call.result(10) for call in running] == [0, 1, 2]
    assert handlers.threads <= {"lazy-1", "lazy-2", "lazy-3", "lazy-4"}


def test_at_most_so_many_calls_run_at_once_and_the_others_wait(handlers: services.Handlers) -> None:
    with (
        serve(handlers, max_workers=3) as server,
        rpc.Channel("127.0.0.1", server.port) as channel,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        stub = services.ClientStub(channel)
        running = [pool.submit(stub.wait, number) for number in range(3)]
        for _ in running:
            assert handlers.entered.acquire(timeout=10)
        late = pool.submit(stub.divide, 8, 2)
        with pytest.raises(concurrent.futures.TimeoutError):
            late.result(0.1)
        handlers.go_on.set()
        assert late.result(10) == 4.0
        assert [call.result(10) for call in running] == [0, 1, 2]
    with pytest.raises(ValueError, match="max_workers is at least 1"):
        serve(handlers, max_workers=0)


def test_more_busy_connections_than_threads_are_all_served(handlers: services.Handlers) -> None:
    def work(port: int) -> bool:
        with raw.connection(port) as sock:
            return all(answers(sock) for _ in range(100))

    with serve(handlers, max_workers=2) as server, concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert all(pool.map(work, [server.port] * 16))


def test_calls_sent_ahead_are_answered_in_order_while_others_wait(handlers: services.Handlers) -> None:
    def work(port: int) -> bool:
        with raw.connection(port) as sock:
            sock.sendall(raw.CALL * 300)
            return raw.exactly(sock, 1500) == raw.RETURNED * 300

    with serve(handlers, max_workers=1) as server, concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, [server.port] * 8))


# Slow peers


def test_slow_senders_take_no_thread(handlers: services.Handlers) -> None:
    with serve(handlers, max_workers=1) as server:
        slow = [socket.create_connection(("127.0.0.1", server.port), 20) for _ in range(50)]
        with raw.connection(server.port) as quick:
            for byte in range(len(raw.CALL)):
                for sock in slow:
                    sock.sendall(raw.CALL[byte : byte + 1])
                assert answers(quick)
        for sock in slow:
            assert raw.exactly(sock, 5) == raw.RETURNED
            sock.close()


def test_a_client_that_does_not_read_takes_no_thread(handlers: services.Handlers) -> None:
    data = bytes(15_000_000)
    message = services.EchoProtocol().args_encode(data)
    with (
        serve(handlers, max_workers=1) as server,
        raw.connection(server.port) as lazy,
        raw.connection(server.port) as quick,
    ):
        for _ in range(2):
            lazy.sendall(message)
            for _ in range(5):
                assert answers(quick)
            assert raw.exactly(lazy, 5 + len(data))[5:] == data


def test_a_reply_that_nobody_reads_is_given_up(
    handlers: services.Handlers, caplog: pytest.LogCaptureFixture
) -> None:
    message = services.EchoProtocol().args_encode(bytes(15_000_000))
    with (
        serve(handlers, limits=rpc.Limits(receive_time=0.3)) as server,
        raw.connection(server.port) as lazy,
    ):
        lazy.sendall(message)
        while server._loop is None or server._loop._hands.connections:
            time.sleep(0.01)
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "it took over 0.3 s to take a reply"
    ]


def test_a_message_has_its_time(handlers: services.Handlers, caplog: pytest.LogCaptureFixture) -> None:
    with (
        serve(handlers, limits=rpc.Limits(receive_time=0.1)) as server,
        raw.connection(server.port) as slow,
        raw.connection(server.port) as idle,
    ):
        assert answers(idle)
        slow.sendall(raw.CALL[:7])
        assert raw.to_the_end(slow) == b""
        assert answers(idle)
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "it took over 0.1 s to send a call"
    ]


def _go_on_sending(sock: socket.socket) -> None:
    for _ in range(10_000):
        sock.sendall(bytes(5000))
        time.sleep(0.001)


def test_a_message_that_never_stops_coming_has_its_time_too(handlers: services.Handlers) -> None:
    with (
        serve(handlers, limits=rpc.Limits(receive_time=0.2)) as server,
        raw.connection(server.port) as slow,
    ):
        slow.sendall(raw.call("echo", bytes(10_000_000))[:100])
        start = time.monotonic()
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            _go_on_sending(slow)
        assert time.monotonic() - start < 5


def test_idle_connections_are_closed(handlers: services.Handlers, caplog: pytest.LogCaptureFixture) -> None:
    with serve(handlers, limits=rpc.Limits(idle_time=0.1)) as server, raw.connection(server.port) as sock:
        assert answers(sock)
        assert raw.to_the_end(sock) == b""
    assert caplog.records == []


def test_a_call_may_take_longer_than_idle_time(handlers: services.Handlers) -> None:
    with (
        serve(handlers, limits=rpc.Limits(idle_time=0.05, receive_time=0.05)) as server,
        rpc.Channel("127.0.0.1", server.port) as channel,
    ):
        threading.Timer(0.3, handlers.go_on.set).start()
        assert services.ClientStub(channel).wait(3) == 3


# Too much


def test_connections_beyond_the_limit_are_refused(
    handlers: services.Handlers, caplog: pytest.LogCaptureFixture
) -> None:
    with serve(handlers, limits=rpc.Limits(connections=3)) as server:
        kept = [socket.create_connection(("127.0.0.1", server.port), 20) for _ in range(3)]
        for sock in kept:
            assert answers(sock)
        for _ in range(2):
            with (
                rpc.Channel("127.0.0.1", server.port) as channel,
                pytest.raises(rpc.Unavailable, match="the server has its 3 connections"),
            ):
                services.ClientStub(channel).divide(1)
        for sock in kept:
            assert answers(sock)
        kept.pop().close()
        with rpc.Channel("127.0.0.1", server.port) as channel:
            while True:
                try:
                    assert services.ClientStub(channel).divide(1) == 1.0
                    break
                except rpc.Unavailable:
                    continue  # the server has not yet seen the other one's end
        for sock in kept:
            sock.close()
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert errors == [
        "refused a connection: the limit of connections is reached (3 are open; said once a minute)"
    ]


FEW_DESCRIPTORS = """
import os, resource, sys
from tests.support import services
server = services.ThreadServer("127.0.0.1", 0, services.Handlers())
server.start()
resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 9, 4096))
print(server.port, flush=True)
sys.stdin.readline()
before = os.times()
sys.stdin.readline()
after = os.times()
print(after.user + after.system - before.user - before.system, flush=True)
sys.stdin.readline()
"""


def test_without_descriptors_a_server_pauses_and_goes_on() -> None:
    with processes.python(FEW_DESCRIPTORS) as process:
        port = int(processes.line(process))
        assert process.stdin is not None
        assert process.stderr is not None
        sockets = [socket.create_connection(("127.0.0.1", port), 20) for _ in range(20)]
        assert answers(sockets[0])
        assert "cannot accept connections: Too many open files" in process.stderr.readline()
        process.stdin.write("\n")
        process.stdin.flush()
        time.sleep(1)
        process.stdin.write("\n")
        process.stdin.flush()
        assert float(processes.line(process)) < 0.2, "it must not spin"
        assert answers(sockets[1])
        for sock in sockets[:15]:
            sock.close()
        for sock in sockets[15:]:
            assert answers(sock)
            sock.close()
        process.stdin.close()
        assert process.wait(10) == 0
        assert process.stderr.read() == "", "it is said once"


def test_a_thousand_connections_at_once(handlers: services.Handlers) -> None:
    with serve(handlers, name="thousand") as server:
        connections = [socket.create_connection(("127.0.0.1", server.port), 20) for _ in range(1000)]
        for sock in connections:
            sock.sendall(raw.CALL)
        for sock in connections:
            assert raw.exactly(sock, 5) == raw.RETURNED
        assert len(threads("thousand-")) <= 64
        for sock in connections:
            sock.close()
        while server._loop is None or server._loop._hands.connections:
            time.sleep(0.005)


def test_random_cuts_of_many_clients_hurt_nobody(handlers: services.Handlers) -> None:
    stop = threading.Event()

    def disturb(port: int) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            with socket.create_connection(("127.0.0.1", port), 20) as sock:
                sock.sendall((raw.CALL * 3)[: number % 70] + b"\xff" * (number % 3))

    with (
        serve(handlers, max_workers=4) as server,
        rpc.Channel("127.0.0.1", server.port) as channel,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        stub = services.ClientStub(channel)
        disturbing = [pool.submit(disturb, server.port) for _ in range(2)]
        for number in range(1000):
            assert stub.divide(number) == number
        stop.set()
        for call in disturbing:
            call.result(10)
