"""The six messages of the codec's benchmark, in our classes, and how each is read after it was decoded."""

from __future__ import annotations

import collections.abc
import typing

from rpcgen import runtime as rpc
from rpcgen.runtime.schema import Type


class Kind(rpc.Enum):
    HOME = 0
    WORK = 1
    MOBILE = 2


@rpc.fields(rpc.Field(1, "a", rpc.INT), rpc.Field(2, "b", rpc.INT))
class Small(rpc.Struct, gc=False):
    a: int
    b: int


@rpc.fields(
    rpc.Field(1, "street", rpc.STRING), rpc.Field(2, "city", rpc.STRING), rpc.Field(3, "zip", rpc.INT)
)
class Address(rpc.Struct, gc=False):
    street: str
    city: str
    zip: int


@rpc.fields(
    rpc.Field(1, "id", rpc.LONG),
    rpc.Field(2, "name", rpc.STRING),
    rpc.Field(3, "email", rpc.STRING),
    rpc.Field(4, "tags", rpc.ListOf(rpc.STRING)),
    rpc.Field(5, "scores", rpc.ListOf(rpc.DOUBLE)),
    rpc.Field(6, "address", Address),
    rpc.Field(7, "active", rpc.BOOL),
    rpc.Field(8, "kind", Kind),
)
class Person(rpc.Struct, gc=False):
    id: int
    name: str
    email: str
    tags: list[str]
    scores: list[float]
    address: Address
    active: bool
    kind: Kind


@rpc.fields(rpc.Field(1, "doubles", rpc.ListOf(rpc.DOUBLE)), rpc.Field(2, "ints", rpc.ListOf(rpc.INT)))
class Numbers(rpc.Struct, gc=False):
    doubles: list[float]
    ints: list[int]


def person(number: int) -> Person:
    """Gives a Person with strings of 12 and 20 characters, 5 tags and 20 doubles."""
    return Person(
        number,
        "Ada Lovelace",
        "ada.love@example.org",
        ["alpha", "beta", "gamma", "delta", "eps"],
        [number + step * 1.5 for step in range(20)],
        Address("12 St James's Square", "London", 10115),
        True,
        Kind.WORK,
    )


MESSAGES: dict[str, tuple[Type, typing.Any]] = {
    "S": (Small, Small(12_345, 67_890)),
    "M": (Person, person(1_234_567)),
    "L": (rpc.ListOf(Person), [person(number) for number in range(1_000)]),
    "N": (Numbers, Numbers([step * 0.5 for step in range(100_000)], list(range(100_000)))),
    "P": (rpc.MapOf(rpc.STRING, rpc.LONG), {f"key{number}": number for number in range(1_000)}),
    "B": (rpc.BYTES, bytes(range(256)) * 4_096),
}


def _read_small(value: typing.Any) -> object:
    return value.a, value.b


def _read_person(value: typing.Any) -> object:
    return (
        value.id,
        value.name,
        value.email,
        value.tags,
        value.scores,
        value.address.street,
        value.address.city,
        value.address.zip,
        value.active,
        value.kind,
    )


def _read_people(value: typing.Any) -> object:
    for each in value:
        _read_person(each)
    return value


READ: dict[str, collections.abc.Callable[[typing.Any], object]] = {
    "S": _read_small,
    "M": _read_person,
    "L": _read_people,
    "N": lambda value: (value.doubles, value.ints),
    "P": lambda value: value,
    "B": lambda value: value,
}
