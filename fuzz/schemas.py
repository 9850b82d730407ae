"""Methods over random types, each made from a number: a fuzzer's input begins with the method that it is for."""

from __future__ import annotations

import functools
import random
import typing

from rpcgen import runtime as rpc
from rpcgen.runtime.schema import Type
from rpcgen.runtime.wire import plain
from rpcgen.runtime.wire.choice import choice
from rpcgen.runtime.wire.codec import ReferenceCodec
from rpcgen.runtime.wire.plain import MethodCodec
from tests.support.schemas import KEYS, SCALARS, enum_class, exception_class, struct_class, union_class

MESSAGES = ("encode_call", "decode_args", "encode_reply", "decode_reply")


class Codecs(typing.NamedTuple):
    """One method's codecs.

    Args:
        reference: The readable one.
        others: That must do as it does: in C where it is built, and the compiled one.
    """

    reference: ReferenceCodec
    others: list[MethodCodec]


@functools.lru_cache(maxsize=256)
def codecs(number: int) -> Codecs:
    """Gives the codecs of the method with this number."""
    parts = _method(random.Random(number))
    made = []
    usual = plain.native, plain.FEW
    try:
        plain.FEW = 0
        for plain.native in (True, False) if choice().native else (False,):
            codec = MethodCodec(*parts)
            for message in MESSAGES:  # which one it is, is found out with the first of each kind
                codec._own(message)
            made.append(codec)
    finally:
        plain.native, plain.FEW = usual
    return Codecs(ReferenceCodec(*parts), made)


def _method(chance: random.Random) -> tuple[typing.Any, ...]:
    classes: list[typing.Any] = [enum_class("Kind", HOME=0, WORK=1, FAR=-5)]
    for number in range(chance.randrange(4)):
        name, kind = f"Class{number}", chance.randrange(4)
        if kind == 0:
            members = [rpc.Field(tag, f"m{tag}", _type(chance, classes)) for tag in _tags(chance, 1)]
            classes.append(union_class(name, members))
        elif kind == 1:
            classes.append(_recursive(name, chance, classes))
        else:
            make = struct_class if kind == 2 else exception_class
            classes.append(make(name, *_fields(chance, classes, rpc.Field)))
    params, reserved = _fields(chance, classes, rpc.Param)
    returns: Type = chance.choice([_type(chance, classes), rpc.OptionalOf(_type(chance, classes)), rpc.VOID])
    raises = [cls for cls in classes if issubclass(cls, rpc.RemoteException)]
    return "do.it", tuple(params), tuple(reserved), returns, (exception_class("Plain", None), *raises)


def _recursive(name: str, chance: random.Random, classes: list[typing.Any]) -> typing.Any:
    made: list[typing.Any] = []
    own = rpc.Ref(lambda: made[0])
    fields, reserved = _fields(chance, classes, rpc.Field)
    field = chance.choice(
        [
            rpc.Field(200, "inner", rpc.ListOf(own), default=[]),
            rpc.Field(200, "inner", rpc.OptionalOf(own)),
            rpc.Field(200, "inner", rpc.MapOf(rpc.BYTE, own), default={}),
        ]
    )
    made.append(struct_class(name, [*fields, field], reserved))
    return made[0]


def _fields(
    chance: random.Random, classes: list[typing.Any], make: type[rpc.Field]
) -> tuple[list[rpc.Field], list[rpc.Reserved]]:
    required, others, reserved = [], [], []
    for tag in _tags(chance, 0):
        type_, name, kind = _type(chance, classes), f"f{tag}", chance.randrange(5)
        if kind == 0:
            others.append(make(tag, name, rpc.OptionalOf(type_)))
        elif kind == 1:
            reserved.append(rpc.Reserved(tag, type_))
        elif kind == 2:
            others.append(make(tag, name, rpc.INT, default=chance.randrange(-2, 2)))
        else:
            required.append(make(tag, name, type_))
    return required + others, reserved


def _tags(chance: random.Random, least: int) -> list[int]:
    return sorted(chance.sample(range(1, 12), chance.randrange(least, 5)))


def _type(chance: random.Random, classes: list[typing.Any], depth: int = 0) -> Type:
    kind = chance.randrange(7) if depth < 3 else 0
    key: Type = chance.choice([*KEYS, classes[0]])
    if kind == 1:
        return rpc.ListOf(_type(chance, classes, depth + 1))
    if kind == 2:
        return rpc.SetOf(key)
    if kind == 3:
        return rpc.MapOf(key, _type(chance, classes, depth + 1))
    scalar: Type = chance.choice(SCALARS)
    named: Type = chance.choice(classes)
    return named if kind in (4, 5) else scalar
