"""The message codec: six messages, encoded from the objects a user holds, decoded and read.

Ours are replies, through ``MethodCodec``. Peers take part where they are installed; ratios
are of the same run, rounds alternated.
"""

from __future__ import annotations

import collections.abc
import importlib.util
import time
import typing

from benchmarks.figures import Figure, alternate, from_rounds
from rpcgen import runtime as rpc
from rpcgen.runtime.schema import Type
from rpcgen.runtime.wire.plain import MethodCodec, native

Work: typing.TypeAlias = "collections.abc.Callable[[], object]"

GOALS = {
    "encode": {"S": 0.95, "M": 0.50, "L": 0.60, "N": 0.60, "P": 0.75, "B": 1.05},
    "decode": {"S": 0.85, "M": 0.80, "L": 0.75, "N": 0.97, "P": 0.85, "B": 1.05},
}
"""At most so many times msgspec (as arrays, without garbage collection), for the codec in C."""

PYTHON_GOALS = {(message, direction): 2.0 for message in "SM" for direction in ("encode", "decode")}
"""At most so many times thriftpy2's Cython, for the codec in Python."""

LOOPS = {"S": 20_000, "M": 5_000, "L": 5, "N": 3, "P": 50, "B": 200}
"""How often a message is encoded in one measurement; seconds are too long, one is too few."""


class Kind(rpc.Enum):
    HOME = 0
    WORK = 1
    MOBILE = 2


@rpc.fields(rpc.Field(1, "a", rpc.INT), rpc.Field(2, "b", rpc.INT))
class Small(rpc.Struct, gc=False):
    a: int
    b: int


@rpc.fields(
    rpc.Field(1, "street", rpc.STRING), rpc.Field(2, "city", rpc.STRING), rpc.Field(3, "zip", rpc.INT)
)
class Address(rpc.Struct, gc=False):
    street: str
    city: str
    zip: int


@rpc.fields(
    rpc.Field(1, "id", rpc.LONG),
    rpc.Field(2, "name", rpc.STRING),
    rpc.Field(3, "email", rpc.STRING),
    rpc.Field(4, "tags", rpc.ListOf(rpc.STRING)),
    rpc.Field(5, "scores", rpc.ListOf(rpc.DOUBLE)),
    rpc.Field(6, "address", Address),
    rpc.Field(7, "active", rpc.BOOL),
    rpc.Field(8, "kind", Kind),
)
class Person(rpc.Struct, gc=False):
    id: int
    name: str
    email: str
    tags: list[str]
    scores: list[float]
    address: Address
    active: bool
    kind: Kind


@rpc.fields(rpc.Field(1, "doubles", rpc.ListOf(rpc.DOUBLE)), rpc.Field(2, "ints", rpc.ListOf(rpc.INT)))
class Numbers(rpc.Struct, gc=False):
    doubles: list[float]
    ints: list[int]


def person(number: int) -> Person:
    """Gives a Person with strings of 12 and 20 characters, 5 tags and 20 doubles."""
    return Person(
        number,
        "Ada Lovelace",
        "ada.love@example.org",
        ["alpha", "beta", "gamma", "delta", "eps"],
        [number + step * 1.5 for step in range(20)],
        Address("12 St James's Square", "London", 10115),
        True,
        Kind.WORK,
    )


MESSAGES: dict[str, tuple[Type, typing.Any]] = {
    "S": (Small, Small(12_345, 67_890)),
    "M": (Person, person(1_234_567)),
    "L": (rpc.ListOf(Person), [person(number) for number in range(1_000)]),
    "N": (Numbers, Numbers([step * 0.5 for step in range(100_000)], list(range(100_000)))),
    "P": (rpc.MapOf(rpc.STRING, rpc.LONG), {f"key{number}": number for number in range(1_000)}),
    "B": (rpc.BYTES, bytes(range(256)) * 4_096),
}

THRIFT = """
struct Small {1: i32 a, 2: i32 b}
struct Address {1: string street, 2: string city, 3: i32 zip}
struct Person {1: i64 id, 2: string name, 3: string email, 4: list<string> tags, 5: list<double> scores,
               6: Address address, 7: bool active, 8: i32 kind}
struct Numbers {1: list<double> doubles, 2: list<i32> ints}
struct People {1: list<Person> value}
struct Pairs {1: map<string, i64> value}
struct Blob {1: binary value}
"""


def run(quick: bool) -> typing.Iterable[Figure]:
    """Measures every message with every codec that is installed."""
    contenders = {"rpcgen": _ours, "msgspec": _msgspec}
    if importlib.util.find_spec("thriftpy2"):
        contenders["thriftpy2"] = _thrift
    for message in MESSAGES:
        loops = max(1, LOOPS[message] // 50) if quick else LOOPS[message]
        for direction in ("encode", "decode"):
            works = {}
            for name, make in contenders.items():
                encode, decode = make(message)
                works[name] = _timed(encode if direction == "encode" else decode, loops)
            yield from _figures(message, direction, alternate(works, 2 if quick else 9))


def _figures(
    message: str, direction: str, measured: collections.abc.Mapping[str, list[float]]
) -> typing.Iterable[Figure]:
    group = f"codec, {direction}"
    for name, rounds in measured.items():
        yield from_rounds(group, f"{message} {name}", rounds, "µs")
    for peer in ("msgspec", "thriftpy2"):
        if peer not in measured:
            yield Figure(group, f"{message} ÷ {peer}", None, "×", note="not installed: make peers")
            continue
        goal = GOALS[direction].get(message) if native else PYTHON_GOALS.get((message, direction))
        ratios = [ours / theirs for ours, theirs in zip(measured["rpcgen"], measured[peer], strict=True)]
        counts = peer == ("msgspec" if native else "thriftpy2")
        yield from_rounds(group, f"{message} ÷ {peer}", ratios, "×", at_most=goal if counts else None)


def _timed(work: Work, loops: int) -> collections.abc.Callable[[], float]:
    def microseconds() -> float:
        start = time.perf_counter()
        for _ in range(loops):
            work()
        return (time.perf_counter() - start) / loops * 1e6

    work()
    return microseconds


def _ours(message: str) -> tuple[Work, Work]:
    type_, value = MESSAGES[message]
    codec = MethodCodec("get", (), (), type_, ())
    data = codec.encode_reply(value)
    read = READ[message]
    codec.decode_reply(data)
    encode_reply, decode_reply = codec.encode_reply, codec.decode_reply
    return lambda: encode_reply(value), lambda: read(decode_reply(data))


def _msgspec(message: str) -> tuple[Work, Work]:
    import msgspec

    small = msgspec.defstruct("Small", [("a", int), ("b", int)], array_like=True, gc=False)
    address = msgspec.defstruct(
        "Address", [("street", str), ("city", str), ("zip", int)], array_like=True, gc=False
    )
    fields = {
        "id": int,
        "name": str,
        "email": str,
        "tags": list[str],
        "scores": list[float],
        "address": address,
    }
    people = msgspec.defstruct(
        "Person", [*fields.items(), ("active", bool), ("kind", Kind)], array_like=True, gc=False
    )
    numbers = msgspec.defstruct(
        "Numbers", [("doubles", list[float]), ("ints", list[int])], array_like=True, gc=False
    )
    made = {Small: small, Address: address, Person: people, Numbers: numbers}
    types = {"S": small, "M": people, "L": list[people], "N": numbers, "P": dict[str, int], "B": bytes}  # type: ignore[valid-type]
    value = _converted(MESSAGES[message][1], made)
    encoder, decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(types[message])
    data = encoder.encode(value)
    read = READ[message]
    return lambda: encoder.encode(value), lambda: read(decoder.decode(data))


def _thrift(message: str) -> tuple[Work, Work]:
    import pathlib
    import tempfile

    import thriftpy2  # type: ignore[import-not-found,import-untyped,unused-ignore]
    from thriftpy2.protocol.cybin import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
        TCyBinaryProtocol,
    )
    from thriftpy2.transport.memory import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
        TCyMemoryBuffer,
    )

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "messages.thrift")
        path.write_text(THRIFT, encoding="utf-8")
        thrift: typing.Any = thriftpy2.load(str(path), module_name="messages_thrift")
    made = {
        Small: lambda a, b: thrift.Small(a=a, b=b),
        Address: lambda street, city, zip: thrift.Address(street=street, city=city, zip=zip),
        Person: lambda *values: thrift.Person(**dict(zip(Person.__struct_fields__, values, strict=True))),
        Numbers: lambda doubles, ints: thrift.Numbers(doubles=doubles, ints=ints),
    }
    wrapper = {"L": thrift.People, "P": thrift.Pairs, "B": thrift.Blob}.get(message)
    value = _converted(MESSAGES[message][1], made)
    value = wrapper(value=value) if wrapper else value
    cls, read = type(value), READ[message]

    def encode() -> bytes:
        buffer = TCyMemoryBuffer()
        TCyBinaryProtocol(buffer).write_struct(value)
        return typing.cast(bytes, buffer.getvalue())

    def decode() -> object:
        found = cls()
        TCyBinaryProtocol(TCyMemoryBuffer(data)).read_struct(found)
        return read(found.value if wrapper else found)

    buffer = TCyMemoryBuffer()
    protocol = TCyBinaryProtocol(buffer)
    protocol.write_struct(value)
    data = buffer.getvalue()
    return encode, decode


def _converted(value: typing.Any, made: collections.abc.Mapping[typing.Any, typing.Any]) -> typing.Any:
    """Gives the same message in a peer's classes."""
    if isinstance(value, list) and value and isinstance(value[0], Person):
        return [_converted(item, made) for item in value]
    if type(value) not in made:
        return value
    return made[type(value)](*(_converted(getattr(value, name), made) for name in value.__struct_fields__))


def _read_small(value: typing.Any) -> object:
    return value.a, value.b


def _read_person(value: typing.Any) -> object:
    return (
        value.id,
        value.name,
        value.email,
        value.tags,
        value.scores,
        value.address.street,
        value.address.city,
        value.address.zip,
        value.active,
        value.kind,
    )


def _read_people(value: typing.Any) -> object:
    for each in value:
        _read_person(each)
    return value


READ: dict[str, collections.abc.Callable[[typing.Any], object]] = {
    "S": _read_small,
    "M": _read_person,
    "L": _read_people,
    "N": lambda value: (value.doubles, value.ints),
    "P": lambda value: value,
    "B": lambda value: value,
}
