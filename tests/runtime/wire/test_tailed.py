"""Messages in two pieces are what they are in one: for those who look, the codec and the session."""

from __future__ import annotations

import decimal
import gc
import itertools
import sys
import typing

import pytest
from hypothesis import given, settings, strategies as st

from rpcgen import runtime as rpc
from rpcgen.runtime.wire.codec import ReferenceCodec
from rpcgen.runtime.wire.events import CALL, REPLY
from rpcgen.runtime.wire.hello import default_terms
from rpcgen.runtime.wire.plain import MethodCodec
from rpcgen.runtime.wire.session import Session
from tests.support.framed import call, frame, opened_client, opened_server
from tests.support.schemas import Method, methods, outcome, struct_class, union_class, values

pytest.importorskip("rpcgen.runtime.wire._codec")
from rpcgen.runtime.wire.tailed import Incoming, Tailed, pieces, tail_begin

LONG = 64 * 1024
"""From this on bytes are not copied."""

File = struct_class("File", [rpc.Field(1, "name", rpc.STRING), rpc.Field(2, "data", rpc.BYTES)])
Any = union_class("Any", [rpc.Field(1, "data", rpc.BYTES), rpc.Field(2, "text", rpc.STRING)])

ENDS = (rpc.BYTES, rpc.OptionalOf(rpc.BYTES), rpc.STRING, File, Any, rpc.ListOf(rpc.BYTES), rpc.DECIMAL)


@pytest.fixture(autouse=True)
def only_once(codec_kind: str) -> None:
    if codec_kind != "c":
        pytest.skip("of the codec in C")


def long_value(type_: typing.Any, size: int) -> typing.Any:
    data = bytes(range(256)) * (size // 256 + 1)
    data = data[:size]
    if type_ is File:
        return File("name", data)
    if type_ is Any:
        return Any.__rpc_cases__[0](data)
    if isinstance(type_, rpc.ListOf):
        return [data]
    if type_ is rpc.STRING:
        return "é" * (size // 2)
    if type_ is rpc.DECIMAL:
        return decimal.Decimal("1" * 1000)
    return data


def codecs(type_: typing.Any) -> tuple[MethodCodec, ReferenceCodec]:
    params = (
        rpc.Param(1, "key", rpc.STRING),
        rpc.Param(2, "n", rpc.INT, 5),
        rpc.Param(7, "last", type_),
    )
    return (
        MethodCodec("put", params, (rpc.Reserved(4, rpc.INT),), type_, ()),
        ReferenceCodec("put", params, (rpc.Reserved(4, rpc.INT),), type_, ()),
    )


class TestTailed:
    @given(
        st.binary(max_size=20),
        st.binary(max_size=20),
        st.none() | st.integers(-50, 50),
        st.none() | st.integers(-50, 50),
    )
    def test_it_is_like_bytes(self, head: bytes, tail: bytes, begin: int | None, end: int | None) -> None:
        message: typing.Any = Tailed(head, tail)
        whole = head + tail
        assert len(message) == len(whole)
        assert bytes(message[begin:end]) == whole[begin:end]
        assert bytes(message[begin:end:2]) == whole[begin:end:2]
        assert message == whole
        assert (message != whole) is False
        assert message != whole + b"x"
        assert bytes(memoryview(message)) == b"".join((message,)) == b"" + message == whole
        assert bytes(message) is bytes(message)
        assert (message.head, message.tail) == (head, tail) == tuple(pieces(message))
        if begin is not None and -len(whole) <= begin < len(whole):
            assert message[begin] == whole[begin]
        elif begin is not None:
            with pytest.raises(IndexError):
                message[begin]

    def test_the_tail_stays_what_it_is_where_only_the_head_is_cut(self) -> None:
        tail = bytes(100)
        rest = Tailed(b"0123456789", tail)[4:]
        assert isinstance(rest, Tailed)
        assert rest.head == b"456789"
        assert rest.tail is tail
        assert rest[1:3] == b"56"

    @pytest.mark.parametrize("wrong", [(), (b"1",), ("1", b"2"), (b"1", bytearray(b"2")), (b"1", b"2", b"3")])
    def test_it_is_made_of_bytes_alone(self, wrong: typing.Any) -> None:
        with pytest.raises(TypeError):
            Tailed(*wrong)

    def test_what_is_no_place_in_it(self) -> None:
        message: typing.Any = Tailed(b"1", b"2")
        for key in ("1", None, 1.0):
            with pytest.raises(TypeError):
                message[key]
        with pytest.raises(TypeError):
            hash(message)
        with pytest.raises(TypeError):
            message < b"1"  # noqa: B015
        assert message != "12"

    def test_nothing_leaks(self) -> None:
        head, tail = bytes(200), bytes(300)
        before = sys.getrefcount(head), sys.getrefcount(tail)
        for _ in range(100):
            message: typing.Any = Tailed(head, tail)
            message[3:], message[3], message[250:], memoryview(message), message == b"x"
        del message
        gc.collect()
        assert (sys.getrefcount(head), sys.getrefcount(tail)) == before


class TestIncoming:
    def test_it_is_bytes_once_it_is_filled(self) -> None:
        incoming = Incoming(LONG)
        view = memoryview(incoming)
        assert len(view) == LONG
        assert not view.readonly
        view[:] = bytes(range(256)) * (LONG // 256)
        taken = incoming.taken()
        assert taken == bytes(range(256)) * (LONG // 256)
        assert incoming.taken() is taken
        del incoming
        assert view[3] == 3, "a view keeps what it shows"

    def received(self, size: int, content: int) -> bytes:
        incoming = Incoming(size)
        memoryview(incoming)[:] = bytes([content]) * size
        return incoming.taken()

    def test_bytes_that_are_kept_stay_what_they_are(self) -> None:
        sizes = (LONG, 100_000, 90_000, 1 << 20, LONG, 5 << 20, 100_000)
        kept = [self.received(size, place) for place, size in enumerate(sizes)]
        shown = [memoryview(self.received(size, 100 + place)) for place, size in enumerate(sizes)]
        assert kept == [bytes([place]) * size for place, size in enumerate(sizes)]
        assert shown == [bytes([100 + place]) * size for place, size in enumerate(sizes)]

    @pytest.mark.parametrize("size", [200_000, 199_999, 160_000])
    def test_memory_that_nobody_looks_at_is_used_again(self, size: int) -> None:
        first = self.received(200_000, 1)
        place, known = id(first), {first: "first"}
        del first
        known.clear()
        others = [bytes(each) for each in (200_000, size)]
        second = self.received(size, 2)
        assert id(second) == place
        assert id(second) not in map(id, others)
        assert second == b"\2" * size
        assert {second: "second"}[b"\2" * size] == "second", "its hash is its own"

    @pytest.mark.parametrize("size", [159_999, 200_001])
    def test_no_value_keeps_much_more_memory_than_it_has_bytes(self, size: int) -> None:
        first = self.received(200_000, 1)
        place, _ = id(first), hash(first)
        del first
        second = self.received(size, 2)
        assert id(second) != place
        assert second == b"\2" * size

    @pytest.mark.parametrize("size", [-1, 0, LONG - 1])
    def test_it_is_for_what_is_long(self, size: int) -> None:
        with pytest.raises(ValueError, match="65536 bytes and more"):
            Incoming(size)


class TestCodec:
    @pytest.mark.parametrize("type_", ENDS, ids=repr)
    @pytest.mark.parametrize("size", [0, LONG - 1, LONG, LONG + 1, 300_000])
    def test_long_messages_are_those_of_the_reference(self, type_: typing.Any, size: int) -> None:
        fast, reference = codecs(type_)
        value = long_value(type_, size)
        args = ["key", rpc.DEFAULT, value]
        is_bytes = isinstance(value, bytes) and size >= LONG
        for kind, given_ in (
            ("encode_call", args),
            ("encode_plain", args),
            ("encode_block", args),
            ("encode_frame", args),
            ("encode_reply", value),
        ):
            message = getattr(fast, kind)(given_)
            assert bytes(message) == bytes(getattr(reference, kind)(given_))
            in_two = is_bytes and kind != "encode_call"
            assert isinstance(message, Tailed) == in_two, kind
            if in_two:
                assert message.tail is value
        block, reply = fast.encode_block(args), fast.encode_reply(value)
        assert fast.decode_args(block) == ["key", 5, value]
        assert fast.decode_reply(reply) == fast.quick_reply(bytes(reply)) == value

    @pytest.mark.parametrize(
        "value", [bytearray(LONG), memoryview(bytes(LONG)), type("B", (bytes,), {})(LONG)]
    )
    def test_what_may_change_is_copied(self, value: typing.Any) -> None:
        fast, reference = codecs(rpc.BYTES)
        assert fast.encode_reply(value) == reference.encode_reply(value)
        assert isinstance(fast.encode_block(["key", 1, value]), bytes)

    def test_bytes_that_are_not_the_last_argument(self) -> None:
        params = (rpc.Param(1, "data", rpc.BYTES), rpc.Param(2, "more", rpc.BYTES, b""))
        fast = MethodCodec("put", params, (), rpc.VOID, ())
        one, two = bytes(LONG), b"x" * LONG
        assert isinstance(fast.encode_block([one, rpc.DEFAULT]), bytes)
        block = fast.encode_block([one, two])
        assert fast.decode_args(block) == fast.decode_args(bytes(block)) == [one, two]

    @pytest.mark.parametrize(
        "args", [["key", "no number", bytes(LONG)], [3, 5, bytes(LONG)], ["key", bytes(LONG)]]
    )
    def test_what_does_not_fit_is_said_as_ever(self, args: list[typing.Any]) -> None:
        fast, reference = codecs(rpc.BYTES)
        for kind in ("encode_plain", "encode_block", "encode_frame"):
            assert outcome(getattr(fast, kind), args) == outcome(getattr(reference, kind), args)

    @pytest.mark.parametrize("type_", ENDS, ids=repr)
    def test_tails_are_read_where_they_are_long(self, type_: typing.Any) -> None:
        fast, _ = codecs(type_)
        value = long_value(type_, 300_000)
        block, reply = bytes(fast.encode_block(["k", 1, value])), bytes(fast.encode_reply(value))
        call_frame = frame(1, 0, 1, call("put", block))
        reply_frame = frame(2, 0, 1, reply)
        for whole, begin, decode, expected in (
            (block, tail_begin(call_frame, 0) - 10 - 8, fast.decode_args, ["k", 1, value]),
            (reply, tail_begin(reply_frame, 0) - 10, fast.decode_reply, value),
        ):
            if begin > 0:
                assert decode(Tailed(whole[:begin], whole[begin:])) == expected
            else:
                assert type_ in (rpc.DECIMAL,) or isinstance(type_, rpc.ListOf)

    @settings(max_examples=200)
    @given(methods(), st.data())
    def test_any_cut_means_the_same(self, method: Method, data: st.DataObject) -> None:
        fast, reference = method.codecs()
        args = [data.draw(values(param.type)) for param in method.params]
        block = bytes(fast.encode_block(args))
        messages = [
            ("decode_args", block),
            ("decode_reply", bytes(fast.encode_reply(data.draw(values(method.returns))))),
        ]
        for declared in method.raises:
            raised = fast.encode_raised(data.draw(values(declared)))
            if raised is not None:
                messages.append(("decode_reply", raised))
        for kind, message in messages:
            for _ in range(8):
                cut = data.draw(st.integers(0, len(message)))
                spoiled = message if data.draw(st.booleans()) else message[:-1] + b"\xff"
                in_two = Tailed(spoiled[:cut], spoiled[cut:])
                assert outcome(getattr(fast, kind), in_two) == outcome(getattr(reference, kind), spoiled)
            for cut in lengths_that_fit(message):
                in_two = Tailed(message[:cut], message[cut:])
                assert outcome(getattr(fast, kind), in_two) == outcome(getattr(reference, kind), message)


def lengths_that_fit(message: bytes) -> list[int]:
    """Gives where what may be a value begins that ends with the message."""
    return [
        cut
        for cut in range(4, len(message) + 1)
        if int.from_bytes(message[cut - 4 : cut], "big") == len(message) - cut
    ]


class TestBegin:
    def test_of_calls_and_replies(self) -> None:
        tail = bytes(LONG)
        size = len(tail).to_bytes(4, "big")
        for before in (b"\x01", b"\x01\0\0\0\x05\x02", b"\x01\0\0\0\x03key\x02"):
            whole = frame(1, 0, 5, call("put", before + size + tail))
            found = tail_begin(b"xyz" + whole[:60], 3)
            assert whole[found - 3 :] == tail
        for before in (b"\x01", b"\x01\x01", b"\x05"):
            whole = frame(2, 0, 5, before + size + tail)
            assert whole[tail_begin(whole[:40], 0) :] == tail

    @pytest.mark.parametrize(
        "whole",
        [
            frame(2, 0, 5, b"\x01" + (LONG - 1).to_bytes(4, "big") + bytes(LONG - 1)),
            frame(2, 0, 5, b"\x01" + LONG.to_bytes(4, "big") + bytes(LONG + 1)),
            frame(2, 1, 5, b"\x01" + LONG.to_bytes(4, "big") + bytes(LONG)),
            frame(1, 4, 5, call("put", b"\x01" + LONG.to_bytes(4, "big") + bytes(LONG))),
            frame(3, 0, 5, b"\x01" + LONG.to_bytes(4, "big") + bytes(LONG)),
            frame(2, 0, 5, b"\x01\x01\x01" + LONG.to_bytes(4, "big") + bytes(LONG)),
            frame(1, 0, 5, call("put", bytes(2000) + LONG.to_bytes(4, "big") + bytes(LONG))),
        ],
        ids=[
            "short",
            "more follows",
            "compressed",
            "no reply",
            "a fault",
            "deeper in a reply",
            "far in a call",
        ],
    )
    def test_where_there_is_none(self, whole: bytes) -> None:
        assert tail_begin(whole, 0) == 0

    @given(st.binary(max_size=40), st.integers(0, 40), st.sampled_from([b"", b"\x01\0", b"\x02\0"]))
    def test_any_bytes(self, data: bytes, pos: int, word: bytes) -> None:
        data = data[: pos + 4] + word + data[pos + 4 :]
        if pos > len(data):
            with pytest.raises(ValueError, match="no such place"):
                tail_begin(data, pos)
            return
        found = tail_begin(data, pos)
        assert found == 0 or pos + 14 < found <= len(data)

    @pytest.mark.parametrize("wrong", [(), (b"1",), ("1", 0), (bytearray(20), 0), (b"1", "0"), (b"1", -1)])
    def test_what_it_does_not_take(self, wrong: typing.Any) -> None:
        with pytest.raises((TypeError, ValueError)):
            tail_begin(*wrong)


class TestSession:
    @settings(max_examples=60)
    @given(
        st.lists(st.integers(0, 70_000 + 40), max_size=6), st.booleans(), st.sampled_from([0, 1, 30, 70_000])
    )
    def test_any_pieces_give_the_same(self, cuts: list[int], fills: bool, size: int) -> None:
        tail = b"t" * size
        block = b"\x01\0\0\0\x03key\x02" + size.to_bytes(4, "big") + tail
        reply = b"\x01" + size.to_bytes(4, "big") + tail
        server, client = opened_server(), opened_client()
        call_id = client.send_call("put", b"", caller="it")
        client.data_to_send()
        assert [
            event[:5] for event in given_in_pieces(server, frame(1, 0, 1, call("put", block)), cuts, fills)
        ] == [(CALL, 1, "put", None, block)]
        events = given_in_pieces(client, frame(2, 0, call_id, reply), cuts, fills)
        assert events == [(REPLY, "it", reply, None)]

    def test_a_long_value_is_received_in_place_and_sent_from_where_it_is(self) -> None:
        tail = b"t" * 300_000
        fast, _ = codecs(rpc.BYTES)
        client = opened_client(hello=default_terms().hello)
        server = opened_server(hello=default_terms().hello)
        client.send_call("put", fast.encode_block(["key", 3, tail]))
        head, same = client.data_to_send()
        assert same is tail
        assert not server.receive(bytes(head) + tail[:1000])
        (event,) = server.receive(tail[1000:])
        assert event[0] == CALL
        assert isinstance(event[4], Tailed)
        last = fast.decode_args(event[4])[2]
        assert last is event[4].tail
        server.send_reply(1, fast.encode_reply(last))
        assert server.data_to_send()[-1] is last

    def test_the_end_comes_inside_of_a_long_value(self) -> None:
        server = opened_server()
        begun = frame(1, 0, 1, call("put", b"\x01" + LONG.to_bytes(4, "big") + bytes(LONG)))[:-1]
        assert not server.receive(begun)
        assert server.space() is not None
        (event,) = server.receive_end()
        assert "inside a frame" in str(event[1])
        assert server.space() is None


def given_in_pieces(session: Session, data: bytes, cuts: list[int], fills: bool) -> list[typing.Any]:
    """Gives a session a frame in pieces, into its own space where it has one and ``fills`` says so."""
    events: list[typing.Any] = []
    places = sorted({*(min(cut, len(data)) for cut in cuts), 0, len(data)})
    for begin, end in itertools.pairwise(places):
        piece = memoryview(data)[begin:end]
        while piece:
            space = session.space() if fills else None
            if space is None:
                events += session.receive(bytes(piece))
                break
            count = min(len(space), len(piece))
            space[:count] = piece[:count]
            del space
            events += session.filled(count)
            piece = piece[count:]
    return events
