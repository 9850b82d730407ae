"""Hundreds of clients that send a byte now and then, or take nothing: others' calls go on, and these are let go.

How much they delay others is measured, not tested: ``python -m benchmarks slow_senders``.
"""

from __future__ import annotations

import contextlib
import pathlib
import socket
import time
import typing

import pytest

from tests.hardening import cases
from tests.hardening.bystander import Bystander
from tests.hardening.target import KINDS, Target
from tests.support import raw
from tests.support.framed import HELLO, PREFACE, frame
from tests.support.waiting import PATIENCE, until

COUNT = 300

KEPT = int(pathlib.Path("/proc/sys/net/ipv4/tcp_wmem").read_text().split()[2])
"""Bytes that the system keeps for a connection at most, of what is not received at the other end."""

MUCH = b"\1" + cases.u32(KEPT + 1_000_000)
"""Arguments of a call whose reply is more than that."""

LONG = bytes(1_000_000)

SLOW = {
    "plain": b"\0\0\0\6divide" + cases.u32(len(LONG)),
    "framed": PREFACE + HELLO + cases.u32(len(LONG)) + b"\1\0" + cases.u32(1),
}
"""What calls begin with that are never whole."""

UNREAD = {
    "plain": raw.call("much", MUCH),
    "framed": PREFACE
    + frame(0, 0, 0, b"\3" + cases.u32(cases.LIMIT))
    + frame(1, 0, 1, cases.named("much", MUCH)),
}


@pytest.fixture(
    scope="module",
    params=[pytest.param(kind, marks=pytest.mark.xdist_group(f"bad {kind}")) for kind in KINDS],
)
def target(request: pytest.FixtureRequest) -> typing.Iterator[Target]:
    with Target(request.param, {"receive_time": 1.5}) as running:
        yield running


@pytest.mark.parametrize("way", ["plain", "framed"])
def test_who_sends_a_byte_now_and_then_is_let_go(target: Target, way: str) -> None:
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(Bystander(target.port))
        other.goes_on(1)
        descriptors = target.descriptors()
        slow = [stack.enter_context(raw.connection(target.port)) for _ in range(COUNT)]
        for sock in slow:
            sock.sendall(SLOW[way])
        end = time.monotonic() + PATIENCE
        while slow:
            assert time.monotonic() < end, f"{len(slow)} are still open"
            slow = [sock for sock in slow if _send_one(sock)]
            other.goes_on(1)
        # A server of several processes may have begun to use one more of them, which has a few of its own.
        until(lambda: target.descriptors() <= descriptors + 5, target.descriptors)


def _send_one(sock: socket.socket) -> bool:
    """Sends a byte; says whether the connection may still be open."""
    try:
        sock.send(b"\0")
        sock.setblocking(False)
        while sock.recv(4096):  # HELLO, and why it is closed
            pass
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


@pytest.mark.parametrize("data", [b"", PREFACE], ids=["nothing", "preface"])
def test_who_does_not_begin_is_let_go_long_before_who_is_idle(target: Target, data: bytes) -> None:
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(raw.connection(target.port)) for _ in range(20)]
        idle = stack.enter_context(raw.connection(target.port))
        idle.sendall(raw.CALL)
        assert raw.exactly(idle, 5) == raw.RETURNED
        for sock in socks:
            sock.sendall(data)
        for sock in socks:
            raw.to_the_end(sock)
        idle.sendall(raw.CALL)
        assert raw.exactly(idle, 5) == raw.RETURNED


@pytest.mark.parametrize("way", ["plain", "framed"])
def test_who_takes_nothing_is_let_go(target: Target, way: str) -> None:
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(Bystander(target.port))
        other.goes_on(1)
        descriptors = target.descriptors()
        for _ in range(50):
            sock = stack.enter_context(socket.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", target.port))
            sock.sendall(UNREAD[way])
        other.goes_on()
        # A server of several processes may have begun to use one more of them, which has a few of its own.
        until(lambda: target.descriptors() <= descriptors + 5, target.descriptors)
        target.says("it took over 1.5 s to take a reply")
