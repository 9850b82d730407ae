"""Tasks as they stand in ZooKeeper, for people and tools; and what they can do about them.

Everything here is read and written as a client: a master needs not be there. What changes a task
that a master may know leaves a note for it.
"""

from __future__ import annotations

import itertools
import typing

import msgspec

from rpcgen.runtime.discovery.zookeeper.asked import (
    Children,
    Commit,
    Create,
    Delete,
    Exists,
    Get,
    Node,
    Operation,
    Outcome,
    Put,
)
from rpcgen.runtime.errors import FaultCode
from rpcgen.runtime.tasks import layout as names
from rpcgen.runtime.tasks.envelopes import (
    ATTEMPTS,
    MICROS,
    Attempt,
    Ending,
    Entry,
    Header,
    fault,
    method,
    unpack,
    unpack_history,
)
from rpcgen.runtime.tasks.layout import CANCELLED, ENDS, FAILED, SCHEDULE, Layout

if typing.TYPE_CHECKING:
    import collections.abc

    from rpcgen.runtime.discovery.zookeeper.session import Session, Stat

WAITING, RUNNING, GONE = "waiting", "running", "gone"
"""What tasks are called that have not ended; those that have are called as their status is."""

TRIES = 10
"""How often something is tried whose task changes meanwhile."""

BLOCK = 256
"""Tasks that are read at once."""


class TaskInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A task as it stands in ZooKeeper.

    Args:
        id: The name of its node.
        status: ``waiting``, ``running``, ``done``, ``failed``, ``cancelled`` or ``gone``.
        method: On the wire; None: the task is not ours.
        submitted: Seconds since 1970.
        not_before: The same; 0: at once.
        priority: Higher ones go first.
        attempts: How often it has been tried, or is tried now.
        most_attempts: How often it is tried at most.
        timeout: Seconds that an attempt may take; None: as long as it takes.
        keep: Seconds that it stays after its end.
        worker: That runs it, or ran it last; ``""``: not known.
        changed: When its status was last set, in seconds since 1970; 0: never.
        ended: When it ended; 0: not yet.
        error: What its fault says; of one task that is asked for, not in lists.
        history: Attempts that came to nothing; the same.
        size: Bytes of its node.
    """

    id: str
    status: str
    method: str | None = None
    submitted: float = 0.0
    not_before: float = 0.0
    priority: int = 0
    attempts: int = 0
    most_attempts: int = ATTEMPTS
    timeout: float | None = None
    keep: float = 0.0
    worker: str = ""
    changed: float = 0.0
    ended: float = 0.0
    error: str = ""
    history: tuple[Attempt, ...] = ()
    size: int = 0


class WorkerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A worker as it stands in ZooKeeper.

    Args:
        entry: What it says of itself.
        tasks: That it has now.
    """

    entry: Entry
    tasks: tuple[str, ...]


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How many there are of what, for a live view; cheap to ask for, however many there are.

    Args:
        waiting: Tasks that wait; a foreign one that has ended counts as one, until it is removed.
        running: Tasks that have a worker.
        ended: Tasks that have a result, whatever it is.
        workers: Workers that are there.
        concurrency: Tasks that they can run at once, together.
        master: What the master says of itself, as JSON; ``""``: there is none.
    """

    waiting: int
    running: int
    ended: int
    workers: int
    concurrency: int
    master: str


def status(session: Session, layout: Layout, task: str) -> str:
    """Says how a task stands."""
    node: Node | None
    there: Stat | None
    node, there = session.gather([Get(layout.status(task)), Exists(layout.task(task))])
    if there is None:
        return GONE
    if node is None or node.stat is None:
        return WAITING
    return node.data.decode() if node.data in ENDS else RUNNING


def listing(session: Session, layout: Layout) -> collections.abc.Iterator[TaskInfo]:
    """Gives every task, the oldest first as far as their headers say; read as they are needed."""
    (found,) = session.gather([Children(layout.tasks)])
    at = _assigned(session, layout)
    tasks = iter(names.tasks(found or ()))
    while block := list(itertools.islice(tasks, BLOCK)):
        asks = [Get(path) for task in block for path in (layout.task(task), layout.status(task))]
        nodes = iter(session.gather(asks))
        for task in block:
            node, status = next(nodes), next(nodes)
            if node is not None:
                yield _info(task, node, status, at.get(task))


def calls(session: Session, layout: Layout) -> collections.abc.Iterator[tuple[str, bytes]]:
    """Gives the tasks of ours that have not ended, each with its call, as plain messages have it."""
    (found,) = session.gather([Children(layout.tasks)])
    tasks = iter(names.tasks(found or ()))
    while block := list(itertools.islice(tasks, BLOCK)):
        asks = [Get(path) for task in block for path in (layout.task(task), layout.status(task))]
        nodes = iter(session.gather(asks))
        for task in block:
            node, status = next(nodes), next(nodes)
            told = None if node is None else unpack(Header, node.data)
            if told is not None and (status is None or status.data not in ENDS):
                yield task, told[1]


def show(session: Session, layout: Layout, task: str) -> TaskInfo:
    """Gives all that is known of one task."""
    node, status, result, history = session.gather(
        [
            Get(layout.task(task)),
            Get(layout.status(task)),
            Get(layout.result(task)),
            Get(layout.attempts(task)),
        ]
    )
    if node is None:
        return TaskInfo(id=task, status=GONE)
    info = _info(task, node, status, _assigned(session, layout).get(task))
    past = () if history is None else unpack_history(history.data)
    told = None if result is None else unpack(Ending, result.data)
    if told is None:
        return msgspec.structs.replace(info, history=past)
    ending, reply = told
    error = "" if reply[:1] != b"\0" else reply[5:].decode(errors="replace")
    worker = ending.worker or info.worker
    return msgspec.structs.replace(
        info,
        history=past,
        worker=worker,
        ended=ending.ended / MICROS,
        error=error,
        attempts=ending.attempt or info.attempts,
    )


def cancel(session: Session, layout: Layout, task: str, now: float) -> bool:
    """Ends a task, unless it has ended; says whether it is cancelled now."""
    for _ in range(TRIES):
        node: Node | None
        there: Node | None
        change: Stat | None
        node, there, change = session.gather(
            [Get(layout.status(task)), Get(layout.task(task)), Exists(layout.change(task))]
        )
        if there is None:
            return False
        if node is not None and node.data in ENDS:
            return node.data == CANCELLED
        status = layout.status(task)
        operations: list[Operation] = [
            Create(status, CANCELLED)
            if node is None or node.stat is None
            else Put(status, CANCELLED, node.stat.version)
        ]
        if unpack(Header, there.data) is not None:
            operations.append(
                Create(layout.result(task), fault(FaultCode.CANCELLED, "the task was cancelled", now))
            )
        if change is None:
            operations.append(Create(layout.change(task)))
        if _is_committed(session, operations):
            return True
    return False


def retry(session: Session, layout: Layout, task: str) -> bool:
    """Lets a task that failed or was cancelled wait again, its attempts counted anew; says whether it does."""
    for _ in range(TRIES):
        node: Node | None
        node, result, history, change = session.gather(
            [
                Get(layout.status(task)),
                *(Exists(path) for path in (layout.result(task), layout.attempts(task), layout.change(task))),
            ]
        )
        if node is None or node.stat is None or node.data not in (FAILED, CANCELLED):
            return False
        operations: list[Operation] = [Delete(layout.status(task), node.stat.version)]
        if result is not None:
            operations.append(Delete(layout.result(task)))
        if history is not None:
            operations.append(Delete(layout.attempts(task)))
        if change is None:
            operations.append(Create(layout.change(task)))
        if _is_committed(session, operations):
            return True
    return False


def purge(session: Session, layout: Layout, before: float, statuses: collections.abc.Container[str]) -> int:
    """Removes ended tasks; gives how many.

    Args:
        session: To work with.
        layout: Where things stand.
        before: Those that ended until then, in seconds since 1970.
        statuses: Of ``done``, ``failed``, ``cancelled`` those that are to go.
    """
    removed = 0
    for info in listing(session, layout):
        if info.status not in statuses or info.status.encode() not in ENDS or info.changed > before:
            continue
        paths = [layout.result(info.id), layout.attempts(info.id)]
        node, *beside = session.gather([Get(layout.status(info.id)), *(Exists(path) for path in paths)])
        if node is None or node.data not in ENDS:
            continue
        operations: list[Operation] = [
            *(Delete(path) for path, stat in zip(paths, beside, strict=True) if stat is not None),
            Delete(layout.status(info.id), node.stat.version),
            Delete(layout.task(info.id)),
        ]
        removed += _is_committed(session, operations)
    return removed


def workers(session: Session, layout: Layout) -> list[WorkerInfo]:
    """Gives all workers and what they have."""
    (nodes,) = session.gather([Children(layout.workers)])
    nodes = sorted(nodes or ())
    entries: list[Entry] = []
    for name, node in zip(nodes, session.gather([Get(layout.worker(name)) for name in nodes]), strict=True):
        if node is not None:
            try:
                entries.append(Entry.decode(name, node.data))
            except ValueError:
                continue
    lists = session.gather([Children(layout.desk(entry.host)) for entry in entries])
    return [
        WorkerInfo(entry=entry, tasks=tuple(sorted(listed or ())))
        for entry, listed in zip(entries, lists, strict=True)
    ]


def counts(session: Session, layout: Layout) -> Counts:
    """Counts what there is, without listing tasks."""
    tasks: Stat | None
    results: Stat | None
    master: Node | None
    tasks, results, master = session.gather(
        [Exists(layout.tasks), Exists(layout.results), Get(layout.master)]
    )
    there = workers(session, layout)
    ended = results.count if results else 0
    running = sum(len(worker.tasks) for worker in there)
    return Counts(
        waiting=max(0, (tasks.count if tasks else 0) - ended - running),
        running=running,
        ended=ended,
        workers=len(there),
        concurrency=sum(worker.entry.concurrency for worker in there),
        master="" if master is None else master.data.decode(errors="replace"),
    )


def _assigned(session: Session, layout: Layout) -> dict[str, str]:
    """Task → the worker that has it."""
    (desks,) = session.gather([Children(layout.assign)])
    desks = desks or []
    lists = session.gather([Children(layout.desk(name)) for name in desks])
    return {task: name for name, listed in zip(desks, lists, strict=True) for task in listed or ()}


def _info(task: str, node: Node, status: Node | None, worker: str | None) -> TaskInfo:
    if status is None or status.stat is None:
        word, attempts, changed = WAITING, 0, 0.0
    else:
        changed = status.stat.modified
        # An end sets the status once more than there were assignments.
        attempts = status.stat.version + (0 if status.data in ENDS else 1)
        word = status.data.decode(errors="replace") if status.data != SCHEDULE else WAITING
        if word == WAITING and worker is not None:
            word = RUNNING
    told = unpack(Header, node.data)
    name = None if told is None else method(told[1])
    born = 0.0 if node.stat is None else node.stat.created
    ended = changed if word.encode() in ENDS else 0.0
    if told is None:
        return TaskInfo(
            id=task,
            status=word,
            submitted=born,
            attempts=attempts,
            worker=worker or "",
            changed=changed,
            ended=ended,
            size=len(node.data),
        )
    header = told[0]
    return TaskInfo(
        id=task,
        status=word,
        method=name,
        submitted=header.submitted / MICROS or born,
        not_before=header.not_before / MICROS,
        priority=header.priority,
        attempts=attempts,
        most_attempts=header.attempts,
        timeout=header.timeout / MICROS or None,
        keep=header.keep / MICROS,
        worker=worker or "",
        changed=changed,
        ended=ended,
        size=len(node.data),
    )


def _is_committed(session: Session, operations: list[Operation]) -> bool:
    outcome: Outcome
    (outcome,) = session.gather([Commit(tuple(operations))])
    return outcome.is_done
