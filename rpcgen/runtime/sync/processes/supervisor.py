"""The supervisor of a ProcessServer's workers: a process that does nothing but fork, watch and end them.

    SERVING ──told to leave──▶ LEAVING ──stop, and its time come──▶ STOPPING ──no worker left──▶ ended

It is forked before the program's first thread and never starts one, so that it can fork
safely for as long as it lives, whatever runs in the program by then: a thread of the parent's
would be missing in a worker while the lock that it held stays locked for ever. Until it stops
it keeps the listening socket open: while a worker is replaced, clients wait in its queue.
"""

from __future__ import annotations

import enum
import logging
import os
import random
import signal
import time
import types
import typing

from rpcgen.runtime.backoff import backoff
from rpcgen.runtime.sync.processes.forking import HANDLED, Handler, Line, fork, handling, ignoring, wait
from rpcgen.runtime.sync.processes.sharing import Shares
from rpcgen.runtime.sync.processes.worker import ENDED, Worker

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.sync.processes.worker import Served

_log = logging.getLogger("rpcgen")

STEADY = 10.0
"""Seconds; a worker that lives longer is replaced at once, one that does not after a growing time."""

MARGIN = 2.0
"""Seconds beyond its grace after which a worker that has not ended is killed."""


class _Phase(enum.IntEnum):
    SERVING = 0
    LEAVING = 1
    STOPPING = 2


class _Child:
    """A worker that runs."""

    __slots__ = ("began", "is_ready", "line", "pid")

    def __init__(self, pid: int, line: Line) -> None:
        self.pid = pid
        self.line = line
        self.began = time.monotonic()
        self.is_ready = False


class _Place:
    """One of the workers that there should be."""

    __slots__ = ("child", "due", "failures", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.child: _Child | None = None
        self.due = 0.0
        """When the next worker starts, if there is none."""
        self.failures = 0
        """Workers in a row that did not live long."""


class Supervisor:
    """Keeps so many workers running. Made in the program, run in a process of its own.

    Args:
        server: Bound; each worker serves it.
        line: To the program. Says ``ready`` when all workers have begun, ``shutdown GRACE`` where
            a handler asks for it, ``ended`` 1 or 0 at last; is told ``leave``, and ``stop DRAIN
            GRACE``.
        processes: Workers.
        grace: Seconds that running calls have left if the program is gone.
        in_worker: Called in each worker, with its line to the supervisor, before it serves.
    """

    def __init__(
        self,
        server: Served,
        line: Line,
        processes: int,
        grace: float,
        in_worker: collections.abc.Callable[[Line], None],
    ) -> None:
        self._server = server
        self._line = line
        self._grace = grace
        self._in_worker = in_worker
        self._program = os.getpid()
        self._phase = _Phase.SERVING
        self._places = [_Place(number) for number in range(processes)]
        self._shares = Shares(processes)
        self._leaving: list[_Child] = []
        """Workers that were told to end by a signal, and have been replaced."""
        self._is_up = False
        self._is_orphan = False
        self._stop_at = self._end = float("inf")
        """When workers are told to stop, and when those that have not ended are killed."""
        self._all_in_time = True
        self._on_child: Handler = None

    def run(self) -> int:
        """Supervises until there is no worker any more; gives the status to end with."""
        self._on_child = signal.getsignal(signal.SIGCHLD)
        self._waker, self._woken = Line.pair()
        handling(dict(zip(HANDLED, (ignoring, ignoring, self._wake), strict=True)))
        while True:
            now = time.monotonic()
            if self._phase is _Phase.STOPPING:
                if not self._children():
                    break
                if now >= self._end:
                    self._kill()
            elif now >= self._stop_at:
                self._stop()
                continue
            else:
                self._start_due(now)
            wait((self._line, self._woken, *(child.line for child in self._children())), self._patience())
            self._woken.receive()
            self._hear_the_program()
            for child in self._children():
                self._hear(child)
            self._reap()
        self._line.send("ended", int(self._all_in_time))
        return 0

    def _wake(self, number: int, frame: types.FrameType | None) -> None:
        self._waker.send("signal")

    def _patience(self) -> float:
        due = [place.due for place in self._places if place.child is None]
        times = [self._end] if self._phase is _Phase.STOPPING else [self._stop_at, *due]
        return min(times) - time.monotonic()

    def _children(self) -> list[_Child]:
        return [*self._leaving, *(place.child for place in self._places if place.child is not None)]

    # The program's orders

    def _hear_the_program(self) -> None:
        if self._is_orphan:
            return
        for order, *values in self._line.receive():
            if order == "leave":
                self._leave()
            elif order == "stop":
                drain, grace = map(float, values)
                self._ask_to_stop(drain, grace)
        # Another child of the program may hold the line's other end.
        if self._line.ended or os.getppid() != self._program:
            self._is_orphan = True
            if self._phase is not _Phase.STOPPING:
                _log.warning("the process %d of the server is gone: its workers end", self._program)
                self._ask_to_stop(0.0, self._grace)

    def _leave(self) -> None:
        if self._phase is _Phase.SERVING:
            self._phase = _Phase.LEAVING
            for child in self._children():
                child.line.send("leave")

    def _ask_to_stop(self, drain: float, grace: float) -> None:
        self._leave()
        self._stop_at = min(self._stop_at, time.monotonic() + drain)
        end = self._stop_at + grace + MARGIN
        if end < self._end:
            self._end = end
            if self._phase is _Phase.STOPPING:
                self._tell_to_stop(grace)

    def _stop(self) -> None:
        self._phase = _Phase.STOPPING
        # The last worker that closes the socket accepts all who wait there.
        self._server.release()
        self._tell_to_stop(self._end - MARGIN - self._stop_at)

    def _tell_to_stop(self, grace: float) -> None:
        for child in self._children():
            child.line.send("stop", grace)

    def _kill(self) -> None:
        self._end = float("inf")
        for child in self._children():
            _log.warning("worker %d has not ended in its time and is killed", child.pid)
            os.kill(child.pid, signal.SIGKILL)

    # Workers

    def _start_due(self, now: float) -> None:
        for place in self._places:
            if place.child is None and now >= place.due:
                self._start(place)

    def _start(self, place: _Place) -> None:
        ours, theirs = Line.pair()
        # Not the worker's: with them, others would not notice the end of this process.
        foreign = [ours, self._line, self._waker, self._woken, *(child.line for child in self._children())]
        supervisor = os.getpid()

        def work() -> int:
            for line in foreign:
                line.close()
            self._in_worker(theirs)
            share = self._shares.share(place.number)
            worker = Worker(self._server, share, theirs, supervisor, self._grace, self._on_child)
            return worker.run(is_leaving=self._phase is _Phase.LEAVING)

        try:
            pid = fork(work)
        except OSError as error:
            ours.close()
            place.failures += 1
            pause = backoff(place.failures, random.random)
            place.due = time.monotonic() + pause
            _log.error("cannot start a worker: %s; the next try is in %.1f s", error, pause)
        else:
            place.child = _Child(pid, ours)
            _log.debug("worker %d starts", pid)
        finally:
            theirs.close()

    def _hear(self, child: _Child) -> None:
        for order, *values in () if child.line.ended else child.line.receive():
            if order == "ready":
                child.is_ready = True
                self._tell_if_up()
            elif order == "leaving":
                self._replace(child)
            elif order == "shutdown":
                self._line.send(order, *values)

    def _tell_if_up(self) -> None:
        if not self._is_up and all(
            place.child is not None and place.child.is_ready for place in self._places
        ):
            self._is_up = True
            self._line.send("ready")

    def _replace(self, child: _Child) -> None:
        """Gives the place of a worker that a signal told to end to another one; it has its grace."""
        for place in self._places:
            if place.child is child and self._phase is not _Phase.STOPPING:
                self._leaving.append(child)
                pause = self._vacate(place)
                _log.info("worker %d was told to end; another one starts %s", child.pid, _when(pause))

    def _vacate(self, place: _Place) -> float:
        """Empties a place; gives the seconds until it is taken again."""
        assert place.child is not None
        now = time.monotonic()
        place.failures = 0 if now - place.child.began >= STEADY else place.failures + 1
        pause = backoff(place.failures, random.random) if place.failures else 0.0
        place.child, place.due = None, now + pause
        self._shares.vacate(place.number)
        return pause

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in self._children():
                if child.pid == pid:
                    self._bury(child, os.waitstatus_to_exitcode(status))

    def _bury(self, child: _Child, code: int) -> None:
        self._hear(child)  # what it said last
        child.line.close()
        lived = time.monotonic() - child.began
        how = f"worker {child.pid} {ended(code)} after {lived:.1f} s"
        if child in self._leaving:
            self._leaving.remove(child)
            if code != ENDED:
                _log.warning("%s, while its calls ended", how)
            return
        place = next(place for place in self._places if place.child is child)
        if self._phase is _Phase.STOPPING:
            place.child = None
            if code != ENDED:
                self._all_in_time = False
                _log.warning("%s, while the server stopped", how)
        else:
            _log.warning("%s; another one starts %s", how, _when(self._vacate(place)))


def ended(code: int) -> str:
    """Says how a process ended, from what ``os.waitstatus_to_exitcode`` gave."""
    if code >= 0:
        return f"ended with status {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:  # a real-time signal
        return f"was killed by signal {-code}"


def _when(pause: float) -> str:
    return f"in {pause:.1f} s" if pause else "at once"
