"""Queued tasks as a table, with a column for each thing that at least one of them says; and one at length."""

from __future__ import annotations

import collections.abc
import re
import time
import typing

from rpcgen.cli.registries import printable
from rpcgen.cli.table import WIDTH, age, aligned
from rpcgen.runtime.tasks.inspection import GONE as GONE, WAITING

if typing.TYPE_CHECKING:
    from rpcgen.runtime.tasks.envelopes import Attempt
    from rpcgen.runtime.tasks.inspection import Counts, TaskInfo, WorkerInfo

_UNIQUE = re.compile(r"(-[0-9a-f]{8})[0-9a-f]{24}$")


class _Column(typing.NamedTuple):
    title: str
    says: collections.abc.Callable[[TaskInfo, float], bool]
    """Whether the task says something, at a time in seconds since 1970."""
    cell: collections.abc.Callable[[TaskInfo, float], str]
    right: bool = False


_COLUMNS = (
    _Column("ID", lambda task, now: True, lambda task, now: task.id),
    _Column("STATUS", lambda task, now: True, lambda task, now: task.status),
    _Column("METHOD", lambda task, now: task.method is not None, lambda task, now: task.method or "-"),
    _Column("AGE", lambda task, now: True, lambda task, now: age(task.submitted, now), right=True),
    _Column(
        "BEGINS",
        lambda task, now: _is_early(task, now),
        lambda task, now: f"in {age(now, task.not_before)}" if _is_early(task, now) else "",
        right=True,
    ),
    _Column(
        "PRIORITY", lambda task, now: task.priority != 0, lambda task, now: str(task.priority), right=True
    ),
    _Column(
        "ATTEMPTS",
        lambda task, now: task.attempts > 0,
        lambda task, now: f"{task.attempts}/{task.most_attempts}",
        right=True,
    ),
    _Column("WORKER", lambda task, now: bool(task.worker), lambda task, now: short(task.worker)),
)


def task_table(tasks: collections.abc.Sequence[TaskInfo], now: float) -> list[str]:
    """Gives the lines, the titles first.

    Args:
        tasks: In the order to show.
        now: Seconds since 1970.
    """
    columns = [column for column in _COLUMNS if any(column.says(task, now) for task in tasks)]
    lines = [
        [column.title for column in columns],
        *([printable(column.cell(task, now), WIDTH) for column in columns] for task in tasks),
    ]
    return aligned(lines, [column.right for column in columns])


def worker_table(workers: collections.abc.Sequence[WorkerInfo], now: float) -> list[str]:
    """Gives the lines for workers and what they run, the titles first."""
    lines = [["WORKER", "RUNS", "AT ONCE", "WEIGHT", "AGE", "PID"]]
    for worker in workers:
        entry = worker.entry
        lines.append(
            [
                printable(short(entry.host), WIDTH),
                str(len(worker.tasks)),
                str(entry.concurrency),
                f"{entry.weight:g}",
                age(entry.started, now),
                str(entry.pid or ""),
            ]
        )
    return aligned(lines, [False, *[True] * 5])


def details(task: TaskInfo, now: float) -> str:
    """Gives all that is known of a task, a line each."""
    words = [("id", task.id), ("status", task.status), ("method", task.method or "not one of ours")]
    words.append(("submitted", _when(task.submitted, now)))
    if _is_early(task, now):
        words.append(("begins", f"in {age(now, task.not_before)}"))
    if task.ended:
        words.append(("ended", _when(task.ended, now)))
    words.append(("attempts", f"{task.attempts} of {task.most_attempts}"))
    if task.worker:
        words.append(("worker", task.worker))
    if task.priority:
        words.append(("priority", str(task.priority)))
    if task.timeout is not None:
        words.append(("timeout", f"{task.timeout:g} s an attempt"))
    words.append(("size", f"{task.size:,} bytes"))
    if task.error:
        words.append(("error", task.error))
    for attempt in task.history:
        what = f"on {attempt.worker}, {_when(attempt.at, now)}: {attempt.error}"
        words.append((f"attempt {attempt.number}", what))
    return "\n".join(aligned([[name, printable(text)] for name, text in words], [False, False]))


def members(said: TaskInfo | Attempt | Counts) -> dict[str, object]:
    """Gives it for JSON: all that it says."""
    found = {name: getattr(said, name) for name in said.__struct_fields__}
    if "history" in found:
        found["history"] = [members(attempt) for attempt in found["history"]]
    return found


def short(worker: str) -> str:
    """Gives a worker's name with as much of its number as tells it from others."""
    return _UNIQUE.sub(r"\1", worker)


def _is_early(task: TaskInfo, now: float) -> bool:
    return task.status == WAITING and task.not_before > now


def _when(at: float, now: float) -> str:
    if at <= 0:
        return "not known"
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(at))}, {age(at, now)} ago"
