"""From a URL to a channel to many servers; options of stubs on it; what is loaded for it."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import typing

import pytest

from rpcgen import runtime as rpc
from tests.runtime.discovery.fleet import Fleet
from tests.support import peers, services
from tests.support.processes import ROOT


def refused(count: int) -> str:
    return "static://" + ",".join(f"127.0.0.1:{peers.unused_port()}" for _ in range(count))


def tries(stub: services.ClientStub) -> int:
    """How many servers a call tries, where all refuse."""
    with pytest.raises(rpc.Unavailable) as raised:
        stub.divide(1)
    listed = str(raised.value).partition("(tried ")[2]
    return len(listed.split(", ")) if listed else 1


def test_a_registry_s_url_gives_a_channel_to_its_servers() -> None:
    with Fleet(2) as fleet:
        url = "static://" + ",".join(f"127.0.0.1:{server.port}" for server in fleet.servers)
        with rpc.connect(url, balancer=rpc.RoundRobin(), timeout=30, service="", tries=2) as channel:
            assert isinstance(channel, rpc.DistributedChannel)
            assert services.ClientStub(channel).divide(4, 2) == 2.0
            assert repr(services.ClientStub(channel)) == f"ClientStub(<channel to the servers of {url}>)"


def test_one_server_has_no_options_of_many() -> None:
    with pytest.raises(TypeError, match="is one server, whose channel has no option balancer, zone"):
        rpc.connect("tcp://127.0.0.1:1", zone="a", balancer=None)


def test_an_unknown_option_is_refused() -> None:
    unknown: typing.Any = {"tires": 3}
    for url in ("static://127.0.0.1:1", "tcp://127.0.0.1:1"):
        with pytest.raises(TypeError, match="tires"):
            rpc.connect(url, **unknown)


@pytest.mark.parametrize(("retry", "expected"), [(False, 1), (1, 1), (2, 2), (4, 4), (True, 3), (None, 3)])
def test_a_stub_says_how_often_its_calls_are_tried(retry: bool | int | None, expected: int) -> None:
    with rpc.connect(refused(5)) as channel:
        stub = services.ClientStub(channel)
        fitted = rpc.with_options(stub, retry=retry)
        assert type(fitted) is services.ClientStub
        assert tries(fitted) == expected
        assert tries(stub) == 3
        assert tries(rpc.with_options(fitted, retry=None)) == 3
        assert tries(rpc.with_options(fitted, timeout=20)) == expected
        assert tries(rpc.with_options(fitted, retry=5)) == 5


def test_options_that_are_not_named_stay() -> None:
    with rpc.connect(refused(1)) as channel:
        fitted = rpc.with_options(rpc.with_options(services.ClientStub(channel), timeout=7.0), retry=2)
        assert fitted._timeout == 7.0
        assert repr(fitted).endswith("at most 2 tries)")
        assert rpc.with_options(fitted, timeout=None)._timeout is None


def test_a_channel_to_one_server_tries_once_anyway() -> None:
    with Fleet(1) as fleet, rpc.connect(f"tcp://127.0.0.1:{fleet.servers[0].port}") as channel:
        for retry in (False, True, 3):
            assert rpc.with_options(services.ClientStub(channel), retry=retry).divide(4, 2) == 2.0
        with pytest.raises(ValueError, match="at least once"):
            rpc.with_options(services.ClientStub(channel), retry=0)


def test_stubs_have_no_other_options() -> None:
    unknown: typing.Any = {"retries": 3}
    with pytest.raises(TypeError, match="no option retries: there are timeout, retry and metadata"):
        rpc.with_options(services.ClientStub(rpc.Channel("127.0.0.1", 1)), **unknown)


def loaded_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(' '.join(sys.modules))"],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_naming_the_class_loads_little() -> None:
    """Generated modules name it when they are imported."""
    loaded = loaded_after("from rpcgen.runtime import DistributedChannel")
    heavy = {"msgspec", "logging", "asyncio", "kazoo", "dataclasses", "inspect", "ssl", "random", "hashlib"}
    assert loaded & heavy == set()
    assert {name for name in loaded if name.startswith("rpcgen.runtime.discovery.")} == {
        "rpcgen.runtime.discovery.distributed",
        "rpcgen.runtime.discovery.distribution",
        "rpcgen.runtime.discovery.tries",
    }


def test_a_list_in_a_url_loads_no_zookeeper_and_no_asyncio() -> None:
    code = "from rpcgen import runtime as rpc; rpc.connect('static://127.0.0.1:1').close()"
    assert loaded_after(code) & {"kazoo", "asyncio", "lark", "jinja2"} == set()


USER = """\
# pyright: strict
from collections.abc import Sequence

from rpcgen import runtime as rpc
from service import ClientStub

channel = rpc.connect("zk://127.0.0.1:2181/rpc", service="", balancer=rpc.ConsistentHash("num1"))
with channel, rpc.connect("tcp://127.0.0.1:1", timeout=2.0) as one:
    stub = rpc.with_options(ClientStub(channel), timeout=0.5, retry=False)
    result: float = stub.divide(1, 2)
    ClientStub(one).divide(3)
ClientStub(rpc.DistributedChannel()).divide(1)


class Last:
    def picker(self, endpoints: "Sequence[rpc.Endpoint]") -> "rpc.Picker":
        return lambda protocol, args, tried: endpoints[-1]


rpc.DistributedChannel(rpc.StaticRegistry(["h:1"]), balancer=Last(), zone="a", cache="/tmp/lists/")
"""


def test_user_code_is_typed(tmp_path: pathlib.Path) -> None:
    (tmp_path / "user.py").write_text(USER)
    for command in (["mypy", "--strict", "--cache-dir", str(tmp_path / "cache")], ["pyright"]):
        done = subprocess.run(
            [sys.executable, "-m", *command, str(tmp_path / "user.py")],
            cwd=ROOT,
            env={
                "PYTHONPATH": f"{ROOT}:{ROOT}/generated",
                "MYPYPATH": f"{ROOT}:{ROOT}/generated",
                "PATH": "/usr/bin:/bin",
                "HOME": str(tmp_path),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
