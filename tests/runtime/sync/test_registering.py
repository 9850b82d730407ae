"""Servers that register: when, as what, and how they withdraw and drain."""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
import pathlib
import signal
import socket
import subprocess
import threading
import time
import typing

import pytest

from rpcgen import runtime as rpc
from rpcgen.runtime.registry import Instance, Registration, open_registry
from rpcgen.runtime.wire.choice import choice
from tests.support import processes, raw, services
from tests.support.processes import RegistryProcess
from tests.support.registries import MemoryRegistry

Kind: typing.TypeAlias = services.Kind

PATIENCE = 30.0


class Pending(Registration):
    """A registration that comes about, and goes, when its registry says so."""

    def __init__(self, registry: Slow) -> None:
        self._registry = registry

    @property
    def is_registered(self) -> bool:
        return self._registry.grants.is_set()

    def wait(self, timeout: float | None) -> bool:
        self._registry.is_waited_for.release()
        return self._registry.grants.wait(timeout)

    def close(self, timeout: float = 2.0) -> bool:
        self._registry.is_asked.set()
        return self._registry.confirms.wait(timeout)


class Slow(MemoryRegistry):
    """Registers and withdraws when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.grants = threading.Event()
        self.confirms = threading.Event()
        self.is_waited_for = threading.Semaphore(0)
        self.is_asked = threading.Event()

    def register(self, service: str, instance: Instance) -> Registration:
        return Pending(self)


class Refusing(MemoryRegistry):
    """Takes no service that has a name."""

    def register(self, service: str, instance: Instance) -> Registration:
        if service:
            raise ValueError(f"no {service} here")
        return super().register(service, instance)


@pytest.fixture
def registry() -> MemoryRegistry:
    return MemoryRegistry()


def until(condition: typing.Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def listed(registry: MemoryRegistry, service: str = "") -> Instance:
    (entry,) = (entry for entry in registry.contents().entries if entry.service == service)
    assert entry.instance is not None
    return entry.instance


# Registering


@pytest.mark.parametrize(
    ("options", "protocols"),
    [
        ({}, ("framed", "plain")),
        ({"plain": False}, ("framed",)),
        ({"authenticate": str}, ("framed",)),
        ({"authenticate": str, "plain": True}, ("framed", "plain")),
    ],
)
def test_an_entry_says_which_protocols_are_spoken(
    kind: Kind, registry: MemoryRegistry, options: dict[str, typing.Any], protocols: tuple[str, ...]
) -> None:
    with kind("127.0.0.1", 0, services.Handlers(), registry=registry, **options):
        assert listed(registry).protocols == protocols


def test_each_service_of_a_server_is_registered_and_withdrawn(registry: MemoryRegistry) -> None:
    stubs = (
        services.ServerStub(services.Handlers()),
        services.BaseServerStub(services.BaseHandlers()),
        services.DirectoryServerStub(services.DirectoryHandlers()),
    )
    with rpc.ThreadServer("127.0.0.1", 0, *stubs, registry=registry) as server:
        for service in ("", "Base", "Directory"):
            assert registry.registered(service) == [f"tcp://127.0.0.1:{server.port}"]
    assert registry.contents().entries == ()


def test_options_are_what_is_announced(kind: Kind, registry: MemoryRegistry) -> None:
    options: rpc.ServerOptions = {
        "registry": registry,
        "advertise": "service.example:80",
        "weight": 2,
        "zone": "a",
        "version": "7",
        "metadata": {"rack": "3"},
    }
    with kind("127.0.0.1", 0, services.Handlers(), **options):
        found = listed(registry)
    assert found.address == "tcp://service.example:80"
    assert (found.weight, found.zone, found.version, found.metadata) == (2.0, "a", "7", {"rack": "3"})
    assert found.fingerprint == services.INTERFACE.fingerprint


def test_it_listens_before_it_registers(kind: Kind) -> None:
    class Calling(MemoryRegistry):
        def register(self, service: str, instance: Instance) -> Registration:
            socket.create_connection((instance.host, instance.port)).close()
            return super().register(service, instance)

    with kind("127.0.0.1", 0, services.Handlers(), registry=Calling()):
        pass


def test_all_of_a_machine_s_addresses_are_announced_as_one_that_can_be_called(
    kind: Kind, registry: MemoryRegistry
) -> None:
    registry.url = "registry://127.0.0.1:2182"
    with kind("", 0, services.Handlers(), registry=registry) as server:
        assert listed(registry).address == f"tcp://127.0.0.1:{server.port}"


def test_a_unix_socket_is_announced_as_one(
    kind: Kind, registry: MemoryRegistry, tmp_path: pathlib.Path
) -> None:
    with kind(f"unix://{tmp_path}/rpc.sock", None, services.Handlers(), registry=registry):
        assert listed(registry).address == f"unix://{tmp_path}/rpc.sock"
        assert Instance.decode(listed(registry).encode()) == listed(registry)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_ipv6_is_announced(kind: Kind, registry: MemoryRegistry) -> None:
    with kind("::1", 0, services.Handlers(), registry=registry) as server:
        assert listed(registry).address == f"tcp://[::1]:{server.port}"


def test_the_log_says_where_it_is_registered(
    kind: Kind, registry: MemoryRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.INFO, "rpcgen"),
        kind("127.0.0.1", 0, services.Handlers(), registry=registry, advertise="a") as server,
    ):
        assert caplog.messages == [
            f"serving tests.support.services.ServerStub at tcp://127.0.0.1:{server.port} "
            f"(codec: {'C' if choice().native else 'Python'}), registered as tcp://a:{server.port} in memory://"
        ]


def test_start_waits_until_it_is_registered(kind: Kind) -> None:
    slow = Slow()
    slow.confirms.set()
    server = kind("127.0.0.1", 0, services.Handlers(), registry=slow)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        starting = pool.submit(server.start)
        assert slow.is_waited_for.acquire(timeout=PATIENCE)
        assert not starting.done()
        with rpc.connect(str(server.address)) as channel:
            assert services.ClientStub(channel).divide(6, 3) == 2.0, "it serves meanwhile"
        slow.grants.set()
        assert starting.result(PATIENCE) is server
    server.close()


def test_start_goes_on_without_its_registry_after_a_time(
    kind: Kind, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("rpcgen.runtime.sync.server.server.PATIENCE", 0.05)
    monkeypatch.setattr("rpcgen.runtime.announce.PATIENCE", 0.05)
    slow = Slow()
    slow.confirms.set()
    with (
        kind("127.0.0.1", 0, services.Handlers(), registry=slow) as server,
        rpc.connect(str(server.address)) as channel,
    ):
        assert services.ClientStub(channel).divide(6, 3) == 2.0
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert caplog.messages[0].startswith(f"not registered yet as {server.address} in memory://")


def test_serve_waits_for_no_registry(kind: Kind) -> None:
    slow = Slow()
    slow.confirms.set()
    server = kind("127.0.0.1", 0, services.Handlers(), registry=slow)
    server.bind()
    serving = threading.Thread(target=server.serve)
    serving.start()
    with rpc.connect(str(server.address)) as channel:
        assert services.ClientStub(channel).divide(6, 3) == 2.0
    server.close()
    serving.join(PATIENCE)
    assert not serving.is_alive()


@pytest.mark.parametrize("begin", ["start", "serve"])
def test_a_server_that_cannot_be_registered_wholly_does_not_start(kind: Kind, begin: str) -> None:
    refusing = Refusing()
    kinds: dict[Kind, type[rpc.Server]] = {
        services.Server: rpc.Server,
        services.ThreadServer: rpc.ThreadServer,
    }
    server = kinds[kind](
        "127.0.0.1",
        0,
        services.ServerStub(services.Handlers()),
        services.BaseServerStub(services.BaseHandlers()),
        registry=refusing,
    )
    address = server.bind()
    with pytest.raises(ValueError, match="no Base here"):
        getattr(server, begin)()
    assert refusing.contents().entries == ()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.host, address.port))
    with pytest.raises(RuntimeError, match="the server is closed"):
        server.start()
    assert server.shutdown() is True


@pytest.mark.parametrize(
    ("options", "kind_of_error", "problem"),
    [
        ({"registry": "nonsense"}, ValueError, "registry=: 'nonsense' is no registry"),
        ({"registry": 7}, TypeError, "registry= takes a Registry"),
        ({"registry": "static://127.0.0.1:1"}, ValueError, "where no server can register"),
        ({"registry": "registry://127.0.0.1:none"}, ValueError, "registry=: "),
        ({"registry": MemoryRegistry(), "advertise": "0.0.0.0"}, ValueError, "names no host"),
        ({"registry": MemoryRegistry(), "weight": -1}, ValueError, "weight"),
        ({"drain": -1}, ValueError, "drain is a number of seconds from 0 up, not -1"),
        ({"drain": float("inf")}, ValueError, "drain is a number of seconds"),
        ({"advertised": "a"}, TypeError, "has no option advertised"),
    ],
)
def test_options_are_checked_when_the_server_is_made(
    kind: Kind, options: typing.Any, kind_of_error: type[Exception], problem: str
) -> None:
    with pytest.raises(kind_of_error, match=problem):
        kind("127.0.0.1", 0, services.Handlers(), **options)


def test_the_environment_s_registry_is_checked_when_the_server_is_made(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RPCGEN_REGISTRY", "static://127.0.0.1:1")
    with pytest.raises(ValueError, match="RPCGEN_REGISTRY: static://"):
        kind("127.0.0.1", 0, services.Handlers())
    with kind("127.0.0.1", 0, services.Handlers(), registry=""):
        pass  # registered nowhere, whatever the environment says


def test_a_server_without_a_registry_loads_nothing_for_one() -> None:
    code = """
import os, sys
os.environ.pop("RPCGEN_REGISTRY", None)
import service
class Handlers:
    def divide(self, num1, num2): return num1 / num2
with service.ThreadServer("127.0.0.1", 0, Handlers()): pass
with service.ThreadServer("127.0.0.1", 0, Handlers(), registry=""): pass
loaded = {"msgspec", "kazoo", "asyncio", "ssl", "rpcgen.runtime.registry"} & set(sys.modules)
print("loaded", *loaded)
"""
    with processes.python(code) as process:
        assert processes.line(process) == "loaded"


# Withdrawing and draining


def test_while_it_drains_calls_are_answered_as_before(registry: MemoryRegistry) -> None:
    with (
        services.ThreadServer("127.0.0.1", 0, services.Handlers(), registry=registry, drain=600) as server,
        rpc.connect(str(server.address)) as channel,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        stub = services.ClientStub(channel)
        assert stub.divide(6, 3) == 2.0
        ended = pool.submit(server.shutdown, 30)
        until(lambda: registry.registered("") == [])
        for _ in range(10):
            assert stub.divide(6, 3) == 2.0
        with raw.connection(server.port) as new:
            new.sendall(raw.CALL + raw.call("rpc.health"))
            assert raw.exactly(new, 7) == raw.RETURNED + b"\1\0", "but it says that it is not healthy"
            assert not ended.done()
            server.close()
            assert ended.result(PATIENCE) in (True, False)


def test_health_says_no_before_it_is_withdrawn(kind: Kind) -> None:
    slow = Slow()
    slow.grants.set()
    with (
        kind("127.0.0.1", 0, services.Handlers(), registry=slow, drain=0) as server,
        raw.connection(server.port) as sock,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        ended = pool.submit(server.shutdown, 30)
        assert slow.is_asked.wait(PATIENCE)
        sock.sendall(raw.call("rpc.health"))
        assert raw.exactly(sock, 2) == b"\1\0"
        assert not ended.done()
        slow.confirms.set()
        assert ended.result(PATIENCE) is True


def test_a_dead_registry_does_not_keep_a_server(
    kind: Kind, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("rpcgen.runtime.announce.WITHDRAWAL", 0.1)
    slow = Slow()
    slow.grants.set()
    server = kind("127.0.0.1", 0, services.Handlers(), registry=slow).start()
    assert server.shutdown() is True
    assert caplog.messages[-1].startswith(f"could not withdraw what is registered as {server.address}")


def test_close_withdraws_and_does_not_drain(kind: Kind, registry: MemoryRegistry) -> None:
    server = kind("127.0.0.1", 0, services.Handlers(), registry=registry, drain=600).start()
    server.close()
    server.close()
    assert registry.contents().entries == ()


def test_draining_needs_no_registry(kind: Kind) -> None:
    with (
        kind("127.0.0.1", 0, services.Handlers(), drain=0.3) as server,
        raw.connection(server.port) as sock,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        begin = time.monotonic()
        ended = pool.submit(server.shutdown, 30)
        until(lambda: not server._dispatcher.serving)
        sock.sendall(raw.CALL)
        assert raw.exactly(sock, 5) == raw.RETURNED
        assert ended.result(PATIENCE) is True
        assert time.monotonic() - begin >= 0.3


def test_a_handler_can_shut_a_registered_server_down(kind: Kind, registry: MemoryRegistry) -> None:
    results: list[bool] = []
    handlers = services.Handlers(stop=lambda: results.append(served.shutdown(30)) or 7)  # type: ignore[func-returns-value]
    served: rpc.Server = kind("127.0.0.1", 0, handlers, registry=registry)
    served.bind()
    serving = threading.Thread(target=served.serve)
    serving.start()
    with rpc.connect(str(served.address)) as channel:
        assert services.ClientStub(channel).run("stop") == 7
    serving.join(PATIENCE)
    assert not serving.is_alive()
    assert results == [True]
    assert registry.contents().entries == ()


def test_a_loop_that_fails_withdraws(kind: Kind, registry: MemoryRegistry) -> None:
    server = kind("127.0.0.1", 0, services.Handlers(), registry=registry)
    failures: list[BaseException] = []

    def serve() -> None:
        try:
            server.serve()
        except RuntimeError as error:
            failures.append(error)

    serving = threading.Thread(target=serve)
    serving.start()
    until(lambda: registry.registered(""))
    assert server._loop is not None

    def fail(sweep: float) -> float:
        raise RuntimeError("broken")

    server._loop._patience = fail  # type: ignore[method-assign]
    server._loop._wake()
    serving.join(PATIENCE)
    assert not serving.is_alive()
    assert [str(error) for error in failures] == ["broken"]
    assert registry.contents().entries == ()


# Processes


SERVE = """
import sys
from tests.support import services
server = getattr(services, sys.argv[1])("127.0.0.1", 0, services.Handlers(), registry=sys.argv[2], drain=600)
print(server.bind().port, flush=True)
server.serve()
print("ended", flush=True)
"""


@contextlib.contextmanager
def serving(kind: Kind, url: str) -> typing.Iterator[tuple[subprocess.Popen[str], int]]:
    """A server in a process, once it is registered; and its port."""
    with processes.python(SERVE, kind.__name__, url) as process, open_registry(url) as registry:
        port = int(processes.line(process))
        with contextlib.closing(registry.watch("")) as watch:
            until(lambda: [i.port for i in watch.snapshot.instances] == [port])
        yield process, port


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_withdraws_and_drains_and_a_second_one_ends(kind: Kind, number: signal.Signals) -> None:
    with (
        RegistryProcess() as registry,
        serving(kind, registry.url) as (process, port),
        open_registry(registry.url) as client,
        contextlib.closing(client.watch("")) as watch,
        rpc.Channel("127.0.0.1", port) as channel,
    ):
        stub = services.ClientStub(channel)
        assert stub.divide(6, 3) == 2.0
        process.send_signal(number)
        until(lambda: watch.snapshot.live and watch.snapshot.instances == ())
        for _ in range(100):
            assert stub.divide(6, 3) == 2.0
        process.send_signal(number)
        assert processes.line(process) == "ended"
        assert process.wait(PATIENCE) == 0


def test_a_server_made_before_a_fork_serves_in_the_child() -> None:
    code = """
import os, sys
from tests.support import services
server = services.ThreadServer("127.0.0.1", 0, services.Handlers(), registry=sys.argv[1])
child = os.fork()
if child == 0:
    print(os.getpid(), server.bind().port, flush=True)
    server.serve()
    os._exit(0)
sys.stdin.read()
os.kill(child, 15)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
server.close()
"""
    with (
        RegistryProcess() as registry,
        processes.python(code, registry.url) as process,
        open_registry(registry.url) as client,
        contextlib.closing(client.watch("")) as watch,
    ):
        child, port = map(int, processes.line(process).split())
        until(lambda: [(i.pid, i.port) for i in watch.snapshot.instances] == [(child, port)])
        assert process.stdin is not None
        process.stdin.close()
        assert processes.line(process) == "0"
        until(lambda: watch.snapshot.instances == ())
        assert process.wait(PATIENCE) == 0


def test_a_registry_that_dies_keeps_no_server_for_long(kind: Kind) -> None:
    with RegistryProcess() as registry, serving(kind, registry.url) as (process, _):
        registry.pause()
        try:
            process.terminate()
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE) == 0
        finally:
            registry.resume()
