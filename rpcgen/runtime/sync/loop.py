"""The loop of a blocking server: accepts, watches idle connections, hands those with work on.

One thread runs it. Worker threads only give connections back and wake it; without workers
it serves a connection itself, and accepts the next when that one is closed. Draining is the
same loop, without a listener, until the connections are gone or the time is up.
"""

from __future__ import annotations

import collections.abc
import contextlib
import errno
import logging
import selectors
import socket
import threading
import time

from rpcgen.runtime.dispatch import Dispatcher
from rpcgen.runtime.errors import FaultCode
from rpcgen.runtime.sync.connection import Connection, Next, State
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

_EVENTS = {Next.BYTES: selectors.EVENT_READ, Next.ROOM: selectors.EVENT_WRITE}


class Loop:
    """Serves what comes to a listening socket until it is told to stop.

    Args:
        listener: Does not block; the loop closes it.
        dispatcher: Answers the calls.
        limits: Of messages and connections.
        max_workers: Threads that serve; 0: the loop's own thread does, one connection at a time.
        name: Of its threads.
    """

    def __init__(
        self, listener: socket.socket, dispatcher: Dispatcher, limits: Limits, max_workers: int, name: str
    ) -> None:
        self._listener = listener
        self._dispatcher = dispatcher
        self._limits = limits
        self._most = limits.connections if max_workers else 1
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
        self._end: float | None = None
        """When draining ends; None while serving."""
        self._askers = 0
        """Handlers that wait in ``stop`` for the other calls."""
        self._quiet = threading.Event()
        """Nothing is left but the calls of those who ask."""
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()
        self._closed = False
        """Nothing may be given to the selector any more."""
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
                        self._accept()
                    else:
                        self._hand(key.data)
                if self._end is not None:
                    self._close_waiting(lambda connection: not connection.is_sending)
                elif time.monotonic() >= sweep:
                    self._close_waiting(Connection.is_overdue)
                    sweep = time.monotonic() + interval
        finally:
            self._close()

    def stop(self, grace: float) -> bool:
        """Stops accepting, lets running calls end and closes; waits until that is done.

        Args:
            grace: Seconds that running calls have left; an earlier end stays.

        Returns:
            Whether all calls ended in time. In a handler its own call does not count.
        """
        self.ask_to_stop(grace)
        if self._workers is None and threading.current_thread() is self._thread:
            return True  # its one connection is the one that this handler answers
        if self.is_called():
            with self._lock:
                self._askers += 1
            self._wake()
            done = self._quiet.wait(grace + 1)
            with self._lock:
                self._askers -= 1
            return done
        self._ended.wait(grace)
        if not self._ended.is_set() and self._workers is None and self._connections:
            # The loop's own thread is in a handler: nobody else can let its client go.
            for connection in list(self._connections):
                connection.break_off()
            return False
        self._ended.wait()
        return self._left == 0

    def ask_to_stop(self, grace: float) -> None:
        """Begins to drain; safe in a signal handler."""
        self._dispatcher.serving = False
        end = time.monotonic() + grace
        self._end = end if self._end is None else min(end, self._end)
        self._wake()

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
        if self._end is None:
            return False
        if len(self._connections) <= self._askers:
            self._quiet.set()
        return not self._connections or time.monotonic() >= self._end

    def _patience(self, sweep: float) -> float:
        until = sweep if self._end is None else self._end
        if not self._accepting and self._resume:
            until = min(until, self._resume)
        return max(0.0, until - time.monotonic())

    def _watch_listener(self) -> None:
        """Accepts while there is room; a single-handed server has room for one."""
        wanted = (
            self._end is None
            and time.monotonic() >= self._resume
            and (self._workers is not None or len(self._connections) < self._most)
        )
        if wanted and not self._accepting:
            self._selector.register(self._listener, selectors.EVENT_READ)
        elif self._accepting and not wanted:
            self._selector.unregister(self._listener)
        self._accepting = wanted
        if self._end is not None:
            self._listener.close()

    def _accept(self) -> None:
        for _ in range(_ACCEPTS_A_TURN if self._workers is not None else 1):
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
        if then is Next.THREAD and self._workers is not None and not self._closed:
            connection.state = State.READY
            self._workers.hand(connection)
            return
        with self._lock:
            draining = self._end is not None and then is not Next.ROOM
            if then in _EVENTS and not draining and not self._closed:
                connection.since = time.monotonic()
                try:
                    self._selector.register(connection.sock, _EVENTS[then], connection)
                    connection.state = State.WAITING
                    return
                except OSError as error:
                    _log.error("cannot watch the connection of %s: %s", connection.peer, error)
            self._forget(connection)
        if self._end is not None:
            self._wake()

    def _forget(self, connection: Connection) -> None:
        connection.state = State.CLOSED
        self._connections.discard(connection)
        connection.sock.close()

    def _close_waiting(self, condition: collections.abc.Callable[[Connection], bool]) -> None:
        """Closes the waiting connections of which the condition holds."""
        for connection in list(self._connections):
            if connection.state is State.WAITING:
                with self._lock:
                    if connection.state is State.WAITING and condition(connection):
                        self._selector.unregister(connection.sock)
                        self._forget(connection)

    def _close(self) -> None:
        with self._lock:
            if self._end is None:
                self._end = time.monotonic()  # it was interrupted
            self._closed = True
            for connection in list(self._connections):
                if connection.state is State.WAITING:
                    self._forget(connection)
                else:
                    connection.break_off()
            self._left = len(self._connections)
            self._selector.close()
        self._listener.close()
        if self._workers is not None:
            self._workers.stop(0.0 if self._left else 1.0)
        self._quiet.set()
        self._ended.set()
        self._waker.close()
        self._woken.close()


def _peer(where: object) -> str:
    return f"{where[0]}:{where[1]}" if isinstance(where, tuple) else "a Unix socket"
