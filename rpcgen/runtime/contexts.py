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
    """

    __slots__ = ("cancelled", "deadline", "metadata", "peer")

    def __init__(
        self,
        peer: str,
        metadata: collections.abc.Mapping[str, bytes] | None = None,
        deadline: float | None = None,
    ) -> None:
        self.peer = peer
        self.metadata = _NOTHING if metadata is None else metadata
        self.deadline = deadline
        self.cancelled = False

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
        LookupError: No handler asks, or its server does not say: blocking servers do not, so far.
    """
    found = current_call.get()
    if found is None:
        raise LookupError("there is no call here: rpc.context() is for handlers, and what they call")
    return found
