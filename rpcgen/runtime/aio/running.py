"""Calls that run, and what runs them: tasks of the loop, and the server's threads.

A call knows its connection; when it has come to something, the connection is told, in the loop. Calls that
threads have finished are told of once a turn, however many there are.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import typing
from time import monotonic

from rpcgen.runtime.aio.dispatch import How
from rpcgen.runtime.contexts import Context, current_call
from rpcgen.runtime.errors import DeadlineExceeded, FaultCode
from rpcgen.runtime.options import current_deadline
from rpcgen.runtime.sync.workers import Workers
from rpcgen.runtime.wire.plain import encode_fault

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.aio.dispatch import Method, Reply

_OUT_OF_TIME = encode_fault(FaultCode.DEADLINE_EXCEEDED, "the call's time was up before its handler was done")


class Answering(typing.Protocol):
    """A connection, as its calls see it."""

    def answer(self, call: Call, reply: bytes) -> None:
        """Takes the reply to a call; once a call, unless nobody waits."""

    def ended(self, call: Call) -> None:
        """The handler of a call has ended; told after its reply, once."""


class Call:
    """A call whose handler runs, or waits for a thread.

    Args:
        connection: Where its reply goes.
        number: Its id there.
        method: Of the server.
        context: For its handler.
        wants_reply: Its reply is to be given to the connection.
    """

    __slots__ = (
        "args",
        "connection",
        "context",
        "is_begun",
        "method",
        "number",
        "reply",
        "task",
        "timer",
        "wants_reply",
    )

    def __init__(
        self, connection: Answering, number: int, method: Method, context: Context, wants_reply: bool
    ) -> None:
        self.connection = connection
        self.number = number
        self.method = method
        self.context = context
        self.wants_reply = wants_reply
        self.args: collections.abc.Sequence[object] = ()
        self.reply: Reply = b""
        self.task: asyncio.Task[None] | None = None
        self.is_begun = False
        """The task has taken its first step."""
        self.timer: asyncio.TimerHandle | None = None

    def cancel(self) -> None:
        """Tells the handler that nobody waits for it; how it ends is still told."""
        self.context.cancelled = True
        # A task that is cancelled before its first step never takes one, and could not tell how it ends.
        if self.task is not None and self.is_begun:
            self.task.cancel()

    def expire(self) -> None:
        """Its time is up: the client hears so now, whatever the handler does."""
        self.timer = None
        if self.wants_reply:
            self.wants_reply = False
            self.connection.answer(self, _OUT_OF_TIME)
        self.cancel()


class Runner:
    """Runs the calls of one server.

    Args:
        max_workers: Threads at most.
        max_calls: That run or wait for a thread, at once.
        name: Of the threads.
    """

    def __init__(self, max_workers: int, max_calls: int, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._max_calls = max_calls
        self.calls: set[Call] = set()
        self._workers: Workers[Call] = Workers(max_workers, name, self._work)
        self._lock = threading.Lock()
        self._done: list[Call] = []
        """Of the threads, not told yet."""

    @property
    def is_full(self) -> bool:
        """Whether no more calls can be started."""
        return len(self.calls) >= self._max_calls

    def runs(self, task: asyncio.Task[typing.Any] | None) -> bool:
        """Whether a task is a call's."""
        return task is not None and any(call.task is task for call in self.calls)

    def start(self, call: Call, args: collections.abc.Sequence[object]) -> None:
        """Starts a call that is not INLINE."""
        call.args = args
        self.calls.add(call)
        deadline = call.context.deadline
        if deadline is not None:
            call.timer = self._loop.call_later(deadline - monotonic(), call.expire)
        if call.method.how is How.TASK:
            call.task = self._loop.create_task(self._run(call, None))
        else:
            self._workers.hand(call)

    def await_result(self, call: Call, result: collections.abc.Awaitable[object]) -> None:
        """Goes on with a plain function that has given an awaitable."""
        self.calls.add(call)
        call.task = self._loop.create_task(self._run(call, result))

    async def _run(self, call: Call, result: collections.abc.Awaitable[object] | None) -> None:
        method, context = call.method, call.context
        current_call.set(context)
        current_deadline.set(context.deadline)
        call.is_begun = True
        try:
            if context.cancelled:
                raise asyncio.CancelledError
            value = await (method.handler(*call.args) if result is None else result)
        except asyncio.CancelledError as error:
            reply = self._cancelled(call, error)
        except DeadlineExceeded as error:
            is_own = context.deadline is not None and monotonic() >= context.deadline
            reply = _OUT_OF_TIME if is_own else method.replies.failed(error)
        except BaseException as error:
            reply = method.replies.failed(error)
        else:
            reply = method.replies.returned(value)
        self._end(call, reply)

    def _cancelled(self, call: Call, error: asyncio.CancelledError) -> bytes:
        if call.context.cancelled:
            return encode_fault(FaultCode.CANCELLED, "the call was cancelled")
        return call.method.replies.failed(error)  # by the handler itself, or by what it awaited

    def _work(self, call: Call) -> None:
        """Calls a plain function, in a thread."""
        if call.context.cancelled:
            call.reply = encode_fault(FaultCode.CANCELLED, "the call was cancelled before it was started")
        else:
            tokens = current_call.set(call.context), current_deadline.set(call.context.deadline)
            try:
                call.reply = call.method.call(call.args)
            except KeyboardInterrupt:
                call.reply = encode_fault(FaultCode.INTERNAL, f"{call.method.name} was interrupted")
            finally:
                current_call.reset(tokens[0])
                current_deadline.reset(tokens[1])
        with self._lock:
            is_first = not self._done
            self._done.append(call)
        if is_first:
            with contextlib.suppress(RuntimeError):  # the loop was closed while the handler ran
                self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        with self._lock:
            done, self._done = self._done, []
        for call in done:
            if isinstance(call.reply, bytes):
                self._end(call, call.reply)
            else:
                self.await_result(call, call.reply)

    def _end(self, call: Call, reply: bytes) -> None:
        self.calls.discard(call)
        if call.timer is not None:
            call.timer.cancel()
        if call.wants_reply:
            call.wants_reply = False
            call.connection.answer(call, reply)
        call.connection.ended(call)

    async def close(self) -> None:
        """Cancels what runs and ends the threads; what does neither is left to itself."""
        await asyncio.sleep(0)  # so that tasks have taken their first step
        for call in self.calls:
            call.cancel()
        tasks = [call.task for call in self.calls if call.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=1.0)
        self._workers.stop(0.0 if self.calls else 1.0)
