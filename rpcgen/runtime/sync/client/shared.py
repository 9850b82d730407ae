"""One framed connection for the calls of many threads, without a thread of its own.

Who waits and finds nobody receiving receives for all, and leaves that to another who waits once its own
reply has come, not before: a server that cannot send takes nothing, and all would wait for each other. What is
to be sent goes into the outbox, and from there as far as there is room; whose call finds none waits for it,
while another receives. State is touched under the lock alone. Nothing waits under it, or calls the system.
"""

from __future__ import annotations

import collections
import collections.abc
import contextlib
import select
import threading
import typing
from time import monotonic

from rpcgen.runtime.errors import CallError, ConnectionLost, DeadlineExceeded, EncodeError, Unavailable
from rpcgen.runtime.options import current_received
from rpcgen.runtime.sync.client.framed import LOST
from rpcgen.runtime.sync.client.framed_line import HANDSHAKE, FramedLine
from rpcgen.runtime.sync.client.line import FAULT, NOT_SENT, RETURNED, raised
from rpcgen.runtime.sync.client.outbox import Outbox
from rpcgen.runtime.wire import events as wire, outcomes
from rpcgen.runtime.wire.frames import arguments_of, milliseconds_left

if typing.TYPE_CHECKING:
    from rpcgen.runtime.sync.client.line import Metadata, Socket
    from rpcgen.runtime.wire.events import Event
    from rpcgen.runtime.wire.frames import Buffer
    from rpcgen.runtime.wire.hello import Terms
    from rpcgen.runtime.wire.limits import Limits
    from rpcgen.runtime.wire.plain import MethodCodec
    from rpcgen.runtime.wire.tailed import Message

_ROOM_AGAIN = 0.05
"""Seconds after which who waits for room looks whether another has made use of it."""

_SENT_SOON = 0.005
"""Seconds after which who receives looks whether another sends still."""


class _Waiter:
    """Who waits for a call's outcome."""

    __slots__ = ("end_at", "kind", "metadata", "outcome", "wake")

    def __init__(self) -> None:
        self.end_at: int | None = None
        """How many bytes must have been sent on the connection for the call to be whole, where that is known."""
        self.kind = RETURNED
        """Of the outcome, as ``Line.kind``; or LOST."""
        self.outcome: Buffer | CallError | None = None
        self.metadata: Metadata | None = None
        self.wake = threading.Lock()
        self.wake.acquire()

    def is_told(self) -> bool:
        """Whether there is an outcome."""
        return self.outcome is not None

    def rouse(self) -> None:
        """Wakes it, to look again."""
        with contextlib.suppress(RuntimeError):  # it has been woken, and has not slept since
            self.wake.release()


class SharedConnection(FramedLine):
    """A connection that has many calls at once. See ``Line``; calls are ``encode_frame``'s.

    Args:
        sock: Connected and blocking.
        terms: Of the channel.
    """

    __slots__ = (
        "_listening",
        "_lock",
        "_outbox",
        "_receives",
        "_sends",
        "_told",
        "_users",
        "_waiters",
    )

    def __init__(self, sock: Socket, terms: Terms) -> None:
        super().__init__(sock, terms)
        self._lock = threading.Lock()
        self._sends = False
        """A thread waits until more can be sent."""
        self._receives = False
        """A thread receives, or is about to."""
        self._waiters: dict[_Waiter, None] = {}
        self._listening: dict[_Waiter, None] = {}
        """Those of them that can be woken: the others are about to look by themselves, or wait for room."""
        self._told: collections.deque[_Waiter] = collections.deque()
        """Those who are to be woken."""
        self._outbox = Outbox(sock)
        self._users = 0
        """Threads that are in ``answer``."""

    def exchange(
        self,
        message: Message,
        codec: MethodCodec,
        limits: Limits,
        end: float | None,
        wait: float,
        metadata: Metadata | None,
        found: typing.Any = None,
    ) -> typing.Any:
        raise NotImplementedError("many calls have many outcomes: see answer")

    def answer(
        self,
        message: Message,
        codec: MethodCodec,
        limits: Limits,
        end: float | None,
        metadata: Metadata | None,
    ) -> tuple[int, typing.Any]:
        """Makes a call as ``exchange`` does; gives the kind of its reply as well."""
        waiter = self._call(message, codec, end, metadata)
        if waiter is None:
            return RETURNED, None
        self.fresh = self.fresh and waiter.kind == LOST
        if waiter.metadata:
            received = current_received.get()
            if received is not None:
                received.update(waiter.metadata)
        outcome = waiter.outcome
        if isinstance(outcome, CallError):
            if waiter.kind == LOST:
                made, outcome, waiter.outcome = [outcome], None, None
                raised(made)
            return FAULT, outcome
        assert outcome is not None
        return outcome[0], codec.decode_reply(outcome, limits)

    @property
    def is_busy(self) -> bool:
        """Whether calls run, which find out by themselves what becomes of it."""
        return self._users > 0

    def quiet(self) -> bool:
        with self._lock:
            return self._users > 0 or (self._has_come() and not self._outbox.is_broken)

    def let_go(self) -> None:
        """Takes no more calls; closes when those that run have ended."""
        with self._lock:
            self.leaves = True
            is_over = not self._users
        if is_over:
            self.close()

    def _call(
        self, frame: Message, codec: MethodCodec, end: float | None, metadata: Metadata | None
    ) -> _Waiter | None:
        session, waiter = self.session, _Waiter()
        call_id = 0
        with self._lock:
            self._users += 1
        try:
            with self._lock:
                if self.leaves or self._outbox.is_broken:
                    raise Unavailable("the connection was left meanwhile; the call was not sent")
                left = milliseconds_left(None if end is None else end - monotonic())
                if session.peer is None and not session.running:
                    self._hello_by = monotonic() + HANDSHAKE
                block = arguments_of(frame)
                call_id = session.send_call(
                    codec.name, block, left, metadata, no_reply=codec.oneway, caller=waiter
                )
                self._waiters[waiter] = None
                self._outbox.put(session.data_to_send())
                # Where calls are held until HELLO, it is not known yet.
                waiter.end_at = None if session.is_held else self._outbox.queued
            self._push()
            if codec.oneway:
                self._see_off(waiter, len(frame), end)
                return None
            self._wait(waiter, end)
        except BaseException as error:
            with self._lock:
                if call_id:
                    session.cancel(call_id)
                    self._outbox.put(session.data_to_send())
            self._push()
            if isinstance(error, DeadlineExceeded) and self._is_cut(waiter):
                error.problem = NOT_SENT
            raise
        finally:
            with self._lock:
                self._users -= 1
                is_over = self.leaves and not self._users
                self._waiters.pop(waiter, None)
                self._listening.pop(waiter, None)
                self._appoint()
            if is_over:
                self.close()
        return waiter

    def _see_off(self, waiter: _Waiter, size: int, end: float | None) -> None:
        """Waits until a oneway call has been handed to the system."""

        def is_heard() -> bool:
            return not self.session.is_held

        while not is_heard():
            if not self._receive_until(is_heard, end):
                self._sleep(waiter, is_heard, end)
        peer = self.session.peer
        if waiter.end_at is None:
            if peer is None:
                raise Unavailable("the server closed the connection; the call was not sent")
            waiter.end_at = self._outbox.queued
        if peer is not None and size - 4 > peer.largest:
            raise EncodeError(f"a call of {size} bytes; the server accepts {peer.largest}")
        while self._can_send(waiter):
            self._make_room(waiter, end)
            self._receive_until(lambda: not self._can_send(waiter), end)
        if self._is_cut(waiter):
            raise Unavailable("the connection broke while the call was being sent")
        self._unheard = True

    def _is_cut(self, waiter: _Waiter) -> bool:
        """Whether a call has certainly not been sent whole."""
        return waiter.end_at is not None and waiter.end_at > self._outbox.sent

    def _make_room(self, waiter: _Waiter, end: float | None) -> None:
        """Waits until a call is sent, as far as it can be, or nobody receives: a server may take no more until what it
        sends is taken."""
        while self._receives and self._can_send(waiter):
            left = _ROOM_AGAIN if end is None else min(_ROOM_AGAIN, end - monotonic())
            if left <= 0:
                raise DeadlineExceeded(NOT_SENT)
            self._poll_for(select.POLLOUT, left)
            self._push(waits=True)

    def _send_on(self, waiter: _Waiter, end: float | None) -> None:
        """Waits until a call is sent while another thread receives, unless a third does so for its own: one is woken
        when there is room."""
        with self._lock:
            if self._sends or not self._receives:
                return
            self._sends = True
        try:
            self._make_room(waiter, end)
        finally:
            self._sends = False
            self._appoint_sender()

    def _can_send(self, waiter: _Waiter) -> bool:
        """Whether a call is not sent whole, and can be still."""
        return self._is_cut(waiter) and not self._outbox.is_broken and not self.session.is_closed

    def _poll_for(self, what: int, seconds: float) -> int:
        poll = select.poll()
        poll.register(self.sock, what)
        found = poll.poll(max(1, int(seconds * 1000)))
        return found[0][1] if found else 0

    def _wait(self, waiter: _Waiter, end: float | None) -> None:
        while waiter.outcome is None:
            if self._can_send(waiter) and not self._outbox.is_busy:
                self._send_on(waiter, end)
            if not self._receive_until(waiter.is_told, end):
                self._sleep(waiter, waiter.is_told, end)

    def _receive_until(self, is_over: collections.abc.Callable[[], bool], end: float | None) -> bool:
        """Receives for all until something holds, unless another thread receives; says whether it did.

        Who receives does so until then: one that stopped to send, say, would leave all others asleep.
        """
        with self._lock:
            if self._receives or is_over():
                return False
            self._receives = True
        try:
            while not is_over():
                self._send_meanwhile(is_over, end)
                if not is_over():
                    self._receive(end)
                    with self._lock:
                        self._process()
                    self._spread()
        except (ConnectionLost, Unavailable) as error:
            with self._lock:
                self._heed(self.session.end(error))
        finally:
            with self._lock:
                self._receives = False
                if self._arrived and not self.session.is_closed:
                    self._process()
            self._spread()
        return True

    def _spread(self) -> None:
        """Wakes those who have been told something, and sends what that has made; not under the lock, for which the
        woken would wait."""
        with contextlib.suppress(IndexError):  # another thread does the same
            while self._told:
                self._told.popleft().rouse()
        self._push()

    def _send_meanwhile(self, is_over: collections.abc.Callable[[], bool], end: float | None) -> None:
        """Sends what there is to send still, for which nobody else may wait, until there is something to receive."""
        while self._outbox and not self._arrived and not is_over():
            until, _ = self._until(end)
            # Another thread sends for all; it ends where there is no more room, which is then waited for.
            others = self._outbox.is_busy
            most = _SENT_SOON if others else 1.0
            left = most if until is None else min(most, until - monotonic())
            what = select.POLLIN if others else select.POLLIN | select.POLLOUT
            found = self._poll_for(what, left) if left > 0 else 0
            if found & select.POLLOUT:
                self._push()
            if found & ~select.POLLOUT or left <= 0:
                break

    def _sleep(self, waiter: _Waiter, is_over: collections.abc.Callable[[], bool], end: float | None) -> None:
        """Waits for what another thread receives, or until there is something to do."""
        with self._lock:
            is_idle = not self._sends and not self._outbox.is_busy
            if is_over() or not self._receives or (is_idle and self._can_send(waiter)):
                return
            self._listening[waiter] = None
        left = -1.0 if end is None else end - monotonic()
        if end is not None and left <= 0 and waiter.outcome is None:
            raise DeadlineExceeded(f"no reply within the call's time; {outcomes.MAYBE}")
        waiter.wake.acquire(timeout=left if left < 0 else max(left, 0.0))

    def _process(self) -> None:
        """Takes what was received; under the lock."""
        try:
            self._heed(self._take())
            self._outbox.put(self.session.data_to_send())
        except BaseException:
            # Half done for whatever reason, nobody can rely on it any more.
            self._heed(self.session.end(ConnectionLost("a call was broken off while replies were read")))
            raise

    def _wake(self, waiter: _Waiter) -> None:
        """Has a thread look again; under the lock."""
        del self._listening[waiter]
        waiter.rouse()

    def _appoint(self) -> None:
        """Has another thread receive, if nobody does; under the lock."""
        if not self._receives and self._listening:
            self._wake(next(iter(self._listening)))

    def _appoint_sender(self) -> None:
        """Has another thread wait for room, whose call is not sent, if nobody does."""
        with self._lock:
            cut = None if self._sends else next(filter(self._is_cut, self._listening), None)
            if cut is not None:
                self._wake(cut)

    def _heed(self, events: list[Event]) -> None:
        for event in events:
            if event[0] == wire.REPLY:
                self._unheard = False
                self._tell(event[1], RETURNED, event[2], event[3])
            elif event[0] == wire.FAULT:
                self._tell(event[1], FAULT, outcomes.told(event[2]), event[3])
            elif event[0] == wire.HELLO:
                self._heard(event[1])
                self._rouse_all()  # who waits to be sent is no longer held
            elif event[0] == wire.GOAWAY:
                self.leaves = True
                for waiter in event[3]:
                    self._tell(waiter, LOST, outcomes.left_behind(event[2]))
            elif event[0] == wire.ENDED:
                self.leaves = True
                for waiter in event[2]:
                    is_cut = self._is_cut(waiter)
                    self._tell(waiter, LOST, _cut(event[1]) if is_cut else outcomes.lost(event[1]))
                for waiter in event[3]:
                    self._tell(waiter, LOST, outcomes.not_started(event[1]))
                self._rouse_all()

    def _rouse_all(self) -> None:
        self._listening.clear()
        for waiter in self._waiters:
            waiter.rouse()

    def _tell(
        self, waiter: _Waiter, kind: int, outcome: Buffer | CallError, metadata: Metadata | None = None
    ) -> None:
        waiter.kind, waiter.metadata, waiter.outcome = kind, metadata, outcome
        self._told.append(waiter)

    def _push(self, *, waits: bool = False) -> None:
        """Sends as much as there is room for, or leaves it to the thread that is sending."""
        if not self._outbox.push(waits=waits):
            self._appoint_sender()


def _cut(error: CallError | None) -> CallError:
    problem = "the server closed the connection" if error is None else error.problem
    return Unavailable(f"the connection broke while the call was being sent: {problem}")
