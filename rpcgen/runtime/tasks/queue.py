"""A queue as a program sees it: calls go in, ``Task`` comes back."""

from __future__ import annotations

import contextlib
import contextvars
import threading
import time
import typing

from rpcgen.runtime.discovery.zookeeper.session import Away, Refused
from rpcgen.runtime.errors import CallError, ConnectionLost, EncodeError, Unavailable
from rpcgen.runtime.options import current_deadline
from rpcgen.runtime.schema import REQUIRED, OptionalOf
from rpcgen.runtime.tasks import inspection
from rpcgen.runtime.tasks.duty import Station
from rpcgen.runtime.tasks.envelopes import (
    ATTEMPTS,
    KEEP,
    LARGEST,
    MICROS,
    Header,
    arguments,
    pack,
)
from rpcgen.runtime.tasks.layout import new_task
from rpcgen.runtime.tasks.queueing import Queueing, Submission
from rpcgen.runtime.tasks.task import Awaited, Task
from rpcgen.runtime.wire.limits import DEFAULT_LIMITS, Limits

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.discovery.zookeeper.session import Session
    from rpcgen.runtime.stubs import MessageProtocol
    from rpcgen.runtime.tasks.inspection import Counts, TaskInfo, WorkerInfo

Result = typing.TypeVar("Result")
Found = typing.TypeVar("Found")

MAX_WAITING = 100_000
"""Tasks that may wait, if nobody says otherwise."""

FRESH = 10.0
"""Seconds during which a task that was queued here is taken to be there, without a look."""

_batch: contextvars.ContextVar[list[Submission] | None] = contextvars.ContextVar("rpc.batch", default=None)


class TaskQueue(Station):
    """Queues calls, which workers run. Give it to a stub: ``TaskStub(rpc.TaskQueue("zk://…")).divide(200, 100)``.

    Nothing is connected before the first call. Many threads may share one. After a fork, the child begins anew;
    tasks of before can be had by their ids.

    Args:
        url: As for ``rpc.Master``.
        timeout: Seconds that queuing a call may take while ZooKeeper is out of reach.
        max_waiting: Tasks that may wait; beyond it nothing is queued.
        largest: Bytes of a call.
        limits: For calls and results.

    Raises:
        ValueError: The URL or an option is none.
        ImportError: The package kazoo is missing.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        timeout: float = 10.0,
        max_waiting: int = MAX_WAITING,
        largest: int = LARGEST,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        super().__init__(url)
        if not timeout > 0 or max_waiting < 1 or not 0 < largest <= LARGEST:
            raise ValueError(
                f"timeout is seconds above 0, max_waiting 1 or more, largest at most {LARGEST:,} bytes: "
                f"not {timeout}, {max_waiting}, {largest}"
            )
        self._timeout = timeout
        self._max_waiting = max_waiting
        self._largest = largest
        self.limits = limits
        self._duty = Queueing(self.url, self._layout, max_waiting)

    def call(
        self,
        protocol: type[MessageProtocol[Result]],
        args: tuple[object, ...],
        timeout: float | None = None,
        *,
        key: str | None = None,
        priority: int | None = None,
        delay: float = 0.0,
        attempts: int | None = None,
        keep: float | None = None,
    ) -> Task[Result]:
        """Queues a call; once it returns, the task is in ZooKeeper.

        Args:
            protocol: The method's.
            args: Its arguments; ``rpc.DEFAULT`` leaves one out.
            timeout: Seconds that an attempt may take; None: as the IDL's ``@timeout`` says.
            key: The same call with the same key is queued once, as long as its task is kept. None: each time.
            priority: Higher ones go first; of one priority, the oldest. None: as the IDL's ``@priority`` says, else 0.
            delay: Seconds before which it is not begun.
            attempts: How often it is tried at most; None: as the IDL's ``@attempts`` says, else 3 times.
            keep: Seconds that it and its result stay after its end; None: an hour.

        Raises:
            EncodeError: An argument does not fit its type, or the call is too large; nothing was queued.
            Unavailable: ZooKeeper is out of reach or the queue is full; nothing was queued.
            ConnectionLost: The connection broke; whether it is queued is unknown. With a key, call again.
            ValueError: An option is out of its range, or there is a task of this key with another call.
            RuntimeError: The queue is closed.
        """
        codec = protocol.codec()
        message = codec.encode_call(args, self.limits)
        header = _header(protocol, message, timeout, priority, delay, attempts, keep)
        data = pack(header, message)
        if len(data) > self._largest:
            raise EncodeError(
                f"the call has {len(data):,} bytes, and {self._largest:,} are the most that is queued: "
                "put what is large elsewhere, and its address into the call",
                method=protocol.name,
                peer=self.url,
            )
        submission = Submission(new_task(key), data, key is not None)
        with self._lock:
            self._working(self._duty)
        self._duty.submit(submission)
        fresh = 0.0 if key is not None else min(FRESH, header.keep / MICROS)
        task = Task(self, submission.name, protocol, time.monotonic() + fresh)
        batch = _batch.get()
        if batch is not None:
            batch.append(submission)
            return task
        self._confirm(submission, protocol.name)
        return task

    @contextlib.contextmanager
    def batch(self) -> collections.abc.Iterator[None]:
        """Queues what is called inside the block without waiting for each; all of it is queued when the block ends.

        Of this thread's, or asyncio task's, calls.

        Raises:
            RpcError: As ``call``: the first that was not queued; others may be.
        """
        submissions: list[Submission] = []
        token = _batch.set(submissions)
        try:
            yield
        finally:
            _batch.reset(token)
            deadline = time.monotonic() + self._timeout
            first: Exception | None = None
            for submission in submissions:
                try:
                    # Where many are queued, what counts is that it goes on.
                    self._confirm(submission, "", max(deadline - time.monotonic(), 1.0))
                    deadline = time.monotonic() + self._timeout
                except Exception as error:
                    first = first or error
            if first is not None:
                raise first

    def task(self, id: str, protocol: type[MessageProtocol[Result]]) -> Task[Result]:
        """Gives a task that was queued before, perhaps elsewhere; ``result`` says if there is none.

        Args:
            id: Of the task.
            protocol: Of its method.
        """
        return Task(self, id, protocol)

    def await_end(self, name: str, *, is_fresh: bool = False) -> Awaited:
        """Gives what tells of a task's end; for ``Task``."""
        with self._lock:
            self._working(self._duty)
            return self._duty.await_end(name, is_fresh=is_fresh)

    # For people and tools.

    def status(self, id: str, timeout: float = 10.0) -> str:
        """As ``Task.status``, of any task."""
        return self._do(lambda session: inspection.status(session, self._layout, id), timeout)

    def cancel(self, id: str, timeout: float = 10.0) -> bool:
        """As ``Task.cancel``, of any task, foreign ones too."""
        return self._do(lambda session: inspection.cancel(session, self._layout, id, time.time()), timeout)

    def retry(self, id: str, timeout: float = 10.0) -> bool:
        """Lets a task that failed or was cancelled wait again, as if it were new; says whether it does."""
        return self._do(lambda session: inspection.retry(session, self._layout, id), timeout)

    def purge(
        self,
        older: float = 0.0,
        statuses: collections.abc.Collection[str] = ("done", "failed", "cancelled"),
        timeout: float = 60.0,
    ) -> int:
        """Removes tasks that have ended, and their results; gives how many.

        Args:
            older: Seconds since their end, at least.
            statuses: Which ones.
            timeout: Seconds.
        """
        before = time.time() - older
        return self._do(lambda session: inspection.purge(session, self._layout, before, statuses), timeout)

    def tasks(self, timeout: float = 60.0) -> list[TaskInfo]:
        """Gives every task that stands there, in the order in which they were queued."""
        found = self._do(lambda session: list(inspection.listing(session, self._layout)), timeout)
        return sorted(found, key=lambda info: info.submitted)

    def calls(self, timeout: float = 60.0) -> list[tuple[str, bytes]]:
        """Gives the tasks of ours that have not ended: ids, and calls as plain messages."""
        return self._do(lambda session: list(inspection.calls(session, self._layout)), timeout)

    def show(self, id: str, timeout: float = 10.0) -> TaskInfo:
        """Gives all that is known of one task: its history and error, too."""
        return self._do(lambda session: inspection.show(session, self._layout, id), timeout)

    def workers(self, timeout: float = 10.0) -> list[WorkerInfo]:
        """Gives every worker, and what it has to do."""
        return self._do(lambda session: inspection.workers(session, self._layout), timeout)

    def counts(self, timeout: float = 10.0) -> Counts:
        """Counts what there is; cheap, for a live view."""
        return self._do(lambda session: inspection.counts(session, self._layout), timeout)

    def close(self) -> None:
        """Ends the connection; who waits for a result gets ``Cancelled``, and the tasks go on. Again is harmless."""
        self._end()
        self._duty.close()
        self._closed.set()

    def _fork(self) -> None:
        super()._fork()
        self._duty = Queueing(self.url, self._layout, self._max_waiting)

    def _confirm(self, submission: Submission, method: str, timeout: float | None = None) -> None:
        end = current_deadline.get()
        seconds = self._timeout if timeout is None else timeout
        if end is not None:
            seconds = min(seconds, max(0.0, end - time.monotonic()))
        if not submission.wait(seconds):
            problem = self.problem or "it is slow"
            if submission.withdraw():
                raise Unavailable(
                    f"not queued in {seconds:.3g} s: {problem}", method=method or None, peer=self.url
                )
            if not submission.wait(0):
                raise ConnectionLost(
                    f"no answer in {seconds:.3g} s, whether it is queued is unknown: {problem}",
                    method=method or None,
                    peer=self.url,
                )
        if submission.error is not None:
            if isinstance(submission.error, CallError):
                submission.error.method = method or None
            raise submission.error

    def _do(self, work: collections.abc.Callable[[Session], Found], timeout: float) -> Found:
        """Does something on the session's thread, and gives what it gave."""
        found: list[Found] = []
        failed: list[Exception] = []
        is_over = threading.Event()
        is_given_up = False

        def job(session: Session) -> None:
            if is_given_up:
                return
            try:
                found.append(work(session))
            except Away:
                raise
            except Refused as refused:
                failed.append(Unavailable(str(refused), peer=self.url))
            except Exception as error:
                failed.append(error)
            is_over.set()

        with self._lock:
            self._working(self._duty)
            self._duty.do(job)
        if not is_over.wait(timeout):
            is_given_up = True
            raise Unavailable(f"no answer in {timeout:g} s: {self.problem or 'it is slow'}", peer=self.url)
        if failed:
            raise failed[0]
        return found[0]


def _header(
    protocol: type[MessageProtocol[typing.Any]],
    message: bytes,
    timeout: float | None,
    priority: int | None,
    delay: float,
    attempts: int | None,
    keep: float | None,
) -> Header:
    if attempts is None:
        attempts = protocol.attempts or ATTEMPTS
    priority = protocol.priority if priority is None else priority
    timeout = protocol.timeout if timeout is None else timeout
    keep = KEEP if keep is None else keep
    if not -(2**31) <= priority < 2**31 or attempts < 1:
        raise ValueError(f"priority is a number of 32 bits, attempts 1 or more: not {priority}, {attempts}")
    if not (timeout is None or 0 < timeout < 1e9) or not 0 <= delay < 1e9 or not 0 <= keep < 1e9:
        raise ValueError(
            f"timeout is seconds above 0, delay and keep from 0 up: not {timeout}, {delay}, {keep}"
        )
    now = time.time()
    return Header(
        submitted=int(now * MICROS),
        not_before=int((now + delay) * MICROS) if delay else 0,
        priority=priority,
        attempts=attempts,
        timeout=0 if timeout is None else max(1, int(timeout * MICROS)),
        keep=int(keep * MICROS),
        tags=_tags(protocol, message),
    )


def _tags(protocol: type[MessageProtocol[typing.Any]], message: bytes) -> bytes:
    """Gives the tags of the arguments that are in a call: an argument that equals its default is not."""
    params = sorted(protocol.params, key=lambda param: param.tag)
    if all(param.default is REQUIRED and not isinstance(param.type, OptionalOf) for param in params):
        return bytes(param.tag for param in params)
    from rpcgen.runtime.wire.decoder import Decoder

    block = arguments(message)
    types = {param.tag: param.type for param in params}
    decoder, tags = Decoder(block, DEFAULT_LIMITS), bytearray()
    while decoder.pos < len(block):
        tag = block[decoder.pos]
        tags.append(tag)
        decoder.pos += 1
        type_ = types[tag]
        decoder.skip(type_.item if isinstance(type_, OptionalOf) else type_, len(block))
    return bytes(tags)
