"""Messages as commands are given them: hexadecimal digits, files, standard input."""

from __future__ import annotations

import argparse
import os
import string
import sys
import typing

from rpcgen.cli import interface as interfaces
from rpcgen.cli.console import plural
from rpcgen.cli.errors import CommandError, refused
from rpcgen.cli.registries import printable

if typing.TYPE_CHECKING:
    from rpcgen.cli.arguments import Parser
    from rpcgen.cli.console import Console
    from rpcgen.cli.interface import Opened
    from rpcgen.runtime.wire.capture import Capture
    from rpcgen.runtime.wire.codec import ReferenceCodec

SAID = """\
INPUT is hexadecimal digits (spaces and colons between them do not matter), a file of such digits or
of the bytes themselves, or - for standard input, which may be either."""

OPTIONS = f"""\
{interfaces.OPTIONS}
  --reply                     it is plain replies, whatever it looks like
  --calls INPUT               what the other end sent: which methods these are replies to"""

_DIGITS = frozenset(string.hexdigits)
_BETWEEN = str.maketrans("", "", string.whitespace + ":_")


def add_options(parser: Parser) -> None:
    """Adds the options that ``capture_of`` reads."""
    parser.add_argument("words", nargs="*", metavar="INPUT METHOD")
    interfaces.add_options(parser)
    parser.add_argument("--reply", action="store_true")
    parser.add_argument("--calls", metavar="INPUT")


def capture_of(
    arguments: argparse.Namespace, console: Console, example: str
) -> tuple[bytes, Opened, Capture] | None:
    """Reads INPUT by the interface; None: that one has errors, which have been shown.

    Raises:
        CommandError: There is no such input or method, or replies could be for any.
    """
    data, method = _given(arguments.words, example)
    known = interfaces.opened(arguments, console)
    if known is None:
        return None
    return data, known, _captured(data, known, method, reply=arguments.reply, calls=arguments.calls)


def _given(words: typing.Sequence[str], example: str) -> tuple[bytes, str | None]:
    """Reads INPUT, and METHOD if there is one."""
    if not words:
        raise CommandError("INPUT is missing", help=f"such as {example}")
    if len(words) > 2:
        raise CommandError(f"there is no place for {words[2]!r}", help="put hexadecimal digits into quotes")
    return read_input(words[0]), words[1] if len(words) == 2 else None


def _captured(
    data: bytes, interface: Opened, method: str | None, *, reply: bool, calls: str | None
) -> Capture:
    """Reads a capture.

    Raises:
        CommandError: There is no such method, or replies could be for any.
    """
    from rpcgen.runtime.wire.capture import Unknown, read

    if method is not None:
        interface.method(method)
    answered = None if calls is None else read(read_input(calls), interface.methods).calls
    try:
        return read(data, interface.methods, kind="replies" if reply else None, method=method, calls=answered)
    except Unknown:
        raise _which(interface, "it is a reply, and a reply does not say which method it is for") from None


def only_method(interface: Opened) -> ReferenceCodec:
    """Gives the interface's method, where METHOD is not said.

    Raises:
        CommandError: It has none, or several.
    """
    if len(interface.own) != 1:
        raise _which(interface, "METHOD is missing")
    return interface.methods[interface.own[0]]


def _which(interface: Opened, problem: str) -> CommandError:
    names = interface.own
    there = f"one of {', '.join(names[:20])}{', …' if len(names) > 20 else ''}" if names else "it has none"
    return CommandError(problem, help=f"name the METHOD: {there}")


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
        raise CommandError(
            f"{where}: {plural(len(digits), 'hexadecimal digit')}: a byte has two, so one is missing"
        )
    return bytes.fromhex(digits)
