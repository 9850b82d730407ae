"""A plain connection of an asyncio server: one call at a time, answered in order.

While a call runs, what comes is kept, and receiving pauses as soon as something has.
"""

from __future__ import annotations

import logging
import typing
from time import monotonic

from rpcgen.runtime.aio.filling import write
from rpcgen.runtime.aio.server.connection import Connection
from rpcgen.runtime.aio.server.dispatch import How
from rpcgen.runtime.aio.server.running import Call
from rpcgen.runtime.aio.server.serving import QUIET, Phase
from rpcgen.runtime.errors import FaultCode, ProtocolError
from rpcgen.runtime.transport import PLAIN_REFUSED
from rpcgen.runtime.wire.plain import CallReader, encode_fault
from rpcgen.runtime.wire.tailed import WRITTEN, pieces

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.aio.server.serving import Serving
    from rpcgen.runtime.contexts import Context
    from rpcgen.runtime.wire.codec import Data
    from rpcgen.runtime.wire.tailed import Message

_log = logging.getLogger("rpcgen")


class PlainConnection(Connection):
    """Calls of a client that speaks plain messages."""

    def __init__(self, serving: Serving) -> None:
        super().__init__(serving)
        self._reader = CallReader(serving.limits)
        self._running: Call | None = None
        self._begun: float | None = None
        """When the call began that is half received."""

    # What asyncio tells

    def data_received(self, data: bytes) -> None:
        if self._is_parted:
            return
        self.since = monotonic()
        if self._running is not None or self.stuck_since is not None:
            self._reader.feed(data)
            self.pause()
            return
        try:
            self._answer(self._reader.take(data))
        except ProtocolError as error:
            self._give_up(error)

    def eof_received(self) -> bool | None:
        if self._running is None or not self.transport.can_write_eof():
            return None
        # Nothing tells who leaves from who ends a half and waits: handlers hear of it, replies are sent.
        if self._running.wants_reply:
            self._running.must_begin = True
            self._running.cancel()
        self.pause()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None and not self._is_parted:
            _log.debug("lost the connection of %s: %s", self.peer, exc)
        if self._running is not None and self._running.wants_reply:
            self._running.wants_reply = False
            self._running.cancel()
        self._let_on()
        self.serving.left(self)

    # Calls

    def _answer(self, call: tuple[str, Data] | None) -> None:
        """Answers calls until one runs, or no more have come whole."""
        self.enter()
        while call is not None:
            self._start(*call)
            if self._running is not None or self.stuck_since is not None or self._is_parted:
                return
            call = self._reader.next_call() if self._reader.pending else None
        if not self._reader.pending:
            self._begun = None
        elif self._begun is None:
            self._begun = self.since

    def _start(self, name: str, block: Data) -> None:
        self._begun = None
        serving = self.serving
        method = serving.methods.get(name)
        if method is None:
            self._write(serving.dispatcher.unknown(name))
            return
        if method.quick is not None:
            reply = method.quick(block)
            if isinstance(reply, WRITTEN):
                self._write(reply)
                if self.context.reply is not None:
                    self._drop_metadata(self.context)
            else:
                self._run_on(Call(self, 0, method, self.give_context(), True), reply)
            return
        if serving.runner.is_full:
            self._write(encode_fault(FaultCode.UNAVAILABLE, "the server is busy; the call was not started"))
            return
        args = method.arguments(block)
        if isinstance(args, bytes):
            self._write(args)
            return
        if method.is_oneway:
            self._write(method.receipt())
        if method.how is How.INLINE:
            reply = method.call(args)
            if not isinstance(reply, WRITTEN):
                self._run_on(Call(self, 0, method, self.give_context(), False), reply)
            return
        self._running = Call(self, 0, method, self.make_context(None, None), not method.is_oneway)
        serving.runner.take(self._running, args)
        serving.runner.begin(self._running)

    def _run_on(self, call: Call, result: collections.abc.Awaitable[object]) -> None:
        self._running = call
        self.serving.runner.await_result(call, result)
        self.enter()

    def answer(self, call: Call, reply: Message) -> None:
        self._write(reply)
        if call.context.reply is not None:
            self._drop_metadata(call.context)

    def _drop_metadata(self, context: Context) -> None:
        context.reply = None
        _log.debug("dropped a reply's metadata: %s speaks plain messages, which carry none", self.peer)

    def left_thread(self, call: Call) -> None:
        pass

    def postponed(self, call: Call) -> None:
        raise AssertionError("no call of it is")

    def ended(self, call: Call) -> None:
        self._running = None
        self.since = monotonic()
        self.go_on()
        if self.serving.phase is not Phase.SERVING:
            self.drain()

    def go_on(self) -> None:
        """Answers what has come meanwhile."""
        if self._is_parted or self.transport.is_closing():
            return
        if self._running is None and self.stuck_since is None:
            try:
                self._answer(self._reader.next_call())
            except ProtocolError as error:
                self._give_up(error)
                return
        if self._running is None and self.stuck_since is None:
            self.receive_again()

    def _write(self, reply: Message) -> None:
        if not self.transport.is_closing():
            write(self.transport, pieces(reply))

    # The end

    def drain(self) -> None:
        if self._running is None:
            self.serving.loop.call_later(QUIET, self._part_if_quiet)

    def _part_if_quiet(self) -> None:
        if self._running is None and not self._is_parted:
            left = self.since + QUIET - monotonic()
            if left > 0 and self.stuck_since is None:
                self.serving.loop.call_later(left, self._part_if_quiet)
            else:
                self.part(QUIET)

    def refuse(self, problem: str, data: bytes) -> None:
        """Tells a client that its call is not started, and ends; what it has said is not looked at."""
        self._say_last(FaultCode.UNAVAILABLE, problem)

    def turn_away(self) -> None:
        """Tells a client that it must speak frames, and ends."""
        _log.warning("closed the connection of %s: it speaks plain messages, without credentials", self.peer)
        self._say_last(FaultCode.UNAUTHENTICATED, PLAIN_REFUSED)

    def _say_last(self, code: FaultCode, problem: str) -> None:
        self._write(encode_fault(code, problem))
        self.part(1.0)

    def dismiss(self, problem: str) -> None:
        if self._is_parted or (problem and self.stuck_since is not None):
            self.break_off()
        elif problem:
            self._say_last(FaultCode.BAD_REQUEST, problem)
        else:
            self.part(QUIET)

    def _give_up(self, error: ProtocolError) -> None:
        _log.warning("closed the connection of %s: %s", self.peer, error.problem)
        self._say_last(FaultCode.BAD_REQUEST, error.problem)

    def begun(self) -> float | None:
        return self._begun

    @property
    def is_busy(self) -> bool:
        return self._running is not None
