"""JSON Schemas of types, from descriptors: what ``forms`` reads and writes, said to others.

Classes, and scalars that need more than a line to say, become components that are referred to; so a type
that holds itself is no trouble. Where several classes have one name, all of them have their module's before.
"""

from __future__ import annotations

import re
import typing

from rpcgen.runtime import schema
from rpcgen.runtime.errors import RemoteException
from rpcgen.runtime.schema import REQUIRED, Enum, ListOf, MapOf, OptionalOf, Scalar, SetOf, Type
from rpcgen.runtime.wire.forms import idl_name, member_names, to_json
from rpcgen.runtime.wire.json_scalars import TIME, ZONE
from rpcgen.runtime.wire.types import is_message_only, is_union, resolved

if typing.TYPE_CHECKING:
    from rpcgen.runtime.http.doc_comments import DocComments

Schema: typing.TypeAlias = "dict[str, typing.Any]"


def _digits(low: int, high: int) -> str:
    """Gives a regular expression for the decimal digits of the integers of a range around 0, or from 0 on."""
    ways = f"-(?:{_up_to(-low)})|{_up_to(high)}" if low else _up_to(high)
    return f"^(?!-?0[0-9])(?:{ways})$"


def _up_to(number: int) -> str:
    digits = str(number)
    ways = [f"[0-9]{{1,{len(digits) - 1}}}"] if len(digits) > 1 else []
    for place, digit in enumerate(digits):
        least = 1 if place == 0 and ways else 0
        if int(digit) > least:
            rest = len(digits) - place - 1
            below = f"[{least}-{int(digit) - 1}]"
            ways.append(digits[:place] + below + (f"[0-9]{{{rest}}}" if rest else ""))
    return "|".join([*ways, digits])


def _integer(bits: int, *, signed: bool) -> Schema:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    kind = f"{'' if signed else 'u'}int{bits}"
    if bits < 64:
        return {"type": "integer", "format": kind, "minimum": low, "maximum": high}
    return {
        "type": ["integer", "string"],
        "format": kind,
        "minimum": low,
        "maximum": high,
        "pattern": _digits(low, high),
        "description": "A number; beyond ±2^53 a string of its decimal digits, which may stand always.",
        "examples": [1],
    }


def _real(most: float) -> Schema:
    return {
        "anyOf": [
            {"type": "number", "minimum": -most, "maximum": most},
            {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]},
        ],
        "examples": [1.5],
    }


_DAY = r"(?!0000)[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_FRACTION = r"(?:\.[0-9]{1,6}0*)?"
_DURATION = (
    r"-?P(?=[0-9T])(?:[0-9]{1,12}W)?(?:[0-9]{1,12}D)?"
    r"(?:T(?=[0-9])(?:[0-9]{1,12}H)?(?:[0-9]{1,12}M)?(?:[0-9]{1,16}(?:\.[0-9]{1,6}0*)?S)?)?"
)
_DECIMAL = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?"
_BASE64 = r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"

_SCALARS: dict[Scalar, Schema] = {
    schema.VOID: {"type": "null"},
    schema.BOOL: {"type": "boolean"},
    schema.BYTE: _integer(8, signed=True),
    schema.SHORT: _integer(16, signed=True),
    schema.INT: _integer(32, signed=True),
    schema.LONG: _integer(64, signed=True),
    schema.UBYTE: _integer(8, signed=False),
    schema.USHORT: _integer(16, signed=False),
    schema.UINT: _integer(32, signed=False),
    schema.ULONG: _integer(64, signed=False),
    schema.FLOAT: _real(3.4028234663852886e38) | {"description": "A number of 32 bits."},
    schema.DOUBLE: _real(1.7976931348623157e308) | {"description": "A number of 64 bits."},
    schema.STRING: {"type": "string"},
    schema.BYTES: {
        "type": "string",
        "contentEncoding": "base64",
        "pattern": f"^{_BASE64}$",
        "description": "Bytes, in base64 with padding.",
        "examples": ["AAEC"],
    },
    schema.TIMESTAMP: {
        "type": "string",
        "format": "date-time",
        "pattern": f"^{_DAY}[Tt ]{TIME}{_FRACTION}{ZONE}$",
        "description": "RFC 3339, at most to the microsecond; responses say it in UTC.",
        "examples": ["2024-02-29T12:00:00Z"],
    },
    schema.DATE: {
        "type": "string",
        "format": "date",
        "pattern": f"^{_DAY}$",
        "examples": ["2024-02-29"],
    },
    schema.DURATION: {
        "type": "string",
        "pattern": f"^{_DURATION}$",
        "description": "ISO 8601 without years and months, at most to the microsecond.",
        "examples": ["PT1H30M"],
    },
    schema.UUID: {
        "type": "string",
        "format": "uuid",
        "examples": ["00000000-0000-4000-8000-000000000001"],
    },
    schema.DECIMAL: {
        "type": "string",
        "format": "decimal",
        "pattern": f"^{_DECIMAL}$",
        "description": "A decimal number of at most 1000 digits, its exponent within ±6144.",
        "examples": ["10.50"],
    },
}
_KEYS: dict[Scalar, Schema] = {
    schema.BOOL: {"enum": ["true", "false"]},
    schema.STRING: {},
}
_UNKNOWN_TAG = r"(?:[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5])$"


class Schemas:
    """Schemas, and the components that they refer to.

    Args:
        docs: Of the interfaces.
        types: All classes that will be asked for, so that their names are told apart.
    """

    def __init__(self, docs: DocComments, types: typing.Iterable[Type]) -> None:
        self._docs = docs
        self._names = _names(classes(types))
        self.components: dict[str, Schema] = {}

    def name(self, cls: type) -> str:
        """Gives the name of a class's component."""
        return self._names[cls]

    def of(self, type_: Type) -> Schema:
        """Gives the schema of a type's values."""
        type_ = resolved(type_)
        if isinstance(type_, Scalar):
            return self._scalar(type_)
        if isinstance(type_, OptionalOf):
            return {"anyOf": [self.of(type_.item), {"type": "null"}]}
        if isinstance(type_, ListOf):
            return {"type": "array", "items": self.of(type_.item)}
        if isinstance(type_, SetOf):
            return {"type": "array", "items": self.of(type_.item), "uniqueItems": True}
        if isinstance(type_, MapOf):
            keys = self._keys(type_.key)
            made: Schema = {"type": "object", "additionalProperties": self.of(type_.value)}
            return {**made, "propertyNames": keys} if keys else made
        return self._class(type_)

    def members(self, fields: typing.Iterable[schema.Field], module: str, *path: str) -> Schema:
        """Gives the schema of an object with these members, defaults and docs told.

        Args:
            fields: Of a struct, or a method's parameters.
            module: That they stand in.
            path: The name of what they are of.
        """
        made: Schema = {"type": "object", "properties": {}}
        required = []
        for field in fields:
            made["properties"][field.name] = self.member(field, module, *path)
            if field.default is REQUIRED:
                required.append(field.name)
        return {**made, "required": required} if required else made

    def member(self, field: schema.Field, module: str, *path: str) -> Schema:
        """Gives the schema of one of them."""
        found = dict(self.of(field.type))
        doc = self._docs.of(module, *path, field.name)
        if doc:
            found["description"] = doc
        if field.default is not REQUIRED and field.default is not None:
            found["default"] = to_json(field.type, field.default)
        return found

    def _scalar(self, scalar: Scalar) -> Schema:
        found = _SCALARS[scalar]
        if "description" not in found:
            return found
        self.components[scalar.name] = found
        return _reference(scalar.name)

    def _keys(self, type_: Type) -> Schema:
        type_ = resolved(type_)
        if not isinstance(type_, Scalar):
            names = [re.escape(name) for name in member_names(typing.cast("type[Enum]", type_))]
            return {"pattern": f"^(?:{'|'.join(names)}|-?(?:0|[1-9][0-9]{{0,8}}))$"}
        if type_ in _KEYS:
            return _KEYS[type_]
        found = _SCALARS[type_]
        if "minimum" in found:
            return {"pattern": _digits(found["minimum"], found["maximum"])}
        return self._scalar(type_)

    def _class(self, cls: typing.Any) -> Schema:
        name = self._names[cls]
        if name not in self.components:
            self.components[name] = {}  # what holds itself finds this meanwhile
            doc = self._docs.of(cls.__module__, idl_name(cls))
            made = self._made(cls)
            self.components[name] = {**({"description": doc} if doc else {}), **made}
        return _reference(name)

    def _made(self, cls: typing.Any) -> Schema:
        if issubclass(cls, Enum):
            return self._enum(cls)
        if is_message_only(cls):
            return {"type": "string"}
        if is_union(cls):
            return self._union(cls)
        return self.members(cls.__rpc_fields__, cls.__module__, idl_name(cls))

    def _enum(self, cls: type[Enum]) -> Schema:
        names = list(member_names(cls))
        told = [(name, self._docs.of(cls.__module__, idl_name(cls), name)) for name in names]
        lines = [f"- `{name}`: {doc}" for name, doc in told if doc]
        made: Schema = {
            "anyOf": [
                {"type": "string", "enum": names},
                {
                    "type": "integer",
                    "format": "int32",
                    "minimum": -(2**31),
                    "maximum": 2**31 - 1,
                    "description": "The number of a member that has no name here.",
                },
            ]
        }
        if lines:
            made["anyOf"][0]["description"] = "\n".join(lines)
        return made

    def _union(self, cls: typing.Any) -> Schema:
        ways: list[Schema] = [
            {
                "type": "object",
                "title": field.name,
                "properties": {field.name: self.member(field, cls.__module__, idl_name(cls))},
                "required": [field.name],
                "additionalProperties": False,
            }
            for field in cls.__rpc_fields__
        ]
        known = "|".join(str(field.tag) for field in cls.__rpc_fields__)
        unknown: Schema = {
            "type": "object",
            "title": "unknown",
            "description": "A member that is not known here, by its tag.",
            "patternProperties": {f"^(?!(?:{known})$){_UNKNOWN_TAG}": self.of(schema.BYTES)},
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": False,
        }
        return {"oneOf": [*ways, unknown]}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def classes(types: typing.Iterable[Type]) -> list[type]:
    """Gives the classes that types consist of, each once, and those that these consist of."""
    found: dict[type, None] = {}
    waiting = list(types)[::-1]
    while waiting:
        type_ = resolved(waiting.pop())
        if isinstance(type_, MapOf):
            waiting += [type_.value, type_.key]
        elif isinstance(type_, (ListOf, SetOf, OptionalOf)):
            waiting.append(type_.item)
        elif isinstance(type_, type) and type_ not in found:
            found[type_] = None
            fields = getattr(type_, "__rpc_fields__", None) or ()
            waiting += [field.type for field in reversed(fields)]
    return list(found)


def _names(found: list[type]) -> dict[type, str]:
    short = [idl_name(cls) for cls in found]
    return {
        cls: name if short.count(name) == 1 else f"{cls.__module__.rpartition('.')[2]}.{name}"
        for cls, name in zip(found, short, strict=True)
    }


def raised(cls: type[RemoteException], fields: Schema) -> Schema:
    """Gives the schema of an exception that was raised.

    Args:
        cls: The exception.
        fields: The schema of its value.
    """
    has_fields = cls.__rpc_fields__ is not None
    return {
        "type": "object",
        "properties": {
            "type": {"const": idl_name(cls)},
            "message": {"type": "string"},
            **({"fields": fields} if has_fields else {}),
        },
        "required": ["type", "message", *(["fields"] if has_fields else [])],
    }
