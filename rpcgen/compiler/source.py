"""A file's text, and places in it."""

from __future__ import annotations

import bisect
import dataclasses


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
            starts.extend(i + 1 for i, char in enumerate(self.text) if char == "\n")
        line = bisect.bisect_right(starts, offset)
        return line, offset - starts[line - 1] + 1


@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    """The characters ``start`` to ``end`` (not included) of a source."""

    source: Source
    start: int
    end: int
