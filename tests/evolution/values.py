"""Random values by descriptor, and whether what was read is what was meant.

Meaning goes by tags and numbers: of a struct, what both ends know must be equal, and what the writer
does not know must be the reader's default. It goes by names only to find out that a number has moved.
"""

from __future__ import annotations

import datetime
import decimal
import math
import random
import struct
import typing
import uuid

from rpcgen import runtime as rpc
from rpcgen.runtime.schema import Scalar
from rpcgen.runtime.values import UnknownCase
from rpcgen.runtime.wire.types import is_union, resolved

_INTEGERS: typing.Final = {
    "byte": (-(2**7), 2**7 - 1),
    "short": (-(2**15), 2**15 - 1),
    "int": (-(2**31), 2**31 - 1),
    "long": (-(2**63), 2**63 - 1),
    "ubyte": (0, 2**8 - 1),
    "ushort": (0, 2**16 - 1),
    "uint": (0, 2**32 - 1),
    "ulong": (0, 2**64 - 1),
}


def random_value(rng: random.Random, type_: typing.Any, depth: int = 4) -> typing.Any:
    """Gives a value of a type; nothing is in containers below so many levels."""
    type_ = resolved(type_)
    if isinstance(type_, Scalar):
        return _scalar(rng, type_.name)
    if isinstance(type_, rpc.OptionalOf):
        return None if rng.random() < 0.4 else random_value(rng, type_.item, depth)
    if isinstance(type_, rpc.ListOf | rpc.SetOf):
        count = rng.randint(0, 2) if depth > 0 else 0
        items = [random_value(rng, type_.item, depth - 1) for _ in range(count)]
        return items if isinstance(type_, rpc.ListOf) else set(items)
    if isinstance(type_, rpc.MapOf):
        count = rng.randint(0, 2) if depth > 0 else 0
        return {
            random_value(rng, type_.key, 0): random_value(rng, type_.value, depth - 1) for _ in range(count)
        }
    if issubclass(type_, rpc.Enum):
        return rng.choice(list(type_))
    if is_union(type_):
        place = _shallow(rng, type_) if depth <= 0 else rng.randrange(len(type_.__rpc_fields__))
        return type_.__rpc_cases__[place](random_value(rng, type_.__rpc_fields__[place].type, depth - 1))
    if type_.__rpc_fields__ is None:
        return type_(rng.choice(("", "why")))
    return type_(*[_of_field(rng, field, depth - 1) for field in type_.__rpc_fields__])


def random_arguments(rng: random.Random, protocol: typing.Any) -> list[typing.Any]:
    """Gives the arguments of a call; some are left out that may be."""
    return [_of_field(rng, param, 4) for param in protocol.params]


def _of_field(rng: random.Random, field: typing.Any, depth: int) -> typing.Any:
    if field.default is not rpc.schema.REQUIRED and (depth <= 0 or rng.random() < 0.35):
        return field.fill(rpc.DEFAULT)
    return random_value(rng, field.type, depth)


def _shallow(rng: random.Random, union: typing.Any) -> int:
    """Gives a member that does not lead deeper, if there is one."""
    flat = [
        place
        for place, field in enumerate(union.__rpc_fields__)
        if isinstance(resolved(field.type), Scalar | rpc.ListOf | rpc.SetOf | rpc.MapOf)
    ]
    return rng.choice(flat) if flat else rng.randrange(len(union.__rpc_fields__))


def _scalar(rng: random.Random, name: str) -> typing.Any:
    if name in _INTEGERS:
        least, most = _INTEGERS[name]
        return rng.choice((0, 1, least, most, rng.randint(least, most)))
    match name:
        case "void":
            return None
        case "bool":
            return rng.random() < 0.5
        case "float":
            return rng.choice((0.0, -0.0, 1.5, math.nan, struct.unpack(">f", rng.randbytes(4))[0]))
        case "double":
            return rng.choice((0.0, -0.0, 0.1, math.inf, rng.random()))
        case "string":
            return rng.choice(("", "a", "ü\0", "x" * 40))
        case "bytes":
            return rng.randbytes(rng.choice((0, 1, 40)))
        case "timestamp":
            epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
            return epoch + datetime.timedelta(microseconds=rng.randint(0, 2**50))
        case "date":
            return datetime.date.fromordinal(rng.randint(1, 3_000_000))
        case "duration":
            return datetime.timedelta(microseconds=rng.choice((0, -5, rng.randint(-(2**40), 2**40))))
        case "uuid":
            return uuid.UUID(bytes=rng.randbytes(16))
        case "decimal":
            return rng.choice(
                (decimal.Decimal(0), decimal.Decimal("1.0"), decimal.Decimal(rng.randint(-99, 99)))
            )
    raise AssertionError(name)


class Wrong(Exception):
    """What was read is not what was meant."""


def agree(meant: typing.Any, writer: typing.Any, read: typing.Any, reader: typing.Any, at: str) -> None:
    """Checks a value that was written as one type and read as another.

    Raises:
        Wrong: It is not the same; ``at`` says where.
    """
    writer, reader = resolved(writer), resolved(reader)
    if isinstance(writer, rpc.OptionalOf) or isinstance(reader, rpc.OptionalOf):
        if (meant is None) != (read is None):
            raise Wrong(f"{at}: {meant!r} was read as {read!r}")
        if meant is not None:
            agree(meant, _bare(writer), read, _bare(reader), at)
    elif isinstance(writer, rpc.ListOf) and isinstance(reader, rpc.ListOf):
        _check(at, len(meant) == len(read), meant, read)
        for place, (one, other) in enumerate(zip(meant, read, strict=True)):
            agree(one, writer.item, other, reader.item, f"{at}[{place}]")
    elif isinstance(writer, rpc.SetOf) and isinstance(reader, rpc.SetOf):
        _check(at, meant == read, meant, read)
        for one in meant:
            agree(one, writer.item, next(other for other in read if other == one), reader.item, at)
    elif isinstance(writer, rpc.MapOf) and isinstance(reader, rpc.MapOf):
        _check(at, list(meant) == list(read), meant, read)
        for (key, one), (other_key, other) in zip(meant.items(), read.items(), strict=True):
            agree(key, writer.key, other_key, reader.key, at)
            agree(one, writer.value, other, reader.value, f"{at}[{key!r}]")
    elif isinstance(writer, type) and isinstance(reader, type):
        _agree_classes(meant, writer, read, reader, at)
    else:
        _check(at, type(meant) is type(read) and _exactly(meant) == _exactly(read), meant, read)


def _agree_classes(meant: typing.Any, writer: type, read: typing.Any, reader: type, at: str) -> None:
    if issubclass(writer, rpc.Enum) and issubclass(reader, rpc.Enum):
        _check(at, int(meant) == int(read), meant, read)
        moved = meant.name in reader.__members__ and reader.__members__[meant.name] != meant
        _check(at, not moved, meant, read)
    elif is_union(writer) and is_union(reader):
        one, other = _member(meant, writer), _member(read, reader)
        _check(at, one[0] == other[0], meant, read)
        if one[1] is not None and other[1] is not None:
            agree(meant.value, one[1], read.value, other[1], f"{at}.{one[0]}")
    else:
        kinds = [(is_union(each), issubclass(each, rpc.Enum)) for each in (writer, reader)]
        _check(at, kinds[0] == kinds[1], meant, read)
        _agree_blocks(meant, writer, read, reader, at)


def _agree_blocks(
    meant: typing.Any, writer: typing.Any, read: typing.Any, reader: typing.Any, at: str
) -> None:
    ours, theirs = writer.__rpc_fields__, reader.__rpc_fields__
    if ours is None or theirs is None:
        _check(at, ours is theirs and meant.message == read.message, meant, read)
        return
    agree_fields(
        {field.tag: (field, getattr(meant, field.attr)) for field in ours},
        {field.tag: (field, getattr(read, field.attr)) for field in theirs},
        at,
    )


Fields: typing.TypeAlias = "dict[int, tuple[typing.Any, typing.Any]]"
"""Tag → field and value."""


def agree_fields(meant: Fields, read: Fields, at: str) -> None:
    """Checks what was read of a block.

    Raises:
        Wrong: A field is not what was meant, or not the default where nothing was.
    """
    for tag, (field, value) in read.items():
        if tag in meant:
            agree(meant[tag][1], meant[tag][0].type, value, field.type, f"{at}.{field.name}")
        else:
            default = field.fill(rpc.DEFAULT)
            agree(default, field.type, value, field.type, f"{at}.{field.name}, which was not sent")


def _member(value: typing.Any, union: typing.Any) -> tuple[int, typing.Any]:
    """Gives the tag of a union's value, and its type; None: unknown."""
    if isinstance(value, UnknownCase):
        return value.tag, None
    place = union.__rpc_cases__.index(type(value))
    return union.__rpc_fields__[place].tag, union.__rpc_fields__[place].type


def _bare(type_: typing.Any) -> typing.Any:
    return resolved(type_.item) if isinstance(type_, rpc.OptionalOf) else type_


def _exactly(value: typing.Any) -> typing.Any:
    if isinstance(value, float):
        return "nan" if math.isnan(value) else struct.pack(">d", value)
    return value.as_tuple() if isinstance(value, decimal.Decimal) else value


def _check(at: str, holds: bool, meant: object, read: object) -> None:
    if not holds:
        raise Wrong(f"{at}: {meant!r} was read as {read!r}")
