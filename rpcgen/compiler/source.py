"""A file's text, and places in it."""

from __future__ import annotations

import bisect
import dataclasses
import re
import typing


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One file: its path as shown to the user, and its text with ``\\n`` line ends."""

    path: str
    text: str
    _starts: list[int] = dataclasses.field(default_factory=list, repr=False)

    def position(self, offset: int) -> tuple[int, int]:
        """Gives line and column of an offset; both count characters from 1."""
        starts = self._starts
        if not starts:
            starts.append(0)
            starts.extend(match.end() for match in re.finditer("\n", self.text))
        line = bisect.bisect_right(starts, offset)
        return line, offset - starts[line - 1] + 1

    def line(self, number: int) -> str:
        """Gives the text of a line, counted from 1, without its line end."""
        start = self.start_of(number)
        end = self.text.find("\n", start)
        return self.text[start : end if end >= 0 else len(self.text)]

    def start_of(self, number: int) -> int:
        """Gives the offset at which a line, counted from 1, begins."""
        self.position(0)
        return self._starts[number - 1]


class Span(typing.NamedTuple):
    """The characters ``start`` to ``end`` (not included) of a source.

    A named tuple, not a frozen dataclass: a large file has hundreds of thousands, and a
    tuple takes a third of the time to make.
    """

    source: Source
    start: int
    end: int

    @property
    def text(self) -> str:
        """What is written there."""
        return self.source.text[self.start : self.end]


class Decoded(typing.NamedTuple):
    """A file's bytes as text; ``fault`` says where and why they are not UTF-8, if they are not.

    The text is always usable: a byte that cannot be read stands in it as U+FFFD.
    """

    text: str
    fault: tuple[int, str] | None


def decode(data: bytes) -> Decoded:
    """Reads a file's bytes: UTF-8, a byte order mark dropped, every line end made ``\\n``.

    The offset of a fault counts characters of the text that is returned.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return Decoded("", (0, "it looks like UTF-16"))
    mark = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    data = data[mark:]
    try:
        return Decoded(_plain_line_ends(data.decode()), None)
    except UnicodeDecodeError as error:
        place = len(_plain_line_ends(data[: error.start].decode()))
        what = f"byte 0x{data[error.start]:02x} at position {mark + error.start}"
        return Decoded(_plain_line_ends(data.decode(errors="replace")), (place, what))


def _plain_line_ends(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
