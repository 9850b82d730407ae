"""Where servers listen, and how they end."""

from __future__ import annotations

import concurrent.futures
import errno
import logging
import pathlib
import signal
import socket
import threading
import time
import typing

import pytest

from rpcgen import runtime as rpc
from rpcgen.runtime.wire.choice import choice
from tests.support import processes, raw, services

Kind: typing.TypeAlias = services.Kind


@pytest.fixture
def server(kind: Kind, handlers: services.Handlers) -> typing.Iterator[rpc.Server]:
    with kind("127.0.0.1", 0, handlers) as serving:
        yield serving
        handlers.go_on.set()


# Addresses


def test_an_address_is_known_once_bound(kind: Kind) -> None:
    server = kind("127.0.0.1", 0, services.Handlers())
    with pytest.raises(RuntimeError, match="not bound yet"):
        server.address  # noqa: B018
    address = server.bind()
    assert address == server.bind() == server.address
    assert address.host == "127.0.0.1"
    assert server.port == address.port > 0
    assert repr(server) == f"<{kind.__name__} at tcp://127.0.0.1:{server.port}, bound>"
    server.close()


def test_unix_sockets(kind: Kind, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "rpc.sock"
    with kind(f"unix://{path}", None, services.Handlers()) as server:
        assert str(server.address) == f"unix://{path}"
        with rpc.connect(f"unix://{path}") as channel:
            assert services.ClientStub(channel).divide(6, 3) == 2.0
    assert not path.exists()


def test_a_dead_server_s_unix_socket_is_replaced_and_a_live_one_is_not(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "rpc.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    with services.ThreadServer(f"unix://{path}", None, services.Handlers()):
        with pytest.raises(
            OSError, match=f"cannot listen at unix://{path}: Address already in use"
        ) as caught:
            services.ThreadServer(f"unix://{path}", None, services.Handlers()).bind()
        assert caught.value.errno == errno.EADDRINUSE
        with rpc.connect(f"unix://{path}") as channel:
            assert services.ClientStub(channel).divide(6, 3) == 2.0


def test_a_file_is_not_taken_for_a_socket(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(OSError, match="a file that is no socket is there"):
        services.ThreadServer(f"unix://{path}", None, services.Handlers()).bind()
    assert path.read_text() == "data"


def test_a_successor_s_unix_socket_is_left_alone(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "rpc.sock"
    first = services.ThreadServer(f"unix://{path}", None, services.Handlers()).start()
    path.unlink()
    with services.ThreadServer(f"unix://{path}", None, services.Handlers()):
        first.close()
        assert path.exists()


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_ipv6(kind: Kind) -> None:
    with kind("::1", 0, services.Handlers()) as server:
        assert str(server.address) == f"tcp://[::1]:{server.port}"
        with rpc.connect(str(server.address)) as channel:
            assert services.ClientStub(channel).divide(6, 3) == 2.0


def test_an_address_in_use_is_named(server: rpc.Server, kind: Kind) -> None:
    with pytest.raises(OSError, match=f"cannot listen at tcp://127.0.0.1:{server.port}: Address") as caught:
        kind("127.0.0.1", server.port, services.Handlers()).serve()
    assert caught.value.errno == errno.EADDRINUSE


def test_before_it_serves_a_server_says_where(kind: Kind, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "rpcgen"), kind("127.0.0.1", 0, services.Handlers()) as server:
        assert caplog.messages == [
            f"serving tests.support.services.ServerStub at tcp://127.0.0.1:{server.port} "
            f"(codec: {'C' if choice().native else 'Python'}), registered nowhere"
        ]


# Ends


def waiting(
    pool: concurrent.futures.ThreadPoolExecutor, server: rpc.Server, handlers: services.Handlers
) -> concurrent.futures.Future[int]:
    """Has a call in its handler, on a channel of its own."""

    def call() -> int:
        with rpc.connect(str(server.address)) as channel:
            return services.ClientStub(channel).wait(5)

    running = pool.submit(call)
    assert handlers.entered.acquire(timeout=10)
    return running


def test_a_shutdown_lets_running_calls_end(kind: Kind, handlers: services.Handlers) -> None:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        server = kind("127.0.0.1", 0, handlers).start()
        with raw.connection(server.port) if kind is services.ThreadServer else socket.socket() as idle:
            running = waiting(pool, server, handlers)
            ending = pool.submit(server.shutdown, 20)
            if kind is services.ThreadServer:
                assert idle.recv(1) == b"", "idle connections are closed at once"
            assert not ending.done()
            handlers.go_on.set()
            assert running.result(10) == 5
            assert ending.result(10) is True
        with pytest.raises(rpc.Unavailable), rpc.connect(str(server.address)) as channel:
            services.ClientStub(channel).divide(1)


def test_a_shutdown_ends_with_its_grace(kind: Kind, handlers: services.Handlers) -> None:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        server = kind("127.0.0.1", 0, handlers).start()
        running = waiting(pool, server, handlers)
        start = time.monotonic()
        assert server.shutdown(0.1) is False
        assert 0.1 <= time.monotonic() - start < 5
        with pytest.raises(rpc.ConnectionLost, match="the call may have run"):
            running.result(10)
        handlers.go_on.set()


def test_a_handler_can_shut_its_server_down(kind: Kind) -> None:
    results: list[bool] = []
    handlers = services.Handlers(stop=lambda: results.append(served.shutdown(10)) or 7)  # type: ignore[func-returns-value]
    served: rpc.Server = kind("127.0.0.1", 0, handlers)
    served.bind()
    serving = threading.Thread(target=served.serve)
    serving.start()
    with rpc.connect(str(served.address)) as channel:
        assert services.ClientStub(channel).run("stop") == 7
    serving.join(10)
    assert not serving.is_alive()
    assert results == [True]


def test_ends_come_again_and_in_any_order(kind: Kind) -> None:
    server = kind("127.0.0.1", 0, services.Handlers())
    assert server.shutdown()
    server.close()
    with pytest.raises(RuntimeError, match="the server is closed: make another"):
        server.serve()
    bound = kind("127.0.0.1", 0, services.Handlers())
    bound.bind()
    bound.close()
    started = kind("127.0.0.1", 0, services.Handlers()).start()
    with pytest.raises(RuntimeError, match="the server serves already"):
        started.start()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        assert list(pool.map(lambda _: started.shutdown(), range(8))) == [True] * 8
    started.close()


def test_health_says_no_while_it_drains(handlers: services.Handlers) -> None:
    healthy: list[bool] = []

    def act() -> int:
        handlers.entered.release()
        assert handlers.go_on.wait(20)
        healthy.append(served._dispatcher.health(None))
        return 1

    handlers.actions["act"] = act
    served = services.ThreadServer("127.0.0.1", 0, handlers).start()
    with rpc.connect(str(served.address)) as channel, concurrent.futures.ThreadPoolExecutor() as pool:
        running = pool.submit(services.ClientStub(channel).run, "act")
        assert handlers.entered.acquire(timeout=10)
        ending = pool.submit(served.shutdown, 10)
        while served._dispatcher.serving:
            time.sleep(0.001)
        handlers.go_on.set()
        assert running.result(10) == 1
        assert ending.result(10)
    assert healthy == [False]


SERVE = """
import signal, sys, threading
from tests.support import services
class Handlers(services.Handlers):
    def wait(self, number):
        print("entered", flush=True)
        threading.Event().wait(float(number))
        return number
server = getattr(services, sys.argv[1])("127.0.0.1", 0, Handlers(), grace=20)
print(server.bind().port, flush=True)
before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
try:
    server.serve()
except KeyboardInterrupt:
    print("interrupted", flush=True)
assert before == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
print("ended", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_server_gracefully(kind: Kind, number: signal.Signals) -> None:
    with processes.python(SERVE, kind.__name__) as process, concurrent.futures.ThreadPoolExecutor() as pool:
        port = int(processes.line(process))
        with rpc.Channel("127.0.0.1", port) as channel:
            running = pool.submit(services.ClientStub(channel).wait, 1)
            assert processes.line(process) == "entered"
            process.send_signal(number)
            assert running.result(20) == 1
        assert processes.line(process) == "ended"
        assert process.wait(10) == 0


def test_a_second_signal_ends_a_server_at_once(kind: Kind) -> None:
    with processes.python(SERVE, kind.__name__) as process, concurrent.futures.ThreadPoolExecutor() as pool:
        port = int(processes.line(process))
        with rpc.Channel("127.0.0.1", port) as channel:
            running = pool.submit(services.ClientStub(channel).wait, 30)
            assert processes.line(process) == "entered"
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGINT)  # another one: two of a kind may come as one
            with pytest.raises(rpc.ConnectionLost):
                running.result(20)
        assert process.wait(10) == 0
