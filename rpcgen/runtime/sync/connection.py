"""One connection of a server, and how long a thread stays with it.

A thread that serves a connection receives with a short time limit (SO_RCVTIMEO): while
calls follow each other it stays, when it falls quiet, sends in trickles or does not read
its replies it goes back to the selector with all that is half done. States:

    WAITING   in the selector, of the loop's thread, until there is something to do
    READY     in the queue for a worker
    SERVED    of one thread
    LEAVING   in the selector: the server's half has ended
    CLOSED

Moves are made under the loop's lock, by ``Loop`` alone.
"""

from __future__ import annotations

import contextlib
import enum
import logging
import socket
import time
import typing

from rpcgen.runtime.errors import FaultCode, ProtocolError
from rpcgen.runtime.sync.dial import set_timeout
from rpcgen.runtime.sync.turns import ROOM as _FIRST_READ, serve
from rpcgen.runtime.wire.plain import CallReader, encode_fault

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.dispatch import Dispatcher, Work
    from rpcgen.runtime.wire.codec import Data
    from rpcgen.runtime.wire.limits import Limits

_log = logging.getLogger("rpcgen")

QUIET = 0.01
"""Seconds that a thread waits for a connection's next call before it turns to others."""

_LATER_READ = 256 * 1024
_TRICKLE = 4096
"""Bytes of one receive; less of a call that is not whole, and the thread does not wait for the rest."""


class State(enum.Enum):
    """Whose a connection is."""

    WAITING = enum.auto()
    READY = enum.auto()
    SERVED = enum.auto()
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
    END = enum.auto()
    """It is to be closed."""


class Connection:
    """A client's connection.

    Args:
        sock: Accepted and blocking.
        peer: The client's address, for the log.
        limits: Of its messages.
    """

    __slots__ = ("_call", "_reader", "_unsent", "_work", "began", "limits", "peer", "since", "sock", "state")

    def __init__(self, sock: socket.socket, peer: str, limits: Limits) -> None:
        self.sock = sock
        self.peer = peer
        self.limits = limits
        self.state = State.SERVED
        self.since = time.monotonic()
        """When it began to wait."""
        self.began: float | None = None
        """When the message began that is half received or half sent."""
        self._reader = CallReader(limits)
        self._call: tuple[str, Data] | None = None
        """Received whole, not answered."""
        self._unsent: memoryview | None = None
        self._work: Work | None = None
        """The handler of a oneway call whose reply is half sent."""
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        set_timeout(sock, socket.SO_RCVTIMEO, QUIET)
        set_timeout(sock, socket.SO_SNDTIMEO, QUIET)

    def serve(self, dispatcher: Dispatcher, waiting: collections.abc.Callable[[], int]) -> Next:
        """Answers calls while they follow each other.

        Args:
            dispatcher: Answers them.
            waiting: Says after each answer whether others wait for the thread.

        Returns:
            What the connection needs now.
        """
        try:
            return self._serve(dispatcher, waiting)
        except ProtocolError as error:
            _log.warning("closed the connection of %s: %s", self.peer, error.problem)
            self._refuse(error.problem)
        except OSError as error:
            _log.debug("lost the connection of %s: %s", self.peer, error)
        return Next.END

    def _serve(self, dispatcher: Dispatcher, waiting: collections.abc.Callable[[], int]) -> Next:
        reader, answers = self._reader, dispatcher.answers
        receive, send, fd = self.sock.recv, self.sock.send, self.sock.fileno()
        longest_name, longest = self.limits.name, self.limits.message
        if self._unsent is not None:
            stuck = self._send_rest()
            if stuck is not None:
                return stuck
        size = _FIRST_READ
        call, self._call = self._call, None
        while True:
            while call is not None:
                answer = answers.get(call[0])
                if answer is not None:
                    reply, work = answer(call[1]), None
                else:
                    reply, work = dispatcher.rare(*call)
                try:
                    sent = send(reply)
                except BlockingIOError:
                    sent = 0
                stuck = self._sent(reply, sent, work)
                if stuck is not None:
                    return stuck
                call = reader.next_call() if reader.pending else None
                if waiting() or not dispatcher.serving:
                    self._call = call
                    return self._wait_for_bytes() if call is None else Next.THREAD
            data: bytes | tuple[bytes, int] | None
            if serve is not None and not reader.pending:
                data = serve(fd, answers, waiting, dispatcher, longest_name, longest)
            else:
                try:
                    data = receive(size)
                except BlockingIOError:
                    data = None
            if data is None:
                return self._wait_for_bytes()
            if isinstance(data, tuple):
                stuck = self._sent(*data, None)
                if stuck is not None:
                    return stuck
                if waiting() or not dispatcher.serving:
                    return self._wait_for_bytes()
                continue
            if not data:
                return Next.END
            call = reader.take(data)
            if call is not None:
                self.began = None
                size = _FIRST_READ
            elif self._is_late("send a call"):
                return Next.END
            elif len(data) < _TRICKLE:
                return Next.BYTES
            else:
                size = _LATER_READ

    def _wait_for_bytes(self) -> Next:
        if not self._reader.pending:
            self.began = None
        elif self._is_late("send a call"):
            return Next.END
        return Next.BYTES

    def _sent(self, reply: bytes, sent: int, work: Work | None) -> Next | None:
        """Does what is left to do for a reply of which so many bytes were sent; None when that is done."""
        if sent != len(reply):
            self._unsent, self._work = memoryview(reply)[sent:], work
            return self._send_rest()
        if work is not None:
            work()
        return None

    def _send_rest(self) -> Next | None:
        """Sends what is left of a reply and runs what waits for that; None when that is done."""
        while self._unsent:
            try:
                sent = self.sock.send(self._unsent)
            except BlockingIOError:
                sent = 0
            self._unsent = self._unsent[sent:]
            if self._unsent:
                if self._is_late("take a reply"):
                    return Next.END
                if sent < _TRICKLE:
                    return Next.ROOM
        self._unsent = None
        self.began = None
        work, self._work = self._work, None
        if work is not None:
            work()
        return None

    def _is_late(self, what: str) -> bool:
        now = time.monotonic()
        if self.began is None:
            self.began = now
        late = now - self.began > self.limits.receive_time
        if late:
            _log.warning(
                "closed the connection of %s: it took over %g s to %s",
                self.peer,
                self.limits.receive_time,
                what,
            )
        return late

    @property
    def is_sending(self) -> bool:
        """Whether a part of a reply is still to be sent."""
        return self._unsent is not None

    def is_overdue(self) -> bool:
        """Says whether a waiting connection has used up its time; logs it if it was in a message."""
        if self.began is not None:
            return self._is_late("take a reply" if self.is_sending else "send a call")
        return time.monotonic() - self.since > self.limits.idle_time

    def _refuse(self, problem: str, code: FaultCode = FaultCode.BAD_REQUEST) -> None:
        with contextlib.suppress(OSError):  # what cannot be told at once is left untold
            self.sock.send(encode_fault(code, problem), socket.MSG_DONTWAIT)

    def peek(self) -> bytes | None:
        """Gives a first byte of what has come; ``b""`` at the end, None if nothing has come."""
        try:
            return self.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def part(self) -> None:
        """Ends the server's half: nothing is answered any more. A call that has come is refused first.

        The client sees the end of the connection, where closing it would reset what it has not read.
        """
        if self.is_sending:
            return  # what is not whole must not look so
        if self.peek():
            self._refuse("the server is closing; the call has not run", FaultCode.UNAVAILABLE)
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def hear_out(self) -> bool:
        """Throws away what still comes after ``part``; says whether more may come."""
        try:
            return self.sock.recv(_LATER_READ, socket.MSG_DONTWAIT) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    def break_off(self) -> None:
        """Makes the thread that serves it find it at its end."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
