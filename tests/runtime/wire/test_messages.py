"""Whole messages: the byte strings of the format's description, faults, refusals, limits."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import typing

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from rpcgen import runtime as rpc
from rpcgen.runtime.wire import plain
from rpcgen.runtime.wire.codec import ReferenceCodec
from rpcgen.runtime.wire.plain import UNDECIDED, MethodCodec, encode_fault
from tests.support.schemas import enum_class, exception_class, methods, normal, struct_class, union_class

Codec: typing.TypeAlias = MethodCodec | ReferenceCodec


class InvalidOperation(rpc.RemoteException):
    default_message = "invalid operation"


class Stricter(InvalidOperation):
    pass


OutOfStock = exception_class(
    "OutOfStock",
    [rpc.Field(1, "sku", rpc.STRING), rpc.Field(2, "left", rpc.INT, default=0)],
    [rpc.Reserved(3, rpc.STRING)],
)

PARAMS = (rpc.Param(1, "num1", rpc.INT), rpc.Param(2, "num2", rpc.INT, default=1))
DIVIDE = ("divide", PARAMS, (rpc.Reserved(4, rpc.STRING),), rpc.FLOAT, (InvalidOperation, OutOfStock))


@pytest.fixture(params=[MethodCodec, ReferenceCodec])
def codec(request: pytest.FixtureRequest) -> Codec:
    made: Codec = request.param(*DIVIDE)
    return made


def test_the_call_of_the_description(codec: Codec) -> None:
    whole = bytes.fromhex("00000006 646976696465 0000000a 01 000000c8 02 00000064")
    assert codec.encode_call((200, 100)) == whole
    assert codec.decode_args(whole[14:]) == [200, 100]


@pytest.mark.parametrize("second", [1, rpc.DEFAULT, True])
def test_a_default_is_not_sent(codec: Codec, second: typing.Any) -> None:
    whole = bytes.fromhex("00000006 646976696465 00000005 01 000000c8")
    assert codec.encode_call((200, second)) == whole
    assert codec.decode_args(whole[14:]) == [200, 1]


def test_the_replies_of_the_description(codec: Codec) -> None:
    assert codec.encode_reply(2.0) == codec.encode_reply(2) == bytes.fromhex("01 40000000")
    assert codec.encode_raised(InvalidOperation("x")) == bytes.fromhex("02 00000001 78")
    assert codec.decode_reply(bytes.fromhex("01 40000000")) == 2.0
    raised = codec.decode_reply(bytes.fromhex("02 00000001 78"))
    assert type(raised) is InvalidOperation
    assert raised.message == "x"


def test_an_exception_with_a_body(codec: Codec) -> None:
    message = bytes.fromhex("03 0000000b 01 00000001 61 02 00000007")
    assert codec.encode_raised(OutOfStock("a", 7)) == message
    raised = codec.decode_reply(message)
    assert (type(raised), raised.sku, raised.left) == (OutOfStock, "a", 7)
    newer = bytes.fromhex("03 0000000e 01 00000001 61 03 00000000 09 01 02")
    older = codec.decode_reply(newer[:-3].replace(b"\x0e", b"\x0b"))
    assert codec.decode_reply(newer).args == older.args == ("a", 0)


def test_a_subclass_is_raised_as_what_is_declared(codec: Codec) -> None:
    assert codec.encode_raised(Stricter("x")) == bytes.fromhex("02 00000001 78")
    assert codec.encode_raised(exception_class("Other", None)("x")) is None


def test_the_first_match_counts() -> None:
    for kind in (MethodCodec, ReferenceCodec):
        codec = kind("m", (), (), rpc.VOID, (InvalidOperation, Stricter))
        raised = codec.encode_raised(Stricter("x"))
        assert raised is not None
        assert raised[0] == 2


def test_an_exception_with_a_field_that_does_not_fit(codec: Codec) -> None:
    with pytest.raises(rpc.EncodeError, match=r"^divide: OutOfStock\.left: int must be -2147483648"):
        codec.encode_raised(OutOfStock("a", 2**31))
    with pytest.raises(rpc.EncodeError, match=r"^divide: InvalidOperation\.message: string must be a str"):
        codec.encode_raised(InvalidOperation("\ud800"))
    broken = OutOfStock("a", 7)
    del broken.left
    with pytest.raises(rpc.EncodeError, match=r"^divide: OutOfStock\.left: is not set"):
        codec.encode_raised(broken)


def test_a_kind_of_exception_that_is_not_known_yet(codec: Codec) -> None:
    fault = codec.decode_reply(bytes.fromhex("04 00000002 0102"))
    assert type(fault) is rpc.RemoteFault
    assert fault.code is rpc.FaultCode.INTERNAL
    assert "exception 3 after =>, but only 2 are known here" in str(fault)
    with pytest.raises(rpc.DecodeError, match="a length of 3, but 2 bytes are left"):
        codec.decode_reply(bytes.fromhex("04 00000003 0102"))


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (b"BAD_REQUEST: no", rpc.FaultCode.BAD_REQUEST, "no"),
        (b"INTERNAL: a: b", rpc.FaultCode.INTERNAL, "a: b"),
        (b"NEWER: what", rpc.FaultCode.INTERNAL, "NEWER: what"),
        (b"", rpc.FaultCode.INTERNAL, ""),
    ],
)
def test_faults(codec: Codec, text: bytes, code: rpc.FaultCode, message: str) -> None:
    fault = codec.decode_reply(b"\0" + len(text).to_bytes(4, "big") + text)
    assert (type(fault), fault.code, fault.message, fault.method) == (
        rpc.RemoteFault,
        code,
        message,
        "divide",
    )


def test_encode_fault() -> None:
    assert encode_fault(rpc.FaultCode.BAD_REQUEST, "é") == b"\0\0\0\0\x0fBAD_REQUEST: \xc3\xa9"
    assert encode_fault(rpc.FaultCode.BAD_REQUEST, "\ud800").endswith(b": ?")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "result: a reply has no bytes (at byte 0)"),
        (b"\0\0\0\0\x01\xff", "fault: invalid UTF-8"),
        (b"\x02\0\0\0\x01x!", "InvalidOperation: 1 bytes are left over"),
        (b"\x03\0\0\0\0", "OutOfStock.sku: is required but missing"),
    ],
)
def test_replies_that_are_refused(codec: Codec, data: bytes, words: str) -> None:
    with pytest.raises(rpc.DecodeError) as caught:
        codec.decode_reply(data)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ("", "divide: num1: is required but missing (at byte 0)"),
        ("01000000c8 03ffff", "divide: argument with tag 3 is unknown (at byte 5)"),
        ("01000000c8 09", "divide: argument with tag 9 is unknown (at byte 5)"),
        ("01000000c8 0400000000", "divide: argument with tag 4 was removed (at byte 5)"),
        ("01000000c8 01000000c8", "divide: tags must ascend, but 1 follows 1"),
        ("0200000001 01000000c8", "divide: tags must ascend, but 1 follows 2"),
        ("01000000", "divide: num1: 4 bytes are needed, but 3 are left (at byte 1)"),
        ("00", "divide: tag 0 is none (at byte 0)"),
    ],
)
def test_arguments_that_are_refused(codec: Codec, block: str, words: str) -> None:
    with pytest.raises(rpc.DecodeError) as caught:
        codec.decode_args(bytes.fromhex(block))
    assert str(caught.value).startswith(words)
    assert caught.value.method == "divide"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((3000000000, 1), "divide: num1: int must be -2147483648..2147483647, not 3000000000"),
        ((1, None), "divide: num2: int must be -2147483648..2147483647, not None"),
        ((rpc.DEFAULT, 1), "divide: num1: int must be -2147483648..2147483647, not DEFAULT"),
        ((1,), "divide: takes 2 arguments, not 1"),
        ((1, 2, 3), "divide: takes 2 arguments, not 3"),
    ],
)
def test_calls_that_are_refused(codec: Codec, args: tuple[object, ...], words: str) -> None:
    with pytest.raises(rpc.EncodeError) as caught:
        codec.encode_call(args)
    assert str(caught.value) == words


@pytest.mark.parametrize("kind", [MethodCodec, ReferenceCodec])
@pytest.mark.parametrize("type_", [rpc.SetOf(rpc.UUID), rpc.MapOf(rpc.UUID, rpc.INT)])
def test_keys_that_are_made_to_have_one_hash_are_refused(
    kind: type[MethodCodec] | type[ReferenceCodec], type_: typing.Any
) -> None:
    made = kind("f", (rpc.Param(1, "keys", type_),), (), rpc.VOID, ())
    value = b"" if isinstance(type_, rpc.SetOf) else bytes(4)

    def block(step: int) -> bytes:
        keys = [(number * step).to_bytes(16, "big") + value for number in range(2_000)]
        return b"\1" + len(keys).to_bytes(4, "big") + b"".join(keys)

    assert len(made.decode_args(block(2**61))[0]) == 2_000
    with pytest.raises(rpc.DecodeError, match="f: keys: over 64 keys have hashes of others"):
        made.decode_args(block(2**61 - 1))


def test_a_method_without_parameters() -> None:
    for kind in (MethodCodec, ReferenceCodec):
        codec = kind("rpc.describe", (), (), rpc.STRING, (), True)
        assert codec.encode_call(()) == b"\0\0\0\x0crpc.describe\0\0\0\0"
        assert codec.decode_args(b"") == []
        assert codec.encode_reply(None) == b"\x01"
        assert codec.decode_reply(b"\x01") is None
        with pytest.raises(rpc.EncodeError, match="takes 0 arguments, not 1"):
            codec.encode_call((1,))
        with pytest.raises(rpc.DecodeError, match="argument with tag 1 is unknown"):
            codec.decode_args(b"\x01")


def test_other_buffers_decode_too(codec: Codec) -> None:
    block = bytes.fromhex("01000000c8")
    for buffer in (bytearray(block), memoryview(block)):
        assert codec.decode_args(typing.cast(bytes, buffer)) == [200, 1]
    assert codec.decode_reply(typing.cast(bytes, bytearray(b"\x01\x40\0\0\0"))) == 2.0


def test_quick_reply_gives_only_whole_replies() -> None:
    codec = MethodCodec(*DIVIDE)
    assert codec.quick_reply(b"\x01\x40\0\0\0") == 2.0
    assert codec.quick_reply(b"\x02\0\0\0\x01x").message == "x"
    for data in (
        b"",
        b"\x01\x40\0\0",
        b"\x01\x40\0\0\0\0",
        b"\x02\0\0\0\x02x",
        encode_fault(rpc.FaultCode.INTERNAL, ""),
    ):
        assert codec.quick_reply(data) is UNDECIDED


Old = struct_class(
    "Old",
    [rpc.Field(1, "a", rpc.INT), rpc.Field(9, "b", rpc.INT, default=0)],
    [
        rpc.Reserved(2, rpc.STRING),
        rpc.Reserved(3, rpc.ListOf(rpc.STRING)),
        rpc.Reserved(4, rpc.MapOf(rpc.INT, rpc.OptionalOf(rpc.DATE))),
        rpc.Reserved(5, rpc.OptionalOf(rpc.UUID)),
        rpc.Reserved(6, enum_class("Gone", A=1)),
        rpc.Reserved(7, InvalidOperation),
        rpc.Reserved(8, rpc.BOOL),
    ],
)


def test_reserved_fields_of_an_old_peer_are_skipped_by_their_type() -> None:
    parts = (
        "01 00000005",
        "02 00000001 ff",
        "03 00000002 00000000 00000001 61",
        "04 00000001 00000001 00000002",
        "05" + "00" * 16,
        "06 00000001",
        "07 00000001 78",
        "08 07",
        "09 00000006",
    )
    block = bytes.fromhex("".join(parts))
    for kind in (MethodCodec, ReferenceCodec):
        codec = kind("m", (), (), Old, ())
        message = b"\x01" + len(block).to_bytes(4, "big") + block
        assert codec.decode_reply(message) == Old(5, 6)
        for size in range(1, len(block)):
            cut = b"\x01" + size.to_bytes(4, "big") + block[:size]
            with contextlib.suppress(rpc.DecodeError):
                assert codec.decode_reply(cut).a == 5
        with pytest.raises(rpc.DecodeError, match="a count of 255"):
            codec.decode_reply(b"\x01\0\0\0\x0a" + block[:5] + b"\x03\0\0\0\xff")


Sparse = struct_class("Sparse", [rpc.Field(1, "a", rpc.INT), rpc.Field(5, "b", rpc.INT, default=0)])


def test_an_unknown_tag_below_a_known_one_is_refused() -> None:
    for kind in (MethodCodec, ReferenceCodec):
        codec = kind("m", (), (), Sparse, ())
        with pytest.raises(rpc.DecodeError, match="result: unknown tag 3, below the highest known one, 5"):
            codec.decode_reply(bytes.fromhex("01 00000007 0100000001 0300"))


def quick_function(codec_kind: str, reference: ReferenceCodec, message: str, slow: typing.Any) -> typing.Any:
    """Gives the function that a codec has for one kind of message, with something else behind it."""
    if codec_kind == "c":
        from rpcgen.runtime.wire import native

        return getattr(native.method(reference, (slow,) * len(plain.MESSAGES)), message)
    from rpcgen.runtime.wire import compiled

    return compiled.message(reference, message, slow)


# Nesting and items.

_nodes: list[typing.Any] = []
Node = struct_class("Node", [rpc.Field(1, "inner", rpc.OptionalOf(rpc.Ref(lambda: _nodes[0])))])
_nodes.append(Node)
_trees: list[typing.Any] = []
Tree = struct_class("Tree", [rpc.Field(1, "inner", rpc.ListOf(rpc.Ref(lambda: _trees[0])), default=[])])
_trees.append(Tree)
_choices: list[typing.Any] = []
Choice = union_class(
    "Choice",
    [rpc.Field(1, "more", rpc.MapOf(rpc.INT, rpc.Ref(lambda: _choices[0]))), rpc.Field(2, "end", rpc.INT)],
)
_choices.append(Choice)


def _nested(levels: int) -> typing.Any:
    value = None
    for _ in range(levels):
        value = Node(value)
    return value


@pytest.mark.parametrize("kind", [MethodCodec, ReferenceCodec])
class TestLimits:
    def test_nesting_of_64_and_no_more(self, kind: type[Codec]) -> None:
        codec = kind("m", (), (), Node, ())
        message = codec.encode_reply(_nested(64))
        assert codec.decode_reply(message) == _nested(64)
        for levels in (65, 100_000):
            with pytest.raises(rpc.EncodeError, match=r"nested deeper than 64$"):
                codec.encode_reply(_nested(levels))
        deeper = b"\x01" + len(message).to_bytes(4, "big") + b"\x01" + message[1:]
        with pytest.raises(rpc.DecodeError, match="nested deeper than 64"):
            codec.decode_reply(deeper)

    def test_containers_with_content_are_levels(self, kind: type[Codec]) -> None:
        codec = kind("m", (), (), Tree, ())
        value = Tree([])
        for _ in range(31):
            value = Tree([value])
        value = Tree([value])  # 33 structs and 32 lists
        with pytest.raises(rpc.EncodeError, match="nested deeper than 64"):
            codec.encode_reply(value)
        assert (
            codec.decode_reply(codec.encode_reply(value, rpc.Limits(nesting=65)), rpc.Limits(nesting=65))
            == value
        )
        with pytest.raises(rpc.DecodeError, match="nested deeper than 64"):
            codec.decode_reply(codec.encode_reply(value, rpc.Limits(nesting=65)))

    def test_unions_are_levels(self, kind: type[Codec]) -> None:
        codec = kind("m", (), (), Choice, ())
        more, end = Choice.__rpc_cases__
        value = end(1)
        for _ in range(31):
            value = more({1: value})
        assert codec.decode_reply(codec.encode_reply(value)) == value
        with pytest.raises(rpc.EncodeError, match="nested deeper than 64"):
            codec.encode_reply(more({1: more({1: value})}))

    def test_a_value_that_holds_itself(self, kind: type[Codec]) -> None:
        value = Node(None)
        value.inner = value
        with pytest.raises(rpc.EncodeError, match="nested deeper than 64"):
            kind("m", (), (), Node, ()).encode_reply(value)
        with pytest.raises(rpc.EncodeError, match="nested deeper than Python's own stack"):
            kind("m", (rpc.Param(1, "a", Node),), (), Node, ()).encode_call(
                [value], rpc.Limits(nesting=10**6)
            )
        with pytest.raises(rpc.EncodeError, match="nested deeper than Python's own stack"):
            kind("m", (), (), Node, ()).encode_reply(value, rpc.Limits(nesting=10**6))

    def test_nesting_beyond_pythons_own_stack(self, kind: type[Codec]) -> None:
        """Whoever lifts the limit gets an error still, not a RecursionError."""
        block = b""
        for _ in range(20_000):
            block = b"\x01" + len(block).to_bytes(4, "big") + block
        no_limit = rpc.Limits(nesting=10**6)
        raised = exception_class("Deep", [rpc.Field(1, "inner", Node)])
        codec = kind("m", (rpc.Param(1, "inner", rpc.OptionalOf(Node)),), (), Node, (raised,))
        with pytest.raises(rpc.DecodeError, match="nested deeper than Python's own stack"):
            codec.decode_args(block, no_limit)
        with pytest.raises(rpc.DecodeError, match="nested deeper than Python's own stack"):
            codec.decode_reply(b"\x01" + block[1:], no_limit)
        with pytest.raises(rpc.EncodeError, match="nested deeper than Python's own stack"):
            codec.encode_raised(raised(_nested(5_000)), no_limit)

    def test_types_nested_beyond_the_limit(self, kind: type[Codec]) -> None:
        type_: typing.Any = rpc.INT
        value: typing.Any = 1
        for _ in range(30):
            type_, value = rpc.ListOf(type_), [value]
        codec = kind("m", (rpc.Param(1, "deep", type_),), (), type_, ())
        assert codec.decode_reply(codec.encode_reply(value)) == value
        assert codec.decode_args(codec.encode_call([value])[9:]) == [value]
        with pytest.raises(rpc.EncodeError, match="nested deeper than 29"):
            codec.encode_call([value], rpc.Limits(nesting=29))
        with pytest.raises(rpc.DecodeError, match="nested deeper than 29"):
            codec.decode_args(codec.encode_call([value])[9:], rpc.Limits(nesting=29))

    def test_items_are_counted_over_the_whole_message(self, kind: type[Codec]) -> None:
        params = (
            rpc.Param(1, "nodes", rpc.ListOf(Node)),
            rpc.Param(2, "numbers", rpc.MapOf(rpc.BYTE, rpc.LONG)),
        )
        codec = kind("m", params, (), rpc.ListOf(rpc.LONG), ())
        block = codec.encode_call([[_nested(2)], {1: 1, 2: 2}])[9:]
        value = codec.decode_args(block, rpc.Limits(items=5))
        assert value == codec.decode_args(block)
        with pytest.raises(rpc.DecodeError, match=r"^m: numbers: more than 4 items in a message"):
            codec.decode_args(block, rpc.Limits(items=4))
        reply = codec.encode_reply([1, 2, 3])
        assert codec.decode_reply(reply, rpc.Limits(items=3)) == [1, 2, 3]
        with pytest.raises(rpc.DecodeError, match="more than 2 items"):
            codec.decode_reply(reply, rpc.Limits(items=2))

    def test_ten_million_empty_items(self, kind: type[Codec]) -> None:
        codec = kind("m", (), (), rpc.ListOf(rpc.BOOL), ())
        with pytest.raises(rpc.DecodeError, match="more than 1000000 items"):
            codec.decode_reply(b"\x01" + (10_000_000).to_bytes(4, "big") + bytes(10_000_000))


@settings(suppress_health_check=list(HealthCheck))
@given(methods(), st.data())
def test_what_fits_exactly_never_needs_the_reference(
    codec_kind: str, method: typing.Any, data: st.DataObject
) -> None:
    """That the quick codecs agree would show nothing if they always asked."""
    from tests.support.schemas import values

    def never(*_: object) -> typing.NoReturn:
        raise AssertionError("asked the reference")

    _, reference = method.codecs()
    encode, decode = (
        quick_function(codec_kind, reference, kind, never) for kind in ("encode_call", "decode_args")
    )
    args = [data.draw(values(param.type)) for param in method.params]
    message = reference.encode_call(args)
    if b"\xc8" in message:  # an unknown member of a union, perhaps
        return
    assert encode(args) == message
    assert normal(decode(message[13:])) == normal(reference.decode_args(message[13:]))


def test_the_source_can_be_read() -> None:
    text = MethodCodec(*DIVIDE).source()
    assert "def encode_call(args, limits=DEFAULT_LIMITS):\n" in text
    assert "num1, num2 = args" in text
    assert text.index("def decode_OutOfStock(data, pos, end):") < text.index("def decode_reply(")
    compile(text, "source", "exec")
    assert "def decode_Tree(data, pos, end, room):" in MethodCodec("m", (), (), Tree, ()).source()


def test_names_that_emitted_source_uses_itself() -> None:
    names = (
        "len",
        "data",
        "pos",
        "end",
        "room",
        "args",
        "limits",
        "Surprise",
        "pack_B",
        "map",
        "type",
        "item",
        "slow",
    )
    params = tuple(rpc.Param(tag, name, rpc.ListOf(rpc.STRING)) for tag, name in enumerate(names, 1))
    fast, reference = (
        MethodCodec("m", params, (), rpc.VOID, ()),
        ReferenceCodec("m", params, (), rpc.VOID, ()),
    )
    args = [[name] for name in names]
    assert fast.encode_call(args) == reference.encode_call(args)
    assert fast.decode_args(reference.encode_call(args)[9:]) == args
    holder = struct_class("len", [rpc.Field(tag, name, rpc.INT) for tag, name in enumerate(names, 1)])
    codec = MethodCodec("m", (), (), holder, ())
    value = holder(*range(len(names)))
    assert codec.decode_reply(codec.encode_reply(value)) == value
    assert codec.quick_reply(bytes(codec.encode_reply(value))) == value


def test_two_classes_of_one_name() -> None:
    one = struct_class("Same", [rpc.Field(1, "a", rpc.INT)])
    other = struct_class("Same", [rpc.Field(1, "b", rpc.ListOf(one))])
    codec = MethodCodec(
        "m", (rpc.Param(1, "x", rpc.ListOf(one)), rpc.Param(2, "y", rpc.ListOf(other))), (), rpc.VOID, ()
    )
    args = [[one(1)], [other([one(2)])]]
    assert codec.decode_args(codec.encode_call(args)[9:]) == args


def test_classes_that_hold_each_other() -> None:
    made: dict[str, typing.Any] = {}
    made["A"] = struct_class("A", [rpc.Field(1, "b", rpc.OptionalOf(rpc.Ref(lambda: made["B"])))])
    made["B"] = struct_class("B", [rpc.Field(1, "a", rpc.MapOf(rpc.STRING, rpc.ListOf(made["A"])))])
    codec = MethodCodec("m", (), (), made["B"], ())
    value = made["B"]({"k": [made["A"](None), made["A"](made["B"]({}))]})
    assert codec.quick_reply(bytes(codec.encode_reply(value))) == value


def test_no_struct_no_msgspec() -> None:
    program = (
        "import sys; from rpcgen import runtime as rpc; from rpcgen.runtime.wire.plain import MethodCodec\n"
        "c = MethodCodec('m', (rpc.Param(1, 'a', rpc.INT),), (), rpc.STRING, ())\n"
        "c.decode_args(c.encode_call([1])[9:]); c.decode_reply(c.encode_reply('x'))\n"
        "print([n for n in ('msgspec', 'datetime', 'decimal', 'uuid', 'asyncio') if n in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout == "[]\n"


def test_the_first_messages_are_the_reference_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of few calls does not pay for compiling; the bytes are the same before and after."""
    monkeypatch.setattr(plain, "FEW", 2)
    monkeypatch.setattr(plain, "native", False)
    codec, made = MethodCodec(*DIVIDE), []
    for _ in range(4):
        made.append(codec.encode_call((200, 1)))
        assert ("encode_call" in vars(codec)) == (len(made) > 2)
    assert len(set(made)) == 1
