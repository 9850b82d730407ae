"""Clients by hand, of plain and of framed messages."""

from __future__ import annotations

import contextlib
import socket
import struct
import typing

import pytest

from rpcgen import runtime as rpc
from tests.hardening.target import Target
from tests.support import raw
from tests.support.framed import HELLO, PREFACE
from tests.support.waiting import PATIENCE


def speaks_framed(target: Target) -> bool:
    """Says whether the server takes framed messages."""
    with raw.connection(target.port) as sock:
        sock.sendall(PREFACE + HELLO)
        return raw.exactly(sock, 5)[4:] == b"\0"


def skip_unless_framed(target: Target) -> None:
    """Skips where the server takes plain messages alone."""
    if not speaks_framed(target):
        pytest.skip("this kind of server takes plain messages alone")


@contextlib.contextmanager
def client(target: Target, *, framed: bool, timeout: float = PATIENCE) -> typing.Iterator[socket.socket]:
    """A connection; a framed one has said HELLO."""
    with raw.connection(target.port) as sock:
        sock.settimeout(timeout)
        if framed:
            sock.sendall(PREFACE + HELLO)
        yield sock


def next_frame(sock: socket.socket) -> tuple[int, int, bytes] | None:
    """Receives a frame that is no HELLO: kind, call id, payload; None at the end."""
    while True:
        head = raw.exactly(sock, 10)
        if len(head) < 10:
            assert head == b""
            return None
        length, kind, _, call_id = struct.unpack(">IBBI", head)
        payload = raw.exactly(sock, length - 6)
        if kind != 0:
            return kind, call_id, payload


def fault_of(payload: bytes) -> str:
    """Gives a FAULT's payload as plain messages say it."""
    size = int.from_bytes(payload[1:5], "big")
    return f"{rpc.FaultCode(payload[0]).name}: {payload[5 : 5 + size].decode()}"
