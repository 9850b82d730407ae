"""Every error that a call can end in.

    RpcError
    ├── EncodeError          a value does not fit its type; nothing was sent (you did wrong)
    ├── ProtocolError        the peer sent bytes that are not the protocol (the peer did wrong)
    │   └── DecodeError      a message could be framed but its content is not what its type says
    ├── ConnectionLost       the connection broke; whether the call ran is unknown
    ├── DeadlineExceeded     the time of the call is up
    ├── Cancelled            the call was cancelled
    ├── ContractMismatch     the server's version of the method is another one; nothing was sent
    ├── Unavailable          the call was certainly not started; safe to send again
    │   └── NoServers        a registry knows no server to call
    ├── RemoteFault          the server answered with a fault instead of a reply
    └── RemoteException      the base of what an IDL declares after ``=>``

All are picklable, and say the method, the peer and the cause where they are known: the
declared ones in a note (PEP 678), because their attributes are the IDL's; the others in
``method`` and ``peer``, and ``__cause__``.
"""

from __future__ import annotations

import enum
import typing

if typing.TYPE_CHECKING:
    from rpcgen.runtime.schema import Field, Reserved


class RpcError(Exception):
    """The base of every error here; catching it catches whatever a call can raise."""


class CallError(RpcError):
    """What every error but the declared ones has.

    Args:
        problem: What went wrong, with what was expected, what came and the fix.
        method: The method's wire name, if one was being called.
        peer: The other end's address, as ``tcp://host:port`` or ``unix:///path``.
    """

    def __init__(self, problem: str = "", *, method: str | None = None, peer: str | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.method = method
        self.peer = peer

    def __str__(self) -> str:
        where = " at ".join(part for part in (self.method, self.peer) if part)
        return f"{where}: {self.problem}" if where else self.problem


class EncodeError(CallError):
    """A value does not fit the type that the IDL gives it. Nothing was sent."""


class ProtocolError(CallError):
    """The peer sent bytes that are not this protocol. The connection is closed."""


class DecodeError(ProtocolError):
    """A message's content is not what its type says. The connection may go on."""


class ConnectionLost(CallError):
    """The connection broke before the reply had come. The call may have run."""


class DeadlineExceeded(CallError):
    """The call's time is up. The call may have run, or be running still."""


class Cancelled(CallError):
    """The call was cancelled before its reply had come."""


class ContractMismatch(CallError):
    """The server's version of the method would misunderstand the call, or the client its reply. Nothing was sent.

    Args:
        argument: That is not the same at both ends; ``result``, or ``=>`` and an exception.
        ours, theirs: The client's signature of the method, and the server's.
    """

    def __init__(
        self,
        problem: str = "",
        *,
        method: str | None = None,
        peer: str | None = None,
        argument: str = "",
        ours: str = "",
        theirs: str = "",
    ) -> None:
        super().__init__(problem, method=method, peer=peer)
        self.argument = argument
        self.ours = ours
        self.theirs = theirs


class Unavailable(CallError):
    """The call was certainly not started: it is safe to send it again, here or elsewhere."""


class NoServers(Unavailable):
    """The registry knows no server for the service."""


class FaultCode(enum.IntEnum):
    """Why a server refused or failed a call, beside what the IDL declares."""

    UNKNOWN_METHOD = 1
    BAD_REQUEST = 2
    DEADLINE_EXCEEDED = 3
    CANCELLED = 4
    UNAVAILABLE = 5
    RESOURCE_EXHAUSTED = 6
    UNAUTHENTICATED = 7
    PERMISSION_DENIED = 8
    INTERNAL = 9


class RemoteFault(CallError):
    """The server answered with a fault.

    Args:
        code: Why; ``FaultCode.INTERNAL`` where the peer gave a code that is not known here.
        message: The server's own words.
        details: More about it, by name; empty on plain connections.
    """

    def __init__(
        self,
        code: FaultCode,
        message: str = "",
        details: typing.Mapping[str, str] | None = None,
        *,
        method: str | None = None,
        peer: str | None = None,
    ) -> None:
        super().__init__(f"{code.name}: {message}", method=method, peer=peer)
        self.args = (code, message, dict(details or {}))
        self.code = code
        self.message = message
        self.details: dict[str, str] = dict(details or {})


class RemoteException(RpcError):
    """The base of the exceptions that an IDL declares.

    One without a body carries a message; one with a body carries the fields that
    ``rpc.fields`` gives its class, and has an ``__init__`` of its own that sets them. Compares and
    hashes by identity, as any exception.

    Args:
        message: None: the class's ``default_message``.
    """

    default_message: typing.ClassVar[str] = ""
    http_status: typing.ClassVar[int] = 409
    """Of the response, where it is raised over HTTP: that of the IDL's ``@status``."""
    __rpc_fields__: typing.ClassVar[tuple[Field, ...] | None] = None
    __rpc_reserved__: typing.ClassVar[tuple[Reserved, ...]] = ()
    message: str

    def __init__(self, message: str | None = None) -> None:
        if message is None:
            message = self.default_message
        self.args = (message,)
        self.message = message

    def _set_fields(self, *values: typing.Any) -> None:
        """Does for one with a body what ``__init__`` does for others; ``rpc.DEFAULT`` is a field's default."""
        fields = self.__rpc_fields__ or ()
        self.args = tuple(field.fill(value) for field, value in zip(fields, values, strict=True))
        for field, value in zip(fields, self.args, strict=True):
            setattr(self, field.attr, value)

    def __str__(self) -> str:
        fields = self.__rpc_fields__
        if fields is None:
            return self.message
        return ", ".join(f"{field.name}={getattr(self, field.attr)!r}" for field in fields)

    def __repr__(self) -> str:
        fields = self.__rpc_fields__
        inner = repr(self.message) if fields is None else str(self)
        return f"{type(self).__name__}({inner})"
