"""A method's messages as functions made for it, from emitted Python source.

Each function expects one shape of message. On any surprise (an exception, an unexpected
class or tag, an end that is not met) it hands the whole message over to the reference,
which gives the right result or the right error. So nothing here needs a message of its own.

Items need counting only in a message of more bytes than items are allowed, because each
takes a byte at least: such messages go to a second function, which counts.
"""

from __future__ import annotations

import typing

from rpcgen.runtime.errors import RemoteException
from rpcgen.runtime.schema import REQUIRED, VOID, Field, OptionalOf, Type
from rpcgen.runtime.wire.codec import RAISED, RETURNED
from rpcgen.runtime.wire.limits import DEFAULT_LIMITS
from rpcgen.runtime.wire.read import Reader
from rpcgen.runtime.wire.row import Row
from rpcgen.runtime.wire.scalars import NUMBERS, SIZES
from rpcgen.runtime.wire.source import Function, Source
from rpcgen.runtime.wire.types import height, resolved
from rpcgen.runtime.wire.write import Writer, is_plain_struct

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.wire.codec import ReferenceCodec


def message(codec: ReferenceCodec, kind: str, slow: Function) -> Function:
    """Makes the function for one kind of message.

    Args:
        codec: The method's.
        kind: The name of the codec's method that the function stands for.
        slow: What decides where the function cannot.
    """
    try:
        if kind == "encode_raised":
            return _raised(codec, slow)
        if kind == "encode_block":
            return _block(codec)
        return _SOURCES[kind](codec, slow).function()
    except (RecursionError, SyntaxError):
        return slow  # types nested too deeply for Python: it has 20 levels of loops, 100 of indentation


def source(codec: ReferenceCodec) -> str:
    """Gives the source of all of a method's functions, those of its classes first."""
    found: dict[str, str] = {}
    for kind in _SOURCES:
        _collect(_SOURCES[kind](codec, _SLOW).function(), found)
    for declared in codec.raises:
        _collect(_raise_source(declared, RAISED).function(), found)
    return "\n\n".join(found.values())


def _collect(function: Function, found: dict[str, str]) -> None:
    text = function.__rpc_source__  # type: ignore[attr-defined]
    if text in found:
        return
    found[text] = ""  # a place, so that functions which call each other end
    for other in list(function.__globals__.values()):
        if hasattr(other, "__rpc_source__"):
            _collect(other, found)
    del found[text]
    found[text] = text


def _call_source(codec: ReferenceCodec, slow: Function) -> Source:
    source = _encoder("encode_call", "args", _tallest(param.type for param in codec.params), slow)
    writer = Writer(source, _levels(_tallest(param.type for param in codec.params)))
    names = [source.name_for(param.attr) for param in codec.params]
    if names:
        source.line(f"{', '.join(names)}{',' if len(names) == 1 else ''} = args")
    else:
        with source.block("if args:"):
            source.line(f"raise {writer.surprise}")
    name = codec.name.encode()
    prefix = source.constant(len(name).to_bytes(4, "big") + name, "NAME")
    _write_numbers(source, codec.params, names, prefix, 4 + len(name))
    row = Row(source, [f"{4 + len(name)}s", "I"], prefix, "TOTAL")
    writer.fields(row, list(zip(codec.params, names, strict=True)), call=True)
    source.line(f"return {row.expression()}")
    return _ended(source, "args")


def _block(codec: ReferenceCodec) -> Function:
    begin = 8 + len(codec.name.encode())

    def encode_block(args: typing.Any, limits: typing.Any = DEFAULT_LIMITS) -> bytes:
        return codec.encode_call(args, limits)[begin:]

    return encode_block


def _reply_source(codec: ReferenceCodec, slow: Function) -> Source:
    source = _encoder("encode_reply", "value", height(codec.returns), slow)
    writer = Writer(source, _levels(height(codec.returns)))
    returns = codec.returns
    if returns is VOID or isinstance(returns, OptionalOf):
        absent = bytes([RETURNED]) if returns is VOID else bytes([RETURNED, 0])
        with source.block("if value is None:"):
            source.line(f"return {absent!r}")
    if returns is VOID:
        source.line(f"raise {writer.surprise}")
    elif isinstance(returns, OptionalOf):
        row = Row(source, ["B", "B"], str(RETURNED), "1")
        row.add(writer.part(returns.item, "value", "result"))
        source.line(f"return {row.expression()}")
    else:
        source.line(f"return {_numbered(writer, RETURNED, returns, 'result').expression()}")
    return _ended(source, "value")


def _raised(codec: ReferenceCodec, slow: Function) -> Function:
    encoders: dict[type, Function] = {}

    def encode_raised(exc: RemoteException, limits: typing.Any = DEFAULT_LIMITS) -> bytes | None:
        encode = encoders.get(exc.__class__)
        if encode is None or limits.nesting != DEFAULT_LIMITS.nesting:
            return typing.cast("bytes | None", slow(exc, limits))
        try:
            return typing.cast(bytes, encode(exc))
        except Exception:
            return typing.cast("bytes | None", slow(exc, limits))

    for number, declared in enumerate(codec.raises, RAISED):
        # The first entry that an exception is an instance of counts.
        if not any(issubclass(declared, other) for other in codec.raises[: number - RAISED]):
            encoders[declared] = _raise_source(declared, number).function()
    return encode_raised


def _raise_source(declared: type[RemoteException], number: int) -> Source:
    deep = height(declared) is None
    source = Source(f"raise_{declared.__name__}", "value")
    if deep:
        source.line(f"room = {DEFAULT_LIMITS.nesting}")
    row = _numbered(Writer(source, 0 if deep else None), number, declared, "exception")
    source.line(f"return {row.expression()}")
    return source


def _numbered(writer: Writer, kind: int, type_: Type, hint: str) -> Row:
    """Adds what makes a reply's value ready; a struct's fields stand in the reply's own row."""
    type_ = resolved(type_)
    if is_plain_struct(type_):
        return writer.struct(type_, "value", ["B", "I"], str(kind), "TOTAL")
    row = Row(writer.source, ["B"], str(kind))
    row.add(writer.part(type_, "value", hint))
    return row


def _args_source(codec: ReferenceCodec, slow: Function, counted: bool = False) -> Source:
    tall = _tallest(param.type for param in codec.params)
    beyond = None if counted or tall == 0 else lambda: _args_source(codec, slow, True)
    source = _decoder("decode_args", "payload", tall, slow, counted, beyond)
    _read_numbers(source, codec.params)
    source.line("pos = 0")
    reader = Reader(source, _levels(tall), counted)
    values = reader.fields(codec.params)
    reader.check("pos != end")
    source.line(f"return [{', '.join(values)}]")
    return _ended(source, "payload")


def _result_source(codec: ReferenceCodec, slow: Function, counted: bool = False) -> Source:
    types: list[Type] = [codec.returns, *codec.raises]
    tall = _tallest(types)
    beyond = None if counted or tall == 0 else lambda: _result_source(codec, slow, True)
    source = _decoder("decode_reply", "payload", tall, slow, counted, beyond)
    if codec.returns in NUMBERS:
        with source.block(f"if end == {1 + SIZES[NUMBERS[codec.returns]]}:"):
            source.line(f"kind, result = {source.unpack('B' + NUMBERS[codec.returns])}(data, 0)")
            with source.block(f"if kind == {RETURNED}:"):
                source.line("return result")
    source.line("kind = data[0]")
    source.line("pos = 1")
    with source.block(f"if kind == {RETURNED}:"):
        _read_result(source, codec.returns, tall, counted)
    for number, declared in enumerate(codec.raises, RAISED):
        with source.block(f"if kind == {number}:"):
            reader = Reader(source, _levels(tall), counted)
            (value,) = reader.row([(None, declared, "exception")])
            reader.check("pos != end")
            source.line(f"return {value}")
    source.line(f"raise {Reader(source, None, counted).surprise}")
    return _ended(source, "payload")


# Calls and replies of numbers alone are the most frequent ones: one pack or unpack each.


def _write_numbers(
    source: Source, params: tuple[Field, ...], names: list[str], prefix: str, prefix_size: int
) -> None:
    """Adds the short way of a call whose parameters are integers, none of which has its default."""
    defaults = [
        (name, param) for name, param in zip(names, params, strict=True) if param.default is not REQUIRED
    ]
    if not defaults or any(NUMBERS.get(param.type, "f") in "fd" for param in params):
        return
    pairs = sorted((param.tag, name, NUMBERS[param.type]) for name, param in zip(names, params, strict=True))
    codes = "".join("B" + code for *_, code in pairs)
    values = ", ".join(f"{tag}, {name}" for tag, name, _ in pairs)
    # What only acts like an integer may be equal to the default without comparing so.
    differ = " and ".join(
        f"{name}.__class__ is int and {name} != {param.default!r}" for name, param in defaults
    )
    with source.block(f"if {differ}:"):
        size = sum(1 + SIZES[code] for *_, code in pairs)
        source.line(f"return {source.pack(f'{prefix_size}sI{codes}')}({prefix}, {size}, {values})")


def _read_numbers(source: Source, params: tuple[Field, ...]) -> None:
    """Adds the short way of arguments that are numbers, all of them there."""
    if not params or any(param.type not in NUMBERS for param in params):
        return
    names = {param.tag: source.name_for(param.attr) for param in params}
    tags = {tag: source.name_for(f"{names[tag]}_tag") for tag in names}
    ordered = sorted(params, key=lambda param: param.tag)
    codes = [NUMBERS[param.type] for param in ordered]
    with source.block(f"if end == {sum(1 + SIZES[code] for code in codes)}:"):
        targets = ", ".join(f"{tags[param.tag]}, {names[param.tag]}" for param in ordered)
        unpack = source.unpack("".join("B" + code for code in codes))
        source.line(f"{targets} = {unpack}(data, 0)")
        with source.block(f"if {' and '.join(f'{tags[param.tag]} == {param.tag}' for param in ordered)}:"):
            source.line(f"return [{', '.join(names[param.tag] for param in params)}]")


def _read_result(source: Source, returns: Type, tall: int | None, counted: bool) -> None:
    reader = Reader(source, _levels(tall), counted)
    if returns is VOID:
        reader.check("pos != end")
        source.line("return None")
        return
    if isinstance(returns, OptionalOf):
        returns = returns.item
        with source.block("if data[1] == 0:"):
            reader.check("end != 2")
            source.line("return None")
        reader.check("data[1] != 1")
        source.line("pos = 2")
    (value,) = reader.row([(None, returns, "result")])
    reader.check("pos != end")
    source.line(f"return {value}")


def _encoder(name: str, given: str, tall: int | None, slow: Function) -> Source:
    source = Source(name, f"{given}, limits=DEFAULT_LIMITS")
    source.namespace.update(DEFAULT_LIMITS=DEFAULT_LIMITS, slow=slow)
    if tall is None:
        source.line("room = limits.nesting")
    elif tall:
        with source.block(f"if limits.nesting < {tall}:"):
            source.line(f"return slow({given}, limits)")
    source.line("try:")
    source.shift(1)
    return source


def _decoder(
    name: str,
    given: str,
    tall: int | None,
    slow: Function,
    counted: bool,
    beyond: collections.abc.Callable[[], Source] | None,
) -> Source:
    source = Source(name, f"{given}, limits=DEFAULT_LIMITS")
    source.namespace.update(DEFAULT_LIMITS=DEFAULT_LIMITS, slow=slow)
    source.line(f"data = {given} if {given}.__class__ is bytes else bytes({given})")
    source.line("end = len(data)")
    if tall is None:
        source.line("room = limits.nesting")
    elif tall:
        with source.block(f"if limits.nesting < {tall}:"):
            source.line("return slow(data, limits)")
    if counted:
        source.line("left = [limits.items]")
    elif beyond is not None:
        counting: list[Function] = []

        def count(data: bytes, limits: typing.Any) -> typing.Any:
            if not counting:
                counting.append(beyond().function())
            return counting[0](data, limits)

        with source.block("if end > limits.items:"):
            source.line(f"return {source.constant(count, 'counting')}(data, limits)")
    source.line("try:")
    source.shift(1)
    return source


def _ended(source: Source, given: str) -> Source:
    source.shift(-1)
    with source.block("except Exception:"):
        source.line(f"return slow({given}, limits)")
    return source


def _levels(tall: int | None) -> int | None:
    return 0 if tall is None else None


def _tallest(types: collections.abc.Iterable[Type]) -> int | None:
    heights = [height(type_) for type_ in types]
    known = [each for each in heights if each is not None]
    return None if len(known) < len(heights) else max(known, default=0)


def _SLOW(*_: object) -> None:
    """Stands for the reference where source is only shown."""


_SOURCES: dict[str, collections.abc.Callable[[typing.Any, Function], Source]] = {
    "encode_call": _call_source,
    "decode_args": _args_source,
    "encode_reply": _reply_source,
    "decode_reply": _result_source,
    "quick_reply": _result_source,
}
