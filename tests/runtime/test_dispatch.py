"""From a call to its reply: what handlers return and raise, with both codecs, and nothing left behind."""

from __future__ import annotations

import asyncio
import gc
import typing

import pytest

from rpcgen import runtime as rpc
from rpcgen.runtime.aio.server.dispatch import AsyncDispatcher
from rpcgen.runtime.dispatch import Dispatcher
from rpcgen.runtime.http.methods import beginning
from rpcgen.runtime.wire import plain
from rpcgen.runtime.wire.choice import choice
from rpcgen.runtime.wire.tailed import WRITTEN


class Refused(rpc.RemoteException):
    default_message = "refused"


class Stricter(Refused):
    pass


class Undeclared(rpc.RemoteException):
    default_message = "undeclared"


class Halve(rpc.MessageProtocol[int]):
    """int halve(1: int number) => Refused"""

    name = "halve"
    params = (rpc.Param(1, "number", rpc.INT),)
    returns = rpc.INT
    raises = (Refused,)


class Stub(rpc.ServerStub):
    protocols = (Halve,)


class Handlers:
    def halve(self, number: int) -> typing.Any:
        match number:
            case 0:
                raise Refused("no")
            case 1:
                raise Stricter("no, no")
            case 2:
                raise Undeclared("what")
            case 3:
                raise ValueError("secret")
            case 4:
                return "not a number"
            case 5:
                raise KeyboardInterrupt
            case 6:
                raise SystemExit
            case 7:
                raise Refused(7)  # type: ignore[arg-type]
        return number // 2


def block(number: int) -> bytes:
    return b"\x01" + number.to_bytes(4, "big")


@pytest.fixture(params=["c", "python"])
def answer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> typing.Any:
    if request.param == "c" and not choice().native:
        pytest.skip("the codec in C is not built")
    monkeypatch.setattr(plain, "native", request.param == "c")
    monkeypatch.setattr(Halve, "_codec", None)
    return Dispatcher([Stub(Handlers())], rpc.Limits(items=10)).answers["halve"]


ANSWERS: list[tuple[typing.Any, bytes]] = [
    (block(8), b"\x01\0\0\0\x04"),
    (bytearray(block(8)), b"\x01\0\0\0\x04"),
    (memoryview(block(8)), b"\x01\0\0\0\x04"),
    (block(0), b"\x02\0\0\0\x02no"),
    (block(1), b"\x02\0\0\0\x06no, no"),
    (block(2), b"INTERNAL: halve raised what it does not declare: see error id"),
    (block(3), b"INTERNAL: halve failed: see error id"),
    (block(4), b"INTERNAL: halve returned what does not fit its type: see error id"),
    (block(6), b"INTERNAL: halve failed: see error id"),
    (block(7), b"INTERNAL: halve raised what does not fit its type: see error id"),
    (b"", b"BAD_REQUEST: halve: number: is required but missing (at byte 0)"),
    (block(8) + b"\x02", b"BAD_REQUEST: halve: argument with tag 2 is unknown (at byte 5)"),
]


@pytest.mark.parametrize(("arguments", "expected"), ANSWERS, ids=lambda part: bytes(part)[:24].hex())
def test_every_kind_of_answer(answer: typing.Any, arguments: typing.Any, expected: bytes) -> None:
    reply = answer(arguments)
    if expected[0] in (1, 2):
        assert reply == expected
    else:
        assert (reply[0], reply[5 : 5 + len(expected)]) == (0, expected)


class AsyncHandlers(Handlers):
    async def halve(self, number: int) -> typing.Any:
        if number == 9:
            await asyncio.sleep(0)
        return super().halve(number)


@pytest.mark.parametrize("is_native", [True, False])
def test_coroutine_functions_are_begun(is_native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if is_native and not choice().native:
        pytest.skip("the codec in C is not built")
    monkeypatch.setattr(plain, "native", is_native)
    monkeypatch.setattr(Halve, "_codec", None)
    limits = rpc.Limits(items=10)
    method = AsyncDispatcher([Stub(AsyncHandlers())], limits).methods["halve"]
    quick = beginning(method, limits)
    for arguments, expected in ANSWERS:
        reply = quick(arguments)
        if expected[0] in (1, 2):
            assert reply == expected
        else:
            assert isinstance(reply, bytes)
            assert (reply[0], reply[5 : 5 + len(expected)]) == (0, expected)
    with pytest.raises(KeyboardInterrupt):
        quick(block(5))

    async def waiting() -> object:
        rest = quick(block(9))
        assert not isinstance(rest, WRITTEN)
        return await rest

    assert asyncio.run(waiting()) == 4


def test_an_interrupt_goes_through(answer: typing.Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        answer(block(5))


def test_failures_leave_no_circles(answer: typing.Any) -> None:
    for number in (0, 1, 3):
        answer(block(number))
    gc.collect()
    gc.disable()
    try:
        for number in (0, 1, 3):
            answer(block(number))
        assert gc.collect() == 0
    finally:
        gc.enable()
