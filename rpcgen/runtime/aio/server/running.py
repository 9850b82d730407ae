"""Calls that run, and what runs them: tasks of the loop, and the server's threads.

A call knows its connection; when it has come to something, the connection is told, in the loop. Calls that
threads have finished are told of once a turn, however many there are.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
import types
import typing

from rpcgen.runtime.aio.deadlines import Deadlines
from rpcgen.runtime.aio.server.dispatch import How
from rpcgen.runtime.contexts import Context, current_call
from rpcgen.runtime.dispatch import OUT_OF_TIME
from rpcgen.runtime.errors import FaultCode
from rpcgen.runtime.options import current_deadline
from rpcgen.runtime.sync.server.workers import Workers
from rpcgen.runtime.wire.plain import encode_fault
from rpcgen.runtime.wire.tailed import WRITTEN

_Given = typing.TypeVar("_Given")
_Result = typing.TypeVar("_Result")

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.aio.server.dispatch import Method, Reply
    from rpcgen.runtime.wire.tailed import Message


MUCH = 256 * 1024
"""Bytes of a connection's replies after which they are sent before another call is started."""


def called(context: Context, function: collections.abc.Callable[[_Given], _Result], given: _Given) -> _Result:
    """Calls a plain function with something, as a handler of the call that this is the context of."""
    token = current_call.set(context)
    end = None if current_deadline.get() is context.deadline else current_deadline.set(context.deadline)
    try:
        return function(given)
    finally:
        current_call.reset(token)
        if end is not None:
            current_deadline.reset(end)


def begun(method: Method, args: collections.abc.Sequence[object]) -> Reply:
    """Calls a coroutine function as far as it goes without waiting, in the task that asks.

    Returns:
        The reply; or what that task is to await for the result, before anything else.
    """
    coroutine = method.handler(*args)
    try:
        waits_for = coroutine.send(None)
    except StopIteration as end:
        return method.replies.returned(end.value)
    except BaseException as error:
        return method.replies.failed(error)
    return resumed(coroutine, waits_for)


@types.coroutine
def resumed(
    coroutine: collections.abc.Coroutine[object, object, _Result], waits_for: object
) -> collections.abc.Generator[object, object, _Result]:
    """Goes on with a coroutine that was begun, in the task that has begun it, which awaits nothing else before."""
    try:
        while True:
            try:
                got = yield waits_for
            except GeneratorExit:
                coroutine.close()
                raise
            except BaseException as error:
                waits_for = coroutine.throw(error)
            else:
                waits_for = coroutine.send(got)
    except StopIteration as end:
        return typing.cast("_Result", end.value)


class Answering(typing.Protocol):
    """A connection, as its calls see it."""

    stuck_since: float | None
    """Since when the client does not take replies; None: it takes them."""
    ready: int
    """Bytes of replies that threads have made and that it has not been given yet."""

    async def taking(self) -> None:
        """Waits until the client takes its replies, or is gone."""

    def answer(self, call: Call, reply: Message) -> None:
        """Takes the reply to a call, to be sent when the turn ends; once a call, unless nobody waits."""

    def go_on_soon(self) -> None:
        """Lets the turn that has answered a call end with sending."""

    def left_thread(self, call: Call) -> None:
        """A call needs no thread any more, but has not ended."""

    def postponed(self, call: Call) -> None:
        """A call that ``has_thread`` was not started, for too many replies are there: it is to be begun again."""

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
        "has_thread",
        "is_begun",
        "is_postponed",
        "method",
        "must_begin",
        "number",
        "reply",
        "task",
        "timed",
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
        self.has_thread = False
        """The connection counts it among those that threads have, and takes it back."""
        self.is_postponed = False
        """The thread has not started it."""
        self.must_begin = False
        """Though it is cancelled: somebody may wait for it still."""
        self.is_begun = False
        """The task has taken its first step."""
        self.timed = 0
        """Its number among the runner's deadlines; 0: it has none."""

    def work(self) -> None:
        """Calls a plain function, in a thread."""
        if self.context.cancelled and not self.must_begin:
            self.reply = encode_fault(FaultCode.CANCELLED, "the call was cancelled before it was started")
            return
        # Threads may be ahead of the loop, which alone sees whether the client takes what they make.
        if self.has_thread and (self.connection.stuck_since is not None or self.connection.ready >= MUCH):
            self.is_postponed = True
            return
        try:
            self.reply = called(self.context, self.method.call, self.args)
        except KeyboardInterrupt:
            self.reply = encode_fault(FaultCode.INTERNAL, f"{self.method.name} was interrupted")

    def cancel(self) -> None:
        """Tells the handler that nobody waits for it; how it ends is still told."""
        self.context.cancelled = True
        # A task that is cancelled before its first step never takes one, and could not tell how it ends.
        if self.task is not None and self.is_begun:
            self.task.cancel()

    def expire(self) -> None:
        """Its time is up: the client hears so now, whatever the handler does."""
        if self.wants_reply:
            self.wants_reply = False
            self.connection.answer(self, OUT_OF_TIME)
            self.connection.go_on_soon()
        self.cancel()


class Errand:
    """A plain function that a thread calls for a task.

    Args:
        handler: The function.
        args: For it.
        future: Where its result goes.
    """

    __slots__ = ("_args", "_context", "_error", "_handler", "_value", "future")

    def __init__(
        self,
        handler: collections.abc.Callable[..., object],
        args: collections.abc.Sequence[object],
        future: asyncio.Future[object],
    ) -> None:
        self._handler = handler
        self._args = args
        self.future = future
        self._context = contextvars.copy_context()
        self._value: object = None
        self._error: BaseException | None = None

    def work(self) -> None:
        """Calls the function, in a thread."""
        if self.future.cancelled():
            return
        try:
            self._value = self._context.run(self._handler, *self._args)
        except (KeyboardInterrupt, StopIteration) as error:
            # The one is not this thread's, the other nothing that a task may end in.
            self._error = RuntimeError(f"the handler raised {type(error).__name__}")
            self._error.__cause__ = error
        except BaseException as error:
            self._error = error

    def tell(self) -> None:
        """Tells the task, in the loop."""
        if self.future.cancelled():
            return
        if self._error is None:
            self.future.set_result(self._value)
        else:
            self.future.set_exception(self._error)
            self._error = None


class Runner:
    """Runs the calls of one server.

    Args:
        max_workers: Threads at most.
        max_calls: That run or wait for a thread, at once.
        name: Of the threads.
    """

    def __init__(self, max_workers: int, max_calls: int, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self.max_workers = max_workers
        self._max_calls = max_calls
        self.calls: set[Call] = set()
        self._errands: set[Errand] = set()
        """That threads have, though nobody may wait for them any more."""
        self._workers: Workers[Call | Errand] = Workers(max_workers, name, self._work)
        self._deadlines: Deadlines[Call] = Deadlines(self._loop, Call.expire)
        self._lock = threading.Lock()
        self._done: list[Call | Errand] = []
        """Of the threads, not told yet."""

    @property
    def is_full(self) -> bool:
        """Whether no more calls can be started."""
        calls = len(self.calls)
        if self._errands:
            calls += sum(errand.future.cancelled() for errand in self._errands)
        return calls >= self._max_calls

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs."""
        return not self.calls and not self._errands

    def runs(self, task: asyncio.Task[typing.Any] | None) -> bool:
        """Whether a task is a call's."""
        return task is not None and any(call.task is task for call in self.calls)

    def take(self, call: Call, args: collections.abc.Sequence[object]) -> None:
        """Takes a call in that is not INLINE: it counts, and its time runs. ``begin`` is to follow."""
        call.args = args
        self._count(call)

    def begin(self, call: Call) -> None:
        """Gives a call to a task or a thread."""
        if call.method.how is How.TASK:
            call.task = self._loop.create_task(self._run(call, None))
        else:
            self._workers.hand(call)

    async def run_here(self, call: Call, result: collections.abc.Awaitable[object]) -> None:
        """Goes on with a coroutine in the task that asks, which has begun it: that saves a task.

        The task is cancelled when the call is. What the call comes to is told as always.

        Raises:
            asyncio.CancelledError: Others have cancelled the task.
        """
        task = call.task = asyncio.current_task()
        assert task is not None
        self._count(call)
        tokens = current_call.set(call.context), current_deadline.set(call.context.deadline)
        try:
            await self._run(call, result)
        finally:
            call.task = None
            current_call.reset(tokens[0])
            current_deadline.reset(tokens[1])
        if task.cancelling():
            if not call.context.cancelled:
                raise asyncio.CancelledError
            while task.uncancel():
                pass

    def await_result(self, call: Call, result: collections.abc.Awaitable[object]) -> None:
        """Goes on with a plain function that has given an awaitable."""
        self._count(call)
        call.task = self._loop.create_task(self._run(call, result))

    def _count(self, call: Call) -> None:
        self.calls.add(call)
        deadline = call.context.deadline
        if deadline is not None and not call.timed:
            call.timed = self._deadlines.add(deadline, call)

    async def in_thread(
        self, handler: collections.abc.Callable[..., object], args: collections.abc.Sequence[object]
    ) -> object:
        """Calls a plain function in a thread, for a task; gives its result.

        If the task is cancelled meanwhile, the function goes on.
        """
        errand = Errand(handler, args, self._loop.create_future())
        self._errands.add(errand)
        self._workers.hand(errand)
        return await errand.future

    async def _run(self, call: Call, result: collections.abc.Awaitable[object] | None) -> None:
        method, context = call.method, call.context
        current_call.set(context)
        if context.deadline is not None:  # else the connection has made sure that there is none
            current_deadline.set(context.deadline)
        call.is_begun = True
        try:
            if result is None and call.connection.stuck_since is not None:
                await call.connection.taking()
            if context.cancelled and not call.must_begin:
                raise asyncio.CancelledError
            value = await (method.handler(*call.args) if result is None else result)
        except asyncio.CancelledError as error:
            reply: Message = self._cancelled(call, error)
        except BaseException as error:
            reply = method.replies.failed(error)
        else:
            reply = method.replies.returned(value)
        self._end(call, reply)

    def _cancelled(self, call: Call, error: asyncio.CancelledError) -> bytes:
        task = asyncio.current_task()
        if call.context.cancelled or (task is not None and task.cancelling()):
            return encode_fault(FaultCode.CANCELLED, "the call was cancelled")
        return call.method.replies.failed(error)  # by the handler itself, or by what it awaited

    def _work(self, item: Call | Errand) -> None:
        item.work()
        with self._lock:
            is_first = not self._done
            self._done.append(item)
            if isinstance(item, Call) and isinstance(item.reply, WRITTEN):
                item.connection.ready += len(item.reply)
        if is_first:
            with contextlib.suppress(RuntimeError):  # the loop was closed while the handler ran
                self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        with self._lock:
            done, self._done = self._done, []
            for item in done:
                if isinstance(item, Call):
                    item.connection.ready = 0
        for item in done:
            if isinstance(item, Errand):
                self._errands.discard(item)
                item.tell()
            elif item.is_postponed:
                item.is_postponed = False
                item.connection.postponed(item)
            elif isinstance(item.reply, WRITTEN):
                self._end(item, item.reply)
            else:
                item.connection.left_thread(item)
                self.await_result(item, item.reply)

    def _end(self, call: Call, reply: Message) -> None:
        self.calls.discard(call)
        if call.timed:
            self._deadlines.discard(call.timed)
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
        self._deadlines.clear()
        self._workers.stop(1.0 if self.is_idle else 0.0)
