"""JSON forms: the same values as the binary codec's either way, and errors that name the place."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import json
import math
import typing
import uuid

import pytest
from hypothesis import given, strategies as st

from rpcgen import runtime as rpc
from rpcgen.runtime.wire import forms
from rpcgen.runtime.wire.codec import ReferenceCodec
from tests.support.schemas import (
    JUNK,
    SCALARS,
    Method,
    enum_class,
    exception_class,
    methods,
    normal,
    outcome,
    struct_class,
    union_class,
    values,
)

Kind = enum_class("Kind", HOME=0, WORK=1, mro_=2)
Address = struct_class("Address", [rpc.Field(1, "city", rpc.STRING, default="Wien")])
Person: typing.Any = struct_class(
    "Person",
    [
        rpc.Field(1, "name", rpc.STRING),
        rpc.Field(2, "tags", rpc.ListOf(rpc.STRING), default=[]),
        rpc.Field(3, "address", rpc.OptionalOf(Address)),
        rpc.Field(4, "class", Kind, default=Kind.HOME, attr="class_"),
        rpc.Field(5, "children", rpc.ListOf(rpc.Ref(lambda: Person)), default=[]),
    ],
)
Shape = union_class("Shape", [rpc.Field(1, "side", rpc.DOUBLE), rpc.Field(2, "home", Address)])
InvalidOperation = exception_class("InvalidOperation", None)
OutOfStock = exception_class(
    "OutOfStock", [rpc.Field(1, "sku", rpc.STRING), rpc.Field(2, "left", rpc.INT, default=0)]
)
FIND = ReferenceCodec(
    "find",
    (rpc.Param(1, "person", Person), rpc.Param(2, "limit", rpc.INT, default=10)),
    (),
    rpc.OptionalOf(Person),
    (InvalidOperation, OutOfStock),
)
FORMS = forms.MethodForms(FIND)


@pytest.fixture(scope="module", autouse=True)
def codec_kind() -> None:
    """Once is enough: what it is compared with is the reference."""


def sent(type_: typing.Any, value: object) -> typing.Any:
    """Gives what arrives of a value that goes as JSON, as text."""
    return forms.from_json(type_, forms.parse(forms.text(forms.to_json(type_, value))))


def encoded(type_: typing.Any, value: object) -> typing.Any:
    """Gives what arrives of a value that goes in binary."""
    codec = ReferenceCodec("m", (), (), type_, ())
    return codec.decode_reply(codec.encode_reply(value))


@given(st.data(), st.booleans())
def test_values_are_the_same_by_json_and_in_binary(data: st.DataObject, spoiled: bool) -> None:
    method: Method = data.draw(methods())
    _, codec = method.codecs()
    own = forms.MethodForms(codec)
    args = tuple(data.draw(values(param.type, spoiled=spoiled)) for param in method.params)
    block = outcome(codec.encode_block, args)
    made = outcome(own.write_arguments, args)
    if block[0] is rpc.EncodeError:
        assert made[0] is rpc.EncodeError
        assert made[1].startswith("do.it: ")
    else:
        by_json = own.read_arguments(forms.parse(forms.text(own.write_arguments(args))))
        assert list(map(normal, by_json)) == list(map(normal, codec.decode_args(codec.encode_block(args))))
    value = data.draw(values(method.returns, spoiled=spoiled))
    if outcome(codec.encode_reply, value)[0] is rpc.EncodeError:
        assert outcome(own.write_result, value)[0] is rpc.EncodeError
        return
    back = own.read_result(forms.parse(forms.text(own.write_result(value))))
    assert normal(back) == normal(codec.decode_reply(codec.encode_reply(value)))


@pytest.mark.parametrize("scalar", SCALARS, ids=repr)
@given(st.data())
def test_scalars_are_the_same_by_json_and_in_binary(scalar: typing.Any, data: st.DataObject) -> None:
    value = data.draw(values(scalar))
    assert normal(sent(scalar, value)) == normal(encoded(scalar, value))
    if scalar not in (rpc.FLOAT, rpc.DOUBLE, rpc.DURATION, rpc.DECIMAL):
        keys = rpc.MapOf(scalar, rpc.SetOf(scalar))
        assert normal(sent(keys, {value: {value}})) == normal(encoded(keys, {value: {value}}))
    junk = data.draw(JUNK)
    fits = outcome(encoded, scalar, junk)
    assert (outcome(forms.to_json, scalar, junk)[0] is rpc.EncodeError) == (fits[0] is rpc.EncodeError)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(methods(), _json)
def test_any_json_is_a_value_or_a_decode_error(method: Method, data: object) -> None:
    own = forms.MethodForms(method.codecs()[1])
    for read in (own.read_result, own.read_arguments):
        with contextlib.suppress(rpc.DecodeError):
            read(data)


@given(
    st.binary(max_size=40) | st.text(max_size=40) | st.text('{}[]":,0123456789eE+-.\\udNaInfity', max_size=30)
)
def test_any_text_is_json_or_a_decode_error(data: bytes | str) -> None:
    try:
        value = forms.parse(data)
    except rpc.DecodeError:
        return
    assert json.loads(data) == value


TIME = datetime.datetime(2024, 2, 29, 12, 0, 0, 500_000, datetime.UTC)

WRITTEN: list[tuple[typing.Any, typing.Any, str]] = [
    (rpc.BOOL, True, "true"),
    (rpc.INT, -7, "-7"),
    (rpc.LONG, 2**53, "9007199254740992"),
    (rpc.LONG, -(2**53) - 1, '"-9007199254740993"'),
    (rpc.ULONG, 2**64 - 1, '"18446744073709551615"'),
    (rpc.FLOAT, 1 / 3, "0.3333333432674408"),
    (rpc.DOUBLE, 2, "2.0"),
    (rpc.DOUBLE, -0.0, "-0.0"),
    (rpc.DOUBLE, math.nan, '"NaN"'),
    (rpc.DOUBLE, -math.inf, '"-Infinity"'),
    (rpc.STRING, "ü", '"ü"'),
    (rpc.BYTES, b"\x00\xff", '"AP8="'),
    (rpc.BYTES, b"", '""'),
    (rpc.TIMESTAMP, TIME, '"2024-02-29T12:00:00.500000Z"'),
    (rpc.TIMESTAMP, datetime.datetime(1, 1, 1, tzinfo=datetime.UTC), '"0001-01-01T00:00:00Z"'),
    (rpc.DATE, datetime.date(2024, 2, 29), '"2024-02-29"'),
    (rpc.DURATION, datetime.timedelta(hours=1, minutes=30), '"PT1H30M"'),
    (rpc.DURATION, datetime.timedelta(days=-1, microseconds=-500_000), '"-P1DT0.5S"'),
    (rpc.DURATION, datetime.timedelta(), '"PT0S"'),
    (rpc.UUID, uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
    (rpc.DECIMAL, decimal.Decimal("10.50"), '"10.50"'),
    (Kind, Kind.WORK, '"WORK"'),
    (Kind, Kind.mro_, '"mro"'),
    (Kind, Kind.from_wire(99), "99"),
    (rpc.ListOf(rpc.INT), [1, 2], "[1,2]"),
    (rpc.SetOf(rpc.INT), {2, 1}, "[1,2]"),
    (rpc.MapOf(rpc.BOOL, rpc.INT), {True: 1}, '{"true":1}'),
    (rpc.MapOf(rpc.LONG, rpc.INT), {-(2**60): 1}, '{"-1152921504606846976":1}'),
    (rpc.MapOf(Kind, rpc.INT), {Kind.WORK: 1, Kind.from_wire(99): 2}, '{"WORK":1,"99":2}'),
    (rpc.MapOf(rpc.DATE, rpc.INT), {datetime.date(2024, 2, 29): 1}, '{"2024-02-29":1}'),
    (Shape, Shape.__rpc_cases__[0](1.5), '{"side":1.5}'),
    (Shape, Shape.Unknown(200, b"\x00"), '{"200":"AA=="}'),
    (rpc.OptionalOf(rpc.INT), None, "null"),
    (rpc.VOID, None, "null"),
    (Person, Person("Ann"), '{"name":"Ann","tags":[],"class":"HOME","children":[]}'),
    (InvalidOperation, InvalidOperation("no"), '"no"'),
    (OutOfStock, OutOfStock("a", 7), '{"sku":"a","left":7}'),
]


@pytest.mark.parametrize(("type_", "value", "written"), WRITTEN)
def test_how_values_are_written(type_: typing.Any, value: object, written: str) -> None:
    assert forms.text(forms.to_json(type_, value)).decode() == written
    assert normal(forms.from_json(type_, forms.parse(written))) == normal(encoded(type_, value))


READ: list[tuple[typing.Any, str, typing.Any]] = [
    (rpc.LONG, '"7"', 7),
    (rpc.LONG, "9223372036854775807", 2**63 - 1),
    (rpc.DOUBLE, "7", 7.0),
    (rpc.FLOAT, "0.1", 0.10000000149011612),
    (rpc.TIMESTAMP, '"2024-02-29t13:30:00.5+01:30"', TIME),
    (rpc.TIMESTAMP, '"2024-02-29 12:00:00.500000000Z"', TIME),
    (rpc.DURATION, '"P1W"', datetime.timedelta(weeks=1)),
    (rpc.DURATION, '"PT5400S"', datetime.timedelta(minutes=90)),
    (rpc.UUID, '"0000000A-0000-0000-0000-000000000000"', uuid.UUID(int=10 << 96)),
    (Kind, "1", Kind.WORK),
    (Kind, '"mro_"', Kind.mro_),
    (rpc.MapOf(Kind, rpc.INT), '{"1": 2}', {Kind.WORK: 2}),
    (Person, '{"name": "Ann", "newer": [{}], "address": null}', Person("Ann")),
]


@pytest.mark.parametrize(("type_", "written", "value"), READ)
def test_what_else_is_read(type_: typing.Any, written: str, value: object) -> None:
    assert normal(forms.from_json(type_, forms.parse(written))) == normal(value)


REFUSED: list[tuple[typing.Any, str, str]] = [
    (rpc.BOOL, "1", "x: bool must be true or false, not 1"),
    (rpc.BOOL, '"true"', 'x: bool must be true or false, not "true"'),
    (rpc.INT, "true", "x: int must be -2147483648..2147483647, not true"),
    (rpc.INT, "1.0", "x: int must be -2147483648..2147483647, not 1.0"),
    (rpc.INT, '"1"', 'x: int must be -2147483648..2147483647, not "1"'),
    (rpc.INT, "2147483648", "x: int must be"),
    (rpc.INT, "null", "x: int must be -2147483648..2147483647, not null"),
    (rpc.LONG, '"01"', "x: long must be"),
    (rpc.LONG, '"9223372036854775808"', "x: long must be"),
    (rpc.DOUBLE, "1e400", "x: double must be a number within"),
    (rpc.DOUBLE, '"nan"', "x: double must be a number within"),
    (rpc.DOUBLE, "true", "x: double must be a number within"),
    (rpc.DOUBLE, "1" * 400, "x: double must be a number within"),
    (rpc.FLOAT, "1e39", "x: float must be a number within"),
    (rpc.STRING, "1", "x: string must be a string, not 1"),
    (rpc.BYTES, '"AP8"', 'x: bytes must be a string of base64, with its padding, not "AP8"'),
    (rpc.BYTES, "[]", "x: bytes must be a string of base64"),
    (rpc.BYTES, '"A P 8="', "x: bytes must be a string of base64"),
    (rpc.TIMESTAMP, '"2024-02-29T12:00:00"', "x: timestamp must be a string like"),
    (rpc.TIMESTAMP, '"2024-02-30T12:00:00Z"', "x: timestamp must be a string like"),
    (rpc.TIMESTAMP, '"2024-02-29T12:00:00.1234567Z"', "x: timestamp must be a string like"),
    (rpc.TIMESTAMP, '"0001-01-01T00:00:00+01:00"', "x: timestamp must be a string like"),
    (rpc.TIMESTAMP, "0", "x: timestamp must be a string like"),
    (rpc.DATE, '"20240229"', "x: date must be a string like"),
    (rpc.DURATION, '"P1Y"', "x: duration must be a string like"),
    (rpc.DURATION, '"PT"', "x: duration must be a string like"),
    (rpc.DURATION, '"P"', "x: duration must be a string like"),
    (rpc.DURATION, '"P999999999999D"', "x: duration must be a string like"),
    (rpc.UUID, '"{00000000-0000-0000-0000-000000000001}"', "x: uuid must be a string like"),
    (rpc.DECIMAL, "1.5", "x: decimal must be a string like"),
    (rpc.DECIMAL, '"NaN"', "x: decimal must be a string like"),
    (rpc.DECIMAL, '"1e7000"', "x: decimal must be a string like"),
    (Kind, '"HOEM"', "x: there is no member of Kind 'HOEM'; did you mean 'HOME'?"),
    (Kind, "2147483648", "x: Kind must be a string, the name of a member, not 2147483648"),
    (Kind, "true", "x: Kind must be a string, the name of a member, not true"),
    (rpc.ListOf(rpc.INT), "[1, [], 3]", "x[1]: int must be"),
    (rpc.ListOf(rpc.INT), "{}", "x: list must be a list, not {}"),
    (rpc.SetOf(rpc.INT), "[1, 1]", "x: set item 1 is repeated"),
    (rpc.MapOf(rpc.INT, rpc.INT), '{"0": 1, "-0": 2}', "x['-0']: map key 0 is repeated"),
    (rpc.MapOf(rpc.INT, rpc.INT), '{"1.0": 1}', "x['1.0']: int must be"),
    (rpc.MapOf(rpc.STRING, Person), '{"a": {}}', "x['a'].name: is required but missing"),
    (rpc.MapOf(rpc.STRING, rpc.INT), "[]", "x: map must be an object, not []"),
    (Person, '{"name": "Ann", "tags": ["a", 1]}', "x.tags[1]: string must be a string, not 1"),
    (Person, '{"name": "Ann", "children": [{"name": 3}]}', "x.children[0].name: string must be"),
    (Person, '{"name": "Ann", "tags": null}', "x.tags: list must be a list, not null"),
    (Person, "[]", "x: Person must be an object, not []"),
    (Shape, "{}", "x: Shape must be an object of one member, not {}"),
    (Shape, '{"side": 1, "home": {}}', "x: Shape must be an object of one member"),
    (Shape, '{"sid": 1}', "x: there is no member of Shape 'sid'; did you mean 'side'?"),
    (Shape, '{"1": "AA=="}', "x: tag 1 is side: say so"),
    (Shape, '{"200": 1}', "x.200: bytes must be"),
    (Shape, '{"home": {"city": 1}}', "x.home.city: string must be a string, not 1"),
]


@pytest.mark.parametrize(("type_", "written", "words"), REFUSED)
def test_what_is_refused_and_where(type_: typing.Any, written: str, words: str) -> None:
    with pytest.raises(rpc.DecodeError) as caught:
        forms.from_json(type_, forms.parse(written), "x")
    assert words in str(caught.value)


TEXTS = [
    (b'{"a": [1, {"b": NaN}]}', 'a[1].b: NaN is not JSON: write it as the string "NaN"'),
    (b"-Infinity", '-Infinity is not JSON: write it as the string "-Infinity"'),
    (b'{"a": {"b": 1, "c": 2, "b": 3}}', "a: the key 'b' stands twice"),
    (b'{"a": ' + b"1" * 5000 + b"}", "a: an integer of 5000 digits"),
    (b'{"a": ["\\ud800"]}', "a[0]: a lone surrogate"),
    (b'{"\\udc00": 1}', "a lone surrogate in a key"),
    (b'"\xff"', "invalid UTF-8: invalid start byte after 1 bytes"),
    (b"{", "no JSON: "),
    (b"", "no JSON: "),
    (b"1 2", "no JSON: Extra data"),
    (b"\xef\xbb\xbf1", "no JSON: "),
    (b"[" * 100_000, "nested too deeply"),
]


@pytest.mark.parametrize(("data", "words"), TEXTS)
def test_texts_that_are_refused(data: bytes, words: str) -> None:
    with pytest.raises(rpc.DecodeError) as caught:
        forms.parse(data)
    assert words in str(caught.value)


def test_a_surrogate_pair_is_a_character() -> None:
    assert forms.parse(rb'"\ud83d\ude00"') == "\U0001f600"


def test_limits_of_texts() -> None:
    with pytest.raises(rpc.DecodeError, match="a JSON text of 4 bytes; the limit is 3"):
        forms.parse(b"1234", rpc.Limits(message=3))
    assert forms.parse(b'[1,2,"[,,,\\",,,]"]', rpc.Limits(items=3))
    with pytest.raises(rpc.DecodeError, match="more than 3 items in a message"):
        forms.parse(b"[1,[],2,3]", rpc.Limits(items=3))


def test_nesting_counts_as_in_binary() -> None:
    nest: typing.Any = Person("inner")
    for _ in range(31):
        nest = Person("outer", children=[nest])
    limits = rpc.Limits(nesting=63)
    written = forms.to_json(Person, nest, limits)
    assert forms.from_json(Person, written, limits=limits) == nest
    for less in (62, 0):
        with pytest.raises(rpc.EncodeError, match="nested too deeply"):
            forms.to_json(Person, nest, rpc.Limits(nesting=less))
        with pytest.raises(rpc.DecodeError, match="nested too deeply"):
            forms.from_json(Person, written, limits=rpc.Limits(nesting=less))


def test_keys_made_to_collide_are_refused() -> None:
    prime = 2**61 - 1
    keys = {str(uuid.UUID(int=number * prime)): 1 for number in range(200)}
    with pytest.raises(rpc.DecodeError, match="made to take time"):
        forms.from_json(rpc.MapOf(rpc.UUID, rpc.INT), keys)


def test_arguments() -> None:
    assert FORMS.read_arguments({"person": {"name": "Ann"}}) == (Person("Ann"), 10)
    assert forms.arguments_from_json(FIND, {"person": {"name": "Ann"}, "limit": 3})[1] == 3
    assert forms.arguments_to_json(FIND, (Person("Ann"), rpc.DEFAULT)).keys() == {"person"}
    for data, words in (
        ({}, "find: person: is required but missing"),
        ([], "find: arguments must be an object, by their names, not []"),
        ({"person": {"name": "A"}, "limt": 1}, "find: there is no argument 'limt'; did you mean 'limit'?"),
        (
            {"person": {"name": "A"}, "limit": True},
            "find: limit: int must be -2147483648..2147483647, not true",
        ),
    ):
        with pytest.raises(rpc.DecodeError) as caught:
            FORMS.read_arguments(data)
        assert str(caught.value) == words


def test_a_default_is_fresh() -> None:
    first, second = (forms.from_json(Person, {"name": "Ann"}) for _ in range(2))
    first.tags.append("x")
    assert second.tags == []


def test_what_was_raised() -> None:
    class Narrower(InvalidOperation):  # type: ignore[misc, valid-type]
        pass

    assert FORMS.write_raised(Narrower("no")) == {"type": "InvalidOperation", "message": "no"}
    assert FORMS.write_raised(OutOfStock("a", 7)) == {
        "type": "OutOfStock",
        "message": "sku='a', left=7",
        "fields": {"sku": "a", "left": 7},
    }
    assert FORMS.write_raised(exception_class("Other", None)("x")) is None
    with pytest.raises(rpc.EncodeError, match=r"^find: OutOfStock\.left: int must be"):
        FORMS.write_raised(OutOfStock("a", 2**40))


def test_results_that_do_not_fit() -> None:
    with pytest.raises(rpc.EncodeError, match=r"^find: result\.name: string must be a str"):
        FORMS.write_result(Person("\ud800"))
    with pytest.raises(rpc.EncodeError, match=r"^find: result: Person must be an instance of the class"):
        FORMS.write_result(3)
    with pytest.raises(rpc.DecodeError, match=r"^find: result\.name: is required but missing"):
        FORMS.read_result({})


@pytest.mark.parametrize(
    ("type_", "written", "value"),
    [
        (rpc.STRING, "1", "1"),
        (rpc.INT, "1", 1),
        (rpc.INT, "x", "x"),
        (rpc.OptionalOf(rpc.DOUBLE), "NaN", "NaN"),
        (rpc.BOOL, "true", True),
        (rpc.UUID, "1", "1"),
        (Kind, "HOME", "HOME"),
        (Kind, "1", 1),
        (Kind, "²", "²"),
        (Person, '{"name": "Ann"}', {"name": "Ann"}),
        (rpc.ListOf(rpc.INT), "[1", "[1"),
    ],
)
def test_texts_without_json_around_them(type_: typing.Any, written: str, value: object) -> None:
    assert forms.data_of_text(type_, written) == value


@pytest.mark.parametrize(
    ("type_", "value", "words"),
    [
        (rpc.INT, 2**31, "int must be -2147483648..2147483647, not 2147483648"),
        (rpc.STRING, 3, "string must be a str"),
        (rpc.TIMESTAMP, datetime.datetime(2024, 1, 1), "timestamp must be an aware datetime"),
        (rpc.VOID, 3, "void must be None, not 3"),
        (rpc.ListOf(rpc.INT), {1}, "list must be a list or tuple, not {1}"),
        (rpc.ListOf(rpc.INT), [1, "x"], "[1]: int must be"),
        (rpc.SetOf(rpc.INT), [1], "set must be a set or frozenset, not [1]"),
        (rpc.MapOf(rpc.STRING, rpc.INT), [1], "map must be a dict, not [1]"),
        (rpc.MapOf(rpc.STRING, rpc.INT), {"a": "x"}, "['a']: int must be"),
        (rpc.MapOf(rpc.STRING, rpc.INT), {3: 1}, "[3]: string must be"),
        (Kind, 1, "Kind must be one of its members, not 1"),
        (Shape, 3, "Shape must be one of its cases, not 3"),
        (Shape, Shape.Unknown(1, b""), "tag 1 is side, not an unknown member"),
        (InvalidOperation, "no", "InvalidOperation must be an instance of the class"),
        (Person, Person("Ann", class_=3), "class: Kind must be one of its members, not 3"),
    ],
)
def test_values_that_do_not_fit(type_: typing.Any, value: object, words: str) -> None:
    with pytest.raises(rpc.EncodeError) as caught:
        forms.to_json(type_, value)
    assert words in str(caught.value)


def test_what_is_read_where_nothing_is_said() -> None:
    assert forms.from_json(rpc.VOID, None) is None
    with pytest.raises(rpc.DecodeError, match="void must be null, not 3"):
        forms.from_json(rpc.VOID, 3)
    with pytest.raises(rpc.EncodeError, match="find: takes 2 arguments, not 1"):
        FORMS.write_arguments((Person("Ann"),))
    made = Person("Ann")
    del made.name
    with pytest.raises(rpc.EncodeError, match="name: is not set"):
        forms.to_json(Person, made)
