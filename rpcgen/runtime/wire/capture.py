"""Captured bytes, piece by piece: plain calls or replies, or one direction of a framed connection.

Where a message says its length, what follows it is read even if it is broken itself. Which method a reply
is for is not in the reply: it is known by the calls of the other direction, or said.
"""

from __future__ import annotations

import contextlib
import typing

from rpcgen.runtime import schema
from rpcgen.runtime.errors import FaultCode, ProtocolError, RemoteFault
from rpcgen.runtime.records import Record
from rpcgen.runtime.schema import STRING, Field, ListOf, MapOf, OptionalOf
from rpcgen.runtime.wire import frames, secrecy
from rpcgen.runtime.wire.codec import FAULT, RAISED, RETURNED, fault
from rpcgen.runtime.wire.compression import ALGORITHMS, expanded
from rpcgen.runtime.wire.dissect import Dissector, Place, Role, Row
from rpcgen.runtime.wire.hello import decode_hello
from rpcgen.runtime.wire.json_values import idl_name
from rpcgen.runtime.wire.limits import DEFAULT_LIMITS, Limits
from rpcgen.runtime.wire.scalars import shown
from rpcgen.runtime.wire.types import Misfit

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.wire.codec import ReferenceCodec

    Methods: typing.TypeAlias = collections.abc.Mapping[str, ReferenceCodec]

Kind: typing.TypeAlias = typing.Literal["calls", "replies", "frames"]


class Message(Record):
    """A call or a reply that was read to its end.

    Args:
        method: Its wire name; of a fault, None where it is not known.
        kind: What it is.
        value: Of a call its arguments, in the parameters' order; of a reply what was returned, or the error
            that it says.
        call_id: Of a frame; else 0.
    """

    method: str | None
    kind: typing.Literal["call", "returned", "raised", "fault"]
    value: typing.Any
    call_id: int = 0


class Capture(Record):
    """What was found.

    Args:
        kind: Of what the input is.
        rows: All of it.
        messages: Calls and replies that were read to their ends.
        calls: The methods of all calls by their ids in frames, else by their places, from 1.
        parts: What was compressed, by the numbers that rows have for it.
    """

    kind: Kind
    rows: list[Row]
    messages: list[Message]
    calls: dict[int, str]
    parts: dict[int, bytes]

    @property
    def faults(self) -> list[Row]:
        return [row for row in self.rows if row.role is Role.FAULT]


class Unknown(Exception):
    """A reply cannot be read without the method that it is for."""


HELLO = (
    Field(1, "properties", MapOf(STRING, STRING), default={}),
    Field(2, "compressions", ListOf(STRING), default=[]),
    Field(3, "largest", schema.UINT, default=frames.SMALL),
    Field(4, "credentials", STRING, default=""),
)
"""The fields of a HELLO's block."""

_METADATA = MapOf(STRING, schema.BYTES)
_DETAILS = MapOf(STRING, STRING)


def kind_of(data: bytes) -> Kind:
    """Says of what bytes are, by their beginning.

    A framed client's first byte is C1. The first of what a server answers in frames is a HELLO, whose bytes 5 to
    10 are 0: no method has such a name. A plain call begins with 0 (names are short), a reply with 1 or more, or
    with 0 if it is a fault; then a code is where a call would have the fourth byte of its name, or beyond it.
    """
    if data[:1] == frames.PREFACE[:1]:
        return "frames"
    if len(data) >= frames.HEAD:
        length, word, _ = frames.unpack_head(data)
        if word in frames.WORDS and length >= frames.OVERHEAD and data[0] == 0:
            return "frames"
    if data[:1] > b"\0":
        return "replies"
    text = data[5:40].partition(b":")[0]
    return "replies" if text.decode("latin-1") in FaultCode.__members__ else "calls"


def read(
    data: bytes,
    methods: Methods,
    *,
    kind: Kind | None = None,
    method: str | None = None,
    calls: collections.abc.Mapping[int, str] | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Capture:
    """Reads a capture, or one message.

    Args:
        data: All of it.
        methods: Those of the interface, by wire name.
        kind: Of what it is; None: see ``kind_of``.
        method: That replies are for, where nothing else says it.
        calls: Those of the other direction, as its capture has them.
        limits: Of which ``items`` and ``nesting`` count.

    Raises:
        Unknown: It is plain replies, and nothing says for which method.
    """
    found = Capture(kind or kind_of(data), [], [], {}, {})
    reader = _Reader(data, methods, method, calls or {}, limits, found)
    {"calls": reader.calls, "replies": reader.replies, "frames": reader.frames}[found.kind]()
    return found


class _Reader:
    """Reads one input; what was compressed is read by a reader of its own."""

    def __init__(
        self,
        data: bytes,
        methods: Methods,
        method: str | None,
        answered: collections.abc.Mapping[int, str],
        limits: Limits,
        found: Capture,
        part: int = 0,
    ) -> None:
        self._data = data
        self._size = len(data)
        self._methods = methods
        self._method = method
        self._answered = answered
        self._limits = limits
        self._found = found
        self._in = Dissector(data, limits, 0, found.rows, part)
        self._end = 0
        """Where what follows begins, as far as that is known: there it goes on after a fault."""
        self._is_private = False
        """What comes now may be credentials, even where it cannot be read."""

    def calls(self) -> None:
        self._each("call", self._call)

    def replies(self) -> None:
        self._each("reply", self._plain_reply)

    def frames(self) -> None:
        self._is_private = self._size > len(frames.PREFACE)
        if self._data[:1] == frames.PREFACE[:1]:
            self._guarded(self._preface)
        self._each("frame", self._frame)

    def _each(self, what: str, read: collections.abc.Callable[[int], None]) -> None:
        number = 0
        while self._in.pos < self._size:
            number += 1
            self._in.refresh()
            self._in.tell(Role.HEADING, f"{what} {number}")
            self._guarded(lambda: read(number))  # noqa: B023

    def _guarded(self, read: collections.abc.Callable[[], None]) -> None:
        self._end, first = self._size, len(self._found.rows)
        try:
            read()
        except Misfit as misfit:
            self._in.give_up(self._in.fault(misfit), self._end)
        except ProtocolError as error:
            self._in.give_up(error.problem, self._end)
        except RecursionError:
            self._in.give_up("nested deeper than Python's own stack", self._end)
        else:
            return
        if self._is_private:
            secrecy.hide_unread(self._found.rows, first)

    @contextlib.contextmanager
    def _private(self) -> collections.abc.Iterator[None]:
        """Hides the secrets among what is read inside, and what a fault leaves over."""
        first, self._is_private = len(self._found.rows), True
        try:
            yield
        finally:
            secrecy.hide_values(self._found.rows, first)

    # Plain messages

    def _call(self, number: int) -> None:
        at = self._in.pos
        if self._size - at >= 4 and (length := frames.u32(self._data, at)[0]) > self._limits.name:
            raise Misfit(f"a method's name of {length} bytes; the limit is {self._limits.name}", at)
        name = self._in.named("method", STRING, self._size, Place(self._name_at(at + 4, at)))
        at = self._in.pos
        length = self._in.mark("arguments: length", "I", self._size)
        self._ends(at, length)
        self._arguments(name, number, 0)

    def _plain_reply(self, number: int) -> None:
        method = self._answering(number)
        if method is None and self._data[self._in.pos] != FAULT:
            raise Unknown
        self._in.is_open = True
        self._reply(method, 0)

    def _arguments(self, name: str, number: int, call_id: int) -> None:
        self._found.calls[number] = name
        codec = self._methods.get(name)
        if codec is None:
            raise Misfit(f"the interface has no method {shown(name)}", self._in.pos)
        values = self._in.fields(name, codec.params, codec.reserved, self._end, arguments=True)
        self._in.whole()
        self._found.messages.append(Message(name, "call", values, call_id))

    def _reply(self, method: ReferenceCodec | None, call_id: int) -> None:
        """Reads a reply up to ``_end``, or less if nothing says where it ends."""
        name = method.name if method else None
        raises = method.raises if method else ()
        kinds = {FAULT: "fault", RETURNED: "returned"}
        kinds |= {RAISED + place: f"raised {idl_name(kind)}" for place, kind in enumerate(raises)}
        kind = self._in.mark(
            "kind", "B", self._end, lambda number: kinds.get(number, "raised what is unknown")
        )
        value: typing.Any
        ended: typing.Literal["returned", "raised", "fault"] = "fault"
        if kind == FAULT:
            value = fault(self._in.named("fault", STRING, self._end), name)
        elif method is None:
            raise Unknown
        elif kind == RETURNED:
            ended, value = "returned", self._returned(method)
        elif kind in kinds:
            declared = raises[kind - RAISED]
            ended = "raised"
            value = self._in.named(declared.__name__, declared, self._end, Place(declared))
        else:
            self._in.skip(STRING, self._end)
            value = unknown_exception(method, kind)
        self._in.whole()
        self._found.messages.append(Message(name, ended, value, call_id))

    def _returned(self, method: ReferenceCodec) -> typing.Any:
        type_ = method.returns
        if type_ is schema.VOID:
            return None
        if isinstance(type_, OptionalOf):
            if not self._in.present(self._end):
                return None
            type_ = type_.item
        return self._in.named("result", type_, self._end, Place(method.name))

    # Frames

    def _preface(self) -> None:
        self._in.tell(Role.HEADING, "preface")
        magic = self._in.piece("preface", len(frames.MAGIC), self._size)
        if magic != frames.MAGIC:
            raise Misfit(f"a client begins with {frames.PREFACE!r}", 0)
        version = self._in.mark("version", "B", self._size)
        if version != frames.VERSION:
            raise Misfit(f"version {version} is not known here; {frames.VERSION} is", len(frames.MAGIC))

    def _frame(self, number: int) -> None:
        reader = self._in
        at = reader.pos
        length = reader.mark("length", "I", self._size)
        if length < frames.OVERHEAD:
            raise Misfit(f"a frame of length {length}; the least is {frames.OVERHEAD}", at)
        self._ends(at, length)
        kind = reader.mark("kind", "B", self._end, lambda kind: named(kind) or "unknown")
        flags = reader.mark("flags", "B", self._end, _flags)
        call_id = reader.mark("call id", "I", self._end)
        self._is_private = self._is_private and (kind == frames.HELLO or not named(kind))
        word = kind << 8 | flags
        if kind not in frames.FLAGS and kind & frames.IGNORED:
            reader.passed("for peers that know the kind", self._end)
        elif word not in frames.WORDS:
            raise Misfit(f"a frame of {frames.described(word)}, which there is not", at + 4)
        elif (
            (kind in frames.OF_CONNECTION)
            if call_id
            else (kind not in frames.OF_CONNECTION and kind != frames.FAULT)
        ):
            whose = "not 0, the connection's" if call_id else "the connection's"
            raise Misfit(f"a frame of {frames.described(word)} has call id {call_id}, {whose}", at + 6)
        elif flags & frames.COMPRESSED:
            self._compressed(kind, flags, call_id, number)
        else:
            self._payload(kind, flags, call_id)
        reader.finish(self._end)
        reader.whole()
        self._is_private = False

    def _compressed(self, kind: int, flags: int, call_id: int, number: int) -> None:
        begin = self._in.pos
        names = {algorithm.number: algorithm.name for algorithm in ALGORITHMS}
        self._in.mark("algorithm", "B", self._end, lambda number: names.get(number, "unknown"))
        self._in.mark("raw length", "I", self._end)
        self._in.piece("compressed", self._end - self._in.pos, self._end)
        self._in.whole()
        largest = self._limits.message + frames.SMALL
        made = self._found.parts[number] = bytes(expanded(self._data[begin : self._end], largest))
        inner = _Reader(
            made,
            *(self._methods, self._method, self._answered, self._limits, self._found, number),
        )
        first = len(self._found.rows)
        inner._in.tell(Role.HEADING, f"expanded, {inner._size} bytes")
        inner._guarded(lambda: inner._payload(kind, flags, call_id))
        secrecy.hide_compressed(self._found.rows, first)

    def _payload(self, kind: int, flags: int, call_id: int) -> None:
        reader = self._in
        if flags & frames.METADATA:
            with self._private():
                reader.named("metadata", _METADATA, self._end)
            self._is_private = False
        begin = reader.pos
        if kind == frames.HELLO:
            with self._private():
                reader.fields("", HELLO, (), self._end)
                reader.whole()
                decode_hello(self._data[begin : self._end])
        elif kind == frames.CALL:
            length = reader.mark("method: length", "B", self._end)
            at = Place(self._name_at(reader.pos, reader.pos - 1, length))
            name = reader.piece("method", length, self._end, at, is_text=True)
            reader.mark("milliseconds left", "I", self._end, lambda time: "" if time else "no deadline")
            self._arguments(name, call_id, call_id)
        elif kind == frames.REPLY:
            method = self._answering(call_id)
            if method is None and self._data[begin : begin + 1] != bytes((FAULT,)):
                reader.passed("a reply: to which method is not known", self._end)
            else:
                self._reply(method, call_id)
        elif kind == frames.FAULT:
            reader.mark("code", "B", self._end, _code)
            reader.named("message", STRING, self._end)
            reader.named("details", _DETAILS, self._end)
            value = frames.decode_fault(self._data[begin : reader.pos])
            self._found.messages.append(Message(None, "fault", value, call_id))
        elif kind == frames.GOAWAY:
            reader.mark("last call id", "I", self._end)
            reader.named("reason", STRING, self._end)
        elif kind in (frames.PING, frames.PONG):
            reader.piece("echoed", 8, self._end)
        reader.finish(self._end)

    # Both

    def _ends(self, at: int, length: int) -> None:
        """Notes where what begins after a length at ``at`` ends: with the input at the latest."""
        self._end = min(at + 4 + length, self._size)
        if at + 4 + length > self._size:
            self._in.goes_beyond(length, at)

    def _answering(self, number: int) -> ReferenceCodec | None:
        """Gives the method that a reply is for, if that is known."""
        name = self._answered.get(number, self._method)
        if name is None:
            own = [name for name in self._methods if not name.startswith("rpc.")]
            name = own[0] if len(own) == 1 and not self._answered else ""
        return self._methods.get(name)

    def _name_at(self, begin: int, at: int, length: int | None = None) -> str:
        """Gives the method's name that is about to be read: the IDL's place of it."""
        if length is None:
            length = frames.u32(self._data, at)[0] if self._size - at >= 4 else 0
        return self._data[begin : begin + length].decode(errors="replace")


def named(kind: int) -> str:
    """Gives the name of a frame's kind; empty if it has none."""
    return frames.NAMES[kind] if kind < len(frames.NAMES) else ""


def unknown_exception(method: ReferenceCodec, kind: int) -> RemoteFault:
    """Gives what stands for an exception that a newer server raises."""
    return RemoteFault(
        FaultCode.INTERNAL,
        f"exception {kind - RAISED + 1} after =>, of which {len(method.raises)} are known",
        method=method.name,
    )


def _flags(flags: int) -> str:
    names = {frames.COMPRESSED: "compressed", frames.METADATA: "metadata", frames.NO_REPLY: "no reply wanted"}
    return ", ".join(name for flag, name in names.items() if flags & flag)


def _code(number: int) -> str:
    return FaultCode(number).name if number in set(FaultCode) else "unknown"
