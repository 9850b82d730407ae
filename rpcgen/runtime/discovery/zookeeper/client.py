"""kazoo's client, made so that it never waits for long, fails loudly or fills the log.

The handler is kazoo's own seam to threads and sockets. Connecting is bounded and can be
broken off, so that closing never hangs; TLS is made once and checks the host's name.
"""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import time
import typing

from rpcgen.runtime.discovery.zookeeper.probe import connect

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
    import ssl

    from rpcgen.runtime.discovery.zookeeper.settings import Settings

__all__ = ["Handler", "KazooLog", "KazooState", "make", "zk"]

CONNECT = 2.0
"""Seconds for a connection to come about: closing waits as long at most."""


class Handler(kazoo.handlers.threading.SequentialThreadingHandler):  # type: ignore[misc]
    """kazoo's way to threads and sockets, where connecting is bounded and can be broken off."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        super().__init__()
        self._context = context
        self._socket: socket.socket | None = None
        self._since = 0.0
        self._is_aborted = False

    def create_connection(
        self, address: tuple[str, int], timeout: float = CONNECT, hostname: str = "", **_: object
    ) -> socket.socket:
        self._refuse_aborted()
        connection = connect(address, hostname or address[0], min(timeout, CONNECT), self._context)
        self._socket, self._since = connection, time.monotonic()
        try:
            self._refuse_aborted()
        except ConnectionAbortedError:
            connection.close()
            raise
        return connection

    def select(
        self,
        readers: collections.abc.Sequence[socket.socket],
        writers: collections.abc.Sequence[socket.socket],
        _: object,
        timeout: float | None = None,
    ) -> tuple[list[socket.socket], list[socket.socket], list[socket.socket]]:
        # kazoo waits five times a request, and its own way makes an epoll each time.
        if self._context is not None:
            # What TLS has already read makes no descriptor readable.
            pending = [waiting for waiting in readers if getattr(waiting, "pending", int)()]
            if pending:
                return pending, [], []
        poll = select.poll()
        for sockets, event in ((readers, select.POLLIN), (writers, select.POLLOUT)):
            for waiting in sockets:
                poll.register(waiting, event)
        ready = {number for number, _ in poll.poll(None if timeout is None else 1000 * timeout)}
        readable = [waiting for waiting in readers if waiting.fileno() in ready]
        return readable, [waiting for waiting in writers if waiting.fileno() in ready], []

    def abort(self) -> None:
        """Ends the connection and refuses to make another."""
        self._is_aborted = True
        self.hang_up(0)

    def hang_up(self, age: float) -> bool:
        """Ends a connection that is at least so many seconds old; says whether there was one."""
        if self._socket is None or time.monotonic() - self._since < age:
            return False
        with contextlib.suppress(OSError):
            # Past TLS, which would want the other side's word.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
            return True
        return False

    def abandon(self) -> None:
        """In a forked child: leaves the parent's threads alone at the end of the process."""
        import atexit

        atexit.unregister(self.stop)

    def _refuse_aborted(self) -> None:
        if self._is_aborted:
            raise ConnectionAbortedError("the registry is being closed")


class KazooLog(logging.LoggerAdapter[logging.Logger]):
    """kazoo's own lines, as debug ones: it complains at each attempt, we once.

    The session's length as ZooKeeper grants it is told in one of them and nowhere else.
    """

    def __init__(self) -> None:
        super().__init__(logging.getLogger("rpcgen.zookeeper"))
        self.granted: float | None = None

    def log(self, level: int, msg: object, *args: object, **kwargs: typing.Any) -> None:
        if str(msg).startswith("Session created") and len(args) > 2 and isinstance(args[2], int):
            self.granted = args[2] / 1000
        if level >= logging.INFO:
            super().log(logging.DEBUG, msg, *args, **kwargs)


def make(settings: Settings, handler: Handler, log: KazooLog) -> typing.Any:
    """Gives a ``KazooClient`` that tries to connect for as long as it takes."""
    owner = {}
    if settings.user:
        owner = {
            "auth_data": [("digest", f"{settings.user}:{settings.password}")],
            "default_acl": [*kazoo.security.CREATOR_ALL_ACL, *kazoo.security.READ_ACL_UNSAFE],
        }
    return kazoo.client.KazooClient(
        ",".join(settings.hosts),
        timeout=settings.timeout,
        handler=handler,
        logger=log,
        # kazoo's own default grows to an hour.
        connection_retry={"max_tries": -1, "delay": 0.05, "max_delay": 0.5},
        **owner,
    )
