"""What a channel that speaks plain messages has in one event loop: a few connections, one call at a time on each.

A connection is used again only after a whole reply; after anything else, a cancelled call and one whose time is
up included, it is closed. Outcomes are bytes or errors, as those of framed connections.
"""

from __future__ import annotations

import asyncio
import typing
from time import monotonic

from rpcgen.runtime.aio.client.dial import Dialled
from rpcgen.runtime.aio.client.link import CLOSED
from rpcgen.runtime.aio.filling import receive_less
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
from rpcgen.runtime.wire.outcomes import MAYBE

if typing.TYPE_CHECKING:
    from rpcgen.runtime.aio.client.connection import Answer
    from rpcgen.runtime.aio.client.dial import Dial
    from rpcgen.runtime.wire.frames import Buffer
    from rpcgen.runtime.wire.limits import Limits
    from rpcgen.runtime.wire.plain import MethodCodec
    from rpcgen.runtime.wire.scan import AnyReplyScan

CONNECTIONS = 64
"""That a channel makes at most; further calls wait for one."""

IDLE_TIME = 300.0
"""Seconds after which an idle connection is let go; servers keep it for twice as long."""


class PoolConnection(Dialled, asyncio.Protocol):
    """A connection that is either idle in its pool or used by one call.

    Args:
        pool: Told when it is closed.
        receive_time: Seconds from a reply's first byte to its last.
    """

    transport: asyncio.Transport

    def __init__(self, pool: Pool, receive_time: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._pool = pool
        self._receive_time = receive_time
        self.used = monotonic()
        """When its last call began."""
        self.is_fresh = True
        """No call has been answered on it."""
        self._answer: asyncio.Future[Answer] | None = None
        """Of the call that is running."""
        self._scan: AnyReplyScan | None = None
        self._reply = bytearray()
        self._slow: asyncio.TimerHandle | None = None
        self.is_sent = True
        """The system has taken all that was to be sent."""
        self._break_off: str | None = None
        self.closed = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = typing.cast("asyncio.Transport", transport)
        receive_less(transport)
        # So ``pause_writing`` and ``resume_writing`` tell whether all has gone.
        self.transport.set_write_buffer_limits(0)

    @property
    def is_usable(self) -> bool:
        """Whether a call may be sent: it is open, and nothing is unread on it."""
        return not self.transport.is_closing() and monotonic() - self.used < IDLE_TIME

    def start(self, message: bytes, scan: AnyReplyScan) -> asyncio.Future[Answer]:
        """Sends a call; gives the future of its reply, which never fails."""
        answer: asyncio.Future[Answer] = self._loop.create_future()
        self._answer, self._scan = answer, scan
        self.used = monotonic()
        self.transport.write(message)
        return answer

    def break_off(self, problem: str) -> None:
        """Closes it; a call that is running ends as ``Cancelled``."""
        self._break_off = problem
        self.transport.abort()
        self._tell(Cancelled(f"{problem} while the call was running"))

    # What asyncio tells

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._scan is None:
            self.transport.abort()  # nobody has asked
            return
        if not self._reply:
            self._slow = self._loop.call_later(self._receive_time, self._too_slow)
        self._reply += data
        if len(self._reply) < self._scan.needs:
            return
        try:
            if not self._scan.advance(self._reply):
                return
            if self._scan.end != len(self._reply):
                more = len(self._reply) - self._scan.end
                raise ProtocolError(
                    f"{more} bytes came after the reply: are both ends compiled from one IDL?"
                )
        except ProtocolError as error:
            self._lose(ProtocolError(error.problem))
        else:
            self._tell(self._reply)

    def pause_writing(self) -> None:
        self.is_sent = False

    def resume_writing(self) -> None:
        self.is_sent = True

    def connection_lost(self, exc: Exception | None) -> None:
        problem = "the server closed the connection" if exc is None else f"the connection broke: {exc}"
        if not self.is_sent:
            self._tell(Unavailable(f"{problem} while the call was being sent"))
        elif self._reply:
            self._tell(ConnectionLost(f"{problem} inside its reply; {MAYBE}"))
        else:
            self._tell(ConnectionLost(f"{problem} without a reply; {MAYBE}"))
        self._pool.lost(self)
        self.closed.set_result(None)

    # Inside

    def _too_slow(self) -> None:
        self._lose(ConnectionLost(f"a reply took longer than {self._receive_time:g} s to come; {MAYBE}"))

    def _lose(self, error: CallError) -> None:
        self._tell(error)
        self.transport.abort()

    def _tell(self, outcome: Answer) -> None:
        answer, self._answer, self._scan = self._answer, None, None
        self._reply = bytearray()
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None
        if answer is not None and not answer.done():
            answer.set_result(outcome)


class Pool:
    """Calls one after the other on each connection.

    Args:
        loop: Whose it is.
        dial: Makes connections.
        limits: Of messages.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, dial: Dial, limits: Limits) -> None:
        self._loop = loop
        self._dial = dial
        self._limits = limits
        self._turns = asyncio.Semaphore(CONNECTIONS)
        self._idle: list[PoolConnection] = []
        """The last used last."""
        self._connections: set[PoolConnection] = set()
        """All that are not closed."""
        self._dialling: set[asyncio.Task[PoolConnection]] = set()
        self._ending: asyncio.Task[None] | None = None
        self._closed = False

    async def call(self, message: bytes, codec: MethodCodec, end: float | None) -> typing.Any:
        """Calls a method.

        Args:
            message: The call.
            codec: Of its method.
            end: The deadline on the clock of ``time.monotonic``, or None.

        Returns:
            The reply's kind, and its value, or the exception or fault to raise.

        Raises:
            Unavailable: The call has certainly not run.
            ConnectionLost, DeadlineExceeded, Cancelled: It may have run.
            ProtocolError: What came is not a reply.
        """
        await self._take_turn(end)
        try:
            while True:
                connection = self._taken() or await self._connect(end)
                try:
                    reply = await self._exchange(connection, message, codec, end)
                    value = codec.decode_reply(reply, self._limits)
                except BaseException:
                    connection.transport.abort()
                    raise
                if isinstance(value, RemoteFault) and value.code is FaultCode.UNAVAILABLE and not reply[0]:
                    # A server that is full says so unasked and closes; one that ends refuses old
                    # connections, and another may be in its place.
                    connection.transport.abort()
                    if connection.is_fresh or self._closed:
                        return reply[0], value
                    continue
                connection.is_fresh = False
                self._give_back(connection)
                return reply[0], value
        finally:
            self._turns.release()

    async def _exchange(
        self, connection: PoolConnection, message: bytes, codec: MethodCodec, end: float | None
    ) -> Buffer:
        wait = None if end is None else end - monotonic()
        if wait is not None and wait <= 0:
            raise DeadlineExceeded("the time was up before the call was sent; it has not run")
        answer = connection.start(message, codec.reply_scan(self._limits))
        await asyncio.wait([answer], timeout=wait)
        if not answer.done():
            raise DeadlineExceeded(f"no reply within the call's time; {MAYBE}")
        outcome = answer.result()
        if not isinstance(outcome, CallError):
            return outcome
        try:
            raise outcome
        finally:
            del outcome, answer  # the error's traceback knows this frame

    async def _take_turn(self, end: float | None) -> None:
        if self._closed:
            raise Unavailable(CLOSED)
        if not self._turns.locked():
            await self._turns.acquire()
            return
        try:
            async with asyncio.timeout(None if end is None else end - monotonic()):
                await self._turns.acquire()
        except TimeoutError:
            raise DeadlineExceeded(
                f"{CONNECTIONS} other calls took all the time; the call was not sent"
            ) from None

    def _taken(self) -> PoolConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable:
                return connection
            connection.transport.abort()
        return None

    async def _connect(self, end: float | None) -> PoolConnection:
        if self._closed:
            raise Unavailable(CLOSED)
        task = self._loop.create_task(self._make())
        self._dialling.add(task)
        try:
            await asyncio.wait({task}, timeout=None if end is None else max(0.0, end - monotonic()))
        except asyncio.CancelledError:
            self._leave(task)
            raise
        finally:
            self._dialling.discard(task)
        if not task.done():
            self._leave(task)
            raise DeadlineExceeded("the time was up before a connection was made; the call was not sent")
        if task.cancelled():
            raise Unavailable("the channel was closed while connecting; the call was not sent")
        return task.result()

    async def _make(self) -> PoolConnection:
        connection = await self._dial(lambda: PoolConnection(self, self._limits.receive_time))
        if not connection.closed.done():
            self._connections.add(connection)
        return connection

    def _leave(self, task: asyncio.Task[PoolConnection]) -> None:
        """Lets go of a connection that is being made; one that is there already is for another call."""
        task.cancel()
        task.add_done_callback(self._unwanted)

    def _unwanted(self, task: asyncio.Task[PoolConnection]) -> None:
        if not task.cancelled() and task.exception() is None:
            self._give_back(task.result())

    def _give_back(self, connection: PoolConnection) -> None:
        now = monotonic()
        if connection.is_usable and connection.is_sent:
            self._idle.append(connection)
        else:
            connection.transport.abort()
        # The first ones are those that nobody has needed for long.
        while self._idle and (self._closed or now - self._idle[0].used > IDLE_TIME):
            self._idle.pop(0).transport.abort()

    def lost(self, connection: PoolConnection) -> None:
        """A connection is closed."""
        self._connections.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def retire(self) -> None:
        """Closes idle connections now, others when their calls end."""
        self._closed = True
        for connection in self._idle:
            connection.transport.abort()

    def end(self) -> None:
        """Does what ``close`` does, without waiting for it."""
        self._ending = self._loop.create_task(self.close())

    def leave_to_parent(self) -> None:
        """In a forked child: closes this process's copies of what the parent goes on using."""
        for connection in self._connections:
            connection.leave_to_parent()

    async def close(self) -> None:
        """Ends every call and every connection; returns when all are closed."""
        self._closed = True
        for task in list(self._dialling):
            task.cancel()
        closing = list(self._connections)
        for connection in closing:
            connection.break_off("the channel was closed")
        if closing:
            await asyncio.wait([connection.closed for connection in closing])
