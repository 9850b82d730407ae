"""A master at work: reads what has changed, does what the picture says, round after round.

A round writes first and reads then, many requests at once, so that lists show what was just written. Events only say what is to be read again. If the connection
breaks, the picture is thrown away: what became of the last round is seen, not guessed.
"""

from __future__ import annotations

import collections
import functools
import logging
import queue
import time
import typing

from rpcgen.runtime.discovery.zookeeper.asked import (
    Ask,
    Children,
    Delete,
    Exists,
    Get,
    Node,
    Operation,
    Outcome,
    Problem,
)
from rpcgen.runtime.tasks import layout as names
from rpcgen.runtime.tasks.envelopes import Entry
from rpcgen.runtime.tasks.steps import Assign, GiveUp, Noted, Open, Remove, Shut, Step, Sweep
from rpcgen.runtime.tasks.writes import Writer

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.tasks.layout import Layout
    from rpcgen.runtime.tasks.picture import Picture

_log = logging.getLogger("rpcgen")

LIMIT = 256
"""Tasks that a round reads, assigns and removes at most."""

BUSY, IDLE = 0.1, 0.5
"""Of the time that may be spent listing the queue, where every worker has its fill, and where not."""

CHEAP = 0.002
"""Seconds that a list may take before that is minded."""

CHECK = 15.0
"""Seconds after which everything is listed again, because an event can be missed."""


class Asker(typing.Protocol):
    """What a master needs of a session."""

    def gather(self, asks: collections.abc.Iterable[Ask]) -> list[typing.Any]:
        """Sends requests and gives the answers."""


class Deposed(Exception):
    """Another master has been elected."""


class Leading:
    """One master's time as the leader.

    Args:
        layout: Where things stand.
        epoch: The version of the epoch's node since the election.
        picture: An empty one.
        wake: Called from any thread when there is something to do; must not wait.
        clock: Gives seconds since 1970.
    """

    def __init__(
        self,
        layout: Layout,
        epoch: int,
        picture: Picture,
        wake: collections.abc.Callable[[], None] = lambda: None,
        clock: collections.abc.Callable[[], float] = time.time,
    ) -> None:
        self.picture = picture
        self._layout = layout
        self._writer = Writer(layout, epoch)
        self._wake = wake
        self._clock = clock
        self._events: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        self._dirty: set[str] = {"changed"}
        """Lists to be read again."""
        self._desks: set[str] = set()
        """Workers whose assignments are to be listed again."""
        self._orphans: collections.deque[tuple[str, str]] = collections.deque()
        """Path and task of what was left behind by tasks that are gone."""
        self._watchers: dict[tuple[str, str], collections.abc.Callable[[object], None]] = {}
        self._new_workers: list[str] = []
        """Nodes of workers to be read."""
        self._is_begun = False
        self._listed = (0.0, 0.0)
        """When the queue was last listed, and how long that took."""
        self._check_at = 0.0

    def turn(self, session: Asker) -> float:
        """Does what is to be done; gives the seconds until there is something to do even if nothing happens.

        Raises:
            Deposed: Another one leads.
            Away, Refused: As ``Session.gather``; the picture is worth nothing then.
        """
        if not self._is_begun:
            self._begin(session)
            self._is_begun = True
        while self._round(session):
            pass
        now, due = self._clock(), self.picture.due()
        wait = self._check_at - time.monotonic()
        if "tasks" in self._dirty:
            wait = min(wait, self._list_at() - time.monotonic())
        if due is not None:
            wait = min(wait, due - now)
        return max(0.0, wait)

    def _begin(self, session: Asker) -> None:
        """Lists everything: what a former master has left half done is seen from here."""
        layout, picture = self._layout, self.picture
        # What stands under the name of no worker must be older than the list of workers, and a result
        # without a task older than the list of tasks.
        desks, workers, results, histories = session.gather(
            [
                Children(layout.assign),
                Children(layout.workers, self._watcher("workers")),
                Children(layout.results),
                Children(layout.history),
            ]
        )
        self._new_workers = picture.workers_listed(workers or ())
        self._read_workers(session)
        picture.desks_listed(desks or ())
        self._desks.update(desks or ())
        self._list_desks(session)
        (listed,) = session.gather([Children(layout.tasks, self._watcher("tasks"))])
        tasks = names.tasks(listed or ())
        picture.tasks_listed(tasks, set(results or ()), set(histories or ()))
        self._orphans.extend((layout.result(task), task) for task in picture.strange(results or ()))
        self._orphans.extend((layout.attempts(task), task) for task in picture.strange(histories or ()))
        self._check_at = time.monotonic() + CHECK

    def _round(self, session: Asker) -> bool:
        """Says whether there may be more to do at once."""
        self._heed()
        wrote = self._write(session, self.picture.plan(self._clock(), LIMIT))
        read = self._read(session)
        return wrote or read

    # Writing.

    def _write(self, session: Asker, steps: list[Step]) -> bool:
        for step in steps:
            if isinstance(step, Remove) and not step.is_usual:
                self._remove(session, step)
        steps = [step for step in steps if not isinstance(step, Remove) or step.is_usual]
        writes = self._writer.together(self._operations(session, steps))
        orphans = [self._orphans.popleft() for _ in range(min(LIMIT // 4, len(self._orphans)))]
        commits = [write.commit for write in writes]
        commits += [self._writer.orphan(path, task) for path, task in orphans]
        if not commits:
            return False
        outcomes: list[Outcome] = session.gather(commits)
        again: list[Step] = []
        for write, outcome in zip(writes, outcomes, strict=False):
            if outcome.is_done or len(write.steps) == 1:
                for step in write.steps:
                    self._become(session, step, outcome)
            else:
                self._check_epoch(outcome)
                again += write.steps
        if again:
            # One of them was refused, and so were all: each is tried by itself.
            singles = [self._writer.together([one])[0] for one in self._operations(session, again)]
            for single, outcome in zip(singles, session.gather([one.commit for one in singles]), strict=True):
                self._become(session, single.steps[0], outcome)
        return True

    def _operations(self, session: Asker, steps: list[Step]) -> list[tuple[Step, list[Operation]]]:
        """Pairs steps with what they do; those that end an attempt in vain add to a history, which is read first."""
        vain = [
            step.task
            for step in steps
            if isinstance(step, GiveUp) or (isinstance(step, Assign) and step.error)
        ]
        past: dict[str, Node | None] = {}
        if vain:
            found = session.gather([Get(self._layout.attempts(task)) for task in vain])
            past = dict(zip(vain, found, strict=True))
        now = self._clock()
        return [
            (step, self._writer.operations(step, past.get(getattr(step, "task", "")), now)) for step in steps
        ]

    def _check_epoch(self, outcome: Outcome) -> None:
        if outcome.at == 0 and not outcome.is_done:
            raise Deposed(f"ZooKeeper says {outcome.said} of the epoch")

    def _become(self, session: Asker, step: Step, outcome: Outcome) -> None:
        """Tells the picture what became of a step."""
        self._check_epoch(outcome)
        done, picture = outcome.is_done, self.picture
        is_gone = outcome.problem is Problem.NO_NODE
        match step:
            case Assign():
                picture.assigned(step, done=done)
                if not done:
                    self._desks.update(name for name in (step.worker, step.leaves) if name is not None)
            case GiveUp():
                picture.given_up(step, self._clock(), done=done)
            case Sweep():
                picture.swept(step, done=done or is_gone)
            case Remove():
                if done:
                    picture.removed(step, done=True)
                else:
                    self._remove(session, step)
            case Open():
                picture.opened(step)
                self._desks.add(step.worker)  # it is watched from now on
            case Shut():
                picture.shut(step, done=done or is_gone)
                if done or is_gone:
                    self._watchers.pop(("desk", step.worker), None)
                else:
                    self._desks.add(step.worker)
            case Noted():
                picture.forgotten(step)

    def _remove(self, session: Asker, step: Remove) -> None:
        """Removes a task that is not as usual: looks what there is of it."""
        layout = self._layout
        paths = [layout.result(step.task), layout.attempts(step.task), layout.status(step.task)]
        task, *beside = session.gather([Exists(path) for path in (layout.task(step.task), *paths)])
        if task is None:
            self._picture_removed(step, "")
            return
        there = [Delete(path) for path, stat in zip(paths, beside, strict=True) if stat is not None]
        commit = self._writer.commit([*there, Delete(layout.task(step.task))])
        (outcome,) = session.gather([commit])
        self._check_epoch(outcome)
        self._picture_removed(
            step, "" if outcome.is_done else f"ZooKeeper says {outcome.said} when it is removed"
        )

    def _picture_removed(self, step: Remove, problem: str) -> None:
        self.picture.removed(step, done=not problem, why=problem)

    # Reading.

    def _read(self, session: Asker) -> bool:
        asks: list[Ask] = []
        looks = self.picture.looks(LIMIT)
        for look in looks:
            if look.whole:
                asks.append(Get(self._layout.task(look.task)))
            if look.status:
                asks.append(Get(self._layout.status(look.task)))
        if asks:
            found = iter(session.gather(asks))
            now = self._clock()
            for look in looks:
                task: Node | None = next(found) if look.whole else None
                self.picture.seen(look, task, next(found) if look.status else None, now)
        listed = [self._list_desks(session), self._list_others(session), self._read_workers(session)]
        return bool(looks) or any(listed)

    def _list_desks(self, session: Asker) -> bool:
        desks, self._desks = sorted(self._desks), set()
        lists = session.gather(
            [Children(self._layout.desk(name), self._watcher("desk", name)) for name in desks]
        )
        for name, listed in zip(desks, lists, strict=True):
            self.picture.desk_listed(name, listed)
        return bool(desks)

    def _list_others(self, session: Asker) -> bool:
        """Lists the queue, not too often, and all else that has changed."""
        layout, picture = self._layout, self.picture
        read = False
        if "tasks" in self._dirty and time.monotonic() >= self._list_at():
            self._dirty.discard("tasks")
            begun = time.monotonic()
            (listed,) = session.gather([Children(layout.tasks, self._watcher("tasks"))])
            picture.tasks_listed(names.tasks(listed or ()))
            now = time.monotonic()
            self._listed = (now, now - begun)
            read = True
        if "history" in self._dirty and "tasks" not in self._dirty:
            self._dirty.discard("history")
            (listed,) = session.gather([Children(layout.history)])
            self._orphans.extend((layout.attempts(task), task) for task in picture.strange(listed or ()))
        if "changed" in self._dirty:
            self._dirty.discard("changed")
            (listed,) = session.gather([Children(layout.changed, self._watcher("changed"))])
            picture.noted(listed or ())
            read = True
        if "workers" in self._dirty:
            self._dirty.discard("workers")
            desks, workers = session.gather(
                [Children(layout.assign), Children(layout.workers, self._watcher("workers"))]
            )
            self._new_workers = picture.workers_listed(workers or ())
            self._desks.update(picture.desks_listed(desks or ()))
            read = True
        return read

    def _list_at(self) -> float:
        """When the queue may be listed again."""
        at, cost = self._listed
        share = IDLE if self.picture.has_room else BUSY
        return at + max(0.0, cost - CHEAP) * (1 / share - 1)

    def _read_workers(self, session: Asker) -> bool:
        nodes, self._new_workers = self._new_workers, []
        found = session.gather([Get(self._layout.worker(node)) for node in nodes])
        for node, read in zip(nodes, found, strict=True):
            if read is None:
                continue  # it has gone meanwhile
            try:
                entry = Entry.decode(node, read.data)
            except (ValueError, RecursionError) as error:
                _log.warning("the worker %s is skipped: %s", node, error)
                self.picture.worker_skipped(node)
                continue
            self.picture.worker_read(node, entry)
            self._desks.add(entry.host)
        return bool(nodes)

    # Events.

    def _watcher(self, kind: str, name: str = "") -> collections.abc.Callable[[object], None]:
        # kazoo keeps watchers by what they are: the same one twice is told once.
        key = (kind, name)
        if key not in self._watchers:
            self._watchers[key] = functools.partial(self._tell, key)
        return self._watchers[key]

    def _tell(self, key: tuple[str, str], _: object) -> None:
        """On any thread."""
        self._events.put(key)
        self._wake()

    def _heed(self) -> None:
        while True:
            try:
                kind, name = self._events.get_nowait()
            except queue.Empty:
                break
            if kind == "desk":
                self._desks.add(name)
            else:
                self._dirty.add(kind)
        now = time.monotonic()
        if now >= self._check_at:
            self._check_at = now + CHECK
            self._dirty |= {"tasks", "workers", "changed", "history"}
            self._desks |= self.picture.desk_names
            self.picture.doubt_foreign()
