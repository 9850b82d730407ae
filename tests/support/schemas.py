"""Random interfaces, built as the generated code would build them, and values of their types."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import functools
import struct
import typing
import uuid

from hypothesis import strategies as st

from rpcgen import runtime as rpc
from rpcgen.runtime.schema import REQUIRED, Scalar, Type
from rpcgen.runtime.wire.codec import ReferenceCodec
from rpcgen.runtime.wire.plain import MethodCodec

KEYS = (
    rpc.BOOL,
    rpc.BYTE,
    rpc.SHORT,
    rpc.INT,
    rpc.LONG,
    rpc.UBYTE,
    rpc.USHORT,
    rpc.UINT,
    rpc.ULONG,
    rpc.STRING,
    rpc.BYTES,
    rpc.UUID,
    rpc.DATE,
    rpc.TIMESTAMP,
)
SCALARS = (*KEYS, rpc.FLOAT, rpc.DOUBLE, rpc.DURATION, rpc.DECIMAL)

_INTEGERS = {
    rpc.BYTE: (-(2**7), 2**7 - 1),
    rpc.SHORT: (-(2**15), 2**15 - 1),
    rpc.INT: (-(2**31), 2**31 - 1),
    rpc.LONG: (-(2**63), 2**63 - 1),
    rpc.UBYTE: (0, 2**8 - 1),
    rpc.USHORT: (0, 2**16 - 1),
    rpc.UINT: (0, 2**32 - 1),
    rpc.ULONG: (0, 2**64 - 1),
}

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)

_SCALAR_VALUES: dict[Scalar, st.SearchStrategy[typing.Any]] = {
    rpc.BOOL: st.booleans(),
    **{scalar: st.integers(low, high) for scalar, (low, high) in _INTEGERS.items()},
    rpc.FLOAT: st.floats(width=32) | st.integers(-(2**20), 2**20),
    rpc.DOUBLE: st.floats() | st.integers(-(2**70), 2**70),
    rpc.STRING: _text | st.text("ab", min_size=250, max_size=300),
    rpc.BYTES: st.binary(max_size=12),
    rpc.TIMESTAMP: st.datetimes(
        datetime.datetime(1, 1, 3),
        datetime.datetime(9999, 12, 29),
        timezones=st.sampled_from([datetime.UTC, datetime.timezone(datetime.timedelta(hours=5, minutes=30))]),
    ),
    rpc.DATE: st.dates(),
    rpc.DURATION: st.timedeltas(datetime.timedelta(days=-100_000_000), datetime.timedelta(days=100_000_000)),
    rpc.UUID: st.uuids(),
    rpc.DECIMAL: st.decimals(allow_nan=False, allow_infinity=False, places=4)
    | st.sampled_from(
        [decimal.Decimal(text) for text in ("0", "-0", "1E+10", "1.00", "1E-6144", "9" * 1000)]
    ),
}

JUNK: st.SearchStrategy[typing.Any] = st.sampled_from(
    [
        None,
        True,
        -1,
        5,
        2**31,
        2**63,
        10**400,
        10**4000,
        1.5,
        1e39,
        "text",
        "\ud800",
        b"bytes",
        bytearray(b"buffer"),
        memoryview(b"view"),
        [],
        [None],
        (),
        {},
        {"a": 1},
        set(),
        frozenset({"x"}),
        object(),
        int,
        datetime.datetime(2020, 1, 1),
        datetime.datetime(1, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=14))),
        datetime.date(2020, 1, 1),
        datetime.timedelta(days=999_999_999),
        decimal.Decimal("NaN"),
        decimal.Decimal("1E+7000"),
        uuid.UUID(int=1),
        rpc.DEFAULT,
    ]
)
"""Values that fit few types; some fit one or the other."""


def values(type_: Type, *, spoiled: bool = False, depth: int = 0) -> st.SearchStrategy[typing.Any]:
    """Gives values of a type; spoiled ones hold junk here and there."""
    proper = _values(type_, spoiled, depth)
    return st.one_of(proper, proper, proper, JUNK) if spoiled else proper


def _values(type_: Type, spoiled: bool, depth: int) -> st.SearchStrategy[typing.Any]:
    def part(inner: Type) -> st.SearchStrategy[typing.Any]:
        return st.deferred(lambda: values(inner, spoiled=spoiled, depth=depth + 1))

    most = 4 if depth < 3 else 0
    if isinstance(type_, rpc.Ref):
        type_ = type_.resolve()
    if isinstance(type_, Scalar):
        return st.none() if type_ is rpc.VOID else _SCALAR_VALUES[type_]
    if isinstance(type_, rpc.OptionalOf):
        return st.none() if depth > 4 else st.none() | part(type_.item)
    if isinstance(type_, rpc.ListOf):
        return st.lists(part(type_.item), max_size=most) if most else st.builds(list)
    if isinstance(type_, rpc.SetOf):
        return st.sets(_values(type_.item, False, depth + 1), max_size=most)
    if isinstance(type_, rpc.MapOf):
        key = _values(type_.key, False, depth + 1)
        return st.dictionaries(key, part(type_.value), max_size=most) if most else st.builds(dict)
    cls: typing.Any = type_
    if issubclass(cls, rpc.Enum):
        return st.sampled_from([*cls, cls.from_wire(99), cls.from_wire(-7)])
    if issubclass(cls, rpc.RemoteException) and cls.__rpc_fields__ is None:
        return st.builds(cls, _text)
    if hasattr(cls, "__rpc_cases__"):
        cases = [
            st.builds(case, part(field.type))
            for field, case in zip(cls.__rpc_fields__, cls.__rpc_cases__, strict=True)
        ]
        return st.one_of(*cases, st.builds(cls.Unknown, st.just(200), st.binary(max_size=5)))
    return st.tuples(*(part(field.type) for field in cls.__rpc_fields__)).map(lambda given: _made(cls, given))


def _made(cls: typing.Any, given: tuple[typing.Any, ...]) -> typing.Any:
    if issubclass(cls, rpc.RemoteException):  # which itself refuses DEFAULT where there is none
        given = tuple(None if value is rpc.DEFAULT else value for value in given)
    return cls(*given)


@st.composite
def types(draw: st.DrawFn, classes: typing.Sequence[type], depth: int = 0) -> Type:
    """Gives types of fields; ``classes`` are those that may stand in them."""
    kind = draw(
        st.sampled_from(["scalar", "scalar", "class", "list", "set", "map"] if depth < 3 else ["scalar"])
    )
    if kind == "class" and classes:
        return draw(st.sampled_from(classes))
    if kind == "list":
        return rpc.ListOf(draw(types(classes, depth + 1)))
    keys: st.SearchStrategy[Type] = st.sampled_from(
        [*KEYS, *(cls for cls in classes if issubclass(cls, rpc.Enum))]
    )
    if kind == "set":
        return rpc.SetOf(draw(keys))
    if kind == "map":
        return rpc.MapOf(draw(keys), draw(types(classes, depth + 1)))
    return draw(st.sampled_from(SCALARS))


@st.composite
def field_lists(
    draw: st.DrawFn, classes: typing.Sequence[type], make: type[rpc.Field] = rpc.Field, most: int = 5
) -> tuple[tuple[rpc.Field, ...], tuple[rpc.Reserved, ...]]:
    """Gives fields, required ones first, and reserved ones; tags in any order."""
    tags = draw(st.lists(st.integers(1, 255) | st.integers(1, 12), unique=True, max_size=most))
    required, others, reserved = [], [], []
    for tag in tags:
        kind = draw(st.sampled_from(["required", "required", "optional", "default", "reserved"]))
        type_ = draw(types(classes))
        name = f"field{tag}"
        if kind == "required" or (kind == "default" and _holds_class(type_)):
            required.append(make(tag, name, type_))
        elif kind == "optional":
            others.append(make(tag, name, rpc.OptionalOf(type_)))
        elif kind == "reserved":
            reserved.append(rpc.Reserved(tag, type_))
        else:
            others.append(make(tag, name, type_, default=draw(values(type_, depth=2))))
    return (*required, *others), tuple(reserved)


def _holds_class(type_: Type) -> bool:
    if isinstance(type_, rpc.ListOf):
        return _holds_class(type_.item)
    if isinstance(type_, rpc.MapOf):
        return _holds_class(type_.value)
    return isinstance(type_, type) and not issubclass(type_, rpc.Enum)


def _make(name: str, base: typing.Any, namespace: dict[str, typing.Any]) -> typing.Any:
    return type(base)(name, (base,), namespace)


def enum_class(name: str, **members: int) -> typing.Any:
    """Makes a class as it would be generated for an enum."""
    make: typing.Any = rpc.Enum
    return make(name, members)


def struct_class(
    name: str, fields: typing.Sequence[rpc.Field], reserved: typing.Sequence[rpc.Reserved] = ()
) -> typing.Any:
    """Makes a class as it would be generated for a struct."""
    namespace: dict[str, typing.Any] = {
        "__annotations__": {field.attr: typing.Any for field in fields},
        "__module__": __name__,
    }
    for field in fields:
        if isinstance(field.default, (list, set, dict)):
            namespace[field.attr] = rpc.field(default_factory=functools.partial(field.fill, rpc.DEFAULT))
        elif field.default is not REQUIRED:
            namespace[field.attr] = field.default
    return rpc.fields(*fields, *reserved)(_make(name, rpc.Struct, namespace))


def exception_class(
    name: str, fields: typing.Sequence[rpc.Field] | None, reserved: typing.Sequence[rpc.Reserved] = ()
) -> typing.Any:
    """Makes a class as it would be generated for an exception, without a body if fields is None."""
    namespace: dict[str, typing.Any] = {"default_message": name, "__module__": __name__}
    if fields is not None:
        namespace["__init__"] = rpc.RemoteException._set_fields
    cls: typing.Any = type(name, (rpc.RemoteException,), namespace)
    return cls if fields is None else rpc.fields(*fields, *reserved)(cls)


def union_class(name: str, members: typing.Sequence[rpc.Field]) -> typing.Any:
    """Makes a class as it would be generated for a union."""
    namespace: dict[str, typing.Any] = {"__module__": __name__}
    for member in members:
        annotated = {"__annotations__": {"value": typing.Any}, "__module__": __name__}
        namespace[f"Case_{member.name}"] = _make(f"Case_{member.name}", rpc.Case, annotated)
    namespace["Unknown"] = _make("Unknown", rpc.UnknownCase, {"__module__": __name__})
    return rpc.fields(*members)(_make(name, rpc.Union, namespace))


@dataclasses.dataclass
class Method:
    """A random method: what its codecs are made from."""

    params: tuple[rpc.Param, ...]
    reserved: tuple[rpc.Reserved, ...]
    returns: Type
    raises: tuple[type[rpc.RemoteException], ...]

    def codecs(self) -> tuple[MethodCodec, ReferenceCodec]:
        """Gives the compiled codec and the reference."""
        parts = ("do.it", self.params, self.reserved, self.returns, self.raises)
        return MethodCodec(*parts), ReferenceCodec(*parts)

    def __repr__(self) -> str:
        return (
            f"Method(params={self.params}, reserved={self.reserved}, returns={self.returns}, raises={self.raises},"
            f" classes={_classes(self)})"
        )


@st.composite
def methods(draw: st.DrawFn) -> Method:
    """Gives methods over random classes, some of which hold themselves."""
    classes: list[type] = [enum_class("Kind", HOME=0, WORK=1, FAR=-5)]
    for number in range(draw(st.integers(0, 4))):
        name = f"Class{number}"
        shape = draw(st.sampled_from(["struct", "struct", "recursive", "union", "exception"]))
        fields, reserved = draw(field_lists(classes))
        if shape == "struct":
            classes.append(struct_class(name, fields, reserved))
        elif shape == "recursive":
            classes.append(_recursive(name, fields, reserved, draw(st.booleans())))
        elif shape == "exception":
            classes.append(exception_class(name, fields, reserved))
        else:
            members = [rpc.Field(tag, f"m{tag}", draw(types(classes))) for tag in draw(_member_tags)]
            classes.append(union_class(name, members))
    params, removed = draw(field_lists(classes, rpc.Param))
    returns = draw(st.one_of(types(classes), types(classes).map(rpc.OptionalOf), st.just(rpc.VOID)))
    raises = [
        exception_class("Plain", None),
        *(cls for cls in classes if issubclass(cls, rpc.RemoteException)),
    ]
    return Method(typing.cast("tuple[rpc.Param, ...]", params), removed, returns, tuple(raises))


_member_tags = st.lists(st.integers(1, 199), unique=True, min_size=1, max_size=3)


def _recursive(
    name: str, fields: typing.Sequence[rpc.Field], reserved: typing.Sequence[rpc.Reserved], many: bool
) -> typing.Any:
    def own() -> type:
        return made[0]

    made: list[type] = []
    used = {field.tag for field in fields} | {field.tag for field in reserved}
    tag = next(tag for tag in range(1, 256) if tag not in used)
    held: Type = rpc.ListOf(rpc.Ref(own)) if many else rpc.OptionalOf(rpc.Ref(own))
    field = rpc.Field(tag, "inner", held, default=[]) if many else rpc.Field(tag, "inner", held)
    made.append(struct_class(name, (*fields, field), reserved))
    return made[0]


def _classes(method: Method) -> list[typing.Any]:
    found: list[typing.Any] = []

    def visit(type_: typing.Any) -> None:
        if isinstance(type_, rpc.Ref):
            type_ = type_.resolve()
        for part in ("item", "key", "value"):
            if not isinstance(type_, type) and hasattr(type_, part):
                visit(getattr(type_, part))
        if isinstance(type_, type) and type_ not in [cls for cls, _, _ in found]:
            fields, reserved = getattr(type_, "__rpc_fields__", ()), getattr(type_, "__rpc_reserved__", ())
            found.append((type_, fields, reserved))
            for field in (*(fields or ()), *reserved):
                visit(field.type)

    given = [field.type for field in method.params] + [field.type for field in method.reserved]
    for type_ in (*given, method.returns, *method.raises):
        visit(type_)
    return found


def normal(value: typing.Any) -> typing.Any:
    """Gives a form in which two values are equal if they are the same to the last bit, their classes too."""
    if isinstance(value, float):
        return ("float", "nan" if value != value else struct.pack(">d", value))
    if isinstance(value, (list, tuple)):
        return (type(value).__name__, *map(normal, value))
    if isinstance(value, (set, frozenset)):
        return (type(value).__name__, frozenset(map(normal, value)))
    if isinstance(value, dict):
        return ("dict", *((normal(key), normal(item)) for key, item in value.items()))
    if isinstance(value, decimal.Decimal):
        return ("decimal", str(value))
    if isinstance(value, rpc.RemoteFault):
        return ("fault", str(value))
    if isinstance(value, rpc.RemoteException):
        return (type(value), normal(value.args))
    if hasattr(value, "__struct_fields__"):
        return (type(value), *(normal(getattr(value, name)) for name in value.__struct_fields__))
    return (type(value), value)


def outcome(function: typing.Callable[..., typing.Any], *args: typing.Any) -> typing.Any:
    """Gives what a call returns in its normal form, or the class and text of the RpcError it raises."""
    try:
        return normal(function(*args))
    except rpc.RpcError as error:
        return (type(error), str(error))
