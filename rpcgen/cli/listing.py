"""Explained bytes as lines in columns: where, which bytes, field, type, value, and what the interface says."""

from __future__ import annotations

import json
import typing

from rpcgen.cli.registries import printable
from rpcgen.cli.table import aligned
from rpcgen.runtime import schema
from rpcgen.runtime.schema import Enum, Scalar
from rpcgen.runtime.wire.dissect import Role, Row
from rpcgen.runtime.wire.json_values import forms

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.compiler.source import Span
    from rpcgen.runtime.wire.capture import Capture
    from rpcgen.runtime.wire.dissect import Place

WIDTH = 8
"""Bytes of a line."""
LINES = 3
"""Of one value's bytes that are shown, if not all are."""
VALUE, LINE = 44, 50
"""Characters of a value and of the interface's line that are shown, if not all are."""

HIDDEN = "--show-secrets shows it"
"""In place of credentials."""

_COLORS: typing.Final = {
    Role.HEADING: "1",
    Role.MARK: "2",
    Role.DEFAULT: "3",
    Role.PASSED: "33",
    Role.UNREAD: "31",
    Role.FAULT: "1;31",
}
_TITLES: typing.Final = ["OFFSET", "BYTES", "FIELD", "TYPE", "VALUE", "INTERFACE"]

_SCALARS = {each.name: each for each in vars(schema).values() if isinstance(each, Scalar)}


def listing(
    data: bytes,
    capture: Capture,
    lines: collections.abc.Mapping[Place, Span],
    *,
    full: bool = False,
    secrets: bool = False,
    color: bool = False,
) -> str:
    """Gives the whole text.

    Args:
        data: What was captured.
        capture: What was found in it.
        lines: Where the interface declares things.
        full: Cuts nothing.
        secrets: Shows credentials, too.
        color: With the codes of terminals.
    """
    parts = {0: data, **capture.parts}
    rows = [row._replace(is_secret=False) for row in capture.rows] if secrets else capture.rows
    cells, roles = [_TITLES], [Role.HEADING]
    last = ""
    for row in rows:
        if row.role in (Role.HEADING, Role.FAULT):
            continue
        place, line = _said(lines.get(row.place) if row.place else None, full)
        said = place if place == last else f"{place}  {line}".rstrip()
        last = place or last
        for number, piece in enumerate(_pieces(row, parts[row.part], full)):
            rest = _described(row, said, full) if number == 0 else ["", "", "", ""]
            at = f"{'+' if row.part else ''}{row.start + number * WIDTH}" if row.end > row.start else ""
            cells.append([at, piece, *rest])
            roles.append(row.role)
    texts = aligned(cells, [True, False, False, False, False, False])
    texts = [_painted(text, role, color) for text, role in zip(texts, roles, strict=True)]
    made, number = [texts[0]], 1
    for row in rows:
        if row.role is Role.HEADING:
            made += ["", _painted(row.name, row.role, color)]
        elif row.role is Role.FAULT:
            made.append(_painted(f"fault: {printable(row.value)}", row.role, color))
        else:
            count = len(_pieces(row, parts[row.part], full))
            made += texts[number : number + count]
            number += count
    return "\n".join(made) + "\n"


def _pieces(row: Row, data: bytes, full: bool) -> list[str]:
    """Gives a row's bytes, in lines."""
    if row.is_secret:
        return [f"{row.end - row.start} hidden"]
    last = row.end if full else min(row.end, row.start + WIDTH * LINES)
    found = [data[at : min(at + WIDTH, last)].hex(" ") for at in range(row.start, last, WIDTH)] or [""]
    return found if last == row.end else [*found, f"… {row.end - last} more"]


def _described(row: Row, said: str, full: bool) -> list[str]:
    value = told(row)
    return [
        "  " * row.level + printable(row.name),
        row.type,
        value if full else printable(value, VALUE),
        said,
    ]


def told(row: Row) -> str:
    """Gives a row's value as it is shown: on one line, and safe on a terminal."""
    value = row.value
    if row.is_secret:
        return HIDDEN
    if row.role is Role.MARK:
        return str(value)
    if row.role in (Role.PASSED, Role.UNREAD):
        size = row.end - row.start
        return "1 byte" if size == 1 else f"{size} bytes"
    text = _value(value, row.type)
    return f"{text} (left out: the default)" if row.role is Role.DEFAULT else text


def _value(value: typing.Any, type_: str) -> str:
    if isinstance(value, Enum):
        return f"{value.name} ({int(value)})" if value.name else f"{int(value)} (not known)"
    if isinstance(value, str):
        return printable(json.dumps(value, ensure_ascii=False))
    scalar = _SCALARS.get(type_.removesuffix("?"))
    if isinstance(value, bytes) or value is None or scalar is None:
        return {None: "none"}.get(value, repr(value)) if value.__hash__ else printable(repr(value))
    made = forms(scalar).write(value, 1)
    return made if isinstance(made, str) else json.dumps(made)


def _said(span: Span | None, full: bool) -> tuple[str, str]:
    """Gives a line of the interface: its place, and its text."""
    if span is None:
        return "", ""
    number, _ = span.source.position(span.start)
    text = printable(" ".join(span.source.line(number).split()), None if full else LINE)
    return f"{printable(span.source.path)}:{number}", text


def _painted(text: str, role: Role, color: bool) -> str:
    style = _COLORS.get(role)
    return f"\x1b[{style}m{text}\x1b[0m" if color and style and text else text
