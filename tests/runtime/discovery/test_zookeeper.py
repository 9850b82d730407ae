"""Entries and lists in a ZooKeeper that is well."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import pathlib
import threading
import typing

import msgspec
import pytest

from rpcgen.runtime.discovery.zookeeper import ZooKeeperRegistry
from rpcgen.runtime.errors import Unavailable
from rpcgen.runtime.registry import Instance, Snapshot, Watch, open_registry
from tests.support.certificates import authority
from tests.support.leaks import no_leaks
from tests.support.waiting import PATIENCE, until
from tests.support.zookeeper import ZooKeeper, client

__all__ = ["no_leaks"]

pytestmark = pytest.mark.xdist_group("zookeeper")

ONE, TWO, THREE = (Instance("127.0.0.1", port, started=float(port)) for port in (1, 2, 3))


def split(url: str) -> tuple[str, str]:
    """The hosts of a URL, and its root."""
    hosts, _, root = url.removeprefix("zk://").partition("/")
    return hosts, f"/{root}"


@pytest.fixture
def root(zk_url: str) -> str:
    return split(zk_url)[1]


@pytest.fixture
def operator(zk_url: str) -> typing.Iterator[typing.Any]:
    """A client by hand."""
    with client(split(zk_url)[0]) as made:
        yield made


@pytest.fixture
def registry(zk_url: str) -> typing.Iterator[ZooKeeperRegistry]:
    with ZooKeeperRegistry(zk_url) as made:
        yield made


def addresses(snapshot: Snapshot) -> list[str]:
    return [instance.address for instance in snapshot.instances]


def test_a_server_registers_and_a_client_finds_it(zk_url: str, registry: ZooKeeperRegistry) -> None:
    seen: list[Snapshot] = []
    changed = threading.Condition()

    def on_change(snapshot: Snapshot) -> None:
        with changed:
            seen.append(snapshot)
            changed.notify_all()

    with open_registry(zk_url) as other:
        watch = other.watch("Directory", on_change)
        assert watch.wait(PATIENCE)
        assert watch.snapshot.live
        assert watch.snapshot.instances == ()
        registration = registry.register("Directory", ONE)
        assert registration.wait(PATIENCE)
        assert registration.is_registered
        with changed:
            assert changed.wait_for(lambda: seen[-1].instances == (ONE,), PATIENCE)
        assert registration.close(PATIENCE)
        assert not registration.is_registered
        with changed:
            assert changed.wait_for(lambda: seen[-1].instances == (), PATIENCE)
        assert all(snapshot.live for snapshot in seen)
        assert registration.close()


def test_the_nodes_are_as_readers_of_the_layout_expect(
    registry: ZooKeeperRegistry, operator: typing.Any, root: str
) -> None:
    for service in ("", "Directory"):
        assert registry.register(service, ONE).wait(PATIENCE)
    assert registry.session is not None
    for parent in (root, f"{root}-services/Directory"):
        (name,) = operator.get_children(parent)
        data, stat = operator.get(f"{parent}/{name}")
        guid = hashlib.sha256(ONE.address.encode()).hexdigest()[:12]
        assert name.startswith(f"server-{guid}")
        assert len(name) == len("server-") + 32 + 1 + 10
        assert json.loads(data) == {"host": "127.0.0.1", "port": 1, "started": 1.0}
        assert stat.ephemeralOwner == registry.session[0]


def test_an_entry_with_host_and_port_alone_is_read(
    registry: ZooKeeperRegistry, operator: typing.Any, root: str
) -> None:
    watch = registry.watch("")
    operator.create(
        f"{root}/server", b'{"host": "h", "port": 7}', ephemeral=True, sequence=True, makepath=True
    )
    until(lambda: watch.snapshot.instances == (Instance("h", 7),))


def test_closing_the_registry_withdraws_all_at_once(zk_url: str, registry: ZooKeeperRegistry) -> None:
    watch = registry.watch("")
    other = open_registry(zk_url)
    for instance in (ONE, TWO):
        assert other.register("", instance).wait(PATIENCE)
    until(lambda: set(addresses(watch.snapshot)) == {ONE.address, TWO.address})
    kept = other.register("", THREE)
    other.close()
    until(lambda: watch.snapshot.instances == () and watch.snapshot.live)
    assert not kept.is_registered
    assert kept.close()


def test_the_list_is_in_the_order_of_registration(registry: ZooKeeperRegistry) -> None:
    for instance in (THREE, ONE, TWO):
        assert registry.register("", instance).wait(PATIENCE)
    watch = registry.watch("")
    assert watch.wait(PATIENCE)
    assert watch.snapshot.instances == (THREE, ONE, TWO)


def test_a_server_that_says_something_else_is_a_new_entry(
    root: str, registry: ZooKeeperRegistry, operator: typing.Any
) -> None:
    """No watch of children tells of data that changes: nothing here changes it, and nothing waits for it."""
    with contextlib.closing(registry.watch("")) as watch:
        registration = registry.register("", ONE)
        assert registration.wait(PATIENCE)
        until(lambda: watch.snapshot.instances == (ONE,))
        (node,) = operator.get_children(root)
        operator.set(f"{root}/{node}", TWO.encode())  # as a foreign tool might
        heavier = msgspec.structs.replace(ONE, weight=2.0, started=9.0)
        assert registration.close()
        assert registry.register("", heavier).wait(PATIENCE)
        until(lambda: watch.snapshot.instances == (heavier,), lambda: watch.snapshot)
        (other,) = operator.get_children(root)
        assert other != node
        assert operator.get(f"{root}/{other}")[1].version == 0


def test_what_withdraws_before_it_stands_never_stands(
    registry: ZooKeeperRegistry, operator: typing.Any, root: str
) -> None:
    assert registry.register("", ONE).wait(PATIENCE)
    registrations = [registry.register("", TWO) for _ in range(20)]
    assert all(registration.close(PATIENCE) for registration in registrations)
    (name,) = operator.get_children(root)
    assert b'"port":1' in operator.get(f"{root}/{name}")[0]


def test_withdrawing_ends_all_waiting() -> None:
    with open_registry("zk://127.0.0.1:1/rpc") as registry:
        registration = registry.register("", ONE)
        waiting = threading.Thread(target=registration.wait, args=(None,))
        waiting.start()
        assert not registration.close(0.01)
        waiting.join(PATIENCE)
        assert not waiting.is_alive()
        assert not registration.wait(None)


def test_watches_of_one_service_share_a_list_and_end_one_by_one(registry: ZooKeeperRegistry) -> None:
    first = registry.watch("")
    assert first.wait(PATIENCE)
    second = registry.watch("")
    assert second.wait(PATIENCE)
    first.close()
    assert registry.register("", ONE).wait(PATIENCE)
    until(lambda: second.snapshot.instances == (ONE,))
    assert first.snapshot.instances == ()
    second.close()
    third = registry.watch("")
    assert third.wait(PATIENCE)
    assert third.snapshot.instances == (ONE,)


def test_a_watch_may_be_closed_and_the_registry_too_by_what_they_call(zk_url: str) -> None:
    registry = open_registry(zk_url)
    done = threading.Event()
    made: list[Watch] = []
    is_made = threading.Event()

    def on_change(_: Snapshot) -> None:
        assert is_made.wait(PATIENCE)
        made[0].close()
        registry.close()
        done.set()

    made.append(registry.watch("", on_change))
    is_made.set()
    assert done.wait(PATIENCE)


def test_bad_entries_are_skipped_and_logged_once(
    registry: ZooKeeperRegistry, operator: typing.Any, root: str, caplog: pytest.LogCaptureFixture
) -> None:
    bad = [
        b"",
        b"\xff",
        b"[]",
        b"{",
        b"[" * 100_000,
        b'{"host": "h"}',
        b'{"host": "h", "port": 0}',
        b'{"host": "h", "port": true}',
        b'{"host": "h", "port": 99999}',
        b'{"host": "h", "port": "1"}',
        b'{"host": 5, "port": 1}',
        b'{"host": "", "port": 1}',
        b'{"host": "h", "port": 1, "weight": -1}',
    ]
    operator.ensure_path(root)
    names = [operator.create(f"{root}/server", data, sequence=True) for data in bad]
    operator.create(f"{root}/master", b"not ours")
    with caplog.at_level(logging.WARNING, "rpcgen"):
        watch = registry.watch("")
        assert watch.wait(PATIENCE)
        assert registry.register("", ONE).wait(PATIENCE)
        until(lambda: watch.snapshot.instances == (ONE,))
        assert registry.register("", TWO).wait(PATIENCE)
        until(lambda: watch.snapshot.instances == (ONE, TWO))
    lines = [record.getMessage() for record in caplog.records]
    assert [sum(f"{name} is skipped" in line for line in lines) for name in names] == [1] * len(bad)
    assert len(lines) == len(bad)


def test_contents_tell_what_stands_there(
    registry: ZooKeeperRegistry, operator: typing.Any, root: str
) -> None:
    for service, instance in (("", ONE), ("Directory", TWO)):
        assert registry.register(service, instance).wait(PATIENCE)
    operator.create(f"{root}/master", b"")
    operator.create(f"{root}-services/Directory/notes", b"")
    operator.create(f"{root}/server0000000100", b"{")
    large = Instance("h", 9, metadata={"x": "y" * 65536}).encode()
    operator.create(f"{root}/server0000000101", large)
    found = registry.contents()
    assert registry.session is not None
    owner = f"{registry.session[0]:#x}"
    assert [
        (entry.service, entry.instance and entry.instance.port, entry.owner) for entry in found.entries
    ] == [
        ("", 1, owner),
        ("", None, ""),
        ("", 9, ""),
        ("Directory", 2, owner),
    ]
    problems = [entry.problem for entry in found.entries]
    assert problems[0] == problems[3] == ""
    assert "truncated" in problems[1]
    assert f"oversized; {len(large):,} bytes, where 65,536 are the most" in problems[2]
    assert found.entries[2].data == large
    assert found.foreign == (f"{root}/master", f"{root}-services/Directory/notes")


def test_contents_of_an_empty_zookeeper(registry: ZooKeeperRegistry) -> None:
    assert registry.contents().entries == ()


def test_contents_of_what_cannot_be_reached() -> None:
    problem = r"zk://127.0.0.1:1/rpc did not answer in 2 s: .*refused"
    with open_registry("zk://127.0.0.1:1/rpc") as registry, pytest.raises(Unavailable, match=problem):
        registry.contents(2)


def test_thousands_of_entries_are_read_many_at_once(
    registry: ZooKeeperRegistry, operator: typing.Any, root: str
) -> None:
    operator.ensure_path(root)
    made = [
        operator.create_async(f"{root}/server", Instance("h", port).encode(), sequence=True)
        for port in range(1, 1501)
    ]
    for result in made:
        result.get(timeout=PATIENCE)
    watch = registry.watch("")
    assert watch.wait(PATIENCE)
    assert {instance.port for instance in watch.snapshot.instances} == set(range(1, 1501))


def test_what_a_user_makes_is_the_user_s_and_everybody_reads_it(
    zk_url: str, root: str, operator: typing.Any, caplog: pytest.LogCaptureFixture
) -> None:
    import kazoo.exceptions

    hosts, _ = split(zk_url)
    with ZooKeeperRegistry(f"zk://me:secret@{hosts}{root}") as mine, ZooKeeperRegistry(zk_url) as reader:
        assert mine.register("", ONE).wait(PATIENCE)
        watch = reader.watch("")
        until(lambda: watch.snapshot.instances == (ONE,))
        (name,) = operator.get_children(root)
        with pytest.raises(kazoo.exceptions.NoAuthError):
            operator.delete(f"{root}/{name}")
        with ZooKeeperRegistry(zk_url, user="me", password="wrong") as wrong:
            refused = wrong.register("", TWO)
            until(lambda: "not allowed to create" in caplog.text)
            assert not refused.is_registered
            assert not refused.wait(0)
            assert f"not allowed to create {root}/server" in caplog.text
            assert "as user me with this password" in caplog.text
            assert "wrong" not in caplog.text
        assert addresses(watch.snapshot) == [ONE.address]


def test_what_may_not_be_read_says_so(zk_url: str, root: str, operator: typing.Any) -> None:
    from kazoo.security import make_digest_acl

    operator.create(root, b"", makepath=True, acl=[make_digest_acl("me", "secret", all=True)])
    with ZooKeeperRegistry(zk_url) as registry:
        watch = registry.watch("")
        until(lambda: watch.snapshot.problem)
        assert watch.snapshot.problem == f"not allowed to get children {root} without a user"
        assert not watch.snapshot.live
        with pytest.raises(Unavailable, match=f"not allowed to get children {root}"):
            registry.contents()
    with ZooKeeperRegistry(zk_url, user="me", password="secret") as registry:
        assert registry.watch("").wait(PATIENCE)


def test_an_entry_that_may_not_be_read_is_skipped(
    zk_url: str, root: str, operator: typing.Any, registry: ZooKeeperRegistry
) -> None:
    from kazoo.security import make_digest_acl

    acl = [make_digest_acl("me", "secret", all=True)]
    operator.ensure_path(root)
    operator.create(f"{root}/server", ONE.encode(), sequence=True, acl=acl)
    assert registry.register("", TWO).wait(PATIENCE)
    watch = registry.watch("")
    assert watch.wait(PATIENCE)
    assert watch.snapshot.instances == (TWO,)
    assert [entry.problem for entry in registry.contents().entries] == ["it may not be read", ""]


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> typing.Iterator[tuple[int, pathlib.Path]]:
    """The TLS port of a ZooKeeper that wants certificates, and the folder of those."""
    folder = authority().folder
    both = tmp_path_factory.mktemp("tls") / "server.pem"
    both.write_text((folder / "server.key").read_text() + (folder / "server.pem").read_text())
    with ZooKeeper(
        both.parent / "zookeeper",
        settings={
            "serverCnxnFactory": "org.apache.zookeeper.server.NettyServerCnxnFactory",
            "ssl.keyStore.location": str(both),
            "ssl.trustStore.location": str(folder / "ca.pem"),
            "ssl.clientAuth": "need",
        },
    ) as zookeeper:
        yield zookeeper.secure_port, folder


def test_tls_with_certificates(secure: tuple[int, pathlib.Path]) -> None:
    port, folder = secure
    url = f"zk://127.0.0.1:{port}/rpc?ca={folder}/ca.pem&cert={folder}/client.pem&key={folder}/client.key"
    with open_registry(url) as registry:
        watch = registry.watch("")
        registrations = [registry.register("", Instance("h", port)) for port in range(1, 301)]
        assert all(registration.wait(PATIENCE) for registration in registrations)
        until(lambda: len(watch.snapshot.instances) == 300)
        with open_registry(url) as other:
            # Many answers come in one record of TLS: none may wait for the next one.
            late = other.watch("")
            assert late.wait(PATIENCE)
            assert len(late.snapshot.instances) == 300


@pytest.mark.parametrize(
    ("options", "problem"),
    [("", "127.0.0.1"), ("tls=yes&cert={}/client.pem&key={}/client.key", "certificate")],
    ids=["plain", "another authority"],
)
def test_tls_that_does_not_fit(secure: tuple[int, pathlib.Path], options: str, problem: str) -> None:
    port, folder = secure
    with open_registry(f"zk://127.0.0.1:{port}/rpc?{options.format(folder, folder)}") as registry:
        watch = registry.watch("")
        until(lambda: watch.snapshot.problem)
        assert problem in watch.snapshot.problem
        assert not watch.snapshot.live


def test_tls_without_a_check(secure: tuple[int, pathlib.Path]) -> None:
    port, folder = secure
    own = {"cert": f"{folder}/client.pem", "key": f"{folder}/client.key"}
    with open_registry(f"zk://127.0.0.1:{port}/rpc", verify=False, tls=True, **own) as registry:
        assert registry.watch("").wait(PATIENCE)
