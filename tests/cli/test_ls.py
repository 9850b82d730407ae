"""``rpcgen ls``: what a registry says, as a table, as JSON, and as it changes."""

from __future__ import annotations

import json
import queue
import threading
import typing

import pytest

from rpcgen.cli.console import Console
from rpcgen.cli.follow import Change, Lists, follow
from rpcgen.cli.table import age, table
from rpcgen.runtime.registry import Contents, Entry, Instance, Snapshot
from tests.cli.command import Ended
from tests.cli.registry_command import Opened, registry as registry, run

PLAIN = Instance("10.0.0.1", 9000)
RICH = Instance(
    "10.0.0.2",
    9001,
    protocols=("plain", "framed"),
    weight=2.5,
    zone="east",
    version="1.2",
    fingerprint="0123456789abcdef",
    pid=17,
    started=1000.0,
    metadata={"disk": "ssd", "rack": "7"},
)
OTHER = Instance("fd00::1", 9002, fingerprint="fedcba9876543210", started=940.0)


def unreadable(service: str) -> Entry:
    return Entry(service, "7", b"junk", None, problem="it is no JSON", owner="me")


def test_the_table_has_a_column_for_what_is_said() -> None:
    assert table([("", PLAIN)], 0, service=False) == ["ADDRESS", "tcp://10.0.0.1:9000"]
    assert table([("", PLAIN), ("Orders", OTHER), ("Orders", RICH)], 1042.0, service=True) == [
        "SERVICE  ADDRESS               WEIGHT  ZONE  VERSION  PROTOCOLS       AGE  PID  METADATA         INTERFACE",
        "-        tcp://10.0.0.1:9000        1                 plain",
        "Orders   tcp://[fd00::1]:9002       1                 plain         1m42s                        fedcba98",
        "Orders   tcp://10.0.0.2:9001      2.5  east  1.2      plain,framed    42s   17  disk=ssd rack=7  01234567",
    ]


def test_interfaces_are_shown_where_they_differ_within_a_service() -> None:
    assert table([("A", RICH), ("B", OTHER)], 0, service=False)[0].endswith("METADATA")


def test_what_others_wrote_is_harmless_on_a_terminal() -> None:
    bad = Instance("h\x1b[2J", 1, zone="a\nb" + "z" * 100)
    lines = table([("x\x07", bad)], 0, service=True)
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)
    assert len(lines[1]) < 120


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0s"), (-5, "0s"), (59, "59s"), (60, "1m00s"), (3605, "1h00m"), (86400 * 9 + 3600 * 4, "9d04h")],
)
def test_ages(seconds: float, shown: str) -> None:
    assert age(1_000_000.0, 1_000_000.0 + seconds) == shown


def test_all_services_are_listed_by_name(registry: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    registry.set("Orders", PLAIN)
    registry.set("", PLAIN, Instance("10.0.0.1", 8000))
    assert run(capsys, "ls", "memory://") == Ended(
        0,
        "SERVICE  ADDRESS\n"
        "-        tcp://10.0.0.1:8000\n"
        "-        tcp://10.0.0.1:9000\n"
        "Orders   tcp://10.0.0.1:9000\n",
        "",
    )


@pytest.mark.parametrize(
    ("words", "url"),
    [(["Orders"], None), (["zk://h/rpc", "Orders"], "zk://h/rpc")],
)
def test_one_service_is_named_with_or_without_a_url(
    registry: Opened, capsys: pytest.CaptureFixture[str], words: list[str], url: str | None
) -> None:
    registry.set("Orders", PLAIN)
    registry.set("", RICH)
    assert run(capsys, "ls", *words) == Ended(0, "ADDRESS\ntcp://10.0.0.1:9000\n", "")
    assert registry.opened == [url]


def test_a_file_s_own_service_is_a_dash(registry: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    registry.set("Orders", RICH)
    registry.set("", PLAIN)
    assert run(capsys, "ls", "-").out == "ADDRESS\ntcp://10.0.0.1:9000\n"


def test_json_has_every_member(registry: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    registry.set("Orders", RICH, PLAIN)
    ended = run(capsys, "ls", "--json")
    first, second = map(json.loads, ended.out.splitlines())
    assert first.keys() == second.keys()
    assert (second["service"], second["address"], second["weight"]) == ("Orders", "tcp://10.0.0.2:9001", 2.5)
    assert second["metadata"] == {"disk": "ssd", "rack": "7"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no server is registered in memory://\n"),
        (["-"], "no server is registered for a file's own service in memory://, at memory:rpc\n"),
    ],
)
def test_nothing_to_list_is_status_1(
    registry: Opened, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert run(capsys, "ls", *words) == Ended(1, "", said)


@pytest.mark.parametrize(("there", "meant"), [("Order", "did you mean Order?"), ("Zoo", "there are: Zoo")])
def test_a_service_that_is_not_there(
    registry: Opened, capsys: pytest.CaptureFixture[str], there: str, meant: str
) -> None:
    registry.set(there, PLAIN)
    said = f"no server is registered for Orders in memory://, at memory:Orders\n  = help: {meant}\n"
    assert run(capsys, "ls", "Orders") == Ended(1, "", said)


def test_entries_that_cannot_be_read_are_pointed_at(
    registry: Opened, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.stands = Contents((Entry("", "1", b"", PLAIN, owner="me"), unreadable(""), unreadable("Orders")))
    ended = run(capsys, "ls")
    assert ended.log == "2 entries cannot be read: `rpcgen doctor memory://` says why\n"
    assert run(capsys, "ls", "-").log == "1 entry cannot be read: `rpcgen doctor memory://` says why\n"


def test_an_unreachable_registry_is_one_line(registry: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    registry.url = "registry://10.0.0.1:2182"
    registry.away = "cannot connect: the connection was refused"
    assert run(capsys, "ls", "registry://10.0.0.1:2182") == Ended(
        2,
        "",
        "rpcgen ls: registry://10.0.0.1:2182: cannot connect: the connection was refused\n"
        "  = help: start it, `rpcgen registry --host 10.0.0.1 --port 2182`, or name another URL\n",
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["localhost:2182"],
            "'localhost:2182' is no URL of a registry\n"
            "  = help: did you mean registry://localhost:2182 or zk://localhost:2182/rpc?\n",
        ),
        (["Orders", "zk://h"], "the service comes after the URL\n  = help: rpcgen ls zk://h Orders\n"),
        (
            ["zk://h", "Or ders"],
            "'Or ders' cannot be a service\n  = help: one is named as in its interface: Orders\n",
        ),
        (
            ["zk://h", "a", "b"],
            "there is no place for 'b'\n  = help: `rpcgen ls --help` says how it is used\n",
        ),
        (["--timeout", "0"], "--timeout: invalid seconds value: '0'\n"),
        (["regstry://h:1"], "'regstry://h:1' is no registry"),
        (["--wach"], "there is no option --wach\n  = help: did you mean --watch?\n"),
    ],
)
def test_wrong_words(capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    ended = run(capsys, "ls", *words)
    assert (ended.status, ended.out) == (2, "")
    assert ended.log.startswith(f"rpcgen ls: {said}")


def test_a_list_is_the_same_for_every_service(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "ls", "static://10.0.0.1:9000", "Orders").out == "ADDRESS\ntcp://10.0.0.1:9000\n"


# --watch


def live(*instances: Instance) -> Snapshot:
    return Snapshot(instances, live=True, at=1.0)


def test_lists_tell_what_changed() -> None:
    lists = Lists()
    moved = Instance("10.0.0.1", 9000, zone="west")
    assert lists.take("A", live(PLAIN, RICH)) == [Change("added", "A", PLAIN), Change("added", "A", RICH)]
    assert lists.take("A", live(PLAIN, RICH)) == []
    assert lists.take("A", live(moved)) == [Change("removed", "A", RICH), Change("changed", "A", moved)]
    assert lists.take("B", live(RICH)) == [Change("added", "B", RICH)]
    assert lists.rows() == [("A", moved), ("B", RICH)]


def test_lists_are_kept_while_the_registry_is_away() -> None:
    lists = Lists()
    lists.take("A", live(PLAIN))
    gone = Snapshot((), live=False, problem="refused", at=1.0)
    assert lists.take("A", gone) == [Change("lost", problem="refused")]
    assert lists.take("B", gone) == []
    assert lists.rows() == [("A", PLAIN)]
    assert lists.take("A", live(PLAIN)) == [Change("back")]
    assert lists.problem == ""


class Lines(Console):
    """Hands on what is found; ``end`` makes the next line a Ctrl-C."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: queue.Queue[str] = queue.Queue()
        self.ends = False

    def find(self, text: str) -> None:
        if self.ends:
            raise KeyboardInterrupt
        self.lines.put(text)

    def next(self) -> str:
        return self.lines.get(timeout=30)


class Following:
    """``ls --watch`` in a thread."""

    def __init__(self, registry: Opened, service: str | None, *, as_json: bool = False) -> None:
        self.registry, self.console, self.status = registry, Lines(), -1

        def run() -> None:
            self.status = follow(registry, service, 5.0, self.console, as_json=as_json)

        self.thread = threading.Thread(target=run)
        self.thread.start()

    def end(self) -> None:
        self.console.ends = True
        self.registry.away = ""
        for service in {service for service, _ in self.registry._watches}:
            self.registry.set(service, Instance("end", 1))
        self.thread.join(30)
        assert not self.thread.is_alive()


@pytest.fixture
def following(registry: Opened) -> typing.Iterator[typing.Callable[..., Following]]:
    started: list[Following] = []

    def start(service: str | None, **options: bool) -> Following:
        started.append(Following(registry, service, **options))
        return started[-1]

    yield start
    for one in started:
        one.end()
        assert one.status == 0


def test_changes_are_lines(registry: Opened, following: typing.Callable[..., Following]) -> None:
    registry.set("Orders", PLAIN)
    console = following("Orders").console
    assert console.next() == "+ tcp://10.0.0.1:9000"
    registry.set("Orders", PLAIN, RICH)
    assert console.next() == (
        "+ tcp://10.0.0.2:9001 weight=2.5 zone=east version=1.2 protocols=plain,framed pid=17 "
        "metadata=disk=ssd rack=7"
    )
    registry.set("Orders", RICH)
    assert console.next() == "- tcp://10.0.0.1:9000"
    registry.go_away("it was stopped")
    assert console.next() == "! the registry is away: it was stopped"
    registry.go_away("")
    assert console.next() == "! the registry is back"


def test_every_service_is_followed_and_new_ones_are_found(
    registry: Opened, following: typing.Callable[..., Following], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rpcgen.cli.follow.LOOK", 0.05)
    registry.set("", PLAIN)
    console = following(None).console
    assert console.next() == "+ tcp://10.0.0.1:9000 -"
    registry.set("Orders", PLAIN)
    assert console.next() == "+ tcp://10.0.0.1:9000 Orders"


def test_changes_as_json(registry: Opened, following: typing.Callable[..., Following]) -> None:
    registry.set("", PLAIN)
    console = following("", as_json=True).console
    found = json.loads(console.next())
    assert (found["event"], found["address"]) == ("added", "tcp://10.0.0.1:9000")
    registry.go_away("it was stopped")
    assert json.loads(console.next()) == {"event": "lost", "problem": "it was stopped"}


def test_watching_begins_with_a_registry_that_is_there(
    registry: Opened, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.away = "refused"
    assert run(capsys, "ls", "--watch") == Ended(2, "", "rpcgen ls: memory://: refused\n")
