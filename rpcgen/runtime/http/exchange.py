"""Calls that run, and the requests that wait for them: what an asyncio server's connection is, for one request.

Whether the client is still there is asked only of calls that take a while: it costs a task. What takes its
time is found by a look at all that waits, several times a second: a timer for each would cost every call.
"""

from __future__ import annotations

import asyncio
import functools
import typing
from time import monotonic

from rpcgen.runtime.aio.server.dispatch import How
from rpcgen.runtime.aio.server.running import Call, Runner, called
from rpcgen.runtime.errors import FaultCode
from rpcgen.runtime.http.messages import Gone
from rpcgen.runtime.wire.plain import encode_fault
from rpcgen.runtime.wire.tailed import WRITTEN

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.aio.server.dispatch import AsyncDispatcher, Method, Reply
    from rpcgen.runtime.contexts import Context
    from rpcgen.runtime.http.messages import Receive
    from rpcgen.runtime.wire.tailed import Message

_PATIENCE = 0.05
"""Seconds that a call runs before it is looked whether its client leaves."""

BUSY = encode_fault(FaultCode.UNAVAILABLE, "the server is busy; the call was not started")
TOO_LATE = encode_fault(FaultCode.DEADLINE_EXCEEDED, "the time was up before the call was started")


class Waiting(typing.Protocol):
    """What may take too long."""

    def overdue(self) -> None:
        """Told once, when it has taken as long as it may, or a little longer."""


class Watch:
    """Tells what waits too long.

    Args:
        loop: The running one.
        patience: Seconds that a thing may wait.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, patience: float) -> None:
        self._loop = loop
        self._patience = patience
        self._interval = min(1.0, patience / 2)
        self._since: dict[Waiting, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, waiting: Waiting) -> None:
        """Something waits from now on."""
        self._since[waiting] = monotonic()
        if self._timer is None:
            self._timer = self._loop.call_later(self._interval, self._look)

    def end(self, waiting: Waiting) -> None:
        """It waits no more, overdue or not."""
        self._since.pop(waiting, None)

    def _look(self) -> None:
        latest = monotonic() - self._patience
        late = [waiting for waiting, since in self._since.items() if since <= latest]
        for waiting in late:
            del self._since[waiting]
            waiting.overdue()
        self._timer = self._loop.call_later(self._interval, self._look) if self._since else None

    def close(self) -> None:
        """Tells nobody any more."""
        if self._timer is not None:
            self._timer.cancel()


class Reading:
    """A request whose body is read, by the task that makes this; it is stopped if that takes too long."""

    __slots__ = ("_task", "is_overdue")

    def __init__(self) -> None:
        self._task = asyncio.current_task()
        self.is_overdue = False

    def overdue(self) -> None:
        self.is_overdue = True
        if self._task is not None:
            self._task.cancel()

    def stopped(self) -> bool:
        """Says whether it was this that cancelled the task; takes it back then."""
        return self.is_overdue and self._task is not None and self._task.uncancel() == 0


class Exchange:
    """A request that waits for its call's reply.

    Args:
        loop: The running one.
    """

    __slots__ = ("_call", "_receive", "_reply", "_watcher", "ready", "stuck_since")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._reply: asyncio.Future[Message] = loop.create_future()
        self._call: Call | None = None
        self._receive: Receive | None = None
        self._watcher: asyncio.Task[None] | None = None
        self.stuck_since: float | None = None
        self.ready = 0

    async def reply(
        self,
        call: Call,
        receive: Receive,
        watch: Watch,
        running: collections.abc.Awaitable[None] | None = None,
    ) -> Message:
        """Waits for the reply; the handler is told if the client leaves, or the server gives the request up.

        Args:
            call: That was taken in with this as its connection.
            receive: ASGI's, the body read.
            watch: Tells when it is time to ask whether the client is there.
            running: Runs it; None: it runs elsewhere.

        Raises:
            Gone: The client has left.
        """
        self._call, self._receive = call, receive
        watch.begin(self)
        try:
            if running is not None:
                await running
            return await self._reply
        except asyncio.CancelledError:
            call.wants_reply = False
            call.cancel()
            raise
        finally:
            watch.end(self)
            self._call = self._receive = None  # the call holds this: no circle is left for the collector
            if self._watcher is not None:
                self._watcher.cancel()

    def overdue(self) -> None:
        self._watcher = self._reply.get_loop().create_task(self._wait_for_end())

    async def _wait_for_end(self) -> None:
        call, receive = self._call, self._receive
        assert call is not None
        assert receive is not None
        while (await receive())["type"] != "http.disconnect":
            pass
        call.wants_reply = False
        call.cancel()
        if not self._reply.done():
            self._reply.set_exception(Gone())

    # What a call tells its connection

    async def taking(self) -> None:
        raise AssertionError("nobody is ever stuck")

    def answer(self, call: Call, reply: Message) -> None:
        if not self._reply.done():
            self._reply.set_result(reply)

    def go_on_soon(self) -> None:
        pass

    def left_thread(self, call: Call) -> None:
        pass

    def postponed(self, call: Call) -> None:
        raise AssertionError("no call of it is")

    def ended(self, call: Call) -> None:
        pass


class Here:
    """What an engine has in the loop that runs.

    Args:
        max_workers, max_calls, name, receive_time: The engine's.
    """

    def __init__(self, max_workers: int, max_calls: int, name: str, receive_time: float) -> None:
        self.loop = asyncio.get_running_loop()
        self.calls = Watch(self.loop, _PATIENCE)
        """Calls that run."""
        self.readings = Watch(self.loop, receive_time)
        """Requests whose bodies are being read."""
        self.runner = Runner(max_workers, max_calls, name)

    async def close(self) -> None:
        """Cancels what runs and ends the threads."""
        await self.runner.close()
        self.calls.close()
        self.readings.close()


class Engine:
    """Runs an application's calls, in the loop that runs the application.

    A call that waits for nothing needs nothing of the loop, and so is not asked which one that is.

    Args:
        dispatcher: Whose methods are run.
        max_workers: Threads for plain functions.
        max_calls: That run at once.
        name: Of the threads.
        receive_time: Seconds that a body may take to come.
    """

    def __init__(
        self,
        dispatcher: AsyncDispatcher,
        max_workers: int,
        max_calls: int,
        name: str,
        receive_time: float,
    ) -> None:
        self._dispatcher = dispatcher
        self._make = functools.partial(Here, max_workers, max_calls, name, receive_time)
        self._here: Here | None = None

    def here(self) -> Here:
        """Gives what there is in the running loop; a loop that is gone has taken its own with it."""
        here = self._here
        if here is None or here.loop is not asyncio.get_running_loop():
            here = self._here = self._make()
            self._dispatcher.in_thread = here.runner.in_thread
        return here

    def quick(self, method: Method, given: typing.Any, context: Context) -> Reply | None:
        """Runs a call as far as it goes without waiting.

        Args:
            method: In the writing of the reply.
            given: What it reads its arguments from.
            context: For the handler.

        Returns:
            The reply; or what ``rest`` is to be given, at once.
        """
        # When its time is up the client hears so, whatever the handler does: that takes a task of its own.
        if method.quick is None or context.deadline is not None:
            return None
        if method.how is How.TASK and self._is_full():
            return BUSY
        return called(context, method.quick, given)

    def _is_full(self) -> bool:
        # Which loop runs is asked only where there may be no room: asking takes longer than all else here.
        return self._here is not None and self._here.runner.is_full and self.here().runner.is_full

    async def rest(
        self, method: Method, begun: Reply | None, given: typing.Any, context: Context, receive: Receive
    ) -> Message:
        """Gives the reply to a call for which ``quick`` had none.

        Args:
            method, given, context: As there.
            begun: What it gave.
            receive: ASGI's, the body read.

        Raises:
            Gone: The client has left, and the handler is told so.
        """
        if begun is None:
            args = method.arguments(given)
            return args if isinstance(args, bytes) else await self._run(method, args, context, receive)
        here = self.here()
        exchange = Exchange(here.loop)
        call = Call(exchange, 0, method, context, True)
        assert not isinstance(begun, WRITTEN)
        if method.how is How.TASK:
            return await exchange.reply(call, receive, here.calls, here.runner.run_here(call, begun))
        here.runner.await_result(call, begun)
        return await exchange.reply(call, receive, here.calls)

    async def _run(
        self, method: Method, args: collections.abc.Sequence[object], context: Context, receive: Receive
    ) -> Message:
        here = self.here()
        if context.deadline is not None and context.deadline <= monotonic():
            return TOO_LATE
        exchange = Exchange(here.loop)
        call = Call(exchange, 0, method, context, not method.is_oneway)
        if method.how is How.INLINE:
            result = called(context, method.call, args)
            if isinstance(result, WRITTEN):
                return method.receipt() if method.is_oneway else result
            here.runner.await_result(call, result)
        elif here.runner.is_full:
            return BUSY
        else:
            here.runner.take(call, args)
            here.runner.begin(call)
        return method.receipt() if method.is_oneway else await exchange.reply(call, receive, here.calls)

    async def in_thread(self, function: collections.abc.Callable[..., object], *args: object) -> typing.Any:
        """Calls what takes long in one of the threads."""
        return await self.here().runner.in_thread(function, args)

    async def close(self) -> None:
        """Cancels what runs and ends the threads; what is called later has others."""
        here, self._here = self._here, None
        if here is not None:
            await here.close()
