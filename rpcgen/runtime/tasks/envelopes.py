"""What the nodes of tasks hold, as bytes: a magic, a small header, and a plain message.

Headers are structs of the wire format: members that a newer peer has added are skipped. Bytes
without the magic are somebody else's, and never an error.
"""

from __future__ import annotations

import typing

import msgspec

from rpcgen.runtime.errors import DecodeError, FaultCode
from rpcgen.runtime.schema import BYTES, INT, LONG, STRING, UINT, Field
from rpcgen.runtime.values import Struct
from rpcgen.runtime.wire.plain import MethodCodec, encode_fault

if typing.TYPE_CHECKING:
    Kind = typing.TypeVar("Kind", bound=Struct)

TASK, RESULT, ASSIGNMENT = b"\xc1RPCTSK\x01", b"\xc1RPCRES\x01", b"\xc1RPCASG\x01"
"""The first bytes of nodes of ours; the last of them is the version."""

LARGEST = 900 * 1024
"""Bytes of a node, its path and all that is written with it: ZooKeeper takes 1 MiB in one request."""

ATTEMPTS = 3
"""How often a task is tried, if nobody says otherwise."""

KEEP = 3600.0
"""Seconds that a task stays after its end, if nobody says otherwise."""

REMEMBERED = 20
"""Attempts in a history: the last ones."""

MICROS = 1_000_000


class Header(Struct):
    """What a task of ours says before its call.

    Args:
        submitted: Microseconds since 1970.
        not_before: The same; 0: at once.
        priority: Higher ones go first.
        attempts: How often it is tried at most.
        timeout: Microseconds that an attempt may take; 0: as long as it takes.
        keep: Microseconds that it stays after its end.
        tags: Of the arguments in the call, a byte each: its worker must know them.
    """

    submitted: int = 0
    not_before: int = 0
    priority: int = 0
    attempts: int = ATTEMPTS
    timeout: int = 0
    keep: int = int(KEEP * MICROS)
    tags: bytes = b""

    __rpc_fields__: typing.ClassVar[tuple[Field, ...]] = (
        Field(1, "submitted", LONG, default=0),
        Field(2, "not_before", LONG, default=0),
        Field(3, "priority", INT, default=0),
        Field(4, "attempts", UINT, default=ATTEMPTS),
        Field(5, "timeout", LONG, default=0),
        Field(6, "keep", LONG, default=int(KEEP * MICROS)),
        Field(7, "tags", BYTES, default=b""),
    )


class Ending(Struct):
    """What a result says before its reply.

    Args:
        worker: That ran the task; ``""``: it never ran to an end.
        attempt: Which one it was, from 1.
        began: Microseconds since 1970.
        ended: The same.
    """

    worker: str = ""
    attempt: int = 0
    began: int = 0
    ended: int = 0

    __rpc_fields__: typing.ClassVar[tuple[Field, ...]] = (
        Field(1, "worker", STRING, default=""),
        Field(2, "attempt", UINT, default=0),
        Field(3, "began", LONG, default=0),
        Field(4, "ended", LONG, default=0),
    )


class Assigned(Struct):
    """What an assignment of ours says; the task itself may follow.

    Args:
        version: Of the task's status, since this assignment: its end is written over that version alone.
    """

    version: int = 0

    __rpc_fields__: typing.ClassVar[tuple[Field, ...]] = (Field(1, "version", UINT, default=0),)


_CODECS: dict[type, MethodCodec] = {
    kind: MethodCodec(kind.__name__, (), (), kind, ()) for kind in (Header, Ending, Assigned)
}
_MAGICS: dict[type, bytes] = {Header: TASK, Ending: RESULT, Assigned: ASSIGNMENT}


def pack(header: Struct, body: bytes) -> bytes:
    """Gives a node's bytes.

    Raises:
        EncodeError: A number of the header is out of its range.
    """
    kind = type(header)
    # A reply is a byte that says that there is one, and the struct.
    return b"".join((_MAGICS[kind], _CODECS[kind].encode_reply(header)[1:], body))


def unpack(kind: type[Kind], data: bytes) -> tuple[Kind, bytes] | None:
    """Reads a node's bytes; None: they are not of this kind, or not of ours."""
    if data[:8] != _MAGICS[kind]:
        return None
    end = 12 + int.from_bytes(data[8:12], "big")
    try:
        header: Kind = _CODECS[kind].decode_reply(b"\x01" + data[8:end])
    except DecodeError:
        return None
    return header, data[end:]


def method(call: bytes) -> str | None:
    """Gives the method's name of a plain call message; None: it is none."""
    length = int.from_bytes(call[:4], "big")
    if not 0 < length <= 255 or len(call) < length + 8:
        return None
    if len(call) != length + 8 + int.from_bytes(call[4 + length : 8 + length], "big"):
        return None
    try:
        return call[4 : 4 + length].decode()
    except UnicodeDecodeError:
        return None


def arguments(call: bytes) -> bytes:
    """Gives the block of arguments of a call that ``method`` has read."""
    return call[8 + int.from_bytes(call[:4], "big") :]


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a worker says of itself, as JSON; ``host`` alone makes a whole entry.

    Args:
        host: Under which name its assignments stand.
        port: For those who expect one.
        methods: Wire name → the tags of its parameters; None: it does not say, and takes what is not ours.
        raw: It takes what is not ours, too.
        concurrency: Tasks that it runs at once.
        weight: Its share of the tasks, against the others'; 0 gives it none while others can.
        pid: Its process.
        started: Seconds since 1970.
    """

    host: str
    port: int = 0
    methods: dict[str, tuple[int, ...]] | None = None
    raw: bool = False
    concurrency: int = 1
    weight: float = 1.0
    pid: int = 0
    started: float = 0.0

    def takes(self, method: str | None, tags: bytes) -> bool:
        """Says whether the worker can run a task.

        Args:
            method: On the wire; None: the task is not ours.
            tags: Of the arguments in its call.
        """
        if method is None:
            return self.raw or self.methods is None
        known = (self.methods or {}).get(method)
        return known is not None and set(tags) <= set(known)

    @classmethod
    def decode(cls, name: str, data: bytes) -> Entry:
        """Reads a worker's entry.

        Args:
            name: Of its node: a worker that says nothing is called by it.
            data: Of its node.

        Raises:
            ValueError: It is JSON, but a member is not what it should be.
        """
        if data[:1] != b"{":
            return cls(host=name)
        entry = _entry(data)
        if not entry.host or "/" in entry.host or entry.host in (".", "..") or not entry.host.isprintable():
            raise ValueError(f"the host {entry.host!r} can be no node's name")
        if entry.concurrency < 1 or not 0 <= entry.weight < float("inf"):
            raise ValueError("the concurrency is 1 or more, the weight a number from 0 up")
        return entry


_entry = msgspec.json.Decoder(Entry).decode


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An attempt that did not lead to an end.

    Args:
        worker: That made it.
        number: Which one it was, from 1.
        at: When that was known, in seconds since 1970.
        error: Why.
    """

    worker: str
    number: int
    at: float
    error: str


def pack_history(attempts: typing.Sequence[Attempt]) -> bytes:
    """Gives a history as JSON, the last attempts alone."""
    return msgspec.json.encode(attempts[-REMEMBERED:])


def unpack_history(data: bytes) -> tuple[Attempt, ...]:
    """Reads a history; what is none is an empty one."""
    try:
        return _history(data)
    except (msgspec.DecodeError, ValueError):
        return ()


_history = msgspec.json.Decoder(tuple[Attempt, ...]).decode


def fault(code: FaultCode, message: str, at: float) -> bytes:
    """Gives the result of a task that ended without a worker's word.

    Args:
        code: Why.
        message: For people.
        at: Seconds since 1970.
    """
    return pack(Ending(ended=int(at * MICROS)), encode_fault(code, message))
