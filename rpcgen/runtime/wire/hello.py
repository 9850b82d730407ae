"""HELLO, the first frame of either side, and the terms by which one end speaks.

Terms are made once a channel or a server and shared by all its connections: what goes into
their HELLO is encoded once.
"""

from __future__ import annotations

import functools
import typing

from rpcgen.runtime.errors import ProtocolError
from rpcgen.runtime.schema import STRING, UINT, Field, ListOf, MapOf
from rpcgen.runtime.wire.compression import BY_NAME, Algorithm, checked_names, understood
from rpcgen.runtime.wire.decoder import Decoder
from rpcgen.runtime.wire.encoder import Encoder
from rpcgen.runtime.wire.frames import HELLO, OVERHEAD, SMALL, pack_head
from rpcgen.runtime.wire.limits import DEFAULT_LIMITS, Limits
from rpcgen.runtime.wire.types import Misfit

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.wire.frames import Buffer

    CallHead: typing.TypeAlias = tuple[collections.abc.Callable[..., bytes], bytes, int]

FIELDS = (
    Field(1, "properties", MapOf(STRING, STRING), default={}),
    Field(2, "compressions", ListOf(STRING), default=[]),
    Field(3, "largest", UINT, default=SMALL),
    Field(4, "credentials", STRING, default=""),
)

_LIMITS = Limits(items=1_000)

PAYS = 1024
"""Bytes from which a payload is compressed; smaller ones fit a packet or two anyway."""


class Hello(typing.NamedTuple):
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
        ValueError: It does not fit into a frame that every peer accepts, or a value not its type.
    """
    values = (dict(hello.properties), list(hello.compressions), hello.largest, hello.credentials)
    try:
        payload = Encoder(_LIMITS.nesting).block(zip(FIELDS, values, strict=True))
    except Misfit as misfit:
        raise ValueError(f"HELLO: {misfit}") from misfit
    if len(payload) + OVERHEAD > SMALL:
        raise ValueError(f"properties and credentials take {len(payload)} bytes; about {SMALL} are accepted")
    return pack_head(len(payload) + OVERHEAD, HELLO << 8, 0) + payload


def decode_hello(payload: Buffer) -> Hello:
    """Reads a HELLO's payload.

    Raises:
        ProtocolError: It is none, or accepts less than every peer has to.
    """
    data = bytes(payload)
    try:
        hello = Hello(*Decoder(data, _LIMITS).block(FIELDS, (), len(data)))
    except Misfit as misfit:
        raise ProtocolError(f"HELLO: {misfit}") from None
    if hello.largest < SMALL:
        raise ProtocolError(f"HELLO: frames of at most {hello.largest} bytes; every peer accepts {SMALL}")
    return hello


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
        check: A server's; given the client's HELLO, it gives None to let the client in, or the reason
            why not. It must not wait: nothing else happens on the connection meanwhile.
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
        check: collections.abc.Callable[[Hello], str | None] | None = None,
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
        self.quick = min(limits.message, SMALL // 2) if limits.name >= 255 else -1
        """Frames up to this length are within every limit, whatever they hold."""
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
