"""Syntax trees to models: collect, resolve, validate.

Each file in turn, dependencies first. A stage reports what it finds and goes on with a
placeholder, about which later stages are silent: one fault, one finding.
"""

from __future__ import annotations

import re
import typing

import msgspec

from rpcgen.compiler import annotate, canonical, containment, cycles, literals, model, services, syntax
from rpcgen.compiler.diagnostics import Report, diagnose
from rpcgen.compiler.loader import File
from rpcgen.compiler.members import read_enum, read_fields
from rpcgen.compiler.resolve import UNKNOWN, Resolver, names_in, resolve_typedefs, spoken
from rpcgen.compiler.scope import Scope, collect
from rpcgen.compiler.spelling import Speller


def check(files: list[File], report: Report) -> model.Module:
    """Gives the model of the last file; of use only if the report has not failed.

    Args:
        files: Each stands after those that it includes.
    """
    return check_all(files, report).modules[id(files[-1])]


class Checked(typing.NamedTuple):
    """What checking some files gave: each one's names and model, by the identity of the file."""

    scopes: dict[int, Scope]
    modules: dict[int, model.Module]


def check_all(files: list[File], report: Report) -> Checked:
    """Gives what there is to know of each file, as far as it goes where the report has failed.

    Args:
        files: Each stands after those that it includes.
    """
    scopes: dict[int, Scope] = {}
    modules: dict[int, model.Module] = {}
    speller = Speller()
    for file in files:
        scope = scopes[id(file)] = collect(file, scopes, report, speller)
        modules[id(file)] = _check_file(scope, modules)
    return Checked(scopes, modules)


def _check_file(scope: Scope, modules: dict[int, model.Module]) -> model.Module:
    resolver = Resolver(scope)
    resolve_typedefs(scope, resolver)
    enums = {name: read_enum(scope, node) for name, node in _all(scope, syntax.Enum)}
    consts = _read_consts(scope, resolver)
    records = _read_records(scope, resolver)
    containment.check(scope, records)
    for name, service in _all(scope, syntax.Service):
        scope.services[name] = services.read_service(scope, resolver, service)
    own = services.own_service(scope, resolver)
    services.inherit(scope)
    typedefs = {name: _read_typedef(scope, node) for name, node in _all(scope, syntax.Typedef)}
    known: dict[str, model.Declaration] = {**enums, **consts, **records, **scope.services, **typedefs}
    _check_file_level(scope)
    tree = scope.file.syntax
    return model.Module(
        scope.file.name,
        scope.file.path,
        tree.doc,
        tuple(
            model.Include(link.alias, link.written.path, modules[id(link.target)])
            for link in scope.file.links
            if link.target is not None
        ),
        _in_order(scope, known, own),
        # Only a tree that was read whole can be written.
        canonical.write_file(tree) if tree.complete else "",
    )


_Node = typing.TypeVar("_Node")


def _all(scope: Scope, kind: type[_Node]) -> list[tuple[str, _Node]]:
    return [(name, node) for name, node in scope.declared.items() if isinstance(node, kind)]


def _check_file_level(scope: Scope) -> None:
    items = scope.file.syntax.items
    for item in items:
        if isinstance(item, syntax.Include):
            annotate.read(scope, item.annotations, "include")
    if not items and scope.file.syntax.complete:
        scope.report.add(diagnose("W002", None, path=scope.file.path))


def _read_typedef(scope: Scope, node: syntax.Typedef) -> model.Typedef:
    found, _ = scope.typedefs.get(node.name.text, (UNKNOWN, 0))
    read = annotate.read(scope, node.annotations, "typedef")
    return model.Typedef(node.name.text, found, node.doc, read.all, node.name.span)


# Constants


def _read_consts(scope: Scope, resolver: Resolver) -> dict[str, model.Const]:
    nodes = dict(_all(scope, syntax.Const))
    uses = {
        name: [used for used in _constants_in(node.value) if used in nodes] for name, node in nodes.items()
    }
    found: dict[str, model.Const] = {}
    for group in cycles.components(nodes, uses.__getitem__):
        if cycles.is_cycle(group, uses.__getitem__):
            chain = cycles.shortest_cycle(group, uses.__getitem__)
            span = nodes[chain[0]].name.span
            scope.error("E308", span, name=chain[0], chain=" -> ".join([*chain, chain[0]]))
            continue
        (name,) = group
        node = nodes[name]
        of_type = resolver.resolve(node.type, optional="a constant")
        of_type = of_type.item if isinstance(of_type, model.OptionalOf) else of_type
        value = None
        held = _record_in(of_type)
        if held is not None:
            scope.error("E309", node.type.span, what=spoken(held))
        else:
            value = literals.evaluate(scope, node.value, of_type)
        if value is not None:
            scope.consts[name] = of_type, value
        read = annotate.read(scope, node.annotations, "const")
        found[name] = model.Const(name, of_type, value, node.doc, read.all, node.name.span)
    return found


def _constants_in(node: syntax.Value) -> list[str]:
    """Gives the names in a value that could be constants of the same file."""
    match node:
        case syntax.NameValue((name,), _):
            return [name.text]
        case syntax.ListValue(items, _):
            return [name for item in items for name in _constants_in(item)]
        case syntax.MapValue(entries, _):
            return [name for entry in entries for part in entry for name in _constants_in(part)]
    return []


def _record_in(found: model.Type) -> model.Named | None:
    """Gives the struct, union or exception that a type holds, if any."""
    match found:
        case model.Named(kind):
            return None if kind == "enum" else found
        case model.ListOf(item) | model.SetOf(item):
            return _record_in(item)
        case model.MapOf(key, value):
            return _record_in(key) or _record_in(value)
    return None


# Structs, unions, exceptions


def _read_records(scope: Scope, resolver: Resolver) -> dict[str, containment.Record]:
    found: dict[str, containment.Record] = {}
    for name, node in scope.declared.items():
        if isinstance(node, syntax.ExceptionType):
            found[name] = _read_exception(scope, resolver, node)
        elif isinstance(node, (syntax.Struct, syntax.Union)):
            found[name] = _read_record(scope, resolver, node)
    for name in containment.recursive(found):
        record = found[name]
        if not isinstance(record, model.ExceptionType):
            found[name] = msgspec.structs.replace(record, recursive=True)
    return found


def _read_record(
    scope: Scope, resolver: Resolver, node: syntax.Struct | syntax.Union
) -> model.Struct | model.Union:
    name = node.name.text
    union = isinstance(node, syntax.Union)
    fields, reserved = read_fields(scope, resolver, node.members, name, "member" if union else "field")
    if union and not fields and scope.file.syntax.complete:
        scope.error("E109", node.name.span, what="union", name=name)
    read = annotate.read(scope, node.annotations, "union" if union else "struct")
    make = model.Union if union else model.Struct
    return make(name, fields, reserved, False, node.doc, read.all, read.deprecated, node.name.span)


def _read_exception(scope: Scope, resolver: Resolver, node: syntax.ExceptionType) -> model.ExceptionType:
    name = node.name.text
    fields, reserved = read_fields(scope, resolver, node.members or (), name, "field")
    read = annotate.read(scope, node.annotations, "exception")
    return model.ExceptionType(
        name,
        None if node.members is None else fields,
        reserved,
        name in scope.implicit,
        default_message(name),
        read.retryable,
        node.doc,
        read.all,
        read.deprecated,
        node.name.span,
        read.status,
    )


def default_message(name: str) -> str:
    """Gives the words of a name: ``invalid operation`` of InvalidOperation, ``HTTP error`` of HTTPError."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", name)
    return " ".join(word if word.isupper() and len(word) > 1 else word.lower() for word in words) or name


# Order


def _in_order(
    scope: Scope, known: dict[str, model.Declaration], own: model.Service | None
) -> tuple[model.Declaration, ...]:
    """Gives the declarations as they stand, and what nothing declares before its first use."""
    waiting = set(scope.implicit)
    found: list[model.Declaration] = []
    for item in scope.file.syntax.items:
        if isinstance(item, syntax.Include):
            continue
        if waiting:
            used = _types_in(item, scope.methods if scope.methods and item is scope.methods[0] else [])
            implicit = [name for name in dict.fromkeys(used) if name in waiting]
            waiting.difference_update(implicit)
            found.extend(known[name] for name in implicit)
        if isinstance(item, syntax.Method):
            if own is not None and item is scope.methods[0]:
                found.append(own)
        elif scope.declared.get(item.name.text) is item and item.name.text in known:
            found.append(known[item.name.text])
    return tuple(found)


def _types_in(item: syntax.Declaration, own: list[syntax.Method]) -> typing.Iterator[str]:
    """Gives the unqualified names of types and exceptions in a declaration."""
    match item:
        case syntax.Typedef(kind):
            yield from names_in(kind)
        case syntax.Struct() | syntax.Union() | syntax.ExceptionType():
            for member in item.members or ():
                yield from (
                    names_in(member.type) if not isinstance(member, syntax.EnumMember) and member.type else ()
                )
        case syntax.Service() | syntax.Method():
            for method in item.methods if isinstance(item, syntax.Service) else own:
                for param in method.params:
                    yield from names_in(param.type) if param.type else ()
                yield from names_in(method.returns)
                yield from (name.name.text for name in method.raises if name.qualifier is None)
