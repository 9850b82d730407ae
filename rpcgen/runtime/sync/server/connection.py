"""A connection of a blocking server: whose it is, and what framed and plain ones have in common.

A thread that serves a connection receives with a short time limit (SO_RCVTIMEO): while calls follow
each other it stays, when it falls quiet, sends in trickles or does not read its replies it goes back to
the selector with all that is half done. States:

    WAITING   in the selector, of the loop's thread, until there is something to do
    READY     in the queue for a worker
    SERVED    of one thread
    SHARED    framed alone: the loop's thread receives, workers run its calls
    LEAVING   in the selector: the server's half has ended
    CLOSED

Moves are made under the loop's lock, by the loop alone.
"""

from __future__ import annotations

import contextlib
import enum
import logging
import socket
import time
import typing

from rpcgen.runtime.contexts import Context, current_call
from rpcgen.runtime.options import current_deadline

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.dispatch import Dispatcher
    from rpcgen.runtime.errors import FaultCode
    from rpcgen.runtime.sync.tls import TlsSocket
    from rpcgen.runtime.wire.limits import Limits

    Socket: typing.TypeAlias = socket.socket | TlsSocket

_log = logging.getLogger("rpcgen")

QUIET = 0.01
"""Seconds that a thread waits for a connection's next call before it turns to others."""

LATER_READ = 256 * 1024
TRICKLE = 4096
"""Bytes of one receive; less of a call that is not whole, and the thread does not wait for the rest."""


class State(enum.Enum):
    """Whose a connection is."""

    WAITING = enum.auto()
    READY = enum.auto()
    SERVED = enum.auto()
    SHARED = enum.auto()
    LEAVING = enum.auto()
    CLOSED = enum.auto()


class Next(enum.Enum):
    """What a connection needs when its thread leaves it."""

    BYTES = enum.auto()
    """From its client."""
    ROOM = enum.auto()
    """Its client must read before the rest of a reply can be sent."""
    THREAD = enum.auto()
    """It holds calls already; others were waiting for a thread, too."""
    KIND = enum.auto()
    """It has shown whether it is framed or plain."""
    SHARED = enum.auto()
    """Nothing of this thread: others have it since a call took long."""
    PART = enum.auto()
    """Its half here is to be ended, then the whole."""
    END = enum.auto()
    """It is to be closed."""


class Connection:
    """A client's connection.

    Args:
        sock: Accepted and blocking.
        peer: The client's address.
        limits: Of its messages.
    """

    __slots__ = ("began", "context", "limits", "peer", "since", "sock", "state")

    def __init__(self, sock: Socket, peer: str, limits: Limits) -> None:
        self.sock = sock
        self.peer = peer
        self.limits = limits
        self.state = State.SERVED
        self.since = time.monotonic()
        """When it began to wait."""
        self.began: float | None = None
        """When the message began that is half received or half sent."""
        self.context = Context(peer)
        """Of calls about which nothing more is to be known; of one at a time."""

    def serve(self, dispatcher: Dispatcher, waiting: collections.abc.Callable[[], int]) -> Next:
        """Answers calls while they follow each other.

        Args:
            dispatcher: Answers them.
            waiting: Says after each answer whether others wait for the thread.

        Returns:
            What the connection needs now.
        """
        raise NotImplementedError

    @property
    def is_sending(self) -> bool:
        """Whether a part of a reply is still to be sent."""
        return False

    @property
    def is_held(self) -> bool:
        """Whether bytes have come that the selector does not see."""
        return not isinstance(self.sock, socket.socket) and self.sock.pending() > 0

    def refuse(self, problem: str, code: FaultCode) -> None:
        """Tells the client that no call of it is answered, as far as that can be said at once."""
        raise NotImplementedError

    def overdue(self) -> str | None:
        """Gives why a waiting connection's time is up: empty if it was merely idle, None if it goes on."""
        now = time.monotonic()
        if self.began is not None:
            return self.late(now, "take a reply" if self.is_sending else "send a call")
        return "" if now - self.since > self.limits.idle_time else None

    def late(self, now: float, what: str) -> str | None:
        """Gives the problem if the message that is under way takes too long; None if it does not.

        Args:
            now: It begins now if it has not begun yet.
            what: The client takes too long for.
        """
        if self.began is None:
            self.began = now
        if now - self.began <= self.limits.receive_time:
            return None
        return f"it took over {self.limits.receive_time:g} s to {what}"

    def is_late(self, what: str) -> bool:
        """Says whether the message that is under way takes too long; logs it."""
        problem = self.late(time.monotonic(), what)
        if problem is not None:
            self.warn(problem)
        return problem is not None

    def warn(self, problem: str) -> None:
        """Says in the log why the connection is closed."""
        _log.warning("closed the connection of %s: %s", self.peer, problem)

    def peek(self) -> bytes | None:
        """Gives a first byte of what has come; ``b""`` at the end, None if nothing has come."""
        try:
            if not isinstance(self.sock, socket.socket):
                return self.sock.peek()
            return self.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def part(self) -> None:
        """Ends the server's half: nothing is answered any more.

        The client sees the end of the connection, where closing it would reset what it has not read.
        """
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def hear_out(self) -> bool | None:
        """Throws away what still comes after ``part``; None if nothing came, False at the end."""
        try:
            return self.sock.recv(LATER_READ, socket.MSG_DONTWAIT) != b""
        except BlockingIOError:
            return None
        except OSError:
            return False

    def break_off(self) -> None:
        """Makes the thread that serves it find it at its end."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)


def certificate_of(sock: Socket) -> collections.abc.Mapping[str, typing.Any] | None:
    """Gives the client's certificate, once TLS is agreed on; None where there is none."""
    return None if isinstance(sock, socket.socket) else sock.certificate()


@contextlib.contextmanager
def entered(context: Context) -> collections.abc.Iterator[None]:
    """Makes this what handlers see that are called inside."""
    tokens = current_call.set(context), current_deadline.set(context.deadline)
    try:
        yield
    finally:
        current_deadline.reset(tokens[1])
        current_call.reset(tokens[0])
