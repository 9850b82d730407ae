"""A framed connection in several hands: the loop's thread receives, each worker takes one call at a time.

It is shared since a call took long, or no thread was free. Everything is done under its lock, but for
handlers and for sending, and nothing that may wait is done by the loop's thread.
"""

from __future__ import annotations

import logging
import math
import socket
import typing
from time import monotonic

from rpcgen.runtime.contexts import Context
from rpcgen.runtime.dispatch import OUT_OF_TIME
from rpcgen.runtime.sync.server.connection import LATER_READ, entered
from rpcgen.runtime.sync.server.framed_sending import FramedSender, Running

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.dispatch import Dispatcher
    from rpcgen.runtime.sync.server.connection import Socket
    from rpcgen.runtime.wire.codec import Data
    from rpcgen.runtime.wire.events import CallReceived
    from rpcgen.runtime.wire.hello import Terms
    from rpcgen.runtime.wire.tailed import Message

_log = logging.getLogger("rpcgen")

CALLS = 1000
"""That run or wait on a shared connection; nothing is received beyond."""

KEPT = 256 * 1024
"""Bytes of calls that wait, after which nothing more is received."""


class SharedConnection(FramedSender):
    """The connection of a client that speaks frames, while several threads answer its calls."""

    __slots__ = (
        "_counted",
        "_is_in_turn",
        "_own",
        "_released",
        "claim",
        "due",
        "has_ticket",
        "interest",
        "is_shared",
    )

    def __init__(self, sock: Socket, peer: str, terms: Terms) -> None:
        super().__init__(sock, peer, terms)
        self.claim: list[int] = []
        """The id of the call that the owner is in. Who takes it out decides what becomes of the call."""
        self._own: Running | None = None
        """That call, if there is more to know about it."""
        self._is_in_turn = False
        """The owner is in a turn in C: the session does not know of the call."""
        self._released: int | None = None
        """The call that it was shared for: its last owner's."""
        self.is_shared = False
        self.has_ticket = False
        """It is in the queue for a worker, or about to be."""
        self.interest = 0
        """What the selector looks for while it is shared."""
        self.due = math.inf
        """The earliest deadline while it is shared, or an earlier time."""
        self._counted = 0

    # Of the loop

    def share(self, call_id: int | None) -> bool:
        """Lets others have it.

        Args:
            call_id: The call that its owner was in a moment ago; None: it has no owner yet.

        Returns:
            Whether it is shared now; no: its owner is in no call any more.
        """
        with self._lock:
            if call_id is not None:
                try:
                    call_id = self.claim.pop()
                except IndexError:
                    return False
                if self._is_in_turn:
                    self.session.took(call_id, is_answered=False)
                running, self._own = self._own or Running(call_id, self.context, True), None
                self._running[call_id] = running
                self._released = call_id
                if running.context is self.context:
                    known = self.context
                    self.context = Context(self.peer, identity=known.identity, certificate=known.certificate)
            self.is_shared = True
            self._measure_due()
        return True

    def unshare(self) -> bool:
        """Says whether it is quiet, so that one thread has it from now on."""
        with self._lock:
            is_quiet = not (self._running or self._waiting or self._unsent or self._is_busy)
            if not is_quiet or self.has_ticket or self.session.is_closed:
                return False
            self.is_shared, self._released = False, None
            return True

    def receive_some(self, room: int) -> bool:
        """Receives what has come; says whether anything has.

        Args:
            room: Calls that may be started or wait; others are refused.
        """
        session, data = self.session, b""
        try:
            space = session.space()
            if space is not None:
                count = self.sock.recv_into(space, 0, socket.MSG_DONTWAIT)
            else:
                data = self.sock.recv(LATER_READ, socket.MSG_DONTWAIT)
                count = len(data)
        except BlockingIOError:
            return False
        except OSError as error:
            _log.debug("lost the connection of %s: %s", self.peer, error)
            self.end()
            return True
        with self._lock:
            before, now = len(self._waiting), monotonic()
            if not count:
                events = session.receive_end()
            else:
                events = session.receive(data, now) if space is None else session.filled(count, now)
            self._take_events(events)
            self._refuse_beyond(before + room)
            self._measure_due()
        return True

    def limit(self, room: int) -> None:
        """Refuses the calls that came last, if more wait than there is room for."""
        with self._lock:
            self._refuse_beyond(room)

    def expire(self, now: float) -> None:
        """Answers the calls whose time is up, and tells their handlers."""
        with self._lock:
            for running in self._running.values():
                deadline = running.context.deadline
                if deadline is not None and deadline <= now and not running.context.cancelled:
                    running.context.cancelled = True
                    if running.wants_reply:
                        running.wants_reply = False
                        self._send(running.number, OUT_OF_TIME)
            for event in [event for event in self._waiting if event[3] is not None and event[3] <= now]:
                self._waiting.remove(event)
                self._kept -= len(event[4])
                self._expire(event)
            self._measure_due()

    def ticket(self) -> bool:
        """Says whether a worker is to be asked for: once, until it comes."""
        with self._lock:
            wanted = self.wants_worker
            self.has_ticket = self.has_ticket or wanted
            return wanted

    @property
    def wants_worker(self) -> bool:
        """Whether calls wait that can be started, and no worker was asked for."""
        return bool(self._waiting) and not (self.has_ticket or self.is_stuck or self.is_behind)

    def recount(self) -> int:
        """Gives how many more calls run or wait here than when this was last asked."""
        with self._lock:
            now = len(self._waiting) + len(self._running)
            more, self._counted = now - self._counted, now
            return more

    @property
    def takes_bytes(self) -> bool:
        """Whether more may be received: the client takes its replies, and not too much waits."""
        return (
            not self.is_stuck
            and not self.session.is_closed
            and self._kept < KEPT
            and len(self._waiting) + len(self._running) < CALLS
        )

    def _measure_due(self) -> None:
        deadlines = [event[3] for event in self._waiting if event[3] is not None]
        for running in self._running.values():
            if running.context.deadline is not None and not running.context.cancelled:
                deadlines.append(running.context.deadline)
        self.due = min(deadlines, default=math.inf)

    def _expire(self, event: CallReceived) -> None:
        if not event[6]:
            self._send(event[1], OUT_OF_TIME)

    # Of workers

    def serve_one(self, dispatcher: Dispatcher, more: collections.abc.Callable[[], None]) -> None:
        """Answers a call that waits.

        Args:
            dispatcher: Answers it.
            more: Called first if other calls wait: gets them a worker, too.
        """
        with self._lock:
            event = self._next_call()
            running = None
            if event is not None:
                running = self._running[event[1]] = Running(event[1], self._context_of(event), not event[6])
            self.has_ticket = bool(self._waiting) and event is not None
            has_more = self.has_ticket
        if has_more:
            more()
        if event is None or running is None:
            return
        reply: Message = b""
        try:
            reply, work = self._prepared(running, event[2], event[4], dispatcher)
            if work is not None:
                if reply:
                    with self._lock:
                        self._send(event[1], reply)
                    self._flush_unless_stuck()
                with entered(running.context):
                    reply = work()
        except BaseException:
            with self._lock:
                self._running.pop(event[1], None)
            raise
        self._finish(running.number, reply)

    def _next_call(self) -> CallReceived | None:
        """Takes a call that waits and has time left; None while the client does not take its replies, or not quickly."""
        while self._waiting and not (self.is_stuck or self.is_behind):
            event = self._waiting.popleft()
            self._kept -= len(event[4])
            if event[3] is None or event[3] > monotonic():
                return event
            self._expire(event)
        return None

    def _prepared(
        self, running: Running, name: str, block: Data, dispatcher: Dispatcher
    ) -> tuple[Message, collections.abc.Callable[[], Message] | None]:
        """Gives what to say ahead, and what calls the handler and gives the reply; None: there is no handler."""
        answer = dispatcher.answers.get(name)
        if answer is not None:
            known = answer
            return b"", lambda: known(block)
        receipt, work = dispatcher.rare(name, block)
        if work is None:
            return receipt, None
        wanted, running.wants_reply = running.wants_reply, False
        run = work

        def silent() -> bytes:
            run()
            return b""

        return receipt if wanted else b"", silent

    def _finish(self, call_id: int, reply: Data) -> None:
        """Takes the reply to a call, and sends it."""
        with self._lock:
            running = self._running.pop(call_id)
            if running.wants_reply:
                self._send(call_id, reply, running.context)
        self._flush_unless_stuck()

    def _flush_unless_stuck(self) -> None:
        # The selector tells the loop's thread when there is room again.
        if not self.is_stuck:
            self.flush()
