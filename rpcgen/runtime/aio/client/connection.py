"""One framed connection of a channel: calls in, each with a future; outcomes set as they come.

What the session decides is done here: bytes are moved, futures are told. Frames of one turn of the loop go
out in one write, except that a call that is alone is written at once. An outcome is a reply's bytes or an
error, with the reply's metadata if it has some: futures never fail, because an exception that its own frame
can reach lives until the collector comes.
"""

from __future__ import annotations

import asyncio
import typing
from time import monotonic

from rpcgen.runtime.aio.client.dial import Dialled
from rpcgen.runtime.aio.client.greeting import Greeting
from rpcgen.runtime.aio.deadlines import Deadlines
from rpcgen.runtime.aio.filling import Filling, receive_less, write
from rpcgen.runtime.errors import (
    CallError,
    Cancelled,
    ConnectionLost,
    DeadlineExceeded,
    Unavailable,
)
from rpcgen.runtime.wire.client import SPEECH_HINT, ClientSession
from rpcgen.runtime.wire.events import ENDED, FAULT, GOAWAY, HELLO, PONG, REPLY
from rpcgen.runtime.wire.hello import FINGERPRINT
from rpcgen.runtime.wire.outcomes import MAYBE, left_behind, lost, not_started

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.contracts import Contract, Contracts
    from rpcgen.runtime.wire.events import Ended, Event
    from rpcgen.runtime.wire.frames import Buffer, Metadata
    from rpcgen.runtime.wire.hello import Terms

    Answer: typing.TypeAlias = "Buffer | CallError"
    Outcome: typing.TypeAlias = "Answer | tuple[Answer, dict[str, bytes]]"

HANDSHAKE = 3.0
"""Seconds in which a server must have said HELLO."""

IDLE_TIME = 300.0
"""Seconds without a call after which a connection is let go; servers keep it for twice as long."""

LINGER = 3.0
"""Seconds in which a server must have taken calls that it does not answer, before the connection is closed."""

_MUCH = 64 * 1024
"""Bytes of calls that are sent at once, whatever else the turn of the loop brings."""

_LOOKS = 4
"""How often a server's silence is looked at in the time in which it may be silent."""


class ClientConnection(Dialled, asyncio.Protocol):
    """A connection, from when it is made until it is closed.

    Args:
        terms: Of the channel.
        leave: Told when no more calls can be sent here: on GOAWAY, and at the end. Once or more.
        keepalive: Seconds for which the server may be silent while calls run; None: for ever.
    """

    transport: asyncio.Transport

    def __init__(
        self,
        terms: Terms,
        leave: collections.abc.Callable[[ClientConnection], object],
        keepalive: float | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.session = ClientSession(terms)
        self._leave = leave
        self._keepalive = keepalive
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
        self._timers: dict[collections.abc.Callable[[], None], asyncio.TimerHandle] = {}
        """What is done when its time has come."""
        self.deadlines: Deadlines[tuple[int, asyncio.Future[Outcome]]] = Deadlines(self._loop, self._expire)
        """Of calls that have some: their ids, and the futures of their outcomes."""
        self._heard = False
        """Something has come since the last look at the server's silence."""
        self._quiet = 0
        """Looks in a row at which calls ran and nothing had come."""
        self._space = 0
        """Bytes that a long frame still wanted at the last look."""
        self._unconfirmed = False
        """Calls were sent that nothing answers: closing now might lose them."""
        self._asked: bytes | None = None
        """The PONG that confirms them."""
        self._confirmed: asyncio.Future[None] | None = None
        """There while ``close`` waits for that."""
        self._is_retiring = False
        self._break_off: str | None = None
        """Why this end has closed it, while calls ran."""
        self.closed = self._loop.create_future()
        self.ending: CallError | None = None
        """Why it takes no calls any more, once it takes none."""
        self.contracts: Contracts | None = None
        """Versions that are known, where somebody wants to know the server's."""
        self.fingerprint = ""
        """Of the server's interface, where it says one."""
        self.contract: Contract | None = None
        """The server's version, where it is not the client's own: calls are to be compared with it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = typing.cast("asyncio.Transport", transport)
        receive_less(transport)
        self._after(HANDSHAKE, self._no_hello)

    async def greet(self, patience: float) -> None:
        """Says HELLO, and waits so many seconds for the server's. What else comes is for the first call to meet."""
        greeting = Greeting(self)
        self.transport.set_protocol(greeting)
        self._flush()
        await greeting.wait(patience)

    # Calls

    def send(
        self, name: str, block: Buffer, milliseconds: int, metadata: Metadata | None = None
    ) -> tuple[int, asyncio.Future[Outcome]]:
        """Queues a call; gives its id, and the future of its outcome.

        Raises:
            Unavailable, EncodeError: It was not sent.
        """
        future: asyncio.Future[Outcome] = self._loop.create_future()
        session = self.session
        is_sole = self._alone and not session.running and not self._flushing
        call_id = session.send_call(name, block, milliseconds, metadata, caller=future)
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

    def send_oneway(
        self, name: str, block: Buffer, milliseconds: int, metadata: Metadata | None = None
    ) -> None:
        """Sends a call that nothing answers. ``close`` sees to it that the server gets it.

        Raises:
            Unavailable, EncodeError: It was not sent.
        """
        self._sent = self.session.send_call(name, block, milliseconds, metadata, no_reply=True)
        self._unconfirmed, self._asked = True, None
        self._flush()

    def cancel(self, call_id: int) -> None:
        """Tells the server that nobody waits for the call. Its future hears nothing more."""
        if self.session.cancel(call_id) and not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _expire(self, call: tuple[int, asyncio.Future[Outcome]]) -> None:
        """Ends a call whose time is up."""
        call_id, future = call
        if not future.done():
            self.cancel(call_id)
            future.set_result(DeadlineExceeded(f"no reply within the call's time; {MAYBE}"))

    async def writable(self) -> None:
        """Waits until the server takes what is sent, or the connection ends."""
        if self._writable is not None:
            await asyncio.shield(self._writable)

    # The end

    def retire(self) -> None:
        """Takes leave of the server; the connection closes when its calls have ended."""
        self._is_retiring = True
        self.session.goaway("the channel needs the connection no more")
        self._confirm()
        self._flush()
        if self._unconfirmed:
            self._after(LINGER, self._finish)
        self._part_if_finished()

    async def close(self, problem: str) -> None:
        """Closes it, once the server has got the calls that it does not answer; others end as ``Cancelled``."""
        if self._unconfirmed and not self.closed.done():
            self._leave(self)
            self._confirmed = self._loop.create_future()
            self._confirm()
            self._flush()
            await asyncio.wait([self._confirmed], timeout=LINGER)
        self.break_off(problem)
        if not self.closed.done():
            await asyncio.wait([self.closed])

    def break_off(self, problem: str) -> None:
        """Closes it now; calls that run end as ``Cancelled``."""
        self._break_off = problem
        self._heed(self.session.end())
        self.transport.abort()

    # What asyncio tells

    def data_received(self, data: bytes) -> None:
        events = self.session.receive(data)
        self._alone = len(events) == 1
        self._heard = True
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
        self._heed(self.session.end(self._loss(exc)))
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self.deadlines.clear()
        self._end_waiting()
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
        write(self.transport, self.session.data_to_send())

    def _heed(self, events: list[Event]) -> None:
        for event in events:
            if event[0] == REPLY:
                if not event[1].done():
                    event[1].set_result(event[2] if event[3] is None else (event[2], event[3]))
            elif event[0] == FAULT:
                self._tell(event[1], event[2] if event[3] is None else (event[2], event[3]))
            elif event[0] == HELLO:
                self._greeted()
            elif event[0] == PONG:
                if event[1] == self._asked:
                    self._unconfirmed = False
                    self._end_waiting()
            elif event[0] == GOAWAY:
                for future in event[3]:
                    self._tell(future, left_behind(event[2]))
                self.ending = left_behind(event[2])
                self._leave(self)
            elif event[0] == ENDED:
                self._ended(event)
        if self.session.unsent and not self._flushing:
            self._flush()
        self._part_if_finished()

    def _greeted(self) -> None:
        self._timers.pop(self._no_hello).cancel()
        if self.contracts is not None and self.session.peer is not None:
            self.fingerprint = self.session.peer.properties.get(FINGERPRINT, "")
            self.contract = self.contracts.of(self.fingerprint)
        # What follows could not be said before.
        if self._is_retiring:
            self.retire()
        elif self._confirmed is not None:
            self._confirm()
        self._watch_idleness()
        if self._keepalive is not None:
            self._after(self._keepalive / _LOOKS, self._watch_silence)

    def _confirm(self) -> None:
        """Asks the server for a sign that it has got all that was sent."""
        if self._unconfirmed and self._asked is None:
            self._asked = self.session.ping()

    def _end_waiting(self) -> None:
        if self._confirmed is not None and not self._confirmed.done():
            self._confirmed.set_result(None)

    def _part_if_finished(self) -> None:
        if self.session.is_finished and not self._unconfirmed:
            self._finish()

    def _finish(self) -> None:
        self.transport.close()

    def _ended(self, event: Ended) -> None:
        _, error, calls, not_started = event
        self.ending = self.ending or self._not_started(error)
        self._leave(self)
        for future in calls:
            self._tell(future, self._lost(error))
        for future in not_started:
            self._tell(future, self._not_started(error))
        if not self.transport.is_closing():
            self._flush()
            self.transport.close()

    def _loss(self, exc: Exception | None) -> CallError:
        """Gives what the loss of the connection means."""
        if exc is None:
            return ConnectionLost("the server closed the connection")
        reason: str = getattr(exc, "reason", None) or ""
        if self.session.peer is None and "ALERT" in reason:
            from rpcgen.runtime.sync.tls import said

            # A server that has not let the client in has not read a call.
            return Unavailable(f"the TLS handshake failed: {said(typing.cast('OSError', exc))}")
        return ConnectionLost(f"the connection broke: {getattr(exc, 'strerror', None) or exc}")

    def _lost(self, error: CallError | None) -> CallError:
        """Gives what becomes of a call that was sent."""
        if self._break_off is not None:
            return Cancelled(f"{self._break_off} while the call was running")
        return lost(error)

    def _not_started(self, error: CallError | None) -> CallError:
        if self._break_off is not None:
            return Unavailable(f"{self._break_off}; the call was not sent")
        return not_started(error)

    def _tell(self, future: asyncio.Future[Outcome], outcome: Outcome) -> None:
        if not future.done():
            future.set_result(outcome)

    # Time

    def _after(self, seconds: float, do: collections.abc.Callable[[], None]) -> None:
        """Does something once, later, unless the connection has ended by then; asked again, later still."""
        if do in self._timers:
            self._timers[do].cancel()
        self._timers[do] = self._loop.call_later(seconds, do)

    def _give_up(self, problem: str) -> None:
        self._heed(self.session.end(ConnectionLost(problem)))
        self.transport.abort()

    def _no_hello(self) -> None:
        self._give_up(f"no HELLO within {HANDSHAKE:g} s: {SPEECH_HINT}")

    def _watch_idleness(self) -> None:
        now = monotonic()
        if self.session.running or self._sent != self._seen:
            self._used, self._seen = now, self._sent
        if now - self._used > IDLE_TIME:
            self._leave(self)
            self.retire()
        else:
            self._after(IDLE_TIME / 4, self._watch_idleness)

    def _watch_silence(self) -> None:
        assert self._keepalive is not None
        space = self.session.space()
        left = 0 if space is None else len(space)
        is_quiet = not self._heard and left == self._space and self.session.running
        self._heard, self._space = False, left
        self._quiet = self._quiet + 1 if is_quiet else 0
        if self._quiet >= 2 * _LOOKS:
            self._give_up(f"no sign of life from the server for {2 * self._keepalive:g} s, nor to a PING")
            return
        if self._quiet == _LOOKS:
            self.session.ping()
            self._flush()
        self._after(self._keepalive / _LOOKS, self._watch_silence)
