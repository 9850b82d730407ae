"""A framed connection of a blocking server. It is in one of two hands:

OWNED    by one thread, which receives, answers call after call, and sends their replies together. Nobody
         else touches it: there is no lock to take.
SHARED   see ``framed_sharing``.

The way from one to the other goes through ``claim``: the owner puts the call's id there before it calls
the handler, and takes it out again afterwards. If the loop has taken it out first, that call is one of
several, and the thread is no owner any more.
"""

from __future__ import annotations

import logging
import socket
import typing
from time import monotonic

from rpcgen.runtime.contexts import Context, current_call
from rpcgen.runtime.dispatch import OUT_OF_TIME
from rpcgen.runtime.errors import FaultCode
from rpcgen.runtime.options import current_deadline
from rpcgen.runtime.sync.server.connection import LATER_READ, TRICKLE, Next, entered
from rpcgen.runtime.sync.server.framed_sending import MUCH, Running
from rpcgen.runtime.sync.server.framed_sharing import SharedConnection
from rpcgen.runtime.sync.turns import RECEIVED, ROOM, UNANSWERED, serve_frames
from rpcgen.runtime.wire.plain import encode_fault

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.dispatch import Dispatcher
    from rpcgen.runtime.wire.events import CallReceived

_log = logging.getLogger("rpcgen")

_INTERRUPTED = encode_fault(FaultCode.INTERNAL, "the handler was interrupted")


class FramedConnection(SharedConnection):
    """Calls of a client that speaks frames.

    Args:
        sock: Accepted and blocking.
        peer: The client's address.
        terms: Of the session.
    """

    __slots__ = ()

    def serve(self, dispatcher: Dispatcher, waiting: collections.abc.Callable[[], int]) -> Next:
        with entered(self.context):
            try:
                return self._serve(dispatcher, waiting)
            except OSError as error:
                _log.debug("lost the connection of %s: %s", self.peer, error)
                self.end()
                return Next.END

    def _serve(self, dispatcher: Dispatcher, waiting: collections.abc.Callable[[], int]) -> Next:
        calls, wanted = self._waiting, False
        while True:
            while calls and not wanted and self._made < MUCH:
                event = calls.popleft()
                self._kept -= len(event[4])
                if not self._answer(event, dispatcher):
                    return Next.SHARED
                wanted = bool(waiting()) or not dispatcher.serving
            self.flush()
            if self._is_broken:
                return Next.END
            if self._unsent:
                return Next.END if self.is_late("take a reply") else Next.ROOM
            if self.session.is_closed or self.session.is_finished:
                return Next.PART
            if wanted:
                return Next.THREAD if calls else Next.BYTES
            if not calls:
                then = self._receive(dispatcher, waiting)
                if then is not None:
                    return then

    def _receive(self, dispatcher: Dispatcher, waiting: collections.abc.Callable[[], int]) -> Next | None:
        """Receives once, and in C answers usual calls while they follow each other; None: go on."""
        session = self.session
        try:
            usual = (
                session.usual if serve_frames is not None and isinstance(self.sock, socket.socket) else None
            )
            if usual is not None:
                data = self._take_turns(dispatcher, waiting, *usual)
                if not isinstance(data, bytes):
                    return data
                count, space = len(data), None
            elif (space := session.space()) is not None:
                count, data = self.sock.recv_into(space), b""
            else:
                data = self.sock.recv(ROOM if session.incomplete_since is None else LATER_READ)
                count = len(data)
        except BlockingIOError:
            return self._wait_for_bytes()
        if not count:
            self._take_events(session.receive_end())
            return Next.END
        now = monotonic()
        events = session.receive(data, now) if space is None else session.filled(count, now)
        if events:
            self._take_events(events)
            if current_call.get() is not self.context:
                current_call.set(self.context)
            if session.unsent:
                self.flush()  # HELLO, PONG: they do not wait for handlers
        elif count < TRICKLE and not session.unsent and not self.is_held:
            return self._wait_for_bytes()
        return None

    def _take_turns(
        self,
        dispatcher: Dispatcher,
        waiting: collections.abc.Callable[[], int],
        last: int,
        longest: int,
        shortest: int,
    ) -> bytes | Next | None:
        """Answers usual calls in C; gives what else came, or what is to be done now."""
        assert serve_frames is not None
        self._is_in_turn = True
        fd, answers, context, claim = self.sock.fileno(), dispatcher.answers, self.context, self.claim
        try:
            last, data, sent = serve_frames(
                fd,
                answers,
                waiting,
                dispatcher,
                context,
                claim,
                self._enter,
                self._leave,
                last,
                longest,
                shortest,
            )
        except BaseException:
            if not self._was_interrupted():
                raise
            assert self._released is not None
            self._finish(self._released, _INTERRUPTED)
            return Next.SHARED
        with self._lock:
            self._is_in_turn = False
            is_shared = self.is_shared
        if is_shared:
            assert data is not None
            self._finish(last, data)
            return Next.SHARED
        self.session.took(last, is_answered=sent != UNANSWERED)
        if sent == UNANSWERED:
            own = self._own
            self._send(last, OUT_OF_TIME if data is None else data, own.context if own else context)
            if own:
                self._leave()
            return None
        if data is None:
            return self._wait_for_bytes()
        if sent == RECEIVED:
            return typing.cast("bytes", data)
        if sent == len(data):
            return Next.BYTES  # the thread is wanted elsewhere
        self._unsent = [memoryview(data)[sent:]]
        return None

    def _enter(self, call_id: int, deadline: float) -> Context | None:
        """Makes the context of a call that has a deadline what its handler sees; None: the time is up."""
        if deadline <= monotonic():
            return None
        known = self.context
        context = Context(self.peer, None, deadline, known.identity, known.certificate)
        self._own = Running(call_id, context, True)
        current_call.set(context)
        current_deadline.set(deadline)
        return context

    def _leave(self) -> None:
        self._own = None
        current_call.set(self.context)
        current_deadline.set(None)

    def _wait_for_bytes(self) -> Next:
        since = self.session.incomplete_since
        self.began = since
        return Next.END if since is not None and self.is_late("send a call") else Next.BYTES

    def _answer(self, event: CallReceived, dispatcher: Dispatcher) -> bool:
        """Answers a call; False if the connection is shared since."""
        _, call_id, name, deadline, block, metadata, no_reply = event
        answer = dispatcher.answers.get(name)
        if answer is None or deadline is not None or metadata is not None or no_reply:
            return self._answer_rare(event, dispatcher)
        self.claim.append(call_id)
        try:
            reply = answer(block)
        except BaseException:
            if not self._was_interrupted():
                raise
            self._finish(call_id, _INTERRUPTED)
            return False
        if not self._reclaim():
            self._finish(call_id, reply)
            return False
        self._send(call_id, reply, self.context)
        return True

    def _answer_rare(self, event: CallReceived, dispatcher: Dispatcher) -> bool:
        _, call_id, name, deadline, block, _, no_reply = event
        if deadline is not None and deadline <= monotonic():
            if not no_reply:
                self._send(call_id, OUT_OF_TIME)
            return True
        own = Running(call_id, self._context_of(event), not no_reply)
        reply, work = self._prepared(own, name, block, dispatcher)
        if work is None:
            if own.wants_reply:
                self._send(call_id, reply)
            return True
        if reply:
            self._send(call_id, reply)
            self.flush()
        self._own = own
        with entered(own.context):
            self.claim.append(call_id)
            try:
                reply = work()
            except BaseException:
                if not self._was_interrupted():
                    raise
                self._finish(call_id, _INTERRUPTED)
                return False
        if not self._reclaim():
            self._finish(call_id, reply)
            return False
        self._own = None
        if own.wants_reply:
            self._send(call_id, reply, own.context)
        return True

    def _reclaim(self) -> bool:
        """Says whether the owner's call is still its own."""
        try:
            self.claim.pop()
        except IndexError:
            return False
        return True

    def _was_interrupted(self) -> bool:
        """Says whether the call whose handler raised what no handler may was shared; else its connection is closed."""
        with self._lock:
            self._is_in_turn = False
            if self.is_shared:
                _log.exception("a handler was interrupted")
                return True
            self.claim.clear()
            return False
