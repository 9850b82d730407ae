"""What a worker does with its session: says that it is there, takes what it is given, tells how it ended.

It looks at what stands under its name. An assignment that went while its task runs means that
somebody else has it: the handler is told, and its end will be refused by the task's version.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
import typing

from rpcgen.runtime.discovery.zookeeper.asked import (
    Check,
    Children,
    Commit,
    Create,
    Delete,
    Exists,
    Get,
    Node,
    Operation,
    Outcome,
    Problem,
    Put,
)
from rpcgen.runtime.errors import FaultCode
from rpcgen.runtime.tasks.duty import Duty
from rpcgen.runtime.tasks.envelopes import (
    ATTEMPTS,
    MICROS,
    Assigned,
    Attempt,
    Ending,
    Header,
    pack,
    unpack,
)
from rpcgen.runtime.tasks.layout import DONE, ENDS, FAILED
from rpcgen.runtime.tasks.running import Run
from rpcgen.runtime.tasks.writes import HEAVY, TOGETHER, remember
from rpcgen.runtime.wire.plain import encode_fault

if typing.TYPE_CHECKING:
    from rpcgen.runtime.discovery.zookeeper.session import Session, Stat
    from rpcgen.runtime.tasks.envelopes import Entry
    from rpcgen.runtime.tasks.layout import Layout
    from rpcgen.runtime.tasks.running import Runner

_log = logging.getLogger("rpcgen")

CHECK = 15.0
"""Seconds between looks at what no event told of."""

_HALF_MADE = 1.0
"""Seconds that another kind of master has to make a task's status after its assignment."""


class Working(Duty):
    """Keeps a worker's entry, and does what stands under its name.

    Args:
        url: For messages and contexts.
        layout: Where things stand.
        entry: What the worker says of itself.
        largest: Bytes of a result.
    """

    def __init__(self, url: str, layout: Layout, entry: Entry, largest: int) -> None:
        super().__init__(f"the worker {entry.host} of {url}")
        self._url = url
        self._layout = layout
        self._entry = entry
        self._largest = largest
        self._desk = layout.desk(entry.host)
        self._node = layout.worker(entry.host)
        self.runner: Runner | None = None
        self._is_unsure = True
        """Whether the entry stands is to be seen."""
        self._is_dirty = True
        """The assignments are to be listed again."""
        self.is_leaving = False
        """Nothing new is taken."""
        self.runs: dict[str, Run] = {}
        """By task; those that run, and those whose end is not written yet."""
        self._ended: queue.SimpleQueue[Run] = queue.SimpleQueue()
        self._ends: list[Run] = []
        """To be written."""
        self._half_made: dict[str, float] = {}
        """Assignments without a status → until when one is waited for."""
        self._check_at = time.monotonic() + CHECK
        self.settled = threading.Event()
        """Set when there are no runs left, of a worker that leaves."""
        self.stands = threading.Event()
        """Set once the entry stands where masters see it."""
        self.done = 0
        self.failed = 0
        self.refused = 0

    def ended(self, run: Run) -> None:
        """Takes a run that has ended. From any thread."""
        self._ended.put(run)
        self.wake()

    def leave(self) -> None:
        """Takes nothing new from now on: the entry goes. From any thread."""
        self.is_leaving = self._is_unsure = True
        self.wake()

    def void(self) -> None:
        super().void()
        self._is_unsure = self._is_dirty = True

    def turn(self, session: Session) -> float:
        if self._is_unsure:
            self._is_unsure = False
            try:
                self._settle(session)
            except BaseException:
                self._is_unsure = True
                raise
        while self._write_ends(session) or self._take(session):
            pass
        if self.is_leaving and not self.runs:
            self.settled.set()
        return self._wait()

    def _wait(self) -> float:
        now, wait = time.monotonic(), CHECK
        for run in self.runs.values():
            if run.context.deadline is not None and run.reply is None:
                if run.context.deadline <= now:
                    assert self.runner is not None
                    self.runner.expire(run)
                wait = min(wait, max(0.0, run.context.deadline - now))
            elif run.timeout is not None and run.reply is None:
                wait = min(wait, run.timeout)  # its thread has not begun
        if self._half_made:
            self._is_dirty = True
            return min(wait, 0.05)
        if now >= self._check_at:
            self._check_at = now + CHECK
            self._is_unsure = self._is_dirty = True
            return 0.0
        return min(wait, self._check_at - now)

    # The entry.

    def _settle(self, session: Session) -> None:
        """Makes the entry, and the node for assignments, unless they stand."""
        import msgspec

        if self.is_leaving:
            session.delete(self._node)
            return
        data = msgspec.json.encode(self._entry)
        while True:
            stat: Stat | None
            stat, desk = session.gather([Exists(self._node, self._entry_changed), Exists(self._desk)])
            if stat is not None and stat.owner == session.id and desk is not None:
                self.stands.set()
                return
            operations: list[Operation] = []
            if stat is not None and stat.owner != session.id:
                operations.append(Delete(self._node))  # of an earlier session: the name is ours alone
            if stat is None or stat.owner != session.id:
                operations.append(Create(self._node, data, ephemeral=True))
            if desk is None:
                operations.append(Create(self._desk))
            outcome: Outcome
            (outcome,) = session.gather([Commit(tuple(operations))])
            if outcome.problem is Problem.NO_NODE:
                session.make(self._layout.workers)
                session.make(self._layout.assign)

    def _entry_changed(self, _: object) -> None:
        """On any thread."""
        self._is_unsure = True
        self.wake()

    # Assignments.

    def _desk_changed(self, _: object) -> None:
        """On any thread."""
        self._is_dirty = True
        self.wake()

    def _take(self, session: Session) -> bool:
        """Lists the assignments, if they may have changed, and begins what is new; says whether it looked."""
        if not self._is_dirty or self.is_leaving:
            return False
        self._is_dirty = False
        try:
            (names,) = session.gather([Children(self._desk, self._desk_changed)])
            if names is None:
                self._is_unsure = True
                self.wake()
                names = []
            current = set(names)
            for task, run in self.runs.items():
                if task not in current and run.reply is None and not run.context.cancelled:
                    _log.info("%s: the task %s was taken away: its end will not count", self.name, task)
                    run.context.cancelled = True
            self._half_made = {task: until for task, until in self._half_made.items() if task in current}
            new = [task for task in names if task not in self.runs]
            self._begin(session, new)
        except BaseException:
            self._is_dirty = True
            raise
        return True

    def _begin(self, session: Session, tasks: list[str]) -> None:
        layout = self._layout
        assignments: list[Node | None] = session.gather(
            [Get(layout.assignment(self._entry.host, task)) for task in tasks]
        )
        longer: list[tuple[str, int | None]] = []
        for task, node in zip(tasks, assignments, strict=True):
            if node is None:
                continue
            told = unpack(Assigned, node.data)
            if told is None:
                longer.append((task, None))
            elif not told[1]:
                longer.append((task, told[0].version))
            else:
                self._start(task, told[1], told[0].version)
        if longer:
            asks = [Get(path) for task, _ in longer for path in (layout.task(task), layout.status(task))]
            found = iter(session.gather(asks))
            for task, version in longer:
                self._begin_foreign(task, version, next(found), next(found))

    def _begin_foreign(self, task: str, version: int | None, node: Node | None, status: Node | None) -> None:
        """Begins a task that did not come with its assignment, perhaps another kind of master's."""
        if node is None or node.stat is None or (status is not None and status.data in ENDS):
            return
        if version is None:
            if status is None or status.stat is None:
                until = self._half_made.setdefault(task, time.monotonic() + _HALF_MADE)
                if time.monotonic() < until:
                    return
                version = -1
            else:
                version = status.stat.version
        self._half_made.pop(task, None)
        self._start(task, node.data, version)

    def _start(self, task: str, data: bytes, version: int) -> None:
        assert self.runner is not None
        told = unpack(Header, data)
        if told is None:
            run = Run(task, data, version, ATTEMPTS, None, False, self._url)
        else:
            header, call = told
            timeout = header.timeout / MICROS or None
            run = Run(task, call, version, header.attempts, timeout, True, self._url)
        self.runs[task] = run
        self.runner.start(run)

    # Ends.

    def _write_ends(self, session: Session) -> bool:
        """Writes how runs ended, many at once; says whether there were any."""
        while True:
            try:
                self._ends.append(self._ended.get_nowait())
            except queue.Empty:
                break
        if not self._ends:
            return False
        ends = self._ends
        past = self._histories(session, ends)
        batches: list[list[Run]] = []
        weight = HEAVY
        for run in ends:
            heavy = len(run.reply or b"") + 300
            if weight + heavy > HEAVY or len(batches[-1]) == TOGETHER:
                batches.append([])
                weight = 0
            batches[-1].append(run)
            weight += heavy
        again: list[Run] = []
        # What was sent once may have been done: such a one is tried by itself.
        batches = [batch for whole in batches for batch in _without_sent(whole)]
        commits = [self._commit(batch, past) for batch in batches]
        for run in ends:
            run.is_sent = True
        outcomes: list[Outcome] = session.gather(commits)
        for batch, outcome in zip(batches, outcomes, strict=True):
            if outcome.is_done or len(batch) == 1:
                for run in batch:
                    self._settled(session, run, outcome)
            else:
                again += batch
        for run, outcome in zip(
            again, session.gather([self._commit([run], past) for run in again]), strict=True
        ):
            self._settled(session, run, outcome)
        return True

    def _histories(self, session: Session, ends: list[Run]) -> dict[str, Node | None]:
        vain = [run.task for run in ends if run.is_vain]
        found = session.gather([Get(self._layout.attempts(task)) for task in vain])
        return dict(zip(vain, found, strict=True))

    def _commit(self, runs: list[Run], past: dict[str, Node | None]) -> Commit:
        return Commit(
            tuple(operation for run in runs for operation in self._operations(run, past.get(run.task)))
        )

    def _operations(self, run: Run, past: Node | None) -> list[Operation]:
        layout, name = self._layout, self._entry.host
        status, assignment = layout.status(run.task), Delete(layout.assignment(name, run.task))
        if run.is_vain and run.version >= 0:
            attempt = Attempt(worker=name, number=run.number, at=run.ended, error=run.error)
            return [Check(status, run.version), remember(layout, run.task, attempt, past), assignment]
        reply = run.reply or b""
        if len(reply) > self._largest:
            reply = run.reply = encode_fault(
                FaultCode.RESOURCE_EXHAUSTED,
                f"the result has {len(reply):,} bytes, and {self._largest:,} are the most that is kept",
            )
        word = DONE if run.is_done else FAILED
        operations: list[Operation] = [
            Create(status, word) if run.version < 0 else Put(status, word, run.version)
        ]
        if reply:
            began, ended = int(run.began * MICROS), int(run.ended * MICROS)
            ending = Ending(worker=name, attempt=run.number, began=began, ended=ended)
            operations.append(Create(layout.result(run.task), pack(ending, reply)))
        return [*operations, assignment]

    def _settled(self, session: Session, run: Run, outcome: Outcome) -> None:
        """Takes what became of the end of a run."""
        if outcome.problem is Problem.NO_NODE and self._made_parents(session):
            return  # it is tried again: it is still among the ends
        self._ends.remove(run)
        self.runs.pop(run.task, None)
        if outcome.is_done or self._was_accepted(session, run, outcome):
            if run.is_done:
                self.done += 1
            else:
                self.failed += 1
            return
        self.refused += 1
        _log.warning(
            "%s: the end of %s was refused: it was given to another or cancelled meanwhile (%s)",
            self.name,
            run.task,
            outcome.said,
        )
        # If it stands here all the same, it is another attempt.
        self._is_dirty = True

    def _made_parents(self, session: Session) -> bool:
        """Where another kind of master is, nobody has made what is ours; says whether it was missing."""
        layout = self._layout
        made = False
        for path in (layout.results, layout.history):
            if session.stat(path) is None:
                session.make(path)
                made = True
        return made

    def _was_accepted(self, session: Session, run: Run, outcome: Outcome) -> bool:
        """Says whether an end that was refused had been written before, when the connection broke."""
        if outcome.problem is Problem.OTHER:
            return False
        (node,) = session.gather([Get(self._layout.result(run.task))])
        told = None if node is None else unpack(Ending, node.data)
        return told is not None and (told[0].worker, told[0].attempt) == (self._entry.host, run.number)


def _without_sent(runs: list[Run]) -> list[list[Run]]:
    fresh = [run for run in runs if not run.is_sent]
    return [*([fresh] if fresh else []), *([run] for run in runs if run.is_sent)]
