"""What the words of the language mean, one line each, for those who point at them."""

from __future__ import annotations

import typing

from rpcgen.compiler.scalars import RANGES

_SIZES: typing.Final = {"byte": 8, "short": 16, "int": 32, "long": 64}


def _integer(name: str) -> str:
    low, high = RANGES[name]
    signed = "unsigned" if name.startswith("u") else "signed"
    return (
        f"an integer of {_SIZES[name.removeprefix('u')]} bits, {signed}: {low:,} to {high:,}; `int` in Python"
    )


TYPES: typing.Final[dict[str, str]] = {
    "bool": "true or false; `bool` in Python",
    **{name: _integer(name) for name in RANGES},
    "float": (
        "a number of 32 bits (IEEE 754 single), some 7 digits: 1/3 comes back as 0.3333333432674408;"
        " `float` in Python"
    ),
    "double": "a number of 64 bits (IEEE 754 double), some 16 digits; `float` in Python",
    "string": "text, in UTF-8 on the wire; `str` in Python",
    "bytes": "bytes; any buffer is accepted; `bytes` in Python",
    "timestamp": "a moment in UTC, in microseconds; an aware `datetime` in Python",
    "date": "a day, without time or zone; `datetime.date` in Python",
    "duration": "a length of time, in microseconds, such as `90s`; `datetime.timedelta` in Python",
    "uuid": "128 bits; `uuid.UUID` in Python",
    "decimal": "an exact decimal number, for money; `decimal.Decimal` in Python",
    "void": "nothing; for results alone",
    "list": "`list<T>`: items in their order; `list` in Python",
    "set": "`set<T>`: each item once; `set` in Python",
    "map": "`map<K, V>`: values by key; `dict` in Python",
}

KEYWORDS: typing.Final[dict[str, str]] = {
    "include": 'names of another file: `include "common.idl"` gives `common.Money`',
    "const": "a constant: `const int MAX = 100`",
    "typedef": "another name for a type: `typedef long UserId`",
    "enum": "a type of named numbers: `enum Kind { HOME = 0 }`",
    "struct": "a type of fields: `struct Person { 1: string name }`",
    "union": "a type that is one of its members: `union Shape { 1: Circle circle }`",
    "exception": "what a method may raise, after `=>`; without a body it carries a message",
    "service": "methods that go by its name: `service Directory { … }`",
    "extends": "the service has the methods of another one, too",
    "oneway": "the caller does not wait: the method returns nothing and raises nothing",
    "reserved": "a tag or number that was in use, and must not come again with another meaning",
    "true": "a value of bool",
    "false": "a value of bool",
}

ANNOTATIONS: typing.Final[dict[str, str]] = {
    "idempotent": "calling it twice does no more than calling it once: it is called again when a server fails",
    "timeout": "how long callers wait unless they say otherwise: `@timeout(2s)`",
    "attempts": "how often it is tried when it is queued as a task: `@attempts(5)`",
    "priority": "higher ones go first when they are queued as tasks; 0 if nothing is said: `@priority(1)`",
    "retryable": "who gets this exception may try again: channels do so by themselves",
    "status": "the status over HTTP: `@status(404)`",
    "deprecated": 'still there, but not to be used any more: `@deprecated("use find")`',
    "allow": 'holds a finding of lint or breaking back, with the reason: `@allow("L002", "an estimate")`',
}
