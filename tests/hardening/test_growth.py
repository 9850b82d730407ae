"""What bad input leaves behind in a server: nothing, however often it comes."""

from __future__ import annotations

import contextlib
import typing

import pytest

from tests.hardening import cases
from tests.hardening.bystander import Bystander
from tests.hardening.connections import client, next_frame, speaks_framed
from tests.hardening.target import KINDS, Target
from tests.support import raw
from tests.support.framed import frame
from tests.support.waiting import until

MIB = 1024 * 1024

ROUNDS = 6
"""Of all that is in the tables: thousands of connections."""


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(
            (kind, codec),
            marks=pytest.mark.xdist_group(f"bad {kind}"),
            id=kind if codec is None else f"{kind} in Python",
        )
        for kind, codec in [*((kind, None) for kind in KINDS), ("ThreadServer", "python")]
    ],
)
def target(request: pytest.FixtureRequest) -> typing.Iterator[Target]:
    kind, codec = request.param
    with Target(kind, codec=codec) as running:
        yield running


def send(target: Target, data: bytes, *, framed: bool) -> None:
    """Sends what is no call, and waits for the connection's end."""
    with client(target, framed=framed) as sock:
        with contextlib.suppress(OSError):
            sock.sendall(data)
        raw.to_the_end(sock)


def call(target: Target, calls: typing.Iterable[cases.Call], *, framed: bool) -> None:
    """Makes calls that are refused, over one connection."""
    with client(target, framed=framed) as sock:
        for number, each in enumerate(calls, 1):
            if framed:
                sock.sendall(frame(1, 0, number, cases.named(each.method, each.block)))
                assert next_frame(sock) is not None
            else:
                sock.sendall(raw.call(each.method, each.block))
                raw.fault(sock)


def everything(target: Target, kinds: list[bool]) -> None:
    """Sends all that is in the tables, but for calls of many MB, which take most of the time."""
    calls = [each for each in cases.CALLS.values() if len(each.block) < MIB]
    for framed in kinds:
        call(target, calls, framed=framed)
        for stream in (cases.FRAMED if framed else cases.PLAIN).values():
            send(target, stream.data, framed=framed)
    if True in kinds:
        for stream in cases.OPENING.values():
            send(target, stream.data, framed=False)


def test_memory_descriptors_and_threads_stay(target: Target) -> None:
    kinds = [False, True] if speaks_framed(target) else [False]
    with Bystander(target.port) as other:
        for _ in range(2):
            everything(target, kinds)
        memory, descriptors, threads = target.memory(), target.descriptors(), target.threads()
        for _ in range(ROUNDS):
            everything(target, kinds)
            other.goes_on(1)
        until(lambda: target.descriptors() <= descriptors + 2, target.descriptors)
        assert target.threads() <= threads + 4
        assert target.memory() - memory < 10 * MIB


@pytest.mark.parametrize(
    "name", [*(name for name in cases.FRAMED if "bomb" in name or "2^" in name or "-1" in name)]
)
def test_what_claims_much_takes_little(target: Target, name: str) -> None:
    if not speaks_framed(target):
        pytest.skip("this kind of server takes plain messages alone")
    stream = cases.FRAMED[name]
    send(target, stream.data, framed=True)
    before = target.memory()
    target.reset_peak()
    for _ in range(12):
        send(target, stream.data, framed=True)
    # A bomb may take as much as an honest message of the length that it claims, in the heaps of a few threads.
    allowed = 6 * cases.LIMIT if "bomb" in name else MIB
    assert target.memory("VmHWM") - before < allowed * len(target.processes())


@pytest.mark.parametrize("one", [False, True], ids=["anything", "one value"])
@pytest.mark.parametrize("framed", [False, True], ids=["plain", "framed"])
def test_what_is_announced_takes_no_memory_before_it_comes(target: Target, framed: bool, one: bool) -> None:
    if framed and not speaks_framed(target):
        pytest.skip("this kind of server takes plain messages alone")
    size = cases.LIMIT - 100
    block = b"\1" + size.to_bytes(4, "big") + bytes(size) if one else bytes(size)
    call = frame(1, 0, 1, cases.named("take", block)) if framed else raw.call("take", block)
    before, descriptors = target.memory(), target.descriptors()
    with contextlib.ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(client(target, framed=framed)).sendall(call[:100])
        with Bystander(target.port) as other:
            other.goes_on(1)
        assert target.memory() - before < cases.LIMIT
    until(lambda: target.descriptors() <= descriptors, target.descriptors)


@pytest.mark.parametrize(
    "name", [name for name, each in cases.CALLS.items() if "2^" in name or "-1" in name or "million" in name]
)
def test_what_counts_much_takes_little(target: Target, name: str) -> None:
    case = cases.CALLS[name]
    call(target, [case], framed=False)
    before = target.memory()
    target.reset_peak()
    call(target, [case] * 5, framed=False)
    assert target.memory("VmHWM") - before < 5 * len(case.block) + MIB * len(target.processes())
