"""What is wrong with a registry, judged from what stands there: one function a check, no I/O.

``examine`` looks at the entries; ``judge`` at how the servers behind them answered.
"""

from __future__ import annotations

import collections
import collections.abc
import ipaddress
import typing

from rpcgen.cli.registries import printable

if typing.TYPE_CHECKING:
    from rpcgen.runtime.registry import Contents, Entry, Instance

LARGEST = 64 * 1024
"""Bytes of an entry. Each client reads each entry, and ZooKeeper itself refuses a mebibyte."""


class Finding(typing.NamedTuple):
    """One thing that is wrong, or worth a note.

    Args:
        kind: Of ``KINDS``.
        place: Where in the registry, by its full name there.
        problem: What is wrong.
        help: The fix.
        address: Of the server, if it is one's.
    """

    kind: str
    place: str
    problem: str
    help: str
    address: str = ""

    @property
    def severity(self) -> str:
        """``error``, or ``note`` for what may be on purpose."""
        return KINDS[self.kind]


KINDS = {
    "unreadable": "error",
    "ghost": "error",
    "oversized": "error",
    "wildcard": "error",
    "loopback": "error",
    "duplicate": "error",
    "foreign": "error",
    "queue": "note",
    "interfaces": "note",
    "unreachable": "error",
    "silent": "error",
    "unhealthy": "error",
    "stranger": "error",
    "untried": "error",
}
"""Kind of finding → its severity."""


class Place(typing.NamedTuple):
    """The registry that is looked at.

    Args:
        local: It is reached over loopback, so that its servers may be, too.
        path: Gives where the entries of a service stand.
    """

    local: bool
    path: collections.abc.Callable[[str], str]

    def of(self, entry: Entry) -> str:
        """Gives an entry's full name."""
        return printable(f"{self.path(entry.service)}/{entry.name}")


def examine(contents: Contents, place: Place) -> list[Finding]:
    """Gives all that the entries themselves show, entry by entry, then service by service."""
    found = [
        finding
        for entry in contents.entries
        for check in _OF_ENTRIES
        if (finding := check(entry, place)) is not None
    ]
    services: dict[str, list[Entry]] = collections.defaultdict(list)
    for entry in contents.entries:
        services[entry.service].append(entry)
    for service, entries in services.items():
        for look in _OF_SERVICES:
            found += look(service, entries, place)
    return found + [_foreign(name) for name in contents.foreign]


def _unreadable(entry: Entry, place: Place) -> Finding | None:
    if entry.instance is not None:
        return None
    return Finding(
        "unreadable",
        place.of(entry),
        f"no client can read it: {printable(entry.problem, 200)}",
        'an entry is JSON as {"host": "10.0.0.1", "port": 9000}; mend what writes it, or delete it',
    )


def _ghost(entry: Entry, place: Place) -> Finding | None:
    if entry.owner or entry.expires is not None:
        return None
    return Finding(
        "ghost",
        place.of(entry),
        "nobody keeps it alive, so that it stays when its server is gone",
        "delete it, and let the server register itself: its entry then goes with it",
        _address(entry),
    )


def _oversized(entry: Entry, place: Place) -> Finding | None:
    if len(entry.data) <= LARGEST:
        return None
    return Finding(
        "oversized",
        place.of(entry),
        f"it has {len(entry.data)} bytes, and {LARGEST} are the most that it should have",
        "announce less: metadata is for a few short words",
        _address(entry),
    )


def _wildcard(entry: Entry, place: Place) -> Finding | None:
    if entry.instance is None or not is_wildcard(entry.instance):
        return None
    return Finding(
        "wildcard",
        place.of(entry),
        f"{entry.instance.address} is an address to listen at, and none to connect to",
        "give the server advertise=, the address by which clients reach it",
        entry.instance.address,
    )


def _loopback(entry: Entry, place: Place) -> Finding | None:
    if entry.instance is None or place.local:
        return None
    if not _is(entry.instance.host, "is_loopback") and not entry.instance.host.startswith("unix://"):
        return None
    return Finding(
        "loopback",
        place.of(entry),
        f"{printable(entry.instance.address)} reaches only servers on the client's own machine",
        "bind 0.0.0.0, or give the server advertise=, the address by which clients reach it",
        entry.instance.address,
    )


def _duplicates(service: str, entries: list[Entry], place: Place) -> list[Finding]:
    by_address: dict[str, list[Entry]] = collections.defaultdict(list)
    for entry in entries:
        if entry.instance is not None:
            by_address[entry.instance.address].append(entry)
    return [
        Finding(
            "duplicate",
            place.of(older),
            f"{printable(address)} is registered for {printable(service) or 'the same service'} again, "
            f"as {printable(youngest.name)}",
            "what is left of an earlier life goes when its session ends; if it stays, delete it",
            address,
        )
        for address, same in by_address.items()
        if len(same) > 1
        for *others, youngest in [sorted(same, key=_started)]
        for older in others
    ]


def _interfaces(service: str, entries: list[Entry], place: Place) -> list[Finding]:
    servers: dict[str, list[str]] = collections.defaultdict(list)
    for entry in entries:
        if entry.instance is not None and entry.instance.fingerprint:
            servers[entry.instance.fingerprint].append(entry.instance.address)
    if len(servers) < 2:
        return []
    shown = "; ".join(
        f"{printable(print_[:8])} at {printable(at[0])}{f' and {len(at) - 1} more' if len(at) > 1 else ''}"
        for print_, at in sorted(servers.items(), key=lambda item: -len(item[1]))
    )
    return [
        Finding(
            "interfaces",
            printable(place.path(service)),
            f"its servers have {len(servers)} versions of the interface: {shown}",
            "none is needed during an upgrade; afterwards, start the old ones anew",
        )
    ]


def is_wildcard(instance: Instance) -> bool:
    """Says whether it announces what can be listened at only."""
    return _is(instance.host, "is_unspecified")


_OF_QUEUES = {"master", "workers", "tasks", "assign"}


def _foreign(name: str) -> Finding:
    if name.rpartition("/")[2] in _OF_QUEUES:
        return Finding(
            "queue",
            printable(name),
            "tasks are queued where servers register; programs that know the original layout expect servers alone",
            "where such programs read it, give the queue a root of its own: the path of its URL",
        )
    return Finding(
        "foreign",
        printable(name),
        "it is no server's entry, and stands where other programs expect nothing else",
        "move it, or give the servers a root of their own: the path of the registry's URL",
    )


_OF_ENTRIES = (_unreadable, _ghost, _oversized, _wildcard, _loopback)
_OF_SERVICES = (_duplicates, _interfaces)


# Servers


class Outcome(typing.NamedTuple):
    """How a server answered.

    Args:
        kind: A kind of ``KINDS``, or ``""``: as it should.
        problem: What it, or the system, said.
    """

    kind: str
    problem: str = ""


_SERVERS = {
    "unreachable": (
        "it is registered, but cannot be reached: {problem}",
        "start the server, or open the way to it; if it died just now, its entry goes when its time is up",
    ),
    "silent": (
        "it takes connections, but does not answer: {problem}",
        "it may be stopped or overloaded: look at the process, and start it anew",
    ),
    "unhealthy": (
        "it answers, but takes no calls: {problem}",
        "if it is not shutting down just now, look into its log",
    ),
    "stranger": (
        "what listens there is not the server that is registered: {problem}",
        "another program may have taken its port; start the server at another one",
    ),
    "untried": ("it was not tried: {problem}", "run it again with more time: --timeout"),
}
"""Kind of outcome → what it means, and the fix."""


def judge(entry: Entry, outcome: Outcome, place: Place) -> Finding | None:
    """Gives what the answer of an entry's server shows; None if all is well."""
    if not outcome.kind:
        return None
    problem, help = _SERVERS[outcome.kind]
    said = printable(outcome.problem.removeprefix("cannot connect: "), 300)
    address = _address(entry)
    return Finding(
        outcome.kind, place.of(entry), f"{printable(address)}: {problem.format(problem=said)}", help, address
    )


def is_local(url: str) -> bool:
    """Says whether every host of a registry's URL is this machine, by loopback. A list's own servers may be."""
    if url.startswith("static://"):
        return True
    hosts = url.partition("://")[2].partition("/")[0].partition("?")[0].rpartition("@")[2].split(",")
    return all(_is(_host(host), "is_loopback") for host in hosts)


def _host(text: str) -> str:
    """Takes the port off ``host:port``, ``[::1]:port`` or a host alone."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0]


def _is(host: str, what: str) -> bool:
    if host == "localhost":
        return what == "is_loopback"
    try:
        found: bool = getattr(ipaddress.ip_address(host), what)
    except ValueError:
        return host in ("*", "") and what == "is_unspecified"
    return found


def _address(entry: Entry) -> str:
    return entry.instance.address if entry.instance is not None else ""


def _started(entry: Entry) -> float:
    return entry.instance.started if entry.instance is not None else 0.0


def counted(count: int, one: str, many: str) -> str:
    """Gives ``1 entry`` or ``2 entries``."""
    return f"{count} {one if count == 1 else many}"
