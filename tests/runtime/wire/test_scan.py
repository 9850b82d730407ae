"""Finding a reply's end: the same however its bytes are split, and never reading one twice."""

from __future__ import annotations

import typing

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from rpcgen import runtime as rpc
from rpcgen.runtime.schema import Type
from rpcgen.runtime.wire.codec import ReferenceCodec
from rpcgen.runtime.wire.plain import MethodCodec, encode_fault
from tests.support.schemas import Method, methods, values

if typing.TYPE_CHECKING:
    from rpcgen.runtime.wire.scan import AnyReplyScan


def scan_of(returns: Type, limits: rpc.Limits | None = None) -> AnyReplyScan:
    return MethodCodec("get", (), (), returns, ()).reply_scan(limits or rpc.Limits())


@settings(suppress_health_check=list(HealthCheck))
@given(methods(), st.data())
def test_any_split_finds_the_same_end(method: Method, data: st.DataObject) -> None:
    fast, _ = method.codecs()
    replies = [
        bytes(fast.encode_reply(data.draw(values(method.returns)))),
        encode_fault(rpc.FaultCode.INTERNAL, "é"),
    ]
    for declared in method.raises:
        replies.append(typing.cast(bytes, fast.encode_raised(data.draw(values(declared)))))
    for reply in replies:
        trailing = reply + b"\x00\x07"
        whole = fast.reply_scan()
        assert whole.advance(trailing)
        assert whole.end == len(reply)
        piecewise = fast.reply_scan()
        sizes = sorted({*data.draw(st.lists(st.integers(0, len(reply)), max_size=20)), len(reply)})
        for size in sizes:
            done = piecewise.advance(reply[:size])
            assert done == (size == len(reply))
            if not done:
                assert size < piecewise.needs <= len(reply)
        assert piecewise.end == len(reply)
        assert piecewise.steps == whole.steps


DEEP: list[tuple[Type, typing.Any]] = [
    (rpc.ListOf(rpc.STRING), ["abc"] * 300),
    (rpc.SetOf(rpc.STRING), {str(number) for number in range(300)}),
    (rpc.MapOf(rpc.STRING, rpc.STRING), {str(number): "x" for number in range(300)}),
    (rpc.MapOf(rpc.STRING, rpc.LONG), {str(number): 1 for number in range(300)}),
    (rpc.MapOf(rpc.LONG, rpc.BYTES), dict.fromkeys(range(300), b"x")),
    (rpc.MapOf(rpc.LONG, rpc.LONG), dict.fromkeys(range(300), 1)),
    (rpc.ListOf(rpc.ListOf(rpc.ListOf(rpc.INT))), [[[1, 2], []], [], [[3]]] * 50),
    (rpc.MapOf(rpc.STRING, rpc.ListOf(rpc.STRING)), {str(number): ["a", "b"] for number in range(100)}),
    (rpc.MapOf(rpc.INT, rpc.MapOf(rpc.INT, rpc.STRING)), {number: {1: "x", 2: ""} for number in range(100)}),
    (rpc.OptionalOf(rpc.ListOf(rpc.STRING)), ["x"] * 100),
    (rpc.OptionalOf(rpc.INT), None),
    (rpc.ListOf(rpc.DOUBLE), [0.5] * 300),
    (rpc.VOID, None),
]


@pytest.mark.parametrize(
    ("returns", "value"),
    DEEP,
    ids=lambda part: type(part).__name__ if isinstance(part, set) else repr(part)[:40],
)
@pytest.mark.parametrize("buffer", [bytes, bytearray, memoryview])
def test_byte_by_byte_takes_as_many_steps_as_at_once(
    returns: Type, value: typing.Any, buffer: typing.Any
) -> None:
    reply = ReferenceCodec("get", (), (), returns, ()).encode_reply(value)
    once, bit_by_bit = scan_of(returns), scan_of(returns)
    assert once.advance(buffer(reply))
    for size in range(len(reply)):
        assert not bit_by_bit.advance(buffer(reply[:size]))
        assert size < bit_by_bit.needs <= len(reply)
    assert bit_by_bit.advance(buffer(reply))
    assert bit_by_bit.end == once.end == len(reply)
    assert bit_by_bit.steps == once.steps <= 2 * len(value or ()) * 3 + 2


def test_a_large_value_is_stepped_over_without_being_there() -> None:
    scan = scan_of(rpc.BYTES)
    assert not scan.advance(b"\x01\x00\x10\x00\x00")
    assert scan.needs == 5 + 2**20


@pytest.mark.parametrize(
    ("returns", "reply"),
    [
        (rpc.BYTES, "01 01000000"),
        (rpc.STRING, "00 ffffffff"),
        (rpc.STRING, "07 ffffffff"),
        (rpc.ListOf(rpc.STRING), "01 00000002 ffffffff"),
        (rpc.MapOf(rpc.UUID, rpc.LONG), "01 000f4240"),
    ],
)
def test_more_bytes_than_the_limit(returns: Type, reply: str) -> None:
    with pytest.raises(rpc.ProtocolError, match=r"get: a reply of .* bytes or more; the limit is 16777216"):
        scan_of(returns).advance(bytes.fromhex(reply))


def test_more_items_than_the_limit() -> None:
    with pytest.raises(rpc.ProtocolError, match="get: more than 1000000 items in a reply"):
        scan_of(rpc.ListOf(rpc.BYTE)).advance(bytes.fromhex("01 01000000"))
    scan = scan_of(rpc.ListOf(rpc.ListOf(rpc.BYTE)), rpc.Limits(items=5))
    with pytest.raises(rpc.ProtocolError, match="more than 5 items"):
        scan.advance(bytes.fromhex("01 00000002 00000002 0101 00000002"))


def test_a_flag_that_is_none() -> None:
    with pytest.raises(rpc.ProtocolError, match="get: a flag before an optional value must be 0 or 1, not 2"):
        scan_of(rpc.OptionalOf(rpc.INT)).advance(b"\x01\x02")


@settings(suppress_health_check=list(HealthCheck))
@given(methods(), st.binary(max_size=60))
def test_garbage(method: Method, garbage: bytes) -> None:
    scan = method.codecs()[0].reply_scan()
    try:
        for size in range(len(garbage) + 1):
            if scan.advance(garbage[:size]):
                assert scan.end <= size
                break
            assert scan.needs > size
    except rpc.ProtocolError:
        pass
