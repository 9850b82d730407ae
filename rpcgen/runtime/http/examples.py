"""Examples of values, as JSON: one for every type, small, and accepted by every reader."""

from __future__ import annotations

import typing

from rpcgen.runtime import schema
from rpcgen.runtime.http.json_schema import classes
from rpcgen.runtime.schema import REQUIRED, Enum, ListOf, MapOf, OptionalOf, Scalar, SetOf, Type
from rpcgen.runtime.wire.forms import member_names
from rpcgen.runtime.wire.types import is_message_only, is_union, resolved

_SCALARS: typing.Final[dict[Scalar, typing.Any]] = {
    schema.VOID: None,
    schema.BOOL: True,
    schema.FLOAT: 1.5,
    schema.DOUBLE: 1.5,
    schema.STRING: "text",
    schema.BYTES: "AAEC",
    schema.TIMESTAMP: "2024-02-29T12:00:00Z",
    schema.DATE: "2024-02-29",
    schema.DURATION: "PT1H30M",
    schema.UUID: "00000000-0000-4000-8000-000000000001",
    schema.DECIMAL: "10.50",
}
_INTEGER = 1


def is_plain(type_: Type) -> bool:
    """Says whether values of a type are a single word: a scalar, or an enum's."""
    type_ = resolved(type_)
    return isinstance(type_, Scalar) or (isinstance(type_, type) and issubclass(type_, Enum))


def example(type_: Type, around: tuple[type, ...] = ()) -> typing.Any:
    """Gives an example of a type's values; what need not be there is not.

    Args:
        type_: Any.
        around: Classes that it stands in: what could lead to them again is left empty.
    """
    type_ = resolved(type_)
    if isinstance(type_, Scalar):
        return _SCALARS.get(type_, _INTEGER)
    if isinstance(type_, OptionalOf):
        return example(type_.item, around)
    if isinstance(type_, (ListOf, SetOf)):
        return [] if _leads_to(type_.item, around) else [example(type_.item, around)]
    if isinstance(type_, MapOf):
        return {} if _leads_to(type_.value, around) else {_key(type_.key): example(type_.value, around)}
    cls: typing.Any = type_
    if issubclass(cls, Enum):
        return next(iter(member_names(cls)), 0)
    if is_message_only(cls):
        return "text"
    deeper = (*around, cls)
    fields: tuple[schema.Field, ...] = cls.__rpc_fields__
    if is_union(cls):
        field = next((field for field in fields if not _leads_to(field.type, deeper)), fields[0])
        return {field.name: example(field.type, deeper)}
    return {field.name: example(field.type, deeper) for field in fields if field.default is REQUIRED}


def _leads_to(type_: Type, around: tuple[type, ...]) -> bool:
    return not set(around).isdisjoint(classes((type_,)))


def _key(type_: Type) -> str:
    made = example(type_)
    return str(made).lower() if made.__class__ is bool else str(made)
