"""Replies that nobody takes: a server keeps few of them, however many calls one client has sent."""

from __future__ import annotations

import socket
import typing

import pytest

from tests.hardening import cases
from tests.hardening.bystander import Bystander
from tests.hardening.connections import next_frame
from tests.hardening.target import Target
from tests.support import raw
from tests.support.framed import PREFACE, frame

MIB = 1024 * 1024

SIZE = 4_000_000
COUNT = 200

MUCH = b"\1" + cases.u32(SIZE)

CALLS = {
    "framed": PREFACE
    + frame(0, 0, 0, b"\3" + cases.u32(cases.LIMIT))
    + b"".join(frame(1, 0, number, cases.named("much", MUCH)) for number in range(1, COUNT + 1)),
    "plain": raw.call("much", MUCH) * COUNT,
}


@pytest.fixture(scope="module", params=["ThreadServer", "AsyncServer", "AsyncServer of tasks"])
def target(request: pytest.FixtureRequest) -> typing.Iterator[Target]:
    with Target(request.param) as running:
        yield running


@pytest.mark.parametrize("way", ["framed", "plain"])
def test_what_is_kept_is_little_and_is_had_by_who_reads_late(target: Target, way: str) -> None:
    with Bystander(target.port) as other, socket.socket() as sock:
        other.goes_on()
        before = target.memory()
        target.reset_peak()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sock.connect(("127.0.0.1", target.port))
        sock.sendall(CALLS[way])
        other.goes_on(20)
        # Some are ready in threads before the first is seen not to be taken.
        assert target.memory("VmHWM") - before < 100 * MIB
        sock.settimeout(30)
        for _ in range(3):
            if way == "plain":
                assert raw.exactly(sock, 5 + SIZE)[:1] == b"\1"
            else:
                found = next_frame(sock)
                assert found is not None
                assert (found[0], len(found[2])) == (2, 5 + SIZE)
        assert target.memory("VmHWM") - before < 100 * MIB
