"""Descriptors as what the codec in C walks: a tree of shapes, made once a class.

A class keeps its shape once that is whole, so that all methods share it. Two threads that
make one at the same time make two that are equal.
"""

from __future__ import annotations

import functools
import sys
import typing

from rpcgen.runtime.errors import RemoteException
from rpcgen.runtime.schema import (
    DEFAULT,
    REQUIRED,
    VOID,
    Enum,
    Field,
    ListOf,
    MapOf,
    OptionalOf,
    Reserved,
    Scalar,
    SetOf,
    Type,
    fresh,
)
from rpcgen.runtime.wire._codec import Method, Shape
from rpcgen.runtime.wire.limits import DEFAULT_LIMITS
from rpcgen.runtime.wire.plain import MESSAGES
from rpcgen.runtime.wire.types import height, is_message_only, is_union, resolved

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.wire.codec import ReferenceCodec

    Made: typing.TypeAlias = dict[type, Shape]
    Row: typing.TypeAlias = tuple[int, str, bool, int, str, Shape, object, bytes | None, type | None]

_KEPT = "__rpc_shape__"

_BY_KIND = {"timestamp", "date", "duration", "uuid", "decimal"}
"""The scalars that C converts by Python's functions."""


def method(codec: ReferenceCodec, slow: tuple[collections.abc.Callable[..., typing.Any], ...]) -> Method:
    """Makes what encodes and decodes a method's messages.

    Args:
        codec: The method's.
        slow: What decides where C does not: for each of ``plain.MESSAGES``, in their order.
    """
    made: Made = {}
    arguments = Shape("record")
    _fill(arguments, codec.params, codec.reserved, made)
    returns = codec.returns
    result = None if returns is VOID else _shape(returns, made)
    raises = tuple(_shape(declared, made) for declared in codec.raises)
    raised = {
        declared: number + 2
        for number, declared in enumerate(codec.raises)
        # The first entry that an exception is an instance of counts.
        if not any(issubclass(declared, earlier) for earlier in codec.raises[:number])
    }
    for cls, shape in made.items():
        setattr(cls, _KEPT, shape)
    optional = isinstance(returns, OptionalOf)
    name = codec.name.encode()
    return Method(name, arguments, result, optional, raises, raised, slow, DEFAULT, DEFAULT_LIMITS)


def _shape(type_: Type, made: Made) -> Shape:
    type_ = resolved(type_)
    if isinstance(type_, Scalar):
        if type_.name not in _BY_KIND:
            return Shape(type_.name)
        from rpcgen.runtime.wire.scalars import conversion

        way = conversion(type_)
        assert way is not None
        return Shape(type_.name, to_wire=way.to_wire, from_wire=way.from_wire)
    if isinstance(type_, OptionalOf):
        return _shape(type_.item, made)
    acyclic = height(type_) is not None
    if isinstance(type_, ListOf):
        return Shape("list", _shape(type_.item, made), acyclic=acyclic)
    if isinstance(type_, SetOf):
        return Shape("set", _shape(type_.item, made), acyclic=acyclic)
    if isinstance(type_, MapOf):
        return Shape("map", _shape(type_.key, made), _shape(type_.value, made), acyclic=acyclic)
    assert isinstance(type_, type)
    return _class_shape(type_, made, acyclic)


def _class_shape(cls: typing.Any, made: Made, acyclic: bool) -> Shape:
    if issubclass(cls, Enum):
        return Shape("enum", of=cls, from_wire=cls.from_wire, members=cls._value2member_map_)
    if is_message_only(cls):
        return Shape("message", of=cls, name="message", direct=_is_plain_message(cls))
    shape = made.get(cls) or cls.__dict__.get(_KEPT)
    if isinstance(shape, Shape):
        return shape
    if is_union(cls):
        shape = made[cls] = Shape("union", of=cls.Unknown, acyclic=acyclic)
        rows: list[Row] = [
            (field.tag, "required", False, 0, "value", _shape(field.type, made), None, None, case)
            for field, case in zip(cls.__rpc_fields__, cls.__rpc_cases__, strict=True)
        ]
        shape.fill(tuple(rows), False, 0)
        return shape
    shape = made[cls] = Shape("record", of=cls, acyclic=acyclic)
    attributes = tuple(field.attr for field in cls.__rpc_fields__)
    _fill(shape, cls.__rpc_fields__, cls.__rpc_reserved__, made, direct=_is_plain(cls, attributes))
    return shape


def _fill(
    shape: Shape,
    fields: tuple[Field, ...],
    reserved: tuple[Reserved, ...],
    made: Made,
    *,
    direct: bool = False,
) -> None:
    rows: list[Row] = [
        (field.tag, "gone", False, 0, "", _shape(field.type, made), None, None, None) for field in reserved
    ]
    for place, field in enumerate(fields):
        optional = isinstance(field.type, OptionalOf)
        absence, absent = _absence(field.default)
        type_ = _shape(field.type, made)
        left_out = None if optional or absence == "required" else _bytes(type_, field)
        rows.append((field.tag, absence, optional, place, field.attr, type_, absent, left_out, None))
    rows.sort(key=lambda row: row[0])
    shape.fill(tuple(rows), direct, max((row[0] for row in rows), default=0))


def _bytes(shape: Shape, field: Field) -> bytes:
    """Gives the bytes of a field's default, which are left out."""

    def reference(*_: object) -> bytes:
        from rpcgen.runtime.wire.encoder import default_bytes

        return b"\x01" + (default_bytes(field) or b"")

    nothing = Shape("record")
    nothing.fill((), False, 0)
    writer = Method(b"", nothing, shape, False, (), {}, (reference,) * len(MESSAGES), DEFAULT, DEFAULT_LIMITS)
    return bytes(writer.encode_reply(field.default))[1:]


def _absence(default: typing.Any) -> tuple[str, object]:
    if default is REQUIRED:
        return "required", None
    if not isinstance(default, (list, set, dict)):
        return "constant", default
    if default:
        return "made", functools.partial(fresh, default)
    return {list: "list", set: "set", dict: "map"}[type(default)], None


def _is_plain(cls: typing.Any, attributes: tuple[str, ...]) -> bool:
    """Says whether an instance is its slots and nothing else: then it is made without a call."""
    msgspec = sys.modules.get("msgspec")
    if issubclass(cls, RemoteException) or msgspec is None:
        return False
    base: typing.Any = msgspec.Struct
    return (
        type(cls) is type(base)
        and cls.__struct_fields__ == attributes
        and cls.__new__ is base.__new__
        and cls.__init__ is base.__init__
        and not hasattr(cls, "__post_init__")
    )


def _is_plain_message(cls: typing.Any) -> bool:
    """Says whether making an exception sets its arguments and its message and does nothing else."""
    return (
        cls.__new__ is RemoteException.__new__
        and cls.__init__ is RemoteException.__init__
        and cls.__setattr__ is RemoteException.__setattr__
        and not hasattr(cls, "message")
    )
