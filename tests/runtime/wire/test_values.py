"""Each type's bytes, both ways; and what is refused, with the words that say so."""

from __future__ import annotations

import array
import datetime
import decimal
import math
import struct
import typing
import uuid

import pytest

from rpcgen import runtime as rpc
from rpcgen.runtime.schema import Type
from rpcgen.runtime.wire.codec import ReferenceCodec
from rpcgen.runtime.wire.plain import MethodCodec
from rpcgen.runtime.wire.scalars import shown
from tests.support.schemas import normal, struct_class, union_class

UTC = datetime.UTC


def identify(part: object) -> str:
    """Names a parameter the same in every process: a set's order and an address differ."""
    return type(part).__name__ if isinstance(part, (set, memoryview)) else shown(part)[:40]


class Kind(rpc.Enum):
    HOME = 0
    WORK = 1


Point = struct_class("Point", [rpc.Field(1, "x", rpc.INT), rpc.Field(2, "y", rpc.INT, default=0)])
Shape = union_class("Shape", [rpc.Field(1, "point", Point), rpc.Field(3, "name", rpc.STRING)])
PointCase, NameCase = Shape.__rpc_cases__


class Busy(rpc.RemoteException):
    default_message = "busy"


def codecs(returns: Type) -> tuple[MethodCodec, ReferenceCodec]:
    return MethodCodec("get", (), (), returns, ()), ReferenceCodec("get", (), (), returns, ())


VALUES: list[tuple[Type, typing.Any, str]] = [
    (rpc.BOOL, False, "00"),
    (rpc.BOOL, True, "01"),
    (rpc.BYTE, -128, "80"),
    (rpc.SHORT, -2, "fffe"),
    (rpc.INT, 2147483647, "7fffffff"),
    (rpc.LONG, -1, "ffffffffffffffff"),
    (rpc.UBYTE, 255, "ff"),
    (rpc.USHORT, 65535, "ffff"),
    (rpc.UINT, 4294967295, "ffffffff"),
    (rpc.ULONG, 2**64 - 1, "ffffffffffffffff"),
    (rpc.FLOAT, 2.0, "40000000"),
    (rpc.FLOAT, math.inf, "7f800000"),
    (rpc.DOUBLE, -0.0, "8000000000000000"),
    (rpc.DOUBLE, math.nan, "7ff8000000000000"),
    (rpc.STRING, "", "00000000"),
    (rpc.STRING, "é€", "00000005c3a9e282ac"),
    (rpc.BYTES, b"\x00\xff", "0000000200ff"),
    (rpc.TIMESTAMP, datetime.datetime(1970, 1, 1, tzinfo=UTC), "0000000000000000"),
    (rpc.TIMESTAMP, datetime.datetime(1969, 12, 31, 23, 59, 59, 999999, UTC), "ffffffffffffffff"),
    (rpc.TIMESTAMP, datetime.datetime(1, 1, 1, tzinfo=UTC), "ff23400100d44000"),
    (rpc.TIMESTAMP, datetime.datetime(9999, 12, 31, 23, 59, 59, 999999, UTC), "0384440ccc735fff"),
    (rpc.DATE, datetime.date(1970, 1, 2), "00000001"),
    (rpc.DATE, datetime.date(1, 1, 1), "fff506c6"),
    (rpc.DURATION, datetime.timedelta(microseconds=-1), "ffffffffffffffff"),
    (rpc.DURATION, datetime.timedelta(microseconds=2**63 - 1), "7fffffffffffffff"),
    (rpc.UUID, uuid.UUID(int=1), "00" * 15 + "01"),
    (rpc.DECIMAL, decimal.Decimal("1.00"), "00000004312e3030"),
    (rpc.DECIMAL, decimal.Decimal("-1E+6144"), "00000008" + b"-1E+6144".hex()),
    (Kind, Kind.WORK, "00000001"),
    (Kind, Kind.from_wire(-7), "fffffff9"),
    (rpc.ListOf(rpc.SHORT), [1, -1], "000000020001ffff"),
    (rpc.ListOf(rpc.BOOL), [True, False], "000000020100"),
    (rpc.ListOf(rpc.STRING), ["a", "é"], "000000020000000161" + "00000002c3a9"),
    (rpc.ListOf(rpc.STRING), ["a" * 300], "000000010000012c" + "61" * 300),
    (rpc.ListOf(Kind), [Kind.WORK], "0000000100000001"),
    (rpc.ListOf(rpc.UUID), [uuid.UUID(int=2)], "00000001" + "00" * 15 + "02"),
    (rpc.ListOf(rpc.DATE), [datetime.date(1970, 1, 2)], "0000000100000001"),
    (rpc.ListOf(rpc.BYTES), [b"x"], "000000010000000178"),
    (rpc.ListOf(rpc.ListOf(rpc.BYTE)), [[1], []], "00000002000000010100000000"),
    (rpc.ListOf(rpc.ListOf(Point)), [[Point(1, 0)]], "0000000100000001000000050100000001"),
    (rpc.SetOf(rpc.BYTE), {1, -1, 0}, "00000003" + "0001ff"),
    (rpc.SetOf(rpc.STRING), {"b", "aa", "a"}, "00000003" + "0000000161" + "0000000162" + "000000026161"),
    (
        rpc.MapOf(rpc.STRING, rpc.LONG),
        {"b": 1, "a": 2},
        "00000002000000016200000000000000010000000161" + "0000000000000002",
    ),
    (rpc.MapOf(rpc.BYTE, rpc.BYTE), {2: 3, 1: 4}, "0000000202030104"),
    (rpc.MapOf(Kind, rpc.STRING), {Kind.WORK: "w"}, "00000001000000010000000177"),
    (rpc.MapOf(rpc.BYTE, Kind), {1: Kind.HOME}, "000000010100000000"),
    (rpc.MapOf(rpc.BYTE, rpc.BOOL), {1: True}, "000000010101"),
    (Point, Point(1, 2), "0000000a01000000010200000002"),
    (Point, Point(1, 0), "000000050100000001"),
    (Shape, PointCase(Point(1, 0)), "0000000a01000000050100000001"),
    (Shape, NameCase("n"), "00000006030000000" + "16e"),
    (Shape, Shape.Unknown(9, b"\x01\x02"), "00000003090102"),
    (rpc.OptionalOf(rpc.INT), None, "00"),
    (rpc.OptionalOf(rpc.INT), 5, "0100000005"),
    (rpc.VOID, None, ""),
]


@pytest.mark.parametrize(("type_", "value", "written"), VALUES, ids=identify)
def test_bytes_both_ways(type_: Type, value: typing.Any, written: str) -> None:
    message = b"\x01" + bytes.fromhex(written)
    for codec in codecs(type_):
        assert codec.encode_reply(value) == message
        assert normal(codec.decode_reply(message)) == normal(value)


ACCEPTED: list[tuple[Type, typing.Any, typing.Any]] = [
    (rpc.INT, True, 1),
    (rpc.INT, Kind.WORK, 1),
    (rpc.FLOAT, 1, 1.0),
    (rpc.FLOAT, 1 / 3, 0.3333333432674408),
    (rpc.DOUBLE, True, 1.0),
    (rpc.BYTES, bytearray(b"ab"), b"ab"),
    (rpc.BYTES, memoryview(b"abcd")[::2], b"ac"),
    (rpc.BYTES, array.array("B", [1, 2]), b"\x01\x02"),
    (rpc.ListOf(rpc.INT), (1, 2), [1, 2]),
    (rpc.SetOf(rpc.INT), frozenset({1}), {1}),
    (rpc.MapOf(rpc.INT, rpc.INT), type("Own", (dict,), {})({1: 2}), {1: 2}),
    (Point, type("Sub", (Point,), {})(1, 2), Point(1, 2)),
    (
        rpc.TIMESTAMP,
        datetime.datetime(
            2020, 1, 1, 5, 30, tzinfo=datetime.timezone(datetime.timedelta(hours=5, minutes=30))
        ),
        datetime.datetime(2020, 1, 1, tzinfo=UTC),
    ),
]


@pytest.mark.parametrize(("type_", "value", "expected"), ACCEPTED, ids=identify)
def test_other_python_values_are_accepted(type_: Type, value: typing.Any, expected: typing.Any) -> None:
    for codec in codecs(type_):
        assert normal(codec.decode_reply(codec.encode_reply(value))) == normal(expected)


INT = "int must be -2147483648..2147483647, not "
REFUSED: list[tuple[Type, typing.Any, str]] = [
    (rpc.BOOL, 1, "bool must be True or False, not 1"),
    (rpc.INT, 3000000000, INT + "3000000000"),
    (rpc.INT, "1", INT + "'1'"),
    (rpc.INT, 1.0, INT + "1.0"),
    (rpc.INT, None, INT + "None"),
    (rpc.INT, 10**5000, INT + "<int>"),
    (rpc.UBYTE, -1, "ubyte must be 0..255, not -1"),
    (rpc.FLOAT, 1e39, "float must be a number within ±3.4028235e38, or NaN or infinite, not 1e+39"),
    (
        rpc.DOUBLE,
        10**400,
        "double must be a number within ±1.7976931348623157e308, or NaN or infinite, not 1000",
    ),
    (rpc.DOUBLE, "1", "double must be a number"),
    (rpc.STRING, "\ud800", "string must be a str without lone surrogates, not '\\ud800'"),
    (rpc.STRING, b"x", "string must be a str"),
    (rpc.BYTES, "x", "bytes must be bytes, bytearray or another buffer, not 'x'"),
    (rpc.TIMESTAMP, datetime.datetime(2020, 1, 1), "timestamp must be an aware datetime"),
    (rpc.TIMESTAMP, datetime.date(2020, 1, 1), "timestamp must be an aware datetime"),
    (
        rpc.TIMESTAMP,
        datetime.datetime(1, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=1))),
        "of the years 1 to 9999 in UTC",
    ),
    (rpc.DATE, datetime.datetime(2020, 1, 1), "date must be a datetime.date, and not a datetime"),
    (rpc.DURATION, datetime.timedelta.max, "duration must be a timedelta of -2**63..2**63-1 microseconds"),
    (rpc.DURATION, 5, "duration must be a timedelta"),
    (rpc.UUID, "x", "uuid must be a uuid.UUID, not 'x'"),
    (rpc.DECIMAL, decimal.Decimal("NaN"), "decimal must be a finite Decimal"),
    (rpc.DECIMAL, decimal.Decimal("Infinity"), "decimal must be a finite Decimal"),
    (rpc.DECIMAL, decimal.Decimal("1E+6145"), "an exponent within ±6144, not Decimal('1E+6145')"),
    (rpc.DECIMAL, decimal.Decimal("1" * 1001), "at most 1000 digits"),
    (rpc.DECIMAL, 1.5, "decimal must be a finite Decimal"),
    (Kind, 1, "Kind must be one of its members, not 1"),
    (rpc.ListOf(rpc.INT), "12", "list must be a list or tuple, not '12'"),
    (rpc.ListOf(rpc.INT), [1, "x"], "[1]: " + INT + "'x'"),
    (rpc.ListOf(rpc.BOOL), [True, 1], "[1]: bool must be"),
    (rpc.SetOf(rpc.INT), [1], "set must be a set or frozenset, not [1]"),
    (rpc.SetOf(rpc.INT), {"x"}, INT + "'x'"),
    (rpc.MapOf(rpc.STRING, rpc.INT), [], "map must be a dict, not []"),
    (rpc.MapOf(rpc.STRING, rpc.INT), {"k": "v"}, "['k']: " + INT + "'v'"),
    (
        rpc.SetOf(rpc.BYTES),
        {b"a", memoryview(b"a").cast("c")},
        "a set item is there twice in different guises",
    ),
    (Point, Point("x", 0), ".x: " + INT + "'x'"),
    (Point, None, "Point must be an instance of the class, not None"),
    (rpc.ListOf(Point), [Point(1, 0), Point(1, "y")], "[1].y: " + INT + "'y'"),
    (Shape, Point(1, 0), "Shape must be one of its cases, not Point(x=1, y=0)"),
    (Shape, PointCase(Point("x", 0)), ".point.x: " + INT + "'x'"),
    (Shape, Shape.Unknown(1, b""), "tag 1 is point, not an unknown member"),
    (Shape, Shape.Unknown(256, b""), "an unknown member's tag must be 1..255, not 256"),
    (Shape, Shape.Unknown(0, b""), "an unknown member's tag must be 1..255, not 0"),
    (Shape, Shape.Unknown(9, "x"), "an unknown member's raw value must be bytes, not 'x'"),
    (rpc.VOID, 5, "void must be None, not 5"),
]


@pytest.mark.parametrize(("type_", "value", "words"), REFUSED, ids=identify)
def test_values_that_are_refused(type_: Type, value: typing.Any, words: str) -> None:
    for codec in codecs(type_):
        with pytest.raises(rpc.EncodeError) as caught:
            codec.encode_reply(value)
        text = str(caught.value)
        assert text.startswith("get: result")
        assert words in text


MALFORMED: list[tuple[Type, str, str]] = [
    (rpc.BOOL, "02", "result: bool must be 0 or 1, not 2 (at byte 1)"),
    (rpc.INT, "0000", "result: 4 bytes are needed, but 2 are left (at byte 1)"),
    (rpc.INT, "0000000000", "result: 1 bytes are left over (at byte 5)"),
    (rpc.STRING, "00000002c328", "invalid UTF-8"),
    (rpc.STRING, "00000003eda080", "invalid UTF-8"),  # a lone surrogate
    (rpc.STRING, "7fffffff61", "a length of 2147483647, but 1 bytes are left (at byte 1)"),
    (rpc.STRING, "80000000", "a length of 2147483648, but 0 bytes are left"),
    (rpc.BYTES, "ffffffff", "a length of 4294967295, but 0 bytes are left"),
    (rpc.TIMESTAMP, "7fffffffffffffff", "timestamp must be of the years 1 to 9999"),
    (rpc.DATE, "7fffffff", "date must be of the years 1 to 9999"),
    (rpc.DECIMAL, "00000003" + b"NaN".hex(), "decimal must be of at most 1000 digits"),
    (rpc.DECIMAL, "00000003" + b"1_0".hex(), "decimal must be"),
    (rpc.DECIMAL, "00000002" + b" 1".hex(), "decimal must be"),
    (rpc.DECIMAL, "00000006" + b"1E6145".hex(), "decimal must be"),
    (rpc.DECIMAL, "000003e9" + "31" * 1001, "decimal must be"),
    (rpc.DECIMAL, "00000000", "decimal must be"),
    (rpc.DECIMAL, "00000001ff", "invalid UTF-8"),
    (rpc.ListOf(rpc.BYTE), "0000000301", "result: a count of 3, but 1 bytes are left (at byte 1)"),
    (rpc.ListOf(Point), "ffffffff", "a count of 4294967295, but 0 bytes are left"),
    (
        rpc.ListOf(rpc.STRING),
        "000000020000000161",
        "result[1]: 4 bytes are needed, but 0 are left (at byte 10)",
    ),
    (rpc.ListOf(rpc.BOOL), "000000020105", "result[1]: bool must be 0 or 1, not 5 (at byte 6)"),
    (rpc.SetOf(rpc.BYTE), "000000020101", "set item 1 is repeated (at byte 6)"),
    (rpc.MapOf(rpc.BYTE, rpc.BYTE), "0000000201010102", "map key 1 is repeated"),
    (rpc.MapOf(rpc.BYTE, rpc.BOOL), "000000010102", "result[1]: bool must be 0 or 1, not 2"),
    (Point, "00000000", "result.x: is required but missing"),
    (Point, "0000000a01000000010100000002", "result: tags must ascend, but 1 follows 1 (at byte 10)"),
    (Point, "0000000a02000000010100000002", "tags must ascend, but 1 follows 2"),
    (Point, "0000000600" + "00" * 5, "tag 0 is none"),
    (Point, "0000000601000000" + "0102", "result.y: 4 bytes are needed, but 0 are left"),
    (Point, "00000009010000000102000000", "result.y: 4 bytes are needed, but 3 are left"),
    (Point, "0000000501000000", "a length of 5, but 4 bytes are left"),
    (Shape, "00000000", "Shape holds no member"),
    (Shape, "0000000c030000000161" + "030000000161", "Shape holds more than one member"),
    (Shape, "000000020001", "tag 0 is none"),
    (rpc.OptionalOf(rpc.INT), "02", "a flag before an optional value must be 0 or 1, not 2"),
    (rpc.OptionalOf(rpc.INT), "", "1 bytes are needed, but 0 are left"),
    (rpc.OptionalOf(rpc.INT), "0000", "1 bytes are left over"),
    (rpc.VOID, "00", "1 bytes are left over"),
]


@pytest.mark.parametrize(("type_", "written", "words"), MALFORMED, ids=identify)
def test_bytes_that_are_refused(type_: Type, written: str, words: str) -> None:
    for codec in codecs(type_):
        with pytest.raises(rpc.DecodeError) as caught:
            codec.decode_reply(b"\x01" + bytes.fromhex(written))
        assert words in str(caught.value)
        assert caught.value.method == "get"


def test_a_newer_peers_fields_are_passed_over() -> None:
    for codec in codecs(Point):
        assert codec.decode_reply(bytes.fromhex("01 00000008 0100000007 09 ffff")) == Point(7, 0)


def test_a_default_that_was_written_is_accepted() -> None:
    for codec in codecs(Point):
        assert codec.decode_reply(bytes.fromhex("01 0000000a 0100000007 0200000000")) == Point(7, 0)


def test_a_timestamp_twice_in_one_set() -> None:
    """In a gap of a clock change, two ways to write one instant are unequal in Python."""
    import zoneinfo

    try:
        zone = zoneinfo.ZoneInfo("Europe/Berlin")
    except zoneinfo.ZoneInfoNotFoundError:
        pytest.skip("no time zones on this machine")
    local = datetime.datetime(2020, 3, 29, 2, 30, tzinfo=zone)
    pair = {local, datetime.datetime(2020, 3, 29, 1, 30, tzinfo=UTC)}
    assert len(pair) == 2
    for codec in codecs(rpc.SetOf(rpc.TIMESTAMP)):
        with pytest.raises(rpc.EncodeError, match="twice in different guises"):
            codec.encode_reply(pair)


def test_what_equals_the_default_byte_for_byte_is_left_out() -> None:
    params = (
        rpc.Param(1, "ratio", rpc.DOUBLE, default=0.0),
        rpc.Param(2, "price", rpc.DECIMAL, default=decimal.Decimal("1.0")),
        rpc.Param(3, "kind", Kind, default=Kind.HOME),
        rpc.Param(4, "tags", rpc.ListOf(rpc.STRING), default=["a"]),
        rpc.Param(5, "more", rpc.MapOf(rpc.INT, rpc.INT), default={}),
    )
    left_out: tuple[typing.Any, ...] = (0, decimal.Decimal("1.0"), Kind.HOME, ("a",), {})
    sent: tuple[typing.Any, ...] = (-0.0, decimal.Decimal("1.00"), Kind.from_wire(5), [], {1: 2})
    for codec in (MethodCodec("m", params, (), rpc.VOID, ()), ReferenceCodec("m", params, (), rpc.VOID, ())):
        assert codec.encode_call(left_out) == codec.encode_call([rpc.DEFAULT] * 5) == b"\0\0\0\x01m\0\0\0\0"
        message = codec.encode_call(sent)
        assert message[9:19] == b"\x01" + struct.pack(">d", -0.0) + b"\x02"
        assert normal(codec.decode_args(message[9:])) == normal(list(sent))


def test_defaults_are_fresh_at_each_decoding() -> None:
    params = (
        rpc.Param(1, "a", rpc.ListOf(rpc.INT), default=[]),
        rpc.Param(2, "b", rpc.ListOf(rpc.INT), default=[1]),
        rpc.Param(3, "c", rpc.SetOf(rpc.INT), default=set()),
        rpc.Param(4, "d", rpc.MapOf(rpc.INT, rpc.INT), default={}),
        rpc.Param(5, "e", rpc.ListOf(rpc.ListOf(rpc.INT)), default=[[1]]),
    )
    for codec in (MethodCodec("m", params, (), rpc.VOID, ()), ReferenceCodec("m", params, (), rpc.VOID, ())):
        first = codec.decode_args(b"")
        for value in first:
            value.clear()
        assert codec.decode_args(b"") == [[], [1], set(), {}, [[1]]]
        codec.decode_args(b"")[4][0].append(2)
        assert codec.decode_args(b"")[4] == [[1]]
