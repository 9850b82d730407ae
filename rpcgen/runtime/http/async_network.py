"""The streams under an asyncio channel over HTTP, as httpcore wants them: their times are those of calls.

As in ``network``, what httpcore calls a timeout is a ``Turn``, and TLS is done when a connection is made.
"""

from __future__ import annotations

import asyncio
import collections
import typing
from time import monotonic

import httpcore

from rpcgen.runtime.aio.client.dial import Dial, Dialled
from rpcgen.runtime.errors import CallError, Unavailable
from rpcgen.runtime.http.client import CLOSED, KEPT

if typing.TYPE_CHECKING:
    import collections.abc
    import ssl

    from rpcgen.runtime.address import Address
    from rpcgen.runtime.http.client import Turn


class AsyncNetwork:
    """Makes and keeps a channel's connections in one event loop: one a running call, the last used first.

    They are kept here: httpcore's own pool takes several times as long as all the rest of a call.

    Args:
        address: The server's.
        tls: Settings, and the name to expect if it is not the host; None: without TLS.
    """

    def __init__(self, address: Address, tls: tuple[ssl.SSLContext, str | None] | None) -> None:
        self._dial = Dial(address, tls)
        self._open: set[_Connection] = set()
        self._dialling: set[asyncio.Task[_Connection]] = set()
        self._origin = httpcore.Origin(b"http", address.host.encode(), address.port)
        self._idle: collections.deque[tuple[float, httpcore.AsyncHTTP11Connection, AsyncStream]] = (
            collections.deque()
        )
        """The last used last, each with the time when it was."""
        self._streams: dict[httpcore.AsyncHTTP11Connection, AsyncStream] = {}
        """Of connections that calls have."""
        self._closed = False

    def kept(self) -> httpcore.AsyncHTTP11Connection | None:
        """Gives a connection for a call, which is to be given back; None: none is kept."""
        while self._idle:
            used, connection, stream = self._idle.pop()
            if monotonic() - used < KEPT and not stream.is_over():
                self._streams[connection] = stream
                return connection
            stream.abort()
        return None

    def give_back(self, connection: httpcore.AsyncHTTP11Connection) -> None:
        """Keeps a connection after a call, if it can be used again; lets go of those not needed for long."""
        stream = self._streams.pop(connection)
        now = monotonic()
        if self._closed or not connection.is_idle():
            stream.abort()
        else:
            self._idle.append((now, connection, stream))
        while self._idle and now - self._idle[0][0] > KEPT:
            self._idle.popleft()[2].abort()

    async def made(self, turn: Turn) -> httpcore.AsyncHTTP11Connection:
        """Makes a connection for a call, as ``kept`` gives one.

        Raises:
            Unavailable, DeadlineExceeded: There is none; the call was not sent.
        """
        stream = await self._connected(turn)
        connection = httpcore.AsyncHTTP11Connection(self._origin, stream)
        self._streams[connection] = stream
        return connection

    async def _connected(self, turn: Turn) -> AsyncStream:
        turn.is_fresh = True
        if self._closed or turn.is_given_up:
            raise Unavailable(CLOSED)
        dialling = asyncio.get_running_loop().create_task(
            self._dial(lambda: _Connection(self._open.discard, self._open.add))
        )
        turn.end_it = dialling.cancel
        self._dialling.add(dialling)
        try:
            await asyncio.wait((dialling,), timeout=turn.left() or None)
        finally:
            self._dialling.discard(dialling)
        if not dialling.done():
            dialling.cancel()
            await asyncio.wait((dialling,))
        if dialling.cancelled():
            turn.left()
            raise Unavailable(CLOSED)
        try:
            connection = dialling.result()
        except CallError as error:
            turn.cause = error.__cause__
            raise
        if self._closed or turn.is_given_up:
            connection.transport.abort()
            raise Unavailable(CLOSED)
        return AsyncStream(connection)

    def break_off(self) -> None:
        """Ends all connections, and calls on them; no further ones are made."""
        self._closed = True
        for dialling in list(self._dialling):
            dialling.cancel()
        for connection in list(self._open):
            connection.transport.abort()

    async def close(self) -> None:
        """Does what ``break_off`` does; returns when all are closed."""
        closing = list(self._open)
        self.break_off()
        if closing:
            await asyncio.wait([connection.closed for connection in closing])

    def leave_to_parent(self) -> None:
        """In a forked child: closes this process's copies of what the parent goes on using."""
        for connection in self._open:
            connection.leave_to_parent()


class _Connection(Dialled, asyncio.StreamReaderProtocol):
    """What asyncio tells goes to a reader, and its end to whom it concerns.

    Args:
        gone: Told when it is closed.
        here: Told when it is open.
    """

    transport: asyncio.Transport

    def __init__(
        self,
        gone: collections.abc.Callable[[_Connection], None],
        here: collections.abc.Callable[[_Connection], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        self.reader = asyncio.StreamReader(loop=loop)
        super().__init__(self.reader, loop=loop)
        self._gone = gone
        self._here = here
        self.closed: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport = typing.cast("asyncio.Transport", transport)
        self.writer = asyncio.StreamWriter(self.transport, self, self.reader, asyncio.get_running_loop())
        self._here(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._gone(self)
        self.closed.set_result(None)


class AsyncStream(httpcore.AsyncNetworkStream):
    """A connection as httpcore uses it.

    Args:
        connection: Open.
    """

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Gives something of the response; ``b""`` at its end.

        Raises:
            ConnectionLost, Unavailable: The connection is broken.
            DeadlineExceeded: The time is up.
        """
        turn = typing.cast("Turn", timeout)
        try:
            data: bytes = await self._within(turn, self._connection.reader.read(max_bytes))
        except OSError as error:
            turn.cause = error
            raise turn.broken(f"the connection broke: {error.strerror or error}") from error
        if data:
            turn.begun()
        else:
            turn.is_ended = True
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Sends it, the headers of a request with its body.

        Raises:
            httpcore.WriteError: The connection is broken; there may be a response all the same.
            DeadlineExceeded: The time is up.
        """
        turn = typing.cast("Turn", timeout)
        turn.end_it = self._connection.transport.abort
        if turn.is_given_up:
            turn.end_it()
        data = turn.together(buffer)
        if not data:
            return
        turn.is_sent = False
        try:
            self._connection.writer.write(data)
            await self._within(turn, self._connection.writer.drain())
        except OSError as error:
            turn.is_cut = True
            raise httpcore.WriteError(str(error)) from error
        turn.is_sent = True

    async def _within(
        self, turn: Turn, doing: collections.abc.Coroutine[typing.Any, typing.Any, typing.Any]
    ) -> typing.Any:
        try:
            wait = turn.left()
        except CallError:
            doing.close()
            raise
        if not wait:
            return await doing
        try:
            async with asyncio.timeout(wait):
                return await doing
        except TimeoutError:
            # Timers may come a little early.
            while True:
                await asyncio.sleep(turn.left())

    def abort(self) -> None:
        """Closes it, at once; again is harmless."""
        self._connection.transport.abort()

    async def aclose(self) -> None:
        """Does what ``abort`` does, for httpcore."""
        self.abort()

    def is_over(self) -> bool:
        """Says whether an idle connection is at its end."""
        return self._connection.reader.at_eof() or self._connection.transport.is_closing()
