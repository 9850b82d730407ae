"""Lists that stand in a URL: what they may name, and that their servers are failed over as any others."""

from __future__ import annotations

import pathlib

import pytest

from rpcgen import runtime as rpc
from rpcgen.runtime.registry import Instance, Snapshot, open_registry
from tests.runtime.discovery.fleet import Fleet, counting, service
from tests.support import peers, services


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("static://h:1", ["tcp://h:1"]),
        ("static://h:1,10.0.0.1:2", ["tcp://h:1", "tcp://10.0.0.1:2"]),
        ("static://[::1]:7,h:1,", ["tcp://[::1]:7", "tcp://h:1"]),
        ("static://unix:///tmp/a.sock,h:1", ["unix:///tmp/a.sock", "tcp://h:1"]),
    ],
)
def test_what_a_list_names(url: str, addresses: list[str]) -> None:
    with open_registry(url) as registry:
        found: list[Snapshot] = []
        watch = registry.watch("Any", found.append)
        assert watch.wait(0)
        assert [instance.address for instance in watch.snapshot.instances] == addresses
        assert found == [watch.snapshot]
        assert found[0].live
        assert registry.url == url.rstrip(",")
        assert [entry.name for entry in registry.contents().entries] == addresses
        assert registry.path("Any") == "the list itself"
        watch.close()


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("static://", "without servers"),
        ("static://h", "'h' names no server: one is host:port"),
        ("static://h:0", "'h:0' names no server"),
        ("static://h:99999", "names no server"),
        ("static://h:1,h:1", "tcp://h:1 is in the list twice"),
        ("static://::1:80", "names no server"),
        ("static://unix://a.sock", "names no server"),
        ("static://tcp://h:1", "names no server"),
        ("static://h:1/rpc", "names no server"),
        ("static://h:1?timeout=5", "has no options, timeout=5 was given"),
    ],
)
def test_what_is_no_list(url: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as raised:
        rpc.connect(url)
    assert repr(url) in str(raised.value)


def test_options_are_refused() -> None:
    with pytest.raises(ValueError, match="no options, timeout was given"):
        open_registry("static://h:1", timeout=5)


def test_nobody_registers_there() -> None:
    with open_registry("static://h:1") as registry, pytest.raises(ValueError, match="does not change"):
        registry.register("", Instance("h", 2))


def test_a_closed_one_is_not_watched() -> None:
    registry = open_registry("static://h:1")
    registry.close()
    registry.close()
    with pytest.raises(RuntimeError, match="closed"):
        registry.watch("")


def test_a_program_may_give_weights() -> None:
    with Fleet(2) as fleet:
        registry = rpc.StaticRegistry([fleet.instance(0, weight=0.0), f"127.0.0.1:{fleet.servers[1].port}"])
        with rpc.DistributedChannel(registry) as channel:
            for _ in range(10):
                services.ClientStub(channel).run("count")
        assert (fleet.calls(0), fleet.calls(1)) == (0, 10)


def test_servers_of_a_list_are_failed_over_and_let_back(tmp_path: pathlib.Path) -> None:
    path = f"unix://{tmp_path}/s"
    port = peers.unused_port()
    first = counting()
    with (
        services.ThreadServer(path, None, first),
        rpc.connect(f"static://127.0.0.1:{port},{path}", balancer=rpc.RoundRobin()) as channel,
    ):
        assert isinstance(channel, rpc.DistributedChannel)
        stub = services.ClientStub(channel)
        for _ in range(10):
            stub.run("count")
        assert len(first.lines) == 10
        gone = next(e for e in service(channel).router.endpoints if e.instance.port == port)
        assert gone.state.name != "READY"
        second = counting()
        with services.ThreadServer("127.0.0.1", port, second):
            while not second.lines:
                stub.run("count")
            assert gone.state.name == "READY"


def test_over_ipv6() -> None:
    with (
        services.ThreadServer("::1", 0, services.Handlers()) as server,
        rpc.connect(f"static://[::1]:{server.port}") as channel,
    ):
        assert services.ClientStub(channel).divide(4, 2) == 2.0
