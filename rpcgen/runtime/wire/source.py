"""Python source being written, and what a descriptor means for it."""

from __future__ import annotations

import builtins
import collections.abc
import functools
import keyword
import struct
import threading
import typing

from rpcgen.runtime.schema import ListOf, MapOf, OptionalOf, Ref, Scalar, SetOf, Type
from rpcgen.runtime.wire.types import height, resolved

Function: typing.TypeAlias = "collections.abc.Callable[..., typing.Any]"


class Surprise(Exception):
    """A compiled function met what it was not made for; the reference decides what it means.

    The class is raised, never one instance for all: that would hold on to the frames, and so to the
    messages, of each time that it was raised.
    """


_OURS = ("args", "data", "end", "item", "key", "left", "limits", "pos", "room", "value")
"""Names that sources use for themselves."""

lock = threading.RLock()
"""Held while compiling: classes that refer to each other are linked under it."""


class ByCount(dict[int, typing.Any]):
    """Functions of a Struct that holds a number of something; few are kept: peers must not fill memory.

    Args:
        layout: The Struct's format, with ``{}`` for the number.
        method: Of the Struct: ``pack`` or ``unpack_from``.
    """

    def __init__(self, layout: str, method: str) -> None:
        super().__init__()
        self._layout = layout
        self._method = method

    def __missing__(self, count: int) -> typing.Any:
        function = getattr(struct.Struct(self._layout.format(count)), self._method)
        if count < 1_024:
            self[count] = function
        return function


@functools.cache
def by_count(layout: str, method: str) -> ByCount:
    """Gives the functions of one layout."""
    return ByCount(layout, method)


@functools.cache
def packed(codes: str) -> struct.Struct:
    """Gives the Struct of a run of fixed-width values."""
    return struct.Struct(">" + codes)


class Source:
    """The source of one function and the names that it refers to.

    Args:
        name: The function's.
        parameters: As they stand in its head.
    """

    def __init__(self, name: str, parameters: str) -> None:
        self.name = name
        self.namespace: dict[str, typing.Any] = {}
        self._lines: list[str] = []
        self._indent = 1
        self._taken = {name, *_OURS, *dir(builtins), *parameters.replace(",", " ").split()}
        self._known: dict[typing.Hashable, str] = {}
        self._parameters = parameters

    def line(self, text: str) -> None:
        """Adds a line at the present indentation."""
        self._lines.append("    " * self._indent + text)

    def block(self, head: str) -> _Block:
        """Adds ``head`` and indents what is added in the with statement's body."""
        self.line(head)
        return _Block(self)

    def shift(self, by: int) -> None:
        """Indents what follows by more or fewer steps."""
        self._indent += by

    def name_for(self, hint: str) -> str:
        """Gives a name like ``hint`` that nothing else has."""
        name, number = hint, 1
        while name in self._taken or keyword.iskeyword(name):
            number += 1
            name = f"{hint}{number}"
        self._taken.add(name)
        return name

    def constant(self, value: object, hint: str) -> str:
        """Gives the name of an object that the source refers to."""
        name, new = self.known(id(value), hint)
        if new:
            self.namespace[name] = value  # which also keeps its id
        return name

    def pack(self, codes: str) -> str:
        """Gives the name of a function that packs a run of fixed-width values."""
        name, new = self.known(("pack", codes), f"pack_{codes}")
        if new:
            self.namespace[name] = packed(codes).pack
        return name

    def unpack(self, codes: str) -> str:
        """Gives the name of a function that unpacks a run of fixed-width values from a position."""
        name, new = self.known(("unpack", codes), f"unpack_{codes}")
        if new:
            self.namespace[name] = packed(codes).unpack_from
        return name

    def known(self, key: typing.Hashable, hint: str) -> tuple[str, bool]:
        """Gives the name kept under a key, and whether it is new."""
        name = self._known.get(key)
        if name is not None:
            return name, False
        name = self._known[key] = self.name_for(hint)
        return name, True

    def text(self) -> str:
        """Gives the whole source."""
        return "\n".join((f"def {self.name}({self._parameters}):", *self._lines, ""))

    def function(self) -> Function:
        """Gives the function."""
        text = self.text()
        exec(compile(text, f"<rpcgen {self.name}>", "exec"), self.namespace)
        function: Function = self.namespace.pop(self.name)
        function.__rpc_source__ = text  # type: ignore[attr-defined]
        return function


class _Block:
    def __init__(self, source: Source) -> None:
        self._source = source

    def __enter__(self) -> None:
        self._source.shift(1)

    def __exit__(self, *_: object) -> None:
        self._source.shift(-1)


class Linker:
    """Makes one function a class, and lets functions of classes that hold each other find each other.

    Args:
        key: The attribute of a class under which its function is kept.
        make: Gives the source of a class's function.
    """

    def __init__(self, key: str, make: collections.abc.Callable[[typing.Any], Source]) -> None:
        self._key = key
        self._make = make
        self._waiting: dict[type, list[tuple[dict[str, typing.Any], str]]] = {}

    def link(self, cls: type, source: Source, hint: str) -> str:
        """Gives the name in ``source`` of the function of ``cls``."""
        name, new = source.known((self._key, cls), hint)
        if new:
            with lock:
                if cls in self._waiting:
                    self._waiting[cls].append((source.namespace, name))
                else:
                    source.namespace[name] = self.function(cls)
        return name

    def function(self, cls: type) -> Function:
        """Gives the function of a class."""
        with lock:
            kept: Function | None = cls.__dict__.get(self._key)
            if kept is None:
                self._waiting[cls] = []
                try:
                    kept = self._make(cls).function()
                finally:
                    waiting = self._waiting.pop(cls)
                for namespace, name in waiting:
                    namespace[name] = kept
                setattr(cls, self._key, kept)
            return kept


def needed(type_: Type) -> int:
    """Gives the levels that a value takes at least where ``room`` is counted at run time.

    A recursive class counts its own level alone: its function looks at the rest.
    """
    type_ = resolved(type_)
    known = height(type_)
    if known is not None:
        return known
    if isinstance(type_, OptionalOf):
        return needed(type_.item)
    if isinstance(type_, (ListOf, SetOf)):
        return 1 + needed(type_.item)
    if isinstance(type_, MapOf):
        return 1 + max(needed(type_.key), needed(type_.value))
    assert not isinstance(type_, (Scalar, Ref))
    return 1
