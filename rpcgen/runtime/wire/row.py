"""A row of values being written: fixed-width ones side by side are packed in one go."""

from __future__ import annotations

import itertools
import typing

from rpcgen.runtime.records import Record
from rpcgen.runtime.wire.scalars import SIZES

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.wire.source import Source


class Fixed(Record):
    """A code of ``struct`` and the expression of its argument."""

    code: str
    argument: str


class Sized(Record):
    """The expressions of a length or count, of the bytes after it, and of their number if it is known."""

    length: str
    body: str
    size: str = ""


class Whole(Record):
    """The expression of bytes that carry their own length."""

    body: str


Part: typing.TypeAlias = "Fixed | Sized | Whole | Row"


class Row:
    """Runs of fixed-width values and bytes between them, in the order of the wire.

    Args:
        codes: What comes first: codes of ``struct``,
        arguments: and their arguments; ``TOTAL`` stands for the length of what follows it.
    """

    def __init__(self, source: Source, codes: collections.abc.Sequence[str] = "", *arguments: str) -> None:
        self._source = source
        self._head = list(zip(codes, arguments, strict=True))
        self._pieces: list[tuple[str, str] | str] = []  # (code, argument), or the name of bytes
        self._lengths: list[str] = []

    def add(self, part: Part, tag: int | None = None) -> None:
        """Adds a value, after its tag."""
        if tag is not None:
            self._pieces.append(("B", str(tag)))
        if isinstance(part, Row):
            self._pieces += part.pieces()
            self._lengths += part._lengths
        elif isinstance(part, Fixed):
            self._pieces.append((part.code, part.argument))
        elif isinstance(part, Sized):
            self._pieces.append(("I", part.length))
            self.bytes(part.body, part.size)
        else:
            self.bytes(part.body)

    def bytes(self, name: str, size: str = "") -> None:
        """Adds the bytes that a variable holds; ``size`` is the expression of their number."""
        self._pieces.append(name)
        self._lengths.append(size or f"len({name})")

    def pieces(self) -> list[tuple[str, str] | str]:
        """Gives everything in order, the head with its total."""
        fixed = sum(SIZES[piece[0]] for piece in self._pieces if isinstance(piece, tuple))
        total = " + ".join([str(fixed)] * bool(fixed or not self._lengths) + self._lengths)
        return [(code, total if each == "TOTAL" else each) for code, each in self._head] + self._pieces

    def expression(self) -> str:
        """Gives the bytes of it all."""
        found: list[str] = []
        for fixed, pieces in itertools.groupby(self.pieces(), lambda piece: isinstance(piece, tuple)):
            if fixed:
                codes, arguments = zip(*pieces, strict=True)
                found.append(f"{self._source.pack(''.join(codes))}({', '.join(arguments)})")
            else:
                found += typing.cast("list[str]", list(pieces))
        if len(found) <= 2:
            return " + ".join(found)
        return f'b"".join(({", ".join(found)}))'
