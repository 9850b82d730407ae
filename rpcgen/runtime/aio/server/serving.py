"""What all connections of an asyncio server share while it serves: what is accepted, who is there, what runs.

    SERVING ──drain──▶ DRAINING ──no connection left, or the time up──▶ CLOSED

A look at all connections, several times a second at most, ends those that are idle or slow for too
long: a timer for each would cost every call.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import typing
from time import monotonic

from rpcgen.runtime.aio.server.entering import Entrance
from rpcgen.runtime.aio.server.running import Runner

if typing.TYPE_CHECKING:
    import socket

    from rpcgen.runtime.aio.server.connection import Connection
    from rpcgen.runtime.aio.server.dispatch import AsyncDispatcher
    from rpcgen.runtime.sync.processes.sharing import Share
    from rpcgen.runtime.sync.server.bound import Settings

_log = logging.getLogger("rpcgen")

_SILENCE = 60.0
"""Seconds in which the log does not repeat that calls were not run."""

QUIET = 0.05
"""Seconds without a call after which a draining server ends a plain connection, and again until it closes it."""


class Phase(enum.Enum):
    """Of a server."""

    SERVING = enum.auto()
    DRAINING = enum.auto()
    CLOSED = enum.auto()


class Serving:
    """A server's connections, from ``start`` until they are all closed.

    Args:
        dispatcher: Whose methods are called.
        settings: Of the server.
        share: In accepting, with other processes.
        max_workers: Threads for plain functions.
        connection_calls: That run at once on a connection.
        max_calls: That run at once.
    """

    def __init__(
        self,
        dispatcher: AsyncDispatcher,
        settings: Settings,
        share: Share | None,
        *,
        max_workers: int,
        connection_calls: int,
        max_calls: int,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.dispatcher = dispatcher
        self.methods = dispatcher.methods
        self.limits = limits = settings.limits
        self.connection_calls = connection_calls
        self.terms = settings.transport.terms
        self.takes_plain = settings.transport.takes_plain
        self.runner = Runner(max_workers, max_calls, settings.name)
        dispatcher.in_thread = self.runner.in_thread
        self.phase = Phase.SERVING
        self._connections: set[Connection] = set()
        self._tls = settings.transport.tls
        self._share = share
        self._entrance: Entrance | None = None
        self._empty = asyncio.Event()
        self._empty.set()
        self.closed = asyncio.Event()
        """The server's end, set by it."""
        self._say_again = 0.0
        shortest = min(limits.receive_time, limits.idle_time)
        self._interval = max(0.01, min(1.0, shortest / 4))
        self._look = self.loop.call_later(self._interval, self._look_around)

    def start(self, listener: socket.socket) -> None:
        """Accepts connections from now on."""
        from rpcgen.runtime.aio.server.opening import Opening

        self._entrance = Entrance(
            listener,
            self._share,
            lambda: Opening(self),
            self._connections.__len__,
            most=self.limits.connections,
            tls=self._tls,
            patience=self.limits.receive_time,
        )
        self._entrance.open()

    def joined(self, connection: Connection) -> bool:
        """Takes a new connection in; says whether there is room for it."""
        self._connections.add(connection)
        self._empty.clear()
        return len(self._connections) <= self.limits.connections

    def replaced(self, old: Connection, new: Connection) -> None:
        """A connection has turned out to be of this kind."""
        self._connections.discard(old)
        self._connections.add(new)

    def left(self, connection: Connection) -> None:
        """A connection is closed."""
        self._connections.discard(connection)
        if self._entrance is not None:
            self._entrance.count()
        if not self._connections:
            self._empty.set()

    def say_not_run(self, name: str, peer: str, problem: str) -> None:
        """Says in the log, once a minute, that a call was refused whose caller does not hear of it."""
        now = monotonic()
        if now >= self._say_again:
            self._say_again = now + _SILENCE
            _log.warning("a oneway call of %s from %s: %s (said once a minute)", name, peer, problem)

    async def drain(self, grace: float, hurry: asyncio.Event) -> bool:
        """Accepts no more, lets calls end, closes everything; gives whether all ended in time.

        Args:
            grace: Seconds.
            hurry: Set when the time is up earlier.
        """
        end = monotonic() + grace
        self.phase = Phase.DRAINING
        if self._entrance is not None:
            self._entrance.close()
            await self._entrance.settle()
        for connection in list(self._connections):
            connection.drain()
        waits = [self.loop.create_task(event.wait()) for event in (self._empty, hurry)]
        await asyncio.wait(waits, timeout=max(0.0, end - monotonic()), return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        in_time = not self._connections and self.runner.is_idle
        self.phase = Phase.CLOSED
        for connection in list(self._connections):
            connection.break_off()
        await self._empty.wait()
        await self.runner.close()
        self._look.cancel()
        return in_time

    def _look_around(self) -> None:
        now = monotonic()
        for connection in list(self._connections):
            problem = connection.overdue(now)
            if problem is not None:
                if problem:
                    _log.warning("closed the connection of %s: %s", connection.peer, problem)
                connection.dismiss(problem)
        self._look = self.loop.call_later(self._interval, self._look_around)
