"""What goes wrong with sessions, nodes, links and ZooKeeper itself, provoked; entries and lists come through."""

from __future__ import annotations

import contextlib
import logging
import os
import pathlib
import signal
import socket
import threading
import time
import typing

import pytest

from rpcgen.runtime.discovery.zookeeper import ZooKeeperRegistry, layout
from rpcgen.runtime.registry import Instance, Registration, Snapshot, Watch
from tests.support.leaks import no_leaks
from tests.support.processes import line, python
from tests.support.proxy import Proxy
from tests.support.waiting import PATIENCE, until
from tests.support.zookeeper import Ensemble, ZooKeeper, client, expire

__all__ = ["no_leaks"]

pytestmark = pytest.mark.xdist_group("zookeeper")

ONE, TWO = Instance("127.0.0.1", 1, started=100.0), Instance("127.0.0.1", 2, started=100.0)


class Place:
    """A root in a ZooKeeper, and an operator's client there."""

    def __init__(self, zookeeper: ZooKeeper | Ensemble, operator: typing.Any, root: str = "/rpc") -> None:
        self.hosts = zookeeper.hosts
        self.root = root
        self.operator = operator

    @property
    def url(self) -> str:
        return f"zk://{self.hosts}{self.root}"

    def nodes(self) -> list[str]:
        import kazoo.exceptions

        try:
            return layout.entries(self.operator.get_children(self.root))
        except kazoo.exceptions.NoNodeError:
            return []

    def owners(self) -> list[int]:
        owners = []
        for name in self.nodes():
            stat = self.operator.exists(f"{self.root}/{name}")
            if stat is not None:
                owners.append(stat.ephemeralOwner)
        return owners

    def through(self, proxy: Proxy) -> str:
        return f"zk://127.0.0.1:{proxy.port}{self.root}"


@pytest.fixture
def place(zookeeper_of_worker: ZooKeeper, zk_url: str) -> typing.Iterator[Place]:
    """In the ZooKeeper that all tests share."""
    with client(zookeeper_of_worker.hosts) as operator:
        yield Place(zookeeper_of_worker, operator, "/" + zk_url.rpartition("/")[2])


@pytest.fixture
def own(tmp_path: pathlib.Path) -> typing.Iterator[ZooKeeper]:
    """A ZooKeeper of the test's own, to harm."""
    with ZooKeeper(tmp_path) as zookeeper:
        yield zookeeper


@contextlib.contextmanager
def serving(
    url: str, instance: Instance = ONE, **options: object
) -> typing.Iterator[tuple[ZooKeeperRegistry, Registration]]:
    """A registry with an entry that stands."""
    with ZooKeeperRegistry(url, **options) as registry:
        registration = registry.register("", instance)
        assert registration.wait(PATIENCE)
        yield registry, registration


@contextlib.contextmanager
def watching(url: str, **options: object) -> typing.Iterator[Watch]:
    """A list that has come, of a registry of its own."""
    with ZooKeeperRegistry(url, **options) as registry:
        watch = registry.watch("")
        assert watch.wait(PATIENCE)
        yield watch


def ports(watch: Watch) -> set[int]:
    return {instance.port for instance in watch.snapshot.instances}


def session(registry: ZooKeeperRegistry) -> int:
    identity = registry.session
    assert identity is not None
    return identity[0]


def is_settled(place: Place, registry: ZooKeeperRegistry, registration: Registration) -> bool:
    """Whether one node stands, the registry's session owns it, and the registration says so."""
    identity = registry.session
    return identity is not None and registration.is_registered and place.owners() == [identity[0]]


def test_a_lost_reply_leaves_one_node(place: Place) -> None:
    with (
        Proxy(int(place.hosts.rpartition(":")[2])) as proxy,
        ZooKeeperRegistry(place.through(proxy)) as registry,
    ):
        assert registry.watch("").wait(PATIENCE)
        proxy.loses_reply_to = b"/server-"
        registration = registry.register("", ONE)
        assert proxy.lost.wait(PATIENCE)
        assert registration.wait(PATIENCE)
        assert place.owners() == [session(registry)]


def test_a_lost_reply_and_the_end_of_the_session_leave_one_node(place: Place) -> None:
    with (
        Proxy(int(place.hosts.rpartition(":")[2])) as proxy,
        ZooKeeperRegistry(place.through(proxy)) as registry,
    ):
        assert registry.watch("").wait(PATIENCE)
        identity = registry.session
        assert identity is not None
        proxy.loses_reply_to = b"/server-"
        registration = registry.register("", ONE)
        assert proxy.lost.wait(PATIENCE)
        expire(place.hosts, identity)
        until(lambda: is_settled(place, registry, registration))


def test_a_withdrawal_whose_reply_is_lost_is_done(place: Place) -> None:
    with (
        Proxy(int(place.hosts.rpartition(":")[2])) as proxy,
        serving(place.through(proxy)) as (_, registration),
    ):
        proxy.loses_reply_to = place.nodes()[0].encode()
        assert registration.close(PATIENCE)
        assert proxy.lost.is_set()
        assert place.nodes() == []


def linger(place: Place, instance: Instance, *, name: str = "", **how: object) -> str:
    """An entry that another session owns."""
    path = f"{place.root}/{name or layout.prefix(instance.address)}"
    how = {"ephemeral": True, "sequence": True, "makepath": True} | how
    return str(place.operator.create(path, instance.encode(), **how)).rpartition("/")[2]


@pytest.mark.parametrize("name", ["", "server"])
def test_what_an_older_process_left_at_the_address_goes(place: Place, name: str) -> None:
    linger(place, Instance("127.0.0.1", 1, started=99.0), name=name)
    other = linger(place, TWO)
    with serving(place.url) as (registry, _):
        assert len(place.nodes()) == 2
        assert set(place.owners()) == {session(registry), place.operator.client_id[0]}
        assert other in place.nodes()


def test_a_younger_process_at_the_address_stays(place: Place) -> None:
    younger = linger(place, Instance("127.0.0.1", 1, started=101.0))
    with serving(place.url):
        assert younger in place.nodes()


def test_an_entry_that_stays_by_itself_stays(place: Place) -> None:
    by_hand = linger(place, Instance("127.0.0.1", 1), name="server", ephemeral=False)
    with serving(place.url):
        assert by_hand in place.nodes()


def test_the_entry_of_a_killed_process_goes_when_it_is_back(place: Place) -> None:
    code = """
import sys, time
from rpcgen.runtime.registry import Instance, open_registry
registration = open_registry(sys.argv[1]).register("", Instance("127.0.0.1", 1, started=99.0))
assert registration.wait(30)
print("stands", flush=True)
time.sleep(60)
"""
    with python(code, f"{place.url}?timeout=60") as process:
        assert line(process) == "stands"
        process.kill()
    (left,) = place.nodes()
    with serving(place.url) as (registry, _):
        assert place.owners() == [session(registry)]
        assert left not in place.nodes()


def test_two_servers_behind_one_address_do_not_fight(place: Place) -> None:
    with serving(place.url) as (first, _), serving(place.url) as (second, _):
        until(lambda: set(place.owners()) == {session(first), session(second)})
        nodes = place.nodes()
        for registry in (first, second):
            registry.contents()  # has come back from whatever it did
        assert place.nodes() == nodes


def test_an_expired_session_is_followed_by_another(place: Place) -> None:
    with watching(place.url) as watch, serving(place.url) as (registry, registration):
        until(lambda: watch.snapshot.instances == (ONE,))
        over: set[object] = set()
        for _ in range(3):
            before = registry.session
            assert before is not None
            expire(place.hosts, before)
            over.add(before)
            until(lambda: is_settled(place, registry, registration) and registry.session not in over)
        until(lambda: watch.snapshot.instances == (ONE,))


def test_a_list_is_followed_beyond_the_end_of_its_session(place: Place) -> None:
    with ZooKeeperRegistry(place.url) as registry:
        watch = registry.watch("")
        assert watch.wait(PATIENCE)
        assert registry.session is not None
        expire(place.hosts, registry.session)
        with serving(place.url):
            until(lambda: watch.snapshot.instances == (ONE,))


Harm: typing.TypeAlias = "typing.Callable[[ZooKeeper, Proxy], None]"


def swallow(_: ZooKeeper, proxy: Proxy) -> None:
    proxy.swallows_replies = True


def pass_on(_: ZooKeeper, proxy: Proxy) -> None:
    proxy.swallows_replies = False
    proxy.cut()  # what was swallowed never comes


@pytest.mark.parametrize(
    ("harm", "heal", "problem"),
    [
        (lambda zookeeper, _: zookeeper.kill(), lambda zookeeper, _: zookeeper.start(), "out of reach: "),
        (lambda zookeeper, _: zookeeper.pause(), lambda zookeeper, _: zookeeper.resume(), "does not answer"),
        (
            swallow,
            pass_on,
            "out of reach: ",
        ),
    ],
    ids=["killed", "frozen", "swallowed"],
)
def test_out_of_reach(own: ZooKeeper, harm: Harm, heal: Harm, problem: str) -> None:
    with Proxy(own.port) as proxy, contextlib.ExitStack() as stack:
        url = f"zk://127.0.0.1:{proxy.port}/rpc?timeout=1.5"
        _, registration = stack.enter_context(serving(url))
        watch = stack.enter_context(watching(url))
        until(lambda: watch.snapshot.instances == (ONE,))
        harm(own, proxy)
        until(lambda: not watch.snapshot.live)
        until(lambda: problem in watch.snapshot.problem, lambda: watch.snapshot)
        assert watch.snapshot.instances == (ONE,)
        until(lambda: not registration.is_registered)
        heal(own, proxy)
        until(lambda: watch.snapshot.live and watch.snapshot.instances == (ONE,))
        assert registration.wait(PATIENCE)
        with serving(url, TWO):
            until(lambda: ports(watch) == {1, 2})


def test_a_short_outage_is_not_told_of_and_keeps_the_session(own: ZooKeeper) -> None:
    told: list[Snapshot] = []
    url = f"zk://{own.hosts}/rpc?timeout=20"
    with client(own.hosts) as operator, serving(url) as (registry, registration):
        place = Place(own, operator)
        nodes = place.nodes()
        watch = registry.watch("", told.append)
        until(lambda: watch.snapshot.instances == (ONE,))
        before = registry.session
        own.kill()
        until(lambda: registry.session is None)
        assert registration.is_registered
        own.start()
        until(lambda: registry.session == before)
        assert registration.is_registered
        until(lambda: operator.connected)
        assert place.nodes() == nodes


def test_a_connection_that_is_never_answered_is_given_up_for_another(place: Place) -> None:
    # As it happens with a server that starts: it accepts, and has forgotten it once it serves.
    with Proxy(int(place.hosts.rpartition(":")[2])) as proxy:
        proxy.swallows_replies = True
        with ZooKeeperRegistry(place.through(proxy), timeout=60) as registry:
            watch = registry.watch("")
            until(lambda: watch.snapshot.problem)
            proxy.swallows_replies = False  # for new connections; the old one stays without an answer
            assert watch.wait(PATIENCE)


def test_what_was_asked_for_while_it_was_down_is_done_when_it_is_up(own: ZooKeeper) -> None:
    own.kill()
    with ZooKeeperRegistry(f"zk://{own.hosts}/rpc") as registry:
        watch = registry.watch("")
        stays, goes = registry.register("", ONE), registry.register("", TWO)
        until(lambda: "Connection refused" in watch.snapshot.problem)
        assert not watch.wait(0)
        assert not stays.is_registered
        assert not goes.close(0.01)
        own.start()
        assert stays.wait(PATIENCE)
        until(lambda: watch.snapshot.instances == (ONE,))
        assert goes.close(PATIENCE)


def test_an_outage_is_logged_twice(own: ZooKeeper, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), serving(f"zk://{own.hosts}/rpc?timeout=20") as (registry, _):
        caplog.clear()
        own.kill()
        watch = registry.watch("")
        until(lambda: watch.snapshot.problem)
        time.sleep(3)  # what must not happen takes time
        own.start()
        until(lambda: watch.snapshot.live)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2, lines
    assert "out of reach" in lines[0]
    assert "connected again" in lines[1]


def test_the_whole_ensemble_restarts(tmp_path: pathlib.Path) -> None:
    with Ensemble(tmp_path) as ensemble, client(ensemble.hosts) as operator:
        place = Place(ensemble, operator)
        with (
            watching(place.url, timeout=20) as watch,
            serving(place.url, timeout=20) as (registry, registration),
        ):
            until(lambda: watch.snapshot.instances == (ONE,))
            nodes, before = place.nodes(), registry.session
            ensemble.kill()
            until(lambda: not watch.snapshot.live)
            assert watch.snapshot.instances == (ONE,)
            ensemble.start()
            until(lambda: watch.snapshot.live and registry.session is not None)
            assert registry.session == before
            assert registration.wait(PATIENCE)
            assert watch.snapshot.instances == (ONE,)
            until(lambda: operator.connected)
            assert place.nodes() == nodes
            leader = ensemble.leader
            leader.kill()
            with serving(place.url, TWO):
                until(lambda: ports(watch) == {1, 2})
            without = next(node for node in ensemble.nodes if node is not leader)
            without.kill()
            until(lambda: "has no quorum" in watch.snapshot.problem, lambda: watch.snapshot)


def test_wiped_data(own: ZooKeeper) -> None:
    url = f"zk://{own.hosts}/rpc?timeout=20"
    with client(own.hosts) as early, watching(url) as watch, serving(url) as (registry, registration):
        for _ in range(20):
            early.ensure_path("/rpc")
            early.set("/rpc", b"")
        until(lambda: watch.snapshot.instances == (ONE,))
        before = registry.session
        own.kill()
        own.wipe()
        own.start()
        with client(own.hosts) as operator:
            until(lambda: registry.session is not None and registry.session != before)
            place = Place(own, operator)
            until(lambda: is_settled(place, registry, registration))
            until(lambda: watch.snapshot.live and watch.snapshot.instances == (ONE,))


def test_an_operator_deletes_the_node_of_a_live_server(place: Place) -> None:
    with watching(place.url) as watch, serving(place.url) as (registry, registration):
        gone: set[str] = set()
        for _ in range(3):
            (node,) = place.nodes()
            place.operator.delete(f"{place.root}/{node}")
            gone.add(node)
            until(lambda: is_settled(place, registry, registration) and not gone & {*place.nodes()})
        until(lambda: watch.snapshot.instances == (ONE,))


def test_a_node_that_went_unnoticed_is_missed_at_the_next_look(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rpcgen.runtime.discovery.zookeeper.entries import ZooKeeperRegistration

    monkeypatch.setattr(ZooKeeperRegistration, "_changed", lambda *_: None)
    with serving(place.url, check=0.1) as (registry, registration):
        (node,) = place.nodes()
        place.operator.delete(f"{place.root}/{node}")
        until(lambda: is_settled(place, registry, registration) and place.nodes() != [node])
        monkeypatch.undo()


def test_a_change_that_went_unnoticed_is_seen_at_the_next_look(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rpcgen.runtime.discovery.zookeeper.lists import ServiceList

    monkeypatch.setattr(ServiceList, "_changed", lambda *_: None)
    place.operator.ensure_path(place.root)
    with watching(place.url, check=0.1) as watch, serving(place.url):
        until(lambda: watch.snapshot.instances == (ONE,))


def test_the_parent_is_deleted(place: Place) -> None:
    import kazoo.exceptions

    def deleted() -> bool:
        with contextlib.suppress(
            kazoo.exceptions.NotEmptyError
        ):  # the server may be quicker than the operator
            place.operator.delete(place.root, recursive=True)
            return True
        return False

    with watching(place.url) as watch, serving(place.url) as (registry, registration):
        for _ in range(3):
            before = place.operator.exists(place.root).czxid
            until(deleted)
            until(lambda: is_settled(place, registry, registration))
            until(lambda: watch.snapshot.instances == (ONE,))
            assert place.operator.exists(place.root).czxid != before
    with watching(place.url) as watch:
        place.operator.delete(place.root)
        with serving(place.url):
            until(lambda: watch.snapshot.instances == (ONE,))
        until(lambda: watch.snapshot.instances == ())


def test_names_that_come_again_under_a_new_parent_are_read_anew(place: Place) -> None:
    def create(instance: Instance) -> None:
        linger(place, instance, name="server")

    create(ONE)
    with watching(place.url) as watch:
        assert watch.snapshot.instances == (ONE,)
        transaction = place.operator.transaction()
        transaction.delete(f"{place.root}/server0000000000")
        transaction.delete(place.root)
        transaction.create(place.root)
        transaction.create(f"{place.root}/server", TWO.encode(), sequence=True)
        transaction.commit()
        assert place.nodes() == ["server0000000000"]
        until(lambda: watch.snapshot.instances == (TWO,))


def test_an_entry_that_goes_between_list_and_get_is_skipped(place: Place) -> None:
    with watching(place.url) as watch:
        for _ in range(30):
            for _ in range(5):
                node = linger(place, TWO)
                place.operator.delete_async(f"{place.root}/{node}")
        with serving(place.url):
            until(lambda: watch.snapshot.live and watch.snapshot.instances == (ONE,))


def test_a_callback_that_waits_delays_no_session(place: Place) -> None:
    go_on, entered = threading.Event(), threading.Event()

    def on_change(_: Snapshot) -> None:
        entered.set()
        assert go_on.wait(PATIENCE)

    with serving(place.url, timeout=0.5) as (registry, registration):
        before = registry.session
        watch = registry.watch("", on_change)
        assert entered.wait(PATIENCE)
        time.sleep(1.5)  # three sessions long
        assert registry.session == before
        assert place.owners() == [session(registry)]
        go_on.set()
        assert registration.is_registered
        watch.close()


def test_many_entries_and_lists_take_no_more_threads(place: Place) -> None:
    with ZooKeeperRegistry(place.url) as registry:
        assert registry.watch("").wait(PATIENCE)
        threads = threading.active_count()
        watches = [registry.watch(f"service{number}") for number in range(30)]
        entries = [registry.register("", Instance("h", port)) for port in range(1, 31)]
        assert all(watch.wait(PATIENCE) for watch in watches)
        assert all(entry.wait(PATIENCE) for entry in entries)
        assert registry.session is not None
        expire(place.hosts, registry.session)
        until(lambda: len(place.nodes()) == 30 and set(place.owners()) == {session(registry)})
        assert threading.active_count() == threads


FORK = """
import os, sys
from rpcgen.runtime.registry import Instance, open_registry

registry = open_registry(sys.argv[1])
watch = registry.watch("")
entry = registry.register("", Instance("127.0.0.1", 1))
assert watch.wait(30) and entry.wait(30)
parent = registry.session
child = os.fork()
if not child:
    assert registry.session is None and not entry.is_registered
    assert not entry.close() and not entry.wait(0)
    watch.close()
    assert len(registry.watch("").snapshot.instances) == 0
    own = registry.register("", Instance("127.0.0.1", 2))
    assert own.wait(30)
    assert registry.session[0] != parent[0]
    found = [entry.instance.port for entry in registry.contents().entries]
    print("child", sorted(found), flush=True)
    registry.close()
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
assert registry.session == parent and entry.is_registered
print("parent", [entry.instance.port for entry in registry.contents().entries], flush=True)
registry.close()
"""


def test_a_forked_child_begins_anew_and_leaves_its_parent_s_entry_alone(place: Place) -> None:
    with python(FORK, place.url) as process:
        assert line(process) == "child [1, 2]"
        assert line(process) == "parent [1]"
        assert process.wait(PATIENCE) == 0


def test_a_server_that_was_stopped_past_its_session_registers_again(place: Place) -> None:
    code = """
import sys, time
from rpcgen.runtime.registry import Instance, open_registry
registry = open_registry(sys.argv[1])
assert registry.register("", Instance("127.0.0.1", 1)).wait(30)
print("stands", flush=True)
sys.stdin.read()
registry.close()
"""
    with python(code, f"{place.url}?timeout=0.6") as process:
        assert line(process) == "stands"
        nodes = place.nodes()
        os.kill(process.pid, signal.SIGSTOP)
        until(lambda: place.nodes() == [])
        os.kill(process.pid, signal.SIGCONT)
        until(lambda: place.nodes() not in ([], nodes))
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(PATIENCE) == 0
    assert place.nodes() == []


@pytest.mark.parametrize(("asked", "granted"), [(0.1, 0.4), (3.0, 3.0), (3600.0, 60.0)])
def test_the_session_is_as_long_as_zookeeper_grants(
    place: Place, asked: float, granted: float, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "rpcgen"), watching(place.url, timeout=asked):
        pass
    with ZooKeeperRegistry(place.url, timeout=asked) as registry:
        assert registry.session_timeout == asked
        assert registry.watch("").wait(PATIENCE)
        assert registry.session_timeout == granted
    line = f"grants a session of {granted:g} s, not the {asked:g} that were asked for"
    assert (line in caplog.text) == (asked != granted)


def test_too_many_connections_from_one_address(tmp_path: pathlib.Path) -> None:
    with ZooKeeper(tmp_path, settings={"maxClientCnxns": "2"}) as zookeeper, contextlib.ExitStack() as stack:
        url = f"zk://{zookeeper.hosts}/rpc"
        with watching(url):
            stack.enter_context(watching(url))
            refused = stack.enter_context(ZooKeeperRegistry(url))
            watch = refused.watch("")
            until(lambda: "maxClientCnxns allows (60 by default)" in watch.snapshot.problem)
        assert watch.wait(PATIENCE)


@contextlib.contextmanager
def down(folder: pathlib.Path) -> typing.Iterator[str]:
    with ZooKeeper(folder) as zookeeper:
        zookeeper.kill()
        yield zookeeper.hosts


@contextlib.contextmanager
def silent(folder: pathlib.Path) -> typing.Iterator[str]:
    """Accepts, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@contextlib.contextmanager
def full(folder: pathlib.Path) -> typing.Iterator[str]:
    """Connections are not even accepted."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as stack:
        for _ in range(3):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@contextlib.contextmanager
def nobody(folder: pathlib.Path) -> typing.Iterator[str]:
    yield "no.such.host.invalid:2181"


@pytest.mark.parametrize("kind", [down, silent, full, nobody])
def test_closing_where_nothing_answers(
    tmp_path: pathlib.Path, kind: typing.Callable[[pathlib.Path], typing.ContextManager[str]]
) -> None:
    with kind(tmp_path) as hosts:
        registry = ZooKeeperRegistry(f"zk://{hosts}/rpc")
        watch, registration = registry.watch(""), registry.register("", ONE)
        until(lambda: watch.snapshot.problem)
        assert not registration.close(0.01)
        closing = threading.Thread(target=registry.close)
        closing.start()
        closing.join(PATIENCE)
        assert not closing.is_alive()


def test_closing_at_once(place: Place) -> None:
    for _ in range(10):
        with ZooKeeperRegistry(place.url) as registry:
            registry.watch("")
            registry.register("", ONE)
    until(lambda: place.nodes() == [])


def test_closing_while_zookeeper_is_frozen(own: ZooKeeper) -> None:
    with serving(f"zk://{own.hosts}/rpc") as (registry, registration):
        own.pause()
        assert not registration.close(0.1)
        closing = threading.Thread(target=registry.close)
        closing.start()
        closing.join(PATIENCE)
        assert not closing.is_alive()
        own.resume()
