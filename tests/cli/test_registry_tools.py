"""``rpcgen ls`` and ``rpcgen doctor`` on registries that are real: the embedded one and ZooKeeper."""

from __future__ import annotations

import json
import os
import pathlib
import pty
import signal
import subprocess
import typing

import pytest

from rpcgen.runtime.discovery.embedded.server import RegistryServer
from rpcgen.runtime.registry import Instance, open_registry
from tests.cli.command import COMMAND, Running, environment, rpcgen
from tests.support import services
from tests.support.zookeeper import client, zk_url as zk_url, zookeeper_of_worker as zookeeper_of_worker


@pytest.fixture
def embedded() -> typing.Iterator[RegistryServer]:
    with RegistryServer(port=0) as serving:
        yield serving


@pytest.fixture(params=["embedded", pytest.param("zookeeper", marks=pytest.mark.xdist_group("zookeeper"))])
def url(request: pytest.FixtureRequest) -> str:
    """Of an empty registry."""
    if request.param == "embedded":
        serving: RegistryServer = request.getfixturevalue("embedded")
        return serving.url
    made: str = request.getfixturevalue("zk_url")
    return made


def serving(url: str, **options: typing.Any) -> services.ThreadServer:
    return services.ThreadServer("127.0.0.1", 0, services.Handlers(), registry=url, **options)


@pytest.fixture
def watching(tmp_path: pathlib.Path) -> typing.Iterator[typing.Callable[..., Running]]:
    started: list[Running] = []

    def start(*words: str) -> Running:
        started.append(Running("ls", "--watch", *words, cwd=tmp_path))
        return started[-1]

    yield start
    for one in started:
        one.close()


def test_a_server_is_listed_and_well(url: str, tmp_path: pathlib.Path) -> None:
    with serving(url, zone="east", version="7") as server:
        ended = rpcgen("ls", "--json", cwd=tmp_path, RPCGEN_REGISTRY=url)
        assert ended.status == 0, ended
        found = json.loads(ended.out)
        assert (found["address"], found["zone"], found["pid"]) == (str(server.address), "east", os.getpid())
        assert found["service"] == ""
        listed = rpcgen("ls", url, "-", cwd=tmp_path)
        assert listed.out.splitlines()[0].split() == ["ADDRESS", "ZONE", "VERSION", "PROTOCOLS", "AGE", "PID"]
        checked = rpcgen("doctor", url, "--timeout", "30", cwd=tmp_path)
        assert (checked.status, checked.out) == (0, ""), checked
        assert checked.log.endswith("nothing is wrong; 1 entry of 1 service looked at, 1 server was called\n")
    assert rpcgen("ls", url, cwd=tmp_path).status == 1


def test_changes_are_lines_until_ctrl_c(url: str, watching: typing.Callable[..., Running]) -> None:
    with serving(url) as server:
        process = watching(url, "-")
        process.until(f"+ {server.address} protocols=framed,plain pid={os.getpid()}")
        with serving(url) as second:
            process.until(f"+ {second.address}")
        process.until(f"- {second.address}")
    process.until(f"- {server.address}")
    assert process.end() == 0


def test_new_services_are_found_while_watching(url: str, watching: typing.Callable[..., Running]) -> None:
    process = watching(url)
    with open_registry(url) as registry:
        registry.register("Orders", Instance("10.0.0.1", 9000))
        process.until("+ tcp://10.0.0.1:9000 Orders")
    assert process.end() == 0


def test_a_registry_that_goes_and_comes_back(
    watching: typing.Callable[..., Running], tmp_path: pathlib.Path
) -> None:
    with RegistryServer(port=0, data=tmp_path / "data") as first:
        url = first.url
        with open_registry(url) as registry:
            assert registry.register("", Instance("10.0.0.1", 9000)).wait(30)
            process = watching(url, "-")
            process.until("+ tcp://10.0.0.1:9000")
            first.close()
            process.until("! the registry is away: ")
            with RegistryServer(port=first.port, data=tmp_path / "data"):
                assert process.until("! the registry is back")[:-1] == []
                assert process.end() == 0


def test_watching_ends_when_nobody_reads(embedded: RegistryServer, tmp_path: pathlib.Path) -> None:
    """As in ``rpcgen ls --watch | head -1``."""
    with open_registry(embedded.url) as registry:
        registry.register("", Instance("10.0.0.1", 9000))
        process = subprocess.Popen(
            [*COMMAND, "ls", "--watch", embedded.url],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            with process.stdout:
                assert process.stdout.readline().startswith("+ tcp://10.0.0.1:9000")
            registry.register("", Instance("10.0.0.2", 9000))
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()


def test_a_terminal_is_drawn_anew(embedded: RegistryServer, tmp_path: pathlib.Path) -> None:
    ours, theirs = pty.openpty()
    with serving(embedded.url) as server:
        process = subprocess.Popen(
            [*COMMAND, "ls", "--watch", embedded.url],
            cwd=tmp_path,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        try:
            shown = b""
            while str(server.address).encode() not in shown:
                shown += os.read(ours, 65536)
            assert b"\x1b[H\x1b[2J" in shown
            assert f"1 instance in {embedded.url}; Ctrl-C ends".encode() in shown
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()
            os.close(ours)


@pytest.mark.xdist_group("zookeeper")
def test_what_others_left_in_zookeeper(zk_url: str, tmp_path: pathlib.Path) -> None:
    hosts, _, root = zk_url.removeprefix("zk://").partition("/")
    with client(hosts) as operator:
        operator.create(f"/{root}/server-ghost", b'{"host": "127.0.0.1", "port": 1}', makepath=True)
        operator.create(f"/{root}/server-junk", b"junk", ephemeral=True)
        operator.create(f"/{root}/server-large", b"{" + b" " * 70_000, ephemeral=True)
        operator.create(f"/{root}/server-all", b'{"host": "0.0.0.0", "port": 1}', ephemeral=True)
        operator.create(f"/{root}/master", b"")
        ended = rpcgen("doctor", zk_url, "--json", "--timeout", "30", cwd=tmp_path)
    found = {
        (one["kind"], one["place"].rpartition("/")[2]) for one in map(json.loads, ended.out.splitlines())
    }
    assert ended.status == 1
    assert found == {
        ("ghost", "server-ghost"),
        ("unreachable", "server-ghost"),
        ("unreadable", "server-junk"),
        ("unreadable", "server-large"),
        ("oversized", "server-large"),
        ("wildcard", "server-all"),
        ("queue", "master"),
    }


def test_a_server_that_died_is_found(embedded: RegistryServer, tmp_path: pathlib.Path) -> None:
    with services.ThreadServer("127.0.0.1", 0, services.Handlers()) as gone:
        address = gone.address
    with open_registry(embedded.url) as registry:
        assert registry.register("", Instance(address.host, address.port)).wait(30)
        ended = rpcgen("doctor", embedded.url, cwd=tmp_path)
    assert ended.status == 1
    assert "error[unreachable]" in ended.out


@pytest.mark.parametrize(
    ("url", "fix"),
    [
        ("registry://127.0.0.1:1", "start it, `rpcgen registry --host 127.0.0.1 --port 1`"),
        ("zk://127.0.0.1:1/rpc", "start ZooKeeper there"),
    ],
)
@pytest.mark.parametrize("command", ["ls", "doctor"])
def test_a_registry_that_is_not_there(command: str, url: str, fix: str, tmp_path: pathlib.Path) -> None:
    ended = rpcgen(command, url, cwd=tmp_path)
    assert (ended.status, ended.out) == (2, "")
    first, second = ended.log.splitlines()
    assert first.startswith(f"rpcgen {command}: ")
    assert url in first
    assert "refused" in first
    assert second.startswith(f"  = help: {fix}")


@pytest.mark.parametrize("token", ["", "wrong"])
def test_a_registry_that_does_not_let_us_in(token: str, tmp_path: pathlib.Path) -> None:
    with RegistryServer(port=0, token="secret") as guarded:
        ended = rpcgen("ls", guarded.url, cwd=tmp_path, RPCGEN_REGISTRY_TOKEN=token)
        assert ended.status == 2
        assert "  = help: set RPCGEN_REGISTRY_TOKEN, or name the token in the URL" in ended.log
        assert rpcgen("ls", guarded.url, cwd=tmp_path, RPCGEN_REGISTRY_TOKEN="secret").status == 1


def test_a_server_where_a_registry_should_be(tmp_path: pathlib.Path) -> None:
    with services.ThreadServer("127.0.0.1", 0, services.Handlers()) as server:
        ended = rpcgen("ls", f"registry://127.0.0.1:{server.port}", cwd=tmp_path)
    assert (ended.status, ended.out, len(ended.log.splitlines())) == (2, "", 2), ended
