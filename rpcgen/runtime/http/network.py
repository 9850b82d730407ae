"""The sockets under a blocking channel over HTTP, as httpcore wants them: their times are those of calls.

What httpcore calls a timeout is a ``Turn`` here. TLS is done when a connection is made; httpcore sees none.
"""

from __future__ import annotations

import contextlib
import typing

import httpcore

from rpcgen.runtime.errors import CallError, Unavailable
from rpcgen.runtime.http.client import CLOSED
from rpcgen.runtime.sync.client.dial import dial, secured
from rpcgen.runtime.sync.client.line import Line, refused_by_tls

if typing.TYPE_CHECKING:
    import collections.abc
    import ssl

    from rpcgen.runtime.address import Address
    from rpcgen.runtime.http.client import Turn
    from rpcgen.runtime.sync.client.line import Socket
    from rpcgen.runtime.sync.tls import TlsSocket


class Network(httpcore.NetworkBackend):
    """Makes a channel's connections, and knows those that are open.

    Args:
        address: The server's.
        tls: Settings, and the name to expect if it is not the host; None: without TLS.
    """

    def __init__(self, address: Address, tls: tuple[ssl.SSLContext, str | None] | None) -> None:
        self._address = address
        self._tls = tls
        self._open: set[Stream] = set()
        self._closed = False

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: typing.Iterable[typing.Any] | None = None,
    ) -> Stream:
        """Gives a new connection, whatever host and port are said: there is one server.

        Raises:
            Unavailable, DeadlineExceeded: There is none; the call was not sent.
        """
        turn = typing.cast("Turn", timeout)
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
        return stream

    def _connect(self, end: float | None) -> Socket:
        sock = dial(self._address, end)
        if self._tls is None:
            return sock
        return secured(sock, self._tls[0], self._tls[1] or self._address.host, end)

    def break_off(self) -> None:
        """Makes calls fail that other threads have on connections; no further ones are made."""
        self._closed = True
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

    def get_extra_info(self, info: str) -> typing.Any:
        """Says what httpcore asks: whether an idle connection is readable, which is its end."""
        if info != "is_readable":
            return None
        is_readable = self.is_closed or self.is_readable()
        if is_readable and self.is_tls:
            # What is readable may be TLS's own.
            with contextlib.suppress(OSError):
                return typing.cast("TlsSocket", self.sock).peek() is not None
        return is_readable
