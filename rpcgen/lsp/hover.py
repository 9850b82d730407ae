"""What stands at a place: a declaration in canonical form with its doc comment, or what a word means."""

from __future__ import annotations

import os
import typing

import msgspec

from rpcgen.compiler import canonical, lexer, model, syntax
from rpcgen.compiler.loader import File
from rpcgen.compiler.resolve import Resolver
from rpcgen.compiler.scope import Scope
from rpcgen.compiler.source import Source, Span
from rpcgen.lsp import mentions, words
from rpcgen.lsp.workspace import Analysis

LINES: typing.Final = 40
"""A declaration of more lines is cut."""

_WORDS: typing.Final = {**words.KEYWORDS, **words.TYPES}


class Hover(typing.NamedTuple):
    """What is shown of a place, in Markdown, and the place."""

    text: str
    span: Span


def hover(found: Analysis, offset: int) -> Hover | None:
    """Gives what is to be shown at an offset."""
    here = mentions.at(found, offset)
    if here is None:
        return _word(found.source, offset)
    text = describe(found, here.symbol)
    return Hover(text, here.span) if text else None


def describe(found: Analysis, symbol: mentions.Symbol) -> str:
    """Gives a thing in Markdown; empty if there is nothing to say."""
    if symbol.file == "@":
        (name,) = symbol.way
        meaning = words.ANNOTATIONS.get(name)
        meaning = meaning or ("an annotation of your own" if "." in name else "")
        return f"`@{name}`: {meaning}" if meaning else ""
    node = mentions.node_of(found, symbol)
    if node is None:
        return ""
    if isinstance(node, File):
        return _joined(f"include {os.path.basename(node.path)}", node.syntax.doc)
    shown = _written(mentions.scope_of(found, symbol.file), node)
    owner = symbol.way[-2] if len(symbol.way) > 1 else ""
    head = [f"// in {owner}"] if owner else []
    if symbol.file != found.real:
        head = [f"// in {os.path.basename(symbol.file)}{f': {owner}' if owner else ''}"]
    lines = [*head, *shown.rstrip("\n").split("\n")]
    if len(lines) > LINES:
        lines[LINES:] = [f"    // … {len(lines) - LINES} more lines"]
    return _joined("\n".join(lines), node.doc)


def _joined(code: str, doc: str) -> str:
    text = f"```rpcgen\n{code}\n```"
    return f"{text}\n\n{doc}" if doc else text


def _written(scope: Scope | None, node: typing.Any) -> str:
    """Gives a declaration or member without its doc comment."""
    bare = msgspec.structs.replace(node, doc="")
    match bare:
        case syntax.Method():
            return canonical.write_method(bare, "")
        case syntax.EnumMember():
            return bare.span.text
        case syntax.Field():
            text = bare.span.text if bare.tag is None else canonical.write_field(bare, True)
            return text + _behind(scope, bare.type)
        case syntax.Typedef():
            return canonical.write_declaration(bare).rstrip("\n") + _behind(scope, bare.type)
    return canonical.write_declaration(bare)


def _behind(scope: Scope | None, node: syntax.Type) -> str:
    """Says what a type is that is written by another name."""
    if scope is None:
        return ""
    resolver = Resolver(mentions.silent(scope))
    shown = model.idl(resolver.resolve(node))
    return f"  // {shown}" if resolver.aliased and shown else ""


def _word(source: Source, offset: int) -> Hover | None:
    """Says what a word of the language means that stands at an offset."""
    span = word_at(source, offset)
    meaning = _WORDS.get(span.text) if span else None
    return Hover(f"`{span.text}`: {meaning}", span) if span and meaning else None


def word_at(source: Source, offset: int) -> Span | None:
    """Gives the word that an offset is in or behind; None in comments, strings and the like."""
    for match in lexer.expression().finditer(source.text):
        kind = match.lastgroup or "end"
        start, end = match.span(kind)
        if end >= offset:
            # Two tokens can meet at an offset: `list` and `<`.
            return Span(source, start, end) if kind == "NAME" and start <= offset else None
        if kind == "end":
            break
    return None
