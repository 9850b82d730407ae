"""A worker as a program sees it: handlers that run queued tasks, as many at once as it says."""

from __future__ import annotations

import logging
import os
import socket
import time
import typing

from rpcgen.runtime.dispatch import Dispatcher
from rpcgen.runtime.tasks.duty import Station
from rpcgen.runtime.tasks.envelopes import LARGEST, Entry
from rpcgen.runtime.tasks.layout import check_name, new_worker
from rpcgen.runtime.tasks.master import Master
from rpcgen.runtime.tasks.running import Runner
from rpcgen.runtime.tasks.working import Working
from rpcgen.runtime.wire.limits import DEFAULT_LIMITS, Limits

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.interceptors import Interceptor
    from rpcgen.runtime.stubs import ServerStub
    from rpcgen.runtime.tasks.running import Raw

_log = logging.getLogger("rpcgen")

CONCURRENCY = 8
"""Tasks at once, if nobody says otherwise."""

PATIENCE = 5.0
"""Seconds for what has ended to be written, when a worker closes."""


class Worker(Station):
    """Runs queued tasks through the handlers of server stubs.

    It works in the background from ``start`` (or ``with``) to ``close``. Where ZooKeeper is out of reach, what
    runs goes on, and its end is written when it is back; whether it counts is judged by the task's version.

    Args:
        url: As for ``rpc.Master``.
        *stubs: What it runs, as a server's.
        concurrency: Tasks at once, a thread each.
        contend: It stands for master, too, so that a cluster needs workers alone.
        name: The first part of the worker's name, which a number follows that never comes again. None: the host's.
        weight: Its share of the tasks, against the others'; 0 gives it none while others can.
        raw: Called with the bytes of tasks that are not ours; what it raises fails them. None: it takes none.
        interceptors: What is done around each handler; see ``rpc.Interceptor``.
        limits: For arguments and results.
        largest: Bytes of a result; a larger one fails its task.

    Raises:
        ValueError: The URL or an option is none, or two stubs serve services of one name.
        TypeError: A handler is a coroutine function.
        ImportError: The package kazoo is missing.
    """

    def __init__(
        self,
        url: str | None = None,
        *stubs: ServerStub,
        concurrency: int = CONCURRENCY,
        contend: bool = False,
        name: str | None = None,
        weight: float = 1.0,
        raw: Raw | None = None,
        interceptors: collections.abc.Sequence[Interceptor] = (),
        limits: Limits = DEFAULT_LIMITS,
        largest: int = LARGEST,
    ) -> None:
        super().__init__(url)
        if concurrency < 1 or not 0 <= weight < float("inf") or not 0 < largest <= LARGEST:
            raise ValueError(
                f"concurrency is 1 or more, weight a number from 0 up, largest at most {LARGEST:,} bytes: "
                f"not {concurrency}, {weight}, {largest}"
            )
        self._concurrency = concurrency
        self._raw = raw
        self._dispatcher = Dispatcher(stubs, limits, interceptors)
        entry = Entry(
            host=new_worker(check_name(name or socket.gethostname() or "worker")),
            methods={
                protocol.name: tuple(param.tag for param in protocol.params)
                for stub in stubs
                for protocol in stub.protocols
            },
            raw=raw is not None,
            concurrency=concurrency,
            weight=float(weight),
            pid=os.getpid(),
            started=time.time(),
        )
        self.name = entry.host
        self._duty = Working(self.url, self._layout, entry, largest)
        self._runner: Runner | None = None
        self._master = Master(url) if contend else None

    def start(self) -> None:
        """Begins, in the background. Again is harmless.

        Raises:
            RuntimeError: It is closed.
        """
        with self._lock:
            if self._runner is None and not self._is_closed:
                self._runner = self._duty.runner = Runner(
                    self._dispatcher, self._raw, self._concurrency, self._duty.ended
                )
                _log.info("%s: the worker %s runs %d tasks at once", self.url, self.name, self._concurrency)
            self._working(self._duty)
        if self._master is not None:
            self._master.start()

    def serve(self) -> None:
        """Starts, and returns when it is closed."""
        self.start()
        self._closed.wait()

    def wait(self, timeout: float | None) -> bool:
        """Waits until masters can see it, for so many seconds (None: for ever); says whether they can."""
        return self._duty.stands.wait(timeout)

    def counts(self) -> dict[str, int]:
        """Gives how many tasks run here, and how many ended: done, failed, and refused because they were another's."""
        duty = self._duty
        return {
            "running": len(duty.runs),
            "done": duty.done,
            "failed": duty.failed,
            "refused": duty.refused,
        }

    def close(self, grace: float = 30.0) -> None:
        """Takes nothing new, lets what runs come to its end, and goes. Again is harmless.

        Args:
            grace: Seconds for that; what still runs then is given to another worker.
        """
        if self._master is not None:
            self._master.close()
        duty = self._duty
        deadline = time.monotonic() + grace
        duty.leave()
        while duty.runs and not self._is_closed and time.monotonic() < deadline:
            duty.settled.wait(max(0.0, min(0.1, deadline - time.monotonic())))
        with self._lock:
            runner, self._runner = self._runner, None
        for run in list(duty.runs.values()):
            run.context.cancelled = True
        self._end()
        if runner is not None:
            runner.close(0.1)
        self._closed.set()

    def _fork(self) -> None:
        super()._fork()
        self._is_closed = True
        self._closed.set()

    def __enter__(self) -> typing.Self:
        self.start()
        return self
