"""The registry as programs use it: nothing is connected, and no thread started, before it is needed.

What is to be kept and watched is a keeper's, one in each process; a child of fork makes its own.
"""

from __future__ import annotations

import os
import threading
import time
import weakref

import msgspec

from rpcgen.runtime.address import Address
from rpcgen.runtime.discovery.embedded.keeper import MAX_ANSWER, Keeper
from rpcgen.runtime.discovery.embedded.protocol import (
    ALL,
    DEFAULT_PORT,
    LONGEST,
    MAX_NAME,
    SHORTEST,
    Item,
    Lines,
    read_answer,
    request,
)
from rpcgen.runtime.discovery.embedded.session import STANDS, Enrolment, Stand
from rpcgen.runtime.errors import CallError, Unavailable
from rpcgen.runtime.registry import Changed, Contents, Entry, Instance, Registration, Registry, Watch
from rpcgen.runtime.sync.client.dial import dial

TOKEN_VARIABLE = "RPCGEN_REGISTRY_TOKEN"
"""The environment's variable with the registry's token, for its server and its clients."""
_OURS: weakref.WeakSet[EmbeddedRegistry] = weakref.WeakSet()


class EmbeddedRegistry(Registry):
    """The registry that ``rpcgen registry`` runs, at ``registry://[token@]host:port[/ROOT]``.

    Entries are renewed at a third of their timeout. While the registry is away the thread tries
    again, with delays that grow to 10 seconds; then it registers and watches everything anew.

    Args:
        host: A name or an address.
        port: 1 to 65535.
        root: What stands before the keys of services; ``""``: nothing.
        timeout: Seconds after which an entry goes whose process is gone; 1 to 86,400.
        token: The registry's own; None: what RPCGEN_REGISTRY_TOKEN says, or none.

    Raises:
        ValueError: One of these is out of its range.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        *,
        root: str = "",
        timeout: float = 10.0,
        token: str | None = None,
    ) -> None:
        self._address = Address.of(host, port)
        if self._address.path or not host or not port:
            raise ValueError(f"{self._address} is no place of a registry: one is a host and a port above 0")
        if (
            isinstance(timeout, bool)
            or not isinstance(timeout, int | float)
            or not SHORTEST <= timeout <= LONGEST
        ):
            raise ValueError(f"timeout is {SHORTEST:g} to {LONGEST:,.0f} seconds, not {timeout!r}")
        self._timeout = float(timeout)
        self._token = token or os.environ.get(TOKEN_VARIABLE) or None
        self._root = root.strip("/")
        self.url = f"registry{str(self._address).removeprefix('tcp')}" + (
            f"/{self._root}" if self._root else ""
        )
        self._closed = False
        self._begin_anew()
        _OURS.add(self)

    def _begin_anew(self) -> None:
        """Leaves what there was to the process that made it."""
        self._lock = threading.Lock()
        self._keeper: Keeper | None = None

    def leave_to_parent(self) -> None:
        """In a forked child: closes its copies of the parent's descriptors, and forgets the rest."""
        keeper = self._keeper
        self._begin_anew()
        if keeper is not None:
            keeper.release()

    def path(self, service: str) -> str:
        """Gives the key that a service's entries stand under."""
        if not service:
            return self._root or "rpc"
        return f"{self._root}/{service}" if self._root else service

    def register(self, service: str, instance: Instance) -> Registration:
        key = self._key(service)
        id, token = os.urandom(16).hex(), os.urandom(16).hex()
        enrolment = Enrolment(key, id, token, self._timeout, msgspec.Raw(instance.encode()))
        try:
            request(
                type="register",
                auth=self._token,
                values=enrolment.values,
                key=key,
                id=id,
                token=token,
                timeout=1e6,
            )
        except ValueError as error:
            raise ValueError(f"the entry of {instance.address} for {key!r} is too large: {error}") from None
        keeper = self._running()
        keeper.register(enrolment)
        return _Kept(keeper, enrolment)

    def watch(self, service: str, on_change: Changed | None = None) -> Watch:
        key = self._key(service)
        return self._running().watch(key, on_change)

    def _key(self, service: str) -> str:
        key = self.path(service)
        if key == ALL or (service and key == self.path("")) or len(key) > MAX_NAME:
            raise ValueError(
                f"{key!r} cannot be the key of a service in {self.url}: "
                + (
                    f"it is longer than {MAX_NAME} characters"
                    if len(key) > MAX_NAME
                    else "give the URL a root"
                )
            )
        return key

    def _running(self) -> Keeper:
        with self._lock:
            if self._closed:
                raise RuntimeError(f"the registry {self.url} is closed: open another")
            if self._keeper is None:
                self._keeper = Keeper(self._address, self.url, self._timeout, self._token)
            return self._keeper

    def contents(self, timeout: float = 10.0) -> Contents:
        end = time.monotonic() + timeout
        try:
            answer = _ask(self._address, end, type="query", prefix=self._root, auth=self._token)
        except (CallError, OSError, ValueError) as error:
            problem = error.problem if isinstance(error, CallError) else str(error) or type(error).__name__
            raise Unavailable(f"cannot read the registry {self.url}: {problem}") from error
        own = self.path("")
        found = []
        for key, items in answer.items():
            if not self._root or key == own or key.startswith(f"{self._root}/"):
                service = "" if key == own else key.removeprefix(f"{self._root}/") if self._root else key
                found += [_entry(service, item) for item in items]
        return Contents(tuple(found))

    def close(self) -> None:
        with self._lock:
            self._closed = True
            keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.close()


def _ask(address: Address, end: float, **members: object) -> dict[str, list[Item]]:
    """Asks for a list on a connection of its own.

    Raises:
        CallError, OSError, ValueError: There is none; the text says why.
    """
    lines = Lines(MAX_ANSWER)
    with dial(address, end) as sock:
        sock.settimeout(max(end - time.monotonic(), 0.001))
        sock.sendall(request(**members))
        while (line := lines.next()) is None:
            sock.settimeout(max(end - time.monotonic(), 0.001))
            try:
                data = sock.recv(1 << 18)
            except TimeoutError:
                raise TimeoutError("it did not answer in time") from None
            if not data:
                raise ConnectionResetError("it closed the connection")
            lines.feed(data)
    answer = read_answer(line)
    if not answer.ok:
        raise ValueError(answer.error)
    return answer.services or {}


def _entry(service: str, item: Item) -> Entry:
    data = bytes(item.values)
    owner = item.id or "a client that gave no id"
    try:
        instance = Instance.decode(data)
    except ValueError as error:
        return Entry(service, item.id, data, None, str(error), owner, item.expires)
    return Entry(service, item.id, data, instance, "", owner, item.expires)


class _Kept(Registration):
    def __init__(self, keeper: Keeper, enrolment: Enrolment) -> None:
        self._keeper = keeper
        self._enrolment = enrolment

    @property
    def is_registered(self) -> bool:
        return self._keeper.is_ours and self._enrolment.stand in STANDS

    def wait(self, timeout: float | None) -> bool:
        if not self._keeper.is_ours:
            return False
        enrolment = self._enrolment
        with self._keeper.changed:
            self._keeper.changed.wait_for(lambda: enrolment.stand in (*STANDS, Stand.GONE), timeout)
            return enrolment.stand in STANDS

    def close(self, timeout: float = 2.0) -> bool:
        if self._keeper.is_ours and self._enrolment.stand is not Stand.GONE:
            self._keeper.withdraw([self._enrolment], timeout)
        return self._enrolment.is_confirmed


def _leave_to_parent() -> None:
    for registry in list(_OURS):
        registry.leave_to_parent()


os.register_at_fork(after_in_child=_leave_to_parent)
