"""The compiled functions do what the reference does: bytes, values, error classes and texts."""

from __future__ import annotations

import struct
import typing

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from rpcgen import runtime as rpc
from rpcgen.runtime.wire.plain import UNDECIDED
from rpcgen.runtime.wire.write import strings_by_count
from tests.support.schemas import Method, methods, normal, outcome, values

_settings = settings(suppress_health_check=list(HealthCheck))

LIMITS = (
    rpc.Limits(),
    rpc.Limits(nesting=1),
    rpc.Limits(nesting=3),
    rpc.Limits(items=0),
    rpc.Limits(items=3),
    rpc.Limits(items=20),
)


def _args(method: Method, data: st.DataObject, *, spoiled: bool = False) -> list[typing.Any]:
    return [
        data.draw(
            values(param.type, spoiled=spoiled)
            | (st.just(rpc.DEFAULT) if param.default is None else st.nothing())
        )
        for param in method.params
    ]


@_settings
@given(methods(), st.data())
def test_calls_round_trip(method: Method, data: st.DataObject) -> None:
    fast, reference = method.codecs()
    args = _args(method, data)
    message = fast.encode_call(args)
    assert message == reference.encode_call(args)
    assert fast.encode_frame(args) == reference.encode_frame(args)
    block = message[4 + len(b"do.it") + 4 :]
    assert fast.encode_block(args) == reference.encode_block(args) == block
    decoded = fast.decode_args(block)
    assert normal(decoded) == normal(reference.decode_args(block))
    assert fast.encode_call(decoded) == message


@_settings
@given(methods(), st.data())
def test_replies_round_trip(method: Method, data: st.DataObject) -> None:
    fast, reference = method.codecs()
    for encode, type_ in [
        ("encode_reply", method.returns),
        *(("encode_raised", declared) for declared in method.raises),
    ]:
        value = data.draw(values(typing.cast(typing.Any, type_)))
        message = getattr(fast, encode)(value)
        assert message == getattr(reference, encode)(value)
        decoded = fast.decode_reply(message)
        assert normal(decoded) == normal(reference.decode_reply(message))
        quick = fast.quick_reply(message)
        assert quick is UNDECIDED or normal(quick) == normal(decoded)
        assert getattr(fast, encode)(decoded) == message


@_settings
@given(methods(), st.data(), st.sampled_from(LIMITS))
def test_values_that_do_not_fit(method: Method, data: st.DataObject, limits: rpc.Limits) -> None:
    fast, reference = method.codecs()
    args = _args(method, data, spoiled=True)
    for kind in ("encode_call", "encode_block"):
        assert outcome(getattr(fast, kind), args, limits) == outcome(getattr(reference, kind), args, limits)
    result = data.draw(values(method.returns, spoiled=True))
    assert outcome(fast.encode_reply, result, limits) == outcome(reference.encode_reply, result, limits)


@_settings
@given(methods(), st.data(), st.sampled_from(LIMITS))
def test_bytes_that_do_not_fit(method: Method, data: st.DataObject, limits: rpc.Limits) -> None:
    fast, reference = method.codecs()
    block = bytearray(fast.encode_call(_args(method, data))[13:])
    reply = bytearray(fast.encode_reply(data.draw(values(method.returns))))
    for message, decode in ((block, "decode_args"), (reply, "decode_reply")):
        for _ in range(data.draw(st.integers(0, 3))):
            at = data.draw(st.integers(0, len(message)))
            message[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
        got = outcome(getattr(fast, decode), bytes(message), limits)
        assert got == outcome(getattr(reference, decode), bytes(message), limits)
        assert got[0] is not rpc.EncodeError


@_settings
@given(methods(), st.data())
def test_every_truncation(method: Method, data: st.DataObject) -> None:
    fast, reference = method.codecs()
    reply = fast.encode_reply(data.draw(values(method.returns)))
    for size in range(min(len(reply), 120)):
        got = outcome(fast.decode_reply, reply[:size])
        assert got == outcome(reference.decode_reply, reply[:size])
        assert got[0] is rpc.DecodeError


@given(st.lists(st.text() | st.sampled_from(["x" * 127, "x" * 128, "\N{SNOWMAN}" * 60]), max_size=20))
def test_strings_by_their_number(items: list[str]) -> None:
    expected = b"".join(struct.pack(">I", len(data)) + data for data in (item.encode() for item in items))
    assert strings_by_count[len(items)](items) == strings_by_count[len(items)](tuple(items)) == expected


@pytest.mark.parametrize("items", [[b"bytes"], ["text", 3], [None], ["text", ["l"]]])
def test_what_are_no_strings(items: list[typing.Any]) -> None:
    with pytest.raises(TypeError):
        strings_by_count[len(items)](items)
