"""A server's entries in a registry: one a service, from when it listens until it withdraws.

    NEW ──announce──▶ ANNOUNCED ──asked to──▶ WITHDRAWING ──two seconds at most──▶ WITHDRAWN

The registry keeps the entries; a thread here says in the log how they fare and withdraws
them when it is asked to, so that a signal handler or an event loop can ask without waiting.
"""

from __future__ import annotations

import collections.abc
import enum
import logging
import math
import os
import queue
import threading
import time
import typing

from rpcgen.runtime.advertise import advertised, reachable
from rpcgen.runtime.contracts import fingerprint_of

if typing.TYPE_CHECKING:
    from rpcgen.runtime.address import Address
    from rpcgen.runtime.registry import Instance, Registration, Registry
    from rpcgen.runtime.stubs import ServerStub

_log = logging.getLogger("rpcgen")

WITHDRAWAL = 2.0
"""Seconds that a registry has to confirm that the entries are gone."""

PATIENCE = 5.0
"""Seconds after which a registration that has not come about is worth a warning."""

LARGEST = 64 * 1024
"""Bytes of an entry beyond which it does not list its methods."""

_LOOK = 0.5
"""Seconds between two looks at whether the entries stand."""


class AnnounceOptions(typing.TypedDict, total=False):
    """The options of every server that say where it registers and as what."""

    registry: Registry | str | None
    advertise: str | None
    weight: float
    zone: str
    version: str
    metadata: collections.abc.Mapping[str, str] | None


class _State(enum.Enum):
    NEW = enum.auto()
    ANNOUNCED = enum.auto()
    WITHDRAWING = enum.auto()
    WITHDRAWN = enum.auto()


class Announcement:
    """What one server announces. Nothing is connected or started before ``announce``.

    Args:
        stubs: What is served; those of one service share an entry.
        registry: Where.
        owned: The registry is closed after withdrawing.
        advertise: Where clients reach the server, if not where it listens.
        protocols: What it speaks.
        weight, zone, version, metadata: See ``Instance``.

    Raises:
        TypeError, ValueError: An option has another type or is out of its range.
    """

    def __init__(
        self,
        stubs: collections.abc.Sequence[ServerStub],
        registry: Registry,
        *,
        owned: bool = False,
        advertise: str | None = None,
        protocols: tuple[str, ...] = ("framed", "plain"),
        weight: float = 1.0,
        zone: str = "",
        version: str = "",
        metadata: collections.abc.Mapping[str, str] | None = None,
    ) -> None:
        self.registry = registry
        self._owned = owned
        self._advertised = None if advertise is None else advertised(advertise)
        self._protocols = protocols
        self._weight = _checked_weight(weight)
        self._zone = _checked_text("zone", zone)
        self._version = _checked_text("version", version)
        self._metadata = {
            _checked_text("metadata", key): _checked_text(f"metadata {key!r}", value)
            for key, value in (metadata or {}).items()
        }
        self._services = _by_service(stubs)
        self._state = _State.NEW
        self._process = 0
        self._line = self._as = ""
        self._lock = threading.Lock()
        self._entries: dict[str, Registration] = {}
        self._missing: set[str] | None = None
        """Services that did not stand there at the last look; None until all have stood once."""
        self._warn_at = 0.0
        self._thread: threading.Thread | None = None
        # A signal handler may put into a SimpleQueue, whatever the thread it interrupts is at.
        self._asked: queue.SimpleQueue[collections.abc.Callable[[], None]] = queue.SimpleQueue()
        self._confirmed = True

    def announce(self, bound: Address, intro: str, name: str = "rpcgen") -> Address:
        """Registers every service, in the background.

        Args:
            bound: Where the server listens by now.
            intro: What the log says before ``, registered as … in …``.
            name: Of the server's threads.

        Returns:
            The address that clients are told.

        Raises:
            ValueError: There is no address to tell, or the registry cannot take the entries.
            RuntimeError: The registry is closed.
        """
        address = reachable(bound, self._advertised, self.registry.url)
        self._process = os.getpid()
        self._warn_at = time.monotonic() + PATIENCE
        try:
            for service, stubs in self._services.items():
                instance = self._instance(address, stubs)
                self._entries[service] = self.registry.register(service, instance)
            self._line = f"{intro}, registered as {address} in {self._places()}"
            self._as = f"as {address} in {self.registry.url}"
            self._thread = threading.Thread(target=self._keep, name=f"{name}-registered", daemon=True)
            self._state = _State.ANNOUNCED
            self._thread.start()
        except BaseException:
            self._thread = None
            self._withdraw()
            raise
        return address

    def _instance(self, address: Address, stubs: collections.abc.Sequence[ServerStub]) -> Instance:
        from rpcgen.runtime.registry import Instance

        def instance(methods: dict[str, tuple[int, ...]] | None) -> Instance:
            return Instance(
                str(address) if address.path else address.host,
                address.port,
                protocols=self._protocols,
                weight=self._weight,
                zone=self._zone,
                version=self._version,
                fingerprint=fingerprint_of(stubs),
                methods=methods,
                pid=os.getpid(),
                started=time.time(),
                metadata=self._metadata,
            )

        whole = instance(_methods(stubs))
        return whole if len(whole.encode()) <= LARGEST else instance(None)

    def _places(self) -> str:
        """Where the entries stand: the registry, and the services that have names."""
        return self.registry.url + _of(set(self._services))

    def wait(self, timeout: float) -> bool:
        """Waits until every entry stands; says, and logs, whether they do.

        Args:
            timeout: Seconds.
        """
        end = time.monotonic() + timeout
        for registration in self._entries.values():
            if not registration.wait(max(0.0, end - time.monotonic())):
                break
        return self._look()

    def ask_to_withdraw(self, then: collections.abc.Callable[[], None]) -> None:
        """Begins to withdraw; safe in a signal handler.

        Args:
            then: Called once the entries are gone, or after two seconds; it must not wait or raise.
        """
        self._asked.put(then)
        # Whoever asks too late for the thread to see it is answered here.
        if self._state in (_State.NEW, _State.WITHDRAWN) or self._process != os.getpid():
            self._answer()

    def withdraw(self) -> bool:
        """Withdraws every entry, in at most two seconds; says whether the registry confirmed it."""
        gone = threading.Event()
        self.ask_to_withdraw(gone.set)
        gone.wait(WITHDRAWAL + 1)
        return self._confirmed

    def close(self) -> None:
        """Withdraws, and closes the registry if it is the server's. Again is harmless.

        A registry that does not answer costs two seconds; its thread goes on closing it.
        """
        end = time.monotonic() + WITHDRAWAL
        self.withdraw()
        thread = self._thread
        if self._process not in (0, os.getpid()):
            return  # the entries are those of the process that this one was forked from
        if thread is None:
            if self._owned:
                self.registry.close()
        elif thread is not threading.current_thread():
            thread.join(max(0.1, end - time.monotonic()))

    def _keep(self) -> None:
        """Looks after the entries until it is asked to withdraw them."""
        pause = 0.02
        while True:
            try:
                first = self._asked.get(timeout=pause)
                break
            except queue.Empty:
                pause = min(_LOOK, pause * 2)
                self._look()
        try:
            self._withdraw()
        finally:
            first()
            self._answer()
        if self._owned:
            try:
                self.registry.close()
            except Exception:
                _log.exception("closing %s failed", self.registry.url)

    def _answer(self) -> None:
        """Calls those who asked and have not been called."""
        while True:
            try:
                then = self._asked.get_nowait()
            except queue.Empty:
                return
            then()

    def _look(self) -> bool:
        """Says whether every entry stands, and logs it where that has changed."""
        with self._lock:
            if self._state is not _State.ANNOUNCED:
                return False
            missing = {name for name, entry in self._entries.items() if not entry.is_registered}
            before = self._missing
            if before is not None or not missing:
                self._missing = missing
            is_late = before is None and bool(missing) and time.monotonic() >= self._warn_at
            if is_late:
                self._warn_at = math.inf
        if before is None:
            if not missing:
                _log.info("%s", self._line)
            elif is_late:
                _log.warning(
                    "not registered yet %s: clients that look there do not find the server; it goes on trying",
                    self._as,
                )
            return not missing
        if lost := missing - before:
            _log.warning("no longer registered %s%s; it goes on trying", self._as, _of(lost))
        if again := before - missing:
            _log.info("registered again %s%s", self._as, _of(again))
        return not missing

    def _withdraw(self) -> None:
        """Closes every registration at once: the time for it is the same for one and for many."""
        with self._lock:
            self._state = _State.WITHDRAWING
        end = time.monotonic() + WITHDRAWAL
        confirmed: list[str] = []

        def close(service: str, registration: Registration) -> None:
            try:
                if registration.close(WITHDRAWAL):
                    confirmed.append(service)
            except Exception:
                _log.exception("withdrawing failed %s", self._as)

        threads: list[threading.Thread] = []
        for entry in self._entries.items():
            thread = threading.Thread(target=close, args=entry, name="rpcgen-withdraw", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # there is no room for another thread
                close(*entry)
            else:
                threads.append(thread)
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        self._confirmed = len(confirmed) == len(self._entries)
        if not self._confirmed:
            _log.warning("could not withdraw what is registered %s: it goes when it expires", self._as)
        self._state = _State.WITHDRAWN


def announcement(
    stubs: collections.abc.Sequence[ServerStub],
    registry: Registry | str | None = None,
    **options: typing.Any,
) -> Announcement | None:
    """Gives what a server announces; None if it registers nowhere.

    Args:
        stubs: What is served.
        registry: A registry, or its URL; ``""``: nowhere; None: what ``RPCGEN_REGISTRY`` says,
            nowhere without it.
        **options: The others of ``AnnounceOptions``, and ``protocols``.

    Raises:
        TypeError, ValueError: The URL or an option is wrong. The message says where the URL
            came from.
        ImportError: The URL needs a package that is not installed.
    """
    source = "registry="
    if registry is None:
        source, registry = "RPCGEN_REGISTRY", os.environ.get("RPCGEN_REGISTRY", "")
    if registry == "":
        return None
    from rpcgen.runtime.registry import Registry, open_registry

    if isinstance(registry, str):
        try:
            opened = open_registry(registry)
        except ValueError as error:
            raise ValueError(f"{source}: {error}") from error
        except ImportError as error:
            raise ImportError(f"{source}: {error}") from error
    elif isinstance(registry, Registry):
        opened = registry
    else:
        raise TypeError(f"{source} takes a Registry, its URL or None, not {registry!r}")
    if opened.url.startswith("static://"):
        raise ValueError(
            f"{source}: {opened.url} is a list that clients are given, where no server can register: "
            'use zk:// or registry://, or registry="" to register nowhere'
        )
    return Announcement(stubs, opened, owned=opened is not registry, **options)


def _by_service(stubs: collections.abc.Sequence[ServerStub]) -> dict[str, list[ServerStub]]:
    found: dict[str, list[ServerStub]] = {}
    for stub in stubs:
        if stub.protocols:  # a service without methods has nothing to be found for
            found.setdefault(stub.service, []).append(stub)
    return found


def _methods(stubs: collections.abc.Sequence[ServerStub]) -> dict[str, tuple[int, ...]]:
    return {
        protocol.name: tuple(param.tag for param in protocol.params)
        for stub in stubs
        for protocol in stub.protocols
    }


def _of(services: set[str]) -> str:
    names = sorted(filter(None, services))
    return f" ({', '.join(names)})" if names else ""


def _checked_weight(weight: float) -> float:
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        raise TypeError(f"weight is a number, not {weight!r}")
    if not 0 <= weight < math.inf:
        raise ValueError(f"weight is a number from 0 up, not {weight!r}")
    return float(weight)


def _checked_text(name: str, text: str) -> str:
    if not isinstance(text, str):
        raise TypeError(f"{name} is a text, not {text!r}")
    return text
