"""Hypothesis strategies for valid interfaces: every construct, as text.

``interfaces()`` gives an ``Interface``: the text, and the texts of what it includes. Compile it
with ``compile_interface``. Nothing is said twice in one list in a way that could collide in
Python, so that the generator must accept all of them as well.
"""

from __future__ import annotations

import dataclasses
import datetime
import typing

from hypothesis import strategies as st

from rpcgen.compiler import Compilation, compile_text

Draw: typing.TypeAlias = st.DrawFn

INTEGERS: typing.Final = {
    "byte": (-(2**7), 2**7 - 1),
    "short": (-(2**15), 2**15 - 1),
    "int": (-(2**31), 2**31 - 1),
    "long": (-(2**63), 2**63 - 1),
    "ubyte": (0, 2**8 - 1),
    "ushort": (0, 2**16 - 1),
    "uint": (0, 2**32 - 1),
    "ulong": (0, 2**64 - 1),
}
KEYS: typing.Final = ("bool", *INTEGERS, "string", "bytes", "uuid", "date", "timestamp")
SCALARS: typing.Final = (*KEYS, "float", "double", "duration", "decimal")

_YEAR_2: typing.Final = datetime.datetime(2, 1, 1)
_YEAR_9998: typing.Final = datetime.datetime(9998, 12, 31)

# Words that are something in Python, in the language or in the base classes, among plain ones.
_WORDS: typing.Final = (
    *("id", "name", "value", "class", "from", "list", "self", "args", "message", "async", "type", "int"),
    *(
        "query",
        "limit",
        "kind",
        "tags",
        "data",
        "print",
        "rpc",
        "typing",
        "None",
        "mro",
        "x",
        "y2",
        "reserved",
    ),
    *(
        "camelCase",
        "snake_case",
        "UPPER",
        "default_message",
        "service",
        "string",
        "timeout",
        "count",
        "handlers",
    ),
)
_DOCS: typing.Final = (
    "",
    "Says what it is.",
    "Two lines.\n\nAnd a third, with \"quotes\" and 'others'.",
    'A hard one: """ and \\n and \\',
    "Gruß: ünïcödé {{ braces }} {% and %} #",
    'ends in a quote"',
    "a backslash at the end \\",
)


@dataclasses.dataclass(frozen=True)
class Interface:
    """Texts of an interface and of the files that it includes, these by path."""

    text: str
    includes: dict[str, str]


def compile_interface(interface: Interface, name: str = "interface") -> Compilation:
    """Compiles an interface without touching the disk."""
    return compile_text(interface.text, name, interface.includes)


@dataclasses.dataclass
class _Type:
    """A type: its text, and what can be written as a value of it (None: nothing)."""

    text: str
    values: st.SearchStrategy[str] | None
    key: bool = False
    record: bool = False


@dataclasses.dataclass
class _Names:
    """What a file declares, for others to use; names as they see them."""

    types: list[_Type] = dataclasses.field(default_factory=list)
    exceptions: list[str] = dataclasses.field(default_factory=list)
    services: list[str] = dataclasses.field(default_factory=list)
    constants: list[tuple[str, str]] = dataclasses.field(default_factory=list)


def string_literal(text: str) -> str:
    """Writes a text as a string of the language."""
    return '"' + "".join(map(_character, text)) + '"'


def _character(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char.isalnum() or (char.isascii() and char.isprintable()):
        return char
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


def _byte(number: int) -> str:
    return chr(number) if 97 <= number < 123 else f"\\x{number:02x}"


def _floats(width: typing.Literal[32, 64]) -> st.SearchStrategy[str]:
    numbers = st.floats(allow_nan=False, allow_infinity=False, width=width)
    return st.one_of(numbers.map(repr), st.integers(-1000, 1000).map(str), st.just("-0.0"))


def _decimal_texts() -> st.SearchStrategy[str]:
    whole = st.integers(-(10**30), 10**30).map(str)
    fraction = st.integers(0, 10**9).map(str)
    return st.one_of(
        whole, st.builds("{}.{}".format, whole, fraction), st.sampled_from(["1e6144", "1.00", "-0.0"])
    )


def scalar_values(name: str) -> st.SearchStrategy[str]:
    """Gives texts of values of a scalar type."""
    if name in INTEGERS:
        low, high = INTEGERS[name]
        return st.one_of(st.integers(low, high).map(str), st.sampled_from([str(low), str(high), hex(high)]))
    quoted = '"{}"'.format
    return {
        "bool": st.sampled_from(["true", "false"]),
        "float": _floats(32),
        "double": _floats(64),
        "decimal": _decimal_texts(),
        "string": st.text(st.characters(exclude_categories=["Cs"]), max_size=8).map(string_literal),
        "bytes": st.binary(max_size=6).map(lambda data: quoted("".join(map(_byte, data)))),
        "uuid": st.uuids().map(str).map(quoted),
        "date": st.dates().map(str).map(quoted),
        "timestamp": st.builds(
            '"{}{}"'.format,
            st.datetimes(min_value=_YEAR_2, max_value=_YEAR_9998).map(lambda moment: moment.isoformat()),
            st.sampled_from(["Z", "+00:00", "-08:30", "+23:59"]),
        ),
        "duration": st.builds(
            "{}{}".format, st.integers(-(10**6), 10**6), st.sampled_from(["us", "ms", "s", "m", "h", "d"])
        ),
    }[name]


class _Writer:
    """Draws one file, declaration by declaration."""

    def __init__(self, draw: Draw, prefix: str, known: _Names) -> None:
        self.draw = draw
        self.prefix = prefix
        self.known = known
        self.own = _Names()
        self.records: list[str] = []
        self.lines: list[str] = []
        self.serial = 0

    def chance(self, of: int = 2) -> bool:
        return self.draw(st.integers(0, of - 1)) == 0

    def fresh(self, *words: str) -> str:
        """Gives a name that nothing else in this file has, nor anything near it."""
        self.serial += 1
        return f"{self.draw(st.sampled_from(words))}{self.prefix}{self.serial}"

    def doc(self, indent: str = "") -> str:
        text = self.draw(st.sampled_from(_DOCS)) if self.chance(3) else ""
        return "".join(f"{indent}/// {line}".rstrip(" ") + "\n" for line in text.split("\n")) if text else ""

    def annotations(self, *known: str) -> str:
        own = ['@acme.owner("x", 1, 2.5, true, [1, 2], {"a": 1s})', "@acme.team.plain", "@acme.list()"]
        drawn = (
            self.draw(st.lists(st.sampled_from([*known, *own]), max_size=2, unique=True))
            if self.chance(4)
            else []
        )
        return "".join(f"{text} " for text in drawn)

    def deprecated(self) -> str:
        return f"@deprecated({string_literal(self.draw(st.sampled_from(_DOCS)))})"

    # Types and values

    def key(self) -> _Type:
        keys = [found for found in (*self.own.types, *self.known.types) if found.key]
        if keys and self.chance(3):
            return self.draw(st.sampled_from(keys))
        return self.scalar(KEYS)

    def scalar(self, names: typing.Sequence[str] = SCALARS) -> _Type:
        name = self.draw(st.sampled_from(names))
        return _Type(name, scalar_values(name), key=name in KEYS)

    def type(self, depth: int = 2, records: typing.Sequence[str] = ()) -> _Type:
        """Gives a type; ``records`` are names that may stand in it besides what is declared."""
        kind = self.draw(st.integers(0, 9))
        if kind < 4 or depth == 0:
            return self.scalar()
        if kind < 6 and (self.own.types or self.known.types):
            return self.draw(st.sampled_from([*self.own.types, *self.known.types]))
        if kind == 6 and records:
            return _Type(self.draw(st.sampled_from(list(records))), None, record=True)
        if kind == 7:
            item = self.key()
            return _Type(
                f"set<{item.text}>", st.sampled_from(["[]"]) | _one(item, "[{}]"), record=item.record
            )
        if kind == 8:
            key, value = self.key(), self.type(depth - 1, self.records)
            both = _pairs(key, value)
            return _Type(f"map<{key.text}, {value.text}>", both, record=value.record)
        item = self.type(depth - 1, self.records)
        return _Type(f"list<{item.text}>", _list(item), record=item.record)

    def constant_of(self, text: str) -> st.SearchStrategy[str] | None:
        names = [name for name, kind in (*self.own.constants, *self.known.constants) if kind == text]
        return st.sampled_from(names) if names else None

    def value(self, found: _Type) -> str | None:
        if found.values is None:
            return None
        named = self.constant_of(found.text)
        return self.draw(named if named is not None and self.chance() else found.values)

    # Members

    def members(self, word: str, least: int, indent: str) -> list[str]:
        """Gives fields, parameters or union members, each on a line of its own."""
        names = self.draw(st.lists(st.sampled_from(_WORDS), min_size=least, max_size=4, unique_by=str.lower))
        tags = iter(self.draw(st.permutations(range(1, 12))))
        found: list[str] = []
        omissible = False
        for name in names:
            if self.chance(8):
                found.append(f"{indent}reserved {next(tags)}: {self.type().text}")
            head = f"{self.doc(indent)}{indent}{self.annotations(self.deprecated())}{next(tags)}: "
            optional = word != "member" and self.chance(4)
            of_type = self.type(records=self.records) if optional else self.type()
            text = f"{head}{of_type.text}{'?' if optional else ''} {name}"
            if word != "member" and not optional and (omissible or self.chance(3)):
                value = self.value(of_type)
                if value is None and omissible:
                    of_type = self.scalar()
                    text, value = f"{head}{of_type.text} {name}", self.value(of_type)
                if value is not None:
                    text += f" = {value}"
                    omissible = True
            found.append(text)
            omissible = omissible or optional
        return found

    def method(self, indent: str) -> str:
        name = self.fresh("find", "get", "close", "class_", "list", "print", "divide", "_internal", "serve")
        oneway = self.chance(6)
        optional = "?" if not oneway and self.chance(4) else ""
        of_type = self.type(records=self.records).text
        returns = "void" if oneway or (not optional and self.chance(4)) else of_type + optional
        params = self.members("parameter", 0, indent + "    ")
        raises: list[str] = []
        if not oneway and self.chance():
            names = [*self.own.exceptions, *self.known.exceptions]
            if names:
                raises = self.draw(st.lists(st.sampled_from(names), max_size=3, unique=True))
            if self.chance(3):
                implicit = self.fresh("Broken", "Nothing", "HTTPError")
                self.own.exceptions.append(implicit)
                raises.append(implicit)
        marks = self.annotations("@idempotent", "@timeout(2s)", "@timeout(1.5ms)", "@idempotent @timeout(1h)")
        marks = marks if marks.count("@timeout") + marks.count("@idempotent") < 2 else ""
        inside = "\n" + ",\n".join(params) + "\n" + indent if params else ""
        after = f" => {', '.join(raises)};" if raises else ""
        word = "oneway " if oneway else ""
        return f"{self.doc(indent)}{indent}{marks}{word}{returns} {name}({inside}){after}\n"

    # Declarations

    def const(self) -> None:
        kinds = [found for found in (*self.own.types, *self.known.types) if found.key]
        of_type = self.draw(st.sampled_from(kinds)) if kinds and self.chance() else self.scalar()
        if self.chance(4):
            of_type = _Type(f"list<{of_type.text}>", _list(of_type))
        name = self.fresh("MAX", "limit", "Pi")
        value = self.value(of_type)
        self.add(f"const {of_type.text} {name} = {value}", marks=self.annotations())
        self.own.constants.append((name, of_type.text))

    def typedef(self) -> None:
        of_type = self.type()
        name = self.fresh("Alias", "UserId")
        self.add(f"typedef {of_type.text} {name}", marks=self.annotations())
        self.own.types.append(dataclasses.replace(of_type, text=name))

    def enum(self) -> None:
        name = self.fresh("Kind", "Colour")
        words = [word for word in _WORDS if word != "reserved"]  # it begins a reserved number there
        members = self.draw(st.lists(st.sampled_from(words), min_size=1, max_size=4, unique_by=str.lower))
        numbers = self.draw(
            st.lists(st.integers(-(2**31), 2**31 - 1), min_size=len(members) + 1, max_size=8, unique=True)
        )
        lines = [
            f"{self.doc('    ')}    {self.annotations(self.deprecated())}{member} = {number}"
            for member, number in zip(members, numbers, strict=False)
        ]
        lines += [f"    reserved {number}" for number in numbers[len(members) :]]
        self.block(f"enum {name}", lines, self.annotations(self.deprecated()))
        self.own.types.append(
            _Type(name, st.sampled_from([f"{name}.{member}" for member in members]), key=True)
        )

    def record(self, name: str) -> None:
        union = self.chance(3)
        word, least = ("union", 1) if union else ("struct", 0)
        lines = self.members("member" if union else "field", least, "    ")
        self.block(f"{word} {name}", lines, self.annotations(self.deprecated()))
        self.own.types.append(_Type(name, None, record=True))

    def exception(self) -> None:
        name = self.fresh("Failure", "OutOfStock", "Busy")
        marks = self.annotations("@retryable", self.deprecated())
        if self.chance():
            self.add(f"exception {name}", marks)
        else:
            self.block(f"exception {name}", self.members("field", 0, "    "), marks)
        self.own.exceptions.append(name)
        if self.chance(3):
            self.own.types.append(_Type(name, None, record=True))

    def service(self) -> None:
        name = self.fresh("Directory", "Store")
        parents = [*self.own.services, *self.known.services]
        extends = f" extends {self.draw(st.sampled_from(parents))}" if parents and self.chance() else ""
        methods = [self.method("    ").rstrip("\n") for _ in range(self.draw(st.integers(0, 3)))]
        self.block(f"service {name}{extends}", methods, self.annotations(self.deprecated()))
        self.own.services.append(name)

    def block(self, head: str, lines: list[str], marks: str = "") -> None:
        between = self.draw(st.sampled_from(["\n", ";\n", "\n\n"]))
        self.add(head + " {\n" + "".join(line.rstrip(";") + between for line in lines) + "}", marks)

    def add(self, text: str, marks: str = "") -> None:
        self.lines.append(f"{self.doc()}{marks}{text}\n")

    def file(self, includes: typing.Iterable[str]) -> str:
        self.lines.extend(f'include "{path}"\n' for path in includes)
        self.records = [self.fresh("Person", "Shape", "Node") for _ in range(self.draw(st.integers(0, 3)))]
        waiting = list(self.records)
        steps = [self.const, self.typedef, self.enum, self.exception, self.service]
        for step in self.draw(st.lists(st.sampled_from([*steps, None, None]), max_size=8)):
            if step is not None:
                step()
            elif waiting:
                self.record(waiting.pop())
            else:
                self.lines.append(self.method(""))
        for name in waiting:
            self.record(name)
        return "\n".join(self.lines)

    def seen_as(self, alias: str) -> _Names:
        """Gives what this file declares as a file sees it that includes it."""
        names = self.own
        return _Names(
            [
                _Type(
                    f"{alias}.{found.text}",
                    None if found.values is None else found.values.map(_through(alias)),
                    found.key,
                    found.record,
                )
                for found in names.types
            ],
            [f"{alias}.{name}" for name in names.exceptions],
            [f"{alias}.{name}" for name in names.services],
            [
                (f"{alias}.{name}", kind if kind in SCALARS else f"{alias}.{kind}")
                for name, kind in names.constants
            ],
        )


def _through(alias: str) -> typing.Callable[[str], str]:
    """Only an enum's member is known to be right when it is seen from another file."""
    return lambda text: f"{alias}.{text}"


def _one(item: _Type, form: str) -> st.SearchStrategy[str]:
    return st.just("[]") if item.values is None else item.values.map(form.format)


def _list(item: _Type) -> st.SearchStrategy[str]:
    if item.values is None:
        return st.just("[]")
    return st.lists(item.values, max_size=3).map(lambda texts: f"[{', '.join(texts)}]")


def _pairs(key: _Type, value: _Type) -> st.SearchStrategy[str]:
    if key.values is None or value.values is None:
        return st.just("{}")
    return st.just("{}") | st.tuples(key.values, value.values).map(lambda pair: f"{{{pair[0]}: {pair[1]}}}")


@st.composite
def interfaces(draw: Draw, includes: bool = True) -> Interface:
    """Gives interfaces that compile.

    Args:
        includes: Some include another file, ``common.idl``.
    """
    texts: dict[str, str] = {}
    known = _Names()
    if includes and draw(st.booleans()):
        common = _Writer(draw, "C", _Names())
        texts["common.idl"] = common.file([])
        names = common.seen_as("common")
        # Values of typedefs are written in terms of the other file; enums' are the members.
        names.types = [
            dataclasses.replace(
                found, values=found.values if "Kind" in found.text or "Colour" in found.text else None
            )
            for found in names.types
        ]
        names.types = [found for found in names.types if found.values is not None or not found.key]
        known = names
    main = _Writer(draw, "", known)
    return Interface(main.file(texts), texts)
