"""Values as JSON, from descriptors: what HTTP, the command line and the documents speak.

A type is compiled once to a pair of functions, as the codec does it. The forms:

    bool, integers, floats      as they are; beyond ±2**53 a decimal string; "NaN", "Infinity", "-Infinity"
    string, uuid, decimal       a string
    bytes                       base64 with padding
    timestamp, date             RFC 3339, in UTC: "2024-02-29T12:00:00.500000Z", "2024-02-29"
    duration                    ISO 8601 without years and months: "PT1H30M", "-P1DT0.5S"
    enum                        its member's name; a number that has none: the number
    list, set                   a list; a set's items in the order of their bytes
    map                         an object; keys as strings: "true", "12", a timestamp, a member's name
    struct                      an object by the IDL's names; None is left out, defaults are written
    union                       {"member": value}; an unknown one {"200": base64 of its bytes}
    exception without a body    its message; one with a body as a struct: as a value of a field, that is

Reading, members that a struct does not know are passed over, arguments that a method does not know are
refused. ``T?`` is the value or null. An exception that was raised is ``{"type": NAME, "message": text}``,
and ``"fields": {…}`` beside these if it has a body.
"""

from __future__ import annotations

import typing

from rpcgen.runtime import schema
from rpcgen.runtime.errors import DecodeError, EncodeError, RemoteException
from rpcgen.runtime.schema import DEFAULT, REQUIRED, Enum, OptionalOf, Type
from rpcgen.runtime.wire.json_scalars import shown_json
from rpcgen.runtime.wire.json_text import parse as parse, text as text
from rpcgen.runtime.wire.json_values import (
    block_reader,
    forms,
    idl_name as idl_name,
    inside,
    member_names as member_names,
    refuse_unknown,
)
from rpcgen.runtime.wire.limits import DEFAULT_LIMITS, Limits
from rpcgen.runtime.wire.types import Misfit, is_message_only, resolved

if typing.TYPE_CHECKING:
    import collections.abc


_AS_TEXT = (
    schema.STRING,
    schema.BYTES,
    schema.TIMESTAMP,
    schema.DATE,
    schema.DURATION,
    schema.UUID,
    schema.DECIMAL,
)
"""Scalars that are always strings in JSON."""


class Method(typing.Protocol):
    """What is asked of a method: a protocol has it, and a codec."""

    name: typing.Any
    params: typing.Any
    returns: typing.Any
    raises: typing.Any


def to_json(type_: Type, value: object, limits: Limits = DEFAULT_LIMITS) -> typing.Any:
    """Gives a value as JSON, for ``text``.

    Args:
        type_: The value's; an ``OptionalOf``, too.
        value: Not kept, nor changed.
        limits: Of which ``nesting`` counts.

    Raises:
        EncodeError: It is no value of the type; the message names the place.
    """
    try:
        return forms(type_).write(value, limits.nesting)
    except (Misfit, RecursionError) as error:
        raise EncodeError(_said(error)) from error.__cause__


def from_json(type_: Type, data: object, path: str = "", limits: Limits = DEFAULT_LIMITS) -> typing.Any:
    """Gives the value that JSON says, as ``parse`` gave it.

    Args:
        type_: The value's; an ``OptionalOf``, too.
        data: Not kept, nor changed.
        path: Where it stands, for errors.
        limits: Of which ``nesting`` counts.

    Raises:
        DecodeError: It is no value of the type; the message names the place, as ``person.tags[3]``, what
            was expected and what came.
    """
    try:
        return inside(path, forms(type_).read, data, limits.nesting)
    except (Misfit, RecursionError) as error:
        raise DecodeError(_said(error)) from None


def arguments_from_json(
    method: Method, data: object, limits: Limits = DEFAULT_LIMITS
) -> tuple[typing.Any, ...]:
    """Does what ``MethodForms.read_arguments`` does, for a method that is called once."""
    return MethodForms(method, limits).read_arguments(data)


def arguments_to_json(
    method: Method, args: collections.abc.Sequence[object], limits: Limits = DEFAULT_LIMITS
) -> dict[str, typing.Any]:
    """Does what ``MethodForms.write_arguments`` does, for a method that is called once."""
    return MethodForms(method, limits).write_arguments(args)


def data_of_text(type_: Type, written: str) -> typing.Any:
    """Gives the JSON that a text means where there is no JSON around it: in a URL, on a command line.

    Args:
        type_: What it is to be. What is a string in JSON is taken as it stands; everything else is JSON.
        written: What is no JSON is given back: reading it as the type says what is wrong.
    """
    type_ = resolved(type_.item if isinstance(type_, OptionalOf) else type_)
    is_enum = isinstance(type_, type) and issubclass(type_, Enum)
    if type_ in _AS_TEXT or is_message_only(type_) or (is_enum and not written.lstrip("-").isdecimal()):
        return written
    try:
        return parse(written)
    except DecodeError:
        return written


class MethodForms:
    """What one method is given and gives, as JSON; made once a method.

    Args:
        method: A protocol, or its codec.
        limits: Of which ``nesting`` counts.
    """

    def __init__(self, method: Method, limits: Limits = DEFAULT_LIMITS) -> None:
        self._name: str = method.name
        self._params = tuple(method.params)
        self._raises: tuple[type[RemoteException], ...] = tuple(method.raises)
        self._room = limits.nesting
        self._read_block = block_reader(self._params)
        self._writers = [forms(param.type).write for param in self._params]
        self._names = {param.name: None for param in self._params}
        self._result = forms(method.returns)

    def read_arguments(self, data: object) -> tuple[typing.Any, ...]:
        """Gives a call's arguments, positionally, from the object that holds them by the IDL's names.

        Returns:
            One for each parameter, defaults filled in.

        Raises:
            DecodeError: An argument is missing, unknown or not of its type; the message names it.
        """
        try:
            if data.__class__ is not dict:
                raise Misfit(f"arguments must be an object, by their names, not {shown_json(data)}")
            arguments = typing.cast("dict[str, object]", data)
            refuse_unknown("argument", arguments, self._names)
            return tuple(self._read_block(arguments, self._room))
        except (Misfit, RecursionError) as error:
            raise self._unreadable(error) from None

    def write_arguments(self, args: collections.abc.Sequence[object]) -> dict[str, typing.Any]:
        """Gives the object of a call's arguments; ``DEFAULT`` and None are left out.

        Raises:
            EncodeError: One does not fit its type, or their number is wrong.
        """
        try:
            if len(args) != len(self._params):
                raise Misfit(f"takes {len(self._params)} arguments, not {len(args)}")
            made = {}
            for param, write, value in zip(self._params, self._writers, args, strict=True):
                if value is DEFAULT and param.default is not REQUIRED:
                    continue
                given = inside(param.name, write, value, self._room)
                if given is not None:
                    made[param.name] = given
            return made
        except (Misfit, RecursionError) as error:
            raise self._unfit(error) from error.__cause__

    def write_result(self, value: object) -> typing.Any:
        """Gives a result; null for a void method's.

        Raises:
            EncodeError: It does not fit its type.
        """
        try:
            return self._result.write(value, self._room)
        except (Misfit, RecursionError) as error:
            raise self._unfit(error, "result") from error.__cause__

    def read_result(self, data: object) -> typing.Any:
        """Gives the result that JSON says.

        Raises:
            DecodeError: It is none.
        """
        try:
            return self._result.read(data, self._room)
        except (Misfit, RecursionError) as error:
            raise self._unreadable(error, "result") from None

    def declared(self, error: RemoteException) -> type[RemoteException] | None:
        """Gives the first exception after ``=>`` that an error is an instance of; None: it is not declared."""
        return next((kind for kind in self._raises if isinstance(error, kind)), None)

    def write_raised(self, error: RemoteException) -> dict[str, typing.Any] | None:
        """Gives an exception that was raised, as what is ``declared`` of it.

        Returns:
            ``{"type": …, "message": …}``, and ``"fields"`` if it has a body; None if the method does not
            declare it.

        Raises:
            EncodeError: A field does not fit its type.
        """
        declared = self.declared(error)
        if declared is None:
            return None
        try:
            value = forms(declared).write(error, self._room)
        except (Misfit, RecursionError) as failure:
            raise self._unfit(failure, declared.__name__) from failure.__cause__
        name = idl_name(declared)
        if declared.__rpc_fields__ is None:
            return {"type": name, "message": value}
        return {"type": name, "message": str(error), "fields": value}

    def _unfit(self, error: Exception, part: str = "") -> EncodeError:
        return EncodeError(_said(error, part), method=self._name)

    def _unreadable(self, error: Exception, part: str = "") -> DecodeError:
        return DecodeError(_said(error, part), method=self._name)


def _said(error: Exception, part: str = "") -> str:
    if not isinstance(error, Misfit):
        return "nested deeper than Python's own stack"
    return str(error.inside(part) if part else error)
