"""Who gets a call: shares by weight, fewer calls for the busy, one server a key."""

from __future__ import annotations

import collections
import random
import subprocess
import sys
import textwrap
import threading
import typing

import hypothesis
import hypothesis.strategies as some
import pytest

from rpcgen import runtime as rpc
from rpcgen.runtime.discovery import balancers
from rpcgen.runtime.discovery.health import Endpoint
from rpcgen.runtime.registry import Instance
from tests.support import services
from tests.support.processes import ROOT

ANY: typing.Any = None


def endpoints(*weights: float) -> list[Endpoint]:
    return [Endpoint(Instance("10.0.0.1", 1 + port, weight=weight)) for port, weight in enumerate(weights)]


def shares(picker: balancers.Picker, servers: list[Endpoint], calls: int) -> list[float]:
    """What part of the calls each server gets."""
    count = collections.Counter(picker(services.WaitProtocol, (number,), ()) for number in range(calls))
    return [count[server] / calls for server in servers]


def drawing(seed: int = 1) -> typing.Callable[[], float]:
    return random.Random(seed).random


KINDS: dict[str, typing.Callable[[], rpc.Balancer]] = {
    "least loaded": lambda: rpc.LeastLoaded(drawing()),
    "random": lambda: rpc.Random(drawing()),
    "round robin": lambda: rpc.RoundRobin(drawing()),
    "consistent hash": lambda: rpc.ConsistentHash("number", drawing()),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "weights", [(1,), (1, 1), (1, 1, 1, 1), (1, 2, 3), (0.5, 0.25), (200, 100, 100), (0, 0)]
)
def test_calls_are_shared_by_weight(kind: str, weights: tuple[float, ...]) -> None:
    servers = endpoints(*weights)
    found = shares(KINDS[kind]().picker(servers), servers, 6000)
    # Of points on a ring, the least exact, the share of one server differs by an eighth or so.
    total = sum(weights)
    wanted = [weight / total if total else 1 / len(weights) for weight in weights]
    assert found == pytest.approx(wanted, rel=0.5 if kind == "consistent hash" else 0.1)


def test_round_robin_goes_round() -> None:
    servers = endpoints(1, 1, 1)
    pick = rpc.RoundRobin(lambda: 0.4).picker(servers)
    assert [pick(ANY, (), ()) for _ in range(6)] == [servers[number] for number in (1, 2, 0, 1, 2, 0)]


def test_round_robin_spreads_the_heavy_one_s_calls() -> None:
    """Not all of its turns in a row."""
    servers = endpoints(3, 1, 1)
    pick = rpc.RoundRobin(lambda: 0.0).picker(servers)
    turns = [servers.index(pick(ANY, (), ())) for _ in range(500)]
    assert "000000" not in "".join(map(str, turns))


def test_of_two_servers_the_less_loaded_is_taken() -> None:
    servers = endpoints(1, 1)
    servers[0].running += [None] * 3
    pick = rpc.LeastLoaded(drawing()).picker(servers)
    assert {pick(ANY, (), ()) for _ in range(100)} == {servers[1]}


def test_load_counts_against_weight() -> None:
    servers = endpoints(4, 1)
    servers[0].running += [None] * 3
    servers[1].running += [None]
    pick = rpc.LeastLoaded(drawing()).picker(servers)
    count = collections.Counter(pick(ANY, (), ()) for _ in range(1000))
    # It is taken unless both of the two taken are the light one.
    assert count[servers[0]] > 900


def test_least_loaded_draws_two_different_ones() -> None:
    servers = endpoints(1, 1, 1, 1)
    for busy in range(4):
        for server in servers:
            server.running[:] = [None] * (server is servers[busy])
        pick = rpc.LeastLoaded(drawing(busy)).picker(servers)
        assert servers[busy] not in {pick(ANY, (), ()) for _ in range(500)}


@pytest.mark.parametrize("kind", KINDS)
def test_pickers_are_shared_by_threads(kind: str) -> None:
    servers = endpoints(1, 2, 3)
    pick = KINDS[kind]().picker(servers)
    found: list[Endpoint] = []

    def call() -> None:
        found.extend(pick(services.WaitProtocol, (number,), ()) for number in range(500))

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4000
    assert set(found) == set(servers)


def test_a_key_has_one_server() -> None:
    servers = endpoints(*[1] * 10)
    one, other = (rpc.ConsistentHash("number", drawing(seed)).picker(servers) for seed in (1, 2))
    for key in range(200):
        assert one(services.WaitProtocol, (key,), ()) is other(services.WaitProtocol, (key,), ())


def test_keys_are_spread() -> None:
    servers = endpoints(*[1] * 10)
    found = shares(rpc.ConsistentHash("number").picker(servers), servers, 5000)
    assert min(found) > 0.05
    assert max(found) < 0.16


@pytest.mark.parametrize("weights", [[1] * 20, [1, 2] * 10])
def test_few_keys_move_when_a_server_goes_or_comes(weights: list[float]) -> None:
    servers = endpoints(*weights)
    balancer = rpc.ConsistentHash("number")
    before, after, again = (balancer.picker(some) for some in (servers, servers[1:], servers))
    for key in range(1000):
        call = (services.WaitProtocol, (key,), ())
        was = before(*call)
        assert after(*call) is was or was is servers[0]
        assert again(*call) is was


def test_a_server_that_was_tried_leaves_its_key_to_the_next() -> None:
    servers = endpoints(1, 1, 1)
    pick = rpc.ConsistentHash("number").picker(servers)
    without = {
        server: rpc.ConsistentHash("number").picker([s for s in servers if s is not server])
        for server in servers
    }
    for key in range(100):
        call = (services.WaitProtocol, (key,))
        first = pick(*call, ())
        assert pick(*call, (first,)) is without[first](*call, ())
        assert pick(*call, tuple(servers)) is first


@hypothesis.given(
    some.lists(some.lists(some.integers(0, 11), min_size=1, unique=True), min_size=1, max_size=8),
    some.lists(some.sampled_from([1.0, 0.5, 3.0]), min_size=12, max_size=12),
)
def test_where_keys_go_depends_on_the_list_alone(lists: list[list[int]], weights: list[float]) -> None:
    """Two clients agree, whatever lists they saw before."""
    servers = endpoints(*weights)
    old = rpc.ConsistentHash("number")
    for chosen in lists:
        now = [servers[index] for index in chosen]
        picker = old.picker(now)
        fresh = rpc.ConsistentHash("number").picker(now)
        for key in range(20):
            call = (services.WaitProtocol, (key,), ())
            assert picker(*call) is fresh(*call)


def test_keys_are_the_same_in_every_process() -> None:
    code = """
        from rpcgen import runtime as rpc
        from rpcgen.runtime.discovery.health import Endpoint
        from rpcgen.runtime.registry import Instance
        from tests.support.services import EchoProtocol
        servers = [Endpoint(Instance("h", port)) for port in range(1, 9)]
        pick = rpc.ConsistentHash("data").picker(servers)
        print([pick(EchoProtocol, (key,), ()).address for key in (b"a", "b", 3, 2.5, ("t", 1))])
    """
    told = {
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1


def test_the_key_may_be_a_default() -> None:
    servers = endpoints(*[1] * 8)
    pick = rpc.ConsistentHash("num2").picker(servers)
    for num1 in range(20):
        given = pick(services.DivideProtocol, (num1, 1), ())
        assert pick(services.DivideProtocol, (num1, rpc.DEFAULT), ()) is given


def test_the_key_may_be_a_function() -> None:
    servers = endpoints(*[1] * 8)
    pick = rpc.ConsistentHash(lambda protocol, args: args[0] % 2).picker(servers)
    assert len({pick(services.WaitProtocol, (number,), ()) for number in range(100)}) == 2


def test_without_the_key_any_server_will_do() -> None:
    servers = endpoints(1, 1, 1)
    pick = rpc.ConsistentHash("number").picker(servers)
    assert {pick(services.OldProtocol, (), ()) for _ in range(200)} == set(servers)


class Newest:
    """All calls to the server that was started last."""

    def picker(self, endpoints: typing.Sequence[rpc.Endpoint]) -> balancers.Picker:
        newest = max(endpoints, key=lambda endpoint: endpoint.instance.started)
        return lambda protocol, args, tried: newest


def test_the_example_in_the_documentation_is_a_balancer() -> None:
    example = (rpc.Balancer.__doc__ or "").partition("::")[2]
    scope: dict[str, typing.Any] = {"rpc": rpc}
    exec(textwrap.dedent(example).replace("zk://127.0.0.1:2181/rpc", "static://a:1,b:2"), scope)
    written: rpc.Balancer = scope["Newest"]()
    typed: rpc.Balancer = Newest()
    servers = [
        Endpoint(Instance("h", port, started=started)) for port, started in ((1, 5.0), (2, 7.0), (3, 6.0))
    ]
    for balancer in (written, typed):
        assert balancer.picker(servers)(services.WaitProtocol, (1,), ()) is servers[1]
    scope["channel"].close()
