"""Source that reads values: speculatively, in the expected order.

Required fields are read in runs: one ``unpack_from`` gives tags, fixed-width values and the
length of what follows. Only an end is checked, where it must be: every read moves ``pos``
on, so what was read beyond a block's end shows at that end. What is not exactly as expected
raises; see ``compiled``.

Source of this kind has ``data``, ``pos`` and ``end``; ``room``, the levels of nesting left,
where something is recursive; and ``left``, a list of one number, where items are counted.
"""

from __future__ import annotations

import functools
import typing

from rpcgen.runtime.schema import (
    BOOL,
    BYTES,
    REQUIRED,
    STRING,
    UUID,
    Enum,
    Field,
    ListOf,
    MapOf,
    OptionalOf,
    Scalar,
    SetOf,
    Type,
    fresh,
)
from rpcgen.runtime.wire.limits import ALIKE
from rpcgen.runtime.wire.scalars import CODES, ENUM_CODE, SIZED, SIZES, conversion
from rpcgen.runtime.wire.source import (
    Linker,
    Source,
    Surprise,
    by_count,
    needed,
)
from rpcgen.runtime.wire.types import height, is_message_only, is_union, resolved

if typing.TYPE_CHECKING:
    import collections.abc

    Rest: typing.TypeAlias = collections.abc.Callable[[], str]
    Row: typing.TypeAlias = collections.abc.Sequence[tuple[int | None, Type, str]]


_EMPTY = {ListOf: "[]", SetOf: "set()", MapOf: "{}"}


class Reader:
    """Adds to a source what reads values.

    Args:
        levels: How many of ``room`` are taken already; None where the source has no ``room``.
        counted: Items are counted, in ``left``.
    """

    def __init__(self, source: Source, levels: int | None, counted: bool) -> None:
        self.source = source
        self._levels = levels
        self._counted = counted
        self.surprise = source.constant(Surprise, "Surprise")

    def fields(self, fields: tuple[Field, ...]) -> list[str]:
        """Adds what reads a block's fields; gives the expressions of their values, in their order."""
        found: dict[int, str] = {}
        run: list[Field] = []
        for field in sorted(fields, key=lambda field: field.tag):
            if field.default is REQUIRED:
                run.append(field)
            else:
                found.update(self._run(run))
                run = []
                found[field.tag] = self._conditional(field)
        found.update(self._run(run))
        return [found[field.tag] for field in fields]

    def row(self, row: Row) -> list[str]:
        """Adds what reads values that follow each other, each after its tag if it has one.

        Returns:
            The expressions of the values.
        """
        values: list[str] = []
        while row:
            taken, read = self._step(row)
            values += read
            row = row[taken:]
        return values

    def check(self, condition: str) -> None:
        """Adds that it is a surprise if the condition holds."""
        with self.source.block(f"if {condition}:"):
            self.source.line(f"raise {self.surprise}")

    def count(self, number: str) -> None:
        """Adds that items have been met."""
        if self._counted:
            self.source.line(f"left[0] -= {number}")
            self.check("left[0] < 0")

    def _run(self, fields: list[Field]) -> dict[int, str]:
        values = self.row([(field.tag, field.type, field.attr) for field in fields])
        return {field.tag: value for field, value in zip(fields, values, strict=True)}

    def _conditional(self, field: Field) -> str:
        source = self.source
        result = source.name_for(field.attr)
        type_ = field.type.item if isinstance(field.type, OptionalOf) else field.type
        with source.block(f"if pos < end and data[pos] == {field.tag}:"):
            source.line("pos += 1")
            (value,) = self.row([(None, type_, field.attr)])
            source.line(f"{result} = {value}")
        with source.block("else:"):
            source.line(f"{result} = {self._default(field)}")
        return result

    def _default(self, field: Field) -> str:
        default = field.default
        if isinstance(default, (list, set, dict)):
            if not default:
                return {list: "[]", set: "set()", dict: "{}"}[type(default)]
            make = self.source.constant(functools.partial(fresh, default), f"fresh_{field.attr}")
            return f"{make}()"
        if default is None or isinstance(default, bool):
            return repr(default)
        return self.source.constant(default, f"{field.attr}_default")

    def _step(self, row: Row) -> tuple[int, list[str]]:
        """Adds one unpack for as many values as are fixed, and for the first one that is not."""
        codes: list[str] = []
        names, values, checks = [], [], []
        rest: Rest | None = None
        taken = 0
        for tag, type_, hint in row:
            taken += 1
            if tag is not None:
                name = self.source.name_for("tag")
                codes.append("B")
                names.append(name)
                checks.append(f"{name} != {tag}")
            code = _code(type_)
            name = self.source.name_for(hint if code else f"{hint}_size")
            codes.append(code or "I")
            names.append(name)
            if not code:
                rest = functools.partial(self._sized, resolved(type_), name, hint)
                break
            values.append(self._converted(type_, name))
        target = f"({names[0]},)" if len(names) == 1 else ", ".join(names)
        self.source.line(f"{target} = {self.source.unpack(''.join(codes))}(data, pos)")
        if checks:
            self.check(" or ".join(checks))
        self.source.line(f"pos += {sum(SIZES[each] for each in codes)}")
        if rest:
            values.append(rest())
        return taken, values

    def _converted(self, type_: Type, name: str) -> str:
        type_ = resolved(type_)
        if isinstance(type_, Scalar):
            if type_ is BOOL:
                return f"(False, True)[{name}]"
            way = conversion(type_)
            return (
                f"{self.source.constant(way.from_wire, f'{type_.name}_from_wire')}({name})" if way else name
            )
        assert isinstance(type_, type)
        cls = typing.cast("type[Enum]", type_)
        members = self.source.constant(cls._value2member_map_, f"{cls.__name__}_members")
        from_wire = self._from_wire(cls)
        return f"{members}[{name}] if {name} in {members} else {from_wire}({name})"

    def _from_wire(self, cls: type[Enum]) -> str:
        name, new = self.source.known(("from_wire", cls), f"{cls.__name__}_from_wire")
        if new:
            self.source.namespace[name] = cls.from_wire
        return name

    def _sized(self, type_: Type, size: str, hint: str) -> str:
        """Adds what reads a value after its length or count."""
        if isinstance(type_, (ListOf, SetOf, MapOf)):
            self.check(f"{size} > end - pos")
            self.count(size)
            return self._container(type_, size, hint)
        source = self.source
        value = source.name_for(hint)
        stop = source.name_for(f"{hint}_end")
        source.line(f"{stop} = pos + {size}")
        if type_ is STRING:
            source.line(f"{value} = data[pos:{stop}].decode()")
        elif type_ is BYTES:
            source.line(f"{value} = data[pos:{stop}]")
        elif isinstance(type_, Scalar):
            source.line(f"{value} = {self._converted(type_, f'data[pos:{stop}]')}")
        else:
            assert isinstance(type_, type)
            self.check(f"{stop} > end")
            if is_message_only(type_):
                source.line(f"{value} = {source.constant(type_, type_.__name__)}(data[pos:{stop}].decode())")
            else:
                source.line(f"{value} = {self._call(type_, stop)}")
        source.line(f"pos = {stop}")
        return value

    def _container(self, type_: ListOf | SetOf | MapOf, size: str, hint: str) -> str:
        source = self.source
        value = source.name_for(hint)
        if isinstance(type_, ListOf) and _code(type_.item):
            self._numbers(type_.item, size, value)
            return value
        if isinstance(type_, ListOf) and resolved(type_.item) is STRING:
            self._strings("", size, value)
            return value
        if isinstance(type_, MapOf) and resolved(type_.key) is STRING and _code(type_.value):
            self._strings(_code(type_.value), size, value, type_.value)
            self.check(f"len({value}) != {size}")
            return value
        if self._levels is not None:
            self._levels += 1
        source.line(f"{value} = {_EMPTY[type(type_)]}")
        key = type_.key if isinstance(type_, MapOf) else type_.item
        alike = ""
        if not isinstance(type_, ListOf) and resolved(key) is UUID:
            alike = source.name_for(f"{hint}_hashes")
            source.line(f"{alike} = set()")
        with source.block(f"for _ in range({size}):"):
            if isinstance(type_, MapOf):
                part, item = self.row([(None, key, f"{hint}_key"), (None, type_.value, f"{hint}_value")])
                source.line(f"{value}[{part}] = {item}")
            else:
                (part,) = self.row([(None, key, f"{hint}_item")])
                source.line(f"{value}.{'append' if isinstance(type_, ListOf) else 'add'}({part})")
            if alike:
                source.line(f"{alike}.add(hash({part}))")
                self.check(f"len({value}) - len({alike}) > {ALIKE}")
        if not isinstance(type_, ListOf):
            self.check(f"len({value}) != {size}")
        if self._levels is not None:
            self._levels -= 1
        return value

    def _strings(self, code: str, size: str, value: str, number: Type | None = None) -> None:
        """Adds what reads strings, each with a number of a map after it if there is a ``code``.

        One unpack takes a string, its number and the length of the next string.
        """
        source = self.source
        length, string, after = (source.name_for(f"{value}_{part}") for part in ("length", "item", "next"))
        names, item = [string], ""
        if number is not None:
            names.append(source.name_for(f"{value}_value"))
            item = self._converted(number, names[1])
        add = f"{value}[{string}.decode()] = {item}" if item else f"{value}.append({string}.decode())"
        width = SIZES[code] if code else 0
        more = source.constant(by_count(f">{{}}s{code}I", "unpack_from"), f"unpack_string{code}I")
        last = source.constant(by_count(f">{{}}s{code}", "unpack_from"), f"unpack_string{code}")
        source.line(f"{value} = {'{}' if code else '[]'}")
        with source.block(f"if {size}:"):
            source.line(f"({length},) = {source.unpack('I')}(data, pos)")
            source.line("pos += 4")
            with source.block(f"for _ in range({size} - 1):"):
                source.line(f"{', '.join(names)}, {after} = {more}[{length}](data, pos)")
                source.line(f"pos += {length} + {width + 4}")
                source.line(f"{length} = {after}")
                source.line(add)
            source.line(f"{', '.join(names)}{'' if code else ','} = {last}[{length}](data, pos)")
            source.line(f"pos += {length}{f' + {width}' if width else ''}")
            source.line(add)

    def _numbers(self, item: Type, size: str, value: str) -> None:
        """Adds what reads a list of fixed-width values in one go."""
        source, code = self.source, _code(item)
        stop = source.name_for(f"{value}_end")
        source.line(f"{stop} = pos + {size} * {SIZES[code]}" if SIZES[code] > 1 else f"{stop} = pos + {size}")
        self.check(f"{stop} > end")
        if resolved(item) is UUID:
            items = f"[{self._converted(item, 'data[at : at + 16]')} for at in range(pos, {stop}, 16)]"
            source.line(f"{value} = {items}")
        else:
            unpack = source.constant(by_count(f">{{}}{code}", "unpack_from"), f"unpack_many_{code}")
            numbers = f"{unpack}[{size}](data, pos)"
            if self._converted(item, "item") == "item":
                source.line(f"{value} = list({numbers})")
            else:
                source.line(f"{value} = [{self._converted(item, 'item')} for item in {numbers}]")
        source.line(f"pos = {stop}")

    def _call(self, cls: type, stop: str) -> str:
        arguments = f"data, pos, {stop}"
        if self._levels is not None and height(cls) is None:
            arguments += f", room - {self._levels}" if self._levels else ", room"
        if self._counted:
            arguments += ", left"
        linker = COUNTING_DECODERS if self._counted else DECODERS
        return f"{linker.link(cls, self.source, f'decode_{cls.__name__}')}({arguments})"


def _code(type_: Type) -> str:
    type_ = resolved(type_)
    if isinstance(type_, Scalar):
        return "" if type_ in SIZED else CODES[type_]
    return ENUM_CODE if isinstance(type_, type) and issubclass(type_, Enum) else ""


def _class_source(cls: typing.Any, counted: bool) -> Source:
    deep = height(cls) is None
    parameters = f"data, pos, end{', room' if deep else ''}{', left' if counted else ''}"
    source = Source(f"decode_{cls.__name__}", parameters)
    reader = Reader(source, 1 if deep else None, counted)
    fields: tuple[Field, ...] = cls.__rpc_fields__
    if deep:
        reader.check(f"room < {1 + max(needed(field.type) for field in fields)}")
    reader.count("1")
    if is_union(cls):
        source.line("tag = data[pos]")
        source.line("pos += 1")
        for field, case in zip(fields, cls.__rpc_cases__, strict=True):
            with source.block(f"if tag == {field.tag}:"):
                (value,) = reader.row([(None, field.type, field.attr)])
                reader.check("pos != end")
                source.line(f"return {source.constant(case, case.__name__)}({value})")
        source.line(f"raise {reader.surprise}")
        return source
    values = reader.fields(fields)
    highest = max((field.tag for field in (*fields, *cls.__rpc_reserved__)), default=0)
    # A newer peer's fields stand after all that are known, and are passed over.
    reader.check(f"pos != end and (pos > end or data[pos] <= {highest})")
    source.line(f"return {source.constant(cls, cls.__name__)}({', '.join(values)})")
    return source


DECODERS = Linker("__rpc_decode__", functools.partial(_class_source, counted=False))
COUNTING_DECODERS = Linker("__rpc_decode_counting__", functools.partial(_class_source, counted=True))
