"""Which rows of captured frames are credentials: those of a HELLO, and properties and metadata by their names."""

from __future__ import annotations

import re
import typing

from rpcgen.runtime.wire.dissect import Role

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.wire.dissect import Row

_SECRET: typing.Final = re.compile(
    "auth|token|secret|passw|pwd|credential|cookie|session|signature|(api|private|access)[-_.]?key",
    re.IGNORECASE,
)
"""What fields, properties and metadata are called whose values are nobody else's."""

_KEY: typing.Final = "] key"
"""How the name of a map's key ends; its value's is ``[NUMBER]``."""


def hide_values(rows: list[Row], first: int) -> None:
    """Marks the values that go by secret names, from a row on."""
    name = ""

    def is_secret(row: Row) -> bool:
        nonlocal name
        if row.name.endswith(_KEY):
            name = str(row.value)
            return False
        if not row.name.startswith("["):
            name = row.name
        return row.role is Role.VALUE and _SECRET.search(name) is not None

    _hide(rows, first, is_secret)


def hide_unread(rows: list[Row], first: int) -> None:
    """Marks what could not be read, from a row on."""
    _hide(rows, first, lambda row: row.role is Role.UNREAD)


def hide_compressed(rows: list[Row], expanded: int) -> None:
    """Marks the compressed bytes whose expansion has secrets, from its first row on."""
    if any(row.is_secret for row in rows[expanded:]):
        _hide(rows, expanded - 1, lambda row: row.name == "compressed")


def _hide(rows: list[Row], first: int, is_secret: collections.abc.Callable[[Row], bool]) -> None:
    for place in range(first, len(rows)):
        if is_secret(rows[place]):
            rows[place] = rows[place]._replace(is_secret=True)
