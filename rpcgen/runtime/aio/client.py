"""One framed connection of a channel: calls in, each with a future; outcomes set as they come.

What the session decides is done here: bytes are moved, futures are told. Frames of one turn of the loop go
out in one write, except that a call that is alone is written at once. An outcome is a reply's bytes or an
error: futures never fail, because an exception that its own frame can reach lives until the collector comes.
"""

from __future__ import annotations

import asyncio
import typing
from time import monotonic

from rpcgen.runtime.aio.filling import Filling
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
from rpcgen.runtime.wire.client import ClientSession
from rpcgen.runtime.wire.events import ENDED, FAULT, GOAWAY, HELLO, REPLY

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.wire.events import Ended, Event
    from rpcgen.runtime.wire.frames import Buffer
    from rpcgen.runtime.wire.hello import Terms

    Outcome: typing.TypeAlias = "Buffer | CallError"

HANDSHAKE = 3.0
"""Seconds in which a server must have said HELLO."""

IDLE_TIME = 300.0
"""Seconds without a call after which a connection is let go; servers keep it for twice as long."""

_MUCH = 64 * 1024
"""Bytes of calls that are sent at once, whatever else the turn of the loop brings."""

_MAYBE = "the call may have run"


class ClientConnection(asyncio.Protocol):
    """A connection, from when it is made until it is closed.

    Args:
        terms: Of the channel.
        leave: Told when no more calls can be sent here: on GOAWAY, and at the end. Once or twice.
    """

    transport: asyncio.Transport

    def __init__(self, terms: Terms, leave: collections.abc.Callable[[ClientConnection], object]) -> None:
        self._loop = asyncio.get_running_loop()
        self.session = ClientSession(terms)
        self._leave = leave
        self._filling: Filling | None = None
        self._sent = self._seen = 0
        """The last call's id, and what that was at the last look at whether calls come still."""
        self._used = monotonic()
        self._alone = True
        """The last that came was one reply: calls are made one after the other."""
        self._flushing = False
        self._queued = 0
        """Bytes of calls since the last flush."""
        self.is_stuck = False
        """What was sent before must be taken first: see ``writable``."""
        self._writable: asyncio.Future[None] | None = None
        """There while that is so."""
        self._timer: asyncio.TimerHandle | None = None
        self._break_off: str | None = None
        """Why this end has closed it, while calls ran."""
        self.closed = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = typing.cast("asyncio.Transport", transport)
        self._timer = self._loop.call_later(HANDSHAKE, self._no_hello)

    # Calls

    def send(self, name: str, block: Buffer, milliseconds: int) -> tuple[int, asyncio.Future[Outcome]]:
        """Queues a call; gives its id, and the future of its outcome.

        Raises:
            Unavailable, EncodeError: It was not sent.
        """
        future: asyncio.Future[Outcome] = self._loop.create_future()
        session = self.session
        is_sole = self._alone and not session.running and not self._flushing
        call_id = session.send_call(name, block, milliseconds, caller=future)
        self._sent = call_id
        self._queued += len(block)
        if is_sole or self._queued >= _MUCH:
            # Waiting for others to join costs a turn of the loop; nobody else seems to be there. And what
            # the transport has not got yet does not count for it: only it knows when to wait.
            self._flush()
        elif not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)
        return call_id, future

    def cancel(self, call_id: int) -> None:
        """Tells the server that nobody waits for the call. Its future hears nothing more."""
        if self.session.cancel(call_id) and not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def expire(self, call_id: int, future: asyncio.Future[Outcome]) -> None:
        """Ends a call whose time is up."""
        if not future.done():
            self.cancel(call_id)
            future.set_result(DeadlineExceeded(f"no reply within the call's time; {_MAYBE}"))

    async def writable(self) -> None:
        """Waits until the server takes what is sent, or the connection ends."""
        if self._writable is not None:
            await asyncio.shield(self._writable)

    def retire(self) -> None:
        """Takes leave of the server; the connection closes when its calls have ended."""
        self.session.goaway("the channel needs the connection no more")
        self._flush()
        if not self.session.running:
            self.transport.close()

    def break_off(self, problem: str) -> None:
        """Closes it; calls that run end as ``Cancelled``."""
        self._break_off = problem
        self._heed(self.session.end())
        self.transport.abort()

    # What asyncio tells

    def data_received(self, data: bytes) -> None:
        events = self.session.receive(data)
        self._alone = len(events) == 1
        if self.session.space() is not None:
            self._filling = self._filling or Filling(self)
            self.transport.set_protocol(self._filling)
        self._heed(events)

    def heed(self, events: list[Event], now: float) -> None:
        """Does what the events of a long frame say."""
        self._heed(events)

    def eof_received(self) -> bool | None:
        self._heed(self.session.receive_end())
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        reason = getattr(exc, "strerror", None) or exc
        problem = "the server closed the connection" if exc is None else f"the connection broke: {reason}"
        self._heed(self.session.end(ConnectionLost(problem)))
        if self._timer is not None:
            self._timer.cancel()
        self.resume_writing()
        self.closed.set_result(None)

    def pause_writing(self) -> None:
        if self._writable is None:
            self.is_stuck = True
            self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        self.is_stuck = False
        writable, self._writable = self._writable, None
        if writable is not None:
            writable.set_result(None)

    # Inside

    def _flush(self) -> None:
        self._flushing = False
        self._queued = 0
        if self.transport.is_closing():
            return
        for piece in self.session.data_to_send():
            self.transport.write(piece)

    def _heed(self, events: list[Event]) -> None:
        for event in events:
            if event[0] == REPLY:
                if not event[1].done():
                    event[1].set_result(event[2])
            elif event[0] == FAULT:
                self._tell(event[1], event[2])
            elif event[0] == HELLO:
                self._watch_idleness()
            elif event[0] == GOAWAY:
                for future in event[3]:
                    self._tell(future, Unavailable(f"the server is leaving: {event[2] or 'no reason told'}"))
                self._leave(self)
            elif event[0] == ENDED:
                self._ended(event)
        if events:
            if self.session.unsent and not self._flushing:
                self._flush()
            if self.session.is_finished:
                self.transport.close()

    def _ended(self, event: Ended) -> None:
        _, error, calls, not_started = event
        self._leave(self)
        for future in calls:
            self._tell(future, self._lost(error))
        for future in not_started:
            self._tell(future, self._not_started(error))
        if not self.transport.is_closing():
            self._flush()
            self.transport.close()

    def _lost(self, error: CallError | None) -> CallError:
        """Gives what becomes of a call that was sent; each call has an error of its own."""
        if self._break_off is not None:
            return Cancelled(f"{self._break_off} while the call was running")
        if isinstance(error, ProtocolError):
            return ProtocolError(error.problem)
        if isinstance(error, RemoteFault):
            return ConnectionLost(f"the server closed the connection: {error.message}; {_MAYBE}")
        problem = "the server closed the connection" if error is None else error.problem
        return ConnectionLost(f"{problem}; {_MAYBE}")

    def _not_started(self, error: CallError | None) -> CallError:
        if self._break_off is not None:
            return Unavailable(f"{self._break_off}; the call was not sent")
        if isinstance(error, RemoteFault):
            if error.code is FaultCode.UNAUTHENTICATED:
                return RemoteFault(error.code, error.message, error.details)
            return Unavailable(error.message)
        problem = "the server closed the connection" if error is None else error.problem
        return Unavailable(f"{problem}; the call was not sent")

    def _tell(self, future: asyncio.Future[Outcome], error: CallError) -> None:
        if not future.done():
            future.set_result(error)

    def _no_hello(self) -> None:
        problem = (
            f"no HELLO within {HANDSHAKE:g} s: does the server speak plain messages only? then use Channel"
        )
        self._heed(self.session.end(ConnectionLost(problem)))
        self.transport.abort()

    def _watch_idleness(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        now = monotonic()
        if self.session.running or self._sent != self._seen:
            self._used, self._seen = now, self._sent
        if now - self._used > IDLE_TIME:
            self._leave(self)
            self.retire()
        else:
            self._timer = self._loop.call_later(IDLE_TIME / 4, self._watch_idleness)
