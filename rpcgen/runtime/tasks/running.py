"""Tasks that run: threads that call handlers, each under its task's own context and time."""

from __future__ import annotations

import contextvars
import logging
import queue
import threading
import time
import typing

from rpcgen.runtime.contexts import Context, current_call
from rpcgen.runtime.dispatch import OUT_OF_TIME
from rpcgen.runtime.errors import FaultCode
from rpcgen.runtime.options import current_deadline
from rpcgen.runtime.tasks.envelopes import arguments, method
from rpcgen.runtime.wire.plain import encode_fault

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.dispatch import Dispatcher

    Raw: typing.TypeAlias = collections.abc.Callable[[bytes], object]

_log = logging.getLogger("rpcgen")

RETURNED = 1
"""The first byte of a reply that says that the method returned."""

_AGAIN = (FaultCode.INTERNAL, FaultCode.DEADLINE_EXCEEDED, FaultCode.UNAVAILABLE)
"""Faults after which a task is tried again: those that its caller did not bring about."""


class Run:
    """One attempt at a task.

    Args:
        task: Its name.
        body: The call message, or what a foreign task holds.
        version: Of the task's status, since the assignment; -1: it has none.
        attempts: How often the task is tried at most.
        timeout: Seconds; None: as long as it takes.
        is_ours: The task has a header of ours.
        peer: For the handler's context.
    """

    def __init__(
        self,
        task: str,
        body: bytes,
        version: int,
        attempts: int,
        timeout: float | None,
        is_ours: bool,
        peer: str,
    ) -> None:
        self.task = task
        self.body = body
        self.version = version
        self.attempts = attempts
        self.timeout = timeout
        self.is_ours = is_ours
        self.context = Context(peer)
        self.began = 0.0
        """Seconds since 1970; 0: not yet."""
        self.ended = 0.0
        self.reply: bytes | None = None
        """None: it has not ended; ``b""``: a foreign task did, with nothing to say."""
        self.is_sent = False
        """Its end was sent, and may have been accepted."""

    @property
    def number(self) -> int:
        """Which attempt it is, from 1."""
        return max(0, self.version) + 1

    @property
    def is_done(self) -> bool:
        """Whether the method returned."""
        return not self.reply or self.reply[0] == RETURNED

    @property
    def error(self) -> str:
        """What the reply's fault says; ``""``: it is none."""
        if not self.reply or self.reply[0]:
            return ""
        return self.reply[5:].decode(errors="replace")

    @property
    def is_vain(self) -> bool:
        """Whether the task is to be tried again."""
        code = self.error.partition(":")[0]
        return self.number < self.attempts and any(code == again.name for again in _AGAIN)


class Runner:
    """Threads that run tasks.

    Args:
        dispatcher: Answers calls.
        raw: Called with what a foreign task holds; None: such a task must be a call.
        count: Of threads.
        done: Called, on a thread here, with each run that has ended; must not wait.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        raw: Raw | None,
        count: int,
        done: collections.abc.Callable[[Run], None],
    ) -> None:
        self._dispatcher = dispatcher
        self._raw = raw
        self._done = done
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[Run | None] = queue.SimpleQueue()
        self._threads: set[threading.Thread] = set()
        self._number = 0
        for _ in range(count):
            self._hire()

    def _hire(self) -> None:
        self._number += 1
        thread = threading.Thread(target=self._work, name=f"rpcgen-task-{self._number}", daemon=True)
        self._threads.add(thread)
        thread.start()

    def start(self, run: Run) -> None:
        """Runs it as soon as a thread is free."""
        self._queue.put(run)

    def expire(self, run: Run) -> None:
        """Ends a run whose time is up; its handler is told, and its thread not waited for: another takes its place."""
        run.context.cancelled = True
        if self._finish(run, OUT_OF_TIME):
            self._hire()

    def close(self, timeout: float) -> None:
        """Ends the threads that have nothing to do; waits for the others so many seconds."""
        threads = list(self._threads)
        for _ in threads:
            self._queue.put(None)
        deadline = time.monotonic() + timeout
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        while (run := self._queue.get()) is not None:
            run.began = time.time()
            if run.timeout is not None:
                run.context.deadline = time.monotonic() + run.timeout
            reply = contextvars.Context().run(self._answer, run)
            if not self._finish(run, reply):
                break  # its time was up, and another thread has taken this one's place
        self._threads.discard(threading.current_thread())

    def _finish(self, run: Run, reply: bytes) -> bool:
        """Notes how a run ended, if nobody has; says whether that was so."""
        with self._lock:
            if run.reply is not None:
                return False
            run.ended, run.reply = time.time(), reply
        self._done(run)
        return True

    def _answer(self, run: Run) -> bytes:
        current_call.set(run.context)
        current_deadline.set(run.context.deadline)
        try:
            name = method(run.body)
            if name is None:
                return self._answer_raw(run)
            block = arguments(run.body)
            answer = self._dispatcher.answers.get(name)
            if answer is not None:
                return bytes(answer(block))
            reply, work = self._dispatcher.rare(name, block)
            if work is not None:
                work()
            return bytes(reply)
        except BaseException as error:  # a handler's KeyboardInterrupt too: it ends no worker
            _log.exception("the task %s failed", run.task)
            return encode_fault(FaultCode.INTERNAL, f"{type(error).__name__}: see the worker's log")

    def _answer_raw(self, run: Run) -> bytes:
        if self._raw is None:
            return encode_fault(
                FaultCode.BAD_REQUEST, "the task is no call, and this worker takes calls alone"
            )
        self._raw(run.body)
        return b""
