"""Explained bytes: each byte once, the values and faults of the codec, for random messages, cut and corrupted."""

from __future__ import annotations

import random
import re
import typing

import pytest
from hypothesis import given, strategies as st

from rpcgen import runtime as rpc
from rpcgen.runtime.errors import FaultCode
from rpcgen.runtime.wire import capture, frames
from rpcgen.runtime.wire.codec import ReferenceCodec
from rpcgen.runtime.wire.compression import BY_NAME, compressed
from rpcgen.runtime.wire.dissect import Role
from rpcgen.runtime.wire.hello import Hello, encode_hello
from rpcgen.runtime.wire.plain import encode_fault
from tests.support.schemas import Method, exception_class, methods, normal, outcome, values

SCALARS = (bool, int, float, str, bytes)

Refused = exception_class("Refused", None)
DIVIDE = ReferenceCodec(
    "divide",
    (rpc.Param(1, "num1", rpc.INT), rpc.Param(2, "num2", rpc.INT, default=1)),
    (),
    rpc.FLOAT,
    (Refused,),
)
DIVISION: typing.Final = {"divide": DIVIDE}


def check(data: bytes, found: capture.Capture) -> None:
    """Every byte stands in one row, and rows follow each other."""
    at = dict.fromkeys([0, *found.parts], 0)
    for row in found.rows:
        assert row.start == at[row.part] <= row.end
        at[row.part] = row.end
        assert (row.start == row.end) >= (row.role in (Role.HEADING, Role.FAULT, Role.DEFAULT))
    assert at == {0: len(data), **{part: len(made) for part, made in found.parts.items()}}
    again = b"".join(data[row.start : row.end] for row in found.rows if not row.part)
    assert again == data


def leaves(value: typing.Any) -> typing.Iterator[typing.Any]:
    """The values without parts that a value has, those of rows and those of what was decoded alike."""
    if isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(key)
            yield from leaves(item)
    elif isinstance(value, rpc.RemoteException) and type(value).__rpc_fields__ is None:
        yield normal(str(value))
    elif isinstance(value, rpc.RemoteException):
        for field in type(value).__rpc_fields__ or ():
            yield from leaves(getattr(value, field.attr))
    elif hasattr(value, "__struct_fields__"):
        if not hasattr(value, "raw"):
            for name in value.__struct_fields__:
                yield from leaves(getattr(value, name))
    elif value is not None:
        yield normal(value)


def shown(found: capture.Capture) -> list[typing.Any]:
    """The values in the rows, of what the format itself says nothing."""
    return [
        leaf
        for row in found.rows
        if row.role in (Role.VALUE, Role.DEFAULT) and row.name != "method"
        for leaf in leaves(row.value)
    ]


def spoiled(rng: random.Random, data: bytes) -> bytes:
    """Cuts it, or changes some bytes, takes some out, or puts some in."""
    made = bytearray(data)
    for _ in range(rng.randint(1, 2)):
        at = rng.randrange(len(made) + 1)
        match rng.randrange(5):
            case 0:
                del made[at:]
            case 1:
                del made[at : at + rng.randint(1, 4)]
            case 2:
                made[at:at] = rng.randbytes(rng.randint(1, 4))
            case _ if at < len(made):
                made[at] = rng.choice((0, 1, 255, rng.randrange(256), made[at] ^ 1 << rng.randrange(8)))
    return bytes(made)


@given(st.data())
def test_calls(data: st.DataObject) -> None:
    method: Method = data.draw(methods())
    codec = method.codecs()[1]
    args = [data.draw(values(param.type)) for param in method.params]
    message = codec.encode_call(args)
    read = codec.decode_args(message[13:])
    found = capture.read(message, {codec.name: codec})
    check(message, found)
    assert found.kind == "calls"
    assert not found.faults
    assert [normal(each.value) for each in found.messages] == [normal(read)]
    assert sorted(shown(found), key=repr) == sorted(leaves(read), key=repr)

    rng = random.Random(data.draw(st.integers(0, 2**32)))
    for _ in range(6):
        block = spoiled(rng, message[13:])
        broken = message[:9] + len(block).to_bytes(4, "big") + block
        found = capture.read(broken, {codec.name: codec}, kind="calls")
        check(broken, found)
        ended = outcome(codec.decode_args, block)
        if found.faults:
            assert without_places(found.faults[0].value) == without_places(ended[1])
        else:
            assert normal(found.messages[0].value) == ended
        anything = spoiled(rng, message)
        check(anything, capture.read(anything, {codec.name: codec}, kind="calls"))


@given(st.data())
def test_replies(data: st.DataObject) -> None:
    method: Method = data.draw(methods())
    codec = method.codecs()[1]
    replies = [bytes(codec.encode_reply(data.draw(values(method.returns))))]
    replies += [made for kind in method.raises if (made := codec.encode_raised(data.draw(values(kind))))]
    replies.append(encode_fault(FaultCode.INTERNAL, "broken"))
    named = {codec.name: codec}
    for reply in replies:
        found = capture.read(reply, named, method=codec.name)
        check(reply, found)
        assert found.kind == "replies"
        assert not found.faults
        assert normal(found.messages[0].value) == outcome(codec.decode_reply, reply)
    together = b"".join(replies)
    found = capture.read(together, named, kind="replies")
    check(together, found)
    assert len(found.messages) == len(replies)

    rng = random.Random(data.draw(st.integers(0, 2**32)))
    for reply in replies * 3:
        broken = spoiled(rng, reply)
        found = capture.read(broken, named, kind="replies", method=codec.name)
        check(broken, found)
        ended = outcome(codec.decode_reply, broken)
        if broken and not found.faults and len(found.messages) == 1:
            if "of which" not in str(found.messages[0].value):
                assert normal(found.messages[0].value) == ended
        elif broken:
            assert ended[0] is rpc.DecodeError


def without_places(text: str) -> str:
    return re.sub(r" \(at byte \d+\)", "", text).removeprefix("do.it: ")


def frame(kind: int, call_id: int, payload: bytes, flags: int = 0) -> bytes:
    return frames.pack_head(len(payload) + 6, kind << 8 | flags, call_id) + payload


def client() -> bytes:
    """What a client sends that calls twice."""
    metadata = frames.encode_metadata({"trace": b"\x00\xff"}, 1000)
    call = bytes(DIVIDE.encode_frame((200, 100)))[frames.HEAD :]
    return b"".join(
        (
            frames.PREFACE,
            encode_hello(Hello({"agent": "test"}, ("gzip",), frames.SMALL + 1, "secret")),
            frame(frames.CALL, 1, call),
            frame(frames.CALL, 2, metadata + call, frames.METADATA | frames.NO_REPLY),
            frame(frames.CANCEL, 1, b""),
            frame(frames.PING, 0, b"12345678"),
            frame(0x90, 7, b"new"),
        )
    )


def server() -> bytes:
    """What the server sends that answers it."""
    gzip = compressed(BY_NAME["gzip"], b"\x02" + (1000).to_bytes(4, "big") + b"x" * 1000)
    assert gzip
    return b"".join(
        (
            encode_hello(Hello()),
            frame(frames.REPLY, 1, bytes(DIVIDE.encode_reply(2.0))),
            frame(frames.REPLY, 2, gzip, frames.COMPRESSED),
            frame(frames.FAULT, 3, frames.encode_fault(FaultCode.INTERNAL, "no", {"why": "so"})),
            frame(frames.PONG, 0, b"12345678"),
            frame(frames.GOAWAY, 0, frames.encode_goaway(3, "closing")),
        )
    )


def test_both_directions_of_a_framed_connection() -> None:
    sent = capture.read(client(), DIVISION)
    check(client(), sent)
    assert not sent.faults
    assert sent.calls == {1: "divide", 2: "divide"}
    assert [each.value for each in sent.messages] == [[200, 100], [200, 100]]
    answered = capture.read(server(), {**DIVISION, "other": DIVIDE}, calls=sent.calls)
    check(server(), answered)
    assert not answered.faults
    values = [each.value for each in answered.messages]
    assert values[0] == 2.0
    assert isinstance(values[1], Refused)
    assert str(values[1]) == "x" * 1000
    assert isinstance(values[2], rpc.RemoteFault)
    assert answered.parts.keys() == {3}


def test_a_reply_in_frames_to_what_is_not_known_is_stepped_over() -> None:
    found = capture.read(server(), {**DIVISION, "other": DIVIDE})
    check(server(), found)
    assert not found.faults
    assert [row.name for row in found.rows if row.role is Role.PASSED] == [
        "a reply: to which method is not known"
    ] * 2


@pytest.mark.parametrize("direction", [client, server])
def test_every_beginning_of_a_stream(direction: typing.Callable[[], bytes]) -> None:
    whole = direction()
    for end in range(1, len(whole)):
        found = capture.read(whole[:end], DIVISION, kind="frames")
        check(whole[:end], found)
        assert len(found.faults) <= 1


@given(st.integers(0, 2**32))
def test_corrupted_streams(seed: int) -> None:
    rng = random.Random(seed)
    for whole in (client(), server()):
        broken = spoiled(rng, whole)
        check(broken, capture.read(broken, DIVISION, kind="frames"))
        try:
            check(broken, capture.read(broken, DIVISION))
        except capture.Unknown:
            raise AssertionError("divide is the only method") from None


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"\xc1RPCGEM\x01", "a client begins with"),
        (b"\xc1RPCGEN\x02", "version 2 is not known here; 1 is (at byte 7)"),
        (frame(frames.CALL, 0, b""), "a frame of kind 1 (CALL) has call id 0, the connection's (at byte 6)"),
        (frame(frames.PING, 4, b"12345678"), "a frame of kind 5 (PING) has call id 4, not 0"),
        (frame(frames.PING, 0, b"1"), "echoed: 8 bytes are needed, but 1 are left (at byte 10)"),
        (frame(frames.CANCEL, 1, b"x"), "1 bytes are left over (at byte 10)"),
        (frame(frames.CANCEL, 1, b"", 1), "a frame of kind 4 (CANCEL) with flags 0x01, which there is not"),
        (frame(11, 1, b""), "a frame of kind 11, which there is not (at byte 4)"),
        (b"\0\0\0\5\0\0", "a frame of length 5; the least is 6 (at byte 0)"),
        (frame(frames.HELLO, 0, b"\3\0\0\0\1"), "HELLO: frames of at most 1 bytes"),
        (frame(frames.CALL, 1, b"\3two\0\0\0\0"), "the interface has no method 'two' (at byte 18)"),
        (frame(frames.REPLY, 1, b"\1\0\0\0\1\7", 1), "a compressed payload says 1 bytes, but holds 0"),
    ],
)
def test_faults_of_frames(data: bytes, fault: str) -> None:
    found = capture.read(data, DIVISION, kind="frames")
    check(data, found)
    assert len(found.faults) == 1
    assert fault in found.faults[0].value


def test_after_a_fault_in_a_message_the_next_one_is_read() -> None:
    good, bad = DIVIDE.encode_call((1, 2)), bytearray(DIVIDE.encode_call((1, 2)))
    bad[14] = 9
    found = capture.read(good + bad + good, DIVISION)
    assert [each.value for each in found.messages] == [[1, 2], [1, 2]]
    assert found.faults[0].value == f"argument with tag 9 is unknown (at byte {len(good) + 14})"


def test_a_reply_needs_its_method() -> None:
    with pytest.raises(capture.Unknown):
        capture.read(b"\1\0", {**DIVISION, "other": DIVIDE})
    fault = encode_fault(FaultCode.INTERNAL, "no")
    assert not capture.read(fault, {**DIVISION, "other": DIVIDE}).faults


def test_a_name_that_is_too_long_ends_it() -> None:
    found = capture.read(b"\0\0\1\0" + b"x" * 300, DIVISION)
    assert found.faults[0].value == "a method's name of 256 bytes; the limit is 255 (at byte 0)"
