"""What each rule of the grammar makes of its parts: a node of the syntax tree.

A method here has the name of a rule, or of an alternative (``-> name``), and takes the rule's
symbols in order: numbers of tokens, and what the rules below have made. Rules that are not
here hand on their one part, or gather a list.
"""

from __future__ import annotations

import re
import typing

from rpcgen.compiler import syntax
from rpcgen.compiler.lexer import Tokens
from rpcgen.compiler.source import Span

_UNITS: typing.Final = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
}
_SURROGATES: typing.Final = "surrogatepass"  # they are reported already
_PIECE: typing.Final = re.compile(r"[^\\]+|\\(?:x..|u.{4}|U.{8}|.)")
_ESCAPES: typing.Final = {"n": "\n", "r": "\r", "t": "\t", "0": "\0"}

Members: typing.TypeAlias = "tuple[syntax.Field | syntax.Reserved, ...]"
EnumMembers: typing.TypeAlias = "tuple[syntax.EnumMember | syntax.Reserved, ...]"
Annotations: typing.TypeAlias = "tuple[syntax.Annotation, ...]"
T = typing.TypeVar("T")


def gathered(*parts: typing.Any) -> list[typing.Any]:
    """A list of what stands between separators: grows the list that comes first, if one does."""
    if parts and type(parts[0]) is list:
        found: list[typing.Any] = parts[0]
        parts = parts[1:]
    else:
        found = []
    for part in parts:
        if type(part) is list:
            found.extend(part)
        elif type(part) is not int:
            found.append(part)
    return found


class Actions:
    """Makes the nodes of one file."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self.source = tokens.source
        self.starts = tokens.starts
        self.ends = tokens.ends

    def _from(self, first: int, end: int) -> Span:
        return Span(self.source, self.starts[first], end)

    def _between(self, first: int, last: int) -> Span:
        return Span(self.source, self.starts[first], self.ends[last])

    def _name(self, token: int) -> syntax.Name:
        start, end = self.starts[token], self.ends[token]
        return syntax.Name(self.source.text[start:end], Span(self.source, start, end))

    def _doc(self, annotations: Annotations, start: int) -> str:
        """Takes the doc comment before a node, or between its annotations and its first word."""
        docs = self.tokens.docs
        if not docs:
            return ""
        found = docs.pop(start, None)
        if annotations:
            found = docs.pop(annotations[0].span.start, found)
        return found[0] if found else ""

    # Lists

    def start(self, *parts: typing.Any) -> tuple[syntax.Declaration, ...]:
        return tuple(gathered(*parts))

    def annotations(self, *parts: typing.Any) -> Annotations:
        return tuple(parts[0]) if parts else ()

    methods = members = enum_members = annotations
    gathered = staticmethod(gathered)
    params = raises = values = entries = dotted = start

    def word(self, token: int) -> syntax.Name:
        return self._name(token)

    # Declarations

    def include(self, annotations: Annotations, word: int, path: int, end: None) -> syntax.Include:
        text = self.string(path)
        doc = self._doc(annotations, self.starts[word])
        value = text.value if isinstance(text, syntax.StringValue) else ""
        return syntax.Include(value, text.span, doc, annotations, self._between(word, path))

    def const(
        self,
        annotations: Annotations,
        word: int,
        type: syntax.Type,
        name: int,
        equal: int,
        value: syntax.Value,
        end: None,
    ) -> syntax.Const:
        span = self._from(word, value.span.end)
        return syntax.Const(
            type, self._name(name), value, self._doc(annotations, span.start), annotations, span
        )

    def typedef(
        self, annotations: Annotations, word: int, type: syntax.Type, name: int, end: None
    ) -> syntax.Typedef:
        span = self._between(word, name)
        return syntax.Typedef(type, self._name(name), self._doc(annotations, span.start), annotations, span)

    def enum(
        self,
        annotations: Annotations,
        word: int,
        name: int,
        opened: int,
        members: EnumMembers,
        closed: int,
        end: None,
    ) -> syntax.Enum:
        span = self._between(word, closed)
        return syntax.Enum(self._name(name), members, self._doc(annotations, span.start), annotations, span)

    def struct(
        self,
        annotations: Annotations,
        word: int,
        name: int,
        opened: int,
        members: Members,
        closed: int,
        end: None,
    ) -> syntax.Struct:
        span = self._between(word, closed)
        return syntax.Struct(self._name(name), members, self._doc(annotations, span.start), annotations, span)

    def union(
        self,
        annotations: Annotations,
        word: int,
        name: int,
        opened: int,
        members: Members,
        closed: int,
        end: None,
    ) -> syntax.Union:
        span = self._between(word, closed)
        return syntax.Union(self._name(name), members, self._doc(annotations, span.start), annotations, span)

    def exception(
        self, annotations: Annotations, word: int, name: int, *body: typing.Any
    ) -> syntax.ExceptionType:
        members, last = (body[1], body[2]) if len(body) == 4 else (None, name)
        span = self._between(word, last)
        doc = self._doc(annotations, span.start)
        return syntax.ExceptionType(self._name(name), members, doc, annotations, span)

    def service(
        self,
        annotations: Annotations,
        word: int,
        name: int,
        extends: syntax.Reference | None,
        opened: int,
        methods: tuple[syntax.Method, ...],
        closed: int,
        end: None,
    ) -> syntax.Service:
        span = self._between(word, closed)
        doc = self._doc(annotations, span.start)
        return syntax.Service(self._name(name), extends, methods, doc, annotations, span)

    def extends(self, word: int = 0, parent: syntax.Reference | None = None) -> syntax.Reference | None:
        return parent

    def method(
        self,
        annotations: Annotations,
        oneway: Span | None,
        returns: syntax.Type,
        name: int,
        opened: int,
        params: Members,
        closed: int,
        *tail: typing.Any,
    ) -> syntax.Method:
        raises: tuple[syntax.Reference, ...] = tail[1] if len(tail) == 3 else ()
        start = oneway.start if oneway else returns.span.start
        return syntax.Method(
            oneway,
            returns,
            self._name(name),
            params,
            self._between(opened, closed),
            raises,
            self._doc(annotations, start),
            annotations,
            Span(self.source, start, raises[-1].span.end if raises else self.ends[closed]),
        )

    def oneway(self, word: int | None = None) -> Span | None:
        return None if word is None else self.tokens.span(word)

    def end(self, separator: int | None = None) -> None:
        return None

    after_raises = end

    # Members

    def member(self, member: T, end: None) -> T:
        return member

    enum_member = member

    def _number(self, token: int) -> int | None:
        """Reads a tag or an enum's number; None if the token is no number, or not there."""
        start, end = self.starts[token], self.ends[token]
        if start == end or start in self.tokens.poor:
            return None
        text = self.source.text[start:end]
        return int(text, 16) if "x" in text or "X" in text else int(text)

    def field(
        self,
        annotations: Annotations,
        tag: int,
        colon: int,
        type: syntax.Type,
        name: int,
        default: syntax.Value | None,
    ) -> syntax.Field:
        span = self._from(tag, default.span.end if default else self.ends[name])
        doc = self._doc(annotations, span.start)
        return syntax.Field(
            self._number(tag), self.tokens.span(tag), type, self._name(name), default, doc, annotations, span
        )

    def default(self, equal: int = 0, value: syntax.Value | None = None) -> syntax.Value | None:
        return value

    def reserved(
        self, annotations: Annotations, word: int, tag: int, colon: int, type: syntax.Type
    ) -> syntax.Reserved:
        span = self._from(word, type.span.end)
        self._doc(annotations, span.start)
        return syntax.Reserved(self._number(tag), self.tokens.span(tag), type, annotations, span)

    def enum_value(self, annotations: Annotations, name: int, equal: int, number: int) -> syntax.EnumMember:
        span = self._between(name, number)
        doc = self._doc(annotations, span.start)
        return syntax.EnumMember(
            self._name(name), self._number(number), self.tokens.span(number), doc, annotations, span
        )

    def reserved_number(self, annotations: Annotations, word: int, number: int) -> syntax.Reserved:
        span = self._between(word, number)
        self._doc(annotations, span.start)
        return syntax.Reserved(self._number(number), self.tokens.span(number), None, annotations, span)

    def annotation(
        self, at: int, parts: tuple[syntax.Name, ...], *arguments: typing.Any
    ) -> syntax.Annotation:
        name = syntax.Name(
            ".".join(part.text for part in parts),
            Span(self.source, parts[0].span.start, parts[-1].span.end),
        )
        if not arguments:
            return syntax.Annotation(name, (), self._from(at, name.span.end))
        return syntax.Annotation(name, arguments[1], self._between(at, arguments[2]))

    # Types

    def scalar(self, word: int) -> syntax.Scalar:
        start, end = self.starts[word], self.ends[word]
        return syntax.Scalar(self.source.text[start:end], Span(self.source, start, end))

    def reference(self, name: int) -> syntax.Reference:
        found = self._name(name)
        return syntax.Reference(None, found, found.span)

    def qualified(self, qualifier: int, dot: int, name: int) -> syntax.Reference:
        return syntax.Reference(self._name(qualifier), self._name(name), self._between(qualifier, name))

    def list_type(self, word: int, opened: int, item: syntax.Type, closed: int) -> syntax.ListType:
        return syntax.ListType(item, self._between(word, closed))

    def set_type(self, word: int, opened: int, item: syntax.Type, closed: int) -> syntax.SetType:
        return syntax.SetType(item, self._between(word, closed))

    def map_type(
        self, word: int, opened: int, key: syntax.Type, comma: int, value: syntax.Type, closed: int
    ) -> syntax.MapType:
        return syntax.MapType(key, value, self._between(word, closed))

    def optional_type(self, item: syntax.Type, mark: int) -> syntax.OptionalType:
        place = self.tokens.span(mark)
        return syntax.OptionalType(item, place, Span(self.source, item.span.start, place.end))

    # Values

    def integer(self, token: int) -> syntax.IntValue | syntax.Broken:
        number, span = self._number(token), self.tokens.span(token)
        return syntax.Broken(span) if number is None else syntax.IntValue(number, span)

    def real(self, token: int) -> syntax.FloatValue | syntax.Broken:
        span = self.tokens.span(token)
        if span.start in self.tokens.poor:
            return syntax.Broken(span)
        return syntax.FloatValue(float(span.text), span)

    def string(self, token: int) -> syntax.StringValue | syntax.Broken:
        span = self.tokens.span(token)
        if span.start in self.tokens.poor:
            return syntax.Broken(span)
        return syntax.StringValue(*unescape(span.text[1:-1]), span)

    def duration(self, token: int) -> syntax.DurationValue | syntax.Broken:
        span = self.tokens.span(token)
        if span.start in self.tokens.poor:
            return syntax.Broken(span)
        digits = span.text.rstrip("umshd")
        whole, _, fraction = digits.partition(".")
        unit = _UNITS[span.text[len(digits) :]]
        size = abs(int(whole)) * unit + int(fraction or "0") * unit // 10 ** len(fraction)
        return syntax.DurationValue(-size if digits.startswith("-") else size, span)

    def true(self, word: int) -> syntax.BoolValue:
        return syntax.BoolValue(True, self.tokens.span(word))

    def false(self, word: int) -> syntax.BoolValue:
        return syntax.BoolValue(False, self.tokens.span(word))

    def name_value(self, parts: tuple[syntax.Name, ...]) -> syntax.NameValue:
        return syntax.NameValue(parts, Span(self.source, parts[0].span.start, parts[-1].span.end))

    def list_value(self, opened: int, items: tuple[syntax.Value, ...], closed: int) -> syntax.ListValue:
        return syntax.ListValue(items, self._between(opened, closed))

    def map_value(
        self, opened: int, entries: tuple[tuple[syntax.Value, syntax.Value], ...], closed: int
    ) -> syntax.MapValue:
        return syntax.MapValue(entries, self._between(opened, closed))

    def entry(self, key: syntax.Value, colon: int, value: syntax.Value) -> tuple[syntax.Value, syntax.Value]:
        return key, value


def unescape(text: str) -> tuple[str, bytes]:
    """Resolves the escapes of a string: its text, and its bytes with ``\\xHH`` as one byte."""
    if "\\" not in text:
        return text, text.encode("utf-8", _SURROGATES)
    plain: list[str] = []
    data: list[bytes] = []
    for piece in _PIECE.findall(text):
        if not piece.startswith("\\"):
            char = piece
        elif piece[1] in "xuU":
            char = chr(int(piece[2:], 16))
        else:
            char = _ESCAPES.get(piece[1], piece[1])
        plain.append(char)
        data.append(bytes((ord(char),)) if piece.startswith("\\x") else char.encode("utf-8", _SURROGATES))
    return "".join(plain), b"".join(data)
