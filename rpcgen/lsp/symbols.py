"""What a file declares, as a tree: the outline that editors show."""

from __future__ import annotations

import typing

from rpcgen.compiler import canonical, syntax
from rpcgen.compiler.scope import KINDS
from rpcgen.compiler.source import Span

_KINDS: typing.Final[dict[type, str]] = {
    **KINDS,
    syntax.Method: "method",
    syntax.Field: "field",
    syntax.EnumMember: "enum member",
}


class Entry(typing.NamedTuple):
    """Something declared: its name, what is said beside it, all of it, and its name's place."""

    name: str
    detail: str
    kind: str
    span: Span
    name_span: Span
    inside: list[Entry]


def outline(file: syntax.File) -> list[Entry]:
    """Gives what a file declares, in order."""
    return [_entry(item) for item in file.items if not isinstance(item, syntax.Include)]


def _entry(node: typing.Any) -> Entry:
    inside: typing.Iterable[typing.Any] = ()
    detail = ""
    match node:
        case syntax.Method():
            detail = canonical.signature(node)
        case syntax.Const() | syntax.Typedef() | syntax.Field():
            detail = canonical.write_type(node.type)
        case syntax.EnumMember():
            detail = node.number_span.text
        case syntax.Service():
            inside = node.methods
        case _:
            inside = node.members or ()
    name: syntax.Name = node.name
    entries = [_entry(one) for one in inside if not isinstance(one, syntax.Reserved)]
    return Entry(name.text, detail, _KINDS[type(node)], node.span, name.span, entries)
