"""What a server announces, how it fares, and how it is withdrawn."""

from __future__ import annotations

import logging
import os
import threading
import time
import typing

import pytest

from rpcgen import runtime as rpc
from rpcgen.runtime import announce
from rpcgen.runtime.address import Address
from rpcgen.runtime.announce import Announcement, announcement
from rpcgen.runtime.registry import Instance, Registration, open_registry
from tests.support import services
from tests.support.leaks import no_leaks
from tests.support.registries import MemoryRegistry

__all__ = ["no_leaks"]

BOUND = Address("127.0.0.1", 7000)
OWN = services.ServerStub(services.Handlers())
BASE = services.BaseServerStub(services.BaseHandlers())
DIRECTORY = services.DirectoryServerStub(services.DirectoryHandlers())


class Entry(Registration):
    """A registration that does what its test says.

    Args:
        stands: It is registered.
        closes: Its ``close`` returns when this is set.
    """

    def __init__(self, closes: threading.Event) -> None:
        self.stands = threading.Event()
        self.closes = closes
        self.is_closing = threading.Event()

    @property
    def is_registered(self) -> bool:
        return self.stands.is_set()

    def wait(self, timeout: float | None) -> bool:
        return self.stands.wait(timeout)

    def close(self, timeout: float = 2.0) -> bool:
        self.is_closing.set()
        return self.closes.wait(timeout)


class Registry(MemoryRegistry):
    """Gives such registrations; refuses the services that it is told to."""

    def __init__(self, *refused: str) -> None:
        super().__init__()
        self.refused = refused
        self.closes = threading.Event()
        self.closes.set()
        self.entries: dict[str, Entry] = {}
        self.was_closed = threading.Event()

    def register(self, service: str, instance: Instance) -> Registration:
        if service in self.refused:
            raise ValueError(f"no {service} here")
        entry = self.entries[service] = Entry(self.closes)
        return entry

    def close(self) -> None:
        self.was_closed.set()


def until(condition: typing.Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def instances(*stubs: rpc.ServerStub, **options: typing.Any) -> dict[str, Instance]:
    """What these stubs are registered as."""
    registry = MemoryRegistry()
    made = Announcement(stubs, registry, **options)
    made.announce(BOUND, "serving")
    found = {entry.service: entry.instance for entry in registry.contents().entries}
    made.close()
    assert registry.contents().entries == ()
    return typing.cast("dict[str, Instance]", found)


# What is announced


def test_each_service_has_an_entry() -> None:
    found = instances(OWN, BASE, DIRECTORY)
    assert set(found) == {"", "Base", "Directory"}
    assert {entry.address for entry in found.values()} == {"tcp://127.0.0.1:7000"}


def test_an_entry_says_what_is_served_and_by_whom() -> None:
    before = time.time()
    entry = instances(DIRECTORY, weight=2, zone="a", version="1.2", metadata={"rack": "7"})["Directory"]
    assert before <= entry.started <= time.time()
    assert entry == Instance(
        "127.0.0.1",
        7000,
        protocols=("framed", "plain"),
        weight=2.0,
        zone="a",
        version="1.2",
        fingerprint=services.DirectoryServerStub.interface.fingerprint,
        methods={"Base.ping": (), "Directory.ping": (), "Directory.class": (1,)},
        pid=os.getpid(),
        started=entry.started,
        metadata={"rack": "7"},
    )
    assert Instance.decode(entry.encode()) == entry


def test_several_files_own_services_are_one_entry() -> None:
    class OtherProtocol(rpc.MessageProtocol[None]):
        """void other(2: int a)"""

        name = "other"
        params = (rpc.Param(2, "a", rpc.INT),)

    class OtherStub(rpc.ServerStub):
        """Another file's."""

        protocols = (OtherProtocol,)

    class OtherHandlers:
        def other(self, a: int) -> None: ...

    entry = instances(OWN, OtherStub(OtherHandlers()))[""]
    assert entry.methods is not None
    assert entry.methods["divide"] == (1, 2)
    assert entry.methods["other"] == (2,)


def test_what_serves_nothing_is_not_registered() -> None:
    assert instances(rpc.ServerStub(object())) == {}


def test_an_entry_that_would_be_too_large_leaves_its_methods_out() -> None:
    def protocol(wire: str) -> type[rpc.MessageProtocol[None]]:
        class Protocol(rpc.MessageProtocol[None]):
            """void method()"""

            name = wire

        return Protocol

    def stub(count: int) -> rpc.ServerStub:
        names = [f"method_{number:050}" for number in range(count)]
        made = [protocol(f"Large.{name}") for name in names]
        handlers = type("Handlers", (), {name: lambda self: None for name in names})

        class Stub(rpc.ServerStub):
            """Answers all of them."""

            protocols = tuple(made)

        return Stub(handlers())

    assert len(instances(stub(900))["Large"].methods or ()) == 900
    large = instances(stub(1000))["Large"]
    assert large.methods is None
    assert large.address == "tcp://127.0.0.1:7000"


@pytest.mark.parametrize(
    ("options", "kind", "problem"),
    [
        ({"weight": -1}, ValueError, "weight is a number from 0 up, not -1"),
        ({"weight": float("nan")}, ValueError, "weight is a number"),
        ({"weight": float("inf")}, ValueError, "weight is a number"),
        ({"weight": True}, TypeError, "weight is a number, not True"),
        ({"weight": "1"}, TypeError, "weight is a number, not '1'"),
        ({"zone": None}, TypeError, "zone is a text, not None"),
        ({"version": 1.2}, TypeError, "version is a text, not 1.2"),
        ({"metadata": {"a": 1}}, TypeError, "metadata 'a' is a text, not 1"),
        ({"metadata": {1: "a"}}, TypeError, "metadata is a text, not 1"),
        ({"advertise": "0.0.0.0"}, ValueError, "names no host"),
    ],
)
def test_options_are_checked_before_anything_is_announced(
    options: dict[str, typing.Any], kind: type[Exception], problem: str
) -> None:
    with pytest.raises(kind, match=problem):
        Announcement([OWN], MemoryRegistry(), **options)


# Where


def test_nothing_is_announced_where_nobody_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RPCGEN_REGISTRY", raising=False)
    assert announcement([OWN]) is None
    assert announcement([OWN], "") is None
    monkeypatch.setenv("RPCGEN_REGISTRY", "")
    assert announcement([OWN]) is None
    monkeypatch.setenv("RPCGEN_REGISTRY", "nonsense")
    assert announcement([OWN], "") is None


def test_a_wrong_url_says_where_it_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="registry=: 'localhost' is no registry: one is zk://"):
        announcement([OWN], "localhost")
    monkeypatch.setenv("RPCGEN_REGISTRY", "tcp://127.0.0.1:1")
    with pytest.raises(ValueError, match=r"RPCGEN_REGISTRY: 'tcp://127\.0\.0\.1:1' is no registry"):
        announcement([OWN])
    with pytest.raises(TypeError, match="registry= takes a Registry, its URL or None, not 7"):
        announcement([OWN], typing.cast(str, 7))


def test_a_missing_package_says_who_wanted_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(url: str) -> typing.NoReturn:
        raise ImportError("zk:// needs kazoo: pip install 'rpcgen[zookeeper]'")

    monkeypatch.setattr("rpcgen.runtime.registry.open_registry", missing)
    monkeypatch.setenv("RPCGEN_REGISTRY", "zk://127.0.0.1/rpc")
    with pytest.raises(ImportError, match="RPCGEN_REGISTRY: zk:// needs kazoo"):
        announcement([OWN])


def test_no_server_can_register_in_a_list() -> None:
    listed = MemoryRegistry()
    listed.url = "static://127.0.0.1:7000"
    with pytest.raises(ValueError, match=r"registry=: static://127\.0\.0\.1:7000 is a list .* use zk://"):
        announcement([OWN], listed)


def test_a_registry_of_a_url_is_closed_and_one_that_was_given_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry = Registry()
    given = announcement([OWN], registry)
    assert given is not None
    given.announce(BOUND, "serving")
    given.close()
    assert not registry.was_closed.is_set()
    monkeypatch.setattr("rpcgen.runtime.registry.open_registry", lambda url: registry)
    for is_announced in (True, False):
        registry.was_closed.clear()
        made = announcement([OWN], "memory://")
        assert made is not None
        if is_announced:
            made.announce(BOUND, "serving")
        made.close()
        made.close()
        assert registry.was_closed.is_set()


# How it fares


def test_the_log_says_where_and_as_what_and_when_that_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    registry = Registry()
    with caplog.at_level(logging.INFO, "rpcgen"):
        made = Announcement([OWN, BASE], registry, advertise="host")
        made.announce(BOUND, "serving two at tcp://127.0.0.1:7000")
        assert made.wait(0.01) is False
        assert caplog.messages == []
        registry.entries[""].stands.set()
        registry.entries["Base"].stands.set()
        assert made.wait(30) is True
        line = "serving two at tcp://127.0.0.1:7000, registered as tcp://host:7000 in memory:// (Base)"
        assert caplog.messages == [line]
        registry.entries["Base"].stands.clear()
        until(lambda: len(caplog.records) == 2)
        registry.entries["Base"].stands.set()
        until(lambda: len(caplog.records) == 3)
        made.close()
    assert caplog.messages[1:] == [
        "no longer registered as tcp://host:7000 in memory:// (Base); it goes on trying",
        "registered again as tcp://host:7000 in memory:// (Base)",
    ]
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING", "INFO"]


def test_a_registration_that_does_not_come_about_is_warned_of_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announce, "PATIENCE", 0.05)
    registry = Registry()
    made = Announcement([OWN], registry)
    made.announce(BOUND, "serving")
    until(lambda: caplog.records)
    assert made.wait(0) is False
    registry.entries[""].stands.set()
    with caplog.at_level(logging.INFO, "rpcgen"):
        assert made.wait(30) is True
        made.close()
    warning, info = caplog.messages
    assert warning.startswith("not registered yet as tcp://127.0.0.1:7000 in memory://: clients that look")
    assert info == "serving, registered as tcp://127.0.0.1:7000 in memory://"


# How it ends


def test_services_are_withdrawn_at_once() -> None:
    registry = Registry()
    made = Announcement([OWN, BASE, DIRECTORY], registry)
    made.announce(BOUND, "serving")
    registry.closes.clear()
    withdrawn = threading.Event()
    made.ask_to_withdraw(withdrawn.set)
    for entry in registry.entries.values():
        assert entry.is_closing.wait(30)
    assert not withdrawn.is_set()
    registry.closes.set()
    assert withdrawn.wait(30)
    assert made.withdraw() is True
    made.close()


def test_a_dead_registry_holds_nobody_up(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announce, "WITHDRAWAL", 0.1)
    registry = Registry()
    made = Announcement([OWN, BASE], registry)
    made.announce(BOUND, "serving")
    registry.closes.clear()
    assert made.withdraw() is False
    made.close()
    assert caplog.messages == [
        "could not withdraw what is registered as tcp://127.0.0.1:7000 in memory://: it goes when it expires"
    ]


def test_whoever_asks_is_told_once_it_is_withdrawn() -> None:
    told: list[int] = []
    made = Announcement([OWN], Registry())
    made.ask_to_withdraw(lambda: told.append(0))
    assert told == [0], "nothing is announced"
    made.announce(BOUND, "serving")
    threads = [
        threading.Thread(target=made.ask_to_withdraw, args=(lambda number=number: told.append(number),))
        for number in range(1, 20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    made.close()
    made.ask_to_withdraw(lambda: told.append(20))
    assert sorted(told) == list(range(21))


def test_what_cannot_be_announced_wholly_is_not_announced() -> None:
    registry = Registry("Directory")
    made = Announcement([OWN, BASE, DIRECTORY], registry)
    with pytest.raises(ValueError, match="no Directory here"):
        made.announce(BOUND, "serving")
    assert all(entry.is_closing.is_set() for entry in registry.entries.values())
    assert set(registry.entries) == {"", "Base"}
    made.close()


def test_a_registry_that_fails_in_closing_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Registry):
        def register(self, service: str, instance: Instance) -> Registration:
            entry = super().register(service, instance)
            monkeypatched: typing.Any = entry
            monkeypatched.close = lambda timeout: 1 / 0
            return entry

        def close(self) -> None:
            raise OSError("too late")

    made = Announcement([OWN], Failing(), owned=True)
    made.announce(BOUND, "serving")
    assert made.withdraw() is False
    made.close()
    until(lambda: len(caplog.messages) == 3)
    assert caplog.messages[0] == "withdrawing failed as tcp://127.0.0.1:7000 in memory://"
    assert caplog.messages[2] == "closing memory:// failed"


def test_a_child_leaves_its_parent_s_entries_alone() -> None:
    registry = MemoryRegistry()
    made = Announcement([OWN], registry)
    made.announce(BOUND, "serving")
    child = os.fork()
    if child == 0:
        made.close()
        os._exit(len(registry.registered("")))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    made.close()


def test_registries_of_urls_connect_nowhere_before_they_are_used() -> None:
    try:
        made = open_registry("registry://127.0.0.1:1")
    except ImportError:
        pytest.skip("this scheme has no module yet")
    made.close()
