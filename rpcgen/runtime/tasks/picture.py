"""What a master knows of tasks, workers and assignments, and what it does next. No thread, clock or ZooKeeper.

It is told what was read and what became of its steps, and never believes more: a step that was
refused, or an assignment that went, makes it look at the task again. A new master begins with an
empty picture and comes to the same end.
"""

from __future__ import annotations

import collections
import heapq
import logging
import typing

from rpcgen.runtime.tasks.envelopes import KEEP
from rpcgen.runtime.tasks.known import Known
from rpcgen.runtime.tasks.layout import ENDS
from rpcgen.runtime.tasks.lines import Shape
from rpcgen.runtime.tasks.records import Desk, Record, Stage
from rpcgen.runtime.tasks.steps import Assign, GiveUp, Look, Noted, Open, Remove, Shut, Step, Sweep

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.discovery.zookeeper.asked import Node
    from rpcgen.runtime.tasks.envelopes import Entry

_log = logging.getLogger("rpcgen")

SMALL = 1024
"""Bytes of a task up to which it goes with its assignment: the worker needs not read it."""

MOST_ENDED = 50_000
"""Ended tasks that stay at most."""

GRACE = 5.0
"""Seconds that a worker has to take its assignment away itself after it has ended the task."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 60.0
"""Seconds before a task is tried again that failed once, and at most."""


class Picture:
    """What a master knows.

    Args:
        keep_foreign: Seconds that tasks which are not ours stay after their end.
        most_ended: Ended tasks that stay at most; beyond it the oldest go before their time.
    """

    def __init__(self, *, keep_foreign: float = KEEP, most_ended: int = MOST_ENDED) -> None:
        self._most_ended = most_ended
        self._known = Known(keep_foreign)
        self._is_listed = False
        self._workers: dict[str, str] = {}
        """The node of a worker → the name that its assignments go by."""
        self._unread: collections.deque[str] = collections.deque()
        """Tasks to be read; among them some that are gone or have been read meanwhile."""
        self._ended_unread: collections.deque[str] = collections.deque()
        """Ended ones of a former master's time: only when they go is of interest."""
        self.has_room = True
        """Whether some worker could have had more than there was, at the last plan."""

    @property
    def counts(self) -> collections.Counter[Stage]:
        """How many tasks there are of each stage."""
        return self._known.counts

    # What was read.

    def tasks_listed(
        self,
        names: collections.abc.Iterable[str],
        ended: collections.abc.Container[str] = (),
        tried: collections.abc.Container[str] = (),
    ) -> None:
        """Takes the list of all tasks.

        Args:
            names: All of them.
            ended: Those of which it is known that they have ended; of a new picture.
            tried: Those that have a history; the same.
        """
        current = set(names)
        for name in self._known.records.keys() - current:
            self._known.forget(name)
        at = (
            {}
            if self._is_listed
            else {name: desk for desk in self._known.desks.values() for name in desk.assigned}
        )
        for name in current - self._known.records.keys():
            record = self._known.records[name] = Record(name)
            self._known.counts[record.stage] += 1
            record.is_tried = name in tried
            if name in at:
                record.worker = at[name].name
                self._unread.appendleft(name)  # its worker may be gone
            elif name in ended:
                self._known.move(record, Stage.ENDED)
                self._ended_unread.append(name)
            else:
                self._unread.append(name)
        if not self._is_listed:
            self._is_listed = True
            for desk in self._known.desks.values():
                for name in desk.assigned:
                    known = self._known.records.get(name)
                    if known is None or known.worker != desk.name:
                        self._known.strays[name, desk.name] = 0.0

    def workers_listed(self, nodes: collections.abc.Iterable[str]) -> list[str]:
        """Takes the list of all workers' nodes; gives those to be read."""
        current = set(nodes)
        for node in self._workers.keys() - current:
            self._worker_gone(self._workers.pop(node))
        return sorted(current - self._workers.keys())

    def worker_read(self, node: str, entry: Entry) -> None:
        """Takes what a worker says of itself."""
        if entry.host in self._workers.values():
            _log.warning("there are two workers called %s: %s gets nothing", entry.host, node)
            self._workers[node] = ""
            return
        self._workers[node] = entry.host
        desk = self._known.desk(entry.host)
        desk.entry = entry
        self._known.shut.discard(desk.name)
        for name in desk.assigned:
            record = self._known.records.get(name)
            if record is not None and record.worker == desk.name and record.stage is Stage.WAITING:
                # It has come back before its task was given to another.
                self._known.hopeless.discard(name)
                self._known.move(record, Stage.RUNNING)

    def worker_skipped(self, node: str) -> None:
        """Takes that a worker's entry cannot be read: it gets nothing."""
        self._workers[node] = ""

    def desks_listed(self, names: collections.abc.Iterable[str]) -> list[str]:
        """Takes the list of all names under which assignments stand; gives those that were not known."""
        new = [name for name in names if name not in self._known.desks]
        for name in new:
            self._known.desk(name)
        return new

    def desk_listed(self, worker: str, names: collections.abc.Iterable[str] | None) -> None:
        """Takes the list of a worker's assignments; None: there is no node for them."""
        desk = self._known.desk(worker)
        desk.is_missing = names is None and desk.entry is not None
        before, desk.assigned = desk.assigned, set(names or ())
        for name in before - desk.assigned:
            self._known.strays.pop((name, worker), None)
            record = self._known.records.get(name)
            if record is not None and record.worker == worker:
                record.worker = None
                if record.stage in (Stage.RUNNING, Stage.WAITING):
                    self._known.doubt(record)
        if self._is_listed:
            for name in desk.assigned - before:
                self._known.strange(desk, name)
        if names is None and desk.entry is None:
            del self._known.desks[worker]
            self._known.shut.discard(worker)
        elif desk.is_done_with:
            self._known.shut.add(worker)

    def noted(self, names: collections.abc.Iterable[str]) -> None:
        """Takes the list of tasks that somebody has changed."""
        for name in set(names) - self._known.notes:
            self._known.notes.add(name)
            record = self._known.records.get(name)
            if record is None:
                self._known.looked.add(name)
            elif record.stage is not Stage.UNREAD:
                self._known.doubt(record)
            else:
                record.is_changed = True

    def looks(self, limit: int) -> list[Look]:
        """Gives what is to be read now: ended ones only where there is nothing else."""
        found = [Look(name, self._known.records[name].shape is None, True) for name in self._known.doubted]
        self._known.doubted.clear()
        while self._unread and len(found) < limit:
            record = self._known.records.get(self._unread.popleft())
            if record is not None and record.stage is Stage.UNREAD:
                found.append(Look(record.name, True, record.worker is not None or record.is_changed))
        if not found:
            names = [self._ended_unread.popleft() for _ in range(min(limit // 4, len(self._ended_unread)))]
            found = [Look(name, True, True) for name in names if self._known.is_at(name, Stage.ENDED)]
        return found

    def seen(self, look: Look, node: Node | None, status: Node | None, now: float) -> None:
        """Takes what was read of a task.

        Args:
            look: What was wanted.
            node: The task; None: it is not there, or was not asked for.
            status: Its status; the same.
            now: Seconds since 1970.
        """
        record = self._known.records.get(look.task)
        if record is None:
            return
        if look.whole:
            if node is None:
                self._known.forget(look.task)
                return
            if node.stat is None:
                self._known.leave(record, "it may not be read")
                return
            self._known.describe(record, node.data, node.stat.born[0])
        if look.task in self._known.notes:
            self._known.looked.add(look.task)
        if status is None or status.stat is None:
            record.version = -1
            self._known.wait(record, record.due)
            if record.worker is not None:
                # Somebody has had it tried again; it must not be in its own way.
                self._known.strays[record.name, record.worker] = 0.0
            return
        record.version = status.stat.version
        if status.data in ENDS:
            self._known.end(record, status.stat.modified)
            if record.worker is not None:
                # A foreign worker takes its assignment away itself, and may not expect that another has.
                self._known.strays[record.name, record.worker] = (
                    0.0 if look.task in self._known.notes else None
                )
        elif record.worker is None:
            record.is_tried = True
            self._known.wait(record, max(record.due, now + _pause(record.version + 1)))
        elif self._known.desks[record.worker].entry is not None:
            self._known.move(record, Stage.RUNNING)
        else:
            self._known.lose(record)

    # What became of steps.

    def assigned(self, step: Assign, *, done: bool) -> None:
        """Takes whether a task was assigned; it was taken to be until then."""
        desk, record = self._known.desks[step.worker], self._known.records.get(step.task)
        if not done:
            desk.assigned.discard(step.task)
            if record is not None:
                record.worker, record.error = step.leaves, step.error
                if step.leaves is not None:
                    self._known.desk(step.leaves).assigned.add(step.task)
                self._known.doubt(record)
        elif step.leaves is not None and self._known.desk(step.leaves).is_done_with:
            self._known.shut.add(step.leaves)

    def given_up(self, step: GiveUp, now: float, *, done: bool) -> None:
        """Takes whether a task was ended."""
        record = self._known.records.get(step.task)
        if record is None:
            return
        if not done:
            self._known.doubt(record)
            return
        if record.worker is not None:
            self._known.desks[record.worker].assigned.discard(step.task)
            record.worker = None
        self._known.end(record, now)

    def swept(self, step: Sweep, *, done: bool) -> None:
        """Takes whether an assignment is not there any more."""
        del self._known.strays[step.task, step.worker]
        desk = self._known.desks.get(step.worker)
        if not done or desk is None:
            return
        desk.assigned.discard(step.task)
        if desk.is_done_with:
            self._known.shut.add(desk.name)
        record = self._known.records.get(step.task)
        if record is not None and record.worker == step.worker:
            record.worker = None

    def removed(self, step: Remove, *, done: bool, why: str = "") -> None:
        """Takes whether a task was removed."""
        record = self._known.records.get(step.task)
        if record is None:
            return
        if done:
            self._known.forget(step.task)
        else:
            self._known.leave(record, why)

    def opened(self, step: Open) -> None:
        """Takes that there is a node for a worker's assignments."""
        self._known.desk(step.worker).is_missing = False

    def shut(self, step: Shut, *, done: bool) -> None:
        """Takes whether the node for assignments of a worker that is gone was removed."""
        desk = self._known.desks.get(step.worker)
        self._known.shut.discard(step.worker)
        if done and desk is not None and desk.entry is None:
            del self._known.desks[step.worker]

    def forgotten(self, step: Noted) -> None:
        """Takes that a note is gone."""
        self._known.notes.discard(step.task)

    # What to do.

    def plan(self, now: float, limit: int) -> list[Step]:
        """Gives what to write now. Each step must be told of, before the next plan.

        Args:
            now: Seconds since 1970.
            limit: Assignments, and removals.
        """
        steps: list[Step] = [Noted(name) for name in self._known.looked]
        self._known.looked.clear()
        for (name, worker), due in list(self._known.strays.items()):
            if due is None:
                self._known.strays[name, worker] = now + GRACE
            elif due <= now:
                steps.append(Sweep(name, worker))
        steps += [Open(desk.name) for desk in self._known.desks.values() if desk.is_missing and desk.entry]
        steps += [Shut(name) for name in self._known.shut]
        for name in self._known.hopeless:
            record = self._known.records[name]
            is_foreign = record.shape is None or record.shape.method is None
            steps.append(GiveUp(name, record.version, is_foreign, record.worker, record.error))
        self._known.hopeless.clear()
        self._known.lines.advance(now)
        steps += self._assignments(now, limit)
        self.has_room = any(desk.free > 0 for desk in self._known.desks.values())
        steps += self._removals(now, limit)
        return steps

    def due(self) -> float | None:
        """When there is something to do even if nothing happens, in seconds since 1970; None: never."""
        times = [due for due in self._known.strays.values() if due is not None]
        if None in self._known.strays.values():
            times.append(0.0)
        if self._known.ended:
            times.append(
                self._known.ended[0][0] if self._known.counts[Stage.ENDED] <= self._most_ended else 0.0
            )
        if self._known.lines.due is not None:
            times.append(self._known.lines.due)
        return min(times, default=None)

    def strange(self, names: collections.abc.Iterable[str]) -> set[str]:
        """Gives those of the names that are no tasks."""
        return set(names) - self._known.records.keys()

    @property
    def desk_names(self) -> set[str]:
        """Under which assignments stand, or may."""
        return set(self._known.desks)

    def doubt_foreign(self) -> None:
        """Has foreign tasks looked at whose workers may have ended them without taking the assignment away."""
        for record in list(self._known.records.values()):
            if record.stage is Stage.RUNNING and record.shape is not None and record.shape.method is None:
                self._known.doubt(record)

    def _assignments(self, now: float, limit: int) -> collections.abc.Iterator[Assign]:
        def waits(name: str) -> bool:
            record = self._known.records.get(name)
            return record is not None and record.stage is Stage.WAITING and record.due <= now

        for _ in range(limit):
            taken = self._known.lines.take(waits, self._choose)
            if taken is None:
                break
            name, desk = taken
            record = self._known.records[name]
            leaves, error, record.error = record.worker, record.error, ""
            yield Assign(name, desk.name, record.version, record.body, leaves, error)
            if leaves is not None:
                self._known.desks[leaves].assigned.discard(name)
            desk.assigned.add(name)
            desk.given += 1
            record.worker = desk.name
            record.version += 1
            self._known.move(record, Stage.RUNNING)

    def _choose(self, shape: Shape) -> Desk | None:
        able = [desk for desk in self._known.desks.values() if desk.free > 0 and desk.takes(shape)]
        return min(able, key=lambda desk: desk.load, default=None)

    def _removals(self, now: float, limit: int) -> collections.abc.Iterator[Remove]:
        removed = 0
        while self._known.ended and removed < limit:
            due, name = self._known.ended[0]
            too_many = self._known.counts[Stage.ENDED] - removed > self._most_ended
            if due > now and not too_many:
                break
            heapq.heappop(self._known.ended)
            record = self._known.records.get(name)
            if record is None or record.stage is not Stage.ENDED or record.due != due:
                continue
            removed += 1
            is_foreign = record.shape is None or record.shape.method is None
            yield Remove(name, record.version, is_usual=not (is_foreign or record.is_tried))

    def _worker_gone(self, name: str) -> None:
        desk = self._known.desks.get(name)
        if desk is None:
            return
        desk.entry = None
        desk.is_missing = False
        for task in desk.assigned:
            record = self._known.records.get(task)
            if record is not None and record.worker == name and record.stage is Stage.RUNNING:
                self._known.lose(record)
        if desk.is_done_with:
            self._known.shut.add(name)


def _pause(attempts: int) -> float:
    """Gives the seconds to leave a task alone that has failed so often."""
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(attempts - 1, 16))
