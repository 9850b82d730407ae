"""Members: fields, parameters, union members and enum members, with their numbers."""

from __future__ import annotations

import typing

from rpcgen.compiler import annotate, canonical, literals, model, scalars, syntax
from rpcgen.compiler.resolve import UNKNOWN, Resolver, spoken
from rpcgen.compiler.scope import Scope, check_name
from rpcgen.compiler.source import Span

LAST_TAG: typing.Final = 255
_INT: typing.Final = scalars.RANGES["int"]

Fields: typing.TypeAlias = "tuple[tuple[model.Field, ...], tuple[model.Reserved, ...]]"


def read_fields(
    scope: Scope,
    resolver: Resolver,
    nodes: tuple[syntax.Field | syntax.Reserved, ...],
    owner: str,
    place: str,
) -> Fields:
    """Gives the fields and reserved tags of a list.

    Args:
        owner: Whose list, for messages: ``Person``, ``Directory.find``.
        place: ``field``, ``parameter``, or ``member`` (of a union).
    """
    fields: list[model.Field] = []
    reserved: list[model.Reserved] = []
    names: dict[str, Span] = {}
    optional = "a union member" if place == "member" else ""
    omissible: syntax.Field | None = None
    for node in nodes:
        if isinstance(node, syntax.Reserved):
            annotate.read(scope, node.annotations, "reserved tag")
            if node.type is not None:
                found = resolver.resolve(node.type)
                # On the wire an optional is its value, or nothing.
                found = found.item if isinstance(found, model.OptionalOf) else found
                reserved.append(model.Reserved(node.tag or 0, found, node.tag_span))
            continue
        name = node.name
        first = names.setdefault(name.text, name.span)
        if first is not name.span:
            _twice(scope, place, name, first, owner)
        check_name(scope, name)
        found = resolver.resolve(node.type, optional=optional)
        alias = resolver.alias(node.type) if resolver.aliased else ""
        default = None
        if node.default is not None:
            default = _default(scope, node.default, found, place)
        if node.default is not None or isinstance(node.type, syntax.OptionalType):
            omissible = omissible or node
        elif omissible is not None and place != "member":
            _out_of_order(scope, name, omissible)
        read = annotate.read(scope, node.annotations, place)
        fields.append(
            model.Field(
                node.tag or 0,
                name.text,
                found,
                default,
                node.doc,
                read.all,
                read.deprecated,
                name.span,
                alias,
            )
        )
    _check_tags(scope, nodes, owner)
    return tuple(fields), tuple(reserved)


def _default(scope: Scope, node: syntax.Value, found: model.Type, place: str) -> model.Default | None:
    if place == "member":
        scope.error("E306", node.span, what="a union member")
    elif isinstance(found, model.OptionalOf):
        scope.error("E306", node.span, "", help="leave the default out: absent is None", what=spoken(found))
    elif found is not UNKNOWN:
        value = literals.evaluate(scope, node, found)
        return None if value is None else model.Default(value, canonical.write_value(node))
    return None


def _twice(scope: Scope, what: str, name: syntax.Name, first: Span, owner: str) -> None:
    place = ((first, "first declared here"),)
    scope.error("E102", name.span, "declared again here", place, what=what, name=name.text, owner=owner)


def _out_of_order(scope: Scope, name: syntax.Name, before: syntax.Field) -> None:
    optional = isinstance(before.type, syntax.OptionalType)
    label = "this one is optional" if optional else "this one has a default"
    help = f"give {name.text} a default, make it optional, or move it before {before.name.text}"
    scope.error(
        "E112", name.span, "", ((before.name.span, label),), help, name=name.text, other=before.name.text
    )


def _check_tags(scope: Scope, nodes: tuple[syntax.Field | syntax.Reserved, ...], owner: str) -> None:
    used: dict[int, Span] = {}
    repeated: list[tuple[int, Span]] = []
    for node in nodes:
        tag = node.tag
        if tag is None:
            continue
        if not 1 <= tag <= LAST_TAG:
            scope.error(
                "E104", node.tag_span, "", help=f"tags are 1 to {LAST_TAG}", tag=_short(tag, node.tag_span)
            )
        elif used.setdefault(tag, node.tag_span) is not node.tag_span:
            repeated.append((tag, node.tag_span))
    for tag, span in repeated:
        free = max(used) + 1
        if free > LAST_TAG:
            free = next((number for number in range(1, LAST_TAG + 1) if number not in used), 0)
        place = ((used[tag], "first used here"),)
        help = f"the next free tag is {free}" if free else ""
        scope.error("E103", span, "used again here", place, help, tag=tag, owner=owner)
        if free:
            used[free] = span


def _short(number: int, span: Span) -> str:
    return str(number) if abs(number) < 10**20 else f"{span.text[:20]}..."


def read_enum(scope: Scope, node: syntax.Enum) -> model.Enum:
    """Gives an enum, and leaves its members in the scope."""
    owner = node.name.text
    members: dict[str, model.EnumMember] = {}
    reserved: list[int] = []
    for part in node.members:
        if isinstance(part, syntax.Reserved):
            annotate.read(scope, part.annotations, "reserved number")
            reserved.extend(() if part.tag is None else (part.tag,))
            continue
        name = part.name
        check_name(scope, name)
        read = annotate.read(scope, part.annotations, "enum member")
        member = model.EnumMember(name.text, part.number or 0, part.doc, read.all, read.deprecated, name.span)
        first = members.setdefault(name.text, member)
        if first is not member:
            _twice(scope, "member", name, first.span, owner)
    if not members and scope.file.syntax.complete:
        scope.error("E109", node.name.span, what="enum", name=owner)
    _check_numbers(scope, node)
    scope.enums[owner] = members
    read = annotate.read(scope, node.annotations, "enum")
    return model.Enum(
        owner, tuple(members.values()), tuple(reserved), node.doc, read.all, read.deprecated, node.name.span
    )


def _check_numbers(scope: Scope, node: syntax.Enum) -> None:
    used: dict[int, Span] = {}
    repeated: list[tuple[int, Span]] = []
    for part in node.members:
        number, span = (
            (part.tag, part.tag_span)
            if isinstance(part, syntax.Reserved)
            else (part.number, part.number_span)
        )
        if number is None:
            continue
        if not _INT[0] <= number <= _INT[1]:
            scope.error(
                "E106", span, "", help=f"enum numbers are {_INT[0]} to {_INT[1]}", number=_short(number, span)
            )
        elif used.setdefault(number, span) is not span:
            repeated.append((number, span))
    free = max(used, default=0)
    for number, span in repeated:
        free += 1
        place = ((used[number], "first used here"),)
        help = f"the next free number is {free}" if free <= _INT[1] else ""
        scope.error("E105", span, "used again here", place, help, number=number, owner=node.name.text)
