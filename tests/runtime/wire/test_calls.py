"""The server's end: the same calls however their bytes are split; garbage gives only ProtocolError."""

from __future__ import annotations

import typing

import pytest
from hypothesis import given, strategies as st

from rpcgen import runtime as rpc
from rpcgen.runtime.wire.plain import CallReader

if typing.TYPE_CHECKING:
    from rpcgen.runtime.wire.codec import Data


def message(name: bytes, block: bytes) -> bytes:
    return len(name).to_bytes(4, "big") + name + len(block).to_bytes(4, "big") + block


def read(reader: CallReader) -> list[tuple[str, Data]]:
    calls = []
    while (call := reader.next_call()) is not None:
        calls.append(call)
    return calls


_calls = st.lists(
    st.tuples(st.text(st.characters(exclude_categories=["Cs"]), max_size=10), st.binary(max_size=30))
)


@given(_calls, st.data())
def test_any_split_gives_the_same_calls(calls: list[tuple[str, bytes]], data: st.DataObject) -> None:
    stream = b"".join(message(name.encode(), block) for name, block in calls)
    stream += message(b"cut", b"off")[: data.draw(st.integers(0, 13))]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    reader = CallReader()
    found = []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        reader.feed(stream[begin:end])
        found += read(reader)
    assert found == calls
    assert reader.pending == len(stream) - sum(len(name.encode()) + len(block) + 8 for name, block in calls)


@given(st.lists(st.binary(max_size=20)))
def test_garbage_gives_only_protocol_errors(pieces: list[bytes]) -> None:
    reader = CallReader()
    try:
        for piece in pieces:
            reader.feed(piece)
            read(reader)
    except rpc.ProtocolError:
        pass


def test_what_is_pending() -> None:
    reader = CallReader()
    assert reader.pending == 0
    reader.feed(message(b"a", b"b") + b"\0\0")
    assert reader.next_call() == ("a", b"b")
    assert reader.next_call() is None
    assert reader.pending == 2
    reader.feed(message(b"a", b"b")[2:])
    assert reader.next_call() == ("a", b"b")
    assert reader.pending == 0


def test_a_long_call_in_small_pieces_is_joined_a_few_times_only() -> None:
    """Copies are what could become quadratic; each one shows as a new first chunk."""
    reader = CallReader()
    whole = message(b"name", bytes(50_000))
    joins, first = 0, b""
    for at in range(0, len(whole), 7):
        reader.feed(whole[at : at + 7])
        call = reader.next_call()
        if call is None and reader._chunks[0] is not first:
            joins, first = joins + 1, reader._chunks[0]
    assert call == ("name", bytes(50_000))
    assert joins <= 4


LONG = b"\1" + bytes(100_000) + b"\2"


@pytest.mark.parametrize("step", [1, 1_000, 65_536, 100_000, 100_020, 150_000])
def test_long_calls_in_any_pieces(step: int) -> None:
    """Alone, behind others, before others, and two of them; what they were read from may be used again."""
    calls = [("a", b"b"), ("long", LONG), ("c", b""), ("long", LONG), ("again", LONG[::-1]), ("d", b"e")]
    stream = b"".join(message(name.encode(), block) for name, block in calls)
    reader, found = CallReader(), []
    for at in range(0, len(stream), step):
        reader.feed(stream[at : at + step])
        found += [(name, bytes(block)) for name, block in read(reader)]
    assert found == calls
    assert reader.pending == 0


def test_a_long_call_whose_name_is_not_utf_8() -> None:
    reader = CallReader()
    whole = message(b"\xff", LONG)
    reader.feed(whole[:-1])
    assert reader.next_call() is None
    reader.feed(whole[-1:])
    with pytest.raises(rpc.ProtocolError, match="a method's name is not UTF-8"):
        reader.next_call()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x00\x00\x01\x00\x00\x00\x00\x00", "a method's name of 256 bytes; the limit is 255"),
        (b"\xff\xff\xff\xff\x00\x00\x00\x00", "a method's name of 4294967295 bytes; the limit is 255"),
        (b"\x00\x00\x00\x01a\x01\x00\x00\x00", "a call of 16777225 bytes; the limit is 16777216"),
        (b"\x00\x00\x00\x01a\x80\x00\x00\x00", "a call of 2147483657 bytes; the limit is 16777216"),
        (message(b"\xff", b""), r"a method's name is not UTF-8: b'\xff'"),
        (b"\xc1RPCGEN\x01", "the peer speaks framed messages (first byte C1); this server speaks plain"),
        (b"\xc1", "the peer speaks framed messages (first byte C1); this server speaks plain"),
    ],
)
def test_what_cannot_be_framed(data: bytes, words: str) -> None:
    reader = CallReader()
    reader.feed(data)
    with pytest.raises(rpc.ProtocolError) as caught:
        reader.next_call()
    assert str(caught.value) == words


def test_a_call_over_the_limit_that_has_come_whole() -> None:
    reader = CallReader(rpc.Limits(message=20))
    reader.feed(message(b"name", bytes(8)))
    assert reader.next_call() == ("name", bytes(8))
    reader.feed(message(b"name", bytes(9)))
    with pytest.raises(rpc.ProtocolError, match="a call of 21 bytes; the limit is 20"):
        reader.next_call()


@pytest.mark.parametrize("data", [b"G", b"\xc1", b"\0\1", b"\0\0\1\0"])
def test_what_can_be_no_call_is_refused_at_once(data: bytes) -> None:
    """Not at the eighth byte, which may never come."""
    reader = CallReader(rpc.Limits())
    reader.feed(data)
    with pytest.raises(rpc.ProtocolError):
        reader.next_call()


def test_a_name_at_the_limit_is_waited_for() -> None:
    reader = CallReader(rpc.Limits())
    for byte in b"\0\0\0\xff":
        reader.feed(bytes([byte]))
        assert reader.next_call() is None


@pytest.mark.parametrize("first", [b"", b"\0", message(b"a", b"b")[:-1]])
def test_take_is_feed_and_next_call(first: bytes) -> None:
    whole = message("é".encode(), b"block")
    for data in (
        whole,
        whole[:-1],
        whole + b"\0",
        whole * 2,
        message(b"\xff", b""),
        message(b"x" * 200, b""),
        message(b"x", bytes(100)),
        b"\xff",
        b"",
    ):
        ends: list[tuple[object, object]] = []
        for at_once in (True, False):
            reader = CallReader(rpc.Limits(name=100, message=90))
            reader.feed(first)
            try:
                if at_once:
                    call = reader.take(data)
                else:
                    reader.feed(data)
                    call = reader.next_call()
                ends.append((call, reader.pending))
            except rpc.ProtocolError as error:
                ends.append((None, str(error)))
        assert ends[0] == ends[1]
