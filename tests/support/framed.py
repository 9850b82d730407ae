"""Framed connections without sockets: frames made by hand, sessions that have opened, bytes in pieces."""

from __future__ import annotations

import collections.abc
import itertools
import struct
import typing

import pytest

from rpcgen.runtime.wire.client import ClientSession
from rpcgen.runtime.wire.events import Event
from rpcgen.runtime.wire.hello import Terms
from rpcgen.runtime.wire.server import ServerSession
from rpcgen.runtime.wire.session import Session

PREFACE = bytes.fromhex("c1 52 50 43 47 45 4e 01")

HELLO = bytes.fromhex("00000006 00 00 00000000")
"""One that leaves everything out."""


@pytest.fixture(scope="module", autouse=True)
def codec_kind() -> str:
    """Sessions need no codec of methods: their tests run once."""
    return "none"


def frame(kind: int, flags: int = 0, call_id: int = 0, payload: bytes = b"") -> bytes:
    """Gives a frame's bytes, by nothing of what is tested."""
    return struct.pack(">IBBI", 6 + len(payload), kind, flags, call_id) + payload


def text(value: str) -> bytes:
    """Gives a string's bytes."""
    return struct.pack(">I", len(value.encode())) + value.encode()


def call(name: str, block: bytes = b"", milliseconds: int = 0) -> bytes:
    """Gives a CALL's payload."""
    return bytes([len(name)]) + name.encode() + struct.pack(">I", milliseconds) + block


def sent(session: Session) -> bytes:
    """Gives what a session has to send."""
    return b"".join(session.data_to_send())


def opened_client(terms: Terms | None = None, hello: bytes = HELLO) -> ClientSession:
    """Gives a client that has got the server's HELLO and sent its own."""
    client = ClientSession(terms)
    sent(client)
    assert [event[0] for event in client.receive(hello)] == [0]
    return client


def opened_server(terms: Terms | None = None, hello: bytes = HELLO) -> ServerSession:
    """Gives a server that has got the client's HELLO and sent its own."""
    server = ServerSession(terms)
    assert [event[0] for event in server.receive(PREFACE + hello)] == [0]
    sent(server)
    return server


def opened_pair(
    client_terms: Terms | None = None, server_terms: Terms | None = None
) -> tuple[ClientSession, ServerSession]:
    """Gives two sessions that have opened to each other."""
    client, server = ClientSession(client_terms), ServerSession(server_terms)
    server.receive(sent(client))
    client.receive(sent(server))
    return client, server


def in_pieces(
    session: Session, data: bytes, cuts: collections.abc.Iterable[int], *, into: bool = False
) -> list[Event]:
    """Gives the events of data that comes in pieces.

    Args:
        session: The receiver.
        data: All of it.
        cuts: Where pieces end.
        into: Through a buffer that is used again, and into ``space()`` where there is some.
    """
    events: list[Event] = []
    places = [0, *sorted(cuts), len(data)]
    for begin, end in itertools.pairwise(places):
        piece = data[begin:end]
        if not into:
            events += session.receive(piece)
            continue
        while piece:
            space = session.space()
            if space is not None:
                count = min(len(space), len(piece))
                space[:count] = piece[:count]
                events += session.filled(count)
            else:
                count = min(512, len(piece))
                buffer = bytearray(piece[:count])
                events += session.receive(memoryview(buffer))
                buffer[:] = bytes(count)
            piece = piece[count:]
    return events


def plain(events: list[Event]) -> list[typing.Any]:
    """Gives events so that they can be compared: views as bytes, errors as their class and text."""

    def flat(value: object) -> object:
        if isinstance(value, memoryview):
            return bytes(value)
        return (type(value).__name__, str(value)) if isinstance(value, Exception) else value

    return [tuple(flat(value) for value in event) for event in events]
