"""The last list on disk: read where the registry is away, and never a reason to fail."""

from __future__ import annotations

import json
import logging
import os
import pathlib
import threading

import pytest

from rpcgen import runtime as rpc
from rpcgen.runtime.discovery.cache import ListCache
from rpcgen.runtime.registry import Instance
from tests.runtime.discovery.fleet import Fleet, service
from tests.support import services
from tests.support.registries import MemoryRegistry

ONE = Instance("h", 1, weight=2.0, zone="z", metadata={"a": "b"})


def test_a_list_is_kept(tmp_path: pathlib.Path) -> None:
    cache = ListCache(tmp_path / "new" / "list.json", "memory://")
    cache.save("", [ONE])
    cache.save("Other", [Instance("h", 2)])
    again = ListCache(tmp_path / "new" / "list.json", "memory://")
    assert again.load("") == [ONE]
    assert again.load("Other") == [Instance("h", 2)]
    assert again.load("Third") == []
    assert os.listdir(tmp_path / "new") == ["list.json"]


def test_an_empty_list_is_not(tmp_path: pathlib.Path) -> None:
    cache = ListCache(tmp_path / "list.json", "memory://")
    cache.save("", [ONE])
    cache.save("", [])
    assert ListCache(tmp_path / "list.json", "memory://").load("") == [ONE]


def test_in_a_folder_each_registry_has_a_file(tmp_path: pathlib.Path) -> None:
    for folder in (tmp_path, f"{tmp_path}/made/"):
        for port, url in enumerate(("zk://a/rpc", "zk://b/rpc"), 1):
            ListCache(folder, url).save("", [Instance("h", port)])
        assert ListCache(folder, "zk://a/rpc").load("") == [Instance("h", 1)]
        assert ListCache(folder, "zk://b/rpc").load("") == [Instance("h", 2)]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"registry": 5}',
        b'{"registry": "memory://", "services": {"": {"saved": 1, "instances": [{"host": "h"}]}}}',
        b'{"registry": "zk://other/rpc", "services": {}}',
    ],
)
def test_bad_content_is_ignored_and_replaced(
    content: bytes, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "list.json"
    path.write_bytes(content)
    cache = ListCache(path, "memory://")
    assert cache.load("") == []
    assert str(path) in caplog.text
    cache.save("", [ONE])
    assert ListCache(path, "memory://").load("") == [ONE]


def test_what_cannot_be_written_is_logged(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    ListCache(tmp_path / "file" / "list.json", "memory://").save("", [ONE])
    assert "cannot write the list of servers" in caplog.text


def test_a_list_is_replaced_as_a_whole(tmp_path: pathlib.Path) -> None:
    """Whoever reads sees one list or another, never a part."""
    path = tmp_path / "list.json"
    cache = ListCache(path, "memory://")
    cache.save("", [Instance("h", 1)])
    done = threading.Event()

    def write() -> None:
        for number in range(300):
            cache.save("", [Instance("h", 1 + number % 7)] * (1 + number % 50))
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    while not done.is_set():
        assert json.loads(path.read_bytes())["services"][""]["instances"]
    thread.join()
    assert os.listdir(tmp_path) == ["list.json"]


def test_each_list_of_the_registry_is_kept(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "list.json"
    with Fleet(2) as fleet, fleet.channel(cache=path) as channel:
        services.ClientStub(channel).divide(1)
        fleet.list(1)
        kept = json.loads(path.read_bytes())["services"][""]["instances"]
        assert [entry["port"] for entry in kept] == [fleet.servers[1].port]
        fleet.registry.go_away("away")
        fleet.list()
        assert json.loads(path.read_bytes())["services"][""]["instances"] == kept


def test_a_client_starts_without_the_registry(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path = tmp_path / "list.json"
    with Fleet(2) as fleet:
        with fleet.channel(cache=path) as channel:
            services.ClientStub(channel).divide(1)
        assert "living from" not in caplog.text
        fleet.registry.go_away("away")
        with fleet.channel(cache=path, start_wait=1000) as channel:
            stub = services.ClientStub(channel)
            assert stub.divide(4, 2) == 2.0
            assert caplog.text.count(f"living from the list of {path}, 2 servers") == 1
            fleet.registry.go_away("")
            fleet.list(1)
            assert len(service(channel).router) == 1
            assert stub.divide(4, 2) == 2.0


class Silent(MemoryRegistry):
    """Says nothing at all."""

    def _tell(self, service: str) -> None:
        pass


def test_a_registry_that_says_nothing_is_waited_for(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "list.json"
    with Fleet(1) as fleet, Silent() as silent:
        ListCache(path, silent.url).save("", [fleet.instance(0)])
        with rpc.DistributedChannel(silent, cache=path, start_wait=0.05) as channel:
            assert services.ClientStub(channel).divide(4, 2) == 2.0
        with (
            rpc.DistributedChannel(silent, cache=path, start_wait=1000, timeout=0.05) as channel,
            pytest.raises(rpc.NoServers, match="has not answered yet"),
        ):
            services.ClientStub(channel).divide(4, 2)


def test_without_a_good_cache_there_are_no_servers(tmp_path: pathlib.Path) -> None:
    registry = MemoryRegistry()
    registry.go_away("away")
    with (
        rpc.DistributedChannel(registry, cache=tmp_path / "none.json", start_wait=0.05) as channel,
        pytest.raises(rpc.NoServers, match="does not answer: away"),
    ):
        services.ClientStub(channel).divide(4, 2)
