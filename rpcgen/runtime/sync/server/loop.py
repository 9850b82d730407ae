"""The loop of a blocking server: watches connections that are idle or shared, hands on those with work.

One thread runs it. Worker threads only give connections back and wake it; without workers
it serves a connection itself, and accepts the next when that one is closed. Phases:

    SERVING ──asked to stop, its time come──▶ DRAINING ──no connection left, or the time up──▶ CLOSED

Draining begins by accepting whoever waits to be. What has come on a connection by then is
answered, what comes after that is refused; one that is quiet is closed in two steps, so that
a call that crosses the first finds an end and not a reset.
"""

from __future__ import annotations

import contextlib
import enum
import logging
import selectors
import socket
import threading
import time
import typing

from rpcgen.runtime.sync.server.accepting import Acceptor, peer_of
from rpcgen.runtime.sync.server.connection import Connection, Next, State
from rpcgen.runtime.sync.server.framed_connection import FramedConnection
from rpcgen.runtime.sync.server.hands import LINGER, Hands
from rpcgen.runtime.sync.server.opening import Opening
from rpcgen.runtime.sync.server.plain_connection import PlainConnection

if typing.TYPE_CHECKING:
    from rpcgen.runtime.dispatch import Dispatcher
    from rpcgen.runtime.sync.processes.sharing import Share
    from rpcgen.runtime.sync.server.bound import Settings
    from rpcgen.runtime.sync.tls import TlsSocket

_log = logging.getLogger("rpcgen")

QUIET = 0.05
"""Seconds without a call after which a draining server ends a plain connection, and again until it closes it.

Clients look at a connection before they use it, but for one that they used in the last millisecond.
"""

_ACCEPTS = 64
"""Connections that are accepted before those that are there have their turn."""

_REFUSED = 256
"""Connections beyond the limit that may be there to be told so; more are closed without a word."""

_BUSY = "the server is busy; the call was not started"


class _Phase(enum.Enum):
    SERVING = enum.auto()
    DRAINING = enum.auto()
    CLOSED = enum.auto()


class Loop:
    """Serves what comes to a listening socket until it is told to stop.

    Args:
        listener: Does not block; the loop closes it.
        dispatcher: Answers the calls.
        settings: Of the server.
        max_workers: Threads that serve; 0: the loop's own thread does, one connection at a time.
        max_calls: That run or wait for a thread; further ones are refused.
        share: In accepting, with other processes; None: there are no others.
    """

    def __init__(
        self,
        listener: socket.socket,
        dispatcher: Dispatcher,
        settings: Settings,
        max_workers: int,
        max_calls: int,
        *,
        share: Share | None = None,
    ) -> None:
        self._acceptor = Acceptor(listener, share)
        self._dispatcher = dispatcher
        self._limits = settings.limits
        self._transport = settings.transport
        self._most = settings.limits.connections if max_workers else 1
        self._hands = Hands(dispatcher, max_workers, max_calls, settings.name, self._wake)
        self._waker, self._woken = socket.socketpair()
        self._waker.setblocking(False)
        self._woken.setblocking(False)
        self._hands.selector.register(self._woken, selectors.EVENT_READ)
        self._accepting = False
        self._phase = _Phase.SERVING
        self._drain_at: float | None = None
        """When draining begins; None while nobody has asked to stop."""
        self._end: float | None = None
        """When draining ends."""
        self._heard: set[socket.socket | TlsSocket] = set()
        """Of connections that were served while draining, for the last time."""
        self._lock = threading.Lock()
        self._askers = 0
        """Handlers that wait in ``stop`` for the other calls."""
        self._quiet = threading.Event()
        """Nothing is left but the calls of those who ask."""
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()
        self._left = 0
        """Calls that were still running at the end."""

    def run(self) -> None:
        """Serves; returns once it has been stopped and everything is closed."""
        self._thread = threading.current_thread()
        self._hands.enter()
        interval = max(0.01, min(1.0, self._limits.receive_time / 4, self._limits.idle_time / 4))
        sweep = time.monotonic() + interval
        try:
            while not self._is_done():
                self._watch_listener()
                for key, _ in self._hands.selector.select(self._patience(sweep)):
                    if key.fileobj is self._woken:
                        with contextlib.suppress(BlockingIOError):
                            self._woken.recv(4096)
                    elif key.fileobj is self._acceptor.listener:
                        self._accept()
                    else:
                        self._heed(key.data)
                self._hands.overseer.look()
                now = time.monotonic()
                if self._phase is _Phase.SERVING and self._drain_at is not None and now >= self._drain_at:
                    self._begin_to_drain()
                for connection, until in list(self._hands.leaving.items()):
                    if now >= until:
                        self._hands.drop(connection)
                if self._phase is _Phase.DRAINING:
                    self._drain(now)
                elif now >= sweep:
                    self._close_overdue(now)
                    sweep = now + interval
        finally:
            self.close()

    def stop(self, grace: float, after: float = 0.0) -> bool:
        """Stops accepting, lets running calls end and closes; waits until that is done.

        Args:
            grace: Seconds that running calls have left; an earlier end stays.
            after: Seconds until then, in which all goes on; an earlier stop stays.

        Returns:
            Whether all calls ended in time. In a handler its own call does not count.
        """
        self.ask_to_stop(grace, after)
        if self.is_called():
            with self._lock:
                self._askers += 1
            self._wake()
            done = self._quiet.wait(after + grace + 1)
            with self._lock:
                self._askers -= 1
            return done
        self._ended.wait(after + grace)
        while self._hands.workers is None and not self._ended.wait(0.01):
            served = [c for c in list(self._hands.connections) if c.state is State.SERVED]
            for connection in served:
                # The loop's own thread may be in a handler: nobody else can let its client go.
                connection.break_off()
            if served:
                return False
        self._ended.wait()
        return self._left == 0

    def ask_to_stop(self, grace: float, after: float = 0.0) -> None:
        """Does what ``stop`` does, without waiting; safe in a signal handler."""
        self._dispatcher.serving = False
        begin = time.monotonic() + after
        end = begin + grace
        self._end = end if self._end is None else min(end, self._end)
        self._drain_at = begin if self._drain_at is None else min(begin, self._drain_at)
        self._hands.is_ending = True
        self._wake()

    def is_mine(self) -> bool:
        """Says whether the thread that asks runs the loop, so that waiting would be for itself."""
        return threading.current_thread() is self._thread

    def is_called(self) -> bool:
        """Says whether the thread that asks runs a handler."""
        if self._hands.workers is not None:
            return self._hands.workers.ours()
        return threading.current_thread() is self._thread and any(
            connection.state is State.SERVED for connection in list(self._hands.connections)
        )

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # it is awake, or has ended
            self._waker.send(b"\0")

    def _is_done(self) -> bool:
        if self._is_over():
            return True
        if self._phase is _Phase.SERVING:
            return False
        hands = self._hands
        if hands.load <= self._askers and not any(c.state is State.WAITING for c in list(hands.connections)):
            self._quiet.set()
        return not hands.connections and not hands.leaving and not hands.load

    def _is_over(self) -> bool:
        return self._end is not None and time.monotonic() >= self._end

    def _patience(self, sweep: float) -> float | None:
        """Gives the seconds until something is to be done even if nothing happens."""
        hands = self._hands
        times: list[float | None] = [hands.overseer.next_time]
        if self._phase is _Phase.SERVING:
            times += [sweep, self._drain_at, None if self._accepting else self._acceptor.resume]
        else:
            times += [self._end, *(c.since + QUIET for c in list(hands.connections) if _is_idle(c))]
        times += hands.leaving.values()
        return max(0.0, min(filter(None, times)) - time.monotonic())

    def _watch_listener(self) -> None:
        """Accepts while there is room; a single-handed server has room for one."""
        hands = self._hands
        self._acceptor.count(len(hands.connections))
        wanted = (
            self._phase is _Phase.SERVING
            and time.monotonic() >= self._acceptor.resume
            and (hands.workers is not None or len(hands.connections) < self._most)
        )
        if wanted and not self._accepting:
            hands.selector.register(self._acceptor.listener, selectors.EVENT_READ)
        elif self._accepting and not wanted:
            hands.selector.unregister(self._acceptor.listener)
        self._accepting = wanted

    def _accept(self) -> None:
        most = _ACCEPTS if self._hands.workers is not None else 1
        for sock, where in self._acceptor.accept(len(self._hands.connections), most):
            self._take(sock, peer_of(where))

    def _take(self, sock: socket.socket, peer: str) -> None:
        count = len(self._hands.connections)
        if count >= self._most:
            self._acceptor.say_full("refused a connection: the limit of connections is reached", self._most)
        if count >= self._most + _REFUSED:
            sock.close()
            return
        try:
            opening = Opening(sock, peer, self._limits, self._transport, has_room=count < self._most)
        except OSError:  # that client is gone again
            sock.close()
        else:
            self._hands.take(opening)

    def _heed(self, connection: Connection) -> None:
        """Does what is to be done when the selector tells of a connection."""
        hands = self._hands
        if connection.state is State.LEAVING:
            hands.hear(connection)
            return
        if connection.state is State.SHARED:
            assert isinstance(connection, FramedConnection)
            if hands.overseer.receive(connection):
                return
        if isinstance(connection, Opening) and not connection.needs_thread:
            made = connection.known()
            if made is Next.END:
                hands.drop(connection)
            if isinstance(made, Next):
                return
            hands.become(connection, made)
            objection = connection.objection(made)
            if objection is not None:
                made.refuse(*objection)
                hands.part(made)
                return
            connection = made
        if self._phase is not _Phase.SERVING and not connection.is_sending:
            return  # ``_drain`` looks at it
        if isinstance(connection, PlainConnection) and hands.is_full:
            if connection.turn_away(_BUSY) is Next.END:
                hands.part(connection)
        elif isinstance(connection, FramedConnection) and hands.is_full:
            hands.overseer.share(connection, None)
        else:
            hands.hand(connection)

    def _close_overdue(self, now: float) -> None:
        hands = self._hands
        for connection in list(hands.connections):
            if isinstance(connection, Opening) and not connection.has_room:
                if connection.state is State.WAITING and now - connection.since > LINGER:
                    hands.drop(connection)
                continue
            if isinstance(connection, FramedConnection) and connection.state is State.SHARED:
                if hands.overseer.unshare(connection):
                    continue
            elif connection.state is not State.WAITING:
                continue
            problem = connection.overdue()
            if problem:
                connection.warn(problem)
            if isinstance(connection, FramedConnection) and problem is not None:
                if problem:
                    connection.give_up(problem)
                hands.part(connection)
            elif problem is not None:
                hands.drop(connection)

    def _begin_to_drain(self) -> None:
        """Ends accepting. Who is waiting for it may have sent a call: all of them are accepted."""
        if self._accepting:
            self._hands.selector.unregister(self._acceptor.listener)
            self._accepting = False
        self._most = self._limits.connections
        for sock, where in self._acceptor.accept_last(self._most):
            self._take(sock, peer_of(where))
        self._acceptor.listener.close()
        self._phase = _Phase.DRAINING

    def _drain(self, now: float) -> None:
        """Hands on the connections on which something has come, and ends those that are quiet."""
        hands = self._hands
        for connection in list(hands.connections):
            if self._is_over():
                return
            if connection.state is State.SHARED and isinstance(connection, FramedConnection):
                hands.overseer.leave(connection)
            elif _is_idle(connection):
                has_come = connection.peek() is not None
                if has_come and connection.sock not in self._heard:
                    self._heard.add(connection.sock)
                    hands.hand(connection)
                elif has_come or isinstance(connection, FramedConnection) or now >= connection.since + QUIET:
                    hands.part(connection)

    def close(self) -> None:
        """Closes everything at once. For a loop that never ran, too."""
        if self._end is None:
            self._end = self._drain_at = time.monotonic()  # it was interrupted
        self._phase = _Phase.CLOSED
        self._left = self._hands.close()
        self._acceptor.listener.close()
        self._quiet.set()
        self._ended.set()
        self._waker.close()
        self._woken.close()


def _is_idle(connection: Connection) -> bool:
    return connection.state is State.WAITING and not connection.is_sending
