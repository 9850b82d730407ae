"""Source that writes values: one ``pack`` for each run of fixed-width values, tags and lengths.

A value is one of three: fixed (a code of ``struct`` and its argument), sized (a length or
count, then bytes) or whole (bytes that carry their own length). A block is a row of runs
and bytes, joined once. What is not exactly as expected raises; see ``compiled``.
"""

from __future__ import annotations

import typing

from rpcgen.runtime.schema import (
    BOOL,
    BYTES,
    DATE,
    DEFAULT,
    DOUBLE,
    FLOAT,
    REQUIRED,
    STRING,
    TIMESTAMP,
    UUID,
    Enum,
    Field,
    ListOf,
    MapOf,
    OptionalOf,
    Scalar,
    SetOf,
    Type,
)
from rpcgen.runtime.wire.encoder import default_bytes
from rpcgen.runtime.wire.row import Fixed, Part, Row, Sized, Whole
from rpcgen.runtime.wire.scalars import CODES, ENUM_CODE, SIZED, conversion
from rpcgen.runtime.wire.source import (
    Function,
    Linker,
    Source,
    Surprise,
    by_count,
    needed,
    packed,
)
from rpcgen.runtime.wire.types import height, is_message_only, is_union, resolved

if typing.TYPE_CHECKING:
    import collections.abc

_u32 = packed("I").pack
_SHORT = tuple(_u32(length) for length in range(256))
_SHORT_TEXT = tuple(_u32(length).decode() for length in range(128))

utf8 = str.encode

_INLINED_FIELDS = 8


def with_lengths(items: collections.abc.Iterable[bytes]) -> bytes:
    """Gives each item after its length."""
    short = _SHORT
    return b"".join([(short[len(item)] if len(item) < 256 else _u32(len(item))) + item for item in items])


def strings(items: collections.abc.Sequence[str]) -> bytes:
    """Gives each string after its length."""
    short = _SHORT_TEXT
    try:
        # Short ASCII, as most are: its length in bytes is known before it is encoded.
        text = "".join([short[len(item)] + item for item in items])
    except IndexError:
        return with_lengths(map(utf8, items))
    return text.encode() if text.isascii() else with_lengths(map(utf8, items))


class _StringsByCount(dict[int, Function]):
    """By the number of strings: what writes so many. A few are written without a loop, in half the time."""

    def __missing__(self, count: int) -> Function:
        if not 0 < count <= _FEW_STRINGS:
            return strings
        source = Source(f"strings_{count}", "items")
        source.namespace.update(short=_SHORT_TEXT, join="".join, strings=strings)
        items = [f"item{place}" for place in range(count)]
        source.line(f"{', '.join(items)}, = items")
        with source.block("try:"):
            source.line(f"text = join(({', '.join(f'short[len({item})], {item}' for item in items)}))")
        with source.block("except IndexError:"):
            source.line("return strings(items)")
        source.line("return text.encode() if text.isascii() else strings(items)")
        self[count] = source.function()
        return self[count]


_FEW_STRINGS = 16

strings_by_count = _StringsByCount()


class Writer:
    """Adds to a source what writes values.

    Args:
        levels: How many of ``room``, the levels of nesting that are left, are taken already;
            None where the source has no ``room`` because nothing in it is recursive.
        inlined: How many structs are being written as part of their holders.
    """

    def __init__(self, source: Source, levels: int | None, inlined: int = 0) -> None:
        self.source = source
        self._levels = levels
        self._inlined = inlined
        self.surprise = source.constant(Surprise, "Surprise")

    def fields(self, row: Row, fields: collections.abc.Iterable[tuple[Field, str]], *, call: bool) -> None:
        """Adds fields, given with their values' expressions, to a row; a call's may be left out."""
        for field, value in sorted(fields, key=lambda pair: pair[0].tag):
            if field.default is REQUIRED:
                row.add(self.part(field.type, value, field.attr), field.tag)
            else:
                row.bytes(self._conditional(field, value, call=call))

    def part(self, type_: Type, value: str, hint: str) -> Part:
        """Adds what makes a value ready to be written."""
        type_ = resolved(type_)
        if isinstance(type_, Scalar):
            return self._scalar(type_, value, hint)
        if isinstance(type_, (ListOf, SetOf, MapOf)):
            value = self._assigned(value, hint)
            self._check(value, {ListOf: (list, tuple), SetOf: (set, frozenset), MapOf: (dict,)}[type(type_)])
            return Sized(f"len({value})", self._assigned(self._items(type_, value), f"{hint}_items"))
        assert isinstance(type_, type)
        if issubclass(type_, Enum):
            value = self._assigned(value, hint)
            self._check(value, (type_,))
            return Fixed(ENUM_CODE, value)
        if is_message_only(type_):
            value = self._assigned(value, hint)
            self._check(value, (type_,))
            return self._scalar(STRING, f"{value}.message", f"{hint}_message")
        if self._inlines(type_):
            inner = Writer(self.source, self._levels, self._inlined + 1)
            return inner.struct(type_, self._assigned(value, hint), ["I"], "TOTAL")
        return Whole(self._assigned(self._call(type_, value), hint))

    def struct(self, cls: typing.Any, value: str, codes: collections.abc.Sequence[str], *head: str) -> Row:
        """Adds what makes a struct's fields ready; gives them in a row after a head."""
        self._check(value, (cls,))
        row = Row(self.source, codes, *head)
        fields = [(field, f"{value}.{field.attr}") for field in cls.__rpc_fields__]
        self.fields(row, fields, call=False)
        return row

    def _inlines(self, cls: typing.Any) -> bool:
        """A small struct without others in it saves more as a part of its holder than it costs there."""
        return self._inlined < 1 and is_plain_struct(cls) and len(cls.__rpc_fields__) <= _INLINED_FIELDS

    def _conditional(self, field: Field, value: str, *, call: bool) -> str:
        source = self.source
        value = self._assigned(value, field.attr)
        result = source.name_for(f"{field.attr}_field")
        if isinstance(field.type, OptionalOf):
            type_: Type = field.type.item
            leave_out = f"{value} is None"
        else:
            type_ = resolved(field.type)
            leave_out = ""
            if isinstance(type_, type) and issubclass(type_, Enum):
                leave_out = f"{value} is {source.constant(field.default, f'{field.attr}_default')}"
        if call:
            given = f"{value} is {source.constant(DEFAULT, 'DEFAULT')}"
            leave_out = f"{leave_out} or {given}" if leave_out else given
        left_out = default_bytes(field)
        if leave_out:
            with source.block(f"if {leave_out}:"):
                source.line(f'{result} = b""')
            source.line("else:")
            source.shift(1)
        empty = not field.default and isinstance(type_, (ListOf, SetOf, MapOf))
        if empty and left_out is not None:
            self._check(value, {ListOf: (list, tuple), SetOf: (set, frozenset), MapOf: (dict,)}[type(type_)])
            with source.block(f"if not {value}:"):
                source.line(f'{result} = b""')
            source.line("else:")
            source.shift(1)
        row = Row(source)
        row.add(self.part(type_, value, field.attr), field.tag)
        source.line(f"{result} = {row.expression()}")
        if empty and left_out is not None:
            source.shift(-1)
        elif left_out is not None:
            known = source.constant(bytes([field.tag]) + left_out, f"{field.attr}_left_out")
            with source.block(f"if {result} == {known}:"):
                source.line(f'{result} = b""')
        if leave_out:
            source.shift(-1)
        return result

    def _scalar(self, scalar: Scalar, value: str, hint: str) -> Part:
        if scalar is STRING:
            return self._measured(self._assigned(f"{self._utf8()}({value})", hint))
        if scalar is BOOL:
            value = self._assigned(value, hint)
            with self.source.block(f"if {value} is not True and {value} is not False:"):
                self._raise()
            return Fixed("B", value)
        if scalar is BYTES:
            value = self._assigned(value, hint)
            with self.source.block(f"if {value}.__class__ is not bytes:"):
                self.source.line(f"{value} = {self._to_wire(scalar)}({value})")
            return self._measured(value)
        converted = f"{self._to_wire(scalar)}({value})" if conversion(scalar) else value
        if scalar in SIZED:
            return self._measured(self._assigned(converted, hint))
        return Fixed(CODES[scalar], converted)

    def _measured(self, body: str) -> Part:
        size = self._assigned(f"len({body})", f"{body}_size")
        return Sized(size, body, size)

    def _items(self, type_: ListOf | SetOf | MapOf, value: str) -> str:
        """Gives the expression of a container's bytes after its count."""
        if isinstance(type_, MapOf):
            self._check_keys(type_.key, value)
            return f'b"".join([{self._entry(type_)} for key, item in {value}.items()])'
        if isinstance(type_, SetOf):
            self._check_keys(type_.item, value)
            return f'b"".join(sorted([{self._piece(type_.item, "item")} for item in {value}]))'
        item_type = resolved(type_.item)
        if item_type is BOOL or (isinstance(item_type, type) and issubclass(item_type, Enum)):
            self._check_all(item_type, value)
            if item_type is BOOL:
                return f"bytes({value})"
        elif item_type is UUID:
            return f'b"".join(map({self._to_wire(UUID)}, {value}))'
        elif isinstance(item_type, Scalar) and item_type in SIZED:
            if item_type is STRING:
                return f"{self.source.constant(strings_by_count, 'strings')}[len({value})]({value})"
            with_length = self.source.constant(with_lengths, "with_lengths")
            return f"{with_length}(map({self._to_wire(item_type)}, {value}))"
        code = self._code(item_type)
        if code:
            pack = self.source.constant(by_count(f">{{}}{code}", "pack"), f"pack_many_{code}")
            converted = isinstance(item_type, Scalar) and conversion(item_type)
            items = f"map({self._to_wire(typing.cast(Scalar, item_type))}, {value})" if converted else value
            return f"{pack}[len({value})](*{items})"
        return f'b"".join([{self._piece(item_type, "item")} for item in {value}])'

    def _entry(self, type_: MapOf) -> str:
        """Gives the expression of a map's ``key`` and ``item``."""
        key, item = self._code(type_.key), self._code(type_.value)
        if item and resolved(type_.key) is STRING:
            pack = self.source.constant(by_count(f">I{{}}s{item}", "pack"), f"pack_string_{item}")
            size, data = self.source.name_for("size"), self.source.name_for("data")
            key = f"{pack}[{size} := len({data} := {self._utf8()}(key))]"
            return f"{key}({size}, {data}, {self._argument(type_.value, 'item')})"
        if key and item:
            arguments = f"{self._argument(type_.key, 'key')}, {self._argument(type_.value, 'item')}"
            return f"{self.source.pack(key + item)}({arguments})"
        return f"{self._piece(type_.key, 'key')} + {self._piece(type_.value, 'item')}"

    def _piece(self, type_: Type, value: str) -> str:
        """Gives the expression of a container's item, complete with its length."""
        type_ = resolved(type_)
        code = self._code(type_)
        if code == "16s":
            return self._argument(type_, value)
        if code:
            return f"{self.source.pack(code)}({self._argument(type_, value)})"
        if isinstance(type_, type) and not is_message_only(type_):
            return self._call(type_, value, inside=1)
        if type_ is STRING:
            data = self.source.name_for("data")
            return f"{self.source.pack('I')}(len({data} := {self._utf8()}({value}))) + {data}"
        return f"{self._function(type_)}({value}{'' if self._levels is None or height(type_) is not None else f', room - {self._levels + 1}'})"

    def _function(self, type_: Type) -> str:
        """Adds a function for an item that takes more than an expression; gives its name."""
        deep = self._levels is not None and height(type_) is None
        name = self.source.name_for("write_item")
        inner = Source(name, "item, room" if deep else "item")
        writer = Writer(inner, 0 if deep else None)
        row = Row(inner)
        row.add(writer.part(type_, "item", "item"))
        inner.line(f"return {row.expression()}")
        self.source.namespace[name] = inner.function()
        return name

    def _code(self, type_: Type) -> str:
        type_ = resolved(type_)
        if isinstance(type_, Scalar):
            return CODES.get(type_, "")
        return ENUM_CODE if isinstance(type_, type) and issubclass(type_, Enum) else ""

    def _argument(self, type_: Type, value: str) -> str:
        type_ = resolved(type_)
        if isinstance(type_, type):
            return f"{self._member(type_)}({value})"
        return (
            f"{self._to_wire(type_)}({value})" if isinstance(type_, Scalar) and conversion(type_) else value
        )

    def _member(self, cls: type) -> str:
        def member(value: object) -> object:
            if value.__class__ is not cls:
                raise Surprise
            return value

        return self.source.constant(member, f"{cls.__name__}_member")

    def _call(self, cls: type, value: str, inside: int = 0) -> str:
        if self._levels is None or height(cls) is not None:
            return f"{ENCODERS.link(cls, self.source, f'encode_{cls.__name__}')}({value})"
        room = f"room - {self._levels + inside}" if self._levels + inside else "room"
        return f"{ENCODERS.link(cls, self.source, f'encode_{cls.__name__}')}({value}, {room})"

    def _check(self, value: str, classes: tuple[type, ...]) -> None:
        names = [
            cls.__name__ if cls.__module__ == "builtins" else self.source.constant(cls, cls.__name__)
            for cls in classes
        ]
        with self.source.block(f"if {' and '.join(f'{value}.__class__ is not {name}' for name in names)}:"):
            self._raise()

    def _check_all(self, type_: Type, value: str) -> None:
        cls: typing.Any = type_ if isinstance(type_, type) else _KEY_CLASSES[typing.cast(Scalar, type_)]()
        only = self.source.constant(frozenset((cls,)), f"only_{cls.__name__}")
        with self.source.block(f"if not {only}.issuperset(map(type, {value})):"):
            self._raise()

    def _check_keys(self, type_: Type, value: str) -> None:
        """Keys that differ in Python can have one form on the wire, unless they are of one plain class."""
        type_ = resolved(type_)
        if type_ is TIMESTAMP:
            with self.source.block(f"if len(set(map({self._to_wire(TIMESTAMP)}, {value}))) != len({value}):"):
                self._raise()
        else:
            self._check_all(type_, value)

    def _raise(self) -> None:
        self.source.line(f"raise {self.surprise}")

    def _assigned(self, value: str, hint: str) -> str:
        if value.isidentifier() and value not in self.source.namespace:
            return value
        name = self.source.name_for(hint)
        self.source.line(f"{name} = {value}")
        return name

    def _utf8(self) -> str:
        return self.source.constant(utf8, "utf8")

    def _to_wire(self, scalar: Scalar) -> str:
        way = conversion(scalar)
        assert way is not None
        return self.source.constant(way.to_wire, f"{scalar.name}_to_wire")


def is_plain_struct(type_: Type) -> bool:
    """Says whether a type is a struct, or an exception with a body, that cannot hold itself."""
    if not isinstance(type_, type) or issubclass(type_, Enum) or is_message_only(type_) or is_union(type_):
        return False
    return height(type_) is not None


def _class_source(cls: typing.Any) -> Source:
    deep = height(cls) is None
    source = Source(f"encode_{cls.__name__}", "value, room" if deep else "value")
    writer = Writer(source, 1 if deep else None)
    fields = cls.__rpc_fields__
    if deep:
        with source.block(f"if room < {1 + max(needed(field.type) for field in fields)}:"):
            source.line(f"raise {writer.surprise}")
    if is_union(cls):
        for field, case in zip(fields, cls.__rpc_cases__, strict=True):
            with source.block(f"if value.__class__ is {source.constant(case, case.__name__)}:"):
                row = Row(source, ["I"], "TOTAL")
                row.add(writer.part(field.type, "value.value", field.attr), field.tag)
                source.line(f"return {row.expression()}")
        source.line(f"raise {writer.surprise}")
        return source
    source.line(f"return {writer.struct(cls, 'value', ['I'], 'TOTAL').expression()}")
    return source


ENCODERS = Linker("__rpc_encode__", _class_source)


def _date() -> type:
    import datetime

    return datetime.date


def _uuid() -> type:
    import uuid

    return uuid.UUID


_KEY_CLASSES: dict[Scalar, collections.abc.Callable[[], type]] = {
    **{scalar: lambda: int for scalar in CODES if scalar not in (BOOL, FLOAT, DOUBLE)},
    BOOL: lambda: bool,
    STRING: lambda: str,
    BYTES: lambda: bytes,
    DATE: _date,
    UUID: _uuid,
}
