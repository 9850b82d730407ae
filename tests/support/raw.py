"""A client without any library: bytes to a server, bytes from it."""

from __future__ import annotations

import contextlib
import socket
import typing

CALL = bytes.fromhex("00000006 646976696465 0000000a 01 000000c8 02 00000064")
"""divide(200, 100)"""
RETURNED = bytes.fromhex("01 40000000")
"""2.0"""


@contextlib.contextmanager
def connection(port: int) -> typing.Iterator[socket.socket]:
    """Connects to 127.0.0.1; a receive that waits 20 s fails."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield sock


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Gives the two ends of a TCP connection, as ``socket.socketpair`` does of another kind."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
    for end in (one, other):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return one, other


def call(name: str, arguments: bytes = b"") -> bytes:
    """Gives a call message."""
    encoded = name.encode()
    return len(encoded).to_bytes(4, "big") + encoded + len(arguments).to_bytes(4, "big") + arguments


def exactly(sock: socket.socket, size: int) -> bytes:
    """Receives so many bytes; fewer if the connection ends."""
    data = bytearray()
    while len(data) < size and (more := sock.recv(size - len(data))):
        data += more
    return bytes(data)


def to_the_end(sock: socket.socket) -> bytes:
    """Receives until the server closes, or resets, the connection."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while more := sock.recv(65536):
            data += more
    return data


def fault(sock: socket.socket) -> str:
    """Receives a fault and gives its text."""
    assert exactly(sock, 1) == b"\0"
    return exactly(sock, int.from_bytes(exactly(sock, 4), "big")).decode()
