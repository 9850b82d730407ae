"""Servers, a registry and callers together, on a real ZooKeeper and on the embedded registry."""

from __future__ import annotations

import collections
import contextlib
import pathlib
import threading
import time
import typing

import pytest

from rpcgen import runtime as rpc
from tests.support.ledger import ClientStub, LedgerServer, runs
from tests.support.processes import RegistryProcess
from tests.support.shells import Blocking, LoopThread, Many
from tests.support.zookeeper import Ensemble, ZooKeeper

PATIENCE = 30.0
CALLERS = 8


@contextlib.contextmanager
def servers(
    registry: str, folder: pathlib.Path, count: int = 3, kind: str = "threads"
) -> typing.Iterator[list[LedgerServer]]:
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(LedgerServer(registry, folder, f"server{number}", kind=kind))
            for number in range(count)
        ]


class Load:
    """Calls from many threads while ``with`` lasts: every second one idempotent, each with its own id."""

    def __init__(self, channel: typing.Any) -> None:
        self.answers: collections.Counter[str] = collections.Counter()
        """Which server answered how often."""
        self.failed: list[tuple[int, rpc.RpcError]] = []
        self._stub = ClientStub(channel)
        self._changed = threading.Condition()
        self._stop = False
        self._threads = [threading.Thread(target=self._call, args=(number,)) for number in range(CALLERS)]

    def __enter__(self) -> typing.Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop = True
        for thread in self._threads:
            thread.join(PATIENCE)

    def wait(self, calls: int, server: str | None = None) -> None:
        """Waits until so many more calls have been answered, by this server if one is named."""
        with self._changed:
            goal = self._count(server) + calls
            assert self._changed.wait_for(lambda: self._count(server) >= goal, PATIENCE), self.answers

    def _count(self, server: str | None) -> int:
        return self.answers.total() if server is None else self.answers[server]

    def _call(self, number: int) -> None:
        call = number
        while not self._stop:
            is_idempotent = call // CALLERS % 2 == 0
            try:
                answer = self._stub.read(call) if is_idempotent else self._stub.append(call)
            except rpc.RpcError as error:
                self.failed.append((call, error))
            else:
                with self._changed:
                    self.answers[answer] += 1
                    self._changed.notify_all()
            call += CALLERS

    def failed_idempotent(self) -> list[rpc.RpcError]:
        return [error for call, error in self.failed if call // CALLERS % 2 == 0]

    def failed_other(self) -> list[rpc.RpcError]:
        return [error for call, error in self.failed if call // CALLERS % 2]


@pytest.fixture
def ran(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "ran"
    folder.mkdir()
    return folder


@pytest.fixture(params=["zookeeper", "embedded"])
def registry(request: pytest.FixtureRequest, zk_url: str) -> typing.Iterator[str]:
    """The URL of a registry."""
    if request.param == "zookeeper":
        yield f"{zk_url}?timeout=2"
        return
    with RegistryProcess() as process:
        yield f"{process.url}?timeout=2"


@pytest.fixture(params=["threads", "asyncio"])
def client(request: pytest.FixtureRequest) -> typing.Iterator[Many]:
    """Makes channels to many servers, for threads that block; entries say how to speak to servers."""
    with LoopThread() as thread:
        if request.param == "threads":
            yield rpc.DistributedChannel
        else:
            yield lambda *args, **options: Blocking(thread, rpc.AsyncDistributedChannel(*args, **options))


def twice(ran: pathlib.Path, load: Load) -> list[int]:
    """Calls that are not idempotent and ran twice."""
    return [call for call, count in runs(ran).items() if call // CALLERS % 2 and count > 1]


def test_a_killed_server_costs_only_calls_that_it_had_begun(
    registry: str, client: Many, ran: pathlib.Path
) -> None:
    with servers(registry, ran) as (first, second, third):
        with client(registry, timeout=10) as channel, Load(channel) as load:
            load.wait(500)
            second.kill()
            load.wait(2000)
        assert load.failed_idempotent() == []
        assert {type(error) for error in load.failed_other()} <= {rpc.ConnectionLost}
        assert len(load.failed_other()) <= CALLERS
        assert twice(ran, load) == []
        assert {first.name, third.name} <= set(load.answers)


def restart_one_after_the_other(registry: str, client: Many, ran: pathlib.Path, kind: str) -> Load:
    """Ends and starts each of three servers, while calls go on."""
    with servers(registry, ran, kind=kind) as running:
        with client(registry, timeout=10) as channel, Load(channel) as load:
            for server in running:
                load.wait(100, server.name)
                server.terminate()
                server.start()
                load.wait(100, server.name)
        assert twice(ran, load) == []
    return load


@pytest.mark.parametrize(
    ("registry", "client", "kind"),
    [
        ("embedded", "threads", "asyncio"),
        ("embedded", "asyncio", "threads"),
        ("zookeeper", "threads", "threads"),
        ("zookeeper", "asyncio", "asyncio"),
    ],
    indirect=["registry", "client"],
)
def test_a_rolling_restart_fails_no_framed_call(
    registry: str, client: Many, ran: pathlib.Path, kind: str
) -> None:
    assert restart_one_after_the_other(registry, client, ran, kind).failed == []


@pytest.mark.parametrize("registry", ["embedded"], indirect=True)
def test_a_rolling_restart_fails_no_plain_call_but_those_sent_in_the_moment_of_closing(
    registry: str, ran: pathlib.Path
) -> None:
    def client(*args: typing.Any, **options: typing.Any) -> rpc.DistributedChannel:
        return rpc.DistributedChannel(*args, protocol="plain", **options)

    load = restart_one_after_the_other(registry, client, ran, "threads")
    assert load.failed_idempotent() == []
    assert {type(error) for error in load.failed_other()} <= {rpc.ConnectionLost}
    # The servers wait between withdrawing and closing: what is left is the rare exception.
    assert len(load.failed_other()) <= 3


def test_a_new_server_gets_calls(registry: str, ran: pathlib.Path) -> None:
    with (
        servers(registry, ran, 1) as (first,),
        rpc.DistributedChannel(registry, timeout=10) as channel,
        Load(channel) as load,
    ):
        load.wait(100, first.name)
        with LedgerServer(registry, ran, "newcomer"):
            load.wait(100, "newcomer")
    assert load.failed_idempotent() == []


def test_a_server_stopped_past_its_session_is_listed_again_once_it_goes_on(
    registry: str, ran: pathlib.Path
) -> None:
    with servers(registry, ran, 1) as (server,), rpc.open_registry(registry) as client:
        changed = threading.Condition()

        def tell(snapshot: rpc.Snapshot) -> None:
            with changed:
                changed.notify_all()

        with contextlib.closing(client.watch("", tell)) as watch, changed:
            assert changed.wait_for(lambda: len(watch.snapshot.instances) == 1, PATIENCE)
            server.pause()
            assert changed.wait_for(lambda: not watch.snapshot.instances, PATIENCE)
            server.resume()
            assert changed.wait_for(lambda: len(watch.snapshot.instances) == 1, PATIENCE)


@pytest.mark.xdist_group("ensemble")
def test_calls_go_on_while_zookeeper_is_down(tmp_path: pathlib.Path, ran: pathlib.Path) -> None:
    with ZooKeeper(tmp_path / "zookeeper") as zookeeper:
        url = f"zk://{zookeeper.hosts}/rpc?timeout=2"
        with (
            servers(url, ran) as (first, *others),
            rpc.DistributedChannel(url, timeout=10) as channel,
        ):
            with Load(channel) as load:
                load.wait(500)
                zookeeper.kill()
                end = time.monotonic() + 4  # twice a session
                while time.monotonic() < end:
                    load.wait(100)
                first.kill()  # nobody can say so now
                load.wait(2000)
                zookeeper.start()
                load.wait(500)
            assert load.failed_idempotent() == []
            assert {type(error) for error in load.failed_other()} <= {rpc.ConnectionLost}
            assert len(load.failed_other()) <= CALLERS
            assert {other.name for other in others} <= set(load.answers)


@pytest.mark.xdist_group("ensemble")
def test_calls_go_on_while_the_whole_ensemble_restarts(tmp_path: pathlib.Path, ran: pathlib.Path) -> None:
    with Ensemble(tmp_path / "ensemble") as ensemble:
        url = f"zk://{ensemble.hosts}/rpc?timeout=4"
        with (
            servers(url, ran) as (first, *others),
            rpc.DistributedChannel(url, timeout=10) as channel,
        ):
            with Load(channel) as load:
                load.wait(500)
                ensemble.kill()
                first.kill()
                load.wait(1000)
                ensemble.start()
                load.wait(1000)
                with LedgerServer(url, ran, "newcomer"):
                    load.wait(100, "newcomer")
            assert load.failed_idempotent() == []
            assert {type(error) for error in load.failed_other()} <= {rpc.ConnectionLost}
            assert {other.name for other in others} <= set(load.answers)
