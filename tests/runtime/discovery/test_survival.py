"""Servers of their own processes, killed, stopped and replaced under the calls of eight threads."""

from __future__ import annotations

import contextlib
import functools
import itertools
import pathlib
import threading
import time
import typing

import pytest

from rpcgen import runtime as rpc
from rpcgen.runtime.discovery.health import Endpoint
from rpcgen.runtime.registry import Instance
from tests.runtime.discovery.fleet import service
from tests.support.ledger import ClientStub, LedgerServer, runs
from tests.support.registries import MemoryRegistry
from tests.support.shells import Many, many, open_connections

__all__ = ["many"]

CALLERS = 8
PATIENCE = 30.0


class Callers:
    """Threads that call without a pause while ``with`` lasts, each call with an id of its own.

    Args:
        channel: Of all.
    """

    def __init__(self, channel: typing.Any) -> None:
        self.answered: set[int] = set()
        self.failed: dict[int, rpc.RpcError] = {}
        self.longest = 0.0
        """Seconds of a call."""
        self._stub = ClientStub(channel)
        self._numbers = itertools.count()
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._call) for _ in range(CALLERS)]

    def __enter__(self) -> typing.Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()

    def go_on(self, calls: int = 300) -> None:
        """Waits until so many more have been answered."""
        wanted = len(self.answered) + calls
        eventually(lambda: len(self.answered) >= wanted)

    def _call(self) -> None:
        while not self._done.is_set():
            number = next(self._numbers)
            begin = time.monotonic()
            try:
                self._stub.read(number) if number % 2 else self._stub.append(number)
                self.answered.add(number)
            except rpc.RpcError as error:
                self.failed[number] = error
            self.longest = max(self.longest, time.monotonic() - begin)


def eventually(holds: typing.Callable[[], object]) -> None:
    until = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.005)


def is_left_alone(endpoint: Endpoint) -> bool:
    return not endpoint.running and not open_connections(endpoint.channel)


class World:
    """Three servers, the registry that lists them, and a channel to them.

    Args:
        folder: Where the servers write what they ran.
        timeout: Seconds of a call.
        many: Makes the channel.
    """

    def __init__(self, folder: pathlib.Path, timeout: float, many: Many) -> None:
        self.folder = folder
        self.registry = MemoryRegistry()
        self.channel = many(self.registry, timeout=timeout)
        self.servers: list[LedgerServer] = []
        self.stack = contextlib.ExitStack()

    def __enter__(self) -> typing.Self:
        for _ in range(3):
            self.join()
        self.list()
        self.stack.enter_context(self.channel)
        return self

    def __exit__(self, *error: object) -> None:
        self.stack.close()

    def join(self) -> None:
        """Starts one more server; it is not listed yet."""
        name = f"server{len(self.servers)}"
        self.servers.append(self.stack.enter_context(LedgerServer("", self.folder, name)))

    def list(self, *without: LedgerServer) -> None:
        """Makes the registry list every server but these."""
        listed = [server for server in self.servers if server not in without]
        self.registry.set("", *(Instance("127.0.0.1", server.port) for server in listed))

    def endpoint(self, server: LedgerServer) -> Endpoint:
        endpoints = service(self.channel).router.endpoints
        return next(endpoint for endpoint in endpoints if endpoint.instance.port == server.port)

    def judge(self, callers: Callers) -> None:
        """Checks what must be true whatever happened."""
        ran = runs(self.folder)
        twice = [number for number, times in ran.items() if times > 1 and number % 2 == 0]
        assert twice == [], "calls that may run once ran again"
        assert callers.answered <= ran.keys(), "calls were answered but did not run"
        unsent = [number for number, error in callers.failed.items() if isinstance(error, rpc.Unavailable)]
        assert unsent == [], "calls that were never sent are lost"


@pytest.fixture
def world(many: Many, tmp_path: pathlib.Path) -> typing.Iterator[World]:
    with World(tmp_path, PATIENCE, many) as made:
        yield made


def test_a_killed_server_costs_only_what_it_was_doing(world: World) -> None:
    with Callers(world.channel) as callers:
        callers.go_on()
        world.servers[0].kill()
        callers.go_on()
        assert world.endpoint(world.servers[0]).state.name != "READY"
    world.judge(callers)
    assert [number for number in callers.failed if number % 2] == [], "idempotent calls are lost"
    assert {type(error) for error in callers.failed.values()} <= {rpc.ConnectionLost}
    assert len(callers.failed) <= CALLERS


@pytest.mark.parametrize("many", ["framed", "asyncio"], indirect=True)
def test_a_killed_server_that_is_back_gets_calls_again(many: Many, tmp_path: pathlib.Path) -> None:
    with World(tmp_path, PATIENCE, many) as world, Callers(world.channel) as callers:
        callers.go_on()
        world.servers[0].kill()
        callers.go_on()
        world.servers[0].start()
        eventually(lambda: world.endpoint(world.servers[0]).state.name == "READY")
        callers.go_on()
    world.judge(callers)


@pytest.mark.parametrize("many", ["framed", "asyncio"], indirect=True)
def test_a_stopped_server_s_calls_end_in_time_and_it_is_let_back(many: Many, tmp_path: pathlib.Path) -> None:
    with World(tmp_path, 0.5, many) as world, Callers(world.channel) as callers:
        callers.go_on()
        stopped = world.servers[0]
        stopped.pause()
        # Not sooner than calls to it have waited out their deadlines.
        eventually(lambda: world.endpoint(stopped).state.name == "EJECTED")
        before = len(callers.failed)
        callers.go_on()
        # Calls that ran there at the same time, and probes.
        assert len(callers.failed) - before <= CALLERS
        stopped.resume()
        eventually(lambda: world.endpoint(stopped).state.name == "READY")
        callers.go_on()
    world.judge(callers)
    assert {type(error) for error in callers.failed.values()} == {rpc.DeadlineExceeded}
    assert callers.longest < PATIENCE


def test_a_rolling_restart_costs_no_call(world: World) -> None:
    """Each is withdrawn, does what it was doing, and ends; another one joins."""
    with Callers(world.channel) as callers:
        for old in list(world.servers):
            callers.go_on(100)
            leaving = world.endpoint(old)
            world.join()
            world.list(old)
            eventually(functools.partial(is_left_alone, leaving))
            old.terminate()
            world.servers.remove(old)
            callers.go_on(100)
    world.judge(callers)
    assert callers.failed == {}
