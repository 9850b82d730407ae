"""Messages as commands are given them: hexadecimal digits, files, standard input."""

from __future__ import annotations

import os
import string
import sys

from rpcgen.cli.errors import CommandError, refused
from rpcgen.cli.registries import printable

_DIGITS = frozenset(string.hexdigits)
_BETWEEN = str.maketrans("", "", string.whitespace + ":_")


def read_input(said: str) -> bytes:
    """Gives the bytes that a word on the command line stands for.

    Raises:
        CommandError: It stands for none.
    """
    if said == "-":
        return _content(sys.stdin.buffer.read() if sys.stdin else b"", "standard input")
    if os.path.exists(said):
        try:
            with open(said, "rb") as file:
                return _content(file.read(), said)
        except OSError as error:
            raise refused(f"read {said}", error) from error
    digits = _digits(said)
    if digits is None:
        raise CommandError(
            f"{printable(said, 60)!r} is no file, and no hexadecimal digits", help="- reads standard input"
        )
    return _bytes(digits, printable(said, 60))


def _content(data: bytes, where: str) -> bytes:
    """Gives a file's bytes, or those that are written in it."""
    # No message consists of digits alone: calls begin with 0, frames with C1, replies with a small number.
    digits = _digits(data.decode("ascii")) if data.isascii() else None
    return data if digits is None else _bytes(digits, where)


def _digits(text: str) -> str | None:
    bare = text.translate(_BETWEEN).removeprefix("0x").removeprefix("0X")
    return bare if _DIGITS.issuperset(bare) else None


def _bytes(digits: str, where: str) -> bytes:
    if not digits:
        raise CommandError(f"there is nothing in {where}" if where else "INPUT is empty")
    if len(digits) % 2:
        raise CommandError(f"{where}: {len(digits)} hexadecimal digits: a byte has two, so one is missing")
    return bytes.fromhex(digits)
