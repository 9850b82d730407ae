"""Each task as a master knows it, and how that changes: the moves between stages, and what they bring with them."""

from __future__ import annotations

import collections
import heapq
import logging
import typing

from rpcgen.runtime.tasks.envelopes import MICROS, Header, method, unpack
from rpcgen.runtime.tasks.lines import Lines, Shape
from rpcgen.runtime.tasks.records import Desk, Record, Stage

if typing.TYPE_CHECKING:
    import collections.abc

_log = logging.getLogger("rpcgen")

SMALL = 1024
"""Bytes of a task up to which it goes with its assignment: the worker needs not read it."""


class Known:
    """Tasks and workers.

    Args:
        keep_foreign: Seconds that tasks which are not ours stay after their end.
    """

    def __init__(self, keep_foreign: float) -> None:
        self._keep_foreign = keep_foreign
        self.records: dict[str, Record] = {}
        self.desks: dict[str, Desk] = {}
        self.lines = Lines()
        self.doubted: set[str] = set()
        self.hopeless: set[str] = set()
        """Those whose attempts are used up."""
        self.ended: list[tuple[float, str]] = []
        """A heap: when it is removed, which one."""
        self.strays: dict[tuple[str, str], float | None] = {}
        """Task and worker of an assignment that means nothing → when it is taken away; None: after a grace."""
        self.notes: set[str] = set()
        self.looked: set[str] = set()
        """Notes whose tasks have been looked at."""
        self.shut: set[str] = set()
        """Workers that are gone for good: the nodes for their assignments are to be removed."""
        self.counts: collections.Counter[Stage] = collections.Counter()

    def is_at(self, name: str, stage: Stage) -> bool:
        """Says whether there is such a task, at this stage."""
        record = self.records.get(name)
        return record is not None and record.stage is stage

    def move(self, record: Record, stage: Stage) -> None:
        """Moves a task to a stage, and counts."""
        self.counts[record.stage] -= 1
        self.counts[stage] += 1
        record.stage = stage

    def doubt(self, record: Record) -> None:
        """Has a task looked at before anything else is done with it."""
        self.hopeless.discard(record.name)
        if record.stage is Stage.ENDED:
            record.shape = None  # what it was like has been dropped
        self.move(record, Stage.DOUBTED)
        self.doubted.add(record.name)

    def leave(self, record: Record, why: str) -> None:
        """Leaves a task alone."""
        _log.warning("the task %s is left alone: %s", record.name, why)
        record.body = None
        self.move(record, Stage.LEFT)

    def wait(self, record: Record, due: float) -> None:
        """Puts a task in line, or gives up on it, its attempts used up."""
        record.due = due
        assert record.shape is not None
        self.move(record, Stage.WAITING)
        if record.version + 1 >= record.attempts:
            self.hopeless.add(record.name)
        else:
            self.lines.add(record.name, record.shape, record.rank, due)

    def lose(self, record: Record) -> None:
        """Its worker is gone: it waits, and its assignment stands until another gets it."""
        record.is_tried = True
        record.error = f"the worker {record.worker} was lost"
        self.wait(record, 0.0)

    def end(self, record: Record, at: float) -> None:
        """Notes that a task has ended, and when it is to be removed."""
        record.body = None
        record.due = at + record.keep
        self.move(record, Stage.ENDED)
        heapq.heappush(self.ended, (record.due, record.name))

    def forget(self, name: str) -> None:
        """Forgets a task that is gone; an assignment of it goes, too."""
        record = self.records.pop(name)
        self.counts[record.stage] -= 1
        self.doubted.discard(name)
        self.hopeless.discard(name)
        if name in self.notes:
            self.looked.add(name)
        if record.worker is not None:
            self.strays[name, record.worker] = 0.0

    def strange(self, desk: Desk, name: str) -> None:
        """There is an assignment that this master did not make."""
        record = self.records.get(name)
        if record is None or record.stage is Stage.ENDED or record.worker is not None:
            self.strays[name, desk.name] = 0.0
        else:
            record.worker = desk.name
            if record.stage is not Stage.UNREAD:
                self.doubt(record)

    def describe(self, record: Record, data: bytes, born: int) -> None:
        """Takes what a task's node holds."""
        found = unpack(Header, data)
        name = None if found is None else method(found[1])
        if found is None or name is None:
            record.shape, record.keep = Shape(None), self._keep_foreign
            record.rank = (0, born)
            return
        header = found[0]
        record.shape = Shape(name, header.tags)
        record.rank = (-header.priority, born)
        record.attempts = max(1, header.attempts)
        record.due = header.not_before / MICROS
        record.keep = header.keep / MICROS
        record.body = data if len(data) <= SMALL else b""

    def desk(self, name: str) -> Desk:
        """Gives a worker's desk; one that is not known is made."""
        desk = self.desks.get(name)
        if desk is None:
            desk = self.desks[name] = Desk(name)
        return desk
