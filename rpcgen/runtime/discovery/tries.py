"""The tries of one call: what is to be done next, which failures lead to another, and the error that stands for all.

What decides gives steps; a shell, blocking or asyncio, does each and says what came of it.
"""

from __future__ import annotations

import typing

from rpcgen.runtime.errors import CallError, ConnectionLost, ContractMismatch, DeadlineExceeded, Unavailable
from rpcgen.runtime.records import Record

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.discovery.health import Endpoint
    from rpcgen.runtime.discovery.latch import Latch

    Failed: typing.TypeAlias = list[tuple[Endpoint, CallError]]
    """The tries of a call so far: server, and how it ended there."""


class Wait(Record):
    """Wait until the latch is open; answer whether it is."""

    latch: Latch
    seconds: float
    """At most."""


class Try(Record):
    """Call by this channel, to one server; answer what was returned, or throw what was raised."""

    channel: typing.Any
    timeout: float | None
    """Seconds."""


if typing.TYPE_CHECKING:
    Steps: typing.TypeAlias = collections.abc.Generator[Wait | Try, typing.Any, typing.Any]

TELLING = 0.01
"""Seconds; a deadline that is shorter tells nothing of the server that did not hold it."""

NOT_SENT = (Unavailable, ContractMismatch)
"""After these a call has certainly not run, and another server may take it."""

MOVING = (*NOT_SENT, ConnectionLost, DeadlineExceeded)
"""What may lead to another try. Servers are held to account for it, but for having another version."""


def may_move(error: CallError, is_idempotent: bool) -> bool:
    """Says whether a call that ended so may be sent again, as far as it itself is concerned."""
    if isinstance(error, ConnectionLost):
        return is_idempotent
    return isinstance(error, NOT_SENT)


def was_taken_off(server: Endpoint, error: CallError) -> bool:
    """Says whether a call met a server that left the list between being picked and being called.

    That is nobody's failure: the call begins anew, and it counts for neither tries nor budget.
    """
    return not server.is_listed and isinstance(error, Unavailable)


def told(failed: typing.Sequence[tuple[Endpoint | None, CallError]]) -> CallError:
    """Gives the error that stands for a call's tries: the last one, with what it needs to know of the others."""
    last = failed[-1][1]
    if isinstance(last, NOT_SENT):
        # "Certainly not started" must be true of the call, not of its last try alone.
        last = next((error for _, error in reversed(failed) if not isinstance(error, NOT_SENT)), last)
    if len(failed) > 1:
        tried = ", ".join(server.address for server, _ in failed if server is not None)
        last.problem += f" (tried {tried})"
        known: BaseException = last
        for _, error in reversed(failed):
            if error is last:
                continue
            last.add_note(f"tried as well: {error}")
            while known.__cause__ is not None:
                known = known.__cause__
            known.__context__, known = error, error
    return last
