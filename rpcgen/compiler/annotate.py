"""Annotations: the compiler's own, checked and read; dotted ones, kept for the user's templates."""

from __future__ import annotations

import dataclasses
import datetime
import re
import typing

from rpcgen.compiler import literals, model, syntax
from rpcgen.compiler.scope import Scope, a, did_you_mean

_LARGEST: typing.Final = 2**31 - 1
_FINDING: typing.Final = re.compile(r"[A-Z][0-9]{3}")
_METHOD: typing.Final = frozenset({"method"})
_USED: typing.Final = frozenset(
    {
        "method",
        "service",
        "struct",
        "union",
        "enum",
        "exception",
        "field",
        "parameter",
        "member",
        "enum member",
    }
)
PLACES: typing.Final[dict[str, frozenset[str]]] = {
    "idempotent": _METHOD,
    "timeout": _METHOD,
    "attempts": _METHOD,
    "priority": _METHOD,
    "retryable": frozenset({"exception"}),
    "status": frozenset({"exception"}),
    "deprecated": _USED,
    "allow": _USED | {"const", "typedef", "include"},
}
"""The compiler's own annotations, and at what each can stand."""


@dataclasses.dataclass(frozen=True, slots=True)
class Annotations:
    """What stands before a declaration; ``timeout`` is in seconds."""

    all: tuple[model.Annotation, ...] = ()
    idempotent: bool = False
    retryable: bool = False
    status: int | None = None
    timeout: float | None = None
    attempts: int | None = None
    priority: int = 0
    deprecated: str | None = None


_NONE: typing.Final = Annotations()


def read(scope: Scope, written: tuple[syntax.Annotation, ...], place: str) -> Annotations:
    """Checks and reads the annotations of a ``method``, ``field``, ``enum member`` …"""
    if not written:
        return _NONE
    first: dict[str, syntax.Annotation] = {}
    kept: list[model.Annotation] = []
    values: dict[str, model.Literal] = {}
    for node in written:
        name, span = node.name
        own = "." not in name
        if own and name not in PLACES:
            if name not in scope.file.syntax.lost:
                help = (
                    did_you_mean(near and f"@{near}")
                    if (near := scope.speller.nearest(name, PLACES))
                    else ("annotations of your own have a dot: @acme.owner")
                )
                scope.error("E410", span, "", help=help, name=name)
            continue
        if own and place not in PLACES[name]:
            scope.error("E411", span, "", help=_where(name), name=name, what=a(place))
            continue
        if own and name in first and name != "allow":
            scope.error("E413", span, "again here", ((first[name].name.span, "first here"),), name=name)
            continue
        first[name] = node
        arguments = tuple(literals.plain(scope, argument) for argument in node.arguments)
        if own:
            values[name] = _argument(scope, node, arguments)
        kept.append(model.Annotation(name, arguments, node.span))
    timeout, deprecated = values.get("timeout"), values.get("deprecated")
    attempts, priority, status = (values.get(name) for name in ("attempts", "priority", "status"))
    return Annotations(
        tuple(kept),
        "idempotent" in values,
        "retryable" in values,
        status if isinstance(status, int) else None,
        timeout.total_seconds() if isinstance(timeout, datetime.timedelta) else None,
        attempts if isinstance(attempts, int) else None,
        priority if isinstance(priority, int) else 0,
        deprecated if isinstance(deprecated, str) else None,
    )


def allows(annotations: tuple[model.Annotation, ...], code: str) -> list[model.Annotation]:
    """Gives each ``@allow`` among these that holds the findings of a code back."""
    return [one for one in annotations if one.name == "allow" and one.arguments[:1] == (code,)]


def _where(name: str) -> str:
    places = PLACES[name]
    return f"it stands at {a(min(places))}" if len(places) == 1 else "it stands at what can be called or used"


def _argument(scope: Scope, node: syntax.Annotation, arguments: tuple[model.Literal, ...]) -> model.Literal:
    """Gives the argument of one of the compiler's own annotations, None if there is none or it is at fault."""
    name = node.name.text
    if None in arguments:
        return None
    match name, arguments:
        case (("idempotent" | "retryable"), ()):
            return None
        case "timeout", (datetime.timedelta() as time,) if time > datetime.timedelta():
            return time
        case "attempts", (int() as count,) if count is not True and 0 < count <= _LARGEST:
            return count
        case "status", (int() as number,) if 400 <= number <= 599:
            return number
        case "priority", (int() as number,) if not isinstance(number, bool) and abs(number) <= _LARGEST:
            return number
        case "deprecated", (str() as why,):
            return why
        case "allow", (str() as code, str() as why) if _FINDING.fullmatch(code) and why.strip():
            return code
    takes, example = {
        "timeout": ("one duration above zero", "@timeout(2s)"),
        "attempts": ("one whole number above zero", "@attempts(5)"),
        "status": ("one status of HTTP from 400 to 599", "@status(404)"),
        "priority": ("one whole number of 32 bits", "@priority(1)"),
        "deprecated": ("one string", '@deprecated("use find")'),
        "allow": ("a finding's code and why it is allowed", '@allow("B102", "nobody calls it")'),
    }.get(name, ("no arguments", f"@{name}"))
    scope.error("E412", node.span, "", help=f"write {example}", name=name, what=takes)
    return None
