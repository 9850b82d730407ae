"""Bytes as values, from descriptors: what the format means when read.

Every check is here: each length and count is held against the bytes that remain before
anything is taken for it. Errors say where in the value and at which byte. ``compiled``
reads messages without surprises faster; the others are read here.
"""

from __future__ import annotations

import struct
import typing

from rpcgen.runtime.errors import RemoteException
from rpcgen.runtime.schema import (
    DEFAULT,
    REQUIRED,
    STRING,
    UUID,
    Enum,
    Field,
    ListOf,
    MapOf,
    OptionalOf,
    Reserved,
    Scalar,
    SetOf,
    Type,
)
from rpcgen.runtime.wire.limits import ALIKE
from rpcgen.runtime.wire.scalars import CODES, ENUM_CODE, SIZED, SIZES, conversion, shown
from rpcgen.runtime.wire.types import Misfit, is_union, resolved

if typing.TYPE_CHECKING:
    from rpcgen.runtime.values import Case, Union, UnknownCase
    from rpcgen.runtime.wire.limits import Limits


class Decoder:
    """Reads one message's values.

    Args:
        data: The message, or the part of it that is to be read.
        limits: Of which ``items`` and ``nesting`` count.
        pos: Where to begin.
    """

    def __init__(self, data: bytes, limits: Limits, pos: int = 0) -> None:
        self._data = data
        self._limits = limits
        self._room = limits.nesting
        self._items = limits.items
        self.pos = pos

    def value(self, type_: Type, end: int) -> typing.Any:
        """Reads a value that ends at ``end`` or before; ``pos`` is after it then.

        Raises:
            Misfit: The bytes are no value of the type.
        """
        type_ = resolved(type_)
        if isinstance(type_, Scalar):
            return self._scalar(type_, end)
        if isinstance(type_, ListOf):
            count = self._enter(end)
            items = [self._item(type_.item, end, index) for index in range(count)]
            self._room += count > 0
            return items
        if isinstance(type_, SetOf):
            return self._set(type_, end)
        if isinstance(type_, MapOf):
            return self._map(type_, end)
        assert isinstance(type_, type), f"{type_!r} has no bytes of its own"
        if issubclass(type_, Enum):
            return type_.from_wire(self._number(ENUM_CODE, end))
        if issubclass(type_, RemoteException) and type_.__rpc_fields__ is None:
            return type_(self._scalar(STRING, end))
        at = self.pos
        inner = self._sized_end(end)
        self._spend(1, at)
        self._deeper(at)
        value = self._union(type_, inner) if is_union(type_) else self._record(type_, inner)
        self._room += 1
        return value

    def block(
        self, fields: tuple[Field, ...], reserved: tuple[Reserved, ...], end: int, *, arguments: bool = False
    ) -> list[typing.Any]:
        """Reads a field block up to ``end``.

        Args:
            fields: Those known.
            reserved: Those that once were.
            end: Where the block ends.
            arguments: It is a call's: a field that is not known is refused.

        Returns:
            A value for each of ``fields``, in their order, defaults filled in.
        """
        known = {field.tag: field for field in fields}
        removed = {field.tag: field for field in reserved}
        highest = max((*known, *removed), default=0)
        values: dict[int, typing.Any] = {}
        last = 0
        while self.pos < end:
            at = self.pos
            tag = self._data[at]
            if tag <= last:
                raise Misfit(f"tags must ascend, but {tag} follows {last}" if last else "tag 0 is none", at)
            self.pos = at + 1
            last = tag
            if tag in known:
                values[tag] = self._member(known[tag], end)
            elif arguments:
                raise Misfit(
                    f"argument with tag {tag} {'was removed' if tag in removed else 'is unknown'}", at
                )
            elif tag in removed:
                self.skip(removed[tag].type, end)
            elif tag > highest:
                self.pos = end  # a newer peer's; it and all that follows
            else:
                raise Misfit(f"unknown tag {tag}, below the highest known one, {highest}", at)
        for field in fields:
            if field.tag not in values:
                if field.default is REQUIRED:
                    raise Misfit("is required but missing", end).inside(field.name)
                values[field.tag] = field.fill(DEFAULT)
        return [values[field.tag] for field in fields]

    def skip(self, type_: Type, end: int) -> None:
        """Goes past a value, by its lengths and counts alone."""
        type_ = resolved(type_)
        if isinstance(type_, OptionalOf):
            self.skip(type_.item, end)
        elif isinstance(type_, (ListOf, SetOf, MapOf)):
            parts = (type_.key, type_.value) if isinstance(type_, MapOf) else (type_.item,)
            count = self._enter(end)
            for _ in range(count):
                for part in parts:
                    self.skip(part, end)
            self._room += count > 0
        elif isinstance(type_, Scalar) and type_ not in SIZED:
            self._number(CODES[type_], end)
        elif isinstance(type_, type) and issubclass(type_, Enum):
            self._number(ENUM_CODE, end)
        else:
            self.pos = self._sized_end(end)

    def present(self, end: int) -> bool:
        """Reads the flag before an optional result."""
        at = self.pos
        flag = int(self._number("B", end))
        if flag > 1:
            raise Misfit(f"a flag before an optional value must be 0 or 1, not {flag}", at)
        return flag == 1

    def finish(self, end: int) -> None:
        """Checks that everything has been read."""
        if self.pos != end:
            raise Misfit(f"{end - self.pos} bytes are left over", self.pos)

    def _member(self, field: Field, end: int) -> typing.Any:
        type_ = field.type.item if isinstance(field.type, OptionalOf) else field.type
        try:
            return self.value(type_, end)
        except Misfit as misfit:
            raise misfit.inside(field.name) from misfit.__cause__

    def _item(self, type_: Type, end: int, index: int) -> typing.Any:
        try:
            return self.value(type_, end)
        except Misfit as misfit:
            raise misfit.inside(f"[{index}]") from misfit.__cause__

    def _scalar(self, scalar: Scalar, end: int) -> typing.Any:
        at = self.pos
        raw: typing.Any
        if scalar in SIZED:
            inner = self._sized_end(end)
            raw = self._data[self.pos : inner]
            self.pos = inner
        else:
            raw = self._number(CODES[scalar], end)
        way = conversion(scalar)
        try:
            return raw if way is None else way.from_wire(raw)
        except ValueError as error:
            raise Misfit(str(error), at) from None

    def _set(self, type_: SetOf, end: int) -> set[typing.Any]:
        count = self._enter(end)
        found: set[typing.Any] = set()
        alike = Alike(type_.item)
        for index in range(count):
            at = self.pos
            item = self._item(type_.item, end, index)
            if item in found:
                raise Misfit(f"set item {shown(item)} is repeated", at)
            found.add(item)
            alike.check(item, at)
        self._room += count > 0
        return found

    def _map(self, type_: MapOf, end: int) -> dict[typing.Any, typing.Any]:
        count = self._enter(end)
        found: dict[typing.Any, typing.Any] = {}
        alike = Alike(type_.key)
        for index in range(count):
            at = self.pos
            key = self._item(type_.key, end, index)
            if key in found:
                raise Misfit(f"map key {shown(key)} is repeated", at)
            alike.check(key, at)
            try:
                found[key] = self.value(type_.value, end)
            except Misfit as misfit:
                raise misfit.inside(f"[{shown(key)}]") from misfit.__cause__
        self._room += count > 0
        return found

    def _record(self, cls: typing.Any, end: int) -> typing.Any:
        return cls(*self.block(cls.__rpc_fields__, cls.__rpc_reserved__, end))

    def _union(self, cls: type[Union], end: int) -> Case | UnknownCase:
        at = self.pos
        if at == end:
            raise Misfit(f"{cls.__name__} holds no member", at)
        tag = self._data[at]
        self.pos = at + 1
        for field, case in zip(cls.__rpc_fields__, cls.__rpc_cases__, strict=True):
            if field.tag == tag:
                value = self._member(field, end)
                if self.pos != end:
                    raise Misfit(f"{cls.__name__} holds more than one member", self.pos)
                return case(value)
        if tag == 0:
            raise Misfit("tag 0 is none", at)
        raw = self._data[self.pos : end]
        self.pos = end
        return cls.Unknown(tag, raw)

    def _number(self, code: str, end: int) -> typing.Any:
        at = self.pos
        if SIZES[code] > end - at:
            raise Misfit(f"{SIZES[code]} bytes are needed, but {end - at} are left", at)
        self.pos = at + SIZES[code]
        return struct.unpack_from(">" + code, self._data, at)[0]

    def _sized_end(self, end: int) -> int:
        at = self.pos
        length = int(self._number("I", end))
        if length > end - self.pos:
            raise Misfit(f"a length of {length}, but {end - self.pos} bytes are left", at)
        return self.pos + length

    def _enter(self, end: int) -> int:
        """Reads a container's count; every item takes at least a byte."""
        at = self.pos
        count = int(self._number("I", end))
        if count > end - self.pos:
            raise Misfit(f"a count of {count}, but {end - self.pos} bytes are left", at)
        self._spend(count, at)
        self._deeper(at, count > 0)
        return count

    def _spend(self, count: int, at: int) -> None:
        self._items -= count
        if self._items < 0:
            raise Misfit(f"more than {self._limits.items} items in a message", at)

    def _deeper(self, at: int, by: bool = True) -> None:
        self._room -= by
        if self._room < 0:
            raise Misfit(f"nested deeper than {self._limits.nesting}", at)


class Alike:
    """Counts the keys of a set or map that have one hash, where who sends them can choose it."""

    __slots__ = ("_count", "_hashes")

    def __init__(self, type_: Type) -> None:
        self._hashes: set[int] | None = set() if resolved(type_) is UUID else None
        self._count = 0

    def check(self, key: object, at: int | None) -> None:
        if self._hashes is not None:
            self._hashes.add(hash(key))
            self._count += 1
            if self._count - len(self._hashes) > ALIKE:
                raise Misfit(f"over {ALIKE} keys have hashes of others: they are made to take time", at)
