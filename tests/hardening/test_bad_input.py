"""Servers of every kind get what is no call, over real sockets; others' calls go on meanwhile.

The whole table goes to each server through one test a part of it: a test for each line would take longer to
begin and end than to run.
"""

from __future__ import annotations

import contextlib
import socket
import typing

import pytest

from tests.hardening import cases
from tests.hardening.bystander import Bystander
from tests.hardening.connections import client, fault_of, next_frame, skip_unless_framed
from tests.hardening.target import KINDS, WORKERS, Target
from tests.support import raw
from tests.support.framed import frame, text

pytestmark = pytest.mark.usefixtures("bystander")


@pytest.fixture(
    scope="module",
    params=[pytest.param(kind, marks=pytest.mark.xdist_group(f"bad {kind}")) for kind in (*KINDS, WORKERS)],
)
def target(request: pytest.FixtureRequest) -> typing.Iterator[Target]:
    with Target(request.param) as running:
        yield running


@pytest.fixture
def bystander(target: Target) -> typing.Iterator[Bystander]:
    """Somebody whose calls go on during each test, and are all answered."""
    with Bystander(target.port) as other:
        yield other


def answer(sock: socket.socket, call: cases.Call, *, framed: bool) -> str:
    """Makes a call that is refused, and one that is not; gives the fault."""
    if not framed:
        sock.sendall(raw.call(call.method, call.block))
        fault = raw.fault(sock)
        sock.sendall(raw.CALL)
        assert raw.exactly(sock, 5) == raw.RETURNED
        return fault
    sock.sendall(frame(1, 0, 1, cases.named(call.method, call.block)))
    found = next_frame(sock)
    assert found is not None
    assert found[:2] == (3, 1)
    sock.sendall(frame(1, 0, 2, cases.DIVIDING))
    assert next_frame(sock) == (2, 2, raw.RETURNED)
    return fault_of(found[2])


@pytest.mark.parametrize("framed", [False, True], ids=["plain", "framed"])
def test_calls_that_are_refused_leave_their_connection_as_it_is(target: Target, framed: bool) -> None:
    if framed:
        skip_unless_framed(target)
    wrong = {}
    for name, call in cases.CALLS.items():
        with client(target, framed=framed) as sock:
            try:
                fault = answer(sock, call, framed=framed)
            except (AssertionError, OSError) as error:
                fault = repr(error)
        if not fault.startswith(f"{call.code}: ") or not all(word in fault for word in call.words):
            wrong[name] = fault
        assert "secret" not in fault
    assert wrong == {}


@pytest.mark.parametrize("part", ["PLAIN", "FRAMED", "OPENING"])
def test_bytes_that_are_no_calls_end_their_connection_with_one_line(target: Target, part: str) -> None:
    if part != "PLAIN":
        skip_unless_framed(target)
    target.forget()
    wrong: dict[str, object] = {}
    for name, stream in getattr(cases, part).items():
        with client(target, framed=part == "FRAMED") as sock:
            peer = "{}:{}".format(*sock.getsockname())
            with contextlib.suppress(OSError):  # it may have been refused before all was sent
                sock.sendall(stream.data)
            try:
                told = raw.to_the_end(sock)
            except TimeoutError:
                wrong[name] = "the connection is still open"
                continue
        assert b"secret" not in told
        target.says(peer)
        lines = target.lines(peer)
        begin = f"closed the connection of {peer}: "
        if len(lines) != 1 or begin not in lines[0] or stream.words not in lines[0]:
            wrong[name] = lines
    assert wrong == {}


@pytest.mark.parametrize("milliseconds", [0, 50])
def test_a_client_that_takes_leave_gets_its_replies_and_the_end(target: Target, milliseconds: int) -> None:
    skip_unless_framed(target)
    arguments = b"\1" + cases.u32(milliseconds)
    with client(target, framed=True) as sock:
        sock.sendall(
            frame(1, 0, 1, cases.named("wait", arguments)) + frame(7, 0, 0, bytes(4) + text("enough"))
        )
        assert next_frame(sock) == (2, 1, arguments)
        found = next_frame(sock)
        assert found is None or found[0] == 7
        assert raw.to_the_end(sock) == b""
    with client(target, framed=True) as sock:
        sock.sendall(frame(7, 0, 0, bytes(4) + text("")))
        found = next_frame(sock)
        assert found is None or found[0] == 7
        assert raw.to_the_end(sock) == b""
