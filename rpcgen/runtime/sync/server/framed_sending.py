"""What a framed connection of a blocking server says, and takes note of, in whichever hands it is.

Whatever the session has to say is sent by one thread at a time, which takes along what others add
meanwhile: replies that are ready together go out together. What the client does not take in time stays.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import socket
import threading
import typing
from time import monotonic

from rpcgen.runtime.contexts import Context
from rpcgen.runtime.errors import EncodeError, FaultCode, ProtocolError
from rpcgen.runtime.sync.server.connection import TRICKLE, Connection, certificate_of
from rpcgen.runtime.sync.turns import MORE, ROOM
from rpcgen.runtime.wire.events import CALL, CANCEL, ENDED, HELLO
from rpcgen.runtime.wire.server import ServerSession
from rpcgen.runtime.wire.states import State as SessionState

if typing.TYPE_CHECKING:
    from rpcgen.runtime.sync.server.connection import Socket
    from rpcgen.runtime.wire.codec import Data
    from rpcgen.runtime.wire.events import CallReceived, Event
    from rpcgen.runtime.wire.hello import Terms
    from rpcgen.runtime.wire.tailed import Piece

_log = logging.getLogger("rpcgen")


MUCH = 256 * 1024
"""Bytes of replies after which they are sent before another call is answered."""

_LEFT = frozenset((SessionState.DRAINING, SessionState.PARTING, SessionState.CLOSED))
"""In which the client has been told that no more calls are answered."""


class Running:
    """A call whose handler runs, and about which there is more to know than its id.

    Args:
        number: Its id.
        context: For its handler.
        wants_reply: It is still to be answered.
    """

    __slots__ = ("context", "number", "wants_reply")

    def __init__(self, number: int, context: Context, wants_reply: bool) -> None:
        self.number = number
        self.context = context
        self.wants_reply = wants_reply


class FramedSender(Connection):
    """The connection of a client that speaks frames, but for its calls.

    Args:
        sock: Accepted and blocking.
        peer: The client's address.
        terms: Of the session.
    """

    __slots__ = (
        "_certificate",
        "_is_broken",
        "_is_busy",
        "_kept",
        "_lock",
        "_made",
        "_running",
        "_unsent",
        "_waiting",
        "session",
    )

    def __init__(self, sock: Socket, peer: str, terms: Terms) -> None:
        super().__init__(sock, peer, terms.limits)
        self.session = ServerSession(terms)
        self._certificate = certificate_of(sock)
        self._lock = threading.Lock()
        self._waiting: collections.deque[CallReceived] = collections.deque()
        self._kept = 0
        """Bytes of what waits."""
        self._running: dict[int, Running] = {}
        """By id, while the connection is shared."""
        self._made = 0
        """Bytes of replies since the last were sent."""
        self._unsent: list[Piece] = []
        """Taken from the session; the first has been sent in part, or could not be."""
        self._is_busy = False
        """A thread sends."""
        self._is_broken = False

    # What is sent

    @property
    def is_sending(self) -> bool:
        return bool(self._unsent)

    @property
    def is_stuck(self) -> bool:
        """Whether the client does not take what is to be sent."""
        return bool(self._unsent) and not self._is_busy

    @property
    def is_behind(self) -> bool:
        """Whether what is to be sent is so much that no more calls are to be started."""
        return self._behind >= MUCH

    @property
    def _behind(self) -> int:
        return self._made + sum(map(len, self._unsent))

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to say or do."""
        if self._is_broken:
            return True
        is_done = self.session.is_closed or self.session.is_finished
        return is_done and not self._unsent and not self._is_busy

    def flush(self, flags: int = 0) -> None:
        """Sends what there is, unless another thread is at it; what the client does not take stays.

        Args:
            flags: MSG_DONTWAIT, or none.
        """
        with self._lock:
            if self._is_busy or self._is_broken:
                return
            self._is_busy = True
        sent = 0
        while (piece := self._next_piece(sent)) is not None:
            try:
                sent = self.sock.send(piece, flags | MORE if len(self._unsent) > 1 else flags)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                _log.debug("lost the connection of %s: %s", self.peer, error)
                self.end()
                return
            if sent < min(len(piece), TRICKLE):
                with self._lock:
                    self._advance(sent)
                    self._is_busy = False
                return

    def _next_piece(self, sent: int) -> Piece | None:
        """Gives what is to be sent after so many bytes of the last piece; None: nothing."""
        with self._lock:
            self._advance(sent)
            if not self._unsent:
                self._made = 0
                self._unsent = self.session.data_to_send() or []  # an empty one is the session's own
            if self._unsent:
                return self._unsent[0]
            self._is_busy = False
            return None

    def _advance(self, sent: int) -> None:
        if not self._unsent:
            return
        piece = self._unsent[0]
        if sent == len(piece):
            del self._unsent[0]
            self.began = None
            return
        self._unsent[0] = memoryview(piece)[sent:]
        if self.began is None:
            self.began = monotonic()

    def _send(self, call_id: int, reply: Data, context: Context | None = None) -> None:
        """Gives the session the reply to a call, with the metadata of its context."""
        if self.is_stuck and self._behind > self.limits.unsent:
            self.warn(f"it does not take its replies, over {self.limits.unsent} bytes")
            self._forget()
            return
        self._made += len(reply)
        metadata = None if context is None else context.reply
        if metadata is not None:
            assert context is not None
            context.reply = None  # it may be that of the next call
            try:
                self.session.send_reply(call_id, reply, metadata or None)
                return
            except EncodeError as error:
                _log.error("the reply to a call of %s loses its metadata: %s", self.peer, error)
        self.session.send_reply(call_id, reply)

    # What events say

    def _take_events(self, events: list[Event]) -> None:
        for event in events:
            if event[0] == CALL:
                self._waiting.append(event)
                self._kept += len(event[4])
            elif event[0] == CANCEL:
                self._cancel(event[1])
            elif event[0] == HELLO:
                self.context = Context(
                    self.peer, identity=self.session.identity, certificate=self._certificate
                )
            elif event[0] == ENDED:
                error = event[1]
                if isinstance(error, ProtocolError):
                    self.warn(error.problem)
                elif error is not None and not self._is_broken:
                    _log.debug("lost the connection of %s: %s", self.peer, error.problem)
                # Who wants no reply may go at once: such calls are run to their end.
                for waiting in [waiting for waiting in self._waiting if not waiting[6]]:
                    self._waiting.remove(waiting)
                    self._kept -= len(waiting[4])
                for running in self._running.values():
                    running.context.cancelled = running.context.cancelled or running.wants_reply

    def _cancel(self, call_id: int) -> None:
        running = self._running.get(call_id)
        if running is not None:
            running.context.cancelled = True
            return
        for event in self._waiting:
            if event[1] == call_id:
                self._waiting.remove(event)
                self._kept -= len(event[4])
                problem = "the call was cancelled before it was started"
                self.session.send_fault(call_id, FaultCode.CANCELLED, problem)
                return

    def _context_of(self, event: CallReceived) -> Context:
        known = self.context
        return Context(self.peer, event[5], event[3], known.identity, known.certificate)

    def _refuse_beyond(self, room: int) -> None:
        """Refuses the calls that came last, if more wait than there is room for."""
        while len(self._waiting) > room:
            event = self._waiting.pop()
            self._kept -= len(event[4])
            if event[6]:
                _log.warning("a call of %s from %s was not run: the server is busy", event[2], self.peer)
            else:
                problem = "the server is busy; the call was not started"
                self.session.send_fault(event[1], FaultCode.UNAVAILABLE, problem)

    # The end; all of this is the loop's, while no thread owns the connection

    @property
    def has_left(self) -> bool:
        """Whether the client has been told that no more calls are answered."""
        return self.session.state in _LEFT

    def leave(self) -> None:
        """Takes leave of the client: calls that have come are answered, others are not."""
        with self._lock:
            if not self.has_left:
                self._take_events(self.session.goaway("the server is closing"))
        self.flush(socket.MSG_DONTWAIT)

    def part(self) -> None:
        """See ``Connection``; the client is told which calls are not answered."""
        if not self.session.is_closed:
            self.leave()
        if not self._unsent:  # what is not whole must not look so
            super().part()

    def refuse(self, problem: str, code: FaultCode) -> None:
        with self._lock:
            if self.session.state is SessionState.PREFACE:
                # Nothing can be said to a client that has not said which version it speaks.
                with contextlib.suppress(OSError):
                    data = self.sock.recv(ROOM, socket.MSG_DONTWAIT)
                    self._take_events(self.session.receive(data, monotonic()))
                    self._waiting.clear()
            if code is FaultCode.UNAVAILABLE:
                self._take_events(self.session.goaway(problem, last=0))
            else:
                self._take_events(self.session.refuse(code, problem))
        self.flush(socket.MSG_DONTWAIT)

    def give_up(self, problem: str) -> None:
        """Ends the session of a client that takes too long."""
        if self._unsent:
            self.end()
        else:
            self.refuse(problem, FaultCode.BAD_REQUEST)

    def end(self) -> None:
        """Ends the session without a word: the connection is lost."""
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        """Has nothing more to say, nor to answer. Under the lock, while the connection is shared."""
        self._is_broken, self._is_busy = True, False
        self._unsent = []
        self._take_events(self.session.end())

    def overdue(self) -> str | None:
        if not self._unsent:
            self.began = self.session.incomplete_since
            if self.began is None and self.session.peer is None:  # HELLO is to come
                late = monotonic() - self.since > self.limits.receive_time
                return f"it took over {self.limits.receive_time:g} s to say HELLO" if late else None
        if self._running and self.began is None:
            return None
        return super().overdue()
