"""Plain messages: calls and replies as bytes.

Signatures first; what they do follows.
"""

from __future__ import annotations

import collections.abc
import typing

from rpcgen.runtime.wire.limits import Limits

if typing.TYPE_CHECKING:
    from rpcgen.runtime.errors import FaultCode, RemoteException
    from rpcgen.runtime.schema import Field, Reserved, Type

DEFAULT_LIMITS = Limits()

UNDECIDED: typing.Any = object()
"""What ``quick_reply`` gives where the data is not exactly one reply: scan it."""


class MethodCodec:
    """Everything that one method's messages need; compiled at first use, made once a protocol class."""

    def __init__(
        self,
        name: str,
        params: tuple[Field, ...],
        reserved: tuple[Reserved, ...],
        returns: Type,
        raises: tuple[type[RemoteException], ...],
        oneway: bool = False,
    ) -> None:
        self.name = name

    def encode_call(self, args: collections.abc.Sequence[object], limits: Limits = DEFAULT_LIMITS) -> bytes:
        """Gives the whole call; args in the order of the parameters, schema.DEFAULT = leave out. EncodeError."""
        raise NotImplementedError

    def decode_args(self, payload: bytes, limits: Limits = DEFAULT_LIMITS) -> list[typing.Any]:
        """Gives the arguments in the order of the parameters, defaults filled in. DecodeError."""
        raise NotImplementedError

    def encode_reply(self, value: object, limits: Limits = DEFAULT_LIMITS) -> bytes:
        """Gives the whole reply that returns value. EncodeError."""
        raise NotImplementedError

    def encode_raised(self, exc: RemoteException, limits: Limits = DEFAULT_LIMITS) -> bytes | None:
        """Gives the whole reply that raises exc; None if it is not declared. EncodeError."""
        raise NotImplementedError

    def quick_reply(self, data: bytes, limits: Limits = DEFAULT_LIMITS) -> typing.Any:
        """Decodes data if it is exactly one whole reply, else gives UNDECIDED: then use reply_scan."""
        raise NotImplementedError

    def reply_scan(self, limits: Limits = DEFAULT_LIMITS) -> ReplyScan:
        """Gives a new scan, which finds where a reply ends."""
        raise NotImplementedError

    def decode_reply(self, data: bytes, limits: Limits = DEFAULT_LIMITS) -> typing.Any:
        """Gives the value, or the RemoteException or RemoteFault (returned, not raised). DecodeError."""
        raise NotImplementedError


class ReplyScan:
    """Finds where a reply ends, from its bytes so far; never reads a byte twice.

    Attributes:
        end: Where the reply ends, once ``advance`` has said that it is whole.
        needs: Bytes that the reply has at least, while it is not.
    """

    end: int
    needs: int

    def advance(self, data: bytes | bytearray | memoryview) -> bool:
        """Says whether the reply is whole. data: all of its bytes so far, from its first. ProtocolError."""
        raise NotImplementedError


def encode_fault(code: FaultCode, message: str) -> bytes:
    """Gives the whole reply that says a fault."""
    raise NotImplementedError


class CallReader:
    """The server's end: bytes in, calls out."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        raise NotImplementedError

    @property
    def pending(self) -> int:
        """Bytes that have come of a call which is not whole."""
        raise NotImplementedError

    def feed(self, data: bytes) -> None:
        """Takes what was received."""
        raise NotImplementedError

    def next_call(self) -> tuple[str, bytes] | None:
        """Gives the next whole call: its name and argument block; None: more bytes are needed. ProtocolError."""
        raise NotImplementedError
