"""Values of any type as JSON: a pair of functions a type, made of those of its parts, of classes once.

Each takes a value and the levels of nesting that are left, and raises Misfit with the way to the faulty
place. ``forms`` says what the forms are, and is what others use.
"""

from __future__ import annotations

import binascii
import builtins
import difflib
import functools
import keyword
import re
import threading
import typing

from rpcgen.runtime.records import Record
from rpcgen.runtime.schema import (
    BYTES,
    DEFAULT,
    REQUIRED,
    STRING,
    VOID,
    Enum,
    Field,
    ListOf,
    MapOf,
    OptionalOf,
    Ref,
    Scalar,
    SetOf,
    Type,
)
from rpcgen.runtime.wire.decoder import Alike
from rpcgen.runtime.wire.encoder import Encoder
from rpcgen.runtime.wire.json_scalars import key_reader, key_writer, reader, shown_json, writer
from rpcgen.runtime.wire.scalars import shown
from rpcgen.runtime.wire.types import Misfit, is_message_only, is_union, resolved

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.wire.json_scalars import Form

    Block: typing.TypeAlias = collections.abc.Callable[[typing.Any, int], list[typing.Any]]

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,9})", re.ASCII)
_TAG = re.compile(r"[1-9][0-9]{0,2}", re.ASCII)

_MODULES = ("datetime", "decimal", "rpc", "typing", "uuid")


_lock = threading.RLock()


class Forms(Record):
    """How values of a type are written and read; both take the levels of nesting that are left."""

    write: Form
    read: Form


_making: dict[type, Forms] = {}
"""Classes whose forms are being made, under the lock."""


def forms(type_: Type) -> Forms:
    """Gives how values of a type are written and read; of classes, made once."""
    if isinstance(type_, Ref):
        type_ = type_.resolve()
    if isinstance(type_, Scalar):
        return Forms(_write_void, _read_void) if type_ is VOID else Forms(writer(type_), reader(type_))
    if isinstance(type_, OptionalOf):
        return _optional(forms(type_.item))
    if isinstance(type_, ListOf):
        return _list(forms(type_.item))
    if isinstance(type_, SetOf):
        return _set(type_)
    if isinstance(type_, MapOf):
        return _map(type_)
    found: Forms | None = type_.__dict__.get("__rpc_forms__")
    if found is None:
        with _lock:
            found = _once(type_)
    return found


def _once(cls: typing.Any) -> Forms:
    if "__rpc_forms__" in cls.__dict__:
        return typing.cast(Forms, cls.__rpc_forms__)
    if cls not in _making:
        # What holds itself finds this meanwhile.
        _making[cls] = Forms(
            lambda value, room: forms(cls).write(value, room), lambda data, room: forms(cls).read(data, room)
        )
        try:
            cls.__rpc_forms__ = _class(cls)
        finally:
            del _making[cls]
        return typing.cast(Forms, cls.__rpc_forms__)
    return _making[cls]


def _class(cls: typing.Any) -> Forms:
    if issubclass(cls, Enum):
        return _enum(cls)
    if is_message_only(cls):
        return _message(cls)
    return _union(cls) if is_union(cls) else _record(cls)


def _write_void(value: object, room: int) -> None:
    if value is not None:
        raise Misfit(f"void must be None, not {shown(value)}")


def _read_void(data: object, room: int) -> None:
    if data is not None:
        raise Misfit(f"void must be null, not {shown_json(data)}")


def _optional(item: Forms) -> Forms:
    return Forms(
        lambda value, room: None if value is None else item.write(value, room),
        lambda data, room: None if data is None else item.read(data, room),
    )


def _list(item: Forms) -> Forms:
    def write(value: typing.Any, room: int) -> list[typing.Any]:
        if not isinstance(value, (list, tuple)):
            raise Misfit(f"list must be a list or tuple, not {shown(value)}")
        return _each(item.write, value, _deeper(room, value))

    def read(data: typing.Any, room: int) -> list[typing.Any]:
        if data.__class__ is not list:
            raise Misfit(f"list must be a list, not {shown_json(data)}")
        return _each(item.read, data, _deeper(room, data))

    return Forms(write, read)


def _set(type_: SetOf) -> Forms:
    item = forms(type_.item)

    def write(value: typing.Any, room: int) -> list[typing.Any]:
        Encoder(room).value(type_, value)  # refuses what the wire would
        ordered = sorted(value, key=functools.partial(Encoder(room).value, type_.item))
        return [item.write(each, room) for each in ordered]

    def read(data: typing.Any, room: int) -> set[typing.Any]:
        if data.__class__ is not list:
            raise Misfit(f"set must be a list, not {shown_json(data)}")
        found: set[typing.Any] = set()
        alike = Alike(type_.item)
        for value in _each(item.read, data, _deeper(room, data)):
            if value in found:
                raise Misfit(f"set item {shown(value)} is repeated")
            found.add(value)
            alike.check(value, None)
        return found

    return Forms(write, read)


def _map(type_: MapOf) -> Forms:
    item = forms(type_.value)
    write_key, read_key = _key(type_.key)

    def write(value: typing.Any, room: int) -> dict[str, typing.Any]:
        if not isinstance(value, dict):
            raise Misfit(f"map must be a dict, not {shown(value)}")
        room = _deeper(room, value)
        made: dict[str, typing.Any] = {}
        for key, each in value.items():
            try:
                made[write_key(key, room)] = item.write(each, room)
            except Misfit as misfit:
                raise misfit.inside(f"[{shown(key)}]") from misfit.__cause__
        if len(made) != len(value):
            raise Misfit("a map key is there twice in different guises")
        return made

    def read(data: typing.Any, room: int) -> dict[typing.Any, typing.Any]:
        if data.__class__ is not dict:
            raise Misfit(f"map must be an object, not {shown_json(data)}")
        room = _deeper(room, data)
        found: dict[typing.Any, typing.Any] = {}
        alike = Alike(type_.key)
        for name, each in data.items():
            try:
                key = read_key(name, room)
                if key in found:
                    raise Misfit(f"map key {shown(key)} is repeated")
                alike.check(key, None)
                found[key] = item.read(each, room)
            except Misfit as misfit:
                raise misfit.inside(f"[{shown(name)}]") from None
        return found

    return Forms(write, read)


def _key(type_: Type) -> Forms:
    type_ = resolved(type_)
    if isinstance(type_, Scalar):
        return Forms(key_writer(type_), key_reader(type_))
    write, read = forms(type_)
    return Forms(
        lambda value, room: str(write(value, room)),
        lambda name, room: read(int(name) if _NUMBER.fullmatch(name) else name, room),
    )


def _enum(cls: type[Enum]) -> Forms:
    names = member_names(cls)
    known = {**cls.__members__, **names}
    written = {member: name for name, member in names.items()}

    def write(value: typing.Any, room: int) -> str | int:
        if not isinstance(value, cls):
            raise Misfit(f"{cls.__name__} must be one of its members, not {shown(value)}")
        return written.get(value, value._value_)

    def read(data: typing.Any, room: int) -> Enum:
        if data.__class__ is str and data in known:
            return known[data]
        if data.__class__ is int and -(2**31) <= data < 2**31:
            return cls.from_wire(data)
        if data.__class__ is str:
            raise Misfit(_no_such(f"member of {cls.__name__}", data, names))
        raise Misfit(f"{cls.__name__} must be a string, the name of a member, not {shown_json(data)}")

    return Forms(write, read)


def _message(cls: typing.Any) -> Forms:
    write_text, read_text = forms(STRING)

    def write(value: typing.Any, room: int) -> str:
        _check_instance(cls, value)
        return typing.cast(str, inside("message", write_text, value.message, room))

    return Forms(write, lambda data, room: cls(read_text(data, room)))


def _record(cls: typing.Any) -> Forms:
    fields: tuple[Field, ...] = cls.__rpc_fields__
    read_block = block_reader(fields)
    steps = [(field.name, field.attr, forms(field.type).write) for field in fields]

    def write(value: typing.Any, room: int) -> dict[str, typing.Any]:
        _check_instance(cls, value)
        room = _deeper(room)
        made = {}
        name = ""
        try:
            for name, attr, write_field in steps:
                given = write_field(getattr(value, attr), room)
                if given is not None:
                    made[name] = given
        except Misfit as misfit:
            raise misfit.inside(name) from misfit.__cause__
        except AttributeError as error:
            raise Misfit("is not set").inside(name) from error
        return made

    def read(data: typing.Any, room: int) -> typing.Any:
        if data.__class__ is not dict:
            raise Misfit(f"{cls.__name__} must be an object, not {shown_json(data)}")
        return cls(*read_block(data, _deeper(room)))

    return Forms(write, read)


def _union(cls: typing.Any) -> Forms:
    ways = {field.name: forms(field.type) for field in cls.__rpc_fields__}
    cases = dict(zip(ways, cls.__rpc_cases__, strict=True))
    tags = {field.tag: field.name for field in cls.__rpc_fields__}

    def write(value: typing.Any, room: int) -> dict[str, typing.Any]:
        for name, case in cases.items():
            if isinstance(value, case):
                inner: typing.Any = value
                return {name: inside(name, ways[name].write, inner.value, _deeper(room))}
        Encoder(room).value(cls, value)  # refuses what is no unknown member either
        return {str(value.tag): binascii.b2a_base64(value.raw, newline=False).decode()}

    def read(data: typing.Any, room: int) -> typing.Any:
        if data.__class__ is not dict or len(data) != 1:
            raise Misfit(f"{cls.__name__} must be an object of one member, not {shown_json(data)}")
        ((name, inner),) = data.items()
        room = _deeper(room)
        if name in cases:
            return cases[name](inside(name, ways[name].read, inner, room))
        if not _TAG.fullmatch(name) or int(name) > 255:
            raise Misfit(_no_such(f"member of {cls.__name__}", name, cases))
        if int(name) in tags:
            raise Misfit(f"tag {name} is {tags[int(name)]}: say so")
        return cls.Unknown(int(name), inside(name, reader(BYTES), inner, room))

    return Forms(write, read)


def block_reader(fields: tuple[Field, ...]) -> Block:
    """Gives what reads an object's members: a value for each field, in their order, defaults filled in."""
    steps = [(field, field.name, forms(field.type).read) for field in fields]

    def read(data: dict[str, typing.Any], room: int) -> list[typing.Any]:
        values = []
        name = ""
        try:
            for field, name, read_field in steps:
                if name in data:
                    values.append(read_field(data[name], room))
                elif field.default is REQUIRED:
                    raise Misfit("is required but missing")
                else:
                    values.append(field.fill(DEFAULT))
        except Misfit as misfit:
            raise misfit.inside(name) from None
        return values

    return read


def refuse_unknown(what: str, data: dict[str, object], known: collections.abc.Container[str]) -> None:
    """Checks that an object has no other members.

    Raises:
        Misfit: It has; the message names the first, and what may have been meant.
    """
    for name in data:
        if name not in known:
            raise Misfit(_no_such(what, name, typing.cast("collections.abc.Iterable[str]", known)))


def idl_name(cls: type) -> str:
    """Gives the name that the IDL has for a class, which had to be another in Python perhaps."""
    return _unbent(cls.__name__)


def member_names(cls: type[Enum]) -> dict[str, Enum]:
    """Gives an enum's members by the names that the IDL has for them."""
    return {_unbent(name): member for name, member in cls.__members__.items()}


def inside(part: str, form: Form, value: object, room: int) -> typing.Any:
    """Writes or reads what stands in a place, which a Misfit then says."""
    try:
        return form(value, room)
    except Misfit as misfit:
        raise (misfit.inside(part) if part else misfit) from misfit.__cause__


def _unbent(name: str) -> str:
    """Takes the underscore off that the compiler puts behind names which cannot stand in Python as they are."""
    bare = name[:-1]
    cannot = keyword.iskeyword(bare) or bare in _MODULES or hasattr(builtins, bare) or hasattr(Enum, bare)
    return bare if name.endswith("_") and bare and cannot else name


def _no_such(what: str, name: str, known: collections.abc.Iterable[str]) -> str:
    near = difflib.get_close_matches(name[:255], list(known), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"there is no {what} {shown(name)}{hint}"


def _check_instance(cls: type, value: object) -> None:
    if not isinstance(value, cls):
        raise Misfit(f"{cls.__name__} must be an instance of the class, not {shown(value)}")


def _each(form: Form, values: collections.abc.Sequence[object], room: int) -> list[typing.Any]:
    made: list[typing.Any] = []
    try:
        for value in values:
            made.append(form(value, room))
    except Misfit as misfit:
        raise misfit.inside(f"[{len(made)}]") from misfit.__cause__
    return made


def _deeper(room: int, content: object = True) -> int:
    if not content:
        return room
    if room <= 0:
        raise Misfit("nested too deeply")
    return room - 1
