"""A client that does as it is told: a session over a socket, read only when the test says so."""

from __future__ import annotations

import asyncio
import socket
import typing

from rpcgen.runtime.wire.client import ClientSession
from rpcgen.runtime.wire.events import HELLO, Event


class Peer:
    """A connection of 127.0.0.1, from ``async with`` on.

    Args:
        port: Of the server.
        room: Bytes that the system keeps for it to read; None: as many as usual.
    """

    def __init__(self, port: int, room: int | None = None) -> None:
        self.session = ClientSession()
        self.sock = socket.socket()
        if room is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        self.sock.setblocking(False)
        self._port = port
        self._events: list[Event] = []

    async def __aenter__(self) -> typing.Self:
        await asyncio.get_running_loop().sock_connect(self.sock, ("127.0.0.1", self._port))
        return self

    async def __aexit__(self, *error: object) -> None:
        self.sock.close()

    async def flush(self) -> None:
        """Sends what the session has to send."""
        for piece in self.session.data_to_send():
            await asyncio.get_running_loop().sock_sendall(self.sock, piece)

    async def events(self, count: int) -> list[typing.Any]:
        """Sends, then reads until so many events have come; HELLO is not counted."""
        await self.flush()
        while len(self._events) < count:
            data = await asyncio.get_running_loop().sock_recv(self.sock, 65536)
            found = self.session.receive(data) if data else self.session.receive_end()
            self._events += [event for event in found if event[0] != HELLO]
            assert data or len(self._events) >= count, self._events
        events, self._events = self._events[:count], self._events[count:]
        return events
