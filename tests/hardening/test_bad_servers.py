"""Channels of every kind, and servers that say what no server says: each call ends, as what it is, and nothing is left.

After each, the same channel calls a server that is well, at the same address.
"""

from __future__ import annotations

import contextlib
import socket
import typing

import pytest

from rpcgen import runtime as rpc
from rpcgen.runtime.wire.server import ServerSession
from tests.hardening import cases
from tests.hardening.callers import KINDS, Caller
from tests.support import peers, raw
from tests.support.framed import HELLO, PREFACE, frame, text
from tests.support.waiting import PATIENCE

Behaviour: typing.TypeAlias = typing.Callable[[socket.socket], object]

QUICK = 0.3
"""Seconds given to calls that are never answered."""


class Case(typing.NamedTuple):
    """What a server answers to a call, and what that call comes to.

    Args:
        data: What it sends once the call has come.
        outcome: The classes of errors that it may be; or the result.
        words: In the error.
        stays: The server then keeps the connection open and says nothing more; else it ends it.
    """

    data: bytes
    outcome: object
    words: str = ""
    stays: bool = True


LOST, WRONG, LATE = rpc.ConnectionLost, rpc.ProtocolError, rpc.DeadlineExceeded
u32 = cases.u32
REPLY = frame(2, 0, 1, raw.RETURNED)

FRAMED = {
    "nothing": Case(b"", LOST, stays=False),
    "HELLO and no more": Case(HELLO, LOST, stays=False),
    "HELLO and silence": Case(HELLO, LATE),
    "garbage": Case(b"\xff" * 64, WRONG, "are no frame"),
    "a plain reply": Case(raw.RETURNED, WRONG, 'protocol="plain"'),
    "text": Case(b"HTTP/1.1 400 Bad Request\r\n\r\n", WRONG, "are no frame"),
    "another version": Case(PREFACE[:-1] + b"\7", WRONG, "up to version 7"),
    "a reply before HELLO": Case(REPLY, WRONG, "but a peer's first is HELLO"),
    "HELLO twice": Case(HELLO * 2, WRONG, "which is not to come"),
    "a HELLO that is none": Case(frame(0, 0, 0, b"\1" + u32(2**31)), WRONG, "HELLO's properties"),
    "half a reply": Case(HELLO + REPLY[:-2], LOST, stays=False),
    "half a reply and silence": Case(HELLO + REPLY[:-2], LATE),
    "a reply to a call that was never sent": Case(HELLO + frame(2, 0, 7, raw.RETURNED), WRONG, "was never sent"),
    "a reply to call 0": Case(HELLO + frame(2, 0, 0, raw.RETURNED), WRONG, "has call id 0"),
    "an empty reply": Case(HELLO + frame(2, 0, 1), WRONG, "a REPLY to call 1 that is none"),
    "a reply of kind 0": Case(HELLO + frame(2, 0, 1, b"\0" + text("X")), WRONG, "a REPLY to call 1 that is none"),
    "a reply that is too short": Case(HELLO + frame(2, 0, 1, b"\1\0"), rpc.DecodeError, "divide"),
    "a reply that is too long": Case(HELLO + frame(2, 0, 1, raw.RETURNED + b"\0"), rpc.DecodeError, "divide"),
    "an exception that is not known": Case(HELLO + frame(2, 0, 1, b"\x09" + text("x")), rpc.RemoteFault),
    "a frame beyond the limit": Case(HELLO + u32(2**31) + b"\2\0" + u32(1), WRONG, "the limit is"),
    "a frame of -1": Case(HELLO + u32(2**32 - 1), WRONG, "the limit is"),
    "a frame of nothing": Case(HELLO + u32(0), WRONG, "the least is 6"),
    "a CALL": Case(HELLO + cases.CALLING, WRONG, "which is not to come"),
    "a CANCEL": Case(HELLO + frame(4, 0, 1), WRONG, "which is not to come"),
    "a PONG of nothing": Case(HELLO + frame(6, 0, 0, bytes(8)), WRONG, "a PONG that answers no PING"),
    "an unknown kind": Case(HELLO + frame(99, 0, 1), WRONG, "kind 99"),
    "an unknown flag": Case(HELLO + frame(2, 0x40, 1, raw.RETURNED), WRONG, "flags 0x40"),
    "a fault of an unknown code": Case(HELLO + frame(3, 0, 1, b"\xee" + text("?") + u32(0)), rpc.RemoteFault, "INTERNAL"),
    "a fault that is none": Case(HELLO + frame(3, 0, 1, b"\5" + u32(2**31)), WRONG, "a FAULT's message"),
    "a bomb": Case(HELLO + frame(2, 1, 1, cases.packed("gzip", cases.BOMB, cases.LIMIT)), WRONG, "holds more than"),
    "metadata beyond the limit": Case(HELLO + frame(2, 2, 1, u32(1) + text("k") + text("v" * 20_000) + raw.RETURNED), WRONG, "metadata of"),
    "GOAWAY for the call": Case(HELLO + frame(7, 0, 0, u32(0) + text("gone")), (rpc.Unavailable, 2.0), "gone"),
    "GOAWAY that rises": Case(HELLO + frame(7, 0, 0, u32(1) + text("")) + frame(7, 0, 0, u32(2) + text("")), WRONG, "after one up to 1"),
    "a refusal": Case(HELLO + frame(3, 0, 0, b"\5" + text("full") + u32(0)), (rpc.Unavailable, 2.0), "full"),
    "a refusal of credentials": Case(HELLO + frame(3, 0, 0, b"\7" + text("who?") + u32(0)), rpc.RemoteFault, "UNAUTHENTICATED"),
    "PINGs and no reply": Case(HELLO + b"".join(frame(5, 0, 0, bytes(8)) for _ in range(50)), (LATE, LOST)),
    "kinds to be ignored, and the reply": Case(HELLO + frame(0x80, 0xFF, 3) * 1000 + REPLY, 2.0),
    "the reply twice": Case(HELLO + REPLY * 2, (2.0, WRONG)),
    "the reply and garbage": Case(HELLO + REPLY + b"\xff" * 100_000, (2.0, WRONG)),
}  # fmt: skip

PLAIN = {
    "nothing": Case(b"", LOST, stays=False),
    "silence": Case(b"", LATE),
    "half a reply": Case(raw.RETURNED[:-1], LOST, stays=False),
    "half a reply and silence": Case(raw.RETURNED[:-1], LATE),
    "an exception that is not known": Case(b"\x09" + text("x"), rpc.RemoteFault),
    "an exception of 2^31": Case(b"\2" + u32(2**31), WRONG),
    "an exception that is not UTF-8": Case(b"\2" + u32(1) + b"\xff", rpc.DecodeError),
    "a fault of 2^31": Case(b"\0" + u32(2**31), WRONG),
    "a fault without a code": Case(b"\0" + text("what?"), rpc.RemoteFault, "what?"),
    "a fault that is not UTF-8": Case(b"\0" + u32(2) + b"\xff\xfe", (rpc.RemoteFault, WRONG)),
    "frames": Case(HELLO + REPLY, (LOST, LATE, rpc.RemoteFault, WRONG), stays=False),
    "text": Case(b"HTTP/1.1 400 Bad Request\r\n\r\n", (LOST, WRONG, rpc.RemoteFault), stays=False),
    "the reply twice": Case(raw.RETURNED * 2, (2.0, WRONG)),
    "the reply and garbage": Case(raw.RETURNED + b"\xff" * 100_000, (2.0, WRONG)),
}  # fmt: skip


def saying(case: Case) -> Behaviour:
    """Answers the first call as the case says, and further ones well."""

    def behave(sock: socket.socket) -> None:
        session = ServerSession()
        first = sock.recv(65536)
        is_plain = first[0] == 0
        if not is_plain:
            session.receive(first)
            session.data_to_send()
        sock.sendall(case.data)
        while case.stays and (data := sock.recv(65536)):
            sock.sendall(raw.RETURNED if is_plain else answered(session, data))

    return behave


def answered(session: ServerSession, data: bytes) -> bytes:
    """Gives what answers the calls that have come."""
    for event in session.receive(data):
        if event[0] == 1:
            session.send_reply(event[1], raw.RETURNED)
    return b"".join(session.data_to_send())


def well(sock: socket.socket) -> None:
    """Answers calls until the client ends the connection, framed or plain ones."""
    session = ServerSession()
    while data := sock.recv(65536):
        sock.sendall(raw.RETURNED if data[0] == 0 and session.peer is None else answered(session, data))


@contextlib.contextmanager
def calling(kind: str, *behaviours: Behaviour) -> typing.Iterator[Caller]:
    make, way, options = KINDS[kind]
    try:
        with make(1, way, **options):
            pass
    except TypeError as error:
        pytest.skip(str(error))
    with peers.server(*behaviours) as port, make(port, way, **options) as caller:
        yield caller


def problem(found: object, case: Case) -> object:
    """Gives what is not as expected; None if all is."""
    expected = case.outcome if isinstance(case.outcome, tuple) else (case.outcome,)
    for each in expected:
        if isinstance(each, type) and isinstance(found, each):
            return None if case.words in str(found) else f"{found!r}: {found}"
        if found == each:
            return None
    return f"{found!r}: {found}"


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_a_server_says_the_call_ends_and_the_next_is_well(kind: str) -> None:
    wrong = {}
    for name, case in (FRAMED if KINDS[kind][1] == "framed" else PLAIN).items():
        with calling(kind, saying(case), well, well) as caller:
            found = caller.divide(QUICK if case.outcome in (LATE, (LATE, LOST)) else PATIENCE)
            wrong[name] = problem(found, case)
            # What is wrong behind the reply may be found with the next call only, on the connection that was kept.
            after = [caller.divide(QUICK if case.stays else PATIENCE) for _ in range(2)]
            if after[-1] != 2.0:
                wrong[name] = f"the next calls: {after}"
    assert {name: what for name, what in wrong.items() if what is not None} == {}


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_reads_nothing(kind: str) -> None:
    def hold(sock: socket.socket) -> None:
        ended.recv(1)

    end, ended = socket.socketpair()
    with end, ended, calling(kind, hold) as caller:
        assert isinstance(caller.echo(bytes(15_000_000), QUICK), LATE)
        end.close()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if KINDS[kind][1] == "framed"])
def test_replies_in_any_order_and_too_late(kind: str) -> None:
    def late(sock: socket.socket) -> None:
        session = ServerSession()
        come: list[int] = []
        while data := sock.recv(65536):
            for event in session.receive(data):
                if event[0] == 1:
                    come.append(event[1])
                elif event[0] == 4 and come:
                    session.send_reply(come.pop(0), b"\1" + bytes(4))
            if len(come) > 1:  # only a call after one that is too late
                for call_id in reversed(come):
                    session.send_reply(call_id, raw.RETURNED)
                come.clear()
            sock.sendall(b"".join(session.data_to_send()))

    with calling(kind, late, well) as caller:
        assert isinstance(caller.divide(QUICK), LATE)
        for _ in range(3):
            found = caller.divide(QUICK)
            assert found == 2.0 or isinstance(found, LATE)
