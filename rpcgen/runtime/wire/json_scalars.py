"""Scalars as JSON: numbers and booleans as they are, everything else as a string.

Both ways go through what ``scalars`` says of the wire, so that a value which JSON carries is one that
the wire carries, to the bit: a ``float`` is rounded to 32 bits, a timestamp comes back in UTC.
"""

from __future__ import annotations

import binascii
import functools
import json
import re
import struct
import typing

from rpcgen.runtime import schema
from rpcgen.runtime.wire.scalars import CODES, EXPECTED, NUMBERS, SIZES, conversion, shown
from rpcgen.runtime.wire.types import Misfit

if typing.TYPE_CHECKING:
    import collections.abc

    Convert: typing.TypeAlias = collections.abc.Callable[[typing.Any], typing.Any]
    Form: typing.TypeAlias = collections.abc.Callable[[typing.Any, int], typing.Any]

_EXACT = 2**53
"""Integers beyond are strings: JavaScript and others read numbers as doubles."""

_DECIMAL_DIGITS = re.compile(r"-?(?:0|[1-9][0-9]{0,19})", re.ASCII)
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
# Of RFC 3339: what Python takes beyond them, as 24:00, differs between its versions.
TIME: typing.Final = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
ZONE: typing.Final = r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
_TIMESTAMP = re.compile(
    rf"([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})[Tt ]({TIME})(?:\.([0-9]{{1,6}})0*)?({ZONE})", re.ASCII
)
_DURATION = re.compile(
    r"(-)?P(?=[0-9T])(?:([0-9]{1,12})W)?(?:([0-9]{1,12})D)?"
    r"(?:T(?=[0-9])(?:([0-9]{1,12})H)?(?:([0-9]{1,12})M)?(?:([0-9]{1,16})(?:\.([0-9]{1,6})0*)?S)?)?",
    re.ASCII,
)

_IN_JSON = {
    schema.BOOL: "bool must be true or false",
    schema.FLOAT: 'float must be a number within ±3.4028235e38, or "NaN", "Infinity", "-Infinity"',
    schema.DOUBLE: 'double must be a number within ±1.7976931348623157e308, or "NaN", "Infinity", "-Infinity"',
    schema.STRING: "string must be a string",
    schema.BYTES: "bytes must be a string of base64, with its padding",
    schema.TIMESTAMP: 'timestamp must be a string like "2024-02-29T12:00:00Z", of the years 1 to 9999,'
    " at most to the microsecond",
    schema.DATE: 'date must be a string like "2024-02-29"',
    schema.DURATION: 'duration must be a string like "PT1H30M" or "-P1DT0.5S", without years and months,'
    " at most to the microsecond",
    schema.UUID: 'uuid must be a string like "00000000-0000-0000-0000-000000000000"',
    schema.DECIMAL: 'decimal must be a string like "10.50", of at most 1000 digits and an exponent within ±6144',
}
"""What a DecodeError says of JSON that is no such value; of the others, what an EncodeError says."""

_NOT_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}

_ERRORS = (ValueError, TypeError, ArithmeticError, struct.error)


def expected(scalar: schema.Scalar) -> str:
    """Says what JSON must have for a scalar."""
    return _IN_JSON.get(scalar) or EXPECTED[scalar]


def shown_json(data: object) -> str:
    """Gives parsed JSON for a message, short, as JSON has it."""
    try:
        written = json.dumps(data, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return shown(data)
    return written if len(written) <= 80 else f"{written[:77]}..."


@functools.cache
def writer(scalar: schema.Scalar) -> Form:
    """Gives what turns a value into JSON; it raises Misfit, and minds no nesting."""
    if scalar is schema.STRING:
        return _write_string
    to_wire = _through_wire(scalar)
    finish = _WRITE[scalar]
    has_limits = scalar in _RANGES
    low, high = _RANGES.get(scalar, (0, 0))
    low, high = max(low, -_EXACT), min(high, _EXACT)

    is_exact = scalar is schema.DOUBLE

    def write(value: typing.Any, room: int) -> typing.Any:
        if has_limits and value.__class__ is int and low <= value <= high:
            return value
        if is_exact and value.__class__ is float and value - value == 0:
            return value
        try:
            return finish(to_wire(value))
        except Exception as error:  # of a class of the user's, too
            raise Misfit(f"{EXPECTED[scalar]}, not {shown(value)}") from error

    return write


@functools.cache
def reader(scalar: schema.Scalar) -> Form:
    """Gives what turns JSON into a value; it raises Misfit, and minds no nesting."""
    if scalar in _RANGES:
        return _integer_reader(scalar)
    if scalar is schema.STRING:
        return _read_string
    parse = _READ[scalar]
    to_wire, way = _through_wire(scalar), conversion(scalar)
    is_text = scalar not in _NO_TEXT
    is_exact = scalar is schema.DOUBLE

    def read(data: typing.Any, room: int) -> typing.Any:
        if is_exact and data.__class__ is float and data - data == 0:
            return data
        try:
            if is_text and data.__class__ is not str:
                raise TypeError
            raw = to_wire(parse(data))
            return raw if way is None else way.from_wire(raw)
        except _ERRORS:
            raise Misfit(f"{expected(scalar)}, not {shown_json(data)}") from None

    return read


def key_writer(scalar: schema.Scalar) -> Form:
    """Gives what turns a map's key into an object's; see ``writer``."""
    write = writer(scalar)

    def write_key(value: typing.Any, room: int) -> str:
        made = write(value, room)
        if made.__class__ is str:
            return made
        return str(made).lower() if made.__class__ is bool else str(made)

    return write_key


def key_reader(scalar: schema.Scalar) -> Form:
    """Gives what turns an object's key into a map's; see ``reader``."""
    read = reader(scalar)
    if scalar is schema.BOOL:
        return lambda data, room: read({"true": True, "false": False}.get(data, data), room)
    if scalar in _RANGES:
        return lambda data, room: read(int(data) if _DECIMAL_DIGITS.fullmatch(data) else data, room)
    return read


def _through_wire(scalar: schema.Scalar) -> Convert:
    """Gives a value as ``struct`` would give it back, or as bytes."""
    way = conversion(scalar)
    to_wire = None if way is None else way.to_wire
    if scalar not in CODES:
        assert to_wire is not None
        return to_wire
    packed = struct.Struct(">" + CODES[scalar])

    def through(value: typing.Any) -> typing.Any:
        return packed.unpack(packed.pack(value if to_wire is None else to_wire(value)))[0]

    return through


def _integer_reader(scalar: schema.Scalar) -> Form:
    low, high = _RANGES[scalar]
    takes_text = high > _EXACT

    def read(data: typing.Any, room: int) -> int:
        if data.__class__ is int and low <= data <= high:
            return data
        if takes_text and data.__class__ is str and _DECIMAL_DIGITS.fullmatch(data):
            number = int(data)
            if low <= number <= high:
                return number
        raise Misfit(f"{EXPECTED[scalar]}, not {shown_json(data)}")

    return read


def _read_string(data: typing.Any, room: int) -> str:
    if data.__class__ is str:
        return data
    raise Misfit(f"{_IN_JSON[schema.STRING]}, not {shown_json(data)}")


def _write_string(value: typing.Any, room: int) -> str:
    if value.__class__ is str and value.isascii():
        return value
    try:
        return str.encode(value).decode()
    except (TypeError, UnicodeEncodeError) as error:
        raise Misfit(f"{EXPECTED[schema.STRING]}, not {shown(value)}") from error


def _write_integer(number: int) -> int | str:
    return number if -_EXACT <= number <= _EXACT else str(number)


def _write_real(number: float) -> float | str:
    if number - number == 0:
        return number
    return "NaN" if number != number else "Infinity" if number > 0 else "-Infinity"


def _read_real(data: typing.Any) -> float:
    if data.__class__ is str:
        try:
            return _NOT_FINITE[data]
        except KeyError:
            raise ValueError from None
    if data.__class__ is not int and data.__class__ is not float:
        raise TypeError
    if data - data != 0:
        raise OverflowError  # a number like 1e400, which Python reads as infinite
    return float(data)


def _read_bytes(data: str) -> bytes:
    return binascii.a2b_base64(data.encode("ascii"), strict_mode=True) if data else b""


def _micros(fraction: str | None) -> int:
    return int((fraction or "").ljust(6, "0"))


def _write_timestamp(micros: int) -> str:
    way = conversion(schema.TIMESTAMP)
    assert way is not None
    return typing.cast(str, way.from_wire(micros).replace(tzinfo=None).isoformat()) + "Z"


def _read_timestamp(data: str) -> object:
    import datetime

    found = _TIMESTAMP.fullmatch(data)
    if found is None:
        raise ValueError
    day, time, fraction, zone = found.groups()
    zone = "+00:00" if zone in "Zz" else zone
    return datetime.datetime.fromisoformat(f"{day}T{time}.{_micros(fraction):06}{zone}")


def _write_date(days: int) -> str:
    way = conversion(schema.DATE)
    assert way is not None
    return typing.cast(str, way.from_wire(days).isoformat())


def _read_date(data: str) -> object:
    import datetime

    if not _DATE.fullmatch(data):
        raise ValueError
    return datetime.date.fromisoformat(data)


def _write_duration(micros: int) -> str:
    sign, micros = ("-", -micros) if micros < 0 else ("", micros)
    seconds, fraction = divmod(micros, 1_000_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    time = "".join(f"{number}{unit}" for number, unit in ((hours, "H"), (minutes, "M")) if number)
    if seconds or fraction or not (days or time):
        time += f"{seconds}{f'.{fraction:06}'.rstrip('0') if fraction else ''}S"
    return f"{sign}P{f'{days}D' if days else ''}{f'T{time}' if time else ''}"


def _read_duration(data: str) -> object:
    import datetime

    found = _DURATION.fullmatch(data)
    if found is None:
        raise ValueError
    sign, *numbers, fraction = found.groups()
    weeks, days, hours, minutes, seconds = (int(number or 0) for number in numbers)
    seconds += (((weeks * 7 + days) * 24 + hours) * 60 + minutes) * 60
    # Its parts may be larger than a timedelta takes, where the whole is not.
    made = datetime.timedelta(
        days=seconds // 86_400, seconds=seconds % 86_400, microseconds=_micros(fraction)
    )
    return -made if sign else made


def _write_uuid(data: bytes) -> str:
    import uuid

    return str(uuid.UUID(bytes=data))


def _read_uuid(data: str) -> object:
    import uuid

    if not _UUID.fullmatch(data):
        raise ValueError
    return uuid.UUID(data)


def _read_decimal(data: str) -> object:
    way = conversion(schema.DECIMAL)
    assert way is not None
    return way.from_wire(data.encode())


def _read_bool(data: object) -> object:
    return data


def _write_bytes(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode()


def _range(code: str) -> tuple[int, int]:
    bits = 8 * SIZES[code]
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if code.islower() else (0, 2**bits - 1)


_RANGES = {scalar: _range(code) for scalar, code in CODES.items() if scalar in NUMBERS and code not in "fd"}

_WRITE: dict[schema.Scalar, Convert] = {
    **dict.fromkeys(_RANGES, _write_integer),
    schema.BOOL: bool,
    schema.FLOAT: _write_real,
    schema.DOUBLE: _write_real,
    schema.BYTES: _write_bytes,
    schema.TIMESTAMP: _write_timestamp,
    schema.DATE: _write_date,
    schema.DURATION: _write_duration,
    schema.UUID: _write_uuid,
    schema.DECIMAL: bytes.decode,
}
"""From what the wire has."""

_NO_TEXT = (schema.BOOL, schema.FLOAT, schema.DOUBLE)
"""Scalars that are not always strings, of those that are converted."""

_READ: dict[schema.Scalar, Convert] = {
    schema.BOOL: _read_bool,
    schema.FLOAT: _read_real,
    schema.DOUBLE: _read_real,
    schema.BYTES: _read_bytes,
    schema.TIMESTAMP: _read_timestamp,
    schema.DATE: _read_date,
    schema.DURATION: _read_duration,
    schema.UUID: _read_uuid,
    schema.DECIMAL: _read_decimal,
}
"""To what goes on the wire."""
