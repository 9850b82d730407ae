"""HELLO, the first frame of either side, and the terms by which one end speaks.

Terms are made once a channel or a server and shared by all its connections: what goes into
their HELLO is encoded once.
"""

from __future__ import annotations

import functools
import struct
import typing

from rpcgen.runtime.errors import ProtocolError
from rpcgen.runtime.records import Record
from rpcgen.runtime.wire.compression import BY_NAME, Algorithm, checked_names, understood
from rpcgen.runtime.wire.frames import (
    HEAD,
    HELLO,
    OVERHEAD,
    SMALL,
    decode_map,
    decode_text,
    encode_map,
    number,
    pack_head,
    pack_u32,
    unpack_head,
)
from rpcgen.runtime.wire.limits import DEFAULT_LIMITS, Limits

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.wire.frames import Buffer

    CallHead: typing.TypeAlias = tuple[collections.abc.Callable[..., bytes], bytes, int]

_PROPERTIES, _COMPRESSIONS, _LARGEST, _CREDENTIALS = 1, 2, 3, 4
"""The tags of its fields. They are read and written here, so that a client need not load all of the codec."""

MOST = 100
"""Properties and compressions, each, that are taken from a peer: what it says of itself is kept as long as it stays."""

FINGERPRINT = "fingerprint"
"""The property that says which interface an end has: a server serves, or a client was first used with."""

PAYS = 1024
"""Bytes from which a payload is compressed; smaller ones fit a packet or two anyway."""


class Hello(Record):
    """What an end says of itself.

    Args:
        properties: By name: agent, service, fingerprint ….
        compressions: Names of the algorithms that it understands.
        largest: The greatest length of a frame that it accepts (without the length's own four bytes).
        credentials: Who it is; judged by a server that requires some.
    """

    properties: collections.abc.Mapping[str, str] = {}
    compressions: collections.abc.Sequence[str] = ()
    largest: int = SMALL
    credentials: str = ""

    def __repr__(self) -> str:
        secret = "…" if self.credentials else ""
        return f"Hello({dict(self.properties)!r}, {list(self.compressions)!r}, {self.largest}, {secret!r})"


def encode_hello(hello: Hello) -> bytes:
    """Gives the whole frame.

    Raises:
        ValueError: It does not fit into a frame that every peer accepts, or a value does not fit its type.
    """
    if len(hello.properties) > MOST:
        raise ValueError(f"{len(hello.properties)} properties in HELLO; peers take {MOST}")
    try:
        payload = b"".join(_fields(hello))
    except (UnicodeEncodeError, struct.error) as error:
        raise ValueError(f"HELLO: {error}") from error
    if len(payload) + OVERHEAD > SMALL:
        raise ValueError(f"properties and credentials take {len(payload)} bytes; about {SMALL} are accepted")
    return pack_head(len(payload) + OVERHEAD, HELLO << 8, 0) + payload


def decode_hello(payload: Buffer) -> Hello:
    """Reads a HELLO's payload.

    Raises:
        ProtocolError: It is none, or accepts less than every peer has to.
    """
    data = bytes(payload)
    hello, pos, last = Hello(), 0, 0
    while pos < len(data):
        tag = data[pos]
        if tag <= last:
            raise ProtocolError(f"HELLO: tag {tag} after {last}; tags ascend from 1")
        pos, last = pos + 1, tag
        if tag == _PROPERTIES:
            _check_count(data, pos, "properties")
            found, pos = decode_map(data, pos, "HELLO's properties")
            try:
                hello = hello._replace(properties={key: value.decode() for key, value in found.items()})
            except UnicodeDecodeError:
                raise ProtocolError("HELLO's properties are not UTF-8") from None
        elif tag == _COMPRESSIONS:
            names, pos = _decode_names(data, pos)
            hello = hello._replace(compressions=names)
        elif tag == _LARGEST:
            hello, pos = hello._replace(largest=number(data, pos, "HELLO's largest frame")), pos + 4
        elif tag == _CREDENTIALS:
            credentials, pos = decode_text(data, pos, "HELLO's credentials")
            hello = hello._replace(credentials=credentials)
        else:
            break  # a newer peer's; it and all that follows
    if hello.largest < SMALL:
        raise ProtocolError(f"HELLO: frames of at most {hello.largest} bytes; every peer accepts {SMALL}")
    return hello


def missing(data: Buffer) -> int | None:
    """Gives how many bytes a HELLO that begins so still lacks: 0 or less, it is whole; None: it is something else."""
    if len(data) < HEAD:
        return HEAD - len(data)
    length, word, _ = unpack_head(data)
    return 4 + length - len(data) if word >> 8 == HELLO and length + 4 <= SMALL else None


def _fields(hello: Hello) -> collections.abc.Iterator[bytes]:
    if hello.properties:
        yield bytes((_PROPERTIES,))
        yield encode_map({key: value.encode() for key, value in hello.properties.items()})
    if hello.compressions:
        names = [name.encode() for name in hello.compressions]
        yield bytes((_COMPRESSIONS,)) + pack_u32(len(names))
        for name in names:
            yield pack_u32(len(name)) + name
    if hello.largest != SMALL:
        yield bytes((_LARGEST,)) + pack_u32(hello.largest)
    if hello.credentials:
        credentials = hello.credentials.encode()
        yield bytes((_CREDENTIALS,)) + pack_u32(len(credentials)) + credentials


def _check_count(data: bytes, pos: int, what: str) -> None:
    count = number(data, pos, f"HELLO's {what}")
    if count > MOST:
        raise ProtocolError(f"HELLO's {what}: a count of {count}; at most {MOST} are taken")


def _decode_names(data: bytes, pos: int) -> tuple[tuple[str, ...], int]:
    _check_count(data, pos, "compressions")
    count, pos = number(data, pos, "HELLO's compressions"), pos + 4
    names = []
    for _ in range(count):
        name, pos = decode_text(data, pos, "HELLO's compressions")
        names.append(name)
    return tuple(names), pos


class Terms:
    """What one end accepts, says and does on all its connections.

    Args:
        limits: Of which name, message and metadata count, and nothing else here.
        properties: For HELLO: agent, service, fingerprint ….
        credentials: For HELLO: a client's, for the server's check.
        compress: Names of algorithms to compress by what is sent, the best one first; the first that
            the peer understands is used. None by default: on a quick network compressing takes
            longer than sending. What is received may be compressed by all that are installed.
        compress_from: Bytes of a payload from which compressing is tried.
        check: A server's; given the client's HELLO, it gives who the client is, for the session's
            ``identity``, or raises PermissionError with the reason why it is not let in. It must not
            wait: nothing else happens on the connection meanwhile.
        calls: A server's; that may run at once on a connection. Further ones are answered UNAVAILABLE.

    Raises:
        ValueError: An option is out of its range, an algorithm not installed, or HELLO too large.
    """

    __slots__ = (
        "_compress",
        "calls",
        "check",
        "compress_from",
        "heads",
        "hello",
        "largest",
        "limits",
        "longest",
        "quick",
    )

    def __init__(
        self,
        limits: Limits = DEFAULT_LIMITS,
        *,
        properties: collections.abc.Mapping[str, str] | None = None,
        credentials: str = "",
        compress: collections.abc.Iterable[str] = (),
        compress_from: int = PAYS,
        check: collections.abc.Callable[[Hello], str] | None = None,
        calls: int = 10_000,
    ) -> None:
        if calls < 1:
            raise ValueError(f"at least one call must run at once on a connection, not {calls!r}")
        self.limits = limits
        self.largest = min(limits.message + SMALL, 2**32 - 1)
        """The greatest length of a frame that is accepted, once HELLO has come."""
        self.check = check
        self.calls = calls
        self._compress = checked_names(compress)
        self.compress_from = compress_from
        self.longest = limits.message if limits.name >= 255 else -1
        """Frames up to this length are within every limit, whatever they hold."""
        self.quick = min(self.longest, SMALL // 2)
        """Those of them that are not long."""
        self.hello = encode_hello(Hello(properties or {}, understood(), self.largest, credentials))
        """The whole frame."""
        self.heads: dict[str, CallHead] = {}
        """A client's: what its calls of each method begin with."""

    def algorithm(self, peer: Hello) -> Algorithm | None:
        """Gives what to compress by towards a peer."""
        return next((BY_NAME[name] for name in self._compress if name in peer.compressions), None)


@functools.cache
def default_terms() -> Terms:
    """Gives the terms of an end that chooses nothing; made once."""
    return Terms()
