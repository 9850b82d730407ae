"""The connections of a channel: those that are idle, those that calls have, and how they are made and let go.

Idle connections are a list, from whose ends they are taken atomically, so that a call takes
no lock: one connection a running call, the last used first. A connection is used again
only after a whole reply; after anything else it is closed.
"""

from __future__ import annotations

import os
import typing
from time import monotonic

from rpcgen.runtime.closing import Closing
from rpcgen.runtime.errors import DeadlineExceeded, Unavailable

if typing.TYPE_CHECKING:
    from rpcgen.runtime.sync.client.connector import Connector
    from rpcgen.runtime.sync.client.line import Line
    from rpcgen.runtime.sync.client.sharing import Shared
    from rpcgen.runtime.sync.client.versions import Versions
    from rpcgen.runtime.sync.turns import Calls

TRUSTED = 0.001
"""Seconds after its last call began in which an idle connection is used without a look at it."""

IDLE_TIME = 300.0
"""Seconds after which an idle connection is let go; servers keep it for twice as long."""

FORKS = [0]
"""That this process comes from."""


def _count_fork() -> None:
    FORKS[0] += 1


os.register_at_fork(after_in_child=_count_fork)


class Pool(Closing):
    """What a channel has of connections, in this process.

    Args:
        connector: Makes them.
        versions: Of the server, which a new one may say.
    """

    def __init__(self, connector: Connector, versions: Versions) -> None:
        self._connector = connector
        self.versions = versions
        self._closed = False
        self._breaks_off = False
        self._start()

    def _start(self) -> None:
        """Begins without any, as a forked child does."""
        self._forks = FORKS[0]
        self._idle: list[Line] = []
        self._open: set[Line] = set()
        self._usual: Calls | None = None
        self._shared: Shared | None = None
        if self._connector.is_multiplexed:
            from rpcgen.runtime.sync.client.sharing import Shared

            self._shared = Shared()

    def _connect(self, end: float | None) -> tuple[Line, float]:
        """Gives a new connection, and the seconds that are left then (0: no deadline)."""
        if self._closed:
            raise Unavailable("the channel is closed; the call was not sent")
        connection = self._connector.connect(end)
        self._open.add(connection)
        try:
            self.versions.greet(connection, end)
        except BaseException:
            self._drop(connection)
            raise
        if self._closed:
            self._drop(connection)
            raise Unavailable("the channel is closed; the call was not sent")
        if end is None:
            return connection, 0.0
        wait = end - monotonic()
        if wait <= 0:
            if not self._connector.is_multiplexed:
                self._idle.append(connection)
                raise DeadlineExceeded("the time was up once connected; the call was not sent")
            wait = 0.000_001  # who made the connection of all says so once the others have it
        return connection, wait

    def _usable(self, connection: Line, now: float) -> bool:
        return now - connection.used < IDLE_TIME and connection.quiet()

    def _tidy(self, now: float) -> None:
        """Lets go of connections that nobody has needed for long: the first ones, as the last is used first."""
        try:
            while self._closed or now - self._idle[0].used > IDLE_TIME:
                self._drop(self._idle.pop(0))
        except IndexError:
            pass

    def _forget_closed(self) -> None:
        """Those of all threads close by themselves, with the last call that leaves them."""
        self._open -= {connection for connection in list(self._open) if connection.is_closed}

    def _drop(self, connection: Line) -> None:
        self._open.discard(connection)
        connection.close()

    def _leave_to_parent(self) -> None:
        """In a forked child: closes this process's copies of what the parent goes on using."""
        inherited = self._open
        self.versions.contracts.forget()
        self._start()
        for connection in inherited:
            connection.abandon()

    def retire(self) -> None:
        """Closes idle connections now, others when their calls end; no call starts any more."""
        self._closed = True
        if self._forks != FORKS[0]:
            self._leave_to_parent()
        if self._usual is not None:
            self._usual.is_closed = True
        self._tidy(0.0)
        if self._shared is not None:
            self._shared.let_go()
            self._forget_closed()

    def close(self) -> None:
        """Closes every connection; calls that run in other threads fail now. Again is harmless."""
        self._breaks_off = True
        self.retire()
        # Closing the descriptor under a thread that waits on it would wake nobody.
        for connection in list(self._open):
            connection.break_off()
