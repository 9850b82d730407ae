"""What is legal frame by frame, but too much: floods, half-open connections, those who say or take nothing.

Servers of every kind get it, with short limits, while somebody else's calls go on.
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import typing

import pytest

from tests.hardening import cases
from tests.hardening.bystander import Bystander
from tests.hardening.connections import client, fault_of, next_frame, skip_unless_framed
from tests.hardening.target import KINDS, Target
from tests.support import raw
from tests.support.framed import HELLO, PREFACE, frame, text
from tests.support.waiting import until

MIB = 1024 * 1024

LIMITS = {"receive_time": 2.0, "idle_time": 2.0, "connections": 300}


@pytest.fixture(
    scope="module",
    params=[pytest.param(kind, marks=pytest.mark.xdist_group(f"bad {kind}")) for kind in KINDS],
)
def target(request: pytest.FixtureRequest) -> typing.Iterator[Target]:
    with Target(request.param, LIMITS) as running:
        yield running


@pytest.fixture(autouse=True)
def bystander(target: Target) -> typing.Iterator[Bystander]:
    with Bystander(target.port) as other:
        yield other


@pytest.fixture
def framed(target: Target) -> Target:
    skip_unless_framed(target)
    return target


def ping(number: int) -> bytes:
    return frame(5, 0, 0, struct.pack(">Q", number))


def waiting(call_id: int, milliseconds: int) -> bytes:
    """Gives a CALL that takes so long."""
    return frame(1, 0, call_id, cases.named("wait", b"\1" + cases.u32(milliseconds)))


# Floods


def test_pings(framed: Target) -> None:
    with client(framed, framed=True) as sock:
        peer = "{}:{}".format(*sock.getsockname())
        sock.sendall(b"".join(map(ping, range(60))))
        for number in range(60):
            assert next_frame(sock) == (6, 0, struct.pack(">Q", number))
        with contextlib.suppress(OSError):
            sock.sendall(b"".join(map(ping, range(1000))))
        found = next_frame(sock)
        assert found is not None
        assert found[0] == 7
        raw.to_the_end(sock)
        framed.says(peer)


def test_calls_that_are_cancelled_at_once(framed: Target, bystander: Bystander) -> None:
    # Each is answered once: no client can have more of them running than its share.
    count = 5_000
    before, threads = framed.memory(), framed.threads()
    with client(framed, framed=True) as sock:
        sent = 0
        answered: set[int] = set()
        while sent < count:
            some = range(sent + 1, sent + 251)
            sock.sendall(b"".join(waiting(number, 1) + frame(4, 0, number) for number in some))
            sent += len(some)
            while len(answered) < sent:
                found = next_frame(sock)
                assert found is not None
                assert found[0] in (2, 3)
                assert found[1] not in answered
                answered.add(found[1])
    bystander.goes_on()
    assert framed.threads() - threads <= 130  # of two processes
    assert framed.memory() - before < 40 * MIB


def test_cancels_of_a_call_that_has_ended_and_kinds_to_be_ignored(framed: Target) -> None:
    with client(framed, framed=True) as sock:
        sock.sendall(cases.CALLING)
        assert next_frame(sock) == (2, 1, raw.RETURNED)
        sock.sendall(frame(4, 0, 1) * 50_000)
        sock.sendall(frame(0x80, 0xFF, 7, bytes(100)) * 5_000)
        sock.sendall(frame(1, 0, 2, cases.DIVIDING))
        assert next_frame(sock) == (2, 2, raw.RETURNED)


def test_a_hello_of_as_much_as_fits(framed: Target) -> None:
    properties = b"".join(text(f"{number:04}") + text("x" * 600) for number in range(100))
    before = framed.memory()
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            sock = stack.enter_context(raw.connection(framed.port))
            sock.sendall(PREFACE + frame(0, 0, 0, b"\1" + cases.u32(100) + properties) + cases.CALLING)
            assert next_frame(sock) == (2, 1, raw.RETURNED)
        assert framed.memory() - before < 40 * MIB
    with raw.connection(framed.port) as sock:
        many = b"".join(text(f"{number:04}") + text("") for number in range(101))
        sock.sendall(PREFACE + frame(0, 0, 0, b"\1" + cases.u32(101) + many))
        peer = "{}:{}".format(*sock.getsockname())
        raw.to_the_end(sock)
        assert "a count of 101; at most 100" in framed.says(peer)


def test_metadata_beyond_the_limit_is_refused_for_its_call_alone(
    framed: Target, bystander: Bystander
) -> None:
    entries = b"".join(text(f"{number:06}") + text("") for number in range(200_000))
    with client(framed, framed=True) as sock:
        for number, metadata in enumerate(
            (cases.u32(1) + text("k") + text("v" * 16_376), cases.u32(200_000) + entries), 1
        ):
            sock.sendall(frame(1, 2, number, metadata + cases.DIVIDING))
            found = next_frame(sock)
            assert found is not None
            assert found[:2] == (3, number)
            assert "RESOURCE_EXHAUSTED: metadata of" in fault_of(found[2])
            bystander.goes_on(1)
        sock.sendall(frame(1, 2, 3, cases.u32(1) + text("k") + text("v" * 16_371) + cases.DIVIDING))
        assert next_frame(sock) == (2, 3, raw.RETURNED)


def test_keys_of_one_hash(target: Target, bystander: Bystander) -> None:
    # Python's hash of a uuid can be chosen; a set of many with one hash takes time by their square.
    alike = raw.call("take", b"\x0b" + cases.uuids_of_one_hash(200_000))
    with client(target, framed=False) as sock:
        sock.sendall(alike)
        assert "BAD_REQUEST: take" in raw.fault(sock)
        bystander.goes_on(1)
        honest = random.Random(1).randbytes(16 * 10_000)
        sock.sendall(raw.call("take", b"\x0b" + cases.u32(10_000) + honest))
        assert raw.exactly(sock, 5) == b"\1" + cases.u32(1)


# Connections


@pytest.mark.parametrize(
    "data",
    [raw.CALL[:-1], PREFACE[:3], PREFACE + HELLO + cases.CALLING[:-1]],
    ids=["plain", "preface", "frame"],
)
def test_what_ends_in_its_middle(target: Target, data: bytes) -> None:
    if data[0]:
        skip_unless_framed(target)
    with raw.connection(target.port) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        raw.to_the_end(sock)


@pytest.mark.parametrize(
    "data",
    [raw.CALL[:-1], PREFACE[:3], PREFACE + HELLO + cases.CALLING[:-1]],
    ids=["plain", "preface", "frame"],
)
def test_what_never_ends(target: Target, data: bytes) -> None:
    if data[0]:
        skip_unless_framed(target)
    with raw.connection(target.port) as sock:
        sock.sendall(data)
        peer = "{}:{}".format(*sock.getsockname())
        raw.to_the_end(sock)
        assert "it took over 2 s to send a call" in target.says(peer)


def test_a_client_that_ends_its_half_gets_its_replies(target: Target) -> None:
    with client(target, framed=False) as sock:
        sock.sendall(raw.call("wait", b"\1" + cases.u32(50)))
        sock.shutdown(socket.SHUT_WR)
        assert raw.to_the_end(sock) == b"\1" + cases.u32(50)


def test_who_says_nothing_is_let_go(target: Target) -> None:
    with raw.connection(target.port) as sock:
        assert raw.to_the_end(sock) == b""


def test_who_only_says_hello_is_let_go(framed: Target) -> None:
    with client(framed, framed=True) as sock:
        found = next_frame(sock)
        assert found is None or found[0] == 7
        raw.to_the_end(sock)


def test_more_connections_than_the_limit(target: Target, bystander: Bystander) -> None:
    descriptors = target.descriptors()
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(raw.connection(target.port)) for _ in range(800)]
        refused = 0
        for sock in socks:
            with contextlib.suppress(OSError):
                sock.sendall(raw.CALL)
        for sock in socks:
            try:
                answer = raw.exactly(sock, 5)
            except OSError:
                answer = b""
            refused += answer != raw.RETURNED
        assert refused >= 800 - 2 * 300
        bystander.goes_on()
    until(lambda: target.descriptors() <= descriptors + 2, target.descriptors)


def test_random_bytes(target: Target) -> None:
    chance = random.Random(4)
    starts = (b"", PREFACE, PREFACE + HELLO, PREFACE + HELLO + cases.CALLING, raw.CALL, b"\0\0\0\6divide")
    descriptors = target.descriptors()
    for number in range(300):
        with raw.connection(target.port) as sock:
            data = bytearray(chance.choice(starts) + chance.randbytes(chance.randrange(60)))
            if data and number % 2:
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            with contextlib.suppress(OSError):
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
            raw.to_the_end(sock)
    until(lambda: target.descriptors() <= descriptors + 2, target.descriptors)
