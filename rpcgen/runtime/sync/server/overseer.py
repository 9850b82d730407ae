"""The loop's part in framed connections that workers have: nothing that one call does holds up the others.

While workers have framed connections, the loop's thread looks at them every few milliseconds. Where a
worker is in the same call as at the last look, or none has come yet, the connection is shared from then
on: the loop receives for it, and each of its calls takes a worker. When it is quiet, a single thread has
it again. So the usual call costs nothing of that.
"""

from __future__ import annotations

import collections
import math
import selectors
import socket
import typing
from time import monotonic

from rpcgen.runtime.sync.server.connection import State

if typing.TYPE_CHECKING:
    from rpcgen.runtime.sync.server.framed_connection import FramedConnection
    from rpcgen.runtime.sync.server.hands import Hands

TICK = 0.005
"""Seconds between two looks, which is also how late a deadline may be kept."""

_NOWHERE = -1
"""Instead of a call's id: its connection has no owner, or that is in no call."""


class Overseer:
    """See above. All of it is done by the loop's thread, but for ``attend`` and ``serve``.

    Args:
        hands: That the connections are in.
    """

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self._handed: dict[FramedConnection, int] = {}
        """Those that workers have, or will have, with the call that they were in at the last look."""
        self._shared: set[FramedConnection] = set()
        self._attention: collections.deque[FramedConnection] = collections.deque()
        """Shared ones at which workers have left something to do, and those that workers have come by themselves to."""
        self._look_at = math.inf
        self._due = math.inf
        """When the first of the shared connections' deadlines is up, or earlier."""

    @property
    def next_time(self) -> float:
        """When ``look`` is to be called even if nothing happens."""
        return min(self._look_at, self._due)

    def handed(self, connection: FramedConnection) -> None:
        """A worker is to serve the connection."""
        self._handed[connection] = _NOWHERE
        if self._look_at == math.inf:
            self._look_at = monotonic() + TICK

    def look(self) -> None:
        """Does what is to be done now."""
        while self._attention:
            connection = self._attention.popleft()
            if connection.state is State.SHARED:
                self._see_to(connection)
            elif connection.state in (State.READY, State.SERVED):
                self.handed(connection)
        now = monotonic()
        if now >= self._look_at:
            self._look_at = now + TICK
            for connection, call_id in list(self._handed.items()):
                self._look_at_one(connection, call_id)
            if not self._handed:
                self._look_at = math.inf
        if now >= self._due:
            self._due = math.inf
            for connection in list(self._shared):
                if connection.due <= now:
                    connection.expire(now)
                    self._see_to(connection)
                self._due = min(self._due, max(connection.due, now + TICK))

    def _look_at_one(self, connection: FramedConnection, call_id: int) -> None:
        state = connection.state
        if state is State.READY:
            self.share(connection, None)
        elif state is not State.SERVED:
            del self._handed[connection]
        else:
            claim = connection.claim
            try:
                current = claim[0]
            except IndexError:
                current = _NOWHERE
            if current == call_id != _NOWHERE:
                self.share(connection, current)
            else:
                self._handed[connection] = current

    def share(self, connection: FramedConnection, call_id: int | None) -> None:
        """Shares a connection whose owner is in a call, or that has none yet."""
        if not self._hands.share(connection, call_id):
            return
        self._handed.pop(connection, None)
        self._shared.add(connection)
        if call_id is not None:
            connection.limit(self._room)
        self._see_to(connection)

    def receive(self, connection: FramedConnection) -> bool:
        """Receives for a shared connection; False if it was quiet: it is not shared any more."""
        if not self._hands.is_full and self.unshare(connection):
            return False
        self._receive(connection)
        self._see_to(connection)
        return True

    def unshare(self, connection: FramedConnection) -> bool:
        """Makes a shared connection a waiting one if it is quiet; says whether it is now."""
        if not connection.unshare():
            return False
        self._shared.discard(connection)
        self._hands.unshare(connection)
        return True

    @property
    def _room(self) -> int:
        """For so many calls more."""
        return max(0, self._hands.max_calls - self._hands.load)

    def _receive(self, connection: FramedConnection) -> None:
        connection.receive_some(self._room)
        self._hands.count(connection.recount())

    def _see_to(self, connection: FramedConnection) -> None:
        """Sends what there is, gets workers for what waits, and watches for what comes next."""
        while True:
            connection.flush(socket.MSG_DONTWAIT)
            self._hands.count(connection.recount())
            if connection.ticket():
                self._hands.hand_on(connection)
            self._due = min(self._due, connection.due)
            if not connection.is_held or not connection.takes_bytes:
                break
            self._receive(connection)
        if connection.is_over:
            self._hands.part(connection)
            return
        self._hands.watch_shared(connection, _interest(connection))

    def forget(self, connection: FramedConnection) -> None:
        """The connection is left."""
        self._shared.discard(connection)

    def leave(self, connection: FramedConnection) -> None:
        """Takes leave of the client of a shared connection."""
        if not connection.has_left:
            self._receive(connection)  # what has come is answered still
            connection.leave()
        self._see_to(connection)

    def serve(self, connection: FramedConnection) -> None:
        """Answers one call of a shared connection, of a worker."""
        hands = self._hands
        try:
            connection.serve_one(hands.dispatcher, lambda: hands.hand_on(connection))
        finally:
            hands.count(connection.recount())

    def attend(self, connection: FramedConnection) -> None:
        """Has the loop's thread see to a shared connection, if there is anything for it to do."""
        interest = _interest(connection)
        if (
            interest != connection.interest
            or connection.is_over
            or connection.is_held
            or connection.wants_worker
        ):
            self.tell_of(connection)

    def tell_of(self, connection: FramedConnection) -> None:
        """Has the loop's thread take note of a connection that a worker serves already."""
        self._attention.append(connection)
        self._hands.wake()


def _interest(connection: FramedConnection) -> int:
    """Gives what the selector is to look for."""
    interest = selectors.EVENT_WRITE if connection.is_stuck else 0
    return interest | selectors.EVENT_READ if connection.takes_bytes else interest
