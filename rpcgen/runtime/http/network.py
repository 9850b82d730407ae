"""The sockets under a blocking channel over HTTP, as httpcore wants them: their times are those of calls.

What httpcore calls a timeout is a ``Turn`` here. TLS is done when a connection is made; httpcore sees none.
"""

from __future__ import annotations

import collections
import contextlib
import threading
import typing
from time import monotonic

import httpcore

from rpcgen.runtime.errors import CallError, DeadlineExceeded, Unavailable
from rpcgen.runtime.http.client import CLOSED, KEPT, NO_TURN
from rpcgen.runtime.sync.client.dial import dial, secured
from rpcgen.runtime.sync.client.line import Line, refused_by_tls

if typing.TYPE_CHECKING:
    import collections.abc
    import ssl

    from rpcgen.runtime.address import Address
    from rpcgen.runtime.http.client import Turn
    from rpcgen.runtime.sync.client.line import Socket
    from rpcgen.runtime.sync.tls import TlsSocket


class Network:
    """Keeps a channel's connections: one a running call, the last used first.

    They are kept here, because httpcore's own pool may close, as idle, one that another thread has just begun to use.

    Args:
        address: The server's.
        tls: Settings, and the name to expect if it is not the host; None: without TLS.
        most: Calls at once; None: no limit.
    """

    def __init__(
        self, address: Address, tls: tuple[ssl.SSLContext, str | None] | None, most: int | None
    ) -> None:
        self._address = address
        self._tls = tls
        self._turns = None if most is None else threading.Semaphore(most)
        self._origin = httpcore.Origin(b"http", address.host.encode(), address.port)
        self._idle: collections.deque[tuple[httpcore.HTTP11Connection, Stream]] = collections.deque()
        self._open: set[Stream] = set()
        self._closed = False

    @contextlib.contextmanager
    def connection(self, turn: Turn) -> collections.abc.Iterator[httpcore.HTTP11Connection]:
        """Gives a connection for a call, and keeps it after it, if it can be used again.

        Raises:
            Unavailable, DeadlineExceeded: There is none; the call was not sent.
        """
        turns = self._turns
        if turns is not None and not turns.acquire(timeout=turn.left() or None):
            raise DeadlineExceeded(NO_TURN)
        try:
            connection, stream = self._kept() or self._made(turn)
            try:
                yield connection
            finally:
                stream.used = monotonic()
                if connection.is_idle():
                    self._idle.append((connection, stream))
                    self._tidy()
                else:
                    stream.close()
        finally:
            if turns is not None:
                turns.release()

    def _kept(self) -> tuple[httpcore.HTTP11Connection, Stream] | None:
        with contextlib.suppress(IndexError):
            while True:
                connection, stream = self._idle.pop()
                if monotonic() - stream.used < KEPT and not stream.has_something():
                    return connection, stream
                stream.close()
        return None

    def _tidy(self) -> None:
        """Lets go of connections that nobody has needed for long: the first ones."""
        with contextlib.suppress(IndexError):
            while self._closed or monotonic() - self._idle[0][1].used > KEPT:
                self._idle.popleft()[1].close()

    def _made(self, turn: Turn) -> tuple[httpcore.HTTP11Connection, Stream]:
        turn.is_fresh = True
        if self._closed:
            raise Unavailable(CLOSED)
        try:
            sock = self._connect(turn.end)
        except CallError as error:
            turn.cause = error.__cause__
            raise
        stream = Stream(sock, self._open.discard)
        self._open.add(stream)
        if self._closed:
            stream.close()
            raise Unavailable(CLOSED)
        return httpcore.HTTP11Connection(self._origin, stream), stream

    def _connect(self, end: float | None) -> Socket:
        sock = dial(self._address, end)
        if self._tls is None:
            return sock
        return secured(sock, self._tls[0], self._tls[1] or self._address.host, end)

    def break_off(self) -> None:
        """Closes idle connections, and makes calls fail that other threads have on others; no further ones are made."""
        self._closed = True
        self._tidy()
        # Closing the descriptor under a thread that waits on it would wake nobody.
        for stream in list(self._open):
            stream.break_off()

    def abandon(self) -> None:
        """In a forked child: closes this process's descriptors, and says nothing."""
        for stream in list(self._open):
            stream.abandon()


class Stream(Line, httpcore.NetworkStream):
    """A connection.

    Args:
        sock: Connected and blocking.
        gone: Told when it is closed.
    """

    def __init__(self, sock: Socket, gone: collections.abc.Callable[[Stream], None]) -> None:
        super().__init__(sock)
        self._gone = gone

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Gives something of the response; ``b""`` at its end.

        Raises:
            ConnectionLost, Unavailable: The connection is broken.
            DeadlineExceeded: The time is up.
        """
        turn = typing.cast("Turn", timeout)
        try:
            while True:
                self._receive_within(turn.left())
                with contextlib.suppress(BlockingIOError):
                    data = self.sock.recv(max_bytes)
                    break
        except OSError as error:
            refusal = refused_by_tls(self.sock, error) if turn.is_fresh else None
            turn.cause = error
            if refusal is not None:
                raise Unavailable(f"{refusal}; the call was not sent") from error
            raise turn.broken(f"the connection broke: {error.strerror or error}") from error
        if data:
            turn.begun()
        else:
            turn.is_ended = True
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Sends it, the headers of a request with its body.

        Raises:
            httpcore.WriteError: The connection is broken; there may be a response all the same.
            DeadlineExceeded: The time is up.
        """
        turn = typing.cast("Turn", timeout)
        data = turn.together(buffer)
        try:
            if self._send_all(data, turn.end) < len(data):
                turn.is_sent = False
                turn.left()
        except OSError as error:
            turn.is_cut = True
            raise httpcore.WriteError(str(error)) from error

    def close(self) -> None:
        """Closes it; again is harmless."""
        self._gone(self)
        super().close()

    def has_something(self) -> bool:
        """Says whether an idle connection is at its end, or has something that nobody asked for."""
        if not self.is_readable():
            return False
        if self.is_tls:
            # What is readable may be TLS's own.
            with contextlib.suppress(OSError):
                return typing.cast("TlsSocket", self.sock).peek() is not None
        return True
