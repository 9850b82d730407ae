"""Calls to many servers: spread, moved on from servers that fail, within their bounds; lists that change."""

from __future__ import annotations

import contextlib
import os
import pickle
import threading
import time
import traceback
import typing

import pytest

from rpcgen import runtime as rpc
from rpcgen.runtime.discovery import distribution
from rpcgen.runtime.registry import Changed, Instance, Snapshot, Watch
from tests.runtime.discovery.fleet import (
    EchoAgainProtocol,
    Fleet,
    WaitAgainProtocol,
    connections,
    counting,
    service,
)
from tests.support import peers, services
from tests.support.certificates import authority
from tests.support.registries import MemoryRegistry
from tests.support.shells import Many, many, open_connections
from tests.support.threads import in_thread
from tests.support.waiting import until

__all__ = ["many"]


@pytest.fixture(autouse=True)
def no_trust(monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle connections are looked at, however short ago they were used: these tests close them in between."""
    monkeypatch.setattr("rpcgen.runtime.sync.client.channel.TRUSTED", -1.0)


def refusing(*ports: int) -> MemoryRegistry:
    registry = MemoryRegistry()
    registry.set("", *(Instance("127.0.0.1", port) for port in ports or (peers.unused_port(),)))
    return registry


def test_calls_go_to_all_servers(many: Many) -> None:
    with Fleet(3, many) as fleet, fleet.channel() as channel:
        stub = services.ClientStub(channel)
        for _ in range(100):
            stub.run("count")
        assert sum(map(fleet.calls, range(3))) == 100
        assert min(map(fleet.calls, range(3))) > 10


def test_results_and_errors_are_those_of_a_channel(many: Many) -> None:
    with Fleet(2, many) as fleet, fleet.channel() as channel:
        stub = services.ClientStub(channel)
        assert stub.divide(200, 100) == 2.0
        with pytest.raises(services.InvalidOperation, match="division by zero") as raised:
            stub.divide(1, 0)
        assert "raised by divide at tcp://127.0.0.1:" in raised.value.__notes__[0]
        with pytest.raises(rpc.RemoteFault, match="INTERNAL"):
            stub.run("nothing")


def test_nothing_is_asked_before_the_first_call(many: Many) -> None:
    with Fleet(1, many) as fleet, fleet.channel() as channel:
        assert fleet.registry.log == []
        services.ClientStub(channel).divide(1)
        services.ClientStub(channel).divide(1)
        assert fleet.registry.log == ["watch "]


def test_a_usual_call_takes_no_lock(many: Many, monkeypatch: pytest.MonkeyPatch) -> None:
    with Fleet(1, many) as fleet, fleet.channel() as channel:
        stub = services.ClientStub(channel)
        stub.divide(1)
        with monkeypatch.context() as without:
            without.setattr(channel, "_lock", None)
            without.setattr(service(channel), "_lock", None)
            assert stub.divide(4, 2) == 2.0


def test_each_method_goes_to_its_service(many: Many) -> None:
    class PingProtocol(rpc.MessageProtocol[str]):
        name = "Directory.ping"
        returns = rpc.STRING

    with Fleet(1, many) as fleet, fleet.channel() as channel:
        directory = rpc.ThreadServer(
            "127.0.0.1", 0, services.DirectoryServerStub(services.DirectoryHandlers("d"))
        )
        with directory:
            fleet.registry.set("Directory", Instance("127.0.0.1", directory.port))
            assert channel.call(services.DivideProtocol, (4, 2)) == 2.0
            assert channel.call(PingProtocol, ()) == "d"
            assert fleet.registry.log == ["watch ", "watch Directory"]


def test_a_service_that_is_named_gets_all_calls(many: Many) -> None:
    with Fleet(1, many) as fleet, fleet.channel(service="Other") as channel:
        fleet.registry.set("Other", fleet.instance(0))
        assert services.ClientStub(channel).divide(4, 2) == 2.0
        assert fleet.registry.log == ["watch Other"]


@pytest.mark.parametrize(
    "balancer", [rpc.Random(), rpc.RoundRobin(), rpc.ConsistentHash("num1"), rpc.LeastLoaded()]
)
def test_each_balancer_serves(many: Many, balancer: rpc.Balancer) -> None:
    with Fleet(3, many) as fleet, fleet.channel(balancer=balancer) as channel:
        stub = services.ClientStub(channel)
        assert [stub.divide(number, 1) for number in range(50)] == list(range(50))
        fleet.stop(0)
        assert [stub.divide(number, 1) for number in range(50)] == list(range(50))


def test_a_refused_connection_moves_the_call_on(many: Many) -> None:
    """Whatever the method: the call was certainly not started."""
    with Fleet(3, many) as fleet, fleet.channel() as channel:
        stub = services.ClientStub(channel)
        fleet.stop(0)
        fleet.stop(1)
        for _ in range(50):
            stub.run("count")
        assert fleet.calls(2) == 50


def test_a_server_that_closed_its_connections_loses_no_call(many: Many) -> None:
    with Fleet(3, many) as fleet, fleet.channel() as channel:
        stub = services.ClientStub(channel)
        for _ in range(30):
            stub.run("count")
        for number in (0, 1):
            fleet.stop(number)
            for _ in range(30):
                stub.run("count")
        assert sum(map(fleet.calls, range(3))) == 90


def test_a_call_that_was_sent_moves_on_only_if_it_may_run_again(many: Many) -> None:
    with Fleet(2, many) as fleet, peers.server(peers.answering()) as port:
        registry = MemoryRegistry()
        registry.set("", Instance("127.0.0.1", port))
        with many(registry) as channel:
            with pytest.raises(rpc.ConnectionLost, match="may have run") as raised:
                channel.call(services.EchoProtocol, (b"x",))
            assert raised.value.peer == f"tcp://127.0.0.1:{port}"
        with (
            peers.server(peers.answering()) as other,
            many(registry, balancer=Favourite(other)) as channel,
        ):
            registry.set("", Instance("127.0.0.1", other), fleet.instance(0))
            assert channel.call(EchoAgainProtocol, (b"x",)) == b"x"


class Favourite:
    """All calls to one port while it can serve.

    Args:
        port: The server's.
    """

    def __init__(self, port: int) -> None:
        self._port = port

    def picker(self, endpoints: typing.Sequence[rpc.Endpoint]) -> typing.Any:
        found = [endpoint for endpoint in endpoints if endpoint.instance.port == self._port]
        return lambda protocol, args, tried: (found or endpoints)[0]


def test_a_deadline_is_the_end_of_a_call(many: Many) -> None:
    with Fleet(2, many) as fleet, fleet.channel(timeout=0.1) as channel:
        with pytest.raises(rpc.DeadlineExceeded):
            channel.call(WaitAgainProtocol, (1,))
        fleet.list(0, 1)
        assert (
            fleet.handlers[0].entered.acquire(blocking=False)
            + fleet.handlers[1].entered.acquire(blocking=False)
            == 1
        )


def test_answers_are_not_asked_for_again(many: Many) -> None:
    with Fleet(3, many) as fleet, fleet.channel() as channel:
        ran: list[str] = []

        def fail() -> None:
            ran.append("fail")
            raise ZeroDivisionError

        def refuse() -> None:
            ran.append("refuse")
            raise services.InvalidOperation("no")

        for handlers in fleet.handlers:
            handlers.actions |= {"fail": fail, "refuse": refuse}
        with pytest.raises(rpc.RemoteFault):
            services.ClientStub(channel).run("fail")
        with pytest.raises(services.InvalidOperation):
            services.ClientStub(channel).run("refuse")
        assert ran == ["fail", "refuse"]


def test_at_most_three_servers_are_tried(many: Many) -> None:
    ports = [peers.unused_port() for _ in range(6)]
    with many(refusing(*ports)) as channel, pytest.raises(rpc.Unavailable) as raised:
        services.ClientStub(channel).divide(1)
    text = str(raised.value)
    tried = [port for port in ports if f"tcp://127.0.0.1:{port}" in text.partition("(tried ")[2]]
    assert len(tried) == 3
    assert text.startswith(f"divide at {raised.value.peer}: cannot connect: the connection was refused")


def test_the_error_keeps_what_happened_at_each_server(many: Many) -> None:
    ports = [peers.unused_port() for _ in range(2)]
    with (
        many(refusing(*ports), tries=2) as channel,
        pytest.raises(rpc.Unavailable) as raised,
    ):
        services.ClientStub(channel).divide(1)
    told = "".join(traceback.format_exception(raised.value))
    assert told.count("ConnectionRefusedError") == 2
    assert all(f"tcp://127.0.0.1:{port}" in raised.value.__notes__[0] + str(raised.value) for port in ports)
    again = pickle.loads(pickle.dumps(raised.value))
    assert str(again) == str(raised.value)
    assert again.__notes__ == raised.value.__notes__


def test_a_call_that_may_have_run_is_never_told_to_be_safe(many: Many) -> None:
    """The first try was lost, the second one refused: the second alone was certainly not started."""
    with peers.server(peers.answering()) as port:
        registry = MemoryRegistry()
        registry.set("", Instance("127.0.0.1", port), Instance("127.0.0.1", peers.unused_port()))
        with (
            many(registry, balancer=Favourite(port), tries=2) as channel,
            pytest.raises(rpc.ConnectionLost, match="may have run"),
        ):
            channel.call(EchoAgainProtocol, (b"x",))


def test_one_server_gets_the_call_again_after_a_pause(many: Many) -> None:
    """It is being restarted: within a quarter of a second it is there."""
    port = peers.unused_port()
    with many(refusing(port), tries=50) as channel:
        thread, outcome = in_thread(lambda: services.ClientStub(channel).divide(4, 2))
        while not channel._services or not service(channel).router.endpoints[0].failures:
            assert thread.is_alive()
        with services.ThreadServer("127.0.0.1", port, services.Handlers()):
            thread.join(30)
        assert outcome == [2.0]


def test_no_pause_is_longer_than_the_deadline(many: Many) -> None:
    with many(refusing(), timeout=0.05) as channel:
        start = time.monotonic()
        with pytest.raises(rpc.Unavailable, match="refused"):
            services.ClientStub(channel).divide(1)
        assert time.monotonic() - start < 10


def test_tries_stay_within_the_budget(many: Many, monkeypatch: pytest.MonkeyPatch) -> None:
    ports = [peers.unused_port() for _ in range(3)]
    with many(refusing(*ports)) as channel:
        stub = services.ClientStub(channel)
        with pytest.raises(rpc.Unavailable, match="tried"):
            stub.divide(1)
        monkeypatch.setattr(type(channel._budget), "has", lambda self, now: False)
        for _ in range(5):
            with pytest.raises(rpc.Unavailable) as raised:
                stub.divide(1)
            assert "tried" not in str(raised.value)


def test_a_silent_server_leaves_time_for_the_others(many: Many) -> None:
    """Its machine is gone: a connection is neither made nor refused."""
    with Fleet(1, many) as fleet, FullBacklog() as silent:
        fleet.registry.set("", fleet.instance(0), Instance("127.0.0.1", silent.port))
        with fleet.channel(balancer=Favourite(silent.port), timeout=3) as channel:
            assert services.ClientStub(channel).divide(4, 2) == 2.0
            by_port = {e.instance.port: e.state.name for e in service(channel).router.endpoints}
            assert by_port[silent.port] == "EJECTED"


class FullBacklog:
    """A listener that accepts nothing and has no room for more: a connection to it waits."""

    def __enter__(self) -> typing.Self:
        import socket

        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        self.port: int = self._listener.getsockname()[1]
        self._waiting = []
        for _ in range(3):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", self.port))
            self._waiting.append(sock)
        return self

    def __exit__(self, *error: object) -> None:
        for sock in (*self._waiting, self._listener):
            sock.close()


def test_what_cannot_be_encoded_is_held_against_nobody(many: Many) -> None:
    with (
        many(MemoryRegistry(), start_wait=30) as channel,
        pytest.raises(rpc.EncodeError) as raised,
    ):
        channel.call(services.DivideProtocol, ("a", 1))
    assert (raised.value.method, raised.value.peer) == ("divide", None)
    with Fleet(2, many) as fleet, fleet.channel() as channel:
        services.ClientStub(channel).divide(1)
        services.ClientStub(channel).divide(1)
        for _ in range(20):
            with pytest.raises(rpc.EncodeError) as raised:
                channel.call(services.DivideProtocol, ("a", 1))
            assert (raised.value.method, raised.value.peer) == ("divide", None)
        assert [(e.failures, e.load) for e in service(channel).router.endpoints] == [(0, 0)] * 2


def test_load_is_counted_and_given_back(many: Many) -> None:
    with Fleet(1, many) as fleet, fleet.channel() as channel:
        stub = services.ClientStub(channel)
        stub.divide(1)
        threads = [in_thread(lambda: stub.wait(1))[0] for _ in range(3)]
        for _ in threads:
            assert fleet.handlers[0].entered.acquire(timeout=30)
        assert service(channel).router.endpoints[0].load == 3
        fleet.handlers[0].go_on.set()
        for thread in threads:
            thread.join(30)
        assert service(channel).router.endpoints[0].load == 0


def test_a_server_that_failed_is_let_back_by_a_call(many: Many) -> None:
    port = peers.unused_port()
    with Fleet(1, many) as fleet, fleet.channel(balancer=Favourite(port)) as channel:
        fleet.registry.set("", fleet.instance(0), Instance("127.0.0.1", port))
        stub = services.ClientStub(channel)
        stub.run("count")
        gone = next(e for e in service(channel).router.endpoints if e.instance.port == port)
        assert gone.state.name == "EJECTED"
        handlers = counting()
        with services.ThreadServer("127.0.0.1", port, handlers):
            until = time.monotonic() + 30
            while gone.state.name != "READY" and time.monotonic() < until:
                stub.run("count")
            assert handlers.lines == ["count"]


def test_a_zone_is_preferred(many: Many) -> None:
    with Fleet(3, many) as fleet, fleet.channel(zone="here") as channel:
        fleet.registry.set(
            "",
            fleet.instance(0, zone="there"),
            fleet.instance(1, zone="here"),
            fleet.instance(2, zone="there"),
        )
        stub = services.ClientStub(channel)
        for _ in range(20):
            stub.run("count")
        assert fleet.calls(1) == 20
        fleet.stop(1)
        for _ in range(20):
            stub.run("count")
        assert fleet.calls(0) + fleet.calls(2) == 20


def test_a_new_server_gets_calls_and_a_withdrawn_one_none(many: Many) -> None:
    with Fleet(3, many) as fleet, fleet.channel(balancer=rpc.RoundRobin()) as channel:
        fleet.list(0, 1)
        stub = services.ClientStub(channel)
        for _ in range(10):
            stub.run("count")
        fleet.list(1, 2)
        for _ in range(10):
            stub.run("count")
        assert [fleet.calls(number) for number in range(3)] == [5, 10, 5]


def test_a_withdrawn_server_s_calls_end_well(many: Many) -> None:
    with Fleet(2, many) as fleet, fleet.channel() as channel:
        fleet.list(0)
        stub = services.ClientStub(channel)
        thread, outcome = in_thread(lambda: stub.wait(7))
        assert fleet.handlers[0].entered.acquire(timeout=30)
        stub.divide(1)
        assert 1 <= connections(channel) <= 2  # asyncio's calls share one
        leaving = service(channel).router.endpoints[0]
        fleet.list(1)
        assert stub.divide(4, 2) == 2.0
        assert open_connections(leaving.channel) >= 1
        fleet.handlers[0].go_on.set()
        thread.join(30)
        assert outcome == [7]
        until(lambda: not open_connections(leaving.channel))


def test_a_withdrawn_server_that_breaks_off_is_lost_not_cancelled(many: Many) -> None:
    with Fleet(2, many) as fleet, fleet.channel() as channel:
        fleet.list(0)
        thread, outcome = in_thread(lambda: channel.call(services.WaitProtocol, (7,)))
        again, moved = in_thread(lambda: channel.call(WaitAgainProtocol, (8,)))
        for _ in range(2):
            assert fleet.handlers[0].entered.acquire(timeout=30)
        fleet.handlers[1].go_on.set()
        fleet.list(1)
        fleet.stop(0)
        thread.join(30)
        again.join(30)
        assert [type(outcome) for outcome in outcome] == [rpc.ConnectionLost]
        assert moved == [8]


def test_registry_trouble_never_empties_the_list(many: Many) -> None:
    with Fleet(2, many) as fleet, fleet.channel() as channel:
        stub = services.ClientStub(channel)
        stub.divide(1)
        fleet.registry.go_away("the network is down")
        for _ in range(20):
            stub.run("count")
        fleet.stop(0)
        for _ in range(20):
            stub.run("count")
        assert fleet.calls(0) + fleet.calls(1) == 40
        fleet.registry.go_away("")
        stub.run("count")


def test_an_empty_list_leaves_the_last_one_for_a_time(many: Many) -> None:
    with Fleet(2, many) as fleet, fleet.channel() as channel:
        stub = services.ClientStub(channel)
        stub.divide(1)
        fleet.list()
        for _ in range(20):
            stub.run("count")
        service(channel).router._grace = 0.0
        fleet.list(0)
        fleet.list()
        with pytest.raises(rpc.NoServers):
            stub.divide(1)
        until(lambda: connections(channel) == 0)
        fleet.list(1)
        assert stub.divide(4, 2) == 2.0


def test_servers_that_are_gone_from_the_list_and_from_the_network_are_gone(many: Many) -> None:
    with Fleet(2, many) as fleet, fleet.channel() as channel:
        stub = services.ClientStub(channel)
        stub.divide(1)
        fleet.list()
        fleet.stop(0)
        fleet.stop(1)
        with pytest.raises(rpc.NoServers, match="it listed none") as raised:
            stub.divide(1)
        assert "refused" in "".join(traceback.format_exception(raised.value))


def test_the_first_list_is_waited_for(many: Many) -> None:
    with Fleet(1, many) as fleet:
        fleet.registry.go_away("starting")
        with fleet.channel(start_wait=30) as channel:
            thread, outcome = in_thread(lambda: services.ClientStub(channel).divide(4, 2))
            while not fleet.registry.log:
                assert thread.is_alive()
            fleet.registry.go_away("")
            thread.join(30)
            assert outcome == [2.0]


def test_no_servers_says_where_and_what_was_seen(many: Many) -> None:
    registry = MemoryRegistry()
    with many(registry) as channel, pytest.raises(rpc.NoServers) as raised:
        services.ClientStub(channel).divide(1)
    assert str(raised.value).startswith(
        "divide: no server of the file's own service is registered at memory:// (memory:rpc): it listed none, 0.0 s ago"
    )
    assert str(raised.value).endswith("is a server registered? rpcgen ls memory://")


def test_no_servers_says_that_the_registry_is_away(many: Many) -> None:
    registry = MemoryRegistry()
    registry.go_away("connection refused")
    with many(registry, "Directory", start_wait=0.05) as channel:
        for _ in range(2):
            with pytest.raises(rpc.NoServers) as raised:
                services.ClientStub(channel).divide(1)
            assert "nothing is known of service Directory at memory:// (memory:Directory)" in str(
                raised.value
            )
            assert "the registry does not answer: connection refused" in str(raised.value)


def test_waiting_for_the_first_list_ends_with_the_deadline(many: Many) -> None:
    registry = MemoryRegistry()
    registry.go_away("connection refused")
    with many(registry, start_wait=1000, timeout=0.05) as channel:
        with pytest.raises(rpc.NoServers):
            services.ClientStub(channel).divide(1)
        with rpc.deadline(0.05), pytest.raises(rpc.NoServers):
            rpc.with_options(services.ClientStub(channel), timeout=900.0).divide(1)


def test_a_deadline_that_has_passed_lets_no_call_start(many: Many) -> None:
    with Fleet(2, many) as fleet, fleet.channel() as channel:
        stub = services.ClientStub(channel)
        for _ in range(2):
            with rpc.deadline(0):
                for _ in range(10):
                    with pytest.raises(rpc.DeadlineExceeded, match="the time was up before"):
                        stub.run("count")
            stub.divide(1)
        assert [endpoint.failures for endpoint in service(channel).router.endpoints] == [0, 0]
        assert fleet.calls(0) + fleet.calls(1) == 0


def test_what_is_listed_but_no_address_is_ignored(many: Many) -> None:
    with Fleet(1, many) as fleet, fleet.channel() as channel:
        long = Instance("unix:///" + "a" * 200, 0)
        fleet.registry.set("", Instance("a:b:c]", 5), long, fleet.instance(0))
        stub = services.ClientStub(channel)
        for _ in range(10):
            stub.run("count")
        assert fleet.calls(0) == 10


def test_a_list_without_addresses_says_so(many: Many) -> None:
    registry = MemoryRegistry()
    registry.set("", Instance("unix:///" + "a" * 200, 0))
    with (
        many(registry) as channel,
        pytest.raises(rpc.NoServers, match="it listed 1, none of which has an address to call, 0"),
    ):
        services.ClientStub(channel).divide(1)


class Remembering(MemoryRegistry):
    """Cannot be reached, and gives what it knew."""

    def watch(self, service: str, on_change: Changed | None = None) -> Watch:
        watch = Watch(on_change, lambda: None)
        watch.publish(Snapshot(tuple(self.known), live=False, problem="away", at=1.0))
        return watch

    known: typing.ClassVar[list[Instance]] = []


def test_an_old_list_is_better_than_none(many: Many, monkeypatch: pytest.MonkeyPatch) -> None:
    with Fleet(1, many) as fleet, many(Remembering()) as channel:
        monkeypatch.setattr(Remembering, "known", [fleet.instance(0)])
        assert services.ClientStub(channel).divide(4, 2) == 2.0


def test_closing_ends_running_calls_and_starts_none(many: Many) -> None:
    with Fleet(2, many) as fleet:
        channel = fleet.channel()
        stub = services.ClientStub(channel)
        thread, outcome = in_thread(lambda: channel.call(WaitAgainProtocol, (1,)))
        while not any(handlers.entered.acquire(timeout=0.01) for handlers in fleet.handlers):
            assert thread.is_alive()
        channel.close()
        thread.join(30)
        assert [type(error) for error in outcome] == [rpc.Cancelled]
        channel.close()
        with pytest.raises(rpc.Unavailable, match="divide: the channel is closed; the call was not sent"):
            stub.divide(1)
        assert fleet.registry._watches == []


def test_closing_ends_calls_at_servers_that_were_withdrawn(many: Many) -> None:
    with Fleet(2, many) as fleet, fleet.channel() as channel:
        fleet.list(0)
        thread, outcome = in_thread(lambda: channel.call(services.WaitProtocol, (1,)))
        assert fleet.handlers[0].entered.acquire(timeout=30)
        fleet.list(1)
        channel.close()
        thread.join(30)
        assert [type(error) for error in outcome] == [rpc.Cancelled]


def test_closing_ends_waiting_for_a_list_and_pauses(many: Many) -> None:
    registry = MemoryRegistry()
    registry.go_away("away")
    channel = many(registry, start_wait=1000)
    thread, outcome = in_thread(lambda: services.ClientStub(channel).divide(1))
    while not registry.log:
        assert thread.is_alive()
    channel.close()
    thread.join(30)
    assert [type(error) for error in outcome] == [rpc.Unavailable]


def test_a_registry_that_was_handed_in_stays_open(many: Many) -> None:
    with Fleet(1, many) as fleet:
        with fleet.channel() as channel:
            services.ClientStub(channel).divide(1)
        with fleet.channel() as channel:
            services.ClientStub(channel).divide(1)


def test_a_registry_opened_from_a_url_is_closed(many: Many, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = refusing()
    closed: list[bool] = []
    monkeypatch.setattr(registry, "close", lambda: closed.append(True))
    monkeypatch.setattr("rpcgen.runtime.registry.open_registry", lambda url=None, **options: registry)
    with many("zk://127.0.0.1:1/rpc"):
        pass
    assert closed == [True]


def test_the_environment_names_the_registry(many: Many, monkeypatch: pytest.MonkeyPatch) -> None:
    with Fleet(1, many) as fleet:
        url = f"static://127.0.0.1:{fleet.servers[0].port}"
        monkeypatch.setenv("RPCGEN_REGISTRY", url)
        with many() as channel:
            assert channel.registry_url == url
            assert services.ClientStub(channel).divide(4, 2) == 2.0


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"tries": 0}, "at least once"),
        ({"tries": True}, "at least once"),
        ({"timeout": 0}, "above 0"),
        ({"start_wait": -1}, "from 0 up"),
        ({"start_wait": float("nan")}, "from 0 up"),
    ],
)
def test_options_out_of_range(many: Many, options: dict[str, typing.Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        many(MemoryRegistry(), **options)


@pytest.mark.parametrize("url", ["zkk://h", "tcp://127.0.0.1:1", "static://", "h:1"])
def test_a_url_that_is_no_registry_fails_at_once(many: Many, url: str) -> None:
    with pytest.raises(ValueError, match=url):
        many(url)


def test_a_channel_is_not_pickled() -> None:
    with (
        rpc.DistributedChannel(MemoryRegistry()) as channel,
        pytest.raises(TypeError, match="registry's URL"),
    ):
        pickle.dumps(channel)


def test_max_connections_are_of_one_server() -> None:
    with Fleet(2) as fleet, fleet.channel(max_connections=1, timeout=0.2) as channel:
        threads = [in_thread(lambda: channel.call(WaitAgainProtocol, (1,), 30.0)) for _ in range(2)]
        for handlers in fleet.handlers:
            assert handlers.entered.acquire(timeout=30)
        with pytest.raises(rpc.DeadlineExceeded, match="1 other calls"):
            services.ClientStub(channel).divide(1)
        for handlers in fleet.handlers:
            handlers.go_on.set()
        for thread, _ in threads:
            thread.join(30)


@pytest.mark.parametrize("is_given", [True, False])
def test_a_forked_child_begins_anew(is_given: bool) -> None:
    with Fleet(2) as fleet:
        url = "static://" + ",".join(f"127.0.0.1:{server.port}" for server in fleet.servers)
        channel = fleet.channel() if is_given else rpc.DistributedChannel(url)
        stub = services.ClientStub(channel)
        with channel:
            for _ in range(10):
                stub.divide(1)
            before = connections(channel)
            child = os.fork()
            if not child:
                status = 1
                try:
                    assert channel._services == {}
                    assert stub.divide(4, 2) == 2.0
                    assert fleet.registry.log.count("watch ") == 2 * is_given
                    # The parent's connections are its own.
                    assert connections(channel) == 1
                    channel.close()
                    status = 0
                finally:
                    os._exit(status)
            assert os.waitpid(child, 0)[1] == 0
            assert connections(channel) == before
            for _ in range(10):
                stub.divide(1)
            assert connections(channel) == before


def test_channels_are_forgotten_when_they_are_let_go() -> None:
    before = len(distribution._channels)
    channel = rpc.DistributedChannel(MemoryRegistry())
    assert len(distribution._channels) == before + 1
    channel.close()
    del channel
    assert len(distribution._channels) == before


def test_errors_hold_no_channel_alive() -> None:
    """No cycle through a frame: what a failed call held is free at once."""
    import gc
    import weakref

    channel = rpc.DistributedChannel(refusing(peers.unused_port(), peers.unused_port()), tries=2)
    gc.disable()
    try:
        try:
            services.ClientStub(channel).divide(1)
        except rpc.Unavailable as error:
            seen = weakref.ref(error)
        assert seen() is None
    finally:
        gc.enable()
        channel.close()


def test_a_server_that_leaves_the_list_while_it_is_picked_costs_no_try(
    many: Many,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Fleet(2, many) as fleet, fleet.channel(tries=1) as channel:
        stub = services.ClientStub(channel)
        fleet.list(0)
        stub.divide(1)
        router = service(channel).router
        (left,) = router.endpoints
        fleet.list(1)
        pick, picked = router.pick, [left]

        def late(*args: typing.Any) -> rpc.Endpoint:
            return picked.pop() if picked else pick(*args)

        monkeypatch.setattr(router, "pick", late)
        assert stub.divide(1) == 1
        assert picked == []


def test_many_threads_share_a_channel_while_the_list_changes(many: Many) -> None:
    with Fleet(4, many) as fleet, fleet.channel() as channel:
        stub = services.ClientStub(channel)
        done = threading.Event()

        def call() -> int:
            count = 0
            while not done.is_set():
                assert stub.divide(count, 1) == count
                count += 1
            return count

        running = [in_thread(call) for _ in range(8)]
        for number in range(200):
            fleet.list(*{number % 4, (number + 1) % 4})
        done.set()
        for thread, _ in running:
            thread.join(30)
        assert all(isinstance(outcome[0], int) for _, outcome in running), [outcome for _, outcome in running]
        assert all(endpoint.load == 0 for endpoint in service(channel).router.endpoints)


def refusing_first(fleet: Fleet, **said: typing.Any) -> MemoryRegistry:
    """Lists a server that refuses connections and one of the fleet."""
    registry = MemoryRegistry()
    registry.set("", Instance("127.0.0.1", peers.unused_port()), fleet.instance(0, **said))
    return registry


def test_interceptors_stand_once_around_a_call_with_its_tries(many: Many) -> None:
    seen: list[object] = []

    @contextlib.contextmanager
    def note(call: rpc.Call) -> typing.Iterator[None]:
        assert call.peer == ""
        assert call.deadline is not None
        seen.append(call.args)
        call.args = (4, 2)
        yield
        seen.append(call.result)
        call.result = 3.0

    with Fleet(1, many) as fleet:
        registry = refusing_first(fleet)
        first = next(entry.instance.port for entry in registry.contents().entries if entry.instance)
        with many(registry, balancer=Favourite(first), interceptors=[note], timeout=30) as channel:
            for number in range(2):
                assert channel.call(services.DivideProtocol, (number, 1)) == 3.0
    assert seen == [(0, 1), 2.0, (1, 1), 2.0]


@pytest.mark.parametrize("is_watched", [True, False])
def test_metadata_goes_both_ways(many: Many, is_watched: bool) -> None:
    """With interceptors and without; plain messages carry none."""

    def answer() -> int:
        context = rpc.context()
        context.reply_metadata["heard"] = context.metadata["a"]
        return 1

    brought: list[dict[str, bytes]] = []

    @contextlib.contextmanager
    def watch(call: rpc.Call) -> typing.Iterator[None]:
        yield
        brought.append(dict(call.reply_metadata))

    with Fleet(1, many) as fleet, fleet.channel(interceptors=[watch] if is_watched else []) as channel:
        fleet.handlers[0].actions["answer"] = answer
        stub = rpc.with_options(services.ClientStub(channel), metadata={"a": "x"})
        for _ in range(2):
            with rpc.reply_metadata() as received:
                try:
                    assert stub.run("answer") == 1
                except rpc.EncodeError:
                    continue
            assert received == {"heard": b"x"}
        assert brought in ([], [{"heard": b"x"}] * 2)


def test_who_is_not_let_in_does_not_try_elsewhere(many: Many) -> None:
    asked: list[str] = []

    def authenticate(credentials: str) -> str:
        asked.append(credentials)
        raise PermissionError("who are you?")

    with contextlib.ExitStack() as stack:
        registry = MemoryRegistry()
        servers = [
            stack.enter_context(
                services.ThreadServer("127.0.0.1", 0, services.Handlers(), authenticate=authenticate)
            )
            for _ in range(2)
        ]
        registry.set("", *(Instance("127.0.0.1", server.port) for server in servers))
        channel = stack.enter_context(many(registry, credentials="guess"))
        for number in range(2):
            with pytest.raises(rpc.RemoteFault) as raised:
                channel.call(EchoAgainProtocol, (b"x",))
            assert raised.value.code is rpc.FaultCode.UNAUTHENTICATED
            assert asked in ([], ["guess"] * (number + 1))


def test_servers_are_called_with_tls(many: Many) -> None:
    ours = authority()
    with services.ThreadServer("127.0.0.1", 0, services.Handlers(), tls=ours.server(ca=ours.ca)) as server:
        registry = MemoryRegistry()
        registry.set("", Instance("127.0.0.1", server.port))
        for name in (None, "localhost"):
            with many(registry, tls=ours.client(shows=ours, name=name)) as channel:
                assert channel.call(services.DivideProtocol, (4, 2)) == 2.0
        with (
            many(registry, tls=authority("others").client(), tries=1) as channel,
            pytest.raises(rpc.Unavailable, match="not accepted"),
        ):
            channel.call(services.DivideProtocol, (4, 2))


@pytest.mark.parametrize("protocols", [("plain",), ("framed", "plain"), ("framed",)])
def test_each_server_is_spoken_to_as_its_entry_says(protocols: tuple[str, ...]) -> None:
    with Fleet(1) as fleet, fleet.channel() as channel:
        fleet.registry.set("", fleet.instance(0, protocols=protocols))
        stub = rpc.with_options(services.ClientStub(channel), metadata={"a": "x"})
        if "framed" in protocols:
            assert stub.divide(4, 2) == 2.0
        else:
            with pytest.raises(rpc.EncodeError, match="plain messages carry no metadata"):
                stub.divide(4, 2)
        before = service(channel).router.endpoints
        fleet.registry.set("", fleet.instance(0, protocols=("framed", "plain")))
        assert stub.divide(4, 2) == 2.0
        assert (service(channel).router.endpoints == before) is (protocols == ("framed", "plain"))


def test_threads_share_a_connection_to_each_server_if_asked() -> None:
    with Fleet(2) as fleet:
        fleet.registry.set("", *(fleet.instance(number, protocols=("framed",)) for number in range(2)))
        with fleet.channel(multiplex=True) as channel:
            stub = services.ClientStub(channel)
            outcomes = [in_thread(lambda: [stub.divide(number, 1) for number in range(20)]) for _ in range(8)]
            for thread, outcome in outcomes:
                thread.join(30)
                assert outcome == [list(range(20))]
            assert connections(channel) <= 2
