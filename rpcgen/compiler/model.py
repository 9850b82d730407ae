"""The checked model: what an interface means. Frozen, fully resolved, free of syntax.

This is also what user templates see (through ``rpcgen.codegen.view``) and what the
formatter, the linter and the compatibility check read. Types refer to declarations by
name, so that a recursive type is plain data.

Its classes are msgspec's, as the syntax tree's are: a dataclass takes 30 times as long to
define, which was a quarter of the time of a small compile.
"""

from __future__ import annotations

import typing

import msgspec

from rpcgen.compiler.source import Span


class Scalar(msgspec.Struct, frozen=True, gc=False):
    """``bool`` … ``decimal``, or ``void`` as a result."""

    name: str


class ListOf(msgspec.Struct, frozen=True, gc=False):
    item: Type


class SetOf(msgspec.Struct, frozen=True, gc=False):
    item: Type


class MapOf(msgspec.Struct, frozen=True, gc=False):
    key: Type
    value: Type


class OptionalOf(msgspec.Struct, frozen=True, gc=False):
    item: Type


class Named(msgspec.Struct, frozen=True, gc=False):
    """A struct, union, enum or exception. Typedefs are resolved away.

    Args:
        kind: ``struct``, ``union``, ``enum`` or ``exception``.
        name: The name it is declared by.
        file: The include's alias (``common``), or empty for one of this file. What comes from
            a file that this one does not include itself is reached through the one that
            does: ``common.base``, the include ``base`` of the include ``common``.
    """

    kind: typing.Literal["struct", "union", "enum", "exception"]
    name: str
    file: str = ""


Type: typing.TypeAlias = "Scalar | ListOf | SetOf | MapOf | OptionalOf | Named"


def idl(type: Type) -> str:
    """Gives a type as the language writes it."""
    match type:
        case Scalar(name):
            return name
        case ListOf(item):
            return f"list<{idl(item)}>"
        case SetOf(item):
            return f"set<{idl(item)}>"
        case MapOf(key, value):
            return f"map<{idl(key)}, {idl(value)}>"
        case OptionalOf(item):
            return f"{idl(item)}?"
        case Named(_, name, file):
            return f"{file}.{name}" if file else name
    raise TypeError(type)


class EnumValue(msgspec.Struct, frozen=True, gc=False):
    """A member of an enum, as a default or a constant."""

    type: Named
    member: str
    number: int


Literal: typing.TypeAlias = (
    "bool | int | float | str | bytes | decimal.Decimal | datetime.datetime | datetime.date | datetime.timedelta"
    " | uuid.UUID | EnumValue | tuple[Literal, ...] | tuple[tuple[Literal, Literal], ...] | None"
)
"""A default's or constant's value, converted and rounded to its type.

A list or set is a tuple of its items, a map a tuple of (key, value) pairs.
"""


class Default(msgspec.Struct, frozen=True, gc=False):
    """A default: its value, and the constant or text that the IDL gave for it."""

    value: Literal
    written: str


class Annotation(msgspec.Struct, frozen=True, gc=False):
    """``@name(arguments)``; the compiler's own ones are read into attributes as well."""

    name: str
    arguments: tuple[Literal, ...]
    span: Span


class Field(msgspec.Struct, frozen=True, gc=False):
    """A field, parameter or union member.

    ``type`` is an ``OptionalOf`` for ``T?``; then ``default`` is None and absent means None.
    ``alias`` is the type as written where a typedef was resolved away, else empty.
    """

    tag: int
    name: str
    type: Type
    default: Default | None
    doc: str
    annotations: tuple[Annotation, ...]
    deprecated: str | None
    span: Span
    alias: str = ""

    @property
    def required(self) -> bool:
        return self.default is None and not isinstance(self.type, OptionalOf)


class Reserved(msgspec.Struct, frozen=True, gc=False):
    """``reserved 6: string``."""

    tag: int
    type: Type
    span: Span


class Const(msgspec.Struct, frozen=True, gc=False):
    name: str
    type: Type
    value: Literal
    doc: str
    annotations: tuple[Annotation, ...]
    span: Span


class Typedef(msgspec.Struct, frozen=True, gc=False):
    name: str
    type: Type
    doc: str
    annotations: tuple[Annotation, ...]
    span: Span


class EnumMember(msgspec.Struct, frozen=True, gc=False):
    name: str
    number: int
    doc: str
    annotations: tuple[Annotation, ...]
    deprecated: str | None
    span: Span


class Enum(msgspec.Struct, frozen=True, gc=False):
    name: str
    members: tuple[EnumMember, ...]
    reserved: tuple[int, ...]
    doc: str
    annotations: tuple[Annotation, ...]
    deprecated: str | None
    span: Span


class Struct(msgspec.Struct, frozen=True, gc=False):
    """``recursive``: a value of it can hold, at any depth, another of it."""

    name: str
    fields: tuple[Field, ...]
    reserved: tuple[Reserved, ...]
    recursive: bool
    doc: str
    annotations: tuple[Annotation, ...]
    deprecated: str | None
    span: Span


class Union(msgspec.Struct, frozen=True, gc=False):
    name: str
    members: tuple[Field, ...]
    reserved: tuple[Reserved, ...]
    recursive: bool
    doc: str
    annotations: tuple[Annotation, ...]
    deprecated: str | None
    span: Span


class ExceptionType(msgspec.Struct, frozen=True, gc=False):
    """``fields`` is None for one without a body, which carries a message.

    ``implicit``: nothing declares it but its use after ``=>``. ``status``: that of ``@status``, over HTTP.
    """

    name: str
    fields: tuple[Field, ...] | None
    reserved: tuple[Reserved, ...]
    implicit: bool
    default_message: str
    retryable: bool
    doc: str
    annotations: tuple[Annotation, ...]
    deprecated: str | None
    span: Span
    status: int | None = None


class Method(msgspec.Struct, frozen=True, gc=False):
    """A method; ``signature`` is it in canonical IDL on one line, without annotations and docs.

    Args:
        wire_name: ``divide``, or ``Directory.find``.
        raises: In the order of ``=>``; replies count them from 2.
        timeout: Seconds of ``@timeout``, or None.
        attempts: Of ``@attempts``: how often it is tried when it is queued; or None.
        priority: Of ``@priority``, when it is queued; else 0.
    """

    name: str
    wire_name: str
    params: tuple[Field, ...]
    reserved: tuple[Reserved, ...]
    returns: Type
    raises: tuple[Named, ...]
    oneway: bool
    idempotent: bool
    timeout: float | None
    attempts: int | None
    priority: int
    deprecated: str | None
    signature: str
    doc: str
    annotations: tuple[Annotation, ...]
    span: Span


class ServiceName(msgspec.Struct, frozen=True, gc=False):
    """A reference to a service: ``common.Base``; ``file`` as in ``Named``."""

    name: str
    file: str = ""


class Service(msgspec.Struct, frozen=True, gc=False):
    """A service's own methods; ``name`` is empty for the file's own service.

    Args:
        extends: Its parent, if any.
        inherited: Every method of the parents that it offers too, nearest parent first,
            with the service that declares each. Types and names are those of this file:
            a ``Money`` of the parent's file is ``common.Money`` here.
    """

    name: str
    extends: ServiceName | None
    methods: tuple[Method, ...]
    inherited: tuple[tuple[ServiceName, Method], ...]
    doc: str
    annotations: tuple[Annotation, ...]
    deprecated: str | None
    span: Span


Declaration: typing.TypeAlias = "Const | Typedef | Enum | Struct | Union | ExceptionType | Service"


class Include(msgspec.Struct, frozen=True, gc=False):
    """``include "lib/common.idl"``: its alias ``common``, and the module it names."""

    alias: str
    path: str
    module: Module


class Module(msgspec.Struct, frozen=True, gc=False):
    """One interface file.

    Args:
        name: The Python module's name: the file's name without ``.idl``.
        path: The file as it was named on the command line or found.
        declarations: In the order of the file; the file's own service stands where its first
            method does, an implicit exception before the first declaration that uses it.
        interface: The file in canonical form: what ``rpc.describe`` gives.
    """

    name: str
    path: str
    doc: str
    includes: tuple[Include, ...]
    declarations: tuple[Declaration, ...]
    interface: str

    def of(self, kind: type[_Kind]) -> tuple[_Kind, ...]:
        """Gives the declarations of one kind, in order."""
        return tuple(found for found in self.declarations if isinstance(found, kind))

    def closure(self) -> tuple[Module, ...]:
        """Gives it and every module that it includes, at any depth: once each, dependencies first."""
        ordered: dict[str, Module] = {}
        waiting: list[tuple[Module, bool]] = [(self, False)]
        while waiting:
            module, ready = waiting.pop()
            if ready:
                ordered.setdefault(module.path, module)
            elif module.path not in ordered:
                waiting.append((module, True))
                waiting.extend((include.module, False) for include in reversed(module.includes))
        return tuple(ordered.values())


_Kind = typing.TypeVar("_Kind")

if typing.TYPE_CHECKING:
    import datetime
    import decimal
    import uuid
