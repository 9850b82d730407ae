"""How things should be called, and what their names say that they are."""

from __future__ import annotations

import re
import typing

_PART: typing.Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

_MONEY: typing.Final = frozenset(
    (
        *(
            "price",
            "prices",
            "amount",
            "amounts",
            "cost",
            "costs",
            "money",
            "balance",
            "salary",
            "fee",
            "fees",
        ),
        *("tax", "taxes", "payment", "payments", "revenue", "budget", "wage", "wages", "refund", "deposit"),
        *("subtotal", "vat", "cents", "euros", "dollars", "pounds", "eur", "usd", "gbp", "chf"),
    )
)
_UNITS: typing.Final = frozenset(
    (
        *("us", "micros", "microseconds", "ms", "millis", "milliseconds", "sec", "secs", "second", "seconds"),
        *("mins", "minutes", "hours"),
    )
)
_READING: typing.Final = frozenset(
    (
        *(
            "get",
            "list",
            "find",
            "search",
            "fetch",
            "lookup",
            "count",
            "read",
            "show",
            "describe",
            "has",
            "is",
        ),
        *("exists", "query"),
    )
)
_MOMENTS: typing.Final = frozenset({"timestamp", "datetime"})


def words(name: str) -> list[str]:
    """Gives the words of a name in lower case: ``user``, ``id`` of ``userID``."""
    return [part.lower() for part in _PART.findall(name)]


def _snake(name: str) -> str:
    return "_".join(words(name))


def _capitals(name: str) -> str:
    return "".join(part if part.isupper() else part.capitalize() for part in _PART.findall(name))


class Style(typing.NamedTuple):
    """How names of some kinds are written; ``write`` makes such a name of any."""

    example: str
    pattern: re.Pattern[str]
    write: typing.Callable[[str], str]


LOWER: typing.Final = Style("lower_case", re.compile(r"_?[a-z][a-z0-9]*(?:_[a-z0-9]+)*_?"), _snake)
CAPITALS: typing.Final = Style("CapitalizedWords", re.compile(r"_?[A-Z][A-Za-z0-9]*_?"), _capitals)
UPPER: typing.Final = Style(
    "UPPER_CASE", re.compile(r"_?[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*_?"), lambda name: _snake(name).upper()
)

STYLES: typing.Final = {
    **dict.fromkeys(("method", "parameter", "field", "member"), LOWER),
    **dict.fromkeys(("service", "struct", "union", "enum", "exception", "typedef"), CAPITALS),
    **dict.fromkeys(("const", "enum member"), UPPER),
}
"""By kind."""


def is_money(name: str) -> bool:
    """Tells whether a name sounds like an amount of money."""
    return not _MONEY.isdisjoint(words(name))


def reads(name: str) -> bool:
    """Tells whether a method's name says that it changes nothing."""
    return words(name)[:1] != [] and words(name)[0] in _READING


def meant(name: str, scalar: str) -> str | None:
    """Gives the type that a number or string of this name should have been: a time or a duration."""
    found = words(name)
    last = found[-1] if found else ""
    if scalar == "string":
        if last == "date" or found[-2:] == ["birth", "day"] or last == "birthday":
            return "date"
        return "timestamp" if last in _MOMENTS or (last == "at" and len(found) > 1) else None
    if last in _UNITS:
        return "duration"
    return "timestamp" if last in _MOMENTS or (last == "at" and len(found) > 1) else None


def same_but_for_form(name: str) -> str:
    """Gives what two names have in common that readers take for one."""
    return name.replace("_", "").lower()
