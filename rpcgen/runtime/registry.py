"""The interface of registries: who serves what, where; and the way from a URL to one.

    server ── register(service, instance) ──▶ registry ── watch(service, on_change) ──▶ client

A registry answers from what it knows and never blocks for the network: a registration is
kept alive by the registry's own thread until it is closed, a watch publishes each list that
comes. Implementations are loaded by the scheme of their URL, so that a program pays for the
one that it uses.
"""

from __future__ import annotations

import abc
import collections.abc
import importlib
import logging
import os
import threading
import time
import typing

import msgspec

from rpcgen.runtime.closing import Closing

_log = logging.getLogger("rpcgen")

DEFAULT_URL = "zk://127.0.0.1:2181/rpc"
"""Where a client looks if neither code nor the environment says."""

ENVIRONMENT = "RPCGEN_REGISTRY"
"""The environment's variable that names the registry of servers and clients."""

_HOMES = {
    "zk": "rpcgen.runtime.discovery.zookeeper",
    "registry": "rpcgen.runtime.discovery.embedded",
    "static": "rpcgen.runtime.discovery.static",
}
"""Scheme → the module whose function ``open_url(url, options)`` gives the registry."""


class Instance(msgspec.Struct, frozen=True, omit_defaults=True):
    """A server as it announces itself. As JSON, host and port alone make a whole entry.

    Args:
        host: Where clients reach it: a name, an address, or ``unix:///path``.
        port: 1 to 65535; 0 with ``unix:///path``.
        protocols: What it speaks; without ``framed`` it is spoken to in plain.
        weight: Its share of the calls, against the others'; 0 gives it none while others can serve.
        zone: Where it stands, for clients that prefer their own.
        version: Of the program, as its operators count.
        fingerprint: Of the interface that it serves.
        methods: Wire name → the tags of its parameters; None where it does not say.
        pid: Its process.
        started: Seconds since 1970.
        metadata: Anything else.
    """

    host: str
    port: int
    protocols: tuple[str, ...] = ("plain",)
    weight: float = 1.0
    zone: str = ""
    version: str = ""
    fingerprint: str = ""
    methods: dict[str, tuple[int, ...]] | None = None
    pid: int = 0
    started: float = 0.0
    metadata: dict[str, str] = {}

    @property
    def address(self) -> str:
        """``tcp://host:port`` or ``unix:///path``; two entries with one address are one server."""
        if self.host.startswith("unix://"):
            return self.host
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp://{host}:{self.port}"

    def encode(self) -> bytes:
        """Gives the entry's JSON; host and port are always in it."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, data: bytes) -> Instance:
        """Reads an entry's JSON.

        Raises:
            ValueError: It is not JSON, a port is no port, or a member has another type.
        """
        instance = _decode(data)
        is_unix = instance.host.startswith("unix:///")
        if not instance.host or instance.host.isspace():
            raise ValueError("the host is empty")
        if is_unix != (instance.port == 0) or not 0 <= instance.port <= 65535:
            raise ValueError(f"{instance.port} is no port: one is a number from 1 to 65535")
        if not 0 <= instance.weight < float("inf"):
            raise ValueError(f"{instance.weight} is no weight: one is a number from 0 up")
        return instance


_decode = msgspec.json.Decoder(Instance).decode


class Snapshot(msgspec.Struct, frozen=True):
    """Who serves, as a registry last said.

    Args:
        instances: In the order of the registry; not two of one address.
        live: The registry can be reached, and says so now. False: its last list, kept.
        problem: Why it is not live.
        at: When the registry said so, on the clock of ``time.monotonic``; 0: never.
    """

    instances: tuple[Instance, ...] = ()
    live: bool = False
    problem: str = ""
    at: float = 0.0


class Entry(msgspec.Struct, frozen=True):
    """One entry of a registry as it stands there, for tools.

    Args:
        service: Its service; ``""`` for a file's own.
        name: Its node, id or address.
        data: What is stored.
        instance: What that says; None if it says nothing that can be read.
        problem: Why it cannot be read.
        owner: Who keeps it alive (a session, a token); ``""``: nobody does.
        expires: Seconds until it goes away unless it is renewed; None: not known.
    """

    service: str
    name: str
    data: bytes
    instance: Instance | None
    problem: str = ""
    owner: str = ""
    expires: float | None = None


class Contents(msgspec.Struct, frozen=True):
    """All that stands in a registry.

    Args:
        entries: Of every service.
        foreign: What is not an entry of ours, where entries stand, by its full name.
    """

    entries: tuple[Entry, ...]
    foreign: tuple[str, ...] = ()


Changed: typing.TypeAlias = "collections.abc.Callable[[Snapshot], None]"
"""Told of each new snapshot, one after the other, on a thread of the registry's: it must not wait."""


class Watch:
    """The list of a service, kept up to date until it is closed. Registries publish to it.

    Args:
        on_change: See ``Changed``; what it raises is logged.
        on_close: Ends what feeds the watch; called once.
    """

    def __init__(self, on_change: Changed | None, on_close: collections.abc.Callable[[], None]) -> None:
        self._on_change = on_change
        self._on_close = on_close
        # What is called may close the watch.
        self._lock = threading.RLock()
        self._first = threading.Event()
        self._closed = False
        self._snapshot = Snapshot()

    @property
    def snapshot(self) -> Snapshot:
        """What is known now; before the first list, an empty one that is not live."""
        return self._snapshot

    def wait(self, timeout: float | None) -> bool:
        """Waits for the first list that the registry gives; says whether it has come.

        Args:
            timeout: Seconds; None waits for ever.
        """
        return self._first.wait(timeout)

    def publish(self, snapshot: Snapshot) -> None:
        """Makes the snapshot the one that is known, and tells of it. For registries."""
        with self._lock:
            if self._closed or snapshot == self._snapshot:
                return
            self._snapshot = snapshot
            if snapshot.at:
                self._first.set()
            if self._on_change is not None:
                try:
                    self._on_change(snapshot)
                except Exception:
                    _log.exception("the watcher of a registry failed")

    def found(self, instances: collections.abc.Iterable[Instance]) -> None:
        """Publishes a list that came just now: of entries with one address the youngest stays."""
        by_address: dict[str, Instance] = {}
        for instance in instances:
            known = by_address.get(instance.address)
            if known is None or instance.started >= known.started:
                by_address[instance.address] = instance
        self.publish(Snapshot(tuple(by_address.values()), live=True, at=time.monotonic()))

    def lost(self, problem: str) -> None:
        """Publishes that the registry is away; the last list stays."""
        self.publish(Snapshot(self._snapshot.instances, live=False, problem=problem, at=self._snapshot.at))

    def close(self) -> None:
        """Ends the watch: it is told of nothing any more. Again is harmless."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._on_close()


class Registration(abc.ABC):
    """A server's entry. The registry keeps it there, through expiry, restarts and deletions, until closed."""

    @property
    @abc.abstractmethod
    def is_registered(self) -> bool:
        """Whether the entry stands in the registry, as far as is known now."""

    @abc.abstractmethod
    def wait(self, timeout: float | None) -> bool:
        """Waits until it is registered, for at most so many seconds (None: for ever); says whether it is."""

    @abc.abstractmethod
    def close(self, timeout: float = 2.0) -> bool:
        """Withdraws the entry; it is not registered again. Again is harmless.

        Args:
            timeout: Seconds to wait for the registry's word.

        Returns:
            Whether the registry confirmed it. If not, the entry goes when it expires.
        """


class Registry(Closing, abc.ABC):
    """Where servers register and clients find them. Thread-safe; nothing is connected before its first use.

    After a fork the child's first use makes connections of its own; registrations and
    watches stay the parent's.
    """

    url: str
    """Without secrets, for messages."""

    @abc.abstractmethod
    def path(self, service: str) -> str:
        """Gives where the entries of a service stand in it, for messages."""

    @abc.abstractmethod
    def register(self, service: str, instance: Instance) -> Registration:
        """Registers, in the background: ``Registration.wait`` tells when it has come to pass.

        Args:
            service: The name in the IDL; ``""`` for a file's own service.
            instance: What clients are told.

        Raises:
            ValueError: The entry is too large, or the service's name is not possible there.
            RuntimeError: The registry is closed.
        """

    @abc.abstractmethod
    def watch(self, service: str, on_change: Changed | None = None) -> Watch:
        """Follows the list of a service, in the background: ``Watch.wait`` tells when the first has come.

        Raises:
            RuntimeError: The registry is closed.
        """

    @abc.abstractmethod
    def contents(self, timeout: float = 10.0) -> Contents:
        """Reads all that stands there now, for tools.

        Args:
            timeout: Seconds.

        Raises:
            Unavailable: It cannot be reached, or does not let us in; the message says which.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Withdraws every registration, ends every watch, thread and connection. Again is harmless."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url}>"


def open_registry(url: str | None = None, **options: typing.Any) -> Registry:
    """Gives the registry at a URL. Nothing is connected until it is used.

    Args:
        url: ``zk://host:port,…/root``, ``registry://host:port`` or ``static://host:port,…``;
            each may have ``?option=value&…``. None: what ``RPCGEN_REGISTRY`` says, else
            ``zk://127.0.0.1:2181/rpc``.
        **options: The same options as in the URL, and those that a URL cannot hold; the
            scheme's own class says which.

    Raises:
        ValueError: The URL is none of these, or an option is unknown or out of its range.
        ImportError: The scheme needs a package that is not installed; the message says which.
    """
    if url is None:
        url = os.environ.get(ENVIRONMENT) or DEFAULT_URL
    scheme, separator, _ = url.partition("://")
    home = _HOMES.get(scheme)
    if home is None or not separator:
        raise ValueError(
            f"{url!r} is no registry: one is zk://host:port/root, registry://host:port "
            "or static://host:port,host:port"
        )
    registry: Registry = importlib.import_module(home).open_url(url, options)
    return registry
