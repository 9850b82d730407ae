"""Values of defaults and constants as Python source, quoted as ruff format quotes."""

from __future__ import annotations

import datetime
import decimal
import math
import re
import typing
import unicodedata
import uuid

from rpcgen.codegen.layout import Expression, Group
from rpcgen.compiler import model

_PLAIN = re.compile(r"[ !#-\[\]-~]*")
_SPACED: typing.Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# The two joiners are part of words in several scripts, and of emoji.
_JOINERS: typing.Final = "\u200c\u200d"


def escape(char: str) -> str:
    """Gives a character that must not stand in source as its escape, any other as itself.

    Control characters, surrogates, line separators, and marks that turn the direction of
    text or cannot be seen: what a reader would take for something else.
    """
    if unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn") or char in _JOINERS:
        return char
    if char in _SPACED:
        return _SPACED[char]
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def quote(text: str) -> str:
    """Gives a string literal."""
    if _PLAIN.fullmatch(text):
        return f'"{text}"'
    mark = "'" if text.count('"') > text.count("'") else '"'
    inner = text.replace("\\", "\\\\").replace(mark, "\\" + mark)
    return mark + "".join(map(escape, inner)) + mark


def quote_bytes(data: bytes) -> str:
    """Gives a bytes literal."""
    mark = "'" if data.count(b'"') > data.count(b"'") else '"'
    parts = []
    for byte in data:
        char = chr(byte)
        if char in (mark, "\\"):
            parts.append("\\" + char)
        else:
            parts.append(char if 32 <= byte < 127 else _SPACED.get(char, f"\\x{byte:02x}"))
    return f"b{mark}{''.join(parts)}{mark}"


def number(value: float) -> str:
    """Gives a float literal, or what stands for one that has none."""
    if math.isnan(value) or math.isinf(value):
        return f'float("{value}")'
    return repr(value).replace("e+", "e")


def moment(value: datetime.datetime) -> Group:
    """Gives an aware datetime, in UTC."""
    at = value.astimezone(datetime.UTC)
    parts = [at.year, at.month, at.day, at.hour, at.minute, at.second, at.microsecond]
    while len(parts) > 3 and parts[-1] == 0:
        parts.pop()
    return Group("datetime.datetime(", [*map(str, parts), "tzinfo=datetime.UTC"], ")")


def span(value: datetime.timedelta) -> Group:
    """Gives a timedelta."""
    parts = {"days": value.days, "seconds": value.seconds, "microseconds": value.microseconds}
    return Group("datetime.timedelta(", [f"{name}={part}" for name, part in parts.items() if part], ")")


def scalar(value: object) -> tuple[Expression, str]:
    """Gives a scalar's literal, and the module that it needs (or an empty text)."""
    match value:
        case None | bool() | int():
            return repr(value), ""
        case float():
            return number(value), ""
        case str():
            return quote(value), ""
        case bytes():
            return quote_bytes(value), ""
        case decimal.Decimal():
            return f'decimal.Decimal("{value}")', "decimal"
        case datetime.datetime():
            return moment(value), "datetime"
        case datetime.date():
            return f"datetime.date({value.year}, {value.month}, {value.day})", "datetime"
        case datetime.timedelta():
            return span(value), "datetime"
        case uuid.UUID():
            return f'uuid.UUID("{value}")', "uuid"
    raise TypeError(f"{value!r} is no value of an interface")


def is_mutable(type: model.Type) -> bool:
    """Tells whether values of a type need a fresh default each time."""
    return isinstance(type, model.ListOf | model.SetOf | model.MapOf)
