"""Resolve: written types to types of the model, typedefs seen through."""

from __future__ import annotations

import typing

from rpcgen.compiler import canonical, cycles, model, syntax
from rpcgen.compiler.scope import KINDS, SCALARS, TYPES, Scope, a, written

DEEPEST = 64
"""Levels of containers; the wire's limit of nesting."""

UNKNOWN: typing.Final = model.Scalar("")
"""Stands for a type that was at fault, and is reported; nothing more is said about it."""

_NO_KEYS: typing.Final = frozenset({"float", "double", "duration", "decimal"})


class Resolver:
    """Resolves the types of one file.

    After each call ``aliased`` says whether a typedef was seen through, ``depth`` how many
    levels of containers the type has.
    """

    def __init__(self, scope: Scope) -> None:
        self.aliased = False
        self.depth = 0
        self._scope = scope

    def resolve(self, node: syntax.Type, *, void: bool = False, optional: str = "") -> model.Type:
        """Gives the type that is written, ``UNKNOWN`` where it is at fault.

        Args:
            void: It may be void: a result.
            optional: What cannot be optional, for the message; empty if it can.
        """
        self.aliased = False
        self.depth = 0
        if type(node) is syntax.Scalar and (void or node.name != "void"):
            return SCALARS[node.name]
        if isinstance(node, syntax.OptionalType):
            found = self._inner(node.item)
            if optional:
                self._scope.error("E204", node.mark, where=optional, help="leave the `?` out")
                return found
            return found if found is UNKNOWN else model.OptionalOf(found)
        return self._inner(node)

    def alias(self, node: syntax.Type) -> str:
        """Gives the type as written if the last call saw through a typedef, else nothing."""
        return canonical.write_type(node) if self.aliased else ""

    def _inner(self, node: syntax.Type) -> model.Type:
        match node:
            case syntax.Scalar(name, span):
                if name == "void":
                    self._scope.error("E205", span)
                    return UNKNOWN
                return SCALARS[name]
            case syntax.Reference():
                return self._reference(node)
            case syntax.ListType(item, _):
                return self._deeper(model.ListOf(self._item(item)), node)
            case syntax.SetType(item, _):
                return self._deeper(model.SetOf(self._key(item, "an item of a set")), node)
            case syntax.MapType(key, value, _):
                key_type, key_depth = self._key(key, "the key of a map"), self.depth
                self.depth = 0
                value_type = self._item(value)
                self.depth = max(key_depth, self.depth)
                return self._deeper(model.MapOf(key_type, value_type), node)
        return UNKNOWN

    def _item(self, node: syntax.Type) -> model.Type:
        if isinstance(node, syntax.OptionalType):
            self._scope.error("E204", node.mark, where="what a container holds", help="leave the `?` out")
            node = node.item
        return self._inner(node)

    def _key(self, node: syntax.Type, role: str) -> model.Type:
        found = self._item(node)
        match found:
            case model.Scalar(name) if name not in _NO_KEYS:
                return found
            case model.Named("enum"):
                return found
        help = "bool, integers, string, bytes, enums, uuid, date and timestamp can"
        self._scope.error("E206", node.span, what=spoken(found), role=role, help=help)
        return found

    def _deeper(self, found: model.Type, node: syntax.Type) -> model.Type:
        self.depth += 1
        if self.depth <= DEEPEST:
            return found
        if self.depth == DEEPEST + 1:
            self._scope.error("E208", node.span, limit=DEEPEST)
        self.depth = 0
        return UNKNOWN

    def _reference(self, node: syntax.Reference) -> model.Type:
        found = self._scope.find(node.qualifier, node.name, "type", TYPES)
        if found is None:
            return UNKNOWN
        scope, declared = found
        name = node.name.text
        match declared:
            case syntax.Typedef():
                self.aliased = True
                target, self.depth = scope.typedefs.get(name, (UNKNOWN, 0))
                return target if scope is self._scope else self._scope.adopt(target, scope)
            case syntax.Struct() | syntax.Union() | syntax.Enum() | syntax.ExceptionType():
                kind = typing.cast(
                    typing.Literal["struct", "union", "enum", "exception"], KINDS[type(declared)]
                )
                return model.Named(kind, name, node.qualifier.text if node.qualifier else "")
        what = a(KINDS[type(declared)])
        self._scope.error(
            "E202",
            node.span,
            what=what,
            name=written(node.qualifier, node.name),
            secondary=((declared.name.span, "declared here"),),
        )
        return UNKNOWN


def spoken(found: model.Type) -> str:
    """Gives a type as a message names it: ``an int``, ``a list``, ``struct Person``."""
    match found:
        case model.Scalar(name):
            return name if name == "bytes" else a(name)
        case model.Named(kind, name, file):
            return f"{kind} {file}.{name}" if file else f"{kind} {name}"
        case model.ListOf():
            return "a list"
        case model.SetOf():
            return "a set"
        case model.MapOf():
            return "a map"
        case model.OptionalOf():
            return "an optional"


def resolve_typedefs(scope: Scope, resolver: Resolver) -> None:
    """Fills in ``scope.typedefs``, in the order in which they build on each other."""
    typedefs = {name: node for name, node in scope.declared.items() if isinstance(node, syntax.Typedef)}
    uses = {
        name: [used for used in names_in(node.type) if used in typedefs] for name, node in typedefs.items()
    }
    for group in cycles.components(typedefs, uses.__getitem__):
        if cycles.is_cycle(group, uses.__getitem__):
            chain = cycles.shortest_cycle(group, uses.__getitem__)
            scope.error(
                "E207", typedefs[chain[0]].name.span, name=chain[0], chain=" -> ".join([*chain, chain[0]])
            )
            continue
        (name,) = group
        found = resolver.resolve(typedefs[name].type, optional="a typedef")
        scope.typedefs[name] = found, resolver.depth


def names_in(node: syntax.Type) -> list[str]:
    """Gives the unqualified names in a type."""
    match node:
        case syntax.Reference(None, name, _):
            return [name.text]
        case syntax.ListType(item, _) | syntax.SetType(item, _) | syntax.OptionalType(item, _, _):
            return names_in(item)
        case syntax.MapType(key, value, _):
            return names_in(key) + names_in(value)
    return []
