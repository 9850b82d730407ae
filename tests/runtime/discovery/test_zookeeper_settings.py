"""What zk:// URLs and options may say."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import typing

import pytest

from rpcgen.runtime.discovery.zookeeper import layout, probe, settings
from rpcgen.runtime.registry import Instance, open_registry

ROOT = pathlib.Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("url", "hosts", "root"),
    [
        ("zk://h", ("h:2181",), "/rpc"),
        ("zk://h/", ("h:2181",), "/rpc"),
        ("zk://h:99/a/b/", ("h:99",), "/a/b"),
        ("zk://a,b:5,[::1],[::2]:6/rpc", ("a:2181", "b:5", "[::1]:2181", "[::2]:6"), "/rpc"),
        ("a:1,b:2/root", ("a:1", "b:2"), "/root"),
        ("ZK://[::1]#1", ("[::1]:2181",), "/rpc"),
        ("zk://user:p%40ss@h/r%C3%A4t", ("h:2181",), "/rät"),
    ],
)
def test_urls(url: str, hosts: tuple[str, ...], root: str) -> None:
    read = settings.read(url, {})
    assert (read.hosts, read.root) == (hosts, root)


def test_options_of_the_url_and_of_the_call() -> None:
    read = settings.read("zk://u:p%3Aw@h?timeout=2.5&tls=yes&verify=off&ca=/a%20b", {"timeout": 4})
    assert (read.user, read.password, read.timeout) == ("u", "p:w", 4.0)
    assert (read.tls, read.verify, read.ca) == (True, False, "/a b")


def test_the_url_shows_no_secret() -> None:
    registry = open_registry("zk://me:secret@a,b/r?key_password=secret&timeout=3")
    assert registry.url == "zk://a:2181,b:2181/r"
    assert "secret" not in repr(registry)


@pytest.mark.parametrize(
    ("url", "options", "problem"),
    [
        ("zk://", {}, "'' is no host"),
        ("zk://h:0", {}, "'h:0' is no host"),
        ("zk://h:70000", {}, "'h:70000' is no host"),
        ("zk://h:x", {}, "'h:x' is no host"),
        ("zk://a,,b", {}, "'' is no host"),
        ("zk://a,[::1", {}, "'[::1' is no host"),
        ("zk://a]", {}, "'a]' is no host"),
        ("zk://h/a//b", {}, "no path of ZooKeeper"),
        ("zk://h/a/../b", {}, "no path of ZooKeeper"),
        ("zk://h/a%00", {}, "no path of ZooKeeper"),
        ("http://h", {}, "a ZooKeeper registry is zk://"),
        ("zk://h?timeut=3", {}, "has no option timeut: did you mean timeout?"),
        ("zk://h", {"colour": 1}, "has no option colour: there are timeout, "),
        ("zk://h?timeout=soon", {}, "wrong type"),
        ("zk://h", {"timeout": True}, "wrong type"),
        ("zk://h?timeout=0", {}, "timeout is seconds, more than 0"),
        ("zk://h?timeout=nan", {}, "timeout is seconds, more than 0"),
        ("zk://h?check=-1", {}, "check is seconds, more than 0"),
        ("zk://h?tls=perhaps", {}, "wrong type"),
        ("zk://me@h", {}, "user (without a colon) and password belong together"),
        ("zk://h?ca=/nowhere", {}, "ca=/nowhere is no file that can be read"),
        ("zk://h?ca=/etc/hostname", {}, "no PEM file of its kind"),
    ],
)
def test_what_is_refused(url: str, options: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=r"^(zk|http)://") as caught:
        settings.read(url, options).context()
    assert problem in str(caught.value)


@pytest.mark.parametrize("url", ["zk://me:secret@h:x", "zk://me:secret@h?timeut=3", "zk://me:secret@h/a//b"])
def test_messages_show_no_password(url: str) -> None:
    with pytest.raises(ValueError, match="zk://h") as caught:
        settings.read(url, {})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("service", ["a/b", ".", "..", "a\0", "a\n"])
def test_services_that_no_node_can_be(service: str) -> None:
    with open_registry("zk://127.0.0.1:1") as registry:
        with pytest.raises(ValueError, match="is no service"):
            registry.register(service, Instance("h", 1))
        with pytest.raises(ValueError, match="is no service"):
            registry.watch(service)


def test_an_entry_that_is_too_large_is_refused() -> None:
    problem = r"tcp://h:1 has [\d,]+ bytes, and 65,536 are the most"
    with open_registry("zk://127.0.0.1:1") as registry, pytest.raises(ValueError, match=problem):
        registry.register("", Instance("h", 1, metadata={"x": "y" * 65536}))


def test_paths() -> None:
    registry = open_registry("zk://h/a/rpc")
    assert [registry.path(service) for service in ("", "Directory")] == [
        "/a/rpc",
        "/a/rpc-services/Directory",
    ]


def test_an_entry_is_found_by_the_name_of_its_node() -> None:
    ours, others = (layout.prefix(f"tcp://{host}:1") + "0000000007" for host in "ab")
    names = [ours, others, "server0000000001", "master"]
    assert layout.entries(names) == ["server0000000001", ours, others]
    assert layout.suspects("tcp://a:1", names) == ["server0000000001", ours]
    assert layout.prefix("tcp://a:1") != layout.prefix("tcp://a:1")


@pytest.mark.parametrize(
    ("answer", "seen", "health"),
    [
        ("", 0, probe.Health.FULL),
        ("This ZooKeeper instance is not currently serving requests\n", 0, probe.Health.STARTING),
        ("Zookeeper version: 3.8\nZxid: 0x1f\nMode: leader\n", 0x20, probe.Health.OLDER),
        ("Zookeeper version: 3.8\nZxid: 0x1f\nMode: leader\n", 0x1F, probe.Health.SERVING),
        ("srvr is not executed because it is not in the whitelist.\n", 9, probe.Health.SERVING),
    ],
)
def test_what_answers_mean(answer: str, seen: int, health: probe.Health) -> None:
    assert probe.judge(answer, seen) is health


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def test_without_kazoo_the_message_says_what_to_install() -> None:
    done = run(
        "import sys; sys.modules['kazoo'] = None\n"
        "from rpcgen.runtime.registry import open_registry\n"
        "try:\n    open_registry('zk://h')\n"
        "except ImportError as error:\n    print(error)"
    )
    assert done.stdout.strip() == 'zk:// needs the package kazoo: pip install "rpcgen[zookeeper]"'


def test_nothing_is_started_before_the_first_use() -> None:
    done = run(
        "import threading\n"
        "from rpcgen.runtime.registry import open_registry\n"
        "registry = open_registry('zk://127.0.0.1:1')\n"
        "print(threading.active_count(), registry.session_timeout, registry.session)\n"
        "registry.close(); registry.close()"
    )
    assert done.stdout.strip() == "1 10.0 None", done.stderr


@pytest.mark.parametrize("call", ["register", "watch", "contents"])
def test_a_closed_registry_says_so(call: str) -> None:
    registry = open_registry("zk://127.0.0.1:1")
    registry.close()
    arguments: dict[str, tuple[typing.Any, ...]] = {"register": ("", Instance("h", 1)), "watch": ("",)}
    with pytest.raises(RuntimeError, match=r"zk://127\.0\.0\.1:1/rpc is closed"):
        getattr(registry, call)(*arguments.get(call, ()))
