"""Questions about descriptors, and the error that reading or writing a value ends in."""

from __future__ import annotations

import typing

from rpcgen.runtime.schema import Ref, Type

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
