"""One method over every construct of the format, and values of it: for tests that need no random schema."""

from __future__ import annotations

import datetime
import decimal
import random
import typing
import uuid

from rpcgen import runtime as rpc
from rpcgen.runtime.schema import Scalar
from rpcgen.runtime.wire.codec import ReferenceCodec
from rpcgen.runtime.wire.plain import MethodCodec
from tests.support.schemas import enum_class, exception_class, struct_class, union_class

SCALARS: list[tuple[Scalar, typing.Any]] = [
    (rpc.BOOL, True),
    (rpc.BYTE, -7),
    (rpc.SHORT, -300),
    (rpc.INT, 70_000),
    (rpc.LONG, -(2**40)),
    (rpc.UBYTE, 200),
    (rpc.USHORT, 60_000),
    (rpc.UINT, 2**31),
    (rpc.ULONG, 2**63 + 1),
    (rpc.FLOAT, 1.5),
    (rpc.DOUBLE, -1.0),
    (rpc.STRING, "naïve"),
    (rpc.BYTES, b"\x00\xff"),
    (rpc.TIMESTAMP, datetime.datetime(2020, 2, 29, 12, tzinfo=datetime.UTC)),
    (rpc.DATE, datetime.date(1969, 7, 20)),
    (rpc.DURATION, datetime.timedelta(days=-1, microseconds=5)),
    (rpc.UUID, uuid.UUID(int=2**90)),
    (rpc.DECIMAL, decimal.Decimal("-1.50")),
]

Kind = enum_class("Kind", HOME=0, WORK=1, FAR=-5)
Scalars = struct_class(
    "Scalars", [rpc.Field(tag, f"f{tag}", scalar) for tag, (scalar, _) in enumerate(SCALARS, 1)]
)
Optional = struct_class(
    "Optional",
    [
        *(rpc.Field(tag, f"f{tag}", rpc.OptionalOf(scalar)) for tag, (scalar, _) in enumerate(SCALARS, 1)),
        rpc.Field(30, "number", rpc.INT, default=7),
        rpc.Field(31, "names", rpc.ListOf(rpc.STRING), default=["a"]),
        rpc.Field(32, "none", rpc.SetOf(rpc.INT), default=set()),
        rpc.Field(33, "kind", Kind, default=Kind.WORK),
    ],
    [rpc.Reserved(40, rpc.MapOf(rpc.STRING, rpc.ListOf(rpc.INT))), rpc.Reserved(41, rpc.BOOL)],
)
Shape = union_class("Shape", [rpc.Field(1, "scalars", Scalars), rpc.Field(3, "text", rpc.STRING)])
_trees: list[typing.Any] = []
Tree = struct_class(
    "Tree",
    [
        rpc.Field(1, "name", rpc.STRING),
        rpc.Field(2, "below", rpc.ListOf(rpc.Ref(lambda: _trees[0])), default=[]),
        rpc.Field(3, "left", rpc.OptionalOf(rpc.Ref(lambda: _trees[0]))),
    ],
)
_trees.append(Tree)
Refused = exception_class("Refused", None)
Detailed = exception_class("Detailed", [rpc.Field(1, "why", rpc.STRING), rpc.Field(2, "tree", Tree)])

PARAMS = (
    rpc.Param(1, "scalars", rpc.ListOf(Scalars)),
    rpc.Param(2, "optional", Optional),
    rpc.Param(4, "shapes", rpc.ListOf(Shape)),
    rpc.Param(5, "tree", Tree),
    rpc.Param(6, "kinds", rpc.MapOf(Kind, rpc.SetOf(rpc.STRING))),
    rpc.Param(7, "times", rpc.MapOf(rpc.TIMESTAMP, rpc.ListOf(rpc.LONG)), default={}),
    rpc.Param(8, "numbers", rpc.ListOf(rpc.DOUBLE), default=[]),
    rpc.Param(9, "counts", rpc.MapOf(rpc.STRING, rpc.LONG), default={}),
    rpc.Param(10, "more", rpc.OptionalOf(rpc.BYTES)),
)
RETURNS = rpc.OptionalOf(rpc.MapOf(rpc.UUID, rpc.ListOf(Shape)))


def codecs() -> tuple[MethodCodec, ReferenceCodec]:
    """Gives the method's quick codec and the reference."""
    parts = ("do.it", PARAMS, (rpc.Reserved(20, rpc.STRING),), RETURNS, (Refused, Detailed))
    return MethodCodec(*parts), ReferenceCodec(*parts)


def arguments() -> list[typing.Any]:
    """Gives arguments that hold something everywhere."""
    scalars = Scalars(*(value for _, value in SCALARS))
    given = [value if tag % 2 else None for tag, (_, value) in enumerate(SCALARS)]
    scalars_case, text_case = Shape.__rpc_cases__
    return [
        [scalars, scalars],
        Optional(*given, 8, ["b", ""], {1, 2, 300}, Kind.from_wire(99)),
        [scalars_case(scalars), text_case("x" * 300), Shape.Unknown(9, b"raw")],
        Tree("top", [Tree("one"), Tree("two", [Tree("three")])], Tree("é")),
        {Kind.HOME: {"a", "b"}, Kind.FAR: set()},
        {datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC): [1, -1]},
        [0.5, -0.0, float("inf")],
        {"one": 1, "zwei": 2, "три": 3},
        b"more",
    ]


def result() -> typing.Any:
    """Gives a result, not None."""
    return {uuid.UUID(int=number): arguments()[2][number:] for number in range(3)}


def corrupted(message: bytes, chance: random.Random) -> bytes:
    """Gives the message with a few of its bytes changed, left out, put in or cut off."""
    spoiled = bytearray(message)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(spoiled) + 1)
        kind = chance.randrange(5)
        if kind == 0 and at < len(spoiled):
            spoiled[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            spoiled[at : at + 1] = bytes([chance.choice((0, 1, 2, 0x7F, 0x80, 0xFF))])
        elif kind == 2:
            del spoiled[at : at + chance.randint(1, 4)]
        elif kind == 3:
            spoiled[at:at] = chance.randbytes(chance.randint(1, 4))
        elif len(spoiled) > 1:
            del spoiled[chance.randrange(1, len(spoiled)) :]
    return bytes(spoiled)
