"""Whether two defaults are one and the same to whoever reads them."""

from __future__ import annotations

import decimal
import struct
import typing

from rpcgen.compiler import model


def same_value(one: model.Literal, other: model.Literal, type_: model.Type) -> bool:
    """Tells whether two defaults of a type are equal to whoever reads them: -0.0 and 0.0 are not."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and _same_items(one, other, type_)
    if isinstance(one, model.EnumValue) and isinstance(other, model.EnumValue):
        return one.number == other.number
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return struct.pack(">d", one) == struct.pack(">d", typing.cast(float, other))
    if isinstance(one, decimal.Decimal):
        return one.as_tuple() == typing.cast("decimal.Decimal", other).as_tuple()
    return one == other


def _same_items(one: tuple[typing.Any, ...], other: tuple[typing.Any, ...], type_: model.Type) -> bool:
    match type_:
        case model.ListOf(item):
            return all(same_value(a, b, item) for a, b in zip(one, other, strict=True))
        case model.SetOf(item):
            return all(any(same_value(a, b, item) for b in other) for a in one)
        case model.MapOf(key, value):
            return all(
                any(same_value(a, c, key) and same_value(b, d, value) for c, d in other) for a, b in one
            )
    return one == other
