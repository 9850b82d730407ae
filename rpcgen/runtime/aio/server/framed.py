"""A framed connection of an asyncio server: events of its session in, replies out.

Calls are started in the order in which they came, until one must wait; then those behind it wait, too,
and nothing is received. Inline calls are answered on the spot, and their replies go out together; those
of tasks and threads are joined with all others of one turn of the loop.
"""

from __future__ import annotations

import logging
import typing
from time import monotonic

from rpcgen.runtime.aio.filling import Filling, write
from rpcgen.runtime.aio.server.connection import Connection
from rpcgen.runtime.aio.server.dispatch import How
from rpcgen.runtime.aio.server.running import MUCH, Call, called
from rpcgen.runtime.errors import EncodeError, FaultCode
from rpcgen.runtime.wire.events import CALL, CANCEL, ENDED, GOAWAY, HELLO
from rpcgen.runtime.wire.server import ServerSession
from rpcgen.runtime.wire.tailed import WRITTEN

if typing.TYPE_CHECKING:
    from rpcgen.runtime.aio.server.dispatch import Method, Reply
    from rpcgen.runtime.aio.server.serving import Serving
    from rpcgen.runtime.contexts import Context
    from rpcgen.runtime.wire.events import CallReceived, Event
    from rpcgen.runtime.wire.tailed import Message

_log = logging.getLogger("rpcgen")

_KEPT = 256 * 1024
"""Bytes of calls that wait for a thread, after which calls behind them wait, too."""

_PIECE = 16 * 1024
"""Bytes that are looked at before another look at whether calls must wait: as events they take 20 times as much."""

_NOTHING = memoryview(b"")

_LINGER = 1.0
"""Seconds that a client has to close its end when it has been told that the server leaves."""


class FramedConnection(Connection):
    """Calls of a client that speaks frames."""

    def __init__(self, serving: Serving) -> None:
        super().__init__(serving)
        self.session = ServerSession(serving.terms)
        self._opened = self.since
        self._calls: dict[int, Call] = {}
        """That run, by id; those that want no reply are under negative numbers."""
        self._unasked = 0
        # Lists: an empty deque takes 0.7 KiB, which is much of an idle connection, and few ever wait.
        self._waiting: list[Event] = []
        """Events behind a call that cannot be started yet, it included."""
        self._queued: list[tuple[Call, int]] = []
        """Calls that wait for their turn in a thread, with the bytes of their arguments."""
        self._kept = 0
        """Bytes of those."""
        self._in_threads = 0
        self._made = 0
        """Bytes of replies since the last flush."""
        self._is_due = False
        """``_end_turn`` will be called."""
        self._filling: Filling | None = None
        self._unread = _NOTHING
        """Received, and not looked at yet."""

    # What asyncio tells

    def data_received(self, data: bytes) -> None:
        if self._is_parted:
            return
        now = monotonic()
        if len(data) > _PIECE or self._unread:
            self._unread = memoryview(bytes(self._unread) + data)
            self._read_on()
            return
        events = self.session.receive(data, now)
        if not events and self.session.space() is not None:
            self._fill()
        self.heed(events, now)

    def _read_on(self) -> None:
        """Takes what one receive has brought, in pieces, until a call must wait."""
        now = monotonic()
        while self._unread and not (self._waiting or self.stuck_since is not None or self._is_parted):
            piece, self._unread = self._unread[:_PIECE], self._unread[_PIECE:]
            self.heed(self.session.receive(bytes(piece), now), now)
        if self._is_parted:
            self._unread = _NOTHING
        elif self._unread:
            self.pause()
        elif self.session.space() is not None:
            self._fill()

    def _fill(self) -> None:
        """Receives the rest of a long frame where it will lie."""
        self._filling = self._filling or Filling(self)
        self.transport.set_protocol(self._filling)

    def eof_received(self) -> bool | None:
        if not self._is_parted:
            self.heed(self.session.receive_end(), monotonic())
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None and not self._is_parted:
            _log.debug("lost the connection of %s: %s", self.peer, exc)
        left = [*self._waiting, *self.session.receive(bytes(self._unread), monotonic())]
        self._waiting.clear()
        self._unread = _NOTHING
        self.session.end()
        self._cancel_calls()
        self._let_on()
        for event in left:
            if event[0] == CALL and event[6]:
                self._start(event)  # nobody was to wait for it anyway
        while self._queued:  # those that nobody waits for end without a thread's doing anything
            self.serving.runner.begin(self._queued.pop(0)[0])
        self.serving.left(self)

    def _cancel_calls(self) -> None:
        """Tells handlers that their client has gone, but for those that it did not want to hear of."""
        for call in list(self._calls.values()):
            if call.wants_reply:
                call.wants_reply = False
                call.cancel()

    # Events

    def heed(self, events: list[Event], now: float) -> None:
        """Does what events say, behind those that wait."""
        self.since = now
        if self._waiting:
            self._waiting.extend(events)
            return
        self.enter()
        for event in events:
            if event[0] == CALL:
                if self._must_wait():
                    self._waiting.extend(events[events.index(event) :])
                    self.pause()
                    break
                self._start(event)
            else:
                self._heed_rare(event)
        self._flush()

    def _must_wait(self) -> bool:
        """Whether no call can be started now; sends what there is first, if that is much."""
        if self._made >= MUCH:
            self._flush()
        return (
            self.stuck_since is not None
            or self._kept >= _KEPT
            or len(self._calls) >= self.serving.connection_calls
        )

    def _heed_rare(self, event: Event) -> None:
        if event[0] == HELLO:
            self.introduce(self.session.identity)
            self.enter()
        elif event[0] == CANCEL:
            call = self._calls.get(event[1])
            if call is not None:
                call.cancel()
        elif event[0] == GOAWAY:
            self._flush()
            self._part_if_finished()
        elif event[0] == ENDED:
            error = event[1]
            if error is not None:
                cause = error.__cause__
                _log.warning("closed the connection of %s: %s", self.peer, error.problem, exc_info=cause)
            self._cancel_calls()
            self._flush()
            self.part(_LINGER)

    def go_on(self) -> None:
        """Starts calls that wait, as far as that is possible now."""
        if self._is_parted or self.transport.is_closing():
            return
        self._hand_over()
        self.enter()
        waiting = self._waiting
        while waiting and not (waiting[0][0] == CALL and self._must_wait()):
            event = waiting.pop(0)
            if event[0] == CALL:
                self._start(event)
            else:
                self._heed_rare(event)
        self._flush()
        if self._unread:
            self._read_on()
        if not (waiting or self._unread or self.stuck_since is not None):
            self.receive_again()

    # Calls

    def _start(self, event: CallReceived) -> None:
        _, call_id, name, deadline, block, metadata, no_reply = event
        method = self.serving.methods.get(name)
        if method is None:
            if not no_reply:
                self._send(call_id, self.serving.dispatcher.unknown(name))
            return
        if method.quick is None or no_reply or deadline is not None or metadata is not None:
            self._start_rare(event, method)
            return
        reply = method.quick(block)
        if self.context.reply is None and isinstance(reply, WRITTEN):
            self.session.send_reply(call_id, reply)
            self._made += len(reply)
            return
        # The handler has left metadata, or an awaitable: the context is this call's alone from now on.
        self._heed_result(call_id, reply, method, self.give_context(), no_reply)
        self.enter()

    def _start_rare(self, event: CallReceived, method: Method) -> None:
        """Starts a call that is not simply answered."""
        _, call_id, _, deadline, block, metadata, no_reply = event
        if deadline is not None and deadline <= monotonic():
            problem = "the time was up before the call was started"
            self._refuse(event, FaultCode.DEADLINE_EXCEEDED, problem)
            return
        if method.how is not How.INLINE and self.serving.runner.is_full:
            problem = "the server is busy; the call was not started"
            self._refuse(event, FaultCode.UNAVAILABLE, problem)
            return
        context = self.make_context(metadata, deadline)
        if method.quick is not None:
            reply = called(context, method.quick, block)
            self._heed_result(call_id, reply, method, context, no_reply)
            return
        args = method.arguments(block)
        if isinstance(args, bytes):
            if not no_reply:
                self._send(call_id, args)
            return
        if method.is_oneway and not no_reply:
            self._send(call_id, method.receipt())
            no_reply = True
        if method.how is How.INLINE:
            self._heed_result(call_id, called(context, method.call, args), method, context, no_reply)
        else:
            call = self._call(call_id, method, context, no_reply)
            self.serving.runner.take(call, args)
            if method.takes_thread:
                self._queued.append((call, len(block)))
                self._kept += len(block)
                self._hand_over()
            else:
                self.serving.runner.begin(call)

    def _hand_over(self) -> None:
        """Gives calls to threads: no more than there are, and none while the client does not take replies."""
        runner = self.serving.runner
        while self._queued and self._in_threads < runner.max_workers and self.stuck_since is None:
            call, size = self._queued.pop(0)
            self._kept -= size
            self._in_threads += 1
            call.has_thread = True
            runner.begin(call)

    def postponed(self, call: Call) -> None:
        self._count_out(call)
        if self.session.is_closed:
            self.serving.runner.begin(call)
        else:
            self._queued.insert(0, (call, 0))
            self.go_on_soon()

    def left_thread(self, call: Call) -> None:
        self._count_out(call)
        self.go_on_soon()

    def _count_out(self, call: Call) -> None:
        if call.has_thread:
            call.has_thread = False
            self._in_threads -= 1

    def _heed_result(
        self, call_id: int, reply: Reply, method: Method, context: Context, no_reply: bool
    ) -> None:
        """Sends what an inline handler came to, or awaits it."""
        if not isinstance(reply, WRITTEN):
            self.serving.runner.await_result(self._call(call_id, method, context, no_reply), reply)
        elif not no_reply:
            self._send_with(call_id, reply, method, context)

    def _call(self, call_id: int, method: Method, context: Context, no_reply: bool) -> Call:
        if no_reply:
            self._unasked -= 1
            call_id = self._unasked
        made = self._calls[call_id] = Call(self, call_id, method, context, not no_reply)
        return made

    def _refuse(self, event: CallReceived, code: FaultCode, problem: str) -> None:
        if event[6]:
            self.serving.say_not_run(event[2], self.peer, problem)
        else:
            self.session.send_fault(event[1], code, problem)

    def answer(self, call: Call, reply: Message) -> None:
        if (
            self.stuck_since is not None
            and self.transport.get_write_buffer_size() > self.serving.limits.unsent
        ):
            self._give_up()
        if call.context.reply is None:
            self._send(call.number, reply)
        else:
            self._send_with(call.number, reply, call.method, call.context)
        if self._made >= MUCH:
            self._flush()

    def ended(self, call: Call) -> None:
        self._calls.pop(call.number, None)
        self._count_out(call)
        if not self._calls:
            self._end_turn()  # there is nothing that its reply could be joined with
        else:
            self.go_on_soon()

    def go_on_soon(self) -> None:
        """Sends what this turn of the loop makes, and goes on, at the turn's end."""
        if not self._is_due:
            self._is_due = True
            self.serving.loop.call_soon(self._turn_ends)

    def _turn_ends(self) -> None:
        self._is_due = False
        self._end_turn()

    def _end_turn(self) -> None:
        self.since = monotonic()
        self.go_on()
        self._part_if_finished()

    # Sending

    def _send(self, call_id: int, reply: Message) -> None:
        self.session.send_reply(call_id, reply)
        self._made += len(reply)

    def _send_with(self, call_id: int, reply: Message, method: Method, context: Context) -> None:
        """Sends a reply with the metadata that its handler has left."""
        try:
            self.session.send_reply(call_id, reply, context.reply)
            self._made += len(reply)
        except EncodeError as error:
            self._send(call_id, method.replies.failed(error))

    def _flush(self) -> None:
        self._made = 0
        if self.transport.is_closing():
            return
        write(self.transport, self.session.data_to_send())

    # The end

    def drain(self) -> None:
        ended = self.session.goaway("the server is closing")
        self._flush()
        for event in ended:
            self._heed_rare(event)
        self._part_if_finished()

    def refuse(self, problem: str, data: bytes) -> None:
        """Tells a client that none of its calls is started.

        Args:
            problem: Why.
            data: What it has said.
        """
        self.session.receive(data, self.since)
        for event in self.session.goaway(problem, last=0):
            self._heed_rare(event)
        self._flush()
        self.part(_LINGER)

    def dismiss(self, problem: str) -> None:
        if problem and self.stuck_since is None:
            for event in self.session.refuse(FaultCode.BAD_REQUEST, problem):
                self._heed_rare(event)
        elif problem or self._is_parted:
            self.break_off()
        else:
            self.drain()

    def _give_up(self) -> None:
        """Closes it, because too much is kept for its client."""
        if not self.session.is_closed:
            unsent = self.serving.limits.unsent
            _log.warning(
                "closed the connection of %s: it does not take its replies, over %d bytes", self.peer, unsent
            )
            self.session.end()
            self._cancel_calls()
        self.break_off()

    def _part_if_finished(self) -> None:
        """Closes a connection that an end has taken leave of, once nothing is left to do."""
        if self.session.is_finished and not self._calls:
            self.part(_LINGER)

    def overdue(self, now: float) -> str | None:
        problem, patience = super().overdue(now), self.serving.limits.receive_time
        if problem is None and self.session.peer is None and now - self._opened > patience:
            problem = "" if self._is_parted else f"it took over {patience:g} s to say HELLO"
        return problem

    def begun(self) -> float | None:
        return self.session.incomplete_since

    @property
    def is_busy(self) -> bool:
        return bool(self._calls or self._waiting)
