"""JSON as text: read strictly, written shortly.

The standard library's parser is held to the standard. A text with what it would let through (duplicate
keys, bare NaN, lone surrogates, numbers of thousands of digits) is read once more, with marks in those
places: so the error can name the first. Sizes are checked before anything is read.
"""

from __future__ import annotations

import json
import re
import typing

import msgspec

from rpcgen.runtime.errors import DecodeError
from rpcgen.runtime.wire.limits import DEFAULT_LIMITS
from rpcgen.runtime.wire.scalars import shown

if typing.TYPE_CHECKING:
    from rpcgen.runtime.wire.limits import Limits

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_DIGITS = 4_000
"""Of an integer, at most; no type has as many. Python refuses to read more than 4,300."""


class _Fault(Exception):
    """There is something that JSON does not have."""


class _Faulty:
    """Stands in a parsed text for what JSON does not have."""

    __slots__ = ("problem",)

    def __init__(self, problem: str) -> None:
        self.problem = problem


def parse(data: bytes | bytearray | memoryview | str, limits: Limits = DEFAULT_LIMITS) -> typing.Any:
    """Reads a JSON text.

    Args:
        data: In UTF-8.
        limits: Of which ``message`` and ``items`` count. Items are all values in lists and objects: there
            is no telling yet which are fields.

    Returns:
        What ``json.loads`` would give.

    Raises:
        DecodeError: It is no JSON, or has duplicate keys, a bare NaN or Infinity, a lone surrogate or an
            integer of thousands of digits; the message names the place as ``person.tags[3]``. Or it is
            beyond the limits.
    """
    data = data.encode(errors="surrogatepass") if isinstance(data, str) else bytes(data)
    if len(data) > limits.message:
        raise DecodeError(f"a JSON text of {len(data)} bytes; the limit is {limits.message}")
    if len(data) > limits.items:
        _check_items(data, limits.items)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise DecodeError(f"invalid UTF-8: {error.reason} after {error.start} bytes") from None
    try:
        value = _STRICT.decode(text)
    except (_Fault, ValueError, RecursionError):
        value = _leniently(text)
        _refuse(value)
    if b"\\" in data and _SURROGATE.search(data):
        _refuse(value)
    return value


def text(value: object) -> bytes:
    """Writes a value as JSON, in UTF-8, without spaces.

    Args:
        value: Of what ``parse`` gives; no NaN and no infinities.
    """
    return msgspec.json.encode(value)


def _check_items(data: bytes, most: int) -> None:
    bare = _STRING.sub(b"", data)
    if bare.count(b",") + bare.count(b"[") + bare.count(b"{") > most:
        raise DecodeError(f"more than {most} items in a message")


def _leniently(text: str) -> typing.Any:
    """Reads a text that has a fault; what JSON does not have is marked in what comes of it.

    Raises:
        DecodeError: It is no JSON at all.
    """

    def pairs(members: list[tuple[str, typing.Any]]) -> object:
        names = [name for name, _ in members]
        twice = next((name for name in names if names.count(name) > 1), None)
        return dict(members) if twice is None else _Faulty(f"the key {shown(twice)} stands twice")

    def constant(token: str) -> object:
        return _Faulty(f'{token} is not JSON: write it as the string "{token}"')

    def integer(digits: str) -> object:
        if len(digits) <= _DIGITS:
            return int(digits)
        return _Faulty(f"an integer of {len(digits.lstrip('-'))} digits")

    try:
        return json.loads(text, object_pairs_hook=pairs, parse_constant=constant, parse_int=integer)
    except json.JSONDecodeError as error:
        raise DecodeError(f"no JSON: {error}") from None
    except RecursionError:
        raise DecodeError("no JSON that can be read: nested too deeply") from None


def _distinct(members: list[tuple[str, typing.Any]]) -> dict[str, typing.Any]:
    made = dict(members)
    if len(made) != len(members):
        raise _Fault
    return made


def _no_constant(token: str) -> typing.NoReturn:
    raise _Fault


_STRICT = json.JSONDecoder(object_pairs_hook=_distinct, parse_constant=_no_constant)


def _refuse(value: object) -> None:
    """Looks for what is faulty, nearest to the beginning.

    Raises:
        DecodeError: There is something.
    """
    # No recursion: an iterator of (step, value) for each level.
    levels: list[typing.Iterator[tuple[str, object]]] = [iter([("", value)])]
    path: list[str] = []
    while levels:
        step, value = next(levels[-1], (None, None))
        if step is None:
            levels.pop()
            if path:
                path.pop()
            continue
        if isinstance(value, _Faulty):
            raise DecodeError(_at([*path, step], value.problem))
        if isinstance(value, str) and not _is_unicode(value):
            raise DecodeError(_at([*path, step], "a lone surrogate, which is no character"))
        if isinstance(value, dict):
            if not all(map(_is_unicode, value)):
                raise DecodeError(_at([*path, step], "a lone surrogate in a key, which is no character"))
            levels.append(iter([(f".{name}", item) for name, item in value.items()]))
            path.append(step)
        elif isinstance(value, list):
            levels.append(iter([(f"[{index}]", item) for index, item in enumerate(value)]))
            path.append(step)


def _at(path: list[str], problem: str) -> str:
    where = "".join(path).removeprefix(".")
    return f"{where}: {problem}" if where else problem


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
