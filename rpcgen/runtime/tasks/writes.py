"""A master's steps as operations of ZooKeeper: what must happen together, several steps in one request."""

from __future__ import annotations

import typing

from rpcgen.runtime.discovery.zookeeper.asked import Check, Commit, Create, Delete, Operation, Put
from rpcgen.runtime.errors import FaultCode
from rpcgen.runtime.records import Record
from rpcgen.runtime.tasks.envelopes import (
    Assigned,
    Attempt,
    fault,
    pack,
    pack_history,
    unpack_history,
)
from rpcgen.runtime.tasks.layout import FAILED, SCHEDULE, Layout
from rpcgen.runtime.tasks.steps import Assign, GiveUp, Noted, Open, Remove, Shut, Step, Sweep

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.discovery.zookeeper.asked import Node

TOGETHER = 16
"""Steps in one request: if one of them is refused, all are, and are tried one by one."""

HEAVY = 128 * 1024
"""Bytes in one request beyond which no further step is added."""

_OVERHEAD = 300
"""Bytes that a step takes beside its data, roughly."""


class Write(Record):
    """One request.

    Args:
        steps: What it brings about.
        commit: The operations, the first of which checks the epoch.
    """

    steps: tuple[Step, ...]
    commit: Commit


class Writer:
    """Makes requests of steps.

    Args:
        layout: Where things stand.
        epoch: The version of the epoch's node: nothing is written once another master has set it.
    """

    def __init__(self, layout: Layout, epoch: int) -> None:
        self._layout = layout
        self._epoch = epoch

    def commit(self, operations: collections.abc.Iterable[Operation]) -> Commit:
        """Gives the request for operations, with the check of the epoch."""
        return Commit((Check(self._layout.epoch, self._epoch), *operations))

    def orphan(self, path: str, task: str) -> Commit:
        """Gives the request that deletes what a task has left behind, if there is no such task."""
        node = self._layout.task(task)
        return self.commit([Create(node), Delete(node), Delete(path)])

    def together(self, steps: collections.abc.Iterable[tuple[Step, list[Operation]]]) -> list[Write]:
        """Gives requests for steps: those of one kind share some."""
        writes: list[Write] = []
        batch: list[Step] = []
        operations: list[Operation] = []
        weight = 0

        def close() -> None:
            nonlocal weight
            if batch:
                writes.append(Write(tuple(batch), self.commit(operations)))
            batch.clear()
            operations.clear()
            weight = 0

        for step, own in steps:
            heavy = _OVERHEAD + sum(len(getattr(operation, "data", b"")) for operation in own)
            is_alike = batch and type(batch[0]) is type(step)
            if not is_alike or len(batch) == TOGETHER or weight + heavy > HEAVY:
                close()
            batch.append(step)
            operations += own
            weight += heavy
        close()
        return writes

    def operations(self, step: Step, past: Node | None, now: float) -> list[Operation]:
        """Gives what a step does, but for the check of the epoch.

        Args:
            step: What to do.
            past: The history of its task, where it has one that matters.
            now: Seconds since 1970.
        """
        layout = self._layout
        match step:
            case Assign():
                return self._assign(step, past, now)
            case GiveUp():
                return self._give_up(step, past, now)
            case Sweep(task, worker):
                return [Delete(layout.assignment(worker, task))]
            case Remove(task, version):
                return [
                    Delete(layout.result(task)),
                    Delete(layout.status(task), version),
                    Delete(layout.task(task)),
                ]
            case Open(worker):
                return [Create(layout.desk(worker))]
            case Shut(worker):
                return [Delete(layout.desk(worker))]
            case Noted(task):
                return [Delete(layout.change(task))]

    def _assign(self, step: Assign, past: Node | None, now: float) -> list[Operation]:
        layout = self._layout
        status = layout.status(step.task)
        made: list[Operation] = [
            Create(status, SCHEDULE) if step.version < 0 else Put(status, SCHEDULE, step.version)
        ]
        if step.leaves is not None:
            made.append(Delete(layout.assignment(step.leaves, step.task)))
        data = b"" if step.body is None else pack(Assigned(version=step.version + 1), step.body)
        made.append(Create(layout.assignment(step.worker, step.task), data))
        if step.error:
            made.append(self._remember(step.task, step.leaves, step.version, step.error, past, now))
        return made

    def _give_up(self, step: GiveUp, past: Node | None, now: float) -> list[Operation]:
        layout = self._layout
        status = layout.status(step.task)
        made: list[Operation] = [
            Create(status, FAILED) if step.version < 0 else Put(status, FAILED, step.version)
        ]
        error = step.error
        if not error:
            attempts = unpack_history(past.data) if past is not None else ()
            error = attempts[-1].error if attempts else "its assignment was taken away"
        if not step.is_foreign:
            tried = step.version + 1
            message = f"the task was tried {tried} times in vain; the last time: {error}"
            if tried == 1:
                message = f"the task was tried once in vain: {error}"
            made.append(Create(layout.result(step.task), fault(FaultCode.INTERNAL, message, now)))
        if step.leaves is not None:
            made.append(Delete(layout.assignment(step.leaves, step.task)))
        # With one attempt alone the result says it all, and a usual task has no history to be removed.
        if step.error and step.version > 0:
            made.append(self._remember(step.task, step.leaves, step.version, step.error, past, now))
        return made

    def _remember(
        self, task: str, worker: str | None, version: int, error: str, past: Node | None, now: float
    ) -> Operation:
        attempt = Attempt(worker=worker or "", number=version + 1, at=now, error=error)
        return remember(self._layout, task, attempt, past)


def remember(layout: Layout, task: str, attempt: Attempt, past: Node | None) -> Operation:
    """Gives what adds an attempt to a task's history.

    Args:
        layout: Where things stand.
        task: Its name.
        attempt: To be added.
        past: The history, as it was read; None: there is none.
    """
    if past is None or past.stat is None:
        return Create(layout.attempts(task), pack_history((attempt,)))
    data = pack_history((*unpack_history(past.data), attempt))
    return Put(layout.attempts(task), data, past.stat.version)
