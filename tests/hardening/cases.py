"""Bad input as a table: bytes, and what a server makes of them.

A call that can be framed is answered by a fault, and its connection goes on; bytes that cannot be framed
end their connection, with one line in the log.
"""

from __future__ import annotations

import gzip
import importlib.util
import struct
import typing
import zlib

from rpcgen.runtime.wire.compression import BY_NAME
from tests.support.framed import HELLO, PREFACE, frame, text

LIMIT = 16 * 1024 * 1024
"""Bytes of a message."""

DIVIDE = bytes.fromhex("01 000000c8 02 00000064")
"""The arguments of divide(200, 100)."""


def u32(number: int) -> bytes:
    return struct.pack(">I", number)


class Call(typing.NamedTuple):
    """A call that is refused, in either protocol.

    Args:
        method: Its name.
        block: The arguments' bytes.
        code: Of the fault.
        words: That its message holds, in this order.
    """

    method: str
    block: bytes
    code: str
    words: tuple[str, ...]


class Stream(typing.NamedTuple):
    """Bytes that end their connection.

    Args:
        data: After a preface and a HELLO, where they are framed.
        words: That the log holds, after the client's address.
    """

    data: bytes
    words: str


def nested(depth: int) -> bytes:
    """Gives the bytes of a tree so deep."""
    block = b""
    for _ in range(depth):
        block = b"\2" + u32(len(block)) + block
    return u32(len(block)) + block


def sized(block: bytes) -> bytes:
    return u32(len(block)) + block


def uuids_of_one_hash(count: int) -> bytes:
    """Gives the bytes of a set of uuids that all have one hash: Python's is the number modulo 2^61 - 1."""
    return u32(count) + b"".join((number * (2**61 - 1)).to_bytes(16, "big") for number in range(count))


BAD = "BAD_REQUEST"

CALLS = {
    "an unknown method": Call("devide", DIVIDE, "UNKNOWN_METHOD", ("no method 'devide'", "'divide'")),
    "a name like no other": Call("x" * 255, b"", "UNKNOWN_METHOD", ("no method 'xxx",)),
    "a name of control characters": Call("a\0\r\n\x1b[2J", b"", "UNKNOWN_METHOD", (r"'a\x00\r\n\x1b[2J'",)),
    "an unknown service": Call("rpcx.health", b"", "UNKNOWN_METHOD", ("no service 'rpcx'", "'rpc'")),
    "no name": Call("", b"", "UNKNOWN_METHOD", ("no method ''",)),
    "a missing argument": Call("divide", b"", BAD, ("divide", "num1")),
    "an unknown tag": Call("divide", DIVIDE + b"\3\1", BAD, ("divide", "3")),
    "tag 0": Call("divide", b"\0\0\0\0\1", BAD, ("divide", "0")),
    "a tag twice": Call("divide", DIVIDE[:5] * 2, BAD, ("divide", "1")),
    "tags that descend": Call("divide", DIVIDE[5:] + DIVIDE[:5], BAD, ("divide", "1")),
    "a cut argument": Call("divide", DIVIDE[:-1], BAD, ("divide", "num2")),
    "bytes left over": Call("rpc.describe", b"\1", BAD, ("rpc.describe",)),
    "a bad bool": Call("take", b"\1\2", BAD, ("take", "flag")),
    "a bad bool in a list": Call("take", b"\3" + u32(2) + b"\1\xff", BAD, ("take", "flags")),
    "text that is not UTF-8": Call("take", b"\2" + sized(b"\xff\xfe"), BAD, ("take", "text")),
    "a lone surrogate": Call("take", b"\2" + sized(b"a\xed\xa0\x80"), BAD, ("take", "text")),
    "an overlong form": Call("take", b"\2" + sized(b"\xc0\x80"), BAD, ("take", "text")),
    "a text longer than what is left": Call("take", b"\2" + u32(2) + b"a", BAD, ("take", "text")),
    "a text of 2^31": Call("take", b"\2" + u32(2**31) + b"a", BAD, ("take", "text")),
    "a text of -1": Call("take", b"\2" + u32(2**32 - 1) + b"a", BAD, ("take", "text")),
    "a count larger than what is left": Call("take", b"\3" + u32(3) + b"\1\1", BAD, ("take", "flags")),
    "a count of 2^32 - 1": Call("take", b"\3" + u32(2**32 - 1), BAD, ("take", "flags")),
    "a set's count of 2^31": Call("take", b"\4" + u32(2**31) + bytes(64), BAD, ("take", "numbers")),
    "an item twice": Call("take", b"\4" + u32(2) + bytes(8), BAD, ("take", "numbers")),
    "a key twice": Call("take", b"\5" + u32(2) + (sized(b"k") + u32(1)) * 2, BAD, ("take", "counts")),
    "a map's count of 2^31": Call("take", b"\5" + u32(2**31) + bytes(64), BAD, ("take", "counts")),
    "10 million items": Call("take", b"\3" + u32(10_000_000) + bytes(10_000_000), BAD, ("take", "flags")),
    "4 million empty structs": Call("take", b"\x08" + u32(4_000_000) + bytes(16_000_000), BAD, ("take", "empties")),
    "1,000,001 empty structs": Call("take", b"\x08" + u32(1_000_001) + bytes(4_000_004), BAD, ("take", "empties")),
    "65 trees inside each other": Call("take", b"\6" + nested(65), BAD, ("take", "tree")),
    "100,000 trees inside each other": Call("take", b"\6" + nested(100_000), BAD, ("take", "tree")),
    "a struct longer than what is left": Call("take", b"\6" + u32(9) + b"\1", BAD, ("take", "tree")),
    "a struct with bytes left over": Call("take", b"\6" + sized(b"\1\0\0"), BAD, ("take", "tree")),
    "a union of nothing": Call("take", b"\7" + sized(b""), BAD, ("take", "shape")),
    "a union of two": Call("take", b"\7" + sized(b"\1\0\0\0\1\2" + sized(b"")), BAD, ("take", "shape")),
    "a decimal that is none": Call("take", b"\x09" + sized(b"NaN"), BAD, ("take", "exact")),
    "a decimal of 5,000 digits": Call("take", b"\x09" + sized(b"9" * 5000), BAD, ("take", "exact")),
    "a decimal of a huge exponent": Call("take", b"\x09" + sized(b"1E999999999"), BAD, ("take", "exact")),
    "a time after the last": Call("take", b"\x0a" + b"\x7f" * 8, BAD, ("take", "at")),
    "an exception that is not declared": Call("fail", b"\1" + sized(b"undeclared"), "INTERNAL", ("error id",)),
    "a handler that fails": Call("fail", b"\1" + sized(b"plainly"), "INTERNAL", ("fail failed", "error id")),
    "a handler that exits": Call("fail", b"\1" + sized(b"exit"), "INTERNAL", ("fail failed", "error id")),
    "a handler that never ends": Call("fail", b"\1" + sized(b"deep"), "INTERNAL", ("fail failed", "error id")),
    "a result that does not fit": Call("fail", b"\1" + sized(b"wrong"), "INTERNAL", ("fail returned", "error id")),
}  # fmt: skip

PLAIN = {
    "a name beyond the limit": Stream(u32(256) + b"x" * 256, "a method's name of 256 bytes; the limit is 255"),
    "a name of 2^31": Stream(u32(2**31), "a method's name of 2147483648 bytes"),
    "a name of -1": Stream(u32(2**32 - 1), "a method's name of 4294967295 bytes"),
    "a name that begins wrong": Stream(b"\x01", "a method's name"),
    "a name that is not UTF-8": Stream(u32(2) + b"\xff\xfe" + u32(0), "a method's name is not UTF-8"),
    "arguments beyond the limit": Stream(u32(1) + b"x" + u32(LIMIT), "a call of 16777225 bytes"),
    "arguments of 2^31": Stream(u32(1) + b"x" + u32(2**31), "a call of"),
    "arguments of -1": Stream(u32(6) + b"divide" + u32(2**32 - 1), "a call of"),
    "text": Stream(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n", "a method's name of 1195725856 bytes"),
    "TLS": Stream(bytes.fromhex("16030100f8010000f40303") + bytes(200), "a method's name"),
    "bytes after a call": Stream(
        u32(6) + b"divide" + sized(DIVIDE) + b"\xff" * 8, "a method's name of 4294967295 bytes"
    ),
}  # fmt: skip


def named(method: str, block: bytes = b"", milliseconds: int = 0) -> bytes:
    """Gives a CALL's payload."""
    return bytes([len(method)]) + method.encode() + u32(milliseconds) + block


def packed(name: str, payload: bytes, claimed: int | None = None) -> bytes:
    """Gives a compressed payload."""
    algorithm = BY_NAME[name]
    size = len(payload) if claimed is None else claimed
    return bytes([algorithm.number]) + u32(size) + algorithm.compress(payload)


DIVIDING = named("divide", DIVIDE)
CALLING = frame(1, 0, 1, DIVIDING)

ALGORITHMS = [
    name for name, library in (("gzip", "zlib"), ("zstd", "backports.zstd"), ("lz4", "lz4.frame"))
    if library == "zlib" or importlib.util.find_spec(library.partition(".")[0])
]  # fmt: skip

BOMB = bytes(64 * 1024 * 1024)

FRAMED = {
    "a frame beyond the limit": Stream(u32(LIMIT + 64 * 1024 + 1) + b"\1\0" + u32(1), "a frame of length 16842753"),
    "a frame of 2^31": Stream(u32(2**31) + b"\1\0" + u32(1), "a frame of length 2147483648; the limit is"),
    "a frame of -1": Stream(u32(2**32 - 1), "a frame of length 4294967295; the limit is"),
    "a frame of nothing": Stream(u32(0), "a frame of length 0; the least is 6"),
    "a frame of 5": Stream(u32(5) + b"\4\0\0\0\0", "a frame of length 5; the least is 6"),
    "a second HELLO": Stream(HELLO, "a frame of kind 0 (HELLO), which is not to come"),
    "a REPLY": Stream(frame(2, 0, 1, b"\1"), "a frame of kind 2 (REPLY), which is not to come"),
    "a FAULT of a call": Stream(CALLING + frame(3, 0, 1, b"\5" + text("") + u32(0)), "a FAULT for call 1, from a client"),
    "a FAULT that is none": Stream(frame(3, 0, 0, b""), "a FAULT without a code"),
    "a frame of streams": Stream(frame(8, 0, 1), "a frame of kind 8"),
    "an unknown kind": Stream(frame(0x7F, 0, 1), "a frame of kind 127"),
    "an unknown flag of CALL": Stream(frame(1, 8, 1, DIVIDING), "a frame of kind 1 (CALL) with flags 0x08"),
    "all flags of CALL": Stream(frame(1, 0xFF, 1, DIVIDING), "a frame of kind 1 (CALL) with flags 0xff"),
    "a flag of CANCEL": Stream(CALLING + frame(4, 1, 1), "a frame of kind 4 (CANCEL) with flags 0x01"),
    "a flag of PING": Stream(frame(5, 4, 0, bytes(8)), "a frame of kind 5 (PING) with flags 0x04"),
    "a CALL with id 0": Stream(frame(1, 0, 0, DIVIDING), "has call id 0, the connection's"),
    "a PING with an id": Stream(frame(5, 0, 7, bytes(8)), "has call id 7, not 0"),
    "an id that stays": Stream(CALLING * 2, "a CALL with id 1 after one with 1: ids rise"),
    "an id that falls": Stream(frame(1, 0, 9, DIVIDING) + CALLING, "a CALL with id 1 after one with 9: ids rise"),
    "a CALL of nothing": Stream(frame(1, 0, 1), "call 1 is cut short"),
    "a CALL cut in its name": Stream(frame(1, 0, 1, b"\6divi"), "call 1 is cut short"),
    "a CALL cut in its time": Stream(frame(1, 0, 1, b"\6divide\0\0"), "call 1 is cut short"),
    "a name that is not UTF-8": Stream(frame(1, 0, 1, b"\2\xff\xfe" + u32(0)), "the method's name of call 1 is not UTF-8"),
    "a CANCEL that says something": Stream(CALLING + frame(4, 0, 1, b"now"), "a CANCEL of 3 bytes"),
    "a CANCEL of what never came": Stream(frame(4, 0, 5), "a CANCEL of call 5, which never came"),
    "a PING of 7 bytes": Stream(frame(5, 0, 0, bytes(7)), "a PING of 7 bytes; it has 8"),
    "a PONG of nothing": Stream(frame(6, 0, 0, bytes(8)), "a PONG that answers no PING"),
    "a GOAWAY of 4 bytes": Stream(frame(7, 0, 0, bytes(4)), "a GOAWAY of 4 bytes"),
    "a GOAWAY cut in its reason": Stream(frame(7, 0, 0, bytes(4) + u32(9) + b"x"), "a GOAWAY's reason: a length of 9"),
    "a GOAWAY that rises": Stream(frame(7, 0, 0, bytes(8)) + frame(7, 0, 0, u32(3) + bytes(4)), "a GOAWAY up to call 3, after one up to 0"),
    "metadata longer than the frame": Stream(frame(1, 2, 1, u32(2**32 - 1) + DIVIDING), "metadata: a count of 4294967295"),
    "metadata cut short": Stream(frame(1, 2, 1, u32(1) + u32(400) + b"the key"), "metadata: a length of 400"),
    "metadata with a key twice": Stream(frame(1, 2, 1, u32(2) + text("k") + text("v") + text("k") + text("w") + DIVIDING), "metadata: 'k' is repeated"),
    "metadata with a key that is no text": Stream(frame(1, 2, 1, u32(1) + u32(1) + b"\xff" + u32(0) + DIVIDING), "metadata: text that is not UTF-8"),
    "a compression that is none": Stream(frame(1, 1, 1, b"\x09" + u32(100) + b"x"), "compression 9"),
    "a compressed payload of nothing": Stream(frame(1, 1, 1), "a compressed payload of 0 bytes"),
    "a compressed payload of 2^32 - 1": Stream(frame(1, 1, 1, packed("gzip", b"x", 2**32 - 1)), "a compressed payload of 4294967295 bytes when expanded"),
    "gzip in which gzip follows": Stream(frame(1, 1, 1, b"\1" + u32(1) + gzip.compress(b"x") * 2), "more than one end"),
    "gzip that is cut": Stream(frame(1, 1, 1, packed("gzip", DIVIDING)[:-4]), "a compressed payload says"),
    "gzip of a wrong sum": Stream(frame(1, 1, 1, packed("gzip", DIVIDING)[:-8] + bytes(8)), "a payload that is not gzip"),
    "zlib that says gzip": Stream(frame(1, 1, 1, b"\1" + u32(1) + zlib.compress(b"x")), "a payload that is not gzip"),
    **{f"{name} that holds less": Stream(frame(1, 1, 1, packed(name, DIVIDING, len(DIVIDING) + 1)), "a compressed payload says") for name in ALGORITHMS},
    **{f"{name} that is garbage": Stream(frame(1, 1, 1, bytes([BY_NAME[name].number]) + u32(9) + b"\xa5" * 40), f"a payload that is not {name}") for name in ALGORITHMS},
    **{f"a bomb of {name}": Stream(frame(1, 1, 1, packed(name, BOMB, LIMIT)), f"a compressed payload says {LIMIT} bytes, but holds more than") for name in ALGORITHMS},
}  # fmt: skip

OPENING = {
    "another magic": Stream(b"\xc1RPCGAN\1", "the first bytes are"),
    "another version": Stream(b"\xc1RPCGEN\2", "the client speaks version 2"),
    "no HELLO": Stream(PREFACE + CALLING, "kind 1 (CALL), but a peer's first is HELLO"),
    "a HELLO with an id": Stream(PREFACE + frame(0, 0, 1), "has call id 1, not 0"),
    "a HELLO with a flag": Stream(PREFACE + frame(0, 1, 0), "kind 0 (HELLO) with flags 0x01"),
    "a frame above 64 KiB before HELLO": Stream(PREFACE + u32(65537) + b"\0\0" + u32(0), "a frame of length 65537; the limit is 65536"),
    "a HELLO of small frames": Stream(PREFACE + frame(0, 0, 0, b"\3" + u32(65535)), "HELLO: frames of at most 65535"),
    "a HELLO whose tags descend": Stream(PREFACE + frame(0, 0, 0, b"\4" + text("x") + b"\3" + u32(70000)), "HELLO: tag 3 after 4"),
    "a HELLO cut short": Stream(PREFACE + frame(0, 0, 0, b"\4" + u32(99) + b"x"), "HELLO's credentials: a length of 99"),
    "a HELLO of 2^31 properties": Stream(PREFACE + frame(0, 0, 0, b"\1" + u32(2**31)), "HELLO's properties: a count of 2147483648"),
    "a HELLO of 2^31 compressions": Stream(PREFACE + frame(0, 0, 0, b"\2" + u32(2**31)), "HELLO's compressions: a count of 2147483648"),
    "a HELLO of a property twice": Stream(PREFACE + frame(0, 0, 0, b"\1" + u32(2) + (text("a") + text("b")) * 2), "HELLO's properties: 'a' is repeated"),
}  # fmt: skip
"""From the first byte on, after which framed messages may still come."""
