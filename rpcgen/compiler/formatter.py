"""Interface text in its canonical form, with its comments where they stood.

``canonical`` writes the text without comments. Its tokens are those of the source, less what the
form leaves out (separators, ``()`` of annotations): so each comment of the source has its gap
between two tokens of the canonical text, and is put there. Blank lines between items stay, one
at most.
"""

from __future__ import annotations

import bisect
import dataclasses
import re
import typing

from rpcgen.compiler import canonical, lexer, parser, syntax
from rpcgen.compiler.diagnostics import Report
from rpcgen.compiler.source import Source, Span

_DOCS: typing.Final = re.compile(r"(?:[ ]*///[^\n]*\n)+")
_DEEPER: typing.Final = "    "
_OPENING: typing.Final = frozenset("([{")
_CLOSING: typing.Final = frozenset(")]}")
_TIGHT: typing.Final = frozenset(")]}>,;:?.(")


def format_file(file: syntax.File) -> str:
    """Gives a file's text in canonical form, comments kept.

    Args:
        file: It must be ``complete``: what could not be read cannot be written.

    Raises:
        AssertionError: The text would mean something else, which is a fault of this module.
    """
    assert file.complete
    read = _Reading(file)
    text = _weave(canonical.write_file(file, read.apart()), read)
    again = parser.parse(Source(file.source.path, text), Report())
    if not again.complete or canonical.write_file(again) != canonical.write_file(file):
        raise AssertionError(f"the form of {file.source.path} would not mean what the file does")
    return text


def form(source: Source, report: Report) -> str | None:
    """Gives a text in canonical form; None if it has syntax errors, which go into the report."""
    heard = Report()
    tree = parser.parse(source, heard)
    for found in heard.diagnostics:
        if found.severity == "error":
            report.add(found)
    return format_file(tree) if tree.complete else None


@dataclasses.dataclass(slots=True, eq=False)
class _Comment:
    """A comment, or the place of a doc comment that the canonical text has.

    Args:
        text: As written; empty for such a place.
        breaks: Line ends between what stands before it and it: 2 means a blank line, or several.
        column: Characters before it on its line, if nothing but blanks stands there; else -1.
    """

    text: str
    breaks: int
    column: int

    @property
    def is_place(self) -> bool:
        return not self.text

    @property
    def is_doc(self) -> bool:
        return not self.text or (self.text.startswith("///") and not self.text.startswith("////"))

    @property
    def ends_line(self) -> bool:
        return not self.text.startswith("/*")


@dataclasses.dataclass(slots=True, eq=False)
class _Gap:
    """What stands before a token; ``after`` counts line ends between the last of it and the token."""

    comments: list[_Comment] = dataclasses.field(default_factory=list)
    after: int = 0
    left_out: bool = False
    """A token stood in it that the canonical text leaves out."""


class _Reading:
    """The tokens of the source, and the comments between them."""

    def __init__(self, file: syntax.File) -> None:
        self.file = file
        self.source = file.source
        self.text = file.source.text
        tokens = lexer.tokens(file.source, lexer.Faults(Report()))
        self._docs = tokens.docs
        self._places: dict[int, int] = {}  # of doc comments: start to end
        self._moved: set[int] = set()  # tokens to which a doc comment goes from behind them
        if tokens.file_doc_span:
            self._places[tokens.file_doc_span.start] = tokens.file_doc_span.end
        _each_node(file.items, self._place)
        self.gaps: list[tuple[str, _Gap]] = []
        self._forcing: list[int] = []
        self._read()

    def _place(self, node: typing.Any) -> None:
        """Notes which doc comment a node has taken, as ``Actions`` does it."""
        if not getattr(node, "doc", ""):
            return
        word = first = node.span.start
        if node.annotations:
            first = node.annotations[0].span.start
        taken = first if first in self._docs else word
        span = self._docs[taken][1]
        self._places[span.start] = span.end
        if taken != first:
            self._moved.add(first)
            self._places[span.start] = -span.end

    def _read(self) -> None:
        """Fills ``gaps``: each token's text with what stands before it, and last the end of the file."""
        gap, end, inside = _Gap(), 0, 0
        for match in lexer.expression().finditer(self.text):
            kind = match.lastgroup or "end"
            start, stop = match.span(kind)
            breaks = min(self.text.count("\n", end, start), 2)
            if kind in ("DOC", "COMMENT"):
                if start < inside:  # a further line of a doc comment
                    end = stop
                    continue
                place = self._places.get(start)
                inside = abs(place) if place else 0
                if place is None or place > 0:
                    text = "" if place else self.text[start:stop]
                    gap.comments.append(_Comment(text, breaks, self._column(start)))
                    if gap.comments[-1].ends_line or breaks:
                        self._forcing.append(start)
                end = stop
                continue
            if start in self._moved:
                after_doc = bool(gap.comments) and gap.comments[-1].is_doc
                gap.comments.append(_Comment("", 2 if after_doc else 1, 0))
                breaks = 1
            gap.after = breaks
            self.gaps.append((match[kind], gap))
            gap, end = _Gap(), stop
            if kind == "end":
                break

    def _column(self, start: int) -> int:
        line = self.text.rfind("\n", 0, start) + 1
        return start - line if not self.text[line:start].strip() else -1

    def apart(self) -> frozenset[int]:
        """Finds the lists in which a comment has to stand on, or ends, a line."""
        found: list[int] = []

        def look(node: typing.Any) -> None:
            span: Span | None = getattr(node, "params_span", None)
            if isinstance(node, syntax.Const):
                span = node.value.span
            if span is not None:
                at = bisect.bisect_left(self._forcing, span.start)
                if at < len(self._forcing) and self._forcing[at] < span.end:
                    found.append(span.start)

        _each_node(self.file.items, look)
        return frozenset(found)

    def matched(self, tokens: list[str]) -> list[_Gap]:
        """Gives the gap before each token of the canonical text, and the last one."""
        found: list[_Gap] = []
        before = _Gap()
        for text, gap in self.gaps[:-1]:
            if before.left_out:
                gap = _joined(before, gap)
            if len(found) < len(tokens) and _same(text, tokens[len(found)]):
                found.append(gap)
                before = _Gap()
            else:
                before, before.left_out = gap, True
        last = self.gaps[-1][1]
        found.append(_joined(before, last) if before.left_out else last)
        assert len(found) == len(tokens) + 1
        for number, text in enumerate(tokens):
            if text == ",":
                _pass_on(found[number], found[number + 1])
        return found


def _each_node(items: typing.Iterable[typing.Any], visit: typing.Callable[[typing.Any], None]) -> None:
    """Visits declarations, members, methods and parameters, as they stand."""
    for item in items:
        visit(item)
        for inner in ("members", "methods", "params"):
            _each_node(getattr(item, inner, None) or (), visit)


def _same(text: str, other: str) -> bool:
    if text == other:
        return True
    return other[0].isdigit() and text[:2] in ("0x", "0X") and int(text, 16) == int(other, 0)


def _joined(before: _Gap, gap: _Gap) -> _Gap:
    """Makes one gap of those around a token that is left out.

    A doc comment that belonged to nothing, as it stood before that token or on its line, could come
    to belong to the next one: it becomes the plain comment that it is.
    """
    unbound = list(before.comments)
    is_block = False  # its further lines go the way of the first
    for comment in gap.comments:
        if comment.breaks > is_block or (comment.breaks and not comment.is_doc):
            break
        is_block = comment.is_doc
        unbound.append(comment)
        if "\n" in comment.text:
            break
    for comment in unbound:
        if comment.is_doc and not comment.is_place:
            comment.text = comment.text[1:]
    after = gap.after if gap.comments else max(before.after, gap.after)
    return _Gap([*before.comments, *gap.comments], after, True)


def _pass_on(gap: _Gap, following: _Gap) -> None:
    """Moves what ends the line before a comma behind it."""
    forcing = any(comment.ends_line or comment.breaks for comment in gap.comments)
    if forcing and not any(
        comment.is_doc and not comment.is_place for comment in [*gap.comments, *following.comments]
    ):
        if not following.comments:
            following.after = max(following.after, gap.after)
        following.comments[:0] = gap.comments
        gap.comments.clear()


# Writing


def _weave(form: str, read: _Reading) -> str:
    """Puts the comments into the gaps of the canonical text."""
    tokens: list[tuple[str, int, int]] = []
    for match in lexer.expression().finditer(form):
        kind = match.lastgroup or "end"
        if kind not in ("DOC", "COMMENT", "end"):
            tokens.append((match[kind], *match.span(kind)))
    gaps = read.matched([text for text, _, _ in tokens])
    parts: list[str] = []
    before, end, indent, annotation = "", 0, "", False
    for (text, start, stop), gap in zip([*tokens, ("", len(form), len(form))], gaps, strict=True):
        space = form[end:start]
        if not before or not text or "\n" in space:
            line = space[space.rfind("\n") + 1 :]
            parts.append(_between_lines(gap, space, before, text, annotation))
            indent, annotation = line, text == "@"
        else:
            parts.append(_within_line(gap, space, before, text, indent + _DEEPER))
        parts.append(text)
        before, end = text, stop
    return "".join(parts)


def _within_line(gap: _Gap, space: str, before: str, text: str, indent: str) -> str:
    """Writes what stands between two tokens that the canonical text has on one line."""
    if not gap.comments:
        return space
    parts: list[str] = []
    last: _Comment | None = None
    own_line = False
    for comment in gap.comments:
        if comment.breaks or (last and last.ends_line):
            own_line = True
            parts.append("\n" * (2 if last and comment.breaks > 1 else 1) + indent)
        elif comment.ends_line:
            parts.append("  ")
        elif last or before not in _OPENING or space:
            parts.append(" ")
        parts.append(_shown(comment, len(indent) if own_line else -1))
        last = comment
    assert last is not None
    if last.ends_line or (own_line and gap.after):
        parts.append("\n" + (indent.removesuffix(_DEEPER) if text in _CLOSING else indent))
    elif text not in _TIGHT:
        parts.append(" ")
    return "".join(parts)


def _between_lines(gap: _Gap, space: str, before: str, text: str, annotation: bool) -> str:
    """Writes what stands between two lines of the canonical text.

    Args:
        space: What it has there: line ends, doc comments and the indent.
        annotation: The line before is one of annotations.
    """
    docs = _DOCS.findall(space)
    indent = space[space.rfind("\n") + 1 :]
    blank = _DOCS.sub("", space).startswith("\n\n")  # must stand somewhere here
    inner = indent + _DEEPER if text in _CLOSING and text else indent
    is_item = not annotation and before != ","
    lines: list[tuple[bool, str]] = []  # whether a blank line comes first, and the line
    tail = ""  # what ends the line before
    last: _Comment | None = None
    of_file = not before and bool(docs) and space.startswith(f"{docs[0]}\n")
    apart = False  # the file's own doc comment comes first: it is that by the blank line after it
    for comment in gap.comments:
        joins = not comment.is_place and not comment.breaks and not (last and last.ends_line)
        if joins and not lines and before:
            tail += ("  " if last is None else " ") + _shown(comment, -1)
        elif joins and lines:
            lines[-1] = lines[-1][0], f"{lines[-1][1]} {_shown(comment, -1)}"
        else:
            wide = comment.breaks > 1 and (last is not None or (is_item and before not in _OPENING))
            line = docs.pop(0).rstrip("\n") if comment.is_place else inner + _shown(comment, len(inner))
            lines.append((wide or apart, line))
            apart, of_file = of_file and comment.is_place, of_file and not comment.is_place
        last = comment
    assert not docs
    ends = (
        gap.after > 1
        and is_item
        and bool(text)
        and text not in _CLOSING
        and not (last and last.is_place)
        and (last is not None or before not in _OPENING)
    )
    if blank and not ends and not any(wide for wide, _ in lines):
        lines[:1] = [(True, line) for _, line in lines[:1]]
        ends = not lines
    written = tail + "".join("\n" * (1 + wide) + line for wide, line in lines)
    if not before:
        written = written.lstrip("\n")
    if not text:
        return f"{written}\n" if before or written else ""
    if not written and not before:
        return indent
    if lines and last and not last.ends_line and not gap.after and text not in _CLOSING:
        return f"{written} "
    return written + "\n" * (1 + (ends or apart)) + indent


def _shown(comment: _Comment, column: int) -> str:
    """Gives a comment's text; that of several lines is moved as a whole with its first one.

    Args:
        column: Where it begins on a line of its own, else -1.
    """
    first, *rest = (line.rstrip() for line in comment.text.split("\n"))
    if not rest or column < 0 or comment.column < 0 or column == comment.column:
        return "\n".join([first, *rest])
    shift = column - comment.column
    moved = []
    for line in rest:
        bare = line.lstrip(" \t")
        moved.append(" " * max(0, len(line) - len(bare) + shift) + bare if bare else "")
    return "\n".join([first, *moved])
