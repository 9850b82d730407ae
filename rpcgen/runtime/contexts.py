"""What a handler can know of the call that it answers: ``rpc.context()``.

A server puts a ``Context`` into ``current_call`` around each handler, in the thread or task that runs
it, and the call's deadline into ``current_deadline``; nothing here knows which kind of server it is.
"""

from __future__ import annotations

import contextvars
import time
import types
import typing

if typing.TYPE_CHECKING:
    import collections.abc

_NOTHING: typing.Final[collections.abc.Mapping[str, bytes]] = types.MappingProxyType({})


class Context:
    """The call that a handler answers.

    Attributes:
        peer: The client's address, as ``host:port``.
        metadata: That came with the call, by name; empty on plain connections.
        deadline: On the clock of ``time.monotonic``; None: the client waits as long as it takes.
        cancelled: Whether nobody waits for the result any more: the client has cancelled the call or
            gone, or its time is up. A handler that takes long looks at it now and then; one that is a
            coroutine is cancelled, too.
        identity: Who the client is, as the server's ``authenticate`` has found; ``""`` without one.
        certificate: The client's, as ``ssl.SSLSocket.getpeercert`` gives it; None where the server
            asked for none.
    """

    __slots__ = ("cancelled", "certificate", "deadline", "identity", "metadata", "peer", "reply")

    def __init__(
        self,
        peer: str,
        metadata: collections.abc.Mapping[str, bytes] | None = None,
        deadline: float | None = None,
        identity: str = "",
        certificate: collections.abc.Mapping[str, typing.Any] | None = None,
    ) -> None:
        self.peer = peer
        self.metadata = _NOTHING if metadata is None else metadata
        self.deadline = deadline
        self.cancelled = False
        self.identity = identity
        self.certificate = certificate
        self.reply: dict[str, bytes] | None = None
        """The reply's metadata, for the server; None while there is none."""

    @property
    def reply_metadata(self) -> dict[str, bytes]:
        """What goes back with the reply, by name: handlers add to it. A plain connection cannot carry it."""
        if self.reply is None:
            self.reply = {}
        return self.reply

    def remaining(self) -> float | None:
        """Gives the seconds that are left, 0 at least; None where there is no deadline."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    def __repr__(self) -> str:
        left = self.remaining()
        return f"<call of {self.peer}{'' if left is None else f', {left:.3g} s left'}>"


current_call: contextvars.ContextVar[Context | None] = contextvars.ContextVar("rpc.context", default=None)


def context() -> Context:
    """Gives the call that the handler answers that asks.

    Raises:
        LookupError: No handler asks.
    """
    found = current_call.get()
    if found is None:
        raise LookupError("there is no call here: rpc.context() is for handlers, and what they call")
    return found
