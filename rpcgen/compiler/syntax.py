"""The syntax tree: what was written, with spans, before anything is looked up.

Every node has ``span``, the whole of it, and spans of the parts that a diagnostic may want
to point at. The written form of a node is ``node.span.text``. A doc comment is plain text
without its ``///``; it is empty where there is none.

A file with syntax errors still gives a tree: what could not be read is left out, or stands
as ``Broken`` or as a ``None`` that is described below. All of that has been reported.
"""

from __future__ import annotations

import typing

import msgspec

from rpcgen.compiler.source import Source, Span


class Name(typing.NamedTuple):
    """A name, where it stands."""

    text: str
    span: Span


class Broken(msgspec.Struct, frozen=True, gc=False):
    """A type or value that could not be read; the fault is in the report already."""

    span: Span


# Types


class Scalar(msgspec.Struct, frozen=True, gc=False):
    """``bool`` … ``decimal``, or ``void`` (which may stand anywhere as far as syntax goes)."""

    name: str
    span: Span


class Reference(msgspec.Struct, frozen=True, gc=False):
    """A declaration's name: ``Person``, or ``common.Money`` with the qualifier ``common``.

    Stands as a type, after ``=>`` and after ``extends``.
    """

    qualifier: Name | None
    name: Name
    span: Span


class ListType(msgspec.Struct, frozen=True, gc=False):
    item: Type
    span: Span


class SetType(msgspec.Struct, frozen=True, gc=False):
    item: Type
    span: Span


class MapType(msgspec.Struct, frozen=True, gc=False):
    key: Type
    value: Type
    span: Span


class OptionalType(msgspec.Struct, frozen=True, gc=False):
    """``T?``; ``mark`` is the place of the ``?``."""

    item: Type
    mark: Span
    span: Span


Type: typing.TypeAlias = "Scalar | Reference | ListType | SetType | MapType | OptionalType | Broken"


# Values


class IntValue(msgspec.Struct, frozen=True, gc=False):
    value: int
    span: Span


class FloatValue(msgspec.Struct, frozen=True, gc=False):
    """``value`` is what Python's float makes of it; a decimal is read from ``span.text``."""

    value: float
    span: Span


class BoolValue(msgspec.Struct, frozen=True, gc=False):
    value: bool
    span: Span


class StringValue(msgspec.Struct, frozen=True, gc=False):
    """A string.

    Args:
        value: Its text, escapes resolved; ``\\xHH`` is the character of that number.
        data: Its bytes, for a field of type ``bytes``: UTF-8, and ``\\xHH`` is that byte.
    """

    value: str
    data: bytes
    span: Span


class DurationValue(msgspec.Struct, frozen=True, gc=False):
    """``2s``, ``500ms``, ``-1.5h``; units are us, ms, s, m, h and d."""

    microseconds: int
    span: Span


class NameValue(msgspec.Struct, frozen=True, gc=False):
    """``MAX``, ``Kind.HOME``, ``common.MAX`` or ``common.Kind.HOME``: one to three parts."""

    parts: tuple[Name, ...]
    span: Span


class ListValue(msgspec.Struct, frozen=True, gc=False):
    """``[1, 2]``: a list's or a set's value."""

    items: tuple[Value, ...]
    span: Span


class MapValue(msgspec.Struct, frozen=True, gc=False):
    """``{"a": 1}``."""

    entries: tuple[tuple[Value, Value], ...]
    span: Span


Value: typing.TypeAlias = (
    "IntValue | FloatValue | BoolValue | StringValue | DurationValue | NameValue"
    " | ListValue | MapValue | Broken"
)


# Parts of declarations


class Annotation(msgspec.Struct, frozen=True, gc=False):
    """``@timeout(2s)`` or ``@acme.owner("x")``; ``name`` holds the dots and has no ``@``."""

    name: Name
    arguments: tuple[Value, ...]
    span: Span


class Field(msgspec.Struct, frozen=True, gc=False):
    """A field, parameter or union member.

    Args:
        tag: None if it is missing or unreadable (reported); may be out of range.
        default: None if there is none.
        span: From the tag to the end of name or default; without doc, annotations, separator.
    """

    tag: int | None
    tag_span: Span
    type: Type
    name: Name
    default: Value | None
    doc: str
    annotations: tuple[Annotation, ...]
    span: Span


class Reserved(msgspec.Struct, frozen=True, gc=False):
    """``reserved 6: string``; ``type`` is None in an enum. ``tag`` as in Field."""

    tag: int | None
    tag_span: Span
    type: Type | None
    annotations: tuple[Annotation, ...]
    span: Span


class EnumMember(msgspec.Struct, frozen=True, gc=False):
    """``HOME = 0``; ``number`` is None if it is missing or unreadable (reported)."""

    name: Name
    number: int | None
    number_span: Span
    doc: str
    annotations: tuple[Annotation, ...]
    span: Span


# Declarations


class Include(msgspec.Struct, frozen=True, gc=False):
    """``include "lib/common.idl"``; ``path_span`` includes the quotes."""

    path: str
    path_span: Span
    doc: str
    annotations: tuple[Annotation, ...]
    span: Span


class Const(msgspec.Struct, frozen=True, gc=False):
    type: Type
    name: Name
    value: Value
    doc: str
    annotations: tuple[Annotation, ...]
    span: Span


class Typedef(msgspec.Struct, frozen=True, gc=False):
    type: Type
    name: Name
    doc: str
    annotations: tuple[Annotation, ...]
    span: Span


class Enum(msgspec.Struct, frozen=True, gc=False):
    name: Name
    members: tuple[EnumMember | Reserved, ...]
    doc: str
    annotations: tuple[Annotation, ...]
    span: Span


class Struct(msgspec.Struct, frozen=True, gc=False):
    name: Name
    members: tuple[Field | Reserved, ...]
    doc: str
    annotations: tuple[Annotation, ...]
    span: Span


class Union(msgspec.Struct, frozen=True, gc=False):
    name: Name
    members: tuple[Field | Reserved, ...]
    doc: str
    annotations: tuple[Annotation, ...]
    span: Span


class ExceptionType(msgspec.Struct, frozen=True, gc=False):
    """``members`` is None for an exception without a body."""

    name: Name
    members: tuple[Field | Reserved, ...] | None
    doc: str
    annotations: tuple[Annotation, ...]
    span: Span


class Method(msgspec.Struct, frozen=True, gc=False):
    """A method, in a service or outside.

    Args:
        oneway: The place of the word ``oneway``, or None.
        params: Parameters and reserved tags, in order.
        params_span: From ``(`` to ``)``.
    """

    oneway: Span | None
    returns: Type
    name: Name
    params: tuple[Field | Reserved, ...]
    params_span: Span
    raises: tuple[Reference, ...]
    doc: str
    annotations: tuple[Annotation, ...]
    span: Span


class Service(msgspec.Struct, frozen=True, gc=False):
    name: Name
    extends: Reference | None
    methods: tuple[Method, ...]
    doc: str
    annotations: tuple[Annotation, ...]
    span: Span


Declaration: typing.TypeAlias = (
    "Include | Const | Typedef | Enum | Struct | Union | ExceptionType | Service | Method"
)


class File(msgspec.Struct, frozen=True, gc=False):
    """One parsed file.

    Args:
        doc: The file's own doc comment.
        items: Its declarations, in order; includes and methods outside services too.
        complete: No syntax error was found.
        lost: Every name in text that had to be skipped. A checker should not call a name
            undeclared that stands here, nor an owner short of a member of this name.
    """

    source: Source
    doc: str
    items: tuple[Declaration, ...]
    complete: bool
    lost: frozenset[str]
