"""Collect: what the names of a file stand for, in it and in its includes.

Later stages look names up here and leave their results here, so that a file that includes
this one finds them.
"""

from __future__ import annotations

import dataclasses
import typing

from rpcgen.compiler import model, syntax
from rpcgen.compiler.diagnostics import Report, diagnose
from rpcgen.compiler.loader import File
from rpcgen.compiler.source import Span
from rpcgen.compiler.spelling import Speller, Typos

Declared: typing.TypeAlias = (
    "syntax.Const | syntax.Typedef | syntax.Enum | syntax.Struct | syntax.Union | syntax.ExceptionType"
    " | syntax.Service"
)
Place: typing.TypeAlias = "tuple[tuple[Span, str], ...]"

KINDS: typing.Final[dict[type, str]] = {
    syntax.Const: "constant",
    syntax.Typedef: "typedef",
    syntax.Enum: "enum",
    syntax.Struct: "struct",
    syntax.Union: "union",
    syntax.ExceptionType: "exception",
    syntax.Service: "service",
}
TYPES: typing.Final = (syntax.Typedef, syntax.Enum, syntax.Struct, syntax.Union, syntax.ExceptionType)
LONGEST_NAME: typing.Final = 255
LONGEST_SHOWN: typing.Final = 200
SCALARS: typing.Final[dict[str, model.Scalar]] = {
    name: model.Scalar(name)
    for name in [
        *("bool", "byte", "short", "int", "long", "ubyte", "ushort", "uint", "ulong", "float", "double"),
        *("string", "bytes", "timestamp", "date", "duration", "uuid", "decimal", "void"),
    ]
}
_TYPE_WORDS: typing.Final = frozenset({*SCALARS, "list", "set", "map"})
_FOREIGN: typing.Final[dict[str, str]] = {
    foreign: ours
    for ours, others in {
        "string": ("str", "text", "String"),
        "bytes": ("binary", "blob", "bytearray"),
        "bool": ("boolean", "Boolean"),
        "byte": ("int8", "i8"),
        "short": ("int16", "i16"),
        "int": ("int32", "i32", "integer"),
        "long": ("int64", "i64"),
        "ubyte": ("uint8", "u8"),
        "ushort": ("uint16", "u16"),
        "uint": ("uint32", "u32"),
        "ulong": ("uint64", "u64"),
        "float": ("float32", "f32"),
        "double": ("float64", "f64"),
        "timestamp": ("datetime", "time"),
        "list<T>": ("array", "vector", "sequence"),
        "map<K, V>": ("dict", "hash"),
    }.items()
    for foreign in others
}


def a(word: str) -> str:
    """Puts the article before a word."""
    return f"an {word}" if word[0] in "aeio" else f"a {word}"


@dataclasses.dataclass(slots=True, eq=False)
class Scope:
    """What one file declares and includes.

    Args:
        includes: By alias; None for a file that could not be had, or that closes a circle.
        declared: By name, the first of each; implicit exceptions too.
        implicit: Names of exceptions that their use after ``=>`` declares, in order.
        methods: Of the file's own service.
        typedefs: What each typedef stands for, with the levels of containers in it.
        enums, consts, services: Results of later stages; a constant at fault is missing.
        lines: How many services each service that extends another is made of.
    """

    file: File
    report: Report
    speller: Speller
    includes: dict[str, Scope | None] = dataclasses.field(default_factory=dict)
    declared: dict[str, Declared] = dataclasses.field(default_factory=dict)
    implicit: dict[str, None] = dataclasses.field(default_factory=dict)
    methods: list[syntax.Method] = dataclasses.field(default_factory=list)
    typedefs: dict[str, tuple[model.Type, int]] = dataclasses.field(default_factory=dict)
    enums: dict[str, dict[str, model.EnumMember]] = dataclasses.field(default_factory=dict)
    consts: dict[str, tuple[model.Type, model.Literal]] = dataclasses.field(default_factory=dict)
    services: dict[str, model.Service] = dataclasses.field(default_factory=dict)
    lines: dict[str, int] = dataclasses.field(default_factory=dict)
    _ways: dict[int, str] | None = None

    def error(
        self,
        code: str,
        span: Span,
        label: str = "",
        secondary: Place = (),
        help: str = "",
        **values: str | int,
    ) -> None:
        """Reports a finding; ``values`` fill in its message, shortened where a name fills the screen."""
        for key, value in values.items():
            if isinstance(value, str) and len(value) > LONGEST_SHOWN:
                values[key] = f"{value[:LONGEST_SHOWN]}..."
        self.report.add(diagnose(code, span, label, secondary=secondary, help=help, **values))  # type: ignore[arg-type]

    def of(self, name: syntax.Name | None) -> Scope | None:
        """Gives the scope that a qualifier names, this one for none; None if there is none (reported)."""
        if name is None:
            return self
        if name.text not in self.includes:
            if name.text not in self.file.syntax.lost:
                help = did_you_mean(self.speller.nearest(name.text, self.includes))
                self.error("E203", name.span, name=name.text, help=help)
            return None
        return self.includes[name.text]

    def find(
        self, qualifier: syntax.Name | None, name: syntax.Name, what: str, kinds: tuple[type, ...]
    ) -> tuple[Scope, Declared] | None:
        """Looks a declaration up, whatever its kind; None if there is none (reported).

        Args:
            what: What it should be, for the message.
            kinds: The kinds among which a misspelt name is looked for.
        """
        scope = self.of(qualifier)
        if scope is None:
            return None
        found = scope.declared.get(name.text)
        if found is None:
            if name.text not in scope.file.syntax.lost:
                help = did_you_mean(scope.nearest(name.text, kinds, qualifier))
                self.error("E201", name.span, what=what, name=written(qualifier, name), help=help)
            return None
        return scope, found

    def nearest(self, name: str, kinds: tuple[type, ...], qualifier: syntax.Name | None = None) -> str | None:
        """Gives what is most like a name among some kinds of declarations, as one may write it."""
        if qualifier is None:
            if kinds is TYPES and name in _FOREIGN:
                return _FOREIGN[name]
            for alias, scope in self.includes.items():
                if scope is not None and isinstance(scope.declared.get(name), kinds):
                    return f"{alias}.{name}"
        if not self.speller.afford(len(self.declared)):
            return None
        names = [other for other, node in self.declared.items() if isinstance(node, kinds)]
        if qualifier is None and kinds is TYPES:
            names.extend(SCALARS)
        found = self.speller.nearest(name, names)
        return f"{qualifier.text}.{found}" if found and qualifier else found

    # Types of other files, as seen from this one

    def way_to(self, target: Scope) -> str:
        """Gives the alias by which another file is reached: ``common``, or ``common.base``."""
        for alias, scope in self.includes.items():
            if scope is target:
                return alias
        if self._ways is None:
            self._ways = {}
            level = [(alias, scope) for alias, scope in self.includes.items() if scope is not None]
            for way, scope in level:  # grows while it is walked: nearest first
                if id(scope) not in self._ways:
                    self._ways[id(scope)] = way
                    level.extend(
                        (f"{way}.{alias}", to) for alias, to in scope.includes.items() if to is not None
                    )
        return self._ways[id(target)]

    def follow(self, way: str) -> Scope:
        """Gives the scope that ``way_to`` names; this one for an empty way."""
        scope = self
        for alias in way.split(".") if way else ():
            target = scope.includes[alias]
            assert target is not None
            scope = target
        return scope

    def adopt_name(self, file: str, origin: Scope) -> str:
        """Gives what ``file`` of a name in another file is in this one."""
        target = origin.follow(file)
        return "" if target is self else self.way_to(target)

    def adopt(self, found: model.Type, origin: Scope) -> model.Type:
        """Gives a type of another file as this file sees it."""
        match found:
            case model.Named(kind, name, file):
                return model.Named(kind, name, self.adopt_name(file, origin))
            case model.ListOf(item):
                return model.ListOf(self.adopt(item, origin))
            case model.SetOf(item):
                return model.SetOf(self.adopt(item, origin))
            case model.MapOf(key, value):
                return model.MapOf(self.adopt(key, origin), self.adopt(value, origin))
            case model.OptionalOf(item):
                return model.OptionalOf(self.adopt(item, origin))
        return found

    def adopt_value(self, value: model.Literal, origin: Scope) -> model.Literal:
        """Gives a constant's value as this file sees it."""
        if isinstance(value, model.EnumValue):
            named = model.Named("enum", value.type.name, self.adopt_name(value.type.file, origin))
            return model.EnumValue(named, value.member, value.number)
        if isinstance(value, tuple):
            return tuple(self.adopt_value(item, origin) for item in value)
        return value


def written(qualifier: syntax.Name | None, name: syntax.Name) -> str:
    """Gives a reference as it is written."""
    return f"{qualifier.text}.{name.text}" if qualifier else name.text


def did_you_mean(name: str | None) -> str:
    """Gives a help line, or none."""
    return f"did you mean {name}" if name else ""


def collect(file: File, known: dict[int, Scope], report: Report, speller: Speller) -> Scope:
    """Makes the scope of a file whose includes are in ``known`` by their identity."""
    scope = Scope(file, report, speller)
    includes: dict[str, Span] = {}
    for link in file.links:
        scope.includes[link.alias] = known.get(id(link.target))
        includes[link.alias] = link.written.path_span
    methods: dict[str, Span] = {}
    for item in file.syntax.items:
        if isinstance(item, syntax.Include):
            continue
        check_name(scope, item.name)
        if isinstance(item, syntax.Method):
            scope.methods.append(item)
            _declare_once(scope, item.name, methods)
            continue
        _check_words(scope, item)
        first = scope.declared.setdefault(item.name.text, item)
        if first is not item:
            _twice(scope, item.name, first.name.span)
        elif item.name.text in includes:
            _named_as_include(scope, item.name, includes)
    _declare_implicit(scope, includes)
    return scope


def check_name(scope: Scope, name: syntax.Name) -> None:
    """Refuses names that Python keeps to itself or changes."""
    if name.text.startswith("__"):
        help = "names do not begin with two underscores"
        scope.error("E107", name.span, name=name.text, help=help)
    if len(name.text) > LONGEST_NAME:
        too_long(scope, name.text, name.span)


def too_long(scope: Scope, name: str, span: Span) -> None:
    """Reports a name that a message cannot carry."""
    scope.error("E114", span, name=f"{name[:20]}...", limit=LONGEST_NAME)


def _check_words(scope: Scope, item: Declared) -> None:
    name = item.name
    if isinstance(item, syntax.Service):
        if name.text == "rpc":
            scope.error("E108", name.span, help="every server answers rpc.describe and rpc.health itself")
    elif isinstance(item, TYPES) and name.text in _TYPE_WORDS:
        scope.error("E113", name.span, name=name.text)


def _declare_once(scope: Scope, name: syntax.Name, seen: dict[str, Span]) -> None:
    first = seen.setdefault(name.text, name.span)
    if first is not name.span:
        _twice(scope, name, first)


def _twice(scope: Scope, name: syntax.Name, first: Span) -> None:
    scope.error("E101", name.span, "declared again here", ((first, "first declared here"),), name=name.text)


def _named_as_include(scope: Scope, name: syntax.Name, includes: dict[str, Span]) -> None:
    scope.error("E110", name.span, "declared here", ((includes[name.text], "included here"),), name=name.text)


def _declare_implicit(scope: Scope, includes: dict[str, Span]) -> None:
    """Declares what stands after ``=>`` and nowhere else."""
    items = scope.file.syntax.items
    used: dict[str, syntax.Reference] = {}
    for item in items:
        methods = (
            (item,)
            if isinstance(item, syntax.Method)
            else item.methods
            if isinstance(item, syntax.Service)
            else ()
        )
        for method in methods:
            for reference in method.raises:
                if reference.qualifier is None and reference.name.text not in scope.declared:
                    used.setdefault(reference.name.text, reference)
    if not used:
        return
    typos = Typos(name for name, node in scope.declared.items() if isinstance(node, syntax.ExceptionType))
    for text, reference in used.items():
        name = reference.name
        check_name(scope, name)
        meant = typos.meant(text) if text not in scope.file.syntax.lost else None
        if text in includes:
            _named_as_include(scope, name, includes)
        elif meant:
            place = ((scope.declared[meant].name.span, f"{meant} is declared here"),)
            help = f"did you mean {meant}; if not, declare it: exception {text}"
            scope.error("E405", name.span, "", place, help, name=text, other=meant)
        scope.declared[text] = syntax.ExceptionType(name, None, "", (), reference.span)
        scope.implicit[text] = None
