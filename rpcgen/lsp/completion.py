"""What may be written at a place: words of the language, names, tags, paths.

The grammar says what fits (``cursor``), the compiler's scopes which names there are; how useful a
proposal is decides its place in the list.
"""

from __future__ import annotations

import os
import typing

from rpcgen.compiler import model, syntax, tables
from rpcgen.compiler.annotate import PLACES
from rpcgen.compiler.expectation import next_tag
from rpcgen.compiler.members import LAST_TAG
from rpcgen.compiler.resolve import Resolver
from rpcgen.compiler.scalars import RANGES
from rpcgen.compiler.scope import TYPES, Scope
from rpcgen.compiler.source import Source
from rpcgen.lsp import mentions, words
from rpcgen.lsp.cursor import Cursor, read
from rpcgen.lsp.workspace import Analysis

Kind: typing.TypeAlias = typing.Literal[
    "keyword", "type", "constant", "enum member", "exception", "service", "include", "file", "folder", "tag",
    "annotation",
]  # fmt: skip


_ANNOTATED: typing.Final[dict[str, list[str]]] = {
    unit: [name for name, places in PLACES.items() if not places.isdisjoint(at)]
    for unit, at in {
        "file": frozenset().union(*PLACES.values()),
        "methods": {"method"},
        "fields": {"field", "member"},
        "enum": {"enum member"},
        "params": {"parameter"},
    }.items()
}
"""What can stand at the members of a list."""

_NUMBERS: typing.Final = frozenset({*RANGES, "float", "double", "decimal"})


class Proposal(typing.NamedTuple):
    """What may be written in place of the word at the cursor.

    Args:
        detail: What it is, on one line.
        symbol: What it names, for those who ask for more.
    """

    text: str
    kind: Kind
    detail: str = ""
    symbol: mentions.Symbol | None = None


class Completion(typing.NamedTuple):
    """What may stand from ``start`` to the cursor, the likeliest first."""

    start: int
    proposals: list[Proposal]


def complete(
    found: Analysis, offset: int, folders: typing.Iterable[str] = (), source: Source | None = None
) -> Completion | None:
    """Gives what may be written at an offset; None where nothing can be proposed.

    Args:
        folders: Where includes are looked for, besides the file's own folder.
        source: The text, if that is not the one that was analysed, but one much like it.
    """
    cursor = read(source or found.source, offset, found.file.syntax)
    if cursor is None:
        return None
    if cursor.path is not None:
        return _paths(cursor.path, offset, [os.path.dirname(found.file.path), *folders])
    proposals = list(_Choice(found, cursor).all())
    return Completion(cursor.start, proposals) if proposals else None


def _paths(path: str, offset: int, folders: list[str]) -> Completion:
    """Gives the interface files and folders in the folder that a path has come to."""
    inside, _, begun = path.rpartition("/")
    found: dict[str, Proposal] = {}
    for folder in folders:
        try:
            entries = sorted(os.scandir(os.path.join(folder, inside)), key=lambda entry: entry.name)
        except (OSError, ValueError):
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                found.setdefault(entry.name, Proposal(f"{entry.name}/", "folder"))
            elif entry.name.endswith(".idl"):
                found.setdefault(entry.name, Proposal(entry.name, "file", folder))
    return Completion(offset - len(begun), list(found.values()))


class _Choice:
    def __init__(self, found: Analysis, cursor: Cursor) -> None:
        self._found = found
        self._cursor = cursor
        self._scope = mentions.silent(found.scope)
        self._reals = {id(file): os.path.realpath(file.path) for file in found.files}

    def all(self) -> typing.Iterator[Proposal]:
        cursor = self._cursor
        top = cursor.symbol()
        if top == "DOT":
            yield from self._behind_dot()
            return
        if top == "AT":
            for name in sorted(_ANNOTATED[cursor.frame.unit]):
                yield Proposal(name, "annotation", words.ANNOTATIONS.get(name, ""))
            return
        if top == "EXTENDS":
            yield from self._names((syntax.Service,), "service")
            return
        if top == "ARROW" or (top == "COMMA" and self._in_raises(1)):
            yield from self._names((syntax.ExceptionType,), "exception")
            if top == "ARROW":
                return
        if cursor.expects("INT") and cursor.direct:
            tag = self._tag()
            if tag is not None:
                yield tag
        if cursor.expects("STRING") and top != "INCLUDE":
            yield from self._values()
        elif cursor.expects("SCALAR"):
            yield from self._types()
        if cursor.expects("ARROW"):
            yield Proposal("=> ", "keyword", "the exceptions that it raises")
        yield from self._keywords()

    def _keywords(self) -> typing.Iterator[Proposal]:
        for word, kind in tables.load().words.items():
            if kind in ("TRUE", "FALSE"):
                continue
            if word in words.KEYWORDS and self._cursor.expects(kind):
                yield Proposal(word, "keyword", words.KEYWORDS[word])

    # Names

    def _names(
        self, kinds: tuple[type, ...], kind: Kind, inside: Scope | None = None
    ) -> typing.Iterator[Proposal]:
        """Gives the declarations of some kinds, and the includes that have such."""
        scope = inside or self._scope
        real = self._reals[id(scope.file)]
        for name, node in scope.declared.items():
            if isinstance(node, kinds):
                yield Proposal(name, kind, _detail(node), mentions.Symbol(real, (name,)))
        if inside is not None:
            return
        for alias, other in self._scope.includes.items():
            if other is not None and any(isinstance(node, kinds) for node in other.declared.values()):
                symbol = mentions.Symbol(self._reals[id(other.file)])
                yield Proposal(alias, "include", f"names of {os.path.basename(other.file.path)}", symbol)

    def _types(self) -> typing.Iterator[Proposal]:
        result = self._cursor.direct and self._cursor.frame.unit in ("file", "methods")
        declared = self._cursor.symbol() in ("CONST", "TYPEDEF")
        for name, meaning in words.TYPES.items():
            if name != "void" or (result and not declared):
                yield Proposal(name, "type", meaning)
        yield from self._names(TYPES, "type")

    def _behind_dot(self) -> typing.Iterator[Proposal]:
        cursor = self._cursor
        if cursor.symbol(2) == "NAME":
            if self._in_raises(3):
                chosen: tuple[tuple[type, ...], Kind] = (syntax.ExceptionType,), "exception"
            elif cursor.symbol(3) == "EXTENDS":
                chosen = (syntax.Service,), "service"
            else:
                chosen = TYPES, "type"
            other = self._scope.includes.get(cursor.text(2))
            if other is not None:
                yield from self._names(*chosen, other)
            return
        # A value: `common.`, `Kind.` or `common.Kind.`; or an annotation of somebody's own.
        back = 2 if cursor.symbol(2) == "word" else 3
        if cursor.symbol(back) != "word" or cursor.symbol(back + 1) == "AT":
            return
        names = [cursor.value(back), *(cursor.value(2) if back == 3 else ())]
        parts = [name.text for name in names if isinstance(name, syntax.Name)]
        if parts[:1] and parts[0] in self._scope.includes:
            other = self._scope.includes[parts.pop(0)]
            if other is not None and not parts:
                yield from self._names((syntax.Const,), "constant", other)
                yield from self._names((syntax.Enum,), "type", other)
            elif other is not None and len(parts) == 1:
                yield from self._members(other, parts[0])
        elif len(parts) == 1:
            yield from self._members(self._scope, parts[0])

    def _members(self, home: Scope, name: str, prefix: str = "") -> typing.Iterator[Proposal]:
        """Gives the members of an enum, or of a typedef that stands for one."""
        node = home.declared.get(name)
        if isinstance(node, syntax.Typedef):
            kind = home.typedefs.get(name, (None, 0))[0]
            if not isinstance(kind, model.Named):
                return
            home = home.follow(kind.file)
            node = home.declared.get(kind.name)
        if isinstance(node, syntax.Enum):
            for member in node.members:
                if isinstance(member, syntax.EnumMember):
                    way = (node.name.text, member.name.text)
                    symbol = mentions.Symbol(self._reals[id(home.file)], way)
                    yield Proposal(prefix + member.name.text, "enum member", member.span.text, symbol)

    # Where it is

    def _in_raises(self, back: int) -> bool:
        """Tells whether the symbol so far down the stack, and those below, are of the list after ``=>``."""
        while self._cursor.symbol(back) in ("COMMA", "reference") or self._cursor.symbol(back).startswith(
            "__raises"
        ):
            back += 1
        return self._cursor.symbol(back) == "ARROW"

    # Values and tags

    def _values(self) -> typing.Iterator[Proposal]:
        kind = self._wanted()
        if kind in (None, model.Scalar("bool")):
            yield Proposal("true", "keyword")
            yield Proposal("false", "keyword")
        if isinstance(kind, model.Named) and kind.kind == "enum" and kind.file.count(".") == 0:
            file = f"{kind.file}." if kind.file else ""
            home = self._scope.follow(kind.file)
            yield from self._members(home, kind.name, f"{file}{kind.name}.")
        for name, (of_type, _) in self._scope.consts.items():
            if kind is None or _fits(of_type, kind):
                symbol = mentions.Symbol(self._found.real, (name,))
                yield Proposal(name, "constant", model.idl(of_type), symbol)
        for alias, other in self._scope.includes.items():
            if other is not None and any(
                isinstance(node, (syntax.Const, syntax.Enum)) for node in other.declared.values()
            ):
                yield Proposal(alias, "include", f"names of {os.path.basename(other.file.path)}")
        if kind is None:
            yield from self._names((syntax.Enum,), "type", self._scope)

    def _wanted(self) -> model.Type | None:
        """Gives the type of the value that is being written, if it can be told."""
        cursor = self._cursor
        depth = 0
        for back in range(1, len(cursor.walk.states)):
            symbol = cursor.symbol(back)
            depth += symbol in ("LSQB", "LBRACE")
            if symbol == "EQUAL":
                node = cursor.value(back + 2)
                if type(node) is int or not hasattr(node, "span"):
                    return None
                kind = Resolver(self._scope).resolve(node)
                for _ in range(depth):
                    if isinstance(kind, (model.ListOf, model.SetOf)):
                        kind = kind.item
                    elif isinstance(kind, model.MapOf):
                        kind = kind.value if cursor.symbol() == "COLON" else kind.key
                    else:
                        return None
                return kind
        return None

    def _tag(self) -> Proposal | None:
        """Gives the next free tag where a field begins, the next free number behind a member's ``=``."""
        cursor = self._cursor
        unit, top = cursor.frame.unit, cursor.symbol()
        free = self._used()
        if unit == "enum" and top == "EQUAL":
            return Proposal(str(free), "tag", "the next free number")
        if unit not in ("fields", "params") or top in ("EQUAL", "RESERVED") or free > LAST_TAG:
            return None
        return Proposal(f"{free}: ", "tag", "the next free tag")

    def _used(self) -> int:
        """Gives the number after all that are used in the list around the place, before and behind it."""
        cursor = self._cursor
        free = next_tag(cursor.walk, cursor.frame)
        # The text may have grown, before or at the place, since the tree was made.
        shift = len(cursor.source.text) - len(self._found.source.text)
        lists: list[typing.Any] = []
        for item in self._found.file.syntax.items:
            lists.extend(getattr(item, "methods", None) or ())
            lists.append(item)
        for node in lists:
            span = getattr(node, "params_span", node.span)
            members = getattr(node, "params", None) or getattr(node, "members", None)
            if members and span.start < cursor.start <= span.end + shift:
                numbers = [one.number if isinstance(one, syntax.EnumMember) else one.tag for one in members]
                return max([free, *(number + 1 for number in numbers if number is not None)])
        return free


def _detail(node: typing.Any) -> str:
    first: str = node.doc.partition("\n")[0]
    return first


def _fits(had: model.Type, wanted: model.Type) -> bool:
    """Tells whether a constant of one type could be a value of another: numbers go into numbers."""
    if isinstance(had, model.Scalar) and isinstance(wanted, model.Scalar):
        return had.name == wanted.name or {had.name, wanted.name} <= _NUMBERS
    return had == wanted
