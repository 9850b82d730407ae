"""Every name that is written in a file, with what it stands for.

A walk over the syntax tree; what a name stands for is asked of the compiler's own scopes. Names that
stand for nothing are left out. A thing is known by its file and its way in there, so that two files
speak of the same one.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import typing

from rpcgen.compiler import literals, syntax
from rpcgen.compiler.diagnostics import Report
from rpcgen.compiler.loader import File
from rpcgen.compiler.scope import TYPES, Declared, Scope
from rpcgen.compiler.source import Span
from rpcgen.compiler.spelling import Speller
from rpcgen.lsp.workspace import Analysis

Node: typing.TypeAlias = "Declared | syntax.Method | syntax.Field | syntax.EnumMember | File"


class Symbol(typing.NamedTuple):
    """A thing that has a name.

    Args:
        file: The real path of the file that declares it; ``@`` for an annotation of the compiler's.
        way: ``("Person", "name")``; ``("", "divide", "num1")`` in the file's own service; empty for
            the file itself.
    """

    file: str
    way: tuple[str, ...] = ()


class Mention(typing.NamedTuple):
    """A place that names a thing; ``declares`` if it is there that it gets its name."""

    span: Span
    symbol: Symbol
    declares: bool = False


@functools.lru_cache(maxsize=16)
def mentions(found: Analysis) -> list[Mention]:
    """Gives every name in a file, in no order."""
    return _Walk(found).all()


def at(found: Analysis, offset: int) -> Mention | None:
    """Gives the name at an offset, or that ends there."""
    here = [one for one in mentions(found) if one.span.start <= offset <= one.span.end]
    return max(here, key=lambda one: (one.span.start, -one.span.end), default=None)


def node_of(found: Analysis, symbol: Symbol) -> Node | None:
    """Gives what is declared under a symbol, in a file or what it includes."""
    scope = scope_of(found, symbol.file)
    if scope is None:
        return None
    if not symbol.way:
        return scope.file
    first, *rest = symbol.way
    node: Node | None = scope.declared.get(first)
    if not first and rest:
        name = rest.pop(0)
        node = next((method for method in scope.methods if method.name.text == name), None)
    for name in rest:
        inner: typing.Any = getattr(node, "members", None) or ()
        inner = getattr(node, "methods", None) or getattr(node, "params", None) or inner
        node = next((one for one in inner if getattr(one, "name", None) and one.name.text == name), None)
    return node


def place_of(node: Node) -> Span:
    """Gives where a thing gets its name; the beginning of a file."""
    return Span(node.syntax.source, 0, 0) if isinstance(node, File) else node.name.span


def silent(scope: Scope) -> Scope:
    """Gives the same names, to be asked for without a finding."""
    return dataclasses.replace(scope, report=Report(), speller=Speller(0))


def scope_of(found: Analysis, real: str) -> Scope | None:
    """Gives the names of a file, or of one that it includes, by its real path."""
    return next((one for one in found.scopes.values() if os.path.realpath(one.file.path) == real), None)


class _Walk:
    def __init__(self, found: Analysis) -> None:
        self._scope = silent(found.scope)
        self._here = found.real
        self._reals = {id(file): os.path.realpath(file.path) for file in found.files}
        self._found: list[Mention] = []

    def all(self) -> list[Mention]:
        targets = {link.alias: link.target for link in self._scope.file.links}
        for link in self._scope.file.links:
            if link.target is not None:
                self._add(link.written.path_span, Symbol(self._reals[id(link.target)]))
        self._targets = {alias: target for alias, target in targets.items() if target is not None}
        for item in self._scope.file.syntax.items:
            self._annotations(item)
            match item:
                case syntax.Include():
                    continue
                case syntax.Method():
                    self._method(item, ("",))
                    continue
            way = (item.name.text,)
            self._declare(item.name, way)
            match item:
                case syntax.Const(type, _, value):
                    self._type(type)
                    self._value(value)
                case syntax.Typedef(type):
                    self._type(type)
                case syntax.Service():
                    if item.extends is not None:
                        self._reference(item.extends, (syntax.Service,))
                    for method in item.methods:
                        self._method(method, way)
                case syntax.Struct() | syntax.Union() | syntax.Enum() | syntax.ExceptionType():
                    for member in item.members or ():
                        self._member(member, way)
        return self._found

    def _add(self, span: Span, symbol: Symbol, declares: bool = False) -> None:
        self._found.append(Mention(span, symbol, declares))

    def _declare(self, name: syntax.Name, way: tuple[str, ...]) -> None:
        self._add(name.span, Symbol(self._here, way), True)

    def _method(self, method: syntax.Method, owner: tuple[str, ...]) -> None:
        way = (*owner, method.name.text)
        self._declare(method.name, way)
        if owner != ("",):
            self._annotations(method)
        self._type(method.returns)
        for param in method.params:
            self._member(param, way)
        for raised in method.raises:
            self._reference(raised, (syntax.ExceptionType,))

    def _member(
        self, member: syntax.Field | syntax.Reserved | syntax.EnumMember, owner: tuple[str, ...]
    ) -> None:
        self._annotations(member)
        if not isinstance(member, syntax.Reserved):
            self._declare(member.name, (*owner, member.name.text))
        if not isinstance(member, syntax.EnumMember) and member.type is not None:
            self._type(member.type)
        if isinstance(member, syntax.Field) and member.default is not None:
            self._value(member.default)

    def _annotations(self, node: typing.Any) -> None:
        for annotation in node.annotations:
            self._add(annotation.name.span, Symbol("@", (annotation.name.text,)))
            for argument in annotation.arguments:
                self._value(argument)

    def _type(self, node: syntax.Type) -> None:
        match node:
            case syntax.Reference():
                self._reference(node, TYPES)
            case syntax.ListType(item) | syntax.SetType(item) | syntax.OptionalType(item):
                self._type(item)
            case syntax.MapType(key, value):
                self._type(key)
                self._type(value)

    def _qualifier(self, name: syntax.Name | None) -> None:
        target = self._targets.get(name.text) if name else None
        if name and target is not None:
            self._add(name.span, Symbol(self._reals[id(target)]))

    def _reference(self, node: syntax.Reference, kinds: tuple[type, ...]) -> None:
        self._qualifier(node.qualifier)
        found = self._scope.find(node.qualifier, node.name, "", kinds)
        if found is not None:
            first = found[1].name.span
            # What nothing declares but its use after => gets its name there.
            implicit = found[0].file is self._scope.file and node.name.text in self._scope.implicit
            symbol = Symbol(self._reals[id(found[0].file)], (node.name.text,))
            self._add(node.name.span, symbol, implicit and first == node.name.span)

    def _value(self, node: syntax.Value) -> None:
        match node:
            case syntax.ListValue(items):
                for item in items:
                    self._value(item)
            case syntax.MapValue(entries):
                for entry in entries:
                    for part in entry:
                        self._value(part)
            case syntax.NameValue():
                self._constant(node)

    def _constant(self, node: syntax.NameValue) -> None:
        qualifier, parts = literals.divided(self._scope, node)
        self._qualifier(qualifier)
        found = self._scope.find(qualifier, parts[0], "", (syntax.Const, syntax.Enum))
        if found is None:
            return
        home, declared = found
        name = parts[0].text
        self._add(parts[0].span, Symbol(self._reals[id(home.file)], (name,)))
        enum = literals.enum_of(home, declared, name)
        if enum is None or len(parts) != 2:
            return
        owner = home.follow(enum.file)
        if parts[1].text in owner.enums.get(enum.name, ()):
            symbol = Symbol(self._reals[id(owner.file)], (enum.name, parts[1].text))
            self._add(parts[1].span, symbol)
