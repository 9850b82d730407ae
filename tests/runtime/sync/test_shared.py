"""Threads that share a connection, before servers that take nothing until they are rid of what they send."""

from __future__ import annotations

import collections.abc
import socket

import pytest

from rpcgen import runtime as rpc
from tests.support import framed, services
from tests.support.raw import exactly
from tests.support.speech import MULTIPLEXED
from tests.support.threads import in_thread

LONG = bytes(8 << 20)
"""More than the buffers of a connection hold."""

CALL, PING = 1, 5


class Peer:
    """A server made by hand: one connection, frames as they come."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.sock: socket.socket | None = None

    def accept(self) -> socket.socket:
        sock, _ = self.listener.accept()
        sock.settimeout(20)
        assert exactly(sock, len(framed.PREFACE)) == framed.PREFACE
        sock.sendall(MULTIPLEXED.opening)
        self.sock = sock
        return sock

    def next_call(self) -> int:
        """Reads up to the next CALL's end; gives its id."""
        assert self.sock is not None
        while True:
            size = int.from_bytes(exactly(self.sock, 4), "big")
            frame = exactly(self.sock, size)
            assert len(frame) == size
            if frame[0] == CALL:
                return int.from_bytes(frame[2:6], "big")

    def close(self) -> None:
        self.listener.close()
        if self.sock is not None:
            self.sock.close()


@pytest.fixture
def peer() -> collections.abc.Iterator[Peer]:
    made = Peer()
    yield made
    made.close()


class Note(rpc.MessageProtocol[None]):
    """oneway void note(1: bytes data)"""

    name = "note"
    params = (rpc.Param(1, "data", rpc.BYTES),)
    returns = rpc.VOID
    oneway = True


@pytest.mark.parametrize("oneway", [False, True], ids=["with a reply", "oneway"])
def test_who_sends_receives_if_nobody_else_does(peer: Peer, oneway: bool) -> None:
    """The server owes a long reply to a call whose client waits no longer, and takes nothing until it is rid of it."""
    with rpc.Channel("127.0.0.1", peer.port, multiplex=True, contract="off", timeout=30) as channel:
        stub = services.ClientStub(channel)
        first, gave_up = in_thread(lambda: rpc.with_options(stub, timeout=0.3).echo(b"x"))
        sock = peer.accept()
        owed = peer.next_call()
        second, answered = in_thread(lambda: channel.call(Note, (LONG,)) if oneway else stub.echo(LONG))
        first.join()
        assert isinstance(gave_up[0], rpc.DeadlineExceeded)
        reply = b"\x01" + len(LONG).to_bytes(4, "big") + LONG
        sock.sendall(framed.frame(2, 0, owed, reply))
        call_id = peer.next_call()
        if not oneway:
            sock.sendall(framed.frame(2, 0, call_id, b"\x01\0\0\0\x02ok"))
        second.join()
        assert answered == [None if oneway else b"ok"]


def test_who_receives_goes_on_until_its_own_call_has_ended(peer: Peer) -> None:
    """What comes first may be for another, whose thread sleeps and would receive nothing."""
    with rpc.Channel("127.0.0.1", peer.port, multiplex=True, contract="off", timeout=30) as channel:
        stub = services.ClientStub(channel)
        threads = [in_thread(lambda: stub.echo(b"x"))]
        sock = peer.accept()
        ids = [peer.next_call()]
        threads += [in_thread(lambda: stub.echo(LONG)) for _ in range(3)]
        # The server answers what it has read before it reads on, again and again, and pings in between.
        for _ in range(3):
            for _ in range(20):
                sock.sendall(framed.frame(PING, 0, 0, bytes(8)))
            reply = b"\x01" + len(LONG).to_bytes(4, "big") + LONG
            sock.sendall(framed.frame(2, 0, ids[-1], reply))
            ids.append(peer.next_call())
        sock.sendall(framed.frame(2, 0, ids[-1], reply))
        for thread, _ in threads:
            thread.join()
        assert [found for _, found in threads] == [[LONG]] * 4
