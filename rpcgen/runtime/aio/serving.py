"""What all connections of an asyncio server share while it serves: what is accepted, who is there, what runs.

    SERVING ──drain──▶ DRAINING ──no connection left, or the time up──▶ CLOSED

A look at all connections, several times a second at most, ends those that are idle or slow for too
long: a timer for each would cost every call.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import socket
import typing
from time import monotonic

from rpcgen.runtime.aio.running import Runner

if typing.TYPE_CHECKING:
    from rpcgen.runtime.aio.connection import Connection
    from rpcgen.runtime.aio.dispatch import AsyncDispatcher
    from rpcgen.runtime.wire.limits import Limits

_log = logging.getLogger("rpcgen")

QUIET = 0.05
"""Seconds without a call after which a draining server ends a plain connection, and again until it closes it."""

REFUSED = 256
"""Connections beyond the limit that may be there to be told so; more are closed without a word."""


class Phase(enum.Enum):
    """Of a server."""

    SERVING = enum.auto()
    DRAINING = enum.auto()
    CLOSED = enum.auto()


class Serving:
    """A server's connections, from ``start`` until they are all closed.

    Args:
        dispatcher: Whose methods are called.
        limits: Of messages and connections.
        max_workers: Threads for plain functions.
        connection_calls: That run at once on a connection.
        max_calls: That run at once.
        name: Of the threads.
    """

    def __init__(
        self,
        dispatcher: AsyncDispatcher,
        limits: Limits,
        *,
        max_workers: int,
        connection_calls: int,
        max_calls: int,
        name: str,
    ) -> None:
        from rpcgen.runtime.wire.hello import Terms

        self.loop = asyncio.get_running_loop()
        self.dispatcher = dispatcher
        self.methods = dispatcher.methods
        self.limits = limits
        self.connection_calls = connection_calls
        # How many calls run at once is decided here: those that must wait are not refused by the session.
        self.terms = Terms(limits, calls=2**31)
        self.runner = Runner(max_workers, max_calls, name)
        self.phase = Phase.SERVING
        self._connections: set[Connection] = set()
        self._listener: asyncio.Server | None = None
        self._empty = asyncio.Event()
        self._empty.set()
        self.closed = asyncio.Event()
        """The server's end, set by it."""
        shortest = min(limits.receive_time, limits.idle_time)
        self._interval = max(0.01, min(1.0, shortest / 4))
        self._look = self.loop.call_later(self._interval, self._look_around)

    async def start(self, listener: socket.socket, backlog: int) -> None:
        """Accepts connections from now on."""
        from rpcgen.runtime.aio.opening import Opening

        if listener.family == socket.AF_UNIX:
            made = await self.loop.create_unix_server(lambda: Opening(self), sock=listener, backlog=backlog)
        else:
            made = await self.loop.create_server(lambda: Opening(self), sock=listener, backlog=backlog)
        self._listener = made

    def joined(self, connection: Connection) -> bool:
        """Takes a new connection in; says whether there is room for it."""
        self._connections.add(connection)
        self._empty.clear()
        return len(self._connections) <= self.limits.connections

    @property
    def is_crowded(self) -> bool:
        """Whether there are so many connections that more are not even told why they are closed."""
        return len(self._connections) > self.limits.connections + REFUSED

    def replaced(self, old: Connection, new: Connection) -> None:
        """A connection has turned out to be of this kind."""
        self._connections.discard(old)
        self._connections.add(new)

    def left(self, connection: Connection) -> None:
        """A connection is closed."""
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    async def drain(self, grace: float, hurry: asyncio.Event) -> bool:
        """Accepts no more, lets calls end, closes everything; gives whether all ended in time.

        Args:
            grace: Seconds.
            hurry: Set when the time is up earlier.
        """
        end = monotonic() + grace
        self.phase = Phase.DRAINING
        # Whoever waits to be accepted is: closing the listener would reset him.
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        if self._listener is not None:
            self._listener.close()
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        for connection in list(self._connections):
            connection.drain()
        waits = [self.loop.create_task(event.wait()) for event in (self._empty, hurry)]
        await asyncio.wait(waits, timeout=max(0.0, end - monotonic()), return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        in_time = not self._connections and not self.runner.calls
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


_TURNS = 3
"""Of the loop, in which a connection is accepted and made."""
