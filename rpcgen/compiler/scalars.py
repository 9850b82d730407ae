"""Single values: what is written, or a constant gives, as a scalar; rounded, or refused with the reason."""

from __future__ import annotations

import datetime
import decimal
import re
import struct
import typing
import uuid

from rpcgen.compiler import model, syntax
from rpcgen.compiler.resolve import spoken
from rpcgen.compiler.scope import Scope, a
from rpcgen.compiler.source import Span

DIGITS: typing.Final = 1_000
EXPONENT: typing.Final = 6_144
_WIDTHS = {"byte": 8, "short": 16, "int": 32, "long": 64}
RANGES: typing.Final[dict[str, tuple[int, int]]] = {
    **{name: (-(1 << bits - 1), (1 << bits - 1) - 1) for name, bits in _WIDTHS.items()},
    **{f"u{name}": (0, (1 << bits) - 1) for name, bits in _WIDTHS.items()},
}
_LONG = RANGES["long"]
_TIMESTAMP = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_FORMS = {
    "timestamp": 'RFC 3339 with a zone, such as "2026-01-31T12:00:00Z"',
    "date": 'year, month and day, such as "2026-01-31"',
    "uuid": '"6ba7b810-9dad-11d1-80b4-00c04fd430c8", for example',
}


def convert(scope: Scope, node: syntax.Value, wanted: model.Scalar) -> model.Literal:
    """Converts a single written value."""
    name = wanted.name
    match node:
        case syntax.IntValue(value, span):
            if name in RANGES:
                return integer(scope, value, wanted, span)
            if name in ("float", "double"):
                return real(scope, value, name, span.text, span)
            if name == "decimal":
                return exact(scope, str(value), span)
        case syntax.FloatValue(number, span):
            if name in ("float", "double"):
                return real(scope, number, name, span.text, span)
            if name == "decimal":
                return exact(scope, span.text, span)
        case syntax.BoolValue(truth, _):
            if name == "bool":
                return truth
        case syntax.DurationValue(microseconds, span):
            if name == "duration":
                if _LONG[0] <= microseconds <= _LONG[1]:
                    return datetime.timedelta(microseconds=microseconds)
                scope.error(
                    "E302",
                    span,
                    value=span.text,
                    type="a duration",
                    help="a duration has 64 bits of microseconds",
                )
                return None
        case syntax.StringValue(text, data, span):
            match name:
                case "string":
                    return text
                case "bytes":
                    return data
                case "timestamp" | "date" | "uuid":
                    return _from_text(scope, text, name, span)
    mismatch(scope, what_is(node), wanted, node.span, hint(node, wanted))
    return None


def integer(scope: Scope, value: int, wanted: model.Type, span: Span) -> int | None:
    assert isinstance(wanted, model.Scalar)
    lowest, highest = RANGES[wanted.name]
    if lowest <= value <= highest:
        return value
    what = spoken(wanted)
    shown = span.text if len(span.text) <= 40 else "the number"
    scope.error("E302", span, value=shown, type=what, help=f"{what} is {lowest} to {highest}")
    return None


def real(scope: Scope, value: float, name: str, text: str, span: Span) -> float | None:
    try:
        number = float(value)
        if number in (float("inf"), float("-inf")):
            raise OverflowError
        return float(struct.unpack(">f", struct.pack(">f", number))[0]) if name == "float" else number
    except OverflowError:
        shown = text if len(text) <= 40 else "the number"
        scope.error(
            "E302",
            span,
            value=shown,
            type=f"a {name}",
            help=f"a {name} has {32 if name == 'float' else 64} bits",
        )
        return None


def exact(scope: Scope, text: str, span: Span) -> decimal.Decimal | None:
    try:
        number = decimal.Decimal(text)
    except decimal.InvalidOperation:
        number = decimal.Decimal("NaN")  # an exponent beyond all measure
    _, digits, exponent = number.as_tuple()
    if isinstance(exponent, int) and len(digits) <= DIGITS and abs(exponent) <= EXPONENT:
        return number
    shown = span.text if len(span.text) <= 40 else "the number"
    help = f"a decimal has at most {DIGITS:,} digits and an exponent within ±{EXPONENT:,}"
    scope.error("E302", span, value=shown, type="a decimal", help=help)
    return None


def _from_text(scope: Scope, text: str, name: str, span: Span) -> model.Literal:
    try:
        match name:
            case "uuid" if _UUID.fullmatch(text):
                return uuid.UUID(text)
            case "date" if found := _DATE.fullmatch(text):
                return datetime.date(*map(int, found.groups()))
            case "timestamp" if found := _TIMESTAMP.fullmatch(text):
                return _moment(found)
    except (ValueError, OverflowError):
        pass
    scope.error(
        "E301",
        span,
        what=span.text if len(span.text) <= 60 else "the text",
        type=a(name),
        help=f"expected {_FORMS[name]}",
    )
    return None


def _moment(found: re.Match[str]) -> datetime.datetime:
    year, month, day, hour, minute, second, fraction, sign, hours, minutes = found.groups()
    moment = datetime.datetime(
        int(year),
        int(month),
        int(day),
        int(hour),
        int(minute),
        int(second),
        int((fraction or "").ljust(6, "0")),
        datetime.UTC,
    )
    if sign is None:
        return moment
    if int(hours) > 23 or int(minutes) > 59:
        raise ValueError("no such zone")
    offset = datetime.timedelta(hours=int(hours), minutes=int(minutes))
    return moment - offset if sign == "+" else moment + offset


def mismatch(scope: Scope, what: str, wanted: model.Type, span: Span, help: str = "") -> None:
    scope.error("E301", span, "", help=help, what=what, type=spoken(wanted))


_SPOKEN: typing.Final[dict[type, str]] = {
    syntax.IntValue: "an integer",
    syntax.FloatValue: "a number with a fraction",
    syntax.BoolValue: "a bool",
    syntax.StringValue: "a string",
    syntax.DurationValue: "a duration",
}


def what_is(node: syntax.Value) -> str:
    return f"{node.span.text}, {_SPOKEN[type(node)]}," if len(node.span.text) <= 40 else _SPOKEN[type(node)]


def hint(node: syntax.Value, wanted: model.Type) -> str:
    match wanted, node:
        case model.Scalar("bool"), syntax.IntValue():
            return "write true or false"
        case model.Scalar("duration"), syntax.IntValue() | syntax.FloatValue():
            return f"write a unit: {node.span.text}s"
        case model.Scalar("timestamp" | "date" | "uuid" as name), _:
            return f"expected {_FORMS[name]}"
        case model.Scalar("string"), syntax.IntValue() | syntax.FloatValue():
            return f'write "{node.span.text}"'
        case model.Scalar("decimal"), syntax.StringValue(text, _, _) if re.fullmatch(r"-?\d+(\.\d+)?", text):
            return f"write {text}"
        case model.Named("enum", name, file), _:
            return f"write {file + '.' if file else ''}{name} and one of its members"
    return ""
