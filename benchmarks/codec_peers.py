"""The codecs of peers with the messages of ``codec_messages``: each a function that gives what encodes and decodes.

Encoding starts at the objects that the peer's user holds; decoding ends when every field has been read once.
"""

from __future__ import annotations

import collections.abc
import importlib.util
import typing

from benchmarks.codec_messages import MESSAGES, READ, Address, Kind, Numbers, Person, Small

Work: typing.TypeAlias = "collections.abc.Callable[[], object]"

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

PROTOBUF = {
    "Small": ("a int32", "b int32"),
    "Address": ("street string", "city string", "zip int32"),
    "Person": (
        *("id int64", "name string", "email string", "tags string*", "scores double*", "address Address"),
        *("active bool", "kind int32"),
    ),
    "Numbers": ("doubles double*", "ints int32*"),
    "People": ("value Person*",),
    "Entry": ("key string", "value int64"),
    "Pairs": ("value Entry*",),
    "Blob": ("value bytes",),
}
"""Message → its fields, each a name and a type; the field's number is its place, and * says repeated."""

WRAPPERS = {"L": "People", "P": "Pairs", "B": "Blob"}
"""What holds the messages that are no struct, where only structs can be encoded."""


def msgspec(message: str) -> tuple[Work, Work]:
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


def thriftpy2(message: str) -> tuple[Work, Work]:
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
    wrapper = getattr(thrift, WRAPPERS[message]) if message in WRAPPERS else None
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


def protobuf(message: str) -> tuple[Work, Work]:
    value, _ = _protobuf_messages(message)
    data, parse, read = value.SerializeToString(), type(value).FromString, _PROTOBUF_READ[message]
    return value.SerializeToString, lambda: read(parse(data))


def protobuf_filled(message: str) -> tuple[Work, Work]:
    value, fill = _protobuf_messages(message)
    data, parse, read = value.SerializeToString(), type(value).FromString, _PROTOBUF_READ[message]
    return lambda: fill().SerializeToString(), lambda: read(parse(data))


def _protobuf_messages(message: str) -> tuple[typing.Any, collections.abc.Callable[[], typing.Any]]:
    """Gives a message, and what makes it anew from our objects."""
    classes = _protobuf_classes()
    value = MESSAGES[message][1]
    small, address, person, numbers = (classes[name] for name in ("Small", "Address", "Person", "Numbers"))
    wrapper: typing.Any = classes[WRAPPERS[message]] if message in WRAPPERS else None

    def filled(one: Person) -> typing.Any:
        return person(
            id=one.id,
            name=one.name,
            email=one.email,
            tags=one.tags,
            scores=one.scores,
            address=address(street=one.address.street, city=one.address.city, zip=one.address.zip),
            active=one.active,
            kind=int(one.kind),
        )

    fill: dict[str, collections.abc.Callable[[], typing.Any]] = {
        "S": lambda: small(a=value.a, b=value.b),
        "M": lambda: filled(value),
        "L": lambda: wrapper(value=[filled(one) for one in value]),
        "N": lambda: numbers(doubles=value.doubles, ints=value.ints),
        "P": lambda: wrapper(value=value),
        "B": lambda: wrapper(value=value),
    }
    return fill[message](), fill[message]


def _read_views(person: typing.Any) -> object:
    """Reads a Person whose lists are views: their elements are made when they are read."""
    READ["M"](person)
    return list(person.tags), list(person.scores)


_PROTOBUF_READ: dict[str, collections.abc.Callable[[typing.Any], object]] = {
    "S": READ["S"],
    "M": _read_views,
    "L": lambda found: [_read_views(each) for each in found.value],
    "N": lambda found: (list(found.doubles), list(found.ints)),
    "P": lambda found: dict(found.value),
    "B": lambda found: found.value,
}


def _protobuf_classes() -> dict[str, typing.Any]:
    """Gives the classes, made without protoc."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file: typing.Any = descriptor_pb2.FileDescriptorProto(name="messages.proto", syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto
    for name, fields in PROTOBUF.items():
        scope = file.message_type.add(name=name)
        if name == "Entry":
            scope.options.map_entry = True
        for number, field in enumerate(fields, 1):
            label, _, kind = field.partition(" ")
            added = scope.field.add(name=label, number=number, label=3 if kind.endswith("*") else 1)
            kind = kind.rstrip("*")
            if kind in PROTOBUF:
                added.type, added.type_name = kinds.TYPE_MESSAGE, kind
            else:
                added.type = kinds.Type.Value(f"TYPE_{kind.upper()}")
    # A map's entry must lie within the message that has the map.
    entry = next(found for found in file.message_type if found.name == "Entry")
    pairs = next(found for found in file.message_type if found.name == "Pairs")
    entry.name = "ValueEntry"
    pairs.nested_type.append(entry)
    pairs.field[0].type_name = "Pairs.ValueEntry"
    file.message_type.remove(entry)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = message_factory.GetMessageClassesForFiles(["messages.proto"], pool)
    return dict(found)


FILLED = "protobuf, filled first"
"""Its messages made from our objects each time: they copy what they are given, and are rarely what a program keeps."""

MODULES = {
    "msgspec": "msgspec",
    "thriftpy2": "thriftpy2",
    "protobuf": "google.protobuf",
    FILLED: "google.protobuf",
}

PEERS: dict[str, collections.abc.Callable[[str], tuple[Work, Work]]] = {
    "msgspec": msgspec,
    "thriftpy2": thriftpy2,
    "protobuf": protobuf,
    FILLED: protobuf_filled,
}
"""Peer → what gives its encoding and its decoding of a message."""


def installed(peer: str) -> bool:
    """Tells whether a peer can be measured here."""
    try:
        return importlib.util.find_spec(MODULES[peer]) is not None
    except ModuleNotFoundError:  # of the package around it
        return False
