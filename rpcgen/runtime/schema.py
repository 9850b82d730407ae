"""What generated code is made of: descriptors of types, fields and parameters, and the interface's text.

A type is one of

* a scalar: ``BOOL`` to ``DECIMAL``, or ``VOID`` as a result;
* a container: ``ListOf``, ``SetOf``, ``MapOf``;
* ``OptionalOf(type)``: the value or None;
* a generated class: a ``Struct``, ``Union``, ``Enum`` or ``RemoteException``;
* ``Ref(lambda: Class)``: a class that stands further down in its module.

Descriptors are data. What they mean on the wire is said in ``rpcgen.runtime.wire``.
"""

from __future__ import annotations

import enum
import typing

_Class = typing.TypeVar("_Class", bound=type)


class _Default(enum.Enum):
    """The type of ``DEFAULT``; an enum, so that it survives copying and pickling as itself."""

    DEFAULT = "DEFAULT"

    def __repr__(self) -> str:
        return "DEFAULT"


DEFAULT: typing.Any = _Default.DEFAULT
"""Stands for "the default of the IDL" where a signature cannot hold it: a fresh list, set or map."""

REQUIRED: typing.Any = type("_Required", (), {"__slots__": (), "__repr__": lambda self: "REQUIRED"})()
"""A field's ``default`` where it has none."""


class Scalar:
    """A type without parts. There is one instance of each; compare with ``is``."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"rpc.{self.name.upper()}"


BOOL = Scalar("bool")
BYTE = Scalar("byte")
SHORT = Scalar("short")
INT = Scalar("int")
LONG = Scalar("long")
UBYTE = Scalar("ubyte")
USHORT = Scalar("ushort")
UINT = Scalar("uint")
ULONG = Scalar("ulong")
FLOAT = Scalar("float")
DOUBLE = Scalar("double")
STRING = Scalar("string")
BYTES = Scalar("bytes")
TIMESTAMP = Scalar("timestamp")
DATE = Scalar("date")
DURATION = Scalar("duration")
UUID = Scalar("uuid")
DECIMAL = Scalar("decimal")
VOID = Scalar("void")


class ListOf:
    """``list<item>``."""

    __slots__ = ("item",)

    def __init__(self, item: Type) -> None:
        self.item = item

    def __repr__(self) -> str:
        return f"rpc.ListOf({self.item!r})"


class SetOf:
    """``set<item>``; an item is of a type that a map's key may have."""

    __slots__ = ("item",)

    def __init__(self, item: Type) -> None:
        self.item = item

    def __repr__(self) -> str:
        return f"rpc.SetOf({self.item!r})"


class MapOf:
    """``map<key, value>``."""

    __slots__ = ("key", "value")

    def __init__(self, key: Type, value: Type) -> None:
        self.key = key
        self.value = value

    def __repr__(self) -> str:
        return f"rpc.MapOf({self.key!r}, {self.value!r})"


class OptionalOf:
    """``item?``: the value or None; of a field, a parameter or a result."""

    __slots__ = ("item",)

    def __init__(self, item: Type) -> None:
        self.item = item

    def __repr__(self) -> str:
        return f"rpc.OptionalOf({self.item!r})"


class Ref:
    """A generated class that is not defined yet where it is needed; ``resolve`` gives it."""

    __slots__ = ("resolve",)

    def __init__(self, resolve: typing.Callable[[], type]) -> None:
        self.resolve = resolve

    def __repr__(self) -> str:
        return f"rpc.Ref({self.resolve().__qualname__})"


Type: typing.TypeAlias = "Scalar | ListOf | SetOf | MapOf | OptionalOf | Ref | type"


def fresh(value: typing.Any) -> typing.Any:
    """Gives a default to be handed out: containers are copied, those inside them too."""
    if isinstance(value, list):
        return [fresh(item) for item in value]
    if isinstance(value, dict):
        return {key: fresh(item) for key, item in value.items()}
    return value.copy() if isinstance(value, set) else value


class Field:
    """A field of a struct or exception, a member of a union, or (as ``Param``) a parameter.

    Args:
        tag: Its number on the wire, 1 to 255.
        name: Its name as the IDL has it; JSON and messages use it.
        type: Its type; ``OptionalOf`` makes None its default.
        default: Its default; ``REQUIRED`` if it has none. Never handed out itself if it is
            mutable: ``fill`` copies it.
        attr: Its name in Python where that is another (``class_``).
    """

    __slots__ = ("attr", "default", "name", "tag", "type")

    def __init__(self, tag: int, name: str, type: Type, default: object = REQUIRED, attr: str = "") -> None:
        self.tag = tag
        self.name = name
        self.type = type
        self.default = None if default is REQUIRED and isinstance(type, OptionalOf) else default
        self.attr = attr or name

    def fill(self, value: object) -> object:
        """Gives value, or a fresh default where it is ``DEFAULT``.

        Raises:
            TypeError: The field has no default.
        """
        if value is not DEFAULT:
            return value
        if self.default is REQUIRED:
            raise TypeError(f"{self.name} has no default")
        return fresh(self.default)

    def __repr__(self) -> str:
        default = "" if self.default is REQUIRED else f", default={self.default!r}"
        return f"{type(self).__name__}({self.tag}, {self.name!r}, {self.type!r}{default})"


if typing.TYPE_CHECKING:
    import collections.abc

    _Shared = type
else:
    _make = type.__call__
    _made = {}
    _PLAIN = frozenset(map(type, (REQUIRED, None, False, 0, "")))

    class _Shared(type):
        # Interfaces have the same few parameters again and again: `1: long id`. One object for all of
        # them is less to make, less for the collector to go through, and less memory. Of scalars with
        # defaults that are equal only if they are the same: nothing here holds a module's classes.
        def __call__(cls, tag, name, type, default=REQUIRED, attr=""):
            try:
                return _made[tag, name, type, default, default.__class__, attr]
            except (KeyError, TypeError):  # the latter of a default that cannot be a key
                param = _make(cls, tag, name, type, default, attr)
            if type.__class__ is Scalar and default.__class__ in _PLAIN:
                _made[tag, name, type, default, default.__class__, attr] = param
            return param


class Param(Field, metaclass=_Shared):
    """A parameter of a method; it may be that of several, so it is never changed."""

    __slots__ = ()


class Reserved:
    """A removed field, so that what an old peer still sends can be read past.

    In a struct or exception its value is skipped; as an argument it is refused.
    """

    __slots__ = ("tag", "type")

    def __init__(self, tag: int, type: Type) -> None:
        self.tag = tag
        self.type = type

    def __repr__(self) -> str:
        return f"Reserved({self.tag}, {self.type!r})"


def fields(*declared: Field | Reserved) -> typing.Callable[[_Class], _Class]:
    """Class decorator: what a generated struct, exception or union is on the wire.

    Sets ``__rpc_fields__`` (in the order of the constructor) and ``__rpc_reserved__``.
    """

    def decorate(cls: _Class) -> _Class:
        cls.__rpc_fields__ = tuple(f for f in declared if isinstance(f, Field))  # type: ignore[attr-defined]
        cls.__rpc_reserved__ = tuple(f for f in declared if isinstance(f, Reserved))  # type: ignore[attr-defined]
        return cls

    return decorate


class Enum(enum.IntEnum):
    """The base of generated enums.

    A number that a newer peer sent becomes a member without a name: equal to its number,
    encoded again as it came, and not kept, so that peers cannot fill memory.
    """

    @classmethod
    def from_wire(cls, number: int) -> Enum:
        """Gives the member of this number, a nameless one if there is none."""
        member = cls._value2member_map_.get(number)
        if member is None:
            member = int.__new__(cls, number)
            member._name_ = ""
            member._value_ = number
        return typing.cast(Enum, member)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}.{self._name_ or '?'}: {self._value_}>"

    def __str__(self) -> str:
        return (
            self._name_ and f"{type(self).__name__}.{self._name_}"
        ) or f"{type(self).__name__}({self._value_})"

    def __reduce_ex__(self, protocol: object) -> tuple[object, ...]:
        return (type(self).from_wire, (self._value_,))


class Interface:
    """The canonical text of one interface file; ``rpc.describe`` answers with it.

    Args:
        file: The file's name, without its folder.
        text: Its canonical IDL.
        includes: Those of the files that it includes.
    """

    __slots__ = ("file", "includes", "text")

    def __init__(self, file: str, text: str, includes: tuple[Interface, ...] = ()) -> None:
        self.file = file
        self.text = text
        self.includes = includes

    @property
    def fingerprint(self) -> str:
        """Tells this interface from others, and from this one as it was before: see ``fingerprint``."""
        return fingerprint((self,))

    def __repr__(self) -> str:
        return f"rpc.Interface({self.file!r})"


def canonical_text(interfaces: collections.abc.Iterable[Interface]) -> str:
    """Gives the text of interfaces, each file once and those that it includes before it.

    Several files are told apart by a line ``// file: NAME`` before each.
    """
    files: list[Interface] = []

    def collect(interface: Interface) -> None:
        for include in interface.includes:
            collect(include)
        if interface not in files:
            files.append(interface)

    for interface in interfaces:
        collect(interface)
    if len(files) == 1:
        return files[0].text
    return "\n".join(f"// file: {file.file}\n{file.text}" for file in files)


def fingerprint(interfaces: collections.abc.Iterable[Interface]) -> str:
    """Gives the first 32 hexadecimal digits of the SHA-256 of their canonical text, in UTF-8.

    So anybody can make it of what ``rpc.describe`` answers for these interfaces alone.
    """
    from rpcgen.runtime.sha256 import sha256

    return sha256(canonical_text(interfaces).encode())[:32]
