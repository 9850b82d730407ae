"""Which bytes of a message are what: the decoder that everything else is held to, made to tell what it reads.

Each row is a piece of the input, one after the other without gaps; what nothing explains stands in rows of
its own. So values and errors are those of the codec, and every byte is in exactly one row.
"""

from __future__ import annotations

import enum
import typing

from rpcgen.runtime.records import Record
from rpcgen.runtime.schema import (
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
from rpcgen.runtime.wire.decoder import Decoder
from rpcgen.runtime.wire.json_values import idl_name
from rpcgen.runtime.wire.limits import DEFAULT_LIMITS, Limits
from rpcgen.runtime.wire.scalars import SIZED
from rpcgen.runtime.wire.types import Misfit, resolved

if typing.TYPE_CHECKING:
    import collections.abc

    Owner: typing.TypeAlias = str | type
    """A method's wire name, or the class of a struct, union or exception."""


class Role(enum.Enum):
    """What a row is."""

    HEADING = "heading"
    """Of no bytes: what begins here."""
    MARK = "mark"
    """A length, count, tag or flag: how the format says what follows."""
    VALUE = "value"
    """A value without parts."""
    DEFAULT = "default"
    """Of no bytes: a value that was left out, and is its default."""
    PASSED = "passed"
    """What a reader steps over: a newer peer's, or a removed field's."""
    UNREAD = "unread"
    """What could not be read."""
    FAULT = "fault"
    """Of no bytes: what is wrong."""


class Place(Record):
    """Where the IDL says it.

    Args:
        owner: What declares it.
        tag: Of a field, parameter or member; 0: the declaration itself.
    """

    owner: Owner
    tag: int = 0


class Row(Record):
    """A piece of the input.

    Args:
        start, end: Its bytes, counted from the first of ``part``; one row begins where the last one ended.
        role: What it is.
        level: How deep it stands in structs and containers.
        name: The field's, or what a mark is.
        type: As the IDL writes it.
        value: As decoded; of a fault, its text.
        place: Where the IDL says it, if it does.
        part: 0: the input; others are what was compressed in it, each counted from 0 by itself.
        is_secret: It is credentials, or may be.
    """

    start: int
    end: int
    role: Role
    level: int
    name: str
    type: str = ""
    value: typing.Any = None
    place: Place | None = None
    part: int = 0
    is_secret: bool = False


_MARKS = {"B": "u8", "I": "u32"}


class Cut(Misfit):
    """The input ends before the value does."""


class Dissector(Decoder):
    """Reads as ``Decoder`` does, and keeps a row for each piece.

    Args:
        data: The input.
        limits: As for ``Decoder``.
        pos: Where to begin.
        rows: Where rows go; those of before, without gaps, are there.
        part: See ``Row``.

    Attributes:
        is_open: What is read ends with the input at the latest, and lengths beyond that are followed as far as
            it goes: for messages that are cut, and for those whose length nothing says.
    """

    def __init__(
        self,
        data: bytes,
        limits: Limits = DEFAULT_LIMITS,
        pos: int = 0,
        rows: list[Row] | None = None,
        part: int = 0,
    ) -> None:
        super().__init__(data, limits, pos)
        self.rows: list[Row] = [] if rows is None else rows
        self.is_open = False
        self._part = part
        self._told = pos
        self._level = 0
        self._name = ""
        self._place: Place | None = None
        self._spelled = ""
        self._is_map = False
        self._seen: list[set[int]] = []
        self._beyond: Cut | None = None

    def tell(
        self,
        role: Role,
        name: str,
        type_: str = "",
        value: object = None,
        place: Place | None = None,
        *,
        to: int | None = None,
    ) -> None:
        """Adds a row from where the last one ended, to ``to`` or ``pos``."""
        end = self.pos if to is None else to
        self.rows.append(
            Row(self._told, end, role, self._level, name, type_, value, place or self._place, self._part)
        )
        self._told = end

    def refresh(self) -> None:
        """Begins anew where the last row ended, as for another message."""
        self._room, self._items = self._limits.nesting, self._limits.items
        self.pos = self._told
        self._level, self._name, self._place, self._is_map = 0, "", None, False
        self._seen.clear()
        self._beyond = None
        self.is_open = False

    def give_up(self, fault: str, end: int) -> None:
        """Says what is wrong, and that nothing more is read up to ``end``."""
        self._level, self._place = 0, None
        if self._told < end:
            self.tell(Role.UNREAD, "not read", to=end)
        self.pos = self._told
        self.tell(Role.FAULT, "", value=fault)

    def named(self, name: str, type_: Type, end: int, place: Place | None = None) -> typing.Any:
        """Reads a value under a name, on the level of a message's parts."""
        self._name, self._place, self._level = name, place, 0
        try:
            value = self.value(type_, end)
        except Misfit as misfit:
            raise misfit.inside(name) from None
        self._level, self._place = 0, None
        return value

    def fields(
        self,
        owner: Owner,
        fields: tuple[Field, ...],
        reserved: tuple[Reserved, ...],
        end: int,
        *,
        arguments: bool = False,
    ) -> list[typing.Any]:
        """Reads a message's field block; see ``Decoder.block``."""
        self._place, self._level = Place(owner), 0
        values = self.block(fields, reserved, end, arguments=arguments)
        self._level, self._place = 0, None
        return values

    def whole(self) -> None:
        """Checks that no length went beyond the input.

        Raises:
            Cut: One did.
        """
        if self._beyond is not None:
            raise self._beyond

    def goes_beyond(self, length: int, at: int) -> None:
        """Notes that what begins after a length ends only beyond the input."""
        self.is_open = True
        self._beyond = self._cut(length, at, len(self._data))

    def mark(
        self,
        name: str,
        code: str,
        end: int,
        meaning: collections.abc.Callable[[int], str] = lambda number: "",
    ) -> int:
        """Reads a number of the format itself.

        Args:
            name: What it is.
            code: Its layout, as for ``struct``.
            end: Where it ends at the latest.
            meaning: Says what a number means.

        Raises:
            Misfit: There are too few bytes.
        """
        number = int(self._number(code, end))
        means = meaning(number)
        self.tell(Role.MARK, name, _MARKS[code], f"{number}: {means}" if means else number)
        return number

    def piece(
        self, name: str, size: int, end: int, place: Place | None = None, *, is_text: bool = False
    ) -> typing.Any:
        """Reads bytes, or a text, whose length is known.

        Raises:
            Misfit: There are too few bytes, or they are no UTF-8.
        """
        if size > end - self.pos:
            raise (Cut if self.is_open else Misfit)(
                f"{name}: {size} bytes are needed, but {end - self.pos} are left", self.pos
            )
        data = self._data[self.pos : self.pos + size]
        try:
            value = data.decode() if is_text else data
        except UnicodeDecodeError as error:
            raise Misfit(f"{name}: invalid UTF-8: {error.reason}", self.pos + error.start) from None
        self.pos += size
        self.tell(Role.VALUE, name, "string" if is_text else "bytes", value, place)
        return value

    def passed(self, name: str, end: int) -> None:
        """Steps over what is not for this reader."""
        self.pos = end
        if self._told < end:
            self.tell(Role.PASSED, name)

    def fault(self, misfit: Misfit) -> str:
        """Gives what is wrong; where the input's end is to blame, the first length that goes beyond it."""
        if self._beyond is not None and (isinstance(misfit, Cut) or misfit.at == len(self._data)):
            beyond = str(self._beyond)
            return beyond if str(misfit) in (beyond, self._beyond.text) else f"{misfit}; {beyond}"
        return str(misfit)

    def value(self, type_: Type, end: int) -> typing.Any:
        type_ = resolved(type_)
        self._spelled = spelled(type_)
        kept = self._name, self._place, self._level, self._is_map
        self._is_map = isinstance(type_, MapOf)
        value = super().value(type_, end)
        self._name, self._place, self._level, self._is_map = kept
        if isinstance(type_, type) and issubclass(type_, Enum):
            self.tell(Role.VALUE, self._name, spelled(type_), value)
        return value

    def block(
        self, fields: tuple[Field, ...], reserved: tuple[Reserved, ...], end: int, *, arguments: bool = False
    ) -> list[typing.Any]:
        assert self._place is not None
        place = self._place
        self._level += 1
        self._seen.append(set())
        values = super().block(fields, reserved, end, arguments=arguments)
        seen = self._seen.pop()
        if self._told < self.pos:
            self.tell(Role.PASSED, "a newer peer's fields", place=place)
        for field, value in zip(fields, values, strict=True):
            if field.tag not in seen and self._beyond is None:
                at = Place(place.owner, field.tag)
                self.tell(Role.DEFAULT, field.name, spelled(field.type), value, at)
        return values

    def skip(self, type_: Type, end: int) -> None:
        kept = self._name, self._level, self._place
        if self._told == self.pos - 1 and self._place is not None:
            self._name = "removed"
            self._place = Place(self._place.owner, self._data[self.pos - 1])
            self.tell(Role.MARK, "tag", "u8", self._data[self.pos - 1])
        self._spelled = spelled(type_)
        super().skip(type_, end)
        if self._told < self.pos:
            self._level = kept[1]
            self.tell(Role.PASSED, "removed", spelled(type_))
        self._name, self._level, self._place = kept

    def present(self, end: int) -> bool:
        found = super().present(end)
        self.tell(Role.MARK, "is there", "u8", int(found))
        return found

    def _member(self, field: Field, end: int) -> typing.Any:
        assert self._place is not None
        outer = self._place
        self._place = Place(outer.owner, field.tag)
        self.tell(Role.MARK, "tag", "u8", field.tag)
        self._seen[-1].add(field.tag)
        self._name = field.name
        value = super()._member(field, end)
        self._place = outer
        return value

    def _item(self, type_: Type, end: int, index: int) -> typing.Any:
        self._name = f"[{index}] key" if self._is_map else f"[{index}]"
        value = super()._item(type_, end, index)
        self._name = f"[{index}]"
        return value

    def _scalar(self, scalar: Scalar, end: int) -> typing.Any:
        spelling = self._spelled
        if self.is_open and scalar in SIZED:
            at = self.pos
            length = int(self._number("I", end))
            if length > end - self.pos:
                self.tell(Role.MARK, f"{self._name}: length", "u32", length)
                raise self._cut(length, at, end)
            self.pos = at
        value = super()._scalar(scalar, end)
        self.tell(Role.VALUE, self._name, spelling, value)
        return value

    def _record(self, cls: typing.Any, end: int) -> typing.Any:
        self._place = Place(cls)
        return super()._record(cls, end)

    def _union(self, cls: typing.Any, end: int) -> typing.Any:
        self._place = Place(cls)
        self._level += 1
        self._seen.append(set())
        value = super()._union(cls, end)
        self._seen.pop()
        if self._told < self.pos:
            self.tell(Role.MARK, "tag", "u8", self._data[self._told], to=self._told + 1)
            self.tell(Role.PASSED, "a newer peer's member")
        return value

    def _number(self, code: str, end: int) -> typing.Any:
        try:
            return super()._number(code, end)
        except Misfit as misfit:
            if self.is_open:
                raise Cut(misfit.text, misfit.at) from None
            raise

    def _sized_end(self, end: int) -> int:
        at = self.pos
        if self.is_open:
            length = int(self._number("I", end))
            if length > end - self.pos:
                self._beyond = self._beyond or self._cut(length, at, end)
                self.tell(Role.MARK, f"{self._name}: length", "u32", length)
                return end
            self.pos = at
        inner = super()._sized_end(end)
        self.tell(Role.MARK, f"{self._name}: length", "u32", inner - self.pos)
        return inner

    def _enter(self, end: int) -> int:
        count = super()._enter(end)
        self.tell(Role.MARK, f"{self._name}: count", self._spelled, count)
        self._level += 1
        return count

    def _cut(self, length: int, at: int, end: int) -> Cut:
        return Cut(f"a length of {length}, but {end - at - 4} bytes are left", at)


def spelled(type_: Type) -> str:
    """Gives a type as the IDL writes it, without its file's alias."""
    type_ = resolved(type_)
    if isinstance(type_, Scalar):
        return type_.name
    if isinstance(type_, ListOf):
        return f"list<{spelled(type_.item)}>"
    if isinstance(type_, SetOf):
        return f"set<{spelled(type_.item)}>"
    if isinstance(type_, MapOf):
        return f"map<{spelled(type_.key)}, {spelled(type_.value)}>"
    if isinstance(type_, OptionalOf):
        return f"{spelled(type_.item)}?"
    assert isinstance(type_, type)
    return idl_name(type_)
