"""The turns of a connection, one send and one receive: in C where that is built.

The codec's choice (RPCGEN_CODEC) holds for this, too.
"""

from __future__ import annotations

import errno
import os
import socket
import typing

from rpcgen.runtime.wire.choice import choice
from rpcgen.runtime.wire.frames import HEAD, LAST_ID, REPLY, milliseconds_left, pack_head, pack_u32

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.contexts import Context
    from rpcgen.runtime.contracts import Contract
    from rpcgen.runtime.dispatch import Answer, Dispatcher
    from rpcgen.runtime.sync._turns import Calls as Calls
    from rpcgen.runtime.wire.tailed import Message

    Function: typing.TypeAlias = collections.abc.Callable[..., typing.Any]
    Route: typing.TypeAlias = tuple[Function, Function, float | None, str, int]
    """Of a method's calls: what encodes them and decodes their replies, their timeout, what is noted on exceptions, and
    where a plain reply has the length of the bytes that it returns (0: it returns none)."""

    Exchange: typing.TypeAlias = collections.abc.Callable[
        [int, Message, float, int, int], Message | tuple[int, int]
    ]
    Call: typing.TypeAlias = collections.abc.Callable[
        [int, Message, int, float, int], Message | tuple[int, int, bytes]
    ]
    Serve: typing.TypeAlias = collections.abc.Callable[
        [int, dict[str, Answer], collections.abc.Callable[[], int], Dispatcher, Context, int, int],
        bytes | tuple[Message, int] | None,
    ]
    ServeFrames: typing.TypeAlias = collections.abc.Callable[
        [
            int,
            dict[str, Answer],
            collections.abc.Callable[[], int],
            Dispatcher,
            Context,
            list[int],
            collections.abc.Callable[[int, float], Context | None],
            collections.abc.Callable[[], None],
            int,
            int,
            int,
        ],
        tuple[int, Message | None, int],
    ]

ROOM = 16 * 1024
"""Bytes of one receive; what is longer takes further receives, into a buffer of its own size."""

MORE = getattr(socket, "MSG_MORE", 0)
"""Of what is sent, as a flag: the rest of the message follows at once, so that one packet may have both."""

WOULD_BLOCK = (errno.EAGAIN, errno.EWOULDBLOCK)


def _exchange(
    fd: int, message: Message, seconds: float, tail: int, longest: int
) -> Message | tuple[int, int]:
    """Sends a message and receives once.

    Args:
        fd: The connection's.
        message: Here at most ``LONGEST_CALL`` bytes.
        seconds: That are left; 0: no deadline.
        tail: Where a reply that returns bytes has their length; 0: it returns none.
        longest: Bytes of the longest reply that is received whole, if it ends with long bytes; in C.

    Returns:
        What came, ``b""`` at the connection's end; or how many bytes were sent, and the errno
        of what failed then: 0 if only a part was sent.
    """
    sent = 0
    try:
        sent = os.write(fd, message)
        if sent != len(message):
            return sent, 0
        return os.read(fd, ROOM)
    except OSError as error:
        return sent, error.errno or errno.EIO


def _call(
    fd: int, frame: Message, call_id: int, seconds: float, longest: int
) -> Message | tuple[int, int, bytes]:
    """Sends a CALL and receives its reply; here that is one receive.

    Args:
        fd: The connection's.
        frame: Without its id and time; at most ``LONGEST_CALL`` bytes.
        call_id: Its id.
        seconds: That are left; 0: no deadline.
        longest: Bytes of the longest reply that is taken.

    Returns:
        The reply, where exactly its frame was received. Else the bytes sent, the errno of what failed (0: only
        a part was sent, or the receive brought something else) and the bytes received.
    """
    if call_id > LAST_ID:
        return 0, errno.EOVERFLOW, b""
    time = 11 + frame[10]
    left = milliseconds_left(seconds or None)
    message = b"".join((frame[:6], pack_u32(call_id), frame[10:time], pack_u32(left), frame[time + 4 :]))
    sent = 0
    try:
        sent = os.write(fd, message)
        if sent != len(message):
            return sent, 0, b""
        data = os.read(fd, ROOM)
    except OSError as error:
        return sent, error.errno or errno.EIO, b""
    if len(data) > HEAD and data[:HEAD] == pack_head(len(data) - 4, REPLY << 8, call_id) and data[HEAD]:
        return data[HEAD:]
    return sent, 0, data


LONGEST_CALL: int = 4096
"""Bytes of a message that ``call`` and ``exchange`` send. So many find room in an idle socket's buffer, whose least size is 4.6 KiB."""


class Line:
    """What a turn needs of a connection."""

    __slots__ = ("_fd", "_last", "_longest", "_receive_wait", "_usual", "contract", "fresh", "kind", "used")

    def __init__(self) -> None:
        self._fd = -1
        """Its descriptor; below 0: this end has closed it."""
        self.kind = 0
        """Of the last reply."""
        self.fresh = False
        """No call has been answered on it."""
        self.used = 0.0
        """When its last call began."""
        self._receive_wait = 0.0
        """Seconds that a receive waits; 0: for ever."""
        self._last = 0
        """The last call's id."""
        self._usual = -1
        """Bytes up to which a message is sent at once."""
        self._longest = 0
        """Bytes of the longest reply."""
        self.contract: Contract | None = None
        """The server's version, where it is not the client's own: calls are to be compared with it."""


exchange: Exchange = _exchange
call: Call = _call
serve: Serve | None = None
"""``serve(fd, answers, waiting, dispatcher, context, name, message)`` receives and answers usual calls while they
follow each other. It gives what was received if that is anything else; None if nothing came in time; a reply and
the number of its bytes that were sent, if those are not all, or others wait, or there is metadata for it."""

serve_frames: ServeFrames | None = None
"""``serve_frames(fd, answers, waiting, dispatcher, context, claim, enter, leave, last, longest, shortest)`` does so for
framed messages. What ``last``, ``longest`` and ``shortest`` are, ``ServerSession.usual`` says; ``claim`` holds the id of
the call whose handler runs; ``enter`` and ``leave`` are called around the handler of a call that has a deadline. It
gives the last call's id, then what was received if that is no usual call, and RECEIVED; None and RECEIVED if nothing
came in time; a reply (without its frame) that is not usual, or whose call was taken out of ``claim``, and UNANSWERED
(None: its time was up); or a frame and the number of its bytes that were sent, if those are not all, or others wait."""

calls: type[Calls] | None = None
"""Of a channel: a call of one makes the call of a method, its usual course in C; what is not usual is left to the
channel's ``_call``, with what has been done until then. ``Channel`` says what its arguments are."""

RECEIVED: typing.Final = -1
UNANSWERED: typing.Final = -2

if choice().native:
    try:
        from rpcgen.runtime.sync import _turns
    except ImportError:
        pass  # only one of the two was built
    else:
        exchange, call, LONGEST_CALL = _turns.exchange, _turns.call, LAST_ID
        serve, serve_frames = _turns.serve, _turns.serve_frames
        calls = _turns.Calls
        if not typing.TYPE_CHECKING:
            Line = _turns.Line
