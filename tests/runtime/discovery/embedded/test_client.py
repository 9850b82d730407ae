"""Registries as programs use them, against servers in this process and others that are killed and stopped."""

from __future__ import annotations

import os
import pathlib
import select
import socket
import threading
import time
import typing

import pytest

from rpcgen.runtime.discovery.embedded import open_url
from rpcgen.runtime.discovery.embedded.client import EmbeddedRegistry
from rpcgen.runtime.discovery.embedded.server import RegistryServer
from rpcgen.runtime.errors import Unavailable
from rpcgen.runtime.registry import Instance, Registry, Snapshot, open_registry
from tests.support import peers, processes
from tests.support.processes import RegistryProcess
from tests.support.proxy import Proxy

DEADLINE = 30.0


def instance(port: int, **more: typing.Any) -> Instance:
    return Instance("127.0.0.1", port, **more)


class Seen:
    """What a watch was told; waits for what it should be told."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.snapshots: list[Snapshot] = []

    def __call__(self, snapshot: Snapshot) -> None:
        with self._changed:
            self.snapshots.append(snapshot)
            self._changed.notify_all()

    def until(self, *ports: int, live: bool = True) -> None:
        def is_so() -> bool:
            if not self.snapshots:
                return False
            last = self.snapshots[-1]
            return last.live == live and sorted(one.port for one in last.instances) == sorted(ports)

        with self._changed:
            assert self._changed.wait_for(is_so, DEADLINE), self.snapshots[-3:]

    def fewest(self) -> int:
        """The shortest list since the first that was not empty."""
        sizes = [len(snapshot.instances) for snapshot in self.snapshots]
        return min(sizes[next(index for index, size in enumerate(sizes) if size) :])


def open_(server: RegistryServer, options: str = "") -> Registry:
    return open_registry(server.url + options)


def until(is_so: typing.Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_what_is_registered_is_seen_and_what_is_withdrawn_is_not(server: RegistryServer) -> None:
    seen = Seen()
    with open_(server) as clients, open_(server) as servers:
        watch = clients.watch("", seen)
        assert watch.wait(DEADLINE)
        first = servers.register("", instance(1, zone="a", methods={"divide": (1, 2)}))
        second = servers.register("", instance(2))
        assert first.wait(DEADLINE)
        assert second.wait(DEADLINE)
        assert first.is_registered
        seen.until(1, 2)
        assert watch.snapshot.instances[0] == instance(1, zone="a", methods={"divide": (1, 2)})
        assert first.close()
        assert not first.is_registered
        assert not first.wait(0)
        assert first.close()
        seen.until(2)
    assert not second.is_registered
    watch.close()


def test_services_have_keys_of_their_own(server: RegistryServer) -> None:
    own, named = Seen(), Seen()
    with open_(server) as registry:
        registry.watch("", own)
        registry.watch("Directory", named)
        registry.register("", instance(1))
        registry.register("Directory", instance(2))
        own.until(1)
        named.until(2)
        assert [registry.path(service) for service in ("", "Directory")] == ["rpc", "Directory"]


def test_roots_keep_apart(server: RegistryServer) -> None:
    shop, all_ = Seen(), Seen()
    with open_(server, "/shop") as rooted, open_(server) as bare:
        rooted.watch("", shop)
        bare.watch("shop", all_)
        for service, port in (("", 1), ("Directory", 2)):
            assert rooted.register(service, instance(port)).wait(DEADLINE)
        assert bare.register("", instance(3)).wait(DEADLINE)
        shop.until(1)
        all_.until(1)
        assert [rooted.path(service) for service in ("", "Directory")] == ["shop", "shop/Directory"]
        assert [(entry.service, entry.instance) for entry in rooted.contents().entries] == [
            ("", instance(1)),
            ("Directory", instance(2)),
        ]
        assert [entry.service for entry in bare.contents().entries] == ["shop", "shop/Directory", ""]


def test_the_contents_are_shown_as_they_are(server: RegistryServer) -> None:
    with open_(server) as registry, socket.create_connection(("127.0.0.1", server.port)) as plain:
        assert registry.contents().entries == ()
        plain.sendall(b'{"type":"register","key":"rpc","values":{"host":"h","port":"x"}}\n')
        plain.recv(1000)
        registration = registry.register("", instance(1))
        assert registration.wait(DEADLINE)
        bad, good = registry.contents().entries
        assert (bad.service, bad.name, bad.data, bad.instance) == ("", "", b'{"host":"h","port":"x"}', None)
        assert "Expected `int`" in bad.problem
        assert bad.owner == "a client that gave no id"
        assert (good.instance, good.problem, good.owner == good.name) == (instance(1), "", True)
        assert good.expires is not None
        assert 0 < good.expires <= 10


def test_an_entry_goes_with_its_process(server: RegistryServer) -> None:
    seen = Seen()
    code = (
        "import sys; from rpcgen.runtime.registry import *\n"
        "registration = open_registry(sys.argv[1]).register('', Instance('127.0.0.1', 1))\n"
        "print(registration.wait(20), flush=True); sys.stdin.read()"
    )
    with open_(server) as clients, processes.python(code, f"{server.url}?timeout=1") as process:
        clients.watch("", seen)
        assert processes.line(process) == "True"
        seen.until(1)
        process.kill()
        seen.until()


def test_an_entry_is_renewed(server: RegistryServer) -> None:
    seen = Seen()
    with open_(server, "?timeout=1") as registry:
        registry.watch("", seen)
        registration = registry.register("", instance(1))
        assert registration.wait(DEADLINE)
        seen.until(1)
        time.sleep(2)
        assert registration.is_registered
        assert len(seen.snapshots) <= 2


def test_an_entry_that_somebody_removed_is_there_again(server: RegistryServer) -> None:
    """Somebody with its token, since nobody else can."""
    seen = Seen()
    with open_(server, "?timeout=1") as registry:
        registry.watch("", seen)
        registry.register("", instance(1))
        seen.until(1)
        ours = typing.cast(EmbeddedRegistry, registry)._running().session.enrolments[0]
        with socket.create_connection(("127.0.0.1", server.port)) as operator:
            line = f'{{"type":"destruction","key":"rpc","id":"{ours.id}","token":"{ours.token}"}}\n'
            operator.sendall(line.encode())
            assert operator.recv(1000) == b'{"ok":true,"removed":1}\r\n'
        seen.until()
        seen.until(1)


@pytest.mark.parametrize("has_folder", [True, False])
def test_all_go_on_when_the_registry_is_killed_and_starts_again(
    tmp_path: pathlib.Path, has_folder: bool
) -> None:
    """With data and without: nobody's list ever lacks a server, and what comes later is seen."""
    seen = Seen()
    with (
        RegistryProcess(tmp_path if has_folder else None) as process,
        open_registry(f"{process.url}?timeout=3") as clients,
        open_registry(f"{process.url}?timeout=3") as servers,
    ):
        clients.watch("", seen)
        for port in (1, 2, 3):
            servers.register("", instance(port))
        seen.until(1, 2, 3)
        before = len(seen.snapshots)
        for _ in range(2):
            process.kill()
            seen.until(1, 2, 3, live=False)
            process.start()
            seen.until(1, 2, 3)
        if has_folder:
            assert len(servers.contents().entries) == 3
        until(lambda: len(servers.contents().entries) == 3)
        late = servers.register("", instance(4))
        assert late.wait(DEADLINE)
        seen.until(1, 2, 3, 4)
        assert min(len(snapshot.instances) for snapshot in seen.snapshots[before:]) == 3
        assert late.close(DEADLINE)
        seen.until(1, 2, 3)


def test_entries_of_clients_that_are_gone_are_there_after_kill_9(tmp_path: pathlib.Path) -> None:
    with RegistryProcess(tmp_path) as process:
        with socket.create_connection(("127.0.0.1", process.port)) as plain:
            for number in range(100):
                plain.sendall(b'{"type":"register","key":"k","id":"%d","values":1,"timeout":600}\n' % number)
            received = b""
            while received.count(b"\n") < 100:
                received += plain.recv(65536)
        process.kill()
        process.start()
        with open_registry(process.url) as registry:
            assert len(registry.contents().entries) == 100


def test_a_stopped_registry_is_noticed_and_used_again() -> None:
    seen = Seen()
    with (
        RegistryProcess() as process,
        open_registry(f"{process.url}?timeout=2") as clients,
        open_registry(f"{process.url}?timeout=2") as servers,
    ):
        clients.watch("", seen)
        registration = servers.register("", instance(1))
        seen.until(1)
        process.pause()
        seen.until(1, live=False)
        until(lambda: not registration.is_registered)
        process.resume()
        seen.until(1)
        assert registration.wait(DEADLINE)
        assert seen.fewest() == 1


def test_a_link_that_breaks_is_made_again(server: RegistryServer) -> None:
    seen = Seen()
    with Proxy(server.port) as proxy, open_registry(f"registry://127.0.0.1:{proxy.port}") as registry:
        registry.watch("", seen)
        registry.register("", instance(1))
        seen.until(1)
        for _ in range(3):
            proxy.cut()
            seen.until(1, live=False)
            seen.until(1)
        assert seen.fewest() == 1
        assert len(registry.contents().entries) == 1


def test_any_pieces_of_a_list_are_a_list(server: RegistryServer) -> None:
    seen = Seen()
    with Proxy(server.port) as proxy, open_registry(f"registry://127.0.0.1:{proxy.port}") as registry:
        proxy.piece = 1
        for port in range(1, 20):
            registry.register("", instance(port))
        registry.watch("", seen)
        seen.until(*range(1, 20))


def test_the_same_token_is_needed(server: RegistryServer, caplog: pytest.LogCaptureFixture) -> None:
    with RegistryServer(port=0, token="s/cret") as guarded:
        with open_(guarded, "?token=s/cret") as good, open_registry(guarded.url, token="wrong") as bad:
            seen, other = Seen(), Seen()
            good.watch("", seen)
            refused = bad.register("", instance(2))
            bad.watch("", other)
            assert good.register("", instance(1)).wait(DEADLINE)
            seen.until(1)
            other.until(live=False)
            assert other.snapshots[-1].problem == "auth: it is not this registry's token"
            assert not refused.wait(0)
            assert not refused.close()
            with pytest.raises(
                Unavailable, match=r"cannot read the registry .*: auth: it is not this registry's token"
            ):
                bad.contents()
            assert len(good.contents().entries) == 1
        url = guarded.url.replace("//", "//s%2Fcret@")
        with open_registry(url) as named:
            assert named.contents().entries == ()
            assert "cret" not in repr(named) + named.url


def test_the_token_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RPCGEN_REGISTRY_TOKEN", "secret")
    with RegistryServer(port=0, token="secret") as guarded, open_(guarded) as registry:
        assert registry.register("", instance(1)).wait(DEADLINE)


def test_closing_is_bounded_while_the_registry_is_away() -> None:
    port = peers.unused_port()
    registry = open_registry(f"registry://127.0.0.1:{port}")
    registration, seen = registry.register("", instance(1)), Seen()
    registry.watch("", seen)
    seen.until(live=False)
    assert "the connection was refused" in seen.snapshots[-1].problem
    assert not registration.wait(0.01)
    assert registration.close()  # it was never sent
    registry.register("", instance(1))
    begin = time.monotonic()
    registry.close()
    assert time.monotonic() - begin < 5
    with pytest.raises(
        Unavailable, match=rf"cannot read the registry registry://127.0.0.1:{port}: cannot connect"
    ):
        EmbeddedRegistry("127.0.0.1", port).contents()


def test_withdrawing_is_bounded_while_the_registry_is_stopped() -> None:
    with RegistryProcess() as process, open_registry(process.url) as registry:
        registrations = [registry.register("", instance(port)) for port in (1, 2, 3)]
        assert all(registration.wait(DEADLINE) for registration in registrations)
        process.pause()
        begin = time.monotonic()
        assert not registrations[0].close(0.2)
        assert not registrations[1].close(0.0)
        assert time.monotonic() - begin < 2
        with pytest.raises(Unavailable, match="it did not answer in time"):
            registry.contents(0.2)
        begin = time.monotonic()
        registry.close()
        assert time.monotonic() - begin < 8
        process.resume()


def test_withdrawing_does_not_wait_for_a_registry_that_was_killed() -> None:
    with RegistryProcess() as process, open_registry(process.url) as registry:
        registration = registry.register("", instance(1))
        assert registration.wait(DEADLINE)
        process.kill()
        begin = time.monotonic()
        assert not registration.close(DEADLINE)
        assert time.monotonic() - begin < DEADLINE / 2


def test_a_closed_registry_says_so(server: RegistryServer) -> None:
    registry = open_(server)
    registry.close()
    registry.close()
    for use in (lambda: registry.register("", instance(1)), lambda: registry.watch("")):
        with pytest.raises(RuntimeError, match="is closed: open another"):
            use()


def test_nothing_is_started_before_it_is_used(server: RegistryServer) -> None:
    before = threading.active_count()
    with open_(server) as registry:
        assert threading.active_count() == before
        assert registry.path("") == "rpc"
        registry.contents()
        assert threading.active_count() == before
        registry.watch("").close()
        assert threading.active_count() == before + 1


def test_a_watcher_may_close_what_it_watches_from_elsewhere_and_fail(
    server: RegistryServer, caplog: pytest.LogCaptureFixture
) -> None:
    seen, done = Seen(), threading.Event()
    with open_(server) as registry:
        other = registry.register("Other", instance(1))

        def on_change(snapshot: Snapshot) -> None:
            other.close()  # on the registry's own thread: it cannot wait
            done.set()
            raise RuntimeError("mine")

        registry.watch("", on_change)
        assert done.wait(DEADLINE)
        registry.watch("", seen)
        registry.register("", instance(2))
        seen.until(2)
        until(lambda: all(entry.service == "" for entry in registry.contents().entries))
    assert "the watcher of a registry failed" in caplog.text


def test_an_entry_that_is_too_large_is_refused_at_once(server: RegistryServer) -> None:
    with (
        open_(server) as registry,
        pytest.raises(ValueError, match=r"the entry of tcp://127.0.0.1:1 for 'rpc' is too"),
    ):
        registry.register("", instance(1, metadata={"x": "y" * 66_000}))


@pytest.mark.parametrize("service", ["all", "rpc", "x" * 600])
def test_a_service_that_can_have_no_key_is_refused(service: str) -> None:
    registry = EmbeddedRegistry()
    for use in (lambda: registry.register(service, instance(1)), lambda: registry.watch(service)):
        with pytest.raises(ValueError, match=r"cannot be the key of a service in registry://127.0.0.1:2182"):
            use()
    assert len(service) > 500 or EmbeddedRegistry(root="r").path(service) == f"r/{service}"


def test_a_forked_child_begins_anew(server: RegistryServer) -> None:
    seen = Seen()
    with open_(server) as registry:
        watch = registry.watch("", seen)
        registration = registry.register("", instance(1))
        seen.until(1)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            said = b"failed"
            try:
                own = Seen()
                assert not registration.is_registered
                assert not registration.wait(None)
                assert not registration.close()
                watch.close()
                registry.watch("", own)
                assert registry.register("", instance(2)).wait(DEADLINE)
                own.until(1, 2)
                registry.close()
                said = b"fine"
            finally:
                os.write(writing, said)
                os._exit(0)
        try:
            os.close(writing)
            assert select.select([reading], [], [], 2 * DEADLINE)[0]
            assert os.read(reading, 100) == b"fine"
        finally:
            os.close(reading)
            os.waitpid(child, 0)
        seen.until(1)
        assert registration.is_registered
        assert registry.register("", instance(3)).wait(DEADLINE)
        seen.until(1, 3)


def test_a_forked_child_that_uses_nothing_ends_in_peace(server: RegistryServer) -> None:
    with open_(server, "?timeout=1") as registry:
        registration = registry.register("", instance(1))
        assert registration.wait(DEADLINE)
        child = os.fork()
        if child == 0:
            registry.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert registration.is_registered
        assert len(registry.contents().entries) == 1


def test_threads_may_all_register_and_withdraw_at_once(server: RegistryServer) -> None:
    seen, failures = Seen(), list[BaseException]()
    with open_(server) as registry:
        registry.watch("", seen)

        def work(number: int) -> None:
            try:
                for port in range(1, 30):
                    kept = registry.register("", instance(number * 100 + port))
                    assert kept.wait(DEADLINE)
                    assert kept.close(DEADLINE)
                    registry.watch(f"s{port}").close()
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        seen.until()
        assert registry.contents().entries == ()


def test_many_entries_of_64_kib_do_not_stall(server: RegistryServer) -> None:
    """More is on its way in both directions than sockets hold: both sides must read while they send."""
    seen = Seen()
    with open_(server) as registry:
        registry.watch("", seen)
        kept = [registry.register("", instance(port, metadata={"x": "y" * 60_000})) for port in range(1, 301)]
        assert all(registration.wait(DEADLINE) for registration in kept)
        seen.until(*range(1, 301))


@pytest.mark.parametrize(
    ("url", "shown", "key"),
    [
        ("registry://127.0.0.1", "registry://127.0.0.1:2182", "rpc"),
        ("registry://h:7/", "registry://h:7", "rpc"),
        ("registry://token@h:7/shop?timeout=5", "registry://h:7/shop", "shop"),
        ("registry://[::1]:7/a/b/", "registry://[::1]:7/a/b", "a/b"),
    ],
)
def test_urls(url: str, shown: str, key: str) -> None:
    registry = open_registry(url)
    assert (registry.url, registry.path(""), repr(registry)) == (shown, key, f"<EmbeddedRegistry {shown}>")


@pytest.mark.parametrize(
    ("url", "options", "said"),
    [
        ("registry://", {}, "this is no registry's URL, at no host"),
        ("registry://:2182", {}, "this is no registry's URL, at no host"),
        ("registry://secret@[::1", {}, "this is no registry's URL, its host is none"),
        ("registry://secret@h\u2100x", {}, "this is no registry's URL, its host is none"),
        ("registry://h:x", {}, "this is no registry's URL: Port could not be cast"),
        ("registry://h:99999", {}, "this is no registry's URL: Port out of range"),
        ("registry://h:0", {}, "is no place of a registry"),
        ("registry://user:secret@h", {}, "this is no registry's URL, at h"),
        ("registry://h?timeout=x", {}, "timeout=x is no number of seconds"),
        ("registry://h?timeout=nan", {}, "timeout is 1 to 86,400 seconds, not nan"),
        ("registry://h?timeout=0.5", {}, "timeout is 1 to 86,400 seconds, not 0.5"),
        ("registry://h", {"timeout": "5"}, "timeout is 1 to 86,400 seconds, not '5'"),
        ("registry://h?tiemout=5", {}, "registry:// has no option tiemout: there are timeout and token"),
        ("registry://h", {"tls": True}, "registry:// has no option tls"),
    ],
)
def test_wrong_urls_are_refused_without_their_secrets(
    url: str, options: dict[str, object], said: str
) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        open_registry(url, **options)
    assert "secret" not in str(caught.value)


def test_the_client_loads_no_asyncio() -> None:
    code = (
        "import sys; from rpcgen.runtime.registry import open_registry\n"
        "open_registry('registry://127.0.0.1').path('')\n"
        "print(sorted({'asyncio', 'ssl', 'hmac'} & set(sys.modules)))"
    )
    with processes.python(code) as process:
        assert processes.line(process) == "[]"


def test_options_in_code_go_before_those_in_the_url() -> None:
    with pytest.raises(ValueError, match="not 0"):
        open_url("registry://a@h?timeout=2", {"timeout": 0, "token": "b"})
