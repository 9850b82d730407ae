"""The loop of a blocking server: accepts, watches idle connections, hands those with work on.

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
import errno
import logging
import selectors
import socket
import threading
import time

from rpcgen.runtime.dispatch import Dispatcher
from rpcgen.runtime.errors import FaultCode
from rpcgen.runtime.sync.connection import Connection, Next, State
from rpcgen.runtime.sync.sharing import MOMENT, Share
from rpcgen.runtime.sync.workers import Workers
from rpcgen.runtime.wire.limits import Limits
from rpcgen.runtime.wire.plain import encode_fault

_log = logging.getLogger("rpcgen")

_ACCEPTS_A_TURN = 64
_NO_ROOM = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_PAUSE = 0.25
"""Seconds without accepting once descriptors or memory have run out."""

_SILENCE = 60.0
"""Seconds in which the log does not repeat that there is no room."""

QUIET = 0.05
"""Seconds without a call after which a draining server ends a connection, and again until it closes it.

Clients look at a connection before they use it, but for one that they used in the last millisecond.
"""

_EVENTS = {Next.BYTES: selectors.EVENT_READ, Next.ROOM: selectors.EVENT_WRITE}


class _Phase(enum.Enum):
    SERVING = enum.auto()
    DRAINING = enum.auto()
    CLOSED = enum.auto()


class Loop:
    """Serves what comes to a listening socket until it is told to stop.

    Args:
        listener: Does not block; the loop closes it.
        dispatcher: Answers the calls.
        limits: Of messages and connections.
        max_workers: Threads that serve; 0: the loop's own thread does, one connection at a time.
        name: Of its threads.
        share: In accepting, with other processes; None: there are no others.
    """

    def __init__(
        self,
        listener: socket.socket,
        dispatcher: Dispatcher,
        limits: Limits,
        max_workers: int,
        name: str,
        *,
        share: Share | None = None,
    ) -> None:
        self._listener = listener
        self._dispatcher = dispatcher
        self._limits = limits
        self._most = limits.connections if max_workers else 1
        self._share = share
        self._workers = Workers(max_workers, name, self._serve) if max_workers else None
        self._lock = threading.Lock()
        self._connections: set[Connection] = set()
        self._selector = selectors.DefaultSelector()
        self._waker, self._woken = socket.socketpair()
        self._waker.setblocking(False)
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._accepting = False
        self._resume = 0.0
        self._say_again = 0.0
        self._phase = _Phase.SERVING
        self._drain_at: float | None = None
        """When draining begins; None while nobody has asked to stop."""
        self._end: float | None = None
        """When draining ends."""
        self._leaving: dict[Connection, float] = {}
        """Connections whose half here has ended, until when they stay open."""
        self._heard: set[Connection] = set()
        """Connections that were served while draining, for the last time."""
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
        interval = max(0.01, min(1.0, self._limits.receive_time / 4, self._limits.idle_time / 4))
        sweep = time.monotonic() + interval
        try:
            while not self._is_done():
                self._watch_listener()
                for key, _ in self._selector.select(self._patience(sweep)):
                    if key.fileobj is self._woken:
                        with contextlib.suppress(BlockingIOError):
                            self._woken.recv(4096)
                    elif key.fileobj is self._listener:
                        self._accept_some()
                    elif key.data.state is State.LEAVING:
                        if not key.data.hear_out():
                            self._drop(key.data)
                    elif self._phase is _Phase.SERVING or key.data.is_sending:
                        self._hand(key.data)
                now = time.monotonic()
                if self._phase is _Phase.SERVING and self._drain_at is not None and now >= self._drain_at:
                    self._begin_to_drain()
                if self._phase is _Phase.DRAINING:
                    self._drain(now)
                elif now >= sweep:
                    self._close_overdue()
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
        while self._workers is None and not self._ended.wait(0.01):
            served = [c for c in list(self._connections) if c.state is State.SERVED]
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
        self._wake()

    def is_mine(self) -> bool:
        """Says whether the thread that asks runs the loop, so that waiting would be for itself."""
        return threading.current_thread() is self._thread

    def is_called(self) -> bool:
        """Says whether the thread that asks runs a handler."""
        if self._workers is not None:
            return self._workers.ours()
        return threading.current_thread() is self._thread and any(
            connection.state is State.SERVED for connection in self._connections
        )

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # it is awake, or has ended
            self._waker.send(b"\0")

    def _is_done(self) -> bool:
        if self._is_over():
            return True
        if self._phase is _Phase.SERVING:
            return False
        if len(self._connections) <= self._askers:
            self._quiet.set()
        return not self._connections and not self._leaving

    def _is_over(self) -> bool:
        return self._end is not None and time.monotonic() >= self._end

    def _patience(self, sweep: float) -> float:
        """Gives the seconds until something is to be done even if nothing happens."""
        if self._phase is _Phase.SERVING:
            times = [sweep, self._drain_at, None if self._accepting else self._resume]
        else:
            quiet = [c.since + QUIET for c in self._connections if _is_idle(c)]
            times = [self._end, *quiet, *self._leaving.values()]
        return max(0.0, min(filter(None, times)) - time.monotonic())

    def _watch_listener(self) -> None:
        """Accepts while there is room; a single-handed server has room for one."""
        if self._share is not None:
            self._share.count(len(self._connections))
        wanted = (
            self._phase is _Phase.SERVING
            and time.monotonic() >= self._resume
            and (self._workers is not None or len(self._connections) < self._most)
        )
        if wanted and not self._accepting:
            self._selector.register(self._listener, selectors.EVENT_READ)
        elif self._accepting and not wanted:
            self._selector.unregister(self._listener)
        self._accepting = wanted

    def _accept_some(self) -> None:
        if self._share is None:
            self._accept(_ACCEPTS_A_TURN if self._workers is not None else 1)
        elif self._share.leaves(len(self._connections)):
            self._resume = time.monotonic() + MOMENT
        else:
            self._accept(1)

    def _accept(self, most: int) -> None:
        for _ in range(most):
            try:
                sock, where = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _NO_ROOM:
                    self._say_full(f"cannot accept connections: {error.strerror}")
                    self._resume = time.monotonic() + _PAUSE
                    return
                continue  # that client is gone again
            self._resume = 0.0
            if len(self._connections) >= self._most:
                self._refuse(sock)
                continue
            try:
                connection = Connection(sock, _peer(where), self._limits)
            except OSError:
                sock.close()
                continue
            self._connections.add(connection)
            self._give_back(connection, Next.BYTES)

    def _say_full(self, what: str) -> None:
        now = time.monotonic()
        if now >= self._say_again:
            self._say_again = now + _SILENCE
            _log.error("%s (%d are open; said once a minute)", what, len(self._connections))

    def _refuse(self, sock: socket.socket) -> None:
        self._say_full("refused a connection: the limit of connections is reached")
        with sock, contextlib.suppress(OSError):
            problem = f"the server has its {self._most} connections"
            sock.send(encode_fault(FaultCode.UNAVAILABLE, problem), socket.MSG_DONTWAIT)

    def _hand(self, connection: Connection) -> None:
        with self._lock:
            self._selector.unregister(connection.sock)
            connection.state = State.READY
        if self._workers is None:
            self._serve(connection)
        else:
            self._workers.hand(connection)

    def _serve(self, connection: Connection) -> None:
        connection.state = State.SERVED
        then = Next.END
        try:
            urge = int if self._workers is None else self._workers.urge(len(self._connections))
            then = connection.serve(self._dispatcher, urge)
            while then is Next.THREAD and self._workers is None and not self._is_over():
                then = connection.serve(self._dispatcher, urge)
        except KeyboardInterrupt:
            if threading.current_thread() is self._thread:
                raise
            _log.exception("a handler was interrupted; its connection is closed")
        except BaseException:
            _log.exception("the connection of %s is closed: this is a fault of rpcgen", connection.peer)
        finally:
            self._give_back(connection, then)

    def _give_back(self, connection: Connection, then: Next) -> None:
        """Puts a connection where it belongs now; the thread that did must not touch it again."""
        if then is Next.THREAD and self._workers is not None and self._phase is not _Phase.CLOSED:
            connection.state = State.READY
            self._workers.hand(connection)
            return
        with self._lock:
            if then in _EVENTS and self._phase is not _Phase.CLOSED:
                connection.since = time.monotonic()
                self._watch(connection, _EVENTS[then], State.WAITING)
            else:
                if then is not Next.END:
                    connection.part()
                self._forget(connection)
        if self._drain_at is not None:
            self._wake()

    def _watch(self, connection: Connection, event: int, state: State) -> None:
        try:
            self._selector.register(connection.sock, event, connection)
            connection.state = state
        except OSError as error:
            _log.error("cannot watch the connection of %s: %s", connection.peer, error)
            self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        connection.state = State.CLOSED
        self._connections.discard(connection)
        self._leaving.pop(connection, None)
        self._heard.discard(connection)
        connection.sock.close()

    def _close_overdue(self) -> None:
        for connection in list(self._connections):
            if connection.state is State.WAITING and connection.is_overdue():
                self._drop(connection)

    def _begin_to_drain(self) -> None:
        """Ends accepting. Who is waiting for it may have sent a call: all of them are accepted."""
        if self._accepting:
            self._selector.unregister(self._listener)
            self._accepting = False
        self._share = None
        self._most = self._limits.connections
        self._accept(self._most)
        self._listener.close()
        self._phase = _Phase.DRAINING

    def _drain(self, now: float) -> None:
        """Hands on the connections on which something has come, and ends those that are quiet."""
        for connection in list(self._connections):
            if _is_idle(connection) and not self._is_over():
                has_come = connection.peek() is not None
                if has_come and connection not in self._heard:
                    self._heard.add(connection)
                    self._hand(connection)
                elif has_come or now >= connection.since + QUIET:
                    self._part(connection)
        for connection, until in list(self._leaving.items()):
            if now >= until:
                self._drop(connection)

    def _part(self, connection: Connection) -> None:
        connection.part()
        with self._lock:
            self._selector.unregister(connection.sock)
            self._connections.discard(connection)
            self._leaving[connection] = time.monotonic() + QUIET
            self._watch(connection, selectors.EVENT_READ, State.LEAVING)

    def _drop(self, connection: Connection) -> None:
        with self._lock:
            self._selector.unregister(connection.sock)
            self._forget(connection)

    def close(self) -> None:
        """Closes everything at once. For a loop that never ran, too."""
        with self._lock:
            if self._end is None:
                self._end = self._drain_at = time.monotonic()  # it was interrupted
            self._phase = _Phase.CLOSED
            for connection in list(self._connections):
                if connection.state is State.WAITING:
                    connection.part()
                    self._forget(connection)
                else:
                    connection.break_off()
            for connection in list(self._leaving):
                self._forget(connection)
            self._left = len(self._connections)
            self._selector.close()
        self._listener.close()
        if self._workers is not None:
            self._workers.stop(0.0 if self._left else 1.0)
        self._quiet.set()
        self._ended.set()
        self._waker.close()
        self._woken.close()


def _is_idle(connection: Connection) -> bool:
    return connection.state is State.WAITING and not connection.is_sending


def _peer(where: object) -> str:
    return f"{where[0]}:{where[1]}" if isinstance(where, tuple) else "a Unix socket"
