"""Values: what is written after ``=``, as a value of its type.

A value is converted, checked and rounded once, here; what follows needs no knowledge of types.
``None`` stands for a value at fault, which is reported: no type that takes a value has it.
"""

from __future__ import annotations

import dataclasses
import typing

from rpcgen.compiler import canonical, model, scalars, syntax
from rpcgen.compiler.resolve import UNKNOWN, spoken
from rpcgen.compiler.scalars import RANGES
from rpcgen.compiler.scope import KINDS, SCALARS, Scope, a, did_you_mean
from rpcgen.compiler.source import Span

_FAULTY = (UNKNOWN, 0)
_ROUNDED = SCALARS["float"]


@dataclasses.dataclass(frozen=True, slots=True)
class Given:
    """A single value before it is fitted to a type: ``type`` is the one it has by itself."""

    type: model.Type
    value: model.Literal
    span: Span


def evaluate(scope: Scope, node: syntax.Value, wanted: model.Type) -> model.Literal:
    """Gives a value as one of the wanted type; None where it is at fault (reported)."""
    if wanted is UNKNOWN or isinstance(node, syntax.Broken):
        return None
    match wanted:
        case model.Named(kind) if kind != "enum":
            scope.error("E306", node.span, what=spoken(wanted))
            return None
        case model.ListOf(item) if isinstance(node, syntax.ListValue):
            return _whole(evaluate(scope, part, item) for part in node.items)
        case model.SetOf(item) if isinstance(node, syntax.ListValue):
            return _distinct(scope, [(part, evaluate(scope, part, item)) for part in node.items], "the set")
        case model.MapOf(key, value) if isinstance(node, syntax.MapValue):
            keys = _distinct(
                scope, [(part, evaluate(scope, part, key)) for part, _ in node.entries], "the map"
            )
            values = _whole(evaluate(scope, part, value) for _, part in node.entries)
            if keys is None or values is None:
                return None
            return tuple(zip(keys, values, strict=True))
    if isinstance(node, (syntax.ListValue, syntax.MapValue)):
        is_set = (
            isinstance(node, syntax.MapValue)
            and not node.entries
            and isinstance(wanted, (model.ListOf, model.SetOf))
        )
        what = "a list" if isinstance(node, syntax.ListValue) else "a map"
        scalars.mismatch(scope, what, wanted, node.span, "write []" if is_set else "")
        return None
    if isinstance(node, syntax.NameValue):
        given = constant(scope, node, wanted)
        return None if given is None else _fit(scope, given, wanted, canonical.write_value(node))
    if isinstance(wanted, model.Scalar):
        return scalars.convert(scope, node, wanted)
    scalars.mismatch(scope, scalars.what_is(node), wanted, node.span, scalars.hint(node, wanted))
    return None


def plain(scope: Scope, node: syntax.Value) -> model.Literal:
    """Gives a value that no type waits for: an annotation's argument."""
    match node:
        case syntax.ListValue(items, _):
            return _whole(plain(scope, item) for item in items)
        case syntax.MapValue(entries, _):
            keys = _distinct(scope, [(key, plain(scope, key)) for key, _ in entries], "the map")
            values = _whole(plain(scope, value) for _, value in entries)
            return None if keys is None or values is None else tuple(zip(keys, values, strict=True))
        case syntax.NameValue():
            given = constant(scope, node)
            return given.value if given else None
        case syntax.DurationValue():
            return scalars.convert(scope, node, SCALARS["duration"])
        case syntax.FloatValue():
            return scalars.convert(scope, node, SCALARS["double"])
        case syntax.StringValue():
            return scalars.convert(scope, node, SCALARS["string"])
        case syntax.IntValue(value, _) | syntax.BoolValue(value, _):
            return value
    return None


def _whole(values: typing.Iterable[model.Literal]) -> tuple[model.Literal, ...] | None:
    """Gives all values, or None if one is at fault; every one is evaluated first."""
    found = tuple(values)
    return None if None in found else found


def _distinct(
    scope: Scope, pairs: list[tuple[syntax.Value, model.Literal]], owner: str
) -> tuple[model.Literal, ...] | None:
    first: dict[tuple[type, object], Span] = {}
    for node, value in pairs:
        if value is None:
            continue
        seen = first.setdefault((type(value), value), node.span)
        if seen is not node.span:
            what = canonical.write_value(node)
            scope.error("E307", node.span, "again here", ((seen, "first here"),), what=what, owner=owner)
    return _whole(value for _, value in pairs)


def constant(scope: Scope, node: syntax.NameValue, wanted: model.Type | None = None) -> Given | None:
    """Looks up ``MAX``, ``common.MAX``, ``Kind.HOME`` or ``common.Kind.HOME``; None if there is none (reported)."""
    qualifier, parts = divided(scope, node)
    if qualifier is not None and len(node.parts) == 2 and qualifier.text not in scope.includes:
        _no_owner(scope, qualifier)
        return None
    home = scope.of(qualifier)
    if home is None:
        return None
    name = parts[0]
    declared = home.declared.get(name.text)
    if declared is None:
        if name.text not in home.file.syntax.lost:
            _no_constant(scope, home, node, name, wanted)
        return None
    if isinstance(declared, syntax.Const) and len(parts) == 1:
        if name.text not in home.consts:
            return None
        of_type, value = home.consts[name.text]
        if home is scope:
            return Given(of_type, value, node.span)
        return Given(scope.adopt(of_type, home), scope.adopt_value(value, home), node.span)
    enum = enum_of(home, declared, name.text)
    if enum is not None and len(parts) == 2:
        return _member(scope, home, enum, parts[1], node.span)
    if isinstance(declared, syntax.Typedef) and home.typedefs.get(name.text, _FAULTY) == _FAULTY:
        return None
    place = ((declared.name.span, "declared here"),)
    kind = "an enum" if len(parts) == 2 else "a constant"
    scope.error("E305", name.span, "", place, name=name.text, what=a(KINDS[type(declared)]), wanted=kind)
    return None


def divided(scope: Scope, node: syntax.NameValue) -> tuple[syntax.Name | None, tuple[syntax.Name, ...]]:
    """Tells the part that names an include, if one does, from the others."""
    parts = node.parts
    first = parts[0].text
    if len(parts) > 2 or (len(parts) == 2 and (first in scope.includes or first not in scope.declared)):
        return parts[0], parts[1:]
    return None, parts


def enum_of(home: Scope, declared: object, name: str) -> model.Named | None:
    """Gives the enum that a name stands for in its file, itself or as a typedef."""
    if isinstance(declared, syntax.Enum):
        return model.Named("enum", name)
    found = home.typedefs.get(name, _FAULTY)[0] if isinstance(declared, syntax.Typedef) else None
    return found if isinstance(found, model.Named) and found.kind == "enum" else None


def _member(scope: Scope, home: Scope, enum: model.Named, name: syntax.Name, span: Span) -> Given | None:
    owner = home.follow(enum.file)
    members = owner.enums[enum.name]
    found = members.get(name.text)
    if found is None:
        if name.text not in owner.file.syntax.lost:
            help = did_you_mean(scope.speller.nearest(name.text, members))
            scope.error("E304", name.span, "", help=help, enum=enum.name, name=name.text)
        return None
    seen = enum if home is scope else model.Named("enum", enum.name, scope.adopt_name(enum.file, home))
    return Given(seen, model.EnumValue(seen, found.name, found.number), span)


def _no_owner(scope: Scope, name: syntax.Name) -> None:
    """Reports ``Knid.HOME`` or ``comon.MAX``: neither an enum nor an include is called so."""
    if name.text in scope.file.syntax.lost:
        return
    enums = [other for other, node in scope.declared.items() if isinstance(node, syntax.Enum)]
    help = did_you_mean(scope.speller.nearest(name.text, [*enums, *scope.includes]))
    scope.error("E201", name.span, "", help=help, what="enum or include", name=name.text)


def _no_constant(
    scope: Scope, home: Scope, node: syntax.NameValue, name: syntax.Name, wanted: model.Type | None
) -> None:
    members = scope.follow(wanted.file).enums.get(wanted.name, ()) if isinstance(wanted, model.Named) else ()
    if isinstance(wanted, model.Named) and len(node.parts) == 1 and name.text in members:
        enum = f"{wanted.file}.{wanted.name}" if wanted.file else wanted.name
        help = f"the member is {enum}.{name.text}"
        return scope.error("E303", node.span, "", help=help, name=name.text)
    python = {
        "None": "an optional is None by itself: write `?` after its type",
        "True": "write true",
        "False": "write false",
    }
    qualifier = None if home is scope else node.parts[0]
    help = python.get(name.text) or did_you_mean(home.nearest(name.text, (syntax.Const,), qualifier))
    return scope.error("E303", name.span, "", help=help, name=canonical.write_value(node))


def _fit(scope: Scope, given: Given, wanted: model.Type, what: str) -> model.Literal:
    """Fits a constant or enum member to a type."""
    if given.value is None or given.type is UNKNOWN:
        return None
    if given.type == wanted and wanted != _ROUNDED:
        return given.value
    match given.type, wanted:
        case (model.ListOf(had), model.ListOf(item)) | (model.SetOf(had), model.SetOf(item)):
            assert isinstance(given.value, tuple)
            return _whole(_fit(scope, Given(had, part, given.span), item, what) for part in given.value)
        case model.MapOf(had_key, had_value), model.MapOf(key, value):
            pairs = typing.cast("tuple[tuple[model.Literal, model.Literal], ...]", given.value)
            keys = _whole(_fit(scope, Given(had_key, part, given.span), key, what) for part, _ in pairs)
            values = _whole(_fit(scope, Given(had_value, part, given.span), value, what) for _, part in pairs)
            return None if keys is None or values is None else tuple(zip(keys, values, strict=True))
        case model.Scalar(had_name), model.Scalar(name):
            number = given.value
            if had_name in RANGES and isinstance(number, int):
                if name in RANGES:
                    return scalars.integer(scope, number, wanted, given.span)
                if name in ("float", "double"):
                    return scalars.real(scope, number, name, str(number), given.span)
                if name == "decimal":
                    return scalars.exact(scope, str(number), given.span)
            if had_name in ("float", "double") and name in ("float", "double") and isinstance(number, float):
                return scalars.real(scope, number, name, repr(number), given.span)
    scalars.mismatch(scope, f"{what}, {spoken(given.type)},", wanted, given.span)
    return None
