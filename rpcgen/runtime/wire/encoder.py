"""Values as bytes, from descriptors: what the format means when written.

Every check is here, and every error says where in the value, what was expected and what
came. ``compiled`` does the same for values without surprises, faster; what it does not
expect, it hands over to this module.
"""

from __future__ import annotations

import struct
import typing

from rpcgen.runtime.schema import (
    REQUIRED,
    STRING,
    Enum,
    Field,
    ListOf,
    MapOf,
    OptionalOf,
    Scalar,
    SetOf,
    Type,
)
from rpcgen.runtime.wire.scalars import CODES, EXPECTED, SIZED, conversion, shown
from rpcgen.runtime.wire.types import Misfit, is_union, resolved

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.values import Union


def default_bytes(field: Field) -> bytes | None:
    """Gives what is left out when a field's value is written as these bytes; None: never."""
    if field.default is REQUIRED or isinstance(field.type, OptionalOf):
        return None
    return Encoder(nesting=1_000).value(field.type, field.default)


class Encoder:
    """Writes one message's values.

    Args:
        nesting: Structs, unions and containers with content that may stand inside each other.
    """

    def __init__(self, nesting: int) -> None:
        self._nesting = nesting
        self._room = nesting

    def value(self, type_: Type, value: typing.Any) -> bytes:
        """Gives a value's bytes.

        Raises:
            Misfit: It is no value of the type.
        """
        type_ = resolved(type_)
        if isinstance(type_, Scalar):
            return self._scalar(type_, value)
        if isinstance(type_, (ListOf, SetOf)):
            return self._items(type_, value)
        if isinstance(type_, MapOf):
            return self._entries(type_, value)
        assert isinstance(type_, type), f"{type_!r} has no bytes of its own"
        if issubclass(type_, Enum):
            if not isinstance(value, type_):
                raise Misfit(f"{type_.__name__} must be one of its members, not {shown(value)}")
            return struct.pack(">i", value)
        self._deeper()
        data = self._union(type_, value) if is_union(type_) else self._record(type_, value)
        self._room += 1
        return data

    def block(self, pairs: collections.abc.Iterable[tuple[Field, typing.Any]]) -> bytes:
        """Gives a field block.

        Raises:
            Misfit: A value is not of its field's type.
        """
        out = bytearray()
        for field, value in sorted(pairs, key=lambda pair: pair[0].tag):
            type_ = field.type
            if isinstance(type_, OptionalOf):
                if value is None:
                    continue
                type_ = type_.item
            try:
                data = self.value(type_, value)
            except Misfit as misfit:
                raise misfit.inside(field.name) from misfit.__cause__
            if data != default_bytes(field):
                out.append(field.tag)
                out += data
        return bytes(out)

    def _scalar(self, scalar: Scalar, value: typing.Any) -> bytes:
        way = conversion(scalar)
        try:
            if way is not None:
                value = way.to_wire(value)
            return _sized(value) if scalar in SIZED else struct.pack(">" + CODES[scalar], value)
        except Exception as error:
            raise Misfit(f"{EXPECTED[scalar]}, not {shown(value)}") from error

    def _items(self, type_: ListOf | SetOf, value: typing.Any) -> bytes:
        if isinstance(type_, ListOf):
            if not isinstance(value, (list, tuple)):
                raise Misfit(f"list must be a list or tuple, not {shown(value)}")
        elif not isinstance(value, (set, frozenset)):
            raise Misfit(f"set must be a set or frozenset, not {shown(value)}")
        self._deeper(bool(value))
        items = []
        for index, item in enumerate(value):
            try:
                items.append(self.value(type_.item, item))
            except Misfit as misfit:
                part = f"[{index}]" if isinstance(type_, ListOf) else ""
                raise misfit.inside(part) from misfit.__cause__
        if isinstance(type_, SetOf):
            items.sort()
            _check_distinct(items, "set item")
        self._room += bool(value)
        return _count(len(items)) + b"".join(items)

    def _entries(self, type_: MapOf, value: typing.Any) -> bytes:
        if not isinstance(value, dict):
            raise Misfit(f"map must be a dict, not {shown(value)}")
        self._deeper(bool(value))
        entries: list[tuple[bytes, bytes]] = []
        for key, item in value.items():
            try:
                entries.append((self.value(type_.key, key), self.value(type_.value, item)))
            except Misfit as misfit:
                raise misfit.inside(f"[{shown(key)}]") from misfit.__cause__
        _check_distinct([key for key, _ in entries], "map key")
        self._room += bool(value)
        return _count(len(entries)) + b"".join(key + item for key, item in entries)

    def _record(self, cls: typing.Any, value: typing.Any) -> bytes:
        if not isinstance(value, cls):
            raise Misfit(f"{cls.__name__} must be an instance of the class, not {shown(value)}")
        if cls.__rpc_fields__ is None:
            return self._message(value)
        pairs = []
        for field in cls.__rpc_fields__:
            try:
                pairs.append((field, getattr(value, field.attr)))
            except AttributeError as error:
                raise Misfit("is not set").inside(field.name) from error
        return _sized(self.block(pairs))

    def _message(self, value: typing.Any) -> bytes:
        try:
            return self.value(STRING, value.message)
        except Misfit as misfit:
            raise misfit.inside("message") from misfit.__cause__

    def _union(self, cls: type[Union], value: typing.Any) -> bytes:
        for field, case in zip(cls.__rpc_fields__, cls.__rpc_cases__, strict=True):
            if isinstance(value, case):
                try:
                    return _sized(bytes([field.tag]) + self.value(field.type, value.value))  # type: ignore[attr-defined]
                except Misfit as misfit:
                    raise misfit.inside(field.name) from misfit.__cause__
        if not isinstance(value, cls.Unknown):
            raise Misfit(f"{cls.__name__} must be one of its cases, not {shown(value)}")
        tag = value.tag
        if type(tag) is not int or not 1 <= tag <= 255:
            raise Misfit(f"an unknown member's tag must be 1..255, not {shown(tag)}")
        known = [field.name for field in cls.__rpc_fields__ if field.tag == tag]
        if known:
            raise Misfit(f"tag {tag} is {known[0]}, not an unknown member")
        if not isinstance(value.raw, bytes):
            raise Misfit(f"an unknown member's raw value must be bytes, not {shown(value.raw)}")
        return _sized(bytes([tag]) + value.raw)

    def _deeper(self, by: bool = True) -> None:
        self._room -= by
        if self._room < 0:
            raise Misfit(f"nested deeper than {self._nesting}")


def _sized(data: bytes) -> bytes:
    return _count(len(data)) + data


def _count(count: int) -> bytes:
    if count > 0xFFFF_FFFF:
        raise Misfit("is larger than 4 GiB")
    return struct.pack(">I", count)


def _check_distinct(items: list[bytes], what: str) -> None:
    if len(set(items)) != len(items):
        raise Misfit(f"a {what} is there twice in different guises")
