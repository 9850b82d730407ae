"""Whose connection all calls of a channel go over: one caller makes it, and the others wait for that."""

from __future__ import annotations

import threading
import typing
from time import monotonic

from rpcgen.runtime.errors import DeadlineExceeded, Unavailable
from rpcgen.runtime.sync.client.shared import SharedConnection

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.sync.client.line import Line


class Shared:
    """The connection that all calls of a channel go over: one caller makes it, and the others wait for that."""

    __slots__ = ("_attempts", "_connecting", "_connection", "_failure")

    def __init__(self) -> None:
        self._connection: SharedConnection | None = None
        self._connecting = threading.Lock()
        self._attempts = 0
        """That have failed."""
        self._failure: Unavailable | None = None
        """The last one's."""

    def take(
        self,
        connect: collections.abc.Callable[[float | None], tuple[Line, float]],
        is_usable: collections.abc.Callable[[Line, float], bool],
        end: float | None,
    ) -> SharedConnection:
        """Gives the connection for a call.

        Args:
            connect: Makes one, by a time.
            is_usable: Looks at one, at a time.
            end: The call's deadline on the clock of ``time.monotonic``.

        Raises:
            Unavailable, DeadlineExceeded: None could be made; the call was not sent.
        """
        attempts, now = self._attempts, monotonic()
        connection = self._connection
        if connection is not None and not connection.leaves:
            if connection.is_busy or is_usable(connection, now):
                connection.used = now
                return connection
            connection.let_go()
        if not self._connecting.acquire(timeout=-1 if end is None else max(0.0, end - now)):
            raise DeadlineExceeded("the time was up before a connection was made; the call was not sent")
        try:
            connection = self._connection
            if connection is None or connection.leaves:
                if self._attempts != attempts and self._failure is not None:
                    raise Unavailable(self._failure.problem)
                connection = typing.cast(SharedConnection, connect(end)[0])
                connection.used = monotonic()
                self._connection, self._failure = connection, None
            return connection
        except Unavailable as error:
            self._attempts, self._failure = self._attempts + 1, Unavailable(error.problem)
            raise
        finally:
            self._connecting.release()

    def let_go(self) -> None:
        """Sees the connection off, when its calls have ended."""
        connection = self._connection
        if connection is not None:
            connection.let_go()
