"""Values without parts, between Python and what ``struct`` packs.

A scalar is either fixed, one code of ``struct``, or a length and bytes. Numbers need no
conversion: ``struct`` checks their ranges. The others are converted by a pair of functions,
made at first use, so that a program without timestamps does not load datetime.
"""

from __future__ import annotations

import functools
import typing

from rpcgen.runtime import schema
from rpcgen.runtime.records import Record

if typing.TYPE_CHECKING:
    import collections.abc

    Convert: typing.TypeAlias = collections.abc.Callable[[typing.Any], typing.Any]

CODES = {
    schema.BOOL: "B",
    schema.BYTE: "b",
    schema.SHORT: "h",
    schema.INT: "i",
    schema.LONG: "q",
    schema.UBYTE: "B",
    schema.USHORT: "H",
    schema.UINT: "I",
    schema.ULONG: "Q",
    schema.FLOAT: "f",
    schema.DOUBLE: "d",
    schema.TIMESTAMP: "q",
    schema.DATE: "i",
    schema.DURATION: "q",
    schema.UUID: "16s",
}
"""The fixed scalars, and how ``struct`` writes each."""

_CONVERTED = (schema.BOOL, schema.TIMESTAMP, schema.DATE, schema.DURATION, schema.UUID)

NUMBERS: dict[schema.Type, str] = {type_: code for type_, code in CODES.items() if type_ not in _CONVERTED}
"""Those whose values are what ``struct`` takes and gives."""

ENUM_CODE = "i"

SIZED = (schema.STRING, schema.BYTES, schema.DECIMAL)
"""The other scalars: a length and as many bytes."""

SIZES = {"B": 1, "b": 1, "h": 2, "H": 2, "i": 4, "I": 4, "f": 4, "q": 8, "Q": 8, "d": 8, "16s": 16}

EXPECTED = {
    schema.BOOL: "bool must be True or False",
    schema.BYTE: "byte must be -128..127",
    schema.SHORT: "short must be -32768..32767",
    schema.INT: "int must be -2147483648..2147483647",
    schema.LONG: "long must be -9223372036854775808..9223372036854775807",
    schema.UBYTE: "ubyte must be 0..255",
    schema.USHORT: "ushort must be 0..65535",
    schema.UINT: "uint must be 0..4294967295",
    schema.ULONG: "ulong must be 0..18446744073709551615",
    schema.FLOAT: "float must be a number within ±3.4028235e38, or NaN or infinite",
    schema.DOUBLE: "double must be a number within ±1.7976931348623157e308, or NaN or infinite",
    schema.STRING: "string must be a str without lone surrogates",
    schema.BYTES: "bytes must be bytes, bytearray or another buffer",
    schema.TIMESTAMP: "timestamp must be an aware datetime (one with a tzinfo) of the years 1 to 9999 in UTC",
    schema.DATE: "date must be a datetime.date, and not a datetime",
    schema.DURATION: "duration must be a timedelta of -2**63..2**63-1 microseconds",
    schema.UUID: "uuid must be a uuid.UUID",
    schema.DECIMAL: "decimal must be a finite Decimal of at most 1000 digits and an exponent within ±6144",
}
"""What an EncodeError says of a value that does not fit."""


class Conversion(Record):
    """How a scalar that ``struct`` does not know is read and written.

    Args:
        to_wire: From the user's value to what ``struct`` packs, or to bytes; any exception
            means that the value does not fit.
        from_wire: The way back; any exception means that the peer's value is no such value.
    """

    to_wire: Convert
    from_wire: Convert


def conversion(scalar: schema.Scalar) -> Conversion | None:
    """Gives how a scalar is converted; None for a number, which needs no conversion."""
    make = _CONVERSIONS.get(scalar)
    return None if make is None else make()


def shown(value: object) -> str:
    """Gives a value for a message: short, whatever it is."""
    try:
        text = repr(value)
    except Exception:  # an int of 5,000 digits; a user's own __repr__
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _bool_to_wire(value: object) -> int:
    if value is True:
        return 1
    if value is False:
        return 0
    raise TypeError


def _bool_from_wire(number: int) -> bool:
    if number > 1:
        raise ValueError(f"bool must be 0 or 1, not {number}")
    return number == 1


def _string_from_wire(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"invalid UTF-8: {error.reason} after {error.start} bytes") from None


def _bytes_to_wire(value: typing.Any) -> bytes:
    return value if type(value) is bytes else memoryview(value).tobytes()


@functools.cache
def _timestamps() -> Conversion:
    import datetime

    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    first, last = -62_135_596_800_000_000, 253_402_300_799_999_999

    def to_wire(value: datetime.datetime) -> int:
        since = value - epoch  # naive: TypeError
        micros = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
        if not first <= micros <= last or not isinstance(value, datetime.datetime):
            raise ValueError
        return micros

    def from_wire(micros: int) -> datetime.datetime:
        if not first <= micros <= last:
            raise ValueError(
                f"timestamp must be of the years 1 to 9999, not {micros} microseconds since 1970"
            )
        return epoch + datetime.timedelta(microseconds=micros)

    return Conversion(to_wire, from_wire)


@functools.cache
def _dates() -> Conversion:
    import datetime

    epoch = datetime.date(1970, 1, 1).toordinal()

    def to_wire(value: datetime.date) -> int:
        if not isinstance(value, datetime.date) or isinstance(value, datetime.datetime):
            raise TypeError
        return value.toordinal() - epoch

    def from_wire(days: int) -> datetime.date:
        try:
            return datetime.date.fromordinal(epoch + days)
        except (ValueError, OverflowError):
            raise ValueError(f"date must be of the years 1 to 9999, not {days} days since 1970") from None

    return Conversion(to_wire, from_wire)


@functools.cache
def _durations() -> Conversion:
    import datetime

    def to_wire(value: datetime.timedelta) -> int:
        if not isinstance(value, datetime.timedelta):
            raise TypeError
        return (value.days * 86_400 + value.seconds) * 1_000_000 + value.microseconds

    def from_wire(micros: int) -> datetime.timedelta:
        return datetime.timedelta(microseconds=micros)

    return Conversion(to_wire, from_wire)


@functools.cache
def _uuids() -> Conversion:
    import uuid

    def to_wire(value: uuid.UUID) -> bytes:
        if not isinstance(value, uuid.UUID):
            raise TypeError
        return value.bytes

    def from_wire(data: bytes) -> uuid.UUID:
        return uuid.UUID(bytes=data)

    return Conversion(to_wire, from_wire)


@functools.cache
def _decimals() -> Conversion:
    import decimal
    import re

    written = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?", re.ASCII)
    longest = 1_100  # 1,000 digits, and what else str() of a Decimal writes

    def fits(value: decimal.Decimal) -> bool:
        _, digits, exponent = value.as_tuple()
        return isinstance(exponent, int) and len(digits) <= 1_000 and -6_144 <= exponent <= 6_144

    def to_wire(value: decimal.Decimal) -> bytes:
        if not isinstance(value, decimal.Decimal) or not fits(value):
            raise ValueError
        # The user's context decides between e and E; equal values must be equal bytes.
        return decimal.Decimal.__str__(value).upper().encode()

    def from_wire(data: bytes) -> decimal.Decimal:
        text = _string_from_wire(data)
        if len(text) <= longest and written.fullmatch(text):
            value = decimal.Decimal(text)
            if fits(value):
                return value
        raise ValueError(
            f"decimal must be of at most 1000 digits and an exponent within ±6144, not {shown(text)}"
        )

    return Conversion(to_wire, from_wire)


_BOOLS = Conversion(_bool_to_wire, _bool_from_wire)
_STRINGS = Conversion(str.encode, _string_from_wire)
_BYTES = Conversion(_bytes_to_wire, bytes)

_CONVERSIONS: dict[schema.Scalar, collections.abc.Callable[[], Conversion]] = {
    schema.BOOL: lambda: _BOOLS,
    schema.STRING: lambda: _STRINGS,
    schema.BYTES: lambda: _BYTES,
    schema.TIMESTAMP: _timestamps,
    schema.DATE: _dates,
    schema.DURATION: _durations,
    schema.UUID: _uuids,
    schema.DECIMAL: _decimals,
}
