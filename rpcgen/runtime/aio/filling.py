"""Long messages: received where they will lie, and sent from where they are.

asyncio gives what comes as new ``bytes`` (quicker for small messages), or receives into memory that it
is shown (5 times quicker for long ones). A connection has the first, and ``Filling`` stands in its place
while a long frame is on its way.
"""

from __future__ import annotations

import asyncio
import typing
from time import monotonic

if typing.TYPE_CHECKING:
    from rpcgen.runtime.wire.events import Event
    from rpcgen.runtime.wire.session import Session
    from rpcgen.runtime.wire.tailed import Piece


A_RECEIVE: typing.Final = 64 * 1024
"""Bytes that are received at once as new ``bytes``."""


_LONG: typing.Final = 32 * 1024
"""Bytes of what is not copied where that can be helped."""

_SENT_WITH: typing.Final = 16 * 1024
"""Bytes of those that are joined with what comes before them."""


def receive_less(transport: asyncio.BaseTransport) -> None:
    """Makes one of asyncio's own transports receive at most ``A_RECEIVE`` at once; others are left as they are.

    By itself it makes room for 256 KiB before each receive, which the C library may ask the system for, and
    give back, each time: that can take twice as long as everything else about a small message.
    """
    if hasattr(transport, "max_size"):
        transport.max_size = A_RECEIVE


def write(transport: asyncio.WriteTransport, pieces: list[Piece]) -> None:
    """Gives a transport what is to be sent."""
    if len(pieces) == 1 and len(pieces[0]) < _LONG:
        transport.write(pieces[0])
        return
    before: list[Piece] = []
    for piece in pieces:
        if len(piece) < _LONG:
            before.append(piece)
            continue
        # asyncio sends at once what the system takes. Of a view it copies the rest once, of bytes twice;
        # and a few bytes alone would wake the peer for nothing.
        view = memoryview(piece)
        transport.write(b"".join((*before, view[:_SENT_WITH])))
        transport.write(view[_SENT_WITH:])
        before.clear()
    for piece in before:
        transport.write(piece)


class Framed(typing.Protocol):
    """A connection that has a session."""

    transport: asyncio.Transport

    @property
    def session(self) -> Session:
        """Its session."""

    def heed(self, events: list[Event], now: float) -> None:
        """Does what events say."""

    def eof_received(self) -> bool | None: ...
    def connection_lost(self, exc: Exception | None) -> None: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...


class Filling(asyncio.BufferedProtocol):
    """Stands in for a connection until its session has the whole frame.

    Args:
        connection: That shall stand there again afterwards; an ``asyncio.Protocol``.
    """

    def __init__(self, connection: Framed) -> None:
        self._connection = connection

    def get_buffer(self, sizehint: int) -> memoryview:
        space = self._connection.session.space()
        # The session has ended, by the other way: what still comes is for nobody.
        return memoryview(bytearray(4096)) if space is None else space

    def buffer_updated(self, nbytes: int) -> None:
        connection, now = self._connection, monotonic()
        session = connection.session
        events = session.filled(nbytes, now) if session.space() is not None else []
        if session.space() is None:
            connection.transport.set_protocol(typing.cast("asyncio.Protocol", connection))
            # Without events, too: the session may have an answer to send.
            connection.heed(events, now)

    def eof_received(self) -> bool | None:
        return self._connection.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()
