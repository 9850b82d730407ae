"""``rpcgen doctor``: each fault that it knows, and the servers behind the entries."""

from __future__ import annotations

import contextlib
import json
import pathlib
import socket
import threading
import typing

import pytest

from rpcgen.cli.registry_checks import Finding, Outcome, Place, examine, is_local, judge
from rpcgen.cli.servers import call, call_all
from rpcgen.runtime.registry import Contents, Entry, Instance
from tests.cli.command import Ended
from tests.cli.registry_command import Opened, registry as registry, run
from tests.support import services

ONE = Instance("10.0.0.1", 9000, started=1.0)


def entry(instance: Instance | None = ONE, name: str = "n1", service: str = "", **said: typing.Any) -> Entry:
    said.setdefault("owner", "0x1")
    said.setdefault("data", b"" if instance is None else instance.encode())
    return Entry(service, name, instance=instance, **said)


def place(local: bool = False) -> Place:
    return Place(local, lambda service: f"/rpc-services/{service}" if service else "/rpc")


CASES: list[tuple[str, list[Entry], list[tuple[str, str, str]]]] = [
    # what stands there; kind, place and a part of the problem of what is found
    ("nothing", [], []),
    ("one as it should be", [entry()], []),
    ("JSON that is none", [entry(None, problem="\x1bbad")], [("unreadable", "/rpc/n1", "\\x1bbad")]),
    ("a ghost", [entry(owner="")], [("ghost", "/rpc/n1", "nobody keeps it alive")]),
    ("no owner, but it expires", [entry(owner="", expires=29.0)], []),
    ("64 KiB", [entry(data=b"x" * 65536)], []),
    ("more", [entry(data=b"x" * 65537)], [("oversized", "/rpc/n1", "it has 65537 bytes")]),
    ("0.0.0.0", [entry(Instance("0.0.0.0", 1))], [("wildcard", "/rpc/n1", "tcp://0.0.0.0:1 is")]),
    ("::", [entry(Instance("::", 1))], [("wildcard", "/rpc/n1", "tcp://[::]:1 is")]),
    ("127.0.0.1", [entry(Instance("127.0.0.1", 1))], [("loopback", "/rpc/n1", "own machine")]),
    ("localhost", [entry(Instance("localhost", 1))], [("loopback", "/rpc/n1", "own machine")]),
    ("a Unix socket", [entry(Instance("unix:///s", 0))], [("loopback", "/rpc/n1", "own machine")]),
    (
        "one address twice",
        [entry(Instance("h", 1, started=9.0), "young"), entry(Instance("h", 1, started=1.0), "old")],
        [("duplicate", "/rpc/old", "tcp://h:1 is registered for the same service again, as young")],
    ),
    ("one address in two services", [entry(service="A"), entry(service="B")], []),
    (
        "two interfaces",
        [
            entry(Instance("h", 1, fingerprint="a" * 32), service="A"),
            entry(Instance("h", 2, fingerprint="b" * 32), service="A"),
            entry(Instance("h", 3, fingerprint="b" * 32), service="A"),
            entry(Instance("h", 4), service="A"),
        ],
        [("interfaces", "/rpc-services/A", "bbbbbbbb at tcp://h:2 and 1 more; aaaaaaaa at tcp://h:1")],
    ),
]


@pytest.mark.parametrize(("stands", "found"), [pytest.param(*case[1:], id=case[0]) for case in CASES])
def test_what_entries_show(stands: list[Entry], found: list[tuple[str, str, str]]) -> None:
    findings = examine(Contents(tuple(stands)), place())
    assert [(one.kind, one.place) for one in findings] == [(kind, where) for kind, where, _ in found]
    for finding, (_, _, problem) in zip(findings, found, strict=True):
        assert problem in finding.problem
        assert finding.help
        assert "\n" not in finding.problem + finding.help


def test_foreign_nodes() -> None:
    (finding,) = examine(Contents((), ("/rpc/master\n",)), place())
    assert (finding.kind, finding.place, finding.severity) == ("foreign", "/rpc/master\\n", "error")


def test_a_queue_beside_servers_is_a_note() -> None:
    names = ("/rpc/assign", "/rpc/master", "/rpc/tasks", "/rpc/workers")
    findings = examine(Contents((), names), place())
    assert [(one.kind, one.place, one.severity) for one in findings] == [
        ("queue", name, "note") for name in names
    ]


def test_loopback_is_right_in_a_registry_on_loopback() -> None:
    assert examine(Contents((entry(Instance("127.0.0.1", 1)),)), place(local=True)) == []


def test_different_interfaces_are_a_note() -> None:
    assert Finding("interfaces", "", "", "").severity == "note"


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("registry://127.0.0.1:2182", True),
        ("registry://localhost:2182/rpc", True),
        ("registry://[::1]:2182", True),
        ("zk://user@127.0.0.1:2181,127.0.0.1:2182/rpc", True),
        ("zk://127.0.0.1:2181,zk2/rpc", False),
        ("registry://10.0.0.1:2182", False),
        ("zk://zk1?timeout=3", False),
        ("static://127.0.0.1:1,10.0.0.1:2,unix:///s", True),
    ],
)
def test_registries_on_this_machine(url: str, local: bool) -> None:
    assert is_local(url) is local


@pytest.mark.parametrize("kind", ["unreachable", "silent", "unhealthy", "stranger", "untried"])
def test_an_outcome_becomes_a_finding(kind: str) -> None:
    finding = judge(entry(), Outcome(kind, "said {so}"), place())
    assert finding is not None
    assert (finding.kind, finding.place, finding.address) == (kind, "/rpc/n1", "tcp://10.0.0.1:9000")
    assert finding.problem.startswith("tcp://10.0.0.1:9000: ")
    assert finding.problem.endswith("said {so}")


# Servers


def instance(port: int, **said: typing.Any) -> Instance:
    return Instance("127.0.0.1", port, **said)


@contextlib.contextmanager
def listening(*replies: bytes) -> typing.Iterator[int]:
    """Listens; with a reply accepts one connection after another, reads once and answers with it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            listener.accept()[0].close()  # the first connection is only to see whether it can be made
            for reply in replies:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(reply)

        thread = threading.Thread(target=answer, daemon=True)
        if replies:
            thread.start()
        yield listener.getsockname()[1]
        if replies:
            thread.join(30)


def test_a_healthy_server() -> None:
    with services.ThreadServer("127.0.0.1", 0, services.Handlers()) as server:
        assert call("", instance(server.port), 30) == Outcome("")


def test_a_service_that_another_server_has() -> None:
    with services.ThreadServer("127.0.0.1", 0, services.Handlers()) as server:
        assert call("Orders", instance(server.port), 30).kind == "unhealthy"


def test_a_server_that_is_gone() -> None:
    with listening() as port:
        pass
    outcome = call("", instance(port), 30)
    assert (outcome.kind, outcome.problem) == (
        "unreachable",
        "cannot connect: the connection was refused; is the server running?",
    )


def test_a_host_that_is_not_known() -> None:
    assert call("", Instance("no such host", 1), 30).kind == "unreachable"


def test_a_socket_that_is_not_there(tmp_path: pathlib.Path) -> None:
    assert call("", Instance(f"unix://{tmp_path}/none", 0), 30).kind == "unreachable"


def test_a_server_that_does_not_answer() -> None:
    with listening() as port:
        assert call("", instance(port), 0.2).kind == "silent"


@pytest.mark.parametrize(("started", "kind"), [(5.0, "stranger"), (0.0, "")])
def test_another_program(started: float, kind: str) -> None:
    """It is at fault only where the entry was of a server of ours."""
    with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        assert call("", instance(port, started=started), 30).kind == kind


def test_many_servers_at_once_and_no_longer_than_said() -> None:
    with listening() as port:
        servers = [("", instance(port))] * 100
        outcomes = call_all(servers, 0.3, rounds=1.5)
    assert [one.kind for one in outcomes[:32]] == ["silent"] * 32
    assert outcomes[-1].kind == "untried"


# The command


def test_a_clean_registry_is_status_0(registry: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    registry.url = "registry://127.0.0.1:2182"
    with services.ThreadServer("127.0.0.1", 0, services.Handlers()) as server:
        registry.set("", instance(server.port))
        assert run(capsys, "doctor", "--timeout", "30") == Ended(
            0,
            "",
            "registry://127.0.0.1:2182: nothing is wrong; 1 entry of 1 service looked at, 1 server was called\n",
        )


def test_findings_are_status_1(registry: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    registry.url = "registry://127.0.0.1:2182"
    with listening() as port:
        pass
    registry.stands = Contents((entry(instance(port), "server-1"),), ("memory:x",))
    ended = run(capsys, "doctor", "memory://", "--color", "never")
    assert ended == Ended(
        1,
        "memory:x: error[foreign]: it is no server's entry, and stands where other programs expect nothing else\n"
        "  = help: move it, or give the servers a root of their own: the path of the registry's URL\n"
        f"memory:rpc/server-1: error[unreachable]: tcp://127.0.0.1:{port}: it is registered, but cannot be "
        "reached: the connection was refused; is the server running?\n"
        "  = help: start the server, or open the way to it; if it died just now, its entry goes when its time is up\n",
        "registry://127.0.0.1:2182: 2 faults; 1 entry of 1 service looked at, 1 server was called\n",
    )
    assert run(capsys, "doctor", "--no-connect").log.endswith(
        "1 fault; 1 entry of 1 service looked at, 0 servers were called\n"
    )


def test_notes_alone_are_status_0(registry: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    registry.set("A", Instance("h", 1, fingerprint="a"), Instance("h", 2, fingerprint="b"))
    ended = run(capsys, "doctor", "--no-connect")
    assert ended.status == 0
    assert "memory:A: note[interfaces]" in ended.out


def test_findings_as_json(registry: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    registry.stands = Contents((), ("memory:x",))
    found = json.loads(run(capsys, "doctor", "--json").out)
    assert found.keys() == {"severity", "kind", "place", "problem", "help", "address"}


def test_an_unreachable_registry_is_status_2(registry: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    registry.url, registry.away = "zk://h:2181/rpc", "zk://h:2181/rpc did not answer within 10 s"
    ended = run(capsys, "doctor")
    assert (ended.status, ended.out) == (2, "")
    assert ended.log.startswith(
        "rpcgen doctor: zk://h:2181/rpc did not answer within 10 s\n  = help: start ZooKeeper"
    )


def test_a_server_is_called_once_for_each_service(
    registry: Opened, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.url = "registry://127.0.0.1:2182"
    with services.ThreadServer("127.0.0.1", 0, services.Handlers()) as server:
        one = instance(server.port, started=1.0)
        registry.stands = Contents((entry(one, "1"), entry(one, "2")))
        ended = run(capsys, "doctor", "--timeout", "30")
    assert "1 server was called" in ended.log
    assert "error[duplicate]" in ended.out
