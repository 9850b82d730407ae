"""What a session tells its shell: plain tuples, because one is made for each call.

The first item says which event it is: the kind of the frame that caused it, or ENDED. Compare
it with ``==`` and type checkers know the rest.
"""

from __future__ import annotations

import typing

from rpcgen.runtime.wire.frames import CALL, CANCEL, FAULT, GOAWAY, HELLO, PONG, REPLY

if typing.TYPE_CHECKING:
    from rpcgen.runtime.errors import CallError
    from rpcgen.runtime.wire.frames import Buffer
    from rpcgen.runtime.wire.hello import Hello

ENDED: typing.Final = -1

__all__ = ("CALL", "CANCEL", "ENDED", "FAULT", "GOAWAY", "HELLO", "PONG", "REPLY", "Event")

HelloReceived: typing.TypeAlias = "tuple[typing.Literal[0], Hello]"
"""(HELLO, what the peer says of itself). The first event, once; a server has judged it."""

CallReceived: typing.TypeAlias = (
    "tuple[typing.Literal[1], int, str, float | None, Buffer, dict[str, bytes] | None, bool]"
)
"""(CALL, call id, method, deadline, arguments' block, metadata, no reply wanted).

The deadline is on the clock of ``receive``'s ``now``, counted from the frame's first byte; None: there is
none. Metadata is None where the call has none. Where a reply is wanted, answer exactly once.
"""

ReplyReceived: typing.TypeAlias = "tuple[typing.Literal[2], typing.Any, Buffer, dict[str, bytes] | None]"
"""(REPLY, caller, a plain reply of kind 1 or above, metadata). The caller is what ``send_call`` was given."""

FaultReceived: typing.TypeAlias = "tuple[typing.Literal[3], typing.Any, CallError, dict[str, bytes] | None]"
"""(FAULT, caller, error, metadata): the peer's ``RemoteFault``; or an ``EncodeError``: the call was too large
for the server, as its HELLO has told since, and was not sent."""

CancelReceived: typing.TypeAlias = "tuple[typing.Literal[4], int]"
"""(CANCEL, call id) of a call that runs: nobody waits for it. It is to be answered all the same."""

PongReceived: typing.TypeAlias = "tuple[typing.Literal[6], bytes]"
"""(PONG, the 8 bytes that ``ping`` gave)."""

GoawayReceived: typing.TypeAlias = "tuple[typing.Literal[7], int, str, list[typing.Any]]"
"""(GOAWAY, last call id that will be answered, reason, callers whose calls were not started). A client sends no
more calls here: those go elsewhere, at once. The others are answered still."""

Ended: typing.TypeAlias = "tuple[typing.Literal[-1], CallError | None, list[typing.Any], list[typing.Any]]"
"""(ENDED, error, calls, calls not started). The last event; send what ``data_to_send`` gives and close.

The error is the peer's ``ProtocolError``, the ``RemoteFault`` that it ended the connection by, a
``ConnectionLost``, or None: it has ended as it may. A client's calls are callers: the first may have run, the
others have certainly not. A server's are the ids of those that run still; no answer is taken any more.
"""

Event: typing.TypeAlias = (
    "HelloReceived | CallReceived | ReplyReceived | FaultReceived | CancelReceived | PongReceived"
    " | GoawayReceived | Ended"
)
