"""Whose each connection of a blocking server is, from when it is accepted until it is closed.

    WAITING ─hand─▶ READY ─▶ SERVED ─▶ WAITING …          one thread has it, from beginning to end
                      └────────┴─share─▶ SHARED ─▶ WAITING …       the loop and several threads have it
    any ─▶ LEAVING ─▶ CLOSED

Moves are made here alone, under one lock. What is done with connections is done outside of it.
"""

from __future__ import annotations

import logging
import selectors
import threading
import time
import typing

from rpcgen.runtime.sync.server.connection import Connection, Next, State
from rpcgen.runtime.sync.server.framed_connection import FramedConnection
from rpcgen.runtime.sync.server.opening import Opening
from rpcgen.runtime.sync.server.overseer import Overseer
from rpcgen.runtime.sync.server.workers import Workers

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.dispatch import Dispatcher

_log = logging.getLogger("rpcgen")

QUIET = 0.05
"""Seconds that a connection stays open whose half here has ended, if its client says nothing more."""

LINGER = 1.0
"""Seconds in which a client may find that out that has said something since: closing would reset it."""

_EVENTS = {Next.BYTES: selectors.EVENT_READ, Next.ROOM: selectors.EVENT_WRITE}


class Hands:
    """The connections of one loop.

    Args:
        dispatcher: Answers their calls.
        max_workers: Threads that serve; 0: the loop's own thread does.
        max_calls: That run or wait for a thread.
        name: Of the threads.
        wake: Makes the loop look at everything.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        max_workers: int,
        max_calls: int,
        name: str,
        wake: collections.abc.Callable[[], None],
    ) -> None:
        self.dispatcher = dispatcher
        self.max_calls = max_calls
        self.wake = wake
        self.workers = Workers(max_workers, name, self._serve) if max_workers else None
        self.overseer = Overseer(self)
        self.selector = selectors.DefaultSelector()
        self.connections: set[Connection] = set()
        self.leaving: dict[Connection, float] = {}
        """Connections whose half here has ended, until when they stay open."""
        self.load = 0
        """Connections that one thread has, or will have, and calls of those that are shared."""
        self.is_ending = False
        """Every connection that is given back is worth a look."""
        self.is_closed = False
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        """That of the loop."""

    @property
    def is_full(self) -> bool:
        """Whether no more calls are to be started."""
        return self.workers is not None and self.load >= self.max_calls

    def enter(self) -> None:
        """Takes note that the thread that asks is the loop's."""
        self._thread = threading.current_thread()

    # Of the loop's thread

    def take(self, connection: Connection) -> None:
        """Waits for what a new connection says."""
        with self._lock:
            self.connections.add(connection)
            self._watch(connection, selectors.EVENT_READ, State.WAITING)

    def hand(self, connection: Connection) -> None:
        """Has a waiting connection served."""
        with self._lock:
            self.selector.unregister(connection.sock)
            connection.state = State.READY
            self.load += 1
        if self.workers is None:
            self._serve(connection)
            return
        if isinstance(connection, FramedConnection):
            self.overseer.handed(connection)
        self.workers.hand(connection)

    def become(self, opening: Opening, made: Connection) -> None:
        """Puts what a waiting connection has turned out to be in its place."""
        with self._lock:
            self.selector.unregister(opening.sock)
            self._replace(opening, made)
            self._watch(made, selectors.EVENT_READ, State.WAITING)

    def part(self, connection: Connection) -> None:
        """Ends the half here of a connection that no thread owns; closes it when its client does, or soon."""
        connection.part()
        if isinstance(connection, FramedConnection):
            self.overseer.forget(connection)
        with self._lock:
            if connection.state is State.WAITING or (
                isinstance(connection, FramedConnection)
                and connection.state is State.SHARED
                and connection.interest
            ):
                self.selector.unregister(connection.sock)
            self._watch_leaving(connection)

    def drop(self, connection: Connection) -> None:
        """Closes a connection that waits, or is leaving."""
        with self._lock:
            self.selector.unregister(connection.sock)
            self._forget(connection)

    def hear(self, connection: Connection) -> None:
        """Hears a client that is left, and has said something."""
        heard = connection.hear_out()
        if heard:
            self.leaving[connection] = connection.since + LINGER
        elif heard is False:
            self.drop(connection)

    def share(self, connection: FramedConnection, call_id: int | None) -> bool:
        """Makes a connection that is waiting, ready, or served in a call a shared one; says whether it is now."""
        with self._lock:
            before = connection.state
            # A worker may have come, or gone, since the caller looked.
            if before not in ((State.WAITING, State.READY) if call_id is None else (State.SERVED,)):
                return False
            if not connection.share(call_id):
                return False
            if before is State.WAITING:
                self.selector.unregister(connection.sock)
            else:
                self.load -= 1
            connection.interest = 0
            connection.has_ticket = before is State.READY
            connection.state = State.SHARED
        return True

    def watch_shared(self, connection: FramedConnection, interest: int) -> None:
        """Looks for these events, or none, on a shared connection."""
        with self._lock:
            if connection.interest == interest or connection.state is not State.SHARED:
                return
            if not interest:
                self.selector.unregister(connection.sock)
            elif connection.interest:
                self.selector.modify(connection.sock, interest, connection)
            else:
                self.selector.register(connection.sock, interest, connection)
            connection.interest = interest

    def unshare(self, connection: FramedConnection) -> None:
        """Makes a shared connection that is quiet a waiting one."""
        with self._lock:
            if connection.interest:
                self.selector.unregister(connection.sock)
            connection.since = time.monotonic()
            self._watch(connection, selectors.EVENT_READ, State.WAITING)

    def close(self) -> int:
        """Closes everything at once; gives how many calls were still running."""
        with self._lock:
            self.is_closed = True
            for connection in list(self.connections):
                if connection.state is State.WAITING:
                    connection.part()
                    self._forget(connection)
                else:
                    if isinstance(connection, FramedConnection) and connection.state is State.SHARED:
                        connection.leave()
                        connection.end()
                        self._forget(connection)
                    connection.break_off()
            for connection in list(self.leaving):
                self._forget(connection)
            left = self.load
            self.selector.close()
        if self.workers is not None:
            self.workers.stop(0.0 if left else 1.0)
        return left

    # Of any thread

    def hand_on(self, connection: FramedConnection) -> None:
        """Gets a worker for a call of a shared connection."""
        if self.workers is not None and not self.is_closed:
            self.workers.hand(connection)

    def count(self, more: int) -> None:
        """Takes note of calls of shared connections that have come, or ended."""
        if more:
            with self._lock:
                self.load += more

    def _serve(self, connection: Connection) -> None:
        with self._lock:
            is_owner = connection.state is State.READY
            if is_owner:
                connection.state = State.SERVED
        then = Next.END
        try:
            if is_owner:
                connection, then = self._serve_owned(connection)
            elif isinstance(connection, FramedConnection):
                self.overseer.serve(connection)
        except KeyboardInterrupt:
            connection.break_off()
            if threading.current_thread() is self._thread:
                raise
            _log.exception("a handler was interrupted; its connection is closed")
        except BaseException:
            connection.break_off()
            _log.exception("the connection of %s is closed: this is a fault of rpcgen", connection.peer)
        finally:
            if is_owner:
                self._give_back(connection, then)
            elif isinstance(connection, FramedConnection):
                self.overseer.attend(connection)
            if self.is_ending:
                self.wake()

    def _serve_owned(self, connection: Connection) -> tuple[Connection, Next]:
        then = self._serve_once(connection)
        if then is Next.KIND:
            assert isinstance(connection, Opening)
            made = connection.known()
            if isinstance(made, Next):
                return connection, made
            with self._lock:
                self._replace(connection, made)
                made.state = State.SERVED
            objection = connection.objection(made)
            connection = made
            if objection is not None:
                made.refuse(*objection)
                return made, Next.PART
            if isinstance(made, FramedConnection) and self.workers is not None:
                self.overseer.tell_of(made)
            then = self._serve_once(made)
        while then is Next.THREAD and self.workers is None and not self.is_closed:
            then = self._serve_once(connection)
        return connection, then

    def _serve_once(self, connection: Connection) -> Next:
        urge = int if self.workers is None else self.workers.urge(len(self.connections))
        then = connection.serve(self.dispatcher, urge)
        return Next.THREAD if then is Next.BYTES and connection.is_held else then

    def _give_back(self, connection: Connection, then: Next) -> None:
        """Puts a connection where it belongs now; its thread must not touch it again."""
        with self._lock:
            if then is Next.SHARED:
                pass  # by now it may be anybody's, or closed
            elif self.is_closed:
                self.load -= 1
                if then is not Next.END:
                    connection.part()
                self._forget(connection)
                return
            elif then is Next.THREAD and self.workers is not None:
                connection.state = State.READY
            else:
                self.load -= 1
                if then in _EVENTS:
                    connection.since = time.monotonic()
                    self._watch(connection, _EVENTS[then], State.WAITING)
                elif then is Next.PART:
                    connection.part()
                    self._watch_leaving(connection)
                else:
                    self._forget(connection)
        if then is Next.SHARED and isinstance(connection, FramedConnection):
            self.count(connection.recount())
            self.overseer.attend(connection)
        elif then is Next.THREAD and self.workers is not None:
            self.workers.hand(connection)

    # Under the lock

    def _replace(self, opening: Opening, made: Connection) -> None:
        self.connections.discard(opening)
        self.connections.add(made)
        opening.state = State.CLOSED

    def _watch(self, connection: Connection, event: int, state: State) -> None:
        try:
            self.selector.register(connection.sock, event, connection)
            connection.state = state
        except OSError as error:
            _log.error("cannot watch the connection of %s: %s", connection.peer, error)
            self._forget(connection)

    def _watch_leaving(self, connection: Connection) -> None:
        self.connections.discard(connection)
        now = time.monotonic()
        # A client that was busy a moment ago may have a call on its way, which a closed socket would reset.
        is_busy = isinstance(connection, FramedConnection) and now - connection.since < LINGER
        connection.since = now
        self.leaving[connection] = now + (LINGER if is_busy else QUIET)
        self._watch(connection, selectors.EVENT_READ, State.LEAVING)

    def _forget(self, connection: Connection) -> None:
        connection.state = State.CLOSED
        self.connections.discard(connection)
        self.leaving.pop(connection, None)
        connection.sock.close()
