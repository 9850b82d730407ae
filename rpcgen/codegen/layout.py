"""Lays Python expressions out as ruff format does, in lines of 88 columns.

What fits stands on one line; what does not has its items on lines of their own, each with
a trailing comma, which the formatter keeps. What still does not fit (a name of 90
characters) is marked ``fmt: skip``, so that the formatter leaves it alone.
"""

from __future__ import annotations

import collections.abc
import typing
import unicodedata

WIDTH: typing.Final = 88
SKIP: typing.Final = "  # fmt: skip"


class Group:
    """A bracketed list of items: a call, a tuple, a list, a signature.

    Args:
        open: Everything up to and with the bracket: ``rpc.Param(`` or ``default=[``.
        items: What stands in it.
        close: The bracket, and what must follow it on its line.
        spread: Each item has a line of its own even if all would fit on one.
    """

    __slots__ = ("close", "flat", "items", "open", "spread")

    def __init__(
        self, open: str, items: collections.abc.Sequence[Expression], close: str, spread: bool = False
    ) -> None:
        self.open = open
        self.items = items
        self.close = close
        self.spread = spread and len(items) > 1
        texts = []
        for item in items:
            if isinstance(item, str):
                texts.append(item)
            else:
                texts.append(item.flat)
                self.spread = self.spread or item.spread
        self.flat: str = open + ", ".join(texts) + close


class Alternatives:
    """``A | B | C``."""

    __slots__ = ("flat", "items", "spread")

    def __init__(self, items: collections.abc.Sequence[str]) -> None:
        self.items = items
        self.spread = False
        self.flat = " | ".join(items)


Expression: typing.TypeAlias = "str | Group | Alternatives"


def tuple_of(items: collections.abc.Sequence[Expression], spread: bool = False) -> Group:
    """Gives ``(a, b)``, ``(a,)`` or ``()``."""
    return Group("(", items, ",)" if len(items) == 1 else ")", spread)


def statement(before: str, expression: Expression, after: str = "", indent: int = 0) -> str:
    """Gives ``before + expression + after``, in one or more lines.

    Args:
        before: The beginning of the statement, such as ``name = ``.
        expression: The part that may be broken.
        after: The end of the statement, such as ``:``.
        indent: How far in the statement stands. Its first line is given without it.
    """
    if isinstance(expression, str):
        flat, spread = expression, False
    else:
        flat, spread = expression.flat, expression.spread
    text = before + flat + after
    # The quick way for nearly all: the width of ASCII is its length.
    if not spread and indent + len(text) <= WIDTH and text.isascii():
        return text
    lines = _lines(before, expression, after, indent)
    joined = f"\n{' ' * indent}".join(lines)
    return joined + SKIP if any(_may_exceed(line, indent) for line in lines) else joined


def _lines(before: str, expression: Expression, after: str, indent: int) -> list[str]:
    if isinstance(expression, str):
        flat, spread = before + expression + after, False
    else:
        flat, spread = before + expression.flat + after, expression.spread
    if not spread and not _exceeds(flat, indent):
        return [flat]
    if isinstance(expression, Group) and expression.items:
        lines = [before + expression.open]
        for item in expression.items:
            lines.extend("    " + line for line in _lines("", item, ",", indent + 4))
        closing = expression.close.removeprefix(",")
        return [*lines, closing + after]
    if before.endswith(" = ") and not after:
        return _parenthesised(before, expression, indent) or [flat]
    return [flat]


def _parenthesised(before: str, expression: Expression, indent: int) -> list[str] | None:
    flat = expression if isinstance(expression, str) else expression.flat
    if flat.endswith(("]", ")")):
        return None  # the formatter would break it where its brackets are
    if not _exceeds(flat, indent + 4):
        return [before + "(", "    " + flat, ")"]
    if isinstance(expression, Alternatives):
        first, *rest = expression.items
        return [before + "(", "    " + first, *("    | " + item for item in rest), ")"]
    return None


def _exceeds(line: str, indent: int) -> bool:
    return indent + _widths(line)[1] > WIDTH


def _may_exceed(line: str, indent: int) -> bool:
    least, most = _widths(line)
    return indent + most > WIDTH or (least != most and indent + most > WIDTH - most + least)


def _widths(line: str) -> tuple[int, int]:
    """Gives the columns that a line takes, at least and at most.

    Combining characters take none and wide ones two, but how many it is of a sequence only the
    formatter knows.
    """
    if line.isascii():
        return len(line), len(line)
    odd = sum(
        unicodedata.category(char)[0] not in "LNP" or unicodedata.east_asian_width(char) in "WF"
        for char in line
        if not char.isascii()
    )
    return len(line) - odd, len(line) + odd
