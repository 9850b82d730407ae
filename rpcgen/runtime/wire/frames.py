"""Frames as bytes: which kinds there are, which flags each may carry, and what their payloads hold.

A frame is ``u32 length of what follows · u8 kind · u8 flags · u32 call id · payload``. Kind and
flags are read as one number, the frame's word, so that one lookup in a table made here decides
whether a frame is legal. Who may send what, and when, is in ``states``.
"""

from __future__ import annotations

import math
import struct
import typing

from rpcgen.runtime.errors import DeadlineExceeded, EncodeError, FaultCode, ProtocolError, RemoteFault

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.wire.tailed import Message, Tailed

    Buffer: typing.TypeAlias = bytes | bytearray | memoryview | Tailed
    Metadata: typing.TypeAlias = collections.abc.Mapping[str, bytes]

PREFACE: typing.Final = b"\xc1RPCGEN\x01"
"""The first 8 bytes of a client that speaks frames; the last one is the version."""

FIRST_BYTE: typing.Final = PREFACE[0]
"""Tells a framed connection from a plain one, whose first byte is 0."""

MAGIC: typing.Final = PREFACE[:-1]
VERSION: typing.Final = PREFACE[-1]

HELLO: typing.Final = 0
CALL: typing.Final = 1
REPLY: typing.Final = 2
FAULT: typing.Final = 3
CANCEL: typing.Final = 4
PING: typing.Final = 5
PONG: typing.Final = 6
GOAWAY: typing.Final = 7

COMPRESSED: typing.Final = 1
METADATA: typing.Final = 2
NO_REPLY: typing.Final = 4

NAMES = ("HELLO", "CALL", "REPLY", "FAULT", "CANCEL", "PING", "PONG", "GOAWAY", "ITEM", "END", "CREDIT")
"""Of the kinds, by number; the last three are kept for streams."""

FLAGS = {
    HELLO: 0,
    CALL: COMPRESSED | METADATA | NO_REPLY,
    REPLY: COMPRESSED | METADATA,
    FAULT: COMPRESSED | METADATA,
    CANCEL: 0,
    PING: 0,
    PONG: 0,
    GOAWAY: 0,
}
"""Which flags each kind may carry."""

WORDS = {
    kind << 8 | flags: kind for kind, allowed in FLAGS.items() for flags in range(8) if not flags & ~allowed
}
"""Every legal word → its kind."""

OF_CONNECTION = frozenset((HELLO, PING, PONG, GOAWAY))
"""Kinds whose call id is 0; a FAULT may have either."""

IGNORED: typing.Final = 0x80
"""Kinds with this bit are for peers that know them; others step over them."""

OVERHEAD: typing.Final = 6
"""Bytes that a frame's length counts before its payload."""

HEAD: typing.Final = 10
"""Bytes of a frame before its payload."""

CALL_HEAD: typing.Final = HEAD + 5
"""Bytes of a CALL before its arguments, without the method's name: with that one's length, and the milliseconds."""

SMALL: typing.Final = 64 * 1024
"""The largest length of a frame before the peer's HELLO; every peer accepts as much."""

LAST_ID: typing.Final = 2**32 - 1

pack_head = struct.Struct(">IHI").pack
unpack_head = struct.Struct(">IHI").unpack_from
u32 = struct.Struct(">I").unpack_from
pack_u32 = struct.Struct(">I").pack


def milliseconds_left(seconds: float | None) -> int:
    """Gives what a CALL says of its deadline: rounded up and at least 1; 0 where there is none.

    Args:
        seconds: That are left, or None.

    Raises:
        DeadlineExceeded: None are left: the call is not to be sent.
    """
    if seconds is None:
        return 0
    if seconds <= 0:
        raise DeadlineExceeded("the time was up before the call was sent")
    # More than 49 days do not fit; they are no deadline that anybody waits for.
    return math.ceil(seconds * 1000) if seconds < LAST_ID / 1000 else LAST_ID


def arguments_of(frame: Message) -> Buffer:
    """Gives the arguments' block of a CALL frame without flags."""
    begin = CALL_HEAD + frame[HEAD]
    # A view is quicker than a copy of more bytes than these; what has two pieces copies none.
    return memoryview(frame)[begin:] if isinstance(frame, bytes) and len(frame) > 4096 else frame[begin:]


def described(word: int) -> str:
    """Names a frame by its kind and flags, for errors."""
    kind, flags = divmod(word, 256)
    name = f" ({NAMES[kind]})" if kind < len(NAMES) else ""
    return f"kind {kind}{name}" + (f" with flags {flags:#04x}" if flags else "")


def encode_metadata(metadata: Metadata, limit: int) -> bytes:
    """Gives ``map<string, bytes>``.

    Raises:
        EncodeError: A key is no text, a value is no bytes, or all take more than the limit.
    """
    try:
        data = encode_map(metadata)
    except (AttributeError, TypeError, UnicodeEncodeError) as error:
        raise EncodeError(f"metadata is text → bytes, not {metadata!r:.80}") from error
    if len(data) > limit:
        raise EncodeError(f"metadata of {len(data)} bytes; the limit is {limit}")
    return data


def decode_metadata(payload: Buffer, limit: int) -> tuple[dict[str, bytes], int]:
    """Reads the metadata at the beginning of a payload; gives it and where it ends.

    Metadata above the limit is not read to its end: what is given then is a part, and a place above the limit.

    Raises:
        ProtocolError: The bytes are none.
    """
    return decode_map(payload, 0, "metadata", limit)


def encode_fault(
    code: FaultCode, message: str, details: collections.abc.Mapping[str, str] | None = None
) -> bytes:
    """Gives a FAULT's payload. It always fits a peer: a text that is too long is cut, its details left out."""
    text = message.encode(errors="replace")
    pairs = {key: value.encode(errors="replace") for key, value in (details or {}).items()}
    data = b"".join((bytes((code,)), pack_u32(len(text)), text, encode_map(pairs)))
    if len(data) <= SMALL // 2:
        return data
    text = message[:1000].encode(errors="replace")
    return b"".join((bytes((code,)), pack_u32(len(text)), text, pack_u32(0)))


def decode_fault(payload: Buffer) -> RemoteFault:
    """Reads a FAULT's payload; a code that is not known here is INTERNAL.

    Raises:
        ProtocolError: The bytes are none.
    """
    if not payload:
        raise ProtocolError("a FAULT without a code")
    code = FaultCode(payload[0]) if payload[0] in _CODES else FaultCode.INTERNAL
    message, pos = decode_text(payload, 1, "a FAULT's message")
    found, pos = decode_map(payload, pos, "a FAULT's details")
    if pos != len(payload):
        raise ProtocolError(f"{len(payload) - pos} bytes are left over in a FAULT")
    try:
        details = {key: value.decode() for key, value in found.items()}
    except UnicodeDecodeError:
        raise ProtocolError("a FAULT's details are not UTF-8") from None
    return RemoteFault(code, message, details)


def plain_fault(reply: Buffer) -> RemoteFault:
    """Reads a plain reply of kind 0, ``CODE: what went wrong``."""
    text = str(bytes(reply[5:]), "utf-8", "replace")
    code, colon, message = text.partition(": ")
    if colon and code in FaultCode.__members__:
        return RemoteFault(FaultCode[code], message)
    return RemoteFault(FaultCode.INTERNAL, text)


def encode_goaway(last: int, reason: str) -> bytes:
    """Gives a GOAWAY's payload."""
    text = reason[:1000].encode(errors="replace")
    return b"".join((pack_u32(last), pack_u32(len(text)), text))


def decode_goaway(payload: Buffer) -> tuple[int, str]:
    """Reads a GOAWAY's payload: the last call id that will be answered, and the reason.

    Raises:
        ProtocolError: The bytes are none.
    """
    if len(payload) < 8:
        raise ProtocolError(f"a GOAWAY of {len(payload)} bytes; it has 8 or more")
    reason, pos = decode_text(payload, 4, "a GOAWAY's reason")
    if pos != len(payload):
        raise ProtocolError(f"{len(payload) - pos} bytes are left over in a GOAWAY")
    return int(u32(payload)[0]), reason


_CODES = frozenset(FaultCode)


def encode_map(entries: Metadata) -> bytes:
    """Gives a map of texts to bytes, or to texts in UTF-8."""
    pieces = [pack_u32(len(entries))]
    for key, value in entries.items():
        name, data = key.encode(), memoryview(value)
        pieces += (pack_u32(len(name)), name, pack_u32(data.nbytes), data)  # type: ignore[arg-type]
    return b"".join(pieces)


def decode_map(payload: Buffer, pos: int, what: str, limit: int = LAST_ID) -> tuple[dict[str, bytes], int]:
    """Reads such a map at a place, up to a limit; gives it and where it ends."""
    count = number(payload, pos, what)
    pos += 4
    # An entry takes 8 bytes at least: the two lengths.
    if count * 8 > len(payload) - pos:
        raise ProtocolError(f"{what}: a count of {count}, but {len(payload) - pos} bytes are left")
    found: dict[str, bytes] = {}
    for _ in range(count):
        key, pos = decode_text(payload, pos, what)
        if key in found:
            raise ProtocolError(f"{what}: {key!r:.80} is repeated")
        begin, pos = _sized(payload, pos, what)
        if pos > limit:
            break
        found[key] = bytes(payload[begin:pos])
    return found, pos


def decode_text(payload: Buffer, pos: int, what: str) -> tuple[str, int]:
    """Reads a string at a place; gives it and where it ends."""
    begin, end = _sized(payload, pos, what)
    try:
        return str(payload[begin:end], "utf-8"), end
    except UnicodeDecodeError:
        raise ProtocolError(f"{what}: text that is not UTF-8") from None


def _sized(payload: Buffer, pos: int, what: str) -> tuple[int, int]:
    """Gives where the bytes after a length begin and end."""
    length = number(payload, pos, what)
    if length > len(payload) - pos - 4:
        raise ProtocolError(f"{what}: a length of {length}, but {len(payload) - pos - 4} bytes are left")
    return pos + 4, pos + 4 + length


def number(payload: Buffer, pos: int, what: str) -> int:
    """Reads a u32."""
    if len(payload) - pos < 4:
        raise ProtocolError(f"{what}: 4 bytes are needed, but {len(payload) - pos} are left")
    return int(u32(payload, pos)[0])
