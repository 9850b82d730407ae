"""A session with ZooKeeper, as one thread works with it: the seam to kazoo.

kazoo's threads only note what happened and wake that thread. No answer is waited for longer
than the connection lasts, and closing ends every wait. What is sent while the connection
breaks may still be carried out: callers look before they do anything again.
"""

from __future__ import annotations

import collections
import contextlib
import enum
import functools
import itertools
import logging
import threading
import time
import typing

import msgspec

from rpcgen.runtime.discovery.zookeeper.asked import Commit, Exists, Get, Node
from rpcgen.runtime.discovery.zookeeper.client import Handler, KazooLog, KazooState, make, zk
from rpcgen.runtime.discovery.zookeeper.kazoo_requests import outcome, send
from rpcgen.runtime.discovery.zookeeper.probe import Answer, probe
from rpcgen.runtime.records import Record

if typing.TYPE_CHECKING:
    import collections.abc
    import ssl

    from rpcgen.runtime.discovery.zookeeper.asked import Ask
    from rpcgen.runtime.discovery.zookeeper.settings import Settings

_log = logging.getLogger("rpcgen")

GRACE = 1.0
"""Seconds that ZooKeeper has to confirm the end of a session."""

WINDOW = 128
"""Requests under way at once. kazoo notes each by a byte in a pair of sockets that holds
some 270, and would block while nobody reads it."""

_SLICE = 0.1
"""Seconds after which a waiting thread looks whether there is anything to wait for."""


class Away(Exception):
    """There is no connection, or it broke: whether what was asked was done is unknown."""


class Refused(Exception):
    """ZooKeeper answered that it will not do it; the message says what and why."""


class State(enum.Enum):
    """Of the session, as far as this process knows."""

    IDLE = enum.auto()
    CONNECTING = enum.auto()
    CONNECTED = enum.auto()
    SUSPENDED = enum.auto()
    EXPIRED = enum.auto()


_MOVES = {
    (State.CONNECTING, KazooState.CONNECTED): State.CONNECTED,
    (State.CONNECTED, KazooState.SUSPENDED): State.SUSPENDED,
    (State.CONNECTED, KazooState.LOST): State.EXPIRED,
    (State.SUSPENDED, KazooState.CONNECTED): State.CONNECTED,
    (State.SUSPENDED, KazooState.LOST): State.EXPIRED,
    (State.EXPIRED, KazooState.CONNECTED): State.CONNECTED,
}
"""State, and what kazoo says → the next state; anything else changes nothing."""


class Stat(msgspec.Struct, frozen=True):
    """What a node is.

    Args:
        owner: The session that it lives with; 0 if it stays.
        born: What tells it from an earlier node of its path.
        children: What tells its list of children from an earlier one.
        created: Seconds since 1970.
        modified: The same, of its data.
        version: Of its data: how often it was set.
        count: How many children it has.
    """

    owner: int
    born: tuple[int, int]
    children: int
    created: float
    modified: float = 0.0
    version: int = 0
    count: int = 0

    @classmethod
    def of(cls, stat: typing.Any) -> Stat:
        return cls(
            stat.ephemeralOwner,
            (stat.czxid, stat.ctime),
            stat.pzxid,
            stat.ctime / 1000,
            stat.mtime / 1000,
            stat.version,
            stat.numChildren,
        )


class Child(Record):
    """A node that was read.

    Args:
        name: Without its parent's path.
        data: What it holds.
        stat: What it is; None where it may not be read.
    """

    name: str
    data: bytes
    stat: Stat | None


class Session:
    """A client of ZooKeeper that is replaced where kazoo's would never connect again.

    All but ``wake``'s caller is one thread; ``close`` and ``state`` are anybody's.

    Args:
        settings: What to connect to.
        context: For TLS.
        wake: Called from kazoo's threads after each change of ``state``; must not wait.
    """

    def __init__(
        self, settings: Settings, context: ssl.SSLContext | None, wake: collections.abc.Callable[[], None]
    ) -> None:
        self._settings = settings
        self._context = context
        self._wake = wake
        self._lock = threading.Lock()
        self._client: typing.Any = None
        self._handler: Handler | None = None
        self._log = KazooLog()
        self._is_closing = threading.Event()
        self._seen = time.monotonic()
        self.opened = 0.0
        """When this client was made, on the monotonic clock."""
        self.state = State.IDLE
        self.connections = 0
        """How often it was connected: watches of an earlier connection are void."""

    @property
    def timeout(self) -> float:
        """Seconds of a session: as granted, before that as asked for."""
        return self._log.granted or self._settings.timeout

    @property
    def id(self) -> int:
        """The session's number.

        Raises:
            Away: There is no connection.
        """
        identity = self.identity
        if identity is None:
            raise Away
        return identity[0]

    @property
    def identity(self) -> tuple[int, bytes] | None:
        """The session's number and password, while there is a connection."""
        client = self._client
        return None if client is None else client.client_id

    def away(self, now: float) -> float:
        """Gives the seconds since there was a connection, or since the session was made."""
        return 0.0 if self.state is State.CONNECTED else now - self._seen

    def open(self) -> None:
        """Begins to connect, for as long as it takes; a client that was there before is ended."""
        self._end()
        handler = Handler(self._context)
        client = make(self._settings, handler, self._log)
        with self._lock:
            self._client, self._handler = client, handler
            self.state = State.CONNECTING
        self.opened = time.monotonic()
        client.add_listener(functools.partial(self._moved, client))
        client.start_async()

    def is_dead(self) -> bool:
        """Whether kazoo has given up, which it does on errors that it does not expect."""
        return self.state is not State.CONNECTED and bool(
            self._client.client_state in ("CLOSED", "AUTH_FAILED")
        )

    def ask_servers(self) -> list[Answer]:
        """Asks the servers, one after the other, why there is no connection."""
        seen = self._client.last_zxid if self._client is not None else 0
        return probe(self._settings.hosts, seen, self._context, self._is_closing.is_set)

    def hang_up(self, age: float) -> bool:
        """Makes kazoo try another connection, if the one that it waits on is so many seconds old.

        A server that is starting accepts connections and never answers on them; kazoo waits
        for as long as a session lasts.
        """
        handler = self._handler
        return handler is not None and self.state is not State.CONNECTED and handler.hang_up(age)

    def interrupt(self) -> None:
        """Ends all waiting: only ``close`` may follow. From any thread."""
        self._is_closing.set()

    def close(self) -> None:
        """Ends the session, and with it every node that it owns; waits a little for the answer."""
        self._end()

    def abandon(self) -> None:
        """In a forked child: the session stays the parent's."""
        if self._handler is not None:
            self._handler.abandon()

    def create(self, path: str, data: bytes) -> str | None:
        """Makes a node that lives with this session, its number after the path.

        Returns:
            Its path; None if there is no parent.
        """
        try:
            return str(self._do("create", path, data, ephemeral=True, sequence=True))
        except zk.NoNodeError:
            return None

    def make(self, path: str) -> None:
        """Makes a node that stays, and those above it, where there are none."""
        for end in [*(at for at, letter in enumerate(path) if letter == "/" and at), len(path)]:
            if self.stat(path[:end]) is None:
                with contextlib.suppress(zk.NodeExistsError):
                    self._do("create", path[:end], b"")

    def delete(self, path: str) -> None:
        """Deletes a node; one that is not there is deleted."""
        with contextlib.suppress(zk.NoNodeError):
            self._do("delete", path)

    def stat(self, path: str, watch: collections.abc.Callable[[object], None] | None = None) -> Stat | None:
        """Says what a node is, None if it is not there. The watch is told of the next change."""
        found = self._do("exists", path, watch)
        return None if found is None else Stat.of(found)

    def children(
        self, path: str, watch: collections.abc.Callable[[object], None] | None = None
    ) -> tuple[list[str], Stat] | None:
        """Gives the names of a node's children, and what it is; None if it is not there."""
        try:
            names, stat = self._do("get_children", path, watch, include_data=True)
        except zk.NoNodeError:
            return None
        return names, Stat.of(stat)

    def read(self, parent: str, names: collections.abc.Iterable[str]) -> collections.abc.Iterator[Child]:
        """Reads children, many at once; gives those that are there, in order."""
        left = iter(names)
        earlier: list[tuple[str, typing.Any]] = []
        while True:
            some = itertools.islice(left, WINDOW // 2)
            asked = [(name, self._ask("get", f"{parent}/{name}")) for name in some]
            yield from self._children(earlier)
            if not asked:
                break
            earlier = asked

    def gather(self, asks: collections.abc.Iterable[Ask]) -> list[typing.Any]:
        """Sends all of this, one after the other, and gives the answers in order.

        Requests are carried out in the order in which they are sent: a read sees the writes before it.

        Raises:
            Away: The connection broke. Whether what was asked was done is unknown.
            Refused: ZooKeeper will not do it; of reads, and of what no operation is to blame for.
        """
        answers: list[typing.Any] = []
        waiting: collections.deque[tuple[Ask, typing.Any]] = collections.deque()
        for ask in asks:
            if len(waiting) == WINDOW:
                self._wait(waiting[WINDOW // 2 - 1][1])
                answers += [self._gathered(*waiting.popleft()) for _ in range(WINDOW // 2)]
            waiting.append((ask, self._send(ask)))
        if waiting:
            # Answers come in order: woken once for all, this thread does not take turns with kazoo's.
            self._wait(waiting[-1][1])
        answers += [self._gathered(*one) for one in waiting]
        return answers

    def _send(self, ask: Ask) -> typing.Any:
        if self.state is not State.CONNECTED:
            raise Away
        return send(self._client, ask)

    def _gathered(self, ask: Ask, result: typing.Any) -> typing.Any:
        try:
            found = self._answer(result)
        except zk.NoNodeError:
            return None
        except zk.NoAuthError:
            if isinstance(ask, Get):
                return Node(b"", None)
            raise Refused(f"not allowed to read {ask[0]}") from None
        if isinstance(ask, Commit):
            return outcome(found)
        if isinstance(ask, Get):
            return Node(found[0], Stat.of(found[1]))
        return Stat.of(found) if isinstance(ask, Exists) and found is not None else found

    def _children(self, asked: list[tuple[str, typing.Any]]) -> collections.abc.Iterator[Child]:
        # As in gather: woken once for all.
        for _, result in asked[-1:]:
            self._wait(result)
        for name, result in asked:
            try:
                data, stat = self._answer(result)
                yield Child(name, data, Stat.of(stat))
            except zk.NoNodeError:
                pass
            except zk.NoAuthError:
                yield Child(name, b"", None)

    def _do(self, operation: str, path: str, *arguments: object, **options: object) -> typing.Any:
        try:
            return self._answer(self._ask(operation, path, *arguments, **options))
        except zk.NoAuthError:
            who = (
                f"as user {self._settings.user} with this password"
                if self._settings.user
                else "without a user"
            )
            raise Refused(f"not allowed to {operation.replace('_', ' ')} {path} {who}") from None

    def _ask(self, operation: str, path: str, *arguments: object, **options: object) -> typing.Any:
        if self.state is not State.CONNECTED:
            raise Away
        return getattr(self._client, f"{operation}_async")(path, *arguments, **options)

    def _wait(self, result: typing.Any) -> None:
        while not (result.ready() or result.wait(_SLICE)):
            if self.state is not State.CONNECTED or self._is_closing.is_set():
                raise Away

    def _answer(self, result: typing.Any) -> typing.Any:
        self._wait(result)
        try:
            return result.get_nowait()
        except (zk.NoNodeError, zk.NodeExistsError, zk.NoAuthError):
            raise
        except (
            zk.ConnectionLoss,
            zk.ConnectionClosedError,
            zk.SessionExpiredError,
            zk.SessionMovedError,
            zk.OperationTimeoutError,
            zk.AuthFailedError,
        ):
            raise Away from None
        except zk.KazooException as problem:
            raise Refused(f"ZooKeeper says {type(problem).__name__} {problem}".strip()) from problem

    def _moved(self, client: object, said: str) -> None:
        """On kazoo's thread."""
        with self._lock:
            if client is not self._client:
                return
            state = _MOVES.get((self.state, said), self.state)
            if self.state is State.CONNECTED or state is State.CONNECTED:
                self._seen = time.monotonic()
            if state is State.CONNECTED and self.state is not state:
                self.connections += 1
            self.state = state
        self._wake()

    def _end(self) -> None:
        with self._lock:
            client, handler, state = self._client, self._handler, self.state
            self._client, self._handler, self.state = None, None, State.IDLE
        if client is None or handler is None:
            return
        # kazoo waits for ZooKeeper's answer, ten seconds and more if none comes.
        patience = threading.Timer(GRACE if state is State.CONNECTED else 0, handler.abort)
        patience.start()
        try:
            client.stop()
            client.close()
        except zk.KazooException as problem:
            _log.warning("%s: the connection did not end: %s", self._settings.url, problem)
        finally:
            patience.cancel()
            patience.join()
