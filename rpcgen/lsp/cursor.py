"""What may come at a place, by the compiler's own grammar: the parse of all that stands before it.

The tokens up to the word that is being written are read with the parser's tables, and its recovery
where they are faulty; the parse stops there, and its stack tells what fits.
"""

from __future__ import annotations

import re
import typing

from rpcgen.compiler import lexer, parser, syntax, tables
from rpcgen.compiler.actions import Actions
from rpcgen.compiler.diagnostics import Report
from rpcgen.compiler.expectation import Frame
from rpcgen.compiler.lexer import Faults, Tokens
from rpcgen.compiler.recovery import Recovery
from rpcgen.compiler.source import Source
from rpcgen.compiler.walk import Walk

MOST: typing.Final = 300_000
"""Behind so many tokens nothing is said."""

_HERE: typing.Final = "$HERE"
_WORD: typing.Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_PATH: typing.Final = re.compile(r'"[^"\n]*\Z')


class Cursor:
    """A parse that has come to a place.

    Attributes:
        start: Where the word begins that is being written; the place itself if none is.
        path: What stands before the place of the path that an include is to have, else None.
        frame: The innermost list of members that is open.
    """

    def __init__(self, source: Source, start: int, walk: Walk, frame: Frame, path: str | None) -> None:
        self.source = source
        self.start = start
        self.path = path
        self.frame = frame
        self._walk = walk

    def expects(self, kind: str) -> bool:
        """Tells whether a terminal of the grammar fits here, for what it is and not as a name."""
        return self._walk.expects(kind)

    def symbol(self, back: int = 1) -> str:
        """Gives the symbol so far down the stack, the top one first; empty below its bottom."""
        return self._walk.symbol(-back) if back < len(self._walk.states) else ""

    def value(self, back: int = 1) -> typing.Any:
        """Gives what was read as that symbol: a node, or the number of a token."""
        return self._walk.values[-back] if back <= len(self._walk.values) else None

    def text(self, back: int = 1) -> str:
        """Gives what is written at that symbol, if it is a token; else nothing."""
        number = self.value(back)
        return self._walk.tokens.text(number) if type(number) is int else ""

    @property
    def direct(self) -> bool:
        """Whether no bracket of a type or value is open in the list."""
        return self.frame.bracket == self.frame.base

    @property
    def walk(self) -> Walk:
        """The parse itself."""
        return self._walk


def read(source: Source, offset: int, tree: syntax.File) -> Cursor | None:
    """Reads a text up to an offset; None in a comment, in another string than a path, or in a number.

    Args:
        tree: Of this text, or of one much like it: it says what need not be read.
    """
    before = _shortened(source.text, offset, tree)
    word = _WORD.search(before)
    start = word.start() if word else offset
    cut = Source(source.path, before[:start])
    tokens = lexer.tokens(cut, Faults(Report()), MOST)
    if tokens.cut or _in_comment(before, tokens):
        return None
    path = None
    if tokens.kinds[-2:-1] == ["STRING"] and tokens.starts[-2] in tokens.poor:
        opened = _PATH.search(before, tokens.starts[-2])
        if opened is None or tokens.kinds[-3:-2] != ["INCLUDE"]:
            return None
        path = before[opened.start() + 1 :]
        del tokens.kinds[-2], tokens.starts[-2], tokens.ends[-2]
    elif before[:start][-1:].isdigit():
        return None
    parser.ready(tokens)
    if tokens.kinds[-2:-1] == ["SEMICOLON"] and tokens.text(len(tokens.kinds) - 2) == ",":
        tokens.kinds[-2] = "COMMA"  # the list may well go on here
    # Behind the place stands what fits nowhere, so that nothing is closed or put in for it.
    tokens.kinds[-1:] = [_HERE, tables.END, tables.END]
    tokens.starts.extend((start, start))
    tokens.ends.extend((start, start))
    walk = _Walk(tokens, Actions(tokens))
    recovery = _Recovery(walk, Faults(Report()), set())
    recovery.end = walk.last
    try:
        recovery.run()
    except _Reached:
        return Cursor(source, start, walk, recovery.frame(), path)
    return None


def _shortened(text: str, offset: int, tree: syntax.File) -> str:
    """Gives the text up to an offset, with blanks for what comes long before and has no part in it.

    Of the declarations before the place the last two are kept, and of the methods around it.
    """
    same = min(offset, _alike(text, tree.source.text))
    text = text[:offset]
    items = [item for item in tree.items if item.span.start < same]
    methods = items[-1].methods if items and isinstance(items[-1], syntax.Service) else ()
    nodes: typing.Sequence[typing.Any]
    for nodes in (items, [method for method in methods if method.span.end < same]):
        if len(nodes) > 3:
            # The blanks begin behind the first and end in a line end: what follows begins a line, as before.
            start = nodes[0].span.end
            end = max(start + 1, nodes[-3].span.end)
            text = f"{text[:start]}{' ' * (end - start - 1)}\n{text[end:]}"
    return text


def _alike(text: str, other: str) -> int:
    """Gives how many characters two texts begin with in common."""
    if text is other:
        return len(text)
    low, high = 0, min(len(text), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if text[:middle] == other[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


class _Reached(Exception):
    pass


class _Walk(Walk):
    """A parse that ends before the place."""

    def __init__(self, tokens: Tokens, actions: Actions) -> None:
        super().__init__(tokens, actions)
        self.last = tokens.kinds.index(_HERE)

    def run(self, number: int, stop: int) -> int:
        if not number <= self.last < stop:
            return super().run(number, stop)
        number = super().run(number, self.last)
        if number == self.last:
            raise _Reached
        return number


class _Recovery(Recovery):
    def frame(self) -> Frame:
        """Gives the list of members that is open."""
        return self._frame()


def _in_comment(before: str, tokens: Tokens) -> bool:
    """Tells whether a text ends in a comment: behind its last token one begins that does not end."""
    at = tokens.ends[-2] if len(tokens.ends) > 1 else 0
    for match in lexer.expression().finditer(before, at):
        kind = match.lastgroup
        if kind == "open_comment":
            return True
        if kind in ("COMMENT", "DOC"):
            text = match[kind]
            if match.end() == len(before) and not text.startswith("/*"):
                return True
    return False
