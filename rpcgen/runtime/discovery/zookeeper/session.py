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
import logging
import threading
import time
import typing

import msgspec

from rpcgen.runtime.discovery.zookeeper.probe import Answer, connect, probe

try:
    import kazoo.client
    import kazoo.exceptions as zk
    import kazoo.handlers.threading
    import kazoo.security
    from kazoo.protocol.states import KazooState
except ImportError as error:
    raise ImportError('zk:// needs the package kazoo: pip install "rpcgen[zookeeper]"') from error

if typing.TYPE_CHECKING:
    import collections.abc
    import socket
    import ssl

    from rpcgen.runtime.discovery.zookeeper.settings import Settings

_log = logging.getLogger("rpcgen.zookeeper")

CONNECT = 2.0
"""Seconds for a connection to come about: closing waits as long at most."""

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
    """

    owner: int
    born: tuple[int, int]
    children: int
    created: float

    @classmethod
    def of(cls, stat: typing.Any) -> Stat:
        return cls(stat.ephemeralOwner, (stat.czxid, stat.ctime), stat.pzxid, stat.ctime / 1000)


class Child(typing.NamedTuple):
    """A node that was read.

    Args:
        name: Without its parent's path.
        data: What it holds.
        stat: What it is; None where it may not be read.
    """

    name: str
    data: bytes
    stat: Stat | None


class _Handler(kazoo.handlers.threading.SequentialThreadingHandler):  # type: ignore[misc]
    """kazoo's way to threads and sockets, where connecting is bounded and can be broken off."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        super().__init__()
        self._context = context
        self._socket: socket.socket | None = None
        self._is_aborted = False

    def create_connection(
        self, address: tuple[str, int], timeout: float = CONNECT, hostname: str = "", **_: object
    ) -> socket.socket:
        self._refuse_aborted()
        connection = connect(address, hostname or address[0], min(timeout, CONNECT), self._context)
        self._socket = connection
        try:
            self._refuse_aborted()
        except ConnectionAbortedError:
            connection.close()
            raise
        return connection

    def select(self, readers: typing.Any, *others: typing.Any) -> typing.Any:
        # What TLS has already read makes no descriptor readable.
        pending = [reader for reader in readers if getattr(reader, "pending", int)()]
        if pending:
            return pending, [], []
        return super().select(readers, *others)

    def abort(self) -> None:
        """Ends the connection and refuses to make another."""
        import socket

        self._is_aborted = True
        if self._socket is not None:
            with contextlib.suppress(OSError):
                # Past TLS, which would want the other side's word.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def abandon(self) -> None:
        """In a forked child: leaves the parent's threads alone at the end of the process."""
        import atexit

        atexit.unregister(self.stop)

    def _refuse_aborted(self) -> None:
        if self._is_aborted:
            raise ConnectionAbortedError("the registry is being closed")


class _KazooLog(logging.LoggerAdapter[logging.Logger]):
    """kazoo's own lines, as debug ones: it complains at each attempt, we once.

    The session's length as ZooKeeper grants it is told in one of them and nowhere else.
    """

    granted: float | None = None

    def log(self, level: int, msg: object, *args: object, **kwargs: typing.Any) -> None:
        if str(msg).startswith("Session created") and len(args) > 2 and isinstance(args[2], int):
            self.granted = args[2] / 1000
        if level >= logging.INFO:
            super().log(logging.DEBUG, msg, *args, **kwargs)


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
        self._handler: _Handler | None = None
        self._kazoo_log = _KazooLog(_log)
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
        return self._kazoo_log.granted or self._settings.timeout

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
        handler = _Handler(self._context)
        settings = self._settings
        client = kazoo.client.KazooClient(
            ",".join(settings.hosts),
            timeout=settings.timeout,
            handler=handler,
            logger=self._kazoo_log,
            auth_data=[("digest", f"{settings.user}:{settings.password}")] if settings.user else None,
            default_acl=[*kazoo.security.CREATOR_ALL_ACL, *kazoo.security.READ_ACL_UNSAFE]
            if settings.user
            else None,
            # kazoo's own default grows to an hour.
            connection_retry={"max_tries": -1, "delay": 0.05, "max_delay": 0.5},
        )
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
        asked: collections.deque[tuple[str, typing.Any]] = collections.deque()
        for name in names:
            asked.append((name, self._ask("get", f"{parent}/{name}")))
            if len(asked) == WINDOW:
                yield from self._child(*asked.popleft())
        while asked:
            yield from self._child(*asked.popleft())

    def _child(self, name: str, result: typing.Any) -> collections.abc.Iterator[Child]:
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

    def _answer(self, result: typing.Any) -> typing.Any:
        while not result.wait(_SLICE):
            if self.state is not State.CONNECTED or self._is_closing.is_set():
                raise Away
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
        finally:
            patience.cancel()
            patience.join()
        client.close()
