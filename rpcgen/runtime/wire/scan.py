"""Where a reply ends: found from its bytes so far, without decoding them.

A plain reply has no length of its own. Decoding anew after each receive would be quadratic;
the scan goes on where it stopped. It reads lengths and counts alone and steps over the rest,
so what it has stepped over need not have come.
"""

from __future__ import annotations

import struct
import typing

from rpcgen.runtime.errors import ProtocolError
from rpcgen.runtime.schema import VOID, Enum, ListOf, MapOf, OptionalOf, Scalar, SetOf, Type
from rpcgen.runtime.wire.scalars import CODES, ENUM_CODE, SIZED, SIZES
from rpcgen.runtime.wire.types import resolved

if typing.TYPE_CHECKING:
    from rpcgen.runtime.wire import _codec
    from rpcgen.runtime.wire.limits import Limits

    AnyReplyScan: typing.TypeAlias = "ReplyScan | _codec.ReplyScan"
    """This module's, or the one in C, which does the same."""

_u32 = struct.Struct(">I").unpack_from


class _Length:
    """A length, then as many bytes; and fixed bytes before and after."""

    def __init__(self, before: int = 0, after: int = 0) -> None:
        self.before = before
        self.after = after


class _Option:
    """A byte; the value follows if it is 1."""

    def __init__(self, item: Shape) -> None:
        self.item = item


class _Repeat:
    """A count, then as many entries, each a row of shapes.

    Attributes:
        entry: The row, or a part of it that repeats ``times`` times.
        size: Bytes of an entry if all are as long, else 0.
    """

    def __init__(self, *entry: Shape) -> None:
        self.entry = entry
        self.times = 1
        self.size = 0
        match entry:
            case (int(),) | (int(), int()):
                self.size = sum(typing.cast("tuple[int, ...]", entry))
            case (_Length(), _Length()):
                self.entry, self.times = (_LENGTH,), 2
            case (int(before), _Length()):
                self.entry = (_Length(before=before),)
            case (_Length(), int(after)):
                self.entry = (_Length(after=after),)


Shape: typing.TypeAlias = "int | _Length | _Option | _Repeat"
"""What the scan must know of a type: a number of bytes, or how to find it."""

_LENGTH = _Length()


def shape(type_: Type) -> Shape:
    """Gives a type's shape."""
    type_ = resolved(type_)
    if isinstance(type_, Scalar):
        if type_ is VOID:
            return 0
        return _LENGTH if type_ in SIZED else SIZES[CODES[type_]]
    if isinstance(type_, (ListOf, SetOf)):
        return _Repeat(shape(type_.item))
    if isinstance(type_, MapOf):
        return _Repeat(shape(type_.key), shape(type_.value))
    if isinstance(type_, OptionalOf):
        return _Option(shape(type_.item))
    assert isinstance(type_, type)
    return SIZES[ENUM_CODE] if issubclass(type_, Enum) else _LENGTH


class ReplyScan:
    """Finds where one reply ends.

    Call ``advance`` with the reply's bytes whenever more have come, until it says that the
    reply is whole. Each byte is looked at once at most, however they are split.

    Attributes:
        end: Where the reply ends, once it is whole.
        needs: Bytes that it has at least, until then.
        steps: Lengths, counts and flags read so far.
    """

    __slots__ = ("_counted", "_limits", "_method", "_pos", "_returns", "_todo", "end", "needs", "steps")

    def __init__(self, method: str, returns: Type | Shape, limits: Limits) -> None:
        self._method = method
        self._returns = returns
        self._limits = limits
        self._pos = 0
        self._todo: list[list[typing.Any]] = []  # rows of [shapes, index of the next, rounds left]
        self._counted = 0
        self.end = 0
        self.needs = 1
        self.steps = 0

    def advance(self, data: bytes | bytearray | memoryview) -> bool:
        """Says whether the reply is whole.

        Args:
            data: All of the reply that has come, from its first byte; what follows the reply is
                not looked at.

        Raises:
            ProtocolError: It goes beyond a limit, or a flag is neither 0 nor 1.
        """
        have = len(data)
        if not self._pos:
            if not have:
                return False
            self._pos = 1
            self._todo.append([(self._first(data[0]),), 0, 1])
        if not self._walk(data, have):
            return False
        if self._within(self._pos) > have:
            self.needs = self._pos
            return False
        self.end = self._pos
        return True

    def _first(self, kind: int) -> Shape:
        if kind != 1:
            return _LENGTH
        returns = self._returns
        return returns if isinstance(returns, (int, _Length, _Option, _Repeat)) else shape(returns)

    def _walk(self, data: bytes | bytearray | memoryview, have: int) -> bool:
        """Goes on to the end of the reply, or to a length, count or flag that has not come: False."""
        todo = self._todo
        while todo:
            row = todo[-1]
            shapes, index, rounds = row
            if index == len(shapes):
                row[1], row[2] = 0, rounds - 1
                if rounds == 1:
                    todo.pop()
                continue
            step = shapes[index]
            if type(step) is int:
                self._pos += step
            elif isinstance(step, _Length):
                if not self._lengths(data, have, row, step):
                    return self._wants(step.before + 4)
                continue
            elif isinstance(step, _Option):
                if self._pos >= have:
                    return self._wants(1)
                self._option(data[self._pos], step)
            else:
                if self._pos + 4 > have:
                    return self._wants(4)
                self._repeat(_u32(data, self._pos)[0], step)
            row[1] = index + 1
        return True

    def _lengths(
        self, data: bytes | bytearray | memoryview, have: int, row: list[typing.Any], step: _Length
    ) -> bool:
        """Steps over a length and its bytes; in a row of that alone, over all rounds that have come."""
        before, beyond = step.before, step.before + 4 + step.after
        pos, last = self._pos, have - 4 - before
        alone = len(row[0]) == 1
        rounds = left = row[2] if alone else 1
        while left and pos <= last:
            pos += beyond + _u32(data, pos + before)[0]
            left -= 1
        self._pos = pos
        self.steps += rounds - left
        if alone:
            row[2] = max(left, 1)
        if left:
            return False
        row[1] += 1
        return True

    def _option(self, flag: int, step: _Option) -> None:
        self.steps += 1
        if flag > 1:
            raise self._error(f"a flag before an optional value must be 0 or 1, not {flag}")
        self._pos += 1
        if flag:
            self._todo.append([(step.item,), 0, 1])

    def _repeat(self, count: int, step: _Repeat) -> None:
        self.steps += 1
        self._pos += 4
        self._counted += count
        if self._counted > self._limits.items:
            raise self._error(f"more than {self._limits.items} items in a reply")
        if step.size:
            self._pos += count * step.size
        elif count:
            self._todo.append([step.entry, 0, count * step.times])

    def _wants(self, more: int) -> bool:
        self.needs = self._within(self._pos + more)
        return False

    def _within(self, size: int) -> int:
        if size > self._limits.message:
            raise self._error(f"a reply of {size} bytes or more; the limit is {self._limits.message}")
        return size

    def _error(self, problem: str) -> ProtocolError:
        return ProtocolError(problem, method=self._method)
