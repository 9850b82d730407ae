"""The tries of one call: which failures lead to another one, and the error that stands for all of them."""

from __future__ import annotations

import typing

from rpcgen.runtime.errors import CallError, ConnectionLost, DeadlineExceeded, Unavailable

if typing.TYPE_CHECKING:
    from rpcgen.runtime.discovery.health import Endpoint

    Failed: typing.TypeAlias = list[tuple[Endpoint, CallError]]
    """The tries of a call so far: server, and how it ended there."""

TELLING = 0.01
"""Seconds; a deadline that is shorter tells nothing of the server that did not hold it."""

MOVING = (Unavailable, ConnectionLost, DeadlineExceeded)
"""What a server is held to account for. After the first two a call may go on to another one."""


def may_move(error: CallError, is_idempotent: bool) -> bool:
    """Says whether a call that ended so may be sent again, as far as it itself is concerned."""
    if isinstance(error, ConnectionLost):
        return is_idempotent
    return isinstance(error, Unavailable)


def was_taken_off(server: Endpoint, error: CallError) -> bool:
    """Says whether a call met a server that left the list between being picked and being called.

    That is nobody's failure: the call begins anew, and it counts for neither tries nor budget.
    """
    return not server.is_listed and isinstance(error, Unavailable)


def told(failed: typing.Sequence[tuple[Endpoint | None, CallError]]) -> CallError:
    """Gives the error that stands for a call's tries: the last one, with what it needs to know of the others."""
    last = failed[-1][1]
    if isinstance(last, Unavailable):
        # "Certainly not started" must be true of the call, not of its last try alone.
        last = next((error for _, error in reversed(failed) if not isinstance(error, Unavailable)), last)
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
