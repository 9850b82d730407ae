"""What becomes of a client's call that got no reply: the errors that say it, made anew for each call."""

from __future__ import annotations

import typing

from rpcgen.runtime.errors import (
    CallError,
    Cancelled,
    ConnectionLost,
    DeadlineExceeded,
    FaultCode,
    ProtocolError,
    RemoteFault,
    Unavailable,
)

MAYBE: typing.Final = "the call may have run"

_TOLD: dict[FaultCode, type[CallError]] = {
    FaultCode.UNAVAILABLE: Unavailable,
    FaultCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    FaultCode.CANCELLED: Cancelled,
}
"""Code of a server's fault → the error that says the same."""


def told(fault: CallError) -> CallError:
    """Gives what a fault means that came as the answer to a call: itself, where nothing says it better."""
    if isinstance(fault, RemoteFault) and fault.code in _TOLD:
        return _TOLD[fault.code](fault.message)
    return fault


def lost(error: CallError | None) -> CallError:
    """Gives what becomes of a call that was sent.

    Args:
        error: Why the connection has ended, as the session tells it.
    """
    if isinstance(error, ProtocolError | Unavailable):
        return type(error)(error.problem)
    if isinstance(error, RemoteFault):
        return ConnectionLost(f"the server closed the connection: {error.message}; {MAYBE}")
    problem = "the server closed the connection" if error is None else error.problem
    return ConnectionLost(f"{problem}; {MAYBE}")


def again(error: CallError) -> CallError:
    """Gives an error anew: each caller that it concerns raises one of its own."""
    if isinstance(error, RemoteFault):
        return RemoteFault(error.code, error.message, error.details)
    return type(error)(error.problem)


def unasked(error: CallError) -> Unavailable:
    """Gives what becomes of a call whose server was lost while it was asked for its version."""
    return Unavailable(f"the server did not say which version it has: {error.problem}; the call was not sent")


def not_started(error: CallError | None) -> CallError:
    """Gives what becomes of a call that was certainly not started, for that reason."""
    if isinstance(error, RemoteFault):
        if error.code is FaultCode.UNAUTHENTICATED:
            return RemoteFault(error.code, error.message, error.details)
        return Unavailable(error.message)
    problem = "the server closed the connection" if error is None else error.problem
    return Unavailable(f"{problem}; the call was not sent")


def left_behind(reason: str) -> Unavailable:
    """Gives what becomes of a call that a GOAWAY has left out."""
    return Unavailable(f"the server is leaving: {reason or 'no reason told'}")
