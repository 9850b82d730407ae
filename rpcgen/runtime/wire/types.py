"""Questions about descriptors, and the error that reading or writing a value ends in."""

from __future__ import annotations

import typing

from rpcgen.runtime.errors import RemoteException
from rpcgen.runtime.schema import Enum, ListOf, MapOf, OptionalOf, Ref, Scalar, SetOf, Type

if typing.TYPE_CHECKING:
    from rpcgen.runtime.values import Union


class Misfit(Exception):
    """A value or some bytes are not what their type says; becomes an EncodeError or DecodeError.

    Args:
        text: What was expected and what came.
        at: Where in the bytes, when decoding.
    """

    def __init__(self, text: str, at: int | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.at = at
        self.path = ""

    def inside(self, part: str) -> Misfit:
        """Says one more step of the way to the value: ``name`` or ``[index]``."""
        dot = "." if self.path and not self.path.startswith("[") else ""
        self.path = f"{part}{dot}{self.path}"
        return self

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        return where + self.text + (f" (at byte {self.at})" if self.at is not None else "")


def resolved(type_: Type) -> Type:
    """Gives the type that a Ref stands for, or the type itself."""
    return type_.resolve() if isinstance(type_, Ref) else type_


def is_union(type_: Type) -> typing.TypeGuard[type[Union]]:
    """Says whether a type is a generated union."""
    return hasattr(type_, "__rpc_cases__")


def is_message_only(type_: Type) -> bool:
    """Says whether a type is an exception without a body, which is a string on the wire."""
    return isinstance(type_, type) and issubclass(type_, RemoteException) and type_.__rpc_fields__ is None


def height(type_: Type) -> int | None:
    """Gives how many structs, unions and containers can stand inside each other; None: any number."""
    return _height(type_, set())


def _height(type_: Type, above: set[type]) -> int | None:
    type_ = resolved(type_)
    if isinstance(type_, Scalar):
        return 0
    if isinstance(type_, OptionalOf):
        return _height(type_.item, above)
    if isinstance(type_, (ListOf, SetOf)):
        return _plus_one([_height(type_.item, above)])
    if isinstance(type_, MapOf):
        return _plus_one([_height(type_.key, above), _height(type_.value, above)])
    cls: typing.Any = type_
    if issubclass(cls, Enum) or is_message_only(cls):
        return 0
    if cls in above:
        return None
    if "__rpc_height__" not in cls.__dict__:
        above.add(cls)
        cls.__rpc_height__ = _plus_one([_height(field.type, above) for field in cls.__rpc_fields__])
        above.discard(cls)
    return typing.cast("int | None", cls.__rpc_height__)


def _plus_one(heights: list[int | None]) -> int | None:
    known = [each for each in heights if each is not None]
    return None if len(known) < len(heights) else 1 + max(known, default=0)
