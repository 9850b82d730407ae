"""A framed client that does as it is told: a session over a blocking socket, read only when the test says so."""

from __future__ import annotations

import socket
import typing

from rpcgen.runtime.wire.client import ClientSession
from rpcgen.runtime.wire.events import HELLO, Event
from rpcgen.runtime.wire.hello import Terms

BLOCK = bytes.fromhex("01 000000c8 02 00000064")
"""Of divide(200, 100)."""


class FramedClient:
    """A connection to 127.0.0.1, which ``with`` closes.

    Args:
        port: Of the server.
        terms: Of the session.
        room: Bytes that the system keeps for it to read; None: as many as usual.
    """

    def __init__(self, port: int, terms: Terms | None = None, *, room: int | None = None) -> None:
        self.session = ClientSession(terms)
        self.sock = socket.socket()
        if room is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        self.sock.settimeout(30)
        self.sock.connect(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._events: list[Event] = []

    def __enter__(self) -> typing.Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.sock.close()

    def call(self, name: str, block: bytes = b"", **options: typing.Any) -> int:
        """Queues a call; gives its id, which is its caller in events, too."""
        caller = self.session._last + 1
        return self.session.send_call(name, block, caller=caller, **options)

    def flush(self) -> None:
        """Sends what the session has to send."""
        for piece in self.session.data_to_send():
            self.sock.sendall(piece)

    def events(self, count: int) -> list[typing.Any]:
        """Sends, then reads until so many events have come; HELLO is not counted."""
        self.flush()
        while len(self._events) < count:
            data = self.sock.recv(65536)
            found = self.session.receive(data) if data else self.session.receive_end()
            self._events += [event for event in found if event[0] != HELLO]
            self.flush()
            assert data or len(self._events) >= count, self._events
        events, self._events = self._events[:count], self._events[count:]
        return events

    def greet(self) -> None:
        """Waits for the server's HELLO."""
        self.flush()
        while self.session.peer is None:
            self._events += [
                event for event in self.session.receive(self.sock.recv(65536)) if event[0] != HELLO
            ]
