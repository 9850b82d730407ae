"""A queued call as its caller sees it: ``rpc.Task``, to be waited for by threads and by asyncio alike."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
import typing

from rpcgen.runtime.errors import (
    CallError,
    DeadlineExceeded,
    DecodeError,
    RemoteFault,
)
from rpcgen.runtime.options import current_deadline
from rpcgen.runtime.tasks.running import RETURNED
from rpcgen.runtime.wire.outcomes import told

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.stubs import MessageProtocol
    from rpcgen.runtime.tasks.queue import TaskQueue

Result = typing.TypeVar("Result")
Outcome = typing.TypeVar("Outcome", covariant=True)


class Awaited:
    """The end of a task, which several may wait for.

    Args:
        name: The task's.
    """

    __slots__ = ("_callbacks", "_lock", "error", "is_doubtful", "is_over", "name", "reply", "watcher")

    def __init__(self, name: str) -> None:
        self.name = name
        self.reply = b""
        self.error: CallError | None = None
        self.is_over = False
        self.is_doubtful = True
        """Whether there is such a task is to be seen."""
        self.watcher: collections.abc.Callable[[object], None] | None = None
        self._lock = threading.Lock()
        self._callbacks: list[collections.abc.Callable[[], None]] = []

    def settle(self, reply: bytes, error: CallError | None = None) -> None:
        """Takes the reply, or why there will be none. Once."""
        with self._lock:
            if self.is_over:
                return
            self.reply, self.error, self.is_over = reply, error, True
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def then(self, callback: collections.abc.Callable[[], None]) -> None:
        """Has it called once there is an end; at once if there is. It must not wait or raise."""
        with self._lock:
            if not self.is_over:
                self._callbacks.append(callback)
                return
        callback()

    def never_mind(self, callback: collections.abc.Callable[[], None]) -> None:
        """Forgets a callback."""
        with self._lock:
            if callback in self._callbacks:
                self._callbacks.remove(callback)


class Task(typing.Generic[Outcome]):
    """A call that was queued. ``result()`` waits for it, and so does ``await``.

    It can be had again by its ``id``, in other processes too: ``queue.task(id, protocol)``.
    """

    def __init__(
        self, queue: TaskQueue, name: str, protocol: type[MessageProtocol[Outcome]], fresh_until: float = 0.0
    ) -> None:
        self._queue = queue
        self._protocol = protocol
        self._fresh_until = fresh_until
        """Until then it cannot have been removed, on the monotonic clock."""
        self._awaited: Awaited | None = None
        self.id = name
        """The name of its node."""

    @property
    def method(self) -> str:
        """The method's name on the wire."""
        return self._protocol.name

    def done(self) -> bool:
        """Says whether its end is known here; it is asked for from the first time on."""
        return self._await().is_over

    def status(self, timeout: float = 10.0) -> str:
        """Asks how it stands.

        Args:
            timeout: Seconds to wait for ZooKeeper.

        Returns:
            ``waiting``, ``running``, ``done``, ``failed``, ``cancelled``; ``gone``: there is no such task (any more).

        Raises:
            Unavailable: ZooKeeper cannot be reached.
        """
        return self._queue.status(self.id, timeout)

    def cancel(self, timeout: float = 10.0) -> bool:
        """Ends it, unless it has ended; a handler that runs is told by ``rpc.context().cancelled``.

        Args:
            timeout: Seconds to wait for ZooKeeper.

        Returns:
            Whether it is cancelled now.

        Raises:
            Unavailable: ZooKeeper cannot be reached.
        """
        return self._queue.cancel(self.id, timeout)

    def result(self, timeout: float | None = None) -> Outcome:
        """Waits for the end, and returns or raises as the call itself would.

        Args:
            timeout: Seconds to wait; None: as long as it takes. ``rpc.deadline`` counts, too.

        Raises:
            RemoteException: What the method declares and raised.
            RemoteFault: The handler failed, as often as it was tried; or there is no such task any more.
            Cancelled: The task was cancelled, or the queue was closed here.
            DeadlineExceeded: The time to wait is up, and the task goes on; or the last attempt took too long.
        """
        awaited = self._await()
        if not awaited.is_over:
            event = threading.Event()
            awaited.then(event.set)
            if not event.wait(_seconds(timeout)):
                awaited.never_mind(event.set)
                raise DeadlineExceeded(
                    "no result in time; the task goes on", method=self.method, peer=self._queue.url
                )
        return self._take(awaited)

    def __await__(self) -> collections.abc.Generator[typing.Any, None, Outcome]:
        import asyncio

        awaited = self._await()
        if not awaited.is_over:
            loop = asyncio.get_running_loop()
            future: asyncio.Future[None] = loop.create_future()

            def settle() -> None:
                if not future.done():
                    future.set_result(None)

            def wake() -> None:
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                    loop.call_soon_threadsafe(settle)

            awaited.then(wake)
            try:
                yield from future.__await__()
            finally:
                awaited.never_mind(wake)
        return self._take(awaited)

    def _await(self) -> Awaited:
        if self._awaited is None:
            is_fresh = time.monotonic() < self._fresh_until
            self._awaited = self._queue.await_end(self.id, is_fresh=is_fresh)
        return self._awaited

    def _take(self, awaited: Awaited) -> Outcome:
        if awaited.error is not None:
            raise _renamed(awaited.error, self.method)
        try:
            value = self._protocol.codec().decode_reply(awaited.reply, self._queue.limits)
        except DecodeError as error:
            error.peer = self._queue.url
            raise
        if awaited.reply[:1] == bytes([RETURNED]):
            result: Outcome = value
            return result
        if isinstance(value, RemoteFault):
            value.method, value.peer = self.method, self._queue.url
            meant = told(value)
            if meant is not value:
                meant.method, meant.peer = self.method, self._queue.url
                raise meant from value
        raise value

    def __repr__(self) -> str:
        state = "" if self._awaited is None or not self._awaited.is_over else ", ended"
        return f"<task {self.id} of {self.method}{state}>"


def as_completed(
    tasks: collections.abc.Iterable[Task[Result]], timeout: float | None = None
) -> collections.abc.Iterator[Task[Result]]:
    """Gives tasks as they end, each once; those that have ended come first.

    Args:
        tasks: Of one queue or several.
        timeout: Seconds for all of them; None: as long as it takes. ``rpc.deadline`` counts, too.

    Raises:
        DeadlineExceeded: The time is up; the tasks go on.
    """
    waiting = list(dict.fromkeys(tasks))
    ended: queue.SimpleQueue[Task[Result]] = queue.SimpleQueue()
    seconds = _seconds(timeout)
    deadline = None if seconds is None else time.monotonic() + seconds
    for task in waiting:
        task._await().then(lambda task=task: ended.put(task))  # type: ignore[misc]
    for count in range(len(waiting)):
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            yield ended.get(timeout=left) if left is None or left > 0 else ended.get_nowait()
        except queue.Empty:
            raise DeadlineExceeded(
                f"{len(waiting) - count} of {len(waiting)} tasks have not ended in time; they go on"
            ) from None


def _seconds(timeout: float | None) -> float | None:
    end = current_deadline.get()
    if end is None:
        return timeout
    left = max(0.0, end - time.monotonic())
    return left if timeout is None else min(timeout, left)


def _renamed(error: CallError, method: str) -> CallError:
    # Each who waits gets an error of its own: raising one twice would join their tracebacks.
    import copy

    own = copy.copy(error)
    own.method = method
    return own
