"""Places in a text: lines and characters as an editor counts them, to offsets and back.

A line ends with ``\\n``, ``\\r\\n`` or ``\\r`` and nothing else; a character is one of the encoding that
was agreed upon. What lies outside is taken for the nearest place inside. (pygls ends lines at form
feeds and the like, too, as Python does; an editor does not, and would be shown wrong places.)
"""

from __future__ import annotations

import re
import typing

from rpcgen.compiler.source import Source

Encoding: typing.TypeAlias = typing.Literal["utf-8", "utf-16", "utf-32"]
Place: typing.TypeAlias = "tuple[int, int]"
"""Line and character, counted from 0."""

MARK: typing.Final = "\ufeff"
"""The byte order mark, which the compiler leaves out and some editors send."""

_LINE_END: typing.Final = re.compile(r"\r\n|\n|\r")


def width(text: str, encoding: Encoding) -> int:
    """Gives how many characters an editor counts in a text without line ends."""
    if encoding == "utf-32" or text.isascii():
        return len(text)
    if encoding == "utf-8":
        return len(text.encode("utf-8", "surrogatepass"))
    return len(text) + sum(char > "\uffff" for char in text)


def length(text: str, characters: int, encoding: Encoding) -> int:
    """Gives how long a beginning of a text is that an editor counts so many characters in."""
    if encoding == "utf-32" or text.isascii():
        return min(max(characters, 0), len(text))
    for index, char in enumerate(text):
        if characters <= 0:
            return index
        characters -= width(char, encoding)
    return len(text)


def line_starts(text: str) -> list[int]:
    """Gives where each line of a text as editors hold it begins."""
    return [0, *(match.end() for match in _LINE_END.finditer(text))]


def offset_in(text: str, starts: list[int], place: Place, encoding: Encoding) -> int:
    """Gives the offset of a place in a text as editors hold it.

    Args:
        starts: Its ``line_starts``.
    """
    line, character = max(place[0], 0), place[1]
    if line >= len(starts):
        return len(text)
    end = starts[line + 1] if line + 1 < len(starts) else len(text)
    body = text[starts[line] : end].rstrip("\r\n")
    return starts[line] + length(body, character, encoding)


class Places:
    """The places of one source as the compiler has it: line ends are ``\\n``, a mark is left out.

    Args:
        marked: The editor has a byte order mark before it.
    """

    def __init__(self, source: Source, encoding: Encoding, marked: bool = False) -> None:
        self._source = source
        self._encoding = encoding
        self._marked = marked

    def place(self, offset: int) -> Place:
        """Gives where the editor has an offset."""
        line, column = self._source.position(min(max(offset, 0), len(self._source.text)))
        before = self._source.line(line)[: column - 1]
        if self._marked and line == 1:
            before = MARK + before
        return line - 1, width(before, self._encoding)

    def offset(self, place: Place) -> int:
        """Gives the offset of a place of the editor's."""
        line, character = place
        if line < 0:
            return 0
        text = self._source.text
        last, _ = self._source.position(len(text))
        if line >= last:
            return len(text)
        body, start = self._source.line(line + 1), self._source.start_of(line + 1)
        if self._marked and line == 0:
            return start + max(length(MARK + body, character, self._encoding) - 1, 0)
        return start + length(body, character, self._encoding)
